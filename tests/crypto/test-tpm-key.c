/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "crypto/tpm-key.h"

#include "quoter.h"
#include "run.h"
#include "util/error.h"

static AttKey *key_of(const Quoter *quoter, GError **error) {
        g_autoptr(GBytes) public = quoter_public(quoter);
        AttTpmPublic p;

        ck_assert(att_tpm_public_parse(public, &p, NULL));
        return att_key_from_tpm_public(&p, error);
}

static bool verifies(const AttKey *key, GBytes *signature, GBytes *message) {
        g_autoptr(GError) error = NULL;
        AttTpmSignature s;

        if (!att_tpm_signature_parse(signature, &s, NULL))
                return false;
        if (att_key_verify_tpm(key, &s, g_bytes_get_data(message, NULL), g_bytes_get_size(message), &error))
                return true;
        ck_assert(g_error_matches(error, ATT_ERROR, ATT_ERROR_BAD_DATA));
        return false;
}

static GBytes *with_bit(GBytes *bytes, size_t at, uint8_t bit) {
        uint8_t *copy = g_memdup2(g_bytes_get_data(bytes, NULL), g_bytes_get_size(bytes));

        copy[at] ^= bit;
        return g_bytes_new_take(copy, g_bytes_get_size(bytes));
}

static const struct {
        AttTpmKeyKind kind;
        AttTpmScheme scheme;
        AttBank hash;
} ways[] = {
        { ATT_TPM_P256, ATT_TPM_ECDSA, ATT_BANK_SHA256 }, { ATT_TPM_P256, ATT_TPM_ECDSA, ATT_BANK_SHA384 },
        { ATT_TPM_P384, ATT_TPM_ECDSA, ATT_BANK_SHA384 }, { ATT_TPM_RSA, ATT_TPM_RSASSA, ATT_BANK_SHA256 },
        { ATT_TPM_RSA, ATT_TPM_RSAPSS, ATT_BANK_SHA512 },
};

START_TEST(takes_what_was_signed_and_no_byte_else) {
        g_autoptr(Quoter) quoter = quoter_new(ways[_i].kind, 2048, QUOTER_AK);
        g_autoptr(Quoter) other = quoter_new(ways[_i].kind, 2048, QUOTER_AK);
        g_autoptr(AttKey) key = key_of(quoter, NULL), other_key = key_of(other, NULL);
        g_autoptr(GBytes) message = g_bytes_new_static("what a TPM says", 15);
        g_autoptr(GBytes) signature = quoter_sign(quoter, message, ways[_i].scheme, ways[_i].hash);

        ck_assert_ptr_nonnull(key);
        ck_assert(verifies(key, signature, message));
        ck_assert(!verifies(other_key, signature, message));
        for (size_t i = 0; i < g_bytes_get_size(message); i++) {
                g_autoptr(GBytes) bad = with_bit(message, i, 1);

                ck_assert(!verifies(key, signature, bad));
        }
        for (size_t i = 0; i < g_bytes_get_size(signature); i++) {
                g_autoptr(GBytes) bad = with_bit(signature, i, 0x40);

                ck_assert_msg(!verifies(key, bad, message), "byte %zu of the signature", i);
        }
}
END_TEST

START_TEST(sha1_is_not_taken) {
        g_autoptr(Quoter) quoter = quoter_new(ATT_TPM_P256, 0, QUOTER_AK);
        g_autoptr(AttKey) key = key_of(quoter, NULL);
        g_autoptr(GBytes) message = g_bytes_new_static("m", 1);
        g_autoptr(GBytes) good = quoter_sign(quoter, message, ATT_TPM_ECDSA, ATT_BANK_SHA256);
        g_autoptr(GBytes) bad = quoter_sign(quoter, message, ATT_TPM_ECDSA, ATT_BANK_SHA1);

        ck_assert(verifies(key, good, message));
        ck_assert(!verifies(key, bad, message));
}
END_TEST

