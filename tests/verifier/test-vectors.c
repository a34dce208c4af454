/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Quotes of real machines, against Intel's root: verdict and fields as an
 * independent verifier has them, and no signed byte that does not matter. */
#include "codec/tdx-quote.h"
#include "codec/vectors.h"
#include "verifier/appraisal.h"

#include "run.h"

/* One for guests without weaknesses, and one that takes them all. */
#define STRICT_POLICY "attestd-policy 1\ntee tdx\nworkload any\ncollateral not-required\npeer any\n" \
                      "bare-report allowed\n"
#define OPEN_POLICY STRICT_POLICY "attributes sept-ve-disable-off\nattributes migratable\nattributes service-td\n"

static AttPolicy *parse_policy(const char *text) {
        AttPolicy *policy = att_policy_parse("open", text, strlen(text), NULL);

        ck_assert_ptr_nonnull(policy);
        return policy;
}

static const char *text_of(json_t *object, const char *key) {
        return json_string_value(json_object_get(object, key));
}

/* A second in the validity of its PCK certificate; any, where there is none. */
static int64_t time_for(json_t *expected) {
        const char *text = text_of(expected, "pck_not_before");
        g_autoptr(GDateTime) time = text ? g_date_time_new_from_iso8601(text, NULL) : NULL;

        return time ? g_date_time_to_unix(time) + 86400 : 1750000000;
}

static AttResult *appraise_by(const char *policy_text, GBytes *quote, json_t *expected) {
        g_autoptr(AttPolicy) policy = parse_policy(policy_text);
        const char *hex = text_of(expected, "report_data");
        AttAppraisalInput input = {
                .evidence = quote,
                .policy = policy,
                .at = time_for(expected),
                .bound_to = ATT_BOUND_REPORT_DATA,
        };

        for (size_t i = 0; hex && i < sizeof input.report_data && strlen(hex) == 2 * sizeof input.report_data; i++)
                input.report_data[i] = (uint8_t) (g_ascii_xdigit_value(hex[2 * i]) << 4 |
                                                  g_ascii_xdigit_value(hex[2 * i + 1]));
        return att_appraise(&input);
}

static AttResult *appraise(GBytes *quote, json_t *expected) {
        return appraise_by(OPEN_POLICY, quote, expected);
}

static AttCheckStatus status_of(const AttResult *result, const char *name) {
        const GPtrArray *checks = att_result_checks(result);

        for (guint i = 0; i < checks->len; i++) {
                const AttCheck *check = checks->pdata[i];

                if (g_str_equal(check->name, name))
                        return check->status;
        }
        ck_abort_msg("no check is called %s", name);
}

/* What of EXPECTED.json is not of the quote itself. */
static bool is_derived(const char *key) {
        static const char *const derived[] = {
                "chain", "expect", "kind", "parse", "pck_revoked_by_crl", "problems", "qe_report_binds_key",
                "qe_report_sig", "qe_status_by_collateral", "quote_sig", "sig", "tcb_status_by_collateral",
        };

        for (gsize i = 0; i < G_N_ELEMENTS(derived); i++)
                if (g_str_equal(key, derived[i]))
                        return true;
        return false;
}

static void check_fields(const char *path, const AttResult *result, json_t *expected) {
        g_autofree char *text = att_result_to_json(result, false);
        g_autoptr(json_t) object = json_loads(text, 0, NULL);
        json_t *quote = json_object_get(object, "quote"), *value;
        const char *key;

        ck_assert_msg(json_is_object(quote), "%s: no fields", path);
        json_object_foreach(expected, key, value) {
                g_autofree char *found = NULL, *wanted = NULL;

                if (is_derived(key) || json_is_null(value))
                        continue;
                found = json_dumps(json_object_get(quote, key), JSON_ENCODE_ANY);
                wanted = json_dumps(value, JSON_ENCODE_ANY);
                ck_assert_msg(json_equal(json_object_get(quote, key), value), "%s: %s is %s, not %s", path, key, found,
                              wanted);
        }
        json_object_foreach(quote, key, value)
                ck_assert_msg(g_str_equal(key, "ppid") || json_object_get(expected, key), "%s: %s is too much", path,
                              key);
}

