/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Real TLS between two ends of a socketpair, and mock services in place of the bus. */
#pragma once

#include "ends.h"

/* A server's key and leaf, for DNS:server.test and IP:192.0.2.1, issued by the test CA. */
typedef struct Leaf {
        EVP_PKEY *key;
        X509 *x509;
} Leaf;

typedef struct Tls {
        SSL_CTX *client_ctx, *server_ctx;
        SSL *client, *server;
        int client_fd, server_fd;
} Tls;

X509 *test_ca(void);
Leaf *leaf_new(const char *key_type);
void leaf_free(Leaf *leaf);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Leaf, leaf_free)

/* Contexts; with is_prepared they went through attestd_prepare(). The client knows the test CA. */
void tls_init(Tls *t, const Leaf *leaf, bool is_prepared);
/* The SSLs on a new socketpair, blocking; former ones are freed. */
void tls_connect(Tls *t);
/* Both handshakes, in this thread. Returns: did both finish? */
bool tls_handshake(Tls *t);
void tls_set_nonblocking(Tls *t);
void tls_clear(Tls *t);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Tls, tls_clear)

/* att_services_new() of these tests: automatic mocks. */
typedef struct Made {
        Mock *mock; /* the newest */
        GBytes *peer_key;
} Made;
extern Made made[2]; /* by role */
