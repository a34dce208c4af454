/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "crypto/event-replay.h"

#include "../codec/event-build.h"
#include "crypto/digest.h"
#include "event-change.h"
#include "run.h"
#include "util/error.h"

#define EV_IPL 0x0d
#define EV_ACTION 0x05
#define EV_VARIABLE_BOOT 0x80000002
#define SHA384_SIZE 48u
#define BANKS (ATT_BANK_SET(ATT_BANK_SHA1) | ATT_BANK_SET(ATT_BANK_SHA384))

static const BuildAlgorithm two[] = { { ALG_SHA1, 20 }, { ALG_SHA384, 48 } };

static void digest_of(AttBank bank, const void *data, size_t size, uint8_t *ret) {
        AttPart part = { .data = data, .size = size };

        att_bank_digest_parts(bank, &part, 1, ret);
}

/* An event whose digests are of @data; @as: what stands in the log in their place. */
static void add_event(GByteArray *out, uint32_t reg, uint32_t type, const char *data, const char *as) {
        uint8_t digest[ATT_BANK_SIZE_MAX];

        att_put_le(out, reg, 4);
        att_put_le(out, type, 4);
        att_put_le(out, 2, 4);
        digest_of(ATT_BANK_SHA1, data, strlen(data), digest);
        att_put_le(out, ALG_SHA1, 2);
        att_put(out, digest, 20);
        digest_of(ATT_BANK_SHA384, data, strlen(data), digest);
        att_put_le(out, ALG_SHA384, 2);
        att_put(out, digest, SHA384_SIZE);
        att_put_le(out, strlen(as), 4);
        att_put(out, as, strlen(as));
}

static void add_locality(GByteArray *out, uint32_t reg, uint8_t locality) {
        uint8_t data[17] = ATT_EVENT_STARTUP_LOCALITY;

        data[16] = locality;
        build_event(out, reg, ATT_EVENT_NO_ACTION, two, 2, 0, data, sizeof data);
}

static GByteArray *begin(void) {
        GByteArray *out = g_byte_array_new();

        build_header(out, 1, two, 2, "");
        return out;
}

static GByteArray *make(void) {
        GByteArray *out = begin();

        add_event(out, 1, EV_ACTION, "first", "first");
        add_event(out, 2, EV_IPL, "ls /boot", "grub_cmd: ls /boot");
        add_event(out, 1, ATT_EVENT_SEPARATOR, "nul.", "nul.");
        add_event(out, 3, EV_IPL, "something else", "initrd");
        add_event(out, 1, EV_ACTION, "first", "first");
        return out;
}

static GBytes *make_bytes(void) {
        g_autoptr(GByteArray) out = make();

        return build_done(out);
}

static AttEventReplay *replay_of(const GByteArray *out) {
        g_autoptr(GBytes) bytes = exact(out->data, out->len);

        return att_event_replay_run(bytes, BANKS, NULL);
}

static bool is_refused(const GByteArray *out) {
        g_autoptr(GBytes) bytes = exact(out->data, out->len);
        g_autoptr(GError) error = NULL;
        g_autoptr(AttEventReplay) replay = att_event_replay_run(bytes, BANKS, &error);

        if (replay)
                return false;
        ck_assert(g_error_matches(error, ATT_ERROR, ATT_ERROR_BAD_DATA));
        return true;
}

static void extend(AttBank bank, uint8_t *value, const char *data) {
        uint8_t digest[ATT_BANK_SIZE_MAX];
        AttPart parts[2] = { { value, att_bank_size(bank) }, { digest, att_bank_size(bank) } };

        digest_of(bank, data, strlen(data), digest);
        att_bank_digest_parts(bank, parts, 2, value);
}

START_TEST(replays_each_register_in_each_bank) {
        g_autoptr(GByteArray) out = make();
        g_autoptr(AttEventReplay) replay = replay_of(out);

        ck_assert_ptr_nonnull(replay);
        ck_assert_uint_eq(att_event_replay_banks(replay), BANKS);
        for (unsigned b = 0; b < ATT_BANKS; b++) {
                uint8_t value[ATT_BANK_SIZE_MAX] = { 0 };
                AttBank bank = (AttBank) b;

                if (!(BANKS & ATT_BANK_SET(bank))) {
                        ck_assert_uint_eq(att_event_replay_extensions(replay, 1, bank), 0);
                        continue;
                }
                ck_assert_mem_eq(att_event_replay_register(replay, 4, bank), value, att_bank_size(bank));
                extend(bank, value, "first");
                extend(bank, value, "nul.");
                extend(bank, value, "first");
                ck_assert_mem_eq(att_event_replay_register(replay, 1, bank), value, att_bank_size(bank));
                ck_assert_uint_eq(att_event_replay_extensions(replay, 1, bank), 3);
                ck_assert_uint_eq(att_event_replay_extensions(replay, 4, bank), 0);
        }
}
END_TEST

