/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "codec/tpm-quote.h"

#include "exact.h"
#include "run.h"
#include "util/error.h"

/* Where things are in what quote() makes. */
#define SELECTIONS_AT 77u
#define SELECT_SIZE_AT 83u
#define BITS_AT 84u

static GBytes *take(GByteArray *out) {
        g_autoptr(GByteArray) all = out;

        return exact(all->data, all->len);
}

static void put_tpm2b(GByteArray *out, size_t size, uint8_t with) {
        att_put_be(out, size, 2);
        for (size_t i = 0; i < size; i++)
                att_put(out, &with, 1);
}

static GBytes *quote(void) {
        GByteArray *out = g_byte_array_new();

        att_put_be(out, 0xff544347, 4);
        att_put_be(out, 0x8018, 2);
        put_tpm2b(out, 10, 1);
        put_tpm2b(out, 32, 2);
        att_put_be(out, 0x1122334455667788, 8);
        att_put_be(out, 3, 4);
        att_put_be(out, 4, 4);
        att_put_be(out, 1, 1);
        att_put_be(out, 5, 8);
        att_put_be(out, 1, 4);
        att_put_be(out, 0x000b, 2);
        att_put(out, "\3\0\4\0", 4);
        put_tpm2b(out, 32, 6);
        return take(out);
}

/* @kind: of AttTpmKeyKind */
static GBytes *public(AttTpmKeyKind kind, uint32_t attributes) {
        GByteArray *out = g_byte_array_new();

        att_put_be(out, kind == ATT_TPM_RSA ? 0x0001 : 0x0023, 2);
        att_put_be(out, 0x000b, 2);
        att_put_be(out, attributes, 4);
        put_tpm2b(out, 0, 0);
        att_put_be(out, 0x0010, 2);
        att_put_be(out, kind == ATT_TPM_RSA ? 0x0014 : 0x0018, 2);
        att_put_be(out, 0x000b, 2);
        if (kind == ATT_TPM_RSA) {
                att_put_be(out, 2048, 2);
                att_put_be(out, 0, 4);
                put_tpm2b(out, 256, 0xab);
        } else {
                att_put_be(out, kind, 2);
                att_put_be(out, 0x0010, 2);
                put_tpm2b(out, 32, 7);
                put_tpm2b(out, 31, 8);
        }
        return take(out);
}

#define AK (ATT_TPM_FIXED_TPM | ATT_TPM_SENSITIVE_DATA_ORIGIN | ATT_TPM_RESTRICTED | ATT_TPM_SIGN)

static GBytes *signature(uint16_t scheme) {
        GByteArray *out = g_byte_array_new();

        att_put_be(out, scheme, 2);
        att_put_be(out, 0x000c, 2);
        if (scheme == ATT_TPM_ECDSA) {
                put_tpm2b(out, 32, 9);
                put_tpm2b(out, 30, 10);
        } else {
                put_tpm2b(out, 256, 11);
        }
        return take(out);
}

/* Each tells whether @bytes are taken, and that a refusal leaves the result alone. */
typedef bool (*IsGood)(GBytes *bytes, int code);

static bool is_good_quote(GBytes *bytes, int code) {
        g_autoptr(GError) error = NULL;
        AttTpmQuote q = { .pcrs = 77 };

        if (att_tpm_quote_parse(bytes, &q, &error))
                return true;
        ck_assert(g_error_matches(error, ATT_ERROR, code));
        ck_assert_uint_eq(q.pcrs, 77);
        return false;
}

static bool is_good_signature(GBytes *bytes, int code) {
        g_autoptr(GError) error = NULL;
        AttTpmSignature s = { .r.left = 77 };

        if (att_tpm_signature_parse(bytes, &s, &error))
                return true;
        ck_assert(g_error_matches(error, ATT_ERROR, code));
        ck_assert_uint_eq(s.r.left, 77);
        return false;
}

static bool is_good_public(GBytes *bytes, int code) {
        g_autoptr(GError) error = NULL;
        AttTpmPublic p = { .attributes = 77 };

        if (att_tpm_public_parse(bytes, &p, &error))
                return true;
        ck_assert(g_error_matches(error, ATT_ERROR, code));
        ck_assert_uint_eq(p.attributes, 77);
        return false;
}

