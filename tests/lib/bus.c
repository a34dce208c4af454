/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "bus.h"

#include "util/io.h"
#include "util/memfd.h"

#include <check.h>
#include <fcntl.h>
#include <gio/gunixfdlist.h>
#include <poll.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static void die_with_test(gpointer data) {
        (void) data;
        (void) prctl(PR_SET_PDEATHSIG, SIGKILL);
}

void bus_start(Bus *bus) {
        char *argv[] = { (char *) "dbus-daemon", (char *) "--session", (char *) "--nofork", (char *) "--print-address",
                         NULL };
        g_autoptr(GIOChannel) channel = NULL;
        g_autoptr(GError) error = NULL;
        int out;

        ck_assert_msg(g_spawn_async_with_pipes(NULL, argv, NULL, G_SPAWN_SEARCH_PATH | G_SPAWN_DO_NOT_REAP_CHILD |
                                                       G_SPAWN_STDERR_TO_DEV_NULL,
                                               die_with_test, NULL, &bus->pid, NULL, &out, NULL, &error),
                      "%s", error ? error->message : "");
        channel = g_io_channel_unix_new(out);
        g_io_channel_set_close_on_unref(channel, TRUE);
        ck_assert_int_eq(g_io_channel_read_line(channel, &bus->address, NULL, NULL, NULL), G_IO_STATUS_NORMAL);
        g_strchomp(bus->address);
        ck_assert(g_setenv("DBUS_SYSTEM_BUS_ADDRESS", bus->address, TRUE));
}

void bus_stop(Bus *bus) {
        if (!bus->pid)
                return;
        (void) kill(bus->pid, SIGKILL);
        (void) waitpid(bus->pid, NULL, 0);
        g_free(bus->address);
        *bus = (Bus) { 0 };
}

struct Service {
        const char *name;
        char *path;
        GDBusNodeInfo *contract;
        GMainContext *context;
        GMainLoop *loop;
        GThread *thread;
        GDBusConnection *bus; /* direct: the newest connection */
        char *socket;         /* NULL: on the bus */
        bool is_closed_to_us; /* direct: whoever connects is told so */
        GPtrArray *connections; /* direct: of GDBusConnection */

        GMutex lock;
        GCond changed;
        GPtrArray *seen;     /* of Seen */
        GHashTable *answers; /* method → GVariant */
        GHashTable *memfds;  /* method → GUnixFDList of its answer */
        GHashTable *errors;  /* method → error name */
        GHashTable *properties; /* name → GVariant */
        bool holds_sessions, is_registered;
        guint n_sessions, n_open, max_open;
        char *session, *owner;
};

static void seen_free(gpointer data) {
        Seen *seen = data;

        g_free(seen->path);
        g_variant_unref(seen->arguments);
        g_clear_pointer(&seen->memfd, g_bytes_unref);
        g_clear_object(&seen->held);
        g_free(seen);
}

static const GDBusInterfaceVTable vtable;

static char *register_session(Service *s, GDBusConnection *bus, guint number) {
        g_autofree char *path = g_strdup_printf("%s/session/%u", s->path, number);
        g_autofree char *interface = g_strconcat(s->name, ".Session", NULL);

        ck_assert_uint_ne(g_dbus_connection_register_object(bus, path,
                                                            g_dbus_node_info_lookup_interface(s->contract, interface),
                                                            &vtable, s, NULL, NULL), 0);
        return g_steal_pointer(&path);
}

static void open_session(Service *s, GDBusMethodInvocation *call) {
        if (s->n_open >= s->max_open) {
                g_dbus_method_invocation_return_dbus_error(call, "org.attestd.Error.LimitReached", "too many");
                return;
        }
        s->n_open++;
        g_free(s->session);
        g_free(s->owner);
        s->session = register_session(s, g_dbus_method_invocation_get_connection(call), ++s->n_sessions);
        s->owner = g_strdup(g_dbus_method_invocation_get_sender(call));
        g_dbus_method_invocation_return_value(call, g_variant_new("(o)", s->session));
}

static GBytes *read_memfd(GDBusMethodInvocation *call) {
        GUnixFDList *fds = g_dbus_message_get_unix_fd_list(g_dbus_method_invocation_get_message(call));
        g_autoptr(GError) error = NULL;
        att_autofd int fd = fds ? g_unix_fd_list_get(fds, 0, NULL) : -1;
        GBytes *content = fd >= 0 ? att_memfd_read(fd, G_MAXSSIZE, &error) : NULL;

        ck_assert_msg(!error, "%s", error ? error->message : "");
        return content;
}

