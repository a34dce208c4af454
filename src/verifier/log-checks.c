/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "verifier/log-checks.h"

#include "codec/event-log.h"
#include "crypto/digest.h"
#include "crypto/event-replay.h"
#include "verifier/ima-history.h"
#include "verifier/tpm.h"

/* So many entries are shown. */
#define RAN_MAX 64u
#define RTMRS_OF_BOOT 3u
/* boot_aggregate is over PCR 0 to 9, of SHA-1 over PCR 0 to 7. */
#define PCRS_OF_BOOT 10u
#define PCRS_OF_BOOT_SHA1 8u

/* Why there is nothing to look at; NULL if there is. */
static char *why_no_ima(const AttResult *result) {
        if (!result->claims)
                return g_strdup("there are no claims, and so nothing is said of an IMA log");
        if (result->claims->ima_state)
                return g_strdup_printf("ima-state: attestd says that its IMA log is %s", result->claims->ima_state);
        if (!result->claims->ima)
                return g_strdup("the evidence says nothing of an IMA log");
        if (result->claims->ima->count == 0)
                return g_strdup("an IMA log without entries: the kernel's has a boot_aggregate");
        return NULL;
}

/* Extensions are held from sealing to the end of the report: the register is the aggregate, exactly. */
static void check_root_rtmr(AttResult *result, const AttImaClaims *ima, const AttImaRules *rules) {
        if (result->kind != ATT_KIND_TDX) {
                att_result_fail(result, ATT_CHECK_IMA_ROOT, "rtmr, but there is no quote with such registers");
                return;
        }
        if (ima->rtmr < 0 || (unsigned) ima->rtmr >= ATT_IMA_RTMRS ||
            !g_str_equal(ima->bank, att_bank_name(ATT_BANK_SHA384)) ||
            g_bytes_get_size(ima->aggregate) != att_bank_size(ATT_BANK_SHA384)) {
                att_result_fail(result, ATT_CHECK_IMA_ROOT, "rtmr, but the claims name no register, or another bank "
                                "than sha384");
                return;
        }
        if (rules->takes_root[ATT_IMA_ROOT_RTMR] && !rules->takes_rtmr[ima->rtmr]) {
                att_result_fail(result, ATT_CHECK_IMA_ROOT, "rtmr: the claims name RTMR %d, which the policy does not",
                                ima->rtmr);
                return;
        }
        if (att_equal(result->quote.rtmr[ima->rtmr], g_bytes_get_data(ima->aggregate, NULL),
                      att_bank_size(ATT_BANK_SHA384)))
                att_result_pass(result, ATT_CHECK_IMA_ROOT, "rtmr: RTMR %d of the quote is the aggregate", ima->rtmr);
        else
                att_result_fail(result, ATT_CHECK_IMA_ROOT, "RTMR %d of the quote is not the aggregate in the claims: "
                                "something else was extended, or the log is another one", ima->rtmr);
}

static bool is_quoted(const uint8_t *aggregate, gconstpointer userdata) {
        return att_tpm_verified_is_over(userdata, aggregate);
}

static bool verify_tpm(AttResult *result, const AttEvidence *evidence, const AttImaClaims *ima, AttTpmVerified *ret) {
        g_autoptr(AttTpmEvidence) tpm = NULL;
        GError *error = NULL;
        AttBank bank;

        if (!evidence->tpm || !evidence->claims || !att_bank_from_name(ima->bank, &bank)) {
                att_result_fail(result, ATT_CHECK_IMA_ROOT, "%s, but there is no quote by a TPM", ima->root);
                return false;
        }
        if (!result->has_r) {
                att_result_skip(result, ATT_CHECK_IMA_ROOT, "what the TPM has to quote for is not known");
                return false;
        }
        tpm = att_tpm_evidence_decode(evidence->tpm, &error);
        if (tpm && att_tpm_quote_verify(tpm, result->r, ima->ak_name, bank, ret, &error))
                return true;
        att_result_fail_take(result, ATT_CHECK_IMA_ROOT, error);
        return false;
}

/* Whose TPM it is only a chain of its key to the TEE could say, which this profile
 * does not carry: so it is one outside, whatever the claims say. */
