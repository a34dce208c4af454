/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Requests and authenticators of one TLS connection, in both directions: what
 * the framed connection and the bare API have in common. No frames, no gate. */
#pragma once

#include "ea/authenticator.h"
#include "lib/services.h"

G_BEGIN_DECLS

/** att_exchange_new: takes @transport and @services */
AttestdExchange *att_exchange_new(AttestdEndpoint *endpoint, AttTransport *transport, AttServices *services)
        G_GNUC_WARN_UNUSED_RESULT;

/* Each begins what att_exchange_next() ends; one of each at a time. */

/**
 * att_exchange_ask: relying party: make a request
 * @batch: the peer was told that we take the batch form
 *
 * Ends with %ATT_EVENT_REQUEST.
 */
void att_exchange_ask(AttestdExchange *x, bool batch);

/**
 * att_exchange_validate: relying party: have the answer to our newest request judged
 *
 * Ends with %ATT_EVENT_VERDICT. @error: %ATTESTD_ERROR_INVALID without a request,
 * %ATTESTD_ERROR_TLS if nothing can be exported
 */
gboolean att_exchange_validate(AttestdExchange *x, GBytes *authenticator, GError **error);

/**
 * att_exchange_answer: attester: answer a request of the peer
 * @ret_context: of the request
 *
 * Ends with %ATT_EVENT_EVIDENCE. What we cannot or may not give is answered too:
 * by the empty authenticator, and the event's error says why.
 *
 * @error: %ATTESTD_ERROR_PROTOCOL for a request that may not be answered at all:
 *         malformed, of our own role, with a context that was used before
 */
gboolean att_exchange_answer(AttestdExchange *x, GBytes *request, bool batch, GBytes **ret_context, GError **error);

/**
 * att_exchange_next: what has happened. Returns: (nullable) (transfer full)
 *
 * Of %ATT_EVENT_EVIDENCE the bytes are the authenticator to send; with its error
 * set, the empty one; %NULL only if not even that can be made.
 */
AttEvent *att_exchange_next(AttestdExchange *x);

/**
 * att_exchange_holds: must a request wait until we have accepted the peer's
 * evidence? Who calls att_exchange_answer() sees to it.
 */
bool att_exchange_holds(const AttestdExchange *x);

typedef enum {
        ATT_LOGS_NO,
        ATT_LOGS_LATER, /* when we have accepted the peer's evidence */
        ATT_LOGS_YES,
} AttLogsGiven;

/** att_exchange_gives_logs: may the peer see our logs? @trusts: our verdict on it is yes */
AttLogsGiven att_exchange_gives_logs(const AttestdExchange *x, bool trusts);

G_END_DECLS
