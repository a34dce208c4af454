/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Target functions: att_log_request_decode, att_log_request_encode */
#include "codec/frame.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        g_autoptr(GBytes) bytes = g_bytes_new_static(data, size), again = NULL;
        g_autoptr(GError) error = NULL;
        g_auto(AttLogRequestFrame) request = { 0 };

        if (!att_log_request_decode(bytes, &request, &error)) {
                g_assert(error && !request.log);
                return 0;
        }
        again = att_log_request_encode(&request);
        g_assert(g_bytes_equal(again, bytes));
        return 0;
}
