/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Evidence for people: what it says, believed or not. */
#pragma once

#include "codec/claims.h"
#include "codec/inclusion-proof.h"
#include "codec/snp-report.h"
#include "codec/tdx-quote.h"
#include "crypto/certificate.h"

#include <jansson.h>

G_BEGIN_DECLS

/** att_claims_to_json: bytes in lower-case hex, times in UTC; what is absent is left out. Returns: (transfer full) */
json_t *att_claims_to_json(const AttClaims *claims) G_GNUC_WARN_UNUSED_RESULT;

/** att_inclusion_proof_to_json: the place in the batch, and the path. Returns: (transfer full) */
json_t *att_inclusion_proof_to_json(const AttInclusionProof *proof) G_GNUC_WARN_UNUSED_RESULT;

/**
 * att_tdx_quote_to_json: every field of the quote, and of the PCK certificate's
 * @pck: (nullable): certificate whose fields to show; else the quote's own is looked for
 *
 * Returns: (transfer full)
 */
json_t *att_tdx_quote_to_json(const AttTdxQuote *quote, AttCertificate *pck) G_GNUC_WARN_UNUSED_RESULT;
/**
 * att_snp_report_to_json: every field of the report, and of the certificate of its key
 * @vek: (nullable): that certificate
 *
 * Returns: (transfer full)
 */
json_t *att_snp_report_to_json(const AttSnpReport *report, const AttCertificate *vek) G_GNUC_WARN_UNUSED_RESULT;

/** att_vek_to_json: AMD's extensions, by the names that AMD gives them; NULL if the certificate has none */
json_t *att_vek_to_json(const AttCertificate *vek) G_GNUC_WARN_UNUSED_RESULT;

G_END_DECLS
