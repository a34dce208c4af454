/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "ea/transcript.h"

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
gboolean att_ea_keys_check(const AttEaKeys *keys, GError **error) {
        static const uint8_t nothing[ATT_HASH_SIZE_MAX];
        size_t size = att_hash_size(keys->hash);

        if (att_equal(keys->handshake_context, nothing, size) || att_equal(keys->finished_key, nothing, size))
                return att_error_set(error, ATT_ERROR_INVALID_ARGUMENT, "the exported keys are all zero");
        return TRUE;
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

GBytes *att_ea_to_be_signed(const AttEaKeys *keys, AttPart request, AttPart certificate) {
        g_autoptr(GByteArray) out = g_byte_array_sized_new(PADDING_SIZE + sizeof CONTEXT_STRING + ATT_HASH_SIZE_MAX);
        uint8_t digest[ATT_HASH_SIZE_MAX];

        transcript(keys, request, certificate, (AttPart) { 0 }, digest);
        for (size_t i = 0; i < PADDING_SIZE; i++)
                att_put_be(out, 0x20, 1);
        att_put(out, CONTEXT_STRING, sizeof CONTEXT_STRING); /* with its NUL: the separator */
        att_put(out, digest, att_hash_size(keys->hash));
        return g_byte_array_free_to_bytes(g_steal_pointer(&out));
}

void att_ea_finished(const AttEaKeys *keys, AttPart request, AttPart certificate, AttPart certificate_verify,
                     uint8_t *ret) {
        uint8_t digest[ATT_HASH_SIZE_MAX];
        size_t size = att_hash_size(keys->hash);

        transcript(keys, request, certificate, certificate_verify, digest);
        att_hmac(keys->hash, keys->finished_key, size, digest, size, ret);
}

GBytes *att_ea_no_certificate(GBytes *context) {
        g_autoptr(GPtrArray) none = g_ptr_array_new();
        GBytes *certificate = att_tls_certificate_build(context, none, 0, NULL, NULL);

        g_assert(certificate); /* a context that was read or made here is not too long */
        return certificate;
}

AttRole att_ea_asked_role(uint8_t message_type) {
        return message_type == ATT_TLS_CERTIFICATE_REQUEST ? ATT_ROLE_CLIENT : ATT_ROLE_SERVER;
}
