/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* configfs-tsm: reports by way of an entry of our own under tsm/report, see
 * Documentation/ABI/testing/configfs-tsm in the kernel tree.
 *
 * All of this blocks, and not only where it reads a report: the kernel holds one
 * lock for all entries while it makes one, and who waits for it cannot be
 * interrupted. So it is for a thread of its own, with all signals blocked: a
 * signal would leave the device in flight. Errors are of %ATT_TEE_FAULT. */
#pragma once

#include "tee/tee.h"

#include <stdbool.h>
#include <stdint.h>

G_BEGIN_DECLS

#define ATT_REPORTS_PATH "/sys/kernel/config/tsm/report"
/* All entries that begin so are ours, and nobody else's. */
#define ATT_REPORT_ENTRY_PREFIX "attestd-"

#define ATT_PROVIDER_SIZE_MAX 31u
/* GHCB certificate table: at most 16 KiB; with what later kernels may add. */
#define ATT_AUXBLOB_MAX (32u * 1024u)

typedef struct AttReportEntry {
        char name[40];
        int dir;                                 /* -1: there is none */
        char provider[ATT_PROVIDER_SIZE_MAX + 1];
        bool has_auxblob;
        gint64 private_us;                       /* when it was last seen to be closed to others */
        bool has_generation;
        guint64 generation;                      /* if so: which the last report, a good one, has left */
} AttReportEntry;

/** att_reports_open: the directory of all entries; -1 with @error if there is none, which says why */
int att_reports_open(GError **error) G_GNUC_WARN_UNUSED_RESULT;

/** att_report_entry_init: name it; makes nothing */
void att_report_entry_init(AttReportEntry *entry, const uint8_t boot_id[16], int pid);

/**
 * att_report_entry_ensure: make the entry, or see that it is still ours and the provider still there
 *
 * Without a provider the entry is removed: as long as there is one, no provider
 * can come.
 */
gboolean att_report_entry_ensure(AttReportEntry *entry, int reports, GError **error) G_GNUC_WARN_UNUSED_RESULT;

/** att_report_entry_remove: and close it; without a word if it is gone */
void att_report_entry_remove(AttReportEntry *entry, int reports);

/**
 * att_reports_look_around: entries of others
 * @reports:   open for nobody else: its offset is moved
 * @ret_n:     how many there are; of very many, only that there are
 * @ret_first: (transfer full): name of one of them, escaped and cut short; %NULL if there is none
 *
 * On the way it removes what services of ours have left behind: entries with our
 * prefix that no living process holds.
 */
gboolean att_reports_look_around(int reports, const AttReportEntry *own, guint *ret_n, char **ret_first,
                                 GError **error) G_GNUC_WARN_UNUSED_RESULT;

/**
 * att_report_make: one report over @report_data
 *
 * Commit proven by generation, which goes on where our last report has left it, and REPORTDATA
 * compared in the outblob: so who has written to our entry in between is noticed, too. Who has opened it
 * to others is noticed 5 ms later at the latest, by the report that follows. What another
 * try may mend is tried again at once, in a fresh entry where the old one is
 * spoiled, but not more often than thrice and not for long.
 */
AttTeeReport *att_report_make(AttReportEntry *entry, int reports, const uint8_t report_data[ATT_REPORT_DATA_SIZE],
                              GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* Of the parts above, for tests. */

/** att_generation_parse: "%lu\n" as the kernel prints it, and nothing else */
bool att_generation_parse(const void *text, gsize size, guint64 *ret) G_GNUC_WARN_UNUSED_RESULT;

/**
 * att_blob_read: all of the attribute @name, by a new descriptor
 * @max:      read no more than this and one byte
 * @provider: (nullable): whose report it is. configfs gives as much of a blob as was asked for,
 *            and less only at its end: after less, with which a report is whole, no more is asked for
 * @until_us: g_get_monotonic_time() at which to give up, however steady it drips
 */
GBytes *att_blob_read(int dir, const char *name, gsize max, const char *provider, gint64 until_us,
                      GError **error) G_GNUC_WARN_UNUSED_RESULT;

G_END_DECLS
