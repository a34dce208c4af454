/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "verifier/policy.h"

#include "codec/claims.h"
#include "util/error.h"
#include "util/io.h"
#include "verifier/policy-rules.h"

#include <fcntl.h>

#define VERSION_LINE "attestd-policy 1"
#define TOKENS_MAX 16u
#define QUOTED_MAX 40
#define MAX_AGE_DEFAULT_S 60u
#define MAX_AGE_MAX_S 3600u
#define UNIT_SIZE_MAX 255u
#define PPID_SIZE 16u
#define CSP_ID_MAX 127u
#define SPKI_DIGEST_SIZE 32u
#define IMA_VIOLATIONS_MAX 1000000000u

/* SHA-256 of the SubjectPublicKeyInfo of Intel's SGX Root CA. */
static const uint8_t intel_root[SPKI_DIGEST_SIZE] = {
        0xa0, 0xaf, 0x03, 0x12, 0x89, 0xf5, 0xd5, 0xd4, 0x13, 0x2f, 0x91, 0x86, 0x06, 0x8a, 0x7f, 0xc1,
        0x36, 0x28, 0x63, 0x3b, 0xa2, 0x35, 0x77, 0x74, 0x72, 0xe2, 0x9b, 0x6b, 0x6c, 0x67, 0xa4, 0x9e,
};

/* The same of AMD's root keys, which issue the certificates of VCEKs and of VLEKs. */
static const struct {
        const char *word;
        AttSnpLine line;
        uint8_t root[SPKI_DIGEST_SIZE];
} amd_lines[] = {
        { "milan", ATT_SNP_LINE_MILAN,
          { 0x9f, 0x05, 0x6b, 0xee, 0x44, 0x37, 0x7e, 0x29, 0x30, 0x8c, 0xb5, 0xff, 0xa8, 0x95, 0xbd, 0xfb,
            0x62, 0xd1, 0x88, 0x81, 0xfa, 0x6b, 0xed, 0x8d, 0x6f, 0x07, 0x5b, 0x02, 0x04, 0x08, 0x9c, 0xb9 } },
        { "genoa", ATT_SNP_LINE_GENOA,
          { 0x42, 0x9a, 0x69, 0xc9, 0x42, 0x2a, 0xa2, 0x58, 0xee, 0x4d, 0x8d, 0xb5, 0xfc, 0xda, 0x9c, 0x64,
            0x70, 0xef, 0x15, 0xf8, 0xcd, 0x5a, 0x9c, 0xeb, 0xd6, 0xcb, 0xc7, 0xd9, 0x0b, 0x86, 0x38, 0x31 } },
        { "turin", ATT_SNP_LINE_TURIN,
          { 0x4f, 0x12, 0x54, 0x10, 0x56, 0x3a, 0x2a, 0xb9, 0xa5, 0x03, 0x56, 0xf9, 0x24, 0x3f, 0x6f, 0xe0,
            0xb6, 0xf7, 0x3d, 0xe9, 0x86, 0x03, 0xf5, 0x3f, 0x90, 0x33, 0x9c, 0x70, 0xe9, 0xd7, 0xad, 0x08 } },
};

static const char *const kind_names[ATT_KINDS] = { [ATT_KIND_TDX] = "tdx", [ATT_KIND_SNP] = "snp" };

static const struct {
        const char *name;
        AttTeeKind kind;
        size_t size;
} registers[ATT_BOOT_REGISTERS] = {
        [ATT_BOOT_MRTD] = { "mrtd", ATT_KIND_TDX, 48 },
        [ATT_BOOT_RTMR0] = { "rtmr0", ATT_KIND_TDX, 48 },
        [ATT_BOOT_RTMR1] = { "rtmr1", ATT_KIND_TDX, 48 },
        [ATT_BOOT_RTMR2] = { "rtmr2", ATT_KIND_TDX, 48 },
        [ATT_BOOT_RTMR3] = { "rtmr3", ATT_KIND_TDX, 48 },
        [ATT_BOOT_MRCONFIGID] = { "mrconfigid", ATT_KIND_TDX, 48 },
        [ATT_BOOT_MROWNER] = { "mrowner", ATT_KIND_TDX, 48 },
        [ATT_BOOT_MROWNERCONFIG] = { "mrownerconfig", ATT_KIND_TDX, 48 },
        [ATT_BOOT_MRSEAM] = { "mrseam", ATT_KIND_TDX, 48 },
        [ATT_BOOT_MEASUREMENT] = { "measurement", ATT_KIND_SNP, 48 },
        [ATT_BOOT_HOST_DATA] = { "host-data", ATT_KIND_SNP, 32 },
        [ATT_BOOT_ID_KEY_DIGEST] = { "id-key-digest", ATT_KIND_SNP, 48 },
        [ATT_BOOT_AUTHOR_KEY_DIGEST] = { "author-key-digest", ATT_KIND_SNP, 48 },
        [ATT_BOOT_FAMILY_ID] = { "family-id", ATT_KIND_SNP, 16 },
        [ATT_BOOT_IMAGE_ID] = { "image-id", ATT_KIND_SNP, 16 },
};

static const char *const weakness_names[ATT_WEAKNESSES] = {
        [ATT_WEAKNESS_SEPT_VE_DISABLE_OFF] = "sept-ve-disable-off",
        [ATT_WEAKNESS_MIGRATABLE] = "migratable",
        [ATT_WEAKNESS_SERVICE_TD] = "service-td",
        [ATT_WEAKNESS_MIGRATION_AGENT] = "migration-agent",
        [ATT_WEAKNESS_MASKED_CHIP_ID] = "masked-chip-id",
        [ATT_WEAKNESS_CXL] = "cxl",
};

static const char *const demand_names[ATT_PLATFORM_DEMANDS] = {
        [ATT_PLATFORM_SMT_OFF] = "smt-off",
        [ATT_PLATFORM_TSME] = "tsme",
        [ATT_PLATFORM_ECC] = "ecc",
        [ATT_PLATFORM_RAPL_DISABLED] = "rapl-disabled",
        [ATT_PLATFORM_CIPHERTEXT_HIDING] = "ciphertext-hiding",
        [ATT_PLATFORM_ALIAS_CHECK] = "alias-check",
};

