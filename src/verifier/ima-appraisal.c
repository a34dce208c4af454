/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "verifier/ima-appraisal.h"

#include "crypto/ima-signature.h"

#define FIELDS_MAX 15u
#define MODSIG_FIELDS 5u

static const struct {
        const char *name;
        const char *detail;
} verdicts[ATT_IMA_VERDICTS] = {
        [ATT_IMA_NOT_APPRAISED] = { "not-appraised", "" },
        [ATT_IMA_BOOT_AGGREGATE] = { "boot-aggregate", "" },
        [ATT_IMA_VIOLATION] = { "violation", "" },
        [ATT_IMA_EXCLUDED] = { "excluded", "" },
        [ATT_IMA_ALLOWED] = { "allowed", "" },
        [ATT_IMA_SIGNED] = { "signed", "" },
        [ATT_IMA_CHANGED] = { "changed", "its digest is none of those that the policy allows there" },
        [ATT_IMA_UNKNOWN] = { "unknown", "the policy allows no digest there, and no key of the policy signed it" },
        [ATT_IMA_NO_LAYOUT] = { "no-layout", "its fields are not in the order of the kernel's templates" },
};

const char *att_ima_verdict_name(AttImaVerdict verdict) {
        return verdicts[verdict].name;
}

const char *att_ima_verdict_detail(AttImaVerdict verdict) {
        return verdicts[verdict].detail;
}

bool att_ima_verdict_is_refusal(AttImaVerdict verdict) {
        return verdict >= ATT_IMA_CHANGED;
}

bool att_ima_verdict_is_taken(AttImaVerdict verdict) {
        return verdict == ATT_IMA_ALLOWED || verdict == ATT_IMA_SIGNED;
}

typedef struct Layout {
        AttCursor fields[FIELDS_MAX];
        size_t n;
} Layout;

static bool read_layout(const AttImaRecord *r, Layout *ret) {
        AttCursor c = r->data;

        for (ret->n = 0; ret->n < FIELDS_MAX && c.left > 0; ret->n++) {
                ret->fields[ret->n] = att_take_sub(&c, att_take_u32le(&c));
                if (c.failed)
                        return false;
        }
        return c.left == 0 && ret->n >= 2;
}

/* The end of a digest's field is the digest. */
static bool ends_field(AttCursor digest, AttCursor field) {
        return digest.left > 0 && digest.left <= field.left && digest.at + digest.left == field.at + field.left;
}

static bool is_field(AttCursor c, AttCursor field) {
        return c.at == field.at && c.left == field.left;
}

/* The name of a template may be a list of fields, and is the log's own word: a digest
 * or a path from elsewhere in the data would be something else. */
static bool has_layout(const AttImaRecord *r, const Layout *l) {
        AttCursor path = l->fields[1];

        return ends_field(r->file_digest, l->fields[0]) && r->path.at == path.at && r->path.left + 1 == path.left;
}

static bool is_boot_aggregate(const AttImaRecord *r) {
        static const char name[] = "boot_aggregate";

        return r->path.left == strlen(name) && memcmp(r->path.at, name, r->path.left) == 0;
}

static bool is_digest(const AttReferenceDigest *reference, const AttImaRecord *r) {
        const char *name = att_bank_name(reference->algorithm);
        size_t size = att_bank_size(reference->algorithm);

        return r->algorithm && r->algorithm_size == strlen(name) &&
               memcmp(r->algorithm, name, r->algorithm_size) == 0 && r->file_digest.left == size &&
               memcmp(r->file_digest.at, reference->digest, size) == 0;
}

static bool is_allowed(const AttImaAllowRule *rules, guint n, const AttImaRecord *r) {
        for (guint i = 0; i < n; i++)
                if (is_digest(&rules[i].digest, r))
                        return true;
        return false;
}

/* A digest of fs-verity is not what a signature of version 2 is over. */
static bool is_of_content(const AttImaRecord *r) {
        return !r->digest_type || (r->digest_type_size == 3 && memcmp(r->digest_type, "ima", 3) == 0);
}

static bool has_signature(const AttImaRules *rules, const AttImaRecord *r, const Layout *l) {
        const AttFileDigest file = { r->algorithm, r->algorithm_size, r->file_digest };

        if (l->n <= 2 || r->signature.left == 0 || !is_field(r->signature, l->fields[2]) || !is_of_content(r))
                return false;
        for (guint i = 0; i < rules->keys->len; i++)
                if (att_ima_signature_verify(rules->keys->pdata[i], r->signature, &file, NULL))
                        return true;
        return false;
}

static bool has_modsig(const AttImaRules *rules, const AttImaRecord *r, const Layout *l) {
        const AttFileDigest module = { r->modsig_algorithm, r->modsig_algorithm_size, r->modsig_digest };
        g_auto(AttImaModsig) modsig = { 0 };

        if (rules->keys->len == 0 || l->n != MODSIG_FIELDS || r->modsig.left == 0 ||
            !ends_field(r->modsig_digest, l->fields[3]) || !is_field(r->modsig, l->fields[4]) ||
            !att_ima_modsig_read(r->modsig, &modsig, NULL))
                return false;
        for (guint i = 0; i < rules->keys->len; i++)
                if (att_ima_modsig_verify(rules->keys->pdata[i], &modsig, &module, NULL))
                        return true;
        return false;
}

AttImaVerdict att_ima_appraise(const AttImaRules *rules, const AttImaRecord *record, guint64 index) {
        const AttImaAllowRule *allowed;
        Layout layout = { 0 };
        guint n = 0;

        if (record->is_violation)
                return ATT_IMA_VIOLATION;
        if (!att_ima_rules_appraise(rules))
                return ATT_IMA_NOT_APPRAISED;
        if (!record->is_legacy && !(read_layout(record, &layout) && has_layout(record, &layout)))
                return ATT_IMA_NO_LAYOUT;

        allowed = att_ima_rules_allowed(rules, record->path, &n);
        if (allowed)
                return is_allowed(allowed, n, record) ? ATT_IMA_ALLOWED : ATT_IMA_CHANGED;
        if (index == 0 && is_boot_aggregate(record))
                return ATT_IMA_BOOT_AGGREGATE;
        if (att_ima_rules_exclude(rules, record->path))
                return ATT_IMA_EXCLUDED;
        return has_signature(rules, record, &layout) || has_modsig(rules, record, &layout) ? ATT_IMA_SIGNED :
                                                                                             ATT_IMA_UNKNOWN;
}
