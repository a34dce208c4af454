/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "codec/snp-response.h"

#include "util/error.h"

gboolean att_snp_response_parse(AttCursor response, AttSnpResponse *ret, GError **error) {
        AttCursor c = response;
        AttSnpResponse r = { 0 };
        uint32_t report_size;

        if (response.failed || response.left != ATT_SNP_RESPONSE_SIZE)
                return att_error_set(error, ATT_ERROR_BAD_DATA, "the firmware's response has %zu bytes, not %u",
                                     response.left, ATT_SNP_RESPONSE_SIZE);

        r.status = att_take_u32le(&c);
        report_size = att_take_u32le(&c);
        (void) att_take(&c, 24);
        if (r.status == 0) {
                r.report = att_take_sub(&c, report_size);
                if (r.report.failed)
                        return att_error_set(error, ATT_ERROR_BAD_DATA,
                                             "the firmware's response cannot hold the report of %u bytes that it names",
                                             report_size);
        }

        *ret = r;
        return TRUE;
}
