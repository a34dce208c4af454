/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "verifier/describe.h"

#include "util/bytes.h"
#include "verifier/result-build.h"
#include "verifier/snp.h"

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

static json_t *hex_json(const uint8_t *bytes, size_t size) {
        g_autofree char *hex = g_malloc(2 * size + 1);

        att_hex(bytes, size, hex);
        return json_stringn_nocheck(hex, 2 * size);
}

static void set_hex(json_t *object, const char *key, const uint8_t *bytes, size_t size) {
        json_object_set_new(object, key, hex_json(bytes, size));
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
        if (ima->rtmr >= 0)
                set_number(object, "register", (uint64_t) ima->rtmr);
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
        if (claims->ima_state)
                set_text(object, "ima_state", claims->ima_state);
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

/* Bits, as the specification counts them. */
static void set_flags(json_t *object, const char *key, uint64_t flags) {
        g_autofree char *text = g_strdup_printf("0x%" G_GINT64_MODIFIER "x", flags);

        set_text(object, key, text);
}

static void set_bool(json_t *object, const char *key, bool value) {
        json_object_set_new(object, key, json_boolean(value));
}

static void set_firmware(json_t *object, const char *key, AttSnpFirmware firmware) {
        const uint8_t bytes[] = { firmware.build, firmware.minor, firmware.major };

        set_hex(object, key, bytes, sizeof bytes);
}

static void set_product(json_t *object, const AttSnpReport *r) {
        bool is_dense = r->line == ATT_SNP_LINE_GENOA && r->cpuid[1] >= 0xa0;
        g_autofree char *unknown = NULL;

        if (r->line == ATT_SNP_LINE_UNKNOWN)
                unknown = g_strdup_printf("fam%02x-model%02x", r->cpuid[0], r->cpuid[1]);
        set_text(object, "product", unknown ? unknown : is_dense ? "Genoa(Siena/Bergamo)" : att_snp_line_name(r->line));
}

static json_t *tcb_json(const AttSnpTcb *tcb) {
        json_t *object = json_object();

        if (tcb->has_fmc)
                set_number(object, "fmc", tcb->fmc);
        set_number(object, "bootloader", tcb->bootloader);
        set_number(object, "tee", tcb->tee);
        set_number(object, "snp", tcb->snp);
        set_number(object, "microcode", tcb->microcode);
        return object;
}

static AttSnpTcb tcb_of(const AttVekExtensions *e) {
        return (AttSnpTcb) {
                .has_fmc = e->has_fmc,
                .fmc = e->fmc,
                .bootloader = e->bootloader,
                .tee = e->tee,
                .snp = e->snp,
                .microcode = e->microcode,
        };
}

static void set_owner(json_t *object, const char *hwid, const char *csp_id, const AttVekExtensions *e) {
        if (e->is_vlek) {
                set_text(object, csp_id, e->csp_id);
                set_text(object, hwid, NULL);
        } else {
                set_hex(object, hwid, e->hwid, e->hwid_size);
                set_text(object, csp_id, NULL);
        }
}

static void add_vek(json_t *object, const AttSnpReport *r, const AttCertificate *vek) {
        g_autofree char *serial = att_certificate_dup_serial(vek);
        AttVekExtensions e;
        AttSnpTcb tcb, certified;

        if (!att_vek_extensions_parse(vek, &e, NULL))
                return;
        set_text(object, "cert_type", e.is_vlek ? "VLEK" : "VCEK");
        set_text(object, "cert_product", e.product);
        set_owner(object, "cert_hwid", "cert_csp_id", &e);
        set_text(object, "cert_serial", serial[0] == '0' && serial[1] ? serial + 1 : serial);
        set_time(object, "cert_not_before", att_certificate_not_before(vek));
        set_time(object, "cert_not_after", att_certificate_not_after(vek));
        certified = tcb_of(&e);
        json_object_set_new(object, "cert_tcb_fields", tcb_json(&certified));
        if (att_snp_tcb_read(r->reported_tcb, att_snp_line_of_product(e.product), &tcb)) {
                json_object_set_new(object, "reported_tcb_fields", tcb_json(&tcb));
                set_bool(object, "cert_tcb_matches_report", att_vek_is_for_tcb(&e, &tcb));
        }
        if (!e.is_vlek)
                set_bool(object, "cert_hwid_matches_chip_id", att_vek_is_of_chip(&e, r));
}

json_t *att_vek_to_json(const AttCertificate *vek) {
        AttVekExtensions e;
        json_t *object;
        AttSnpTcb tcb;

        if (!att_vek_extensions_parse(vek, &e, NULL))
                return NULL;
        tcb = tcb_of(&e);
        object = tcb_json(&tcb);
        set_number(object, "structVersion", e.struct_version);
        set_text(object, "productName", e.product);
        if (e.is_vlek)
                set_text(object, "csp_id", e.csp_id);
        else
                set_hex(object, "hwid", e.hwid, e.hwid_size);
        return object;
}

json_t *att_snp_report_to_json(const AttSnpReport *r, const AttCertificate *vek) {
        static const uint8_t no_cpuid[3];
        json_t *object = json_object();

        set_number(object, "version", r->version);
        if (r->cpuid)
                set_product(object, r);
        set_hex(object, "cpuid_fms", r->cpuid ? r->cpuid : no_cpuid, 3);
        set_number(object, "guest_svn", r->guest_svn);
        set_flags(object, "policy", r->policy);
        set_bool(object, "debug", r->policy & ATT_SNP_POLICY_DEBUG);
        set_bool(object, "migrate_ma", r->policy & ATT_SNP_POLICY_MIGRATE_MA);
        set_bool(object, "smt_allowed", r->policy & ATT_SNP_POLICY_SMT);
        set_number(object, "vmpl", r->vmpl);
        set_hex(object, "family_id", r->family_id, 16);
        set_hex(object, "image_id", r->image_id, 16);
        set_flags(object, "platform_info", r->platform_info);
        set_flags(object, "flags", r->key_info);
        set_bool(object, "author_key_en", r->has_author_key);
        set_bool(object, "mask_chip_key", r->has_masked_chip_key);
        set_text(object, "signing_key", att_snp_key_name(r->signing_key));
        set_number(object, "signature_algo", r->signature_algo);
        set_hex(object, "report_data", r->report_data, ATT_REPORT_DATA_SIZE);
        set_hex(object, "measurement", r->measurement, MR_SIZE);
        set_hex(object, "host_data", r->host_data, 32);
        set_hex(object, "id_key_digest", r->id_key_digest, MR_SIZE);
        set_hex(object, "author_key_digest", r->author_key_digest, MR_SIZE);
        set_hex(object, "report_id", r->report_id, 32);
        set_hex(object, "report_id_ma", r->report_id_ma, 32);
        set_hex(object, "chip_id", r->chip_id, ATT_SNP_CHIP_ID_SIZE);
        set_hex(object, "reported_tcb", r->reported_tcb, 8);
        set_hex(object, "current_tcb", r->current_tcb, 8);
        set_hex(object, "committed_tcb", r->committed_tcb, 8);
        set_hex(object, "launch_tcb", r->launch_tcb, 8);
        set_firmware(object, "current_fw", r->current_firmware);
        set_firmware(object, "committed_fw", r->committed_firmware);
        if (r->launch_mit_vector) {
                set_hex(object, "launch_mit_vector", r->launch_mit_vector, 8);
                set_hex(object, "current_mit_vector", r->current_mit_vector, 8);
        }
        if (vek)
                add_vek(object, r, vek);
        return object;
}

static json_t *place_json(const AttInclusionProof *proof) {
        json_t *object = json_object();

        set_number(object, "n", proof->n);
        set_number(object, "index", proof->index);
        return object;
}

json_t *att_inclusion_proof_to_json(const AttInclusionProof *proof) {
        json_t *object = place_json(proof), *path = json_array();

        for (guint i = 0; i < proof->path_length; i++)
                json_array_append_new(path, hex_json(proof->path[i], ATT_PROOF_NODE_SIZE));
        json_object_set_new(object, "path", path);
        return object;
}

/* A string of JSON, RFC 8259 section 7; @text is UTF-8. */
static void put_string(GString *out, const char *text) {
        const char *from = text;

        g_string_append_c(out, '"');
        for (const char *p = text; *p; p++) {
                bool is_control = (guchar) *p < 0x20;

                if (!is_control && *p != '"' && *p != '\\')
                        continue;
                g_string_append_len(out, from, p - from);
                from = p + 1;
                if (is_control)
                        g_string_append_printf(out, "\\u%04x", (guint) *p);
                else
                        g_string_append_printf(out, "\\%c", *p);
        }
        g_string_append(out, from);
        g_string_append_c(out, '"');
}

/* The members that every result has, written at once: they are most of its text, and
 * as a tree they would cost more than the rest of an appraisal whose signatures are known. */
static void put_verdict(GString *out, const AttResult *result) {
        g_string_append(out, att_result_accepted(result) ? "\"accepted\":true,\"reason\":" :
                                                           "\"accepted\":false,\"reason\":");
        put_string(out, att_result_reason(result));
        for (guint i = 0; i < result->checks->len; i++) {
                const AttCheck *check = result->checks->pdata[i];

                g_string_append(out, i == 0 ? ",\"checks\":[{\"name\":" : ",{\"name\":");
                put_string(out, check->name);
                g_string_append(out, ",\"status\":");
                put_string(out, att_check_status_name(check->status));
                g_string_append(out, ",\"detail\":");
                put_string(out, check->detail);
                g_string_append_c(out, '}');
        }
        g_string_append_c(out, ']');
}

/* What ran since the verdict before. */
static json_t *ima_log_json(const AttResult *result) {
        const AttImaClaims *ima = result->claims->ima;
        json_t *object = json_object(), *ran = json_array();

        set_number(object, "entries", ima->count);
        set_number(object, "violations", ima->violations);
        set_number(object, "new_entries", ima->count - result->ima_since);
        for (guint i = 0; i < result->ima_ran->len; i++) {
                const AttImaRan *entry = result->ima_ran->pdata[i];
                json_t *item = json_object();

                set_text(item, "path", entry->path);
                set_text(item, "digest", entry->digest);
                set_text(item, "verdict", entry->verdict);
                json_array_append_new(ran, item);
        }
        json_object_set_new(object, "new", ran);
        return object;
}

static json_t *found_json(const AttResult *result) {
        const uint8_t *report_data = att_result_report_data(result);
        json_t *object = json_object();

        set_text(object, "profile", result->profile);
        set_text(object, "tee", att_kind_name(result->kind));
        if (report_data)
                set_hex(object, "report_data", report_data, ATT_REPORT_DATA_SIZE);
        else
                set_text(object, "report_data", NULL);
        if (result->claims)
                json_object_set_new(object, "claims", att_claims_to_json(result->claims));
        if (result->is_batched)
                json_object_set_new(object, "batch", place_json(&result->proof));
        if (result->ima_ran)
                json_object_set_new(object, "ima_log", ima_log_json(result));
        return object;
}

static char *dump(json_t *object, size_t flags) {
        char *dumped = json_dumps(object, flags);
        char *text = g_strdup(dumped);

        free(dumped);
        json_decref(object);
        return text;
}

static char *tee_text(const AttResult *result) {
        return dump(result->kind == ATT_KIND_TDX ? att_tdx_quote_to_json(&result->quote, result->pck) :
                                                   att_snp_report_to_json(&result->report, result->vek), JSON_COMPACT);
}

/* All of a batch have the same one. */
static void put_tee(GString *out, const AttResult *result) {
        g_autofree char *own = NULL;
        const char *text;

        if (result->kind == ATT_KIND_NONE)
                return;
        if (!result->tee_json)
                text = own = tee_text(result);
        else
                text = *result->tee_json ? *result->tee_json : (*result->tee_json = tee_text(result));
        g_string_append(out, result->kind == ATT_KIND_TDX ? ",\"quote\":" : ",\"report\":");
        g_string_append(out, text);
}

char *att_result_to_json(const AttResult *result, bool pretty) {
        g_autofree char *found = dump(found_json(result), JSON_COMPACT);
        GString *text = g_string_sized_new(strlen(found) + 8192);

        g_string_append_c(text, '{');
        put_verdict(text, result);
        g_string_append_c(text, ',');
        g_string_append_len(text, found + 1, (gssize) strlen(found) - 2); /* without its own braces */
        put_tee(text, result);
        g_string_append_c(text, '}');
        if (pretty) {
                g_autofree char *compact = g_string_free(text, FALSE);

                return dump(json_loads(compact, 0, NULL), JSON_INDENT(2));
        }
        return g_string_free(text, FALSE);
}
