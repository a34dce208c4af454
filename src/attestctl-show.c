/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* attestctl show: what is in a file, believed or not. */
#include "attestctl.h"

#include "codec/certificate-table.h"
#include "codec/claims.h"
#include "codec/cmw.h"
#include "codec/event-log.h"
#include "codec/evidence.h"
#include "codec/hcl-report.h"
#include "codec/json-in.h"
#include "codec/snp-report.h"
#include "codec/tdx-quote.h"
#include "codec/tls-handshake.h"
#include "codec/tsm-report.h"
#include "crypto/certificate.h"
#include "util/error.h"
#include "verifier/describe.h"

#include <string.h>

#define TAG_UCCS_0 0xd9 /* 601 */
#define TAG_UCCS_1 0x02
#define TAG_UCCS_2 0x59
#define DER_SEQUENCE 0x30

static void set_text(json_t *object, const char *key, const char *text) {
        json_object_set_new(object, key, json_string(text));
}

static void set_size(json_t *object, const char *key, size_t size) {
        json_object_set_new(object, key, json_integer((json_int_t) size));
}

static void set_hex(json_t *object, const char *key, const void *data, size_t size) {
        g_autofree char *hex = ctl_hex(data, size);

        set_text(object, key, hex);
}

static void set_time(json_t *object, const char *key, int64_t at) {
        g_autoptr(GDateTime) time = g_date_time_new_from_unix_utc(at);
        g_autofree char *text = time ? g_date_time_format(time, "%Y-%m-%dT%H:%M:%SZ") : NULL;

        set_text(object, key, text ? text : "out of range");
}

static json_t *with_kind(json_t *object, const char *kind) {
        json_t *all = json_object();

        set_text(all, "kind", kind);
        json_object_update(all, object);
        json_decref(object);
        return all;
}

/* Bytes that nothing is known of, but that they are there. */
static json_t *opaque(GBytes *bytes) {
        json_t *object = json_object();
        AttPart part = { .data = g_bytes_get_data(bytes, NULL), .size = g_bytes_get_size(bytes) };
        uint8_t digest[ATT_SHA256_SIZE];

        att_sha256(&part, 1, digest);
        set_text(object, "kind", "bytes");
        set_size(object, "size", part.size);
        set_hex(object, "sha256", digest, sizeof digest);
        return object;
}

/* A part that may be anything: shown as such if it is not what it should be. */
static json_t *describe_or_opaque(json_t *(*describe_it)(GBytes *bytes, GError **error), GBytes *bytes) {
        g_autoptr(GError) error = NULL;
        json_t *object = describe_it(bytes, &error);

        if (!object) {
                object = opaque(bytes);
                set_text(object, "problem", error->message);
        }
        return object;
}

static json_t *describe_certificate(const AttCertificate *certificate) {
        g_autofree char *subject = att_certificate_dup_subject_cn(certificate);
        g_autofree char *issuer = att_certificate_dup_issuer_cn(certificate);
        g_autofree char *serial = att_certificate_dup_serial(certificate);
        g_autoptr(GBytes) spki = att_certificate_dup_spki(certificate);
        AttPart part = { .data = g_bytes_get_data(spki, NULL), .size = g_bytes_get_size(spki) };
        json_t *object = json_object(), *amd;
        uint8_t digest[ATT_SHA256_SIZE];

        att_sha256(&part, 1, digest);
        set_text(object, "subject", subject);
        set_text(object, "issuer", issuer);
        set_text(object, "serial", serial);
        set_time(object, "not_before", att_certificate_not_before(certificate));
        set_time(object, "not_after", att_certificate_not_after(certificate));
        set_hex(object, "spki_sha256", digest, sizeof digest);
        amd = att_vek_to_json(certificate);
        if (amd)
                json_object_set_new(object, "amd", amd);
        return object;
}

static json_t *describe_quote(GBytes *bytes, GError **error) {
        json_t *object, *certificates;
        g_autoptr(GPtrArray) chain = NULL;
        AttTdxQuote quote;

        if (!att_tdx_quote_parse(bytes, &quote, error))
                return NULL;
        object = with_kind(att_tdx_quote_to_json(&quote, NULL), "tdx-quote");

        if (quote.certificates.left > 0)
                chain = att_certificates_from_pem(quote.certificates.at, quote.certificates.left, NULL);
        certificates = json_array();
        for (guint i = 0; chain && i < chain->len; i++)
                json_array_append_new(certificates, describe_certificate(chain->pdata[i]));
        json_object_set_new(object, "certificates", certificates);
        return object;
}

