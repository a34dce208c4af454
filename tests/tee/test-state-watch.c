/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "tee/state-watch.h"

#include "codec/snp-report.h"
#include "codec/tdx-quote.h"
#include "own-world.h"
#include "run.h"
#include "util/bytes.h"

#include <glib/gstdio.h>
#include <string.h>

#define SELINUX "/sys/fs/selinux"
#define STATUS SELINUX "/status"
#define SECURITY "/sys/kernel/security"
#define LOCKDOWN SECURITY "/lockdown"

static AttStateWatch *watch;

static void put(const char *path, const void *data, gsize size) {
        ck_assert(g_file_set_contents_full(path, data, (gssize) size, G_FILE_SET_CONTENTS_CONSISTENT, 0644, NULL));
}

static void put_status(uint32_t sequence, uint32_t enforcing, uint32_t policy_loads) {
        const uint32_t status[] = { 1, sequence, enforcing, policy_loads, 0 };

        put(STATUS, status, sizeof status);
}

static void put_lockdown(const char *text) {
        put(LOCKDOWN, text, strlen(text));
}

/* Of the two file systems; without, there is no file in them. */
static void furnish(void) {
        put_status(4, 1, 2);
        put_lockdown("[none] integrity confidentiality\n");
}

static void setup(void) {
        ck_assert(g_mkdir_with_parents(SELINUX, 0755) == 0 && g_mkdir_with_parents(SECURITY, 0755) == 0);
        (void) g_unlink(STATUS);
        (void) g_unlink(LOCKDOWN);
        furnish();
        watch = att_state_watch_new(-1);
}

static void teardown(void) {
        att_state_watch_free(watch);
}

#define looks(reasons) ck_assert_uint_eq(att_state_watch_look(watch), (reasons))

START_TEST(each_reason_has_a_name_of_its_own) {
        g_autoptr(GHashTable) names = g_hash_table_new(g_str_hash, g_str_equal);

        for (guint i = 0; i < ATT_STATE_REASONS; i++)
                ck_assert(g_hash_table_add(names, (gpointer) att_state_reason_name((AttStateReasons) (1 << i))));
        ck_assert_str_eq(att_state_reason_name(ATT_STATE_CLONE), "clone");
}
END_TEST

START_TEST(what_stays_is_not_told) {
        for (guint i = 0; i < 3; i++)
                looks(0);
        furnish(); /* other files, the same in them */
        looks(0);
}
END_TEST

START_TEST(selinux_that_stops_enforcing_is_told_once) {
        put_status(6, 0, 2);
        looks(ATT_STATE_SELINUX);
        looks(0);
        put_status(8, 1, 2);
        looks(ATT_STATE_SELINUX);
}
END_TEST

START_TEST(a_policy_that_is_loaded_is_told_though_it_goes_on_enforcing) {
        put_status(6, 1, 3);
        looks(ATT_STATE_SELINUX);
        looks(0);
}
END_TEST

START_TEST(a_sequence_alone_is_no_change) {
        put_status(8, 1, 2);
        looks(0);
}
END_TEST

START_TEST(a_status_that_is_being_written_is_not_read) {
        put_status(5, 0, 7);
        looks(ATT_STATE_SELINUX); /* what it will be is not known: that it is not what it was, is */
        looks(0);
        put_status(6, 1, 2);
        looks(ATT_STATE_SELINUX);
}
END_TEST

START_TEST(a_short_status_is_none) {
        g_autofree char *whole = NULL;
        gsize size;

        ck_assert(g_file_get_contents(STATUS, &whole, &size, NULL));
        for (gsize n = 0; n < size; n++) {
                put(STATUS, whole, n);
                looks(n == 0 ? ATT_STATE_SELINUX : (AttStateReasons) 0);
        }
        put(STATUS, whole, size);
        looks(ATT_STATE_SELINUX);
}
END_TEST

