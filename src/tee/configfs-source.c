/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "tee/configfs-report.h"
#include "tee/fault.h"
#include "tee/report-source.h"
#include "tee/tdx-device.h"
#include "util/io.h"

#include <sys/stat.h>

/* Reports that follow on each other need not find the folder by its path each time. What was
 * mounted in its place is found after so long. */
#define REOPEN_US G_USEC_PER_SEC
/* Who was alone so shortly before a report, at the end of the last one, need not look again until behind it. */
#define JUST_NOW_US (5 * 1000)

typedef struct ConfigfsSource {
        AttReportSource source;
        int reports; /* the folder of all entries; -1: it is to be opened */
        gint64 opened_us;
        AttReportEntry entry;
        bool is_alone; /* the last look has found nobody else there … */
        struct stat alone; /* … when the folder was so */
        gint64 looked_us; /* when that was */
} ConfigfsSource;

/* The kernel counts the entries in the folder's links, and sets its times when one is made or removed. */
static bool looks_the_same(const struct stat *a, const struct stat *b) {
        return a->st_dev == b->st_dev && a->st_ino == b->st_ino && a->st_nlink == b->st_nlink &&
               a->st_mtim.tv_sec == b->st_mtim.tv_sec && a->st_mtim.tv_nsec == b->st_mtim.tv_nsec &&
               a->st_ctim.tv_sec == b->st_ctim.tv_sec && a->st_ctim.tv_nsec == b->st_ctim.tv_nsec;
}

/* Who was alone, in a folder that looks as it did then, still is. With others there, each look
 * is a full one: what they leave behind is to be removed. */
static gboolean look_around(ConfigfsSource *s, guint *ret_n, char **ret_first, GError **error) {
        struct stat now; /* before the look: who comes during it makes a difference to the next */
        bool has_entry = s->entry.dir >= 0, can_tell = fstat(s->reports, &now) == 0;

        s->looked_us = g_get_monotonic_time();
        if (s->is_alone && has_entry && can_tell && looks_the_same(&s->alone, &now)) {
                *ret_n = 0;
                return TRUE;
        }

        s->is_alone = false;
        if (!att_reports_look_around(s->reports, &s->entry, ret_n, ret_first, error))
                return FALSE;

        /* A folder has two links, and ours makes three of them, or they count nothing. */
        if (*ret_n == 0 && has_entry && can_tell && now.st_nlink >= 3) {
                s->is_alone = true;
                s->alone = now;
        }
        return TRUE;
}

static void count_others(ConfigfsSource *s, AttTeeSight *sight) {
        g_autofree char *first = NULL;
        guint n;

        if (!look_around(s, &n, &first, sight->uncounted ? NULL : &sight->uncounted))
                return;

        /* The most that was seen: who was there and has left, was there. */
        if (!sight->has_counted || n > sight->n_others) {
                sight->n_others = n;
                g_free(sight->first_other);
                sight->first_other = g_steal_pointer(&first);
        }
        sight->has_counted = true;
}

static void close_reports(ConfigfsSource *s) {
        att_close_p(&s->reports);
        s->reports = -1;
}

static bool open_and_count(ConfigfsSource *s, AttTeeSight *sight, GError **error) {
        gint64 now = g_get_monotonic_time();

        if (now - s->opened_us > REOPEN_US)
                close_reports(s);
        if (s->reports < 0) {
                s->reports = att_reports_open(error);
                s->opened_us = now;
        }

        if (s->reports < 0)
                att_report_entry_remove(&s->entry, s->reports); /* it is gone already: closes it */
        else if (!s->is_alone || now - s->looked_us > JUST_NOW_US)
                count_others(s, sight);
        return s->reports >= 0;
}

/* Who has no entry keeps no driver from being unloaded. */
static void settle(ConfigfsSource *s) {
        if (s->entry.dir < 0)
                close_reports(s);
}

static gboolean look(AttReportSource *source, AttTeeSight *sight, GError **error) {
        ConfigfsSource *s = (ConfigfsSource *) source;
        bool is_here;

        s->is_alone = false; /* from time to time, nothing is taken on trust */
        is_here = open_and_count(s, sight, error) && att_report_entry_ensure(&s->entry, s->reports, error);

        settle(s);
        if (is_here)
                sight->provider = g_strdup(s->entry.provider);
        return is_here;
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
        g_autoptr(GBytes) local = NULL;
        g_autoptr(AttTeeReport) report = NULL;
        AttTdxReport before;

        if (!open_and_count(s, sight, error))
                return NULL;

        local = att_tdx_report_local(&before, NULL);
        report = att_report_make(&s->entry, s->reports, report_data, error);
        sight->provider = g_strdup(s->entry.provider);
        if (report && local && g_str_equal(report->provider, "tdx_guest") &&
            !check_guest(&before, report->outblob, error))
                g_clear_pointer(&report, att_tee_report_free);

        if (report) {
                count_others(s, sight);
                report->shared_device = sight->n_others > 0 || sight->uncounted;
        }
        settle(s);
        return g_steal_pointer(&report);
}

static void leave(AttReportSource *source) {
        ConfigfsSource *s = (ConfigfsSource *) source;

        if (s->entry.dir >= 0)
                att_report_entry_remove(&s->entry, s->reports);
        close_reports(s);
        g_free(s);
}

AttReportSource *att_configfs_source_new(const uint8_t boot_id[16], int pid) {
        ConfigfsSource *s = g_new0(ConfigfsSource, 1);

        s->source = (AttReportSource) { .name = "configfs-tsm", .look = look, .make = make, .leave = leave };
        s->reports = -1;
        att_report_entry_init(&s->entry, boot_id, pid);
        return &s->source;
}
