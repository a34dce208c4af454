/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "attester/generation.h"

#include "util/log-limit.h"

#include <stdbool.h>

/* Moves that are remembered: more than come while one report is made. */
#define HISTORY_SIZE 32u

struct AttGeneration {
        uint64_t number, first;
        uint8_t boot_id[ATT_BOOT_ID_SIZE];
        uint8_t instance_id[ATT_INSTANCE_ID_SIZE];
        GQueue listeners, late; /* of AttGenerationListener, by their link */
        /* Why it came to number n: at n % HISTORY_SIZE. */
        const char *history[HISTORY_SIZE][ATT_GENERATION_REASONS_MAX + 1];
        GPtrArray *since; /* what was asked for last */
        AttLogLimit lines;
};

AttGeneration *att_generation_new(GError **error) {
        g_autoptr(AttGeneration) g = g_new0(AttGeneration, 1);

        g->number = g->first = 1;
        g->since = g_ptr_array_new();
        if (!att_boot_id_read(g->boot_id, error) || !att_instance_id_new(g->instance_id, error))
                return NULL;
        return g_steal_pointer(&g);
}

void att_generation_begin_after(AttGeneration *g, uint64_t number) {
        g->first = g->number = number + 1;
}

void att_generation_free(AttGeneration *g) {
        if (!g)
                return;

        g_ptr_array_unref(g->since);
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

static void listen_in(GQueue *queue, AttGenerationListener *listener) {
        listener->queue = queue;
        listener->link.data = listener;
        g_queue_push_tail_link(queue, &listener->link);
}

void att_generation_listen(AttGeneration *g, AttGenerationListener *listener) {
        listen_in(&g->listeners, listener);
}

void att_generation_listen_late(AttGeneration *g, AttGenerationListener *listener) {
        listen_in(&g->late, listener);
}

void att_generation_unlisten(AttGenerationListener *listener) {
        if (listener->queue)
                g_queue_unlink(listener->queue, &listener->link);
        listener->queue = NULL;
}

static void tell(AttGeneration *g, const GQueue *queue, const char *const *reasons) {
        for (GList *l = queue->head; l; l = l->next) {
                AttGenerationListener *listener = l->data;

                listener->moved(listener, g->number, reasons);
        }
}

/* Whoever runs a new program moves it. */
static void log_move(AttGeneration *g, const char *const *reasons) {
        g_autofree char *names = g_strjoinv(", ", (char **) reasons);
        guint left_out;
        bool is_written = att_log_limit_take(&g->lines, &left_out);

        if (left_out > 0)
                g_message("%u more moves of the state generation", left_out);
        if (is_written)
                g_message("state generation %" G_GUINT64_FORMAT ": %s", g->number, names);
}

void att_generation_move(AttGeneration *g, const char *const *reasons) {
        const char **why;

        g->number++;
        why = g->history[g->number % HISTORY_SIZE];
        for (guint i = 0; i < ATT_GENERATION_REASONS_MAX && *reasons; i++)
                *why++ = *reasons++;
        *why = NULL;
        reasons = g->history[g->number % HISTORY_SIZE];

        tell(g, &g->listeners, reasons);
        tell(g, &g->late, reasons);
        log_move(g, reasons); /* the journal can wait too */
}

void att_generation_new_instance(AttGeneration *g, const char *const *reasons) {
        g_autoptr(GError) error = NULL;

        if (att_instance_id_new(g->instance_id, &error))
                g_message("a new instance begins");
        else
                g_warning("%s: this instance goes on", error->message);
        att_generation_move(g, reasons);
}

static bool is_in(const GPtrArray *texts, const char *text) {
        return g_ptr_array_find_with_equal_func((GPtrArray *) texts, text, g_str_equal, NULL);
}

const char *const *att_generation_reasons_since(AttGeneration *g, uint64_t number) {
        uint64_t from = MAX(number, g->number - g->first > HISTORY_SIZE ? g->number - HISTORY_SIZE : g->first);

        g_ptr_array_set_size(g->since, 0);
        for (uint64_t i = from + 1; i <= g->number; i++)
                for (const char *const *reason = g->history[i % HISTORY_SIZE]; *reason; reason++)
                        if (!is_in(g->since, *reason))
                                g_ptr_array_add(g->since, (gpointer) *reason);
        g_ptr_array_add(g->since, NULL);
        return (const char *const *) g->since->pdata;
}
