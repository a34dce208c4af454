/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <unistd.h>

static inline void att_close_p(int *fd) {
        if (*fd >= 0)
                close(*fd);
}

/* An int that closes itself. Hand it on with att_steal_fd(). */
#define att_autofd __attribute__((cleanup(att_close_p)))

static inline int att_steal_fd(int *fd) {
        int stolen = *fd;

        *fd = -1;
        return stolen;
}

/**
 * att_read_at: all of the file @name in directory @dir (or AT_FDCWD)
 * @max: the most bytes it may have
 * @error: %G_IO_ERROR; %ATT_ERROR_TOO_LARGE if it has more
 *
 * A new descriptor, read to its end; no symbolic link is followed at @name.
 * The buffer grows with what was read, not with what a size claims.
 */
GBytes *att_read_at(int dir, const char *name, gsize max, GError **error) G_GNUC_WARN_UNUSED_RESULT;
