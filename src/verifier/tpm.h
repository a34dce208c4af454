/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What a TPM's quote says of PCR 10, and whose TPM it is; for files of verifier/ only. */
#pragma once

#include "codec/hcl-report.h"
#include "codec/tpm-quote.h"
#include "util/tls-terms.h"

G_BEGIN_DECLS

/* A quote that is what C says of it. */
typedef struct AttTpmVerified {
        AttBank bank;       /* whose PCR 10 */
        AttBank hash;       /* of the digest */
        uint8_t pcr_digest[ATT_BANK_SIZE_MAX]; /* H(PCR 10) */
        uint32_t reset_count, restart_count;
        uint64_t clock;     /* milliseconds */
} AttTpmVerified;

/**
 * att_tpm_quote_verify: is @evidence a quote over PCR 10 of @bank, and of nothing else,
 * made for R by the AK whose name stands in C?
 * @r:       64 bytes
 * @ak_name: as in C; (nullable): then there is no answer but no
 * @error:   %ATT_ERROR_REFUSED that names what is not so; @ret is untouched
 *
 * Which log the digest belongs to is for att_tpm_verified_is_over() to say. That the TPM
 * is one, and whose, is not said here: a program can be any TPM that it likes.
 */
gboolean att_tpm_quote_verify(const AttTpmEvidence *evidence, const uint8_t r[ATT_REPORT_DATA_SIZE], GBytes *ak_name,
                              AttBank bank, AttTpmVerified *ret, GError **error) G_GNUC_WARN_UNUSED_RESULT;

/** att_tpm_verified_is_over: was PCR 10 @aggregate, att_bank_size() bytes of its bank, when it was quoted? */
bool att_tpm_verified_is_over(const AttTpmVerified *verified, const uint8_t *aggregate);

/**
 * att_tpm_ak_is_of_hcl: is the AK the one that Azure's paravisor names in its runtime
 * claims, and are they what the TEE has signed?
 * @ak_public:   TPMT_PUBLIC
 * @report_data: of a TEE report that has been verified
 * @error:       %ATT_ERROR_REFUSED
 *
 * With a quote by that AK this is root tpm-in-tee. REPORTDATA is the hash of the
 * claims then, and not R: it is for guests whose reports are the paravisor's.
 */
gboolean att_tpm_ak_is_of_hcl(GBytes *ak_public, const AttHclReport *hcl,
                              const uint8_t report_data[ATT_REPORT_DATA_SIZE], GError **error)
        G_GNUC_WARN_UNUSED_RESULT;

G_END_DECLS
