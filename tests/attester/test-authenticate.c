/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Authenticators that attestd makes: how many, how long, for whom. */
#include "attester/authenticate.h"

#include "codec/evidence.h"
#include "codec/inclusion-proof.h"
#include "codec/tls-handshake.h"
#include "exporter.h"
#include "pki.h"
#include "run.h"
#include "tee-double.h"
#include "util/error.h"

#include <malloc.h>

/* Linked with --wrap: time passes when the test says so. */
gint64 __wrap_g_get_monotonic_time(void);
gint64 __real_g_get_monotonic_time(void);

static gint64 ahead_us;

gint64 __wrap_g_get_monotonic_time(void) {
        return __real_g_get_monotonic_time() + ahead_us;
}

static const uint8_t secret[ATT_HASH_SIZE_MAX] = { 7, 7, 7 };

static AttConfiguration *configuration;
static AttAttester *attester;
static EVP_PKEY *leaf_key;
static GPtrArray *certificates;

static void on_changed_state(AttAttester *a, gpointer userdata) {
        (void) a, (void) userdata;
}

static const AttAttesterEvents attester_events = {
        .tee_changed = on_changed_state,
        .runtime_changed = on_changed_state,
};

static void on_stale(AttSession *s, uint64_t generation, const char *const *reasons) {
        (void) s, (void) generation, (void) reasons;
}

static void on_changed(AttSession *s) {
        (void) s;
}

static const AttSessionEvents events = { .stale = on_stale, .changed = on_changed };

static GPtrArray *chain_of(EVP_PKEY *key, const char *comment) {
        const PkiSpec spec = {
                .cn = "leaf",
                .extensions = { PKI_LEAF, { comment ? "nsComment" : NULL, comment } },
        };
        g_autoptr(X509) x509 = pki_issue(&spec, key, NULL, NULL);
        GPtrArray *chain = g_ptr_array_new_with_free_func((GDestroyNotify) g_bytes_unref);

        g_ptr_array_add(chain, pki_der(x509));
        return chain;
}

static void set_up(void) {
        ahead_us = 0;
        configuration = att_configuration_new();
        g_hash_table_add(configuration->foreign_namespaces.uids, GUINT_TO_POINTER(1000));
        g_hash_table_add(configuration->foreign_namespaces.uids, GUINT_TO_POINTER(1001));
        attester = att_attester_new(configuration, NULL, &attester_events, NULL, NULL);
        leaf_key = pki_key("ED25519");
        certificates = chain_of(leaf_key, NULL);
}

static void tear_down(void) {
        ck_assert_uint_eq(att_attester_n_sessions(attester), 0);
        att_attester_free(attester);
        att_configuration_free(configuration);
        EVP_PKEY_free(leaf_key);
        g_ptr_array_unref(certificates);
}

static AttConnection *connection_of(uint32_t uid) {
        AttPeer peer = { .uid = uid, .pidfd = -1 };
        g_autoptr(AttCaller) caller = att_caller_new(&peer, configuration, NULL);

        return att_connection_new(attester, caller);
}

static AttSession *open_as(AttConnection *c, AttRole role, AttHash hash) {
        const AttSessionParameters parameters = { .role = role, .hash = hash };
        AttSession *s = att_session_open(c, &parameters, &events, NULL, NULL);

        ck_assert(s);
        return s;
}

static AttSession *open_session(void) {
        g_autoptr(AttConnection) c = connection_of(1000);

        return open_as(c, ATT_ROLE_SERVER, ATT_HASH_SHA256);
}

/* ----- what a caller has */

typedef struct Answer {
        bool is_there;
        GError *error;
        guint64 handle;
        uint16_t scheme;
        GBytes *to_be_signed;
} Answer;

static void answer_clear(Answer *a) {
        g_clear_error(&a->error);
        g_clear_pointer(&a->to_be_signed, g_bytes_unref);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Answer, answer_clear)

static void on_begun(const AttBegun *begun, GError *error, gpointer userdata) {
        Answer *a = userdata;

        ck_assert(!a->is_there);
        ck_assert(!begun == !!error);
        a->is_there = true;
        a->error = error;
        if (!begun)
                return;
        a->handle = begun->handle;
        a->scheme = begun->scheme;
        a->to_be_signed = g_bytes_ref(begun->to_be_signed);
}

