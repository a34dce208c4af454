/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "crypto/tpm-key.h"

#include "crypto/openssl-error.h"
#include "crypto/pkey.h"
#include "util/error.h"

#include <openssl/core_names.h>
#include <openssl/ecdsa.h>
#include <openssl/err.h>
#include <openssl/param_build.h>
#include <openssl/x509.h>

#define COORDINATE_MAX 48u

G_DEFINE_AUTOPTR_CLEANUP_FUNC(BIGNUM, BN_free)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(ECDSA_SIG, ECDSA_SIG_free)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(EVP_MD_CTX, EVP_MD_CTX_free)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(EVP_PKEY, EVP_PKEY_free)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(EVP_PKEY_CTX, EVP_PKEY_CTX_free)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(OSSL_PARAM, OSSL_PARAM_free)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(OSSL_PARAM_BLD, OSSL_PARAM_BLD_free)

static const EVP_MD *md_of(AttBank bank) {
        switch (bank) {
        case ATT_BANK_SHA1:
                return EVP_sha1();
        case ATT_BANK_SHA256:
                return EVP_sha256();
        case ATT_BANK_SHA384:
                return EVP_sha384();
        case ATT_BANK_SHA512:
                return EVP_sha512();
        }
        g_assert_not_reached();
}

GBytes *att_tpm_name(GBytes *public, GError **error) {
        g_autoptr(GByteArray) name = g_byte_array_new();
        uint8_t digest[ATT_BANK_SIZE_MAX];
        AttTpmPublic p;

        if (!att_tpm_public_parse(public, &p, error))
                return NULL;

        att_bank_digest(p.name_hash, g_bytes_get_data(public, NULL), g_bytes_get_size(public), digest);
        att_put_be(name, att_tpm_algorithm(p.name_hash), 2);
        att_put(name, digest, att_bank_size(p.name_hash));
        return g_byte_array_free_to_bytes(g_steal_pointer(&name));
}

/* ----- keys */

static bool put_coordinate(GByteArray *out, AttCursor number, size_t size) {
        static const uint8_t zero[COORDINATE_MAX];

        if (number.left > size)
                return false;
        att_put(out, zero, size - number.left);
        att_put(out, number.at, number.left);
        return true;
}

static GBytes *spki_of_point(const AttTpmPublic *p) {
        /* id-ecPublicKey, the curve, and a BIT STRING that begins an uncompressed point */
        static const uint8_t p256[] = { 0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01,
                                        0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00,
                                        0x04 };
        static const uint8_t p384[] = { 0x30, 0x76, 0x30, 0x10, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02,
                                        0x01, 0x06, 0x05, 0x2b, 0x81, 0x04, 0x00, 0x22, 0x03, 0x62, 0x00, 0x04 };
        bool is_p384 = p->kind == ATT_TPM_P384;
        size_t size = is_p384 ? 48 : 32;
        g_autoptr(GByteArray) out = g_byte_array_new();

        att_put(out, is_p384 ? p384 : p256, is_p384 ? sizeof p384 : sizeof p256);
        if (!put_coordinate(out, p->x, size) || !put_coordinate(out, p->y, size))
                return NULL;
        return g_byte_array_free_to_bytes(g_steal_pointer(&out));
}

static EVP_PKEY *rsa_from_numbers(const AttTpmPublic *p) {
        g_autoptr(BIGNUM) n = BN_bin2bn(p->modulus.at, (int) p->modulus.left, NULL);
        g_autoptr(EVP_PKEY_CTX) ctx = EVP_PKEY_CTX_new_from_name(NULL, "RSA", NULL);
        g_autoptr(OSSL_PARAM_BLD) builder = OSSL_PARAM_BLD_new();
        g_autoptr(OSSL_PARAM) params = NULL;
        EVP_PKEY *pkey = NULL;

        if (n && builder && OSSL_PARAM_BLD_push_BN(builder, OSSL_PKEY_PARAM_RSA_N, n) == 1 &&
            OSSL_PARAM_BLD_push_uint32(builder, OSSL_PKEY_PARAM_RSA_E, p->exponent) == 1)
                params = OSSL_PARAM_BLD_to_param(builder);
        if (!params || !ctx || EVP_PKEY_fromdata_init(ctx) != 1 ||
            EVP_PKEY_fromdata(ctx, &pkey, EVP_PKEY_PUBLIC_KEY, params) != 1)
                return NULL;
        return pkey;
}

