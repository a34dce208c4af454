/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "verifier/describe.h"

#include "verifier/result-build.h"

#define MR_SIZE 48u

static void set_text(json_t *object, const char *key, const char *text) {
        json_object_set_new(object, key, text ? json_string(text) : json_null());
}

/* JSON's integers end at 2^63 here; what is beyond is written as text. */
static void set_number(json_t *object, const char *key, uint64_t n) {
        g_autofree char *text = NULL;

        if (n <= G_MAXINT64) {
                json_object_set_new(object, key, json_integer((json_int_t) n));
                return;
        }
        text = g_strdup_printf("%" G_GUINT64_FORMAT, n);
        set_text(object, key, text);
}

static void set_hex(json_t *object, const char *key, const uint8_t *bytes, size_t size) {
        g_autoptr(GString) hex = g_string_sized_new(2 * size);

        for (size_t i = 0; i < size; i++)
                g_string_append_printf(hex, "%02x", bytes[i]);
        set_text(object, key, hex->str);
}

static void set_bytes(json_t *object, const char *key, GBytes *bytes) {
        if (bytes)
                set_hex(object, key, g_bytes_get_data(bytes, NULL), g_bytes_get_size(bytes));
}

/* RFC 3339 in UTC; as the number of seconds where the calendar ends. */
static void set_time(json_t *object, const char *key, int64_t seconds) {
        g_autoptr(GDateTime) time = g_date_time_new_from_unix_utc(seconds);
        g_autofree char *text = time ? g_date_time_format(time, "%Y-%m-%dT%H:%M:%SZ") :
                                       g_strdup_printf("%" G_GINT64_FORMAT, seconds);

        set_text(object, key, text);
}

static json_t *caller_json(const AttCallerClaims *caller) {
        json_t *object = json_object();

        if (caller->has_uid)
                set_number(object, "uid", caller->uid);
        if (caller->gids) {
                json_t *gids = json_array();

                for (guint i = 0; i < caller->gids->len; i++)
                        json_array_append_new(gids, json_integer(g_array_index(caller->gids, uint32_t, i)));
                json_object_set_new(object, "gids", gids);
        }
        if (caller->label)
                set_text(object, "label", caller->label);
        if (caller->unit_kind)
                set_text(object, "unit_kind", caller->unit_kind);
        if (caller->unit)
                set_text(object, "unit", caller->unit);
        if (caller->has_invocation)
                set_hex(object, "invocation", caller->invocation, sizeof caller->invocation);
        set_bytes(object, "exe_digest", caller->exe_digest);
        return object;
}

static json_t *ima_json(const AttImaClaims *ima) {
        json_t *object = json_object();

        set_text(object, "root", ima->root);
        set_text(object, "bank", ima->bank);
        set_number(object, "count", ima->count);
        set_number(object, "violations", ima->violations);
        set_bytes(object, "aggregate", ima->aggregate);
        set_bytes(object, "boot_aggregate", ima->boot_aggregate);
        set_bytes(object, "ak_name", ima->ak_name);
        return object;
}

json_t *att_claims_to_json(const AttClaims *claims) {
        json_t *object = json_object();

        set_text(object, "hash", att_hash_name(claims->hash));
        set_hex(object, "binding", claims->binding, att_hash_size(claims->hash));
        set_hex(object, "key_hash", claims->key_hash, att_hash_size(claims->hash));
        set_time(object, "issued_at", claims->issued_at);
        set_text(object, "role", att_role_name(claims->role));
        set_hex(object, "boot_id", claims->boot_id, sizeof claims->boot_id);
        set_hex(object, "instance_id", claims->instance_id, sizeof claims->instance_id);
        set_number(object, "generation", claims->generation);
        set_hex(object, "config_digest", claims->config_digest, sizeof claims->config_digest);
        json_object_set_new(object, "shared_device", json_boolean(claims->shared_device));
        if (claims->caller)
                json_object_set_new(object, "caller", caller_json(claims->caller));
        if (claims->ima)
                json_object_set_new(object, "ima", ima_json(claims->ima));
        set_bytes(object, "boot_digest", claims->boot_digest);
        return object;
}

static void add_qe(json_t *object, const AttSgxReport *qe) {
        set_hex(object, "qe_mr_enclave", qe->mr_enclave, 32);
        set_hex(object, "qe_mr_signer", qe->mr_signer, 32);
        set_number(object, "qe_isv_prod_id", qe->isv_prod_id);
        set_number(object, "qe_isv_svn", qe->isv_svn);
        set_hex(object, "qe_attributes", qe->attributes, 16);
        set_hex(object, "qe_misc_select", qe->misc_select, 4);
        json_object_set_new(object, "qe_debug", json_boolean(qe->attributes[0] & 2));
}

static void add_pck(json_t *object, const AttCertificate *pck) {
        g_autofree char *issuer = att_certificate_dup_issuer_cn(pck);
        g_autofree char *serial = att_certificate_dup_serial(pck);
        AttPckExtension extension;
        json_t *components;

        set_text(object, "pck_issuer", issuer);
        /* A number, so with no zero in front. */
        set_text(object, "pck_serial", serial[0] == '0' && serial[1] ? serial + 1 : serial);
        set_time(object, "pck_not_before", att_certificate_not_before(pck));
        set_time(object, "pck_not_after", att_certificate_not_after(pck));
        if (!att_pck_extension_parse(pck, &extension, NULL))
                return;

        set_hex(object, "ppid", extension.ppid, sizeof extension.ppid);
        set_hex(object, "fmspc", extension.fmspc, sizeof extension.fmspc);
        set_hex(object, "pceid", extension.pceid, sizeof extension.pceid);
        set_number(object, "pcesvn", extension.pcesvn);
        set_hex(object, "cpusvn", extension.cpusvn, sizeof extension.cpusvn);
        components = json_array();
        for (gsize i = 0; i < sizeof extension.sgx_tcb_comps; i++)
                json_array_append_new(components, json_integer(extension.sgx_tcb_comps[i]));
        json_object_set_new(object, "sgx_tcb_comps", components);
}