static GBytes *request_to(AttRole role, GBytes **ret_context) {
        return att_ea_request_new(att_role_other(role), ATT_CMW_ATTESTATION_DEFAULT, ret_context, NULL);
}

/* Its keys and its exported value are those of the connection that @secret is of. */
static AttAuthenticatorRequest answer_to(GBytes *request, AttRole role, AttHash hash) {
        static uint8_t exported[ATT_EXPORTED_SIZE];
        const uint8_t *bytes = g_bytes_get_data(request, NULL);
        AttAuthenticatorRequest q = {
                .request = request,
                .exported = exported,
                .certificates = certificates,
                .cmw_attestation = ATT_CMW_ATTESTATION_DEFAULT,
                .timeout_ms = ATT_TIMEOUT_MS_DEFAULT,
        };

        tls_exporter(hash, secret, ATT_EXPORTER_LABEL, bytes + 5, bytes[4], NULL, exported, sizeof exported);
        ea_keys_of(hash, secret, role, &q.keys);
        return q;
}

static gboolean begin(AttSession *s, Answer *a, GError **error) {
        g_autoptr(GBytes) context = NULL, request = request_to(att_session_role(s), &context);
        const AttAuthenticatorRequest q = answer_to(request, att_session_role(s), att_session_hash(s));

        return att_session_begin_authenticator(s, &q, on_begun, a, error);
}

static void settle(void) {
        while (g_main_context_iteration(NULL, FALSE))
                ;
}

static void begin_now(AttSession *s, Answer *a) {
        tee_double_answer_all();
        ck_assert(begin(s, a, NULL));
        settle();
        ck_assert(a->to_be_signed);
}

static guint64 decline_now(AttSession *s, GError **error) {
        g_autoptr(GBytes) context = NULL, request = request_to(att_session_role(s), &context);
        const AttAuthenticatorRequest q = answer_to(request, att_session_role(s), att_session_hash(s));
        guint64 handle = 0;

        return att_session_decline(s, &q, &handle, error) ? handle : 0;
}

static GBytes *sign(const Answer *a) {
        return pki_sign(leaf_key, a->scheme, g_bytes_get_data(a->to_be_signed, NULL),
                        g_bytes_get_size(a->to_be_signed));
}

static GBytes *finish(AttSession *s, const Answer *a, GError **error) {
        g_autoptr(GBytes) signature = sign(a);

        return att_drafts_finish(att_session_drafts(s), a->handle, signature, error);
}

static void finishes(AttSession *s, const Answer *a) {
        g_autoptr(GBytes) authenticator = finish(s, a, NULL);

        ck_assert(authenticator);
}

static void is_gone(AttSession *s, const Answer *a) {
        g_autoptr(GError) error = NULL;

        ck_assert_ptr_null(finish(s, a, &error));
        ck_assert(g_error_matches(error, ATT_ERROR, ATT_ERROR_INVALID_ARGUMENT));
}

/* ----- made */

START_TEST(makes_what_a_relying_party_takes) {
        const AttRole role = (AttRole) (_i / 2);
        const AttHash hash = (AttHash) (_i % 2);
        g_autoptr(AttConnection) c = connection_of(1000);
        AttSession *s = open_as(c, role, hash);
        g_autoptr(GBytes) context = NULL, request = request_to(role, &context);
        g_autoptr(GBytes) authenticator = NULL, spki = pki_spki(leaf_key);
        const AttAuthenticatorRequest q = answer_to(request, role, hash);
        g_auto(AttEaIdentity) identity = { 0 };
        g_auto(AttEaKeys) keys = { 0 };
        g_autoptr(AttEvidence) evidence = NULL;
        g_autoptr(AttClaims) claims = NULL;
        uint8_t binding[ATT_HASH_SIZE_MAX];
        g_auto(Answer) a = { 0 };

        tee_double_answer_all();
        ck_assert(att_session_begin_authenticator(s, &q, on_begun, &a, NULL));
        ck_assert(!a.is_there);
        settle();
        authenticator = finish(s, &a, NULL);
        ea_keys_of(hash, secret, role, &keys);
        ck_assert(att_ea_validate(&keys, request, ATT_CMW_ATTESTATION_DEFAULT, authenticator, &identity, NULL));
        ck_assert(g_bytes_equal(identity.spki, spki));

        evidence = att_evidence_decode(identity.cmw, NULL);
        claims = att_claims_decode(evidence->claims, NULL);
        att_ea_binding(hash, spki, q.exported, binding);
        ck_assert_mem_eq(claims->binding, binding, att_hash_size(hash));
        ck_assert_int_eq(claims->role, role);
        att_session_close(s);
}
END_TEST