static const char *const ima_root_names[ATT_IMA_ROOTS] = {
        [ATT_IMA_ROOT_TPM_IN_TEE] = "tpm-in-tee",
        [ATT_IMA_ROOT_TPM_OUTSIDE] = "tpm-outside",
        [ATT_IMA_ROOT_RTMR] = "rtmr",
        [ATT_IMA_ROOT_CLAIMED] = "claimed",
};

static const struct {
        const char *word;
        const char *profile;
        bool has_caller;
} profiles[] = {
        { "evidence/1", ATT_PROFILE_EVIDENCE, true },
        { "expat-pad", ATT_PROFILE_EXPAT_PAD, false },
        { "cocos", ATT_PROFILE_COCOS, false },
};

const char *att_kind_name(AttTeeKind kind) {
        return kind_names[kind];
}

const char *att_boot_register_name(AttBootRegister r) {
        return registers[r].name;
}

size_t att_boot_register_size(AttBootRegister r) {
        return registers[r].size;
}

const char *att_weakness_name(AttWeakness w) {
        return weakness_names[w];
}

const char *att_platform_demand_name(AttPlatformDemand demand) {
        return demand_names[demand];
}

const char *att_ima_root_name(AttImaRoot root) {
        return ima_root_names[root];
}

bool att_ima_root_from_name(const char *name, AttImaRoot *ret) {
        for (AttImaRoot root = 0; root < ATT_IMA_ROOTS; root++)
                if (g_str_equal(name, ima_root_names[root])) {
                        *ret = root;
                        return true;
                }
        return false;
}

static void boot_rule_free(gpointer data) {
        AttBootRule *rule = data;

        for (gsize i = 0; i < ATT_BOOT_REGISTERS; i++)
                g_free(rule->values[i]);
        g_free(rule);
}
G_DEFINE_AUTOPTR_CLEANUP_FUNC(AttBootRule, boot_rule_free)

static void workload_rule_free(gpointer data) {
        AttWorkloadRule *rule = data;

        g_free(rule->unit);
        g_free(rule);
}
G_DEFINE_AUTOPTR_CLEANUP_FUNC(AttWorkloadRule, workload_rule_free)

static void allow_rule_clear(gpointer data) {
        AttImaAllowRule *rule = data;

        g_free(rule->path);
}

static void ima_rules_init(AttImaRules *rules) {
        rules->allowed = g_array_new(FALSE, FALSE, sizeof(AttImaAllowRule));
        g_array_set_clear_func(rules->allowed, allow_rule_clear);
        rules->excluded = g_ptr_array_new_with_free_func(g_free);
        rules->keys = g_ptr_array_new_with_free_func((GDestroyNotify) att_key_free);
        rules->required = g_ptr_array_new_with_free_func(g_free);
}

static void ima_rules_clear(AttImaRules *rules) {
        g_array_unref(rules->allowed);
        g_ptr_array_unref(rules->excluded);
        g_ptr_array_unref(rules->keys);
        g_ptr_array_unref(rules->required);
}

static AttPolicy *policy_new(void) {
        AttPolicy *policy = g_new0(AttPolicy, 1);

        g_atomic_ref_count_init(&policy->refs);
        policy->profiles = g_ptr_array_new();
        policy->workloads = g_ptr_array_new_with_free_func(workload_rule_free);
        policy->boots = g_ptr_array_new_with_free_func(boot_rule_free);
        policy->needs_collateral = true;
        for (gsize i = 0; i < ATT_KINDS; i++)
                policy->roots[i] = g_ptr_array_new_with_free_func((GDestroyNotify) g_bytes_unref);
        policy->ppids = g_ptr_array_new_with_free_func((GDestroyNotify) g_bytes_unref);
        policy->chip_ids = g_ptr_array_new_with_free_func((GDestroyNotify) g_bytes_unref);
        policy->csp_ids = g_ptr_array_new_with_free_func(g_free);
        policy->max_age_s = MAX_AGE_DEFAULT_S;
        ima_rules_init(&policy->ima);
        policy->boot_events = g_array_new(FALSE, FALSE, sizeof(AttBootEventRule));
        return policy;
}

AttPolicy *att_policy_ref(AttPolicy *policy) {
        g_atomic_ref_count_inc(&policy->refs);
        return policy;
}

void att_policy_unref(AttPolicy *policy) {
        if (!policy || !g_atomic_ref_count_dec(&policy->refs))
                return;

        g_ptr_array_unref(policy->profiles);
        g_ptr_array_unref(policy->workloads);
        g_ptr_array_unref(policy->boots);
        for (gsize i = 0; i < ATT_KINDS; i++)
                g_ptr_array_unref(policy->roots[i]);
        g_ptr_array_unref(policy->ppids);
        g_ptr_array_unref(policy->chip_ids);
        g_ptr_array_unref(policy->csp_ids);
        ima_rules_clear(&policy->ima);
        g_array_unref(policy->boot_events);
        g_free(policy);
}

static int compare_paths(const char *a, size_t a_size, const char *b, size_t b_size) {
        int d = memcmp(a, b, MIN(a_size, b_size));

        return d ? d : (a_size > b_size) - (a_size < b_size);
}

static int compare_allowed(gconstpointer a, gconstpointer b) {
        const AttImaAllowRule *x = a, *y = b;

        return compare_paths(x->path, x->path_size, y->path, y->path_size);
}

static int compare_required(gconstpointer a, gconstpointer b) {
        return strcmp(*(const char *const *) a, *(const char *const *) b);
}

bool att_ima_rules_appraise(const AttImaRules *rules) {
        return rules->allowed->len > 0 || rules->keys->len > 0 || rules->required->len > 0;
}

static int compare_allowed_at(const AttImaRules *rules, guint i, AttCursor path) {
        const AttImaAllowRule *rule = &g_array_index(rules->allowed, AttImaAllowRule, i);

        return compare_paths(rule->path, rule->path_size, (const char *) path.at, path.left);
}

const AttImaAllowRule *att_ima_rules_allowed(const AttImaRules *rules, AttCursor path, guint *ret_n) {
        guint low = 0, high = rules->allowed->len, end;

        if (path.left == 0)
                return NULL;
        while (low < high) {
                guint middle = low + (high - low) / 2;

                if (compare_allowed_at(rules, middle, path) < 0)
                        low = middle + 1;
                else
                        high = middle;
        }
        for (end = low; end < rules->allowed->len && compare_allowed_at(rules, end, path) == 0; end++)
                ;
        if (end == low)
                return NULL;
        *ret_n = end - low;
        return &g_array_index(rules->allowed, AttImaAllowRule, low);
}

