/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* An IMA log replayed: each template hash compared, each entry extended, in as many
 * banks as are wanted. A value that can be copied, so that a log can be tried. */
#pragma once

#include "codec/ima-log.h"

G_BEGIN_DECLS

typedef struct AttImaReplay AttImaReplay;

/** @banks: set of %ATT_BANK_SET whose aggregates are kept */
AttImaReplay *att_ima_replay_new(unsigned banks) G_GNUC_WARN_UNUSED_RESULT;
AttImaReplay *att_ima_replay_copy(const AttImaReplay *replay) G_GNUC_WARN_UNUSED_RESULT;
void att_ima_replay_free(AttImaReplay *replay);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(AttImaReplay, att_ima_replay_free)

/**
 * att_ima_replay_add: one more record
 * @listed: the bank of the list that it was read from
 * @error:  %ATT_ERROR_BAD_DATA: the digest in the list is not that of the template data; nothing has changed
 *
 * Entries with another PCR than %ATT_IMA_PCR are counted, and not extended. A
 * violation extends 0xFF... in each bank.
 */
gboolean att_ima_replay_add(AttImaReplay *replay, const AttImaRecord *record, AttBank listed, GError **error)
        G_GNUC_WARN_UNUSED_RESULT;

/**
 * att_ima_replay_add_log: all whole records that @log begins with
 * @log:   left behind the last that was added
 * @max:   as many at most
 * @error: what att_ima_record_parse() and att_ima_replay_add() say of the record at @log; those before it were added
 *
 * The same as one after the other, but for the time: of a long log a second thread
 * hashes half. It has ended when this returns.
 */
gboolean att_ima_replay_add_log(AttImaReplay *replay, AttCursor *log, AttBank listed, guint64 max, GError **error)
        G_GNUC_WARN_UNUSED_RESULT;

guint64 att_ima_replay_count(const AttImaReplay *replay);      /* entries, all */
guint64 att_ima_replay_violations(const AttImaReplay *replay); /* of them */
/** The value that PCR 10 would have; att_bank_size(@bank) bytes, @bank one of those kept. */
const uint8_t *att_ima_replay_aggregate(const AttImaReplay *replay, AttBank bank);
/** File digest of the first record if it is boot_aggregate: its size in @ret_size; else %NULL. */
const uint8_t *att_ima_replay_boot_aggregate(const AttImaReplay *replay, size_t *ret_size);

/** att_ima_digest: what @record extends @bank by: hash of the template data, or 0xFF... */
void att_ima_digest(const AttImaRecord *record, AttBank bank, uint8_t *ret);

G_END_DECLS
