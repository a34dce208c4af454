/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "crypto/certificate.h"
#include "crypto/der.h"

#include "pki.h"
#include "run.h"
#include "util/error.h"

/* The extension as text: a member per line of OID arcs below SGX's and DER of
 * its value; what a test changes is one line. */

static const uint8_t sgx_oid[] = { 0x2a, 0x86, 0x48, 0x86, 0xf8, 0x4d, 0x01, 0x0d, 0x01 };

static void put(GByteArray *out, uint8_t tag, const void *content, size_t size) {
        ck_assert_uint_lt(size, 0x10000);
        att_put_be(out, tag, 1);
        if (size >= 0x100)
                att_put_be(out, 0x820000 | size, 3);
        else if (size >= 0x80)
                att_put_be(out, 0x8100 | size, 2);
        else
                att_put_be(out, size, 1);
        att_put(out, content, size);
}

static void put_member(GByteArray *out, const uint8_t *arcs, size_t n_arcs, const void *value, size_t value_size) {
        g_autoptr(GByteArray) oid = g_byte_array_new();
        g_autoptr(GByteArray) member = g_byte_array_new();

        att_put(oid, sgx_oid, sizeof sgx_oid);
        att_put(oid, arcs, n_arcs);
        put(member, ATT_DER_OID, oid->data, oid->len);
        att_put(member, value, value_size);
        put(out, ATT_DER_SEQUENCE, member->data, member->len);
}

/* What is wrong with it. */
typedef enum Fault {
        NONE,
        EXTRA_MEMBER,
        EXTRA_MEMBER_BELOW_PPID,
        FOREIGN_OID,
        NO_PPID,
        NO_TCB,
        NO_PCEID,
        NO_FMSPC,
        TWO_FMSPC,
        TWO_PPID,
        TWO_TCB,
        TWO_TYPES,
        SHORT_PPID,
        LONG_PPID,
        LONG_FMSPC,
        PPID_AS_INTEGER,
        TAIL_IN_FMSPC,
        TAIL_AFTER_FMSPC,
        NO_COMPONENT_7,
        TWO_COMPONENTS_7,
        COMPONENT_256,
        COMPONENT_NEGATIVE,
        COMPONENT_PADDED,
        COMPONENT_EMPTY,
        COMPONENT_NINE_BYTES,
        COMPONENT_19,
        COMPONENT_40,
        COMPONENT_127,
        COMPONENT_FOREIGN,
        PCESVN_65536,
        NO_PCESVN,
        NO_CPUSVN,
        SHORT_CPUSVN,
        TAIL_AFTER_TCB,
        TAIL_AFTER_ALL,
        EMPTY_LIST,
        TYPE_WITHOUT_VALUE,
        TYPE_OF_TWO_VALUES,
        MEMBER_NOT_A_SEQUENCE,
        MEMBER_WITHOUT_OID,
        N_FAULTS,
} Fault;

static void put_tcb(GByteArray *out, Fault fault) {
        g_autoptr(GByteArray) list = g_byte_array_new();
        g_autoptr(GByteArray) value = g_byte_array_new();
        uint8_t cpusvn[16];

        for (uint8_t i = 1; i <= 16; i++) {
                uint8_t arcs[] = { 2, i };
                uint8_t small[] = { 0x02, 0x01, (uint8_t) (i * 3) };
                uint8_t ff[] = { 0x02, 0x02, 0x00, 0xff };
                uint8_t v256[] = { 0x02, 0x02, 0x01, 0x00 };
                uint8_t negative[] = { 0x02, 0x01, 0xff };
                uint8_t padded[] = { 0x02, 0x02, 0x00, 0x15 };
                uint8_t empty[] = { 0x02, 0x00 };
                uint8_t nine[] = { 0x02, 0x09, 0x00, 0xff, 0, 0, 0, 0, 0, 0, 0x15 };

                if (i == 16)
                        put_member(list, arcs, 2, ff, sizeof ff);
                else if (i != 7 || fault < NO_COMPONENT_7 || fault > COMPONENT_NINE_BYTES)
                        put_member(list, arcs, 2, small, sizeof small);
                else if (fault == TWO_COMPONENTS_7)
                        for (int k = 0; k < 2; k++)
                                put_member(list, arcs, 2, small, sizeof small);
                else if (fault == COMPONENT_256)
                        put_member(list, arcs, 2, v256, sizeof v256);
                else if (fault == COMPONENT_NEGATIVE)
                        put_member(list, arcs, 2, negative, sizeof negative);
                else if (fault == COMPONENT_PADDED)
                        put_member(list, arcs, 2, padded, sizeof padded);
                else if (fault == COMPONENT_EMPTY)
                        put_member(list, arcs, 2, empty, sizeof empty);
                else if (fault == COMPONENT_NINE_BYTES)
                        put_member(list, arcs, 2, nine, sizeof nine);
        }
        if (fault == COMPONENT_19 || fault == COMPONENT_40 || fault == COMPONENT_127) {
                uint8_t arc = fault == COMPONENT_19 ? 19 : fault == COMPONENT_40 ? 40 : 127;

                put_member(list, (const uint8_t[]) { 2, arc }, 2, "\x02\x01\x01", 3);
        }
        if (fault == COMPONENT_FOREIGN)
                put_member(list, (const uint8_t[]) { 3, 1 }, 2, "\x02\x01\x01", 3);

        if (fault == PCESVN_65536)
                put_member(list, (const uint8_t[]) { 2, 17 }, 2, "\x02\x03\x01\x00\x00", 5);
        else if (fault != NO_PCESVN)
                put_member(list, (const uint8_t[]) { 2, 17 }, 2, "\x02\x03\x00\xff\xfe", 5);

        memset(cpusvn, 0xc5, sizeof cpusvn);
        put(value, ATT_DER_OCTET_STRING, cpusvn, fault == SHORT_CPUSVN ? 15 : 16);
        if (fault != NO_CPUSVN)
                put_member(list, (const uint8_t[]) { 2, 18 }, 2, value->data, value->len);

        g_byte_array_set_size(value, 0);
        put(value, ATT_DER_SEQUENCE, list->data, list->len);
        if (fault == TAIL_AFTER_TCB)
                att_put(value, "\x05\x00", 2);
        put_member(out, (const uint8_t[]) { 2 }, 1, value->data, value->len);
}

