/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lib/log-taker.h"

#include "util/error.h"

void att_log_piece_clear(AttLogPiece *piece) {
        g_clear_pointer(&piece->entries, g_bytes_unref);
        g_clear_pointer(&piece->bank, g_free);
}

void att_log_taker_clear(AttLogTaker *t) {
        att_log_request_clear(&t->asked);
        g_clear_pointer(&t->boot, g_byte_array_unref);
        g_clear_pointer(&t->refusal, g_free);
}

void att_log_taker_restart(AttLogTaker *t) {
        att_log_taker_clear(t);
        *t = (AttLogTaker) { 0 };
}

static bool is_boot(const char *log) {
        return g_str_equal(log, ATT_LOG_BOOT);
}

GBytes *att_log_taker_ask(AttLogTaker *t, char **logs, uint64_t next) {
        for (; logs && *logs; logs++) {
                bool is_due = is_boot(*logs) ? !t->has_boot : g_str_equal(*logs, ATT_LOG_IMA) && !t->has_ima;

                if (!is_due)
                        continue;
                t->asked.log = g_strdup(*logs);
                t->asked.from = !is_boot(*logs) ? next : t->boot ? t->boot->len : 0;
                return att_log_request_encode(&t->asked);
        }
        return NULL;
}

/* Whole, when it is. */
static GBytes *take_boot(AttLogTaker *t, const AttLogEntriesFrame *e) {
        if (!t->boot)
                t->boot = g_byte_array_new();
        g_byte_array_append(t->boot, g_bytes_get_data(e->entries, NULL), (guint) g_bytes_get_size(e->entries));
        return e->more || t->boot->len == 0 ? NULL : g_byte_array_free_to_bytes(g_steal_pointer(&t->boot));
}

gboolean att_log_taker_take(AttLogTaker *t, GBytes *payload, AttLogPiece *ret, GError **error) {
        g_auto(AttLogEntriesFrame) e = { 0 };
        gsize size;

        if (!att_log_entries_decode(payload, &e, error))
                return FALSE;
        if (!g_str_equal(e.log, t->asked.log) || e.first != t->asked.from)
                return att_error_set(error, ATT_ERROR_BAD_DATA, "log entries that were not asked for");
        size = g_bytes_get_size(e.entries);
        if (++t->n_frames > ATT_LOG_FRAMES_MAX || size > ATT_LOG_BYTES_MAX - t->n_bytes ||
            (is_boot(e.log) && e.first + size > ATT_LOG_BOOT_MAX))
                return att_error_set(error, ATT_ERROR_TOO_LARGE, "too much of the log \"%s\"", e.log);
        t->n_bytes += size;
        att_log_request_clear(&t->asked);

        t->newest = is_boot(e.log) ? ATT_LOG_BOOT : ATT_LOG_IMA;
        *ret = (AttLogPiece) { .log = t->newest };
        *(is_boot(e.log) ? &t->has_boot : &t->has_ima) = !e.more;
        if (e.reason) {
                g_clear_pointer(&t->boot, g_byte_array_unref);
                g_free(t->refusal);
                t->refusal = g_strdup_printf("%s: %s", e.log, e.reason);
                return TRUE;
        }
        ret->bank = g_steal_pointer(&e.bank);
        if (is_boot(e.log)) {
                ret->entries = take_boot(t, &e);
        } else if (size > 0) {
                ret->first = e.first;
                ret->entries = g_steal_pointer(&e.entries);
        }
        return TRUE;
}
