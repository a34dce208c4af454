/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "codec/snp-report.h"

#include "exact.h"
#include "run.h"
#include "util/error.h"

#include <stdbool.h>

/* Every byte of a field has a value of its own; reserved ones are zero. */
static GBytes *make(uint32_t version) {
        static const struct {
                size_t at, size;
        } reserved[] = { { 0x4c, 4 }, { 0x18b, 21 }, { 0x1eb, 1 }, { 0x1ef, 1 }, { 0x208, 152 }, { 0x330, 368 } };
        uint8_t p[ATT_SNP_REPORT_SIZE];

        for (size_t i = 0; i < sizeof p; i++)
                p[i] = (uint8_t) (1 + i % 251);
        for (size_t i = 0; i < G_N_ELEMENTS(reserved); i++)
                memset(p + reserved[i].at, 0, reserved[i].size);
        memset(p, 0, 4);
        p[0] = (uint8_t) version;
        memcpy(p + 0x34, "\1\0\0\0", 4);
        memcpy(p + 0x48, "\x05\0\0\0", 4); /* an author key; signed by a VLEK */
        if (version < 3)
                memset(p + 0x188, 0, 3);
        else
                memcpy(p + 0x188, "\x19\x11\x01", 3);
        if (version < 5)
                memset(p + 0x1f8, 0, 16);
        return exact(p, sizeof p);
}

START_TEST(finds_every_field_at_its_place) {
        uint32_t version = (uint32_t) _i;
        g_autoptr(GBytes) bytes = make(version);
        const uint8_t *p = g_bytes_get_data(bytes, NULL);
        AttSnpReport r;

        ck_assert(att_snp_report_parse(bytes, &r, NULL));
        ck_assert(att_snp_report_is_like(bytes));
        const struct {
                const uint8_t *found, *place;
        } fields[] = {
                { r.family_id, p + 0x10 },
                { r.image_id, p + 0x20 },
                { r.current_tcb, p + 0x38 },
                { r.report_data, p + 0x50 },
                { r.measurement, p + 0x90 },
                { r.host_data, p + 0xc0 },
                { r.id_key_digest, p + 0xe0 },
                { r.author_key_digest, p + 0x110 },
                { r.report_id, p + 0x140 },
                { r.report_id_ma, p + 0x160 },
                { r.reported_tcb, p + 0x180 },
                { r.cpuid, version >= 3 ? p + 0x188 : NULL },
                { r.chip_id, p + 0x1a0 },
                { r.committed_tcb, p + 0x1e0 },
                { r.launch_tcb, p + 0x1f0 },
                { r.launch_mit_vector, version >= 5 ? p + 0x1f8 : NULL },
                { r.current_mit_vector, version >= 5 ? p + 0x200 : NULL },
                { r.signed_part.at, p },
                { r.signature_r, p + 0x2a0 },
                { r.signature_s, p + 0x2e8 },
        };
        for (size_t i = 0; i < G_N_ELEMENTS(fields); i++)
                ck_assert_msg(fields[i].found == fields[i].place, "field %zu", i);

        ck_assert_uint_eq(r.version, version);
        ck_assert_uint_eq(r.guest_svn, 0x08070605);
        ck_assert_uint_eq(r.policy, UINT64_C(0x100f0e0d0c0b0a09));
        ck_assert_uint_eq(r.vmpl, 0x34333231);
        ck_assert_uint_eq(r.signature_algo, 1);
        ck_assert_uint_eq(r.platform_info, UINT64_C(0x4847464544434241));
        ck_assert_uint_eq(r.key_info, 5);
        ck_assert(r.has_author_key);
        ck_assert(!r.has_masked_chip_key);
        ck_assert_int_eq(r.signing_key, ATT_SNP_KEY_VLEK);
        ck_assert_int_eq(r.line, version >= 3 ? ATT_SNP_LINE_GENOA : ATT_SNP_LINE_UNKNOWN);
        ck_assert_uint_eq(r.current_firmware.build, p[0x1e8]);
        ck_assert_uint_eq(r.current_firmware.minor, p[0x1e9]);
        ck_assert_uint_eq(r.current_firmware.major, p[0x1ea]);
        ck_assert_uint_eq(r.committed_firmware.build, p[0x1ec]);
        ck_assert_uint_eq(r.committed_firmware.minor, p[0x1ed]);
        ck_assert_uint_eq(r.committed_firmware.major, p[0x1ee]);
        ck_assert_uint_eq(r.signed_part.left, ATT_SNP_SIGNED_SIZE);
        ck_assert_ptr_eq(att_snp_report_report_data(bytes), r.report_data);
}
END_TEST

