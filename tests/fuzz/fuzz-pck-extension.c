/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Target functions: att_pck_extension_parse_der */
#include "crypto/certificate.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        AttPckExtension x = { .pcesvn = 0x7777 };
        g_autoptr(GError) error = NULL;

        if (!att_pck_extension_parse_der(data, size, &x, &error))
                g_assert(error && x.pcesvn == 0x7777);
        else
                g_assert(size > 16 + 16 + 6 + 2 && !error);
        return 0;
}
