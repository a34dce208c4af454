/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lib/link.h"

/* How long a direct one is left alone after it could not be made. */
#define ALONE_FIRST_US G_TIME_SPAN_SECOND
#define ALONE_MAX_US (60 * G_TIME_SPAN_SECOND)
/* One that is lost sooner was none. */
#define LASTING_US (10 * G_TIME_SPAN_SECOND)

static gint64 alone_us(guint n_failures) {
        return n_failures > 6 ? ALONE_MAX_US : MIN(ALONE_FIRST_US << (n_failures - 1), ALONE_MAX_US);
}

static bool is_refusal(const GError *error) {
        g_autofree char *name = g_dbus_error_get_remote_error(error);

        return g_strcmp0(name, "org.attestd.Error.NotAuthorized") == 0;
}

static void note_failure(AttLink *l, const GError *why) {
        l->n_failures = MIN(l->n_failures + 1, 16);
        l->was_slow = g_error_matches(why, G_IO_ERROR, G_IO_ERROR_TIMED_OUT);
        l->look_us = g_get_monotonic_time() + (is_refusal(why) ? ALONE_MAX_US : alone_us(l->n_failures));
}

static void stop_limit(AttLink *l) {
        if (l->limit)
                g_source_destroy(l->limit);
        g_clear_pointer(&l->limit, g_source_unref);
        g_clear_object(&l->connecting);
}

static void fail(AttLink *l, const GError *error) {
        g_autoptr(GError) why = NULL;

        if (g_error_matches(error, G_IO_ERROR, G_IO_ERROR_CANCELLED))
                why = g_error_new(G_IO_ERROR, G_IO_ERROR_TIMED_OUT, "%s does not answer", l->name);
        else
                why = g_error_copy(error);

        stop_limit(l);
        if (l->candidate)
                g_dbus_connection_close(l->candidate, NULL, NULL, NULL);
        g_clear_object(&l->candidate);
        if (l->is_direct)
                g_info("%s is not used: %s", l->name, why->message);
        note_failure(l, why);
        l->handler->down(l, why);
}

static void lose(AttLink *l, const GError *why) {
        g_clear_object(&l->bus);
        if (g_get_monotonic_time() - l->up_us < LASTING_US)
                note_failure(l, why);
        g_info("the connection to %s is lost: %s", l->name, why->message);
        l->handler->down(l, why);
}

static void on_closed(GDBusConnection *bus, gboolean remote_vanished, GError *error, gpointer data) {
        g_autoptr(GError) why = g_error_new_literal(G_IO_ERROR, G_IO_ERROR_CLOSED,
                                                    error ? error->message : "the connection was closed");
        AttLink *l = data;

        (void) remote_vanished;
        if (bus == l->bus)
                lose(l, why);
}

static void rise(AttLink *l, GDBusConnection *bus) {
        stop_limit(l);
        l->bus = bus;
        l->up_us = g_get_monotonic_time();
        l->n_failures = 0;
        l->was_slow = false;
        g_signal_connect(l->bus, "closed", G_CALLBACK(on_closed), l);
        l->handler->up(l);
}

static void on_pinged(GObject *source, GAsyncResult *result, gpointer data) {
        g_autoptr(GError) error = NULL;
        g_autoptr(GVariant) reply = g_dbus_connection_call_finish(G_DBUS_CONNECTION(source), result, &error);
        AttLink *l = data;

        if (reply)
                rise(l, g_steal_pointer(&l->candidate));
        else
                fail(l, error);
}

static void on_connected(GObject *source, GAsyncResult *result, gpointer data) {
        g_autoptr(GError) error = NULL;
        g_autoptr(GDBusConnection) bus = g_dbus_connection_new_for_address_finish(result, &error);
        AttLink *l = data;

        (void) source;
        if (!bus) {
                fail(l, error);
        } else if (!l->is_direct) {
                rise(l, g_steal_pointer(&bus));
        } else {
                /* Whom attestd does not serve here it tells so with the first answer. */
                l->candidate = g_steal_pointer(&bus);
                g_dbus_connection_call(l->candidate, NULL, "/org/attestd/Attester1", "org.freedesktop.DBus.Peer",
                                       "Ping", NULL, NULL, G_DBUS_CALL_FLAGS_NONE, G_MAXINT, l->connecting, on_pinged,
                                       l);
        }
}

static gboolean on_limit(gpointer data) {
        g_cancellable_cancel(data);
        return G_SOURCE_REMOVE;
}

static gboolean fail_later(gpointer data) {
        g_autoptr(GError) error = NULL;
        AttLink *l = data;

        g_set_error(&error, G_IO_ERROR, G_IO_ERROR_NOT_FOUND, "there is no address of %s", l->name);
        fail(l, error);
        return G_SOURCE_REMOVE;
}

void att_link_connect(AttLink *l, guint limit_ms) {
        g_autofree char *address = NULL;
        GDBusConnectionFlags flags = G_DBUS_CONNECTION_FLAGS_AUTHENTICATION_CLIENT;

        if (l->connecting || l->bus)
                return;
        l->connecting = g_cancellable_new();
        if (l->is_direct) {
                address = g_strdup(l->address);
        } else {
                address = g_dbus_address_get_for_bus_sync(G_BUS_TYPE_SYSTEM, NULL, NULL);
                flags |= G_DBUS_CONNECTION_FLAGS_MESSAGE_BUS_CONNECTION;
        }
        l->limit = address ? g_timeout_source_new(limit_ms) : g_idle_source_new();
        if (!address) {
                g_source_set_callback(l->limit, fail_later, l, NULL);
                (void) g_source_attach(l->limit, l->context);
                return;
        }
        g_source_set_callback(l->limit, on_limit, g_object_ref(l->connecting), g_object_unref);
        (void) g_source_attach(l->limit, l->context);
        g_dbus_connection_new_for_address(address, flags, NULL, l->connecting, on_connected, l);
}

bool att_link_is_connecting(const AttLink *l) {
        return l->connecting != NULL;
}

bool att_link_is_promising(const AttLink *l) {
        return l->address && g_get_monotonic_time() >= l->look_us;
}

bool att_link_is_slow(const AttLink *l) {
        return l->was_slow;
}

void att_link_forgive(AttLink *l) {
        l->n_failures = 0;
        l->look_us = 0;
        l->was_slow = false;
}

void att_link_drop(AttLink *l, const char *message) {
        g_autoptr(GDBusConnection) bus = NULL;
        g_autoptr(GError) why = g_error_new_literal(G_IO_ERROR, G_IO_ERROR_CLOSED, message);

        if (!l->bus)
                return;
        bus = g_object_ref(l->bus);
        lose(l, why);
        g_dbus_connection_close(bus, NULL, NULL, NULL);
}
