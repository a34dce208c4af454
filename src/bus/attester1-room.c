/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "bus/attester1-parts.h"

#include "bus/bus-source.h"

#include <sys/socket.h>

/* Answers that may stand in the queue of one connection of ours, and how few there must be for more to follow: a
 * batch of ten thousand would be ten thousand copies of one quote there, for as long as they are not read. */
#define QUEUED_MAX 32u
#define QUEUED_MIN 8u
/* The system bus is one way for all, and a flooded daemon takes 2 KiB of ours in a turn: everybody waits for what
 * stands in that way, in our queue or the socket, so it is to be little. sd-bus makes the socket take 8 MiB. */
#define BUS_QUEUED_MAX 4u
#define BUS_SOCKET_SIZE (32 * 1024)

/* sd-bus does not tell when it has sent something. But then the loop has turned: so the queues are looked at before
 * each poll, while there is anybody for whom there was no room. */
typedef struct Room {
        GSource base;
        Attester1 *attester;
} Room;

static bool has_room(const Owner *o) {
        if (o->name)
                return att_direct_n_queued(o->bus) == 0;
        return att_direct_n_queued(o->bus) <= QUEUED_MIN && !att_direct_is_full(o->bus);
}

static gboolean prepare(GSource *source, gint *timeout_ms) {
        const Attester1 *a = ((Room *) source)->attester;

        *timeout_ms = -1;
        if (a->refused.head && att_direct_n_queued(a->bus) == 0)
                return TRUE;
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

static int compare_turns(gconstpointer a, gconstpointer b) {
        const AttUser *x = ((const Owner *) a)->connection->user, *y = ((const Owner *) b)->connection->user;

        return (x->turn > y->turn) - (x->turn < y->turn);
}

static void let_go_on(Owner *o) {
        att_attester1_drop_room(o);
        att_connection_release(o->connection);
}

/* Who share a way have it in turn: first the user who was sent something longest ago, and of each the connection that
 * was. Not as they stand in the queue: into that most come back without having been sent anything. */
static gboolean dispatch(GSource *source, GSourceFunc callback, gpointer userdata) {
        Attester1 *a = ((Room *) source)->attester;
        g_autoptr(GHashTable) users = g_hash_table_new(NULL, NULL);
        g_autoptr(GList) turns = NULL;

        (void) callback, (void) userdata;
        for (GList *l = a->without_room.head, *next; l; l = next) {
                Owner *o = l->data, *first = o->name ? g_hash_table_lookup(users, o->connection->user) : NULL;

                next = l->next;
                if (!has_room(o))
                        continue;
                if (!o->name)
                        let_go_on(o);
                else if (!first || o->turn < first->turn)
                        g_hash_table_insert(users, o->connection->user, o);
        }
        turns = g_list_sort(g_hash_table_get_values(users), compare_turns);
        for (GList *l = turns; l; l = l->next)
                let_go_on(l->data);
        /* Those who were let go on are sent what they have after this. */
        if (!turns && a->refused.head && att_direct_n_queued(a->bus) == 0)
                att_attester1_tell_over_limit(a, BUS_QUEUED_MAX);
        return G_SOURCE_CONTINUE;
}

static void wait_for_room(Owner *o) {
        if (o->room.data)
                return;
        o->room.data = o;
        g_queue_push_tail_link(&o->attester->without_room, &o->room);
        att_connection_hold(o->connection);
}

static void sent_to_bus(Owner *o) {
        GHashTableIter i;
        gpointer other;

        if (o->room.data || att_direct_n_queued(o->bus) < BUS_QUEUED_MAX)
                return;
        g_hash_table_iter_init(&i, o->attester->owners);
        while (g_hash_table_iter_next(&i, &other, NULL))
                if (other != o && ((Owner *) other)->name)
                        wait_for_room(other);
        wait_for_room(o); /* behind those who were sent nothing just now */
}

void att_attester1_sent(Owner *o, gsize size) {
        att_direct_sent(o->bus, size);
        if (o->name) {
                o->turn = o->connection->user->turn = ++o->attester->n_turns;
                sent_to_bus(o);
        } else if (att_direct_n_queued(o->bus) >= QUEUED_MAX || att_direct_is_full(o->bus)) {
                wait_for_room(o);
        }
}

GSource *att_attester1_new_room(Attester1 *a) {
        static GSourceFuncs funcs = { .prepare = prepare, .dispatch = dispatch };
        GSource *source = g_source_new(&funcs, sizeof(Room));

        (void) setsockopt(sd_bus_get_fd(a->bus), SOL_SOCKET, SO_SNDBUF, &(int) { BUS_SOCKET_SIZE }, sizeof(int));
        ((Room *) source)->attester = a;
        g_source_set_static_name(source, "room for answers");
        g_source_attach(source, NULL);
        return source;
}
