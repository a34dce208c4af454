/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "ea/authenticator.h"

#include "codec/tls-handshake.h"
#include "util/error.h"

/* RFC 9261 section 5.2.2: what is signed begins so, and with nothing else. */
#define PADDING_SIZE 64u
#define CONTEXT_STRING "Exported Authenticator"

void att_ea_keys_clear(AttEaKeys *keys) {
        att_cleanse(keys, sizeof *keys);
}

/* What an exporter never gives, and a caller has that did not look whether it failed:
 * with keys that everybody knows nothing here would mean anything. */
static gboolean check_keys(const AttEaKeys *keys, GError **error) {
        static const uint8_t nothing[ATT_HASH_SIZE_MAX];
        size_t size = att_hash_size(keys->hash);

        if (att_equal(keys->handshake_context, nothing, size) || att_equal(keys->finished_key, nothing, size))
                return att_error_set(error, ATT_ERROR_INVALID_ARGUMENT, "the exported keys are all zero");
        return TRUE;
}

static AttPart part(GBytes *bytes) {
        gsize size;
        const void *data = g_bytes_get_data(bytes, &size);

        return (AttPart) { .data = data, .size = size };
}

static AttPart part_of(const AttCursor *c) {
        return (AttPart) { .data = c->at, .size = c->left };
}

/* Hash(Handshake Context || request || Certificate [|| CertificateVerify]), each
 * message with its handshake header. */
static void transcript(const AttEaKeys *keys, AttPart request, AttPart certificate, AttPart certificate_verify,
                       uint8_t *ret) {
        const AttPart parts[] = {
                { keys->handshake_context, att_hash_size(keys->hash) }, request, certificate, certificate_verify,
        };

        att_hash_parts(keys->hash, parts, G_N_ELEMENTS(parts), ret);
}

static GBytes *to_be_signed(const AttEaKeys *keys, AttPart request, AttPart certificate) {
        g_autoptr(GByteArray) out = g_byte_array_sized_new(PADDING_SIZE + sizeof CONTEXT_STRING + ATT_HASH_SIZE_MAX);
        uint8_t digest[ATT_HASH_SIZE_MAX];

        transcript(keys, request, certificate, (AttPart) { 0 }, digest);
        for (size_t i = 0; i < PADDING_SIZE; i++)
                att_put_be(out, 0x20, 1);
        att_put(out, CONTEXT_STRING, sizeof CONTEXT_STRING); /* with its NUL: the separator */
        att_put(out, digest, att_hash_size(keys->hash));
        return g_byte_array_free_to_bytes(g_steal_pointer(&out));
}

/* verify_data of Finished; att_hash_size() bytes. */
static void finished(const AttEaKeys *keys, AttPart request, AttPart certificate, AttPart certificate_verify,
                     uint8_t *ret) {
        uint8_t digest[ATT_HASH_SIZE_MAX];
        size_t size = att_hash_size(keys->hash);

        transcript(keys, request, certificate, certificate_verify, digest);
        att_hmac(keys->hash, keys->finished_key, size, digest, size, ret);
}

/* The Certificate that an empty authenticator hashes, and does not send: the
 * request's context and no entry. */
static GBytes *no_certificate(GBytes *context) {
        g_autoptr(GPtrArray) none = g_ptr_array_new();
        GBytes *certificate = att_tls_certificate_build(context, none, 0, NULL, NULL);

        g_assert(certificate); /* a context that was read or made here is not too long */
        return certificate;
}

/* Which role's authenticator does this request ask for? */
static AttRole asked_role(uint8_t message_type) {
        return message_type == ATT_TLS_CERTIFICATE_REQUEST ? ATT_ROLE_CLIENT : ATT_ROLE_SERVER;
}

/* Making one */

struct AttEaDraft {
        AttEaKeys keys;
        AttKey *key; /* the leaf's */
        uint16_t scheme;
        GBytes *request;
        GBytes *certificate; /* the message */
};

void att_ea_draft_free(AttEaDraft *draft) {
        if (!draft)
                return;

        att_ea_keys_clear(&draft->keys);
        g_clear_pointer(&draft->key, att_key_free);
        g_clear_pointer(&draft->request, g_bytes_unref);
        g_clear_pointer(&draft->certificate, g_bytes_unref);
        g_free(draft);
}

/* Of the leaf; the other certificates must be ones too. */
static AttKey *read_leaf_key(GPtrArray *certificates, GError **error) {
        g_autoptr(AttKey) key = NULL;

        for (guint i = 0; i < certificates->len; i++) {
                AttPart der = part(g_ptr_array_index(certificates, i));
                g_autoptr(AttCertificate) certificate = att_certificate_from_der(der.data, der.size, NULL);

                if (!certificate) {
                        att_error_set(error, ATT_ERROR_INVALID_ARGUMENT, "certificate %u is not one in DER", i);
                        return NULL;
                }
                if (i == 0)
                        key = att_certificate_dup_key(certificate, error);
                if (!key)
                        return NULL;
        }
        if (!key)
                att_error_set(error, ATT_ERROR_INVALID_ARGUMENT, "an authenticator needs a certificate");
        return g_steal_pointer(&key);
}

