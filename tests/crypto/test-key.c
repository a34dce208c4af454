/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "crypto/key.h"

#include "crypto/openssl-error.h"
#include "pki.h"
#include "run.h"
#include "util/error.h"

#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/ecdsa.h>
#include <openssl/err.h>
#include <openssl/param_build.h>

static const char message[] = "message";

static const struct {
        const char *type;
        uint16_t scheme;
} pairs[] = {
        { "P-256", ATT_SCHEME_ECDSA_SECP256R1_SHA256 },  { "P-384", ATT_SCHEME_ECDSA_SECP384R1_SHA384 },
        { "ED25519", ATT_SCHEME_ED25519 },               { "RSA-2048", ATT_SCHEME_RSA_PSS_RSAE_SHA256 },
        { "RSA-2048", ATT_SCHEME_RSA_PSS_RSAE_SHA384 },  { "RSA-2048", ATT_SCHEME_RSA_PSS_RSAE_SHA512 },
};

static AttKey *public_half(EVP_PKEY *pkey) {
        g_autoptr(GBytes) spki = pki_spki(pkey);
        AttKey *key = att_key_from_spki(spki, NULL);

        ck_assert_ptr_nonnull(key);
        return key;
}

static gboolean verify(const AttKey *key, uint16_t scheme, const char *text, GBytes *signature, GError **error) {
        return att_key_verify(key, scheme, text, strlen(text), g_bytes_get_data(signature, NULL),
                              g_bytes_get_size(signature), error);
}

START_TEST(verifies_each_scheme_and_refuses_what_is_not_its_signature) {
        g_autoptr(EVP_PKEY) pkey = pki_key(pairs[_i].type);
        g_autoptr(EVP_PKEY) stranger = pki_key(pairs[_i].type);
        g_autoptr(AttKey) key = public_half(pkey);
        g_autoptr(AttKey) other = public_half(stranger);
        g_autoptr(GBytes) signature = pki_sign(pkey, pairs[_i].scheme, message, strlen(message));
        g_autoptr(GError) error = NULL;

        ck_assert(att_key_fits_scheme(key, pairs[_i].scheme));
        ck_assert(verify(key, pairs[_i].scheme, message, signature, NULL));

        ck_assert(!verify(key, pairs[_i].scheme, "massage", signature, &error));
        ck_assert(g_error_matches(error, ATT_ERROR, ATT_ERROR_BAD_DATA));
        ck_assert(!verify(other, pairs[_i].scheme, message, signature, NULL));
        ck_assert(verify(key, pairs[_i].scheme, message, signature, NULL));
}
END_TEST

START_TEST(refuses_a_signature_under_another_scheme) {
        g_autoptr(EVP_PKEY) pkey = pki_key(pairs[_i].type);
        g_autoptr(AttKey) key = public_half(pkey);
        g_autoptr(GBytes) signature = pki_sign(pkey, pairs[_i].scheme, message, strlen(message));

        for (size_t i = 0; i < att_n_schemes; i++)
                ck_assert_int_eq(verify(key, att_schemes[i], message, signature, NULL),
                                 att_schemes[i] == pairs[_i].scheme);
        /* rsa_pkcs1_sha256, ecdsa_sha1, rsa_pss_pss_sha256, nothing */
        ck_assert(!verify(key, 0x0401, message, signature, NULL));
        ck_assert(!verify(key, 0x0203, message, signature, NULL));
        ck_assert(!verify(key, 0x0809, message, signature, NULL));
        ck_assert(!verify(key, 0, message, signature, NULL));
}
END_TEST

START_TEST(refuses_every_prefix_of_a_signature_and_bytes_after_it) {
        g_autoptr(EVP_PKEY) pkey = pki_key(pairs[_i].type);
        g_autoptr(AttKey) key = public_half(pkey);
        g_autoptr(GBytes) signature = pki_sign(pkey, pairs[_i].scheme, message, strlen(message));
        gsize size = g_bytes_get_size(signature);
        g_autofree uint8_t *longer = g_malloc0(size + 1);

        for (gsize n = 0; n < size; n++) {
                g_autofree uint8_t *prefix = g_memdup2(g_bytes_get_data(signature, NULL), n);

                ck_assert(!att_key_verify(key, pairs[_i].scheme, message, strlen(message), prefix, n, NULL));
        }
        memcpy(longer, g_bytes_get_data(signature, NULL), size);
        ck_assert(att_key_verify(key, pairs[_i].scheme, message, strlen(message), longer, size, NULL));
        ck_assert(!att_key_verify(key, pairs[_i].scheme, message, strlen(message), longer, size + 1, NULL));
}
END_TEST

