/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Appraisal of evidence without a connection: forged quotes, each with one flaw,
 * beside the same without it. */
#include "scene.h"

#include "codec/cmw.h"
#include "codec/tdx-quote.h"
#include "verifier/appraise.h"
#include "verifier/report-data.h"
#include "verifier/result-build.h"

#include "run.h"

#include <jansson.h>
#include <openssl/x509.h>

static Forge *forge;
static Wire wire;
static Identity *identity;
static GBytes *context;

static void set_up(void) {
        uint8_t bytes[ATT_CONTEXT_SIZE] = { 1, 2, 3 };

        forge = forge_new(NULL, NULL);
        ck_assert_ptr_nonnull(forge);
        wire = wire_new(ATT_HASH_SHA256, 1);
        identity = identity_new("server.example");
        context = g_bytes_new(bytes, sizeof bytes);
}

static void tear_down(void) {
        forge_free(forge);
        identity_free(identity);
        g_bytes_unref(context);
}

static const uint8_t some_report_data[ATT_REPORT_DATA_SIZE] = { 0xda, 0x7a, [63] = 0x99 };

static AttAppraisalInput stated(GBytes *evidence, const AttPolicy *policy,
                                const uint8_t report_data[ATT_REPORT_DATA_SIZE]) {
        AttAppraisalInput input = {
                .evidence = evidence,
                .policy = policy,
                .at = SCENE_NOW,
                .bound_to = ATT_BOUND_REPORT_DATA,
        };

        memcpy(input.report_data, report_data, ATT_REPORT_DATA_SIZE);
        return input;
}

static AttAppraisalInput bound(GBytes *evidence, const AttPolicy *policy, const AttClaims *claims) {
        AttAppraisalInput input = {
                .evidence = evidence,
                .policy = policy,
                .at = SCENE_NOW,
                .bound_to = ATT_BOUND_BINDING,
                .hash = wire.hash,
                .role = ATT_ROLE_SERVER,
        };

        memcpy(input.binding, claims->binding, att_hash_size(wire.hash));
        return input;
}

static AttResult *appraise_bare(GBytes *quote, const AttPolicy *policy) {
        AttAppraisalInput input = stated(quote, policy, some_report_data);

        return att_appraise(&input);
}

static AttClaims *good_claims(void) {
        return scene_claims(&wire, context, identity->spki, ATT_ROLE_SERVER);
}

static AttResult *appraise_claims(const AttClaims *claims, const AttPolicy *policy) {
        g_autoptr(GBytes) evidence = scene_evidence(forge, claims);
        g_autoptr(AttClaims) own = good_claims();
        AttAppraisalInput input = bound(evidence, policy, own);

        return att_appraise(&input);
}

static GBytes *quote_with_flaw(const char *flaw) {
        GBytes *quote;

        scene_set(forge, "flaw", flaw);
        quote = scene_quote(forge, some_report_data);
        scene_set(forge, "flaw", "none");
        return quote;
}

/* Its good twin is accepted. */
#define assert_flaw(flaw, name, says)                                              \
        do {                                                                       \
                g_autoptr(AttPolicy) policy_ = scene_open_policy(forge, "");       \
                g_autoptr(GBytes) bad_ = quote_with_flaw(flaw);                    \
                g_autoptr(GBytes) good_ = quote_with_flaw("none");                 \
                g_autoptr(AttResult) no_ = appraise_bare(bad_, policy_);           \
                g_autoptr(AttResult) yes_ = appraise_bare(good_, policy_);         \
                assert_refused(no_, name, says);                                   \
                assert_accepted(yes_);                                             \
        } while (0)

START_TEST(accepts_a_bare_quote) {
        static const char *const not_checked[] = {
                "authenticator", "context", "freshness", "peer-name", "profile", "claims", "binding", "key-hash",
                "role", "vek-chain", "vek-identity", "vek-tcb", "vmpl", "machine", "boot", "workload", "state",
                "ima-root", "ima-log", "ima", "boot-log", "collateral", "tcb-minimum", "tcb-status", "revocation",
        };
        g_autoptr(AttPolicy) policy = scene_open_policy(forge, "");
        g_autoptr(GBytes) quote = scene_quote(forge, some_report_data);
        g_autoptr(AttResult) result = appraise_bare(quote, policy);
        guint n = 0;

        assert_accepted(result);
        ck_assert_str_eq(att_result_reason(result), "");
        ck_assert_str_eq(att_result_tee(result), "tdx");
        ck_assert_ptr_null(att_result_profile(result));
        ck_assert_ptr_null(att_result_claims(result));
        for (gsize i = 0; i < G_N_ELEMENTS(not_checked); i++)
                ck_assert_int_eq(scene_check(result, not_checked[i])->status, ATT_CHECK_NOT_CHECKED);
        for (guint i = 0; i < att_result_checks(result)->len; i++)
                n += ((const AttCheck *) att_result_checks(result)->pdata[i])->status == ATT_CHECK_PASSED;
        ck_assert_uint_eq(n + G_N_ELEMENTS(not_checked), ATT_CHECKS);
}
END_TEST

START_TEST(accepts_a_quote_of_each_layout) {
        static const char *const layouts[][2] = { { "4", "1.0" }, { "5", "1.0" }, { "5", "1.5" } };
        g_autoptr(AttPolicy) policy = scene_open_policy(forge, "");
        g_autoptr(GBytes) quote = NULL;
        g_autoptr(AttResult) result = NULL;

        scene_set(forge, "version", layouts[_i / 2][0]);
        scene_set(forge, "body", layouts[_i / 2][1]);
        scene_set(forge, "pem-nul", _i % 2 ? "1" : "0");
        quote = scene_quote(forge, some_report_data);
        result = appraise_bare(quote, policy);
        assert_accepted(result);
}
END_TEST

START_TEST(ignores_what_follows_a_quote) {
        g_autoptr(AttPolicy) policy = scene_open_policy(forge, "");
        g_autoptr(GByteArray) quote = forge_quote(forge, some_report_data);
        g_autoptr(AttResult) result = NULL;

        g_byte_array_append(quote, (const guint8 *) "trailing", 8);
        g_autoptr(GBytes) bytes = g_byte_array_free_to_bytes(g_steal_pointer(&quote));
        result = appraise_bare(bytes, policy);
        assert_accepted(result);
}
END_TEST

START_TEST(accepts_claims_bound_to_a_connection) {
        g_autoptr(AttPolicy) policy = scene_policy(forge, "");
        g_autoptr(AttClaims) claims = good_claims();
        g_autoptr(AttResult) result = appraise_claims(claims, policy);

        assert_accepted(result);
        ck_assert_str_eq(att_result_profile(result), ATT_PROFILE_EVIDENCE);
        ck_assert_uint_eq(att_result_claims(result)->generation, 7);
        ck_assert_int_eq(scene_check(result, "key-hash")->status, ATT_CHECK_NOT_CHECKED);
}
END_TEST

START_TEST(accepts_claims_for_the_report_data_that_follows) {
        g_autoptr(AttPolicy) policy = scene_policy(forge, "");
        g_autoptr(AttClaims) claims = good_claims();
        g_autoptr(GBytes) c = att_claims_encode(claims, NULL);
        g_autoptr(GBytes) evidence = scene_evidence(forge, claims);
        uint8_t report_data[ATT_REPORT_DATA_SIZE];

        scene_report_data(c, report_data);
        AttAppraisalInput input = stated(evidence, policy, report_data);
        g_autoptr(AttResult) yes = att_appraise(&input);
        assert_accepted(yes);

        input.report_data[0] ^= 1;
        g_autoptr(AttResult) no = att_appraise(&input);
        assert_refused(no, "report-data", "stated");
}
END_TEST

/* Forms of input. */

static AttTsmReport *tsm_report(const char *provider, GBytes *quote) {
        AttTsmReport *report = g_new0(AttTsmReport, 1);

        report->provider = g_strdup(provider);
        report->outblob = g_bytes_ref(quote);
        return report;
}

static GBytes *encode_take(AttCmw *cmw, bool as_json) {
        GBytes *bytes = att_cmw_encode(cmw, as_json, NULL);

        ck_assert_ptr_nonnull(bytes);
        att_cmw_free(cmw);
        return bytes;
}

