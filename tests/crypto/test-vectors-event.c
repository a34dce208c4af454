/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Event logs of real machines: every fact as an independent parser finds it. */
#include "crypto/event-replay.h"

#include "../codec/vectors.h"
#include "event-change.h"
#include "run.h"
#include "util/error.h"

#define BANKS_OF_THE_OTHER (ATT_BANK_SET(ATT_BANK_SHA1) | ATT_BANK_SET(ATT_BANK_SHA256) | ATT_BANK_SET(ATT_BANK_SHA384))

static bool is_log(json_t *facts) {
        const char *kind = json_string_value(json_object_get(facts, "kind"));

        return g_strcmp0(kind, "ccel") == 0 || g_strcmp0(kind, "tcg-eventlog") == 0;
}

static const char *text(json_t *facts, const char *key) {
        const char *value = json_string_value(json_object_get(facts, key));

        return value ? value : "";
}

static size_t number(json_t *facts, const char *key) {
        return (size_t) json_integer_value(json_object_get(facts, key));
}

/* The types whose digests it compares with the data: a choice of its own. */
static bool is_compared(uint32_t type) {
        static const uint32_t types[] = {
                0x04, 0x05, 0x0c, 0x80000001, 0x80000007, 0x80000009, 0x8000000a, 0x8000000c,
        };

        for (size_t i = 0; i < G_N_ELEMENTS(types); i++)
                if (types[i] == type)
                        return true;
        return false;
}

typedef struct {
        AttEventReplay *replay;
        AttEventLog log;
        AttEventStep step;
        AttEventTail tail;
        size_t end;
        size_t same;    /* digests of data */
        size_t differs; /* digests that are not */
        GError *error;
} Walk;

static unsigned n_digests(const AttEvent *event) {
        unsigned n = 0;

        for (unsigned bank = 0; bank < ATT_BANKS; bank++)
                n += BANKS_OF_THE_OTHER & ATT_BANK_SET(bank) && event->digests[bank];
        return n;
}

static void walk(const char *path, GBytes *bytes, Walk *w) {
        AttEvent event;

        w->replay = att_event_replay_new(ATT_BANK_SET_ALL);
        ck_assert_msg(att_event_log_open(&w->log, att_cursor_bytes(bytes), &w->error), "%s: %s", path,
                      w->error ? w->error->message : "");
        while ((w->step = att_event_log_next(&w->log, &event, &w->error)) == ATT_EVENT_READ) {
                ck_assert_msg(att_event_replay_add(w->replay, &event, &w->error), "%s: %s", path,
                              w->error ? w->error->message : "");
                if (event.type == ATT_EVENT_NO_ACTION || !is_compared(event.type))
                        continue;
                if (att_event_digest(&event, NULL) == ATT_EVENT_DIGEST_DATA)
                        w->same += n_digests(&event);
                else
                        w->differs += n_digests(&event);
        }
        w->end = att_event_log_end(&w->log, &w->tail);
}

static void check_registers(const char *path, json_t *facts, const Walk *w) {
        const char *name, *bank_name;
        json_t *banks, *value;
        size_t n = 0, mine = 0;

        json_object_foreach(json_object_get(facts, "replay"), name, banks) {
                const char *digits = name + strcspn(name, "0123456789");
                uint32_t reg = (uint32_t) g_ascii_strtoull(digits, NULL, 10);

                json_object_foreach(banks, bank_name, value) {
                        g_autofree char *hex = NULL;
                        AttBank bank;

                        if (!att_bank_from_name(bank_name, &bank))
                                continue; /* SM3 */
                        hex = hex_of(att_event_replay_register(w->replay, reg, bank), att_bank_size(bank));
                        ck_assert_msg(g_str_equal(hex, json_string_value(value)), "%s: %s of %s", path, bank_name,
                                      name);
                        n++;
                }
        }
        for (uint32_t reg = 0; reg < ATT_EVENT_REGISTERS; reg++)
                for (unsigned bank = 0; bank < ATT_BANKS; bank++)
                        mine += att_event_replay_extensions(w->replay, reg, (AttBank) bank) > 0;
        ck_assert_msg(mine == n, "%s: %zu registers, not %zu", path, mine, n);
}

