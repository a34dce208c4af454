/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <openssl/ssl.h>

G_BEGIN_DECLS

/**
 * libattestd: attested TLS for applications that speak OpenSSL
 *
 * After the TLS handshake both ends exchange frames on the connection: a request,
 * an RFC 9261 exported authenticator with fresh evidence, a verdict. Application
 * data flows only while the gate is open. Evidence comes from attestd(8), over its
 * direct socket or the system bus, verdicts from attestd-verifier(8), over the bus.
 * The private key stays in the application. libattestd(3) has an example.
 *
 * Connections and exchanges are not locked: one thread at a time for each, and the
 * same thread at a time for the SSL below it. An endpoint may be shared by threads
 * once it is configured.
 */

#define ATTESTD_ERROR (attestd_error_quark())
GQuark attestd_error_quark(void);

/**
 * AttestdError:
 * @ATTESTD_ERROR_INVALID:     a call out of order, or an argument that cannot be;
 *                             nothing was done, and the object is as before
 * @ATTESTD_ERROR_UNPREPARED:  the connection's SSL_CTX did not go through
 *                             attestd_prepare(), or what that set was undone
 * @ATTESTD_ERROR_CONNECTION:  TLS 1.2, a resumed session, a pre-shared key, early
 *                             data, a weak group, a handshake not finished, a peer
 *                             whose name is not verified: no evidence can be bound to it
 * @ATTESTD_ERROR_TLS:         OpenSSL, or the transport, failed
 * @ATTESTD_ERROR_PROTOCOL:    the peer sent what is not allowed now
 * @ATTESTD_ERROR_CLOSED:      the peer ended the stream without saying so
 * @ATTESTD_ERROR_SERVICE:     attestd or attestd-verifier cannot be reached, or
 *                             answered with an error; the message has its name
 * @ATTESTD_ERROR_TIMED_OUT:   the peer owed an answer for longer than the time limit
 * @ATTESTD_ERROR_REFUSED:     we refused the peer's evidence; the message begins with
 *                             the name of the check that failed
 * @ATTESTD_ERROR_REFUSED_BY_PEER: the peer refused us; the message is its reason
 */
typedef enum {
        ATTESTD_ERROR_INVALID,
        ATTESTD_ERROR_UNPREPARED,
        ATTESTD_ERROR_CONNECTION,
        ATTESTD_ERROR_TLS,
        ATTESTD_ERROR_PROTOCOL,
        ATTESTD_ERROR_CLOSED,
        ATTESTD_ERROR_SERVICE,
        ATTESTD_ERROR_TIMED_OUT,
        ATTESTD_ERROR_REFUSED,
        ATTESTD_ERROR_REFUSED_BY_PEER,
} AttestdError;

/**
 * attestd_prepare: set @ctx up for attested connections
 *
 * TLS 1.3 only, no session tickets, no cache, no early data, no external PSK;
 * groups X25519, P-256, P-384, P-521; a stream that is cut is an error. Call it
 * before any SSL is made of @ctx, and do not undo it: connections check.
 */
gboolean attestd_prepare(SSL_CTX *ctx, GError **error);

/* What this end asks and gives. Once a connection or exchange was made of it, it
 * must not be configured any more. */
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
 * Called in the thread that drives the connection; of an endpoint shared by
 * threads, in several at a time.
 *
 * Returns: (transfer full): the signature, or %NULL with @error set
 */
typedef GBytes *(*AttestdSign)(guint16 scheme, GBytes *to_be_signed, gpointer userdata, GError **error);

/**
 * attestd_endpoint_give: give evidence to a peer that asks
 * @certificates: (element-type GBytes): DER, leaf first, 8 at most
 * @error: %ATTESTD_ERROR_INVALID
 *
 * Evidence is bound to the key of the leaf. Without this call requests of the
 * peer are answered by an authenticated refusal. On failure @destroy is not called.
 *
 * Evidence names the machine, the guest and the program. A client shows it to its
 * server, which OpenSSL should have verified; whom a server shows it to says
 * attestd_endpoint_set_give_to().
 */
