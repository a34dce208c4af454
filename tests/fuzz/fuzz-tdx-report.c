/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Target functions: att_tdx_report_parse */
#include "codec/tdx-report.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        g_autoptr(GBytes) bytes = g_bytes_new_static(data, size);
        g_autoptr(GError) error = NULL;
        AttTdxReport r;

        if (!att_tdx_report_parse(bytes, &r, &error)) {
                g_assert(error);
                return 0;
        }

        g_assert(size == ATT_TDX_REPORT_SIZE && r.version <= 1);
        g_assert(r.cpu_svn == data + 16 && r.report_data == data + 128 && r.td_attributes == data + 512);
        g_assert(!r.tee_tcb_svn2 || r.tee_tcb_svn2 == data + 384);
        g_assert(r.service_td_hash + ATT_TDX_REGISTER_SIZE + 64 == data + size);
        return 0;
}
