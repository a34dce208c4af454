/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "peer.h"

#include "codec/evidence.h"
#include "codec/tls-handshake.h"
#include "crypto/digest.h"
#include "util/error.h"

#include <gio/gio.h>
#include <openssl/x509.h>
#include <unistd.h>

#define NAME "org.attestd.Attester1"
#define PATH "/org/attestd/Attester1"

G_DEFINE_AUTOPTR_CLEANUP_FUNC(EVP_MD_CTX, EVP_MD_CTX_free)

void peer_close(SSL *ssl) {
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

GBytes *peer_read_frame(SSL *ssl, AttFrameType *ret_type, GError **error) {
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

GBytes *peer_expect_frame(SSL *ssl, AttFrameType type, GError **error) {
        for (;;) {
                AttFrameType found;
                g_autoptr(GBytes) payload = peer_read_frame(ssl, &found, error);

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

gboolean peer_write_frame(SSL *ssl, AttFrameType type, GBytes *payload, GError **error) {
        g_autoptr(GByteArray) out = g_byte_array_new();
        size_t n;

        att_frame_put(out, type, g_bytes_get_data(payload, NULL), g_bytes_get_size(payload));
        if (SSL_write_ex(ssl, out->data, out->len, &n) != 1)
                return att_error_set(error, ATT_ERROR_FAILED, "the peer does not read");
        return TRUE;
}

gboolean peer_write_hello(SSL *ssl, const char *profile, bool asks, bool gives, GError **error) {
        char *profiles[] = { (char *) profile, NULL };
        char *formats[] = { (char *) ATT_TSM_REPORT_CBOR, NULL };
        AttHello hello = { .version = 1, .profiles = profiles, .formats = formats, .asks = asks, .gives = gives };
        g_autoptr(GBytes) payload = att_hello_encode(&hello);

        return peer_write_frame(ssl, ATT_FRAME_HELLO, payload, error);
}

static AttRole role_of(SSL *ssl) {
        return SSL_is_server(ssl) ? ATT_ROLE_SERVER : ATT_ROLE_CLIENT;
}

static gboolean export_value(SSL *ssl, const char *label, GBytes *context, void *ret, size_t size, GError **error) {
        gsize context_size = 0;
        const uint8_t *p = context ? g_bytes_get_data(context, &context_size) : NULL;

        if (SSL_export_keying_material(ssl, ret, size, label, strlen(label), p, context_size, 1) != 1)
                return att_error_set(error, ATT_ERROR_FAILED, "no exporter");
        return TRUE;
}

AttHash peer_hash(SSL *ssl) {
        const EVP_MD *md = SSL_CIPHER_get_handshake_digest(SSL_get_current_cipher(ssl));

        return EVP_MD_get_size(md) == 48 ? ATT_HASH_SHA384 : ATT_HASH_SHA256;
}

GBytes *peer_request_new(SSL *ssl, GBytes *context) {
        return att_tls_request_build(SSL_is_server(ssl) ? ATT_TLS_CERTIFICATE_REQUEST :
                                                          ATT_TLS_CLIENT_CERTIFICATE_REQUEST,
                                     context, att_schemes, att_n_schemes, ATT_CMW_ATTESTATION_DEFAULT);
}

static GBytes *leaf_der(SSL *ssl) {
        g_autofree uint8_t *der = NULL;
        int size = i2d_X509(SSL_get_certificate(ssl), &der);

        return g_bytes_new(der, (gsize) size);
}

static GVariant *bytes_argument(GBytes *bytes) {
        return g_variant_new_from_bytes(G_VARIANT_TYPE_BYTESTRING, bytes, TRUE);
}

static GVariant *call(GDBusConnection *bus, const char *path, const char *interface, const char *method,
                      GVariant *arguments, const char *reply, GError **error) {
        return g_dbus_connection_call_sync(bus, NAME, path, interface, method, arguments, G_VARIANT_TYPE(reply),
                                           G_DBUS_CALL_FLAGS_NONE, 60000, NULL, error);
}

GBytes *peer_attest(SSL *ssl, const char *profile, GBytes *context, GError **error) {
        g_autoptr(GBytes) der = leaf_der(ssl), spki = NULL, exported_bytes = NULL;
        g_autoptr(AttCertificate) leaf = NULL;
        g_autoptr(GDBusConnection) bus = g_bus_get_sync(G_BUS_TYPE_SYSTEM, NULL, error);
        g_autoptr(GVariant) opened = NULL, answer = NULL, evidence = NULL;
        uint8_t exported[ATT_EXPORTED_SIZE];
        GVariantBuilder parameters, options;
        const char *session;

        leaf = bus ? att_certificate_from_der(g_bytes_get_data(der, NULL), g_bytes_get_size(der), error) : NULL;
        if (!leaf || !export_value(ssl, ATT_EXPORTER_LABEL, context, exported, sizeof exported, error))
                return NULL;

        g_variant_builder_init(&parameters, G_VARIANT_TYPE_VARDICT);
        g_variant_builder_add(&parameters, "{sv}", "role", g_variant_new_string(att_role_name(role_of(ssl))));
        g_variant_builder_add(&parameters, "{sv}", "hash", g_variant_new_string(att_hash_name(peer_hash(ssl))));
        opened = call(bus, PATH, NAME, "OpenSession", g_variant_new("(a{sv})", &parameters), "(o)", error);
        if (!opened)
                return NULL;

        g_variant_get(opened, "(&o)", &session);
        spki = att_certificate_dup_spki(leaf);
        exported_bytes = g_bytes_new(exported, sizeof exported);
        g_variant_builder_init(&options, G_VARIANT_TYPE_VARDICT);
        g_variant_builder_add(&options, "{sv}", "profile", g_variant_new_string(profile));
        answer = call(bus, session, NAME ".Session", "Attest",
                      g_variant_new("(@ay@ay@aya{sv})", bytes_argument(exported_bytes), bytes_argument(context),
                                    bytes_argument(spki), &options),
                      "(aya{sv})", error);
        if (!answer)
                return NULL;
        evidence = g_variant_get_child_value(answer, 0);
        return g_variant_get_data_as_bytes(evidence);
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

GBytes *peer_authenticator_new(SSL *ssl, const AttEaRequest *request, GBytes *evidence, GError **error) {
        bool server = SSL_is_server(ssl);
        g_auto(AttEaKeys) keys = { .hash = peer_hash(ssl), .sender = role_of(ssl) };
        g_autoptr(GPtrArray) certificates = g_ptr_array_new_with_free_func((GDestroyNotify) g_bytes_unref);
        g_autoptr(GBytes) to_be_signed = NULL, signature = NULL;
        g_autoptr(AttEaDraft) draft = NULL;
        size_t size = att_hash_size(keys.hash);

        if (!export_value(ssl, server ? ATT_EA_LABEL_SERVER_CONTEXT : ATT_EA_LABEL_CLIENT_CONTEXT, NULL,
                          keys.handshake_context, size, error) ||
            !export_value(ssl, server ? ATT_EA_LABEL_SERVER_FINISHED : ATT_EA_LABEL_CLIENT_FINISHED, NULL,
                          keys.finished_key, size, error))
                return NULL;
        if (!evidence)
                return att_ea_empty_new(&keys, request);

        g_ptr_array_add(certificates, leaf_der(ssl));
        draft = att_ea_draft_new(&keys, request, certificates, ATT_CMW_ATTESTATION_DEFAULT, evidence, error);
        if (!draft)
                return NULL;
        to_be_signed = att_ea_draft_to_be_signed(draft);
        signature = sign(SSL_get_privatekey(ssl), att_ea_draft_scheme(draft), to_be_signed, error);
        return signature ? att_ea_draft_finish(draft, signature, error) : NULL;
}

GBytes *peer_evidence_of(SSL *ssl, GBytes *authenticator, GError **error) {
        g_auto(AttTlsAuthenticator) parsed = { 0 };
        AttTlsCertificateEntry *entry;
        AttCursor data;

        if (!att_tls_authenticator_parse(authenticator, att_hash_size(peer_hash(ssl)), &parsed, error))
                return NULL;
        entry = parsed.is_empty ? NULL : &g_array_index(parsed.entries, AttTlsCertificateEntry, 0);
        if (!entry || entry->n_extensions != 1 ||
            !att_tls_cmw_attestation_parse(entry->extensions[0].data, &data, NULL)) {
                att_error_set(error, ATT_ERROR_FAILED, "the peer gave no evidence");
                return NULL;
        }
        return att_cursor_dup(&data);
}
