/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "crypto/key.h"

#include "crypto/ima-signature.h"
#include "crypto/openssl-error.h"
#include "crypto/pkey.h"
#include "util/error.h"

#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/ecdsa.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>

#define SPKI_SIZE_MAX 4096u
#define P384_SIZE 48

G_DEFINE_AUTOPTR_CLEANUP_FUNC(ECDSA_SIG, ECDSA_SIG_free)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(EVP_MD_CTX, EVP_MD_CTX_free)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(EVP_PKEY_CTX, EVP_PKEY_CTX_free)

typedef struct Scheme {
        uint16_t id;
        const char *name;   /* as in the registry of IANA */
        const char *type;   /* of the key */
        const char *curve;  /* TLS 1.3 ties the curve to the scheme */
        const char *digest; /* NULL: part of the scheme */
} Scheme;

static const Scheme schemes_known[] = {
        { ATT_SCHEME_ED25519, "ed25519", "ED25519", NULL, NULL },
        { ATT_SCHEME_ECDSA_SECP256R1_SHA256, "ecdsa_secp256r1_sha256", "EC", SN_X9_62_prime256v1, "SHA2-256" },
        { ATT_SCHEME_ECDSA_SECP384R1_SHA384, "ecdsa_secp384r1_sha384", "EC", SN_secp384r1, "SHA2-384" },
        { ATT_SCHEME_RSA_PSS_RSAE_SHA256, "rsa_pss_rsae_sha256", "RSA", NULL, "SHA2-256" },
        { ATT_SCHEME_RSA_PSS_RSAE_SHA384, "rsa_pss_rsae_sha384", "RSA", NULL, "SHA2-384" },
        { ATT_SCHEME_RSA_PSS_RSAE_SHA512, "rsa_pss_rsae_sha512", "RSA", NULL, "SHA2-512" },
};

const uint16_t att_schemes[] = {
        ATT_SCHEME_ED25519,
        ATT_SCHEME_ECDSA_SECP256R1_SHA256,
        ATT_SCHEME_ECDSA_SECP384R1_SHA384,
        ATT_SCHEME_RSA_PSS_RSAE_SHA256,
        ATT_SCHEME_RSA_PSS_RSAE_SHA384,
        ATT_SCHEME_RSA_PSS_RSAE_SHA512,
};
const size_t att_n_schemes = G_N_ELEMENTS(att_schemes);

static const Scheme *find_scheme(uint16_t id) {
        for (size_t i = 0; i < G_N_ELEMENTS(schemes_known); i++)
                if (schemes_known[i].id == id)
                        return &schemes_known[i];
        return NULL;
}

static bool is_on_curve(const EVP_PKEY *pkey, const char *curve) {
        char name[64];
        int from_explicit = 1;

        /* A curve given by its parameters is not a named one, though it be the same. */
        return EVP_PKEY_get_group_name(pkey, name, sizeof name, NULL) == 1 && g_str_equal(name, curve) &&
               EVP_PKEY_get_int_param(pkey, OSSL_PKEY_PARAM_EC_DECODED_FROM_EXPLICIT_PARAMS, &from_explicit) == 1 &&
               from_explicit == 0;
}

static bool fits(const EVP_PKEY *pkey, const Scheme *scheme) {
        if (!EVP_PKEY_is_a(pkey, scheme->type))
                return false;
        if (scheme->curve)
                return is_on_curve(pkey, scheme->curve);
        return !EVP_PKEY_is_a(pkey, "RSA") ||
               (EVP_PKEY_get_bits(pkey) >= ATT_RSA_BITS_MIN && EVP_PKEY_get_bits(pkey) <= ATT_RSA_BITS_MAX);
}

void att_key_free(AttKey *key) {
        if (!key)
                return;

        EVP_PKEY_free(key->pkey);
        g_free(key);
}

/* d2i takes some BER; what comes out again is DER. */
static bool is_der_of(GBytes *spki, EVP_PKEY *pkey) {
        unsigned char *der = NULL;
        int size = i2d_PUBKEY(pkey, &der);
        bool same = size > 0 && (size_t) size == g_bytes_get_size(spki) &&
                    memcmp(der, g_bytes_get_data(spki, NULL), (size_t) size) == 0;

        OPENSSL_free(der);
        return same;
}

