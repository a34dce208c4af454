/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Who is sent what first on the system bus, when that takes little. */
#include "bus/attester1-parts.h"
#include "bus/bus-error.h"
#include "bus/bus-source.h"
#include "lone-bus.h"
#include "run.h"
#include "util/error.h"

static guint64 n_queued;
static guint n_told;
static GString *released; /* who was, by the last letter of his name; '?' for those of the direct socket */
static guint n_held;
static sd_bus *bus;
static Attester1 attester1;

int __wrap_sd_bus_get_n_queued_write(sd_bus *of, uint64_t *ret);
int __wrap_sd_bus_get_n_queued_write(sd_bus *of, uint64_t *ret) {
        (void) of;
        *ret = n_queued;
        return 0;
}

/* Of the parts that are not of concern here. */
guint64 att_direct_n_queued(sd_bus *of) {
        (void) of;
        return n_queued;
}

bool att_direct_is_full(sd_bus *of) {
        (void) of;
        return false;
}

void att_direct_sent(sd_bus *of, gsize size) {
        (void) of, (void) size;
}

void att_direct_over_limit(sd_bus *of) {
        (void) of;
}

void att_connection_hold(AttConnection *c) {
        (void) c;
        n_held++;
}

void att_connection_release(AttConnection *c) {
        GHashTableIter i;
        gpointer owner;

        g_hash_table_iter_init(&i, attester1.owners);
        while (g_hash_table_iter_next(&i, &owner, NULL))
                if (((Owner *) owner)->connection == c)
                        g_string_append_c(released, ((Owner *) owner)->name ? ((Owner *) owner)->name[3] : '?');
}

int __wrap_sd_bus_send(sd_bus *of, sd_bus_message *m, uint64_t *cookie);
int __wrap_sd_bus_send(sd_bus *of, sd_bus_message *m, uint64_t *cookie) {
        (void) cookie;
        ck_assert_ptr_eq(of, bus);
        ck_assert_int_gt(sd_bus_message_is_method_error(m, "org.attestd.Error.LimitReached"), 0);
        n_told++;
        return 0;
}

static void begin(void) {
        bus = lone_bus_begin(true);
        attester1 = (Attester1) { .bus = bus, .owners = g_hash_table_new(NULL, NULL) };
        attester1.room = att_attester1_new_room(&attester1);
        released = g_string_new(NULL);
        n_queued = n_told = n_held = 0;
}

static void end(void) {
        g_source_destroy(attester1.room);
        g_source_unref(attester1.room);
        g_hash_table_unref(attester1.owners);
        (void) g_string_free(released, TRUE);
        lone_bus_end();
}

static const char *turn(void) {
        g_string_truncate(released, 0);
        (void) g_main_context_iteration(NULL, FALSE);
        return released->str;
}

START_TEST(users_take_turns_where_all_share_one_way) {
        AttUser hostile = { .uid = 1001 }, honest = { .uid = 1000 };
        AttConnection of_hostile[] = { { .user = &hostile }, { .user = &hostile }, { .user = &hostile } };
        AttConnection of_honest = { .user = &honest }, directly = { .user = &hostile };
        char names[][5] = { ":1.a", ":1.b", ":1.c", ":1.h" };
        Owner owners[5] = { 0 };

        for (guint i = 0; i < G_N_ELEMENTS(owners); i++) {
                owners[i] = (Owner) {
                        .attester = &attester1,
                        .bus = bus,
                        .name = i < 4 ? names[i] : NULL,
                        .connection = i < 3 ? &of_hostile[i] : i == 3 ? &of_honest : &directly,
                };
                g_hash_table_add(attester1.owners, &owners[i]);
        }

        n_queued = 3;
        att_attester1_sent(&owners[0], 9000);
        ck_assert_uint_eq(n_held, 0);
        n_queued = 4; /* all wait from now on, who has been sent nothing yet too, but for the direct socket's */
        att_attester1_sent(&owners[0], 9000);
        ck_assert_uint_eq(n_held, 4);
        ck_assert_str_eq(turn(), "");

        n_queued = 0;
        ck_assert_uint_eq(strlen(turn()), 2);
        ck_assert_ptr_nonnull(strchr(released->str, 'h'));
        ck_assert_ptr_null(strchr(released->str, 'a')); /* was sent the last one */
        ck_assert_uint_eq(strlen(turn()), 1);
        ck_assert_ptr_null(strchr(released->str, 'a'));
        ck_assert_str_eq(turn(), "a");
        ck_assert_str_eq(turn(), "");
}
END_TEST

