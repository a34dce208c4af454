/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "tee/ima-source.h"

#include "util/error.h"
#include "util/io.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#define IMA "/sys/kernel/security/ima"
#define COUNT IMA "/runtime_measurements_count"
#define VIOLATIONS IMA "/violations"
#define LIST IMA "/binary_runtime_measurements"

#define NUMBER_MAX 32u
#define CHUNK 65536u      /* of one read; a kernel of today gives a page */
#define READ_MAX 262144u  /* of one piece, or … */
#define READ_US 5000      /* … what came so soon: the kernel walks the list from its head for each read */
#define SAMPLE_MAX 256u

/* What stood at a place of the list: if something else stands there now, it is another list. */
typedef struct Sample {
        guint64 offset;
        size_t size;
        uint8_t bytes[SAMPLE_MAX];
} Sample;

struct AttImaSource {
        unsigned banks;
        AttImaReplay *replay;

        char *path;          /* of the list; NULL until one was found */
        AttBank listed;
        bool is_trimmable;   /* by a kernel that lets the head be exported and deleted */
        bool is_doubtful;    /* it did not hold what it held: the next look says so */
        int fd;              /* kept at the end of the list, where new entries appear; -1: none */

        GByteArray *pending; /* read, and no whole record yet */
        guint64 offset;      /* behind the last whole record */
        Sample first, last;

        guint64 counted, violations; /* by the kernel */
        AttImaState state;
        char *detail;
};

const char *att_ima_state_name(AttImaState state) {
        switch (state) {
        case ATT_IMA_OK:
                return "ok";
        case ATT_IMA_ABSENT:
                return "absent";
        case ATT_IMA_UNREADABLE:
                return "unreadable";
        case ATT_IMA_GARBLED:
                return "garbled";
        case ATT_IMA_HISTORY_LOST:
                return "history-lost";
        }
        return "unknown";
}

static void close_list(AttImaSource *s) {
        att_close_p(&s->fd);
        s->fd = -1;
        g_byte_array_set_size(s->pending, 0);
}

static bool G_GNUC_PRINTF(3, 4) set_state(AttImaSource *s, AttImaState state, const char *format, ...) {
        va_list args;

        va_start(args, format);
        g_free(s->detail);
        s->detail = g_strdup_vprintf(format, args);
        va_end(args);
        s->state = state;
        if (state != ATT_IMA_OK)
                close_list(s);
        return false;
}

/* A log that was read is there, whatever has become of its files: it is not to go unsaid. */
static bool set_unreadable(AttImaSource *s, const char *path, int err) {
        if (err == ENOENT && strcmp(path, COUNT) == 0 && att_ima_replay_count(s->replay) == 0)
                return set_state(s, ATT_IMA_ABSENT, "this kernel has no IMA log: there is no " COUNT);
        if (err == EBUSY || err == EACCES)
                return set_state(s, ATT_IMA_UNREADABLE, "%s may not be read, or another program holds it: %s", path,
                                 g_strerror(err));
        return set_state(s, ATT_IMA_UNREADABLE, "%s cannot be read: %s", path, g_strerror(err));
}

AttImaSource *att_ima_source_new(unsigned banks) {
        AttImaSource *s = g_new0(AttImaSource, 1);

        s->banks = banks;
        s->replay = att_ima_replay_new(banks);
        s->fd = -1;
        s->pending = g_byte_array_new();
        s->state = ATT_IMA_ABSENT;
        s->detail = g_strdup("the log was not looked at yet");
        return s;
}

void att_ima_source_free(AttImaSource *source) {
        if (!source)
                return;
        close_list(source);
        att_ima_replay_free(source->replay);
        g_byte_array_unref(source->pending);
        g_free(source->path);
        g_free(source->detail);
        g_free(source);
}

static int open_file(const char *path) {
        return open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
}

