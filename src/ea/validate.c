/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "codec/tls-handshake.h"
#include "ea/transcript.h"
#include "util/error.h"

void att_ea_identity_clear(AttEaIdentity *identity) {
        g_clear_pointer(&identity->certificates, g_ptr_array_unref);
        g_clear_pointer(&identity->spki, g_bytes_unref);
        g_clear_pointer(&identity->cmw, g_bytes_unref);
        *identity = (AttEaIdentity) { 0 };
}

static AttPart part_of(const AttCursor *c) {
        return (AttPart) { .data = c->at, .size = c->left };
}

static gboolean refuse(GError **error, const char *why) {
        return att_error_set(error, ATT_ERROR_REFUSED, "%s", why);
}

static gboolean refuse_empty(const AttEaKeys *keys, AttPart request, const AttTlsRequest *asked,
                             const AttTlsAuthenticator *a, GError **error) {
        g_autoptr(GBytes) context = att_cursor_dup(&asked->context);
        g_autoptr(GBytes) certificate = att_ea_no_certificate(context);
        uint8_t verify_data[ATT_HASH_SIZE_MAX];

        att_ea_finished(keys, request, att_ea_part(certificate), (AttPart) { 0 }, verify_data);
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
        g_autoptr(GBytes) message = att_ea_to_be_signed(keys, request, certificate);
        g_autoptr(GError) why = NULL;
        g_autoptr(AttKey) key = att_certificate_dup_key(leaf, &why);
        AttPart m = att_ea_part(message);
        AttPart s = part_of(&a->signature);
        uint8_t verify_data[ATT_HASH_SIZE_MAX];
        bool is_signed = key && att_key_verify(key, a->scheme, m.data, m.size, s.data, s.size, &why);
        bool is_finished;

        att_ea_finished(keys, request, certificate, verify, verify_data);
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

        if (!att_ea_keys_check(keys, error) || !att_tls_request_parse(request, &asked, error))
                return FALSE;
        if (att_ea_asked_role(asked.message_type) != keys->sender)
                return att_error_set(error, ATT_ERROR_INVALID_ARGUMENT, "the request did not ask the %s",
                                     att_role_name(keys->sender));
        if (!att_tls_authenticator_parse(authenticator, att_hash_size(keys->hash), &a, error))
                return FALSE;
        if (a.is_empty)
                return refuse_empty(keys, att_ea_part(request), &asked, &a, error);

        if (a.context.left != asked.context.left || !att_equal(a.context.at, asked.context.at, a.context.left))
                return refuse(error, "context-mismatch: the authenticator answers another request");
        if (!read_extensions(&asked, &a, cmw_attestation, &identity.cmw, error))
                return FALSE;
        if (!is_offered(&asked, a.scheme))
                return att_error_set(error, ATT_ERROR_REFUSED, "scheme-not-offered: signature scheme 0x%04x", a.scheme);

        identity.certificates = read_certificates(&a, error);
        if (!identity.certificates ||
            !check_proofs(keys, att_ea_part(request), &a, g_ptr_array_index(identity.certificates, 0), error))
                return FALSE;

        identity.spki = att_certificate_dup_spki(g_ptr_array_index(identity.certificates, 0));
        identity.scheme = a.scheme;
        *ret = identity;
        identity = (AttEaIdentity) { 0 };
        return TRUE;
}
