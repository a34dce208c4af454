/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "codec/event-log.h"

#include "codec/event-text.h"
#include "event-build.h"
#include "run.h"
#include "util/error.h"

#define EV_IPL 0x0d
#define EV_ACTION 0x05
#define EV_TAG 0x06
#define EV_VARIABLE 0x80000001
#define EV_VARIABLE_BOOT 0x80000002
#define EV_APPLICATION 0x80000003
#define EV_BLOB2 0x8000000a

/* Where things stand in what make() makes. */
#define HEADER_SIZE (32u + 45u)
#define N_AT (32u + 24u)
#define FIRST_AT (HEADER_SIZE)
#define FIRST_SIZE (12u + 3 * 2 + 20 + 48 + 32 + 4 + 4)

static const BuildAlgorithm three[] = { { ALG_SHA1, 20 }, { ALG_SM3, 32 }, { ALG_SHA384, 48 } };

/* Header, a separator, an event behind it, and one that extends nothing. */
static GByteArray *make(void) {
        GByteArray *out = g_byte_array_new();

        build_header(out, 0, three, 3, "attd");
        build_event(out, 7, ATT_EVENT_SEPARATOR, three, 3, 0x10, "\0\0\0\0", 4);
        build_event(out, 7, EV_ACTION, three, 3, 0x20, "late", 4);
        build_event(out, 8, EV_IPL, three, 2, 0x30, "grub_cmd: ls", 13);
        build_event(out, 0, ATT_EVENT_NO_ACTION, three, 3, 0, "StartupLocality\0\3", 17);
        return out;
}

static GBytes *make_bytes(void) {
        g_autoptr(GByteArray) out = make();

        return build_done(out);
}

/* To its end: how many events, or -1 with the error's code in @ret_code. */
static int walk(GBytes *bytes, int *ret_code, AttEventTail *ret_tail) {
        g_autoptr(GError) error = NULL;
        AttEvent event = { .number = 77 };
        AttEventStep step;
        AttEventLog log = { .n_events = 77 };
        unsigned n = 0;

        if (!att_event_log_open(&log, att_cursor_bytes(bytes), &error)) {
                ck_assert(error && error->domain == ATT_ERROR);
                ck_assert_uint_eq(log.n_events, 77);
                *ret_code = error->code;
                return -1;
        }
        while ((step = att_event_log_next(&log, &event, &error)) == ATT_EVENT_READ) {
                ck_assert_uint_eq(event.number, n++);
                ck_assert_uint_lt(event.reg, ATT_EVENT_REGISTERS);
                event.number = 77;
        }
        if (step == ATT_EVENT_BAD) {
                ck_assert(error && error->domain == ATT_ERROR);
                ck_assert_uint_eq(event.number, 77);
                *ret_code = error->code;
                return -1;
        }
        ck_assert_ptr_null(error);
        ck_assert_uint_le(att_event_log_end(&log, ret_tail), g_bytes_get_size(bytes));
        return (int) n;
}

static bool is_refused(GBytes *bytes, int code) {
        AttEventTail tail;
        int found = -1;

        if (walk(bytes, &found, &tail) >= 0)
                return false;
        ck_assert_int_eq(found, code);
        return true;
}

static AttEvent read_event(AttEventLog *log) {
        AttEvent event;

        ck_assert_int_eq(att_event_log_next(log, &event, NULL), ATT_EVENT_READ);
        return event;
}

static AttEvent event_of(uint32_t type, const void *data, size_t size) {
        return (AttEvent) { .type = type, .data = att_cursor(data, size) };
}

static void check_text(uint32_t type, const void *data, size_t size, const char *expected) {
        AttEvent event = event_of(type, data, size);
        g_autofree char *text = att_event_dup_text(&event);

        ck_assert_msg(g_strcmp0(text, expected) == 0, "type %x: \"%s\", not \"%s\"", type, text ? text : "(none)",
                      expected ? expected : "(none)");
}

