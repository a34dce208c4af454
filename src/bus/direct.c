/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "bus/direct.h"

#include "bus/bus-error.h"
#include "bus/bus-source.h"
#include "bus/credentials.h"
#include "bus/direct-stream.h"
#include "bus/outbox.h"
#include "crypto/digest.h"
#include "util/error.h"
#include "util/io.h"
#include "util/quota.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <systemd/sd-daemon.h>

/* What is received at once: of calls about what can be done in half a share of a turn. */
#define CHUNK_SIZE (16u * 1024u)
/* One turn of the loop, and of it what one user may have, for one connection, before
 * the next one has his. */
#define TURN_US 1000
#define SHARE_US 250
/* Messages after which clock and queue are looked at. */
#define LOOK_EACH 8
/* A user who was told so often in so little time that he is over a limit rests until that time is over: nothing is read
 * of him. To refuse costs as much as to serve. */
#define REFUSALS_MAX 64u
#define REFUSALS_US (100 * 1000)
#define EVENTS_MAX 256
#define ACCEPTS_MAX 64
/* Sent by sd-bus to itself; what it then has to say is nobody's business. */
#define OWN_AUTH "\0AUTH ANONYMOUS 61\r\nNEGOTIATE_UNIX_FD\r\nBEGIN\r\n"
#define OWN_AUTH_STEPS_MAX 16

/* What all direct connections of a user have together. */
typedef struct User {
        uint32_t uid;
        guint n_served, n_refused;
        guint64 n_queued;
        gsize n_bytes;
        GQueue ready;  /* of Connection, by their ready */
        GQueue unread; /* of Connection, by their unread */
        GList link;    /* data NULL: none is ready */
        guint n_over;  /* refusals of what was over a limit … */
        gint64 over_us; /* … since then */
        GQueue resting; /* of Connection that would be ready, by their resting */
        GList rest;    /* data NULL: he does not */
} User;

/* sd-bus reads what we have looked at from one socket, of a pair, and writes to the
 * client's. */
typedef struct Connection {
        AttDirect *direct;
        GList link;
        GList ready;        /* data NULL: nothing to do */
        GList sent;         /* data NULL: its queue was looked at since */
        GList unread;       /* data NULL: as last looked at, nothing is queued */
        GList resting;      /* data NULL: it does not */
        guint64 number;
        AttPeer peer;
        User *user;
        GError *refusal;    /* NULL: it may be served */
        AttDirectStream *stream;
        int fd;             /* of the client; sd-bus has another one */
        uint32_t events;    /* that are waited for */
        sd_bus *bus;        /* NULL until BEGIN */
        int feed;           /* -1 likewise: the other end of what sd-bus reads */
        GByteArray *unfed;  /* that @feed did not take yet */
        bool has_joined;
        bool has_refused;   /* and told him so */
        guint64 n_queued;   /* messages for him, as last looked at */
        gsize n_bytes;      /* of large ones that may be among them */
        gsize n_sent;       /* in large ones since nothing was queued */
        gsize largest;      /* of which one had as many */
        gint64 since_us;    /* connected */
        gint64 part_us;     /* 0, or since when what is there is not whole */
        AttWay *way;        /* NULL until BEGIN */
        AttOutbox *outbox;  /* NULL likewise, or there is none */
        guint64 n_received; /* over it, in the last second that there was anything to read */
        guint n_stuck;      /* seconds that he reads nothing */
} Connection;

typedef struct DirectSource {
        GSource base;
        gpointer tag; /* of the epoll */
        AttDirect *direct;
} DirectSource;

struct AttDirect {
        const char *name;
        const AttConfiguration *configuration;
        const AttDirectHandler *handler;
        gpointer userdata;

        GArray *listeners;     /* of int; the service manager's */
        bool is_listening;
        int epoll;
        GSource *source;
        guint tick;            /* source; 0 while nobody is connected */
        uint8_t id[16];

        GQueue connections;    /* of Connection, by their link */
        GQueue ready;          /* of User, by their link */
        GQueue sent;           /* of Connection, by their sent */
        GQueue resting;        /* of User, by their rest */
        GHashTable *users;     /* of User, by uid */
        guint n_served, n_refused;
        guint64 n_connected;   /* ever */
        uint8_t *chunk;
        GString *answer;
};

/* Of Connection, all that have joined: sd-bus knows no way from a bus to whose it is. */
static GHashTable *by_bus;

/* ----- a connection's end */

