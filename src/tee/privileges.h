/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the service starts with, and goes on without. */
#pragma once

#include <glib.h>
#include <stdbool.h>

G_BEGIN_DECLS

/**
 * att_privileges_drop: all capabilities, the bounding set, the network, and what a
 * later exec could bring back; for good
 * @keep_ptrace: all but CAP_SYS_PTRACE, if it was given
 * @error: something is left; the program must not go on
 *
 * Before there is a second thread, for they are a thread's. Descriptors that are
 * open stay what they are: netlink sockets those of the network namespace of
 * before. The group that owns the TPM is joined first, for without capabilities
 * root may open only what is root's.
 */
gboolean att_privileges_drop(bool keep_ptrace, GError **error) G_GNUC_WARN_UNUSED_RESULT;

G_END_DECLS
