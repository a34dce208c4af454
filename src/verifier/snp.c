/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* AMD's verification of an SNP report, as far as it needs no revocation list. */
#include "verifier/snp.h"

#include "codec/certificate-table.h"
#include "crypto/digest.h"
#include "verifier/chain.h"

#define HOW_TO_ADD                                                                                \
        "AMD's key distribution service has it, \"attestctl verify --certs FILE\" takes it, and " \
        "so does the host for its certificate table"

/* Of one name there may be several keys: AMD has issued two ASKs of Genoa. */
#define CHAINS_TRIED_MAX 16u

static bool is_zero(const uint8_t *bytes, size_t size) {
        uint8_t any = 0;

        for (size_t i = 0; i < size; i++)
                any |= bytes[i];
        return any == 0;
}

AttSnpLine att_snp_line_of_product(const char *product) {
        static const AttSnpLine lines[] = { ATT_SNP_LINE_MILAN, ATT_SNP_LINE_GENOA, ATT_SNP_LINE_TURIN };

        for (gsize i = 0; i < G_N_ELEMENTS(lines); i++) {
                const char *name = att_snp_line_name(lines[i]);
                size_t size = strlen(name);

                if (strncmp(product, name, size) == 0 && (product[size] == '\0' || product[size] == '-'))
                        return lines[i];
        }
        return ATT_SNP_LINE_UNKNOWN;
}

bool att_vek_is_for_tcb(const AttVekExtensions *e, const AttSnpTcb *tcb) {
        return e->has_fmc == tcb->has_fmc && e->fmc == tcb->fmc && e->bootloader == tcb->bootloader &&
               e->tee == tcb->tee && e->snp == tcb->snp && e->microcode == tcb->microcode;
}

bool att_vek_is_of_chip(const AttVekExtensions *e, const AttSnpReport *r) {
        return e->hwid_size > 0 && memcmp(e->hwid, r->chip_id, e->hwid_size) == 0 &&
               is_zero(r->chip_id + e->hwid_size, ATT_SNP_CHIP_ID_SIZE - e->hwid_size);
}

static void add_entry(GPtrArray *pool, const AttTableEntry *entry, GError **error) {
        g_autoptr(GPtrArray) found = att_certificates_from_bytes(entry->data.at, entry->data.left, error);

        for (guint i = 0; found && i < found->len; i++)
                g_ptr_array_add(pool, att_certificate_ref(found->pdata[i]));
        if (!found)
                g_prefix_error(error, "the %s of the certificate table: ", att_table_kind_name(entry->kind));
}

/* The certificates of the host's table, then those that the caller adds. Nobody
 * has vouched for either. */
static GPtrArray *collect(GBytes *table_bytes, GPtrArray *extra, GError **error) {
        g_autoptr(GPtrArray) pool = g_ptr_array_new_with_free_func((GDestroyNotify) att_certificate_unref);
        AttCertificateTable table = { .n_entries = 0 };
        GError *e = NULL;

        if (table_bytes && !att_certificate_table_parse(table_bytes, &table, error))
                return NULL;
        for (size_t i = 0; i < table.n_entries && !e; i++)
                if (table.entries[i].kind >= ATT_TABLE_ARK && table.entries[i].kind <= ATT_TABLE_VLEK)
                        add_entry(pool, &table.entries[i], &e);
        if (e) {
                g_propagate_error(error, e);
                return NULL;
        }
        for (guint i = 0; extra && i < extra->len; i++)
                g_ptr_array_add(pool, att_certificate_ref(extra->pdata[i]));
        return g_steal_pointer(&pool);
}

/* How much a certificate looks like that of the key that has signed. */
static int likeness(const AttVekExtensions *e, const AttSnpReport *r) {
        AttSnpTcb tcb;
        int points = 1;

        if (e->is_vlek == (r->signing_key == ATT_SNP_KEY_VLEK))
                points += 4;
        if (att_vek_is_of_chip(e, r))
                points += 2;
        if (att_snp_tcb_read(r->reported_tcb, att_snp_line_of_product(e->product), &tcb) && att_vek_is_for_tcb(e, &tcb))
                points++;
        return points;
}

