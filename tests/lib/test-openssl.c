/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The adapter to OpenSSL: which connections it takes, and that the exchange runs
 * on them, blocking and not, with every suite and key. */
#include "codec/claims.h"
#include "run.h"
#include "tls-pair.h"

#include <fcntl.h>
#include <openssl/err.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

static AttestdEndpoint *giving(const Leaf *leaf) {
        AttestdEndpoint *e = attestd_endpoint_new();
        g_autoptr(GError) error = NULL;

        ck_assert_msg(attestd_endpoint_give_key(e, leaf->x509, NULL, leaf->key, &error), "%s",
                      error ? error->message : "");
        attestd_endpoint_set_give_to(e, ATTESTD_GIVE_TO_ANYONE); /* if it is a server's */
        return e;
}

static AttestdEndpoint *asking(void) {
        AttestdEndpoint *e = attestd_endpoint_new();

        attestd_endpoint_ask(e, NULL);
        return e;
}

/* The exchange on a connection. */

static const struct {
        const char *suite, *key;
} kinds[] = {
        { "TLS_AES_128_GCM_SHA256", "P-256" },        { "TLS_AES_256_GCM_SHA384", "P-256" },
        { "TLS_CHACHA20_POLY1305_SHA256", "P-384" },  { "TLS_AES_256_GCM_SHA384", "P-384" },
        { "TLS_AES_128_GCM_SHA256", "ED25519" },      { "TLS_AES_256_GCM_SHA384", "ED25519" },
        { "TLS_AES_128_GCM_SHA256", "RSA-2048" },     { "TLS_AES_256_GCM_SHA384", "RSA-2048" },
};

static void connect_kind(Tls *t, const Leaf *leaf, int kind) {
        tls_init(t, leaf, true);
        ck_assert_int_eq(SSL_CTX_set_ciphersuites(t->client_ctx, kinds[kind].suite), 1);
        tls_connect(t);
        ck_assert(tls_handshake(t));
        ck_assert_str_eq(SSL_get_cipher_name(t->client), kinds[kind].suite);
}

/* A blocking end in a thread of its own: echoes until the peer ends. */
static gpointer echo(gpointer data) {
        AttestdConnection *c = data;
        g_autoptr(GError) error = NULL;
        AttestdStatus status;
        char buffer[5000];
        gsize n;

        while ((status = attestd_connection_read(c, buffer, sizeof buffer, &n, NULL, &error)) == ATTESTD_DONE)
                if (attestd_connection_write(c, buffer, n, &n, &error) != ATTESTD_DONE)
                        return g_strdup(error->message);
        if (status == ATTESTD_END && attestd_connection_end(c, &error) == ATTESTD_DONE)
                return g_strdup("ended");
        return g_strdup(error ? error->message : "?");
}

static void is_done(AttestdStatus status, const GError *error) {
        ck_assert_msg(status == ATTESTD_DONE, "%d: %s", (int) status, error ? error->message : "");
}

static void ask_and_answer(AttestdConnection *c, gsize size) {
        g_autofree char *data = g_malloc(size), *back = g_malloc(size);
        g_autoptr(GError) error = NULL;
        gsize n;

        memset(data, 'q', size);
        is_done(attestd_connection_write(c, data, size, &n, &error), error);
        ck_assert_uint_eq(n, size);
        for (gsize at = 0; at < size; at += n)
                is_done(attestd_connection_read(c, back + at, size - at, &n, NULL, &error), error);
        ck_assert_mem_eq(data, back, size);
}

START_TEST(exchanges_blocking) {
        g_autoptr(Leaf) leaf = leaf_new(kinds[_i].key);
        g_autoptr(AttestdEndpoint) asks = asking(), gives = giving(leaf);
        g_autoptr(AttestdConnection) client = NULL, server = NULL;
        g_autoptr(GError) error = NULL;
        g_autofree char *end = NULL;
        g_auto(Tls) t = { 0 };
        GThread *thread;
        char byte;
        gsize n;

        connect_kind(&t, leaf, _i);
        client = attestd_connection_new(asks, t.client, &error);
        ck_assert_msg(client != NULL, "%s", error ? error->message : "");
        server = attestd_connection_new(gives, t.server, &error);
        ck_assert_msg(server != NULL, "%s", error ? error->message : "");
        thread = g_thread_new("echo", echo, server);

        is_done(attestd_connection_open(client, &error), error);
        ck_assert(attestd_connection_is_open(client));
        ask_and_answer(client, 1);
        ask_and_answer(client, 50000);
        is_done(attestd_connection_renew(client, &error), error);
        ck_assert_uint_eq(made[ATT_ROLE_CLIENT].mock->n_judged, 2);
        /* A change wakes the server from its read. */
        mock_change(made[ATT_ROLE_SERVER].mock);
        while (made[ATT_ROLE_CLIENT].mock->n_judged < 3)
                ask_and_answer(client, 1);
        is_done(attestd_connection_end(client, &error), error);
        ck_assert_int_eq(attestd_connection_read(client, &byte, 1, &n, NULL, &error), ATTESTD_END);
        end = g_thread_join(thread);
        ck_assert_str_eq(end, "ended");
}
END_TEST

typedef AttestdStatus Step(AttestdConnection *c, GError **error);

/* Both in one thread, until our call is done. */
static void both(AttestdConnection *us, AttestdConnection *them, Step *call) {
        g_autoptr(GError) error = NULL;
        AttestdStatus status;
        int turns = 0;

        while ((status = call(us, &error)) != ATTESTD_DONE) {
                ck_assert_msg(status != ATTESTD_FAILED, "%s", error ? error->message : "");
                ck_assert_int_ne(attestd_connection_open(them, &error), ATTESTD_FAILED);
                ck_assert_int_lt(++turns, 1000);
        }
}

