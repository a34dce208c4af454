/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Target functions: att_tls_authenticator_parse, att_tls_cmw_attestation_parse */
#include "codec/tls-handshake.h"

static void check(GBytes *bytes, size_t hash_size) {
        g_auto(AttTlsAuthenticator) a = { 0 };
        g_autoptr(GError) error = NULL;
        g_autoptr(GBytes) signature = NULL, verify = NULL, finished = NULL;
        size_t size = g_bytes_get_size(bytes);

        if (!att_tls_authenticator_parse(bytes, hash_size, &a, &error)) {
                g_assert(error && !a.entries);
                return;
        }

        g_assert(a.verify_data.left == hash_size && a.is_empty == (a.entries->len == 0));
        g_assert(a.certificate_message.left + a.certificate_verify_message.left + a.finished_message.left == size);
        for (guint i = 0; i < a.entries->len; i++) {
                const AttTlsCertificateEntry *e = &g_array_index(a.entries, AttTlsCertificateEntry, i);

                g_assert(e->der.left > 0);
                for (size_t k = 0; k < e->n_extensions; k++) {
                        AttCursor cmw;

                        if (att_tls_cmw_attestation_parse(e->extensions[k].data, &cmw, NULL))
                                g_assert(cmw.left > 0 && cmw.left + 2 == e->extensions[k].data.left);
                }
        }

        /* The two messages that have one encoding only are what we make. */
        finished = att_tls_finished_build(a.verify_data.at, a.verify_data.left);
        g_assert(memcmp(g_bytes_get_data(finished, NULL), a.finished_message.at, a.finished_message.left) == 0);
        if (!a.is_empty) {
                signature = att_cursor_dup(&a.signature);
                verify = att_tls_certificate_verify_build(a.scheme, signature);
                g_assert(memcmp(g_bytes_get_data(verify, NULL), a.certificate_verify_message.at,
                                a.certificate_verify_message.left) == 0);
        }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        g_autoptr(GBytes) bytes = g_bytes_new_static(data, size);

        check(bytes, 32);
        check(bytes, 48);
        return 0;
}
