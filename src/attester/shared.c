/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "attester/shared.h"

#include "util/memfd.h"

AttShared *att_shared_new(GBytes *bytes) {
        static guint64 last;
        AttShared *s = g_new(AttShared, 1);

        *s = (AttShared) { .id = ++last, .bytes = g_bytes_ref(bytes) };
        g_ref_count_init(&s->refs);
        return s;
}

AttShared *att_shared_ref(AttShared *s) {
        g_ref_count_inc(&s->refs);
        return s;
}

void att_shared_unref(AttShared *s) {
        if (!s || !g_ref_count_dec(&s->refs))
                return;

        g_bytes_unref(s->bytes);
        g_free(s);
}

int att_shared_open(const AttShared *s, GError **error) {
        return att_memfd_new("attestd-evidence", s->bytes, error);
}