START_TEST(finds_every_field) {
        g_autoptr(GBytes) bytes = make_bytes();
        const uint8_t *p = g_bytes_get_data(bytes, NULL);
        AttEventLog log;
        AttEvent e;

        ck_assert(att_event_log_is_like(bytes));
        ck_assert(att_event_log_open(&log, att_cursor_bytes(bytes), NULL));
        ck_assert(log.is_agile);
        ck_assert_uint_eq(log.banks, ATT_BANK_SET(ATT_BANK_SHA1) | ATT_BANK_SET(ATT_BANK_SHA384));
        ck_assert_uint_eq(log.n_algorithms, 3);
        ck_assert_uint_eq(log.algorithms[1].id, ALG_SM3);
        ck_assert_uint_eq(log.algorithms[1].size, 32);

        e = read_event(&log);
        ck_assert_uint_eq(e.type, ATT_EVENT_NO_ACTION);
        ck_assert_uint_eq(e.offset, 0);
        ck_assert_uint_eq(e.data.left, HEADER_SIZE - 32);

        e = read_event(&log);
        ck_assert_uint_eq(e.offset, FIRST_AT);
        ck_assert_uint_eq(e.reg, 7);
        ck_assert_uint_eq(e.type, ATT_EVENT_SEPARATOR);
        ck_assert_ptr_eq(e.digests[ATT_BANK_SHA1], p + FIRST_AT + 14);
        ck_assert_ptr_null(e.digests[ATT_BANK_SHA256]);
        ck_assert_ptr_eq(e.digests[ATT_BANK_SHA384], p + FIRST_AT + 14 + 20 + 2 + 32 + 2); /* SM3 is passed over */
        ck_assert_ptr_null(e.digests[ATT_BANK_SHA512]);
        ck_assert_uint_eq(e.data.left, 4);

        e = read_event(&log);
        ck_assert_uint_eq(e.offset, FIRST_AT + FIRST_SIZE);
        e = read_event(&log);
        ck_assert_ptr_nonnull(e.digests[ATT_BANK_SHA1]);
        ck_assert_ptr_null(e.digests[ATT_BANK_SHA384]);
        e = read_event(&log);
        ck_assert_int_eq(att_event_log_next(&log, &e, NULL), ATT_EVENT_END);
        ck_assert_int_eq(att_event_log_next(&log, &e, NULL), ATT_EVENT_END);
        ck_assert_uint_eq(log.n_events, 5);
}
END_TEST

START_TEST(finds_every_field_of_the_old_form) {
        g_autoptr(GByteArray) out = g_byte_array_new();
        g_autoptr(GBytes) bytes = NULL;
        const uint8_t *p;
        AttEventLog log;
        AttEvent e;

        build_old_event(out, 0, 8, "01234567890123456789", "v\0001", 4);
        build_old_event(out, 4, ATT_EVENT_SEPARATOR, "abcdefghijklmnopqrst", "\0\0\0\0", 4);
        bytes = build_done(out);
        p = g_bytes_get_data(bytes, NULL);
        ck_assert(att_event_log_is_like(bytes));
        ck_assert(att_event_log_open(&log, att_cursor_bytes(bytes), NULL));
        ck_assert(!log.is_agile);
        ck_assert_uint_eq(log.banks, ATT_BANK_SET(ATT_BANK_SHA1));
        e = read_event(&log);
        ck_assert_ptr_eq(e.digests[ATT_BANK_SHA1], p + 8);
        e = read_event(&log);
        ck_assert_uint_eq(e.reg, 4);
        ck_assert_ptr_eq(e.data.at, p + 36 + 32);
        ck_assert_int_eq(att_event_log_next(&log, &e, NULL), ATT_EVENT_END);
}
END_TEST

