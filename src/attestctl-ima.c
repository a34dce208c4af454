/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* attestctl ima: what the list of the kernel's integrity measurements comes to. */
#include "attestctl.h"

#include "crypto/ima-replay.h"
#include "util/error.h"
#include "util/io.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define CHUNK (2 * ATT_IMA_DATA_MAX) /* read at a time: the first one holds the first record */
#define PROGRESS_STEP (G_USEC_PER_SEC / 4)

/* A list as it is read: no more of it is in memory than a record and a chunk. */
typedef struct List {
        const char *name;
        int fd;
        GByteArray *pending; /* read, and not replayed yet */
        guint64 offset;      /* of its first byte */
        bool is_read;        /* to its end */

        bool is_detected;
        AttBank listed;
        char *boot_aggregate; /* "sha256:00…"; NULL: it does not begin with one */

        goffset size;         /* 0: not known */
        gint64 next_progress; /* 0: nobody looks */
        bool has_progress;
} List;

static void list_clear(List *list) {
        g_clear_pointer(&list->pending, g_byte_array_unref);
        g_clear_pointer(&list->boot_aggregate, g_free);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(List, list_clear)

static gboolean read_chunk(List *list, GError **error) {
        guint had = list->pending->len, size = had + CHUNK;
        ssize_t n = 0;

        g_byte_array_set_size(list->pending, size);
        while (had < size) {
                n = read(list->fd, list->pending->data + had, size - had);
                if (n < 0 && errno == EINTR)
                        continue;
                if (n <= 0)
                        break;
                had += (guint) n;
        }
        g_byte_array_set_size(list->pending, had);
        if (n < 0)
                return att_error_set_errno(error, errno, "cannot read %s", list->name);
        list->is_read = n == 0;
        return TRUE;
}

/* Does the first entry that is no violation have the hash that a list of @bank gives it? Are there
 * only violations, the layout must do. */
static bool is_list_of(const List *list, AttBank bank, GError **error) {
        g_autoptr(AttImaReplay) replay = att_ima_replay_new(0);
        AttCursor c = att_cursor(list->pending->data, list->pending->len);
        AttImaRecord r;

        while (att_ima_record_parse(&c, bank, &r, error) == ATT_IMA_RECORD) {
                if (!att_ima_replay_add(replay, &r, bank, error))
                        return false;
                if (!r.is_violation)
                        return true;
        }
        return att_ima_replay_count(replay) > 0 && c.left == 0;
}

/* A bank that the kernel cannot compute gets SHA-1, and zeros to its length. */
static bool is_padded_sha1(const List *list) {
        for (unsigned b = ATT_BANK_SHA256; b < ATT_BANKS; b++) {
                AttCursor c = att_cursor(list->pending->data, list->pending->len);
                uint8_t sha1[20];
                size_t zeros = att_bank_size(ATT_BANK_SHA1);
                AttImaRecord r;

                if (att_ima_record_parse(&c, (AttBank) b, &r, NULL) != ATT_IMA_RECORD || r.is_violation)
                        continue;
                att_ima_digest(&r, ATT_BANK_SHA1, sha1);
                while (zeros < att_bank_size((AttBank) b) && r.digest[zeros] == 0)
                        zeros++;
                if (zeros == att_bank_size((AttBank) b) && memcmp(sha1, r.digest, sizeof sha1) == 0)
                        return true;
        }
        return false;
}

/* "10 4f3a… ima-sig sha256:…": a PCR, a hash and a template, in text. */
static bool is_ascii(const List *list) {
        const char *p = (const char *) list->pending->data, *end = p + list->pending->len;
        size_t digits = 0;

        while (p < end && g_ascii_isspace(*p))
                p++;
        while (p < end && g_ascii_isdigit(*p))
                p++;
        if (p == (const char *) list->pending->data || p == end || *p != ' ')
                return false;
        while (++p < end && g_ascii_isxdigit(*p))
                digits++;
        return digits >= 2 * att_bank_size(ATT_BANK_SHA1);
}

static gboolean no_list(const List *list, GError **error) {
        g_autoptr(GError) why = NULL;

        if (is_ascii(list))
                return att_error_set(error, ATT_ERROR_BAD_DATA,
                                     "it is the list in text, from which hashes cannot be computed for certain: give "
                                     "binary_runtime_measurements, not ascii_runtime_measurements");
        if (is_padded_sha1(list))
                return att_error_set(error, ATT_ERROR_BAD_DATA,
                                     "its digests are SHA-1 and zeros, as in the list of a TPM bank that the kernel "
                                     "has no hash for: give binary_runtime_measurements_sha1, which says the same");

        /* The layout of one bank may fit, and the hash not. */
        for (unsigned b = 0; b < ATT_BANKS; b++) {
                AttCursor c = att_cursor(list->pending->data, list->pending->len);
                AttImaRecord r;

                if (att_ima_record_parse(&c, (AttBank) b, &r, NULL) == ATT_IMA_RECORD && !r.is_violation &&
                    !is_list_of(list, (AttBank) b, &why))
                        return att_error_set(error, ATT_ERROR_BAD_DATA, "entry 0, at byte 0: %s", why->message);
        }
        (void) is_list_of(list, ATT_BANK_SHA1, &why);
        return att_error_set(error, ATT_ERROR_BAD_DATA, "it begins as a list of no bank: %s",
                             why ? why->message : "it ends within entry 0");
}

static void keep_boot_aggregate(List *list) {
        AttCursor c = att_cursor(list->pending->data, list->pending->len);
        g_autofree char *digest = NULL;
        AttImaRecord r;

        if (att_ima_record_parse(&c, list->listed, &r, NULL) != ATT_IMA_RECORD || !r.file_digest.at ||
            r.path.left != strlen("boot_aggregate") || memcmp(r.path.at, "boot_aggregate", r.path.left) != 0)
                return;
        digest = ctl_hex(r.file_digest.at, r.file_digest.left);
        list->boot_aggregate = g_strdup_printf("%.*s:%s", (int) r.algorithm_size, r.algorithm, digest);
}

/* Which bank's hashes are these? The first one tells. */
static gboolean detect(List *list, const char *listed, GError **error) {
        if (listed) {
                /* An operand that was checked. */
                (void) att_bank_from_name(listed, &list->listed);
                list->is_detected = true;
        }
        for (unsigned b = 0; !list->is_detected && b < ATT_BANKS; b++)
                if (is_list_of(list, (AttBank) b, NULL)) {
                        list->listed = (AttBank) b;
                        list->is_detected = true;
                }
        if (!list->is_detected && list->pending->len > 0)
                return no_list(list, error);
        keep_boot_aggregate(list);
        return TRUE;
}

static void show_progress(List *list, const AttImaReplay *replay) {
        gint64 now = g_get_monotonic_time();

        if (list->next_progress == 0 || now < list->next_progress)
                return;
        list->next_progress = now + PROGRESS_STEP;
        list->has_progress = true;
        (void) fprintf(stderr, "\r%" G_GUINT64_FORMAT " entries, %" G_GUINT64_FORMAT " MiB",
                       att_ima_replay_count(replay), list->offset >> 20);
        if (list->size > 0)
                (void) fprintf(stderr, " of %" G_GINT64_FORMAT, (gint64) list->size >> 20);
        (void) fflush(stderr);
}

static void end_progress(List *list) {
        if (list->has_progress)
                (void) fprintf(stderr, "\r%*s\r", 60, "");
}

static gboolean replay_pending(List *list, AttImaReplay *replay, guint64 max, GError **error) {
        AttCursor c = att_cursor(list->pending->data, list->pending->len);
        gboolean ok = att_ima_replay_add_log(replay, &c, list->listed, max, error);
        gsize taken = list->pending->len - c.left;

        list->offset += taken;
        if (taken > 0)
                g_byte_array_remove_range(list->pending, 0, (guint) taken);
        if (!ok)
                g_prefix_error(error, "entry %" G_GUINT64_FORMAT ", at byte %" G_GUINT64_FORMAT ": ",
                               att_ima_replay_count(replay), list->offset);
        return ok;
}

/* Up to @max entries, or to the end of the list. */
static gboolean replay_list(List *list, const char *listed, AttImaReplay *replay, guint64 max, GError **error) {
        bool is_first = true;

        while (!list->is_read && att_ima_replay_count(replay) < max) {
                if (!read_chunk(list, error))
                        return FALSE;
                if (is_first && !detect(list, listed, error))
                        return FALSE;
                is_first = false;
                if (!replay_pending(list, replay, max - att_ima_replay_count(replay), error))
                        return FALSE;
                show_progress(list, replay);
        }
        if (list->pending->len > 0 && att_ima_replay_count(replay) < max)
                return att_error_set(error, ATT_ERROR_BAD_DATA, "it ends within entry %" G_GUINT64_FORMAT
                                     ", which begins at byte %" G_GUINT64_FORMAT, att_ima_replay_count(replay),
                                     list->offset);
        return TRUE;
}

static json_t *describe(const List *list, const AttImaReplay *replay, AttBank bank) {
        g_autofree char *aggregate = ctl_hex(att_ima_replay_aggregate(replay, bank), att_bank_size(bank));
        json_t *object = json_object();

        json_object_set_new(object, "listed",
                            list->is_detected ? json_string(att_bank_name(list->listed)) : json_null());
        json_object_set_new(object, "entries", json_integer((json_int_t) att_ima_replay_count(replay)));
        json_object_set_new(object, "violations", json_integer((json_int_t) att_ima_replay_violations(replay)));
        json_object_set_new(object, "boot_aggregate",
                            list->boot_aggregate ? json_string(list->boot_aggregate) : json_null());
        json_object_set_new(object, "bank", json_string(att_bank_name(bank)));
        json_object_set_new(object, "aggregate", json_string(aggregate));
        return object;
}

static int report(const List *list, const AttImaReplay *replay, AttBank bank, bool as_json) {
        ctl_print_object(describe(list, replay, bank), as_json);
        return CTL_YES;
}

static int ima_replay(int argc, char **argv) {
        g_autofree char *bank_name = NULL, *listed = NULL;
        gint64 count = -1;
        gboolean as_json = FALSE;
        const GOptionEntry options[] = {
                { "bank", 0, 0, G_OPTION_ARG_STRING, &bank_name, "Whose PCR 10 to compute (default: sha256)", "NAME" },
                { "listed", 0, 0, G_OPTION_ARG_STRING, &listed, "Whose digests FILE has (default: found out)", "NAME" },
                { "count", 0, 0, G_OPTION_ARG_INT64, &count, "Stop after so many entries, which must be there", "N" },
                { "json", 0, 0, G_OPTION_ARG_NONE, &as_json, "Print one JSON object", NULL },
                { NULL },
        };
        g_auto(List) list = { .fd = STDIN_FILENO };
        g_autoptr(AttImaReplay) replay = NULL;
        g_autoptr(GError) error = NULL;
        att_autofd int opened = -1;
        AttBank bank = ATT_BANK_SHA256, ignored;
        struct stat st;
        char **operands;
        gboolean ok;

        operands = ctl_parse(argc, argv, options, "FILE", 1,
                             "Replays FILE (\"-\": stdin), a list of binary_runtime_measurements: compares each\n"
                             "digest with the data that it is of, and computes the value that PCR 10 has after\n"
                             "the last entry.");
        if (!operands)
                return CTL_USAGE;
        if (bank_name && !att_bank_from_name(bank_name, &bank))
                return ctl_fail(CTL_USAGE, "no such bank: %s; sha1, sha256, sha384 or sha512", bank_name);
        if (listed && !att_bank_from_name(listed, &ignored))
                return ctl_fail(CTL_USAGE, "no such bank: %s; sha1, sha256, sha384 or sha512", listed);
        if (count < -1)
                return ctl_fail(CTL_USAGE, "--count must not be negative");

        list.name = operands[0];
        if (!g_str_equal(list.name, "-"))
                list.fd = opened = open(list.name, O_RDONLY | O_CLOEXEC | O_NOCTTY);
        if (list.fd < 0)
                return ctl_fail(CTL_USAGE, "cannot open %s: %s", list.name, g_strerror(errno));
        if (fstat(list.fd, &st) == 0 && S_ISREG(st.st_mode))
                list.size = st.st_size;
        if (isatty(STDERR_FILENO))
                list.next_progress = g_get_monotonic_time() + PROGRESS_STEP;
        list.pending = g_byte_array_new();

        replay = att_ima_replay_new(ATT_BANK_SET(bank));
        ok = replay_list(&list, listed, replay, count < 0 ? G_MAXUINT64 : (guint64) count, &error);
        end_progress(&list);
        if (!ok)
                return ctl_fail(error->domain == ATT_ERROR ? CTL_NO : CTL_USAGE, "%s: %s", list.name, error->message);
        if (count >= 0 && att_ima_replay_count(replay) < (guint64) count)
                return ctl_fail(CTL_NO, "%s: it has %" G_GUINT64_FORMAT " entries, not %" G_GINT64_FORMAT, list.name,
                                att_ima_replay_count(replay), count);
        return report(&list, replay, bank, as_json);
}

int ctl_ima(int argc, char **argv) {
        static char name[] = "ima replay"; /* for its help */
        bool is_help = argc == 2 && (g_str_equal(argv[1], "--help") || g_str_equal(argv[1], "-h"));

        if (is_help) {
                argv[0] = name;
                return ima_replay(argc, argv);
        }
        if (argc < 2 || !g_str_equal(argv[1], "replay"))
                return ctl_fail(CTL_USAGE, "%s: see attestctl ima --help", argc < 2 ? "ima is to do what?" :
                                "ima can only replay");
        argv[1] = name;
        return ima_replay(argc - 1, argv + 1);
}
