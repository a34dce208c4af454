/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "tee/pace.h"

/* Who asks so soon after the last report, or the end of a pause, had been waiting. */
#define AT_ONCE_US (20 * 1000)

void att_pace_asked(AttPace *pace, gint64 now_us) {
        bool has_waited = pace->ended_us > 0 && now_us - MAX(pace->ended_us, pace->not_before_us) <= AT_ONCE_US;

        /* A device that lends out its reports one a second may be quick about
         * each: with a queue, what counts is from one to the next. Without one,
         * the time in between was ours. */
        if (!has_waited)
                pace->counts_from_us = now_us;
}

void att_pace_done(AttPace *pace, gint64 now_us) {
        guint64 sample = (guint64) MAX(now_us - pace->counts_from_us, 1);

        /* Soon there when a token bucket runs dry, yet not thrown by one outlier. */
        pace->interval_us = pace->interval_us == 0 ? sample : (3 * pace->interval_us + sample) / 4;
        pace->counts_from_us = pace->ended_us = now_us;
        pace->not_before_us = now_us;
        pace->n_failures = 0;
}

void att_pace_failed(AttPace *pace, AttTeeFault fault, gint64 now_us) {
        /* A device that comes back is not to pay for its absence. */
        pace->n_failures = att_tee_fault_is_absence(fault) ? 1 : pace->n_failures + 1;
        pace->ended_us = now_us;
        pace->not_before_us = now_us + att_tee_fault_pause_us(fault, pace->n_failures);
}
