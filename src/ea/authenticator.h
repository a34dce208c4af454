/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Exported authenticators, RFC 9261, with cmw_attestation of
 * draft-fossati-seat-expat-03. No sockets, no private keys: bytes in, bytes out. */
#pragma once

#include "crypto/certificate.h"
#include "util/tls-terms.h"

#include <glib.h>

G_BEGIN_DECLS

/* What one direction of one connection exports, RFC 9261 section 5.1, for the
 * role of the sender of the authenticator. Secret: cleanse after use. */
typedef struct AttEaKeys {
        AttHash hash;
        AttRole sender;
        uint8_t handshake_context[ATT_HASH_SIZE_MAX]; /* att_hash_size(hash) bytes of each count */
        uint8_t finished_key[ATT_HASH_SIZE_MAX];
} AttEaKeys;

void att_ea_keys_clear(AttEaKeys *keys);
/** att_ea_keys_check: %ATT_ERROR_INVALID_ARGUMENT if one of them is all zero: what failed to be exported */
gboolean att_ea_keys_check(const AttEaKeys *keys, GError **error) G_GNUC_WARN_UNUSED_RESULT;
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(AttEaKeys, att_ea_keys_clear)

/* The certificate_request_contexts of one connection, sent and received, in both
 * directions: none may be used twice. */
typedef struct AttEaContexts AttEaContexts;

#define ATT_EA_CONTEXTS_MAX 65536u

AttEaContexts *att_ea_contexts_new(void) G_GNUC_WARN_UNUSED_RESULT;
void att_ea_contexts_free(AttEaContexts *contexts);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(AttEaContexts, att_ea_contexts_free)
/** Records @context. @error: %ATT_ERROR_CONTEXT_USED if it is there already, %ATT_ERROR_LIMIT_REACHED */
gboolean att_ea_contexts_add(AttEaContexts *contexts, const void *context, size_t size, GError **error)
        G_GNUC_WARN_UNUSED_RESULT;

/**
 * att_ea_request_new: a request for an authenticator of the peer
 * @requester:       role of who asks: a server makes a CertificateRequest (13),
 *                   a client a ClientCertificateRequest (17)
 * @cmw_attestation: code point to offer; 0 asks for no evidence
 * @ret_context:     %ATT_CONTEXT_SIZE bytes from the kernel's generator
 */
GBytes *att_ea_request_new(AttRole requester, uint16_t cmw_attestation, GBytes **ret_context, GError **error)
        G_GNUC_WARN_UNUSED_RESULT;

/* What a responder needs of a request that it received. */
typedef struct AttEaRequest {
        GBytes *bytes;
        GBytes *context;
        bool asks_for_cmw;       /* cmw_attestation was offered, with zero length */
        uint16_t schemes[64];
        size_t n_schemes;
} AttEaRequest;

void att_ea_request_clear(AttEaRequest *request);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(AttEaRequest, att_ea_request_clear)

/**
 * att_ea_request_read:
 * @requester:       role of who sent it; the message type must be that role's
 * @error:           %ATT_ERROR_BAD_DATA or %ATT_ERROR_TOO_LARGE; the message begins
 *                   with "malformed-request: " or "unsupported-type: ". The offer of
 *                   cmw_attestation must have zero length. Contexts are the caller's
 *                   to record.
 */
gboolean att_ea_request_read(GBytes *bytes, AttRole requester, uint16_t cmw_attestation, AttEaRequest *ret,
                             GError **error) G_GNUC_WARN_UNUSED_RESULT;

/**
 * att_ea_request_narrow: as if it had asked for no other schemes than these
 *
 * For a key whose owner cannot sign with all that fit it.
 */
void att_ea_request_narrow(AttEaRequest *request, const uint16_t *schemes, size_t n_schemes);

/** att_ea_request_choose_scheme: 0 with %ATT_ERROR_REFUSED "no-common-sigalg: " if @key fits none */
uint16_t att_ea_request_choose_scheme(const AttEaRequest *request, const AttKey *key, GError **error);

/**
 * att_ea_request_check: can it be answered with evidence, signed with @key?
 * @cmw_attestation: as it was read with
 * @error: %ATT_ERROR_REFUSED "extension-not-offered: " or "no-common-sigalg: "
 */
gboolean att_ea_request_check(const AttEaRequest *request, uint16_t cmw_attestation, const AttKey *key, GError **error)
        G_GNUC_WARN_UNUSED_RESULT;

/* An authenticator being made: Certificate is fixed, the signature is to come. */
typedef struct AttEaDraft AttEaDraft;

/**
 * att_ea_draft_new:
 * @certificates:    of GBytes, DER, leaf first, at least one
 * @cmw:             (nullable); only if the request asked for it
 * @error:           %ATT_ERROR_REFUSED "no-common-sigalg" if the leaf's key fits
 *                   no scheme of the request; %ATT_ERROR_TOO_LARGE;
 *                   %ATT_ERROR_INVALID_ARGUMENT for keys that are all zero or of the
 *                   side that was not asked, and for what is no certificate
 */
