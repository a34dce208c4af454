/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The end of an attested TLS connection by hand: frames by codec/, authenticators
 * by ea/, evidence of attestd by D-Bus. For peers that do what libattestd would
 * not. The role is that of the SSL, the leaf its certificate; calls block. */
#pragma once

#include "codec/frame.h"
#include "ea/authenticator.h"

#include <openssl/ssl.h>

G_DEFINE_AUTOPTR_CLEANUP_FUNC(SSL, SSL_free)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(SSL_CTX, SSL_CTX_free)

/* Closes TLS and the descriptor, and frees it. */
void peer_close(SSL *ssl);

GBytes *peer_read_frame(SSL *ssl, AttFrameType *ret_type, GError **error);
/* The next frame of @type; others are passed over, but a refusal ends it. */
GBytes *peer_expect_frame(SSL *ssl, AttFrameType type, GError **error);
gboolean peer_write_frame(SSL *ssl, AttFrameType type, GBytes *payload, GError **error);
gboolean peer_write_hello(SSL *ssl, const char *profile, bool asks, bool gives, GError **error);

AttHash peer_hash(SSL *ssl);
/* A request with this context. */
GBytes *peer_request_new(SSL *ssl, GBytes *context);
/* What attestd of this guest gives for this connection and our leaf. */
GBytes *peer_attest(SSL *ssl, const char *profile, GBytes *context, GError **error);
/* The authenticator that answers @request; without @evidence the empty one. */
GBytes *peer_authenticator_new(SSL *ssl, const AttEaRequest *request, GBytes *evidence, GError **error);
/* The evidence in an authenticator of the peer. */
GBytes *peer_evidence_of(SSL *ssl, GBytes *authenticator, GError **error);
