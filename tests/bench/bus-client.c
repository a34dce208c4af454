/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* bus-client ping|attest COUNT [ADDRESS]: latency of Peer.Ping and of Attest over the bus.
 * bus-client callers COUNT [ROUNDS]: that many connections at once, each with so many
 * requests one after the other; latency of the answers, and of a property that is read
 * all the while.
 * bus-client wakeup COUNT: from a byte in a pipe to the return of poll() in another process.
 * bus-client probe COUNT UID FOLDER: from the kernel's entry in IMA's log to the return of
 * poll() on a probe in another process: what attestd is woken by.
 * bus-client stale COUNT UID FOLDER [ADDRESS]: from the kernel's entry in IMA's log to the
 * signal Stale of a session. Each time a file of that user, which IMA measures, is read there.
 * bus-client sessions COUNT: open that many sessions over as many connections as
 * the limits ask for, say "open", and keep them until standard input ends.
 * ADDRESS: of attestd's direct socket, in the place of the bus. */
#include "appended.h"
#include "calls.h"
#include "latency.h"

#include <err.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define SESSIONS_PER_CONNECTION 200u
/* Longer than attestd collects entries before it tells of them. */
#define QUIET_US (100u * 1000u)

/* The answer, for the caller to unref; @call is used up. */
static sd_bus_message *call_and_wait(sd_bus *bus, sd_bus_message *call, const char *what) {
        sd_bus_error error = SD_BUS_ERROR_NULL;
        sd_bus_message *reply = NULL;

        call_check(sd_bus_call(bus, call, 0, &error, &reply), what, &error);
        sd_bus_message_unref(call);
        return reply;
}

static char *open_session(sd_bus *bus) {
        sd_bus_message *reply = call_and_wait(bus, call_open_session(bus), "OpenSession");
        const char *path;
        char *copy;

        call_check(sd_bus_message_read(reply, "o", &path), "OpenSession", NULL);
        copy = g_strdup(path);
        sd_bus_message_unref(reply);
        return copy;
}

static void ping(sd_bus *bus) {
        sd_bus_message_unref(call_and_wait(bus, call_ping(bus), "Ping"));
}

static void attest(sd_bus *bus, const char *session) {
        sd_bus_message *reply = call_and_wait(bus, call_attest(bus, session, &(AttestOptions){ 0 }), "Attest");
        const void *evidence;
        size_t size;

        call_check(sd_bus_message_read_array(reply, 'y', &evidence, &size), "Attest", NULL);
        if (size < 1000)
                errx(1, "short evidence");
        sd_bus_message_unref(reply);
}

static sd_bus *connect_to(const char *address) {
        sd_bus *bus = call_connect(address ? address : "system");

        if (!bus)
                err(1, "%s", address ? address : "bus");
        return bus;
}

static void measure(const char *what, guint count, const char *address) {
        g_autoptr(GArray) samples = g_array_new(FALSE, FALSE, sizeof(gint64));
        g_autofree char *session = NULL;
        sd_bus *bus = connect_to(address);

        session = open_session(bus);
        for (guint i = 0; i < count + count / 10; i++) {
                gint64 start = latency_now();

                if (strcmp(what, "ping") == 0)
                        ping(bus);
                else
                        attest(bus, session);
                start = latency_now() - start;
                if (i >= count / 10) /* the first tenth warms up */
                        g_array_append_val(samples, start);
        }
        latency_print(what, samples);
        sd_bus_flush_close_unref(bus);
}

static void hold_sessions(guint count) {
        g_autoptr(GPtrArray) buses = g_ptr_array_new_with_free_func((GDestroyNotify) sd_bus_flush_close_unref);

        for (guint i = 0; i < count; i++) {
                if (i % SESSIONS_PER_CONNECTION == 0) {
                        sd_bus *bus = NULL;

                        call_check(sd_bus_open_system(&bus), "bus", NULL);
                        g_ptr_array_add(buses, bus);
                }
                g_free(open_session(buses->pdata[buses->len - 1]));
        }
        puts("open");
        (void) fflush(stdout);
        while (getchar() != EOF)
                ;
}

#define ROUNDS_MAX 16u

static guint rounds = 4;

/* One connection of many. */
typedef struct Caller {
        pthread_barrier_t *start;
        gint64 took[ROUNDS_MAX];
        sd_bus *bus;
        char *session;
} Caller;

static gpointer call_in_rounds(gpointer userdata) {
        Caller *c = userdata;

        (void) pthread_barrier_wait(c->start);
        for (guint i = 0; i < rounds; i++) {
                gint64 start = latency_now();

                attest(c->bus, c->session);
                c->took[i] = latency_now() - start;
        }
        return NULL;
}

