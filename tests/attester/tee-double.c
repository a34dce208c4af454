/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "tee-double.h"

#include <string.h>

static guint n_stopped; /* what they had not answered is for nobody */

struct AttTee {
        AttTeeChanged changed;
        gpointer userdata;
        AttTeeState state;
        char *detail;
        const char *provider;
        bool is_shared;
        gint64 not_before_us;
        guint64 interval_us;
        guint throttle_count;
        gint64 expected_wait_us;
        bool is_failing;
        gsize outblob_size, auxblob_size;
        bool answers_all;

        GTask *report;
        AttTpm *tpm; /* who is to quote beside it; NULL: nobody */
        guint8 report_data[ATT_REPORT_DATA_SIZE];
};

AttTee *tee_double;
GArray *tee_double_asked;

const char *att_tee_state_name(AttTeeState state) {
        static const char *const names[] = { "ready", "degraded", "shared-device", "no-tee", "device-lost" };

        return names[state];
}

void att_tee_report_free(AttTeeReport *report) {
        if (!report)
                return;

        g_free(report->provider);
        g_clear_pointer(&report->outblob, g_bytes_unref);
        g_clear_pointer(&report->auxblob, g_bytes_unref);
        g_clear_pointer(&report->tpm, g_bytes_unref);
        g_clear_error(&report->tpm_fault);
        g_free(report);
}

AttTee *att_tee_new(AttTeeChanged changed, gpointer userdata) {
        tee_double = g_new(AttTee, 1);
        *tee_double = (AttTee) {
                .changed = changed,
                .userdata = userdata,
                .detail = g_strdup(""),
                .provider = "tdx_guest",
                .outblob_size = 128,
        };
        tee_double_asked = g_array_new(FALSE, FALSE, ATT_REPORT_DATA_SIZE);
        return tee_double;
}

void att_tee_stop_and_free(AttTee *tee, guint patience_ms) {
        (void) patience_ms;
        if (!tee)
                return;

        n_stopped++;
        /* The real one does not call back after this either. */
        if (tee->report) {
                g_task_return_boolean(tee->report, FALSE);
                g_object_unref(tee->report);
        }
        att_tpm_unref(tee->tpm);
        g_free(tee->detail);
        g_free(tee);
        g_array_unref(tee_double_asked);
        tee_double = NULL;
}

AttTeeState att_tee_state(const AttTee *tee) {
        return tee->state;
}

const char *att_tee_detail(const AttTee *tee) {
        return tee->detail;
}

const char *att_tee_name(const AttTee *tee) {
        return strcmp(tee->provider, "tdx_guest") == 0 ? "tdx" : strcmp(tee->provider, "sev_guest") == 0 ? "snp" : "";
}

const char *att_tee_provider(const AttTee *tee) {
        return tee->provider;
}

bool att_tee_is_shared(const AttTee *tee) {
        return tee->is_shared;
}

bool att_tee_is_busy(const AttTee *tee) {
        return tee->report != NULL;
}

guint64 att_tee_interval_us(const AttTee *tee) {
        return tee->interval_us;
}

guint att_tee_throttle_count(const AttTee *tee) {
        return tee->throttle_count;
}

guint64 att_tee_throttle_period_us(const AttTee *tee) {
        return tee->throttle_count * (guint64) G_USEC_PER_SEC;
}

gint64 att_tee_expected_wait_us(const AttTee *tee, guint n_reports) {
        return n_reports * tee->expected_wait_us;
}

bool att_tee_is_failing(const AttTee *tee) {
        return tee->is_failing;
}

gint64 att_tee_not_before_us(const AttTee *tee) {
        return tee->not_before_us;
}

typedef struct Done {
        guint stopped; /* TEEs before this one */
        GAsyncReadyCallback callback;
        gpointer userdata;
} Done;

static void on_returned(GObject *source, GAsyncResult *result, gpointer userdata) {
        g_autofree Done *done = userdata;

        if (tee_double && done->stopped == n_stopped)
                done->callback(source, result, done->userdata);
}

