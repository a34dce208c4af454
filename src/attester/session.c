/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "attester/session.h"

#include "codec/evidence.h"
#include "crypto/digest.h"
#include "crypto/key.h"
#include "ea/authenticator.h"
#include "util/error.h"

#include <string.h>

/* Of a text of the caller's in the log. */
#define LOG_TEXT_MAX 128u
/* Evidence was issued. */
#define MESSAGE_ID_EVIDENCE "1f6d0a2f3e9b4f0e8a57c1a7b0d5e9c4"

struct AttSession {
        AttGenerationListener listener;
        AttConnection *connection;
        const AttSessionEvents *events;
        gpointer userdata;

        guint64 number;
        AttRole role;
        AttHash hash;
        char *protocol;
        char *peer;

        uint64_t evidence_generation;
        bool is_stale;

        GHashTable *contexts; /* set of GBytes, those of waiting requests too; NULL before the first */
        guint n_declined;     /* of them */
        GQueue requests;      /* of Request, by their link */
        AttDrafts *drafts;    /* NULL before the first */
};

/* A request that waits or is under way. */
typedef struct Request {
        AttJob job;
        GList link;
        AttSession *session;
        AttAttestDone done;
        gpointer userdata;

        const char *profile;
        GBytes *context;
        uint8_t binding[ATT_HASH_SIZE_MAX];
        uint8_t key_hash[ATT_HASH_SIZE_MAX];
        guint max_size;

        AttSealed sealed;
        bool says_shared; /* what is sealed does */
        bool was_shared;  /* as a report for it has shown */
        guint64 ticket;   /* of what is sealed of the runtime; 0: nothing */
} Request;

#define REQUEST(job) ((Request *) (void *) ((char *) (job) - G_STRUCT_OFFSET(Request, job)))

static void request_free(Request *r) {
        g_bytes_unref(r->context);
        att_sealed_clear(&r->sealed);
        g_free(r);
}
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Request, request_free)

static AttAttester *attester(const AttSession *s) {
        return s->connection->user->attester;
}

/* ----- stale */

static void tell_stale(AttSession *s, uint64_t generation, const char *const *reasons) {
        s->is_stale = true;
        s->events->stale(s, generation, reasons);
}

static void on_generation_moved(AttGenerationListener *listener, uint64_t generation, const char *const *reasons) {
        AttSession *s = (AttSession *) (void *) ((char *) listener - G_STRUCT_OFFSET(AttSession, listener));

        if (s->evidence_generation == 0 || s->is_stale)
                return;

        tell_stale(s, generation, reasons);
        s->events->changed(s);
}

/* ----- requests */

static gboolean seal(AttJob *job, uint8_t ret[ATT_REPORT_DATA_SIZE], GError **error) {
        Request *r = REQUEST(job);
        AttSession *s = r->session;
        AttAttester *a = attester(s);
        AttGeneration *generation = att_attester_generation(a);
        g_autoptr(AttClaims) c = g_new0(AttClaims, 1);

        att_runtime_release(att_attester_runtime(a));
        att_attester_look(a);
        c->hash = s->hash;
        memcpy(c->binding, r->binding, sizeof c->binding);
        memcpy(c->key_hash, r->key_hash, sizeof c->key_hash);
        c->issued_at = g_get_real_time() / G_USEC_PER_SEC;
        c->role = s->role;
        memcpy(c->boot_id, att_generation_boot_id(generation), sizeof c->boot_id);
        memcpy(c->instance_id, att_generation_instance_id(generation), sizeof c->instance_id);
        c->generation = att_generation_get(generation);
        memcpy(c->config_digest, att_attester_configuration(a)->digest, sizeof c->config_digest);
        c->shared_device = r->says_shared = r->was_shared || att_tee_is_shared(att_attester_tee(a));
        c->caller = att_caller_seal(s->connection->caller);
        if (att_profile_has_claims(r->profile))
                r->ticket = att_runtime_seal(att_attester_runtime(a), c, &job->tpm);

        att_sealed_clear(&r->sealed);
        if (!att_sealed_init(&r->sealed, r->profile, att_tee_name(att_attester_tee(a)), c, error))
                return FALSE;
        memcpy(ret, r->sealed.report_data, ATT_REPORT_DATA_SIZE);
        return TRUE;
}

