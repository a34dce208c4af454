/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the TEE is asked to sign. All 64 bytes are computed here and nowhere else:
 * callers say what evidence is bound to, and nobody gets to choose report data,
 * or this would be a machine that vouches for any sentence of any protocol. */
#pragma once

#include "util/tls-terms.h"

#include <glib.h>

G_BEGIN_DECLS

/* Each with its NUL, which ends the tag: no input of one form is input of another. */
#define ATT_BINDER_TAG_EVIDENCE "attestd evidence/1"
#define ATT_BINDER_TAG_IDLE "attestd idle/1"
#define ATT_BINDER_TAG_BATCH "attestd batch/1"

/** att_binder_evidence: R = SHA-512("attestd evidence/1" || 0x00 || C) */
void att_binder_evidence(GBytes *claims, uint8_t ret[ATT_REPORT_DATA_SIZE]);

/** att_binder_batch: R = SHA-512("attestd batch/1" || 0x00 || u64be(n) || root): of @n C at once */
void att_binder_batch(guint64 n, const uint8_t root[32], uint8_t ret[ATT_REPORT_DATA_SIZE]);

/** att_binder_idle: SHA-512("attestd idle/1" || 0x00): of reports that nobody gets; no evidence is over it */
void att_binder_idle(uint8_t ret[ATT_REPORT_DATA_SIZE]);

/** att_binder_expat_pad: the binding, zero padded: of the profile expat-pad */
void att_binder_expat_pad(AttHash hash, const uint8_t *binding, uint8_t ret[ATT_REPORT_DATA_SIZE]);

/** att_binder_cocos: SHA-512(binding): of the profile cocos */
void att_binder_cocos(AttHash hash, const uint8_t *binding, uint8_t ret[ATT_REPORT_DATA_SIZE]);

G_END_DECLS
