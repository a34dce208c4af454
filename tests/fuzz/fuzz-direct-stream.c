/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Target functions: att_direct_stream_take; the first byte says in which pieces the rest comes */
#include "bus/direct-stream.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const guint8 *data, gsize size);

typedef struct Taken {
        GString *answer;
        GByteArray *messages;
        gboolean ok;
} Taken;

static Taken take(const guint8 *data, gsize size, gsize piece) {
        static const uint8_t id[16] = { 1 };
        g_autoptr(AttDirectStream) s = att_direct_stream_new(1000, id);
        Taken t = { .answer = g_string_new(NULL), .messages = g_byte_array_new(), .ok = TRUE };

        for (gsize at = 0; at < size && t.ok; at += piece) {
                g_autofree guint8 *exact = g_memdup2(data + at, MIN(piece, size - at));
                const void *p;
                gsize n;

                t.ok = att_direct_stream_take(s, exact, MIN(piece, size - at), t.answer, &p, &n, NULL);
                if (t.ok)
                        g_byte_array_append(t.messages, p, (guint) n);
        }
        /* Nothing is given of who has not said BEGIN, and nobody is known that has not said who he is. */
        if (t.messages->len > 0 && (!att_direct_stream_is_authenticated(s) || !strstr(t.answer->str, "OK ")))
                g_abort();
        return t;
}

int LLVMFuzzerTestOneInput(const guint8 *data, gsize size) {
        Taken whole, pieces;

        if (size < 1)
                return 0;

        whole = take(data + 1, size - 1, MAX(size - 1, 1));
        pieces = take(data + 1, size - 1, MAX(data[0], 1));
        /* However it comes, it is the same; but what was whole before the error may have been given already. */
        if (whole.ok != pieces.ok)
                g_abort();
        if (whole.ok && (!g_string_equal(whole.answer, pieces.answer) || whole.messages->len != pieces.messages->len ||
                         (whole.messages->len > 0 &&
                          memcmp(whole.messages->data, pieces.messages->data, whole.messages->len) != 0)))
                g_abort();

        (void) g_string_free(whole.answer, TRUE);
        (void) g_string_free(pieces.answer, TRUE);
        g_byte_array_unref(whole.messages);
        g_byte_array_unref(pieces.messages);
        return 0;
}