/* rsa_pss_rsae: the salt has the size of the digest. */
START_TEST(refuses_a_pss_salt_of_another_size) {
        g_autoptr(EVP_PKEY) pkey = pki_key("RSA-2048");
        g_autoptr(AttKey) key = public_half(pkey);
        const int sizes[] = { 32, 0, 20, 64 };

        for (size_t i = 0; i < G_N_ELEMENTS(sizes); i++) {
                EVP_MD_CTX *ctx = EVP_MD_CTX_new();
                EVP_PKEY_CTX *pctx = NULL;
                const unsigned char *m = (const unsigned char *) message;
                uint8_t signature[256];
                size_t n = sizeof signature;

                ck_assert_int_eq(EVP_DigestSignInit_ex(ctx, &pctx, "SHA256", NULL, NULL, pkey, NULL), 1);
                ck_assert_int_eq(EVP_PKEY_CTX_set_rsa_padding(pctx, RSA_PKCS1_PSS_PADDING), 1);
                ck_assert_int_eq(EVP_PKEY_CTX_set_rsa_pss_saltlen(pctx, sizes[i]), 1);
                ck_assert_int_eq(EVP_DigestSign(ctx, signature, &n, m, sizeof message), 1);
                EVP_MD_CTX_free(ctx);
                ck_assert_int_eq(
                        att_key_verify(key, ATT_SCHEME_RSA_PSS_RSAE_SHA256, m, sizeof message, signature, n, NULL),
                        sizes[i] == 32);
        }
}
END_TEST

START_TEST(knows_which_key_fits_which_scheme) {
        for (size_t i = 0; i < G_N_ELEMENTS(pairs); i++) {
                g_autoptr(EVP_PKEY) pkey = pki_key(pairs[i].type);
                g_autoptr(AttKey) key = public_half(pkey);

                for (size_t k = 0; k < G_N_ELEMENTS(pairs); k++)
                        ck_assert_int_eq(att_key_fits_scheme(key, pairs[k].scheme),
                                         g_str_equal(pairs[i].type, pairs[k].type));
                ck_assert(!att_key_fits_scheme(key, 0x0401));
                ck_assert(!att_key_fits_scheme(key, 0x0603));
        }
}
END_TEST

START_TEST(chooses_the_first_of_ours_that_is_offered_and_fits) {
        g_autoptr(EVP_PKEY) rsa = pki_key("RSA-2048");
        g_autoptr(AttKey) key = public_half(rsa);
        const uint16_t offered[] = { 0x0401, ATT_SCHEME_ED25519, ATT_SCHEME_RSA_PSS_RSAE_SHA512,
                                     ATT_SCHEME_RSA_PSS_RSAE_SHA384 };

        ck_assert_uint_eq(att_key_choose_scheme(key, offered, G_N_ELEMENTS(offered)), ATT_SCHEME_RSA_PSS_RSAE_SHA384);
        ck_assert_uint_eq(att_key_choose_scheme(key, offered, 3), ATT_SCHEME_RSA_PSS_RSAE_SHA512);
        ck_assert_uint_eq(att_key_choose_scheme(key, offered, 2), 0);
        ck_assert_uint_eq(att_key_choose_scheme(key, NULL, 0), 0);
}
END_TEST

START_TEST(names_its_schemes) {
        for (size_t i = 0; i < att_n_schemes; i++)
                ck_assert_str_ne(att_scheme_name(att_schemes[i]), "unknown scheme");
        ck_assert_str_eq(att_scheme_name(0x0403), "ecdsa_secp256r1_sha256");
        ck_assert_str_eq(att_scheme_name(0x0401), "unknown scheme");
}
END_TEST

static void assert_no_key(const void *der, gsize size) {
        g_autofree void *exact = g_memdup2(der, size);
        g_autoptr(GBytes) spki = g_bytes_new_static(exact, size);
        g_autoptr(GError) error = NULL;

        ck_assert_ptr_null(att_key_from_spki(spki, &error));
        ck_assert(g_error_matches(error, ATT_ERROR, ATT_ERROR_INVALID_ARGUMENT));
}

