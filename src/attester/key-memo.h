/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Public keys that were found good not long ago: a server has one, and asks about it ten
 * thousand times. Of each only the digest is kept, and of those that were refused nothing. */
#pragma once

#include "util/tls-terms.h"

#include <glib.h>
#include <stdbool.h>

G_BEGIN_DECLS

/* A key has its place among some few, by its digest: the oldest of these makes room. */
#define ATT_KEY_MEMO_SETS 1024u
#define ATT_KEY_MEMO_WAYS 4u
#define ATT_KEY_MEMO_DIGEST_SIZE 32u /* of a longer one the beginning */

/* Begins as all zero. */
typedef struct AttKeyMemo {
        /*< private >*/
        struct {
                uint8_t n, next;
                uint8_t hashes[ATT_KEY_MEMO_WAYS];
                uint8_t digests[ATT_KEY_MEMO_WAYS][ATT_KEY_MEMO_DIGEST_SIZE];
        } sets[ATT_KEY_MEMO_SETS];
} AttKeyMemo;

/** att_key_memo_has: was the key with this digest, by @hash, added? */
bool att_key_memo_has(const AttKeyMemo *memo, AttHash hash, const uint8_t *digest);
/** att_key_memo_add: one that is not there */
void att_key_memo_add(AttKeyMemo *memo, AttHash hash, const uint8_t *digest);

G_END_DECLS
