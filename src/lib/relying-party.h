/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A connection's end as relying party: it asks for evidence, takes logs and has them
 * judged, and asks again when the peer has told of a change, or the evidence has grown old. */
#pragma once

#include "lib/log-taker.h"

G_BEGIN_DECLS

/* Our own request. */
typedef enum AttAsk {
        ATT_ASK_IDLE,
        ATT_ASK_MAKING,  /* the verifier makes it */
        ATT_ASK_SENT,    /* the peer owes us an authenticator */
        ATT_ASK_LOOKING, /* the verifier says which logs it needs with it */
        ATT_ASK_LOG,     /* the peer owes us some of a log */
        ATT_ASK_ADDING,  /* the verifier takes it */
        ATT_ASK_JUDGING, /* the verifier judges it all */
} AttAsk;

/* Our contexts are numbered in the order in which they were asked for: what is known of
 * the peer's state when one is asked for decides what evidence for it is good for.
 * Others read this; only relying-party.c changes it. */
typedef struct AttRelyingParty {
        AttAsk ask;
        uint64_t n_contexts;
        uint64_t number;      /* of the newest request */
        int64_t asked_at;
        int64_t requests_full_at; /* our bucket of requests */
        GBytes *context;      /* of the newest request */
        GBytes *authenticator; /* its answer, while the verifier still needs logs */
        AttLogTaker taker;
        uint64_t ask_after;   /* evidence for a context up to this number is not enough any more */
        uint64_t stale_after; /* ... and does not open the gate */
        uint64_t accepted;    /* number of the newest context whose evidence was accepted; 0 for none */
        int64_t accepted_at;  /* when it was asked for */
        AttStateId newest;    /* state that the peer has told of, or proven */
        bool has_shown;       /* the peer has sent an authenticator since its last stale */
        bool is_renewing;     /* attestd_connection_renew() is to be called again … */
        uint64_t renew_after; /* … and waits for a context after this one */
        char *result;
} AttRelyingParty;

void att_relying_party_clear(AttRelyingParty *p);

/** att_relying_party_takes_batches: as hello says, and so the verifier is told */
bool att_relying_party_takes_batches(const AttestdConnection *c);

/** att_relying_party_verdict_stands: is there evidence that we accepted, and that counts still? */
bool att_relying_party_verdict_stands(AttestdConnection *c);

bool att_relying_party_awaits_service(const AttestdConnection *c);

/** att_relying_party_begin_renewal: does nothing while one is under way */
void att_relying_party_begin_renewal(AttestdConnection *c);
/** att_relying_party_end_renewal: Returns: false, and it goes on, as long as no newer evidence is accepted */
bool att_relying_party_end_renewal(AttestdConnection *c);

/** att_relying_party_ask_if_due: at first, after a change, for a renewal, at the maximal age of the evidence */
void att_relying_party_ask_if_due(AttestdConnection *c);
/** att_relying_party_expire_if_due: in compat mode, where it is not renewed. Returns: false if the connection failed */
bool att_relying_party_expire_if_due(AttestdConnection *c);
/** att_relying_party_due_at: when one of these does something if nothing happens; %INT64_MAX for never */
int64_t att_relying_party_due_at(const AttestdConnection *c);

/* From here on: Returns: false if the connection has failed. */

/* Events: what the verifier has answered. */
bool att_relying_party_take_request(AttestdConnection *c, AttEvent *event);
bool att_relying_party_take_logs(AttestdConnection *c, AttEvent *event);
bool att_relying_party_take_added(AttestdConnection *c, AttEvent *event);
bool att_relying_party_take_verdict(AttestdConnection *c, AttEvent *event);

/* Frames of the peer, where they are legal. */
bool att_relying_party_on_authenticator(AttestdConnection *c, GBytes *payload);
bool att_relying_party_on_log_entries(AttestdConnection *c, GBytes *payload);
bool att_relying_party_on_stale(AttestdConnection *c, GBytes *payload);

G_END_DECLS
