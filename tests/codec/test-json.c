/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "codec/base64url.h"
#include "codec/json-in.h"
#include "exact.h"
#include "run.h"
#include "util/error.h"

#include <stdbool.h>

/* RFC 4648 section 10, and both characters that base64 has not. */
static const struct {
        const char *bytes;
        size_t size;
        const char *text;
} encodings[] = {
        { "", 0, "" },
        { "f", 1, "Zg" },
        { "fo", 2, "Zm8" },
        { "foo", 3, "Zm9v" },
        { "foob", 4, "Zm9vYg" },
        { "fooba", 5, "Zm9vYmE" },
        { "foobar", 6, "Zm9vYmFy" },
        { "\xfb\xef\xff", 3, "--__" },
        { "\0\0", 2, "AAA" },
};

START_TEST(codes_base64url) {
        g_autoptr(GBytes) bytes = g_bytes_new(encodings[_i].bytes, encodings[_i].size), back = NULL;
        g_autofree char *text = att_base64url_encode(bytes), *exact_text = NULL;

        ck_assert_str_eq(text, encodings[_i].text);
        exact_text = g_memdup2(text, strlen(text)); /* no NUL at its end */
        back = att_base64url_decode(exact_text, strlen(text));
        ck_assert_bytes_eq(back, bytes);
}
END_TEST

static const char *const not_base64url[] = {
        "Z", "Zg==", "Zm8=", "Zm9vY", "Zh", "Zm9", "Zm+v", "Zm/v", "Zm 9v", "Zm9v\n", "Zm9v ", " Zm9v", "Zm\xc3\xa9",
};

START_TEST(refuses_other_base64) {
        ck_assert_ptr_null(att_base64url_decode(not_base64url[_i], strlen(not_base64url[_i])));
}
END_TEST

START_TEST(refuses_a_nul_in_base64url) {
        ck_assert_ptr_null(att_base64url_decode("Zm\0v", 4));
}
END_TEST

START_TEST(property_base64url_comes_back) {
        g_autoptr(GRand) rand = g_rand_new_with_seed(4648);

        for (size_t n = 0; n < 300; n++) {
                g_autofree guint8 *p = g_malloc(n + 1);

                for (size_t i = 0; i < n; i++)
                        p[i] = (guint8) g_rand_int(rand);
                g_autoptr(GBytes) bytes = exact(p, n);
                g_autofree char *text = att_base64url_encode(bytes), *glib = g_base64_encode(p, n);
                g_autoptr(GBytes) back = att_base64url_decode(text, strlen(text));

                g_strdelimit(g_strdelimit(glib, "+", '-'), "/", '_');
                *strchrnul(glib, '=') = '\0';
                ck_assert_str_eq(text, glib);
                ck_assert_bytes_eq(back, bytes);
        }
}
END_TEST

typedef struct Input {
        const char *what;
        const char *text;
        bool good;
} Input;

static void check_input(const Input *input) {
        g_autoptr(GBytes) bytes = exact(input->text, strlen(input->text));
        g_autoptr(GError) error = NULL;
        g_autoptr(json_t) json = att_json_load(bytes, &error);

        ck_assert_msg((json != NULL) == input->good, "%s: %s", input->what, error ? error->message : "accepted");
        ck_assert(json || g_error_matches(error, ATT_ERROR, ATT_ERROR_BAD_DATA));
}

static const Input inputs[] = {
        { "array",                   "[1, \"a\", null]", true },
        { "object",                  "{\"a\": {\"b\": []}}", true },
        { "brackets in a text",      "[\"[[[[[[[[[[[[[[[[[[[[[[[[[\"]", true },
        { "a quote in a text",       "[\"\\\"[[[[[[[[[[[[[[[[[[[[[[\"]", true },
        { "nothing",                 "", false },
        { "a text",                  "\"a\"", false },
        { "a number",                "1", false },
        { "white space first",       " []", false },
        { "a byte order mark",       "\xef\xbb\xbf[]", false },
        { "not closed",              "[1", false },
        { "text not closed",         "[\"1", false },
        { "a backslash at the end",  "[\"\\", false },
        { "a comma too many",        "[1,]", false },
        { "a NUL in a text",         "[\"\\u0000\"]", false },
        { "a NUL in a key",          "{\"a\\u0000b\": 1}", false },
        { "half a surrogate",        "[\"\\ud800\"]", false },
        { "text that is not UTF-8",  "[\"\xff\"]", false },
        { "a comment",               "[] // no", false },
};

