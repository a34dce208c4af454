/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Intel's verification of a TD quote, as far as it needs no collateral. */
#include "verifier/tdx.h"

#include "crypto/digest.h"
#include "verifier/chain.h"

#define QE_REPORT_SIZE 384u
#define CERTIFICATION_PCK_CHAIN 5u
#define CERTIFICATION_QE_REPORT 6u
#define QE_ISV_PROD_ID 2u
#define SGX_DEBUG 0x02u
#define PCK_CN "SGX PCK Certificate"
#define MR_SIZE 48u

/* Bits of the TD's attributes; all others are reserved, or we do not know what they do. */
#define TD_DEBUG (UINT64_C(1) << 0)
#define TD_SEPT_VE_DISABLE (UINT64_C(1) << 28)
#define TD_MIGRATABLE (UINT64_C(1) << 29)
#define TD_PKS (UINT64_C(1) << 30)
#define TD_PERFMON (UINT64_C(1) << 63)
#define TD_KNOWN (TD_DEBUG | TD_SEPT_VE_DISABLE | TD_MIGRATABLE | TD_PKS | TD_PERFMON)

/* The quoting enclave's vendor, and the signer of its TD quoting enclave. */
static const uint8_t intel_vendor[16] = {
        0x93, 0x9a, 0x72, 0x33, 0xf7, 0x9c, 0x4c, 0xa9, 0x94, 0x0a, 0x0d, 0xb3, 0x95, 0x7f, 0x06, 0x07,
};
static const uint8_t intel_qe_signer[32] = {
        0xdc, 0x9e, 0x2a, 0x7c, 0x6f, 0x94, 0x8f, 0x17, 0x47, 0x4e, 0x34, 0xa7, 0xfc, 0x43, 0xed, 0x03,
        0x0f, 0x7c, 0x15, 0x63, 0xf1, 0xba, 0xbd, 0xdf, 0x63, 0x40, 0xc8, 0x2e, 0x0e, 0x54, 0xa8, 0xc5,
};

static void check_vendor(AttResult *result, const AttTdxQuote *q) {
        if (att_equal(q->qe_vendor_id, intel_vendor, sizeof intel_vendor))
                att_result_pass(result, ATT_CHECK_QE_VENDOR, "Intel");
        else
                att_result_fail(result, ATT_CHECK_QE_VENDOR, "the quoting enclave is not Intel's");
}

/* Header and body, by the attestation key that stands in the quote. What makes
 * that key worth something is check_qe_binding(). */
static void check_signature(AttResult *result, const AttTdxQuote *q) {
        g_autoptr(GError) error = NULL;
        g_autoptr(AttKey) key = att_key_from_p256_point(q->attestation_key, &error);

        if (key && att_key_verify_raw(key, q->signed_part.at, q->signed_part.left, q->signature, &error))
                att_result_pass(result, ATT_CHECK_QUOTE_SIGNATURE, "by the attestation key");
        else
                att_result_fail_take(result, ATT_CHECK_QUOTE_SIGNATURE, g_steal_pointer(&error));
}

static bool has_qe_report(const AttTdxQuote *q) {
        return q->qe_report_bytes.left == QE_REPORT_SIZE && q->qe_report_signature;
}

static void check_qe_report_signature(AttResult *result, const AttTdxQuote *q, const AttCertificate *pck) {
        g_autoptr(GError) error = NULL;
        g_autoptr(AttKey) key = NULL;

        if (!pck) {
                att_result_skip(result, ATT_CHECK_QE_REPORT_SIGNATURE, "there is no PCK certificate");
                return;
        }
        key = att_certificate_dup_key(pck, &error);
        if (key && att_key_verify_raw(key, q->qe_report_bytes.at, q->qe_report_bytes.left, q->qe_report_signature,
                                      &error))
                att_result_pass(result, ATT_CHECK_QE_REPORT_SIGNATURE, "by the PCK");
        else
                att_result_fail_take(result, ATT_CHECK_QE_REPORT_SIGNATURE, g_steal_pointer(&error));
}

