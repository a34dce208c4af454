/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "attester/scheduler.h"

#include "clock-double.h"
#include "run.h"
#include "tee-double.h"
#include "util/error.h"

#include <string.h>

/* A job that writes down what becomes of it. */
typedef struct Job {
        AttJob base;
        guint id;
        guint n_seals;
        guint n_done;
        GError *error;
        bool refuses_to_seal;
        struct Job *submits; /* when it is done */
        struct Job *cancels; /* likewise */
        bool is_slow;        /* to be answered: a microsecond */
        bool holds;          /* when it is done its connection can take no more */
} Job;

static AttScheduler *scheduler;
static AttTee *tee;
static GArray *order; /* ids, in the order in which they were sealed */
static GArray *ended;

/* What is sealed: the id of each, in their order. */
typedef struct Sealed {
        guint8 report_data[ATT_REPORT_DATA_SIZE];
        AttTeeReport *report;
} Sealed;

static guint n_dropped; /* Sealed that are gone */
static GArray *sizes;   /* jobs of each that was sealed */
static guint n_to_refuse; /* reports that are not taken */
static guint n_ended_before; /* when the last report was taken */

static gpointer seal(GPtrArray *jobs, uint8_t ret[ATT_REPORT_DATA_SIZE], AttTpm **ret_tpm) {
        Sealed *sealed = g_new0(Sealed, 1);
        guint n = 0;

        ck_assert_uint_ge(jobs->len, 1);
        ck_assert_ptr_null(*ret_tpm);
        for (guint i = 0; i < jobs->len; i++) {
                Job *j = jobs->pdata[i];

                if (j->refuses_to_seal) {
                        att_error_set(&j->base.refusal, ATT_ERROR_FAILED, "will not");
                        continue;
                }
                j->n_seals++;
                g_array_append_val(order, j->id);
                for (gsize k = 0; k < sizeof j->id; k++)
                        sealed->report_data[(4 * n + k) % ATT_REPORT_DATA_SIZE] ^= (guint8) (j->id >> (8 * k));
                n++;
        }
        g_array_append_val(sizes, n);
        memcpy(ret, sealed->report_data, ATT_REPORT_DATA_SIZE);
        return sealed;
}

static bool take(gpointer data, const GPtrArray *jobs, AttTeeReport *report) {
        Sealed *sealed = data;

        ck_assert_uint_ge(jobs->len, 1);
        ck_assert_mem_eq((const guint8 *) g_bytes_get_data(report->outblob, NULL) + 64, sealed->report_data,
                         ATT_REPORT_DATA_SIZE);
        if (n_to_refuse > 0) {
                n_to_refuse--;
                att_tee_report_free(report);
                return false;
        }
        sealed->report = report;
        n_ended_before = ended->len;
        return true;
}

static void on_done(AttJob *base, gpointer data, GError *error) {
        Job *j = (Job *) base;
        const Sealed *sealed = data;

        ck_assert((sealed != NULL) != (error != NULL));
        ck_assert(!sealed || sealed->report);
        for (gint64 start = g_get_monotonic_time(); j->is_slow && g_get_monotonic_time() == start;)
                ;
        j->n_done++;
        ck_assert_uint_eq(j->n_done, 1);
        j->error = error;
        g_array_append_val(ended, j->id);
        if (j->submits)
                att_scheduler_submit(scheduler, &j->submits->base, g_get_monotonic_time() + 10 * G_USEC_PER_SEC);
        if (j->cancels)
                att_scheduler_cancel(scheduler, &j->cancels->base);
        if (j->holds)
                att_scheduler_hold(scheduler, base->connection);
}

static void on_drop(gpointer data) {
        Sealed *sealed = data;

        att_tee_report_free(sealed->report);
        g_free(sealed);
        n_dropped++;
}

static const AttJobOps ops = { .seal = seal, .take = take, .done = on_done, .drop = on_drop };

/* Who asks, where one is enough. */
static AttScheduleUser user;
static AttScheduleConnection connection;

static void set_up(void) {
        user = (AttScheduleUser) { 0 };
        connection = (AttScheduleConnection) { .user = &user };
        tee = att_tee_new(NULL, NULL);
        scheduler = att_scheduler_new(tee, NULL, NULL);
        order = g_array_new(FALSE, FALSE, sizeof(guint));
        ended = g_array_new(FALSE, FALSE, sizeof(guint));
        sizes = g_array_new(FALSE, FALSE, sizeof(guint));
        n_dropped = n_to_refuse = 0;
}

static void tear_down(void) {
        att_tee_stop_and_free(tee, 0);
        att_scheduler_free(scheduler);
        ck_assert_uint_eq(n_dropped, sizes->len);
        g_array_unref(sizes);
        g_array_unref(order);
        g_array_unref(ended);
}

static Job job(AttScheduleConnection *c, guint id) {
        return (Job) { .base = { .ops = &ops, .connection = c }, .id = id };
}

static Job sharing(AttScheduleConnection *c, guint id) {
        Job j = job(c, id);

        j.base.may_share = true;
        return j;
}

static void submit_within(Job *j, guint ms) {
        att_scheduler_submit(scheduler, &j->base, g_get_monotonic_time() + (gint64) ms * 1000);
}

static void submit(Job *j) {
        submit_within(j, 30000);
}

/* Until nothing is ready any more. */
static void settle(void) {
        while (g_main_context_iteration(NULL, FALSE))
                ;
}

static void submit_both(Job *a, Job *b) {
        submit(a);
        submit(b);
        settle();
}

/* The device, to what it was asked. */
static void answer(void) {
        tee_double_answer();
        settle();
}

static void answer_with_error(AttError code, const char *message) {
        tee_double_fail(code, message);
        settle();
}

static void until_ended(guint n) {
        while (ended->len < n)
                (void) g_main_context_iteration(NULL, TRUE);
}

static guint at(GArray *a, guint i) {
        return g_array_index(a, guint, i);
}

START_TEST(serves_one_connection_in_its_order) {
        Job jobs[4];

        tee_double_answer_all();
        for (guint i = 0; i < 4; i++) {
                jobs[i] = job(&connection, i);
                submit(&jobs[i]);
        }
        ck_assert_uint_eq(user.n_waiting, 4);
        ck_assert_uint_eq(att_scheduler_n_waiting(scheduler), 4);
        until_ended(4);
        for (guint i = 0; i < 4; i++)
                ck_assert_uint_eq(at(ended, i), i);
        ck_assert_uint_eq(user.n_waiting, 0);
        ck_assert_uint_eq(att_scheduler_n_waiting(scheduler), 0);
}
END_TEST

START_TEST(has_one_report_under_way) {
        Job a = job(&connection, 1), b = job(&connection, 2);

        submit_both(&a, &b);
        ck_assert_uint_eq(order->len, 1);
        ck_assert_uint_eq(tee_double_asked->len, 1);
        answer();
        ck_assert_uint_eq(ended->len, 1);
        ck_assert_uint_eq(order->len, 2);
        answer();
        ck_assert_uint_eq(ended->len, 2);
}
END_TEST

/* 128 callers, each a user with one request; and one more with a heap of them, who came first. */
START_TEST(sc38b_who_asks_for_much_does_not_make_others_wait) {
        enum { MANY = 512, OTHERS = 128 };
        static AttScheduleUser greedy, users[OTHERS];
        static AttScheduleConnection hoard, connections[OTHERS];
        static Job heap[MANY], ones[OTHERS];
        guint last_of_others = 0;

        hoard.user = &greedy;
        for (guint i = 0; i < MANY; i++) {
                heap[i] = job(&hoard, 1000 + i);
                submit(&heap[i]);
        }
        for (guint i = 0; i < OTHERS; i++) {
                connections[i].user = &users[i];
                ones[i] = job(&connections[i], i);
                submit(&ones[i]);
        }

        tee_double_answer_all();
        until_ended(MANY + OTHERS);
        for (guint i = 0; i < ended->len; i++)
                if (at(ended, i) < OTHERS)
                        last_of_others = i;
        /* One of the heap before them, and one in between. */
        ck_assert_uint_le(last_of_others, OTHERS + 1);
}
END_TEST

START_TEST(sc38b_connections_of_a_user_take_turns) {
        AttScheduleUser u = { 0 }, other = { 0 };
        AttScheduleConnection c[2] = { { .user = &u }, { .user = &u } }, o = { .user = &other };
        Job jobs[6];
        const guint expected[] = { 0, 5, 3, 1, 4, 2 };

        for (guint i = 0; i < 3; i++)
                jobs[i] = job(&c[0], i);
        for (guint i = 3; i < 5; i++)
                jobs[i] = job(&c[1], i);
        jobs[5] = job(&o, 5);
        for (guint i = 0; i < 6; i++)
                submit(&jobs[i]);

        tee_double_answer_all();
        until_ended(6);
        for (guint i = 0; i < 6; i++)
                ck_assert_uint_eq(at(order, i), expected[i]);
}
END_TEST

