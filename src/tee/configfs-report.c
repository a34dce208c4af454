/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "tee/configfs-report.h"

#include "codec/tdx-quote.h"
#include "tee/fault.h"
#include "tee/report-check.h"
#include "util/io.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdalign.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>

#define CONFIGFS_PATH "/sys/kernel/config"

/* What a line of a text attribute may have; ours are a number or a name. */
#define LINE_SIZE_MAX 64u
/* Entries beyond these are not counted, or wait for the next look. */
#define LOOK_MAX 1024u
#define SWEEP_MAX 64u
#define NAME_SHOWN_MAX 40u

#define TRIES 3u
/* No further try when this much has passed: who asked will hardly wait any more. */
#define TRY_WITHIN_US (10 * G_USEC_PER_SEC)
/* SNP's driver may take a minute before the first byte; reading the rest takes no time. */
#define READ_WITHIN_US (120 * G_USEC_PER_SEC)
/* An entry that was closed to others so shortly before is taken to be. */
#define JUST_NOW_US (5 * 1000)

/* ----- attributes */

static bool is_whole(const char *provider, const GByteArray *all) {
        g_autoptr(GBytes) bytes = g_bytes_new_static(all->data, all->len);

        return att_report_is_whole(provider, bytes);
}

GBytes *att_blob_read(int dir, const char *name, gsize max, const char *provider, gint64 until_us, GError **error) {
        g_autoptr(GByteArray) all = g_byte_array_new();
        att_autofd int fd = openat(dir, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NOCTTY);

        if (fd < 0) {
                att_tee_fault_set_errno(error, errno, "open", name);
                return NULL;
        }

        for (;;) {
                uint8_t step[16384];
                /* Not again after EINTR: then the device is in flight, and asking busies it further. */
                gsize room = MIN(sizeof step, max + 1 - all->len);
                gssize k = read(fd, step, room);

                if (k < 0) {
                        att_tee_fault_set_errno(error, errno, "read", name);
                        return NULL;
                }
                if (k == 0)
                        return g_byte_array_free_to_bytes(g_steal_pointer(&all));

                g_byte_array_append(all, step, (guint) k);
                if (all->len > max) {
                        att_tee_fault_set(error, ATT_TEE_FAULT_TOO_LARGE, "%s is over %zu bytes", name, max);
                        return NULL;
                }
                if (provider && (gsize) k < room && is_whole(provider, all))
                        return g_byte_array_free_to_bytes(g_steal_pointer(&all));
                if (g_get_monotonic_time() >= until_us) {
                        att_tee_fault_set(error, ATT_TEE_FAULT_TOO_SLOW, "%s does not come to an end", name);
                        return NULL;
                }
        }
}

bool att_generation_parse(const void *text, gsize size, guint64 *ret) {
        const char *p = text;
        guint64 v = 0;

        if (size < 2 || p[size - 1] != '\n' || (p[0] == '0' && size > 2))
                return false;

        for (gsize i = 0; i < size - 1; i++) {
                guint digit = (guint) (p[i] - '0');

                if (p[i] < '0' || p[i] > '9' || v > (G_MAXUINT64 - digit) / 10)
                        return false;
                v = v * 10 + digit;
        }

        *ret = v;
        return true;
}

/* Of a text attribute, up to the line feed behind which nothing comes, or @room bytes. */
static gboolean read_line(int dir, const char *name, char *ret, gsize room, gsize *ret_size, GError **error) {
        att_autofd int fd = openat(dir, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NOCTTY);
        gsize size = 0;
        gssize k = 0;

        if (fd < 0)
                return att_tee_fault_set_errno(error, errno, "open", name);

        do {
                k = read(fd, ret + size, room - size);
                if (k < 0)
                        return att_tee_fault_set_errno(error, errno, "read", name);
                size += (gsize) k;
        } while (k > 0 && size < room && ret[size - 1] != '\n');
        *ret_size = size;
        return TRUE;
}