/* QE REPORTDATA = SHA-256(attestation key || auth data) || 32 zero bytes */
static void check_qe_binding(AttResult *result, const AttTdxQuote *q) {
        AttPart parts[] = {
                { .data = q->attestation_key, .size = 64 },
                { .data = q->qe_auth_data.at, .size = q->qe_auth_data.left },
        };
        uint8_t expected[64] = { 0 };

        att_sha256(parts, G_N_ELEMENTS(parts), expected);
        if (att_equal(q->qe_report.report_data, expected, sizeof expected))
                att_result_pass(result, ATT_CHECK_QE_BINDING, "the QE vouches for the attestation key");
        else
                att_result_fail(result, ATT_CHECK_QE_BINDING,
                                "the QE's report does not vouch for this attestation key");
}

static void check_qe_identity(AttResult *result, const AttSgxReport *qe) {
        if (!att_equal(qe->mr_signer, intel_qe_signer, sizeof intel_qe_signer))
                att_result_fail(result, ATT_CHECK_QE_IDENTITY, "the QE is not signed by Intel (MRSIGNER)");
        else if (qe->isv_prod_id != QE_ISV_PROD_ID)
                att_result_fail(result, ATT_CHECK_QE_IDENTITY, "ISVPRODID is %u: not the TD quoting enclave, %u",
                                qe->isv_prod_id, QE_ISV_PROD_ID);
        else if (qe->attributes[0] & SGX_DEBUG)
                att_result_fail(result, ATT_CHECK_QE_IDENTITY, "a debug enclave");
        else
                att_result_pass(result, ATT_CHECK_QE_IDENTITY, "Intel's TD quoting enclave, ISVSVN %u", qe->isv_svn);
}

static void check_qe(AttResult *result, const AttTdxQuote *q) {
        if (!has_qe_report(q)) {
                att_result_fail(result, ATT_CHECK_QE_REPORT_SIGNATURE,
                                "no QE report: certification data of type %u, not %u", q->certification_type,
                                CERTIFICATION_QE_REPORT);
                return;
        }
        check_qe_binding(result, q);
        check_qe_identity(result, &q->qe_report);
}

/* The certificates of the quote, then those that the caller adds. */
static GPtrArray *collect(const AttTdxQuote *q, GPtrArray *extra, guint *ret_carried, GError **error) {
        g_autoptr(GPtrArray) pool = NULL;

        if (q->certificates.left > 0)
                pool = att_certificates_from_pem(q->certificates.at, q->certificates.left, error);
        else
                pool = g_ptr_array_new_with_free_func((GDestroyNotify) att_certificate_unref);
        if (!pool)
                return NULL;

        *ret_carried = pool->len;
        for (guint i = 0; extra && i < extra->len; i++)
                g_ptr_array_add(pool, att_certificate_ref(extra->pdata[i]));
        return g_steal_pointer(&pool);
}

/* The PCK certificate: what the quote carries begins with it; what a caller adds
 * may have any order. */
static AttCertificate *find_pck(GPtrArray *pool, guint n_carried, AttPckExtension *ret_extension) {
        guint n = n_carried > 0 ? 1 : pool->len;

        for (guint i = 0; i < n; i++)
                if (att_pck_extension_parse(pool->pdata[i], ret_extension, NULL))
                        return pool->pdata[i];
        return NULL;
}

/* Leaf first: all that the quote carries, in its order, then issuers from what was
 * added, found by name alone. Whether it is a chain, att_chain_verify() says. */
static GPtrArray *build_chain(GPtrArray *pool, guint n_carried, AttCertificate *leaf) {
        g_autoptr(GPtrArray) chain = g_ptr_array_new_with_free_func((GDestroyNotify) att_certificate_unref);
        const AttCertificate *last;

        g_ptr_array_add(chain, att_certificate_ref(leaf));
        for (guint i = 1; i < n_carried; i++)
                g_ptr_array_add(chain, att_certificate_ref(pool->pdata[i]));

        last = chain->pdata[chain->len - 1];
        while (!att_is_issued_by(last, last) && chain->len < ATT_CHAIN_MAX) {
                AttCertificate *issuer = NULL;

                for (guint i = n_carried; i < pool->len && !issuer; i++)
                        if (att_is_issued_by(last, pool->pdata[i]))
                                issuer = pool->pdata[i];
                if (!issuer)
                        break;
                g_ptr_array_add(chain, att_certificate_ref(issuer));
                last = issuer;
        }
        return g_steal_pointer(&chain);
}

