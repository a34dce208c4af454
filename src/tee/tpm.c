/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "tee/tpm.h"

#include "util/error.h"

bool att_tpm_find_bank(AttBank *ret) {
        (void) ret;
        return false;
}

AttTpm *att_tpm_open(guint32 ak_handle, AttBank bank, GError **error) {
        (void) ak_handle, (void) bank;
        att_error_set(error, ATT_ERROR_NO_TEE, "no TPM");
        return NULL;
}

AttTpm *att_tpm_ref(AttTpm *tpm) {
        return tpm;
}

void att_tpm_unref(AttTpm *tpm) {
        (void) tpm;
}

GBytes *att_tpm_ak_name(const AttTpm *tpm) {
        (void) tpm;
        return NULL;
}

GBytes *att_tpm_quote(AttTpm *tpm, const uint8_t r[ATT_REPORT_DATA_SIZE], GError **error) {
        (void) tpm, (void) r;
        att_error_set(error, ATT_ERROR_NO_TEE, "no TPM");
        return NULL;
}
