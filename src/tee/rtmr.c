/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "tee/rtmr.h"

#include "crypto/digest.h"
#include "tee/tdx-device.h"
#include "util/error.h"
#include "util/io.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>

#define MEASUREMENTS_PATH "/sys/class/misc/tdx_guest/measurements"
/* Written before the register is looked at again. */
#define BATCH 1024u
/* That wait to be written. */
#define PENDING_MAX 4096u

typedef struct Pending {
        uint8_t digest[ATT_RTMR_SIZE];
        guint64 n_entries; /* this one, and those of other PCRs that follow it */
} Pending;

struct AttMirror {
        guint rtmr;
        AttMirrorState state;
        char *detail;
        int fd;             /* the attribute, locked; -1: not yet */

        bool has_looked;    /* @now is what the register holds, or held */
        bool has_found;     /* @now is the aggregate of @n_entries entries, and @pending is what follows them */
        bool is_lost;       /* it was, and is no more */
        uint8_t now[ATT_RTMR_SIZE];
        uint8_t tried[ATT_RTMR_SIZE]; /* until it is found: aggregate of the entries that were tried */
        guint64 n_entries, n_extensions;
        GArray *pending;    /* of Pending */
        guint n_unsettled;  /* of them, that were written: the register has all, some or none */
        bool is_behind;     /* all that follows is in the list only */
};

const char *att_mirror_state_name(AttMirrorState state) {
        switch (state) {
        case ATT_MIRROR_OK:
                return "ok";
        case ATT_MIRROR_ABSENT:
                return "absent";
        case ATT_MIRROR_FOREIGN:
                return "foreign";
        case ATT_MIRROR_FAILED:
                return "failed";
        }
        g_assert_not_reached();
}

static AttMirrorState set_state(AttMirror *m, AttMirrorState state, const char *format, ...) G_GNUC_PRINTF(3, 4);
static AttMirrorState set_state(AttMirror *m, AttMirrorState state, const char *format, ...) {
        char *detail;
        va_list ap;

        va_start(ap, format);
        detail = g_strdup_vprintf(format, ap);
        va_end(ap);
        g_free(m->detail);
        m->detail = detail;
        m->state = state;
        return state;
}

static GArray *pending_new(void) {
        return g_array_new(FALSE, FALSE, sizeof(Pending));
}

/* Nothing is extended any more. */
static AttMirrorState lose(AttMirror *m, const char *format, ...) G_GNUC_PRINTF(2, 3);
static AttMirrorState lose(AttMirror *m, const char *format, ...) {
        va_list ap;

        va_start(ap, format);
        g_free(m->detail);
        m->detail = g_strdup_vprintf(format, ap);
        va_end(ap);
        m->is_lost = true;
        m->n_unsettled = 0;
        g_array_set_size(m->pending, 0);
        return m->state = ATT_MIRROR_FOREIGN;
}

AttMirror *att_mirror_new(guint rtmr) {
        AttMirror *m = g_new0(AttMirror, 1);

        g_assert(rtmr < ATT_TDX_RTMRS);
        m->rtmr = rtmr;
        m->fd = -1;
        m->pending = pending_new();
        set_state(m, ATT_MIRROR_FAILED, "RTMR%u has not been looked at yet", rtmr);
        return m;
}

void att_mirror_free(AttMirror *mirror) {
        if (!mirror)
                return;

        att_close_p(&mirror->fd);
        g_array_unref(mirror->pending);
        g_free(mirror->detail);
        g_free(mirror);
}

/* ----- which prefix of the log */

static void extend(uint8_t value[ATT_RTMR_SIZE], const uint8_t digest[ATT_RTMR_SIZE]) {
        const AttPart parts[] = { { value, ATT_RTMR_SIZE }, { digest, ATT_RTMR_SIZE } };

        att_bank_digest_parts(ATT_BANK_SHA384, parts, G_N_ELEMENTS(parts), value);
}

static bool is_found_here(AttMirror *m) {
        if (!m->has_found)
                m->has_found = memcmp(m->tried, m->now, ATT_RTMR_SIZE) == 0;
        return m->has_found;
}

/* The register holds what was tried so far, or else this entry is behind us too.
 * Nothing is kept of those. */
