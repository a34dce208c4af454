/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* TDREPORT, what the TDX module tells a TD of itself (Intel TDX module 1.5 ABI,
 * TDREPORT_STRUCT). Only the machine that made it can check it: it is a look at
 * the registers, and evidence of nothing. All integers little-endian. */
#pragma once

#include "util/bytes.h"

#include <glib.h>

G_BEGIN_DECLS

#define ATT_TDX_REPORT_SIZE 1024u
#define ATT_TDX_REGISTER_SIZE 48u
#define ATT_TDX_RTMRS 4u

/* Borrows from the bytes it was parsed from. Sizes in bytes. */
typedef struct AttTdxReport {
        uint8_t version;                /* 0, or 1 with a service TD */
        const uint8_t *cpu_svn;         /* 16 */
        const uint8_t *report_data;     /* 64 */

        const uint8_t *tee_tcb_svn;     /* 16, of the module that the TD was built by */
        const uint8_t *tee_tcb_svn2;    /* 16, of the one that runs now; TDX 1.5, else NULL */
        const uint8_t *mr_seam;         /* 48 */
        const uint8_t *mr_signer_seam;  /* 48 */
        const uint8_t *seam_attributes; /* 8 */

        const uint8_t *td_attributes;   /* 8 */
        const uint8_t *xfam;            /* 8 */
        const uint8_t *mr_td;           /* 48 */
        const uint8_t *mr_config_id;    /* 48 */
        const uint8_t *mr_owner;        /* 48 */
        const uint8_t *mr_owner_config; /* 48 */
        const uint8_t *rtmr[ATT_TDX_RTMRS]; /* 48 each */
        const uint8_t *service_td_hash; /* 48 */
} AttTdxReport;

/**
 * att_tdx_report_parse:
 * @bytes: borrowed by @ret
 * @error: %ATT_ERROR_BAD_DATA that names what is wrong; @ret is untouched
 *
 * Exactly one TDREPORT. What is reserved may hold what a later module puts there;
 * a type or version that we do not know is refused.
 */
gboolean att_tdx_report_parse(GBytes *bytes, AttTdxReport *ret, GError **error) G_GNUC_WARN_UNUSED_RESULT;

G_END_DECLS
