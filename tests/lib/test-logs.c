/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Logs beside evidence: what is asked for and given, and what is not; with changes,
 * ends and other data in between, and with peers that do not keep to it. */
#include "ends.h"
#include "lib/log-giver.h"
#include "lib/log-taker.h"
#include "run.h"

#define KIB 1024u

static void measure(Mock *m, guint n, size_t size) {
        for (guint i = 0; i < n; i++)
                mock_measure(m, "/usr/bin/some-program", size);
}

/* All that the kernel has, the verifier has. */
static void ck_taken(const Pair *p) {
        const GByteArray *theirs = p->server.mock->ima, *ours = p->client.mock->added;

        ck_assert_uint_eq(ours->len, theirs->len);
        ck_assert_mem_eq(ours->data, theirs->data, theirs->len);
        ck_assert_uint_eq(p->client.mock->log_next, p->server.mock->starts->len);
}

static void ck_sent(const End *end, const char *expected) {
        g_autofree char *sent = frames_sent(end);

        ck_assert_str_eq(sent, expected);
}

/* The @n-th frame of a type that @end sent, from 0. */
static const Frame *sent(const End *end, AttFrameType type, guint n) {
        for (guint i = 0; i < end->sent->len; i++) {
                const Frame *frame = end->sent->pdata[i];

                if (frame->type == type && n-- == 0)
                        return frame;
        }
        ck_abort_msg("%s: has not sent it", end->name);
}

static guint64 asked_from(const End *end, guint n) {
        g_auto(AttLogRequestFrame) request = { 0 };

        ck_assert(att_log_request_decode(sent(end, ATT_FRAME_LOG_REQUEST, n)->payload, &request, NULL));
        return request.from;
}

static char *reason_given(const End *end, guint n) {
        g_auto(AttLogEntriesFrame) e = { 0 };

        ck_assert(att_log_entries_decode(sent(end, ATT_FRAME_LOG_ENTRIES, n)->payload, &e, NULL));
        return g_strdup(e.reason ? e.reason : "");
}

/* Giving and taking. */

START_TEST(gives_the_log_that_a_policy_needs) {
        g_auto(Pair) p = { 0 };

        pair_init(&p, ASKS, GIVES | LOGS);
        measure(p.server.mock, 3, 0);
        pair_settle(&p);
        ck_are_open(&p);
        ck_taken(&p);
        ck_sent(&p.client, "hello request log request accepted");
        ck_sent(&p.server, "hello authenticator log entries");
        /* It was read after the quote: the report was there when attestd was asked for it. */
        ck_assert_uint_eq(p.server.mock->n_attested, 1);
}
END_TEST

START_TEST(asks_for_no_log_that_nobody_needs) {
        g_auto(Pair) p = { 0 };

        pair_init(&p, ASKS, GIVES | LOGS);
        p.client.mock->logs[0] = NULL;
        measure(p.server.mock, 3, 0);
        pair_settle(&p);
        ck_is_open(&p.client);
        ck_sent(&p.client, "hello request accepted");
}
END_TEST

START_TEST(a_log_without_entries_will_do) {
        g_auto(Pair) p = { 0 };

        pair_open(&p, ASKS, GIVES | LOGS);
        ck_assert_uint_eq(p.client.mock->n_added, 0);
}
END_TEST

/* After a change only what is new goes over the wire. */
START_TEST(goes_on_where_it_stopped) {
        g_auto(Pair) p = { 0 };
        gsize before;

        pair_init(&p, ASKS, GIVES | LOGS);
        measure(p.server.mock, 100, 0);
        pair_settle(&p);
        before = p.server.memory->n_written;
        measure(p.server.mock, 1, 0);
        mock_change(p.server.mock);
        pair_settle(&p);
        ck_is_open(&p.client);
        ck_taken(&p);
        ck_assert_uint_eq(asked_from(&p.client, 1), 100);
        ck_assert_uint_eq(count_sent(&p.client, ATT_FRAME_LOG_REQUEST), 2);
        ck_assert_uint_lt(p.server.memory->n_written - before, before);
}
END_TEST

/* attestd is another instance, and the kernel's log the same. */
START_TEST(sc16d_goes_on_after_a_restart_of_attestd) {
        g_auto(Pair) p = { 0 };

        pair_init(&p, ASKS, GIVES | LOGS);
        measure(p.server.mock, 5, 0);
        pair_settle(&p);
        mock_restart(p.server.mock);
        measure(p.server.mock, 2, 0);
        pair_settle(&p);
        ck_are_open(&p);
        ck_taken(&p);
        ck_assert_uint_eq(asked_from(&p.client, 1), 5);
}
END_TEST

/* Evidence that was made while more was measured: the rest of the log is taken and kept. */
START_TEST(entries_behind_the_evidence_are_taken) {
        g_auto(Pair) p = { 0 };

        pair_init(&p, ASKS, GIVES | LOGS);
        measure(p.server.mock, 2, 0);
        pair_exchange(&p);
        pair_answer(&p, &p.client, ATT_EVENT_REQUEST);
        pair_answer(&p, &p.server, ATT_EVENT_EVIDENCE);
        measure(p.server.mock, 2, 0);
        pair_settle(&p);
        ck_is_open(&p.client);
        ck_taken(&p);
}
END_TEST

START_TEST(a_large_log_comes_in_pieces) {
        g_auto(Pair) p = { 0 };

        pair_init(&p, ASKS, GIVES | LOGS);
        measure(p.server.mock, 17, 300 * KIB);
        pair_settle(&p);
        ck_is_open(&p.client);
        ck_taken(&p);
        /* Three records to a piece, and attestd was asked once. */
        ck_assert_uint_eq(p.client.mock->n_added, 6);
        ck_assert_uint_eq(count_sent(&p.client, ATT_FRAME_LOG_REQUEST), 6);
        ck_assert_uint_eq(asked_from(&p.client, 5), 15);
        ck_assert_uint_eq(p.server.mock->n_given, 1);
}
END_TEST