static AttImaRoot check_root_tpm(AttResult *result, const AttReceived *received, const AttImaClaims *ima,
                                 const AttExpected *expected) {
        const uint8_t *aggregate = g_bytes_get_data(ima->aggregate, NULL);
        AttTpmVerified verified;

        if (!verify_tpm(result, received->evidence, ima, &verified))
                return ATT_IMA_ROOT_TPM_OUTSIDE;
        if (g_bytes_get_size(ima->aggregate) == att_bank_size(verified.bank) && is_quoted(aggregate, &verified))
                att_result_pass(result, ATT_CHECK_IMA_ROOT, "tpm-outside: PCR 10 of the quote is the aggregate");
        else if (!expected->ima_log || result->ima_fit != ATT_IMA_FITS)
                att_result_skip(result, ATT_CHECK_IMA_ROOT, "PCR 10 of the quote is not the aggregate in the claims, "
                                "and the entries between are not there");
        else if (att_ima_history_find(expected->ima_log, ima->count, verified.bank, is_quoted, &verified))
                att_result_pass(result, ATT_CHECK_IMA_ROOT, "tpm-outside: the log continues to PCR 10 of the quote");
        else
                att_result_fail(result, ATT_CHECK_IMA_ROOT, "PCR 10 of the quote is not what the log gives from the "
                                "aggregate on");
        result->is_quoted_by_tpm = att_result_status(result, ATT_CHECK_IMA_ROOT) == ATT_CHECK_PASSED;
        return ATT_IMA_ROOT_TPM_OUTSIDE;
}

/* What the claims call it only says which proof to look for. */
static void check_ima_root(AttResult *result, const AttReceived *received, const AttExpected *expected) {
        const AttImaClaims *ima = result->claims->ima;
        AttImaRoot said, found;

        if (!att_ima_root_from_name(ima->root, &said)) {
                att_result_fail(result, ATT_CHECK_IMA_ROOT, "a root that is not known");
                return;
        }
        found = said;
        switch (said) {
        case ATT_IMA_ROOT_TPM_IN_TEE:
        case ATT_IMA_ROOT_TPM_OUTSIDE:
                found = check_root_tpm(result, received, ima, expected);
                break;
        case ATT_IMA_ROOT_RTMR:
                check_root_rtmr(result, ima, &expected->policy->ima);
                break;
        case ATT_IMA_ROOT_CLAIMED:
                att_result_pass(result, ATT_CHECK_IMA_ROOT, "claimed: only attestd's word");
                break;
        }
        if (!expected->policy->ima.takes_root[found])
                att_result_fail(result, ATT_CHECK_IMA_ROOT, "%s, which the policy does not take",
                                att_ima_root_name(found));
}

static void check_ima_log(AttResult *result, const AttExpected *expected) {
        const AttImaClaims *ima = result->claims->ima;
        g_autofree char *why = NULL;

        if (!expected->ima_log) {
                att_result_fail(result, ATT_CHECK_IMA_LOG, "%s",
                                expected->no_ima_log ? expected->no_ima_log : "the log is not there");
                return;
        }
        result->ima_fit = att_ima_history_fit(expected->ima_log, result->claims->boot_id, ima, &why);
        result->has_ima_fit = true;
        if (result->ima_fit == ATT_IMA_FITS)
                att_result_pass(result, ATT_CHECK_IMA_LOG, "%" G_GUINT64_FORMAT " entries give the aggregate",
                                ima->count);
        else
                att_result_fail(result, ATT_CHECK_IMA_LOG, "%s", why);
}

static void check_ima(AttResult *result, const AttExpected *expected) {
        const AttImaClaims *ima = result->claims->ima;
        const AttImaRules *rules = &expected->policy->ima;
        const AttImaHistory *log = expected->ima_log;
        g_autofree char *refused = NULL;
        const char *missing;

        if (!log || result->ima_fit != ATT_IMA_FITS) {
                att_result_skip(result, ATT_CHECK_IMA, "without the log of this evidence");
                return;
        }
        result->ima_since = att_ima_history_covered(log);
        result->ima_ran = att_ima_history_ran(log, ima->count, RAN_MAX);
        refused = att_ima_history_refused(log, ima->count);
        missing = att_ima_history_missing(log, ima->count);
        if (refused)
                att_result_fail(result, ATT_CHECK_IMA, "%s", refused);
        else if (ima->violations > rules->max_violations)
                att_result_fail(result, ATT_CHECK_IMA, "%" G_GUINT64_FORMAT " violations, but the policy takes %"
                                G_GUINT64_FORMAT, ima->violations, rules->max_violations);
        else if (missing)
                att_result_fail(result, ATT_CHECK_IMA, "no entry of %s that the policy takes", missing);
        else if (att_ima_rules_appraise(rules))
                att_result_pass(result, ATT_CHECK_IMA, "all entries are as the policy says");
        else
                att_result_pass(result, ATT_CHECK_IMA, "the policy says nothing of single entries");
}

