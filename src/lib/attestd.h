/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <gio/gio.h>
#include <openssl/ssl.h>

G_BEGIN_DECLS

/**
 * libattestd: attested TLS for applications that speak OpenSSL
 *
 * After the TLS handshake both ends exchange frames on the connection: a request,
 * an RFC 9261 exported authenticator with fresh evidence, a verdict. Application
 * data flows only when the gate is open. Evidence comes from attestd(8), verdicts
 * from attestd-verifier(8), both over the system bus. The private key stays in
 * the application. libattestd(3) has an example.
 *
 * Objects are not locked: one thread at a time per connection. Endpoints may be
 * shared by threads once they are configured.
 */

#define ATTESTD_ERROR (attestd_error_quark())
GQuark attestd_error_quark(void);

/**
 * AttestdError:
 * @ATTESTD_ERROR_INVALID:     a call out of order, or an argument that cannot be
 * @ATTESTD_ERROR_UNPREPARED:  the connection's SSL_CTX did not go through attestd_prepare()
 * @ATTESTD_ERROR_CONNECTION:  TLS 1.2, a resumed session, early data, a weak group,
 *                             a handshake not finished: no evidence can be bound to it
 * @ATTESTD_ERROR_TLS:         OpenSSL, or the transport, failed
 * @ATTESTD_ERROR_PROTOCOL:    the peer sent what is not allowed now
 * @ATTESTD_ERROR_CLOSED:      the peer ended the stream without saying so
 * @ATTESTD_ERROR_SERVICE:     attestd or attestd-verifier answered with an error
 * @ATTESTD_ERROR_REFUSED:     we refused the peer's evidence; the message says why
 * @ATTESTD_ERROR_REFUSED_BY_PEER: the peer refused ours; the message is its reason
 * @ATTESTD_ERROR_GATE:        data was written while the gate is closed
 */
typedef enum {
        ATTESTD_ERROR_INVALID,
        ATTESTD_ERROR_UNPREPARED,
        ATTESTD_ERROR_CONNECTION,
        ATTESTD_ERROR_TLS,
        ATTESTD_ERROR_PROTOCOL,
        ATTESTD_ERROR_CLOSED,
        ATTESTD_ERROR_SERVICE,
        ATTESTD_ERROR_REFUSED,
        ATTESTD_ERROR_REFUSED_BY_PEER,
        ATTESTD_ERROR_GATE,
} AttestdError;

/**
 * attestd_prepare: set @ctx up for attested connections
 *
 * TLS 1.3 only, no session tickets, no cache, no early data, no external PSK;
 * groups X25519, P-256, P-384, P-521. Call it before any SSL is made of @ctx, and
 * do not undo it: connections check.
 */
gboolean attestd_prepare(SSL_CTX *ctx, GError **error);

/* What this end asks and gives. */
typedef struct AttestdEndpoint AttestdEndpoint;

AttestdEndpoint *attestd_endpoint_new(void);
AttestdEndpoint *attestd_endpoint_ref(AttestdEndpoint *endpoint);
void attestd_endpoint_unref(AttestdEndpoint *endpoint);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(AttestdEndpoint, attestd_endpoint_unref)

/**
 * AttestdSign: sign with the private key of the certificate given
 * @scheme:       TLS 1.3 SignatureScheme, such as 0x0403
 * @to_be_signed: 64 spaces, "Exported Authenticator", 0, and a hash: libattestd
 *                has made it; a signer in another process should check the prefix
 *
 * Returns: (transfer full): the signature, or %NULL with @error set
 */
typedef GBytes *(*AttestdSign)(guint16 scheme, GBytes *to_be_signed, gpointer userdata, GError **error);

/**
 * attestd_endpoint_give: give evidence to a peer that asks
 * @certificates: (element-type GBytes): DER, leaf first
 * @sign:         called in the thread that drives the connection
 */
gboolean attestd_endpoint_give(AttestdEndpoint *endpoint, GPtrArray *certificates, AttestdSign sign, gpointer userdata,
                               GDestroyNotify destroy, GError **error);
/** attestd_endpoint_give_key: the same with certificates and key as OpenSSL has them; references are taken */
gboolean attestd_endpoint_give_key(AttestdEndpoint *endpoint, X509 *leaf, STACK_OF(X509) *chain, EVP_PKEY *key,
                                   GError **error);

/**
 * attestd_endpoint_ask: ask the peer for evidence, and open no gate without it
 * @policy: name of a policy of the verifier, or NULL for "default"
 */
void attestd_endpoint_ask(AttestdEndpoint *endpoint, const char *policy);
/** attestd_endpoint_ask_with_policy: the same with the text of a policy */
void attestd_endpoint_ask_with_policy(AttestdEndpoint *endpoint, const char *text);

/**
 * attestd_endpoint_name_peer: who the peer must be, when we ask
 * @name:    DNS name or IP address
 * @anchors: (nullable) (element-type GBytes): DER of CAs; the authenticator's leaf
 *           must chain to one for @name. With %NULL its key must be that of the
 *           handshake's leaf, which OpenSSL must have verified for @name.
 *
 * Without a name only a policy that says `peer any` accepts.
 */
gboolean attestd_endpoint_name_peer(AttestdEndpoint *endpoint, const char *name, GPtrArray *anchors, GError **error);

