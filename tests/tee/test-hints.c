/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "tee/hints.h"

#include "run.h"

#include <stdint.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define WINDOW_MS 50u
#define WINDOW_US (WINDOW_MS * 1000)

typedef struct Scene {
        GMainContext *context;
        GSource *source;
        int fds[2];
        guint64 n_hints;  /* that were drained */
        GArray *actions;  /* when, of gint64 */
        gint64 until_us;
        guint again;      /* how many times an action causes a hint */
        bool has_quirk;   /* as a perf event: poll() tells each hint once */
        bool is_over;
} Scene;

static Scene s;

static void hint(guint i) {
        ck_assert_int_eq(eventfd_write(s.fds[i], 1), 0);
}

static bool drain(gpointer userdata) {
        eventfd_t n;
        bool any = false;

        ck_assert_ptr_eq(userdata, &s);
        for (guint i = 0; i < G_N_ELEMENTS(s.fds); i++) {
                if (s.fds[i] >= 0 && eventfd_read(s.fds[i], &n) == 0) {
                        s.n_hints += n;
                        any = true;
                }
        }
        return any;
}

static void act(gpointer userdata) {
        gint64 now = g_get_monotonic_time();

        (void) userdata;
        g_array_append_val(s.actions, now);
        if (s.again > 0) {
                s.again--;
                hint(0);
        }
}

static const AttHintsFuncs funcs = { .drain = drain, .act = act };

static void begin(const AttHintsFuncs *f) {
        s = (Scene) { .context = g_main_context_new(), .actions = g_array_new(FALSE, FALSE, sizeof(gint64)) };
        for (guint i = 0; i < G_N_ELEMENTS(s.fds); i++)
                s.fds[i] = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        s.source = att_hints_source_new(s.fds, G_N_ELEMENTS(s.fds), WINDOW_MS, f, &s);
        (void) g_source_attach(s.source, s.context);
}

static void setup(void) {
        begin(&funcs);
}

static void teardown(void) {
        g_source_destroy(s.source);
        g_source_unref(s.source);
        g_main_context_unref(s.context);
        g_array_unref(s.actions);
        for (guint i = 0; i < G_N_ELEMENTS(s.fds); i++)
                if (s.fds[i] >= 0)
                        close(s.fds[i]);
}

static gint64 action(guint i) {
        ck_assert_uint_lt(i, s.actions->len);
        return g_array_index(s.actions, gint64, i);
}

static void run_until_actions(guint n) {
        while (s.actions->len < n)
                (void) g_main_context_iteration(s.context, TRUE);
}

static gboolean on_over(gpointer userdata) {
        (void) userdata;
        s.is_over = true;
        return G_SOURCE_REMOVE;
}

/* For as long as two windows. */
static void run_on(void) {
        g_autoptr(GSource) end = g_timeout_source_new(2 * WINDOW_MS);

        s.is_over = false;
        g_source_set_callback(end, on_over, NULL, NULL);
        (void) g_source_attach(end, s.context);
        while (!s.is_over)
                (void) g_main_context_iteration(s.context, TRUE);
}

START_TEST(without_a_hint_there_is_no_action) {
        run_on();
        ck_assert_uint_eq(s.actions->len, 0);
}
END_TEST

START_TEST(the_first_hint_after_quiet_is_acted_on_at_once) {
        hint(1);
        /* In this turn of the loop: no window has to pass first. */
        ck_assert(g_main_context_iteration(s.context, FALSE));
        ck_assert_uint_eq(s.actions->len, 1);
        run_on();
        ck_assert_uint_eq(s.actions->len, 1);

        hint(0);
        ck_assert(g_main_context_iteration(s.context, FALSE));
        ck_assert_uint_eq(s.actions->len, 2);
}
END_TEST

