/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "verifier/result.h"

#include "verifier/result-build.h"

static const char *const names[ATT_CHECKS] = {
        [ATT_CHECK_POLICY] = "policy",
        [ATT_CHECK_AUTHENTICATOR] = "authenticator",
        [ATT_CHECK_CONTEXT] = "context",
        [ATT_CHECK_FRESHNESS] = "freshness",
        [ATT_CHECK_PEER_NAME] = "peer-name",
        [ATT_CHECK_FORMAT] = "format",
        [ATT_CHECK_PROFILE] = "profile",
        [ATT_CHECK_CLAIMS] = "claims",
        [ATT_CHECK_BINDING] = "binding",
        [ATT_CHECK_KEY_HASH] = "key-hash",
        [ATT_CHECK_ROLE] = "role",
        [ATT_CHECK_REPORT_DATA] = "report-data",
        [ATT_CHECK_QUOTE_FORMAT] = "quote-format",
        [ATT_CHECK_TEE] = "tee",
        [ATT_CHECK_QE_VENDOR] = "qe-vendor",
        [ATT_CHECK_QUOTE_SIGNATURE] = "quote-signature",
        [ATT_CHECK_QE_REPORT_SIGNATURE] = "qe-report-signature",
        [ATT_CHECK_QE_BINDING] = "qe-binding",
        [ATT_CHECK_QE_IDENTITY] = "qe-identity",
        [ATT_CHECK_PCK_CHAIN] = "pck-chain",
        [ATT_CHECK_VEK_CHAIN] = "vek-chain",
        [ATT_CHECK_VEK_IDENTITY] = "vek-identity",
        [ATT_CHECK_VEK_TCB] = "vek-tcb",
        [ATT_CHECK_VALIDITY] = "validity",
        [ATT_CHECK_DEBUG] = "debug",
        [ATT_CHECK_VMPL] = "vmpl",
        [ATT_CHECK_ATTRIBUTES] = "attributes",
        [ATT_CHECK_MACHINE] = "machine",
        [ATT_CHECK_BOOT] = "boot",
        [ATT_CHECK_WORKLOAD] = "workload",
        [ATT_CHECK_STATE] = "state",
        [ATT_CHECK_IMA_ROOT] = "ima-root",
        [ATT_CHECK_IMA_LOG] = "ima-log",
        [ATT_CHECK_IMA] = "ima",
        [ATT_CHECK_BOOT_LOG] = "boot-log",
        [ATT_CHECK_COLLATERAL] = "collateral",
        [ATT_CHECK_TCB_MINIMUM] = "tcb-minimum",
        [ATT_CHECK_TCB_STATUS] = "tcb-status",
        [ATT_CHECK_REVOCATION] = "revocation",
};

G_STATIC_ASSERT(ATT_CHECK_REVOCATION + 1 == ATT_CHECKS);

const char *att_check_status_name(AttCheckStatus status) {
        switch (status) {
        case ATT_CHECK_PASSED:
                return "passed";
        case ATT_CHECK_FAILED:
                return "failed";
        case ATT_CHECK_NOT_CHECKED:
                break;
        }
        return "not checked";
}

static void check_free(gpointer data) {
        AttCheck *check = data;

        g_free(check->name);
        g_free(check->detail);
        g_free(check);
}

AttResult *att_result_new(AttCheckSet mandatory) {
        AttResult *result = g_new0(AttResult, 1);

        result->mandatory = mandatory;
        result->checks = g_ptr_array_new_full(ATT_CHECKS, check_free);
        for (gsize i = 0; i < ATT_CHECKS; i++) {
                AttCheck *check = g_new(AttCheck, 1);

                *check = (AttCheck) { .name = g_strdup(names[i]), .detail = g_strdup("") };
                g_ptr_array_add(result->checks, check);
        }
        return result;
}

static void tee_json_clear(gpointer box) {
        g_free(*(char **) box);
}

void att_tee_json_release(char **tee_json) {
        if (tee_json)
                g_rc_box_release_full(tee_json, tee_json_clear);
}

void att_result_free(AttResult *result) {
        if (!result)
                return;

        g_ptr_array_unref(result->checks);
        g_free(result->reason);
        g_free(result->profile);
        g_clear_pointer(&result->claims, att_claims_free);
        g_clear_pointer(&result->tee_bytes, g_bytes_unref);
        g_clear_pointer(&result->pck, att_certificate_unref);
        g_clear_pointer(&result->vek, att_certificate_unref);
        g_clear_pointer(&result->ima_ran, g_ptr_array_unref);
        att_tee_json_release(result->tee_json);
        g_free(result);
}

