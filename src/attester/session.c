/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "attester/session.h"

#include "codec/evidence.h"
#include "crypto/digest.h"
#include "crypto/key.h"
#include "ea/authenticator.h"
#include "ea/used-contexts.h"
#include "util/error.h"
#include "util/quota.h"

#include <string.h>

/* Of a text of the caller's in the log. */
#define LOG_TEXT_MAX 128u
/* Evidence was issued. */
#define MESSAGE_ID_EVIDENCE "1f6d0a2f3e9b4f0e8a57c1a7b0d5e9c4"
/* So long after a session was told that it is stale it is expected to ask: its peer has to hear of it in between, and
 * thousands of others. */
#define EXPECTED_US (5 * G_USEC_PER_SEC)

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
        bool is_lost; /* what is being handed out */
        AttExpected expected; /* while it is stale and has not asked */

        AttUsedContexts contexts; /* those of waiting requests too */
        guint n_declined;         /* of them */
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
        AttUsedContext context;
        AttSealedRequest own;
        guint max_size;
        bool split;
        bool was_shared; /* the device, as a report for it has shown */
} Request;

static Request *request_of(gpointer job) {
        return (Request *) (void *) ((char *) job - G_STRUCT_OFFSET(Request, job));
}

static void request_free(Request *r) {
        att_sealed_request_clear(&r->own);
        g_free(r);
}
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Request, request_free)

static AttAttester *attester(const AttSession *s) {
        return s->connection->user->attester;
}

/* ----- stale */

/* Who has a request that waits gets evidence of the new state by that. @until_us: as of att_scheduler_expect() */
static void tell_stale(AttSession *s, uint64_t generation, const char *const *reasons, gint64 until_us) {
        bool asks = s->requests.length > 0;

        s->is_stale = true;
        att_scheduler_expect(att_attester_scheduler(attester(s)), asks ? NULL : &s->expected, until_us);
        s->events->stale(s, generation, reasons);
}

static void on_generation_moved(AttGenerationListener *listener, uint64_t generation, const char *const *reasons) {
        AttSession *s = (AttSession *) (void *) ((char *) listener - G_STRUCT_OFFSET(AttSession, listener));

        if (s->evidence_generation == 0 || s->is_stale)
                return;

        tell_stale(s, generation, reasons, g_get_monotonic_time() + EXPECTED_US);
        s->events->changed(s);
}

/* ----- reports: each for one request, or for all that may share it */

/* What is sealed for one. */
typedef struct Sealing {
        AttAttester *attester;
        AttSealed *sealed;
        bool says_shared;
        guint64 ticket; /* of what is sealed of the runtime; 0: nothing */
} Sealing;

/* What C says of this guest, as it is now. */
static AttClaims *look(AttAttester *a, bool says_shared) {
        AttGeneration *generation = att_attester_generation(a);
        AttClaims *c = g_new0(AttClaims, 1);

        c->issued_at = g_get_real_time() / G_USEC_PER_SEC;
        memcpy(c->boot_id, att_generation_boot_id(generation), sizeof c->boot_id);
        memcpy(c->instance_id, att_generation_instance_id(generation), sizeof c->instance_id);
        c->generation = att_generation_get(generation);
        memcpy(c->config_digest, att_attester_configuration(a)->digest, sizeof c->config_digest);
        c->shared_device = says_shared;
        return c;
}

static bool any_was_shared(const GPtrArray *jobs) {
        for (guint i = 0; i < jobs->len; i++)
                if (request_of(jobs->pdata[i])->was_shared)
                        return true;
        return false;
}

