/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The TEE of this guest: one worker thread, one report at a time, by configfs-tsm or,
 * where the kernel has none, by /dev/sev-guest. */
#pragma once

#include "tee/tpm.h"
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
        gint64 duration_us;  /* from the write of inblob to the last read */
        bool shared_device;  /* entries of other owners lay under tsm/report before or after it, or could
                              * not be seen */
        GBytes *tpm;         /* payload of the member "tpm"; (nullable) */
        GError *tpm_fault;   /* why there is none although one was wanted; (nullable) */
} AttTeeReport;

void att_tee_report_free(AttTeeReport *report);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(AttTeeReport, att_tee_report_free)

typedef struct AttTee AttTee;

/* Called in the main context when state, detail, provider or whether it is shared has
 * changed; before the @done of a report that has brought the news. */
typedef void (*AttTeeChanged)(AttTee *tee, gpointer userdata);

/**
 * att_tee_new: look for the TEE and start the worker
 *
 * Never fails for want of a TEE: the state says no-tee, the detail says why and
 * what to do, and the worker looks again from time to time. Waits for the first
 * look, but not longer than a second. Logs each change of state, itself.
 */
AttTee *att_tee_new(AttTeeChanged changed, gpointer userdata) G_GNUC_WARN_UNUSED_RESULT;

/**
 * att_tee_stop_and_free: stop
 *
 * Waits at most @patience_ms for a report in flight, then leaves the thread
 * behind: it may sit in the kernel for a minute. Our entry is removed if it can
 * be, else the next start does it. The @done of a report in flight is not called
 * any more. Not to be called from %AttTeeChanged.
 */
void att_tee_stop_and_free(AttTee *tee, guint patience_ms);

AttTeeState att_tee_state(const AttTee *tee);
const char *att_tee_detail(const AttTee *tee);   /* one sentence; "" when ready. Borrowed until the next change */
const char *att_tee_name(const AttTee *tee);     /* "tdx", "snp" or "" */
const char *att_tee_provider(const AttTee *tee); /* "tdx_guest", "sev_guest" or "" */
const char *att_tee_source(const AttTee *tee);   /* who gives its reports: "configfs-tsm", "/dev/sev-guest" or "" */
/* Do entries of other owners lie under tsm/report, as far as we know? For C: the
 * state may name something worse and hide it. */
bool att_tee_is_shared(const AttTee *tee);
/* Is a report under way? Then att_tee_report_async() must not be called. */
bool att_tee_is_busy(const AttTee *tee);
/* Learned interval between reports, microseconds; 0 until known. */
guint64 att_tee_interval_us(const AttTee *tee);
/* What the host lends, as learned: so many reports are quick, as long as there are no more in
 * such a time, in microseconds; what goes beyond it has to wait. Both 0 if no such limit is known. */
guint att_tee_throttle_count(const AttTee *tee);
guint64 att_tee_throttle_period_us(const AttTee *tee);
/* How long until @n_reports are there that are asked for from now on, one after another, with what is
 * left of a pause and of the report under way; microseconds. Of a device that nothing is known of: 0. */
gint64 att_tee_expected_wait_us(const AttTee *tee, guint n_reports);
/* Was the last report no good one? */
bool att_tee_is_failing(const AttTee *tee);
/* Earliest time (g_get_monotonic_time) at which the next report should be asked
 * for: back-off after EBUSY, ETIMEDOUT, EIO. In the past when there is none. */
gint64 att_tee_not_before_us(const AttTee *tee);

/**
 * att_tee_report_async: one report over @report_data
 * @tpm:  (nullable): is to quote once the report is there; a reference is taken. A TPM
 *        that does not costs the quote, not the report
 * @done: called once, in the main context, however long the kernel takes
 *
 * One at a time: the caller holds the queue, the deadlines and the cancelling. A
 * report cannot be called back from the kernel; who does not want it any more
 * drops it when it comes. It may be asked for in any state: when there is no TEE
 * that is one more look for one; when it is lost, the device is left alone.
 */
void att_tee_report_async(AttTee *tee, const guint8 report_data[ATT_REPORT_DATA_SIZE], AttTpm *tpm,
                          GAsyncReadyCallback done, gpointer userdata);

/**
 * att_tee_report_finish:
 * @error: with a sentence that says what to do
 *         %ATT_ERROR_DEVICE_BUSY: an earlier request is still in flight at the host;
 *           the same one may be asked for again after att_tee_not_before_us()
 *         %ATT_ERROR_NO_TEE, %ATT_ERROR_DEVICE_LOST: as the states of these names
 *         %ATT_ERROR_BAD_DATA: the report was empty, not whole, or over other
 *           REPORTDATA, each time it was tried
 *         %ATT_ERROR_TOO_LARGE: a blob is over its limit
 *         %ATT_ERROR_FAILED: all else, the driver's own time limit among it
 */
AttTeeReport *att_tee_report_finish(AttTee *tee, GAsyncResult *result, GError **error) G_GNUC_WARN_UNUSED_RESULT;

G_END_DECLS