static ssize_t read_some(int fd, void *to, size_t size) {
        ssize_t n;

        do {
                n = read(fd, to, size);
        } while (n < 0 && errno == EINTR);
        return n;
}

/* As many of @size bytes as there are; a read may give fewer than asked for. */
static ssize_t read_up_to(int fd, uint8_t *to, size_t size) {
        size_t done = 0;

        while (done < size) {
                ssize_t n = read_some(fd, to + done, size - done);

                if (n < 0)
                        return -1;
                if (n == 0)
                        break;
                done += (size_t) n;
        }
        return (ssize_t) done;
}

static bool read_number(AttImaSource *s, const char *path, guint64 *ret) {
        char text[NUMBER_MAX + 1];
        att_autofd int fd = open_file(path);
        ssize_t n = fd >= 0 ? read_up_to(fd, (uint8_t *) text, NUMBER_MAX) : -1;

        if (n < 0)
                return set_unreadable(s, path, errno);
        text[n] = '\0';
        if (n > 0 && text[n - 1] == '\n')
                text[n - 1] = '\0';
        if (!g_ascii_string_to_unsigned(text, 10, 0, G_MAXUINT64, ret, NULL))
                return set_state(s, ATT_IMA_UNREADABLE, "%s holds no number", path);
        return true;
}

/* A list of a wanted bank saves hashing; of those of a TPM any is better than SHA-1. */
static int open_any_list(AttImaSource *s) {
        static const AttBank order[] = { ATT_BANK_SHA256, ATT_BANK_SHA384, ATT_BANK_SHA512, ATT_BANK_SHA1 };

        for (unsigned i = 0; i < 2 * G_N_ELEMENTS(order); i++) {
                AttBank bank = order[i % G_N_ELEMENTS(order)];
                g_autofree char *path = g_strdup_printf(LIST "_%s", att_bank_name(bank));
                int fd;

                if (i < G_N_ELEMENTS(order) && !(s->banks & ATT_BANK_SET(bank)))
                        continue;
                fd = open_file(path);
                if (fd >= 0 || errno != ENOENT) {
                        s->path = g_steal_pointer(&path);
                        s->listed = bank;
                        return fd;
                }
        }
        s->path = g_strdup(LIST); /* before Linux 6.10, SHA-1 */
        s->listed = ATT_BANK_SHA1;
        return open_file(s->path);
}

static int open_list(AttImaSource *s) {
        g_autofree char *staged = NULL;
        struct stat st;
        int fd, err;

        if (s->path && att_ima_replay_count(s->replay) > 0)
                return open_file(s->path);

        g_clear_pointer(&s->path, g_free);
        fd = open_any_list(s);
        err = errno;
        staged = g_strconcat(s->path, "_staged", NULL);
        s->is_trimmable = stat(staged, &st) == 0;
        errno = err;
        return fd;
}

static void sample(Sample *to, guint64 offset, const uint8_t *at, size_t size) {
        to->offset = offset;
        to->size = MIN(size, SAMPLE_MAX);
        memcpy(to->bytes, at, to->size);
}

/* If not: errno, or 0 where something else stands there. */
static bool is_there(int fd, const Sample *sample) {
        uint8_t bytes[SAMPLE_MAX];
        ssize_t n;

        if (lseek(fd, (off_t) sample->offset, SEEK_SET) < 0)
                return false;
        n = read_up_to(fd, bytes, sample->size);
        if (n < 0)
                return false;
        errno = 0;
        return n == (ssize_t) sample->size && memcmp(bytes, sample->bytes, sample->size) == 0;
}

/* What cannot be read now may be there: only what was read and is another one is lost, and for good. */
static bool begins_as_it_did(AttImaSource *s, int fd) {
        if (is_there(fd, &s->first))
                return true;
        return errno != 0 ? set_unreadable(s, s->path, errno) :
               set_state(s, ATT_IMA_HISTORY_LOST, "%s has lost its head: it does not begin as it did", s->path);
}

