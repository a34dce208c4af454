/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "codec/tdx-quote.h"

#include "util/error.h"

#include <stdbool.h>

#define HEADER_SIZE 48u
#define SGX_BODY_SIZE 384u
#define BODY_10_SIZE 584u
#define BODY_15_SIZE 648u
#define REPORT_DATA_AT 520u /* in either body */
#define SGX_TEE_TYPE 0x00u
#define KEY_ECDSA_P256 2u

/* Body types of version 5. */
enum {
        BODY_TYPE_SGX = 1,
        BODY_TYPE_TD_10 = 2,
        BODY_TYPE_TD_15 = 3,
};

/* Certification data types. */
enum {
        CERTIFICATION_PCK_CHAIN = 5,
        CERTIFICATION_QE_REPORT = 6,
};

static bool bad(GError **error, const char *what) {
        return att_error_set(error, ATT_ERROR_BAD_DATA, "not a TDX quote: %s", what);
}

/* The header, and from version 5 on the descriptor of the body. */
static bool take_header(AttCursor *c, AttTdxQuote *q, GError **error) {
        q->version = att_take_u16le(c);
        q->att_key_type = att_take_u16le(c);
        q->tee_type = att_take_u32le(c);
        att_take(c, 4); /* reserved; QE and PCE SVN in older texts */
        q->qe_vendor_id = att_take(c, 16);
        q->user_data = att_take(c, 20);

        if (c->failed)
                return bad(error, "too short for a header");
        if (q->version == 3)
                return bad(error, "an SGX quote, version 3");
        if (q->version != 4 && q->version != 5)
                return bad(error, "neither version 4 nor version 5");
        if (q->tee_type == SGX_TEE_TYPE)
                return bad(error, "an SGX quote, by its TEE type");
        if (q->tee_type != ATT_TDX_TEE_TYPE)
                return bad(error, "an unknown TEE type");
        if (q->att_key_type != KEY_ECDSA_P256)
                return bad(error, "its attestation key is not an ECDSA P-256 key");

        q->body = ATT_TDX_BODY_10;
        if (q->version == 5) {
                uint16_t type = att_take_u16le(c);
                uint32_t size = att_take_u32le(c);

                if (c->failed)
                        return bad(error, "too short for a body");
                if (type == BODY_TYPE_SGX)
                        return bad(error, "an SGX quote, by its body");
                if (!(type == BODY_TYPE_TD_10 && size == BODY_10_SIZE) &&
                    !(type == BODY_TYPE_TD_15 && size == BODY_15_SIZE))
                        return bad(error, "an unknown body type, or a body of another size than its type's");
                q->body = type == BODY_TYPE_TD_15 ? ATT_TDX_BODY_15 : ATT_TDX_BODY_10;
        }
        return true;
}

static void take_body(AttCursor *c, AttTdxQuote *q) {
        q->tee_tcb_svn = att_take(c, 16);
        q->mr_seam = att_take(c, 48);
        q->mr_signer_seam = att_take(c, 48);
        q->seam_attributes = att_take(c, 8);
        q->td_attributes = att_take(c, 8);
        q->xfam = att_take(c, 8);
        q->mr_td = att_take(c, 48);
        q->mr_config_id = att_take(c, 48);
        q->mr_owner = att_take(c, 48);
        q->mr_owner_config = att_take(c, 48);
        for (size_t i = 0; i < G_N_ELEMENTS(q->rtmr); i++)
                q->rtmr[i] = att_take(c, 48);
        q->report_data = att_take(c, 64);
        if (q->body == ATT_TDX_BODY_15) {
                q->tee_tcb_svn2 = att_take(c, 16);
                q->mr_service_td = att_take(c, 48);
        }
}

static AttSgxReport read_sgx_report(AttCursor c) {
        AttSgxReport r;

        r.cpu_svn = att_take(&c, 16);
        r.misc_select = att_take(&c, 4);
        att_take(&c, 28);
        r.attributes = att_take(&c, 16);
        r.mr_enclave = att_take(&c, 32);
        att_take(&c, 32);
        r.mr_signer = att_take(&c, 32);
        att_take(&c, 96);
        r.isv_prod_id = att_take_u16le(&c);
        r.isv_svn = att_take_u16le(&c);
        att_take(&c, 60);
        r.report_data = att_take(&c, 64);
        return r;
}

/* u16 type | u32 size | data */
static AttCursor take_certification(AttCursor *c, uint16_t *ret_type) {
        *ret_type = att_take_u16le(c);
        return att_take_sub(c, att_take_u32le(c));
}

/* Certification data of type 6: the QE's report, and who certifies it. */
static bool read_qe(AttCursor c, AttTdxQuote *q) {
        q->qe_report_bytes = att_take_sub(&c, SGX_BODY_SIZE);
        q->qe_report_signature = att_take(&c, 64);
        q->qe_auth_data = att_take_sub(&c, att_take_u16le(&c));
        AttCursor data = take_certification(&c, &q->inner_certification_type);

        if (!att_cursor_is_spent(&c))
                return false;
        q->qe_report = read_sgx_report(q->qe_report_bytes);
        if (q->inner_certification_type == CERTIFICATION_PCK_CHAIN)
                q->certificates = data;
        return true;
}

gboolean att_tdx_quote_parse(GBytes *bytes, AttTdxQuote *ret, GError **error) {
        const AttCursor whole = att_cursor_bytes(bytes);
        AttCursor c = whole;
        AttTdxQuote q = { 0 };

        if (whole.left > ATT_TDX_QUOTE_MAX)
                return att_error_set(error, ATT_ERROR_TOO_LARGE, "a quote over %u bytes", ATT_TDX_QUOTE_MAX);

        if (!take_header(&c, &q, error))
                return FALSE;
        take_body(&c, &q);
        q.signed_part = att_cursor(whole.at, whole.left - c.left);

        AttCursor data = att_take_sub(&c, att_take_u32le(&c));
        q.signature = att_take(&data, 64);
        q.attestation_key = att_take(&data, 64);
        AttCursor certification = take_certification(&data, &q.certification_type);
        if (c.failed || !att_cursor_is_spent(&data))
                return bad(error, "cut short, or its signature data has another size than it says");

        if (q.certification_type == CERTIFICATION_PCK_CHAIN)
                q.certificates = certification;
        else if (q.certification_type == CERTIFICATION_QE_REPORT && !read_qe(certification, &q))
                return bad(error, "its QE certification data has another size than it says");

        q.quote_size = whole.left - c.left;
        q.trailing = c;
        *ret = q;
        return TRUE;
}

const uint8_t *att_tdx_quote_report_data(GBytes *bytes) {
        AttCursor c = att_cursor_bytes(bytes);
        AttTdxQuote q = { 0 };

        if (!take_header(&c, &q, NULL))
                return NULL;
        att_take(&c, REPORT_DATA_AT);
        return att_take(&c, 64);
}
