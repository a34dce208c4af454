/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "codec/certificate-table.h"
#include "codec/snp-response.h"
#include "tee/certificate-memo.h"
#include "tee/fault.h"
#include "tee/report-check.h"
#include "tee/report-source.h"
#include "tee/sev-outcome.h"
#include "util/io.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdalign.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>

#define PROVIDER "sev_guest" /* as configfs-tsm names the same driver */

/* The key that the driver was told to use, which is that of its VMPL; then what the
 * firmware told the kernel. A kernel that has neither runs at VMPL 0. */
static const char *const vmpl_paths[] = {
        "/sys/module/sev_guest/parameters/vmpck_id",
        "/sys/devices/system/cpu/sev/vmpl",
};

/* A host whose certificates do not fit costs two requests each time. */
#define CERTIFICATES_AGAIN_US (10 * 60 * G_USEC_PER_SEC)

/* linux/sev-guest.h, whose names differ between versions. */
typedef struct ReportRequest {
        uint8_t report_data[ATT_REPORT_DATA_SIZE];
        uint32_t vmpl;
        uint8_t reserved[28];
} ReportRequest;

typedef struct ExtendedRequest {
        ReportRequest report;
        uint64_t certs_address;
        uint32_t certs_len;
} ExtendedRequest;

typedef struct GuestRequest {
        uint8_t message_version;
        uint64_t request;
        uint64_t response;
        uint64_t exitinfo2;
} GuestRequest;

#define MESSAGE_VERSION 1
#define SNP_GET_REPORT _IOWR('S', 0, GuestRequest)
#define SNP_GET_EXT_REPORT _IOWR('S', 2, GuestRequest)
static_assert(SNP_GET_REPORT == 0xc0205300 && SNP_GET_EXT_REPORT == 0xc0205302, "the kernel's numbers");
static_assert(sizeof(ReportRequest) == 96 && sizeof(ExtendedRequest) == 112, "the kernel's layouts");

/* What the kernel writes to. */
typedef struct Room {
        alignas(8) uint8_t response[ATT_SNP_RESPONSE_SIZE];
        uint8_t table[ATT_CERTIFICATE_TABLE_MAX];
} Room;

typedef struct SevDevice {
        AttReportSource source;
        bool was_here;
        dev_t number;
        ino_t node;
        AttCertificateMemo certificates;
        gint64 certificates_not_before_us;
} SevDevice;

/* ----- the device */

static int device_open(GError **error) {
        int fd = open(ATT_SEV_DEVICE_PATH, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NOCTTY);

        if (fd >= 0)
                return fd;

        if (errno == ENOENT || errno == ENXIO || errno == ENODEV)
                att_tee_fault_set(error, ATT_TEE_FAULT_NO_PROVIDER, "there is no " ATT_SEV_DEVICE_PATH);
        else
                att_tee_fault_set(error, ATT_TEE_FAULT_NO_ACCESS, "cannot open " ATT_SEV_DEVICE_PATH ": %s",
                                  g_strerror(errno));
        return -1;
}

/* A driver that was unloaded and loaded again has a new node, and its key back. */
static bool is_replaced(SevDevice *d, int fd) {
        bool replaced;
        struct stat st;

        if (fstat(fd, &st) < 0)
                return false;

        replaced = d->was_here && (st.st_rdev != d->number || st.st_ino != d->node);
        d->was_here = true;
        d->number = st.st_rdev;
        d->node = st.st_ino;
        return replaced;
}

static int device_see(SevDevice *d, AttTeeSight *sight, GError **error) {
        int fd = device_open(error);

        if (fd < 0)
                return -1;

        sight->is_replaced = is_replaced(d, fd);
        if (sight->is_replaced)
                att_certificate_memo_clear(&d->certificates);
        sight->provider = g_strdup(PROVIDER);
        /* There are no entries here. Who else opens the device is seen by nobody, here as under configfs-tsm. */
        if (!sight->uncounted)
                sight->has_counted = true;
        return fd;
}

static gboolean look(AttReportSource *source, AttTeeSight *sight, GError **error) {
        att_autofd int fd = device_see((SevDevice *) source, sight, error);

        return fd >= 0;
}

/* ----- a report */

static guint find_vmpl(void) {
        for (gsize i = 0; i < G_N_ELEMENTS(vmpl_paths); i++) {
                g_autoptr(GBytes) text = att_read_at(AT_FDCWD, vmpl_paths[i], 16, NULL);
                guint vmpl;

                if (text && att_sev_vmpl_parse(g_bytes_get_data(text, NULL), g_bytes_get_size(text), &vmpl))
                        return vmpl;
        }
        return 0;
}

