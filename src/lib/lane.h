/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The ways that calls go: over the system bus or straight to attestd, no more at a time
 * than each bears. In our thread only. A call in a lane belongs to it until its handler
 * is told. */
#pragma once

#include "lib/call.h"

G_BEGIN_DECLS

/* Calls to one service over one link, of all connections. */
typedef struct AttLane {
        AttLink *link;
        guint max, under_way;
        GQueue waiting; /* of AttCall: for the link, or for others to be answered */
} AttLane;

/** att_lanes_init: before the first call; our thread need not run yet */
void att_lanes_init(GMainContext *context, const AttLinkHandler *handler);

/** att_lanes_direct: the link straight to attestd; there before att_lanes_init(), too */
AttLink *att_lanes_direct(void);

/** att_lane_to_open: which way @r would open a session now: who may go directly begins to connect */
AttLane *att_lane_to_open(AttRemote *r);

/** att_lane_transmit: @call: (transfer full): its handler may have been told when this returns */
void att_lane_transmit(AttCall *call);

/** att_lanes_link_up: what waits for a link is sent */
void att_lanes_link_up(void);
/** att_lanes_link_down: what waits for @link fails, or goes another way */
void att_lanes_link_down(const AttLink *link, const GError *why);

G_END_DECLS
