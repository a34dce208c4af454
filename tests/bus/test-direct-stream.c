/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "bus/direct-stream.h"

#include "run.h"
#include "util/error.h"

#include <string.h>

static const uint8_t id[16] = { 0xab, [15] = 0x01 };
#define ID "ab000000000000000000000000000001"

/* Of user 1000, with what it was given and gave. */
static AttDirectStream *stream;
static GString *answer;
static GByteArray *messages;

static void begin(void) {
        stream = att_direct_stream_new(1000, id);
        answer = g_string_new(NULL);
        messages = g_byte_array_new();
}

static void end(void) {
        att_direct_stream_free(stream);
        (void) g_string_free(answer, TRUE);
        g_byte_array_unref(messages);
}

static gboolean take(const void *data, gsize size, GError **error) {
        g_autofree guint8 *exact = g_memdup2(data, size);
        const void *whole = (const void *) 1;
        gsize whole_size = 77;

        if (!att_direct_stream_take(stream, exact, size, answer, &whole, &whole_size, error)) {
                ck_assert_ptr_eq(whole, (const void *) 1);
                ck_assert_uint_eq(whole_size, 77);
                return FALSE;
        }
        g_byte_array_append(messages, whole, (guint) whole_size);
        return TRUE;
}

static void say(const char *lines) {
        ck_assert(take(lines, strlen(lines), NULL));
}

static void authenticate(void) {
        ck_assert(take("", 1, NULL));
        say("AUTH EXTERNAL 31303030\r\nBEGIN\r\n");
        ck_assert(att_direct_stream_is_authenticated(stream));
}

static void expect(const char *lines) {
        ck_assert_str_eq(answer->str, lines);
        g_string_truncate(answer, 0);
}

static void refused(const void *data, gsize size, AttError code) {
        g_autoptr(GError) error = NULL;

        ck_assert(!take(data, size, &error));
        ck_assert(g_error_matches(error, ATT_ERROR, (gint) code));
        ck_assert_uint_gt(strlen(error->message), 10);
}

/* A message of that size, of which nothing but the header matters here. */
static GBytes *message(gsize fields, gsize body, bool big) {
        gsize size = 16 + (fields + 7) / 8 * 8 + body;
        guint8 *p = g_malloc(size);
        guint32 f = big ? GUINT32_TO_BE(fields) : GUINT32_TO_LE(fields);
        guint32 b = big ? GUINT32_TO_BE(body) : GUINT32_TO_LE(body);

        memset(p, 0x5a, size);
        p[0] = big ? 'B' : 'l';
        memcpy(p + 4, &b, sizeof b);
        memcpy(p + 12, &f, sizeof f);
        return g_bytes_new_take(p, size);
}

static void give(GBytes *bytes) {
        gsize size;
        const void *p = g_bytes_get_data(bytes, &size);

        ck_assert(take(p, size, NULL));
}

START_TEST(takes_who_is_who_he_says) {
        ck_assert(take("", 1, NULL));
        say("AUTH EXTERNAL 31303030\r\n");
        expect("OK " ID "\r\n");
        ck_assert(!att_direct_stream_is_authenticated(stream));
        say("BEGIN\r\n");
        expect("");
        ck_assert(att_direct_stream_is_authenticated(stream));
        ck_assert(!att_direct_stream_takes_fds(stream));
}
END_TEST

START_TEST(takes_who_does_not_say_who_he_is_for_who_he_is) {
        /* As sd-bus does it, all at once. */
        static const char lines[] = "\0AUTH EXTERNAL\r\nDATA\r\nNEGOTIATE_UNIX_FD\r\nBEGIN\r\n";

        ck_assert(take(lines, sizeof lines - 1, NULL));
        expect("DATA\r\nOK " ID "\r\nAGREE_UNIX_FD\r\n");
        ck_assert(att_direct_stream_is_authenticated(stream));
        ck_assert(att_direct_stream_takes_fds(stream));
}
END_TEST

