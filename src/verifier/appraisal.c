/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "verifier/appraisal.h"

#include "crypto/digest.h"
#include "verifier/appraise.h"
#include "verifier/log-checks.h"
#include "verifier/report-data.h"
#include "verifier/snp.h"
#include "verifier/tdx.h"

/* Of each TEE that is taken. With both, what it is decides: the appraisal of a
 * quote, or of a report, then asks for the rest of its own. */
static AttCheckSet mandatory_by_tee(const AttPolicy *policy) {
        if (!policy)
                return ATT_TDX_CHECKS | ATT_SNP_CHECKS;
        if (policy->takes[ATT_KIND_TDX] && policy->takes[ATT_KIND_SNP])
                return 0;
        return policy->takes[ATT_KIND_TDX] ? ATT_TDX_CHECKS : ATT_SNP_CHECKS;
}

AttCheckSet att_mandatory_by_policy(const AttPolicy *policy) {
        AttCheckSet set = ATT_CHECK_SET(ATT_CHECK_POLICY) | ATT_CHECK_SET(ATT_CHECK_FORMAT) |
                          ATT_CHECK_SET(ATT_CHECK_REPORT_DATA) | ATT_CHECK_SET(ATT_CHECK_QUOTE_FORMAT) |
                          ATT_CHECK_SET(ATT_CHECK_TEE) | ATT_CHECK_SET(ATT_CHECK_QUOTE_SIGNATURE) |
                          ATT_CHECK_SET(ATT_CHECK_VALIDITY) | ATT_CHECK_SET(ATT_CHECK_DEBUG) |
                          ATT_CHECK_SET(ATT_CHECK_ATTRIBUTES) | mandatory_by_tee(policy);

        if (!policy || !policy->bare_report_allowed)
                set |= ATT_CHECK_SET(ATT_CHECK_PROFILE);
        if (!policy || att_policy_names_machines(policy))
                set |= ATT_CHECK_SET(ATT_CHECK_MACHINE);
        if (!policy || policy->boots->len > 0)
                set |= ATT_CHECK_SET(ATT_CHECK_BOOT);
        if (!policy || !policy->any_workload)
                set |= ATT_CHECK_SET(ATT_CHECK_WORKLOAD);
        if (!policy || policy->ima.is_there)
                set |= ATT_CHECK_SET(ATT_CHECK_IMA_ROOT) | ATT_CHECK_SET(ATT_CHECK_IMA_LOG) |
                       ATT_CHECK_SET(ATT_CHECK_IMA);
        if (!policy || policy->needs_boot_log)
                set |= ATT_CHECK_SET(ATT_CHECK_BOOT_LOG);
        if (!policy || policy->needs_collateral)
                set |= ATT_CHECK_SET(ATT_CHECK_COLLATERAL);
        return set;
}

AttCheckSet att_mandatory_by_profile(const char *profile) {
        if (!profile)
                return 0;
        if (!att_profile_has_claims(profile))
                return ATT_CHECK_SET(ATT_CHECK_PROFILE);
        return ATT_CHECK_SET(ATT_CHECK_PROFILE) | ATT_CHECK_SET(ATT_CHECK_CLAIMS) | ATT_CHECK_SET(ATT_CHECK_STATE);
}

static void check_profile(AttResult *result, const AttEvidence *evidence, const AttExpected *expected) {
        const char *profile = evidence->profile;

        g_free(result->profile);
        result->profile = g_strdup(profile);
        if (expected->profile && !g_str_equal(profile, expected->profile))
                att_result_fail(result, ATT_CHECK_PROFILE, "%s, but %s was asked for", profile, expected->profile);
        else if (!expected->policy)
                att_result_skip(result, ATT_CHECK_PROFILE, "there is no policy to list it");
        else if (!att_policy_takes_profile(expected->policy, profile))
                att_result_fail(result, ATT_CHECK_PROFILE, "the policy does not list %s", profile);
        else
                att_result_pass(result, ATT_CHECK_PROFILE, "%s", profile);
}

/* Whoever hands evidence on can cut it down to this, and with it what the claims
 * say against it. */
