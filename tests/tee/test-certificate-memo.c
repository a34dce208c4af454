/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A host's certificates, for the reports that they are for and no others. */
#include "codec/certificate-table.h"
#include "codec/snp-report.h"
#include "run.h"
#include "tee/certificate-memo.h"

#include <string.h>

#define NOW (5 * G_USEC_PER_SEC)

enum { VERSION = 0x00, SIGNATURE_ALGO = 0x34, KEY_INFO = 0x48, REPORTED_TCB = 0x180, CHIP_ID = 0x1A0 };

static const guint8 vcek[16] = { 0x63, 0xda, 0x75, 0x8d, 0xe6, 0x64, 0x45, 0x64,
                                 0xad, 0xc5, 0xf4, 0xb9, 0x3b, 0xe8, 0xac, 0xcd };
static const guint8 vlek[16] = { 0xa8, 0x07, 0x4b, 0xc2, 0xa2, 0x5a, 0x48, 0x3e,
                                 0xaa, 0xe6, 0x39, 0xc0, 0x45, 0xa0, 0xb8, 0xa1 };

/* @at: a byte that is @value */
static GBytes *report(gsize at, guint8 value) {
        guint8 bytes[ATT_SNP_REPORT_SIZE] = { 0 };

        bytes[VERSION] = 2;
        bytes[SIGNATURE_ALGO] = 1;
        bytes[CHIP_ID] = 7;
        bytes[at] = value;
        return g_bytes_new(bytes, sizeof bytes);
}

static GBytes *plain(void) {
        return report(VERSION, 2);
}

static GBytes *table(const guint8 guid[16]) {
        guint8 bytes[49] = { 0 };

        memcpy(bytes, guid, 16);
        bytes[16] = 48; /* offset */
        bytes[20] = 1;  /* length */
        bytes[48] = 0x30;
        return g_bytes_new(bytes, sizeof bytes);
}

/* Is a table with @guid that came with @with found for @of? Both are taken. */
static bool is_found(GBytes *with, const guint8 guid[16], GBytes *of) {
        g_autoptr(GBytes) came_with = with, asked_for = of, kept = table(guid);
        AttCertificateMemo memo = { 0 };
        GBytes *found;

        att_certificate_memo_keep(&memo, came_with, kept, NOW);
        found = att_certificate_memo_find(&memo, asked_for);
        ck_assert(!found || found == kept);
        att_certificate_memo_clear(&memo);
        return found != NULL;
}

START_TEST(a_table_is_for_the_reports_of_its_chip_and_tcb) {
        ck_assert(is_found(plain(), vcek, plain()));
        ck_assert(is_found(report(0x50, 1), vcek, report(0x50, 2))); /* REPORT_DATA */
        ck_assert(is_found(report(0x38, 1), vcek, report(0x38, 2))); /* CURRENT_TCB: no key is derived for it */
}
END_TEST

START_TEST(sc24_a_table_is_for_no_other_chip_tcb_or_key) {
        static const gsize at[] = { REPORTED_TCB, REPORTED_TCB + 7, CHIP_ID, CHIP_ID + 1, CHIP_ID + 63, KEY_INFO };

        ck_assert(is_found(report(at[_i], 1), vcek, report(at[_i], 1)));
        ck_assert(!is_found(report(at[_i], 1), vcek, plain()));
        ck_assert(!is_found(plain(), vcek, report(at[_i], 1)));
}
END_TEST

START_TEST(a_table_without_the_key_that_signs_is_not_kept) {
        const guint8 unknown[16] = { 1 };

        ck_assert(!is_found(plain(), vlek, plain()));
        ck_assert(!is_found(plain(), unknown, plain()));
        ck_assert(is_found(report(KEY_INFO, ATT_SNP_KEY_VLEK << 2), vlek, report(KEY_INFO, ATT_SNP_KEY_VLEK << 2)));
        ck_assert(!is_found(report(KEY_INFO, ATT_SNP_KEY_VLEK << 2), vcek, report(KEY_INFO, ATT_SNP_KEY_VLEK << 2)));
        ck_assert(!is_found(report(KEY_INFO, ATT_SNP_KEY_NONE << 2), vcek, report(KEY_INFO, ATT_SNP_KEY_NONE << 2)));
}
END_TEST

