/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What a service answered, trusted no more than it has to be. */
#pragma once

#include "lib/services.h"
#include "lib/shared-parts.h"

#include <gio/gio.h>

G_BEGIN_DECLS

/**
 * att_answer_read: @reply, whose body is of the type that the contract says
 * @parts: (nullable): of who answered; there for %ATT_EVENT_EVIDENCE
 * @event: its type says what was asked; the rest of it is filled in
 * @error: %ATT_ERROR_FAILED: its evidence lacks what was never sent
 */
gboolean att_answer_read(AttSharedParts *parts, GDBusMessage *reply, AttEvent *event, GError **error)
        G_GNUC_WARN_UNUSED_RESULT;

/** att_answer_plain_texts: names of what changed, as far as they can stand in a frame. Returns: (transfer full) */
char **att_answer_plain_texts(char **texts);

G_END_DECLS