START_TEST(reads_a_report_in_every_wrapping) {
        g_autoptr(AttPolicy) policy = scene_open_policy(forge, "");
        g_autoptr(GBytes) quote = scene_quote(forge, some_report_data);
        g_autoptr(AttTsmReport) report = tsm_report("tdx_guest", quote);
        g_autoptr(GBytes) cbor = att_tsm_report_encode(report);
        g_autoptr(GPtrArray) forms = g_ptr_array_new_with_free_func((GDestroyNotify) g_bytes_unref);

        g_ptr_array_add(forms, g_bytes_ref(cbor));
        for (int as_json = 0; as_json < 2; as_json++) {
                AttCmw *collection = att_cmw_collection_new("tag:example.com,2026:other");

                att_cmw_collection_take(collection, "gpu",
                                        att_cmw_record_new("application/vnd.example", cbor, ATT_CMW_EVIDENCE));
                att_cmw_collection_take(collection, "cpu",
                                        att_cmw_record_new(ATT_TSM_REPORT_CBOR, cbor, ATT_CMW_EVIDENCE));
                g_ptr_array_add(forms, encode_take(collection, as_json));
                g_ptr_array_add(forms, encode_take(att_cmw_record_new("Application/VND.veraison.TSM-report+cbor", cbor,
                                                                      ATT_CMW_EVIDENCE), as_json));
        }

        g_autofree char *base64 = g_base64_encode(g_bytes_get_data(quote, NULL), g_bytes_get_size(quote));
        g_strdelimit(base64, "+", '-');
        g_strdelimit(base64, "/", '_');
        if (strchr(base64, '='))
                *strchr(base64, '=') = 0;
        g_autofree char *json = g_strdup_printf("{\"outblob\":\"%s\",\"provider\":\"tdx_guest\"}", base64);
        g_ptr_array_add(forms, g_bytes_new(json, strlen(json)));

        for (guint i = 0; i < forms->len; i++) {
                g_autoptr(AttResult) result = appraise_bare(forms->pdata[i], policy);

                ck_assert_msg(att_result_accepted(result), "form %u: %s", i, att_result_reason(result));
        }
}
END_TEST

START_TEST(refuses_a_wrapping_with_no_evidence_or_two) {
        g_autoptr(AttPolicy) policy = scene_open_policy(forge, "");
        g_autoptr(GBytes) quote = scene_quote(forge, some_report_data);
        g_autoptr(AttTsmReport) report = tsm_report("tdx_guest", quote);
        g_autoptr(GBytes) cbor = att_tsm_report_encode(report);
        AttCmw *two = att_cmw_collection_new(NULL);

        att_cmw_collection_take(two, "a", att_cmw_record_new(ATT_TSM_REPORT_CBOR, cbor, ATT_CMW_EVIDENCE));
        att_cmw_collection_take(two, "b", att_cmw_record_new(ATT_TSM_REPORT_CBOR, cbor, ATT_CMW_EVIDENCE));
        g_autoptr(GBytes) of_two = encode_take(two, false);
        g_autoptr(GBytes) of_none = encode_take(att_cmw_record_new("application/vnd.example", cbor, 0), false);
        g_autoptr(AttResult) no_two = appraise_bare(of_two, policy);
        g_autoptr(AttResult) no_none = appraise_bare(of_none, policy);

        assert_refused(no_two, "format", "more than one");
        assert_refused(no_none, "format", "no evidence");
}
END_TEST

START_TEST(refuses_a_report_of_another_tee) {
        g_autoptr(AttPolicy) policy = scene_open_policy(forge, "");
        g_autoptr(GBytes) quote = scene_quote(forge, some_report_data);
        g_autoptr(AttTsmReport) other = tsm_report("sev_guest", quote), unknown = tsm_report("arm_cca_guest", quote);
        g_autoptr(GBytes) bytes = att_tsm_report_encode(other), unknown_bytes = att_tsm_report_encode(unknown);
        g_autoptr(AttResult) result = appraise_bare(bytes, policy), no = appraise_bare(unknown_bytes, policy);
        g_autoptr(GBytes) snp = g_byte_array_free_to_bytes(forge_snp_report(some_report_data));
        g_autoptr(AttResult) bare = appraise_bare(snp, policy);

        assert_refused(result, "quote-format", "not an SNP report");
        assert_refused(no, "tee", "provider");
        assert_refused(bare, "tee", "does not list snp");
}
END_TEST

START_TEST(refuses_a_service_provider_beside_a_tdx_quote) {
        g_autoptr(AttPolicy) policy = scene_open_policy(forge, "");
        g_autoptr(GBytes) quote = scene_quote(forge, some_report_data);
        g_autoptr(AttTsmReport) report = tsm_report("tdx_guest", quote);
        g_autoptr(GBytes) good = att_tsm_report_encode(report);

        report->service_provider = g_strdup("svsm");
        report->manifestblob = g_bytes_new_static("manifest", 8);
        g_autoptr(GBytes) bad = att_tsm_report_encode(report);
        g_autoptr(AttResult) no = appraise_bare(bad, policy);
        g_autoptr(AttResult) yes = appraise_bare(good, policy);
        assert_refused(no, "tee", "service provider");
        assert_accepted(yes);
}
END_TEST

START_TEST(refuses_a_profile_that_the_policy_does_not_list) {
        g_autoptr(AttPolicy) native = scene_open_policy(forge, "");
        g_autoptr(AttPolicy) pad = scene_open_policy(forge, "profile expat-pad\n");
        g_autoptr(AttClaims) claims = good_claims();
        uint8_t report_data[ATT_REPORT_DATA_SIZE] = { 0 };

        memcpy(report_data, claims->binding, 32);
        g_autoptr(GBytes) evidence = scene_collection(forge, ATT_PROFILE_EXPAT_PAD, NULL, report_data);
        AttAppraisalInput input = bound(evidence, native, claims);
        g_autoptr(AttResult) no = att_appraise(&input);
        assert_refused(no, "profile", "does not list");

        input.policy = pad;
        g_autoptr(AttResult) yes = att_appraise(&input);
        assert_accepted(yes);
}
END_TEST

/* Every proper prefix of every form. */
START_TEST(sc24c_refuses_what_is_cut_short) {
        g_autoptr(AttPolicy) policy = scene_open_policy(forge, "");
        g_autoptr(AttClaims) claims = good_claims();
        g_autoptr(GBytes) quote = scene_quote(forge, some_report_data);
        g_autoptr(GBytes) collection = scene_evidence(forge, claims);
        GBytes *whole = _i ? collection : quote;

        for (gsize n = 0; n < g_bytes_get_size(whole); n += n < 64 ? 1 : 61) {
                g_autoptr(GBytes) prefix = g_bytes_new(g_bytes_get_data(whole, NULL), n);
                g_autoptr(AttResult) result = appraise_bare(prefix, policy);

                ck_assert_msg(!att_result_accepted(result), "accepted: %zu bytes", n);
                ck_assert_str_ne(att_result_reason(result), "");
        }
}
END_TEST

START_TEST(sc34d_refuses_input_over_its_limit) {
        g_autoptr(AttPolicy) policy = scene_open_policy(forge, "");
        g_autofree uint8_t *bytes = g_malloc0(ATT_EVIDENCE_INPUT_MAX + 1);
        g_autoptr(GByteArray) quote = forge_quote(forge, some_report_data);

        /* The largest quote, all padding. */
        memcpy(bytes, quote->data, quote->len);
        g_autoptr(GBytes) most = g_bytes_new(bytes, ATT_TDX_QUOTE_MAX);
        g_autoptr(GBytes) over_quote = g_bytes_new(bytes, ATT_TDX_QUOTE_MAX + 1);
        g_autoptr(GBytes) over_all = g_bytes_new(bytes, ATT_EVIDENCE_INPUT_MAX + 1);
        g_autoptr(AttResult) yes = appraise_bare(most, policy);
        g_autoptr(AttResult) no_quote = appraise_bare(over_quote, policy);
        g_autoptr(AttResult) no = appraise_bare(over_all, policy);

        assert_accepted(yes);
        assert_refused(no_quote, "quote-format", "over");
        assert_refused(no, "format", "more than 1048576 bytes");
}
END_TEST

/* What it must be bound to. */

