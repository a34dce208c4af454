/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* tee-responder: the quoting enclave, or the secure processor, behind the module
 * tee_double in a test VM. It signs what is asked for under a test root, or does
 * what it was told to do wrong. */
#include "fault.h"
#include "forge-snp.h"
#include "forge.h"
#include "module/tee-double.h"
#include "shape.h"
#include "witness.h"

#include <errno.h>
#include <fcntl.h>
#include <gio/gio.h>
#include <glib-unix.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* RTMRs in a TDREPORT: those of a quote are the guest's, not the forge's. */
#define RTMR_AT 720u
#define RTMR_SIZE 48u

static char *state_dir;

static const GOptionEntry options[] = {
        { "state", 's', 0, G_OPTION_ARG_FILENAME, &state_dir, "keys and roots are kept in DIR", "DIR" },
        { NULL },
};

typedef struct Responder {
        GMainLoop *loop;
        Faults *faults;
        Forge *tdx; /* one of the two */
        SnpForge *snp;
        int device;
        guint watch;
        GString *line; /* of standard input, as far as it has come */

        bool holds;     /* every request, until it is released */
        gint64 delay_ms;
        guint64 n_made, n_failed;

        /* The request that is being answered. */
        bool is_held;
        struct tee_double_request request;
        guint timer;
        int error;
        guint32 firmware_error, vmm_error, certs_pages; /* with it */
        guint n_busy; /* EBUSY for that many of the following */
        GPtrArray *shapes; /* of Shape */
        char *report_data; /* word of the fault; NULL: what was asked for */
        guint8 previous[FORGE_REPORT_DATA_SIZE];
} Responder;

static const char usage[] =
        "Commands on standard input, a line each, answered by \"ok …\" or \"error …\":\n"
        "  fault NAME… [after N] [times K]   what goes wrong; its number\n"
        "  clear [N]                         no more\n"
        "  hold, release [one]               leave requests unanswered, and answer them\n"
        "  delay MS                          what a report takes\n"
        "  set FIELD VALUE                   of the reports that follow\n"
        "  exit FIRMWARE VMM PAGES           what /dev/sev-guest tells besides an errno, of the firmware and of the\n"
        "                                    host; with VMM 1, how much room the host wants for certificates\n"
        "  stats                             made=N failed=N held=0|1\n"
        "Each request is told on standard error.\n"
        "\n"
        "Faults: stall, ebusy, eintr, etimedout, enotty, empty, short, oversized, trailing, length-field,\n"
        "reportdata, errno read:outblob NAME; `tee-simulator --help` says what they do.\n";

static const char *const faults_known[] = {
        "stall", "ebusy", "eintr", "etimedout", "enotty", "empty", "short", "oversized", "trailing", "length-field",
        "reportdata", "errno", NULL,
};

G_GNUC_PRINTF(1, 2) static void reply(const char *format, ...) {
        va_list arguments;

        va_start(arguments, format);
        (void) vprintf(format, arguments);
        va_end(arguments);
        (void) putchar('\n');
        (void) fflush(stdout);
}

/* ----- making a report */

static void rtmrs_of_guest(Forge *forge, const guint8 *tdreport) {
        for (guint n = 0; n < 4; n++) {
                g_autoptr(GString) hex = g_string_new(NULL);
                char name[] = { 'r', 't', 'm', 'r', (char) ('0' + n), '\0' };
                g_autofree char *why = NULL;

                for (guint i = 0; i < RTMR_SIZE; i++)
                        g_string_append_printf(hex, "%02x", tdreport[RTMR_AT + n * RTMR_SIZE + i]);
                if (!forge_set(forge, name, hex->str, &why))
                        g_error("%s", why);
        }
}

/* The blobs of an answer, in their order behind its head. */
static void append_blob(GByteArray *answer, GByteArray *blob, guint32 *ret_size) {
        g_byte_array_append(answer, blob->data, blob->len);
        *ret_size = blob->len;
        g_byte_array_unref(blob);
}

