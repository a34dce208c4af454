/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Messages of our own making on a socket that sd-bus writes to: many in one system call, where sd-bus makes one for
 * each. They go out at the end of a message of sd-bus's, and whole: while the socket has taken only a part of them,
 * what sd-bus writes to is another one, which takes nothing, so that it queues what it has to say. */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <systemd/sd-bus.h>

G_BEGIN_DECLS

/* With so much in it, it is sent at once: who has asked can begin to read. */
#define ATT_OUTBOX_SIZE (16u * 1024u)

typedef struct AttOutbox AttOutbox;

/**
 * att_outbox_new: Returns: (nullable): none, as there are no descriptors for it; all goes by sd-bus
 * @bus:    borrowed
 * @fd:     the socket, and not the descriptor that @bus has; borrowed
 * @bus_fd: the one that it has, and writes to; not the one that it reads from
 */
AttOutbox *att_outbox_new(sd_bus *bus, int fd, int bus_fd) G_GNUC_WARN_UNUSED_RESULT;
/** att_outbox_free: before @bus is closed, which closes its descriptor. What is in it is not sent */
void att_outbox_free(AttOutbox *box);

/**
 * att_outbox_begin: a message is next
 * @ret_serial: for it
 *
 * Returns: (nullable): append the message, then call att_outbox_end(); %NULL: sd-bus has something queued, or
 * something is stuck here: send it by sd-bus, which keeps the order
 */
GByteArray *att_outbox_begin(AttOutbox *box, guint32 *ret_serial);
void att_outbox_end(AttOutbox *box);
/** att_outbox_flush: before sd-bus sends what must come behind, before each poll, and when the socket is writable */
void att_outbox_flush(AttOutbox *box);
/** att_outbox_is_empty: is there nothing in it? */
bool att_outbox_is_empty(const AttOutbox *box);
/** att_outbox_n_stuck: of how many messages the socket has not taken all, when it was last flushed; no fewer */
guint att_outbox_n_stuck(const AttOutbox *box);

G_END_DECLS
