/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* attestctl log: what attestd gives of the logs that belong to its evidence. */
#include "attestctl-log.h"

#include "attestctl-bus.h"
#include "attestctl.h"
#include "util/error.h"
#include "util/memfd.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* As attestd has it: of one answer. */
#define ANSWER_MAX (64u * 1024u * 1024u)
#define EXTENSION_SIZE 48u /* of an RTMR */
/* A long log is made piece by piece, while others are served. */
#define GET_LOG_MS 300000
#define PROGRESS_STEP_US (G_USEC_PER_SEC / 4)

typedef struct Log {
        GDBusConnection *bus;
        const char *name; /* "ima", "boot", "register" */
        AttBank listed;   /* of "ima" */
        guint64 next;     /* entry */
        guint64 left;     /* entries that are wanted yet */

        FILE *raw;        /* to which it goes as it is; NULL: it is printed */
        gboolean as_json;
        bool has_printed;
        gint64 next_progress_us; /* 0: nobody looks */
        bool has_progress;
} Log;

/* ----- entries */

static char *dup_text(const void *text, size_t size) {
        g_autofree char *terminated = g_strndup(text, size);

        return g_utf8_make_valid(terminated, -1);
}

/* "sha256:5e…"; NULL: it has none */
static char *dup_digest(const AttImaRecord *r) {
        g_autofree char *algorithm = dup_text(r->algorithm ? r->algorithm : "", r->algorithm_size);
        g_autofree char *hex = ctl_hex(r->file_digest.at, r->file_digest.left);

        if (!r->file_digest.at)
                return NULL;
        return g_strdup_printf("%s%s%s", algorithm, *algorithm ? ":" : "", hex);
}

json_t *ctl_ima_entry_to_json(const AttImaRecord *r, guint64 index) {
        g_autofree char *template_name = dup_text(r->template_name, r->template_name_size);
        g_autofree char *digest = dup_digest(r);
        g_autofree char *path = dup_text(r->path.at ? (const char *) r->path.at : "", r->path.left);
        json_t *entry = json_object();

        json_object_set_new(entry, "index", json_integer((json_int_t) index));
        json_object_set_new(entry, "pcr", json_integer(r->pcr));
        json_object_set_new(entry, "template", json_string(template_name));
        if (digest)
                json_object_set_new(entry, "digest", json_string(digest));
        if (r->path.at)
                json_object_set_new(entry, "path", json_string(path));
        json_object_set_new(entry, "violation", json_boolean(r->is_violation));
        return entry;
}

void ctl_ima_entry_print(const AttImaRecord *r) {
        g_autofree char *template_name = dup_text(r->template_name, r->template_name_size);
        g_autofree char *digest = dup_digest(r);
        g_autofree char *path = dup_text(r->path.at ? (const char *) r->path.at : "", r->path.left);

        (void) printf("%u ", r->pcr);
        ctl_print(template_name);
        (void) printf(" %s ", r->is_violation ? "violation" : digest ? digest : "-");
        ctl_print(path);
}

/* ----- from attestd */

GBytes *ctl_log_take(GVariant *answer, GUnixFDList *fds, guint64 *ret_count, GError **error) {
        guint64 first, count;
        GBytes *content;
        gint32 handle;
        int fd;

        g_variant_get(answer, "(htt)", &handle, &first, &count);
        fd = fds ? g_unix_fd_list_get(fds, handle, error) : -1;
        if (fd < 0) {
                if (!fds)
                        att_error_set(error, ATT_ERROR_BAD_DATA, "attestd has answered without the log");
                return NULL;
        }

        content = att_memfd_read(fd, ANSWER_MAX, error);
        (void) close(fd);
        if (content)
                *ret_count = count;
        return content;
}

static GBytes *get(Log *log, guint64 *ret_count, GError **error) {
        g_autoptr(GUnixFDList) fds = NULL;
        g_autoptr(GVariant) answer = ctl_bus_call_with_fds(log->bus, CTL_OBJECT, CTL_INTERFACE, "GetLog",
                                                           g_variant_new("(st)", log->name, log->next), "(htt)",
                                                           GET_LOG_MS, &fds, error);

        return answer ? ctl_log_take(answer, fds, ret_count, error) : NULL;
}

