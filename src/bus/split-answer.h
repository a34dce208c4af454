/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The answer to Attest that there is by the ten thousand: evidence whose shared part the connection has. A method
 * return of signature aya{sv} as sd-bus would make it, but for the order of its header's fields; written behind others
 * into one buffer, it costs a fraction of a sd_bus_message and of a system call. No I/O. */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

typedef struct AttSplitAnswer {
        guint32 serial;       /* of its own; not 0 */
        guint32 reply_serial; /* of the call */
        GBytes *evidence;     /* but for the shared part */
        guint64 shared;       /* its number */
        guint64 shared_at;
        guint64 shared_size;
} AttSplitAnswer;

/** att_split_answer_put: append the message to @out, whatever is there */
void att_split_answer_put(GByteArray *out, const AttSplitAnswer *answer);

G_END_DECLS