static void check_bare_report(AttResult *result, const AttPolicy *policy) {
        if (!policy)
                att_result_skip(result, ATT_CHECK_PROFILE, "there is no policy to allow a bare report");
        else if (!policy->bare_report_allowed)
                att_result_fail(result, ATT_CHECK_PROFILE, "a bare report says no profile; a policy with "
                                "\"bare-report allowed\" takes it");
        else
                att_result_skip(result, ATT_CHECK_PROFILE, "a bare report, which the policy allows");
        for (AttCheckId id = ATT_CHECK_CLAIMS; id <= ATT_CHECK_ROLE; id++)
                att_result_skip(result, id, "a bare report has no claims");
}

static void check_binding(AttResult *result, const AttClaims *claims, const AttExpected *expected) {
        if (!expected->has_binding)
                att_result_skip(result, ATT_CHECK_BINDING, "no binding was stated");
        else if (claims->hash != expected->hash)
                att_result_fail(result, ATT_CHECK_BINDING, "made with %s, not with %s of this connection",
                                att_hash_name(claims->hash), att_hash_name(expected->hash));
        else if (!att_equal(claims->binding, expected->binding, att_hash_size(expected->hash)))
                att_result_fail(result, ATT_CHECK_BINDING, "bound to another connection, key or context");
        else
                att_result_pass(result, ATT_CHECK_BINDING, "to this connection, key and context");
}

static void check_key_hash(AttResult *result, const AttClaims *claims, const AttExpected *expected) {
        if (!expected->has_key_hash)
                att_result_skip(result, ATT_CHECK_KEY_HASH, "no connection");
        else if (claims->hash != expected->hash ||
                 !att_equal(claims->key_hash, expected->key_hash, att_hash_size(expected->hash)))
                att_result_fail(result, ATT_CHECK_KEY_HASH, "of another key than the authenticator's");
        else
                att_result_pass(result, ATT_CHECK_KEY_HASH, "of the authenticator's key");
}

static void check_role(AttResult *result, const AttClaims *claims, const AttExpected *expected) {
        if (!expected->has_binding)
                att_result_skip(result, ATT_CHECK_ROLE, "no role was stated");
        else if (claims->role != expected->role)
                att_result_fail(result, ATT_CHECK_ROLE, "of a %s, but the peer is the %s", att_role_name(claims->role),
                                att_role_name(expected->role));
        else
                att_result_pass(result, ATT_CHECK_ROLE, "%s", att_role_name(claims->role));
}

static void check_claims(AttResult *result, const AttEvidence *evidence, const AttExpected *expected) {
        GError *error = NULL;

        if (!att_profile_has_claims(evidence->profile)) {
                for (AttCheckId id = ATT_CHECK_CLAIMS; id <= ATT_CHECK_ROLE; id++)
                        att_result_skip(result, id, "the profile has no claims");
                return;
        }
        if (!evidence->claims) {
                att_result_fail(result, ATT_CHECK_CLAIMS, "there are none");
                return;
        }
        result->claims = att_claims_decode(evidence->claims, &error);
        if (!result->claims) {
                att_result_fail_take(result, ATT_CHECK_CLAIMS, error);
                return;
        }

        att_result_pass(result, ATT_CHECK_CLAIMS, "deterministic and complete");
        check_binding(result, result->claims, expected);
        check_key_hash(result, result->claims, expected);
        check_role(result, result->claims, expected);
}

/* R from C, and from the proof, which was offered: false, and the reason, if that leads nowhere. */
static bool derive_from_claims(AttResult *result, const AttEvidence *evidence, GError **error) {
        if (!evidence->proof) {
                att_report_data_evidence(evidence->claims, result->r);
                return true;
        }
        if (!att_inclusion_proof_decode(evidence->proof, &result->proof, error))
                return false;
        result->is_batched = true;
        att_report_data_batch(evidence->claims, &result->proof, result->r);
        return true;
}

/* What must be signed by the evidence's profile. There need not be such: then, or after
 * an error, the result has no R. */
