/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lib/connection.h"

#include "codec/tsm-report.h"
#include "lib/connection-state.h"

/* While so much waits to be sent, nothing more is read: a peer that only asks
 * makes us hold no more than this and one answer. Log entries do not count: there is
 * one frame of them, and two ends that both give logs must not wait for each other. */
#define OUT_MAX (64u * 1024u)
/* Data that the peer sent before what we wait for. */
#define INBOX_MAX ATT_CONNECTION_INBOX_MAX
/* Data that a peer which is overdue may still have under way: what it owes may stand
 * behind as much as sockets hold. */
#define LATE_MAX (16u * 1024u * 1024u)
/* Frames that one call takes in before it lets its caller go on. */
#define FRAMES_MAX 256u

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

/* Frames of the peer. */

enum {
        GREETED = 1 << 0,   /* its hello is here */
        PEER_ASKS = 1 << 1, /* and says that it asks */
        ANSWERING = 1 << 2, /* we hold its request, or make the answer */
        ANSWERED = 1 << 3,  /* it has an answer of ours, and has not said accepted */
        UNJUDGED = 1 << 4,  /* … and no stale of ours can be why it says nothing */
        ASKED = 1 << 5,     /* it owes us an authenticator */
        SHOWN = 1 << 6,     /* it has given one since its last stale */
        TRUSTED = 1 << 7,   /* we do not ask, or have accepted since its last stale */
        TRUSTS = 1 << 8,    /* it does not ask, or has accepted evidence of ours */
        ENDED = 1 << 9,     /* it has ended */
        ASKED_LOG = 1 << 10, /* it owes us some of a log */
        LOGGING = 1 << 11,   /* we owe it some of a log */
};

/* When a frame is legal: all of the needs are there, and nothing that bars it. */
static const struct {
        unsigned needs, barred_by;
} legal[ATT_FRAME_TYPES] = {
        [ATT_FRAME_HELLO] = { 0, GREETED },
        [ATT_FRAME_REQUEST] = { GREETED | PEER_ASKS, ANSWERING | UNJUDGED | LOGGING | ENDED },
        [ATT_FRAME_AUTHENTICATOR] = { GREETED | ASKED, ENDED },
        [ATT_FRAME_ACCEPTED] = { GREETED | ANSWERED, LOGGING | ENDED },
        [ATT_FRAME_REFUSED] = { GREETED, ENDED },
        [ATT_FRAME_STALE] = { GREETED | SHOWN, ENDED },
        [ATT_FRAME_LOG_REQUEST] = { GREETED | ANSWERED, ANSWERING | LOGGING | ENDED },
        [ATT_FRAME_LOG_ENTRIES] = { GREETED | ASKED_LOG, ENDED },
        [ATT_FRAME_DATA] = { GREETED | TRUSTED | TRUSTS, ENDED },
        [ATT_FRAME_END] = { GREETED, ENDED },
};

static unsigned facts(AttestdConnection *c) {
        return (c->is_greeted ? GREETED : 0) | (c->peer.asks ? PEER_ASKS : 0) |
               (c->attesting.held || c->attesting.answering ? ANSWERING : 0) | (c->attesting.answered ? ANSWERED : 0) |
               (c->attesting.answered && !c->attesting.answered_void && !c->attesting.may_cross ? UNJUDGED : 0) |
               (c->relying.ask == ATT_ASK_SENT ? ASKED : 0) | (c->relying.ask == ATT_ASK_LOG ? ASKED_LOG : 0) |
               (c->attesting.giver.asked.log ? LOGGING : 0) | (c->relying.has_shown ? SHOWN : 0) |
               (!c->endpoint->asks || c->relying.accepted > c->relying.stale_after ? TRUSTED : 0) |
               (c->is_greeted && (!c->peer.asks || c->attesting.was_acked) ? TRUSTS : 0) | (c->peer_ended ? ENDED : 0);
}

static bool awaits_request(const AttestdConnection *c) {
        return c->peer.asks && !c->attesting.was_asked;
}

static bool is_legal_in_compat(const AttestdConnection *c, AttFrameType type) {
        if (type == ATT_FRAME_REQUEST)
                return awaits_request(c);
        return type == ATT_FRAME_AUTHENTICATOR && c->relying.ask == ATT_ASK_SENT && !c->relying.has_shown;
}

