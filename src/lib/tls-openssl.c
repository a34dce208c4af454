/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* OpenSSL as a transport: the only file of lib/ that calls it. */
#include "lib/connection.h"

#include "codec/evidence.h"
#include "crypto/openssl-error.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <poll.h>
#include <sys/stat.h>
#include <time.h>

#define PREPARED_GROUPS "X25519:P-256:P-384:P-521"

G_DEFINE_AUTOPTR_CLEANUP_FUNC(EVP_MD_CTX, EVP_MD_CTX_free)

/* Marks: an SSL_CTX that was prepared, an SSL that has its one connection. */
static int prepared_index = -1, used_index = -1;

static gboolean make_marks(GError **error) {
        static gsize once;

        if (g_once_init_enter(&once)) {
                prepared_index = SSL_CTX_get_ex_new_index(0, NULL, NULL, NULL, NULL);
                used_index = SSL_get_ex_new_index(0, NULL, NULL, NULL, NULL);
                g_once_init_leave(&once, 1);
        }
        if (prepared_index >= 0 && used_index >= 0)
                return TRUE;
        g_set_error_literal(error, ATTESTD_ERROR, ATTESTD_ERROR_TLS, "OpenSSL has no more room for application data");
        return FALSE;
}

static gboolean tls_error(GError **error, const char *what) {
        g_autoptr(GError) inner = NULL;

        att_openssl_error(&inner, what);
        g_set_error_literal(error, ATTESTD_ERROR, ATTESTD_ERROR_TLS, inner->message);
        return FALSE;
}

gboolean attestd_prepare(SSL_CTX *ctx, GError **error) {
        if (!make_marks(error))
                return FALSE;
        ERR_clear_error();

        /* With a method of another protocol, such as DTLS, setting it does nothing. */
        if (!SSL_CTX_set_min_proto_version(ctx, TLS1_3_VERSION) || !SSL_CTX_set_max_proto_version(ctx, 0) ||
            SSL_CTX_get_min_proto_version(ctx) != TLS1_3_VERSION)
                return tls_error(error, "cannot demand TLS 1.3");
        if (!SSL_CTX_set1_groups_list(ctx, PREPARED_GROUPS))
                return tls_error(error, "cannot set the groups " PREPARED_GROUPS);

        /* No resumption: what is resumed was never attested, or for another connection. */
        if (!SSL_CTX_set_num_tickets(ctx, 0) || !SSL_CTX_set_max_early_data(ctx, 0) ||
            !SSL_CTX_set_recv_max_early_data(ctx, 0))
                return tls_error(error, "cannot do without tickets and early data");
        SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
        SSL_CTX_sess_set_new_cb(ctx, NULL);
        SSL_CTX_sess_set_get_cb(ctx, NULL);
        SSL_CTX_set_options(ctx, SSL_OP_NO_TICKET);

        SSL_CTX_set_psk_client_callback(ctx, NULL);
        SSL_CTX_set_psk_server_callback(ctx, NULL);
        SSL_CTX_set_psk_use_session_callback(ctx, NULL);
        SSL_CTX_set_psk_find_session_callback(ctx, NULL);

        /* A stream that was cut must not look like one that was ended. */
        SSL_CTX_clear_options(ctx, SSL_OP_IGNORE_UNEXPECTED_EOF);

        if (!SSL_CTX_set_ex_data(ctx, prepared_index, &prepared_index))
                return tls_error(error, "cannot mark the SSL_CTX");
        return TRUE;
}

/* The conditions on a connection. */

static gboolean unfit(GError **error, AttestdError code, const char *why) {
        g_set_error_literal(error, ATTESTD_ERROR, (gint) code, why);
        return FALSE;
}

static bool is_good_group(int nid) {
        return nid == NID_X25519 || nid == NID_X9_62_prime256v1 || nid == NID_secp384r1 || nid == NID_secp521r1;
}