bool att_ima_rules_exclude(const AttImaRules *rules, AttCursor path) {
        for (guint i = 0; i < rules->excluded->len; i++) {
                const char *prefix = rules->excluded->pdata[i];
                size_t size = strlen(prefix);

                if (path.left >= size && memcmp(path.at, prefix, size) == 0)
                        return true;
        }
        return false;
}

int att_ima_rules_required(const AttImaRules *rules, AttCursor path) {
        guint low = 0, high = rules->required->len;

        while (path.left > 0 && low < high) {
                guint middle = low + (high - low) / 2;
                const char *wanted = rules->required->pdata[middle];
                int d = compare_paths(wanted, strlen(wanted), (const char *) path.at, path.left);

                if (d == 0)
                        return (int) middle;
                if (d < 0)
                        low = middle + 1;
                else
                        high = middle;
        }
        return -1;
}

bool att_policy_needs_ima_log(const AttPolicy *policy) {
        return policy->ima.is_there;
}

/* In which entry each path was taken. */
gsize att_policy_session_bytes(const AttPolicy *policy) {
        return policy->ima.required->len * sizeof(guint64);
}

bool att_policy_takes_profile(const AttPolicy *policy, const char *profile) {
        for (guint i = 0; i < policy->profiles->len; i++)
                if (g_str_equal(policy->profiles->pdata[i], profile))
                        return true;
        return false;
}

bool att_policy_names_machines(const AttPolicy *policy) {
        return policy->ppids->len > 0 || policy->chip_ids->len > 0 || policy->csp_ids->len > 0;
}

bool att_policy_has_minimum(const AttPolicy *policy) {
        for (gsize i = 0; i < ATT_SNP_LINES; i++)
                if (policy->has_minimum[i])
                        return true;
        return false;
}

/* A word of a line, and one line. Both borrow from the text. */
typedef struct Word {
        const char *at;
        size_t size;
} Word;

typedef struct Parser {
        const char *name;
        AttPolicy *policy;
        GHashTable *seen;    /* of char *: rules, and the keys that may be there once */
        guint n_rules;

        guint line;
        const char *line_start;
        Word words[TOKENS_MAX];
        size_t n_words;
        const char *line_end; /* where a missing word would be */
} Parser;

/* Column in characters, from 1. */
static G_GNUC_PRINTF(4, 5) gboolean fail_at(const Parser *p, const char *where, GError **error,
                                           const char *format, ...) {
        g_autofree char *what = NULL;
        va_list ap;

        va_start(ap, format);
        what = g_strdup_vprintf(format, ap);
        va_end(ap);
        return att_error_set(error, ATT_ERROR_INVALID_ARGUMENT, "%s:%u:%ld: %s", p->name, p->line,
                             g_utf8_strlen(p->line_start, where - p->line_start) + 1, what);
}

/* The word itself, for a message. */
static char *quoted(const Word *word) {
        const char *end = word->at;

        for (int i = 0; i < QUOTED_MAX && end < word->at + word->size; i++)
                end = g_utf8_next_char(end);
        return g_strdup_printf("\"%.*s\"%s", (int) (end - word->at), word->at,
                               end < word->at + word->size ? "…" : "");
}

static gboolean fail_expected(const Parser *p, size_t i, const char *expected, GError **error) {
        g_autofree char *found = NULL;

        if (i >= p->n_words)
                return fail_at(p, p->line_end, error, "expected %s", expected);
        found = quoted(&p->words[i]);
        return fail_at(p, p->words[i].at, error, "expected %s, not %s", expected, found);
}

static bool word_is(const Word *word, const char *text) {
        return strlen(text) == word->size && memcmp(word->at, text, word->size) == 0;
}

static bool has_word(const Parser *p, size_t i, const char *text) {
        return i < p->n_words && word_is(&p->words[i], text);
}

static gboolean expect_end(const Parser *p, size_t n, GError **error) {
        return p->n_words <= n || fail_expected(p, n, "the end of the line", error);
}

/* Decimal, no sign, no zero in front. */
static bool read_number(const Word *word, uint64_t min, uint64_t max, uint64_t *ret) {
        uint64_t v = 0;

        if (word->size == 0 || word->size > 10 || (word->at[0] == '0' && word->size > 1))
                return false;
        for (size_t i = 0; i < word->size; i++) {
                if (!g_ascii_isdigit(word->at[i]))
                        return false;
                v = v * 10 + (uint64_t) g_ascii_digit_value(word->at[i]);
        }
        if (v < min || v > max)
                return false;
        *ret = v;
        return true;
}

/* Exactly @size bytes in hexadecimal; NULL otherwise. */
static uint8_t *read_hex(const Word *word, size_t size) {
        g_autofree uint8_t *bytes = NULL;

        if (word->size != 2 * size)
                return NULL;
        bytes = g_malloc(size);
        for (size_t i = 0; i < size; i++) {
                int high = g_ascii_xdigit_value(word->at[2 * i]);
                int low = g_ascii_xdigit_value(word->at[2 * i + 1]);

                if (high < 0 || low < 0)
                        return NULL;
                bytes[i] = (uint8_t) (high << 4 | low);
        }
        return g_steal_pointer(&bytes);
}

/* profile evidence/1|expat-pad|cocos */
static gboolean read_profile(Parser *p, GError **error) {
        for (gsize i = 0; i < G_N_ELEMENTS(profiles); i++)
                if (has_word(p, 1, profiles[i].word)) {
                        g_ptr_array_add(p->policy->profiles, (gpointer) profiles[i].profile);
                        return expect_end(p, 2, error);
                }
        return fail_expected(p, 1, "a profile: evidence/1, expat-pad or cocos", error);
}

/* The TEE that word @i names; ATT_KIND_NONE if it names none. */
static AttTeeKind kind_at(const Parser *p, size_t i) {
        for (AttTeeKind kind = ATT_KIND_TDX; kind <= ATT_KIND_SNP; kind++)
                if (has_word(p, i, kind_names[kind]))
                        return kind;
        return ATT_KIND_NONE;
}