static bool derive_r(AttResult *result, const AttEvidence *evidence, const AttExpected *expected, GError **error) {
        if (!evidence)
                return true;
        if (att_profile_has_claims(evidence->profile)) {
                if (evidence->claims && !derive_from_claims(result, evidence, error))
                        return false;
                result->has_r = evidence->claims != NULL;
        } else if (expected->has_binding && g_str_equal(evidence->profile, ATT_PROFILE_EXPAT_PAD)) {
                att_report_data_expat_pad(expected->hash, expected->binding, result->r);
                result->has_r = true;
        } else if (expected->has_binding && g_str_equal(evidence->profile, ATT_PROFILE_COCOS)) {
                att_report_data_cocos(expected->hash, expected->binding, result->r);
                result->has_r = true;
        }
        return true;
}

static bool has_manifest(const AttTsmReport *report) {
        return report && g_strcmp0(report->service_provider, ATT_SERVICE_PROVIDER_SVSM) == 0 && report->manifestblob;
}

/* Always all 64 bytes, always the ones inside the signed structure. */
static void compare_report_data(AttResult *result, const AttTsmReport *report, const AttExpected *expected) {
        const uint8_t *found = att_result_report_data(result);
        uint8_t derived[ATT_REPORT_DATA_SIZE];

        if (result->has_r && has_manifest(report))
                att_report_data_with_manifest(result->r, report->manifestblob, derived);
        else
                memcpy(derived, result->r, sizeof derived);

        if (!found)
                att_result_skip(result, ATT_CHECK_REPORT_DATA, "there is no quote to hold it");
        else if (!result->has_r && !expected->has_report_data)
                att_result_fail(result, ATT_CHECK_REPORT_DATA,
                                "unbound: without claims only the report data itself can be stated");
        else if (result->has_r && !att_equal(found, derived, sizeof derived))
                att_result_fail(result, ATT_CHECK_REPORT_DATA, "%s", result->is_batched ?
                                "not made for the batch that the proof leads to from these claims" :
                                "not made for these claims or this connection");
        else if (expected->has_report_data && !att_equal(found, expected->report_data, ATT_REPORT_DATA_SIZE))
                att_result_fail(result, ATT_CHECK_REPORT_DATA, "not the report data that was stated");
        else if (result->is_batched)
                att_result_pass(result, ATT_CHECK_REPORT_DATA, "all %u bytes, at index %u of a batch of %u",
                                ATT_REPORT_DATA_SIZE, result->proof.index, result->proof.n);
        else
                att_result_pass(result, ATT_CHECK_REPORT_DATA, "all %u bytes", ATT_REPORT_DATA_SIZE);
}

static void check_report_data(AttResult *result, const AttReceived *received, const AttExpected *expected) {
        const AttEvidence *evidence = received->evidence;
        GError *error = NULL;

        if (!expected->has_binding && !expected->has_report_data)
                att_result_fail(result, ATT_CHECK_REPORT_DATA, "unbound: nothing says what it must be bound to");
        if (evidence && evidence->proof && !expected->batch)
                att_result_fail(result, ATT_CHECK_REPORT_DATA, "batch was not offered");
        else if (!derive_r(result, evidence, expected, &error))
                att_result_fail_take(result, ATT_CHECK_REPORT_DATA, error);
        else
                compare_report_data(result, received->report, expected);
}

/* Who gave the quote or report must be who gives such; false after a failure. An SVSM
 * asks at VMPL 0, where the guest cannot: at any other level the manifest is anybody's. */
static bool is_of_its_provider(AttResult *result, const AttTsmReport *report, bool is_snp) {
        const char *provider = is_snp ? ATT_PROVIDER_SNP : ATT_PROVIDER_TDX;

        if (g_strcmp0(report->provider, provider) != 0)
                att_result_fail(result, ATT_CHECK_TEE, "the provider is not %s", provider);
        else if (!is_snp && (report->service_provider || report->manifestblob))
                att_result_fail(result, ATT_CHECK_TEE, "a TDX quote has no service provider");
        else if ((report->service_provider || report->manifestblob) && !has_manifest(report))
                att_result_fail(result, ATT_CHECK_TEE, "a service provider that is not known, or has no manifest");
        else if (report->service_provider && result->kind == ATT_KIND_SNP && result->report.vmpl != 0)
                att_result_fail(result, ATT_CHECK_TEE, "the report is of VMPL %u, but an SVSM asks at VMPL 0",
                                result->report.vmpl);
        else
                return true;
        return false;
}

