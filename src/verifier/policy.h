/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The verifier's policy: attestd.policy(5) has the grammar. */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

G_BEGIN_DECLS

#define ATT_POLICY_SIZE_MAX (4u * 1024u * 1024u)
#define ATT_POLICY_RULES_MAX 32768u

typedef struct AttPolicy AttPolicy;

/**
 * att_policy_parse: read a policy
 * @name:  for messages: a file name
 * @error: %ATT_ERROR_INVALID_ARGUMENT "NAME:LINE:COLUMN: what is wrong"
 *
 * An empty policy, one without the version line, an unknown key, a value out of
 * range, a rule stated twice, and the combinations that could say yes by accident
 * are refused here:
 * - no workload rule and no `workload any`,
 * - a workload rule without a boot rule,
 * - a workload rule with a profile that has no caller, or with bare reports,
 * - an ima rule that does not come with `ima root`,
 * - `ima root claimed` without a boot rule.
 *
 * Returns: (transfer full)
 */
AttPolicy *att_policy_parse(const char *name, const char *text, gsize size, GError **error) G_GNUC_WARN_UNUSED_RESULT;
AttPolicy *att_policy_load(const char *path, GError **error) G_GNUC_WARN_UNUSED_RESULT;

/** att_policy_needs_ima_log: beside the evidence */
bool att_policy_needs_ima_log(const AttPolicy *policy);
/** att_policy_session_bytes: what each session that has it keeps for its rules */
gsize att_policy_session_bytes(const AttPolicy *policy);

AttPolicy *att_policy_ref(AttPolicy *policy);
void att_policy_unref(AttPolicy *policy);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(AttPolicy, att_policy_unref)

G_END_DECLS