static bool is_good(GBytes *bytes, const char *says) {
        g_autoptr(GError) error = NULL;
        AttSnpReport r = { .version = 77 };

        if (att_snp_report_parse(bytes, &r, &error)) {
                ck_assert_ptr_null(error);
                return true;
        }
        ck_assert(g_error_matches(error, ATT_ERROR, ATT_ERROR_BAD_DATA));
        ck_assert_msg(!says || strstr(error->message, says), "\"%s\" does not say \"%s\"", error->message, says);
        ck_assert_uint_eq(r.version, 77);
        return false;
}

START_TEST(refuses_every_other_size) {
        g_autoptr(GBytes) whole = make((uint32_t) _i), longer = exact_append(whole, "", 1);

        ck_assert(is_good(whole, NULL));
        for (size_t n = 0; n < ATT_SNP_REPORT_SIZE; n++) {
                g_autoptr(GBytes) part = exact_prefix(whole, n);

                ck_assert(!is_good(part, n > 0 ? "bytes, not 1184" : "empty"));
                ck_assert_ptr_null(att_snp_report_report_data(part));
                ck_assert(att_snp_report_is_like(part) == (n >= 4));
        }
        ck_assert(!is_good(longer, "1185 bytes"));
}
END_TEST

START_TEST(sc23d_each_version_has_its_layout_and_others_are_refused_by_name) {
        static const uint8_t unknown[] = { 0, 1, 6, 7, 255 };
        g_autoptr(GBytes) v2 = make(2), v3 = make(3), v4 = make(4), v5 = make(5);

        ck_assert(is_good(v2, NULL) && is_good(v3, NULL) && is_good(v4, NULL) && is_good(v5, NULL));
        for (size_t i = 0; i < G_N_ELEMENTS(unknown); i++) {
                g_autoptr(GBytes) bytes = exact_edit(v5, 0, &unknown[i], 1);
                g_autofree char *says = g_strdup_printf("version %u,", unknown[i]);

                ck_assert(!is_good(bytes, says));
        }
        g_autoptr(GBytes) high = exact_edit(v3, 3, "\1", 1);
        ck_assert(!is_good(high, "version 16777219"));

        /* What a later version says is reserved in an earlier one. */
        g_autoptr(GBytes) cpuid = exact_edit(v2, 0x188, "\x19", 1);
        ck_assert(!is_good(cpuid, "reserved"));
        g_autoptr(GBytes) launch = exact_edit(v4, 0x1f8, "\1", 1), current = exact_edit(v4, 0x207, "\1", 1);
        ck_assert(!is_good(launch, "reserved"));
        ck_assert(!is_good(current, "reserved"));
}
END_TEST

START_TEST(sc23c_reserved_bytes_are_zero) {
        static const size_t places[] = { 0x4c, 0x4f, 0x18b, 0x19f, 0x1eb, 0x1ef, 0x208, 0x29f };
        g_autoptr(GBytes) good = make(5);

        ck_assert(is_good(good, NULL));
        for (size_t i = 0; i < G_N_ELEMENTS(places); i++) {
                g_autoptr(GBytes) bytes = exact_edit(good, places[i], "\x80", 1);

                ck_assert_msg(!is_good(bytes, "reserved"), "accepted: byte %zu", places[i]);
        }
        g_autoptr(GBytes) key_info = exact_edit(good, 0x48, "\x20", 1), high = exact_edit(good, 0x4b, "\1", 1);
        ck_assert(!is_good(key_info, "reserved"));
        ck_assert(!is_good(high, "reserved"));
}
END_TEST

