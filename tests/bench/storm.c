/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* One end of many attested TLS connections over loopback, in one thread, as an
 * application of libattestd.
 *
 *   storm server --cert FILE --key FILE
 *       "port N"; serves until its standard input ends
 *   storm client --connect PORT --sessions N --ca FILE --name NAME --policy FILE
 *       "open SECONDS" when all of them are. For each "round" on the standard input, the answer when the evidence of
 *       all has become stale and was renewed, as JSON: "renewed {…}"; times of CLOCK_MONOTONIC in microseconds
 *
 * Both raise their limit of descriptors by themselves: a connection has two. */
#include <attestd.h>

#include <arpa/inet.h>
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

/* Handshakes and first evidence under way at once: the rest waits, and nobody's time limit with it. */
#define OPENING_MAX 512u
#define TIMEOUT_MS 600000u
/* How often those are looked for whose time has come. */
#define SWEEP_MS 1000
#define FAILURES_SHOWN 5u

static char *certificate, *private_key, *ca, *name, *policy_file;
static int port;
static int sessions = 1;

static const GOptionEntry entries[] = {
        { "cert", 0, 0, G_OPTION_ARG_FILENAME, &certificate, "the server's certificate, PEM", "FILE" },
        { "key", 0, 0, G_OPTION_ARG_FILENAME, &private_key, "its private key, PEM", "FILE" },
        { "connect", 0, 0, G_OPTION_ARG_INT, &port, "where the server listens", "PORT" },
        { "sessions", 0, 0, G_OPTION_ARG_INT, &sessions, "how many connections", "N" },
        { "ca", 0, 0, G_OPTION_ARG_FILENAME, &ca, "the CA of the server's certificate, PEM", "FILE" },
        { "name", 0, 0, G_OPTION_ARG_STRING, &name, "who the server is", "NAME" },
        { "policy", 0, 0, G_OPTION_ARG_FILENAME, &policy_file, "what its evidence has to be", "FILE" },
        { NULL },
};

typedef struct Link {
        int fd;
        SSL *ssl;
        AttestdConnection *connection; /* NULL: the handshake is not finished */
        bool waits_to_write;
        bool is_open, was_open;
        bool is_renewed; /* in this round */
        guint64 generation;
} Link;

static int epoll_fd = -1, listener = -1;
static SSL_CTX *ctx;
static AttestdEndpoint *endpoint;
static GPtrArray *links;
static guint n_opened, n_failed;

/* Of the round. */
static GArray *renewed; /* of gint64: when each was */
static gint64 first_closed_us;
static guint n_closed, n_not_newer;
static bool is_round;

static gint64 started_us;

static void watch(int fd, guint32 events, void *data) {
        struct epoll_event event = { .events = events, .data.ptr = data };

        if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event) < 0)
                err(1, "epoll_ctl");
}

static void want_write(Link *l, bool wants) {
        struct epoll_event event = { .events = wants ? EPOLLIN | EPOLLOUT : EPOLLIN, .data.ptr = l };

        if (wants == l->waits_to_write)
                return;
        l->waits_to_write = wants;
        if (epoll_ctl(epoll_fd, EPOLL_CTL_MOD, l->fd, &event) < 0)
                err(1, "epoll_ctl");
}

static void end(Link *l, const char *why) {
        if (n_failed++ < FAILURES_SHOWN)
                warnx("a connection has ended: %s", why);
        g_clear_pointer(&l->connection, attestd_connection_free);
        g_clear_pointer(&l->ssl, SSL_free);
        (void) close(l->fd); /* leaves the epoll as well */
        l->fd = -1;
        l->is_open = false;
}

/* ----- the client's rounds */

/* As the result says it, the attester's. */
static guint64 generation_of(Link *l) {
        const char *json = attestd_connection_result(l->connection), *at = json ? strstr(json, "\"generation\"") : NULL;

        return at ? g_ascii_strtoull(at + strcspn(at, "0123456789"), NULL, 10) : 0;
}

static void note(Link *l) {
        bool is_open = attestd_connection_is_open(l->connection);

        if (is_open == l->is_open)
                return;

        l->is_open = is_open;
        if (!is_open) {
                if (n_closed++ == 0)
                        first_closed_us = g_get_monotonic_time();
                return;
        }
        if (!l->was_open) {
                l->was_open = true;
                n_opened++;
                l->generation = generation_of(l);
        } else if (!l->is_renewed) {
                gint64 now = g_get_monotonic_time();
                guint64 generation = generation_of(l);

                l->is_renewed = true;
                n_not_newer += generation <= l->generation;
                l->generation = generation;
                g_array_append_val(renewed, now);
        }
}