static void become_ready(Connection *c) {
        User *u = c->user;

        if (c->ready.data)
                return;
        c->ready.data = c;
        g_queue_push_tail_link(&u->ready, &c->ready);
        if (u->link.data)
                return;
        u->link.data = u;
        g_queue_push_tail_link(&c->direct->ready, &u->link);
}

static void become_unready(Connection *c) {
        User *u = c->user;

        if (!c->ready.data)
                return;
        g_queue_unlink(&u->ready, &c->ready);
        c->ready.data = NULL;
        if (u->ready.length > 0)
                return;
        g_queue_unlink(&c->direct->ready, &u->link);
        u->link.data = NULL;
}

/* Whose turn it is: of the user who has waited for longest the connection that has. */
static Connection *take_ready(AttDirect *d) {
        User *u = d->ready.head->data;
        Connection *c = u->ready.head->data;

        g_queue_unlink(&d->ready, &u->link);
        g_queue_push_tail_link(&d->ready, &u->link);
        become_unready(c);
        return c;
}

static void set_linked(GQueue *queue, GList *link, Connection *c, bool yes) {
        if (yes == (link->data != NULL))
                return;
        link->data = yes ? c : NULL;
        if (yes)
                g_queue_push_tail_link(queue, link);
        else
                g_queue_unlink(queue, link);
}

static void user_unref(AttDirect *d, User *u) {
        if (u->n_served + u->n_refused > 0)
                return;
        if (u->rest.data)
                g_queue_unlink(&d->resting, &u->rest);
        (void) g_hash_table_remove(d->users, GUINT_TO_POINTER(u->uid));
}

static void set_events(Connection *c, uint32_t events) {
        struct epoll_event e = { .events = events, .data.ptr = c };

        if (c->events == events)
                return;
        (void) epoll_ctl(c->direct->epoll, EPOLL_CTL_MOD, c->fd, &e);
        c->events = events;
}

static void drop(Connection *c) {
        AttDirect *d = c->direct;

        (void) epoll_ctl(d->epoll, EPOLL_CTL_DEL, c->fd, NULL);
        become_unready(c);
        set_linked(&d->sent, &c->sent, c, false);
        set_linked(&c->user->unread, &c->unread, c, false);
        set_linked(&c->user->resting, &c->resting, c, false);
        g_queue_unlink(&d->connections, &c->link);
        g_clear_pointer(&c->outbox, att_outbox_free);
        if (c->way)
                att_way_end(c->way);
        else
                close(c->fd);
        if (c->bus)
                sd_bus_close(c->bus);
        if (c->has_joined) {
                (void) g_hash_table_remove(by_bus, c->bus);
                d->handler->left(c->bus, d->userdata);
        }

        c->user->n_queued -= c->n_queued;
        c->user->n_bytes -= c->n_bytes;
        if (c->refusal) {
                c->user->n_refused--;
                d->n_refused--;
        } else {
                c->user->n_served--;
                d->n_served--;
        }
        user_unref(d, c->user);

        sd_bus_unref(c->bus);
        att_close_p(&c->feed);
        g_byte_array_unref(c->unfed);
        att_direct_stream_free(c->stream);
        att_peer_clear(&c->peer);
        g_clear_error(&c->refusal);
        g_free(c);
}

static void tell_refused(const Connection *c, const char *why) {
        g_autofree char *name = g_strdup_printf("direct:%" G_GUINT64_FORMAT, c->number);
        g_autofree char *who = g_strdup_printf("uid %u", c->peer.uid);

        c->direct->handler->refused(name, who, why, c->direct->userdata);
}

static void drop_for(Connection *c, const char *why) {
        tell_refused(c, why);
        drop(c);
}

/* ----- messages */

/* Before sd-bus looks at a message. */
static int on_message(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        const char *destination = sd_bus_message_get_destination(m);
        Connection *c = userdata;
        bool is_call = sd_bus_message_is_method_call(m, NULL, NULL) > 0;

        if (!is_call)
                return 1; /* there is nothing that anybody could tell us */
        if (c->refusal) {
                if (!c->has_refused)
                        tell_refused(c, c->refusal->message);
                c->has_refused = true;
                return sd_bus_error_setf(error, att_bus_error_name(c->refusal), "%s", c->refusal->message);
        }
        if (destination && !g_str_equal(destination, c->direct->name))
                return sd_bus_error_setf(error, SD_BUS_ERROR_SERVICE_UNKNOWN, "here is %s and nobody else",
                                         c->direct->name);
        return 0;
}

