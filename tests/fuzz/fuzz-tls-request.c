/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Target functions: att_tls_request_parse, att_tls_request_build */
#include "codec/tls-handshake.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        g_autoptr(GBytes) bytes = g_bytes_new_static(data, size), context = NULL, again = NULL;
        g_autoptr(GError) error = NULL;
        AttTlsRequest r;

        if (!att_tls_request_parse(bytes, &r, &error)) {
                g_assert(error);
                return 0;
        }

        g_assert(r.n_schemes > 0 && r.n_schemes <= ATT_TLS_SCHEMES_MAX && r.n_extensions <= ATT_TLS_EXTENSIONS_MAX);
        for (size_t i = 0; i < r.n_extensions; i++) {
                g_assert(att_tls_request_find(&r, r.extensions[i].type) == &r.extensions[i]);
                g_assert(r.extensions[i].data.left == 0 ||
                         (r.extensions[i].data.at >= data &&
                          r.extensions[i].data.at + r.extensions[i].data.left <= data + size));
        }

        /* Of the form that we make, it is what we make. */
        context = att_cursor_dup(&r.context);
        if (r.n_extensions == 1) {
                again = att_tls_request_build(r.message_type, context, r.schemes, r.n_schemes, 0);
                g_assert(g_bytes_equal(again, bytes));
        }
        return 0;
}