START_TEST(exchanges_non_blocking) {
        g_autoptr(Leaf) leaf = leaf_new(kinds[_i].key);
        g_autoptr(AttestdEndpoint) asks = asking(), gives = giving(leaf);
        g_autoptr(AttestdConnection) client = NULL, server = NULL;
        g_autofree char *data = g_malloc0(1 << 20), *back = g_malloc(1 << 20);
        g_auto(Tls) t = { 0 };
        gsize sent = 0, got = 0, n;
        bool wanted = false;

        connect_kind(&t, leaf, _i);
        tls_set_nonblocking(&t);
        client = attestd_connection_new(asks, t.client, NULL);
        server = attestd_connection_new(gives, t.server, NULL);
        ck_assert(client && server);
        both(client, server, attestd_connection_open);
        both(server, client, attestd_connection_open);

        /* More than the socket holds. */
        for (gsize i = 0; i < 1 << 20; i++)
                data[i] = (char) (i % 251);
        while (got < 1 << 20) {
                AttestdStatus status = ATTESTD_DONE;

                while (sent < 1 << 20 && status == ATTESTD_DONE) {
                        status = attestd_connection_write(server, data + sent, (1 << 20) - sent, &n, NULL);
                        sent += n;
                }
                ck_assert_int_ne(status, ATTESTD_FAILED);
                wanted = wanted || status == ATTESTD_WANT_WRITE;
                while ((status = attestd_connection_read(client, back + got, (1 << 20) - got, &n, NULL, NULL)) ==
                               ATTESTD_DONE &&
                       got + n < 1 << 20)
                        got += n;
                got += n;
                ck_assert_int_ne(status, ATTESTD_FAILED);
        }
        ck_assert(wanted);
        ck_assert_mem_eq(data, back, 1 << 20);

        /* What another call found on the transport waits to be read. */
        ck_assert_uint_eq(attestd_connection_pending(client), 0);
        for (gsize i = 0; i < 2; i++)
                ck_assert_int_eq(attestd_connection_write(server, data + 5 * i, 5, &n, NULL), ATTESTD_DONE);
        ck_assert_int_eq(attestd_connection_open(client, NULL), ATTESTD_DONE);
        ck_assert_uint_eq(attestd_connection_pending(client), 10);
        ck_assert_int_eq(attestd_connection_read(client, back, 7, &n, NULL, NULL), ATTESTD_DONE);
        ck_assert_uint_eq(n, 7);
        ck_assert_uint_eq(attestd_connection_pending(client), 3);
        ck_assert_int_eq(attestd_connection_read(client, back + 7, 7, &n, NULL, NULL), ATTESTD_DONE);
        ck_assert_mem_eq(data, back, 10);
        ck_assert_uint_eq(attestd_connection_pending(client), 0);

        mock_change(made[ATT_ROLE_SERVER].mock);
        ck_assert_int_ne(attestd_connection_open(server, NULL), ATTESTD_FAILED);
        ck_assert(!attestd_connection_is_open(server));
        both(server, client, attestd_connection_open);
        both(client, server, attestd_connection_renew);
        both(client, server, attestd_connection_end);
        ck_assert_int_eq(attestd_connection_read(server, back, 1, &n, NULL, NULL), ATTESTD_END);
}
END_TEST

static void in_compat_mode(AttestdEndpoint *e) {
        attestd_endpoint_set_compat(e, TRUE);
        attestd_endpoint_set_profile(e, ATT_PROFILE_COCOS);
}

START_TEST(exchanges_in_compat_mode) {
        g_autoptr(Leaf) leaf = leaf_new(kinds[_i].key);
        g_autoptr(AttestdEndpoint) asks = asking(), gives = giving(leaf);
        g_autoptr(AttestdConnection) client = NULL, server = NULL;
        g_autoptr(GError) error = NULL;
        g_autofree char *end = NULL;
        g_auto(Tls) t = { 0 };
        GThread *thread;
        char byte;
        gsize n;

        in_compat_mode(asks);
        in_compat_mode(gives);
        connect_kind(&t, leaf, _i);
        client = attestd_connection_new(asks, t.client, NULL);
        server = attestd_connection_new(gives, t.server, NULL);
        ck_assert(client && server);
        thread = g_thread_new("echo", echo, server);
        is_done(attestd_connection_open(client, &error), error);
        ask_and_answer(client, 1);
        ask_and_answer(client, 50000);
        is_done(attestd_connection_end(client, &error), error);
        ck_assert_int_eq(attestd_connection_read(client, &byte, 1, &n, NULL, &error), ATTESTD_END);
        end = g_thread_join(thread);
        ck_assert_str_eq(end, "ended");
}
END_TEST

/* With claims there would be a state that nobody tells of. */
START_TEST(compat_mode_takes_a_profile_without_claims) {
        g_autoptr(Leaf) leaf = leaf_new("P-256");
        g_autoptr(AttestdEndpoint) asks = asking(), other = asking();
        g_autoptr(AttestdConnection) client = NULL;
        g_autoptr(GError) error = NULL;
        g_auto(Tls) t = { 0 };

        attestd_endpoint_set_compat(asks, TRUE);
        in_compat_mode(other);
        connect_kind(&t, leaf, 0);
        ck_assert_ptr_null(attestd_connection_new(asks, t.client, &error));
        ck_assert(g_error_matches(error, ATTESTD_ERROR, ATTESTD_ERROR_INVALID));
        client = attestd_connection_new(other, t.client, NULL);
        ck_assert_ptr_nonnull(client);
}
END_TEST

START_TEST(gives_the_descriptor_back_as_it_was) {
        g_autoptr(Leaf) leaf = leaf_new("P-256");
        g_autoptr(AttestdEndpoint) asks = asking();
        g_auto(Tls) t = { 0 };

        tls_init(&t, leaf, true);
        tls_connect(&t);
        ck_assert(tls_handshake(&t));
        {
                g_autoptr(AttestdConnection) client = attestd_connection_new(asks, t.client, NULL);

                ck_assert(client && (fcntl(t.client_fd, F_GETFL) & O_NONBLOCK));
        }
        ck_assert(!(fcntl(t.client_fd, F_GETFL) & O_NONBLOCK));
}
END_TEST

/* It was closed, and its number is another file's: of a thread that knows nothing of us. */
START_TEST(leaves_the_descriptor_of_another_file_alone) {
        g_autoptr(Leaf) leaf = leaf_new("P-256");
        g_autoptr(AttestdEndpoint) asks = asking();
        g_auto(Tls) t = { 0 };
        int other[2];

        tls_init(&t, leaf, true);
        tls_connect(&t);
        ck_assert(tls_handshake(&t));
        ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, other), 0);
        {
                g_autoptr(AttestdConnection) client = attestd_connection_new(asks, t.client, NULL);

                ck_assert(client != NULL);
                ck_assert_int_eq(dup2(other[0], t.client_fd), t.client_fd);
        }
        ck_assert(fcntl(t.client_fd, F_GETFL) & O_NONBLOCK);
        close(other[0]);
        close(other[1]);
}
END_TEST

/* No descriptor at all: the application moves the bytes. */
START_TEST(works_over_memory) {
        g_autoptr(Leaf) leaf = leaf_new("P-256");
        g_autoptr(AttestdEndpoint) asks = asking(), gives = giving(leaf);
        g_autoptr(AttestdConnection) client = NULL, server = NULL;
        g_auto(Tls) t = { 0 };
        BIO *a, *b;

        tls_init(&t, leaf, true);
        tls_connect(&t);
        ck_assert_int_eq(BIO_new_bio_pair(&a, 0, &b, 0), 1);
        SSL_set_bio(t.client, a, a);
        SSL_set_bio(t.server, b, b);
        for (int i = 0; i < 10; i++) {
                (void) SSL_do_handshake(t.client);
                (void) SSL_do_handshake(t.server);
        }
        client = attestd_connection_new(asks, t.client, NULL);
        server = attestd_connection_new(gives, t.server, NULL);
        ck_assert(client && server);
        ck_assert_int_ne(attestd_connection_open(client, NULL), ATTESTD_FAILED);
        both(client, server, attestd_connection_open);
}
END_TEST

