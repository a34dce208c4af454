/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* One entry of an IMA log, held against the policy. For files of verifier/ only. */
#pragma once

#include "codec/ima-log.h"
#include "verifier/policy-rules.h"

typedef enum {
        ATT_IMA_NOT_APPRAISED,  /* the policy says nothing of single entries */
        ATT_IMA_BOOT_AGGREGATE, /* the first entry, which is no file */
        ATT_IMA_VIOLATION,      /* counted elsewhere */
        ATT_IMA_EXCLUDED,
        ATT_IMA_ALLOWED,        /* by its digest */
        ATT_IMA_SIGNED,         /* by a key of the policy */
        ATT_IMA_CHANGED,        /* refused: the path has digests, and this is none of them */
        ATT_IMA_UNKNOWN,        /* refused: no digest, and no signature by a key of the policy */
        ATT_IMA_NO_LAYOUT,      /* refused: its fields do not stand where the kernel's templates have them */
} AttImaVerdict;

#define ATT_IMA_VERDICTS 9u

/* "allowed", "unknown" … for the result */
const char *att_ima_verdict_name(AttImaVerdict verdict);
/* Why, as the end of a sentence; "" for those that are taken. */
const char *att_ima_verdict_detail(AttImaVerdict verdict);
bool att_ima_verdict_is_refusal(AttImaVerdict verdict);
/* Was it appraised, and taken? */
bool att_ima_verdict_is_taken(AttImaVerdict verdict);

/**
 * att_ima_appraise:
 * @index: of the entry: only the first of a log is a boot_aggregate
 *
 * No hash covers the name of a template, so nothing is believed of it: an entry of
 * ima-buf, evm-sig or whatever is named so is appraised as any other, by its path and
 * its digest, and only what stands where the kernel's templates have it is taken.
 */
AttImaVerdict att_ima_appraise(const AttImaRules *rules, const AttImaRecord *record, guint64 index);
