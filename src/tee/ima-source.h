/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The kernel's IMA log, read as it grows. Blocks for no longer than reading new
 * entries takes; for the main thread. Nothing of it is kept but hashes and some
 * offsets: entries are read again where they are asked for.
 *
 * Read is the list of a wanted bank, else sha256, sha384, sha512, and without a TPM
 * sha1, the only one then. A kernel that lets the head of a list be deleted keeps
 * readers and deleters apart: there the list is opened for each look. */
#pragma once

#include "crypto/ima-replay.h"

G_BEGIN_DECLS

typedef enum {
        ATT_IMA_OK,
        ATT_IMA_ABSENT,       /* the kernel has none, and none was ever read */
        ATT_IMA_UNREADABLE,   /* it may not be read, or another program holds it */
        ATT_IMA_GARBLED,      /* a record that is none, or whose hash is wrong */
        ATT_IMA_HISTORY_LOST, /* it has lost its head: trimmed, or shorter than it was; for good */
} AttImaState;

/** "ok", "absent", "unreadable", "garbled", "history-lost" */
const char *att_ima_state_name(AttImaState state);

typedef struct AttImaSource AttImaSource;

/* Each new entry, in order. The record is borrowed. */
typedef void (*AttImaEntry)(const AttImaRecord *record, guint64 index, gpointer userdata);

/**
 * att_ima_source_new: open it; reads nothing yet
 * @banks: whose aggregates are kept; computed from template data where the kernel has no list of that bank
 */
AttImaSource *att_ima_source_new(unsigned banks) G_GNUC_WARN_UNUSED_RESULT;
void att_ima_source_free(AttImaSource *source);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(AttImaSource, att_ima_source_free)

/**
 * att_ima_source_look: read what has come since the last look
 * @entry: (nullable); calls nothing of @source that looks
 *
 * Garbled: the entries before it stand, and more are taken once the kernel counts
 * more and they do continue.
 *
 * Returns: have count, violations or state changed?
 */
bool att_ima_source_look(AttImaSource *source, AttImaEntry entry, gpointer userdata);

AttImaState att_ima_source_state(const AttImaSource *source);
/* One sentence; "" when ok; borrowed until the next look. */
const char *att_ima_source_detail(const AttImaSource *source);
const AttImaReplay *att_ima_source_replay(const AttImaSource *source); /* of what was read */
guint64 att_ima_source_violations(const AttImaSource *source); /* as the kernel counts them */
AttBank att_ima_source_listed(const AttImaSource *source);     /* the bank of the list it reads */

/* Entries read again, as they stand in the list, a piece a call. A call reads for some
 * milliseconds; of a long list that is one read, for which the kernel walks along
 * all that comes before: it cannot be made shorter. The list stays open until the
 * reader is freed; on a kernel that lets its head be deleted that keeps out who would. */
typedef struct AttImaReader AttImaReader;

/**
 * att_ima_reader_new: for entries @first to @last (not included)
 * @source: must outlive it
 * @error:  %ATT_ERROR_INVALID_ARGUMENT: it has not read so many; %ATT_ERROR_FAILED with a sentence: history lost, …
 */
AttImaReader *att_ima_reader_new(AttImaSource *source, guint64 first, guint64 last, GError **error)
        G_GNUC_WARN_UNUSED_RESULT;
void att_ima_reader_free(AttImaReader *reader);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(AttImaReader, att_ima_reader_free)

/**
 * att_ima_reader_next: more of them, whole, %ATT_IMA_RECORD_MAX bytes at most
 * @error: %ATT_ERROR_FAILED: the list does not hold them any more, or cannot be read
 *
 * There may be none in a piece, and more in the next: an entry can be larger than what
 * was read, and what lies before @first is read as well, for to seek in the list is
 * as much work for the kernel, in one call.
 */
GBytes *att_ima_reader_next(AttImaReader *reader, guint64 *ret_count, GError **error) G_GNUC_WARN_UNUSED_RESULT;
/** att_ima_reader_is_at_end: were all given? */
bool att_ima_reader_is_at_end(const AttImaReader *reader);

G_END_DECLS
