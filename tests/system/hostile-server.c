/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* hostile-server: a TLS server that has the right key and the wrong evidence.
 *
 * It holds the leaf's private key, may ask attestd of its own guest, and signs its
 * authenticators correctly; what it presents was made for something else. Made of
 * our own codec and ea, because libattestd would not do any of this.
 *
 *   honest   evidence of this connection: the twin of all others
 *   replay   the first connection is honest; later ones get its evidence again
 *   relay    evidence that another server gave for the same request
 *   flip     a byte of the quote changed
 *   empty    an empty authenticator
 *   plain    an HTTP server, which knows nothing of attestation
 *
 * with honest evidence, and to a client whose policy needs the log,
 *
 *   log-unasked    entries before it has asked
 *   log-wrong      entries from another place than it asked for
 *   log-endless    one entry for each request, and always more
 *   log-crumbs     nothing for each request, and always more
 *   log-after      entries behind a refusal to give any
 *   log-rewritten  an entry that is not what the kernel measured
 *   log-garbled    an entry whose digest is not that of its data
 */
#include "codec/claims.h"
#include "codec/evidence.h"
#include "crypto/digest.h"
#include "util/error.h"
#include "util/io.h"

#include "peer.h"

#include <arpa/inet.h>
#include <openssl/err.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>

static char *mode, *certificate_path, *key_path, *upstream;
static gint port;
static GBytes *kept; /* evidence of the first connection */

static const GOptionEntry options[] = {
        { "mode", 'm', 0, G_OPTION_ARG_STRING, &mode, "honest, replay, relay, flip, empty, plain, log-...", "MODE" },
        { "cert", 'c', 0, G_OPTION_ARG_FILENAME, &certificate_path, "PEM: the leaf", "FILE" },
        { "key", 'k', 0, G_OPTION_ARG_FILENAME, &key_path, "PEM: its private key", "FILE" },
        { "port", 'p', 0, G_OPTION_ARG_INT, &port, "0 for any", "PORT" },
        { "upstream", 'u', 0, G_OPTION_ARG_STRING, &upstream, "relay: the honest server's port", "PORT" },
        { NULL },
};

static GBytes *evidence_by_request(SSL *ssl, GBytes *context, GError **error) {
        g_autoptr(GBytes) request = peer_request_new(ssl, context), authenticator = NULL;

        if (!peer_write_hello(ssl, ATT_PROFILE_EVIDENCE, true, false, error) ||
            !peer_write_frame(ssl, ATT_FRAME_REQUEST, request, error))
                return NULL;
        authenticator = peer_expect_frame(ssl, ATT_FRAME_AUTHENTICATOR, error);
        return authenticator ? peer_evidence_of(ssl, authenticator, error) : NULL;
}

/* Evidence of another server, which answers our request with the victim's context. */
static GBytes *relay(GBytes *context, GError **error) {
        uint16_t to_port = (uint16_t) atoi(upstream ? upstream : "0");
        struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(to_port) };
        g_autoptr(SSL_CTX) ctx = SSL_CTX_new(TLS_client_method());
        SSL *ssl = SSL_new(ctx);
        GBytes *evidence = NULL;
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

        to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        (void) SSL_set_fd(ssl, fd);
        if (connect(fd, (struct sockaddr *) &to, sizeof to) < 0 || SSL_connect(ssl) != 1)
                att_error_set(error, ATT_ERROR_FAILED, "cannot reach the other server");
        else
                evidence = evidence_by_request(ssl, context, error);
        peer_close(ssl);
        return evidence;
}

/* One bit of MRTD, deep inside what the quoting enclave signed. */
static GBytes *flip(GBytes *evidence, GError **error) {
        g_autoptr(AttEvidence) parsed = att_evidence_decode(evidence, error);
        g_autofree uint8_t *quote = NULL;
        bool left_out;
        gsize size;

        if (!parsed)
                return NULL;
        quote = g_bytes_unref_to_data(g_steal_pointer(&parsed->tee->outblob), &size);
        quote[48 + 136] ^= 1;
        parsed->tee->outblob = g_bytes_new(quote, size);
        return att_evidence_encode(parsed, ATT_CMW_SIZE_MAX, &left_out, error);
}

