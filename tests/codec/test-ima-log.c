/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "codec/ima-log.h"

#include "exact.h"
#include "ima-record.h"
#include "run.h"
#include "util/error.h"

static const uint8_t some_digest[ATT_BANK_SIZE_MAX] = { 0xd1, 0xd2, 0xd3 };

#define SIGNATURE "\x03\x02\x04sign"
#define OFFSET_OF_DATA(bank, name) (4 + att_bank_size(bank) + 4 + strlen(name) + 4)

static GByteArray *data_of(const char *template_name) {
        GByteArray *data = g_byte_array_new();
        bool is_v2 = strcmp(template_name, "ima-ngv2") == 0 || strcmp(template_name, "ima-sigv2") == 0;

        ima_put_digest(data, is_v2 ? "verity:sha256:" : "sha256:", 0xf1, 32);
        ima_put_path(data, "/usr/bin/true");
        if (strcmp(template_name, "ima-sig") == 0 || strcmp(template_name, "ima-sigv2") == 0)
                ima_put_field(data, SIGNATURE, 7);
        if (strcmp(template_name, "ima-buf") == 0)
                ima_put_field(data, "buffer", 6);
        if (strcmp(template_name, "ima-modsig") == 0) {
                ima_put_field(data, NULL, 0);
                ima_put_digest(data, "sha512:", 0xf2, 64);
                ima_put_field(data, "\x30\x00", 2);
        }
        if (strcmp(template_name, "evm-sig") == 0) {
                ima_put_field(data, "\x05\x02\x04" "evm", 6);
                ima_put_field(data, "security.selinux|security.ima", sizeof "security.selinux|security.ima");
                ima_put_field(data, "\x02\0\0\0\x03\0\0\0", 8);
                ima_put_field(data, "aabbb", 5);
                ima_put_field(data, "\0\0\0\0", 4);
                ima_put_field(data, "\0\0\0\0", 4);
                ima_put_field(data, "\xa4\x81", 2);
        }
        return data;
}

static const char *const with_data[] = {
        "ima-ng", "ima-ngv2", "ima-sig", "ima-sigv2", "ima-modsig", "ima-buf", "evm-sig",
};

static GBytes *record_of(const char *template_name, AttBank bank) {
        g_autoptr(GByteArray) log = g_byte_array_new(), data = NULL;

        if (strcmp(template_name, "ima") == 0) {
                ima_put_legacy(log, 10, some_digest, bank, some_digest, "/usr/bin/true");
        } else {
                data = data_of(template_name);
                ima_put_record(log, 10, some_digest, bank, template_name, data);
        }
        return exact(log->data, log->len);
}

/* A record of these fields, each a string with its size. */
static GBytes *record_with(const char *template_name, GByteArray *data) {
        g_autoptr(GByteArray) log = g_byte_array_new(), taken = data;

        ima_put_record(log, 10, some_digest, ATT_BANK_SHA1, template_name, taken);
        return exact(log->data, log->len);
}

static void expect_record(GBytes *bytes, AttBank bank, AttImaRecord *ret) {
        g_autoptr(GError) error = NULL;
        AttCursor log = att_cursor_bytes(bytes);

        ck_assert_int_eq(att_ima_record_parse(&log, bank, ret, &error), ATT_IMA_RECORD);
        ck_assert_ptr_null(error);
        ck_assert_uint_eq(log.left, 0);
}

/* Not a record; @log and @ret stay as they were. @says: for ATT_IMA_BAD. */
static void expect_none(GBytes *bytes, AttBank bank, AttImaParsed wanted, const char *says) {
        g_autoptr(GError) error = NULL;
        AttCursor log = att_cursor_bytes(bytes), before = log;
        AttImaRecord r = { .pcr = 77 };
        AttImaParsed got = att_ima_record_parse(&log, bank, &r, &error);

        ck_assert_msg(got == wanted, "%d, not %d: %s", got, wanted, error ? error->message : "");
        ck_assert_uint_eq(r.pcr, 77);
        ck_assert_ptr_eq(log.at, before.at);
        ck_assert_uint_eq(log.left, before.left);
        ck_assert((error != NULL) == (wanted == ATT_IMA_BAD));
        if (error) {
                ck_assert_int_eq(error->domain, ATT_ERROR);
                ck_assert(error->code == ATT_ERROR_BAD_DATA || error->code == ATT_ERROR_TOO_LARGE);
                ck_assert_msg(strstr(error->message, says) != NULL, "\"%s\" does not say \"%s\"", error->message, says);
        }
}

