/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* many-files UID COUNT FOLDER: makes that many files of that user, one after the other,
 * reads each once and removes it. IMA measures each that its policy wants measured. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int fail(const char *path) {
        (void) fprintf(stderr, "%s: %s\n", path, strerror(errno));
        return EXIT_FAILURE;
}

int main(int argc, char **argv) {
        char path[PATH_MAX], text[32];

        if (argc != 4) {
                (void) fprintf(stderr, "many-files UID COUNT FOLDER\n");
                return 2;
        }
        for (long i = 0, n = atol(argv[2]); i < n; i++) {
                int fd, size = snprintf(text, sizeof text, "%ld\n", i);

                (void) snprintf(path, sizeof path, "%s/%ld", argv[3], i);
                fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
                if (fd < 0 || write(fd, text, (size_t) size) != size ||
                    fchown(fd, (uid_t) atol(argv[1]), (gid_t) -1) < 0 || close(fd) < 0)
                        return fail(path);
                fd = open(path, O_RDONLY | O_CLOEXEC);
                if (fd < 0 || read(fd, text, sizeof text) != size || close(fd) < 0 || unlink(path) < 0)
                        return fail(path);
        }
        return EXIT_SUCCESS;
}
