/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "tls-pair.h"

#include <check.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

Made made[2];

/* Takes the place of the one in services.c. */
AttServices *att_services_new(AttestdEndpoint *endpoint, const AttTransport *transport, GError **error) {
        Mock *m = mock_new(transport->role, transport->hash);

        (void) endpoint, (void) error;
        m->is_automatic = true;
        made[transport->role].mock = m;
        g_clear_pointer(&made[transport->role].peer_key, g_bytes_unref);
        made[transport->role].peer_key = transport->peer_key ? g_bytes_ref(transport->peer_key) : NULL;
        return &m->base;
}

static EVP_PKEY *ca_key;

X509 *test_ca(void) {
        static X509 *ca;

        if (!ca) {
                const PkiSpec spec = { .cn = "Test CA", .extensions = { PKI_CA } };

                ca_key = pki_key("P-256");
                ca = pki_issue(&spec, ca_key, NULL, NULL);
        }
        return ca;
}

Leaf *leaf_new(const char *key_type) {
        const PkiSpec spec = {
                .cn = "server",
                .extensions = { PKI_LEAF, { "subjectAltName", "DNS:server.test,IP:192.0.2.1" } },
        };
        Leaf *leaf = g_new(Leaf, 1);
        X509 *ca = test_ca();

        leaf->key = pki_key(key_type);
        leaf->x509 = pki_issue(&spec, leaf->key, ca, ca_key);
        return leaf;
}

void leaf_free(Leaf *leaf) {
        EVP_PKEY_free(leaf->key);
        X509_free(leaf->x509);
        g_free(leaf);
}

void tls_init(Tls *t, const Leaf *leaf, bool is_prepared) {
        SSL_CTX *const ctxs[] = { SSL_CTX_new(TLS_client_method()), SSL_CTX_new(TLS_server_method()) };

        *t = (Tls) { .client_ctx = ctxs[0], .server_ctx = ctxs[1], .client_fd = -1, .server_fd = -1 };
        for (size_t i = 0; is_prepared && i < 2; i++) {
                g_autoptr(GError) error = NULL;

                ck_assert_msg(attestd_prepare(ctxs[i], &error), "%s", error ? error->message : "");
        }
        ck_assert_int_eq(X509_STORE_add_cert(SSL_CTX_get_cert_store(t->client_ctx), test_ca()), 1);
        ck_assert_int_eq(SSL_CTX_use_certificate(t->server_ctx, leaf->x509), 1);
        ck_assert_int_eq(SSL_CTX_use_PrivateKey(t->server_ctx, leaf->key), 1);
        SSL_CTX_set_verify(t->client_ctx, SSL_VERIFY_PEER, NULL);
}

static void drop(Tls *t) {
        SSL_free(t->client);
        SSL_free(t->server);
        if (t->client_fd >= 0)
                close(t->client_fd);
        if (t->server_fd >= 0)
                close(t->server_fd);
}

void tls_connect(Tls *t) {
        int fds[2];

        drop(t);
        ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
        t->client_fd = fds[0];
        t->server_fd = fds[1];
        t->client = SSL_new(t->client_ctx);
        t->server = SSL_new(t->server_ctx);
        ck_assert(SSL_set_fd(t->client, fds[0]) == 1 && SSL_set_fd(t->server, fds[1]) == 1);
        SSL_set_connect_state(t->client);
        SSL_set_accept_state(t->server);
}

static void set_nonblocking(int fd, bool yes) {
        int flags = fcntl(fd, F_GETFL);

        ck_assert_int_eq(fcntl(fd, F_SETFL, yes ? flags | O_NONBLOCK : flags & ~O_NONBLOCK), 0);
}

void tls_set_nonblocking(Tls *t) {
        set_nonblocking(t->client_fd, true);
        set_nonblocking(t->server_fd, true);
}

bool tls_handshake(Tls *t) {
        int c = 0, s = 0;

        tls_set_nonblocking(t);
        for (int i = 0; i < 20 && !(c == 1 && s == 1); i++) {
                c = SSL_do_handshake(t->client);
                s = SSL_do_handshake(t->server);
        }
        set_nonblocking(t->client_fd, false);
        set_nonblocking(t->server_fd, false);
        return c == 1 && s == 1;
}

void tls_clear(Tls *t) {
        drop(t);
        SSL_CTX_free(t->client_ctx);
        SSL_CTX_free(t->server_ctx);
}
