/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* How much of something users may have who share it: each up to a number, all together up
 * to another, and nobody more than he leaves to all others.
 *
 * The last is what two numbers alone do not give: with 4 times as much in all as for one, four
 * users take everything. Here the fourth gets half of what is left, the fifth half of that,
 * and who has nothing yet gets one as long as there is one. So of N that there are in all, one
 * user alone gets N/2, and two N/3 each, if his own number is not less.
 *
 * Who has more than is left since others have come keeps it, and gets no more until it is
 * less. Every uid is a user, 0 too: what root runs is many programs, and one of them that
 * goes wrong is not to stop the others. */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

typedef struct AttQuota {
        const char *what; /* "sessions", for the sentence */
        guint64 of_user, user_max;
        guint64 of_all, all_max; /* the user's own are among them */
} AttQuota;

/**
 * att_quota_excess: which limit would be passed if this user had @more of it?
 *
 * Returns: (transfer full) (nullable): %NULL if none, he may have them. Else the begin of a sentence:
 *          "this user may have 4096 sessions", or "all users together have 14336 of 16384 sessions"
 */
char *att_quota_excess(const AttQuota *quota, guint64 more) G_GNUC_WARN_UNUSED_RESULT;

G_END_DECLS
