/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Both services by GDBus: attestd-verifier over the system bus, attestd over its direct
 * socket if it serves us there, else over the bus as well. One thread of ours does the
 * calls of all connections of the process; what it learns goes into a mailbox for each
 * connection, whose descriptor wakes the application's own loop. */
#include "lib/services.h"

#include "codec/frame.h"
#include "crypto/digest.h"
#include "lib/answer.h"
#include "lib/link.h"
#include "util/error.h"
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
/* Straight to attestd there is no such limit, and the more wait at once the more share
 * a report. */
#define DIRECT_CALLS_MAX 16384u
#define DIRECT_SOCKET "unix:path=/run/attestd/bus"
/* It answers at once or, while attestd is being started, a little later. */
#define DIRECT_CONNECT_MS 3000u
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

/* A service, as it is reached: one process that answers. */
typedef struct Peer {
        guint refs;
        AttLink *link;
        char *name;           /* unique one on the bus; NULL: direct */
        GHashTable *sessions; /* of Remote, by their path */
        AttSharedParts parts;
} Peer;

/* A session at one service. Opened when first needed, and anew after it was lost. */
typedef struct Remote {
        Client *client;
        const Service *service;
        GVariant *parameters; /* verifier: of OpenSession; NULL: nothing was asked of it yet */

        /* in our thread only */
        Peer *peer;       /* borrowed; NULL: there is no session */
        char *path;
        guint n_sessions; /* it has had */
        bool is_opening;  /* one; with a peer: to move to it */
        bool by_bus;      /* attester: refused directly, until the session is lost */
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
        const AttestdEndpoint *endpoint; /* borrowed: for the application's thread alone */
        guint timeout_ms;
        guint patience_ms;
        AttRole role;
        AttHash hash;
        GBytes *peer_key; /* (nullable) */
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
        bool is_detour; /* it was lost with the direct link: made again over the bus */
        bool may_retry; /* it stands for itself, in a new session too */
        bool is_ahead;  /* nobody waits for it */
        bool is_split;  /* Attest: asked with "split" */
        bool by_bus;    /* to any instance of the service, over the system bus; or opens its session there */

        struct Lane *lane;  /* since it was sent */
        Peer *peer;         /* a reference; NULL: it opens a session, or goes to any instance */
        guint in_session;   /* its remote's n_sessions then */
        gint64 deadline_us; /* direct */
        GList link;         /* direct: of those that are under way */
        bool is_given_up;   /* and nobody waits for it any more */
} Call;

/* Calls to one service over one link, of all connections. */
typedef struct Lane {
        AttLink *link;
        guint max, under_way;
        GQueue waiting; /* of Call: for the link, or for others to be answered */
} Lane;

/* Sessions of a service that is not there: looked for by one of them at a time. */
typedef struct Absence {
        GQueue waiting; /* of Call: OpenSession */
        GSource *look;  /* NULL: nobody waits */
        GError *why;
} Absence;

/* Our thread, and what only it touches. */
static struct {
        GMainContext *context;
        pid_t pid;

        GSource *jobs_source;
        GMutex jobs_lock;
        GQueue jobs; /* of Job */

        AttLink bus, direct;
        Lane attester, verifier, direct_attester;
        Absence no_attester, no_verifier;
        bool is_transmitting;
        GHashTable *peers; /* of Peer, on the bus, by their names */
        Peer *direct_peer; /* NULL: there is none */

        GQueue under_way;       /* of Call, by their link: direct */
        GSource *sweep;         /* for those that are not answered; NULL: there are none */
        gint64 heard_us;        /* from the direct link */
} worker = {
        .bus.name = "the system bus",
        .direct = { .name = "the direct socket of attestd", .is_direct = true },
        .attester = { .link = &worker.bus, .max = ATTESTER_CALLS_MAX },
        .verifier = { .link = &worker.bus, .max = VERIFIER_CALLS_MAX },
        .direct_attester = { .link = &worker.direct, .max = DIRECT_CALLS_MAX },
};

static const char *direct_address = DIRECT_SOCKET;

/* The mailbox. */

static Client *client_ref(Client *c) {
        g_atomic_ref_count_inc(&c->refs);
        return c;
}

static void client_unref(Client *c) {
        if (!g_atomic_ref_count_dec(&c->refs))
                return;
        g_clear_pointer(&c->verifier.parameters, g_variant_unref);
        g_clear_pointer(&c->verifier.contexts, g_ptr_array_unref);
        g_clear_pointer(&c->peer_key, g_bytes_unref);
        g_queue_clear_full(&c->events, (GDestroyNotify) att_event_free);
        g_mutex_clear(&c->lock);
        close(c->event_fd);
        g_free(c);
}

/* The descriptor is readable as long as there is an event: the first one sees to it. */
static void post(Client *c, AttEvent *event) {
        g_mutex_lock(&c->lock);
        if (c->is_closed) {
                att_event_free(event);
        } else {
                if (g_queue_is_empty(&c->events))
                        (void) eventfd_write(c->event_fd, 1); /* never full: it was read to 0 */
                g_queue_push_tail(&c->events, event);
        }
        g_mutex_unlock(&c->lock);
}