/* The neutral element is on the curve, and under it anybody can sign. That d2i
 * refuses it too is not promised. */
static bool is_sound(EVP_PKEY *pkey) {
        g_autoptr(EVP_PKEY_CTX) ctx = NULL;

        if (!EVP_PKEY_is_a(pkey, "EC"))
                return true;
        ctx = EVP_PKEY_CTX_new_from_pkey(NULL, pkey, NULL);
        return ctx && EVP_PKEY_public_check(ctx) == 1;
}

/* The DER of a key of one size, up to the key. */
typedef struct Head {
        const char *type;
        const char *group;  /* its key is an uncompressed point; NULL: bytes */
        uint8_t head[26];
        size_t head_size;
        size_t key_size;
} Head;

enum { HEAD_P256, HEAD_P384, HEAD_ED25519 };

static const Head heads[] = {
        [HEAD_P256] = { "EC", SN_X9_62_prime256v1,
          { 0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01,
            0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00 }, 26, 65 },
        [HEAD_P384] = { "EC", SN_secp384r1,
          { 0x30, 0x76, 0x30, 0x10, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02,
            0x01, 0x06, 0x05, 0x2b, 0x81, 0x04, 0x00, 0x22, 0x03, 0x62, 0x00 }, 23, 97 },
        [HEAD_ED25519] = { "ED25519", NULL,
          { 0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00 }, 12, 32 },
};

static const Head *find_head(const uint8_t *spki, size_t size) {
        for (size_t i = 0; i < G_N_ELEMENTS(heads); i++) {
                const Head *h = &heads[i];

                if (size == h->head_size + h->key_size && memcmp(spki, h->head, h->head_size) == 0 &&
                    (!h->group || spki[h->head_size] == POINT_CONVERSION_UNCOMPRESSED))
                        return h;
        }
        return NULL;
}

/* OpenSSL refuses what is not on the curve; and what is, and has coordinates, is a
 * point of the one group of that curve, as its cofactor is 1. */
static EVP_PKEY *read_point(const Head *h, const uint8_t *point) {
        OSSL_PARAM parameters[] = {
                OSSL_PARAM_construct_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME, (char *) h->group, 0),
                OSSL_PARAM_construct_octet_string(OSSL_PKEY_PARAM_PUB_KEY, (void *) point, h->key_size),
                OSSL_PARAM_END,
        };
        g_autoptr(EVP_PKEY_CTX) ctx = EVP_PKEY_CTX_new_from_name(NULL, h->type, NULL);
        EVP_PKEY *pkey = NULL;

        if (!ctx || EVP_PKEY_fromdata_init(ctx) != 1 ||
            EVP_PKEY_fromdata(ctx, &pkey, EVP_PKEY_PUBLIC_KEY, parameters) != 1)
                return NULL;
        return pkey;
}

/* Keys that are common have one DER each, and what is behind its head is the key: so
 * no decoder has to be looked for, nor its lenience be made up for, which takes ten
 * times as long. */
static bool is_known(const EVP_PKEY *pkey) {
        for (size_t i = 0; i < G_N_ELEMENTS(schemes_known); i++)
                if (fits(pkey, &schemes_known[i]))
                        return true;
        return false;
}

static EVP_PKEY *read_spki(GBytes *spki) {
        gsize size;
        const unsigned char *p = g_bytes_get_data(spki, &size);
        const Head *h = find_head(p, size);
        EVP_PKEY *pkey;

        if (h && h->group)
                return read_point(h, p + h->head_size);
        if (h)
                return EVP_PKEY_new_raw_public_key_ex(NULL, h->type, NULL, p + h->head_size, h->key_size);
        if (size > SPKI_SIZE_MAX)
                return NULL;

        pkey = d2i_PUBKEY(NULL, &p, (long) size);
        /* On a curve that is refused anyway it may take milliseconds to see whether a key is sound. */
        if (pkey && (!is_der_of(spki, pkey) || (is_known(pkey) && !is_sound(pkey))))
                g_clear_pointer(&pkey, EVP_PKEY_free);
        return pkey;
}

