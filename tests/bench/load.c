/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* load: requests of attestd by the ten thousand, from one thread, and how long their answers took.
 *
 * Closed loop: each session asks again when it has its answer. Open loop (--rate): requests are
 * due by a schedule that waits for nobody, and their latency counts from when they were due: what
 * a slow answer makes the next ones wait is not left out.
 *
 * Renewal (--renew): each session has evidence, of which nothing counts, and "ready" is printed. Then each asks once,
 * when it is told that its evidence is stale: from that its latency counts, and the seconds from the first of them.
 *
 * --wait: when all sessions are open it prints "ready", and goes on when there is a line to read. --patient: who cannot
 * connect or open a session counts it and tries again; with the seconds over and none open, that is all it has to tell.
 *
 * One JSON object comes out. Of requests that were due before the warm-up was over, nothing counts. */
#include "calls.h"
#include "histogram.h"
#include "latency.h"

#include <err.h>
#include <errno.h>
#include <math.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#define SECOND G_GINT64_CONSTANT(1000000000)
#define REST (10 * 1000000) /* ns, of a session that was refused */
/* sd-bus moves all that is queued up for each message that leaves. */
#define QUEUED_MAX 64u
#define MESSAGES_A_TURN 256u
#define OPENINGS_MAX 64u
/* The service takes these as known to a connection, see option "split". */
#define SHARED_KNOWN 4u

enum { BATCH_OFF, BATCH_ON, BATCH_MIXED };

static struct {
        char *address, *call, *batch_word;
        gint connections, sessions, window, count, rounds, timeout_ms, inspect;
        gboolean split, poisson, renew, wait, patient;
        double rate, seconds, warmup, drain;
        int batch;
        bool is_ping, asks_driver;
} option = {
        .connections = 1, .sessions = 1, .window = 1 << 20, .inspect = 1, .seconds = 5, .drain = 60,
};

typedef struct Session Session;

typedef struct Connection {
        sd_bus *bus;
        GQueue due;       /* of Call, by their link: to be sent */
        guint n_outstanding;
        guint n_opening;  /* sessions: OpenSession was sent */
        guint n_open;
        guint n_sessions;
        guint first;      /* of its sessions */
        guint64 known[SHARED_KNOWN];
        guint n_known;
} Connection;

struct Session {
        Connection *connection;
        char *path;
        guint rounds;
        bool is_batched;
        bool is_stale; /* and has asked */
};

typedef struct Call {
        Session *session;
        gint64 due;
        GList link;
} Call;

/* Of requests that want one form. */
typedef struct Figures {
        Histogram latency;
        guint64 answers; /* within the time that counts */
        guint64 bytes;   /* of evidence in them */
        guint64 batch_max;
        guint64 batch_1; /* answers in the plain form */
} Figures;

static Connection *connections;
static Session *sessions;
static Figures figures[2]; /* plain, batched */
static GQueue resting;     /* of Call, by their link; due when they have rested */
static GQueue unused;      /* of Call */
static GHashTable *errors; /* guint64 *, by name: of all requests */
static GHashTable *reports;
static guint64 n_answers, n_sent, n_refused, n_shared, n_done_rounds;
static guint n_outstanding, n_open;
static gint64 started, counts_from, ends, last_answer;
static bool is_ending, is_ready;
static GHashTable *by_path; /* of Session, by its path: those that are to be renewed */

/* ----- figures */

static void count_error(const char *name) {
        guint64 *n = g_hash_table_lookup(errors, name);

        if (!n) {
                n = g_new0(guint64, 1);
                g_hash_table_insert(errors, g_strdup(name), n);
        }
        (*n)++;
}

/* A digest is as good as any number. */
static void note_report(const void *report_data, size_t size) {
        guint64 *key;

        if (size < sizeof *key)
                errx(1, "short report_data");
        key = g_memdup2(report_data, sizeof *key);
        if (g_hash_table_contains(reports, key))
                g_free(key);
        else
                g_hash_table_add(reports, key);
}

static void note_shared(Connection *c, guint64 id, bool has_fd) {
        bool is_known = false;

        for (guint i = 0; i < SHARED_KNOWN; i++)
                is_known |= i < c->n_known && c->known[i] == id;
        if (!has_fd && !is_known && option.inspect == 1)
                count_error("(client) a shared part that this connection was not given");
        if (!has_fd)
                return;
        n_shared++;
        c->known[c->n_known++ % SHARED_KNOWN] = id;
}