static bool is_legal(AttestdConnection *c, AttFrameType type) {
        unsigned f = facts(c);

        if (c->endpoint->compat)
                return is_legal_in_compat(c, type);
        return (f & legal[type].needs) == legal[type].needs && !(f & legal[type].barred_by);
}

static const char *const formats[] = { ATT_TSM_REPORT_CBOR, NULL };

static bool on_hello(AttestdConnection *c, GBytes *payload) {
        g_autoptr(GError) error = NULL;

        if (!att_hello_decode(payload, &c->peer, &error))
                return att_connection_fail_frame(c, g_steal_pointer(&error));
        c->is_greeted = true;
        att_connection_owe(c, ATT_OWES_NOTHING);

        if (!c->endpoint->asks && !c->peer.asks)
                return att_connection_fail_with(c, ATTESTD_ERROR_PROTOCOL, "neither end asks for evidence");
        /* Our list has one entry of each kind, and the peer's can only narrow it. */
        if (!g_strv_contains((const char *const *) c->peer.profiles, c->endpoint->profile))
                return att_connection_fail_with(c, ATTESTD_ERROR_REFUSED,
                                                "no-common-profile: the peer does not speak the profile of this end");
        if (!g_strv_contains((const char *const *) c->peer.formats, formats[0]))
                return att_connection_fail_with(
                        c, ATTESTD_ERROR_REFUSED,
                        "no-common-format: the peer does not speak the evidence format of this end");
        if (c->peer.asks)
                att_connection_owe(c, ATT_OWES_REQUEST);
        return true;
}

static bool on_data(AttestdConnection *c, GBytes *payload) {
        /* Whoever always has more to say would never be out of time. */
        c->late = att_connection_is_overdue(c) ? c->late + att_inbox_cost_of(payload) : 0;
        if (c->late > LATE_MAX)
                return att_connection_check_time(c);

        att_inbox_add(&c->inbox, payload);
        /* The peer sent it before it heard of our change, or relies on a verdict that has run out. */
        if ((c->peer.asks && !c->attesting.is_acked) || (c->endpoint->asks && !att_relying_party_verdict_stands(c)))
                att_inbox_mark(&c->inbox);
        return true;
}

static bool on_frame(AttestdConnection *c, AttFrameType type, GBytes *payload) {
        g_debug("%s: received %s, %zu bytes", att_role_name(c->transport->role), att_frame_name(type),
                g_bytes_get_size(payload));
        switch (type) {
        case ATT_FRAME_HELLO:
                return on_hello(c, payload);
        case ATT_FRAME_REQUEST:
                return att_attesting_party_on_request(c, payload);
        case ATT_FRAME_AUTHENTICATOR:
                return att_relying_party_on_authenticator(c, payload);
        case ATT_FRAME_ACCEPTED:
        case ATT_FRAME_REFUSED:
                return att_attesting_party_on_verdict(c, type, payload);
        case ATT_FRAME_STALE:
                return att_relying_party_on_stale(c, payload);
        case ATT_FRAME_DATA:
                return on_data(c, payload);
        case ATT_FRAME_END:
                c->peer_ended = true;
                return true;
        case ATT_FRAME_LOG_REQUEST:
                return att_attesting_party_on_log_request(c, payload);
        case ATT_FRAME_LOG_ENTRIES:
                return att_relying_party_on_log_entries(c, payload);
        }
        g_assert_not_reached(); /* legal[] */
}

/* Reading. */

typedef enum {
        STEP_ON,   /* a frame was taken in */
        STEP_REST, /* nothing more now */
        STEP_FAIL,
} Step;

static Step read_into(AttestdConnection *c, uint8_t *data, size_t size, size_t *have) {
        g_autoptr(GError) error = NULL;

        while (*have < size) {
                size_t k = 0;

                switch (c->transport->ops->read(c->transport, data + *have, size - *have, &k, &error)) {
                case ATT_IO_DONE:
                        *have += k;
                        continue;
                case ATT_IO_WANT_READ:
                case ATT_IO_WANT_WRITE:
                        return STEP_REST;
                case ATT_IO_CLOSED:
                        att_connection_fail_with(
                                c, ATTESTD_ERROR_CLOSED,
                                c->header_have > 0  ? "the peer closed the connection inside a frame" :
                                c->endpoint->compat ? "the peer closed the connection before its frames were here" :
                                                      "the peer closed the connection without the frame \"end\"");
                        return STEP_FAIL;
                case ATT_IO_CUT:
                        att_connection_fail_with(c, ATTESTD_ERROR_CLOSED, "the stream was cut: no close_notify");
                        return STEP_FAIL;
                case ATT_IO_FAILED:
                        att_connection_fail(c, g_steal_pointer(&error), NULL);
                        return STEP_FAIL;
                }
        }
        return STEP_ON;
}

