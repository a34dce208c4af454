/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Compat mode: frames 1 and 2, and then the bytes of the application. */
#include "ends.h"
#include "run.h"

static void pair(Pair *p, int client, int server) {
        pair_init(p, client | COMPAT, server | COMPAT);
}

static void ck_sent(const End *end, const char *expected) {
        g_autofree char *sent = frames_sent(end);

        ck_assert_str_eq(sent, expected);
}

static void talk(Pair *p) {
        end_write(&p->client, "question");
        pair_settle(p);
        ck_reads(&p->server, "question", FALSE);
        end_write(&p->server, "answer");
        pair_settle(p);
        ck_reads(&p->client, "answer", FALSE);
}

static AttestdStatus end(End *end) {
        g_clear_error(&end->error);
        return attestd_connection_end(end->connection, &end->error);
}

static AttestdStatus read_some(End *end) {
        gsize n;
        char data[16];

        g_clear_error(&end->error);
        return attestd_connection_read(end->connection, data, sizeof data, &n, NULL, &end->error);
}

static const struct {
        int client, server;
        const char *client_sends, *server_sends;
} directions[] = {
        { ASKS, GIVES, "request", "authenticator" },
        { GIVES, ASKS, "authenticator", "request" },
        { ASKS | GIVES, ASKS | GIVES, "request authenticator", "request authenticator" },
        { ASKS | GIVES, ASKS | GIVES | FIRST, "request authenticator", "request authenticator" },
};

START_TEST(opens_in_every_direction) {
        g_auto(Pair) p = { 0 };

        pair(&p, directions[_i].client, directions[_i].server);
        pair_settle(&p);
        ck_are_open(&p);
        ck_sent(&p.client, directions[_i].client_sends);
        ck_sent(&p.server, directions[_i].server_sends);
        talk(&p);
        /* Nothing but the application's bytes is on the wire any more. */
        ck_assert_uint_eq(p.client.receiving->len, strlen("answer"));
        ck_assert_int_eq(memcmp(p.client.receiving->data, "answer", strlen("answer")), 0);

        ck_assert_int_eq(end(&p.client), ATTESTD_DONE);
        pair_settle(&p);
        ck_assert_int_eq(read_some(&p.server), ATTESTD_END);
        ck_assert_int_eq(end(&p.server), ATTESTD_DONE);
        pair_settle(&p);
        ck_assert_int_eq(read_some(&p.client), ATTESTD_END);
}
END_TEST

/* Who asks sends nothing before its verdict, who gives nothing before its answer. */
START_TEST(the_gate_opens_for_each_end_by_itself) {
        g_auto(Pair) p = { 0 };

        pair(&p, ASKS, GIVES);
        pair_exchange(&p);
        pair_answer(&p, &p.client, ATT_EVENT_REQUEST);
        ck_are_closed(&p);
        pair_answer(&p, &p.server, ATT_EVENT_EVIDENCE);
        ck_is_closed(&p.client);
        ck_is_open(&p.server);

        /* What comes before the verdict is not read, and not lost. */
        end_write(&p.server, "welcome");
        pair_exchange(&p);
        ck_reads(&p.client, "", FALSE);
        ck_assert_uint_eq(p.client.memory->in->len, strlen("welcome"));
        mock_answer(p.client.mock, ATT_EVENT_VERDICT);
        pair_settle(&p);
        ck_is_open(&p.client);
        ck_reads(&p.client, "welcome", FALSE);
        talk(&p);
}
END_TEST

/* A refusal is told by nothing but the end of the stream. */
START_TEST(a_refusal_closes_and_delivers_nothing) {
        g_auto(Pair) p = { 0 };

        pair(&p, ASKS, GIVES);
        p.client.mock->refuses = "evidence-policy: not you";
        pair_exchange(&p);
        pair_answer(&p, &p.client, ATT_EVENT_REQUEST);
        pair_answer(&p, &p.server, ATT_EVENT_EVIDENCE);
        end_write(&p.server, "welcome");
        pair_settle(&p);
        ck_failed(&p.client, ATTESTD_ERROR_REFUSED, "not you");
        ck_assert_int_eq(read_some(&p.client), ATTESTD_FAILED);
        ck_sent(&p.client, "request");
        ck_assert_int_eq(read_some(&p.server), ATTESTD_END);
}
END_TEST

/* The peer gets the authenticated refusal, and whoever has nothing to give knows why. */
START_TEST(an_end_without_evidence_fails_and_says_why) {
        g_auto(Pair) p = { 0 };

        pair(&p, ASKS, GIVES);
        mock_fail_next(p.server.mock, ATT_EVENT_EVIDENCE, "attestd: away");
        pair_settle(&p);
        ck_failed(&p.server, ATTESTD_ERROR_SERVICE, "attestd: away");
        ck_sent(&p.server, "authenticator");
        ck_failed(&p.client, ATTESTD_ERROR_REFUSED, "empty-authenticator");
}
END_TEST

