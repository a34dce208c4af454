/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Thousands of connections in one process: what each of them costs the library, beside
 * its TLS; how long they take is for the renewal-storm of tests/bench to say. Full numbers
 * with ATTESTD_TEST_LONG=yes. */
#include "lib/services.h"
#include "run.h"

#include <glib/gstdio.h>
#include <malloc.h>
#include <poll.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#define ROUNDS 2
/* What a connection may hold of memory when nothing is under way. */
#define BYTES_MAX 1024

static const uint8_t exported[ATT_EXPORTED_SIZE] = { 0xe0, 1 };

/* attestd, in a process of its own. */
typedef struct Attestd {
        GPid pid;
        int in;
        FILE *out;
        char *directory, *socket;
} Attestd;

static void attestd_start(Attestd *a) {
        g_autofree char *address = NULL;
        g_autoptr(GError) error = NULL;
        char line[16] = "";
        int out;

        a->directory = g_dir_make_tmp("attestd-XXXXXX", NULL);
        a->socket = g_build_filename(a->directory, "bus", NULL);
        ck_assert_msg(g_spawn_async_with_pipes(NULL, (char *[]) { (char *) CROWD_ATTESTD, a->socket, NULL }, NULL,
                                               G_SPAWN_DO_NOT_REAP_CHILD, NULL, NULL, &a->pid, &a->in, &out, NULL,
                                               &error),
                      "%s", error ? error->message : "");
        a->out = fdopen(out, "r");
        ck_assert_ptr_nonnull(fgets(line, sizeof line, a->out));
        ck_assert_str_eq(line, "ready\n");
        address = g_strdup_printf("unix:path=%s", a->socket);
        att_services_look_at(g_intern_string(address));
}

static void attestd_stop(Attestd *a) {
        close(a->in); /* it ends with its input */
        (void) fclose(a->out);
        ck_assert_int_eq(waitpid(a->pid, NULL, 0), a->pid);
        (void) g_unlink(a->socket);
        (void) g_rmdir(a->directory);
        g_free(a->socket);
        g_free(a->directory);
}

static void tell_stale(Attestd *a, guint64 generation) {
        ck_assert_int_gt(dprintf(a->in, "stale %" G_GUINT64_FORMAT "\n", generation), 0);
}

/* Whoever is woken has something to do, and once it is done is left in peace. */
static AttEvent *wait_event(AttServices *s) {
        struct pollfd p = { .fd = s->ops->fd(s), .events = POLLIN };
        AttEvent *event;

        ck_assert_int_eq(poll(&p, 1, 60000), 1);
        event = s->ops->next(s);
        ck_assert_ptr_nonnull(event);
        ck_assert_int_eq(poll(&p, 1, 0), 0);
        return event;
}

static guint entries_of(const char *directory) {
        g_autoptr(GDir) dir = g_dir_open(directory, 0, NULL);
        guint n = 0;

        while (g_dir_read_name(dir))
                n++;
        return n;
}

/* That attestd was asked, ever. */
typedef struct Calls {
        guint open_session, attest, others;
} Calls;

static Calls count_calls(Attestd *a) {
        char line[100] = "";
        Calls calls;

        ck_assert_int_gt(dprintf(a->in, "count\n"), 0);
        ck_assert_ptr_nonnull(fgets(line, sizeof line, a->out));
        ck_assert_int_eq(sscanf(line, "OpenSession %u Attest %u others %u", &calls.open_session, &calls.attest,
                                &calls.others), 3);
        return calls;
}

static AttServices **crowd_new(AttestdEndpoint *endpoint, guint n) {
        const AttTransport transport = { .role = ATT_ROLE_SERVER, .hash = ATT_HASH_SHA256 };
        AttServices **s = g_new(AttServices *, n);

        for (guint i = 0; i < n; i++) {
                g_autoptr(GError) error = NULL;

                s[i] = att_services_new(endpoint, &transport, &error);
                ck_assert_msg(s[i] != NULL, "%s", error ? error->message : "");
        }
        return s;
}

