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
        ATT_EVENT_LOGS,     /* answers find_logs */
        ATT_EVENT_ADDED,    /* answers add_log */
        ATT_EVENT_LOG,      /* answers get_log */
} AttEventType;

#define ATT_EVENT_TYPES 8u
/* One answer to get_log. */
#define ATT_LOG_GIVEN_MAX (64u * 1024u * 1024u)

typedef struct AttEvent {
        AttEventType type;
        GError *error;    /* of %ATTESTD_ERROR: the call failed, and nothing below is set */
        GBytes *bytes;    /* evidence, or request, or entries of a log */
        GBytes *context;  /* of the request */
        AttStateId state; /* that the evidence speaks of, or for stale the generation now */
        bool accepted;
        char *reason;     /* of a refusal; of an added log: the verifier does not take it */
        char *json;       /* attestation result */
        char **reasons;   /* of stale */
        char **logs;      /* that the verifier's session needs beside evidence */
        uint64_t first;   /* of them "ima": the first entry that it does not have; of a log: the first of bytes */
        char *bank;       /* of a log: whose digests the entries have; "" of "boot" */
} AttEvent;

void att_event_free(AttEvent *event);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(AttEvent, att_event_free)

typedef struct AttServices AttServices;

typedef struct AttServicesOps {
        /* One call of each kind at a time; each is answered by one event, in good
         * time: calls have limits of their own. */
        void (*attest)(AttServices *s, const uint8_t exported[ATT_EXPORTED_SIZE], GBytes *context, GBytes *public_key,
                       const char *profile, bool batch);
        void (*create_request)(AttServices *s, const char *profile, bool batch);
        /* handshake_context and finished_key have the size of the hash. */
        void (*validate)(AttServices *s, GBytes *authenticator, const uint8_t exported[ATT_EXPORTED_SIZE],
                         const uint8_t *handshake_context, const uint8_t *finished_key);
        /* Which logs the verifier needs; then each, before validate. */
        void (*find_logs)(AttServices *s);
        void (*add_log)(AttServices *s, const char *log, GBytes *entries, const char *bank, uint64_t first);
        /* What attestd has of a log from entry @from on, %ATT_LOG_GIVEN_MAX at most. */
        void (*get_log)(AttServices *s, const char *log, uint64_t from);
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

/**
 * att_services_new: what a session's parameters are follows from the arguments
 * @endpoint: constant, and there as long as what comes of it
 *
 * The verifier is reached over the system bus, attestd by its direct socket where that
 * is served to us, else over the bus as well.
 */
AttServices *att_services_new(AttestdEndpoint *endpoint, const AttTransport *transport, GError **error)
        G_GNUC_WARN_UNUSED_RESULT;

/**
 * att_services_look_at: for tests: where the direct socket is, from now on
 * @address: (nullable): of D-Bus, a constant; %NULL: there is none
 */
void att_services_look_at(const char *address);

G_END_DECLS
