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

#define HEAD_MAX 9u

/* Returns: how long it is */
static size_t make_head(uint8_t ret[HEAD_MAX], unsigned major, uint64_t n) {
        size_t size = n < 24 ? 0 : n <= UINT8_MAX ? 1 : n <= UINT16_MAX ? 2 : n <= UINT32_MAX ? 4 : 8;
        static const uint8_t of_size[] = { [1] = 24, [2] = 25, [4] = 26, [8] = 27 };

        ret[0] = (uint8_t) (major | (size == 0 ? n : of_size[size]));
        for (size_t i = size; i > 0; i--, n >>= 8)
                ret[i] = (uint8_t) n;
        return 1 + size;
}

static void put_head(GByteArray *out, unsigned major, uint64_t n) {
        uint8_t head[HEAD_MAX];

        att_put(out, head, make_head(head, major, n));
}

/* A head and what it is of, at once: proofs are full of them. */
static void put_string(GByteArray *out, unsigned major, const void *data, size_t size) {
        uint8_t head[HEAD_MAX];
        size_t head_size = make_head(head, major, size), begin = out->len;

        g_byte_array_set_size(out, (guint) (begin + head_size + size));
        memcpy(out->data + begin, head, head_size);
        if (size > 0)
                memcpy(out->data + begin + head_size, data, size);
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
        put_string(out, BYTES, data, size);
}

void att_cbor_put_bytes(GByteArray *out, GBytes *bytes) {
        gsize size;
        const void *data = g_bytes_get_data(bytes, &size);

        put_string(out, BYTES, data, size);
}

void att_cbor_put_text(GByteArray *out, const char *text) {
        put_string(out, TEXT, text, strlen(text));
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
