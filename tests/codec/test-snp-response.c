/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "codec/snp-response.h"

#include "exact.h"
#include "run.h"
#include "util/error.h"

#define ROOM (ATT_SNP_RESPONSE_SIZE - 32)

static GBytes *make(uint32_t status, uint32_t report_size) {
        g_autoptr(GByteArray) out = g_byte_array_new();
        static const uint8_t zero[24];

        att_put_le(out, status, 4);
        att_put_le(out, report_size, 4);
        att_put(out, zero, sizeof zero);
        while (out->len < ATT_SNP_RESPONSE_SIZE)
                att_put_le(out, out->len & 0xff, 1);
        return exact(out->data, out->len);
}

static bool is_good(GBytes *bytes, AttSnpResponse *ret, const char *says) {
        g_autoptr(GError) error = NULL;
        AttSnpResponse r = { .status = 77 };

        if (att_snp_response_parse(att_cursor_bytes(bytes), &r, &error)) {
                ck_assert_ptr_null(error);
                *ret = r;
                return true;
        }
        ck_assert(g_error_matches(error, ATT_ERROR, ATT_ERROR_BAD_DATA));
        ck_assert_msg(strstr(error->message, says) != NULL, "\"%s\" does not say \"%s\"", error->message, says);
        ck_assert_uint_eq(r.status, 77);
        return false;
}

START_TEST(finds_the_report) {
        static const uint32_t sizes[] = { 0, 1, 1184, ROOM };

        for (size_t i = 0; i < G_N_ELEMENTS(sizes); i++) {
                g_autoptr(GBytes) bytes = make(0, sizes[i]);
                AttSnpResponse r;

                ck_assert(is_good(bytes, &r, ""));
                ck_assert_uint_eq(r.status, 0);
                ck_assert_uint_eq(r.report.left, sizes[i]);
                ck_assert_ptr_eq(r.report.at, (const uint8_t *) g_bytes_get_data(bytes, NULL) + 32);
        }
}
END_TEST

START_TEST(a_refusal_has_no_report) {
        g_autoptr(GBytes) bytes = make(ATT_SNP_STATUS_INVALID_PARAM, UINT32_MAX);
        AttSnpResponse r;

        ck_assert(is_good(bytes, &r, ""));
        ck_assert_uint_eq(r.status, ATT_SNP_STATUS_INVALID_PARAM);
        ck_assert_uint_eq(r.report.left, 0);
        ck_assert(!r.report.failed);
}
END_TEST

START_TEST(sc34a_a_length_is_held_against_the_room) {
        static const uint32_t sizes[] = {
                ROOM + 1, ATT_SNP_RESPONSE_SIZE, 0x10000, 0x7fffffff, 0x80000000, UINT32_MAX,
        };
        g_autoptr(GBytes) good = make(0, ROOM);
        AttSnpResponse r;

        ck_assert(is_good(good, &r, ""));
        for (size_t i = 0; i < G_N_ELEMENTS(sizes); i++) {
                g_autoptr(GBytes) bytes = make(0, sizes[i]);

                ck_assert(!is_good(bytes, &r, "cannot hold"));
        }
}
END_TEST

START_TEST(refuses_every_other_size) {
        g_autoptr(GBytes) whole = make(0, 1184), longer = exact_append(whole, "", 1);
        AttSnpResponse r;

        ck_assert(is_good(whole, &r, ""));
        for (size_t n = 0; n < ATT_SNP_RESPONSE_SIZE; n++) {
                g_autoptr(GBytes) part = exact_prefix(whole, n);

                ck_assert(!is_good(part, &r, "bytes, not 4000"));
        }
        ck_assert(!is_good(longer, &r, "4001 bytes"));
}
END_TEST

int main(void) {
        Suite *s = suite_create("snp-response");
        TCase *t = tcase_create("response");

        tcase_add_test(t, finds_the_report);
        tcase_add_test(t, a_refusal_has_no_report);
        tcase_add_test(t, sc34a_a_length_is_held_against_the_room);
        tcase_add_test(t, refuses_every_other_size);
        suite_add_tcase(s, t);
        return run_suite(s);
}