/* As in native mode: a server shows itself to clients that it knows. */
START_TEST(a_server_that_asks_gives_last) {
        g_auto(Pair) p = { 0 };

        pair(&p, ASKS | GIVES, ASKS | GIVES);
        if (_i == 1)
                p.server.mock->refuses = "evidence-policy: not you";
        pair_settle(&p);
        ck_assert_uint_eq(p.server.mock->n_attested, _i == 0);
        if (_i == 0) {
                talk(&p);
                return;
        }
        ck_assert_int_eq(end_drive(&p.client), ATTESTD_FAILED);
        ck_failed(&p.client, ATTESTD_ERROR_CLOSED, "before its frames were here");
}
END_TEST

/* Changes are not told; but evidence has an age. */
START_TEST(nothing_is_renewed) {
        g_auto(Pair) p = { 0 };

        pair(&p, ASKS, GIVES);
        pair_settle(&p);
        mock_change(p.server.mock);
        mock_restart(p.server.mock);
        pair_settle(&p);
        ck_are_open(&p);
        ck_assert_int_eq(attestd_connection_renew(p.client.connection, &p.client.error), ATTESTD_FAILED);
        ck_failed(&p.client, ATTESTD_ERROR_INVALID, "no renewal");
        talk(&p);

        ck_assert_int_eq(attestd_connection_timeout_ms(p.client.connection), 600000);
        ck_assert_int_eq(attestd_connection_timeout_ms(p.server.connection), -1);
        p.clock += (int64_t) 600 * G_USEC_PER_SEC - 1;
        talk(&p);
        p.clock++;
        ck_assert_int_eq(read_some(&p.client), ATTESTD_FAILED);
        ck_failed(&p.client, ATTESTD_ERROR_REFUSED, "freshness: ");
        pair_settle(&p);
        ck_assert_int_eq(read_some(&p.server), ATTESTD_END);
}
END_TEST

START_TEST(without_a_maximal_age_nothing_expires) {
        AttestdEndpoint *client = endpoint_new(ASKS | COMPAT);
        g_auto(Pair) p = { 0 };

        attestd_endpoint_set_max_age(client, 0);
        pair_init_with(&p, ATT_HASH_SHA384, client, endpoint_new(GIVES | COMPAT));
        pair_settle(&p);
        p.clock += (int64_t) 36000 * G_USEC_PER_SEC;
        ck_assert_int_eq(attestd_connection_timeout_ms(p.client.connection), -1);
        talk(&p);
}
END_TEST

/* What comes instead of a frame. The third is a native hello. */
static const struct {
        const char *bytes;
        size_t size;
        AttestdError code;
        const char *reason;
} wrong[] = {
        { "HTTP/1.1 400 Bad\r\n", 18, ATTESTD_ERROR_PROTOCOL, "no-attestation: the peer speaks no attestation" },
        { "\n", 1, ATTESTD_ERROR_PROTOCOL, "no-attestation: the peer speaks no attestation" },
        { "\0\0\0\0\1", 5, ATTESTD_ERROR_PROTOCOL, "no-attestation: the peer speaks the native mode" },
        { "\3\0\0\0\1", 5, ATTESTD_ERROR_PROTOCOL, "no-attestation" },
        { "\1\0\0\100\1", 5, ATTESTD_ERROR_PROTOCOL, "over 16384" },
        { "\2\0\2\0\1", 5, ATTESTD_ERROR_PROTOCOL, "over 131072" },
        { "\2\377\377\377\377", 5, ATTESTD_ERROR_PROTOCOL, "over 131072" },
        { "\1\0\0\0\1", 5, ATTESTD_ERROR_PROTOCOL, "not allowed now" },
        { "\2\0\0\0\4full", 9, ATTESTD_ERROR_REFUSED, "TLS handshake" },
};

START_TEST(names_what_is_wrong_instead_of_a_frame) {
        g_auto(Pair) p = { 0 };

        pair(&p, ASKS, GIVES);
        (void) end_drive(&p.client);
        mock_answer(p.client.mock, ATT_EVENT_REQUEST);
        (void) end_drive(&p.client);
        inject_bytes(&p.client, wrong[_i].bytes, wrong[_i].size);
        (void) end_drive(&p.client);
        mock_answer(p.client.mock, ATT_EVENT_VERDICT);
        ck_assert_int_eq(end_drive(&p.client), ATTESTD_FAILED);
        ck_failed(&p.client, wrong[_i].code, wrong[_i].reason);
        ck_sent(&p.client, "request"); /* it would not understand a refusal */
        ck_assert(p.client.memory->out_closed);
}
END_TEST

