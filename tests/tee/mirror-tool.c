/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The IMA log and its mirror on a line: commands on standard input, what happens on
 * standard output. For tests; not installed.
 *
 *   look          reads the log, and adds its new entries
 *   catch-up      extends
 *   check         looks at the register
 *   read FIRST    "read PIECES COUNT HEX" or "read error CODE SENTENCE"
 *   memory        "memory BYTES": of the heap
 *
 * The first three are answered by "ANSWER STATE COUNT ENTRIES REGISTER DETAIL": what was
 * returned, then the mirror's own; ENTRIES are those of the log. */
#include "tee/rtmr.h"

#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static AttMirror *mirror;
static AttImaSource *source;

static void print_hex(const uint8_t *p, gsize size) {
        for (gsize i = 0; i < size; i++)
                printf("%02x", p[i]);
}

static void answer(AttMirrorState state) {
        const char *detail = att_mirror_detail(mirror);

        printf("%s %s %" G_GUINT64_FORMAT " %" G_GUINT64_FORMAT " ", att_mirror_state_name(state),
               att_mirror_state_name(att_mirror_state(mirror)), att_mirror_count(mirror),
               att_ima_replay_count(att_ima_source_replay(source)));
        print_hex(att_mirror_register(mirror), ATT_RTMR_SIZE);
        printf(" %s\n", detail[0] ? detail : "-");
}

static void on_entry(const AttImaRecord *record, guint64 index, gpointer userdata) {
        (void) index;
        (void) userdata;
        att_mirror_add(mirror, record);
}

static void read_from(const char *first) {
        g_autoptr(GError) error = NULL;
        g_autoptr(AttMirrorReader) reader = att_mirror_reader_new(mirror, source, g_ascii_strtoull(first, NULL, 10),
                                                                  &error);
        g_autoptr(GByteArray) all = g_byte_array_new();
        guint64 count = 0;
        guint pieces = 0;

        while (reader && !error && !att_mirror_reader_is_at_end(reader)) {
                guint64 n;
                g_autoptr(GBytes) piece = att_mirror_reader_next(reader, &n, &error);

                if (!piece)
                        break;
                g_byte_array_append(all, g_bytes_get_data(piece, NULL), (guint) g_bytes_get_size(piece));
                count += n;
                pieces++;
        }
        if (error) {
                printf("read error %d %s\n", error->code, error->message);
                return;
        }
        printf("read %u %" G_GUINT64_FORMAT " ", pieces, count);
        print_hex(all->data, all->len);
        printf("\n");
}

static void print_memory(void) {
        struct mallinfo2 heap = mallinfo2();

        printf("memory %zu\n", heap.uordblks + heap.hblkhd);
}

static void obey(char **words) {
        if (strcmp(words[0], "look") == 0) {
                (void) att_ima_source_look(source, on_entry, NULL);
                answer(att_mirror_state(mirror));
        } else if (strcmp(words[0], "catch-up") == 0) {
                answer(att_mirror_catch_up(mirror, source));
        } else if (strcmp(words[0], "check") == 0) {
                answer(att_mirror_check(mirror));
        } else if (strcmp(words[0], "memory") == 0) {
                print_memory();
        } else if (strcmp(words[0], "read") == 0 && words[1]) {
                read_from(words[1]);
        } else {
                printf("what?\n");
        }
}

int main(int argc, char **argv) {
        char *line = NULL;
        size_t size = 0;

        if (argc != 2)
                return 2;
        (void) setvbuf(stdout, NULL, _IOLBF, 0);
        mirror = att_mirror_new((guint) g_ascii_strtoull(argv[1], NULL, 10));
        source = att_ima_source_new(ATT_BANK_SET(ATT_BANK_SHA384));
        while (getline(&line, &size, stdin) > 0) {
                g_auto(GStrv) words = g_strsplit(g_strchomp(line), " ", 3);

                if (words[0])
                        obey(words);
        }
        free(line);
        att_mirror_free(mirror);
        att_ima_source_free(source);
        return 0;
}
