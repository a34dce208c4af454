/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Both services over the system bus, by GDBus. One thread of ours does the calls
 * of all connections of the process; what it learns goes into a mailbox for each
 * connection, whose descriptor wakes the application's own loop. */
#include "lib/services.h"

#include "codec/frame.h"
#include "codec/text.h"
#include "crypto/digest.h"
#include "util/io.h"
#include "util/memfd.h"

#include <errno.h>
#include <gio/gio.h>
#include <gio/gunixfdlist.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <unistd.h>

/* dbus-daemon lets a connection wait for 128 replies. attestd takes its time, so
 * that its calls must not keep those to the verifier waiting. */
#define ATTESTER_CALLS_MAX 64u
#define VERIFIER_CALLS_MAX 32u
/* attestd's own time limit ends first. */
#define LATER_MS 5000u
/* How often a service that was lost is looked for. */
#define LOOK_AGAIN_MS 200u
/* A bus that takes connections and says nothing is none. */
#define CONNECT_MS 10000u

#define PROPERTIES "org.freedesktop.DBus.Properties"

typedef struct Service {
        const char *program; /* for messages */
        const char *name;
        const char *path;
        const char *session; /* interface */
} Service;

static const Service attester_service = {
        "attestd", "org.attestd.Attester1", "/org/attestd/Attester1", "org.attestd.Attester1.Session",
};
static const Service verifier_service = {
        "attestd-verifier", "org.attestd.Verifier1", "/org/attestd/Verifier1", "org.attestd.Verifier1.Session",
};

typedef struct Client Client;

/* A session at one service. Opened when first needed, and anew after it was lost. */
typedef struct Remote {
        Client *client;
        const Service *service;
        GVariant *parameters; /* of OpenSession */

        /* in our thread only */
        char *key;       /* in the table of sessions; NULL: there is none */
        char *owner;     /* unique name of the service */
        char *path;
        bool is_opening;
        gint64 until_us; /* lost: it may come back until then; 0: it is not lost */
        AttStateId given; /* attester: what its newest evidence speaks of */
        bool needs_no_logs; /* verifier: as this session says */
        bool has_boot_log;  /* verifier: it was given to this session, which keeps it */
        GQueue calls;    /* of Call: wait for the session */
        GPtrArray *contexts; /* verifier: of GBytes, to be told to each new session */
} Remote;

struct Client {
        AttServices base;
        gatomicrefcount refs; /* of the application, and of each call */
        guint timeout_ms;
        guint patience_ms;
        uint16_t code_point;
        gsize hash_size;
        Remote attester, verifier;

        int event_fd;
        GMutex lock;
        GQueue events; /* of AttEvent */
        bool is_closed;
};

/* Whom a call goes to. */
typedef enum {
        TO_SESSION,
        TO_SERVICE,            /* its first object, in the instance that has the session */
        TO_SESSION_PROPERTIES,
        TO_SERVICE_PROPERTIES,
} To;

typedef struct Call {
        Client *client; /* a reference */
        Remote *remote;
        To to;
        const char *member; /* NULL: OpenSession */
        GVariant *arguments;
        GUnixFDList *fds;   /* (nullable) */
        AttEvent *event;    /* (nullable): what the call before this one has brought; owned */
        const char *reply; /* type */
        AttEventType answer;
        guint timeout_ms;
        bool is_retried;
        bool may_retry; /* it stands for itself, in a new session too */
        bool is_ahead;  /* nobody waits for it */
} Call;

/* Calls to one service, of all connections. */
typedef struct Lane {
        guint max, under_way;
        GQueue waiting; /* of Call: for the bus, or for others to be answered */
} Lane;

/* Our thread, and what only it touches. */
static struct {
        GMainContext *context;
        pid_t pid;

        GDBusConnection *bus;
        GCancellable *connecting; /* NULL: we are not */
        GSource *connect_limit;
        bool is_transmitting;
        Lane attester, verifier;
        GHashTable *sessions; /* key of the session → Remote */
} worker = {
        .attester.max = ATTESTER_CALLS_MAX,
        .verifier.max = VERIFIER_CALLS_MAX,
};

/* The mailbox. */

static Client *client_ref(Client *c) {
        g_atomic_ref_count_inc(&c->refs);
        return c;
}

static void clear_remote(Remote *r) {
        g_clear_pointer(&r->parameters, g_variant_unref);
        g_clear_pointer(&r->contexts, g_ptr_array_unref);
}

static void client_unref(Client *c) {
        if (!g_atomic_ref_count_dec(&c->refs))
                return;
        clear_remote(&c->attester);
        clear_remote(&c->verifier);
        g_queue_clear_full(&c->events, (GDestroyNotify) att_event_free);
        g_mutex_clear(&c->lock);
        close(c->event_fd);
        g_free(c);
}

static void post(Client *c, AttEvent *event) {
        g_mutex_lock(&c->lock);
        if (c->is_closed) {
                att_event_free(event);
        } else {
                g_queue_push_tail(&c->events, event);
                (void) eventfd_write(c->event_fd, 1); /* fails only if it is readable already */
        }
        g_mutex_unlock(&c->lock);
}

static AttEvent *next_event(AttServices *s) {
        Client *c = (Client *) s;
        AttEvent *event;
        eventfd_t count;

        g_mutex_lock(&c->lock);
        event = g_queue_pop_head(&c->events);
        if (g_queue_is_empty(&c->events))
                (void) eventfd_read(c->event_fd, &count); /* fails if it was not readable */
        g_mutex_unlock(&c->lock);
        return event;
}

