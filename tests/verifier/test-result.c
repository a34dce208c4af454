/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The verdict is computed, and a yes has to be earned. */
#include "verifier/result-build.h"

#include "run.h"

#include <jansson.h>

#define SOME (ATT_CHECK_SET(ATT_CHECK_POLICY) | ATT_CHECK_SET(ATT_CHECK_DEBUG))

static void pass(AttResult *result, AttCheckSet set) {
        for (AttCheckId id = 0; id < ATT_CHECKS; id++)
                if (set & ATT_CHECK_SET(id))
                        att_result_pass(result, id, "yes");
}

START_TEST(sc43_says_no_until_everything_was_done) {
        const AttResult zero = { 0 };
        const AttResult sealed_zero = { .sealed = true };
        g_autoptr(AttResult) fresh = att_result_new(SOME);
        g_autoptr(AttResult) empty = att_result_seal(att_result_new(0));
        g_autoptr(AttResult) good = att_result_new(SOME);

        ck_assert(!att_result_accepted(&zero));
        ck_assert(!att_result_accepted(&sealed_zero));
        ck_assert(!att_result_accepted(fresh));
        ck_assert_str_ne(att_result_reason(fresh), "");
        ck_assert(!att_result_accepted(empty));
        ck_assert_str_eq(att_result_reason(empty), "nothing was checked");

        pass(good, SOME);
        ck_assert(!att_result_accepted(good));
        ck_assert(att_result_accepted(att_result_seal(good)));
        ck_assert_str_eq(att_result_reason(good), "");
}
END_TEST

/* Whatever is mandatory, and whichever one of it is left out: no. */
START_TEST(sc43_misses_each_mandatory_check) {
        g_autoptr(AttResult) missing = att_result_new(ATT_CHECK_SET_ALL);
        g_autoptr(AttResult) failed = att_result_new(ATT_CHECK_SET_ALL);

        pass(missing, ATT_CHECK_SET_ALL & ~ATT_CHECK_SET(_i));
        ck_assert(!att_result_accepted(att_result_seal(missing)));
        ck_assert_ptr_nonnull(strstr(att_result_reason(missing), ": not checked"));

        pass(failed, ATT_CHECK_SET_ALL & ~ATT_CHECK_SET(_i));
        att_result_fail(failed, (AttCheckId) _i, "for a reason");
        ck_assert(!att_result_accepted(att_result_seal(failed)));
        ck_assert_ptr_nonnull(strstr(att_result_reason(failed), ": for a reason"));

        pass(missing, ATT_CHECK_SET(_i));
        ck_assert(att_result_accepted(att_result_seal(missing)));
}
END_TEST

/* A check that nobody asked for still counts when it fails. */
START_TEST(sc43_no_failure_is_overlooked) {
        g_autoptr(AttResult) result = att_result_new(SOME);

        pass(result, SOME);
        att_result_fail(result, (AttCheckId) _i, "no");
        pass(result, ATT_CHECK_SET_ALL);
        att_result_skip(result, (AttCheckId) _i, "rather not");
        ck_assert(!att_result_accepted(att_result_seal(result)));
        ck_assert_int_eq(att_result_status(result, (AttCheckId) _i), ATT_CHECK_FAILED);
}
END_TEST

START_TEST(gives_the_first_failure_as_reason) {
        g_autoptr(AttResult) result = att_result_new(ATT_CHECK_SET_ALL);

        att_result_skip(result, ATT_CHECK_POLICY, "nobody looked");
        att_result_fail(result, ATT_CHECK_BINDING, "first");
        att_result_fail(result, ATT_CHECK_BOOT, "second");
        att_result_fail(result, ATT_CHECK_BINDING, "again");
        ck_assert_str_eq(att_result_reason(att_result_seal(result)), "binding: first");
}
END_TEST

