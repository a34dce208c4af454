/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Appraisal of evidence in the order of docs/protocol.md, from the relying
 * party's own state only. */
#pragma once

#include "ea/authenticator.h"
#include "verifier/ima-history.h"
#include "verifier/policy.h"
#include "verifier/result.h"
#include "verifier/signature-memo.h"

#include <glib.h>

G_BEGIN_DECLS

/* What the evidence must be bound to: stated, or the result is "unbound". */
typedef enum {
        ATT_BOUND_NOT_STATED,
        ATT_BOUND_REPORT_DATA, /* these 64 bytes, whole */
        ATT_BOUND_BINDING,     /* a binding, as in C */
} AttBoundTo;

/* Evidence without a connection. All borrowed. */
typedef struct AttAppraisalInput {
        GBytes *evidence;        /* a CMW in any form, a bare TDX quote or a tsm-report: told apart by first bytes */
        const AttPolicy *policy; /* (nullable): the result then fails its check "policy" */
        const char *no_policy;   /* (nullable): detail of that check, such as why a policy file was refused */
        int64_t at;              /* seconds since the epoch */
        AttBoundTo bound_to;
        uint8_t report_data[ATT_REPORT_DATA_SIZE];
        AttHash hash;            /* with ATT_BOUND_BINDING */
        uint8_t binding[ATT_HASH_SIZE_MAX];
        AttRole role;            /* of the attester */
        bool batch;              /* take the batch form */
        GPtrArray *extra_certificates; /* of AttCertificate; (nullable): certificates the evidence lacks */
        const AttImaHistory *ima_log; /* (nullable): made with @policy, and not busy */
        const char *no_ima_log;  /* (nullable): why there is none, such as what is wrong with the file */
        GBytes *boot_log;        /* (nullable) */
        AttSignatureMemo *memo;  /* (nullable) */
        uint32_t memo_user;      /* whose share of it this may take */
} AttAppraisalInput;

/** att_appraise: never fails: what cannot be read is a failed check. Returns: (transfer full) */
AttResult *att_appraise(const AttAppraisalInput *input) G_GNUC_WARN_UNUSED_RESULT;

#define ATT_EVIDENCE_INPUT_MAX (1024u * 1024u)

/* Names of logs that travel beside evidence. */
#define ATT_LOG_IMA "ima"
#define ATT_LOG_BOOT "boot"
#define ATT_BOOT_LOG_MAX (16u * 1024u * 1024u)

/* One TLS connection of a relying party. */
typedef struct AttVerifierSession AttVerifierSession;

typedef struct AttVerifierParameters {
        AttRole role;              /* of the peer */
        AttHash hash;
        AttPolicy *policy;         /* a reference is taken */
        const char *peer_name;     /* with trust_anchors; (nullable) */
        GPtrArray *trust_anchors;  /* of AttCertificate; (nullable) */
        GBytes *handshake_key;     /* SPKI; (nullable) */
        GBytes *local_key;         /* SPKI of our own authenticator's leaf; (nullable) */
        AttSignatureMemo *memo;    /* borrowed for as long as the session lives; (nullable) */
        uint32_t memo_user;        /* whose share of it this may take */
} AttVerifierParameters;

/** @error: %ATT_ERROR_INVALID_ARGUMENT: a name without anchors, both ways to a name, … */
AttVerifierSession *att_verifier_session_new(const AttVerifierParameters *parameters, GError **error)
        G_GNUC_WARN_UNUSED_RESULT;
void att_verifier_session_free(AttVerifierSession *session);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(AttVerifierSession, att_verifier_session_free)

/**
 * att_verifier_session_request:
 * @profile: the one asked for; the policy must list it, else %ATT_ERROR_PROFILE
 * @batch:   offer the batch form: only then is an answer in it taken
 */
GBytes *att_verifier_session_request(AttVerifierSession *session, const char *profile, uint16_t cmw_attestation,
                                     bool batch, GBytes **ret_context, GError **error) G_GNUC_WARN_UNUSED_RESULT;

/** A context received from the peer: never valid for evidence again. %ATT_ERROR_CONTEXT_USED if it was known. */
gboolean att_verifier_session_record_context(AttVerifierSession *session, GBytes *context, GError **error);

/** att_verifier_session_logs: that the policy needs beside the evidence: of "ima", "boot"; borrowed, NULL-terminated */
const char *const *att_verifier_session_logs(const AttVerifierSession *session);
/** att_verifier_session_log_next: number of the first entry of "ima" that has not been given */
guint64 att_verifier_session_log_next(const AttVerifierSession *session);
/** att_verifier_session_ima_log: to be given entries; %NULL: the policy needs none. Borrowed */
AttImaHistory *att_verifier_session_ima_log(AttVerifierSession *session);
/** att_verifier_session_set_boot_log: takes the place of the one before; @log is referenced */
void att_verifier_session_set_boot_log(AttVerifierSession *session, GBytes *log);
/** att_verifier_session_log_bytes: what it holds of logs */
gsize att_verifier_session_log_bytes(const AttVerifierSession *session);

/**
 * att_verifier_session_validate: verdict on the answer to the outstanding request
 * @keys: exported on the own connection for the peer's role
 * @at:   seconds since the epoch, for validity periods
 *
 * Freshness, request to answer, runs on the monotonic clock. The request is used
 * up whatever the verdict. Without an outstanding request the result fails its
 * check "context". No entries are being read. Returns: (transfer full)
 */
AttResult *att_verifier_session_validate(AttVerifierSession *session, GBytes *authenticator,
                                         const uint8_t exported[ATT_EXPORTED_SIZE], const AttEaKeys *keys, int64_t at)
        G_GNUC_WARN_UNUSED_RESULT;

G_END_DECLS