static gboolean check_handshake(SSL *ssl, GError **error) {
        if (!SSL_is_init_finished(ssl))
                return unfit(error, ATTESTD_ERROR_CONNECTION, "the TLS handshake is not finished");
        if (SSL_version(ssl) != TLS1_3_VERSION)
                return unfit(error, ATTESTD_ERROR_CONNECTION, "not-tls13: the connection is not TLS 1.3");
        /* OpenSSL calls a connection with any pre-shared key resumed. */
        if (SSL_session_reused(ssl))
                return unfit(error, ATTESTD_ERROR_CONNECTION,
                             "resumed-session: the session was resumed, or rests on a pre-shared key");
        if (SSL_get_early_data_status(ssl) != SSL_EARLY_DATA_NOT_SENT)
                return unfit(error, ATTESTD_ERROR_CONNECTION, "early-data: early data was sent on the connection");
        if (!is_good_group((int) SSL_get_negotiated_group(ssl)))
                return unfit(error, ATTESTD_ERROR_CONNECTION,
                             "weak-group: the key exchange is none of X25519, P-256, P-384 and P-521");
        return TRUE;
}

/* The mark says that it was prepared, the rest that nobody undid it. */
static gboolean check_prepared(SSL *ssl, GError **error) {
        SSL_CTX *ctx = SSL_get_SSL_CTX(ssl);
        uint64_t options = SSL_get_options(ssl);

        if (!SSL_CTX_get_ex_data(ctx, prepared_index))
                return unfit(error, ATTESTD_ERROR_UNPREPARED, "the SSL_CTX did not go through attestd_prepare()");
        if (SSL_get_min_proto_version(ssl) != TLS1_3_VERSION)
                return unfit(error, ATTESTD_ERROR_UNPREPARED, "TLS 1.2 was allowed after attestd_prepare()");
        if (SSL_get_num_tickets(ssl) != 0 || !(options & SSL_OP_NO_TICKET) ||
            SSL_CTX_get_session_cache_mode(ctx) != SSL_SESS_CACHE_OFF)
                return unfit(error, ATTESTD_ERROR_UNPREPARED, "resumption was allowed after attestd_prepare()");
        /* A client's own number is overwritten in the handshake. */
        if (SSL_CTX_get_max_early_data(ctx) != 0 || SSL_get_max_early_data(ssl) != 0 ||
            SSL_get_recv_max_early_data(ssl) != 0)
                return unfit(error, ATTESTD_ERROR_UNPREPARED, "early data was allowed after attestd_prepare()");
        if (options & SSL_OP_IGNORE_UNEXPECTED_EOF)
                return unfit(error, ATTESTD_ERROR_UNPREPARED,
                             "SSL_OP_IGNORE_UNEXPECTED_EOF was set after attestd_prepare()");
        return TRUE;
}

static gboolean get_hash(SSL *ssl, AttHash *ret, GError **error) {
        const SSL_CIPHER *cipher = SSL_get_current_cipher(ssl);
        const EVP_MD *md = cipher ? SSL_CIPHER_get_handshake_digest(cipher) : NULL;

        if (md && EVP_MD_is_a(md, "SHA256"))
                *ret = ATT_HASH_SHA256;
        else if (md && EVP_MD_is_a(md, "SHA384"))
                *ret = ATT_HASH_SHA384;
        else
                return unfit(error, ATTESTD_ERROR_CONNECTION,
                             "the hash of the cipher suite is neither SHA-256 nor SHA-384");
        return TRUE;
}

static GBytes *x509_der(X509 *x509) {
        uint8_t *der = NULL;
        int size = i2d_X509(x509, &der);
        GBytes *bytes;

        if (size <= 0)
                return NULL;
        bytes = g_bytes_new(der, (gsize) size);
        OPENSSL_free(der);
        return bytes;
}

