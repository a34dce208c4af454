/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What vouches for the IMA log: a TPM, an RTMR that mirrors it, or nothing but our
 * word. When the one that is configured fails, our word stands in for it, labelled
 * as such, until it is back. */
#pragma once

#include "attester/configuration.h"
#include "codec/claims.h"
#include "tee/rtmr.h"
#include "tee/tee.h"
#include "tee/tpm.h"

G_BEGIN_DECLS

typedef struct AttImaRoot AttImaRoot;

/** att_ima_root_new: takes the TPM, if that is to be the root: waits for it, but not for long */
AttImaRoot *att_ima_root_new(const AttConfiguration *configuration) G_GNUC_WARN_UNUSED_RESULT;
void att_ima_root_free(AttImaRoot *root);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(AttImaRoot, att_ima_root_free)

/**
 * att_ima_root_banks: set of %ATT_BANK_SET in which C may speak of the log
 *
 * One, also while another root stands in: who follows the log need not begin anew.
 * Several, if the TPM has not said at the start which of its banks is in use. When it
 * says so, C speaks in another bank from then on, also of a log that is only
 * claimed: of the same entries, so nothing has changed that a generation tells of, and
 * each C names its bank. A verifier follows all banks, but for a policy that takes
 * an RTMR alone.
 */
unsigned att_ima_root_banks(const AttImaRoot *root);

/** att_ima_root_add: one more entry of the log, in order from the first */
void att_ima_root_add(AttImaRoot *root, const AttImaRecord *record);

/**
 * att_ima_root_look: see what has become of it, and catch up with @log
 * @log: with all entries that were added; %NULL: the log cannot be spoken of, so nothing is done for it
 *
 * While a report is under way nothing is extended.
 */
void att_ima_root_look(AttImaRoot *root, AttImaSource *log);

/** att_ima_root_name: "tpm-outside", "rtmr", "claimed", or "none": evidence is not to speak of the log */
const char *att_ima_root_name(const AttImaRoot *root);
/** Why it is not the one that is configured, and what to do; "" if it is. Borrowed until the next look. */
const char *att_ima_root_detail(const AttImaRoot *root);

/**
 * att_ima_root_seal: after a look: what C says of the root of @log
 * @ret_tpm: who is to quote beside the report; (nullable): nobody; borrowed
 *
 * From now on a report is under way, until it is checked or dropped: the register
 * stays as it is. Returns: %NULL for root none
 */
AttImaClaims *att_ima_root_seal(AttImaRoot *root, const AttImaReplay *log, AttTpm **ret_tpm) G_GNUC_WARN_UNUSED_RESULT;

/**
 * att_ima_root_check: the report over what was sealed has been made
 * Returns: does it bear out what was claimed? If not, the root is another one by now
 */
bool att_ima_root_check(AttImaRoot *root, const AttTeeReport *report);
/** att_ima_root_drop: it has not, or nobody wants it. Fine where none is under way. */
void att_ima_root_drop(AttImaRoot *root);

/** att_ima_root_register: the RTMR that only we extend; -1: there is none, or others have extended it as well */
int att_ima_root_register(const AttImaRoot *root);

/** att_ima_root_mirror: (nullable): the log is not to be mirrored */
const AttMirror *att_ima_root_mirror(const AttImaRoot *root);

G_END_DECLS
