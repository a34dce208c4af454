/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* tee-simulator: what a TDX or SEV-SNP guest sees at /sys/kernel/config, without
 * either. For tests only; it is never installed. */
#include "control.h"
#include "fault.h"
#include "files.h"
#include "forge.h"
#include "ima.h"
#include "registers.h"
#include "tpm.h"
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
static gint privlevel_floor;
static gboolean has_svsm;
static char **settings;
static char *machine_path;
static gboolean has_ima, has_registers;
static gint tpm_fd = -1;

static const GOptionEntry options[] = {
        { "control", 'c', 0, G_OPTION_ARG_FILENAME, &control_path, "listen on this UNIX socket", "PATH" },
        { "state", 's', 0, G_OPTION_ARG_FILENAME, &state_dir, "roots, their digests and keys are in DIR", "DIR" },
        { "provider", 'p', 0, G_OPTION_ARG_STRING, &provider, "tdx_guest by default; sev_guest; or none",
          "NAME" },
        { "privlevel-floor", 0, 0, G_OPTION_ARG_INT, &privlevel_floor, "sev_guest: VMPL of the guest, 0 to 3",
          "N" },
        { "svsm", 0, 0, G_OPTION_ARG_NONE, &has_svsm, "sev_guest: what runs at VMPL 0 attests its services", NULL },
        { "set", 0, 0, G_OPTION_ARG_STRING_ARRAY, &settings, "as the command set; may be repeated", "FIELD=VALUE" },
        { "machine", 'm', 0, G_OPTION_ARG_FILENAME, &machine_path,
          "mount the following there, to be bound where the kernel has it", "DIR" },
        { "ima", 0, 0, G_OPTION_ARG_NONE, &has_ima, "ima/, of securityfs", NULL },
        { "registers", 0, 0, G_OPTION_ARG_NONE, &has_registers, "measurements/ of tdx_guest, dev/tdx_guest", NULL },
        { "tpm", 0, 0, G_OPTION_ARG_INT, &tpm_fd, "tpm0/, dev/tpmrm0: the descriptor leads to a swtpm", "FD" },
        { "no-core", 0, 0, G_OPTION_ARG_NONE, &is_without_core, "an empty configfs: tsm.ko is not loaded", NULL },
        { "delay", 'd', 0, G_OPTION_ARG_INT64, &delay_ms, "what a report takes", "MS" },
        { "seed", 0, 0, G_OPTION_ARG_INT64, &seed, "of the random faults", "N" },
        { NULL },
};

typedef struct Simulator {
        GMainLoop *loop;
        Control *control;
        Files *files;
        Registers *registers;
        Tpm *tpm;
        Ima *ima;
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

static bool set_all(Tsm *tsm, GError **error) {
        for (char **s = settings; s && *s; s++) {
                g_auto(GStrv) pair = g_strsplit(*s, "=", 2);
                g_autofree char *why = NULL;

                if (!pair[0] || !pair[1] || !tsm_set_field(tsm, pair[0], pair[1], &why)) {
                        g_set_error(error, G_OPTION_ERROR, G_OPTION_ERROR_BAD_VALUE, "%s", why ? why : "FIELD=VALUE");
                        return false;
                }
        }
        return true;
}

/* What else of the guest is shown. */
static bool show_machine(Simulator *s, Forge *forge, Witness *witness, GError **error) {
        if (!machine_path)
                return true;

        s->files = files_new(machine_path, on_gone, s, error);
        if (!s->files)
                return false;
        if (has_registers)
                s->registers = registers_new(s->files, forge, witness, on_changed, s);
        if (tpm_fd >= 0) {
                s->tpm = tpm_new(tpm_fd, s->files, witness, error);
                if (!s->tpm)
                        return false;
        }
        if (has_ima)
                s->ima = ima_new(s->files, s->tpm);
        return true;
}

static void hide_machine(Simulator *s) {
        if (s->registers)
                registers_release(s->registers);
        files_free(s->files);
        tpm_free(s->tpm);
        ima_free(s->ima);
        registers_free(s->registers);
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

        tsm = tsm_new(forge, state_dir, faults, witness, on_changed, &s);
        tsm_set_delay(tsm, (guint) CLAMP(delay_ms, 0, G_MAXINT));
        tsm_set_floor(tsm, (guint) CLAMP(privlevel_floor, 0, 3));
        tsm_set_svsm(tsm, has_svsm);
        if (g_strcmp0(provider, "none") != 0)
                (void) tsm_set_provider(tsm, provider ? provider : "tdx_guest"); /* the first one finds no entries */

        if (!set_all(tsm, error))
                return false;

        if (!show_machine(&s, forge, witness, error)) {
                hide_machine(&s);
                return false;
        }
        tree = tree_mount(tsm, mountpoint, !is_without_core, on_gone, &s, error);
        if (!tree) {
                hide_machine(&s);
                return false;
        }
        if (control_path) {
                ControlOf of = { tsm, tree, faults, witness, s.ima, s.registers, s.tpm, on_gone, &s };

                s.control = control_new(control_path, &of, error);
        }

        if (s.control || !control_path) {
                g_unix_signal_add(SIGTERM, on_signal, &s);
                g_unix_signal_add(SIGINT, on_signal, &s);
                printf("ready root-spki-sha256=%s\n", tsm_root(tsm));
                (void) fflush(stdout); /* nobody may be listening */
                g_main_loop_run(loop);
        }

        hide_machine(&s);
        control_free(g_steal_pointer(&s.control));
        tsm_abandon(tsm);
        tree_unmount_and_free(tree);
        return !*error;
}

int main(int argc, char **argv) {
        g_autoptr(GOptionContext) context = g_option_context_new("MOUNTPOINT");
        g_autoptr(GError) error = NULL;

        g_option_context_set_summary(context, "Shows the kernel's configfs-tsm, with a driver of a TEE that is none.");
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
