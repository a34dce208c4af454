/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Evidence as it travels: a CBOR CMW collection whose members are bound to one
 * another. docs/protocol.md, "Carriage". */
#pragma once

#include "codec/tsm-report.h"

#include <glib.h>
#include <stdbool.h>

G_BEGIN_DECLS

/* Media types of the members; those of claims and tee are ATT_CLAIMS_MEDIA_TYPE
 * and ATT_TSM_REPORT_CBOR. */
#define ATT_PROOF_MEDIA_TYPE "application/vnd.attestd.inclusion-proof+cbor"
#define ATT_TPM_MEDIA_TYPE "application/vnd.attestd.tpm-quote+cbor"
#define ATT_ENDORSEMENTS_MEDIA_TYPE "application/vnd.attestd.endorsements+cbor"

typedef struct AttEvidence {
        char *profile;          /* __cmwc_t */
        GBytes *claims;         /* C as received, byte for byte; NULL in profiles that have none */
        AttTsmReport *tee;      /* owned */
        GBytes *proof;          /* (nullable): inclusion proof of the batch form; only with claims */
        GBytes *tpm;            /* (nullable); only with claims */
        GBytes *endorsements;   /* (nullable) */
        bool endorsements_left_out; /* there were some, these or an auxblob, and they did not fit; never with
                                     * @endorsements */
} AttEvidence;

void att_evidence_free(AttEvidence *evidence);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(AttEvidence, att_evidence_free)

/** Does this profile have claims? False for those that have not, and for unknown ones. */
bool att_profile_has_claims(const char *profile);
/** Is it one of the three that we know? */
bool att_profile_is_known(const char *profile);

/**
 * att_evidence_encode: at most @max bytes
 * @ret_left_out: set if endorsements did not fit and were left out; the
 *                collection then names them as left out
 * @error: %ATT_ERROR_TOO_LARGE if it does not fit even so;
 *         %ATT_ERROR_INVALID_ARGUMENT if it is no evidence of its profile
 *
 * Endorsements, and the auxblob, which holds such as the host gives, are left out
 * together.
 */
GBytes *att_evidence_encode(const AttEvidence *evidence, gsize max, bool *ret_left_out, GError **error)
        G_GNUC_WARN_UNUSED_RESULT;

/* Where in evidence the members stand that are the report's: behind the head of the collection. */
#define ATT_EVIDENCE_SHARED_AT 1u

/**
 * att_evidence_encode_shared: the members that all evidence over one report has in common
 * @tpm: (nullable)
 *
 * They are the first of the collection, one behind the other.
 */
GBytes *att_evidence_encode_shared(const AttTsmReport *tee, GBytes *tpm) G_GNUC_WARN_UNUSED_RESULT;

/* What evidence of one request is made of, besides those. */
typedef struct AttEvidenceOwn {
        const char *profile;
        const void *claims; /* C; (nullable): the profile has none */
        gsize claims_size;
        GBytes *proof;      /* (nullable); only with claims */
        bool has_tpm;       /* the shared members have: only with claims */
        bool endorsements_left_out;
} AttEvidenceOwn;

/**
 * att_evidence_encode_own: evidence, to the byte what att_evidence_encode() makes of it, in two pieces
 * @shared: what att_evidence_encode_shared() gives; (nullable): it is left out, and to be
 *          put in at %ATT_EVIDENCE_SHARED_AT with att_evidence_join()
 */
GBytes *att_evidence_encode_own(const AttEvidenceOwn *own, GBytes *shared) G_GNUC_WARN_UNUSED_RESULT;

/**
 * att_evidence_join: @evidence with @shared put in at @at
 * @error: %ATT_ERROR_BAD_DATA: there is no such place in it
 *
 * Nothing is looked at but sizes: what comes of it is for att_evidence_decode().
 */
GBytes *att_evidence_join(GBytes *evidence, GBytes *shared, gsize at, GError **error) G_GNUC_WARN_UNUSED_RESULT;

/**
 * att_evidence_decode:
 * @error: %ATT_ERROR_BAD_DATA; it must be a CBOR collection of a profile that we
 *         know; `claims` and `tee` must be there exactly once with their media
 *         types and indicators (`claims`, `proof` and `tpm` only in the profile
 *         that has them), unknown members are refused
 *
 * Layout only: whether the members belong together is for the verifier to find out.
 */
AttEvidence *att_evidence_decode(GBytes *bytes, GError **error) G_GNUC_WARN_UNUSED_RESULT;

G_END_DECLS
