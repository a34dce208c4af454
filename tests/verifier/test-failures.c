/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SC-43: whatever fails on the way, and wherever, the verdict is no. Every call
 * that verification rests on is made to fail, one after the other: linked with
 * --wrap. */
#include "scene.h"

#include "codec/certificate-table.h"
#include "codec/snp-report.h"
#include "codec/tdx-quote.h"
#include "ea/exporter.h"
#include "tee-simulator/forge-snp.h"
#include "util/error.h"

#include "run.h"

/* The calls that have succeeded so far, and the one that is not to. */
static guint n_calls, fail_at;
static const char *failed;

/* May this success be passed on? */
static bool may(const char *what, GError **error) {
        if (++n_calls != fail_at)
                return true;
        failed = what;
        if (error && !*error)
                (void) att_error_set(error, ATT_ERROR_FAILED, "made to fail");
        return false;
}

#define WRAP_BOOLEAN(name, parameters, arguments, error)        \
        gboolean __real_##name parameters;                      \
        gboolean __wrap_##name parameters;                      \
        gboolean __wrap_##name parameters {                     \
                return __real_##name arguments && may(#name, error); \
        }

#define WRAP_POINTER(type, name, parameters, arguments, clear, error) \
        type __real_##name parameters;                          \
        type __wrap_##name parameters;                          \
        type __wrap_##name parameters {                         \
                type real = __real_##name arguments;            \
                if (real && !may(#name, error)) {               \
                        clear(real);                            \
                        return NULL;                            \
                }                                               \
                return real;                                    \
        }

WRAP_POINTER(AttEvidence *, att_evidence_decode, (GBytes *b, GError **e), (b, e), att_evidence_free, e)
WRAP_POINTER(AttClaims *, att_claims_decode, (GBytes *b, GError **e), (b, e), att_claims_free, e)
WRAP_BOOLEAN(att_tdx_quote_parse, (GBytes *b, AttTdxQuote *r, GError **e), (b, r, e), e)
WRAP_POINTER(AttKey *, att_key_from_p256_point, (const uint8_t xy[64], GError **e), (xy, e), att_key_free, e)
WRAP_POINTER(AttKey *, att_key_from_spki, (GBytes *b, GError **e), (b, e), att_key_free, e)
WRAP_POINTER(AttKey *, att_certificate_dup_key, (const AttCertificate *c, GError **e), (c, e), att_key_free, e)
WRAP_BOOLEAN(att_key_verify_raw, (const AttKey *k, const void *m, size_t n, const uint8_t s[64], GError **e),
             (k, m, n, s, e), e)
WRAP_BOOLEAN(att_key_verify,
             (const AttKey *k, uint16_t c, const void *m, size_t n, const void *s, size_t z, GError **e),
             (k, c, m, n, s, z, e), e)
WRAP_POINTER(GPtrArray *, att_certificates_from_pem, (const void *p, size_t n, GError **e), (p, n, e),
             g_ptr_array_unref, e)
WRAP_POINTER(AttCertificate *, att_certificate_from_der, (const void *p, size_t n, GError **e), (p, n, e),
             att_certificate_unref, e)
WRAP_BOOLEAN(att_chain_verify, (GPtrArray *c, GPtrArray *r, int64_t t, GError **e), (c, r, t, e), e)
WRAP_BOOLEAN(att_chain_verify_name, (GPtrArray *c, GPtrArray *a, const char *n, bool s, int64_t t, GError **e),
             (c, a, n, s, t, e), e)
WRAP_BOOLEAN(att_pck_extension_parse, (const AttCertificate *c, AttPckExtension *r, GError **e), (c, r, e), e)
WRAP_BOOLEAN(att_snp_report_parse, (GBytes *b, AttSnpReport *r, GError **e), (b, r, e), e)
WRAP_BOOLEAN(att_certificate_table_parse, (GBytes *b, AttCertificateTable *r, GError **e), (b, r, e), e)
WRAP_POINTER(GPtrArray *, att_certificates_from_bytes, (const void *p, size_t n, GError **e), (p, n, e),
             g_ptr_array_unref, e)
WRAP_BOOLEAN(att_vek_extensions_parse, (const AttCertificate *c, AttVekExtensions *r, GError **e), (c, r, e), e)
WRAP_BOOLEAN(att_key_verify_p384_le,
             (const AttKey *k, const void *m, size_t n, const uint8_t r[72], const uint8_t s[72], GError **e),
             (k, m, n, r, s, e), e)
WRAP_BOOLEAN(att_ea_validate, (const AttEaKeys *k, GBytes *q, uint16_t c, GBytes *a, AttEaIdentity *r, GError **e),
             (k, q, c, a, r, e), e)

/* Equality that is found and not passed on. */
bool __real_att_equal(const void *a, const void *b, size_t size);
bool __wrap_att_equal(const void *a, const void *b, size_t size);
bool __wrap_att_equal(const void *a, const void *b, size_t size) {
        return __real_att_equal(a, b, size) && may("att_equal", NULL);
}

static Forge *forge;
static SnpForge *snp_forge;
static Identity *peer;
static AttPolicy *policy;
static GPtrArray *anchors;

static void set_up(void) {
        fail_at = 0;
        forge = forge_new(NULL, NULL);
        peer = identity_new("server.example");
        policy = scene_policy(forge, "machine ppid 11111111111111111111111111111111\n");
        anchors = identity_anchors(peer);
}

static void make_snp_forge(void) {
        g_autoptr(GByteArray) table = NULL;

        snp_forge = snp_forge_new(NULL, NULL);
        table = snp_forge_table(snp_forge);
}

