/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Target functions: att_cbor_load */
#include "codec/cbor-in.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        g_autoptr(GBytes) bytes = g_bytes_new_static(data, size);
        g_autoptr(GError) error = NULL, other = NULL;
        g_autoptr(cbor_item_t) any = att_cbor_load(bytes, ATT_CBOR_ANY, &error);
        g_autoptr(cbor_item_t) deterministic = att_cbor_load(bytes, ATT_CBOR_DETERMINISTIC, &other);
        unsigned char *again = NULL;
        size_t room, n;

        g_assert((any == NULL) == (error != NULL) && (deterministic == NULL) == (other != NULL));
        g_assert(any || !deterministic);
        if (!deterministic)
                return 0;

        /* Another encoder, which writes shortest heads if they were read so, has the same bytes. */
        n = cbor_serialize_alloc(deterministic, &again, &room);
        g_assert(n == size && memcmp(again, data, n) == 0);
        free(again);
        return 0;
}
