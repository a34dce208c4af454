/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "attester/generation.h"

/* Moves that are remembered: more than come while one report is made. */
#define HISTORY_SIZE 32u

struct AttGeneration {
        uint64_t number, first;
        uint8_t boot_id[ATT_BOOT_ID_SIZE];
        uint8_t instance_id[ATT_INSTANCE_ID_SIZE];
        GQueue listeners; /* of AttGenerationListener, by their link */
        const char *history[HISTORY_SIZE];   /* why it came to number n: at n % HISTORY_SIZE */
        const char *since[HISTORY_SIZE + 1]; /* what was asked for last */
};

AttGeneration *att_generation_new(GError **error) {
        g_autoptr(AttGeneration) g = g_new0(AttGeneration, 1);

        g->number = g->first = 1;
        if (!att_boot_id_read(g->boot_id, error) || !att_instance_id_new(g->instance_id, error))
                return NULL;
        return g_steal_pointer(&g);
}

void att_generation_begin_after(AttGeneration *g, uint64_t number) {
        g->first = g->number = number + 1;
}

void att_generation_free(AttGeneration *g) {
        g_free(g);
}

uint64_t att_generation_get(const AttGeneration *g) {
        return g->number;
}

const uint8_t *att_generation_boot_id(const AttGeneration *g) {
        return g->boot_id;
}

const uint8_t *att_generation_instance_id(const AttGeneration *g) {
        return g->instance_id;
}

void att_generation_listen(AttGeneration *g, AttGenerationListener *listener) {
        listener->link.data = listener;
        g_queue_push_tail_link(&g->listeners, &listener->link);
}

void att_generation_unlisten(AttGeneration *g, AttGenerationListener *listener) {
        if (!listener->link.data)
                return;

        g_queue_unlink(&g->listeners, &listener->link);
        listener->link.data = NULL;
}

void att_generation_move(AttGeneration *g, const char *reason) {
        const char *const reasons[] = { reason, NULL };

        g->number++;
        g->history[g->number % HISTORY_SIZE] = reason;
        g_message("state generation %" G_GUINT64_FORMAT ": %s", g->number, reason);
        for (GList *l = g->listeners.head; l; l = l->next) {
                AttGenerationListener *listener = l->data;

                listener->moved(listener, g->number, reasons);
        }
}

const char *const *att_generation_reasons_since(AttGeneration *g, uint64_t number) {
        uint64_t from = MAX(number, g->number - g->first > HISTORY_SIZE ? g->number - HISTORY_SIZE : g->first);
        guint n = 0;

        for (uint64_t i = from + 1; i <= g->number; i++) {
                const char *reason = g->history[i % HISTORY_SIZE];

                g->since[n] = NULL;
                if (!g_strv_contains(g->since, reason))
                        g->since[n++] = reason;
        }
        g->since[n] = NULL;
        return g->since;
}
