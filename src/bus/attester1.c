/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "bus/attester1.h"

#include "attester/authenticate.h"
#include "attester/state-file.h"
#include "bus/authz.h"
#include "bus/bus-call.h"
#include "bus/bus-error.h"
#include "bus/bus-source.h"
#include "bus/credentials.h"
#include "bus/log-calls.h"
#include "bus/name-watch.h"
#include "codec/tls-handshake.h"
#include "util/bytes.h"
#include "util/log-limit.h"

#include <string.h>

#define NAME "org.attestd.Attester1"
#define PATH "/org/attestd/Attester1"
#define SESSION_NAME NAME ".Session"
#define SESSION_PATH PATH "/session"

typedef struct Attester1 {
        sd_bus *bus; /* borrowed: it outlives us */
        AttAttester *attester;
        const AttConfiguration *configuration;
        AttStateFile *state;
        AttGenerationListener listener;
        GHashTable *owners;   /* owned; of Owner, by the name of its connection */
        GHashTable *sessions; /* of Session, by path */
        GQueue openings;      /* of Opening, by their link */
        AttAuthority *authority; /* owned */
        AttNameWatch *names;     /* owned */
        AttLogCalls *logs;       /* owned */
        uint8_t instance_id[ATT_INSTANCE_ID_SIZE]; /* as callers know it */
        guint moved_told;        /* source: the properties of a move are to be told */
        bool is_stopping;

        AttLogLimit refusals;
} Attester1;

/* A connection that has sessions, or is getting one. */
typedef struct Owner {
        Attester1 *attester;
        char *name;
        AttConnection *connection;
        GQueue sessions; /* of Session, by their link */
} Owner;

typedef struct Opening Opening;

/* Reached by its owner and by nobody else. */
typedef struct Session {
        Owner *owner;
        AttSession *inner;
        char *path;       /* NULL: polkit has not said yes yet. It counts, but there is no way to it */
        Opening *opening; /* until then */
        GList link;
} Session;

/* An OpenSession call: who asks, may he, and then the session. */
struct Opening {
        Attester1 *attester;
        sd_bus_message *call; /* NULL: answered */
        GList link;
        AttSessionParameters parameters; /* borrowed from the call */
        char *who;                       /* for the log, once the bus has said it */
        sd_bus_slot *credentials;
        Session *session; /* once we know who asks; NULL again if it was closed */
        AttAuthz *authz;
        bool is_observing; /* a thread hashes the caller: the opening waits for it, wanted or not */
};

/* ----- refusals */

/* @who: (nullable): not known. @what may be a caller's word, of any length: a path. */
static void log_refusal(Attester1 *a, const char *sender, const char *who, const char *what, const char *why) {
        guint left_out;
        bool is_written = att_log_limit_take(&a->refusals, &left_out);

        if (left_out > 0)
                g_message("%u more refusals", left_out);
        if (is_written)
                g_message("refused %.96s to %s (%s): %s", what, sender ? sender : "?", who ? who : "user not known",
                          why);
}

/* ----- signals */

static void send_to_owner(Session *s, sd_bus_message *signal, int r) {
        if (r >= 0)
                r = sd_bus_message_set_destination(signal, s->owner->name);
        if (r >= 0)
                r = sd_bus_send(s->owner->attester->bus, signal, NULL);
        if (r < 0)
                g_warning("cannot send a signal of a session: %s", g_strerror(-r));
}

static void on_session_stale(AttSession *inner, uint64_t generation, const char *const *reasons) {
        Session *s = att_session_userdata(inner);
        g_autoptr(sd_bus_message) m = NULL;
        int r;

        r = sd_bus_message_new_signal(s->owner->attester->bus, &m, s->path, SESSION_NAME, "Stale");
        if (r >= 0)
                r = sd_bus_message_append(m, "t", generation);
        if (r >= 0)
                r = sd_bus_message_append_strv(m, (char **) reasons);
        send_to_owner(s, m, r);
}

/* To its owner alone: that there is this session is nobody else's business. */
static void on_session_changed(AttSession *inner) {
        Session *s = att_session_userdata(inner);
        g_autoptr(sd_bus_message) m = NULL;
        int r;

        r = sd_bus_message_new_signal(s->owner->attester->bus, &m, s->path, "org.freedesktop.DBus.Properties",
                                      "PropertiesChanged");
        if (r >= 0)
                r = sd_bus_message_append(m, "sa{sv}as", SESSION_NAME, 2,
                                          "Generation", "t", att_session_evidence_generation(inner),
                                          "Stale", "b", (int) att_session_is_stale(inner), 0);
        send_to_owner(s, m, r);
}

static const AttSessionEvents session_events = { .stale = on_session_stale, .changed = on_session_changed };

/* Who only looks at properties waits for those whose evidence is stale. */
static gboolean on_moved_told(gpointer userdata) {
        Attester1 *a = userdata;
        const uint8_t *instance_id = att_generation_instance_id(att_attester_generation(a->attester));
        bool is_another = memcmp(a->instance_id, instance_id, sizeof a->instance_id) != 0;
        const char *instance = is_another ? "InstanceId" : NULL;
        int r = sd_bus_emit_properties_changed(a->bus, PATH, NAME, "Generation", instance, NULL);

        if (r < 0)
                g_warning("cannot send PropertiesChanged: %s", g_strerror(-r));
        memcpy(a->instance_id, instance_id, sizeof a->instance_id);
        a->moved_told = 0;
        return G_SOURCE_REMOVE;
}