/** attestd_endpoint_set_code_point: of cmw_attestation, until IANA assigns one; default 0xFF00 */
void attestd_endpoint_set_code_point(AttestdEndpoint *endpoint, guint16 code_point);

/** attestd_endpoint_set_max_age: ask again after so many seconds (default 600); 0 for never */
void attestd_endpoint_set_max_age(AttestdEndpoint *endpoint, guint seconds);

/** attestd_endpoint_set_timeout: for one exchange of request and answer, milliseconds (default 30000) */
void attestd_endpoint_set_timeout(AttestdEndpoint *endpoint, guint milliseconds);

/* One attested connection over an SSL. */
typedef struct AttestdConnection AttestdConnection;

/**
 * attestd_connection_new:
 * @ssl: its handshake is finished; a reference is taken. From here on read and
 *       write only through the connection.
 * @error: %ATTESTD_ERROR_UNPREPARED, %ATTESTD_ERROR_CONNECTION
 */
AttestdConnection *attestd_connection_new(AttestdEndpoint *endpoint, SSL *ssl, GError **error);
void attestd_connection_free(AttestdConnection *connection);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(AttestdConnection, attestd_connection_free)

/**
 * AttestdStatus: what a call came to
 * @ATTESTD_DONE:         it is done
 * @ATTESTD_WANT_READ:    call again when the transport is readable
 * @ATTESTD_WANT_WRITE:   call again when the transport is writable
 * @ATTESTD_WANT_SERVICE: call again when attestd_connection_service_fd() is readable,
 *                        or the transport is
 * @ATTESTD_END:          read only: the peer has ended its data in order
 * @ATTESTD_FAILED:       @error is set; the connection is of no more use
 *
 * The three WANTs are only seen with a non-blocking transport.
 */
typedef enum {
        ATTESTD_DONE,
        ATTESTD_WANT_READ,
        ATTESTD_WANT_WRITE,
        ATTESTD_WANT_SERVICE,
        ATTESTD_END,
        ATTESTD_FAILED,
} AttestdStatus;

/** attestd_connection_service_fd: readable when a service has answered; owned by the connection */
int attestd_connection_service_fd(AttestdConnection *connection);

/**
 * attestd_connection_timeout_ms: call again after so long at the latest, -1 for
 * never: for time limits and max age of a non-blocking connection
 */
int attestd_connection_timeout_ms(AttestdConnection *connection);

/** attestd_connection_open: exchange until the gate is open */
AttestdStatus attestd_connection_open(AttestdConnection *connection, GError **error);

/** attestd_connection_is_open: may application data be sent now? */
gboolean attestd_connection_is_open(AttestdConnection *connection);

/**
 * attestd_connection_read: application data, and whatever renewal comes with it
 * @ret_stale: (out) (optional): the data was sent by the peer before the newest
 *             `stale` was settled, so it rests on older evidence
 */
AttestdStatus attestd_connection_read(AttestdConnection *connection, void *data, gsize size, gsize *ret_size,
                                      gboolean *ret_stale, GError **error);

/** attestd_connection_write: all of @data; waits, or WANTs, while the gate is closed by a renewal */
AttestdStatus attestd_connection_write(AttestdConnection *connection, const void *data, gsize size, gsize *ret_size,
                                       GError **error);

/** attestd_connection_renew: ask for fresh evidence now, without having been told of a change */
AttestdStatus attestd_connection_renew(AttestdConnection *connection, GError **error);

/** attestd_connection_end: frame "end", then close_notify */
AttestdStatus attestd_connection_end(AttestdConnection *connection, GError **error);

/** attestd_connection_result: the newest attestation result, as JSON; %NULL before there is one. Borrowed. */
const char *attestd_connection_result(AttestdConnection *connection);

/*
 * For protocols that multiplex themselves: bare requests and authenticators. The
 * application carries them, and holds back its data until both ends are content.
 */
typedef struct AttestdExchange AttestdExchange;

/** attestd_exchange_new: requests and authenticators of one connection. The same checks as attestd_connection_new(). */
AttestdExchange *attestd_exchange_new(AttestdEndpoint *endpoint, SSL *ssl, GError **error);
void attestd_exchange_free(AttestdExchange *exchange);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(AttestdExchange, attestd_exchange_free)

/** attestd_exchange_request: relying party: a request for the peer. Returns: (transfer full) */
GBytes *attestd_exchange_request(AttestdExchange *exchange, GCancellable *cancellable, GError **error);
/** attestd_exchange_answer: attester: the authenticator for a request of the peer. Returns: (transfer full) */
GBytes *attestd_exchange_answer(AttestdExchange *exchange, GBytes *request, GCancellable *cancellable, GError **error);
/**
 * attestd_exchange_validate: relying party: the verdict on the peer's authenticator
 * @ret_result: (out) (optional) (transfer full): the attestation result as JSON
 * Returns: %TRUE if accepted; else %FALSE with %ATTESTD_ERROR_REFUSED
 */
gboolean attestd_exchange_validate(AttestdExchange *exchange, GBytes *authenticator, char **ret_result,
                                   GCancellable *cancellable, GError **error);
/** attestd_exchange_is_stale: attester: has the state changed since our newest answer? */
gboolean attestd_exchange_is_stale(AttestdExchange *exchange);

/** attestd_version: of the library, as "0.1.0" */
const char *attestd_version(void);

G_END_DECLS
