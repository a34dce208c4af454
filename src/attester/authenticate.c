/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "attester/authenticate.h"

#include "attester/drafts.h"
#include "util/error.h"

/* An authenticator whose evidence is being made. */
typedef struct Beginning {
        AttDrafts *drafts; /* there until the session has ended what waits */
        AttEaDraft *draft;
        GBytes *refusal;
        uint16_t cmw_attestation;
        AttBeginDone done;
        gpointer userdata;
} Beginning;

static void beginning_free(Beginning *b) {
        att_ea_draft_free(b->draft);
        g_clear_pointer(&b->refusal, g_bytes_unref);
        g_free(b);
}
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Beginning, beginning_free)

/* The peer is the other end, and asks this one. */
static gboolean read_request(AttSession *session, const AttAuthenticatorRequest *q, AttEaRequest *ret_request,
                             AttEaKeys *ret_keys, GError **error) {
        AttRole role = att_session_role(session);

        *ret_keys = q->keys;
        ret_keys->hash = att_session_hash(session);
        ret_keys->sender = role;
        return att_ea_keys_check(ret_keys, error) &&
               att_ea_request_read(q->request, att_role_other(role), q->cmw_attestation, ret_request, error);
}

static gboolean check_request(const AttAuthenticatorRequest *q, const AttEaRequest *request, GError **error) {
        gsize size = 0;

        for (guint i = 0; i < q->certificates->len; i++)
                size += g_bytes_get_size(q->certificates->pdata[i]);
        if (size > ATT_CERTIFICATES_SIZE_MAX)
                return att_error_set(error, ATT_ERROR_INVALID_ARGUMENT, "certificates has over %u bytes in all",
                                     ATT_CERTIFICATES_SIZE_MAX);
        if (q->cmw_attestation == 0)
                return att_error_set(error, ATT_ERROR_INVALID_ARGUMENT, "cmw_attestation: 0 is no code point");
        if (g_bytes_get_size(request->context) == 0)
                return att_error_set(error, ATT_ERROR_REFUSED,
                                     "the request has an empty context, and evidence cannot be bound to that");
        return TRUE;
}

static void on_attested(const AttAttested *attested, GError *error, gpointer userdata) {
        g_autoptr(Beginning) b = userdata;
        g_autoptr(GBytes) to_be_signed = NULL;
        AttDraftEvidence evidence = { 0 };
        AttBegun begun;

        if (attested)
                evidence = (AttDraftEvidence) {
                        .cmw_attestation = b->cmw_attestation,
                        .own = attested->evidence,
                        .shared = attested->shared,
                        .shared_at = attested->shared_at,
                };
        if (attested && !att_draft_seal(b->draft, &evidence, &error))
                attested = NULL;
        if (!attested) {
                att_drafts_cancel(b->drafts);
                b->done(NULL, error, b->userdata);
                return;
        }

        to_be_signed = att_ea_draft_to_be_signed(b->draft);
        begun = (AttBegun) {
                .session = attested->session,
                .scheme = att_ea_draft_scheme(b->draft),
                .to_be_signed = to_be_signed,
        };
        begun.handle = att_drafts_keep(b->drafts, g_steal_pointer(&b->draft), &evidence,
                                       g_steal_pointer(&b->refusal));
        b->done(&begun, NULL, b->userdata);
}

gboolean att_session_begin_authenticator(AttSession *session, const AttAuthenticatorRequest *q, AttBeginDone done,
                                         gpointer userdata, GError **error) {
        g_autoptr(Beginning) b = g_new0(Beginning, 1);
        g_auto(AttEaRequest) request = { 0 };
        g_auto(AttEaKeys) keys = { 0 };
        AttAttestRequest attest = {
                .exported = q->exported, .profile = q->profile, .timeout_ms = q->timeout_ms,
                .max_size = ATT_CMW_SIZE_MAX, .batch = q->batch, .split = true,
        };

        if (!read_request(session, q, &request, &keys, error) || !check_request(q, &request, error))
                return FALSE;
        if (q->schemes)
                att_ea_request_narrow(&request, (const uint16_t *) (const void *) q->schemes->data, q->schemes->len);
        b->draft = att_ea_draft_begin(&keys, &request, q->certificates, error);
        if (!b->draft || !att_ea_request_check(&request, q->cmw_attestation, att_ea_draft_key(b->draft), error))
                return FALSE;

        b->refusal = att_ea_empty_new(&keys, &request);
        b->cmw_attestation = q->cmw_attestation;
        b->done = done;
        b->userdata = userdata;
        b->drafts = att_session_drafts(session);
        if (!att_drafts_reserve(b->drafts, error))
                return FALSE;

        attest.context = g_bytes_get_data(request.context, &attest.context_size);
        attest.public_key = att_ea_draft_spki(b->draft);
        if (!att_session_attest(session, &attest, on_attested, b, error)) {
                att_drafts_cancel(b->drafts);
                return FALSE;
        }
        (void) g_steal_pointer(&b);
        return TRUE;
}

gboolean att_session_decline(AttSession *session, const AttAuthenticatorRequest *q, guint64 *ret_handle,
                             GError **error) {
        g_auto(AttEaRequest) request = { 0 };
        g_auto(AttEaKeys) keys = { 0 };
        AttDrafts *drafts;

        if (!read_request(session, q, &request, &keys, error))
                return FALSE;

        drafts = att_session_drafts(session);
        if (!att_drafts_reserve(drafts, error))
                return FALSE;
        if (!att_session_use_context(session, request.context, error)) {
                att_drafts_cancel(drafts);
                return FALSE;
        }
        *ret_handle = att_drafts_keep(drafts, NULL, NULL, att_ea_empty_new(&keys, &request));
        return TRUE;
}