static void on_generation_moved(AttGenerationListener *listener, uint64_t generation, const char *const *reasons) {
        Attester1 *a = (Attester1 *) (void *) ((char *) listener - G_STRUCT_OFFSET(Attester1, listener));
        g_autoptr(sd_bus_message) m = NULL;
        int r;

        r = sd_bus_message_new_signal(a->bus, &m, PATH, NAME, "StateChanged");
        if (r >= 0)
                r = sd_bus_message_append(m, "t", generation);
        if (r >= 0)
                r = sd_bus_message_append_strv(m, (char **) reasons);
        if (r >= 0)
                r = sd_bus_send(a->bus, m, NULL);
        if (r < 0)
                g_warning("cannot send StateChanged: %s", g_strerror(-r));
        if (a->moved_told == 0)
                a->moved_told = g_idle_add_full(G_PRIORITY_HIGH, on_moved_told, a, NULL);
}

static void on_tee_changed(AttAttester *attester, gpointer userdata) {
        Attester1 *a = userdata;
        int r = sd_bus_emit_properties_changed(a->bus, PATH, NAME, "Tee", "Provider", "ReportSource", "State",
                                               "StateDetail", NULL);

        (void) attester;
        if (r < 0)
                g_warning("cannot send PropertiesChanged: %s", g_strerror(-r));
}

static void on_runtime_changed(AttAttester *attester, gpointer userdata) {
        Attester1 *a = userdata;
        int r = sd_bus_emit_properties_changed(a->bus, PATH, NAME, "ImaState", "ImaDetail", "ImaListed", "ImaRoot",
                                               "RootDetail", "EventSource", "EventDetail", NULL);

        (void) attester;
        if (r < 0)
                g_warning("cannot send PropertiesChanged: %s", g_strerror(-r));
}

static const AttAttesterEvents attester_events = {
        .tee_changed = on_tee_changed,
        .runtime_changed = on_runtime_changed,
};

/* ----- owners and sessions */

static void owner_free(Owner *o) {
        att_connection_unref(o->connection);
        g_free(o->name);
        g_free(o);
}

static void opening_free(Opening *opening) {
        g_queue_unlink(&opening->attester->openings, &opening->link);
        sd_bus_slot_unref(opening->credentials);
        att_authz_cancel(opening->authz);
        sd_bus_message_unref(opening->call);
        g_free(opening->who);
        g_free(opening);
}

/* What waits for it is answered; its owner goes with the last one. */
static void session_close(Session *s) {
        Owner *o = s->owner;
        Attester1 *a = o->attester;

        if (s->opening && s->opening->is_observing)
                s->opening->session = NULL;
        else if (s->opening)
                opening_free(s->opening);
        if (s->path)
                (void) g_hash_table_remove(a->sessions, s->path);
        g_queue_unlink(&o->sessions, &s->link);
        att_session_close(s->inner);
        g_free(s->path);
        g_free(s);

        if (o->sessions.length == 0)
                (void) g_hash_table_remove(a->owners, o->name);
}

static void owner_close(Owner *o) {
        /* Not by asking @o when there is none left: it is gone then. */
        for (guint n = o->sessions.length; n > 0; n--)
                session_close(o->sessions.head->data);
}

static void on_name_left(const char *name, gpointer userdata) {
        Attester1 *a = userdata;
        Owner *o = g_hash_table_lookup(a->owners, name);

        att_log_calls_leave(a->logs, name);
        if (o)
                owner_close(o);
}

/* The driver has just answered for @name: it will tell when that leaves. */
static Owner *owner_new(Attester1 *a, const char *name, AttCaller *caller) {
        Owner *o = g_new0(Owner, 1);

        o->attester = a;
        o->name = g_strdup(name);
        o->connection = att_connection_new(a->attester, caller);
        g_hash_table_insert(a->owners, o->name, o);
        return o;
}

static Session *session_new(Owner *o, const AttSessionParameters *parameters, GError **error) {
        g_autofree Session *s = g_new0(Session, 1);

        s->inner = att_session_open(o->connection, parameters, &session_events, s, error);
        if (!s->inner)
                return NULL;

        s->owner = o;
        s->link.data = s;
        g_queue_push_tail_link(&o->sessions, &s->link);
        return g_steal_pointer(&s);
}

static void session_publish(Session *s) {
        s->path = g_strdup_printf(SESSION_PATH "/%" G_GUINT64_FORMAT, att_session_number(s->inner));
        g_hash_table_insert(s->owner->attester->sessions, s->path, s);
}

