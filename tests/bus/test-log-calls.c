/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* GetLog while a lone bus does not say who has sent it. */
#include "bus/log-calls.h"

#include "bus/bus-source.h"
#include "lone-bus.h"
#include "run.h"

static sd_bus *bus;
static uint64_t cookie;
static AttLogCalls *calls;

static void on_refused(const char *sender, const char *who, const char *why, gpointer userdata) {
        (void) userdata;
        ck_abort_msg("%s, %s: %s", sender, who, why);
}

static void begin(void) {
        bus = lone_bus_begin(true);
        calls = att_log_calls_new(NULL, NULL, NULL, on_refused, NULL);
}

static void end(void) {
        att_log_calls_free(calls);
        lone_bus_end();
}

/* Returns: the name of the error; NULL: it waits */
static const char *ask(const char *sender) {
        g_autoptr(sd_bus_message) call = NULL;
        sd_bus_error error = SD_BUS_ERROR_NULL;
        const char *name;
        int r;

        ck_assert_int_ge(sd_bus_message_new_method_call(bus, &call, "org.attestd.Attester1", "/org/attestd/Attester1",
                                                        "org.attestd.Attester1", "GetLog"), 0);
        ck_assert_int_ge(sd_bus_message_append(call, "st", "ima", (uint64_t) 0), 0);
        ck_assert_int_ge(sd_bus_message_set_sender(call, sender), 0);
        ck_assert_int_ge(sd_bus_message_seal(call, ++cookie, 0), 0);
        r = att_log_calls_add(calls, call, NULL, &error);
        ck_assert_int_eq(r < 0, sd_bus_error_is_set(&error));
        name = g_intern_string(error.name);
        sd_bus_error_free(&error);
        return name;
}

START_TEST(a_connection_has_four_calls_before_it_is_known_and_shuts_nobody_out) {
        for (guint i = 0; i < 48; i++) /* as many as all users together have */
                ck_assert_pstr_eq(ask(":1.1"), i < ATT_LOG_CALLS_PER_USER_MAX ? NULL :
                                  "org.attestd.Error.LimitReached");
        for (guint i = 2; i < 32; i++) {
                g_autofree char *sender = g_strdup_printf(":1.%u", i);

                for (guint k = 0; k < ATT_LOG_CALLS_PER_USER_MAX; k++)
                        ck_assert_pstr_eq(ask(sender), NULL);
        }

        att_log_calls_leave(calls, bus, ":1.1");
        ck_assert_pstr_eq(ask(":1.1"), NULL);
}
END_TEST

int main(void) {
        Suite *s = suite_create("calls of GetLog");
        TCase *t = tcase_create("nobody says who calls");

        tcase_add_checked_fixture(t, begin, end);
        tcase_add_test(t, a_connection_has_four_calls_before_it_is_known_and_shuts_nobody_out);
        suite_add_tcase(s, t);
        return run_suite(s);
}
