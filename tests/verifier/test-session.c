/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A relying party's connection: whole authenticators, whole evidence. */
#include "scene.h"

#include "ea/exporter.h"
#include "util/error.h"

#include "ima-maker.h"
#include "run.h"

/* Linked with --wrap: the monotonic clock, and the kernel's generator. */
gint64 __wrap_g_get_monotonic_time(void);
gboolean __wrap_att_random(void *ret, size_t size, GError **error);
gboolean __real_att_random(void *ret, size_t size, GError **error);

static gint64 now_us = 1000000;
static bool random_is_broken;

gint64 __wrap_g_get_monotonic_time(void) {
        return now_us;
}

gboolean __wrap_att_random(void *ret, size_t size, GError **error) {
        if (random_is_broken)
                return att_error_set(error, ATT_ERROR_FAILED, "no random bytes");
        return __real_att_random(ret, size, error);
}

static Forge *forge;
static Identity *peer, *other;

static void set_up(void) {
        forge = forge_new(NULL, NULL);
        peer = identity_new("server.example");
        other = identity_new("other.example");
        now_us = 1000000;
        random_is_broken = false;
}

static void tear_down(void) {
        forge_free(forge);
        identity_free(peer);
        identity_free(other);
}

static AttVerifierSession *open_with(const AttVerifierParameters *parameters) {
        g_autoptr(GError) error = NULL;
        AttVerifierSession *session = att_verifier_session_new(parameters, &error);

        ck_assert_msg(session != NULL, "%s", error ? error->message : "");
        return session;
}

/* Named by the handshake's key; the policy names unit and boot. */
static AttVerifierSession *open_session(AttRole role, AttHash hash) {
        g_autoptr(AttPolicy) policy = scene_policy(forge, "");

        return open_with(&(AttVerifierParameters) {
                .role = role, .hash = hash, .policy = policy, .handshake_key = peer->spki });
}

static AttVerifierSession *open_server(void) {
        return open_session(ATT_ROLE_SERVER, ATT_HASH_SHA256);
}

/* The same under a policy with these lines. */
static AttVerifierSession *open_server_under(const char *lines) {
        g_autoptr(AttPolicy) policy = scene_policy(forge, lines);

        return open_with(&(AttVerifierParameters) {
                .role = ATT_ROLE_SERVER, .hash = ATT_HASH_SHA256, .policy = policy, .handshake_key = peer->spki });
}

static GBytes *ask_for(AttVerifierSession *session, const char *profile, GBytes **ret_context) {
        g_autoptr(GError) error = NULL;
        GBytes *request =
                att_verifier_session_request(session, profile, ATT_CMW_ATTESTATION_DEFAULT, false, ret_context, &error);

        ck_assert_msg(request != NULL, "%s", error ? error->message : "");
        return request;
}

static GBytes *ask(AttVerifierSession *session, GBytes **ret_context) {
        return ask_for(session, ATT_PROFILE_EVIDENCE, ret_context);
}

static AttResult *validate(AttVerifierSession *session, const Wire *wire, AttRole role, GBytes *context,
                           GBytes *authenticator) {
        uint8_t exported[ATT_EXPORTED_SIZE];
        g_auto(AttEaKeys) keys = { 0 };

        wire_export(wire, context, exported);
        ea_keys_of(wire->hash, wire->secret, role, &keys);
        return att_verifier_session_validate(session, authenticator, exported, &keys, SCENE_NOW);
}

/* Honest evidence of @who for @wire and @context. */
static GBytes *evidence_for(const Wire *wire, GBytes *context, const Identity *who, AttRole role) {
        g_autoptr(AttClaims) claims = scene_claims(wire, context, who->spki, role);

        return scene_evidence(forge, claims);
}

/* The verdict on this evidence, in an authenticator that @who made on @wire. */
static AttResult *present(AttVerifierSession *session, const Wire *wire, AttRole role, GBytes *context,
                          GBytes *request, const Identity *who, GBytes *evidence) {
        g_autoptr(GBytes) authenticator = scene_authenticator(wire, request, role, who, evidence);

        return validate(session, wire, role, context, authenticator);
}

/* Request, honest answer, verdict. */
static AttResult *exchange(AttVerifierSession *session, const Wire *wire, AttRole role, const Identity *who) {
        g_autoptr(GBytes) context = NULL;
        g_autoptr(GBytes) request = ask(session, &context);
        g_autoptr(GBytes) evidence = evidence_for(wire, context, who, role);
        return present(session, wire, role, context, request, who, evidence);
}

START_TEST(accepts_either_role_with_either_hash) {
        AttRole role = _i & 1 ? ATT_ROLE_SERVER : ATT_ROLE_CLIENT;
        AttHash hash = _i & 2 ? ATT_HASH_SHA384 : ATT_HASH_SHA256;
        g_autoptr(AttVerifierSession) session = open_session(role, hash);
        Wire wire = wire_new(hash, 1);

        /* And again on the same connection, as a renewal. */
        for (int i = 0; i < 3; i++) {
                g_autoptr(AttResult) result = exchange(session, &wire, role, peer);

                assert_accepted(result);
                ck_assert_int_eq(scene_check(result, "key-hash")->status, ATT_CHECK_PASSED);
                ck_assert_int_eq(scene_check(result, "peer-name")->status, ATT_CHECK_PASSED);
        }
}
END_TEST

/* Binding. */

