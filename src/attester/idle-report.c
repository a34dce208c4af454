/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "attester/idle-report.h"

#include "attester/binder.h"

/* From one report to the next: a device that is not throttled takes some milliseconds. */
#define THROTTLED_US (500 * 1000)
#define PATIENCE_US (60 * G_USEC_PER_SEC)

struct AttIdleReport {
        AttJob job;
        AttScheduleUser user; /* ourselves: of no caller */
        AttScheduleConnection connection;
        AttScheduler *scheduler;
        AttTee *tee;
        gint64 pause_us; /* 0: never */
        gint64 last_us;  /* when there was one, or one was tried */
        bool is_asked;
};

#define IDLE_REPORT(j) ((AttIdleReport *) (void *) ((char *) (j) - G_STRUCT_OFFSET(AttIdleReport, job)))

static gpointer seal(GPtrArray *jobs, uint8_t ret[ATT_REPORT_DATA_SIZE], AttTpm **ret_tpm) {
        (void) ret_tpm;
        att_binder_idle(ret);
        return IDLE_REPORT(jobs->pdata[0]);
}

/* Who sees all reports has seen it. */
static bool take(gpointer sealed, const GPtrArray *jobs, AttTeeReport *report) {
        (void) sealed, (void) jobs;
        att_tee_report_free(report);
        return true;
}

static void on_done(AttJob *job, gpointer sealed, GError *error) {
        (void) sealed;
        if (error)
                g_info("no report to look at while idle: %s", error->message);
        g_clear_error(&error);
        IDLE_REPORT(job)->is_asked = false;
}

static void drop(gpointer sealed) {
        (void) sealed; /* there was nothing but the job */
}

static const AttJobOps ops = { .seal = seal, .take = take, .done = on_done, .drop = drop };

AttIdleReport *att_idle_report_new(guint seconds, AttScheduler *scheduler, AttTee *tee) {
        AttIdleReport *idle = g_new0(AttIdleReport, 1);

        idle->scheduler = scheduler;
        idle->tee = tee;
        idle->pause_us = seconds * G_USEC_PER_SEC;
        idle->last_us = g_get_monotonic_time();
        idle->connection.user = &idle->user;
        idle->job.ops = &ops;
        idle->job.connection = &idle->connection;
        return idle;
}

void att_idle_report_free(AttIdleReport *idle) {
        if (!idle)
                return;

        att_scheduler_cancel(idle->scheduler, &idle->job);
        g_free(idle);
}

void att_idle_report_saw(AttIdleReport *idle) {
        idle->last_us = g_get_monotonic_time();
}

static bool is_due(const AttIdleReport *idle) {
        gint64 now = g_get_monotonic_time();

        return idle->pause_us > 0 && !idle->is_asked && now - idle->last_us >= idle->pause_us &&
               g_str_equal(att_tee_name(idle->tee), "snp") && att_tee_not_before_us(idle->tee) <= now &&
               !att_tee_is_failing(idle->tee) && att_tee_throttle_count(idle->tee) == 0 &&
               att_tee_interval_us(idle->tee) < THROTTLED_US && att_scheduler_n_waiting(idle->scheduler) == 0;
}

void att_idle_report_consider(AttIdleReport *idle) {
        if (!is_due(idle))
                return;

        idle->last_us = g_get_monotonic_time();
        idle->is_asked = true;
        att_scheduler_submit(idle->scheduler, &idle->job, idle->last_us + PATIENCE_US);
}