static bool is_good_evidence(GBytes *bytes, int code) {
        g_autoptr(GError) error = NULL;
        g_autoptr(AttTpmEvidence) e = att_tpm_evidence_decode(bytes, &error);

        if (!e)
                ck_assert(g_error_matches(error, ATT_ERROR, code));
        return e != NULL;
}

static GBytes *evidence_of(GBytes *attest, GBytes *ak, GBytes *sig) {
        AttTpmEvidence e = { .attest = attest, .signature = sig, .ak_public = ak };
        g_autoptr(GBytes) bytes = att_tpm_evidence_encode(&e);

        return exact(g_bytes_get_data(bytes, NULL), g_bytes_get_size(bytes));
}

static GBytes *evidence(void) {
        g_autoptr(GBytes) q = quote(), p = public(ATT_TPM_P256, AK), s = signature(ATT_TPM_ECDSA);

        return evidence_of(q, p, s);
}

START_TEST(finds_every_part_of_a_quote) {
        g_autoptr(GBytes) bytes = quote();
        AttTpmQuote q;

        ck_assert(att_tpm_quote_parse(bytes, &q, NULL));
        ck_assert_uint_eq(q.qualified_signer.left, 10);
        ck_assert_uint_eq(q.qualified_signer.at[0], 1);
        ck_assert_uint_eq(q.extra_data.left, 32);
        ck_assert_uint_eq(q.extra_data.at[31], 2);
        ck_assert_uint_eq(q.clock, 0x1122334455667788);
        ck_assert_uint_eq(q.reset_count, 3);
        ck_assert_uint_eq(q.restart_count, 4);
        ck_assert(q.is_safe);
        ck_assert_uint_eq(q.firmware_version, 5);
        ck_assert_int_eq(q.bank, ATT_BANK_SHA256);
        ck_assert_uint_eq(q.pcrs, 1u << 10);
        ck_assert_uint_eq(q.pcr_digest.left, 32);
        ck_assert_uint_eq(q.pcr_digest.at[0], 6);
}
END_TEST

START_TEST(finds_every_part_of_a_signature) {
        g_autoptr(GBytes) ecdsa = signature(ATT_TPM_ECDSA), rsa = signature(ATT_TPM_RSAPSS);
        AttTpmSignature s;

        ck_assert(att_tpm_signature_parse(ecdsa, &s, NULL));
        ck_assert_int_eq(s.scheme, ATT_TPM_ECDSA);
        ck_assert_int_eq(s.hash, ATT_BANK_SHA384);
        ck_assert_uint_eq(s.r.left, 32);
        ck_assert_uint_eq(s.s.left, 30);
        ck_assert_uint_eq(s.s.at[0], 10);
        ck_assert(att_tpm_signature_parse(rsa, &s, NULL));
        ck_assert_int_eq(s.scheme, ATT_TPM_RSAPSS);
        ck_assert_uint_eq(s.rsa.left, 256);
}
END_TEST

START_TEST(finds_every_part_of_a_public_area) {
        g_autoptr(GBytes) rsa = public(ATT_TPM_RSA, AK), ecc = public(ATT_TPM_P384, 0x50072);
        AttTpmPublic p;

        ck_assert(att_tpm_public_parse(rsa, &p, NULL));
        ck_assert_int_eq(p.kind, ATT_TPM_RSA);
        ck_assert_uint_eq(p.exponent, 65537);
        ck_assert_uint_eq(p.modulus.left, 256);
        ck_assert(att_tpm_public_parse(ecc, &p, NULL));
        ck_assert_int_eq(p.kind, ATT_TPM_P384);
        ck_assert_int_eq(p.name_hash, ATT_BANK_SHA256);
        ck_assert_uint_eq(p.attributes, 0x50072);
        ck_assert_uint_eq(p.x.left, 32);
        ck_assert_uint_eq(p.y.at[30], 8);
        ck_assert(att_tpm_public_is_ak(&p));
}
END_TEST