static void check_tee(AttResult *result, const AttReceived *received, const AttPolicy *policy) {
        if (received->report && !is_of_its_provider(result, received->report, received->is_snp))
                return;
        if (result->kind == ATT_KIND_NONE)
                att_result_skip(result, ATT_CHECK_TEE, "there is no quote");
        else if (!policy)
                att_result_skip(result, ATT_CHECK_TEE, "there is no policy to list it");
        else if (!policy->takes[result->kind])
                att_result_fail(result, ATT_CHECK_TEE, "the policy does not list %s", att_kind_name(result->kind));
        else
                att_result_pass(result, ATT_CHECK_TEE, "%s", att_kind_name(result->kind));
}

static bool is_among(const GPtrArray *machines, const uint8_t *id) {
        for (guint i = 0; i < machines->len; i++)
                if (att_equal(g_bytes_get_data(machines->pdata[i], NULL), id, g_bytes_get_size(machines->pdata[i])))
                        return true;
        return false;
}

static void check_tdx_machine(AttResult *result, const AttPolicy *policy) {
        if (!result->has_pck_extension)
                att_result_skip(result, ATT_CHECK_MACHINE, "there is no PCK certificate");
        else if (is_among(policy->ppids, result->pck_extension.ppid))
                att_result_pass(result, ATT_CHECK_MACHINE, "its PPID is in the policy");
        else
                att_result_fail(result, ATT_CHECK_MACHINE, "its PPID is not in the policy");
}

/* A masked CHIP_ID is zero, which no policy can name. */
static void check_snp_machine(AttResult *result, const AttPolicy *policy) {
        const char *csp_id = result->vek ? result->vek_extensions.csp_id : "";

        if (is_among(policy->chip_ids, result->report.chip_id)) {
                att_result_pass(result, ATT_CHECK_MACHINE, "its CHIP_ID is in the policy");
                return;
        }
        for (guint i = 0; *csp_id && i < policy->csp_ids->len; i++)
                if (g_str_equal(policy->csp_ids->pdata[i], csp_id)) {
                        att_result_pass(result, ATT_CHECK_MACHINE, "of %s", csp_id);
                        return;
                }
        att_result_fail(result, ATT_CHECK_MACHINE, "neither its CHIP_ID nor the CSP_ID of its key is in the policy");
}

static void check_machine(AttResult *result, const AttPolicy *policy) {
        if (!att_policy_names_machines(policy))
                att_result_skip(result, ATT_CHECK_MACHINE, "the policy names none");
        else if (result->kind == ATT_KIND_NONE)
                att_result_skip(result, ATT_CHECK_MACHINE, "there is no quote");
        else if (result->kind == ATT_KIND_TDX)
                check_tdx_machine(result, policy);
        else
                check_snp_machine(result, policy);
}

/* NULL if @r is of another TEE. */
static const uint8_t *boot_register(const AttResult *result, AttBootRegister r) {
        const AttTdxQuote *q = &result->quote; /* all NULL if there is a report instead, and the other way */
        const AttSnpReport *s = &result->report;

        switch (r) {
        case ATT_BOOT_MRTD:
                return q->mr_td;
        case ATT_BOOT_RTMR0:
        case ATT_BOOT_RTMR1:
        case ATT_BOOT_RTMR2:
        case ATT_BOOT_RTMR3:
                return q->rtmr[r - ATT_BOOT_RTMR0];
        case ATT_BOOT_MRCONFIGID:
                return q->mr_config_id;
        case ATT_BOOT_MROWNER:
                return q->mr_owner;
        case ATT_BOOT_MROWNERCONFIG:
                return q->mr_owner_config;
        case ATT_BOOT_MRSEAM:
                return q->mr_seam;
        case ATT_BOOT_MEASUREMENT:
                return s->measurement;
        case ATT_BOOT_HOST_DATA:
                return s->host_data;
        case ATT_BOOT_ID_KEY_DIGEST:
                return s->id_key_digest;
        case ATT_BOOT_AUTHOR_KEY_DIGEST:
                return s->author_key_digest;
        case ATT_BOOT_FAMILY_ID:
                return s->family_id;
        case ATT_BOOT_IMAGE_ID:
                return s->image_id;
        }
        return NULL;
}

