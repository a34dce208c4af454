/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "bus/name-watch.h"

#include "bus/bus-source.h"
#include "util/error.h"

#include <time.h>

struct AttNameWatch {
        AttNameLeft left;
        gpointer userdata;
        GHashTable *since; /* of gint64, by unique name: as many as the bus has connections */
        gint64 began_us; /* 0: not yet */
        sd_bus_slot *slot;
};

static gint64 boottime_us(void) {
        struct timespec t;

        (void) clock_gettime(CLOCK_BOOTTIME, &t);
        return (gint64) t.tv_sec * G_USEC_PER_SEC + t.tv_nsec / 1000;
}

static int on_name_owner_changed(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        const char *name, *before, *after;
        AttNameWatch *w = userdata;

        (void) error;
        if (sd_bus_message_read(m, "sss", &name, &before, &after) < 0 || name[0] != ':')
                return 0;

        if (after[0] == '\0') {
                (void) g_hash_table_remove(w->since, name);
                w->left(name, w->userdata);
        } else {
                gint64 *at = g_new(gint64, 1);

                *at = boottime_us();
                g_hash_table_insert(w->since, g_strdup(name), at);
        }
        return 0;
}

/* Who comes from now on is told of. If nobody ever is, sessions would outlive their
 * owners: the service ends with its connection. What this returns, sd-bus ignores. */
static int on_installed(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        const sd_bus_error *e = sd_bus_message_get_error(m);
        AttNameWatch *w = userdata;

        (void) error;
        w->began_us = boottime_us();
        if (e) {
                g_warning("the bus does not tell of its connections: %s", e->message ? e->message : e->name);
                sd_bus_close(sd_bus_message_get_bus(m));
        }
        return 0;
}

AttNameWatch *att_name_watch_new(sd_bus *bus, AttNameLeft left, gpointer userdata, GError **error) {
        g_autoptr(AttNameWatch) w = g_new0(AttNameWatch, 1);
        int r;

        w->left = left;
        w->userdata = userdata;
        w->since = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
        r = sd_bus_match_signal_async(bus, &w->slot, "org.freedesktop.DBus", "/org/freedesktop/DBus",
                                      "org.freedesktop.DBus", "NameOwnerChanged", on_name_owner_changed, on_installed,
                                      w);
        if (r < 0) {
                (void) att_error_set_errno(error, -r, "cannot listen to the bus");
                return NULL;
        }
        return g_steal_pointer(&w);
}

void att_name_watch_free(AttNameWatch *w) {
        if (!w)
                return;

        sd_bus_slot_unref(w->slot);
        g_hash_table_unref(w->since);
        g_free(w);
}

gint64 att_name_watch_connected_by(const AttNameWatch *w, const char *name) {
        const gint64 *at = g_hash_table_lookup(w->since, name);

        if (at)
                return *at;
        return w->began_us > 0 ? w->began_us : boottime_us();
}
