/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "codec/tdx-report.h"

#include "util/error.h"

#define TYPE_TDX 0x81u
#define VERSION_MAX 1u

/* TEE_TCB_INFO says which of its fields count: a bit for each eight bytes or so. */
#define VALID_10 UINT64_C(0x1ff)
#define VALID_15 UINT64_C(0x301ff)

static gboolean bad(GError **error, const char *what) {
        return att_error_set(error, ATT_ERROR_BAD_DATA, "not a TDREPORT: %s", what);
}

gboolean att_tdx_report_parse(GBytes *bytes, AttTdxReport *ret, GError **error) {
        AttCursor c = att_cursor_bytes(bytes);
        AttTdxReport r = { 0 };
        uint8_t type, subtype;
        uint64_t valid;

        if (c.left != ATT_TDX_REPORT_SIZE)
                return att_error_set(error, ATT_ERROR_BAD_DATA, "not a TDREPORT: it has %zu bytes, not %u", c.left,
                                     ATT_TDX_REPORT_SIZE);

        /* REPORTMACSTRUCT */
        type = att_take_u8(&c);
        subtype = att_take_u8(&c);
        r.version = att_take_u8(&c);
        (void) att_take(&c, 13);
        r.cpu_svn = att_take(&c, 16);
        (void) att_take(&c, 48 + 48); /* hashes of what follows */
        r.report_data = att_take(&c, 64);
        (void) att_take(&c, 32 + 32); /* reserved, MAC */

        /* TEE_TCB_INFO */
        valid = att_take_u64le(&c);
        r.tee_tcb_svn = att_take(&c, 16);
        r.mr_seam = att_take(&c, ATT_TDX_REGISTER_SIZE);
        r.mr_signer_seam = att_take(&c, ATT_TDX_REGISTER_SIZE);
        r.seam_attributes = att_take(&c, 8);
        r.tee_tcb_svn2 = att_take(&c, 16);
        (void) att_take(&c, 95 + 17);

        /* TDINFO_STRUCT */
        r.td_attributes = att_take(&c, 8);
        r.xfam = att_take(&c, 8);
        r.mr_td = att_take(&c, ATT_TDX_REGISTER_SIZE);
        r.mr_config_id = att_take(&c, ATT_TDX_REGISTER_SIZE);
        r.mr_owner = att_take(&c, ATT_TDX_REGISTER_SIZE);
        r.mr_owner_config = att_take(&c, ATT_TDX_REGISTER_SIZE);
        for (guint i = 0; i < ATT_TDX_RTMRS; i++)
                r.rtmr[i] = att_take(&c, ATT_TDX_REGISTER_SIZE);
        r.service_td_hash = att_take(&c, ATT_TDX_REGISTER_SIZE);
        (void) att_take(&c, 64);

        if (!att_cursor_is_spent(&c))
                return bad(error, "it is not whole");
        if (type != TYPE_TDX || subtype != 0)
                return att_error_set(error, ATT_ERROR_BAD_DATA, "not a TDREPORT: its type is %u, subtype %u", type,
                                     subtype);
        if (r.version > VERSION_MAX)
                return att_error_set(error, ATT_ERROR_BAD_DATA, "a TDREPORT of version %u, which is not known",
                                     r.version);
        if ((valid & VALID_10) != VALID_10)
                return bad(error, "it does not say which TDX module runs");

        if ((valid & VALID_15) != VALID_15)
                r.tee_tcb_svn2 = NULL;
        *ret = r;
        return TRUE;
}
