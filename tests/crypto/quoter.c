/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "quoter.h"

#include <openssl/core_names.h>
#include <openssl/ecdsa.h>
#include <openssl/evp.h>
#include <openssl/rsa.h>

struct Quoter {
        AttTpmKeyKind kind;
        uint32_t attributes;
        EVP_PKEY *pkey;
};

static const EVP_MD *md_of(AttBank bank) {
        return EVP_get_digestbyname(att_bank_name(bank));
}

Quoter *quoter_new(AttTpmKeyKind kind, int bits, uint32_t attributes) {
        Quoter *q = g_new0(Quoter, 1);

        q->kind = kind;
        q->attributes = attributes;
        q->pkey = kind == ATT_TPM_RSA ? EVP_RSA_gen((unsigned) bits) :
                                        EVP_EC_gen(kind == ATT_TPM_P384 ? "P-384" : "P-256");
        g_assert_nonnull(q->pkey);
        return q;
}

void quoter_free(Quoter *quoter) {
        EVP_PKEY_free(quoter->pkey);
        g_free(quoter);
}

static void put_tpm2b(GByteArray *out, const void *data, size_t size) {
        att_put_be(out, size, 2);
        att_put(out, data, size);
}

static void put_number(GByteArray *out, const EVP_PKEY *pkey, const char *name) {
        BIGNUM *number = NULL;
        uint8_t bytes[1024];

        g_assert_true(EVP_PKEY_get_bn_param(pkey, name, &number) == 1);
        put_tpm2b(out, bytes, (size_t) BN_bn2bin(number, bytes)); /* as short as it is: TPMs may */
        BN_free(number);
}

GBytes *quoter_public(const Quoter *quoter) {
        bool is_rsa = quoter->kind == ATT_TPM_RSA;
        GByteArray *out = g_byte_array_new();

        att_put_be(out, is_rsa ? 0x0001 : 0x0023, 2);
        att_put_be(out, att_tpm_algorithm(ATT_BANK_SHA256), 2);
        att_put_be(out, quoter->attributes, 4);
        put_tpm2b(out, NULL, 0);
        att_put_be(out, 0x0010, 2); /* no symmetric algorithm */
        att_put_be(out, 0x0010, 2); /* any scheme */
        if (is_rsa) {
                att_put_be(out, (uint64_t) EVP_PKEY_get_bits(quoter->pkey), 2);
                att_put_be(out, 0, 4);
                put_number(out, quoter->pkey, OSSL_PKEY_PARAM_RSA_N);
        } else {
                att_put_be(out, quoter->kind, 2);
                att_put_be(out, 0x0010, 2); /* no KDF */
                put_number(out, quoter->pkey, OSSL_PKEY_PARAM_EC_PUB_X);
                put_number(out, quoter->pkey, OSSL_PKEY_PARAM_EC_PUB_Y);
        }
        return g_byte_array_free_to_bytes(out);
}

static void put_digest(GByteArray *out, AttBank bank, const void *data, size_t size) {
        uint8_t digest[EVP_MAX_MD_SIZE];

        g_assert_true(EVP_Digest(data, size, digest, NULL, md_of(bank), NULL) == 1);
        att_put(out, digest, att_bank_size(bank));
}

GBytes *quoter_name(const Quoter *quoter) {
        g_autoptr(GBytes) public = quoter_public(quoter);
        GByteArray *out = g_byte_array_new();

        att_put_be(out, att_tpm_algorithm(ATT_BANK_SHA256), 2);
        put_digest(out, ATT_BANK_SHA256, g_bytes_get_data(public, NULL), g_bytes_get_size(public));
        return g_byte_array_free_to_bytes(out);
}

static void put_ecdsa(GByteArray *out, const uint8_t *der, size_t size) {
        ECDSA_SIG *sig = d2i_ECDSA_SIG(NULL, &der, (long) size);
        uint8_t bytes[64];

        g_assert_nonnull(sig);
        put_tpm2b(out, bytes, (size_t) BN_bn2bin(ECDSA_SIG_get0_r(sig), bytes));
        put_tpm2b(out, bytes, (size_t) BN_bn2bin(ECDSA_SIG_get0_s(sig), bytes));
        ECDSA_SIG_free(sig);
}

