/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "control.h"

#include "octets.h"

#include <errno.h>
#include <gio/gio.h>
#include <glib-unix.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define LINE_MAX_SIZE 65536u

struct Control {
        ControlOf of;
        int fd;
        char *path;
        guint watch;
        GPtrArray *clients; /* owned */
};

typedef struct Client {
        Control *control; /* borrowed */
        guint n_refs;     /* the list, and each operation that will answer */
        int fd;           /* -1: it has gone */
        guint in_watch, out_watch;
        GString *in, *out;

        /* A "wait": the figure that it waits for */
        char *figure;
        guint64 wanted;
        bool is_waiting; /* for a figure or for an operation: the next line has to wait too */
} Client;

static void client_unref(Client *c) {
        if (--c->n_refs > 0)
                return;

        g_string_free(c->in, TRUE);
        g_string_free(c->out, TRUE);
        g_free(c->figure);
        g_free(c);
}

static void client_drop(Client *c) {
        if (c->fd < 0)
                return;

        g_clear_handle_id(&c->in_watch, g_source_remove);
        g_clear_handle_id(&c->out_watch, g_source_remove);
        close(c->fd);
        c->fd = -1;
        g_ptr_array_remove_fast(c->control->clients, c); /* gives up the list's reference */
}

static gboolean on_writable(gint fd, GIOCondition condition, gpointer userdata) {
        Client *c = userdata;
        ssize_t n = send(fd, c->out->str, c->out->len, MSG_NOSIGNAL);

        (void) condition;
        if (n < 0 && errno != EAGAIN && errno != EINTR) {
                c->out_watch = 0;
                client_drop(c);
                return G_SOURCE_REMOVE;
        }

        g_string_erase(c->out, 0, MAX(n, 0));
        if (c->out->len > 0)
                return G_SOURCE_CONTINUE;
        c->out_watch = 0;
        return G_SOURCE_REMOVE;
}

/* Never blocks: who asks may be about to use the device and not to read. */
static void say(Client *c, const char *text) {
        if (c->fd < 0)
                return;

        g_string_append(c->out, text);
        if (c->out_watch == 0)
                c->out_watch = g_unix_fd_add(c->fd, G_IO_OUT, on_writable, c);
}

G_GNUC_PRINTF(2, 3) static void answer(Client *c, const char *format, ...) {
        g_autofree char *line = NULL;
        va_list arguments;

        va_start(arguments, format);
        line = g_strdup_vprintf(format, arguments);
        va_end(arguments);
        say(c, line);
        say(c, "\n");
}

static void answer_errno(Client *c, int error) {
        if (error)
                answer(c, "error %s", errno_name(error));
        else
                answer(c, "ok");
}

/* Commands. Each gets its words without its own name, NULL-terminated. */

static bool figure_of(Control *control, const char *name, guint64 *ret) {
        TsmStats s;

        tsm_stats(control->of.tsm, &s);
        if (g_str_equal(name, "reports"))
                *ret = s.n_made;
        else if (g_str_equal(name, "failed"))
                *ret = s.n_failed;
        else if (g_str_equal(name, "started"))
                *ret = s.n_started;
        else if (g_str_equal(name, "queued"))
                *ret = s.n_queued;
        else if (g_str_equal(name, "held"))
                *ret = s.is_held ? 1 : 0;
        else if (g_str_equal(name, "held-calls"))
                *ret = control->of.registers ? registers_count_held(control->of.registers) : 0;
        else if (g_str_equal(name, "entries"))
                *ret = s.n_entries;
        else if (g_str_equal(name, "modes"))
                *ret = s.n_modes;
        else if (g_str_equal(name, "idle"))
                *ret = s.n_files == 0 && !s.is_running && s.n_queued == 0 ? 1 : 0;
        else
                return false;
        return true;
}

static bool parse_number(const char *text, guint64 max, guint64 *ret) {
        return text && g_ascii_string_to_unsigned(text, 10, 0, max, ret, NULL);
}

