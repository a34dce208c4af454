/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The authenticators of one session that wait for their signature. They hold
 * secrets of the connection: so they are few, for a short time, and each can be
 * finished once. */
#pragma once

#include "attester/attester.h"
#include "attester/shared.h"
#include "ea/authenticator.h"

G_BEGIN_DECLS

/* Of one session, those too whose report is being made. */
#define ATT_DRAFTS_MAX 4u
/* Of all sessions of a user, likewise: each may be as large as its evidence and certificates, and has the latter while
 * it waits. A report that is shared would make thousands at once. */
#define ATT_DRAFTS_PER_USER_MAX 256u
#define ATT_DRAFT_LIFETIME_S 60u

typedef struct AttDrafts AttDrafts;

/* The evidence of a draft: what it shares with others waits once for all of them. */
typedef struct AttDraftEvidence {
        uint16_t cmw_attestation;
        GBytes *own;
        AttShared *shared;
        gsize shared_at; /* its place in @own */
} AttDraftEvidence;

/** att_draft_seal: @draft with it, as long as it is needed whole */
gboolean att_draft_seal(AttEaDraft *draft, const AttDraftEvidence *evidence, GError **error)
        G_GNUC_WARN_UNUSED_RESULT;

/* @user: borrowed */
AttDrafts *att_drafts_new(AttUser *user) G_GNUC_WARN_UNUSED_RESULT;
/** No place is reserved any more. */
void att_drafts_free(AttDrafts *drafts);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(AttDrafts, att_drafts_free)

/** att_drafts_reserve: a place for one that is going to be made; %ATT_ERROR_LIMIT_REACHED */
gboolean att_drafts_reserve(AttDrafts *drafts, GError **error) G_GNUC_WARN_UNUSED_RESULT;
/** att_drafts_cancel: it was not made, and the place is free */
void att_drafts_cancel(AttDrafts *drafts);

/**
 * att_drafts_keep: it was made, and takes the place that was reserved
 * @draft:   taken; (nullable): there is nothing to sign
 * @evidence: what @draft was sealed with, which it is not any more; references are taken; (nullable) without a draft
 * @refusal: taken; the empty authenticator in its stead
 *
 * Returns: its handle, not 0: no two of this process are alike, of whatever session
 */
guint64 att_drafts_keep(AttDrafts *drafts, AttEaDraft *draft, const AttDraftEvidence *evidence,
                        GBytes *refusal);

/** att_drafts_drop: nobody is going to finish it. @handle: of one that is there */
void att_drafts_drop(AttDrafts *drafts, guint64 handle);

/**
 * att_drafts_finish: and whatever comes of it, the handle is used up
 * @signature: by the leaf's key; empty for the refusal
 * @error:     %ATT_ERROR_INVALID_ARGUMENT if there is no such handle (any more), or a
 *             signature where there is nothing to sign; %ATT_ERROR_REFUSED if it is not
 *             the leaf's
 *
 * Returns: the authenticator
 */
GBytes *att_drafts_finish(AttDrafts *drafts, guint64 handle, GBytes *signature, GError **error)
        G_GNUC_WARN_UNUSED_RESULT;

G_END_DECLS
