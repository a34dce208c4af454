/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "util/quota.h"

#include <stdbool.h>

static bool fits(guint64 has, guint64 more, guint64 max) {
        return has <= max && more <= max - has;
}

/* Does this user leave to all others as much as he has then? The first one he gets anyway:
 * else nobody would get the last one, and of a limit of 1 nobody anything.
 * @more: fits, so that no sum here can overflow */
static bool leaves_room(const AttQuota *q, guint64 more) {
        return q->of_user + more <= q->all_max - q->of_all - more || (q->of_user == 0 && more == 1);
}

char *att_quota_excess(const AttQuota *q, guint64 more) {
        if (more == 0)
                return NULL;
        if (!fits(q->of_user, more, q->user_max))
                return g_strdup_printf("this user may have %" G_GUINT64_FORMAT " %s", q->user_max, q->what);
        if (!fits(q->of_all, more, q->all_max))
                return g_strdup_printf("all users together have %" G_GUINT64_FORMAT " of %" G_GUINT64_FORMAT " %s",
                                       q->of_all, q->all_max, q->what);
        if (!leaves_room(q, more))
                return g_strdup_printf("all users together have %" G_GUINT64_FORMAT " of %" G_GUINT64_FORMAT " %s, and "
                                       "the rest is for who has fewer", q->of_all, q->all_max, q->what);
        return NULL;
}