/* _i: an authenticator that nobody asked for, and one before the request is made. */
START_TEST(refuses_an_authenticator_out_of_order) {
        End *end;
        g_auto(Pair) p = { 0 };

        pair(&p, ASKS, GIVES);
        end = _i == 0 ? &p.server : &p.client;
        (void) end_drive(end);
        inject(end, ATT_FRAME_AUTHENTICATOR, "x", 1);
        ck_assert_int_eq(end_drive(end), ATTESTD_FAILED);
        ck_failed(end, ATTESTD_ERROR_PROTOCOL, "not allowed now");
}
END_TEST

/* One request, one authenticator: what looks like more is data. */
START_TEST(there_are_no_frames_after_the_first) {
        g_autoptr(GByteArray) frame = g_byte_array_new();
        char data[64];
        gsize n;
        g_auto(Pair) p = { 0 };

        pair(&p, ASKS, GIVES);
        pair_settle(&p);
        att_frame_put(frame, ATT_FRAME_REQUEST, "again", 5);
        inject_bytes(&p.server, frame->data, frame->len);
        ck_assert_int_eq(attestd_connection_read(p.server.connection, data, sizeof data, &n, NULL, NULL), ATTESTD_DONE);
        ck_assert_uint_eq(n, frame->len);
        ck_assert_int_eq(memcmp(data, frame->data, n), 0);
        ck_assert_uint_eq(p.server.mock->n_attested, 1);
}
END_TEST

/* Every proper prefix of a frame, and then the end. */
START_TEST(refuses_a_frame_that_is_cut) {
        static const uint8_t frame[] = { ATT_FRAME_REQUEST, 0, 0, 0, 3, 'a', 'b', 'c' };

        for (size_t n = 0; n < sizeof frame; n++) {
                g_auto(Pair) p = { 0 };

                pair(&p, ASKS, GIVES);
                inject_bytes(&p.server, frame, n);
                p.server.memory->in_closed = true;
                ck_assert_int_eq(end_drive(&p.server), ATTESTD_FAILED);
                ck_failed(&p.server, ATTESTD_ERROR_CLOSED, n > 0 ? "inside a frame" : "before its frames were here");
        }
}
END_TEST

START_TEST(a_cut_stream_is_no_end) {
        g_auto(Pair) p = { 0 };

        pair(&p, ASKS, GIVES);
        pair_settle(&p);
        end_write(&p.client, "half");
        (void) pair_deliver(&p, &p.server, SIZE_MAX);
        p.server.memory->in_cut = true;
        ck_reads(&p.server, "half", FALSE);
        ck_assert_int_eq(read_some(&p.server), ATTESTD_FAILED);
        ck_failed(&p.server, ATTESTD_ERROR_CLOSED, "cut");
}
END_TEST

/* _i: who gives waits for a request, who asks for an answer. */
START_TEST(a_silent_peer_is_given_up) {
        End *end;
        g_auto(Pair) p = { 0 };

        pair(&p, ASKS, GIVES);
        end = _i == 0 ? &p.server : &p.client;
        (void) end_drive(end);
        mock_answer(end->mock, ATT_EVENT_REQUEST);
        (void) end_drive(end);
        ck_assert_int_eq(attestd_connection_timeout_ms(end->connection), MOCK_TIMEOUT_MS);
        p.clock += (int64_t) MOCK_TIMEOUT_MS * 1000;
        ck_assert_int_eq(end_drive(end), ATTESTD_FAILED);
        ck_failed(end, ATTESTD_ERROR_TIMED_OUT, _i == 0 ? "no request in time" : "no verdict");
}
END_TEST

/* An end that was ended before its turn reads on to the peer's end, and waits for nothing. */
START_TEST(can_be_ended_before_it_opened) {
        g_auto(Pair) p = { 0 };

        pair(&p, ASKS, GIVES);
        ck_assert_int_eq(end(&p.server), ATTESTD_DONE);
        pair_settle(&p);
        ck_failed(&p.client, ATTESTD_ERROR_CLOSED, "before its frames were here");
        ck_assert_int_eq(read_some(&p.server), ATTESTD_END);
}
END_TEST