/* What comes first tells what the peer speaks, and nobody else's first byte is that of a frame. */
static bool check_first_byte(AttestdConnection *c) {
        bool compat = c->endpoint->compat;
        uint8_t first = c->header[0];
        g_autoptr(GError) error = NULL;

        if (compat ? first == ATT_FRAME_REQUEST || first == ATT_FRAME_AUTHENTICATOR : first < ATT_FRAME_TYPES)
                return true;
        c->is_foreign = true;
        if (compat && first == ATT_FRAME_HELLO)
                return att_connection_fail_with(
                        c, ATTESTD_ERROR_PROTOCOL,
                        "no-attestation: the peer speaks the native mode, and this end the compat mode");
        g_set_error(&error, ATTESTD_ERROR, ATTESTD_ERROR_PROTOCOL,
                    "no-attestation: the peer speaks no attestation: what it sends begins with the byte 0x%02X", first);
        return att_connection_fail(c, g_steal_pointer(&error), NULL);
}

/* The header decides before there is room for any payload. */
static bool admit(AttestdConnection *c) {
        g_autoptr(GError) error = NULL;

        if (!att_frame_header(c->header, &c->type, &c->payload_size, &error))
                return att_connection_fail_frame(c, g_steal_pointer(&error));
        if (!is_legal(c, c->type)) {
                g_set_error(&error, ATTESTD_ERROR, ATTESTD_ERROR_PROTOCOL, "the frame %s is not allowed now%s",
                            att_frame_name(c->type),
                            c->is_greeted ? "" : ": the peer began without a hello, as it does in compat mode");
                return att_connection_fail(c, g_steal_pointer(&error), NULL);
        }
        if (c->type == ATT_FRAME_DATA && c->payload_size == 0)
                return att_connection_fail_with(c, ATTESTD_ERROR_PROTOCOL, "a data frame without data");

        c->payload = g_malloc(c->payload_size + 1); /* never NULL */
        c->payload_have = 0;
        return true;
}

static Step read_frame(AttestdConnection *c) {
        g_autoptr(GBytes) payload = NULL;
        Step step;

        step = read_into(c, c->header, 1, &c->header_have);
        if (step == STEP_ON && (!c->is_greeted || c->endpoint->compat) && !check_first_byte(c))
                return STEP_FAIL;
        if (step == STEP_ON)
                step = read_into(c, c->header, sizeof c->header, &c->header_have);
        if (step != STEP_ON)
                return step;
        if (!c->payload && !admit(c))
                return STEP_FAIL;
        step = read_into(c, c->payload, c->payload_size, &c->payload_have);
        if (step != STEP_ON)
                return step;

        c->header_have = 0;
        payload = g_bytes_new_take(g_steal_pointer(&c->payload), c->payload_size);
        return on_frame(c, c->type, payload) ? STEP_ON : STEP_FAIL;
}

/* In compat mode: are the peer's frames all here? */
static bool is_plain(const AttestdConnection *c) {
        return c->endpoint->compat && !awaits_request(c) && (!c->endpoint->asks || c->relying.has_shown);
}

/* In compat mode data that comes before our verdict, or our answer, stays where it is. */
static bool may_read(const AttestdConnection *c, gsize inbox_max) {
        if (is_plain(c) && ((c->endpoint->asks && c->relying.accepted == 0) ||
                            (c->peer.asks && !c->attesting.was_acked && !c->has_ended)))
                return false;
        return !c->peer_ended && c->inbox.cost < inbox_max && att_outbox_counted(&c->out) < OUT_MAX;
}

static Step read_plain(AttestdConnection *c) {
        g_autofree uint8_t *data = g_malloc(ATT_FRAME_DATA_MAX);
        g_autoptr(GBytes) payload = NULL;
        g_autoptr(GError) error = NULL;
        size_t size = 0;

        switch (c->transport->ops->read(c->transport, data, ATT_FRAME_DATA_MAX, &size, &error)) {
        case ATT_IO_DONE:
                payload = g_bytes_new(data, size);
                return on_data(c, payload) ? STEP_ON : STEP_FAIL;
        case ATT_IO_WANT_READ:
        case ATT_IO_WANT_WRITE:
                return STEP_REST;
        case ATT_IO_CLOSED:
                c->peer_ended = true;
                return STEP_ON;
        case ATT_IO_CUT:
                att_connection_fail_with(c, ATTESTD_ERROR_CLOSED, "the stream was cut: no close_notify");
                return STEP_FAIL;
        case ATT_IO_FAILED:
                att_connection_fail(c, g_steal_pointer(&error), NULL);
                return STEP_FAIL;
        }
        g_assert_not_reached();
}

