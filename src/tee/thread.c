/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "tee/thread.h"

#include <signal.h>

GThread *att_thread_new(const char *name, GThreadFunc func, gpointer data) {
        sigset_t all, before;
        GThread *thread;

        (void) sigfillset(&all);
        (void) pthread_sigmask(SIG_SETMASK, &all, &before);
        thread = g_thread_new(name, func, data);
        (void) pthread_sigmask(SIG_SETMASK, &before, NULL);
        return thread;
}
