/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "tee/thread.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static gint n_alive;

typedef struct Start {
        GThreadFunc func;
        gpointer data;
} Start;

static gpointer run(gpointer data) {
        Start start = *(Start *) data;
        gpointer result;

        g_free(data);
        result = start.func(start.data);
        g_atomic_int_add(&n_alive, -1);
        return result;
}

GThread *att_thread_new(const char *name, GThreadFunc func, gpointer data) {
        sigset_t all, before;
        Start *start = g_new(Start, 1);
        GThread *thread;

        *start = (Start) { func, data };
        g_atomic_int_add(&n_alive, 1);
        (void) sigfillset(&all);
        (void) pthread_sigmask(SIG_SETMASK, &all, &before);
        thread = g_thread_new(name, run, start);
        (void) pthread_sigmask(SIG_SETMASK, &before, NULL);
        return thread;
}

void att_thread_exit(int status) {
        if (g_atomic_int_get(&n_alive) == 0)
                exit(status);

        (void) fflush(NULL);
        _exit(status);
}