static json_t *describe_snp_report(GBytes *bytes, GError **error) {
        AttSnpReport report;

        if (!att_snp_report_parse(bytes, &report, error))
                return NULL;
        return with_kind(att_snp_report_to_json(&report, NULL), "snp-report");
}

static json_t *describe_certificates(GBytes *bytes, GError **error) {
        gsize size;
        const void *data = g_bytes_get_data(bytes, &size);
        g_autoptr(GPtrArray) found = att_certificates_from_bytes(data, size, error);
        json_t *object, *all;

        if (!found)
                return NULL;
        object = json_object();
        set_text(object, "kind", "certificates");
        all = json_array();
        for (guint i = 0; i < found->len; i++)
                json_array_append_new(all, describe_certificate(found->pdata[i]));
        json_object_set_new(object, "certificates", all);
        return object;
}

static json_t *describe_table_entry(const AttTableEntry *entry) {
        g_autoptr(GBytes) data = att_cursor_dup(&entry->data);
        g_autofree char *guid = att_guid_dup_text(entry->guid);
        bool is_certificate = entry->kind >= ATT_TABLE_ARK && entry->kind <= ATT_TABLE_VLEK;
        json_t *object = json_object();

        set_text(object, "name", att_table_kind_name(entry->kind));
        set_text(object, "guid", guid);
        set_size(object, "offset", entry->offset);
        set_size(object, "size", entry->data.left);
        json_object_set_new(object, "content", is_certificate ? describe_or_opaque(describe_certificates, data) :
                            opaque(data));
        return object;
}

static json_t *describe_table(GBytes *bytes, GError **error) {
        AttCertificateTable table;
        json_t *object, *entries;

        if (!att_certificate_table_parse(bytes, &table, error))
                return NULL;
        object = json_object();
        set_text(object, "kind", "certificate-table");
        set_size(object, "size", g_bytes_get_size(bytes));
        entries = json_array();
        for (size_t i = 0; i < table.n_entries; i++)
                json_array_append_new(entries, describe_table_entry(&table.entries[i]));
        json_object_set_new(object, "entries", entries);
        return object;
}

/* The vTPM's attestation key is among the claims, by this name. */
static void set_ak(json_t *object, const json_t *claims) {
        const json_t *keys = json_object_get(claims, "keys");

        for (size_t i = 0; i < json_array_size(keys); i++) {
                const json_t *key = json_array_get(keys, i);
                g_autoptr(GBytes) modulus = att_json_dup_base64url(json_object_get(key, "n"));
                uint8_t digest[ATT_SHA256_SIZE];
                AttPart part;

                if (g_strcmp0(json_string_value(json_object_get(key, "kid")), "HCLAkPub") != 0 || !modulus)
                        continue;
                part = (AttPart) { .data = g_bytes_get_data(modulus, NULL), .size = g_bytes_get_size(modulus) };
                att_sha256(&part, 1, digest);
                set_hex(object, "ak_n_sha256", digest, sizeof digest);
                return;
        }
}

/* Whether the claims are those that the report vouches for. */
static json_t *describe_runtime_claims(const AttHclReport *hcl, const uint8_t *report_data) {
        AttPart part = { .data = hcl->runtime_claims.at, .size = hcl->runtime_claims.left };
        g_autoptr(GBytes) text = att_cursor_dup(&hcl->runtime_claims);
        uint8_t digest[ATT_SHA512_SIZE];
        json_t *object = json_object(), *claims;
        size_t size = ATT_SHA512_SIZE;

        if (hcl->hash == ATT_HCL_SHA512) {
                att_sha512(&part, 1, digest);
        } else {
                AttHash hash = hcl->hash == ATT_HCL_SHA256 ? ATT_HASH_SHA256 : ATT_HASH_SHA384;

                att_hash_parts(hash, &part, 1, digest);
                size = att_hash_size(hash);
        }
        set_text(object, "report_type", hcl->type == ATT_HCL_SNP ? "snp" : "tdx");
        set_size(object, "hash_type", hcl->hash);
        set_size(object, "runtime_claims_size", part.size);
        set_hex(object, "runtime_claims_hash", digest, size);
        if (report_data)
                json_object_set_new(object, "bound_in_report_data",
                                    json_boolean(att_equal(report_data, digest, size)));
        claims = att_json_load(text, NULL);
        if (claims) {
                set_ak(object, claims);
                json_object_set_new(object, "runtime_claims", claims);
        }
        return object;
}

