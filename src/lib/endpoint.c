/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lib/endpoint.h"

#include "codec/claims.h"
#include "codec/frame.h"
#include "codec/text.h"
#include "util/tls-terms.h"

G_DEFINE_QUARK(attestd-error-quark, attestd_error)

#define MAX_AGE_S 600
#define TIMEOUT_MS 30000
#define TIMEOUT_MS_MAX 600000 /* what attestd takes */
#define PATIENCE_MS 5000

const char *attestd_version(void) {
        return ATT_VERSION;
}

AttestdEndpoint *attestd_endpoint_new(void) {
        AttestdEndpoint *e = g_new0(AttestdEndpoint, 1);

        g_atomic_ref_count_init(&e->refs);
        e->profile = g_strdup(ATT_PROFILE_EVIDENCE);
        e->code_point = ATT_CMW_ATTESTATION_DEFAULT;
        e->takes_batches = true;
        e->max_age_s = MAX_AGE_S;
        e->timeout_ms = TIMEOUT_MS;
        e->patience_ms = PATIENCE_MS;
        return e;
}

AttestdEndpoint *attestd_endpoint_ref(AttestdEndpoint *e) {
        g_atomic_ref_count_inc(&e->refs);
        return e;
}

static void stop_giving(AttestdEndpoint *e) {
        if (e->destroy)
                e->destroy(e->userdata);
        e->sign = NULL;
        e->userdata = NULL;
        e->destroy = NULL;
        g_clear_pointer(&e->certificates, g_ptr_array_unref);
        g_clear_pointer(&e->spki, g_bytes_unref);
        g_clear_pointer(&e->key, att_key_free);
}

void attestd_endpoint_unref(AttestdEndpoint *e) {
        if (!e || !g_atomic_ref_count_dec(&e->refs))
                return;
        stop_giving(e);
        g_free(e->policy);
        g_free(e->policy_text);
        g_free(e->peer_name);
        g_clear_pointer(&e->anchors, g_ptr_array_unref);
        g_free(e->profile);
        g_free(e);
}

AttestdEndpoint *att_endpoint_use(AttestdEndpoint *e) {
        g_atomic_int_set(&e->is_used, 1);
        return attestd_endpoint_ref(e);
}

static bool is_used(AttestdEndpoint *e) {
        return g_atomic_int_get(&e->is_used) != 0;
}

static gboolean refuse_if_used(AttestdEndpoint *e, GError **error) {
        if (!is_used(e))
                return TRUE;
        g_set_error_literal(error, ATTESTD_ERROR, ATTESTD_ERROR_INVALID,
                            "the endpoint is in use: it is configured before the first connection");
        return FALSE;
}

/* Each of @ders, as a certificate; a copy of the array in @ret. */
static gboolean read_certificates(GPtrArray *ders, const char *what, GPtrArray **ret, GError **error) {
        g_autoptr(GPtrArray) copy = g_ptr_array_new_with_free_func((GDestroyNotify) g_bytes_unref);

        for (guint i = 0; i < ders->len; i++) {
                GBytes *der = ders->pdata[i];
                gsize size;
                const void *data = g_bytes_get_data(der, &size);
                g_autoptr(GError) inner = NULL;
                g_autoptr(AttCertificate) certificate = att_certificate_from_der(data, size, &inner);

                if (!certificate) {
                        g_set_error(error, ATTESTD_ERROR, ATTESTD_ERROR_INVALID, "%s %u: %s", what, i + 1,
                                    inner->message);
                        return FALSE;
                }
                g_ptr_array_add(copy, g_bytes_ref(der));
        }
        *ret = g_steal_pointer(&copy);
        return TRUE;
}

