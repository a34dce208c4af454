/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The folder of real attestation data of others, which is no part of the tree:
 * its path is the test's argument. EXPECTED.json has the facts of each file. */
#pragma once

#include "codec/json-in.h"

#include <check.h>
#include <stdbool.h>
#include <stdio.h>

static const char *vectors;

/* False, with a word of why, if it is not there: the test then exits with 77. */
static inline bool vectors_open(int argc, char **argv) {
        g_autofree char *expected = argc > 1 ? g_build_filename(argv[1], "EXPECTED.json", NULL) : NULL;

        if (!expected || !g_file_test(expected, G_FILE_TEST_IS_REGULAR)) {
                printf("skipped: no vectors at %s\n", argc > 1 ? argv[1] : "(no path given)");
                return false;
        }
        vectors = argv[1];
        return true;
}

static inline GBytes *vectors_read(const char *path) {
        g_autofree char *file = g_build_filename(vectors, path, NULL), *data = NULL;
        gsize size;

        ck_assert_msg(g_file_get_contents(file, &data, &size, NULL), "cannot read %s", file);
        return g_bytes_new_take(g_memdup2(data, size), size);
}

static inline json_t *vectors_expected(void) {
        g_autoptr(GBytes) bytes = vectors_read("EXPECTED.json");
        json_t *all = json_loadb(g_bytes_get_data(bytes, NULL), g_bytes_get_size(bytes), 0, NULL);

        ck_assert(json_is_object(all));
        return all;
}

static inline char *hex_of(const void *data, size_t size) {
        GString *out = g_string_sized_new(2 * size + 1);

        for (size_t i = 0; i < size; i++)
                g_string_append_printf(out, "%02x", ((const guint8 *) data)[i]);
        return g_string_free(out, FALSE);
}