/* A silent peer costs a blocking call its time limit, and no more. */
START_TEST(a_blocking_call_keeps_its_time_limit) {
        g_autoptr(Leaf) leaf = leaf_new("P-256");
        g_autoptr(AttestdEndpoint) asks = asking();
        g_autoptr(AttestdConnection) client = NULL;
        g_autoptr(GError) error = NULL;
        g_auto(Tls) t = { 0 };

        attestd_endpoint_set_timeout(asks, 50);
        tls_init(&t, leaf, true);
        tls_connect(&t);
        ck_assert(tls_handshake(&t));
        client = attestd_connection_new(asks, t.client, NULL);
        ck_assert_int_eq(attestd_connection_open(client, &error), ATTESTD_FAILED);
        ck_assert(g_error_matches(error, ATTESTD_ERROR, ATTESTD_ERROR_TIMED_OUT));
}
END_TEST

/* The transport ends: without close_notify, with it but without "end", as it should. */
START_TEST(tells_the_ends_of_a_stream_apart) {
        g_autoptr(Leaf) leaf = leaf_new("P-256");
        g_autoptr(AttestdEndpoint) asks = asking(), gives = giving(leaf);
        g_autoptr(AttestdConnection) client = NULL, server = NULL;
        g_autoptr(GError) error = NULL;
        g_auto(Tls) t = { 0 };
        AttestdStatus status;
        char byte;
        gsize n;

        tls_init(&t, leaf, true);
        tls_connect(&t);
        ck_assert(tls_handshake(&t));
        tls_set_nonblocking(&t);
        client = attestd_connection_new(asks, t.client, NULL);
        server = attestd_connection_new(gives, t.server, NULL);
        both(client, server, attestd_connection_open);
        both(server, client, attestd_connection_open);
        if (_i == 0)
                ck_assert_int_eq(shutdown(t.server_fd, SHUT_WR), 0);
        else if (_i == 1)
                ck_assert_int_ge(SSL_shutdown(t.server), 0);
        else
                ck_assert_int_eq(attestd_connection_end(server, NULL), ATTESTD_DONE);

        status = attestd_connection_read(client, &byte, 1, &n, NULL, &error);
        if (_i == 2) {
                ck_assert_int_eq(status, ATTESTD_END);
        } else {
                ck_assert_int_eq(status, ATTESTD_FAILED);
                ck_assert(g_error_matches(error, ATTESTD_ERROR, ATTESTD_ERROR_CLOSED));
        }
}
END_TEST

/* The peer refuses and is gone while we write: its reason is not lost. */
START_TEST(hears_the_reason_of_a_peer_that_is_gone) {
        g_autoptr(Leaf) leaf = leaf_new("P-256");
        g_autoptr(AttestdEndpoint) asks = asking(), gives = giving(leaf);
        g_autoptr(AttestdConnection) client = NULL, server = NULL;
        g_autofree char *data = g_malloc0(1 << 16);
        g_autoptr(GError) error = NULL;
        g_auto(Tls) t = { 0 };
        AttestdStatus status = ATTESTD_DONE;
        gsize n;

        (void) signal(SIGPIPE, SIG_IGN);
        tls_init(&t, leaf, true);
        tls_connect(&t);
        ck_assert(tls_handshake(&t));
        tls_set_nonblocking(&t);
        client = attestd_connection_new(asks, t.client, NULL);
        server = attestd_connection_new(gives, t.server, NULL);
        both(client, server, attestd_connection_open);
        both(server, client, attestd_connection_open);

        made[ATT_ROLE_CLIENT].mock->refuses = "evidence-policy: not any more";
        while (attestd_connection_renew(client, NULL) != ATTESTD_FAILED)
                ck_assert_int_ne(attestd_connection_open(server, NULL), ATTESTD_FAILED);
        ck_assert_int_eq(shutdown(t.client_fd, SHUT_RDWR), 0);
        while (status == ATTESTD_DONE)
                status = attestd_connection_write(server, data, 1 << 16, &n, &error);
        ck_assert_int_eq(status, ATTESTD_FAILED);
        ck_assert_msg(g_error_matches(error, ATTESTD_ERROR, ATTESTD_ERROR_REFUSED_BY_PEER), "%s", error->message);
        ck_assert_ptr_nonnull(strstr(error->message, "not any more"));
}
END_TEST

/* The bare API. */

START_TEST(bare_requests_and_authenticators) {
        g_autoptr(Leaf) leaf = leaf_new(kinds[_i].key);
        g_autoptr(AttestdEndpoint) asks = asking(), gives = giving(leaf);
        g_autoptr(AttestdExchange) client = NULL, server = NULL;
        g_autoptr(GBytes) request = NULL, again = NULL, authenticator = NULL, refusal = NULL;
        g_autofree char *result = NULL, *refused = NULL;
        g_autoptr(GError) error = NULL;
        g_auto(Tls) t = { 0 };

        connect_kind(&t, leaf, _i);
        client = attestd_exchange_new(asks, t.client, NULL);
        server = attestd_exchange_new(gives, t.server, NULL);
        ck_assert(client && server);
        is_done(attestd_exchange_request(client, &request, &error), error);
        is_done(attestd_exchange_answer(server, request, &authenticator, &error), error);
        is_done(attestd_exchange_validate(client, authenticator, &result, &error), error);
        ck_assert_str_eq(result, "{\"accepted\":true}");

        /* An answer counts once, and a context is answered once. */
        ck_assert_int_eq(attestd_exchange_validate(client, authenticator, NULL, &error), ATTESTD_FAILED);
        ck_assert(g_error_matches(error, ATTESTD_ERROR, ATTESTD_ERROR_INVALID));
        g_clear_error(&error);
        ck_assert_int_eq(attestd_exchange_answer(server, request, &refusal, &error), ATTESTD_FAILED);
        ck_assert(g_error_matches(error, ATTESTD_ERROR, ATTESTD_ERROR_PROTOCOL));
        g_clear_error(&error);

        /* Stale until the next answer. */
        ck_assert(!attestd_exchange_is_stale(server));
        mock_change(made[ATT_ROLE_SERVER].mock);
        attestd_exchange_wait(server);
        ck_assert(attestd_exchange_is_stale(server));
        is_done(attestd_exchange_request(client, &again, &error), error);
        g_clear_pointer(&authenticator, g_bytes_unref);
        is_done(attestd_exchange_answer(server, again, &authenticator, &error), error);
        ck_assert(!attestd_exchange_is_stale(server));
        made[ATT_ROLE_CLIENT].mock->refuses = "evidence-policy: no";
        ck_assert_int_eq(attestd_exchange_validate(client, authenticator, &refused, &error), ATTESTD_FAILED);
        ck_assert(g_error_matches(error, ATTESTD_ERROR, ATTESTD_ERROR_REFUSED));
        ck_assert_str_eq(error->message, "evidence-policy: no");
        ck_assert_str_eq(refused, "{\"accepted\":false}");
}
END_TEST