static void begin_round(void) {
        g_array_set_size(renewed, 0);
        n_closed = n_not_newer = 0;
        for (guint i = 0; i < links->len; i++)
                ((Link *) links->pdata[i])->is_renewed = false;
        is_round = true;
}

static void end_round(void) {
        guint n = renewed->len;

        is_round = false;
        printf("renewed {\"sessions\": %u, \"failed\": %u, \"not_newer\": %u", n, n_failed, n_not_newer);
        if (n_closed > 0)
                printf(", \"first_closed_us\": %" G_GINT64_FORMAT, first_closed_us);
        if (n > 0)
                printf(", \"first_us\": %" G_GINT64_FORMAT ", \"median_us\": %" G_GINT64_FORMAT ", \"last_us\": %"
                       G_GINT64_FORMAT,
                       g_array_index(renewed, gint64, 0), g_array_index(renewed, gint64, n / 2),
                       g_array_index(renewed, gint64, n - 1));
        printf("}\n");
}

/* ----- connections */

static bool shake_hands(Link *l) {
        g_autoptr(GError) error = NULL;
        int r = SSL_do_handshake(l->ssl), why = SSL_get_error(l->ssl, r);

        if (r != 1) {
                want_write(l, why == SSL_ERROR_WANT_WRITE);
                if (why != SSL_ERROR_WANT_READ && why != SSL_ERROR_WANT_WRITE)
                        end(l, ERR_reason_error_string(ERR_peek_last_error()) ?: "no TLS handshake");
                ERR_clear_error();
                return false;
        }

        l->connection = attestd_connection_new(endpoint, l->ssl, &error);
        if (!l->connection) {
                end(l, error->message);
                return false;
        }
        watch(attestd_connection_service_fd(l->connection), EPOLLIN, l);
        return true;
}

static void drive(Link *l) {
        g_autoptr(GError) error = NULL;
        AttestdStatus status;
        char data[4096];
        gsize n;

        if (l->fd < 0 || (!l->connection && !shake_hands(l)))
                return;

        do
                status = attestd_connection_read(l->connection, data, sizeof data, &n, NULL, &error);
        while (status == ATTESTD_DONE);

        if (status == ATTESTD_END || status == ATTESTD_FAILED) {
                end(l, error ? error->message : "the peer has ended");
                return;
        }
        want_write(l, status == ATTESTD_WANT_WRITE);
        note(l);
}

static void add(int fd, bool is_server) {
        Link *l = g_new0(Link, 1);
        int yes = 1;

        if (fcntl(fd, F_SETFL, O_NONBLOCK) < 0)
                err(1, "fcntl");
        (void) setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
        l->fd = fd;
        l->ssl = SSL_new(ctx);
        if (!l->ssl || SSL_set_fd(l->ssl, fd) != 1)
                errx(1, "no SSL");
        if (is_server) {
                SSL_set_accept_state(l->ssl);
        } else {
                if (SSL_set1_host(l->ssl, name) != 1 || SSL_set_tlsext_host_name(l->ssl, name) != 1)
                        errx(1, "--name %s", name);
                SSL_set_connect_state(l->ssl);
        }
        g_ptr_array_add(links, l);
        watch(fd, EPOLLIN, l);
        drive(l);
}

static void accept_all(void) {
        int fd;

        while ((fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC)) >= 0)
                add(fd, true);
        if (errno != EAGAIN && errno != ECONNABORTED)
                err(1, "accept");
}

static void connect_more(void) {
        struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons((uint16_t) port) };

        address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        while (links->len < (guint) sessions && links->len - n_opened - n_failed < OPENING_MAX) {
                int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

                if (fd < 0 || connect(fd, (struct sockaddr *) &address, sizeof address) < 0)
                        err(1, "connect");
                add(fd, false);
        }
}

static void listen_here(void) {
        struct sockaddr_in address = { .sin_family = AF_INET };
        socklen_t size = sizeof address;

        address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        if (listener < 0 || bind(listener, (struct sockaddr *) &address, sizeof address) < 0 ||
            listen(listener, 4096) < 0 || getsockname(listener, (struct sockaddr *) &address, &size) < 0)
                err(1, "cannot listen");
        watch(listener, EPOLLIN, &listener);
        printf("port %d\n", ntohs(address.sin_port));
}

/* ----- the program */

static void raise_descriptors(void) {
        struct rlimit limit;

        if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
                err(1, "getrlimit");
        limit.rlim_cur = limit.rlim_max = MAX(limit.rlim_max, 65536);
        if (setrlimit(RLIMIT_NOFILE, &limit) < 0) { /* not privileged: as far as we may */
                (void) getrlimit(RLIMIT_NOFILE, &limit);
                limit.rlim_cur = limit.rlim_max;
                (void) setrlimit(RLIMIT_NOFILE, &limit);
        }
}