/* sd-bus cannot be given a connection that is authenticated already: it is one to
 * ourselves that it authenticates, and whose output then becomes the client's. */
static gboolean make_bus(Connection *c, GError **error) {
        g_autofree char *description = g_strdup_printf("direct:%" G_GUINT64_FORMAT, c->number);
        att_autofd int in = -1, feed = -1, out = -1;
        g_autoptr(sd_bus) bus = NULL;
        sd_id128_t id;
        int pair[2], r, taken;

        if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) < 0)
                return att_error_set_errno(error, errno, "no socket");
        in = pair[0];
        feed = pair[1];
        out = fcntl(in, F_DUPFD_CLOEXEC, 3);
        if (out < 0 || write(feed, OWN_AUTH, sizeof OWN_AUTH - 1) != sizeof OWN_AUTH - 1)
                return att_error_set_errno(error, errno, "no socket");

        memcpy(id.bytes, c->direct->id, sizeof id.bytes);
        r = sd_bus_new(&bus);
        if (r >= 0)
                r = sd_bus_set_description(bus, description);
        if (r >= 0)
                r = sd_bus_set_server(bus, 1, id);
        if (r >= 0)
                r = sd_bus_set_anonymous(bus, 1);
        if (r >= 0)
                r = sd_bus_negotiate_fds(bus, att_direct_stream_takes_fds(c->stream));
        if (r >= 0)
                r = sd_bus_set_fd(bus, in, out);
        if (r < 0)
                return att_error_set_errno(error, -r, "no connection");
        (void) att_steal_fd(&in);
        taken = att_steal_fd(&out);

        r = sd_bus_add_filter(bus, NULL, on_message, c);
        if (r >= 0)
                r = sd_bus_start(bus);
        for (int i = 0; r >= 0 && i < OWN_AUTH_STEPS_MAX && sd_bus_is_ready(bus) == 0; i++)
                r = sd_bus_process(bus, NULL);
        if (r >= 0 && sd_bus_is_ready(bus) <= 0)
                r = -EPROTO;
        if (r >= 0 && dup3(c->fd, taken, O_CLOEXEC) < 0)
                r = -errno;
        if (r < 0)
                return att_error_set_errno(error, -r, "no connection");

        c->feed = att_steal_fd(&feed);
        c->bus = g_steal_pointer(&bus);
        c->way = att_way_new(c->bus, c->fd);
        c->outbox = att_outbox_new(c->bus, c->fd, taken);
        return TRUE;
}

static gboolean join(Connection *c, GError **error) {
        AttDirect *d = c->direct;
        int r;

        if (!make_bus(c, error))
                return FALSE;
        if (c->refusal)
                return TRUE;

        r = d->handler->joined(c->bus, d->userdata);
        if (r < 0)
                return att_error_set_errno(error, -r, "cannot add objects");
        c->has_joined = true;
        g_hash_table_insert(by_bus, c->bus, c);
        return TRUE;
}

