/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The IMA log mirrored into an RTMR of this TD, through tsm-mr in sysfs. Each entry
 * extends it by what it would extend a SHA-384 PCR by: then the register is the
 * log's sha384 aggregate, from zeros, and the kernel's own log is the write-ahead log
 * of the mirror: whenever attestd ends, the register says how much of the log it has.
 * There is no file of ours that could be torn, or written by others.
 *
 * The kernel cannot compare and extend at once, so this is how each race ends:
 *  - killed before, during or after a write: the kernel's extension is done or not done.
 *    The register's attribute is held by flock(), which the kernel gives up only when
 *    the killed process has left its last system call: the next attestd looks at the
 *    register no sooner, and finds the prefix with or without that entry.
 *  - two attestds: the second does not get the lock, and says so.
 *  - somebody else extends between our look and our write: then the register is no
 *    aggregate of the log any more, nor will it ever be again. The look after the
 *    write, or the next one, finds it out: foreign, for good. */
#pragma once

#include "tee/ima-source.h"

#include <stdbool.h>
#include <stdint.h>

G_BEGIN_DECLS

#define ATT_RTMR_SIZE 48u

typedef enum {
        ATT_MIRROR_OK,      /* the register is the aggregate of some prefix of the log */
        ATT_MIRROR_ABSENT,  /* no TD, or a kernel whose registers cannot be extended */
        ATT_MIRROR_FOREIGN, /* somebody else has extended it, or it was not zero at the start of the log; nothing is
                             * extended any more */
        ATT_MIRROR_FAILED,  /* it could not be read, locked or written the last time; it is tried again */
} AttMirrorState;

/** "ok", "absent", "foreign", "failed" */
const char *att_mirror_state_name(AttMirrorState state);

typedef struct AttMirror AttMirror;

/** att_mirror_new: @rtmr: 0 to 3. Touches no device. */
AttMirror *att_mirror_new(guint rtmr) G_GNUC_WARN_UNUSED_RESULT;
void att_mirror_free(AttMirror *mirror);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(AttMirror, att_mirror_free)

/**
 * att_mirror_add: one more entry of the log, in order from the first
 *
 * Only remembered, until att_mirror_catch_up(); too many, or those for which there is
 * no register, are left to the list. Entries of other PCRs than %ATT_IMA_PCR extend
 * nothing.
 */
void att_mirror_add(AttMirror *mirror, const AttImaRecord *record);

/**
 * att_mirror_catch_up: extend what the register lacks
 * @source: whose entries were added: those that were left to the list are read again
 *
 * Not between sealing and the end of the report. What was written is read back by
 * TDREPORT, never by the cached sysfs. The first call finds which prefix the register
 * holds, so it comes when the log has been added as far as it goes: a register
 * ahead of what was added is not the log's.
 *
 * Blocks for as long as the kernel takes to extend all of them, with a TDREPORT for
 * each 1024, and to read all of the list, where entries were left to that.
 */
AttMirrorState att_mirror_catch_up(AttMirror *mirror, AttImaSource *source);

/** att_mirror_check: does the register hold exactly what was mirrored? For the end of a report. */
AttMirrorState att_mirror_check(AttMirror *mirror);

AttMirrorState att_mirror_state(const AttMirror *mirror);
const char *att_mirror_detail(const AttMirror *mirror); /* one sentence; "" when ok; borrowed until the next call */
guint64 att_mirror_count(const AttMirror *mirror); /* entries that the register holds; of all PCRs */
/** att_mirror_is_ours: was the register found to hold a prefix of the log, and has nobody else extended it since? */
bool att_mirror_is_ours(const AttMirror *mirror);
/** The register as it was seen last, %ATT_RTMR_SIZE bytes: if ok, the sha384 aggregate of that many entries. */
const uint8_t *att_mirror_register(const AttMirror *mirror);

/* What has been extended, %ATT_RTMR_SIZE bytes each, a piece a call. The mirror keeps
 * no copy: all of it follows from the log. */
typedef struct AttMirrorReader AttMirrorReader;

/**
 * att_mirror_reader_new: for what was extended so far
 * @source: has the log; must outlive it
 * @first:  the first extension wanted, counted from 0
 * @error:  %ATT_ERROR_INVALID_ARGUMENT: @first is beyond the last; what att_ima_reader_new() says
 */
AttMirrorReader *att_mirror_reader_new(const AttMirror *mirror, AttImaSource *source, guint64 first, GError **error)
        G_GNUC_WARN_UNUSED_RESULT;
void att_mirror_reader_free(AttMirrorReader *reader);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(AttMirrorReader, att_mirror_reader_free)

/** att_mirror_reader_next: as att_ima_reader_next(), with as much work a call. There may be none in a piece. */
GBytes *att_mirror_reader_next(AttMirrorReader *reader, guint64 *ret_count, GError **error) G_GNUC_WARN_UNUSED_RESULT;
/** att_mirror_reader_is_at_end: were all given that the register holds? */
bool att_mirror_reader_is_at_end(const AttMirrorReader *reader);

G_END_DECLS