/* By subjectAltName alone. */
static bool is_for_name(X509 *x509, const char *name) {
        const unsigned flags = X509_CHECK_FLAG_NEVER_CHECK_SUBJECT | X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS;

        return g_hostname_is_ip_address(name) ? X509_check_ip_asc(x509, name, 0) == 1 :
                                                X509_check_host(x509, name, 0, flags, NULL) == 1;
}

static bool is_verified(SSL *ssl, const char *name) {
        X509 *x509 = SSL_get0_peer_certificate(ssl);

        return x509 && SSL_get_verify_result(ssl) == X509_V_OK && (!name || is_for_name(x509, name));
}

/* Key of the handshake's leaf, if OpenSSL has verified it and it is for @name. */
static GBytes *verified_key(SSL *ssl, const char *name, GError **error) {
        X509 *x509 = SSL_get0_peer_certificate(ssl);
        long verdict = SSL_get_verify_result(ssl);
        g_autoptr(AttCertificate) certificate = NULL;
        g_autoptr(GBytes) der = NULL;
        const char *problem = NULL;

        if (!x509)
                problem = "it sent none";
        else if (verdict != X509_V_OK)
                problem = X509_verify_cert_error_string(verdict);
        else if (!is_for_name(x509, name))
                problem = "it is for another name";
        else if (!(der = x509_der(x509)) ||
                 !(certificate = att_certificate_from_der(g_bytes_get_data(der, NULL), g_bytes_get_size(der), NULL)))
                problem = "it cannot be read";
        if (!problem)
                return att_certificate_dup_spki(certificate);

        g_set_error(error, ATTESTD_ERROR, ATTESTD_ERROR_CONNECTION,
                    "certificate-chain: the peer's certificate of the handshake is not verified for \"%s\": %s", name,
                    problem);
        return NULL;
}

/* The transport. */

typedef struct Tls {
        AttTransport base;
        SSL *ssl;        /* owned */
        int fds[2];      /* to read and to write; of the SSL; -1 if it has none */
        int fd_flags[2]; /* that were there before */
        struct stat fd_stat[2]; /* what they were descriptors of */
        bool is_dead;    /* after a fatal error OpenSSL must not be called any more */
} Tls;

static AttIo io_result(Tls *t, int r, const char *what, GError **error) {
        int err = errno;

        switch (SSL_get_error(t->ssl, r)) {
        case SSL_ERROR_WANT_READ:
                return ATT_IO_WANT_READ;
        case SSL_ERROR_WANT_WRITE:
                return ATT_IO_WANT_WRITE;
        case SSL_ERROR_ZERO_RETURN:
                return ATT_IO_CLOSED;
        case SSL_ERROR_SYSCALL:
                t->is_dead = true;
                if (err == 0 || err == ECONNRESET || err == EPIPE)
                        return ATT_IO_CUT;
                g_set_error(error, ATTESTD_ERROR, ATTESTD_ERROR_TLS, "%s: %s", what, g_strerror(err));
                return ATT_IO_FAILED;
        default:
                t->is_dead = true;
                if (ERR_GET_REASON(ERR_peek_error()) == SSL_R_UNEXPECTED_EOF_WHILE_READING) {
                        ERR_clear_error();
                        return ATT_IO_CUT;
                }
                tls_error(error, what);
                return ATT_IO_FAILED;
        }
}

static void before_call(void) {
        ERR_clear_error();
        errno = 0;
}

static AttIo tls_read(AttTransport *base, void *data, size_t size, size_t *ret_size, GError **error) {
        Tls *t = (Tls *) base;
        int r;

        before_call();
        r = SSL_read_ex(t->ssl, data, size, ret_size);
        return r == 1 ? ATT_IO_DONE : io_result(t, r, "cannot read from the TLS connection", error);
}

