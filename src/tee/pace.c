/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "tee/pace.h"

#include <string.h>

/* Who asks so soon after the last report, or the end of a pause, had been waiting. */
#define AT_ONCE_US (20 * 1000)

/* A report is held back if it takes four times as long as others, and that by so much. */
#define HELD_FACTOR 4
#define HELD_US (50 * 1000)
/* No limit is seen where it costs less than this from one report to the next: a busy machine does as much. */
#define SPACING_MIN_US (50 * 1000)
/* A limit shows in the long run only where nobody rests: at most for this part of the time. */
#define REST_PART 4

/* A driver that destroys its key after 60 s was near it. */
#define NEAR_LOSS_US (10 * G_USEC_PER_SEC)
#define NEAR_LOSS_PAUSE_MAX_US (60 * G_USEC_PER_SEC)

/* ----- how many are lent at once
 *
 * Of a limit of count in a period, be it a bucket that fills steadily or a window that opens
 * anew, we see quick reports and some that are held back. From one that is held back to the
 * next, as long as somebody always asks, goes the limit's own time for as many reports as come
 * meanwhile: that is the spacing. A bucket from which one runs out in each spacing then says
 * how many are lent; the most that it ever held is the count. */

static void forget_limit(AttPace *p) {
        p->throttle_count = 0;
        p->throttle_period_us = 0;
        p->candidate_us = p->spacing_us = 0;
        p->n_lent = 0;
        p->lent_us = 0;
}

static double lent_at(const AttPace *p, gint64 now_us) {
        return MAX(p->n_lent - (double) (now_us - p->lent_us) / (double) p->spacing_us, 0);
}

static void set_lent(AttPace *p, double n, gint64 now_us) {
        p->n_lent = n;
        p->lent_us = now_us;
}

static void set_count(AttPace *p, double count) {
        p->throttle_count = (guint) (count + 0.5);
        p->throttle_period_us = p->throttle_count * p->spacing_us;
}

/* All that is remembered, as if the spacing had been known from the first. */
static void replay(AttPace *p) {
        double most = 0;

        p->n_lent = 0;
        p->lent_us = 0;
        for (guint64 n = MIN(p->n_came, ATT_PACE_BURST_MAX); n > 0; n--) {
                gint64 at_us = p->came_us[(p->n_came - n) % ATT_PACE_BURST_MAX];

                set_lent(p, lent_at(p, at_us) + 1, at_us);
                most = MAX(most, p->n_lent);
        }
        set_count(p, most);
}

static void remember(AttPace *p, gint64 now_us) {
        p->came_us[p->n_came++ % ATT_PACE_BURST_MAX] = now_us;
}

/* A host that lets us look again now and then is as late as that. */
static bool agree(guint64 a, guint64 b) {
        return 2 * a <= 5 * b && 2 * b <= 5 * a;
}

static void learn_spacing(AttPace *p, gint64 now_us) {
        guint64 span = (guint64) (now_us - p->held_us), sample = span / (p->n_since_held + 1);

        if (p->held_us == 0 || (guint64) p->idle_us > span / REST_PART)
                return;

        if (sample < MAX(2 * p->quick_us, SPACING_MIN_US)) {
                forget_limit(p);
        } else if (p->spacing_us > 0) {
                p->spacing_us = (3 * p->spacing_us + sample) / 4;
                set_count(p, p->throttle_count);
        } else if (agree(sample, p->candidate_us)) { /* one that is late now and then comes at no such intervals */
                p->spacing_us = (sample + p->candidate_us) / 2;
                replay(p);
        } else {
                p->candidate_us = sample;
        }
}

static void learn_from_held(AttPace *p, guint64 took_us, gint64 now_us) {
        /* When it was asked for, all that the host lends should have been lent. */
        double left = p->throttle_count > 0 ? p->throttle_count - lent_at(p, p->wanted_us) : 0;

        remember(p, now_us);
        learn_spacing(p, now_us);
        p->held_us = now_us;
        p->n_since_held = 0;
        p->idle_us = 0;
        if (p->spacing_us == 0)
                return;

        if (left > MAX(p->throttle_count / 2, 1))
                set_count(p, p->throttle_count - left);
        else if (left > 1)
                set_count(p, p->throttle_count - 1);
        set_lent(p, MIN(lent_at(p, now_us) + 1, p->throttle_count), now_us);
        if (p->throttle_count < 2) { /* it is slow, and lends nothing */
                forget_limit(p);
                p->quick_us = took_us;
        }
}