START_TEST(sc02a_compares_the_signed_report_data) {
        /* Claims that are all right, beside a quote made for something else. */
        g_autoptr(AttPolicy) policy = scene_policy(forge, "");
        g_autoptr(AttClaims) claims = good_claims();
        g_autoptr(GBytes) c = att_claims_encode(claims, NULL);
        g_autoptr(GBytes) evidence = scene_collection(forge, ATT_PROFILE_EVIDENCE, c, some_report_data);
        AttAppraisalInput input = bound(evidence, policy, claims);
        g_autoptr(AttResult) no = att_appraise(&input);
        g_autoptr(AttResult) yes = appraise_claims(claims, policy);

        ck_assert_int_eq(scene_check(no, "binding")->status, ATT_CHECK_PASSED);
        assert_refused(no, "report-data", "not made for these claims");
        assert_accepted(yes);
}
END_TEST

START_TEST(sc02b_believes_no_unsigned_copy) {
        /* The quote is over honest claims; what travels beside it says more. */
        g_autoptr(AttPolicy) policy = scene_policy(forge, "");
        g_autoptr(AttClaims) claims = good_claims();
        g_autoptr(GBytes) honest = NULL;
        uint8_t report_data[ATT_REPORT_DATA_SIZE];

        claims->caller->uid = 1000;
        honest = att_claims_encode(claims, NULL);
        scene_report_data(honest, report_data);
        claims->caller->uid = SCENE_UID;
        g_autoptr(GBytes) lie = att_claims_encode(claims, NULL);
        g_autoptr(GBytes) evidence = scene_collection(forge, ATT_PROFILE_EVIDENCE, lie, report_data);
        AttAppraisalInput input = bound(evidence, policy, claims);
        g_autoptr(AttResult) no = att_appraise(&input);
        g_autoptr(AttResult) yes = appraise_claims(claims, policy);

        ck_assert_int_eq(scene_check(no, "workload")->status, ATT_CHECK_PASSED);
        assert_refused(no, "report-data", "not made for these claims");
        assert_accepted(yes);
}
END_TEST

START_TEST(sc03e_is_unbound_when_nothing_is_stated) {
        g_autoptr(AttPolicy) policy = scene_open_policy(forge, "");
        g_autoptr(AttClaims) claims = good_claims();
        g_autoptr(GBytes) quote = scene_quote(forge, some_report_data);
        g_autoptr(GBytes) collection = scene_evidence(forge, claims);
        AttAppraisalInput input = { .evidence = quote, .policy = policy, .at = SCENE_NOW };
        g_autoptr(AttResult) bare = att_appraise(&input);

        input.evidence = collection;
        g_autoptr(AttResult) with_claims = att_appraise(&input);
        assert_refused(bare, "report-data", "unbound");
        assert_refused(with_claims, "report-data", "unbound");

        /* A binding means nothing to a quote without claims. */
        input = bound(quote, policy, claims);
        g_autoptr(AttResult) no_claims = att_appraise(&input);
        assert_refused(no_claims, "report-data", "unbound");

        g_autoptr(AttResult) yes = appraise_bare(quote, policy);
        assert_accepted(yes);
}
END_TEST

START_TEST(sc07_refuses_other_report_data) {
        g_autoptr(AttPolicy) policy = scene_open_policy(forge, "");
        g_autoptr(GBytes) quote = scene_quote(forge, some_report_data);
        AttAppraisalInput input = stated(quote, policy, some_report_data);
        g_autoptr(AttResult) yes = att_appraise(&input);

        assert_accepted(yes);
        for (gsize i = 0; i < ATT_REPORT_DATA_SIZE; i++) {
                input.report_data[i] ^= 0x80;
                g_autoptr(AttResult) no = att_appraise(&input);
                assert_refused(no, "report-data", "not the report data that was stated");
                input.report_data[i] ^= 0x80;
        }
}
END_TEST

START_TEST(sc08b_compares_the_padding_too) {
        g_autoptr(AttPolicy) policy = scene_open_policy(forge, "profile expat-pad\n");
        g_autoptr(AttClaims) claims = good_claims();
        uint8_t report_data[ATT_REPORT_DATA_SIZE] = { 0 };

        memcpy(report_data, claims->binding, 32);
        g_autoptr(GBytes) good = scene_collection(forge, ATT_PROFILE_EXPAT_PAD, NULL, report_data);
        AttAppraisalInput input = bound(good, policy, claims);
        g_autoptr(AttResult) yes = att_appraise(&input);
        assert_accepted(yes);

        report_data[63] = 1;
        g_autoptr(GBytes) bad = scene_collection(forge, ATT_PROFILE_EXPAT_PAD, NULL, report_data);
        input.evidence = bad;
        g_autoptr(AttResult) no = att_appraise(&input);
        assert_refused(no, "report-data", "not made for");
}
END_TEST

START_TEST(sc08c_matches_no_prefix) {
        g_autoptr(AttPolicy) policy = scene_open_policy(forge, "");
        uint8_t longer[ATT_REPORT_DATA_SIZE] = { 0 };
        g_autoptr(GBytes) quote = scene_quote(forge, some_report_data);

        memcpy(longer, some_report_data, 32);
        AttAppraisalInput input = stated(quote, policy, longer);
        g_autoptr(AttResult) no = att_appraise(&input);
        assert_refused(no, "report-data", "stated");

        memcpy(longer, some_report_data, 64);
        input = stated(quote, policy, longer);
        g_autoptr(AttResult) yes = att_appraise(&input);
        assert_accepted(yes);
}
END_TEST

/* The layout of REPORTDATA, byte for byte; made with Python's hashlib. */
START_TEST(sc09a_has_the_layout_of_the_design) {
        static const uint8_t evidence[ATT_REPORT_DATA_SIZE] = {
                0xdb, 0xf5, 0xaa, 0xc2, 0x2d, 0x9a, 0xfb, 0xa7, 0xfa, 0x3a, 0x05, 0xf1, 0x54, 0xa8, 0x65, 0xc0,
                0xfc, 0xcd, 0x4c, 0xf8, 0xe3, 0xd1, 0xd0, 0x1c, 0x10, 0xb1, 0xd5, 0x1a, 0xd6, 0xfb, 0x85, 0xbc,
                0x35, 0x1e, 0x30, 0x1a, 0xd8, 0x9c, 0x50, 0x4f, 0x75, 0x56, 0x4f, 0x1d, 0x5c, 0x96, 0xf8, 0x63,
                0xb7, 0xda, 0xdc, 0x4a, 0x33, 0xbb, 0x59, 0x8e, 0xd5, 0x72, 0x3b, 0xfe, 0x84, 0xb5, 0x66, 0xf2,
        };
        static const uint8_t cocos[ATT_REPORT_DATA_SIZE] = {
                0x48, 0x89, 0xd5, 0xe1, 0x8a, 0x96, 0xa0, 0x95, 0x0e, 0x2c, 0xcc, 0xda, 0xc9, 0xb5, 0xe9, 0x87,
                0xb1, 0x44, 0x3a, 0x01, 0xf2, 0xd6, 0x35, 0x4c, 0x3e, 0xbd, 0x28, 0x12, 0x15, 0x65, 0x7e, 0xe1,
                0x76, 0xf3, 0x82, 0x32, 0x54, 0xfd, 0x26, 0xc3, 0xb7, 0x2d, 0xed, 0x09, 0xad, 0xd3, 0x67, 0xf6,
                0x98, 0x1d, 0xf9, 0xfa, 0x92, 0x7c, 0x7f, 0xc4, 0x26, 0xe4, 0xd3, 0xb8, 0x4f, 0x67, 0xd7, 0x2a,
        };
        static const char claims[] = "claims of a guest";
        uint8_t binding[ATT_HASH_SIZE_MAX], r[ATT_REPORT_DATA_SIZE];
        g_autoptr(GBytes) c = g_bytes_new_static(claims, sizeof claims - 1);

        for (size_t i = 0; i < sizeof binding; i++)
                binding[i] = (uint8_t) (i + 1);
        att_report_data_evidence(c, r);
        ck_assert_mem_eq(r, evidence, sizeof r);
        att_report_data_cocos(ATT_HASH_SHA384, binding, r);
        ck_assert_mem_eq(r, cocos, sizeof r);

        att_report_data_expat_pad(ATT_HASH_SHA256, binding, r);
        for (size_t i = 0; i < sizeof r; i++)
                ck_assert_uint_eq(r[i], i < 32 ? i + 1 : 0);
        att_report_data_expat_pad(ATT_HASH_SHA384, binding, r);
        for (size_t i = 0; i < sizeof r; i++)
                ck_assert_uint_eq(r[i], i < 48 ? i + 1 : 0);
}
END_TEST