static void on_provider(Client *c, char **words) {
        bool is_none = g_strcmp0(words[0], "none") == 0;

        if (!words[0] || words[1])
                answer(c, "error provider NAME|none");
        else
                answer_errno(c, tsm_set_provider(c->control->of.tsm, is_none ? NULL : words[0]));
}

static void on_core(Client *c, char **words) {
        bool is_loaded = g_strcmp0(words[0], "loaded") == 0;

        if (!is_loaded && g_strcmp0(words[0], "absent") != 0)
                answer(c, "error core loaded|absent");
        else
                answer_errno(c, tree_set_core(c->control->of.tree, is_loaded));
}

static void on_delay(Client *c, char **words) {
        guint64 ms;

        if (!parse_number(words[0], G_MAXINT, &ms)) {
                answer(c, "error delay MS");
                return;
        }
        tsm_set_delay(c->control->of.tsm, (guint) ms);
        answer(c, "ok");
}

static void on_fault(Client *c, char **words) {
        g_autofree char *why = NULL;
        guint id = faults_add(c->control->of.faults, words, &why);

        if (id)
                answer(c, "ok %u", id);
        else
                answer(c, "error %s", why);
}

static void on_faults(Client *c, char **words) {
        g_autoptr(GString) text = g_string_new(NULL);

        (void) words;
        answer(c, "ok %u", faults_list(c->control->of.faults, text));
        say(c, text->str);
}

static void on_clear(Client *c, char **words) {
        guint64 id = 0;

        if (words[0] && !parse_number(words[0], G_MAXUINT, &id))
                answer(c, "error clear [ID]");
        else if (!faults_clear(c->control->of.faults, (guint) id))
                answer(c, "error no such fault");
        else
                answer(c, "ok");
}

static void on_hold(Client *c, char **words) {
        (void) words;
        tsm_hold(c->control->of.tsm);
        answer(c, "ok");
}

static void on_release(Client *c, char **words) {
        if (words[0] && !g_str_equal(words[0], "one")) {
                answer(c, "error release [one]");
                return;
        }
        answer(c, "ok");
        tsm_release(c->control->of.tsm, words[0] == NULL);
}

static void on_wait(Client *c, char **words) {
        guint64 now;

        if (!words[0] || !figure_of(c->control, words[0], &now) ||
            !parse_number(words[1] ? words[1] : "1", G_MAXINT64, &c->wanted)) {
                answer(c, "error wait reports|failed|started|queued|held|held-calls|entries|modes|idle [N]");
                return;
        }
        c->figure = g_strdup(words[0]);
        c->is_waiting = true;
        control_changed(c->control);
}

static void on_stats(Client *c, char **words) {
        TsmStats s;

        (void) words;
        tsm_stats(c->control->of.tsm, &s);
        answer(c,
               "ok started=%" G_GUINT64_FORMAT " reports=%" G_GUINT64_FORMAT " failed=%" G_GUINT64_FORMAT
               " entries=%u open=%u queued=%u running=%d held=%d in-flight=%d provider=%s",
               s.n_started, s.n_made, s.n_failed, s.n_entries, s.n_files, s.n_queued, s.is_running, s.is_held,
               s.is_in_flight, tsm_provider(c->control->of.tsm) ? tsm_provider(c->control->of.tsm) : "none");
}

static void on_witness(Client *c, char **words) {
        g_autoptr(GString) text = g_string_new(NULL);
        guint64 first = 0;

        if (g_strcmp0(words[0], "forget") == 0) {
                witness_forget(c->control->of.witness);
                answer(c, "ok");
                return;
        }
        if (g_strcmp0(words[0], "keep") == 0 && parse_number(words[1], G_MAXUINT, &first)) {
                witness_keep(c->control->of.witness, (guint) first);
                answer(c, "ok");
                return;
        }
        if (words[0] && !parse_number(words[0], G_MAXUINT64, &first)) {
                answer(c, "error witness [FIRST]|forget|keep N");
                return;
        }
        answer(c, "ok %" G_GUINT64_FORMAT, witness_dump(c->control->of.witness, first, text));
        say(c, text->str);
}