START_TEST(gives_the_boot_log_whole_and_once) {
        g_auto(Pair) p = { 0 };
        Mock *verifier, *attester;

        pair_init(&p, ASKS, GIVES | LOGS);
        verifier = p.client.mock;
        attester = p.server.mock;
        verifier->logs[1] = (char *) "boot";
        measure(attester, 3, 0);
        g_byte_array_set_size(attester->boot, 2500 * KIB);
        for (guint i = 0; i < attester->boot->len; i++)
                attester->boot->data[i] = (uint8_t) (i >> 12);
        pair_settle(&p);
        ck_is_open(&p.client);
        ck_taken(&p);
        ck_assert_uint_eq(count_sent(&p.client, ATT_FRAME_LOG_REQUEST), 4);
        ck_assert_uint_eq(verifier->n_added, 2);
        ck_assert_uint_eq(g_bytes_get_size(verifier->boot_added), attester->boot->len);
        ck_assert_mem_eq(g_bytes_get_data(verifier->boot_added, NULL), attester->boot->data, attester->boot->len);

        mock_change(attester);
        pair_settle(&p);
        ck_is_open(&p.client);
        ck_assert_uint_eq(count_sent(&p.client, ATT_FRAME_LOG_REQUEST), 5);
        ck_assert_uint_eq(verifier->n_added, 2);
}
END_TEST

START_TEST(gives_logs_in_both_directions) {
        g_auto(Pair) p = { 0 };

        pair_init(&p, ASKS | GIVES | LOGS, ASKS | GIVES | LOGS);
        measure(p.server.mock, 3, 0);
        measure(p.client.mock, 7, 0);
        pair_settle(&p);
        ck_are_open(&p);
        ck_taken(&p);
        ck_assert_uint_eq(p.server.mock->log_next, 7);
}
END_TEST

/* Both send more than fits on the way, and take no more than the other makes room for. */
START_TEST(two_that_give_logs_do_not_wait_for_each_other) {
        g_auto(Pair) p = { 0 };
        End *ends[] = { &p.client, &p.server };

        pair_init(&p, ASKS | GIVES | LOGS, ASKS | GIVES | LOGS | FIRST);
        measure(p.server.mock, 9, 300 * KIB);
        measure(p.client.mock, 9, 300 * KIB);
        for (size_t i = 0; i < 2; i++) {
                ends[i]->mock->is_automatic = true;
                ends[i]->memory->most = 16 * KIB;
        }
        for (unsigned n = 0; n < 2000 && p.client.mock->log_next + p.server.mock->log_next < 18; n++)
                for (size_t i = 0; i < 2; i++) {
                        /* As a socket has it: what is not read makes no room. */
                        ends[i]->memory->room = ends[1 - i]->memory->in->len < 64 * KIB ? 40 * KIB : 0;
                        (void) end_drive(ends[i]);
                        (void) pair_deliver(&p, pair_peer(&p, ends[i]), SIZE_MAX);
                        ck_assert_uint_le(att_connection_out_size(ends[i]->connection), 1200 * KIB);
                }
        ck_taken(&p);
        ck_assert_uint_eq(p.server.mock->log_next, 9);
}
END_TEST

/* A renewal on account of age leaves the gate open: data goes between the pieces. */
START_TEST(data_goes_on_beside_a_log) {
        g_auto(Pair) p = { 0 };

        pair_open(&p, ASKS, GIVES | LOGS);
        measure(p.server.mock, 9, 300 * KIB);
        (void) attestd_connection_renew(p.client.connection, NULL);
        for (unsigned n = 0; n < 3; n++) {
                guint added = p.client.mock->n_added;

                while (p.client.mock->n_added == added) {
                        pair_exchange(&p);
                        for (unsigned kind = 0; kind < ATT_EVENT_TYPES; kind++) {
                                (void) mock_answer(p.client.mock, kind);
                                (void) mock_answer(p.server.mock, kind);
                        }
                }
                ck_are_open(&p);
                end_write(&p.server, "from the server");
                end_write(&p.client, "from the client");
                pair_exchange(&p);
                ck_reads(&p.client, "from the server", FALSE);
                ck_reads(&p.server, "from the client", FALSE);
        }
        pair_settle(&p);
        ck_taken(&p);
}
END_TEST

/* Who gets none. */

START_TEST(gives_no_log_unless_it_is_told_to) {
        g_auto(Pair) p = { 0 };
        g_autofree char *reason = NULL;

        pair_init(&p, ASKS, GIVES);
        p.server.memory->base.peer_is_verified = true;
        p.client.mock->logs[0] = (char *) "ima";
        measure(p.server.mock, 3, 0);
        pair_settle(&p);
        ck_failed(&p.client, ATTESTD_ERROR_REFUSED,
                  "ima-log: entries are missing (the peer gave no log ima: logs are not given)");
        ck_failed(&p.server, ATTESTD_ERROR_REFUSED_BY_PEER, "ima-log: entries are missing");
        reason = reason_given(&p.server, 0);
        ck_assert_str_eq(reason, "logs are not given");
        ck_assert_uint_eq(p.server.mock->n_given, 0);
}
END_TEST

