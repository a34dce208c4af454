/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Whether a quote is of the TD that sees these registers. The device itself is in tests/vm. */
#include "codec/tdx-quote.h"
#include "run.h"
#include "tee/fault.h"
#include "tee/tdx-device.h"
#include "util/bytes.h"

#define TDINFO_AT 512u
#define TDINFO_SIZE 400u /* as far as a quote has it */
#define RTMR_AT 208u     /* in TDINFO */
#define QUOTE_BODY_AT 48u
#define QUOTE_TDINFO_AT (QUOTE_BODY_AT + 120u)

static uint8_t local[ATT_TDX_REPORT_SIZE], later[ATT_TDX_REPORT_SIZE];
static uint8_t tdinfo[TDINFO_SIZE];

static void setup(void) {
        memset(local, 0, sizeof local);
        memcpy(local, "\x81\0\0\0", 4);
        memcpy(local + 256, "\xff\x01\x03", 3);
        for (guint i = 0; i < TDINFO_SIZE; i++)
                tdinfo[i] = local[TDINFO_AT + i] = (uint8_t) (i * 7 + i / 256);
        memcpy(later, local, sizeof later);
}

/* Version 4, with an unknown chain. */
static GBytes *quote(void) {
        static const uint8_t zero[600];
        GByteArray *q = g_byte_array_new();

        att_put_le(q, 4, 2);
        att_put_le(q, 2, 2);
        att_put_le(q, ATT_TDX_TEE_TYPE, 4);
        att_put(q, zero, QUOTE_TDINFO_AT - 8);
        att_put(q, tdinfo, sizeof tdinfo);
        att_put(q, zero, 64);
        att_put_le(q, 128 + 6 + 50, 4);
        att_put(q, zero, 128);
        att_put_le(q, 5, 2);
        att_put_le(q, 50, 4);
        att_put(q, zero, 50);
        return g_byte_array_free_to_bytes(q);
}

static gboolean check(GError **error) {
        g_autoptr(GBytes) q = quote(), before_bytes = g_bytes_new_static(local, sizeof local);
        g_autoptr(GBytes) after_bytes = g_bytes_new_static(later, sizeof later);
        AttTdxReport before, after;

        ck_assert(att_tdx_report_parse(before_bytes, &before, NULL));
        ck_assert(att_tdx_report_parse(after_bytes, &after, NULL));
        return att_tdx_quote_check(q, &before, &after, error);
}

static const struct {
        const char *name;
        guint at, size;
} fields[] = {
        { "ATTRIBUTES", 0, 8 },
        { "XFAM", 8, 8 },
        { "MRTD", 16, 48 },
        { "MRCONFIGID", 64, 48 },
        { "MROWNER", 112, 48 },
        { "MROWNERCONFIG", 160, 48 },
        { "RTMR0", 208, 48 },
        { "RTMR1", 256, 48 },
        { "RTMR2", 304, 48 },
        { "RTMR3", 352, 48 },
};

START_TEST(a_quote_of_another_td_is_found_out) {
        ck_assert(check(NULL));
        for (guint i = 0; i < fields[_i].size; i++) {
                g_autofree char *says = g_strdup_printf("it has another %s;", fields[_i].name);
                g_autoptr(GError) e = NULL;

                tdinfo[fields[_i].at + i] ^= 0x80;
                ck_assert(!check(&e));
                ck_assert(g_error_matches(e, ATT_TEE_FAULT, ATT_TEE_FAULT_WRONG_GUEST));
                ck_assert_msg(strstr(e->message, says) != NULL, "%s", e->message);
                tdinfo[fields[_i].at + i] ^= 0x80;
        }
        ck_assert(check(NULL));
}
END_TEST

START_TEST(a_register_that_is_extended_meanwhile_may_be_either) {
        for (guint n = 0; n < ATT_TDX_RTMRS; n++)
                later[TDINFO_AT + RTMR_AT + 48 * n] ^= 1;
        ck_assert(check(NULL));
        tdinfo[RTMR_AT] ^= 1;
        ck_assert(check(NULL));
        /* No other is excused by that. */
        tdinfo[16] ^= 1;
        ck_assert(!check(NULL));
}
END_TEST

START_TEST(what_is_no_quote_is_none) {
        g_autoptr(GBytes) bytes = g_bytes_new_static(local, sizeof local);
        g_autoptr(GError) e = NULL;
        AttTdxReport report;

        ck_assert(att_tdx_report_parse(bytes, &report, NULL));
        ck_assert(!att_tdx_quote_check(bytes, &report, &report, &e));
        ck_assert(g_error_matches(e, ATT_TEE_FAULT, ATT_TEE_FAULT_MALFORMED));
}
END_TEST

int main(void) {
        Suite *s = suite_create("tdx-device");
        TCase *t = tcase_create("quote");

        tcase_add_checked_fixture(t, setup, NULL);
        tcase_add_loop_test(t, a_quote_of_another_td_is_found_out, 0, (int) G_N_ELEMENTS(fields));
        tcase_add_test(t, a_register_that_is_extended_meanwhile_may_be_either);
        tcase_add_test(t, what_is_no_quote_is_none);
        suite_add_tcase(s, t);
        return run_suite(s);
}