START_TEST(sc01_refuses_evidence_of_another_session) {
        /* Same key, same guest, same relying party; and the attacker has the key, so
         * he makes a valid authenticator on B around the evidence of A. */
        g_autoptr(AttVerifierSession) a = open_server();
        g_autoptr(AttVerifierSession) b = open_server();
        Wire wire_a = wire_new(ATT_HASH_SHA256, 1), wire_b = wire_new(ATT_HASH_SHA256, 2);
        g_autoptr(GBytes) context_a = NULL;
        g_autoptr(GBytes) request_a = ask(a, &context_a);
        g_autoptr(GBytes) context_b = NULL;
        g_autoptr(GBytes) request_b = ask(b, &context_b);
        g_autoptr(GBytes) evidence_a = evidence_for(&wire_a, context_a, peer, ATT_ROLE_SERVER);
        g_autoptr(GBytes) relayed = scene_authenticator(&wire_b, request_b, ATT_ROLE_SERVER, peer, evidence_a);
        g_autoptr(GBytes) honest = scene_authenticator(&wire_a, request_a, ATT_ROLE_SERVER, peer, evidence_a);
        g_autoptr(AttResult) no = validate(b, &wire_b, ATT_ROLE_SERVER, context_b, relayed);
        g_autoptr(AttResult) yes = validate(a, &wire_a, ATT_ROLE_SERVER, context_a, honest);

        assert_refused(no, "binding", "another connection");
        assert_accepted(yes);
}
END_TEST

START_TEST(sc01_refuses_evidence_for_the_same_context_on_another_connection) {
        /* The attacker asks the guest with the very context of B, on his own connection A. */
        g_autoptr(AttVerifierSession) b = open_server();
        Wire wire_a = wire_new(ATT_HASH_SHA256, 1), wire_b = wire_new(ATT_HASH_SHA256, 2);
        g_autoptr(GBytes) context = NULL;
        g_autoptr(GBytes) request = ask(b, &context);
        g_autoptr(GBytes) evidence = evidence_for(&wire_a, context, peer, ATT_ROLE_SERVER);
        g_autoptr(AttResult) no = present(b, &wire_b, ATT_ROLE_SERVER, context, request, peer, evidence);
        g_autoptr(AttResult) yes = exchange(b, &wire_b, ATT_ROLE_SERVER, peer);

        assert_refused(no, "binding", "another connection");
        assert_accepted(yes);
}
END_TEST

START_TEST(sc01_refuses_an_authenticator_of_another_connection) {
        g_autoptr(AttVerifierSession) session = open_server();
        Wire theirs = wire_new(ATT_HASH_SHA256, 1), ours = wire_new(ATT_HASH_SHA256, 2);
        g_autoptr(GBytes) context = NULL;
        g_autoptr(GBytes) request = ask(session, &context);
        g_autoptr(GBytes) evidence = evidence_for(&theirs, context, peer, ATT_ROLE_SERVER);
        g_autoptr(GBytes) replayed = scene_authenticator(&theirs, request, ATT_ROLE_SERVER, peer, evidence);
        g_autoptr(AttResult) no = validate(session, &ours, ATT_ROLE_SERVER, context, replayed);
        g_autoptr(AttResult) yes = exchange(session, &ours, ATT_ROLE_SERVER, peer);

        assert_refused(no, "authenticator", "certificate-verify");
        ck_assert_int_eq(scene_check(no, "quote-signature")->status, ATT_CHECK_NOT_CHECKED);
        assert_accepted(yes);
}
END_TEST

START_TEST(refuses_evidence_for_another_key) {
        /* Right connection and context, but made for the key of somebody else. */
        g_autoptr(AttVerifierSession) session = open_server();
        Wire wire = wire_new(ATT_HASH_SHA256, 1);
        g_autoptr(GBytes) context = NULL;
        g_autoptr(GBytes) request = ask(session, &context);
        g_autoptr(GBytes) evidence = evidence_for(&wire, context, other, ATT_ROLE_SERVER);
        g_autoptr(AttResult) no = present(session, &wire, ATT_ROLE_SERVER, context, request, peer, evidence);

        assert_refused(no, "binding", "another connection, key or context");
        ck_assert_int_eq(scene_check(no, "key-hash")->status, ATT_CHECK_FAILED);
}
END_TEST

START_TEST(refuses_a_key_hash_of_another_key) {
        g_autoptr(AttVerifierSession) session = open_session(ATT_ROLE_SERVER, ATT_HASH_SHA384);
        Wire wire = wire_new(ATT_HASH_SHA384, 1);
        g_autoptr(GBytes) context = NULL;
        g_autoptr(GBytes) request = ask(session, &context);
        g_autoptr(AttClaims) claims = scene_claims(&wire, context, peer->spki, ATT_ROLE_SERVER);

        claims->key_hash[47] ^= 1;
        g_autoptr(GBytes) evidence = scene_evidence(forge, claims);
        g_autoptr(AttResult) no = present(session, &wire, ATT_ROLE_SERVER, context, request, peer, evidence);
        g_autoptr(AttResult) yes = exchange(session, &wire, ATT_ROLE_SERVER, peer);

        assert_refused(no, "key-hash", "another key");
        assert_accepted(yes);
}
END_TEST

/* A peer's own evidence sent back to it: both ends have one key, and the attacker
 * can sign with it. */
static void reflect(AttRole role_of_peer) {
        AttRole own = att_role_other(role_of_peer);
        g_autoptr(AttVerifierSession) session = open_session(role_of_peer, ATT_HASH_SHA256);
        Wire wire = wire_new(ATT_HASH_SHA256, 1);
        g_autoptr(GBytes) context = NULL;
        g_autoptr(GBytes) request = ask(session, &context);
        /* Our own guest has attested for this context, in our own role. */
        g_autoptr(GBytes) evidence = evidence_for(&wire, context, peer, own);
        g_autoptr(AttResult) no = present(session, &wire, role_of_peer, context, request, peer, evidence);
        g_autoptr(AttResult) yes = exchange(session, &wire, role_of_peer, peer);

        assert_refused(no, "role", att_role_name(own));
        assert_accepted(yes);
}

START_TEST(sc05a_refuses_a_clients_own_evidence_as_client) {
        reflect(ATT_ROLE_SERVER);
}
END_TEST