static AttEvent *next_event(AttServices *s) {
        Client *c = (Client *) s;
        AttEvent *event;
        eventfd_t count;

        g_mutex_lock(&c->lock);
        event = g_queue_pop_head(&c->events);
        if (event && g_queue_is_empty(&c->events))
                (void) eventfd_read(c->event_fd, &count);
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

static void peer_unref(Peer *p) {
        if (!p || --p->refs > 0)
                return;
        g_hash_table_unref(p->sessions);
        att_shared_parts_clear(&p->parts);
        g_free(p->name);
        g_free(p);
}

static void call_free(Call *call) {
        g_variant_unref(call->arguments);
        peer_unref(call->peer);
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

/* Sessions, in our thread. */

static void transmit(Call *call);
static void remote_go_on(Remote *r);

static Peer *peer_new(AttLink *link, const char *name) {
        Peer *p = g_new0(Peer, 1);

        p->refs = 1;
        p->link = link;
        p->name = g_strdup(name);
        p->sessions = g_hash_table_new(g_str_hash, g_str_equal);
        return p;
}

/* @name: NULL: direct. Returns: borrowed */
static Peer *get_peer(AttLink *link, const char *name) {
        Peer *p;

        if (link->is_direct) {
                if (!worker.direct_peer)
                        worker.direct_peer = peer_new(link, NULL);
                return worker.direct_peer;
        }
        p = g_hash_table_lookup(worker.peers, name);
        if (!p) {
                p = peer_new(link, name);
                g_hash_table_insert(worker.peers, p->name, p);
        }
        return p;
}

static void forget_session(Remote *r) {
        if (!r->peer)
                return;
        g_hash_table_remove(r->peer->sessions, r->path);
        g_clear_pointer(&r->peer, peer_unref);
        g_clear_pointer(&r->path, g_free);
        r->needs_no_logs = r->has_boot_log = false;
}

/* Loss of attestd is a change: nobody would tell of one any more. */
static void lose_session(Remote *r) {
        if (!r->peer)
                return;
        r->by_bus = false;
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

static void lose_sessions(Peer *p) {
        g_autoptr(GPtrArray) lost = g_ptr_array_sized_new(g_hash_table_size(p->sessions));
        GHashTableIter iter;
        gpointer value;

        g_hash_table_iter_init(&iter, p->sessions);
        while (g_hash_table_iter_next(&iter, NULL, &value))
                g_ptr_array_add(lost, value);
        for (guint i = 0; i < lost->len; i++)
                lose_session(lost->pdata[i]);
}

/* @name: NULL: direct. It is gone; another may have the same name, and other shared parts. */
static void lose_peer(const char *name) {
        Peer *p = name ? g_hash_table_lookup(worker.peers, name) : worker.direct_peer;

        if (!p)
                return;
        if (name)
                g_hash_table_steal(worker.peers, name);
        else
                worker.direct_peer = NULL;
        lose_sessions(p);
        peer_unref(p);
}

static void send_close(const Peer *p, const Service *service, const char *path) {
        g_autoptr(GDBusMessage) message = g_dbus_message_new_method_call(p->name, path, service->session, "Close");

        if (!p->link->bus)
                return;
        g_dbus_message_set_flags(message, G_DBUS_MESSAGE_FLAGS_NO_REPLY_EXPECTED);
        (void) g_dbus_connection_send_message(p->link->bus, message, G_DBUS_SEND_MESSAGE_FLAGS_NONE, NULL, NULL);
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
        call->link.data = call;
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

static GVariant *attester_parameters(const Client *c) {
        GVariantBuilder b;

        g_variant_builder_init(&b, G_VARIANT_TYPE_VARDICT);
        g_variant_builder_add(&b, "{sv}", "role", g_variant_new_string(att_role_name(c->role)));
        g_variant_builder_add(&b, "{sv}", "hash", g_variant_new_string(att_hash_name(c->hash)));
        return g_variant_builder_end(&b);
}

static void transmit_calls(Remote *r) {
        Call *call;

        while ((call = g_queue_pop_head(&r->calls)))
                transmit(call);
}

static Lane *lane_to_open(Remote *r);

/* Where many more calls may be under way, now that there is new evidence to come: what
 * the session knows of the last is of no use any more. */
static bool is_to_move(Remote *r, const Call *next) {
        return next->answer == ATT_EVENT_EVIDENCE && !next->is_retried && !r->peer->link->is_direct &&
               lane_to_open(r)->link->is_direct;
}

/* Opens a session, or makes the calls that wait for it. */
static void remote_go_on(Remote *r) {
        const Call *next = g_queue_peek_head(&r->calls);
        GVariant *parameters;
        Call *call;

        if (r->is_opening || !next)
                return;
        if (r->peer && !is_to_move(r, next)) {
                transmit_calls(r);
                return;
        }
        r->is_opening = true;
        parameters = r->parameters ? r->parameters : attester_parameters(r->client);
        call = call_new(r, NULL, g_variant_new("(@a{sv})", parameters), "(o)", ATT_EVENT_FAILED, true);
        call->by_bus = next->is_detour;
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
        if (r->peer) { /* it does not move */
                transmit_calls(r);
                return;
        }
        while ((waiting = g_queue_pop_head(&r->calls)))
                fail_call(waiting, message);
}

static void end_absence(const Service *service);

static void take_session(Call *call, GDBusMessage *reply, GVariant *body) {
        const char *name = g_dbus_message_get_sender(reply), *path;
        AttLink *link = call->lane->link;
        Remote *r = call->remote;
        Peer *p;

        if (!link->bus || (!name && !link->is_direct)) {
                fail_session(call, "not on a message bus");
                return;
        }
        g_variant_get(body, "(&o)", &path);
        p = get_peer(link, link->is_direct ? NULL : name);
        if (g_hash_table_contains(p->sessions, path)) {
                fail_session(call, "a session that is another connection's");
                return;
        }
        r->is_opening = false;
        r->until_us = 0;
        end_absence(r->service);
        if (is_closed(call->client)) {
                send_close(p, r->service, path);
                return;
        }
        if (r->peer)
                send_close(r->peer, r->service, r->path);
        forget_session(r);
        p->refs++;
        r->peer = p;
        r->path = g_strdup(path);
        r->n_sessions++;
        g_hash_table_insert(p->sessions, r->path, r);
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

static Absence *absence_of(const Service *service) {
        return service == &attester_service ? &worker.no_attester : &worker.no_verifier;
}

static void fail_open(Call *call, const GError *error) {
        g_autoptr(GError) copy = g_error_copy(error);
        g_autofree char *text = error_text(copy);

        fail_session(call, text);
        call_free(call);
}

/* One looks for all; those who have waited long enough are told. */
static gboolean look_again(gpointer data) {
        Absence *absence = data;
        gint64 now = g_get_monotonic_time();
        GQueue waiting = absence->waiting;
        g_autoptr(GError) why = g_error_copy(absence->why);
        Call *call, *scout = NULL;

        g_queue_init(&absence->waiting);
        while ((call = g_queue_pop_head(&waiting)))
                if (is_closed(call->client))
                        call_free(call);
                else if (!scout)
                        scout = call;
                else if (now >= call->remote->until_us)
                        fail_open(call, why);
                else
                        g_queue_push_tail(&absence->waiting, call);
        if (g_queue_is_empty(&absence->waiting))
                g_clear_pointer(&absence->look, g_source_unref);
        if (scout)
                transmit(scout);
        return absence->look ? G_SOURCE_CONTINUE : G_SOURCE_REMOVE;
}

/* For a service that was there: it is being started again, or its bus is. */
static bool wait_for_service(Call *call, const GError *why) {
        Absence *absence = absence_of(call->remote->service);

        if (is_closed(call->client) || g_get_monotonic_time() >= call->remote->until_us)
                return false;
        call->by_bus = false;
        g_clear_error(&absence->why);
        absence->why = g_error_copy(why);
        g_queue_push_tail(&absence->waiting, call);
        if (!absence->look) {
                absence->look = g_timeout_source_new(LOOK_AGAIN_MS);
                g_source_set_callback(absence->look, look_again, absence, NULL);
                (void) g_source_attach(absence->look, worker.context);
        }
        return true;
}

/* It is there again. */
static void end_absence(const Service *service) {
        Absence *absence = absence_of(service);
        GQueue waiting = absence->waiting;
        Call *call;

        if (!absence->look)
                return;
        g_queue_init(&absence->waiting);
        g_source_destroy(absence->look);
        g_clear_pointer(&absence->look, g_source_unref);
        while ((call = g_queue_pop_head(&waiting)))
                transmit(call);
}

static bool is_refusal(const GError *error) {
        g_autofree char *name = g_dbus_error_get_remote_error(error);

        return g_strcmp0(name, "org.attestd.Error.NotAuthorized") == 0;
}

/* Straight to attestd less may be had: nobody is asked there. Returns: false: it is an answer */
static bool go_by_bus(Call *call, const GError *error) {
        if (!call->lane || !call->lane->link->is_direct || !is_refusal(error))
                return false;
        if (is_open_session(call))
                call->remote->by_bus = true;
        else if (call->to == TO_SERVICE)
                call->by_bus = true;
        else
                return false;
        if (is_open_session(call) && call->remote->peer)
                return false; /* it is there already */
        transmit(call);
        return true;
}

/* Again, in a session of its own: a context is used once in each. */
static void try_again(Call *call) {
        call->is_retried = true;
        if (is_open_session(call)) {
                transmit(call);
        } else {
                g_queue_push_head(&call->remote->calls, call);
                remote_go_on(call->remote);
        }
}

static void on_failed(Call *call, GError *error) {
        g_autofree char *text = NULL, *name = NULL;
        bool lost = is_loss(error) || (call->lane && !call->lane->link->bus);

        if (go_by_bus(call, error))
                return;
        if (lost && !is_open_session(call) && !call->by_bus && call->in_session == call->remote->n_sessions)
                lose_session(call->remote);
        if (is_open_session(call) && call->remote->peer) { /* it does not move */
                fail_session(call, error->message);
                call_free(call);
                return;
        }
        if (lost && call->may_retry && !call->is_retried && !is_closed(call->client)) {
                call->is_detour = call->lane && call->lane->link->is_direct;
                call->by_bus = call->by_bus || (call->is_detour && is_open_session(call));
                try_again(call);
                return;
        }
        if (lost && is_open_session(call) && wait_for_service(call, error))
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
        next->by_bus = call->by_bus;
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

/* Attest is asked once more, for evidence in one piece. */
static void ask_for_whole(Call *call) {
        g_autoptr(GVariant) arguments = g_steal_pointer(&call->arguments), options = NULL;
        g_autoptr(GVariant) exported = NULL, context = NULL, public_key = NULL;
        g_auto(GVariantDict) dict = G_VARIANT_DICT_INIT(NULL);
        Remote *r = call->remote;

        g_variant_get(arguments, "(@ay@ay@ay@a{sv})", &exported, &context, &public_key, &options);
        g_variant_dict_init(&dict, options);
        (void) g_variant_dict_remove(&dict, "split");
        call->arguments = g_variant_ref_sink(g_variant_new("(@ay@ay@ay@a{sv})", exported, context, public_key,
                                                           g_variant_dict_end(&dict)));
        call->is_split = false;
        if (r->peer && call->in_session == r->n_sessions)
                send_close(r->peer, r->service, r->path);
        if (call->in_session == r->n_sessions)
                lose_session(r);
        try_again(call);
}

/* Returns: %FALSE: it is not over */
static bool take_answer(Call *call, GDBusMessage *reply) {
        g_autoptr(AttEvent) event = g_new0(AttEvent, 1);
        g_autoptr(GError) error = NULL;

        event->type = call->answer;
        if (!att_answer_read(call->peer ? &call->peer->parts : NULL, reply, event, &error)) {
                if (call->is_split && !call->is_retried && !is_closed(call->client) &&
                    g_error_matches(error, ATT_ERROR, ATT_ERROR_FAILED)) {
                        ask_for_whole(call);
                        return false;
                }
                post_failure(call, error->message);
                return true;
        }
        if (event->type == ATT_EVENT_EVIDENCE && call->in_session == call->remote->n_sessions)
                call->remote->given = event->state;
        if (event->type == ATT_EVENT_LOGS) {
                call->remote->needs_no_logs = !event->logs || !*event->logs;
                if (event->logs && call->remote->has_boot_log)
                        leave_out_boot(event->logs);
        }
        if (call->is_ahead)
                return true;
        if (event->type == ATT_EVENT_ADDED && g_str_equal(log_of(call), ATT_LOG_BOOT))
                call->remote->has_boot_log = true;
        if (event->type == ATT_EVENT_LOG) {
                if (g_str_equal(log_of(call), ATT_LOG_IMA)) {
                        find_bank(call, g_steal_pointer(&event));
                        return true;
                }
                event->bank = g_strdup(g_str_equal(log_of(call), ATT_LOG_BOOT) ? "" : "sha384");
        }
        post(call->client, g_steal_pointer(&event));
        return true;
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
        } else if (!take_answer(call, reply)) {
                (void) g_steal_pointer(&call);
        }
}

static void transmit_waiting(void);

static Lane *lane_to_open(Remote *r) {
        AttLink *direct = &worker.direct;

        if (r->service != &attester_service)
                return &worker.verifier;
        if (r->by_bus)
                return &worker.attester;
        if (!direct->bus && !att_link_is_connecting(direct) && att_link_is_promising(direct))
                att_link_connect(direct, MIN(r->client->timeout_ms, DIRECT_CONNECT_MS));
        return direct->bus || (att_link_is_connecting(direct) && !att_link_is_slow(direct)) ?
                       &worker.direct_attester : &worker.attester;
}

/* Which way it goes. A session's calls go where the session is. */
static Lane *lane_of(const Call *call) {
        Remote *r = call->remote;

        if (call->by_bus)
                return &worker.attester;
        if (is_open_session(call))
                return lane_to_open(r);
        if (r->service != &attester_service)
                return &worker.verifier;
        return r->peer && r->peer->link->is_direct ? &worker.direct_attester : &worker.attester;
}

/* Under way on the direct link: it has no limit of their number, and a source for each
 * that waits would be looked at with every event. So one looks at all, when the first
 * can have run out. */

static gboolean sweep(gpointer data);

static void sweep_at(gint64 deadline_us) {
        if (!worker.sweep) {
                worker.sweep = g_timeout_source_new(0);
                g_source_set_callback(worker.sweep, sweep, NULL, NULL);
                g_source_set_ready_time(worker.sweep, deadline_us);
                (void) g_source_attach(worker.sweep, worker.context);
        } else if (deadline_us < g_source_get_ready_time(worker.sweep)) {
                g_source_set_ready_time(worker.sweep, deadline_us);
        }
}

static void put_under_way(Call *call) {
        call->deadline_us = g_get_monotonic_time() + (gint64) call->timeout_ms * 1000;
        g_queue_push_tail_link(&worker.under_way, &call->link);
        sweep_at(call->deadline_us);
}

static void take_off_way(Call *call) {
        g_queue_unlink(&worker.under_way, &call->link);
        if (g_queue_is_empty(&worker.under_way) && worker.sweep) {
                g_source_destroy(worker.sweep);
                g_clear_pointer(&worker.sweep, g_source_unref);
        }
}

/* Its answer may still come: the call stays until then, and its place is taken. */
static void give_up(Call *call) {
        take_off_way(call);
        call->is_given_up = true;
        if (is_open_session(call))
                fail_session(call, "no answer in time");
        else
                post_failure(call, "no answer in time");
}

static gboolean sweep(gpointer data) {
        gint64 now = g_get_monotonic_time(), next = G_MAXINT64;
        GList *next_link;

        (void) data;
        for (GList *link = worker.under_way.head; link; link = next_link) {
                Call *call = link->data;
                gint64 sent_us = call->deadline_us - (gint64) call->timeout_ms * 1000;

                next_link = link->next;
                if (call->deadline_us > now) {
                        next = MIN(next, call->deadline_us);
                } else if (worker.heard_us < sent_us) {
                        /* Not a word in all that time: those under way come to know it by the loss, a
                         * little later, and are not to be taken for calls on the next connection. */
                        g_source_set_ready_time(worker.sweep, now + G_USEC_PER_SEC);
                        att_link_drop(&worker.direct, "attestd does not answer");
                        return G_SOURCE_CONTINUE;
                } else {
                        give_up(call);
                }
        }
        if (worker.sweep)
                g_source_set_ready_time(worker.sweep, next);
        return G_SOURCE_CONTINUE;
}

/* What it brings others is taken, and what it brings nobody is closed. */
static void take_late(Call *call, GDBusMessage *reply) {
        GVariant *body = reply ? g_dbus_message_get_body(reply) : NULL;
        g_autoptr(AttEvent) event = g_new0(AttEvent, 1);
        const char *path;

        if (!body || !g_variant_is_of_type(body, G_VARIANT_TYPE(call->reply)))
                return;
        event->type = call->answer;
        if (call->answer == ATT_EVENT_EVIDENCE) {
                (void) !att_answer_read(&call->peer->parts, reply, event, NULL); /* an Attest has one */
        } else if (is_open_session(call)) {
                g_variant_get(body, "(&o)", &path);
                send_close(get_peer(call->lane->link, NULL), call->remote->service, path);
        }
}

static void on_reply(GObject *bus, GAsyncResult *result, gpointer data) {
        g_autoptr(GError) error = NULL;
        g_autoptr(GDBusMessage) reply =
                g_dbus_connection_send_message_with_reply_finish(G_DBUS_CONNECTION(bus), result, &error);
        Call *call = data;
        bool is_good = reply && !g_dbus_message_to_gerror(reply, &error);
        AttLink *link = call->lane->link;

        call->lane->under_way--;
        if (link->is_direct) {
                if (reply)
                        worker.heard_us = g_get_monotonic_time();
                if (!call->is_given_up)
                        take_off_way(call);
                /* It is told of the loss itself a little later, and would not take what is tried again. */
                if (link->bus && g_dbus_connection_is_closed(link->bus))
                        att_link_drop(link, "the connection was closed");
        }
        if (call->is_given_up) {
                take_late(call, is_good ? reply : NULL);
                call_free(call);
        } else if (!is_good) {
                on_failed(call, error);
        } else {
                on_answered(call, reply);
        }
        transmit_waiting();
}

static GDBusMessage *call_message(const Call *call) {
        const Remote *r = call->remote;
        const Service *service = r->service;
        bool is_direct = call->lane->link->is_direct;
        const char *path = call->to == TO_SESSION || call->to == TO_SESSION_PROPERTIES ? r->path : service->path;
        const char *interface = call->to == TO_SESSION ? service->session :
                                call->to == TO_SERVICE ? service->name : PROPERTIES;
        const char *name = is_direct ? NULL : call->peer ? call->peer->name : service->name;
        GDBusMessage *message =
                is_open_session(call) ?
                        g_dbus_message_new_method_call(name, service->path, service->name, "OpenSession") :
                        g_dbus_message_new_method_call(name, path, interface, call->member);

        g_dbus_message_set_body(message, call->arguments);
        if (call->fds)
                g_dbus_message_set_unix_fd_list(message, call->fds);
        return message;
}

static void send_call(Lane *lane, Call *call) {
        g_autoptr(GDBusMessage) message = NULL;
        bool is_direct = lane->link->is_direct;

        g_clear_pointer(&call->peer, peer_unref);
        call->lane = lane;
        call->in_session = call->remote->n_sessions;
        if (!is_open_session(call) && !call->by_bus) {
                call->peer = call->remote->peer;
                call->peer->refs++;
        }
        message = call_message(call);
        lane->under_way++;
        if (is_direct)
                put_under_way(call);
        g_dbus_connection_send_message_with_reply(lane->link->bus, message, G_DBUS_SEND_MESSAGE_FLAGS_NONE,
                                                  is_direct ? G_MAXINT : (int) call->timeout_ms, NULL, NULL, on_reply,
                                                  call);
}

/* Those that wait now: what they make of it may wait for the next attempt. */
static void fail_lane(Lane *lane, const GError *error) {
        GQueue waiting = lane->waiting;
        Call *call;

        g_queue_init(&lane->waiting);
        while ((call = g_queue_pop_head(&waiting))) {
                g_autoptr(GError) copy = g_error_copy(error);

                call->lane = lane;
                on_failed(call, copy);
        }
}

/* Returns: there was one */
static bool transmit_lane(Lane *lane) {
        bool any = false;

        while (lane->link->bus && lane->under_way < lane->max && !g_queue_is_empty(&lane->waiting)) {
                Call *call = g_queue_pop_head(&lane->waiting);

                any = true;
                if (is_closed(call->client)) {
                        call_free(call);
                } else if (!is_open_session(call) && !call->by_bus && call->remote->peer &&
                           call->remote->peer->link != lane->link) { /* it moved */
                        g_queue_push_tail(&lane_of(call)->waiting, call);
                } else if (!is_open_session(call) && !call->by_bus && !call->remote->peer) { /* lost while it waited */
                        g_autoptr(GError) error = g_error_new_literal(G_IO_ERROR, G_IO_ERROR_CLOSED,
                                                                      "the session was lost");

                        on_failed(call, error);
                } else {
                        send_call(lane, call);
                }
        }
        return any;
}

/* A call that cannot be sent any more may bring another of any lane: the loop gets to
 * that too, where calling each other would take a stack as deep as the crowd is large. */
static void transmit_waiting(void) {
        Call *call;
        bool any;

        if (worker.is_transmitting)
                return;
        worker.is_transmitting = true;
        do {
                any = transmit_lane(&worker.direct_attester);
                any = transmit_lane(&worker.attester) || any; /* which may bring calls of the one before */
                any = transmit_lane(&worker.verifier) || any;
        } while (any);
        worker.is_transmitting = false;
        call = g_queue_peek_head(&worker.attester.waiting);
        if (!call)
                call = g_queue_peek_head(&worker.verifier.waiting);
        if (!worker.bus.bus && call)
                att_link_connect(&worker.bus, MIN(call->timeout_ms, CONNECT_MS));
}

static void transmit(Call *call) {
        g_queue_push_tail(&lane_of(call)->waiting, call);
        transmit_waiting();
}

/* The links, in our thread. */

static void on_owner_changed(GDBusConnection *bus, const char *sender, const char *path, const char *interface,
                             const char *signal, GVariant *arguments, gpointer data) {
        const char *name, *before, *after;
        const Service *service = data;

        (void) bus, (void) sender, (void) path, (void) interface, (void) signal;
        if (!g_variant_is_of_type(arguments, G_VARIANT_TYPE("(sss)")))
                return;
        g_variant_get(arguments, "(&s&s&s)", &name, &before, &after);
        if (*before)
                lose_peer(before);
        if (*after && service == &attester_service)
                att_link_forgive(&worker.direct);
        if (*after)
                end_absence(service);
}

/* Only the service that has the session can tell of it: it is looked for among those of
 * the sender. */
static void on_stale(GDBusConnection *bus, const char *sender, const char *path, const char *interface,
                     const char *signal, GVariant *arguments, gpointer data) {
        AttLink *link = data;
        Peer *p = link->is_direct ? worker.direct_peer : sender ? g_hash_table_lookup(worker.peers, sender) : NULL;
        Remote *r = p ? g_hash_table_lookup(p->sessions, path) : NULL;
        g_auto(GStrv) reasons = NULL;
        AttEvent *event;

        (void) interface, (void) signal;
        if (bus != link->bus || !r || r != &r->client->attester ||
            !g_variant_is_of_type(arguments, G_VARIANT_TYPE("(tas)")))
                return;
        if (link->is_direct)
                worker.heard_us = g_get_monotonic_time();
        event = g_new0(AttEvent, 1);
        event->type = ATT_EVENT_STALE;
        event->state = r->given;
        g_variant_get(arguments, "(t^as)", &event->state.generation, &reasons);
        event->reasons = att_answer_plain_texts(reasons);
        post(r->client, event);
}

static void watch_owner(GDBusConnection *bus, const Service *service) {
        (void) g_dbus_connection_signal_subscribe(bus, "org.freedesktop.DBus", "org.freedesktop.DBus",
                                                  "NameOwnerChanged", "/org/freedesktop/DBus", service->name,
                                                  G_DBUS_SIGNAL_FLAGS_NONE, on_owner_changed, (gpointer) service,
                                                  NULL);
}

static void on_up(AttLink *link) {
        /* Of all sessions at once. Unicast: the bus needs no match rule to deliver it. */
        (void) g_dbus_connection_signal_subscribe(link->bus, NULL, attester_service.session, "Stale", NULL, NULL,
                                                  G_DBUS_SIGNAL_FLAGS_NO_MATCH_RULE, on_stale, link, NULL);
        if (!link->is_direct) {
                watch_owner(link->bus, &attester_service);
                watch_owner(link->bus, &verifier_service);
        }
        transmit_waiting();
}

static void lose_all_peers(void) {
        g_autofree gpointer *names = g_hash_table_get_keys_as_array(worker.peers, NULL);

        for (gpointer *name = names; *name; name++)
                lose_peer(*name);
}

static void on_bus_down(AttLink *link, const GError *why) {
        (void) link;
        lose_all_peers();
        fail_lane(&worker.attester, why);
        fail_lane(&worker.verifier, why);
        transmit_waiting();
}

/* Who waited to open a session may do it over the bus. */
static void on_direct_down(AttLink *link, const GError *why) {
        GQueue waiting = worker.direct_attester.waiting;
        Call *call;

        (void) link;
        lose_peer(NULL);
        g_queue_init(&worker.direct_attester.waiting);
        while ((call = g_queue_pop_head(&waiting))) {
                g_autoptr(GError) copy = g_error_new_literal(G_IO_ERROR, G_IO_ERROR_CLOSED, why->message);

                if (is_open_session(call) && !call->remote->peer) {
                        transmit(call);
                } else {
                        call->lane = &worker.direct_attester;
                        on_failed(call, copy);
                }
        }
        transmit_waiting();
}

static const AttLinkHandler bus_handler = { .up = on_up, .down = on_bus_down };
static const AttLinkHandler direct_handler = { .up = on_up, .down = on_direct_down };

/* Jobs of the applications' threads. */

typedef struct Job {
        void (*run)(gpointer data);
        gpointer data;
} Job;

static gboolean run_jobs(GSource *source, GSourceFunc callback, gpointer data) {
        GQueue jobs;
        Job *job;

        (void) callback, (void) data;
        g_source_set_ready_time(source, -1);
        g_mutex_lock(&worker.jobs_lock);
        jobs = worker.jobs;
        g_queue_init(&worker.jobs);
        g_mutex_unlock(&worker.jobs_lock);
        while ((job = g_queue_pop_head(&jobs))) {
                job->run(job->data);
                g_free(job);
        }
        return G_SOURCE_CONTINUE;
}

/* One source for all: a source for each job would cost more than most jobs. */
static void in_worker(void (*run)(gpointer data), gpointer data) {
        Job *job = g_new(Job, 1);

        *job = (Job) { run, data };
        g_mutex_lock(&worker.jobs_lock);
        if (g_queue_is_empty(&worker.jobs))
                g_source_set_ready_time(worker.jobs_source, 0);
        g_queue_push_tail(&worker.jobs, job);
        g_mutex_unlock(&worker.jobs_lock);
}

static gpointer run_worker(gpointer data) {
        g_autoptr(GMainLoop) loop = g_main_loop_new(worker.context, FALSE);

        (void) data;
        g_main_context_push_thread_default(worker.context);
        g_main_loop_run(loop); /* as long as the process */
        return NULL;
}

static void look_elsewhere(gpointer data) {
        g_free(worker.direct.address);
        worker.direct.address = g_strdup(data);
        att_link_drop(&worker.direct, "there is another");
        att_link_forgive(&worker.direct);
}

void att_services_look_at(const char *address) {
        direct_address = address;
        if (worker.context)
                in_worker(look_elsewhere, (gpointer) address);
}

static gboolean start_worker(GError **error) {
        static GSourceFuncs job_functions = { .dispatch = run_jobs };
        static gsize once;

        if (g_once_init_enter(&once)) {
                sigset_t all, before;

                worker.context = g_main_context_new();
                worker.peers = g_hash_table_new(g_str_hash, g_str_equal);
                worker.bus.context = worker.direct.context = worker.context;
                worker.bus.handler = &bus_handler;
                worker.direct.handler = &direct_handler;
                worker.direct.address = g_strdup(direct_address);
                worker.jobs_source = g_source_new(&job_functions, sizeof(GSource));
                (void) g_source_attach(worker.jobs_source, worker.context);
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

static void submit(gpointer data) {
        Call *call = data;

        if (is_closed(call->client)) {
                call_free(call);
        } else if (!call->may_retry && !call->remote->peer) {
                fail_call(call, "the session that this belongs to was lost");
        } else {
                g_queue_push_tail(&call->remote->calls, call);
                remote_go_on(call->remote);
        }
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
        g_variant_builder_add(&options, "{sv}", "split", g_variant_new_boolean(TRUE));
        call = call_new(&c->attester, "Attest",
                        g_variant_new("(@ay@ay@aya{sv})", secret_variant(exported, ATT_EXPORTED_SIZE),
                                      bytes_variant(context), bytes_variant(public_key), &options),
                        "(aya{sv})", ATT_EVENT_EVIDENCE, true);
        call->timeout_ms += LATER_MS;
        call->is_split = true;
        in_worker(submit, call);
}

/* What the verifier is to know of this connection: most of those who only give never ask it. */
static void add_peer(GVariantBuilder *b, const Client *c) {
        const AttestdEndpoint *e = c->endpoint;

        if (e->anchors) {
                GVariantBuilder anchors;

                g_variant_builder_init(&anchors, G_VARIANT_TYPE_BYTESTRING_ARRAY);
                for (guint i = 0; i < e->anchors->len; i++)
                        g_variant_builder_add_value(&anchors, bytes_variant(e->anchors->pdata[i]));
                g_variant_builder_add(b, "{sv}", "peer_name", g_variant_new_string(e->peer_name));
                g_variant_builder_add(b, "{sv}", "trust_anchors", g_variant_builder_end(&anchors));
        } else if (c->peer_key) {
                g_variant_builder_add(b, "{sv}", "handshake_key", bytes_variant(c->peer_key));
        }
}

static GVariant *verifier_parameters(const Client *c) {
        const AttestdEndpoint *e = c->endpoint;
        GVariantBuilder b;

        g_variant_builder_init(&b, G_VARIANT_TYPE_VARDICT);
        g_variant_builder_add(&b, "{sv}", "role", g_variant_new_string(att_role_name(att_role_other(c->role))));
        g_variant_builder_add(&b, "{sv}", "hash", g_variant_new_string(att_hash_name(c->hash)));
        if (e->policy_text)
                g_variant_builder_add(&b, "{sv}", "policy_text", g_variant_new_string(e->policy_text));
        else if (e->policy)
                g_variant_builder_add(&b, "{sv}", "policy", g_variant_new_string(e->policy));
        add_peer(&b, c);
        if (e->spki)
                g_variant_builder_add(&b, "{sv}", "local_key", bytes_variant(e->spki));
        return g_variant_ref_sink(g_variant_builder_end(&b));
}

static Remote *need_verifier(Client *c) {
        if (!c->verifier.parameters)
                c->verifier.parameters = verifier_parameters(c);
        return &c->verifier;
}

static void create_request(AttServices *s, const char *profile, bool batch) {
        Client *c = (Client *) s;
        GVariantBuilder options;

        g_variant_builder_init(&options, G_VARIANT_TYPE_VARDICT);
        g_variant_builder_add(&options, "{sv}", "cmw_attestation", g_variant_new_uint16(c->endpoint->code_point));
        g_variant_builder_add(&options, "{sv}", "profile", g_variant_new_string(profile));
        if (batch)
                g_variant_builder_add(&options, "{sv}", "batch", g_variant_new_boolean(TRUE));
        in_worker(submit, call_new(need_verifier(c), "CreateRequest", g_variant_new("(a{sv})", &options), "(ayay)",
                                   ATT_EVENT_REQUEST, true));
}

static void validate(AttServices *s, GBytes *authenticator, const uint8_t exported[ATT_EXPORTED_SIZE],
                     const uint8_t *handshake_context, const uint8_t *finished_key) {
        Client *c = (Client *) s;
        gsize size = att_hash_size(c->hash);
        GVariantBuilder options;

        g_variant_builder_init(&options, G_VARIANT_TYPE_VARDICT);
        g_variant_builder_add(&options, "{sv}", "handshake_context", secret_variant(handshake_context, size));
        g_variant_builder_add(&options, "{sv}", "finished_key", secret_variant(finished_key, size));
        /* Not to be made in a new session: it would not know the request. */
        in_worker(submit, call_new(need_verifier(c), "Validate",
                                   g_variant_new("(@ay@aya{sv})", bytes_variant(authenticator),
                                                 secret_variant(exported, ATT_EXPORTED_SIZE), &options),
                                   "(ba{sv})", ATT_EVENT_VERDICT, false));
}

static void submit_look(gpointer data) {
        Call *call = data;
        AttEvent *event;

        if (!call->remote->peer || !call->remote->needs_no_logs) {
                submit(call);
                return;
        }
        event = g_new0(AttEvent, 1);
        event->type = ATT_EVENT_LOGS;
        post(call->client, event);
        call_free(call);
}

static void find_logs(AttServices *s) {
        in_worker(submit_look, look_new(need_verifier((Client *) s)));
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
        call = call_new(need_verifier(c), "AddLog", g_variant_new("(sht@a{sv})", log, 0, first,
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

static void record(gpointer data) {
        Record *job = data;
        Remote *r = &job->client->verifier;

        if (!is_closed(job->client)) {
                if (!r->contexts)
                        r->contexts = g_ptr_array_new_with_free_func((GDestroyNotify) g_bytes_unref);
                g_ptr_array_add(r->contexts, g_bytes_ref(job->context));
                if (r->peer)
                        record_in_session(r, job->context);
        }
        g_bytes_unref(job->context);
        client_unref(job->client);
        g_free(job);
}

static void record_context(AttServices *s, GBytes *context) {
        Record *job = g_new(Record, 1);

        (void) need_verifier((Client *) s);
        job->client = client_ref((Client *) s);
        job->context = g_bytes_ref(context);
        in_worker(record, job);
}

static void close_remote(Remote *r) {
        Call *call;

        if (r->peer)
                send_close(r->peer, r->service, r->path);
        forget_session(r);
        while ((call = g_queue_pop_head(&r->calls)))
                call_free(call);
}

static void close_client(gpointer data) {
        Client *c = data;

        close_remote(&c->attester);
        close_remote(&c->verifier);
        client_unref(c);
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
        c->endpoint = endpoint;
        c->timeout_ms = endpoint->timeout_ms;
        c->patience_ms = endpoint->patience_ms;
        c->role = transport->role;
        c->hash = transport->hash;
        c->peer_key = transport->peer_key ? g_bytes_ref(transport->peer_key) : NULL;
        c->event_fd = fd;
        g_mutex_init(&c->lock);
        c->attester = (Remote) { .client = c, .service = &attester_service };
        c->verifier = (Remote) { .client = c, .service = &verifier_service };
        return &c->base;
}
