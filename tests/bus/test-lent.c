/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Who may have how many memfds that others have not closed. */
#include "bus/lent.h"

#include "lone-bus.h"
#include "run.h"
#include "util/error.h"
#include "util/io.h"
#include "util/memfd.h"

#include <sys/socket.h>

static const AttLentLimits limits = { .connection_max = 4, .user_max = 8, .all_max = 32 };
static AttLent *lent;
static GArray *passed; /* descriptors that nobody closes */

/* Due whenever the main loop runs. */
guint __wrap_g_timeout_add_seconds(guint seconds, GSourceFunc function, gpointer data);
guint __wrap_g_timeout_add_seconds(guint seconds, GSourceFunc function, gpointer data) {
        ck_assert_uint_eq(seconds, 1);
        return g_idle_add(function, data);
}

static void begin(void) {
        lent = att_lent_new(&limits);
        passed = g_array_new(FALSE, FALSE, sizeof(int));
        (void) g_main_context_iteration(NULL, FALSE); /* it has a descriptor from then on */
}

static void close_passed(void) {
        for (guint i = 0; i < passed->len; i++)
                att_close_p(&g_array_index(passed, int, i));
        g_array_set_size(passed, 0);
}

static void end(void) {
        close_passed();
        g_array_unref(passed);
        att_lent_free(lent);
}

static bool may(const char *connection, uint32_t uid, guint waiting) {
        const AttLentCount w = { waiting, waiting, waiting };
        g_autoptr(GError) error = NULL;

        if (att_lent_check_with(lent, connection, uid, &w, &error))
                return true;
        ck_assert(g_error_matches(error, ATT_ERROR, ATT_ERROR_LIMIT_REACHED));
        return false;
}

/* Until there is no more for this user, on as many connections as he likes. */
static guint take(uint32_t uid) {
        g_autoptr(GBytes) content = g_bytes_new_static("x", 1);

        for (guint n = 0;; n++) {
                g_autofree char *connection = g_strdup_printf("%u:%u", uid, n / limits.connection_max);
                int fd;

                if (!may(connection, uid, 0))
                        return n;
                fd = att_lent_lend(lent, connection, uid, att_memfd_new("test", content, NULL), NULL);
                ck_assert_int_ge(fd, 0);
                g_array_append_val(passed, fd);
        }
}

static guint open_descriptors(void) {
        g_autoptr(GDir) dir = g_dir_open("/proc/self/fd", 0, NULL);
        guint n = 0;

        while (g_dir_read_name(dir))
                n++;
        return n;
}

START_TEST(few_users_leave_some_to_the_next) {
        const guint expected[] = { 8, 8, 8, 4, 2, 1, 1, 0 };

        for (guint i = 0; i < G_N_ELEMENTS(expected); i++)
                ck_assert_uint_eq(take(1000 + i), expected[i]);

        /* What is closed is there for others again. */
        att_close_p(&g_array_index(passed, int, 0));
        ck_assert_uint_eq(take(2000), 1);
}
END_TEST

START_TEST(what_is_waited_for_counts) {
        ck_assert(may("a", 1000, limits.connection_max - 1));
        ck_assert(!may("a", 1000, limits.connection_max));

        ck_assert_uint_eq(take(1001), limits.user_max);
        att_close_p(&g_array_index(passed, int, 0));
        ck_assert(may("1001:2", 1001, 0));
        ck_assert(!may("1001:2", 1001, 1));
}
END_TEST

/* Also when nobody asks for any more: and then nobody is woken. */
START_TEST(what_was_closed_is_forgotten_unasked) {
        guint before = open_descriptors();

        for (guint i = 0; i < 2; i++) {
                ck_assert_uint_eq(take(1000), limits.user_max);
                for (guint k = 0; k < 3; k++)
                        ck_assert(g_main_context_iteration(NULL, FALSE));
                ck_assert_uint_eq(open_descriptors(), before + 2 * limits.user_max);
                close_passed();
                ck_assert(g_main_context_iteration(NULL, FALSE));
                ck_assert_uint_eq(open_descriptors(), before);
                ck_assert(!g_main_context_iteration(NULL, FALSE));
        }
}
END_TEST

/* Whatever a client says of what it has only looked at. */
START_TEST(what_was_given_back_unread_is_on_its_way) {
        g_autoptr(GBytes) content = g_bytes_new_static("x", 1);
        sd_bus *bus = lone_bus_begin(false);
        AttWay *way;
        int pair[2], fd;
        char byte = 0;

        ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair), 0);
        way = att_way_new(bus, pair[0]);
        fd = att_lent_lend_over(lent, way, "a", 1000, att_memfd_new("test", content, NULL), NULL);
        ck_assert_int_eq(send(pair[0], &byte, 1, 0), 1);
        att_memfd_give_back(fd);
        ck_assert(!may("a", 1000, limits.connection_max - 1));
        ck_assert_int_eq(recv(pair[1], &byte, 1, 0), 1);
        ck_assert(may("a", 1000, limits.connection_max - 1));

        att_close_p(&fd);
        att_way_end(way);
        att_close_p(&pair[1]);
        lone_bus_end();
}
END_TEST

/* Its client is gone, but may have passed on what it got. */
START_TEST(a_socket_is_kept_for_what_was_lent_over_it_and_no_longer) {
        g_autoptr(GBytes) content = g_bytes_new_static("x", 1);
        sd_bus *bus = lone_bus_begin(false);
        guint before = open_descriptors();
        AttWay *way;
        int pair[2], fd;
        char byte;

        ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair), 0);
        way = att_way_new(bus, pair[0]);
        fd = att_lent_lend_over(lent, way, "a", 1000, att_memfd_new("test", content, NULL), NULL);
        ck_assert_int_ge(fd, 0);
        att_way_end(way);
        ck_assert_int_eq(recv(pair[1], &byte, 1, 0), 0);
        ck_assert(may("a", 1000, limits.connection_max - 2));
        ck_assert(!may("a", 1000, limits.connection_max - 1));

        att_close_p(&fd);
        ck_assert(may("a", 1000, limits.connection_max - 1));
        att_close_p(&pair[1]);
        ck_assert_uint_eq(open_descriptors(), before);
        lone_bus_end();
}
END_TEST

int main(void) {
        Suite *s = suite_create("lent");
        TCase *t = tcase_create("lent");

        tcase_add_checked_fixture(t, begin, end);
        tcase_add_test(t, few_users_leave_some_to_the_next);
        tcase_add_test(t, what_is_waited_for_counts);
        tcase_add_test(t, what_was_closed_is_forgotten_unasked);
        tcase_add_test(t, what_was_given_back_unread_is_on_its_way);
        tcase_add_test(t, a_socket_is_kept_for_what_was_lent_over_it_and_no_longer);
        suite_add_tcase(s, t);
        return run_suite(s);
}
