/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "verifier/ima-history.h"

#include "crypto/digest.h"
#include "util/error.h"
#include "verifier/ima-appraisal.h"

#define NONE G_MAXUINT64
/* A verdict hashes at most so many entries, or bytes and one entry, again. */
#define POINT_ENTRIES 1024u
#define POINT_BYTES (256u * 1024u)
/* The clock is looked at so often. */
#define SLICE_ENTRIES 32u
/* … and behind an entry of so many bytes, which takes its time to hash, or to look for a signature in. */
#define SLICE_BYTES 4096u
#define PATH_SHOWN_MAX 160
/* No path of Linux is longer, but a record may hold one of a megabyte: results go over the bus, which cuts off who
 * sends a message over its limit. */
#define PATH_RAN_MAX 4096u

/* What a piece costs beside its bytes, which is not to be had for nothing by giving a log entry by entry. */
#define PIECE_COST_MIN 4096u
/* Smaller ones are copied: of what is mapped the kernel keeps a list, which has a limit for all of the process. */
#define PIECE_MAPPED_MIN (256u * 1024u)

typedef struct Piece {
        GBytes *bytes;
        AttBank listed;
} Piece;

/* Where the log was when a replay stood so. */
typedef struct Point {
        AttImaReplay *replay;
        guint piece;
        gsize at;
} Point;

struct AttImaHistory {
        AttPolicy *policy;
        GArray *pieces;      /* of Piece: what no verdict has covered, and the rest of the piece before */
        gsize held;          /* cost of @pieces */
        GArray *points;      /* of Point, in order; the first is what the last verdict covered */
        GByteArray *verdicts; /* AttImaVerdict of each entry since, as a byte: an entry has many times that */
        Point end;           /* behind the last entry taken */
        bool has_covered;    /* and with it @boot_id */
        uint8_t boot_id[ATT_IMA_BOOT_ID_SIZE];

        guint64 refused_at;  /* entry; NONE */
        char *refused;       /* (nullable) */
        guint64 *taken_at;   /* entry in which each required path was taken first; NONE */

        bool is_busy;        /* the last of @pieces is not taken to its end */
        Point before;        /* then: @end as it was */
};

static gsize cost_of(GBytes *bytes) {
        return MAX(g_bytes_get_size(bytes), PIECE_COST_MIN);
}

static void piece_clear(gpointer data) {
        Piece *piece = data;

        g_bytes_unref(piece->bytes);
}

static void point_clear(gpointer data) {
        Point *point = data;

        g_clear_pointer(&point->replay, att_ima_replay_free);
}

static Point point_copy(const Point *point) {
        return (Point) { att_ima_replay_copy(point->replay), point->piece, point->at };
}

static void point_set(Point *point, Point value) {
        point_clear(point);
        *point = value;
}

/* In which bank the claims will have the aggregate is not known before; with a root
 * that is an RTMR alone it is. */
static unsigned banks_of(const AttImaRules *rules) {
        for (AttImaRoot root = 0; root < ATT_IMA_ROOTS; root++)
                if (root != ATT_IMA_ROOT_RTMR && rules->takes_root[root])
                        return ATT_BANK_SET_ALL;
        return ATT_BANK_SET(ATT_BANK_SHA384);
}

static Point point_new(const AttImaRules *rules) {
        return (Point) { .replay = att_ima_replay_new(banks_of(rules)) };
}

static guint64 count_of(const Point *point) {
        return att_ima_replay_count(point->replay);
}

static const Point *point_at(const AttImaHistory *h, guint i) {
        return &g_array_index(h->points, Point, i);
}

static const AttImaRules *rules_of(const AttImaHistory *h) {
        return &h->policy->ima;
}