/* tee tdx|snp */
static gboolean read_tee(Parser *p, GError **error) {
        AttTeeKind kind = kind_at(p, 1);

        if (kind == ATT_KIND_NONE)
                return fail_expected(p, 1, "a TEE: tdx or snp", error);
        p->policy->takes[kind] = true;
        return expect_end(p, 2, error);
}

/* peer any */
static gboolean read_peer(Parser *p, GError **error) {
        if (!has_word(p, 1, "any"))
                return fail_expected(p, 1, "\"any\"", error);
        p->policy->any_peer = true;
        return expect_end(p, 2, error);
}

/* systemd.unit(5); only a service runs a caller that this can name */
static bool is_service_name(const Word *word) {
        static const char suffix[] = ".service";
        size_t stem = word->size - MIN(word->size, sizeof suffix - 1);

        if (stem == 0 || word->size > UNIT_SIZE_MAX || memcmp(word->at + stem, suffix, sizeof suffix - 1) != 0)
                return false;
        for (size_t i = 0; i < word->size; i++)
                if (!g_ascii_isalnum(word->at[i]) && !memchr(":_.\\@-", word->at[i], 6))
                        return false;
        return true;
}

/* workload any | workload unit NAME [uid N] */
static gboolean read_workload(Parser *p, GError **error) {
        g_autoptr(AttWorkloadRule) rule = NULL;
        uint64_t uid;

        if (has_word(p, 1, "any")) {
                p->policy->any_workload = true;
                if (p->policy->workloads->len > 0)
                        return fail_at(p, p->words[1].at, error, "\"any\" after a workload that was named");
                return expect_end(p, 2, error);
        }
        if (!has_word(p, 1, "unit"))
                return fail_expected(p, 1, "\"any\" or \"unit\"", error);
        if (p->n_words < 3 || !is_service_name(&p->words[2]))
                return fail_expected(p, 2, "the name of a unit, such as payroll.service", error);
        if (p->policy->any_workload)
                return fail_at(p, p->words[1].at, error, "a workload is named after \"workload any\"");

        rule = g_new0(AttWorkloadRule, 1);
        rule->unit = g_strndup(p->words[2].at, p->words[2].size);
        if (p->n_words > 3) {
                if (!has_word(p, 3, "uid"))
                        return fail_expected(p, 3, "\"uid\" or the end of the line", error);
                if (p->n_words < 5 || !read_number(&p->words[4], 0, UINT32_MAX - 1, &uid))
                        return fail_expected(p, 4, "a uid", error);
                rule->has_uid = true;
                rule->uid = (uint32_t) uid;
        }
        g_ptr_array_add(p->policy->workloads, g_steal_pointer(&rule));
        return expect_end(p, 5, error);
}

/* boot mrtd=HEX [rtmr0=HEX …] | boot measurement=HEX [host-data=HEX …] */
static gboolean read_boot(Parser *p, GError **error) {
        g_autoptr(AttBootRule) rule = g_new0(AttBootRule, 1);
        AttTeeKind kind = ATT_KIND_NONE;

        for (size_t i = 1; i < p->n_words; i++) {
                const char *equals = memchr(p->words[i].at, '=', p->words[i].size);
                Word key = { .at = p->words[i].at, .size = equals ? (size_t) (equals - p->words[i].at) : 0 };
                gsize r = 0;

                while (r < ATT_BOOT_REGISTERS && !word_is(&key, registers[r].name))
                        r++;
                if (r == ATT_BOOT_REGISTERS)
                        return fail_expected(p, i, "a register, such as mrtd=HEX, rtmr2=HEX or measurement=HEX", error);
                if (rule->values[r])
                        return fail_at(p, key.at, error, "%s is there twice", registers[r].name);
                if (kind != ATT_KIND_NONE && registers[r].kind != kind)
                        return fail_at(p, key.at, error, "%s is of %s, but what is before it of %s", registers[r].name,
                                       kind_names[registers[r].kind], kind_names[kind]);
                kind = registers[r].kind;

                Word value = { .at = equals + 1, .size = p->words[i].size - key.size - 1 };
                rule->values[r] = read_hex(&value, registers[r].size);
                if (!rule->values[r])
                        return fail_at(p, value.at, error, "expected %zu bytes in %zu hexadecimal digits",
                                       registers[r].size, 2 * registers[r].size);
        }

        /* All that runs later is measured by what these measure. */
        if (kind == ATT_KIND_SNP && !rule->values[ATT_BOOT_MEASUREMENT])
                return fail_at(p, p->line_end, error, "expected measurement=HEX: the other fields mean nothing "
                               "without it");
        if (kind != ATT_KIND_SNP && !rule->values[ATT_BOOT_MRTD])
                return fail_at(p, p->line_end, error, "expected mrtd=HEX: the other registers mean nothing without it");
        g_ptr_array_add(p->policy->boots, g_steal_pointer(&rule));
        return TRUE;
}

/* collateral not-required */
static gboolean read_collateral(Parser *p, GError **error) {
        if (!has_word(p, 1, "not-required"))
                return fail_expected(p, 1, "\"not-required\"", error);
        p->policy->needs_collateral = false;
        return expect_end(p, 2, error);
}

static void add_root(AttPolicy *policy, AttTeeKind kind, const uint8_t digest[SPKI_DIGEST_SIZE]) {
        g_ptr_array_add(policy->roots[kind], g_bytes_new(digest, SPKI_DIGEST_SIZE));
}

/* The product line of AMD that word @i names; -1 if it names none. */
static int amd_line_at(const Parser *p, size_t i) {
        for (gsize k = 0; k < G_N_ELEMENTS(amd_lines); k++)
                if (has_word(p, i, amd_lines[k].word))
                        return (int) k;
        return -1;
}

static void add_amd_roots(AttPolicy *policy) {
        for (gsize i = 0; i < G_N_ELEMENTS(amd_lines); i++)
                add_root(policy, ATT_KIND_SNP, amd_lines[i].root);
}