/* _i: the service fails, then declined; declined at once; nothing to give. */
START_TEST(a_request_can_be_declined) {
        g_autoptr(Leaf) leaf = leaf_new("P-256");
        g_autoptr(AttestdEndpoint) asks = asking(), gives = _i == 2 ? asking() : giving(leaf);
        g_autoptr(AttestdExchange) client = NULL, server = NULL;
        g_autoptr(GBytes) request = NULL, authenticator = NULL;
        g_autoptr(GError) error = NULL;
        g_auto(Tls) t = { 0 };

        connect_kind(&t, leaf, 0);
        client = attestd_exchange_new(asks, t.client, NULL);
        server = attestd_exchange_new(gives, t.server, NULL);
        is_done(attestd_exchange_request(client, &request, &error), error);
        if (_i != 1) {
                mock_fail_next(made[ATT_ROLE_SERVER].mock, ATT_EVENT_EVIDENCE, "attestd: no TEE");
                ck_assert_int_eq(attestd_exchange_answer(server, request, &authenticator, &error), ATTESTD_FAILED);
                ck_assert_ptr_null(authenticator);
                ck_assert_str_eq(error->message, _i == 0 ? "attestd: no TEE" : "this end gives no evidence");
                g_clear_error(&error);
        }
        is_done(attestd_exchange_decline(server, request, &authenticator, &error), error);
        ck_assert_int_eq(attestd_exchange_validate(client, authenticator, NULL, &error), ATTESTD_FAILED);
        ck_assert(g_error_matches(error, ATTESTD_ERROR, ATTESTD_ERROR_REFUSED));
        ck_assert_ptr_nonnull(strstr(error->message, "empty-authenticator"));
}
END_TEST

/* A server that asks as well: not before its own verdict, unless so configured. */
START_TEST(a_bare_server_that_asks_answers_last) {
        g_autoptr(Leaf) leaf = leaf_new("P-256");
        g_autoptr(AttestdEndpoint) us = giving(leaf), them = giving(leaf);
        g_autoptr(AttestdExchange) client = NULL, server = NULL;
        g_autoptr(GBytes) request = NULL, ours = NULL, theirs = NULL, authenticator = NULL;
        g_autoptr(GError) error = NULL;
        g_auto(Tls) t = { 0 };

        connect_kind(&t, leaf, 0);
        attestd_endpoint_ask(us, NULL);
        attestd_endpoint_ask(them, NULL);
        attestd_endpoint_set_give_to(us, _i == 1 ? ATTESTD_GIVE_TO_ANYONE : ATTESTD_GIVE_TO_AUTHENTICATED);
        client = attestd_exchange_new(them, t.client, NULL);
        server = attestd_exchange_new(us, t.server, NULL);
        is_done(attestd_exchange_request(client, &request, &error), error);
        if (_i == 0) {
                ck_assert_int_eq(attestd_exchange_answer(server, request, &authenticator, &error), ATTESTD_FAILED);
                ck_assert(g_error_matches(error, ATTESTD_ERROR, ATTESTD_ERROR_INVALID));
                g_clear_error(&error);
                ck_assert_uint_eq(made[ATT_ROLE_SERVER].mock->n_attested, 0);

                is_done(attestd_exchange_request(server, &ours, &error), error);
                is_done(attestd_exchange_answer(client, ours, &theirs, &error), error);
                is_done(attestd_exchange_validate(server, theirs, NULL, &error), error);
        }
        is_done(attestd_exchange_answer(server, request, &authenticator, &error), error);
        is_done(attestd_exchange_validate(client, authenticator, NULL, &error), error);
}
END_TEST

START_TEST(bare_calls_wait_for_their_service) {
        g_autoptr(Leaf) leaf = leaf_new("P-256");
        g_autoptr(AttestdEndpoint) asks = asking(), gives = giving(leaf);
        g_autoptr(AttestdExchange) client = NULL, server = NULL;
        g_autoptr(GBytes) request = NULL, other = g_bytes_new("other", 5), authenticator = NULL;
        g_autoptr(GError) error = NULL;
        g_auto(Tls) t = { 0 };

        connect_kind(&t, leaf, 0);
        client = attestd_exchange_new(asks, t.client, NULL);
        server = attestd_exchange_new(gives, t.server, NULL);
        made[ATT_ROLE_CLIENT].mock->is_automatic = made[ATT_ROLE_SERVER].mock->is_automatic = false;
        ck_assert_int_eq(attestd_exchange_request(client, &request, &error), ATTESTD_WANT_SERVICE);
        ck_assert_int_eq(attestd_exchange_request(client, &request, &error), ATTESTD_WANT_SERVICE);
        mock_answer(made[ATT_ROLE_CLIENT].mock, ATT_EVENT_REQUEST);
        attestd_exchange_wait(client);
        is_done(attestd_exchange_request(client, &request, &error), error);

        ck_assert_int_eq(attestd_exchange_answer(server, request, &authenticator, &error), ATTESTD_WANT_SERVICE);
        ck_assert_int_eq(attestd_exchange_answer(server, other, &authenticator, &error), ATTESTD_FAILED);
        ck_assert(g_error_matches(error, ATTESTD_ERROR, ATTESTD_ERROR_INVALID));
        g_clear_error(&error);
        mock_answer(made[ATT_ROLE_SERVER].mock, ATT_EVENT_EVIDENCE);
        is_done(attestd_exchange_answer(server, request, &authenticator, &error), error);
        ck_assert_int_eq(attestd_exchange_validate(client, authenticator, NULL, &error), ATTESTD_WANT_SERVICE);
        ck_assert_int_eq(attestd_exchange_request(client, &other, &error), ATTESTD_FAILED);
        g_clear_error(&error);
        mock_answer(made[ATT_ROLE_CLIENT].mock, ATT_EVENT_VERDICT);
        is_done(attestd_exchange_validate(client, authenticator, NULL, &error), error);
}
END_TEST

/* Conditions on the connection. */

static void refuses(SSL *ssl, AttestdError code, const char *part) {
        g_autoptr(AttestdEndpoint) asks = asking();
        g_autoptr(GError) error = NULL, exchange_error = NULL;

        ck_assert_ptr_null(attestd_connection_new(asks, ssl, &error));
        ck_assert_msg(g_error_matches(error, ATTESTD_ERROR, (gint) code) && strstr(error->message, part), "%d: %s",
                      error->code, error->message);
        ck_assert_ptr_null(attestd_exchange_new(asks, ssl, &exchange_error));
        ck_assert_str_eq(exchange_error->message, error->message);
}

static void takes(SSL *ssl) {
        g_autoptr(AttestdEndpoint) asks = asking();
        g_autoptr(GError) error = NULL;
        g_autoptr(AttestdConnection) c = attestd_connection_new(asks, ssl, &error);

        ck_assert_msg(c != NULL, "%s", error ? error->message : "");
}

/* The good twin of all that follows. */
static void takes_a_good_one(const Leaf *leaf) {
        g_auto(Tls) t = { 0 };

        tls_init(&t, leaf, true);
        tls_connect(&t);
        ck_assert(tls_handshake(&t));
        takes(t.client);
        takes(t.server);
}

