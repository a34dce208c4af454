/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Target functions: att_snp_response_parse */
#include "codec/snp-response.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        g_autoptr(GError) error = NULL;
        AttSnpResponse r;

        if (!att_snp_response_parse(att_cursor(data, size), &r, &error)) {
                g_assert(error);
                return 0;
        }

        g_assert(size == ATT_SNP_RESPONSE_SIZE && !r.report.failed);
        if (r.status != 0)
                g_assert(r.report.left == 0);
        else
                g_assert(r.report.at == data + 32 && r.report.left <= size - 32);
        return 0;
}
