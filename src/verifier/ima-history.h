/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The IMA log of one peer, as it is given beside its evidence: what a verdict has
 * covered, what was given since, and what of it the policy refuses. Entries are
 * hashed when they are given, in slices; a verdict then needs few of them again. */
#pragma once

#include "codec/claims.h"
#include "crypto/ima-replay.h"
#include "verifier/policy.h"

G_BEGIN_DECLS

#define ATT_IMA_LOG_CALL_MAX (16u * 1024u * 1024u)
/* Of what no verdict has covered yet. */
#define ATT_IMA_LOG_HELD_MAX (256u * 1024u * 1024u)
#define ATT_IMA_BOOT_ID_SIZE 16u

typedef struct AttImaHistory AttImaHistory;

AttImaHistory *att_ima_history_new(AttPolicy *policy) G_GNUC_WARN_UNUSED_RESULT;
void att_ima_history_free(AttImaHistory *history);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(AttImaHistory, att_ima_history_free)

/** Number of the first entry that has not been given. */
guint64 att_ima_history_next(const AttImaHistory *history);
/** What it holds of entries, in bytes; a piece counts as 4 KiB at least. */
gsize att_ima_history_held(const AttImaHistory *history);

/**
 * att_ima_history_add: entries from @first on; att_ima_history_work() then takes them
 * @listed: the bank whose digests they have
 * @error:  %ATT_ERROR_INVALID_ARGUMENT: a gap or an overlap; %ATT_ERROR_LIMIT_REACHED:
 *          too much is held, or the former ones are not taken yet
 */
gboolean att_ima_history_add(AttImaHistory *history, GBytes *entries, guint64 first, AttBank listed, GError **error)
        G_GNUC_WARN_UNUSED_RESULT;

typedef enum {
        ATT_IMA_WORK_DONE,
        ATT_IMA_WORK_MORE,
        ATT_IMA_WORK_FAILED,
} AttImaWork;

/**
 * att_ima_history_work: take some of what was added, for about @slice_us microseconds; 0: all
 * @error: %ATT_ERROR_BAD_DATA, %ATT_ERROR_TOO_LARGE: which entry is none; nothing of what was added last was taken
 */
AttImaWork att_ima_history_work(AttImaHistory *history, guint slice_us, GError **error) G_GNUC_WARN_UNUSED_RESULT;
bool att_ima_history_is_busy(const AttImaHistory *history);

/** att_ima_history_add_all: a whole log from its first entry, at once; for one that is in memory anyway */
gboolean att_ima_history_add_all(AttImaHistory *history, GBytes *log, AttBank listed, GError **error)
        G_GNUC_WARN_UNUSED_RESULT;

/* Does the log continue to what C says of it? */
typedef enum {
        ATT_IMA_FITS,
        ATT_IMA_SHORT,      /* entries are missing: they can still be given */
        ATT_IMA_BEHIND,     /* C covers less than a verdict has covered before */
        ATT_IMA_OTHER_BOOT, /* C is of another boot than what was covered before */
        ATT_IMA_DIFFERS,    /* the entries given are not those that C covers */
} AttImaFit;

/** @ret_why: a sentence, unless it fits; to be freed */
AttImaFit att_ima_history_fit(const AttImaHistory *history, const uint8_t boot_id[ATT_IMA_BOOT_ID_SIZE],
                              const AttImaClaims *claims, char **ret_why) G_GNUC_WARN_UNUSED_RESULT;

/**
 * att_ima_history_find: is the aggregate after some n1 >= @n entries the one that @is_it looks for?
 *
 * A TPM quotes later than C is sealed: the entries between are few, and no more than
 * %ATT_IMA_TAIL_MAX are tried, nor than begin in %ATT_IMA_TAIL_BYTES_MAX bytes of template data.
 */
#define ATT_IMA_TAIL_MAX 4096u
#define ATT_IMA_TAIL_BYTES_MAX (8u * 1024u * 1024u)
bool att_ima_history_find(const AttImaHistory *history, guint64 n, AttBank bank,
                          bool (*is_it)(const uint8_t *aggregate, gconstpointer userdata), gconstpointer userdata);

/** att_ima_history_refused: which of the first @n entries the policy refuses first: a sentence, to be freed; or NULL */
char *att_ima_history_refused(const AttImaHistory *history, guint64 n) G_GNUC_WARN_UNUSED_RESULT;
/** att_ima_history_missing: a path that the policy requires, and that the first @n have not; borrowed, or NULL */
const char *att_ima_history_missing(const AttImaHistory *history, guint64 n);
/** att_ima_history_boot_aggregate: as in its first entry. @n: at least 1 */
GBytes *att_ima_history_boot_aggregate(const AttImaHistory *history, guint64 n) G_GNUC_WARN_UNUSED_RESULT;

/* An entry, for people. */
typedef struct AttImaRan {
        char *path;          /* what is not UTF-8 is replaced; cut at 4096 bytes */
        char *digest;        /* "sha256:HEX"; "" if it has none */
        const char *verdict; /* as in the result */
} AttImaRan;

void att_ima_ran_free(AttImaRan *ran);

/** att_ima_history_ran: of the entries since the last verdict up to the @n-th the last @max; of AttImaRan */
GPtrArray *att_ima_history_ran(const AttImaHistory *history, guint64 n, guint max) G_GNUC_WARN_UNUSED_RESULT;
/** att_ima_history_covered: how many entries the last verdict covered */
guint64 att_ima_history_covered(const AttImaHistory *history);

/** att_ima_history_cover: a verdict covers the first @n; what is given next continues, what was given behind is kept */
void att_ima_history_cover(AttImaHistory *history, guint64 n, const uint8_t boot_id[ATT_IMA_BOOT_ID_SIZE]);
/** att_ima_history_rewind: forget what no verdict has covered, which was not the log of the evidence */
void att_ima_history_rewind(AttImaHistory *history);
/** att_ima_history_reset: forget all; the next log begins at 0 */
void att_ima_history_reset(AttImaHistory *history);

G_END_DECLS