void att_result_require(AttResult *result, AttCheckSet set) {
        result->mandatory |= set;
}

const uint8_t *att_result_report_data(const AttResult *result) {
        switch (result->kind) {
        case ATT_KIND_TDX:
                return result->quote.report_data;
        case ATT_KIND_SNP:
                return result->report.report_data;
        case ATT_KIND_NONE:
                break;
        }
        return NULL;
}

static const AttCheck *check_of(const AttResult *result, AttCheckId id) {
        return result->checks->pdata[id];
}

AttCheckStatus att_result_status(const AttResult *result, AttCheckId id) {
        return check_of(result, id)->status;
}

static G_GNUC_PRINTF(4, 0) void settle(AttResult *result, AttCheckId id, AttCheckStatus status,
                                       const char *format, va_list ap) {
        AttCheck *check = result->checks->pdata[id];
        g_autofree char *detail = NULL;

        if (check->status == ATT_CHECK_FAILED)
                return;

        /* It may quote the evidence; JSON and the bus take UTF-8 only. */
        detail = g_strdup_vprintf(format, ap);
        check->status = status;
        g_free(check->detail);
        check->detail = g_utf8_make_valid(detail, -1);
}

void att_result_pass(AttResult *result, AttCheckId id, const char *format, ...) {
        va_list ap;

        va_start(ap, format);
        settle(result, id, ATT_CHECK_PASSED, format, ap);
        va_end(ap);
}

void att_result_fail(AttResult *result, AttCheckId id, const char *format, ...) {
        va_list ap;

        va_start(ap, format);
        settle(result, id, ATT_CHECK_FAILED, format, ap);
        va_end(ap);
}

void att_result_fail_take(AttResult *result, AttCheckId id, GError *error) {
        att_result_fail(result, id, "%s", error ? error->message : "failed without a reason");
        g_clear_error(&error);
}

void att_result_skip(AttResult *result, AttCheckId id, const char *format, ...) {
        va_list ap;

        va_start(ap, format);
        settle(result, id, ATT_CHECK_NOT_CHECKED, format, ap);
        va_end(ap);
}

/* The first check that stands against a yes: failed, or mandatory and not passed. */
static const AttCheck *obstacle(const AttResult *result) {
        for (guint i = 0; i < ATT_CHECKS; i++) {
                const AttCheck *check = check_of(result, i);

                if (check->status == ATT_CHECK_FAILED)
                        return check;
                if (check->status != ATT_CHECK_PASSED && result->mandatory & ATT_CHECK_SET(i))
                        return check;
        }
        return NULL;
}

bool att_result_accepted(const AttResult *result) {
        return result->sealed && result->mandatory && result->checks && result->checks->len == ATT_CHECKS &&
               !obstacle(result);
}

/* A failure says more than what could not be checked because of it. */
static const AttCheck *first_failed(const AttResult *result) {
        for (guint i = 0; i < ATT_CHECKS; i++)
                if (check_of(result, i)->status == ATT_CHECK_FAILED)
                        return check_of(result, i);
        return obstacle(result);
}

AttResult *att_result_seal(AttResult *result) {
        const AttCheck *check = first_failed(result);

        result->sealed = true;
        g_free(result->reason);
        if (!check)
                result->reason = g_strdup(att_result_accepted(result) ? "" : "nothing was checked");
        else if (check->status == ATT_CHECK_FAILED && *check->detail)
                result->reason = g_strdup_printf("%s: %s", check->name, check->detail);
        else if (check->status == ATT_CHECK_FAILED)
                result->reason = g_strdup_printf("%s: failed", check->name);
        else
                result->reason = g_strdup_printf("%s: not checked%s%s", check->name, *check->detail ? ": " : "",
                                                 check->detail);
        return result;
}

const GPtrArray *att_result_checks(const AttResult *result) {
        return result->checks;
}

const char *att_result_reason(const AttResult *result) {
        return result->reason ? result->reason : "the appraisal has not come to its end";
}

const char *att_result_profile(const AttResult *result) {
        return result->profile;
}

const char *att_result_tee(const AttResult *result) {
        return att_kind_name(result->kind);
}

const AttClaims *att_result_claims(const AttResult *result) {
        return result->claims;
}
