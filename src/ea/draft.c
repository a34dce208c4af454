/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Making an authenticator. Apart from judging one: who gives evidence judges nobody's. */
#include "codec/tls-handshake.h"
#include "ea/transcript.h"
#include "util/error.h"

struct AttEaDraft {
        AttEaKeys keys;
        const AttKey *key; /* the leaf's */
        AttKey *own_key;   /* the same; NULL: it is the caller's */
        GBytes *spki;      /* of the leaf, as in its certificate; with @own_key only */
        uint16_t scheme;
        GBytes *request;
        GBytes *context;         /* of the request */
        GPtrArray *certificates;
        GBytes *certificate;     /* the message; NULL: not sealed */
};

void att_ea_draft_free(AttEaDraft *draft) {
        if (!draft)
                return;

        att_ea_keys_clear(&draft->keys);
        g_clear_pointer(&draft->own_key, att_key_free);
        g_clear_pointer(&draft->spki, g_bytes_unref);
        g_clear_pointer(&draft->request, g_bytes_unref);
        g_clear_pointer(&draft->context, g_bytes_unref);
        g_clear_pointer(&draft->certificates, g_ptr_array_unref);
        g_clear_pointer(&draft->certificate, g_bytes_unref);
        g_free(draft);
}

/* Those of the leaf; the other certificates must be ones too. */
static gboolean read_leaf(AttEaDraft *draft, GPtrArray *certificates, GError **error) {
        for (guint i = 0; i < certificates->len; i++) {
                AttPart der = att_ea_part(g_ptr_array_index(certificates, i));
                g_autoptr(AttCertificate) certificate = att_certificate_from_der(der.data, der.size, NULL);

                if (!certificate)
                        return att_error_set(error, ATT_ERROR_INVALID_ARGUMENT, "certificate %u is not one in DER", i);
                if (i > 0)
                        continue;
                draft->key = draft->own_key = att_certificate_dup_key(certificate, error);
                if (!draft->key)
                        return FALSE;
                draft->spki = att_certificate_dup_spki(certificate);
        }
        if (!draft->key)
                return att_error_set(error, ATT_ERROR_INVALID_ARGUMENT, "an authenticator needs a certificate");
        return TRUE;
}

/* @key: NULL: it is to be read */
static AttEaDraft *begin(const AttEaKeys *keys, const AttEaRequest *request, GPtrArray *certificates,
                         const AttKey *key, GError **error) {
        g_autoptr(AttEaDraft) draft = g_new0(AttEaDraft, 1);
        const uint8_t *type = g_bytes_get_data(request->bytes, NULL);

        if (!att_ea_keys_check(keys, error))
                return NULL;
        if (att_ea_asked_role(*type) != keys->sender) {
                att_error_set(error, ATT_ERROR_INVALID_ARGUMENT, "the request does not ask the %s",
                              att_role_name(keys->sender));
                return NULL;
        }

        draft->key = key;
        if (!key && !read_leaf(draft, certificates, error))
                return NULL;
        draft->scheme = att_ea_request_choose_scheme(request, draft->key, error);
        if (draft->scheme == 0)
                return NULL;

        draft->keys = *keys;
        draft->request = g_bytes_ref(request->bytes);
        draft->context = g_bytes_ref(request->context);
        draft->certificates = g_ptr_array_ref(certificates);
        return g_steal_pointer(&draft);
}

AttEaDraft *att_ea_draft_begin(const AttEaKeys *keys, const AttEaRequest *request, GPtrArray *certificates,
                               GError **error) {
        return begin(keys, request, certificates, NULL, error);
}

gboolean att_ea_draft_seal(AttEaDraft *draft, uint16_t cmw_attestation, GBytes *cmw, GError **error) {
        draft->certificate =
                att_tls_certificate_build(draft->context, draft->certificates, cmw_attestation, cmw, error);
        return draft->certificate != NULL;
}

void att_ea_draft_unseal(AttEaDraft *draft) {
        g_clear_pointer(&draft->certificate, g_bytes_unref);
}

AttEaDraft *att_ea_draft_new(const AttEaKeys *keys, const AttEaRequest *request, GPtrArray *certificates,
                             uint16_t cmw_attestation, GBytes *cmw, GError **error) {
        return att_ea_draft_new_for(keys, request, certificates, NULL, cmw_attestation, cmw, error);
}

AttEaDraft *att_ea_draft_new_for(const AttEaKeys *keys, const AttEaRequest *request, GPtrArray *certificates,
                                 const AttKey *key, uint16_t cmw_attestation, GBytes *cmw, GError **error) {
        g_autoptr(AttEaDraft) draft = begin(keys, request, certificates, key, error);

        if (!draft)
                return NULL;
        if (cmw && !request->asks_for_cmw) {
                att_error_set(error, ATT_ERROR_INVALID_ARGUMENT,
                              "extension-not-offered: the request does not ask for evidence");
                return NULL;
        }
        return att_ea_draft_seal(draft, cmw_attestation, cmw, error) ? g_steal_pointer(&draft) : NULL;
}

GBytes *att_ea_draft_spki(const AttEaDraft *draft) {
        return draft->spki;
}

const AttKey *att_ea_draft_key(const AttEaDraft *draft) {
        return draft->key;
}

uint16_t att_ea_draft_scheme(const AttEaDraft *draft) {
        return draft->scheme;
}

GBytes *att_ea_draft_to_be_signed(const AttEaDraft *draft) {
        return att_ea_to_be_signed(&draft->keys, att_ea_part(draft->request), att_ea_part(draft->certificate));
}

GBytes *att_ea_draft_finish(AttEaDraft *draft, GBytes *signature, GError **error) {
        g_autoptr(GBytes) message = att_ea_draft_to_be_signed(draft);
        g_autoptr(GBytes) certificate_verify = NULL, last = NULL;
        GByteArray *out;
        AttPart m = att_ea_part(message), s = att_ea_part(signature);
        uint8_t verify_data[ATT_HASH_SIZE_MAX];

        if (!att_key_verify(draft->key, draft->scheme, m.data, m.size, s.data, s.size, error))
                return NULL;

        certificate_verify = att_tls_certificate_verify_build(draft->scheme, signature);
        att_ea_finished(&draft->keys, att_ea_part(draft->request), att_ea_part(draft->certificate),
                        att_ea_part(certificate_verify), verify_data);
        last = att_tls_finished_build(verify_data, att_hash_size(draft->keys.hash));

        out = g_byte_array_new();
        att_put_bytes(out, draft->certificate);
        att_put_bytes(out, certificate_verify);
        att_put_bytes(out, last);
        return g_byte_array_free_to_bytes(out);
}

GBytes *att_ea_empty_new(const AttEaKeys *keys, const AttEaRequest *request) {
        g_autoptr(GBytes) certificate = att_ea_no_certificate(request->context);
        uint8_t verify_data[ATT_HASH_SIZE_MAX];

        att_ea_finished(keys, att_ea_part(request->bytes), att_ea_part(certificate), (AttPart) { 0 }, verify_data);
        return att_tls_finished_build(verify_data, att_hash_size(keys->hash));
}
