/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Changes at every step of an exchange: of either end or both, with data under way
 * and without, with logs and without, and with attestd started again. Whatever
 * crosses what, both ends end up open, with evidence of the newest state, and
 * nobody asks once too often. */
#include "ends.h"
#include "run.h"

#include <stdio.h>

/* Steps from the hello to an open gate, with some to spare. */
#define STEPS 60

typedef enum {
        CHANGE,
        CHANGE_TWICE,
        RESTART,
} What;

typedef struct Case {
        const char *name;
        int client, server;
        bool client_changes, server_changes;
        What what;
        bool is_renewal; /* the step is one of a renewal, which an earlier change has begun */
} Case;

static const Case cases[] = {
        { "server", ASKS, GIVES, false, true, CHANGE, false },
        { "client", GIVES, ASKS, true, false, CHANGE, false },
        { "mutual, server", ASKS | GIVES, ASKS | GIVES, false, true, CHANGE, false },
        { "mutual, client", ASKS | GIVES, ASKS | GIVES, true, false, CHANGE, false },
        { "mutual, both", ASKS | GIVES, ASKS | GIVES, true, true, CHANGE, false },
        { "server, renewal", ASKS, GIVES, false, true, CHANGE, true },
        { "client, renewal", GIVES, ASKS, true, false, CHANGE, true },
        { "mutual, renewal", ASKS | GIVES, ASKS | GIVES, true, true, CHANGE, true },
        { "server, twice", ASKS, GIVES, false, true, CHANGE_TWICE, true },
        { "mutual, twice", ASKS | GIVES, ASKS | GIVES, true, true, CHANGE_TWICE, true },
        { "server, restart", ASKS, GIVES, false, true, RESTART, false },
        { "server, restart in a renewal", ASKS, GIVES, false, true, RESTART, true },
        { "mutual, restart", ASKS | GIVES, ASKS | GIVES, true, true, RESTART, true },
        { "server, logs", ASKS, GIVES | LOGS, false, true, CHANGE, false },
        { "client, logs", GIVES | LOGS, ASKS, true, false, CHANGE, true },
        { "mutual, logs", ASKS | GIVES | LOGS, ASKS | GIVES | LOGS, true, true, CHANGE, true },
        { "mutual, logs, restart", ASKS | GIVES | LOGS, ASKS | GIVES | LOGS, true, true, RESTART, false },
};

/* One thing happens: an end is driven, bytes arrive, a service answers. */
static void step(Pair *p, unsigned n) {
        End *end = n / 3 % 2 == 0 ? &p->client : &p->server;

        if (n % 3 == 0)
                (void) end_drive(end);
        else if (n % 3 == 1)
                (void) pair_deliver(p, end, SIZE_MAX);
        else
                for (unsigned kind = 0; kind < ATT_EVENT_TYPES; kind++)
                        if (mock_answer(end->mock, kind))
                                break;
}

static void change(End *end, What what) {
        mock_measure(end->mock, "/usr/bin/new", 0);
        if (what == RESTART) {
                mock_restart(end->mock);
                return;
        }
        mock_change(end->mock);
        if (what == CHANGE_TWICE)
                mock_change(end->mock);
}

/* Data goes out if the gate is open, and is then under way. Returns: how much */
static gsize talk(End *end) {
        gsize n = 0;

        if (attestd_connection_is_open(end->connection))
                (void) attestd_connection_write(end->connection, "data", 4, &n, NULL);
        return n;
}

static gsize listen_to(End *end) {
        gsize n, all = 0;
        char data[64];

        while (attestd_connection_read(end->connection, data, sizeof data, &n, NULL, NULL) == ATTESTD_DONE)
                all += n;
        return all;
}

static void ck_fresh(const Case *test, unsigned at, const End *attester, const End *relying) {
        const Mock *verifier = relying->mock;

        /* The report that counts is of the newest state. */
        ck_assert_msg(attester->mock->evidence_generation == attester->mock->state.generation,
                      "%s at %u: an old state counts", test->name, at);
        ck_assert_msg(!verifier->logs[0] || verifier->log_next == attester->mock->starts->len,
                      "%s at %u: entries are missing", test->name, at);
        /* One request for each change that was told, and one in the beginning; a restart that comes
         * before any evidence is told too. */
        ck_assert_msg(count_sent(relying, ATT_FRAME_REQUEST) <= count_sent(attester, ATT_FRAME_STALE) + 1,
                      "%s at %u: asks too often", test->name, at);
        ck_assert_msg(count_sent(attester, ATT_FRAME_STALE) <= (test->is_renewal ? 2 : 1), "%s at %u: tells too often",
                      test->name, at);
}

