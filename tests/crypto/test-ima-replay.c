/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "crypto/ima-replay.h"

#include "codec/ima-record.h"
#include "run.h"
#include "util/error.h"

static const GChecksumType checksums[ATT_BANKS] = {
        G_CHECKSUM_SHA1, G_CHECKSUM_SHA256, G_CHECKSUM_SHA384, G_CHECKSUM_SHA512,
};

/* The second opinion: GLib's hashes. */
static void hash(unsigned bank, const void *a, size_t a_size, const void *b, size_t b_size, uint8_t *ret) {
        g_autoptr(GChecksum) sum = g_checksum_new(checksums[bank]);
        gsize size = ATT_BANK_SIZE_MAX;

        g_checksum_update(sum, a, (gssize) a_size);
        g_checksum_update(sum, b, (gssize) b_size);
        g_checksum_get_digest(sum, ret, &size);
        ck_assert_uint_eq(size, att_bank_size((AttBank) bank));
}

static GByteArray *data_of(const char *path, uint8_t fill) {
        GByteArray *data = g_byte_array_new();

        ima_put_digest(data, "sha256:", fill, 32);
        ima_put_path(data, path);
        return data;
}

static void put_entry(GByteArray *log, uint32_t pcr, AttBank listed, const char *path, uint8_t fill) {
        g_autoptr(GByteArray) data = data_of(path, fill);
        uint8_t digest[ATT_BANK_SIZE_MAX];

        hash(listed, data->data, data->len, "", 0, digest);
        ima_put_record(log, pcr, digest, listed, "ima-ng", data);
}

static void put_violation(GByteArray *log, AttBank listed, const char *path) {
        g_autoptr(GByteArray) data = data_of(path, 0);

        ima_put_record(log, 10, NULL, listed, "ima-ng", data);
}

/* Entries taken until there are none, or one is refused. */
static bool replay_all(AttImaReplay *replay, const void *log, size_t size, AttBank listed) {
        AttCursor c = att_cursor(log, size);
        AttImaRecord r;

        while (c.left > 0) {
                g_autoptr(GError) error = NULL;

                if (att_ima_record_parse(&c, listed, &r, &error) != ATT_IMA_RECORD)
                        return false;
                if (!att_ima_replay_add(replay, &r, listed, &error)) {
                        ck_assert(g_error_matches(error, ATT_ERROR, ATT_ERROR_BAD_DATA));
                        return false;
                }
        }
        return true;
}

static GByteArray *log_of(AttBank listed) {
        GByteArray *log = g_byte_array_new();

        put_entry(log, 10, listed, "boot_aggregate", 0x11);
        put_entry(log, 10, listed, "/usr/bin/true", 0x22);
        put_violation(log, listed, "/tmp/v1");
        put_entry(log, 11, listed, "/elsewhere", 0x33);
        put_entry(log, 10, listed, "/usr/bin/false", 0x44);
        return log;
}

/* What PCR 10 of @bank is behind the first @n entries of log_of(). */
static void expected_aggregate(unsigned bank, unsigned n, uint8_t *ret) {
        static const struct {
                const char *path;
                uint8_t fill;
        } entries[] = {
                { "boot_aggregate", 0x11 }, { "/usr/bin/true", 0x22 }, { NULL, 0 }, /* a violation */
                { "", 0 }, /* not of PCR 10 */ { "/usr/bin/false", 0x44 },
        };
        size_t size = att_bank_size((AttBank) bank);

        memset(ret, 0, size);
        for (unsigned i = 0; i < n; i++) {
                uint8_t digest[ATT_BANK_SIZE_MAX];

                memset(digest, 0xff, sizeof digest);
                if (entries[i].path && !*entries[i].path)
                        continue;
                if (entries[i].path) {
                        g_autoptr(GByteArray) data = data_of(entries[i].path, entries[i].fill);

                        hash(bank, data->data, data->len, "", 0, digest);
                }
                hash(bank, ret, size, digest, size, ret);
        }
}

