/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* tls-witness: one attested connection after the other, both ends in here, and what
 * the relying party has seen of each, for somebody else to judge.
 *
 * Until its standard input ends. Prints a line for each connection:
 *
 *   accepted HASH EXPORTED REQUEST HANDSHAKE-CONTEXT FINISHED-KEY AUTHENTICATOR   (hexadecimal)
 *   refused MESSAGE      the verdict on its evidence was no
 *   failed STEP MESSAGE  no verdict: STEP is request, answer or validate
 *   crossed MESSAGE      evidence of the connection before it was refused, as it has to be
 *   CROSSED              or was accepted
 *
 * It uses libattestd as an application does. The exported values are taken from the
 * connection here, and not from what libattestd says of it.
 */
#include <attestd.h>
#include <openssl/err.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define EXPORTED_SIZE 32u
/* Every so many connections one more is shown the evidence of the last. */
#define CROSS_EVERY 5u

static char *certificate_path, *key_path, *policy_path;

static const GOptionEntry options[] = {
        { "cert", 0, 0, G_OPTION_ARG_FILENAME, &certificate_path, "PEM: the server's leaf", "FILE" },
        { "key", 0, 0, G_OPTION_ARG_FILENAME, &key_path, "PEM: its private key", "FILE" },
        { "policy-file", 0, 0, G_OPTION_ARG_FILENAME, &policy_path, "what the client takes", "FILE" },
        { NULL },
};

/* A connection with itself. */
typedef struct Pair {
        SSL *client, *server;
        int fds[2];
        AttestdExchange *asks, *gives;
} Pair;

static SSL_CTX *client_ctx, *server_ctx;
static AttestdEndpoint *client_endpoint, *server_endpoint;

G_NORETURN static void give_up(const char *what, const GError *error) {
        fprintf(stderr, "tls-witness: %s: %s\n", what, error ? error->message : "");
        exit(EXIT_FAILURE);
}

static void set_up(void) {
        g_autofree char *policy = NULL;
        GError *error = NULL;

        client_ctx = SSL_CTX_new(TLS_client_method());
        server_ctx = SSL_CTX_new(TLS_server_method());
        if (!attestd_prepare(client_ctx, &error) || !attestd_prepare(server_ctx, &error))
                give_up("cannot prepare", error);
        if (SSL_CTX_use_certificate_file(server_ctx, certificate_path, SSL_FILETYPE_PEM) != 1 ||
            SSL_CTX_use_PrivateKey_file(server_ctx, key_path, SSL_FILETYPE_PEM) != 1)
                give_up(certificate_path, NULL);
        if (!g_file_get_contents(policy_path, &policy, NULL, &error))
                give_up(policy_path, error);

        client_endpoint = attestd_endpoint_new();
        attestd_endpoint_ask_with_policy(client_endpoint, policy);
        server_endpoint = attestd_endpoint_new();
        if (!attestd_endpoint_give_key(server_endpoint, SSL_CTX_get0_certificate(server_ctx), NULL,
                                       SSL_CTX_get0_privatekey(server_ctx), &error))
                give_up("cannot give", error);
        attestd_endpoint_set_give_to(server_endpoint, ATTESTD_GIVE_TO_ANYONE);
}

static void pair_clear(Pair *p) {
        attestd_exchange_free(p->asks);
        attestd_exchange_free(p->gives);
        SSL_free(p->client);
        SSL_free(p->server);
        close(p->fds[0]);
        close(p->fds[1]);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Pair, pair_clear)

static void pair_init(Pair *p) {
        int c = 0, s = 0;
        GError *error = NULL;

        if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, p->fds) < 0)
                give_up("socketpair", NULL);
        p->client = SSL_new(client_ctx);
        p->server = SSL_new(server_ctx);
        if (SSL_set_fd(p->client, p->fds[0]) != 1 || SSL_set_fd(p->server, p->fds[1]) != 1)
                give_up("SSL_set_fd", NULL);
        for (int i = 0; i < 20 && !(c == 1 && s == 1); i++) {
                c = SSL_connect(p->client);
                s = SSL_accept(p->server);
        }
        p->asks = attestd_exchange_new(client_endpoint, p->client, &error);
        p->gives = p->asks ? attestd_exchange_new(server_endpoint, p->server, &error) : NULL;
        if (!p->gives)
                give_up("no exchange", error);
}

static AttestdStatus request(Pair *p, GBytes **ret, GError **error) {
        AttestdStatus status;

        while ((status = attestd_exchange_request(p->asks, ret, error)) == ATTESTD_WANT_SERVICE)
                attestd_exchange_wait(p->asks);
        return status;
}