/* Evidence may be for anyone, logs are not. _i: what the giver is, and whether it knows the peer's certificate */
START_TEST(gives_logs_to_whom_it_knows) {
        static const struct {
                int client, server;
                bool server_gives, verified, given;
        } cases[] = {
                { ASKS, GIVES | LOGS | FIRST, true, false, false },
                { ASKS, GIVES | LOGS | FIRST, true, true, true },
                { GIVES | LOGS, ASKS, false, false, false },
                { GIVES | LOGS, ASKS, false, true, true },
                /* a server that asks as well knows by the evidence */
                { ASKS | GIVES, ASKS | GIVES | LOGS, true, false, true },
                { ASKS | GIVES, ASKS | GIVES | LOGS | FIRST, true, false, true },
        };
        g_auto(Pair) p = { 0 };
        End *giver, *taker;

        pair_init(&p, cases[_i].client, cases[_i].server);
        giver = cases[_i].server_gives ? &p.server : &p.client;
        taker = pair_peer(&p, giver);
        giver->memory->base.peer_is_verified = cases[_i].verified;
        measure(giver->mock, 3, 0);
        pair_settle(&p);
        if (cases[_i].given)
                ck_is_open(taker);
        else
                ck_failed(taker, ATTESTD_ERROR_REFUSED, "logs are not given");
        ck_assert_uint_eq(giver->mock->n_given, cases[_i].given);
}
END_TEST

/* Before its own verdict a server that asks shows a stranger no log. */
START_TEST(a_server_that_asks_holds_its_log_back) {
        g_auto(Pair) p = { 0 };

        pair_init(&p, ASKS | GIVES, ASKS | GIVES | LOGS | FIRST);
        p.server.memory->base.peer_is_verified = false;
        measure(p.server.mock, 3, 0);
        pair_exchange(&p);
        pair_answer(&p, &p.client, ATT_EVENT_REQUEST);
        pair_answer(&p, &p.server, ATT_EVENT_EVIDENCE);
        pair_answer(&p, &p.client, ATT_EVENT_LOGS);
        ck_assert(!mock_has(p.server.mock, ATT_EVENT_LOG));
        ck_assert_uint_eq(count_sent(&p.server, ATT_FRAME_LOG_ENTRIES), 0);
        pair_settle(&p);
        ck_is_open(&p.client);
        ck_taken(&p);
}
END_TEST

/* The application may not read logs, or attestd has none: the peer hears no more than that. */
START_TEST(says_that_a_log_cannot_be_had) {
        g_auto(Pair) p = { 0 };
        g_autofree char *reason = NULL;

        pair_init(&p, ASKS, GIVES | LOGS);
        measure(p.server.mock, 3, 0);
        mock_fail_next(p.server.mock, ATT_EVENT_LOG, "attestd: org.attestd.Error.NotAuthorized: ask the administrator");
        pair_settle(&p);
        reason = reason_given(&p.server, 0);
        ck_assert_str_eq(reason, "the log cannot be had");
        ck_failed(&p.client, ATTESTD_ERROR_REFUSED, "the log cannot be had");
        ck_failed(&p.server, ATTESTD_ERROR_REFUSED_BY_PEER,
                  "no log for the peer: attestd: org.attestd.Error.NotAuthorized");
        ck_assert_ptr_null(strstr(p.client.error->message, "NotAuthorized"));
}
END_TEST

/* attestd may be newer than its library. To ask it again would give the same. */
START_TEST(gives_no_log_of_a_bank_that_it_does_not_know) {
        g_auto(Pair) p = { 0 };

        pair_init(&p, ASKS, GIVES | LOGS);
        measure(p.server.mock, 3, 0);
        p.server.mock->ima_bank = "sm3";
        pair_settle(&p);
        ck_assert_uint_eq(p.server.mock->n_given, 1);
        ck_failed(&p.client, ATTESTD_ERROR_REFUSED,
                  "ima-log: entries are missing (the peer gave no log ima: the log cannot be had)");
        ck_failed(&p.server, ATTESTD_ERROR_REFUSED_BY_PEER, "no log for the peer: attestd names an unknown bank");
}
END_TEST

/* SC-16f: the kernel has trimmed the log; or what attestd gave is none. */
START_TEST(sc16f_gives_no_log_that_does_not_fit) {
        g_auto(Pair) p = { 0 };

        pair_init(&p, ASKS, GIVES | LOGS);
        measure(p.server.mock, 3, 0);
        if (_i == 0)
                p.server.mock->skew = 1;
        else if (_i == 1)
                p.server.mock->is_cut = true;
        else
                mock_measure(p.server.mock, "/boot/a-large-key", 1024 * KIB - 100);
        if (_i == 2) { /* three go, and the fourth is in no frame */
                pair_settle(&p);
                ck_assert_uint_eq(p.client.mock->log_next, 3);
        }
        pair_settle(&p);
        ck_failed(&p.client, ATTESTD_ERROR_REFUSED,
                  "ima-log: entries are missing (the peer gave no log ima: the log cannot be had)");
}
END_TEST

START_TEST(a_verifier_that_fails_takes_no_log) {
        static const AttEventType kinds[] = { ATT_EVENT_LOGS, ATT_EVENT_ADDED };
        g_auto(Pair) p = { 0 };

        pair_init(&p, ASKS, GIVES | LOGS);
        measure(p.server.mock, 3, 0);
        mock_fail_next(p.client.mock, kinds[_i], "attestd-verifier: not there");
        pair_settle(&p);
        ck_failed(&p.client, ATTESTD_ERROR_SERVICE, "attestd-verifier: not there");
        ck_failed(&p.server, ATTESTD_ERROR_REFUSED_BY_PEER, "service-unavailable");
}
END_TEST

START_TEST(a_log_that_the_verifier_does_not_take_is_a_refusal) {
        g_auto(Pair) p = { 0 };

        pair_init(&p, ASKS, GIVES | LOGS);
        measure(p.server.mock, 3, 0);
        p.client.mock->dislikes = "record 2: a digest that is not that of its data";
        pair_settle(&p);
        ck_failed(&p.client, ATTESTD_ERROR_REFUSED, "ima-log: record 2");
        ck_failed(&p.server, ATTESTD_ERROR_REFUSED_BY_PEER, "ima-log: record 2");
}
END_TEST

/* Changes in between. */