static AttSevOutcome ask(int fd, unsigned long command, void *request, void *response) {
        GuestRequest call = {
                .message_version = MESSAGE_VERSION,
                .request = (uintptr_t) request,
                .response = (uintptr_t) response,
        };
        /* Not again after EINTR or EAGAIN: the host counts each. */
        int r = ioctl(fd, command, &call);

        return (AttSevOutcome) { .err = r < 0 ? errno : 0, .exitinfo2 = call.exitinfo2 };
}

/* With certificates, if the host has any. The most that the driver takes is offered
 * at once: to be told a length first would cost one of the few reports there are,
 * and the length is the host's to invent. */
static AttSevOutcome ask_extended(int fd, const ReportRequest *report, Room *room) {
        ExtendedRequest request = {
                .report = *report,
                .certs_address = (uintptr_t) room->table,
                .certs_len = sizeof room->table,
        };

        return ask(fd, SNP_GET_EXT_REPORT, &request, room->response);
}

static AttSevOutcome ask_plain(int fd, const ReportRequest *report, Room *room) {
        ReportRequest request = *report;

        memset(room, 0, sizeof *room);
        return ask(fd, SNP_GET_REPORT, &request, room->response);
}

static AttSevOutcome ask_either(SevDevice *d, int fd, const ReportRequest *request, Room *room) {
        gint64 now = g_get_monotonic_time();
        AttSevOutcome outcome;

        if (now < d->certificates_not_before_us || att_certificate_memo_has(&d->certificates, now))
                return ask_plain(fd, request, room);

        outcome = ask_extended(fd, request, room);
        if (!att_sev_outcome_wants_room(&outcome))
                return outcome;

        g_message("the host wants more room for its certificates than the driver has: reports go without them");
        d->certificates_not_before_us = g_get_monotonic_time() + CERTIFICATES_AGAIN_US;
        return ask_plain(fd, request, room);
}

/* The report, with the table if one came with it. */
static AttTeeReport *make_once(SevDevice *d, int fd, const ReportRequest *request, GError **error) {
        g_autoptr(AttTeeReport) report = g_new0(AttTeeReport, 1);
        g_autofree Room *room = g_new0(Room, 1);
        gint64 start = g_get_monotonic_time();
        AttSevOutcome outcome = ask_either(d, fd, request, room);

        if (!att_sev_outcome_check(&outcome, error))
                return NULL;

        report->duration_us = g_get_monotonic_time() - start;
        report->outblob = att_sev_response_take_report(room->response, request->vmpl, error);
        if (!report->outblob || !att_report_check(PROVIDER, report->outblob, request->report_data, error))
                return NULL;

        report->auxblob = att_sev_table_take(room->table, sizeof room->table);
        return g_steal_pointer(&report);
}

/* With the host's certificates, which it need not give each time. */
static AttTeeReport *make_whole(SevDevice *d, int fd, const ReportRequest *request, GError **error) {
        bool has_table = att_certificate_memo_has(&d->certificates, g_get_monotonic_time());
        g_autoptr(AttTeeReport) report = make_once(d, fd, request, error);
        GBytes *table;

        if (!report)
                return NULL;
        if (report->auxblob) {
                att_certificate_memo_keep(&d->certificates, report->outblob, report->auxblob, g_get_monotonic_time());
                return g_steal_pointer(&report);
        }

        table = att_certificate_memo_find(&d->certificates, report->outblob);
        if (table)
                report->auxblob = g_bytes_ref(table);
        if (table || !has_table)
                return g_steal_pointer(&report);

        g_info("another chip, TCB or key signs the reports: the host is asked for its certificates again");
        att_certificate_memo_expire(&d->certificates);
        return make_whole(d, fd, request, error);
}

static AttTeeReport *make(AttReportSource *source, AttTeeSight *sight,
                          const uint8_t report_data[ATT_REPORT_DATA_SIZE], GError **error) {
        SevDevice *d = (SevDevice *) source;
        att_autofd int fd = device_see(d, sight, error);
        g_autoptr(AttTeeReport) report = NULL;
        ReportRequest request = { 0 };

        if (fd < 0)
                return NULL;

        memcpy(request.report_data, report_data, ATT_REPORT_DATA_SIZE);
        request.vmpl = find_vmpl();
        report = make_whole(d, fd, &request, error);
        if (!report)
                return NULL;

        report->provider = g_strdup(PROVIDER);
        report->shared_device = sight->n_others > 0 || sight->uncounted;
        return g_steal_pointer(&report);
}

static void leave(AttReportSource *source) {
        SevDevice *d = (SevDevice *) source;

        att_certificate_memo_clear(&d->certificates);
        g_free(d);
}

AttReportSource *att_sev_device_new(void) {
        SevDevice *d = g_new0(SevDevice, 1);

        d->source = (AttReportSource) { .name = ATT_SEV_DEVICE_PATH, .look = look, .make = make, .leave = leave };
        return &d->source;
}
