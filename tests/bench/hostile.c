/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* hostile ADDRESS CALLERS [BEHAVIOUR]: that many callers, each on a connection of its own, until SIGTERM.
 *
 * flood:      a thousand requests under way, always
 * cancel:     asks for evidence, closes the session, opens another
 * disconnect: asks for evidence, and is gone; comes back at once
 * hang:       sends requests as long as anybody takes them, and reads no answer
 *
 * Without a behaviour they take turns. One JSON object comes out at the end: what was sent and
 * answered, how often a connection was closed from the other side, and errors by name. */
#include "calls.h"
#include "latency.h"

#include <err.h>
#include <errno.h>
#include <gio/gio.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#define FLOOD 1000u
#define REQUESTS 8u /* of one that cancels or leaves */
#define QUEUED_MAX 64u
#define MESSAGES_A_TURN 64u
#define MARK 0xcc
#define PAUSE G_GINT64_CONSTANT(10000000) /* ns, after a refusal to let it in */

typedef enum Behaviour { FLOODS, CANCELS, DISCONNECTS, HANGS, N_BEHAVIOURS } Behaviour;

static const char *const names[] = { "flood", "cancel", "disconnect", "hang" };

typedef struct Caller {
        Behaviour behaviour;
        sd_bus *bus;
        char *session;
        bool is_asking_session;
        bool has_asked;  /* all that it asks of this session */
        guint n_outstanding;
        gint64 not_before;
        /* Of one that hangs: its message, what has left of it, and where it says what is new in each. */
        guint8 *request, *context;
        gsize size, sent;
        guint32 serial;
} Caller;

static struct {
        guint64 sent, answers, closed;
        GHashTable *errors; /* guint64 *, by name */
} tally[N_BEHAVIOURS];

static const char *address;
static volatile sig_atomic_t is_over;

static void on_signal(int number) {
        (void) number;
        is_over = 1;
}

static void count_error(Caller *c, const char *name) {
        guint64 *n = g_hash_table_lookup(tally[c->behaviour].errors, name);

        if (!n) {
                n = g_new0(guint64, 1);
                g_hash_table_insert(tally[c->behaviour].errors, g_strdup(name), n);
        }
        (*n)++;
}

static void leave(Caller *c) {
        sd_bus_close(c->bus);
        c->bus = sd_bus_unref(c->bus);
        g_clear_pointer(&c->session, g_free);
        g_clear_pointer(&c->request, g_free);
        c->is_asking_session = c->has_asked = false;
        c->n_outstanding = 0;
}

static void was_closed(Caller *c) {
        tally[c->behaviour].closed++;
        leave(c);
        c->not_before = latency_now() + PAUSE;
}

static bool has_room(Caller *c) {
        uint64_t n;

        return sd_bus_get_n_queued_write(c->bus, &n) >= 0 && n < QUEUED_MAX;
}

static bool is_refused(Caller *c, sd_bus_message *reply) {
        if (!sd_bus_message_is_method_error(reply, NULL)) {
                tally[c->behaviour].answers++;
                return false;
        }
        count_error(c, sd_bus_message_get_error(reply)->name);
        return true;
}

static int on_open(sd_bus_message *reply, void *userdata, sd_bus_error *error) {
        Caller *c = userdata;
        const char *path;

        (void) error;
        c->is_asking_session = false;
        if (is_refused(c, reply))
                c->not_before = latency_now() + PAUSE;
        else if (sd_bus_message_read(reply, "o", &path) >= 0)
                c->session = g_strdup(path);
        return 0;
}

static int on_answer(sd_bus_message *reply, void *userdata, sd_bus_error *error) {
        Caller *c = userdata;

        (void) error;
        c->n_outstanding--;
        (void) is_refused(c, reply);
        return 0;
}

static int on_closed_session(sd_bus_message *reply, void *userdata, sd_bus_error *error) {
        Caller *c = userdata;

        (void) error;
        (void) is_refused(c, reply);
        g_clear_pointer(&c->session, g_free);
        c->has_asked = false;
        return 0;
}

static void send_call(Caller *c, sd_bus_message *m, sd_bus_message_handler_t handler) {
        if (sd_bus_call_async(c->bus, NULL, m, handler, c, UINT64_MAX) >= 0)
                tally[c->behaviour].sent++;
        sd_bus_message_unref(m);
}

static void ask(Caller *c, guint upto) {
        for (; c->n_outstanding < upto && has_room(c); c->n_outstanding++)
                send_call(c, call_attest(c->bus, c->session, &(AttestOptions){ .batch = true }), on_answer);
}

/* One that hangs gets past sd-bus, which would read. */
static void make_request(Caller *c) {
        const char *destination = sd_bus_is_bus_client(c->bus) > 0 ? ATTESTER_NAME : NULL;
        g_autoptr(GDBusMessage) m = g_dbus_message_new_method_call(destination, c->session, SESSION_NAME, "Attest");
        g_autoptr(GError) error = NULL;
        guint8 exported[32] = { 0 }, context[32];

        memset(context, MARK, sizeof context);
        g_dbus_message_set_serial(m, 1);
        g_dbus_message_set_body(m, g_variant_new("(@ay@ay@aya{sv})",
                                                 g_variant_new_fixed_array(G_VARIANT_TYPE_BYTE, exported, 32, 1),
                                                 g_variant_new_fixed_array(G_VARIANT_TYPE_BYTE, context, 32, 1),
                                                 g_variant_new_fixed_array(G_VARIANT_TYPE_BYTE, call_public_key,
                                                                           CALL_PUBLIC_KEY_SIZE, 1),
                                                 NULL));
        c->request = g_dbus_message_to_blob(m, &c->size, G_DBUS_CAPABILITY_FLAGS_NONE, &error);
        if (!c->request)
                errx(1, "Attest: %s", error->message);
        c->context = memmem(c->request, c->size, context, sizeof context);
        c->sent = 0;
        c->serial = 1u << 20; /* above those of sd-bus */
}

