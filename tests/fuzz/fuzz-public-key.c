/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Target functions: att_key_from_spki, att_key_verify */
#include "crypto/key.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        g_autoptr(GBytes) spki = g_bytes_new_static(data, size);
        g_autoptr(GError) error = NULL;
        g_autoptr(AttKey) key = att_key_from_spki(spki, &error);
        uint16_t scheme;

        g_assert(!key == (error != NULL));
        if (!key)
                return 0;
        scheme = att_key_choose_scheme(key, att_schemes, att_n_schemes);
        g_assert(scheme != 0 && att_key_fits_scheme(key, scheme));
        (void) !att_key_verify(key, scheme, data, size, data, MIN(size, 256), NULL);
        return 0;
}
