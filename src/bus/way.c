/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "bus/way.h"

#include "util/io.h"

#include <linux/sockios.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

struct AttWay {
        sd_bus *bus;     /* NULL: it has ended, and is there for what is lent */
        int fd;          /* owned once it has */
        guint n_lent;
        AttWayMark last; /* lent */
        int outq;        /* bytes in the kernel, when last looked at */
        guint64 n_received;
};

AttWay *att_way_new(sd_bus *bus, int fd) {
        AttWay *way = g_new(AttWay, 1);

        *way = (AttWay) { .bus = bus, .fd = fd, .last.is_set = true };
        return way;
}

static void free_if_over(AttWay *way) {
        if (way->bus || way->n_lent > 0)
                return;
        att_close_p(&way->fd);
        g_free(way);
}

void att_way_end(AttWay *way) {
        /* What is lent keeps the socket open: for the client it ends now. */
        if (way->n_lent > 0)
                (void) shutdown(way->fd, SHUT_RDWR);
        way->bus = NULL;
        free_if_over(way);
}

guint64 att_way_look(AttWay *way) {
        int outq = 0;

        (void) ioctl(way->fd, SIOCOUTQ, &outq);
        if (outq < way->outq)
                way->n_received += (guint64) (way->outq - outq);
        way->outq = outq;
        return way->n_received;
}

AttWay *att_way_lend(AttWay *way) {
        way->n_lent++;
        way->last = (AttWayMark) { 0 };
        return way;
}

void att_way_drop(AttWay *way) {
        if (!way)
                return;

        way->n_lent--;
        free_if_over(way);
}

bool att_way_has(AttWay *way, AttWayMark *mark) {
        guint64 n_received = att_way_look(way);
        uint64_t n_queued = 0;

        /* All that was sent until now is in the socket only once nothing is queued before it. */
        if (!mark->is_set && way->bus)
                (void) sd_bus_get_n_queued_write(way->bus, &n_queued);
        if (!mark->is_set && n_queued == 0)
                *mark = (AttWayMark) { .is_set = true, .at = n_received + (guint64) way->outq };
        return !mark->is_set || n_received < mark->at;
}

bool att_way_has_lent(AttWay *way) {
        return att_way_has(way, &way->last);
}

void att_way_sent(AttWay *way) {
        if (!way->last.is_set)
                (void) att_way_has_lent(way);
}