/* The likeliest; what does not fit about it is then a check's to name. */
static AttCertificate *find_vek(GPtrArray *pool, const AttSnpReport *r, AttVekExtensions *ret_extensions) {
        AttCertificate *best = NULL;
        int most = 0;

        for (guint i = 0; i < pool->len; i++) {
                AttVekExtensions e;
                int points = att_vek_extensions_parse(pool->pdata[i], &e, NULL) ? likeness(&e, r) : 0;

                if (points > most) {
                        most = points;
                        best = pool->pdata[i];
                        *ret_extensions = e;
                }
        }
        return best;
}

static GPtrArray *chain_of(AttCertificate *vek, AttCertificate *ca, AttCertificate *root) {
        GPtrArray *chain = g_ptr_array_new_with_free_func((GDestroyNotify) att_certificate_unref);

        g_ptr_array_add(chain, att_certificate_ref(vek));
        g_ptr_array_add(chain, att_certificate_ref(ca));
        g_ptr_array_add(chain, att_certificate_ref(root));
        return chain;
}

/* Key, ASK or ASVK, ARK: the issuers are looked for by name, and each of that name
 * is tried. What is no chain is kept for its error; NULL if an issuer is missing. */
static GPtrArray *find_chain(GPtrArray *pool, AttCertificate *vek, const AttPolicy *policy, int64_t at,
                             GError **ret_problem) {
        g_autoptr(GPtrArray) first = NULL;
        guint n_tried = 0;

        for (guint i = 0; i < pool->len; i++) {
                if (pool->pdata[i] == vek || !att_is_issued_by(vek, pool->pdata[i]))
                        continue;
                for (guint k = 0; k < pool->len && n_tried < CHAINS_TRIED_MAX; k++) {
                        g_autoptr(GPtrArray) chain = NULL;
                        g_autoptr(GError) error = NULL;

                        if (k == i || !att_is_issued_by(pool->pdata[i], pool->pdata[k]))
                                continue;
                        chain = chain_of(vek, pool->pdata[i], pool->pdata[k]);
                        n_tried++;
                        if (att_chain_verify_any_time(chain, policy->roots[ATT_KIND_SNP], at, &error)) {
                                g_clear_error(ret_problem);
                                return g_steal_pointer(&chain);
                        }
                        if (!first) {
                                first = g_steal_pointer(&chain);
                                g_propagate_error(ret_problem, g_steal_pointer(&error));
                        }
                }
        }
        return g_steal_pointer(&first);
}

/* Names the first issuer, from the key upwards, that nobody has given. */
static void fail_without_issuer(AttResult *result, GPtrArray *pool, const AttCertificate *vek) {
        g_autofree char *wanted = att_certificate_dup_issuer_cn(vek);

        for (guint i = 0; i < pool->len; i++)
                if (pool->pdata[i] != vek && att_is_issued_by(vek, pool->pdata[i])) {
                        g_free(wanted);
                        wanted = att_certificate_dup_issuer_cn(pool->pdata[i]);
                        break;
                }
        att_result_fail(result, ATT_CHECK_VEK_CHAIN, "the certificate of \"%s\" is missing: " HOW_TO_ADD, wanted);
}

static void check_chain(AttResult *result, GPtrArray *pool, const AttPolicy *policy, int64_t at) {
        g_autoptr(GError) problem = NULL;
        g_autoptr(GPtrArray) chain = NULL;

        if (!policy) {
                att_result_skip(result, ATT_CHECK_VEK_CHAIN, "there is no policy to name a root");
                return;
        }
        chain = find_chain(pool, result->vek, policy, at, &problem);
        if (!chain) {
                fail_without_issuer(result, pool, result->vek);
                return;
        }
        if (problem)
                att_result_fail_take(result, ATT_CHECK_VEK_CHAIN, g_steal_pointer(&problem));
        else
                att_result_pass(result, ATT_CHECK_VEK_CHAIN, "%u certificates, to a root that the policy trusts",
                                chain->len);
        att_check_validity(result, chain, at);
}