/* R and S have 72 bytes each and a tail of zeros: whether those of the numbers are is for the signature. */
START_TEST(sc23b_nothing_follows_the_signature) {
        g_autoptr(GBytes) good = make(3);

        ck_assert(is_good(good, NULL));
        for (size_t at = 0x330; at < ATT_SNP_REPORT_SIZE; at += 1 + at % 7) {
                g_autoptr(GBytes) bytes = exact_edit(good, at, "\1", 1);

                ck_assert(!is_good(bytes, "after the signature"));
        }
}
END_TEST

START_TEST(sc24c_an_empty_or_all_zero_report_is_named) {
        static const uint8_t zeros[ATT_SNP_REPORT_SIZE];
        g_autoptr(GBytes) all = exact(zeros, sizeof zeros), empty = exact(zeros, 0), good = make(3);

        ck_assert(is_good(good, NULL));
        ck_assert(!is_good(all, "all zero"));
        ck_assert(!is_good(empty, "empty"));
        ck_assert_ptr_null(att_snp_report_report_data(all));
}
END_TEST

START_TEST(refuses_another_signature_algorithm) {
        g_autoptr(GBytes) good = make(3);
        g_autoptr(GBytes) none = exact_edit(good, 0x34, "\0", 1), other = exact_edit(good, 0x34, "\2", 1);

        ck_assert(!is_good(none, "algorithm 0"));
        ck_assert(!is_good(other, "algorithm 2"));
}
END_TEST

START_TEST(sc09b_report_data_is_64_bytes_at_its_place) {
        uint8_t report_data[64];

        for (size_t i = 0; i < sizeof report_data; i++)
                report_data[i] = (uint8_t) (0xc0 + i);
        for (uint32_t version = 2; version <= 5; version++) {
                g_autoptr(GBytes) blank = make(version);
                g_autoptr(GBytes) bytes = exact_edit(blank, 80, report_data, sizeof report_data);
                g_autoptr(GBytes) shifted = exact_edit(blank, 81, report_data, sizeof report_data);
                AttSnpReport r;

                ck_assert(att_snp_report_parse(bytes, &r, NULL));
                ck_assert_mem_eq(r.report_data, report_data, sizeof report_data);
                ck_assert_mem_eq(att_snp_report_report_data(bytes), report_data, sizeof report_data);
                ck_assert_mem_ne(att_snp_report_report_data(shifted), report_data, sizeof report_data);
        }
}
END_TEST

START_TEST(tells_product_lines_by_family_and_model) {
        static const struct {
                const char *cpuid;
                AttSnpLine line;
        } cases[] = {
                { "\x19\x00\x00", ATT_SNP_LINE_MILAN },   { "\x19\x01\x01", ATT_SNP_LINE_MILAN },
                { "\x19\x0f\x01", ATT_SNP_LINE_MILAN },   { "\x19\x10\x01", ATT_SNP_LINE_GENOA },
                { "\x19\x1f\x01", ATT_SNP_LINE_GENOA },   { "\x19\x20\x01", ATT_SNP_LINE_UNKNOWN },
                { "\x19\x9f\x01", ATT_SNP_LINE_UNKNOWN }, { "\x19\xa0\x02", ATT_SNP_LINE_GENOA },
                { "\x19\xaf\x02", ATT_SNP_LINE_GENOA },   { "\x19\xb0\x02", ATT_SNP_LINE_UNKNOWN },
                { "\x1a\x00\x01", ATT_SNP_LINE_TURIN },   { "\x1a\x11\x01", ATT_SNP_LINE_TURIN },
                { "\x1a\x12\x01", ATT_SNP_LINE_UNKNOWN }, { "\x1a\x50\x01", ATT_SNP_LINE_UNKNOWN },
                { "\x18\x01\x01", ATT_SNP_LINE_UNKNOWN }, { "\x00\x00\x00", ATT_SNP_LINE_UNKNOWN },
        };
        g_autoptr(GBytes) blank = make(3);

        for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
                g_autoptr(GBytes) bytes = exact_edit(blank, 0x188, cases[i].cpuid, 3);
                AttSnpReport r;

                ck_assert(att_snp_report_parse(bytes, &r, NULL));
                ck_assert_int_eq(r.line, cases[i].line);
        }
        ck_assert_str_eq(att_snp_line_name(ATT_SNP_LINE_TURIN), "Turin");
        ck_assert_str_eq(att_snp_line_name(ATT_SNP_LINE_UNKNOWN), "unknown");
}
END_TEST

