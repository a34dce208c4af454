/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lib/watch.h"

#include "lib/answer.h"
#include "lib/lane.h"
#include "lib/remote.h"

static void on_owner_changed(GDBusConnection *bus, const char *sender, const char *path, const char *interface,
                             const char *signal, GVariant *arguments, gpointer data) {
        const char *name, *before, *after;
        const AttServiceNames *service = data;

        (void) bus, (void) sender, (void) path, (void) interface, (void) signal;
        if (!g_variant_is_of_type(arguments, G_VARIANT_TYPE("(sss)")))
                return;
        g_variant_get(arguments, "(&s&s&s)", &name, &before, &after);
        if (*before)
                att_instance_lose(before);
        if (*after && service == &att_attester_names)
                att_link_forgive(att_lanes_direct());
        if (*after)
                att_remote_end_absence(service);
}

/* Only the service that has the session can tell of it: it is looked for among those of
 * the sender. */
static void on_stale(GDBusConnection *bus, const char *sender, const char *path, const char *interface,
                     const char *signal, GVariant *arguments, gpointer data) {
        AttLink *link = data;
        const AttRemote *r = att_instance_find_session(link, sender, path);
        g_auto(GStrv) reasons = NULL;
        AttEvent *event;

        (void) interface, (void) signal;
        if (bus != link->bus || !r || r->service != &att_attester_names ||
            !g_variant_is_of_type(arguments, G_VARIANT_TYPE("(tas)")))
                return;
        link->heard_us = g_get_monotonic_time();
        event = g_new0(AttEvent, 1);
        event->type = ATT_EVENT_STALE;
        event->state = r->given;
        g_variant_get(arguments, "(t^as)", &event->state.generation, &reasons);
        event->reasons = att_answer_plain_texts(reasons);
        att_mailbox_post(&r->client->mailbox, event);
}

static void watch_owner(GDBusConnection *bus, const AttServiceNames *service) {
        (void) g_dbus_connection_signal_subscribe(bus, "org.freedesktop.DBus", "org.freedesktop.DBus",
                                                  "NameOwnerChanged", "/org/freedesktop/DBus", service->name,
                                                  G_DBUS_SIGNAL_FLAGS_NONE, on_owner_changed, (gpointer) service,
                                                  NULL);
}

static void on_up(AttLink *link) {
        /* Of all sessions at once. Unicast: the bus needs no match rule to deliver it. */
        (void) g_dbus_connection_signal_subscribe(link->bus, NULL, att_attester_names.session, "Stale", NULL, NULL,
                                                  G_DBUS_SIGNAL_FLAGS_NO_MATCH_RULE, on_stale, link, NULL);
        if (!link->is_direct) {
                watch_owner(link->bus, &att_attester_names);
                watch_owner(link->bus, &att_verifier_names);
        }
        att_lanes_link_up();
}

static void on_down(AttLink *link, const GError *why) {
        att_instance_lose_all(link);
        att_lanes_link_down(link, why);
}

void att_watch_links(GMainContext *context) {
        static const AttLinkHandler handler = { .up = on_up, .down = on_down };

        att_lanes_init(context, &handler);
}