static void read_info(Connection *c, sd_bus_message *reply, Figures *f) {
        guint64 shared = 0, batch = 0; /* 0: not said, as it was with the shared part */
        bool has_fd = false;
        const char *key;

        call_check(sd_bus_message_enter_container(reply, 'a', "{sv}"), "info", NULL);
        while (sd_bus_message_enter_container(reply, 'e', "sv") > 0) {
                call_check(sd_bus_message_read_basic(reply, 's', &key), "info", NULL);
                if (strcmp(key, "report_data") == 0) {
                        const void *data;
                        size_t size;

                        call_check(sd_bus_message_enter_container(reply, 'v', "ay"), key, NULL);
                        call_check(sd_bus_message_read_array(reply, 'y', &data, &size), key, NULL);
                        call_check(sd_bus_message_exit_container(reply), key, NULL);
                        note_report(data, size);
                } else if (strcmp(key, "batch") == 0)
                        call_check(sd_bus_message_read(reply, "v", "t", &batch), key, NULL);
                else if (strcmp(key, "shared") == 0)
                        call_check(sd_bus_message_read(reply, "v", "t", &shared), key, NULL);
                else {
                        has_fd |= strcmp(key, "shared_fd") == 0;
                        call_check(sd_bus_message_skip(reply, "v"), key, NULL);
                }
                call_check(sd_bus_message_exit_container(reply), "info", NULL);
        }
        if (shared != 0)
                note_shared(c, shared, has_fd);
        f->batch_max = MAX(f->batch_max, batch);
        f->batch_1 += batch == 1;
}

/* ----- requests */

static Call *new_call(Session *s, gint64 due) {
        GList *link = g_queue_pop_head_link(&unused);
        Call *call = link ? link->data : g_new0(Call, 1);

        call->session = s;
        call->due = due;
        call->link.data = call;
        return call;
}

static void plan(Session *s, gint64 due) {
        g_queue_push_tail_link(&s->connection->due, &new_call(s, due)->link);
}

static bool is_closed_loop(void) {
        return option.rate <= 0;
}

static int on_answer(sd_bus_message *reply, void *userdata, sd_bus_error *error) {
        Call *call = userdata;
        Session *s = call->session;
        Connection *c = s->connection;
        Figures *f = &figures[s->is_batched];
        gint64 now = latency_now();

        (void) error;
        c->n_outstanding--;
        n_outstanding--;
        if (sd_bus_message_is_method_error(reply, NULL)) {
                count_error(sd_bus_message_get_error(reply)->name);
                n_refused++;
                if (is_closed_loop() && !is_ending) {
                        call->due = now + REST;
                        g_queue_push_tail_link(&resting, &call->link);
                } else
                        g_queue_push_head_link(&unused, &call->link);
                return 0;
        }

        if (!option.is_ping) {
                const void *evidence;
                size_t size;

                call_check(sd_bus_message_read_array(reply, 'y', &evidence, &size), "Attest", NULL);
                f->bytes += size;
                if (n_answers % (guint) option.inspect == 0)
                        read_info(c, reply, f);
        }
        n_answers++;
        last_answer = now;
        if (now >= counts_from && now < ends)
                f->answers++;
        if (call->due >= counts_from)
                histogram_add(&f->latency, now - call->due);

        s->rounds++;
        if (option.rounds > 0 && s->rounds == (guint) option.rounds)
                n_done_rounds++;
        if (is_closed_loop() && !is_ending && (option.rounds == 0 || s->rounds < (guint) option.rounds)) {
                call->due = now;
                g_queue_push_tail_link(&c->due, &call->link);
        } else
                g_queue_push_head_link(&unused, &call->link);
        return 0;
}

static bool has_room(Connection *c) {
        uint64_t n;

        call_check(sd_bus_get_n_queued_write(c->bus, &n), "queue", NULL);
        return n < QUEUED_MAX;
}