AttEaDraft *att_ea_draft_new(const AttEaKeys *keys, const AttEaRequest *request, GPtrArray *certificates,
                             uint16_t cmw_attestation, GBytes *cmw, GError **error) G_GNUC_WARN_UNUSED_RESULT;
/**
 * att_ea_draft_new_for: the same for certificates that have been read before
 * @key: (nullable): the leaf's; borrowed as long as the draft is there. To read it from the
 *       certificates again costs more than all the rest
 */
AttEaDraft *att_ea_draft_new_for(const AttEaKeys *keys, const AttEaRequest *request, GPtrArray *certificates,
                                 const AttKey *key, uint16_t cmw_attestation, GBytes *cmw, GError **error)
        G_GNUC_WARN_UNUSED_RESULT;
/**
 * att_ea_draft_begin: the same for evidence that is still to be made
 *
 * All that could be wrong with the rest is refused now. The draft has no use before
 * att_ea_draft_seal(); its @error: %ATT_ERROR_TOO_LARGE.
 */
AttEaDraft *att_ea_draft_begin(const AttEaKeys *keys, const AttEaRequest *request, GPtrArray *certificates,
                               GError **error) G_GNUC_WARN_UNUSED_RESULT;
gboolean att_ea_draft_seal(AttEaDraft *draft, uint16_t cmw_attestation, GBytes *cmw, GError **error)
        G_GNUC_WARN_UNUSED_RESULT;
/** att_ea_draft_unseal: one that waits needs no evidence; before it is finished it is sealed again, with the same */
void att_ea_draft_unseal(AttEaDraft *draft);
void att_ea_draft_free(AttEaDraft *draft);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(AttEaDraft, att_ea_draft_free)
/** SubjectPublicKeyInfo of the leaf, as in its certificate; borrowed. %NULL of a draft that was given the key. */
GBytes *att_ea_draft_spki(const AttEaDraft *draft);
const AttKey *att_ea_draft_key(const AttEaDraft *draft);
uint16_t att_ea_draft_scheme(const AttEaDraft *draft);
/** 64 x 0x20 || "Exported Authenticator" || 0x00 || transcript hash; to be signed with the leaf's key. */
GBytes *att_ea_draft_to_be_signed(const AttEaDraft *draft) G_GNUC_WARN_UNUSED_RESULT;
/** Verifies @signature with the leaf's key, and adds Finished; %ATT_ERROR_BAD_DATA. Returns: the authenticator */
GBytes *att_ea_draft_finish(AttEaDraft *draft, GBytes *signature, GError **error) G_GNUC_WARN_UNUSED_RESULT;

/** att_ea_empty_new: the authenticated refusal of @request, RFC 9261 section 6 */
GBytes *att_ea_empty_new(const AttEaKeys *keys, const AttEaRequest *request) G_GNUC_WARN_UNUSED_RESULT;

/* What a valid authenticator says. */
typedef struct AttEaIdentity {
        GPtrArray *certificates; /* of AttCertificate, leaf first */
        GBytes *spki;            /* of the leaf, as in the certificate */
        GBytes *cmw;             /* (nullable): none was given */
        uint16_t scheme;
} AttEaIdentity;

void att_ea_identity_clear(AttEaIdentity *identity);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(AttEaIdentity, att_ea_identity_clear)

/**
 * att_ea_validate: RFC 9261 section 5.2.4, but for the chain, which is the caller's
 * @keys:    exported on the receiver's own connection, for the peer's role
 * @request: the bytes of our own request, as sent
 * @error:   %ATT_ERROR_REFUSED; the message begins with a name of docs/protocol.md
 *           and ": ", such as "context-mismatch", "certificate-verify", "finished",
 *           "empty-authenticator", "extension-not-offered", "extension-wrong-entry",
 *           "scheme-not-offered"; %ATT_ERROR_BAD_DATA or %ATT_ERROR_TOO_LARGE if it
 *           does not parse; %ATT_ERROR_INVALID_ARGUMENT for keys that are all zero or
 *           of the side that was not asked. @ret is untouched on failure.
 */
gboolean att_ea_validate(const AttEaKeys *keys, GBytes *request, uint16_t cmw_attestation, GBytes *authenticator,
                         AttEaIdentity *ret, GError **error) G_GNUC_WARN_UNUSED_RESULT;

/** binding = Hash(SPKI || exported), draft-fossati-seat-expat-03; @ret has att_hash_size(hash) bytes */
void att_ea_binding(AttHash hash, GBytes *spki, const uint8_t exported[ATT_EXPORTED_SIZE], uint8_t *ret);

G_END_DECLS