/* SC-06a and b: TLS 1.2, without and with a weakened master secret. */
static void connect_tls12(Tls *t, const Leaf *leaf, bool without_ems) {
        tls_init(t, leaf, true);
        tls_connect(t);
        ck_assert(SSL_set_min_proto_version(t->client, TLS1_2_VERSION));
        ck_assert(SSL_set_min_proto_version(t->server, TLS1_2_VERSION));
        ck_assert(SSL_set_max_proto_version(t->server, TLS1_2_VERSION));
        if (without_ems)
                SSL_set_options(t->client, SSL_OP_NO_EXTENDED_MASTER_SECRET);
        ck_assert(tls_handshake(t));
        ck_assert_int_eq(SSL_version(t->client), TLS1_2_VERSION);
        ck_assert_int_eq(SSL_get_extms_support(t->client), !without_ems);
}

static void refuses_tls12(bool without_ems) {
        g_autoptr(Leaf) leaf = leaf_new("P-256");
        g_auto(Tls) t = { 0 };

        connect_tls12(&t, leaf, without_ems);
        refuses(t.client, ATTESTD_ERROR_CONNECTION, "not-tls13");
        refuses(t.server, ATTESTD_ERROR_CONNECTION, "not-tls13");
        takes_a_good_one(leaf);
}

START_TEST(sc06a_tls12_is_refused) {
        refuses_tls12(false);
}
END_TEST

START_TEST(sc06a_a_prepared_context_does_not_speak_tls12) {
        g_autoptr(Leaf) leaf = leaf_new("P-256");
        g_auto(Tls) t = { 0 };

        tls_init(&t, leaf, true);
        tls_connect(&t);
        ck_assert(SSL_set_min_proto_version(t.client, TLS1_2_VERSION));
        ck_assert(SSL_set_max_proto_version(t.client, TLS1_2_VERSION));
        ck_assert(!tls_handshake(&t));
        takes_a_good_one(leaf);
}
END_TEST

START_TEST(sc06b_no_extended_master_secret_is_refused) {
        refuses_tls12(true);
}
END_TEST

START_TEST(sc06d_an_unfinished_handshake_is_refused) {
        g_autoptr(Leaf) leaf = leaf_new("P-256");
        g_auto(Tls) t = { 0 };

        tls_init(&t, leaf, true);
        tls_connect(&t);
        refuses(t.client, ATTESTD_ERROR_CONNECTION, "not finished");
        /* The client is done, the server has not seen its Finished. */
        tls_set_nonblocking(&t);
        (void) SSL_do_handshake(t.client);
        (void) SSL_do_handshake(t.server);
        ck_assert_int_eq(SSL_do_handshake(t.client), 1);
        refuses(t.server, ATTESTD_ERROR_CONNECTION, "not finished");
        takes(t.client);
        ck_assert_int_eq(SSL_do_handshake(t.server), 1);
        takes(t.server);
}
END_TEST

static guint n_sessions;

static int count_session(SSL *ssl, SSL_SESSION *session) {
        (void) ssl, (void) session;
        n_sessions++;
        return 0;
}

/* A server that was not prepared sends tickets: nobody gets to see them. */
START_TEST(sc11a_a_new_session_ticket_is_discarded) {
        g_autoptr(Leaf) leaf = leaf_new("P-256");
        bool is_prepared = _i == 0;
        g_auto(Tls) t = { 0 };
        char byte;

        tls_init(&t, leaf, false);
        SSL_CTX_set_session_cache_mode(t.client_ctx, SSL_SESS_CACHE_CLIENT);
        SSL_CTX_sess_set_new_cb(t.client_ctx, count_session);
        n_sessions = 0;
        if (is_prepared)
                ck_assert(attestd_prepare(t.client_ctx, NULL));
        tls_connect(&t);
        ck_assert(tls_handshake(&t));
        ck_assert_uint_gt(SSL_get_num_tickets(t.server), 0);
        tls_set_nonblocking(&t);
        ck_assert_int_eq(SSL_write(t.server, "x", 1), 1);
        ck_assert_int_eq(SSL_read(t.client, &byte, 1), 1); /* and the tickets before it */
        if (is_prepared) {
                ck_assert_uint_eq(n_sessions, 0);
                ck_assert_int_eq(SSL_CTX_sess_number(t.client_ctx), 0);
        } else {
                ck_assert_uint_gt(n_sessions, 0);
        }
}
END_TEST

START_TEST(sc11a_a_prepared_server_sends_no_ticket) {
        g_autoptr(Leaf) leaf = leaf_new("P-256");
        g_auto(Tls) t = { 0 };
        char byte;

        tls_init(&t, leaf, false);
        SSL_CTX_set_session_cache_mode(t.client_ctx, SSL_SESS_CACHE_CLIENT);
        SSL_CTX_sess_set_new_cb(t.client_ctx, count_session);
        n_sessions = 0;
        ck_assert(attestd_prepare(t.server_ctx, NULL));
        tls_connect(&t);
        ck_assert(tls_handshake(&t));
        tls_set_nonblocking(&t);
        ck_assert_int_eq(SSL_write(t.server, "x", 1), 1);
        ck_assert_int_eq(SSL_read(t.client, &byte, 1), 1);
        ck_assert_uint_eq(n_sessions, 0);
}
END_TEST

/* A connection with a ticket of the one before; for early data, if the server takes them. */
static void connect_resumed(Tls *t, const Leaf *leaf, bool early) {
        SSL_SESSION *session;
        char byte;

        tls_init(t, leaf, false);
        if (early)
                ck_assert(SSL_CTX_set_max_early_data(t->server_ctx, 1000));
        tls_connect(t);
        ck_assert(tls_handshake(t));
        ck_assert_int_eq(SSL_write(t->server, "x", 1), 1);
        ck_assert_int_eq(SSL_read(t->client, &byte, 1), 1);
        session = SSL_get1_session(t->client);
        ck_assert(SSL_SESSION_is_resumable(session));
        /* Else it would not be taken up. */
        (void) SSL_shutdown(t->client);
        (void) SSL_shutdown(t->server);
        tls_connect(t);
        ck_assert_int_eq(SSL_set_session(t->client, session), 1);
        SSL_SESSION_free(session);
}

START_TEST(sc11b_a_resumed_connection_is_refused) {
        g_autoptr(Leaf) leaf = leaf_new("P-256");
        g_auto(Tls) t = { 0 };

        connect_resumed(&t, leaf, false);
        ck_assert(tls_handshake(&t));
        ck_assert(SSL_session_reused(t.client) && SSL_session_reused(t.server));
        refuses(t.client, ATTESTD_ERROR_CONNECTION, "resumed-session");
        refuses(t.server, ATTESTD_ERROR_CONNECTION, "resumed-session");
        takes_a_good_one(leaf);
}
END_TEST