/* The processor that the report names, and the one that the certificate is for. */
static bool is_of_one_line(AttResult *result, const AttSnpReport *r, const AttVekExtensions *e, AttSnpLine line) {
        g_autofree char *issuer = att_certificate_dup_issuer_cn(result->vek);
        g_autofree char *wanted = g_strdup_printf(e->is_vlek ? "SEV-VLEK-%s" : "SEV-%s", att_snp_line_name(line));

        if (line == ATT_SNP_LINE_UNKNOWN)
                att_result_fail(result, ATT_CHECK_VEK_IDENTITY, "a key for \"%s\", which is no product that we know",
                                e->product);
        else if (r->cpuid && r->line == ATT_SNP_LINE_UNKNOWN)
                att_result_fail(result, ATT_CHECK_VEK_IDENTITY, "the report is of a processor that we do not know: "
                                "family 0x%02x, model 0x%02x", r->cpuid[0], r->cpuid[1]);
        else if (r->cpuid && r->line != line)
                att_result_fail(result, ATT_CHECK_VEK_IDENTITY, "the report is of a %s, but the key of a %s",
                                att_snp_line_name(r->line), att_snp_line_name(line));
        else if (!g_str_equal(issuer, wanted))
                att_result_fail(result, ATT_CHECK_VEK_IDENTITY, "a key for %s, but issued by \"%s\"", e->product,
                                issuer);
        else
                return true;
        return false;
}

static bool is_of_its_chip(AttResult *result, const AttSnpReport *r, const AttVekExtensions *e,
                           const AttPolicy *policy) {
        if (att_vek_is_of_chip(e, r))
                return true;
        if (!is_zero(r->chip_id, ATT_SNP_CHIP_ID_SIZE))
                att_result_fail(result, ATT_CHECK_VEK_IDENTITY, "the key is of another chip (HWID is not CHIP_ID)");
        else if (!policy || !policy->takes_weakness[ATT_WEAKNESS_MASKED_CHIP_ID])
                att_result_fail(result, ATT_CHECK_VEK_IDENTITY, "the report hides its chip (CHIP_ID is zero); "
                                "\"attributes %s\" takes it", att_weakness_name(ATT_WEAKNESS_MASKED_CHIP_ID));
        else
                return true;
        return false;
}

/* Is the certificate that of the key which the report says has signed it? */
static void check_identity(AttResult *result, const AttSnpReport *r, const AttPolicy *policy, AttSnpLine line) {
        const AttVekExtensions *e = &result->vek_extensions;
        const char *name = e->is_vlek ? "VLEK" : "VCEK";
        g_autofree char *cn = att_certificate_dup_subject_cn(result->vek);
        g_autofree char *wanted = g_strdup_printf("SEV-%s", name);

        if ((r->signing_key != ATT_SNP_KEY_VCEK && r->signing_key != ATT_SNP_KEY_VLEK) ||
            e->is_vlek != (r->signing_key == ATT_SNP_KEY_VLEK)) {
                att_result_fail(result, ATT_CHECK_VEK_IDENTITY, "the report names as its key: %s; the certificate is "
                                "of a %s", att_snp_key_name(r->signing_key), name);
                return;
        }
        if (!g_str_equal(cn, wanted)) {
                att_result_fail(result, ATT_CHECK_VEK_IDENTITY, "the certificate of a %s is called \"%s\"", name, cn);
                return;
        }
        if (!is_of_one_line(result, r, e, line) || (!e->is_vlek && !is_of_its_chip(result, r, e, policy)))
                return;
        att_result_pass(result, ATT_CHECK_VEK_IDENTITY, "the %s of %s %s", name, e->is_vlek ? e->csp_id : "this",
                        e->is_vlek ? e->product : att_snp_line_name(line));
}

static void check_tcb(AttResult *result, const AttSnpReport *r, AttSnpLine line) {
        AttSnpTcb tcb;

        if (!att_snp_tcb_read(r->reported_tcb, line, &tcb))
                att_result_fail(result, ATT_CHECK_VEK_TCB, "REPORTED_TCB is not one of %s: reserved bytes are not zero",
                                att_snp_line_name(line));
        else if (!att_vek_is_for_tcb(&result->vek_extensions, &tcb))
                att_result_fail(result, ATT_CHECK_VEK_TCB, "the certificate is for another TCB than REPORTED_TCB");
        else
                att_result_pass(result, ATT_CHECK_VEK_TCB, "boot loader %u, TEE %u, SNP %u, microcode %u",
                                tcb.bootloader, tcb.tee, tcb.snp, tcb.microcode);
}

