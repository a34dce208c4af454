/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "ea/authenticator.h"

void att_ea_binding(AttHash hash, GBytes *spki, const uint8_t exported[ATT_EXPORTED_SIZE], uint8_t *ret) {
        gsize size;
        const void *p = g_bytes_get_data(spki, &size);
        const AttPart parts[] = { { p, size }, { exported, ATT_EXPORTED_SIZE } };

        att_hash_parts(hash, parts, G_N_ELEMENTS(parts), ret);
}
