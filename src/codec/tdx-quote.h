/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* TDX quote, versions 4 and 5 (Intel TDX DCAP quote library), with TD 1.0 and TD
 * 1.5 bodies. All integers little-endian. */
#pragma once

#include "util/bytes.h"

#include <glib.h>

G_BEGIN_DECLS

#define ATT_TDX_QUOTE_MAX (128u * 1024u)
#define ATT_TDX_TEE_TYPE 0x81u

typedef enum {
        ATT_TDX_BODY_10, /* 584 bytes */
        ATT_TDX_BODY_15, /* 648 bytes */
} AttTdxBody;

/* An SGX report body, 384 bytes: the TD quoting enclave's. */
typedef struct AttSgxReport {
        const uint8_t *cpu_svn;     /* 16 */
        const uint8_t *misc_select; /* 4 */
        const uint8_t *attributes;  /* 16; bit 1 of the first byte is DEBUG */
        const uint8_t *mr_enclave;  /* 32 */
        const uint8_t *mr_signer;   /* 32 */
        uint16_t isv_prod_id;
        uint16_t isv_svn;
        const uint8_t *report_data; /* 64 */
} AttSgxReport;

/* Borrows from the bytes it was parsed from. Sizes in bytes. */
typedef struct AttTdxQuote {
        uint16_t version;               /* 4 or 5 */
        uint16_t att_key_type;          /* 2: ECDSA P-256 */
        uint32_t tee_type;              /* 0x81 */
        const uint8_t *qe_vendor_id;    /* 16 */
        const uint8_t *user_data;       /* 20 */

        AttTdxBody body;
        const uint8_t *tee_tcb_svn;     /* 16 */
        const uint8_t *mr_seam;         /* 48 */
        const uint8_t *mr_signer_seam;  /* 48 */
        const uint8_t *seam_attributes; /* 8 */
        const uint8_t *td_attributes;   /* 8; bit 0 of the first byte is DEBUG */
        const uint8_t *xfam;            /* 8 */
        const uint8_t *mr_td;           /* 48 */
        const uint8_t *mr_config_id;    /* 48 */
        const uint8_t *mr_owner;        /* 48 */
        const uint8_t *mr_owner_config; /* 48 */
        const uint8_t *rtmr[4];         /* 48 each */
        const uint8_t *report_data;     /* 64 */
        const uint8_t *tee_tcb_svn2;    /* 16, TD 1.5 only, else NULL */
        const uint8_t *mr_service_td;   /* 48, TD 1.5 only, else NULL */

        AttCursor signed_part;          /* header and body, what the attestation key signed */
        const uint8_t *signature;       /* 64, r || s, big-endian */
        const uint8_t *attestation_key; /* 64, x || y, big-endian */

        uint16_t certification_type;    /* as found: 5 or 6 for what we read */
        uint16_t inner_certification_type; /* inside type 6; 5 for what we read; 0 without */
        AttCursor qe_report_bytes;      /* 384; empty without type 6 */
        AttSgxReport qe_report;         /* all NULL without type 6 */
        const uint8_t *qe_report_signature; /* 64 or NULL */
        AttCursor qe_auth_data;
        AttCursor certificates;         /* PEM of the PCK chain, may end in NUL; empty if there is none */

        size_t quote_size;              /* without trailing bytes */
        AttCursor trailing;             /* padding after the signature data: normal, and ignored */
} AttTdxQuote;

/**
 * att_tdx_quote_parse:
 * @bytes: borrowed by @ret
 * @error: %ATT_ERROR_BAD_DATA that names what it is instead ("not TDX: an SGX
 *         quote") or what was wrong; @ret is untouched
 *
 * An unknown version, TEE type, body type or attestation key type is refused.
 * Certification data of another type than 5 or 6 parses, with empty
 * certificates: it is for the verifier to refuse.
 */
gboolean att_tdx_quote_parse(GBytes *bytes, AttTdxQuote *ret, GError **error) G_GNUC_WARN_UNUSED_RESULT;

/** att_tdx_quote_report_data: the 64 bytes at their place, for a cheap look; NULL if too short or not a TDX quote */
const uint8_t *att_tdx_quote_report_data(GBytes *bytes);

G_END_DECLS
