/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "tee/fault.h"

#include <errno.h>
#include <string.h>

G_DEFINE_QUARK(att-tee-fault-quark, att_tee_fault)

typedef struct Meaning {
        AttError code;
        bool spoils_entry;
        bool may_pass;
        guint pause_ms;     /* after the first failure; doubles with each that follows */
        guint pause_max_ms;
        guint key_pause_ms; /* the least, where the driver has a key to lose */
        const char *remedy;
} Meaning;

#define NO_DEVICE .code = ATT_ERROR_NO_TEE
/* A busy host has not yet taken it amiss; of what else goes wrong, each may be the last. */
#define KEY_AMONG_MANY .key_pause_ms = 2000
#define KEY_AT_RISK .key_pause_ms = 5000
#define KEY_PAUSE_MAX_MS 60000u

/* EBUSY is answered by the driver and costs the host nothing, so we may look again soon. */
#define IN_FLIGHT .code = ATT_ERROR_DEVICE_BUSY, .pause_ms = 200, .pause_max_ms = 10000, KEY_AMONG_MANY
#define NO_ANSWER .code = ATT_ERROR_FAILED, .pause_ms = 5000, .pause_max_ms = KEY_PAUSE_MAX_MS, KEY_AT_RISK
#define BAD_REPORT \
        .code = ATT_ERROR_BAD_DATA, .may_pass = true, .pause_ms = 500, .pause_max_ms = 30000, KEY_AT_RISK
#define FAILURE .code = ATT_ERROR_FAILED, .pause_ms = 500, .pause_max_ms = 30000

#define LOAD_DRIVER "this is not a confidential guest or its driver (tdx_guest, sev-guest) is not loaded"
#define DO_NOT_TRUST "do not trust this host or guest before you know why"
#define ASK_HOST "see whether the host's quoting service is in order"

static const Meaning meanings[] = {
        [ATT_TEE_FAULT_NO_CONFIGFS] = { NO_DEVICE, .remedy = "mount configfs on /sys/kernel/config" },
        [ATT_TEE_FAULT_NO_CORE] = { NO_DEVICE, .remedy = LOAD_DRIVER },
        [ATT_TEE_FAULT_NO_PROVIDER] = { NO_DEVICE, .remedy = LOAD_DRIVER },
        [ATT_TEE_FAULT_LOCAL_ONLY] = { NO_DEVICE,
                .remedy = "quotes need configfs-tsm: mount configfs on /sys/kernel/config, or take Linux 6.7 or later"
        },
        [ATT_TEE_FAULT_NO_ACCESS] = { FAILURE,
                .remedy = "attestd.service may open the devices that were there when it started: restart it" },
        [ATT_TEE_FAULT_OTHER_PROVIDER] = { NO_DEVICE, .remedy = "this version knows tdx_guest and sev_guest only" },
        [ATT_TEE_FAULT_NO_ENTRY] = { FAILURE,
                .remedy = "the service must be root and able to write to /sys/kernel/config/tsm" },
        [ATT_TEE_FAULT_KEY_DISABLED] = { .code = ATT_ERROR_DEVICE_LOST,
                .remedy = "the driver has given up its key: restart the guest, or unload and load the driver" },
        [ATT_TEE_FAULT_LEVEL] = { NO_ANSWER,
                .remedy = "a paravisor that keeps reports from this guest is not supported; else see the kernel's log"
        },
        [ATT_TEE_FAULT_BUSY] = { IN_FLIGHT,
                .remedy = "the host has not finished an earlier request; we go on trying" },
        [ATT_TEE_FAULT_INTERRUPTED] = { IN_FLIGHT,
                .remedy = "the device stays busy until the host has finished; we go on trying" },
        [ATT_TEE_FAULT_THROTTLED] = { .code = ATT_ERROR_DEVICE_BUSY, .pause_ms = 2000, .pause_max_ms = 60000,
                KEY_AMONG_MANY, .remedy = "the host makes this guest wait for its turn; we go on trying" },
        [ATT_TEE_FAULT_TIMED_OUT] = { NO_ANSWER, .remedy = ASK_HOST },
        [ATT_TEE_FAULT_HOST] = { FAILURE, KEY_AT_RISK, .remedy = ASK_HOST },
        [ATT_TEE_FAULT_TOO_SLOW] = { NO_ANSWER, .remedy = ASK_HOST },
        [ATT_TEE_FAULT_INTERFERENCE] = { FAILURE, .spoils_entry = true, .may_pass = true,
                .remedy = "another program of this guest writes to our entry under tsm/report: find and stop it" },
        [ATT_TEE_FAULT_EMPTY] = { BAD_REPORT, .remedy = ASK_HOST },
        [ATT_TEE_FAULT_MALFORMED] = { BAD_REPORT, .spoils_entry = true, .remedy = ASK_HOST },
        [ATT_TEE_FAULT_WRONG_REPORT_DATA] = { BAD_REPORT, .spoils_entry = true, .remedy = DO_NOT_TRUST },
        [ATT_TEE_FAULT_WRONG_GUEST] = { BAD_REPORT, .remedy = DO_NOT_TRUST },
        [ATT_TEE_FAULT_TOO_LARGE] = { .code = ATT_ERROR_TOO_LARGE, .pause_ms = 500, .pause_max_ms = 30000,
                KEY_AT_RISK, .remedy = ASK_HOST },
        [ATT_TEE_FAULT_OTHER] = { FAILURE, KEY_AT_RISK, .remedy = "see the kernel's log" },
};

