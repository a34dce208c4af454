/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "util/bank.h"
#include "util/tls-terms.h"

#include <glib.h>
#include <stdbool.h>

G_BEGIN_DECLS

/* One part of what is hashed or signed: parts are taken one after the other. */
typedef struct AttPart {
        const void *data;
        size_t size;
} AttPart;

#define ATT_SHA256_SIZE 32u
#define ATT_SHA512_SIZE 64u

/* Digest over the concatenated parts. They fail only if OpenSSL has no such
 * digest or no memory, which ends the process: there is nothing to go on with. */
void att_sha256(const AttPart *parts, size_t n_parts, uint8_t ret[ATT_SHA256_SIZE]);
void att_sha512(const AttPart *parts, size_t n_parts, uint8_t ret[ATT_SHA512_SIZE]);

/* SHA-256 again and again, as over a tree: nothing is allocated for each. For
 * nothing secret: what was hashed last stays in it. */
typedef struct AttSha256 AttSha256;
AttSha256 *att_sha256_new(void) G_GNUC_WARN_UNUSED_RESULT;
void att_sha256_free(AttSha256 *sha256);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(AttSha256, att_sha256_free)
void att_sha256_digest(AttSha256 *sha256, const AttPart *parts, size_t n_parts, uint8_t ret[ATT_SHA256_SIZE]);

/* With the suite's hash; att_hash_size(@hash) bytes into @ret. */
void att_hash_parts(AttHash hash, const AttPart *parts, size_t n_parts, uint8_t *ret);
/* With the hash of a measurement log; att_bank_size(@bank) bytes into @ret. */
void att_bank_digest_parts(AttBank bank, const AttPart *parts, size_t n_parts, uint8_t *ret);
/* The same of one piece. */
void att_bank_digest(AttBank bank, const void *data, size_t size, uint8_t *ret);
/* HMAC with the suite's hash, RFC 2104. */
void att_hmac(AttHash hash, const uint8_t *key, size_t key_size, const void *data, size_t size, uint8_t *ret);

/* Constant time in @size; not in whether sizes differ, which is no secret. */
bool att_equal(const void *a, const void *b, size_t size);
/* Overwrites a secret, and is not optimised away. */
void att_cleanse(void *p, size_t size);
/* @size bytes from the kernel's generator. @error: %ATT_ERROR_FAILED, then nothing was made. */
gboolean att_random(void *ret, size_t size, GError **error) G_GNUC_WARN_UNUSED_RESULT;

G_END_DECLS