static void put_octets(GByteArray *out, uint8_t arc, uint8_t tag, const void *octets, size_t size, bool tail) {
        g_autoptr(GByteArray) value = g_byte_array_new();

        put(value, tag, octets, size);
        if (tail)
                att_put(value, "\x05\x00", 2);
        put_member(out, &arc, 1, value->data, value->len);
}

static GBytes *make(Fault fault) {
        g_autoptr(GByteArray) list = g_byte_array_new();
        GByteArray *all = g_byte_array_new();
        uint8_t ppid[17];

        memset(ppid, 0xa1, sizeof ppid);
        if (fault == FOREIGN_OID)
                put(list, ATT_DER_SEQUENCE, "\x06\x01\x2a\x05\x00", 5);
        for (int n = fault == NO_PPID ? 0 : fault == TWO_PPID ? 2 : 1; n > 0; n--)
                put_octets(list, 1, fault == PPID_AS_INTEGER ? ATT_DER_INTEGER : ATT_DER_OCTET_STRING, ppid,
                           fault == SHORT_PPID  ? 15
                           : fault == LONG_PPID ? 17
                                                : 16,
                           false);
        for (int n = fault == NO_TCB ? 0 : fault == TWO_TCB ? 2 : 1; n > 0; n--)
                put_tcb(list, fault);
        if (fault != NO_PCEID)
                put_octets(list, 3, ATT_DER_OCTET_STRING, "\x01\x02", 2, false);
        for (int n = fault == NO_FMSPC ? 0 : fault == TWO_FMSPC ? 2 : 1; n > 0; n--)
                put_octets(list, 4, ATT_DER_OCTET_STRING, "\x00\x80\x6f\x05\x00\x00\x00", fault == LONG_FMSPC ? 7 : 6,
                           fault == TAIL_IN_FMSPC);
        if (fault == TAIL_AFTER_FMSPC)
                att_put(list, "\x05\x00", 2);
        for (int n = fault == TWO_TYPES ? 2 : 1; n > 0; n--) {
                static const struct {
                        const char *der;
                        size_t size;
                } types[] = { { "\x0a\x01\x01", 3 }, { "", 0 }, { "\x0a\x01\x01\x05\x00", 5 } };
                size_t i = fault == TYPE_WITHOUT_VALUE ? 1 : fault == TYPE_OF_TWO_VALUES ? 2 : 0;

                put_member(list, (const uint8_t[]) { 5 }, 1, types[i].der, types[i].size);
        }
        if (fault == EXTRA_MEMBER)
                put_octets(list, 99, ATT_DER_OCTET_STRING, "later", 5, false);
        if (fault == EXTRA_MEMBER_BELOW_PPID)
                put_member(list, (const uint8_t[]) { 1, 1 }, 2, "\x02\x01\x01", 3);
        if (fault == MEMBER_NOT_A_SEQUENCE)
                put(list, 0x31, "\x06\x01\x2a\x05\x00", 5);
        if (fault == MEMBER_WITHOUT_OID)
                put(list, ATT_DER_SEQUENCE, "\x05\x00", 2);

        put(all, ATT_DER_SEQUENCE, list->data, fault == EMPTY_LIST ? 0 : list->len);
        if (fault == TAIL_AFTER_ALL)
                att_put(all, "\x05\x00", 2);
        return g_byte_array_free_to_bytes(all);
}