static gboolean on_answer(gpointer userdata) {
        (void) userdata;
        if (tee_double && tee_double->report)
                tee_double_answer();
        return G_SOURCE_REMOVE;
}

void att_tee_report_async(AttTee *tee, const guint8 report_data[ATT_REPORT_DATA_SIZE], AttTpm *tpm,
                          GAsyncReadyCallback callback, gpointer userdata) {
        Done *done = g_new(Done, 1);

        g_assert(!tee->report);
        *done = (Done) { .stopped = n_stopped, .callback = callback, .userdata = userdata };
        tee->report = g_task_new(NULL, NULL, on_returned, done);
        tee->tpm = tpm ? att_tpm_ref(tpm) : NULL;
        memcpy(tee->report_data, report_data, sizeof tee->report_data);
        g_array_append_vals(tee_double_asked, report_data, 1);
        if (tee->answers_all)
                g_idle_add(on_answer, NULL);
}

AttTeeReport *att_tee_report_finish(AttTee *tee, GAsyncResult *result, GError **error) {
        (void) tee;
        return g_task_propagate_pointer(G_TASK(result), error);
}

void tee_double_answer_all(void) {
        tee_double->answers_all = true;
}

void tee_double_answer(void) {
        g_autoptr(GTask) task = g_steal_pointer(&tee_double->report);
        g_autoptr(AttTpm) tpm = g_steal_pointer(&tee_double->tpm);
        g_autofree guint8 *outblob = g_malloc(tee_double->outblob_size);
        AttTeeReport *report = g_new0(AttTeeReport, 1);

        memset(outblob, 0x51, tee_double->outblob_size);
        memcpy(outblob + 64, tee_double->report_data, ATT_REPORT_DATA_SIZE);
        report->provider = g_strdup(tee_double->provider);
        report->outblob = g_bytes_new(outblob, tee_double->outblob_size);
        if (tee_double->auxblob_size > 0)
                report->auxblob = g_bytes_new_take(g_malloc0(tee_double->auxblob_size), tee_double->auxblob_size);
        report->shared_device = tee_double->is_shared;
        if (tpm)
                report->tpm = att_tpm_quote(tpm, tee_double->report_data, &report->tpm_fault);
        g_task_return_pointer(task, report, (GDestroyNotify) att_tee_report_free);
}

void tee_double_fail(AttError code, const char *message) {
        g_autoptr(GTask) task = g_steal_pointer(&tee_double->report);

        g_clear_pointer(&tee_double->tpm, att_tpm_unref);
        g_task_return_new_error(task, ATT_ERROR, (gint) code, "%s", message);
}

static void tell(void) {
        if (tee_double->changed)
                tee_double->changed(tee_double, tee_double->userdata);
}

void tee_double_set_state(AttTeeState state, const char *detail) {
        tee_double->state = state;
        g_free(tee_double->detail);
        tee_double->detail = g_strdup(detail);
        tell();
}

void tee_double_set_provider(const char *provider) {
        tee_double->provider = provider;
        tell();
}

void tee_double_set_shared(bool shared) {
        tee_double->is_shared = shared;
        tell();
}

void tee_double_set_pause_ms(guint ms) {
        tee_double->not_before_us = g_get_monotonic_time() + (gint64) ms * 1000;
}

void tee_double_set_outblob_size(gsize size) {
        tee_double->outblob_size = size;
}

void tee_double_set_auxblob_size(gsize size) {
        tee_double->auxblob_size = size;
}

void tee_double_set_interval_us(guint64 us) {
        tee_double->interval_us = us;
}

void tee_double_set_throttle_count(guint count) {
        tee_double->throttle_count = count;
}

void tee_double_set_expected_wait_us(gint64 us) {
        tee_double->expected_wait_us = us;
}

void tee_double_set_failing(bool is_failing) {
        tee_double->is_failing = is_failing;
}