static GByteArray *make_quote(Responder *r, guint8 *report_data) {
        rtmrs_of_guest(r->tdx, r->request.tdreport);
        return forge_quote(r->tdx, report_data);
}

static bool is_by_svsm(const Responder *r) {
        return r->snp && r->request.service_provider[0] != '\0';
}

static GByteArray *make_report(Responder *r, guint8 *report_data) {
        if (is_by_svsm(r)) {
                g_autoptr(GByteArray) manifest = snp_forge_manifest();

                snp_forge_bind_manifest(report_data, manifest);
        }
        snp_forge_set_vmpl(r->snp, is_by_svsm(r) ? 0 : r->request.privlevel);
        return snp_forge_report(r->snp, report_data);
}

static void append_blobs(Responder *r, GByteArray *answer, struct tee_double_answer *head) {
        guint8 report_data[FORGE_REPORT_DATA_SIZE];
        GByteArray *outblob;

        memcpy(report_data, r->request.inblob, sizeof report_data);
        shape_report_data(r->report_data, r->previous, r->faults, report_data);
        memcpy(r->previous, r->request.inblob, sizeof r->previous);

        outblob = r->tdx ? make_quote(r, report_data) : make_report(r, report_data);
        for (guint i = 0; i < r->shapes->len; i++)
                shape_bend(r->shapes->pdata[i], r->faults, outblob);
        append_blob(answer, outblob, &head->outblob_size);
        if (r->snp)
                append_blob(answer, snp_forge_table(r->snp), &head->auxblob_size);
        if (is_by_svsm(r))
                append_blob(answer, snp_forge_manifest(), &head->manifestblob_size);
}

static void watch_device(Responder *r);

static void finish(Responder *r) {
        struct tee_double_answer head = { .id = r->request.id, .error = (guint32) r->error };
        g_autoptr(GByteArray) answer = g_byte_array_new();
        const char *fate = errno_name(r->error);

        g_byte_array_set_size(answer, sizeof head);
        if (r->error == 0) {
                append_blobs(r, answer, &head);
                r->n_made++;
        } else {
                head.firmware_error = r->firmware_error;
                head.vmm_error = r->vmm_error;
                head.certs_pages = r->certs_pages;
                r->n_failed++;
        }
        memcpy(answer->data, &head, sizeof head);

        if (write(r->device, answer->data, answer->len) < 0)
                fate = errno == ESTALE ? "late" : errno_name(errno);
        g_printerr("answered %u %s outblob=%u auxblob=%u manifestblob=%u\n", head.id, fate, head.outblob_size,
                   head.auxblob_size, head.manifestblob_size);
        r->is_held = false;
        watch_device(r);
}

static gboolean on_due(gpointer userdata) {
        Responder *r = userdata;

        r->timer = 0;
        if (r->holds) {
                r->is_held = true;
                g_printerr("held %u\n", r->request.id);
        } else
                finish(r);
        return G_SOURCE_REMOVE;
}

/* ----- requests */

static void strike(Responder *r, const Fault *fault) {
        switch ((int) fault->kind) {
        case FAULT_STALL:
                r->delay_ms += fault->number[0] == FAULT_FOREVER ? G_MAXINT32 : fault->number[0];
                break;
        case FAULT_EBUSY:
                r->error = EBUSY;
                break;
        case FAULT_EINTR:
                r->error = EINTR;
                r->n_busy = (guint) MAX(fault->number[0], 0);
                break;
        case FAULT_ETIMEDOUT:
                r->error = ETIMEDOUT;
                r->delay_ms += fault->number[0];
                r->n_busy = (guint) MAX(fault->number[1], 0);
                break;
        case FAULT_ENOTTY:
                r->error = ENOTTY;
                break;
        case FAULT_ERRNO:
                r->error = fault->error;
                break;
        case FAULT_REPORT_DATA:
                g_free(r->report_data);
                r->report_data = g_strdup(fault->word);
                break;
        default:
                g_ptr_array_add(r->shapes, shape_new(fault->kind, fault->number[0],
                                                     g_strcmp0(fault->word, "nonzero") == 0));
        }
}

