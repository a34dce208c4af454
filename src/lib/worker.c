/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lib/worker.h"

#include "lib/attestd.h"
#include "lib/watch.h"

#include <signal.h>
#include <unistd.h>

typedef struct Job {
        void (*run)(gpointer data);
        gpointer data;
} Job;

static struct {
        GMainContext *context;
        pid_t pid;

        GSource *source;
        GMutex lock;
        GQueue jobs; /* of Job */
} worker;

static gboolean run_jobs(GSource *source, GSourceFunc callback, gpointer data) {
        GQueue jobs;
        Job *job;

        (void) callback, (void) data;
        g_source_set_ready_time(source, -1);
        g_mutex_lock(&worker.lock);
        jobs = worker.jobs;
        g_queue_init(&worker.jobs);
        g_mutex_unlock(&worker.lock);
        while ((job = g_queue_pop_head(&jobs))) {
                job->run(job->data);
                g_free(job);
        }
        return G_SOURCE_CONTINUE;
}

/* One source for all: a source for each job would cost more than most jobs. */
void att_worker_do(void (*run)(gpointer data), gpointer data) {
        Job *job = g_new(Job, 1);

        *job = (Job) { run, data };
        g_mutex_lock(&worker.lock);
        if (g_queue_is_empty(&worker.jobs))
                g_source_set_ready_time(worker.source, 0);
        g_queue_push_tail(&worker.jobs, job);
        g_mutex_unlock(&worker.lock);
}

static gpointer run_worker(gpointer data) {
        g_autoptr(GMainLoop) loop = g_main_loop_new(worker.context, FALSE);

        (void) data;
        g_main_context_push_thread_default(worker.context);
        g_main_loop_run(loop); /* as long as the process */
        return NULL;
}

bool att_worker_is_started(void) {
        return worker.context != NULL;
}

gboolean att_worker_start(GError **error) {
        static GSourceFuncs functions = { .dispatch = run_jobs };
        static gsize once;

        if (g_once_init_enter(&once)) {
                sigset_t all, before;

                worker.context = g_main_context_new();
                worker.source = g_source_new(&functions, sizeof(GSource));
                (void) g_source_attach(worker.source, worker.context);
                worker.pid = getpid();
                att_watch_links(worker.context);
                /* Signals are the application's. */
                (void) sigfillset(&all);
                (void) pthread_sigmask(SIG_SETMASK, &all, &before);
                g_thread_unref(g_thread_new("attestd-client", run_worker, NULL));
                (void) pthread_sigmask(SIG_SETMASK, &before, NULL);
                g_once_init_leave(&once, 1);
        }
        if (worker.pid == getpid())
                return TRUE;
        g_set_error_literal(error, ATTESTD_ERROR, ATTESTD_ERROR_SERVICE,
                            "forked after its first connection: only one of the two processes can have more");
        return FALSE;
}