static int event_fd(AttServices *s) {
        return ((Client *) s)->event_fd;
}

static void post_failure(Call *call, const char *message) {
        AttEvent *event = g_new0(AttEvent, 1);

        event->type = call->answer;
        g_set_error(&event->error, ATTESTD_ERROR, ATTESTD_ERROR_SERVICE, "%s: %s", call->remote->service->program,
                    message);
        post(call->client, event);
}

static void call_free(Call *call) {
        g_variant_unref(call->arguments);
        g_clear_object(&call->fds);
        att_event_free(call->event);
        client_unref(call->client);
        g_free(call);
}

G_DEFINE_AUTOPTR_CLEANUP_FUNC(Call, call_free)

static void fail_call(Call *call, const char *message) {
        post_failure(call, message);
        call_free(call);
}

/* What a service answered, trusted no more than it has to be. */

static bool read_id(GVariant *dict, const char *key, uint8_t ret[16]) {
        const char *hex;

        if (!g_variant_lookup(dict, key, "&s", &hex) || strlen(hex) != 32)
                return false;
        for (size_t i = 0; i < 16; i++) {
                int high = g_ascii_xdigit_value(hex[2 * i]), low = g_ascii_xdigit_value(hex[2 * i + 1]);

                if (high < 0 || low < 0)
                        return false;
                ret[i] = (uint8_t) (high << 4 | low);
        }
        return true;
}

static AttStateId read_state(GVariant *dict) {
        AttStateId state = { 0 };
        guint64 generation;

        state.known = read_id(dict, "boot_id", state.boot_id) && read_id(dict, "instance_id", state.instance_id) &&
                      g_variant_lookup(dict, "generation", "t", &generation);
        if (state.known)
                state.generation = generation;
        return state;
}

static GBytes *child_bytes(GVariant *tuple, gsize i) {
        g_autoptr(GVariant) child = g_variant_get_child_value(tuple, i);

        return g_variant_get_data_as_bytes(child);
}

static void read_verdict(GVariant *body, AttEvent *event) {
        g_autoptr(GVariant) dict = NULL;
        gboolean accepted;

        g_variant_get(body, "(b@a{sv})", &accepted, &dict);
        event->accepted = accepted;
        event->state = read_state(dict);
        (void) g_variant_lookup(dict, "reason", "s", &event->reason);
        (void) g_variant_lookup(dict, "json", "s", &event->json);
}

static void read_logs(GVariant *body, AttEvent *event) {
        g_autoptr(GVariant) dict = g_variant_get_child_value(body, 0);
        guint64 next = 0;

        (void) g_variant_lookup(dict, "Logs", "^as", &event->logs);
        (void) g_variant_lookup(dict, "LogNext", "t", &next);
        event->first = next;
}

/* A boot has one boot log. */
static void leave_out_boot(char **logs) {
        char **to = logs;

        for (; *logs; logs++)
                if (g_str_equal(*logs, ATT_LOG_BOOT))
                        g_free(*logs);
                else
                        *to++ = *logs;
        *to = NULL;
}

static gboolean read_log(GDBusMessage *reply, GVariant *body, AttEvent *event, GError **error) {
        GUnixFDList *fds = g_dbus_message_get_unix_fd_list(reply);
        att_autofd int fd = -1;
        guint64 first, count;
        gint32 handle;

        g_variant_get(body, "(htt)", &handle, &first, &count);
        event->first = first;
        if (!fds || handle < 0 || handle >= g_unix_fd_list_get_length(fds)) {
                g_set_error_literal(error, G_IO_ERROR, G_IO_ERROR_INVALID_DATA, "a log without its descriptor");
                return FALSE;
        }
        fd = g_unix_fd_list_get(fds, handle, error);
        event->bytes = fd >= 0 ? att_memfd_read(fd, ATT_LOG_GIVEN_MAX, error) : NULL;
        return event->bytes != NULL;
}

static gboolean read_answer(GDBusMessage *reply, AttEvent *event, GError **error) {
        GVariant *body = g_dbus_message_get_body(reply);
        g_autoptr(GVariant) dict = NULL;

        switch (event->type) {
        case ATT_EVENT_EVIDENCE:
                event->bytes = child_bytes(body, 0);
                dict = g_variant_get_child_value(body, 1);
                event->state = read_state(dict);
                return TRUE;
        case ATT_EVENT_REQUEST:
                event->bytes = child_bytes(body, 0);
                event->context = child_bytes(body, 1);
                return TRUE;
        case ATT_EVENT_VERDICT:
                read_verdict(body, event);
                return TRUE;
        case ATT_EVENT_LOGS:
                read_logs(body, event);
                return TRUE;
        case ATT_EVENT_LOG:
                return read_log(reply, body, event, error);
        case ATT_EVENT_STALE:
        case ATT_EVENT_FAILED:
        case ATT_EVENT_ADDED:
                break;
        }
        return TRUE;
}

/* Names of what changed, as far as they can stand in a frame. */
static char **plain_texts(char **texts) {
        g_autoptr(GPtrArray) plain = g_ptr_array_new();

        for (; *texts && plain->len < ATT_HELLO_TEXTS_MAX; texts++)
                if (att_text_is_plain(*texts, ATT_FRAME_TEXT_MAX))
                        g_ptr_array_add(plain, g_strdup(*texts));
        g_ptr_array_add(plain, NULL);
        return (char **) g_ptr_array_free(g_steal_pointer(&plain), FALSE);
}

