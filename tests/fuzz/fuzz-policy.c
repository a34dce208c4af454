/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Target functions: att_policy_parse */
#include "verifier/policy-rules.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        g_autoptr(GError) error = NULL;
        g_autoptr(AttPolicy) policy = att_policy_parse("fuzz", (const char *) data, size, &error);

        g_assert((policy == NULL) == (error != NULL));
        if (error) {
                /* It is shown to operators. */
                g_assert(g_str_has_prefix(error->message, "fuzz:"));
                g_assert(g_utf8_validate(error->message, -1, NULL) && !strpbrk(error->message, "\n\r\x1b"));
                return 0;
        }

        g_assert(size > 0 && size <= ATT_POLICY_SIZE_MAX);
        g_assert(policy->takes[ATT_KIND_TDX] || policy->takes[ATT_KIND_SNP]);
        g_assert(policy->roots[ATT_KIND_TDX]->len > 0 && policy->roots[ATT_KIND_SNP]->len > 0);
        g_assert(policy->profiles->len > 0);
        g_assert(policy->any_workload != (policy->workloads->len > 0));
        g_assert(policy->any_workload || policy->boots->len > 0);
        g_assert(policy->max_age_s >= 1 && policy->max_age_s <= 3600);
        return 0;
}