START_TEST(compares_registers) {
        g_autoptr(GByteArray) out = make();
        g_autoptr(AttEventReplay) replay = replay_of(out);
        const uint8_t *rtmr[3];

        for (unsigned n = 0; n < 3; n++)
                rtmr[n] = att_event_replay_register(replay, ATT_EVENT_RTMR(n), ATT_BANK_SHA384);
        ck_assert(att_event_replay_gives_rtmrs(replay, rtmr, NULL));
        for (unsigned n = 0; n < 3; n++) {
                g_autofree uint8_t *other = g_memdup2(rtmr[n], SHA384_SIZE);
                g_autoptr(GError) error = NULL, of_one = NULL;
                const uint8_t *with[3] = { rtmr[0], rtmr[1], rtmr[2] };

                other[SHA384_SIZE - 1] ^= 1;
                with[n] = other;
                ck_assert(!att_event_replay_gives_rtmrs(replay, with, &error));
                ck_assert(g_error_matches(error, ATT_ERROR, ATT_ERROR_REFUSED));
                ck_assert(strchr(error->message, (int) ('0' + n)));
                ck_assert(att_event_replay_gives(replay, n + 1, ATT_BANK_SHA384, rtmr[n], NULL));
                ck_assert(!att_event_replay_gives(replay, n + 1, ATT_BANK_SHA384, other, &of_one));
                ck_assert(g_error_matches(of_one, ATT_ERROR, ATT_ERROR_REFUSED));
        }
        /* A bank that was not replayed has no value, and a register that is none neither. */
        uint8_t zeros[ATT_BANK_SIZE_MAX] = { 0 };
        ck_assert(att_event_replay_gives(replay, 9, ATT_BANK_SHA384, zeros, NULL));
        ck_assert(!att_event_replay_gives(replay, 9, ATT_BANK_SHA256, zeros, NULL));
        ck_assert(!att_event_replay_gives(replay, ATT_EVENT_REGISTERS, ATT_BANK_SHA384, zeros, NULL));
}
END_TEST

START_TEST(sc28b_no_action_extends_nothing) {
        g_autoptr(GByteArray) out = make();
        g_autoptr(AttEventReplay) before = replay_of(out), after = NULL;

        build_event(out, 1, ATT_EVENT_NO_ACTION, two, 2, 0, "nothing", 7);
        after = replay_of(out);
        ck_assert_mem_eq(att_event_replay_register(before, 1, ATT_BANK_SHA384),
                         att_event_replay_register(after, 1, ATT_BANK_SHA384), SHA384_SIZE);

        /* The same event, but that it extends. */
        build_event(out, 1, EV_IPL, two, 2, 0, "nothing", 7);
        g_autoptr(AttEventReplay) extended = replay_of(out);
        ck_assert_mem_ne(att_event_replay_register(before, 1, ATT_BANK_SHA384),
                         att_event_replay_register(extended, 1, ATT_BANK_SHA384), SHA384_SIZE);
}
END_TEST

START_TEST(sc28c_startup_locality_is_what_pcr_0_begins_with) {
        g_autoptr(GByteArray) out = begin();
        g_autoptr(AttEventReplay) replay = NULL, untouched = NULL;
        uint8_t value[SHA384_SIZE] = { 0 };

        value[SHA384_SIZE - 1] = 3;
        add_locality(out, 0, 3);
        untouched = replay_of(out);
        ck_assert_mem_eq(att_event_replay_register(untouched, 0, ATT_BANK_SHA384), value, SHA384_SIZE);
        add_event(out, 0, EV_ACTION, "first", "first");
        add_event(out, 1, EV_ACTION, "first", "first");
        replay = replay_of(out);
        extend(ATT_BANK_SHA384, value, "first");
        ck_assert_mem_eq(att_event_replay_register(replay, 0, ATT_BANK_SHA384), value, SHA384_SIZE);
        memset(value, 0, sizeof value);
        extend(ATT_BANK_SHA384, value, "first");
        ck_assert_mem_eq(att_event_replay_register(replay, 1, ATT_BANK_SHA384), value, SHA384_SIZE);

        /* Too late, twice, for another register, of a locality that there is not. */
        add_locality(out, 0, 3);
        ck_assert(is_refused(out));
        for (unsigned i = 0; i < 3; i++) {
                g_autoptr(GByteArray) other = begin();

                add_locality(other, i == 0 ? 1 : 0, i == 1 ? 5 : 0);
                if (i == 2) {
                        ck_assert(!is_refused(other));
                        add_locality(other, 0, 0);
                }
                ck_assert_msg(is_refused(other), "case %u", i);
        }
        g_autoptr(GByteArray) shorter = begin();
        build_event(shorter, 0, ATT_EVENT_NO_ACTION, two, 2, 0, ATT_EVENT_STARTUP_LOCALITY, 16);
        ck_assert(is_refused(shorter));
}
END_TEST