static void expect_bad(GBytes *taken, const char *says) {
        g_autoptr(GBytes) bytes = taken;

        expect_none(bytes, ATT_BANK_SHA1, ATT_IMA_BAD, says);
}

static void assert_text(const char *text, const void *at, size_t size) {
        ck_assert_uint_eq(size, strlen(text));
        ck_assert(memcmp(text, at, size) == 0);
}

#define assert_cursor(text, c) assert_text(text, (c).at, (c).left)

START_TEST(reads_every_template_of_every_bank) {
        for (unsigned b = 0; b < ATT_BANKS; b++)
                for (size_t i = 0; i < G_N_ELEMENTS(with_data); i++) {
                        const char *name = with_data[i];
                        g_autoptr(GBytes) bytes = record_of(name, (AttBank) b);
                        bool is_v2 = g_str_has_suffix(name, "v2");
                        AttImaRecord r;

                        expect_record(bytes, (AttBank) b, &r);
                        ck_assert_uint_eq(r.pcr, 10);
                        ck_assert(memcmp(r.digest, some_digest, att_bank_size((AttBank) b)) == 0);
                        ck_assert(!r.is_violation && !r.is_legacy);
                        assert_text(name, r.template_name, r.template_name_size);
                        assert_text("sha256", r.algorithm, r.algorithm_size);
                        assert_cursor("/usr/bin/true", r.path);
                        ck_assert_uint_eq(r.file_digest.left, 32);
                        ck_assert_uint_eq(r.file_digest.at[31], 0xf1);
                        ck_assert_uint_eq(r.data.left, g_bytes_get_size(bytes) - OFFSET_OF_DATA((AttBank) b, name));
                        if (is_v2)
                                assert_text("verity", r.digest_type, r.digest_type_size);
                        else
                                ck_assert_ptr_null(r.digest_type);
                        if (strstr(name, "ima-sig"))
                                assert_cursor(SIGNATURE, r.signature);
                        else if (strcmp(name, "evm-sig") == 0)
                                assert_cursor("\x05\x02\x04" "evm", r.signature);
                        else
                                ck_assert_uint_eq(r.signature.left, 0);
                        if (strcmp(name, "ima-buf") == 0)
                                assert_cursor("buffer", r.buffer);
                        else
                                ck_assert_ptr_null(r.buffer.at);
                        if (strcmp(name, "ima-modsig") == 0) {
                                assert_text("sha512", r.modsig_algorithm, r.modsig_algorithm_size);
                                ck_assert_uint_eq(r.modsig_digest.left, 64);
                                ck_assert_uint_eq(r.modsig.left, 2);
                        } else {
                                ck_assert_ptr_null(r.modsig.at);
                                ck_assert_ptr_null(r.modsig_digest.at);
                        }
                }
}
END_TEST

START_TEST(reads_one_record_after_the_other) {
        g_autoptr(GByteArray) log = g_byte_array_new();
        g_autoptr(GBytes) bytes = NULL;
        AttCursor c;
        AttImaRecord r;

        for (size_t i = 0; i < G_N_ELEMENTS(with_data); i++) {
                g_autoptr(GBytes) one = record_of(with_data[i], ATT_BANK_SHA256);

                att_put_bytes(log, one);
        }
        bytes = exact(log->data, log->len);
        c = att_cursor_bytes(bytes);
        for (size_t i = 0; i < G_N_ELEMENTS(with_data); i++) {
                ck_assert_int_eq(att_ima_record_parse(&c, ATT_BANK_SHA256, &r, NULL), ATT_IMA_RECORD);
                assert_text(with_data[i], r.template_name, r.template_name_size);
        }
        ck_assert_int_eq(att_ima_record_parse(&c, ATT_BANK_SHA256, &r, NULL), ATT_IMA_MORE);
}
END_TEST

START_TEST(every_proper_prefix_needs_more) {
        static const char *const all[] = {
                "ima", "ima-ng", "ima-ngv2", "ima-sig", "ima-sigv2", "ima-modsig", "ima-buf", "evm-sig",
        };

        for (unsigned b = 0; b < ATT_BANKS; b++)
                for (size_t i = 0; i < G_N_ELEMENTS(all); i++) {
                        g_autoptr(GBytes) whole = record_of(all[i], (AttBank) b);

                        for (size_t n = 0; n < g_bytes_get_size(whole); n++) {
                                g_autoptr(GBytes) part = exact_prefix(whole, n);

                                expect_none(part, (AttBank) b, ATT_IMA_MORE, "");
                        }
                }
}
END_TEST