START_TEST(sc38b_who_comes_during_a_report_is_before_him_whose_it_is) {
        AttScheduleUser greedy = { 0 }, modest = { 0 };
        AttScheduleConnection hoard = { .user = &greedy }, c[2] = { { .user = &modest }, { .user = &modest } };
        Job heap[3], ones[3];
        const guint expected[] = { 0, 10, 1, 12, 2, 11 };

        for (guint i = 0; i < 3; i++) {
                heap[i] = job(&hoard, i);
                submit(&heap[i]);
        }
        settle(); /* the first is under way */
        for (guint i = 0; i < 2; i++) {
                ones[i] = job(&c[0], 10 + i);
                submit(&ones[i]);
        }
        tee_double_answer();
        settle(); /* 10 is; and now another connection of its user comes */
        ones[2] = job(&c[1], 12);
        submit(&ones[2]);

        tee_double_answer();
        tee_double_answer_all();
        until_ended(6);
        for (guint i = 0; i < 6; i++)
                ck_assert_uint_eq(at(order, i), expected[i]);
}
END_TEST

START_TEST(sc36a_a_deadline_is_kept_while_waiting_and_under_way) {
        Job under_way = job(&connection, 1), waiting = job(&connection, 2), patient = job(&connection, 3);
        gint64 start = g_get_monotonic_time();

        tee_double_set_interval_us(39 * 1000);
        tee_double_set_expected_wait_us(1600 * 1000);
        submit_within(&under_way, 60);
        submit_within(&waiting, 30);
        submit(&patient);
        until_ended(2);
        ck_assert_int_ge(g_get_monotonic_time() - start, 60000);
        ck_assert_uint_eq(at(ended, 0), 2);
        ck_assert_uint_eq(at(ended, 1), 1);
        ck_assert(g_error_matches(waiting.error, ATT_ERROR, ATT_ERROR_TIMED_OUT));
        ck_assert(strstr(waiting.error->message, "turn"));
        ck_assert(g_error_matches(under_way.error, ATT_ERROR, ATT_ERROR_TIMED_OUT));
        ck_assert(strstr(under_way.error->message, "has not made the report"));
        ck_assert(strstr(waiting.error->message, "has to expect about 3.2 s"));
        ck_assert_uint_eq(waiting.n_seals, 0);

        /* The report that nobody wants comes, and the next one is made. */
        ck_assert_uint_eq(tee_double_asked->len, 1);
        answer();
        ck_assert_uint_eq(tee_double_asked->len, 2);
        answer();
        ck_assert_uint_eq(patient.n_done, 1);
        ck_assert(!patient.error);
        g_clear_error(&waiting.error);
        g_clear_error(&under_way.error);
}
END_TEST

START_TEST(sc36b_a_cancelled_request_costs_the_others_nothing) {
        AttScheduleUser u = { 0 };
        AttScheduleConnection c = { .user = &u }, d = { .user = &u };
        Job under_way = job(&c, 1), waiting = job(&c, 2), other = job(&d, 3);

        submit(&under_way);
        submit(&waiting);
        submit(&other);
        settle();
        att_scheduler_cancel(scheduler, &waiting.base);
        att_scheduler_cancel(scheduler, &under_way.base);
        ck_assert(g_error_matches(waiting.error, ATT_ERROR, ATT_ERROR_CANCELLED));
        ck_assert(g_error_matches(under_way.error, ATT_ERROR, ATT_ERROR_CANCELLED));
        att_scheduler_cancel(scheduler, &under_way.base); /* once is enough */

        answer();
        answer();
        ck_assert_uint_eq(other.n_done, 1);
        ck_assert(!other.error);
        /* The device has never heard of the one that waited. */
        ck_assert_uint_eq(tee_double_asked->len, 2);
        ck_assert_uint_eq(waiting.n_seals, 0);
        ck_assert_uint_eq(u.n_waiting, 0);
        g_clear_error(&waiting.error);
        g_clear_error(&under_way.error);
}
END_TEST

START_TEST(sc36c_the_next_request_is_served_after_a_failure) {
        Job a = job(&connection, 1), b = job(&connection, 2);

        submit_both(&a, &b);
        answer_with_error(ATT_ERROR_BAD_DATA, "not a report");
        ck_assert(g_error_matches(a.error, ATT_ERROR, ATT_ERROR_BAD_DATA));
        answer();
        ck_assert_uint_eq(b.n_done, 1);
        ck_assert(!b.error);
        g_clear_error(&a.error);
}
END_TEST

START_TEST(sc36d_a_busy_device_is_asked_again_for_the_same_request) {
        AttScheduleUser u = { 0 }, v = { 0 };
        AttScheduleConnection c = { .user = &u }, d = { .user = &v };
        Job a = job(&c, 1), more = job(&c, 2), b = job(&d, 3);

        submit(&a);
        submit(&more);
        submit(&b);
        settle();
        tee_double_set_pause_ms(20);
        answer_with_error(ATT_ERROR_DEVICE_BUSY, "busy");
        ck_assert_uint_eq(a.n_done, 0);
        ck_assert_uint_eq(order->len, 1); /* not before the pause is over */
        while (order->len < 2)
                (void) g_main_context_iteration(NULL, TRUE);
        ck_assert_uint_eq(at(order, 1), 1); /* it keeps its turn, */
        ck_assert_uint_eq(a.n_seals, 2);    /* and says anew what is to be signed */
        tee_double_answer_all();
        tee_double_answer();
        until_ended(3);
        ck_assert(!a.error && !more.error && !b.error);
        ck_assert_uint_eq(at(ended, 1), 3);
}
END_TEST

START_TEST(sc36d_a_busy_device_is_not_asked_for_ever) {
        Job a = job(&connection, 1), hasty = job(&connection, 2);

        submit(&a);
        for (guint i = 0; i < 100 && a.n_done == 0; i++) {
                settle();
                if (a.n_done == 0)
                        answer_with_error(ATT_ERROR_DEVICE_BUSY, "busy");
        }
        ck_assert(g_error_matches(a.error, ATT_ERROR, ATT_ERROR_DEVICE_BUSY));
        ck_assert_uint_eq(a.n_seals, 8);

        /* Whose time will be over before the pause is, is told so at once. */
        submit_within(&hasty, 10000);
        settle();
        tee_double_set_pause_ms(20000);
        answer_with_error(ATT_ERROR_DEVICE_BUSY, "busy");
        ck_assert(g_error_matches(hasty.error, ATT_ERROR, ATT_ERROR_DEVICE_BUSY));
        g_clear_error(&a.error);
        g_clear_error(&hasty.error);
}
END_TEST

START_TEST(tells_all_when_the_tee_is_gone) {
        static const struct {
                AttTeeState state;
                AttError code;
        } rows[] = { { ATT_TEE_NO_TEE, ATT_ERROR_NO_TEE }, { ATT_TEE_DEVICE_LOST, ATT_ERROR_DEVICE_LOST } };

        for (gsize i = 0; i < G_N_ELEMENTS(rows); i++) {
                Job jobs[3];

                for (guint k = 0; k < 3; k++) {
                        jobs[k] = job(&connection, k);
                        submit(&jobs[k]);
                }
                settle();
                if (i == 0) {
                        tee_double_set_state(rows[i].state, "gone");
                        att_scheduler_tee_changed(scheduler);
                        ck_assert_uint_eq(jobs[1].n_done + jobs[2].n_done, 2);
                        ck_assert_str_eq(jobs[1].error->message, "gone");
                        ck_assert_uint_eq(jobs[0].n_done, 0); /* the device answers it */
                }
                answer_with_error(rows[i].code, "gone");
                for (guint k = 0; k < 3; k++) {
                        ck_assert_uint_eq(jobs[k].n_done, 1);
                        ck_assert(g_error_matches(jobs[k].error, ATT_ERROR, (gint) rows[i].code));
                        g_clear_error(&jobs[k].error);
                }
        }
        ck_assert_uint_eq(tee_double_asked->len, 2);
}
END_TEST

/* tee/ tells of a change before it hands out the report that has shown it. */
START_TEST(asks_nothing_between_a_change_and_its_report) {
        Job a = job(&connection, 1), b = job(&connection, 2);

        submit_both(&a, &b);
        att_scheduler_tee_changed(scheduler);
        settle();
        ck_assert_uint_eq(order->len, 1);
        answer();
        ck_assert_uint_eq(order->len, 2);
        answer();
        ck_assert_uint_eq(ended->len, 2);
}
END_TEST

START_TEST(a_request_that_cannot_be_sealed_is_passed_over) {
        Job a = job(&connection, 1), b = job(&connection, 2);

        a.refuses_to_seal = true;
        submit_both(&a, &b);
        ck_assert(g_error_matches(a.error, ATT_ERROR, ATT_ERROR_FAILED));
        ck_assert_uint_eq(tee_double_asked->len, 1);
        answer();
        ck_assert_uint_eq(b.n_done, 1);
        g_clear_error(&a.error);
}
END_TEST

