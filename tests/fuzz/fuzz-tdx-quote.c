/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Target functions: att_tdx_quote_parse, att_tdx_quote_report_data */
#include "codec/tdx-quote.h"

static const uint8_t *begin, *end;

/* All that was found lies within the input; what touches it is for the sanitizer. */
static void check(const uint8_t *p, size_t size) {
        volatile uint8_t last;

        g_assert(p >= begin && p <= end && size <= (size_t) (end - p));
        if (size > 0) {
                last = p[size - 1];
                (void) last;
        }
}

static void check_cursor(AttCursor c) {
        g_assert(!c.failed);
        if (c.left > 0)
                check(c.at, c.left);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        g_autoptr(GBytes) bytes = g_bytes_new_static(data, size);
        const uint8_t *report_data = att_tdx_quote_report_data(bytes);
        g_autoptr(GError) error = NULL;
        AttTdxQuote q;

        begin = data;
        end = data + size;
        if (report_data)
                check(report_data, 64);
        if (!att_tdx_quote_parse(bytes, &q, &error)) {
                g_assert(error);
                return 0;
        }

        g_assert(q.report_data == report_data);
        check(q.user_data, 20);
        check(q.tee_tcb_svn, 16);
        check(q.mr_td, 48);
        check(q.rtmr[3], 48);
        g_assert((q.tee_tcb_svn2 != NULL) == (q.body == ATT_TDX_BODY_15));
        if (q.tee_tcb_svn2)
                check(q.mr_service_td, 48);
        check(q.signature, 64);
        check(q.attestation_key, 64);
        check_cursor(q.signed_part);
        check_cursor(q.qe_report_bytes);
        check_cursor(q.qe_auth_data);
        check_cursor(q.certificates);
        check_cursor(q.trailing);
        g_assert((q.qe_report.report_data != NULL) == (q.certification_type == 6));
        if (q.qe_report.report_data) {
                check(q.qe_report.report_data, 64);
                check(q.qe_report_signature, 64);
        }
        g_assert(q.quote_size + q.trailing.left == size);
        return 0;
}