static gpointer seal(GPtrArray *jobs, uint8_t ret[ATT_REPORT_DATA_SIZE], AttTpm **ret_tpm) {
        const Request *first = request_of(jobs->pdata[0]);
        Sealing *sealing = g_new0(Sealing, 1);
        AttAttester *a = sealing->attester = attester(first->session);
        AttClaims *common;

        att_runtime_release(att_attester_runtime(a));
        att_attester_look(a);
        sealing->says_shared = any_was_shared(jobs) || att_tee_is_shared(att_attester_tee(a));
        common = look(a, sealing->says_shared);
        if (att_profile_has_claims(first->profile))
                sealing->ticket = att_runtime_seal(att_attester_runtime(a), common, ret_tpm);
        sealing->sealed = att_sealed_new(first->profile, att_tee_name(att_attester_tee(a)), common);

        for (guint i = 0; i < jobs->len; i++) {
                Request *r = request_of(jobs->pdata[i]);

                att_sealed_count(sealing->sealed, r->session->connection->caller, r->session->hash, &r->own,
                                 &r->job.refusal);
        }
        att_sealed_begin(sealing->sealed);
        for (guint i = 0; i < jobs->len; i++) {
                Request *r = request_of(jobs->pdata[i]);

                if (!r->job.refusal)
                        att_sealed_add(sealing->sealed, &r->own, r->session->hash);
        }
        att_sealed_finish(sealing->sealed);
        memcpy(ret, sealing->sealed->report_data, ATT_REPORT_DATA_SIZE);
        return sealing;
}

static void drop(gpointer data) {
        g_autofree Sealing *sealing = data;

        att_runtime_drop(att_attester_runtime(sealing->attester), sealing->ticket);
        att_sealed_free(sealing->sealed);
}

/* What is signed is fixed before the device is looked at. Should the report show
 * others whom it does not mention, or a root of the log that was none, it is
 * nobody's, and the next one says how it is. */
static bool bears_out(const Sealing *sealing, const GPtrArray *jobs, const AttTeeReport *report) {
        if (!att_profile_has_claims(sealing->sealed->profile))
                return true;
        if (!att_runtime_check(att_attester_runtime(sealing->attester), sealing->ticket, report))
                return false;
        if (!report->shared_device || sealing->says_shared)
                return true;

        for (guint i = 0; i < jobs->len; i++)
                if (jobs->pdata[i])
                        request_of(jobs->pdata[i])->was_shared = true;
        return false;
}

/* One line, whether ten share the report or ten thousand. */
static void log_batch(const AttSealed *sealed, const char *provider) {
        g_autofree char *who = att_sealed_describe(sealed);

        g_log_structured(G_LOG_DOMAIN, G_LOG_LEVEL_MESSAGE,
                         "MESSAGE_ID", MESSAGE_ID_EVIDENCE,
                         "MESSAGE", "a batch of %u: evidence of generation %" G_GUINT64_FORMAT " from %s for %s",
                         sealed->n, sealed->generation, provider, who);
}

static bool take(gpointer data, const GPtrArray *jobs, AttTeeReport *made) {
        g_autoptr(AttTeeReport) report = made;
        Sealing *sealing = data;
        bool is_good = bears_out(sealing, jobs, report);

        /* What the report has shown of the device goes to all before it goes to one. */
        att_attester_look(sealing->attester);
        if (!is_good)
                return false;

        if (sealing->sealed->n > 1)
                log_batch(sealing->sealed, report->provider);
        att_sealed_take(sealing->sealed, g_steal_pointer(&report));
        return true;
}

static void keep(gpointer data, AttJob *job) {
        const Sealing *sealing = data;

        att_sealed_keep(sealing->sealed, &request_of(job)->own);
}

static void shrink(gpointer data) {
        const Sealing *sealing = data;

        att_sealed_shrink(sealing->sealed);
}

/* ----- requests */

/* No text of a caller's as it is: it must not look like another line, or like much. */
static char *loggable(const char *text) {
        g_autofree char *escaped = g_strescape(text ? text : "", NULL);

        if (strlen(escaped) > LOG_TEXT_MAX)
                escaped[LOG_TEXT_MAX] = '\0';
        return g_steal_pointer(&escaped);
}

static void log_issued(const Request *r, const AttAttested *attested) {
        const AttSession *s = r->session;
        g_autofree char *who = att_caller_describe(s->connection->caller);
        g_autofree char *protocol = loggable(s->protocol), *peer = loggable(s->peer);

        g_log_structured(G_LOG_DOMAIN, G_LOG_LEVEL_MESSAGE,
                         "MESSAGE_ID", MESSAGE_ID_EVIDENCE,
                         "MESSAGE", "session %" G_GUINT64_FORMAT ": evidence of generation %" G_GUINT64_FORMAT
                                    " from %s for %s, protocol \"%s\", peer \"%s\"",
                         s->number, attested->sealed->generation, attested->provider, who, protocol, peer);
}