static void try_entry(AttMirror *m, const uint8_t digest[ATT_RTMR_SIZE]) {
        if (is_found_here(m)) {
                Pending p = { .n_entries = 1 };

                memcpy(p.digest, digest, ATT_RTMR_SIZE);
                g_array_append_val(m->pending, p);
                return;
        }
        extend(m->tried, digest);
        m->n_extensions++;
        m->n_entries++;
        (void) is_found_here(m);
}

static void take_entry(AttMirror *m, const AttImaRecord *record) {
        uint8_t digest[ATT_RTMR_SIZE];

        if (record->pcr != ATT_IMA_PCR) {
                if (m->pending->len > 0)
                        g_array_index(m->pending, Pending, m->pending->len - 1).n_entries++;
                else
                        m->n_entries++;
                return;
        }
        att_ima_digest(record, ATT_BANK_SHA384, digest);
        try_entry(m, digest);
}

/* Keeps the first @n of those that wait; there may have been all of the log. */
static void keep_pending(AttMirror *m, guint n) {
        GArray *kept = pending_new();

        g_array_append_vals(kept, m->pending->data, n);
        g_array_unref(m->pending);
        m->pending = kept;
}

/* They are read again when there is a register to write them to, but for those that it may have. */
static void leave_to_list(AttMirror *m) {
        m->is_behind = true;
        keep_pending(m, m->n_unsettled);
}

static void first_look(AttMirror *m);

void att_mirror_add(AttMirror *mirror, const AttImaRecord *record) {
        if (mirror->is_lost || mirror->is_behind)
                return;

        if (!mirror->has_looked)
                first_look(mirror);
        if (mirror->has_looked && mirror->pending->len < PENDING_MAX)
                take_entry(mirror, record);
        else
                leave_to_list(mirror);
}

/* ----- the register */

/* Ours alone as long as we live: two of us would extend each entry twice. */
static AttMirrorState take(AttMirror *m) {
        g_autofree char *path = g_strdup_printf(MEASUREMENTS_PATH "/rtmr%u:sha384", m->rtmr);
        att_autofd int fd = -1;

        if (m->fd >= 0)
                return ATT_MIRROR_OK;

        fd = open(path, O_WRONLY | O_CLOEXEC | O_NOFOLLOW | O_NOCTTY);
        if (fd < 0 && (errno == ENOENT || errno == ENODEV || errno == ENXIO))
                return set_state(m, ATT_MIRROR_ABSENT,
                                 "this kernel cannot extend RTMR%u: it takes a TD and Linux 6.16 or later", m->rtmr);
        if (fd < 0)
                return set_state(m, ATT_MIRROR_FAILED, "RTMR%u cannot be opened for extending: %s", m->rtmr,
                                 g_strerror(errno));
        if (flock(fd, LOCK_EX | LOCK_NB) < 0)
                return set_state(m, ATT_MIRROR_FAILED, errno == EWOULDBLOCK ?
                                 "another attestd extends RTMR%u%s" : "RTMR%u cannot be locked: %s", m->rtmr,
                                 errno == EWOULDBLOCK ? "" : g_strerror(errno));
        m->fd = att_steal_fd(&fd);
        return ATT_MIRROR_OK;
}

static bool read_register(AttMirror *m, uint8_t ret[ATT_RTMR_SIZE]) {
        g_autoptr(GError) e = NULL;
        AttTdxReport report;
        g_autoptr(GBytes) bytes = att_tdx_report_local(&report, &e);

        if (!bytes) {
                set_state(m, ATT_MIRROR_FAILED, "RTMR%u cannot be read: %s", m->rtmr, e->message);
                return false;
        }
        memcpy(ret, report.rtmr[m->rtmr], ATT_RTMR_SIZE);
        return true;
}

/* Before the log, so that nothing needs to be kept of what the register has already. */
static void first_look(AttMirror *m) {
        m->has_looked = take(m) == ATT_MIRROR_OK && read_register(m, m->now);
}

static AttMirrorState lose_to_others(AttMirror *m) {
        return lose(m, "another program than attestd has extended RTMR%u", m->rtmr);
}

/* Is the register what we have left it at? What a write that failed has done, or one
 * that no look could follow, only the register knows. */