START_TEST(refuses_a_proof_that_was_not_asked_for) {
        g_autoptr(AttPolicy) policy = scene_policy(forge, "");
        g_autoptr(AttClaims) claims = good_claims();
        g_autoptr(GBytes) good = scene_evidence(forge, claims);
        g_autoptr(AttEvidence) evidence = att_evidence_decode(good, NULL);

        evidence->proof = g_bytes_new_static("\x83\x02\x00\x80", 4);
        g_autoptr(GBytes) batched = att_evidence_encode(evidence, ATT_CMW_SIZE_MAX, NULL, NULL);
        AttAppraisalInput input = bound(batched, policy, claims);
        g_autoptr(AttResult) no = att_appraise(&input);
        assert_refused(no, "report-data", "batch was not offered");

        input.evidence = good;
        g_autoptr(AttResult) yes = att_appraise(&input);
        assert_accepted(yes);
}
END_TEST

/* Claims. */

START_TEST(holds_claims_against_what_is_stated) {
        g_autoptr(AttPolicy) policy = scene_policy(forge, "");
        g_autoptr(AttClaims) claims = good_claims();
        AttResult *result;

        claims->binding[31] ^= 1;
        result = appraise_claims(claims, policy);
        assert_refused(result, "binding", "another connection");
        att_result_free(result);
        claims->binding[31] ^= 1;

        claims->role = ATT_ROLE_CLIENT;
        result = appraise_claims(claims, policy);
        assert_refused(result, "role", "of a client, but the peer is the server");
        att_result_free(result);
        claims->role = ATT_ROLE_SERVER;

        claims->hash = ATT_HASH_SHA384;
        result = appraise_claims(claims, policy);
        assert_refused(result, "binding", "sha384");
        att_result_free(result);
        claims->hash = ATT_HASH_SHA256;

        result = appraise_claims(claims, policy);
        assert_accepted(result);
        att_result_free(result);
}
END_TEST

START_TEST(refuses_claims_that_are_not_deterministic) {
        /* The same claims with the tag's number in a longer head: as good to a lax
         * reader, and signed for by the quote. */
        g_autoptr(AttPolicy) policy = scene_policy(forge, "");
        g_autoptr(AttClaims) claims = good_claims();
        g_autoptr(GBytes) c = att_claims_encode(claims, NULL);
        const uint8_t *p = g_bytes_get_data(c, NULL);
        g_autoptr(GByteArray) lax = g_byte_array_new();
        uint8_t report_data[ATT_REPORT_DATA_SIZE];

        ck_assert_uint_eq(p[0], 0xd9);
        g_byte_array_append(lax, (const guint8 *) "\xda\x00\x00", 3);
        g_byte_array_append(lax, p + 1, (guint) g_bytes_get_size(c) - 1);
        g_autoptr(GBytes) c2 = g_byte_array_free_to_bytes(g_steal_pointer(&lax));
        scene_report_data(c2, report_data);
        g_autoptr(GBytes) evidence = scene_collection(forge, ATT_PROFILE_EVIDENCE, c2, report_data);
        AttAppraisalInput input = bound(evidence, policy, claims);
        g_autoptr(AttResult) no = att_appraise(&input);
        ck_assert_int_eq(scene_check(no, "report-data")->status, ATT_CHECK_PASSED);
        assert_refused(no, "claims", "");
}
END_TEST

/* The policy's rules. */

static void set_text(char **text, const char *to) {
        g_free(*text);
        *text = g_strdup(to);
}

START_TEST(matches_the_workload_by_system_unit_and_uid) {
        g_autoptr(AttPolicy) policy = scene_policy(forge, "workload unit other.service\n");
        g_autoptr(AttClaims) claims = good_claims();
        AttCallerClaims *caller = claims->caller;
        AttResult *result;

        caller->uid = SCENE_UID + 1;
        result = appraise_claims(claims, policy);
        assert_refused(result, "workload", SCENE_UNIT);
        att_result_free(result);

        set_text(&caller->unit, "other.service");
        result = appraise_claims(claims, policy);
        assert_accepted(result);
        att_result_free(result);

        static const char *const kinds[] = { "user", "scope", "container" };
        for (gsize i = 0; i < G_N_ELEMENTS(kinds); i++) {
                set_text(&caller->unit_kind, kinds[i]);
                result = appraise_claims(claims, policy);
                assert_refused(result, "workload", "other.service");
                att_result_free(result);
        }

        g_clear_pointer(&caller->unit_kind, g_free);
        g_clear_pointer(&caller->unit, g_free);
        result = appraise_claims(claims, policy);
        assert_refused(result, "workload", "no unit");
        att_result_free(result);

        g_clear_pointer(&claims->caller, att_caller_claims_free);
        result = appraise_claims(claims, policy);
        assert_refused(result, "workload", "does not say who asked");
        att_result_free(result);
}
END_TEST

START_TEST(a_rule_with_uid_needs_a_known_uid) {
        g_autoptr(AttPolicy) policy = scene_policy(forge, "");
        g_autoptr(AttClaims) claims = good_claims();
        g_autoptr(AttResult) yes = appraise_claims(claims, policy);

        assert_accepted(yes);
        claims->caller->has_uid = false;
        g_autoptr(AttResult) no = appraise_claims(claims, policy);
        assert_refused(no, "workload", SCENE_UNIT);
}
END_TEST

START_TEST(refuses_a_bare_quote_where_a_workload_is_named) {
        g_autoptr(AttPolicy) named = scene_policy(forge, "");
        g_autoptr(AttPolicy) any = scene_open_policy(forge, "");
        g_autoptr(GBytes) quote = scene_quote(forge, some_report_data);
        g_autoptr(AttResult) no = appraise_bare(quote, named);
        g_autoptr(AttResult) yes = appraise_bare(quote, any);

        ck_assert(!att_result_accepted(no));
        ck_assert_int_eq(scene_check(no, "workload")->status, ATT_CHECK_FAILED);
        ck_assert_ptr_nonnull(strstr(scene_check(no, "workload")->detail, "does not say who asked"));
        assert_accepted(yes);
}
END_TEST

#define ONES "11111111111111111111111111111111"
#define TWOS "22222222222222222222222222222222"

START_TEST(sc13_refuses_another_machine) {
        /* Same measurements, other PPID. */
        g_autoptr(AttPolicy) policy = scene_open_policy(forge, "machine ppid " ONES "\n");
        g_autoptr(AttPolicy) both = scene_open_policy(forge, "machine ppid " ONES "\nmachine ppid " TWOS "\n");
        g_autoptr(GBytes) ours = scene_quote(forge, some_report_data);
        g_autoptr(GBytes) theirs = NULL;

        scene_set(forge, "ppid", TWOS);
        theirs = scene_quote(forge, some_report_data);
        g_autoptr(AttResult) yes = appraise_bare(ours, policy);
        g_autoptr(AttResult) no = appraise_bare(theirs, policy);
        g_autoptr(AttResult) either = appraise_bare(theirs, both);
        assert_accepted(yes);
        assert_refused(no, "machine", "PPID");
        assert_accepted(either);
}
END_TEST

START_TEST(sc03d_refuses_measurements_that_no_rule_has) {
        static const char *const registers[] = {
                "mrtd", "rtmr0", "rtmr1", "rtmr2", "rtmr3", "mrconfigid", "mrowner", "mrownerconfig", "mrseam",
        };
        static const char a[] = ONES ONES ONES, b[] = TWOS ONES ONES;
        g_autoptr(GString) rule = g_string_new("boot mrtd=" TWOS TWOS TWOS "\nboot");
        g_autoptr(AttPolicy) policy = NULL;

        for (gsize i = 0; i < G_N_ELEMENTS(registers); i++) {
                scene_set(forge, registers[i], a);
                g_string_append_printf(rule, " %s=%s", registers[i], a);
        }
        g_string_append_c(rule, '\n');
        policy = scene_open_policy(forge, rule->str);

        for (gsize i = 0; i < G_N_ELEMENTS(registers); i++) {
                g_autoptr(GBytes) good = scene_quote(forge, some_report_data);
                g_autoptr(AttResult) yes = appraise_bare(good, policy);

                assert_accepted(yes);
                scene_set(forge, registers[i], b);
                g_autoptr(GBytes) bad = scene_quote(forge, some_report_data);
                g_autoptr(AttResult) no = appraise_bare(bad, policy);
                assert_refused(no, "boot", registers[i]);
                scene_set(forge, registers[i], a);
        }
}
END_TEST