START_TEST(an_answer_may_bring_the_next_request) {
        Job next = job(&connection, 2), a = job(&connection, 1);

        a.submits = &next;
        submit(&a);
        settle();
        answer_with_error(ATT_ERROR_NO_TEE, "gone");
        /* It is not one of those that waited when the TEE was found gone. */
        ck_assert_uint_eq(a.n_done, 1);
        ck_assert_uint_eq(next.n_done, 0);
        answer();
        ck_assert_uint_eq(next.n_done, 1);
        ck_assert(!next.error);
        g_clear_error(&a.error);
}
END_TEST

/* ----- reports that are shared */

enum { MANY = 20000 };

static void expect_sizes(const guint *expected, guint n) {
        ck_assert_uint_eq(sizes->len, n);
        for (guint i = 0; i < n; i++)
                ck_assert_uint_eq(at(sizes, i), expected[i]);
}

START_TEST(ft13_a_single_request_is_served_at_once_and_who_comes_meanwhile_shares_the_next) {
        AttScheduleUser users[5] = { 0 };
        AttScheduleConnection c[5];
        Job first, jobs[20];

        for (guint i = 0; i < 5; i++)
                c[i] = (AttScheduleConnection) { .user = &users[i] };
        first = sharing(&c[0], 100);
        submit(&first);
        settle();
        expect_sizes((guint[]) { 1 }, 1);
        for (guint i = 0; i < 20; i++) {
                jobs[i] = sharing(&c[i % 5], i);
                submit(&jobs[i]);
        }
        settle();
        ck_assert_uint_eq(sizes->len, 1);
        answer();
        expect_sizes((guint[]) { 1, 20 }, 2);
        ck_assert_uint_eq(ended->len, 1);
        answer();
        ck_assert_uint_eq(ended->len, 21);
        for (guint i = 0; i < 20; i++) {
                ck_assert(!jobs[i].error);
                ck_assert_uint_eq(at(ended, i + 1), i); /* as they came */
        }
        ck_assert_uint_eq(tee_double_asked->len, 2);
        ck_assert_uint_eq(att_scheduler_n_waiting(scheduler), 0);
}
END_TEST

START_TEST(who_may_not_share_takes_turns_with_the_batches) {
        AttScheduleUser plain = { 0 }, users[3] = { 0 };
        AttScheduleConnection p = { .user = &plain }, c[3];
        Job plains[4], jobs[9];
        const guint expected[] = { 100, 0, 1, 2, 3, 4, 5, 101, 102, 103 };

        for (guint i = 0; i < 3; i++)
                c[i] = (AttScheduleConnection) { .user = &users[i] };
        for (guint i = 0; i < 4; i++) {
                plains[i] = job(&p, 100 + i);
                submit(&plains[i]);
        }
        for (guint i = 0; i < 6; i++) {
                jobs[i] = sharing(&c[i % 3], i);
                submit(&jobs[i]);
        }
        tee_double_answer_all();
        until_ended(10);
        for (guint i = 0; i < 10; i++)
                ck_assert_uint_eq(at(order, i), expected[i]);
        expect_sizes((guint[]) { 1, 6, 1, 1, 1 }, 5);
}
END_TEST

/* Of one connection: what may not be shared keeps nothing back that may. */
START_TEST(what_may_be_shared_is_taken_along_from_anywhere) {
        AttScheduleUser u = { 0 }, v = { 0 };
        AttScheduleConnection c = { .user = &u }, d = { .user = &v };
        Job a = job(&c, 1), b = job(&c, 2), s = sharing(&c, 3), t = sharing(&d, 4);
        const guint expected[] = { 1, 4, 3, 2 };

        submit(&a);
        submit(&b);
        submit(&s);
        submit(&t);
        tee_double_answer_all();
        until_ended(4);
        for (guint i = 0; i < 4; i++)
                ck_assert_uint_eq(at(order, i), expected[i]);
        expect_sizes((guint[]) { 1, 2, 1 }, 3);
}
END_TEST

START_TEST(sc38b_who_asks_for_much_is_not_answered_before_all_others) {
        enum { HOARD = 1000 };
        static Job heap[HOARD];
        AttScheduleUser greedy = { 0 }, u = { 0 }, v = { 0 };
        AttScheduleConnection hoards[2] = { { .user = &greedy }, { .user = &greedy } };
        AttScheduleConnection c[3] = { { .user = &u }, { .user = &u }, { .user = &v } };
        Job first = sharing(&hoards[0], 1), ones[4];
        const guint expected[] = { 1000, 1, 3, 1500, 2, 1001, 4, 1501, 1002, 1502, 1003 };

        submit(&first);
        settle();
        for (guint i = 0; i < HOARD; i++) {
                heap[i] = sharing(&hoards[i / 500], 1000 + i);
                submit(&heap[i]);
        }
        for (guint i = 0; i < 4; i++) {
                ones[i] = sharing(&c[i == 3 ? 0 : i], 1 + i);
                submit(&ones[i]);
        }
        answer();
        answer();
        ck_assert_uint_eq(ended->len, 1 + HOARD + 4);
        expect_sizes((guint[]) { 1, HOARD + 4 }, 2);
        for (guint i = 0; i < G_N_ELEMENTS(expected); i++)
                ck_assert_uint_eq(at(ended, 1 + i), expected[i]);
}
END_TEST

/* @n jobs that share a report, which is under way; the first one had been alone. */
static void begin_batch(AttScheduleConnection *c, Job *alone, Job *jobs, guint n) {
        *alone = sharing(c, 1000000);
        submit(alone);
        settle();
        for (guint i = 0; i < n; i++) {
                jobs[i] = sharing(c, i);
                jobs[i].is_slow = n == MANY;
                submit(&jobs[i]);
        }
        answer();
        ck_assert_uint_eq(at(sizes, sizes->len - 1), n);
}

START_TEST(a_batch_has_so_many_and_no_more) {
        enum { N = ATT_ROUND_MAX + 1 };
        g_autofree Job *jobs = g_new0(Job, N);
        Job alone;

        alone = sharing(&connection, N);
        submit(&alone);
        settle();
        for (guint i = 0; i < N; i++) {
                jobs[i] = sharing(&connection, i);
                submit(&jobs[i]);
        }
        for (guint i = 0; i < 3; i++)
                answer();
        expect_sizes((guint[]) { 1, ATT_ROUND_MAX, 1 }, 3);
        ck_assert_uint_eq(ended->len, 1 + N);
}
END_TEST

START_TEST(a_device_that_dies_in_a_batch_is_told_to_all_at_once_and_tried_again) {
        AttScheduleUser u = { 0 };
        AttScheduleConnection c = { .user = &u };
        Job alone, jobs[50], next = sharing(&c, 77);

        begin_batch(&c, &alone, jobs, 50);
        submit(&next);
        settle();
        tee_double_fail(ATT_ERROR_FAILED, "the device has died");
        settle();
        for (guint i = 0; i < 50; i++) {
                ck_assert(g_error_matches(jobs[i].error, ATT_ERROR, ATT_ERROR_FAILED));
                ck_assert_str_eq(jobs[i].error->message, "the device has died");
                g_clear_error(&jobs[i].error);
        }
        ck_assert_uint_eq(tee_double_asked->len, 3);
        answer();
        ck_assert_uint_eq(next.n_done, 1);
        ck_assert(!next.error);
}
END_TEST

START_TEST(sc36d_a_busy_device_gets_the_batch_back_with_who_has_come_since) {
        AttScheduleUser u = { 0 }, v = { 0 };
        AttScheduleConnection c = { .user = &u }, d = { .user = &v };
        Job alone, jobs[10], plain = job(&d, 99), late = sharing(&d, 98), hasty = sharing(&c, 97);
        const guint expected[] = { 0, 98, 1, 2, 3, 4, 5, 6, 7, 8, 9, 99 };

        begin_batch(&c, &alone, jobs, 10);
        submit(&plain);
        submit(&late);
        settle();
        tee_double_set_pause_ms(20);
        tee_double_fail(ATT_ERROR_DEVICE_BUSY, "busy");
        settle();
        ck_assert_uint_eq(ended->len, 1);
        while (sizes->len < 3)
                (void) g_main_context_iteration(NULL, TRUE);
        ck_assert_uint_eq(at(sizes, 2), 11);
        answer();
        answer();
        ck_assert_uint_eq(ended->len, 13);
        for (guint i = 0; i < G_N_ELEMENTS(expected); i++)
                ck_assert_uint_eq(at(ended, i + 1), expected[i]);
        for (guint i = 0; i < 10; i++) {
                ck_assert(!jobs[i].error);
                ck_assert_uint_eq(jobs[i].n_seals, 2);
        }

        /* Who has no time for that is told at once, the others wait. */
        {
                Job first, more[3];

                begin_batch(&c, &first, more, 2);
                submit_within(&hasty, 10000);
                more[2] = sharing(&c, 2);
                submit(&more[2]);
                answer();
                ck_assert_uint_eq(at(sizes, sizes->len - 1), 2);
                tee_double_set_pause_ms(20000);
                tee_double_fail(ATT_ERROR_DEVICE_BUSY, "busy");
                settle();
                ck_assert(g_error_matches(hasty.error, ATT_ERROR, ATT_ERROR_DEVICE_BUSY));
                ck_assert_uint_eq(more[2].n_done, 0);
                att_scheduler_cancel(scheduler, &more[2].base);
                g_clear_error(&hasty.error);
                g_clear_error(&more[2].error);
        }
}
END_TEST

