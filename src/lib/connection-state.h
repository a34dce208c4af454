/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the parts of a connection share; for them alone: connection.h is for others. Each is given
 * all of it, to read; what several of them do to it is below. */
#pragma once

#include "lib/attesting-party.h"
#include "lib/connection.h"
#include "lib/inbox.h"
#include "lib/incoming.h"
#include "lib/relying-party.h"
#include "lib/unsent.h"

G_BEGIN_DECLS

/* What the peer owes us, within the time limit. */
typedef enum AttOwes {
        ATT_OWES_NOTHING,
        ATT_OWES_HELLO,
        ATT_OWES_REQUEST,
        ATT_OWES_VERDICT,
} AttOwes;

/* Compat mode (endpoint->compat): a request of who asks, an authenticator of who gives, and then plain bytes. */
struct AttestdConnection {
        AttestdExchange *exchange;
        const AttestdEndpoint *endpoint; /* of the exchange, as are the next two */
        AttTransport *transport;
        AttServices *services;

        AttUnsent out;
        gsize writing; /* bytes of the application in out, of a write that is to be called again */

        AttIncoming incoming;
        AttInbox inbox;

        AttHello peer; /* in compat mode what our endpoint takes it for */
        bool is_greeted;
        bool is_foreign; /* it speaks something else: no frame will tell it anything */
        bool has_ended, is_closed; /* we: said "end", and sent close_notify */
        bool peer_ended;
        GError *failure;

        AttRelyingParty relying;
        AttAttestingParty attesting;

        AttOwes owes;
        int64_t owes_until, answer_until, write_until, end_until; /* 0: no limit now */
};

/* Time. */

int64_t att_connection_now(AttestdConnection *c);
/** att_connection_limit: of what begins now */
int64_t att_connection_limit(AttestdConnection *c);

/** att_connection_owe: from now on, and no longer what it was before */
void att_connection_owe(AttestdConnection *c, AttOwes what);

bool att_connection_is_overdue(AttestdConnection *c);
/** att_connection_check_time: fails if it is overdue. Returns: false then */
bool att_connection_check_time(AttestdConnection *c);

/* Sending. */

/** att_connection_put: to be sent; does nothing once we have ended, or if the peer cannot take it */
void att_connection_put(AttestdConnection *c, AttFrameType type, const void *payload, gsize size);
void att_connection_put_bytes(AttestdConnection *c, AttFrameType type, GBytes *payload);

/* Failing: once. The peer is told what it may know of that. Returns: false */

/**
 * att_connection_fail:
 * @error: (transfer full): of %ATTESTD_ERROR
 * @context: (nullable): of the request that a refusal is about
 */
bool att_connection_fail(AttestdConnection *c, GError *error, GBytes *context);
bool att_connection_fail_with(AttestdConnection *c, AttestdError code, const char *message);
/** att_connection_fail_frame: the peer's frame is not what its type says. @inner: (transfer full) */
bool att_connection_fail_frame(AttestdConnection *c, GError *inner);

G_END_DECLS