static gint are_busy = 1; /* atomic */

static gpointer read_property(gpointer userdata) {
        g_autoptr(GArray) samples = g_array_new(FALSE, FALSE, sizeof(gint64));
        pthread_barrier_t *start = userdata;
        sd_bus *bus = NULL;

        call_check(sd_bus_open_system(&bus), "bus", NULL);
        (void) pthread_barrier_wait(start);
        while (g_atomic_int_get(&are_busy)) {
                sd_bus_error error = SD_BUS_ERROR_NULL;
                gint64 took = latency_now();
                uint64_t generation;

                call_check(sd_bus_get_property_trivial(bus, ATTESTER_NAME, ATTESTER_PATH, ATTESTER_NAME, "Generation",
                                                       &error, 't', &generation),
                           "Generation", &error);
                took = latency_now() - took;
                g_array_append_val(samples, took);
        }
        latency_print("property", samples);
        sd_bus_flush_close_unref(bus);
        return NULL;
}

static void call_all_at_once(guint count) {
        g_autoptr(GArray) samples = g_array_new(FALSE, FALSE, sizeof(gint64));
        g_autofree GThread **threads = g_new(GThread *, count);
        g_autofree Caller *callers = g_new0(Caller, count);
        pthread_barrier_t start;
        GThread *reader;

        (void) pthread_barrier_init(&start, NULL, count + 1);
        for (guint i = 0; i < count; i++) {
                callers[i].start = &start;
                call_check(sd_bus_open_system(&callers[i].bus), "bus", NULL);
                callers[i].session = open_session(callers[i].bus);
                threads[i] = g_thread_new("caller", call_in_rounds, &callers[i]);
        }
        reader = g_thread_new("property", read_property, &start);
        for (guint i = 0; i < count; i++)
                g_thread_join(threads[i]);
        g_atomic_int_set(&are_busy, 0);
        g_thread_join(reader);

        for (guint i = 0; i < count; i++) {
                g_array_append_vals(samples, callers[i].took, rounds);
                g_free(callers[i].session);
                sd_bus_flush_close_unref(callers[i].bus);
        }
        latency_print("callers", samples);
        (void) pthread_barrier_destroy(&start);
}

/* That it waits for us in a call, and does not merely give way: what wakes it has to. */
static void wait_until_asleep(pid_t pid) {
        g_autofree char *path = g_strdup_printf("/proc/%d/stat", (int) pid);

        for (;;) {
                g_autofree char *line = NULL;
                const char *state;

                if (!g_file_get_contents(path, &line, NULL, NULL))
                        errx(1, "%s: the process has ended", path);
                state = strrchr(line, ')'); /* its name may have any character */
                if (state && g_str_has_prefix(state, ") S"))
                        return;
                (void) sched_yield();
        }
}

/* What no chain of wake-ups can be faster than. */
static void measure_wakeup(guint count) {
        g_autoptr(GArray) samples = g_array_new(FALSE, FALSE, sizeof(gint64));
        int there[2], back[2];
        pid_t pid;

        if (pipe2(there, O_CLOEXEC) < 0 || pipe2(back, O_CLOEXEC) < 0 || (pid = fork()) < 0)
                err(1, "wakeup");
        if (pid == 0) {
                struct pollfd p = { .fd = there[0], .events = POLLIN };
                gint64 woken;
                char c;

                close(there[1]);
                while (poll(&p, 1, -1) == 1) {
                        woken = latency_now();
                        if (read(there[0], &c, 1) != 1 || write(back[1], &woken, sizeof woken) != sizeof woken)
                                break;
                }
                _exit(0);
        }
        for (guint i = 0; i < count; i++) {
                gint64 start, woken;

                wait_until_asleep(pid);
                start = latency_now();
                if (write(there[1], "", 1) != 1 || read(back[0], &woken, sizeof woken) != sizeof woken)
                        err(1, "wakeup");
                start = woken - start;
                g_array_append_val(samples, start);
        }
        close(there[1]);
        (void) waitpid(pid, NULL, 0);
        latency_print("wakeup", samples);
}

static gint64 stale_at;

static int on_stale(sd_bus_message *signal, void *userdata, sd_bus_error *error) {
        (void) signal, (void) userdata, (void) error;
        stale_at = latency_now();
        return 0;
}

static void process_all(sd_bus *bus) {
        int r;

        do
                call_check(r = sd_bus_process(bus, NULL), "bus", NULL);
        while (r > 0);
}