AttImaHistory *att_ima_history_new(AttPolicy *policy) {
        AttImaHistory *h = g_new0(AttImaHistory, 1);
        Point start = point_new(&policy->ima);

        h->policy = att_policy_ref(policy);
        h->pieces = g_array_new(FALSE, FALSE, sizeof(Piece));
        g_array_set_clear_func(h->pieces, piece_clear);
        h->points = g_array_new(FALSE, FALSE, sizeof(Point));
        g_array_set_clear_func(h->points, point_clear);
        g_array_append_val(h->points, start);
        h->verdicts = g_byte_array_new();
        h->end = point_copy(&start);
        h->refused_at = NONE;
        h->taken_at = g_new(guint64, rules_of(h)->required->len);
        for (guint i = 0; i < rules_of(h)->required->len; i++)
                h->taken_at[i] = NONE;
        return h;
}

void att_ima_history_free(AttImaHistory *history) {
        if (!history)
                return;

        g_array_unref(history->pieces);
        g_array_unref(history->points);
        g_byte_array_unref(history->verdicts);
        point_clear(&history->end);
        point_clear(&history->before);
        g_free(history->refused);
        g_free(history->taken_at);
        att_policy_unref(history->policy);
        g_free(history);
}

guint64 att_ima_history_next(const AttImaHistory *history) {
        return count_of(history->is_busy ? &history->before : &history->end);
}

gsize att_ima_history_held(const AttImaHistory *history) {
        return history->held;
}

bool att_ima_history_is_busy(const AttImaHistory *history) {
        return history->is_busy;
}

guint64 att_ima_history_covered(const AttImaHistory *history) {
        return history->has_covered ? count_of(point_at(history, 0)) : 0;
}

gboolean att_ima_history_add(AttImaHistory *history, GBytes *entries, guint64 first, AttBank listed, GError **error) {
        guint64 next = att_ima_history_next(history);
        gsize size = g_bytes_get_size(entries), cost = cost_of(entries);
        Piece piece = { .listed = listed };

        if (history->is_busy)
                return att_error_set(error, ATT_ERROR_LIMIT_REACHED,
                                     "entries that were given before are still being read");
        if (first != next)
                return att_error_set(error, ATT_ERROR_INVALID_ARGUMENT,
                                     "%s: the next entry is %" G_GUINT64_FORMAT ", not %" G_GUINT64_FORMAT,
                                     first > next ? "a gap" : "an overlap", next, first);
        if (size > 0 && cost > ATT_IMA_LOG_HELD_MAX - history->held)
                return att_error_set(error, ATT_ERROR_LIMIT_REACHED, "more than %u bytes of a log without a verdict",
                                     ATT_IMA_LOG_HELD_MAX);
        if (size == 0)
                return TRUE;

        piece.bytes = size < PIECE_MAPPED_MIN ? g_bytes_new(g_bytes_get_data(entries, NULL), size) :
                                                g_bytes_ref(entries);
        g_array_append_val(history->pieces, piece);
        history->held += cost;
        point_set(&history->before, point_copy(&history->end));
        history->end.piece = history->pieces->len - 1;
        history->end.at = 0;
        history->is_busy = true;
        return TRUE;
}

static char *utf8(AttCursor text) {
        return text.left > 0 ? g_utf8_make_valid((const char *) text.at, (gssize) text.left) : g_strdup("");
}

/* For a sentence: one line of text, not too long. */
static char *shown(AttCursor text) {
        g_autofree char *valid = utf8(text);
        g_autoptr(GString) out = g_string_new(NULL);
        int n = 0;

        for (const char *c = valid; *c && n < PATH_SHOWN_MAX; c = g_utf8_next_char(c), n++)
                if (g_unichar_isprint(g_utf8_get_char(c)))
                        g_string_append_unichar(out, g_utf8_get_char(c));
                else
                        g_string_append_c(out, '?');
        if (n == PATH_SHOWN_MAX)
                g_string_append(out, "…");
        return g_strdup(out->str);
}

/* For the result, without what no path has. */
static char *path_of(AttCursor path) {
        return utf8(att_cursor(path.at, MIN(path.left, PATH_RAN_MAX)));
}