static void check_verdict(const char *path, json_t *expected, GBytes *bytes) {
        g_autoptr(AttResult) result = appraise(bytes, expected);
        const char *expect = text_of(expected, "expect"), *reason = att_result_reason(result);
        bool accepted = att_result_accepted(result);

        if (g_str_equal(text_of(expected, "kind"), "sgx-quote"))
                ck_assert_msg(!accepted && strstr(reason, "not a TDX quote: an SGX quote"), "%s: %s", path, reason);
        else if (json_is_true(json_object_get(expected, "td_debug")))
                ck_assert_msg(!accepted && g_str_has_prefix(reason, "debug: "), "%s: %s", path, reason);
        else if (g_str_equal(expect, "good"))
                ck_assert_msg(accepted, "%s: %s", path, reason);
        else if (g_str_equal(expect, "bad:parse"))
                ck_assert_msg(!accepted && g_str_has_prefix(reason, "quote-format: "), "%s: %s", path, reason);
        else if (g_str_equal(expect, "bad:sig"))
                ck_assert_msg(!accepted && status_of(result, "pck-chain") == ATT_CHECK_PASSED &&
                              status_of(result, "quote-signature") == ATT_CHECK_FAILED, "%s: %s", path, reason);
        else
                ck_assert_msg(!accepted && status_of(result, "pck-chain") == ATT_CHECK_FAILED, "%s: %s", path, reason);

        if (g_str_equal(text_of(expected, "parse"), "ok") && g_str_equal(text_of(expected, "kind"), "tdx-quote"))
                check_fields(path, result, expected);
}

static bool is_quote(const char *path, json_t *expected) {
        const char *kind = text_of(expected, "kind");

        return g_str_has_prefix(path, "tdx/") && kind && g_str_has_suffix(kind, "-quote");
}

START_TEST(gives_every_real_quote_its_verdict_and_fields) {
        g_autoptr(json_t) all = vectors_expected();
        const char *path;
        json_t *expected;
        guint n = 0;

        json_object_foreach(all, path, expected)
                if (is_quote(path, expected)) {
                        g_autoptr(GBytes) bytes = vectors_read(path);

                        check_verdict(path, expected, bytes);
                        n++;
                }
        ck_assert_uint_gt(n, 50);
}
END_TEST

static bool is_good(const char *path, json_t *expected) {
        return is_quote(path, expected) && g_strcmp0(text_of(expected, "kind"), "tdx-quote") == 0 &&
               g_strcmp0(text_of(expected, "expect"), "good") == 0;
}

enum { STRONG, SEPT_VE_DISABLE_OFF, MIGRATABLE, SERVICE_TD, KINDS };

/* By the facts, not by our parser: the first weakness of the guest. */
static int kind_of(json_t *expected) {
        const char *attributes = text_of(expected, "td_attributes"), *service = text_of(expected, "mr_service_td");
        int nibble = g_ascii_xdigit_value(attributes[6]); /* bits 31 to 28 */

        if (!(nibble & 1))
                return SEPT_VE_DISABLE_OFF;
        if (nibble & 2)
                return MIGRATABLE;
        return service && strspn(service, "0") != strlen(service) ? SERVICE_TD : STRONG;
}

/* By a policy without the lines that take them, guests of the field that are weaker than they could
 * be are refused, for that reason and no other; all others are accepted. */
