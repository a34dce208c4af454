/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A way in which the kernel gives reports of this guest's TEE. All of it blocks:
 * it is for the one thread that has all signals blocked. Errors are of
 * %ATT_TEE_FAULT. */
#pragma once

#include "tee/tee.h"

#include <stdbool.h>
#include <stdint.h>

G_BEGIN_DECLS

/* What has been seen on the way, also where no report came of it. */
typedef struct AttTeeSight {
        char *provider;    /* whose; (nullable) */
        bool is_replaced;  /* not the device that was seen before */
        bool has_counted;
        GError *uncounted; /* why entries of others cannot be seen; (nullable) */
        guint n_others;
        char *first_other;
} AttTeeSight;

void att_tee_sight_clear(AttTeeSight *sight);

typedef struct AttReportSource AttReportSource;

struct AttReportSource {
        const char *name; /* for people: "configfs-tsm", "/dev/sev-guest" */

        /* Is there a device? Asks no report of it. */
        gboolean (*look)(AttReportSource *self, AttTeeSight *sight, GError **error);
        /* One report, its REPORTDATA compared with @report_data. */
        AttTeeReport *(*make)(AttReportSource *self, AttTeeSight *sight,
                              const uint8_t report_data[ATT_REPORT_DATA_SIZE], GError **error);
        /* Leaves nothing behind in the kernel, and frees @self. */
        void (*leave)(AttReportSource *self);
};

/** att_configfs_source_new: by an entry of our own under tsm/report, named after @boot_id and @pid */
AttReportSource *att_configfs_source_new(const uint8_t boot_id[16], int pid) G_GNUC_WARN_UNUSED_RESULT;

/**
 * att_sev_device_new: by /dev/sev-guest, as kernels before configfs-tsm have it
 *
 * The device is open for no longer than a report, so that its driver can be
 * unloaded.
 */
AttReportSource *att_sev_device_new(void) G_GNUC_WARN_UNUSED_RESULT;

G_END_DECLS