/* Up to where the client waits for the verifier, or the server, as @kind says. */
static void until(Pair *p, End *end, AttEventType kind) {
        while (!mock_has(end->mock, kind)) {
                bool moved = false;

                pair_exchange(p);
                for (unsigned k = 0; k < ATT_EVENT_TYPES && !mock_has(end->mock, kind); k++)
                        moved = mock_answer(p->client.mock, k) || mock_answer(p->server.mock, k) || moved;
                pair_exchange(p);
                ck_assert(moved || mock_has(end->mock, kind));
        }
}

/* At each point of a transfer: one more renewal, and exactly one; each entry goes over the wire once. */
START_TEST(stale_during_a_log_asks_once_more) {
        static const struct {
                bool at_client;
                AttEventType kind;
        } points[] = {
                { true, ATT_EVENT_LOGS }, { false, ATT_EVENT_LOG },
                { true, ATT_EVENT_ADDED }, { true, ATT_EVENT_VERDICT },
        };
        g_auto(Pair) p = { 0 };

        pair_init(&p, ASKS, GIVES | LOGS);
        measure(p.server.mock, 9, 300 * KIB);
        until(&p, points[_i].at_client ? &p.client : &p.server, points[_i].kind);
        measure(p.server.mock, 1, 0);
        mock_change(p.server.mock);
        mock_change(p.server.mock);
        pair_settle(&p);
        ck_are_open(&p);
        ck_taken(&p);
        ck_assert_uint_eq(count_sent(&p.client, ATT_FRAME_REQUEST), 2);
        ck_assert_uint_eq(count_sent(&p.server, ATT_FRAME_STALE), 1);
        /* The last verdict is given before the client hears of the change. */
        ck_assert_uint_eq(count_sent(&p.client, ATT_FRAME_ACCEPTED), _i == 3 ? 2 : 1);
}
END_TEST

/* Whoever knows that the evidence is void asks for no log of it. */
START_TEST(no_log_is_asked_for_beside_void_evidence) {
        g_auto(Pair) p = { 0 };

        pair_init(&p, ASKS, GIVES | LOGS);
        measure(p.server.mock, 3, 0);
        until(&p, &p.client, ATT_EVENT_LOGS);
        mock_change(p.server.mock);
        pair_exchange(&p); /* the client has heard of it */
        mock_answer(p.client.mock, ATT_EVENT_LOGS);
        (void) end_drive(&p.client);
        ck_assert_uint_eq(count_sent(&p.client, ATT_FRAME_LOG_REQUEST), 0);
        ck_assert(mock_has(p.client.mock, ATT_EVENT_REQUEST));
        pair_settle(&p);
        ck_is_open(&p.client);
        ck_assert_uint_eq(count_sent(&p.client, ATT_FRAME_LOG_REQUEST), 1);
}
END_TEST

START_TEST(attestd_restarts_during_a_log) {
        g_auto(Pair) p = { 0 };

        pair_init(&p, ASKS, GIVES | LOGS);
        measure(p.server.mock, 9, 300 * KIB);
        until(&p, &p.client, ATT_EVENT_ADDED);
        mock_restart(p.server.mock);
        pair_settle(&p);
        ck_are_open(&p);
        ck_taken(&p);
}
END_TEST

/* Both ends change while both read the other's log. */
START_TEST(both_change_during_their_logs) {
        g_auto(Pair) p = { 0 };

        pair_init(&p, ASKS | GIVES | LOGS, ASKS | GIVES | LOGS);
        measure(p.server.mock, 9, 300 * KIB);
        measure(p.client.mock, 9, 300 * KIB);
        until(&p, &p.client, ATT_EVENT_ADDED);
        measure(p.client.mock, 1, 0);
        measure(p.server.mock, 1, 0);
        mock_change(p.client.mock);
        mock_change(p.server.mock);
        pair_settle(&p);
        ck_are_open(&p);
        ck_taken(&p);
        ck_assert_uint_eq(p.server.mock->log_next, 10);
        ck_assert_uint_le(count_sent(&p.client, ATT_FRAME_REQUEST), 2);
        ck_assert_uint_le(count_sent(&p.server, ATT_FRAME_REQUEST), 2);
}
END_TEST

/* _i: who ends, and while who does what */
START_TEST(ends_during_a_log) {
        static const struct {
                bool client_ends, at_client;
                AttEventType kind;
        } points[] = {
                { true, true, ATT_EVENT_LOGS }, { true, true, ATT_EVENT_ADDED }, { true, false, ATT_EVENT_LOG },
                { false, true, ATT_EVENT_LOGS }, { false, true, ATT_EVENT_ADDED }, { false, false, ATT_EVENT_LOG },
        };
        g_auto(Pair) p = { 0 };
        AttestdStatus status;
        End *ends, *other;
        char data[8];
        gsize n;

        pair_open(&p, ASKS, GIVES | LOGS);
        measure(p.server.mock, 9, 300 * KIB);
        (void) attestd_connection_renew(p.client.connection, NULL);
        until(&p, points[_i].at_client ? &p.client : &p.server, points[_i].kind);
        ends = points[_i].client_ends ? &p.client : &p.server;
        other = pair_peer(&p, ends);
        ck_assert_int_eq(attestd_connection_end(ends->connection, NULL), ATTESTD_DONE);
        pair_settle(&p);
        do
                status = attestd_connection_read(other->connection, data, sizeof data, &n, NULL, NULL);
        while (status == ATTESTD_DONE);
        ck_assert_int_eq(status, ATTESTD_END);
        ck_assert_int_eq(attestd_connection_end(other->connection, NULL), ATTESTD_DONE);
        (void) pair_deliver(&p, ends, SIZE_MAX);
        ck_assert_int_eq(attestd_connection_read(ends->connection, data, sizeof data, &n, NULL, NULL), ATTESTD_END);
}
END_TEST

/* Peers that do not keep to it. */