gboolean attestd_endpoint_give(AttestdEndpoint *endpoint, GPtrArray *certificates, AttestdSign sign, gpointer userdata,
                               GDestroyNotify destroy, GError **error);
/** attestd_endpoint_give_key: the same with certificates and key as OpenSSL has them; references are taken */
gboolean attestd_endpoint_give_key(AttestdEndpoint *endpoint, X509 *leaf, STACK_OF(X509) *chain, EVP_PKEY *key,
                                   GError **error);

/**
 * AttestdGiveTo: which clients a server shows its evidence
 * @ATTESTD_GIVE_TO_AUTHENTICATED: those whose certificate of the handshake OpenSSL has
 *                         verified (SSL_VERIFY_PEER), and for the name if one was
 *                         stated; and those whose evidence this end has accepted
 * @ATTESTD_GIVE_TO_ACCEPTED: only the latter; the endpoint must ask
 * @ATTESTD_GIVE_TO_ANYONE: all that ask, before anything is known of them
 */
typedef enum {
        ATTESTD_GIVE_TO_AUTHENTICATED,
        ATTESTD_GIVE_TO_ACCEPTED,
        ATTESTD_GIVE_TO_ANYONE,
} AttestdGiveTo;

/**
 * attestd_endpoint_set_give_to: default %ATTESTD_GIVE_TO_AUTHENTICATED; at a client
 * only that %ATTESTD_GIVE_TO_ACCEPTED needs an endpoint that asks
 *
 * A server that asks holds the request of a client that is not authenticated until
 * its verdict on the client is yes, and again after each change of the client. A
 * client always gives when it is asked, so the two do not wait for each other; its
 * time limit for our answer covers the making of its own evidence and our verdict.
 * A server that does not ask answers such a client by an authenticated refusal.
 */
void attestd_endpoint_set_give_to(AttestdEndpoint *endpoint, AttestdGiveTo to);

/**
 * attestd_endpoint_give_logs: give the logs that stand behind the evidence to a peer
 * whose policy needs them; default %FALSE
 *
 * They name every file that ran in the guest, so they are for peers that are
 * somebody, whatever attestd_endpoint_set_give_to() says: whose certificate of the
 * handshake OpenSSL has verified, and for the name if one was stated, or whose
 * evidence this end has accepted (at a server with %ATTESTD_GIVE_TO_ACCEPTED only
 * those). Others, and all if this is %FALSE, are told that logs are not given. attestd
 * gives logs to root, or whom polkit allows: org.attestd.Attester1.get-log.
 *
 * A relying party needs no call: its policy says which logs it needs, and the
 * connection asks for them beside each evidence.
 */
void attestd_endpoint_give_logs(AttestdEndpoint *endpoint, gboolean give);

/**
 * attestd_endpoint_ask: ask the peer for evidence, and open no gate without it
 * @policy: (nullable): name of a policy of the verifier; %NULL for "default"
 */
void attestd_endpoint_ask(AttestdEndpoint *endpoint, const char *policy);
/** attestd_endpoint_ask_with_policy: the same with the text of a policy */
void attestd_endpoint_ask_with_policy(AttestdEndpoint *endpoint, const char *text);

/**
 * attestd_endpoint_name_peer: who the peer must be, when we ask
 * @name:    DNS name or IP address
 * @anchors: (nullable) (element-type GBytes): DER of CAs; the authenticator's leaf
 *           must chain to one for @name. With %NULL its key must be that of the
 *           handshake's leaf, which OpenSSL must have verified, and for @name.
 * @error:   %ATTESTD_ERROR_INVALID
 *
 * Without a name only a policy that says `peer any` accepts.
 */
gboolean attestd_endpoint_name_peer(AttestdEndpoint *endpoint, const char *name, GPtrArray *anchors, GError **error);

/**
 * attestd_endpoint_set_profile: of the evidence, asked for and given; default tag:attestd.org,2026:evidence/1
 *
 * Other profiles say less of the attester; attestd gives them to callers that its
 * configuration names, and few policies accept them.
 */
void attestd_endpoint_set_profile(AttestdEndpoint *endpoint, const char *profile);

