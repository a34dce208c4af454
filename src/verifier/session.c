/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* One TLS connection of a relying party: its requests, and the verdicts. */
#include "verifier/appraisal.h"

#include "crypto/digest.h"
#include "util/error.h"
#include "verifier/appraise.h"

/* What was asked, and when. */
typedef struct Request {
        GBytes *bytes;
        GBytes *context;
        const char *profile;
        uint16_t cmw_attestation;
        bool batch;        /* offered */
        gint64 sent_at_us; /* monotonic */
} Request;

struct AttVerifierSession {
        AttRole role;
        AttHash hash;
        AttPolicy *policy;
        char *peer_name;
        GPtrArray *trust_anchors;
        GBytes *handshake_key;
        GBytes *local_key;
        AttEaContexts *contexts; /* sent and received */
        Request *outstanding;    /* (nullable) */
        bool reflected;          /* the peer has used the context of @outstanding too */
        AttImaHistory *ima_log;  /* (nullable): the policy needs none */
        GBytes *boot_log;        /* (nullable) */
        AttSignatureMemo *memo;  /* (nullable), borrowed */
        uint32_t memo_user;
};

static void request_free(Request *request) {
        if (!request)
                return;

        g_bytes_unref(request->bytes);
        g_bytes_unref(request->context);
        g_free(request);
}
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Request, request_free)

static gboolean check_parameters(const AttVerifierParameters *p, GError **error) {
        bool has_anchors = p->trust_anchors && p->trust_anchors->len > 0;

        if (!p->policy)
                return att_error_set(error, ATT_ERROR_INVALID_ARGUMENT, "there is no policy");
        if (p->peer_name && !*p->peer_name)
                return att_error_set(error, ATT_ERROR_INVALID_ARGUMENT, "the peer's name is empty");
        if (p->peer_name && !has_anchors)
                return att_error_set(error, ATT_ERROR_INVALID_ARGUMENT, "a peer's name needs trust anchors");
        if (has_anchors && !p->peer_name)
                return att_error_set(error, ATT_ERROR_INVALID_ARGUMENT, "trust anchors need the name of a peer");
        if (p->peer_name && p->handshake_key)
                return att_error_set(error, ATT_ERROR_INVALID_ARGUMENT,
                                     "either the peer's name or the key of its handshake, not both");
        return TRUE;
}

static gboolean check_key(const char *what, GBytes *spki, GError **error) {
        g_autoptr(AttKey) key = spki ? att_key_from_spki(spki, error) : NULL;

        if (spki && !key) {
                g_prefix_error(error, "%s: ", what);
                return FALSE;
        }
        return TRUE;
}

AttVerifierSession *att_verifier_session_new(const AttVerifierParameters *parameters, GError **error) {
        AttVerifierSession *s;

        if (!check_parameters(parameters, error) ||
            !check_key("key of the handshake", parameters->handshake_key, error) ||
            !check_key("local key", parameters->local_key, error))
                return NULL;

        s = g_new0(AttVerifierSession, 1);
        *s = (AttVerifierSession) {
                .role = parameters->role,
                .hash = parameters->hash,
                .policy = att_policy_ref(parameters->policy),
                .peer_name = g_strdup(parameters->peer_name),
                .contexts = att_ea_contexts_new(),
                .memo = parameters->memo,
                .memo_user = parameters->memo_user,
        };
        if (s->policy->ima.is_there)
                s->ima_log = att_ima_history_new(s->policy);
        if (parameters->peer_name)
                s->trust_anchors = g_ptr_array_ref(parameters->trust_anchors);
        if (parameters->handshake_key)
                s->handshake_key = g_bytes_ref(parameters->handshake_key);
        if (parameters->local_key)
                s->local_key = g_bytes_ref(parameters->local_key);
        return s;
}

void att_verifier_session_free(AttVerifierSession *session) {
        if (!session)
                return;

        att_policy_unref(session->policy);
        g_free(session->peer_name);
        g_clear_pointer(&session->trust_anchors, g_ptr_array_unref);
        g_clear_pointer(&session->handshake_key, g_bytes_unref);
        g_clear_pointer(&session->local_key, g_bytes_unref);
        att_ea_contexts_free(session->contexts);
        request_free(session->outstanding);
        att_ima_history_free(session->ima_log);
        g_clear_pointer(&session->boot_log, g_bytes_unref);
        g_free(session);
}