START_TEST(sc36d_a_busy_device_is_not_asked_for_ever_by_a_batch) {
        AttScheduleUser u = { 0 };
        AttScheduleConnection c = { .user = &u };
        Job alone, jobs[3];

        begin_batch(&c, &alone, jobs, 3);
        for (guint i = 0; i < 100 && jobs[0].n_done == 0; i++) {
                tee_double_fail(ATT_ERROR_DEVICE_BUSY, "busy");
                settle();
        }
        for (guint i = 0; i < 3; i++) {
                ck_assert(g_error_matches(jobs[i].error, ATT_ERROR, ATT_ERROR_DEVICE_BUSY));
                ck_assert_uint_eq(jobs[i].n_seals, 8);
                g_clear_error(&jobs[i].error);
        }
}
END_TEST

START_TEST(sc33_a_batch_whose_report_is_not_taken_is_sealed_again_but_not_for_ever) {
        AttScheduleUser u = { 0 };
        AttScheduleConnection c = { .user = &u };
        Job alone, jobs[3];

        n_to_refuse = 0;
        begin_batch(&c, &alone, jobs, 3);
        n_to_refuse = 7;
        tee_double_answer_all();
        tee_double_answer();
        until_ended(4);
        for (guint i = 0; i < 3; i++) {
                ck_assert(!jobs[i].error);
                ck_assert_uint_eq(jobs[i].n_seals, 8);
        }

        n_to_refuse = 1000;
        for (guint i = 0; i < 3; i++) {
                jobs[i] = sharing(&c, i);
                submit(&jobs[i]);
        }
        until_ended(7);
        for (guint i = 0; i < 3; i++) {
                ck_assert(g_error_matches(jobs[i].error, ATT_ERROR, ATT_ERROR_FAILED));
                ck_assert_uint_eq(jobs[i].n_seals, 8);
                g_clear_error(&jobs[i].error);
        }
}
END_TEST

START_TEST(sc36b_who_leaves_a_batch_costs_the_others_nothing) {
        AttScheduleUser u = { 0 };
        AttScheduleConnection c = { .user = &u };
        Job alone, jobs[4];

        begin_batch(&c, &alone, jobs, 4);
        att_scheduler_cancel(scheduler, &jobs[0].base);
        att_scheduler_cancel(scheduler, &jobs[2].base);
        ck_assert(g_error_matches(jobs[0].error, ATT_ERROR, ATT_ERROR_CANCELLED));
        ck_assert(g_error_matches(jobs[2].error, ATT_ERROR, ATT_ERROR_CANCELLED));
        answer();
        ck_assert(jobs[1].n_done == 1 && !jobs[1].error && jobs[3].n_done == 1 && !jobs[3].error);
        ck_assert_uint_eq(tee_double_asked->len, 2);
        ck_assert_uint_eq(u.n_waiting, 0);
        g_clear_error(&jobs[0].error);
        g_clear_error(&jobs[2].error);

        /* When all have left, nothing is kept for them. */
        begin_batch(&c, &alone, jobs, 2);
        att_scheduler_cancel(scheduler, &jobs[0].base);
        ck_assert_uint_eq(n_dropped, sizes->len - 1);
        att_scheduler_cancel(scheduler, &jobs[1].base);
        ck_assert_uint_eq(n_dropped, sizes->len);
        answer();
        g_clear_error(&jobs[0].error);
        g_clear_error(&jobs[1].error);
}
END_TEST

START_TEST(sc36a_a_deadline_in_a_batch_is_that_ones_alone) {
        AttScheduleUser u = { 0 };
        AttScheduleConnection c = { .user = &u };
        Job first = sharing(&c, 0), hasty = sharing(&c, 1), patient = sharing(&c, 2);

        submit(&first);
        settle();
        submit_within(&hasty, 30);
        submit(&patient);
        tee_double_answer();
        until_ended(2);
        ck_assert(g_error_matches(hasty.error, ATT_ERROR, ATT_ERROR_TIMED_OUT));
        ck_assert(strstr(hasty.error->message, "has not made the report"));
        ck_assert_uint_eq(patient.n_done, 0);
        answer();
        ck_assert_uint_eq(patient.n_done, 1);
        ck_assert(!patient.error);
        g_clear_error(&hasty.error);
}
END_TEST

START_TEST(who_cannot_be_sealed_is_no_part_of_the_batch) {
        AttScheduleUser u = { 0 };
        AttScheduleConnection c = { .user = &u };
        Job first = sharing(&c, 0), bad[2], good[3];

        submit(&first);
        settle();
        for (guint i = 0; i < 2; i++) {
                bad[i] = sharing(&c, 10 + i);
                bad[i].refuses_to_seal = true;
        }
        for (guint i = 0; i < 3; i++)
                good[i] = sharing(&c, 20 + i);
        submit(&bad[0]);
        submit(&good[0]);
        submit(&good[1]);
        submit(&bad[1]);
        submit(&good[2]);
        tee_double_answer_all();
        tee_double_answer();
        until_ended(6);
        for (guint i = 0; i < 2; i++) {
                ck_assert(g_error_matches(bad[i].error, ATT_ERROR, ATT_ERROR_FAILED));
                g_clear_error(&bad[i].error);
        }
        for (guint i = 0; i < 3; i++)
                ck_assert(good[i].n_done == 1 && !good[i].error);
        expect_sizes((guint[]) { 1, 3 }, 2);
}
END_TEST

START_TEST(who_cannot_be_sealed_may_take_all_others_along) {
        AttScheduleUser u = { 0 };
        AttScheduleConnection c = { .user = &u };
        Job alone = sharing(&c, 0), refused = sharing(&c, 1), cancelled = sharing(&c, 2), next = sharing(&c, 3);

        submit(&alone);
        settle();
        refused.refuses_to_seal = true;
        refused.cancels = &cancelled;
        submit_both(&refused, &cancelled);
        answer();
        ck_assert(g_error_matches(refused.error, ATT_ERROR, ATT_ERROR_FAILED));
        ck_assert(g_error_matches(cancelled.error, ATT_ERROR, ATT_ERROR_CANCELLED));
        submit(&next);
        settle();
        answer();
        ck_assert_uint_eq(next.n_done, 1);
        ck_assert(!next.error);
        ck_assert_uint_eq(tee_double_asked->len, 2);
        g_clear_error(&refused.error);
        g_clear_error(&cancelled.error);
}
END_TEST

/* So many that they are not all answered in one turn of the loop: who leaves meanwhile, whose time is over
 * meanwhile, and who comes meanwhile. */
START_TEST(answers_are_given_in_slices_and_the_device_works_meanwhile) {
        static Job jobs[MANY];
        AttScheduleUser u = { 0 };
        AttScheduleConnection c = { .user = &u };
        Job alone, next = sharing(&c, MANY);
        guint turns = 0;

        begin_batch(&c, &alone, jobs, MANY);
        jobs[0].cancels = &jobs[MANY - 2];
        submit(&next);
        tee_double_answer();
        while (ended->len < 2)
                (void) g_main_context_iteration(NULL, TRUE);
        ck_assert_uint_eq(tee_double_asked->len, 3); /* for the next one, */
        ck_assert_uint_lt(ended->len, MANY);         /* before these have their answers */
        while (ended->len < MANY + 1) {
                (void) g_main_context_iteration(NULL, FALSE);
                turns++;
        }
        ck_assert_uint_gt(turns, 1);
        for (guint i = 0; i < MANY; i++) {
                ck_assert_uint_eq(jobs[i].n_done, 1);
                ck_assert((jobs[i].error != NULL) == (i == MANY - 2));
        }
        ck_assert(g_error_matches(jobs[MANY - 2].error, ATT_ERROR, ATT_ERROR_CANCELLED));
        g_clear_error(&jobs[MANY - 2].error);
        answer();
        ck_assert_uint_eq(next.n_done, 1);
}
END_TEST

START_TEST(a_report_that_is_there_is_given_also_behind_the_deadline) {
        static Job jobs[MANY];
        AttScheduleUser u = { 0 };
        AttScheduleConnection c = { .user = &u };
        Job alone = sharing(&c, MANY);

        submit(&alone);
        settle();
        for (guint i = 0; i < MANY; i++) {
                jobs[i] = sharing(&c, i);
                jobs[i].is_slow = true;
                submit_within(&jobs[i], i == MANY - 1 ? 500 : 30000);
        }
        answer();
        tee_double_answer();
        while (ended->len < 2)
                (void) g_main_context_iteration(NULL, TRUE);
        ck_assert_uint_eq(jobs[MANY - 1].n_done, 0);
        while (g_get_monotonic_time() < jobs[MANY - 1].base.deadline_us)
                ; /* the loop stands still */
        until_ended(MANY + 1);
        ck_assert(!jobs[MANY - 1].error);
}
END_TEST

/* ----- who takes no answers */

