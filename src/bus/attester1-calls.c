/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "bus/attester1-parts.h"

#include "attester/authenticate.h"
#include "bus/attest-call.h"
#include "bus/bus-call.h"
#include "bus/bus-error.h"
#include "bus/bus-source.h"
#include "bus/split-answer.h"
#include "codec/evidence.h"
#include "codec/tls-handshake.h"
#include "util/bytes.h"
#include "util/io.h"

/* ----- Attest */

/* A call that waits for its answer. */
typedef struct Attest {
        sd_bus *bus;
        sd_bus_message *call; /* NULL: it was taken without one */
        uint32_t serial;      /* of that */
} Attest;

static Attest *attest_new(sd_bus *bus, sd_bus_message *call, uint32_t serial) {
        Attest *a = g_new(Attest, 1);

        *a = (Attest) { .bus = sd_bus_ref(bus), .call = sd_bus_message_ref(call), .serial = serial };
        return a;
}

static void attest_free(Attest *a) {
        sd_bus_message_unref(a->call);
        sd_bus_unref(a->bus);
        g_free(a);
}
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Attest, attest_free)

/* What sd-bus answers: of one that was taken without it, what it needs to know of it. */
static int need_call(Attest *a) {
        g_autoptr(sd_bus_message) call = NULL;
        int r = 0;

        if (a->call)
                return 0;
        r = sd_bus_message_new_method_call(a->bus, &call, NULL, SESSION_PATH, SESSION_NAME, "Attest");
        if (r >= 0)
                r = sd_bus_message_seal(call, a->serial, 0);
        if (r >= 0)
                a->call = g_steal_pointer(&call);
        return r;
}

/* As att_call_name(). */
static const char *name_of(const Attest *a) {
        const char *name = NULL;

        if (a->call)
                return att_call_name(a->call);
        (void) sd_bus_get_description(a->bus, &name);
        return name;
}

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

static bool was_sent(const Owner *o, const AttShared *shared) {
        for (guint i = 0; i < ATT_ATTESTER1_SHARED_SENT; i++)
                if (o->shared[i] == shared->id)
                        return true;
        return false;
}

/* What the answer lacks: its number, its place, and, unless the connection has it, itself. @fd: -1: it has */
static int append_shared(sd_bus_message *m, const AttAttested *attested, int fd) {
        int r = sd_bus_message_append(m, "{sv}{sv}{sv}",
                                      "shared", "t", attested->shared->id,
                                      "shared_at", "t", (uint64_t) attested->shared_at,
                                      "shared_size", "t", (uint64_t) g_bytes_get_size(attested->shared->bytes));

        if (r >= 0 && fd >= 0)
                r = sd_bus_message_append(m, "{sv}", "shared_fd", "h", fd);
        return r;
}

/* What is the same for all who have one shared part. */
static int append_common(sd_bus_message *m, const AttAttested *attested) {
        const AttSealed *sealed = attested->sealed;
        char boot_id[ATT_ID_TEXT_SIZE], instance_id[ATT_ID_TEXT_SIZE];
        int r;

        att_hex(sealed->boot_id, sizeof sealed->boot_id, boot_id);
        att_hex(sealed->instance_id, sizeof sealed->instance_id, instance_id);
        r = sd_bus_message_append(m, "{sv}{sv}{sv}{sv}{sv}{sv}{sv}{sv}",
                                  "profile", "s", sealed->profile,
                                  "generation", "t", sealed->generation,
                                  "boot_id", "s", boot_id,
                                  "instance_id", "s", instance_id,
                                  "tee", "s", sealed->tee,
                                  "provider", "s", attested->provider,
                                  "batch", "t", attested->batch,
                                  "endorsements_left_out", "b", (int) attested->endorsements_left_out);
        if (r >= 0)
                r = append_bytes(m, "report_data", sealed->report_data, sizeof sealed->report_data);
        return r;
}

/* @split: it is in two pieces; @fd: as in append_shared(). Of ten thousand answers over one report the common part
 * would be the most of the work. */
static int append_info(sd_bus_message *m, const AttAttested *attested, bool split, int fd) {
        int r = sd_bus_message_open_container(m, 'a', "{sv}");

        if (r >= 0 && (!split || fd >= 0))
                r = append_common(m, attested);
        if (r >= 0 && split)
                r = append_shared(m, attested, fd);
        if (r >= 0)
                r = sd_bus_message_close_container(m);
        return r;
}

static Owner *owner_of(const AttAttested *attested) {
        return ((Session *) att_session_userdata(attested->session))->owner;
}

/* How many are lent is looked at no more often than this: it takes a call of the kernel for each. */
#define LOOK_US 10000

const AttLentLimits att_attester1_parts_limits = {
        .connection_max = 8, .user_max = 64, .all_max = 256, .look_us = LOOK_US,
};

