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
 */
#include "codec/claims.h"
#include "codec/evidence.h"
#include "codec/frame.h"
#include "codec/tls-handshake.h"
#include "crypto/digest.h"
#include "ea/authenticator.h"
#include "util/error.h"
#include "util/io.h"

#include <arpa/inet.h>
#include <gio/gio.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>

#define NAME "org.attestd.Attester1"
#define PATH "/org/attestd/Attester1"

static char *mode, *certificate_path, *key_path, *upstream;
static gint port;
static GBytes *kept; /* evidence of the first connection */

static const GOptionEntry options[] = {
        { "mode", 'm', 0, G_OPTION_ARG_STRING, &mode, "honest, replay, relay, flip, empty or plain", "MODE" },
        { "cert", 'c', 0, G_OPTION_ARG_FILENAME, &certificate_path, "PEM: the leaf", "FILE" },
        { "key", 'k', 0, G_OPTION_ARG_FILENAME, &key_path, "PEM: its private key", "FILE" },
        { "port", 'p', 0, G_OPTION_ARG_INT, &port, "0 for any", "PORT" },
        { "upstream", 'u', 0, G_OPTION_ARG_STRING, &upstream, "relay: the honest server's port", "PORT" },
        { NULL },
};

G_DEFINE_AUTOPTR_CLEANUP_FUNC(SSL, SSL_free)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(SSL_CTX, SSL_CTX_free)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(EVP_MD_CTX, EVP_MD_CTX_free)

static void close_connection(SSL *ssl) {
        if (!ssl)
                return;

        (void) SSL_shutdown(ssl);
        (void) close(SSL_get_fd(ssl));
        SSL_free(ssl);
}

static gboolean read_all(SSL *ssl, void *data, size_t size, GError **error) {
        for (size_t at = 0, n; at < size; at += n)
                if (SSL_read_ex(ssl, (uint8_t *) data + at, size - at, &n) != 1)
                        return att_error_set(error, ATT_ERROR_FAILED, "the peer has gone");
        return TRUE;
}

static GBytes *read_frame(SSL *ssl, AttFrameType *ret_type, GError **error) {
        uint8_t header[ATT_FRAME_HEADER_SIZE];
        g_autofree uint8_t *payload = NULL;
        size_t size;

        if (!read_all(ssl, header, sizeof header, error) || !att_frame_header(header, ret_type, &size, error))
                return NULL;
        payload = g_malloc(size + 1);
        if (!read_all(ssl, payload, size, error))
                return NULL;
        return g_bytes_new(payload, size);
}

/* The next frame of @type; others are passed over, but a refusal ends it. */
static GBytes *expect_frame(SSL *ssl, AttFrameType type, GError **error) {
        for (;;) {
                AttFrameType found;
                g_autoptr(GBytes) payload = read_frame(ssl, &found, error);

                if (!payload)
                        return NULL;
                if (found == type)
                        return g_steal_pointer(&payload);
                if (found == ATT_FRAME_REFUSED) {
                        g_auto(AttVerdictFrame) verdict = { 0 };

                        if (att_verdict_frame_decode(found, payload, &verdict, error))
                                att_error_set(error, ATT_ERROR_REFUSED, "%s", verdict.reason);
                        return NULL;
                }
        }
}

static gboolean write_frame(SSL *ssl, AttFrameType type, GBytes *payload, GError **error) {
        g_autoptr(GByteArray) out = g_byte_array_new();
        size_t n;

        att_frame_put(out, type, g_bytes_get_data(payload, NULL), g_bytes_get_size(payload));
        if (SSL_write_ex(ssl, out->data, out->len, &n) != 1)
                return att_error_set(error, ATT_ERROR_FAILED, "the peer does not read");
        return TRUE;
}

static gboolean write_hello(SSL *ssl, bool asks, bool gives, GError **error) {
        char *profiles[] = { (char *) ATT_PROFILE_EVIDENCE, NULL };
        char *formats[] = { (char *) ATT_TSM_REPORT_CBOR, NULL };
        AttHello hello = { .version = 1, .profiles = profiles, .formats = formats, .asks = asks, .gives = gives };
        g_autoptr(GBytes) payload = att_hello_encode(&hello);

        return write_frame(ssl, ATT_FRAME_HELLO, payload, error);
}

static gboolean export_value(SSL *ssl, const char *label, GBytes *context, void *ret, size_t size, GError **error) {
        gsize context_size = 0;
        const uint8_t *p = context ? g_bytes_get_data(context, &context_size) : NULL;

        if (SSL_export_keying_material(ssl, ret, size, label, strlen(label), p, context_size, 1) != 1)
                return att_error_set(error, ATT_ERROR_FAILED, "no exporter");
        return TRUE;
}

