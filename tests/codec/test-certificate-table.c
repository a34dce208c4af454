/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "codec/certificate-table.h"

#include "exact.h"
#include "run.h"
#include "util/error.h"

#include <stdbool.h>

#define ARK "c0b406a4a803495297433fb6014cd0ae"
#define ASK "4ab7b379bbac4fe4a02f05aef327c782"
#define VCEK "63da758de6644564adc5f4b93be8accd"
#define VLEK "a8074bc2a25a483eaae639c045a0b8a1"
#define OTHER "00112233445566778899aabbccddeeff"
#define END "000000000000000000000000000000000000000000000000"

/* Little-endian */
#define U32_96 "60000000"
#define U32_5 "05000000"

static bool is_good(GBytes *bytes, int code, const char *says) {
        g_autoptr(GError) error = NULL;
        AttCertificateTable table = { .n_entries = 77 };

        if (att_certificate_table_parse(bytes, &table, &error)) {
                ck_assert_ptr_null(error);
                return true;
        }
        ck_assert(g_error_matches(error, ATT_ERROR, code));
        ck_assert_msg(strstr(error->message, says), "\"%s\" does not say \"%s\"", error->message, says);
        ck_assert_uint_eq(table.n_entries, 77);
        return false;
}

/* Three entries, out of order and with a gap, behind a head of 96 bytes; nothing after the last. */
static const char three[] =
        VCEK "6d000000" "04000000"
        ARK U32_96 U32_5
        OTHER "65000000" "06000000" END
        "a1a2a3a4a5" "b1b2b3b4b5b6" "0000" "c1c2c3c4";

START_TEST(finds_every_entry) {
        g_autoptr(GBytes) bytes = exact_hex(three), none = exact_hex(END);
        const uint8_t *p = g_bytes_get_data(bytes, NULL);
        g_autofree char *guid = NULL;
        AttCertificateTable table;

        ck_assert(att_certificate_table_parse(bytes, &table, NULL));
        ck_assert_uint_eq(table.n_entries, 3);
        ck_assert_int_eq(table.entries[0].kind, ATT_TABLE_VCEK);
        ck_assert_uint_eq(table.entries[0].offset, 109);
        ck_assert_ptr_eq(table.entries[0].data.at, p + 109);
        ck_assert_uint_eq(table.entries[0].data.left, 4);
        ck_assert_int_eq(table.entries[1].kind, ATT_TABLE_ARK);
        ck_assert_ptr_eq(table.entries[1].data.at, p + 96);
        ck_assert_uint_eq(table.entries[1].data.left, 5);
        ck_assert_int_eq(table.entries[2].kind, ATT_TABLE_UNKNOWN);
        ck_assert_uint_eq(table.entries[2].data.left, 6);
        guid = att_guid_dup_text(table.entries[1].guid);
        ck_assert_str_eq(guid, "c0b406a4-a803-4952-9743-3fb6014cd0ae");

        ck_assert(att_certificate_table_parse(none, &table, NULL));
        ck_assert_uint_eq(table.n_entries, 0);
}
END_TEST

START_TEST(knows_the_kinds_by_their_guid) {
        static const struct {
                const char *guid;
                const char *name;
        } cases[] = {
                { ARK, "ARK" },
                { ASK, "ASK" },
                { VCEK, "VCEK" },
                { VLEK, "VLEK" },
                { "92f81bc358114d3d97ffd19f88dc67ea", "CRL" },
                { "ecae0c0f950243b1afa20ae2e0d565b6", "platform" },
                { "a406b4c003a8524997433fb6014cd0ae", "unknown" }, /* ARK, as Microsoft would write it */
        };

        for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
                g_autofree char *hex = g_strdup_printf("%s3000000005000000" END "0102030405", cases[i].guid);
                g_autoptr(GBytes) bytes = exact_hex(hex);
                AttCertificateTable table;

                ck_assert(att_certificate_table_parse(bytes, &table, NULL));
                ck_assert_str_eq(att_table_kind_name(table.entries[0].kind), cases[i].name);
        }
}
END_TEST

START_TEST(refuses_every_prefix) {
        g_autoptr(GBytes) whole = exact_hex(three), padded = exact_append(whole, three, 64);

        for (size_t n = 0; n < g_bytes_get_size(whole); n++) {
                g_autoptr(GBytes) part = exact_prefix(whole, n);

                ck_assert(!is_good(part, ATT_ERROR_BAD_DATA, "certificate table: "));
        }
        ck_assert(is_good(whole, 0, ""));
        ck_assert(is_good(padded, 0, ""));
}
END_TEST

