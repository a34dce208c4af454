/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Return probes of the kernel's function that adds an entry to the IMA log: when it
 * returns, list and PCR have the entry. It also returns for entries that were
 * there already, and nothing tells the two apart here. */
#pragma once

#include <glib.h>
#include <stdbool.h>

G_BEGIN_DECLS

typedef struct AttImaProbe AttImaProbe;

/**
 * att_ima_probe_open: one event on each processor that is online
 * @error: %ATT_ERROR_FAILED with a sentence
 *
 * Takes CAP_PERFMON, or CAP_SYS_ADMIN where perf_event_paranoid is above 2. They go
 * with their descriptors: nothing is left in the kernel, after a crash neither.
 */
AttImaProbe *att_ima_probe_open(GError **error) G_GNUC_WARN_UNUSED_RESULT;
void att_ima_probe_free(AttImaProbe *probe);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(AttImaProbe, att_ima_probe_free)

/* Descriptors to poll, one a processor. They tell each hit once and to one poll():
 * only att_ima_probe_was_hit() knows whether there is something to drain. */
guint att_ima_probe_size(const AttImaProbe *probe);
int att_ima_probe_fd(const AttImaProbe *probe, guint i);

/** att_ima_probe_was_hit: since the last drain, on any processor; two loads each */
bool att_ima_probe_was_hit(const AttImaProbe *probe);
void att_ima_probe_drain(AttImaProbe *probe);

G_END_DECLS
