/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "codec/hcl-report.h"

#include "util/error.h"

static const uint8_t magic[4] = { 'H', 'C', 'L', 'A' };

#define HEAD_REST 24u /* size, kind of request, status, reserved: the outer envelope's */
#define HARDWARE_REPORT_SIZE 1184u

bool att_hcl_report_is_like(GBytes *bytes) {
        AttCursor c = att_cursor_bytes(bytes);
        const uint8_t *p = att_take(&c, sizeof magic);

        return p && memcmp(p, magic, sizeof magic) == 0;
}

static gboolean bad(GError **error, const char *what) {
        return att_error_set(error, ATT_ERROR_BAD_DATA, "not an HCL report: %s", what);
}

gboolean att_hcl_report_parse(GBytes *bytes, AttHclReport *ret, GError **error) {
        AttCursor c = att_cursor_bytes(bytes);
        AttHclReport r = { 0 };
        uint32_t type, hash;

        if (c.left > ATT_HCL_SIZE_MAX)
                return att_error_set(error, ATT_ERROR_TOO_LARGE, "an HCL report over %u bytes", ATT_HCL_SIZE_MAX);
        if (!att_hcl_report_is_like(bytes))
                return bad(error, "it does not begin as one");

        att_take(&c, sizeof magic);
        r.version = att_take_u32le(&c);
        att_take(&c, HEAD_REST);
        r.hardware_report = att_take_sub(&c, HARDWARE_REPORT_SIZE);
        att_take(&c, 8); /* size and version of what follows */
        type = att_take_u32le(&c);
        hash = att_take_u32le(&c);
        r.runtime_claims = att_take_sub(&c, att_take_u32le(&c));

        if (c.failed)
                return bad(error, "it is cut short, or its claims have another size than it says");
        if (type != ATT_HCL_SNP && type != ATT_HCL_TDX)
                return bad(error, "it holds neither an SNP report nor a TDREPORT");
        if (hash != ATT_HCL_SHA256 && hash != ATT_HCL_SHA384 && hash != ATT_HCL_SHA512)
                return bad(error, "its claims are hashed in a way that is not known");

        r.type = (AttHclType) type;
        r.hash = (AttHclHash) hash;
        *ret = r;
        return TRUE;
}
