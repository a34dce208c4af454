/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lib/connection.h"

#include "lib/connection-state.h"
#include "lib/greeting.h"

/* Data that the peer sent before what we wait for. */
#define INBOX_MAX ATT_CONNECTION_INBOX_MAX
/* Frames that one call takes in before it lets its caller go on. */
#define FRAMES_MAX 256u

/* The gate. */

static bool gate_is_open(AttestdConnection *c) {
        return !c->failure && !c->has_ended && c->is_greeted &&
               (!c->endpoint->asks || att_relying_party_verdict_stands(c)) &&
               (!c->peer.asks || c->attesting.is_acked);
}

/* Driving: everything that can be done now, in the order of what may close the gate. */

static bool take_events(AttestdConnection *c) {
        for (;;) {
                g_autoptr(AttEvent) event = att_exchange_next(c->exchange);
                bool ok = true;

                if (!event)
                        return true;
                switch (event->type) {
                case ATT_EVENT_EVIDENCE:
                        ok = att_attesting_party_take_evidence(c, event);
                        break;
                case ATT_EVENT_REQUEST:
                        ok = att_relying_party_take_request(c, event);
                        break;
                case ATT_EVENT_VERDICT:
                        ok = att_relying_party_take_verdict(c, event);
                        break;
                case ATT_EVENT_STALE:
                        att_attesting_party_take_stale(c, event);
                        break;
                case ATT_EVENT_LOGS:
                        ok = att_relying_party_take_logs(c, event);
                        break;
                case ATT_EVENT_ADDED:
                        ok = att_relying_party_take_added(c, event);
                        break;
                case ATT_EVENT_LOG:
                        att_attesting_party_take_log(c, event);
                        break;
                case ATT_EVENT_FAILED:
                        ok = att_connection_fail(c, g_steal_pointer(&event->error), NULL);
                        break;
                }
                if (!ok)
                        return false;
        }
}

static bool check_end_time(AttestdConnection *c) {
        if (c->end_until && att_connection_now(c) >= c->end_until)
                return att_connection_fail_with(c, ATTESTD_ERROR_TIMED_OUT, "the peer did not take our end in time");
        return true;
}

static void close_if_due(AttestdConnection *c) {
        if (!c->has_ended || c->is_closed)
                return;
        if (!c->out.broken && att_unsent_left(&c->out) == 0)
                c->is_closed = c->transport->ops->close(c->transport, &c->out.broken) == ATT_IO_DONE;
        /* A peer that has ended in order may be gone already: it misses nothing. */
        if (c->out.broken && c->peer_ended)
                c->is_closed = true;
        if (c->is_closed)
                c->end_until = 0;
}

static bool drive_once(AttestdConnection *c) {
        if (c->failure || !take_events(c) || !att_attesting_party_answer_if_due(c) ||
            !att_relying_party_expire_if_due(c))
                return false;
        att_attesting_party_give_log_if_due(c);
        att_relying_party_ask_if_due(c);
        att_unsent_flush(&c->out);
        close_if_due(c);
        if (gate_is_open(c))
                c->write_until = 0;
        return true;
}

/* Returns: false if the connection has failed */
static bool drive(AttestdConnection *c, gsize inbox_max) {
        for (unsigned n = 0; drive_once(c); n++) {
                AttStep step;

                if (n == FRAMES_MAX)
                        return true;
                if (!att_incoming_may_read(c, inbox_max))
                        break;
                step = att_incoming_read(c);
                if (step == ATT_STEP_FAIL)
                        return false;
                if (step == ATT_STEP_REST)
                        break;
        }
        if (c->failure)
                return false;
        if (c->out.broken)
                return att_connection_fail(c, g_error_copy(c->out.broken), NULL);
        /* What is owed may stand behind data that nobody has read yet. */
        return check_end_time(c) && (c->inbox.cost >= inbox_max || att_connection_check_time(c));
}

static AttestdStatus report(AttestdConnection *c, GError **error) {
        g_propagate_error(error, g_error_copy(c->failure));
        return ATTESTD_FAILED;
}

static AttestdStatus invalid(const char *message, GError **error) {
        g_set_error_literal(error, ATTESTD_ERROR, ATTESTD_ERROR_INVALID, message);
        return ATTESTD_FAILED;
}

static bool is_ending(const AttestdConnection *c) {
        return c->has_ended && !c->is_closed;
}

static bool wants_write(const AttestdConnection *c) {
        return att_unsent_left(&c->out) > 0 || is_ending(c);
}

