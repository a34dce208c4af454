/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* tee-simulator: what a TDX guest sees at /sys/kernel/config, without TDX. For
 * tests only; it is never installed. */
#include "control.h"
#include "fault.h"
#include "forge.h"
#include "tree.h"
#include "tsm.h"
#include "witness.h"

#include <glib-unix.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static char *control_path, *state_dir;
static char *provider;
static gboolean is_without_core;
static gint64 delay_ms, seed = 1;

static const GOptionEntry options[] = {
        { "control", 'c', 0, G_OPTION_ARG_FILENAME, &control_path, "listen on this UNIX socket", "PATH" },
        { "state", 's', 0, G_OPTION_ARG_FILENAME, &state_dir, "root.pem, root-spki-sha256 and keys are in DIR", "DIR" },
        { "provider", 'p', 0, G_OPTION_ARG_STRING, &provider, "tdx_guest by default; or none", "NAME" },
        { "no-core", 0, 0, G_OPTION_ARG_NONE, &is_without_core, "an empty configfs: tsm.ko is not loaded", NULL },
        { "delay", 'd', 0, G_OPTION_ARG_INT64, &delay_ms, "what a report takes", "MS" },
        { "seed", 0, 0, G_OPTION_ARG_INT64, &seed, "of the random faults", "N" },
        { NULL },
};

typedef struct Simulator {
        GMainLoop *loop;
        Control *control;
} Simulator;

static void on_changed(gpointer userdata) {
        control_changed(((Simulator *) userdata)->control);
}

static void on_gone(gpointer userdata) {
        g_main_loop_quit(((Simulator *) userdata)->loop);
}

static gboolean on_signal(gpointer userdata) {
        on_gone(userdata);
        return G_SOURCE_CONTINUE;
}

static bool simulate(const char *mountpoint, GError **error) {
        g_autoptr(GMainLoop) loop = g_main_loop_new(NULL, FALSE);
        Simulator s = { .loop = loop };
        g_autoptr(Faults) faults = faults_new((guint64) seed);
        g_autoptr(Witness) witness = witness_new();
        g_autoptr(Forge) forge = forge_new(state_dir, error);
        g_autoptr(Tsm) tsm = NULL;
        Tree *tree;

        if (!forge)
                return false;

        tsm = tsm_new(forge, faults, witness, on_changed, &s);
        tsm_set_delay(tsm, (guint) CLAMP(delay_ms, 0, G_MAXINT));
        if (g_strcmp0(provider, "none") != 0)
                (void) tsm_set_provider(tsm, provider ? provider : "tdx_guest"); /* the first one finds no entries */

        tree = tree_mount(tsm, mountpoint, !is_without_core, on_gone, &s, error);
        if (!tree)
                return false;
        if (control_path) {
                ControlOf of = { tsm, tree, forge, faults, witness, on_gone, &s };

                s.control = control_new(control_path, &of, error);
        }

        if (s.control || !control_path) {
                g_unix_signal_add(SIGTERM, on_signal, &s);
                g_unix_signal_add(SIGINT, on_signal, &s);
                printf("ready root-spki-sha256=%s\n", forge_root_spki_sha256(forge));
                (void) fflush(stdout); /* nobody may be listening */
                g_main_loop_run(loop);
        }

        control_free(g_steal_pointer(&s.control));
        tsm_abandon(tsm);
        tree_unmount_and_free(tree);
        return !*error;
}

int main(int argc, char **argv) {
        g_autoptr(GOptionContext) context = g_option_context_new("MOUNTPOINT");
        g_autoptr(GError) error = NULL;

        g_option_context_set_summary(context, "Shows the kernel's configfs-tsm, with a TDX guest driver that is none.");
        g_option_context_set_description(context, control_help());
        g_option_context_add_main_entries(context, options, NULL);
        if (!g_option_context_parse(context, &argc, &argv, &error)) {
                g_printerr("tee-simulator: %s\n", error->message);
                return 2;
        }
        if (argc != 2) {
                g_printerr("tee-simulator: one mount point, please; --help says more\n");
                return 2;
        }

        if (!simulate(argv[1], &error)) {
                g_printerr("tee-simulator: %s\n", error ? error->message : "failed");
                return 1;
        }
        return 0;
}