static const struct {
        const char *what;
        const char *hex;
        const char *says;
} lies[] = {
        { "nothing", "", "without a terminator" },
        { "no terminator", ARK "1800000005000000" "0102030405", "without a terminator" },
        { "half a terminator", ARK "2800000005000000" "00000000000000000000000000000000" "0102030405",
          "without a terminator" },
        { "ends beyond the table", ARK "3000000006000000" END "0102030405", "ark) ends beyond" },
        { "begins beyond the table", ARK "3600000001000000" END "0102030405", "ends beyond" },
        { "ends beyond, by all of 32 bits", ARK "30000000ffffffff" END "0102030405", "ends beyond" },
        { "sum wraps around", ARK "ffffffff31000000" END "0102030405", "ends beyond" },
        { "sum wraps around to the end", ARK "f0ffffff45000000" END "0102030405", "ends beyond" },
        { "absent", ARK "3000000000000000" END "0102030405", "is absent" },
        { "absent, at 0", VCEK "0000000000000000" END "0102030405", "vcek) is absent" },
        { "over the head", ARK "2f00000005000000" END "0102030405", "head of the table" },
        { "over the head, at 0", ARK "0000000035000000" END "0102030405", "head of the table" },
        { "over the head of a later entry", ARK "1800000005000000" VCEK "4800000005000000" END "0102030405",
          "head of the table" },
        { "the same twice", ARK "4800000002000000" ARK "4a00000002000000" END "0102030405", "twice" },
        { "overlap by one", ARK "4800000003000000" VCEK "4a00000002000000" END "0102030405", "overlaps another" },
        { "overlap by one, the other way", ARK "4a00000002000000" VCEK "4800000003000000" END "0102030405",
          "overlaps another" },
        { "two over one place", ARK "4800000005000000" VCEK "4800000005000000" END "0102030405", "overlaps another" },
        { "one inside another", ARK "4800000005000000" VCEK "4a00000001000000" END "0102030405", "overlaps another" },
        { "a null GUID that is no terminator", "00000000000000000000000000000000" "3100000005000000" END "0102030405",
          "beyond" },
};

START_TEST(refuses_a_table_that_lies) {
        g_autoptr(GBytes) good = exact_hex(ARK "4800000003000000" VCEK "4b00000002000000" END "0102030405");
        g_autoptr(GBytes) bad = exact_hex(lies[_i].hex);
        g_autoptr(GError) error = NULL;
        g_autofree char *message = NULL;
        AttCertificateTable table;

        ck_assert(is_good(good, 0, ""));
        ck_assert_msg(!is_good(bad, ATT_ERROR_BAD_DATA, "certificate table: "), "accepted: %s", lies[_i].what);
        ck_assert(!att_certificate_table_parse(bad, &table, &error));
        message = g_ascii_strdown(error->message, -1);
        ck_assert_msg(strstr(message, lies[_i].says), "%s: %s", lies[_i].what, error->message);
}
END_TEST

static GBytes *make(size_t n_entries, size_t size) {
        g_autoptr(GByteArray) out = g_byte_array_new();

        for (size_t i = 0; i < n_entries; i++) {
                uint8_t guid[16] = { 0x77, (uint8_t) i };

                att_put(out, guid, sizeof guid);
                att_put_le(out, 24 * (n_entries + 1) + i, 4);
                att_put_le(out, 1, 4);
        }
        g_byte_array_set_size(out, (guint) size);
        memset(out->data + 24 * n_entries, 0, size - 24 * n_entries);
        return exact(out->data, out->len);
}

START_TEST(sc34b_entries_have_a_cap) {
        g_autoptr(GBytes) at_cap = make(ATT_CERTIFICATE_TABLE_ENTRIES_MAX, 4096);
        g_autoptr(GBytes) over = make(ATT_CERTIFICATE_TABLE_ENTRIES_MAX + 1, 4096);

        ck_assert(is_good(at_cap, 0, ""));
        ck_assert(!is_good(over, ATT_ERROR_TOO_LARGE, "entries"));
}
END_TEST

START_TEST(sc34d_a_table_has_a_cap) {
        g_autoptr(GBytes) at_cap = make(1, ATT_CERTIFICATE_TABLE_MAX), over = make(1, ATT_CERTIFICATE_TABLE_MAX + 1);
        g_autoptr(GBytes) huge = make(1, 1u << 24);

        ck_assert(is_good(at_cap, 0, ""));
        ck_assert(!is_good(over, ATT_ERROR_TOO_LARGE, "16384 bytes"));
        ck_assert(!is_good(huge, ATT_ERROR_TOO_LARGE, "16384 bytes"));
}
END_TEST

int main(void) {
        Suite *s = suite_create("certificate-table");
        TCase *t = tcase_create("table");

        tcase_add_test(t, finds_every_entry);
        tcase_add_test(t, knows_the_kinds_by_their_guid);
        tcase_add_test(t, refuses_every_prefix);
        tcase_add_loop_test(t, refuses_a_table_that_lies, 0, (int) G_N_ELEMENTS(lies));
        tcase_add_test(t, sc34b_entries_have_a_cap);
        tcase_add_test(t, sc34d_a_table_has_a_cap);
        suite_add_tcase(s, t);
        return run_suite(s);
}
