/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "tee/ima-count.h"

#include "util/io.h"

#include <fcntl.h>

#define IMA "/sys/kernel/security/ima/"
#define NUMBER_MAX 32u

guint64 att_ima_count_parse(const char *text, gsize size) {
        g_autofree char *number = NULL;
        guint64 n;

        if (size < 2 || text[size - 1] != '\n')
                return 0;

        number = g_strndup(text, size - 1);
        return g_ascii_string_to_unsigned(number, 10, 0, G_MAXUINT64, &n, NULL) ? n : 0;
}

static guint64 count(const char *path) {
        g_autoptr(GBytes) text = att_read_at(AT_FDCWD, path, NUMBER_MAX, NULL);

        return text ? att_ima_count_parse(g_bytes_get_data(text, NULL), g_bytes_get_size(text)) : 0;
}

guint64 att_ima_count_entries(void) {
        return count(IMA "runtime_measurements_count");
}

guint64 att_ima_count_violations(void) {
        return count(IMA "violations");
}
