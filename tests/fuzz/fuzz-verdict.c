/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Target functions: att_verdict_frame_decode, att_accepted_encode, att_refused_encode */
#include "codec/frame.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        static const AttFrameType types[] = { ATT_FRAME_ACCEPTED, ATT_FRAME_REFUSED };
        g_autoptr(GBytes) bytes = g_bytes_new_static(data, size), none = g_bytes_new(NULL, 0);
        g_autofree char *reason = g_strndup((const char *) data, size);
        g_autoptr(GBytes) refusal = att_refused_encode(none, reason);
        g_auto(AttVerdictFrame) made = { 0 };

        for (size_t i = 0; i < G_N_ELEMENTS(types); i++) {
                g_autoptr(GBytes) again = NULL;
                g_autoptr(GError) error = NULL;
                g_auto(AttVerdictFrame) v = { 0 };

                if (!att_verdict_frame_decode(types[i], bytes, &v, &error)) {
                        g_assert(error && !v.context && !v.reason);
                        continue;
                }
                again = v.reason ? att_refused_encode(v.context, v.reason) : att_accepted_encode(v.context);
                g_assert(g_bytes_equal(again, bytes));
        }

        /* Any reason can be sent. */
        g_assert(att_verdict_frame_decode(ATT_FRAME_REFUSED, refusal, &made, NULL));
        return 0;
}