/* The policy's own string for @profile, so that it lives as long as the session. */
static const char *find_profile(const AttPolicy *policy, const char *profile) {
        for (guint i = 0; i < policy->profiles->len; i++)
                if (g_str_equal(policy->profiles->pdata[i], profile))
                        return policy->profiles->pdata[i];
        return NULL;
}

GBytes *att_verifier_session_request(AttVerifierSession *session, const char *profile, uint16_t cmw_attestation,
                                     bool batch, GBytes **ret_context, GError **error) {
        g_autoptr(GBytes) bytes = NULL;
        g_autoptr(GBytes) context = NULL;
        const char *known = find_profile(session->policy, profile);
        Request *request;

        if (cmw_attestation == 0) {
                att_error_set(error, ATT_ERROR_INVALID_ARGUMENT, "0 is no code point");
                return NULL;
        }
        if (!known) {
                att_error_set(error, ATT_ERROR_PROFILE, "the policy does not list this profile");
                return NULL;
        }

        bytes = att_ea_request_new(att_role_other(session->role), cmw_attestation, &context, error);
        if (!bytes || !att_ea_contexts_add(session->contexts, g_bytes_get_data(context, NULL),
                                           g_bytes_get_size(context), error))
                return NULL;

        request = g_new(Request, 1);
        *request = (Request) {
                .bytes = g_bytes_ref(bytes),
                .context = g_bytes_ref(context),
                .profile = known,
                .cmw_attestation = cmw_attestation,
                .batch = batch,
                .sent_at_us = g_get_monotonic_time(),
        };
        request_free(session->outstanding);
        session->outstanding = request;
        session->reflected = false;
        *ret_context = g_steal_pointer(&context);
        return g_steal_pointer(&bytes);
}

gboolean att_verifier_session_record_context(AttVerifierSession *session, GBytes *context, GError **error) {
        if (g_bytes_get_size(context) > ATT_CONTEXT_SIZE_MAX)
                return att_error_set(error, ATT_ERROR_INVALID_ARGUMENT, "a context has at most %u bytes",
                                     ATT_CONTEXT_SIZE_MAX);

        /* Our own context sent back as the peer's: then an answer to it may be ours. */
        if (session->outstanding && g_bytes_equal(session->outstanding->context, context))
                session->reflected = true;
        return att_ea_contexts_add(session->contexts, g_bytes_get_data(context, NULL), g_bytes_get_size(context),
                                   error);
}

const char *const *att_verifier_session_logs(const AttVerifierSession *session) {
        static const char *const none[] = { NULL }, *const ima[] = { ATT_LOG_IMA, NULL };
        static const char *const boot[] = { ATT_LOG_BOOT, NULL }, *const both[] = { ATT_LOG_IMA, ATT_LOG_BOOT, NULL };

        if (session->policy->needs_boot_log)
                return session->ima_log ? both : boot;
        return session->ima_log ? ima : none;
}

guint64 att_verifier_session_log_next(const AttVerifierSession *session) {
        return session->ima_log ? att_ima_history_next(session->ima_log) : 0;
}

AttImaHistory *att_verifier_session_ima_log(AttVerifierSession *session) {
        return session->ima_log;
}

void att_verifier_session_set_boot_log(AttVerifierSession *session, GBytes *log) {
        GBytes *old = session->boot_log;

        session->boot_log = g_bytes_ref(log);
        g_bytes_unref(old);
}

gsize att_verifier_session_log_bytes(const AttVerifierSession *session) {
        return (session->ima_log ? att_ima_history_held(session->ima_log) : 0) +
               (session->boot_log ? g_bytes_get_size(session->boot_log) : 0);
}

/* Whatever else there is to say against the evidence, it is not for what is not the
 * peer's word to change what is known of its log. */