AttKey *att_key_from_spki(GBytes *spki, GError **error) {
        g_autoptr(AttKey) key = g_new0(AttKey, 1);

        key->pkey = read_spki(spki);
        if (!key->pkey) {
                ERR_clear_error();
                att_error_set(error, ATT_ERROR_INVALID_ARGUMENT, "not one public key in DER");
                return NULL;
        }

        if (!is_known(key->pkey)) {
                ERR_clear_error();
                att_error_set(error, ATT_ERROR_INVALID_ARGUMENT,
                              "the key is none of Ed25519, P-256, P-384, or RSA of %d to %d bits", ATT_RSA_BITS_MIN,
                              ATT_RSA_BITS_MAX);
                return NULL;
        }
        ERR_clear_error();
        return g_steal_pointer(&key);
}

GBytes *att_spki_new_orphan(GError **error) {
        EVP_PKEY *pkey = EVP_EC_gen(SN_X9_62_prime256v1);
        unsigned char *der = NULL;
        int size = pkey ? i2d_PUBKEY(pkey, &der) : -1;
        GBytes *spki = NULL;

        if (size > 0)
                spki = g_bytes_new(der, (size_t) size);
        else
                att_openssl_error(error, "cannot make a key");
        OPENSSL_free(der);
        EVP_PKEY_free(pkey);
        return spki;
}

AttKey *att_key_from_p256_point(const uint8_t xy[64], GError **error) {
        uint8_t point[1 + 64] = { POINT_CONVERSION_UNCOMPRESSED };
        AttKey *key;

        memcpy(point + 1, xy, 64);
        key = g_new(AttKey, 1);
        key->pkey = read_point(&heads[HEAD_P256], point);
        if (!key->pkey) {
                g_clear_pointer(&key, att_key_free);
                ERR_clear_error();
                att_error_set(error, ATT_ERROR_INVALID_ARGUMENT, "not a point of P-256");
        }
        return key;
}

bool att_key_fits_scheme(const AttKey *key, uint16_t scheme) {
        const Scheme *s = find_scheme(scheme);

        return s && fits(key->pkey, s);
}

uint16_t att_key_choose_scheme(const AttKey *key, const uint16_t *schemes, size_t n_schemes) {
        for (size_t i = 0; i < att_n_schemes; i++) {
                if (!att_key_fits_scheme(key, att_schemes[i]))
                        continue;
                for (size_t k = 0; k < n_schemes; k++)
                        if (schemes[k] == att_schemes[i])
                                return att_schemes[i];
        }
        return 0;
}

const char *att_scheme_name(uint16_t scheme) {
        const Scheme *s = find_scheme(scheme);

        return s ? s->name : "unknown scheme";
}

static bool set_pss(EVP_PKEY_CTX *ctx) {
        return EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_PKCS1_PSS_PADDING) == 1 &&
               EVP_PKEY_CTX_set_rsa_pss_saltlen(ctx, RSA_PSS_SALTLEN_DIGEST) == 1;
}

gboolean att_key_verify(const AttKey *key, uint16_t scheme, const void *message, size_t message_size,
                        const void *signature, size_t signature_size, GError **error) {
        g_autoptr(EVP_MD_CTX) md_ctx = EVP_MD_CTX_new();
        EVP_PKEY_CTX *ctx; /* md_ctx's */
        const Scheme *s = find_scheme(scheme);

        if (!s || !fits(key->pkey, s))
                return att_error_set(error, ATT_ERROR_BAD_DATA, "the key cannot make a signature of %s",
                                     att_scheme_name(scheme));

        if (!md_ctx || EVP_DigestVerifyInit_ex(md_ctx, &ctx, s->digest, NULL, NULL, key->pkey, NULL) != 1 ||
            (EVP_PKEY_is_a(key->pkey, "RSA") && !set_pss(ctx)))
                return att_openssl_error(error, "cannot use the key");

        /* 0 is a wrong signature, less is one that cannot be read: both are no. */
        if (EVP_DigestVerify(md_ctx, signature, signature_size, message, message_size) != 1) {
                ERR_clear_error();
                return att_error_set(error, ATT_ERROR_BAD_DATA, "wrong signature (%s)", s->name);
        }
        return TRUE;
}

