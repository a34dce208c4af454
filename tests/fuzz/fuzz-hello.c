/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Target functions: att_hello_decode, att_hello_encode */
#include "codec/frame.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        g_autoptr(GBytes) bytes = g_bytes_new_static(data, size), again = NULL;
        g_autoptr(GError) error = NULL;
        g_auto(AttHello) hello = { 0 };

        if (!att_hello_decode(bytes, &hello, &error)) {
                g_assert(error && !hello.profiles && !hello.formats);
                return 0;
        }

        /* Unknown entries are not written again; without them it is the same. */
        again = att_hello_encode(&hello);
        g_assert(g_bytes_get_size(again) < size || g_bytes_equal(again, bytes));
        return 0;
}
