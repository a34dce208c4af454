/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "verifier/received.h"

#include "codec/cmw.h"
#include "codec/hcl-report.h"
#include "codec/snp-report.h"
#include "util/error.h"
#include "verifier/appraisal.h"

void att_received_clear(AttReceived *received) {
        g_clear_pointer(&received->evidence, att_evidence_free);
        g_clear_pointer(&received->bare_report, att_tsm_report_free);
        g_clear_pointer(&received->quote, g_bytes_unref);
        received->report = NULL;
}

/* The provider's word decides how the bytes are read, not whether they are believed. */
static bool is_snp(const AttTsmReport *report) {
        return g_str_equal(report->provider, ATT_PROVIDER_SNP) ||
               (!g_str_equal(report->provider, ATT_PROVIDER_TDX) && att_snp_report_is_like(report->outblob));
}

gboolean att_received_read_collection(GBytes *bytes, AttReceived *ret, GError **error) {
        AttEvidence *evidence = att_evidence_decode(bytes, error);

        if (!evidence)
                return FALSE;
        *ret = (AttReceived) {
                .evidence = evidence,
                .report = evidence->tee,
                .quote = g_bytes_ref(evidence->tee->outblob),
                .is_snp = is_snp(evidence->tee),
        };
        return TRUE;
}

static gboolean take_report(AttTsmReport *report, AttReceived *ret) {
        if (!report)
                return FALSE;
        *ret = (AttReceived) {
                .bare_report = report,
                .report = report,
                .quote = g_bytes_ref(report->outblob),
                .is_snp = is_snp(report),
        };
        return TRUE;
}

/* Media types are compared without case, RFC 9110 8.3.1. */
static const char *known_type(const AttCmw *cmw) {
        static const char *const types[] = { ATT_TSM_REPORT_CBOR, ATT_TSM_REPORT_JSON };

        for (gsize i = 0; cmw->media_type && i < G_N_ELEMENTS(types); i++)
                if (g_ascii_strcasecmp(cmw->media_type, types[i]) == 0)
                        return types[i];
        return NULL;
}

/* Collects the records of known types; the parser has bounded depth and number. */
static void find_known(const AttCmw *cmw, GPtrArray *found) {
        if (cmw->form != ATT_CMW_COLLECTION) {
                if (known_type(cmw))
                        g_ptr_array_add(found, (gpointer) cmw);
                return;
        }
        for (guint i = 0; i < cmw->entries->len; i++) {
                const AttCmwEntry *entry = cmw->entries->pdata[i];

                find_known(entry->cmw, found);
        }
}

static bool is_ours(const AttCmw *cmw) {
        return cmw->form == ATT_CMW_COLLECTION && cmw->collection_type && att_profile_is_known(cmw->collection_type);
}

static gboolean read_cmw(GBytes *bytes, AttReceived *ret, GError **error) {
        g_autoptr(AttCmw) cmw = att_cmw_parse(bytes, error);
        g_autoptr(GPtrArray) found = NULL;
        const AttCmw *record;

        if (!cmw)
                return FALSE;
        if (is_ours(cmw))
                return att_received_read_collection(bytes, ret, error);

        found = g_ptr_array_new();
        find_known(cmw, found);
        if (found->len != 1)
                return att_error_set(error, ATT_ERROR_BAD_DATA, found->len == 0 ?
                                     "the CMW holds no evidence of a type that is known" :
                                     "the CMW holds more than one piece of evidence");
        record = found->pdata[0];
        return take_report(att_tsm_report_decode(known_type(record), record->value, error), ret);
}

static gboolean read_hcl(GBytes *bytes, AttReceived *ret, GError **error) {
        AttHclReport hcl;

        if (!att_hcl_report_parse(bytes, &hcl, error))
                return FALSE;
        if (hcl.type != ATT_HCL_SNP)
                return att_error_set(error, ATT_ERROR_BAD_DATA,
                                     "an HCL report with a TDREPORT: only the machine itself can verify one of these");
        *ret = (AttReceived) { .quote = att_cursor_dup(&hcl.hardware_report), .is_snp = true, .is_hcl = true };
        return TRUE;
}

gboolean att_received_read(GBytes *bytes, AttReceived *ret, GError **error) {
        gsize size;
        const uint8_t *p = g_bytes_get_data(bytes, &size);
        const char *report_type;

        if (size < 2)
                return att_error_set(error, ATT_ERROR_BAD_DATA, "evidence of %zu bytes", size);
        if (size > ATT_EVIDENCE_INPUT_MAX)
                return att_error_set(error, ATT_ERROR_TOO_LARGE, "evidence of more than %u bytes",
                                     ATT_EVIDENCE_INPUT_MAX);

        /* The version of a quote or report, little-endian; no CMW begins so. */
        if (p[0] <= 0x0f && p[1] == 0) {
                *ret = (AttReceived) { .quote = g_bytes_ref(bytes), .is_snp = att_snp_report_is_like(bytes) };
                return TRUE;
        }
        if (att_hcl_report_is_like(bytes))
                return read_hcl(bytes, ret, error);

        /* Both a tsm-report and a collection are a map, but what is a text or bytes in
         * the one is an array, a tag or a map in the other. */
        report_type = p[0] == '{' ? ATT_TSM_REPORT_JSON : p[0] >= 0xa0 && p[0] <= 0xbf ? ATT_TSM_REPORT_CBOR : NULL;
        if (report_type && take_report(att_tsm_report_decode(report_type, bytes, NULL), ret))
                return TRUE;
        return read_cmw(bytes, ret, error);
}
