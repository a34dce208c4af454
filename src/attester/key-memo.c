/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "attester/key-memo.h"

#include <string.h>

bool att_key_memo_has(const AttKeyMemo *memo, AttHash hash, const uint8_t *digest) {
        guint at = digest[0] % ATT_KEY_MEMO_SIZE;

        return memo->places[at].is_used && memo->places[at].hash == hash &&
               memcmp(memo->places[at].digest, digest, att_hash_size(hash)) == 0;
}

void att_key_memo_add(AttKeyMemo *memo, AttHash hash, const uint8_t *digest) {
        guint at = digest[0] % ATT_KEY_MEMO_SIZE;

        memo->places[at].is_used = true;
        memo->places[at].hash = hash;
        memcpy(memo->places[at].digest, digest, att_hash_size(hash));
}
