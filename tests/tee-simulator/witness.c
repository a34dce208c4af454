/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "witness.h"

#include <string.h>

struct Witness {
        GQueue lines; /* of char * */
        guint64 n_forgotten;
        guint n_kept_max;
};

Witness *witness_new(void) {
        Witness *w = g_new0(Witness, 1);

        g_queue_init(&w->lines);
        w->n_kept_max = G_MAXUINT;
        return w;
}

void witness_free(Witness *w) {
        if (!w)
                return;

        g_queue_clear_full(&w->lines, g_free);
        g_free(w);
}

static void forget_but(Witness *w, guint n) {
        while (w->lines.length > n) {
                g_free(g_queue_pop_head(&w->lines));
                w->n_forgotten++;
        }
}

void witness_note(Witness *w, WitnessCaller caller, const char *what, const char *where, int error,
                  const char *detail, ...) {
        GString *line;

        if (w->n_kept_max == 0) {
                w->n_forgotten++;
                return;
        }

        line = g_string_new(NULL);
        g_string_printf(line, "%" G_GUINT64_FORMAT " %" G_GINT64_FORMAT " tid=%d uid=%u %s %s %s",
                        witness_count(w), g_get_monotonic_time(), caller.tid, caller.uid, what, where,
                        errno_name(error));
        if (detail) {
                va_list arguments;

                g_string_append_c(line, ' ');
                va_start(arguments, detail);
                g_string_append_vprintf(line, detail, arguments);
                va_end(arguments);
        }

        g_queue_push_tail(&w->lines, g_string_free(line, FALSE));
        forget_but(w, w->n_kept_max);
}

guint64 witness_count(const Witness *w) {
        return w->n_forgotten + w->lines.length;
}

guint64 witness_dump(const Witness *w, guint64 first, GString *out) {
        guint64 skip = first > w->n_forgotten ? first - w->n_forgotten : 0;
        guint64 n = 0;

        for (const GList *l = w->lines.head; l; l = l->next)
                if (n++ >= skip)
                        g_string_append_printf(out, "%s\n", (const char *) l->data);
        return n - MIN(n, skip);
}

void witness_forget(Witness *w) {
        forget_but(w, 0);
}

void witness_keep(Witness *w, guint n) {
        w->n_kept_max = n;
        forget_but(w, n);
}

bool witness_keeps(const Witness *w) {
        return w->n_kept_max > 0;
}

const char *errno_name(int error) {
        const char *name = error == 0 ? "ok" : strerrorname_np(error);

        return name ? name : "E?";
}

int errno_by_name(const char *name) {
        for (int i = 1; i < 134; i++)
                if (g_strcmp0(name, strerrorname_np(i)) == 0)
                        return i;
        return 0;
}
