/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "verifier/chain.h"

#include "util/error.h"

bool att_is_issued_by(const AttCertificate *certificate, const AttCertificate *issuer) {
        g_autofree char *wanted = att_certificate_dup_issuer_cn(certificate);
        g_autofree char *name = att_certificate_dup_subject_cn(issuer);

        return *wanted && g_str_equal(wanted, name);
}

/* Some second within all validity periods, the nearest to @at; FALSE if there is none. */
static bool common_time(GPtrArray *chain, int64_t at, int64_t *ret) {
        int64_t from = G_MININT64, until = G_MAXINT64;

        for (guint i = 0; i < chain->len; i++) {
                from = MAX(from, att_certificate_not_before(chain->pdata[i]));
                until = MIN(until, att_certificate_not_after(chain->pdata[i]));
        }
        if (from > until)
                return false;
        /* To OpenSSL a certificate has expired in its last second already. */
        *ret = CLAMP(at, from, until > from ? until - 1 : from);
        return true;
}

gboolean att_chain_verify_any_time(GPtrArray *chain, GPtrArray *roots_spki, int64_t at, GError **error) {
        int64_t when;

        if (!common_time(chain, at, &when))
                return att_error_set(error, ATT_ERROR_REFUSED, "its certificates were never valid at one time");
        return att_chain_verify(chain, roots_spki, when, error);
}

void att_check_validity(AttResult *result, GPtrArray *chain, int64_t at) {
        int64_t from = G_MININT64, until = G_MAXINT64;

        for (guint i = 0; i < chain->len; i++) {
                int64_t not_before = att_certificate_not_before(chain->pdata[i]);
                int64_t not_after = att_certificate_not_after(chain->pdata[i]);
                bool early = at < not_before;

                if (early || at > not_after) {
                        g_autofree char *cn = att_certificate_dup_subject_cn(chain->pdata[i]);

                        att_result_fail(result, ATT_CHECK_VALIDITY, "certificate \"%s\" %s", cn,
                                        early ? "is not valid yet" : "has expired");
                        return;
                }
                from = MAX(from, not_before);
                until = MIN(until, not_after);
        }
        result->not_before = from;
        result->not_after = until;
        att_result_pass(result, ATT_CHECK_VALIDITY, "of %u certificates", chain->len);
}