/* root tdx intel|HEX | root snp amd|milan|genoa|turin|HEX */
static gboolean read_root(Parser *p, GError **error) {
        AttTeeKind kind = kind_at(p, 1);
        g_autofree uint8_t *digest = NULL;
        int line = amd_line_at(p, 2);

        if (kind == ATT_KIND_NONE)
                return fail_expected(p, 1, "a TEE: tdx or snp", error);
        if (kind == ATT_KIND_TDX && has_word(p, 2, "intel")) {
                add_root(p->policy, kind, intel_root);
        } else if (kind == ATT_KIND_SNP && has_word(p, 2, "amd")) {
                add_amd_roots(p->policy);
        } else if (kind == ATT_KIND_SNP && line >= 0) {
                add_root(p->policy, kind, amd_lines[line].root);
        } else {
                if (p->n_words > 2)
                        digest = read_hex(&p->words[2], SPKI_DIGEST_SIZE);
                if (!digest)
                        return fail_expected(p, 2, kind == ATT_KIND_TDX ?
                                             "\"intel\", or the SHA-256 of a root's SubjectPublicKeyInfo in 64 "
                                             "hexadecimal digits" :
                                             "\"amd\", \"milan\", \"genoa\", \"turin\", or the SHA-256 of a root's "
                                             "SubjectPublicKeyInfo in 64 hexadecimal digits", error);
                add_root(p->policy, kind, digest);
        }
        return expect_end(p, 3, error);
}

/* A chip has 64 bytes; Turin's has 8, and the field of a report is filled up with zeros. */
static gboolean read_chip_id(Parser *p, GError **error) {
        uint8_t id[ATT_SNP_CHIP_ID_SIZE] = { 0 };
        g_autofree uint8_t *whole = NULL, *part = NULL;
        bool any = false;

        if (p->n_words > 2) {
                whole = read_hex(&p->words[2], sizeof id);
                part = read_hex(&p->words[2], ATT_SNP_SHORT_HWID_SIZE);
        }
        if (whole)
                memcpy(id, whole, sizeof id);
        else if (part)
                memcpy(id, part, ATT_SNP_SHORT_HWID_SIZE);
        else
                return fail_expected(p, 2, "a chip id in 128 hexadecimal digits, or in 16 of Turin", error);
        for (gsize i = 0; i < sizeof id; i++)
                any |= id[i] != 0;
        if (!any)
                return fail_at(p, p->words[2].at, error,
                               "a chip id of zeros is one that is masked: it names no machine");
        g_ptr_array_add(p->policy->chip_ids, g_bytes_new(id, sizeof id));
        return TRUE;
}

/* machine ppid HEX | machine chip-id HEX | machine csp-id NAME */
static gboolean read_machine(Parser *p, GError **error) {
        g_autofree uint8_t *ppid = NULL;

        if (has_word(p, 1, "ppid")) {
                if (p->n_words > 2)
                        ppid = read_hex(&p->words[2], PPID_SIZE);
                if (!ppid)
                        return fail_expected(p, 2, "a PPID in 32 hexadecimal digits", error);
                g_ptr_array_add(p->policy->ppids, g_bytes_new_take(g_steal_pointer(&ppid), PPID_SIZE));
        } else if (has_word(p, 1, "chip-id")) {
                if (!read_chip_id(p, error))
                        return FALSE;
        } else if (has_word(p, 1, "csp-id")) {
                if (p->n_words < 3 || p->words[2].size > CSP_ID_MAX)
                        return fail_expected(p, 2, "the CSP_ID of a VLEK certificate, of 127 bytes at most", error);
                g_ptr_array_add(p->policy->csp_ids, g_strndup(p->words[2].at, p->words[2].size));
        } else {
                return fail_expected(p, 1, "\"ppid\", \"chip-id\" or \"csp-id\"", error);
        }
        return expect_end(p, 3, error);
}

/* vmpl N */
static gboolean read_vmpl(Parser *p, GError **error) {
        uint64_t vmpl;

        if (p->n_words < 2 || !read_number(&p->words[1], 0, ATT_SNP_VMPLS - 1, &vmpl))
                return fail_expected(p, 1, "a VMPL, 0 to 3", error);
        p->policy->takes_vmpl[vmpl] = true;
        return expect_end(p, 2, error);
}

/* platform snp smt-off|tsme|ecc|rapl-disabled|ciphertext-hiding|alias-check */
static gboolean read_platform(Parser *p, GError **error) {
        if (kind_at(p, 1) != ATT_KIND_SNP)
                return fail_expected(p, 1, "a TEE: snp", error);
        for (gsize i = 0; i < ATT_PLATFORM_DEMANDS; i++)
                if (has_word(p, 2, demand_names[i])) {
                        p->policy->demands[i] = true;
                        return expect_end(p, 3, error);
                }
        return fail_expected(p, 2, "what to demand: smt-off, tsme, ecc, rapl-disabled, ciphertext-hiding or "
                             "alias-check", error);
}

/* One PART>=N of @line. */
static gboolean read_minimum(Parser *p, size_t i, AttSnpLine line, AttSnpTcb *ret, bool seen[], GError **error) {
        const struct {
                const char *name;
                uint8_t *svn;
        } parts[] = {
                { "fmc", &ret->fmc }, { "bootloader", &ret->bootloader }, { "tee", &ret->tee },
                { "snp", &ret->snp }, { "microcode", &ret->microcode },
        };
        const Word *word = &p->words[i];
        const char *sign = memmem(word->at, word->size, ">=", 2);
        Word key = { .at = word->at, .size = sign ? (size_t) (sign - word->at) : 0 };
        gsize k = 0;
        uint64_t svn;

        while (k < G_N_ELEMENTS(parts) && !word_is(&key, parts[k].name))
                k++;
        if (k == G_N_ELEMENTS(parts) || (k == 0 && line != ATT_SNP_LINE_TURIN))
                return fail_expected(p, i, line == ATT_SNP_LINE_TURIN ?
                                     "a part of the TCB: fmc, bootloader, tee, snp or microcode, such as snp>=4" :
                                     "a part of the TCB: bootloader, tee, snp or microcode, such as snp>=24", error);
        if (seen[k])
                return fail_at(p, key.at, error, "%s is there twice", parts[k].name);

        Word value = { .at = sign + 2, .size = word->size - key.size - 2 };
        if (!read_number(&value, 0, UINT8_MAX, &svn))
                return fail_at(p, value.at, error, "expected a number, 0 to 255");
        seen[k] = true;
        *parts[k].svn = (uint8_t) svn;
        return TRUE;
}