static gboolean read_listed(Log *log, GError **error) {
        g_autoptr(GVariant) answer = ctl_bus_call(log->bus, CTL_OBJECT, "org.freedesktop.DBus.Properties", "Get",
                                                  g_variant_new("(ss)", CTL_INTERFACE, "ImaListed"), "(v)", CTL_CALL_MS,
                                                  error);
        g_autoptr(GVariant) value = NULL;

        if (!answer)
                return FALSE;
        g_variant_get(answer, "(v)", &value);
        return (g_variant_is_of_type(value, G_VARIANT_TYPE_STRING) &&
                att_bank_from_name(g_variant_get_string(value, NULL), &log->listed)) ||
               att_error_set(error, ATT_ERROR_FAILED, "the kernel has no IMA log: see attestctl status");
}

/* ----- to who has asked */

static void show_progress(Log *log) {
        if (log->next_progress_us == 0 || g_get_monotonic_time() < log->next_progress_us)
                return;

        (void) fprintf(stderr, "\r%s: %" G_GUINT64_FORMAT " entries", log->name, log->next);
        (void) fflush(stderr);
        log->next_progress_us = g_get_monotonic_time() + PROGRESS_STEP_US;
        log->has_progress = true;
}

static void end_progress(const Log *log) {
        if (log->has_progress)
                (void) fputs("\r\033[K", stderr);
}

static gboolean put_raw(Log *log, const void *data, gsize size, GError **error) {
        return fwrite(data, 1, size, log->raw) == size || att_error_set_errno(error, errno, "cannot write");
}

/* Takes @entry. An array that is printed as it comes: a log may be long. */
static void put_json(Log *log, json_t *entry) {
        (void) fputs(log->has_printed ? ",\n  " : "[\n  ", stdout);
        (void) json_dumpf(entry, stdout, JSON_COMPACT | JSON_ENSURE_ASCII);
        json_decref(entry);
        log->has_printed = true;
}

static void put_record(Log *log, const AttImaRecord *record) {
        if (log->as_json) {
                put_json(log, ctl_ima_entry_to_json(record, log->next));
                return;
        }
        (void) printf("%6" G_GUINT64_FORMAT "  ", log->next);
        ctl_ima_entry_print(record);
        (void) putchar('\n');
}

static gboolean put_records(Log *log, GBytes *content, GError **error) {
        gsize size;
        const void *p = g_bytes_get_data(content, &size);
        AttCursor c = att_cursor(p, size);

        while (c.left > 0 && log->left > 0) {
                const uint8_t *begin = c.at;
                g_autoptr(GError) e = NULL;
                AttImaRecord record;

                if (att_ima_record_parse(&c, log->listed, &record, &e) != ATT_IMA_RECORD)
                        return att_error_set(error, ATT_ERROR_BAD_DATA, "entry %" G_GUINT64_FORMAT ": %s", log->next,
                                             e ? e->message : "the log ends within it");
                if (!log->raw)
                        put_record(log, &record);
                else if (!put_raw(log, begin, (gsize) (c.at - begin), error))
                        return FALSE;
                log->next++;
                log->left--;
                show_progress(log);
        }
        return TRUE;
}

static gboolean put_extensions(Log *log, GBytes *content, GError **error) {
        gsize size;
        const uint8_t *p = g_bytes_get_data(content, &size);

        for (gsize at = 0; at + EXTENSION_SIZE <= size && log->left > 0; at += EXTENSION_SIZE) {
                g_autofree char *hex = ctl_hex(p + at, EXTENSION_SIZE);

                if (log->raw && !put_raw(log, p + at, EXTENSION_SIZE, error))
                        return FALSE;
                if (!log->raw && log->as_json)
                        put_json(log, json_pack("{s:I, s:s}", "index", (json_int_t) log->next, "digest", hex));
                else if (!log->raw)
                        (void) printf("%6" G_GUINT64_FORMAT "  %s\n", log->next, hex);
                log->next++;
                log->left--;
        }
        return TRUE;
}

/* Entries until there are no more, or as many as are wanted. */
static gboolean give_entries(Log *log, gboolean (*put)(Log *, GBytes *, GError **), GError **error) {
        while (log->left > 0) {
                guint64 count = 0, before = log->next;
                g_autoptr(GBytes) content = get(log, &count, error);

                if (!content || !put(log, content, error))
                        return FALSE;
                if (log->left > 0 && log->next - before != count)
                        return att_error_set(error, ATT_ERROR_BAD_DATA, "attestd speaks of %" G_GUINT64_FORMAT
                                             " entries, and has given %" G_GUINT64_FORMAT, count, log->next - before);
                if (count == 0)
                        break;
        }
        if (log->as_json && !log->raw)
                (void) fputs(log->has_printed ? "\n]\n" : "[]\n", stdout);
        return TRUE;
}

