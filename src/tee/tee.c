/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "tee/tee.h"

#include "tee/boot-id.h"
#include "tee/fault.h"
#include "tee/health.h"
#include "tee/pace.h"
#include "tee/report-source.h"
#include "tee/tdx-device.h"
#include "tee/thread.h"
#include "util/duration.h"

#include <string.h>

/* Nothing tells us when a driver comes or goes, or when somebody makes an entry. */
#define LOOK_EVERY_S 5u
/* What a start waits for the first look: long if nobody holds the kernel's lock. */
#define FIRST_LOOK_US G_USEC_PER_SEC

/* One visit of the worker to the device. The worker fills in the lower half; the
 * main thread reads it when the task that carries it has returned. */
typedef struct Visit {
        bool is_report;
        uint8_t report_data[ATT_REPORT_DATA_SIZE];
        AttTpm *tpm;          /* a reference: it is to quote beside the report; NULL: nobody is */

        GError *fault;        /* of ATT_TEE_FAULT; (nullable) */
        const char *source;   /* where the TEE was found; "" if nowhere */
        AttTeeSight sight;
        AttTeeReport *report; /* if @is_report, unless @fault */

        GError *answer;       /* @fault as the caller is told it; the main thread's own */
} Visit;

/* In the order in which they are tried. */
enum { CONFIGFS, SEV_DEVICE, N_SOURCES };

/* The worker and what it shares. It may outlive the AttTee, so it knows nothing of it. */
typedef struct Worker {
        gatomicrefcount refs;
        AttReportSource *sources[N_SOURCES]; /* the thread's own; gone when it is */
        guint found_at;       /* the thread's own: which of them had the TEE last */

        GMutex lock;
        GCond asked, changed; /* by the main thread, by the worker */
        GQueue tasks;         /* of GTask */
        bool is_to_leave;
        bool has_looked, has_left;
} Worker;

/* Who waits for a task. It belongs to the task, which may come back to a main
 * context when the AttTee is no more. */
typedef struct Call {
        AttTee *tee;          /* borrowed; NULL once it is gone */
        GAsyncReadyCallback done;
        gpointer userdata;
} Call;

struct AttTee {
        Worker *worker;
        GThread *thread;
        guint timer;
        Call *look, *report;  /* in flight; borrowed from their tasks */

        AttTeeHealth health;
        const char *source;
        AttPace pace;
        AttTeeChanged changed;
        gpointer userdata;
};

const char *att_tee_state_name(AttTeeState state) {
        switch (state) {
        case ATT_TEE_READY:
                return "ready";
        case ATT_TEE_DEGRADED:
                return "degraded";
        case ATT_TEE_SHARED_DEVICE:
                return "shared-device";
        case ATT_TEE_NO_TEE:
                return "no-tee";
        case ATT_TEE_DEVICE_LOST:
                return "device-lost";
        }
        g_assert_not_reached();
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

static void visit_free(Visit *v) {
        g_clear_error(&v->fault);
        g_clear_error(&v->answer);
        att_tee_sight_clear(&v->sight);
        att_tee_report_free(v->report);
        att_tpm_unref(v->tpm);
        g_free(v);
}

/* ----- the worker's side: all that touches a device */

static void worker_unref(Worker *w) {
        if (!g_atomic_ref_count_dec(&w->refs))
                return;

        g_mutex_clear(&w->lock);
        g_cond_clear(&w->asked);
        g_cond_clear(&w->changed);
        g_free(w);
}
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Worker, worker_unref)

static bool visit_source(AttReportSource *source, Visit *v, GError **error) {
        if (!v->is_report)
                return source->look(source, &v->sight, error);

        v->report = source->make(source, &v->sight, v->report_data, error);
        return v->report != NULL;
}

/* A TD's device is no source of reports. But who finds it should be told why. */
static void tell_local_from_absent(GError **fault) {
        if (!att_tdx_device_is_here())
                return;

        g_clear_error(fault);
        att_tee_fault_set(fault, ATT_TEE_FAULT_LOCAL_ONLY,
                          ATT_TDX_DEVICE_PATH " is all that this kernel offers, and it makes no quotes");
}