START_TEST(refuses_every_prefix_of_a_key_and_bytes_after_it) {
        g_autoptr(EVP_PKEY) pkey = pki_key(pairs[_i].type);
        g_autoptr(GBytes) spki = pki_spki(pkey);
        gsize size = g_bytes_get_size(spki);
        g_autofree uint8_t *longer = g_malloc0(size + 1);

        memcpy(longer, g_bytes_get_data(spki, NULL), size);
        for (gsize n = 0; n < size; n++)
                assert_no_key(longer, n);
        assert_no_key(longer, size + 1);
}
END_TEST

START_TEST(refuses_a_key_that_no_scheme_can_use) {
        const char *types[] = { "P-521", "secp256k1", "RSA-1024", "RSA-PSS-2048" };
        g_autoptr(EVP_PKEY) pkey = pki_key(types[_i]);
        g_autoptr(GBytes) spki = pki_spki(pkey);

        assert_no_key(g_bytes_get_data(spki, NULL), g_bytes_get_size(spki));
}
END_TEST

START_TEST(refuses_a_key_in_ber) {
        g_autoptr(EVP_PKEY) pkey = pki_key("P-256");
        g_autoptr(GBytes) spki = pki_spki(pkey);
        const uint8_t *der = g_bytes_get_data(spki, NULL);
        uint8_t ber[92];

        /* A length of two bytes where one does. */
        ck_assert_uint_eq(g_bytes_get_size(spki), 91);
        ber[0] = 0x30;
        ber[1] = 0x81;
        memcpy(ber + 2, der + 1, 90);
        assert_no_key(ber, sizeof ber);
}
END_TEST

/* The curve is the right one, but its name is what the scheme is tied to. */
START_TEST(refuses_a_curve_given_by_its_parameters) {
        EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, "EC", NULL);
        g_autoptr(EVP_PKEY) pkey = NULL;
        g_autoptr(GBytes) spki = NULL;
        OSSL_PARAM params[] = {
                OSSL_PARAM_construct_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME, (char *) "P-256", 0),
                OSSL_PARAM_construct_utf8_string(OSSL_PKEY_PARAM_EC_ENCODING,
                                                 (char *) OSSL_PKEY_EC_ENCODING_EXPLICIT, 0),
                OSSL_PARAM_construct_end(),
        };

        ck_assert_int_eq(EVP_PKEY_keygen_init(ctx), 1);
        ck_assert_int_eq(EVP_PKEY_CTX_set_params(ctx, params), 1);
        ck_assert_int_eq(EVP_PKEY_generate(ctx, &pkey), 1);
        EVP_PKEY_CTX_free(ctx);
        spki = pki_spki(pkey);
        ck_assert_uint_gt(g_bytes_get_size(spki), 91);
        assert_no_key(g_bytes_get_data(spki, NULL), g_bytes_get_size(spki));
}
END_TEST

START_TEST(refuses_the_neutral_element_and_points_off_the_curve) {
        g_autoptr(GBytes) neutral = pki_from_hex("3019301306072a8648ce3d020106082a8648ce3d03010703020000");
        uint8_t xy[64] = { 0 };
        g_autoptr(GError) error = NULL;

        assert_no_key(g_bytes_get_data(neutral, NULL), g_bytes_get_size(neutral));
        ck_assert_ptr_null(att_key_from_p256_point(xy, &error));
        ck_assert(g_error_matches(error, ATT_ERROR, ATT_ERROR_INVALID_ARGUMENT));
}
END_TEST

/* The head is right, and what follows it is no point of the curve: one bit away from one. */
START_TEST(refuses_what_is_one_bit_off_the_curve) {
        static const char *const types[] = { "P-256", "P-384" };
        g_autoptr(EVP_PKEY) pkey = pki_key(types[_i]);
        g_autoptr(GBytes) spki = pki_spki(pkey);
        const gsize size = g_bytes_get_size(spki), from = size - (_i == 0 ? 64 : 96);
        g_autofree uint8_t *changed = g_memdup2(g_bytes_get_data(spki, NULL), size);
        g_autoptr(AttKey) key = att_key_from_spki(spki, NULL);

        ck_assert_ptr_nonnull(key);
        for (gsize bit = 8 * from; bit < 8 * size; bit += 5) {
                changed[bit / 8] ^= (uint8_t) (1 << bit % 8);
                assert_no_key(changed, size);
                changed[bit / 8] ^= (uint8_t) (1 << bit % 8);
        }
        /* Coordinates that are no residues of the prime. */
        memset(changed + from, 0xff, size - from);
        assert_no_key(changed, size);
}
END_TEST