static gboolean give_boot(Log *log, GError **error) {
        guint64 count;
        g_autoptr(GBytes) content = get(log, &count, error);
        json_t *object;

        if (!content)
                return FALSE;
        if (log->raw)
                return put_raw(log, g_bytes_get_data(content, NULL), g_bytes_get_size(content), error);

        object = ctl_event_log_to_json(content, ATT_BANK_SET_ALL, true, error);
        if (!object)
                return FALSE;
        ctl_print_object(object, log->as_json);
        return TRUE;
}

static gboolean give(Log *log, GError **error) {
        if (g_str_equal(log->name, "boot"))
                return give_boot(log, error);
        if (g_str_equal(log->name, "register"))
                return give_entries(log, put_extensions, error);
        return read_listed(log, error) && give_entries(log, put_records, error);
}

static int give_to(Log *log, const char *path) {
        g_autoptr(GError) error = NULL;
        bool ok;

        if (path && g_str_equal(path, "-"))
                log->raw = stdout;
        else if (path)
                log->raw = fopen(path, "wbe");
        if (path && !log->raw)
                return ctl_fail(CTL_USAGE, "cannot open %s: %s", path, g_strerror(errno));

        ok = give(log, &error);
        end_progress(log);
        if (log->raw && log->raw != stdout && fclose(log->raw) != 0 && ok)
                return ctl_fail(CTL_USAGE, "cannot write %s: %s", path, g_strerror(errno));
        return ok ? CTL_YES : ctl_fail(CTL_NO, "%s", error->message);
}

int ctl_log(int argc, char **argv) {
        static const char *const names[] = { "ima", "boot", "register", NULL };
        gboolean direct = FALSE;
        gint64 from = 0, count = -1;
        g_autofree char *output = NULL;
        Log log = { 0 };
        const GOptionEntry options[] = {
                { "from", 0, 0, G_OPTION_ARG_INT64, &from, "Begin with entry N, counted from 0", "N" },
                { "count", 0, 0, G_OPTION_ARG_INT64, &count, "At most N entries", "N" },
                { "output", 'o', 0, G_OPTION_ARG_FILENAME, &output, "Write the log as it is to FILE (\"-\": stdout)",
                  "FILE" },
                { "json", 0, 0, G_OPTION_ARG_NONE, &log.as_json, "Print JSON: an array of entries", NULL },
                { "direct", 0, 0, G_OPTION_ARG_NONE, &direct, CTL_DIRECT_HELP, NULL },
                { NULL },
        };
        g_autoptr(GDBusConnection) bus = NULL;
        g_autoptr(GError) error = NULL;
        char **operands;

        operands = ctl_parse(argc, argv, options, "[ima|boot|register]", CTL_ONE_OR_NONE,
                             "Prints a log that attestd gives beside its evidence: of the kernel's integrity\n"
                             "measurements (the default), of the boot, or of the register that mirrors them.");
        if (!operands)
                return CTL_USAGE;
        log.name = operands[0] ? operands[0] : names[0];
        if (!g_strv_contains(names, log.name))
                return ctl_fail(CTL_USAGE, "no such log: %s; there are ima, boot and register", log.name);
        if (g_str_equal(log.name, "boot") && (from != 0 || count != -1))
                return ctl_fail(CTL_USAGE, "the boot's log is given whole: --from and --count are for the others");
        if (from < 0 || count < -1)
                return ctl_fail(CTL_USAGE, "--from and --count are not negative");
        if (output && log.as_json)
                return ctl_fail(CTL_USAGE, "--output writes the log as it is, and not as JSON");

        bus = ctl_bus_connect(direct, &error);
        if (!bus)
                return ctl_fail(CTL_NO, "%s", error->message);

        log.bus = bus;
        log.next = (guint64) from;
        log.left = count < 0 ? G_MAXUINT64 : (guint64) count;
        if (isatty(STDERR_FILENO) && (output || !isatty(STDOUT_FILENO)))
                log.next_progress_us = g_get_monotonic_time() + PROGRESS_STEP_US;
        return give_to(&log, output);
}