static AttIo tls_write(AttTransport *base, const void *data, size_t size, size_t *ret_size, GError **error) {
        Tls *t = (Tls *) base;
        int r;

        before_call();
        r = SSL_write_ex(t->ssl, data, size, ret_size);
        return r == 1 ? ATT_IO_DONE : io_result(t, r, "cannot write to the TLS connection", error);
}

static AttIo tls_close(AttTransport *base, GError **error) {
        Tls *t = (Tls *) base;
        int r;
        AttIo io;

        if (t->is_dead) {
                unfit(error, ATTESTD_ERROR_TLS, "the TLS connection has failed");
                return ATT_IO_FAILED;
        }
        before_call();
        r = SSL_shutdown(t->ssl); /* 0: ours is sent, the peer's is not here */
        if (r >= 0)
                return ATT_IO_DONE;
        io = io_result(t, r, "cannot close the TLS connection", error);
        if (io != ATT_IO_CLOSED && io != ATT_IO_CUT)
                return io;
        unfit(error, ATTESTD_ERROR_TLS, "the peer is gone");
        return ATT_IO_FAILED;
}

static gboolean tls_export(AttTransport *base, const char *label, const void *context, size_t context_size,
                           uint8_t *ret, size_t size, GError **error) {
        Tls *t = (Tls *) base;

        ERR_clear_error();
        /* In TLS 1.3 no context and an empty one are the same. */
        if (SSL_export_keying_material(t->ssl, ret, size, label, strlen(label), context, context_size, 1) == 1)
                return TRUE;
        return tls_error(error, "cannot export keying material");
}

static gboolean tls_wait(AttTransport *base, bool for_read, bool for_write, int other_fd, int timeout_ms,
                         GError **error) {
        Tls *t = (Tls *) base;
        struct pollfd fds[] = {
                { .fd = for_read ? t->fds[0] : -1, .events = POLLIN },
                { .fd = for_write ? t->fds[1] : -1, .events = POLLOUT },
                { .fd = other_fd, .events = POLLIN },
        };

        if (poll(fds, G_N_ELEMENTS(fds), timeout_ms) >= 0 || errno == EINTR)
                return TRUE;
        g_set_error(error, ATTESTD_ERROR, ATTESTD_ERROR_TLS, "cannot wait for the connection: %s", g_strerror(errno));
        return FALSE;
}

/* Time in suspend counts: evidence ages in it. */
static int64_t tls_now(AttTransport *base) {
        struct timespec ts = { 0 };

        (void) base;
        (void) clock_gettime(CLOCK_BOOTTIME, &ts);
        return (int64_t) ts.tv_sec * G_USEC_PER_SEC + ts.tv_nsec / 1000;
}

/* The application may have closed it, and its number may be another's by now. */
static bool is_still_ours(const Tls *t, size_t i) {
        struct stat st;

        return fstat(t->fds[i], &st) == 0 && st.st_dev == t->fd_stat[i].st_dev && st.st_ino == t->fd_stat[i].st_ino;
}

static void tls_free(AttTransport *base) {
        Tls *t = (Tls *) base;

        for (size_t i = 0; base->blocks && i < G_N_ELEMENTS(t->fds); i++)
                if (is_still_ours(t, i))
                        (void) fcntl(t->fds[i], F_SETFL, t->fd_flags[i]);
        g_clear_pointer(&base->peer_key, g_bytes_unref);
        SSL_free(t->ssl);
        g_free(t);
}

static const AttTransportOps tls_ops = {
        .read = tls_read,
        .write = tls_write,
        .close = tls_close,
        .export = tls_export,
        .wait = tls_wait,
        .now = tls_now,
        .free = tls_free,
};

/* A blocking descriptor is made non-blocking, and waited for by us: only so a
 * call hears the service and keeps its time limit. */
