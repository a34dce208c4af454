/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "attester/key-memo.h"

#include <string.h>

static guint set_of(const uint8_t *digest) {
        return (guint) (digest[0] << 8 | digest[1]) % ATT_KEY_MEMO_SETS;
}

bool att_key_memo_has(const AttKeyMemo *memo, AttHash hash, const uint8_t *digest) {
        guint set = set_of(digest);

        for (guint i = 0; i < memo->sets[set].n; i++)
                if (memo->sets[set].hashes[i] == hash &&
                    memcmp(memo->sets[set].digests[i], digest, ATT_KEY_MEMO_DIGEST_SIZE) == 0)
                        return true;
        return false;
}

void att_key_memo_add(AttKeyMemo *memo, AttHash hash, const uint8_t *digest) {
        guint set = set_of(digest), at = memo->sets[set].next;

        memo->sets[set].next = (uint8_t) ((at + 1) % ATT_KEY_MEMO_WAYS);
        memo->sets[set].n = (uint8_t) MIN(memo->sets[set].n + 1u, ATT_KEY_MEMO_WAYS);
        memo->sets[set].hashes[at] = (uint8_t) hash;
        memcpy(memo->sets[set].digests[at], digest, ATT_KEY_MEMO_DIGEST_SIZE);
}