static void check_signature(AttResult *result, const AttSnpReport *r) {
        g_autoptr(GError) error = NULL;
        g_autoptr(AttKey) key = NULL;

        if (r->has_masked_chip_key || r->signing_key == ATT_SNP_KEY_NONE) {
                att_result_fail(result, ATT_CHECK_QUOTE_SIGNATURE, "nothing has signed it: %s",
                                r->has_masked_chip_key ? "MASK_CHIP_KEY is set" : "its key is \"none\"");
                return;
        }
        if (is_zero(r->signature_r, ATT_P384_LE_SIZE) && is_zero(r->signature_s, ATT_P384_LE_SIZE)) {
                att_result_fail(result, ATT_CHECK_QUOTE_SIGNATURE, "nothing has signed it: the signature is zero");
                return;
        }
        if (!result->vek) {
                att_result_skip(result, ATT_CHECK_QUOTE_SIGNATURE, "there is no certificate of its key");
                return;
        }
        key = att_certificate_dup_key(result->vek, &error);
        if (key && att_key_verify_p384_le(key, r->signed_part.at, r->signed_part.left, r->signature_r, r->signature_s,
                                          &error))
                att_result_pass(result, ATT_CHECK_QUOTE_SIGNATURE, "by the %s",
                                result->vek_extensions.is_vlek ? "VLEK" : "VCEK");
        else
                att_result_fail_take(result, ATT_CHECK_QUOTE_SIGNATURE, g_steal_pointer(&error));
}

/* Its TCB has the layout of the processor that the report names, or else the certificate. */
static AttSnpLine line_of(const AttResult *result) {
        if (result->report.cpuid)
                return result->report.line;
        return result->vek ? att_snp_line_of_product(result->vek_extensions.product) : ATT_SNP_LINE_UNKNOWN;
}

static void check_certificates(AttResult *result, const AttSnpReport *r, GBytes *table,
                               const AttExpected *expected) {
        g_autoptr(GError) error = NULL;
        g_autoptr(GPtrArray) pool = collect(table, expected->extra_certificates, &error);
        AttCertificate *vek = pool ? find_vek(pool, r, &result->vek_extensions) : NULL;

        if (!pool) {
                att_result_fail_take(result, ATT_CHECK_VEK_CHAIN, g_steal_pointer(&error));
                return;
        }
        if (!vek) {
                att_result_fail(result, ATT_CHECK_VEK_CHAIN,
                                "the certificate of the %s that signed is missing: " HOW_TO_ADD,
                                r->signing_key == ATT_SNP_KEY_VLEK ? "VLEK" : "VCEK");
                return;
        }

        result->vek = att_certificate_ref(vek);
        check_chain(result, pool, expected->policy, expected->at);
}

/* All that follows from the report, the certificates and the roots alone. */
static void check_signatures(AttResult *result, const AttSnpReport *r, GBytes *table, const AttExpected *expected) {
        const AttCheckSet checks = ATT_CHECK_SET(ATT_CHECK_QUOTE_SIGNATURE) | ATT_CHECK_SET(ATT_CHECK_VEK_CHAIN) |
                                   ATT_CHECK_SET(ATT_CHECK_VALIDITY);
        bool has_memo = expected->memo && expected->policy;
        uint8_t key[ATT_SHA256_SIZE];

        if (has_memo)
                att_signature_memo_key(ATT_KIND_SNP, result->tee_bytes, table, expected->extra_certificates,
                                       expected->policy->roots[ATT_KIND_SNP], key);
        if (has_memo && att_signature_memo_recall(expected->memo, key, expected->at, result))
                return;
        check_certificates(result, r, table, expected);
        check_signature(result, r);
        if (has_memo)
                att_signature_memo_keep(expected->memo, expected->memo_user, key, checks, result);
}