/* The client has asked the server, which the test plays, for its log from 0. */
static void asked_for_log(Pair *p) {
        pair_init(p, ASKS, GIVES | LOGS);
        until(p, &p->client, ATT_EVENT_LOGS);
        mock_answer(p->client.mock, ATT_EVENT_LOGS);
        (void) end_drive(&p->client);
        ck_assert_uint_eq(count_sent(&p->client, ATT_FRAME_LOG_REQUEST), 1);
}

static void play_entries(End *to, const AttLogEntriesFrame *frame) {
        g_autoptr(GBytes) payload = att_log_entries_encode(frame);

        inject_message(to, ATT_FRAME_LOG_ENTRIES, payload);
        (void) end_drive(to);
}

static void ck_protocol(End *end, const char *part) {
        ck_failed(end, ATTESTD_ERROR_PROTOCOL, part);
        ck_assert(end->memory->out_closed);
        ck_assert_uint_ge(count_sent(end, ATT_FRAME_REFUSED), 1);
}

START_TEST(refuses_entries_that_nobody_asked_for) {
        g_autoptr(GBytes) none = g_bytes_new(NULL, 0);
        const AttLogEntriesFrame empty = { .log = (char *) "ima", .entries = none, .bank = (char *) "sha1" };
        g_auto(Pair) p = { 0 };

        pair_init(&p, ASKS, GIVES | LOGS);
        if (_i == 0)
                pair_exchange(&p); /* hellos */
        else if (_i == 1)
                until(&p, &p.client, ATT_EVENT_LOGS);
        else
                pair_settle(&p);
        play_entries(&p.client, &empty);
        ck_protocol(&p.client, "the frame log entries is not allowed now");
}
END_TEST

START_TEST(refuses_entries_that_are_no_answer) {
        g_autoptr(GBytes) some = g_bytes_new("record", 6), none = g_bytes_new(NULL, 0);
        const struct {
                AttLogEntriesFrame frame;
                const char *reason;
        } cases[] = {
                { { .log = (char *) "ima", .first = 1, .entries = some, .bank = (char *) "sha1" }, "not asked for" },
                { { .log = (char *) "ima", .first = UINT64_MAX, .entries = some, .bank = (char *) "sha1" },
                  "not asked for" },
                { { .log = (char *) "boot", .entries = some, .bank = (char *) "" }, "not asked for" },
                { { .log = (char *) "register", .entries = some, .bank = (char *) "sha384" }, "not asked for" },
                { { .log = (char *) "ima", .entries = none, .bank = (char *) "sha1", .more = true },
                  "nothing, and more" },
                { { .log = (char *) "ima", .entries = some, .bank = (char *) "" }, "bank" },
        };
        g_auto(Pair) p = { 0 };

        asked_for_log(&p);
        play_entries(&p.client, &cases[_i].frame);
        ck_protocol(&p.client, cases[_i].reason);
        ck_assert_uint_eq(p.client.mock->n_added, 0);
}
END_TEST

/* SC-16: after entries 0 to 2 come 3 and so on, no earlier ones, no later ones, none beyond the last number. */
START_TEST(sc16a_sc16b_sc16c_entries_continue_those_before) {
        static const guint64 firsts[] = { 3, 2, 4, 0, UINT64_MAX };
        AttLogEntriesFrame frame = { .log = (char *) "ima", .first = firsts[_i], .bank = (char *) "sha1" };
        g_autoptr(GBytes) entry = NULL;
        g_auto(Pair) p = { 0 };
        gsize start;

        pair_init(&p, ASKS, GIVES | LOGS);
        measure(p.server.mock, 3, 0);
        pair_settle(&p);
        measure(p.server.mock, 1, 0);
        mock_change(p.server.mock);
        until(&p, &p.client, ATT_EVENT_LOGS);
        mock_answer(p.client.mock, ATT_EVENT_LOGS);
        (void) end_drive(&p.client);
        ck_assert_uint_eq(asked_from(&p.client, 1), 3);
        start = g_array_index(p.server.mock->starts, gsize, 3);
        entry = g_bytes_new(p.server.mock->ima->data + start, p.server.mock->ima->len - start);
        frame.entries = entry;
        play_entries(&p.client, &frame);
        if (_i > 0) {
                ck_protocol(&p.client, "log entries that were not asked for");
                ck_assert_uint_eq(p.client.mock->log_next, 3);
                return;
        }
        mock_answer(p.client.mock, ATT_EVENT_ADDED);
        ck_taken(&p);
}
END_TEST

START_TEST(refuses_entries_after_a_refusal) {
        g_autoptr(GBytes) some = g_bytes_new("record", 6), none = g_bytes_new(NULL, 0);
        const AttLogEntriesFrame refused = { .log = (char *) "ima", .entries = none, .bank = (char *) "",
                                             .reason = (char *) "no" };
        const AttLogEntriesFrame more = { .log = (char *) "ima", .entries = some, .bank = (char *) "sha1" };
        g_auto(Pair) p = { 0 };

        asked_for_log(&p);
        play_entries(&p.client, &refused);
        play_entries(&p.client, &more);
        ck_protocol(&p.client, "the frame log entries is not allowed now");
}
END_TEST

/* SC-34: a peer whose log never ends, in pieces of one record, and in pieces of a mebibyte. */
START_TEST(sc34b_a_log_that_never_ends_has_a_limit) {
        AttLogTaker taker = { 0 };
        char *logs[] = { (char *) "ima", NULL };
        gsize size = _i == 0 ? 1 : ATT_LOG_CHUNK_MAX;
        g_autoptr(GBytes) entries = g_bytes_new_take(g_malloc0(size), size);
        g_autoptr(GError) error = NULL;
        guint64 n;

        for (n = 0; !error; n++) {
                AttLogEntriesFrame frame = { .log = (char *) "ima", .first = n, .entries = entries,
                                             .bank = (char *) "sha1", .more = true };
                g_autoptr(GBytes) request = att_log_taker_ask(&taker, logs, n);
                g_autoptr(GBytes) payload = att_log_entries_encode(&frame);
                g_auto(AttLogPiece) piece = { 0 };

                ck_assert_ptr_nonnull(request);
                (void) att_log_taker_take(&taker, payload, &piece, &error);
        }
        ck_assert_ptr_nonnull(strstr(error->message, "too much of the log \"ima\""));
        ck_assert_uint_eq(n - 1, _i == 0 ? ATT_LOG_FRAMES_MAX : ATT_LOG_BYTES_MAX / ATT_LOG_CHUNK_MAX);
        att_log_taker_clear(&taker);
}
END_TEST

