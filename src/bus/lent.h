/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Memfds that were passed to others. Each counts until nobody has it open any more, or has given it back
 * (util/memfd.h), and in any case while it is on its way (way.h): those count against what our user, root, may have
 * there with all that he runs. Who has received one, and unlocks it and keeps it, has one that is not counted: it is
 * among his own descriptors then, but its memory stays charged to attestd. */
#pragma once

#include "bus/way.h"

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

G_BEGIN_DECLS

typedef struct AttLentLimits {
        guint connection_max, user_max, all_max;
        gint64 look_us; /* how long what was seen of a user, or of all, is taken for true */
} AttLentLimits;

/* What the same one waits for: he will have it, and it counts as if he had. */
typedef struct AttLentCount {
        guint of_connection, of_user, of_all;
} AttLentCount;

typedef struct AttLent AttLent;

/** att_lent_new: @limits: borrowed */
AttLent *att_lent_new(const AttLentLimits *limits) G_GNUC_WARN_UNUSED_RESULT;
void att_lent_free(AttLent *lent);

/** att_lent_check: %ATT_ERROR_LIMIT_REACHED if @connection, of the user @uid, or all have as many as they may, or the
 * user has as many as he leaves to all others (util/quota.h) */
gboolean att_lent_check(AttLent *lent, const char *connection, uint32_t uid, GError **error) G_GNUC_WARN_UNUSED_RESULT;
/** att_lent_check_with: the same where some wait; who is asked about does not count as one of them yet */
gboolean att_lent_check_with(AttLent *lent, const char *connection, uint32_t uid, const AttLentCount *waiting,
                             GError **error) G_GNUC_WARN_UNUSED_RESULT;
/**
 * att_lent_lend: another one; whether it is too many is not looked at
 * @fd: the memfd; taken, in any case
 *
 * Returns: (transfer full): the descriptor that is to be passed, or -1 with @error
 */
int att_lent_lend(AttLent *lent, const char *connection, uint32_t uid, int fd, GError **error);
/** att_lent_lend_over: likewise, to be passed with the next message on @way; (nullable): nobody can look at what is
 *  on it without receiving it */
int att_lent_lend_over(AttLent *lent, AttWay *way, const char *connection, uint32_t uid, int fd, GError **error);

G_END_DECLS
