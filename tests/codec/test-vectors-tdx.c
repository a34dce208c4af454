/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Quotes of real machines: every field as an independent parser reads it. */
#include "codec/tdx-quote.h"
#include "run.h"
#include "vectors.h"

static void check_hex(const char *path, json_t *expected, const char *key, const uint8_t *p, size_t n) {
        const char *hex = json_string_value(json_object_get(expected, key));
        g_autofree char *found = hex_of(p, n);

        ck_assert_msg(hex && strcmp(hex, found) == 0, "%s: %s is %s, not %s", path, key, found, hex ? hex : "there");
}

static void check_number(const char *path, json_t *expected, const char *key, size_t n) {
        json_t *value = json_object_get(expected, key);

        ck_assert_msg(json_is_integer(value) && (size_t) json_integer_value(value) == n, "%s: %s is %zu", path, key, n);
}

static void check_bool(const char *path, json_t *expected, const char *key, bool b) {
        json_t *value = json_object_get(expected, key);

        ck_assert_msg(json_is_boolean(value) && json_boolean_value(value) == b, "%s: %s is %d", path, key, b);
}

static bool has_bytes(AttCursor c) {
        for (size_t i = 0; i < c.left; i++)
                if (c.at[i] != 0)
                        return true;
        return false;
}

static bool begins_with(AttCursor c, const char *text) {
        return c.left >= strlen(text) && memcmp(c.at, text, strlen(text)) == 0;
}

static void check_quote(const char *path, json_t *expected, GBytes *bytes) {
        const char *body = json_string_value(json_object_get(expected, "body_type"));
        g_autoptr(GError) error = NULL;
        AttTdxQuote q;

        ck_assert_msg(att_tdx_quote_parse(bytes, &q, &error), "%s: %s", path, error ? error->message : "");
        check_number(path, expected, "version", q.version);
        check_number(path, expected, "att_key_type", q.att_key_type);
        ck_assert_str_eq(json_string_value(json_object_get(expected, "tee_type")), "0x81");
        ck_assert_str_eq(body, q.body == ATT_TDX_BODY_15 ? "td1.5" : "td1.0");
        check_number(path, expected, "quote_length", q.quote_size);
        check_number(path, expected, "trailing_bytes", q.trailing.left);
        check_bool(path, expected, "trailing_nonzero", has_bytes(q.trailing));
        check_hex(path, expected, "user_data", q.user_data, 20);
        check_hex(path, expected, "tee_tcb_svn", q.tee_tcb_svn, 16);
        check_hex(path, expected, "mr_seam", q.mr_seam, 48);
        check_hex(path, expected, "mr_signer_seam", q.mr_signer_seam, 48);
        check_hex(path, expected, "seam_attributes", q.seam_attributes, 8);
        check_hex(path, expected, "td_attributes", q.td_attributes, 8);
        check_bool(path, expected, "td_debug", q.td_attributes[0] & 1);
        check_hex(path, expected, "xfam", q.xfam, 8);
        check_hex(path, expected, "mr_td", q.mr_td, 48);
        check_hex(path, expected, "mr_config_id", q.mr_config_id, 48);
        check_hex(path, expected, "mr_owner", q.mr_owner, 48);
        check_hex(path, expected, "mr_owner_config", q.mr_owner_config, 48);
        check_hex(path, expected, "rtmr0", q.rtmr[0], 48);
        check_hex(path, expected, "rtmr1", q.rtmr[1], 48);
        check_hex(path, expected, "rtmr2", q.rtmr[2], 48);
        check_hex(path, expected, "rtmr3", q.rtmr[3], 48);
        check_hex(path, expected, "report_data", q.report_data, 64);
        ck_assert_ptr_eq(att_tdx_quote_report_data(bytes), q.report_data);
        if (q.body == ATT_TDX_BODY_15) {
                check_hex(path, expected, "tee_tcb_svn2", q.tee_tcb_svn2, 16);
                check_hex(path, expected, "mr_service_td", q.mr_service_td, 48);
        }

        check_number(path, expected, "cert_type",
                     q.certification_type == 6 ? q.inner_certification_type : q.certification_type);
        ck_assert_ptr_nonnull(q.qe_report.mr_enclave);
        check_hex(path, expected, "qe_mr_enclave", q.qe_report.mr_enclave, 32);
        check_hex(path, expected, "qe_mr_signer", q.qe_report.mr_signer, 32);
        check_hex(path, expected, "qe_misc_select", q.qe_report.misc_select, 4);
        check_hex(path, expected, "qe_attributes", q.qe_report.attributes, 16);
        check_bool(path, expected, "qe_debug", q.qe_report.attributes[0] & 2);
        check_number(path, expected, "qe_isv_prod_id", q.qe_report.isv_prod_id);
        check_number(path, expected, "qe_isv_svn", q.qe_report.isv_svn);
        if (strcmp(json_string_value(json_object_get(expected, "chain")), "none") != 0)
                ck_assert(begins_with(q.certificates, "-----BEGIN CERTIFICATE-----"));
}

START_TEST(reads_real_quotes_and_refuses_what_is_none) {
        g_autoptr(json_t) all = vectors_expected();
        size_t good = 0, bad = 0;
        const char *path;
        json_t *expected;

        json_object_foreach(all, path, expected) {
                const char *kind = json_string_value(json_object_get(expected, "kind"));
                const char *parse = json_string_value(json_object_get(expected, "parse"));
                g_autoptr(GBytes) bytes = NULL;

                if (!g_str_has_prefix(path, "tdx/") || !kind || !g_str_has_suffix(kind, "-quote"))
                        continue;

                bytes = vectors_read(path);
                if (strcmp(kind, "tdx-quote") == 0 && strcmp(parse, "ok") == 0) {
                        check_quote(path, expected, bytes);
                        good++;
                } else {
                        g_autoptr(GError) error = NULL;
                        AttTdxQuote q;

                        ck_assert_msg(!att_tdx_quote_parse(bytes, &q, &error), "accepted: %s", path);
                        ck_assert(strcmp(kind, "sgx-quote") != 0 || strstr(error->message, "SGX"));
                        bad++;
                }
        }
        ck_assert_uint_gt(good, 50);
        ck_assert_uint_gt(bad, 5);
}
END_TEST

int main(int argc, char **argv) {
        Suite *s = suite_create("vectors-tdx");
        TCase *t = tcase_create("quotes");

        if (!vectors_open(argc, argv))
                return 77;
        tcase_add_test(t, reads_real_quotes_and_refuses_what_is_none);
        suite_add_tcase(s, t);
        return run_suite(s);
}
