/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* attested-gnutls: both ends of an attested TLS 1.3 connection with GnuTLS, and D-Bus
 * to attestd and attestd-verifier. The client sends a line, the server echoes it. */
#include "options.h"

#include "../sockets.h"
#include "connection.h"

#include <arpa/inet.h>
#include <gnutls/abstract.h>
#include <gnutls/x509.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define EXIT_REFUSED 1
#define EXIT_USAGE 2

/* Tickets are left out by a flag of gnutls_init(). */
#define PRIORITY \
        "NORMAL:-VERS-ALL:+VERS-TLS1.3:-GROUP-ALL:+GROUP-X25519:+GROUP-SECP256R1:+GROUP-SECP384R1:+GROUP-SECP521R1"

static char *target, *message, *cert, *key, *ca, *policy_file;
static int port;
static gboolean once, to_anyone;
static Options options;
static gnutls_certificate_credentials_t credentials;

static const GOptionEntry entries[] = {
        { "connect", 0, 0, G_OPTION_ARG_STRING, &target, "client: where the server listens", "HOST:PORT" },
        { "message", 0, 0, G_OPTION_ARG_STRING, &message, "client: the line to send; default hello", "TEXT" },
        { "port", 0, 0, G_OPTION_ARG_INT, &port, "server: of 127.0.0.1; 0 for any, and it is printed", "PORT" },
        { "once", 0, 0, G_OPTION_ARG_NONE, &once, "server: end after one connection, with its status", NULL },
        { "cert", 0, 0, G_OPTION_ARG_FILENAME, &cert, "our certificate and its chain, PEM", "FILE" },
        { "key", 0, 0, G_OPTION_ARG_FILENAME, &key, "its private key, PEM", "FILE" },
        { "ca", 0, 0, G_OPTION_ARG_FILENAME, &ca, "CAs of the peer's certificate, PEM", "FILE" },
        { "name", 0, 0, G_OPTION_ARG_STRING, &options.name, "who the peer must be: DNS name or IP address", "NAME" },
        { "policy-file", 0, 0, G_OPTION_ARG_FILENAME, &policy_file, "ask the peer for evidence, by this policy",
          "FILE" },
        { "give", 0, 0, G_OPTION_ARG_NONE, &options.gives, "give evidence to a peer that asks, for --cert and --key",
          NULL },
        { "give-to-anyone", 0, 0, G_OPTION_ARG_NONE, &to_anyone,
          "server: also to clients that nobody has authenticated", NULL },
        { NULL },
};

G_NORETURN static void give_up(const char *format, ...) G_GNUC_PRINTF(1, 2);

static void give_up(const char *format, ...) {
        va_list ap;

        fprintf(stderr, "attested-gnutls: ");
        va_start(ap, format);
        vfprintf(stderr, format, ap);
        va_end(ap);
        fprintf(stderr, "\n");
        exit(EXIT_USAGE);
}

static char *read_file(const char *path, gsize *ret_size) {
        g_autoptr(GError) error = NULL;
        char *text = NULL;

        if (!g_file_get_contents(path, &text, ret_size, &error))
                give_up("%s", error->message);
        return text;
}

/* Each certificate of a PEM file, in DER. */
static GPtrArray *read_certificates(const char *path) {
        GPtrArray *found = g_ptr_array_new_with_free_func((GDestroyNotify) g_bytes_unref);
        gnutls_x509_crt_t *list = NULL;
        gnutls_datum_t pem, der;
        unsigned n = 0;
        gsize size;
        int r;

        pem.data = (uint8_t *) read_file(path, &size);
        pem.size = (unsigned) size;
        r = gnutls_x509_crt_list_import2(&list, &n, &pem, GNUTLS_X509_FMT_PEM, 0);
        if (r < 0)
                give_up("%s: %s", path, gnutls_strerror(r));
        for (unsigned i = 0; i < n; i++) {
                r = gnutls_x509_crt_export2(list[i], GNUTLS_X509_FMT_DER, &der);
                if (r < 0)
                        give_up("%s: %s", path, gnutls_strerror(r));
                g_ptr_array_add(found, g_bytes_new(der.data, der.size));
                gnutls_free(der.data);
                gnutls_x509_crt_deinit(list[i]);
        }
        gnutls_free(list);
        g_free(pem.data);
        return found;
}