START_TEST(refuses_a_shared_device_unless_allowed) {
        g_autoptr(AttPolicy) policy = scene_policy(forge, "");
        g_autoptr(AttPolicy) lax = scene_policy(forge, "shared-device allowed\n");
        g_autoptr(AttClaims) claims = good_claims();

        claims->shared_device = true;
        g_autoptr(AttResult) no = appraise_claims(claims, policy);
        g_autoptr(AttResult) yes = appraise_claims(claims, lax);
        assert_refused(no, "state", "shared-device");
        assert_accepted(yes);
}
END_TEST

/* The same quote and REPORTDATA, without the claims that speak against it. */
START_TEST(refuses_a_report_that_was_stripped_of_its_claims) {
        g_autofree char *text = g_strdup_printf("attestd-policy 1\ntee tdx\ncollateral not-required\nroot tdx %s\n"
                                                "workload any\n", forge_root_spki_sha256(forge));
        g_autoptr(AttPolicy) policy = scene_parse(text);
        g_autoptr(AttPolicy) takes_bare = scene_open_policy(forge, "");
        g_autoptr(AttClaims) claims = good_claims();

        for (int shared = 0; shared < 2; shared++) {
                uint8_t report_data[ATT_REPORT_DATA_SIZE];

                claims->shared_device = shared;
                g_autoptr(GBytes) c = att_claims_encode(claims, NULL);
                g_autoptr(GBytes) whole = scene_evidence(forge, claims);
                g_autoptr(AttEvidence) evidence = att_evidence_decode(whole, NULL);
                g_autoptr(GBytes) report = att_tsm_report_encode(evidence->tee);
                GBytes *stripped[] = { report, evidence->tee->outblob };

                scene_report_data(c, report_data);
                AttAppraisalInput input = stated(whole, policy, report_data);
                g_autoptr(AttResult) with_claims = att_appraise(&input);
                if (shared)
                        assert_refused(with_claims, "state", "shared-device");
                else
                        assert_accepted(with_claims);

                for (gsize i = 0; i < G_N_ELEMENTS(stripped); i++) {
                        input = stated(stripped[i], policy, report_data);
                        g_autoptr(AttResult) no = att_appraise(&input);
                        assert_refused(no, "profile", "a policy with \"bare-report allowed\" takes it");

                        input.policy = takes_bare;
                        g_autoptr(AttResult) yes = att_appraise(&input);
                        assert_accepted(yes);
                        ck_assert_int_eq(scene_check(yes, "profile")->status, ATT_CHECK_NOT_CHECKED);
                        ck_assert_int_eq(scene_check(yes, "state")->status, ATT_CHECK_NOT_CHECKED);
                }
        }
}
END_TEST

START_TEST(a_policy_for_bare_reports_holds_collections_as_before) {
        g_autoptr(AttPolicy) policy = scene_open_policy(forge, "");
        g_autoptr(AttClaims) claims = good_claims();
        uint8_t report_data[ATT_REPORT_DATA_SIZE] = { 0 };

        memcpy(report_data, claims->binding, 32);
        g_autoptr(GBytes) other = scene_collection(forge, ATT_PROFILE_EXPAT_PAD, NULL, report_data);
        AttAppraisalInput input = bound(other, policy, claims);
        g_autoptr(AttResult) other_profile = att_appraise(&input);
        g_autoptr(AttResult) yes = appraise_claims(claims, policy);

        claims->shared_device = true;
        g_autoptr(AttResult) shared = appraise_claims(claims, policy);
        assert_refused(other_profile, "profile", "does not list");
        assert_refused(shared, "state", "shared-device");
        assert_accepted(yes);
}
END_TEST

START_TEST(sc03f_refuses_without_a_policy) {
        g_autoptr(GBytes) quote = scene_quote(forge, some_report_data);
        AttAppraisalInput input = stated(quote, NULL, some_report_data);
        g_autoptr(AttResult) none = att_appraise(&input);

        assert_refused(none, "policy", "there is none");
        input.no_policy = "payroll.policy:1:1: the policy is empty";
        g_autoptr(AttResult) empty = att_appraise(&input);
        assert_refused(empty, "policy", "payroll.policy:1:1");
        /* All else is still looked at. */
        ck_assert_int_eq(scene_check(empty, "quote-signature")->status, ATT_CHECK_PASSED);
}
END_TEST

START_TEST(sc25a_refuses_without_collateral) {
        g_autoptr(GBytes) quote = scene_quote(forge, some_report_data);
        g_autofree char *text = g_strdup_printf("attestd-policy 1\ntee tdx\nroot tdx %s\nworkload any\n"
                                                "bare-report allowed\n",
                                                forge_root_spki_sha256(forge));
        g_autoptr(AttPolicy) strict = scene_parse(text);
        g_autoptr(AttPolicy) lax = scene_open_policy(forge, "");
        g_autoptr(AttResult) no = appraise_bare(quote, strict);
        g_autoptr(AttResult) yes = appraise_bare(quote, lax);

        assert_refused(no, "collateral", "missing");
        assert_accepted(yes);
}
END_TEST

START_TEST(sc25b_refuses_a_debug_guest) {
        g_autoptr(AttPolicy) policy = scene_open_policy(forge, "");
        g_autoptr(GBytes) good = scene_quote(forge, some_report_data);
        g_autoptr(GBytes) debug = NULL;

        scene_set(forge, "debug", "1");
        debug = scene_quote(forge, some_report_data);
        g_autoptr(AttResult) yes = appraise_bare(good, policy);
        g_autoptr(AttResult) no = appraise_bare(debug, policy);
        assert_accepted(yes);
        assert_refused(no, "debug", "debug TD");
}
END_TEST

/* What of a TD weakens it: by default a refusal that names the one line that takes it. */

#define ATTRIBUTES "attributes sept-ve-disable-off\nattributes migratable\nattributes service-td\n"
#define SOME_MR "5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e"
#define ZERO_MR "000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000"

/* A TD with this is refused by default, taken with the line that is named, and not with the other two. */
static void check_weakness(const char *field, const char *good, const char *weak, AttWeakness weakness) {
        g_autoptr(AttPolicy) strict = scene_open_policy(forge, "");
        g_autoptr(AttPolicy) workload = scene_policy(forge, "");
        g_autoptr(AttClaims) claims = good_claims();

        scene_set(forge, "version", "5");
        scene_set(forge, "body", "1.5");
        scene_set(forge, field, good);
        g_autoptr(GBytes) quote = scene_quote(forge, some_report_data);
        g_autoptr(AttResult) twin = appraise_bare(quote, strict);
        g_autoptr(AttResult) twin_claims = appraise_claims(claims, workload);
        assert_accepted(twin);
        assert_accepted(twin_claims);

        scene_set(forge, field, weak);
        g_autoptr(GBytes) bad = scene_quote(forge, some_report_data);
        g_autoptr(AttResult) no = appraise_bare(bad, strict);
        g_autoptr(AttResult) no_claims = appraise_claims(claims, workload);
        assert_refused(no, "attributes", "; \"attributes ");
        assert_refused(no_claims, "attributes", "; \"attributes ");
        ck_assert_ptr_nonnull(strstr(att_result_reason(no), att_weakness_name(weakness)));

        for (AttWeakness w = 0; w < ATT_WEAKNESSES; w++) {
                g_autofree char *line = g_strdup_printf("attributes %s\n", att_weakness_name(w));
                g_autoptr(AttPolicy) lax = scene_open_policy(forge, line);
                g_autoptr(AttResult) result = appraise_bare(bad, lax);

                if (w == weakness)
                        assert_accepted(result);
                else
                        assert_refused(result, "attributes", att_weakness_name(weakness));
        }
}

START_TEST(sc19d_refuses_a_service_td) {
        check_weakness("mrservicetd", ZERO_MR, SOME_MR, ATT_WEAKNESS_SERVICE_TD);
}
END_TEST

START_TEST(sc21_refuses_a_migratable_guest) {
        check_weakness("tdattributes", "0000001000000000", "0000003000000000", ATT_WEAKNESS_MIGRATABLE);
}
END_TEST

START_TEST(sc25c_refuses_sept_ve_disable_off) {
        check_weakness("tdattributes", "0000001000000000", "0000000000000000", ATT_WEAKNESS_SEPT_VE_DISABLE_OFF);
}
END_TEST

