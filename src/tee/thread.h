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

/**
 * att_thread_exit: end of the process
 *
 * While one of these threads is left in the kernel, nothing is taken down: it may come
 * back at any time, and would go on in what is no more.
 */
void att_thread_exit(int status) G_GNUC_NORETURN;

G_END_DECLS