START_TEST(a_signature_of_another_kind_than_its_key_is_refused) {
        g_autoptr(Quoter) rsa = quoter_new(ATT_TPM_RSA, 2048, QUOTER_AK), ecc = quoter_new(ATT_TPM_P256, 0, QUOTER_AK);
        g_autoptr(AttKey) rsa_key = key_of(rsa, NULL), ecc_key = key_of(ecc, NULL);
        g_autoptr(GBytes) message = g_bytes_new_static("m", 1);
        g_autoptr(GBytes) by_rsa = quoter_sign(rsa, message, ATT_TPM_RSASSA, ATT_BANK_SHA256);
        g_autoptr(GBytes) by_ecc = quoter_sign(ecc, message, ATT_TPM_ECDSA, ATT_BANK_SHA256);

        ck_assert(verifies(rsa_key, by_rsa, message) && verifies(ecc_key, by_ecc, message));
        ck_assert(!verifies(rsa_key, by_ecc, message) && !verifies(ecc_key, by_rsa, message));
}
END_TEST

START_TEST(refuses_a_point_that_is_none_and_rsa_that_is_weak) {
        g_autoptr(Quoter) ecc = quoter_new(ATT_TPM_P256, 0, QUOTER_AK), weak = quoter_new(ATT_TPM_RSA, 1024, QUOTER_AK);
        g_autoptr(GBytes) public = quoter_public(ecc);
        g_autoptr(GError) error = NULL;
        uint8_t x[33] = { 0 };
        AttTpmPublic p;

        ck_assert_ptr_null(key_of(weak, &error));
        ck_assert(g_error_matches(error, ATT_ERROR, ATT_ERROR_INVALID_ARGUMENT));

        ck_assert(att_tpm_public_parse(public, &p, NULL));
        g_autoptr(AttKey) good = att_key_from_tpm_public(&p, NULL);
        ck_assert_ptr_nonnull(good);

        memcpy(x, p.x.at, p.x.left);
        x[5] ^= 1;
        p.x = att_cursor(x, p.x.left);
        ck_assert_ptr_null(att_key_from_tpm_public(&p, NULL));
        p.x = att_cursor(x, sizeof x); /* too long */
        ck_assert_ptr_null(att_key_from_tpm_public(&p, NULL));
        p.x = p.y = att_cursor(NULL, 0);
        ck_assert_ptr_null(att_key_from_tpm_public(&p, NULL));
}
END_TEST

START_TEST(the_name_is_of_every_byte) {
        g_autoptr(Quoter) quoter = quoter_new(ATT_TPM_P256, 0, QUOTER_AK);
        g_autoptr(Quoter) weaker = quoter_new(ATT_TPM_P256, 0, QUOTER_AK & ~ATT_TPM_RESTRICTED);
        g_autoptr(GBytes) public = quoter_public(quoter), expected = quoter_name(quoter);
        g_autoptr(GBytes) name = att_tpm_name(public, NULL), other = quoter_name(weaker);
        g_autoptr(GBytes) none = g_bytes_new_static("\0\1", 2);
        g_autoptr(GError) error = NULL;

        ck_assert(g_bytes_equal(name, expected));
        ck_assert(!g_bytes_equal(name, other));
        ck_assert_ptr_null(att_tpm_name(none, &error));
        ck_assert(g_error_matches(error, ATT_ERROR, ATT_ERROR_BAD_DATA));
        for (size_t i = 4; i < g_bytes_get_size(public); i++) {
                g_autoptr(GBytes) bad = with_bit(public, i, 1);
                g_autoptr(GBytes) its = att_tpm_name(bad, NULL);

                ck_assert(!its || !g_bytes_equal(name, its));
        }
}
END_TEST

int main(void) {
        Suite *s = suite_create("tpm-key");
        TCase *t = tcase_create("keys");

        tcase_set_timeout(t, 60); /* RSA keys take as long as they like */
        tcase_add_loop_test(t, takes_what_was_signed_and_no_byte_else, 0, G_N_ELEMENTS(ways));
        tcase_add_test(t, sha1_is_not_taken);
        tcase_add_test(t, a_signature_of_another_kind_than_its_key_is_refused);
        tcase_add_test(t, refuses_a_point_that_is_none_and_rsa_that_is_weak);
        tcase_add_test(t, the_name_is_of_every_byte);
        suite_add_tcase(s, t);
        return run_suite(s);
}