START_TEST(reads_a_format_string_by_its_fields) {
        g_autoptr(GByteArray) data = g_byte_array_new(), double_data = g_byte_array_new();
        g_autoptr(GBytes) bytes = NULL, both = NULL;
        AttImaRecord r;

        ima_put_path(data, "/bin/a");
        ima_put_field(data, SIGNATURE, 7);
        ima_put_digest(data, "sha1:", 0xaa, 20);
        bytes = record_with("n-ng|sig|d-ng", g_byte_array_ref(data));
        expect_record(bytes, ATT_BANK_SHA1, &r);
        assert_cursor("/bin/a", r.path);
        assert_cursor(SIGNATURE, r.signature);
        assert_text("sha1", r.algorithm, r.algorithm_size);

        /* Two that say one thing: the stronger is kept, whichever comes first. */
        ima_put_digest(double_data, "sha256:", 0xbb, 32);
        ima_put_field(double_data, some_digest, 20);
        ima_put_field(double_data, SIGNATURE, 7);
        ima_put_field(double_data, "evm", 3);
        both = record_with("d-ng|d|sig|evmsig", g_byte_array_ref(double_data));
        expect_record(both, ATT_BANK_SHA1, &r);
        assert_text("sha256", r.algorithm, r.algorithm_size);
        assert_cursor(SIGNATURE, r.signature);

        expect_bad(record_with("d-ng|n-ng|cgroup", g_byte_array_ref(data)), "field cgroup of template");
        expect_bad(record_with("n-ng|n-ng", g_byte_array_ref(data)), "twice");
        expect_bad(record_with("n-ng|", g_byte_array_ref(data)), "not known");
        expect_bad(record_with("|", g_byte_array_ref(data)), "not known");
}
END_TEST

START_TEST(reads_what_distributions_and_old_kernels_leave_empty) {
        g_autoptr(GByteArray) sig = g_byte_array_new(), modsig = g_byte_array_new(), evm = g_byte_array_new();
        g_autoptr(GBytes) sig_bytes = NULL, modsig_bytes = NULL, evm_bytes = NULL;
        AttImaRecord r;

        ima_put_digest(sig, "sha256:", 0xaa, 32);
        ima_put_path(sig, "boot_aggregate");
        ima_put_field(sig, NULL, 0);
        sig_bytes = record_with("ima-sig", g_byte_array_ref(sig));
        expect_record(sig_bytes, ATT_BANK_SHA1, &r);
        ck_assert_uint_eq(r.signature.left, 0);

        att_put(modsig, sig->data, sig->len);
        ima_put_field(modsig, NULL, 0);
        ima_put_field(modsig, NULL, 0);
        modsig_bytes = record_with("ima-modsig", g_byte_array_ref(modsig));
        expect_record(modsig_bytes, ATT_BANK_SHA1, &r);
        ck_assert_ptr_null(r.modsig_algorithm);

        att_put(evm, sig->data, sig->len);
        for (size_t i = 0; i < 6; i++)
                ima_put_field(evm, NULL, 0);
        evm_bytes = record_with("evm-sig", g_byte_array_ref(evm));
        expect_record(evm_bytes, ATT_BANK_SHA1, &r);
}
END_TEST

START_TEST(an_algorithm_has_a_name_and_its_length) {
        static const struct {
                const char *prefix;
                size_t size;
                const char *refused;
        } cases[] = {
                { "sha256:", 32, NULL },
                { "sm3:", 32, NULL },
                { "sha9-1024:", 64, NULL }, /* of a newer kernel */
                { "sha256:", 31, "wrong length" },
                { "sha1:", 32, "wrong length" },
                { "sha9-1024:", 65, "1 to 64" },
                { "sha256:", 0, "1 to 64" },
                { "SHA256:", 32, "algorithm" },
                { "sha256", 32, "algorithm" },
                { ":", 32, "algorithm" },
                { "", 32, "algorithm" },
                { "ima:sha256:", 32, "algorithm" },
                { "a-name-that-is-longer-than-any:", 32, "algorithm" },
        };

        for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
                GByteArray *data = g_byte_array_new();

                ima_put_digest(data, cases[i].prefix, 0xaa, cases[i].size);
                ima_put_path(data, "/a");
                if (cases[i].refused) {
                        expect_bad(record_with("ima-ng", data), cases[i].refused);
                } else {
                        g_autoptr(GBytes) bytes = record_with("ima-ng", data);
                        AttImaRecord r;

                        expect_record(bytes, ATT_BANK_SHA1, &r);
                }
        }
}
END_TEST