/* They share a report, and each has its own claims and its own proof. */
START_TEST(authenticators_of_a_batch_share_a_report) {
        enum { N = 5 };
        AttSession *sessions[N];
        GBytes *contexts[N], *requests[N];
        Answer answers[N] = { 0 };

        for (guint i = 0; i < N; i++) {
                AttAuthenticatorRequest q;

                sessions[i] = open_session();
                requests[i] = request_to(ATT_ROLE_SERVER, &contexts[i]);
                q = answer_to(requests[i], ATT_ROLE_SERVER, ATT_HASH_SHA256);
                q.batch = i > 0;
                ck_assert(att_session_begin_authenticator(sessions[i], &q, on_begun, &answers[i], NULL));
                if (i == 0)
                        settle();
        }
        tee_double_answer();
        settle();
        tee_double_answer();
        settle();
        ck_assert_uint_eq(tee_double_asked->len, 2);
        for (guint i = 0; i < N; i++) {
                g_autoptr(GBytes) authenticator = finish(sessions[i], &answers[i], NULL);
                g_auto(AttEaIdentity) identity = { 0 };
                g_auto(AttEaKeys) keys = { 0 };
                g_autoptr(AttEvidence) evidence = NULL;
                AttInclusionProof proof;

                ea_keys_of(ATT_HASH_SHA256, secret, ATT_ROLE_SERVER, &keys);
                ck_assert(att_ea_validate(&keys, requests[i], ATT_CMW_ATTESTATION_DEFAULT, authenticator, &identity,
                                          NULL));
                evidence = att_evidence_decode(identity.cmw, NULL);
                ck_assert(evidence && (evidence->proof != NULL) == (i > 0));
                if (i > 0) {
                        ck_assert(att_inclusion_proof_decode(evidence->proof, &proof, NULL));
                        ck_assert(proof.n == N - 1 && proof.index == i - 1);
                }
                answer_clear(&answers[i]);
                g_bytes_unref(requests[i]);
                g_bytes_unref(contexts[i]);
                att_session_close(sessions[i]);
        }
}
END_TEST

/* Evidence of any size that Attest gives fits beside certificates of any size that are taken. */
START_TEST(the_largest_evidence_fits_beside_the_largest_certificates) {
        g_autofree char *comment = g_strnfill(ATT_CERTIFICATES_SIZE_MAX - 500, 'x');
        g_autoptr(GPtrArray) large = chain_of(leaf_key, comment), larger = NULL;
        AttSession *s = open_session();
        g_autoptr(GBytes) context = NULL, request = request_to(ATT_ROLE_SERVER, &context);
        AttAuthenticatorRequest q = answer_to(request, ATT_ROLE_SERVER, ATT_HASH_SHA256);
        g_autoptr(GError) error = NULL;
        g_auto(Answer) a = { 0 }, b = { 0 };
        gsize size;

        tee_double_answer_all();
        tee_double_set_outblob_size(ATT_CMW_SIZE_MAX - 700);
        q.certificates = large;
        ck_assert_uint_gt(g_bytes_get_size(large->pdata[0]), ATT_CERTIFICATES_SIZE_MAX - 500);
        ck_assert(att_session_begin_authenticator(s, &q, on_begun, &a, NULL));
        settle();
        ck_assert(a.to_be_signed);
        finishes(s, &a);

        /* One byte too many, of either. */
        size = g_bytes_get_size(large->pdata[0]);
        larger = g_ptr_array_copy(large, (GCopyFunc) (void *) g_bytes_ref, NULL);
        g_ptr_array_set_free_func(larger, (GDestroyNotify) g_bytes_unref);
        g_ptr_array_add(larger, g_bytes_new_take(g_malloc0(ATT_CERTIFICATES_SIZE_MAX - size + 1),
                                                 ATT_CERTIFICATES_SIZE_MAX - size + 1));
        q.certificates = larger;
        ck_assert(!att_session_begin_authenticator(s, &q, on_begun, NULL, &error));
        ck_assert(g_error_matches(error, ATT_ERROR, ATT_ERROR_INVALID_ARGUMENT));
        tee_double_set_outblob_size(ATT_CMW_SIZE_MAX);
        ck_assert(begin(s, &b, NULL));
        settle();
        ck_assert(g_error_matches(b.error, ATT_ERROR, ATT_ERROR_TOO_LARGE));
        att_session_close(s);
}
END_TEST

