/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Attestation Result: every check by name, and the verdict that follows. */
#pragma once

#include "codec/claims.h"

#include <glib.h>
#include <stdbool.h>

G_BEGIN_DECLS

typedef enum {
        ATT_CHECK_NOT_CHECKED,
        ATT_CHECK_PASSED,
        ATT_CHECK_FAILED,
} AttCheckStatus;

/** "not checked", "passed", "failed" */
const char *att_check_status_name(AttCheckStatus status);

typedef struct AttCheck {
        char *name;   /* stable, lower case with hyphens: docs/protocol.md lists them */
        AttCheckStatus status;
        char *detail; /* a sentence; "" where the name says it all */
} AttCheck;

typedef struct AttResult AttResult;

void att_result_free(AttResult *result);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(AttResult, att_result_free)

/**
 * att_result_accepted: the verdict
 *
 * Not stored anywhere but computed: every mandatory check must be there and have
 * passed, and none may have failed. A result that nothing was done to says no.
 */
bool att_result_accepted(const AttResult *result);

/** of AttCheck, in the order of verification; borrowed */
const GPtrArray *att_result_checks(const AttResult *result);
/** "name: detail" of the first check that failed or is missing; "" if accepted. Borrowed. */
const char *att_result_reason(const AttResult *result);

/* What the evidence says, where it was read; all borrowed. Believe it only when accepted. */
const char *att_result_profile(const AttResult *result);   /* or NULL */
const char *att_result_tee(const AttResult *result);       /* "tdx", "snp"; or NULL */
const AttClaims *att_result_claims(const AttResult *result); /* or NULL */

/**
 * att_result_to_json: one object: accepted, reason, checks [{name, status, detail}],
 * profile, tee, claims, ima_log where one was appraised, and quote (TDX) or report
 * (SNP) with every field of it in lower-case hex
 *
 * Returns: (transfer full): text without a newline at the end
 */
char *att_result_to_json(const AttResult *result, bool pretty) G_GNUC_WARN_UNUSED_RESULT;

G_END_DECLS
