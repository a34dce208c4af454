/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Target functions: att_ima_record_parse, att_ima_replay_add */
#include "crypto/ima-replay.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        for (unsigned bank = 0; bank < ATT_BANKS; bank++) {
                g_autoptr(AttImaReplay) replay = att_ima_replay_new(ATT_BANK_SET(bank));
                AttCursor log = att_cursor(data, size);
                guint64 added = 0;

                for (;;) {
                        g_autoptr(GError) error = NULL;
                        const AttCursor before = log;
                        AttImaRecord r;
                        AttImaParsed parsed = att_ima_record_parse(&log, (AttBank) bank, &r, &error);

                        g_assert((parsed == ATT_IMA_BAD) == (error != NULL));
                        if (parsed != ATT_IMA_RECORD) {
                                g_assert(log.at == before.at && log.left == before.left);
                                break;
                        }
                        g_assert(log.left < before.left && before.left - log.left <= ATT_IMA_RECORD_MAX);
                        g_assert(r.data.left <= ATT_IMA_DATA_MAX && r.file_digest.left <= 64);
                        g_assert(!r.path.at || r.path.at + r.path.left <= log.at);
                        if (att_ima_replay_add(replay, &r, (AttBank) bank, NULL))
                                added++;
                }
                g_assert(att_ima_replay_count(replay) == added);
                g_assert(att_ima_replay_violations(replay) <= added);
        }
        return 0;
}