/* tcb milan|genoa|turin PART>=N … */
static gboolean read_tcb(Parser *p, GError **error) {
        int found = amd_line_at(p, 1);
        AttSnpTcb minimum = { 0 };
        bool seen[5] = { false };
        AttSnpLine line;

        if (found < 0)
                return fail_expected(p, 1, "a product line: milan, genoa or turin", error);
        line = amd_lines[found].line;
        if (p->policy->has_minimum[line])
                return fail_at(p, p->words[1].at, error, "the TCB of %s is there already", amd_lines[found].word);
        if (p->n_words < 3)
                return fail_expected(p, 2, "a part of the TCB, such as snp>=24", error);
        for (size_t i = 2; i < p->n_words; i++)
                if (!read_minimum(p, i, line, &minimum, seen, error))
                        return FALSE;
        p->policy->has_minimum[line] = true;
        p->policy->minimum[line] = minimum;
        return TRUE;
}

/* max-age SECONDS */
static gboolean read_max_age(Parser *p, GError **error) {
        uint64_t seconds;

        if (p->n_words < 2 || !read_number(&p->words[1], 1, MAX_AGE_MAX_S, &seconds))
                return fail_expected(p, 1, "seconds, 1 to 3600", error);
        p->policy->max_age_s = (unsigned) seconds;
        return expect_end(p, 2, error);
}

/* shared-device allowed */
static gboolean read_shared_device(Parser *p, GError **error) {
        if (!has_word(p, 1, "allowed"))
                return fail_expected(p, 1, "\"allowed\"", error);
        p->policy->shared_device_allowed = true;
        return expect_end(p, 2, error);
}

/* attributes sept-ve-disable-off|migratable|service-td|migration-agent|masked-chip-id|cxl */
static gboolean read_attributes(Parser *p, GError **error) {
        for (gsize i = 0; i < ATT_WEAKNESSES; i++)
                if (has_word(p, 1, weakness_names[i])) {
                        p->policy->takes_weakness[i] = true;
                        return expect_end(p, 2, error);
                }
        return fail_expected(p, 1, "what to take: sept-ve-disable-off, migratable or service-td of a TD, "
                             "migration-agent, masked-chip-id or cxl of an SNP guest", error);
}

/* ALG:HEX, of a hash that a bank can have */
static gboolean read_reference(const Parser *p, size_t i, AttReferenceDigest *ret, GError **error) {
        const char *colon = i < p->n_words ? memchr(p->words[i].at, ':', p->words[i].size) : NULL;
        Word name = { .at = colon ? p->words[i].at : NULL, .size = colon ? (size_t) (colon - p->words[i].at) : 0 };
        AttBank bank = 0;

        while (bank < ATT_BANKS && !(colon && word_is(&name, att_bank_name(bank))))
                bank++;
        if (bank == ATT_BANKS)
                return fail_expected(p, i, "a digest, such as sha256:HEX, of sha1, sha256, sha384 or sha512", error);

        Word value = { .at = colon + 1, .size = p->words[i].size - name.size - 1 };
        g_autofree uint8_t *digest = read_hex(&value, att_bank_size(bank));
        if (!digest)
                return fail_at(p, value.at, error, "expected %zu bytes in %zu hexadecimal digits", att_bank_size(bank),
                               2 * att_bank_size(bank));
        *ret = (AttReferenceDigest) { .algorithm = bank };
        memcpy(ret->digest, digest, att_bank_size(bank));
        return TRUE;
}

/* The one Base64 of its bytes, RFC 4648 section 4; NULL otherwise. */
static GBytes *read_base64(const Word *word) {
        g_autofree char *text = g_strndup(word->at, word->size), *again = NULL;
        g_autofree guchar *bytes = NULL;
        gsize size;

        bytes = g_base64_decode(text, &size);
        again = g_base64_encode(bytes, size);
        return size > 0 && g_str_equal(text, again) ? g_bytes_new_take(g_steal_pointer(&bytes), size) : NULL;
}

/* Which register it is says the guest: of one that nothing has extended yet, who is root there can make any log. */
static gboolean read_ima_rtmr(Parser *p, GError **error) {
        uint64_t number = ATT_IMA_RTMR_DEFAULT;

        if (p->n_words > 3 && !read_number(&p->words[3], 0, ATT_IMA_RTMRS - 1, &number))
                return fail_expected(p, 3, "the number of an RTMR, 0 to 3", error);
        p->policy->ima.takes_rtmr[number] = true;
        return expect_end(p, 4, error);
}

static gboolean read_ima_root(Parser *p, GError **error) {
        for (AttImaRoot root = 0; root < ATT_IMA_ROOTS; root++)
                if (has_word(p, 2, ima_root_names[root])) {
                        p->policy->ima.takes_root[root] = true;
                        return root == ATT_IMA_ROOT_RTMR ? read_ima_rtmr(p, error) : expect_end(p, 3, error);
                }
        return fail_expected(p, 2, "what vouches for the log: tpm-in-tee, tpm-outside, rtmr or claimed", error);
}

static gboolean read_ima_allow(Parser *p, GError **error) {
        AttImaAllowRule rule = { 0 };

        if (!read_reference(p, 2, &rule.digest, error))
                return FALSE;
        if (p->n_words < 4)
                return fail_expected(p, 3, "a path as it stands in the log", error);
        rule.path = g_strndup(p->words[3].at, p->words[3].size);
        rule.path_size = p->words[3].size;
        g_array_append_val(p->policy->ima.allowed, rule);
        return expect_end(p, 4, error);
}

static gboolean read_ima_exclude(Parser *p, GError **error) {
        if (p->n_words < 3)
                return fail_expected(p, 2, "what paths begin with", error);
        if (p->policy->ima.excluded->len == ATT_IMA_EXCLUDES_MAX)
                return fail_at(p, p->words[1].at, error, "more than %u beginnings of paths", ATT_IMA_EXCLUDES_MAX);
        g_ptr_array_add(p->policy->ima.excluded, g_strndup(p->words[2].at, p->words[2].size));
        return expect_end(p, 3, error);
}