static void learn_from_quick(AttPace *p, guint64 took_us, gint64 now_us) {
        if (p->quick_us == 0 || took_us < p->quick_us)
                p->quick_us = took_us;
        else
                p->quick_us = (7 * p->quick_us + took_us) / 8;

        remember(p, now_us);
        p->n_since_held++;
        if (p->spacing_us == 0)
                return;

        set_lent(p, lent_at(p, now_us) + 1, now_us);
        if (p->n_lent >= ATT_PACE_BURST_MAX) /* there is no such limit any more */
                forget_limit(p);
        else
                set_count(p, MAX(p->throttle_count, p->n_lent));
}

static void learn_limit(AttPace *p, gint64 now_us) {
        guint64 took_us = (guint64) MAX(now_us - p->wanted_us, 1);

        if (p->was_refused || (p->quick_us > 0 && took_us > MAX(HELD_FACTOR * p->quick_us, p->quick_us + HELD_US)))
                learn_from_held(p, took_us, now_us);
        else
                learn_from_quick(p, took_us, now_us);
}

/* ----- one report after another */

void att_pace_asked(AttPace *pace, gint64 now_us) {
        gint64 free_us = MAX(pace->ended_us, pace->not_before_us);
        bool has_waited = pace->ended_us > 0 && now_us - free_us <= AT_ONCE_US;

        /* A device that lends out its reports one a second may be quick about
         * each: with a queue, what counts is from one to the next. Without one,
         * the time in between was ours. */
        if (!has_waited) {
                pace->counts_from_us = now_us;
                pace->idle_us += pace->ended_us > 0 ? now_us - free_us : 0;
        }
        pace->asked_us = now_us;
        if (pace->wanted_us == 0)
                pace->wanted_us = now_us;
}

static void end(AttPace *pace, gint64 now_us) {
        pace->ended_us = now_us;
        pace->asked_us = 0;
}

static void forgive(AttPace *pace) {
        memset(pace->n_failures, 0, sizeof pace->n_failures);
        pace->is_failing = pace->was_refused = false;
        pace->wanted_us = 0;
}

void att_pace_done(AttPace *pace, gint64 now_us) {
        guint64 sample = (guint64) MAX(now_us - pace->counts_from_us, 1);
        gint64 held_up_us = now_us - pace->asked_us;

        /* Soon there when a token bucket runs dry, yet not thrown by one outlier. */
        pace->interval_us = pace->interval_us == 0 ? sample : (3 * pace->interval_us + sample) / 4;
        learn_limit(pace, now_us);

        pace->counts_from_us = pace->not_before_us = now_us;
        if (pace->has_key && held_up_us >= NEAR_LOSS_US)
                pace->not_before_us += MIN(held_up_us, NEAR_LOSS_PAUSE_MAX_US);
        end(pace, now_us);
        forgive(pace);
}

void att_pace_failed(AttPace *pace, AttTeeFault fault, gint64 now_us) {
        gint64 pause_us;

        end(pace, now_us);
        if (att_tee_fault_is_absence(fault)) { /* a device that comes back is not to pay for it */
                att_pace_replaced(pace);
                pace->not_before_us = now_us + att_tee_fault_pause_us(fault, 1, false);
                return;
        }

        pause_us = att_tee_fault_pause_us(fault, ++pace->n_failures[fault], pace->has_key);
        if (fault == ATT_TEE_FAULT_INTERRUPTED)
                pause_us = MAX(pause_us, (gint64) MIN(pace->interval_us, (guint64) NEAR_LOSS_US));
        pace->not_before_us = now_us + pause_us;
        pace->is_failing = true;

        if (fault == ATT_TEE_FAULT_BUSY || fault == ATT_TEE_FAULT_THROTTLED) {
                pace->was_refused = true;
        } else { /* how long it would have taken is not known, nor what it has cost */
                pace->was_refused = false;
                pace->wanted_us = pace->held_us = 0;
        }
}

void att_pace_replaced(AttPace *pace) {
        forgive(pace);
        pace->not_before_us = pace->held_us = 0;
}

bool att_pace_is_failing(const AttPace *pace) {
        return pace->is_failing;
}

gint64 att_pace_wait_us(const AttPace *pace, guint n_reports, gint64 now_us) {
        gint64 pause_us = MAX(pace->not_before_us - now_us, 0);
        bool is_asked = pace->asked_us > 0;
        gint64 since_us = is_asked ? now_us - pace->asked_us : 0;
        gint64 n = (gint64) n_reports + is_asked, each_us = (gint64) pace->interval_us, held_us = 0;

        if (pace->throttle_count > 0) {
                double lent = lent_at(pace, now_us + pause_us) + (double) n - pace->throttle_count;

                each_us = (gint64) pace->quick_us;
                held_us = lent > 0 ? (gint64) (lent * (double) pace->spacing_us) : 0;
        }
        return pause_us + MAX(n * each_us - MIN(since_us, each_us), held_us);
}
