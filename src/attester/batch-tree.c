/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "attester/batch-tree.h"

#include "crypto/digest.h"

/* What tells a leaf from a node, so that none passes for the other. */
static const uint8_t leaf_prefix = 0, node_prefix = 1;

G_STATIC_ASSERT(ATT_SHA256_SIZE == ATT_PROOF_NODE_SIZE);

/* Level by level, the leaves first. The last node of a level of odd length has no
 * sibling and is the same node one level up: that is the tree of the RFC, which
 * splits off the largest power of two. */
struct AttBatchTree {
        guint n;
        AttSha256 *sha256;
        const uint8_t (*root)[ATT_PROOF_NODE_SIZE]; /* in @nodes; NULL: not computed */
        uint8_t nodes[][ATT_PROOF_NODE_SIZE];
};

static guint parents_of(guint n) {
        return n / 2 + n % 2;
}

AttBatchTree *att_batch_tree_new(guint n) {
        AttBatchTree *tree;
        gsize nodes = n;

        g_return_val_if_fail(n >= ATT_BATCH_MIN && n <= ATT_BATCH_MAX, NULL);
        for (guint level = n; level > 1; level = parents_of(level))
                nodes += parents_of(level);
        tree = g_malloc(sizeof *tree + nodes * ATT_PROOF_NODE_SIZE);
        *tree = (AttBatchTree) { .n = n, .sha256 = att_sha256_new() };
        return tree;
}

void att_batch_tree_free(AttBatchTree *tree) {
        if (!tree)
                return;
        att_sha256_free(tree->sha256);
        g_free(tree);
}

void att_batch_tree_set(AttBatchTree *tree, guint i, GBytes *claims) {
        gsize size;
        const void *data = g_bytes_get_data(claims, &size);

        g_return_if_fail(i < tree->n && !tree->root);
        att_sha256_digest(tree->sha256, (AttPart[]) { { &leaf_prefix, 1 }, { data, size } }, 2, tree->nodes[i]);
}

static void hash_level(AttBatchTree *tree, const uint8_t (*below)[ATT_PROOF_NODE_SIZE], guint n,
                       uint8_t (*ret)[ATT_PROOF_NODE_SIZE]) {
        guint i = 0;

        for (; i < n / 2; i++)
                att_sha256_digest(tree->sha256,
                                  (AttPart[]) { { &node_prefix, 1 }, { below[2 * i], 2 * ATT_PROOF_NODE_SIZE } }, 2,
                                  ret[i]);
        if (n % 2 == 1)
                memcpy(ret[i], below[2 * i], ATT_PROOF_NODE_SIZE);
}

void att_batch_tree_root(AttBatchTree *tree, uint8_t ret[ATT_PROOF_NODE_SIZE]) {
        uint8_t (*level)[ATT_PROOF_NODE_SIZE] = tree->nodes;

        if (!tree->root) {
                for (guint n = tree->n; n > 1; n = parents_of(n)) {
                        hash_level(tree, level, n, level + n);
                        level += n;
                }
                tree->root = level;
        }
        memcpy(ret, tree->root, ATT_PROOF_NODE_SIZE);
}

void att_batch_tree_prove(const AttBatchTree *tree, guint i, AttInclusionProof *ret) {
        const uint8_t (*level)[ATT_PROOF_NODE_SIZE] = tree->nodes;

        g_return_if_fail(i < tree->n && tree->root);
        ret->n = tree->n;
        ret->index = i;
        ret->path_length = 0;
        for (guint n = tree->n; n > 1; n = parents_of(n), i /= 2) {
                guint sibling = i ^ 1;

                if (sibling < n)
                        memcpy(ret->path[ret->path_length++], level[sibling], ATT_PROOF_NODE_SIZE);
                level += n;
        }
}