/* Sessions, in our thread. */

static void transmit(Call *call);
static void remote_go_on(Remote *r);

static void forget_session(Remote *r) {
        if (!r->key)
                return;
        g_hash_table_remove(worker.sessions, r->key);
        g_clear_pointer(&r->key, g_free);
        g_clear_pointer(&r->owner, g_free);
        g_clear_pointer(&r->path, g_free);
        r->needs_no_logs = r->has_boot_log = false;
}

/* Loss of attestd is a change: nobody would tell of one any more. */
static void lose_session(Remote *r) {
        if (!r->key)
                return;
        forget_session(r);
        r->until_us = g_get_monotonic_time() + (gint64) r->client->patience_ms * 1000;
        r->given.known = false;
        if (r == &r->client->attester) {
                AttEvent *event = g_new0(AttEvent, 1);

                event->type = ATT_EVENT_STALE;
                event->reasons = g_strdupv((char *[]) { (char *) "service-lost", NULL });
                post(r->client, event);
        }
}

/* @owner: NULL for all */
static void lose_sessions(const char *owner) {
        g_autoptr(GPtrArray) lost = g_ptr_array_new();
        GHashTableIter iter;
        gpointer value;

        g_hash_table_iter_init(&iter, worker.sessions);
        while (g_hash_table_iter_next(&iter, NULL, &value))
                if (!owner || g_str_equal(((Remote *) value)->owner, owner))
                        g_ptr_array_add(lost, value);
        for (guint i = 0; i < lost->len; i++)
                lose_session(lost->pdata[i]);
}

static char *session_key(const char *owner, const char *path) {
        return g_strconcat(owner, " ", path, NULL);
}

static void send_close(const char *owner, const Service *service, const char *path) {
        g_autoptr(GDBusMessage) message = g_dbus_message_new_method_call(owner, path, service->session, "Close");

        if (!worker.bus)
                return;
        g_dbus_message_set_flags(message, G_DBUS_MESSAGE_FLAGS_NO_REPLY_EXPECTED);
        (void) g_dbus_connection_send_message(worker.bus, message, G_DBUS_SEND_MESSAGE_FLAGS_NONE, NULL, NULL);
}

static bool is_closed(Client *c) {
        bool closed;

        g_mutex_lock(&c->lock);
        closed = c->is_closed;
        g_mutex_unlock(&c->lock);
        return closed;
}

static Call *call_new(Remote *r, const char *member, GVariant *arguments, const char *reply, AttEventType answer,
                      bool may_retry) {
        Call *call = g_new0(Call, 1);

        call->client = client_ref(r->client);
        call->remote = r;
        call->member = member;
        call->arguments = g_variant_ref_sink(arguments);
        call->reply = reply;
        call->answer = answer;
        call->timeout_ms = r->client->timeout_ms;
        call->may_retry = may_retry;
        return call;
}

static bool is_open_session(const Call *call) {
        return call->member == NULL;
}

static GVariant *bytes_variant(GBytes *bytes) {
        return g_variant_new_from_bytes(G_VARIANT_TYPE_BYTESTRING, bytes, TRUE);
}

static void record_in_session(Remote *r, GBytes *context) {
        transmit(call_new(r, "RecordContext", g_variant_new("(@ay)", bytes_variant(context)), "()", ATT_EVENT_FAILED,
                          false));
}

/* Opens a session, or makes the calls that wait for it. */
static void remote_go_on(Remote *r) {
        Call *call;

        if (r->is_opening || g_queue_is_empty(&r->calls))
                return;
        if (!r->key) {
                r->is_opening = true;
                transmit(call_new(r, NULL, g_variant_new("(@a{sv})", r->parameters), "(o)", ATT_EVENT_FAILED, true));
                return;
        }
        while ((call = g_queue_pop_head(&r->calls)))
                transmit(call);
}

static Call *look_new(Remote *r) {
        Call *call = call_new(r, "GetAll", g_variant_new("(s)", r->service->session), "(a{sv})", ATT_EVENT_LOGS, false);

        call->to = TO_SESSION_PROPERTIES;
        return call;
}

/* Most verifiers need no logs: known before the first authenticator is here, that costs no time. */
static void look_ahead(Remote *r) {
        Call *call = look_new(r);

        call->is_ahead = true;
        transmit(call);
}

static void fail_session(Call *call, const char *message) {
        Remote *r = call->remote;
        Call *waiting;

        r->is_opening = false;
        while ((waiting = g_queue_pop_head(&r->calls)))
                fail_call(waiting, message);
}

static void take_session(Call *call, GDBusMessage *reply, GVariant *body) {
        Remote *r = call->remote;
        const char *owner = g_dbus_message_get_sender(reply), *path;

        if (!owner) {
                fail_session(call, "not on a message bus");
                return;
        }
        g_variant_get(body, "(&o)", &path);
        r->is_opening = false;
        r->until_us = 0;
        if (is_closed(call->client)) {
                send_close(owner, r->service, path);
                return;
        }
        r->owner = g_strdup(owner);
        r->path = g_strdup(path);
        r->key = session_key(owner, path);
        g_hash_table_insert(worker.sessions, r->key, r);
        for (guint i = 0; r->contexts && i < r->contexts->len; i++)
                record_in_session(r, r->contexts->pdata[i]);
        remote_go_on(r);
        if (r == &r->client->verifier)
                look_ahead(r);
}