static void send_due(Connection *c) {
        while (c->due.length > 0 && c->n_outstanding < (guint) option.window && has_room(c)) {
                Call *call = g_queue_pop_head_link(&c->due)->data;
                Session *s = call->session;
                AttestOptions o = {
                        .batch = s->is_batched,
                        .split = option.split,
                        .timeout_ms = (guint) option.timeout_ms,
                };
                sd_bus_message *m = option.asks_driver ? call_get_id(c->bus)
                                    : option.is_ping ? call_ping(c->bus)
                                                     : call_attest(c->bus, s->path, &o);

                call_check(sd_bus_call_async(c->bus, NULL, m, on_answer, call, UINT64_MAX), "call", NULL);
                sd_bus_message_unref(m);
                c->n_outstanding++;
                n_outstanding++;
                n_sent++;
        }
}

/* ----- sessions */

static int on_open(sd_bus_message *reply, void *userdata, sd_bus_error *error) {
        Connection *c = userdata;
        const char *path;

        (void) error;
        if (option.patient && sd_bus_message_is_method_error(reply, NULL)) {
                count_error(sd_bus_message_get_error(reply)->name);
                c->n_opening--;
                return 0;
        }
        call_check(sd_bus_message_is_method_error(reply, NULL) ? -EIO : 0, "OpenSession",
                   sd_bus_message_get_error(reply));
        call_check(sd_bus_message_read(reply, "o", &path), "OpenSession", NULL);
        sessions[c->first + c->n_open].path = g_strdup(path);
        c->n_opening--;
        c->n_open++;
        n_open++;
        return 0;
}

static void open_sessions(Connection *c) {
        while (c->n_open + c->n_opening < c->n_sessions && c->n_opening < OPENINGS_MAX && has_room(c)) {
                sd_bus_message *m = call_open_session(c->bus);

                /* 0: as long as libraries wait */
                call_check(sd_bus_call_async(c->bus, NULL, m, on_open, c, option.patient ? 0 : UINT64_MAX),
                           "OpenSession", NULL);
                sd_bus_message_unref(m);
                c->n_opening++;
        }
}

/* ----- renewal */

static int on_stale(sd_bus_message *signal, void *userdata, sd_bus_error *error) {
        Session *s = g_hash_table_lookup(by_path, sd_bus_message_get_path(signal));
        gint64 now = latency_now();

        (void) userdata, (void) error;
        if (!s)
                return 0;
        if (!is_ready || s->is_stale) {
                count_error("(client) a session that is stale before the event, or once more");
                return 0;
        }
        s->is_stale = true;
        plan(s, now);
        counts_from = MIN(counts_from, now);
        return 0;
}

static void listen_for_stale(void) {
        by_path = g_hash_table_new(g_str_hash, g_str_equal);
        for (gint i = 0; i < option.sessions; i++)
                g_hash_table_insert(by_path, sessions[i].path, &sessions[i]);
        for (gint i = 0; i < option.connections; i++)
                call_check(sd_bus_match_signal(connections[i].bus, NULL, NULL, NULL, SESSION_NAME, "Stale", on_stale,
                                               NULL),
                           "match", NULL);
}

/* What was is no part of it. */
static void forget_all(void) {
        for (gint i = 0; i < option.sessions; i++)
                sessions[i].rounds = 0;
        memset(figures, 0, sizeof figures);
        g_hash_table_remove_all(errors);
        g_hash_table_remove_all(reports);
        n_answers = n_sent = n_refused = n_shared = n_done_rounds = 0;
}

/* ----- the loop */

static int timeout_of(sd_bus *bus, gint64 *ret_until) {
        uint64_t usec;

        call_check(sd_bus_get_timeout(bus, &usec), "time-out", NULL);
        if (usec != UINT64_MAX)
                *ret_until = MIN(*ret_until, (gint64) usec * 1000);
        return sd_bus_get_events(bus);
}

/* Until a message can be read or written, or @until. */
static void wait_for_events(gint64 until) {
        static struct pollfd *fds;
        struct timespec t = { 0 };
        gint64 left;

        if (!fds)
                fds = g_new0(struct pollfd, (gsize) option.connections);
        for (gint i = 0; i < option.connections; i++) {
                int events = timeout_of(connections[i].bus, &until);

                call_check(events, "events", NULL);
                fds[i] = (struct pollfd){ .fd = sd_bus_get_fd(connections[i].bus), .events = (short) events };
        }
        left = until - latency_now();
        if (left > 0)
                t = (struct timespec){ .tv_sec = left / SECOND, .tv_nsec = left % SECOND };
        if (ppoll(fds, (nfds_t) option.connections, &t, NULL) < 0 && errno != EINTR)
                err(1, "poll");
}

