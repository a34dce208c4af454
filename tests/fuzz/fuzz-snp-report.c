/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Target functions: att_snp_report_parse, att_snp_report_report_data, att_snp_report_is_like, att_snp_tcb_read */
#include "codec/snp-report.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        g_autoptr(GBytes) bytes = g_bytes_new_static(data, size);
        const uint8_t *report_data = att_snp_report_report_data(bytes);
        bool is_like = att_snp_report_is_like(bytes);
        g_autoptr(GError) error = NULL;
        AttSnpReport r;

        g_assert(!report_data || report_data == data + 80);
        if (!att_snp_report_parse(bytes, &r, &error)) {
                g_assert(error);
                return 0;
        }

        g_assert(is_like && size == ATT_SNP_REPORT_SIZE && r.report_data == report_data);
        g_assert(r.version >= 2 && r.version <= 5);
        g_assert((r.cpuid != NULL) == (r.version >= 3));
        g_assert((r.launch_mit_vector != NULL) == (r.version == 5));
        g_assert(r.signed_part.at == data && r.signed_part.left == ATT_SNP_SIGNED_SIZE);
        g_assert(r.signature_s + 72 + 368 == data + size);

        const uint8_t *tcbs[] = { r.current_tcb, r.reported_tcb, r.committed_tcb, r.launch_tcb };
        for (size_t i = 0; i < G_N_ELEMENTS(tcbs); i++) {
                AttSnpTcb tcb;

                if (att_snp_tcb_read(tcbs[i], r.line, &tcb))
                        g_assert(tcb.has_fmc == (r.line == ATT_SNP_LINE_TURIN) && tcb.microcode == tcbs[i][7]);
        }
        return 0;
}
