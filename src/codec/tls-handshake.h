/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The handshake messages that RFC 9261 uses, RFC 8446 section 4. All with their
 * 4-byte handshake header, no record layer. */
#pragma once

#include "util/bytes.h"

#include <glib.h>
#include <stdbool.h>

G_BEGIN_DECLS

enum {
        ATT_TLS_CERTIFICATE = 11,
        ATT_TLS_CERTIFICATE_REQUEST = 13,
        ATT_TLS_CERTIFICATE_VERIFY = 15,
        ATT_TLS_CLIENT_CERTIFICATE_REQUEST = 17,
        ATT_TLS_FINISHED = 20,
};

enum {
        ATT_TLS_EXT_SERVER_NAME = 0,
        ATT_TLS_EXT_SIGNATURE_ALGORITHMS = 13,
        ATT_TLS_EXT_SIGNATURE_ALGORITHMS_CERT = 50,
};

#define ATT_TLS_REQUEST_MAX (16u * 1024u)
#define ATT_TLS_AUTHENTICATOR_MAX (128u * 1024u)
#define ATT_TLS_SCHEMES_MAX 64u
#define ATT_TLS_CERTIFICATES_MAX 16u
#define ATT_TLS_EXTENSIONS_MAX 64u

typedef struct AttTlsExtension {
        uint16_t type;
        AttCursor data; /* borrowed */
} AttTlsExtension;

/* CertificateRequest (13) or ClientCertificateRequest (17); borrows. */
typedef struct AttTlsRequest {
        uint8_t message_type;
        AttCursor context;
        AttTlsExtension extensions[ATT_TLS_EXTENSIONS_MAX];
        size_t n_extensions;
        uint16_t schemes[ATT_TLS_SCHEMES_MAX]; /* of signature_algorithms, which must be there, not empty */
        size_t n_schemes;
} AttTlsRequest;

/* One message and nothing after it; no extension twice. %ATT_ERROR_BAD_DATA, or
 * %ATT_ERROR_TOO_LARGE over %ATT_TLS_REQUEST_MAX. */
gboolean att_tls_request_parse(GBytes *bytes, AttTlsRequest *ret, GError **error) G_GNUC_WARN_UNUSED_RESULT;

/** An extension of the request by type; NULL if not there. */
const AttTlsExtension *att_tls_request_find(const AttTlsRequest *request, uint16_t type);

/**
 * att_tls_request_build:
 * @context: 0 to 255 bytes
 * @schemes: 1 to %ATT_TLS_SCHEMES_MAX of them
 * @cmw_attestation: code point of the extension to offer, with empty data; 0 for none
 */
GBytes *att_tls_request_build(uint8_t message_type, GBytes *context, const uint16_t *schemes, size_t n_schemes,
                              uint16_t cmw_attestation) G_GNUC_WARN_UNUSED_RESULT;

typedef struct AttTlsCertificateEntry {
        AttCursor der;
        AttTlsExtension extensions[ATT_TLS_EXTENSIONS_MAX];
        size_t n_extensions;
} AttTlsCertificateEntry;

/* Certificate || CertificateVerify || Finished, or Finished alone (the empty
 * authenticator, RFC 9261 section 6). Borrows. */
typedef struct AttTlsAuthenticator {
        bool is_empty;
        AttCursor context;                /* of the Certificate message */
        GArray *entries;                  /* of AttTlsCertificateEntry; owned */
        uint16_t scheme;
        AttCursor signature;
        AttCursor verify_data;
        AttCursor certificate_message;    /* the three messages with their headers */
        AttCursor certificate_verify_message;
        AttCursor finished_message;
} AttTlsAuthenticator;

void att_tls_authenticator_clear(AttTlsAuthenticator *authenticator);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(AttTlsAuthenticator, att_tls_authenticator_clear)

/**
 * att_tls_authenticator_parse:
 * @hash_size: of the suite's hash: the size of verify_data
 *
 * Order and framing to the byte, nothing after Finished; no extension twice in
 * an entry; a Certificate without entries is refused here, as the empty
 * authenticator has no Certificate. @ret is untouched on failure. Of the empty
 * authenticator only verify_data and finished_message are set; entries is empty.
 *
 * @error: %ATT_ERROR_BAD_DATA; %ATT_ERROR_TOO_LARGE over %ATT_TLS_AUTHENTICATOR_MAX
 */
gboolean att_tls_authenticator_parse(GBytes *bytes, size_t hash_size, AttTlsAuthenticator *ret, GError **error)
        G_GNUC_WARN_UNUSED_RESULT;

/**
 * att_tls_certificate_build: framed Certificate message
 * @certificates:    of GBytes, DER, leaf first; empty for the one that the empty
 *                   authenticator hashes
 * @cmw_attestation: code point, with @cmw
 * @cmw:             (nullable) goes into the first entry only
 * @error:           %ATT_ERROR_TOO_LARGE if @cmw is over %ATT_CMW_SIZE_MAX, or if the
 *                   message would not leave 2 KiB of %ATT_TLS_AUTHENTICATOR_MAX for
 *                   CertificateVerify and Finished; %ATT_ERROR_INVALID_ARGUMENT for an
 *                   empty certificate, an empty CMW, or a CMW without a certificate
 */
GBytes *att_tls_certificate_build(GBytes *context, GPtrArray *certificates, uint16_t cmw_attestation, GBytes *cmw,
                                  GError **error) G_GNUC_WARN_UNUSED_RESULT;
/** att_tls_certificate_verify_build: @signature has been verified: its size is a signature's */
GBytes *att_tls_certificate_verify_build(uint16_t scheme, GBytes *signature) G_GNUC_WARN_UNUSED_RESULT;
GBytes *att_tls_finished_build(const uint8_t *verify_data, size_t size) G_GNUC_WARN_UNUSED_RESULT;

/** The cmw_data inside an extension of the response form: u16 size, data. */
gboolean att_tls_cmw_attestation_parse(AttCursor extension_data, AttCursor *ret_cmw, GError **error);

G_END_DECLS