/* The boot log is kept whole: at its cap, and one more. */
START_TEST(sc34d_a_boot_log_has_a_cap) {
        AttLogTaker taker = { 0 };
        char *logs[] = { (char *) "boot", NULL };
        g_autofree uint8_t *zeros = g_malloc0(ATT_LOG_CHUNK_MAX);
        gsize left = ATT_LOG_BOOT_MAX + (gsize) _i;
        g_autoptr(GError) error = NULL;

        while (left > 0 && !error) {
                gsize size = MIN(left, ATT_LOG_CHUNK_MAX);
                g_autoptr(GBytes) entries = g_bytes_new_static(zeros, size);
                g_autoptr(GBytes) request = att_log_taker_ask(&taker, logs, 77), payload = NULL;
                AttLogEntriesFrame frame = { .log = (char *) "boot", .first = taker.asked.from, .entries = entries,
                                             .bank = (char *) "", .more = left > size };
                g_auto(AttLogPiece) piece = { 0 };

                payload = att_log_entries_encode(&frame);
                ck_assert_ptr_nonnull(request);
                left -= size;
                (void) att_log_taker_take(&taker, payload, &piece, &error);
                ck_assert((piece.entries != NULL) == (left == 0 && !error));
                if (piece.entries)
                        ck_assert_uint_eq(g_bytes_get_size(piece.entries), ATT_LOG_BOOT_MAX);
        }
        ck_assert((error != NULL) == (_i > 0));
        att_log_taker_clear(&taker);
}
END_TEST

/* SC-34: what is announced is not made room for before it is asked for, nor beyond its limit. */
START_TEST(sc34c_a_log_frame_over_its_limit_is_refused_by_its_header) {
        static const uint8_t headers[][ATT_FRAME_HEADER_SIZE] = {
                { 7, 0, 0x10, 0, 0 }, { 7, 0, 0x10, 0, 1 }, { 7, 255, 255, 255, 255 },
        };
        g_auto(Pair) p = { 0 };

        asked_for_log(&p);
        inject_bytes(&p.client, headers[_i], sizeof headers[_i]);
        if (_i == 0) {
                ck_assert_int_eq(end_drive(&p.client), ATTESTD_WANT_READ);
                return;
        }
        ck_assert_int_eq(end_drive(&p.client), ATTESTD_FAILED);
        ck_protocol(&p.client, "over 1048576");
}
END_TEST

/* A relying party that asks out of turn. _i: what it asks for, after it had entries 0 to 2, which were all, or not */
START_TEST(refuses_requests_out_of_turn) {
        static const struct {
                guint entries;
                const char *log;
                guint64 from;
                bool good;
        } second[] = {
                { 3, "ima", 0, false }, { 3, "ima", 2, false }, { 3, "ima", 3, false },
                { 3, "boot", 0, true }, { 3, "register", 0, true },
                { 9, "ima", 0, false }, { 9, "ima", 2, false }, { 9, "ima", 3, true }, { 9, "ima", 5, true },
        };
        g_auto(Pair) p = { 0 };
        AttLogRequestFrame request = { .log = (char *) "ima" };
        g_autoptr(GBytes) first = att_log_request_encode(&request), payload = NULL;

        pair_init(&p, ASKS, GIVES | LOGS);
        measure(p.server.mock, second[_i].entries, 300 * KIB);
        until(&p, &p.client, ATT_EVENT_LOGS);
        p.server.mock->is_automatic = true;
        inject_message(&p.server, ATT_FRAME_LOG_REQUEST, first);
        (void) end_drive(&p.server);
        ck_assert_uint_eq(count_sent(&p.server, ATT_FRAME_LOG_ENTRIES), 1);
        request = (AttLogRequestFrame) { .log = (char *) second[_i].log, .from = second[_i].from };
        payload = att_log_request_encode(&request);
        inject_message(&p.server, ATT_FRAME_LOG_REQUEST, payload);
        (void) end_drive(&p.server);
        if (second[_i].good)
                ck_assert_uint_eq(count_sent(&p.server, ATT_FRAME_LOG_ENTRIES), 2);
        else
                ck_protocol(&p.server, "was given up to there");
}
END_TEST

/* Two requests at once, and what a request must not cross. */
START_TEST(refuses_a_second_request_before_the_answer) {
        static const AttFrameType types[] = { ATT_FRAME_LOG_REQUEST, ATT_FRAME_ACCEPTED, ATT_FRAME_REQUEST };
        g_auto(Pair) p = { 0 };

        pair_init(&p, ASKS, GIVES | LOGS);
        until(&p, &p.server, ATT_EVENT_LOG);
        inject(&p.server, types[_i], "x", 1);
        (void) end_drive(&p.server);
        ck_protocol(&p.server, "is not allowed now");
}
END_TEST