/* An RSA key of so many bits, with an exponent of so many bytes. Not one to sign with. */
static GBytes *rsa_spki(size_t bits, size_t exponent_size) {
        g_autofree uint8_t *n = g_malloc(bits / 8), *e = g_malloc(exponent_size);
        EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, "RSA", NULL);
        g_autoptr(EVP_PKEY) pkey = NULL;
        BIGNUM *modulus, *exponent;
        OSSL_PARAM_BLD *build = OSSL_PARAM_BLD_new();
        OSSL_PARAM *params;
        GBytes *spki;

        memset(n, 0xff, bits / 8);
        memset(e, 0x7f, exponent_size);
        modulus = BN_bin2bn(n, (int) (bits / 8), NULL);
        exponent = BN_bin2bn(e, (int) exponent_size, NULL);
        ck_assert_int_eq(OSSL_PARAM_BLD_push_BN(build, OSSL_PKEY_PARAM_RSA_N, modulus), 1);
        ck_assert_int_eq(OSSL_PARAM_BLD_push_BN(build, OSSL_PKEY_PARAM_RSA_E, exponent), 1);
        params = OSSL_PARAM_BLD_to_param(build);
        ck_assert_int_eq(EVP_PKEY_fromdata_init(ctx), 1);
        ck_assert_int_eq(EVP_PKEY_fromdata(ctx, &pkey, EVP_PKEY_PUBLIC_KEY, params), 1);
        spki = pki_spki(pkey);
        OSSL_PARAM_free(params);
        OSSL_PARAM_BLD_free(build);
        BN_free(modulus);
        BN_free(exponent);
        EVP_PKEY_CTX_free(ctx);
        return spki;
}

START_TEST(sc34c_refuses_a_key_over_its_limits) {
        const struct {
                size_t bits, exponent;
                bool ok;
        } cases[] = {
                { 2048, 3, true },  { 2040, 3, false },    { 16384, 3, true },
                { 16392, 3, false }, { 2048, 3803, true }, { 2048, 3804, false },
        };

        for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
                g_autoptr(GBytes) spki = rsa_spki(cases[i].bits, cases[i].exponent);

                if (i >= 4)
                        ck_assert_uint_eq(g_bytes_get_size(spki), i == 4 ? 4096 : 4097);
                if (cases[i].ok) {
                        g_autoptr(AttKey) key = att_key_from_spki(spki, NULL);

                        ck_assert_ptr_nonnull(key);
                } else {
                        assert_no_key(g_bytes_get_data(spki, NULL), g_bytes_get_size(spki));
                }
        }
        assert_no_key("", 0);
}
END_TEST

static void get_raw(EVP_PKEY *pkey, uint8_t xy[64]) {
        uint8_t point[65];
        size_t n;

        ck_assert_int_eq(EVP_PKEY_get_octet_string_param(pkey, OSSL_PKEY_PARAM_PUB_KEY, point, sizeof point, &n), 1);
        ck_assert_uint_eq(n, 65);
        memcpy(xy, point + 1, 64);
}

static void sign_raw(EVP_PKEY *pkey, uint8_t rs[64]) {
        g_autoptr(GBytes) der = pki_sign(pkey, ATT_SCHEME_ECDSA_SECP256R1_SHA256, message, strlen(message));
        const unsigned char *p = g_bytes_get_data(der, NULL);
        ECDSA_SIG *sig = d2i_ECDSA_SIG(NULL, &p, (long) g_bytes_get_size(der));

        ck_assert_ptr_nonnull(sig);
        ck_assert_int_eq(BN_bn2binpad(ECDSA_SIG_get0_r(sig), rs, 32), 32);
        ck_assert_int_eq(BN_bn2binpad(ECDSA_SIG_get0_s(sig), rs + 32, 32), 32);
        ECDSA_SIG_free(sig);
}