START_TEST(sc05b_refuses_a_servers_own_evidence_as_server) {
        reflect(ATT_ROLE_CLIENT);
}
END_TEST

START_TEST(sc05_refuses_a_context_that_the_peer_used_too) {
        g_autoptr(AttVerifierSession) session = open_server();
        Wire wire = wire_new(ATT_HASH_SHA256, 1);
        g_autoptr(GBytes) context = NULL;
        g_autoptr(GBytes) request = ask(session, &context);
        g_autoptr(GError) error = NULL;
        g_autoptr(GBytes) theirs = g_bytes_new_static("theirs", 6);

        ck_assert(att_verifier_session_record_context(session, theirs, NULL));
        ck_assert(!att_verifier_session_record_context(session, theirs, &error));
        ck_assert(g_error_matches(error, ATT_ERROR, ATT_ERROR_CONTEXT_USED));
        g_clear_error(&error);
        ck_assert(!att_verifier_session_record_context(session, context, &error));
        ck_assert(g_error_matches(error, ATT_ERROR, ATT_ERROR_CONTEXT_USED));

        g_autoptr(GBytes) evidence = evidence_for(&wire, context, peer, ATT_ROLE_SERVER);
        g_autoptr(AttResult) no = present(session, &wire, ATT_ROLE_SERVER, context, request, peer, evidence);
        g_autoptr(AttResult) yes = exchange(session, &wire, ATT_ROLE_SERVER, peer);
        assert_refused(no, "context", "the peer has used");
        assert_accepted(yes);
}
END_TEST

/* Freshness. */

START_TEST(sc14a_gives_every_request_its_own_context) {
        g_autoptr(AttVerifierSession) session = open_server();
        g_autoptr(AttVerifierSession) second = open_server();
        g_autoptr(GHashTable) seen =
                g_hash_table_new_full(g_bytes_hash, g_bytes_equal, (GDestroyNotify) g_bytes_unref, NULL);

        for (int i = 0; i < 200; i++) {
                GBytes *context = NULL;
                g_autoptr(GBytes) request = ask(i & 1 ? session : second, &context);

                ck_assert(g_hash_table_add(seen, context));
                ck_assert_ptr_nonnull(request);
        }
}
END_TEST

START_TEST(sc14b_makes_contexts_of_32_bytes) {
        g_autoptr(AttVerifierSession) session = open_server();
        g_autoptr(GBytes) context = NULL;
        g_autoptr(GBytes) request = ask(session, &context);

        ck_assert_uint_eq(g_bytes_get_size(context), 32);
}
END_TEST

START_TEST(sc14c_makes_no_request_without_random_bytes) {
        g_autoptr(AttVerifierSession) session = open_server();
        g_autoptr(GError) error = NULL;
        GBytes *context = NULL;

        random_is_broken = true;
        ck_assert(!att_verifier_session_request(session, ATT_PROFILE_EVIDENCE, ATT_CMW_ATTESTATION_DEFAULT, false,
                                                &context, &error));
        ck_assert_ptr_nonnull(error);
        ck_assert_ptr_null(context);

        random_is_broken = false;
        Wire wire = wire_new(ATT_HASH_SHA256, 1);
        g_autoptr(AttResult) yes = exchange(session, &wire, ATT_ROLE_SERVER, peer);
        assert_accepted(yes);
}
END_TEST

START_TEST(sc15a_holds_the_maximum_age) {
        g_autoptr(AttVerifierSession) session = open_server_under("max-age 5\n");
        Wire wire = wire_new(ATT_HASH_SHA256, 1);
        static const gint64 ages[] = { 0, 5 * G_USEC_PER_SEC, 5 * G_USEC_PER_SEC + 1, -1 };

        for (gsize i = 0; i < G_N_ELEMENTS(ages); i++) {
                g_autoptr(GBytes) context = NULL;
                g_autoptr(GBytes) request = ask(session, &context);
                g_autoptr(GBytes) evidence = evidence_for(&wire, context, peer, ATT_ROLE_SERVER);
                g_autoptr(GBytes) answer = scene_authenticator(&wire, request, ATT_ROLE_SERVER, peer, evidence);

                now_us += ages[i];
                g_autoptr(AttResult) result = validate(session, &wire, ATT_ROLE_SERVER, context, answer);
                if (i < 2)
                        assert_accepted(result);
                else
                        assert_refused(result, "freshness", "5 s");
        }
}
END_TEST

START_TEST(uses_a_request_up_whatever_the_verdict) {
        g_autoptr(AttVerifierSession) session = open_server();
        Wire wire = wire_new(ATT_HASH_SHA256, 1);
        g_autoptr(GBytes) context = NULL;
        g_autoptr(GBytes) request = ask(session, &context);
        g_autoptr(GBytes) evidence = evidence_for(&wire, context, peer, ATT_ROLE_SERVER);
        g_autoptr(GBytes) answer = scene_authenticator(&wire, request, ATT_ROLE_SERVER, peer, evidence);
        g_autoptr(AttResult) yes = validate(session, &wire, ATT_ROLE_SERVER, context, answer);
        g_autoptr(AttResult) again = validate(session, &wire, ATT_ROLE_SERVER, context, answer);

        assert_accepted(yes);
        assert_refused(again, "context", "no request is outstanding");

        g_autoptr(GBytes) context_2 = NULL;
        g_autoptr(GBytes) request_2 = ask(session, &context_2);
        g_autoptr(GBytes) evidence_2 = evidence_for(&wire, context_2, peer, ATT_ROLE_SERVER);
        g_autoptr(GBytes) answer_2 = scene_authenticator(&wire, request_2, ATT_ROLE_SERVER, peer, evidence_2);
        g_autoptr(AttResult) old = validate(session, &wire, ATT_ROLE_SERVER, context_2, answer);
        g_autoptr(AttResult) late = validate(session, &wire, ATT_ROLE_SERVER, context_2, answer_2);
        assert_refused(old, "authenticator", "context-mismatch");
        assert_refused(late, "context", "no request is outstanding");
}
END_TEST

