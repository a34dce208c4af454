/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A source of a main loop for descriptors that hint at something. The first hint
 * after quiet is acted on at once; then the window is closed for a while, and
 * what came meanwhile is acted on together when it opens: so nothing is missed,
 * and who causes many hints causes few actions. */
#pragma once

#include <glib.h>
#include <stdbool.h>

G_BEGIN_DECLS

typedef struct AttHintsFuncs {
        /** (nullable): is there a hint, whatever poll() has said? Where poll() tells each but once. */
        bool (*is_there)(gpointer userdata);
        /** Take all that is there. Returns: was there any? */
        bool (*drain)(gpointer userdata);
        /** After that: act on it. */
        void (*act)(gpointer userdata);
} AttHintsFuncs;

/**
 * att_hints_source_new: not attached yet
 * @fds:       of which poll() is asked; one that hangs up is left alone from then on
 * @window_ms: how long it is closed after each action
 * @funcs:     must outlive the source
 */
GSource *att_hints_source_new(const int *fds, guint n_fds, guint window_ms, const AttHintsFuncs *funcs,
                              gpointer userdata) G_GNUC_WARN_UNUSED_RESULT;

G_END_DECLS