/* All at once, as after a change; and each answer is whole. */
static void attest_all(AttServices **s, guint n, guint64 generation) {
        g_autoptr(GBytes) context = g_bytes_new_static("context", 7), key = g_bytes_new_static("key", 3);

        for (guint i = 0; i < n; i++)
                s[i]->ops->attest(s[i], exported, context, key, "tag:profile", true);
        for (guint i = 0; i < n; i++) {
                g_autoptr(AttEvent) event = wait_event(s[i]);

                ck_assert_int_eq(event->type, ATT_EVENT_EVIDENCE);
                ck_assert_msg(!event->error, "%s", event->error ? event->error->message : "");
                ck_assert_uint_eq(event->state.generation, generation);
                ck_assert_uint_gt(g_bytes_get_size(event->bytes), 8192);
        }
}

static void hear_all(AttServices **s, guint n, guint64 generation) {
        for (guint i = 0; i < n; i++) {
                g_autoptr(AttEvent) event = wait_event(s[i]);

                ck_assert_int_eq(event->type, ATT_EVENT_STALE);
                ck_assert_uint_eq(event->state.generation, generation);
        }
}

typedef struct Cost {
        Calls calls;  /* of all renewals */
        gsize bytes;  /* that a session holds */
        guint descriptors;
        int threads;
} Cost;

static Cost cost_of(Attestd *a, AttestdEndpoint *endpoint, guint n, guint64 *generation) {
        AttServices **first = crowd_new(endpoint, 1), **s;
        guint threads, descriptors;
        struct mallinfo2 before, after;
        Calls start, end;
        Cost cost = { 0 };

        attest_all(first, 1, *generation); /* what was freed before it is gone now */
        threads = entries_of("/proc/self/task");
        descriptors = entries_of("/proc/self/fd");
        before = mallinfo2();
        s = crowd_new(endpoint, n);
        attest_all(s, n, *generation);
        after = mallinfo2();
        cost.bytes = (after.uordblks + after.hblkhd - before.uordblks - before.hblkhd) / n;
        cost.descriptors = entries_of("/proc/self/fd") - descriptors;
        cost.threads = (int) entries_of("/proc/self/task") - (int) threads;

        start = count_calls(a);
        for (guint i = 0; i < ROUNDS; i++) {
                tell_stale(a, ++*generation);
                hear_all(first, 1, *generation);
                hear_all(s, n, *generation);
                attest_all(s, n, *generation);
        }
        end = count_calls(a);
        cost.calls = (Calls) { end.open_session - start.open_session, end.attest - start.attest,
                               end.others - start.others };
        for (guint i = 0; i < n; i++)
                s[i]->ops->free(s[i]);
        g_free(s);
        first[0]->ops->free(first[0]);
        g_free(first);
        (void) printf("%u sessions: %zu bytes each\n", n, cost.bytes);
        return cost;
}

/* The library's own thread and GDBus's are there from the first session on. */
START_TEST(a_session_among_thousands_takes_one_call_and_one_descriptor) {
        guint many = g_strcmp0(g_getenv("ATTESTD_TEST_LONG"), "yes") == 0 ? 10000 : 2000;
        g_autoptr(AttestdEndpoint) endpoint = attestd_endpoint_new();
        struct rlimit limit;
        Attestd a = { 0 };
        guint64 generation = 1;
        Cost cost;

        ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &limit), 0);
        limit.rlim_cur = limit.rlim_max;
        (void) setrlimit(RLIMIT_NOFILE, &limit);
        ck_assert_uint_gt(limit.rlim_cur, many + 100);
        attestd_start(&a);
        (void) cost_of(&a, endpoint, many / 10, &generation);
        cost = cost_of(&a, endpoint, many, &generation);

        ck_assert_uint_eq(cost.descriptors, many);
        ck_assert_int_le(cost.threads, 0);
        ck_assert_uint_le(cost.bytes, BYTES_MAX); /* of no use under a sanitizer, which says 0 */
        ck_assert_uint_eq(cost.calls.attest, ROUNDS * many);
        ck_assert_uint_eq(cost.calls.open_session, 0);
        ck_assert_uint_eq(cost.calls.others, 0);
        attestd_stop(&a);
}
END_TEST

int main(void) {
        Suite *s = suite_create("crowd");
        TCase *t = tcase_create("crowd");

        tcase_set_timeout(t, 100);
        tcase_add_test(t, a_session_among_thousands_takes_one_call_and_one_descriptor);
        suite_add_tcase(s, t);
        return run_suite(s);
}