START_TEST(answers_wait_for_who_does_not_read_and_for_nobody_else) {
        AttScheduleUser u = { 0 }, v = { 0 };
        AttScheduleConnection slow = { .user = &u }, quick = { .user = &v };
        Job first = sharing(&quick, 100), jobs[10], next = sharing(&quick, 101);
        const guint expected[] = { 100, 0, 1, 3, 5, 7, 9, 101, 2, 4, 6, 8 };

        submit(&first);
        settle();
        for (guint i = 0; i < 10; i++) {
                jobs[i] = sharing(i % 2 ? &quick : &slow, i);
                submit(&jobs[i]);
        }
        jobs[0].holds = jobs[4].holds = true;
        answer();
        answer();
        ck_assert_uint_eq(ended->len, 7);
        ck_assert_uint_eq(u.n_waiting, 4);
        ck_assert_uint_eq(v.n_waiting, 0);
        ck_assert_uint_eq(n_dropped, 1); /* what they wait for is kept, */

        submit(&next); /* and holds up nobody */
        settle();
        answer();
        ck_assert_uint_eq(ended->len, 8);

        att_scheduler_release(scheduler, &slow);
        settle();
        ck_assert_uint_eq(ended->len, 10); /* until it is full again */
        att_scheduler_release(scheduler, &slow);
        att_scheduler_release(scheduler, &slow);
        settle();
        ck_assert_uint_eq(ended->len, 12);
        for (guint i = 0; i < 12; i++)
                ck_assert_uint_eq(at(ended, i), expected[i]);
        ck_assert_uint_eq(n_dropped, sizes->len);
        ck_assert_uint_eq(att_scheduler_n_waiting(scheduler), 0);
        att_scheduler_release(scheduler, &slow);
}
END_TEST

enum { READERS = 200 };
static AttScheduleConnection readers[READERS];
static guint n_readers; /* that have read */

static gboolean on_read(gpointer data) {
        (void) data;
        if (n_readers < READERS)
                att_scheduler_release(scheduler, &readers[n_readers++]);
        return G_SOURCE_CONTINUE;
}

static gboolean on_flood(gpointer userdata) {
        ++*(guint *) userdata;
        return G_SOURCE_CONTINUE;
}

/* In a loop that is never idle, one of them reads each 5 ms: each time there is somebody to answer. */
START_TEST(sc38b_who_reads_late_does_not_keep_a_free_device_from_others) {
        static Job jobs[READERS];
        AttScheduleUser u = { 0 }, v = { 0 };
        AttScheduleConnection c = { .user = &v };
        Job first = sharing(&c, READERS), honest = job(&c, READERS + 1);
        guint n_asked, n_turns = 0, flood, reading;

        n_readers = 0;
        tee_double_set_interval_us(1000000); /* the patience is 50 ms */
        submit(&first);
        settle();
        for (guint i = 0; i < READERS; i++) {
                readers[i] = (AttScheduleConnection) { .user = &u };
                jobs[i] = sharing(&readers[i], i);
                att_scheduler_hold(scheduler, &readers[i]);
                submit(&jobs[i]);
        }
        tee_double_answer();
        settle();
        tee_double_answer();
        settle();
        ck_assert_uint_eq(ended->len, 1);

        n_asked = tee_double_asked->len;
        reading = g_timeout_add_full(G_PRIORITY_DEFAULT, 5, on_read, NULL, NULL);
        flood = g_idle_add_full(G_PRIORITY_DEFAULT, on_flood, &n_turns, NULL);
        submit(&honest);
        while (tee_double_asked->len == n_asked)
                (void) g_main_context_iteration(NULL, TRUE);
        ck_assert_uint_lt(n_readers, READERS / 2);

        g_source_remove(reading);
        g_source_remove(flood);
        while (n_readers < READERS)
                on_read(NULL);
        tee_double_answer();
        until_ended(READERS + 2);
}
END_TEST

START_TEST(sc38b_what_one_has_left_unread_is_not_answered_before_what_is_new_to_others) {
        enum { UNREAD = 4000 };
        static Job jobs[UNREAD];
        AttScheduleUser u = { 0 }, v = { 0 };
        AttScheduleConnection late = { .user = &u }, other = { .user = &u }, c = { .user = &v };
        Job first = sharing(&c, UNREAD), honest = sharing(&c, UNREAD + 1);

        submit(&first);
        settle();
        att_scheduler_hold(scheduler, &late);
        att_scheduler_hold(scheduler, &other);
        for (guint i = 0; i < UNREAD; i++) {
                jobs[i] = sharing(i % 2 ? &late : &other, i);
                submit(&jobs[i]);
        }
        tee_double_answer();
        settle();
        tee_double_answer();
        settle();
        ck_assert_uint_eq(ended->len, 1);

        submit(&honest);
        settle();
        att_scheduler_release(scheduler, &late);
        att_scheduler_release(scheduler, &other);
        tee_double_answer();
        while (honest.n_done == 0)
                (void) g_main_context_iteration(NULL, TRUE);
        ck_assert_uint_lt(n_ended_before, UNREAD);
        ck_assert(at(ended, n_ended_before) == honest.id || at(ended, n_ended_before + 1) == honest.id);
        until_ended(UNREAD + 2);
        for (guint i = 2; i + 1 < ended->len; i++) /* the two take turns */
                ck_assert(at(ended, i) >= UNREAD || at(ended, i + 1) >= UNREAD ||
                          at(ended, i) % 2 != at(ended, i + 1) % 2);
}
END_TEST

START_TEST(what_is_held_back_can_be_cancelled_and_has_its_deadline) {
        AttScheduleUser u = { 0 };
        AttScheduleConnection c = { .user = &u };
        Job first = sharing(&c, 0), cancelled = sharing(&c, 1), hasty = sharing(&c, 2), good[2];

        good[0] = sharing(&c, 3);
        good[1] = sharing(&c, 4);
        first.holds = true;
        submit(&first);
        settle();
        submit(&cancelled);
        submit_within(&hasty, 60);
        submit(&good[0]);
        submit(&good[1]);
        answer();
        answer();
        ck_assert_uint_eq(ended->len, 1);
        att_scheduler_cancel(scheduler, &cancelled.base);
        ck_assert(g_error_matches(cancelled.error, ATT_ERROR, ATT_ERROR_CANCELLED));
        until_ended(3);
        ck_assert(g_error_matches(hasty.error, ATT_ERROR, ATT_ERROR_TIMED_OUT));
        ck_assert(strstr(hasty.error->message, "not read"));

        /* The last one of a round, ended by the one before it. */
        good[0].cancels = &good[1];
        att_scheduler_release(scheduler, &c);
        settle();
        ck_assert(!good[0].error);
        ck_assert(g_error_matches(good[1].error, ATT_ERROR, ATT_ERROR_CANCELLED));
        ck_assert_uint_eq(n_dropped, sizes->len);
        g_clear_error(&cancelled.error);
        g_clear_error(&hasty.error);
        g_clear_error(&good[1].error);
}
END_TEST

START_TEST(a_deadline_gives_nothing_to_who_does_not_read_and_holds_up_nobody) {
        static Job jobs[MANY];
        AttScheduleUser u = { 0 }, v = { 0 };
        AttScheduleConnection slow = { .user = &u }, quick = { .user = &v };
        Job alone = sharing(&quick, MANY);
        guint turns = 0;

        submit(&alone);
        settle();
        att_scheduler_hold(scheduler, &slow);
        for (guint i = 0; i < MANY; i++) {
                jobs[i] = sharing(i % 2 ? &slow : &quick, i);
                jobs[i].is_slow = true;
                submit_within(&jobs[i], 1000);
        }
        answer();
        tee_double_answer();
        while (ended->len < 2)
                (void) g_main_context_iteration(NULL, TRUE);
        ck_assert_uint_eq(jobs[MANY - 2].n_done, 0);
        while (g_get_monotonic_time() < jobs[MANY - 1].base.deadline_us)
                ; /* the loop stands still */
        for (; ended->len < MANY + 1; turns++)
                (void) g_main_context_iteration(NULL, TRUE);
        ck_assert_uint_gt(turns, 2);
        for (guint i = 0; i < MANY; i++) {
                ck_assert((jobs[i].error != NULL) == i % 2);
                ck_assert(!jobs[i].error || strstr(jobs[i].error->message, "not read"));
                g_clear_error(&jobs[i].error);
        }
        ck_assert_uint_eq(n_dropped, sizes->len);
}
END_TEST

START_TEST(failures_are_told_to_who_does_not_read_as_well) {
        AttScheduleUser u = { 0 };
        AttScheduleConnection c = { .user = &u };
        Job first = sharing(&c, 0), jobs[3];

        first.holds = true;
        submit(&first);
        settle();
        for (guint i = 0; i < 3; i++) {
                jobs[i] = sharing(&c, 1 + i);
                submit(&jobs[i]);
        }
        answer();
        tee_double_fail(ATT_ERROR_FAILED, "no");
        settle();
        for (guint i = 0; i < 3; i++) {
                ck_assert(g_error_matches(jobs[i].error, ATT_ERROR, ATT_ERROR_FAILED));
                g_clear_error(&jobs[i].error);
        }
}
END_TEST

