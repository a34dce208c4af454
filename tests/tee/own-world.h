/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Mounts, and a network, that nobody else has: for tests that put files where the kernel has its own. */
#pragma once

#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mount.h>

/* First thing in main(). Ends the program as skipped where it may not. */
static inline void enter_own_world(void) {
        if (unshare(CLONE_NEWNS | CLONE_NEWNET) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0) {
                (void) puts("skipped: namespaces need root");
                exit(77);
        }
}

/* An empty folder in the place of that one. */
static inline bool empty_folder(const char *path) {
        return mount("tmpfs", path, "tmpfs", 0, NULL) == 0;
}
