/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lib/inbox.h"

#include <stdbool.h>
#include <string.h>

/* What a frame takes beside its payload. */
#define FRAME_COST 128u

void att_inbox_clear(AttInbox *in) {
        g_queue_clear_full(&in->frames, (GDestroyNotify) g_bytes_unref);
}

gsize att_inbox_cost_of(GBytes *payload) {
        return g_bytes_get_size(payload) + FRAME_COST;
}

void att_inbox_add(AttInbox *in, GBytes *payload) {
        in->size += g_bytes_get_size(payload);
        in->cost += att_inbox_cost_of(payload);
        g_queue_push_tail(&in->frames, g_bytes_ref(payload));
}

void att_inbox_mark(AttInbox *in) {
        in->stale = in->size;
}

gsize att_inbox_take(AttInbox *in, uint8_t *data, gsize size, gboolean *ret_stale) {
        bool is_stale = in->stale > 0;
        gsize n = 0, most = MIN(size, is_stale ? in->stale : in->size);

        while (n < most) {
                GBytes *head = g_queue_peek_head(&in->frames);
                gsize head_size;
                const uint8_t *p = g_bytes_get_data(head, &head_size);
                gsize k = MIN(most - n, head_size - in->at);

                memcpy(data + n, p + in->at, k);
                n += k;
                in->at += k;
                if (in->at == head_size) {
                        in->cost -= att_inbox_cost_of(head);
                        g_bytes_unref(g_queue_pop_head(&in->frames));
                        in->at = 0;
                }
        }
        in->size -= n;
        if (is_stale)
                in->stale -= n;
        if (ret_stale)
                *ret_stale = is_stale;
        return n;
}
