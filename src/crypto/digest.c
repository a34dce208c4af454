/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "crypto/digest.h"

#include "util/error.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <sys/random.h>

G_DEFINE_AUTOPTR_CLEANUP_FUNC(EVP_MD_CTX, EVP_MD_CTX_free)

/* Looked up once: OpenSSL's own EVP_sha256() is looked up again by each use, which
 * costs more than a short text's digest. */
static const EVP_MD *md_of(AttBank bank) {
        static const char *const names[ATT_BANKS] = { "SHA1", "SHA256", "SHA384", "SHA512" };
        static EVP_MD *mds[ATT_BANKS];

        if (g_once_init_enter(&mds[bank])) {
                EVP_MD *md = EVP_MD_fetch(NULL, names[bank], NULL);

                if (!md)
                        g_error("OpenSSL has no %s", names[bank]);
                g_once_init_leave(&mds[bank], md);
        }
        return mds[bank];
}

static const EVP_MD *suite_md(AttHash hash) {
        return md_of(hash == ATT_HASH_SHA384 ? ATT_BANK_SHA384 : ATT_BANK_SHA256);
}

static void digest_with(EVP_MD_CTX *ctx, const EVP_MD *md, const AttPart *parts, size_t n_parts, uint8_t *ret) {
        bool ok = ctx && EVP_DigestInit_ex(ctx, md, NULL) == 1;

        for (size_t i = 0; ok && i < n_parts; i++)
                ok = EVP_DigestUpdate(ctx, parts[i].data, parts[i].size) == 1;
        if (!ok || EVP_DigestFinal_ex(ctx, ret, NULL) != 1)
                g_error("OpenSSL cannot compute a digest");
}

static void digest_parts(const EVP_MD *md, const AttPart *parts, size_t n_parts, uint8_t *ret) {
        g_autoptr(EVP_MD_CTX) ctx = EVP_MD_CTX_new();

        digest_with(ctx, md, parts, n_parts, ret);
}

void att_sha256(const AttPart *parts, size_t n_parts, uint8_t ret[ATT_SHA256_SIZE]) {
        digest_parts(md_of(ATT_BANK_SHA256), parts, n_parts, ret);
}

void att_sha512(const AttPart *parts, size_t n_parts, uint8_t ret[ATT_SHA512_SIZE]) {
        digest_parts(md_of(ATT_BANK_SHA512), parts, n_parts, ret);
}

/* No type but a name: what it is, is OpenSSL's. */
AttSha256 *att_sha256_new(void) {
        EVP_MD_CTX *ctx = EVP_MD_CTX_new();

        if (!ctx)
                g_error("OpenSSL has no memory");
        return (AttSha256 *) ctx;
}

void att_sha256_free(AttSha256 *sha256) {
        EVP_MD_CTX_free((EVP_MD_CTX *) sha256);
}

void att_sha256_digest(AttSha256 *sha256, const AttPart *parts, size_t n_parts, uint8_t ret[ATT_SHA256_SIZE]) {
        digest_with((EVP_MD_CTX *) sha256, md_of(ATT_BANK_SHA256), parts, n_parts, ret);
}

void att_hash_parts(AttHash hash, const AttPart *parts, size_t n_parts, uint8_t *ret) {
        digest_parts(suite_md(hash), parts, n_parts, ret);
}

void att_bank_digest_parts(AttBank bank, const AttPart *parts, size_t n_parts, uint8_t *ret) {
        digest_parts(md_of(bank), parts, n_parts, ret);
}

void att_bank_digest(AttBank bank, const void *data, size_t size, uint8_t *ret) {
        const AttPart part = { data, size };

        att_bank_digest_parts(bank, &part, 1, ret);
}

void att_hmac(AttHash hash, const uint8_t *key, size_t key_size, const void *data, size_t size, uint8_t *ret) {
        if (key_size > G_MAXINT || !HMAC(suite_md(hash), key, (int) key_size, data, size, ret, NULL))
                g_error("OpenSSL cannot compute an HMAC");
}

bool att_equal(const void *a, const void *b, size_t size) {
        return CRYPTO_memcmp(a, b, size) == 0;
}

void att_cleanse(void *p, size_t size) {
        OPENSSL_cleanse(p, size);
}

gboolean att_random(void *ret, size_t size, GError **error) {
        uint8_t *p = ret;
        size_t done = 0;

        while (done < size) {
                ssize_t n = getrandom(p + done, size - done, 0);

                if (n > 0) {
                        done += (size_t) n;
                } else if (n == 0 || errno != EINTR) {
                        int err = n == 0 ? EIO : errno;

                        /* Half a challenge must not be taken for a whole one. */
                        att_cleanse(ret, size);
                        return att_error_set(error, ATT_ERROR_FAILED, "the kernel gives no random bytes: %s",
                                             g_strerror(err));
                }
        }
        return TRUE;
}
