/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Target functions: att_stale_decode, att_stale_encode */
#include "codec/frame.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        g_autoptr(GBytes) bytes = g_bytes_new_static(data, size), again = NULL;
        g_autoptr(GError) error = NULL;
        g_auto(AttStaleFrame) stale = { 0 };

        if (!att_stale_decode(bytes, &stale, &error)) {
                g_assert(error && !stale.reasons);
                return 0;
        }
        again = att_stale_encode(&stale);
        g_assert(g_bytes_equal(again, bytes));
        return 0;
}