static void visit(Worker *w, Visit *v) {
        for (guint i = 0; i < N_SOURCES; i++) {
                g_autoptr(GError) e = NULL;

                g_clear_pointer(&v->sight.provider, g_free);
                if (visit_source(w->sources[i], v, &e) || !att_tee_fault_leads_on((AttTeeFault) e->code)) {
                        v->source = w->sources[i]->name;
                        w->found_at = i;
                        g_clear_error(&v->fault);
                        v->fault = g_steal_pointer(&e);
                        return;
                }
                if (i == w->found_at) /* why it is no longer there, or never was where we prefer it */
                        v->fault = g_steal_pointer(&e);
        }
        tell_local_from_absent(&v->fault);
}

/* After the report: then the log that the TPM vouches for has all that C speaks of. */
static void quote(Visit *v) {
        if (v->report && v->tpm)
                v->report->tpm = att_tpm_quote(v->tpm, v->report_data, &v->report->tpm_fault);
}

static void worker_tell(Worker *w, bool *what) {
        g_mutex_lock(&w->lock);
        *what = true;
        g_cond_broadcast(&w->changed);
        g_mutex_unlock(&w->lock);
}

static bool worker_wait(Worker *w, const bool *what, gint64 patience_us) {
        gint64 until_us = g_get_monotonic_time() + patience_us;
        bool is_true;

        g_mutex_lock(&w->lock);
        while (!*what && g_cond_wait_until(&w->changed, &w->lock, until_us))
                ;
        is_true = *what;
        g_mutex_unlock(&w->lock);
        return is_true;
}

/* Woken when the lock is free: else it would sleep at once again, until it is. */
static void worker_ask(Worker *w, GTask *task) {
        g_mutex_lock(&w->lock);
        if (task)
                g_queue_push_tail(&w->tasks, task);
        else
                w->is_to_leave = true;
        g_mutex_unlock(&w->lock);
        g_cond_signal(&w->asked);
}

/* NULL: it is to leave. */
static GTask *worker_next(Worker *w) {
        GTask *task = NULL;

        g_mutex_lock(&w->lock);
        while (!w->is_to_leave && !(task = g_queue_pop_head(&w->tasks)))
                g_cond_wait(&w->asked, &w->lock);
        g_mutex_unlock(&w->lock);
        return task;
}

static gpointer work(gpointer data) {
        g_autoptr(Worker) w = data;
        bool has_looked = false;
        GTask *task;

        while ((task = worker_next(w))) {
                visit(w, g_task_get_task_data(task));
                quote(g_task_get_task_data(task));
                if (!has_looked)
                        worker_tell(w, &w->has_looked);
                has_looked = true;
                g_task_return_boolean(task, TRUE);
                g_object_unref(task);
        }

        /* Who told it to leave asks for no more. */
        while ((task = g_queue_pop_head(&w->tasks))) {
                g_task_return_boolean(task, FALSE);
                g_object_unref(task);
        }

        for (guint i = 0; i < N_SOURCES; i++)
                w->sources[i]->leave(w->sources[i]);
        worker_tell(w, &w->has_left);
        return NULL;
}

static Worker *worker_new(void) {
        uint8_t boot_id[ATT_BOOT_ID_SIZE] = { 0 };
        Worker *w = g_new0(Worker, 1);

        /* For a name only: who speaks of the boot id itself will hear that it cannot be read. */
        if (!att_boot_id_read(boot_id, NULL))
                memset(boot_id, 0, sizeof boot_id);

        g_atomic_ref_count_init(&w->refs);
        g_queue_init(&w->tasks);
        g_mutex_init(&w->lock);
        g_cond_init(&w->asked);
        g_cond_init(&w->changed);
        w->sources[CONFIGFS] = att_configfs_source_new(boot_id, getpid());
        w->sources[SEV_DEVICE] = att_sev_device_new();
        return w;
}

/* ----- the main thread's side: what the visits tell */

/* One line for each change of state: who can make the TEE fail must not be able
 * to fill the journal. */
static void log_state(const AttTee *tee) {
        const AttTeeHealth *h = &tee->health;
        const char *name = att_tee_state_name(h->state);

        switch (h->state) {
        case ATT_TEE_READY:
                g_message("%s is %s, by %s", h->provider, name, tee->source);
                break;
        case ATT_TEE_NO_TEE:
                g_message("%s: %s", name, h->detail);
                break;
        case ATT_TEE_DEGRADED:
        case ATT_TEE_SHARED_DEVICE:
        case ATT_TEE_DEVICE_LOST:
                g_warning("%s: %s", name, h->detail);
                break;
        }
}

