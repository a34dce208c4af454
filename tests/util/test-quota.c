/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What users may have who share a limit. */
#include "run.h"
#include "util/quota.h"

#include <stdbool.h>

#define USERS 64u

static guint64 has[USERS], in_all;

/* Takes it for the user. Returns: NULL, or why he is refused */
static char *take(guint user, guint64 more, guint64 user_max, guint64 all_max) {
        const AttQuota q = { "things", has[user], user_max, in_all, all_max };
        char *refusal = att_quota_excess(&q, more);

        if (!refusal) {
                has[user] += more;
                in_all += more;
        }
        return refusal;
}

static void take_all(guint user, guint64 more, guint64 user_max, guint64 all_max) {
        char *refusal;

        while (!(refusal = take(user, more, user_max, all_max)))
                ;
        g_free(refusal);
}

static void begin(void) {
        memset(has, 0, sizeof has);
        in_all = 0;
}

static void refuses(guint user, guint64 more, guint64 user_max, guint64 all_max, const char *says) {
        g_autofree char *refusal = take(user, more, user_max, all_max);

        ck_assert_pstr_eq(refusal, says);
}

START_TEST(a_fifth_user_gets_some_when_four_have_all_they_may) {
        static const guint64 expected[] = { 4096, 4096, 4096, 2048, 1024, 512 };

        for (guint user = 0; user < G_N_ELEMENTS(expected); user++) {
                take_all(user, 1, 4096, 16384);
                ck_assert_uint_eq(has[user], expected[user]);
        }
}
END_TEST

START_TEST(says_which_limit_it_is) {
        ck_assert_ptr_null(take(0, 4, 4, 10));
        refuses(0, 1, 4, 10, "this user may have 4 things");
        refuses(1, 4, 5, 10, "all users together have 4 of 10 things, and the rest is for who has fewer");
        ck_assert_ptr_null(take(1, 3, 5, 10));
        refuses(2, 4, 5, 10, "all users together have 7 of 10 things");
        ck_assert_ptr_null(take(2, 1, 5, 10));
        ck_assert_ptr_null(take(3, 1, 5, 10));
        ck_assert_ptr_null(take(4, 1, 5, 10));
        refuses(5, 1, 5, 10, "all users together have 10 of 10 things");
        refuses(0, 1, 4, 10, "this user may have 4 things"); /* his own first */
}
END_TEST

START_TEST(a_user_alone_gets_half_and_two_a_third_each) {
        take_all(0, 1, 3000, 3000);
        ck_assert_uint_eq(has[0], 1500);
        begin();
        for (guint i = 0; i < 2000; i++)
                g_free(take(i % 2, 1, 3000, 3000));
        ck_assert_uint_eq(has[0], 1000);
        ck_assert_uint_eq(has[1], 1000);
}
END_TEST

/* However few there are in all, the first comes to somebody, and the last too. */
START_TEST(who_has_none_gets_one_while_there_is_one) {
        for (guint64 all_max = 1; all_max <= 40; all_max++) {
                begin();
                for (guint user = 0; user < all_max; user++) {
                        bool is_left = in_all < all_max;

                        take_all(user, 1, all_max, all_max);
                        ck_assert(is_left == (has[user] > 0));
                }
                ck_assert_uint_eq(in_all, all_max);
        }
}
END_TEST

START_TEST(who_has_more_than_is_left_keeps_it_and_gets_no_more) {
        take_all(0, 1, 100, 100);
        take_all(1, 1, 100, 100);
        ck_assert(has[0] == 50 && has[1] == 25);
        has[0]--;
        in_all--;
        refuses(0, 1, 100, 100, "all users together have 74 of 100 things, and the rest is for who has fewer");
        in_all -= has[1]; /* they leave */
        has[1] = 0;
        ck_assert_ptr_null(take(0, 1, 100, 100));
}
END_TEST

/* As bytes are taken. */
START_TEST(one_step_takes_no_more_than_many) {
        refuses(0, 51, 100, 100, "all users together have 0 of 100 things, and the rest is for who has fewer");
        ck_assert_ptr_null(take(0, 50, 100, 100));
        refuses(1, 26, 100, 100, "all users together have 50 of 100 things, and the rest is for who has fewer");
        ck_assert_ptr_null(take(1, 25, 100, 100));
        ck_assert_ptr_null(take(0, 0, 100, 100));
}
END_TEST

START_TEST(nothing_overflows) {
        for (guint64 has_one = 0; has_one < 2; has_one++) {
                begin();
                has[0] = in_all = has_one;
                for (guint64 less = 0; less < 3; less++) {
                        refuses(0, G_MAXUINT64 - less, 100, 200, "this user may have 100 things");
                        g_free(take(1, G_MAXUINT64 - less, G_MAXUINT64, G_MAXUINT64));
                        ck_assert_uint_eq(has[1], 0);
                }
        }
        /* Limits that are below what there is: nobody is taken anything, and nobody gets more. */
        has[0] = 101;
        in_all = 201;
        refuses(0, 1, 100, 200, "this user may have 100 things");
        refuses(1, 1, 100, 200, "all users together have 201 of 200 things");
}
END_TEST

int main(void) {
        Suite *s = suite_create("quota");
        TCase *t = tcase_create("quota");

        tcase_add_checked_fixture(t, begin, NULL);
        tcase_add_test(t, a_fifth_user_gets_some_when_four_have_all_they_may);
        tcase_add_test(t, says_which_limit_it_is);
        tcase_add_test(t, a_user_alone_gets_half_and_two_a_third_each);
        tcase_add_test(t, who_has_none_gets_one_while_there_is_one);
        tcase_add_test(t, who_has_more_than_is_left_keeps_it_and_gets_no_more);
        tcase_add_test(t, one_step_takes_no_more_than_many);
        tcase_add_test(t, nothing_overflows);
        suite_add_tcase(s, t);
        return run_suite(s);
}