/* Calls, in our thread. */

/* What only the peer's log can be blamed for. */
static bool is_of_log(const char *name) {
        static const char *const names[] = {
                "org.attestd.Error.BadData",
                "org.attestd.Error.InvalidArgument",
                "org.attestd.Error.LimitReached",
                "org.attestd.Error.TooLarge",
                NULL,
        };

        return name && g_strv_contains(names, name);
}

/* Is the session gone, and not the call wrong? */
static bool is_loss(const GError *error) {
        static const char *const names[] = {
                "org.attestd.Error.NoSuchSession",
                "org.freedesktop.DBus.Error.Disconnected",
                "org.freedesktop.DBus.Error.NameHasNoOwner",
                "org.freedesktop.DBus.Error.NoReply",
                "org.freedesktop.DBus.Error.ServiceUnknown",
                "org.freedesktop.DBus.Error.UnknownObject",
                NULL,
        };
        g_autofree char *name = g_dbus_error_get_remote_error(error);

        return g_error_matches(error, G_IO_ERROR, G_IO_ERROR_CLOSED) || (name && g_strv_contains(names, name));
}

static char *error_text(GError *error) {
        g_autofree char *name = g_dbus_error_get_remote_error(error);

        g_dbus_error_strip_remote_error(error);
        return name ? g_strdup_printf("%s: %s", name, error->message) : g_strdup(error->message);
}

static gboolean look_again(gpointer data) {
        transmit(data);
        return G_SOURCE_REMOVE;
}

/* For a service that was there: it is being started again, or its bus is. */
static bool wait_for_service(Call *call) {
        g_autoptr(GSource) source = NULL;

        if (is_closed(call->client) || g_get_monotonic_time() >= call->remote->until_us)
                return false;
        source = g_timeout_source_new(LOOK_AGAIN_MS);
        g_source_set_callback(source, look_again, call, NULL);
        (void) g_source_attach(source, worker.context);
        return true;
}

static void on_failed(Call *call, GError *error) {
        g_autofree char *text = NULL, *name = NULL;
        bool lost = is_loss(error) || !worker.bus;

        if (lost && !is_open_session(call))
                lose_session(call->remote);
        if (lost && call->may_retry && !call->is_retried && !is_closed(call->client)) {
                call->is_retried = true;
                if (is_open_session(call)) {
                        transmit(call);
                } else {
                        g_queue_push_head(&call->remote->calls, call);
                        remote_go_on(call->remote);
                }
                return;
        }
        if (lost && is_open_session(call) && wait_for_service(call))
                return;
        if (call->is_ahead) {
                call_free(call);
                return;
        }

        name = g_dbus_error_get_remote_error(error);
        text = error_text(error);
        if (is_open_session(call)) {
                fail_session(call, text);
                call_free(call);
        } else if (call->answer == ATT_EVENT_ADDED && is_of_log(name)) {
                AttEvent *event = g_new0(AttEvent, 1);

                event->type = ATT_EVENT_ADDED;
                event->reason = g_strdup(error->message); /* without the name */
                post(call->client, event);
                call_free(call);
        } else if (lost && call->answer == ATT_EVENT_FAILED) {
                call_free(call); /* the next session is told again */
        } else {
                fail_call(call, text);
        }
}

/* Of the log "ima" the property says whose digests it has: it makes the answer whole. */
static void find_bank(Call *call, AttEvent *event) {
        Call *next = call_new(call->remote, "Get", g_variant_new("(ss)", attester_service.name, "ImaListed"), "(v)",
                              ATT_EVENT_LOG, false);

        next->to = TO_SERVICE_PROPERTIES;
        next->event = event;
        transmit(next);
}

static void take_bank(Call *call, GVariant *body) {
        AttEvent *event = g_steal_pointer(&call->event);
        g_autoptr(GVariant) value = NULL;

        g_variant_get(body, "(v)", &value);
        event->bank = g_variant_is_of_type(value, G_VARIANT_TYPE_STRING) ? g_variant_dup_string(value, NULL) :
                                                                            g_strdup("");
        post(call->client, event);
}

/* Of GetLog and AddLog: what they are about; borrowed. */
static const char *log_of(const Call *call) {
        const char *log;

        g_variant_get_child(call->arguments, 0, "&s", &log);
        return log;
}

static void take_answer(Call *call, GDBusMessage *reply) {
        g_autoptr(AttEvent) event = g_new0(AttEvent, 1);
        g_autoptr(GError) error = NULL;

        event->type = call->answer;
        if (!read_answer(reply, event, &error)) {
                post_failure(call, error->message);
                return;
        }
        if (event->type == ATT_EVENT_EVIDENCE)
                call->remote->given = event->state;
        if (event->type == ATT_EVENT_LOGS) {
                call->remote->needs_no_logs = !event->logs || !*event->logs;
                if (event->logs && call->remote->has_boot_log)
                        leave_out_boot(event->logs);
        }
        if (call->is_ahead)
                return;
        if (event->type == ATT_EVENT_ADDED && g_str_equal(log_of(call), ATT_LOG_BOOT))
                call->remote->has_boot_log = true;
        if (event->type == ATT_EVENT_LOG) {
                if (g_str_equal(log_of(call), ATT_LOG_IMA)) {
                        find_bank(call, g_steal_pointer(&event));
                        return;
                }
                event->bank = g_strdup(g_str_equal(log_of(call), ATT_LOG_BOOT) ? "" : "sha384");
        }
        post(call->client, g_steal_pointer(&event));
}