static bool is_refused_for_log_alone(const AttResult *result) {
        for (AttCheckId id = 0; id < ATT_CHECKS; id++) {
                AttCheckStatus status = att_result_status(result, id);
                bool is_of_log = id >= ATT_CHECK_IMA_ROOT && id <= ATT_CHECK_BOOT_LOG;

                if (!is_of_log && (status == ATT_CHECK_FAILED ||
                                   (status != ATT_CHECK_PASSED && result->mandatory & ATT_CHECK_SET(id))))
                        return false;
        }
        return true;
}

/* What was accepted need not be given again; what was not the log of the evidence,
 * can be. */
static void move_log(AttVerifierSession *s, const AttResult *result) {
        if (!s->ima_log || !result->has_ima_fit)
                return;
        if (att_result_accepted(result))
                att_ima_history_cover(s->ima_log, result->claims->ima->count, result->claims->boot_id);
        else if (result->ima_fit == ATT_IMA_DIFFERS && is_refused_for_log_alone(result))
                att_ima_history_rewind(s->ima_log);
        else if (result->ima_fit == ATT_IMA_OTHER_BOOT && is_refused_for_log_alone(result))
                att_ima_history_reset(s->ima_log);
}

/* What must pass for a yes on this connection, whatever the peer sends. */
static AttCheckSet mandatory(const AttVerifierSession *s, const Request *request) {
        const char *profile = request ? request->profile : ATT_PROFILE_EVIDENCE;
        AttCheckSet set = att_mandatory_by_policy(s->policy) | att_mandatory_by_profile(profile) |
                          ATT_CHECK_SET(ATT_CHECK_AUTHENTICATOR) | ATT_CHECK_SET(ATT_CHECK_CONTEXT) |
                          ATT_CHECK_SET(ATT_CHECK_FRESHNESS);

        if (att_profile_has_claims(profile))
                set |= ATT_CHECK_SET(ATT_CHECK_BINDING) | ATT_CHECK_SET(ATT_CHECK_KEY_HASH) |
                       ATT_CHECK_SET(ATT_CHECK_ROLE);
        else if (s->local_key)
                set |= ATT_CHECK_SET(ATT_CHECK_ROLE);
        if (s->peer_name || s->handshake_key || !s->policy->any_peer)
                set |= ATT_CHECK_SET(ATT_CHECK_PEER_NAME);
        return set;
}

static void check_context(AttResult *result, const AttVerifierSession *s, const Request *request) {
        if (!request)
                att_result_fail(result, ATT_CHECK_CONTEXT, "no request is outstanding");
        else if (s->reflected)
                att_result_fail(result, ATT_CHECK_CONTEXT, "the peer has used the context of this request itself");
        else
                att_result_pass(result, ATT_CHECK_CONTEXT, "of the outstanding request");
}

/* Of the verdict, not of the answer alone: how long the logs beside it take is up to the peer. */
static void check_freshness(AttResult *result, const AttPolicy *policy, const Request *request, gint64 now_us) {
        gint64 age_us = now_us - request->sent_at_us;

        if (age_us < 0 || age_us > (gint64) policy->max_age_s * G_USEC_PER_SEC)
                att_result_fail(result, ATT_CHECK_FRESHNESS, "more than %u s from the request to the verdict",
                                policy->max_age_s);
        else
                att_result_pass(result, ATT_CHECK_FRESHNESS, "judged within %u s of the request", policy->max_age_s);
}

static bool authenticate(AttResult *result, const AttVerifierSession *s, const Request *request,
                         GBytes *authenticator, const AttEaKeys *keys, AttEaIdentity *identity) {
        g_autoptr(GError) error = NULL;

        if (keys->hash != s->hash || keys->sender != s->role) {
                att_result_fail(result, ATT_CHECK_AUTHENTICATOR, "the keys are not of this connection's peer");
                return false;
        }
        if (!att_ea_validate(keys, request->bytes, request->cmw_attestation, authenticator, identity, &error)) {
                att_result_fail_take(result, ATT_CHECK_AUTHENTICATOR, g_steal_pointer(&error));
                return false;
        }
        att_result_pass(result, ATT_CHECK_AUTHENTICATOR, "signed with %s", att_scheme_name(identity->scheme));
        return true;
}

