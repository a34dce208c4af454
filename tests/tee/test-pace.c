/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "run.h"
#include "tee/pace.h"

#define MS G_GINT64_CONSTANT(1000)
#define S (1000 * MS)

static gint64 pause_after(AttTeeFault fault, guint n_failures) {
        AttPace pace = { 0 };

        for (guint i = 0; i < n_failures; i++)
                att_pace_failed(&pace, fault, 100 * S);
        return pace.not_before_us - 100 * S;
}

START_TEST(pauses_grow_and_end) {
        ck_assert_int_eq(pause_after(ATT_TEE_FAULT_BUSY, 1), 200 * MS);
        ck_assert_int_eq(pause_after(ATT_TEE_FAULT_BUSY, 2), 400 * MS);
        ck_assert_int_eq(pause_after(ATT_TEE_FAULT_BUSY, 6), 6400 * MS);
        ck_assert_int_eq(pause_after(ATT_TEE_FAULT_BUSY, 7), 10 * S);
        ck_assert_int_eq(pause_after(ATT_TEE_FAULT_BUSY, 1000), 10 * S);
        ck_assert_int_eq(pause_after(ATT_TEE_FAULT_THROTTLED, 1), 2 * S); /* the host is asked, and counts */
        ck_assert_int_eq(pause_after(ATT_TEE_FAULT_THROTTLED, 9), 60 * S);
        ck_assert_int_eq(pause_after(ATT_TEE_FAULT_TIMED_OUT, 1), 5 * S);
        ck_assert_int_eq(pause_after(ATT_TEE_FAULT_TIMED_OUT, 9), 60 * S);
        ck_assert_int_eq(pause_after(ATT_TEE_FAULT_HOST, 1), 500 * MS);
        ck_assert_int_eq(pause_after(ATT_TEE_FAULT_HOST, 9), 30 * S);
}
END_TEST

/* Whoever has failed is never asked again at once; and it never takes for ever. */
START_TEST(every_failure_has_a_pause) {
        AttTeeFault fault = (AttTeeFault) _i;

        if (att_tee_fault_code(fault) == ATT_ERROR_NO_TEE || fault == ATT_TEE_FAULT_KEY_DISABLED)
                return; /* there is nothing to spare, or nothing to ask */

        for (guint n = 1; n < 50; n++) {
                ck_assert_int_ge(pause_after(fault, n), 200 * MS);
                ck_assert_int_le(pause_after(fault, n), 60 * S);
        }
}
END_TEST

START_TEST(a_good_report_ends_the_pause) {
        AttPace pace = { 0 };

        att_pace_failed(&pace, ATT_TEE_FAULT_BUSY, 1 * S);
        att_pace_failed(&pace, ATT_TEE_FAULT_BUSY, 2 * S);
        att_pace_done(&pace, 3 * S);
        ck_assert_int_le(pace.not_before_us, 3 * S);
        att_pace_failed(&pace, ATT_TEE_FAULT_BUSY, 4 * S);
        ck_assert_int_eq(pace.not_before_us, 4 * S + 200 * MS);
}
END_TEST

START_TEST(absence_is_not_held_against_the_device) {
        AttPace pace = { 0 };

        for (guint i = 0; i < 100; i++)
                att_pace_failed(&pace, ATT_TEE_FAULT_NO_PROVIDER, 1 * S);
        ck_assert_int_le(pace.not_before_us, 1 * S);
        att_pace_failed(&pace, ATT_TEE_FAULT_BUSY, 2 * S);
        ck_assert_int_le(pace.not_before_us, 2 * S + 400 * MS);
}
END_TEST

START_TEST(knows_no_interval_before_the_first_report) {
        AttPace pace = { 0 };

        att_pace_asked(&pace, 1 * S);
        att_pace_failed(&pace, ATT_TEE_FAULT_HOST, 2 * S);
        ck_assert_uint_eq(pace.interval_us, 0);
        att_pace_asked(&pace, 10 * S);
        att_pace_done(&pace, 10 * S + 39 * MS);
        ck_assert_uint_eq(pace.interval_us, 39 * MS);
}
END_TEST

START_TEST(idle_time_is_not_the_device_s) {
        AttPace pace = { 0 };

        for (gint64 t = 1; t < 50; t++) {
                att_pace_asked(&pace, t * S);
                att_pace_done(&pace, t * S + 8 * MS);
        }
        ck_assert_uint_eq(pace.interval_us, 8 * MS);
}
END_TEST

/* Ten at full speed, then one a second: the pace follows within a few. */
START_TEST(learns_that_a_bucket_is_dry) {
        AttPace pace = { 0 };
        gint64 now = 1 * S;

        for (guint i = 0; i < 20; i++) {
                att_pace_asked(&pace, now);
                now += i < 10 ? 8 * MS : 1 * S;
                att_pace_done(&pace, now);
                now += 1 * MS;
                if (i == 9)
                        ck_assert_uint_lt(pace.interval_us, 10 * MS);
        }
        ck_assert_uint_gt(pace.interval_us, 900 * MS);
        ck_assert_uint_lt(pace.interval_us, 1002 * MS);
}
END_TEST

/* With a queue, failures and pauses are part of what a report takes. */
START_TEST(with_a_queue_pauses_count) {
        AttPace pace = { 0 };

        att_pace_asked(&pace, 1 * S);
        att_pace_done(&pace, 2 * S);
        ck_assert_uint_eq(pace.interval_us, 1 * S);

        att_pace_asked(&pace, 2 * S);
        att_pace_failed(&pace, ATT_TEE_FAULT_BUSY, 2 * S);
        att_pace_asked(&pace, pace.not_before_us);
        att_pace_done(&pace, 7 * S);
        ck_assert_uint_eq(pace.interval_us, (3 * 1 * S + 5 * S) / 4);
}
END_TEST

int main(void) {
        Suite *s = suite_create("pace");
        TCase *t = tcase_create("pause");

        tcase_add_test(t, pauses_grow_and_end);
        tcase_add_loop_test(t, every_failure_has_a_pause, 0, ATT_TEE_FAULT_OTHER + 1);
        tcase_add_test(t, a_good_report_ends_the_pause);
        tcase_add_test(t, absence_is_not_held_against_the_device);
        suite_add_tcase(s, t);

        t = tcase_create("interval");
        tcase_add_test(t, knows_no_interval_before_the_first_report);
        tcase_add_test(t, idle_time_is_not_the_device_s);
        tcase_add_test(t, learns_that_a_bucket_is_dry);
        tcase_add_test(t, with_a_queue_pauses_count);
        suite_add_tcase(s, t);
        return run_suite(s);
}
