/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "ea/used-contexts.h"

#include "crypto/digest.h"

#include <string.h>

void att_used_contexts_clear(AttUsedContexts *used) {
        g_free(used->sorted);
        *used = (AttUsedContexts) { 0 };
}

AttUsedContext att_used_context(const void *context, gsize size) {
        uint8_t digest[ATT_SHA256_SIZE];
        AttUsedContext c;

        att_sha256(&(AttPart) { context, size }, 1, digest);
        memcpy(c.digest, digest, sizeof c.digest);
        return c;
}

/* Where it is, or belongs. */
static guint find(const AttUsedContexts *used, const AttUsedContext *context, bool *ret_is_there) {
        guint from = 0, to = used->n;

        while (from < to) {
                guint middle = from + (to - from) / 2;
                int order = memcmp(used->sorted[middle].digest, context->digest, ATT_USED_CONTEXT_SIZE);

                if (order == 0) {
                        *ret_is_there = true;
                        return middle;
                }
                if (order < 0)
                        from = middle + 1;
                else
                        to = middle;
        }
        *ret_is_there = false;
        return from;
}

bool att_used_contexts_has(const AttUsedContexts *used, const AttUsedContext *context) {
        bool is_there;

        (void) find(used, context, &is_there);
        return is_there;
}

bool att_used_contexts_add(AttUsedContexts *used, const AttUsedContext *context) {
        bool is_there;
        guint at = find(used, context, &is_there);

        if (is_there)
                return false;

        if (used->n == used->room) {
                used->room = used->room + used->room / 2 + 2;
                used->sorted = g_renew(AttUsedContext, used->sorted, used->room);
        }
        memmove(used->sorted + at + 1, used->sorted + at, (used->n - at) * sizeof *used->sorted);
        used->sorted[at] = *context;
        used->n++;
        return true;
}

void att_used_contexts_remove(AttUsedContexts *used, const AttUsedContext *context) {
        bool is_there;
        guint at = find(used, context, &is_there);

        if (!is_there)
                return;
        used->n--;
        memmove(used->sorted + at, used->sorted + at + 1, (used->n - at) * sizeof *used->sorted);
}