static GBytes *spki_of_rsa(const AttTpmPublic *p) {
        g_autoptr(EVP_PKEY) pkey = rsa_from_numbers(p);
        unsigned char *der = NULL;
        int size = pkey ? i2d_PUBKEY(pkey, &der) : -1;
        GBytes *spki = size > 0 ? g_bytes_new(der, (size_t) size) : NULL;

        OPENSSL_free(der);
        return spki;
}

AttKey *att_key_from_tpm_public(const AttTpmPublic *public, GError **error) {
        g_autoptr(GBytes) spki = public->kind == ATT_TPM_RSA ? spki_of_rsa(public) : spki_of_point(public);
        AttKey *key = spki ? att_key_from_spki(spki, NULL) : NULL;

        ERR_clear_error();
        if (!key)
                att_error_set(error, ATT_ERROR_INVALID_ARGUMENT,
                              "the TPM's key is none of P-256, P-384, or RSA of %d to %d bits", ATT_RSA_BITS_MIN,
                              ATT_RSA_BITS_MAX);
        return key;
}

/* ----- signatures */

/* As OpenSSL has it, a SEQUENCE. */
static GBytes *der_of_numbers(const AttTpmSignature *signature) {
        g_autoptr(ECDSA_SIG) sig = ECDSA_SIG_new();
        BIGNUM *r = BN_bin2bn(signature->r.at, (int) signature->r.left, NULL);
        BIGNUM *s = BN_bin2bn(signature->s.at, (int) signature->s.left, NULL);
        unsigned char *der = NULL;
        int size = -1;
        GBytes *bytes;

        if (sig && r && s && ECDSA_SIG_set0(sig, r, s) == 1) {
                size = i2d_ECDSA_SIG(sig, &der);
        } else {
                BN_free(r);
                BN_free(s);
        }
        bytes = size > 0 ? g_bytes_new(der, (size_t) size) : NULL;
        OPENSSL_free(der);
        return bytes;
}

/* The length of PSS's salt is the TPM's choice: older ones take the longest. */
static bool set_padding(EVP_PKEY_CTX *ctx, AttTpmScheme scheme) {
        switch (scheme) {
        case ATT_TPM_RSASSA:
                return EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_PKCS1_PADDING) == 1;
        case ATT_TPM_RSAPSS:
                return EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_PKCS1_PSS_PADDING) == 1 &&
                       EVP_PKEY_CTX_set_rsa_pss_saltlen(ctx, RSA_PSS_SALTLEN_AUTO) == 1;
        case ATT_TPM_ECDSA:
                return true;
        }
        return false;
}

gboolean att_key_verify_tpm(const AttKey *key, const AttTpmSignature *signature, const void *message,
                            size_t message_size, GError **error) {
        bool is_ecdsa = signature->scheme == ATT_TPM_ECDSA;
        g_autoptr(EVP_MD_CTX) md_ctx = EVP_MD_CTX_new();
        EVP_PKEY_CTX *ctx; /* md_ctx's */
        g_autoptr(GBytes) bytes = NULL;

        if (signature->hash == ATT_BANK_SHA1)
                return att_error_set(error, ATT_ERROR_BAD_DATA, "the TPM's signature is over SHA-1");
        if (!EVP_PKEY_is_a(key->pkey, is_ecdsa ? "EC" : "RSA"))
                return att_error_set(error, ATT_ERROR_BAD_DATA, "the TPM's signature is of another kind than its key");

        bytes = is_ecdsa ? der_of_numbers(signature) : att_cursor_dup(&signature->rsa);
        if (!bytes || !md_ctx ||
            EVP_DigestVerifyInit(md_ctx, &ctx, md_of(signature->hash), NULL, key->pkey) != 1 ||
            !set_padding(ctx, signature->scheme))
                return att_openssl_error(error, "cannot use the TPM's key");

        /* 0 is a wrong signature, less is one that cannot be read: both are no. */
        if (EVP_DigestVerify(md_ctx, g_bytes_get_data(bytes, NULL), g_bytes_get_size(bytes), message,
                             message_size) != 1) {
                ERR_clear_error();
                return att_error_set(error, ATT_ERROR_BAD_DATA, "the TPM's signature is wrong");
        }
        return TRUE;
}