static void on_answered(Call *answered, GDBusMessage *reply) {
        g_autoptr(Call) call = answered;
        GVariant *body = g_dbus_message_get_body(reply);

        if (call->reply[1] == ')' && call->answer == ATT_EVENT_FAILED)
                return;
        if (call->reply[1] != ')' && (!body || !g_variant_is_of_type(body, G_VARIANT_TYPE(call->reply)))) {
                if (is_open_session(call))
                        fail_session(call, "an answer of another type than its contract says");
                else if (!call->is_ahead)
                        post_failure(call, "an answer of another type than its contract says");
        } else if (is_open_session(call)) {
                take_session(call, reply, body);
        } else if (call->event) {
                take_bank(call, body);
        } else {
                take_answer(call, reply);
        }
}

static Lane *lane_of(const Call *call) {
        return call->remote->service == &attester_service ? &worker.attester : &worker.verifier;
}

static void transmit_waiting(void);

static void on_reply(GObject *bus, GAsyncResult *result, gpointer data) {
        g_autoptr(GError) error = NULL;
        g_autoptr(GDBusMessage) reply =
                g_dbus_connection_send_message_with_reply_finish(G_DBUS_CONNECTION(bus), result, &error);

        lane_of(data)->under_way--;
        if (!reply || g_dbus_message_to_gerror(reply, &error))
                on_failed(data, error);
        else
                on_answered(data, reply);
        transmit_waiting();
}

static GDBusMessage *call_message(const Call *call) {
        const Remote *r = call->remote;
        const Service *service = r->service;
        const char *path = call->to == TO_SESSION || call->to == TO_SESSION_PROPERTIES ? r->path : service->path;
        const char *interface = call->to == TO_SESSION ? service->session :
                                call->to == TO_SERVICE ? service->name : PROPERTIES;
        GDBusMessage *message =
                is_open_session(call) ?
                        g_dbus_message_new_method_call(service->name, service->path, service->name, "OpenSession") :
                        g_dbus_message_new_method_call(r->owner, path, interface, call->member);

        g_dbus_message_set_body(message, call->arguments);
        if (call->fds)
                g_dbus_message_set_unix_fd_list(message, call->fds);
        return message;
}

static void on_connected(GObject *source, GAsyncResult *result, gpointer data);

/* Those that wait now: what they make of it may wait for the next attempt. */
static void fail_lane(Lane *lane, const GError *error) {
        GQueue waiting = lane->waiting;
        Call *call;

        g_queue_init(&lane->waiting);
        while ((call = g_queue_pop_head(&waiting))) {
                g_autoptr(GError) copy = g_error_copy(error);

                on_failed(call, copy);
        }
}

static void fail_waiting(const GError *error) {
        fail_lane(&worker.attester, error);
        fail_lane(&worker.verifier, error);
}

static gboolean on_connect_limit(gpointer data) {
        g_cancellable_cancel(data);
        return G_SOURCE_REMOVE;
}

static void connect_bus(guint limit_ms) {
        g_autoptr(GError) error = NULL;
        g_autofree char *address = g_dbus_address_get_for_bus_sync(G_BUS_TYPE_SYSTEM, NULL, &error);

        if (address) {
                worker.connecting = g_cancellable_new();
                worker.connect_limit = g_timeout_source_new(limit_ms);
                g_source_set_callback(worker.connect_limit, on_connect_limit, worker.connecting, NULL);
                (void) g_source_attach(worker.connect_limit, worker.context);
                g_dbus_connection_new_for_address(address,
                                                  G_DBUS_CONNECTION_FLAGS_AUTHENTICATION_CLIENT |
                                                          G_DBUS_CONNECTION_FLAGS_MESSAGE_BUS_CONNECTION,
                                                  NULL, worker.connecting, on_connected, NULL);
                return;
        }
        fail_waiting(error);
}

static void transmit_lane(Lane *lane) {
        while (worker.bus && lane->under_way < lane->max && !g_queue_is_empty(&lane->waiting)) {
                Call *call = g_queue_pop_head(&lane->waiting);
                g_autoptr(GDBusMessage) message = NULL;

                if (is_closed(call->client)) {
                        call_free(call);
                        continue;
                }
                if (!is_open_session(call) && !call->remote->key) { /* lost while it waited */
                        g_autoptr(GError) error = g_error_new_literal(G_IO_ERROR, G_IO_ERROR_CLOSED,
                                                                      "the session was lost");

                        on_failed(call, error);
                        continue;
                }
                message = call_message(call);
                lane->under_way++;
                g_dbus_connection_send_message_with_reply(worker.bus, message, G_DBUS_SEND_MESSAGE_FLAGS_NONE,
                                                          (int) call->timeout_ms, NULL, NULL, on_reply, call);
        }
}

/* A call that cannot be sent any more may bring another of its lane: the loop gets to
 * that too, where calling each other would take a stack as deep as the crowd is large. */
static void transmit_waiting(void) {
        Call *call;

        if (worker.is_transmitting)
                return;
        worker.is_transmitting = true;
        transmit_lane(&worker.attester);
        transmit_lane(&worker.verifier);
        worker.is_transmitting = false;
        call = g_queue_peek_head(&worker.attester.waiting);
        if (!call)
                call = g_queue_peek_head(&worker.verifier.waiting);
        if (!worker.bus && !worker.connecting && call)
                connect_bus(MIN(call->timeout_ms, CONNECT_MS));
}