static gboolean read_generation(int dir, guint64 *ret, GError **error) {
        char text[LINE_SIZE_MAX];
        gsize size;

        if (!read_line(dir, "generation", text, sizeof text, &size, error))
                return FALSE;
        if (!att_generation_parse(text, size, ret))
                return att_tee_fault_set(error, ATT_TEE_FAULT_INTERFERENCE, "generation is not a number");
        return TRUE;
}

static gboolean check_generation(int dir, guint64 expected, const char *when, GError **error) {
        guint64 found;

        if (!read_generation(dir, &found, error))
                return FALSE;
        if (found != expected)
                return att_tee_fault_set(error, ATT_TEE_FAULT_INTERFERENCE,
                                         "our entry is at write %" G_GUINT64_FORMAT ", not %" G_GUINT64_FORMAT ", %s",
                                         found, expected, when);
        return TRUE;
}

/* One line of lower case letters, digits, '_' and '-', without its line feed. */
static gboolean read_word(int dir, const char *name, char *ret, gsize size_max, GError **error) {
        char p[LINE_SIZE_MAX];
        gsize size;

        if (!read_line(dir, name, p, sizeof p, &size, error))
                return FALSE;
        if (size > 0 && p[size - 1] == '\n')
                size--;
        if (size == 0 || size > size_max)
                return att_tee_fault_set(error, ATT_TEE_FAULT_OTHER, "%s is not one word", name);
        for (gsize i = 0; i < size; i++)
                if (!g_ascii_islower(p[i]) && !g_ascii_isdigit(p[i]) && p[i] != '_' && p[i] != '-')
                        return att_tee_fault_set(error, ATT_TEE_FAULT_OTHER, "%s is not one word", name);

        memcpy(ret, p, size);
        ret[size] = '\0';
        return TRUE;
}

/* All of it in one write(): the kernel takes each for a value of its own. What a
 * close() commits it does not tell; generation does. */
static gboolean write_attribute(int dir, const char *name, const void *data, gsize size, GError **error) {
        att_autofd int fd = openat(dir, name, O_WRONLY | O_CLOEXEC | O_NOFOLLOW | O_NOCTTY);
        gssize k;

        if (fd < 0)
                return att_tee_fault_set_errno(error, errno, "open", name);

        k = write(fd, data, size);
        if (k < 0)
                return att_tee_fault_set_errno(error, errno, "write", name);
        if ((gsize) k != size)
                return att_tee_fault_set(error, ATT_TEE_FAULT_INTERFERENCE, "%s took only %zd bytes", name, k);
        return TRUE;
}

/* ----- the entry */