static json_t *describe_hcl(GBytes *bytes, GError **error) {
        g_autoptr(GBytes) hardware = NULL;
        const uint8_t *report_data = NULL;
        json_t *object;
        AttHclReport hcl;

        if (!att_hcl_report_parse(bytes, &hcl, error))
                return NULL;
        hardware = att_cursor_dup(&hcl.hardware_report);
        object = json_object();
        set_text(object, "kind", "hcl-report");
        set_size(object, "version", hcl.version);
        if (hcl.type == ATT_HCL_SNP) {
                report_data = att_snp_report_report_data(hardware);
                json_object_set_new(object, "report", describe_or_opaque(describe_snp_report, hardware));
        } else {
                json_object_set_new(object, "report", opaque(hardware));
        }
        json_object_set_new(object, "hcl", describe_runtime_claims(&hcl, report_data));
        return object;
}

static json_t *describe_claims(GBytes *bytes, GError **error) {
        g_autoptr(AttClaims) claims = att_claims_decode(bytes, error);

        return claims ? with_kind(att_claims_to_json(claims), "claims") : NULL;
}

static json_t *describe_report(const char *media_type, GBytes *bytes, GError **error) {
        g_autoptr(AttTsmReport) report = att_tsm_report_decode(media_type, bytes, error);
        bool is_tdx, is_snp;
        json_t *object;

        if (!report)
                return NULL;
        is_tdx = g_str_equal(report->provider, ATT_PROVIDER_TDX);
        is_snp = g_str_equal(report->provider, ATT_PROVIDER_SNP);
        object = json_object();
        set_text(object, "kind", "tsm-report");
        set_text(object, "provider", report->provider);
        if (report->service_provider)
                set_text(object, "service_provider", report->service_provider);
        json_object_set_new(object, "outblob", is_tdx ? describe_or_opaque(describe_quote, report->outblob) :
                            is_snp ? describe_or_opaque(describe_snp_report, report->outblob) :
                            opaque(report->outblob));
        if (report->auxblob)
                json_object_set_new(object, "auxblob", is_snp ? describe_or_opaque(describe_table, report->auxblob) :
                                    opaque(report->auxblob));
        if (report->manifestblob)
                json_object_set_new(object, "manifestblob", opaque(report->manifestblob));
        return object;
}

static json_t *describe_report_cbor(GBytes *bytes, GError **error) {
        return describe_report(ATT_TSM_REPORT_CBOR, bytes, error);
}

static json_t *describe_report_json(GBytes *bytes, GError **error) {
        return describe_report(ATT_TSM_REPORT_JSON, bytes, error);
}

static json_t *describe_proof(GBytes *bytes, GError **error) {
        AttInclusionProof proof;

        return att_inclusion_proof_decode(bytes, &proof, error) ?
               with_kind(att_inclusion_proof_to_json(&proof), "inclusion-proof") : NULL;
}

static json_t *describe_value(const AttCmw *record) {
        static const struct {
                const char *media_type;
                json_t *(*describe)(GBytes *bytes, GError **error);
        } known[] = {
                { ATT_CLAIMS_MEDIA_TYPE, describe_claims },
                { ATT_TSM_REPORT_CBOR, describe_report_cbor },
                { ATT_TSM_REPORT_JSON, describe_report_json },
                { ATT_PROOF_MEDIA_TYPE, describe_proof },
        };

        for (size_t i = 0; record->media_type && i < G_N_ELEMENTS(known); i++)
                if (g_ascii_strcasecmp(record->media_type, known[i].media_type) == 0)
                        return describe_or_opaque(known[i].describe, record->value);
        return opaque(record->value);
}

static json_t *describe_indicator(uint32_t indicator) {
        static const char *const names[] = { "reference-values", "endorsements", "evidence", "attestation-results",
                                             "appraisal-policy" };
        json_t *all = json_array();

        for (size_t i = 0; i < G_N_ELEMENTS(names); i++)
                if (indicator & 1u << i)
                        json_array_append_new(all, json_string(names[i]));
        return all;
}