START_TEST(a_new_request_makes_the_former_void) {
        g_autoptr(AttVerifierSession) session = open_server();
        Wire wire = wire_new(ATT_HASH_SHA256, 1);
        g_autoptr(GBytes) old_context = NULL;
        g_autoptr(GBytes) old_request = ask(session, &old_context);
        g_autoptr(GBytes) context = NULL;
        g_autoptr(GBytes) request = ask(session, &context);
        g_autoptr(GBytes) evidence = evidence_for(&wire, old_context, peer, ATT_ROLE_SERVER);
        g_autoptr(AttResult) no = present(session, &wire, ATT_ROLE_SERVER, old_context, old_request, peer, evidence);

        assert_refused(no, "authenticator", "context-mismatch");
}
END_TEST

/* State changes only after proof; what fails changes nothing for later. */
START_TEST(sc40c_refusals_leave_no_trace) {
        g_autoptr(AttVerifierSession) session = open_server();
        Wire wire = wire_new(ATT_HASH_SHA256, 1);
        g_autoptr(GBytes) nonsense = g_bytes_new_static("nonsense", 8);
        g_autoptr(GBytes) nothing = g_bytes_new_static("", 0);

        for (int i = 0; i < 3; i++) {
                g_autoptr(GBytes) context = NULL;
                g_autoptr(GBytes) request = ask(session, &context);
                g_autoptr(AttResult) no =
                        validate(session, &wire, ATT_ROLE_SERVER, context, i == 0 ? nothing : nonsense);
                g_autoptr(AttResult) yes = exchange(session, &wire, ATT_ROLE_SERVER, peer);

                ck_assert(!att_result_accepted(no));
                ck_assert_int_eq(scene_check(no, "authenticator")->status, ATT_CHECK_FAILED);
                ck_assert_ptr_null(att_result_profile(no));
                assert_accepted(yes);
        }
}
END_TEST

START_TEST(sc40d_an_expired_request_ends_no_session) {
        g_autoptr(AttVerifierSession) session = open_server();
        g_autoptr(AttVerifierSession) second = open_server();
        Wire wire = wire_new(ATT_HASH_SHA256, 1);
        g_autoptr(GBytes) context = NULL;
        g_autoptr(GBytes) request = ask(session, &context);
        g_autoptr(GBytes) evidence = evidence_for(&wire, context, peer, ATT_ROLE_SERVER);
        g_autoptr(GBytes) answer = scene_authenticator(&wire, request, ATT_ROLE_SERVER, peer, evidence);

        now_us += G_TIME_SPAN_DAY;
        g_autoptr(AttResult) no = validate(session, &wire, ATT_ROLE_SERVER, context, answer);
        g_autoptr(AttResult) yes = exchange(session, &wire, ATT_ROLE_SERVER, peer);
        g_autoptr(AttResult) yes_2 = exchange(second, &wire, ATT_ROLE_SERVER, peer);
        assert_refused(no, "freshness", "60 s");
        assert_accepted(yes);
        assert_accepted(yes_2);
}
END_TEST

/* The peer has a name. */

START_TEST(the_peer_has_the_key_of_the_handshake) {
        g_autoptr(AttVerifierSession) session = open_server();
        Wire wire = wire_new(ATT_HASH_SHA256, 1);
        g_autoptr(AttResult) no = exchange(session, &wire, ATT_ROLE_SERVER, other);
        g_autoptr(AttResult) yes = exchange(session, &wire, ATT_ROLE_SERVER, peer);

        assert_refused(no, "peer-name", "not that of the handshake");
        assert_accepted(yes);
}
END_TEST

START_TEST(the_peer_has_a_certificate_for_its_name) {
        g_autoptr(AttPolicy) policy = scene_policy(forge, "");
        g_autoptr(GPtrArray) anchors = identity_anchors(peer);
        static const char *const names[] = { "server.example", "other.example" };
        Wire wire = wire_new(ATT_HASH_SHA256, 1);

        for (int i = 0; i < 2; i++) {
                g_autoptr(AttVerifierSession) session = open_with(&(AttVerifierParameters) {
                        .role = ATT_ROLE_SERVER,
                        .hash = ATT_HASH_SHA256,
                        .policy = policy,
                        .peer_name = names[i],
                        .trust_anchors = anchors,
                });
                g_autoptr(AttResult) by_peer = exchange(session, &wire, ATT_ROLE_SERVER, peer);
                g_autoptr(AttResult) by_other = exchange(session, &wire, ATT_ROLE_SERVER, other);

                if (i == 0)
                        assert_accepted(by_peer);
                else
                        assert_refused(by_peer, "peer-name", "");
                assert_refused(by_other, "peer-name", "");
        }
}
END_TEST

START_TEST(nobody_is_only_accepted_by_peer_any) {
        g_autoptr(AttPolicy) strict = scene_policy(forge, "");
        g_autoptr(AttPolicy) lax = scene_policy(forge, "peer any\n");
        g_autoptr(AttVerifierSession) no_name = open_with(
                &(AttVerifierParameters) { .role = ATT_ROLE_SERVER, .hash = ATT_HASH_SHA256, .policy = strict });
        g_autoptr(AttVerifierSession) any = open_with(
                &(AttVerifierParameters) { .role = ATT_ROLE_SERVER, .hash = ATT_HASH_SHA256, .policy = lax });
        /* A name that was given counts even so. */
        g_autoptr(AttVerifierSession) named = open_with(&(AttVerifierParameters) {
                .role = ATT_ROLE_SERVER, .hash = ATT_HASH_SHA256, .policy = lax, .handshake_key = other->spki });
        Wire wire = wire_new(ATT_HASH_SHA256, 1);
        g_autoptr(AttResult) no = exchange(no_name, &wire, ATT_ROLE_SERVER, peer);
        g_autoptr(AttResult) yes = exchange(any, &wire, ATT_ROLE_SERVER, peer);
        g_autoptr(AttResult) other_name = exchange(named, &wire, ATT_ROLE_SERVER, peer);

        assert_refused(no, "peer-name", "peer any");
        assert_accepted(yes);
        ck_assert_int_eq(scene_check(yes, "peer-name")->status, ATT_CHECK_NOT_CHECKED);
        assert_refused(other_name, "peer-name", "not that of the handshake");
}
END_TEST