START_TEST(what_is_seen_for_the_first_time_has_not_changed) {
        g_unlink(STATUS);
        g_unlink(LOCKDOWN);
        att_state_watch_free(watch);
        watch = att_state_watch_new(-1);
        looks(0);
        furnish();
        looks(0);
        put_lockdown("none [integrity] confidentiality\n");
        looks(ATT_STATE_LOCKDOWN);
}
END_TEST

START_TEST(what_can_be_seen_no_more_has_changed) {
        g_unlink(STATUS);
        looks(ATT_STATE_SELINUX);
        g_unlink(LOCKDOWN);
        looks(ATT_STATE_LOCKDOWN);
        looks(0);
        furnish();
        looks(ATT_STATE_SELINUX | ATT_STATE_LOCKDOWN);
}
END_TEST

START_TEST(lockdown_is_told_at_each_level) {
        put_lockdown("none [integrity] confidentiality\n");
        looks(ATT_STATE_LOCKDOWN);
        put_lockdown("none integrity [confidentiality]\n");
        looks(ATT_STATE_LOCKDOWN);
        looks(0);
}
END_TEST

/* ----- the clock */

START_TEST(only_a_sleep_makes_the_gap_grow) {
        const AttClockGap before = { .least = 1000, .most = 5000 };
        const gint64 ms = 1000000;

        ck_assert(!att_clock_gap_has_grown(before, before));
        /* Readings of one gap, however far apart their ends are. */
        ck_assert(!att_clock_gap_has_grown(before, (AttClockGap) { 2000, 60000 * ms }));
        ck_assert(!att_clock_gap_has_grown(before, (AttClockGap) { -60000 * ms, 2000 }));
        ck_assert(!att_clock_gap_has_grown(before, (AttClockGap) { 5001, 5001 })); /* rounded */
        ck_assert(att_clock_gap_has_grown(before, (AttClockGap) { 5001 + ms, 5002 + ms }));
        ck_assert(att_clock_gap_has_grown(before, (AttClockGap) { 86400000 * ms, 86400001 * ms }));
}
END_TEST

START_TEST(who_does_not_sleep_has_one_gap) {
        AttClockGap first = att_clock_gap_read();

        for (guint i = 0; i < 100000; i++) {
                AttClockGap now = att_clock_gap_read();

                ck_assert_int_le(now.least, now.most);
                ck_assert(!att_clock_gap_has_grown(first, now));
        }
}
END_TEST

/* ----- TDX */

static uint8_t tdreport[ATT_TDX_REPORT_SIZE];

#define SVN2_AT (256u + 128u)
#define RTMR_AT(i) (512u + 208u + 48u * (i))

static void tdreport_begin(void) {
        memset(tdreport, 0, sizeof tdreport);
        memcpy(tdreport, "\x81\0\0\0", 4);
        memcpy(tdreport + 256, "\xff\x01\x03", 3);
}

static AttStateReasons saw_registers(void) {
        g_autoptr(GBytes) bytes = g_bytes_new_static(tdreport, sizeof tdreport);
        AttTdxReport report;

        ck_assert(att_tdx_report_parse(bytes, &report, NULL));
        return att_state_watch_saw_registers(watch, &report);
}

START_TEST(a_register_that_is_extended_is_told_once) {
        guint i = (guint) _i;

        tdreport_begin();
        ck_assert_uint_eq(saw_registers(), 0);
        tdreport[RTMR_AT(i) + 47] ^= 1;
        ck_assert_uint_eq(saw_registers(), ATT_STATE_REGISTER);
        ck_assert_uint_eq(saw_registers(), 0);
}
END_TEST

START_TEST(the_register_of_our_mirror_is_not_told) {
        att_state_watch_free(watch);
        watch = att_state_watch_new(_i);
        tdreport_begin();
        (void) saw_registers();
        for (guint i = 0; i < ATT_TDX_RTMRS; i++) {
                tdreport[RTMR_AT(i)] ^= 1;
                ck_assert_uint_eq(saw_registers(), (int) i == _i ? 0 : ATT_STATE_REGISTER);
        }
        att_state_watch_set_mirror(watch, -1); /* it is ours no more */
        ck_assert_uint_eq(saw_registers(), 0);
        tdreport[RTMR_AT((guint) _i)] ^= 1;
        ck_assert_uint_eq(saw_registers(), ATT_STATE_REGISTER);
}
END_TEST

