/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Who gets the device next. One report is under way at a time; the users who wait
 * take turns, within a user his connections do, and within a connection it is
 * first come, first served. So what one caller waits for does not grow with what
 * another one asks for. */
#pragma once

#include "tee/tee.h"

#include <glib.h>

G_BEGIN_DECLS

/* A user's turn. Embedded; begins as all zero. */
typedef struct AttScheduleUser {
        guint n_waiting;    /* jobs, the one under way too */

        /*< private >*/
        GQueue connections; /* of those that wait, by their link */
        GList link;
} AttScheduleUser;

/* A connection's turn among those of its user. Embedded; begins as all zero but for @user. */
typedef struct AttScheduleConnection {
        AttScheduleUser *user;

        /*< private >*/
        GQueue jobs; /* by their link */
        GList link;
} AttScheduleConnection;

typedef struct AttJob AttJob;

typedef struct AttJobOps {
        /** The device is free and the turn is this job's: say now, and not before,
         *  what it is to sign. Called again if the device was busy after all. */
        gboolean (*seal)(AttJob *job, uint8_t ret[ATT_REPORT_DATA_SIZE], GError **error);

        /** The end of the job, once: @report, or %NULL and @error. Both are the callback's. */
        void (*done)(AttJob *job, AttTeeReport *report, GError *error);
} AttJobOps;

/* A wish for one report. Embedded; begins as all zero but for @ops and @connection. */
struct AttJob {
        const AttJobOps *ops;
        AttScheduleConnection *connection;
        gint64 deadline_us;      /* as it was submitted */
        AttTpm *tpm;             /* for seal() to set: who is to quote beside the report; NULL: nobody; borrowed */

        /*< private >*/
        GList link;
        GSequenceIter *deadline; /* NULL: not submitted, or done */
        guint n_tries;
};

typedef struct AttScheduler AttScheduler;

/* Of each report that was made, before it goes to whom it is for: also if nobody wants it any more. */
typedef void (*AttReportSeen)(const AttTeeReport *report, gpointer userdata);

/**
 * att_scheduler_new:
 * @tee:  borrowed; its changes are for the owner to pass on
 * @seen: (nullable)
 */
AttScheduler *att_scheduler_new(AttTee *tee, AttReportSeen seen, gpointer userdata) G_GNUC_WARN_UNUSED_RESULT;
/** No job is left in it, and the TEE has been stopped. */
void att_scheduler_free(AttScheduler *scheduler);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(AttScheduler, att_scheduler_free)

/** Jobs that are not done. */
guint att_scheduler_n_waiting(const AttScheduler *scheduler);

/**
 * att_scheduler_submit: wait for a turn
 * @deadline_us: g_get_monotonic_time() at which the job ends with %ATT_ERROR_TIMED_OUT,
 *               whether it waits or is under way
 *
 * done() is not called before this returns. It may submit its job anew.
 */
void att_scheduler_submit(AttScheduler *scheduler, AttJob *job, gint64 deadline_us);

/**
 * att_scheduler_cancel: the job ends now, with %ATT_ERROR_CANCELLED
 *
 * If it waits, the device never hears of it. If it is under way, its report is
 * thrown away when it comes. Fine for a job that is done.
 */
void att_scheduler_cancel(AttScheduler *scheduler, AttJob *job);

/** att_scheduler_tee_changed: the state of the TEE is another one. Without a TEE all that wait are told so. */
void att_scheduler_tee_changed(AttScheduler *scheduler);

G_END_DECLS
