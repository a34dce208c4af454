/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Target functions: att_ima_history_add, att_ima_history_work, att_ima_history_fit, att_ima_history_cover, … */
/* A sequence of what a peer and its relying party can do with a log: entries given, in
 * pieces and slices, verdicts that cover some, and those that go back. What fits is
 * held against a replay of the same bytes from the first entry on. */
#include "verifier/ima-history.h"

#include "util/bytes.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define M24 "111111111111111111111111"
#define MRTD M24 M24 M24 M24

static const char text[] = "attestd-policy 1\ntee tdx\nworkload any\nboot mrtd=" MRTD "\n"
                           "ima root rtmr\nima root tpm-outside\n"
                           "ima exclude /usr/\nima require /x\nima allow sha1:"
                           "1111111111111111111111111111111111111111 /x\n";

static AttPolicy *policy;

/* All that is given and not taken back, from the first entry on. */
typedef struct Model {
        AttImaHistory *history;
        GByteArray *log;
        gsize covered;      /* bytes of it */
        bool has_covered;
        uint8_t boot_id[ATT_IMA_BOOT_ID_SIZE];
} Model;

/* How many entries are there in the first bytes, and what do they add up to? */
static AttImaReplay *replay(const Model *m, guint64 n, gsize *ret_size) {
        AttImaReplay *r = att_ima_replay_new(ATT_BANK_SET_ALL);
        AttCursor c = att_cursor(m->log->data, m->log->len);
        AttImaRecord record;

        while (att_ima_replay_count(r) < n) {
                if (att_ima_record_parse(&c, ATT_BANK_SHA1, &record, NULL) != ATT_IMA_RECORD ||
                    !att_ima_replay_add(r, &record, ATT_BANK_SHA1, NULL))
                        abort();
        }
        *ret_size = m->log->len - c.left;
        return r;
}

static void give(Model *m, const uint8_t *p, gsize size, bool in_slices) {
        g_autoptr(GBytes) bytes = g_bytes_new(p, size);
        guint64 next = att_ima_history_next(m->history);
        AttImaWork work;

        if (att_ima_history_add(m->history, bytes, next + 1, ATT_BANK_SHA1, NULL))
                abort();
        if (!att_ima_history_add(m->history, bytes, next, ATT_BANK_SHA1, NULL))
                abort();
        do
                work = att_ima_history_work(m->history, in_slices ? 1 : 0, NULL);
        while (work == ATT_IMA_WORK_MORE);
        if (work == ATT_IMA_WORK_FAILED && att_ima_history_next(m->history) != next)
                abort();
        if (work == ATT_IMA_WORK_DONE)
                g_byte_array_append(m->log, p, (guint) size);
}

static void judge(Model *m, guint64 n, uint8_t boot, bool to_cover) {
        guint64 next = att_ima_history_next(m->history), covered = att_ima_history_covered(m->history);
        g_autoptr(AttImaReplay) r = NULL;
        g_autofree char *why = NULL, *refused = NULL;
        g_autoptr(GPtrArray) ran = NULL;
        AttImaClaims ima = { .root = (char *) "claimed", .bank = (char *) "sha256", .count = n };
        uint8_t boot_id[ATT_IMA_BOOT_ID_SIZE] = { boot };
        bool is_same = !m->has_covered || memcmp(boot_id, m->boot_id, sizeof boot_id) == 0;
        AttImaFit fit;
        gsize size;

        n = next > 0 ? n % (next + 1) : 0;
        r = replay(m, n, &size);
        ima.count = n;
        ima.violations = att_ima_replay_violations(r);
        ima.aggregate = g_bytes_new(att_ima_replay_aggregate(r, ATT_BANK_SHA256), 32);
        fit = att_ima_history_fit(m->history, boot_id, &ima, &why);
        g_bytes_unref(ima.aggregate);
        if (fit != (!is_same ? ATT_IMA_OTHER_BOOT : n < covered ? ATT_IMA_BEHIND : ATT_IMA_FITS))
                abort();
        if (fit != ATT_IMA_FITS)
                return;
        ran = att_ima_history_ran(m->history, n, 4);
        refused = att_ima_history_refused(m->history, n);
        (void) att_ima_history_missing(m->history, n);
        if (!to_cover)
                return;
        att_ima_history_cover(m->history, n, boot_id);
        m->has_covered = true;
        memcpy(m->boot_id, boot_id, sizeof boot_id);
        m->covered = size;
}

static void forget(Model *m, bool all) {
        if (all) {
                att_ima_history_reset(m->history);
                m->has_covered = false;
                m->covered = 0;
        } else {
                att_ima_history_rewind(m->history);
        }
        g_byte_array_set_size(m->log, (guint) m->covered);
        if (att_ima_history_held(m->history) != 0)
                abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        AttCursor c = att_cursor(data, size);
        Model m = { .log = g_byte_array_new() };

        if (!policy)
                policy = att_policy_parse("policy", text, strlen(text), NULL);
        m.history = att_ima_history_new(policy);
        while (c.left > 0 && !c.failed) {
                uint8_t step = att_take_u8(&c);
                AttCursor piece;

                switch (step % 8) {
                case 0:
                case 1:
                case 2:
                case 3:
                        piece = att_take_sub(&c, att_take_u16le(&c));
                        if (!c.failed)
                                give(&m, piece.at, piece.left, step & 1);
                        break;
                case 4:
                case 5:
                        judge(&m, att_take_u8(&c), step >> 7, step & 1);
                        break;
                default:
                        forget(&m, step & 1);
                        break;
                }
        }
        att_ima_history_free(m.history);
        g_byte_array_unref(m.log);
        return 0;
}
