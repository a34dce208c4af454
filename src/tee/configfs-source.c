/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "tee/configfs-report.h"
#include "tee/fault.h"
#include "tee/report-source.h"
#include "tee/tdx-device.h"
#include "util/io.h"

typedef struct ConfigfsSource {
        AttReportSource source;
        AttReportEntry entry;
} ConfigfsSource;

static void count_others(const ConfigfsSource *s, int reports, AttTeeSight *sight) {
        g_autofree char *first = NULL;
        guint n;

        if (!att_reports_look_around(reports, &s->entry, &n, &first, sight->uncounted ? NULL : &sight->uncounted))
                return;

        /* The most that was seen: who was there and has left, was there. */
        if (!sight->has_counted || n > sight->n_others) {
                sight->n_others = n;
                g_free(sight->first_other);
                sight->first_other = g_steal_pointer(&first);
        }
        sight->has_counted = true;
}

static int open_and_count(ConfigfsSource *s, AttTeeSight *sight, GError **error) {
        int reports = att_reports_open(error);

        if (reports < 0)
                att_report_entry_remove(&s->entry, reports); /* it is gone already: closes it */
        else
                count_others(s, reports, sight);
        return reports;
}

static gboolean look(AttReportSource *source, AttTeeSight *sight, GError **error) {
        ConfigfsSource *s = (ConfigfsSource *) source;
        att_autofd int reports = open_and_count(s, sight, error);

        if (reports < 0 || !att_report_entry_ensure(&s->entry, reports, error))
                return FALSE;
        sight->provider = g_strdup(s->entry.provider);
        return TRUE;
}

/* A TD can see its registers without a host: a quote that the host has got of
 * another TD, over the same REPORTDATA, is found out here and not by a verifier. */
static gboolean check_guest(const AttTdxReport *before, GBytes *quote, GError **error) {
        AttTdxReport after;
        g_autoptr(GBytes) bytes = att_tdx_report_local(&after, NULL);

        return !bytes || att_tdx_quote_check(quote, before, &after, error);
}

static AttTeeReport *make(AttReportSource *source, AttTeeSight *sight,
                          const uint8_t report_data[ATT_REPORT_DATA_SIZE], GError **error) {
        ConfigfsSource *s = (ConfigfsSource *) source;
        att_autofd int reports = open_and_count(s, sight, error);
        g_autoptr(GBytes) local = NULL;
        g_autoptr(AttTeeReport) report = NULL;
        AttTdxReport before;

        if (reports < 0)
                return NULL;

        local = att_tdx_report_local(&before, NULL);
        report = att_report_make(&s->entry, reports, report_data, error);
        sight->provider = g_strdup(s->entry.provider);
        if (!report || (local && g_str_equal(report->provider, "tdx_guest") &&
                        !check_guest(&before, report->outblob, error)))
                return NULL;

        count_others(s, reports, sight);
        report->shared_device = sight->n_others > 0 || sight->uncounted;
        return g_steal_pointer(&report);
}

static void leave(AttReportSource *source) {
        ConfigfsSource *s = (ConfigfsSource *) source;

        if (s->entry.dir >= 0) {
                att_autofd int reports = att_reports_open(NULL);

                att_report_entry_remove(&s->entry, reports);
        }
        g_free(s);
}

AttReportSource *att_configfs_source_new(const uint8_t boot_id[16], int pid) {
        ConfigfsSource *s = g_new0(ConfigfsSource, 1);

        s->source = (AttReportSource) { .name = "configfs-tsm", .look = look, .make = make, .leave = leave };
        att_report_entry_init(&s->entry, boot_id, pid);
        return &s->source;
}
