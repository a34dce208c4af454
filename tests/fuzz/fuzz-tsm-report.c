/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Target functions: att_tsm_report_decode, att_tsm_report_encode */
#include "codec/tsm-report.h"

#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        static const char *const media_types[] = { ATT_TSM_REPORT_CBOR, ATT_TSM_REPORT_JSON };
        g_autoptr(GBytes) bytes = g_bytes_new_static(data, size);

        for (size_t i = 0; i < G_N_ELEMENTS(media_types); i++) {
                g_autoptr(GError) error = NULL;
                g_autoptr(AttTsmReport) report = att_tsm_report_decode(media_types[i], bytes, &error), same = NULL;
                g_autoptr(GBytes) written = NULL, again = NULL;

                g_assert((report == NULL) == (error != NULL));
                if (!report)
                        continue;
                g_assert(report->provider && g_bytes_get_size(report->outblob) > 0);
                g_assert(!report->manifestblob || report->service_provider);
                written = att_tsm_report_encode(report);
                same = att_tsm_report_decode(ATT_TSM_REPORT_CBOR, written, NULL);
                g_assert(same);
                again = att_tsm_report_encode(same);
                g_assert(g_bytes_equal(again, written));
        }
        return 0;
}
