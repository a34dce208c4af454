/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* How a session comes to be on a direct connection, where its opener may not hear of it. */
#include "attester/session-scene.h"
#include "bus/attester1-parts.h"
#include "bus/bus-source.h"
#include "lone-bus.h"
#include "run.h"

#include <errno.h>
#include <stdarg.h>

static sd_bus *bus;
static Attester1 attester1;
static AttConnection *connection;
static bool is_unsendable; /* the next answer */
static guint n_told;       /* times that the direct socket was */
static uint64_t cookie;

int __wrap_sd_bus_reply_method_return(sd_bus_message *call, const char *types, ...);
int __wrap_sd_bus_reply_method_return(sd_bus_message *call, const char *types, ...) {
        g_autoptr(sd_bus_message) reply = NULL;
        va_list ap;
        int r = is_unsendable ? -ENOBUFS : sd_bus_message_new_method_return(call, &reply);

        va_start(ap, types);
        if (r >= 0)
                r = sd_bus_message_appendv(reply, types, ap);
        va_end(ap);
        return r >= 0 ? sd_bus_send(NULL, reply, NULL) : r;
}

/* Of the parts that are not of concern here, and would bring the real TEE along. */
void att_log_calls_leave(AttLogCalls *calls, sd_bus *from, const char *name) {
        (void) calls, (void) from, (void) name;
}

void att_attester1_log_refusal(Attester1 *a, const char *sender, const char *who, const char *what, const char *why) {
        (void) a, (void) sender, (void) who, (void) what, (void) why;
}

void att_direct_over_limit(sd_bus *of) {
        (void) of;
}

void att_direct_sent(sd_bus *to, gsize size) {
        ck_assert_ptr_eq(to, bus);
        ck_assert_uint_eq(size, 0);
        n_told++;
}

void att_direct_flush(sd_bus *to) {
        (void) to;
}

void att_attester1_drop_room(Owner *o) {
        ck_assert_ptr_null(o->room.data);
}

AttPeer att_direct_dup_peer(const AttDirect *direct, sd_bus *of) {
        (void) direct, (void) of;
        ck_abort_msg("it is known already");
}

static Owner *add_owner(void) {
        Owner *o = g_new(Owner, 1);

        *o = (Owner) { .attester = &attester1, .bus = bus, .connection = att_connection_ref(connection) };
        g_hash_table_insert(attester1.owners, o, o);
        return o;
}

static void begin(void) {
        set_up();
        bus = lone_bus_begin(false);
        attester1 = (Attester1) {
                .attester = attester,
                .owners = att_attester1_new_owners(),
                .sessions = g_hash_table_new(g_str_hash, g_str_equal),
        };
        connection = connection_of(1000);
        n_told = 0;
        is_unsendable = false;
}

static void end(void) {
        g_hash_table_unref(attester1.owners);
        g_hash_table_unref(attester1.sessions);
        att_connection_unref(connection);
        lone_bus_end();
        tear_down();
}

static void open_one(void) {
        g_autoptr(sd_bus_message) call = NULL;
        sd_bus_error error = SD_BUS_ERROR_NULL;

        ck_assert_int_ge(sd_bus_message_new_method_call(bus, &call, NULL, PATH, NAME, "OpenSession"), 0);
        ck_assert_int_ge(sd_bus_message_append(call, "a{sv}", 2, "role", "s", "server", "hash", "s", "sha256"), 0);
        ck_assert_int_ge(sd_bus_message_seal(call, ++cookie, 0), 0);
        ck_assert_int_eq(att_attester1_open_session(call, &attester1, &error), 1);
        ck_assert_uint_eq(attester1.openings.length, 0);
}

START_TEST(a_session_that_its_opener_was_not_told_of_is_none) {
        Owner *o = add_owner();

        open_one();
        ck_assert_uint_eq(o->sessions.length, 1);
        ck_assert_uint_eq(g_hash_table_size(attester1.sessions), 1);
        ck_assert_uint_eq(n_told, 1);

        is_unsendable = true;
        open_one();
        ck_assert_uint_eq(o->sessions.length, 1);
        ck_assert_uint_eq(g_hash_table_size(attester1.sessions), 1);
        ck_assert_uint_eq(connection->user->n_sessions, 1);
        ck_assert_uint_eq(n_told, 2);
        att_attester1_close_owner(o);

        /* Nor is its owner there, who has no other. */
        (void) add_owner();
        open_one();
        ck_assert_uint_eq(g_hash_table_size(attester1.owners), 0);
        ck_assert_uint_eq(connection->user->n_sessions, 0);
}
END_TEST

int main(void) {
        Suite *s = suite_create("attester1-opening");
        TCase *t = tcase_create("attester1-opening");

        tcase_add_checked_fixture(t, begin, end);
        tcase_add_test(t, a_session_that_its_opener_was_not_told_of_is_none);
        suite_add_tcase(s, t);
        return run_suite(s);
}
