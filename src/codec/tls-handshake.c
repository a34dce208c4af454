/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "codec/tls-handshake.h"

#include "util/error.h"
#include "util/tls-terms.h"

#define HEADER_SIZE 4u
/* What a Certificate message leaves for CertificateVerify and Finished. */
#define REST_SIZE_MAX 2048u

static bool bad(GError **error, const char *what) {
        return att_error_set(error, ATT_ERROR_BAD_DATA, "TLS handshake: %s", what);
}

/* The body of the next message, which must be of @type; *@ret_message is all of it. */
static AttCursor take_message(AttCursor *c, uint8_t type, AttCursor *ret_message) {
        const uint8_t *start = c->at;
        uint8_t found = att_take_u8(c);
        AttCursor body = att_take_sub(c, att_take_u24be(c));

        if (found != type)
                *c = body = (AttCursor) { .failed = true };
        *ret_message = body.failed ? body : att_cursor(start, HEADER_SIZE + body.left);
        return body;
}

static const AttTlsExtension *find_extension(const AttTlsExtension *extensions, size_t n, uint16_t type) {
        for (size_t i = 0; i < n; i++)
                if (extensions[i].type == type)
                        return &extensions[i];
        return NULL;
}

/* Extension extensions<0..2^16-1> */
static bool take_extensions(AttCursor *c, AttTlsExtension *ret, size_t *ret_n, GError **error) {
        AttCursor list = att_take_sub(c, att_take_u16be(c));
        size_t n = 0;

        while (list.left > 0) {
                AttTlsExtension e = { .type = att_take_u16be(&list) };

                e.data = att_take_sub(&list, att_take_u16be(&list));
                if (list.failed)
                        break;
                if (find_extension(ret, n, e.type))
                        return bad(error, "an extension twice");
                if (n == ATT_TLS_EXTENSIONS_MAX)
                        return bad(error, "too many extensions");
                ret[n++] = e;
        }

        if (list.failed)
                return bad(error, "extensions do not fill their list");
        *ret_n = n;
        return true;
}

/* SignatureScheme supported_signature_algorithms<2..2^16-2> */
static bool read_schemes(const AttTlsExtension *extension, AttTlsRequest *r, GError **error) {
        if (!extension)
                return bad(error, "no signature_algorithms");

        AttCursor data = extension->data;
        AttCursor list = att_take_sub(&data, att_take_u16be(&data));

        if (!att_cursor_is_spent(&data) || list.left == 0 || list.left % 2 != 0)
                return bad(error, "signature_algorithms is not a list of schemes");
        if (list.left / 2 > ATT_TLS_SCHEMES_MAX)
                return bad(error, "too many signature schemes");

        while (list.left > 0)
                r->schemes[r->n_schemes++] = att_take_u16be(&list);
        return true;
}

gboolean att_tls_request_parse(GBytes *bytes, AttTlsRequest *ret, GError **error) {
        AttCursor c = att_cursor_bytes(bytes), message;
        AttTlsRequest r = { 0 };

        if (c.left > ATT_TLS_REQUEST_MAX)
                return att_error_set(error, ATT_ERROR_TOO_LARGE, "authenticator request over %u bytes",
                                     ATT_TLS_REQUEST_MAX);

        r.message_type = c.left > 0 ? c.at[0] : 0;
        if (r.message_type != ATT_TLS_CERTIFICATE_REQUEST && r.message_type != ATT_TLS_CLIENT_CERTIFICATE_REQUEST)
                return bad(error, "neither CertificateRequest nor ClientCertificateRequest");

        AttCursor body = take_message(&c, r.message_type, &message);
        if (!att_cursor_is_spent(&c))
                return bad(error, "not one whole authenticator request");

        r.context = att_take_sub(&body, att_take_u8(&body));
        if (!take_extensions(&body, r.extensions, &r.n_extensions, error))
                return FALSE;
        if (!att_cursor_is_spent(&body))
                return bad(error, "bytes after the extensions of the authenticator request");
        if (!read_schemes(att_tls_request_find(&r, ATT_TLS_EXT_SIGNATURE_ALGORITHMS), &r, error))
                return FALSE;

        *ret = r;
        return TRUE;
}

const AttTlsExtension *att_tls_request_find(const AttTlsRequest *request, uint16_t type) {
        return find_extension(request->extensions, request->n_extensions, type);
}

/* Where a vector of at most 2^(8*size)-1 bytes starts; end_vector() fills in its length. */
static guint begin_vector(GByteArray *out, size_t size) {
        att_put_be(out, 0, size);
        return out->len;
}