/* A prepared server does not take up what it, unprepared, once gave. */
START_TEST(sc11b_a_prepared_server_does_not_resume) {
        g_autoptr(Leaf) leaf = leaf_new("P-256");
        g_auto(Tls) t = { 0 };

        connect_resumed(&t, leaf, false);
        SSL_free(t.server);
        ck_assert(attestd_prepare(t.server_ctx, NULL));
        t.server = SSL_new(t.server_ctx);
        ck_assert_int_eq(SSL_set_fd(t.server, t.server_fd), 1);
        SSL_set_accept_state(t.server);
        ck_assert(tls_handshake(&t));
        ck_assert(!SSL_session_reused(t.server));
        takes(t.server);
}
END_TEST

/* A server that takes no early data, after one that did. */
static void replace_server(Tls *t, const Leaf *leaf, bool is_prepared) {
        Tls other;

        tls_init(&other, leaf, is_prepared);
        SSL_free(t->server);
        t->server = SSL_new(other.server_ctx);
        ck_assert_int_eq(SSL_set_fd(t->server, t->server_fd), 1);
        SSL_set_accept_state(t->server);
        tls_clear(&other);
}

/* _i: taken, and so with a resumption; rejected, and so after a full handshake;
 * sent to a prepared server, which does not even go on. */
START_TEST(sc11c_early_data_is_refused) {
        g_autoptr(Leaf) leaf = leaf_new("P-256");
        g_auto(Tls) t = { 0 };
        char data[5];
        size_t n;

        connect_resumed(&t, leaf, true);
        if (_i > 0)
                replace_server(&t, leaf, _i == 2);
        tls_set_nonblocking(&t);
        ck_assert_int_eq(SSL_write_early_data(t.client, "early", 5, &n), 1);
        if (_i == 0) {
                ck_assert_int_eq(SSL_read_early_data(t.server, data, sizeof data, &n), SSL_READ_EARLY_DATA_SUCCESS);
                ck_assert_int_eq(SSL_do_handshake(t.client), 1);
                ck_assert_int_eq(SSL_read_early_data(t.server, data, sizeof data, &n), SSL_READ_EARLY_DATA_FINISH);
        }
        ck_assert_int_eq(tls_handshake(&t), _i < 2);
        if (_i == 0) {
                ck_assert_int_eq(SSL_get_early_data_status(t.server), SSL_EARLY_DATA_ACCEPTED);
                refuses(t.client, ATTESTD_ERROR_CONNECTION, "resumed-session");
                refuses(t.server, ATTESTD_ERROR_CONNECTION, "resumed-session");
        } else if (_i == 1) {
                ck_assert_int_eq(SSL_get_early_data_status(t.client), SSL_EARLY_DATA_REJECTED);
                refuses(t.client, ATTESTD_ERROR_CONNECTION, "early-data");
                refuses(t.server, ATTESTD_ERROR_CONNECTION, "early-data");
        }
        takes_a_good_one(leaf);
}
END_TEST

static const unsigned char psk[] = "0123456789abcdef0123456789abcdef";

static SSL_SESSION *psk_session(SSL *ssl) {
        SSL_SESSION *session = SSL_SESSION_new();

        ck_assert(SSL_SESSION_set1_master_key(session, psk, 32) &&
                  SSL_SESSION_set_protocol_version(session, TLS1_3_VERSION) &&
                  SSL_SESSION_set_cipher(session, SSL_CIPHER_find(ssl, (const unsigned char *) "\x13\x01")));
        return session;
}

static int use_psk(SSL *ssl, const EVP_MD *md, const unsigned char **id, size_t *size, SSL_SESSION **session) {
        (void) md;
        *id = (const unsigned char *) "id";
        *size = 2;
        *session = psk_session(ssl);
        return 1;
}

static int find_psk(SSL *ssl, const unsigned char *id, size_t size, SSL_SESSION **session) {
        *session = size == 2 && memcmp(id, "id", 2) == 0 ? psk_session(ssl) : NULL;
        return 1;
}

START_TEST(sc11b_an_external_psk_is_refused) {
        g_autoptr(Leaf) leaf = leaf_new("P-256");
        g_auto(Tls) t = { 0 };

        tls_init(&t, leaf, true);
        SSL_CTX_set_psk_use_session_callback(t.client_ctx, use_psk);
        SSL_CTX_set_psk_find_session_callback(t.server_ctx, find_psk);
        ck_assert_int_eq(SSL_CTX_set_ciphersuites(t.client_ctx, "TLS_AES_128_GCM_SHA256"), 1);
        tls_connect(&t);
        ck_assert(tls_handshake(&t));
        refuses(t.client, ATTESTD_ERROR_CONNECTION, "pre-shared key");
        refuses(t.server, ATTESTD_ERROR_CONNECTION, "pre-shared key");

        /* Preparing clears it. */
        ck_assert(attestd_prepare(t.client_ctx, NULL) && attestd_prepare(t.server_ctx, NULL));
        tls_connect(&t);
        ck_assert(tls_handshake(&t));
        takes(t.client);
        takes(t.server);
}
END_TEST

START_TEST(an_unprepared_connection_is_refused) {
        g_autoptr(Leaf) leaf = leaf_new("P-256");
        g_auto(Tls) t = { 0 };

        tls_init(&t, leaf, false);
        ck_assert(SSL_CTX_set_num_tickets(t.server_ctx, 0));
        tls_connect(&t);
        ck_assert(tls_handshake(&t));
        refuses(t.client, ATTESTD_ERROR_UNPREPARED, "attestd_prepare()");
        refuses(t.server, ATTESTD_ERROR_UNPREPARED, "attestd_prepare()");
        takes_a_good_one(leaf);
}
END_TEST

static void undo(SSL_CTX *ctx, int what) {
        switch (what) {
        case 0:
                (void) SSL_CTX_set_num_tickets(ctx, 1);
                break;
        case 1:
                (void) SSL_CTX_clear_options(ctx, SSL_OP_NO_TICKET);
                break;
        case 2:
                (void) SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_BOTH);
                break;
        case 3:
                (void) SSL_CTX_set_max_early_data(ctx, 100);
                break;
        case 4:
                (void) SSL_CTX_set_recv_max_early_data(ctx, 100);
                break;
        case 5:
                (void) SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION);
                break;
        default:
                (void) SSL_CTX_set_options(ctx, SSL_OP_IGNORE_UNEXPECTED_EOF);
        }
}

START_TEST(what_undoes_the_preparation_is_seen) {
        g_autoptr(Leaf) leaf = leaf_new("P-256");
        g_auto(Tls) t = { 0 };

        tls_init(&t, leaf, true);
        undo(t.client_ctx, _i);
        undo(t.server_ctx, _i);
        tls_connect(&t);
        ck_assert(tls_handshake(&t));
        refuses(t.client, ATTESTD_ERROR_UNPREPARED, "after attestd_prepare()");
        refuses(t.server, ATTESTD_ERROR_UNPREPARED, "after attestd_prepare()");
}
END_TEST

