/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The member "tpm" of evidence, and the TPM structures in it: TPMS_ATTEST of a quote,
 * TPMT_SIGNATURE, TPMT_PUBLIC (TPM 2.0 Library, Part 2), big-endian. */
#pragma once

#include "util/bank.h"
#include "util/bytes.h"

#include <glib.h>

G_BEGIN_DECLS

#define ATT_TPM_ATTEST_MAX 1024u
#define ATT_TPM_PUBLIC_MAX 2048u
#define ATT_TPM_SIGNATURE_MAX 2048u

/* { "attest": bstr, "signature": bstr, "public": bstr } */
typedef struct AttTpmEvidence {
        GBytes *attest;      /* TPMS_ATTEST */
        GBytes *signature;   /* TPMT_SIGNATURE */
        GBytes *ak_public;   /* TPMT_PUBLIC of the AK */
} AttTpmEvidence;

void att_tpm_evidence_free(AttTpmEvidence *evidence);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(AttTpmEvidence, att_tpm_evidence_free)
GBytes *att_tpm_evidence_encode(const AttTpmEvidence *evidence) G_GNUC_WARN_UNUSED_RESULT;
/** @error: %ATT_ERROR_BAD_DATA, %ATT_ERROR_TOO_LARGE */
AttTpmEvidence *att_tpm_evidence_decode(GBytes *bytes, GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* TPMS_ATTEST of type TPM_ST_ATTEST_QUOTE over one bank; borrows. */
typedef struct AttTpmQuote {
        AttCursor qualified_signer;
        AttCursor extra_data;
        uint64_t clock;
        uint32_t reset_count, restart_count;
        bool is_safe;
        uint64_t firmware_version;
        AttBank bank;
        uint32_t pcrs;         /* bits: PCR 0 to 23 */
        AttCursor pcr_digest;
} AttTpmQuote;

/** Magic, type, exactly one selection, nothing after the end. %ATT_ERROR_BAD_DATA */
gboolean att_tpm_quote_parse(GBytes *attest, AttTpmQuote *ret, GError **error) G_GNUC_WARN_UNUSED_RESULT;

G_END_DECLS
