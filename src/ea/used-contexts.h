/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The contexts that a session may not use again, of who attests as of who verifies.
 * There are ten thousand sessions, each renews for weeks: so a context is remembered
 * by 16 bytes of its SHA-256. Two that have these in common would be taken for one;
 * the second would be refused. */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

G_BEGIN_DECLS

#define ATT_USED_CONTEXT_SIZE 16u
/* What one takes of memory, with the room that is made before it is needed. */
#define ATT_USED_CONTEXT_HELD (ATT_USED_CONTEXT_SIZE * 3u / 2u)

typedef struct AttUsedContext {
        uint8_t digest[ATT_USED_CONTEXT_SIZE];
} AttUsedContext;

/* Begins as all zero. */
typedef struct AttUsedContexts {
        guint n;

        /*< private >*/
        guint room;
        AttUsedContext *sorted;
} AttUsedContexts;

void att_used_contexts_clear(AttUsedContexts *used);

/** att_used_context: as it is remembered */
AttUsedContext att_used_context(const void *context, gsize size);

bool att_used_contexts_has(const AttUsedContexts *used, const AttUsedContext *context);
/** att_used_contexts_add: false: it is there already */
bool att_used_contexts_add(AttUsedContexts *used, const AttUsedContext *context);
/** att_used_contexts_remove: fine for one that is not there */
void att_used_contexts_remove(AttUsedContexts *used, const AttUsedContext *context);

G_END_DECLS
