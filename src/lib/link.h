/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A D-Bus connection of the thread that speaks for all connections of the process: to
 * the system bus, or straight to attestd. It is made when it is needed. */
#pragma once

#include <gio/gio.h>
#include <stdbool.h>

G_BEGIN_DECLS

typedef struct AttLink AttLink;

typedef struct AttLinkHandler {
        void (*up)(AttLink *link);
        /* It could not be made, or it is gone. */
        void (*down)(AttLink *link, const GError *why);
} AttLinkHandler;

struct AttLink {
        const char *name; /* for messages */
        bool is_direct;
        const char *address; /* of a direct one, a constant; NULL: there is none */
        GMainContext *context;
        const AttLinkHandler *handler;

        GDBusConnection *bus; /* NULL unless it is up */
        gint64 heard_us;      /* when its user last had a message */

        /*< private >*/
        GDBusConnection *candidate; /* it has still to say that we are welcome */
        GCancellable *connecting;   /* NULL: we are not */
        GSource *limit;
        gint64 up_us, look_us;
        guint n_failures; /* one after the other */
        bool was_slow;    /* the last of them took all the time there was */
};

/** att_link_connect: ends with up() or down(), in any case later; does nothing while one is under way */
void att_link_connect(AttLink *link, guint limit_ms);

bool att_link_is_connecting(const AttLink *link);

/**
 * att_link_is_promising: direct: is it worth the wait for it to be made?
 *
 * False for a time after it could not be made, longer each time: who cannot have it
 * has the system bus, and does not knock with each call.
 */
bool att_link_is_promising(const AttLink *link);

/** att_link_is_slow: direct: nobody is to wait for it: last time that was for nothing */
bool att_link_is_slow(const AttLink *link);

/** att_link_forgive: whatever it was, it may be over: attestd has been started again */
void att_link_forgive(AttLink *link);

/** att_link_drop: what is under way fails. Calls down() now; does nothing unless it is up */
void att_link_drop(AttLink *link, const char *why);

G_END_DECLS