START_TEST(refuses_parameters_that_contradict) {
        g_autoptr(AttPolicy) policy = scene_policy(forge, "");
        g_autoptr(GPtrArray) anchors = identity_anchors(peer);
        g_autoptr(GPtrArray) no_anchors = g_ptr_array_new();
        g_autoptr(GBytes) no_key = g_bytes_new_static("\x30\x00", 2);
        const AttVerifierParameters bad[] = {
                { .policy = NULL, .handshake_key = peer->spki },
                { .policy = policy, .peer_name = "a.example" },
                { .policy = policy, .peer_name = "a.example", .trust_anchors = no_anchors },
                { .policy = policy, .peer_name = "", .trust_anchors = anchors },
                { .policy = policy, .trust_anchors = anchors },
                { .policy = policy, .peer_name = "a.example", .trust_anchors = anchors, .handshake_key = peer->spki },
                { .policy = policy, .handshake_key = no_key },
                { .policy = policy, .local_key = no_key },
        };

        for (gsize i = 0; i < G_N_ELEMENTS(bad); i++) {
                g_autoptr(GError) error = NULL;

                ck_assert_msg(!att_verifier_session_new(&bad[i], &error), "parameters %zu", i);
                ck_assert(g_error_matches(error, ATT_ERROR, ATT_ERROR_INVALID_ARGUMENT));
        }
}
END_TEST

/* What is asked for. */

START_TEST(asks_only_for_what_the_policy_lists) {
        g_autoptr(AttVerifierSession) session = open_server();
        GBytes *context = NULL;
        static const struct {
                const char *profile;
                uint16_t code_point;
                int code;
        } bad[] = {
                { ATT_PROFILE_EXPAT_PAD, 0xff00, ATT_ERROR_PROFILE },
                { "tag:example.com,2026:x", 0xff00, ATT_ERROR_PROFILE },
                { "", 0xff00, ATT_ERROR_PROFILE },
                { ATT_PROFILE_EVIDENCE, 0, ATT_ERROR_INVALID_ARGUMENT },
        };

        for (gsize i = 0; i < G_N_ELEMENTS(bad); i++) {
                g_autoptr(GError) error = NULL;

                ck_assert(!att_verifier_session_request(session, bad[i].profile, bad[i].code_point, i % 2, &context,
                                                        &error));
                ck_assert(g_error_matches(error, ATT_ERROR, bad[i].code));
                ck_assert_ptr_null(context);
        }
}
END_TEST

/* Asked for @asked, answered with @given, under a policy that lists all. */
static AttResult *exchange_profiles(const char *asked, const char *given, GBytes *local_key) {
        g_autoptr(AttPolicy) policy =
                scene_open_policy(forge, "profile evidence/1\nprofile expat-pad\nprofile cocos\n");
        g_autoptr(AttVerifierSession) session = open_with(&(AttVerifierParameters) {
                .role = ATT_ROLE_SERVER, .hash = ATT_HASH_SHA256, .policy = policy, .local_key = local_key });
        Wire wire = wire_new(ATT_HASH_SHA256, 1);
        g_autoptr(GBytes) context = NULL;
        g_autoptr(GBytes) request = ask_for(session, asked, &context);
        g_autoptr(AttClaims) claims = scene_claims(&wire, context, peer->spki, ATT_ROLE_SERVER);
        g_autoptr(GBytes) evidence = NULL;
        uint8_t report_data[ATT_REPORT_DATA_SIZE] = { 0 };

        if (g_str_equal(given, ATT_PROFILE_EVIDENCE)) {
                evidence = scene_evidence(forge, claims);
        } else {
                AttPart part = { .data = claims->binding, .size = 32 };

                if (g_str_equal(given, ATT_PROFILE_EXPAT_PAD))
                        memcpy(report_data, claims->binding, 32);
                else
                        att_sha512(&part, 1, report_data);
                evidence = scene_collection(forge, given, NULL, report_data);
        }
        return present(session, &wire, ATT_ROLE_SERVER, context, request, peer, evidence);
}

static const char *const profiles[] = { ATT_PROFILE_EVIDENCE, ATT_PROFILE_EXPAT_PAD, ATT_PROFILE_COCOS };

/* On a connection as without one: the line of the policy decides. */
START_TEST(sc19d_sc21_sc25c_refuses_a_weak_guest_on_a_connection) {
        static const char *const weak[][2] = {
                { "tdattributes", "0000000000000000" },
                { "tdattributes", "0000003000000000" },
                { "mrservicetd", "5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e"
                                 "5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e" },
        };
        static const char *const lines[] = {
                "attributes sept-ve-disable-off\n", "attributes migratable\n", "attributes service-td\n",
        };
        g_autoptr(AttVerifierSession) session = open_server();
        g_autoptr(AttVerifierSession) lax = open_server_under(lines[_i]);
        Wire wire = wire_new(ATT_HASH_SHA256, 1);

        scene_set(forge, "version", "5");
        scene_set(forge, "body", "1.5");
        g_autoptr(AttResult) strong = exchange(session, &wire, ATT_ROLE_SERVER, peer);
        scene_set(forge, weak[_i][0], weak[_i][1]);
        g_autoptr(AttResult) no = exchange(session, &wire, ATT_ROLE_SERVER, peer);
        g_autoptr(AttResult) yes = exchange(lax, &wire, ATT_ROLE_SERVER, peer);
        assert_accepted(strong);
        assert_refused(no, "attributes", "\"attributes ");
        assert_accepted(yes);
}
END_TEST