static void end_vector(GByteArray *out, guint start, size_t size) {
        guint n = out->len - start;

        for (size_t i = 1; i <= size; i++, n >>= 8)
                out->data[start - i] = (uint8_t) n;
        g_assert(n == 0);
}

static guint begin_message(GByteArray *out, uint8_t type) {
        att_put(out, &type, 1);
        return begin_vector(out, 3);
}

static GBytes *end_message(GByteArray *out, guint start) {
        end_vector(out, start, 3);
        return g_byte_array_free_to_bytes(out);
}

static void put_context(GByteArray *out, GBytes *context) {
        guint start = begin_vector(out, 1);

        att_put_bytes(out, context);
        end_vector(out, start, 1);
}

GBytes *att_tls_request_build(uint8_t message_type, GBytes *context, const uint16_t *schemes, size_t n_schemes,
                              uint16_t cmw_attestation) {
        GByteArray *out = g_byte_array_new();
        guint message = begin_message(out, message_type), extensions;

        put_context(out, context);
        extensions = begin_vector(out, 2);
        att_put_be(out, ATT_TLS_EXT_SIGNATURE_ALGORITHMS, 2);
        att_put_be(out, 2 + 2 * n_schemes, 2);
        att_put_be(out, 2 * n_schemes, 2);
        for (size_t i = 0; i < n_schemes; i++)
                att_put_be(out, schemes[i], 2);
        if (cmw_attestation != 0) {
                att_put_be(out, cmw_attestation, 2);
                att_put_be(out, 0, 2);
        }
        end_vector(out, extensions, 2);
        return end_message(out, message);
}

void att_tls_authenticator_clear(AttTlsAuthenticator *authenticator) {
        g_clear_pointer(&authenticator->entries, g_array_unref);
        *authenticator = (AttTlsAuthenticator) { 0 };
}

/* Certificate, RFC 8446 section 4.4.2 */
static bool read_certificate(AttCursor body, AttTlsAuthenticator *a, GError **error) {
        a->context = att_take_sub(&body, att_take_u8(&body));
        AttCursor list = att_take_sub(&body, att_take_u24be(&body));

        if (!att_cursor_is_spent(&body))
                return bad(error, "Certificate does not fill its message");
        if (list.left == 0)
                return bad(error, "Certificate without an entry");

        while (list.left > 0) {
                AttTlsCertificateEntry e = { .n_extensions = 0 };

                if (a->entries->len == ATT_TLS_CERTIFICATES_MAX)
                        return bad(error, "too many certificates");
                e.der = att_take_sub(&list, att_take_u24be(&list));
                if (e.der.failed || e.der.left == 0)
                        return bad(error, "an empty or cut certificate");
                if (!take_extensions(&list, e.extensions, &e.n_extensions, error))
                        return false;
                g_array_append_val(a->entries, e);
        }
        return true;
}

/* CertificateVerify, RFC 8446 section 4.4.3 */
static bool read_certificate_verify(AttCursor body, AttTlsAuthenticator *a, GError **error) {
        a->scheme = att_take_u16be(&body);
        a->signature = att_take_sub(&body, att_take_u16be(&body));
        if (!att_cursor_is_spent(&body) || a->signature.left == 0)
                return bad(error, "CertificateVerify does not fill its message");
        return true;
}

gboolean att_tls_authenticator_parse(GBytes *bytes, size_t hash_size, AttTlsAuthenticator *ret, GError **error) {
        g_auto(AttTlsAuthenticator) a = { 0 };
        AttCursor c = att_cursor_bytes(bytes);

        if (c.left > ATT_TLS_AUTHENTICATOR_MAX)
                return att_error_set(error, ATT_ERROR_TOO_LARGE, "authenticator over %u bytes",
                                     ATT_TLS_AUTHENTICATOR_MAX);

        a.entries = g_array_new(FALSE, FALSE, sizeof(AttTlsCertificateEntry));
        a.is_empty = c.left > 0 && c.at[0] == ATT_TLS_FINISHED;
        if (!a.is_empty) {
                AttCursor certificate = take_message(&c, ATT_TLS_CERTIFICATE, &a.certificate_message);
                AttCursor verify = take_message(&c, ATT_TLS_CERTIFICATE_VERIFY, &a.certificate_verify_message);

                if (c.failed)
                        return bad(error, "not Certificate, CertificateVerify, Finished");
                if (!read_certificate(certificate, &a, error) || !read_certificate_verify(verify, &a, error))
                        return FALSE;
        }

        a.verify_data = take_message(&c, ATT_TLS_FINISHED, &a.finished_message);
        if (!att_cursor_is_spent(&c))
                return bad(error, "no Finished at the end, or bytes after it");
        if (a.verify_data.left != hash_size)
                return bad(error, "Finished is not as long as the hash of the cipher suite");

        *ret = a;
        a.entries = NULL;
        return TRUE;
}

