/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The verifier of a relying party: options, and the service. */
#include "bus/verifier1.h"

#include <stdio.h>
#include <unistd.h>

int main(int argc, char **argv) {
        gboolean verbose = FALSE, version = FALSE;
        const GOptionEntry options[] = {
                { "verbose", 0, 0, G_OPTION_ARG_NONE, &verbose, "Log every verdict", NULL },
                { "version", 0, 0, G_OPTION_ARG_NONE, &version, "Print the version and exit", NULL },
                { NULL },
        };
        g_autoptr(GOptionContext) context = g_option_context_new(NULL);
        g_autoptr(GError) error = NULL;

        g_option_context_set_summary(context, "Appraises attestation evidence, on the system bus.");
        g_option_context_add_main_entries(context, options, NULL);
        if (!g_option_context_parse(context, &argc, &argv, &error)) {
                fprintf(stderr, "attestd-verifier: %s\n", error->message);
                return ATT_EXIT_USAGE;
        }
        if (argc > 1) {
                fprintf(stderr, "attestd-verifier: takes no arguments, but got \"%s\"\n", argv[1]);
                return ATT_EXIT_USAGE;
        }
        if (version) {
                puts("attestd-verifier " ATT_VERSION);
                return ATT_EXIT_STOPPED;
        }

        /* What it reads comes from anybody: nothing is lost if it has no rights. */
        if (getuid() == 0 || geteuid() == 0) {
                fputs("attestd-verifier: must not run as root: run it as its own user, as its unit does\n", stderr);
                return ATT_EXIT_USAGE;
        }

        g_log_set_debug_enabled(verbose);
        return (int) att_verifier1_run(&(AttVerifier1Configuration) { .policy_directory = ATT_POLICY_DIRECTORY });
}
