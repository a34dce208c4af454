/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Making a result; for files of verifier/ only. */
#pragma once

#include "codec/inclusion-proof.h"
#include "codec/snp-report.h"
#include "codec/tdx-quote.h"
#include "crypto/certificate.h"
#include "verifier/ima-history.h"
#include "verifier/policy-rules.h"
#include "verifier/result.h"

/* The checks in their order. Their names are for good: docs/protocol.md lists them. */
typedef enum {
        ATT_CHECK_POLICY,
        ATT_CHECK_AUTHENTICATOR,
        ATT_CHECK_CONTEXT,
        ATT_CHECK_FRESHNESS,
        ATT_CHECK_PEER_NAME,
        ATT_CHECK_FORMAT,
        ATT_CHECK_PROFILE,
        ATT_CHECK_CLAIMS,
        ATT_CHECK_BINDING,
        ATT_CHECK_KEY_HASH,
        ATT_CHECK_ROLE,
        ATT_CHECK_REPORT_DATA,
        ATT_CHECK_QUOTE_FORMAT,
        ATT_CHECK_TEE,
        ATT_CHECK_QE_VENDOR,
        ATT_CHECK_QUOTE_SIGNATURE,
        ATT_CHECK_QE_REPORT_SIGNATURE,
        ATT_CHECK_QE_BINDING,
        ATT_CHECK_QE_IDENTITY,
        ATT_CHECK_PCK_CHAIN,
        ATT_CHECK_VEK_CHAIN,
        ATT_CHECK_VEK_IDENTITY,
        ATT_CHECK_VEK_TCB,
        ATT_CHECK_VALIDITY,
        ATT_CHECK_DEBUG,
        ATT_CHECK_VMPL,
        ATT_CHECK_ATTRIBUTES,
        ATT_CHECK_MACHINE,
        ATT_CHECK_BOOT,
        ATT_CHECK_WORKLOAD,
        ATT_CHECK_STATE,
        ATT_CHECK_IMA_ROOT,
        ATT_CHECK_IMA_LOG,
        ATT_CHECK_IMA,
        ATT_CHECK_BOOT_LOG,
        ATT_CHECK_COLLATERAL,
        ATT_CHECK_TCB_MINIMUM,
        ATT_CHECK_TCB_STATUS,
        ATT_CHECK_REVOCATION,
} AttCheckId;

#define ATT_CHECKS 39u

/* A set of checks. */
typedef uint64_t AttCheckSet;

#define ATT_CHECK_SET(id) ((AttCheckSet) 1 << (id))
#define ATT_CHECK_SET_ALL (ATT_CHECK_SET(ATT_CHECKS) - 1)

/* What only a quote of TDX, and only a report of SNP, has to pass. */
#define ATT_TDX_CHECKS                                                                       \
        (ATT_CHECK_SET(ATT_CHECK_QE_VENDOR) | ATT_CHECK_SET(ATT_CHECK_QE_REPORT_SIGNATURE) | \
         ATT_CHECK_SET(ATT_CHECK_QE_BINDING) | ATT_CHECK_SET(ATT_CHECK_QE_IDENTITY) |        \
         ATT_CHECK_SET(ATT_CHECK_PCK_CHAIN))
#define ATT_SNP_CHECKS                                                                \
        (ATT_CHECK_SET(ATT_CHECK_VEK_CHAIN) | ATT_CHECK_SET(ATT_CHECK_VEK_IDENTITY) | \
         ATT_CHECK_SET(ATT_CHECK_VEK_TCB) | ATT_CHECK_SET(ATT_CHECK_VMPL))

struct AttResult {
        AttCheckSet mandatory; /* from when it is made; only ever grows */
        bool sealed;           /* the appraisal came to its end */
        GPtrArray *checks;     /* of AttCheck, one for each id */
        char *reason;

        char *profile;
        AttClaims *claims;

        bool has_r;            /* what must be signed is known, by claims and proof, or by a binding; and with it */
        uint8_t r[ATT_REPORT_DATA_SIZE];
        bool is_batched;       /* and with it the place in the batch: */
        AttInclusionProof proof;

        /* The quote or report as far as it was read; borrows from @tee_bytes. */
        GBytes *tee_bytes;
        AttTeeKind kind;       /* none: nothing could be read */
        AttTdxQuote quote;
        AttSnpReport report;
        char **tee_json;       /* (nullable): it as text, once wanted: a box of GLib's, of all that have this blob */

        int64_t not_before, not_after; /* of all certificates of its chain, once "validity" has passed */
        AttCertificate *pck;   /* leaf of the quote's chain; (nullable) */
        bool has_pck_extension;
        AttPckExtension pck_extension;

        AttCertificate *vek;   /* VCEK or VLEK of the report; (nullable), and with it @vek_extensions */
        AttVekExtensions vek_extensions;

        bool has_ima_fit;      /* an IMA log was held against the claims, and with it @ima_fit */
        AttImaFit ima_fit;
        bool is_quoted_by_tpm; /* its root is a TPM's quote, which was verified */
        guint64 ima_since;     /* entries that the verdict before covered, and with it @ima_ran */
        GPtrArray *ima_ran;    /* of AttImaRan: the last of those since; (nullable) */
};

/**
 * att_result_new: a result that says no
 * @mandatory: the checks that must pass for a yes, from the kind of appraisal
 *             and the policy: never from the evidence's own words
 */
AttResult *att_result_new(AttCheckSet mandatory) G_GNUC_WARN_UNUSED_RESULT;

/** att_result_require: makes the checks of @set mandatory too */
void att_result_require(AttResult *result, AttCheckSet set);

void att_tee_json_release(char **tee_json);

/** The 64 bytes of the quote or report; NULL without one. */
const uint8_t *att_result_report_data(const AttResult *result);

AttCheckStatus att_result_status(const AttResult *result, AttCheckId id);

/* Each check is settled once; what has failed stays failed. */
void att_result_pass(AttResult *result, AttCheckId id, const char *format, ...) G_GNUC_PRINTF(3, 4);
void att_result_fail(AttResult *result, AttCheckId id, const char *format, ...) G_GNUC_PRINTF(3, 4);
/** Fails the check with the message of @error, and frees it. */
void att_result_fail_take(AttResult *result, AttCheckId id, GError *error);
/** Leaves the check as it is, with the reason why it is not made. */
void att_result_skip(AttResult *result, AttCheckId id, const char *format, ...) G_GNUC_PRINTF(3, 4);

/** att_result_seal: the appraisal has come to its end; before, there is no yes. Returns: @result */
AttResult *att_result_seal(AttResult *result);