AttEaDraft *att_ea_draft_new(const AttEaKeys *keys, const AttEaRequest *request, GPtrArray *certificates,
                             uint16_t cmw_attestation, GBytes *cmw, GError **error) {
        g_autoptr(AttEaDraft) draft = g_new0(AttEaDraft, 1);
        const uint8_t *type = g_bytes_get_data(request->bytes, NULL);

        if (!check_keys(keys, error))
                return NULL;
        if (asked_role(*type) != keys->sender) {
                att_error_set(error, ATT_ERROR_INVALID_ARGUMENT, "the request does not ask the %s",
                              att_role_name(keys->sender));
                return NULL;
        }
        if (cmw && !request->asks_for_cmw) {
                att_error_set(error, ATT_ERROR_INVALID_ARGUMENT,
                              "extension-not-offered: the request does not ask for evidence");
                return NULL;
        }

        draft->key = read_leaf_key(certificates, error);
        if (!draft->key)
                return NULL;
        draft->scheme = att_key_choose_scheme(draft->key, request->schemes, request->n_schemes);
        if (draft->scheme == 0) {
                att_error_set(error, ATT_ERROR_REFUSED,
                              "no-common-sigalg: the leaf's key fits no signature scheme of the request");
                return NULL;
        }

        draft->certificate = att_tls_certificate_build(request->context, certificates, cmw_attestation, cmw, error);
        if (!draft->certificate)
                return NULL;
        draft->keys = *keys;
        draft->request = g_bytes_ref(request->bytes);
        return g_steal_pointer(&draft);
}

uint16_t att_ea_draft_scheme(const AttEaDraft *draft) {
        return draft->scheme;
}

GBytes *att_ea_draft_to_be_signed(const AttEaDraft *draft) {
        return to_be_signed(&draft->keys, part(draft->request), part(draft->certificate));
}

GBytes *att_ea_draft_finish(AttEaDraft *draft, GBytes *signature, GError **error) {
        g_autoptr(GBytes) message = att_ea_draft_to_be_signed(draft);
        g_autoptr(GBytes) certificate_verify = NULL, last = NULL;
        GByteArray *out;
        AttPart m = part(message), s = part(signature);
        uint8_t verify_data[ATT_HASH_SIZE_MAX];

        if (!att_key_verify(draft->key, draft->scheme, m.data, m.size, s.data, s.size, error))
                return NULL;

        certificate_verify = att_tls_certificate_verify_build(draft->scheme, signature);
        finished(&draft->keys, part(draft->request), part(draft->certificate), part(certificate_verify), verify_data);
        last = att_tls_finished_build(verify_data, att_hash_size(draft->keys.hash));

        out = g_byte_array_new();
        att_put_bytes(out, draft->certificate);
        att_put_bytes(out, certificate_verify);
        att_put_bytes(out, last);
        return g_byte_array_free_to_bytes(out);
}

GBytes *att_ea_empty_new(const AttEaKeys *keys, const AttEaRequest *request) {
        g_autoptr(GBytes) certificate = no_certificate(request->context);
        uint8_t verify_data[ATT_HASH_SIZE_MAX];

        finished(keys, part(request->bytes), part(certificate), (AttPart) { 0 }, verify_data);
        return att_tls_finished_build(verify_data, att_hash_size(keys->hash));
}

/* Validating one */

void att_ea_identity_clear(AttEaIdentity *identity) {
        g_clear_pointer(&identity->certificates, g_ptr_array_unref);
        g_clear_pointer(&identity->spki, g_bytes_unref);
        g_clear_pointer(&identity->cmw, g_bytes_unref);
        *identity = (AttEaIdentity) { 0 };
}

static gboolean refuse(GError **error, const char *why) {
        return att_error_set(error, ATT_ERROR_REFUSED, "%s", why);
}

static gboolean refuse_empty(const AttEaKeys *keys, AttPart request, const AttTlsRequest *asked,
                             const AttTlsAuthenticator *a, GError **error) {
        g_autoptr(GBytes) context = att_cursor_dup(&asked->context);
        g_autoptr(GBytes) certificate = no_certificate(context);
        uint8_t verify_data[ATT_HASH_SIZE_MAX];

        finished(keys, request, part(certificate), (AttPart) { 0 }, verify_data);
        if (!att_equal(a->verify_data.at, verify_data, a->verify_data.left))
                return refuse(error, "finished: an empty authenticator that the peer of this connection did not make");
        return refuse(error, "empty-authenticator: the peer declines to authenticate");
}

/* In an entry stand answers to what the request offered. Some extensions only ask. */
static bool is_answer(const AttTlsRequest *asked, uint16_t type) {
        return type != ATT_TLS_EXT_SERVER_NAME && type != ATT_TLS_EXT_SIGNATURE_ALGORITHMS &&
               type != ATT_TLS_EXT_SIGNATURE_ALGORITHMS_CERT && att_tls_request_find(asked, type);
}

