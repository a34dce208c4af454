/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lib/incoming.h"

#include "lib/connection-state.h"
#include "lib/frame-order.h"
#include "lib/greeting.h"

/* While so much waits to be sent, nothing more is read: a peer that only asks
 * makes us hold no more than this and one answer. Log entries do not count: there is
 * one frame of them, and two ends that both give logs must not wait for each other. */
#define OUT_MAX (64u * 1024u)
/* Data that a peer which is overdue may still have under way: what it owes may stand
 * behind as much as sockets hold. */
#define LATE_MAX (16u * 1024u * 1024u)

void att_incoming_clear(AttIncoming *in) {
        g_clear_pointer(&in->payload, g_free);
}

static bool on_data(AttestdConnection *c, GBytes *payload) {
        AttIncoming *in = &c->incoming;

        /* Whoever always has more to say would never be out of time. */
        in->late = att_connection_is_overdue(c) ? in->late + att_inbox_cost_of(payload) : 0;
        if (in->late > LATE_MAX)
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
                return att_greeting_on_hello(c, payload);
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
        g_assert_not_reached(); /* nothing else is in order */
}

/* The peer has closed the connection while there is more to come. */
static const char *why_too_early(const AttestdConnection *c) {
        if (c->incoming.header_have > 0)
                return "the peer closed the connection inside a frame";
        if (c->endpoint->compat)
                return "the peer closed the connection before its frames were here";
        return "the peer closed the connection without the frame \"end\"";
}

static AttStep read_into(AttestdConnection *c, uint8_t *data, size_t size, size_t *have) {
        g_autoptr(GError) error = NULL;

        while (*have < size) {
                size_t k = 0;

                switch (c->transport->ops->read(c->transport, data + *have, size - *have, &k, &error)) {
                case ATT_IO_DONE:
                        *have += k;
                        continue;
                case ATT_IO_WANT_READ:
                case ATT_IO_WANT_WRITE:
                        return ATT_STEP_REST;
                case ATT_IO_CLOSED:
                        att_connection_fail_with(c, ATTESTD_ERROR_CLOSED, why_too_early(c));
                        return ATT_STEP_FAIL;
                case ATT_IO_CUT:
                        att_connection_fail_with(c, ATTESTD_ERROR_CLOSED, "the stream was cut: no close_notify");
                        return ATT_STEP_FAIL;
                case ATT_IO_FAILED:
                        att_connection_fail(c, g_steal_pointer(&error), NULL);
                        return ATT_STEP_FAIL;
                }
        }
        return ATT_STEP_ON;
}

/* What comes first tells what the peer speaks, and nobody else's first byte is that of a frame. */
static bool check_first_byte(AttestdConnection *c) {
        bool compat = c->endpoint->compat;
        uint8_t first = c->incoming.header[0];
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
        AttIncoming *in = &c->incoming;
        g_autoptr(GError) error = NULL;

        if (!att_frame_header(in->header, &in->type, &in->payload_size, &error))
                return att_connection_fail_frame(c, g_steal_pointer(&error));
        if (!att_frame_order_allows(c, in->type)) {
                g_set_error(&error, ATTESTD_ERROR, ATTESTD_ERROR_PROTOCOL, "the frame %s is not allowed now%s",
                            att_frame_name(in->type),
                            c->is_greeted ? "" : ": the peer began without a hello, as it does in compat mode");
                return att_connection_fail(c, g_steal_pointer(&error), NULL);
        }
        if (in->type == ATT_FRAME_DATA && in->payload_size == 0)
                return att_connection_fail_with(c, ATTESTD_ERROR_PROTOCOL, "a data frame without data");

        in->payload = g_malloc(in->payload_size + 1); /* never NULL */
        in->payload_have = 0;
        return true;
}

static AttStep read_frame(AttestdConnection *c) {
        AttIncoming *in = &c->incoming;
        g_autoptr(GBytes) payload = NULL;
        AttStep step;

        step = read_into(c, in->header, 1, &in->header_have);
        if (step == ATT_STEP_ON && (!c->is_greeted || c->endpoint->compat) && !check_first_byte(c))
                return ATT_STEP_FAIL;
        if (step == ATT_STEP_ON)
                step = read_into(c, in->header, sizeof in->header, &in->header_have);
        if (step != ATT_STEP_ON)
                return step;
        if (!in->payload && !admit(c))
                return ATT_STEP_FAIL;
        step = read_into(c, in->payload, in->payload_size, &in->payload_have);
        if (step != ATT_STEP_ON)
                return step;

        in->header_have = 0;
        payload = g_bytes_new_take(g_steal_pointer(&in->payload), in->payload_size);
        return on_frame(c, in->type, payload) ? ATT_STEP_ON : ATT_STEP_FAIL;
}

static AttStep read_plain(AttestdConnection *c) {
        g_autofree uint8_t *data = g_malloc(ATT_FRAME_DATA_MAX);
        g_autoptr(GBytes) payload = NULL;
        g_autoptr(GError) error = NULL;
        size_t size = 0;

        switch (c->transport->ops->read(c->transport, data, ATT_FRAME_DATA_MAX, &size, &error)) {
        case ATT_IO_DONE:
                payload = g_bytes_new(data, size);
                return on_data(c, payload) ? ATT_STEP_ON : ATT_STEP_FAIL;
        case ATT_IO_WANT_READ:
        case ATT_IO_WANT_WRITE:
                return ATT_STEP_REST;
        case ATT_IO_CLOSED:
                c->peer_ended = true;
                return ATT_STEP_ON;
        case ATT_IO_CUT:
                att_connection_fail_with(c, ATTESTD_ERROR_CLOSED, "the stream was cut: no close_notify");
                return ATT_STEP_FAIL;
        case ATT_IO_FAILED:
                att_connection_fail(c, g_steal_pointer(&error), NULL);
                return ATT_STEP_FAIL;
        }
        g_assert_not_reached();
}

/* In compat mode data that comes before our verdict, or our answer, stays where it is. */
bool att_incoming_may_read(const AttestdConnection *c, gsize inbox_max) {
        if (att_frame_order_is_over(c) && ((c->endpoint->asks && c->relying.accepted == 0) ||
                                           (c->peer.asks && !c->attesting.was_acked && !c->has_ended)))
                return false;
        return !c->peer_ended && c->inbox.cost < inbox_max && att_unsent_counted(&c->out) < OUT_MAX;
}

AttStep att_incoming_read(AttestdConnection *c) {
        AttStep step = att_frame_order_is_over(c) ? read_plain(c) : read_frame(c);

        if (step != ATT_STEP_FAIL)
                c->incoming.has_more = step == ATT_STEP_ON;
        return step;
}
