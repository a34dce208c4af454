/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A FUSE session served from the default main context. */
#pragma once

#define FUSE_USE_VERSION 314
#include <fuse_lowlevel.h>
#include <glib.h>

G_BEGIN_DECLS

typedef struct Mount Mount;

/**
 * mount_new:
 * @settle: (nullable): called after each request
 * @gone:   called when it was unmounted from outside
 */
Mount *mount_new(const char *mountpoint, const struct fuse_lowlevel_ops *operations, gsize size,
                 void (*settle)(gpointer), void (*gone)(gpointer), gpointer userdata, GError **error)
        G_GNUC_WARN_UNUSED_RESULT;
void mount_free(Mount *mount);

/** mount_want: for @init of the operations: a second reader must not be held back by the first */
void mount_want(void *userdata, struct fuse_conn_info *connection);

G_END_DECLS
