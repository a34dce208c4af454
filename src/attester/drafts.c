/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "attester/drafts.h"

#include "codec/evidence.h"
#include "util/error.h"

typedef struct Entry {
        guint64 handle; /* 0: free */
        gint64 ends_us;
        AttEaDraft *draft;
        AttDraftEvidence evidence; /* of @draft */
        GBytes *refusal;
} Entry;

struct AttDrafts {
        AttUser *user;
        Entry entries[ATT_DRAFTS_MAX];
        guint n_reserved;
        guint alarm; /* of the main loop: secrets go when their time is over, whether asked for or not */
};

AttDrafts *att_drafts_new(AttUser *user) {
        AttDrafts *d = g_new0(AttDrafts, 1);

        d->user = user;
        return d;
}

static void drop(AttDrafts *d, Entry *e) {
        att_ea_draft_free(e->draft);
        g_bytes_unref(e->evidence.own);
        att_shared_unref(e->evidence.shared);
        g_bytes_unref(e->refusal);
        *e = (Entry) { 0 };
        d->user->n_drafts--;
}

void att_drafts_free(AttDrafts *d) {
        if (!d)
                return;

        g_warn_if_fail(d->n_reserved == 0);
        for (guint i = 0; i < ATT_DRAFTS_MAX; i++)
                if (d->entries[i].handle)
                        drop(d, &d->entries[i]);
        if (d->alarm)
                g_source_remove(d->alarm);
        g_free(d);
}

static void expire(AttDrafts *d);

static gboolean on_alarm(gpointer userdata) {
        AttDrafts *d = userdata;

        d->alarm = 0;
        expire(d);
        return G_SOURCE_REMOVE;
}

/* What is over goes; the alarm is set for what is next. */
static void expire(AttDrafts *d) {
        gint64 now = g_get_monotonic_time(), next = G_MAXINT64;

        for (guint i = 0; i < ATT_DRAFTS_MAX; i++) {
                Entry *e = &d->entries[i];

                if (e->handle && e->ends_us <= now)
                        drop(d, e);
                else if (e->handle)
                        next = MIN(next, e->ends_us);
        }

        if (next != G_MAXINT64 && d->alarm == 0)
                d->alarm = g_timeout_add((guint) ((next - now) / 1000 + 1), on_alarm, d);
}

static guint count(const AttDrafts *d) {
        guint n = d->n_reserved;

        for (guint i = 0; i < ATT_DRAFTS_MAX; i++)
                n += d->entries[i].handle != 0;
        return n;
}

gboolean att_drafts_reserve(AttDrafts *d, GError **error) {
        expire(d);
        if (count(d) >= ATT_DRAFTS_MAX)
                return att_error_set(error, ATT_ERROR_LIMIT_REACHED,
                                     "this session has %u authenticators that are not finished; finish them",
                                     ATT_DRAFTS_MAX);
        if (d->user->n_drafts >= ATT_DRAFTS_PER_USER_MAX)
                return att_error_set(error, ATT_ERROR_LIMIT_REACHED,
                                     "this user has %u authenticators that are not finished; finish them",
                                     ATT_DRAFTS_PER_USER_MAX);
        d->n_reserved++;
        d->user->n_drafts++;
        return TRUE;
}

void att_drafts_cancel(AttDrafts *d) {
        d->n_reserved--;
        d->user->n_drafts--;
}

static Entry *find(AttDrafts *d, guint64 handle) {
        for (guint i = 0; i < ATT_DRAFTS_MAX; i++)
                if (d->entries[i].handle == handle)
                        return &d->entries[i];
        return NULL;
}

gboolean att_draft_seal(AttEaDraft *draft, const AttDraftEvidence *e, GError **error) {
        g_autoptr(GBytes) whole = att_evidence_join(e->own, e->shared->bytes, e->shared_at, error);

        return whole && att_ea_draft_seal(draft, e->cmw_attestation, whole, error);
}

guint64 att_drafts_keep(AttDrafts *d, AttEaDraft *draft, const AttDraftEvidence *evidence, GBytes *refusal) {
        Entry *e = find(d, 0);

        g_assert(e && d->n_reserved > 0);
        d->n_reserved--;
        *e = (Entry) {
                .handle = att_attester_new_handle(d->user->attester),
                .ends_us = g_get_monotonic_time() + ATT_DRAFT_LIFETIME_S * G_USEC_PER_SEC,
                .draft = draft,
                .refusal = refusal,
        };
        if (draft) {
                att_ea_draft_unseal(draft);
                e->evidence = *evidence;
                (void) g_bytes_ref(e->evidence.own);
                (void) att_shared_ref(e->evidence.shared);
        }
        expire(d);
        return e->handle;
}

void att_drafts_drop(AttDrafts *d, guint64 handle) {
        Entry *e = handle ? find(d, handle) : NULL;

        g_return_if_fail(e);
        drop(d, e);
}

static GBytes *finish(const Entry *e, GBytes *signature, GError **error) {
        g_autoptr(GError) why = NULL;
        GBytes *authenticator;

        if (g_bytes_get_size(signature) == 0)
                return g_bytes_ref(e->refusal);
        if (!e->draft) {
                att_error_set(error, ATT_ERROR_INVALID_ARGUMENT, "a refusal is not signed: signature must be empty");
                return NULL;
        }

        if (!att_draft_seal(e->draft, &e->evidence, error))
                return NULL;
        authenticator = att_ea_draft_finish(e->draft, signature, &why);
        if (!authenticator)
                att_error_set(error, ATT_ERROR_REFUSED, "the signature is not by the leaf's key with scheme %s: %s",
                              att_scheme_name(att_ea_draft_scheme(e->draft)), why->message);
        return authenticator;
}

GBytes *att_drafts_finish(AttDrafts *d, guint64 handle, GBytes *signature, GError **error) {
        GBytes *authenticator;
        Entry *e;

        expire(d);
        e = handle ? find(d, handle) : NULL;
        if (!e) {
                att_error_set(error, ATT_ERROR_INVALID_ARGUMENT,
                              "this session has no such handle: each is good once, for %u s", ATT_DRAFT_LIFETIME_S);
                return NULL;
        }

        authenticator = finish(e, signature, error);
        drop(d, e);
        return authenticator;
}