static GVariant *on_get_property(GDBusConnection *bus, const char *sender, const char *path, const char *interface,
                                 const char *name, GError **error, gpointer data) {
        Service *s = data;
        GVariant *value;

        (void) bus, (void) sender, (void) path, (void) interface;
        g_mutex_lock(&s->lock);
        value = g_hash_table_lookup(s->properties, name);
        if (value)
                g_variant_ref(value);
        else
                g_set_error(error, G_IO_ERROR, G_IO_ERROR_FAILED, "the test has no property %s", name);
        g_mutex_unlock(&s->lock);
        return value;
}

static void on_call(GDBusConnection *bus, const char *sender, const char *path, const char *interface,
                    const char *method, GVariant *arguments, GDBusMethodInvocation *call, gpointer data) {
        Service *s = data;
        Seen *seen = g_new0(Seen, 1);
        const char *refusal;
        GUnixFDList *fds;
        GVariant *body;

        (void) bus, (void) sender, (void) interface;
        seen->memfd = read_memfd(call);
        seen->method = g_intern_string(method);
        seen->path = g_strdup(path);
        seen->arguments = g_variant_ref(arguments);

        g_mutex_lock(&s->lock);
        g_ptr_array_add(s->seen, seen);
        if (g_str_equal(method, "Close") && s->n_open > 0)
                s->n_open--;
        refusal = g_hash_table_lookup(s->errors, method);
        body = g_hash_table_lookup(s->answers, method);
        fds = g_hash_table_lookup(s->memfds, method);
        if (refusal)
                g_dbus_method_invocation_return_dbus_error(call, refusal, "as the test wants it");
        else if (g_str_equal(method, "OpenSession") && !s->holds_sessions && !body)
                open_session(s, call);
        else if (body)
                g_dbus_method_invocation_return_value_with_unix_fd_list(call, body, fds);
        else if (g_str_equal(method, "RecordContext") || g_str_equal(method, "Close"))
                g_dbus_method_invocation_return_value(call, NULL);
        else
                seen->held = g_object_ref(call);
        g_cond_broadcast(&s->changed);
        g_mutex_unlock(&s->lock);
}

static const GDBusInterfaceVTable vtable = { .method_call = on_call, .get_property = on_get_property };

static void register_service(Service *s, GDBusConnection *bus) {
        ck_assert_uint_ne(g_dbus_connection_register_object(bus, s->path,
                                                            g_dbus_node_info_lookup_interface(s->contract, s->name),
                                                            &vtable, s, NULL, NULL), 0);
}

static void run(Service *s) {
        g_mutex_lock(&s->lock);
        s->loop = g_main_loop_new(s->context, FALSE);
        g_cond_broadcast(&s->changed);
        g_mutex_unlock(&s->lock);
        g_main_loop_run(s->loop);
}

static gpointer serve(gpointer data) {
        Service *s = data;
        g_autoptr(GVariant) owned = NULL;
        g_autoptr(GError) error = NULL;
        GDBusConnection *bus;

        g_main_context_push_thread_default(s->context);
        bus = g_dbus_connection_new_for_address_sync(g_getenv("DBUS_SYSTEM_BUS_ADDRESS"),
                                                     G_DBUS_CONNECTION_FLAGS_AUTHENTICATION_CLIENT |
                                                             G_DBUS_CONNECTION_FLAGS_MESSAGE_BUS_CONNECTION,
                                                     NULL, NULL, &error);
        ck_assert_msg(bus != NULL, "%s", error ? error->message : "");
        g_mutex_lock(&s->lock);
        s->bus = bus;
        g_mutex_unlock(&s->lock);
        register_service(s, bus);
        owned = g_dbus_connection_call_sync(bus, "org.freedesktop.DBus", "/org/freedesktop/DBus",
                                            "org.freedesktop.DBus", "RequestName", g_variant_new("(su)", s->name, 0),
                                            G_VARIANT_TYPE("(u)"), G_DBUS_CALL_FLAGS_NONE, -1, NULL, &error);
        ck_assert_msg(owned != NULL, "%s", error ? error->message : "");
        run(s);
        (void) g_dbus_connection_close_sync(bus, NULL, NULL);
        g_object_unref(bus);
        g_main_context_pop_thread_default(s->context);
        return NULL;
}

