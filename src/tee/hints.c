/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "tee/hints.h"

typedef struct Hints {
        GSource base;
        const AttHintsFuncs *funcs;
        gpointer userdata;
        gint64 window_us;
        GPtrArray *tags; /* of the descriptors */
        bool is_closed;
} Hints;

static void set_closed(Hints *h, bool closed) {
        h->is_closed = closed;
        for (guint i = 0; i < h->tags->len; i++)
                g_source_modify_unix_fd(&h->base, h->tags->pdata[i], closed ? 0 : G_IO_IN);
        g_source_set_ready_time(&h->base, closed ? g_get_monotonic_time() + h->window_us : -1);
}

/* One that has hung up is always ready, and never again of any use. */
static bool ask_poll(Hints *h) {
        bool is_ready = false;

        for (guint i = h->tags->len; i > 0; i--) {
                gpointer tag = h->tags->pdata[i - 1];
                GIOCondition condition = g_source_query_unix_fd(&h->base, tag);

                if (condition & (G_IO_HUP | G_IO_ERR | G_IO_NVAL)) {
                        g_source_remove_unix_fd(&h->base, tag);
                        g_ptr_array_remove_index_fast(h->tags, i - 1);
                }
                is_ready = is_ready || condition != 0;
        }
        return is_ready;
}

static gboolean hints_prepare(GSource *base, gint *timeout) {
        Hints *h = (Hints *) base;

        *timeout = -1;
        return !h->is_closed && h->funcs->is_there && h->funcs->is_there(h->userdata);
}

static gboolean hints_check(GSource *base) {
        Hints *h = (Hints *) base;
        bool is_ready = ask_poll(h);

        /* When the window opens, the ready time has us dispatched. */
        if (h->is_closed)
                return FALSE;
        return h->funcs->is_there ? h->funcs->is_there(h->userdata) : is_ready;
}

static gboolean hints_dispatch(GSource *base, GSourceFunc callback, gpointer userdata) {
        Hints *h = (Hints *) base;
        bool was_there = h->funcs->drain(h->userdata);

        (void) callback, (void) userdata;
        set_closed(h, was_there);
        if (was_there)
                h->funcs->act(h->userdata);
        return G_SOURCE_CONTINUE;
}

static void hints_finalize(GSource *base) {
        g_ptr_array_unref(((Hints *) base)->tags);
}

GSource *att_hints_source_new(const int *fds, guint n_fds, guint window_ms, const AttHintsFuncs *funcs,
                              gpointer userdata) {
        static GSourceFuncs source_funcs = {
                .prepare = hints_prepare,
                .check = hints_check,
                .dispatch = hints_dispatch,
                .finalize = hints_finalize,
        };
        GSource *base = g_source_new(&source_funcs, sizeof(Hints));
        Hints *h = (Hints *) base;

        h->funcs = funcs;
        h->userdata = userdata;
        h->window_us = (gint64) window_ms * 1000;
        h->tags = g_ptr_array_new();
        h->is_closed = false;
        for (guint i = 0; i < n_fds; i++)
                g_ptr_array_add(h->tags, g_source_add_unix_fd(base, fds[i], G_IO_IN));
        return base;
}
