/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Logs of real machines, replayed beside what an independent program makes of them. */
#include "crypto/ima-replay.h"

#include "codec/vectors.h"
#include "run.h"

static json_t *member(json_t *object, const char *key) {
        return json_object_get(object, key);
}

static bool bank_of_size(size_t size, AttBank *ret) {
        for (unsigned b = 0; b < ATT_BANKS; b++)
                if (att_bank_size((AttBank) b) == size) {
                        *ret = (AttBank) b;
                        return true;
                }
        return false;
}

static size_t number(json_t *expected, const char *key) {
        return (size_t) json_integer_value(member(expected, key));
}

static void check_aggregates(const char *path, json_t *expected, const AttImaReplay *replay) {
        json_t *pcr10 = member(member(expected, "replay"), "pcr10");

        for (unsigned b = 0; b < ATT_BANKS; b++) {
                AttBank bank = (AttBank) b;
                const char *hex = json_string_value(member(pcr10, att_bank_name(bank)));
                g_autofree char *found = hex_of(att_ima_replay_aggregate(replay, bank), att_bank_size(bank));

                ck_assert_msg(g_strcmp0(hex, found) == 0, "%s: %s of PCR 10 is %s", path, att_bank_name(bank), found);
        }
}

static void check_boot_aggregate(const char *path, json_t *expected, const AttImaReplay *replay) {
        const char *text = json_string_value(member(expected, "boot_aggregate"));
        size_t size;
        const uint8_t *found = att_ima_replay_boot_aggregate(replay, &size);
        g_autofree char *hex = found ? hex_of(found, size) : NULL;

        if (text)
                ck_assert_msg(g_strcmp0(strchr(text, ':') + 1, hex) == 0, "%s: boot_aggregate %s", path, hex);
}

/* Entries taken, up to one that is none or is not what its hash says. */
static AttImaReplay *replay_log(GBytes *log, AttBank listed, size_t *ret_left) {
        AttImaReplay *replay = att_ima_replay_new(ATT_BANK_SET_ALL);
        AttCursor c = att_cursor_bytes(log);
        AttImaRecord r;

        do {
                *ret_left = c.left;
        } while (att_ima_record_parse(&c, listed, &r, NULL) == ATT_IMA_RECORD &&
                 att_ima_replay_add(replay, &r, listed, NULL));
        return replay;
}

static void check_log(const char *path, json_t *expected) {
        g_autoptr(GBytes) log = vectors_read(path);
        g_autoptr(AttImaReplay) replay = NULL;
        json_t *wrong = json_array_get(member(expected, "mismatch_indexes"), 0);
        size_t left;
        AttBank listed;

        ck_assert(bank_of_size(number(expected, "template_hash_bytes"), &listed));
        replay = replay_log(log, listed, &left);
        if (wrong) {
                ck_assert_uint_eq(att_ima_replay_count(replay), (size_t) json_integer_value(wrong));
                return;
        }
        ck_assert_msg(att_ima_replay_count(replay) == number(expected, "entries"), "%s: %" G_GUINT64_FORMAT " entries",
                      path, att_ima_replay_count(replay));
        ck_assert_msg(left == number(expected, "leftover_bytes"), "%s: %zu bytes are left", path, left);
        ck_assert_uint_eq(att_ima_replay_violations(replay), number(expected, "violations"));
        if (att_ima_replay_count(replay) > 0)
                check_aggregates(path, expected, replay);
        check_boot_aggregate(path, expected, replay);
}

START_TEST(replays_as_an_independent_program_does) {
        g_autoptr(json_t) all = vectors_expected();
        size_t binary = 0, ascii = 0;
        const char *path;
        json_t *expected;

        json_object_foreach(all, path, expected) {
                const char *format = json_string_value(member(expected, "format"));

                if (g_strcmp0(json_string_value(member(expected, "kind")), "ima-log") != 0)
                        continue;
                if (g_strcmp0(format, "binary") == 0) {
                        check_log(path, expected);
                        binary++;
                } else {
                        /* The list for people: not one byte of it is taken for a record. */
                        g_autoptr(GBytes) log = vectors_read(path);
                        size_t left;

                        for (unsigned b = 0; b < ATT_BANKS; b++) {
                                g_autoptr(AttImaReplay) replay = replay_log(log, (AttBank) b, &left);

                                ck_assert_uint_eq(att_ima_replay_count(replay), 0);
                        }
                        ascii++;
                }
        }
        ck_assert_uint_ge(binary, 19);
        ck_assert_uint_ge(ascii, 20);
}
END_TEST