START_TEST(each_weakness_needs_its_own_line) {
        g_autoptr(AttPolicy) all = scene_open_policy(forge, ATTRIBUTES);

        scene_set(forge, "version", "5");
        scene_set(forge, "body", "1.5");
        scene_set(forge, "tdattributes", "0000002000000000");
        scene_set(forge, "mrservicetd", SOME_MR);
        g_autoptr(GBytes) quote = scene_quote(forge, some_report_data);
        g_autoptr(AttResult) yes = appraise_bare(quote, all);
        assert_accepted(yes);
        ck_assert_str_eq(scene_check(yes, "attributes")->detail,
                         "sept-ve-disable-off, migratable, service-td, which the policy takes");

        for (AttWeakness w = 0; w <= ATT_WEAKNESS_SERVICE_TD; w++) {
                g_autoptr(GString) others = g_string_new(NULL);

                for (AttWeakness other = 0; other < ATT_WEAKNESSES; other++)
                        if (other != w)
                                g_string_append_printf(others, "attributes %s\n", att_weakness_name(other));
                g_autoptr(AttPolicy) policy = scene_open_policy(forge, others->str);
                g_autoptr(AttResult) no = appraise_bare(quote, policy);
                assert_refused(no, "attributes", att_weakness_name(w));
        }
}
END_TEST

/* Every bit of the eight bytes; no policy line takes one that is reserved or unknown. */
START_TEST(sc25d_refuses_reserved_attributes) {
        static const unsigned known[] = { 28, 29, 30, 63 };
        g_autoptr(AttPolicy) policy = scene_open_policy(forge, ATTRIBUTES);

        for (unsigned bit = 0; bit < 64; bit++) {
                g_autofree char *hex = g_strdup_printf("%016" G_GINT64_MODIFIER "x",
                                                       GUINT64_SWAP_LE_BE((UINT64_C(1) << bit) | UINT64_C(1) << 28));
                bool is_known = false;

                for (gsize i = 0; i < G_N_ELEMENTS(known); i++)
                        is_known |= known[i] == bit;
                scene_set(forge, "tdattributes", hex);
                g_autoptr(GBytes) quote = scene_quote(forge, some_report_data);
                g_autoptr(AttResult) result = appraise_bare(quote, policy);
                if (is_known)
                        assert_accepted(result);
                else if (bit == 0)
                        assert_refused(result, "debug", "debug TD");
                else
                        assert_refused(result, "attributes", "reserved or not known");
        }
}
END_TEST

/* Every bit of what says whose TDX module it is; no policy line takes another's. */
START_TEST(refuses_a_tdx_module_that_is_not_intels) {
        static const struct {
                const char *field, *good;
        } fields[] = { { "seamattributes", "0000000000000000" }, { "mrsignerseam", ZERO_MR } };
        g_autoptr(AttPolicy) policy = scene_open_policy(forge, ATTRIBUTES);

        for (gsize i = 0; i < G_N_ELEMENTS(fields); i++) {
                g_autofree char *hex = g_strdup(fields[i].good);

                for (gsize digit = 0; hex[digit]; digit++) {
                        hex[digit] = digit % 2 ? '1' : '8';
                        scene_set(forge, fields[i].field, hex);
                        hex[digit] = '0';
                        g_autoptr(GBytes) bad = scene_quote(forge, some_report_data);
                        g_autoptr(AttResult) no = appraise_bare(bad, policy);
                        assert_refused(no, "attributes", "module");
                }
                scene_set(forge, fields[i].field, fields[i].good);
                g_autoptr(GBytes) good = scene_quote(forge, some_report_data);
                g_autoptr(AttResult) yes = appraise_bare(good, policy);
                assert_accepted(yes);
        }
}
END_TEST

/* The quote's own proof. */

START_TEST(sc03a_refuses_zeros) {
        g_autoptr(AttPolicy) policy = scene_open_policy(forge, "");
        static const gsize sizes[] = { 0, 1, 2, 48, 160, 1000, 5000 };

        for (gsize i = 0; i < G_N_ELEMENTS(sizes); i++) {
                g_autoptr(GBytes) zeros = g_bytes_new_take(g_malloc0(sizes[i]), sizes[i]);
                g_autoptr(AttResult) result = appraise_bare(zeros, policy);

                ck_assert(!att_result_accepted(result));
                ck_assert(strstr(att_result_reason(result), "format: ") != NULL);
        }
}
END_TEST

START_TEST(sc03b_refuses_a_bad_signature) {
        assert_flaw("bad-signature", "quote-signature", "");
        assert_flaw("zero-signature", "quote-signature", "");
        assert_flaw("wrong-signer", "quote-signature", "");
}
END_TEST

START_TEST(sc03c_refuses_an_empty_reference_set) {
        static const char text[] = "attestd-policy 1\ntee tdx\nworkload any\nboot\n";
        g_autoptr(GError) error = NULL;

        ck_assert(!att_policy_parse("empty", text, strlen(text), &error));
        ck_assert_ptr_nonnull(strstr(error->message, "mrtd"));
}
END_TEST

START_TEST(sc04_refuses_a_quote_that_anybody_could_sign) {
        assert_flaw("self-signed", "pck-chain", "");
        assert_flaw("other-root", "pck-chain", "");

        /* Intel's root alone by default: the forge's own is nobody's. */
        g_autoptr(AttPolicy) intel =
                scene_parse("attestd-policy 1\ntee tdx\nworkload any\ncollateral not-required\nbare-report allowed\n");
        g_autoptr(GBytes) quote = scene_quote(forge, some_report_data);
        g_autoptr(AttResult) no = appraise_bare(quote, intel);
        assert_refused(no, "pck-chain", "pinned");
}
END_TEST

START_TEST(sc18b_refuses_a_qe_of_another_signer) {
        assert_flaw("qe-mrsigner", "qe-identity", "MRSIGNER");
}
END_TEST

START_TEST(sc18c_refuses_another_enclave_of_intel) {
        assert_flaw("qe-prodid", "qe-identity", "ISVPRODID is 1");
}
END_TEST

START_TEST(refuses_a_debug_qe) {
        assert_flaw("qe-debug", "qe-identity", "debug");
}
END_TEST

START_TEST(sc19h_refuses_another_qe_vendor) {
        assert_flaw("qe-vendor", "qe-vendor", "Intel");
}
END_TEST

START_TEST(sc20a_refuses_an_expired_certificate) {
        assert_flaw("expired-pck", "validity", "expired");
}
END_TEST

START_TEST(sc20b_refuses_a_certificate_of_the_future) {
        assert_flaw("future-pck", "validity", "not valid yet");
}
END_TEST

static const struct {
        const char *flaw, *reason;
} chains[] = {
        { "pck-name", "pck-chain: the leaf is" },
        { "pck-extension", "pck-chain: " },
        { "platform-not-ca", "pck-chain: " },
        { "swapped-chain", "pck-chain: " },
        { "no-chain", "pck-chain: the quote carries no certificates" },
        { "no-root", "pck-chain: " },
        { "certification-1", "qe-report-signature: no QE report" },
        { "certification-5", "qe-report-signature: no QE report" },
        { "tee-type", "quote-format: " },
        { "key-type", "quote-format: " },
        { "version", "quote-format: " },
};

START_TEST(refuses_a_chain_or_layout_with_one_thing_wrong) {
        g_autoptr(AttPolicy) policy = scene_open_policy(forge, "");
        g_autoptr(GBytes) bad = quote_with_flaw(chains[_i].flaw);
        g_autoptr(GBytes) good = quote_with_flaw("none");
        g_autoptr(AttResult) no = appraise_bare(bad, policy);
        g_autoptr(AttResult) yes = appraise_bare(good, policy);

        ck_assert(!att_result_accepted(no));
        ck_assert_msg(g_str_has_prefix(att_result_reason(no), chains[_i].reason), "%s: %s", chains[_i].flaw,
                      att_result_reason(no));
        assert_accepted(yes);
}
END_TEST

START_TEST(tells_an_old_chain_from_a_false_one) {
        g_autoptr(AttPolicy) policy = scene_open_policy(forge, "");
        g_autoptr(GBytes) quote = scene_quote(forge, some_report_data);
        AttAppraisalInput input = stated(quote, policy, some_report_data);
        static const int64_t times[] = { 0, INT64_MIN, 1500000000, 2600000000, INT64_MAX };

        for (gsize i = 0; i < G_N_ELEMENTS(times); i++) {
                input.at = times[i];
                g_autoptr(AttResult) result = att_appraise(&input);
                ck_assert_int_eq(scene_check(result, "pck-chain")->status, ATT_CHECK_PASSED);
                assert_refused(result, "validity", "certificate");
        }
        input.at = SCENE_NOW;
        g_autoptr(AttResult) yes = att_appraise(&input);
        assert_accepted(yes);
}
END_TEST