/* More than all buffers, in pieces of any size; the plain bytes of both ends at once. */
START_TEST(carries_much_data) {
        static uint8_t data[3 * ATT_CONNECTION_INBOX_MAX], got[sizeof data];
        gsize sent = 0, taken = 0, n;
        g_auto(Pair) p = { 0 };

        for (size_t i = 0; i < sizeof data; i++)
                data[i] = (uint8_t) (i * 2654435761u >> 13);
        pair(&p, ASKS, GIVES);
        pair_settle(&p);
        p.client.memory->most = 1447;
        while (taken < sizeof data) {
                if (sent < sizeof data) {
                        p.client.memory->room = 100000;
                        ck_assert_int_ne(attestd_connection_write(p.client.connection, data + sent, sizeof data - sent,
                                                                  &n, NULL), ATTESTD_FAILED);
                        sent += n;
                }
                (void) pair_deliver(&p, &p.server, SIZE_MAX);
                (void) end_drive(&p.server);
                while (attestd_connection_read(p.server.connection, got + taken, sizeof got - taken, &n, NULL, NULL) ==
                       ATTESTD_DONE) {
                        taken += n;
                        if (taken == sizeof got)
                                break;
                }
        }
        ck_assert_int_eq(memcmp(data, got, sizeof data), 0);
}
END_TEST

/* Who does not read keeps no more than its inbox. */
START_TEST(sc34d_keeps_no_more_than_its_inbox) {
        static uint8_t data[2 * ATT_CONNECTION_INBOX_MAX];
        g_auto(Pair) p = { 0 };

        pair(&p, ASKS, GIVES);
        pair_settle(&p);
        inject_bytes(&p.server, data, sizeof data);
        for (unsigned i = 0; i < 100; i++)
                (void) end_drive(&p.server);
        ck_assert_uint_ge(p.server.memory->in->len, ATT_CONNECTION_INBOX_MAX - 2 * ATT_FRAME_DATA_MAX);
}
END_TEST

/* SC-05: a request that is our own sent back, in either role; its twin is another one. */
START_TEST(sc05_a_context_counts_in_one_direction) {
        g_autoptr(GBytes) request = NULL;
        End *end;
        g_auto(Pair) p = { 0 };

        pair(&p, ASKS | GIVES, ASKS | GIVES | FIRST);
        end = _i % 2 == 0 ? &p.client : &p.server;
        (void) end_drive(end);
        mock_answer(end->mock, ATT_EVENT_REQUEST);
        (void) end_drive(end);
        if (_i < 2) {
                g_autofree uint8_t *bytes = g_memdup2(g_bytes_get_data(end->mock->request, NULL),
                                                      g_bytes_get_size(end->mock->request));

                bytes[0] = end == &p.client ? 13 : 17; /* as the peer's role has it */
                inject(end, ATT_FRAME_REQUEST, bytes, g_bytes_get_size(end->mock->request));
        } else {
                request = play_request(end, 0xFF00);
        }
        (void) end_drive(end);
        if (_i < 2) {
                ck_failed(end, ATTESTD_ERROR_PROTOCOL, "context");
                ck_assert(!mock_has(end->mock, ATT_EVENT_EVIDENCE));
        } else {
                ck_assert(mock_has(end->mock, ATT_EVENT_EVIDENCE));
                ck_assert_uint_eq(end->mock->recorded->len, 1);
        }
}
END_TEST

int main(void) {
        Suite *s = suite_create("compat");
        TCase *t = tcase_create("compat");

        tcase_set_timeout(t, 60);
        tcase_add_loop_test(t, opens_in_every_direction, 0, (int) G_N_ELEMENTS(directions));
        tcase_add_test(t, the_gate_opens_for_each_end_by_itself);
        tcase_add_test(t, a_refusal_closes_and_delivers_nothing);
        tcase_add_test(t, an_end_without_evidence_fails_and_says_why);
        tcase_add_loop_test(t, a_server_that_asks_gives_last, 0, 2);
        tcase_add_test(t, nothing_is_renewed);
        tcase_add_test(t, without_a_maximal_age_nothing_expires);
        tcase_add_loop_test(t, names_what_is_wrong_instead_of_a_frame, 0, (int) G_N_ELEMENTS(wrong));
        tcase_add_loop_test(t, refuses_an_authenticator_out_of_order, 0, 2);
        tcase_add_test(t, there_are_no_frames_after_the_first);
        tcase_add_test(t, refuses_a_frame_that_is_cut);
        tcase_add_test(t, a_cut_stream_is_no_end);
        tcase_add_loop_test(t, a_silent_peer_is_given_up, 0, 2);
        tcase_add_test(t, can_be_ended_before_it_opened);
        tcase_add_test(t, carries_much_data);
        tcase_add_test(t, sc34d_keeps_no_more_than_its_inbox);
        tcase_add_loop_test(t, sc05_a_context_counts_in_one_direction, 0, 4);
        suite_add_tcase(s, t);
        return run_suite(s);
}