/* Out of its session's sight. */
static void leave(Request *r, bool context_is_used) {
        AttSession *s = r->session;

        g_queue_unlink(&s->requests, &r->link);
        if (!context_is_used)
                att_used_contexts_remove(&s->contexts, &r->context);
}

static void fail(Request *r, GError *error) {
        leave(r, false);
        r->done(NULL, error, r->userdata);
}

void att_session_lose(AttSession *s) {
        s->is_lost = true;
}

static void hand_out(Request *r, const AttAttested *attested) {
        AttSession *s = r->session;
        AttGeneration *generation = att_attester_generation(attester(s));
        bool was_stale = s->is_stale;
        uint64_t before = s->evidence_generation;

        leave(r, true);
        s->evidence_generation = attested->sealed->generation;
        s->is_stale = s->is_lost = false;
        r->done(attested, NULL, r->userdata);
        if (s->is_lost) {
                s->evidence_generation = before;
                s->is_stale = was_stale;
                att_used_contexts_remove(&s->contexts, &r->context);
                return;
        }
        if (attested->batch == 1)
                log_issued(r, attested); /* he need not wait for that */

        /* The state has moved under the report: say so before anything else. */
        if (s->evidence_generation < att_generation_get(generation))
                tell_stale(s, att_generation_get(generation),
                           att_generation_reasons_since(generation, s->evidence_generation), 0);
        if (s->evidence_generation != before || s->is_stale != was_stale)
                s->events->changed(s);
}

static void on_done(AttJob *job, gpointer data, GError *error) {
        g_autoptr(Request) r = request_of(job);
        const Sealing *sealing = data;
        g_auto(AttAssembled) assembled = { 0 };
        AttAttested attested;

        if (error || !att_sealed_assemble(sealing->sealed, &r->own, r->max_size, r->split, &assembled, &error)) {
                fail(r, error);
                return;
        }

        attested = (AttAttested) {
                .session = r->session,
                .evidence = assembled.evidence,
                .shared = assembled.shared,
                .shared_at = assembled.shared_at,
                .sealed = sealing->sealed,
                .provider = att_sealed_provider(sealing->sealed),
                .batch = sealing->sealed->n,
                .endorsements_left_out = assembled.endorsements_left_out,
        };
        hand_out(r, &attested);
}

static const AttJobOps job_ops = {
        .seal = seal, .take = take, .keep = keep, .shrink = shrink, .done = on_done, .drop = drop,
};

static gboolean check_limits(AttSession *s, GError **error) {
        const AttConfiguration *limits = att_attester_configuration(attester(s));
        const AttScheduler *scheduler = att_attester_scheduler(attester(s));
        const AttQuota quota = { "waiting requests", s->connection->user->schedule.n_waiting,
                                 limits->requests_per_user, att_scheduler_n_waiting(scheduler), limits->requests };
        g_autofree char *refusal = NULL;

        if (s->requests.length >= limits->requests_per_session)
                refusal = g_strdup_printf("this session may have %u waiting requests", limits->requests_per_session);
        else
                refusal = att_quota_excess(&quota, 1);
        if (refusal) {
                g_autofree char *wait = att_scheduler_describe_wait(scheduler);

                return att_error_set(error, ATT_ERROR_LIMIT_REACHED, "%s; wait for answers, of which the last is "
                                     "expected in %s, or raise [Limits] in attestd.conf(5)", refusal, wait);
        }

        return TRUE;
}

static gboolean use_context(AttSession *s, const AttUsedContext *context, GError **error) {
        if (s->contexts.n >= ATT_SESSION_CONTEXTS_MAX)
                return att_error_set(error, ATT_ERROR_LIMIT_REACHED,
                                     "this session has used up all its contexts; make a new TLS connection");
        return att_used_contexts_add(&s->contexts, context) ||
               att_error_set(error, ATT_ERROR_CONTEXT_USED,
                             "this request_context was used in this session before; the relying party has to send a "
                             "new request");
}

