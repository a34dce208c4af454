/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "attester/scheduler.h"

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
} Job;

static AttScheduler *scheduler;
static AttTee *tee;
static GArray *order; /* ids, in the order in which they were sealed */
static GArray *ended;

static gboolean seal(AttJob *base, uint8_t ret[ATT_REPORT_DATA_SIZE], GError **error) {
        Job *j = (Job *) base;

        if (j->refuses_to_seal)
                return att_error_set(error, ATT_ERROR_FAILED, "will not");

        j->n_seals++;
        g_array_append_val(order, j->id);
        memset(ret, 0, ATT_REPORT_DATA_SIZE);
        memcpy(ret, &j->id, sizeof j->id);
        return TRUE;
}

static void on_done(AttJob *base, AttTeeReport *report, GError *error) {
        Job *j = (Job *) base;

        ck_assert((report != NULL) != (error != NULL));
        j->n_done++;
        ck_assert_uint_eq(j->n_done, 1);
        j->error = error;
        g_array_append_val(ended, j->id);
        /* Each gets the report over what it has sealed. */
        if (report)
                ck_assert_mem_eq((const guint8 *) g_bytes_get_data(report->outblob, NULL) + 64, &j->id, sizeof j->id);
        att_tee_report_free(report);
        if (j->submits)
                att_scheduler_submit(scheduler, &j->submits->base, g_get_monotonic_time() + 10 * G_USEC_PER_SEC);
}

static const AttJobOps ops = { .seal = seal, .done = on_done };

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
}

static void tear_down(void) {
        att_tee_stop_and_free(tee, 0);
        att_scheduler_free(scheduler);
        g_array_unref(order);
        g_array_unref(ended);
}

static Job job(AttScheduleConnection *c, guint id) {
        return (Job) { .base = { .ops = &ops, .connection = c }, .id = id };
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

START_TEST(sc36a_a_deadline_is_kept_while_waiting_and_under_way) {
        Job under_way = job(&connection, 1), waiting = job(&connection, 2), patient = job(&connection, 3);
        gint64 start = g_get_monotonic_time();

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

int main(void) {
        Suite *s = suite_create("scheduler");
        TCase *t = tcase_create("scheduler");

        tcase_add_checked_fixture(t, set_up, tear_down);
        tcase_add_test(t, serves_one_connection_in_its_order);
        tcase_add_test(t, has_one_report_under_way);
        tcase_add_test(t, sc38b_who_asks_for_much_does_not_make_others_wait);
        tcase_add_test(t, sc38b_connections_of_a_user_take_turns);
        tcase_add_test(t, sc36a_a_deadline_is_kept_while_waiting_and_under_way);
        tcase_add_test(t, sc36b_a_cancelled_request_costs_the_others_nothing);
        tcase_add_test(t, sc36c_the_next_request_is_served_after_a_failure);
        tcase_add_test(t, sc36d_a_busy_device_is_asked_again_for_the_same_request);
        tcase_add_test(t, sc36d_a_busy_device_is_not_asked_for_ever);
        tcase_add_test(t, tells_all_when_the_tee_is_gone);
        tcase_add_test(t, asks_nothing_between_a_change_and_its_report);
        tcase_add_test(t, a_request_that_cannot_be_sealed_is_passed_over);
        tcase_add_test(t, an_answer_may_bring_the_next_request);
        suite_add_tcase(s, t);
        return run_suite(s);
}