/* Whose key it is, and for which TCB. */
static void check_key(AttResult *result, const AttSnpReport *r, const AttPolicy *policy) {
        AttSnpLine line;

        if (!result->vek) {
                att_result_skip(result, ATT_CHECK_VEK_IDENTITY, "there is no certificate of its key");
                att_result_skip(result, ATT_CHECK_VEK_TCB, "there is no certificate of its key");
                return;
        }
        line = att_snp_line_of_product(result->vek_extensions.product);
        check_identity(result, r, policy, line);
        check_tcb(result, r, line);
}

static void check_debug(AttResult *result, const AttSnpReport *r) {
        if (r->policy & ATT_SNP_POLICY_DEBUG)
                att_result_fail(result, ATT_CHECK_DEBUG,
                                "the guest's policy lets the host debug it, and with that read its memory");
        else
                att_result_pass(result, ATT_CHECK_DEBUG, "off");
}

/* What has more privilege can have reports of what has less; not the other way. */
static void check_vmpl(AttResult *result, const AttSnpReport *r, const AttPolicy *policy) {
        if (r->vmpl == ATT_SNP_VMPL_HOST)
                att_result_fail(result, ATT_CHECK_VMPL, "the host has asked for this report, not the guest");
        else if (r->vmpl >= ATT_SNP_VMPLS)
                att_result_fail(result, ATT_CHECK_VMPL, "%u, which there is not", r->vmpl);
        else if (policy ? policy->takes_vmpl[r->vmpl] : r->vmpl == 0)
                att_result_pass(result, ATT_CHECK_VMPL, "%u", r->vmpl);
        else
                att_result_fail(result, ATT_CHECK_VMPL, "%u, which the policy does not take; \"vmpl %u\" does", r->vmpl,
                                r->vmpl);
}

static bool has_weakness(const AttSnpReport *r, AttWeakness w) {
        switch (w) {
        case ATT_WEAKNESS_MIGRATION_AGENT:
                return r->policy & ATT_SNP_POLICY_MIGRATE_MA;
        case ATT_WEAKNESS_CXL:
                return r->policy & ATT_SNP_POLICY_CXL;
        case ATT_WEAKNESS_MASKED_CHIP_ID: /* the matter of check_identity() */
        case ATT_WEAKNESS_SEPT_VE_DISABLE_OFF:
        case ATT_WEAKNESS_MIGRATABLE:
        case ATT_WEAKNESS_SERVICE_TD:
                break; /* of TDX */
        }
        return false;
}

static bool meets(const AttSnpReport *r, AttPlatformDemand demand) {
        static const uint64_t bits[ATT_PLATFORM_DEMANDS] = {
                [ATT_PLATFORM_SMT_OFF] = ATT_SNP_PLATFORM_SMT,
                [ATT_PLATFORM_TSME] = ATT_SNP_PLATFORM_TSME,
                [ATT_PLATFORM_ECC] = ATT_SNP_PLATFORM_ECC,
                [ATT_PLATFORM_RAPL_DISABLED] = ATT_SNP_PLATFORM_RAPL_DISABLED,
                [ATT_PLATFORM_CIPHERTEXT_HIDING] = ATT_SNP_PLATFORM_CIPHERTEXT_HIDING,
                [ATT_PLATFORM_ALIAS_CHECK] = ATT_SNP_PLATFORM_ALIAS_CHECK,
        };
        bool is_set = r->platform_info & bits[demand];

        return demand == ATT_PLATFORM_SMT_OFF ? !is_set : is_set;
}

