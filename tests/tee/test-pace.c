/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "run.h"
#include "tee/pace.h"

#define MS G_GINT64_CONSTANT(1000)
#define S (1000 * MS)

/* A good one. Returns: when it is there */
static gint64 report(AttPace *pace, gint64 asked, gint64 takes) {
        att_pace_asked(pace, asked);
        att_pace_done(pace, asked + takes);
        return asked + takes;
}

static gint64 failing(AttPace *pace, AttTeeFault fault, guint n_failures) {
        for (guint i = 0; i < n_failures; i++)
                att_pace_failed(pace, fault, 100 * S);
        return pace->not_before_us - 100 * S;
}

static gint64 pause_after(AttTeeFault fault, guint n_failures) {
        AttPace pace = { 0 };

        return failing(&pace, fault, n_failures);
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

/* What EBUSY has cost is not held against EIO. */
START_TEST(each_kind_has_a_pause_of_its_own_until_a_good_report) {
        static const struct {
                AttTeeFault fault;
                gint64 pauses[3], last;
        } kinds[] = {
                { ATT_TEE_FAULT_BUSY, { 200 * MS, 400 * MS, 800 * MS }, 10 * S },
                { ATT_TEE_FAULT_INTERRUPTED, { 200 * MS, 400 * MS, 800 * MS }, 10 * S },
                { ATT_TEE_FAULT_TIMED_OUT, { 5 * S, 10 * S, 20 * S }, 60 * S },
                { ATT_TEE_FAULT_HOST, { 500 * MS, 1 * S, 2 * S }, 30 * S },
        };
        AttPace pace = { 0 };

        for (guint round = 0; round < 2; round++) {
                for (guint i = 0; i < 3; i++)
                        for (gsize k = 0; k < G_N_ELEMENTS(kinds); k++)
                                ck_assert_int_eq(failing(&pace, kinds[k].fault, 1), kinds[k].pauses[i]);
                for (gsize k = 0; k < G_N_ELEMENTS(kinds); k++)
                        ck_assert_int_eq(failing(&pace, kinds[k].fault, 20), kinds[k].last);
                ck_assert(att_pace_is_failing(&pace));

                att_pace_asked(&pace, 200 * S);
                att_pace_done(&pace, 200 * S + 100 * MS);
                ck_assert(!att_pace_is_failing(&pace));
        }
}
END_TEST

/* The request that was left behind is there as long as a report takes. */
START_TEST(an_interrupted_request_is_given_its_time) {
        AttPace pace = { 0 };

        att_pace_asked(&pace, 1 * S);
        att_pace_done(&pace, 4 * S);
        ck_assert_int_eq(failing(&pace, ATT_TEE_FAULT_INTERRUPTED, 1), 3 * S);
        ck_assert_int_eq(failing(&pace, ATT_TEE_FAULT_BUSY, 1), 200 * MS);
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

/* ----- a device with a key to lose */

START_TEST(sc36_a_key_is_never_hammered) {
        AttTeeFault fault = (AttTeeFault) _i;
        bool is_of_host = fault != ATT_TEE_FAULT_INTERFERENCE && fault != ATT_TEE_FAULT_KEY_DISABLED &&
                          !att_tee_fault_is_absence(fault);
        bool is_busy = fault == ATT_TEE_FAULT_BUSY || fault == ATT_TEE_FAULT_INTERRUPTED ||
                       fault == ATT_TEE_FAULT_THROTTLED;
        AttPace pace = { .has_key = true };
        gint64 before = 0;

        for (guint n = 1; is_of_host && n < 50; n++) {
                gint64 pause = failing(&pace, fault, 1);

                ck_assert_int_ge(pause, is_busy ? 2 * S : 5 * S);
                ck_assert_int_ge(pause, MIN(2 * before, 60 * S));
                ck_assert_int_le(pause, 60 * S);
                ck_assert_int_le(pause_after(fault, n), pause); /* one without a key need not be so careful */
                before = pause;
        }
}
END_TEST

/* Failures after which the driver answers by itself: how many requests has it got in ten minutes? */
START_TEST(sc36_a_failing_key_is_asked_a_few_times_in_ten_minutes) {
        AttPace pace = { .has_key = true };
        guint n = 0;

        for (gint64 now = 0; now < 600 * S; now += 10 * MS) {
                if (pace.not_before_us > now)
                        continue;
                att_pace_asked(&pace, now);
                att_pace_failed(&pace, ATT_TEE_FAULT_HOST, now + 5 * MS);
                n++;
        }
        ck_assert_uint_le(n, 14);
        ck_assert_uint_ge(n, 8); /* and is not forgotten either */
}
END_TEST

START_TEST(sc36_one_that_came_late_may_be_the_last) {
        static const struct {
                gint64 took, pause;
        } rows[] = { { 8 * MS, 0 }, { 2 * S, 0 }, { 10 * S, 10 * S }, { 58 * S, 58 * S }, { 90 * S, 60 * S } };

        for (gsize i = 0; i < G_N_ELEMENTS(rows); i++) {
                AttPace snp = { .has_key = true }, tdx = { 0 };
                gint64 there = report(&snp, 1 * S, rows[i].took);

                ck_assert_int_eq(snp.not_before_us - there, rows[i].pause);
                ck_assert_int_eq(report(&tdx, 1 * S, rows[i].took), there);
                ck_assert_int_eq(tdx.not_before_us, there);
        }
}
END_TEST

START_TEST(another_driver_has_another_key) {
        AttPace pace = { .has_key = true };

        (void) failing(&pace, ATT_TEE_FAULT_HOST, 9);
        att_pace_replaced(&pace);
        ck_assert_int_eq(pace.not_before_us, 0);
        ck_assert(!att_pace_is_failing(&pace));
        ck_assert_int_eq(failing(&pace, ATT_TEE_FAULT_HOST, 1), 5 * S);
}
END_TEST

/* ----- a host that lends its reports */

typedef struct Host {
        guint count;
        gint64 period;
        gint64 quick;
        bool is_window;  /* count anew in each period, or one after the other */
        gint64 step;     /* who waits looks again so often; 0: at once */
        AttTeeFault refuses; /* instead of waiting; 0: it waits */

        gint64 window;
        guint n_in_window;
        double lent;
        gint64 lent_at;
} Host;

/* When there is one for who asks now; takes it. */
static gint64 host_lends(Host *h, gint64 now) {
        double spacing = (double) h->period / h->count, lent;

        if (h->is_window) {
                if (now - h->window >= h->period) {
                        h->window = now;
                        h->n_in_window = 0;
                }
                if (h->n_in_window < h->count) {
                        h->n_in_window++;
                        return now;
                }
                return h->window + h->period;
        }
        lent = MAX(h->lent - (double) (now - h->lent_at) / spacing, 0);
        if (lent + 1 <= h->count + 1e-6) {
                h->lent = lent + 1;
                h->lent_at = now;
                return now;
        }
        return now + MAX((gint64) ((lent + 1 - h->count) * spacing), 1);
}

/* One report, and when it is there. */
static gint64 ask(AttPace *pace, Host *h, gint64 now) {
        gint64 at;

        att_pace_asked(pace, now);
        while ((at = host_lends(h, now)) > now) {
                if (h->refuses) {
                        att_pace_failed(pace, h->refuses, now);
                        now = MAX(pace->not_before_us, now + 1);
                        att_pace_asked(pace, now);
                } else if (h->step > 0) {
                        now += h->step;
                } else {
                        now = at;
                }
        }
        now += h->quick;
        att_pace_done(pace, now);
        return now;
}

static gint64 ask_often(AttPace *pace, Host *h, gint64 now, guint n, gint64 rest) {
        for (guint i = 0; i < n; i++)
                now = ask(pace, h, now) + rest;
        return now;
}

static const Host hosts[] = {
        { .count = 10, .period = 10 * S, .quick = 8 * MS },
        { .count = 10, .period = 10 * S, .quick = 8 * MS, .step = 2 * S }, /* as sev-guest asks a busy host */
        { .count = 10, .period = 10 * S, .quick = 39 * MS },
        { .count = 10, .period = 10 * S, .quick = 8 * MS, .is_window = true },
        { .count = 10, .period = 10 * S, .quick = 8 * MS, .refuses = ATT_TEE_FAULT_BUSY },
        { .count = 10, .period = 10 * S, .quick = 8 * MS, .refuses = ATT_TEE_FAULT_THROTTLED },
        { .count = 2, .period = 2 * S, .quick = 8 * MS },
        { .count = 3, .period = 60 * S, .quick = 8 * MS },
        { .count = 30, .period = 6 * S, .quick = 8 * MS, .is_window = true },
        { .count = 100, .period = 60 * S, .quick = 8 * MS },
};

START_TEST(learns_what_a_host_lends) {
        Host host = hosts[_i];
        AttPace pace = { 0 };
        double spacing = (double) host.period / host.count;

        (void) ask_often(&pace, &host, 1000 * S, 4 * host.count, 1 * MS);
        ck_assert_msg(pace.throttle_count + 2 >= host.count && pace.throttle_count <= host.count + 2, "%u",
                      pace.throttle_count);
        spacing = (double) pace.throttle_period_us / pace.throttle_count / spacing;
        ck_assert_msg(spacing > 0.75 && spacing < 1.5, "%f", spacing);
}
END_TEST

START_TEST(what_is_learned_foretells_what_comes) {
        Host host = hosts[_i];
        AttPace pace = { 0 };
        gint64 now = ask_often(&pace, &host, 1000 * S, 5 * host.count, 1 * MS);

        /* Dry; and after a rest, half full or full. */
        for (gint64 rest = 0; rest <= 2 * host.period; rest += host.period / 2) {
                guint n = host.count + host.count / 2;
                gint64 wait, took;

                now += rest;
                wait = att_pace_wait_us(&pace, n, now);
                took = ask_often(&pace, &host, now, n, 0) - now;
                ck_assert_msg(wait > took / 2 - 2 * MAX(host.step, host.period / host.count),
                              "%" G_GINT64_FORMAT " of %" G_GINT64_FORMAT, wait, took);
                ck_assert_msg(wait < 2 * took + 2 * host.period / host.count,
                              "%" G_GINT64_FORMAT " of %" G_GINT64_FORMAT, wait, took);
                now += took;
        }
}
END_TEST

START_TEST(a_device_that_is_always_alike_lends_nothing) {
        static const gint64 times[] = { 0, 8 * MS, 39 * MS, 1 * S };

        for (gsize i = 0; i < G_N_ELEMENTS(times); i++) {
                AttPace pace = { 0 };
                gint64 now = 1 * S;

                for (guint n = 0; n < 1000; n++) {
                        now = report(&pace, now, times[i] + (n % 7) * MS);
                        ck_assert_uint_eq(pace.throttle_count, 0);
                        ck_assert_uint_eq(pace.throttle_period_us, 0);
                }
        }
}
END_TEST

/* As a busy machine has it: one of twenty is late by a tenth of a second. */
START_TEST(one_that_is_late_now_and_then_is_no_limit) {
        AttPace pace = { 0 };
        gint64 now = 1 * S;

        for (guint n = 0; n < 10000; n++) {
                now = report(&pace, now, 1 * MS + (n % 20 == 13 ? 100 * MS : 0));
                ck_assert_uint_eq(pace.throttle_count, 0);
        }
}
END_TEST

START_TEST(a_device_that_has_become_slow_lends_nothing) {
        AttPace pace = { 0 };
        gint64 now = 1 * S;

        for (guint n = 0; n < 200; n++)
                now = report(&pace, now, n < 100 ? 8 * MS : 1 * S);
        for (guint n = 0; n < 3; n++) /* after a rest it would have some to lend */
                now = report(&pace, now + 1000 * S, 1 * S);
        ck_assert_uint_eq(pace.throttle_count, 0);
        ck_assert_int_gt(att_pace_wait_us(&pace, 1, now), 900 * MS);
}
END_TEST

START_TEST(a_limit_that_is_lifted_is_forgotten) {
        Host host = hosts[0];
        AttPace pace = { 0 };
        gint64 now = ask_often(&pace, &host, 1000 * S, 40, 1 * MS);

        ck_assert_uint_gt(pace.throttle_count, 0);
        host.count = 1000000;
        host.period = S;
        now = ask_often(&pace, &host, now, 1000, 1 * MS);
        ck_assert_uint_eq(pace.throttle_count, 0);
        ck_assert_int_le(att_pace_wait_us(&pace, 10, now), 200 * MS);
}
END_TEST

START_TEST(a_limit_that_is_halved_is_learned_anew) {
        Host host = hosts[0];
        AttPace pace = { 0 };
        gint64 now = ask_often(&pace, &host, 1000 * S, 40, 1 * MS);

        host.count = 5;
        for (guint i = 0; i < 4; i++)
                now = ask_often(&pace, &host, now + 100 * S, 20, 1 * MS);
        ck_assert_uint_ge(pace.throttle_count, 4);
        ck_assert_uint_le(pace.throttle_count, 6);
        ck_assert_uint_gt(pace.throttle_period_us, 7 * S);
}
END_TEST

START_TEST(a_limit_that_was_forgotten_is_no_part_of_the_next_one) {
        Host host = { .count = 10, .period = 100 * S, .quick = 8 * MS };
        AttPace pace = { 0 };
        gint64 now = ask_often(&pace, &host, 1000 * S, 30, 1 * MS);

        ck_assert_uint_gt(pace.throttle_count, 0);
        host = (Host) { .count = 1000000, .period = S, .quick = 20 * S };
        for (guint i = 0; i < 10 && pace.throttle_count > 0; i++, host.quick *= 2) /* slower and slower */
                now = ask(&pace, &host, now) + 1 * MS;
        ck_assert_uint_eq(pace.throttle_count, 0);

        host = (Host) { .count = 3, .period = 30 * S, .quick = 8 * MS };
        for (guint i = 0; i < 20 && pace.throttle_count == 0; i++)
                now = ask(&pace, &host, now) + 1 * MS;
        ck_assert_uint_ge(pace.throttle_count, 3);
        ck_assert_uint_le(pace.throttle_count, 10); /* at once: so many were once lent */
}
END_TEST

/* Who asks less often than the host lends meets no limit, and learns none. */
START_TEST(rest_is_not_the_host_s) {
        Host host = hosts[0];
        AttPace pace = { 0 };

        (void) ask_often(&pace, &host, 1000 * S, 100, 1100 * MS);
        ck_assert_uint_eq(pace.throttle_count, 0);
}
END_TEST

START_TEST(rest_between_bursts_is_not_the_host_s_either) {
        Host host = hosts[0];
        AttPace pace = { 0 };
        gint64 now = 1000 * S;

        for (guint i = 0; i < 5; i++)
                now = ask_often(&pace, &host, now + 100 * S, 12, 1 * MS);
        ck_assert_uint_ge(pace.throttle_count, 9);
        ck_assert_uint_le(pace.throttle_count, 11);
        ck_assert_uint_gt(pace.throttle_period_us, 8 * S);
        ck_assert_uint_lt(pace.throttle_period_us, 13 * S);
}
END_TEST

START_TEST(failures_of_other_kinds_are_no_limit) {
        AttPace pace = { 0 };
        gint64 now = 1 * S;

        for (guint n = 0; n < 100; n++) {
                att_pace_asked(&pace, now);
                now += 8 * MS;
                if (n % 3 == 2) {
                        att_pace_failed(&pace, n % 2 ? ATT_TEE_FAULT_HOST : ATT_TEE_FAULT_TIMED_OUT, now);
                        now = pace.not_before_us;
                } else {
                        att_pace_done(&pace, now);
                }
                ck_assert_uint_eq(pace.throttle_count, 0);
        }
}
END_TEST

/* ----- the wait that is told */

START_TEST(the_wait_is_that_of_all_before_and_of_what_is_left) {
        AttPace pace = { 0 };

        ck_assert_int_eq(att_pace_wait_us(&pace, 5, 1 * S), 0);
        att_pace_asked(&pace, 1 * S);
        att_pace_done(&pace, 2 * S);
        ck_assert_int_eq(att_pace_wait_us(&pace, 0, 3 * S), 0);
        ck_assert_int_eq(att_pace_wait_us(&pace, 1, 3 * S), 1 * S);
        ck_assert_int_eq(att_pace_wait_us(&pace, 3, 3 * S), 3 * S);

        att_pace_asked(&pace, 4 * S);
        ck_assert_int_eq(att_pace_wait_us(&pace, 1, 4 * S + 300 * MS), 1700 * MS);
        ck_assert_int_eq(att_pace_wait_us(&pace, 1, 40 * S), 1 * S); /* it is late: any time now */
        att_pace_failed(&pace, ATT_TEE_FAULT_TIMED_OUT, 41 * S);
        ck_assert_int_eq(att_pace_wait_us(&pace, 1, 43 * S), 3 * S + 1 * S);
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

        for (gint64 t = 1; t < 50; t++)
                (void) report(&pace, t * S, 8 * MS);
        ck_assert_uint_eq(pace.interval_us, 8 * MS);
}
END_TEST

/* Ten at full speed, then one a second: the pace follows within a few. */
START_TEST(learns_that_a_bucket_is_dry) {
        AttPace pace = { 0 };
        gint64 now = 1 * S;

        for (guint i = 0; i < 20; i++) {
                now = report(&pace, now, i < 10 ? 8 * MS : 1 * S) + 1 * MS;
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
        tcase_add_test(t, each_kind_has_a_pause_of_its_own_until_a_good_report);
        tcase_add_test(t, an_interrupted_request_is_given_its_time);
        tcase_add_test(t, a_good_report_ends_the_pause);
        tcase_add_test(t, absence_is_not_held_against_the_device);
        suite_add_tcase(s, t);

        t = tcase_create("key");
        tcase_add_loop_test(t, sc36_a_key_is_never_hammered, 0, (int) ATT_TEE_FAULT_N);
        tcase_add_test(t, sc36_a_failing_key_is_asked_a_few_times_in_ten_minutes);
        tcase_add_test(t, sc36_one_that_came_late_may_be_the_last);
        tcase_add_test(t, another_driver_has_another_key);
        suite_add_tcase(s, t);

        t = tcase_create("limit");
        tcase_add_loop_test(t, learns_what_a_host_lends, 0, (int) G_N_ELEMENTS(hosts));
        tcase_add_loop_test(t, what_is_learned_foretells_what_comes, 0, (int) G_N_ELEMENTS(hosts));
        tcase_add_test(t, a_device_that_is_always_alike_lends_nothing);
        tcase_add_test(t, one_that_is_late_now_and_then_is_no_limit);
        tcase_add_test(t, a_device_that_has_become_slow_lends_nothing);
        tcase_add_test(t, a_limit_that_is_lifted_is_forgotten);
        tcase_add_test(t, a_limit_that_is_halved_is_learned_anew);
        tcase_add_test(t, a_limit_that_was_forgotten_is_no_part_of_the_next_one);
        tcase_add_test(t, rest_is_not_the_host_s);
        tcase_add_test(t, rest_between_bursts_is_not_the_host_s_either);
        tcase_add_test(t, failures_of_other_kinds_are_no_limit);
        suite_add_tcase(s, t);

        t = tcase_create("interval");
        tcase_add_test(t, the_wait_is_that_of_all_before_and_of_what_is_left);
        tcase_add_test(t, knows_no_interval_before_the_first_report);
        tcase_add_test(t, idle_time_is_not_the_device_s);
        tcase_add_test(t, learns_that_a_bucket_is_dry);
        tcase_add_test(t, with_a_queue_pauses_count);
        suite_add_tcase(s, t);
        return run_suite(s);
}
