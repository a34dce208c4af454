/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A certificate hierarchy of the shape of Intel's for SGX and TDX: root, platform
 * CA, PCK certificate. Its subjects are not Intel's. And what any hierarchy is made of. */
#pragma once

#include <glib.h>
#include <openssl/evp.h>
#include <openssl/x509.h>
#include <stdbool.h>
#include <stdint.h>

G_BEGIN_DECLS

G_DEFINE_AUTOPTR_CLEANUP_FUNC(EVP_PKEY, EVP_PKEY_free)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(X509, X509_free)

/* Out of memory, or a bug: a test program has nothing to say to either. */
#define must(x) \
        do { \
                if (!(x)) \
                        g_error("%s failed", #x); \
        } while (0)

typedef enum {
        PKI_P256,
        PKI_P384,
        PKI_RSA_4096,
} PkiKeyType;

/* What the SGX extensions of a PCK certificate say of the machine. */
typedef struct PkiPlatform {
        uint8_t ppid[16];
        uint8_t tcb[16]; /* component SVNs */
        uint8_t pce_svn[2]; /* big-endian here */
        uint8_t cpu_svn[16];
        uint8_t pce_id[2];
        uint8_t fmspc[6];
        uint8_t platform_instance_id[16];
} PkiPlatform;

/* How a certificate differs from what it should be. */
typedef struct PkiLeaf {
        const char *common_name;   /* NULL: the right one */
        const char *not_before;    /* YYYYMMDDHHMMSSZ, NULL: the usual */
        const char *not_after;
        bool without_extension;    /* no SGX extensions */
        bool is_self_signed;
} PkiLeaf;

typedef struct Pki {
        EVP_PKEY *root_key, *platform_key, *pck_key;
        X509 *root, *platform;
} Pki;

/**
 * pki_new: keys and CA certificates
 * @state_dir: (nullable): read from there, or written there
 */
Pki *pki_new(const char *state_dir, GError **error) G_GNUC_WARN_UNUSED_RESULT;
/** pki_new_without_ca: under the root of @pki, with a platform certificate that is no CA's */
Pki *pki_new_without_ca(const Pki *pki) G_GNUC_WARN_UNUSED_RESULT;
void pki_free(Pki *pki);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Pki, pki_free)

X509 *pki_issue_pck(const Pki *pki, const PkiPlatform *platform, const PkiLeaf *leaf) G_GNUC_WARN_UNUSED_RESULT;

/** pki_key: a P-256 key, new or from @state_dir */
EVP_PKEY *pki_key(const char *state_dir, const char *name, GError **error) G_GNUC_WARN_UNUSED_RESULT;

EVP_PKEY *pki_key_of_type(PkiKeyType type, const char *state_dir, const char *name, GError **error)
        G_GNUC_WARN_UNUSED_RESULT;

/** pki_state_certificate: the one called @name in @state_dir; if there is none, or no @state_dir, the one that
 * was @made. Takes @made */
X509 *pki_state_certificate(const char *state_dir, const char *name, X509 *made, GError **error)
        G_GNUC_WARN_UNUSED_RESULT;

/* The parts of a certificate: a new one has names of its subject and no issuer; extensions; who signs is up to the
 * caller. Times are YYYYMMDDHHMMSSZ. */
X509 *pki_certificate_new(const char *common_name, EVP_PKEY *key, const char *not_before, const char *not_after)
        G_GNUC_WARN_UNUSED_RESULT;
void pki_extend(X509 *certificate, X509 *issuer, int nid, const char *value);
void pki_extend_raw(X509 *certificate, const char *oid, const void *value, gsize size);

/** pki_append_pem: what openssl x509 would print */
void pki_append_pem(GByteArray *out, X509 *certificate);

/** pki_sign: r || s of ECDSA with SHA-256, 64 bytes, big-endian */
void pki_sign(EVP_PKEY *key, const void *data, gsize size, uint8_t ret[64]);

/** pki_point: x || y of a P-256 key, 64 bytes */
void pki_point(EVP_PKEY *key, uint8_t ret[64]);

/** pki_spki_sha256: hex, to be freed */
char *pki_spki_sha256(const X509 *certificate) G_GNUC_WARN_UNUSED_RESULT;

G_END_DECLS
