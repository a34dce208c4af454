/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The direct socket: D-Bus without a bus between. The service manager holds it, and
 * each connection to it is a sd_bus of ours, with neither names nor a driver. Who may
 * is decided when it is made, by what the kernel says of who makes it: root and whom
 * DirectUsers= and DirectGroups= name. All others are told to use the system bus.
 *
 * Nobody holds up anybody: what one connection may have done in one turn of the loop
 * is bounded by time, who does not read is not read from, and what is queued for him
 * is bounded too. */
#pragma once

#include "attester/caller.h"
#include "bus/way.h"

#include <systemd/sd-bus.h>

G_BEGIN_DECLS

/* How long a client may take to say BEGIN, and over one message. */
#define ATT_DIRECT_PATIENCE_S 10u
/* How long what is queued for a client, or a descriptor, may wait while he reads nothing at all. */
#define ATT_DIRECT_STUCK_S 30u
/* With so many messages queued for it, nothing more is read of a connection; nor of one for which
 * anything is queued when it is so many for all connections of its user. */
#define ATT_DIRECT_QUEUE_PAUSE 256u
#define ATT_DIRECT_USER_QUEUE_PAUSE 1024u
/* Likewise bytes of evidence, and of calls that are as long. No other answer has over 16 KiB. */
#define ATT_DIRECT_BYTES_PAUSE (512u * 1024u)
#define ATT_DIRECT_USER_BYTES_PAUSE (16u * 1024u * 1024u)
/* Connections of those who are refused: there to be told so. */
#define ATT_DIRECT_REFUSED_MAX 128u
#define ATT_DIRECT_REFUSED_PER_USER_MAX 16u

typedef struct AttDirect AttDirect;

typedef struct AttDirectHandler {
        /** One that may be served: add the objects to @bus. Returns: negative errno, and it is closed */
        int (*joined)(sd_bus *bus, gpointer userdata);
        /** (nullable): what @bus was sent, whole messages: take the first, without sd-bus. All before it was handled.
         *  Returns: how long it was; 0: it is for sd-bus */
        gsize (*take)(sd_bus *bus, const void *data, gsize size, gpointer userdata);
        /** One that had joined is gone; nothing can be sent any more. */
        void (*left)(sd_bus *bus, gpointer userdata);
        /** One is refused, or ended. @who: "uid 1000" */
        void (*refused)(const char *name, const char *who, const char *why, gpointer userdata);
} AttDirectHandler;

/**
 * att_direct_new: serve the sockets that the service manager has passed
 * @name:          the only destination that there is
 * @configuration: must outlive it
 * @error:         what was passed is no socket of this kind
 *
 * If there are none, nobody comes.
 */
AttDirect *att_direct_new(const char *name, const AttConfiguration *configuration, const AttDirectHandler *handler,
                          gpointer userdata, GError **error) G_GNUC_WARN_UNUSED_RESULT;
/** att_direct_stop: no new connections; they wait at the service manager's socket for the next instance */
void att_direct_stop(AttDirect *direct);
/** att_direct_is_flushed: is nothing queued for anybody? */
bool att_direct_is_flushed(const AttDirect *direct);
/** att_direct_free: @left is called for each that is there */
void att_direct_free(AttDirect *direct);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(AttDirect, att_direct_free)

/** att_direct_dup_peer: who is at the other end of @bus, one that has joined; for the caller to clear */
AttPeer att_direct_dup_peer(const AttDirect *direct, sd_bus *bus) G_GNUC_WARN_UNUSED_RESULT;

/**
 * att_direct_sent: something was sent to @bus that has evidence in it, or was sent by who does not handle a call of it
 * @size: of the evidence; 0: there is none
 *
 * Fine for any bus. What the direct socket has queued for a client it looks at when he is served,
 * when it is told so, and else once a second.
 */
void att_direct_sent(sd_bus *bus, gsize size);
/**
 * att_direct_begin: a whole message that is not made by sd-bus goes to @bus
 * @ret_serial: for it
 *
 * Returns: (nullable): append it, and call att_direct_end(), and then att_direct_sent(); %NULL: it has to be made by
 * sd-bus. It is sent with others, before the loop waits again
 */
GByteArray *att_direct_begin(sd_bus *bus, guint32 *ret_serial);
void att_direct_end(sd_bus *bus);
/** att_direct_flush: sd-bus is about to send what must not come before such messages. Fine for any bus */
void att_direct_flush(sd_bus *bus);
/** att_direct_n_queued: messages that the socket of @bus did not take yet. Fine for any bus */
guint64 att_direct_n_queued(sd_bus *bus);
/** att_direct_over_limit: @bus was told that it, or its user, is over a limit. Who is told so too often is not read for
 *  the rest of a tenth of a second, on none of his connections. Fine for any bus */
void att_direct_over_limit(sd_bus *bus);
/** att_direct_is_full: is so much evidence queued for @bus, or for its user, that no more is to be sent there? Fine for
 *  any bus; never so if nothing is queued */
bool att_direct_is_full(sd_bus *bus);

/** att_direct_way: the one to who is at the other end of @bus; %NULL if that is no direct connection. Who leaves unread
 *  what is lent over it is disconnected */
AttWay *att_direct_way(sd_bus *bus);

/** att_direct_foreach: of those that have joined; @each may send, and must not end a connection */
void att_direct_foreach(const AttDirect *direct, void (*each)(sd_bus *bus, gpointer userdata), gpointer userdata);

G_END_DECLS