static void appraise_ima(AttResult *result, const AttReceived *received, const AttExpected *expected) {
        g_autofree char *why = why_no_ima(result);

        for (AttCheckId id = ATT_CHECK_IMA_ROOT; why && id <= ATT_CHECK_IMA; id++)
                att_result_fail(result, id, "%s", why);
        if (why)
                return;

        /* The root of a TPM needs to know whether the log is the one of the claims. */
        check_ima_log(result, expected);
        check_ima_root(result, received, expected);
        check_ima(result, expected);
}

static bool bank_of_size(size_t size, AttBank *ret) {
        for (AttBank bank = 0; bank < ATT_BANKS; bank++)
                if (att_bank_size(bank) == size) {
                        *ret = bank;
                        return true;
                }
        return false;
}

static unsigned pcrs_of_boot(AttBank bank) {
        return bank == ATT_BANK_SHA1 ? PCRS_OF_BOOT_SHA1 : PCRS_OF_BOOT;
}

/* What of the boot's registers something vouches for. */
typedef struct BootRoot {
        AttBank bank;
        unsigned registers; /* of them the first so many */
        bool is_td;
        GBytes *boot_aggregate; /* not a TD: first entry of the IMA log, which a TPM's quote covers */
} BootRoot;

static void boot_root_clear(BootRoot *root) {
        g_clear_pointer(&root->boot_aggregate, g_bytes_unref);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(BootRoot, boot_root_clear)

static bool has_quoted_log(const AttResult *result, const AttExpected *expected) {
        return expected->ima_log && result->has_ima_fit && result->ima_fit == ATT_IMA_FITS && result->is_quoted_by_tpm;
}

static bool find_boot_root(const AttResult *result, const AttExpected *expected, BootRoot *ret) {
        if (result->kind == ATT_KIND_TDX) {
                *ret = (BootRoot) { .bank = ATT_BANK_SHA384, .registers = RTMRS_OF_BOOT, .is_td = true };
                return true;
        }
        if (!has_quoted_log(result, expected))
                return false;
        ret->boot_aggregate = att_ima_history_boot_aggregate(expected->ima_log, result->claims->ima->count);
        if (!ret->boot_aggregate || !bank_of_size(g_bytes_get_size(ret->boot_aggregate), &ret->bank))
                return false;
        ret->registers = pcrs_of_boot(ret->bank);
        return true;
}

/* A digest of zeros is that of a kernel without a TPM. */
static bool gives_boot_aggregate(const AttEventReplay *replay, const BootRoot *root) {
        AttPart parts[PCRS_OF_BOOT];
        uint8_t digest[ATT_BANK_SIZE_MAX];

        for (unsigned i = 0; i < root->registers; i++)
                parts[i] = (AttPart) { att_event_replay_register(replay, i, root->bank), att_bank_size(root->bank) };
        att_bank_digest_parts(root->bank, parts, root->registers, digest);
        return att_equal(digest, g_bytes_get_data(root->boot_aggregate, NULL), att_bank_size(root->bank));
}

static bool check_boot_replay(AttResult *result, const AttExpected *expected, const BootRoot *root) {
        g_autoptr(AttEventReplay) replay = NULL;
        GError *error = NULL;
        unsigned number;

        replay = att_event_replay_run(expected->boot_log, ATT_BANK_SET(root->bank), &error);
        if (!replay) {
                att_result_fail_take(result, ATT_CHECK_BOOT_LOG, error);
                return false;
        }
        if (att_event_replay_falsehoods(replay, &number) > 0) {
                att_result_fail(result, ATT_CHECK_BOOT_LOG, "event %u: its digest is not that of its data, as its type "
                                "has it", number);
                return false;
        }
        if (root->is_td) {
                if (att_event_replay_gives_rtmrs(replay, result->quote.rtmr, &error))
                        return true;
                att_result_fail_take(result, ATT_CHECK_BOOT_LOG, error);
                return false;
        }
        if (gives_boot_aggregate(replay, root))
                return true;
        att_result_fail(result, ATT_CHECK_BOOT_LOG, "it does not give the boot_aggregate that the TPM's quote covers");
        return false;
}

/* What the boot has extended a register by; compared as a whole. */
typedef struct Extension {
        uint32_t reg;
        uint8_t digest[ATT_BANK_SIZE_MAX];
} Extension;
G_STATIC_ASSERT(sizeof(Extension) == sizeof(uint32_t) + ATT_BANK_SIZE_MAX);

static Extension extension_by(uint32_t reg, AttBank bank, const uint8_t *digest) {
        Extension extension = { .reg = reg };

        memcpy(extension.digest, digest, att_bank_size(bank));
        return extension;
}

static int compare_extensions(gconstpointer a, gconstpointer b) {
        return memcmp(a, b, sizeof(Extension));
}

/* Sorted, of a log that replays: rules and events may both be tens of thousands, and all others wait. */
static GArray *extensions_of(GBytes *bytes, AttBank bank) {
        GArray *all = g_array_new(FALSE, FALSE, sizeof(Extension));
        AttEventLog log;
        AttEvent event;

        if (!att_event_log_open(&log, att_cursor_bytes(bytes), NULL))
                return all;
        while (att_event_log_next(&log, &event, NULL) == ATT_EVENT_READ)
                if (event.type != ATT_EVENT_NO_ACTION && event.digests[bank]) {
                        Extension extension = extension_by(event.reg, bank, event.digests[bank]);

                        g_array_append_val(all, extension);
                }
        g_array_sort(all, compare_extensions);
        return all;
}

static bool check_boot_event(AttResult *result, GArray *extensions, const BootRoot *root,
                             const AttBootEventRule *rule) {
        const char *name = root->is_td ? "RTMR" : "PCR";
        uint32_t reg = root->is_td ? ATT_EVENT_RTMR(rule->index) : rule->index;
        Extension wanted = extension_by(reg, rule->digest.algorithm, rule->digest.digest);

        if (rule->index >= root->registers || rule->digest.algorithm != root->bank)
                att_result_fail(result, ATT_CHECK_BOOT_LOG, "%s %u in %s is nothing that the log can be held against: "
                                "only 0 to %u in %s", name, rule->index, att_bank_name(rule->digest.algorithm),
                                root->registers - 1, att_bank_name(root->bank));
        else if (!g_array_binary_search(extensions, &wanted, compare_extensions, NULL))
                att_result_fail(result, ATT_CHECK_BOOT_LOG, "%s %u has not the event with the digest %02x%02x%02x%02x… "
                                "of the policy", name, rule->index, rule->digest.digest[0], rule->digest.digest[1],
                                rule->digest.digest[2], rule->digest.digest[3]);
        else
                return true;
        return false;
}

static bool is_claimed_boot_log(const AttResult *result, GBytes *log) {
        GBytes *claimed = result->claims ? result->claims->boot_digest : NULL;
        gsize size;
        AttPart part = { .data = g_bytes_get_data(log, &size) };
        uint8_t digest[ATT_SHA256_SIZE];

        part.size = size;
        att_sha256(&part, 1, digest);
        return !claimed || (g_bytes_get_size(claimed) == sizeof digest &&
                            att_equal(g_bytes_get_data(claimed, NULL), digest, sizeof digest));
}

static void appraise_boot_log(AttResult *result, const AttExpected *expected) {
        const GArray *events = expected->policy->boot_events;
        g_autoptr(GArray) extensions = NULL;
        g_auto(BootRoot) root = { 0 };

        if (!expected->boot_log) {
                att_result_fail(result, ATT_CHECK_BOOT_LOG, "the log is not there");
                return;
        }
        if (result->kind == ATT_KIND_NONE) {
                att_result_skip(result, ATT_CHECK_BOOT_LOG, "there is no quote");
                return;
        }
        if (!is_claimed_boot_log(result, expected->boot_log)) {
                att_result_fail(result, ATT_CHECK_BOOT_LOG, "not the log whose digest is in the claims");
                return;
        }
        if (!find_boot_root(result, expected, &root)) {
                att_result_fail(result, ATT_CHECK_BOOT_LOG, "nothing vouches for it: neither registers of a TD, nor an "
                                "IMA log that a TPM has quoted");
                return;
        }
        if (!check_boot_replay(result, expected, &root))
                return;
        extensions = events->len > 0 ? extensions_of(expected->boot_log, root.bank) : NULL;
        for (guint i = 0; i < events->len; i++)
                if (!check_boot_event(result, extensions, &root, &g_array_index(events, AttBootEventRule, i)))
                        return;
        att_result_pass(result, ATT_CHECK_BOOT_LOG, "it gives %s", root.is_td ? "RTMR 0 to 2 of the quote" :
                        "the boot_aggregate that the TPM's quote covers");
}

void att_logs_appraise(AttResult *result, const AttReceived *received, const AttExpected *expected) {
        const AttPolicy *policy = expected->policy;

        if (policy && policy->ima.is_there)
                appraise_ima(result, received, expected);
        for (AttCheckId id = ATT_CHECK_IMA_ROOT; !(policy && policy->ima.is_there) && id <= ATT_CHECK_IMA; id++)
                att_result_skip(result, id, policy ? "the policy has no rule for the IMA log" : "there is no policy");
        if (policy && policy->needs_boot_log)
                appraise_boot_log(result, expected);
        else
                att_result_skip(result, ATT_CHECK_BOOT_LOG,
                                policy ? "the policy has no rule for it" : "there is no policy");
}