/* Until nothing more is told: attestd no longer collects what came before. */
static void wait_for_quiet(sd_bus *bus) {
        int r;

        do {
                process_all(bus);
                call_check(r = sd_bus_wait(bus, QUIET_US), "bus", NULL);
        } while (r > 0);
}

static void read_new_file(const char *folder, uid_t uid, guint i) {
        g_autofree char *path = g_strdup_printf("%s/%d.%u", folder, (int) getpid(), i);
        int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);

        if (fd < 0 || dprintf(fd, "%s\n", path) < 0 || fchown(fd, uid, (gid_t) -1) < 0 || close(fd) < 0)
                err(1, "%s", path);
        fd = open(path, O_RDONLY | O_CLOEXEC);
        if (fd < 0 || close(fd) < 0 || unlink(path) < 0)
                err(1, "%s", path);
}

/* One file after the other, each when the probe has told the one before. */
static void measure_probe(guint count, uid_t uid, const char *folder) {
        g_autoptr(GArray) samples = g_array_new(FALSE, FALSE, sizeof(gint64));
        struct pollfd p = { .fd = appended_watch(), .events = POLLIN };
        pid_t pid, parent = getpid();
        int go[2];
        char c;

        if (pipe2(go, O_CLOEXEC) < 0 || (pid = fork()) < 0)
                err(1, "probe");
        if (pid == 0) {
                close(go[1]);
                for (guint i = 0; read(go[0], &c, 1) == 1; i++) {
                        wait_until_asleep(parent);
                        read_new_file(folder, uid, i);
                }
                _exit(0);
        }
        while (samples->len < count) {
                gint64 took;

                if (write(go[1], "", 1) != 1)
                        err(1, "probe");
                do {
                        if (poll(&p, 1, -1) != 1)
                                err(1, "probe");
                        took = latency_now();
                        took -= appended_when();
                } while (took > 60 * (gint64) G_USEC_PER_SEC * 1000); /* told, and nothing there */
                g_array_append_val(samples, took);
        }
        close(go[1]);
        (void) waitpid(pid, NULL, 0);
        latency_print("probe", samples);
}

static void measure_stale(guint count, uid_t uid, const char *folder, const char *address) {
        g_autoptr(GArray) samples = g_array_new(FALSE, FALSE, sizeof(gint64));
        g_autofree char *session = NULL;
        sd_bus *bus = connect_to(address);

        (void) appended_watch();
        session = open_session(bus);
        call_check(sd_bus_match_signal(bus, NULL, NULL, session, SESSION_NAME, "Stale", on_stale, NULL), "match",
                   NULL);
        for (guint i = 0; i < count; i++) {
                gint64 took;

                attest(bus, session);
                wait_for_quiet(bus);
                (void) appended_when();
                stale_at = 0;
                read_new_file(folder, uid, i);
                while (stale_at == 0) {
                        process_all(bus);
                        if (stale_at == 0)
                                call_check(sd_bus_wait(bus, 60 * G_USEC_PER_SEC), "bus", NULL);
                }
                took = appended_when();
                if (took == 0)
                        errx(1, "stale, and the kernel has added nothing");
                took = stale_at - took;
                g_array_append_val(samples, took);
        }
        latency_print("stale", samples);
        sd_bus_flush_close_unref(bus);
}

int main(int argc, char **argv) {
        guint count = argc > 2 ? (guint) atoi(argv[2]) : 1000;

        if (argc > 1 && strcmp(argv[1], "sessions") == 0)
                hold_sessions(count);
        else if (argc > 1 && strcmp(argv[1], "callers") == 0) {
                if (argc > 3)
                        rounds = MIN((guint) atoi(argv[3]), ROUNDS_MAX);
                call_all_at_once(count);
        } else if (argc > 1 && strcmp(argv[1], "wakeup") == 0)
                measure_wakeup(count);
        else if (argc > 4 && strcmp(argv[1], "probe") == 0)
                measure_probe(count, (uid_t) atoi(argv[3]), argv[4]);
        else if (argc > 4 && strcmp(argv[1], "stale") == 0)
                measure_stale(count, (uid_t) atoi(argv[3]), argv[4], argc > 5 ? argv[5] : NULL);
        else if (argc > 1 && (strcmp(argv[1], "ping") == 0 || strcmp(argv[1], "attest") == 0))
                measure(argv[1], count, argc > 3 ? argv[3] : NULL);
        else
                errx(2, "usage: bus-client ping|attest|callers|wakeup|probe|stale|sessions COUNT");
        return 0;
}