/* To sd-bus, which has read all of before. A socket takes more than there ever is, mostly. */
static bool feed(Connection *c, const void *data, gsize size) {
        gssize n;

        if (c->unfed->len > 0) {
                g_byte_array_append(c->unfed, data, (guint) size);
                data = c->unfed->data;
                size = c->unfed->len;
        }
        if (size == 0)
                return true;

        n = send(c->feed, data, size, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (n < 0 && errno != EAGAIN && errno != EINTR)
                return false;
        n = MAX(n, 0);
        if (c->unfed->len > 0 && (gsize) n == size) {
                g_byte_array_unref(c->unfed); /* it may have become large */
                c->unfed = g_byte_array_new();
        } else if (c->unfed->len > 0) {
                g_byte_array_remove_range(c->unfed, 0, (guint) n);
        } else {
                g_byte_array_append(c->unfed, (const guint8 *) data + n, (guint) (size - (gsize) n));
        }
        return true;
}

/* Of a queue sd-bus says how many messages there are in it, and not how long they are. @n: of them; @size: what is
 * large and was sent just now, or is going to be answered */
static void count_bytes(Connection *c, guint64 n, gsize size) {
        gsize before = c->n_bytes;

        c->n_sent = n > 0 ? c->n_sent + size : 0;
        c->largest = n > 0 ? MAX(c->largest, size) : 0;
        c->n_bytes = MIN(c->n_sent, n * c->largest);
        c->user->n_bytes += c->n_bytes - before;
}

/* What needs no sd-bus, from the first that has come; sd-bus has nothing of before. Returns: how many
 * bytes of it */
static gsize take(Connection *c, const void *messages, gsize size, gint64 until) {
        const AttDirect *d = c->direct;
        gsize at = 0, n = 1;

        if (!c->has_joined || !d->handler->take)
                return 0;
        while (n > 0 && at < size) {
                n = d->handler->take(c->bus, (const guint8 *) messages + at, size - at, d->userdata);
                at += n;
                if (g_get_monotonic_time() >= until) /* looked at each time: a new key alone takes a share */
                        break;
        }
        return at;
}

/* More of what the client sends. @until: it is taken without sd-bus, if it can be. Returns: 1 if there may be more to
 * do, 0 if not, -1 if it is over */
static int receive(Connection *c, gint64 until, GError **error) {
        AttDirect *d = c->direct;
        const void *messages;
        gsize size, taken;
        gssize n;

        /* Without room for descriptors: they are closed by the kernel. */
        n = recv(c->fd, d->chunk, CHUNK_SIZE, MSG_DONTWAIT);
        if (n < 0 && (errno == EAGAIN || errno == EINTR))
                return 0;
        if (n <= 0)
                return -1;

        g_string_truncate(d->answer, 0);
        if (!att_direct_stream_take(c->stream, d->chunk, (gsize) n, d->answer, &messages, &size, error))
                return -1;
        if (d->answer->len > 0 &&
            send(c->fd, d->answer->str, d->answer->len, MSG_DONTWAIT | MSG_NOSIGNAL) != (gssize) d->answer->len)
                return -1;
        if (!c->bus && att_direct_stream_is_authenticated(c->stream) && !join(c, error))
                return -1;
        count_bytes(c, c->n_queued, att_direct_stream_large(c->stream));
        if (!att_direct_stream_has_part(c->stream))
                c->part_us = 0;
        else if (c->part_us == 0 || size > 0) /* of another message than it was */
                c->part_us = g_get_monotonic_time();
        taken = take(c, messages, size, until);
        if (size > taken && !feed(c, (const guint8 *) messages + taken, size - taken))
                return -1;
        att_direct_stream_done(c->stream); /* there may be no next one for long */
        att_cleanse(d->chunk, (size_t) n); /* exported values */
        return size == 0 || size > taken || n == CHUNK_SIZE; /* else that was all, and nothing is left for sd-bus */
}

/* What all connections of one user may have queued: answers to all he may ask, and what
 * his sessions are told when the state moves, more than once. */
static guint64 queue_max(const AttDirect *d) {
        return 1024 + (guint64) d->configuration->requests_per_user + 4 * (guint64) d->configuration->sessions_per_user;
}

static bool is_over(const Connection *c) {
        return c->n_queued > 0 && c->user->n_queued > queue_max(c->direct);
}

/* Something is queued for it. */
static bool is_full(const Connection *c) {
        return c->n_bytes >= ATT_DIRECT_BYTES_PAUSE || c->user->n_bytes >= ATT_DIRECT_USER_BYTES_PAUSE;
}

static guint64 queued(const Connection *c) {
        uint64_t n = 0;

        if (c->bus)
                (void) sd_bus_get_n_queued_write(c->bus, &n);
        return n + (c->outbox ? att_outbox_n_stuck(c->outbox) : 0);
}

static void flush(Connection *c) {
        if (c->outbox)
                att_outbox_flush(c->outbox);
}

/* Nothing is read of who does not read, long before it is too much. */
static void look_at_queue(Connection *c) {
        User *u = c->user;
        bool was_over = u->n_queued > queue_max(c->direct), is_paused;
        guint64 n;

        flush(c);
        n = queued(c);
        if (n > 0)
                (void) att_way_look(c->way);
        u->n_queued += n - c->n_queued;
        c->n_queued = n;
        count_bytes(c, n, 0);
        set_linked(&c->direct->sent, &c->sent, c, false);
        set_linked(&u->unread, &c->unread, c, n > 0);
        if (is_over(c)) {
                become_ready(c); /* for its end */
                for (GList *l = was_over ? NULL : u->unread.head; l; l = l->next)
                        become_ready(l->data);
        }

        is_paused = n >= ATT_DIRECT_QUEUE_PAUSE ||
                (n > 0 && (u->n_queued >= ATT_DIRECT_USER_QUEUE_PAUSE || is_full(c))) || c->resting.data;
        if (c->part_us > 0 && !is_paused && !(c->events & EPOLLIN)) /* that was our time, not his */
                c->part_us = g_get_monotonic_time();
        /* A hang-up is told of whether it is waited for or not: while resting once. */
        set_events(c, (is_paused ? 0 : EPOLLIN) | (n > 0 ? EPOLLOUT : 0) | (c->resting.data ? (uint32_t) EPOLLET : 0));
}

/* A share of the turn. Returns: true if there is more to do at once */
static bool serve(Connection *c, gint64 until) {
        g_autoptr(GError) error = NULL;
        int r = 1;

        if (c->way)
                (void) att_way_look(c->way); /* before there is more in the place of what he has read */
        flush(c);
        while (r > 0 && !c->user->rest.data && g_get_monotonic_time() < until) {
                for (int i = 0; i < LOOK_EACH && c->bus && (r = sd_bus_process(c->bus, NULL)) > 0 &&
                                g_get_monotonic_time() < until; i++)
                        ;
                if (c->bus && (r < 0 || sd_bus_is_open(c->bus) <= 0)) {
                        drop(c);
                        return false;
                }
                look_at_queue(c);
                if (!(c->events & EPOLLIN))
                        return false; /* until he has read what is there for him */
                if (c->bus && r > 0)
                        continue;

                r = c->unfed->len > 0 ? (feed(c, NULL, 0) ? 1 : -1)
                                            : receive(c, until + SHARE_US, &error);
                if (r < 0 && error) {
                        drop_for(c, error->message);
                        return false;
                }
                if (r < 0 || (r == 0 && c->has_refused)) {
                        drop(c);
                        return false;
                }
        }
        look_at_queue(c);
        return r > 0;
}

static void lay_to_rest(Connection *c) {
        set_linked(&c->user->resting, &c->resting, c, true);
        look_at_queue(c);
}

/* Returns: until when nobody's rest is over; -1: nobody rests */
static gint64 wake_rested(AttDirect *d) {
        gint64 now = d->resting.head ? g_get_monotonic_time() : 0, next = -1;

        for (GList *l = d->resting.head, *following; l; l = following) {
                User *u = l->data;
                gint64 until = u->over_us + REFUSALS_US;

                following = l->next;
                if (until > now) {
                        next = next < 0 ? until : MIN(next, until);
                        continue;
                }
                g_queue_unlink(&d->resting, &u->rest);
                u->rest.data = NULL;
                while (u->resting.head) {
                        Connection *c = u->resting.head->data;

                        set_linked(&u->resting, &c->resting, c, false);
                        look_at_queue(c);
                        become_ready(c);
                }
        }
        return next;
}

/* ----- those who come */

/* How it is to be refused; NULL: it is not */
static GError *look_at(const AttDirect *d, const AttPeer *peer, const User *u) {
        const AttConfiguration *conf = d->configuration;
        const AttQuota quota = { "direct connections", u->n_served, conf->direct_connections_per_user,
                                 d->n_served, conf->direct_connections };
        g_autofree char *limit = NULL;

        if (!att_configuration_may_connect(conf, peer->uid, peer->gids))
                return g_error_new(ATT_ERROR, ATT_ERROR_NOT_AUTHORIZED, "the direct socket is for root, and for whom "
                                   "DirectUsers= and DirectGroups= of attestd.conf(5) name: use the system bus");
        limit = att_quota_excess(&quota, 1);
        return limit ? g_error_new(ATT_ERROR, ATT_ERROR_LIMIT_REACHED, "%s; close some, use the system bus, or raise "
                                   "[Limits] in attestd.conf(5)", limit) : NULL;
}

static User *find_user(AttDirect *d, uint32_t uid) {
        User *u = g_hash_table_lookup(d->users, GUINT_TO_POINTER(uid));

        if (u)
                return u;
        u = g_new0(User, 1);
        u->uid = uid;
        g_hash_table_insert(d->users, GUINT_TO_POINTER(uid), u);
        return u;
}

static gboolean on_tick(gpointer userdata);

static void add(AttDirect *d, int accepted) {
        struct epoll_event e = { .events = EPOLLIN };
        att_autofd int fd = accepted;
        g_auto(AttPeer) peer = { .pidfd = -1 };
        g_autoptr(GError) refusal = NULL, e2 = NULL;
        Connection *c;
        User *u;

        if (!att_credentials_of_socket(fd, &peer, &e2)) {
                g_info("a direct connection: %s", e2->message);
                return;
        }
        u = find_user(d, peer.uid);
        refusal = look_at(d, &peer, u);
        if (refusal && (d->n_refused >= ATT_DIRECT_REFUSED_MAX || u->n_refused >= ATT_DIRECT_REFUSED_PER_USER_MAX)) {
                user_unref(d, u);
                return; /* closed without a word: enough of his kind are being told */
        }

        c = g_new0(Connection, 1);
        e.data.ptr = c;
        if (epoll_ctl(d->epoll, EPOLL_CTL_ADD, fd, &e) < 0) {
                g_warning("cannot wait for a direct connection: %s", g_strerror(errno));
                user_unref(d, u);
                g_free(c);
                return;
        }
        *c = (Connection) {
                .direct = d,
                .link.data = c,
                .number = ++d->n_connected,
                .peer = peer,
                .user = u,
                .refusal = g_steal_pointer(&refusal),
                .stream = att_direct_stream_new(peer.uid, d->id),
                .fd = att_steal_fd(&fd),
                .events = EPOLLIN,
                .feed = -1,
                .unfed = g_byte_array_new(),
                .since_us = g_get_monotonic_time(),
        };
        peer = (AttPeer) { .pidfd = -1 };
        g_queue_push_tail_link(&d->connections, &c->link);
        if (c->refusal) {
                u->n_refused++;
                d->n_refused++;
        } else {
                u->n_served++;
                d->n_served++;
        }
        if (d->tick == 0)
                d->tick = g_timeout_add_seconds(1, on_tick, d);
}

static void listen_to(AttDirect *d, bool yes) {
        struct epoll_event e = { .events = EPOLLIN };

        if (d->is_listening == yes)
                return;
        d->is_listening = yes;
        for (guint i = 0; i < d->listeners->len; i++)
                if (epoll_ctl(d->epoll, yes ? EPOLL_CTL_ADD : EPOLL_CTL_DEL,
                              g_array_index(d->listeners, int, i), &e) < 0)
                        g_warning("cannot wait for direct connections: %s", g_strerror(errno));
}

static void accept_some(AttDirect *d) {
        for (guint i = 0; i < d->listeners->len && d->is_listening; i++)
                for (int n = 0; n < ACCEPTS_MAX; n++) {
                        int fd = accept4(g_array_index(d->listeners, int, i), NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

                        if (fd >= 0) {
                                add(d, fd);
                                continue;
                        }
                        if (errno == EAGAIN)
                                break;
                        if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
                                g_warning("cannot take a direct connection: %s", g_strerror(errno));
                                listen_to(d, false); /* until the next tick */
                                if (d->tick == 0)
                                        d->tick = g_timeout_add_seconds(1, on_tick, d);
                                break;
                        }
                }
}

/* ----- time limits */

/* Why it is to end; NULL: it is not */
static const char *find_overdue(Connection *c, gint64 now) {
        gint64 patience = ATT_DIRECT_PATIENCE_S * G_USEC_PER_SEC;
        guint64 n_received;

        look_at_queue(c);
        if (!c->bus && now - c->since_us > patience)
                return "it does not introduce itself";
        if (c->refusal && now - c->since_us > patience)
                return c->refusal->message;
        if (c->part_us > 0 && now - c->part_us > patience && c->events & EPOLLIN)
                return "a message does not end";
        if (!c->way || (c->n_queued == 0 && !att_way_has_lent(c->way))) {
                c->n_stuck = 0;
                return NULL;
        }
        /* Not that what is there has changed: he may ask on, and more of it come. */
        n_received = att_way_look(c->way);
        c->n_stuck = n_received == c->n_received ? c->n_stuck + 1 : 0;
        c->n_received = n_received;
        return c->n_stuck > ATT_DIRECT_STUCK_S ? "it does not read" : NULL;
}

static gboolean on_tick(gpointer userdata) {
        AttDirect *d = userdata;
        gint64 now = g_get_monotonic_time();

        for (GList *l = d->connections.head, *next; l; l = next) {
                const char *why = find_overdue(l->data, now);

                next = l->next;
                if (why)
                        drop_for(l->data, why);
        }
        if (d->source)
                listen_to(d, true);
        if (d->connections.length > 0)
                return G_SOURCE_CONTINUE;
        d->tick = 0;
        return G_SOURCE_REMOVE;
}

/* ----- in the loop */

/* Others have sent to connections since: who has something queued waits for room. All that are there would be too
 * many to look at in each turn. */
static gboolean direct_prepare(GSource *source, gint *timeout_ms) {
        AttDirect *d = ((DirectSource *) source)->direct;
        gint64 next = wake_rested(d);
        bool has_sent = d->sent.head != NULL;

        *timeout_ms = next < 0 ? -1 : (gint) (MAX(next - g_get_monotonic_time(), 0) / 1000 + 1);
        while (d->sent.head)
                look_at_queue(d->sent.head->data);
        return d->ready.length > 0 || has_sent; /* others have asked what is queued before it went out */
}

static gboolean direct_check(GSource *source) {
        DirectSource *s = (DirectSource *) source;

        return s->direct->ready.length > 0 || g_source_query_unix_fd(source, s->tag) != 0;
}

/* In each turn, and not in check(), which GLib skips while prepare() says yes: those who
 * have come must not wait until nobody is ready any more. */
static void look_who_is_ready(AttDirect *d) {
        struct epoll_event events[EVENTS_MAX];
        int n = epoll_wait(d->epoll, events, EVENTS_MAX, 0);

        for (int i = 0; i < n; i++)
                if (events[i].data.ptr)
                        become_ready(events[i].data.ptr);
                else
                        accept_some(d);
}

/* Users who are ready have a share each, in turn, and the rest of the loop has its turn too. */
static gboolean direct_dispatch(GSource *source, GSourceFunc callback, gpointer userdata) {
        AttDirect *d = ((DirectSource *) source)->direct;
        gint64 now = g_get_monotonic_time(), end = now + TURN_US;

        (void) callback, (void) userdata;
        look_who_is_ready(d);
        while (d->ready.length > 0 && now < end) {
                Connection *c = take_ready(d);

                if (is_over(c))
                        drop_for(c, "more is queued for its user than he may have: he does not read");
                else if (c->user->rest.data)
                        lay_to_rest(c);
                else if (serve(c, now + SHARE_US))
                        become_ready(c);
                now = g_get_monotonic_time();
        }
        return G_SOURCE_CONTINUE;
}

static GSourceFuncs source_funcs = {
        .prepare = direct_prepare,
        .check = direct_check,
        .dispatch = direct_dispatch,
};

/* ----- all of it */

static gboolean take_listeners(AttDirect *d, GError **error) {
        int n = sd_listen_fds(0);

        if (n < 0)
                return att_error_set_errno(error, -n, "cannot take the sockets of the service manager");
        for (int fd = SD_LISTEN_FDS_START; fd < SD_LISTEN_FDS_START + n; fd++) {
                if (sd_is_socket_unix(fd, SOCK_STREAM, 1, NULL, 0) <= 0)
                        return att_error_set(error, ATT_ERROR_INVALID_ARGUMENT, "descriptor %d of the service manager "
                                             "is no listening stream socket of this machine", fd);
                (void) fcntl(fd, F_SETFL, O_NONBLOCK);
                g_array_append_val(d->listeners, fd);
        }
        return TRUE;
}

AttDirect *att_direct_new(const char *name, const AttConfiguration *configuration, const AttDirectHandler *handler,
                          gpointer userdata, GError **error) {
        g_autoptr(AttDirect) d = g_new0(AttDirect, 1);
        sd_id128_t id;
        int r;

        d->name = name;
        d->configuration = configuration;
        d->handler = handler;
        d->userdata = userdata;
        d->listeners = g_array_new(FALSE, FALSE, sizeof(int));
        if (!by_bus)
                by_bus = g_hash_table_new(NULL, NULL);
        d->users = g_hash_table_new_full(NULL, NULL, NULL, g_free);
        d->epoll = epoll_create1(EPOLL_CLOEXEC);
        if (d->epoll < 0) {
                (void) att_error_set_errno(error, errno, "cannot wait for direct connections");
                return NULL;
        }
        if (!take_listeners(d, error))
                return NULL;

        r = sd_id128_randomize(&id);
        if (r < 0) {
                (void) att_error_set_errno(error, -r, "no random numbers");
                return NULL;
        }
        memcpy(d->id, id.bytes, sizeof d->id);
        d->chunk = g_malloc(CHUNK_SIZE);
        d->answer = g_string_new(NULL);
        d->source = g_source_new(&source_funcs, sizeof(DirectSource));
        ((DirectSource *) d->source)->direct = d;
        g_source_set_static_name(d->source, "direct");
        g_source_set_can_recurse(d->source, TRUE); /* as in bus-source.c */
        ((DirectSource *) d->source)->tag = g_source_add_unix_fd(d->source, d->epoll, G_IO_IN);
        g_source_attach(d->source, NULL);
        listen_to(d, true);
        return g_steal_pointer(&d);
}

void att_direct_stop(AttDirect *d) {
        listen_to(d, false);
        g_array_set_size(d->listeners, 0);
}

bool att_direct_is_flushed(const AttDirect *d) {
        for (GList *l = d->connections.head; l; l = l->next) {
                const Connection *c = l->data;

                if (queued(c) > 0 || (c->outbox && !att_outbox_is_empty(c->outbox)))
                        return false;
        }
        return true;
}

void att_direct_free(AttDirect *d) {
        if (!d)
                return;

        while (d->connections.head)
                drop(d->connections.head->data);
        if (d->source) {
                g_source_destroy(d->source);
                g_source_unref(d->source);
        }
        if (d->tick)
                g_source_remove(d->tick);
        if (d->answer)
                (void) g_string_free(d->answer, TRUE);
        g_free(d->chunk);
        att_close_p(&d->epoll);
        g_array_unref(d->listeners);
        g_hash_table_unref(d->users);
        g_free(d);
}

static const Connection *find_joined(const AttDirect *d, sd_bus *bus) {
        const Connection *c = g_hash_table_lookup(by_bus, bus);

        return c && c->direct == d ? c : NULL;
}

AttPeer att_direct_dup_peer(const AttDirect *d, sd_bus *bus) {
        const Connection *c = find_joined(d, bus);

        return c ? att_peer_copy(&c->peer) : (AttPeer) { .pidfd = -1, .uid = (uint32_t) -1 };
}

/* NULL: @bus is no direct connection. */
static Connection *find(sd_bus *bus) {
        return by_bus ? g_hash_table_lookup(by_bus, bus) : NULL;
}

AttWay *att_direct_way(sd_bus *bus) {
        const Connection *c = find(bus);

        return c ? c->way : NULL;
}

void att_direct_sent(sd_bus *bus, gsize size) {
        Connection *c = find(bus);
        guint64 n;

        if (!c)
                return;
        att_way_sent(c->way); /* what is lent is in the socket as of now, mostly */
        n = queued(c);
        if (n == 0)
                return;
        count_bytes(c, n, size);
        set_linked(&c->direct->sent, &c->sent, c, true);
}

GByteArray *att_direct_begin(sd_bus *bus, guint32 *ret_serial) {
        const Connection *c = find(bus);

        return c && c->outbox ? att_outbox_begin(c->outbox, ret_serial) : NULL;
}

void att_direct_end(sd_bus *bus) {
        Connection *c = find(bus);

        att_outbox_end(c->outbox);
        if (!att_outbox_is_empty(c->outbox))
                set_linked(&c->direct->sent, &c->sent, c, true);
}

void att_direct_flush(sd_bus *bus) {
        Connection *c = find(bus);

        if (c)
                flush(c);
}

guint64 att_direct_n_queued(sd_bus *bus) {
        const Connection *c = find(bus);
        uint64_t n = 0;

        if (c)
                return queued(c);
        (void) sd_bus_get_n_queued_write(bus, &n); /* 0 of one that has ended: what is sent then goes nowhere */
        return n;
}

void att_direct_over_limit(sd_bus *bus) {
        Connection *c = find(bus);
        gint64 now = g_get_monotonic_time();
        User *u = c ? c->user : NULL;

        if (!u || u->rest.data)
                return;
        if (now - u->over_us > REFUSALS_US) {
                u->over_us = now;
                u->n_over = 0;
        }
        if (++u->n_over < REFUSALS_MAX)
                return;
        u->rest.data = u;
        g_queue_push_tail_link(&c->direct->resting, &u->rest);
}

bool att_direct_is_full(sd_bus *bus) {
        const Connection *c = find(bus);

        return c && is_full(c) && queued(c) > 0;
}

void att_direct_foreach(const AttDirect *d, void (*each)(sd_bus *bus, gpointer userdata), gpointer userdata) {
        for (GList *l = d->connections.head; l; l = l->next) {
                Connection *c = l->data;

                if (!c->has_joined)
                        continue;
                flush(c);
                each(c->bus, userdata);
                att_direct_sent(c->bus, 0);
        }
}
