/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "exporter.h"

#include "util/bytes.h"

/* HKDF-Expand of RFC 5869 with L no longer than the hash: T(1) = HMAC(PRK, info || 1). */
void hkdf_expand_label(AttHash hash, const uint8_t *secret, const char *label, const void *context, size_t context_size,
                       uint8_t *ret, size_t size) {
        g_autoptr(GByteArray) info = g_byte_array_new();
        g_autofree char *full = g_strconcat("tls13 ", label, NULL);
        uint8_t block[ATT_HASH_SIZE_MAX];

        g_assert(size <= att_hash_size(hash));
        att_put_be(info, size, 2);
        att_put_be(info, strlen(full), 1);
        att_put(info, full, strlen(full));
        att_put_be(info, context_size, 1);
        att_put(info, context, context_size);
        att_put_be(info, 1, 1);
        att_hmac(hash, secret, att_hash_size(hash), info->data, info->len, block);
        memcpy(ret, block, size);
}

void tls_exporter(AttHash hash, const uint8_t *secret, const char *label, const void *context, size_t context_size,
                  uint8_t *ret_derived, uint8_t *ret, size_t size) {
        const AttPart value = { context, context_size };
        uint8_t of_nothing[ATT_HASH_SIZE_MAX], of_context[ATT_HASH_SIZE_MAX], derived[ATT_HASH_SIZE_MAX];
        size_t n = att_hash_size(hash);

        att_hash_parts(hash, NULL, 0, of_nothing);
        att_hash_parts(hash, &value, 1, of_context);
        hkdf_expand_label(hash, secret, label, of_nothing, n, derived, n);
        hkdf_expand_label(hash, derived, "exporter", of_context, n, ret, size);
        if (ret_derived)
                memcpy(ret_derived, derived, n);
}

void ea_keys_of(AttHash hash, const uint8_t *secret, AttRole sender, AttEaKeys *ret) {
        bool client = sender == ATT_ROLE_CLIENT;
        size_t n = att_hash_size(hash);

        *ret = (AttEaKeys) { .hash = hash, .sender = sender };
        tls_exporter(hash, secret, client ? ATT_EA_LABEL_CLIENT_CONTEXT : ATT_EA_LABEL_SERVER_CONTEXT, NULL, 0, NULL,
                     ret->handshake_context, n);
        tls_exporter(hash, secret, client ? ATT_EA_LABEL_CLIENT_FINISHED : ATT_EA_LABEL_SERVER_FINISHED, NULL, 0, NULL,
                     ret->finished_key, n);
}
