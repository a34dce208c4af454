/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Authenticators for a caller that has a TLS library and nothing of RFC 9261: it
 * exports the keys and signs, all between is made here. */
#pragma once

#include "attester/session.h"
#include "ea/authenticator.h"

G_BEGIN_DECLS

/* With these the largest evidence still fits into an authenticator. */
#define ATT_CERTIFICATES_SIZE_MAX (60u * 1024u)

/* What a peer has asked, and what the answer is made of. All of it is borrowed. */
typedef struct AttAuthenticatorRequest {
        GBytes *request;         /* as received */
        const uint8_t *exported; /* ATT_EXPORTED_SIZE bytes, for the request's context */
        GPtrArray *certificates; /* of GBytes, DER, leaf first */
        AttEaKeys keys;          /* of this end; hash and sender need not be set */
        GArray *schemes;         /* of uint16_t, that the caller can sign with; (nullable): all that fit the key */
        uint16_t cmw_attestation;
        const char *profile;     /* (nullable): the default */
        guint timeout_ms;
        bool batch;              /* as in AttAttestRequest */
} AttAuthenticatorRequest;

/* What waits for its signature; borrowed. */
typedef struct AttBegun {
        AttSession *session;
        guint64 handle;
        uint16_t scheme;
        GBytes *to_be_signed;
} AttBegun;

/* As AttAttestDone. Of what could not be told to the caller: att_session_lose(), att_drafts_drop(). */
typedef void (*AttBeginDone)(const AttBegun *begun, GError *error, gpointer userdata);

/**
 * att_session_begin_authenticator: fresh evidence, and an authenticator around it
 * @done:  called once, after this has returned, if it returns %TRUE
 * @error: those of att_session_attest(); %ATT_ERROR_BAD_DATA for what is no request to
 *         this end; %ATT_ERROR_REFUSED for one that cannot be met: such a one can be
 *         declined, as can one whose evidence was not made
 */
gboolean att_session_begin_authenticator(AttSession *session, const AttAuthenticatorRequest *request,
                                         AttBeginDone done, gpointer userdata, GError **error)
        G_GNUC_WARN_UNUSED_RESULT;

/**
 * att_session_decline: the empty authenticator, RFC 9261 section 6, in the same way
 * @request:    exported, certificates, schemes, profile and time are not looked at
 * @ret_handle: to be finished with an empty signature
 *
 * Nothing is asked of the TEE. The context is used up.
 */
gboolean att_session_decline(AttSession *session, const AttAuthenticatorRequest *request, guint64 *ret_handle,
                             GError **error) G_GNUC_WARN_UNUSED_RESULT;

G_END_DECLS