/* ----- time */

START_TEST(those_that_wait_have_the_report_once_for_all) {
        enum { N = 64, OUTBLOB = 32768 };
        g_autoptr(AttConnection) c = connection_of(1000);
        AttSession *sessions[N];
        Answer answers[N] = { 0 };
        gsize before, size;

        tee_double_set_outblob_size(OUTBLOB);
        for (guint i = 0; i < N; i++) {
                g_autoptr(GBytes) context = NULL, request = request_to(ATT_ROLE_SERVER, &context);
                AttAuthenticatorRequest q = answer_to(request, ATT_ROLE_SERVER, ATT_HASH_SHA256);

                sessions[i] = open_as(c, ATT_ROLE_SERVER, ATT_HASH_SHA256);
                q.batch = true;
                ck_assert(att_session_begin_authenticator(sessions[i], &q, on_begun, &answers[i], NULL));
        }
        settle();
        before = mallinfo2().uordblks;
        tee_double_answer();
        settle();
        size = mallinfo2().uordblks - before; /* a tool that looks after the heap says 0 of both */
        ck_assert_int_lt((gssize) size, 4 * OUTBLOB + N * 4096);
        for (guint i = 0; i < N; i++) {
                g_autoptr(GBytes) authenticator = finish(sessions[i], &answers[i], NULL);

                ck_assert(authenticator && g_bytes_get_size(authenticator) > OUTBLOB);
                answer_clear(&answers[i]);
                att_session_close(sessions[i]);
        }
}
END_TEST

START_TEST(a_handle_lives_for_a_minute) {
        AttSession *s = open_session();
        g_auto(Answer) in_time = { 0 }, late = { 0 }, last = { 0 };

        begin_now(s, &in_time);
        begin_now(s, &late);
        ahead_us += (ATT_DRAFT_LIFETIME_S - 10) * G_USEC_PER_SEC;
        begin_now(s, &last);
        finishes(s, &in_time);
        ahead_us += 10 * G_USEC_PER_SEC;
        is_gone(s, &late);
        finishes(s, &last);
        att_session_close(s);
}
END_TEST

/* Nobody calls any more; what is secret goes all the same. */
START_TEST(sc45c_what_is_not_finished_does_not_stay) {
        g_autoptr(AttConnection) c = connection_of(1000);
        AttSession *s = open_as(c, ATT_ROLE_SERVER, ATT_HASH_SHA256);
        g_auto(Answer) first = { 0 }, second = { 0 };

        begin_now(s, &first);
        ahead_us += 30 * G_USEC_PER_SEC;
        begin_now(s, &second);
        for (guint left = 2; left > 0; left--) {
                GSource *alarm = g_main_context_find_source_by_user_data(NULL, att_session_drafts(s));

                ck_assert(alarm);
                g_source_set_ready_time(alarm, 0); /* too early: it is set anew */
                settle();
                ck_assert_uint_eq(c->user->n_drafts, left);
                ahead_us += 30 * G_USEC_PER_SEC;
                alarm = g_main_context_find_source_by_user_data(NULL, att_session_drafts(s));
                g_source_set_ready_time(alarm, 0);
                settle();
                ck_assert_uint_eq(c->user->n_drafts, left - 1);
        }
        ck_assert(!g_main_context_find_source_by_user_data(NULL, att_session_drafts(s)));
        is_gone(s, &second);
        att_session_close(s);
}
END_TEST