START_TEST(every_bank_follows_from_every_list) {
        for (unsigned listed = 0; listed < ATT_BANKS; listed++) {
                g_autoptr(GByteArray) log = log_of((AttBank) listed);
                g_autoptr(AttImaReplay) replay = att_ima_replay_new(ATT_BANK_SET_ALL);
                const uint8_t *boot;
                size_t size;

                ck_assert(replay_all(replay, log->data, log->len, (AttBank) listed));
                ck_assert_uint_eq(att_ima_replay_count(replay), 5);
                ck_assert_uint_eq(att_ima_replay_violations(replay), 1);
                boot = att_ima_replay_boot_aggregate(replay, &size);
                ck_assert_uint_eq(size, 32);
                ck_assert_uint_eq(boot[31], 0x11);
                for (unsigned b = 0; b < ATT_BANKS; b++) {
                        uint8_t expected[ATT_BANK_SIZE_MAX];

                        expected_aggregate(b, 5, expected);
                        ck_assert_mem_eq(att_ima_replay_aggregate(replay, (AttBank) b), expected,
                                         att_bank_size((AttBank) b));
                }
        }
}
END_TEST

START_TEST(begins_with_zeros_and_nothing) {
        static const uint8_t zeros[ATT_BANK_SIZE_MAX];
        g_autoptr(AttImaReplay) replay = att_ima_replay_new(ATT_BANK_SET(ATT_BANK_SHA256));
        size_t size = 1;

        ck_assert_uint_eq(att_ima_replay_count(replay), 0);
        ck_assert_ptr_null(att_ima_replay_boot_aggregate(replay, &size));
        ck_assert_uint_eq(size, 0);
        ck_assert_mem_eq(att_ima_replay_aggregate(replay, ATT_BANK_SHA256), zeros, 32);
}
END_TEST

START_TEST(only_the_first_entry_is_the_boot_aggregate) {
        g_autoptr(GByteArray) log = g_byte_array_new();
        g_autoptr(AttImaReplay) replay = att_ima_replay_new(ATT_BANK_SET(ATT_BANK_SHA256));
        size_t size;

        put_entry(log, 10, ATT_BANK_SHA1, "/init", 0x11);
        put_entry(log, 10, ATT_BANK_SHA1, "boot_aggregate", 0x22); /* of a kernel that kexec has started */
        ck_assert(replay_all(replay, log->data, log->len, ATT_BANK_SHA1));
        ck_assert_ptr_null(att_ima_replay_boot_aggregate(replay, &size));
}
END_TEST

START_TEST(a_copy_goes_on_for_itself) {
        g_autoptr(GByteArray) log = log_of(ATT_BANK_SHA256), more = g_byte_array_new();
        g_autoptr(AttImaReplay) replay = att_ima_replay_new(ATT_BANK_SET_ALL), copy = NULL;
        uint8_t before[32];

        ck_assert(replay_all(replay, log->data, log->len, ATT_BANK_SHA256));
        memcpy(before, att_ima_replay_aggregate(replay, ATT_BANK_SHA256), 32);
        copy = att_ima_replay_copy(replay);
        put_entry(more, 10, ATT_BANK_SHA256, "/tail", 0x55);
        ck_assert(replay_all(copy, more->data, more->len, ATT_BANK_SHA256));
        ck_assert_uint_eq(att_ima_replay_count(copy), 6);
        ck_assert_uint_eq(att_ima_replay_count(replay), 5);
        ck_assert_mem_eq(att_ima_replay_aggregate(replay, ATT_BANK_SHA256), before, 32);
        ck_assert_mem_ne(att_ima_replay_aggregate(copy, ATT_BANK_SHA256), before, 32);
}
END_TEST