static AttMirrorState look(AttMirror *m) {
        uint8_t now[ATT_RTMR_SIZE], value[ATT_RTMR_SIZE];
        guint done = 0;

        if (!read_register(m, now))
                return m->state;
        if (!m->has_looked) {
                memcpy(m->now, now, ATT_RTMR_SIZE);
                m->has_looked = true;
        }

        memcpy(value, m->now, ATT_RTMR_SIZE);
        while (memcmp(value, now, ATT_RTMR_SIZE) != 0 && done < m->n_unsettled)
                extend(value, g_array_index(m->pending, Pending, done++).digest);
        if (memcmp(value, now, ATT_RTMR_SIZE) != 0)
                return lose_to_others(m);

        for (guint i = 0; i < done; i++)
                m->n_entries += g_array_index(m->pending, Pending, i).n_entries;
        m->n_extensions += done;
        m->n_unsettled = 0;
        memcpy(m->now, now, ATT_RTMR_SIZE);
        if (done > 0)
                g_array_remove_range(m->pending, 0, done);
        return ATT_MIRROR_OK;
}

/* ----- extending */

static bool write_one(AttMirror *m, const Pending *p) {
        ssize_t n = pwrite(m->fd, p->digest, ATT_RTMR_SIZE, 0);
        int err = n < 0 ? errno : 0;

        if (n == (ssize_t) ATT_RTMR_SIZE)
                return true;
        set_state(m, ATT_MIRROR_FAILED, "RTMR%u cannot be extended: %s", m->rtmr,
                  n < 0 ? g_strerror(err) : "the kernel has taken only a part");
        /* The attribute went with its driver, and is another one when that is back. */
        if (err == ENODEV) {
                att_close_p(&m->fd);
                m->fd = -1;
        }
        return false;
}

static AttMirrorState write_pending(AttMirror *m) {
        while (m->pending->len > 0) {
                guint waiting = m->pending->len, n = MIN(waiting, BATCH), written = 0;
                g_autofree char *fault = NULL;

                while (written < n && write_one(m, &g_array_index(m->pending, Pending, written)))
                        written++;
                if (written < n)
                        fault = g_strdup(m->detail);
                m->n_unsettled = MIN(written + 1, n);
                if (look(m) != ATT_MIRROR_OK)
                        return m->state;
                if (fault)
                        return set_state(m, ATT_MIRROR_FAILED, "%s", fault);
                if (waiting - m->pending->len < written)
                        return set_state(m, ATT_MIRROR_FAILED, "RTMR%u stays as it is when the kernel extends it",
                                         m->rtmr);
        }

        keep_pending(m, 0);
        return set_state(m, ATT_MIRROR_OK, "%s", "");
}

/* A piece of the list. What is extended is for good: so each hash is compared once more. */
static gboolean take_piece(AttMirror *m, AttCursor piece, AttBank listed, GError **error) {
        g_autoptr(AttImaReplay) replay = att_ima_replay_new(0);
        AttImaRecord record;

        while (piece.left > 0) {
                if (att_ima_record_parse(&piece, listed, &record, error) != ATT_IMA_RECORD ||
                    !att_ima_replay_add(replay, &record, listed, error))
                        return FALSE;
                take_entry(m, &record);
        }
        return TRUE;
}

/* Each piece is extended before the next is read: of a long log, too, not much is kept. */
static AttMirrorState take_up(AttMirror *m, AttImaSource *source) {
        g_autoptr(GError) error = NULL;
        g_autoptr(AttImaReader) reader = att_ima_reader_new(source, m->n_entries,
                                                            att_ima_replay_count(att_ima_source_replay(source)),
                                                            &error);
        AttMirrorState state = ATT_MIRROR_OK;

        keep_pending(m, 0); /* the register has none of them, as it was looked at: they are in the list */
        while (!error && state == ATT_MIRROR_OK && !att_ima_reader_is_at_end(reader)) {
                guint64 n;
                g_autoptr(GBytes) piece = att_ima_reader_next(reader, &n, &error);

                if (piece && take_piece(m, att_cursor_bytes(piece), att_ima_source_listed(source), &error) &&
                    is_found_here(m))
                        state = write_pending(m);
        }
        if (error)
                state = set_state(m, ATT_MIRROR_FAILED, "the log cannot be read again for RTMR%u: %s", m->rtmr,
                                  error->message);
        if (state == ATT_MIRROR_OK)
                m->is_behind = false;
        else if (!m->is_lost)
                leave_to_list(m);
        return state;
}

