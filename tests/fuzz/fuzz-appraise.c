/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Target functions: att_appraise, att_result_to_json; the corpus is signed under the roots below */
#include "verifier/appraisal.h"
#include "verifier/result-build.h"

#include <jansson.h>

#define ROOT "0015537d7bf923da592ce5e1bcceea8b75236a23f06b8b52c5341dc8edf185a2"
#define MILAN "d84aa7833213357184c312c2ae0d05a96fbf62e1a633e5f6881cf0c95fb55244"
#define TURIN "47f7f53ed725a98a57f2e22f25460817eef6a10b5500e4f926ccef7622f90572"
#define NOW 1800000000

static const char text[] = "attestd-policy 1\ntee tdx\ntee snp\nworkload any\ncollateral not-required\n"
                           "profile evidence/1\nprofile expat-pad\nprofile cocos\nroot tdx " ROOT "\n"
                           "root snp " MILAN "\nroot snp " TURIN "\nbare-report allowed\n"
                           "attributes migratable\nattributes service-td\nattributes masked-chip-id\n"
                           "tcb milan snp>=1\ntcb turin fmc>=1\n";

static void check(const AttResult *result) {
        g_autofree char *dump = att_result_to_json(result, false);
        json_t *object = json_loads(dump, 0, NULL);

        g_assert(json_is_object(object));
        g_assert(json_is_true(json_object_get(object, "accepted")) == att_result_accepted(result));
        g_assert(att_result_accepted(result) == (*att_result_reason(result) == 0));
        json_decref(object);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        static AttPolicy *policy;
        g_autoptr(GBytes) evidence = g_bytes_new_static(data, size);
        AttAppraisalInput input = { .evidence = evidence, .at = NOW };
        g_autoptr(AttResult) unbound = NULL, bound = NULL, batched = NULL;
        static AttSignatureMemo *memo;
        g_autofree char *said = NULL;

        if (!policy) {
                policy = att_policy_parse("fuzz", text, sizeof text - 1, NULL);
                memo = att_signature_memo_new();
        }
        g_assert(policy);
        input.policy = policy;
        unbound = att_appraise(&input);
        check(unbound);
        g_assert(!att_result_accepted(unbound));
        if (!att_result_report_data(unbound))
                return 0;

        /* With the report data that it has, the rest of the appraisal has a say. */
        input.bound_to = ATT_BOUND_REPORT_DATA;
        memcpy(input.report_data, att_result_report_data(unbound), sizeof input.report_data);
        bound = att_appraise(&input);
        check(bound);

        /* Where a proof is taken; and a memo changes no word of it, neither when it is made nor when it is used. */
        input.batch = true;
        batched = att_appraise(&input);
        check(batched);
        said = att_result_to_json(batched, false);
        input.memo = memo;
        for (int i = 0; i < 2; i++) {
                g_autoptr(AttResult) recalled = att_appraise(&input);
                g_autofree char *again = att_result_to_json(recalled, false);

                g_assert(g_str_equal(again, said));
        }
        return 0;
}
