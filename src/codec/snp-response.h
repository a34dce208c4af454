/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* MSG_REPORT_RSP (AMD 56860, 7.3): what the SNP firmware answers when it is asked
 * for a report, as /dev/sev-guest hands it on. All integers little-endian. */
#pragma once

#include "util/bytes.h"

#include <glib.h>

G_BEGIN_DECLS

/* Of struct snp_report_resp. */
#define ATT_SNP_RESPONSE_SIZE 4000u

#define ATT_SNP_STATUS_INVALID_PARAM 0x16u /* a VMPL above that of this guest, for one */
#define ATT_SNP_STATUS_INVALID_KEY 0x27u

/* Borrows from the bytes it was parsed from. */
typedef struct AttSnpResponse {
        uint32_t status;  /* 0: there is a report */
        AttCursor report; /* as long as the firmware says; empty unless @status is 0 */
} AttSnpResponse;

/**
 * att_snp_response_parse:
 * @response: all %ATT_SNP_RESPONSE_SIZE bytes; borrowed by @ret
 * @error: %ATT_ERROR_BAD_DATA: of another size, or the report does not fit in; @ret is untouched
 */
gboolean att_snp_response_parse(AttCursor response, AttSnpResponse *ret, GError **error) G_GNUC_WARN_UNUSED_RESULT;

G_END_DECLS
