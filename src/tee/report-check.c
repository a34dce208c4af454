/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "tee/report-check.h"

#include "codec/snp-report.h"
#include "codec/tdx-quote.h"
#include "tee/fault.h"
#include "util/bytes.h"

#include <string.h>

#define SNP_REPORT_DATA_AT 0x50u

/* In constant time: how far a wrong report was right is nobody's to learn. */
static bool is_equal(const uint8_t *a, const uint8_t *b, gsize size) {
        volatile uint8_t difference = 0;

        for (gsize i = 0; i < size; i++)
                difference = difference | (a[i] ^ b[i]);
        return difference == 0;
}

/* In a whole report. */
static gboolean find_report_data(const char *provider, GBytes *outblob, const uint8_t **ret, GError **error) {
        const uint8_t *found;

        if (strcmp(provider, "tdx_guest") == 0) {
                g_autoptr(GError) e = NULL;
                AttTdxQuote quote;

                if (!att_tdx_quote_parse(outblob, &quote, &e))
                        return att_tee_fault_set(error, ATT_TEE_FAULT_MALFORMED, "the TEE's report is %s", e->message);
                found = quote.report_data;
        } else {
                AttCursor report = att_cursor_bytes(outblob);
                uint32_t version = att_take_u32le(&report);

                (void) att_take(&report, SNP_REPORT_DATA_AT - 4);
                found = att_take(&report, ATT_REPORT_DATA_SIZE);
                (void) att_take(&report, ATT_SNP_REPORT_SIZE - SNP_REPORT_DATA_AT - ATT_REPORT_DATA_SIZE);
                if (report.failed || version == 0)
                        return att_tee_fault_set(error, ATT_TEE_FAULT_MALFORMED,
                                                 "the TEE's report is not a whole SNP report");
        }

        *ret = found;
        return TRUE;
}

bool att_report_is_whole(const char *provider, GBytes *outblob) {
        const uint8_t *report_data;

        return find_report_data(provider, outblob, &report_data, NULL);
}

gboolean att_report_check(const char *provider, GBytes *outblob, const uint8_t report_data[ATT_REPORT_DATA_SIZE],
                          GError **error) {
        const uint8_t *found;

        if (g_bytes_get_size(outblob) == 0)
                return att_tee_fault_set(error, ATT_TEE_FAULT_EMPTY, "the TEE gave an empty report");
        if (!find_report_data(provider, outblob, &found, error))
                return FALSE;

        if (!is_equal(found, report_data, ATT_REPORT_DATA_SIZE))
                return att_tee_fault_set(error, ATT_TEE_FAULT_WRONG_REPORT_DATA,
                                         "the TEE gave a report over other REPORTDATA than asked for");
        return TRUE;
}