START_TEST(takes_good_groups_only) {
        static const struct {
                const char *name;
                bool is_good;
        } groups[] = {
                { "X25519", true }, { "P-256", true },      { "P-384", true },
                { "P-521", true },  { "ffdhe2048", false }, { "X448", false },
        };
        g_autoptr(Leaf) leaf = leaf_new("P-256");
        g_auto(Tls) t = { 0 };

        tls_init(&t, leaf, true);
        ck_assert(SSL_CTX_set1_groups_list(t.client_ctx, groups[_i].name));
        if (!groups[_i].is_good) {
                tls_connect(&t);
                ck_assert(!tls_handshake(&t)); /* a prepared peer does not speak it */
                ck_assert(SSL_CTX_set1_groups_list(t.server_ctx, groups[_i].name));
        }
        tls_connect(&t);
        ck_assert(tls_handshake(&t));
        if (groups[_i].is_good) {
                takes(t.client);
                takes(t.server);
        } else {
                refuses(t.client, ATTESTD_ERROR_CONNECTION, "weak-group");
                refuses(t.server, ATTESTD_ERROR_CONNECTION, "weak-group");
        }
}
END_TEST

/* SC-11f: a second connection would have forgotten the contexts of the first. */
START_TEST(sc11f_an_ssl_has_one_connection) {
        g_autoptr(Leaf) leaf = leaf_new("P-256");
        g_auto(Tls) t = { 0 };

        tls_init(&t, leaf, true);
        tls_connect(&t);
        ck_assert(tls_handshake(&t));
        takes(t.client);
        refuses(t.client, ATTESTD_ERROR_INVALID, "already");
}
END_TEST

START_TEST(an_endpoint_without_a_purpose_is_refused) {
        g_autoptr(AttestdEndpoint) nothing = attestd_endpoint_new();
        g_autoptr(Leaf) leaf = leaf_new("P-256");
        g_autoptr(GError) error = NULL;
        g_auto(Tls) t = { 0 };

        tls_init(&t, leaf, true);
        tls_connect(&t);
        ck_assert(tls_handshake(&t));
        ck_assert_ptr_null(attestd_connection_new(nothing, t.client, &error));
        ck_assert(g_error_matches(error, ATTESTD_ERROR, ATTESTD_ERROR_INVALID));
        takes(t.client);
}
END_TEST

/* Who the peer is. */
START_TEST(the_peer_has_the_key_that_was_verified_for_its_name) {
        static const struct {
                const char *name;
                bool verifies, is_good;
        } cases[] = {
                { "server.test", true, true },   { "192.0.2.1", true, true },   { "other.test", true, false },
                { "server", true, false },       { "192.0.2.2", true, false },  { "server.test", false, false },
        };
        g_autoptr(Leaf) leaf = leaf_new("P-256");
        g_autoptr(AttestdConnection) c = NULL;
        g_autoptr(AttestdEndpoint) asks = asking();
        g_autoptr(GBytes) spki = pki_spki(leaf->key);
        g_autoptr(GError) error = NULL;
        g_auto(Tls) t = { 0 };

        ck_assert(attestd_endpoint_name_peer(asks, cases[_i].name, NULL, NULL));
        tls_init(&t, leaf, true);
        if (!cases[_i].verifies) {
                SSL_CTX_set_cert_store(t.client_ctx, X509_STORE_new());
                SSL_CTX_set_verify(t.client_ctx, SSL_VERIFY_NONE, NULL);
        }
        tls_connect(&t);
        ck_assert(tls_handshake(&t));
        c = attestd_connection_new(asks, t.client, &error);
        if (cases[_i].is_good) {
                ck_assert_msg(c != NULL, "%s", error ? error->message : "");
                ck_assert(g_bytes_equal(made[ATT_ROLE_CLIENT].peer_key, spki));
        } else {
                ck_assert_ptr_null(c);
                ck_assert(g_error_matches(error, ATTESTD_ERROR, ATTESTD_ERROR_CONNECTION));
                ck_assert_ptr_nonnull(strstr(error->message, "certificate-chain"));
        }
}
END_TEST

/* With anchors of its own the authenticator's leaf is to have the name, whatever the handshake's. */
START_TEST(anchors_take_the_place_of_the_handshake) {
        g_autoptr(Leaf) leaf = leaf_new("P-256");
        g_autoptr(AttestdEndpoint) asks = asking();
        g_autoptr(GPtrArray) anchors = g_ptr_array_new_with_free_func((GDestroyNotify) g_bytes_unref);
        g_autoptr(AttestdConnection) c = NULL;
        g_auto(Tls) t = { 0 };

        g_ptr_array_add(anchors, pki_der(test_ca()));
        ck_assert(attestd_endpoint_name_peer(asks, "other.test", anchors, NULL));
        tls_init(&t, leaf, true);
        tls_connect(&t);
        ck_assert(tls_handshake(&t));
        c = attestd_connection_new(asks, t.client, NULL);
        ck_assert_ptr_nonnull(c);
        ck_assert_ptr_null(made[ATT_ROLE_CLIENT].peer_key);
}
END_TEST

/* _i: a client with a certificate that is verified; one that is for another name than the server
 * wants; one of which nobody wants to know whose it is; none. */
START_TEST(a_client_is_known_by_its_certificate) {
        g_autoptr(Leaf) leaf = leaf_new("P-256");
        g_autoptr(AttestdEndpoint) asks = asking(), gives = giving(leaf);
        g_autoptr(AttestdConnection) client = NULL, server = NULL;
        g_autoptr(GError) error = NULL;
        g_auto(Tls) t = { 0 };

        attestd_endpoint_set_give_to(gives, ATTESTD_GIVE_TO_AUTHENTICATED);
        if (_i < 2)
                ck_assert(attestd_endpoint_name_peer(gives, _i == 0 ? "server.test" : "other.test", NULL, NULL));
        tls_init(&t, leaf, true);
        ck_assert_int_eq(X509_STORE_add_cert(SSL_CTX_get_cert_store(t.server_ctx), test_ca()), 1);
        SSL_CTX_set_verify(t.server_ctx, SSL_VERIFY_PEER, NULL);
        if (_i < 3) {
                ck_assert_int_eq(SSL_CTX_use_certificate(t.client_ctx, leaf->x509), 1);
                ck_assert_int_eq(SSL_CTX_use_PrivateKey(t.client_ctx, leaf->key), 1);
        }
        tls_connect(&t);
        ck_assert(tls_handshake(&t));
        tls_set_nonblocking(&t);
        client = attestd_connection_new(asks, t.client, NULL);
        server = attestd_connection_new(gives, t.server, NULL);
        if (_i % 2 == 0) {
                both(client, server, attestd_connection_open);
                return;
        }
        while (attestd_connection_open(client, &error) != ATTESTD_FAILED)
                (void) attestd_connection_open(server, NULL);
        ck_assert_msg(strstr(error->message, "empty-authenticator"), "%s", error->message);
        ck_assert_uint_eq(made[ATT_ROLE_SERVER].mock->n_attested, 0);
}
END_TEST

static int lets_in(int ok, X509_STORE_CTX *store) {
        (void) ok, (void) store;
        return 1;
}

