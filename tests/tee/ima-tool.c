/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The IMA source on a line: commands on standard input, answers on standard output.
 * For tests and measurements; not installed.
 *
 *   look           "look CHANGED STATE ENTRIES VIOLATIONS LISTED AGGREGATE US NEW DETAIL": AGGREGATE of sha256, the
 *                  look's time in microseconds, how many entries were told of
 *   read FIRST LAST "read COUNT HEX", or "error CODE SENTENCE"; CODE is a number of AttError
 *
 * "-" stands for an empty word. */
#include "tee/ima-source.h"

#include <stdio.h>
#include <string.h>

static void count_entry(const AttImaRecord *record, guint64 index, gpointer userdata) {
        guint64 *n = userdata;

        (void) record;
        (void) index;
        (*n)++;
}

static void print_hex(const uint8_t *p, size_t size) {
        for (size_t i = 0; i < size; i++)
                printf("%02x", p[i]);
        if (size == 0)
                putchar('-');
}

static void look(AttImaSource *source) {
        guint64 n_told = 0;
        gint64 began = g_get_monotonic_time();
        bool is_changed = att_ima_source_look(source, count_entry, &n_told);
        gint64 took = g_get_monotonic_time() - began;
        const AttImaReplay *replay = att_ima_source_replay(source);
        const char *detail = att_ima_source_detail(source);

        printf("look %d %s %" G_GUINT64_FORMAT " %" G_GUINT64_FORMAT " %s ", is_changed,
               att_ima_state_name(att_ima_source_state(source)), att_ima_replay_count(replay),
               att_ima_source_violations(source), att_bank_name(att_ima_source_listed(source)));
        print_hex(att_ima_replay_aggregate(replay, ATT_BANK_SHA256), att_bank_size(ATT_BANK_SHA256));
        printf(" %" G_GINT64_FORMAT " %" G_GUINT64_FORMAT " %s\n", took, n_told, *detail ? detail : "-");
}

static void read_range(AttImaSource *source, guint64 first, guint64 last) {
        g_autoptr(GError) error = NULL;
        g_autoptr(AttImaReader) reader = att_ima_reader_new(source, first, last, &error);
        g_autoptr(GByteArray) all = g_byte_array_new();
        guint64 count = 0;

        while (reader && !error && !att_ima_reader_is_at_end(reader)) {
                guint64 n;
                g_autoptr(GBytes) piece = att_ima_reader_next(reader, &n, &error);

                if (!piece)
                        break;
                g_byte_array_append(all, g_bytes_get_data(piece, NULL), (guint) g_bytes_get_size(piece));
                count += n;
        }
        if (error) {
                printf("error %d %s\n", error->code, error->message);
                return;
        }
        printf("read %" G_GUINT64_FORMAT " ", count);
        print_hex(all->data, all->len);
        putchar('\n');
}

int main(void) {
        g_autoptr(AttImaSource) source = att_ima_source_new(ATT_BANK_SET(ATT_BANK_SHA256));
        char line[256];

        while (fgets(line, sizeof line, stdin)) {
                guint64 first, last;

                if (strcmp(line, "look\n") == 0)
                        look(source);
                else if (sscanf(line, "read %" G_GUINT64_FORMAT " %" G_GUINT64_FORMAT, &first, &last) == 2)
                        read_range(source, first, last);
                else
                        printf("what?\n");
                (void) fflush(stdout);
        }
        return 0;
}