/* Each would keep a report for as long as it waits, and they may be as many as a user may have waiting. */
START_TEST(no_more_reports_are_made_for_who_does_not_read) {
        AttScheduleUser u = { 0 }, v = { 0 };
        AttScheduleConnection slow = { .user = &u }, quick = { .user = &v };
        Job jobs[20], others[20], hasty = job(&slow, 50), cancelled = sharing(&slow, 51);
        guint last[2] = { 0, 0 };

        tee_double_answer_all();
        for (guint i = 0; i < 20; i++) {
                jobs[i] = i % 2 ? sharing(&slow, i) : job(&slow, i);
                jobs[i].holds = true;
                others[i] = sharing(&quick, 100 + i);
                submit_both(&jobs[i], &others[i]);
                ck_assert_uint_eq(others[i].n_done, 1);
        }
        ck_assert_uint_eq(u.n_waiting, 19);
        ck_assert_uint_eq(sizes->len - n_dropped, ATT_UNREAD_ROUNDS_MAX);

        /* What waits can end without it. */
        submit(&cancelled);
        submit_within(&hasty, 20);
        att_scheduler_cancel(scheduler, &cancelled.base);
        ck_assert(g_error_matches(cancelled.error, ATT_ERROR, ATT_ERROR_CANCELLED));
        while (!hasty.error)
                (void) g_main_context_iteration(NULL, TRUE);
        ck_assert(g_error_matches(hasty.error, ATT_ERROR, ATT_ERROR_TIMED_OUT));
        ck_assert(strstr(hasty.error->message, "not read"));

        /* Who takes one at a time has few kept at any time, and loses none. */
        while (u.n_waiting > 0) {
                guint n = u.n_waiting;

                att_scheduler_release(scheduler, &slow);
                settle();
                ck_assert_uint_eq(u.n_waiting, n - 1);
                ck_assert_uint_le(sizes->len - n_dropped, ATT_UNREAD_ROUNDS_MAX + 1);
        }
        for (guint i = 0; i < 20; i++)
                ck_assert(jobs[i].n_done == 1 && !jobs[i].error);
        for (guint i = 0; i < ended->len; i++) { /* in order; those that may share are taken along */
                guint id = at(ended, i);

                if (id >= 20)
                        continue;
                ck_assert_uint_ge(id, last[id % 2]);
                last[id % 2] = id;
        }
        ck_assert_uint_eq(n_dropped, sizes->len);
        g_clear_error(&hasty.error);
        g_clear_error(&cancelled.error);
}
END_TEST

START_TEST(whoever_takes_answers_when_he_likes_gets_each_once) {
        enum { N = 3000, CONNECTIONS = 9 };
        static Job jobs[N];
        AttScheduleUser users[3] = { 0 };
        AttScheduleConnection connections[CONNECTIONS];
        guint32 seed = g_random_int();
        g_autoptr(GRand) rand = g_rand_new_with_seed(seed);
        guint n = 0, n_answered = 0;

        for (guint i = 0; i < CONNECTIONS; i++)
                connections[i] = (AttScheduleConnection) { .user = &users[i % 3] };
        while (n < N || ended->len < n) {
                AttScheduleConnection *c = &connections[g_rand_int_range(rand, 0, CONNECTIONS)];
                gint dice = g_rand_int_range(rand, 0, 10);

                if (dice == 0 && n < N) {
                        att_scheduler_hold(scheduler, c);
                } else if (dice == 1) {
                        att_scheduler_release(scheduler, c);
                } else if (dice == 2 && n > 0) {
                        att_scheduler_cancel(scheduler, &jobs[g_rand_int_range(rand, 0, (gint32) n)].base);
                } else if (dice < 6 && n < N) {
                        jobs[n] = dice & 1 ? sharing(c, n) : job(c, n);
                        jobs[n].holds = g_rand_int_range(rand, 0, 4) == 0;
                        submit(&jobs[n++]);
                } else {
                        settle();
                        if (n_answered == tee_double_asked->len)
                                continue;
                        n_answered++;
                        if (dice == 6)
                                tee_double_fail(ATT_ERROR_DEVICE_BUSY, "busy");
                        else if (g_rand_int_range(rand, 0, 50) == 0)
                                tee_double_fail(ATT_ERROR_NO_TEE, "gone"); /* which all who wait for a turn are told */
                        else
                                tee_double_answer();
                }
        }
        for (guint i = 0; i < n; i++) {
                ck_assert_msg(jobs[i].n_done == 1, "seed %u", seed);
                g_clear_error(&jobs[i].error);
        }
        settle();
        ck_assert_msg(att_scheduler_n_waiting(scheduler) == 0, "seed %u", seed);
}
END_TEST

/* ----- when a free device is asked */

static gboolean on_turn(gpointer userdata) {
        Job **next = userdata;

        if (!*next)
                return G_SOURCE_REMOVE;
        submit((*next)++);
        if ((*next)->base.ops)
                return G_SOURCE_CONTINUE;
        *next = NULL;
        return G_SOURCE_REMOVE;
}

/* A call for each turn of the loop, as they are read of a socket: all of them are there before anything is asked. */
START_TEST(what_is_there_to_be_read_comes_along) {
        AttScheduleUser u = { 0 };
        AttScheduleConnection c = { .user = &u };
        Job jobs[11] = { 0 }, *next = jobs;

        for (guint i = 0; i < 10; i++)
                jobs[i] = sharing(&c, i);
        tee_double_set_interval_us(G_USEC_PER_SEC);
        (void) g_idle_add_full(G_PRIORITY_DEFAULT, on_turn, &next, NULL);
        settle();
        expect_sizes((guint[]) { 10 }, 1);
        answer();
        ck_assert_uint_eq(ended->len, 10);
}
END_TEST

START_TEST(a_flood_of_calls_does_not_keep_the_device_from_being_asked) {
        AttScheduleUser u = { 0 };
        AttScheduleConnection c = { .user = &u };
        Job a = sharing(&c, 1);
        guint n = 0, flood = g_idle_add_full(G_PRIORITY_DEFAULT, on_flood, &n, NULL);
        gint64 start = g_get_monotonic_time();

        submit(&a);
        while (sizes->len == 0)
                (void) g_main_context_iteration(NULL, TRUE);
        ck_assert_uint_gt(n, 1);
        ck_assert_int_lt(g_get_monotonic_time() - start, 10 * G_USEC_PER_SEC);
        g_source_remove(flood);
        answer();
        ck_assert_uint_eq(a.n_done, 1);
}
END_TEST

/* ----- the first report after a change */

enum { QUIET_MS = 125, PATIENCE_MS = 50, INTERVAL_MS = 1000 };

static void set_up_change(void) {
        set_up();
        tee_double_set_interval_us(INTERVAL_MS * 1000);
        clock_double_us = g_get_monotonic_time();
}

static void tear_down_change(void) {
        clock_double_us = 0;
        tear_down();
}

static void pass_us(guint us) {
        clock_double_us += us;
        settle();
}

static void pass_ms(guint ms) {
        pass_us(ms * 1000);
}

static void expect(AttExpected *e, guint n) {
        for (guint i = 0; i < n; i++)
                att_scheduler_expect(scheduler, &e[i], clock_double_us + 10 * G_USEC_PER_SEC);
        settle();
}

static Job of(AttExpected *e, guint id) {
        Job j = sharing(&connection, id);

        j.base.expected = e;
        return j;
}

/* Returns: has the device been asked? */
static bool asks(Job *j) {
        guint n = sizes->len;

        submit(j);
        settle();
        return sizes->len > n;
}

START_TEST(those_who_are_stale_share_the_first_report) {
        enum { N = 8 };
        AttExpected e[N] = { 0 };
        Job jobs[N], late = sharing(&connection, N);

        expect(e, N);
        for (guint i = 0; i < N; i++) {
                pass_ms(QUIET_MS - 1);
                jobs[i] = of(&e[i], i);
                ck_assert_int_eq(asks(&jobs[i]), i == N - 1);
        }
        expect_sizes((guint[]) { N }, 1);
        answer();
        ck_assert(asks(&late));
        answer();
        ck_assert_uint_eq(ended->len, N + 1);
}
END_TEST

/* It is for one report: who was not there when that was made is not waited for again. */
START_TEST(nobody_is_waited_for_twice) {
        AttExpected e[3] = { 0 };
        Job jobs[3], other = sharing(&connection, 3);

        for (guint i = 0; i < 3; i++)
                jobs[i] = of(&e[i], i);
        expect(e, 3);
        ck_assert(!asks(&jobs[0]));
        pass_ms(QUIET_MS);
        expect_sizes((guint[]) { 1 }, 1);
        answer();
        ck_assert(asks(&other));
        answer();
        ck_assert(asks(&jobs[1]));
        answer();

        /* Until there is another change. */
        expect(e, 1);
        ck_assert(!asks(&jobs[2]));
        pass_ms(QUIET_MS);
        ck_assert_uint_eq(sizes->len, 4);
        answer();
        ck_assert_uint_eq(ended->len, 4);
}
END_TEST

