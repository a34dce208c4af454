/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The model, shown by FUSE as what lies below /sys/kernel/config. */
#pragma once

#include "tsm.h"

#include <glib.h>

G_BEGIN_DECLS

typedef struct Tree Tree;

/**
 * tree_mount:
 * @has_core: false for an empty configfs, as before tsm.ko is loaded
 * @gone: called when it was unmounted from outside
 *
 * Serves from the default main context.
 */
Tree *tree_mount(Tsm *tsm, const char *mountpoint, bool has_core, void (*gone)(gpointer), gpointer userdata,
                 GError **error) G_GNUC_WARN_UNUSED_RESULT;
void tree_unmount_and_free(Tree *tree);

/** tree_set_core: load or unload tsm.ko. Returns: positive errno; EBUSY while there are entries */
int tree_set_core(Tree *tree, bool is_loaded);

/** tree_chmod: of an entry's directory, as another process of root would do it. Returns: positive errno or 0 */
int tree_chmod(Tree *tree, const char *entry, mode_t mode);

G_END_DECLS