/* Returns: is there more to do? */
static bool process(Connection *c) {
        for (guint i = 0; i < MESSAGES_A_TURN; i++) {
                int r = sd_bus_process(c->bus, NULL);

                call_check(r, "connection", NULL);
                if (r == 0)
                        return false;
        }
        return true;
}

static bool process_all(void) {
        bool is_busy = false;

        for (gint i = 0; i < option.connections; i++)
                is_busy |= process(&connections[i]);
        return is_busy;
}

/* Returns: are all open? */
static bool open_all(gint64 until) {
        while (n_open < (guint) option.sessions && latency_now() < until) {
                bool is_busy = process_all();

                for (gint i = 0; i < option.connections; i++)
                        open_sessions(&connections[i]);
                if (n_open < (guint) option.sessions)
                        wait_for_events(is_busy ? 0 : MIN(latency_now() + 60 * SECOND, until));
        }
        return n_open == (guint) option.sessions;
}

static void wait_for_line(void) {
        int c;

        puts("ready");
        (void) fflush(stdout);
        while ((c = getchar()) != '\n' && c != EOF)
                ;
}

static double next_gap(void) {
        double even = (double) SECOND / option.rate;

        return option.poisson ? -log(1 - g_random_double()) * even : even;
}

/* Plan all that is due by now. Returns: when the next one is. */
static gint64 plan_arrivals(gint64 now) {
        static double next; /* since the start */
        static guint turn;

        while (!is_ending && (double) started + next <= (double) now) {
                plan(&sessions[turn++ % (guint) option.sessions], started + (gint64) next);
                next += next_gap();
        }
        return is_ending ? G_MAXINT64 : started + (gint64) next;
}

static gint64 wake_rested(gint64 now) {
        while (resting.head) {
                Call *call = resting.head->data;

                if (call->due > now)
                        return call->due;
                g_queue_unlink(&resting, &call->link);
                g_queue_push_tail_link(&call->session->connection->due, &call->link);
        }
        return G_MAXINT64;
}

static bool is_enough(gint64 now) {
        if (option.rounds > 0)
                return n_done_rounds >= (guint64) option.sessions || now >= ends;
        if (option.count > 0)
                return n_answers + n_refused >= (guint64) option.count;
        return now >= ends;
}

/* Until it is enough, and all that was asked is answered. */
static void turn_until_ended(void) {
        gint64 now = latency_now(), drained = G_MAXINT64;

        is_ending = false;
        while (!is_ending || (n_outstanding > 0 && now < drained)) {
                bool is_busy = process_all();
                gint64 until = MIN(now + SECOND, drained);

                now = latency_now();
                if (!is_ending && is_enough(now)) {
                        is_ending = true;
                        ends = MIN(ends, now);
                        drained = now + (gint64) (option.drain * SECOND);
                }
                if (!is_closed_loop())
                        until = MIN(until, plan_arrivals(now));
                until = MIN(until, wake_rested(now));
                for (gint i = 0; i < option.connections; i++)
                        /* What an open loop has planned is asked; a closed one stops. */
                        if (!is_ending || !is_closed_loop())
                                send_due(&connections[i]);
                wait_for_events(is_busy || (is_ending && n_outstanding == 0) ? 0 : until);
                now = latency_now();
        }
}

static void run(void) {
        started = latency_now();
        counts_from = started + (gint64) (option.warmup * SECOND);
        ends = option.rounds > 0 || option.count > 0 ? G_MAXINT64
                                                     : counts_from + (gint64) (option.seconds * SECOND);
        if (is_closed_loop())
                for (gint i = 0; i < option.sessions; i++)
                        plan(&sessions[i], started);
        turn_until_ended();
}

/* All of them, once, when each is told that it is time. */
static void renew(void) {
        option.rounds = 1;
        listen_for_stale();
        run();
        forget_all();

        is_ready = true;
        puts("ready");
        (void) fflush(stdout);
        counts_from = G_MAXINT64;
        ends = latency_now() + (gint64) (option.drain * SECOND);
        turn_until_ended();
}

