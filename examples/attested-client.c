/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* attested-client: sends lines to attested-server and prints what comes back, once
 * both ends are content with each other's evidence. Blocking. */
#include "attested.h"
#include "sockets.h"

#include <arpa/inet.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char *target, *message;
static gboolean watch;

static const GOptionEntry entries[] = {
        { "connect", 0, 0, G_OPTION_ARG_STRING, &target, "where the server listens", "HOST:PORT" },
        { "message", 0, 0, G_OPTION_ARG_STRING, &message, "send this line; else those of the standard input", "TEXT" },
        { "watch", 0, 0, G_OPTION_ARG_NONE, &watch,
          "between lines too, print what comes, hear at once when the server changes, and renew; else with the next "
          "line, before it is sent", NULL },
        { NULL },
};

static SSL *handshake(SSL_CTX *ctx, int fd) {
        SSL *ssl = SSL_new(ctx);

        if (options.name) {
                struct in_addr address;

                if (inet_pton(AF_INET, options.name, &address) == 1)
                        (void) X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), options.name);
                else if (SSL_set1_host(ssl, options.name) != 1 || SSL_set_tlsext_host_name(ssl, options.name) != 1)
                        give_up(EXIT_USAGE, NULL, "--name %s", options.name);
        }
        if (SSL_set_fd(ssl, fd) != 1 || SSL_connect(ssl) != 1)
                give_up(EXIT_REFUSED, NULL, "no TLS handshake: %s",
                        X509_verify_cert_error_string(SSL_get_verify_result(ssl)));
        if (options.verbose)
                printf("connected: %s, %s\n", SSL_get_version(ssl), SSL_get_cipher_name(ssl));
        return ssl;
}

/* A line there, and as much of it back. */
static gboolean send_line(AttestdConnection *connection, const char *line, GError **error) {
        gsize size = strlen(line), n;
        gboolean is_stale = FALSE;
        char data[4096];

        if (attestd_connection_write(connection, line, size, &n, error) != ATTESTD_DONE)
                return FALSE;
        for (gsize at = 0; at < size; at += n) {
                if (attestd_connection_read(connection, data, MIN(sizeof data, size - at), &n, &is_stale, error) !=
                    ATTESTD_DONE)
                        return FALSE;
                fwrite(data, 1, n, stdout);
        }
        if (is_stale)
                printf("(sent before the server's state changed)\n");
        return TRUE;
}

/* In order, both ends: a descriptor closed too early would look like a cut. */
static gboolean end(AttestdConnection *connection, GError **error) {
        char data[4096];
        AttestdStatus status;
        gsize n;

        if (attestd_connection_end(connection, error) != ATTESTD_DONE)
                return FALSE;
        do
                status = attestd_connection_read(connection, data, sizeof data, &n, NULL, error);
        while (status == ATTESTD_DONE);
        return status == ATTESTD_END;
}

/* What is here already, and a descriptor would not tell of. */
static gboolean print_pending(AttestdConnection *connection, gsize *ret_size, GError **error) {
        char data[4096];
        gsize n;

        for (*ret_size = 0; attestd_connection_pending(connection) > 0; *ret_size += n) {
                if (attestd_connection_read(connection, data, sizeof data, &n, NULL, error) != ATTESTD_DONE)
                        return FALSE;
                fwrite(data, 1, n, stdout);
        }
        return TRUE;
}

/* The server may change while we have nothing to say: who drives the connection then hears of
 * it at once, and of what has changed. */
static gboolean wait_for_input(AttestdConnection *connection, int fd, char **told, GError **error) {
        struct pollfd fds[] = {
                { .fd = STDIN_FILENO, .events = POLLIN },
                { .fd = attestd_connection_service_fd(connection), .events = POLLIN },
                { .fd = fd, .events = POLLIN | POLLRDHUP },
        };
        AttestdStatus status;
        gsize size;

        do {
                status = attestd_connection_open(connection, error);
                if ((status != ATTESTD_DONE && status != ATTESTD_READ_FIRST) ||
                    !print_pending(connection, &size, error))
                        return FALSE;
                print_result(connection, told);
                if (size == 0 && fds[2].revents & (POLLRDHUP | POLLHUP | POLLERR))
                        fds[2].fd = -1; /* nothing more will come */
        } while (!fds[0].revents && poll(fds, G_N_ELEMENTS(fds), attestd_connection_timeout_ms(connection)) >= 0);
        return TRUE;
}

static gboolean send_lines(AttestdConnection *connection, int fd, char **told, GError **error) {
        g_autofree char *line = message ? g_strconcat(message, "\n", NULL) : NULL;
        char *input = NULL;
        size_t room = 0;
        gboolean ok = !line || send_line(connection, line, error);

        setvbuf(stdin, NULL, _IONBF, 0); /* what stdio holds, nobody would wait for */
        while (ok && !line) {
                ok = !watch || wait_for_input(connection, fd, told, error);
                if (!ok || getline(&input, &room, stdin) <= 0)
                        break;
                ok = send_line(connection, input, error);
                print_result(connection, told);
        }
        free(input);
        return ok && end(connection, error);
}

int main(int argc, char **argv) {
        g_autoptr(AttestdConnection) connection = NULL;
        g_autoptr(AttestdEndpoint) endpoint = NULL;
        g_autofree char *told = NULL;
        g_autoptr(GError) error = NULL;
        gboolean ok = FALSE;
        SSL_CTX *ctx;
        SSL *ssl;
        int fd;

        read_options(&argc, &argv, entries, false, "Talks to a server once both ends are content with each other.");
        if (!target)
                give_up(EXIT_USAGE, NULL, "where is the server? --connect HOST:PORT; see --help");
        (void) signal(SIGPIPE, SIG_IGN);
        ctx = make_context(TLS_client_method());
        endpoint = make_endpoint(ctx);
        fd = connect_to(target, &error);
        if (fd < 0)
                give_up(EXIT_USAGE, error, "cannot connect");
        ssl = handshake(ctx, fd);

        connection = attestd_connection_new(endpoint, ssl, &error);
        if (connection) {
                ok = attestd_connection_open(connection, &error) == ATTESTD_DONE;
                print_result(connection, &told);
        }
        if (ok) {
                printf("accepted\n");
                ok = send_lines(connection, fd, &told, &error);
                print_result(connection, &told); /* what we refused */
        }
        if (!ok)
                printf("refused: %s\n", error ? error->message : "the server ended, or sends what was not asked for");

        SSL_free(ssl);
        SSL_CTX_free(ctx);
        close(fd);
        return ok ? EXIT_SUCCESS : EXIT_REFUSED;
}