START_TEST(time_that_is_over_makes_room) {
        AttSession *s = open_session();
        g_autoptr(GError) error = NULL;

        for (guint i = 0; i < ATT_DRAFTS_MAX; i++)
                ck_assert(decline_now(s, NULL));
        ck_assert(!decline_now(s, &error));
        ck_assert(g_error_matches(error, ATT_ERROR, ATT_ERROR_LIMIT_REACHED));
        ahead_us += ATT_DRAFT_LIFETIME_S * G_USEC_PER_SEC;
        ck_assert(decline_now(s, NULL));
        att_session_close(s);
}
END_TEST

/* ----- how many */

START_TEST(those_being_made_have_their_places) {
        AttSession *s = open_session();
        g_auto(Answer) a = { 0 }, b = { 0 }, c = { 0 }, d = { 0 };
        g_autoptr(GError) error = NULL;
        Answer *const all[] = { &a, &b, &c };

        ck_assert(decline_now(s, NULL));
        for (guint i = 0; i < G_N_ELEMENTS(all); i++)
                ck_assert(begin(s, all[i], NULL));
        ck_assert(!begin(s, &d, &error));
        ck_assert(g_error_matches(error, ATT_ERROR, ATT_ERROR_LIMIT_REACHED));

        settle();
        tee_double_fail(ATT_ERROR_FAILED, "no"); /* it leaves its place */
        settle();
        ck_assert(a.error);
        ck_assert(begin(s, &d, NULL));
        tee_double_answer_all();
        tee_double_answer();
        settle();
        ck_assert(b.to_be_signed && c.to_be_signed && d.to_be_signed);
        finishes(s, &d);
        finishes(s, &b);
        finishes(s, &c);
        att_session_close(s);
}
END_TEST

/* What is declined costs its caller nothing, and us what we remember of it. */
START_TEST(a_session_declines_so_often) {
        g_autoptr(GBytes) nothing = g_bytes_new(NULL, 0);
        AttSession *s = open_session();
        g_autoptr(GError) error = NULL;
        g_auto(Answer) a = { 0 };

        for (guint i = 0; i < ATT_SESSION_DECLINES_MAX; i++) {
                guint64 handle = decline_now(s, NULL);
                g_autoptr(GBytes) refusal = att_drafts_finish(att_session_drafts(s), handle, nothing, NULL);

                ck_assert(refusal);
        }
        ck_assert(!decline_now(s, &error));
        ck_assert(g_error_matches(error, ATT_ERROR, ATT_ERROR_LIMIT_REACHED));
        begin_now(s, &a); /* evidence it still has */
        finishes(s, &a);
        att_session_close(s);
}
END_TEST

START_TEST(a_user_has_so_many_and_another_one_is_not_concerned) {
        g_autoptr(AttConnection) c = connection_of(1000), d = connection_of(1001);
        AttSession *sessions[ATT_DRAFTS_PER_USER_MAX / ATT_DRAFTS_MAX], *more, *other;
        g_autoptr(GBytes) nothing = g_bytes_new(NULL, 0), refusal = NULL;
        g_autoptr(GError) error = NULL;
        guint64 handle = 0;

        for (guint i = 0; i < G_N_ELEMENTS(sessions); i++) {
                sessions[i] = open_as(c, ATT_ROLE_SERVER, ATT_HASH_SHA256);
                for (guint k = 0; k < ATT_DRAFTS_MAX; k++) {
                        guint64 next = decline_now(sessions[i], NULL);

                        ck_assert_uint_gt(next, handle); /* of all sessions: no two are alike */
                        handle = next;
                }
        }
        more = open_as(c, ATT_ROLE_SERVER, ATT_HASH_SHA256);
        other = open_as(d, ATT_ROLE_SERVER, ATT_HASH_SHA256);
        ck_assert(!decline_now(more, &error));
        ck_assert(g_error_matches(error, ATT_ERROR, ATT_ERROR_LIMIT_REACHED));
        ck_assert(decline_now(other, NULL));

        refusal = att_drafts_finish(att_session_drafts(sessions[G_N_ELEMENTS(sessions) - 1]), handle, nothing, NULL);
        ck_assert(refusal);
        ck_assert(decline_now(more, NULL));
        for (guint i = 0; i < G_N_ELEMENTS(sessions); i++)
                att_session_close(sessions[i]);
        ck_assert_uint_eq(c->user->n_drafts, 1);
        att_session_close(more);
        att_session_close(other);
}
END_TEST