/**
 * attestd_endpoint_set_compat: for peers that do no more than the draft; default %FALSE
 *
 * A connection then carries a request of each end that asks, an authenticator of
 * each end that gives, and after that the plain bytes of the application: no
 * hello, no verdict, no renewal. Both ends are configured for it, one to ask where
 * the other gives, with the profile expat-pad or cocos. Nothing of this is guessed.
 *
 * An end that asks is open when its own verdict is yes; what the peer sends before
 * is not read, so that with %ATTESTD_WANT_SERVICE wait for the service alone. An end
 * that gives is open when its answer is sent: it hears of no verdict, and has to
 * take the first data of the peer for one. Changes are not told. When evidence
 * reaches its maximal age the connection fails: make another one.
 */
void attestd_endpoint_set_compat(AttestdEndpoint *endpoint, gboolean compat);

/**
 * attestd_endpoint_take_batches: what is asked for may be a part of a batch; default %TRUE
 *
 * One report of the TEE then speaks for many requests of that moment, and evidence
 * proves that it is over this one: a guest whose TEE is slow answers so many at
 * once. It binds no less. Who takes none is given reports of its own, and waits
 * for its turn. A connection offers it in its hello; #AttestdExchange, which has none,
 * does not.
 */
void attestd_endpoint_take_batches(AttestdEndpoint *endpoint, gboolean take);

/** attestd_endpoint_set_code_point: of cmw_attestation, until IANA assigns one; default 0xFF00 */
void attestd_endpoint_set_code_point(AttestdEndpoint *endpoint, guint16 code_point);

/**
 * attestd_endpoint_set_max_age: ask again after so many seconds (default 600); 0 for never
 *
 * Evidence that is older by more than the time limit opens no gate. No peer is
 * asked more often than 3 times at once and every 2 seconds after that, but for what
 * it tells of its changes: it would refuse more.
 */
void attestd_endpoint_set_max_age(AttestdEndpoint *endpoint, guint seconds);

/**
 * attestd_endpoint_set_timeout: 1 to 600000 milliseconds (default 30000)
 *
 * How long the peer may owe us one answer: the first frame, a request that it
 * announced, an authenticator, a verdict; how long a write waits for the gate, and
 * attestd_connection_end() for the peer to take what is left.
 */
void attestd_endpoint_set_timeout(AttestdEndpoint *endpoint, guint milliseconds);

/**
 * attestd_endpoint_set_patience: 0 to 600000 milliseconds (default 5000)
 *
 * How long a service that was lost, or the bus with it, may take to come back
 * before a connection that needs it fails. The gate is closed meanwhile. A service
 * that never was there is not waited for, nor is a verdict that was under way.
 */
void attestd_endpoint_set_patience(AttestdEndpoint *endpoint, guint milliseconds);

/**
 * AttestdStatus: what a call came to
 * @ATTESTD_DONE:         it is done
 * @ATTESTD_WANT_READ:    it goes on when the transport is readable
 * @ATTESTD_WANT_WRITE:   it goes on when the transport is writable
 * @ATTESTD_WANT_SERVICE: it goes on when a service has answered
 * @ATTESTD_READ_FIRST:   it goes on when attestd_connection_read() has made room:
 *                        what waits to be read stands before what we wait for
 * @ATTESTD_END:          read only: the peer has ended its data in order
 * @ATTESTD_FAILED:       @error is set; unless it is %ATTESTD_ERROR_INVALID, the
 *                        connection is of no more use
 *
 * A call that WANTs is to be made again with the same arguments. In any of these
 * cases wait for all of: the transport as said, the transport to be readable,
 * attestd_connection_service_fd() to be readable, attestd_connection_timeout_ms().
 * With a blocking transport no call WANTs.
 */
typedef enum {
        ATTESTD_DONE,
        ATTESTD_WANT_READ,
        ATTESTD_WANT_WRITE,
        ATTESTD_WANT_SERVICE,
        ATTESTD_READ_FIRST,
        ATTESTD_END,
        ATTESTD_FAILED,
} AttestdStatus;

/* One attested connection over an SSL. */
typedef struct AttestdConnection AttestdConnection;

