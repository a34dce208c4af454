/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The TEE of this guest, through configfs-tsm: one worker thread, one entry, one
 * report at a time. */
#pragma once

#include "util/tls-terms.h"

#include <gio/gio.h>
#include <stdbool.h>

G_BEGIN_DECLS

typedef enum {
        ATT_TEE_READY,
        ATT_TEE_DEGRADED,      /* the last report failed; tries go on, slower */
        ATT_TEE_SHARED_DEVICE, /* entries of other owners lie under tsm/report */
        ATT_TEE_NO_TEE,        /* no provider: not a confidential guest, or no driver */
        ATT_TEE_DEVICE_LOST,   /* it was here and is gone for good, or until it returns */
} AttTeeState;

/** "ready", "degraded", "shared-device", "no-tee", "device-lost" */
const char *att_tee_state_name(AttTeeState state);

/* One report, as the kernel gave it. */
typedef struct AttTeeReport {
        char *provider;      /* "tdx_guest", "sev_guest" */
        GBytes *outblob;     /* not empty; its REPORTDATA was compared with what was asked */
        GBytes *auxblob;     /* (nullable) */
        GBytes *manifestblob;/* (nullable) */
        gint64 duration_us;  /* from the write of inblob to the last read */
} AttTeeReport;

void att_tee_report_free(AttTeeReport *report);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(AttTeeReport, att_tee_report_free)

typedef struct AttTee AttTee;

/* Called in the main context when state, provider or detail has changed. */
typedef void (*AttTeeChanged)(AttTee *tee, gpointer userdata);

/**
 * att_tee_new: look for the TEE and start the worker
 *
 * Never fails for want of a TEE: the state says no-tee, the detail says why and
 * what to do, and the worker looks again from time to time.
 */
AttTee *att_tee_new(AttTeeChanged changed, gpointer userdata) G_GNUC_WARN_UNUSED_RESULT;

/**
 * att_tee_free: stop
 *
 * Waits at most @patience_ms for a report in flight, then leaves the thread
 * behind: it may sit in the kernel for a minute. Our entry is removed if it can be.
 */
void att_tee_stop_and_free(AttTee *tee, guint patience_ms);

AttTeeState att_tee_state(const AttTee *tee);
const char *att_tee_detail(const AttTee *tee);   /* one sentence; "" when ready. Borrowed until the next change */
const char *att_tee_name(const AttTee *tee);     /* "tdx", "snp" or "" */
const char *att_tee_provider(const AttTee *tee); /* "tdx_guest", "sev_guest" or "" */
/* Is a report under way? Then att_tee_report_async() must not be called. */
bool att_tee_is_busy(const AttTee *tee);
/* Learned interval between reports, microseconds; 0 until known. */
guint64 att_tee_interval_us(const AttTee *tee);
/* Earliest time (g_get_monotonic_time) at which the next report should be asked
 * for: back-off after EBUSY, ETIMEDOUT, EIO. In the past when there is none. */
gint64 att_tee_not_before_us(const AttTee *tee);

/**
 * att_tee_report_async: one report over @report_data
 * @done: called once, in the main context, however long the kernel takes
 *
 * One at a time: the caller holds the queue, the deadlines and the cancelling. A
 * report cannot be called back from the kernel; who does not want it any more
 * drops it when it comes.
 */
void att_tee_report_async(AttTee *tee, const guint8 report_data[ATT_REPORT_DATA_SIZE], GAsyncReadyCallback done,
                          gpointer userdata);

/**
 * att_tee_report_finish:
 * @error: %ATT_ERROR_NO_TEE, %ATT_ERROR_DEVICE_LOST, %ATT_ERROR_DEVICE_BUSY,
 *         %ATT_ERROR_BAD_DATA or %ATT_ERROR_FAILED, each with a sentence
 */
AttTeeReport *att_tee_report_finish(AttTee *tee, GAsyncResult *result, GError **error) G_GNUC_WARN_UNUSED_RESULT;

G_END_DECLS