/* Lines "bank index hex": the registers of the machine behind its last record. */
static void check_register(const char *folder, const char *file, size_t n_entries) {
        g_autofree char *path = g_build_filename(folder, file, NULL);
        g_autoptr(GBytes) bytes = vectors_read(path);
        g_autofree char *text = g_strndup(g_bytes_get_data(bytes, NULL), g_bytes_get_size(bytes));
        g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
        size_t registers = 0;

        for (size_t i = 0; lines[i]; i++) {
                g_auto(GStrv) words = g_strsplit(lines[i], " ", -1);
                AttBank bank;

                if (g_strv_length(words) != 3 || strcmp(words[1], "10") != 0 || !att_bank_from_name(words[0], &bank))
                        continue;
                for (unsigned listed = ATT_BANK_SHA1; listed <= ATT_BANK_SHA384; listed++) {
                        g_autofree char *log_path = g_strdup_printf("%s/binary_runtime_measurements_%s", folder,
                                                                    att_bank_name((AttBank) listed));
                        g_autoptr(GBytes) log = vectors_read(log_path);
                        g_autoptr(AttImaReplay) replay = att_ima_replay_new(ATT_BANK_SET(bank));
                        AttCursor c = att_cursor_bytes(log);
                        g_autofree char *hex = NULL;
                        AttImaRecord r;

                        while (att_ima_replay_count(replay) < n_entries &&
                               att_ima_record_parse(&c, (AttBank) listed, &r, NULL) == ATT_IMA_RECORD)
                                ck_assert(att_ima_replay_add(replay, &r, (AttBank) listed, NULL));
                        hex = hex_of(att_ima_replay_aggregate(replay, bank), att_bank_size(bank));
                        ck_assert_str_eq(hex, words[2]);
                }
                registers++;
        }
        ck_assert_uint_eq(registers, 3);
}

START_TEST(equals_pcr_10_of_the_machine) {
        check_register("ima-own/sig-sha256", "pcrs.txt", 20);
        check_register("ima-own/ngv2-sha384", "pcrs.txt", 20);
        check_register("ima-own/sigv2-critical-data", "pcrs.txt", 21);
        check_register("tpm-own/ima", "pcrs.txt", 7);
        check_register("tpm-own/ima", "pcrs-at-quote.txt", 5);
}
END_TEST

typedef struct Changes {
        size_t refused, moved, uncovered;
} Changes;

/* Each byte of one record changed: the log is refused there, or the register differs as the entry is of another
 * PCR now. But for what no hash covers: the data of a violation, and the PCR of an entry of another PCR. */
static void change_record(const char *path, uint8_t *log, size_t at, size_t size, size_t left, AttBank listed,
                          const AttImaRecord *good, Changes *c) {
        g_autoptr(AttImaReplay) replay = att_ima_replay_new(0);
        const uint8_t *data = good->data.at;

        for (size_t i = at; i < at + size; i++) {
                AttCursor cursor = att_cursor(log + at, left);
                AttImaRecord r;

                log[i] ^= (uint8_t) (1u << (i % 8));
                if (att_ima_record_parse(&cursor, listed, &r, NULL) != ATT_IMA_RECORD ||
                    !att_ima_replay_add(replay, &r, listed, NULL))
                        c->refused++;
                else if ((r.pcr == ATT_IMA_PCR) != (good->pcr == ATT_IMA_PCR))
                        c->moved++;
                else if ((r.is_violation && log + i >= data && log + i < data + good->data.left) || i < at + 4)
                        c->uncovered++;
                else
                        ck_abort_msg("%s: byte %zu, %zu of its record, may be changed", path, i, i - at);
                log[i] ^= (uint8_t) (1u << (i % 8));
        }
}

START_TEST(every_one_byte_change_is_refused_or_shows_in_the_register) {
        g_autoptr(json_t) all = vectors_expected();
        Changes c = { 0 };
        const char *path;
        json_t *expected;

        json_object_foreach(all, path, expected) {
                g_autoptr(GBytes) bytes = NULL;
                g_autofree uint8_t *log = NULL;
                AttCursor cursor;
                AttImaRecord r;
                AttBank listed;
                gsize size;

                if (g_strcmp0(json_string_value(member(expected, "kind")), "ima-log") != 0 ||
                    g_strcmp0(json_string_value(member(expected, "format")), "binary") != 0 ||
                    json_array_size(member(expected, "problems")) > 0)
                        continue;
                ck_assert(bank_of_size(number(expected, "template_hash_bytes"), &listed));
                bytes = vectors_read(path);
                log = g_memdup2(g_bytes_get_data(bytes, NULL), g_bytes_get_size(bytes));
                size = g_bytes_get_size(bytes);
                cursor = att_cursor(log, size);
                for (size_t at = 0; at < size; at = size - cursor.left) {
                        ck_assert_int_eq(att_ima_record_parse(&cursor, listed, &r, NULL), ATT_IMA_RECORD);
                        change_record(path, log, at, size - cursor.left - at, size - at, listed, &r, &c);
                }
        }
        ck_assert_uint_gt(c.refused, 1000 * 1000);
        ck_assert_uint_gt(c.moved, 10000);
        ck_assert_uint_gt(c.uncovered, 100);
        ck_assert_uint_lt(c.uncovered, 10000);
}
END_TEST

int main(int argc, char **argv) {
        Suite *s = suite_create("vectors-ima");
        TCase *t = tcase_create("logs");

        if (!vectors_open(argc, argv))
                return 77;
        tcase_add_test(t, replays_as_an_independent_program_does);
        tcase_add_test(t, equals_pcr_10_of_the_machine);
        tcase_add_test(t, every_one_byte_change_is_refused_or_shows_in_the_register);
        tcase_set_timeout(t, 60);
        suite_add_tcase(s, t);
        return run_suite(s);
}