START_TEST(an_ak_signs_only_what_its_tpm_has_made) {
        static const uint32_t must[] = { ATT_TPM_FIXED_TPM, ATT_TPM_SENSITIVE_DATA_ORIGIN, ATT_TPM_RESTRICTED,
                                         ATT_TPM_SIGN };

        ck_assert(att_tpm_public_is_ak(&(AttTpmPublic) { .attributes = AK }));
        for (size_t i = 0; i < G_N_ELEMENTS(must); i++)
                ck_assert(!att_tpm_public_is_ak(&(AttTpmPublic) { .attributes = AK & ~must[i] }));
        ck_assert(!att_tpm_public_is_ak(&(AttTpmPublic) { .attributes = AK | ATT_TPM_DECRYPT }));
}
END_TEST

START_TEST(evidence_comes_back_as_it_was) {
        g_autoptr(GBytes) bytes = evidence(), q = quote(), p = public(ATT_TPM_P256, AK), s = signature(ATT_TPM_ECDSA);
        g_autoptr(AttTpmEvidence) e = att_tpm_evidence_decode(bytes, NULL);

        ck_assert_ptr_nonnull(e);
        ck_assert_bytes_eq(e->attest, q);
        ck_assert_bytes_eq(e->ak_public, p);
        ck_assert_bytes_eq(e->signature, s);
}
END_TEST

START_TEST(refuses_every_prefix_and_a_byte_more) {
        g_autoptr(GBytes) q = quote(), p = public(ATT_TPM_P256, AK), r = public(ATT_TPM_RSA, AK), e = evidence();
        g_autoptr(GBytes) s = signature(ATT_TPM_ECDSA), t = signature(ATT_TPM_RSASSA);
        const struct {
                GBytes *whole;
                IsGood is_good;
        } cases[] = { { q, is_good_quote },     { p, is_good_public },    { r, is_good_public },
                      { s, is_good_signature }, { t, is_good_signature }, { e, is_good_evidence } };

        for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
                g_autoptr(GBytes) longer = exact_append(cases[i].whole, "", 1);

                ck_assert(cases[i].is_good(cases[i].whole, 0));
                ck_assert(!cases[i].is_good(longer, ATT_ERROR_BAD_DATA));
                for (size_t n = 0; n < g_bytes_get_size(cases[i].whole); n++) {
                        g_autoptr(GBytes) part = exact_prefix(cases[i].whole, n);

                        ck_assert_msg(!cases[i].is_good(part, ATT_ERROR_BAD_DATA), "case %zu, %zu bytes", i, n);
                }
        }
}
END_TEST

START_TEST(refuses_a_quote_that_is_none) {
        static const struct {
                size_t at;
                const char *bytes, *says;
                size_t size;
        } cases[] = {
                { 0, "\xfe", "magic", 1 },
                { 5, "\x17", "its type is 0x8017", 1 }, /* a certification */
                { 68, "\2", "neither safe nor unsafe", 1 },
                { SELECTIONS_AT + 3, "\0", "0 selections", 1 },
                { SELECTIONS_AT + 3, "\2", "2 selections", 1 },
                { SELECTIONS_AT + 5, "\x12", "algorithm 0x0012", 1 }, /* SM3 */
                { SELECT_SIZE_AT, "\2", "24 PCRs", 1 },
                { SELECT_SIZE_AT, "\4", "24 PCRs", 1 },
        };
        g_autoptr(GBytes) good = quote();

        for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
                g_autoptr(GBytes) bytes = exact_edit(good, cases[i].at, cases[i].bytes, cases[i].size);
                g_autoptr(GError) error = NULL;
                AttTpmQuote q;

                ck_assert(!is_good_quote(bytes, ATT_ERROR_BAD_DATA));
                ck_assert(!att_tpm_quote_parse(bytes, &q, &error));
                ck_assert_msg(strstr(error->message, cases[i].says), "case %zu: %s", i, error->message);
        }

        /* Other registers are another quote, not a bad one. */
        g_autoptr(GBytes) others = exact_edit(good, BITS_AT, "\xff\xff\xff", 3);
        AttTpmQuote q;

        ck_assert(att_tpm_quote_parse(others, &q, NULL));
        ck_assert_uint_eq(q.pcrs, 0xffffff);
}
END_TEST

