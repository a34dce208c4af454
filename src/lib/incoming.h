/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the peer sends: it is read, found legal, and given to whom it is for. */
#pragma once

#include "codec/frame.h"
#include "lib/attestd.h"

G_BEGIN_DECLS

/* Begins as all zero. */
typedef struct AttIncoming {
        bool has_more; /* there may be more of it, although the transport does not become readable */

        /*< private >*/
        uint8_t header[ATT_FRAME_HEADER_SIZE]; /* of the frame that is coming in */
        size_t header_have;
        AttFrameType type;
        uint8_t *payload; /* owned; NULL while the header is not whole */
        size_t payload_size, payload_have;
        gsize late; /* data that came while the peer was overdue, with what its frames take */
} AttIncoming;

void att_incoming_clear(AttIncoming *in);

typedef enum AttStep {
        ATT_STEP_ON,   /* a frame was taken in */
        ATT_STEP_REST, /* nothing more now */
        ATT_STEP_FAIL, /* the connection has failed */
} AttStep;

/** att_incoming_may_read: is there room for what it would bring? @inbox_max: cost of data that nobody has read yet */
bool att_incoming_may_read(const AttestdConnection *c, gsize inbox_max);

/** att_incoming_read: one frame, or where these are over some plain bytes; if it may be read */
AttStep att_incoming_read(AttestdConnection *c);

G_END_DECLS