START_TEST(accepts_the_profile_asked_for_and_no_other) {
        for (gsize given = 0; given < G_N_ELEMENTS(profiles); given++) {
                g_autoptr(AttResult) result = exchange_profiles(profiles[_i], profiles[given], NULL);

                if ((gsize) _i == given)
                        assert_accepted(result);
                else
                        assert_refused(result, "profile", "was asked for");
        }
}
END_TEST

START_TEST(sc05_refuses_one_key_at_both_ends_where_no_role_is) {
        g_autoptr(AttResult) same = exchange_profiles(ATT_PROFILE_EXPAT_PAD, ATT_PROFILE_EXPAT_PAD, peer->spki);
        g_autoptr(AttResult) same_cocos = exchange_profiles(ATT_PROFILE_COCOS, ATT_PROFILE_COCOS, peer->spki);
        g_autoptr(AttResult) differ = exchange_profiles(ATT_PROFILE_EXPAT_PAD, ATT_PROFILE_EXPAT_PAD, other->spki);
        g_autoptr(AttResult) native = exchange_profiles(ATT_PROFILE_EVIDENCE, ATT_PROFILE_EVIDENCE, peer->spki);

        assert_refused(same, "role", "our own");
        assert_refused(same_cocos, "role", "our own");
        assert_accepted(differ);
        assert_accepted(native);
}
END_TEST

START_TEST(refuses_an_authenticator_without_evidence) {
        g_autoptr(AttVerifierSession) session = open_server();
        Wire wire = wire_new(ATT_HASH_SHA256, 1);
        g_autoptr(GBytes) context = NULL;
        g_autoptr(GBytes) request = ask(session, &context);
        g_autoptr(AttResult) no = present(session, &wire, ATT_ROLE_SERVER, context, request, peer, NULL);
        g_autoptr(AttResult) yes = exchange(session, &wire, ATT_ROLE_SERVER, peer);

        assert_refused(no, "format", "attestation-missing");
        assert_accepted(yes);
}
END_TEST

START_TEST(sc11g_takes_the_empty_authenticator_for_a_refusal) {
        g_autoptr(AttVerifierSession) session = open_server();
        Wire wire = wire_new(ATT_HASH_SHA256, 1);
        g_autoptr(GBytes) context = NULL;
        g_autoptr(GBytes) request = ask(session, &context);
        g_auto(AttEaRequest) read = { 0 };
        g_auto(AttEaKeys) keys = { 0 };

        ck_assert(att_ea_request_read(request, ATT_ROLE_CLIENT, ATT_CMW_ATTESTATION_DEFAULT, &read, NULL));
        ea_keys_of(wire.hash, wire.secret, ATT_ROLE_SERVER, &keys);
        g_autoptr(GBytes) empty = att_ea_empty_new(&keys, &read);
        g_autoptr(AttResult) no = validate(session, &wire, ATT_ROLE_SERVER, context, empty);
        g_autoptr(AttResult) yes = exchange(session, &wire, ATT_ROLE_SERVER, peer);
        assert_refused(no, "authenticator", "empty-authenticator");
        assert_accepted(yes);
}
END_TEST

START_TEST(refuses_keys_that_are_not_the_peers) {
        g_autoptr(AttVerifierSession) session = open_server();
        Wire wire = wire_new(ATT_HASH_SHA256, 1), other_hash = wire_new(ATT_HASH_SHA384, 1);
        g_autoptr(GBytes) nonsense = g_bytes_new_static("nonsense", 8);
        g_autoptr(GBytes) context = NULL;
        g_autoptr(GBytes) request = ask(session, &context);
        g_autoptr(AttResult) role = validate(session, &wire, ATT_ROLE_CLIENT, context, nonsense);
        assert_refused(role, "authenticator", "not of this connection's peer");

        g_clear_pointer(&context, g_bytes_unref);
        g_autoptr(GBytes) request_2 = ask(session, &context);
        g_autoptr(AttResult) hash = validate(session, &other_hash, ATT_ROLE_SERVER, context, nonsense);
        assert_refused(hash, "authenticator", "not of this connection's peer");
}
END_TEST

/* A bare quote or report is not what an authenticator carries, whatever the policy takes as a file. */
START_TEST(refuses_evidence_in_other_forms) {
        g_autoptr(AttPolicy) takes_bare = scene_open_policy(forge, "");
        g_autoptr(AttVerifierSession) session = open_with(&(AttVerifierParameters) {
                .role = ATT_ROLE_SERVER, .hash = ATT_HASH_SHA256, .policy = takes_bare, .handshake_key = peer->spki });
        Wire wire = wire_new(ATT_HASH_SHA256, 1);
        g_autoptr(GBytes) context = NULL;
        g_autoptr(GBytes) request = ask(session, &context);
        g_autoptr(AttClaims) claims = scene_claims(&wire, context, peer->spki, ATT_ROLE_SERVER);
        g_autoptr(GBytes) c = att_claims_encode(claims, NULL);
        uint8_t report_data[ATT_REPORT_DATA_SIZE];

        scene_report_data(c, report_data);
        g_autoptr(GBytes) quote = scene_quote(forge, report_data);
        g_autoptr(AttResult) no = present(session, &wire, ATT_ROLE_SERVER, context, request, peer, quote);
        assert_refused(no, "format", "");
}
END_TEST

/* Logs beside evidence. */