static void check_log(const char *path, json_t *facts) {
        g_autoptr(GBytes) bytes = vectors_read(path);
        bool is_good = g_str_equal(text(facts, "parse"), "ok");
        const char *fill = text(facts, "tail_fill");
        g_autoptr(AttEventReplay) run = att_event_replay_run(bytes, ATT_BANK_SET_ALL, NULL);
        Walk w = { 0 };

        walk(path, bytes, &w);
        ck_assert_msg(w.step == (is_good ? ATT_EVENT_END : ATT_EVENT_BAD), "%s: %s", path,
                      w.error ? w.error->message : "no error");
        ck_assert_msg(w.log.n_events == number(facts, "events"), "%s: %u events", path, w.log.n_events);
        ck_assert_msg(w.end == number(facts, "used_bytes"), "%s: %zu bytes", path, w.end);
        ck_assert_msg(w.log.is_agile == g_str_equal(text(facts, "format"), "crypto-agile"), "%s", path);
        ck_assert_msg(w.log.n_algorithms == json_array_size(json_object_get(facts, "algs")), "%s", path);
        ck_assert_msg(w.tail == (w.end == g_bytes_get_size(bytes) ? ATT_EVENT_TAIL_NONE :
                                 g_str_equal(fill, "ff") ? ATT_EVENT_TAIL_ONES :
                                 g_str_equal(fill, "00") ? ATT_EVENT_TAIL_ZEROS : ATT_EVENT_TAIL_OTHER),
                      "%s: %s, not %s", path, att_event_tail_name(w.tail), fill);
        ck_assert_msg(w.same == number(facts, "digest_of_data_ok"), "%s: %zu digests of data", path, w.same);
        ck_assert_msg(w.differs == number(facts, "digest_of_data_differs"), "%s: %zu others", path, w.differs);
        ck_assert_msg(att_event_replay_falsehoods(w.replay, NULL) == 0, "%s", path);
        check_registers(path, facts, &w);

        /* What a verifier takes: whole, and nothing behind it but an unused area. */
        ck_assert_msg((run != NULL) == (is_good && w.tail != ATT_EVENT_TAIL_OTHER), "%s", path);
        ck_assert_msg(att_event_log_is_like(bytes), "%s", path);
        g_clear_error(&w.error);
        att_event_replay_free(w.replay);
}

START_TEST(every_log_is_what_it_is_known_to_be) {
        json_t *expected = vectors_expected();
        const char *path;
        json_t *facts;
        unsigned n = 0;

        json_object_foreach(expected, path, facts)
                if (is_log(facts)) {
                        check_log(path, facts);
                        n++;
                }
        printf("%u event logs\n", n);
        ck_assert_uint_ge(n, 80);
        json_decref(expected);
}
END_TEST

/* RTMRs of a quote that was made on the machine that the log is of. */
START_TEST(a_log_gives_the_rtmrs_of_its_machine) {
        json_t *expected = vectors_expected();
        const char *path;
        json_t *facts;
        unsigned n = 0;

        json_object_foreach(expected, path, facts) {
                json_t *quotes = json_object_get(facts, "quotes_with_same_rtmr"), *names;
                const char *quote;

                json_object_foreach(quotes, quote, names) {
                        g_autoptr(GBytes) bytes = vectors_read(path);
                        g_autoptr(AttEventReplay) replay = att_event_replay_run(bytes, ATT_BANK_SET_ALL, NULL);
                        uint8_t rtmr[3][48];
                        const uint8_t *const values[3] = { rtmr[0], rtmr[1], rtmr[2] };

                        if (json_array_size(names) < 3)
                                continue;
                        for (unsigned i = 0; i < 3; i++) {
                                const char *const keys[] = { "rtmr0", "rtmr1", "rtmr2" };
                                const char *hex = text(json_object_get(expected, quote), keys[i]);

                                ck_assert_uint_eq(strlen(hex), 96);
                                for (size_t k = 0; k < 48; k++)
                                        rtmr[i][k] = (uint8_t) (g_ascii_xdigit_value(hex[2 * k]) << 4 |
                                                                g_ascii_xdigit_value(hex[2 * k + 1]));
                        }
                        ck_assert_msg(replay && att_event_replay_gives_rtmrs(replay, values, NULL), "%s: %s", path,
                                      quote);
                        n++;
                }
        }
        printf("%u pairs of a log and a quote\n", n);
        ck_assert_uint_gt(n, 0);
        json_decref(expected);
}
END_TEST

