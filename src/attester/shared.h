/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What all evidence over one report has in common: so that it need not be sent with each. */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

typedef struct AttShared {
        grefcount refs;
        guint64 id;    /* of this process; not 0, and never used twice */
        GBytes *bytes;

        /*< private >*/
        int fd;        /* -1: nobody has asked for it */
} AttShared;

/** att_shared_new: @bytes: a reference is taken */
AttShared *att_shared_new(GBytes *bytes) G_GNUC_WARN_UNUSED_RESULT;
AttShared *att_shared_ref(AttShared *shared);
void att_shared_unref(AttShared *shared);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(AttShared, att_shared_unref)

/** att_shared_fd: as a sealed memfd, made once; borrowed. Returns: -1 with @error */
int att_shared_fd(AttShared *shared, GError **error);

G_END_DECLS