static AttestdStatus answer(Pair *p, GBytes *asked, GBytes **ret, GError **error) {
        AttestdStatus status;

        while ((status = attestd_exchange_answer(p->gives, asked, ret, error)) == ATTESTD_WANT_SERVICE)
                attestd_exchange_wait(p->gives);
        return status;
}

static AttestdStatus validate(Pair *p, GBytes *authenticator, GError **error) {
        AttestdStatus status;

        while ((status = attestd_exchange_validate(p->asks, authenticator, NULL, error)) == ATTESTD_WANT_SERVICE)
                attestd_exchange_wait(p->asks);
        return status;
}

static void print_hex(const void *data, size_t size) {
        const uint8_t *p = data;

        putchar(' ');
        for (size_t i = 0; i < size; i++)
                printf("%02x", p[i]);
}

static void print_bytes(GBytes *bytes) {
        gsize size;
        const void *data = g_bytes_get_data(bytes, &size);

        print_hex(data, size);
}

static void print_exported(Pair *p, const char *label, const void *context, size_t context_size, size_t size) {
        uint8_t value[EVP_MAX_MD_SIZE];

        if (SSL_export_keying_material(p->client, value, size, label, strlen(label), context, context_size, 1) != 1)
                give_up("no exporter", NULL);
        print_hex(value, size);
}

static void print_accepted(Pair *p, GBytes *asked, GBytes *authenticator) {
        const EVP_MD *md = SSL_CIPHER_get_handshake_digest(SSL_get_current_cipher(p->client));
        const uint8_t *message = g_bytes_get_data(asked, NULL); /* type, length of 3 bytes, vector of 1: the context */
        size_t size = (size_t) EVP_MD_get_size(md);

        printf("accepted %s", size == 32 ? "sha256" : "sha384");
        print_exported(p, "Attestation", message + 5, message[4], EXPORTED_SIZE);
        print_bytes(asked);
        print_exported(p, "EXPORTER-server authenticator handshake context", NULL, 0, size);
        print_exported(p, "EXPORTER-server authenticator finished key", NULL, 0, size);
        print_bytes(authenticator);
        putchar('\n');
}

static GBytes *failed(const char *step, const GError *error) {
        if (g_error_matches(error, ATTESTD_ERROR, ATTESTD_ERROR_REFUSED))
                printf("refused %s\n", error->message);
        else
                printf("failed %s %s\n", step, error->message);
        return NULL;
}

/* Returns: the authenticator, if it was accepted */
static GBytes *connect_once(void) {
        g_autoptr(GBytes) asked = NULL, authenticator = NULL;
        g_autoptr(GError) error = NULL;
        g_auto(Pair) p = { 0 };

        pair_init(&p);
        if (request(&p, &asked, &error) != ATTESTD_DONE)
                return failed("request", error);
        if (answer(&p, asked, &authenticator, &error) != ATTESTD_DONE)
                return failed("answer", error);
        if (validate(&p, authenticator, &error) != ATTESTD_DONE)
                return failed("validate", error);
        print_accepted(&p, asked, authenticator);
        return g_steal_pointer(&authenticator);
}

static void cross(GBytes *of_another) {
        g_autoptr(GBytes) asked = NULL;
        g_autoptr(GError) error = NULL;
        g_auto(Pair) p = { 0 };

        pair_init(&p);
        if (request(&p, &asked, &error) != ATTESTD_DONE)
                (void) failed("request", error);
        else if (validate(&p, of_another, &error) == ATTESTD_DONE)
                printf("CROSSED\n");
        else if (g_error_matches(error, ATTESTD_ERROR, ATTESTD_ERROR_REFUSED))
                printf("crossed %s\n", error->message);
        else
                (void) failed("validate", error);
}

static bool may_go_on(void) {
        struct pollfd input = { .fd = STDIN_FILENO, .events = POLLIN };

        return poll(&input, 1, 0) == 0;
}

int main(int argc, char **argv) {
        g_autoptr(GOptionContext) context = g_option_context_new(NULL);
        g_autoptr(GError) error = NULL;

        g_option_context_add_main_entries(context, options, NULL);
        if (!g_option_context_parse(context, &argc, &argv, &error) || !certificate_path || !key_path || !policy_path)
                give_up("see --help", error);
        (void) signal(SIGPIPE, SIG_IGN);
        setvbuf(stdout, NULL, _IOLBF, 0);
        set_up();

        for (guint n = 1; may_go_on(); n++) {
                g_autoptr(GBytes) authenticator = connect_once();

                if (authenticator && n % CROSS_EVERY == 0)
                        cross(authenticator);
        }
        return EXIT_SUCCESS;
}
