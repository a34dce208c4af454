/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* An open TPM with an AK in it, by ESYS. All of this blocks for as long as the kernel
 * and the TPM like: it is for the thread behind AttTpm, and no other. */
#pragma once

#include "crypto/digest.h"
#include "util/bank.h"

#include <glib.h>

G_BEGIN_DECLS

#define ATT_TPM_PATH "/dev/tpmrm0"

typedef struct AttTpmContext AttTpmContext;

/** @ak_handle, @bank, @error: as of att_tpm_open() */
AttTpmContext *att_tpm_context_open(guint32 ak_handle, AttBank bank, GError **error) G_GNUC_WARN_UNUSED_RESULT;
/** What we have made in the TPM goes with it: the kernel's resource manager sees to that. */
void att_tpm_context_free(AttTpmContext *context);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(AttTpmContext, att_tpm_context_free)

/** TPM name of the AK; borrowed. */
GBytes *att_tpm_context_ak_name(const AttTpmContext *context);

/** att_tpm_context_quote: over PCR 10. Returns: the payload of the member "tpm", which has been verified */
GBytes *att_tpm_context_quote(AttTpmContext *context, const uint8_t extra_data[ATT_SHA256_SIZE],
                              GError **error) G_GNUC_WARN_UNUSED_RESULT;

G_END_DECLS
