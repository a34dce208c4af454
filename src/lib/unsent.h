/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Bytes for the peer that the transport has not taken yet. What of them may be sent, and
 * when, who puts them here has decided. */
#pragma once

#include "codec/frame.h"
#include "lib/transport.h"

G_BEGIN_DECLS

typedef struct AttUnsent {
        GError *broken; /* why nothing can be sent any more; the peer's last words may still come */

        /*< private >*/
        AttTransport *transport;   /* borrowed */
        GByteArray *bytes;         /* to be sent, from at on */
        gsize at;
        uint64_t n_sent;           /* bytes before these */
        uint64_t log_from, log_to; /* where the newest log entries lie, counted likewise */
} AttUnsent;

void att_unsent_init(AttUnsent *out, AttTransport *transport);
void att_unsent_clear(AttUnsent *out);

void att_unsent_put(AttUnsent *out, AttFrameType type, const void *payload, gsize size);
/** att_unsent_put_plain: in no frame */
void att_unsent_put_plain(AttUnsent *out, const void *data, gsize size);

/* What is put between these are log entries, of which the newest do not count. */
void att_unsent_begin_log(AttUnsent *out);
void att_unsent_end_log(AttUnsent *out);

/** att_unsent_flush: sends what the transport takes now; may break */
void att_unsent_flush(AttUnsent *out);

/** att_unsent_left: bytes that wait to be sent */
gsize att_unsent_left(const AttUnsent *out);
/** att_unsent_counted: of them, but for log entries */
gsize att_unsent_counted(const AttUnsent *out);
/** att_unsent_held: bytes that wait to be sent, or that it has not let go of */
gsize att_unsent_held(const AttUnsent *out);

G_END_DECLS
