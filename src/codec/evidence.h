/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Evidence as it travels: a CBOR CMW collection whose members are bound to one
 * another. docs/protocol.md, "Carriage". */
#pragma once

#include "codec/tsm-report.h"

#include <glib.h>
#include <stdbool.h>

G_BEGIN_DECLS

typedef struct AttEvidence {
        char *profile;          /* __cmwc_t */
        GBytes *claims;         /* C as received, byte for byte; NULL in profiles that have none */
        AttTsmReport *tee;      /* owned */
        GBytes *proof;          /* (nullable): inclusion proof of the batch form */
        GBytes *tpm;            /* (nullable) */
        GBytes *endorsements;   /* (nullable) */
        bool endorsements_left_out;
} AttEvidence;

void att_evidence_free(AttEvidence *evidence);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(AttEvidence, att_evidence_free)

/**
 * att_evidence_encode: at most @max bytes
 * @ret_left_out: set if endorsements did not fit and were left out; the
 *                collection then names them as left out
 * @error: %ATT_ERROR_TOO_LARGE if it does not fit even so
 */
GBytes *att_evidence_encode(const AttEvidence *evidence, gsize max, bool *ret_left_out, GError **error)
        G_GNUC_WARN_UNUSED_RESULT;

/**
 * att_evidence_decode:
 * @error: %ATT_ERROR_BAD_DATA; `claims` and `tee` must be there exactly once
 *         with their media types (`claims` only in the profile that has them),
 *         unknown members are refused
 */
AttEvidence *att_evidence_decode(GBytes *bytes, GError **error) G_GNUC_WARN_UNUSED_RESULT;

G_END_DECLS
