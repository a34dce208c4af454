/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A file system of a few files that the kernel's would be, each with functions behind
 * it. Sizes are what stat() says, not what a read gives. */
#pragma once

#include "mount.h"

#include <stdbool.h>
#include <sys/types.h>

G_BEGIN_DECLS

/* Each is nullable. @of: what the file was added with; @open: what its open() gave. All but open and close answer
 * the request, now or later. */
typedef struct FileOps {
        /* Returns: positive errno or 0 */
        int (*open)(gpointer of, int flags, gpointer *ret);
        void (*close)(gpointer of, gpointer open);
        void (*read)(fuse_req_t req, gpointer of, gpointer open, gsize size, goffset offset);
        void (*write)(fuse_req_t req, gpointer of, gpointer open, const void *data, gsize size, goffset offset);
        void (*ioctl)(fuse_req_t req, gpointer of, unsigned command, const void *in, gsize in_size);
        /* @handle: (nullable): to be told once, and destroyed */
        void (*poll)(fuse_req_t req, gpointer of, gpointer open, struct fuse_pollhandle *handle);
} FileOps;

typedef struct Files Files;
typedef struct File File;

Files *files_new(const char *mountpoint, void (*gone)(gpointer), gpointer userdata, GError **error)
        G_GNUC_WARN_UNUSED_RESULT;
void files_free(Files *files);

/** files_add: @path is relative; folders above it come by themselves. Returns: borrowed */
File *files_add(Files *files, const char *path, mode_t mode, goffset size, const FileOps *ops, gpointer of);
File *files_add_link(Files *files, const char *path, const char *target);
/** files_hide: as if it were not there; who has it open keeps it */
void files_hide(File *file, bool is_hidden);

/** files_reply: the part that was asked for of a text or a blob that is whole */
void files_reply(fuse_req_t req, const void *data, gsize data_size, gsize size, goffset offset);

G_END_DECLS