static void check_peer_name(AttResult *result, const AttVerifierSession *s, const AttEaIdentity *identity,
                            int64_t at) {
        g_autoptr(GError) error = NULL;

        if (s->peer_name) {
                if (att_chain_verify_name(identity->certificates, s->trust_anchors, s->peer_name,
                                          s->role == ATT_ROLE_SERVER, at, &error))
                        att_result_pass(result, ATT_CHECK_PEER_NAME, "%s, by its certificate", s->peer_name);
                else
                        att_result_fail_take(result, ATT_CHECK_PEER_NAME, g_steal_pointer(&error));
        } else if (s->handshake_key) {
                if (g_bytes_equal(identity->spki, s->handshake_key))
                        att_result_pass(result, ATT_CHECK_PEER_NAME, "its key is that of the handshake");
                else
                        att_result_fail(result, ATT_CHECK_PEER_NAME, "its key is not that of the handshake");
        } else if (s->policy->any_peer) {
                att_result_skip(result, ATT_CHECK_PEER_NAME, "the policy takes any");
        } else {
                att_result_fail(result, ATT_CHECK_PEER_NAME, "the peer was not named, and the policy does not say "
                                "\"peer any\"");
        }
}

/* A profile without role cannot tell a peer's evidence from our own when both
 * ends have one key. */
static void check_keys_differ(AttResult *result, const AttVerifierSession *s, const Request *request,
                              const AttEaIdentity *identity) {
        if (!s->local_key || att_profile_has_claims(request->profile))
                return;
        if (g_bytes_equal(identity->spki, s->local_key))
                att_result_fail(result, ATT_CHECK_ROLE, "the profile has no role, and the peer's key is our own");
        else
                att_result_pass(result, ATT_CHECK_ROLE, "the profile has none; the peer's key is not our own");
}

static void expect_of_connection(AttExpected *expected, GBytes *spki, const uint8_t exported[ATT_EXPORTED_SIZE]) {
        AttPart part = { .data = g_bytes_get_data(spki, NULL), .size = g_bytes_get_size(spki) };

        att_ea_binding(expected->hash, spki, exported, expected->binding);
        expected->has_binding = true;
        att_hash_parts(expected->hash, &part, 1, expected->key_hash);
        expected->has_key_hash = true;
}

AttResult *att_verifier_session_validate(AttVerifierSession *session, GBytes *authenticator,
                                         const uint8_t exported[ATT_EXPORTED_SIZE], const AttEaKeys *keys,
                                         int64_t at) {
        g_autoptr(Request) request = g_steal_pointer(&session->outstanding);
        AttResult *result = att_result_new(mandatory(session, request));
        g_auto(AttEaIdentity) identity = { 0 };
        g_auto(AttReceived) received = { 0 };
        g_autoptr(GError) error = NULL;
        gint64 now_us = g_get_monotonic_time();
        AttExpected expected = {
                .policy = session->policy,
                .at = at,
                .hash = session->hash,
                .role = session->role,
                .ima_log = session->ima_log,
                .boot_log = session->boot_log,
                .memo = session->memo,
                .memo_user = session->memo_user,
        };

        att_result_pass(result, ATT_CHECK_POLICY, "loaded");
        check_context(result, session, request);
        if (!request)
                return att_result_seal(result);

        check_freshness(result, session->policy, request, now_us);
        if (!authenticate(result, session, request, authenticator, keys, &identity))
                return att_result_seal(result);
        check_peer_name(result, session, &identity, at);

        if (!identity.cmw) {
                att_result_fail(result, ATT_CHECK_FORMAT, "attestation-missing: the authenticator carries no evidence");
                return att_result_seal(result);
        }
        if (!att_received_read_collection(identity.cmw, &received, &error)) {
                att_result_fail_take(result, ATT_CHECK_FORMAT, g_steal_pointer(&error));
                return att_result_seal(result);
        }
        att_result_pass(result, ATT_CHECK_FORMAT, "a collection of attestd");

        expected.profile = request->profile;
        expected.batch = request->batch;
        expect_of_connection(&expected, identity.spki, exported);
        att_appraise_received(result, &received, &expected);
        check_keys_differ(result, session, request, &identity);
        att_result_seal(result);
        move_log(session, result);
        return result;
}