/**
 * attestd_connection_new:
 * @ssl: its handshake is finished; a reference is taken. From here on read and
 *       write only through the connection, and make no second one of it.
 * @error: %ATTESTD_ERROR_UNPREPARED, %ATTESTD_ERROR_CONNECTION, %ATTESTD_ERROR_INVALID;
 *         %ATTESTD_ERROR_TLS: its descriptor is not open; %ATTESTD_ERROR_SERVICE: no
 *         descriptor or thread is to be had for what the services answer
 *
 * If the descriptor of @ssl is blocking, so are the calls below; until
 * attestd_connection_free() the library has made it non-blocking and waits itself.
 */
AttestdConnection *attestd_connection_new(AttestdEndpoint *endpoint, SSL *ssl, GError **error);
void attestd_connection_free(AttestdConnection *connection);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(AttestdConnection, attestd_connection_free)

/**
 * attestd_connection_service_fd: readable when a service has answered, or has told
 * of a change; owned by the connection. Wait for it whenever you wait for the transport.
 */
int attestd_connection_service_fd(AttestdConnection *connection);

/** attestd_connection_timeout_ms: drive the connection after so long at the latest; -1 for never */
int attestd_connection_timeout_ms(AttestdConnection *connection);

/** attestd_connection_open: exchange until the gate is open; reads and writes do it by themselves */
AttestdStatus attestd_connection_open(AttestdConnection *connection, GError **error);

/** attestd_connection_is_open: may application data be sent now? */
gboolean attestd_connection_is_open(AttestdConnection *connection);

/**
 * attestd_connection_read: application data, and whatever exchange comes with it
 * @ret_size:  (out): at least 1 with %ATTESTD_DONE, else 0
 * @ret_stale: (out) (optional): the peer sent this before it knew of the newest
 *             change of either end's state: it rests on older evidence
 *
 * Drives the connection. Read until it WANTs: what OpenSSL holds does not make
 * the transport readable.
 */
AttestdStatus attestd_connection_read(AttestdConnection *connection, void *data, gsize size, gsize *ret_size,
                                      gboolean *ret_stale, GError **error);

/**
 * attestd_connection_pending: how many bytes attestd_connection_read() has without waiting
 *
 * Other calls take them off the transport, which is then not readable for them:
 * before you wait for the transport, read these.
 */
gsize attestd_connection_pending(AttestdConnection *connection);

/**
 * attestd_connection_write: send application data
 * @ret_size: (out): how much of @data went out; all of it if the transport blocks
 *
 * Waits, or WANTs, while the gate is closed.
 */
AttestdStatus attestd_connection_write(AttestdConnection *connection, const void *data, gsize size, gsize *ret_size,
                                       GError **error);

/**
 * attestd_connection_renew: ask for fresh evidence now, without having been told of a change
 *
 * Done when evidence that the peer made after this call is accepted. How often
 * see attestd_endpoint_set_max_age(): a call too many waits its turn.
 */
AttestdStatus attestd_connection_renew(AttestdConnection *connection, GError **error);

/**
 * attestd_connection_end: frame "end", then close_notify; nothing can be written after
 *
 * The peer may go on: read until %ATTESTD_END before closing the descriptor. Has
 * it not taken all that is left within the time limit, %ATTESTD_ERROR_TIMED_OUT.
 */
AttestdStatus attestd_connection_end(AttestdConnection *connection, GError **error);

/**
 * attestd_connection_result: the newest attestation result, accepted or not, as
 * JSON; %NULL before there is one. Borrowed, until the connection is driven.
 */
const char *attestd_connection_result(AttestdConnection *connection);

/*
 * For protocols that multiplex themselves: bare requests and authenticators. The
 * application carries them, tells its peer the verdict and of changes, and holds
 * back its data until both ends are content. After the peer has told of a change
 * only a verdict on a request made after that counts. How often a peer may ask is
 * the application's to limit as well: each answer costs the guest a report.
 */
typedef struct AttestdExchange AttestdExchange;

/** attestd_exchange_new: requests and authenticators of one connection; conditions as attestd_connection_new() */
AttestdExchange *attestd_exchange_new(AttestdEndpoint *endpoint, SSL *ssl, GError **error);
void attestd_exchange_free(AttestdExchange *exchange);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(AttestdExchange, attestd_exchange_free)