/* ----- begin and end */

/* Returns: is it? */
static bool become_ready(Connection *c, gint64 until) {
        while (latency_now() < until) {
                int r = c->bus ? sd_bus_process(c->bus, NULL) : -errno;

                if (r >= 0 && sd_bus_is_ready(c->bus) > 0)
                        return true;
                if (r == 0)
                        r = sd_bus_wait(c->bus, (guint64) (until - latency_now()) / 1000);
                if (r >= 0 || r == -EINTR)
                        continue;
                if (!option.patient)
                        call_check(r, option.address, NULL);
                count_error("(client) no connection");
                sd_bus_close_unref(c->bus);
                (void) usleep(REST / 1000);
                c->bus = call_connect(option.address);
        }
        return false;
}

/* Returns: are all connected? */
static bool connect_all(gint64 until) {
        guint first = 0, each = (guint) (option.sessions / option.connections);
        gint more = option.sessions % option.connections;

        connections = g_new0(Connection, (gsize) option.connections);
        sessions = g_new0(Session, (gsize) option.sessions);
        for (gint i = 0; i < option.connections; i++) {
                Connection *c = &connections[i];

                c->bus = call_connect(option.address);
                if (!c->bus && !option.patient)
                        err(1, "%s", option.address);
                c->first = first;
                c->n_sessions = each + (i < more);
                for (guint k = 0; k < c->n_sessions; k++) {
                        Session *s = &sessions[first++];

                        s->connection = c;
                        s->is_batched = option.batch == BATCH_ON || (option.batch == BATCH_MIXED && k % 2 == 1);
                }
                if (!become_ready(c, until))
                        return false;
        }
        return true;
}

static void print_errors(void) {
        GHashTableIter i;
        gpointer name, n;
        const char *comma = "";

        printf("\"errors\": {");
        g_hash_table_iter_init(&i, errors);
        while (g_hash_table_iter_next(&i, &name, &n)) {
                printf("%s\"%s\": %" G_GUINT64_FORMAT, comma, (char *) name, *(guint64 *) n);
                comma = ", ";
        }
        printf("}");
}

