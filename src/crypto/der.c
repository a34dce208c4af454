/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "crypto/der.h"

static AttCursor no(AttCursor *c) {
        *c = (AttCursor) { .failed = true };
        return *c;
}

AttCursor att_der_take_any(AttCursor *c, uint8_t *ret_tag) {
        uint8_t tag = att_take_u8(c);
        uint64_t size = att_take_u8(c);

        *ret_tag = 0;
        if ((tag & 0x1f) == 0x1f)
                return no(c); /* a tag of several bytes: nothing we read has one */

        if (size & 0x80) {
                size_t n = size & 0x7f;

                /* Three bytes count 16 MiB; none, BER's indefinite form, comes to a length of 0. */
                if (n > 3)
                        return no(c);
                size = att_take_be(c, n);
                if (size < 0x80 || (n > 1 && size >> (8 * (n - 1)) == 0))
                        return no(c);
        }

        *ret_tag = c->failed ? 0 : tag;
        return att_take_sub(c, size);
}

AttCursor att_der_take(AttCursor *c, uint8_t tag) {
        uint8_t found;
        AttCursor content = att_der_take_any(c, &found);

        return content.failed || found != tag ? no(c) : content;
}

uint64_t att_der_take_uint(AttCursor *c, uint64_t max) {
        AttCursor content = att_der_take(c, ATT_DER_INTEGER);
        size_t size = content.left;
        const uint8_t *p = content.at;
        uint64_t v;

        /* Empty, negative, with a superfluous zero, or over 64 bits. */
        if (content.failed || size == 0 || p[0] & 0x80 || (size > 1 && p[0] == 0 && !(p[1] & 0x80)) ||
            size > 9 || (size == 9 && p[0] != 0)) {
                no(c);
                return 0;
        }

        if (size == 9)
                (void) att_take(&content, 1);
        v = att_take_be(&content, content.left);
        if (v > max) {
                no(c);
                return 0;
        }
        return v;
}
