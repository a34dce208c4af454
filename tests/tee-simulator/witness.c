/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "witness.h"

#include <string.h>

struct Witness {
        GPtrArray *lines; /* of char * */
        guint64 n_forgotten;
};

Witness *witness_new(void) {
        Witness *w = g_new0(Witness, 1);

        w->lines = g_ptr_array_new_with_free_func(g_free);
        return w;
}

void witness_free(Witness *w) {
        if (!w)
                return;

        g_ptr_array_unref(w->lines);
        g_free(w);
}

void witness_note(Witness *w, WitnessCaller caller, const char *what, const char *where, int error,
                  const char *detail, ...) {
        GString *line = g_string_new(NULL);

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

        g_ptr_array_add(w->lines, g_string_free(line, FALSE));
}

guint64 witness_count(const Witness *w) {
        return w->n_forgotten + w->lines->len;
}

guint64 witness_dump(const Witness *w, guint64 first, GString *out) {
        guint64 skip = first > w->n_forgotten ? first - w->n_forgotten : 0;
        guint64 n = 0;

        for (guint64 i = skip; i < w->lines->len; i++, n++)
                g_string_append_printf(out, "%s\n", (const char *) w->lines->pdata[i]);
        return n;
}

void witness_forget(Witness *w) {
        w->n_forgotten += w->lines->len;
        g_ptr_array_set_size(w->lines, 0);
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