/* Moved to another one, it would look the same. A VLEK is whose host it is, not the chip's. */
START_TEST(of_a_chip_without_a_name_only_a_vlek_is_kept) {
        guint8 bytes[ATT_SNP_REPORT_SIZE] = { 0 };

        bytes[VERSION] = 2;
        bytes[SIGNATURE_ALGO] = 1;
        ck_assert(!is_found(g_bytes_new(bytes, sizeof bytes), vcek, g_bytes_new(bytes, sizeof bytes)));
        bytes[KEY_INFO] = ATT_SNP_KEY_VLEK << 2;
        ck_assert(is_found(g_bytes_new(bytes, sizeof bytes), vlek, g_bytes_new(bytes, sizeof bytes)));
}
END_TEST

START_TEST(what_is_no_table_or_no_report_is_not_kept) {
        g_autoptr(GBytes) good = plain(), kept = table(vcek);
        AttCertificateMemo memo = { 0 };

        for (gsize size = 0; size < g_bytes_get_size(kept); size++) {
                g_autoptr(GBytes) prefix = g_bytes_new_from_bytes(kept, 0, size);

                att_certificate_memo_keep(&memo, good, prefix, NOW);
                ck_assert(!att_certificate_memo_has(&memo, NOW));
        }
        for (gsize size = 0; size < g_bytes_get_size(good); size++) {
                g_autoptr(GBytes) prefix = g_bytes_new_from_bytes(good, 0, size);

                att_certificate_memo_keep(&memo, prefix, kept, NOW);
                ck_assert(!att_certificate_memo_has(&memo, NOW));
        }
        /* What was there stays. */
        att_certificate_memo_keep(&memo, good, kept, NOW);
        att_certificate_memo_keep(&memo, kept, kept, NOW);
        att_certificate_memo_keep(&memo, good, good, NOW);
        ck_assert_ptr_eq(att_certificate_memo_find(&memo, good), kept);
        att_certificate_memo_clear(&memo);
        ck_assert_ptr_null(att_certificate_memo_find(&memo, good));
}
END_TEST

/* A host whose table is behind would have the old one vouched for by the new reports, for an hour. */
START_TEST(the_table_of_another_tcb_is_not_kept_for_this_one) {
        g_autoptr(GBytes) before = plain(), after = report(REPORTED_TCB, 1), old = table(vcek), same = table(vcek);
        guint8 bytes[50] = { 0 };
        g_autoptr(GBytes) new = NULL;
        AttCertificateMemo memo = { 0 };

        memcpy(bytes, g_bytes_get_data(old, NULL), g_bytes_get_size(old));
        new = g_bytes_new(bytes, sizeof bytes);
        att_certificate_memo_keep(&memo, before, old, NOW);
        att_certificate_memo_expire(&memo);
        att_certificate_memo_keep(&memo, after, same, NOW);
        ck_assert(!att_certificate_memo_has(&memo, NOW));
        ck_assert_ptr_null(att_certificate_memo_find(&memo, after));
        att_certificate_memo_keep(&memo, after, new, NOW);
        ck_assert(att_certificate_memo_has(&memo, NOW));
        ck_assert_ptr_eq(att_certificate_memo_find(&memo, after), new);
        att_certificate_memo_clear(&memo);
}
END_TEST

START_TEST(the_host_is_asked_anew_after_an_hour) {
        g_autoptr(GBytes) good = plain(), kept = table(vcek);
        AttCertificateMemo memo = { 0 };

        ck_assert(!att_certificate_memo_has(&memo, NOW));
        att_certificate_memo_keep(&memo, good, kept, NOW);
        ck_assert(att_certificate_memo_has(&memo, NOW + ATT_CERTIFICATE_MEMO_US - 1));
        ck_assert_ptr_eq(att_certificate_memo_find(&memo, good), kept);
        ck_assert(!att_certificate_memo_has(&memo, NOW + ATT_CERTIFICATE_MEMO_US));
        ck_assert_ptr_eq(att_certificate_memo_find(&memo, good), kept); /* should it have none then */
        att_certificate_memo_clear(&memo);
}
END_TEST

int main(void) {
        Suite *s = suite_create("certificate memo");
        TCase *t = tcase_create("all");

        tcase_add_test(t, a_table_is_for_the_reports_of_its_chip_and_tcb);
        tcase_add_loop_test(t, sc24_a_table_is_for_no_other_chip_tcb_or_key, 0, 6);
        tcase_add_test(t, a_table_without_the_key_that_signs_is_not_kept);
        tcase_add_test(t, of_a_chip_without_a_name_only_a_vlek_is_kept);
        tcase_add_test(t, what_is_no_table_or_no_report_is_not_kept);
        tcase_add_test(t, the_table_of_another_tcb_is_not_kept_for_this_one);
        tcase_add_test(t, the_host_is_asked_anew_after_an_hour);
        suite_add_tcase(s, t);
        return run_suite(s);
}