/* As attestd tells it to whom it does not serve there. */
static GDBusMessage *refuse_message(GDBusConnection *bus, GDBusMessage *message, gboolean incoming, gpointer data) {
        g_autoptr(GDBusMessage) reply = NULL;

        (void) data;
        if (!incoming || g_dbus_message_get_message_type(message) != G_DBUS_MESSAGE_TYPE_METHOD_CALL)
                return message;
        reply = g_dbus_message_new_method_error_literal(message, "org.attestd.Error.NotAuthorized",
                                                        "use the system bus");
        (void) g_dbus_connection_send_message(bus, reply, G_DBUS_SEND_MESSAGE_FLAGS_NONE, NULL, NULL);
        g_object_unref(message);
        return NULL;
}

static gboolean on_new_connection(GDBusServer *server, GDBusConnection *bus, gpointer data) {
        Service *s = data;

        (void) server;
        g_mutex_lock(&s->lock);
        g_ptr_array_add(s->connections, g_object_ref(bus));
        s->bus = bus;
        if (s->is_closed_to_us)
                (void) g_dbus_connection_add_filter(bus, refuse_message, NULL, NULL);
        register_service(s, bus);
        g_cond_broadcast(&s->changed);
        g_mutex_unlock(&s->lock);
        return TRUE;
}

static gpointer serve_directly(gpointer data) {
        Service *s = data;
        g_autofree char *address = g_strdup_printf("unix:path=%s", s->socket), *guid = g_dbus_generate_guid();
        g_autoptr(GDBusServer) server = NULL;
        g_autoptr(GError) error = NULL;

        g_main_context_push_thread_default(s->context);
        server = g_dbus_server_new_sync(address, G_DBUS_SERVER_FLAGS_NONE, guid, NULL, NULL, &error);
        ck_assert_msg(server != NULL, "%s", error ? error->message : "");
        g_signal_connect(server, "new-connection", G_CALLBACK(on_new_connection), s);
        g_dbus_server_start(server);
        run(s);
        g_dbus_server_stop(server);
        for (guint i = 0; i < s->connections->len; i++)
                (void) g_dbus_connection_close_sync(s->connections->pdata[i], NULL, NULL);
        (void) unlink(s->socket);
        g_main_context_pop_thread_default(s->context);
        return NULL;
}

static Service *start(const char *name, const char *socket, bool is_closed_to_us) {
        Service *s = g_new0(Service, 1);
        g_autofree char *file = g_strdup_printf(SOURCE_ROOT "/dbus/%s.xml", name), *xml = NULL;

        s->name = name;
        s->max_open = G_MAXUINT;
        s->socket = g_strdup(socket);
        s->is_closed_to_us = is_closed_to_us;
        s->connections = g_ptr_array_new_with_free_func(g_object_unref);
        s->path = g_strdelimit(g_strconcat("/", name, NULL), ".", '/');
        ck_assert(g_file_get_contents(file, &xml, NULL, NULL));
        s->contract = g_dbus_node_info_new_for_xml(xml, NULL);
        ck_assert_ptr_nonnull(s->contract);
        s->context = g_main_context_new();
        s->seen = g_ptr_array_new_with_free_func(seen_free);
        s->answers = g_hash_table_new_full(g_str_hash, g_str_equal, NULL, (GDestroyNotify) g_variant_unref);
        s->memfds = g_hash_table_new_full(g_str_hash, g_str_equal, NULL, g_object_unref);
        s->errors = g_hash_table_new(g_str_hash, g_str_equal);
        s->properties = g_hash_table_new_full(g_str_hash, g_str_equal, NULL, (GDestroyNotify) g_variant_unref);
        g_mutex_init(&s->lock);
        g_cond_init(&s->changed);
        s->thread = g_thread_new("service", socket ? serve_directly : serve, s);
        g_mutex_lock(&s->lock);
        while (!s->loop)
                g_cond_wait(&s->changed, &s->lock);
        g_mutex_unlock(&s->lock);
        return s;
}

Service *service_start(const char *name) {
        return start(name, NULL, false);
}

Service *service_start_direct(const char *name, const char *socket, bool is_closed_to_us) {
        return start(name, socket, is_closed_to_us);
}

guint service_count_connections(Service *s) {
        guint n;

        g_mutex_lock(&s->lock);
        n = s->connections->len;
        g_mutex_unlock(&s->lock);
        return n;
}

