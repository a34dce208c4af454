/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Bytes for the peer that the transport has not taken yet. What of them may be sent, and
 * when, who puts them here has decided. */
#pragma once

#include "codec/frame.h"
#include "lib/transport.h"

G_BEGIN_DECLS

typedef struct AttOutbox {
        GError *broken; /* why nothing can be sent any more; the peer's last words may still come */

        /*< private >*/
        AttTransport *transport;   /* borrowed */
        GByteArray *bytes;         /* to be sent, from at on */
        gsize at;
        uint64_t n_sent;           /* bytes before these */
        uint64_t log_from, log_to; /* where the newest log entries lie, counted likewise */
} AttOutbox;

void att_outbox_init(AttOutbox *out, AttTransport *transport);
void att_outbox_clear(AttOutbox *out);

void att_outbox_put(AttOutbox *out, AttFrameType type, const void *payload, gsize size);
/** att_outbox_put_plain: in no frame */
void att_outbox_put_plain(AttOutbox *out, const void *data, gsize size);

/* What is put between these are log entries, of which the newest do not count. */
void att_outbox_begin_log(AttOutbox *out);
void att_outbox_end_log(AttOutbox *out);

/** att_outbox_flush: sends what the transport takes now; may break */
void att_outbox_flush(AttOutbox *out);

/** att_outbox_left: bytes that wait to be sent */
gsize att_outbox_left(const AttOutbox *out);
/** att_outbox_counted: of them, but for log entries */
gsize att_outbox_counted(const AttOutbox *out);
/** att_outbox_held: bytes that wait to be sent, or that it has not let go of */
gsize att_outbox_held(const AttOutbox *out);

G_END_DECLS