/* Who is told to come again is told when. */
static GError *answer_of(const AttTee *tee, const GError *fault) {
        GError *answer = att_tee_health_error(&tee->health, fault);

        if (g_error_matches(answer, ATT_ERROR, ATT_ERROR_DEVICE_BUSY)) {
                g_autofree char *wait = att_duration_about(att_tee_expected_wait_us(tee, 1));
                g_autofree char *sentence = answer->message;

                answer->message = g_strdup_printf("%s; a report is expected in %s", sentence, wait);
        }
        return answer;
}

static void learn_pace(AttTee *tee, const Visit *v, gint64 now) {
        const AttTeeSight *sight = &v->sight;

        if (sight->is_replaced || (v->fault && att_tee_fault_is_absence((AttTeeFault) v->fault->code)))
                att_pace_replaced(&tee->pace);
        if (sight->provider)
                tee->pace.has_key = strcmp(sight->provider, "sev_guest") == 0;

        if (v->is_report && v->fault)
                att_pace_failed(&tee->pace, (AttTeeFault) v->fault->code, now);
        else if (v->is_report)
                att_pace_done(&tee->pace, now);
}

static void learn(AttTee *tee, Visit *v) {
        AttTeeHealth *h = &tee->health;
        const AttTeeSight *sight = &v->sight;

        if (sight->uncounted)
                att_tee_health_uncounted(h, sight->uncounted);
        else if (sight->has_counted)
                att_tee_health_counted(h, sight->n_others, sight->first_other);
        if (sight->is_replaced)
                att_tee_health_replaced(h);

        if (v->is_report)
                att_tee_health_reported(h, sight->provider, v->fault);
        else
                att_tee_health_looked(h, sight->provider, v->fault);
        tee->source = h->provider[0] ? v->source : "";

        learn_pace(tee, v, g_get_monotonic_time());
        if (v->is_report && v->fault)
                v->answer = answer_of(tee, v->fault);
}

static void learn_and_tell(AttTee *tee, Visit *v) {
        AttTeeHealth *h = &tee->health;
        g_autofree char *detail = g_strdup(h->detail);
        g_autofree char *provider = g_strdup(h->provider);
        const char *source = tee->source;
        AttTeeState state = h->state;
        bool is_shared = h->is_shared;

        learn(tee, v);

        if (state != h->state)
                log_state(tee);
        if (tee->changed && (state != h->state || is_shared != h->is_shared || strcmp(detail, h->detail) != 0 ||
                             strcmp(provider, h->provider) != 0 || strcmp(source, tee->source) != 0))
                tee->changed(tee, tee->userdata);
}

/* ----- between them */

static void on_visited(GObject *source, GAsyncResult *result, gpointer userdata) {
        g_autofree Call *call = userdata;
        Visit *v = g_task_get_task_data(G_TASK(result));
        AttTee *tee = call->tee;

        (void) source;
        if (!tee)
                return;

        if (call == tee->look)
                tee->look = NULL;
        else
                tee->report = NULL;

        if (!v->answer) /* else the device was not asked */
                learn_and_tell(tee, v);
        if (call->done)
                call->done(NULL, result, call->userdata);
}

static GTask *task_new(AttTee *tee, GAsyncReadyCallback done, gpointer userdata, Call **ret_call, Visit **ret_visit) {
        Call *call = g_new(Call, 1);
        Visit *v = g_new0(Visit, 1);
        GTask *task = g_task_new(NULL, NULL, on_visited, call);

        *call = (Call) { .tee = tee, .done = done, .userdata = userdata };
        g_task_set_task_data(task, v, (GDestroyNotify) visit_free);
        g_task_set_source_tag(task, att_tee_report_async);
        *ret_call = call;
        *ret_visit = v;
        return task;
}

static Visit *look(AttTee *tee) {
        Visit *v;

        worker_ask(tee->worker, task_new(tee, NULL, NULL, &tee->look, &v));
        return v;
}

static gboolean on_look_due(gpointer userdata) {
        AttTee *tee = userdata;

        if (!tee->look && !tee->report)
                (void) look(tee);
        return G_SOURCE_CONTINUE;
}