/* Does a list that is opened again begin and go on as the one that was read? */
static bool is_continued(AttImaSource *s, int fd) {
        if (att_ima_replay_count(s->replay) == 0)
                return true;
        if (!begins_as_it_did(s, fd))
                return false;
        if (!is_there(fd, &s->last) && errno == 0)
                return set_state(s, ATT_IMA_HISTORY_LOST, "%s does not hold entry %" G_GUINT64_FORMAT " where it was",
                                 s->path, att_ima_replay_count(s->replay) - 1);
        if (errno != 0 || lseek(fd, (off_t) s->offset, SEEK_SET) < 0)
                return set_unreadable(s, s->path, errno);
        return true;
}

static bool ensure_open(AttImaSource *s) {
        att_autofd int fd = -1;

        if (s->fd >= 0)
                return true;
        fd = open_list(s);
        if (fd < 0)
                return set_unreadable(s, s->path, errno);
        if (!is_continued(s, fd))
                return false;
        s->fd = att_steal_fd(&fd);
        return true;
}

static bool is_boot_aggregate(const AttImaRecord *record) {
        static const char name[] = "boot_aggregate";

        return record->path.left == strlen(name) && memcmp(record->path.at, name, strlen(name)) == 0;
}

/* The whole records of what was read. A first one that is not boot_aggregate is not the first
 * that the kernel made; a template without names does not tell. */
static bool take_pending(AttImaSource *s, AttImaEntry entry, gpointer userdata) {
        AttCursor log = att_cursor(s->pending->data, s->pending->len);
        const uint8_t *start = log.at;
        AttImaParsed parsed;
        g_autoptr(GError) error = NULL;
        AttImaRecord r;

        while ((parsed = att_ima_record_parse(&log, s->listed, &r, &error)) == ATT_IMA_RECORD) {
                guint64 count = att_ima_replay_count(s->replay);

                if (count == 0 && r.path.at && !is_boot_aggregate(&r))
                        return set_state(s, ATT_IMA_HISTORY_LOST,
                                         "%s has lost its head: it does not begin with boot_aggregate", s->path);
                if (!att_ima_replay_add(s->replay, &r, s->listed, &error))
                        break;
                if (count == 0)
                        sample(&s->first, 0, start, (size_t) (log.at - start));
                sample(&s->last, s->offset, start, (size_t) (log.at - start));
                s->offset += (guint64) (log.at - start);
                start = log.at;
                if (entry)
                        entry(&r, count, userdata);
        }
        if (error)
                return set_state(s, ATT_IMA_GARBLED,
                                 "entry %" G_GUINT64_FORMAT ", at byte %" G_GUINT64_FORMAT " of %s: %s",
                                 att_ima_replay_count(s->replay), s->offset, s->path, error->message);
        g_byte_array_remove_range(s->pending, 0, (guint) (start - s->pending->data));
        return true;
}

static bool read_to_end(AttImaSource *s, AttImaEntry entry, gpointer userdata) {
        for (;;) {
                guint had = s->pending->len;
                ssize_t n;
                int err;

                g_byte_array_set_size(s->pending, had + CHUNK);
                n = read_some(s->fd, s->pending->data + had, CHUNK);
                err = errno;
                g_byte_array_set_size(s->pending, had + (n > 0 ? (guint) n : 0));
                if (n < 0)
                        return set_unreadable(s, s->path, err);
                if (n == 0)
                        break;
                if (!take_pending(s, entry, userdata))
                        return false;
                /* All that was counted. The kernel walks the list from its head for each read: one more, to find
                 * nothing, would double the cost of an entry of a long list. */
                if (s->pending->len == 0 && att_ima_replay_count(s->replay) >= s->counted)
                        return true;
        }
        if (s->pending->len > 0)
                return set_state(s, ATT_IMA_GARBLED,
                                 "%s ends within entry %" G_GUINT64_FORMAT ", which begins at byte %" G_GUINT64_FORMAT,
                                 s->path, att_ima_replay_count(s->replay), s->offset);
        if (att_ima_replay_count(s->replay) < s->counted)
                return set_state(s, ATT_IMA_HISTORY_LOST,
                                 "the kernel counts %" G_GUINT64_FORMAT " entries, and %s has %" G_GUINT64_FORMAT,
                                 s->counted, s->path, att_ima_replay_count(s->replay));
        return true;
}