static gboolean parse(const void *der, size_t size, AttPckExtension *ret, GError **error) {
        g_autofree void *exact = g_memdup2(der, size);

        return att_pck_extension_parse_der(exact, size, ret, error);
}

START_TEST(reads_what_is_there) {
        g_autoptr(GBytes) der = make((Fault) _i);
        AttPckExtension x;

        ck_assert(parse(g_bytes_get_data(der, NULL), g_bytes_get_size(der), &x, NULL));
        for (size_t i = 0; i < 16; i++) {
                ck_assert_uint_eq(x.ppid[i], 0xa1);
                ck_assert_uint_eq(x.cpusvn[i], 0xc5);
                ck_assert_uint_eq(x.sgx_tcb_comps[i], i == 15 ? 255 : (i + 1) * 3);
        }
        ck_assert_mem_eq(x.fmspc, "\x00\x80\x6f\x05\x00\x00", 6);
        ck_assert_mem_eq(x.pceid, "\x01\x02", 2);
        ck_assert_uint_eq(x.pcesvn, 0xfffe);
}
END_TEST

/* SC-19 a: the components are counted, each exactly once, before they are used. */
START_TEST(sc19a_refuses_what_lacks_is_twice_or_out_of_range) {
        g_autoptr(GBytes) good = make(NONE), der = make((Fault) _i);
        AttPckExtension x, before;
        g_autoptr(GError) error = NULL;

        ck_assert(parse(g_bytes_get_data(good, NULL), g_bytes_get_size(good), &x, NULL));
        memset(&x, 0x77, sizeof x);
        before = x;
        ck_assert(!parse(g_bytes_get_data(der, NULL), g_bytes_get_size(der), &x, &error));
        ck_assert(g_error_matches(error, ATT_ERROR, ATT_ERROR_BAD_DATA));
        ck_assert_mem_eq(&x, &before, sizeof x);
}
END_TEST

START_TEST(refuses_every_prefix) {
        g_autoptr(GBytes) der = make(NONE);
        AttPckExtension x, before;

        memset(&x, 0x77, sizeof x);
        before = x;
        for (gsize n = 0; n < g_bytes_get_size(der); n++)
                ck_assert(!parse(g_bytes_get_data(der, NULL), n, &x, NULL));
        ck_assert_mem_eq(&x, &before, sizeof x);
}
END_TEST

/* A hundred thousand sequences, one in the other: the walk does not follow them. */
START_TEST(sc19e_depth_of_der_costs_nothing) {
        g_autoptr(GByteArray) deep = g_byte_array_new();
        AttPckExtension x;

        for (size_t i = 0; i < 100000; i++) {
                size_t size = 5 * (100000 - i - 1);

                att_put(deep, "\x30\x83", 2);
                att_put_be(deep, size, 3);
        }
        ck_assert(!parse(deep->data, deep->len, &x, NULL));
}
END_TEST

START_TEST(reads_the_extension_of_a_certificate) {
        g_autoptr(GBytes) der = make(NONE);
        g_autofree char *hex = pki_to_hex(der);
        g_autofree char *value = g_strconcat("DER:", hex, NULL);
        g_autoptr(EVP_PKEY) key = pki_key("P-256");
        const PkiSpec spec = { .cn = "a PCK", .extensions = { { "1.2.840.113741.1.13.1", value } } };
        g_autoptr(X509) with = pki_issue(&spec, key, NULL, NULL);
        g_autoptr(X509) without = pki_issue(&(PkiSpec) { .cn = "no PCK" }, key, NULL, NULL);
        g_autoptr(AttCertificate) pck = pki_certificate(with), other = pki_certificate(without);
        g_autoptr(GError) error = NULL;
        AttPckExtension x;

        ck_assert(att_pck_extension_parse(pck, &x, NULL));
        ck_assert_uint_eq(x.pcesvn, 0xfffe);
        ck_assert(!att_pck_extension_parse(other, &x, &error));
        ck_assert(g_error_matches(error, ATT_ERROR, ATT_ERROR_BAD_DATA));
}
END_TEST

/* The walk itself */