START_TEST(loads_or_refuses) {
        check_input(&inputs[_i]);
}
END_TEST

static const Input duplicates[] = {
        { "different keys",          "{\"a\": 1, \"b\": 1}", true },
        { "same key elsewhere",      "{\"a\": {\"a\": 1}}", true },
        { "a key twice",             "{\"a\": 1, \"a\": 1}", false },
        { "spelled in another way",  "{\"a\": 1, \"\\u0061\": 1}", false },
        { "deep inside",             "[[{\"b\": 1, \"c\": 2, \"b\": 1}]]", false },
};

START_TEST(sc37a_duplicate_keys) {
        check_input(&duplicates[_i]);
}
END_TEST

static const Input trailing[] = {
        { "nothing",                 "[]", true },
        { "white space",             "[] \r\n\t", true },
        { "another value",           "[] []", false },
        { "a byte",                  "[]x", false },
        { "a bracket",               "[]]", false },
};

START_TEST(sc37d_trailing_bytes) {
        check_input(&trailing[_i]);
}
END_TEST

START_TEST(sc37d_a_trailing_nul) {
        g_autoptr(GBytes) good = exact("[]", 2), bad = exact("[]", 3);
        g_autoptr(json_t) json = att_json_load(good, NULL);

        ck_assert_ptr_nonnull(json);
        ck_assert_ptr_null(att_json_load(bad, NULL));
}
END_TEST

static char *repeated(const char *first, const char *text, size_t n, const char *last) {
        g_autoptr(GString) out = g_string_new(first);

        for (size_t i = 0; i < n; i++)
                g_string_append(out, text);
        g_string_append(out, last);
        return g_string_free(g_steal_pointer(&out), FALSE);
}

/* Of a text that must be good at the cap: the code of refusal, or -1. */
static int refusal(const char *text, size_t size) {
        g_autoptr(GBytes) bytes = exact(text, size);
        g_autoptr(GError) error = NULL;
        g_autoptr(json_t) json = att_json_load(bytes, &error);

        return json ? -1 : error->code;
}

START_TEST(sc37c_depth) {
        static const size_t depths[] = { ATT_JSON_DEPTH_MAX, ATT_JSON_DEPTH_MAX + 1, 100000 };

        for (size_t i = 0; i < G_N_ELEMENTS(depths); i++) {
                g_autofree char *open = repeated("", "[", depths[i], ""), *text = repeated(open, "]", depths[i], "");

                ck_assert_int_eq(refusal(text, strlen(text)), i == 0 ? -1 : ATT_ERROR_BAD_DATA);
        }
}
END_TEST

/* Only brackets outside of texts count, and closed ones no more. */
START_TEST(sc37c_depth_beside_texts) {
        static const char *const texts[] = { "\"\"", "\"a\"", "\"ab\"", "\"\\\\\"", "\"\\\"\"", "\"\\\"[\"", "[]", "{}",
                                             "[[],[],[{}]]" };

        for (size_t over = 0; over < 2; over++) {
                g_autofree char *first = g_strdup_printf("[%s,", texts[_i]);
                g_autofree char *open = repeated(first, "[", ATT_JSON_DEPTH_MAX - 1 + over, "");
                g_autofree char *text = repeated(open, "]", ATT_JSON_DEPTH_MAX + over, "");

                ck_assert_int_eq(refusal(text, strlen(text)), over ? ATT_ERROR_BAD_DATA : -1);
        }
        g_autofree char *many = repeated("[0", ",[{}],{}", 100, "]");
        ck_assert_int_eq(refusal(many, strlen(many)), -1);
}
END_TEST