/* Nothing is new; is what was read still there? Who holds the list meanwhile may: nothing is missed. */
static void look_at_head(AttImaSource *s) {
        att_autofd int fd = open_file(s->path);

        if (fd >= 0) {
                s->is_doubtful = false;
                (void) begins_as_it_did(s, fd);
        }
}

/* The count is read before the list: the list then has as many entries, or more. */
static void look(AttImaSource *s, AttImaEntry entry, gpointer userdata) {
        guint64 counted, violations;
        bool was_open = s->fd >= 0;

        if (s->state == ATT_IMA_HISTORY_LOST)
                return; /* for good: what is lost does not come back */
        if (!read_number(s, COUNT, &counted) || !read_number(s, VIOLATIONS, &violations))
                return;
        if (counted < s->counted) {
                set_state(s, ATT_IMA_HISTORY_LOST,
                          "the kernel counts %" G_GUINT64_FORMAT " entries, and counted %" G_GUINT64_FORMAT " before",
                          counted, s->counted);
                return;
        }
        s->violations = violations;
        /* What was read before it was counted is not read again: whatever comes later is counted later. */
        if (counted <= att_ima_replay_count(s->replay) && s->state == ATT_IMA_OK) {
                s->counted = counted;
                if (counted > 0 && (s->is_trimmable || s->is_doubtful))
                        look_at_head(s);
                return;
        }
        if (counted == s->counted && s->state == ATT_IMA_GARBLED)
                return;
        s->counted = counted;

        /* A list that changed below an open descriptor is told from a garbled one by what it begins with. */
        if (ensure_open(s) && (read_to_end(s, entry, userdata) ||
                               (was_open && s->state != ATT_IMA_UNREADABLE && ensure_open(s) &&
                                read_to_end(s, entry, userdata))))
                set_state(s, ATT_IMA_OK, "%s", "");
        if (s->is_trimmable)
                close_list(s); /* who trims is kept out by who reads */
}

bool att_ima_source_look(AttImaSource *source, AttImaEntry entry, gpointer userdata) {
        guint64 count = att_ima_replay_count(source->replay), violations = source->violations;
        AttImaState state = source->state;

        look(source, entry, userdata);
        return att_ima_replay_count(source->replay) != count || source->violations != violations ||
               source->state != state;
}

AttImaState att_ima_source_state(const AttImaSource *source) {
        return source->state;
}

const char *att_ima_source_detail(const AttImaSource *source) {
        return source->detail;
}

const AttImaReplay *att_ima_source_replay(const AttImaSource *source) {
        return source->replay;
}

guint64 att_ima_source_violations(const AttImaSource *source) {
        return source->violations;
}

AttBank att_ima_source_listed(const AttImaSource *source) {
        return source->listed;
}

/* ----- read again, piece by piece */

struct AttImaReader {
        AttImaSource *source;
        int fd;
        guint64 first, last;
        guint64 at;          /* the entry that @pending begins with */
        GByteArray *pending; /* read, and not given */
};

/* The next look says what it is. */
static gboolean lose_entry(AttImaSource *s, guint64 index, GError **error) {
        s->is_doubtful = true;
        return att_error_set(error, ATT_ERROR_FAILED, "entry %" G_GUINT64_FORMAT " is not in %s any more", index,
                             s->path);
}

static gboolean cannot_read(AttImaSource *s, GError **error) {
        int err = errno;

        s->is_doubtful = true;
        return att_error_set(error, ATT_ERROR_FAILED, "%s cannot be read: %s", s->path, g_strerror(err));
}