START_TEST(later_ones_are_acted_on_together_when_the_window_is_over) {
        hint(0);
        run_until_actions(1);
        for (guint i = 0; i < 100; i++) {
                hint(i % 2);
                (void) g_main_context_iteration(s.context, FALSE);
        }
        run_until_actions(2);
        ck_assert_uint_eq(s.n_hints, 101);
        ck_assert_int_ge(action(1) - action(0), WINDOW_US);
        run_on();
        ck_assert_uint_eq(s.actions->len, 2);
}
END_TEST

START_TEST(there_is_always_an_action_after_the_last_hint) {
        hint(0);
        run_until_actions(1);
        hint(0); /* right after the first was taken */
        run_until_actions(2);
        hint(1);
        run_until_actions(3);
        ck_assert_uint_eq(s.n_hints, 3);
        ck_assert_int_ge(action(2) - action(1), WINDOW_US);
}
END_TEST

START_TEST(who_hints_without_end_is_acted_on_once_a_window) {
        s.again = 4;
        hint(0);
        run_until_actions(5);
        for (guint i = 1; i < 5; i++)
                ck_assert_int_ge(action(i) - action(i - 1), WINDOW_US);
}
END_TEST

START_TEST(while_the_window_is_closed_hints_do_not_wake_the_loop) {
        hint(0);
        run_until_actions(1);
        hint(0);
        ck_assert(!g_main_context_iteration(s.context, FALSE)); /* none of the sources is ready */
        ck_assert_uint_eq(s.n_hints, 1);
}
END_TEST

START_TEST(what_hangs_up_is_left_alone) {
        int ends[2];
        GSource *source;

        ck_assert_int_eq(pipe(ends), 0);
        source = att_hints_source_new(ends, 1, WINDOW_MS, &funcs, &s);
        (void) g_source_attach(source, s.context);
        close(ends[1]);
        while (g_main_context_iteration(s.context, FALSE))
                ;
        ck_assert(!g_main_context_iteration(s.context, FALSE)); /* else it would be ready for ever */
        ck_assert_uint_eq(s.actions->len, 0);
        g_source_destroy(source);
        g_source_unref(source);
        close(ends[0]);
}
END_TEST

/* ----- a descriptor that tells each hint to one poll() */

static bool is_there_as_told(gpointer userdata) {
        (void) userdata;
        return s.has_quirk;
}

static bool drain_quirk(gpointer userdata) {
        bool was_there = s.has_quirk;

        (void) userdata;
        s.has_quirk = false;
        return was_there;
}

START_TEST(a_hint_that_poll_has_forgotten_is_seen) {
        static const AttHintsFuncs quirky = { .is_there = is_there_as_told, .drain = drain_quirk, .act = act };

        teardown();
        begin(&quirky);
        s.has_quirk = true; /* and no descriptor is ready */
        ck_assert(g_main_context_iteration(s.context, FALSE));
        ck_assert_uint_eq(s.actions->len, 1);
        s.has_quirk = true;
        run_until_actions(2);
        ck_assert_int_ge(action(1) - action(0), WINDOW_US);
        run_on();
        ck_assert_uint_eq(s.actions->len, 2);
}
END_TEST

int main(void) {
        Suite *suite = suite_create("hints");
        TCase *t = tcase_create("all");

        tcase_add_checked_fixture(t, setup, teardown);
        tcase_add_test(t, without_a_hint_there_is_no_action);
        tcase_add_test(t, the_first_hint_after_quiet_is_acted_on_at_once);
        tcase_add_test(t, later_ones_are_acted_on_together_when_the_window_is_over);
        tcase_add_test(t, there_is_always_an_action_after_the_last_hint);
        tcase_add_test(t, who_hints_without_end_is_acted_on_once_a_window);
        tcase_add_test(t, while_the_window_is_closed_hints_do_not_wake_the_loop);
        tcase_add_test(t, what_hangs_up_is_left_alone);
        tcase_add_test(t, a_hint_that_poll_has_forgotten_is_seen);
        suite_add_tcase(suite, t);
        return run_suite(suite);
}