gboolean attestd_endpoint_give(AttestdEndpoint *e, GPtrArray *certificates, AttestdSign sign, gpointer userdata,
                               GDestroyNotify destroy, GError **error) {
        g_autoptr(AttCertificate) leaf = NULL;
        g_autoptr(GPtrArray) chain = NULL;
        g_autoptr(GError) inner = NULL;
        AttKey *key;
        gsize size;
        const void *data;

        if (!refuse_if_used(e, error))
                return FALSE;
        if (!certificates || certificates->len == 0 || certificates->len > ATT_CHAIN_MAX || !sign) {
                g_set_error(error, ATTESTD_ERROR, ATTESTD_ERROR_INVALID,
                            "to give evidence takes a signer and 1 to %u certificates", ATT_CHAIN_MAX);
                return FALSE;
        }
        if (!read_certificates(certificates, "certificate", &chain, error))
                return FALSE;

        data = g_bytes_get_data(chain->pdata[0], &size);
        leaf = att_certificate_from_der(data, size, &inner);
        key = leaf ? att_certificate_dup_key(leaf, &inner) : NULL;
        if (!key) {
                g_set_error(error, ATTESTD_ERROR, ATTESTD_ERROR_INVALID, "certificate 1: %s", inner->message);
                return FALSE;
        }

        stop_giving(e);
        e->certificates = g_steal_pointer(&chain);
        e->spki = att_certificate_dup_spki(leaf);
        e->key = key;
        e->sign = sign;
        e->userdata = userdata;
        e->destroy = destroy;
        return TRUE;
}

void attestd_endpoint_set_give_to(AttestdEndpoint *e, AttestdGiveTo to) {
        g_return_if_fail(!is_used(e));
        g_return_if_fail(to <= ATTESTD_GIVE_TO_ANYONE);
        e->give_to = to;
}

void attestd_endpoint_give_logs(AttestdEndpoint *e, gboolean give) {
        g_return_if_fail(!is_used(e));
        e->gives_logs = give;
}

void attestd_endpoint_ask(AttestdEndpoint *e, const char *policy) {
        g_return_if_fail(!is_used(e));

        e->asks = true;
        g_free(e->policy);
        e->policy = g_strdup(policy);
        g_clear_pointer(&e->policy_text, g_free);
}

void attestd_endpoint_ask_with_policy(AttestdEndpoint *e, const char *text) {
        g_return_if_fail(!is_used(e));
        g_return_if_fail(text != NULL);

        attestd_endpoint_ask(e, NULL);
        e->policy_text = g_strdup(text);
}

gboolean attestd_endpoint_name_peer(AttestdEndpoint *e, const char *name, GPtrArray *anchors, GError **error) {
        g_autoptr(GPtrArray) copy = NULL;

        if (!refuse_if_used(e, error))
                return FALSE;
        /* OpenSSL would take ".example.org" for any name below it. */
        if (!name || !att_is_peer_name(name) || (anchors && anchors->len == 0)) {
                g_set_error_literal(error, ATTESTD_ERROR, ATTESTD_ERROR_INVALID,
                                    "a peer has a host name or an IP address and, if any, at least one anchor");
                return FALSE;
        }
        if (anchors && !read_certificates(anchors, "anchor", &copy, error))
                return FALSE;

        g_free(e->peer_name);
        e->peer_name = g_strdup(name);
        g_clear_pointer(&e->anchors, g_ptr_array_unref);
        e->anchors = g_steal_pointer(&copy);
        return TRUE;
}

void attestd_endpoint_set_profile(AttestdEndpoint *e, const char *profile) {
        g_return_if_fail(!is_used(e));
        g_return_if_fail(profile && att_text_is_plain(profile, ATT_FRAME_TEXT_MAX));

        g_free(e->profile);
        e->profile = g_strdup(profile);
}

void attestd_endpoint_set_compat(AttestdEndpoint *e, gboolean compat) {
        g_return_if_fail(!is_used(e));
        e->compat = compat;
}

void attestd_endpoint_take_batches(AttestdEndpoint *e, gboolean take) {
        g_return_if_fail(!is_used(e));
        e->takes_batches = take;
}

void attestd_endpoint_set_code_point(AttestdEndpoint *e, guint16 code_point) {
        g_return_if_fail(!is_used(e));
        g_return_if_fail(code_point != 0);
        e->code_point = code_point;
}

void attestd_endpoint_set_max_age(AttestdEndpoint *e, guint seconds) {
        g_return_if_fail(!is_used(e));
        e->max_age_s = seconds;
}

void attestd_endpoint_set_timeout(AttestdEndpoint *e, guint milliseconds) {
        g_return_if_fail(!is_used(e));
        g_return_if_fail(milliseconds > 0 && milliseconds <= TIMEOUT_MS_MAX);
        e->timeout_ms = milliseconds;
}

void attestd_endpoint_set_patience(AttestdEndpoint *e, guint milliseconds) {
        g_return_if_fail(!is_used(e));
        g_return_if_fail(milliseconds <= TIMEOUT_MS_MAX);
        e->patience_ms = milliseconds;
}