static json_t *describe_cmw_item(const AttCmw *cmw) {
        static const char *const forms[] = { "record", "tag", "collection" };
        json_t *object = json_object(), *members;

        set_text(object, "form", forms[cmw->form]);
        if (cmw->form != ATT_CMW_COLLECTION) {
                if (cmw->media_type)
                        set_text(object, "media_type", cmw->media_type);
                else
                        set_size(object, "content_format", cmw->content_format);
                if (cmw->indicator)
                        json_object_set_new(object, "indicator", describe_indicator(cmw->indicator));
                json_object_set_new(object, "value", describe_value(cmw));
                return object;
        }

        if (cmw->collection_type)
                set_text(object, "type", cmw->collection_type);
        members = json_object();
        for (guint i = 0; i < cmw->entries->len; i++) {
                const AttCmwEntry *entry = cmw->entries->pdata[i];
                g_autofree char *number = g_strdup_printf("%" G_GINT64_FORMAT, entry->number);

                json_object_set_new(members, entry->label ? entry->label : number, describe_cmw_item(entry->cmw));
        }
        json_object_set_new(object, "members", members);
        return object;
}

static json_t *describe_cmw(GBytes *bytes, GError **error) {
        g_autoptr(AttCmw) cmw = att_cmw_parse(bytes, error);
        json_t *object;

        if (!cmw)
                return NULL;
        object = with_kind(describe_cmw_item(cmw), "cmw");
        set_text(object, "encoding", cmw->is_json ? "json" : "cbor");
        return object;
}

static json_t *describe_extensions(const AttTlsExtension *extensions, size_t n) {
        json_t *all = json_array();

        for (size_t i = 0; i < n; i++) {
                g_autofree char *text = g_strdup_printf("0x%04x (%zu bytes)", extensions[i].type,
                                                        extensions[i].data.left);

                json_array_append_new(all, json_string(text));
        }
        return all;
}

static json_t *describe_request(GBytes *bytes, GError **error) {
        const AttTlsExtension *cmw;
        json_t *object, *schemes;
        AttTlsRequest request;

        if (!att_tls_request_parse(bytes, &request, error))
                return NULL;

        object = json_object();
        set_text(object, "kind", "authenticator-request");
        set_text(object, "message", request.message_type == ATT_TLS_CLIENT_CERTIFICATE_REQUEST ?
                 "ClientCertificateRequest" : "CertificateRequest");
        set_hex(object, "context", request.context.at, request.context.left);
        schemes = json_array();
        for (size_t i = 0; i < request.n_schemes; i++)
                json_array_append_new(schemes, json_string(att_scheme_name(request.schemes[i])));
        json_object_set_new(object, "signature_algorithms", schemes);
        cmw = att_tls_request_find(&request, ATT_CMW_ATTESTATION_DEFAULT);
        json_object_set_new(object, "asks_for_evidence", json_boolean(cmw && cmw->data.left == 0));
        json_object_set_new(object, "extensions", describe_extensions(request.extensions, request.n_extensions));
        return object;
}

static json_t *describe_entry(const AttTlsCertificateEntry *entry) {
        g_autoptr(GError) error = NULL;
        g_autoptr(AttCertificate) certificate = att_certificate_from_der(entry->der.at, entry->der.left, &error);
        g_autoptr(GBytes) der = att_cursor_dup(&entry->der);
        json_t *object = certificate ? describe_certificate(certificate) : opaque(der);

        if (!certificate)
                set_text(object, "problem", error->message);
        json_object_set_new(object, "extensions", describe_extensions(entry->extensions, entry->n_extensions));
        for (size_t i = 0; i < entry->n_extensions; i++) {
                g_autoptr(GBytes) cmw = NULL;
                AttCursor inner;

                if (entry->extensions[i].type != ATT_CMW_ATTESTATION_DEFAULT ||
                    !att_tls_cmw_attestation_parse(entry->extensions[i].data, &inner, NULL))
                        continue;
                cmw = att_cursor_dup(&inner);
                json_object_set_new(object, "evidence", describe_or_opaque(describe_cmw, cmw));
        }
        return object;
}