gboolean att_tee_fault_set(GError **error, AttTeeFault fault, const char *format, ...) {
        g_autofree char *what = NULL;
        va_list ap;

        va_start(ap, format);
        what = g_strdup_vprintf(format, ap);
        va_end(ap);

        g_set_error(error, ATT_TEE_FAULT, (gint) fault, "%s; %s", what, meanings[fault].remedy);
        return FALSE;
}

/* Of any attribute: they need no device. */
static AttTeeFault fault_of_entry(int err) {
        switch (err) {
        case ENXIO:
                return ATT_TEE_FAULT_NO_PROVIDER;
        case ENOENT: /* removed */
        case EACCES: /* its mode was changed */
        case ELOOP:  /* not the kernel's */
                return ATT_TEE_FAULT_INTERFERENCE;
        default:
                return ATT_TEE_FAULT_OTHER;
        }
}

/* Of outblob: it is the device that answers. */
static AttTeeFault fault_of_report(int err) {
        switch (err) {
        case ENOTTY:
                return ATT_TEE_FAULT_KEY_DISABLED;
        case EINVAL: /* of SNP's firmware; our REPORTDATA has the right size */
                return ATT_TEE_FAULT_LEVEL;
        case EBUSY:
                return ATT_TEE_FAULT_BUSY;
        case EINTR:
                return ATT_TEE_FAULT_INTERRUPTED;
        case ETIMEDOUT:
                return ATT_TEE_FAULT_TIMED_OUT;
        case EIO:
                return ATT_TEE_FAULT_HOST;
        case EFBIG:
                return ATT_TEE_FAULT_TOO_LARGE;
        default:
                return fault_of_entry(err);
        }
}

static AttTeeFault fault_of_level(int err) {
        return err == EINVAL ? ATT_TEE_FAULT_LEVEL : fault_of_entry(err);
}

gboolean att_tee_fault_set_errno(GError **error, int err, const char *verb, const char *attribute) {
        AttTeeFault fault = strcmp(attribute, "outblob") == 0   ? fault_of_report(err) :
                            strcmp(attribute, "privlevel") == 0 ? fault_of_level(err) :
                                                                  fault_of_entry(err);

        return att_tee_fault_set(error, fault, "cannot %s %s: %s", verb, attribute, g_strerror(err));
}

bool att_tee_fault_is_absence(AttTeeFault fault) {
        return fault <= ATT_TEE_FAULT_NO_ENTRY;
}

bool att_tee_fault_leads_on(AttTeeFault fault) {
        return fault <= ATT_TEE_FAULT_NO_PROVIDER;
}

bool att_tee_fault_spoils_entry(AttTeeFault fault) {
        return meanings[fault].spoils_entry;
}

bool att_tee_fault_may_pass(AttTeeFault fault) {
        return meanings[fault].may_pass;
}

AttError att_tee_fault_code(AttTeeFault fault) {
        return meanings[fault].code;
}

gint64 att_tee_fault_pause_us(AttTeeFault fault, guint n_failures, bool has_key) {
        const Meaning *m = &meanings[fault];
        bool is_careful = has_key && m->key_pause_ms > 0;
        guint64 pause_ms = is_careful ? MAX(m->pause_ms, m->key_pause_ms) : m->pause_ms;
        guint doublings = MIN(MAX(n_failures, 1) - 1, 20);

        return (gint64) MIN(pause_ms << doublings, is_careful ? KEY_PAUSE_MAX_MS : m->pause_max_ms) * 1000;
}