static void drop_snp_forge(void) {
        snp_forge_free(snp_forge);
}

static void tear_down(void) {
        fail_at = 0;
        forge_free(forge);
        identity_free(peer);
        att_policy_unref(policy);
        g_ptr_array_unref(anchors);
}

static AttResult *on_a_connection(bool by_name) {
        AttVerifierParameters parameters = { .role = ATT_ROLE_SERVER, .hash = ATT_HASH_SHA256, .policy = policy };
        Wire wire = wire_new(ATT_HASH_SHA256, 1);
        g_autoptr(GBytes) context = NULL;
        g_auto(AttEaKeys) keys = { 0 };
        uint8_t exported[ATT_EXPORTED_SIZE];

        parameters.peer_name = by_name ? "server.example" : NULL;
        parameters.trust_anchors = by_name ? anchors : NULL;
        parameters.handshake_key = by_name ? NULL : peer->spki;

        guint armed = fail_at;
        fail_at = 0;
        g_autoptr(AttVerifierSession) session = att_verifier_session_new(&parameters, NULL);
        g_autoptr(GBytes) request = att_verifier_session_request(session, ATT_PROFILE_EVIDENCE,
                                                                 ATT_CMW_ATTESTATION_DEFAULT, false, &context, NULL);
        g_autoptr(AttClaims) claims = scene_claims(&wire, context, peer->spki, ATT_ROLE_SERVER);
        g_autoptr(GBytes) evidence = scene_evidence(forge, claims);
        g_autoptr(GBytes) answer = scene_authenticator(&wire, request, ATT_ROLE_SERVER, peer, evidence);
        wire_export(&wire, context, exported);
        ea_keys_of(wire.hash, wire.secret, ATT_ROLE_SERVER, &keys);

        n_calls = 0;
        fail_at = armed;
        return att_verifier_session_validate(session, answer, exported, &keys, SCENE_NOW);
}

static AttResult *by_handshake_key(void) {
        return on_a_connection(false);
}

static AttResult *by_certificate(void) {
        return on_a_connection(true);
}

static AttResult *without_a_connection(void) {
        Wire wire = wire_new(ATT_HASH_SHA256, 1);
        g_autoptr(GBytes) context = g_bytes_new_static("context", 7);
        AttAppraisalInput input = {
                .policy = policy,
                .at = SCENE_NOW,
                .bound_to = ATT_BOUND_BINDING,
                .hash = ATT_HASH_SHA256,
                .role = ATT_ROLE_SERVER,
        };
        guint armed = fail_at;

        fail_at = 0;
        g_autoptr(AttClaims) claims = scene_claims(&wire, context, peer->spki, ATT_ROLE_SERVER);
        g_autoptr(GBytes) evidence = scene_evidence(forge, claims);
        input.evidence = evidence;
        memcpy(input.binding, claims->binding, 32);
        n_calls = 0;
        fail_at = armed;
        return att_appraise(&input);
}

/* A bare report of SNP, with its table. */
static AttResult *of_a_report(void) {
        static const uint8_t report_data[ATT_REPORT_DATA_SIZE] = { 0xda, 0x7a };
        guint armed = fail_at;

        fail_at = 0;
        g_autofree char *text = g_strdup_printf("attestd-policy 1\ntee snp\nworkload any\nbare-report allowed\n"
                                                "collateral not-required\ntcb milan snp>=1\nroot snp %s\n",
                                                snp_forge_root_spki_sha256(snp_forge));
        g_autoptr(AttPolicy) snp_policy = scene_parse(text);
        g_autoptr(GBytes) report = g_byte_array_free_to_bytes(snp_forge_report(snp_forge, report_data));
        g_autoptr(GBytes) table = g_byte_array_free_to_bytes(snp_forge_table(snp_forge));
        AttTsmReport tsm = { .provider = (char *) ATT_PROVIDER_SNP, .outblob = report, .auxblob = table };
        g_autoptr(GBytes) evidence = att_tsm_report_encode(&tsm);
        AttAppraisalInput input = {
                .evidence = evidence,
                .policy = snp_policy,
                .at = SCENE_NOW,
                .bound_to = ATT_BOUND_REPORT_DATA,
        };

        memcpy(input.report_data, report_data, sizeof report_data);
        n_calls = 0;
        fail_at = armed;
        return att_appraise(&input);
}

static AttResult *(*const appraisals[])(void) = {
        by_handshake_key, by_certificate, without_a_connection, of_a_report,
};

START_TEST(sc43_refuses_whichever_step_fails) {
        guint n = 0;

        do {
                fail_at = ++n;
                failed = NULL;
                g_autoptr(AttResult) result = appraisals[_i]();

                ck_assert_str_eq(failed && att_result_accepted(result) ? failed : "", "");
                ck_assert_msg(failed || att_result_accepted(result), "%s", att_result_reason(result));
        } while (failed);
        ck_assert_uint_gt(n, appraisals[_i] == of_a_report ? 12 : 20);
}
END_TEST

int main(void) {
        Suite *s = suite_create("failures");
        TCase *c = tcase_create("failures");

        tcase_set_timeout(c, 120);
        tcase_add_unchecked_fixture(c, make_snp_forge, drop_snp_forge);
        tcase_add_checked_fixture(c, set_up, tear_down);
        tcase_add_loop_test(c, sc43_refuses_whichever_step_fails, 0, G_N_ELEMENTS(appraisals));
        suite_add_tcase(s, c);
        return run_suite(s);
}
