/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Target functions: att_certificates_from_pem, att_anchors_from_pem, att_spki_from_pem */
#include "crypto/certificate.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        g_autoptr(GError) error = NULL, anchors_error = NULL, key_error = NULL;
        g_autoptr(GPtrArray) chain = att_certificates_from_pem(data, size, &error);
        g_autoptr(GPtrArray) anchors = att_anchors_from_pem(data, size, &anchors_error);
        g_autoptr(GBytes) spki = att_spki_from_pem(data, size, &key_error);

        g_assert(!chain == (error != NULL) && !anchors == (anchors_error != NULL) && !spki == (key_error != NULL));
        g_assert(!chain || !spki);
        g_assert(!chain || (chain->len > 0 && chain->len <= ATT_CHAIN_MAX));
        if (chain) {
                /* What the strict reader takes, the lenient one takes too, and as the same. */
                g_assert(anchors && anchors->len == chain->len);
                for (guint i = 0; i < chain->len; i++) {
                        g_autoptr(GBytes) a = att_certificate_dup_der(g_ptr_array_index(chain, i));
                        g_autoptr(GBytes) b = att_certificate_dup_der(g_ptr_array_index(anchors, i));

                        g_assert(g_bytes_equal(a, b));
                }
        }
        return 0;
}
