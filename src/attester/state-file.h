/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What attestd leaves to the next one of the same boot: a file of four lines.
 *
 * Each start is an instance of its own, with an id of its own, so no session and no
 * evidence of before depends on what is in here. What it is for: the generation
 * never goes back within a boot, so who compares it and forgets the instance errs
 * on the safe side; and the log tells of an end that was none. */
#pragma once

#include "attester/generation.h"

#include <stdbool.h>

G_BEGIN_DECLS

#define ATT_STATE_DIRECTORY "/run/attestd"
#define ATT_STATE_FILE "state"
#define ATT_STATE_SIZE_MAX 256u
/* So that no file can bring a generation near its end. */
#define ATT_STATE_GENERATION_MAX ((uint64_t) G_MAXINT64)

typedef struct AttLastState {
        uint8_t boot_id[ATT_BOOT_ID_SIZE];
        uint8_t instance_id[ATT_INSTANCE_ID_SIZE];
        uint64_t generation; /* from 1; the newest that anybody can have been told */
        bool is_stopped;     /* it has ended in order; else it runs, or was killed */
} AttLastState;

/** att_last_state_print: the text of the file */
char *att_last_state_print(const AttLastState *state);

/** att_last_state_parse: what att_last_state_print() makes, to the byte, and nothing else */
gboolean att_last_state_parse(const void *text, gsize size, AttLastState *ret, GError **error);

typedef struct AttStateFile AttStateFile;

/**
 * att_state_file_begin: this instance's turn
 * @directory:  made if it is not there
 * @generation: begins after that of the file, if that is of this boot; each move is
 *              in the file before those who listen from now on are told. Nobody may
 *              have seen it yet
 *
 * Never fails: a file that is garbled, or not wholly ours, is named in the log and
 * ignored, and one that cannot be written is done without.
 */
AttStateFile *att_state_file_begin(const char *directory, AttGeneration *generation) G_GNUC_WARN_UNUSED_RESULT;

/** att_state_file_end: in order; all is answered, and the generation does not move any more */
void att_state_file_end(AttStateFile *file);

G_END_DECLS