START_TEST(takes_certificates_that_the_caller_adds) {
        g_autoptr(AttPolicy) policy = scene_open_policy(forge, "");
        g_autoptr(GBytes) whole = quote_with_flaw("none");
        g_autoptr(GBytes) bare = quote_with_flaw("no-chain");
        g_autoptr(GBytes) no_root = quote_with_flaw("no-root");
        g_autoptr(GPtrArray) reversed = g_ptr_array_new();
        g_autoptr(GPtrArray) certificates = NULL;
        AttTdxQuote q;

        ck_assert(att_tdx_quote_parse(whole, &q, NULL));
        certificates = att_certificates_from_pem(q.certificates.at, q.certificates.left, NULL);
        for (guint i = certificates->len; i > 0; i--)
                g_ptr_array_add(reversed, certificates->pdata[i - 1]);

        AttAppraisalInput input = stated(bare, policy, some_report_data);
        g_autoptr(AttResult) without = att_appraise(&input);
        assert_refused(without, "pck-chain", "no certificates");
        input.extra_certificates = reversed;
        g_autoptr(AttResult) with = att_appraise(&input);
        assert_accepted(with);

        input.evidence = no_root;
        g_autoptr(AttResult) with_root = att_appraise(&input);
        assert_accepted(with_root);
}
END_TEST

/* A root of the right name, whose notAfter nobody can read. */
static AttCertificate *timeless_root(void) {
        EVP_PKEY *key = EVP_EC_gen("P-256");
        X509 *x509 = X509_new();
        X509_NAME *name = X509_get_subject_name(x509);
        g_autofree uint8_t *der = NULL;
        uint8_t *p;
        int size;
        AttCertificate *certificate;

        X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8, (const uint8_t *) "Test SGX Root CA", -1, -1, 0);
        X509_set_issuer_name(x509, name);
        ASN1_TIME_set(X509_getm_notBefore(x509), 0);
        ASN1_TIME_set(X509_getm_notAfter(x509), SCENE_NOW);
        ASN1_STRING_set(X509_getm_notAfter(x509), "ZZZZZZZZZZZZZ", -1);
        X509_set_pubkey(x509, key);
        X509_sign(x509, key, EVP_sha256());

        size = i2d_X509(x509, NULL);
        ck_assert_int_gt(size, 0);
        p = der = g_malloc((gsize) size);
        i2d_X509(x509, &p);
        certificate = att_certificate_from_der(der, (size_t) size, NULL);
        ck_assert_ptr_nonnull(certificate);
        ck_assert_int_eq(att_certificate_not_after(certificate), INT64_MIN);
        X509_free(x509);
        EVP_PKEY_free(key);
        return certificate;
}

START_TEST(refuses_a_chain_with_times_that_cannot_be_read) {
        g_autoptr(AttPolicy) policy = scene_open_policy(forge, "");
        g_autoptr(GBytes) no_root = quote_with_flaw("no-root");
        g_autoptr(GPtrArray) extra = g_ptr_array_new_with_free_func((GDestroyNotify) att_certificate_unref);
        AttAppraisalInput input = stated(no_root, policy, some_report_data);

        g_ptr_array_add(extra, timeless_root());
        input.extra_certificates = extra;
        g_autoptr(AttResult) result = att_appraise(&input);
        assert_refused(result, "pck-chain", "never valid at one time");
}
END_TEST

/* Where a version 4 quote of the forge has what; the lengths between stay as they are. */
enum {
        AT_SIGNATURE = 48 + 584 + 4,
        AT_KEY = AT_SIGNATURE + 64,
        AT_QE_REPORT = AT_KEY + 64 + 6,
        AT_QE_SIGNATURE = AT_QE_REPORT + 384,
        AT_AUTH_DATA = AT_QE_SIGNATURE + 64 + 2,
        AT_CERTIFICATES = AT_AUTH_DATA + 32 + 6,
};

typedef struct Range {
        gsize at, size;
} Range;

/* What comes from the other quote, and what is refused then. */
static const struct {
        const char *what;
        bool is_ours_into_theirs;
        Range ranges[4];
        const char *reason;
} substitutions[] = {
        { "attestation key", false, { { AT_KEY, 64 } }, "quote-signature: " },
        { "attestation key with its signature", false, { { AT_SIGNATURE, 128 } }, "qe-binding: " },
        { "QE report", false, { { AT_QE_REPORT, 384 } }, "qe-report-signature: " },
        { "QE report with its signature", false, { { AT_QE_REPORT, 384 + 64 } }, "qe-report-signature: " },
        { "QE report, signature and attestation key", false,
          { { AT_SIGNATURE, 128 }, { AT_QE_REPORT, 384 + 64 } }, "qe-report-signature: " },
        { "certificates", true,
          { { AT_SIGNATURE, 128 }, { AT_QE_REPORT, 384 + 64 }, { AT_AUTH_DATA, 32 } }, "qe-report-signature: " },
};

/* Every key that is used is the key that was verified. */
START_TEST(sc42_refuses_each_key_when_it_is_another) {
        g_autoptr(AttPolicy) policy = scene_open_policy(forge, "");
        g_autoptr(Forge) other_forge = forge_new(NULL, NULL);
        g_autoptr(GByteArray) ours = forge_quote(forge, some_report_data);
        g_autoptr(GByteArray) theirs = forge_quote(other_forge, some_report_data);
        bool reversed = substitutions[_i].is_ours_into_theirs;
        GByteArray *into = reversed ? theirs : ours, *from = reversed ? ours : theirs;
        g_autoptr(GBytes) good = g_bytes_new(ours->data, ours->len);

        for (gsize i = 0; i < G_N_ELEMENTS(substitutions[_i].ranges); i++) {
                Range r = substitutions[_i].ranges[i];

                memcpy(into->data + r.at, from->data + r.at, r.size);
        }
        g_autoptr(GBytes) bad = g_bytes_new(into->data, into->len);
        g_autoptr(AttResult) no = appraise_bare(bad, policy);
        g_autoptr(AttResult) yes = appraise_bare(good, policy);
        ck_assert(!att_result_accepted(no));
        ck_assert_msg(g_str_has_prefix(att_result_reason(no), substitutions[_i].reason), "%s: %s",
                      substitutions[_i].what, att_result_reason(no));
        assert_accepted(yes);
}
END_TEST

/* One bit anywhere in what is signed. */
START_TEST(refuses_every_signed_byte_when_it_is_another) {
        g_autoptr(AttPolicy) policy = scene_open_policy(forge, "");
        g_autoptr(GByteArray) quote = forge_quote(forge, some_report_data);

        for (gsize i = 0; i < AT_CERTIFICATES; i++) {
                g_autoptr(GBytes) bytes = NULL;
                g_autoptr(AttResult) result = NULL;

                quote->data[i] ^= 0x04;
                bytes = g_bytes_new(quote->data, quote->len);
                result = appraise_bare(bytes, policy);
                ck_assert_msg(!att_result_accepted(result), "byte %zu does not matter", i);
                quote->data[i] ^= 0x04;
        }

        g_autoptr(GBytes) good = g_bytes_new(quote->data, quote->len);
        g_autoptr(AttResult) yes = appraise_bare(good, policy);
        assert_accepted(yes);
}
END_TEST

