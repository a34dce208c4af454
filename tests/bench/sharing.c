/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What a request costs the attester itself: no bus, and a TEE that takes no time.
 * Sessions ask all at once, share a report, and ask again. One core, one line:
 *
 *     sharing [--sessions N] [--rounds N] [--connections N] [--keys N] [--plain] [--split] [--quote BYTES]
 */
#include "attester/session.h"

#include "state-double.h"
#include "tee-double.h"
#include "util/error.h"

#include <malloc.h>
#include <stdio.h>
#include <string.h>

static int n_sessions = 10000, n_rounds = 20, n_connections = 1, n_keys = 1, quote_size = 8000;
static gboolean plain, split;

static const GOptionEntry options[] = {
        { "sessions", 0, 0, G_OPTION_ARG_INT, &n_sessions, "that ask at the same time", "N" },
        { "rounds", 0, 0, G_OPTION_ARG_INT, &n_rounds, "of all of them", "N" },
        { "connections", 0, 0, G_OPTION_ARG_INT, &n_connections, "that have them", "N" },
        { "keys", 0, 0, G_OPTION_ARG_INT, &n_keys, "of the servers", "N" },
        { "quote", 0, 0, G_OPTION_ARG_INT, &quote_size, "of each report", "BYTES" },
        { "plain", 0, 0, G_OPTION_ARG_NONE, &plain, "a report for each", NULL },
        { "split", 0, 0, G_OPTION_ARG_NONE, &split, "in two pieces", NULL },
        G_OPTION_ENTRY_NULL
};

static guint8 ed25519[44] = { 0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00 };

static guint n_answers, n_failed;
static guint64 n_bytes;

static void on_event(AttAttester *a, gpointer userdata) {
        (void) a, (void) userdata;
}

static void on_stale(AttSession *s, uint64_t generation, const char *const *reasons) {
        (void) s, (void) generation, (void) reasons;
}

static void on_changed(AttSession *s) {
        (void) s;
}

static void on_attested(const AttAttested *attested, GError *error, gpointer userdata) {
        (void) userdata;
        n_answers++;
        if (attested) {
                n_bytes += g_bytes_get_size(attested->evidence);
                return;
        }
        if (n_failed++ == 0)
                g_printerr("%s\n", error->message);
        g_error_free(error);
}

static GLogWriterOutput count_lines(GLogLevelFlags level, const GLogField *fields, gsize n, gpointer userdata) {
        (void) level, (void) fields, (void) n;
        ++*(guint *) userdata;
        return G_LOG_WRITER_HANDLED;
}

static gsize in_use(void) {
        return mallinfo2().uordblks + mallinfo2().hblkhd;
}

/* Sessions differ in what their TLS connections export, and may in their keys. */
static void ask(AttSession *s, int i, int round, GBytes *key) {
        uint8_t exported[ATT_EXPORTED_SIZE] = { 0 }, context[32] = { 0 };
        const AttAttestRequest q = {
                .exported = exported, .context = context, .context_size = sizeof context, .public_key = key,
                .timeout_ms = ATT_TIMEOUT_MS_MAX, .max_size = ATT_CMW_SIZE_MAX, .batch = !plain, .split = split,
        };
        g_autoptr(GError) error = NULL;

        memcpy(exported, &i, sizeof i);
        memcpy(context, &i, sizeof i);
        memcpy(context + sizeof i, &round, sizeof round);
        if (!att_session_attest(s, &q, on_attested, NULL, &error))
                g_error("%s", error->message);
}

int main(int argc, char **argv) {
        static const AttAttesterEvents attester_events = { on_event, on_event };
        static const AttSessionEvents events = { on_stale, on_changed };
        static const char limits[] = "[Limits]\nSessions=131072\nSessionsPerUser=65536\nSessionsPerConnection=65536\n"
                                     "Requests=262144\nRequestsPerUser=131072\n";
        const AttSessionParameters parameters = { .role = ATT_ROLE_SERVER, .hash = ATT_HASH_SHA256 };
        g_autoptr(GOptionContext) context = g_option_context_new(NULL);
        g_autoptr(AttConfiguration) configuration = att_configuration_new();
        g_autoptr(GPtrArray) keys = g_ptr_array_new_with_free_func((GDestroyNotify) g_bytes_unref);
        g_autofree AttConnection **connections = NULL;
        g_autofree AttSession **sessions = NULL;
        g_autoptr(GError) error = NULL;
        gsize empty, idle, waiting = 0, renewed;
        gint64 start, asked_us = 0, all_us;
        guint n_lines = 0;
        AttAttester *a;

        g_option_context_add_main_entries(context, options, NULL);
        if (!g_option_context_parse(context, &argc, &argv, &error) || n_sessions < 1 || n_rounds < 1 ||
            n_connections < 1 || n_keys < 1) {
                g_printerr("%s\n", error ? error->message : "numbers from 1");
                return 1;
        }

        g_log_set_writer_func(count_lines, &n_lines, NULL);
        g_assert(att_configuration_apply(configuration, "limits", limits, strlen(limits), NULL));
        g_hash_table_add(configuration->foreign_namespaces.uids, GUINT_TO_POINTER(0));
        state_double_reset();
        a = att_attester_new(configuration, NULL, &attester_events, NULL, &error);
        tee_double_set_outblob_size((gsize) quote_size);
        tee_double_answer_all();
        for (int i = 0; i < n_keys; i++) {
                memcpy(ed25519 + 12, &i, sizeof i);
                g_ptr_array_add(keys, g_bytes_new(ed25519, sizeof ed25519));
        }

        connections = g_new(AttConnection *, n_connections);
        for (int i = 0; i < n_connections; i++) {
                AttPeer peer = { .uid = 0, .pid = getpid(), .pidfd = -1 };
                g_autoptr(AttCaller) caller = att_caller_new(&peer, configuration, &error);

                connections[i] = att_connection_new(a, caller);
        }

        sessions = g_new(AttSession *, n_sessions);
        empty = in_use();
        for (int i = 0; i < n_sessions; i++)
                sessions[i] = att_session_open(connections[i % n_connections], &parameters, &events, NULL, &error);
        idle = in_use();

        start = g_get_monotonic_time();
        for (int round = 0; round < n_rounds; round++) {
                gint64 now = g_get_monotonic_time();

                for (int i = 0; i < n_sessions; i++)
                        ask(sessions[i], i, round, keys->pdata[i % n_keys]);
                asked_us += g_get_monotonic_time() - now;
                if (round == 0)
                        waiting = in_use();
                while (n_answers < (guint) (round + 1) * (guint) n_sessions)
                        (void) g_main_context_iteration(NULL, TRUE);
        }
        all_us = g_get_monotonic_time() - start;
        renewed = in_use();

        printf("%u requests of %d sessions, %u reports: %.0f a second; to ask %.2f us each, to be answered %.2f us; "
               "%.0f bytes a session, %.0f after %d rounds, %.0f a waiting request; %.0f bytes an answer; %u lines; "
               "%u failed\n",
               n_answers, n_sessions, tee_double_asked->len, n_answers * 1e6 / (double) all_us,
               (double) asked_us / n_answers, (double) (all_us - asked_us) / n_answers,
               (double) (idle - empty) / n_sessions, (double) (renewed - empty) / n_sessions, n_rounds,
               (double) (waiting - idle) / n_sessions, (double) n_bytes / n_answers, n_lines, n_failed);

        for (int i = 0; i < n_sessions; i++)
                att_session_close(sessions[i]);
        for (int i = 0; i < n_connections; i++)
                att_connection_unref(connections[i]);
        att_attester_free(a);
        return n_failed > 0;
}