void service_hang_up(Service *s) {
        g_mutex_lock(&s->lock);
        for (guint i = 0; i < s->connections->len; i++)
                (void) g_dbus_connection_close_sync(s->connections->pdata[i], NULL, NULL);
        g_mutex_unlock(&s->lock);
}

void service_leave_name(Service *s) {
        g_autoptr(GVariant) reply =
                g_dbus_connection_call_sync(s->bus, "org.freedesktop.DBus", "/org/freedesktop/DBus",
                                            "org.freedesktop.DBus", "ReleaseName", g_variant_new("(s)", s->name),
                                            G_VARIANT_TYPE("(u)"), G_DBUS_CALL_FLAGS_NONE, -1, NULL, NULL);

        ck_assert_ptr_nonnull(reply);
}

void service_stop(Service *s) {
        g_main_loop_quit(s->loop);
        g_thread_join(s->thread);
        g_ptr_array_unref(s->seen);
        g_hash_table_unref(s->answers);
        g_hash_table_unref(s->memfds);
        g_hash_table_unref(s->errors);
        g_hash_table_unref(s->properties);
        g_dbus_node_info_unref(s->contract);
        g_main_loop_unref(s->loop);
        g_main_context_unref(s->context);
        g_mutex_clear(&s->lock);
        g_cond_clear(&s->changed);
        g_free(s->session);
        g_ptr_array_unref(s->connections);
        g_free(s->owner);
        g_free(s->socket);
        g_free(s->path);
        g_free(s);
}

void service_answer(Service *s, const char *method, GVariant *body) {
        g_mutex_lock(&s->lock);
        if (body)
                g_hash_table_replace(s->answers, (gpointer) method, g_variant_ref_sink(body));
        else
                g_hash_table_remove(s->answers, method);
        g_mutex_unlock(&s->lock);
}

void service_answer_with_memfd(Service *s, const char *method, GVariant *body, GBytes *content, bool sealed) {
        att_autofd int fd = sealed ? att_memfd_new("test", content, NULL) : memfd_create("test", MFD_CLOEXEC);

        service_answer_with_fd(s, method, body, fd);
}

void service_answer_with_fd(Service *s, const char *method, GVariant *body, int fd) {
        g_autoptr(GUnixFDList) fds = g_unix_fd_list_new();

        ck_assert_int_ge(fd, 0);
        ck_assert_int_ge(g_unix_fd_list_append(fds, fd, NULL), 0);
        g_mutex_lock(&s->lock);
        g_hash_table_replace(s->memfds, (gpointer) method, g_steal_pointer(&fds));
        g_mutex_unlock(&s->lock);
        service_answer(s, method, body);
}

void service_set_property(Service *s, const char *name, GVariant *value) {
        g_mutex_lock(&s->lock);
        g_hash_table_replace(s->properties, (gpointer) name, g_variant_ref_sink(value));
        g_mutex_unlock(&s->lock);
}

void service_refuse(Service *s, const char *method, const char *error_name) {
        g_mutex_lock(&s->lock);
        if (error_name)
                g_hash_table_replace(s->errors, (gpointer) method, (gpointer) error_name);
        else
                g_hash_table_remove(s->errors, method);
        g_mutex_unlock(&s->lock);
}

void service_limit_sessions(Service *s, guint n) {
        g_mutex_lock(&s->lock);
        s->max_open = n;
        g_mutex_unlock(&s->lock);
}

static const Seen *find(Service *s, const char *method, guint n) {
        for (guint i = 0; i < s->seen->len; i++) {
                const Seen *seen = s->seen->pdata[i];

                if (g_str_equal(seen->method, method) && --n == 0)
                        return seen;
        }
        return NULL;
}

static gboolean register_in_thread(gpointer data) {
        Service *s = data;

        g_mutex_lock(&s->lock);
        g_free(register_session(s, s->bus, s->n_sessions));
        s->is_registered = true;
        g_cond_broadcast(&s->changed);
        g_mutex_unlock(&s->lock);
        return G_SOURCE_REMOVE;
}

/* Objects are called in the thread that registers them. */
void service_register_session(Service *s, guint number) {
        g_mutex_lock(&s->lock);
        s->n_sessions = number;
        s->is_registered = false;
        g_main_context_invoke(s->context, register_in_thread, s);
        while (!s->is_registered)
                g_cond_wait(&s->changed, &s->lock);
        g_mutex_unlock(&s->lock);
}

