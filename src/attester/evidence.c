/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "attester/evidence.h"

#include "attester/batch-tree.h"
#include "attester/binder.h"
#include "codec/evidence.h"
#include "util/error.h"

#include <string.h>

/* Callers that one line of the log names. */
#define CALLERS_NAMED_MAX 8u

const char *const att_profiles[] = { ATT_PROFILE_EVIDENCE, ATT_PROFILE_EXPAT_PAD, ATT_PROFILE_COCOS, NULL };

const char *att_profile_find(const char *name) {
        if (!name)
                return att_profiles[0];
        for (const char *const *p = att_profiles; *p; p++)
                if (g_str_equal(*p, name))
                        return *p;
        return NULL;
}

/* ----- C of each caller, but for what is a request's own */

typedef struct Mold {
        AttCaller *caller;
        AttHash hash;
        AttClaimsMold *claims;
        guint n; /* requests */
} Mold;

static guint mold_hash(gconstpointer p) {
        const Mold *mold = p;

        return g_direct_hash(mold->caller) ^ (guint) mold->hash;
}

static gboolean mold_equal(gconstpointer a, gconstpointer b) {
        const Mold *x = a, *y = b;

        return x->caller == y->caller && x->hash == y->hash;
}

static void mold_free(gpointer p) {
        Mold *mold = p;

        att_caller_unref(mold->caller);
        att_claims_mold_free(mold->claims);
        g_free(mold);
}

/* Who a caller is, is asked once for all that he asks. */
static Mold *find_mold(AttSealed *s, AttCaller *caller, AttHash hash, GError **error) {
        const Mold key = { .caller = caller, .hash = hash };
        Mold *mold = g_hash_table_lookup(s->molds, &key);
        AttClaimsMold *claims;

        if (mold)
                return mold;

        s->common->hash = hash;
        s->common->caller = att_caller_seal(caller);
        claims = att_claims_mold_new(s->common, error);
        g_clear_pointer(&s->common->caller, att_caller_claims_free);
        if (!claims)
                return NULL;

        mold = g_new(Mold, 1);
        *mold = (Mold) { .caller = att_caller_ref(caller), .hash = hash, .claims = claims };
        g_hash_table_add(s->molds, mold);
        return mold;
}

/* ----- sealing */

AttSealed *att_sealed_new(const char *profile, const char *tee, AttClaims *common) {
        AttSealed *s = g_new(AttSealed, 1);

        *s = (AttSealed) {
                .profile = profile,
                .tee = tee,
                .generation = common->generation,
                .common = common,
                .molds = g_hash_table_new_full(mold_hash, mold_equal, NULL, mold_free),
        };
        memcpy(s->boot_id, common->boot_id, sizeof s->boot_id);
        memcpy(s->instance_id, common->instance_id, sizeof s->instance_id);
        return s;
}

void att_sealed_free(AttSealed *s) {
        if (!s)
                return;

        att_sealed_shrink(s);
        att_tee_report_free(s->report);
        att_shared_unref(s->shared[false]);
        att_shared_unref(s->shared[true]);
        g_free(s);
}

gboolean att_sealed_count(AttSealed *s, AttCaller *caller, AttHash hash, AttSealedRequest *r, GError **error) {
        Mold *mold = NULL;

        if (att_profile_has_claims(s->profile)) {
                mold = find_mold(s, caller, hash, error);
                if (!mold)
                        return FALSE;
                mold->n++;
        }

        r->mold = mold ? mold->claims : NULL;
        r->at = s->n++;
        return TRUE;
}

void att_sealed_begin(AttSealed *s) {
        if (s->n > 1)
                s->tree = att_batch_tree_new(s->n);
}

/* C of one request, the mold's until the next. */
static const void *cast(const AttSealedRequest *r, gsize *ret_size) {
        return att_claims_mold_cast(r->mold, r->binding, r->key_hash, r->role, ret_size);
}

void att_sealed_add(AttSealed *s, const AttSealedRequest *r, AttHash hash) {
        if (r->mold) {
                gsize size;
                const void *p = cast(r, &size);
                g_autoptr(GBytes) claims = g_bytes_new_static(p, size);

                if (s->tree)
                        att_batch_tree_set(s->tree, r->at, claims);
                else
                        att_binder_evidence(claims, s->report_data);
        } else if (g_str_equal(s->profile, ATT_PROFILE_EXPAT_PAD)) {
                att_binder_expat_pad(hash, r->binding, s->report_data);
        } else {
                att_binder_cocos(hash, r->binding, s->report_data);
        }
}

void att_sealed_finish(AttSealed *s) {
        uint8_t root[ATT_PROOF_NODE_SIZE];

        if (!s->tree)
                return;
        att_batch_tree_root(s->tree, root);
        att_binder_batch(s->n, root, s->report_data);
}

void att_sealed_take(AttSealed *s, AttTeeReport *report) {
        s->report = report;
}

const char *att_sealed_provider(const AttSealed *s) {
        return s->report->provider;
}

