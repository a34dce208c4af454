/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The TPM of this guest, by tpm2-tss: quotes over PCR 10 that belong to one report. */
#pragma once

#include "util/bank.h"
#include "util/tls-terms.h"

#include <glib.h>

G_BEGIN_DECLS

typedef struct AttTpm AttTpm;

/**
 * att_tpm_open: take the resource manager's device, and make or find the AK. Blocks, a
 * second at most on a healthy TPM.
 * @ak_handle: persistent handle of a restricted signing key; 0: a primary key of the
 *             endorsement hierarchy is made, the same each time
 * @bank:      whose PCR 10 is quoted; it must be allocated
 * @error:     %ATT_ERROR_NO_TEE: no TPM; %ATT_ERROR_FAILED: locked, the key is not fit, …
 */
AttTpm *att_tpm_open(guint32 ak_handle, AttBank bank, GError **error) G_GNUC_WARN_UNUSED_RESULT;
void att_tpm_free(AttTpm *tpm);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(AttTpm, att_tpm_free)

/** Which of sha256, sha384, sha1, in this order, has PCR 10 in use: sysfs only, no command. FALSE: no TPM. */
bool att_tpm_find_bank(AttBank *ret);

/** TPM name of the AK: nameAlg || H(TPMT_PUBLIC); borrowed. */
GBytes *att_tpm_ak_name(const AttTpm *tpm);

/**
 * att_tpm_quote: over PCR 10, extraData = SHA-256("attestd tpm/1" || 0x00 || R)
 * @r: 64 bytes
 *
 * For one thread at a time. Returns: the payload of the member "tpm"
 */
GBytes *att_tpm_quote(AttTpm *tpm, const uint8_t r[ATT_REPORT_DATA_SIZE], GError **error) G_GNUC_WARN_UNUSED_RESULT;

G_END_DECLS