/* A log has no length of its own: one that is cut between two events is a log. */
START_TEST(refuses_every_prefix_that_does_not_end_with_an_event) {
        g_autoptr(GBytes) whole = make_bytes();
        const uint8_t *p = g_bytes_get_data(whole, NULL);
        g_autoptr(GHashTable) ends = g_hash_table_new(NULL, NULL);
        AttEventLog log;
        AttEvent e;

        ck_assert(att_event_log_open(&log, att_cursor_bytes(whole), NULL));
        while (att_event_log_next(&log, &e, NULL) == ATT_EVENT_READ)
                g_hash_table_add(ends, GSIZE_TO_POINTER(att_event_log_end(&log, NULL)));
        ck_assert_uint_eq(g_hash_table_size(ends), 5);

        for (size_t n = 0; n < g_bytes_get_size(whole); n++) {
                g_autoptr(GBytes) part = exact_prefix(whole, n);
                bool is_end = g_hash_table_contains(ends, GSIZE_TO_POINTER(n));

                /* The last event begins with the zeros of PCR 0: so may an unused area. */
                for (size_t zeros = 1; zeros <= 4 && n > zeros; zeros++)
                        is_end = is_end || (g_hash_table_contains(ends, GSIZE_TO_POINTER(n - zeros)) &&
                                            memcmp(p + n - zeros, "\0\0\0\0", zeros) == 0);
                ck_assert_msg(is_end != is_refused(part, ATT_ERROR_BAD_DATA), "%zu bytes", n);
        }
}
END_TEST

START_TEST(ends_at_an_unused_area) {
        static const struct {
                const char *bytes;
                size_t size;
                AttEventTail tail;
        } tails[] = {
                { "", 0, ATT_EVENT_TAIL_NONE },
                { "\xff", 1, ATT_EVENT_TAIL_ONES },
                { "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", 16, ATT_EVENT_TAIL_ONES },
                { "\0\0", 2, ATT_EVENT_TAIL_ZEROS },
                { "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 16, ATT_EVENT_TAIL_ZEROS },
                { "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\1", 16, ATT_EVENT_TAIL_OTHER },
                { "\xff\xff\xff\xff\3\0\0\0\1\0\0\0", 12, ATT_EVENT_TAIL_OTHER }, /* no register, but an event */
                { " \0\0\0\5\0\0\0", 8, ATT_EVENT_TAIL_OTHER },                   /* register 32 */
        };

        for (size_t i = 0; i < G_N_ELEMENTS(tails); i++) {
                g_autoptr(GByteArray) out = make();
                g_autoptr(GBytes) bytes = NULL;
                AttEventTail tail;
                int code;

                att_put(out, tails[i].bytes, tails[i].size);
                bytes = build_done(out);
                ck_assert_int_eq(walk(bytes, &code, &tail), 5);
                ck_assert_msg(tail == tails[i].tail, "case %zu: %s", i, att_event_tail_name(tail));
        }
}
END_TEST

START_TEST(refuses_a_header_that_is_wrong) {
        static const struct {
                size_t at;
                const char *bytes;
                size_t size;
        } cases[] = {
                { 0, " ", 1 },                  /* register 32 */
                { 8, "\1", 1 },                 /* a digest */
                { 28, "\54", 1 },               /* a size of one byte less */
                { 32 + 21, "\1", 1 },           /* major version */
                { N_AT, "\0", 1 },              /* algorithms */
                { N_AT, "\2", 1 },
                { N_AT, "\4", 1 },
                { N_AT + 4, "\x0c", 1 },        /* one twice */
                { N_AT + 4 + 2, "\x13", 1 },    /* SHA-1 of 19 bytes */
                { N_AT + 4 + 4 + 2, "\0", 1 },  /* SM3 of none */
                { N_AT + 4 + 4 + 2, "\x81", 1 },
                { N_AT + 4 + 12, "\3", 1 },     /* the vendor's bytes */
                { N_AT + 4 + 12, "\5", 1 },
        };
        g_autoptr(GBytes) good = make_bytes(), empty = exact("", 0), zeros = exact("\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"
                "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 48);

        for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
                g_autoptr(GBytes) bytes = exact_edit(good, cases[i].at, cases[i].bytes, cases[i].size);

                ck_assert_msg(is_refused(bytes, ATT_ERROR_BAD_DATA), "accepted: case %zu", i);
        }
        ck_assert(is_refused(empty, ATT_ERROR_BAD_DATA));
        ck_assert(is_refused(zeros, ATT_ERROR_BAD_DATA));
        ck_assert(!att_event_log_is_like(empty));
        ck_assert(!att_event_log_is_like(zeros));
        g_autoptr(GBytes) other = exact_edit(zeros, 0, "\3", 1);
        ck_assert(!att_event_log_is_like(other));
}
END_TEST

START_TEST(refuses_an_event_that_is_wrong) {
        static const struct {
                size_t at; /* in the first event behind the header */
                const char *bytes;
                size_t size;
        } cases[] = {
                { 8, "\0", 1 },                               /* no digests */
                { 8, "\4", 1 },                               /* more than the header has */
                { 12, "\5", 1 },                              /* an algorithm that it has not */
                { 12 + 22, "\4", 1 },                         /* one twice */
                { 4, "\3", 1 },                               /* extends nothing, with a digest */
                { FIRST_SIZE - 8, "\xff\xff\x0f", 3 },        /* data behind the end */
        };
        g_autoptr(GBytes) good = make_bytes();

        ck_assert(!is_refused(good, ATT_ERROR_BAD_DATA));
        for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
                g_autoptr(GBytes) bytes = exact_edit(good, FIRST_AT + cases[i].at, cases[i].bytes, cases[i].size);

                ck_assert_msg(is_refused(bytes, ATT_ERROR_BAD_DATA), "accepted: case %zu", i);
        }
}
END_TEST

