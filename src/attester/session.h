/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What one caller may ask about one TLS connection. Knows nothing of D-Bus: who
 * the owner is, and when it is gone, is for bus/ to say. */
#pragma once

#include "attester/attester.h"
#include "attester/drafts.h"
#include "attester/evidence.h"
#include "util/tls-terms.h"

G_BEGIN_DECLS

#define ATT_PROTOCOL_SIZE_MAX 64u
#define ATT_PEER_NAME_SIZE_MAX 255u
#define ATT_PUBLIC_KEY_SIZE_MAX (8u * 1024u)
/* Contexts that one session remembers: those it gave evidence for, or declined. */
#define ATT_SESSION_CONTEXTS_MAX 65536u
/* Of these, the declined ones: no TEE holds up who makes us remember them. */
#define ATT_SESSION_DECLINES_MAX 64u

#define ATT_TIMEOUT_MS_DEFAULT 20000u
#define ATT_TIMEOUT_MS_MAX 600000u

typedef struct AttSession AttSession;

typedef struct AttSessionParameters {
        AttRole role;         /* of the caller */
        AttHash hash;
        const char *protocol; /* for the log; each (nullable) */
        const char *peer;
} AttSessionParameters;

/** att_session_parameters_check: %ATT_ERROR_INVALID_ARGUMENT if a text is too long or not printable */
gboolean att_session_parameters_check(const AttSessionParameters *parameters, GError **error)
        G_GNUC_WARN_UNUSED_RESULT;

typedef struct AttSessionEvents {
        /** The newest evidence is older than the state; once until there is newer evidence. */
        void (*stale)(AttSession *session, uint64_t generation, const char *const *reasons);
        /** att_session_evidence_generation() or att_session_is_stale() is another one. After stale(). */
        void (*changed)(AttSession *session);
} AttSessionEvents;

/**
 * att_session_open:
 * @connection: a reference is taken
 * @error:      %ATT_ERROR_INVALID_ARGUMENT, %ATT_ERROR_LIMIT_REACHED
 */
AttSession *att_session_open(AttConnection *connection, const AttSessionParameters *parameters,
                             const AttSessionEvents *events, gpointer userdata, GError **error)
        G_GNUC_WARN_UNUSED_RESULT;

/** att_session_close: what waits ends with %ATT_ERROR_CANCELLED, now; then it is gone */
void att_session_close(AttSession *session);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(AttSession, att_session_close)

guint64 att_session_number(const AttSession *session);
gpointer att_session_userdata(const AttSession *session);
AttRole att_session_role(const AttSession *session); /* of the caller */
AttHash att_session_hash(const AttSession *session);
/** Its authenticators that wait for their signature; borrowed. */
AttDrafts *att_session_drafts(AttSession *session);
/** Generation that its newest evidence speaks of; 0 before the first. */
uint64_t att_session_evidence_generation(const AttSession *session);
bool att_session_is_stale(const AttSession *session);

typedef struct AttAttestRequest {
        const uint8_t *exported; /* ATT_EXPORTED_SIZE bytes */
        const void *context;
        gsize context_size;      /* 1 to ATT_CONTEXT_SIZE_MAX */
        GBytes *public_key;      /* DER SubjectPublicKeyInfo */
        const char *profile;     /* (nullable): the default */
        guint timeout_ms;
        guint max_size;          /* of the evidence */
        bool batch;              /* may it be in the batch form? It need not */
        bool split;              /* in two pieces: see AttAttested */
} AttAttestRequest;

/* What was made. */
typedef struct AttAttested {
        AttSession *session;
        GBytes *evidence;
        AttShared *shared; /* of a request to split: with it put in at @shared_at, @evidence is whole; else %NULL */
        gsize shared_at;
        const AttSealed *sealed;
        const char *provider;
        guint64 batch;     /* requests that its report is for; 1: the plain form */
        bool endorsements_left_out;
} AttAttested;

/* @attested: borrowed; %NULL with @error, which is the callback's, if there is none.
 * Must not close the session; while one is being closed, all of it is gone but its userdata. */
typedef void (*AttAttestDone)(const AttAttested *attested, GError *error, gpointer userdata);

/**
 * att_session_attest: fresh evidence
 * @done:  called once, after this has returned, if it returns %TRUE
 * @error: %ATT_ERROR_INVALID_ARGUMENT, %ATT_ERROR_PROFILE, %ATT_ERROR_CONTEXT_USED,
 *         %ATT_ERROR_LIMIT_REACHED: then nothing has changed
 *
 * Nothing is kept of @request but digests and the context. The context is used up
 * when evidence for it is handed out; until then no other request of the session
 * may have it, and if none is made it may be tried again.
 */
gboolean att_session_attest(AttSession *session, const AttAttestRequest *request, AttAttestDone done,
                            gpointer userdata, GError **error) G_GNUC_WARN_UNUSED_RESULT;

/** att_session_lose: for @done: what was made could not be given to the caller. It counts as if it had not been */
void att_session_lose(AttSession *session);

/** att_session_use_context: without evidence; %ATT_ERROR_CONTEXT_USED, %ATT_ERROR_LIMIT_REACHED */
gboolean att_session_use_context(AttSession *session, GBytes *context, GError **error) G_GNUC_WARN_UNUSED_RESULT;

G_END_DECLS
