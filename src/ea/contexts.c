/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "ea/authenticator.h"
#include "util/error.h"

struct AttEaContexts {
        GHashTable *used; /* of GBytes */
};

AttEaContexts *att_ea_contexts_new(void) {
        AttEaContexts *contexts = g_new0(AttEaContexts, 1);

        contexts->used = g_hash_table_new_full(g_bytes_hash, g_bytes_equal, (GDestroyNotify) g_bytes_unref, NULL);
        return contexts;
}

void att_ea_contexts_free(AttEaContexts *contexts) {
        if (!contexts)
                return;

        g_hash_table_unref(contexts->used);
        g_free(contexts);
}

gboolean att_ea_contexts_add(AttEaContexts *contexts, const void *context, size_t size, GError **error) {
        g_autoptr(GBytes) key = NULL;

        if (size > ATT_CONTEXT_SIZE_MAX)
                return att_error_set(error, ATT_ERROR_INVALID_ARGUMENT, "a context of %zu bytes; it may have %u", size,
                                     ATT_CONTEXT_SIZE_MAX);

        key = g_bytes_new(context, size);
        if (g_hash_table_contains(contexts->used, key))
                return att_error_set(error, ATT_ERROR_CONTEXT_USED,
                                     "context-reused: this connection has seen the context before");
        if (g_hash_table_size(contexts->used) == ATT_EA_CONTEXTS_MAX)
                return att_error_set(error, ATT_ERROR_LIMIT_REACHED, "%u requests on one connection",
                                     ATT_EA_CONTEXTS_MAX);

        g_hash_table_add(contexts->used, g_steal_pointer(&key));
        return TRUE;
}
