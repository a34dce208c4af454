/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The way to a client on a socket of ours: has it received what was sent? Of a descriptor nothing else tells: who only
 * looks at a message that has one (MSG_PEEK) gets the descriptor too, may unlock it and close it, and it stays on its
 * way. What the socket holds of ours it holds in order, and the kernel says how much that is: less than before, and so
 * much was received at least. */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <systemd/sd-bus.h>

G_BEGIN_DECLS

typedef struct AttWay AttWay;

/* A place among all that is sent; zeros: behind what is sent next */
typedef struct AttWayMark {
        bool is_set;
        guint64 at;
} AttWayMark;

/** att_way_new: to who is at the other end of @bus; @fd: the socket, and not the descriptor that @bus has; borrowed */
AttWay *att_way_new(sd_bus *bus, int fd) G_GNUC_WARN_UNUSED_RESULT;
/** att_way_end: @bus is about to go, and nothing more is sent; what was may still not be received. Takes @way, and
 *  its @fd */
void att_way_end(AttWay *way);

/** att_way_look: Returns: of what was sent ever, how much is known to have been received. Only the difference from
 *  before means anything */
guint64 att_way_look(AttWay *way);

/** att_way_lend: a descriptor is sent next. Returns: (transfer full): @way */
AttWay *att_way_lend(AttWay *way) G_GNUC_WARN_UNUSED_RESULT;
/** att_way_drop: that descriptor is of no interest any more; takes @way */
void att_way_drop(AttWay *way);
/** att_way_has: is what was sent at @mark not known to have been received? */
bool att_way_has(AttWay *way, AttWayMark *mark);
/** att_way_has_lent: likewise the last descriptor */
bool att_way_has_lent(AttWay *way);
/** att_way_sent: something was sent. For each answer: the kernel is asked only while a place is to be noted */
void att_way_sent(AttWay *way);

G_END_DECLS
