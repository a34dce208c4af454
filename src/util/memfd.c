/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "util/memfd.h"

#include "util/error.h"
#include "util/io.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>

#define SEALS (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE)

int att_memfd_open(const char *name, GError **error) {
        int fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);

        if (fd < 0)
                att_error_set_errno(error, errno, "cannot make a memfd");
        return fd;
}

gboolean att_memfd_append(int fd, GBytes *piece, gsize *size, GError **error) {
        gsize n, at = 0;
        const guint8 *p = g_bytes_get_data(piece, &n);

        /* Not write(): the offset travels with the descriptor. */
        while (at < n) {
                gssize k = pwrite(fd, p + at, n - at, (off_t) (*size + at));

                if (k < 0)
                        return att_error_set_errno(error, errno, "cannot fill a memfd");
                at += (gsize) k;
        }
        *size += n;
        return TRUE;
}

gboolean att_memfd_seal(int fd, GError **error) {
        return fcntl(fd, F_ADD_SEALS, SEALS | F_SEAL_SEAL) == 0 ||
               att_error_set_errno(error, errno, "cannot seal a memfd");
}

int att_memfd_new(const char *name, GBytes *content, GError **error) {
        att_autofd int fd = att_memfd_open(name, error);
        gsize size = 0;

        if (fd < 0 || !att_memfd_append(fd, content, &size, error) || !att_memfd_seal(fd, error))
                return -1;
        return att_steal_fd(&fd);
}

/* The kernel knows when a descriptor was the last of its opening, also of those in a socket that nobody reads: then a
 * lock of that opening is gone. */
int att_memfd_lend(int fd, GError **error) {
        g_autofree char *path = g_strdup_printf("/proc/self/fd/%d", fd);
        att_autofd int lent = open(path, O_RDONLY | O_CLOEXEC);

        if (lent < 0 || flock(lent, LOCK_SH | LOCK_NB) < 0) {
                att_error_set_errno(error, errno, "cannot open a memfd");
                return -1;
        }
        return att_steal_fd(&lent);
}

bool att_memfd_is_lent(int fd) {
        if (flock(fd, LOCK_EX | LOCK_NB) < 0)
                return errno == EWOULDBLOCK;
        (void) flock(fd, LOCK_UN);
        return false;
}

void att_memfd_give_back(int fd) {
        (void) flock(fd, LOCK_UN);
}

GBytes *att_memfd_read(int fd, gsize max, GError **error) {
        g_autoptr(GMappedFile) map = NULL;
        int seals = fcntl(fd, F_GET_SEALS);
        struct stat st;

        if (seals < 0 || (seals & SEALS) != SEALS || fstat(fd, &st) < 0 || (guint64) st.st_size > max) {
                att_error_set(error, ATT_ERROR_BAD_DATA, "not a sealed memfd of at most %zu bytes", max);
                return NULL;
        }

        map = g_mapped_file_new_from_fd(fd, FALSE, error);
        return map ? g_mapped_file_get_bytes(map) : NULL;
}