static void begin(Responder *r) {
        gint64 usual_ms = r->delay_ms;
        GPtrArray *struck = faults_strike(r->faults, FAULT_AT_REPORT, NULL);

        g_printerr("request %u privlevel=%u certs=%u\n", r->request.id, r->request.privlevel, r->request.certs_size);
        r->error = 0;
        g_ptr_array_set_size(r->shapes, 0);
        g_clear_pointer(&r->report_data, g_free);
        if (r->n_busy > 0) {
                r->n_busy--;
                r->error = EBUSY;
        }
        for (guint i = 0; i < struck->len; i++)
                strike(r, struck->pdata[i]);
        struck = faults_strike(r->faults, FAULT_AT_CALL, "read:outblob");
        for (guint i = 0; i < struck->len; i++)
                strike(r, struck->pdata[i]);

        r->timer = g_timeout_add((guint) CLAMP(r->delay_ms, 0, G_MAXINT32), on_due, r);
        r->delay_ms = usual_ms;
}

static gboolean on_request(gint fd, GIOCondition condition, gpointer userdata) {
        Responder *r = userdata;

        (void) condition;
        if (read(fd, &r->request, sizeof r->request) != sizeof r->request)
                return G_SOURCE_CONTINUE; /* it was taken back */

        r->watch = 0;
        begin(r);
        return G_SOURCE_REMOVE;
}

/* One after the other: a real one has no second queue either. */
static void watch_device(Responder *r) {
        if (r->watch == 0)
                r->watch = g_unix_fd_add(r->device, G_IO_IN, on_request, r);
}

/* ----- commands */

static void on_fault(Responder *r, char **words) {
        g_autofree char *why = NULL;
        guint id;

        if (!words[0] || !g_strv_contains(faults_known, words[0])) {
                reply("error no such fault here");
                return;
        }
        id = faults_add(r->faults, words, &why);
        if (id)
                reply("ok %u", id);
        else
                reply("error %s", why);
}

static void on_clear(Responder *r, char **words) {
        guint64 id = 0;

        if (words[0] && !g_ascii_string_to_unsigned(words[0], 10, 1, G_MAXUINT, &id, NULL))
                reply("error clear [N]");
        else if (faults_clear(r->faults, (guint) id))
                reply("ok");
        else
                reply("error no such fault");
}

static void on_hold(Responder *r, char **words) {
        (void) words;
        r->holds = true;
        reply("ok");
}

static void on_release(Responder *r, char **words) {
        r->holds = g_strcmp0(words[0], "one") == 0;
        reply("ok");
        if (r->is_held)
                finish(r);
}

static void on_delay(Responder *r, char **words) {
        guint64 ms;

        if (!words[0] || !g_ascii_string_to_unsigned(words[0], 10, 0, G_MAXINT32, &ms, NULL)) {
                reply("error delay MS");
                return;
        }
        r->delay_ms = (gint64) ms;
        reply("ok");
}

static void on_exit_info(Responder *r, char **words) {
        guint64 all[3];

        for (guint i = 0; i < G_N_ELEMENTS(all); i++) {
                if (!words[0] || !g_ascii_string_to_unsigned(words[0], 10, 0, G_MAXUINT32, &all[i], NULL)) {
                        reply("error exit FIRMWARE VMM PAGES");
                        return;
                }
                words++;
        }
        r->firmware_error = (guint32) all[0];
        r->vmm_error = (guint32) all[1];
        r->certs_pages = (guint32) all[2];
        reply("ok");
}

static void on_set(Responder *r, char **words) {
        g_autofree char *why = NULL;

        if (!words[0] || !words[1] || words[2])
                reply("error set FIELD VALUE");
        else if (r->tdx ? forge_set(r->tdx, words[0], words[1], &why) : snp_forge_set(r->snp, words[0], words[1], &why))
                reply("ok");
        else
                reply("error %s", why);
}

static void on_stats(Responder *r, char **words) {
        (void) words;
        reply("ok made=%" G_GUINT64_FORMAT " failed=%" G_GUINT64_FORMAT " held=%d", r->n_made, r->n_failed,
               r->is_held);
}