START_TEST(sc34b_values_have_a_cap) {
        /* The array is a value, and so is what comes after the last comma. */
        static const size_t counts[] = { ATT_JSON_VALUES_MAX - 2, ATT_JSON_VALUES_MAX - 1, 500000 };

        for (size_t i = 0; i < G_N_ELEMENTS(counts); i++) {
                g_autofree char *text = repeated("[", "0,", counts[i], "0]");

                ck_assert_int_eq(refusal(text, strlen(text)), i == 0 ? -1 : ATT_ERROR_TOO_LARGE);
        }
}
END_TEST

START_TEST(sc34d_the_input_has_a_cap) {
        static const size_t sizes[] = { ATT_JSON_SIZE_MAX, ATT_JSON_SIZE_MAX + 1, 1u << 24 };

        for (size_t i = 0; i < G_N_ELEMENTS(sizes); i++) {
                g_autofree char *text = g_strnfill(sizes[i], ' ');

                memcpy(text, "[]", 2);
                ck_assert_int_eq(refusal(text, sizes[i]), i == 0 ? -1 : ATT_ERROR_TOO_LARGE);
        }
}
END_TEST

START_TEST(takes_values_by_type) {
        static const char array[] = "[\"Zg\", \"Z\", 1, \"\", \"a\\n\"]";
        g_autoptr(GBytes) bytes = exact(array, strlen(array));
        g_autoptr(json_t) json = att_json_load(bytes, NULL);
        g_autoptr(GBytes) f = att_json_dup_base64url(json_array_get(json, 0));
        g_autoptr(GBytes) nothing = att_json_dup_base64url(json_array_get(json, 3));
        g_autofree char *text = att_json_dup_text(json_array_get(json, 0), 2);

        ck_assert_uint_eq(g_bytes_get_size(f), 1);
        ck_assert_uint_eq(g_bytes_get_size(nothing), 0);
        ck_assert_ptr_null(att_json_dup_base64url(json_array_get(json, 1)));
        ck_assert_ptr_null(att_json_dup_base64url(json_array_get(json, 2)));
        ck_assert_ptr_null(att_json_dup_base64url(NULL));
        ck_assert_str_eq(text, "Zg");
        ck_assert_ptr_null(att_json_dup_text(json_array_get(json, 0), 1));
        ck_assert_ptr_null(att_json_dup_text(json_array_get(json, 2), 9));
        ck_assert_ptr_null(att_json_dup_text(json_array_get(json, 4), 9));
        ck_assert_ptr_null(att_json_dup_text(NULL, 9));
}
END_TEST

int main(void) {
        Suite *s = suite_create("json");
        TCase *t = tcase_create("base64url");

        tcase_add_loop_test(t, codes_base64url, 0, (int) G_N_ELEMENTS(encodings));
        tcase_add_loop_test(t, refuses_other_base64, 0, (int) G_N_ELEMENTS(not_base64url));
        tcase_add_test(t, refuses_a_nul_in_base64url);
        tcase_add_test(t, property_base64url_comes_back);
        suite_add_tcase(s, t);

        t = tcase_create("json");
        tcase_add_loop_test(t, loads_or_refuses, 0, (int) G_N_ELEMENTS(inputs));
        tcase_add_test(t, takes_values_by_type);
        tcase_add_loop_test(t, sc37a_duplicate_keys, 0, (int) G_N_ELEMENTS(duplicates));
        tcase_add_test(t, sc37c_depth);
        tcase_add_loop_test(t, sc37c_depth_beside_texts, 0, 9);
        tcase_add_loop_test(t, sc37d_trailing_bytes, 0, (int) G_N_ELEMENTS(trailing));
        tcase_add_test(t, sc37d_a_trailing_nul);
        tcase_add_test(t, sc34b_values_have_a_cap);
        tcase_add_test(t, sc34d_the_input_has_a_cap);
        suite_add_tcase(s, t);
        return run_suite(s);
}
