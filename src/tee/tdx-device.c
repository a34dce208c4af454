/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "tee/tdx-device.h"

#include "codec/tdx-quote.h"
#include "tee/fault.h"
#include "util/error.h"
#include "util/io.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>

/* linux/tdx-guest.h, which older headers lack. */
struct tdx_report_req {
        uint8_t reportdata[64];
        uint8_t tdreport[ATT_TDX_REPORT_SIZE];
};
#define TDX_CMD_GET_REPORT0 _IOWR('T', 1, struct tdx_report_req)
static_assert(TDX_CMD_GET_REPORT0 == 0xc4405401, "the kernel's number");

bool att_tdx_device_is_here(void) {
        struct stat st;

        return stat(ATT_TDX_DEVICE_PATH, &st) == 0 && S_ISCHR(st.st_mode);
}

GBytes *att_tdx_report_local(AttTdxReport *ret, GError **error) {
        struct tdx_report_req request = { .reportdata = "attestd: a local look at the registers" };
        att_autofd int fd = open(ATT_TDX_DEVICE_PATH, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NOCTTY);
        g_autoptr(GBytes) bytes = NULL;

        if (fd < 0) {
                bool is_absent = errno == ENOENT || errno == ENXIO || errno == ENODEV;

                att_error_set(error, is_absent ? ATT_ERROR_NO_TEE : ATT_ERROR_FAILED,
                              "cannot open " ATT_TDX_DEVICE_PATH ": %s", g_strerror(errno));
                return NULL;
        }
        if (ioctl(fd, TDX_CMD_GET_REPORT0, &request) < 0) {
                att_error_set(error, ATT_ERROR_FAILED, ATT_TDX_DEVICE_PATH " gives no TDREPORT: %s", g_strerror(errno));
                return NULL;
        }

        bytes = g_bytes_new(request.tdreport, sizeof request.tdreport);
        if (!att_tdx_report_parse(bytes, ret, error))
                return NULL;
        return g_steal_pointer(&bytes);
}

gboolean att_tdx_quote_check(GBytes *quote, const AttTdxReport *before, const AttTdxReport *after, GError **error) {
        g_autoptr(GError) e = NULL;
        AttTdxQuote q;

        if (!att_tdx_quote_parse(quote, &q, &e))
                return att_tee_fault_set(error, ATT_TEE_FAULT_MALFORMED, "the TEE's report is %s", e->message);

        const struct {
                const char *name;
                const uint8_t *in_quote, *before, *after;
                gsize size;
        } all[] = {
                { "ATTRIBUTES", q.td_attributes, before->td_attributes, after->td_attributes, 8 },
                { "XFAM", q.xfam, before->xfam, after->xfam, 8 },
                { "MRTD", q.mr_td, before->mr_td, after->mr_td, ATT_TDX_REGISTER_SIZE },
                { "MRCONFIGID", q.mr_config_id, before->mr_config_id, after->mr_config_id, ATT_TDX_REGISTER_SIZE },
                { "MROWNER", q.mr_owner, before->mr_owner, after->mr_owner, ATT_TDX_REGISTER_SIZE },
                { "MROWNERCONFIG", q.mr_owner_config, before->mr_owner_config, after->mr_owner_config,
                  ATT_TDX_REGISTER_SIZE },
                { "RTMR0", q.rtmr[0], before->rtmr[0], after->rtmr[0], ATT_TDX_REGISTER_SIZE },
                { "RTMR1", q.rtmr[1], before->rtmr[1], after->rtmr[1], ATT_TDX_REGISTER_SIZE },
                { "RTMR2", q.rtmr[2], before->rtmr[2], after->rtmr[2], ATT_TDX_REGISTER_SIZE },
                { "RTMR3", q.rtmr[3], before->rtmr[3], after->rtmr[3], ATT_TDX_REGISTER_SIZE },
        };
        for (gsize i = 0; i < G_N_ELEMENTS(all); i++) {
                /* A register is extended and never set back: what is equal at both ends was so all the time. */
                if (memcmp(all[i].before, all[i].after, all[i].size) == 0 &&
                    memcmp(all[i].in_quote, all[i].before, all[i].size) != 0)
                        return att_tee_fault_set(error, ATT_TEE_FAULT_WRONG_GUEST,
                                                 "the quote is not of this guest: it has another %s", all[i].name);
        }
        return TRUE;
}
