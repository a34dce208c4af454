/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Proofs of the attester's tree against the verifier's way up, which share no code. */
#include "attester/batch-tree.h"
#include "attester/binder.h"
#include "run.h"
#include "verifier/report-data.h"

#include <string.h>

/* Stands for C of request @i. */
static GBytes *claims_of(guint i) {
        char text[32];

        return g_bytes_new(text, (gsize) g_snprintf(text, sizeof text, "C of request %u", i));
}

/* A batch as the attester closes it. */
typedef struct Batch {
        guint n;
        GPtrArray *claims;
        AttBatchTree *tree;
        uint8_t root[32];
        uint8_t r[ATT_REPORT_DATA_SIZE];
} Batch;

static void batch_clear(Batch *b) {
        g_ptr_array_unref(b->claims);
        att_batch_tree_free(b->tree);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Batch, batch_clear)

static Batch batch_of(guint n) {
        Batch b = {
                .n = n,
                .claims = g_ptr_array_new_with_free_func((GDestroyNotify) g_bytes_unref),
                .tree = att_batch_tree_new(n),
        };

        for (guint i = 0; i < n; i++) {
                g_ptr_array_add(b.claims, claims_of(i));
                att_batch_tree_set(b.tree, i, b.claims->pdata[i]);
        }
        att_batch_tree_root(b.tree, b.root);
        att_binder_batch(n, b.root, b.r);
        return b;
}

static bool is_in(const Batch *b, GBytes *claims, const AttInclusionProof *proof) {
        uint8_t r[ATT_REPORT_DATA_SIZE];

        att_report_data_batch(claims, proof, r);
        return memcmp(r, b->r, sizeof r) == 0;
}

/* Every other index, and n, that a path of this length could be of. */
static void assert_has_one_place(const Batch *b, guint i, const AttInclusionProof *proof) {
        AttInclusionProof p = *proof;

        for (p.index = 0; p.index < b->n; p.index++)
                if (p.index != i && att_inclusion_proof_length(p.n, p.index) == p.path_length)
                        ck_assert_msg(!is_in(b, b->claims->pdata[i], &p), "%u of %u at %u", i, b->n, p.index);
        p.index = i;
        for (p.n = MAX(i + 1, ATT_BATCH_MIN); p.n <= 2 * b->n + 1; p.n++)
                if (p.n != b->n && att_inclusion_proof_length(p.n, i) == p.path_length)
                        ck_assert_msg(!is_in(b, b->claims->pdata[i], &p), "%u of %u as of %u", i, b->n, p.n);
}

static void assert_each_node_counts(const Batch *b, guint i, const AttInclusionProof *proof, GRand *rand) {
        for (guint k = 0; k < proof->path_length; k++) {
                AttInclusionProof p = *proof;

                p.path[k][g_rand_int_range(rand, 0, ATT_PROOF_NODE_SIZE)] ^= (uint8_t) g_rand_int_range(rand, 1, 256);
                ck_assert_msg(!is_in(b, b->claims->pdata[i], &p), "%u of %u, node %u", i, b->n, k);
        }
        if (proof->path_length > 1) {
                AttInclusionProof p = *proof;

                memcpy(p.path[0], proof->path[1], ATT_PROOF_NODE_SIZE);
                memcpy(p.path[1], proof->path[0], ATT_PROOF_NODE_SIZE);
                ck_assert_msg(!is_in(b, b->claims->pdata[i], &p), "%u of %u, in another order", i, b->n);
        }
}

static void check_leaf(const Batch *b, guint i, bool thoroughly, GRand *rand) {
        AttInclusionProof proof;

        att_batch_tree_prove(b->tree, i, &proof);
        ck_assert_msg(is_in(b, b->claims->pdata[i], &proof), "%u of %u", i, b->n);
        ck_assert_msg(!is_in(b, b->claims->pdata[(i + 1) % b->n], &proof), "%u of %u: of the next", i, b->n);
        if (thoroughly) {
                assert_has_one_place(b, i, &proof);
                assert_each_node_counts(b, i, &proof, rand);
        }
}

START_TEST(every_leaf_verifies_and_nothing_else_for_every_n_up_to_300) {
        const bool all = g_getenv("ATTESTD_TEST_LONG") != NULL;
        g_autoptr(GRand) rand = g_rand_new_with_seed(38);

        for (guint n = 2; n <= 300; n++) {
                g_auto(Batch) b = batch_of(n);

                for (guint i = 0; i < n; i++)
                        check_leaf(&b, i, all || n <= 32 || i + 1 == n || i == n / 2, rand);
        }
}
END_TEST