void service_hold_sessions(Service *s) {
        g_mutex_lock(&s->lock);
        s->holds_sessions = true;
        g_mutex_unlock(&s->lock);
}

/* Of the kernel's clock: GLib's may be a double's. */
static gint64 seconds_from_now(int seconds) {
        struct timespec t;

        (void) clock_gettime(CLOCK_MONOTONIC, &t);
        return (t.tv_sec + seconds) * G_USEC_PER_SEC + t.tv_nsec / 1000;
}

const Seen *service_wait(Service *s, const char *method, guint n) {
        gint64 deadline = seconds_from_now(20);
        bool is_late = false;
        const Seen *seen;

        g_mutex_lock(&s->lock);
        while (!(seen = find(s, method, n)) && !is_late)
                is_late = !g_cond_wait_until(&s->changed, &s->lock, deadline);
        g_mutex_unlock(&s->lock);
        ck_assert_msg(seen != NULL, "%s was not called %u times", method, n);
        return seen;
}

guint service_count(Service *s, const char *method) {
        guint n = 0;

        g_mutex_lock(&s->lock);
        while (find(s, method, n + 1))
                n++;
        g_mutex_unlock(&s->lock);
        return n;
}

void service_release(Service *s, const char *method, GVariant *body) {
        g_autoptr(GVariant) own = g_variant_ref_sink(body);
        GUnixFDList *fds;

        g_mutex_lock(&s->lock);
        fds = g_hash_table_lookup(s->memfds, method);
        for (guint i = 0; i < s->seen->len; i++) {
                Seen *seen = s->seen->pdata[i];
                GDBusMethodInvocation *held = g_str_equal(seen->method, method) ? g_steal_pointer(&seen->held) : NULL;

                if (held) {
                        g_dbus_method_invocation_return_value_with_unix_fd_list(held, own, fds);
                        g_object_unref(held);
                }
        }
        g_mutex_unlock(&s->lock);
}

void service_break_contract(Service *s, const char *method, GVariant *body) {
        g_autoptr(GVariant) own = g_variant_ref_sink(body);

        g_mutex_lock(&s->lock);
        for (guint i = 0; i < s->seen->len; i++) {
                Seen *seen = s->seen->pdata[i];
                g_autoptr(GDBusMessage) reply = NULL;

                if (!g_str_equal(seen->method, method) || !seen->held)
                        continue;
                reply = g_dbus_message_new_method_reply(g_dbus_method_invocation_get_message(seen->held));
                g_dbus_message_set_body(reply, own);
                ck_assert(g_dbus_connection_send_message(s->bus, reply, G_DBUS_SEND_MESSAGE_FLAGS_NONE, NULL, NULL));
        }
        g_mutex_unlock(&s->lock);
}

static void emit_stale(GDBusConnection *bus, const char *to, const char *path, guint64 generation,
                       const char *reason) {
        const char *const reasons[] = { reason, "bad\nreason", NULL };

        ck_assert(g_dbus_connection_emit_signal(bus, to, path, "org.attestd.Attester1.Session", "Stale",
                                                g_variant_new("(t^as)", generation, reasons), NULL));
        ck_assert(g_dbus_connection_flush_sync(bus, NULL, NULL));
}

void service_tell_stale(Service *s, const char *path, guint64 generation, const char *reason) {
        emit_stale(s->bus, s->owner, path ? path : s->session, generation, reason);
}

void stranger_tells_stale(Service *s, guint64 generation) {
        g_autoptr(GDBusConnection) bus = g_dbus_connection_new_for_address_sync(
                g_getenv("DBUS_SYSTEM_BUS_ADDRESS"),
                G_DBUS_CONNECTION_FLAGS_AUTHENTICATION_CLIENT | G_DBUS_CONNECTION_FLAGS_MESSAGE_BUS_CONNECTION, NULL,
                NULL, NULL);

        emit_stale(bus, s->owner, s->session, generation, "lie");
        (void) g_dbus_connection_close_sync(bus, NULL, NULL);
}

const char *service_session(Service *s) {
        return s->session;
}

AttEvent *wait_event(AttServices *s) {
        struct pollfd p = { .fd = s->ops->fd(s), .events = POLLIN };
        AttEvent *event;

        while (!(event = s->ops->next(s)))
                ck_assert_int_eq(poll(&p, 1, 20000), 1);
        return event;
}