static char *digest_text(const AttImaRecord *r) {
        GString *text;

        if (!r->algorithm)
                return g_strdup("");
        text = g_string_new_len(r->algorithm, (gssize) r->algorithm_size);
        g_string_append_c(text, ':');
        for (size_t i = 0; i < r->file_digest.left; i++)
                g_string_append_printf(text, "%02x", r->file_digest.at[i]);
        return g_string_free(text, FALSE);
}

static void note_refused(AttImaHistory *h, const AttImaRecord *r, guint64 index, AttImaVerdict verdict) {
        g_autofree char *path = shown(r->path), *digest = digest_text(r);

        if (h->refused_at != NONE)
                return;
        h->refused_at = index;
        h->refused = g_strdup_printf("entry %" G_GUINT64_FORMAT ", %s %s: %s", index, *path ? path : "without a path",
                                     digest, att_ima_verdict_detail(verdict));
}

static void appraise(AttImaHistory *h, const AttImaRecord *r, guint64 index) {
        AttImaVerdict verdict = att_ima_appraise(rules_of(h), r, index);
        uint8_t remembered = (uint8_t) verdict;
        int required;

        g_byte_array_append(h->verdicts, &remembered, 1);
        if (att_ima_verdict_is_refusal(verdict))
                note_refused(h, r, index, verdict);
        /* What goes into another PCR nothing vouches for. */
        if (!att_ima_verdict_is_taken(verdict) || r->pcr != ATT_IMA_PCR)
                return;
        required = att_ima_rules_required(rules_of(h), r->path);
        if (required >= 0 && h->taken_at[required] == NONE)
                h->taken_at[required] = index;
}

/* Forgets what the policy said of the entries from @n on, which no verdict has covered. */
static void forget_verdicts(AttImaHistory *h, guint64 n) {
        g_byte_array_set_size(h->verdicts, (guint) (n - count_of(point_at(h, 0))));
        if (h->refused_at >= n) {
                h->refused_at = NONE;
                g_clear_pointer(&h->refused, g_free);
        }
        for (guint i = 0; i < rules_of(h)->required->len; i++)
                if (h->taken_at[i] >= n)
                        h->taken_at[i] = NONE;
}

static void keep_point(AttImaHistory *h) {
        const Point *last = point_at(h, h->points->len - 1);
        Point copy;

        if (count_of(&h->end) - count_of(last) < POINT_ENTRIES && last->piece == h->end.piece &&
            h->end.at - last->at < POINT_BYTES)
                return;
        copy = point_copy(&h->end);
        g_array_append_val(h->points, copy);
}

static AttCursor rest_of(const AttImaHistory *h, const Point *p) {
        AttCursor c = att_cursor_bytes(g_array_index(h->pieces, Piece, p->piece).bytes);

        (void) att_take(&c, p->at);
        return c;
}

static gboolean take_entry(AttImaHistory *h, AttCursor *c, GError **error) {
        AttBank listed = g_array_index(h->pieces, Piece, h->end.piece).listed;
        guint64 index = count_of(&h->end);
        const uint8_t *start = c->at;
        AttImaRecord r;

        switch (att_ima_record_parse(c, listed, &r, error)) {
        case ATT_IMA_RECORD:
                break;
        case ATT_IMA_MORE:
                return att_error_set(error, ATT_ERROR_BAD_DATA,
                                     "entry %" G_GUINT64_FORMAT " does not end within what was given", index);
        case ATT_IMA_BAD:
                g_prefix_error(error, "entry %" G_GUINT64_FORMAT ": ", index);
                return FALSE;
        }
        keep_point(h);
        if (!att_ima_replay_add(h->end.replay, &r, listed, error)) {
                g_prefix_error(error, "entry %" G_GUINT64_FORMAT ": ", index);
                return FALSE;
        }
        h->end.at += (gsize) (c->at - start);
        appraise(h, &r, index);
        return TRUE;
}