static void check_chain(AttResult *result, GPtrArray *chain, const AttPolicy *policy, int64_t at) {
        g_autofree char *cn = att_certificate_dup_subject_cn(chain->pdata[0]);
        g_autoptr(GError) error = NULL;

        if (!policy) {
                att_result_skip(result, ATT_CHECK_PCK_CHAIN, "there is no policy to name a root");
                return;
        }
        if (!strstr(cn, PCK_CN))
                att_result_fail(result, ATT_CHECK_PCK_CHAIN, "the leaf is \"%s\", not an " PCK_CN, cn);
        else if (att_chain_verify_any_time(chain, policy->roots[ATT_KIND_TDX], at, &error))
                att_result_pass(result, ATT_CHECK_PCK_CHAIN, "%u certificates, to a root that the policy trusts",
                                chain->len);
        else
                att_result_fail_take(result, ATT_CHECK_PCK_CHAIN, g_steal_pointer(&error));
}

static void check_certificates(AttResult *result, const AttTdxQuote *q, const AttPolicy *policy, GPtrArray *extra,
                               int64_t at) {
        g_autoptr(GError) error = NULL;
        guint n_carried = 0;
        g_autoptr(GPtrArray) pool = collect(q, extra, &n_carried, &error);
        g_autoptr(GPtrArray) chain = NULL;
        AttCertificate *pck;
        uint16_t type = q->certification_type == CERTIFICATION_QE_REPORT ? q->inner_certification_type :
                        q->certification_type;

        if (!pool) {
                att_result_fail_take(result, ATT_CHECK_PCK_CHAIN, g_steal_pointer(&error));
                return;
        }
        if (pool->len == 0) {
                att_result_fail(result, ATT_CHECK_PCK_CHAIN, "the quote carries no certificates%s, and none were added",
                                type == CERTIFICATION_PCK_CHAIN ? "" : " (it names its PCK otherwise)");
                return;
        }
        pck = find_pck(pool, n_carried, &result->pck_extension);
        if (!pck) {
                att_result_fail(result, ATT_CHECK_PCK_CHAIN, "%s is not a PCK certificate: it lacks the SGX extension",
                                n_carried > 0 ? "the first certificate" : "what was added");
                return;
        }

        result->pck = att_certificate_ref(pck);
        result->has_pck_extension = true;
        chain = build_chain(pool, n_carried, pck);
        check_chain(result, chain, policy, at);
        att_check_validity(result, chain, at);
}

/* All that follows from the quote with its chain, and from the roots, alone. */
static void check_signatures(AttResult *result, const AttTdxQuote *q, const AttExpected *expected) {
        const AttCheckSet checks = ATT_CHECK_SET(ATT_CHECK_QUOTE_SIGNATURE) |
                                   ATT_CHECK_SET(ATT_CHECK_QE_REPORT_SIGNATURE) |
                                   ATT_CHECK_SET(ATT_CHECK_PCK_CHAIN) | ATT_CHECK_SET(ATT_CHECK_VALIDITY);
        bool has_memo = expected->memo && expected->policy;
        uint8_t key[ATT_SHA256_SIZE];

        if (has_memo)
                att_signature_memo_key(ATT_KIND_TDX, result->tee_bytes, NULL, expected->extra_certificates,
                                       expected->policy->roots[ATT_KIND_TDX], key);
        if (has_memo && att_signature_memo_recall(expected->memo, key, expected->at, result))
                return;
        check_signature(result, q);
        check_certificates(result, q, expected->policy, expected->extra_certificates, expected->at);
        if (has_qe_report(q))
                check_qe_report_signature(result, q, result->pck);
        if (has_memo)
                att_signature_memo_keep(expected->memo, expected->memo_user, key, checks, result);
}

static uint64_t td_attributes(const AttTdxQuote *q) {
        AttCursor c = att_cursor(q->td_attributes, sizeof(uint64_t));

        return att_take_u64le(&c);
}

static void check_debug(AttResult *result, const AttTdxQuote *q) {
        if (td_attributes(q) & TD_DEBUG)
                att_result_fail(result, ATT_CHECK_DEBUG, "a debug TD: the host reads its memory");
        else
                att_result_pass(result, ATT_CHECK_DEBUG, "off");
}