/* However many users there are who have more connections than there is room for in a round. */
START_TEST(who_was_sent_least_is_let_go_on_first) {
        enum { USERS = 8, EACH = 2, N = USERS * EACH + 1, ROOM = 4, WANTED = 5 };
        AttUser users[USERS + 1];
        AttConnection connections[N];
        char names[N][5];
        Owner owners[N];
        guint n_rounds = 0, n_honest = 0;

        for (guint i = 0; i < N; i++) {
                users[i / EACH] = (AttUser) { .uid = 1000 + i / EACH };
                connections[i] = (AttConnection) { .user = &users[i / EACH] };
                g_snprintf(names[i], sizeof names[i], ":1.%c", 'a' + i);
                owners[i] = (Owner) {
                        .attester = &attester1, .bus = bus, .name = names[i], .connection = &connections[i],
                };
                g_hash_table_add(attester1.owners, &owners[i]);
        }
        n_queued = ROOM;
        att_attester1_sent(&owners[0], 9000);

        for (; n_honest < WANTED; n_rounds++) {
                g_autofree char *order = NULL;

                ck_assert_uint_lt(n_rounds, 20);
                n_queued = 0;
                order = g_strdup(turn());
                for (const char *c = order; *c && n_queued < ROOM; c++) {
                        n_queued++;
                        n_honest += *c == 'a' + N - 1;
                        att_attester1_sent(&owners[*c - 'a'], 9000);
                }
        }
}
END_TEST

static GError *limit(void) {
        return g_error_new(ATT_ERROR, ATT_ERROR_LIMIT_REACHED, "enough");
}

START_TEST(who_is_over_a_limit_hears_it_when_there_is_room) {
        g_autoptr(GError) at_once = limit(), other = g_error_new(ATT_ERROR, ATT_ERROR_NOT_AUTHORIZED, "no");
        g_autoptr(sd_bus_message) call = NULL;

        ck_assert_int_ge(sd_bus_message_new_method_call(bus, &call, NULL, "/a", "a.b", "C"), 0);
        ck_assert_int_ge(sd_bus_message_seal(call, 1, 0), 0);
        ck_assert(!att_attester1_over_limit(&attester1, call, at_once));
        n_queued = 1;
        ck_assert(!att_attester1_over_limit(&attester1, call, other));
        for (guint i = 0; i < 6; i++)
                ck_assert(att_attester1_over_limit(&attester1, call, limit()));
        (void) turn();
        ck_assert_uint_eq(n_told, 0);

        n_queued = 0;
        ck_assert(att_attester1_over_limit(&attester1, call, limit())); /* not before those */
        (void) turn();
        ck_assert_uint_eq(n_told, 4);
        (void) turn();
        ck_assert_uint_eq(n_told, 7);

        n_queued = 1;
        ck_assert(att_attester1_over_limit(&attester1, call, limit()));
        att_attester1_tell_over_limit(&attester1, G_MAXUINT); /* as when attestd stops */
        ck_assert_uint_eq(n_told, 8);
        attester1.is_stopping = true;
        ck_assert(!att_attester1_over_limit(&attester1, call, at_once));
}
END_TEST

int main(void) {
        Suite *s = suite_create("room on the system bus");
        TCase *t = tcase_create("turns");

        tcase_add_checked_fixture(t, begin, end);
        tcase_add_test(t, users_take_turns_where_all_share_one_way);
        tcase_add_test(t, who_was_sent_least_is_let_go_on_first);
        tcase_add_test(t, who_is_over_a_limit_hears_it_when_there_is_room);
        suite_add_tcase(s, t);
        return run_suite(s);
}