static json_t *describe_authenticator(GBytes *bytes, GError **error) {
        g_auto(AttTlsAuthenticator) a = { 0 };
        json_t *object, *entries;

        /* Nothing in it says how long the hash is. */
        if (!att_tls_authenticator_parse(bytes, att_hash_size(ATT_HASH_SHA256), &a, NULL) &&
            !att_tls_authenticator_parse(bytes, att_hash_size(ATT_HASH_SHA384), &a, error))
                return NULL;

        object = json_object();
        set_text(object, "kind", a.is_empty ? "empty-authenticator" : "authenticator");
        if (!a.is_empty) {
                set_hex(object, "context", a.context.at, a.context.left);
                set_text(object, "signature_scheme", att_scheme_name(a.scheme));
                set_size(object, "signature_size", a.signature.left);
        }
        set_hex(object, "verify_data", a.verify_data.at, a.verify_data.left);
        if (!a.is_empty) {
                entries = json_array();
                for (guint i = 0; i < a.entries->len; i++)
                        json_array_append_new(entries, describe_entry(&g_array_index(a.entries, AttTlsCertificateEntry,
                                                                                     i)));
                json_object_set_new(object, "certificates", entries);
        }
        return object;
}

/* Told apart by the first bytes; what they announce and is not there is the error. */
static json_t *describe(GBytes *bytes, GError **error) {
        gsize size;
        const uint8_t *p = g_bytes_get_data(bytes, &size);
        json_t *report = NULL;

        if (size < 3) {
                att_error_set(error, ATT_ERROR_BAD_DATA, "%zu bytes: too short for anything", size);
                return NULL;
        }

        switch (p[0]) {
        case ATT_TLS_CERTIFICATE:
        case ATT_TLS_FINISHED:
                return describe_authenticator(bytes, error);
        case ATT_TLS_CERTIFICATE_REQUEST:
        case ATT_TLS_CLIENT_CERTIFICATE_REQUEST:
                return describe_request(bytes, error);
        default:
                break;
        }
        /* Before the reports, which begin with a small number as well. */
        if (att_event_log_is_like(bytes))
                return ctl_event_log_to_json(bytes, ATT_BANK_SET_ALL, true, error);
        if (p[0] <= 0x0f && p[1] == 0)
                return att_snp_report_is_like(bytes) ? describe_snp_report(bytes, error) : describe_quote(bytes, error);
        if (att_hcl_report_is_like(bytes))
                return describe_hcl(bytes, error);
        if (att_certificate_table_is_like(bytes))
                return describe_table(bytes, error);
        if (p[0] == DER_SEQUENCE || p[0] == '-')
                return describe_certificates(bytes, error);
        if (p[0] == TAG_UCCS_0 && p[1] == TAG_UCCS_1 && p[2] == TAG_UCCS_2)
                return describe_claims(bytes, error);

        /* A map may be either; no collection has the keys of a report. */
        if (p[0] == '{')
                report = describe_report_json(bytes, NULL);
        else if (p[0] >= 0xa0 && p[0] <= 0xbf)
                report = describe_report_cbor(bytes, NULL);
        return report ? report : describe_cmw(bytes, error);
}

int ctl_show(int argc, char **argv) {
        gboolean as_json = FALSE;
        const GOptionEntry options[] = {
                { "json", 0, 0, G_OPTION_ARG_NONE, &as_json, "Print one JSON object", NULL },
                { NULL },
        };
        g_autoptr(GError) error = NULL;
        g_autoptr(GBytes) bytes = NULL;
        char **operands;
        json_t *object;

        operands = ctl_parse(argc, argv, options, "FILE", 1,
                             "Prints what is in FILE (\"-\": stdin): a TDX quote, an SNP report, bare or in\n"
                             "the envelope of an Azure vTPM, a certificate table, certificates, a CMW, claims, a\n"
                             "tsm-report, an authenticator or a request for one, the event log of a boot.\n"
                             "Nothing of it is verified.");
        if (!operands)
                return CTL_USAGE;
        bytes = ctl_read(operands[0], &error);
        if (!bytes)
                return ctl_fail(CTL_USAGE, "%s", error->message);

        object = describe(bytes, &error);
        if (!object)
                return ctl_fail(CTL_USAGE, "%s: %s", operands[0], error->message);
        ctl_print_object(object, as_json);
        return CTL_YES;
}