static AttestdStatus want(const AttestdConnection *c) {
        if (wants_write(c))
                return ATTESTD_WANT_WRITE;
        return att_relying_party_awaits_service(c) || att_attesting_party_awaits_service(c) ? ATTESTD_WANT_SERVICE :
                                                                                              ATTESTD_WANT_READ;
}

/* What a call does when it cannot go on: waits, and returns %ATTESTD_DONE, or WANTs. */
static AttestdStatus rest(AttestdConnection *c, gsize inbox_max, GError **error) {
        GError *failure = NULL;

        if (!c->transport->blocks)
                return want(c);
        if (c->transport->ops->wait(c->transport, att_incoming_may_read(c, inbox_max), wants_write(c),
                                    c->services->ops->fd(c->services), attestd_connection_timeout_ms(c), &failure))
                return ATTESTD_DONE;
        att_connection_fail(c, failure, NULL);
        return report(c, error);
}

/* Rests for a gate that is closed, if there is a way that it opens. */
static AttestdStatus rest_for_gate(AttestdConnection *c, GError **error) {
        if (c->peer_ended) {
                att_connection_fail_with(c, ATTESTD_ERROR_CLOSED, "the peer has ended, and the gate is closed");
                return report(c, error);
        }
        if (c->inbox.cost >= INBOX_MAX)
                return ATTESTD_READ_FIRST;
        return rest(c, INBOX_MAX, error);
}

/* The public calls. */

AttestdConnection *att_connection_new(AttestdEndpoint *endpoint, AttTransport *transport, AttServices *services) {
        AttestdConnection *c = g_new0(AttestdConnection, 1);

        c->exchange = att_exchange_new(endpoint, transport, services);
        c->endpoint = endpoint;
        c->transport = transport;
        c->services = services;
        att_unsent_init(&c->out, transport);
        att_greeting_begin(c);
        return c;
}

void attestd_connection_free(AttestdConnection *c) {
        if (!c)
                return;
        att_unsent_clear(&c->out);
        att_incoming_clear(&c->incoming);
        att_inbox_clear(&c->inbox);
        att_hello_clear(&c->peer);
        g_clear_error(&c->failure);
        att_relying_party_clear(&c->relying);
        att_attesting_party_clear(&c->attesting);
        attestd_exchange_free(c->exchange);
        g_free(c);
}

gsize att_connection_out_size(const AttestdConnection *c) {
        return att_unsent_held(&c->out);
}

int attestd_connection_service_fd(AttestdConnection *c) {
        return c->services->ops->fd(c->services);
}

static int ms_until(AttestdConnection *c, int64_t time) {
        return (int) CLAMP((time - att_connection_now(c) + 999) / 1000, 0, G_MAXINT);
}

int attestd_connection_timeout_ms(AttestdConnection *c) {
        int64_t next = att_relying_party_due_at(c);

        if (c->failure)
                return -1;
        if (is_ending(c)) /* that call looks at no other limit */
                return ms_until(c, c->end_until);
        if (c->incoming.has_more && att_incoming_may_read(c, INBOX_MAX))
                return 0;
        if (c->owes_until)
                next = MIN(next, c->owes_until);
        if (c->answer_until)
                next = MIN(next, c->answer_until);
        if (c->write_until)
                next = MIN(next, c->write_until);
        return next == INT64_MAX || c->inbox.cost >= INBOX_MAX ? -1 : ms_until(c, next);
}

AttestdStatus attestd_connection_open(AttestdConnection *c, GError **error) {
        for (;;) {
                AttestdStatus status;

                if (!drive(c, INBOX_MAX))
                        return report(c, error);
                if (gate_is_open(c))
                        return ATTESTD_DONE;
                if (c->has_ended)
                        return invalid("the connection has been ended", error);
                status = rest_for_gate(c, error);
                if (status != ATTESTD_DONE)
                        return status;
        }
}

gboolean attestd_connection_is_open(AttestdConnection *c) {
        return gate_is_open(c);
}

/* When the stream has broken off, what came before that is still good. */
static bool may_deliver(const AttestdConnection *c) {
        return !c->failure || g_error_matches(c->failure, ATTESTD_ERROR, ATTESTD_ERROR_CLOSED) ||
               g_error_matches(c->failure, ATTESTD_ERROR, ATTESTD_ERROR_TLS);
}

gsize attestd_connection_pending(AttestdConnection *c) {
        return may_deliver(c) ? c->inbox.size : 0;
}