/* For all but its owner there is no session: asked in one place, so no handler can forget to. */
static int find_session(sd_bus *bus, const char *path, const char *interface, void *userdata, void **ret,
                        sd_bus_error *error) {
        Attester1 *a = userdata;
        Session *s = g_hash_table_lookup(a->sessions, path);
        sd_bus_message *call = sd_bus_get_current_message(bus);
        const char *sender = call ? sd_bus_message_get_sender(call) : NULL;
        g_autofree char *who = NULL;
        Owner *o;

        (void) interface;
        if (s && g_strcmp0(s->owner->name, sender) == 0) {
                *ret = s;
                return 1;
        }
        if (g_str_equal(path, SESSION_PATH))
                return 0;

        o = sender ? g_hash_table_lookup(a->owners, sender) : NULL;
        who = o ? att_caller_describe(o->connection->caller) : NULL;
        log_refusal(a, sender, who, path, s ? "it is another connection's" : "there is no such session");
        return att_bus_error_set(error, ATT_ERROR_NO_SUCH_SESSION,
                                 "this connection has no such session: sessions end with who opened them");
}

/* ----- Attest */

static int append_bytes(sd_bus_message *m, const char *key, const void *p, size_t size) {
        int r = sd_bus_message_open_container(m, 'e', "sv");

        if (r >= 0)
                r = sd_bus_message_append_basic(m, 's', key);
        if (r >= 0)
                r = sd_bus_message_open_container(m, 'v', "ay");
        if (r >= 0)
                r = sd_bus_message_append_array(m, 'y', p, size);
        if (r >= 0)
                r = sd_bus_message_close_container(m);
        if (r >= 0)
                r = sd_bus_message_close_container(m);
        return r;
}

#define ID_TEXT_SIZE 33u

static int append_info(sd_bus_message *m, const AttAttested *attested) {
        const AttSealed *sealed = attested->sealed;
        char boot_id[ID_TEXT_SIZE], instance_id[ID_TEXT_SIZE];
        int r = sd_bus_message_open_container(m, 'a', "{sv}");

        att_hex(sealed->boot_id, sizeof sealed->boot_id, boot_id);
        att_hex(sealed->instance_id, sizeof sealed->instance_id, instance_id);
        if (r >= 0)
                r = sd_bus_message_append(m, "{sv}{sv}{sv}{sv}{sv}{sv}{sv}{sv}",
                                          "profile", "s", sealed->profile,
                                          "generation", "t", sealed->generation,
                                          "boot_id", "s", boot_id,
                                          "instance_id", "s", instance_id,
                                          "tee", "s", sealed->tee,
                                          "provider", "s", attested->provider,
                                          "batch", "t", UINT64_C(1),
                                          "endorsements_left_out", "b", (int) attested->endorsements_left_out);
        if (r >= 0)
                r = append_bytes(m, "report_data", sealed->report_data, sizeof sealed->report_data);
        if (r >= 0)
                r = sd_bus_message_close_container(m);
        return r;
}

static void on_attested(const AttAttested *attested, GError *error, gpointer userdata) {
        g_autoptr(sd_bus_message) call = userdata;
        g_autoptr(sd_bus_message) reply = NULL;
        const void *p;
        size_t size;
        int r;

        if (!attested) {
                g_info("Attest of %s: %s", sd_bus_message_get_sender(call), error->message);
                att_bus_reply_error(call, error);
                return;
        }

        p = g_bytes_get_data(attested->evidence, &size);
        r = sd_bus_message_new_method_return(call, &reply);
        if (r >= 0)
                r = sd_bus_message_append_array(reply, 'y', p, size);
        if (r >= 0)
                r = append_info(reply, attested);
        if (r >= 0)
                r = sd_bus_send(sd_bus_message_get_bus(call), reply, NULL);
        if (r < 0)
                g_warning("cannot send evidence: %s", g_strerror(-r));
}

/* Attest(in ay exported_value, in ay request_context, in ay public_key, in a{sv} options,
 *        out ay evidence, out a{sv} info) */
static int method_attest(sd_bus_message *call, void *userdata, sd_bus_error *error) {
        Session *s = userdata;
        uint32_t timeout_ms = ATT_TIMEOUT_MS_DEFAULT, max_size = ATT_CMW_SIZE_MAX;
        g_autoptr(GBytes) public_key = NULL;
        AttAttestRequest request = { 0 };
        const void *exported, *key;
        size_t exported_size, key_size;
        GError *e = NULL;
        bool batch; /* may the batch form be given? It need not, and is not */
        int r;
        const AttOption options[] = {
                { "profile", "s", &request.profile, 0, false },
                { "timeout_ms", "u", &timeout_ms, 0, false },
                { "batch", "b", &batch, 0, false },
                { "max_size", "u", &max_size, 0, false },
                { 0 },
        };

        r = att_call_read_bytes(call, "exported_value", ATT_EXPORTED_SIZE, ATT_EXPORTED_SIZE, &exported, &exported_size,
                                error);
        if (r >= 0)
                r = att_call_read_bytes(call, "request_context", 1, ATT_CONTEXT_SIZE_MAX, &request.context,
                                        &request.context_size, error);
        if (r >= 0)
                r = att_call_read_bytes(call, "public_key", 1, ATT_PUBLIC_KEY_SIZE_MAX, &key, &key_size, error);
        if (r >= 0)
                r = att_call_read_options(call, options, error);
        if (r < 0)
                return r;

        public_key = g_bytes_new(key, key_size);
        request.exported = exported;
        request.public_key = public_key;
        request.timeout_ms = timeout_ms;
        request.max_size = max_size;
        if (!att_session_attest(s->inner, &request, on_attested, sd_bus_message_ref(call), &e)) {
                sd_bus_message_unref(call);
                return att_bus_error_take(error, e);
        }
        return 1; /* on_attested() replies */
}

