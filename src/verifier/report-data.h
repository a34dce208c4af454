/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What REPORTDATA must be, by profile: docs/protocol.md, "Binding". Its own
 * formulas: the verifier shares no code with the attester. */
#pragma once

#include "codec/inclusion-proof.h"
#include "util/tls-terms.h"

#include <glib.h>

G_BEGIN_DECLS

/** evidence/1, plain form: SHA-512("attestd evidence/1" || 0x00 || C), C as received */
void att_report_data_evidence(GBytes *claims, uint8_t ret[ATT_REPORT_DATA_SIZE]);
/** evidence/1, batch form: SHA-512("attestd batch/1" || 0x00 || u64be(n) || root), the root from C and the path */
void att_report_data_batch(GBytes *claims, const AttInclusionProof *proof, uint8_t ret[ATT_REPORT_DATA_SIZE]);
/** expat-pad: the binding, then zeros */
void att_report_data_expat_pad(AttHash hash, const uint8_t *binding, uint8_t ret[ATT_REPORT_DATA_SIZE]);
/** cocos: SHA-512(binding) */
void att_report_data_cocos(AttHash hash, const uint8_t *binding, uint8_t ret[ATT_REPORT_DATA_SIZE]);
/** With the service provider "svsm", of whichever profile: SHA-512(REPORTDATA || manifest); @ret may be @report_data */
void att_report_data_with_manifest(const uint8_t report_data[ATT_REPORT_DATA_SIZE], GBytes *manifest,
                                   uint8_t ret[ATT_REPORT_DATA_SIZE]);

G_END_DECLS