START_TEST(a_wrong_hash_changes_nothing) {
        g_autoptr(GByteArray) log = g_byte_array_new(), good = g_byte_array_new();
        g_autoptr(AttImaReplay) replay = att_ima_replay_new(ATT_BANK_SET(ATT_BANK_SHA256));
        uint8_t before[32];

        put_entry(good, 10, ATT_BANK_SHA1, "boot_aggregate", 0x11);
        ck_assert(replay_all(replay, good->data, good->len, ATT_BANK_SHA1));
        memcpy(before, att_ima_replay_aggregate(replay, ATT_BANK_SHA256), 32);
        put_entry(log, 10, ATT_BANK_SHA1, "/usr/bin/true", 0x22);
        log->data[log->len - 2] ^= 1;
        ck_assert(!replay_all(replay, log->data, log->len, ATT_BANK_SHA1));
        ck_assert_uint_eq(att_ima_replay_count(replay), 1);
        ck_assert_mem_eq(att_ima_replay_aggregate(replay, ATT_BANK_SHA256), before, 32);
}
END_TEST

START_TEST(sc29e_the_legacy_template_is_hashed_with_its_path_padded) {
        for (unsigned listed = 0; listed < ATT_BANKS; listed++) {
                g_autoptr(GByteArray) log = g_byte_array_new();
                g_autoptr(AttImaReplay) replay = att_ima_replay_new(ATT_BANK_SET_ALL);
                static const uint8_t file_digest[20] = { 0x77 };
                uint8_t padded[256] = "/usr/bin/true", digest[ATT_BANK_SIZE_MAX], expected[ATT_BANK_SIZE_MAX] = { 0 };

                hash(listed, file_digest, sizeof file_digest, padded, sizeof padded, digest);
                ima_put_legacy(log, 10, digest, (AttBank) listed, file_digest, "/usr/bin/true");
                ck_assert(replay_all(replay, log->data, log->len, (AttBank) listed));
                for (unsigned b = 0; b < ATT_BANKS; b++) {
                        size_t size = att_bank_size((AttBank) b);

                        hash(b, file_digest, sizeof file_digest, padded, sizeof padded, digest);
                        memset(expected, 0, sizeof expected);
                        hash(b, expected, size, digest, size, expected);
                        ck_assert_mem_eq(att_ima_replay_aggregate(replay, (AttBank) b), expected, size);
                }
                log->data[log->len - 1] ^= 1;
                ck_assert(!replay_all(replay, log->data, log->len, (AttBank) listed));
        }
}
END_TEST

START_TEST(sc29h_a_violation_extends_ones) {
        for (unsigned listed = 0; listed < ATT_BANKS; listed++) {
                g_autoptr(GByteArray) log = g_byte_array_new();
                g_autoptr(AttImaReplay) replay = att_ima_replay_new(ATT_BANK_SET_ALL);

                put_violation(log, (AttBank) listed, "/tmp/v1");
                ck_assert(replay_all(replay, log->data, log->len, (AttBank) listed));
                ck_assert_uint_eq(att_ima_replay_violations(replay), 1);
                for (unsigned b = 0; b < ATT_BANKS; b++) {
                        size_t size = att_bank_size((AttBank) b);
                        uint8_t ones[ATT_BANK_SIZE_MAX], zeros[ATT_BANK_SIZE_MAX] = { 0 }, expected[ATT_BANK_SIZE_MAX];

                        memset(ones, 0xff, sizeof ones);
                        hash(b, zeros, size, ones, size, expected);
                        ck_assert_mem_eq(att_ima_replay_aggregate(replay, (AttBank) b), expected, size);
                }
        }
}
END_TEST

/* Is byte @at of log_of() one that no hash covers: data of the violation, which the
 * register does not speak of, and the number of the PCR of an entry that PCR 10 has not. */
static bool is_uncovered(const GByteArray *log, AttBank listed, size_t at) {
        AttCursor c = att_cursor(log->data, log->len);
        AttImaRecord r;

        while (att_ima_record_parse(&c, listed, &r, NULL) == ATT_IMA_RECORD) {
                const uint8_t *p = log->data + at;

                if (r.is_violation && p >= r.data.at && p < r.data.at + r.data.left)
                        return true;
                if (r.pcr != ATT_IMA_PCR && p == r.digest - 4)
                        return true;
        }
        return false;
}