AttMirrorState att_mirror_catch_up(AttMirror *mirror, AttImaSource *source) {
        AttMirrorState state;

        if (mirror->is_lost)
                return mirror->state;

        state = take(mirror);
        if (state == ATT_MIRROR_ABSENT)
                leave_to_list(mirror);
        if (state == ATT_MIRROR_OK)
                state = look(mirror);
        if (state == ATT_MIRROR_OK && mirror->is_behind)
                state = take_up(mirror, source);
        if (state != ATT_MIRROR_OK)
                return state;

        if (!is_found_here(mirror))
                return set_state(mirror, ATT_MIRROR_FOREIGN,
                                 "RTMR%u is no part of the log: another program, or a kernel before a kexec, "
                                 "has extended it", mirror->rtmr);
        return write_pending(mirror);
}

AttMirrorState att_mirror_check(AttMirror *mirror) {
        if (mirror->is_lost || !mirror->has_found)
                return mirror->state;
        return look(mirror);
}

/* ----- what was extended */

struct AttMirrorReader {
        AttImaReader *log;
        AttBank listed;
        guint64 first, last; /* extensions wanted; not @last */
        guint64 at;          /* the next one in the log */
};

AttMirrorReader *att_mirror_reader_new(const AttMirror *mirror, AttImaSource *source, guint64 first, GError **error) {
        guint64 last = mirror->has_found ? mirror->n_extensions : 0;
        AttImaReader *log;
        AttMirrorReader *r;

        if (first > last) {
                att_error_set(error, ATT_ERROR_INVALID_ARGUMENT,
                              "the register has been extended %" G_GUINT64_FORMAT " times, not %" G_GUINT64_FORMAT,
                              last, first);
                return NULL;
        }
        log = att_ima_reader_new(source, 0, first < last ? mirror->n_entries : 0, error);
        if (!log)
                return NULL;

        r = g_new(AttMirrorReader, 1);
        *r = (AttMirrorReader) {
                .log = log,
                .listed = att_ima_source_listed(source),
                .first = first,
                .last = last,
                .at = first < last ? 0 : last,
        };
        return r;
}

void att_mirror_reader_free(AttMirrorReader *reader) {
        if (!reader)
                return;

        att_ima_reader_free(reader->log);
        g_free(reader);
}

bool att_mirror_reader_is_at_end(const AttMirrorReader *reader) {
        return reader->at == reader->last;
}

GBytes *att_mirror_reader_next(AttMirrorReader *r, guint64 *ret_count, GError **error) {
        guint64 n;
        g_autoptr(GBytes) entries = att_ima_reader_next(r->log, &n, error);
        g_autoptr(GByteArray) out = NULL;
        AttImaRecord record;
        AttCursor c;

        if (!entries)
                return NULL;

        out = g_byte_array_new();
        c = att_cursor_bytes(entries);
        while (!att_mirror_reader_is_at_end(r) &&
               att_ima_record_parse(&c, r->listed, &record, NULL) == ATT_IMA_RECORD) {
                uint8_t digest[ATT_RTMR_SIZE];

                if (record.pcr != ATT_IMA_PCR || r->at++ < r->first)
                        continue;
                att_ima_digest(&record, ATT_BANK_SHA384, digest);
                att_put(out, digest, sizeof digest);
        }
        if (!att_mirror_reader_is_at_end(r) && att_ima_reader_is_at_end(r->log)) {
                att_error_set(error, ATT_ERROR_FAILED,
                              "the log has only %" G_GUINT64_FORMAT " of the %" G_GUINT64_FORMAT
                              " entries that the register was extended by", r->at, r->last);
                return NULL;
        }
        *ret_count = out->len / ATT_RTMR_SIZE;
        return g_byte_array_free_to_bytes(g_steal_pointer(&out));
}

AttMirrorState att_mirror_state(const AttMirror *mirror) {
        return mirror->state;
}

const char *att_mirror_detail(const AttMirror *mirror) {
        return mirror->detail;
}

bool att_mirror_is_ours(const AttMirror *mirror) {
        return mirror->has_found && !mirror->is_lost;
}

guint64 att_mirror_count(const AttMirror *mirror) {
        return mirror->has_found ? mirror->n_entries : 0;
}

const uint8_t *att_mirror_register(const AttMirror *mirror) {
        return mirror->now;
}