START_TEST(refuses_what_it_does_not_know) {
        g_autoptr(GBytes) p = public(ATT_TPM_P256, AK), r = public(ATT_TPM_RSA, AK), s = signature(ATT_TPM_ECDSA);
        const struct {
                GBytes *good;
                size_t at;
                const char *byte;
                IsGood is_good;
        } cases[] = {
                { p, 1, "\x25", is_good_public },  /* a symmetric key */
                { p, 3, "\x12", is_good_public },  /* name by SM3 */
                { p, 11, "\6", is_good_public },   /* it encrypts with AES */
                { p, 13, "\x1a", is_good_public }, /* ECDAA */
                { p, 17, "\5", is_good_public },   /* P-521 */
                { p, 19, "\x20", is_good_public }, /* a KDF */
                { r, 17, "\1", is_good_public },   /* 2049 bits */
                { r, 16, "\x10", is_good_public }, /* 4096 bits, of which there are 2048 */
                { s, 1, "\x1a", is_good_signature },
                { s, 3, "\x12", is_good_signature },
        };

        for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
                g_autoptr(GBytes) bytes = exact_edit(cases[i].good, cases[i].at, cases[i].byte, 1);

                ck_assert(cases[i].is_good(cases[i].good, 0));
                ck_assert_msg(!cases[i].is_good(bytes, ATT_ERROR_BAD_DATA), "accepted: case %zu", i);
        }
}
END_TEST

START_TEST(sc34c_each_structure_has_a_cap) {
        static const uint8_t zeros[4096];
        const struct {
                IsGood is_good;
                size_t cap;
        } cases[] = { { is_good_quote, ATT_TPM_ATTEST_MAX },
                      { is_good_public, ATT_TPM_PUBLIC_MAX },
                      { is_good_signature, ATT_TPM_SIGNATURE_MAX } };

        for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
                g_autoptr(GBytes) at_cap = exact(zeros, cases[i].cap), over = exact(zeros, cases[i].cap + 1);

                ck_assert(!cases[i].is_good(at_cap, ATT_ERROR_BAD_DATA));
                ck_assert(!cases[i].is_good(over, ATT_ERROR_TOO_LARGE));
        }
}
END_TEST

START_TEST(evidence_is_these_three_and_nothing_else) {
        static const char *const bad[] = {
                "a0",
                "a1 66 617474657374 41 00",
                "a3 66 617474657374 41 00 66 7075626c6963 41 00 69 7369676e6174757265 41 00", /* they are none */
                "a4 66 617474657374 41 00 66 7075626c6963 41 00 69 7369676e6174757265 41 00 69 7369676e6174757266 00",
                "83 41 00 41 00 41 00",
        };

        for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
                g_autoptr(GBytes) bytes = exact_hex(bad[i]);

                ck_assert_msg(!is_good_evidence(bytes, ATT_ERROR_BAD_DATA), "accepted: %s", bad[i]);
        }
}
END_TEST

int main(void) {
        Suite *s = suite_create("tpm-quote");
        TCase *t = tcase_create("layout");

        tcase_add_test(t, finds_every_part_of_a_quote);
        tcase_add_test(t, finds_every_part_of_a_signature);
        tcase_add_test(t, finds_every_part_of_a_public_area);
        tcase_add_test(t, an_ak_signs_only_what_its_tpm_has_made);
        tcase_add_test(t, evidence_comes_back_as_it_was);
        tcase_add_test(t, refuses_every_prefix_and_a_byte_more);
        tcase_add_test(t, refuses_a_quote_that_is_none);
        tcase_add_test(t, refuses_what_it_does_not_know);
        tcase_add_test(t, sc34c_each_structure_has_a_cap);
        tcase_add_test(t, evidence_is_these_three_and_nothing_else);
        suite_add_tcase(s, t);
        return run_suite(s);
}