static gboolean read_ima_key(Parser *p, GError **error) {
        g_autoptr(GBytes) spki = p->n_words > 2 ? read_base64(&p->words[2]) : NULL;
        g_autoptr(AttKey) key = spki ? att_key_from_spki(spki, NULL) : NULL;

        if (!key || att_key_fits_scheme(key, ATT_SCHEME_ED25519))
                return fail_expected(p, 2, "a SubjectPublicKeyInfo in Base64: P-256, P-384, or RSA of 2048 bits "
                                     "or more", error);
        if (p->policy->ima.keys->len == ATT_IMA_KEYS_MAX)
                return fail_at(p, p->words[1].at, error, "more than %u keys", ATT_IMA_KEYS_MAX);
        g_ptr_array_add(p->policy->ima.keys, g_steal_pointer(&key));
        return expect_end(p, 3, error);
}

static gboolean read_ima_require(Parser *p, GError **error) {
        if (p->n_words < 3)
                return fail_expected(p, 2, "a path as it stands in the log", error);
        g_ptr_array_add(p->policy->ima.required, g_strndup(p->words[2].at, p->words[2].size));
        return expect_end(p, 3, error);
}

static gboolean read_ima_max_violations(Parser *p, GError **error) {
        AttImaRules *rules = &p->policy->ima;

        if (p->n_words < 3 || !read_number(&p->words[2], 0, IMA_VIOLATIONS_MAX, &rules->max_violations))
                return fail_expected(p, 2, "a number of violations, 0 to 1000000000", error);
        if (rules->has_max_violations)
                return fail_at(p, p->words[1].at, error, "\"ima max-violations\" may be said once only");
        rules->has_max_violations = true;
        return expect_end(p, 3, error);
}

/* ima root ROOT | allow ALG:HEX PATH | exclude PREFIX | key BASE64 | require PATH | max-violations N */
static gboolean read_ima(Parser *p, GError **error) {
        static const struct {
                const char *word;
                gboolean (*read)(Parser *p, GError **error);
        } rules[] = {
                { "allow", read_ima_allow },
                { "root", read_ima_root },
                { "exclude", read_ima_exclude },
                { "key", read_ima_key },
                { "require", read_ima_require },
                { "max-violations", read_ima_max_violations },
        };

        p->policy->ima.is_there = true;
        for (gsize i = 0; i < G_N_ELEMENTS(rules); i++)
                if (has_word(p, 1, rules[i].word))
                        return rules[i].read(p, error);
        return fail_expected(p, 1, "\"root\", \"allow\", \"exclude\", \"key\", \"require\" or \"max-violations\"",
                             error);
}

/* boot-log required */
static gboolean read_boot_log(Parser *p, GError **error) {
        if (!has_word(p, 1, "required"))
                return fail_expected(p, 1, "\"required\"", error);
        p->policy->needs_boot_log = true;
        return expect_end(p, 2, error);
}

/* boot-event N ALG:HEX */
static gboolean read_boot_event(Parser *p, GError **error) {
        AttBootEventRule rule = { 0 };
        uint64_t index;

        if (p->n_words < 2 || !read_number(&p->words[1], 0, ATT_BOOT_EVENT_REGISTERS - 1, &index))
                return fail_expected(p, 1, "the number of an RTMR or PCR, 0 to 23", error);
        rule.index = (unsigned) index;
        if (!read_reference(p, 2, &rule.digest, error))
                return FALSE;
        p->policy->needs_boot_log = true;
        g_array_append_val(p->policy->boot_events, rule);
        return expect_end(p, 3, error);
}

/* bare-report allowed */
static gboolean read_bare_report(Parser *p, GError **error) {
        if (!has_word(p, 1, "allowed"))
                return fail_expected(p, 1, "\"allowed\"", error);
        p->policy->bare_report_allowed = true;
        return expect_end(p, 2, error);
}

static const struct {
        const char *key;
        bool once;
        gboolean (*read)(Parser *p, GError **error);
} keys[] = {
        { "profile", false, read_profile },
        { "tee", false, read_tee },
        { "peer", true, read_peer },
        { "workload", false, read_workload },
        { "boot", false, read_boot },
        { "collateral", true, read_collateral },
        { "root", false, read_root },
        { "machine", false, read_machine },
        { "max-age", true, read_max_age },
        { "shared-device", true, read_shared_device },
        { "attributes", false, read_attributes },
        { "bare-report", true, read_bare_report },
        { "vmpl", false, read_vmpl },
        { "platform", false, read_platform },
        { "tcb", false, read_tcb },
        { "ima", false, read_ima },
        { "boot-log", true, read_boot_log },
        { "boot-event", false, read_boot_event },
};

/* Words of the line, with one space between. */
static char *normal_form(const Parser *p) {
        GString *s = g_string_new(NULL);

        for (size_t i = 0; i < p->n_words; i++) {
                if (i > 0)
                        g_string_append_c(s, ' ');
                g_string_append_len(s, p->words[i].at, (gssize) p->words[i].size);
        }
        return g_string_free(s, FALSE);
}

static gboolean read_rule(Parser *p, GError **error) {
        g_autofree char *normal = normal_form(p);
        gsize i = 0;

        while (i < G_N_ELEMENTS(keys) && !word_is(&p->words[0], keys[i].key))
                i++;
        if (i == G_N_ELEMENTS(keys))
                return fail_expected(p, 0, "a key that version 1 knows", error);
        if (++p->n_rules > ATT_POLICY_RULES_MAX)
                return fail_at(p, p->words[0].at, error, "more than %u rules", ATT_POLICY_RULES_MAX);
        if (!keys[i].read(p, error))
                return FALSE;
        if (!g_hash_table_add(p->seen, g_steal_pointer(&normal)))
                return fail_at(p, p->words[0].at, error, "this rule is there already");
        if (keys[i].once && !g_hash_table_add(p->seen, g_strdup_printf("%s ", keys[i].key)))
                return fail_at(p, p->words[0].at, error, "\"%s\" may be said once only", keys[i].key);
        return TRUE;
}

static bool is_blank(char c) {
        return c == ' ' || c == '\t';
}

/* What is shown to an operator must be what is read. */
static gboolean check_characters(Parser *p, const char *end, GError **error) {
        const char *valid_end;
        bool valid = g_utf8_validate_len(p->line_start, (gsize) (end - p->line_start), &valid_end);

        for (const char *c = p->line_start; c < valid_end; c = g_utf8_next_char(c))
                if (!is_blank(*c) && !g_unichar_isprint(g_utf8_get_char(c)))
                        return fail_at(p, c, error, "a character that does not print");
        return valid || fail_at(p, valid_end, error, "not UTF-8");
}