START_TEST(every_one_byte_change_is_refused_or_shows_in_the_aggregate) {
        for (unsigned listed = 0; listed < ATT_BANKS; listed++) {
                g_autoptr(GByteArray) log = log_of((AttBank) listed);
                size_t size = att_bank_size((AttBank) listed), uncovered = 0;
                uint8_t good[ATT_BANK_SIZE_MAX];

                expected_aggregate(listed, 5, good);
                for (size_t at = 0; at < log->len; at++)
                        for (unsigned flip = 1; flip < 256; flip += flip < 8 ? 1 : 31) {
                                g_autofree uint8_t *copy = g_memdup2(log->data, log->len);
                                g_autoptr(AttImaReplay) replay = att_ima_replay_new(ATT_BANK_SET(listed));

                                copy[at] ^= (uint8_t) flip;
                                if (!replay_all(replay, copy, log->len, (AttBank) listed) ||
                                    memcmp(att_ima_replay_aggregate(replay, (AttBank) listed), good, size) != 0)
                                        continue;
                                ck_assert_msg(is_uncovered(log, (AttBank) listed, at), "byte %zu ^ %u of a list of %s",
                                              at, flip, att_bank_name((AttBank) listed));
                                uncovered++;
                        }
                ck_assert_uint_gt(uncovered, 0); /* or is_uncovered() says too much */
        }
}
END_TEST

/* Long enough for two threads and several batches; a violation here and there. */
static GByteArray *long_log(AttBank listed, unsigned n, size_t *offsets) {
        GByteArray *log = g_byte_array_new();

        for (unsigned i = 0; i < n; i++) {
                g_autofree char *path = g_strdup_printf(i == 0 ? "boot_aggregate" : "/usr/bin/program-%u", i);

                offsets[i] = log->len;
                if (i % 100 == 99)
                        put_violation(log, listed, path);
                else
                        put_entry(log, i % 50 == 49 ? 11 : 10, listed, path, (uint8_t) (1 + i % 255));
        }
        offsets[n] = log->len;
        return log;
}

static void assert_same(const AttImaReplay *a, const AttImaReplay *b) {
        const uint8_t *boot_a, *boot_b;
        size_t size_a, size_b;

        ck_assert_uint_eq(att_ima_replay_count(a), att_ima_replay_count(b));
        ck_assert_uint_eq(att_ima_replay_violations(a), att_ima_replay_violations(b));
        for (unsigned i = 0; i < ATT_BANKS; i++)
                ck_assert_mem_eq(att_ima_replay_aggregate(a, (AttBank) i), att_ima_replay_aggregate(b, (AttBank) i),
                                 att_bank_size((AttBank) i));
        boot_a = att_ima_replay_boot_aggregate(a, &size_a);
        boot_b = att_ima_replay_boot_aggregate(b, &size_b);
        ck_assert_uint_eq(size_a, size_b);
        ck_assert(!boot_a == !boot_b && (!boot_a || memcmp(boot_a, boot_b, size_a) == 0));
}

#define LONG_LOG 5000u

START_TEST(a_long_log_comes_to_the_same_as_its_entries) {
        static const guint64 limits[] = { 0, 1, 2, 1023, 1024, 1025, 2049, LONG_LOG - 1, LONG_LOG, G_MAXUINT64 };
        g_autofree size_t *offsets = g_new(size_t, LONG_LOG + 1);
        g_autoptr(GByteArray) log = long_log(ATT_BANK_SHA1, LONG_LOG, offsets);

        for (size_t i = 0; i < G_N_ELEMENTS(limits); i++) {
                g_autoptr(AttImaReplay) whole = att_ima_replay_new(ATT_BANK_SET_ALL), single = NULL;
                guint64 n = MIN(limits[i], LONG_LOG);
                AttCursor c = att_cursor(log->data, log->len);

                single = att_ima_replay_new(ATT_BANK_SET_ALL);
                ck_assert(replay_all(single, log->data, offsets[n], ATT_BANK_SHA1));
                ck_assert(att_ima_replay_add_log(whole, &c, ATT_BANK_SHA1, limits[i], NULL));
                ck_assert_ptr_eq(c.at, log->data + offsets[n]);
                ck_assert_uint_eq(c.left, log->len - offsets[n]);
                assert_same(whole, single);
        }
}
END_TEST

