/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Target functions: att_frame_header, att_frame_put */
#include "codec/frame.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        g_autoptr(GByteArray) again = g_byte_array_new();
        g_autoptr(GError) error = NULL;
        AttFrameType type;
        size_t payload;

        if (size < ATT_FRAME_HEADER_SIZE)
                return 0;
        if (!att_frame_header(data, &type, &payload, &error)) {
                g_assert(error);
                return 0;
        }

        g_assert(type < ATT_FRAME_TYPES && payload <= att_frame_max(type) && att_frame_name(type));
        if (size - ATT_FRAME_HEADER_SIZE >= payload) {
                att_frame_put(again, type, data + ATT_FRAME_HEADER_SIZE, payload);
                g_assert(again->len == ATT_FRAME_HEADER_SIZE + payload);
                g_assert(memcmp(again->data, data, again->len) == 0);
        }
        return 0;
}