static gboolean take_over_descriptors(Tls *t, GError **error) {
        t->fds[0] = SSL_get_rfd(t->ssl);
        t->fds[1] = SSL_get_wfd(t->ssl);
        if (t->fds[0] < 0 || t->fds[1] < 0) /* memory: the application moves the bytes */
                return TRUE;

        for (size_t i = 0; i < G_N_ELEMENTS(t->fds); i++) {
                t->fd_flags[i] = fcntl(t->fds[i], F_GETFL);
                if (t->fd_flags[i] < 0 || fstat(t->fds[i], &t->fd_stat[i]) < 0)
                        return unfit(error, ATTESTD_ERROR_TLS, "the SSL's descriptor is not open");
        }
        t->base.blocks = !(t->fd_flags[0] & O_NONBLOCK);
        for (size_t i = 0; t->base.blocks && i < G_N_ELEMENTS(t->fds); i++)
                if (fcntl(t->fds[i], F_SETFL, t->fd_flags[i] | O_NONBLOCK) < 0)
                        return unfit(error, ATTESTD_ERROR_TLS, "cannot make the SSL's descriptor non-blocking");
        return TRUE;
}

static AttTransport *tls_new(const AttestdEndpoint *endpoint, SSL *ssl, GError **error) {
        g_autoptr(GBytes) peer_key = NULL;
        AttHash hash;
        Tls *t;

        if (!make_marks(error) || !check_handshake(ssl, error) || !check_prepared(ssl, error) ||
            !get_hash(ssl, &hash, error))
                return NULL;
        if (endpoint->asks && endpoint->peer_name && !endpoint->anchors) {
                peer_key = verified_key(ssl, endpoint->peer_name, error);
                if (!peer_key)
                        return NULL;
        }
        /* Which contexts were used is known to the first: there is no second. */
        if (SSL_get_ex_data(ssl, used_index) || !SSL_set_ex_data(ssl, used_index, &used_index)) {
                unfit(error, ATTESTD_ERROR_INVALID, "the SSL has had its connection already");
                return NULL;
        }

        t = g_new0(Tls, 1);
        t->base = (AttTransport) {
                .ops = &tls_ops,
                .role = SSL_is_server(ssl) ? ATT_ROLE_SERVER : ATT_ROLE_CLIENT,
                .hash = hash,
                .peer_key = g_steal_pointer(&peer_key),
                .peer_is_verified = is_verified(ssl, endpoint->peer_name),
        };
        SSL_up_ref(ssl);
        t->ssl = ssl;
        SSL_set_mode(ssl, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
        if (!take_over_descriptors(t, error)) {
                tls_free(&t->base);
                return NULL;
        }
        return &t->base;
}

static AttTransport *connect_services(AttestdEndpoint *endpoint, SSL *ssl, AttServices **ret, GError **error) {
        AttTransport *transport;

        if (!endpoint->asks && !endpoint->sign) {
                unfit(error, ATTESTD_ERROR_INVALID, "the endpoint neither asks for evidence nor gives it");
                return NULL;
        }
        if (!endpoint->asks && endpoint->give_to == ATTESTD_GIVE_TO_ACCEPTED) {
                unfit(error, ATTESTD_ERROR_INVALID, "to give to accepted clients alone, the endpoint must ask");
                return NULL;
        }
        transport = tls_new(endpoint, ssl, error);
        if (!transport)
                return NULL;
        *ret = att_services_new(endpoint, transport, error);
        if (!*ret) {
                transport->ops->free(transport);
                return NULL;
        }
        return transport;
}

AttestdConnection *attestd_connection_new(AttestdEndpoint *endpoint, SSL *ssl, GError **error) {
        AttServices *services;
        AttTransport *transport;

        /* Claims tell of a state that may change, and there is no frame to say so. */
        if (endpoint->compat && att_profile_has_claims(endpoint->profile)) {
                unfit(error, ATTESTD_ERROR_INVALID, "compat mode takes a profile without claims: expat-pad or cocos");
                return NULL;
        }
        transport = connect_services(endpoint, ssl, &services, error);
        return transport ? att_connection_new(endpoint, transport, services) : NULL;
}

AttestdExchange *attestd_exchange_new(AttestdEndpoint *endpoint, SSL *ssl, GError **error) {
        AttServices *services;
        AttTransport *transport = connect_services(endpoint, ssl, &services, error);

        return transport ? att_exchange_new(endpoint, transport, services) : NULL;
}

/* Signing with a key that OpenSSL has. */

static bool is_pss(uint16_t scheme) {
        return scheme == ATT_SCHEME_RSA_PSS_RSAE_SHA256 || scheme == ATT_SCHEME_RSA_PSS_RSAE_SHA384 ||
               scheme == ATT_SCHEME_RSA_PSS_RSAE_SHA512;
}

static const EVP_MD *scheme_digest(uint16_t scheme) {
        switch (scheme) {
        case ATT_SCHEME_ECDSA_SECP256R1_SHA256:
        case ATT_SCHEME_RSA_PSS_RSAE_SHA256:
                return EVP_sha256();
        case ATT_SCHEME_ECDSA_SECP384R1_SHA384:
        case ATT_SCHEME_RSA_PSS_RSAE_SHA384:
                return EVP_sha384();
        case ATT_SCHEME_RSA_PSS_RSAE_SHA512:
                return EVP_sha512();
        default: /* Ed25519 has its own */
                return NULL;
        }
}

static bool sign_init(EVP_MD_CTX *ctx, guint16 scheme, EVP_PKEY *key) {
        EVP_PKEY_CTX *params = NULL;

        if (!ctx || EVP_DigestSignInit(ctx, &params, scheme_digest(scheme), NULL, key) <= 0)
                return false;
        return !is_pss(scheme) || (EVP_PKEY_CTX_set_rsa_padding(params, RSA_PKCS1_PSS_PADDING) > 0 &&
                                   EVP_PKEY_CTX_set_rsa_pss_saltlen(params, RSA_PSS_SALTLEN_DIGEST) > 0);
}

static GBytes *sign_with_key(guint16 scheme, GBytes *to_be_signed, gpointer userdata, GError **error) {
        g_autoptr(EVP_MD_CTX) ctx = EVP_MD_CTX_new();
        g_autofree uint8_t *signature = NULL;
        gsize data_size;
        const uint8_t *data = g_bytes_get_data(to_be_signed, &data_size);
        size_t size = 0;

        ERR_clear_error();
        if (sign_init(ctx, scheme, userdata) && EVP_DigestSign(ctx, NULL, &size, data, data_size) > 0) {
                signature = g_malloc(size);
                if (EVP_DigestSign(ctx, signature, &size, data, data_size) > 0)
                        return g_bytes_new(signature, size);
        }
        tls_error(error, "cannot sign");
        return NULL;
}

static void free_key(gpointer key) {
        EVP_PKEY_free(key);
}

gboolean attestd_endpoint_give_key(AttestdEndpoint *endpoint, X509 *leaf, STACK_OF(X509) *chain, EVP_PKEY *key,
                                   GError **error) {
        g_autoptr(GPtrArray) certificates = g_ptr_array_new_with_free_func((GDestroyNotify) g_bytes_unref);

        if (!leaf || !key || X509_check_private_key(leaf, key) != 1) {
                ERR_clear_error();
                return unfit(error, ATTESTD_ERROR_INVALID, "the key is not that of the certificate");
        }
        for (int i = -1; i < (chain ? sk_X509_num(chain) : 0); i++) {
                GBytes *der = x509_der(i < 0 ? leaf : sk_X509_value(chain, i));

                if (!der)
                        return tls_error(error, "cannot encode a certificate");
                g_ptr_array_add(certificates, der);
        }

        EVP_PKEY_up_ref(key);
        if (attestd_endpoint_give(endpoint, certificates, sign_with_key, key, free_key, error))
                return TRUE;
        EVP_PKEY_free(key);
        return FALSE;
}
