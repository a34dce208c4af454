/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The gate under random schedules: two ends, services that answer late, changes of
 * state at any time, bytes in any portions. A monitor that knows only the wire
 * holds every frame against the rules of the exchange. */
#include "ends.h"
#include "run.h"

#include <stdio.h>

#define STEPS 400

/* What an end has sent and received, as the rules see it. */
typedef struct Monitor {
        bool sent_hello, got_hello;
        bool asks; /* as its hello says */
        /* as relying party */
        guint n_requests, n_accepted;
        bool request_is_late;    /* the newest request was sent before the newest stale was received */
        bool is_answered, is_judged;
        bool may_show;           /* gives when asked, or has accepted the peer once */
        bool is_told;            /* a stale was received since the newest authenticator */
        bool trusts;             /* its newest word on the peer: accepted, no stale since */
        GBytes *request_context; /* of the newest request sent */
        bool waits_for_log;      /* a log request is not answered */
        /* as attester */
        bool is_void;            /* a stale was sent since the newest authenticator */
        bool is_trusted;         /* the newest authenticator is accepted, and no stale was sent since */
        bool was_trusted;
        guint n_answers, n_requests_got;
        bool owes_log;
        GBytes *answer_context;
        guint64 data_sent, data_got;
} Monitor;

typedef struct Run {
        Pair pair;
        Monitor client, server;
        GRand *random;
        unsigned n_data, n_stale, n_renewed, n_logs;
} Run;

static GBytes *request_context(GBytes *payload) {
        g_auto(AttEaRequest) read = { 0 };
        gsize size;
        const uint8_t *data = g_bytes_get_data(payload, &size);

        ck_assert_uint_gt(size, 5);
        ck_assert(att_ea_request_read(payload, data[0] == 13 ? ATT_ROLE_SERVER : ATT_ROLE_CLIENT,
                                      ATT_CMW_ATTESTATION_DEFAULT, &read, NULL));
        return g_bytes_ref(read.context);
}

static GBytes *verdict_context(const Frame *frame) {
        g_auto(AttVerdictFrame) verdict = { 0 };

        ck_assert(att_verdict_frame_decode(frame->type, frame->payload, &verdict, NULL));
        return g_bytes_ref(verdict.context);
}

static Monitor *other(Run *run, const Monitor *m) {
        return m == &run->client ? &run->server : &run->client;
}

static void on_sent(Run *run, End *end, Monitor *m, const Frame *frame) {
        g_auto(AttVerdictFrame) verdict = { 0 };
        g_autoptr(GBytes) context = NULL;

        ck_assert_msg(m->sent_hello || frame->type == ATT_FRAME_HELLO, "%s: %s before hello", end->name,
                      att_frame_name(frame->type));
        switch (frame->type) {
        case ATT_FRAME_HELLO:
                ck_assert(!m->sent_hello);
                m->sent_hello = true;
                break;
        case ATT_FRAME_REQUEST:
                /* At most one outstanding. */
                ck_assert_msg(m->n_requests == 0 || m->is_answered, "%s: asks twice", end->name);
                ck_assert_msg(m->n_requests == 0 || m->is_judged || m->request_is_late, "%s: gives no verdict",
                              end->name);
                m->n_requests++;
                m->is_answered = m->is_judged = m->request_is_late = false;
                g_clear_pointer(&m->request_context, g_bytes_unref);
                m->request_context = request_context(frame->payload);
                break;
        case ATT_FRAME_AUTHENTICATOR:
                m->n_answers++;
                ck_assert_uint_eq(m->n_answers, m->n_requests_got);
                ck_assert_msg(m->may_show || m->n_accepted > 0, "%s: shows itself to a stranger", end->name);
                m->is_void = false;
                break;
        case ATT_FRAME_ACCEPTED:
                context = verdict_context(frame);
                ck_assert_msg(m->is_answered && g_bytes_equal(context, m->request_context),
                              "%s: accepts what was not answered", end->name);
                ck_assert_msg(!m->request_is_late, "%s: accepts a context older than stale", end->name);
                ck_assert_msg(!m->waits_for_log, "%s: accepts before it has the log", end->name);
                m->trusts = m->is_judged = true;
                m->n_accepted++;
                break;
        case ATT_FRAME_STALE:
                m->is_void = true;
                m->is_trusted = false;
                run->n_stale++;
                break;
        case ATT_FRAME_DATA:
                ck_assert_msg(m->got_hello, "%s: data before hello", end->name);
                ck_assert_msg(!m->asks || m->trusts, "%s: data without a verdict of its own", end->name);
                ck_assert_msg(!other(run, m)->asks || m->is_trusted, "%s: data that the peer did not accept us for",
                              end->name);
                ck_assert(m->asks || other(run, m)->asks);
                m->data_sent += g_bytes_get_size(frame->payload);
                run->n_data++;
                break;
        case ATT_FRAME_REFUSED:
                ck_assert(att_verdict_frame_decode(frame->type, frame->payload, &verdict, NULL));
                ck_abort_msg("%s: refuses: %s", end->name, verdict.reason);
                break;
        case ATT_FRAME_LOG_REQUEST:
                ck_assert_msg(m->is_answered && !m->is_judged && !m->waits_for_log, "%s: asks for a log out of turn",
                              end->name);
                m->waits_for_log = true;
                run->n_logs++;
                break;
        case ATT_FRAME_LOG_ENTRIES:
                ck_assert_msg(m->owes_log, "%s: gives what nobody asked for", end->name);
                m->owes_log = false;
                break;
        case ATT_FRAME_END:
                ck_abort_msg("%s: sends %s", end->name, att_frame_name(frame->type));
        }
}