START_TEST(a_digest_has_a_type_in_v2_only) {
        static const char *const prefixes[] = {
                "sha256:", "imb:sha256:", ":sha256:", "ima::", "ima:", "verity:ima:sha256:",
        };

        for (size_t i = 0; i < G_N_ELEMENTS(prefixes); i++) {
                GByteArray *data = g_byte_array_new();

                ima_put_digest(data, prefixes[i], 0xaa, 32);
                ima_put_path(data, "/a");
                expect_bad(record_with("ima-ngv2", data), "field d-ngv2");
        }
}
END_TEST

/* The record of ima-sig with the u32 at @offset of it replaced. */
static GBytes *with_length(size_t offset, uint32_t length) {
        g_autoptr(GBytes) good = record_of("ima-sig", ATT_BANK_SHA1);
        uint32_t le = GUINT32_TO_LE(length);

        return exact_edit(good, offset, &le, 4);
}

START_TEST(sc29a_lengths_of_0_1_and_the_greatest) {
        static const uint32_t lengths[] = { 0, 1, UINT32_MAX, UINT32_MAX - 3, 0x7fffffff, 0x80000000 };
        const size_t data = OFFSET_OF_DATA(ATT_BANK_SHA1, "ima-sig"), path = data + 4 + 40, sig = path + 4 + 14;
        g_autoptr(GBytes) good = record_of("ima-sig", ATT_BANK_SHA1);
        AttImaRecord r;

        expect_record(good, ATT_BANK_SHA1, &r);
        for (size_t i = 0; i < G_N_ELEMENTS(lengths); i++) {
                expect_bad(with_length(24, lengths[i]), lengths[i] == 1 ? "at most" : "template name");
                expect_bad(with_length(data - 4, lengths[i]), lengths[i] < 2 ? "longer than the template" : "at most");
                expect_bad(with_length(data, lengths[i]), "field d-ng");
                expect_bad(with_length(path, lengths[i]), "field n-ng");
                expect_bad(with_length(sig, lengths[i]), lengths[i] < 2 ? "behind its last field" : "field sig");
        }
}
END_TEST

START_TEST(sc29b_a_name_without_nul) {
        GByteArray *without = g_byte_array_new(), *within = g_byte_array_new();
        g_autoptr(GBytes) good = record_of("ima-ng", ATT_BANK_SHA1);
        AttImaRecord r;

        expect_record(good, ATT_BANK_SHA1, &r);
        ima_put_digest(without, "sha256:", 0xaa, 32);
        ima_put_field(without, "/bin/sh", 7);
        expect_bad(record_with("ima-ng", without), "no NUL");

        ima_put_digest(within, "sha256:", 0xaa, 32);
        ima_put_field(within, "/bin/sh\0evil", 13);
        expect_bad(record_with("ima-ng", within), "NUL within");
}
END_TEST

START_TEST(sc29c_missing_fields) {
        for (size_t i = 0; i < G_N_ELEMENTS(with_data); i++) {
                g_autoptr(GByteArray) whole = data_of(with_data[i]);
                g_autoptr(GBytes) good = record_of(with_data[i], ATT_BANK_SHA1);
                AttImaRecord r;

                expect_record(good, ATT_BANK_SHA1, &r);
                /* Cut behind each of its fields but the last. */
                for (size_t at = 0; at < whole->len;) {
                        GByteArray *part = g_byte_array_new();

                        att_put(part, whole->data, at);
                        expect_bad(record_with(with_data[i], part), "longer than the template data");
                        at += 4 + whole->data[at] + 256u * whole->data[at + 1];
                }
        }
}
END_TEST

START_TEST(sc29d_template_data_shorter_than_its_parts) {
        for (size_t i = 0; i < G_N_ELEMENTS(with_data); i++) {
                g_autoptr(GByteArray) whole = data_of(with_data[i]);
                g_autoptr(GBytes) good = record_of(with_data[i], ATT_BANK_SHA1);
                GByteArray *longer = g_byte_array_new();
                AttImaRecord r;

                expect_record(good, ATT_BANK_SHA1, &r);
                for (size_t n = 0; n < whole->len; n++) {
                        GByteArray *part = g_byte_array_new();

                        att_put(part, whole->data, n);
                        expect_bad(record_with(with_data[i], part), "longer than the template data");
                }
                att_put(longer, whole->data, whole->len);
                att_put(longer, "", 1);
                expect_bad(record_with(with_data[i], longer), "behind its last field");
        }
}
END_TEST

