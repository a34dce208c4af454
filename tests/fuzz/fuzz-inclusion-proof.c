/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Target functions: att_inclusion_proof_decode, att_inclusion_proof_encode, att_inclusion_proof_length */
#include "codec/inclusion-proof.h"

#include <stdint.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        g_autoptr(GBytes) bytes = g_bytes_new_static(data, size), again = NULL;
        g_autoptr(GError) error = NULL;
        AttInclusionProof p, untouched;

        memset(&p, 0xee, sizeof p);
        untouched = p;
        if (!att_inclusion_proof_decode(bytes, &p, &error)) {
                g_assert(error && memcmp(&p, &untouched, sizeof p) == 0);
                return 0;
        }
        g_assert(!error && p.n >= ATT_BATCH_MIN && p.n <= ATT_BATCH_MAX && p.index < p.n);
        g_assert(p.path_length == att_inclusion_proof_length(p.n, p.index) && p.path_length <= ATT_PROOF_PATH_MAX);
        /* There is one encoding of a proof. */
        again = att_inclusion_proof_encode(&p);
        g_assert(g_bytes_equal(again, bytes));
        return 0;
}