/* Returns: the part for who has asked, or -1 */
static int lend_part(const Owner *o, const Attest *a, const AttShared *shared, GError **error) {
        AttLent *parts = o->attester->parts;
        const char *name = name_of(a);
        uint32_t uid = o->connection->user->uid;
        int fd;

        if (!att_lent_check(parts, name, uid, error))
                return -1;
        fd = att_shared_open(shared, error);
        return fd < 0 ? -1 : att_lent_lend_over(parts, att_direct_way(o->bus), name, uid, fd, error);
}

/* Can it be sent in two pieces? @ret_fd: set to the one that the connection does not have yet */
static bool may_split(const Attest *a, const AttAttested *attested, int *ret_fd) {
        g_autoptr(GError) error = NULL;
        const Owner *o;

        if (!attested->shared || sd_bus_can_send(a->bus, 'h') <= 0)
                return false;

        o = owner_of(attested);
        if (was_sent(o, attested->shared))
                return true;

        *ret_fd = lend_part(o, a, attested->shared, &error);
        if (*ret_fd < 0)
                g_debug("evidence goes out in one piece: %s", error->message);
        return *ret_fd >= 0;
}

static GBytes *whole(const AttAttested *a) {
        return a->shared ? att_evidence_join(a->evidence, a->shared->bytes, a->shared_at, NULL)
                         : g_bytes_ref(a->evidence);
}

static gsize whole_size(const AttAttested *a) {
        return g_bytes_get_size(a->evidence) + (a->shared ? g_bytes_get_size(a->shared->bytes) : 0);
}

/* What the connection lacks is its own alone: no sd_bus_message for that. Returns: false: there has to be one */
static bool reply_own(const Attest *a, const AttAttested *attested) {
        AttSplitAnswer answer = {
                .reply_serial = a->serial,
                .evidence = attested->evidence,
                .shared = attested->shared->id,
                .shared_at = attested->shared_at,
                .shared_size = g_bytes_get_size(attested->shared->bytes),
        };
        GByteArray *out;

        /* Who names himself is named in the answer; who wants none has none. */
        if (a->call && (sd_bus_message_get_sender(a->call) || sd_bus_message_get_expect_reply(a->call) <= 0))
                return false;
        out = att_direct_begin(a->bus, &answer.serial);
        if (!out)
                return false;
        att_split_answer_put(out, &answer);
        att_direct_end(a->bus);
        return true;
}

/* @split, @fd: as in append_info() */
static int reply_attested(Attest *a, const AttAttested *attested, bool split, int fd) {
        g_autoptr(GBytes) evidence = split ? g_bytes_ref(attested->evidence) : whole(attested);
        g_autoptr(sd_bus_message) reply = NULL;
        size_t size;
        const void *p = g_bytes_get_data(evidence, &size);
        int r;

        if (split && fd < 0 && reply_own(a, attested))
                return 0;

        r = need_call(a);
        if (r >= 0)
                r = sd_bus_message_new_method_return(a->call, &reply);
        if (r >= 0)
                r = sd_bus_message_append_array(reply, 'y', p, size);
        if (r >= 0)
                r = append_info(reply, attested, split, fd);
        att_direct_flush(a->bus);
        if (r >= 0)
                r = sd_bus_send(a->bus, reply, NULL);
        return r;
}

/* @call may be of long ago. */
static void refuse(sd_bus_message *call, GError *error) {
        att_direct_flush(sd_bus_message_get_bus(call));
        att_bus_reply_error(call, error);
        att_direct_sent(sd_bus_message_get_bus(call), 0);
}

static void refuse_attest(Attest *a, GError *error) {
        int r = need_call(a);

        if (r >= 0) {
                refuse(a->call, error);
                return;
        }
        att_bus_log_unsent("an error", r);
        g_error_free(error);
}

