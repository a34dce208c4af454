/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* When the device may be asked again, how long it takes from one report to the next,
 * and how many the host lends at once. Times are those of g_get_monotonic_time(),
 * given by the caller.
 *
 * A failure has a pause by its kind, which doubles with each that follows and is over
 * with the next good report (att_tee_fault_pause_us() has the numbers):
 *
 *   EBUSY      the driver answers by itself, at no cost: 0.2 s to 10 s
 *   EINTR      our request is still at the host: as EBUSY, but at least one interval
 *   ETIMEDOUT  the host has not answered for 30 s: 5 s to 60 s
 *   EIO        the host has refused: 0.5 s to 30 s
 *
 * SNP's driver destroys the guest's key for good after any error of the host and after
 * 60 s in which the host was busy, asking every 2 s by itself. So of a device with a key:
 *
 *   1. One request at a time, and none while the kernel holds one, however late it is.
 *   2. After ENOTTY, the key being gone, none at all, until the driver was gone as well.
 *   3. Where the host has said that it is busy, or our request may still be there, the
 *      pause is 2 s to 60 s.
 *   4. After any other failure it is 5 s to 60 s. Nobody's patience shortens it, and
 *      no look at the device does.
 *   5. A good report for which the driver had to wait 10 s or longer was near to losing
 *      the key: the next one waits as long again, 60 s at most.
 *   6. What is tried again at once (a foreign writer, a report that is not whole) is what
 *      the firmware has answered well: that costs a report, and never the key.
 *   7. While the last one has failed, or reports are lent, none is made that nobody waits for. */
#pragma once

#include "tee/fault.h"

#include <glib.h>
#include <stdbool.h>

G_BEGIN_DECLS

/* Larger bursts than these are not seen as such. */
#define ATT_PACE_BURST_MAX 128u

/* Begins as all zero. */
typedef struct AttPace {
        bool has_key;               /* set by the owner: the device is one of SNP */
        gint64 not_before_us;
        guint64 interval_us;        /* smoothed; 0: not known */
        guint throttle_count;       /* so many reports are quick, as long as there are no more … */
        guint64 throttle_period_us; /* … in such a time; both 0: no such limit is known */

        /*< private >*/
        guint n_failures[ATT_TEE_FAULT_N]; /* since the last good one, by their kind */
        bool is_failing;
        gint64 ended_us;       /* the last one, well or not */
        gint64 counts_from_us; /* when the good report before was there, if others have waited ever since */
        gint64 asked_us;       /* of the one under way; 0: there is none */

        gint64 wanted_us;      /* when the report that has not come yet was first asked for; 0: there is none */
        bool was_refused;      /* … and then the host was busy */
        guint64 quick_us;      /* what a report takes that is not held back; 0: not known */
        gint64 held_us;        /* when the last one that was held back came; 0: what follows is not known */
        guint n_since_held;
        gint64 idle_us;        /* how long nobody has asked since then */
        guint64 candidate_us;  /* from one to the next in the long run, seen once */
        guint64 spacing_us;    /* … and confirmed; 0: reports are not lent */
        double n_lent;         /* of throttle_count … */
        gint64 lent_us;        /* … at that time */
        gint64 came_us[ATT_PACE_BURST_MAX]; /* when good ones came; a ring */
        guint64 n_came;
} AttPace;

/** att_pace_asked: a report begins */
void att_pace_asked(AttPace *pace, gint64 now_us);
/** att_pace_done: it was good; any pause is over */
void att_pace_done(AttPace *pace, gint64 now_us);
/** att_pace_failed: it was not; @not_before_us moves on */
void att_pace_failed(AttPace *pace, AttTeeFault fault, gint64 now_us);
/** att_pace_replaced: the device is another one than before: how that one has failed is past */
void att_pace_replaced(AttPace *pace);

/** att_pace_is_failing: was the last report no good one? */
bool att_pace_is_failing(const AttPace *pace);

/**
 * att_pace_wait_us: how long until @n_reports are there that are asked for from now on, one after another
 *
 * With what is left of a pause and of a report under way. A device of which nothing
 * is known is taken for one without delay.
 */
gint64 att_pace_wait_us(const AttPace *pace, guint n_reports, gint64 now_us);

G_END_DECLS