/* So that a check which nobody makes is a refusal too. */
START_TEST(sc43_the_policy_says_what_is_mandatory) {
        static const AttCheckId always[] = {
                ATT_CHECK_POLICY, ATT_CHECK_FORMAT, ATT_CHECK_REPORT_DATA, ATT_CHECK_QUOTE_FORMAT, ATT_CHECK_TEE,
                ATT_CHECK_QE_VENDOR, ATT_CHECK_QUOTE_SIGNATURE, ATT_CHECK_QE_REPORT_SIGNATURE, ATT_CHECK_QE_BINDING,
                ATT_CHECK_QE_IDENTITY, ATT_CHECK_PCK_CHAIN, ATT_CHECK_VALIDITY, ATT_CHECK_DEBUG, ATT_CHECK_ATTRIBUTES,
        };
        g_autoptr(AttPolicy) least = scene_parse("attestd-policy 1\ntee tdx\nworkload any\n");
        g_autoptr(AttPolicy) lax = scene_open_policy(forge, ATTRIBUTES "shared-device allowed\n");
        g_autoptr(AttPolicy) snp = scene_parse("attestd-policy 1\ntee snp\nworkload any\n");
        g_autoptr(AttPolicy) both = scene_parse("attestd-policy 1\ntee snp\ntee tdx\nworkload any\n");
        AttCheckSet set = 0;

        for (gsize i = 0; i < G_N_ELEMENTS(always); i++)
                set |= ATT_CHECK_SET(always[i]);
        ck_assert_uint_eq(att_mandatory_by_policy(lax), set);
        set |= ATT_CHECK_SET(ATT_CHECK_PROFILE) | ATT_CHECK_SET(ATT_CHECK_COLLATERAL);
        ck_assert_uint_eq(att_mandatory_by_policy(least), set);
        set |= ATT_CHECK_SET(ATT_CHECK_MACHINE) | ATT_CHECK_SET(ATT_CHECK_BOOT) | ATT_CHECK_SET(ATT_CHECK_WORKLOAD);
        set |= ATT_CHECK_SET(ATT_CHECK_IMA_ROOT) | ATT_CHECK_SET(ATT_CHECK_IMA_LOG) | ATT_CHECK_SET(ATT_CHECK_IMA) |
               ATT_CHECK_SET(ATT_CHECK_BOOT_LOG);
        ck_assert_uint_eq(att_mandatory_by_policy(NULL), set | ATT_SNP_CHECKS);
        set = att_mandatory_by_policy(least);
        ck_assert_uint_eq(att_mandatory_by_policy(snp), (set & ~ATT_TDX_CHECKS) | ATT_SNP_CHECKS);
        ck_assert_uint_eq(att_mandatory_by_policy(both), set & ~ATT_TDX_CHECKS);
}
END_TEST

START_TEST(tells_everything_as_json) {
        g_autoptr(AttPolicy) policy = scene_policy(forge, "");
        g_autoptr(AttClaims) claims = good_claims();
        g_autofree char *text = NULL;
        json_t *object, *c, *q;

        claims->generation = G_MAXUINT64;
        g_autoptr(AttResult) result = appraise_claims(claims, policy);
        text = att_result_to_json(result, false);
        object = json_loads(text, 0, NULL);
        ck_assert_ptr_nonnull(object);
        ck_assert(json_is_true(json_object_get(object, "accepted")));
        ck_assert_str_eq(json_string_value(json_object_get(object, "reason")), "");
        ck_assert_str_eq(json_string_value(json_object_get(object, "profile")), ATT_PROFILE_EVIDENCE);
        ck_assert_str_eq(json_string_value(json_object_get(object, "tee")), "tdx");

        c = json_object_get(object, "claims");
        ck_assert_str_eq(json_string_value(json_object_get(c, "role")), "server");
        ck_assert_str_eq(json_string_value(json_object_get(c, "issued_at")), "2027-01-15T08:00:00Z");
        ck_assert_str_eq(json_string_value(json_object_get(c, "generation")), "18446744073709551615");
        ck_assert_str_eq(json_string_value(json_object_get(c, "boot_id")), "b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0");
        ck_assert_str_eq(json_string_value(json_object_get(json_object_get(c, "caller"), "unit")), SCENE_UNIT);
        ck_assert_int_eq(json_integer_value(json_object_get(json_object_get(c, "caller"), "uid")), SCENE_UID);

        q = json_object_get(object, "quote");
        ck_assert_str_eq(json_string_value(json_object_get(q, "body_type")), "td1.0");
        ck_assert_str_eq(json_string_value(json_object_get(q, "tee_type")), "0x81");
        ck_assert_str_eq(json_string_value(json_object_get(q, "ppid")), ONES);
        ck_assert_str_eq(json_string_value(json_object_get(q, "report_data")),
                         json_string_value(json_object_get(object, "report_data")));
        json_decref(object);
}
END_TEST

int main(void) {
        Suite *s = suite_create("appraisal");
        TCase *c = tcase_create("appraisal");

        tcase_set_timeout(c, 60);
        tcase_add_checked_fixture(c, set_up, tear_down);
        tcase_add_test(c, accepts_a_bare_quote);
        tcase_add_loop_test(c, accepts_a_quote_of_each_layout, 0, 6);
        tcase_add_test(c, ignores_what_follows_a_quote);
        tcase_add_test(c, accepts_claims_bound_to_a_connection);
        tcase_add_test(c, accepts_claims_for_the_report_data_that_follows);
        tcase_add_test(c, reads_a_report_in_every_wrapping);
        tcase_add_test(c, refuses_a_wrapping_with_no_evidence_or_two);
        tcase_add_test(c, refuses_a_report_of_another_tee);
        tcase_add_test(c, refuses_a_service_provider_beside_a_tdx_quote);
        tcase_add_test(c, refuses_a_profile_that_the_policy_does_not_list);
        tcase_add_loop_test(c, sc24c_refuses_what_is_cut_short, 0, 2);
        tcase_add_test(c, sc34d_refuses_input_over_its_limit);
        tcase_add_test(c, sc02a_compares_the_signed_report_data);
        tcase_add_test(c, sc02b_believes_no_unsigned_copy);
        tcase_add_test(c, sc03e_is_unbound_when_nothing_is_stated);
        tcase_add_test(c, sc07_refuses_other_report_data);
        tcase_add_test(c, sc08b_compares_the_padding_too);
        tcase_add_test(c, sc08c_matches_no_prefix);
        tcase_add_test(c, sc09a_has_the_layout_of_the_design);
        tcase_add_test(c, refuses_a_proof_that_was_not_asked_for);
        tcase_add_test(c, holds_claims_against_what_is_stated);
        tcase_add_test(c, refuses_claims_that_are_not_deterministic);
        tcase_add_test(c, matches_the_workload_by_system_unit_and_uid);
        tcase_add_test(c, a_rule_with_uid_needs_a_known_uid);
        tcase_add_test(c, refuses_a_bare_quote_where_a_workload_is_named);
        tcase_add_test(c, sc13_refuses_another_machine);
        tcase_add_test(c, sc03d_refuses_measurements_that_no_rule_has);
        tcase_add_test(c, refuses_a_shared_device_unless_allowed);
        tcase_add_test(c, refuses_a_report_that_was_stripped_of_its_claims);
        tcase_add_test(c, a_policy_for_bare_reports_holds_collections_as_before);
        tcase_add_test(c, sc03f_refuses_without_a_policy);
        tcase_add_test(c, sc25a_refuses_without_collateral);
        tcase_add_test(c, sc25b_refuses_a_debug_guest);
        tcase_add_test(c, sc19d_refuses_a_service_td);
        tcase_add_test(c, sc21_refuses_a_migratable_guest);
        tcase_add_test(c, sc25c_refuses_sept_ve_disable_off);
        tcase_add_test(c, each_weakness_needs_its_own_line);
        tcase_add_test(c, sc25d_refuses_reserved_attributes);
        tcase_add_test(c, refuses_a_tdx_module_that_is_not_intels);
        tcase_add_test(c, sc03a_refuses_zeros);
        tcase_add_test(c, sc03b_refuses_a_bad_signature);
        tcase_add_test(c, sc03c_refuses_an_empty_reference_set);
        tcase_add_test(c, sc04_refuses_a_quote_that_anybody_could_sign);
        tcase_add_test(c, sc18b_refuses_a_qe_of_another_signer);
        tcase_add_test(c, sc18c_refuses_another_enclave_of_intel);
        tcase_add_test(c, refuses_a_debug_qe);
        tcase_add_test(c, sc19h_refuses_another_qe_vendor);
        tcase_add_test(c, sc20a_refuses_an_expired_certificate);
        tcase_add_test(c, sc20b_refuses_a_certificate_of_the_future);
        tcase_add_loop_test(c, refuses_a_chain_or_layout_with_one_thing_wrong, 0, G_N_ELEMENTS(chains));
        tcase_add_test(c, tells_an_old_chain_from_a_false_one);
        tcase_add_test(c, takes_certificates_that_the_caller_adds);
        tcase_add_test(c, refuses_a_chain_with_times_that_cannot_be_read);
        tcase_add_test(c, sc43_the_policy_says_what_is_mandatory);
        tcase_add_loop_test(c, sc42_refuses_each_key_when_it_is_another, 0, G_N_ELEMENTS(substitutions));
        tcase_add_test(c, refuses_every_signed_byte_when_it_is_another);
        tcase_add_test(c, tells_everything_as_json);
        suite_add_tcase(s, c);
        return run_suite(s);
}
