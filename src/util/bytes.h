/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* A cursor over bytes we do not trust. It borrows: it must not outlive them.
 *
 * A take that asks for more than is left fails the cursor; from then on every
 * take gives NULL, 0 or an empty cursor. So a parser reads like the layout it
 * parses and asks once, at the end, whether all of it was there. */
typedef struct AttCursor {
        const uint8_t *at;
        size_t left;
        bool failed;
} AttCursor;

static inline AttCursor att_cursor(const void *data, size_t size) {
        return (AttCursor) { .at = data, .left = size };
}

static inline AttCursor att_cursor_bytes(GBytes *bytes) {
        gsize size;
        const void *data = g_bytes_get_data(bytes, &size);

        return att_cursor(data, size);
}

/* The next @n bytes, or NULL. With @n = 0 it may be NULL without a failure. */
static inline const uint8_t *att_take(AttCursor *c, size_t n) {
        const uint8_t *p = c->at;

        if (c->failed || n > c->left) {
                *c = (AttCursor) { .failed = true };
                return NULL;
        }

        if (n > 0)
                c->at += n;
        c->left -= n;
        return p;
}

/* Big-endian and little-endian integers of @size bytes, 8 at most. */
static inline uint64_t att_take_be(AttCursor *c, size_t size) {
        const uint8_t *p = att_take(c, size);
        uint64_t v = 0;

        for (size_t i = 0; p && i < size; i++)
                v = v << 8 | p[i];
        return v;
}

static inline uint64_t att_take_le(AttCursor *c, size_t size) {
        const uint8_t *p = att_take(c, size);
        uint64_t v = 0;

        for (size_t i = size; p && i > 0; i--)
                v = v << 8 | p[i - 1];
        return v;
}

static inline uint8_t att_take_u8(AttCursor *c) {
        return (uint8_t) att_take_be(c, 1);
}

static inline uint16_t att_take_u16be(AttCursor *c) {
        return (uint16_t) att_take_be(c, 2);
}

static inline uint32_t att_take_u24be(AttCursor *c) {
        return (uint32_t) att_take_be(c, 3);
}

static inline uint32_t att_take_u32be(AttCursor *c) {
        return (uint32_t) att_take_be(c, 4);
}

static inline uint16_t att_take_u16le(AttCursor *c) {
        return (uint16_t) att_take_le(c, 2);
}

/* Written out: one load for the compiler, and logs are full of them. */
static inline uint32_t att_take_u32le(AttCursor *c) {
        const uint8_t *p = att_take(c, 4);

        return p ? (uint32_t) p[0] | (uint32_t) p[1] << 8 | (uint32_t) p[2] << 16 | (uint32_t) p[3] << 24 : 0;
}

static inline uint64_t att_take_u64le(AttCursor *c) {
        return att_take_le(c, 8);
}

/* A cursor over the next @n bytes; its own failure does not reach @c. */
static inline AttCursor att_take_sub(AttCursor *c, size_t n) {
        const uint8_t *p = att_take(c, n);

        return (AttCursor) { .at = p, .left = c->failed ? 0 : n, .failed = c->failed };
}

/* Was everything taken, and nothing asked for beyond it? */
static inline bool att_cursor_is_spent(const AttCursor *c) {
        return !c->failed && c->left == 0;
}

/* What is left of @c, copied; NULL if @c has failed. */
static inline GBytes *att_cursor_dup(const AttCursor *c) {
        return c->failed ? NULL : g_bytes_new(c->at, c->left);
}

/* In lower case, two digits a byte; @ret has room for them and a NUL. */
static inline void att_hex(const uint8_t *data, size_t size, char *ret) {
        static const char digits[] = "0123456789abcdef";

        for (size_t i = 0; i < size; i++) {
                ret[2 * i] = digits[data[i] >> 4];
                ret[2 * i + 1] = digits[data[i] & 0xf];
        }
        ret[2 * size] = '\0';
}

/* Writers, for bytes of our own. */
static inline void att_put(GByteArray *out, const void *data, size_t size) {
        if (size > 0)
                g_byte_array_append(out, data, (guint) size);
}

static inline void att_put_bytes(GByteArray *out, GBytes *bytes) {
        gsize size;
        const void *data = g_bytes_get_data(bytes, &size);

        att_put(out, data, size);
}

static inline void att_put_be(GByteArray *out, uint64_t v, size_t size) {
        for (size_t i = size; i > 0; i--) {
                uint8_t b = (uint8_t) (v >> (8 * (i - 1)));

                att_put(out, &b, 1);
        }
}

static inline void att_put_le(GByteArray *out, uint64_t v, size_t size) {
        for (size_t i = 0; i < size; i++) {
                uint8_t b = (uint8_t) (v >> (8 * i));

                att_put(out, &b, 1);
        }
}