START_TEST(sc28d_no_count_makes_the_parser_allocate_without_bound) {
        static const uint32_t counts[] = { 3 + 1, 8, 9, 0x10000, 0x7fffffff, 0xffffffff };
        g_autoptr(GBytes) good = make_bytes();
        AttEventTail tail;
        int code;

        ck_assert_int_eq(walk(good, &code, &tail), 5);
        for (size_t i = 0; i < G_N_ELEMENTS(counts); i++) {
                uint32_t n = GUINT32_TO_LE(counts[i]);
                g_autoptr(GBytes) algorithms = exact_edit(good, N_AT, &n, 4);
                g_autoptr(GBytes) digests = exact_edit(good, FIRST_AT + 8, &n, 4);
                g_autoptr(GBytes) header = exact_edit(good, 28, &n, 4);
                g_autoptr(GBytes) data = exact_edit(good, FIRST_AT + FIRST_SIZE - 8, &n, 4);

                ck_assert(is_refused(algorithms, ATT_ERROR_BAD_DATA));
                ck_assert(is_refused(digests, ATT_ERROR_BAD_DATA));
                ck_assert(is_refused(header, ATT_ERROR_BAD_DATA));
                if (counts[i] > ATT_EVENT_DATA_MAX)
                        ck_assert(is_refused(data, ATT_ERROR_TOO_LARGE));
                else if (counts[i] > 9) /* else it takes from the next event, which may still look like one */
                        ck_assert(is_refused(data, ATT_ERROR_BAD_DATA));
        }
}
END_TEST

START_TEST(sc34b_the_number_of_events_has_a_cap) {
        for (unsigned over = 0; over < 2; over++) {
                g_autoptr(GByteArray) out = g_byte_array_new();
                g_autoptr(GBytes) bytes = NULL;
                AttEventTail tail;
                int code;

                build_header(out, 0, three, 3, "");
                for (unsigned i = 1; i < ATT_EVENT_LOG_EVENTS_MAX + over; i++)
                        build_event(out, 1, EV_ACTION, three, 1, 0x40, NULL, 0);
                bytes = build_done(out);
                ck_assert_uint_le(g_bytes_get_size(bytes), ATT_EVENT_LOG_MAX);
                if (over)
                        ck_assert(is_refused(bytes, ATT_ERROR_TOO_LARGE));
                else
                        ck_assert_int_eq(walk(bytes, &code, &tail), ATT_EVENT_LOG_EVENTS_MAX);
        }
}
END_TEST

START_TEST(sc34c_an_events_data_has_a_cap) {
        for (unsigned over = 0; over < 2; over++) {
                g_autofree uint8_t *data = g_malloc0(ATT_EVENT_DATA_MAX + over);
                g_autoptr(GByteArray) out = make();
                g_autoptr(GBytes) bytes = NULL;
                AttEventTail tail;
                int code;

                build_event(out, 1, EV_ACTION, three, 3, 0x40, data, ATT_EVENT_DATA_MAX + over);
                bytes = build_done(out);
                if (over)
                        ck_assert(is_refused(bytes, ATT_ERROR_TOO_LARGE));
                else
                        ck_assert_int_eq(walk(bytes, &code, &tail), 6);
        }
}
END_TEST

