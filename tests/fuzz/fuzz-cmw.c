/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Target functions: att_cmw_parse, att_cmw_encode, att_cbor_load, att_json_load, att_base64url_decode */
#include "codec/cmw.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        g_autoptr(GBytes) bytes = g_bytes_new_static(data, size), in_cbor = NULL, again = NULL, in_json = NULL;
        g_autoptr(GError) error = NULL;
        g_autoptr(AttCmw) cmw = att_cmw_parse(bytes, &error), same = NULL, from_json = NULL;

        g_assert((cmw == NULL) == (error != NULL));
        if (!cmw)
                return 0;

        g_assert(cmw->is_json == (data[0] == '[' || data[0] == '{'));
        in_cbor = att_cmw_encode(cmw, false, NULL);
        in_json = att_cmw_encode(cmw, true, NULL);
        g_assert(in_cbor);
        if (g_bytes_get_size(in_cbor) > ATT_CMW_INPUT_MAX)
                return 0;
        same = att_cmw_parse(in_cbor, NULL);
        g_assert(same && same->form == cmw->form);
        again = att_cmw_encode(same, false, NULL);
        g_assert(g_bytes_equal(again, in_cbor));

        if (in_json && g_bytes_get_size(in_json) <= ATT_CMW_INPUT_MAX) {
                g_autoptr(GBytes) third = NULL;

                from_json = att_cmw_parse(in_json, NULL);
                g_assert(from_json && from_json->is_json);
                third = att_cmw_encode(from_json, false, NULL);
                g_assert(g_bytes_equal(third, in_cbor));
        }
        return 0;
}
