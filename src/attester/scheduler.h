/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Who gets the device next. One report is under way at a time; the users who wait
 * take turns, within a user his connections do, and within a connection it is
 * first come, first served. Who comes during a report has his turn before him whose
 * it is. When a job's turn comes that may share its report, all that may are taken
 * along: nobody waits for them, and they are out of the way. They are answered in turns
 * too. So what one caller waits for does not grow with what another one asks for.
 *
 * A free device is asked at once, with one exception. When the state of the guest has changed, all are going to ask who
 * were told that their evidence is stale: they are expected (AttExpected). The first report that may be shared waits
 * for them, so that it is one for all: for an eighth of the device's interval (1 to 125 ms) since the last of them has
 * come. It does not wait when nobody is expected any more, when somebody waits who may not share, when the device takes
 * next to no time, or when a deadline would be missed. So those who never ask cost the others that eighth, and who
 * lets his requests trickle in costs them one interval (1 s at most) since the first of those that wait: as if that one
 * had just missed a report. Once for each change; then, as ever, nobody waits for who has not asked. */
#pragma once

#include "codec/inclusion-proof.h"
#include "tee/tee.h"

#include <glib.h>

G_BEGIN_DECLS

/* A user's turn. Embedded; begins as all zero. */
typedef struct AttScheduleUser {
        guint n_waiting;    /* jobs, the one under way too */

        /*< private >*/
        GQueue connections; /* of those that wait, by their link */
        GList link;
        GQueue sharing;     /* of connections with jobs that wait and may share, by their sharing */
        GList in_sharing;
        bool had_turn;      /* the last one; it goes behind the others when the next is taken */
} AttScheduleUser;

/* A connection's turn among those of its user. Embedded; begins as all zero but for @user. */
typedef struct AttScheduleConnection {
        AttScheduleUser *user;

        /*< private >*/
        GQueue jobs;    /* by their link */
        GList link;
        GQueue sharing; /* of jobs that wait and may share, by their sharing */
        GList in_sharing;
        bool had_turn;  /* likewise */
        bool is_held;   /* it can take no more answers */
        bool is_parked; /* nor is it to get more: its jobs have no turn, with nobody */
        GQueue answers; /* of jobs whose answers are there and held back, round by round; by their link */
        guint n_unread; /* rounds that they are of */
        bool is_released;
        GList released;
} AttScheduleConnection;

/* Somebody whose request is likely to come soon. Embedded; begins as all zero. */
typedef struct AttExpected {
        /*< private >*/
        guint64 report; /* before which; 0: none */
} AttExpected;

typedef struct AttJob AttJob;

/* What jobs of one kind do with a report; those of one report are of one kind. */
typedef struct AttJobOps {
        /**
         * seal: the device is free: say now, and not before, what it is to sign
         * @jobs:    of AttJob, whose report it is; more than one only if all may share it. One that cannot
         *           be sealed gets its @refusal, and has no part in @ret
         * @ret_tpm: set to who is to quote beside the report; %NULL: nobody; borrowed
         *
         * Called again if the device was busy after all, or if the report was not taken.
         *
         * Returns: (transfer full): what is sealed, not %NULL; nothing, if all were refused, is fine
         */
        gpointer (*seal)(GPtrArray *jobs, uint8_t ret[ATT_REPORT_DATA_SIZE], AttTpm **ret_tpm);

        /**
         * take: the report over @sealed
         * @jobs:   as they were sealed; %NULL for each that has ended since
         * @report: (transfer full)
         *
         * Returns: false if it does not bear out what was sealed: then it is nobody's, and all seal again
         */
        bool (*take)(gpointer sealed, const GPtrArray *jobs, AttTeeReport *report);

        /**
         * keep: @job is told later, perhaps much: it is to have what it needs of @sealed; once
         *
         * (nullable)
         */
        void (*keep)(gpointer sealed, AttJob *job);

        /**
         * shrink: all of @sealed have been told but those that were kept: no more than the report is to stay
         *
         * (nullable)
         */
        void (*shrink)(gpointer sealed);

        /**
         * done: the end of the job, once
         * @sealed: with the report; %NULL: there is none, and why is in @error, which is the callback's
         */
        void (*done)(AttJob *job, gpointer sealed, GError *error);

        /** drop: nobody waits for @sealed, or its report, any more */
        void (*drop)(gpointer sealed);
} AttJobOps;

