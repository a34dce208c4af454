/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "attester/key-memo.h"

#include <string.h>

static guint place_of(const uint8_t *digest) {
        return (guint) (digest[0] << 8 | digest[1]) % ATT_KEY_MEMO_SIZE;
}

bool att_key_memo_has(const AttKeyMemo *memo, AttHash hash, const uint8_t *digest) {
        guint at = place_of(digest);

        return memo->places[at].is_used && memo->places[at].hash == hash &&
               memcmp(memo->places[at].digest, digest, att_hash_size(hash)) == 0;
}

void att_key_memo_add(AttKeyMemo *memo, AttHash hash, const uint8_t *digest) {
        guint at = place_of(digest);

        memo->places[at].is_used = true;
        memo->places[at].hash = hash;
        memcpy(memo->places[at].digest, digest, att_hash_size(hash));
}
