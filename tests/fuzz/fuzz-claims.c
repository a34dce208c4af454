/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Target functions: att_claims_decode, att_claims_encode */
#include "codec/claims.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        g_autoptr(GBytes) bytes = g_bytes_new_static(data, size), again = NULL, third = NULL;
        g_autoptr(GError) error = NULL;
        g_autoptr(AttClaims) claims = att_claims_decode(bytes, &error), same = NULL;

        g_assert((claims == NULL) == (error != NULL));
        if (!claims)
                return 0;

        /* What was read can be written: all of it, if nothing in it was unknown. */
        again = att_claims_encode(claims, NULL);
        g_assert(again && g_bytes_get_size(again) <= size);
        g_assert(g_bytes_get_size(again) < size || g_bytes_equal(again, bytes));
        same = att_claims_decode(again, NULL);
        g_assert(same);
        third = att_claims_encode(same, NULL);
        g_assert(third && g_bytes_equal(third, again));
        return 0;
}