/* As if the last piece had not been given. */
static void give_back(AttImaHistory *h) {
        guint64 n = count_of(&h->before);
        guint last = h->pieces->len - 1;

        h->held -= cost_of(g_array_index(h->pieces, Piece, last).bytes);
        while (h->points->len > 1 && point_at(h, h->points->len - 1)->piece == last)
                g_array_set_size(h->points, h->points->len - 1);
        g_array_set_size(h->pieces, last);
        point_set(&h->end, point_copy(&h->before));
        forget_verdicts(h, n);
        h->is_busy = false;
}

AttImaWork att_ima_history_work(AttImaHistory *history, guint slice_us, GError **error) {
        gint64 until = g_get_monotonic_time() + slice_us;
        AttCursor c;

        if (!history->is_busy)
                return ATT_IMA_WORK_DONE;
        c = rest_of(history, &history->end);
        for (guint n = 1; c.left > 0; n++) {
                gsize left = c.left;

                if (!take_entry(history, &c, error)) {
                        give_back(history);
                        return ATT_IMA_WORK_FAILED;
                }
                if (slice_us > 0 && (n % SLICE_ENTRIES == 0 || left - c.left >= SLICE_BYTES) &&
                    g_get_monotonic_time() >= until)
                        return ATT_IMA_WORK_MORE;
        }
        history->is_busy = false;
        return ATT_IMA_WORK_DONE;
}

gboolean att_ima_history_add_all(AttImaHistory *history, GBytes *log, AttBank listed, GError **error) {
        return att_ima_history_add(history, log, 0, listed, error) &&
               att_ima_history_work(history, 0, error) == ATT_IMA_WORK_DONE;
}

/* A walk over entries that were taken before; @walk is a point of its own. */
static bool walk_next(const AttImaHistory *h, Point *walk, AttImaRecord *ret) {
        while (walk->piece < h->pieces->len) {
                AttCursor c = rest_of(h, walk);
                const uint8_t *start = c.at;

                if (c.left == 0) {
                        walk->piece++;
                        walk->at = 0;
                        continue;
                }
                if (att_ima_record_parse(&c, g_array_index(h->pieces, Piece, walk->piece).listed, ret, NULL) !=
                    ATT_IMA_RECORD)
                        return false;
                walk->at += (gsize) (c.at - start);
                return true;
        }
        return false;
}

static bool walk_replay(const AttImaHistory *h, Point *walk, AttImaRecord *ret) {
        guint piece;

        if (!walk_next(h, walk, ret))
                return false;
        piece = walk->piece;
        return att_ima_replay_add(walk->replay, ret, g_array_index(h->pieces, Piece, piece).listed, NULL);
}

/* The state after the first @n entries, which are there; the first point if they are covered. */
static Point seek(const AttImaHistory *h, guint64 n) {
        guint low = 0, high = h->points->len;
        AttImaRecord r;
        Point walk;

        while (high - low > 1) {
                guint middle = low + (high - low) / 2;

                if (count_of(point_at(h, middle)) <= n)
                        low = middle;
                else
                        high = middle;
        }
        walk = point_copy(point_at(h, low));
        while (count_of(&walk) < n && walk_replay(h, &walk, &r))
                ;
        return walk;
}

static bool is_aggregate(const AttImaHistory *h, const AttImaReplay *replay, const AttImaClaims *claims) {
        AttBank bank;

        return att_bank_from_name(claims->bank, &bank) && banks_of(rules_of(h)) & ATT_BANK_SET(bank) &&
               g_bytes_get_size(claims->aggregate) == att_bank_size(bank) &&
               att_equal(g_bytes_get_data(claims->aggregate, NULL), att_ima_replay_aggregate(replay, bank),
                         att_bank_size(bank));
}