int att_reports_open(GError **error) {
        int fd = open(ATT_REPORTS_PATH, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
        struct stat parent, mount;

        if (fd >= 0)
                return fd;

        if (errno != ENOENT && errno != ENOTDIR)
                att_tee_fault_set(error, ATT_TEE_FAULT_NO_ENTRY, "cannot open tsm/report: %s", g_strerror(errno));
        else if (stat(CONFIGFS_PATH "/..", &parent) < 0 || stat(CONFIGFS_PATH, &mount) < 0 ||
                 parent.st_dev == mount.st_dev)
                att_tee_fault_set(error, ATT_TEE_FAULT_NO_CONFIGFS, "configfs is not mounted");
        else
                att_tee_fault_set(error, ATT_TEE_FAULT_NO_CORE, "the kernel offers no TEE reports");
        return -1;
}

void att_report_entry_init(AttReportEntry *entry, const uint8_t boot_id[16], int pid) {
        *entry = (AttReportEntry) { .dir = -1 };
        g_snprintf(entry->name, sizeof entry->name, ATT_REPORT_ENTRY_PREFIX "%02x%02x%02x%02x-%d",
                   boot_id[0], boot_id[1], boot_id[2], boot_id[3], pid);
}

static void entry_close(AttReportEntry *entry) {
        att_close_p(&entry->dir);
        entry->dir = -1;
        entry->has_generation = false;
}

void att_report_entry_remove(AttReportEntry *entry, int reports) {
        if (entry->dir < 0)
                return;

        (void) unlinkat(reports, entry->name, AT_REMOVEDIR);
        entry_close(entry);
}

/* Each of us holds a lock on its entry's directory as long as it lives: a pid in
 * a name may be somebody else's by now, or count in another namespace. */
static bool remove_if_abandoned(int reports, const char *name) {
        att_autofd int dir = openat(reports, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);

        return dir >= 0 && flock(dir, LOCK_EX | LOCK_NB) == 0 && unlinkat(reports, name, AT_REMOVEDIR) == 0;
}

static gboolean make_directory(AttReportEntry *entry, int reports, GError **error) {
        if (mkdirat(reports, entry->name, 0700) == 0)
                return TRUE;

        if (errno == EEXIST && remove_if_abandoned(reports, entry->name) &&
            mkdirat(reports, entry->name, 0700) == 0)
                return TRUE;

        if (errno == EEXIST)
                return att_tee_fault_set(error, ATT_TEE_FAULT_INTERFERENCE, "somebody else has made our entry");
        if (errno == ENXIO)
                return att_tee_fault_set(error, ATT_TEE_FAULT_NO_PROVIDER, "no TEE");
        return att_tee_fault_set(error, ATT_TEE_FAULT_NO_ENTRY, "cannot make an entry under tsm/report: %s",
                                 g_strerror(errno));
}

static bool is_private(AttReportEntry *entry) {
        struct stat st;

        if (fstat(entry->dir, &st) < 0 || (st.st_mode & 07777) != 0700)
                return false;
        entry->private_us = g_get_monotonic_time();
        return true;
}

/* In a rush of reports not before each. */
static bool was_private_just_now(const AttReportEntry *entry) {
        return g_get_monotonic_time() - entry->private_us <= JUST_NOW_US;
}

/* mkdir's mode means nothing to configfs, and who can read outblob can make the
 * TEE work, holding up everybody. */
static gboolean make_private(AttReportEntry *entry, int reports, GError **error) {
        entry->dir = openat(reports, entry->name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
        if (entry->dir < 0)
                return att_tee_fault_set_errno(error, errno, "open", "our entry");

        if (flock(entry->dir, LOCK_EX | LOCK_NB) < 0)
                return att_tee_fault_set(error, ATT_TEE_FAULT_INTERFERENCE, "somebody else holds our entry");

        if (fchmod(entry->dir, 0700) < 0 || !is_private(entry))
                return att_tee_fault_set(error, ATT_TEE_FAULT_NO_ENTRY, "cannot close our entry to others");
        return TRUE;
}

/* Below a paravisor, which runs at VMPL 0, sev-guest refuses the level that an entry
 * begins with. A report says the level that it was asked for at, and who is less
 * privileged cannot ask for it; a service_provider would ask for anybody at level 0. */
static gboolean raise_privlevel(const AttReportEntry *entry, GError **error) {
        char level[ATT_PROVIDER_SIZE_MAX + 1];

        if (faccessat(entry->dir, "privlevel_floor", F_OK, 0) < 0)
                return TRUE;

        if (!read_word(entry->dir, "privlevel_floor", level, sizeof level - 1, error))
                return FALSE;
        if (strcmp(level, "0") == 0)
                return TRUE;
        if (level[0] < '1' || level[0] > '3' || level[1] != '\0')
                return att_tee_fault_set(error, ATT_TEE_FAULT_LEVEL, "this guest's privilege level is %s, not 0 to 3",
                                         level);
        return write_attribute(entry->dir, "privlevel", level, 1, error);
}

static gboolean prepare(AttReportEntry *entry, int reports, GError **error) {
        if (!make_private(entry, reports, error) ||
            !read_word(entry->dir, "provider", entry->provider, ATT_PROVIDER_SIZE_MAX, error))
                return FALSE;

        if (strcmp(entry->provider, "tdx_guest") != 0 && strcmp(entry->provider, "sev_guest") != 0)
                return att_tee_fault_set(error, ATT_TEE_FAULT_OTHER_PROVIDER, "the TEE's driver is %s",
                                         entry->provider);

        entry->has_auxblob = faccessat(entry->dir, "auxblob", F_OK, 0) == 0;
        return raise_privlevel(entry, error);
}

static gboolean entry_make(AttReportEntry *entry, int reports, GError **error) {
        if (!make_directory(entry, reports, error))
                return FALSE;

        if (!prepare(entry, reports, error)) {
                (void) unlinkat(reports, entry->name, AT_REMOVEDIR);
                entry_close(entry);
                return FALSE;
        }
        return TRUE;
}

gboolean att_report_entry_ensure(AttReportEntry *entry, int reports, GError **error) {
        char provider[ATT_PROVIDER_SIZE_MAX + 1];
        g_autoptr(GError) e = NULL;

        if (entry->dir < 0)
                return entry_make(entry, reports, error);

        if (is_private(entry) && read_word(entry->dir, "provider", provider, ATT_PROVIDER_SIZE_MAX, &e) &&
            strcmp(provider, entry->provider) == 0)
                return TRUE;

        att_report_entry_remove(entry, reports);
        if (g_error_matches(e, ATT_TEE_FAULT, ATT_TEE_FAULT_NO_PROVIDER)) {
                g_propagate_error(error, g_steal_pointer(&e));
                return FALSE;
        }
        return entry_make(entry, reports, error);
}

/* ----- entries of others */

static char *shown_name(const char *name) {
        g_autofree char *escaped = g_strescape(name, NULL);

        if (strlen(escaped) > NAME_SHOWN_MAX)
                memcpy(escaped + NAME_SHOWN_MAX - 3, "...", sizeof "...");
        return g_steal_pointer(&escaped);
}

static bool is_entry_of_others(const struct dirent *d, const AttReportEntry *own) {
        if (d->d_type != DT_DIR && d->d_type != DT_UNKNOWN)
                return false;
        if (strcmp(d->d_name, ".") == 0 || strcmp(d->d_name, "..") == 0)
                return false;
        return own->dir < 0 || strcmp(d->d_name, own->name) != 0;
}

gboolean att_reports_look_around(int reports, const AttReportEntry *own, guint *ret_n, char **ret_first,
                                 GError **error) {
        alignas(struct dirent) char buffer[8192];
        g_autofree char *first = NULL;
        guint n = 0, n_seen = 0, n_swept = 0;
        ssize_t size = lseek(reports, 0, SEEK_SET);

        while (size >= 0 && n_seen < LOOK_MAX) {
                size = getdents64(reports, buffer, sizeof buffer);
                if (size == 0)
                        break;

                for (ssize_t at = 0; at < size && n_seen < LOOK_MAX; n_seen++) {
                        const struct dirent *d = (const struct dirent *) (const void *) (buffer + at);

                        at += d->d_reclen;
                        if (!is_entry_of_others(d, own))
                                continue;

                        if (g_str_has_prefix(d->d_name, ATT_REPORT_ENTRY_PREFIX) && n_swept++ < SWEEP_MAX &&
                            remove_if_abandoned(reports, d->d_name))
                                continue;

                        if (n++ == 0)
                                first = shown_name(d->d_name);
                }
        }
        if (size < 0)
                return att_tee_fault_set(error, ATT_TEE_FAULT_NO_ENTRY, "cannot read tsm/report: %s",
                                         g_strerror(errno));

        *ret_n = n;
        *ret_first = g_steal_pointer(&first);
        return TRUE;
}

/* ----- the report */

/* An empty blob is none. */
static gboolean read_optional(int dir, const char *name, gsize max, gint64 until_us, GBytes **ret, GError **error) {
        g_autoptr(GBytes) blob = att_blob_read(dir, name, max, NULL, until_us, error);

        if (!blob)
                return FALSE;
        if (g_bytes_get_size(blob) > 0)
                *ret = g_steal_pointer(&blob);
        return TRUE;
}

/* Before our write: as the last good report has left it. Who has written since then is found
 * out as who comes in between is. After a failure nothing is known. */
static gboolean take_generation(AttReportEntry *entry, guint64 *ret, GError **error) {
        if (!entry->has_generation)
                return read_generation(entry->dir, ret, error);

        *ret = entry->generation;
        entry->has_generation = false;
        return TRUE;
}

/* Who writes another inblob, or half of one, makes the driver refuse it. */
static void tell_interference_from_refusal(const AttReportEntry *entry, guint64 expected, GError **error) {
        g_autoptr(GError) e = NULL;

        if (!g_error_matches(*error, ATT_TEE_FAULT, ATT_TEE_FAULT_LEVEL))
                return;
        if (!check_generation(entry->dir, expected, "where the driver has refused", &e)) {
                g_clear_error(error);
                g_propagate_error(error, g_steal_pointer(&e));
        }
}

/* The protocol, once. That one write was made since the last one known, and that it was ours and
 * before the report, is proven at its end: by generation and REPORTDATA. To ask for generation before
 * the device is asked as well saves it a report in vain where somebody interferes: that is done
 * in an entry that has not just given a good one. */
static AttTeeReport *attempt(AttReportEntry *entry, const uint8_t *report_data, GError **error) {
        g_autoptr(AttTeeReport) report = g_new0(AttTeeReport, 1);
        bool is_proven = entry->has_generation;
        gint64 start, until;
        guint64 before;

        if (!was_private_just_now(entry) && !is_private(entry)) {
                att_tee_fault_set(error, ATT_TEE_FAULT_INTERFERENCE, "our entry is open to others");
                return NULL;
        }
        if (!take_generation(entry, &before, error))
                return NULL;

        start = g_get_monotonic_time();
        until = start + READ_WITHIN_US;
        if (!write_attribute(entry->dir, "inblob", report_data, ATT_REPORT_DATA_SIZE, error) ||
            (!is_proven && !check_generation(entry->dir, before + 1, "after our own", error)))
                return NULL;

        report->outblob = att_blob_read(entry->dir, "outblob", ATT_TDX_QUOTE_MAX, entry->provider, until, error);
        if (!report->outblob) {
                tell_interference_from_refusal(entry, before + 1, error);
                return NULL;
        }
        if (entry->has_auxblob &&
            !read_optional(entry->dir, "auxblob", ATT_AUXBLOB_MAX, until, &report->auxblob, error))
                return NULL;
        report->duration_us = g_get_monotonic_time() - start;

        if (!check_generation(entry->dir, before + 1, "after the read", error) ||
            !att_report_check(entry->provider, report->outblob, report_data, error))
                return NULL;

        entry->generation = before + 1;
        entry->has_generation = true;
        report->provider = g_strdup(entry->provider);
        return g_steal_pointer(&report);
}

/* sev-guest also says ENXIO when the firmware has refused. */
static void tell_refusal_from_absence(AttReportEntry *entry, int reports, GError **error) {
        char provider[ATT_PROVIDER_SIZE_MAX + 1];

        if (!g_error_matches(*error, ATT_TEE_FAULT, ATT_TEE_FAULT_NO_PROVIDER) || entry->dir < 0)
                return;

        if (read_word(entry->dir, "provider", provider, ATT_PROVIDER_SIZE_MAX, NULL)) {
                g_clear_error(error);
                att_tee_fault_set(error, ATT_TEE_FAULT_HOST, "the TEE's driver refused the request (ENXIO)");
        } else {
                att_report_entry_remove(entry, reports);
        }
}

AttTeeReport *att_report_make(AttReportEntry *entry, int reports, const uint8_t report_data[ATT_REPORT_DATA_SIZE],
                              GError **error) {
        gint64 start = g_get_monotonic_time();

        for (guint n_tries = 1;; n_tries++) {
                g_autoptr(GError) e = NULL;
                AttTeeReport *report = NULL;
                AttTeeFault fault;

                if (entry->dir >= 0 || entry_make(entry, reports, &e))
                        report = attempt(entry, report_data, &e);
                if (report)
                        return report;

                tell_refusal_from_absence(entry, reports, &e);
                fault = (AttTeeFault) e->code;
                if (att_tee_fault_spoils_entry(fault))
                        att_report_entry_remove(entry, reports);

                if (!att_tee_fault_may_pass(fault) || n_tries == TRIES ||
                    g_get_monotonic_time() - start > TRY_WITHIN_US) {
                        g_propagate_error(error, g_steal_pointer(&e));
                        return NULL;
                }
                g_debug("try %u: %s", n_tries, e->message);
        }
}