static Maker *log_of(guint n) {
        Maker *m = maker_new();

        maker_boot_aggregate(m, 0xba);
        for (guint i = 1; i < n; i++)
                maker_file(m, "/usr/bin/program", (uint8_t) i);
        return m;
}

static AttVerifierSession *open_ima_session(const char *rules) {
        g_autofree char *lines = g_strconcat("ima root rtmr\n", rules, NULL);

        return open_server_under(lines);
}

static void give(AttVerifierSession *session, const Maker *log, guint from, guint to) {
        g_autoptr(GBytes) bytes = maker_slice(log, from, to);
        AttImaHistory *history = att_verifier_session_ima_log(session);

        ck_assert_uint_eq(att_verifier_session_log_next(session), from);
        ck_assert(att_ima_history_add(history, bytes, from, ATT_BANK_SHA1, NULL));
        ck_assert_int_eq(att_ima_history_work(history, 0, NULL), ATT_IMA_WORK_DONE);
}

static gint64 log_takes_us; /* from the answer to the verdict */

/* Evidence of the first @n entries of @log, of boot @boot; a quote that is one. */
static AttResult *exchange_ima(AttVerifierSession *session, const Maker *log, guint n, uint8_t boot, bool is_genuine) {
        Wire wire = wire_new(ATT_HASH_SHA256, 1);
        g_autoptr(GBytes) context = NULL;
        g_autoptr(GBytes) request = ask(session, &context);
        g_autoptr(AttClaims) claims = scene_claims(&wire, context, peer->spki, ATT_ROLE_SERVER);
        g_autoptr(GBytes) evidence = NULL, authenticator = NULL;
        char hex[97];

        for (gsize i = 0; i < 48; i++)
                g_snprintf(hex + 2 * i, 3, "%02x", log->aggregates[n][ATT_BANK_SHA384][i]);
        scene_set(forge, "rtmr3", hex);
        scene_set(forge, "flaw", is_genuine ? "none" : "bad-signature");
        memset(claims->boot_id, boot, sizeof claims->boot_id);
        claims->ima = maker_claims(log, n, "rtmr", ATT_BANK_SHA384);
        evidence = scene_evidence(forge, claims);
        authenticator = scene_authenticator(&wire, request, ATT_ROLE_SERVER, peer, evidence);
        now_us += log_takes_us;
        return validate(session, &wire, ATT_ROLE_SERVER, context, authenticator);
}

#define accepts_ima(session, log, n, boot)                                                      \
        do {                                                                                    \
                g_autoptr(AttResult) result_ = exchange_ima(session, log, n, boot, true);       \
                assert_accepted(result_);                                                       \
        } while (0)

#define refuses_ima(session, log, n, boot, is_genuine, check, detail)                           \
        do {                                                                                    \
                g_autoptr(AttResult) result_ = exchange_ima(session, log, n, boot, is_genuine); \
                assert_refused(result_, check, detail);                                         \
        } while (0)

START_TEST(says_which_logs_its_policy_needs) {
        static const struct {
                const char *rules;
                const char *logs[3];
        } cases[] = {
                { "", { NULL } },
                { "ima root rtmr\n", { "ima", NULL } },
                { "boot-log required\n", { "boot", NULL } },
                { "ima root claimed\nboot-log required\n", { "ima", "boot", NULL } },
        };

        for (gsize i = 0; i < G_N_ELEMENTS(cases); i++) {
                g_autoptr(AttPolicy) policy = scene_policy(forge, cases[i].rules);
                g_autoptr(AttVerifierSession) session = open_with(&(AttVerifierParameters) {
                        .role = ATT_ROLE_SERVER, .hash = ATT_HASH_SHA256, .policy = policy });

                ck_assert(g_strv_equal(att_verifier_session_logs(session), cases[i].logs));
                ck_assert_int_eq(att_verifier_session_ima_log(session) != NULL, strstr(cases[i].rules, "ima") != NULL);
                ck_assert_uint_eq(att_verifier_session_log_next(session), 0);
        }
}
END_TEST

START_TEST(a_log_continues_from_verdict_to_verdict) {
        g_autoptr(AttVerifierSession) session = open_ima_session("ima exclude /usr/bin/\nima require /x\n"
                "ima allow sha256:0101010101010101010101010101010101010101010101010101010101010101 /x\n");
        g_autoptr(AttVerifierSession) open = open_ima_session("");
        g_autoptr(Maker) log = log_of(20);

        give(open, log, 0, 12);
        accepts_ima(open, log, 10, 1);
        ck_assert_uint_eq(att_verifier_session_log_next(open), 12); /* the tail is kept */
        accepts_ima(open, log, 12, 1);
        ck_assert_uint_eq(att_verifier_session_log_bytes(open), 0);
        refuses_ima(open, log, 13, 1, true, "ima-log", "covers 13 entries, but only 12 were given");
        give(open, log, 12, 20);
        accepts_ima(open, log, 20, 1);

        /* Refused by policy, the entries are there still, and go on being refused. */
        give(session, log, 0, 10);
        refuses_ima(session, log, 10, 1, true, "ima", "no entry of /x");
        ck_assert_uint_eq(att_verifier_session_log_next(session), 10);
        maker_file(log, "/x", 0x01);
        give(session, log, 10, 21);
        accepts_ima(session, log, 21, 1);
        accepts_ima(session, log, 21, 1);
}
END_TEST

/* Or a peer that gives its log slowly has evidence of an hour ago accepted. */
START_TEST(sc15a_the_time_of_a_log_counts_and_what_came_of_it_is_kept) {
        g_autoptr(AttVerifierSession) session = open_ima_session("max-age 5\n");
        g_autoptr(Maker) log = log_of(20);
        g_autoptr(AttResult) late = NULL, again = NULL, in_time = NULL;

        give(session, log, 0, 12);
        log_takes_us = 5 * G_USEC_PER_SEC + 1;
        late = exchange_ima(session, log, 12, 1, true);
        assert_refused(late, "freshness", "more than 5 s");
        again = exchange_ima(session, log, 12, 1, true);
        assert_refused(again, "freshness", "more than 5 s");
        log_takes_us = 5 * G_USEC_PER_SEC;
        give(session, log, 12, 13); /* what is new, and no more, for another request */
        in_time = exchange_ima(session, log, 13, 1, true);
        log_takes_us = 0;
        assert_accepted(in_time);
}
END_TEST