START_TEST(tells_what_a_digest_is_of) {
        static const struct {
                uint32_t type;
                const char *data;
                const char *as;
                AttEventDigest digest;
        } cases[] = {
                { EV_ACTION, "text", "text", ATT_EVENT_DIGEST_DATA },
                { EV_ACTION, "text", "texT", ATT_EVENT_DIGEST_FALSE },
                { EV_IPL, "text", "text", ATT_EVENT_DIGEST_DATA },
                { EV_IPL, "root=/dev/sda", "kernel_cmdline: root=/dev/sda", ATT_EVENT_DIGEST_PART },
                { EV_IPL, "text", "initrd", ATT_EVENT_DIGEST_OTHER },
                { EV_VARIABLE_BOOT, "text", "not a variable", ATT_EVENT_DIGEST_OTHER },
        };

        for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
                g_autoptr(GByteArray) out = begin();
                g_autoptr(AttEventReplay) replay = NULL;
                g_autoptr(GBytes) bytes = NULL;
                unsigned first = 77;
                AttCursor part;
                AttEventLog log;
                AttEvent event;

                add_event(out, 4, cases[i].type, cases[i].data, cases[i].as);
                add_locality(out, 0, 0);
                bytes = build_done(out);
                ck_assert(att_event_log_open(&log, att_cursor_bytes(bytes), NULL));
                ck_assert_int_eq(att_event_log_next(&log, &event, NULL), ATT_EVENT_READ);
                ck_assert_int_eq(att_event_digest(&event, NULL), ATT_EVENT_DIGEST_NONE);
                ck_assert_int_eq(att_event_log_next(&log, &event, NULL), ATT_EVENT_READ);
                ck_assert_int_eq(att_event_digest(&event, &part), cases[i].digest);
                if (cases[i].digest == ATT_EVENT_DIGEST_PART)
                        ck_assert_mem_eq(part.at, cases[i].data, strlen(cases[i].data));
                ck_assert_int_eq(att_event_log_next(&log, &event, NULL), ATT_EVENT_READ);
                ck_assert_int_eq(att_event_digest(&event, NULL), ATT_EVENT_DIGEST_NONE);

                /* One bank that agrees is not enough. */
                ck_assert_ptr_nonnull(replay = replay_of(out));
                ck_assert_uint_eq(att_event_replay_falsehoods(replay, &first),
                                  cases[i].digest == ATT_EVENT_DIGEST_FALSE ? 1 : 0);
                ck_assert_uint_eq(first, cases[i].digest == ATT_EVENT_DIGEST_FALSE ? 1 : 0);
        }
}
END_TEST

START_TEST(a_digest_is_of_the_data_only_if_each_bank_agrees) {
        g_autoptr(GByteArray) out = begin();
        g_autoptr(GBytes) bytes = NULL, edited = NULL;
        g_autoptr(AttEventReplay) replay = NULL;
        size_t at = out->len + 12 + 2 + 20 + 2;

        add_event(out, 4, EV_ACTION, "text", "text");
        bytes = build_done(out);
        edited = exact_edit(bytes, at, "X", 1);
        replay = att_event_replay_run(edited, BANKS, NULL);
        ck_assert_uint_eq(att_event_replay_falsehoods(replay, NULL), 1);
}
END_TEST

/* A log that a verifier takes for the good one, though it is another, differs in what no digest covers. Each bit;
 * in a long run each value. */
START_TEST(every_change_of_a_byte_is_refused_or_replays_to_something_else) {
        g_autoptr(GBytes) bytes = make_bytes();
        bool is_long = g_strcmp0(g_getenv("ATTESTD_TEST_LONG"), "yes") == 0;
        Changes changes = { 0 };

        for (unsigned x = 1; x < 256; x = is_long ? x + 1 : 2 * x)
                changes_try(&changes, bytes, BANKS, (uint8_t) x);
        changes_print(&changes, "a log of our own");
        ck_assert_uint_gt(changes.refused, 0);
        ck_assert_uint_gt(changes.other, 0);
}
END_TEST

START_TEST(refuses_what_is_no_unused_area) {
        g_autoptr(GByteArray) out = make();

        att_put(out, "\xff\xff\xff\xff\xff\xff\xff\xff", 8);
        ck_assert(!is_refused(out));
        att_put(out, "\xfe", 1);
        ck_assert(is_refused(out));
}
END_TEST

int main(void) {
        Suite *s = suite_create("event-replay");
        TCase *t = tcase_create("replay");

        tcase_set_timeout(t, 60);
        tcase_add_test(t, replays_each_register_in_each_bank);
        tcase_add_test(t, compares_registers);
        tcase_add_test(t, sc28b_no_action_extends_nothing);
        tcase_add_test(t, sc28c_startup_locality_is_what_pcr_0_begins_with);
        tcase_add_test(t, tells_what_a_digest_is_of);
        tcase_add_test(t, a_digest_is_of_the_data_only_if_each_bank_agrees);
        tcase_add_test(t, every_change_of_a_byte_is_refused_or_replays_to_something_else);
        tcase_add_test(t, refuses_what_is_no_unused_area);
        suite_add_tcase(s, t);
        return run_suite(s);
}