static bool is_boot_aggregate(const AttImaReplay *replay, GBytes *claimed) {
        size_t size;
        const uint8_t *found = att_ima_replay_boot_aggregate(replay, &size);

        return !claimed || (found && g_bytes_get_size(claimed) == size &&
                            att_equal(g_bytes_get_data(claimed, NULL), found, size));
}

static AttImaFit compare(const AttImaHistory *h, const AttImaReplay *replay, const AttImaClaims *claims,
                         char **ret_why) {
        guint64 violations = att_ima_replay_violations(replay);

        if (!is_aggregate(h, replay, claims))
                *ret_why = g_strdup_printf("the first %" G_GUINT64_FORMAT " entries do not give the aggregate in the "
                                           "claims", claims->count);
        else if (violations != claims->violations)
                *ret_why = g_strdup_printf("%" G_GUINT64_FORMAT " violations, but the claims say %" G_GUINT64_FORMAT,
                                           violations, claims->violations);
        else if (!is_boot_aggregate(replay, claims->boot_aggregate))
                *ret_why = g_strdup("its first entry is not the boot_aggregate in the claims");
        else
                return ATT_IMA_FITS;
        return ATT_IMA_DIFFERS;
}

AttImaFit att_ima_history_fit(const AttImaHistory *history, const uint8_t boot_id[ATT_IMA_BOOT_ID_SIZE],
                              const AttImaClaims *claims, char **ret_why) {
        guint64 covered = att_ima_history_covered(history), next = att_ima_history_next(history);
        Point at = { 0 };
        AttImaFit fit;

        if (history->has_covered && memcmp(history->boot_id, boot_id, ATT_IMA_BOOT_ID_SIZE) != 0) {
                *ret_why = g_strdup("of another boot than before: the log is needed from entry 0");
                return ATT_IMA_OTHER_BOOT;
        }
        if (claims->count < covered) {
                *ret_why = g_strdup_printf("the evidence covers %" G_GUINT64_FORMAT " entries, but evidence before it "
                                           "covered %" G_GUINT64_FORMAT, claims->count, covered);
                return ATT_IMA_BEHIND;
        }
        if (claims->count > next) {
                *ret_why = g_strdup_printf("the evidence covers %" G_GUINT64_FORMAT " entries, but only "
                                           "%" G_GUINT64_FORMAT " were given", claims->count, next);
                return ATT_IMA_SHORT;
        }

        at = seek(history, claims->count);
        fit = compare(history, at.replay, claims, ret_why);
        point_clear(&at);
        return fit;
}

bool att_ima_history_find(const AttImaHistory *history, guint64 n, AttBank bank,
                          bool (*is_it)(const uint8_t *aggregate, gconstpointer userdata), gconstpointer userdata) {
        guint64 next = att_ima_history_next(history);
        Point walk = seek(history, n);
        gsize size = 0;
        AttImaRecord r;
        bool found = false;

        for (guint i = 0; !found && i <= ATT_IMA_TAIL_MAX && size <= ATT_IMA_TAIL_BYTES_MAX; i++) {
                found = is_it(att_ima_replay_aggregate(walk.replay, bank), userdata);
                if (count_of(&walk) == next || !walk_replay(history, &walk, &r))
                        break;
                size += r.data.left;
        }
        point_clear(&walk);
        return found;
}

char *att_ima_history_refused(const AttImaHistory *history, guint64 n) {
        return history->refused_at < n ? g_strdup(history->refused) : NULL;
}

const char *att_ima_history_missing(const AttImaHistory *history, guint64 n) {
        const GPtrArray *required = rules_of(history)->required;

        for (guint i = 0; i < required->len; i++)
                if (history->taken_at[i] >= n)
                        return required->pdata[i];
        return NULL;
}

GBytes *att_ima_history_boot_aggregate(const AttImaHistory *history, guint64 n) {
        Point at = seek(history, n);
        size_t size;
        const uint8_t *found = att_ima_replay_boot_aggregate(at.replay, &size);
        GBytes *copy = found ? g_bytes_new(found, size) : NULL;

        point_clear(&at);
        return copy;
}

