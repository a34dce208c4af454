/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* When the device may be asked again, and how long it takes from one report to
 * the next. Times are those of g_get_monotonic_time(), given by the caller. */
#pragma once

#include "tee/fault.h"

#include <glib.h>
#include <stdbool.h>

G_BEGIN_DECLS

/* Begins as all zero. */
typedef struct AttPace {
        gint64 not_before_us;
        guint64 interval_us;   /* smoothed; 0: not known */

        /*< private >*/
        guint n_failures;      /* in a row */
        gint64 ended_us;       /* the last one, well or not */
        gint64 counts_from_us; /* when the good report before was there, if others have waited ever since */
} AttPace;

/** att_pace_asked: a report begins */
void att_pace_asked(AttPace *pace, gint64 now_us);
/** att_pace_done: it was good; any pause is over */
void att_pace_done(AttPace *pace, gint64 now_us);
/** att_pace_failed: it was not; @not_before_us moves on */
void att_pace_failed(AttPace *pace, AttTeeFault fault, gint64 now_us);

G_END_DECLS
