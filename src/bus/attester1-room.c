/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "bus/attester1-parts.h"

/* Answers that may stand in the queue of one connection of ours, and how few there must be for more to follow: a
 * batch of ten thousand would be ten thousand copies of one quote there, for as long as they are not read. */
#define QUEUED_MAX 32u
#define QUEUED_MIN 8u

/* sd-bus does not tell when it has sent something. But then the loop has turned: so the queues are looked at before
 * each poll, while there is anybody for whom there was no room. */
typedef struct Room {
        GSource base;
        Attester1 *attester;
} Room;

static bool has_room(const Owner *o) {
        return att_direct_n_queued(o->bus) <= QUEUED_MIN && !att_direct_is_full(o->bus);
}

static gboolean prepare(GSource *source, gint *timeout_ms) {
        const Attester1 *a = ((Room *) source)->attester;

        *timeout_ms = -1;
        for (GList *l = a->without_room.head; l; l = l->next)
                if (has_room(l->data))
                        return TRUE;
        return FALSE;
}

void att_attester1_drop_room(Owner *o) {
        if (!o->room.data)
                return;
        g_queue_unlink(&o->attester->without_room, &o->room);
        o->room.data = NULL;
}

static gboolean dispatch(GSource *source, GSourceFunc callback, gpointer userdata) {
        Attester1 *a = ((Room *) source)->attester;

        (void) callback, (void) userdata;
        for (GList *l = a->without_room.head, *next; l; l = next) {
                Owner *o = l->data;

                next = l->next;
                if (!has_room(o))
                        continue;
                att_attester1_drop_room(o);
                att_connection_release(o->connection);
        }
        return G_SOURCE_CONTINUE;
}

void att_attester1_sent(Owner *o, gsize size) {
        att_direct_sent(o->bus, size);
        if (o->room.data || (att_direct_n_queued(o->bus) < QUEUED_MAX && !att_direct_is_full(o->bus)))
                return;
        o->room.data = o;
        g_queue_push_tail_link(&o->attester->without_room, &o->room);
        att_connection_hold(o->connection);
}

GSource *att_attester1_new_room(Attester1 *a) {
        static GSourceFuncs funcs = { .prepare = prepare, .dispatch = dispatch };
        GSource *source = g_source_new(&funcs, sizeof(Room));

        ((Room *) source)->attester = a;
        g_source_set_static_name(source, "room for answers");
        g_source_attach(source, NULL);
        return source;
}
