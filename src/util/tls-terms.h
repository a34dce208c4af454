/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The few terms of TLS 1.3 that every layer speaks. */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* The hash of the cipher suite. Never SHA-512: it is R's hash, and stays apart
 * from the binder's. */
typedef enum {
        ATT_HASH_SHA256,
        ATT_HASH_SHA384,
} AttHash;

#define ATT_HASH_SIZE_MAX 48u

/* In bytes. */
static inline size_t att_hash_size(AttHash hash) {
        return hash == ATT_HASH_SHA384 ? 48 : 32;
}

/* COSE algorithm identifier, RFC 9054. */
static inline int att_hash_cose_id(AttHash hash) {
        return hash == ATT_HASH_SHA384 ? -43 : -16;
}

/* As a D-Bus parameter and in JSON. */
static inline const char *att_hash_name(AttHash hash) {
        return hash == ATT_HASH_SHA384 ? "sha384" : "sha256";
}

/* @ret is left as it is if there is no such hash, likewise below. */
static inline bool att_hash_from_name(const char *name, AttHash *ret) {
        for (AttHash hash = ATT_HASH_SHA256; hash <= ATT_HASH_SHA384; hash++)
                if (name && strcmp(name, att_hash_name(hash)) == 0) {
                        *ret = hash;
                        return true;
                }
        return false;
}

/* End of the TLS connection; as in C, 0 and 1. */
typedef enum {
        ATT_ROLE_CLIENT = 0,
        ATT_ROLE_SERVER = 1,
} AttRole;

static inline const char *att_role_name(AttRole role) {
        return role == ATT_ROLE_SERVER ? "server" : "client";
}

static inline bool att_role_from_name(const char *name, AttRole *ret) {
        for (AttRole role = ATT_ROLE_CLIENT; role <= ATT_ROLE_SERVER; role++)
                if (name && strcmp(name, att_role_name(role)) == 0) {
                        *ret = role;
                        return true;
                }
        return false;
}

static inline AttRole att_role_other(AttRole role) {
        return role == ATT_ROLE_SERVER ? ATT_ROLE_CLIENT : ATT_ROLE_SERVER;
}

/* TLS-Exporter("Attestation", context, 32), draft-fossati-seat-expat-03 */
#define ATT_EXPORTER_LABEL "Attestation"
#define ATT_EXPORTED_SIZE 32u
/* certificate_request_context: ours are this long; RFC 9261 allows 0 to 255. */
#define ATT_CONTEXT_SIZE 32u
#define ATT_CONTEXT_SIZE_MAX 255u

/* Exporter labels of RFC 9261 section 5.1; the role is that of the sender of the authenticator. */
#define ATT_EA_LABEL_CLIENT_CONTEXT "EXPORTER-client authenticator handshake context"
#define ATT_EA_LABEL_SERVER_CONTEXT "EXPORTER-server authenticator handshake context"
#define ATT_EA_LABEL_CLIENT_FINISHED "EXPORTER-client authenticator finished key"
#define ATT_EA_LABEL_SERVER_FINISHED "EXPORTER-server authenticator finished key"

/* Default code point of cmw_attestation until IANA assigns one. */
#define ATT_CMW_ATTESTATION_DEFAULT 0xFF00u
/* Largest CMW that fits a CertificateEntry as its only extension. */
#define ATT_CMW_SIZE_MAX 65529u

#define ATT_REPORT_DATA_SIZE 64u