START_TEST(walks_only_lengths_in_their_shortest_form) {
        const struct {
                const char *der;
                size_t size;
                bool ok;
        } cases[] = {
                { "\x04\x01\xaa", 3, true },
                { "\x04\x00", 2, true },
                { "\x04\x80\xaa\x00\x00", 5, false },     /* indefinite */
                { "\x04\x81\x01\xaa", 4, false },         /* one byte would do */
                { "\x04\x82\x00\x01\xaa", 5, false },     /* and here */
                { "\x04\x84\x00\x00\x00\x01\xaa", 7, false },
                { "\x04\xff", 2, false },
                { "\x04\x02\xaa", 3, false },             /* over the end */
                { "\x04\x83\xff\xff\xff", 5, false },
                { "\x04", 1, false },
                { "", 0, false },
                { "\x1f\x04\x01\xaa", 4, false },         /* a long tag */
                { "\x05\x01\xaa", 3, false },             /* another tag */
        };

        for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
                g_autofree void *exact = g_memdup2(cases[i].der, cases[i].size);
                AttCursor c = att_cursor(exact, cases[i].size);
                AttCursor content = att_der_take(&c, ATT_DER_OCTET_STRING);

                ck_assert_int_eq(!c.failed, cases[i].ok);
                ck_assert_int_eq(!content.failed, cases[i].ok);
        }
        {
                g_autofree uint8_t *big = g_malloc0(4 + 0x100);
                AttCursor c = att_cursor("\x1f\x01\xaa", 3);
                uint8_t tag;

                ck_assert(att_der_take_any(&c, &tag).failed);
                c = att_cursor("\x1e\x01\xaa", 3);
                ck_assert(!att_der_take_any(&c, &tag).failed);
                ck_assert_uint_eq(tag, 0x1e);

                memcpy(big, "\x04\x82\x00\x80", 4); /* a byte of length too many */
                c = att_cursor(big, 4 + 0x80);
                ck_assert(att_der_take(&c, ATT_DER_OCTET_STRING).failed);

                memcpy(big, "\x04\x82\x01\x00", 4);
                c = att_cursor(big, 4 + 0x100);
                ck_assert_uint_eq(att_der_take(&c, ATT_DER_OCTET_STRING).left, 0x100);
                ck_assert(att_cursor_is_spent(&c));
                memcpy(big, "\x04\x81\x80", 3);
                c = att_cursor(big, 3 + 0x80);
                ck_assert_uint_eq(att_der_take(&c, ATT_DER_OCTET_STRING).left, 0x80);
                ck_assert(att_cursor_is_spent(&c));
        }
}
END_TEST

START_TEST(reads_integers_up_to_64_bits) {
        const struct {
                const char *der;
                size_t size;
                uint64_t max, value;
                bool ok;
        } cases[] = {
                { "\x02\x01\x00", 3, 0, 0, true },
                { "\x02\x01\x7f", 3, 127, 127, true },
                { "\x02\x01\x7f", 3, 126, 0, false },
                { "\x02\x02\x00\x80", 4, 255, 128, true },
                { "\x02\x09\x00\xff\xff\xff\xff\xff\xff\xff\xff", 11, G_MAXUINT64, G_MAXUINT64, true },
                { "\x02\x09\x01\x00\x00\x00\x00\x00\x00\x00\x00", 11, G_MAXUINT64, 0, false },
                { "\x02\x0a\x00\xff\xff\xff\xff\xff\xff\xff\xff\xff", 12, G_MAXUINT64, 0, false },
                { "\x02\x01\x80", 3, G_MAXUINT64, 0, false },
                { "\x02\x02\x00\x7f", 4, G_MAXUINT64, 0, false },
                { "\x02\x00", 2, G_MAXUINT64, 0, false },
        };

        for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
                AttCursor c = att_cursor(cases[i].der, cases[i].size);

                ck_assert_uint_eq(att_der_take_uint(&c, cases[i].max), cases[i].value);
                ck_assert_int_eq(!c.failed, cases[i].ok);
        }
}
END_TEST

int main(void) {
        Suite *s = suite_create("pck-extension");
        TCase *t = tcase_create("pck-extension");

        tcase_add_loop_test(t, reads_what_is_there, NONE, NO_PPID);
        tcase_add_loop_test(t, sc19a_refuses_what_lacks_is_twice_or_out_of_range, NO_PPID, N_FAULTS);
        tcase_add_test(t, refuses_every_prefix);
        tcase_add_test(t, sc19e_depth_of_der_costs_nothing);
        tcase_add_test(t, reads_the_extension_of_a_certificate);
        tcase_add_test(t, walks_only_lengths_in_their_shortest_form);
        tcase_add_test(t, reads_integers_up_to_64_bits);
        suite_add_tcase(s, t);
        return run_suite(s);
}
