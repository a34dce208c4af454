/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What both forges do with bytes: little-endian numbers, zeros, hex, files. */
#pragma once

#include <errno.h>
#include <gio/gio.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

G_BEGIN_DECLS

static inline void octets_put_le(GByteArray *out, guint64 value, guint size) {
        for (guint i = 0; i < size; i++) {
                guint8 b = (guint8) (value >> (8 * i));

                g_byte_array_append(out, &b, 1);
        }
}

static inline void octets_set_le(guint8 *at, guint64 value, guint size) {
        for (guint i = 0; i < size; i++)
                at[i] = (guint8) (value >> (8 * i));
}

static inline void octets_put_zeros(GByteArray *out, guint size) {
        guint before = out->len;

        g_byte_array_set_size(out, before + size);
        memset(out->data + before, 0, size);
}

/** octets_parse_hex: exactly @size bytes; @ret is untouched otherwise */
static inline bool octets_parse_hex(const char *text, guint8 *ret, gsize size) {
        if (strlen(text) != 2 * size)
                return false;
        for (gsize i = 0; i < 2 * size; i++)
                if (!g_ascii_isxdigit(text[i]))
                        return false;
        for (gsize i = 0; i < size; i++)
                ret[i] = (guint8) (g_ascii_xdigit_value(text[2 * i]) << 4 | g_ascii_xdigit_value(text[2 * i + 1]));
        return true;
}

/** octets_write: into what is there; a new file in its place would do harm where it is a device */
static inline gboolean octets_write(const GByteArray *bytes, const char *path, GError **error) {
        FILE *file = fopen(path, "we");
        bool is_written = file && (bytes->len == 0 || fwrite(bytes->data, 1, bytes->len, file) == bytes->len);

        if (file)
                is_written = fclose(file) == 0 && is_written;
        if (!is_written)
                g_set_error(error, G_IO_ERROR, (gint) g_io_error_from_errno(errno), "cannot write %s: %s", path,
                            g_strerror(errno));
        return is_written;
}

G_END_DECLS
