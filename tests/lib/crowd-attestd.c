/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* crowd-attestd SOCKET: an attestd for thousands of sessions, in a process of its own:
 * what the library costs is measured in another. It answers from within the thread that
 * reads, and knows of a session only its number.
 *
 * On its input: "stale GENERATION": to each session; "count": of calls so far. On its output:
 * "ready" at first; "OpenSession N Attest N others N". */
#include "util/io.h"
#include "util/memfd.h"

#include <gio/gio.h>
#include <gio/gunixfdlist.h>
#include <stdio.h>
#include <string.h>

#define PATH "/org/attestd/Attester1/session/%u"

static GMutex lock;
static GDBusConnection *client; /* the newest; owned */
static guint n_sessions;
static guint n_opened, n_attested, n_others; /* calls, ever */
static guint64 generation = 1;
static guint64 sent_for; /* the generation whose shared part the client has */
static GBytes *part;

static void answer_evidence(GDBusMessage *reply) {
        g_autoptr(GUnixFDList) fds = g_unix_fd_list_new();
        GVariantBuilder info;

        g_variant_builder_init(&info, G_VARIANT_TYPE_VARDICT);
        g_variant_builder_add(&info, "{sv}", "shared", g_variant_new_uint64(generation));
        g_variant_builder_add(&info, "{sv}", "shared_at", g_variant_new_uint64(1));
        g_variant_builder_add(&info, "{sv}", "shared_size", g_variant_new_uint64(g_bytes_get_size(part)));
        if (sent_for != generation) {
                att_autofd int fd = att_memfd_new("part", part, NULL);

                g_variant_builder_add(&info, "{sv}", "boot_id",
                                      g_variant_new_string("000102030405060708090a0b0c0d0e0f"));
                g_variant_builder_add(&info, "{sv}", "instance_id",
                                      g_variant_new_string("f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff"));
                g_variant_builder_add(&info, "{sv}", "generation", g_variant_new_uint64(generation));
                g_variant_builder_add(&info, "{sv}", "shared_fd",
                                      g_variant_new_handle(g_unix_fd_list_append(fds, fd, NULL)));
                g_dbus_message_set_unix_fd_list(reply, fds);
                sent_for = generation;
        }
        g_dbus_message_set_body(reply, g_variant_new("(@aya{sv})", g_variant_new_bytestring("what is its own"), &info));
}

static GDBusMessage *answer(GDBusConnection *bus, GDBusMessage *message, gboolean incoming, gpointer data) {
        const char *member = g_dbus_message_get_member(message);
        g_autoptr(GDBusMessage) reply = NULL;

        (void) data;
        if (!incoming || g_dbus_message_get_message_type(message) != G_DBUS_MESSAGE_TYPE_METHOD_CALL)
                return message;
        reply = g_dbus_message_new_method_reply(message);
        g_mutex_lock(&lock);
        if (g_str_equal(member, "OpenSession")) {
                g_autofree char *path = g_strdup_printf(PATH, ++n_sessions);

                n_opened++;
                g_dbus_message_set_body(reply, g_variant_new("(o)", path));
        } else if (g_str_equal(member, "Attest")) {
                n_attested++;
                answer_evidence(reply);
        } else if (!g_str_equal(member, "Close")) { /* which nobody waits for */
                n_others++;
        }
        (void) g_dbus_connection_send_message(bus, reply, G_DBUS_SEND_MESSAGE_FLAGS_NONE, NULL, NULL);
        g_mutex_unlock(&lock);
        g_object_unref(message);
        return NULL;
}

static gboolean on_new_connection(GDBusServer *server, GDBusConnection *bus, gpointer data) {
        (void) server, (void) data;
        g_mutex_lock(&lock);
        g_clear_object(&client);
        client = g_object_ref(bus);
        n_sessions = 0;
        sent_for = 0;
        g_mutex_unlock(&lock);
        (void) g_dbus_connection_add_filter(bus, answer, NULL, NULL);
        return TRUE;
}

static void tell_all(guint64 now) {
        const char *const reasons[] = { "ima", NULL };
        g_autoptr(GDBusConnection) bus = NULL;
        guint n;

        g_mutex_lock(&lock);
        generation = now;
        n = n_sessions;
        bus = client ? g_object_ref(client) : NULL;
        g_mutex_unlock(&lock);
        for (guint i = 1; bus && i <= n; i++) {
                g_autofree char *path = g_strdup_printf(PATH, i);

                (void) g_dbus_connection_emit_signal(bus, NULL, path, "org.attestd.Attester1.Session", "Stale",
                                                     g_variant_new("(t^as)", now, reasons), NULL);
        }
}

static void tell_count(void) {
        g_mutex_lock(&lock);
        (void) printf("OpenSession %u Attest %u others %u\n", n_opened, n_attested, n_others);
        g_mutex_unlock(&lock);
        (void) fflush(stdout);
}

static gboolean on_input(GIOChannel *channel, GIOCondition condition, gpointer loop) {
        g_autofree char *line = NULL;
        guint64 now;

        (void) condition;
        if (g_io_channel_read_line(channel, &line, NULL, NULL, NULL) != G_IO_STATUS_NORMAL) {
                g_main_loop_quit(loop);
                return G_SOURCE_REMOVE;
        }
        if (sscanf(line, "stale %" G_GUINT64_FORMAT, &now) == 1)
                tell_all(now);
        else if (g_str_equal(line, "count\n"))
                tell_count();
        return G_SOURCE_CONTINUE;
}

int main(int argc, char **argv) {
        g_autofree char *address = g_strdup_printf("unix:path=%s", argc == 2 ? argv[1] : "");
        g_autofree char *guid = g_dbus_generate_guid();
        g_autofree guint8 *shared = g_malloc(8192);
        g_autoptr(GMainLoop) loop = g_main_loop_new(NULL, FALSE);
        g_autoptr(GIOChannel) input = g_io_channel_unix_new(0);
        g_autoptr(GDBusServer) server = NULL;
        g_autoptr(GError) error = NULL;

        memset(shared, 's', 8192);
        part = g_bytes_new(shared, 8192);
        server = g_dbus_server_new_sync(address, G_DBUS_SERVER_FLAGS_NONE, guid, NULL, NULL, &error);
        if (!server) {
                (void) fprintf(stderr, "crowd-attestd: %s\n", error->message);
                return 1;
        }
        g_signal_connect(server, "new-connection", G_CALLBACK(on_new_connection), NULL);
        g_dbus_server_start(server);
        (void) g_io_add_watch(input, G_IO_IN | G_IO_HUP, on_input, loop);
        (void) puts("ready");
        (void) fflush(stdout);
        g_main_loop_run(loop);
        g_clear_object(&client);
        g_bytes_unref(part);
        return 0;
}