static void print_figures(double opening) {
        guint64 in_time = figures[0].answers + figures[1].answers, bytes = figures[0].bytes + figures[1].bytes;
        double seconds = (double) (MIN(ends, last_answer) - counts_from) / SECOND;
        static Histogram all;
        struct rusage usage;

        if (ends < G_MAXINT64 && option.rounds == 0 && option.count == 0)
                seconds = option.seconds;
        for (guint k = 0; k < 2; k++) {
                all.count += figures[k].latency.count;
                all.max = MAX(all.max, figures[k].latency.max);
                for (guint i = 0; i < HISTOGRAM_BUCKETS; i++)
                        all.buckets[i] += figures[k].latency.buckets[i];
        }
        (void) getrusage(RUSAGE_SELF, &usage);

        printf("{\"latency\": ");
        histogram_print(&all);
        for (guint k = 0; k < 2 && option.batch == BATCH_MIXED; k++) {
                printf(", \"%s\": ", k == 0 ? "plain" : "batched");
                histogram_print(&figures[k].latency);
        }
        printf(", \"opening_seconds\": %.3f, \"seconds\": %.3f, \"rate\": %.1f", opening, seconds,
               seconds > 0 ? (double) in_time / seconds : 0);
        printf(", \"sent\": %" G_GUINT64_FORMAT ", \"answers\": %" G_GUINT64_FORMAT ", \"unanswered\": %u", n_sent,
               n_answers, n_outstanding);
        printf(", \"reports\": %u, \"plain_answers\": %" G_GUINT64_FORMAT ", \"largest_batch\": %" G_GUINT64_FORMAT,
               g_hash_table_size(reports), figures[0].batch_1 + figures[1].batch_1,
               MAX(figures[0].batch_max, figures[1].batch_max));
        printf(", \"shared_parts\": %" G_GUINT64_FORMAT ", \"bytes_per_answer\": %.0f", n_shared,
               n_answers > 0 ? (double) bytes / (double) n_answers : 0);
        printf(", \"cpu_seconds\": %.2f, ",
               (double) (usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
                       (double) (usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6);
        print_errors();
        puts("}");
}

static void read_options(int *argc, char ***argv) {
        GOptionEntry entries[] = {
                { "address", 0, 0, G_OPTION_ARG_STRING, &option.address, "system, or of a direct socket", "ADDRESS" },
                { "connections", 0, 0, G_OPTION_ARG_INT, &option.connections, "default 1", "N" },
                { "sessions", 0, 0, G_OPTION_ARG_INT, &option.sessions, "in all, default 1", "N" },
                { "call", 0, 0, G_OPTION_ARG_STRING, &option.call, "attest (default), ping, or driver: GetId there",
                  "WHAT" },
                { "window", 0, 0, G_OPTION_ARG_INT, &option.window, "calls under way on a connection at most", "N" },
                { "rate", 0, 0, G_OPTION_ARG_DOUBLE, &option.rate, "open loop: arrivals a second", "R" },
                { "poisson", 0, 0, G_OPTION_ARG_NONE, &option.poisson, "arrivals at random, not evenly", NULL },
                { "seconds", 0, 0, G_OPTION_ARG_DOUBLE, &option.seconds, "default 5", "S" },
                { "warmup", 0, 0, G_OPTION_ARG_DOUBLE, &option.warmup, "before them, default 0", "S" },
                { "count", 0, 0, G_OPTION_ARG_INT, &option.count, "instead of seconds: answers", "N" },
                { "rounds", 0, 0, G_OPTION_ARG_INT, &option.rounds, "instead: answers of each session", "N" },
                { "batch", 0, 0, G_OPTION_ARG_STRING, &option.batch_word, "off (default), on, mixed", "WHAT" },
                { "split", 0, 0, G_OPTION_ARG_NONE, &option.split, "shared parts once a connection", NULL },
                { "inspect", 0, 0, G_OPTION_ARG_INT, &option.inspect, "look only into one answer of N", "N" },
                { "renew", 0, 0, G_OPTION_ARG_NONE, &option.renew, "each session once, when it is stale", NULL },
                { "timeout-ms", 0, 0, G_OPTION_ARG_INT, &option.timeout_ms, "of each request", "N" },
                { "wait", 0, 0, G_OPTION_ARG_NONE, &option.wait, "for a line, with all sessions open", NULL },
                { "patient", 0, 0, G_OPTION_ARG_NONE, &option.patient, "count what fails before, and try again",
                  NULL },
                G_OPTION_ENTRY_NULL,
        };
        g_autoptr(GOptionContext) context = g_option_context_new("- requests of attestd, and how long they take");
        g_autoptr(GError) error = NULL;
        const char *words[] = { "off", "on", "mixed" };

        g_option_context_add_main_entries(context, entries, NULL);
        if (!g_option_context_parse(context, argc, argv, &error))
                errx(2, "%s", error->message);
        if (!option.address)
                option.address = g_strdup("system");
        option.asks_driver = g_strcmp0(option.call, "driver") == 0;
        option.is_ping = option.asks_driver || g_strcmp0(option.call, "ping") == 0;
        for (int i = 0; i < 3; i++)
                if (g_strcmp0(option.batch_word, words[i]) == 0)
                        option.batch = i;
        if (option.connections < 1 || option.sessions < option.connections || option.window < 1 ||
            option.inspect < 1)
                errx(2, "at least one connection, one session on each, and a window of one");
        if (option.renew && (option.is_ping || option.rate > 0 || option.warmup > 0))
                errx(2, "a renewal is of sessions, each when it is told, and has no warm-up");
}

int main(int argc, char **argv) {
        struct rlimit files;
        gint64 began, until;
        bool is_open;

        read_options(&argc, &argv);
        if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
                files.rlim_cur = files.rlim_max;
                (void) setrlimit(RLIMIT_NOFILE, &files);
        }
        errors = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
        reports = g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free, NULL);

        began = latency_now();
        until = option.patient ? began + (gint64) ((option.warmup + option.seconds) * SECOND) : G_MAXINT64;
        is_open = connect_all(until) && (option.is_ping || open_all(until));
        began = latency_now() - began;
        if (is_open && option.wait)
                wait_for_line();
        if (is_open && option.renew)
                renew();
        else if (is_open)
                run();
        print_figures((double) began / SECOND);
        return 0;
}