START_TEST(who_never_asks_holds_up_nobody_for_long) {
        AttExpected e = { 0 };
        Job a = sharing(&connection, 1), b = sharing(&connection, 2), c = sharing(&connection, 3);
        Job d = sharing(&connection, 4), f = sharing(&connection, 5);

        /* Who comes without having been expected changes nothing about it, nor does a slower device. */
        tee_double_set_interval_us(5 * G_USEC_PER_SEC);
        expect(&e, 1);
        pass_ms(500);
        ck_assert(!asks(&a));
        pass_ms(QUIET_MS - 1);
        ck_assert(!asks(&b));
        pass_ms(1);
        expect_sizes((guint[]) { 2 }, 1);
        answer();

        /* And after a while he is not waited for at all, but by who had begun to wait before. */
        att_scheduler_expect(scheduler, &e, clock_double_us + 100 * 1000);
        pass_ms(100);
        ck_assert(asks(&c));
        answer();
        att_scheduler_expect(scheduler, &e, clock_double_us + 100 * 1000);
        pass_ms(99);
        ck_assert(!asks(&d));
        pass_ms(QUIET_MS - 1);
        ck_assert(!asks(&f));
        pass_ms(1);
        ck_assert_uint_eq(sizes->len, 3);
        answer();
}
END_TEST

/* As does a session whose evidence was held back until then. */
START_TEST(who_hears_of_a_change_late_is_not_waited_for_longer) {
        AttExpected e[3] = { 0 };
        Job jobs[3], other = sharing(&connection, 3);

        for (guint i = 0; i < 3; i++)
                jobs[i] = of(&e[i], i);
        att_scheduler_expect(scheduler, NULL, clock_double_us + 100 * 1000);
        att_scheduler_expect(scheduler, &e[0], 0);
        att_scheduler_expect(scheduler, &e[1], 0);
        ck_assert(!asks(&jobs[0]));
        ck_assert(asks(&jobs[1]));
        answer();

        pass_ms(100);
        att_scheduler_expect(scheduler, &e[2], 0);
        ck_assert(asks(&other));
        answer();
        ck_assert(asks(&jobs[2]));
        answer();
}
END_TEST

START_TEST(one_who_trickles_delays_others_by_one_report_at_most) {
        static const guint intervals_ms[] = { 200, INTERVAL_MS, 5000 }, at_most_ms[] = { 200, INTERVAL_MS, 1000 };
        enum { N = 200 };

        for (guint k = 0; k < G_N_ELEMENTS(intervals_ms); k++) {
                AttScheduleUser hostile_user = { 0 };
                AttScheduleConnection hostile = { .user = &hostile_user };
                AttExpected e[N] = { 0 };
                Job trickle[N], honest = sharing(&connection, N), again = sharing(&connection, N);
                guint n = 0, n_reports = sizes->len;
                gint64 start;

                tee_double_set_interval_us(intervals_ms[k] * 1000);
                expect(e, N);
                start = clock_double_us;
                ck_assert(!asks(&honest));
                while (sizes->len == n_reports) {
                        trickle[n] = of(&e[n], n);
                        trickle[n].base.connection = &hostile;
                        ck_assert(!asks(&trickle[n++]));
                        pass_ms(10);
                }
                ck_assert_int_eq(clock_double_us - start, at_most_ms[k] * 1000);
                answer();
                ck_assert(honest.n_done == 1 && !honest.error);

                /* He goes on; it is over. */
                trickle[n] = of(&e[n], n);
                ck_assert(asks(&again));
                submit(&trickle[n]);
                answer();
                answer();
        }
}
END_TEST

START_TEST(a_request_that_may_not_share_does_not_gather) {
        AttScheduleUser u = { 0 };
        AttScheduleConnection c = { .user = &u };
        AttExpected e[3] = { 0 };
        Job plain = job(&c, 1), first = of(&e[0], 2), other = job(&c, 3), last = sharing(&connection, 4);

        /* Its turn. The others have still not had their report, and wait for it no longer than they would have. */
        expect(e, 2);
        ck_assert(asks(&plain));
        ck_assert(!asks(&first));
        pass_ms(QUIET_MS - 1);
        answer();
        expect_sizes((guint[]) { 1 }, 1);

        /* Nor is it made to wait for the turn of those who may. */
        ck_assert(asks(&other));
        answer();
        answer();
        ck_assert_uint_eq(ended->len, 3);

        /* Who asks for his own is not expected to ask for another. */
        expect(&e[2], 1);
        plain = job(&c, 5);
        plain.base.expected = &e[2];
        ck_assert(asks(&plain));
        answer();
        ck_assert(asks(&last));
        answer();
}
END_TEST

START_TEST(a_deadline_ends_the_gathering) {
        AttExpected e[3] = { 0 };
        Job a = of(&e[0], 1), b = sharing(&connection, 2), hasty = sharing(&connection, 3);

        expect(e, 3);
        submit_within(&a, INTERVAL_MS + QUIET_MS - 10);
        pass_ms(QUIET_MS - 11);
        expect_sizes(NULL, 0);
        pass_ms(1);
        expect_sizes((guint[]) { 1 }, 1);
        answer();

        expect(e, 3);
        ck_assert(!asks(&b));
        submit_within(&hasty, INTERVAL_MS - 1);
        settle();
        expect_sizes((guint[]) { 1, 2 }, 2);
        answer();
        ck_assert(!a.error && !b.error && !hasty.error);
}
END_TEST

START_TEST(the_last_expected_ends_the_gathering) {
        AttExpected e[3] = { 0 };
        Job a = of(&e[0], 1), b = of(&e[1], 2);

        expect(e, 3);
        expect(e, 3); /* once is enough */
        ck_assert(!asks(&a));
        att_scheduler_unexpect(scheduler, &e[2]);
        att_scheduler_unexpect(scheduler, &e[2]);
        att_scheduler_unexpect(scheduler, &e[0]);
        settle();
        ck_assert_uint_eq(sizes->len, 0);
        ck_assert(asks(&b));
        answer();

        expect(e, 2);
        a = of(&e[0], 1);
        ck_assert(!asks(&a));
        att_scheduler_unexpect(scheduler, &e[1]);
        settle();
        expect_sizes((guint[]) { 2, 1 }, 2);
        answer();
}
END_TEST

START_TEST(a_device_without_delay_does_not_gather) {
        static const guint intervals_us[] = { 0, 999, 1000 };

        for (guint i = 0; i < G_N_ELEMENTS(intervals_us); i++) {
                AttExpected e = { 0 };
                Job a = sharing(&connection, 1);

                tee_double_set_interval_us(intervals_us[i]);
                expect(&e, 1);
                ck_assert_int_eq(asks(&a), intervals_us[i] < 1000);
                pass_us(999); /* the least that it is worth */
                ck_assert_uint_eq(sizes->len, MIN(i + 1, 2));
                pass_us(1);
                ck_assert_uint_eq(sizes->len, i + 1);
                answer();
        }
}
END_TEST

START_TEST(a_pause_of_the_device_counts) {
        AttExpected e[3] = { 0 };
        Job a = of(&e[0], 1), b = of(&e[1], 2);

        expect(e, 3);
        tee_double_set_pause_ms(200);
        ck_assert(!asks(&a));
        pass_ms(199);
        expect_sizes(NULL, 0);
        pass_ms(1);
        expect_sizes((guint[]) { 1 }, 1);
        answer();

        expect(e, 3);
        tee_double_set_pause_ms(20);
        ck_assert(!asks(&b));
        pass_ms(20);
        ck_assert_uint_eq(sizes->len, 1);
        pass_ms(QUIET_MS - 20);
        expect_sizes((guint[]) { 1, 1 }, 2);
        answer();
}
END_TEST

/* The device stays free when a report has come, too. */
START_TEST(a_change_under_a_report_gathers_after_it) {
        AttExpected e[3] = { 0 };
        Job first = sharing(&connection, 0), jobs[3];

        ck_assert(asks(&first));
        expect(e, 3);
        for (guint i = 0; i < 3; i++)
                jobs[i] = of(&e[i], 1 + i);
        submit_both(&jobs[0], &jobs[1]);
        answer();
        expect_sizes((guint[]) { 1 }, 1);
        ck_assert(asks(&jobs[2]));
        expect_sizes((guint[]) { 1, 3 }, 2);
        answer();
        ck_assert_uint_eq(ended->len, 4);
}
END_TEST

START_TEST(who_was_put_back_is_not_made_to_wait_again) {
        AttExpected e[2] = { 0 };
        Job a = sharing(&connection, 1), b = of(&e[0], 2);

        ck_assert(asks(&a));
        expect(e, 2);
        submit(&b);
        answer_with_error(ATT_ERROR_DEVICE_BUSY, "busy");
        expect_sizes((guint[]) { 1, 2 }, 2);
        answer();
        ck_assert_uint_eq(ended->len, 2);
}
END_TEST