/* To sign with outside of the handshake: the credentials keep theirs for themselves. */
static gnutls_privkey_t read_key(const char *path) {
        gnutls_privkey_t found;
        gnutls_datum_t pem;
        gsize size;
        int r;

        pem.data = (uint8_t *) read_file(path, &size);
        pem.size = (unsigned) size;
        gnutls_privkey_init(&found);
        r = gnutls_privkey_import_x509_raw(found, &pem, GNUTLS_X509_FMT_PEM, NULL, 0);
        if (r < 0)
                give_up("%s: %s", path, gnutls_strerror(r));
        gnutls_memset(pem.data, 0, pem.size);
        g_free(pem.data);
        return found;
}

static void load(void) {
        int r;

        gnutls_certificate_allocate_credentials(&credentials);
        if (cert) {
                r = gnutls_certificate_set_x509_key_file(credentials, cert, key, GNUTLS_X509_FMT_PEM);
                if (r < 0)
                        give_up("%s: %s", cert, gnutls_strerror(r));
                options.certificates = read_certificates(cert);
                options.key = read_key(key);
        }
        if (ca) {
                r = gnutls_certificate_set_x509_trust_file(credentials, ca, GNUTLS_X509_FMT_PEM);
                if (r <= 0)
                        give_up("%s: no certificate in it", ca);
                options.anchors = read_certificates(ca);
        }
        if (policy_file)
                options.policy = read_file(policy_file, NULL);
}

static void read_options(int argc, char **argv) {
        g_autoptr(GOptionContext) context = g_option_context_new("client|server");
        g_autoptr(GError) error = NULL;

        g_option_context_set_summary(context, "Sends a line to a server that echoes it, once each end is content with "
                                              "the other's evidence.");
        g_option_context_set_description(context,
                                         "Exit status: 0 accepted, 1 refused, 2 wrong usage or no connection.");
        g_option_context_add_main_entries(context, entries, NULL);
        if (!g_option_context_parse(context, &argc, &argv, &error))
                give_up("%s", error->message);

        options.is_server = argc == 2 && strcmp(argv[1], "server") == 0;
        options.gives |= to_anyone;
        if (argc != 2 || (!options.is_server && strcmp(argv[1], "client") != 0))
                give_up("client or server? see --help");
        if (!options.is_server && (!target || !ca || !options.name))
                give_up("a client needs --connect, --ca and --name");
        if (!cert != !key || ((options.is_server || options.gives) && !cert))
                give_up("a server, and who gives evidence, needs --cert and --key");
        if (policy_file && (!ca || !options.name))
                give_up("--policy-file needs --ca and --name: evidence says what the peer is, not who");
        if (!policy_file && !options.gives)
                give_up("ask for evidence with --policy-file, give it with --give, or both");
        if (options.is_server && !policy_file && !ca && !to_anyone)
                give_up("who may see our evidence? --ca for those with a certificate, or --give-to-anyone");
        load();
}

/* To require a certificate of the peer and to have it verified are two calls, and with
 * the second left out GnuTLS goes on with any. */