/* Splits [@start, @end) into words; a word that begins with # and all after it is a comment. */
static gboolean split_line(Parser *p, const char *start, const char *end, GError **error) {
        const char *at = start;

        p->line_start = start;
        p->n_words = 0;
        if (!check_characters(p, end, error))
                return FALSE;

        for (;;) {
                const char *word;

                p->line_end = at;
                while (at < end && is_blank(*at))
                        at++;
                if (at == end || *at == '#')
                        return TRUE;
                if (p->n_words == TOKENS_MAX)
                        return fail_at(p, at, error, "more than %u words in a line", TOKENS_MAX);

                word = at;
                while (at < end && !is_blank(*at))
                        at++;
                p->words[p->n_words++] = (Word) { .at = word, .size = (size_t) (at - word) };
        }
}

static gboolean check_version(const Parser *p, GError **error) {
        if (!has_word(p, 0, "attestd-policy"))
                return fail_expected(p, 0, "\"" VERSION_LINE "\" as the first line", error);
        if (!has_word(p, 1, "1"))
                return fail_expected(p, 1, "version 1, the only one known", error);
        return expect_end(p, 2, error);
}

static gboolean check_ima(const Parser *p, GError **error) {
        const AttImaRules *rules = &p->policy->ima;
        bool any = false;

        for (gsize i = 0; i < ATT_IMA_ROOTS; i++)
                any |= rules->takes_root[i];
        if (rules->is_there && !any)
                return fail_at(p, p->line_end, error, "something is said of the IMA log, but not what may vouch for "
                               "it: expected \"ima root rtmr\" or the like");
        /* Root extends a register as attestd does, and names a TPM of its own making. */
        if (rules->is_there && p->policy->boots->len == 0)
                return fail_at(p, p->line_end, error, "something is said of the IMA log, but no boot: who writes the "
                               "log is the guest's kernel, and who says what vouches for it is attestd, which "
                               "nothing vouches for without a boot rule");
        return TRUE;
}

/* What could say yes by accident, and what is not there. Rests on the whole
 * text, so its place is the end. */
static gboolean check_whole(const Parser *p, GError **error) {
        const AttPolicy *policy = p->policy;

        if (!policy->takes[ATT_KIND_TDX] && !policy->takes[ATT_KIND_SNP])
                return fail_at(p, p->line_end, error, "no TEE is accepted: expected \"tee tdx\" or \"tee snp\"");
        if (policy->workloads->len == 0 && !policy->any_workload)
                return fail_at(p, p->line_end, error,
                               "no workload is accepted: expected \"workload unit NAME\" or \"workload any\"");
        if (policy->workloads->len > 0 && policy->boots->len == 0)
                return fail_at(p, p->line_end, error, "a workload is named, but no boot: who tells the unit is "
                               "attestd, which nothing vouches for without a boot rule");
        for (gsize i = 0; policy->workloads->len > 0 && i < G_N_ELEMENTS(profiles); i++)
                if (!profiles[i].has_caller && att_policy_takes_profile(policy, profiles[i].profile))
                        return fail_at(p, p->line_end, error, "profile %s does not say who asked: "
                                       "it needs \"workload any\"", profiles[i].word);
        if (policy->workloads->len > 0 && policy->bare_report_allowed)
                return fail_at(p, p->line_end, error, "a bare report does not say who asked: "
                               "it needs \"workload any\"");
        return check_ima(p, error);
}

static void fill_defaults(AttPolicy *policy) {
        g_array_sort(policy->ima.allowed, compare_allowed);
        g_ptr_array_sort(policy->ima.required, compare_required);
        if (policy->profiles->len == 0)
                g_ptr_array_add(policy->profiles, (gpointer) ATT_PROFILE_EVIDENCE);
        if (policy->roots[ATT_KIND_TDX]->len == 0)
                add_root(policy, ATT_KIND_TDX, intel_root);
        if (policy->roots[ATT_KIND_SNP]->len == 0)
                add_amd_roots(policy);
        for (gsize i = 0; i < ATT_SNP_VMPLS; i++)
                if (policy->takes_vmpl[i])
                        return;
        policy->takes_vmpl[0] = true;
}

AttPolicy *att_policy_parse(const char *name, const char *bytes, gsize size, GError **error) {
        g_autoptr(AttPolicy) policy = policy_new();
        g_autoptr(GHashTable) seen = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
        const char *text = size > 0 ? bytes : ""; /* what is empty may be NULL */
        Parser p = { .name = name, .policy = policy, .seen = seen, .line = 1, .line_start = text, .line_end = text };
        const char *end = text + size;
        bool has_version = false;

        if (size > ATT_POLICY_SIZE_MAX) {
                (void) fail_at(&p, text, error, "a policy has at most %u bytes", ATT_POLICY_SIZE_MAX);
                return NULL;
        }

        for (const char *start = text; start < end; p.line++) {
                const char *newline = memchr(start, '\n', (size_t) (end - start));
                const char *stop = newline ? newline : end;

                if (!split_line(&p, start, stop, error))
                        return NULL;
                if (p.n_words > 0 && !(has_version ? read_rule(&p, error) : check_version(&p, error)))
                        return NULL;
                has_version |= p.n_words > 0;
                start = newline ? newline + 1 : end;
        }

        p.line_start = p.line_end = end;
        if (!has_version) {
                (void) fail_at(&p, end, error, "the policy is empty: expected \"" VERSION_LINE "\"");
                return NULL;
        }
        if (!check_whole(&p, error))
                return NULL;
        fill_defaults(policy);
        return g_steal_pointer(&policy);
}

AttPolicy *att_policy_load(const char *path, GError **error) {
        g_autoptr(GBytes) text = att_read_at(AT_FDCWD, path, ATT_POLICY_SIZE_MAX, error);
        g_autofree char *name = NULL;

        if (!text)
                return NULL;
        name = g_path_get_basename(path);
        return att_policy_parse(name, g_bytes_get_data(text, NULL), g_bytes_get_size(text), error);
}