START_TEST(verifies_a_raw_signature_and_refuses_any_bit_flipped) {
        g_autoptr(EVP_PKEY) pkey = pki_key("P-256");
        g_autoptr(AttKey) key = NULL;
        uint8_t xy[64], rs[64];
        g_autoptr(GError) error = NULL;

        get_raw(pkey, xy);
        sign_raw(pkey, rs);
        key = att_key_from_p256_point(xy, NULL);
        ck_assert_ptr_nonnull(key);
        ck_assert(att_key_verify_raw(key, message, strlen(message), rs, NULL));

        for (size_t i = 0; i < 64; i++) {
                rs[i] ^= 1;
                ck_assert(!att_key_verify_raw(key, message, strlen(message), rs, NULL));
                rs[i] ^= 1;
        }
        ck_assert(!att_key_verify_raw(key, "massage", 7, rs, &error));
        ck_assert(g_error_matches(error, ATT_ERROR, ATT_ERROR_BAD_DATA));
}
END_TEST

/* As a report has it: little-endian, each in a field that is too large for it. */
static void sign_le(EVP_PKEY *pkey, uint8_t r[ATT_P384_LE_SIZE], uint8_t s[ATT_P384_LE_SIZE]) {
        g_autoptr(GBytes) der = pki_sign(pkey, ATT_SCHEME_ECDSA_SECP384R1_SHA384, message, strlen(message));
        const unsigned char *p = g_bytes_get_data(der, NULL);
        ECDSA_SIG *sig = d2i_ECDSA_SIG(NULL, &p, (long) g_bytes_get_size(der));

        ck_assert_ptr_nonnull(sig);
        ck_assert_int_eq(BN_bn2lebinpad(ECDSA_SIG_get0_r(sig), r, ATT_P384_LE_SIZE), ATT_P384_LE_SIZE);
        ck_assert_int_eq(BN_bn2lebinpad(ECDSA_SIG_get0_s(sig), s, ATT_P384_LE_SIZE), ATT_P384_LE_SIZE);
        ECDSA_SIG_free(sig);
}

START_TEST(sc23b_verifies_little_endian_numbers_and_refuses_any_bit_flipped) {
        g_autoptr(EVP_PKEY) pkey = pki_key("P-384"), small = pki_key("P-256");
        g_autoptr(AttKey) key = public_half(pkey), wrong = public_half(small);
        uint8_t r[ATT_P384_LE_SIZE], s[ATT_P384_LE_SIZE], reversed[ATT_P384_LE_SIZE];
        g_autoptr(GError) error = NULL;

        sign_le(pkey, r, s);
        ck_assert(att_key_verify_p384_le(key, message, strlen(message), r, s, NULL));
        for (size_t i = 0; i < ATT_P384_LE_SIZE; i++) {
                r[i] ^= 1;
                ck_assert(!att_key_verify_p384_le(key, message, strlen(message), r, s, NULL));
                r[i] ^= 1;
                s[i] ^= 1;
                ck_assert(!att_key_verify_p384_le(key, message, strlen(message), r, s, NULL));
                s[i] ^= 1;
        }
        for (size_t i = 0; i < ATT_P384_LE_SIZE; i++)
                reversed[i] = r[ATT_P384_LE_SIZE - 1 - i];
        ck_assert(!att_key_verify_p384_le(key, message, strlen(message), reversed, s, NULL));
        ck_assert(!att_key_verify_p384_le(wrong, message, strlen(message), r, s, NULL));
        ck_assert(!att_key_verify_p384_le(key, "massage", 7, r, s, &error));
        ck_assert(g_error_matches(error, ATT_ERROR, ATT_ERROR_BAD_DATA));
        ck_assert(att_key_verify_p384_le(key, message, strlen(message), r, s, NULL));
}
END_TEST

