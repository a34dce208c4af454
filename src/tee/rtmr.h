/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The IMA log mirrored into an RTMR of this TD, through tsm-mr in sysfs. Each entry
 * extends it by what it would extend a SHA-384 PCR by: then the register is the
 * log's sha384 aggregate, from zeros, and the kernel's own log is the write-ahead log
 * of the mirror: whenever attestd ends, the register says how much of the log it has. */
#pragma once

#include "crypto/ima-replay.h"

#include <stdint.h>

G_BEGIN_DECLS

#define ATT_RTMR_SIZE 48u

typedef enum {
        ATT_MIRROR_OK,      /* the register is the aggregate of some prefix of the log */
        ATT_MIRROR_ABSENT,  /* no TD, or a kernel that cannot extend */
        ATT_MIRROR_FOREIGN, /* somebody else has extended it, or it was not zero at the start of the log */
        ATT_MIRROR_FAILED,  /* it could not be read or written the last time */
} AttMirrorState;

/** "ok", "absent", "foreign", "failed" */
const char *att_mirror_state_name(AttMirrorState state);

typedef struct AttMirror AttMirror;

/** @rtmr: 0 to 3 */
AttMirror *att_mirror_new(guint rtmr) G_GNUC_WARN_UNUSED_RESULT;
void att_mirror_free(AttMirror *mirror);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(AttMirror, att_mirror_free)

/**
 * att_mirror_add: one more entry of the log, in order from the first
 *
 * Only remembered (a queue of digests) until att_mirror_catch_up().
 */
void att_mirror_add(AttMirror *mirror, const AttImaRecord *record);

/**
 * att_mirror_catch_up: extend what the register lacks
 *
 * Not between sealing and the end of the report. Each extension is read back by
 * TDREPORT, never by the cached sysfs. After the first call it has been found
 * which prefix the register holds: nothing is extended twice.
 */
AttMirrorState att_mirror_catch_up(AttMirror *mirror);

/** att_mirror_check: does the register hold exactly what was mirrored? For the end of a report. */
AttMirrorState att_mirror_check(AttMirror *mirror);

AttMirrorState att_mirror_state(const AttMirror *mirror);
const char *att_mirror_detail(const AttMirror *mirror); /* one sentence; "" when ok */
guint64 att_mirror_count(const AttMirror *mirror); /* entries that the register holds; of all PCRs */

G_END_DECLS