static AttHash suite_hash(SSL *ssl) {
        const EVP_MD *md = SSL_CIPHER_get_handshake_digest(SSL_get_current_cipher(ssl));

        return EVP_MD_get_size(md) == 48 ? ATT_HASH_SHA384 : ATT_HASH_SHA256;
}

/* What attestd gives for this connection and context. */
static GVariant *bytes_argument(GBytes *bytes) {
        return g_variant_new_from_bytes(G_VARIANT_TYPE_BYTESTRING, bytes, TRUE);
}

static GBytes *attest(SSL *ssl, GBytes *context, GBytes *spki, GError **error) {
        g_autoptr(GDBusConnection) bus = g_bus_get_sync(G_BUS_TYPE_SYSTEM, NULL, error);
        g_autoptr(GVariant) opened = NULL, answer = NULL, evidence = NULL;
        g_autoptr(GBytes) exported_bytes = NULL;
        uint8_t exported[ATT_EXPORTED_SIZE];
        GVariantBuilder parameters;
        const char *session;

        if (!bus || !export_value(ssl, ATT_EXPORTER_LABEL, context, exported, sizeof exported, error))
                return NULL;

        g_variant_builder_init(&parameters, G_VARIANT_TYPE_VARDICT);
        g_variant_builder_add(&parameters, "{sv}", "role", g_variant_new_string("server"));
        g_variant_builder_add(&parameters, "{sv}", "hash", g_variant_new_string(att_hash_name(suite_hash(ssl))));
        opened = g_dbus_connection_call_sync(bus, NAME, PATH, NAME, "OpenSession",
                                             g_variant_new("(a{sv})", &parameters), G_VARIANT_TYPE("(o)"),
                                             G_DBUS_CALL_FLAGS_NONE, -1, NULL, error);
        if (!opened)
                return NULL;

        g_variant_get(opened, "(&o)", &session);
        exported_bytes = g_bytes_new(exported, sizeof exported);
        answer = g_dbus_connection_call_sync(
                bus, NAME, session, NAME ".Session", "Attest",
                g_variant_new("(@ay@ay@aya{sv})", bytes_argument(exported_bytes), bytes_argument(context),
                              bytes_argument(spki), NULL),
                G_VARIANT_TYPE("(aya{sv})"), G_DBUS_CALL_FLAGS_NONE, 60000, NULL, error);
        if (!answer)
                return NULL;

        evidence = g_variant_get_child_value(answer, 0);
        return g_variant_get_data_as_bytes(evidence);
}

/* Evidence of another server, which answers our request with the victim's context. */
static GBytes *relay(GBytes *context, GError **error) {
        uint16_t to_port = (uint16_t) atoi(upstream ? upstream : "0");
        struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(to_port) };
        g_autoptr(SSL_CTX) ctx = SSL_CTX_new(TLS_client_method());
        g_auto(AttTlsAuthenticator) parsed = { 0 };
        g_autoptr(GBytes) request = NULL, authenticator = NULL;
        SSL *ssl = SSL_new(ctx);
        GBytes *cmw = NULL;
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

        to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        (void) SSL_set_fd(ssl, fd);
        if (connect(fd, (struct sockaddr *) &to, sizeof to) < 0 || SSL_connect(ssl) != 1)
                att_error_set(error, ATT_ERROR_FAILED, "cannot reach the other server");
        else if (write_hello(ssl, true, false, error)) {
                AttCursor data;

                request = att_tls_request_build(ATT_TLS_CLIENT_CERTIFICATE_REQUEST, context, att_schemes, att_n_schemes,
                                                ATT_CMW_ATTESTATION_DEFAULT);
                if (write_frame(ssl, ATT_FRAME_REQUEST, request, error))
                        authenticator = expect_frame(ssl, ATT_FRAME_AUTHENTICATOR, error);
                if (authenticator &&
                    att_tls_authenticator_parse(authenticator, att_hash_size(suite_hash(ssl)), &parsed, error)) {
                        AttTlsCertificateEntry *entry =
                                parsed.is_empty ? NULL : &g_array_index(parsed.entries, AttTlsCertificateEntry, 0);

                        if (!entry || entry->n_extensions != 1 ||
                            !att_tls_cmw_attestation_parse(entry->extensions[0].data, &data, error))
                                att_error_set(error, ATT_ERROR_FAILED, "the other server gave no evidence");
                        else
                                cmw = att_cursor_dup(&data);
                }
        }
        close_connection(ssl);
        return cmw;
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

