/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Lines of a kind that others can cause: ten a minute, so that nobody fills the journal. */
#pragma once

#include <glib.h>
#include <stdbool.h>

G_BEGIN_DECLS

#define ATT_LOG_LINES_MAX 10u
#define ATT_LOG_PERIOD_US (60 * G_USEC_PER_SEC)

/* Begins as all zero. */
typedef struct AttLogLimit {
        /*< private >*/
        gint64 since_us;
        guint n;
} AttLogLimit;

/**
 * att_log_limit_take: may one more be written?
 * @ret_left_out: how many were not, of the minute that is over; else 0
 */
static inline bool att_log_limit_take(AttLogLimit *limit, guint *ret_left_out) {
        gint64 now = g_get_monotonic_time();

        *ret_left_out = 0;
        if (limit->since_us == 0 || now - limit->since_us > ATT_LOG_PERIOD_US) {
                if (limit->n > ATT_LOG_LINES_MAX)
                        *ret_left_out = limit->n - ATT_LOG_LINES_MAX;
                limit->since_us = now;
                limit->n = 0;
        }
        return ++limit->n <= ATT_LOG_LINES_MAX;
}

G_END_DECLS