static bool is_as_in_rule(const AttResult *result, const AttBootRule *rule, AttBootRegister r) {
        const uint8_t *found = boot_register(result, r);

        return !rule->values[r] || (found && att_equal(rule->values[r], found, att_boot_register_size(r)));
}

/* The first register that differs; ATT_BOOT_REGISTERS if none does. */
static AttBootRegister first_difference(const AttResult *result, const AttBootRule *rule) {
        AttBootRegister r = 0;

        while (r < ATT_BOOT_REGISTERS && is_as_in_rule(result, rule, r))
                r++;
        return r;
}

/* Of the rule that came nearest the detail says what differs. */
static void check_boot(AttResult *result, const AttPolicy *policy) {
        int nearest = -1;

        if (policy->boots->len == 0) {
                att_result_skip(result, ATT_CHECK_BOOT, "the policy names none");
                return;
        }
        if (result->kind == ATT_KIND_NONE) {
                att_result_skip(result, ATT_CHECK_BOOT, "there is no quote");
                return;
        }
        for (guint i = 0; i < policy->boots->len; i++) {
                AttBootRegister r = first_difference(result, policy->boots->pdata[i]);

                if (r == ATT_BOOT_REGISTERS) {
                        att_result_pass(result, ATT_CHECK_BOOT, "as boot rule %u of %u says", i + 1,
                                        policy->boots->len);
                        return;
                }
                if (boot_register(result, r))
                        nearest = MAX(nearest, (int) r);
        }
        if (nearest < 0)
                att_result_fail(result, ATT_CHECK_BOOT, "the policy has no boot rule for %s",
                                att_kind_name(result->kind));
        else
                att_result_fail(result, ATT_CHECK_BOOT, "%s is not as the policy says",
                                att_boot_register_name((AttBootRegister) nearest));
}

static bool is_workload(const AttWorkloadRule *rule, const AttCallerClaims *caller) {
        return g_strcmp0(caller->unit_kind, "system") == 0 && g_strcmp0(caller->unit, rule->unit) == 0 &&
               (!rule->has_uid || (caller->has_uid && caller->uid == rule->uid));
}

static void check_workload(AttResult *result, const AttPolicy *policy) {
        const AttCallerClaims *caller = result->claims ? result->claims->caller : NULL;

        if (policy->any_workload) {
                att_result_skip(result, ATT_CHECK_WORKLOAD, "the policy takes any");
                return;
        }
        if (!caller) {
                att_result_fail(result, ATT_CHECK_WORKLOAD, "the evidence does not say who asked for it");
                return;
        }
        for (guint i = 0; i < policy->workloads->len; i++) {
                const AttWorkloadRule *rule = policy->workloads->pdata[i];

                if (is_workload(rule, caller)) {
                        att_result_pass(result, ATT_CHECK_WORKLOAD, "%s", rule->unit);
                        return;
                }
        }
        att_result_fail(result, ATT_CHECK_WORKLOAD, "asked for by %s, which the policy does not name",
                        caller->unit ? caller->unit : "no unit");
}

static void check_state(AttResult *result, const AttPolicy *policy) {
        if (!result->claims)
                att_result_skip(result, ATT_CHECK_STATE, "there are no claims");
        else if (!result->claims->shared_device)
                att_result_pass(result, ATT_CHECK_STATE, "attestd has seen no other user of the TEE");
        else if (policy && policy->shared_device_allowed)
                att_result_pass(result, ATT_CHECK_STATE, "shared-device, which the policy allows");
        else
                att_result_fail(result, ATT_CHECK_STATE, "shared-device: other programs of the guest ask the TEE for "
                                "reports, and could imitate attestd");
}