GBytes *quoter_sign(const Quoter *quoter, GBytes *message, AttTpmScheme scheme, AttBank hash) {
        EVP_MD_CTX *md_ctx = EVP_MD_CTX_new();
        GByteArray *out = g_byte_array_new();
        uint8_t signature[2048];
        size_t size = sizeof signature;
        EVP_PKEY_CTX *ctx;

        g_assert_true(EVP_DigestSignInit(md_ctx, &ctx, md_of(hash), NULL, quoter->pkey) == 1);
        if (scheme == ATT_TPM_RSAPSS) /* with the longest salt, as older TPMs do */
                g_assert_true(EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_PKCS1_PSS_PADDING) == 1 &&
                              EVP_PKEY_CTX_set_rsa_pss_saltlen(ctx, RSA_PSS_SALTLEN_MAX) == 1);
        g_assert_true(EVP_DigestSign(md_ctx, signature, &size, g_bytes_get_data(message, NULL),
                                     g_bytes_get_size(message)) == 1);
        EVP_MD_CTX_free(md_ctx);

        att_put_be(out, scheme, 2);
        att_put_be(out, att_tpm_algorithm(hash), 2);
        if (quoter->kind == ATT_TPM_RSA)
                put_tpm2b(out, signature, size);
        else
                put_ecdsa(out, signature, size);
        return g_byte_array_free_to_bytes(out);
}

GBytes *quoter_attest(const QuoterSays *says) {
        static const uint8_t signer[34] = { 0, 11 };
        GByteArray *out = g_byte_array_new();

        att_put_be(out, says->magic, 4);
        att_put_be(out, says->type, 2);
        put_tpm2b(out, signer, sizeof signer);
        put_tpm2b(out, g_bytes_get_data(says->extra_data, NULL), g_bytes_get_size(says->extra_data));
        att_put_be(out, 1000, 8);
        att_put_be(out, 7, 4);
        att_put_be(out, 0, 4);
        att_put_be(out, 1, 1);
        att_put_be(out, 0x2019102300163636, 8);
        att_put_be(out, says->n_selections, 4);
        for (uint32_t i = 0; i < says->n_selections; i++) {
                att_put_be(out, att_tpm_algorithm(says->bank), 2);
                att_put_be(out, 3, 1);
                att_put_le(out, says->pcrs, 3);
        }
        put_tpm2b(out, g_bytes_get_data(says->pcr_digest, NULL), g_bytes_get_size(says->pcr_digest));
        return g_byte_array_free_to_bytes(out);
}

static GBytes *extra_data_of(const uint8_t *r) {
        static const char tag[] = "attestd tpm/1";
        g_autoptr(GByteArray) all = g_byte_array_new();
        GByteArray *out = g_byte_array_new();

        att_put(all, tag, sizeof tag);
        att_put(all, r, 64);
        put_digest(out, ATT_BANK_SHA256, all->data, all->len);
        return g_byte_array_free_to_bytes(out);
}

AttTpmEvidence *quoter_quote(const Quoter *quoter, const uint8_t *r, AttBank bank, const uint8_t *value) {
        AttTpmEvidence *e = g_new0(AttTpmEvidence, 1);
        g_autoptr(GBytes) extra_data = extra_data_of(r);
        GByteArray *digest = g_byte_array_new();

        put_digest(digest, ATT_BANK_SHA256, value, att_bank_size(bank));
        g_autoptr(GBytes) pcr_digest = g_byte_array_free_to_bytes(digest);

        e->ak_public = quoter_public(quoter);
        e->attest = quoter_attest(&(QuoterSays) { .magic = 0xff544347, .type = 0x8018, .extra_data = extra_data,
                                                  .n_selections = 1, .bank = bank, .pcrs = 1u << 10,
                                                  .pcr_digest = pcr_digest });
        e->signature = quoter_sign(quoter, e->attest, quoter->kind == ATT_TPM_RSA ? ATT_TPM_RSASSA : ATT_TPM_ECDSA,
                                   ATT_BANK_SHA256);
        return e;
}