START_TEST(a_flood_of_calls_does_not_keep_the_device_free) {
        AttExpected e[2] = { 0 };
        Job a = of(&e[0], 1);
        guint n = 0, flood = g_idle_add_full(G_PRIORITY_DEFAULT, on_flood, &n, NULL);
        gint64 start = clock_double_us;

        for (guint i = 0; i < 2; i++)
                att_scheduler_expect(scheduler, &e[i], clock_double_us + 10 * G_USEC_PER_SEC);
        submit(&a);
        while (sizes->len == 0) {
                for (guint i = 0; i < 3; i++)
                        (void) g_main_context_iteration(NULL, FALSE);
                clock_double_us += 1000;
        }
        ck_assert_int_eq(clock_double_us - start, (QUIET_MS + PATIENCE_MS + 1) * 1000);
        g_source_remove(flood);
        answer();
}
END_TEST

/* ----- fair */

enum { CALLERS = 8, JOBS = 400 };

typedef struct Caller {
        AttScheduleUser user;
        AttScheduleConnection connections[3];
        guint led; /* reports that were begun because it was its turn */
} Caller;

static guint below(GRand *rand, gint32 n) {
        return (guint) g_rand_int_range(rand, 0, n);
}

/* Whatever others ask for: of each of them one report at most is made before that of somebody who asks
 * for one thing at a time. */
START_TEST(sc38b_one_caller_delays_another_by_one_report_at_most) {
        g_autofree Caller *callers = g_new0(Caller, CALLERS + 1);
        g_autofree Job *jobs = g_new0(Job, JOBS);
        guint32 seed = g_random_int();
        g_autoptr(GRand) rand = g_rand_new_with_seed(seed);
        guint n_jobs = 0, seen = 0, n_honest = 0, led_before[CALLERS] = { 0 };
        Job honest = { 0 };

        for (guint i = 0; i <= CALLERS; i++)
                for (guint k = 0; k < 3; k++)
                        callers[i].connections[k].user = &callers[i].user;

        while (n_honest < 100) {
                guint n_reports = tee_double_asked->len;

                /* Of those who hoard. Ids say whose. */
                for (guint n = below(rand, 6); n > 0 && n_jobs < JOBS; n--) {
                        guint who = below(rand, CALLERS);
                        Job *j = &jobs[n_jobs++];

                        *j = job(&callers[who].connections[below(rand, 3)], who);
                        j->base.may_share = below(rand, 3) == 0;
                        submit(j);
                }
                if (!honest.base.deadline) {
                        n_honest++;
                        honest = job(&callers[CALLERS].connections[0], CALLERS);
                        honest.base.may_share = g_rand_boolean(rand);
                        submit(&honest);
                        for (guint i = 0; i < CALLERS; i++)
                                led_before[i] = callers[i].led;
                }
                settle();
                /* What has been sealed since: the first of each is whose turn it was. */
                for (guint i = seen, k = n_reports; k < tee_double_asked->len; k++) {
                        if (at(order, i) < CALLERS)
                                callers[at(order, i)].led++;
                        i += at(sizes, k);
                        seen = i;
                }
                for (guint i = 0; i < CALLERS && honest.base.deadline; i++)
                        ck_assert_msg(callers[i].led - led_before[i] <= 1, "seed %u: caller %u led %u reports", seed,
                                      i, callers[i].led - led_before[i]);
                if (below(rand, 10) == 0)
                        tee_double_fail(ATT_ERROR_FAILED, "now and then");
                else
                        tee_double_answer();
                settle();
                for (guint i = 0; i < n_jobs; i++)
                        g_clear_error(&jobs[i].error);
                g_clear_error(&honest.error);
                /* Places of those that are done are used again. */
                for (guint i = 0; i < n_jobs;)
                        if (!jobs[i].base.deadline && i == n_jobs - 1)
                                n_jobs--;
                        else
                                i++;
        }
        for (guint i = 0; i < n_jobs; i++) {
                att_scheduler_cancel(scheduler, &jobs[i].base);
                g_clear_error(&jobs[i].error);
        }
        att_scheduler_cancel(scheduler, &honest.base);
        g_clear_error(&honest.error);
}
END_TEST

int main(void) {
        Suite *s = suite_create("scheduler");
        TCase *t = tcase_create("scheduler");

        tcase_add_checked_fixture(t, set_up, tear_down);
        tcase_add_test(t, serves_one_connection_in_its_order);
        tcase_add_test(t, has_one_report_under_way);
        tcase_add_test(t, sc38b_who_asks_for_much_does_not_make_others_wait);
        tcase_add_test(t, sc38b_connections_of_a_user_take_turns);
        tcase_add_test(t, sc38b_who_comes_during_a_report_is_before_him_whose_it_is);
        tcase_add_test(t, sc36a_a_deadline_is_kept_while_waiting_and_under_way);
        tcase_add_test(t, sc36b_a_cancelled_request_costs_the_others_nothing);
        tcase_add_test(t, sc36c_the_next_request_is_served_after_a_failure);
        tcase_add_test(t, sc36d_a_busy_device_is_asked_again_for_the_same_request);
        tcase_add_test(t, sc36d_a_busy_device_is_not_asked_for_ever);
        tcase_add_test(t, tells_all_when_the_tee_is_gone);
        tcase_add_test(t, asks_nothing_between_a_change_and_its_report);
        tcase_add_test(t, a_request_that_cannot_be_sealed_is_passed_over);
        tcase_add_test(t, an_answer_may_bring_the_next_request);
        tcase_add_test(t, ft13_a_single_request_is_served_at_once_and_who_comes_meanwhile_shares_the_next);
        tcase_add_test(t, who_may_not_share_takes_turns_with_the_batches);
        tcase_add_test(t, what_may_be_shared_is_taken_along_from_anywhere);
        tcase_add_test(t, sc38b_who_asks_for_much_is_not_answered_before_all_others);
        tcase_add_test(t, a_device_that_dies_in_a_batch_is_told_to_all_at_once_and_tried_again);
        tcase_add_test(t, sc36d_a_busy_device_gets_the_batch_back_with_who_has_come_since);
        tcase_add_test(t, sc36d_a_busy_device_is_not_asked_for_ever_by_a_batch);
        tcase_add_test(t, sc33_a_batch_whose_report_is_not_taken_is_sealed_again_but_not_for_ever);
        tcase_add_test(t, sc36b_who_leaves_a_batch_costs_the_others_nothing);
        tcase_add_test(t, sc36a_a_deadline_in_a_batch_is_that_ones_alone);
        tcase_add_test(t, who_cannot_be_sealed_is_no_part_of_the_batch);
        tcase_add_test(t, who_cannot_be_sealed_may_take_all_others_along);
        tcase_add_test(t, answers_are_given_in_slices_and_the_device_works_meanwhile);
        tcase_add_test(t, a_report_that_is_there_is_given_also_behind_the_deadline);
        tcase_add_test(t, answers_wait_for_who_does_not_read_and_for_nobody_else);
        tcase_add_test(t, sc38b_who_reads_late_does_not_keep_a_free_device_from_others);
        tcase_add_test(t, sc38b_what_one_has_left_unread_is_not_answered_before_what_is_new_to_others);
        tcase_add_test(t, what_is_held_back_can_be_cancelled_and_has_its_deadline);
        tcase_add_test(t, a_deadline_gives_nothing_to_who_does_not_read_and_holds_up_nobody);
        tcase_add_test(t, failures_are_told_to_who_does_not_read_as_well);
        tcase_add_test(t, no_more_reports_are_made_for_who_does_not_read);
        tcase_add_test(t, whoever_takes_answers_when_he_likes_gets_each_once);
        tcase_add_test(t, what_is_there_to_be_read_comes_along);
        tcase_add_test(t, a_flood_of_calls_does_not_keep_the_device_from_being_asked);
        tcase_add_test(t, sc38b_one_caller_delays_another_by_one_report_at_most);
        suite_add_tcase(s, t);

        t = tcase_create("change");
        tcase_add_checked_fixture(t, set_up_change, tear_down_change);
        tcase_add_test(t, those_who_are_stale_share_the_first_report);
        tcase_add_test(t, nobody_is_waited_for_twice);
        tcase_add_test(t, who_never_asks_holds_up_nobody_for_long);
        tcase_add_test(t, who_hears_of_a_change_late_is_not_waited_for_longer);
        tcase_add_test(t, one_who_trickles_delays_others_by_one_report_at_most);
        tcase_add_test(t, a_request_that_may_not_share_does_not_gather);
        tcase_add_test(t, a_deadline_ends_the_gathering);
        tcase_add_test(t, the_last_expected_ends_the_gathering);
        tcase_add_test(t, a_device_without_delay_does_not_gather);
        tcase_add_test(t, a_pause_of_the_device_counts);
        tcase_add_test(t, a_change_under_a_report_gathers_after_it);
        tcase_add_test(t, who_was_put_back_is_not_made_to_wait_again);
        tcase_add_test(t, a_flood_of_calls_does_not_keep_the_device_free);
        suite_add_tcase(s, t);

        t = tcase_create("large");
        tcase_set_timeout(t, 60);
        tcase_add_checked_fixture(t, set_up, tear_down);
        tcase_add_test(t, a_batch_has_so_many_and_no_more);
        suite_add_tcase(s, t);
        return run_suite(s);
}