/* Takes @r and @s; either may be NULL. */
static gboolean verify_numbers(const AttKey *key, uint16_t scheme, const void *message, size_t message_size, BIGNUM *r,
                               BIGNUM *s, GError **error) {
        g_autoptr(ECDSA_SIG) sig = ECDSA_SIG_new();
        unsigned char *der = NULL;
        int size = -1;
        gboolean ok;

        if (sig && r && s && ECDSA_SIG_set0(sig, r, s) == 1) {
                size = i2d_ECDSA_SIG(sig, &der);
        } else {
                BN_free(r);
                BN_free(s);
        }
        if (size <= 0)
                return att_openssl_error(error, "cannot read the signature");

        ok = att_key_verify(key, scheme, message, message_size, der, (size_t) size, error);
        OPENSSL_free(der);
        return ok;
}

gboolean att_key_verify_raw(const AttKey *key, const void *message, size_t message_size, const uint8_t signature[64],
                            GError **error) {
        return verify_numbers(key, ATT_SCHEME_ECDSA_SECP256R1_SHA256, message, message_size,
                              BN_bin2bn(signature, 32, NULL), BN_bin2bn(signature + 32, 32, NULL), error);
}

static bool has_tail(const uint8_t number[ATT_P384_LE_SIZE]) {
        for (size_t i = P384_SIZE; i < ATT_P384_LE_SIZE; i++)
                if (number[i])
                        return true;
        return false;
}

gboolean att_key_verify_p384_le(const AttKey *key, const void *message, size_t message_size,
                                const uint8_t r[ATT_P384_LE_SIZE], const uint8_t s[ATT_P384_LE_SIZE], GError **error) {
        if (has_tail(r) || has_tail(s))
                return att_error_set(error, ATT_ERROR_BAD_DATA, "its numbers are too large for P-384");
        return verify_numbers(key, ATT_SCHEME_ECDSA_SECP384R1_SHA384, message, message_size,
                              BN_lebin2bn(r, P384_SIZE, NULL), BN_lebin2bn(s, P384_SIZE, NULL), error);
}

/* RSA: EMSA-PKCS1-v1_5 with the name of the digest, RFC 8017 9.2. */
static bool set_digest(EVP_PKEY_CTX *ctx, const AttKey *key, AttBank bank) {
        static const char *const names[ATT_BANKS] = { NULL, "SHA2-256", "SHA2-384", "SHA2-512" };
        EVP_MD *md = EVP_MD_fetch(NULL, names[bank], NULL);
        bool ok = md && EVP_PKEY_verify_init(ctx) == 1 &&
                  (!EVP_PKEY_is_a(key->pkey, "RSA") || EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_PKCS1_PADDING) == 1) &&
                  EVP_PKEY_CTX_set_signature_md(ctx, md) == 1;

        EVP_MD_free(md); /* the context keeps it */
        return ok;
}

gboolean att_key_verify_digest(const AttKey *key, AttBank bank, const uint8_t *digest, const void *signature,
                               size_t signature_size, GError **error) {
        g_autoptr(EVP_PKEY_CTX) ctx = NULL;

        if (bank == ATT_BANK_SHA1)
                return att_error_set(error, ATT_ERROR_BAD_DATA, "signatures of SHA-1 are not taken");
        if (!EVP_PKEY_is_a(key->pkey, "RSA") && !EVP_PKEY_is_a(key->pkey, "EC"))
                return att_error_set(error, ATT_ERROR_BAD_DATA, "the key cannot make a signature of a digest");
        ctx = EVP_PKEY_CTX_new_from_pkey(NULL, key->pkey, NULL);
        if (!ctx || !set_digest(ctx, key, bank))
                return att_openssl_error(error, "cannot use the key");
        if (EVP_PKEY_verify(ctx, signature, signature_size, digest, att_bank_size(bank)) != 1) {
                ERR_clear_error();
                return att_error_set(error, ATT_ERROR_BAD_DATA, "wrong signature");
        }
        return TRUE;
}
