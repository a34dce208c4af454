/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "codec/cbor-out.h"

#include "util/bytes.h"

/* Major types, RFC 8949 section 3.1, in their place in the first byte. */
enum {
        UINT = 0 << 5,
        NEGATIVE = 1 << 5,
        BYTES = 2 << 5,
        TEXT = 3 << 5,
        ARRAY = 4 << 5,
        MAP = 5 << 5,
        TAG = 6 << 5,
        SIMPLE = 7 << 5,
};

#define FALSE_VALUE 20u
#define TRUE_VALUE 21u

static void put_head(GByteArray *out, unsigned major, uint64_t n) {
        size_t size = n < 24 ? 0 : n <= UINT8_MAX ? 1 : n <= UINT16_MAX ? 2 : n <= UINT32_MAX ? 4 : 8;

        switch (size) {
        case 0:
                att_put_be(out, major | n, 1);
                return;
        case 1:
                att_put_be(out, major | 24, 1);
                break;
        case 2:
                att_put_be(out, major | 25, 1);
                break;
        case 4:
                att_put_be(out, major | 26, 1);
                break;
        default:
                att_put_be(out, major | 27, 1);
                break;
        }
        att_put_be(out, n, size);
}

void att_cbor_put_uint(GByteArray *out, uint64_t v) {
        put_head(out, UINT, v);
}

void att_cbor_put_int(GByteArray *out, int64_t v) {
        if (v >= 0)
                put_head(out, UINT, (uint64_t) v);
        else
                put_head(out, NEGATIVE, (uint64_t) (-1 - v));
}

void att_cbor_put_data(GByteArray *out, const void *data, size_t size) {
        put_head(out, BYTES, size);
        att_put(out, data, size);
}

void att_cbor_put_bytes(GByteArray *out, GBytes *bytes) {
        put_head(out, BYTES, g_bytes_get_size(bytes));
        att_put_bytes(out, bytes);
}

void att_cbor_put_text(GByteArray *out, const char *text) {
        put_head(out, TEXT, strlen(text));
        att_put(out, text, strlen(text));
}

void att_cbor_put_bool(GByteArray *out, bool v) {
        put_head(out, SIMPLE, v ? TRUE_VALUE : FALSE_VALUE);
}

void att_cbor_put_array(GByteArray *out, size_t n) {
        put_head(out, ARRAY, n);
}

void att_cbor_put_map(GByteArray *out, size_t n) {
        put_head(out, MAP, n);
}

void att_cbor_put_tag(GByteArray *out, uint64_t tag) {
        put_head(out, TAG, tag);
}