/*
 * The calls below return %ATTESTD_DONE, %ATTESTD_FAILED, or %ATTESTD_WANT_SERVICE:
 * then make the call again when attestd_exchange_service_fd() is readable. One of
 * each may be under way. After a failure the exchange is still of use.
 */

/** attestd_exchange_request: relying party: a request for the peer; makes the former one void */
AttestdStatus attestd_exchange_request(AttestdExchange *exchange, GBytes **ret_request, GError **error);

/**
 * attestd_exchange_answer: attester: the authenticator with fresh evidence, for a request of the peer
 * @error: %ATTESTD_ERROR_INVALID too, at a server that asks and holds back, while its newest verdict
 *         on the client is not yes: see attestd_endpoint_set_give_to()
 */
AttestdStatus attestd_exchange_answer(AttestdExchange *exchange, GBytes *request, GBytes **ret_authenticator,
                                      GError **error);

/** attestd_exchange_decline: attester: the authenticated refusal of a request, also after a failed answer */
AttestdStatus attestd_exchange_decline(AttestdExchange *exchange, GBytes *request, GBytes **ret_authenticator,
                                       GError **error);

/**
 * attestd_exchange_validate: relying party: the verdict on what the peer answered
 * @ret_result: (out) (optional) (transfer full) (nullable): the attestation result
 *              as JSON; also set with %ATTESTD_ERROR_REFUSED
 * Returns: %ATTESTD_DONE if, and only if, it is accepted
 */
AttestdStatus attestd_exchange_validate(AttestdExchange *exchange, GBytes *authenticator, char **ret_result,
                                        GError **error);

/**
 * attestd_exchange_logs: relying party: which logs of the peer the policy needs beside its evidence
 * @ret_logs: (out) (transfer full): of "ima" and "boot"; often none
 * @ret_next: (out): of "ima", the first entry that the verifier does not have
 *
 * Once the authenticator is here, ask the peer for them, and give each to
 * attestd_exchange_add_log() before attestd_exchange_validate().
 */
AttestdStatus attestd_exchange_logs(AttestdExchange *exchange, char ***ret_logs, guint64 *ret_next, GError **error);

/**
 * attestd_exchange_add_log: relying party: what the peer gave of a log
 * @bank:    whose digests the entries have; "" of "boot"
 * @entries: whole ones, 16 MiB at most; of "boot" all of it
 * @first:   number of the first of them, as asked for
 * @error:   %ATTESTD_ERROR_REFUSED: the verifier does not take it
 */
AttestdStatus attestd_exchange_add_log(AttestdExchange *exchange, const char *log, const char *bank, GBytes *entries,
                                       guint64 first, GError **error);

/**
 * attestd_exchange_get_log: attester: what attestd has of a log, for a peer that has our newest evidence
 * @log:       "ima", "boot" or "register"
 * @from:      number of the first entry; of "boot" the first byte
 * @max:       bytes; give no more at once than the peer takes
 * @ret_entries: (out) (transfer full): whole ones; none if the log ends before @from
 * @ret_bank:  (out) (transfer full): whose digests they have; "" of "boot"
 * @ret_more:  (out): the log goes on
 * @error:     %ATTESTD_ERROR_INVALID: logs are not given to this peer, see attestd_endpoint_give_logs()
 */
AttestdStatus attestd_exchange_get_log(AttestdExchange *exchange, const char *log, guint64 from, gsize max,
                                       GBytes **ret_entries, char **ret_bank, gboolean *ret_more, GError **error);

/** attestd_exchange_is_stale: attester: has the state changed, or attestd gone, since our newest answer? */
gboolean attestd_exchange_is_stale(AttestdExchange *exchange);

/** attestd_exchange_service_fd: readable when a service has answered, or has told of a change; owned by @exchange */
int attestd_exchange_service_fd(AttestdExchange *exchange);

/** attestd_exchange_wait: for programs without a loop: until attestd_exchange_service_fd() is readable */
void attestd_exchange_wait(AttestdExchange *exchange);

/** attestd_version: of the library, as "0.1.0" */
const char *attestd_version(void);

G_END_DECLS
