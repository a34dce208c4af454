/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Target functions: att_log_entries_decode, att_log_entries_encode */
#include "codec/frame.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        g_autoptr(GBytes) bytes = g_bytes_new_static(data, size), again = NULL;
        g_autoptr(GError) error = NULL;
        g_auto(AttLogEntriesFrame) entries = { 0 };

        if (!att_log_entries_decode(bytes, &entries, &error)) {
                g_assert(error && !entries.log && !entries.entries);
                return 0;
        }
        again = att_log_entries_encode(&entries);
        g_assert(g_bytes_equal(again, bytes));
        return 0;
}