AttestdStatus attestd_connection_read(AttestdConnection *c, void *data, gsize size, gsize *ret_size,
                                      gboolean *ret_stale, GError **error) {
        *ret_size = 0;
        if (size == 0)
                return invalid("there is no room to read into", error);

        for (;;) {
                AttestdStatus status;
                bool ok = drive(c, 1);

                if (c->inbox.size > 0 && may_deliver(c)) {
                        *ret_size = att_inbox_take(&c->inbox, data, size, ret_stale);
                        return ATTESTD_DONE;
                }
                if (c->peer_ended && may_deliver(c))
                        return ATTESTD_END;
                if (!ok)
                        return report(c, error);
                status = rest(c, 1, error);
                if (status != ATTESTD_DONE)
                        return status;
        }
}

/* One data frame, straight to the transport: what waits in out was sent while the gate was open. */
static void write_frame(AttestdConnection *c, const uint8_t *data, gsize size) {
        c->writing = MIN(size, ATT_FRAME_DATA_MAX);
        if (c->endpoint->compat)
                att_unsent_put_plain(&c->out, data, c->writing);
        else
                att_connection_put(c, ATT_FRAME_DATA, data, c->writing);
        att_unsent_flush(&c->out);
}

static AttestdStatus rest_for_write(AttestdConnection *c, GError **error) {
        if (att_unsent_left(&c->out) > 0)
                return rest(c, INBOX_MAX, error);

        if (c->write_until == 0)
                c->write_until = att_connection_limit(c);
        return rest_for_gate(c, error);
}

AttestdStatus attestd_connection_write(AttestdConnection *c, const void *data, gsize size, gsize *ret_size,
                                       GError **error) {
        *ret_size = 0;
        if (c->has_ended)
                return invalid("the connection has been ended", error);
        if (c->writing > size)
                return invalid("a write that WANTs is to be called again with the same data", error);

        for (;;) {
                AttestdStatus status;

                if (!drive(c, INBOX_MAX))
                        return report(c, error);
                if (att_unsent_left(&c->out) == 0) {
                        *ret_size += c->writing;
                        c->writing = 0;
                        if (*ret_size == size)
                                return ATTESTD_DONE;
                        if (gate_is_open(c)) {
                                write_frame(c, (const uint8_t *) data + *ret_size, size - *ret_size);
                                continue;
                        }
                }
                if (*ret_size > 0 && !c->transport->blocks)
                        return ATTESTD_DONE;
                status = rest_for_write(c, error);
                if (status != ATTESTD_DONE)
                        return status;
        }
}

AttestdStatus attestd_connection_renew(AttestdConnection *c, GError **error) {
        if (!c->endpoint->asks || c->has_ended)
                return invalid(c->has_ended ? "the connection has been ended" : "this end does not ask for evidence",
                               error);
        if (c->endpoint->compat)
                return invalid("compat mode has no renewal", error);
        att_relying_party_begin_renewal(c);

        for (;;) {
                AttestdStatus status;

                if (!drive(c, INBOX_MAX))
                        return report(c, error);
                if (att_relying_party_end_renewal(c))
                        return ATTESTD_DONE;
                status = rest_for_gate(c, error);
                if (status != ATTESTD_DONE)
                        return status;
        }
}

static void begin_end(AttestdConnection *c) {
        att_connection_put(c, ATT_FRAME_END, NULL, 0);
        c->has_ended = true;
        c->end_until = att_connection_limit(c);
        c->write_until = 0;
        att_attesting_party_end(c);
        if (c->owes != ATT_OWES_HELLO)
                att_connection_owe(c, ATT_OWES_NOTHING);
}

AttestdStatus attestd_connection_end(AttestdConnection *c, GError **error) {
        if (!drive_once(c))
                return report(c, error);
        if (!c->has_ended)
                begin_end(c);

        for (;;) {
                AttestdStatus status;

                if (!drive_once(c))
                        return report(c, error);
                if (c->is_closed)
                        return ATTESTD_DONE;
                if (c->out.broken) {
                        att_connection_fail(c, g_error_copy(c->out.broken), NULL);
                        return report(c, error);
                }
                if (!check_end_time(c))
                        return report(c, error);
                status = rest(c, 0, error);
                if (status != ATTESTD_DONE)
                        return status;
        }
}

const char *attestd_connection_result(AttestdConnection *c) {
        return c->relying.result;
}
