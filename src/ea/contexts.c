/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "ea/authenticator.h"
#include "ea/used-contexts.h"
#include "util/error.h"

struct AttEaContexts {
        AttUsedContexts used;
};

AttEaContexts *att_ea_contexts_new(void) {
        return g_new0(AttEaContexts, 1);
}

void att_ea_contexts_free(AttEaContexts *contexts) {
        if (!contexts)
                return;

        att_used_contexts_clear(&contexts->used);
        g_free(contexts);
}

gboolean att_ea_contexts_add(AttEaContexts *contexts, const void *context, size_t size, GError **error) {
        AttUsedContext c;

        if (size > ATT_CONTEXT_SIZE_MAX)
                return att_error_set(error, ATT_ERROR_INVALID_ARGUMENT, "a context of %zu bytes; it may have %u", size,
                                     ATT_CONTEXT_SIZE_MAX);

        c = att_used_context(context, size);
        if (att_used_contexts_has(&contexts->used, &c))
                return att_error_set(error, ATT_ERROR_CONTEXT_USED,
                                     "context-reused: this connection has seen the context before");
        if (contexts->used.n == ATT_EA_CONTEXTS_MAX)
                return att_error_set(error, ATT_ERROR_LIMIT_REACHED, "%u requests on one connection",
                                     ATT_EA_CONTEXTS_MAX);

        return att_used_contexts_add(&contexts->used, &c);
}
