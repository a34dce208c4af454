/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lib/log-giver.h"

#include "codec/ima-log.h"
#include "util/error.h"

#define REGISTER_ENTRY 48u

static const char *const names[ATT_LOGS] = { ATT_LOG_IMA, ATT_LOG_BOOT, ATT_LOG_REGISTER };

/* @log is one of them, as a request was decoded. */
static size_t index_of(const char *log) {
        size_t i = 0;

        while (!g_str_equal(names[i], log))
                i++;
        return i;
}

void att_log_giver_forget(AttLogGiver *g) {
        g_clear_pointer(&g->log, g_free);
        g_clear_pointer(&g->bank, g_free);
        g_clear_pointer(&g->bytes, g_bytes_unref);
        g->at = 0;
}

void att_log_giver_clear(AttLogGiver *g) {
        att_log_giver_forget(g);
        att_log_request_clear(&g->asked);
}

void att_log_giver_restart(AttLogGiver *g) {
        att_log_giver_clear(g);
        memset(g->next, 0, sizeof g->next);
        memset(g->is_spent, 0, sizeof g->is_spent);
}

gboolean att_log_giver_ask(AttLogGiver *g, GBytes *payload, GError **error) {
        g_auto(AttLogRequestFrame) request = { 0 };
        size_t i;

        if (!att_log_request_decode(payload, &request, error))
                return FALSE;
        i = index_of(request.log);
        if (g->is_spent[i] || request.from < g->next[i])
                return att_error_set(error, ATT_ERROR_BAD_DATA, "the log \"%s\" was given up to there", request.log);

        g->asked = request;
        request = (AttLogRequestFrame) { 0 };
        return TRUE;
}

gboolean att_log_giver_want(AttLogGiver *g, const char *log, uint64_t from, GError **error) {
        bool is_known = false;

        for (size_t i = 0; i < ATT_LOGS; i++)
                is_known = is_known || g_str_equal(names[i], log);
        if (!is_known)
                return att_error_set(error, ATT_ERROR_INVALID_ARGUMENT, "there is no log \"%s\"", log);
        att_log_request_clear(&g->asked);
        g->asked = (AttLogRequestFrame) { .log = g_strdup(log), .from = from };
        return TRUE;
}

typedef struct Cut {
        gsize size;
        uint64_t count;
} Cut;

/* As many records as go into @max, and @most of them. */
static gboolean cut_records(const AttLogGiver *g, AttCursor left, gsize max, uint64_t most, Cut *ret, GError **error) {
        const size_t all = left.left;
        AttBank bank;

        if (!att_bank_from_name(g->bank, &bank))
                return att_error_set(error, ATT_ERROR_FAILED, "attestd names an unknown bank");
        while (left.left > 0 && ret->count < most) {
                AttImaRecord record;
                AttImaParsed parsed = att_ima_record_parse(&left, bank, &record, error);

                if (parsed == ATT_IMA_BAD)
                        return FALSE;
                if (parsed == ATT_IMA_MORE)
                        return att_error_set(error, ATT_ERROR_BAD_DATA, "the last record is cut off");
                if (all - left.left > max) {
                        if (ret->count > 0)
                                break;
                        return att_error_set(error, ATT_ERROR_TOO_LARGE, "a record is larger than a piece may be");
                }
                *ret = (Cut) { .size = all - left.left, .count = ret->count + 1 };
        }
        return TRUE;
}

/* Entries of one size, as bytes are. */
static Cut cut_evenly(size_t left, gsize max, uint64_t most, size_t entry) {
        uint64_t count = MIN(MIN(left, max) / entry, most);

        return (Cut) { .size = (gsize) count * entry, .count = count };
}

/* Of what attestd gave, from g->at on. */
static gboolean cut(const AttLogGiver *g, gsize max, uint64_t most, Cut *ret, GError **error) {
        AttCursor left = att_cursor_bytes(g->bytes);

        *ret = (Cut) { 0 };
        (void) att_take(&left, g->at);
        if (g_str_equal(g->log, ATT_LOG_IMA))
                return cut_records(g, left, max, most, ret, error);
        *ret = cut_evenly(left.left, max, most, g_str_equal(g->log, ATT_LOG_BOOT) ? 1 : REGISTER_ENTRY);
        return TRUE;
}

