/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Who may have how many memfds that others have not closed. */
#include "bus/lent.h"

#include "run.h"
#include "util/error.h"
#include "util/io.h"
#include "util/memfd.h"

static const AttLentLimits limits = { .connection_max = 4, .user_max = 8, .all_max = 32 };
static AttLent *lent;
static GArray *passed; /* descriptors that nobody closes */

static void begin(void) {
        lent = att_lent_new(&limits);
        passed = g_array_new(FALSE, FALSE, sizeof(int));
}

static void end(void) {
        for (guint i = 0; i < passed->len; i++)
                att_close_p(&g_array_index(passed, int, i));
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

int main(void) {
        Suite *s = suite_create("lent");
        TCase *t = tcase_create("lent");

        tcase_add_checked_fixture(t, begin, end);
        tcase_add_test(t, few_users_leave_some_to_the_next);
        tcase_add_test(t, what_is_waited_for_counts);
        suite_add_tcase(s, t);
        return run_suite(s);
}
