/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Target functions: att_evidence_decode, att_evidence_encode */
#include "codec/evidence.h"

#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        g_autoptr(GBytes) bytes = g_bytes_new_static(data, size), written = NULL, again = NULL;
        g_autoptr(GError) error = NULL;
        g_autoptr(AttEvidence) evidence = att_evidence_decode(bytes, &error), same = NULL;

        g_assert((evidence == NULL) == (error != NULL));
        if (!evidence)
                return 0;

        g_assert(att_profile_is_known(evidence->profile) && evidence->tee);
        g_assert(att_profile_has_claims(evidence->profile) == (evidence->claims != NULL));
        written = att_evidence_encode(evidence, size, NULL, NULL); /* never longer than what it was read from */
        g_assert(written);
        same = att_evidence_decode(written, NULL);
        g_assert(same);
        again = att_evidence_encode(same, size, NULL, NULL);
        g_assert(g_bytes_equal(again, written));
        return 0;
}