static void run(const Case *test, unsigned at) {
        g_auto(Pair) p = { 0 };
        gsize to_client, to_server;

        pair_init(&p, test->client, test->server);
        mock_measure(p.client.mock, "/usr/bin/old", 0);
        mock_measure(p.server.mock, "/usr/bin/old", 0);
        if (test->is_renewal) {
                pair_settle(&p);
                if (test->client_changes)
                        change(&p.client, CHANGE);
                if (test->server_changes)
                        change(&p.server, CHANGE);
        }
        for (unsigned n = 0; n < at; n++)
                step(&p, n);
        to_server = talk(&p.client);
        to_client = talk(&p.server);
        if (test->client_changes)
                change(&p.client, test->what);
        if (test->server_changes)
                change(&p.server, test->what);
        pair_settle(&p);

        if (p.client.error || p.server.error)
                ck_abort_msg("%s at %u: client: %s, server: %s", test->name, at,
                             p.client.error ? p.client.error->message : "-",
                             p.server.error ? p.server.error->message : "-");
        ck_assert_msg(attestd_connection_is_open(p.client.connection) &&
                              attestd_connection_is_open(p.server.connection),
                      "%s at %u: a gate is closed", test->name, at);
        if (test->server & GIVES)
                ck_fresh(test, at, &p.server, &p.client);
        if (test->client & GIVES)
                ck_fresh(test, at, &p.client, &p.server);
        to_server += talk(&p.client);
        to_client += talk(&p.server);
        pair_exchange(&p);
        ck_assert_uint_eq(listen_to(&p.server), to_server);
        ck_assert_uint_eq(listen_to(&p.client), to_client);
}

/* Each case takes other steps; with ATTESTD_TEST_LONG=yes all of them. */
static unsigned stride(void) {
        return g_strcmp0(g_getenv("ATTESTD_TEST_LONG"), "yes") == 0 ? 1 : 4;
}

START_TEST(a_change_at_any_step_is_renewed_once) {
        for (unsigned at = (unsigned) _i % stride(); at < STEPS; at += stride())
                run(&cases[_i], at);
}
END_TEST

/* Both only read from now on, which drives them: to wait for a gate would be an error. */
static void read_on(Pair *p, gsize *to_client, gsize *to_server) {
        bool moved = true;

        while (moved) {
                moved = pair_deliver(p, &p->client, SIZE_MAX) > 0;
                moved = pair_deliver(p, &p->server, SIZE_MAX) > 0 || moved;
                *to_client += listen_to(&p->client);
                *to_server += listen_to(&p->server);
                for (unsigned kind = 0; kind < ATT_EVENT_TYPES; kind++)
                        moved = mock_answer(p->client.mock, kind) || mock_answer(p->server.mock, kind) || moved;
        }
}

/* The end comes at any step of a renewal: data that went before it arrives, and both close in order. */
START_TEST(an_end_at_any_step_of_a_renewal_is_in_order) {
        const Case *test = &cases[_i];

        for (unsigned at = (unsigned) _i % stride(); at < 2 * STEPS; at += 2 * stride() - 1) {
                g_auto(Pair) p = { 0 };
                gsize to_client = 0, to_server = 0, from_client, from_server, n;
                End *ends, *other;
                char data;

                pair_open(&p, test->client, test->server);
                from_client = talk(&p.client);
                from_server = talk(&p.server);
                if (test->client_changes)
                        change(&p.client, test->what);
                if (test->server_changes)
                        change(&p.server, test->what);
                for (unsigned k = 0; k < at / 2; k++)
                        step(&p, k);
                ends = at % 2 == 0 ? &p.client : &p.server;
                other = pair_peer(&p, ends);
                ck_assert_int_eq(attestd_connection_end(ends->connection, NULL), ATTESTD_DONE);
                read_on(&p, &to_client, &to_server);
                ck_assert_msg(attestd_connection_read(other->connection, &data, 1, &n, NULL, NULL) == ATTESTD_END,
                              "%s at %u: no end", test->name, at);
                ck_assert_int_eq(attestd_connection_end(other->connection, NULL), ATTESTD_DONE);
                read_on(&p, &to_client, &to_server);
                ck_assert_int_eq(attestd_connection_read(ends->connection, &data, 1, &n, NULL, NULL), ATTESTD_END);
                ck_assert_uint_eq(to_server, from_client);
                ck_assert_uint_eq(to_client, from_server);
        }
}
END_TEST

int main(void) {
        Suite *s = suite_create("renewal");
        TCase *t = tcase_create("steps");

        tcase_set_timeout(t, 60);
        tcase_add_loop_test(t, a_change_at_any_step_is_renewed_once, 0, (int) G_N_ELEMENTS(cases));
        tcase_add_loop_test(t, an_end_at_any_step_of_a_renewal_is_in_order, 0, (int) G_N_ELEMENTS(cases));
        suite_add_tcase(s, t);
        return run_suite(s);
}