AttImaReader *att_ima_reader_new(AttImaSource *source, guint64 first, guint64 last, GError **error) {
        g_autoptr(AttImaReader) r = NULL;

        if (source->state == ATT_IMA_HISTORY_LOST) {
                att_error_set(error, ATT_ERROR_FAILED, "the log has lost its history: %s", source->detail);
                return NULL;
        }
        if (first > last || last > att_ima_replay_count(source->replay)) {
                att_error_set(error, ATT_ERROR_INVALID_ARGUMENT,
                              "entries %" G_GUINT64_FORMAT " to %" G_GUINT64_FORMAT " of %" G_GUINT64_FORMAT, first,
                              last, att_ima_replay_count(source->replay));
                return NULL;
        }

        r = g_new(AttImaReader, 1);
        *r = (AttImaReader) { .source = source, .fd = -1, .first = first, .last = last };
        r->pending = g_byte_array_new();
        if (first == last) {
                r->at = last;
                return g_steal_pointer(&r);
        }
        r->fd = open_file(source->path);
        if (r->fd < 0) {
                (void) cannot_read(source, error);
                return NULL;
        }
        if (!is_there(r->fd, &source->first) || lseek(r->fd, 0, SEEK_SET) < 0) {
                (void) (errno != 0 ? cannot_read(source, error) : lose_entry(source, first, error));
                return NULL;
        }
        return g_steal_pointer(&r);
}

void att_ima_reader_free(AttImaReader *reader) {
        if (!reader)
                return;

        att_close_p(&reader->fd);
        g_byte_array_unref(reader->pending);
        g_free(reader);
}

bool att_ima_reader_is_at_end(const AttImaReader *reader) {
        return reader->at == reader->last;
}

/* Returns: bytes; 0 at the end, -1 on failure, and what was read before it is not lost */
static gssize read_more(AttImaReader *r) {
        const gint64 until = g_get_monotonic_time() + READ_US;
        const guint had = r->pending->len;
        guint done = 0;
        ssize_t n;
        int err;

        g_byte_array_set_size(r->pending, had + READ_MAX);
        do {
                n = read_some(r->fd, r->pending->data + had + done, READ_MAX - done);
                err = errno;
                done += n > 0 ? (guint) n : 0;
        } while (n > 0 && done < READ_MAX && g_get_monotonic_time() < until);
        g_byte_array_set_size(r->pending, had + done);
        errno = err;
        return n < 0 ? -1 : (gssize) done;
}

GBytes *att_ima_reader_next(AttImaReader *r, guint64 *ret_count, GError **error) {
        gssize n = att_ima_reader_is_at_end(r) ? 0 : read_more(r);
        AttCursor log = att_cursor(r->pending->data, r->pending->len);
        const uint8_t *start = log.at, *end = log.at; /* of what is given */
        AttImaParsed parsed = ATT_IMA_RECORD;
        guint64 had = r->at, count = 0;
        AttImaRecord record;
        GBytes *piece;

        if (n < 0) {
                (void) cannot_read(r->source, error);
                return NULL;
        }
        while (r->at < r->last &&
               (parsed = att_ima_record_parse(&log, r->source->listed, &record, NULL)) == ATT_IMA_RECORD) {
                if (r->at < r->first)
                        start = log.at;
                else if ((gsize) (log.at - start) > ATT_IMA_RECORD_MAX)
                        break;
                else
                        count++;
                end = log.at;
                r->at++;
        }
        if (parsed == ATT_IMA_BAD || (n == 0 && r->at == had && had < r->last)) {
                (void) lose_entry(r->source, r->at, error);
                return NULL;
        }

        piece = g_bytes_new(start, (gsize) (end - start));
        g_byte_array_remove_range(r->pending, 0, (guint) (end - r->pending->data));
        *ret_count = count;
        return piece;
}
