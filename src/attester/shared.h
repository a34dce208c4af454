/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What all evidence over one report has in common: so that it need not be sent with each. */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

typedef struct AttShared {
        grefcount refs;
        guint64 id;    /* of this process; not 0, and never used twice */
        GBytes *bytes;
} AttShared;

/** att_shared_new: @bytes: a reference is taken */
AttShared *att_shared_new(GBytes *bytes) G_GNUC_WARN_UNUSED_RESULT;
AttShared *att_shared_ref(AttShared *shared);
void att_shared_unref(AttShared *shared);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(AttShared, att_shared_unref)

/**
 * att_shared_open: as a sealed memfd
 *
 * Of its own for each who gets it: a descriptor that is passed on shares its offset,
 * and what one has read would be gone for another.
 *
 * Returns: (transfer full): the descriptor, or -1 with @error
 */
int att_shared_open(const AttShared *shared, GError **error);

G_END_DECLS