static void send_and_read_nothing(Caller *c) {
        if (!c->request)
                make_request(c);
        for (guint i = 0; i < QUEUED_MAX; i++) {
                ssize_t n;

                if (c->sent == 0) {
                        c->serial++;
                        memcpy(c->request + 8, &c->serial, sizeof c->serial);
                        memcpy(c->context, &c->serial, sizeof c->serial);
                }
                n = send(sd_bus_get_fd(c->bus), c->request + c->sent, c->size - c->sent, MSG_DONTWAIT | MSG_NOSIGNAL);
                if (n < 0) {
                        if (errno != EAGAIN)
                                was_closed(c);
                        return;
                }
                c->sent += (gsize) n;
                if (c->sent == c->size) {
                        c->sent = 0;
                        tally[c->behaviour].sent++;
                }
        }
}

static void open_session(Caller *c) {
        if (c->is_asking_session || !has_room(c) || latency_now() < c->not_before)
                return;
        c->is_asking_session = true;
        send_call(c, call_open_session(c->bus), on_open);
}

static void be_hostile(Caller *c) {
        uint64_t queued;

        if (!c->session) {
                open_session(c);
                return;
        }
        switch (c->behaviour) {
        case FLOODS:
                ask(c, FLOOD);
                break;
        case CANCELS:
                if (c->has_asked)
                        break;
                ask(c, REQUESTS);
                send_call(c, call_close_session(c->bus, c->session), on_closed_session);
                c->has_asked = true;
                break;
        case DISCONNECTS:
                if (!c->has_asked)
                        ask(c, REQUESTS);
                c->has_asked = true;
                if (sd_bus_get_n_queued_write(c->bus, &queued) >= 0 && queued == 0)
                        leave(c);
                break;
        case HANGS:
                send_and_read_nothing(c);
                break;
        case N_BEHAVIOURS:
        default:
                g_assert_not_reached();
        }
}

/* Returns: is there more to do? */
static bool step(Caller *c) {
        if (!c->bus) {
                if (latency_now() < c->not_before)
                        return false;
                c->bus = call_connect(address);
                if (!c->bus) {
                        tally[c->behaviour].closed++;
                        c->not_before = latency_now() + PAUSE;
                        return false;
                }
        }
        if (!c->request)
                for (guint i = 0;; i++) {
                        int r = sd_bus_process(c->bus, NULL);

                        if (r < 0) {
                                was_closed(c);
                                return false;
                        }
                        if (r == 0)
                                break;
                        if (i == MESSAGES_A_TURN)
                                return true;
                }
        if (sd_bus_is_ready(c->bus) > 0)
                be_hostile(c);
        return !c->bus && latency_now() >= c->not_before;
}

static struct pollfd poll_of(const Caller *c) {
        int events = !c->bus ? 0 : c->request ? POLLOUT : sd_bus_get_events(c->bus);

        if (!c->bus || events < 0)
                return (struct pollfd){ .fd = -1 };
        return (struct pollfd){ .fd = sd_bus_get_fd(c->bus), .events = (short) events };
}

static void print_tallies(void) {
        printf("{");
        for (guint b = 0; b < N_BEHAVIOURS; b++) {
                GHashTableIter i;
                gpointer name, n;
                const char *comma = "";

                printf("%s\"%s\": {\"sent\": %" G_GUINT64_FORMAT ", \"answers\": %" G_GUINT64_FORMAT
                       ", \"closed\": %" G_GUINT64_FORMAT ", \"errors\": {",
                       b > 0 ? ", " : "", names[b], tally[b].sent, tally[b].answers, tally[b].closed);
                g_hash_table_iter_init(&i, tally[b].errors);
                while (g_hash_table_iter_next(&i, &name, &n)) {
                        printf("%s\"%s\": %" G_GUINT64_FORMAT, comma, (char *) name, *(guint64 *) n);
                        comma = ", ";
                }
                printf("}}");
        }
        puts("}");
}

int main(int argc, char **argv) {
        g_autofree struct pollfd *fds = NULL;
        g_autofree Caller *callers = NULL;
        int n = argc > 2 ? atoi(argv[2]) : 0, only = -1;

        for (int b = 0; b < N_BEHAVIOURS; b++) {
                tally[b].errors = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
                if (argc > 3 && strcmp(argv[3], names[b]) == 0)
                        only = b;
        }
        if (n < 1 || (argc > 3 && only < 0))
                errx(2, "usage: hostile ADDRESS CALLERS [flood|cancel|disconnect|hang]");
        address = argv[1];
        callers = g_new0(Caller, (gsize) n);
        fds = g_new0(struct pollfd, (gsize) n);
        for (int i = 0; i < n; i++)
                callers[i].behaviour = (Behaviour) (only >= 0 ? only : i % N_BEHAVIOURS);
        (void) signal(SIGTERM, on_signal);

        while (!is_over) {
                bool is_busy = false;

                for (int i = 0; i < n; i++) {
                        is_busy |= step(&callers[i]);
                        fds[i] = poll_of(&callers[i]);
                }
                if (poll(fds, (nfds_t) n, is_busy ? 0 : 10) < 0 && errno != EINTR)
                        err(1, "poll");
        }
        print_tallies();
        return 0;
}
