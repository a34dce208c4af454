/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The little of X.690 that we walk ourselves: DER with one-byte tags, definite
 * lengths in their shortest form, no recursion. */
#pragma once

#include "util/bytes.h"

G_BEGIN_DECLS

enum {
        ATT_DER_INTEGER = 0x02,
        ATT_DER_OCTET_STRING = 0x04,
        ATT_DER_OID = 0x06,
        ATT_DER_SEQUENCE = 0x30,
};

/** The content of the next element, which must have @tag; else @c has failed, and the result too. */
AttCursor att_der_take(AttCursor *c, uint8_t tag);

/** The content of the next element, whatever its tag is. */
AttCursor att_der_take_any(AttCursor *c, uint8_t *ret_tag);

/** The next element must be an INTEGER from 0 to @max. */
uint64_t att_der_take_uint(AttCursor *c, uint64_t max);

G_END_DECLS