START_TEST(every_leaf_verifies_and_nothing_else_for_random_large_n) {
        const guint32 seed = g_random_int();
        const guint rounds = g_getenv("ATTESTD_TEST_LONG") ? 200 : 3;
        g_autoptr(GRand) rand = g_rand_new_with_seed(seed);

        g_print("seed %u\n", seed);
        for (guint k = 0; k < rounds; k++) {
                g_auto(Batch) b = batch_of((guint) g_rand_int_range(rand, 301, 20000));

                for (guint j = 0; j < 500; j++)
                        check_leaf(&b, (guint) g_rand_int_range(rand, 0, (gint32) b.n), j == 0, rand);
                check_leaf(&b, b.n - 1, false, rand);
        }
}
END_TEST

START_TEST(the_largest_batch_verifies) {
        g_autoptr(GRand) rand = g_rand_new_with_seed(38);
        g_auto(Batch) b = batch_of(ATT_BATCH_MAX);
        AttInclusionProof proof;

        for (guint j = 0; j < 200; j++)
                check_leaf(&b, (guint) g_rand_int_range(rand, 0, ATT_BATCH_MAX), false, rand);
        check_leaf(&b, 0, false, rand);
        att_batch_tree_prove(b.tree, ATT_BATCH_MAX - 1, &proof);
        ck_assert_uint_eq(proof.path_length, ATT_PROOF_PATH_MAX);
        ck_assert(is_in(&b, b.claims->pdata[ATT_BATCH_MAX - 1], &proof));
        assert_each_node_counts(&b, ATT_BATCH_MAX - 1, &proof, rand);
}
END_TEST

/* A report is over one n and one root. Another tree whose inner node is a leaf of
 * this one, a tree that is a half of it, or one twice as large, has another R; so
 * has the plain form. */
START_TEST(no_two_trees_are_under_one_report) {
        g_auto(Batch) b = batch_of(8);
        g_auto(Batch) other = batch_of(9);
        AttInclusionProof proof, p;
        g_autoptr(GBytes) node = NULL;
        uint8_t r[ATT_REPORT_DATA_SIZE], both[1 + 64] = { 0x01 };

        att_batch_tree_prove(b.tree, 0, &proof);
        ck_assert(is_in(&b, b.claims->pdata[0], &proof));

        /* A proof of the other, which has the same C at the same place. */
        att_batch_tree_prove(other.tree, 0, &p);
        ck_assert(is_in(&other, other.claims->pdata[0], &p));
        ck_assert(!is_in(&b, other.claims->pdata[0], &p));

        /* The left half as a tree of its own: its root is a node, and no root, of this one. */
        p = proof;
        p.n = 4;
        p.path_length--;
        ck_assert(!is_in(&b, b.claims->pdata[0], &p));

        /* What two leaves are hashed as, given for one C: a leaf has another prefix, with the node's and without. */
        p = proof;
        p.n = 4;
        p.path_length--;
        memmove(p.path, proof.path + 1, sizeof p.path - sizeof *p.path);
        att_batch_tree_prove(b.tree, 1, &proof);
        memcpy(both + 1, proof.path[0], 32);
        att_batch_tree_prove(b.tree, 0, &proof);
        memcpy(both + 33, proof.path[0], 32);
        for (guint from = 0; from < 2; from++) {
                g_autoptr(GBytes) forged = g_bytes_new(both + from, sizeof both - from);

                ck_assert(!is_in(&b, forged, &p));
                p.n = 8;
                ck_assert(!is_in(&b, forged, &p));
                p.n = 4;
        }

        /* What R is made of, as a C of the plain form. */
        node = g_bytes_new(b.root, sizeof b.root);
        att_report_data_evidence(node, r);
        ck_assert_mem_ne(r, b.r, sizeof r);
        att_report_data_evidence(b.claims->pdata[0], r);
        ck_assert_mem_ne(r, b.r, sizeof r);
}
END_TEST

int main(void) {
        Suite *s = suite_create("batch");
        TCase *t = tcase_create("batch");

        tcase_set_timeout(t, 600);
        tcase_add_test(t, every_leaf_verifies_and_nothing_else_for_every_n_up_to_300);
        tcase_add_test(t, every_leaf_verifies_and_nothing_else_for_random_large_n);
        tcase_add_test(t, the_largest_batch_verifies);
        tcase_add_test(t, no_two_trees_are_under_one_report);
        suite_add_tcase(s, t);
        return run_suite(s);
}
