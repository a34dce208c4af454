/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

/**
 * att_thread_new: a thread for a device
 *
 * A signal that interrupts a report leaves the device in flight: so all are blocked
 * from the thread's first instruction on.
 */
GThread *att_thread_new(const char *name, GThreadFunc func, gpointer data) G_GNUC_WARN_UNUSED_RESULT;

G_END_DECLS