char *att_sealed_describe(const AttSealed *s) {
        g_autoptr(GHashTable) counts = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
        GString *text = g_string_new(NULL);
        gpointer key, value;
        GHashTableIter i;
        guint others = 0;

        /* Connections of one user and unit are one caller here. */
        g_hash_table_iter_init(&i, s->molds);
        while (g_hash_table_iter_next(&i, &key, NULL)) {
                const Mold *mold = key;
                g_autofree char *who = att_caller_describe(mold->caller);
                guint n = GPOINTER_TO_UINT(g_hash_table_lookup(counts, who));

                if (n > 0 || g_hash_table_size(counts) < CALLERS_NAMED_MAX)
                        g_hash_table_insert(counts, g_steal_pointer(&who), GUINT_TO_POINTER(n + mold->n));
                else
                        others += mold->n;
        }

        g_hash_table_iter_init(&i, counts);
        while (g_hash_table_iter_next(&i, &key, &value))
                g_string_append_printf(text, "%s%u of %s", text->len > 0 ? "; " : "", GPOINTER_TO_UINT(value),
                                       (const char *) key);
        if (others > 0)
                g_string_append_printf(text, "; %u of others", others);
        return g_string_free(text, FALSE);
}

/* ----- evidence */

void att_assembled_clear(AttAssembled *a) {
        g_clear_pointer(&a->evidence, g_bytes_unref);
        g_clear_pointer(&a->shared, att_shared_unref);
}

static AttShared *get_shared(AttSealed *s, bool with_auxblob) {
        if (!s->shared[with_auxblob]) {
                const AttTeeReport *report = s->report;
                const AttTsmReport tsm = { /* borrowed, all of it */
                        .provider = report->provider,
                        .outblob = report->outblob,
                        .auxblob = with_auxblob ? report->auxblob : NULL,
                };
                GBytes *tpm = att_profile_has_claims(s->profile) ? report->tpm : NULL;
                g_autoptr(GBytes) bytes = att_evidence_encode_shared(&tsm, tpm);

                s->shared[with_auxblob] = att_shared_new(bytes);
        }
        return s->shared[with_auxblob];
}

static GBytes *prove(const AttSealed *s, const AttSealedRequest *r) {
        AttInclusionProof proof;

        att_batch_tree_prove(s->tree, r->at, &proof);
        return att_inclusion_proof_encode(&proof);
}

void att_sealed_keep(const AttSealed *s, AttSealedRequest *r) {
        gsize size;
        const void *p;

        if (r->mold) {
                p = cast(r, &size);
                r->claims = g_bytes_new(p, size);
        }
        if (s->tree)
                r->proof = prove(s, r);
        r->mold = NULL;
}

void att_sealed_shrink(AttSealed *s) {
        g_clear_pointer(&s->common, att_claims_free);
        g_clear_pointer(&s->molds, g_hash_table_unref);
        g_clear_pointer(&s->tree, att_batch_tree_free);
}

void att_sealed_request_clear(AttSealedRequest *r) {
        g_clear_pointer(&r->claims, g_bytes_unref);
        g_clear_pointer(&r->proof, g_bytes_unref);
}

static AttAssembled assemble(AttSealed *s, const AttSealedRequest *r, GBytes *proof, bool split, bool leave_out) {
        AttShared *shared = get_shared(s, s->report->auxblob && !leave_out);
        AttEvidenceOwn own = {
                .profile = s->profile,
                .proof = proof,
                .endorsements_left_out = leave_out,
        };

        if (r->claims)
                own.claims = g_bytes_get_data(r->claims, &own.claims_size);
        else if (r->mold)
                own.claims = cast(r, &own.claims_size);
        own.has_tpm = own.claims && s->report->tpm;
        return (AttAssembled) {
                .evidence = att_evidence_encode_own(&own, split ? NULL : shared->bytes),
                .shared = split ? att_shared_ref(shared) : NULL,
                .shared_at = split ? ATT_EVIDENCE_SHARED_AT : 0,
                .endorsements_left_out = leave_out,
        };
}

static gsize size_of(const AttAssembled *a) {
        return g_bytes_get_size(a->evidence) + (a->shared ? g_bytes_get_size(a->shared->bytes) : 0);
}

gboolean att_sealed_assemble(AttSealed *s, const AttSealedRequest *r, gsize max, bool split, AttAssembled *ret,
                             GError **error) {
        g_autoptr(GBytes) proof = r->proof ? g_bytes_ref(r->proof) : s->tree ? prove(s, r) : NULL;
        g_auto(AttAssembled) a = assemble(s, r, proof, split, false);

        /* An auxblob is endorsements: certificates that the host has added. */
        if (size_of(&a) > max && s->report->auxblob) {
                att_assembled_clear(&a);
                a = assemble(s, r, proof, split, true);
        }
        if (size_of(&a) > max)
                return att_error_set(error, ATT_ERROR_TOO_LARGE, "evidence of %zu bytes, over %zu", size_of(&a), max);

        *ret = a;
        a = (AttAssembled) { 0 };
        return TRUE;
}