/* No text of a caller's as it is: it must not look like another line, or like much. */
static char *loggable(const char *text) {
        g_autofree char *escaped = g_strescape(text ? text : "", NULL);

        if (strlen(escaped) > LOG_TEXT_MAX)
                escaped[LOG_TEXT_MAX] = '\0';
        return g_steal_pointer(&escaped);
}

static void log_issued(const Request *r, const AttTeeReport *report) {
        const AttSession *s = r->session;
        g_autofree char *who = att_caller_describe(s->connection->caller);
        g_autofree char *protocol = loggable(s->protocol), *peer = loggable(s->peer);

        g_log_structured(G_LOG_DOMAIN, G_LOG_LEVEL_MESSAGE,
                         "MESSAGE_ID", MESSAGE_ID_EVIDENCE,
                         "MESSAGE", "session %" G_GUINT64_FORMAT ": evidence of generation %" G_GUINT64_FORMAT
                                    " from %s for %s, protocol \"%s\", peer \"%s\"",
                         s->number, r->sealed.generation, report->provider, who, protocol, peer);
}

/* Out of its session's sight. */
static void leave(Request *r, bool context_is_used) {
        AttSession *s = r->session;

        g_queue_unlink(&s->requests, &r->link);
        if (!context_is_used)
                (void) g_hash_table_remove(s->contexts, r->context);
}

static void fail(Request *r, GError *error) {
        att_runtime_drop(att_attester_runtime(attester(r->session)), r->ticket);
        leave(r, false);
        r->done(NULL, error, r->userdata);
}

/* What is signed is fixed before the device is looked at. Should the report show
 * others whom it does not mention, or a root of the log that was none, it is
 * nobody's, and the next one says how it is. */
static bool must_seal_again(Request *r, const AttTeeReport *report) {
        if (!r->sealed.claims)
                return false;
        if (!att_runtime_check(att_attester_runtime(attester(r->session)), r->ticket, report))
                return true;
        if (!report->shared_device || r->says_shared)
                return false;

        r->was_shared = true;
        return true;
}

static void on_done(AttJob *job, AttTeeReport *made, GError *error) {
        g_autoptr(Request) r = REQUEST(job);
        g_autoptr(AttTeeReport) report = made;
        g_autoptr(GBytes) evidence = NULL;
        AttAttested attested = { .sealed = &r->sealed };
        AttSession *s = r->session;
        AttGeneration *generation = att_attester_generation(attester(s));

        if (!report) {
                fail(r, error);
                return;
        }
        if (must_seal_again(r, report)) {
                att_attester_look(attester(s));
                att_scheduler_submit(att_attester_scheduler(attester(s)), &g_steal_pointer(&r)->job, job->deadline_us);
                return;
        }

        attested.evidence = evidence = att_evidence_assemble(&r->sealed, report, r->max_size,
                                                             &attested.endorsements_left_out, &error);
        if (!evidence) {
                fail(r, error);
                return;
        }
        attested.provider = report->provider;

        /* What the report has shown of the device goes to all before it goes to one. */
        att_attester_look(attester(s));

        log_issued(r, report);
        leave(r, true);
        s->evidence_generation = r->sealed.generation;
        s->is_stale = false;
        r->done(&attested, NULL, r->userdata);

        /* The state has moved under the report: say so before anything else. */
        if (s->evidence_generation < att_generation_get(generation))
                tell_stale(s, att_generation_get(generation),
                           att_generation_reasons_since(generation, s->evidence_generation));
        s->events->changed(s);
}

static const AttJobOps job_ops = { .seal = seal, .done = on_done };