/* It asks, and reads nothing: one piece waits, no more, and not for ever. */
START_TEST(sc34_a_peer_that_does_not_read_holds_one_piece) {
        g_auto(Pair) p = { 0 };

        pair_init(&p, ASKS, GIVES | LOGS);
        measure(p.server.mock, 17, 300 * KIB);
        until(&p, &p.server, ATT_EVENT_LOG);
        p.server.memory->room = 0;
        mock_answer(p.server.mock, ATT_EVENT_LOG);
        ck_assert_int_eq(end_drive(&p.server), ATTESTD_WANT_WRITE);
        ck_assert_uint_le(att_connection_out_size(p.server.connection), 1024 * KIB);
        ck_assert_uint_gt(att_connection_out_size(p.server.connection), 512 * KIB);
        p.clock += (int64_t) (MOCK_TIMEOUT_MS - 1) * 1000;
        ck_assert_int_eq(end_drive(&p.server), ATTESTD_WANT_WRITE);
        p.clock += 1000;
        ck_assert_int_eq(end_drive(&p.server), ATTESTD_FAILED);
        ck_failed(&p.server, ATTESTD_ERROR_TIMED_OUT, "no verdict in time");
}
END_TEST

/* Pieces of a size keep the time limit from passing, crumbs do not. */
START_TEST(sc38_crumbs_of_a_log_have_a_time_limit) {
        const guint64 step = (guint64) MOCK_TIMEOUT_MS * 1000 * 3 / 4;
        gsize size = _i == 0 ? 0 : 100 * KIB;
        g_auto(Pair) p = { 0 };

        asked_for_log(&p);
        measure(p.server.mock, 3, size);
        for (guint i = 0; i < 3; i++) {
                gsize start = g_array_index(p.server.mock->starts, gsize, i);
                gsize end = i == 2 ? p.server.mock->ima->len : g_array_index(p.server.mock->starts, gsize, i + 1);
                g_autoptr(GBytes) entry = g_bytes_new(p.server.mock->ima->data + start, end - start);
                const AttLogEntriesFrame frame = { .log = (char *) "ima", .first = i, .entries = entry,
                                                   .bank = (char *) "sha1", .more = i < 2 };

                p.clock += (int64_t) step;
                play_entries(&p.client, &frame);
                mock_answer(p.client.mock, ATT_EVENT_ADDED);
                (void) end_drive(&p.client);
                mock_answer(p.client.mock, ATT_EVENT_LOGS);
                (void) end_drive(&p.client);
                if (_i == 0 && i == 1)
                        break;
        }
        if (_i == 0) {
                ck_failed(&p.client, ATTESTD_ERROR_TIMED_OUT, "no verdict on evidence of the peer in time");
                return;
        }
        ck_assert(mock_has(p.client.mock, ATT_EVENT_VERDICT));
}
END_TEST

/* What waits for whom is told to who drives the connection. */
START_TEST(wants_what_a_log_waits_for) {
        g_auto(Pair) p = { 0 };

        pair_init(&p, ASKS, GIVES | LOGS);
        measure(p.server.mock, 3, 0);
        until(&p, &p.client, ATT_EVENT_LOGS);
        ck_assert_int_eq(end_drive(&p.client), ATTESTD_WANT_SERVICE);
        mock_answer(p.client.mock, ATT_EVENT_LOGS);
        ck_assert_int_eq(end_drive(&p.client), ATTESTD_WANT_READ);
        until(&p, &p.server, ATT_EVENT_LOG);
        ck_assert_int_eq(end_drive(&p.server), ATTESTD_WANT_SERVICE);
        until(&p, &p.client, ATT_EVENT_ADDED);
        ck_assert_int_eq(end_drive(&p.client), ATTESTD_WANT_SERVICE);
}
END_TEST

/* Cutting. */

static void have_attestd_give(Mock *m, AttLogGiver *giver, guint64 from) {
        g_autoptr(AttEvent) event = NULL;

        m->base.ops->get_log(&m->base, "ima", from);
        ck_assert(mock_answer(m, ATT_EVENT_LOG));
        event = m->base.ops->next(&m->base);
        ck_assert(att_log_giver_take(giver, event, NULL));
}

/* attestd's answer was as long as it may be: there may be more behind it. */
START_TEST(asks_attestd_on_after_a_full_answer) {
        Mock *m = mock_new(ATT_ROLE_SERVER, ATT_HASH_SHA256);
        AttLogGiver giver = { 0 };
        guint64 n = 0;
        bool more = true;

        measure(m, 66, 1000 * KIB);
        ck_assert_uint_lt(ATT_LOG_GIVEN_MAX, m->ima->len);
        while (more) {
                const char *bank;
                g_autoptr(GBytes) entries = NULL;

                ck_assert(att_log_giver_want(&giver, "ima", n, NULL));
                if (att_log_giver_needs(&giver))
                        have_attestd_give(m, &giver, n);
                entries = att_log_giver_cut(&giver, ATT_LOG_CHUNK_MAX, &bank, &more, NULL);
                ck_assert_ptr_nonnull(entries);
                ck_assert_uint_le(g_bytes_get_size(entries), ATT_LOG_CHUNK_MAX);
                n = giver.first;
        }
        ck_assert_uint_eq(n, 66);
        ck_assert_uint_eq(m->n_given, 2);
        att_log_giver_clear(&giver);
        m->base.ops->free(&m->base);
}
END_TEST

/* SC-34: a peer that leaves out entries; only behind all that attestd gave there may be more. */
START_TEST(sc34_an_answer_of_attestd_serves_each_question_within_it) {
        static const guint64 questions[] = { 1, 3, 9, 10 };
        Mock *m = mock_new(ATT_ROLE_SERVER, ATT_HASH_SHA256);
        AttLogGiver giver = { 0 };

        measure(m, 12, 1000 * KIB);
        for (size_t i = 0; i < G_N_ELEMENTS(questions); i++) {
                gsize start = g_array_index(m->starts, gsize, questions[i]);
                gsize end = g_array_index(m->starts, gsize, questions[i] + 1);
                g_autoptr(GBytes) entries = NULL;
                const char *bank;
                bool more;

                ck_assert(att_log_giver_want(&giver, "ima", questions[i], NULL));
                ck_assert(att_log_giver_needs(&giver) == (i == 0));
                if (i == 0)
                        have_attestd_give(m, &giver, questions[i]);
                entries = att_log_giver_cut(&giver, ATT_LOG_CHUNK_MAX, &bank, &more, NULL);
                ck_assert_uint_eq(g_bytes_get_size(entries), end - start);
                ck_assert_mem_eq(g_bytes_get_data(entries, NULL), m->ima->data + start, end - start);
                ck_assert(more);
        }

        ck_assert(att_log_giver_want(&giver, "ima", 13, NULL));
        ck_assert(att_log_giver_needs(&giver));
        ck_assert(att_log_giver_want(&giver, "ima", 10, NULL)); /* given already */
        ck_assert(att_log_giver_needs(&giver));
        ck_assert(att_log_giver_want(&giver, "ima", 12, NULL));
        ck_assert(!att_log_giver_needs(&giver));
        giver.is_rest = false;
        ck_assert(att_log_giver_needs(&giver));
        att_log_giver_clear(&giver);
        m->base.ops->free(&m->base);
}
END_TEST