START_TEST(sc19d_sc21_sc25c_refuses_weak_guests_of_the_field) {
        static const char *const reasons[KINDS] = {
                [STRONG] = "",
                [SEPT_VE_DISABLE_OFF] = "attributes: SEPT_VE_DISABLE is off",
                [MIGRATABLE] = "attributes: the TD is migratable",
                [SERVICE_TD] = "attributes: a service TD",
        };
        g_autoptr(json_t) all = vectors_expected();
        guint n[KINDS] = { 0 };
        const char *path;
        json_t *expected;

        json_object_foreach(all, path, expected) {
                g_autoptr(GBytes) bytes = NULL;
                g_autoptr(AttResult) result = NULL;
                int kind;

                if (!is_good(path, expected) || json_is_true(json_object_get(expected, "td_debug")))
                        continue;
                kind = kind_of(expected);
                n[kind]++;
                bytes = vectors_read(path);
                result = appraise_by(STRICT_POLICY, bytes, expected);
                ck_assert_msg(att_result_accepted(result) == (kind == STRONG) &&
                              g_str_has_prefix(att_result_reason(result), reasons[kind]), "%s: %s", path,
                              att_result_reason(result));
        }
        ck_assert_uint_eq(n[SEPT_VE_DISABLE_OFF], 10);
        ck_assert_uint_eq(n[MIGRATABLE], 1);
        ck_assert_uint_eq(n[SERVICE_TD], 2);
        ck_assert_uint_gt(n[STRONG], 40);
}
END_TEST

/* Appraises the quote with one bit of the byte at @at changed: refused, for the check that
 * is named. */
static void flip_bit(const char *path, GByteArray *quote, gsize at, uint8_t bit, const char *check,
                     json_t *expected) {
        g_autoptr(GBytes) bytes = NULL;
        g_autoptr(AttResult) result = NULL;

        quote->data[at] ^= bit;
        bytes = g_bytes_new(quote->data, quote->len);
        quote->data[at] ^= bit;
        result = appraise(bytes, expected);
        ck_assert_msg(!att_result_accepted(result), "%s: byte %zu does not matter", path, at);
        ck_assert_msg(status_of(result, check) == ATT_CHECK_FAILED, "%s: byte %zu: %s did not fail, but %s", path, at,
                      check, att_result_reason(result));
}

static void flip(const char *path, GByteArray *quote, gsize at, const char *check, json_t *expected) {
        flip_bit(path, quote, at, 0x02, check, expected);
}

static void flip_certificates(const char *path, GByteArray *quote, const AttTdxQuote *q, json_t *expected) {
        static const char begin[] = "-----BEGIN CERTIFICATE-----";
        const uint8_t *end = q->certificates.at + q->certificates.left, *next = q->certificates.at;
        guint n = 0;

        while ((next = memmem(next, (size_t) (end - next), begin, strlen(begin)))) {
                next += strlen(begin);
                /* in the middle of a line, and so in the encoded bytes */
                for (gsize line = 2; line < 10; line += 3) {
                        gsize at = (gsize) (next - q->signed_part.at) + 1 + 65 * line + 30;

                        flip(path, quote, at, "pck-chain", expected);
                }
                n++;
        }
        ck_assert_uint_eq(n, 3);
}