static void on_attested(const AttAttested *attested, GError *error, gpointer userdata) {
        g_autoptr(Attest) a = userdata;
        att_autofd int fd = -1;
        gsize sent = 0;
        bool split;
        Owner *o;
        int r;

        if (!attested) {
                g_info("Attest of %s: %s", name_of(a), error->message);
                refuse_attest(a, error);
                return;
        }

        o = owner_of(attested);
        split = may_split(a, attested, &fd);
        r = reply_attested(a, attested, split, fd);
        if (r >= 0 && fd >= 0)
                o->shared[o->n_shared++ % ATT_ATTESTER1_SHARED_SENT] = attested->shared->id;
        if (r < 0 && split) { /* there may be no descriptors left, here or on the way */
                split = false;
                r = reply_attested(a, attested, split, -1);
        }
        if (r >= 0)
                sent = split ? g_bytes_get_size(attested->evidence) : whole_size(attested);
        if (r < 0) {
                att_session_lose(attested->session);
                att_bus_log_unsent("evidence", r);
                refuse_attest(a, g_error_new(ATT_ERROR, ATT_ERROR_FAILED, "the evidence cannot be sent: %s",
                                         g_strerror(-r)));
        }
        att_attester1_sent(o, sent);
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
        uint64_t cookie;
        Attest *attest;
        bool split = false;
        int r;
        const AttOption options[] = {
                { "profile", "s", &request.profile, 0, false },
                { "timeout_ms", "u", &timeout_ms, 0, false },
                { "batch", "b", &request.batch, 0, false },
                { "split", "b", &split, 0, false },
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
        if (r >= 0)
                r = sd_bus_message_get_cookie(call, &cookie);
        if (r < 0)
                return r;

        public_key = g_bytes_new(key, key_size);
        request.exported = exported;
        request.public_key = public_key;
        request.timeout_ms = timeout_ms;
        request.max_size = max_size;
        /* A bus reads no more of us while it has so many descriptors of ours for whoever does not read. */
        request.split = split && att_call_is_direct(call);
        attest = attest_new(sd_bus_message_get_bus(call), call, (uint32_t) cookie);
        if (!att_session_attest(s->inner, &request, on_attested, attest, &e)) {
                attest_free(attest);
                return att_attester1_over_limit(s->owner->attester, call, e) ? 1 : att_bus_error_take(error, e);
        }
        return 1; /* on_attested() replies */
}

/* What is refused here is for sd-bus, which refuses it again, and says so. */
gsize att_attester1_take_call(sd_bus *bus, const void *data, gsize size, gpointer userdata) {
        Attester1 *attester = userdata;
        g_autoptr(GBytes) public_key = NULL;
        g_autoptr(GError) error = NULL;
        AttAttestRequest request;
        AttAttestCall call;
        Attest *attest;
        Session *s;
        gsize n = att_attest_call_read(data, size, &call);

        if (n == 0 || (call.destination && !g_str_equal(call.destination, NAME)) ||
            call.exported_value_size != ATT_EXPORTED_SIZE || call.public_key_size < 1 ||
            call.public_key_size > ATT_PUBLIC_KEY_SIZE_MAX)
                return 0;
        s = g_hash_table_lookup(attester->sessions, call.path);
        if (!s || s->owner->bus != bus)
                return 0;

        public_key = g_bytes_new(call.public_key, call.public_key_size);
        request = (AttAttestRequest) {
                .exported = call.exported_value,
                .context = call.request_context,
                .context_size = call.request_context_size,
                .public_key = public_key,
                .profile = call.profile,
                .timeout_ms = call.timeout_ms == ATT_ATTEST_CALL_UNSAID ? ATT_TIMEOUT_MS_DEFAULT : call.timeout_ms,
                .max_size = ATT_CMW_SIZE_MAX,
                .batch = call.batch,
                .split = call.split,
        };
        attest = attest_new(bus, NULL, call.serial);
        if (att_session_attest(s->inner, &request, on_attested, attest, &error))
                return n;
        attest_free(attest);
        return 0;
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
                g_info("BeginAuthenticator of %s: %s", att_call_name(call), error->message);
                refuse(call, error);
                return;
        }
        r = reply_begun(call, begun);
        if (r < 0) {
                att_session_lose(begun->session);
                att_drafts_drop(att_session_drafts(begun->session), begun->handle);
                att_bus_log_unsent("what is to be signed", r);
                refuse(call, g_error_new(ATT_ERROR, ATT_ERROR_FAILED, "what is to be signed cannot be sent: %s",
                                         g_strerror(-r)));
                return;
        }
        att_direct_sent(sd_bus_message_get_bus(call), 0);
}

static int begin(Session *s, sd_bus_message *call, const AttAuthenticatorRequest *request, bool declines,
                 sd_bus_error *error) {
        AttBegun refusal = { 0 };
        GError *e = NULL;
        int r;

        if (declines) {
                if (!att_session_decline(s->inner, request, &refusal.handle, &e))
                        return att_bus_error_take(error, e);
                r = reply_begun(call, &refusal);
                if (r < 0) /* the library answers */
                        att_drafts_drop(att_session_drafts(s->inner), refusal.handle);
                return r;
        }
        if (!att_session_begin_authenticator(s->inner, request, on_begun, sd_bus_message_ref(call), &e)) {
                sd_bus_message_unref(call);
                return att_attester1_over_limit(s->owner->attester, call, e) ? 1 : att_bus_error_take(error, e);
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
                .batch = o.batch,
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
        att_attester1_sent(s->owner, size);
        return r;
}

/* Close() */
static int method_close(sd_bus_message *call, void *userdata, sd_bus_error *error) {
        (void) error;
        att_attester1_close_session(userdata);
        return sd_bus_reply_method_return(call, NULL);
}

#define EMITS SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE

const sd_bus_vtable att_attester1_session_vtable[] = {
        SD_BUS_VTABLE_START(0),
        SD_BUS_PROPERTY("Generation", "t", att_attester1_get_session_generation, 0, EMITS),
        SD_BUS_PROPERTY("Stale", "b", att_attester1_get_session_stale, 0, EMITS),
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