static GBytes *evidence_for(SSL *ssl, GBytes *context, GError **error) {
        g_autoptr(GBytes) own = NULL;

        if (strcmp(mode, "relay") == 0)
                return relay(context, error);
        if (strcmp(mode, "replay") == 0 && kept)
                return g_bytes_ref(kept);

        own = peer_attest(ssl, ATT_PROFILE_EVIDENCE, context, error);
        if (!own)
                return NULL;
        if (!kept)
                kept = g_bytes_ref(own);
        return strcmp(mode, "flip") == 0 ? flip(own, error) : g_steal_pointer(&own);
}

static GBytes *authenticator_for(SSL *ssl, GBytes *request_bytes, GError **error) {
        g_auto(AttEaRequest) request = { 0 };
        g_autoptr(GBytes) evidence = NULL;

        if (!att_ea_request_read(request_bytes, ATT_ROLE_CLIENT, ATT_CMW_ATTESTATION_DEFAULT, &request, error))
                return NULL;
        if (strcmp(mode, "empty") != 0) {
                evidence = evidence_for(ssl, request.context, error);
                if (!evidence)
                        return NULL;
        }
        return peer_authenticator_new(ssl, &request, evidence, error);
}

/* A record of ima-ng about a file that nobody has measured. */
static GBytes *some_record(bool is_garbled) {
        static const char path[] = "/usr/bin/never-run";
        g_autoptr(GByteArray) data = g_byte_array_new();
        GByteArray *record = g_byte_array_new();
        uint8_t digest[20];

        att_put_le(data, 7 + 1 + 32, 4);
        att_put(data, "sha256:", 8);
        for (unsigned i = 0; i < 32; i++)
                att_put_le(data, i, 1);
        att_put_le(data, sizeof path, 4);
        att_put(data, path, sizeof path);

        att_bank_digest(ATT_BANK_SHA1, data->data, data->len, digest);
        digest[0] ^= is_garbled;
        att_put_le(record, 10, 4);
        att_put(record, digest, sizeof digest);
        att_put_le(record, 6, 4);
        att_put(record, "ima-ng", 6);
        att_put_le(record, data->len, 4);
        att_put(record, data->data, data->len);
        return g_byte_array_free_to_bytes(record);
}

static gboolean write_entries(SSL *ssl, uint64_t first, GBytes *entries, bool more, GError **error) {
        const AttLogEntriesFrame frame = { .log = (char *) ATT_LOG_IMA, .first = first, .entries = entries,
                                           .bank = (char *) "sha1", .more = more };
        g_autoptr(GBytes) payload = att_log_entries_encode(&frame);

        return peer_write_frame(ssl, ATT_FRAME_LOG_ENTRIES, payload, error);
}

static gboolean refuse_log(SSL *ssl, uint64_t first, GError **error) {
        g_autoptr(GBytes) none = g_bytes_new(NULL, 0), payload = NULL;
        const AttLogEntriesFrame frame = { .log = (char *) ATT_LOG_IMA, .first = first, .entries = none,
                                           .bank = (char *) "", .reason = (char *) "no" };

        payload = att_log_entries_encode(&frame);
        return peer_write_frame(ssl, ATT_FRAME_LOG_ENTRIES, payload, error);
}

/* Until the client has had enough of it. */
static gboolean serve_logs(SSL *ssl, GError **error) {
        g_autoptr(GBytes) record = some_record(strcmp(mode, "log-garbled") == 0), none = g_bytes_new(NULL, 0);

        for (;;) {
                g_autoptr(GBytes) payload = peer_expect_frame(ssl, ATT_FRAME_LOG_REQUEST, error);
                g_auto(AttLogRequestFrame) request = { 0 };
                gboolean ok;

                if (!payload || !att_log_request_decode(payload, &request, error))
                        return FALSE;
                if (strcmp(mode, "log-wrong") == 0)
                        ok = write_entries(ssl, request.from + 1, record, false, error);
                else if (strcmp(mode, "log-endless") == 0)
                        ok = write_entries(ssl, request.from, record, true, error);
                else if (strcmp(mode, "log-crumbs") == 0)
                        ok = write_entries(ssl, request.from, none, true, error);
                else if (strcmp(mode, "log-after") == 0)
                        ok = refuse_log(ssl, request.from, error) &&
                             write_entries(ssl, request.from, record, false, error);
                else
                        ok = write_entries(ssl, request.from, record, false, error);
                if (!ok)
                        return FALSE;
        }
}