static void on_received(End *end, Monitor *m, const Frame *frame) {
        g_autoptr(GBytes) context = NULL;

        switch (frame->type) {
        case ATT_FRAME_HELLO:
                m->got_hello = true;
                break;
        case ATT_FRAME_REQUEST:
                m->n_requests_got++;
                g_clear_pointer(&m->answer_context, g_bytes_unref);
                m->answer_context = request_context(frame->payload);
                break;
        case ATT_FRAME_AUTHENTICATOR:
                m->is_answered = true;
                m->is_told = false;
                break;
        case ATT_FRAME_ACCEPTED:
                context = verdict_context(frame);
                ck_assert(g_bytes_equal(context, m->answer_context));
                if (!m->is_void)
                        m->is_trusted = m->was_trusted = true;
                break;
        case ATT_FRAME_STALE:
                ck_assert_msg(m->is_answered || m->n_requests > 1, "%s: stale before any evidence", end->name);
                ck_assert_msg(!m->is_told, "%s: told twice of one answer", end->name);
                m->is_told = true;
                m->trusts = false;
                m->request_is_late = true;
                break;
        case ATT_FRAME_DATA:
                m->data_got += g_bytes_get_size(frame->payload);
                break;
        case ATT_FRAME_LOG_REQUEST:
                m->owes_log = true;
                break;
        case ATT_FRAME_LOG_ENTRIES:
                m->waits_for_log = false;
                break;
        case ATT_FRAME_REFUSED:
        case ATT_FRAME_END:
                ck_abort_msg("%s: receives %s", end->name, att_frame_name(frame->type));
        }
}

static void watch(End *end, bool is_sent, const Frame *frame) {
        Run *run = end->data;
        Monitor *m = end == &run->pair.client ? &run->client : &run->server;

        if (is_sent)
                on_sent(run, end, m, frame);
        else
                on_received(end, m, frame);
}

static bool chance(Run *run, int of) {
        return g_rand_int_range(run->random, 0, of) == 0;
}

static void no_failure(const End *end, AttestdStatus status) {
        ck_assert_msg(status != ATTESTD_FAILED, "%s: %s", end->name, end->error ? end->error->message : "?");
}

/* A write that WANTs is repeated with the same data: all of it is the same. */
static const char letters[3000] = { 'x' };

static void write_some(Run *run, End *end) {
        gsize size = (gsize) g_rand_int_range(run->random, 1, sizeof letters), n;

        /* A chunk that is under way is as large as the first call made it. */
        g_clear_error(&end->error);
        no_failure(end, attestd_connection_write(end->connection, letters, MAX(size, sizeof letters), &n, &end->error));
}

static void read_some(Run *run, End *end) {
        char data[2000];
        gsize n;

        g_clear_error(&end->error);
        no_failure(end, attestd_connection_read(end->connection, data,
                                                (gsize) g_rand_int_range(run->random, 1, sizeof data), &n, NULL,
                                                &end->error));
}

static void answer_some(Run *run, End *end) {
        AttEventType kind = (AttEventType) g_rand_int_range(run->random, 0, ATT_EVENT_TYPES);

        if (kind == ATT_EVENT_EVIDENCE && chance(run, 2))
                mock_seal(end->mock); /* and what changes now is not in it */
        else
                (void) mock_answer(end->mock, kind);
}

static void step(Run *run) {
        End *end = chance(run, 2) ? &run->pair.client : &run->pair.server;

        /* Few enough that nobody owes too long, and enough for a renewal or another. */
        run->pair.clock += g_rand_int_range(run->random, 0, 50000);
        switch (g_rand_int_range(run->random, 0, 10)) {
        case 0:
        case 1:
                (void) pair_deliver(&run->pair, end, (size_t) g_rand_int_range(run->random, 1, 400));
                break;
        case 2:
                (void) pair_deliver(&run->pair, end, SIZE_MAX);
                break;
        case 3:
        case 4:
                answer_some(run, end);
                break;
        case 5:
                no_failure(end, end_drive(end));
                break;
        case 6:
                write_some(run, end);
                break;
        case 7:
                read_some(run, end);
                break;
        case 8:
                if (chance(run, 6)) {
                        mock_measure(end->mock, "/usr/bin/new", chance(run, 3) ? 3000 : 0);
                        mock_change(end->mock);
                }
                end->memory->most = (size_t) g_rand_int_range(run->random, 1, 5000);
                end->memory->room = chance(run, 3) ? (size_t) g_rand_int_range(run->random, 0, 300) : SIZE_MAX;
                break;
        case 9:
                if (end->endpoint->asks && chance(run, 6)) {
                        g_clear_error(&end->error);
                        no_failure(end, attestd_connection_renew(end->connection, &end->error));
                        run->n_renewed++;
                }
                break;
        default:
                break;
        }
}