static gboolean check_limits(AttSession *s, GError **error) {
        const AttConfiguration *limits = att_attester_configuration(attester(s));
        const char *whose = NULL;

        if (s->requests.length >= limits->requests_per_session)
                whose = "this session";
        else if (s->connection->user->schedule.n_waiting >= limits->requests_per_user)
                whose = "this user";
        else if (att_scheduler_n_waiting(att_attester_scheduler(attester(s))) >= limits->requests)
                whose = "all users together";
        if (whose)
                return att_error_set(error, ATT_ERROR_LIMIT_REACHED,
                                     "%s has as many requests waiting as it may; wait for answers", whose);

        return TRUE;
}

static gboolean use_context(AttSession *s, GBytes *context, GError **error) {
        if (s->contexts && g_hash_table_size(s->contexts) >= ATT_SESSION_CONTEXTS_MAX)
                return att_error_set(error, ATT_ERROR_LIMIT_REACHED,
                                     "this session has used up all its contexts; make a new TLS connection");
        if (!s->contexts)
                s->contexts = g_hash_table_new_full(g_bytes_hash, g_bytes_equal, (GDestroyNotify) g_bytes_unref, NULL);
        if (g_hash_table_contains(s->contexts, context))
                return att_error_set(error, ATT_ERROR_CONTEXT_USED,
                                     "this request_context was used in this session before; the relying party has to "
                                     "send a new request");
        g_hash_table_add(s->contexts, g_bytes_ref(context));
        return TRUE;
}

gboolean att_session_use_context(AttSession *s, GBytes *context, GError **error) {
        if (s->n_declined >= ATT_SESSION_DECLINES_MAX)
                return att_error_set(error, ATT_ERROR_LIMIT_REACHED,
                                     "this session has declined %u requests; end the TLS connection",
                                     ATT_SESSION_DECLINES_MAX);
        if (!use_context(s, context, error))
                return FALSE;
        s->n_declined++;
        return TRUE;
}

static gboolean check_request(const AttAttestRequest *q, GError **error) {
        g_autoptr(AttKey) key = NULL;

        if (q->context_size < 1 || q->context_size > ATT_CONTEXT_SIZE_MAX)
                return att_error_set(error, ATT_ERROR_INVALID_ARGUMENT,
                                     "request_context must have 1 to %u bytes, not %zu", ATT_CONTEXT_SIZE_MAX,
                                     q->context_size);
        if (q->timeout_ms < 1 || q->timeout_ms > ATT_TIMEOUT_MS_MAX)
                return att_error_set(error, ATT_ERROR_INVALID_ARGUMENT, "timeout_ms must be 1 to %u, not %u",
                                     ATT_TIMEOUT_MS_MAX, q->timeout_ms);
        if (q->max_size == 0)
                return att_error_set(error, ATT_ERROR_INVALID_ARGUMENT, "max_size must not be 0");
        if (g_bytes_get_size(q->public_key) > ATT_PUBLIC_KEY_SIZE_MAX)
                return att_error_set(error, ATT_ERROR_INVALID_ARGUMENT, "public_key is over %u bytes",
                                     ATT_PUBLIC_KEY_SIZE_MAX);

        key = att_key_from_spki(q->public_key, error);
        if (!key) {
                g_prefix_error(error, "public_key: ");
                return FALSE;
        }
        return TRUE;
}