static void on_set(Client *c, char **words) {
        g_autofree char *why = NULL;
        guint64 size;

        if (!words[0] || !words[1] || words[2])
                answer(c, "error set FIELD VALUE");
        else if (g_str_equal(words[0], "outblob-max")) {
                if (parse_number(words[1], 64u << 20, &size)) {
                        tsm_set_outblob_max(c->control->of.tsm, size);
                        answer(c, "ok");
                } else
                        answer(c, "error outblob-max is a number of bytes");
        } else if (g_str_equal(words[0], "privlevel-floor")) {
                if (parse_number(words[1], 3, &size)) {
                        tsm_set_floor(c->control->of.tsm, (guint) size);
                        answer(c, "ok");
                } else
                        answer(c, "error privlevel-floor is 0 to 3");
        } else if (g_str_equal(words[0], "svsm")) {
                tsm_set_svsm(c->control->of.tsm, g_str_equal(words[1], "1"));
                answer(c, "ok");
        } else if (tsm_set_field(c->control->of.tsm, words[0], words[1], &why))
                answer(c, "ok");
        else
                answer(c, "error %s", why);
}

/* A foreign process of root: its calls wait for the lock like all others. */

static void foreign_done(TsmOp *op, int error) {
        Client *c = op->request;

        c->is_waiting = false;
        answer_errno(c, error);
        client_unref(c);
}

static TsmOp *foreign_op(Client *c, TsmOpKind kind) {
        TsmOp *op = tsm_op_new(kind, (WitnessCaller) { 0 }, foreign_done, c);

        c->n_refs++;
        c->is_waiting = true;
        op->is_foreign = true;
        return op;
}

static void foreign_named(Client *c, TsmOpKind kind, char **words) {
        TsmOp *op;

        if (!words[0] || words[1] || strchr(words[0], '/')) {
                answer(c, "error NAME of an entry");
                return;
        }
        op = foreign_op(c, kind);
        op->name = g_strdup(words[0]);
        tsm_submit(c->control->of.tsm, op);
}

static void on_entry(Client *c, char **words) {
        foreign_named(c, TSM_OP_MKDIR, words);
}

static void on_remove(Client *c, char **words) {
        foreign_named(c, TSM_OP_RMDIR, words);
}

static void on_rewrite(Client *c, char **words) {
        TsmEntry *entry = words[0] ? tsm_entry_by_name(c->control->of.tsm, words[0]) : NULL;
        guint8 data[TSM_INBLOB_MAX];
        TsmOp *op;

        if (!entry) {
                answer(c, "error %s", errno_name(ENOENT));
                return;
        }

        for (guint i = 0; i < sizeof(data); i++)
                data[i] = (guint8) faults_random(c->control->of.faults, 256);
        op = foreign_op(c, TSM_OP_COMMIT);
        op->entry = tsm_entry_ref(entry);
        op->data = g_bytes_new(data, sizeof(data));
        tsm_submit(c->control->of.tsm, op);
}

static void on_chmod(Client *c, char **words) {
        guint64 mode;

        if (!words[0] || !words[1] || !g_ascii_string_to_unsigned(words[1], 8, 0, 0777, &mode, NULL))
                answer(c, "error chmod NAME OCTAL");
        else
                answer_errno(c, tree_chmod(c->control->of.tree, words[0], (mode_t) mode));
}

static void on_root(Client *c, char **words) {
        (void) words;
        answer(c, "ok %s", tsm_root(c->control->of.tsm));
}

/* The rest of the machine, as far as it was asked for. */

typedef struct ImaCall {
        Client *client;
        char *answer;
        bool is_done;
        bool is_late; /* the client waits */
} ImaCall;

static void ima_done(gpointer userdata) {
        ImaCall *call = userdata;
        Client *c = call->client;

        call->is_done = true;
        if (!call->is_late)
                return; /* on_ima() answers */

        c->is_waiting = false;
        answer(c, "ok%s%s", call->answer ? " " : "", call->answer ? call->answer : "");
        g_free(call->answer);
        g_free(call);
        /* What it says next may have come already, but not from within the TPM's answer to this. */
        if (c->fd >= 0)
                control_changed(c->control);
        client_unref(c);
}

