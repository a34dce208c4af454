/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Data of the peer that the application has not read yet: what was sent before a change
 * lies before what was sent after it, and is told apart. */
#pragma once

#include <glib.h>
#include <stdint.h>

G_BEGIN_DECLS

/* Begins as all zero. */
typedef struct AttInbox {
        gsize size; /* bytes of data */
        gsize cost; /* what that takes, however small the frames are: who adds to it looks at this */

        /*< private >*/
        GQueue frames; /* of GBytes, to be read from at on */
        gsize at;
        gsize stale; /* of size, what rests on older evidence */
} AttInbox;

void att_inbox_clear(AttInbox *in);

/** att_inbox_cost_of: what @payload adds to the cost as long as any of it is there */
gsize att_inbox_cost_of(GBytes *payload);
/** att_inbox_add: @payload: one byte at least */
void att_inbox_add(AttInbox *in, GBytes *payload);

/** att_inbox_mark: what was received so far, the peer sent before it knew of the change */
void att_inbox_mark(AttInbox *in);

/**
 * att_inbox_take: the oldest data, all marked or none of it
 * @size:      room in @data, not 0
 * @ret_stale: (nullable): is it marked?
 *
 * Returns: bytes
 */
gsize att_inbox_take(AttInbox *in, uint8_t *data, gsize size, gboolean *ret_stale);

G_END_DECLS