START_TEST(cuts_registers_by_their_size) {
        AttLogGiver giver = { 0 };
        g_autoptr(GBytes) bytes = g_bytes_new_take(g_malloc0(480), 480), first = NULL, rest = NULL;
        AttEvent event = { .bytes = bytes, .first = 5, .bank = (char *) "sha384" };
        const char *bank;
        bool more;

        ck_assert(!att_log_giver_want(&giver, "other", 0, NULL));
        ck_assert(att_log_giver_want(&giver, "register", 5, NULL));
        ck_assert(att_log_giver_needs(&giver));
        ck_assert(att_log_giver_take(&giver, &event, NULL));
        first = att_log_giver_cut(&giver, 100, &bank, &more, NULL);
        ck_assert_uint_eq(g_bytes_get_size(first), 96);
        ck_assert_str_eq(bank, "sha384");
        ck_assert(more);
        ck_assert(att_log_giver_want(&giver, "register", 9, NULL)); /* 7 and 8 are left out */
        ck_assert(!att_log_giver_needs(&giver));
        rest = att_log_giver_cut(&giver, 10000, &bank, &more, NULL);
        ck_assert_uint_eq(g_bytes_get_size(rest), 288);
        ck_assert(!more);
        att_log_giver_clear(&giver);
}
END_TEST

int main(void) {
        Suite *s = suite_create("logs");
        TCase *t = tcase_create("transfer");

        tcase_set_timeout(t, 60);
        tcase_add_test(t, gives_the_log_that_a_policy_needs);
        tcase_add_test(t, asks_for_no_log_that_nobody_needs);
        tcase_add_test(t, a_log_without_entries_will_do);
        tcase_add_test(t, goes_on_where_it_stopped);
        tcase_add_test(t, sc16d_goes_on_after_a_restart_of_attestd);
        tcase_add_test(t, entries_behind_the_evidence_are_taken);
        tcase_add_test(t, a_large_log_comes_in_pieces);
        tcase_add_test(t, gives_the_boot_log_whole_and_once);
        tcase_add_test(t, gives_logs_in_both_directions);
        tcase_add_test(t, two_that_give_logs_do_not_wait_for_each_other);
        tcase_add_test(t, data_goes_on_beside_a_log);
        tcase_add_test(t, wants_what_a_log_waits_for);
        tcase_add_test(t, asks_attestd_on_after_a_full_answer);
        tcase_add_test(t, sc34_an_answer_of_attestd_serves_each_question_within_it);
        tcase_add_test(t, cuts_registers_by_their_size);
        suite_add_tcase(s, t);

        t = tcase_create("refusal");
        tcase_add_test(t, gives_no_log_unless_it_is_told_to);
        tcase_add_loop_test(t, gives_logs_to_whom_it_knows, 0, 6);
        tcase_add_test(t, a_server_that_asks_holds_its_log_back);
        tcase_add_test(t, says_that_a_log_cannot_be_had);
        tcase_add_test(t, gives_no_log_of_a_bank_that_it_does_not_know);
        tcase_add_loop_test(t, sc16f_gives_no_log_that_does_not_fit, 0, 3);
        tcase_add_loop_test(t, a_verifier_that_fails_takes_no_log, 0, 2);
        tcase_add_test(t, a_log_that_the_verifier_does_not_take_is_a_refusal);
        suite_add_tcase(s, t);

        t = tcase_create("changes");
        tcase_add_loop_test(t, stale_during_a_log_asks_once_more, 0, 4);
        tcase_add_test(t, no_log_is_asked_for_beside_void_evidence);
        tcase_add_test(t, attestd_restarts_during_a_log);
        tcase_add_test(t, both_change_during_their_logs);
        tcase_add_loop_test(t, ends_during_a_log, 0, 6);
        suite_add_tcase(s, t);

        t = tcase_create("hostile");
        tcase_set_timeout(t, 60);
        tcase_add_loop_test(t, refuses_entries_that_nobody_asked_for, 0, 3);
        tcase_add_loop_test(t, refuses_entries_that_are_no_answer, 0, 6);
        tcase_add_loop_test(t, sc16a_sc16b_sc16c_entries_continue_those_before, 0, 5);
        tcase_add_test(t, refuses_entries_after_a_refusal);
        tcase_add_loop_test(t, sc34b_a_log_that_never_ends_has_a_limit, 0, 2);
        tcase_add_loop_test(t, sc34c_a_log_frame_over_its_limit_is_refused_by_its_header, 0, 3);
        tcase_add_loop_test(t, sc34d_a_boot_log_has_a_cap, 0, 2);
        tcase_add_loop_test(t, refuses_requests_out_of_turn, 0, 9);
        tcase_add_loop_test(t, refuses_a_second_request_before_the_answer, 0, 3);
        tcase_add_test(t, sc34_a_peer_that_does_not_read_holds_one_piece);
        tcase_add_loop_test(t, sc38_crumbs_of_a_log_have_a_time_limit, 0, 2);
        suite_add_tcase(s, t);
        return run_suite(s);
}