START_TEST(sc29e_the_legacy_template) {
        g_autoptr(GByteArray) log = g_byte_array_new(), longest = g_byte_array_new(), with_nul = g_byte_array_new();
        g_autoptr(GByteArray) too_long = g_byte_array_new();
        g_autoptr(GBytes) good = record_of("ima", ATT_BANK_SHA1), at_limit = NULL;
        char name[257];
        AttImaRecord r;

        expect_record(good, ATT_BANK_SHA1, &r);
        ck_assert(r.is_legacy && !r.is_violation);
        assert_text("sha1", r.algorithm, r.algorithm_size);
        ck_assert_uint_eq(r.file_digest.left, 20);
        assert_cursor("/usr/bin/true", r.path);
        ck_assert_uint_eq(r.data.left, 20 + 4 + 13);

        memset(name, 'a', sizeof name);
        name[255] = '\0';
        ima_put_legacy(longest, 10, some_digest, ATT_BANK_SHA1, some_digest, name);
        at_limit = exact(longest->data, longest->len);
        expect_record(at_limit, ATT_BANK_SHA1, &r);
        ck_assert_uint_eq(r.path.left, 255);

        name[255] = 'a';
        name[256] = '\0';
        ima_put_legacy(too_long, 10, some_digest, ATT_BANK_SHA1, some_digest, name);
        expect_bad(exact(too_long->data, too_long->len), "256 bytes");

        ima_put_legacy(with_nul, 10, some_digest, ATT_BANK_SHA1, some_digest, "/bin/sh");
        with_nul->data[with_nul->len - 2] = '\0';
        expect_bad(exact(with_nul->data, with_nul->len), "NUL within");
}
END_TEST

START_TEST(sc29f_an_unknown_template) {
        static const char *const names[] = { "ima-cgpath", "IMA-NG", "ima-n", "ima-ng ", "ima\n", "sigh" };
        g_autoptr(GByteArray) data = data_of("ima-ng");
        g_autoptr(GBytes) good = record_of("ima-ng", ATT_BANK_SHA1);
        AttImaRecord r;

        expect_record(good, ATT_BANK_SHA1, &r);
        for (size_t i = 0; i < G_N_ELEMENTS(names); i++)
                expect_bad(record_with(names[i], g_byte_array_ref(data)), "is not known");
        /* What is no text does not reach the operator's terminal. */
        expect_bad(record_with("ima\n\x1b[31m", g_byte_array_ref(data)), "template ima??[31m is");
}
END_TEST

START_TEST(sc29g_a_list_of_sha1_only) {
        g_autoptr(GBytes) sha1 = record_of("ima-sig", ATT_BANK_SHA1);
        AttImaRecord r;

        /* Read as another bank's, the same bytes are no record or not yet one: never one by chance. */
        expect_record(sha1, ATT_BANK_SHA1, &r);
        ck_assert_uint_eq(r.file_digest.left, 32);
        for (unsigned b = ATT_BANK_SHA256; b < ATT_BANKS; b++) {
                AttCursor c = att_cursor_bytes(sha1);

                ck_assert_int_ne(att_ima_record_parse(&c, (AttBank) b, &r, NULL), ATT_IMA_RECORD);
        }
}
END_TEST

START_TEST(sc29h_a_violation) {
        for (unsigned b = 0; b < ATT_BANKS; b++) {
                g_autoptr(GByteArray) log = g_byte_array_new(), data = g_byte_array_new(), full = data_of("ima-ng");
                g_autoptr(GByteArray) wrong = g_byte_array_new();
                g_autoptr(GBytes) bytes = NULL, wrong_bytes = NULL;
                AttImaRecord r;

                ima_put_digest(data, "sha256:", 0, 32);
                ima_put_path(data, "/tmp/v1");
                ima_put_record(log, 10, NULL, (AttBank) b, "ima-ng", data);
                bytes = exact(log->data, log->len);
                expect_record(bytes, (AttBank) b, &r);
                ck_assert(r.is_violation);
                assert_cursor("/tmp/v1", r.path);

                /* The kernel knows no digest of a file that changes under it. */
                ima_put_record(wrong, 10, NULL, (AttBank) b, "ima-ng", full);
                wrong_bytes = exact(wrong->data, wrong->len);
                expect_none(wrong_bytes, (AttBank) b, ATT_IMA_BAD, "violation with a file digest");
        }
}
END_TEST