static void transmit(Call *call) {
        g_queue_push_tail(&lane_of(call)->waiting, call);
        transmit_waiting();
}

/* The bus, in our thread. */

static void on_bus_closed(GDBusConnection *bus, gboolean remote_vanished, GError *error, gpointer data) {
        (void) remote_vanished, (void) error, (void) data;
        if (bus != worker.bus)
                return;
        g_info("the connection to the system bus is lost");
        g_clear_object(&worker.bus);
        lose_sessions(NULL);
        transmit_waiting();
}

static void on_owner_changed(GDBusConnection *bus, const char *sender, const char *path, const char *interface,
                             const char *signal, GVariant *arguments, gpointer data) {
        const char *name, *before, *after;

        (void) bus, (void) sender, (void) path, (void) interface, (void) signal, (void) data;
        if (!g_variant_is_of_type(arguments, G_VARIANT_TYPE("(sss)")))
                return;
        g_variant_get(arguments, "(&s&s&s)", &name, &before, &after);
        if (*before)
                lose_sessions(before);
}

/* Only the service that has the session can tell of it: the key has its unique name. */
static void on_stale(GDBusConnection *bus, const char *sender, const char *path, const char *interface,
                     const char *signal, GVariant *arguments, gpointer data) {
        g_autofree char *key = session_key(sender ? sender : "", path);
        Remote *r = g_hash_table_lookup(worker.sessions, key);
        g_auto(GStrv) reasons = NULL;
        AttEvent *event;

        (void) bus, (void) interface, (void) signal, (void) data;
        if (!r || r != &r->client->attester || !g_variant_is_of_type(arguments, G_VARIANT_TYPE("(tas)")))
                return;
        event = g_new0(AttEvent, 1);
        event->type = ATT_EVENT_STALE;
        event->state = r->given;
        g_variant_get(arguments, "(t^as)", &event->state.generation, &reasons);
        event->reasons = plain_texts(reasons);
        post(r->client, event);
}

static void watch_owner(GDBusConnection *bus, const char *name) {
        (void) g_dbus_connection_signal_subscribe(bus, "org.freedesktop.DBus", "org.freedesktop.DBus",
                                                  "NameOwnerChanged", "/org/freedesktop/DBus", name,
                                                  G_DBUS_SIGNAL_FLAGS_NONE, on_owner_changed, NULL, NULL);
}

static void on_connected(GObject *source, GAsyncResult *result, gpointer data) {
        g_autoptr(GError) error = NULL;

        (void) source, (void) data;
        g_source_destroy(worker.connect_limit);
        g_clear_pointer(&worker.connect_limit, g_source_unref);
        g_clear_object(&worker.connecting);
        worker.bus = g_dbus_connection_new_for_address_finish(result, &error);
        if (g_error_matches(error, G_IO_ERROR, G_IO_ERROR_CANCELLED)) {
                g_clear_error(&error);
                g_set_error_literal(&error, G_IO_ERROR, G_IO_ERROR_TIMED_OUT, "the system bus does not answer");
        }
        if (!worker.bus) {
                fail_waiting(error);
                return;
        }

        g_signal_connect(worker.bus, "closed", G_CALLBACK(on_bus_closed), NULL);
        watch_owner(worker.bus, attester_service.name);
        watch_owner(worker.bus, verifier_service.name);
        /* Unicast: the bus needs no match rule to deliver it. */
        (void) g_dbus_connection_signal_subscribe(worker.bus, NULL, attester_service.session, "Stale", NULL, NULL,
                                                  G_DBUS_SIGNAL_FLAGS_NO_MATCH_RULE, on_stale, NULL, NULL);
        transmit_waiting();
}

static gpointer run_worker(gpointer data) {
        g_autoptr(GMainLoop) loop = g_main_loop_new(worker.context, FALSE);

        (void) data;
        g_main_context_push_thread_default(worker.context);
        g_main_loop_run(loop); /* as long as the process */
        return NULL;
}

static gboolean start_worker(GError **error) {
        static gsize once;

        if (g_once_init_enter(&once)) {
                sigset_t all, before;

                worker.context = g_main_context_new();
                worker.sessions = g_hash_table_new(g_str_hash, g_str_equal);
                worker.pid = getpid();
                /* Signals are the application's. */
                (void) sigfillset(&all);
                (void) pthread_sigmask(SIG_SETMASK, &all, &before);
                g_thread_unref(g_thread_new("attestd-client", run_worker, NULL));
                (void) pthread_sigmask(SIG_SETMASK, &before, NULL);
                g_once_init_leave(&once, 1);
        }
        if (worker.pid == getpid())
                return TRUE;
        g_set_error_literal(error, ATTESTD_ERROR, ATTESTD_ERROR_SERVICE,
                            "forked after its first connection: only one of the two processes can have more");
        return FALSE;
}

/* What the application's thread asks for. */

static gboolean submit(gpointer data) {
        Call *call = data;

        if (is_closed(call->client)) {
                call_free(call);
                return G_SOURCE_REMOVE;
        }
        if (!call->may_retry && !call->remote->key) {
                fail_call(call, "the session that this belongs to was lost");
                return G_SOURCE_REMOVE;
        }
        g_queue_push_tail(&call->remote->calls, call);
        remote_go_on(call->remote);
        return G_SOURCE_REMOVE;
}