START_TEST(rejects_who_says_he_is_another) {
        static const char *const others[] = {
                "30", "31303031", "3130303", "313030300", "3130303030", "313030", "xx303030", "3130303g", "31303030 ",
                " 31303030", "0031303030",
        };

        ck_assert(take("", 1, NULL));
        for (gsize i = 0; i < G_N_ELEMENTS(others); i++) {
                g_autofree char *line = g_strdup_printf("AUTH EXTERNAL %s\r\n", others[i]);

                say(line);
                expect("REJECTED EXTERNAL\r\n");
                say("NEGOTIATE_UNIX_FD\r\n");
                expect("ERROR\r\n");
        }
        say("AUTH EXTERNAL\r\nDATA 30\r\n");
        expect("DATA\r\nREJECTED EXTERNAL\r\n");
        refused("BEGIN\r\n", 7, ATT_ERROR_BAD_DATA);
}
END_TEST

START_TEST(knows_no_other_mechanism) {
        ck_assert(take("", 1, NULL));
        say("AUTH\r\nAUTH ANONYMOUS\r\nAUTH ANONYMOUS 61\r\nAUTH DBUS_COOKIE_SHA1 31303030\r\nAUTH EXTERNALLY\r\n");
        expect("REJECTED EXTERNAL\r\nREJECTED EXTERNAL\r\nREJECTED EXTERNAL\r\nREJECTED EXTERNAL\r\n"
               "REJECTED EXTERNAL\r\n");
        say("AUTHOR\r\nDATA\r\n\r\nCANCEL\r\n");
        expect("ERROR\r\nERROR\r\nERROR\r\nERROR\r\n");
        say("AUTH EXTERNAL\r\nCANCEL\r\nDATA\r\n");
        expect("DATA\r\nREJECTED EXTERNAL\r\nERROR\r\n");
        say("AUTH EXTERNAL 31303030\r\nNEGOTIATE_UNIX_FD\r\nERROR \"no\"\r\n");
        expect("OK " ID "\r\nAGREE_UNIX_FD\r\nREJECTED EXTERNAL\r\n");
        ck_assert(!att_direct_stream_takes_fds(stream));
        refused("BEGIN\r\n", 7, ATT_ERROR_BAD_DATA);
}
END_TEST

START_TEST(takes_no_begin_before_somebody_is_known) {
        ck_assert(take("", 1, NULL));
        say("AUTH EXTERNAL\r\n");
        refused("BEGIN\r\n", 7, ATT_ERROR_BAD_DATA);
}
END_TEST

START_TEST(refuses_what_is_no_line) {
        static const struct {
                const char *data;
                gsize size;
        } bad[] = { { "x", 1 }, { "GET / HTTP/1.1\r\n", 16 }, { "\0AUTH\n", 6 }, { "\0\n", 2 }, { "\0AU\0TH\r\n", 8 },
                    { "\0\0\r\n", 4 } };

        for (gsize i = 0; i < G_N_ELEMENTS(bad); i++) {
                refused(bad[i].data, bad[i].size, ATT_ERROR_BAD_DATA);
                end();
                begin();
        }
}
END_TEST

START_TEST(reads_so_many_bytes_before_begin_and_no_more) {
        g_autofree char *text = g_strnfill(ATT_DIRECT_AUTH_MAX, 'x');

        ck_assert(take("", 1, NULL));
        ck_assert(take(text, ATT_DIRECT_AUTH_MAX - 1, NULL));
        ck_assert(att_direct_stream_has_part(stream));
        refused("x", 1, ATT_ERROR_TOO_LARGE);
        end();
        begin();
        ck_assert(take("", 1, NULL));
        for (guint n = 1; n + 6 <= ATT_DIRECT_AUTH_MAX; n += 6)
                say("AUTH\r\n");
        refused("AUTH\r\n", 6, ATT_ERROR_TOO_LARGE);
}
END_TEST

START_TEST(gives_messages_as_they_came) {
        g_autoptr(GBytes) a = message(8, 0, false), b = message(13, 100, true);
        g_autoptr(GByteArray) both = g_byte_array_new();

        authenticate();
        for (int i = 0; i < 3; i++) {
                g_byte_array_append(both, g_bytes_get_data(a, NULL), (guint) g_bytes_get_size(a));
                g_byte_array_append(both, g_bytes_get_data(b, NULL), (guint) g_bytes_get_size(b));
        }
        ck_assert(take(both->data, both->len, NULL));
        ck_assert_mem_eq(messages->data, both->data, both->len);
        ck_assert_uint_eq(messages->len, both->len);
        ck_assert(!att_direct_stream_has_part(stream));
}
END_TEST