static bool has_nonzero(const AttCursor *c) {
        for (size_t i = 0; i < c->left; i++)
                if (c->at[i])
                        return true;
        return false;
}

/* The quote's own, when the caller has none: the first that has the extension. */
static AttCertificate *find_pck(const AttTdxQuote *q) {
        g_autoptr(GPtrArray) certificates = NULL;
        AttPckExtension extension;

        if (q->certificates.left > 0)
                certificates = att_certificates_from_pem(q->certificates.at, q->certificates.left, NULL);
        for (guint i = 0; certificates && i < certificates->len; i++)
                if (att_pck_extension_parse(certificates->pdata[i], &extension, NULL))
                        return att_certificate_ref(certificates->pdata[i]);
        return NULL;
}

json_t *att_tdx_quote_to_json(const AttTdxQuote *q, AttCertificate *pck) {
        g_autoptr(AttCertificate) shown = pck ? att_certificate_ref(pck) : find_pck(q);
        json_t *object = json_object();
        g_autofree char *tee_type = g_strdup_printf("0x%x", q->tee_type);

        set_number(object, "version", q->version);
        set_text(object, "tee_type", tee_type);
        set_number(object, "att_key_type", q->att_key_type);
        set_text(object, "body_type", q->body == ATT_TDX_BODY_15 ? "td1.5" : "td1.0");
        set_hex(object, "tee_tcb_svn", q->tee_tcb_svn, 16);
        set_hex(object, "mr_seam", q->mr_seam, MR_SIZE);
        set_hex(object, "mr_signer_seam", q->mr_signer_seam, MR_SIZE);
        set_hex(object, "seam_attributes", q->seam_attributes, 8);
        set_hex(object, "td_attributes", q->td_attributes, 8);
        json_object_set_new(object, "td_debug", json_boolean(q->td_attributes[0] & 1));
        set_hex(object, "xfam", q->xfam, 8);
        set_hex(object, "mr_td", q->mr_td, MR_SIZE);
        set_hex(object, "mr_config_id", q->mr_config_id, MR_SIZE);
        set_hex(object, "mr_owner", q->mr_owner, MR_SIZE);
        set_hex(object, "mr_owner_config", q->mr_owner_config, MR_SIZE);
        for (int i = 0; i < 4; i++) {
                char key[] = { 'r', 't', 'm', 'r', (char) ('0' + i), 0 };

                set_hex(object, key, q->rtmr[i], MR_SIZE);
        }
        set_hex(object, "report_data", q->report_data, ATT_REPORT_DATA_SIZE);
        if (q->body == ATT_TDX_BODY_15) {
                set_hex(object, "tee_tcb_svn2", q->tee_tcb_svn2, 16);
                set_hex(object, "mr_service_td", q->mr_service_td, MR_SIZE);
        }
        set_hex(object, "user_data", q->user_data, 20);
        set_number(object, "cert_type", q->inner_certification_type ? q->inner_certification_type :
                                        q->certification_type);
        if (q->qe_report.mr_enclave)
                add_qe(object, &q->qe_report);
        if (shown)
                add_pck(object, shown);
        set_number(object, "quote_length", q->quote_size);
        set_number(object, "trailing_bytes", q->trailing.left);
        json_object_set_new(object, "trailing_nonzero", json_boolean(has_nonzero(&q->trailing)));
        set_number(object, "size", q->quote_size + q->trailing.left);
        return object;
}

static json_t *checks_json(const AttResult *result) {
        json_t *array = json_array();

        for (guint i = 0; i < result->checks->len; i++) {
                const AttCheck *check = result->checks->pdata[i];
                json_t *object = json_object();

                set_text(object, "name", check->name);
                set_text(object, "status", att_check_status_name(check->status));
                set_text(object, "detail", check->detail);
                json_array_append_new(array, object);
        }
        return array;
}

char *att_result_to_json(const AttResult *result, bool pretty) {
        json_t *object = json_object();
        char *dump, *text;

        json_object_set_new(object, "accepted", json_boolean(att_result_accepted(result)));
        set_text(object, "reason", att_result_reason(result));
        json_object_set_new(object, "checks", checks_json(result));
        set_text(object, "profile", result->profile);
        set_text(object, "tee", result->tee);
        if (result->has_quote)
                set_hex(object, "report_data", result->quote.report_data, ATT_REPORT_DATA_SIZE);
        else
                set_text(object, "report_data", NULL);
        if (result->claims)
                json_object_set_new(object, "claims", att_claims_to_json(result->claims));
        if (result->has_quote)
                json_object_set_new(object, "quote", att_tdx_quote_to_json(&result->quote, result->pck));

        dump = json_dumps(object, pretty ? JSON_INDENT(2) : JSON_COMPACT);
        json_decref(object);
        text = g_strdup(dump);
        free(dump);
        return text;
}