static void read_all(End *end) {
        AttestdStatus status;
        char data[2000];
        gsize n;

        do {
                g_clear_error(&end->error);
                status = attestd_connection_read(end->connection, data, sizeof data, &n, NULL, &end->error);
                no_failure(end, status);
        } while (status == ATTESTD_DONE);
}

/* Left alone, both open. */
static void comes_to_rest(Run *run) {
        End *const ends[] = { &run->pair.client, &run->pair.server };
        gsize n;

        for (size_t i = 0; i < 2; i++)
                ends[i]->memory->room = ends[i]->memory->most = SIZE_MAX;
        for (int i = 0; i < 20; i++) {
                pair_settle(&run->pair);
                read_all(&run->pair.client);
                read_all(&run->pair.server);
        }
        for (size_t i = 0; i < 2; i++) {
                no_failure(ends[i], end_drive(ends[i]));
                ck_is_open(ends[i]);
                ck_assert_int_eq(attestd_connection_write(ends[i]->connection, letters, sizeof letters, &n, NULL),
                                 ATTESTD_DONE);
        }
        pair_settle(&run->pair);
        for (size_t i = 0; i < 2; i++)
                if (ends[i]->mock->logs[0])
                        ck_assert_uint_eq(ends[i]->mock->log_next, ends[1 - i]->mock->starts->len);
        ck_assert_uint_eq(run->client.data_sent, run->server.data_got);
        ck_assert_uint_eq(run->server.data_sent, run->client.data_got);
}

static void run_one(guint32 seed, int client, int server, unsigned totals[4]) {
        Run run = { 0 };

        run.random = g_rand_new_with_seed(seed);
        pair_init(&run.pair, client, server);
        run.client.asks = client & ASKS;
        run.server.asks = server & ASKS;
        run.client.may_show = true;
        run.server.may_show = !run.server.asks || (server & (FIRST | LOGS)); /* whose peer is verified */
        run.pair.client.on_frame = run.pair.server.on_frame = watch;
        run.pair.client.data = run.pair.server.data = &run;
        for (int i = 0; i < STEPS; i++)
                step(&run);
        comes_to_rest(&run);
        totals[0] += run.n_data;
        totals[1] += run.n_stale;
        totals[2] += run.n_renewed;
        totals[3] += run.n_logs;

        g_rand_free(run.random);
        g_clear_pointer(&run.client.request_context, g_bytes_unref);
        g_clear_pointer(&run.client.answer_context, g_bytes_unref);
        g_clear_pointer(&run.server.request_context, g_bytes_unref);
        g_clear_pointer(&run.server.answer_context, g_bytes_unref);
        pair_clear(&run.pair);
}

static const int kinds[][2] = {
        { ASKS, GIVES },
        { GIVES, ASKS },
        { ASKS | GIVES, ASKS | GIVES },
        { ASKS | GIVES, ASKS | GIVES | FIRST },
        { ASKS, GIVES | LOGS },
        { ASKS | GIVES | LOGS, ASKS | GIVES | LOGS },
};

START_TEST(no_data_passes_a_closed_gate) {
        const char *text = g_getenv("SEED");
        guint32 first = text ? (guint32) g_ascii_strtoull(text, NULL, 10) : (guint32) _i * 1000;
        guint32 n = text ? 1 : 110;
        unsigned totals[4] = { 0 };

        for (guint32 seed = first; seed < first + n; seed++) {
                if (text)
                        fprintf(stderr, "seed %u\n", seed);
                run_one(seed, kinds[_i][0], kinds[_i][1], totals);
        }
        /* The schedules did what they are for. */
        ck_assert_uint_gt(totals[0], n);
        ck_assert_uint_gt(totals[1], n / 2);
        ck_assert_uint_gt(totals[2], n / 2);
        ck_assert(!(kinds[_i][1] & LOGS) || totals[3] > n);
}
END_TEST

int main(void) {
        Suite *s = suite_create("gate");
        TCase *t = tcase_create("schedules");

        tcase_set_timeout(t, 120);
        tcase_add_loop_test(t, no_data_passes_a_closed_gate, 0, (int) G_N_ELEMENTS(kinds));
        suite_add_tcase(s, t);
        return run_suite(s);
}
