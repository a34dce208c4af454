/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What a caller is told when the bus does not say who he is: that bus is the other end of a pair. */
#include "bus/credentials.h"

#include "bus/bus-source.h"
#include "run.h"
#include "util/error.h"

#include <sys/socket.h>

static sd_bus *ours, *theirs;
static GError *refusal;
static bool is_known;

static void begin(void) {
        sd_id128_t id = { .bytes = { 1 } };
        int fds[2];

        ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds), 0);
        ck_assert_int_ge(sd_bus_new(&ours), 0);
        ck_assert_int_ge(sd_bus_set_fd(ours, fds[0], fds[0]), 0);
        ck_assert_int_ge(sd_bus_start(ours), 0);
        ck_assert_int_ge(sd_bus_new(&theirs), 0);
        ck_assert_int_ge(sd_bus_set_server(theirs, 1, id), 0);
        ck_assert_int_ge(sd_bus_set_fd(theirs, fds[1], fds[1]), 0);
        ck_assert_int_ge(sd_bus_start(theirs), 0);
}

static void end(void) {
        sd_bus_close_unref(ours);
        sd_bus_close_unref(theirs);
        g_clear_error(&refusal);
}

static void on_credentials(AttPeer *peer, GError *error, gpointer userdata) {
        (void) userdata;
        is_known = peer != NULL;
        refusal = error;
}

static void turn(sd_bus *bus) {
        int r;

        while ((r = sd_bus_process(bus, NULL)) > 0)
                ;
        ck_assert_int_ge(r, 0);
}

/* @userdata: (nullable): name of the error that the bus answers with */
static int on_question(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        if (!sd_bus_message_is_method_call(m, "org.freedesktop.DBus", "GetConnectionCredentials"))
                return 0;
        if (!userdata)
                return sd_bus_reply_method_return(m, "a{sv}", 1, "UnixUserID", "u", 1000);
        return sd_bus_error_set(error, userdata, "not today");
}

static void ask(const char *answer) {
        g_autoptr(sd_bus_message) call = NULL;
        sd_bus_slot *slot = NULL, *filter = NULL;

        g_clear_error(&refusal);
        is_known = false;
        ck_assert_int_ge(sd_bus_add_filter(theirs, &filter, on_question, (void *) answer), 0);
        ck_assert_int_ge(sd_bus_message_new_method_call(ours, &call, NULL, "/org/attestd/Attester1",
                                                        "org.attestd.Attester1", "OpenSession"), 0);
        ck_assert_int_ge(sd_bus_message_set_sender(call, ":1.7"), 0);
        ck_assert_int_ge(att_credentials_ask(call, &slot, on_credentials, NULL), 0);
        for (int i = 0; i < 8 && !refusal && !is_known; i++) {
                turn(ours);
                turn(theirs);
        }
        sd_bus_slot_unref(slot);
        sd_bus_slot_unref(filter);
}

START_TEST(a_bus_with_too_much_to_do_is_no_refusal) {
        const struct {
                const char *answer;
                AttError code;
                const char *says;
        } cases[] = {
                { SD_BUS_ERROR_NO_REPLY, ATT_ERROR_TIMED_OUT, "within 25 s" }, /* also sd-bus's, when that is over */
                { SD_BUS_ERROR_TIMEOUT, ATT_ERROR_TIMED_OUT, "too much to do" },
                { SD_BUS_ERROR_LIMITS_EXCEEDED, ATT_ERROR_LIMIT_REACHED, "no more questions" },
                { SD_BUS_ERROR_NAME_HAS_NO_OWNER, ATT_ERROR_NOT_AUTHORIZED, "does not say who" },
        };

        for (gsize i = 0; i < G_N_ELEMENTS(cases); i++) {
                ask(cases[i].answer);
                ck_assert_msg(g_error_matches(refusal, ATT_ERROR, (gint) cases[i].code), "%s: %s", cases[i].answer,
                              refusal ? refusal->message : "no refusal");
                ck_assert_ptr_nonnull(strstr(refusal->message, cases[i].says));
        }
        ask(NULL);
        ck_assert(is_known);
}
END_TEST

int main(void) {
        Suite *s = suite_create("who calls");
        TCase *t = tcase_create("bus");

        tcase_add_checked_fixture(t, begin, end);
        tcase_add_test(t, a_bus_with_too_much_to_do_is_no_refusal);
        suite_add_tcase(s, t);
        return run_suite(s);
}
