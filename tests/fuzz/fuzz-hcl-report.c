/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Target functions: att_hcl_report_parse, att_hcl_report_is_like */
#include "codec/hcl-report.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        g_autoptr(GBytes) bytes = g_bytes_new_static(data, size);
        bool is_like = att_hcl_report_is_like(bytes);
        g_autoptr(GError) error = NULL;
        AttHclReport r;

        if (!att_hcl_report_parse(bytes, &r, &error)) {
                g_assert(error);
                return 0;
        }
        g_assert(is_like && r.hardware_report.left == 1184);
        g_assert(r.runtime_claims.left == 0 || r.runtime_claims.at + r.runtime_claims.left <= data + size);
        return 0;
}