/* The gate. */

static bool gate_is_open(AttestdConnection *c) {
        return !c->failure && !c->has_ended && c->is_greeted &&
               (!c->endpoint->asks || att_relying_party_verdict_stands(c)) &&
               (!c->peer.asks || c->attesting.is_acked);
}

/* Driving: everything that can be done now, in the order of what may close the gate. */

static bool check_end_time(AttestdConnection *c) {
        if (c->end_until && att_connection_now(c) >= c->end_until)
                return att_connection_fail_with(c, ATTESTD_ERROR_TIMED_OUT, "the peer did not take our end in time");
        return true;
}

static void close_if_due(AttestdConnection *c) {
        if (!c->has_ended || c->is_closed)
                return;
        if (!c->out.broken && att_outbox_left(&c->out) == 0)
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
        att_outbox_flush(&c->out);
        close_if_due(c);
        if (gate_is_open(c))
                c->write_until = 0;
        return true;
}

/* Returns: false if the connection has failed */
static bool drive(AttestdConnection *c, gsize inbox_max) {
        for (unsigned n = 0; drive_once(c); n++) {
                Step step;

                if (n == FRAMES_MAX)
                        return true;
                if (!may_read(c, inbox_max))
                        break;
                step = is_plain(c) ? read_plain(c) : read_frame(c);
                if (step == STEP_FAIL)
                        return false;
                c->has_more = step == STEP_ON;
                if (!c->has_more)
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
        return att_outbox_left(&c->out) > 0 || is_ending(c);
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
        if (c->transport->ops->wait(c->transport, may_read(c, inbox_max), wants_write(c),
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

static void send_hello(AttestdConnection *c) {
        char *profiles[] = { c->endpoint->profile, NULL };
        AttHello hello = {
                .version = 1,
                .profiles = profiles,
                .formats = (char **) formats,
                .batch = att_relying_party_takes_batches(c),
                .asks = c->endpoint->asks,
                .gives = c->endpoint->sign != NULL,
        };
        g_autoptr(GBytes) payload = att_hello_encode(&hello);

        att_connection_put_bytes(c, ATT_FRAME_HELLO, payload);
        att_connection_owe(c, ATT_OWES_HELLO);
}

/* No hello: the peer asks for what we give. */
static void begin_compat(AttestdConnection *c) {
        c->peer.asks = c->endpoint->sign != NULL;
        c->is_greeted = true;
        if (c->peer.asks)
                att_connection_owe(c, ATT_OWES_REQUEST);
}

AttestdConnection *att_connection_new(AttestdEndpoint *endpoint, AttTransport *transport, AttServices *services) {
        AttestdConnection *c = g_new0(AttestdConnection, 1);

        c->exchange = att_exchange_new(endpoint, transport, services);
        c->endpoint = endpoint;
        c->transport = transport;
        c->services = services;
        att_outbox_init(&c->out, transport);
        if (c->endpoint->compat)
                begin_compat(c);
        else
                send_hello(c);
        return c;
}

void attestd_connection_free(AttestdConnection *c) {
        if (!c)
                return;
        att_outbox_clear(&c->out);
        g_free(c->payload);
        att_inbox_clear(&c->inbox);
        att_hello_clear(&c->peer);
        g_clear_error(&c->failure);
        att_relying_party_clear(&c->relying);
        att_attesting_party_clear(&c->attesting);
        attestd_exchange_free(c->exchange);
        g_free(c);
}

gsize att_connection_out_size(const AttestdConnection *c) {
        return att_outbox_held(&c->out);
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
        if (c->has_more && may_read(c, INBOX_MAX))
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
                att_outbox_put_plain(&c->out, data, c->writing);
        else
                att_connection_put(c, ATT_FRAME_DATA, data, c->writing);
        att_outbox_flush(&c->out);
}

static AttestdStatus rest_for_write(AttestdConnection *c, GError **error) {
        if (att_outbox_left(&c->out) > 0)
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
                if (att_outbox_left(&c->out) == 0) {
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
