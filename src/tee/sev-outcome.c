/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "tee/sev-outcome.h"

#include "codec/certificate-table.h"
#include "codec/snp-report.h"
#include "codec/snp-response.h"
#include "tee/fault.h"

#include <errno.h>

/* The host's half of exitinfo2 (GHCB, guest requests). */
#define VMM_INVALID_LENGTH 1u
#define VMM_BUSY 2u

/* What the driver puts there before it calls: now, and before Linux 6.3. */
#define NO_CALL UINT64_MAX
#define NO_CALL_BEFORE UINT64_C(0xff)

/* Of the firmware's codes (AMD 56860, 4.1) those that a guest's request can bring. */
static const char *firmware_says(uint32_t code) {
        switch (code) {
        case 0x01:
                return "the platform is in no state for it";
        case 0x02:
                return "the guest is in no state for it";
        case 0x04:
                return "a length is invalid";
        case 0x07:
                return "the guest's policy forbids it";
        case 0x09:
                return "an address is invalid";
        case 0x0b:
                return "the message is not of this guest";
        case 0x10:
                return "the guest is not known";
        case 0x14:
                return "the hardware is not safe";
        case 0x15:
                return "it is not supported";
        case ATT_SNP_STATUS_INVALID_PARAM:
                return "a parameter is invalid";
        case 0x17:
                return "a resource is used up";
        case 0x1a:
                return "a page is in no state for it";
        case 0x1d:
                return "the guest's message numbers are used up";
        case ATT_SNP_STATUS_INVALID_KEY:
                return "there is no such key";
        default:
                return "an error that is not known here";
        }
}

static char *describe(uint64_t exitinfo2) {
        uint32_t vmm = (uint32_t) (exitinfo2 >> 32), firmware = (uint32_t) exitinfo2;

        if (exitinfo2 == 0 || exitinfo2 == NO_CALL || exitinfo2 == NO_CALL_BEFORE)
                return g_strdup("the firmware was not asked");
        if (vmm == VMM_BUSY)
                return g_strdup("the host is busy");
        if (vmm == VMM_INVALID_LENGTH)
                return g_strdup("the host wants more room for its certificates than the driver has");
        if (vmm != 0)
                return g_strdup_printf("the host says error %u", vmm);
        return g_strdup_printf("the firmware says 0x%x, %s", firmware, firmware_says(firmware));
}

bool att_sev_outcome_wants_room(const AttSevOutcome *o) {
        /* ENOSPC is what some drivers have inside; whichever comes, the key is whole. */
        return (o->err == EIO || o->err == ENOSPC) && o->exitinfo2 >> 32 == VMM_INVALID_LENGTH;
}

static AttTeeFault fault_of(const AttSevOutcome *o) {
        switch (o->err) {
        case ENOTTY:
                return ATT_TEE_FAULT_KEY_DISABLED;
        case ENXIO:
        case ENODEV:
                return ATT_TEE_FAULT_NO_PROVIDER;
        case EBUSY:
                return ATT_TEE_FAULT_BUSY;
        case EINTR:
                return ATT_TEE_FAULT_INTERRUPTED;
        case EAGAIN:
                return ATT_TEE_FAULT_THROTTLED;
        case ETIMEDOUT:
                return ATT_TEE_FAULT_TIMED_OUT;
        case EIO:
        case ENOSPC:
                return o->exitinfo2 != NO_CALL && o->exitinfo2 >> 32 == VMM_BUSY ? ATT_TEE_FAULT_THROTTLED
                                                                                : ATT_TEE_FAULT_HOST;
        default:
                return ATT_TEE_FAULT_OTHER;
        }
}

gboolean att_sev_outcome_check(const AttSevOutcome *o, GError **error) {
        g_autofree char *detail = NULL;

        if (o->err == 0)
                return TRUE;

        detail = describe(o->exitinfo2);
        return att_tee_fault_set(error, fault_of(o), ATT_SEV_DEVICE_PATH " gives no report: %s (%s)",
                                 g_strerror(o->err), detail);
}

GBytes *att_sev_response_take_report(const uint8_t *response, guint vmpl, GError **error) {
        g_autoptr(GError) e = NULL;
        AttSnpResponse r;

        if (!att_snp_response_parse(att_cursor(response, ATT_SNP_RESPONSE_SIZE), &r, &e)) {
                att_tee_fault_set(error, ATT_TEE_FAULT_MALFORMED, "%s", e->message);
                return NULL;
        }
        if (r.status != 0) {
                bool is_level = r.status == ATT_SNP_STATUS_INVALID_PARAM;

                att_tee_fault_set(error, is_level ? ATT_TEE_FAULT_LEVEL : ATT_TEE_FAULT_OTHER,
                                  "the firmware refuses a report of VMPL %u: 0x%x, %s", vmpl, r.status,
                                  firmware_says(r.status));
                return NULL;
        }
        if (r.report.left != ATT_SNP_REPORT_SIZE) {
                att_tee_fault_set(error, ATT_TEE_FAULT_MALFORMED, "the firmware's report has %zu bytes, not %u",
                                  r.report.left, ATT_SNP_REPORT_SIZE);
                return NULL;
        }
        return att_cursor_dup(&r.report);
}

GBytes *att_sev_table_take(const uint8_t *buffer, gsize size) {
        gsize extent = att_certificate_table_extent(att_cursor(buffer, size));

        return extent > 0 ? g_bytes_new(buffer, extent) : NULL;
}

bool att_sev_vmpl_parse(const void *text, gsize size, guint *ret) {
        const char *p = text;

        if (size != 2 || p[1] != '\n' || p[0] < '0' || p[0] > '0' + (char) ATT_SEV_DEVICE_VMPL_MAX)
                return false;
        *ret = (guint) (p[0] - '0');
        return true;
}