/* ----- authenticators */

#define SIGNATURE_SIZE_MAX 2048u /* RSA with 16384 bits */

/* What BeginAuthenticator has in its options, with what they leave to be freed. */
typedef struct BeginOptions {
        AttSecret *handshake_context, *finished_key;
        GArray *schemes;
        const char *profile;
        uint32_t timeout_ms;
        uint16_t cmw_attestation;
        bool batch; /* as in Attest */
        bool declines;
} BeginOptions;

static void begin_options_clear(BeginOptions *o) {
        g_clear_pointer(&o->handshake_context, att_secret_free);
        g_clear_pointer(&o->finished_key, att_secret_free);
        g_clear_pointer(&o->schemes, g_array_unref);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(BeginOptions, begin_options_clear)

static int reply_begun(sd_bus_message *call, const AttBegun *begun) {
        g_autoptr(sd_bus_message) reply = NULL;
        gsize size = 0;
        const void *p = begun->to_be_signed ? g_bytes_get_data(begun->to_be_signed, &size) : NULL;
        int r = sd_bus_message_new_method_return(call, &reply);

        if (r >= 0)
                r = sd_bus_message_append(reply, "tq", begun->handle, begun->scheme);
        if (r >= 0)
                r = sd_bus_message_append_array(reply, 'y', p, size);
        if (r >= 0)
                r = sd_bus_send(sd_bus_message_get_bus(call), reply, NULL);
        return r;
}

static void on_begun(const AttBegun *begun, GError *error, gpointer userdata) {
        g_autoptr(sd_bus_message) call = userdata;
        int r;

        if (!begun) {
                g_info("BeginAuthenticator of %s: %s", sd_bus_message_get_sender(call), error->message);
                att_bus_reply_error(call, error);
                return;
        }
        r = reply_begun(call, begun);
        if (r < 0)
                g_warning("cannot send what is to be signed: %s", g_strerror(-r));
}

static int begin(Session *s, sd_bus_message *call, const AttAuthenticatorRequest *request, bool declines,
                 sd_bus_error *error) {
        AttBegun refusal = { 0 };
        GError *e = NULL;

        if (declines) {
                if (!att_session_decline(s->inner, request, &refusal.handle, &e))
                        return att_bus_error_take(error, e);
                return reply_begun(call, &refusal);
        }
        if (!att_session_begin_authenticator(s->inner, request, on_begun, sd_bus_message_ref(call), &e)) {
                sd_bus_message_unref(call);
                return att_bus_error_take(error, e);
        }
        return 1; /* on_begun() replies */
}

/* BeginAuthenticator(in ay request, in ay exported_value, in aay certificates, in a{sv} options,
 *                    out t handle, out q scheme, out ay to_be_signed) */
static int method_begin_authenticator(sd_bus_message *call, void *userdata, sd_bus_error *error) {
        Session *s = userdata;
        g_auto(BeginOptions) o = {
                .timeout_ms = ATT_TIMEOUT_MS_DEFAULT,
                .cmw_attestation = ATT_CMW_ATTESTATION_DEFAULT,
        };
        const AttOption options[] = {
                { "handshake_context", "ay", &o.handshake_context, ATT_HASH_SIZE_MAX, true },
                { "finished_key", "ay", &o.finished_key, ATT_HASH_SIZE_MAX, true },
                { "schemes", "aq", &o.schemes, ATT_TLS_SCHEMES_MAX, false },
                { "profile", "s", &o.profile, 0, false },
                { "timeout_ms", "u", &o.timeout_ms, 0, false },
                { "batch", "b", &o.batch, 0, false },
                { "cmw_attestation", "q", &o.cmw_attestation, 0, false },
                { "decline", "b", &o.declines, 0, false },
                { 0 },
        };
        g_autoptr(GPtrArray) certificates = NULL;
        g_autoptr(GBytes) bytes = NULL;
        AttAuthenticatorRequest request = { 0 };
        size_t size, exported_size, hash_size = att_hash_size(att_session_hash(s->inner));
        GError *e = NULL;
        const void *p, *exported;
        int r;

        r = att_call_read_bytes(call, "request", 1, ATT_TLS_REQUEST_MAX, &p, &size, error);
        if (r < 0)
                return r;
        bytes = g_bytes_new(p, size);
        r = att_call_read_bytes(call, "exported_value", 0, ATT_EXPORTED_SIZE, &exported, &exported_size, error);
        if (r >= 0)
                r = att_call_read_list(call, "certificates", ATT_TLS_CERTIFICATES_MAX, ATT_CERTIFICATES_SIZE_MAX,
                                       &certificates, error);
        if (r >= 0)
                r = att_call_read_options(call, options, error);
        if (r < 0)
                return r;
        if (exported_size != ATT_EXPORTED_SIZE && !o.declines)
                return att_bus_error_set(error, ATT_ERROR_INVALID_ARGUMENT,
                                         "exported_value must have exactly %u bytes, not %zu", ATT_EXPORTED_SIZE,
                                         exported_size);

        request = (AttAuthenticatorRequest) {
                .request = bytes,
                .exported = exported,
                .certificates = certificates,
                .schemes = o.schemes,
                .cmw_attestation = o.cmw_attestation,
                .profile = o.profile,
                .timeout_ms = o.timeout_ms,
        };
        if (att_secret_read(o.handshake_context, "handshake_context", hash_size, request.keys.handshake_context, &e) &&
            att_secret_read(o.finished_key, "finished_key", hash_size, request.keys.finished_key, &e))
                r = begin(s, call, &request, o.declines, error);
        else
                r = att_bus_error_take(error, e);
        att_ea_keys_clear(&request.keys);
        return r;
}

/* FinishAuthenticator(in t handle, in ay signature, out ay authenticator) */
static int method_finish_authenticator(sd_bus_message *call, void *userdata, sd_bus_error *error) {
        Session *s = userdata;
        g_autoptr(sd_bus_message) reply = NULL;
        g_autoptr(GBytes) signature = NULL, authenticator = NULL;
        GError *e = NULL;
        uint64_t handle;
        const void *p;
        size_t size;
        int r;

        r = sd_bus_message_read_basic(call, 't', &handle);
        if (r >= 0)
                r = att_call_read_bytes(call, "signature", 0, SIGNATURE_SIZE_MAX, &p, &size, error);
        if (r < 0)
                return r;

        signature = g_bytes_new(p, size);
        authenticator = att_drafts_finish(att_session_drafts(s->inner), handle, signature, &e);
        if (!authenticator)
                return att_bus_error_take(error, e);

        p = g_bytes_get_data(authenticator, &size);
        r = sd_bus_message_new_method_return(call, &reply);
        if (r >= 0)
                r = sd_bus_message_append_array(reply, 'y', p, size);
        if (r >= 0)
                r = sd_bus_send(sd_bus_message_get_bus(call), reply, NULL);
        return r;
}

/* Close() */
static int method_close(sd_bus_message *call, void *userdata, sd_bus_error *error) {
        (void) error;
        session_close(userdata);
        return sd_bus_reply_method_return(call, NULL);
}

/* ----- OpenSession */

/* @error is taken. With the opening goes the session that it was for. */
static void opening_refuse(Opening *opening, GError *error) {
        g_autoptr(sd_bus_message) call = g_steal_pointer(&opening->call);
        const char *sender = sd_bus_message_get_sender(call);

        if (g_error_matches(error, ATT_ERROR, ATT_ERROR_NOT_AUTHORIZED))
                log_refusal(opening->attester, sender, opening->who, "OpenSession", error->message);
        else
                g_info("OpenSession of %s: %s", sender, error->message);
        att_bus_reply_error(call, error);

        if (opening->session)
                session_close(opening->session);
        else if (!opening->is_observing)
                opening_free(opening);
}

static void opening_finish(Opening *opening) {
        Session *s = opening->session;
        int r;

        s->opening = NULL;
        session_publish(s);
        r = sd_bus_reply_method_return(opening->call, "o", s->path);
        if (r < 0)
                g_warning("cannot send a session: %s", g_strerror(-r));
        opening_free(opening);
}

static void on_observed(GObject *source, GAsyncResult *result, gpointer userdata) {
        Opening *opening = userdata;

        (void) source, (void) result;
        opening->is_observing = false;
        if (opening->session)
                opening_finish(opening);
        else
                opening_free(opening);
}

static void on_authorized(GError *error, gpointer userdata) {
        Opening *opening = userdata;

        opening->authz = NULL;
        if (error) {
                opening_refuse(opening, error);
                return;
        }

        opening->is_observing = att_caller_observe(opening->session->owner->connection->caller, on_observed, opening);
        if (!opening->is_observing)
                opening_finish(opening);
}

/* @caller is known: now a place for the session, and the question whether he may have it. */
static void opening_continue(Opening *opening, Owner *owner) {
        GError *error = NULL;
        uint32_t uid = owner->connection->user->uid;
        AttAuthz *authz;

        opening->session = session_new(owner, &opening->parameters, &error);
        if (!opening->session) {
                if (owner->sessions.length == 0)
                        (void) g_hash_table_remove(owner->attester->owners, owner->name);
                opening_refuse(opening, error);
                return;
        }

        if (!opening->who)
                opening->who = att_caller_describe(owner->connection->caller);
        opening->session->opening = opening;
        authz = att_authz_ask(owner->attester->authority, opening->call, uid, NAME ".get-evidence", on_authorized,
                              opening);
        if (authz) /* else it is over already */
                opening->authz = authz;
}

static void on_credentials(AttPeer *peer, GError *error, gpointer userdata) {
        Opening *opening = userdata;
        Attester1 *a = opening->attester;
        const char *sender = sd_bus_message_get_sender(opening->call);
        g_autoptr(AttCaller) caller = NULL;
        Owner *o;

        if (!peer) {
                opening_refuse(opening, error);
                return;
        }

        opening->who = g_strdup_printf("uid %u", peer->uid);
        /* Another call of the same connection may have been sooner. */
        o = g_hash_table_lookup(a->owners, sender);
        if (o) {
                opening_continue(opening, o);
                return;
        }

        peer->connected_by_us = att_name_watch_connected_by(a->names, sender);
        caller = att_caller_new(peer, a->configuration, &error);
        if (caller)
                opening_continue(opening, owner_new(a, sender, caller));
        else
                opening_refuse(opening, error);
}

static int read_parameters(sd_bus_message *call, AttSessionParameters *ret, sd_bus_error *error) {
        AttSessionParameters p = { 0 };
        const char *role, *hash;
        const AttOption options[] = {
                { "role", "s", &role, 0, true },
                { "hash", "s", &hash, 0, true },
                { "protocol", "s", &p.protocol, ATT_PROTOCOL_SIZE_MAX, false },
                { "peer", "s", &p.peer, ATT_PEER_NAME_SIZE_MAX, false },
                { 0 },
        };
        int r = att_call_read_options(call, options, error);

        if (r < 0)
                return r;

        if (!att_role_from_name(role, &p.role))
                return att_bus_error_set(error, ATT_ERROR_INVALID_ARGUMENT, "role is neither client nor server");

        if (!att_hash_from_name(hash, &p.hash))
                return att_bus_error_set(error, ATT_ERROR_INVALID_ARGUMENT, "hash is neither sha256 nor sha384");

        *ret = p;
        return 0;
}

/* OpenSession(in a{sv} parameters, out o session) */
static int method_open_session(sd_bus_message *call, void *userdata, sd_bus_error *error) {
        Attester1 *a = userdata;
        AttSessionParameters parameters;
        Opening *opening;
        GError *e = NULL;
        Owner *o;
        int r;

        r = read_parameters(call, &parameters, error);
        if (r < 0)
                return r;
        if (!att_session_parameters_check(&parameters, &e))
                return att_bus_error_take(error, e);
        if (a->is_stopping)
                return att_bus_error_set(error, ATT_ERROR_CANCELLED, "attestd is stopping; try again");

        opening = g_new(Opening, 1);
        *opening = (Opening) { .attester = a, .call = sd_bus_message_ref(call), .parameters = parameters };
        opening->link.data = opening;
        g_queue_push_tail_link(&a->openings, &opening->link);

        o = g_hash_table_lookup(a->owners, sd_bus_message_get_sender(call));
        if (o) {
                opening_continue(opening, o);
                return 1;
        }

        r = att_credentials_ask(call, &opening->credentials, on_credentials, opening);
        if (r < 0) {
                opening_free(opening);
                return r;
        }
        return 1; /* on_authorized() replies */
}

/* ----- GetLog */

static void on_log_refused(const char *sender, const char *who, const char *why, gpointer userdata) {
        log_refusal(userdata, sender, who, "GetLog", why);
}

/* GetLog(in s log, in t from, out h entries, out t first, out t count) */
static int method_get_log(sd_bus_message *call, void *userdata, sd_bus_error *error) {
        Attester1 *a = userdata;

        if (a->is_stopping)
                return att_bus_error_set(error, ATT_ERROR_CANCELLED, "attestd is stopping; try again");
        return att_log_calls_add(a->logs, call, error);
}

/* ----- properties */

static int property_text(sd_bus *bus, const char *path, const char *interface, const char *property,
                         sd_bus_message *reply, void *userdata, sd_bus_error *error) {
        Attester1 *a = userdata;
        const AttTee *tee = att_attester_tee(a->attester);
        const char *text;

        (void) bus, (void) path, (void) interface, (void) error;
        if (g_str_equal(property, "Version"))
                text = ATT_VERSION;
        else if (g_str_equal(property, "Tee"))
                text = att_tee_name(tee);
        else if (g_str_equal(property, "Provider"))
                text = att_tee_provider(tee);
        else if (g_str_equal(property, "ReportSource"))
                text = att_tee_source(tee);
        else if (g_str_equal(property, "State"))
                text = att_tee_state_name(att_tee_state(tee));
        else
                text = att_tee_detail(tee);
        return sd_bus_message_append_basic(reply, 's', text);
}

static int property_runtime(sd_bus *bus, const char *path, const char *interface, const char *property,
                            sd_bus_message *reply, void *userdata, sd_bus_error *error) {
        Attester1 *a = userdata;
        const AttRuntime *rt = att_attester_runtime(a->attester);
        g_autofree char *valid = NULL;
        const char *text;

        (void) bus, (void) path, (void) interface, (void) error;
        if (g_str_equal(property, "ImaState"))
                text = att_ima_state_name(att_runtime_ima_state(rt));
        else if (g_str_equal(property, "ImaDetail"))
                text = att_runtime_ima_detail(rt);
        else if (g_str_equal(property, "ImaListed"))
                text = att_runtime_ima_listed(rt);
        else if (g_str_equal(property, "ImaRoot"))
                text = att_runtime_root(rt);
        else if (g_str_equal(property, "RootDetail"))
                text = att_runtime_root_detail(rt);
        else if (g_str_equal(property, "EventSource"))
                text = att_runtime_event_source(rt);
        else
                text = att_runtime_event_detail(rt);

        valid = g_utf8_make_valid(text, -1); /* it may name what stands in a garbled log */
        return sd_bus_message_append_basic(reply, 's', valid);
}

static int property_id(sd_bus *bus, const char *path, const char *interface, const char *property,
                       sd_bus_message *reply, void *userdata, sd_bus_error *error) {
        Attester1 *a = userdata;
        const AttGeneration *g = att_attester_generation(a->attester);
        char text[ID_TEXT_SIZE];

        (void) bus, (void) path, (void) interface, (void) error;
        att_hex(g_str_equal(property, "BootId") ? att_generation_boot_id(g) : att_generation_instance_id(g), 16, text);
        return sd_bus_message_append_basic(reply, 's', text);
}

static int property_number(sd_bus *bus, const char *path, const char *interface, const char *property,
                           sd_bus_message *reply, void *userdata, sd_bus_error *error) {
        Attester1 *a = userdata;
        uint64_t n;

        (void) bus, (void) path, (void) interface, (void) error;
        if (g_str_equal(property, "Generation"))
                n = att_generation_get(att_attester_generation(a->attester));
        else if (g_str_equal(property, "ImaCount"))
                n = att_runtime_ima_count(att_attester_runtime(a->attester));
        else if (g_str_equal(property, "ImaViolations"))
                n = att_runtime_ima_violations(att_attester_runtime(a->attester));
        else
                n = att_tee_interval_us(att_attester_tee(a->attester));
        return sd_bus_message_append_basic(reply, 't', &n);
}

static int property_profiles(sd_bus *bus, const char *path, const char *interface, const char *property,
                             sd_bus_message *reply, void *userdata, sd_bus_error *error) {
        (void) bus, (void) path, (void) interface, (void) property, (void) userdata, (void) error;
        return sd_bus_message_append_strv(reply, (char **) att_profiles);
}

static int property_session_generation(sd_bus *bus, const char *path, const char *interface, const char *property,
                                       sd_bus_message *reply, void *userdata, sd_bus_error *error) {
        const Session *s = userdata;

        (void) bus, (void) path, (void) interface, (void) property, (void) error;
        return sd_bus_message_append(reply, "t", att_session_evidence_generation(s->inner));
}

static int property_session_stale(sd_bus *bus, const char *path, const char *interface, const char *property,
                                  sd_bus_message *reply, void *userdata, sd_bus_error *error) {
        const Session *s = userdata;

        (void) bus, (void) path, (void) interface, (void) property, (void) error;
        return sd_bus_message_append(reply, "b", (int) att_session_is_stale(s->inner));
}

/* ----- the objects */

#define CONST SD_BUS_VTABLE_PROPERTY_CONST
#define EMITS SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE

static const sd_bus_vtable vtable[] = {
        SD_BUS_VTABLE_START(0),
        SD_BUS_PROPERTY("Version", "s", property_text, 0, CONST),
        SD_BUS_PROPERTY("Tee", "s", property_text, 0, EMITS),
        SD_BUS_PROPERTY("Provider", "s", property_text, 0, EMITS),
        SD_BUS_PROPERTY("ReportSource", "s", property_text, 0, EMITS),
        SD_BUS_PROPERTY("State", "s", property_text, 0, EMITS),
        SD_BUS_PROPERTY("StateDetail", "s", property_text, 0, EMITS),
        SD_BUS_PROPERTY("Profiles", "as", property_profiles, 0, CONST),
        SD_BUS_PROPERTY("BootId", "s", property_id, 0, CONST),
        SD_BUS_PROPERTY("InstanceId", "s", property_id, 0, EMITS),
        SD_BUS_PROPERTY("Generation", "t", property_number, 0, EMITS),
        SD_BUS_PROPERTY("ImaCount", "t", property_number, 0, 0),
        SD_BUS_PROPERTY("ImaViolations", "t", property_number, 0, 0),
        SD_BUS_PROPERTY("ImaState", "s", property_runtime, 0, EMITS),
        SD_BUS_PROPERTY("ImaDetail", "s", property_runtime, 0, EMITS),
        SD_BUS_PROPERTY("ImaListed", "s", property_runtime, 0, EMITS),
        SD_BUS_PROPERTY("ImaRoot", "s", property_runtime, 0, EMITS),
        SD_BUS_PROPERTY("RootDetail", "s", property_runtime, 0, EMITS),
        SD_BUS_PROPERTY("EventSource", "s", property_runtime, 0, EMITS),
        SD_BUS_PROPERTY("EventDetail", "s", property_runtime, 0, EMITS),
        SD_BUS_PROPERTY("ReportInterval", "t", property_number, 0, 0),
        SD_BUS_METHOD_WITH_ARGS("OpenSession",
                                SD_BUS_ARGS("a{sv}", parameters),
                                SD_BUS_RESULT("o", session),
                                method_open_session,
                                SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("GetLog",
                                SD_BUS_ARGS("s", log, "t", from),
                                SD_BUS_RESULT("h", entries, "t", first, "t", count),
                                method_get_log,
                                SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_SIGNAL_WITH_ARGS("StateChanged", SD_BUS_ARGS("t", generation, "as", reasons), 0),
        SD_BUS_VTABLE_END
};

static const sd_bus_vtable session_vtable[] = {
        SD_BUS_VTABLE_START(0),
        SD_BUS_PROPERTY("Generation", "t", property_session_generation, 0, EMITS),
        SD_BUS_PROPERTY("Stale", "b", property_session_stale, 0, EMITS),
        SD_BUS_METHOD_WITH_ARGS("Attest",
                                SD_BUS_ARGS("ay", exported_value, "ay", request_context, "ay", public_key,
                                            "a{sv}", options),
                                SD_BUS_RESULT("ay", evidence, "a{sv}", info),
                                method_attest,
                                SD_BUS_VTABLE_UNPRIVILEGED | SD_BUS_VTABLE_SENSITIVE),
        SD_BUS_METHOD_WITH_ARGS("BeginAuthenticator",
                                SD_BUS_ARGS("ay", request, "ay", exported_value, "aay", certificates,
                                            "a{sv}", options),
                                SD_BUS_RESULT("t", handle, "q", scheme, "ay", to_be_signed),
                                method_begin_authenticator,
                                SD_BUS_VTABLE_UNPRIVILEGED | SD_BUS_VTABLE_SENSITIVE),
        SD_BUS_METHOD_WITH_ARGS("FinishAuthenticator",
                                SD_BUS_ARGS("t", handle, "ay", signature),
                                SD_BUS_RESULT("ay", authenticator),
                                method_finish_authenticator,
                                SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("Close",
                                SD_BUS_NO_ARGS,
                                SD_BUS_NO_RESULT,
                                method_close,
                                SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_SIGNAL_WITH_ARGS("Stale", SD_BUS_ARGS("t", generation, "as", reasons), 0),
        SD_BUS_VTABLE_END
};

/* Before sd-bus looks at the vtables. */
static int on_call(sd_bus_message *call, void *userdata, sd_bus_error *error) {
        int r = att_call_check_signature(call, NAME, vtable, error);

        (void) userdata;
        return r < 0 ? r : att_call_check_signature(call, SESSION_NAME, session_vtable, error);
}

/* ----- the service */

static void attester1_free(gpointer object) {
        Attester1 *a = object;

        att_generation_unlisten(&a->listener);
        g_hash_table_unref(a->owners);
        g_hash_table_unref(a->sessions);
        att_log_calls_free(a->logs);
        if (a->moved_told)
                g_source_remove(a->moved_told);
        att_attester_free(a->attester);
        att_state_file_end(a->state);
        att_authority_free(a->authority);
        att_name_watch_free(a->names);
        g_free(a);
}

static gpointer attester1_start(sd_bus *bus, gpointer userdata, GError **error) {
        const AttAttester1Start *start = userdata;
        Attester1 *a = g_new0(Attester1, 1);
        int r;

        a->bus = bus;
        a->configuration = start->configuration;
        a->names = att_name_watch_new(bus, on_name_left, a, error);
        if (a->names)
                a->attester = att_attester_new(start->configuration, start->events, &attester_events, a, error);
        if (!a->attester) {
                att_name_watch_free(a->names);
                g_free(a);
                return NULL;
        }

        a->owners = g_hash_table_new_full(g_str_hash, g_str_equal, NULL, (GDestroyNotify) owner_free);
        a->sessions = g_hash_table_new(g_str_hash, g_str_equal);
        a->authority = att_authority_new(bus);
        a->logs = att_log_calls_new(a->attester, a->authority, a->names, on_log_refused, a);
        memcpy(a->instance_id, att_generation_instance_id(att_attester_generation(a->attester)), sizeof a->instance_id);
        /* The first to know of a move: nobody is told of what the next instance would not be. */
        a->state = att_state_file_begin(ATT_STATE_DIRECTORY, att_attester_generation(a->attester));
        a->listener.moved = on_generation_moved;
        att_generation_listen_late(att_attester_generation(a->attester), &a->listener);

        r = sd_bus_add_object_vtable(bus, NULL, PATH, NAME, vtable, a);
        if (r >= 0)
                r = sd_bus_add_fallback_vtable(bus, NULL, SESSION_PATH, SESSION_NAME, session_vtable, find_session, a);
        if (r >= 0)
                r = sd_bus_add_fallback(bus, NULL, PATH, on_call, a);
        if (r >= 0)
                r = sd_bus_add_fallback(bus, NULL, SESSION_PATH, on_call, a);
        if (r >= 0)
                return a;

        (void) att_error_set_errno(error, -r, "cannot add objects");
        attester1_free(a);
        return NULL;
}

static void attester1_stop(gpointer object) {
        Attester1 *a = object;
        GHashTableIter i;
        gpointer owner;

        a->is_stopping = true;
        for (GList *l = a->openings.head, *next; l; l = next) {
                Opening *opening = l->data;

                next = l->next;
                if (opening->call)
                        opening_refuse(opening, g_error_new(ATT_ERROR, ATT_ERROR_CANCELLED, "attestd is stopping"));
        }

        att_log_calls_stop(a->logs);
        while (g_hash_table_size(a->owners) > 0) {
                g_hash_table_iter_init(&i, a->owners);
                (void) g_hash_table_iter_next(&i, NULL, &owner);
                owner_close(owner);
        }
}

static bool attester1_is_idle(gpointer object) {
        const Attester1 *a = object;

        return a->openings.length == 0;
}

const AttService att_attester1 = {
        .name = NAME,
        .start = attester1_start,
        .stop = attester1_stop,
        .is_idle = attester1_is_idle,
        .free = attester1_free,
};