static void in_worker(GSourceFunc function, gpointer data) {
        g_autoptr(GSource) source = g_idle_source_new();

        g_source_set_priority(source, G_PRIORITY_DEFAULT);
        g_source_set_callback(source, function, data, NULL);
        (void) g_source_attach(source, worker.context);
}

static void free_secret(gpointer data) {
        GBytes *bytes = data;
        gsize size;
        const void *p = g_bytes_get_data(bytes, &size);

        att_cleanse((void *) (uintptr_t) p, size);
        g_bytes_unref(bytes);
}

/* GDBus copies it into its message; at least ours does not stay. */
static GVariant *secret_variant(const uint8_t *data, gsize size) {
        GBytes *copy = g_bytes_new(data, size);

        return g_variant_new_from_data(G_VARIANT_TYPE_BYTESTRING, g_bytes_get_data(copy, NULL), size, TRUE, free_secret,
                                       copy);
}

static void attest(AttServices *s, const uint8_t exported[ATT_EXPORTED_SIZE], GBytes *context, GBytes *public_key,
                   const char *profile, bool batch) {
        Client *c = (Client *) s;
        GVariantBuilder options;
        Call *call;

        g_variant_builder_init(&options, G_VARIANT_TYPE_VARDICT);
        g_variant_builder_add(&options, "{sv}", "profile", g_variant_new_string(profile));
        g_variant_builder_add(&options, "{sv}", "timeout_ms", g_variant_new_uint32(c->timeout_ms));
        if (batch)
                g_variant_builder_add(&options, "{sv}", "batch", g_variant_new_boolean(TRUE));
        call = call_new(&c->attester, "Attest",
                        g_variant_new("(@ay@ay@aya{sv})", secret_variant(exported, ATT_EXPORTED_SIZE),
                                      bytes_variant(context), bytes_variant(public_key), &options),
                        "(aya{sv})", ATT_EVENT_EVIDENCE, true);
        call->timeout_ms += LATER_MS;
        in_worker(submit, call);
}

static void create_request(AttServices *s, const char *profile, bool batch) {
        Client *c = (Client *) s;
        GVariantBuilder options;

        g_variant_builder_init(&options, G_VARIANT_TYPE_VARDICT);
        g_variant_builder_add(&options, "{sv}", "cmw_attestation", g_variant_new_uint16(c->code_point));
        g_variant_builder_add(&options, "{sv}", "profile", g_variant_new_string(profile));
        if (batch)
                g_variant_builder_add(&options, "{sv}", "batch", g_variant_new_boolean(TRUE));
        in_worker(submit, call_new(&c->verifier, "CreateRequest", g_variant_new("(a{sv})", &options), "(ayay)",
                                   ATT_EVENT_REQUEST, true));
}

static void validate(AttServices *s, GBytes *authenticator, const uint8_t exported[ATT_EXPORTED_SIZE],
                     const uint8_t *handshake_context, const uint8_t *finished_key) {
        Client *c = (Client *) s;
        GVariantBuilder options;

        g_variant_builder_init(&options, G_VARIANT_TYPE_VARDICT);
        g_variant_builder_add(&options, "{sv}", "handshake_context", secret_variant(handshake_context, c->hash_size));
        g_variant_builder_add(&options, "{sv}", "finished_key", secret_variant(finished_key, c->hash_size));
        /* Not to be made in a new session: it would not know the request. */
        in_worker(submit, call_new(&c->verifier, "Validate",
                                   g_variant_new("(@ay@aya{sv})", bytes_variant(authenticator),
                                                 secret_variant(exported, ATT_EXPORTED_SIZE), &options),
                                   "(ba{sv})", ATT_EVENT_VERDICT, false));
}

static gboolean submit_look(gpointer data) {
        Call *call = data;
        AttEvent *event;

        if (!call->remote->key || !call->remote->needs_no_logs)
                return submit(call);
        event = g_new0(AttEvent, 1);
        event->type = ATT_EVENT_LOGS;
        post(call->client, event);
        call_free(call);
        return G_SOURCE_REMOVE;
}

static void find_logs(AttServices *s) {
        in_worker(submit_look, look_new(&((Client *) s)->verifier));
}

static void post_error(Client *c, AttEventType type, const GError *why) {
        AttEvent *event = g_new0(AttEvent, 1);

        event->type = type;
        g_set_error(&event->error, ATTESTD_ERROR, ATTESTD_ERROR_SERVICE, "cannot pass a log on: %s", why->message);
        post(c, event);
}

static void add_log(AttServices *s, const char *log, GBytes *entries, const char *bank, uint64_t first) {
        Client *c = (Client *) s;
        g_autoptr(GUnixFDList) fds = g_unix_fd_list_new();
        g_autoptr(GError) error = NULL;
        att_autofd int fd = att_memfd_new("attestd-log", entries, &error);
        GVariantBuilder options;
        Call *call;

        if (fd < 0 || g_unix_fd_list_append(fds, fd, &error) < 0) {
                post_error(c, ATT_EVENT_ADDED, error);
                return;
        }
        g_variant_builder_init(&options, G_VARIANT_TYPE_VARDICT);
        if (*bank)
                g_variant_builder_add(&options, "{sv}", "bank", g_variant_new_string(bank));
        call = call_new(&c->verifier, "AddLog", g_variant_new("(sht@a{sv})", log, 0, first,
                                                              g_variant_builder_end(&options)),
                        "()", ATT_EVENT_ADDED, false);
        call->fds = g_steal_pointer(&fds);
        in_worker(submit, call);
}

