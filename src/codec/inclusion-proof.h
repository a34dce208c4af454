/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The place of one C in a batch, and the way from it to the root: docs/protocol.md,
 * "Batch form". Layout only: what its hashes add up to is for who has C to find out. */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

G_BEGIN_DECLS

#define ATT_BATCH_MIN 2u /* one C is in the plain form, and in no other */
#define ATT_BATCH_MAX (1u << 17)
#define ATT_PROOF_PATH_MAX 17u /* of the largest batch */
#define ATT_PROOF_NODE_SIZE 32u

/* [ n, i, path ] */
typedef struct AttInclusionProof {
        uint32_t n;        /* ATT_BATCH_MIN to ATT_BATCH_MAX */
        uint32_t index;    /* from 0, below @n */
        guint path_length; /* as att_inclusion_proof_length() says */
        uint8_t path[ATT_PROOF_PATH_MAX][ATT_PROOF_NODE_SIZE]; /* from the leaf upwards */
} AttInclusionProof;

/** att_inclusion_proof_length: of the path of leaf @index among @n, RFC 9162 section 2.1.3; 0 of what has none */
guint att_inclusion_proof_length(uint32_t n, uint32_t index);

/** Deterministic CBOR. @proof has the length that its n and index ask for. Returns: (transfer full) */
GBytes *att_inclusion_proof_encode(const AttInclusionProof *proof) G_GNUC_WARN_UNUSED_RESULT;

/**
 * att_inclusion_proof_decode:
 * @ret:   only written if it is one
 * @error: %ATT_ERROR_BAD_DATA that says what was wrong: an encoding other than the
 *         deterministic one, n out of its range, an index that is not below n, a
 *         path of another length than these two give, a node of another size
 */
gboolean att_inclusion_proof_decode(GBytes *bytes, AttInclusionProof *ret, GError **error) G_GNUC_WARN_UNUSED_RESULT;

G_END_DECLS