START_TEST(sc04_refuses_little_endian_signatures_of_nothing) {
        g_autoptr(EVP_PKEY) pkey = pki_key("P-384");
        g_autoptr(AttKey) key = public_half(pkey);
        g_autoptr(GBytes) order = pki_from_hex("7329c5cc6a19ecec7ab0a748b20d1a58df2d37f4814d63c7ffffffffffffffff"
                                               "ffffffffffffffffffffffffffffffff");
        uint8_t zero[ATT_P384_LE_SIZE] = { 0 }, n[ATT_P384_LE_SIZE] = { 0 }, ones[ATT_P384_LE_SIZE] = { 0 };
        uint8_t r[ATT_P384_LE_SIZE], s[ATT_P384_LE_SIZE];

        memcpy(n, g_bytes_get_data(order, NULL), 48);
        memset(ones, 0xff, 48);
        sign_le(pkey, r, s);
        ck_assert(att_key_verify_p384_le(key, message, strlen(message), r, s, NULL));
        ck_assert(!att_key_verify_p384_le(key, message, strlen(message), zero, zero, NULL));
        ck_assert(!att_key_verify_p384_le(key, message, strlen(message), r, zero, NULL));
        ck_assert(!att_key_verify_p384_le(key, message, strlen(message), zero, s, NULL));
        ck_assert(!att_key_verify_p384_le(key, message, strlen(message), n, s, NULL));
        ck_assert(!att_key_verify_p384_le(key, message, strlen(message), r, n, NULL));
        ck_assert(!att_key_verify_p384_le(key, message, strlen(message), ones, ones, NULL));
}
END_TEST

/* r or s of 0 or of the order: once the way past a verifier. */
START_TEST(sc04_refuses_raw_signatures_of_nothing) {
        g_autoptr(EVP_PKEY) pkey = pki_key("P-256");
        g_autoptr(AttKey) key = public_half(pkey);
        g_autoptr(GBytes) order = pki_from_hex("ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551");
        uint8_t rs[64], good[64];

        sign_raw(pkey, good);
        ck_assert(att_key_verify_raw(key, message, strlen(message), good, NULL));

        memset(rs, 0, sizeof rs);
        ck_assert(!att_key_verify_raw(key, message, strlen(message), rs, NULL));
        memset(rs, 0xff, sizeof rs);
        ck_assert(!att_key_verify_raw(key, message, strlen(message), rs, NULL));
        for (size_t half = 0; half < 2; half++) {
                memcpy(rs, good, sizeof rs);
                memset(rs + 32 * half, 0, 32);
                ck_assert(!att_key_verify_raw(key, message, strlen(message), rs, NULL));
                memcpy(rs + 32 * half, g_bytes_get_data(order, NULL), 32);
                ck_assert(!att_key_verify_raw(key, message, strlen(message), rs, NULL));
        }
}
END_TEST

START_TEST(sc04_signature_by_a_random_key_is_refused) {
        g_autoptr(EVP_PKEY) pkey = pki_key("P-256");
        g_autoptr(EVP_PKEY) random = pki_key("P-256");
        g_autoptr(AttKey) key = public_half(pkey);
        uint8_t rs[64];

        sign_raw(random, rs);
        ck_assert(!att_key_verify_raw(key, message, strlen(message), rs, NULL));
        sign_raw(pkey, rs);
        ck_assert(att_key_verify_raw(key, message, strlen(message), rs, NULL));
}
END_TEST

START_TEST(raw_signatures_are_for_p256_only) {
        g_autoptr(EVP_PKEY) pkey = pki_key("P-384");
        g_autoptr(AttKey) key = public_half(pkey);
        uint8_t rs[64] = { 1 };
        g_autoptr(GError) error = NULL;

        ck_assert(!att_key_verify_raw(key, message, strlen(message), rs, &error));
        ck_assert(g_error_matches(error, ATT_ERROR, ATT_ERROR_BAD_DATA));
}
END_TEST