static void get_log(AttServices *s, const char *log, uint64_t from) {
        Client *c = (Client *) s;
        Call *call = call_new(&c->attester, "GetLog", g_variant_new("(st)", log, from), "(htt)", ATT_EVENT_LOG, true);

        call->to = TO_SERVICE;
        in_worker(submit, call);
}

typedef struct Record {
        Client *client; /* a reference */
        GBytes *context;
} Record;

static gboolean record(gpointer data) {
        Record *job = data;
        Remote *r = &job->client->verifier;

        if (!is_closed(job->client)) {
                g_ptr_array_add(r->contexts, g_bytes_ref(job->context));
                if (r->key)
                        record_in_session(r, job->context);
        }
        g_bytes_unref(job->context);
        client_unref(job->client);
        g_free(job);
        return G_SOURCE_REMOVE;
}

static void record_context(AttServices *s, GBytes *context) {
        Record *job = g_new(Record, 1);

        job->client = client_ref((Client *) s);
        job->context = g_bytes_ref(context);
        in_worker(record, job);
}

static void close_remote(Remote *r) {
        Call *call;

        if (r->key)
                send_close(r->owner, r->service, r->path);
        forget_session(r);
        while ((call = g_queue_pop_head(&r->calls)))
                call_free(call);
}

static gboolean close_client(gpointer data) {
        Client *c = data;

        close_remote(&c->attester);
        close_remote(&c->verifier);
        client_unref(c);
        return G_SOURCE_REMOVE;
}

static void services_free(AttServices *s) {
        Client *c = (Client *) s;

        g_mutex_lock(&c->lock);
        c->is_closed = true;
        g_mutex_unlock(&c->lock);
        in_worker(close_client, c);
}

static const AttServicesOps dbus_ops = {
        .attest = attest,
        .create_request = create_request,
        .validate = validate,
        .find_logs = find_logs,
        .add_log = add_log,
        .get_log = get_log,
        .record_context = record_context,
        .next = next_event,
        .fd = event_fd,
        .free = services_free,
};

static GVariant *attester_parameters(const AttTransport *transport) {
        GVariantBuilder b;

        g_variant_builder_init(&b, G_VARIANT_TYPE_VARDICT);
        g_variant_builder_add(&b, "{sv}", "role", g_variant_new_string(att_role_name(transport->role)));
        g_variant_builder_add(&b, "{sv}", "hash", g_variant_new_string(att_hash_name(transport->hash)));
        return g_variant_ref_sink(g_variant_builder_end(&b));
}

static void add_peer(GVariantBuilder *b, const AttestdEndpoint *e, const AttTransport *transport) {
        if (e->anchors) {
                GVariantBuilder anchors;

                g_variant_builder_init(&anchors, G_VARIANT_TYPE_BYTESTRING_ARRAY);
                for (guint i = 0; i < e->anchors->len; i++)
                        g_variant_builder_add_value(&anchors, bytes_variant(e->anchors->pdata[i]));
                g_variant_builder_add(b, "{sv}", "peer_name", g_variant_new_string(e->peer_name));
                g_variant_builder_add(b, "{sv}", "trust_anchors", g_variant_builder_end(&anchors));
        } else if (transport->peer_key) {
                g_variant_builder_add(b, "{sv}", "handshake_key", bytes_variant(transport->peer_key));
        }
}

static GVariant *verifier_parameters(const AttestdEndpoint *e, const AttTransport *transport) {
        GVariantBuilder b;

        g_variant_builder_init(&b, G_VARIANT_TYPE_VARDICT);
        g_variant_builder_add(&b, "{sv}", "role", g_variant_new_string(att_role_name(att_role_other(transport->role))));
        g_variant_builder_add(&b, "{sv}", "hash", g_variant_new_string(att_hash_name(transport->hash)));
        if (e->policy_text)
                g_variant_builder_add(&b, "{sv}", "policy_text", g_variant_new_string(e->policy_text));
        else if (e->policy)
                g_variant_builder_add(&b, "{sv}", "policy", g_variant_new_string(e->policy));
        add_peer(&b, e, transport);
        if (e->spki)
                g_variant_builder_add(&b, "{sv}", "local_key", bytes_variant(e->spki));
        return g_variant_ref_sink(g_variant_builder_end(&b));
}

AttServices *att_services_new(AttestdEndpoint *endpoint, const AttTransport *transport, GError **error) {
        Client *c;
        int fd;

        if (!start_worker(error))
                return NULL;
        fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        if (fd < 0) {
                g_set_error(error, ATTESTD_ERROR, ATTESTD_ERROR_SERVICE, "cannot make an eventfd: %s",
                            g_strerror(errno));
                return NULL;
        }

        c = g_new0(Client, 1);
        c->base.ops = &dbus_ops;
        g_atomic_ref_count_init(&c->refs);
        c->timeout_ms = endpoint->timeout_ms;
        c->patience_ms = endpoint->patience_ms;
        c->code_point = endpoint->code_point;
        c->hash_size = att_hash_size(transport->hash);
        c->event_fd = fd;
        g_mutex_init(&c->lock);
        c->attester = (Remote) {
                .client = c,
                .service = &attester_service,
                .parameters = attester_parameters(transport),
        };
        c->verifier = (Remote) {
                .client = c,
                .service = &verifier_service,
                .parameters = verifier_parameters(endpoint, transport),
                .contexts = g_ptr_array_new_with_free_func((GDestroyNotify) g_bytes_unref),
        };
        return &c->base;
}