static GBytes *evidence_for(SSL *ssl, GBytes *context, GBytes *spki, GError **error) {
        g_autoptr(GBytes) own = NULL;

        if (strcmp(mode, "relay") == 0)
                return relay(context, error);
        if (strcmp(mode, "replay") == 0 && kept)
                return g_bytes_ref(kept);

        own = attest(ssl, context, spki, error);
        if (!own)
                return NULL;
        if (!kept)
                kept = g_bytes_ref(own);
        return strcmp(mode, "flip") == 0 ? flip(own, error) : g_steal_pointer(&own);
}

static GBytes *sign(EVP_PKEY *key, uint16_t scheme, GBytes *message, GError **error) {
        g_autoptr(EVP_MD_CTX) ctx = EVP_MD_CTX_new();
        const EVP_MD *md = scheme == ATT_SCHEME_ED25519                     ? NULL
                           : scheme == ATT_SCHEME_ECDSA_SECP384R1_SHA384 ? EVP_sha384()
                                                                            : EVP_sha256();
        uint8_t signature[1024];
        size_t size = sizeof signature;

        if (EVP_DigestSignInit(ctx, NULL, md, NULL, key) <= 0 ||
            EVP_DigestSign(ctx, signature, &size, g_bytes_get_data(message, NULL), g_bytes_get_size(message)) <= 0) {
                att_error_set(error, ATT_ERROR_FAILED, "cannot sign");
                return NULL;
        }
        return g_bytes_new(signature, size);
}

static GBytes *authenticator_for(SSL *ssl, GBytes *request_bytes, GError **error) {
        g_auto(AttEaKeys) keys = { .hash = suite_hash(ssl), .sender = ATT_ROLE_SERVER };
        g_autoptr(GPtrArray) certificates = g_ptr_array_new_with_free_func((GDestroyNotify) g_bytes_unref);
        g_autoptr(GBytes) spki = NULL, cmw = NULL, to_be_signed = NULL, signature = NULL;
        g_auto(AttEaRequest) request = { 0 };
        g_autoptr(AttCertificate) leaf = NULL;
        g_autoptr(AttEaDraft) draft = NULL;
        g_autofree uint8_t *der = NULL;
        int der_size = i2d_X509(SSL_get_certificate(ssl), &der);
        size_t size = att_hash_size(keys.hash);

        if (!att_ea_request_read(request_bytes, ATT_ROLE_CLIENT, ATT_CMW_ATTESTATION_DEFAULT, &request, error) ||
            !export_value(ssl, ATT_EA_LABEL_SERVER_CONTEXT, NULL, keys.handshake_context, size, error) ||
            !export_value(ssl, ATT_EA_LABEL_SERVER_FINISHED, NULL, keys.finished_key, size, error))
                return NULL;
        if (strcmp(mode, "empty") == 0)
                return att_ea_empty_new(&keys, &request);

        g_ptr_array_add(certificates, g_bytes_new(der, (gsize) der_size));
        leaf = att_certificate_from_der(der, (size_t) der_size, error);
        if (!leaf)
                return NULL;

        spki = att_certificate_dup_spki(leaf);
        cmw = evidence_for(ssl, request.context, spki, error);
        if (!cmw)
                return NULL;

        draft = att_ea_draft_new(&keys, &request, certificates, ATT_CMW_ATTESTATION_DEFAULT, cmw, error);
        if (!draft)
                return NULL;
        to_be_signed = att_ea_draft_to_be_signed(draft);
        signature = sign(SSL_get_privatekey(ssl), att_ea_draft_scheme(draft), to_be_signed, error);
        return signature ? att_ea_draft_finish(draft, signature, error) : NULL;
}

static gboolean serve_frames(SSL *ssl, GError **error) {
        g_autoptr(GBytes) hello = NULL, request = NULL, authenticator = NULL, verdict = NULL, end = NULL;

        hello = expect_frame(ssl, ATT_FRAME_HELLO, error);
        if (!hello || !write_hello(ssl, false, true, error))
                return FALSE;
        request = expect_frame(ssl, ATT_FRAME_REQUEST, error);
        if (!request)
                return FALSE;
        authenticator = authenticator_for(ssl, request, error);
        if (!authenticator || !write_frame(ssl, ATT_FRAME_AUTHENTICATOR, authenticator, error))
                return FALSE;
        verdict = expect_frame(ssl, ATT_FRAME_ACCEPTED, error);
        if (!verdict)
                return FALSE;
        /* To leave now would look like a stream that was cut. */
        end = expect_frame(ssl, ATT_FRAME_END, NULL);
        return !end || write_frame(ssl, ATT_FRAME_END, end, error);
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
        close_connection(ssl);
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