/* ----- ends */

START_TEST(closing_answers_what_is_being_made_and_forgets_the_rest) {
        g_autoptr(AttConnection) connection = connection_of(1000);
        AttSession *s = open_as(connection, ATT_ROLE_SERVER, ATT_HASH_SHA256);
        g_auto(Answer) kept = { 0 }, under_way = { 0 }, waiting = { 0 };

        ck_assert(begin(s, &kept, NULL));
        settle();
        tee_double_answer();
        settle();
        ck_assert(begin(s, &under_way, NULL));
        ck_assert(begin(s, &waiting, NULL));
        settle();
        att_session_close(s);
        ck_assert(g_error_matches(under_way.error, ATT_ERROR, ATT_ERROR_CANCELLED));
        ck_assert(g_error_matches(waiting.error, ATT_ERROR, ATT_ERROR_CANCELLED));
        ck_assert_uint_eq(connection->user->n_drafts, 0);
        tee_double_answer(); /* for nobody */
        settle();
}
END_TEST

START_TEST(a_handle_is_good_once_and_in_its_session) {
        AttSession *s = open_session(), *t = open_session();
        g_autoptr(GBytes) wrong = g_bytes_new("x", 1);
        g_autoptr(GError) error = NULL;
        g_auto(Answer) a = { 0 }, b = { 0 };

        begin_now(s, &a);
        begin_now(t, &b);
        is_gone(t, &a);
        finishes(s, &a);
        is_gone(s, &a);
        ck_assert_ptr_null(att_drafts_finish(att_session_drafts(t), b.handle, wrong, &error));
        ck_assert(g_error_matches(error, ATT_ERROR, ATT_ERROR_REFUSED));
        is_gone(t, &b);
        ck_assert_ptr_null(att_drafts_finish(att_session_drafts(t), 0, wrong, NULL));
        att_session_close(s);
        att_session_close(t);
}
END_TEST

/* Whatever is wrong with a call is found before the device is asked, and changes nothing. */
START_TEST(refuses_before_the_tee_is_asked) {
        AttSession *s = open_session();
        g_autoptr(GBytes) context = NULL, other_context = NULL, bare_context = NULL;
        g_autoptr(GBytes) good = request_to(ATT_ROLE_SERVER, &context);
        g_autoptr(GBytes) misled = request_to(ATT_ROLE_CLIENT, &other_context);
        g_autoptr(GBytes) cut = g_bytes_new_from_bytes(good, 0, g_bytes_get_size(good) - 1);
        g_autoptr(GBytes) bare = att_ea_request_new(ATT_ROLE_CLIENT, 0, &bare_context, NULL);
        g_autoptr(GArray) schemes = g_array_new(FALSE, FALSE, sizeof(uint16_t));
        g_autoptr(GPtrArray) none = g_ptr_array_new();
        const AttAuthenticatorRequest all_good = answer_to(good, ATT_ROLE_SERVER, ATT_HASH_SHA256);
        AttAuthenticatorRequest rows[8];
        const AttError codes[G_N_ELEMENTS(rows)] = {
                ATT_ERROR_BAD_DATA, ATT_ERROR_BAD_DATA, ATT_ERROR_REFUSED, ATT_ERROR_REFUSED,
                ATT_ERROR_INVALID_ARGUMENT, ATT_ERROR_INVALID_ARGUMENT, ATT_ERROR_INVALID_ARGUMENT, ATT_ERROR_PROFILE,
        };
        g_auto(Answer) a = { 0 };

        for (guint i = 0; i < G_N_ELEMENTS(rows); i++)
                rows[i] = all_good;
        rows[0].request = cut;
        rows[1].request = misled;
        rows[2].request = bare;
        rows[3].schemes = schemes;
        rows[4].certificates = none;
        rows[5].keys = (AttEaKeys) { 0 };
        rows[6].timeout_ms = 0;
        rows[7].profile = "another";
        for (guint i = 0; i < G_N_ELEMENTS(rows); i++) {
                g_autoptr(GError) error = NULL;

                ck_assert(!att_session_begin_authenticator(s, &rows[i], on_begun, NULL, &error));
                ck_assert_msg(g_error_matches(error, ATT_ERROR, (gint) codes[i]), "%u: %s", i, error->message);
        }
        settle();
        ck_assert_uint_eq(tee_double_asked->len, 0);

        tee_double_answer_all();
        ck_assert(att_session_begin_authenticator(s, &all_good, on_begun, &a, NULL));
        settle();
        finishes(s, &a);
        att_session_close(s);
}
END_TEST

