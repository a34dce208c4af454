/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Keys and certificates for tests, made with OpenSSL. Whatever fails here ends the test. */
#pragma once

#include "crypto/certificate.h"

#include <openssl/evp.h>
#include <openssl/x509.h>

G_DEFINE_AUTOPTR_CLEANUP_FUNC(EVP_PKEY, EVP_PKEY_free)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(X509, X509_free)

#define PKI_NOT_BEFORE 1767225600 /* 2026-01-01 */
#define PKI_NOT_AFTER 2082758400  /* 2036-01-01 */
#define PKI_NOW 1800000000

#define PKI_CA { "basicConstraints", "critical,CA:TRUE" }, { "keyUsage", "critical,keyCertSign,cRLSign" }
#define PKI_LEAF { "basicConstraints", "critical,CA:FALSE" }, { "keyUsage", "critical,digitalSignature" }

typedef struct PkiExtension {
        const char *name; /* OpenSSL's name of it, or its OID */
        const char *value;
} PkiExtension;

typedef struct PkiSpec {
        const char *cn; /* NULL: an empty subject */
        int64_t not_before, not_after; /* 0: the times above */
        const char *digest; /* NULL: the key's own default */
        PkiExtension extensions[8];
} PkiSpec;

/* "P-256", "P-384", "P-521", "ED25519", "RSA-<bits>", "RSA-PSS-<bits>" */
EVP_PKEY *pki_key(const char *type);
/* With no issuer the certificate signs itself. */
X509 *pki_issue(const PkiSpec *spec, EVP_PKEY *key, X509 *issuer, EVP_PKEY *issuer_key);
GBytes *pki_der(X509 *x509);
GBytes *pki_spki(EVP_PKEY *key);
AttCertificate *pki_certificate(X509 *x509);
/* Leaf first; ends with NULL. */
GPtrArray *pki_chain(X509 *leaf, ...) G_GNUC_NULL_TERMINATED;
/* Of GBytes: what att_chain_verify() takes as pins. */
GPtrArray *pki_pins(X509 *root, ...) G_GNUC_NULL_TERMINATED;
char *pki_pem(X509 *x509);
GBytes *pki_sign(EVP_PKEY *key, uint16_t scheme, const void *data, size_t size);
GBytes *pki_from_hex(const char *hex);
char *pki_to_hex(GBytes *bytes);
/* Unset if there is no folder of shared vectors beside the source tree. */
char *pki_vectors(const char *below);