START_TEST(a_long_log_is_taken_up_to_what_is_cut_or_wrong) {
        static const unsigned places[] = { 0, 1, 63, 64, 1023, 1024, 1025, 1089, 2048, 2049, LONG_LOG - 1 };
        g_autofree size_t *offsets = g_new(size_t, LONG_LOG + 1);
        g_autoptr(GByteArray) log = long_log(ATT_BANK_SHA256, LONG_LOG, offsets);

        for (size_t i = 0; i < G_N_ELEMENTS(places); i++)
                for (unsigned damage = 0; damage < 3; damage++) {
                        g_autofree uint8_t *copy = g_memdup2(log->data, log->len);
                        g_autoptr(AttImaReplay) whole = att_ima_replay_new(ATT_BANK_SET(ATT_BANK_SHA1));
                        g_autoptr(AttImaReplay) single = att_ima_replay_new(ATT_BANK_SET(ATT_BANK_SHA1));
                        g_autoptr(GError) error = NULL;
                        size_t at = offsets[places[i]];
                        AttCursor c = att_cursor(copy, damage == 2 ? offsets[places[i] + 1] - 1 : log->len);
                        gboolean ok;

                        if (damage == 0)
                                copy[at + 4] ^= 0x80; /* the hash */
                        else if (damage == 1)
                                copy[at + 3] = 0xff; /* the PCR: no record any more */
                        ck_assert(replay_all(single, log->data, at, ATT_BANK_SHA256));
                        ok = att_ima_replay_add_log(whole, &c, ATT_BANK_SHA256, G_MAXUINT64, &error);
                        ck_assert_int_eq(ok, damage == 2);
                        ck_assert_int_eq(ok, error == NULL);
                        ck_assert_ptr_eq(c.at, copy + at);
                        assert_same(whole, single);
                }
}
END_TEST

START_TEST(the_first_of_two_damages_is_the_one_that_is_said) {
        g_autofree size_t *offsets = g_new(size_t, LONG_LOG + 1);
        g_autoptr(GByteArray) log = long_log(ATT_BANK_SHA1, LONG_LOG, offsets);
        g_autoptr(AttImaReplay) replay = att_ima_replay_new(ATT_BANK_SET(ATT_BANK_SHA256));
        g_autoptr(GError) error = NULL;
        AttCursor c = att_cursor(log->data, log->len);

        log->data[offsets[1500] + 4] ^= 1;
        log->data[offsets[1501] + 3] = 0xff;
        ck_assert(!att_ima_replay_add_log(replay, &c, ATT_BANK_SHA1, G_MAXUINT64, &error));
        ck_assert_uint_eq(att_ima_replay_count(replay), 1500);
        ck_assert_ptr_eq(c.at, log->data + offsets[1500]);
        ck_assert(strstr(error->message, "is not the sha1 of the template data") != NULL);
}
END_TEST

int main(void) {
        Suite *s = suite_create("ima-replay");
        TCase *t = tcase_create("replay");

        tcase_add_test(t, every_bank_follows_from_every_list);
        tcase_add_test(t, begins_with_zeros_and_nothing);
        tcase_add_test(t, only_the_first_entry_is_the_boot_aggregate);
        tcase_add_test(t, a_copy_goes_on_for_itself);
        tcase_add_test(t, a_wrong_hash_changes_nothing);
        tcase_add_test(t, sc29e_the_legacy_template_is_hashed_with_its_path_padded);
        tcase_add_test(t, sc29h_a_violation_extends_ones);
        tcase_add_test(t, every_one_byte_change_is_refused_or_shows_in_the_aggregate);
        tcase_add_test(t, a_long_log_comes_to_the_same_as_its_entries);
        tcase_add_test(t, a_long_log_is_taken_up_to_what_is_cut_or_wrong);
        tcase_add_test(t, the_first_of_two_damages_is_the_one_that_is_said);
        tcase_set_timeout(t, 60);
        suite_add_tcase(s, t);
        return run_suite(s);
}