static void on_ima(Client *c, char **words) {
        ImaCall *call = g_new0(ImaCall, 1);
        g_autofree char *why = NULL;

        call->client = c;
        if (!c->control->of.ima)
                why = g_strdup("there is no IMA; --ima");
        else
                why = ima_command(c->control->of.ima, words, &call->answer, ima_done, call);
        if (!why && !call->is_done) {
                call->is_late = true;
                c->is_waiting = true;
                c->n_refs++;
                return;
        }

        if (why)
                answer(c, "error %s", why);
        else
                answer(c, "ok%s%s", call->answer ? " " : "", call->answer ? call->answer : "");
        g_free(call->answer);
        g_free(call);
}

static void on_tpm(Client *c, char **words) {
        const char *why = c->control->of.tpm ? tpm_command(c->control->of.tpm, words) : "there is no TPM; --tpm";

        if (why)
                answer(c, "error %s", why);
        else
                answer(c, "ok");
}

static void on_extend_foreign(Client *c, char **words) {
        guint8 data[FORGE_REGISTER_SIZE] = { 'f', 'o', 'r', 'e', 'i', 'g', 'n' };
        guint64 number;

        if (!c->control->of.registers)
                answer(c, "error there are no registers; --registers");
        else if (!parse_number(words[0], 3, &number) || (words[1] && !octets_parse_hex(words[1], data, sizeof(data))))
                answer(c, "error extend-foreign 0|1|2|3 [HEX]");
        else {
                registers_extend(c->control->of.registers, (guint) number, data);
                answer(c, "ok");
        }
}

static void on_registers_hold(Client *c, char **words) {
        bool is_ioctl = g_strcmp0(words[0], "ioctl") == 0;
        guint64 nth;

        if ((!is_ioctl && g_strcmp0(words[0], "write") != 0) || !parse_number(words[1], G_MAXUINT, &nth) || nth == 0) {
                answer(c, "error registers hold ioctl|write N");
                return;
        }
        registers_hold(c->control->of.registers, is_ioctl, nth);
        answer(c, "ok");
}

static void on_registers(Client *c, char **words) {
        int error = words[0] && words[1] ? errno_by_name(words[1]) : 0;
        bool is_ioctl = g_strcmp0(words[0], "ioctl") == 0, is_write = g_strcmp0(words[0], "write") == 0;

        if (!c->control->of.registers)
                answer(c, "error there are no registers; --registers");
        else if (g_strcmp0(words[0], "hold") == 0)
                on_registers_hold(c, words + 1);
        else if (g_strcmp0(words[0], "release") == 0) {
                registers_release(c->control->of.registers);
                answer(c, "ok");
        } else if (g_strcmp0(words[0], "gone") == 0) {
                registers_fail(c->control->of.registers, ENODEV, ENODEV);
                answer(c, "ok");
        } else if (g_strcmp0(words[0], "well") != 0 && ((!is_ioctl && !is_write) || !error))
                answer(c, "error registers ioctl ERRNO|write ERRNO|gone|well|hold ioctl|write N|release");
        else {
                registers_fail(c->control->of.registers, is_ioctl ? error : 0, is_write ? error : 0);
                answer(c, "ok");
        }
}

static void on_help(Client *c, char **words);

static void on_quit(Client *c, char **words) {
        (void) words;
        answer(c, "ok");
        c->control->of.quit(c->control->of.userdata);
}