static gboolean serve_frames(SSL *ssl, GError **error) {
        g_autoptr(GBytes) hello = NULL, request = NULL, authenticator = NULL, verdict = NULL, end = NULL;

        hello = peer_expect_frame(ssl, ATT_FRAME_HELLO, error);
        if (!hello || !peer_write_hello(ssl, ATT_PROFILE_EVIDENCE, false, true, error))
                return FALSE;
        request = peer_expect_frame(ssl, ATT_FRAME_REQUEST, error);
        if (!request)
                return FALSE;
        authenticator = authenticator_for(ssl, request, error);
        if (authenticator && strcmp(mode, "log-unasked") == 0) {
                g_autoptr(GBytes) record = some_record(false);

                if (!write_entries(ssl, 0, record, false, error))
                        return FALSE;
        }
        if (!authenticator || !peer_write_frame(ssl, ATT_FRAME_AUTHENTICATOR, authenticator, error))
                return FALSE;
        if (g_str_has_prefix(mode, "log-"))
                return serve_logs(ssl, error);
        verdict = peer_expect_frame(ssl, ATT_FRAME_ACCEPTED, error);
        if (!verdict)
                return FALSE;
        /* To leave now would look like a stream that was cut. */
        end = peer_expect_frame(ssl, ATT_FRAME_END, NULL);
        return !end || peer_write_frame(ssl, ATT_FRAME_END, end, error);
}

static gboolean serve_plain(SSL *ssl, GError **error) {
        static const char answer[] = "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n";
        uint8_t some[64];
        size_t n;

        if (SSL_read_ex(ssl, some, sizeof some, &n) != 1 || SSL_write_ex(ssl, answer, sizeof answer - 1, &n) != 1)
                return att_error_set(error, ATT_ERROR_FAILED, "the peer has gone");
        return TRUE;
}

static void serve(SSL_CTX *ctx, int fd) {
        g_autoptr(GError) error = NULL;
        SSL *ssl = SSL_new(ctx);

        (void) SSL_set_fd(ssl, fd);
        if (SSL_accept(ssl) != 1)
                puts("no handshake");
        else if (strcmp(mode, "plain") == 0 ? serve_plain(ssl, &error) : serve_frames(ssl, &error))
                puts(strcmp(mode, "plain") == 0 ? "answered" : "the peer accepted");
        else
                printf("the peer did not accept: %s\n", error->message);
        (void) fflush(stdout);
        peer_close(ssl);
        ERR_clear_error();
}

static int listen_on(guint16 wanted) {
        struct sockaddr_in at = { .sin_family = AF_INET, .sin_port = htons(wanted) };
        socklen_t size = sizeof at;
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;

        at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        (void) setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
        if (bind(fd, (struct sockaddr *) &at, sizeof at) < 0 || listen(fd, 16) < 0 ||
            getsockname(fd, (struct sockaddr *) &at, &size) < 0) {
                perror("hostile-server: cannot listen");
                exit(1);
        }
        printf("listening %u\n", ntohs(at.sin_port));
        (void) fflush(stdout);
        return fd;
}

int main(int argc, char **argv) {
        g_autoptr(GOptionContext) context = g_option_context_new("- the right key and the wrong evidence");
        g_autoptr(SSL_CTX) ctx = SSL_CTX_new(TLS_server_method());
        g_autoptr(GError) error = NULL;
        int fd;

        g_option_context_add_main_entries(context, options, NULL);
        if (!g_option_context_parse(context, &argc, &argv, &error) || !mode || !certificate_path || !key_path) {
                (void) fprintf(stderr, "hostile-server: %s\n", error ? error->message : "needs --mode, --cert, --key");
                return 2;
        }

        (void) signal(SIGPIPE, SIG_IGN);
        if (SSL_CTX_use_certificate_chain_file(ctx, certificate_path) != 1 ||
            SSL_CTX_use_PrivateKey_file(ctx, key_path, SSL_FILETYPE_PEM) != 1 ||
            SSL_CTX_set_min_proto_version(ctx, TLS1_3_VERSION) != 1 || SSL_CTX_set_num_tickets(ctx, 0) != 1) {
                ERR_print_errors_fp(stderr);
                return 2;
        }

        fd = listen_on((guint16) port);
        for (;;) {
                int connection = accept4(fd, NULL, NULL, SOCK_CLOEXEC);

                if (connection >= 0)
                        serve(ctx, connection);
        }
}
