/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* attestd and attestd-verifier as one connection sees them: calls that are
 * answered later, by events. */
#pragma once

#include "lib/endpoint.h"
#include "lib/transport.h"

G_BEGIN_DECLS

/* A state of the attester; generations compare only within equal ids. */
typedef struct AttStateId {
        bool known;
        uint8_t boot_id[16];
        uint8_t instance_id[16];
        uint64_t generation;
} AttStateId;

/** Is @state known to be older than @than? */
bool att_state_is_older(const AttStateId *state, const AttStateId *than);

typedef enum {
        ATT_EVENT_EVIDENCE, /* answers attest */
        ATT_EVENT_REQUEST,  /* answers create_request */
        ATT_EVENT_VERDICT,  /* answers validate */
        ATT_EVENT_STALE,    /* our newest evidence speaks of an older state, or nobody knows */
        ATT_EVENT_FAILED,   /* record_context was refused */
} AttEventType;

#define ATT_EVENT_TYPES 5u

typedef struct AttEvent {
        AttEventType type;
        GError *error;    /* of %ATTESTD_ERROR: the call failed, and nothing below is set */
        GBytes *bytes;    /* evidence, or request */
        GBytes *context;  /* of the request */
        AttStateId state; /* that the evidence speaks of, or for stale the generation now */
        bool accepted;
        char *reason;     /* of a refusal */
        char *json;       /* attestation result */
        char **reasons;   /* of stale */
} AttEvent;

void att_event_free(AttEvent *event);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(AttEvent, att_event_free)

typedef struct AttServices AttServices;

typedef struct AttServicesOps {
        /* One call of each kind at a time; each is answered by one event, in good
         * time: calls have limits of their own. */
        void (*attest)(AttServices *s, const uint8_t exported[ATT_EXPORTED_SIZE], GBytes *context, GBytes *public_key,
                       const char *profile, bool batch);
        void (*create_request)(AttServices *s, const char *profile);
        /* handshake_context and finished_key have the size of the hash. */
        void (*validate)(AttServices *s, GBytes *authenticator, const uint8_t exported[ATT_EXPORTED_SIZE],
                         const uint8_t *handshake_context, const uint8_t *finished_key);
        /* Answered only if it fails. Counts for each validate after it. */
        void (*record_context)(AttServices *s, GBytes *context);

        /* The next event, or NULL. @fd is readable while there is one. */
        AttEvent *(*next)(AttServices *s);
        int (*fd)(AttServices *s);
        void (*free)(AttServices *s);
} AttServicesOps;

struct AttServices {
        const AttServicesOps *ops;
};

/** att_services_new: over the system bus; what a session's parameters are follows from the arguments */
AttServices *att_services_new(AttestdEndpoint *endpoint, const AttTransport *transport, GError **error)
        G_GNUC_WARN_UNUSED_RESULT;

G_END_DECLS
