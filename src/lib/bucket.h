/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A bucket of tokens is the time at which it is full again, as one token comes every so
 * often. It begins as 0: full. */
#pragma once

#include <glib.h>
#include <stdint.h>

G_BEGIN_DECLS

/** att_bucket_next: when the next token may be taken of a bucket that has room for @size */
static inline int64_t att_bucket_next(int64_t full_at, unsigned size, int64_t every) {
        return full_at - (int64_t) (size - 1) * every;
}

static inline void att_bucket_take(int64_t *full_at, int64_t now, int64_t every) {
        *full_at = MAX(*full_at, now) + every;
}

G_END_DECLS