static gnutls_session_t new_session(int fd) {
        gnutls_session_t tls;
        struct in_addr address;

        gnutls_init(&tls, (options.is_server ? GNUTLS_SERVER : GNUTLS_CLIENT) | GNUTLS_NO_TICKETS);
        if (gnutls_priority_set_direct(tls, PRIORITY, NULL) < 0 ||
            gnutls_credentials_set(tls, GNUTLS_CRD_CERTIFICATE, credentials) < 0)
                give_up("this GnuTLS cannot do what attestation needs");
        if (options.is_server && ca) {
                gnutls_certificate_server_set_request(tls, GNUTLS_CERT_REQUIRE);
                gnutls_session_set_verify_cert(tls, NULL, 0);
        } else if (!options.is_server) {
                if (inet_pton(AF_INET, options.name, &address) != 1)
                        (void) gnutls_server_name_set(tls, GNUTLS_NAME_DNS, options.name, strlen(options.name));
                gnutls_session_set_verify_cert(tls, options.name, 0);
        }
        gnutls_handshake_set_timeout(tls, GNUTLS_DEFAULT_HANDSHAKE_TIMEOUT);
        gnutls_transport_set_int(tls, fd);
        return tls;
}

static bool handshake(gnutls_session_t tls, GError **error) {
        int r;

        do
                r = gnutls_handshake(tls);
        while (r < 0 && !gnutls_error_is_fatal(r));
        if (r < 0)
                g_set_error(error, REFUSED, REFUSED_SILENT, "no TLS handshake: %s", gnutls_strerror(r));
        return r == 0;
}

static bool send_line(Connection *c, GError **error) {
        g_autofree char *line = g_strconcat(message ? message : "hello", "\n", NULL);
        g_autoptr(GBytes) data = g_bytes_new(line, strlen(line));
        gsize have = 0;

        if (!connection_write(c, data, error))
                return false;
        while (have < strlen(line)) {
                g_autoptr(GBytes) echo = NULL;
                const char *p;
                gsize size;

                if (!connection_read(c, &echo, error))
                        return false;
                if (!echo) {
                        g_set_error(error, REFUSED, REFUSED_SILENT, "the server has ended");
                        return false;
                }
                p = g_bytes_get_data(echo, &size);
                fwrite(p, 1, size, stdout);
                have += size;
        }
        return true;
}

static bool echo_all(Connection *c, GError **error) {
        for (;;) {
                g_autoptr(GBytes) data = NULL;

                if (!connection_read(c, &data, error))
                        return false;
                if (!data)
                        return true;
                if (!connection_write(c, data, error))
                        return false;
        }
}

static bool talk(gnutls_session_t tls, GError **error) {
        g_autoptr(Connection) c = NULL;

        if (!handshake(tls, error))
                return false;
        c = connection_open(tls, &options, error);
        if (!c)
                return false;
        printf("accepted\n");
        return (options.is_server ? echo_all : send_line)(c, error) && connection_end(c, error);
}

/* Both ends: was it accepted? Takes the descriptor. */
static bool run(int fd) {
        g_autoptr(GError) error = NULL;
        gnutls_session_t tls = new_session(fd);
        bool ok = talk(tls, &error);

        if (!ok)
                printf("refused: %s\n", error->message);
        gnutls_deinit(tls);
        close(fd);
        return ok;
}

static gpointer serve(gpointer data) {
        return GINT_TO_POINTER(run(GPOINTER_TO_INT(data)));
}

int main(int argc, char **argv) {
        g_autoptr(GError) error = NULL;
        int fd;

        setvbuf(stdout, NULL, _IOLBF, 0);
        (void) signal(SIGPIPE, SIG_IGN);
        read_options(argc, argv);
        fd = options.is_server ? listen_on(&port, &error) : connect_to(target, &error);
        if (fd < 0)
                give_up("%s", error->message);
        if (!options.is_server)
                return run(fd) ? EXIT_SUCCESS : EXIT_REFUSED;

        printf("listening %d\n", port);
        for (;;) {
                int client = accept(fd, NULL, NULL);
                GThread *thread;

                if (client < 0)
                        give_up("cannot accept a connection: %m");
                thread = g_thread_new("connection", serve, GINT_TO_POINTER(client));
                if (once)
                        return g_thread_join(thread) ? EXIT_SUCCESS : EXIT_REFUSED;
                g_thread_unref(thread);
        }
}