static gboolean read_extensions(const AttTlsRequest *asked, const AttTlsAuthenticator *a, uint16_t cmw_attestation,
                                GBytes **ret_cmw, GError **error) {
        g_autoptr(GBytes) cmw = NULL;

        for (guint i = 0; i < a->entries->len; i++) {
                const AttTlsCertificateEntry *entry = &g_array_index(a->entries, AttTlsCertificateEntry, i);

                for (size_t k = 0; k < entry->n_extensions; k++) {
                        const AttTlsExtension *e = &entry->extensions[k];
                        AttCursor content;

                        if (!is_answer(asked, e->type))
                                return att_error_set(error, ATT_ERROR_REFUSED,
                                                     "extension-not-offered: extension %u beside certificate %u",
                                                     e->type, i);
                        if (e->type != cmw_attestation)
                                continue;
                        if (i > 0)
                                return att_error_set(error, ATT_ERROR_REFUSED,
                                                     "extension-wrong-entry: evidence beside certificate %u", i);
                        if (!att_tls_cmw_attestation_parse(e->data, &content, error))
                                return FALSE;
                        cmw = att_cursor_dup(&content);
                }
        }
        *ret_cmw = g_steal_pointer(&cmw);
        return TRUE;
}

static GPtrArray *read_certificates(const AttTlsAuthenticator *a, GError **error) {
        g_autoptr(GPtrArray) all = g_ptr_array_new_with_free_func((GDestroyNotify) att_certificate_unref);

        for (guint i = 0; i < a->entries->len; i++) {
                const AttTlsCertificateEntry *entry = &g_array_index(a->entries, AttTlsCertificateEntry, i);
                AttCertificate *certificate = att_certificate_from_der(entry->der.at, entry->der.left, error);

                if (!certificate) {
                        g_prefix_error(error, "certificate %u of the authenticator: ", i);
                        return NULL;
                }
                g_ptr_array_add(all, certificate);
        }
        return g_steal_pointer(&all);
}

static bool is_offered(const AttTlsRequest *asked, uint16_t scheme) {
        for (size_t i = 0; i < asked->n_schemes; i++)
                if (asked->schemes[i] == scheme)
                        return true;
        return false;
}

/* CertificateVerify and Finished. Both are computed whatever the other says; the
 * first in the order of the messages is the reason given. */
static gboolean check_proofs(const AttEaKeys *keys, AttPart request, const AttTlsAuthenticator *a,
                             const AttCertificate *leaf, GError **error) {
        AttPart certificate = part_of(&a->certificate_message), verify = part_of(&a->certificate_verify_message);
        g_autoptr(GBytes) message = to_be_signed(keys, request, certificate);
        g_autoptr(GError) why = NULL;
        g_autoptr(AttKey) key = att_certificate_dup_key(leaf, &why);
        AttPart m = part(message);
        AttPart s = part_of(&a->signature);
        uint8_t verify_data[ATT_HASH_SIZE_MAX];
        bool is_signed = key && att_key_verify(key, a->scheme, m.data, m.size, s.data, s.size, &why);
        bool is_finished;

        finished(keys, request, certificate, verify, verify_data);
        is_finished = att_equal(a->verify_data.at, verify_data, a->verify_data.left);
        if (!is_signed)
                return att_error_set(error, ATT_ERROR_REFUSED, "certificate-verify: %s", why->message);
        if (!is_finished)
                return refuse(error, "finished: the peer of this connection did not make this authenticator");
        return TRUE;
}

gboolean att_ea_validate(const AttEaKeys *keys, GBytes *request, uint16_t cmw_attestation, GBytes *authenticator,
                         AttEaIdentity *ret, GError **error) {
        g_auto(AttTlsAuthenticator) a = { 0 };
        g_auto(AttEaIdentity) identity = { 0 };
        AttTlsRequest asked;

        if (!check_keys(keys, error) || !att_tls_request_parse(request, &asked, error))
                return FALSE;
        if (asked_role(asked.message_type) != keys->sender)
                return att_error_set(error, ATT_ERROR_INVALID_ARGUMENT, "the request did not ask the %s",
                                     att_role_name(keys->sender));
        if (!att_tls_authenticator_parse(authenticator, att_hash_size(keys->hash), &a, error))
                return FALSE;
        if (a.is_empty)
                return refuse_empty(keys, part(request), &asked, &a, error);

        if (a.context.left != asked.context.left || !att_equal(a.context.at, asked.context.at, a.context.left))
                return refuse(error, "context-mismatch: the authenticator answers another request");
        if (!read_extensions(&asked, &a, cmw_attestation, &identity.cmw, error))
                return FALSE;
        if (!is_offered(&asked, a.scheme))
                return att_error_set(error, ATT_ERROR_REFUSED, "scheme-not-offered: signature scheme 0x%04x", a.scheme);

        identity.certificates = read_certificates(&a, error);
        if (!identity.certificates ||
            !check_proofs(keys, part(request), &a, g_ptr_array_index(identity.certificates, 0), error))
                return FALSE;

        identity.spki = att_certificate_dup_spki(g_ptr_array_index(identity.certificates, 0));
        identity.scheme = a.scheme;
        *ret = identity;
        identity = (AttEaIdentity) { 0 };
        return TRUE;
}
