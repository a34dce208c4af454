/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Questions to a polkit that never answers. A second of the timers is a millisecond here. */
#include "bus/authz.h"

#include "lone-bus.h"
#include "run.h"
#include "util/error.h"

#include <stdbool.h>

#define USER 1000u
/* Longer than a question is waited for. */
#define LONG_MS 150u

static sd_bus *bus;
static sd_bus_message *call;
static AttAuthority *authority;
static guint n_done;

guint __wrap_g_timeout_add_seconds(guint seconds, GSourceFunc function, gpointer data);
guint __wrap_g_timeout_add_seconds(guint seconds, GSourceFunc function, gpointer data) {
        return g_timeout_add(seconds, function, data);
}

static void begin(void) {
        bus = lone_bus_begin(false);
        ck_assert_int_ge(sd_bus_message_new_method_call(bus, &call, "org.example", "/", "org.example", "Call"), 0);
        authority = att_authority_new(bus);
        n_done = 0;
}

static void end(void) {
        att_authority_free(authority);
        sd_bus_message_unref(call);
        lone_bus_end();
}

static void on_done(GError *error, gpointer userdata) {
        ck_assert(g_error_matches(error, ATT_ERROR, GPOINTER_TO_INT(userdata)));
        g_error_free(error);
        n_done++;
}

static AttAuthz *ask(AttError expected) {
        return att_authz_ask(authority, call, USER, "org.example.action", on_done, GINT_TO_POINTER(expected));
}

static gboolean on_over(gpointer over) {
        *(bool *) over = true;
        return G_SOURCE_REMOVE;
}

static void wait_long(void) {
        bool over = false;

        (void) g_timeout_add(LONG_MS, on_over, &over);
        while (!over)
                (void) g_main_context_iteration(NULL, TRUE);
}

START_TEST(nobody_is_told_of_a_question_that_was_cancelled) {
        AttAuthz *authz = ask(ATT_ERROR_NOT_AUTHORIZED);

        ck_assert(authz != NULL);
        (void) ask(ATT_ERROR_NOT_AUTHORIZED);
        att_authz_cancel(authz);
        wait_long();
        ck_assert_uint_eq(n_done, 1); /* the other one, whose time is over */
}
END_TEST

START_TEST(what_never_has_its_turn_is_over_too) {
        for (guint i = 0; i < ATT_AUTHZ_PER_USER_MAX; i++)
                att_authz_cancel(ask(ATT_ERROR_NOT_AUTHORIZED));
        att_authz_cancel(ask(ATT_ERROR_LIMIT_REACHED));
        (void) ask(ATT_ERROR_LIMIT_REACHED);
        wait_long();
        ck_assert_uint_eq(n_done, 1);
}
END_TEST

int main(void) {
        Suite *s = suite_create("questions to polkit");
        TCase *t = tcase_create("no answer");

        tcase_add_checked_fixture(t, begin, end);
        tcase_add_test(t, nobody_is_told_of_a_question_that_was_cancelled);
        tcase_add_test(t, what_never_has_its_turn_is_over_too);
        suite_add_tcase(s, t);
        return run_suite(s);
}