AttTee *att_tee_new(AttTeeChanged changed, gpointer userdata) {
        AttTee *tee = g_new0(AttTee, 1);
        Visit *first;

        att_tee_health_init(&tee->health);
        tee->source = "";
        tee->worker = worker_new();
        g_atomic_ref_count_inc(&tee->worker->refs);
        tee->thread = att_thread_new("tee", work, tee->worker);
        tee->timer = g_timeout_add_seconds(LOOK_EVERY_S, on_look_due, tee);

        /* Learnt twice, here and when the task returns: it is the same. */
        first = look(tee);
        if (worker_wait(tee->worker, &tee->worker->has_looked, FIRST_LOOK_US))
                learn(tee, first);
        log_state(tee);

        tee->changed = changed;
        tee->userdata = userdata;
        return tee;
}

void att_tee_stop_and_free(AttTee *tee, guint patience_ms) {
        if (!tee)
                return;

        g_source_remove(tee->timer);
        if (tee->look)
                tee->look->tee = NULL;
        if (tee->report)
                tee->report->tee = NULL;

        worker_ask(tee->worker, NULL);
        if (worker_wait(tee->worker, &tee->worker->has_left, (gint64) patience_ms * 1000)) {
                g_thread_join(tee->thread);
        } else {
                g_message("the kernel still holds a call of ours: leaving the thread and our entry behind");
                g_thread_unref(tee->thread);
        }

        worker_unref(tee->worker);
        att_tee_health_clear(&tee->health);
        g_free(tee);
}

AttTeeState att_tee_state(const AttTee *tee) {
        return tee->health.state;
}

const char *att_tee_detail(const AttTee *tee) {
        return tee->health.detail;
}

const char *att_tee_name(const AttTee *tee) {
        const char *provider = tee->health.provider;

        if (strcmp(provider, "tdx_guest") == 0)
                return "tdx";
        return strcmp(provider, "sev_guest") == 0 ? "snp" : "";
}

const char *att_tee_provider(const AttTee *tee) {
        return tee->health.provider;
}

const char *att_tee_source(const AttTee *tee) {
        return tee->source;
}

bool att_tee_is_shared(const AttTee *tee) {
        return tee->health.is_shared;
}

bool att_tee_is_busy(const AttTee *tee) {
        return tee->report != NULL;
}

guint64 att_tee_interval_us(const AttTee *tee) {
        return tee->pace.interval_us;
}

guint att_tee_throttle_count(const AttTee *tee) {
        return tee->pace.throttle_count;
}

guint64 att_tee_throttle_period_us(const AttTee *tee) {
        return tee->pace.throttle_period_us;
}

gint64 att_tee_expected_wait_us(const AttTee *tee, guint n_reports) {
        return att_pace_wait_us(&tee->pace, n_reports, g_get_monotonic_time());
}

bool att_tee_is_failing(const AttTee *tee) {
        return att_pace_is_failing(&tee->pace);
}

gint64 att_tee_not_before_us(const AttTee *tee) {
        return tee->pace.not_before_us;
}

void att_tee_report_async(AttTee *tee, const guint8 report_data[ATT_REPORT_DATA_SIZE], AttTpm *tpm,
                          GAsyncReadyCallback done, gpointer userdata) {
        GTask *task;
        Visit *v;

        g_return_if_fail(!att_tee_is_busy(tee));

        task = task_new(tee, done, userdata, &tee->report, &v);
        if (att_tee_health_is_lost(&tee->health)) {
                v->answer = att_tee_health_error(&tee->health, tee->health.failed);
                g_task_return_boolean(task, FALSE);
                g_object_unref(task);
                return;
        }

        v->is_report = true;
        memcpy(v->report_data, report_data, ATT_REPORT_DATA_SIZE);
        v->tpm = tpm ? att_tpm_ref(tpm) : NULL;
        att_pace_asked(&tee->pace, g_get_monotonic_time());
        worker_ask(tee->worker, task);
}

AttTeeReport *att_tee_report_finish(AttTee *tee, GAsyncResult *result, GError **error) {
        Visit *v = g_task_get_task_data(G_TASK(result));

        (void) tee;
        if (v->answer) {
                g_propagate_error(error, g_steal_pointer(&v->answer));
                return NULL;
        }
        return g_steal_pointer(&v->report);
}
