/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "attester/configuration.h"
#include "bus/attester1.h"
#include "tee/privileges.h"
#include "tee/thread.h"
#include "tee/tpm.h"

#include <stdio.h>
#include <sys/resource.h>

/* Each connection takes some. The soft limit is for programs that select(2). */
static void raise_descriptor_limit(void) {
        struct rlimit limit;

        if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
                return;
        limit.rlim_cur = limit.rlim_max;
        (void) setrlimit(RLIMIT_NOFILE, &limit);
}

static int run(int argc, char **argv) {
        gboolean verbose = FALSE, version = FALSE;
        const GOptionEntry options[] = {
                { "verbose", 0, 0, G_OPTION_ARG_NONE, &verbose, "Log what is asked and answered", NULL },
                { "version", 0, 0, G_OPTION_ARG_NONE, &version, "Print the version", NULL },
                { 0 },
        };
        g_autoptr(GOptionContext) context = g_option_context_new(NULL);
        g_autoptr(AttConfiguration) configuration = NULL;
        g_autoptr(AttEventSource) events = NULL;
        g_autoptr(GError) error = NULL;

        g_option_context_add_main_entries(context, options, NULL);
        if (!g_option_context_parse(context, &argc, &argv, &error)) {
                (void) fprintf(stderr, "attestd: %s\n", error->message);
                return ATT_EXIT_USAGE;
        }
        if (argc > 1) {
                (void) fprintf(stderr, "attestd: takes no arguments\n");
                return ATT_EXIT_USAGE;
        }
        if (version) {
                (void) printf("attestd %s\n", ATT_VERSION);
                return 0;
        }

        g_log_set_debug_enabled(verbose);
        configuration = att_configuration_load(ATT_CONFIGURATION_DIR, &error);
        if (!configuration) {
                g_warning("%s", error->message);
                return ATT_EXIT_USAGE;
        }

        raise_descriptor_limit();
        att_tpm_init();

        /* What needs privileges, and then none of them any more: before threads, before the bus. */
        events = att_event_source_open();
        if (!att_privileges_drop(configuration->observed, &error)) {
                g_warning("cannot drop privileges: %s", error->message);
                return ATT_EXIT_FAILURE;
        }

        return (int) att_service_run(&att_attester1, &(AttAttester1Start) { configuration, events });
}

int main(int argc, char **argv) {
        att_thread_exit(run(argc, argv));
}