static const struct {
        const char *name;
        void (*run)(Client *c, char **words);
        const char *help;
} commands[] = {
        { "provider", on_provider, "provider NAME|none     register (EBUSY while there are entries) or unregister" },
        { "core", on_core, "core loaded|absent     is tsm.ko there?" },
        { "delay", on_delay, "delay MS               of every report, from now on" },
        { "fault", on_fault, "fault NAME [PARAMETER...] [after N] [times K]   answers its id; for ever without times" },
        { "faults", on_faults, "faults                 a line each: how often it struck, how many more pass" },
        { "clear", on_clear, "clear [ID]             disarm one fault, or all" },
        { "hold", on_hold, "hold                   no report is finished until release" },
        { "release", on_release,
          "release [one]          the report held or stalled, and drips; without one, all after it too" },
        { "wait", on_wait,
          "wait FIGURE [N]        answers when it is at least N (1): reports, failed, started, queued,\n"
          "                         held, held-calls (see registers), entries, modes (that were set);\n"
          "                         idle: no descriptor is open and nothing waits" },
        { "stats", on_stats, "stats                  the figures" },
        { "witness", on_witness,
          "witness [FIRST]|forget|keep N   the calls so far, from number FIRST on; none of them; the last\n"
          "                         N only, from now on, as for a million reports: with 0 none is written down" },
        { "set", on_set,
          "set FIELD VALUE        of the quotes, or reports, from now on; outblob-max BYTES of the kernel;\n"
          "                         privlevel-floor N and svsm 0|1 of an SNP guest's VMPL 0" },
        { "entry", on_entry, "entry NAME             a foreign process makes it" },
        { "remove", on_remove, "remove NAME            ... removes it" },
        { "rewrite", on_rewrite, "rewrite NAME           ... commits an inblob of its own" },
        { "chmod", on_chmod, "chmod NAME OCTAL       ... changes the directory's mode" },
        { "extend-foreign", on_extend_foreign,
          "extend-foreign N [HEX] another than sysfs extends an RTMR, by 48 bytes" },
        { "registers", on_registers, "registers ioctl ERRNO|write ERRNO|well   what TDREPORTs and extensions give\n"
          "registers gone           as if their driver were: both fail\n"
          "registers hold ioctl|write N   the N-th from now on is done, and not answered until\n"
          "                         registers release" },
        { "tpm", on_tpm,
          "tpm gone|hang|lockout|refuse CODE|well   of the device: ENODEV; no answer; TPM_RC_LOCKOUT, or that\n"
          "                         code in hex, to what needs authorisation; as it was" },
        { "ima", on_ima, "ima COMMAND            see below" },
        { "root", on_root, "root                   SHA-256 of the root's SubjectPublicKeyInfo" },
        { "help", on_help, "help                   this" },
        { "quit", on_quit, "quit                   unmount and end" },
};

const char *control_help(void) {
        static GString *text;

        if (!text) {
                text = g_string_new("commands, each answered by 'ok ...' or 'error ...'; 'ok N' may lead N lines:\n");
                for (guint i = 0; i < G_N_ELEMENTS(commands); i++)
                        g_string_append_printf(text, "  %s\n", commands[i].help);
                g_string_append_printf(text, "of IMA:\n%s", ima_help());
                g_string_append_printf(text, "faults:\n%sTDX quotes\n%sSNP reports\n%s", faults_help(), forge_help(),
                                       snp_forge_help());
        }
        return text->str;
}

static void on_help(Client *c, char **words) {
        g_auto(GStrv) lines = g_strsplit(control_help(), "\n", -1);

        (void) words;
        answer(c, "ok %u", g_strv_length(lines) - 1);
        say(c, control_help());
}

static void run_line(Client *c, const char *line) {
        g_autoptr(GPtrArray) words = g_ptr_array_new();
        g_auto(GStrv) parts = g_strsplit_set(line, " \t\r", -1);

        for (char **p = parts; *p; p++)
                if (**p)
                        g_ptr_array_add(words, *p);
        g_ptr_array_add(words, NULL);

        for (guint i = 0; words->pdata[0] && i < G_N_ELEMENTS(commands); i++)
                if (g_str_equal(words->pdata[0], commands[i].name)) {
                        commands[i].run(c, (char **) words->pdata + 1);
                        return;
                }
        answer(c, "error no such command; 'help' lists them");
}

/* A client's lines run one after the other, also if one has to wait. */
static void run_lines(Client *c) {
        char *end;

        while (c->fd >= 0 && !c->is_waiting && (end = strchr(c->in->str, '\n'))) {
                g_autofree char *line = g_strndup(c->in->str, (gsize) (end - c->in->str));

                g_string_erase(c->in, 0, end - c->in->str + 1);
                run_line(c, line);
        }
}