START_TEST(reads_a_tcb_by_its_product_line) {
        static const uint8_t milan[] = { 4, 1, 0, 0, 0, 0, 24, 219 }, turin[] = { 1, 2, 3, 4, 0, 0, 0, 81 };
        static const AttSnpLine old[] = { ATT_SNP_LINE_MILAN, ATT_SNP_LINE_GENOA, ATT_SNP_LINE_UNKNOWN };
        AttSnpTcb tcb = { .bootloader = 77 };

        for (size_t i = 0; i < G_N_ELEMENTS(old); i++) {
                ck_assert(!att_snp_tcb_read(turin, old[i], &tcb));
                ck_assert_uint_eq(tcb.bootloader, 77);
        }
        ck_assert(!att_snp_tcb_read((const uint8_t *) "\1\2\3\4\0\0\1\2", ATT_SNP_LINE_TURIN, &tcb));
        ck_assert_uint_eq(tcb.bootloader, 77);

        ck_assert(att_snp_tcb_read(milan, ATT_SNP_LINE_MILAN, &tcb));
        ck_assert(!tcb.has_fmc && tcb.fmc == 0 && tcb.bootloader == 4 && tcb.tee == 1 && tcb.snp == 24 &&
                  tcb.microcode == 219);
        ck_assert(att_snp_tcb_read(turin, ATT_SNP_LINE_TURIN, &tcb));
        ck_assert(tcb.has_fmc && tcb.fmc == 1 && tcb.bootloader == 2 && tcb.tee == 3 && tcb.snp == 4 &&
                  tcb.microcode == 81);
}
END_TEST

START_TEST(tells_who_has_signed) {
        static const struct {
                uint8_t key_info;
                const char *name;
                bool masked, author;
        } cases[] = {
                { 0x00, "VCEK", false, false }, { 0x04, "VLEK", false, false },     { 0x1c, "none", false, false },
                { 0x02, "VCEK", true, false },  { 0x09, "reserved", false, true }, { 0x1f, "none", true, true },
        };
        g_autoptr(GBytes) blank = make(3);

        for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
                g_autoptr(GBytes) bytes = exact_edit(blank, 0x48, &cases[i].key_info, 1);
                AttSnpReport r;

                ck_assert(att_snp_report_parse(bytes, &r, NULL));
                ck_assert_str_eq(att_snp_key_name(r.signing_key), cases[i].name);
                ck_assert(r.has_masked_chip_key == cases[i].masked && r.has_author_key == cases[i].author);
        }
}
END_TEST

START_TEST(is_not_taken_for_a_quote) {
        g_autoptr(GBytes) quote = exact("\4\0\2\0\x81\0\0\0", 8), cbor = exact("\xa1\0\0\0", 4), v2 = make(2);

        ck_assert(!att_snp_report_is_like(quote));
        ck_assert(!att_snp_report_is_like(cbor));
        ck_assert(att_snp_report_is_like(v2));
}
END_TEST

int main(void) {
        Suite *s = suite_create("snp-report");
        TCase *t = tcase_create("layout");

        tcase_add_loop_test(t, finds_every_field_at_its_place, 2, 6);
        tcase_add_loop_test(t, refuses_every_other_size, 2, 6);
        tcase_add_test(t, sc23d_each_version_has_its_layout_and_others_are_refused_by_name);
        tcase_add_test(t, sc23c_reserved_bytes_are_zero);
        tcase_add_test(t, sc23b_nothing_follows_the_signature);
        tcase_add_test(t, sc24c_an_empty_or_all_zero_report_is_named);
        tcase_add_test(t, refuses_another_signature_algorithm);
        tcase_add_test(t, sc09b_report_data_is_64_bytes_at_its_place);
        tcase_add_test(t, tells_product_lines_by_family_and_model);
        tcase_add_test(t, reads_a_tcb_by_its_product_line);
        tcase_add_test(t, tells_who_has_signed);
        tcase_add_test(t, is_not_taken_for_a_quote);
        suite_add_tcase(s, t);
        return run_suite(s);
}
