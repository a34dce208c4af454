/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "attester/batch-tree.h"
#include "crypto/digest.h"
#include "run.h"

#include <string.h>

/* Stands for C of request @i. */
static GBytes *claims_of(guint i) {
        char text[32];

        return g_bytes_new(text, (gsize) g_snprintf(text, sizeof text, "C of request %u", i));
}

static AttBatchTree *tree_of(guint n) {
        AttBatchTree *tree = att_batch_tree_new(n);

        for (guint i = 0; i < n; i++) {
                g_autoptr(GBytes) claims = claims_of(i);

                att_batch_tree_set(tree, i, claims);
        }
        return tree;
}

/* RFC 9162 sections 2.1.1 and 2.1.3.1, as they are written: nothing of how the tree is kept. */
static guint split(guint n) {
        guint k = 1;

        while (2 * k < n)
                k *= 2;
        return k;
}

static void mth(guint from, guint n, uint8_t ret[32]) {
        if (n == 1) {
                g_autoptr(GBytes) c = claims_of(from);

                att_sha256((AttPart[]) { { "\0", 1 }, { g_bytes_get_data(c, NULL), g_bytes_get_size(c) } }, 2, ret);
        } else {
                uint8_t both[64];
                guint k = split(n);

                mth(from, k, both);
                mth(from + k, n - k, both + 32);
                att_sha256((AttPart[]) { { "\1", 1 }, { both, sizeof both } }, 2, ret);
        }
}

static guint path(guint m, guint from, guint n, uint8_t (*ret)[32]) {
        guint k, length;

        if (n == 1)
                return 0;
        k = split(n);
        length = m < k ? path(m, from, k, ret) : path(m - k, from + k, n - k, ret);
        if (m < k)
                mth(from + k, n - k, ret[length]);
        else
                mth(from, k, ret[length]);
        return length + 1;
}

static void assert_is_path(const AttInclusionProof *p, guint n, guint i) {
        uint8_t expected[ATT_PROOF_PATH_MAX][32];

        ck_assert_uint_eq(p->n, n);
        ck_assert_uint_eq(p->index, i);
        ck_assert_uint_eq(p->path_length, path(i, 0, n, expected));
        ck_assert_uint_eq(p->path_length, att_inclusion_proof_length(n, i));
        ck_assert_mem_eq(p->path, expected, p->path_length * 32);
}

START_TEST(is_the_tree_of_the_rfc_for_every_n_up_to_300) {
        const bool all = g_getenv("ATTESTD_TEST_LONG") != NULL;

        for (guint n = 2; n <= 300; n++) {
                g_autoptr(AttBatchTree) tree = tree_of(n);
                uint8_t root[32], expected[32];

                att_batch_tree_root(tree, root);
                mth(0, n, expected);
                ck_assert_mem_eq(root, expected, 32);
                /* By definition a path costs n hashes: all of the small ones, and of the others both ends. */
                for (guint i = 0; i < n; i++)
                        if (all || n <= 40 || i < 2 || i + 2 >= n) {
                                AttInclusionProof p;

                                att_batch_tree_prove(tree, i, &p);
                                assert_is_path(&p, n, i);
                        }
        }
}
END_TEST

START_TEST(is_the_tree_of_the_rfc_for_the_largest) {
        static const guint sizes[] = { ATT_BATCH_MAX, ATT_BATCH_MAX - 1, ATT_BATCH_MAX / 2 + 1 };
        const guint n = sizes[_i];
        g_autoptr(AttBatchTree) tree = tree_of(n);
        uint8_t root[32], again[32], expected[32];
        AttInclusionProof p;

        att_batch_tree_root(tree, root);
        mth(0, n, expected);
        ck_assert_mem_eq(root, expected, 32);
        att_batch_tree_root(tree, again);
        ck_assert_mem_eq(again, expected, 32);
        att_batch_tree_prove(tree, n - 1, &p);
        assert_is_path(&p, n, n - 1);
}
END_TEST

/* The order in which leaves come makes no difference, and neither does what stood in the memory. */
START_TEST(takes_leaves_in_any_order) {
        g_autoptr(AttBatchTree) forward = tree_of(11), backward = att_batch_tree_new(11);
        uint8_t a[32], b[32];

        for (guint i = 11; i-- > 0;) {
                g_autoptr(GBytes) other = claims_of(i + 1), claims = claims_of(i);

                att_batch_tree_set(backward, i, other);
                att_batch_tree_set(backward, i, claims);
        }
        att_batch_tree_root(forward, a);
        att_batch_tree_root(backward, b);
        ck_assert_mem_eq(a, b, 32);
}
END_TEST

/* Computed by another implementation, of Python's hashlib: C_i is the byte i, n is 7. */
START_TEST(has_the_root_that_another_implementation_computes) {
        static const char expected[] = "3560191803028444b232018ac047fdb561c09c23a7a6876c85e08b5e4d48e9f3";
        g_autoptr(AttBatchTree) tree = att_batch_tree_new(7);
        g_autoptr(GString) hex = g_string_new(NULL);
        uint8_t root[32];

        for (guint8 i = 0; i < 7; i++) {
                g_autoptr(GBytes) claims = g_bytes_new(&i, 1);

                att_batch_tree_set(tree, i, claims);
        }
        att_batch_tree_root(tree, root);
        for (guint i = 0; i < sizeof root; i++)
                g_string_append_printf(hex, "%02x", root[i]);
        ck_assert_str_eq(hex->str, expected);
}
END_TEST

int main(void) {
        Suite *s = suite_create("batch-tree");
        TCase *t = tcase_create("batch-tree");

        tcase_set_timeout(t, 120);
        tcase_add_test(t, is_the_tree_of_the_rfc_for_every_n_up_to_300);
        tcase_add_loop_test(t, is_the_tree_of_the_rfc_for_the_largest, 0, 3);
        tcase_add_test(t, takes_leaves_in_any_order);
        tcase_add_test(t, has_the_root_that_another_implementation_computes);
        suite_add_tcase(s, t);
        return run_suite(s);
}