/* CertificateEntry, with cmw_attestation if @cmw is given. */
static void put_entry(GByteArray *out, GBytes *der, uint16_t cmw_attestation, GBytes *cmw) {
        guint data = begin_vector(out, 3), extensions;

        att_put_bytes(out, der);
        end_vector(out, data, 3);

        extensions = begin_vector(out, 2);
        if (cmw) {
                guint extension, vector;

                att_put_be(out, cmw_attestation, 2);
                extension = begin_vector(out, 2);
                vector = begin_vector(out, 2);
                att_put_bytes(out, cmw);
                end_vector(out, vector, 2);
                end_vector(out, extension, 2);
        }
        end_vector(out, extensions, 2);
}

GBytes *att_tls_certificate_build(GBytes *context, GPtrArray *certificates, uint16_t cmw_attestation, GBytes *cmw,
                                  GError **error) {
        size_t cmw_size = cmw ? g_bytes_get_size(cmw) : 0, total = cmw_size;
        bool whole = g_bytes_get_size(context) <= ATT_CONTEXT_SIZE_MAX &&
                     (!cmw || (cmw_size > 0 && certificates->len > 0));
        GByteArray *out;
        guint message, list;

        for (guint i = 0; i < certificates->len && total <= ATT_TLS_AUTHENTICATOR_MAX; i++) {
                size_t size = g_bytes_get_size(g_ptr_array_index(certificates, i));

                whole = whole && size > 0;
                total += MIN(size, ATT_TLS_AUTHENTICATOR_MAX) + HEADER_SIZE + HEADER_SIZE;
        }
        if (!whole) {
                att_error_set(error, ATT_ERROR_INVALID_ARGUMENT,
                              "a context over %u bytes, an empty certificate or CMW, or a CMW without a certificate",
                              ATT_CONTEXT_SIZE_MAX);
                return NULL;
        }
        if (cmw_size > ATT_CMW_SIZE_MAX || certificates->len > ATT_TLS_CERTIFICATES_MAX ||
            total > ATT_TLS_AUTHENTICATOR_MAX - REST_SIZE_MAX) {
                att_error_set(error, ATT_ERROR_TOO_LARGE,
                              "over %u bytes of evidence, over %u certificates, or over %u bytes of both",
                              ATT_CMW_SIZE_MAX, ATT_TLS_CERTIFICATES_MAX, ATT_TLS_AUTHENTICATOR_MAX - REST_SIZE_MAX);
                return NULL;
        }

        out = g_byte_array_new();
        message = begin_message(out, ATT_TLS_CERTIFICATE);
        put_context(out, context);
        list = begin_vector(out, 3);
        for (guint i = 0; i < certificates->len; i++)
                put_entry(out, g_ptr_array_index(certificates, i), cmw_attestation, i == 0 ? cmw : NULL);
        end_vector(out, list, 3);
        return end_message(out, message);
}

GBytes *att_tls_certificate_verify_build(uint16_t scheme, GBytes *signature) {
        GByteArray *out = g_byte_array_new();
        guint message = begin_message(out, ATT_TLS_CERTIFICATE_VERIFY), vector;

        att_put_be(out, scheme, 2);
        vector = begin_vector(out, 2);
        att_put_bytes(out, signature);
        end_vector(out, vector, 2);
        return end_message(out, message);
}

GBytes *att_tls_finished_build(const uint8_t *verify_data, size_t size) {
        GByteArray *out = g_byte_array_new();
        guint message = begin_message(out, ATT_TLS_FINISHED);

        att_put(out, verify_data, size);
        return end_message(out, message);
}

gboolean att_tls_cmw_attestation_parse(AttCursor extension_data, AttCursor *ret_cmw, GError **error) {
        AttCursor cmw = att_take_sub(&extension_data, att_take_u16be(&extension_data));

        if (!att_cursor_is_spent(&extension_data) || cmw.left == 0)
                return bad(error, "cmw_attestation is not one CMW");
        if (cmw.left > ATT_CMW_SIZE_MAX)
                return att_error_set(error, ATT_ERROR_TOO_LARGE, "evidence over %u bytes", ATT_CMW_SIZE_MAX);
        *ret_cmw = cmw;
        return TRUE;
}