static void flip_all(const char *path, json_t *expected, GBytes *bytes) {
        g_autoptr(GByteArray) quote = g_byte_array_new();
        AttTdxQuote q;

        ck_assert(att_tdx_quote_parse(bytes, &q, NULL));
        g_byte_array_append(quote, g_bytes_get_data(bytes, NULL), (guint) g_bytes_get_size(bytes));
#define AT(pointer) ((gsize) ((pointer) - q.signed_part.at))
        const gsize by_quote_signature[] = {
                8, AT(q.user_data), AT(q.tee_tcb_svn), AT(q.mr_seam), AT(q.mr_signer_seam), AT(q.seam_attributes),
                AT(q.td_attributes) + 1, AT(q.xfam), AT(q.mr_td), AT(q.mr_config_id), AT(q.mr_owner),
                AT(q.mr_owner_config), AT(q.rtmr[0]), AT(q.rtmr[1]), AT(q.rtmr[2]), AT(q.rtmr[3]) + 47,
                AT(q.report_data) + 63, AT(q.signature), AT(q.signature) + 63, AT(q.attestation_key),
                AT(q.attestation_key) + 63,
        };
        const gsize by_qe_report_signature[] = {
                AT(q.qe_report_bytes.at), AT(q.qe_report.misc_select), AT(q.qe_report.attributes),
                AT(q.qe_report.mr_enclave), AT(q.qe_report.mr_signer), AT(q.qe_report_bytes.at) + 256,
                AT(q.qe_report_bytes.at) + 258, AT(q.qe_report.report_data), AT(q.qe_report.report_data) + 63,
                AT(q.qe_report_signature), AT(q.qe_report_signature) + 63,
        };

        for (gsize i = 0; i < G_N_ELEMENTS(by_quote_signature); i++)
                flip(path, quote, by_quote_signature[i], "quote-signature", expected);
        if (q.body == ATT_TDX_BODY_15) {
                flip(path, quote, AT(q.tee_tcb_svn2), "quote-signature", expected);
                flip(path, quote, AT(q.mr_service_td), "quote-signature", expected);
        }
        for (gsize i = 0; i < G_N_ELEMENTS(by_qe_report_signature); i++)
                flip(path, quote, by_qe_report_signature[i], "qe-report-signature", expected);
        flip(path, quote, 0, "quote-format", expected);
        flip(path, quote, 4, "quote-format", expected);
        flip(path, quote, AT(q.qe_vendor_id), "qe-vendor", expected);
        if (!(q.td_attributes[0] & 0x01))
                flip_bit(path, quote, AT(q.td_attributes), 0x01, "debug", expected);
        for (gsize i = 0; i < 8; i++)
                flip(path, quote, AT(q.td_attributes) + i, "attributes", expected);
        flip(path, quote, AT(q.seam_attributes), "attributes", expected);
        flip(path, quote, AT(q.mr_signer_seam), "attributes", expected);
        flip(path, quote, AT(q.attestation_key) + 31, "qe-binding", expected);
        flip(path, quote, AT(q.qe_auth_data.at), "qe-binding", expected);
        flip(path, quote, AT(q.qe_report.mr_signer), "qe-identity", expected);
        flip_certificates(path, quote, &q, expected);
#undef AT
}

START_TEST(refuses_every_class_of_signed_bytes_when_changed) {
        g_autoptr(json_t) all = vectors_expected();
        const char *path;
        json_t *expected;
        guint n = 0;

        json_object_foreach(all, path, expected) {
                g_autoptr(GBytes) bytes = NULL;

                if (!is_good(path, expected))
                        continue;
                bytes = vectors_read(path);
                flip_all(path, expected, bytes);
                n++;
        }
        ck_assert_uint_gt(n, 50);
}
END_TEST

START_TEST(sc08b_sc09a_reads_report_data_of_real_quotes_whole) {
        g_autoptr(json_t) all = vectors_expected();
        const char *path;
        json_t *expected;

        json_object_foreach(all, path, expected) {
                g_autofree char *hex = g_strdup(text_of(expected, "report_data"));
                g_autoptr(json_t) other = NULL;
                g_autoptr(GBytes) bytes = NULL;
                g_autoptr(AttResult) result = NULL;

                if (!is_quote(path, expected) || g_strcmp0(text_of(expected, "kind"), "tdx-quote") != 0 || !hex)
                        continue;
                hex[127] = hex[127] == '0' ? '1' : '0';
                other = json_copy(expected);
                json_object_set_new(other, "report_data", json_string(hex));
                bytes = vectors_read(path);
                result = appraise(bytes, other);
                ck_assert_msg(!att_result_accepted(result) &&
                              status_of(result, "report-data") == ATT_CHECK_FAILED, "%s", path);
        }
}
END_TEST

int main(int argc, char **argv) {
        Suite *s = suite_create("verifier-vectors");
        TCase *c = tcase_create("quotes");

        if (!vectors_open(argc, argv))
                return 77;
        tcase_set_timeout(c, 300);
        tcase_add_test(c, gives_every_real_quote_its_verdict_and_fields);
        tcase_add_test(c, sc19d_sc21_sc25c_refuses_weak_guests_of_the_field);
        tcase_add_test(c, refuses_every_class_of_signed_bytes_when_changed);
        tcase_add_test(c, sc08b_sc09a_reads_report_data_of_real_quotes_whole);
        suite_add_tcase(s, c);
        return run_suite(s);
}
