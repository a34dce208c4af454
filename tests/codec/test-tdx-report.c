/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "codec/tdx-report.h"

#include "exact.h"
#include "run.h"
#include "util/error.h"

#define VALID_AT 256
#define VALID_10 "\xff\x01\x00\x00\x00\x00\x00\x00"
#define VALID_15 "\xff\x01\x03\x00\x00\x00\x00\x00"

/* Every byte tells its place, but for those that are checked. */
static GBytes *make(const char *valid) {
        uint8_t p[ATT_TDX_REPORT_SIZE];

        for (size_t i = 0; i < sizeof p; i++)
                p[i] = (uint8_t) (i * 7 + i / 256);
        memcpy(p, "\x81\0\0\0", 4);
        memcpy(p + VALID_AT, valid, 8);
        return exact(p, sizeof p);
}

static bool is_good(GBytes *bytes, const char *says) {
        g_autoptr(GError) error = NULL;
        AttTdxReport r = { .version = 77 };

        if (att_tdx_report_parse(bytes, &r, &error)) {
                ck_assert_ptr_null(error);
                return true;
        }
        ck_assert(g_error_matches(error, ATT_ERROR, ATT_ERROR_BAD_DATA));
        ck_assert_msg(strstr(error->message, says) != NULL, "\"%s\" does not say \"%s\"", error->message, says);
        ck_assert_uint_eq(r.version, 77);
        return false;
}

START_TEST(finds_every_field_at_its_place) {
        g_autoptr(GBytes) bytes = make(VALID_15);
        const uint8_t *p = g_bytes_get_data(bytes, NULL);
        AttTdxReport r;

        ck_assert(att_tdx_report_parse(bytes, &r, NULL));
        const struct {
                const uint8_t *found, *place;
        } fields[] = {
                { r.cpu_svn, p + 16 },
                { r.report_data, p + 128 },
                { r.tee_tcb_svn, p + 256 + 8 },
                { r.mr_seam, p + 256 + 24 },
                { r.mr_signer_seam, p + 256 + 72 },
                { r.seam_attributes, p + 256 + 120 },
                { r.tee_tcb_svn2, p + 256 + 128 },
                { r.td_attributes, p + 512 },
                { r.xfam, p + 512 + 8 },
                { r.mr_td, p + 512 + 16 },
                { r.mr_config_id, p + 512 + 64 },
                { r.mr_owner, p + 512 + 112 },
                { r.mr_owner_config, p + 512 + 160 },
                { r.rtmr[0], p + 512 + 208 },
                { r.rtmr[1], p + 512 + 256 },
                { r.rtmr[2], p + 512 + 304 },
                { r.rtmr[3], p + 512 + 352 },
                { r.service_td_hash, p + 512 + 400 },
        };
        for (size_t i = 0; i < G_N_ELEMENTS(fields); i++)
                ck_assert_msg(fields[i].found == fields[i].place, "field %zu", i);
}
END_TEST

START_TEST(a_module_of_before_has_one_svn) {
        g_autoptr(GBytes) bytes = make(VALID_10);
        AttTdxReport r;

        ck_assert(att_tdx_report_parse(bytes, &r, NULL));
        ck_assert_ptr_null(r.tee_tcb_svn2);
        ck_assert_ptr_nonnull(r.tee_tcb_svn);
}
END_TEST

START_TEST(refuses_every_other_size) {
        g_autoptr(GBytes) whole = make(VALID_15), longer = exact_append(whole, "", 1);

        ck_assert(is_good(whole, ""));
        for (size_t n = 0; n < ATT_TDX_REPORT_SIZE; n++) {
                g_autoptr(GBytes) part = exact_prefix(whole, n);

                ck_assert(!is_good(part, "bytes, not 1024"));
        }
        ck_assert(!is_good(longer, "1025 bytes"));
}
END_TEST

START_TEST(refuses_what_it_does_not_know) {
        static const struct {
                size_t at;
                const char *byte, *says;
        } bad[] = {
                { 0, "\0", "type is 0" }, /* an SGX report's */
                { 0, "\x80", "type is 128" },
                { 1, "\1", "subtype 1" },
                { 2, "\2", "version 2" },
                { VALID_AT, "\xfe", "TDX module" },
                { VALID_AT + 1, "\0", "TDX module" },
        };
        g_autoptr(GBytes) good = make(VALID_15), zero = exact_edit(good, 0, (uint8_t[ATT_TDX_REPORT_SIZE]) { 0 },
                                                                   ATT_TDX_REPORT_SIZE);
        g_autoptr(GBytes) version_1 = exact_edit(good, 2, "\1", 1);

        ck_assert(is_good(good, "") && is_good(version_1, ""));
        ck_assert(!is_good(zero, "type"));
        for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
                g_autoptr(GBytes) bytes = exact_edit(good, bad[i].at, bad[i].byte, 1);

                ck_assert(!is_good(bytes, bad[i].says));
        }
}
END_TEST

int main(void) {
        Suite *s = suite_create("tdx-report");
        TCase *t = tcase_create("TDREPORT");

        tcase_add_test(t, finds_every_field_at_its_place);
        tcase_add_test(t, a_module_of_before_has_one_svn);
        tcase_add_test(t, refuses_every_other_size);
        tcase_add_test(t, refuses_what_it_does_not_know);
        suite_add_tcase(s, t);
        return run_suite(s);
}
