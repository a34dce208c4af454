/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The TPM of this guest, by tpm2-tss: quotes over PCR 10 that belong to one report.
 *
 * All commands are given by a thread of its own: a command that hangs in the kernel
 * cannot be called back, and costs who waits for it an error, not more. */
#pragma once

#include "util/bank.h"
#include "util/tls-terms.h"

#include <glib.h>

G_BEGIN_DECLS

typedef struct AttTpm AttTpm;

/** att_tpm_init: before there is a second thread: tpm2-tss logs nothing, and to no file that the environment names */
void att_tpm_init(void);

#define ATT_TPM_OPEN_MS 10000u /* the longest that either may take; both are far below it on a healthy TPM */
#define ATT_TPM_QUOTE_MS 5000u

/**
 * att_tpm_open: take the resource manager's device, and make or find the AK
 * @ak_handle: persistent handle of a restricted signing key; 0: a primary key of the
 *             endorsement hierarchy is made, the same each time
 * @bank:      whose PCR 10 is quoted; it must be allocated
 * @error:     %ATT_ERROR_NO_TEE: no TPM; %ATT_ERROR_TIMED_OUT; %ATT_ERROR_FAILED: locked out, a
 *             hierarchy with a password, a key that is not fit, a bank that is not allocated, …
 *
 * Blocks, for %ATT_TPM_OPEN_MS at most.
 */
AttTpm *att_tpm_open(guint32 ak_handle, AttBank bank, GError **error) G_GNUC_WARN_UNUSED_RESULT;
AttTpm *att_tpm_ref(AttTpm *tpm);
/** The last one does not wait for a command in flight. */
void att_tpm_unref(AttTpm *tpm);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(AttTpm, att_tpm_unref)

/**
 * att_tpm_find_bank: which of sha256, sha384, sha1, in this order, has a PCR 10 that IMA extends
 *
 * By sysfs. Blocks for as long as the TPM does: for a thread that can be left behind.
 * @error: %ATT_ERROR_NO_TEE: there is no TPM, or the kernel does not extend it; %ATT_ERROR_FAILED: it does not say
 */
gboolean att_tpm_find_bank(AttBank *ret, GError **error) G_GNUC_WARN_UNUSED_RESULT;

/** TPM name of the AK: nameAlg || H(TPMT_PUBLIC); borrowed. It stays the same for as long as @tpm lives. */
GBytes *att_tpm_ak_name(const AttTpm *tpm);

/**
 * att_tpm_quote: over PCR 10, extraData = SHA-256("attestd tpm/1" || 0x00 || R)
 * @r: 64 bytes
 *
 * From any thread; blocks, for %ATT_TPM_QUOTE_MS at most. A TPM that has been away is
 * opened anew; with another AK it is another TPM, and refused. Returns: the payload of
 * the member "tpm"
 * @error: as of att_tpm_open(); %ATT_ERROR_DEVICE_BUSY: an earlier command still hangs
 */
GBytes *att_tpm_quote(AttTpm *tpm, const uint8_t r[ATT_REPORT_DATA_SIZE], GError **error) G_GNUC_WARN_UNUSED_RESULT;

G_END_DECLS
