/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lib/connection-state.h"

/* How long a blocking call that has failed tries to tell the peer why. */
#define FAREWELL_MS 1000

/* Time. */

int64_t att_connection_now(AttestdConnection *c) {
        return c->transport->ops->now(c->transport);
}

int64_t att_connection_limit(AttestdConnection *c) {
        return att_connection_now(c) + (int64_t) c->endpoint->timeout_ms * 1000;
}

/* Once we have ended, nothing that the peer owes us makes a difference any more. */
void att_connection_owe(AttestdConnection *c, AttOwes what) {
        c->owes = c->has_ended ? ATT_OWES_NOTHING : what;
        c->owes_until = c->owes == ATT_OWES_NOTHING ? 0 : att_connection_limit(c);
}

bool att_connection_is_overdue(AttestdConnection *c) {
        int64_t t = att_connection_now(c);

        return (c->owes_until && t >= c->owes_until) || (c->answer_until && t >= c->answer_until) ||
               (c->write_until && t >= c->write_until);
}

bool att_connection_check_time(AttestdConnection *c) {
        static const char *const owed[] = {
                [ATT_OWES_NOTHING] = NULL,
                [ATT_OWES_HELLO] = "the peer sent no hello in time",
                [ATT_OWES_REQUEST] = "the peer, which asks for evidence, sent no request in time",
                [ATT_OWES_VERDICT] = "the peer sent no verdict in time",
        };

        if (c->owes_until && att_connection_now(c) >= c->owes_until)
                return att_connection_fail_with(c, ATTESTD_ERROR_TIMED_OUT, owed[c->owes]);
        if (c->answer_until && att_connection_now(c) >= c->answer_until)
                return att_connection_fail_with(c, ATTESTD_ERROR_TIMED_OUT,
                                                "no verdict on evidence of the peer in time");
        if (c->write_until && att_connection_now(c) >= c->write_until)
                return att_connection_fail_with(c, ATTESTD_ERROR_TIMED_OUT,
                                                "the gate did not open in time for a write");
        return true;
}

/* Sending. */

static bool may_put(const AttestdConnection *c, AttFrameType type) {
        if (c->has_ended || c->out.broken || c->is_foreign)
                return false;
        return !c->endpoint->compat || type == ATT_FRAME_REQUEST || type == ATT_FRAME_AUTHENTICATOR;
}

void att_connection_put(AttestdConnection *c, AttFrameType type, const void *payload, gsize size) {
        if (may_put(c, type))
                att_unsent_put(&c->out, type, payload, size);
}

void att_connection_put_bytes(AttestdConnection *c, AttFrameType type, GBytes *payload) {
        gsize size;
        const void *data = g_bytes_get_data(payload, &size);

        att_connection_put(c, type, data, size);
}

/* Failing. */

/* What the peer is told of @error; NULL: nothing, it told us or cannot be told. */
static char *reason_for_peer(const GError *error) {
        switch ((AttestdError) error->code) {
        case ATTESTD_ERROR_REFUSED:
                return g_strdup(error->message);
        case ATTESTD_ERROR_PROTOCOL:
                return g_strdup_printf("protocol-error: %s", error->message);
        case ATTESTD_ERROR_TIMED_OUT:
                return g_strdup_printf("timed-out: %s", error->message);
        case ATTESTD_ERROR_SERVICE:
                return g_strdup("service-unavailable: no verdict can be had");
        case ATTESTD_ERROR_INVALID:
        case ATTESTD_ERROR_UNPREPARED:
        case ATTESTD_ERROR_CONNECTION:
        case ATTESTD_ERROR_TLS:
        case ATTESTD_ERROR_CLOSED:
        case ATTESTD_ERROR_REFUSED_BY_PEER:
                break;
        }
        return NULL;
}

static void farewell(AttestdConnection *c) {
        int64_t until = att_connection_now(c) + FAREWELL_MS * 1000;

        att_unsent_flush(&c->out);
        while (c->transport->blocks && !c->out.broken && att_unsent_left(&c->out) > 0 &&
               att_connection_now(c) < until) {
                if (!c->transport->ops->wait(c->transport, false, true, -1, FAREWELL_MS, NULL))
                        break;
                att_unsent_flush(&c->out);
        }
        if (!c->out.broken && !c->is_closed && att_unsent_left(&c->out) == 0)
                (void) c->transport->ops->close(c->transport, NULL);
        c->is_closed = true;
}

bool att_connection_fail(AttestdConnection *c, GError *error, GBytes *context) {
        g_autofree char *reason = reason_for_peer(error);

        c->failure = error;
        if (reason) {
                g_autoptr(GBytes) none = g_bytes_new(NULL, 0);
                g_autoptr(GBytes) payload = att_refused_encode(context ? context : none, reason);

                att_connection_put_bytes(c, ATT_FRAME_REFUSED, payload);
        }
        farewell(c);
        return false;
}

bool att_connection_fail_with(AttestdConnection *c, AttestdError code, const char *message) {
        return att_connection_fail(c, g_error_new_literal(ATTESTD_ERROR, (gint) code, message), NULL);
}

bool att_connection_fail_frame(AttestdConnection *c, GError *inner) {
        g_autoptr(GError) e = inner;

        return att_connection_fail_with(c, ATTESTD_ERROR_PROTOCOL, e->message);
}