START_TEST(sc29i_a_path_of_0_bytes) {
        GByteArray *empty = g_byte_array_new(), *none = g_byte_array_new();
        g_autoptr(GBytes) bytes = NULL;
        AttImaRecord r;

        ima_put_digest(empty, "sha256:", 0xaa, 32);
        ima_put_path(empty, "");
        bytes = record_with("ima-ng", empty);
        expect_record(bytes, ATT_BANK_SHA1, &r);
        ck_assert_uint_eq(r.path.left, 0);
        ck_assert_ptr_nonnull(r.path.at);

        ima_put_digest(none, "sha256:", 0xaa, 32);
        ima_put_field(none, NULL, 0);
        expect_bad(record_with("ima-ng", none), "no NUL");
}
END_TEST

START_TEST(refuses_a_pcr_that_cannot_be) {
        g_autoptr(GBytes) good = record_of("ima-ng", ATT_BANK_SHA1);
        AttImaRecord r;

        for (unsigned pcr = 0; pcr < 256; pcr++) {
                uint8_t b = (uint8_t) pcr;
                g_autoptr(GBytes) bytes = exact_edit(good, 0, &b, 1);

                if (pcr < 64)
                        expect_record(bytes, ATT_BANK_SHA1, &r);
                else
                        expect_none(bytes, ATT_BANK_SHA1, ATT_IMA_BAD, "at most");
        }
}
END_TEST

START_TEST(sc30c_garbled_records_stay_within_their_bytes) {
        g_autoptr(GRand) rand = g_rand_new_with_seed(29);
        size_t records = 0, others = 0;

        for (size_t i = 0; i < G_N_ELEMENTS(with_data); i++) {
                g_autoptr(GBytes) good = record_of(with_data[i], ATT_BANK_SHA1);
                size_t size = g_bytes_get_size(good);

                for (unsigned n = 0; n < 2000; n++) {
                        g_autofree uint8_t *bytes = g_memdup2(g_bytes_get_data(good, NULL), size);
                        AttCursor log = att_cursor(bytes, size);
                        AttImaRecord r;

                        for (int k = g_rand_int_range(rand, 1, 4); k > 0; k--)
                                bytes[g_rand_int_range(rand, 0, (gint32) size)] = (uint8_t) g_rand_int(rand);
                        if (att_ima_record_parse(&log, ATT_BANK_SHA1, &r, NULL) != ATT_IMA_RECORD) {
                                ck_assert_ptr_eq(log.at, bytes);
                                others++;
                                continue;
                        }
                        ck_assert_ptr_eq(log.at, bytes + size - log.left);
                        ck_assert(r.data.at >= bytes && r.data.at + r.data.left <= log.at);
                        ck_assert(!r.path.at || (r.path.at >= r.data.at && r.path.at + r.path.left <= log.at));
                        ck_assert(r.file_digest.left <= 64);
                        records++;
                }
        }
        ck_assert_uint_gt(records, 1000);
        ck_assert_uint_gt(others, 1000);
}
END_TEST

int main(void) {
        Suite *s = suite_create("ima-log");
        TCase *t = tcase_create("records");

        tcase_add_test(t, reads_every_template_of_every_bank);
        tcase_add_test(t, reads_one_record_after_the_other);
        tcase_add_test(t, every_proper_prefix_needs_more);
        tcase_add_test(t, reads_a_format_string_by_its_fields);
        tcase_add_test(t, reads_what_distributions_and_old_kernels_leave_empty);
        tcase_add_test(t, an_algorithm_has_a_name_and_its_length);
        tcase_add_test(t, a_digest_has_a_type_in_v2_only);
        tcase_add_test(t, sc29a_lengths_of_0_1_and_the_greatest);
        tcase_add_test(t, sc29b_a_name_without_nul);
        tcase_add_test(t, sc29c_missing_fields);
        tcase_add_test(t, sc29d_template_data_shorter_than_its_parts);
        tcase_add_test(t, sc29e_the_legacy_template);
        tcase_add_test(t, sc29f_an_unknown_template);
        tcase_add_test(t, sc29g_a_list_of_sha1_only);
        tcase_add_test(t, sc29h_a_violation);
        tcase_add_test(t, sc29i_a_path_of_0_bytes);
        tcase_add_test(t, refuses_a_pcr_that_cannot_be);
        tcase_add_test(t, sc30c_garbled_records_stay_within_their_bytes);
        suite_add_tcase(s, t);
        return run_suite(s);
}
