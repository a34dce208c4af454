/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "attestctl.h"

#include <locale.h>
#include <stdio.h>
#include <string.h>

static const struct {
        const char *name;
        int (*run)(int argc, char **argv);
        const char *what;
} verbs[] = {
        { "status", ctl_status, "what attestd says of this guest" },
        { "log", ctl_log, "print what was measured in this guest" },
        { "watch", ctl_watch, "print each change of this guest, until interrupted" },
        { "evidence", ctl_evidence, "ask attestd for evidence" },
        { "show", ctl_show, "print what is in a quote, evidence, or an authenticator" },
        { "verify", ctl_verify, "appraise evidence by a policy" },
        { "boot", ctl_boot, "replay the event log of a boot" },
        { "ima", ctl_ima, "replay a list of the kernel's integrity measurements" },
};

static void print_usage(FILE *to) {
        (void) fprintf(to, "usage: attestctl VERB [OPTION...] [FILE]\n\n");
        for (size_t i = 0; i < G_N_ELEMENTS(verbs); i++)
                (void) fprintf(to, "  %-10s%s\n", verbs[i].name, verbs[i].what);
        (void) fprintf(to, "\nattestctl VERB --help tells more of one verb; attestctl(1) of all.\n");
}

int main(int argc, char **argv) {
        (void) setlocale(LC_ALL, "");
        g_set_prgname("attestctl");

        if (argc == 2 && (g_str_equal(argv[1], "--help") || g_str_equal(argv[1], "-h"))) {
                print_usage(stdout);
                return ctl_flush(CTL_YES);
        }
        if (argc == 2 && g_str_equal(argv[1], "--version")) {
                (void) printf("attestctl %s\n", ATT_VERSION);
                return ctl_flush(CTL_YES);
        }

        for (size_t i = 0; argc > 1 && i < G_N_ELEMENTS(verbs); i++)
                if (g_str_equal(argv[1], verbs[i].name))
                        return ctl_flush(verbs[i].run(argc - 1, argv + 1));

        if (argc > 1)
                (void) ctl_fail(CTL_USAGE, "no such verb: %s", argv[1]);
        print_usage(stderr);
        return CTL_USAGE;
}
