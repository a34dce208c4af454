/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "codec/tls-handshake.h"
#include "ea/authenticator.h"
#include "util/error.h"

static uint8_t request_type(AttRole requester) {
        return requester == ATT_ROLE_SERVER ? ATT_TLS_CERTIFICATE_REQUEST : ATT_TLS_CLIENT_CERTIFICATE_REQUEST;
}

GBytes *att_ea_request_new(AttRole requester, uint16_t cmw_attestation, GBytes **ret_context, GError **error) {
        uint8_t random[ATT_CONTEXT_SIZE];
        g_autoptr(GBytes) context = NULL;
        GBytes *request;

        if (!att_random(random, sizeof random, error))
                return NULL;

        context = g_bytes_new(random, sizeof random);
        request = att_tls_request_build(request_type(requester), context, att_schemes, att_n_schemes, cmw_attestation);
        *ret_context = g_steal_pointer(&context);
        return request;
}

void att_ea_request_clear(AttEaRequest *request) {
        g_clear_pointer(&request->bytes, g_bytes_unref);
        g_clear_pointer(&request->context, g_bytes_unref);
        *request = (AttEaRequest) { 0 };
}

gboolean att_ea_request_read(GBytes *bytes, AttRole requester, uint16_t cmw_attestation, AttEaRequest *ret,
                             GError **error) {
        AttTlsRequest parsed;
        const AttTlsExtension *offer;

        if (!att_tls_request_parse(bytes, &parsed, error)) {
                g_prefix_error(error, "malformed-request: ");
                return FALSE;
        }
        if (parsed.message_type != request_type(requester))
                return att_error_set(error, ATT_ERROR_BAD_DATA, "unsupported-type: a %s does not send message type %u",
                                     att_role_name(requester), parsed.message_type);

        offer = cmw_attestation != 0 ? att_tls_request_find(&parsed, cmw_attestation) : NULL;
        if (offer && offer->data.left != 0)
                return att_error_set(error, ATT_ERROR_BAD_DATA,
                                     "malformed-request: the offer of cmw_attestation has %zu bytes of data",
                                     offer->data.left);

        *ret = (AttEaRequest) {
                .bytes = g_bytes_ref(bytes),
                .context = att_cursor_dup(&parsed.context),
                .asks_for_cmw = offer != NULL,
                .n_schemes = parsed.n_schemes,
        };
        G_STATIC_ASSERT(G_N_ELEMENTS(ret->schemes) >= ATT_TLS_SCHEMES_MAX);
        memcpy(ret->schemes, parsed.schemes, parsed.n_schemes * sizeof *parsed.schemes);
        return TRUE;
}

void att_ea_request_narrow(AttEaRequest *request, const uint16_t *schemes, size_t n_schemes) {
        size_t n = 0;

        for (size_t i = 0; i < request->n_schemes; i++)
                for (size_t k = 0; k < n_schemes; k++)
                        if (request->schemes[i] == schemes[k]) {
                                request->schemes[n++] = schemes[k];
                                break;
                        }
        request->n_schemes = n;
}

uint16_t att_ea_request_choose_scheme(const AttEaRequest *request, const AttKey *key, GError **error) {
        uint16_t scheme = att_key_choose_scheme(key, request->schemes, request->n_schemes);

        if (scheme == 0)
                att_error_set(error, ATT_ERROR_REFUSED,
                              "no-common-sigalg: the leaf's key fits no signature scheme of the request");
        return scheme;
}

gboolean att_ea_request_check(const AttEaRequest *request, uint16_t cmw_attestation, const AttKey *key,
                              GError **error) {
        if (!request->asks_for_cmw)
                return att_error_set(error, ATT_ERROR_REFUSED,
                                     "extension-not-offered: the request does not offer cmw_attestation with code "
                                     "point 0x%04X", cmw_attestation);
        return att_ea_request_choose_scheme(request, key, error) != 0;
}