gboolean att_session_use_context(AttSession *s, GBytes *bytes, GError **error) {
        AttUsedContext context = att_used_context(g_bytes_get_data(bytes, NULL), g_bytes_get_size(bytes));

        if (s->n_declined >= ATT_SESSION_DECLINES_MAX)
                return att_error_set(error, ATT_ERROR_LIMIT_REACHED,
                                     "this session has declined %u requests; end the TLS connection",
                                     ATT_SESSION_DECLINES_MAX);
        if (!use_context(s, &context, error))
                return FALSE;
        s->n_declined++;
        return TRUE;
}

/* @digest: of the key */
static gboolean check_key(AttSession *s, GBytes *public_key, const uint8_t *digest, GError **error) {
        AttKeyMemo *memo = att_attester_key_memo(attester(s));
        g_autoptr(AttKey) key = NULL;

        if (att_key_memo_has(memo, s->hash, digest))
                return TRUE;

        key = att_key_from_spki(public_key, error);
        if (!key) {
                g_prefix_error(error, "public_key: ");
                return FALSE;
        }
        att_key_memo_add(memo, s->hash, digest);
        return TRUE;
}

/* @ret_digest: of the key */
static gboolean check_request(AttSession *s, const AttAttestRequest *q, uint8_t *ret_digest, GError **error) {
        gsize size;
        const void *p = g_bytes_get_data(q->public_key, &size);

        if (q->context_size < 1 || q->context_size > ATT_CONTEXT_SIZE_MAX)
                return att_error_set(error, ATT_ERROR_INVALID_ARGUMENT,
                                     "request_context must have 1 to %u bytes, not %zu", ATT_CONTEXT_SIZE_MAX,
                                     q->context_size);
        if (q->timeout_ms < 1 || q->timeout_ms > ATT_TIMEOUT_MS_MAX)
                return att_error_set(error, ATT_ERROR_INVALID_ARGUMENT, "timeout_ms must be 1 to %u, not %u",
                                     ATT_TIMEOUT_MS_MAX, q->timeout_ms);
        if (q->max_size == 0)
                return att_error_set(error, ATT_ERROR_INVALID_ARGUMENT, "max_size must not be 0");
        if (size > ATT_PUBLIC_KEY_SIZE_MAX)
                return att_error_set(error, ATT_ERROR_INVALID_ARGUMENT, "public_key is over %u bytes",
                                     ATT_PUBLIC_KEY_SIZE_MAX);

        att_hash_parts(s->hash, &(AttPart) { p, size }, 1, ret_digest);
        return check_key(s, q->public_key, ret_digest, error);
}

gboolean att_session_attest(AttSession *s, const AttAttestRequest *q, AttAttestDone done, gpointer userdata,
                            GError **error) {
        const char *profile = att_profile_find(q->profile);
        AttSealedRequest own = { .role = s->role };
        AttUsedContext context;
        Request *r;

        if (!check_request(s, q, own.key_hash, error))
                return FALSE;
        if (!profile || !att_caller_may_have(s->connection->caller, profile))
                return att_error_set(error, ATT_ERROR_PROFILE, profile
                                     ? "this profile is granted only to callers that attestd.conf(5) names in its group"
                                     : "there is no such profile; the property Profiles lists them");
        if (!check_limits(s, error))
                return FALSE;

        context = att_used_context(q->context, q->context_size);
        if (!use_context(s, &context, error))
                return FALSE;

        att_ea_binding(s->hash, q->public_key, q->exported, own.binding);
        r = g_new(Request, 1);
        *r = (Request) {
                .job = {
                        .ops = &job_ops,
                        .connection = &s->connection->schedule,
                        .may_share = q->batch && att_profile_has_claims(profile),
                        .expected = &s->expected,
                },
                .session = s,
                .done = done,
                .userdata = userdata,
                .profile = profile,
                .context = context,
                .own = own,
                .max_size = q->max_size,
                .split = q->split,
        };
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
        att_scheduler_unexpect(scheduler, &s->expected);

        att_drafts_free(s->drafts);
        att_connection_drop_session(s->connection);
        att_used_contexts_clear(&s->contexts);
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
