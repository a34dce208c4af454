/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "codec/hcl-report.h"

#include "exact.h"
#include "run.h"
#include "util/error.h"

#include <stdbool.h>

#define CLAIMS "{\"keys\":[]}"
#define CLAIMS_AT 1236u

static GBytes *make(size_t padding) {
        g_autoptr(GByteArray) out = g_byte_array_new();

        att_put(out, "HCLA", 4);
        att_put_le(out, 2, 4);
        for (size_t i = 0; i < 24 + 1184; i++)
                att_put_le(out, 1 + i % 251, 1);
        att_put_le(out, 20 + strlen(CLAIMS), 4);
        att_put_le(out, 1, 4);
        att_put_le(out, ATT_HCL_SNP, 4);
        att_put_le(out, ATT_HCL_SHA256, 4);
        att_put_le(out, strlen(CLAIMS), 4);
        att_put(out, CLAIMS, strlen(CLAIMS));
        for (size_t i = 0; i < padding; i++)
                att_put_le(out, i % 2, 1);
        return exact(out->data, out->len);
}

static bool is_good(GBytes *bytes, int code) {
        g_autoptr(GError) error = NULL;
        AttHclReport r = { .version = 77 };

        if (att_hcl_report_parse(bytes, &r, &error)) {
                ck_assert_ptr_null(error);
                return true;
        }
        ck_assert(g_error_matches(error, ATT_ERROR, code));
        ck_assert_uint_eq(r.version, 77);
        return false;
}

START_TEST(finds_every_part) {
        g_autoptr(GBytes) bytes = make(257);
        const uint8_t *p = g_bytes_get_data(bytes, NULL);
        AttHclReport r;

        ck_assert(att_hcl_report_is_like(bytes));
        ck_assert(att_hcl_report_parse(bytes, &r, NULL));
        ck_assert_uint_eq(r.version, 2);
        ck_assert_int_eq(r.type, ATT_HCL_SNP);
        ck_assert_int_eq(r.hash, ATT_HCL_SHA256);
        ck_assert_ptr_eq(r.hardware_report.at, p + 32);
        ck_assert_uint_eq(r.hardware_report.left, 1184);
        ck_assert_ptr_eq(r.runtime_claims.at, p + CLAIMS_AT);
        ck_assert_uint_eq(r.runtime_claims.left, strlen(CLAIMS));
}
END_TEST

START_TEST(refuses_every_prefix) {
        g_autoptr(GBytes) whole = make(0);

        ck_assert(is_good(whole, 0));
        for (size_t n = 0; n < g_bytes_get_size(whole); n++) {
                g_autoptr(GBytes) part = exact_prefix(whole, n);

                ck_assert(!is_good(part, ATT_ERROR_BAD_DATA));
                ck_assert(att_hcl_report_is_like(part) == (n >= 4));
        }
}
END_TEST

START_TEST(refuses_what_it_does_not_know) {
        static const struct {
                size_t at;
                const char *bytes;
                size_t size;
        } cases[] = {
                { 0, "HCLB", 4 },                       /* magic */
                { CLAIMS_AT - 12, "\3", 1 },            /* type */
                { CLAIMS_AT - 12, "\2\0\0\1", 4 },
                { CLAIMS_AT - 8, "\0", 1 },             /* hash */
                { CLAIMS_AT - 8, "\4", 1 },
                { CLAIMS_AT - 4, "\xff\xff\xff\xff", 4 }, /* size of the claims */
        };
        g_autoptr(GBytes) good = make(3);

        for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
                g_autoptr(GBytes) bytes = exact_edit(good, cases[i].at, cases[i].bytes, cases[i].size);

                ck_assert_msg(!is_good(bytes, ATT_ERROR_BAD_DATA), "accepted: case %zu", i);
        }
        g_autoptr(GBytes) tdx = exact_edit(good, CLAIMS_AT - 12, "\4", 1);
        ck_assert(is_good(tdx, 0));
}
END_TEST

START_TEST(sc34d_an_hcl_report_has_a_cap) {
        g_autoptr(GBytes) small = make(0);
        size_t rest = ATT_HCL_SIZE_MAX - g_bytes_get_size(small);
        g_autoptr(GBytes) at_cap = make(rest), over = make(rest + 1), huge = make(1u << 24);

        ck_assert(is_good(at_cap, 0));
        ck_assert(!is_good(over, ATT_ERROR_TOO_LARGE));
        ck_assert(!is_good(huge, ATT_ERROR_TOO_LARGE));
}
END_TEST

int main(void) {
        Suite *s = suite_create("hcl-report");
        TCase *t = tcase_create("layout");

        tcase_add_test(t, finds_every_part);
        tcase_add_test(t, refuses_every_prefix);
        tcase_add_test(t, refuses_what_it_does_not_know);
        tcase_add_test(t, sc34d_an_hcl_report_has_a_cap);
        suite_add_tcase(s, t);
        return run_suite(s);
}
