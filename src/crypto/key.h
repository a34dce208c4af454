/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Public keys and signature schemes. No type of OpenSSL leaves this folder. */
#pragma once

#include "crypto/digest.h"

#include <glib.h>

G_BEGIN_DECLS

/* A public key. */
typedef struct AttKey AttKey;

void att_key_free(AttKey *key);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(AttKey, att_key_free)

/**
 * att_key_from_spki: one complete DER SubjectPublicKeyInfo
 * @error: %ATT_ERROR_INVALID_ARGUMENT if it does not parse, is not DER, has bytes
 *         after it, or holds a key type that no TLS 1.3 scheme below can use
 */
AttKey *att_key_from_spki(GBytes *spki, GError **error) G_GNUC_WARN_UNUSED_RESULT;

/** att_spki_from_pem: the DER of one "PUBLIC KEY", with white space around it at most; %ATT_ERROR_BAD_DATA */
GBytes *att_spki_from_pem(const void *pem, size_t size, GError **error) G_GNUC_WARN_UNUSED_RESULT;

/** att_spki_new_orphan: SubjectPublicKeyInfo of a new P-256 key whose private half is gone: nobody can sign with it */
GBytes *att_spki_new_orphan(GError **error) G_GNUC_WARN_UNUSED_RESULT;

/** att_key_from_p256_point: @xy is x || y, 64 bytes big-endian; refused if not on the curve */
AttKey *att_key_from_p256_point(const uint8_t xy[64], GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* TLS 1.3 SignatureScheme values that we make and take, RFC 8446 section 4.2.3. */
enum {
        ATT_SCHEME_ECDSA_SECP256R1_SHA256 = 0x0403,
        ATT_SCHEME_ECDSA_SECP384R1_SHA384 = 0x0503,
        ATT_SCHEME_RSA_PSS_RSAE_SHA256 = 0x0804,
        ATT_SCHEME_RSA_PSS_RSAE_SHA384 = 0x0805,
        ATT_SCHEME_RSA_PSS_RSAE_SHA512 = 0x0806,
        ATT_SCHEME_ED25519 = 0x0807,
};

/* All of the above, best first; what a request of ours offers. */
extern const uint16_t att_schemes[];
extern const size_t att_n_schemes;

/** att_key_fits_scheme: may this key sign with @scheme? (curve, key type, RSA of 2048 to 16384 bits) */
bool att_key_fits_scheme(const AttKey *key, uint16_t scheme);
/** The first of @schemes that fits @key, in our order of preference; 0 if none. */
uint16_t att_key_choose_scheme(const AttKey *key, const uint16_t *schemes, size_t n_schemes);
const char *att_scheme_name(uint16_t scheme);

/**
 * att_key_verify: a TLS signature (ECDSA as DER) of @message
 * @error: %ATT_ERROR_BAD_DATA if it is not one by @key with @scheme
 */
gboolean att_key_verify(const AttKey *key, uint16_t scheme, const void *message, size_t message_size,
                        const void *signature, size_t signature_size, GError **error) G_GNUC_WARN_UNUSED_RESULT;

/** att_key_verify_raw: ECDSA P-256 with SHA-256, @signature is r || s, 64 bytes big-endian, as in a TDX quote */
gboolean att_key_verify_raw(const AttKey *key, const void *message, size_t message_size, const uint8_t signature[64],
                            GError **error) G_GNUC_WARN_UNUSED_RESULT;

#define ATT_P384_LE_SIZE 72u

/**
 * att_key_verify_p384_le: ECDSA P-384 with SHA-384 as in an SNP report: @r and @s
 * little-endian, each in a field of 72 bytes whose tail must be zero
 */
gboolean att_key_verify_p384_le(const AttKey *key, const void *message, size_t message_size,
                                const uint8_t r[ATT_P384_LE_SIZE], const uint8_t s[ATT_P384_LE_SIZE], GError **error)
        G_GNUC_WARN_UNUSED_RESULT;

G_END_DECLS