gboolean att_session_attest(AttSession *s, const AttAttestRequest *q, AttAttestDone done, gpointer userdata,
                            GError **error) {
        const char *profile = att_profile_find(q->profile);
        g_autoptr(GBytes) context = NULL;
        gsize key_size;
        const void *key;
        Request *r;

        if (!check_request(q, error))
                return FALSE;
        if (!profile || !att_caller_may_have(s->connection->caller, profile))
                return att_error_set(error, ATT_ERROR_PROFILE, profile
                                     ? "this profile is granted only to callers that attestd.conf(5) names in its group"
                                     : "there is no such profile; the property Profiles lists them");
        if (!check_limits(s, error))
                return FALSE;

        context = g_bytes_new(q->context, q->context_size);
        if (!use_context(s, context, error))
                return FALSE;

        r = g_new(Request, 1);
        *r = (Request) {
                .job = { .ops = &job_ops, .connection = &s->connection->schedule },
                .session = s,
                .done = done,
                .userdata = userdata,
                .profile = profile,
                .context = g_steal_pointer(&context),
                .max_size = q->max_size,
        };
        att_ea_binding(s->hash, q->public_key, q->exported, r->binding);
        key = g_bytes_get_data(q->public_key, &key_size);
        att_hash_parts(s->hash, &(AttPart) { key, key_size }, 1, r->key_hash);

        r->link.data = r;
        g_queue_push_tail_link(&s->requests, &r->link);
        att_scheduler_submit(att_attester_scheduler(attester(s)), &r->job,
                             g_get_monotonic_time() + (gint64) q->timeout_ms * 1000);
        return TRUE;
}

/* ----- sessions */

/* Text for the log: what is not printable has no business there. */
static gboolean check_text(const char *name, const char *text, gsize max, GError **error) {
        if (!text)
                return TRUE;
        if (strlen(text) > max)
                return att_error_set(error, ATT_ERROR_INVALID_ARGUMENT, "%s is over %zu bytes", name, max);
        if (!g_utf8_validate(text, -1, NULL))
                return att_error_set(error, ATT_ERROR_INVALID_ARGUMENT, "%s is not UTF-8", name);
        for (const char *p = text; *p; p = g_utf8_next_char(p))
                if (!g_unichar_isprint(g_utf8_get_char(p)))
                        return att_error_set(error, ATT_ERROR_INVALID_ARGUMENT, "%s is not printable text", name);
        return TRUE;
}

gboolean att_session_parameters_check(const AttSessionParameters *p, GError **error) {
        return check_text("protocol", p->protocol, ATT_PROTOCOL_SIZE_MAX, error) &&
               check_text("peer", p->peer, ATT_PEER_NAME_SIZE_MAX, error);
}

AttSession *att_session_open(AttConnection *connection, const AttSessionParameters *p, const AttSessionEvents *events,
                             gpointer userdata, GError **error) {
        guint64 number;
        AttSession *s;

        if (!att_session_parameters_check(p, error))
                return NULL;

        number = att_connection_take_session(connection, error);
        if (number == 0)
                return NULL;

        s = g_new(AttSession, 1);
        *s = (AttSession) {
                .listener.moved = on_generation_moved,
                .connection = att_connection_ref(connection),
                .events = events,
                .userdata = userdata,
                .number = number,
                .role = p->role,
                .hash = p->hash,
                .protocol = g_strdup(p->protocol),
                .peer = g_strdup(p->peer),
        };
        att_generation_listen(att_attester_generation(attester(s)), &s->listener);
        return s;
}

void att_session_close(AttSession *s) {
        AttScheduler *scheduler;

        if (!s)
                return;

        scheduler = att_attester_scheduler(attester(s));
        att_generation_unlisten(&s->listener);
        while (s->requests.head)
                att_scheduler_cancel(scheduler, &((Request *) s->requests.head->data)->job);

        att_drafts_free(s->drafts);
        att_connection_drop_session(s->connection);
        g_clear_pointer(&s->contexts, g_hash_table_unref);
        att_connection_unref(s->connection);
        g_free(s->protocol);
        g_free(s->peer);
        g_free(s);
}

guint64 att_session_number(const AttSession *s) {
        return s->number;
}

gpointer att_session_userdata(const AttSession *s) {
        return s->userdata;
}

AttRole att_session_role(const AttSession *s) {
        return s->role;
}

AttHash att_session_hash(const AttSession *s) {
        return s->hash;
}

AttDrafts *att_session_drafts(AttSession *s) {
        if (!s->drafts)
                s->drafts = att_drafts_new(s->connection->user);
        return s->drafts;
}

uint64_t att_session_evidence_generation(const AttSession *s) {
        return s->evidence_generation;
}

bool att_session_is_stale(const AttSession *s) {
        return s->is_stale;
}
