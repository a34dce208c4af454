/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* attested-server: echoes what a client sends, once both ends are content with
 * each other's evidence. Blocking, a thread for each connection. */
#include "attested.h"
#include "sockets.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

static int port;
static gboolean once;

static const GOptionEntry entries[] = {
        { "port", 0, 0, G_OPTION_ARG_INT, &port, "of 127.0.0.1; 0 for any, and it is printed", "PORT" },
        { "once", 0, 0, G_OPTION_ARG_NONE, &once, "end after one connection, with its status", NULL },
        { NULL },
};

static SSL_CTX *ctx;
static AttestdEndpoint *endpoint;

/* Until the client ends. */
static gboolean echo(AttestdConnection *connection, char **told, GError **error) {
        char data[4096];
        gsize size, written;

        for (;;) {
                AttestdStatus status = attestd_connection_read(connection, data, sizeof data, &size, NULL, error);

                print_result(connection, told);
                if (status == ATTESTD_END)
                        return attestd_connection_end(connection, error) == ATTESTD_DONE;
                if (status != ATTESTD_DONE ||
                    attestd_connection_write(connection, data, size, &written, error) != ATTESTD_DONE)
                        return FALSE;
        }
}

static gboolean serve(SSL *ssl, GError **error) {
        g_autoptr(AttestdConnection) connection = attestd_connection_new(endpoint, ssl, error);
        g_autofree char *told = NULL;
        gboolean ok;

        if (!connection)
                return FALSE;
        ok = attestd_connection_open(connection, error) == ATTESTD_DONE;
        print_result(connection, &told);
        if (!ok)
                return FALSE;
        printf("%s\n", options.asks ? "accepted, and accepted the client" : "accepted");
        return echo(connection, &told, error);
}

static gpointer serve_descriptor(gpointer data) {
        int fd = GPOINTER_TO_INT(data);
        SSL *ssl = SSL_new(ctx);
        g_autoptr(GError) error = NULL;
        gboolean ok = FALSE;

        if (SSL_set_fd(ssl, fd) == 1 && SSL_accept(ssl) == 1)
                ok = serve(ssl, &error);
        else
                printf("no TLS handshake\n");
        if (error)
                printf("%s: %s\n", g_error_matches(error, ATTESTD_ERROR, ATTESTD_ERROR_REFUSED) ? "refused" : "ended",
                       error->message);
        SSL_free(ssl);
        close(fd);
        return GINT_TO_POINTER(ok);
}

int main(int argc, char **argv) {
        g_autoptr(GError) error = NULL;
        int listener;

        read_options(&argc, &argv, entries, true, "Echoes, once both ends are content with each other.");
        if (!options.cert)
                give_up(EXIT_USAGE, NULL, "a server needs --cert and --key; see --help");
        (void) signal(SIGPIPE, SIG_IGN);
        ctx = make_context(TLS_server_method());
        endpoint = make_endpoint(ctx);
        listener = listen_on(&port, &error);
        if (listener < 0)
                give_up(EXIT_USAGE, error, "--port");
        printf("listening %d\n", port);

        for (;;) {
                int fd = accept(listener, NULL, NULL);
                GThread *thread;

                if (fd < 0)
                        give_up(EXIT_FAILURE, NULL, "cannot accept a connection: %m");
                thread = g_thread_new("connection", serve_descriptor, GINT_TO_POINTER(fd));
                if (once)
                        return g_thread_join(thread) ? EXIT_SUCCESS : EXIT_REFUSED;
                g_thread_unref(thread);
        }
}