/* Those whose report is being made count: one report might make thousands. */
START_TEST(a_user_has_so_many_under_way) {
        g_autoptr(AttConnection) c = connection_of(1000);
        AttSession *sessions[ATT_DRAFTS_PER_USER_MAX / ATT_DRAFTS_MAX], *more;
        Answer *answers = g_new0(Answer, ATT_DRAFTS_PER_USER_MAX + 1);
        g_autoptr(GError) error = NULL;

        for (guint i = 0; i < G_N_ELEMENTS(sessions); i++) {
                sessions[i] = open_as(c, ATT_ROLE_SERVER, ATT_HASH_SHA256);
                for (guint k = 0; k < ATT_DRAFTS_MAX; k++)
                        ck_assert(begin(sessions[i], &answers[i * ATT_DRAFTS_MAX + k], NULL));
        }
        more = open_as(c, ATT_ROLE_SERVER, ATT_HASH_SHA256);
        ck_assert(!begin(more, &answers[ATT_DRAFTS_PER_USER_MAX], &error));
        ck_assert(g_error_matches(error, ATT_ERROR, ATT_ERROR_LIMIT_REACHED));
        ck_assert_uint_eq(c->user->n_drafts, ATT_DRAFTS_PER_USER_MAX);
        for (guint i = 0; i < G_N_ELEMENTS(sessions); i++)
                att_session_close(sessions[i]);
        ck_assert_uint_eq(c->user->n_drafts, 0);
        ck_assert(begin(more, &answers[ATT_DRAFTS_PER_USER_MAX], NULL));
        att_session_close(more);
        for (guint i = 0; i <= ATT_DRAFTS_PER_USER_MAX; i++)
                answer_clear(&answers[i]);
        g_free(answers);
}
END_TEST

int main(void) {
        Suite *s = suite_create("authenticate");
        TCase *t = tcase_create("authenticate");

        tcase_add_checked_fixture(t, set_up, tear_down);
        tcase_add_loop_test(t, makes_what_a_relying_party_takes, 0, 4);
        tcase_add_test(t, authenticators_of_a_batch_share_a_report);
        tcase_add_test(t, a_user_has_so_many_under_way);
        tcase_add_test(t, the_largest_evidence_fits_beside_the_largest_certificates);
        tcase_add_test(t, those_that_wait_have_the_report_once_for_all);
        tcase_add_test(t, a_handle_lives_for_a_minute);
        tcase_add_test(t, sc45c_what_is_not_finished_does_not_stay);
        tcase_add_test(t, time_that_is_over_makes_room);
        tcase_add_test(t, those_being_made_have_their_places);
        tcase_add_test(t, a_session_declines_so_often);
        tcase_add_test(t, a_user_has_so_many_and_another_one_is_not_concerned);
        tcase_add_test(t, closing_answers_what_is_being_made_and_forgets_the_rest);
        tcase_add_test(t, a_handle_is_good_once_and_in_its_session);
        tcase_add_test(t, refuses_before_the_tee_is_asked);
        suite_add_tcase(s, t);
        return run_suite(s);
}
