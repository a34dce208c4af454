/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* X.509 certificates and chains. */
#pragma once

#include "crypto/key.h"

#include <glib.h>

G_BEGIN_DECLS

#define ATT_CERTIFICATE_SIZE_MAX (64u * 1024u)
/* Who keeps what others sent keeps none that is longer: those in use have a third of it,
 * and OpenSSL makes of one up to 37 times its size, and 16 KiB. */
#define ATT_CERTIFICATE_KEPT_MAX 4096u
#define ATT_CHAIN_MAX 8u
#define ATT_ANCHORS_MAX 1024u

typedef struct AttCertificate AttCertificate;

AttCertificate *att_certificate_ref(AttCertificate *certificate);
void att_certificate_unref(AttCertificate *certificate);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(AttCertificate, att_certificate_unref)

/** One DER certificate and nothing after it. %ATT_ERROR_BAD_DATA. The last 128 that were read are kept, which takes
 * 21 MiB at most. */
AttCertificate *att_certificate_from_der(const void *der, size_t size, GError **error) G_GNUC_WARN_UNUSED_RESULT;

/**
 * att_certificates_from_pem: all certificates of a PEM text
 *
 * A NUL, or white space, at the end is fine; anything between certificates that
 * is not PEM, more than %ATT_CHAIN_MAX, or none at all is %ATT_ERROR_BAD_DATA.
 *
 * Returns: (transfer full) (element-type AttCertificate), in the order of the text
 */
GPtrArray *att_certificates_from_pem(const void *pem, size_t size, GError **error) G_GNUC_WARN_UNUSED_RESULT;

/** att_certificates_from_bytes: one certificate in DER, or PEM as above. %ATT_ERROR_BAD_DATA */
GPtrArray *att_certificates_from_bytes(const void *data, size_t size, GError **error) G_GNUC_WARN_UNUSED_RESULT;

/**
 * att_anchors_from_pem: a file of trusted certificates
 *
 * As a system's bundle is: up to %ATT_ANCHORS_MAX, text between them is passed
 * over. One that does not parse fails them all.
 */
GPtrArray *att_anchors_from_pem(const void *pem, size_t size, GError **error) G_GNUC_WARN_UNUSED_RESULT;

gsize att_certificate_size(const AttCertificate *certificate); /* of its DER */
GBytes *att_certificate_dup_der(const AttCertificate *certificate) G_GNUC_WARN_UNUSED_RESULT;
/** DER SubjectPublicKeyInfo exactly as in the certificate: never encoded anew. */
GBytes *att_certificate_dup_spki(const AttCertificate *certificate) G_GNUC_WARN_UNUSED_RESULT;
/** Its public key; the same errors as att_key_from_spki(). */
AttKey *att_certificate_dup_key(const AttCertificate *certificate, GError **error) G_GNUC_WARN_UNUSED_RESULT;
/* The common name: never NULL, but "" unless there is exactly one, of printable characters, 64 at most. */
char *att_certificate_dup_subject_cn(const AttCertificate *certificate);
char *att_certificate_dup_issuer_cn(const AttCertificate *certificate);
char *att_certificate_dup_serial(const AttCertificate *certificate); /* lower-case hex, two digits a byte */
/* Seconds since the epoch. */
int64_t att_certificate_not_before(const AttCertificate *certificate);
int64_t att_certificate_not_after(const AttCertificate *certificate);

/** The content of the extension @oid (dotted), without its OCTET STRING; NULL if it is not there. */
GBytes *att_certificate_dup_extension(const AttCertificate *certificate, const char *oid) G_GNUC_WARN_UNUSED_RESULT;

/**
 * att_chain_verify: does @chain lead from its first certificate to a trusted root?
 * @chain:         leaf first; each is issued by the next
 * @roots_spki:    of GBytes, SHA-256 of the SubjectPublicKeyInfo of trusted roots
 * @at:            seconds since the epoch: the time all validity periods are held against
 *
 * For a vendor's chain with a pinned root: the last of @chain must be self-signed
 * with a pinned key. Signatures, names, basicConstraints, path lengths, keyCertSign
 * and unknown critical extensions are checked; nothing is fetched.
 *
 * @error: %ATT_ERROR_REFUSED that names the certificate and the reason
 */
gboolean att_chain_verify(GPtrArray *chain, GPtrArray *roots_spki, int64_t at, GError **error)
        G_GNUC_WARN_UNUSED_RESULT;

/** att_is_peer_name: is @name a host name, without wildcard or leading dot, or an IP address? */
bool att_is_peer_name(const char *name);

/**
 * att_chain_verify_name: WebPKI for an authenticator's leaf
 * @chain:   leaf first, the rest untrusted helpers
 * @anchors: trusted CA certificates
 * @name:    DNS name or IP address that a subjectAltName of the leaf must match; common names do not count
 * @server:  the leaf is a server's (serverAuth), else a client's (clientAuth)
 * @error:   %ATT_ERROR_REFUSED that says why
 *
 * The leaf is issued by an anchor, directly or by way of helpers, or is one itself.
 */
gboolean att_chain_verify_name(GPtrArray *chain, GPtrArray *anchors, const char *name, bool server, int64_t at,
                               GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* The SGX extension of a PCK certificate, 1.2.840.113741.1.13.1. */
typedef struct AttPckExtension {
        uint8_t ppid[16];
        uint8_t fmspc[6];
        uint8_t pceid[2];
        uint8_t cpusvn[16];
        uint8_t sgx_tcb_comps[16];
        uint16_t pcesvn;
} AttPckExtension;

/** DER of bounded depth, each field exactly once; %ATT_ERROR_BAD_DATA. @ret is untouched on failure. */
gboolean att_pck_extension_parse(const AttCertificate *pck, AttPckExtension *ret, GError **error)
        G_GNUC_WARN_UNUSED_RESULT;
/** The same of the content of the extension. */
gboolean att_pck_extension_parse_der(const void *der, size_t size, AttPckExtension *ret, GError **error)
        G_GNUC_WARN_UNUSED_RESULT;

/* AMD's extensions of a VCEK or VLEK certificate, 1.3.6.1.4.1.3704.1: what the key
 * was derived for. */
#define ATT_VEK_HWID_SIZE 64u
#define ATT_VEK_SHORT_HWID_SIZE 8u /* Turin */

typedef struct AttVekExtensions {
        bool is_vlek;
        uint8_t struct_version;
        char product[32];      /* "Milan-B0", "Genoa" … */
        uint8_t bootloader;
        uint8_t tee;
        uint8_t snp;
        uint8_t microcode;
        bool has_fmc;
        uint8_t fmc;
        size_t hwid_size;      /* 64 or 8; 0 of a VLEK */
        uint8_t hwid[ATT_VEK_HWID_SIZE];
        char csp_id[128];      /* of a VLEK: the provider; else "" */
} AttVekExtensions;

/**
 * att_vek_extensions_parse: of a certificate that nobody has verified
 *
 * Which of the two it is follows from what it names, a chip or a provider; never
 * from its common name. Both or neither, and a part that is missing, is
 * %ATT_ERROR_BAD_DATA. @ret is untouched on failure.
 */
gboolean att_vek_extensions_parse(const AttCertificate *vek, AttVekExtensions *ret, GError **error)
        G_GNUC_WARN_UNUSED_RESULT;

G_END_DECLS
