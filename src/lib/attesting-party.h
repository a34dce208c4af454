/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A connection's end as attester: it answers requests by evidence, gives logs beside that,
 * and tells the peer when its state has changed. */
#pragma once

#include "lib/log-giver.h"

G_BEGIN_DECLS

/* An answer is void from the moment that we tell the peer of a change: its verdict may be
 * under way, but opens nothing. Others read this; only attesting-party.c changes it. */
typedef struct AttAttestingParty {
        GBytes *held;      /* a request that we do not answer yet */
        GBytes *answering; /* context of the request that is being answered */
        bool answering_void;
        GBytes *answered;  /* context of the newest answer */
        bool answered_void;
        bool may_cross;    /* our stale may have crossed the newest request: no verdict is owed on its answer */
        unsigned of_stale; /* requests that are left of those that our own stale causes */
        unsigned n_empty;  /* empty answers given */
        int64_t answers_full_at; /* the bucket of answers */
        bool was_asked;    /* there was a request */
        bool is_acked;     /* the newest answer is accepted; in compat mode: sent */
        bool was_acked;
        AttStateId given;  /* state that our newest evidence speaks of */
        AttStateId changed; /* newest that we were told of */
        char *excuse;      /* why our newest answer was empty, or came without a log */
        AttLogGiver giver;
        bool is_getting;   /* attestd looks for what giver needs */
} AttAttestingParty;

void att_attesting_party_clear(AttAttestingParty *p);

bool att_attesting_party_awaits_service(const AttestdConnection *c);

/** att_attesting_party_end: we have said "end": nothing is answered any more */
void att_attesting_party_end(AttestdConnection *c);

/* From here on what returns bool returns false if the connection has failed. */

/* What is held, and a log that was asked for: each once the peer has shown itself, if it has to. */
bool att_attesting_party_answer_if_due(AttestdConnection *c);
void att_attesting_party_give_log_if_due(AttestdConnection *c);

/* Events: what attestd has answered, and stale. */
bool att_attesting_party_take_evidence(AttestdConnection *c, AttEvent *event);
void att_attesting_party_take_log(AttestdConnection *c, AttEvent *event);
void att_attesting_party_take_stale(AttestdConnection *c, const AttEvent *event);

/* Frames of the peer, where they are legal. */
bool att_attesting_party_on_request(AttestdConnection *c, GBytes *payload);
bool att_attesting_party_on_log_request(AttestdConnection *c, GBytes *payload);
/** att_attesting_party_on_verdict: @type: accepted or refused */
bool att_attesting_party_on_verdict(AttestdConnection *c, AttFrameType type, GBytes *payload);

G_END_DECLS