START_TEST(has_each_check_once_by_name) {
        g_autoptr(AttResult) result = att_result_new(SOME);
        const GPtrArray *checks = att_result_checks(result);
        g_autoptr(GHashTable) seen = g_hash_table_new(g_str_hash, g_str_equal);

        ck_assert_uint_eq(checks->len, ATT_CHECKS);
        for (guint i = 0; i < checks->len; i++) {
                const AttCheck *check = checks->pdata[i];

                ck_assert(g_hash_table_add(seen, check->name));
                ck_assert_int_eq(check->status, ATT_CHECK_NOT_CHECKED);
        }
        ck_assert_str_eq(att_check_status_name(ATT_CHECK_NOT_CHECKED), "not checked");
        ck_assert_str_eq(att_check_status_name(ATT_CHECK_PASSED), "passed");
        ck_assert_str_eq(att_check_status_name(ATT_CHECK_FAILED), "failed");
}
END_TEST

/* Details may have bytes of the evidence in them; JSON and the bus take UTF-8 only. */
START_TEST(keeps_details_readable) {
        g_autoptr(AttResult) result = att_result_new(SOME);
        g_autofree char *json = NULL;
        json_t *object;

        att_result_fail(result, ATT_CHECK_FORMAT, "found \xff\n\"x\"");
        json = att_result_to_json(att_result_seal(result), true);
        object = json_loads(json, 0, NULL);
        ck_assert_ptr_nonnull(object);
        ck_assert(json_is_false(json_object_get(object, "accepted")));
        ck_assert(json_is_string(json_object_get(object, "reason")));
        ck_assert_uint_eq(json_array_size(json_object_get(object, "checks")), ATT_CHECKS);
        ck_assert(json_is_null(json_object_get(object, "profile")));
        ck_assert(!json_object_get(object, "claims") && !json_object_get(object, "quote"));
        ck_assert_int_ne(json[strlen(json) - 1], '\n');
        json_decref(object);
}
END_TEST

/* Each character that there is in a detail comes out of the text as it went in. */
START_TEST(its_text_is_json_whatever_is_said) {
        g_autoptr(AttResult) result = att_result_new(SOME);
        g_autoptr(GString) said = g_string_new(NULL);
        g_autofree char *compact = NULL, *pretty = NULL;
        json_t *a, *b, *check;

        for (gunichar c = 1; c < 0x250; c++)
                g_string_append_unichar(said, c);
        g_string_append(said, "\\\"\\\\ \xf0\x9f\x94\x91 \xe2\x80\xae\"");
        att_result_fail(result, ATT_CHECK_POLICY, "%s", said->str);
        att_result_seal(result);
        compact = att_result_to_json(result, false);
        pretty = att_result_to_json(result, true);
        a = json_loads(compact, JSON_REJECT_DUPLICATES, NULL);
        b = json_loads(pretty, JSON_REJECT_DUPLICATES, NULL);
        ck_assert(a && b && json_equal(a, b));
        ck_assert_ptr_null(strchr(compact, '\n'));
        check = json_array_get(json_object_get(a, "checks"), 0);
        ck_assert_str_eq(json_string_value(json_object_get(check, "name")), "policy");
        ck_assert_str_eq(json_string_value(json_object_get(check, "status")), "failed");
        ck_assert_str_eq(json_string_value(json_object_get(check, "detail")), said->str);
        json_decref(a);
        json_decref(b);
}
END_TEST

int main(void) {
        Suite *s = suite_create("result");
        TCase *c = tcase_create("result");

        tcase_add_test(c, sc43_says_no_until_everything_was_done);
        tcase_add_loop_test(c, sc43_misses_each_mandatory_check, 0, ATT_CHECKS);
        tcase_add_loop_test(c, sc43_no_failure_is_overlooked, 0, ATT_CHECKS);
        tcase_add_test(c, gives_the_first_failure_as_reason);
        tcase_add_test(c, has_each_check_once_by_name);
        tcase_add_test(c, keeps_details_readable);
        tcase_add_test(c, its_text_is_json_whatever_is_said);
        suite_add_tcase(s, c);
        return run_suite(s);
}