static bool is_zero(const uint8_t *bytes, size_t size) {
        static const uint8_t zeros[MR_SIZE] = { 0 };

        return att_equal(bytes, zeros, size);
}

static bool has_weakness(const AttTdxQuote *q, AttWeakness w) {
        switch (w) {
        case ATT_WEAKNESS_SEPT_VE_DISABLE_OFF:
                return !(td_attributes(q) & TD_SEPT_VE_DISABLE);
        case ATT_WEAKNESS_MIGRATABLE:
                return td_attributes(q) & TD_MIGRATABLE;
        case ATT_WEAKNESS_SERVICE_TD:
                return q->mr_service_td && !is_zero(q->mr_service_td, MR_SIZE);
        case ATT_WEAKNESS_MIGRATION_AGENT:
        case ATT_WEAKNESS_MASKED_CHIP_ID:
        case ATT_WEAKNESS_CXL:
                break; /* of SNP */
        }
        return false;
}

static const char *const harms[] = {
        [ATT_WEAKNESS_SEPT_VE_DISABLE_OFF] = "SEPT_VE_DISABLE is off, so the host can make any access to memory fault",
        [ATT_WEAKNESS_MIGRATABLE] = "the TD is migratable, so a migration TD of the host's can export its memory",
        [ATT_WEAKNESS_SERVICE_TD] = "a service TD is bound to it, and has a hold on it",
};

/* None of this is in MRTD or an RTMR: no boot rule would see it. */
static void check_attributes(AttResult *result, const AttTdxQuote *q, const AttPolicy *policy) {
        uint64_t unknown = td_attributes(q) & ~TD_KNOWN;
        g_autoptr(GString) taken = g_string_new(NULL);

        if (!is_zero(q->mr_signer_seam, MR_SIZE) || !is_zero(q->seam_attributes, sizeof(uint64_t))) {
                att_result_fail(result, ATT_CHECK_ATTRIBUTES, "the TDX module is not Intel's for production");
                return;
        }
        if (unknown) {
                att_result_fail(result, ATT_CHECK_ATTRIBUTES, "the TD has attributes that are reserved or not known: "
                                "0x%" G_GINT64_MODIFIER "x", unknown);
                return;
        }
        for (AttWeakness w = ATT_WEAKNESS_SEPT_VE_DISABLE_OFF; w <= ATT_WEAKNESS_SERVICE_TD; w++) {
                if (!has_weakness(q, w))
                        continue;
                if (!policy || !policy->takes_weakness[w]) {
                        att_result_fail(result, ATT_CHECK_ATTRIBUTES, "%s; \"attributes %s\" takes it", harms[w],
                                        att_weakness_name(w));
                        return;
                }
                g_string_append_printf(taken, "%s%s", taken->len > 0 ? ", " : "", att_weakness_name(w));
        }
        if (taken->len > 0)
                att_result_pass(result, ATT_CHECK_ATTRIBUTES, "%s, which the policy takes", taken->str);
        else
                att_result_pass(result, ATT_CHECK_ATTRIBUTES, "SEPT_VE_DISABLE, not migratable, no service TD");
}

bool att_tdx_appraise(AttResult *result, GBytes *quote, const AttExpected *expected) {
        g_autoptr(GError) error = NULL;
        AttTdxQuote *q = &result->quote;

        att_result_require(result, ATT_TDX_CHECKS);
        result->tee_bytes = g_bytes_ref(quote);
        if (!att_tdx_quote_parse(result->tee_bytes, q, &error)) {
                att_result_fail_take(result, ATT_CHECK_QUOTE_FORMAT, g_steal_pointer(&error));
                return false;
        }

        result->kind = ATT_KIND_TDX;
        att_result_pass(result, ATT_CHECK_QUOTE_FORMAT, "version %u, TD %s", q->version,
                        q->body == ATT_TDX_BODY_15 ? "1.5" : "1.0");
        check_vendor(result, q);
        check_signatures(result, q, expected);
        check_qe(result, q);
        check_debug(result, q);
        check_attributes(result, q, expected->policy);
        for (AttCheckId id = 0; id < ATT_CHECKS; id++)
                if (ATT_SNP_CHECKS & ATT_CHECK_SET(id))
                        att_result_skip(result, id, "a TDX quote has no VCEK, VLEK or VMPL");
        return true;
}
