/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What Azure's paravisor (HCL) leaves in a vTPM of its confidential guests: a
 * hardware report, and the runtime claims whose hash begins its REPORTDATA. */
#pragma once

#include "util/bytes.h"

#include <glib.h>

G_BEGIN_DECLS

#define ATT_HCL_SIZE_MAX (64u * 1024u)

typedef enum {
        ATT_HCL_SNP = 2,
        ATT_HCL_TDX = 4,
} AttHclType;

typedef enum {
        ATT_HCL_SHA256 = 1,
        ATT_HCL_SHA384 = 2,
        ATT_HCL_SHA512 = 3,
} AttHclHash;

/* Borrows from the bytes it was parsed from. */
typedef struct AttHclReport {
        uint32_t version;
        AttHclType type; /* one of the two */
        AttHclHash hash; /* one of the three */
        AttCursor hardware_report; /* 1184: the area; all of it is an SNP report, a part of it a TDREPORT */
        AttCursor runtime_claims;  /* JSON, not looked at */
} AttHclReport;

/** att_hcl_report_is_like: does @bytes begin as one does? */
bool att_hcl_report_is_like(GBytes *bytes);

/**
 * att_hcl_report_parse:
 * @error: %ATT_ERROR_BAD_DATA, %ATT_ERROR_TOO_LARGE; @ret is untouched
 *
 * Padding after the claims is passed over: vTPMs have an area of fixed size.
 */
gboolean att_hcl_report_parse(GBytes *bytes, AttHclReport *ret, GError **error) G_GNUC_WARN_UNUSED_RESULT;

G_END_DECLS
