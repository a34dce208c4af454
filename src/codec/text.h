/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <string.h>

/* Is this 1 to @max bytes of UTF-8 that can be printed as they are? Texts of
 * peers end up in logs and on terminals: no control characters, no overriding of
 * the writing direction. */
static inline bool att_text_is_plain(const char *text, size_t max) {
        size_t size = strnlen(text, max + 1);

        if (size == 0 || size > max || !g_utf8_validate_len(text, size, NULL))
                return false;

        for (const char *p = text; *p; p = g_utf8_next_char(p))
                if (!g_unichar_isprint(g_utf8_get_char(p)))
                        return false;
        return true;
}
