/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What all evidence over one report has in common: attestd sends it once to a D-Bus
 * connection, and then names it. */
#pragma once

#include <gio/gio.h>
#include <gio/gunixfdlist.h>

G_BEGIN_DECLS

/* attestd counts on 4. */
#define ATT_SHARED_PARTS_KEPT 8u

/* Of one D-Bus connection and one process at its other end. Begins as all zero. */
typedef struct AttSharedParts {
        /*< private >*/
        struct {
                guint64 id;
                GBytes *bytes;
                GVariant *info; /* that came with it */
        } kept[ATT_SHARED_PARTS_KEPT];
        guint n; /* ever kept */
} AttSharedParts;

void att_shared_parts_clear(AttSharedParts *parts);

/**
 * att_shared_parts_join: evidence in one piece, of what Attest has answered
 * @evidence: without the shared part, unless @info names none
 * @info:     of type a{sv}
 * @fds:      (nullable): what came with it
 * @ret_info: set to what there is to know of it: @info, or what came with the shared part
 * @error:    %ATT_ERROR_BAD_DATA: it is none of one; %ATT_ERROR_FAILED: a part that we do not have, or did not
 *            get although it was sent
 *
 * Returns: (transfer full): of at most 65,529 bytes if it was in two pieces
 */
GBytes *att_shared_parts_join(AttSharedParts *parts, GBytes *evidence, GVariant *info, GUnixFDList *fds,
                              GVariant **ret_info, GError **error) G_GNUC_WARN_UNUSED_RESULT;

G_END_DECLS