START_TEST(sc34d_an_event_log_has_a_cap) {
        g_autoptr(GByteArray) out = make();
        g_autoptr(GBytes) at_cap = NULL, over = NULL;
        guint used = out->len;
        AttEventTail tail;
        int code;

        g_byte_array_set_size(out, ATT_EVENT_LOG_MAX);
        memset(out->data + used, 0xff, out->len - used);
        at_cap = build_done(out);
        ck_assert_int_eq(walk(at_cap, &code, &tail), 5);
        ck_assert_int_eq(tail, ATT_EVENT_TAIL_ONES);
        over = exact_append(at_cap, "\xff", 1);
        ck_assert(is_refused(over, ATT_ERROR_TOO_LARGE));
}
END_TEST

START_TEST(sc28a_events_behind_the_separator_are_kept_and_marked) {
        static const bool late[] = { false, false, true, false, false };
        g_autoptr(GByteArray) out = make();
        g_autoptr(GBytes) bytes = NULL;
        AttEventLog log;

        build_event(out, 7, ATT_EVENT_SEPARATOR, three, 3, 0x10, "\0\0\0\0", 4);
        bytes = build_done(out);
        ck_assert(att_event_log_open(&log, att_cursor_bytes(bytes), NULL));
        for (size_t i = 0; i < G_N_ELEMENTS(late); i++)
                ck_assert_int_eq(read_event(&log).is_late, late[i]);
        ck_assert(read_event(&log).is_late); /* another separator of the same register */
}
END_TEST

START_TEST(names_types) {
        ck_assert_str_eq(att_event_type_name(ATT_EVENT_SEPARATOR), "EV_SEPARATOR");
        ck_assert_str_eq(att_event_type_name(EV_APPLICATION), "EV_EFI_BOOT_SERVICES_APPLICATION");
        ck_assert_ptr_null(att_event_type_name(0x501));
        ck_assert(att_event_type_is_of_data(EV_VARIABLE));
        ck_assert(!att_event_type_is_of_data(EV_IPL));
        ck_assert(!att_event_type_is_of_data(ATT_EVENT_NO_ACTION));
        ck_assert(!att_event_type_is_of_data(0x501));
}
END_TEST

#define GUID_GLOBAL "\x61\xdf\xe4\x8b\xca\x93\xd2\x11\xaa\x0d\x00\xe0\x98\x03\x2b\x8c"
#define VARIABLE(n, v) GUID_GLOBAL n "\0\0\0\0\0\0\0" v "\0\0\0\0\0\0\0"

START_TEST(tells_what_is_known_of_the_data) {
        static const char one[] = VARIABLE("\2", "\1") "P\0K\0\1", two[] = VARIABLE("\2", "\2") "P\0K\0\1\2";
        static const char image[] = "01234567" "01234567" "01234567" "\xff\0\0\0\0\0\0\0"
                                    "\2\1\x0c\0" "\xd0\x41\3\n" "\0\0\0\0" "\4\4\x0c\0" "\\\0e\0\0\0XX" "\x7f\xff\4";

        check_text(ATT_EVENT_NO_ACTION, "StartupLocality\0\3", 17, "StartupLocality 3");
        check_text(ATT_EVENT_NO_ACTION, "SP800-155 Event3 and more", 25, "SP800-155 Event3");
        check_text(ATT_EVENT_NO_ACTION, "short", 5, NULL);
        check_text(ATT_EVENT_SEPARATOR, "\1\0\0\0", 4, "0x00000001");
        check_text(ATT_EVENT_SEPARATOR, "WBCL", 5, "WBCL");
        check_text(EV_ACTION, "Calling INT 19h", 15, "Calling INT 19h");
        check_text(EV_ACTION, "\x80\x81", 2, NULL);
        check_text(8, "v\0001\0\0\0", 6, "v1");
        check_text(8, GUID_GLOBAL, 16, "8be4df61-93ca-11d2-aa0d-00e098032b8c");
        check_text(EV_VARIABLE, one, sizeof one - 1, "PK-8be4df61-93ca-11d2-aa0d-00e098032b8c = 1");
        check_text(EV_VARIABLE, two, sizeof two - 1, "PK-8be4df61-93ca-11d2-aa0d-00e098032b8c, 2 bytes");
        check_text(EV_VARIABLE, two, sizeof two - 2, NULL);
        check_text(EV_IPL, "kernel_cmdline: /vmlinuz root=/dev/sda", 39, "kernel_cmdline: /vmlinuz root=/dev/sda");
        check_text(EV_IPL, "a\0b\0\0\0", 6, "ab");
        check_text(EV_IPL, "a\0\0\xd8", 4, NULL); /* half a pair */
        check_text(EV_IPL, "\1\xff", 2, NULL);
        check_text(EV_IPL, "", 0, NULL);
        check_text(EV_TAG, "\xec\";\x8f\4\0\0\0init", 12, "0x8f3b22ec: init");
        check_text(EV_TAG, "\xec\";\x8f\2\0\0\0\1\xff", 10, "0x8f3b22ec, 2 bytes");
        check_text(EV_TAG, "LOADED_IMAGE::LoadOptions", 26, "LOADED_IMAGE::LoadOptions");
        check_text(EV_APPLICATION, image, sizeof image - 1, "\\e");
        check_text(EV_APPLICATION, image, 47, NULL);
        check_text(EV_APPLICATION, image, 3, NULL);
        check_text(EV_BLOB2, "\3ovm", 4, "ovm");
        check_text(EV_BLOB2, "\4ovm", 4, NULL);
        check_text(0x501, "text", 4, NULL);
}
END_TEST

