/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Signatures of files, as the IMA log shows them: security.ima of version 2, and the
 * signature appended to a module. Both are over a digest that the log has. */
#pragma once

#include "crypto/key.h"
#include "util/bank.h"
#include "util/bytes.h"

G_BEGIN_DECLS

/* Digest that is signed. */
typedef struct AttFileDigest {
        const char *algorithm; /* not terminated; NULL: none */
        size_t algorithm_size;
        AttCursor digest;
} AttFileDigest;

/**
 * att_key_verify_digest: RSA PKCS #1 v1.5, or ECDSA in DER, of a digest
 * @bank:  SHA-1 is refused, whoever signed it
 * @error: %ATT_ERROR_BAD_DATA
 */
gboolean att_key_verify_digest(const AttKey *key, AttBank bank, const uint8_t *digest, const void *signature,
                               size_t signature_size, GError **error) G_GNUC_WARN_UNUSED_RESULT;

/**
 * att_ima_signature_verify: is it security.ima, type 3 version 2, by @key over @file?
 * @error: %ATT_ERROR_BAD_DATA
 *
 * Not taken: EVM's signatures (type 5), which are over metadata; version 3 (type 6),
 * which is over a structure around the digest; version 1. The key id in the header is
 * a hint, and not looked at.
 */
gboolean att_ima_signature_verify(const AttKey *key, AttCursor signature, const AttFileDigest *file, GError **error)
        G_GNUC_WARN_UNUSED_RESULT;

/* The signature appended to a module, read once for all keys that it is held against. */
typedef struct AttImaModsig {
        AttBank bank; /* of the digest that is signed */
        GBytes *signature;
} AttImaModsig;

void att_ima_modsig_clear(AttImaModsig *modsig);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(AttImaModsig, att_ima_modsig_clear)

/**
 * att_ima_modsig_read: is it a PKCS #7 of what it does not hold?
 * @error: %ATT_ERROR_BAD_DATA
 *
 * As the kernel's sign-file makes them: one signer, no signed attributes.
 */
gboolean att_ima_modsig_read(AttCursor bytes, AttImaModsig *ret, GError **error) G_GNUC_WARN_UNUSED_RESULT;
/** att_ima_modsig_verify: is it by @key over @file? %ATT_ERROR_BAD_DATA */
gboolean att_ima_modsig_verify(const AttKey *key, const AttImaModsig *modsig, const AttFileDigest *file,
                               GError **error) G_GNUC_WARN_UNUSED_RESULT;

G_END_DECLS