static void check_by_policy(AttResult *result, const AttPolicy *policy) {
        check_state(result, policy);
        att_result_skip(result, ATT_CHECK_TCB_STATUS, "there is no collateral");
        att_result_skip(result, ATT_CHECK_REVOCATION, "there is no collateral");
        if (result->kind != ATT_KIND_SNP)
                att_result_skip(result, ATT_CHECK_TCB_MINIMUM, "there is no SNP report");
        if (!policy)
                return;

        check_machine(result, policy);
        check_boot(result, policy);
        check_workload(result, policy);
        if (policy->needs_collateral)
                att_result_fail(result, ATT_CHECK_COLLATERAL, "missing: neither the level of the platform nor "
                                "revocations are known; \"collateral not-required\" does without");
        else
                att_result_skip(result, ATT_CHECK_COLLATERAL, "the policy does without");
}

void att_appraise_received(AttResult *result, const AttReceived *received, const AttExpected *expected) {
        if (received->evidence) {
                check_profile(result, received->evidence, expected);
                check_claims(result, received->evidence, expected);
        } else {
                check_bare_report(result, expected->policy);
        }

        if (received->is_snp)
                att_snp_appraise(result, received->quote, received->report ? received->report->auxblob : NULL,
                                 expected);
        else
                att_tdx_appraise(result, received->quote, expected);
        check_tee(result, received, expected->policy);
        check_report_data(result, received, expected);
        check_by_policy(result, expected->policy);
        att_logs_appraise(result, received, expected);
}

AttResult *att_appraise(const AttAppraisalInput *input) {
        g_auto(AttReceived) received = { 0 };
        g_autoptr(GError) error = NULL;
        bool is_readable = att_received_read(input->evidence, &received, &error);
        const char *profile = received.evidence ? received.evidence->profile : NULL;
        AttCheckSet mandatory = att_mandatory_by_policy(input->policy) | att_mandatory_by_profile(profile);
        AttExpected expected = {
                .policy = input->policy,
                .at = input->at,
                .extra_certificates = input->extra_certificates,
                .has_binding = input->bound_to == ATT_BOUND_BINDING,
                .hash = input->hash,
                .role = input->role,
                .has_report_data = input->bound_to == ATT_BOUND_REPORT_DATA,
                .batch = input->batch,
                .ima_log = input->ima_log,
                .no_ima_log = input->no_ima_log,
                .boot_log = input->boot_log,
                .memo = input->memo,
                .memo_user = input->memo_user,
        };
        AttResult *result;

        if (expected.has_binding && received.evidence && received.evidence->claims)
                mandatory |= ATT_CHECK_SET(ATT_CHECK_BINDING) | ATT_CHECK_SET(ATT_CHECK_ROLE);
        memcpy(expected.binding, input->binding, sizeof expected.binding);
        memcpy(expected.report_data, input->report_data, sizeof expected.report_data);

        result = att_result_new(mandatory);
        for (AttCheckId id = ATT_CHECK_AUTHENTICATOR; id <= ATT_CHECK_PEER_NAME; id++)
                att_result_skip(result, id, "no connection");
        if (input->policy)
                att_result_pass(result, ATT_CHECK_POLICY, "loaded");
        else
                att_result_fail(result, ATT_CHECK_POLICY, "%s", input->no_policy ? input->no_policy : "there is none");

        if (is_readable) {
                att_result_pass(result, ATT_CHECK_FORMAT, "%s", received.evidence ? "a collection of attestd" :
                                received.report ? "a tsm-report" : received.is_hcl ? "a report in Azure's envelope" :
                                received.is_snp ? "a bare report" : "a bare quote");
                att_appraise_received(result, &received, &expected);
        } else {
                att_result_fail_take(result, ATT_CHECK_FORMAT, g_steal_pointer(&error));
        }
        return att_result_seal(result);
}