/* Each byte of some logs, three ways; in a long run of all that are not large. Digests of a hash that is not ours
 * nobody looks at. */
START_TEST(a_changed_log_is_seen_but_in_what_no_register_covers) {
        bool is_long = g_strcmp0(g_getenv("ATTESTD_TEST_LONG"), "yes") == 0;
        json_t *expected = vectors_expected(), *facts;
        const char *path;
        unsigned n = 0;

        json_object_foreach(expected, path, facts) {
                size_t used = number(facts, "used_bytes");
                g_autoptr(GBytes) bytes = NULL, events = NULL;
                Changes changes = { 0 };
                bool is_ours = true;
                AttEventLog log;

                if (!is_log(facts) || !g_str_equal(text(facts, "parse"), "ok") || used > (is_long ? 12288u : 2200u))
                        continue;
                bytes = vectors_read(path);
                events = exact_prefix(bytes, used);
                ck_assert(att_event_log_open(&log, att_cursor_bytes(events), NULL));
                for (unsigned i = 0; i < log.n_algorithms; i++)
                        is_ours = is_ours && att_event_algorithm_name(log.algorithms[i].id) &&
                                  log.algorithms[i].id != 0x0012;
                if (!is_ours)
                        continue;
                changes_try(&changes, events, ATT_BANK_SET_ALL, 0x01);
                changes_try(&changes, events, ATT_BANK_SET_ALL, 0x80);
                changes_try(&changes, events, ATT_BANK_SET_ALL, 0xff);
                changes_print(&changes, path);
                n++;
        }
        ck_assert_uint_ge(n, 5);
        json_decref(expected);
}
END_TEST

/* A log that is cut is refused, or is cut between two events and replays to something else, or lacks but
 * events that extend nothing. */
START_TEST(a_cut_log_is_seen) {
        json_t *expected = vectors_expected(), *facts;
        const char *path;
        unsigned n = 0;

        json_object_foreach(expected, path, facts) {
                size_t used = number(facts, "used_bytes");
                g_autoptr(AttEventReplay) good = NULL;
                g_autoptr(GBytes) bytes = NULL;

                if (!is_log(facts) || !g_str_equal(text(facts, "parse"), "ok") || used > 2200)
                        continue;
                bytes = vectors_read(path);
                g_autoptr(GBytes) events = exact_prefix(bytes, used);
                good = att_event_replay_run(events, ATT_BANK_SET_ALL, NULL);
                for (size_t size = 0; size < used; size++) {
                        g_autoptr(GBytes) cut = exact_prefix(bytes, size);
                        g_autoptr(AttEventReplay) replay = att_event_replay_run(cut, ATT_BANK_SET_ALL, NULL);
                        bool same = replay != NULL;

                        for (unsigned bank = 0; same && bank < ATT_BANKS; bank++)
                                for (uint32_t reg = 0; same && reg < ATT_EVENT_REGISTERS; reg++)
                                        same = att_event_replay_extensions(replay, reg, (AttBank) bank) ==
                                               att_event_replay_extensions(good, reg, (AttBank) bank);
                        ck_assert_msg(!same, "%s, of %zu bytes", path, size);
                }
                n++;
        }
        ck_assert_uint_ge(n, 5);
        json_decref(expected);
}
END_TEST

int main(int argc, char **argv) {
        Suite *s = suite_create("vectors-event");
        TCase *t = tcase_create("real");

        if (!vectors_open(argc, argv))
                return 77;
        tcase_set_timeout(t, 600);
        tcase_add_test(t, every_log_is_what_it_is_known_to_be);
        tcase_add_test(t, a_log_gives_the_rtmrs_of_its_machine);
        tcase_add_test(t, a_changed_log_is_seen_but_in_what_no_register_covers);
        tcase_add_test(t, a_cut_log_is_seen);
        suite_add_tcase(s, t);
        return run_suite(s);
}
