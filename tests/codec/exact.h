/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Bytes for parsers' tests: in heap blocks of exactly their size, so that a sanitizer sees an over-read. */
#pragma once

#include <check.h>
#include <glib.h>
#include <string.h>

static inline GBytes *exact(const void *data, size_t size) {
        return g_bytes_new_take(g_memdup2(data, size), size);
}

/* The first @n bytes of @bytes. */
static inline GBytes *exact_prefix(GBytes *bytes, size_t n) {
        ck_assert_uint_le(n, g_bytes_get_size(bytes));
        return exact(g_bytes_get_data(bytes, NULL), n);
}

/* @bytes with @n bytes at @at replaced. */
static inline GBytes *exact_edit(GBytes *bytes, size_t at, const void *data, size_t n) {
        size_t size;
        const void *p = g_bytes_get_data(bytes, &size);
        guint8 *copy = g_memdup2(p, size);

        ck_assert_uint_le(at + n, size);
        memcpy(copy + at, data, n);
        return g_bytes_new_take(copy, size);
}

/* @bytes with @n bytes more. */
static inline GBytes *exact_append(GBytes *bytes, const void *data, size_t n) {
        size_t size;
        const void *p = g_bytes_get_data(bytes, &size);
        guint8 *copy = g_malloc(size + n);

        memcpy(copy, p, size);
        memcpy(copy + size, data, n);
        return g_bytes_new_take(copy, size + n);
}

/* Hexadecimal, with spaces anywhere between bytes. */
static inline GBytes *exact_hex(const char *hex) {
        g_autoptr(GByteArray) out = g_byte_array_new();

        for (; *hex; hex++) {
                guint8 b;

                if (*hex == ' ')
                        continue;
                ck_assert(g_ascii_isxdigit(hex[0]) && g_ascii_isxdigit(hex[1]));
                b = (guint8) (g_ascii_xdigit_value(hex[0]) << 4 | g_ascii_xdigit_value(hex[1]));
                g_byte_array_append(out, &b, 1);
                hex++;
        }
        return exact(out->data, out->len);
}

#define ck_assert_bytes_eq(a, b) ck_assert_msg(g_bytes_equal(a, b), "%s is not %s", #a, #b)