static gboolean on_line(gint fd, GIOCondition condition, gpointer userdata) {
        Client *c = userdata;
        char buffer[4096];
        ssize_t n = recv(fd, buffer, sizeof(buffer), 0);

        (void) condition;
        if (n < 0 && (errno == EAGAIN || errno == EINTR))
                return G_SOURCE_CONTINUE;
        if (n <= 0 || c->in->len > LINE_MAX_SIZE) {
                c->in_watch = 0;
                client_drop(c);
                return G_SOURCE_REMOVE;
        }

        g_string_append_len(c->in, buffer, n);
        run_lines(c);
        return G_SOURCE_CONTINUE;
}

void control_changed(Control *control) {
        if (!control)
                return;

        for (guint i = 0; i < control->clients->len; i++) {
                Client *c = control->clients->pdata[i];
                guint64 now;

                if (!c->figure || !figure_of(control, c->figure, &now) || now < c->wanted)
                        continue;
                g_clear_pointer(&c->figure, g_free);
                c->is_waiting = false;
                answer(c, "ok %" G_GUINT64_FORMAT, now);
        }

        for (guint i = control->clients->len; i > 0; i--) {
                Client *c = control->clients->pdata[i - 1];

                if (!c->is_waiting)
                        run_lines(c);
        }
}

static gboolean on_connect(gint fd, GIOCondition condition, gpointer userdata) {
        Control *control = userdata;
        int client_fd = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
        Client *c;

        (void) condition;
        if (client_fd < 0)
                return G_SOURCE_CONTINUE;

        c = g_new0(Client, 1);
        *c = (Client) {
                .control = control,
                .n_refs = 1,
                .fd = client_fd,
                .in = g_string_new(NULL),
                .out = g_string_new(NULL),
        };
        c->in_watch = g_unix_fd_add(client_fd, G_IO_IN, on_line, c);
        g_ptr_array_add(control->clients, c);
        return G_SOURCE_CONTINUE;
}

Control *control_new(const char *path, const ControlOf *of, GError **error) {
        struct sockaddr_un address = { .sun_family = AF_UNIX };
        Control *control;
        int fd;

        if (strlen(path) >= sizeof(address.sun_path)) {
                g_set_error(error, G_IO_ERROR, G_IO_ERROR_INVALID_ARGUMENT, "%s is too long for a socket", path);
                return NULL;
        }
        memcpy(address.sun_path, path, strlen(path));

        fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        if (fd < 0 || bind(fd, (const struct sockaddr *) &address, sizeof(address)) < 0 || chmod(path, 0600) < 0 ||
            listen(fd, 16) < 0) {
                g_set_error(error, G_IO_ERROR, (gint) g_io_error_from_errno(errno), "cannot listen on %s: %s", path,
                            g_strerror(errno));
                if (fd >= 0)
                        close(fd);
                return NULL;
        }

        control = g_new0(Control, 1);
        *control = (Control) {
                .of = *of,
                .fd = fd,
                .path = g_strdup(path),
                .clients = g_ptr_array_new_with_free_func((GDestroyNotify) client_unref),
        };
        control->watch = g_unix_fd_add(fd, G_IO_IN, on_connect, control);
        return control;
}

void control_free(Control *control) {
        if (!control)
                return;

        /* The last answers, "ok" to quit among them. */
        for (guint i = 0; i < control->clients->len; i++) {
                Client *c = control->clients->pdata[i];

                (void) !send(c->fd, c->out->str, c->out->len, MSG_NOSIGNAL); /* it may have gone */
        }
        while (control->clients->len > 0)
                client_drop(control->clients->pdata[0]);
        g_ptr_array_unref(control->clients);
        g_clear_handle_id(&control->watch, g_source_remove);
        (void) unlink(control->path); /* somebody may have cleaned up */
        close(control->fd);
        g_free(control->path);
        g_free(control);
}
