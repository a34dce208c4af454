/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "codec/base64url.h"

#include "util/bytes.h"

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

char *att_base64url_encode(GBytes *bytes) {
        AttCursor c = att_cursor_bytes(bytes);
        GString *out = g_string_sized_new(c.left / 3 * 4 + 4);

        while (c.left > 0) {
                size_t n = MIN(c.left, 3);
                uint32_t v = (uint32_t) att_take_be(&c, n) << (8 * (3 - n));

                for (size_t i = 0; i <= n; i++)
                        g_string_append_c(out, alphabet[v >> (18 - 6 * i) & 63]);
        }
        return g_string_free(out, FALSE);
}

GBytes *att_base64url_decode(const char *text, size_t size) {
        g_autoptr(GByteArray) out = g_byte_array_sized_new((guint) (size / 4 * 3 + 3));
        uint32_t v = 0;
        unsigned bits = 0;

        if (size % 4 == 1)
                return NULL;
        for (size_t i = 0; i < size; i++) {
                const char *p = text[i] ? strchr(alphabet, text[i]) : NULL;

                if (!p)
                        return NULL;
                v = (v << 6 | (uint32_t) (p - alphabet)) & 0xfff;
                bits += 6;
                if (bits >= 8) {
                        bits -= 8;
                        att_put_be(out, v >> bits & 0xff, 1);
                }
        }

        if ((v & ((1u << bits) - 1)) != 0)
                return NULL;
        return g_byte_array_free_to_bytes(g_steal_pointer(&out));
}