/* What a digest may be of instead of the data. */
START_TEST(finds_the_part_that_is_measured) {
        static const char boot[] = VARIABLE("\2", "\2") "P\0K\0\1\2";
        AttCursor parts[ATT_EVENT_PARTS_MAX];
        AttEvent event = event_of(EV_IPL, "grub_cmd: set a=b\0", 18);

        ck_assert_uint_eq(att_event_parts(&event, parts), 2);
        ck_assert_uint_eq(parts[0].left, 7);
        ck_assert_mem_eq(parts[0].at, "set a=b", 7);
        ck_assert_uint_eq(parts[1].left, 8);
        event = event_of(EV_IPL, "grub_cmd ", 9);
        ck_assert_uint_eq(att_event_parts(&event, parts), 1);
        ck_assert_uint_eq(parts[0].left, 0);
        event = event_of(EV_IPL, "MokList", 8);
        ck_assert_uint_eq(att_event_parts(&event, parts), 0);
        event = event_of(EV_VARIABLE_BOOT, boot, sizeof boot - 1);
        ck_assert_uint_eq(att_event_parts(&event, parts), 1);
        ck_assert_uint_eq(parts[0].left, 2);
        ck_assert_mem_eq(parts[0].at, "\1\2", 2);
        event = event_of(EV_VARIABLE_BOOT, boot, sizeof boot - 2);
        ck_assert_uint_eq(att_event_parts(&event, parts), 0);
        event = event_of(EV_ACTION, "Calling INT", 11);
        ck_assert_uint_eq(att_event_parts(&event, parts), 0);
}
END_TEST

int main(void) {
        Suite *s = suite_create("event-log");
        TCase *t = tcase_create("log"), *d = tcase_create("data");

        tcase_add_test(t, finds_every_field);
        tcase_add_test(t, finds_every_field_of_the_old_form);
        tcase_add_test(t, refuses_every_prefix_that_does_not_end_with_an_event);
        tcase_add_test(t, ends_at_an_unused_area);
        tcase_add_test(t, refuses_a_header_that_is_wrong);
        tcase_add_test(t, refuses_an_event_that_is_wrong);
        tcase_add_test(t, sc28d_no_count_makes_the_parser_allocate_without_bound);
        tcase_add_test(t, sc34b_the_number_of_events_has_a_cap);
        tcase_add_test(t, sc34c_an_events_data_has_a_cap);
        tcase_add_test(t, sc34d_an_event_log_has_a_cap);
        tcase_add_test(t, sc28a_events_behind_the_separator_are_kept_and_marked);
        suite_add_tcase(s, t);
        tcase_add_test(d, names_types);
        tcase_add_test(d, tells_what_is_known_of_the_data);
        tcase_add_test(d, finds_the_part_that_is_measured);
        suite_add_tcase(s, d);
        return run_suite(s);
}