/* The guest's own policy, which its owner has set, and what the firmware says of the platform. */
static void check_attributes(AttResult *result, const AttSnpReport *r, const AttPolicy *policy) {
        static const char *const harms[ATT_WEAKNESSES] = {
                [ATT_WEAKNESS_MIGRATION_AGENT] = "a migration agent may export the guest",
                [ATT_WEAKNESS_CXL] = "the guest's memory may lie on a CXL device",
        };

        if (!(r->policy & ATT_SNP_POLICY_RESERVED_ONE) || r->policy & ~ATT_SNP_POLICY_KNOWN) {
                att_result_fail(result, ATT_CHECK_ATTRIBUTES,
                                "the guest's policy has bits that are reserved or not known: 0x%" G_GINT64_MODIFIER "x",
                                r->policy);
                return;
        }
        for (AttWeakness w = 0; w < ATT_WEAKNESSES; w++)
                if (has_weakness(r, w) && !(policy && policy->takes_weakness[w])) {
                        att_result_fail(result, ATT_CHECK_ATTRIBUTES, "%s; \"attributes %s\" takes it", harms[w],
                                        att_weakness_name(w));
                        return;
                }
        for (AttPlatformDemand d = 0; policy && d < ATT_PLATFORM_DEMANDS; d++)
                if (policy->demands[d] && !meets(r, d)) {
                        att_result_fail(result, ATT_CHECK_ATTRIBUTES, "the platform is not as the policy demands: %s",
                                        att_platform_demand_name(d));
                        return;
                }
        att_result_pass(result, ATT_CHECK_ATTRIBUTES, "policy 0x%" G_GINT64_MODIFIER "x, platform 0x%"
                        G_GINT64_MODIFIER "x", r->policy, r->platform_info);
}

static bool is_below(const AttSnpTcb *tcb, const AttSnpTcb *minimum) {
        return tcb->fmc < minimum->fmc || tcb->bootloader < minimum->bootloader || tcb->tee < minimum->tee ||
               tcb->snp < minimum->snp || tcb->microcode < minimum->microcode;
}

/* Reported is what the host chose; current is what runs; below committed nothing
 * can go back; and what the guest was launched under has seen its secrets. */
static void check_minimum(AttResult *result, const AttSnpReport *r, const AttPolicy *policy, AttSnpLine line) {
        const struct {
                const char *name;
                const uint8_t *raw;
        } tcbs[] = {
                { "REPORTED_TCB", r->reported_tcb },
                { "CURRENT_TCB", r->current_tcb },
                { "COMMITTED_TCB", r->committed_tcb },
                { "LAUNCH_TCB", r->launch_tcb },
        };

        if (!policy || !att_policy_has_minimum(policy)) {
                att_result_skip(result, ATT_CHECK_TCB_MINIMUM, "the policy names none");
                return;
        }
        if (line == ATT_SNP_LINE_UNKNOWN || !policy->has_minimum[line]) {
                att_result_fail(result, ATT_CHECK_TCB_MINIMUM, "the policy has no minimum for this product (%s)",
                                att_snp_line_name(line));
                return;
        }
        for (gsize i = 0; i < G_N_ELEMENTS(tcbs); i++) {
                AttSnpTcb tcb;

                if (!att_snp_tcb_read(tcbs[i].raw, line, &tcb) || is_below(&tcb, &policy->minimum[line])) {
                        att_result_fail(result, ATT_CHECK_TCB_MINIMUM, "%s is below what the policy takes of %s",
                                        tcbs[i].name, att_snp_line_name(line));
                        return;
                }
        }
        att_result_pass(result, ATT_CHECK_TCB_MINIMUM, "reported, current, committed and at launch");
}

bool att_snp_appraise(AttResult *result, GBytes *report, GBytes *table, const AttExpected *expected) {
        const AttPolicy *policy = expected->policy;
        g_autoptr(GError) error = NULL;
        AttSnpReport *r = &result->report;

        att_result_require(result, ATT_SNP_CHECKS);
        if (policy && att_policy_has_minimum(policy))
                att_result_require(result, ATT_CHECK_SET(ATT_CHECK_TCB_MINIMUM));
        result->tee_bytes = g_bytes_ref(report);
        if (!att_snp_report_parse(result->tee_bytes, r, &error)) {
                att_result_fail_take(result, ATT_CHECK_QUOTE_FORMAT, g_steal_pointer(&error));
                return false;
        }

        result->kind = ATT_KIND_SNP;
        att_result_pass(result, ATT_CHECK_QUOTE_FORMAT, "SNP report, version %u", r->version);
        for (AttCheckId id = 0; id < ATT_CHECKS; id++)
                if (ATT_TDX_CHECKS & ATT_CHECK_SET(id))
                        att_result_skip(result, id, "an SNP report has no quoting enclave");
        check_signatures(result, r, table, expected);
        check_key(result, r, policy);
        check_debug(result, r);
        check_vmpl(result, r, policy);
        check_attributes(result, r, policy);
        check_minimum(result, r, policy, line_of(result));
        return true;
}