START_TEST(a_module_that_was_replaced_is_told) {
        tdreport_begin();
        (void) saw_registers();
        tdreport[SVN2_AT]++;
        ck_assert_uint_eq(saw_registers(), ATT_STATE_TCB);
        tdreport[SVN2_AT + 15]++;
        tdreport[RTMR_AT(2)]++;
        ck_assert_uint_eq(saw_registers(), ATT_STATE_TCB | ATT_STATE_REGISTER);
        ck_assert_uint_eq(saw_registers(), 0);
}
END_TEST

START_TEST(what_differs_with_each_tdreport_is_not_told) {
        tdreport_begin();
        (void) saw_registers();
        memset(tdreport + 128, 7, 64); /* REPORTDATA */
        memset(tdreport + 224, 7, 32); /* MAC */
        ck_assert_uint_eq(saw_registers(), 0);
}
END_TEST

/* ----- reports */

static AttStateReasons saw(const void *data, gsize size, const char *provider) {
        g_autoptr(GBytes) bytes = g_bytes_new(data, size);

        return att_state_watch_saw_report(watch, bytes, provider);
}

static uint8_t snp[ATT_SNP_REPORT_SIZE];

static void snp_begin(uint32_t version) {
        memset(snp, 0, sizeof snp);
        snp[0] = (uint8_t) version;
        snp[0x0a] = 2; /* the bit of the policy that is always one */
        snp[0x34] = 1;
        memcpy(snp + 0x188, "\x19\x11\x01", 3);
}

#define saw_snp() saw(snp, sizeof snp, "sev_guest")

START_TEST(a_tcb_of_an_snp_report_that_is_another_one_is_told) {
        static const struct {
                guint at, size;
        } parts[] = {
                { 0x38, 8 }, { 0x180, 8 }, { 0x1e0, 8 }, { 0x1f0, 8 }, /* current, reported, committed, launch */
                { 0x1e8, 3 }, { 0x1ec, 3 },                            /* firmware: current, committed */
                { 0x200, 8 },                                          /* mitigations in force */
        };

        snp_begin(5);
        ck_assert_uint_eq(saw_snp(), 0);
        for (guint i = 0; i < G_N_ELEMENTS(parts); i++) {
                for (guint k = 0; k < parts[i].size; k++) {
                        snp[parts[i].at + k] ^= 1;
                        ck_assert_msg(saw_snp() == ATT_STATE_TCB, "byte %#x", parts[i].at + k);
                        ck_assert_uint_eq(saw_snp(), 0);
                }
        }
}
END_TEST

START_TEST(what_differs_with_each_report_is_not_told) {
        snp_begin(3);
        ck_assert_uint_eq(saw_snp(), 0);
        memset(snp + 0x50, 7, 64);  /* REPORT_DATA */
        memset(snp + 0x2a0, 7, 72); /* signature */
        ck_assert_uint_eq(saw_snp(), 0);
}
END_TEST

/* A TDX quote, version 5, with the body of TD 1.5: everything that is not looked at is zero. */
static GBytes *quote(uint8_t svn2) {
        static const uint8_t zero[600];
        g_autoptr(GByteArray) q = g_byte_array_new();

        att_put_le(q, 5, 2);
        att_put_le(q, 2, 2);
        att_put_le(q, ATT_TDX_TEE_TYPE, 4);
        att_put(q, zero, 40);
        att_put_le(q, 3, 2);
        att_put_le(q, 648, 4);
        att_put(q, zero, 584);
        att_put_le(q, svn2, 8);
        att_put(q, zero, 8 + 48);
        att_put_le(q, 128 + 6 + 50, 4);
        att_put(q, zero, 128);
        att_put_le(q, 5, 2);
        att_put_le(q, 50, 4);
        att_put(q, zero, 50);
        return g_byte_array_free_to_bytes(g_steal_pointer(&q));
}