/* To the entry that is asked for: who leaves out what we have is not to have attestd give it anew. */
static bool skip(AttLogGiver *g) {
        uint64_t n = g->asked.from - g->first;
        Cut skipped;

        if (n == 0) /* nothing needs to be read, and who cannot read it would not gain by more of it */
                return true;
        if (!cut(g, G_MAXSIZE, n, &skipped, NULL) || skipped.count < n)
                return false;
        g->at += skipped.size;
        g->first += skipped.count;
        return true;
}

/* At its end attestd may have more. */
bool att_log_giver_needs(AttLogGiver *g) {
        return !g->bytes || !g_str_equal(g->log, g->asked.log) || g->asked.from < g->first || !skip(g) ||
               (!g->is_rest && g->at == g_bytes_get_size(g->bytes));
}

/* Could what attestd gave have been longer, but for the limit of its answers? */
static bool is_full(GBytes *bytes) {
        return g_bytes_get_size(bytes) > ATT_LOG_GIVEN_MAX - ATT_IMA_RECORD_MAX;
}

gboolean att_log_giver_take(AttLogGiver *g, AttEvent *event, GError **error) {
        bool is_boot = g_str_equal(g->asked.log, ATT_LOG_BOOT);
        gsize size = g_bytes_get_size(event->bytes);

        /* Of "boot" attestd gives all, and we the part that was asked for. */
        if (is_boot ? event->first != 0 || g->asked.from > size : event->first != g->asked.from)
                return att_error_set(error, ATT_ERROR_FAILED, "what is left of the log \"%s\" begins elsewhere",
                                     g->asked.log);
        att_log_giver_forget(g);
        g->log = g_strdup(g->asked.log);
        g->bank = g_strdup(event->bank);
        g->bytes = g_bytes_ref(event->bytes);
        g->first = g->asked.from;
        g->at = is_boot ? (gsize) g->asked.from : 0;
        g->is_rest = is_boot || !is_full(event->bytes);
        return TRUE;
}

GBytes *att_log_giver_cut(AttLogGiver *g, gsize max, const char **ret_bank, bool *ret_more, GError **error) {
        const size_t i = index_of(g->asked.log);
        GBytes *entries;
        Cut piece;

        if (!cut(g, max, G_MAXUINT64, &piece, error))
                return NULL;

        entries = g_bytes_new_from_bytes(g->bytes, g->at, piece.size);
        *ret_bank = g->bank;
        g->at += piece.size;
        g->first += piece.count;
        *ret_more = piece.size > 0 && (g->at < g_bytes_get_size(g->bytes) || !g->is_rest);
        g->next[i] = g->first;
        g->is_spent[i] = !*ret_more;
        if (!*ret_more) /* there may be many of us, each with its own */
                g_clear_pointer(&g->bytes, g_bytes_unref);
        att_log_request_clear(&g->asked);
        return entries;
}

GBytes *att_log_giver_answer(AttLogGiver *g, GError **error) {
        g_autofree char *log = g_strdup(g->asked.log);
        AttLogEntriesFrame frame = { .log = log, .first = g->asked.from };
        g_autoptr(GBytes) entries = NULL;
        const char *bank;

        entries = att_log_giver_cut(g, ATT_LOG_CHUNK_MAX, &bank, &frame.more, error);
        if (!entries)
                return NULL;
        frame.entries = entries;
        frame.bank = (char *) bank;
        return att_log_entries_encode(&frame);
}

GBytes *att_log_giver_refuse(AttLogGiver *g, const char *reason) {
        g_autoptr(GBytes) none = g_bytes_new(NULL, 0);
        const AttLogEntriesFrame frame = {
                .log = g->asked.log,
                .first = g->asked.from,
                .entries = none,
                .bank = (char *) "",
                .reason = (char *) reason,
        };
        GBytes *payload = att_log_entries_encode(&frame);

        g->is_spent[index_of(g->asked.log)] = true;
        att_log_giver_forget(g);
        att_log_request_clear(&g->asked);
        return payload;
}