void att_ima_ran_free(AttImaRan *ran) {
        g_free(ran->path);
        g_free(ran->digest);
        g_free(ran);
}

static AttImaVerdict verdict_of(const AttImaHistory *h, guint64 index) {
        return (AttImaVerdict) h->verdicts->data[index - count_of(point_at(h, 0))];
}

GPtrArray *att_ima_history_ran(const AttImaHistory *history, guint64 n, guint max) {
        GPtrArray *all = g_ptr_array_new_with_free_func((GDestroyNotify) att_ima_ran_free);
        guint64 covered = att_ima_history_covered(history);
        Point walk = seek(history, MAX(covered, n - MIN(n, max)));
        guint64 index = count_of(&walk);
        AttImaRecord r;

        for (; index < n && walk_next(history, &walk, &r); index++) {
                AttImaRan *ran = g_new(AttImaRan, 1);

                ran->path = path_of(r.path);
                ran->digest = digest_text(&r);
                ran->verdict = att_ima_verdict_name(verdict_of(history, index));
                g_ptr_array_add(all, ran);
        }
        point_clear(&walk);
        return all;
}

/* Into memory of its size: there may have been millions. */
static void drop_verdicts(AttImaHistory *h, guint n) {
        GByteArray *rest = g_byte_array_new();

        if (n < h->verdicts->len)
                g_byte_array_append(rest, h->verdicts->data + n, h->verdicts->len - n);
        g_byte_array_unref(h->verdicts);
        h->verdicts = rest;
}

/* Drops the pieces before the first point. */
static void drop_covered(AttImaHistory *h) {
        guint n = point_at(h, 0)->piece;

        for (guint i = 0; i < n; i++)
                h->held -= cost_of(g_array_index(h->pieces, Piece, i).bytes);
        if (n > 0)
                g_array_remove_range(h->pieces, 0, n);
        for (guint i = 0; i < h->points->len; i++)
                g_array_index(h->points, Point, i).piece -= n;
        h->end.piece -= MIN(n, h->end.piece);
}

void att_ima_history_cover(AttImaHistory *history, guint64 n, const uint8_t boot_id[ATT_IMA_BOOT_ID_SIZE]) {
        Point at = seek(history, n);
        guint passed = 0;

        g_return_if_fail(!history->is_busy && count_of(&at) == n);
        while (at.piece < history->pieces->len &&
               at.at == g_bytes_get_size(g_array_index(history->pieces, Piece, at.piece).bytes)) {
                at.piece++;
                at.at = 0;
        }
        drop_verdicts(history, (guint) (n - count_of(point_at(history, 0))));
        while (passed < history->points->len && count_of(point_at(history, passed)) <= n)
                passed++;
        g_array_remove_range(history->points, 0, passed);
        g_array_prepend_val(history->points, at);
        drop_covered(history);
        history->has_covered = true;
        memcpy(history->boot_id, boot_id, ATT_IMA_BOOT_ID_SIZE);
}

void att_ima_history_rewind(AttImaHistory *history) {
        Point start = point_copy(point_at(history, 0));

        g_return_if_fail(!history->is_busy);
        start.piece = 0;
        start.at = 0;
        forget_verdicts(history, count_of(&start));
        drop_verdicts(history, 0);
        g_array_set_size(history->pieces, 0);
        history->held = 0;
        g_array_set_size(history->points, 0);
        point_set(&history->end, point_copy(&start));
        g_array_append_val(history->points, start);
}

void att_ima_history_reset(AttImaHistory *history) {
        Point start = point_new(rules_of(history));

        g_return_if_fail(!history->is_busy);
        history->has_covered = false;
        g_array_set_size(history->points, 0);
        g_array_append_val(history->points, start);
        att_ima_history_rewind(history);
}