static const struct {
        const char *name;
        void (*obey)(Responder *r, char **words);
} commands[] = {
        { "fault", on_fault },     { "clear", on_clear }, { "hold", on_hold },
        { "release", on_release }, { "delay", on_delay }, { "set", on_set },
        { "exit", on_exit_info },  { "stats", on_stats },
};

static void obey(Responder *r, const char *line) {
        g_auto(GStrv) words = g_strsplit(line, " ", -1);

        for (guint i = 0; words[0] && i < G_N_ELEMENTS(commands); i++)
                if (g_str_equal(words[0], commands[i].name)) {
                        commands[i].obey(r, words + 1);
                        return;
                }
        reply("error no such command");
}

/* Without commands it goes on answering. */
static gboolean on_input(gint fd, GIOCondition condition, gpointer userdata) {
        Responder *r = userdata;
        char data[4096];
        ssize_t n = read(fd, data, sizeof data);
        char *end;

        (void) condition;
        if (n <= 0)
                return G_SOURCE_REMOVE;

        g_string_append_len(r->line, data, n);
        while ((end = memchr(r->line->str, '\n', r->line->len))) {
                *end = '\0';
                obey(r, r->line->str);
                g_string_erase(r->line, 0, end - r->line->str + 1);
        }
        return G_SOURCE_CONTINUE;
}

static gboolean on_signal(gpointer userdata) {
        g_main_loop_quit(((Responder *) userdata)->loop);
        return G_SOURCE_CONTINUE;
}

/* ----- start */

static bool respond(const char *tee, GError **error) {
        g_autoptr(GMainLoop) loop = g_main_loop_new(NULL, FALSE);
        g_autoptr(Faults) faults = faults_new(1);
        g_autoptr(GPtrArray) shapes = g_ptr_array_new_with_free_func(g_free);
        bool is_tdx = g_str_equal(tee, "tdx");
        g_autoptr(Forge) tdx = is_tdx ? forge_new(state_dir, error) : NULL;
        g_autoptr(SnpForge) snp = is_tdx ? NULL : snp_forge_new(state_dir, error);
        Responder r = { .loop = loop, .faults = faults, .tdx = tdx, .snp = snp, .shapes = shapes };

        if (!tdx && !snp)
                return false;
        r.device = open(TEE_DOUBLE_PATH, O_RDWR | O_NONBLOCK | O_CLOEXEC);
        if (r.device < 0) {
                g_set_error(error, G_FILE_ERROR, (gint) g_file_error_from_errno(errno), TEE_DOUBLE_PATH ": %s",
                            g_strerror(errno));
                return false;
        }

        r.line = g_string_new(NULL);
        g_unix_signal_add(SIGTERM, on_signal, &r);
        g_unix_signal_add(SIGINT, on_signal, &r);
        g_unix_fd_add(STDIN_FILENO, G_IO_IN, on_input, &r);
        watch_device(&r);
        reply("ready root-spki-sha256=%s", tdx ? forge_root_spki_sha256(tdx) : snp_forge_root_spki_sha256(snp));
        g_main_loop_run(loop);

        g_string_free(r.line, TRUE);
        g_free(r.report_data);
        (void) close(r.device);
        return true;
}

int main(int argc, char **argv) {
        g_autoptr(GOptionContext) context = g_option_context_new("tdx|snp");
        g_autoptr(GError) error = NULL;

        g_option_context_set_summary(context, "Answers the requests of the module tee_double with signed reports.");
        g_option_context_set_description(context, usage);
        g_option_context_add_main_entries(context, options, NULL);
        if (!g_option_context_parse(context, &argc, &argv, &error)) {
                g_printerr("tee-responder: %s\n", error->message);
                return 2;
        }
        if (argc != 2 || (!g_str_equal(argv[1], "tdx") && !g_str_equal(argv[1], "snp"))) {
                g_printerr("tee-responder: tdx or snp? --help says more\n");
                return 2;
        }

        if (!respond(argv[1], &error)) {
                g_printerr("tee-responder: %s\n", error->message);
                return 1;
        }
        return 0;
}
