/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "bus/split-answer.h"

#include "util/bytes.h"

/* D-Bus Specification, "Message Format": alignment counts from the first byte of a message, and all that is put here
 * begins at a multiple of 8. Little-endian on any machine: the message says so. */
#define ALIGNMENT 8u

/* What is the same in all of them. */
static const guint8 head[] = {
        'l', 2, 1, 1,                                                /* a method return, which wants no reply */
        0, 0, 0, 0,                                                  /* length of the body */
        0, 0, 0, 0,                                                  /* serial */
        21, 0, 0, 0,                                                 /* length of the fields */
        5, 1, 'u', 0, 0, 0, 0, 0,                                    /* REPLY_SERIAL */
        8, 1, 'g', 0, 7, 'a', 'y', 'a', '{', 's', 'v', '}', 0,       /* SIGNATURE */
        0, 0, 0,
        0, 0, 0, 0,                                                  /* length of the evidence, the body's first */
};

enum { BODY_LENGTH_AT = 4, SERIAL_AT = 8, REPLY_SERIAL_AT = 20, BODY_AT = 40 };

G_STATIC_ASSERT(sizeof head == BODY_AT + 4);

/* What the dictionary has: keys, and the values' type; each begins at a multiple of 8, as the values do. */
static const guint8 entries[] = {
        6, 0, 0, 0, 's', 'h', 'a', 'r', 'e', 'd', 0, 1, 't', 0, 0, 0,
        0, 0, 0, 0, 0, 0, 0, 0,
        9, 0, 0, 0, 's', 'h', 'a', 'r', 'e', 'd', '_', 'a', 't', 0, 1, 't', 0, 0, 0, 0, 0, 0, 0, 0,
        0, 0, 0, 0, 0, 0, 0, 0,
        11, 0, 0, 0, 's', 'h', 'a', 'r', 'e', 'd', '_', 's', 'i', 'z', 'e', 0, 1, 't', 0, 0, 0, 0, 0, 0,
        0, 0, 0, 0, 0, 0, 0, 0,
};

enum { SHARED_AT = 16, SHARED_AT_AT = 48, SHARED_SIZE_AT = 80 };

G_STATIC_ASSERT(sizeof entries == SHARED_SIZE_AT + 8);

static void set_u32(guint8 *p, guint32 v) {
        v = GUINT32_TO_LE(v);
        memcpy(p, &v, sizeof v);
}

static void set_u64(guint8 *p, guint64 v) {
        v = GUINT64_TO_LE(v);
        memcpy(p, &v, sizeof v);
}

static gsize aligned(gsize size, gsize to) {
        return (size + to - 1) / to * to;
}

void att_split_answer_put(GByteArray *out, const AttSplitAnswer *a) {
        gsize size;
        const void *evidence = g_bytes_get_data(a->evidence, &size);
        gsize length_at = aligned(sizeof head + size, 4), entries_at = aligned(length_at + 4, ALIGNMENT);
        guint begin = out->len;
        guint8 *m;

        g_byte_array_set_size(out, (guint) (begin + entries_at + sizeof entries));
        m = out->data + begin;
        memcpy(m, head, sizeof head);
        set_u32(m + BODY_LENGTH_AT, (guint32) (entries_at + sizeof entries - BODY_AT));
        set_u32(m + SERIAL_AT, a->serial);
        set_u32(m + REPLY_SERIAL_AT, a->reply_serial);
        set_u32(m + BODY_AT, (guint32) size);
        if (size > 0)
                memcpy(m + sizeof head, evidence, size);
        memset(m + sizeof head + size, 0, entries_at - sizeof head - size); /* padding is 0 */
        set_u32(m + length_at, sizeof entries);

        m += entries_at;
        memcpy(m, entries, sizeof entries);
        set_u64(m + SHARED_AT, a->shared);
        set_u64(m + SHARED_AT_AT, a->shared_at);
        set_u64(m + SHARED_SIZE_AT, a->shared_size);
}