/* A wish for a report. Embedded; begins as all zero but for @ops, @connection and @may_share. */
struct AttJob {
        const AttJobOps *ops;
        AttScheduleConnection *connection;
        bool may_share;
        AttExpected *expected; /* (nullable): who asks, and is not expected any more; there until it is submitted */
        gint64 deadline_us; /* as it was submitted */
        GError *refusal;    /* for seal() to set */

        /*< private >*/
        GList link;              /* in one of the queues of its connection */
        GList sharing;           /* among those of its connection that wait and may share */
        GSequenceIter *deadline; /* NULL: not submitted, or done */
        struct AttRound *round;  /* NULL: it waits for its turn */
        guint at;                /* in its round */
        bool is_held;            /* its answer is */
        guint n_tries;
};

/* Reports that are kept for a connection that takes no answers. Then none is made for what else it asks, until it has
 * taken all of one; one more may be under way by then. */
#define ATT_UNREAD_ROUNDS_MAX 4u

/* Jobs that one report may have. */
#define ATT_ROUND_MAX ATT_BATCH_MAX

typedef struct AttScheduler AttScheduler;

/* Of each report that was made, before it is taken: also if nobody wants it any more. */
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

/** att_scheduler_describe_wait: "about 3.2 s", which is when all who wait are served. Returns: (transfer full) */
char *att_scheduler_describe_wait(const AttScheduler *scheduler) G_GNUC_WARN_UNUSED_RESULT;

/**
 * att_scheduler_submit: wait for a turn
 * @deadline_us: g_get_monotonic_time() at which the job ends with %ATT_ERROR_TIMED_OUT,
 *               whether it waits or is under way
 *
 * done() is not called before this returns. It may submit its job anew.
 */
void att_scheduler_submit(AttScheduler *scheduler, AttJob *job, gint64 deadline_us);

/**
 * att_scheduler_expect: the next report that may be shared is likely to be asked for by this one too, and soon
 * @expected: (nullable): nobody yet, but for the time
 * @until_us: g_get_monotonic_time(); who asks then or later waits for nobody who was expected before. 0: as it was said
 *            last, which is so long after the change, and not after each who hears of it late
 *
 * It is over with that report, whether he has asked or not. Fine for one that is expected.
 */
void att_scheduler_expect(AttScheduler *scheduler, AttExpected *expected, gint64 until_us);
/** att_scheduler_unexpect: he will not ask, or he is gone. Fine for one that is not expected. */
void att_scheduler_unexpect(AttScheduler *scheduler, AttExpected *expected);

/**
 * att_scheduler_cancel: the job ends now, with %ATT_ERROR_CANCELLED
 *
 * If it waits, the device never hears of it. If it is under way, the report is that
 * of those it shares it with; without any it is thrown away when it comes. Fine for a
 * job that is done.
 */
void att_scheduler_cancel(AttScheduler *scheduler, AttJob *job);

/**
 * att_scheduler_hold: the connection can take no more evidence
 *
 * What is made for it stays with what it is made of until it is released, or
 * cancelled, or its deadline is over. Of its round that is what shrink() leaves; there
 * are %ATT_UNREAD_ROUNDS_MAX such rounds, and then what else it asks waits too.
 */
void att_scheduler_hold(AttScheduler *scheduler, AttScheduleConnection *connection);
/** att_scheduler_release: it can; done() of what is held back follows */
void att_scheduler_release(AttScheduler *scheduler, AttScheduleConnection *connection);

/** att_scheduler_tee_changed: its state is another one. Without a TEE all who wait for a turn are told so. */
void att_scheduler_tee_changed(AttScheduler *scheduler);

G_END_DECLS
