/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What our thread tells one connection: it posts, the application's thread takes, and
 * the descriptor wakes the application's own loop. Any thread may call any of this. */
#pragma once

#include "lib/services.h"

G_BEGIN_DECLS

typedef struct AttMailbox {
        int fd; /* readable while there is an event */

        /*< private >*/
        GMutex lock;
        GQueue events; /* of AttEvent */
        bool is_closed;
} AttMailbox;

/** att_mailbox_init: @error: %ATTESTD_ERROR_SERVICE: there is no descriptor to be had; nothing is to be cleared */
gboolean att_mailbox_init(AttMailbox *m, GError **error) G_GNUC_WARN_UNUSED_RESULT;
void att_mailbox_clear(AttMailbox *m);

/** att_mailbox_post: @event: (transfer full) */
void att_mailbox_post(AttMailbox *m, AttEvent *event);
/** att_mailbox_post_failure: what @answer should have answered failed; @of: who or what, before @message */
void att_mailbox_post_failure(AttMailbox *m, AttEventType answer, const char *of, const char *message);

/** att_mailbox_take: Returns: (nullable) (transfer full): the oldest event */
AttEvent *att_mailbox_take(AttMailbox *m);

/** att_mailbox_close: nobody takes any more, and what is posted from now on is dropped */
void att_mailbox_close(AttMailbox *m);
bool att_mailbox_is_closed(AttMailbox *m);

G_END_DECLS
