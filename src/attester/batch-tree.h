/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The Merkle tree over all C of a batch, RFC 9162 section 2.1, SHA-256. */
#pragma once

#include "codec/inclusion-proof.h"

#include <glib.h>

G_BEGIN_DECLS

typedef struct AttBatchTree AttBatchTree;

/** att_batch_tree_new: @n is ATT_BATCH_MIN to ATT_BATCH_MAX. 64 bytes a leaf, and nothing is allocated later */
AttBatchTree *att_batch_tree_new(guint n) G_GNUC_WARN_UNUSED_RESULT;
void att_batch_tree_free(AttBatchTree *tree);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(AttBatchTree, att_batch_tree_free)

/** att_batch_tree_set: leaf @i is that of @claims; in any order, each before the root is asked for */
void att_batch_tree_set(AttBatchTree *tree, guint i, GBytes *claims);

/** att_batch_tree_root: computes it, once: no leaf is set afterwards */
void att_batch_tree_root(AttBatchTree *tree, uint8_t ret[ATT_PROOF_NODE_SIZE]);

/** att_batch_tree_prove: that leaf @i is under the root, which has been asked for; O(log n) */
void att_batch_tree_prove(const AttBatchTree *tree, guint i, AttInclusionProof *ret);

G_END_DECLS
