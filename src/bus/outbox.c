/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "bus/outbox.h"

#include "util/io.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

/* sd-bus numbers its messages from 1. */
#define SERIALS 0x80000000u

struct AttOutbox {
        sd_bus *bus;
        int fd, bus_fd;
        GByteArray *bytes; /* NULL: there are none */
        gsize n_taken;     /* of them, by the socket */
        guint n;           /* messages in @bytes, with those that are taken */
        bool is_dammed;    /* @bus_fd is the socket that takes nothing */
        guint32 n_ever;
};

/* A socket that is full and stays so, for all. Returns: -1: there is none */
static int get_dam(void) {
        static int pair[2] = { -1, -1 };
        static const char drop[512];
        int size = 1; /* the kernel has a least one */

        if (pair[0] >= 0)
                return pair[0];
        if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) < 0) {
                pair[0] = -1;
                return -1;
        }
        (void) setsockopt(pair[0], SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
        while (send(pair[0], drop, sizeof drop, MSG_NOSIGNAL) > 0)
                ;
        return pair[0];
}

AttOutbox *att_outbox_new(sd_bus *bus, int fd, int bus_fd) {
        AttOutbox *box;

        if (get_dam() < 0)
                return NULL;

        box = g_new(AttOutbox, 1);
        *box = (AttOutbox) { .bus = bus, .fd = fd, .bus_fd = bus_fd };
        return box;
}

/* One for the next who has something to send: the allocator would have work with each. */
static GByteArray *spare;

static GByteArray *take_buffer(void) {
        GByteArray *bytes = g_steal_pointer(&spare);

        return bytes ? bytes : g_byte_array_sized_new(ATT_OUTBOX_SIZE + ATT_OUTBOX_SIZE / 4);
}

static void give_buffer(GByteArray *bytes) {
        if (!bytes)
                return;
        if (spare || bytes->len > ATT_OUTBOX_SIZE + ATT_OUTBOX_SIZE / 4) {
                g_byte_array_unref(bytes);
                return;
        }
        g_byte_array_set_size(bytes, 0);
        spare = bytes;
}

static void empty(AttOutbox *box) {
        give_buffer(g_steal_pointer(&box->bytes));
        box->n_taken = 0;
        box->n = 0;
}

void att_outbox_free(AttOutbox *box) {
        if (!box)
                return;
        empty(box);
        g_free(box);
}

/* What sd-bus writes goes nowhere, or to the client. */
static void set_dammed(AttOutbox *box, bool yes) {
        int from = yes ? get_dam() : box->fd, r;

        if (box->is_dammed == yes)
                return;
        do
                r = dup3(from, box->bus_fd, O_CLOEXEC);
        while (r < 0 && (errno == EINTR || errno == EBUSY));
        if (r < 0)
                (void) shutdown(box->fd, SHUT_RDWR); /* rather than half a message */
        box->is_dammed = yes;
}

GByteArray *att_outbox_begin(AttOutbox *box, guint32 *ret_serial) {
        uint64_t n_queued;

        if (box->is_dammed || sd_bus_get_n_queued_write(box->bus, &n_queued) < 0 || n_queued > 0)
                return NULL;
        if (!box->bytes)
                box->bytes = take_buffer();
        *ret_serial = SERIALS | (box->n_ever++ % SERIALS);
        return box->bytes;
}

void att_outbox_end(AttOutbox *box) {
        box->n++;
        if (box->bytes->len >= ATT_OUTBOX_SIZE)
                att_outbox_flush(box);
}

void att_outbox_flush(AttOutbox *box) {
        gssize n;

        if (!box->bytes)
                return;
        if (sd_bus_is_open(box->bus) <= 0) { /* its descriptor may be closed, and another one by now */
                empty(box);
                return;
        }

        n = send(box->fd, box->bytes->data + box->n_taken, box->bytes->len - box->n_taken,
                 MSG_DONTWAIT | MSG_NOSIGNAL);
        if (n < 0 && errno != EAGAIN && errno != EINTR) {
                (void) shutdown(box->fd, SHUT_RDWR); /* there is nobody, and no message after half of one */
                empty(box); /* and sd-bus comes to know it */
        } else {
                box->n_taken += (gsize) MAX(n, 0);
                if (box->n_taken == box->bytes->len)
                        empty(box);
        }
        set_dammed(box, box->bytes != NULL);
}

bool att_outbox_is_empty(const AttOutbox *box) {
        return !box->bytes;
}

guint att_outbox_n_stuck(const AttOutbox *box) {
        return box->is_dammed ? box->n : 0;
}
