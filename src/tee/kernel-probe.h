/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Return probes of a function of the kernel: for what it tells of in no other way. That
 * it has returned is all that is known then, not what it has found. */
#pragma once

#include <glib.h>
#include <stdbool.h>

G_BEGIN_DECLS

typedef struct AttKernelProbe AttKernelProbe;

/**
 * att_kernel_probe_open: one event on each processor that is online
 * @function: its name; static
 * @error: %ATT_ERROR_FAILED with a sentence
 *
 * Takes CAP_PERFMON, or CAP_SYS_ADMIN where perf_event_paranoid is above 2. They go
 * with their descriptors: nothing is left in the kernel, after a crash neither.
 */
AttKernelProbe *att_kernel_probe_open(const char *function, GError **error) G_GNUC_WARN_UNUSED_RESULT;
void att_kernel_probe_free(AttKernelProbe *probe);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(AttKernelProbe, att_kernel_probe_free)

/* Descriptors to poll, one a processor. They tell each hit once and to one poll():
 * only att_kernel_probe_was_hit() knows whether there is something to drain. */
guint att_kernel_probe_size(const AttKernelProbe *probe);
int att_kernel_probe_fd(const AttKernelProbe *probe, guint i);

/** att_kernel_probe_was_hit: since the last drain, on any processor; two loads each */
bool att_kernel_probe_was_hit(const AttKernelProbe *probe);
void att_kernel_probe_drain(AttKernelProbe *probe);

G_END_DECLS
