/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* One thread of ours does the calls of all connections of the process. It owns the links,
 * the lanes and the sessions; other threads give it jobs. */
#pragma once

#include <glib.h>
#include <stdbool.h>

G_BEGIN_DECLS

/** att_worker_start: does nothing if it runs. @error: %ATTESTD_ERROR_SERVICE: it runs in the process that forked us */
gboolean att_worker_start(GError **error) G_GNUC_WARN_UNUSED_RESULT;
bool att_worker_is_started(void);

/** att_worker_do: have @run called there, in order. When it was started */
void att_worker_do(void (*run)(gpointer data), gpointer data);

G_END_DECLS