START_TEST(reads_one_public_key_from_pem) {
        const char *head = "-----BEGIN PUBLIC KEY-----\n", *tail = "\n-----END PUBLIC KEY-----\n";
        g_autoptr(EVP_PKEY) pkey = pki_key("P-256");
        g_autoptr(GBytes) spki = pki_spki(pkey);
        g_autofree char *base64 = g_base64_encode(g_bytes_get_data(spki, NULL), g_bytes_get_size(spki));
        g_autofree char *pem = g_strconcat(head, base64, tail, NULL);
        g_autofree char *spaced = g_strconcat("\n ", pem, " \n", NULL), *twice = g_strconcat(pem, pem, NULL);
        g_autofree char *before = g_strconcat("x", pem, NULL), *after = g_strconcat(pem, "x", NULL);
        const char *good[] = { pem, spaced }, *bad[] = { twice, before, after, head, "" };
        size_t size = strlen(pem) - 1; /* the line feed may lack */

        for (size_t i = 0; i < G_N_ELEMENTS(good); i++) {
                g_autoptr(GBytes) found = att_spki_from_pem(good[i], strlen(good[i]), NULL);

                ck_assert(found && g_bytes_equal(found, spki));
        }
        for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
                g_autoptr(GError) error = NULL;

                ck_assert_ptr_null(att_spki_from_pem(bad[i], strlen(bad[i]), &error));
                ck_assert(g_error_matches(error, ATT_ERROR, ATT_ERROR_BAD_DATA));
        }
        for (size_t n = 0; n < size; n++) {
                g_autofree char *prefix = g_memdup2(pem, n);

                ck_assert_ptr_null(att_spki_from_pem(prefix, n, NULL));
        }
}
END_TEST

START_TEST(orphans_are_keys_and_differ) {
        g_autoptr(GBytes) a = att_spki_new_orphan(NULL), b = att_spki_new_orphan(NULL);
        g_autoptr(AttKey) key = att_key_from_spki(a, NULL);

        ck_assert(att_key_fits_scheme(key, ATT_SCHEME_ECDSA_SECP256R1_SHA256));
        ck_assert(!g_bytes_equal(a, b));
}
END_TEST

START_TEST(reason_of_openssl_is_told_once) {
        g_autoptr(GError) first = NULL, second = NULL;

        ERR_raise(ERR_LIB_EVP, EVP_R_INVALID_KEY_LENGTH);
        ck_assert(!att_openssl_error(&first, "cannot do it"));
        ck_assert(g_error_matches(first, ATT_ERROR, ATT_ERROR_FAILED));
        ck_assert(g_str_has_prefix(first->message, "cannot do it: error:"));
        ck_assert(!att_openssl_error(&second, "cannot do it"));
        ck_assert_str_eq(second->message, "cannot do it: no reason given");
}
END_TEST

int main(void) {
        Suite *s = suite_create("key");
        TCase *t = tcase_create("key");
        int n = G_N_ELEMENTS(pairs);

        tcase_set_timeout(t, 60);
        tcase_add_loop_test(t, verifies_each_scheme_and_refuses_what_is_not_its_signature, 0, n);
        tcase_add_loop_test(t, refuses_a_signature_under_another_scheme, 0, n);
        tcase_add_loop_test(t, refuses_every_prefix_of_a_signature_and_bytes_after_it, 0, n);
        tcase_add_test(t, refuses_a_pss_salt_of_another_size);
        tcase_add_test(t, knows_which_key_fits_which_scheme);
        tcase_add_test(t, chooses_the_first_of_ours_that_is_offered_and_fits);
        tcase_add_test(t, names_its_schemes);
        tcase_add_loop_test(t, refuses_every_prefix_of_a_key_and_bytes_after_it, 0, 4);
        tcase_add_loop_test(t, refuses_a_key_that_no_scheme_can_use, 0, 4);
        tcase_add_test(t, refuses_a_key_in_ber);
        tcase_add_test(t, refuses_a_curve_given_by_its_parameters);
        tcase_add_test(t, refuses_the_neutral_element_and_points_off_the_curve);
        tcase_add_loop_test(t, refuses_what_is_one_bit_off_the_curve, 0, 2);
        tcase_add_test(t, sc34c_refuses_a_key_over_its_limits);
        tcase_add_test(t, verifies_a_raw_signature_and_refuses_any_bit_flipped);
        tcase_add_test(t, sc04_refuses_raw_signatures_of_nothing);
        tcase_add_test(t, sc23b_verifies_little_endian_numbers_and_refuses_any_bit_flipped);
        tcase_add_test(t, sc04_refuses_little_endian_signatures_of_nothing);
        tcase_add_test(t, sc04_signature_by_a_random_key_is_refused);
        tcase_add_test(t, raw_signatures_are_for_p256_only);
        tcase_add_test(t, reads_one_public_key_from_pem);
        tcase_add_test(t, orphans_are_keys_and_differ);
        tcase_add_test(t, reason_of_openssl_is_told_once);
        suite_add_tcase(s, t);
        return run_suite(s);
}