/* With a verification that lets everybody in, OpenSSL's verdict still stands. */
START_TEST(a_client_that_was_let_in_unverified_is_not_known) {
        g_autoptr(Leaf) leaf = leaf_new("P-256");
        g_autoptr(AttestdEndpoint) asks = asking(), gives = giving(leaf);
        g_autoptr(AttestdConnection) client = NULL, server = NULL;
        g_autoptr(GError) error = NULL;
        g_auto(Tls) t = { 0 };

        attestd_endpoint_set_give_to(gives, ATTESTD_GIVE_TO_AUTHENTICATED);
        tls_init(&t, leaf, true);
        SSL_CTX_set_verify(t.server_ctx, SSL_VERIFY_PEER, lets_in);
        ck_assert_int_eq(SSL_CTX_use_certificate(t.client_ctx, leaf->x509), 1);
        ck_assert_int_eq(SSL_CTX_use_PrivateKey(t.client_ctx, leaf->key), 1);
        tls_connect(&t);
        ck_assert(tls_handshake(&t));
        tls_set_nonblocking(&t);
        client = attestd_connection_new(asks, t.client, NULL);
        server = attestd_connection_new(gives, t.server, NULL);
        while (attestd_connection_open(client, &error) != ATTESTD_FAILED)
                (void) attestd_connection_open(server, NULL);
        ck_assert_msg(strstr(error->message, "empty-authenticator"), "%s", error->message);
}
END_TEST

START_TEST(to_give_to_accepted_clients_takes_asking) {
        g_autoptr(Leaf) leaf = leaf_new("P-256");
        g_autoptr(AttestdEndpoint) gives = giving(leaf), both_ways = giving(leaf);
        g_autoptr(AttestdConnection) c = NULL;
        g_autoptr(GError) error = NULL;
        g_auto(Tls) t = { 0 };

        attestd_endpoint_set_give_to(gives, ATTESTD_GIVE_TO_ACCEPTED);
        attestd_endpoint_set_give_to(both_ways, ATTESTD_GIVE_TO_ACCEPTED);
        attestd_endpoint_ask(both_ways, NULL);
        connect_kind(&t, leaf, 0);
        ck_assert_ptr_null(attestd_connection_new(gives, t.server, &error));
        ck_assert(g_error_matches(error, ATTESTD_ERROR, ATTESTD_ERROR_INVALID));
        c = attestd_connection_new(both_ways, t.server, NULL);
        ck_assert_ptr_nonnull(c);
}
END_TEST

START_TEST(a_key_of_another_certificate_is_refused) {
        g_autoptr(Leaf) leaf = leaf_new("P-256"), other = leaf_new("P-256");
        g_autoptr(AttestdEndpoint) e = attestd_endpoint_new();
        g_autoptr(GError) error = NULL;

        ck_assert(!attestd_endpoint_give_key(e, leaf->x509, NULL, other->key, &error));
        ck_assert(g_error_matches(error, ATTESTD_ERROR, ATTESTD_ERROR_INVALID));
        ck_assert_uint_eq(ERR_peek_error(), 0);
        ck_assert(attestd_endpoint_give_key(e, leaf->x509, NULL, leaf->key, NULL));
}
END_TEST

START_TEST(prepares_no_dtls) {
        SSL_CTX *ctx = SSL_CTX_new(DTLS_client_method());
        g_autoptr(GError) error = NULL;

        ck_assert(!attestd_prepare(ctx, &error));
        ck_assert(g_error_matches(error, ATTESTD_ERROR, ATTESTD_ERROR_TLS));
        SSL_CTX_free(ctx);
}
END_TEST

int main(void) {
        const int n_kinds = (int) G_N_ELEMENTS(kinds);
        Suite *s = suite_create("openssl");
        TCase *t = tcase_create("exchange");

        tcase_set_timeout(t, 60);
        tcase_add_loop_test(t, exchanges_blocking, 0, n_kinds);
        tcase_add_loop_test(t, exchanges_non_blocking, 0, n_kinds);
        tcase_add_loop_test(t, exchanges_in_compat_mode, 0, n_kinds);
        tcase_add_test(t, compat_mode_takes_a_profile_without_claims);
        tcase_add_test(t, gives_the_descriptor_back_as_it_was);
        tcase_add_test(t, leaves_the_descriptor_of_another_file_alone);
        tcase_add_test(t, works_over_memory);
        tcase_add_test(t, a_blocking_call_keeps_its_time_limit);
        tcase_add_loop_test(t, tells_the_ends_of_a_stream_apart, 0, 3);
        tcase_add_test(t, hears_the_reason_of_a_peer_that_is_gone);
        suite_add_tcase(s, t);

        t = tcase_create("bare");
        tcase_add_loop_test(t, bare_requests_and_authenticators, 0, n_kinds);
        tcase_add_loop_test(t, a_request_can_be_declined, 0, 3);
        tcase_add_loop_test(t, a_bare_server_that_asks_answers_last, 0, 2);
        tcase_add_test(t, bare_calls_wait_for_their_service);
        suite_add_tcase(s, t);

        t = tcase_create("conditions");
        tcase_add_test(t, sc06a_tls12_is_refused);
        tcase_add_test(t, sc06a_a_prepared_context_does_not_speak_tls12);
        tcase_add_test(t, sc06b_no_extended_master_secret_is_refused);
        tcase_add_test(t, sc06d_an_unfinished_handshake_is_refused);
        tcase_add_loop_test(t, sc11a_a_new_session_ticket_is_discarded, 0, 2);
        tcase_add_test(t, sc11a_a_prepared_server_sends_no_ticket);
        tcase_add_test(t, sc11b_a_resumed_connection_is_refused);
        tcase_add_test(t, sc11b_a_prepared_server_does_not_resume);
        tcase_add_loop_test(t, sc11c_early_data_is_refused, 0, 3);
        tcase_add_test(t, sc11b_an_external_psk_is_refused);
        tcase_add_test(t, an_unprepared_connection_is_refused);
        tcase_add_loop_test(t, what_undoes_the_preparation_is_seen, 0, 7);
        tcase_add_loop_test(t, takes_good_groups_only, 0, 6);
        tcase_add_test(t, sc11f_an_ssl_has_one_connection);
        tcase_add_test(t, an_endpoint_without_a_purpose_is_refused);
        suite_add_tcase(s, t);

        t = tcase_create("names");
        tcase_add_loop_test(t, the_peer_has_the_key_that_was_verified_for_its_name, 0, 6);
        tcase_add_test(t, anchors_take_the_place_of_the_handshake);
        tcase_add_loop_test(t, a_client_is_known_by_its_certificate, 0, 4);
        tcase_add_test(t, a_client_that_was_let_in_unverified_is_not_known);
        tcase_add_test(t, to_give_to_accepted_clients_takes_asking);
        tcase_add_test(t, a_key_of_another_certificate_is_refused);
        tcase_add_test(t, prepares_no_dtls);
        suite_add_tcase(s, t);
        return run_suite(s);
}