/* A verdict that was right once says nothing of now. */
START_TEST(sc15b_sc16_what_was_covered_is_not_covered_again_with_less) {
        g_autoptr(AttVerifierSession) session = open_ima_session("");
        g_autoptr(Maker) log = log_of(20);

        give(session, log, 0, 20);
        accepts_ima(session, log, 20, 1);
        refuses_ima(session, log, 19, 1, true, "ima-log", "covers 19 entries, but evidence before it covered 20");
        accepts_ima(session, log, 20, 1);
}
END_TEST

START_TEST(what_is_not_the_log_can_be_given_anew) {
        g_autoptr(AttVerifierSession) session = open_ima_session("");
        g_autoptr(Maker) log = log_of(20), strange = log_of(10);

        maker_file(strange, "/usr/bin/other", 0x77);
        give(session, log, 0, 10);
        accepts_ima(session, log, 10, 1);
        give(session, strange, 10, 11);
        refuses_ima(session, log, 11, 1, true, "ima-log", "do not give the aggregate");
        ck_assert_uint_eq(att_verifier_session_log_next(session), 10);
        give(session, log, 10, 11);
        accepts_ima(session, log, 11, 1);

        /* After a reboot all of it is needed. */
        refuses_ima(session, strange, 11, 2, true, "ima-log",
                    "of another boot than before: the log is needed from entry 0");
        give(session, strange, 0, 11);
        accepts_ima(session, strange, 11, 2);
}
END_TEST

START_TEST(evidence_that_is_none_changes_nothing_of_the_log) {
        g_autoptr(AttVerifierSession) session = open_ima_session("");
        g_autoptr(Maker) log = log_of(20), strange = log_of(10);

        give(session, log, 0, 10);
        accepts_ima(session, log, 10, 1);
        give(session, log, 10, 20);
        maker_file(strange, "/usr/bin/other", 0x77);
        refuses_ima(session, strange, 11, 1, false, "quote-signature", "");
        refuses_ima(session, strange, 11, 2, false, "quote-signature", "");
        ck_assert_uint_eq(att_verifier_session_log_next(session), 20);
        accepts_ima(session, log, 20, 1);
}
END_TEST

int main(void) {
        Suite *s = suite_create("session");
        TCase *c = tcase_create("session");

        tcase_set_timeout(c, 60);
        tcase_add_checked_fixture(c, set_up, tear_down);
        tcase_add_loop_test(c, accepts_either_role_with_either_hash, 0, 4);
        tcase_add_test(c, sc01_refuses_evidence_of_another_session);
        tcase_add_test(c, sc01_refuses_evidence_for_the_same_context_on_another_connection);
        tcase_add_test(c, sc01_refuses_an_authenticator_of_another_connection);
        tcase_add_test(c, refuses_evidence_for_another_key);
        tcase_add_test(c, refuses_a_key_hash_of_another_key);
        tcase_add_test(c, sc05a_refuses_a_clients_own_evidence_as_client);
        tcase_add_test(c, sc05b_refuses_a_servers_own_evidence_as_server);
        tcase_add_test(c, sc05_refuses_a_context_that_the_peer_used_too);
        tcase_add_test(c, sc14a_gives_every_request_its_own_context);
        tcase_add_test(c, sc14b_makes_contexts_of_32_bytes);
        tcase_add_test(c, sc14c_makes_no_request_without_random_bytes);
        tcase_add_test(c, sc15a_holds_the_maximum_age);
        tcase_add_test(c, uses_a_request_up_whatever_the_verdict);
        tcase_add_test(c, a_new_request_makes_the_former_void);
        tcase_add_test(c, sc40c_refusals_leave_no_trace);
        tcase_add_test(c, sc40d_an_expired_request_ends_no_session);
        tcase_add_test(c, the_peer_has_the_key_of_the_handshake);
        tcase_add_test(c, the_peer_has_a_certificate_for_its_name);
        tcase_add_test(c, nobody_is_only_accepted_by_peer_any);
        tcase_add_test(c, refuses_parameters_that_contradict);
        tcase_add_test(c, asks_only_for_what_the_policy_lists);
        tcase_add_loop_test(c, sc19d_sc21_sc25c_refuses_a_weak_guest_on_a_connection, 0, 3);
        tcase_add_loop_test(c, accepts_the_profile_asked_for_and_no_other, 0, G_N_ELEMENTS(profiles));
        tcase_add_test(c, sc05_refuses_one_key_at_both_ends_where_no_role_is);
        tcase_add_test(c, refuses_an_authenticator_without_evidence);
        tcase_add_test(c, sc11g_takes_the_empty_authenticator_for_a_refusal);
        tcase_add_test(c, refuses_keys_that_are_not_the_peers);
        tcase_add_test(c, refuses_evidence_in_other_forms);
        tcase_add_test(c, says_which_logs_its_policy_needs);
        tcase_add_test(c, a_log_continues_from_verdict_to_verdict);
        tcase_add_test(c, sc15a_the_time_of_a_log_counts_and_what_came_of_it_is_kept);
        tcase_add_test(c, sc15b_sc16_what_was_covered_is_not_covered_again_with_less);
        tcase_add_test(c, what_is_not_the_log_can_be_given_anew);
        tcase_add_test(c, evidence_that_is_none_changes_nothing_of_the_log);
        suite_add_tcase(s, c);
        return run_suite(s);
}