START_TEST(gives_whole_messages_however_they_are_cut) {
        static const char lines[] = "\0AUTH EXTERNAL 31303030\r\nNEGOTIATE_UNIX_FD\r\nBEGIN\r\n";
        g_autoptr(GBytes) a = message(8, 3, false), b = message(40, 20, true);
        g_autoptr(GByteArray) all = g_byte_array_new();
        gsize head = sizeof lines - 1, first = head + g_bytes_get_size(a);

        g_byte_array_append(all, (const guint8 *) lines, sizeof lines - 1);
        g_byte_array_append(all, g_bytes_get_data(a, NULL), (guint) g_bytes_get_size(a));
        g_byte_array_append(all, g_bytes_get_data(b, NULL), (guint) g_bytes_get_size(b));
        for (gsize i = 0; i <= all->len; i++)
                for (gsize k = i; k <= all->len; k++) {
                        ck_assert(take(all->data, i, NULL));
                        ck_assert_uint_eq(messages->len, i < first ? 0 : i < all->len ? first - head : all->len - head);
                        ck_assert(take(all->data + i, k - i, NULL));
                        ck_assert_uint_eq(messages->len, k < first ? 0 : k < all->len ? first - head : all->len - head);
                        ck_assert_int_eq(att_direct_stream_has_part(stream), k != first && k != all->len && k != head &&
                                         k > 1 && !(k < head && all->data[k - 1] == '\n'));
                        ck_assert(take(all->data + k, all->len - k, NULL));
                        ck_assert_uint_eq(messages->len, all->len - head);
                        ck_assert_mem_eq(messages->data, all->data + head, all->len - head);
                        expect("OK " ID "\r\nAGREE_UNIX_FD\r\n");
                        end();
                        begin();
                }
}
END_TEST

START_TEST(refuses_a_message_over_the_limit_by_its_header) {
        g_autoptr(GBytes) largest = message(8, ATT_DIRECT_MESSAGE_MAX - 24, false);
        g_autoptr(GBytes) larger = message(8, ATT_DIRECT_MESSAGE_MAX - 23, false);
        g_autoptr(GBytes) fields = message(ATT_DIRECT_MESSAGE_MAX - 8, 0, true);
        guint8 huge[16] = { 'l', 1, 0, 1, 0xff, 0xff, 0xff, 0xff, 1, 0, 0, 0, 0xff, 0xff, 0xff, 0xff };

        authenticate();
        give(largest);
        ck_assert_uint_eq(messages->len, ATT_DIRECT_MESSAGE_MAX);
        refused(g_bytes_get_data(larger, NULL), 16, ATT_ERROR_TOO_LARGE);
        end();
        begin();
        authenticate();
        refused(g_bytes_get_data(fields, NULL), 16, ATT_ERROR_TOO_LARGE);
        end();
        begin();
        authenticate();
        refused(huge, sizeof huge, ATT_ERROR_TOO_LARGE);
}
END_TEST

START_TEST(refuses_what_is_no_message) {
        g_autoptr(GBytes) no_fields = message(0, 0, false), no_fields_but_body = message(0, 7, false);
        guint8 zero[16] = { 0 };

        authenticate();
        refused(zero, sizeof zero, ATT_ERROR_BAD_DATA);
        end();
        begin();
        authenticate();
        refused(g_bytes_get_data(no_fields, NULL), 16, ATT_ERROR_BAD_DATA);
        end();
        begin();
        authenticate();
        refused(g_bytes_get_data(no_fields_but_body, NULL), 16, ATT_ERROR_BAD_DATA);
}
END_TEST

int main(void) {
        Suite *s = suite_create("direct-stream");
        TCase *c = tcase_create("direct-stream");

        tcase_add_checked_fixture(c, begin, end);
        tcase_add_test(c, takes_who_is_who_he_says);
        tcase_add_test(c, takes_who_does_not_say_who_he_is_for_who_he_is);
        tcase_add_test(c, rejects_who_says_he_is_another);
        tcase_add_test(c, knows_no_other_mechanism);
        tcase_add_test(c, takes_no_begin_before_somebody_is_known);
        tcase_add_test(c, refuses_what_is_no_line);
        tcase_add_test(c, reads_so_many_bytes_before_begin_and_no_more);
        tcase_add_test(c, gives_messages_as_they_came);
        tcase_add_test(c, gives_whole_messages_however_they_are_cut);
        tcase_add_test(c, refuses_a_message_over_the_limit_by_its_header);
        tcase_add_test(c, refuses_what_is_no_message);
        suite_add_tcase(s, c);
        return run_suite(s);
}
