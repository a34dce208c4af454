/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Public keys that were found good not long ago: a server has one, and asks about it ten
 * thousand times. Of each only the digest is kept, and of those that were refused nothing. */
#pragma once

#include "util/tls-terms.h"

#include <glib.h>
#include <stdbool.h>

G_BEGIN_DECLS

#define ATT_KEY_MEMO_SIZE 1024u

/* Begins as all zero. */
typedef struct AttKeyMemo {
        /*< private >*/
        struct {
                bool is_used;
                AttHash hash;
                uint8_t digest[ATT_HASH_SIZE_MAX];
        } places[ATT_KEY_MEMO_SIZE]; /* by the first bytes of the digest: the newest of each stays */
} AttKeyMemo;

/** att_key_memo_has: was the key with this digest, by @hash, added? */
bool att_key_memo_has(const AttKeyMemo *memo, AttHash hash, const uint8_t *digest);
void att_key_memo_add(AttKeyMemo *memo, AttHash hash, const uint8_t *digest);

G_END_DECLS