static void prepare(bool is_server) {
        g_autoptr(GError) error = NULL;

        ctx = SSL_CTX_new(is_server ? TLS_server_method() : TLS_client_method());
        endpoint = attestd_endpoint_new();
        if (!ctx || !attestd_prepare(ctx, &error))
                errx(1, "SSL_CTX: %s", error ? error->message : "");
        (void) SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS); /* as who has many connections does */
        attestd_endpoint_set_timeout(endpoint, TIMEOUT_MS);
        attestd_endpoint_set_max_age(endpoint, 0);

        if (is_server) {
                if (SSL_CTX_use_certificate_chain_file(ctx, certificate) != 1 ||
                    SSL_CTX_use_PrivateKey_file(ctx, private_key, SSL_FILETYPE_PEM) != 1 ||
                    !attestd_endpoint_give_key(endpoint, SSL_CTX_get0_certificate(ctx), NULL,
                                               SSL_CTX_get0_privatekey(ctx), &error))
                        errx(1, "%s: %s", certificate, error ? error->message : "cannot be used");
                attestd_endpoint_set_give_to(endpoint, ATTESTD_GIVE_TO_ANYONE);
        } else {
                g_autofree char *policy = NULL;

                if (SSL_CTX_load_verify_locations(ctx, ca, NULL) != 1 ||
                    !g_file_get_contents(policy_file, &policy, NULL, &error) ||
                    !attestd_endpoint_name_peer(endpoint, name, NULL, &error))
                        errx(1, "%s", error ? error->message : ca);
                SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, NULL);
                attestd_endpoint_ask_with_policy(endpoint, policy);
        }
}

/* Who waits longest for the peer, or wants to be driven. */
static void sweep(void) {
        for (guint i = 0; i < links->len; i++) {
                Link *l = links->pdata[i];

                if (l->connection && attestd_connection_timeout_ms(l->connection) == 0)
                        drive(l);
        }
}

static bool read_commands(void) {
        char line[64];
        ssize_t n = read(STDIN_FILENO, line, sizeof line);

        if (n > 0)
                begin_round();
        return n > 0;
}

static void run(bool is_server) {
        gint64 sweep_us = g_get_monotonic_time();
        bool is_told = is_server;

        for (;;) {
                struct epoll_event events[256];
                int n = epoll_wait(epoll_fd, events, G_N_ELEMENTS(events), SWEEP_MS);

                for (int i = 0; i < n; i++) {
                        if (events[i].data.ptr == &listener)
                                accept_all();
                        else if (events[i].data.ptr != &epoll_fd)
                                drive(events[i].data.ptr);
                        else if (!read_commands())
                                return;
                }
                if (!is_server)
                        connect_more();
                if (g_get_monotonic_time() - sweep_us > SWEEP_MS * 1000) {
                        sweep();
                        sweep_us = g_get_monotonic_time();
                }
                if (!is_told && n_opened + n_failed == (guint) sessions) {
                        printf("open %.3f\n", (double) (g_get_monotonic_time() - started_us) / 1e6);
                        is_told = true;
                }
                if (is_round && renewed->len + n_failed >= (guint) sessions)
                        end_round();
        }
}

int main(int argc, char **argv) {
        g_autoptr(GOptionContext) context = g_option_context_new("server|client");
        g_autoptr(GError) error = NULL;
        bool is_server;

        g_option_context_add_main_entries(context, entries, NULL);
        if (!g_option_context_parse(context, &argc, &argv, &error))
                errx(2, "%s", error->message);
        is_server = argc == 2 && strcmp(argv[1], "server") == 0 && certificate && private_key;
        if (!is_server && (argc != 2 || strcmp(argv[1], "client") != 0 || port == 0 || !ca || !name || !policy_file))
                errx(2, "see --help");

        (void) signal(SIGPIPE, SIG_IGN);
        (void) setvbuf(stdout, NULL, _IOLBF, 0);
        raise_descriptors();
        started_us = g_get_monotonic_time();
        links = g_ptr_array_new_with_free_func(g_free);
        renewed = g_array_new(FALSE, FALSE, sizeof(gint64));
        epoll_fd = epoll_create1(EPOLL_CLOEXEC);
        prepare(is_server);
        watch(STDIN_FILENO, EPOLLIN, &epoll_fd);
        if (is_server)
                listen_here();
        else
                connect_more();
        run(is_server);
        return 0; /* and leaves the rest to the kernel */
}