START_TEST(a_module_that_a_quote_tells_of_is_told) {
        g_autoptr(GBytes) first = quote(5), second = quote(6);

        ck_assert_uint_eq(att_state_watch_saw_report(watch, first, "tdx_guest"), 0);
        ck_assert_uint_eq(att_state_watch_saw_report(watch, first, "tdx_guest"), 0);
        ck_assert_uint_eq(att_state_watch_saw_report(watch, second, "tdx_guest"), ATT_STATE_TCB);
        ck_assert_uint_eq(att_state_watch_saw_report(watch, second, "tdx_guest"), 0);
}
END_TEST

START_TEST(another_provider_begins_anew) {
        g_autoptr(GBytes) q = quote(5);

        snp_begin(3);
        ck_assert_uint_eq(saw_snp(), 0);
        ck_assert_uint_eq(att_state_watch_saw_report(watch, q, "tdx_guest"), 0);
        ck_assert_uint_eq(saw_snp(), 0);
        snp[0x38]++;
        ck_assert_uint_eq(saw_snp(), ATT_STATE_TCB);
}
END_TEST

START_TEST(what_is_no_report_says_nothing) {
        snp_begin(3);
        ck_assert_uint_eq(saw_snp(), 0);
        for (gsize n = 0; n < sizeof snp; n += 37)
                ck_assert_uint_eq(saw(snp, n, "sev_guest"), 0);
        ck_assert_uint_eq(saw("no report", 9, "sev_guest"), 0);
        snp[0x38]++;
        ck_assert_uint_eq(saw_snp(), ATT_STATE_TCB); /* and has not replaced what was known */
}
END_TEST

int main(void) {
        Suite *s = suite_create("state-watch");
        TCase *t = tcase_create("all");

        enter_own_world();
        if (!empty_folder("/sys/fs") || !empty_folder("/sys/kernel"))
                return EXIT_FAILURE;

        tcase_add_checked_fixture(t, setup, teardown);
        tcase_add_test(t, each_reason_has_a_name_of_its_own);
        tcase_add_test(t, what_stays_is_not_told);
        tcase_add_test(t, selinux_that_stops_enforcing_is_told_once);
        tcase_add_test(t, a_policy_that_is_loaded_is_told_though_it_goes_on_enforcing);
        tcase_add_test(t, a_sequence_alone_is_no_change);
        tcase_add_test(t, a_status_that_is_being_written_is_not_read);
        tcase_add_test(t, a_short_status_is_none);
        tcase_add_test(t, what_is_seen_for_the_first_time_has_not_changed);
        tcase_add_test(t, what_can_be_seen_no_more_has_changed);
        tcase_add_test(t, lockdown_is_told_at_each_level);
        tcase_add_test(t, only_a_sleep_makes_the_gap_grow);
        tcase_add_test(t, who_does_not_sleep_has_one_gap);
        tcase_add_loop_test(t, a_register_that_is_extended_is_told_once, 0, ATT_TDX_RTMRS);
        tcase_add_loop_test(t, the_register_of_our_mirror_is_not_told, 0, ATT_TDX_RTMRS);
        tcase_add_test(t, a_module_that_was_replaced_is_told);
        tcase_add_test(t, what_differs_with_each_tdreport_is_not_told);
        tcase_add_test(t, a_tcb_of_an_snp_report_that_is_another_one_is_told);
        tcase_add_test(t, what_differs_with_each_report_is_not_told);
        tcase_add_test(t, a_module_that_a_quote_tells_of_is_told);
        tcase_add_test(t, another_provider_begins_anew);
        tcase_add_test(t, what_is_no_report_says_nothing);
        suite_add_tcase(s, t);
        return run_suite(s);
}
