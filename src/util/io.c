/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "util/io.h"

#include "util/error.h"

#include <errno.h>
#include <fcntl.h>

#define STEP 8192u

GBytes *att_read_at(int dir, const char *name, gsize max, GError **error) {
        att_autofd int fd = openat(dir, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NOCTTY);
        g_autoptr(GByteArray) all = g_byte_array_new();

        if (fd < 0) {
                att_error_set_errno(error, errno, "cannot open %s", name);
                return NULL;
        }

        for (;;) {
                guint n = all->len;
                gssize k;

                g_byte_array_set_size(all, n + STEP);
                k = read(fd, all->data + n, STEP);
                if (k < 0 && errno != EINTR) {
                        att_error_set_errno(error, errno, "cannot read %s", name);
                        return NULL;
                }

                g_byte_array_set_size(all, n + (guint) MAX(k, 0));
                if (k == 0)
                        return g_byte_array_free_to_bytes(g_steal_pointer(&all));
                if (all->len > max) {
                        att_error_set(error, ATT_ERROR_TOO_LARGE, "%s is over %zu bytes", name, max);
                        return NULL;
                }
        }
}
