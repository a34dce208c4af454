/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the attester remembers of keys and contexts. */
#include "attester/key-memo.h"
#include "ea/used-contexts.h"
#include "run.h"

#include <string.h>

START_TEST(a_key_is_known_by_all_of_its_digest_and_its_hash) {
        g_autofree AttKeyMemo *memo = g_new0(AttKeyMemo, 1);
        uint8_t digest[ATT_HASH_SIZE_MAX] = { 0 };

        ck_assert(!att_key_memo_has(memo, ATT_HASH_SHA256, digest)); /* also not all zero */
        for (guint i = 0; i < sizeof digest; i++)
                digest[i] = (uint8_t) (i * 7);
        att_key_memo_add(memo, ATT_HASH_SHA256, digest);
        ck_assert(att_key_memo_has(memo, ATT_HASH_SHA256, digest));
        ck_assert(!att_key_memo_has(memo, ATT_HASH_SHA384, digest));
        for (guint i = 0; i < 32 * 8; i++) {
                digest[i / 8] ^= (uint8_t) (1u << i % 8);
                ck_assert(!att_key_memo_has(memo, ATT_HASH_SHA256, digest));
                digest[i / 8] ^= (uint8_t) (1u << i % 8);
        }
        ck_assert(att_key_memo_has(memo, ATT_HASH_SHA256, digest));
}
END_TEST

START_TEST(the_newest_keys_of_a_set_stay) {
        g_autofree AttKeyMemo *memo = g_new0(AttKeyMemo, 1);
        uint8_t digest[ATT_HASH_SIZE_MAX] = { 1 };

        for (guint i = 0; i < 10; i++) {
                digest[31] = (uint8_t) i;
                att_key_memo_add(memo, ATT_HASH_SHA256, digest);
                for (guint k = 0; k <= i; k++) {
                        digest[31] = (uint8_t) k;
                        ck_assert(att_key_memo_has(memo, ATT_HASH_SHA256, digest) == (k + ATT_KEY_MEMO_WAYS > i));
                }
        }
}
END_TEST

static AttUsedContext context(guint n) {
        return att_used_context(&n, sizeof n);
}

/* Against a set of GLib's. */
START_TEST(contexts_are_used_once_until_they_are_given_back) {
        AttUsedContexts used = { 0 };
        g_autoptr(GHashTable) expected = g_hash_table_new(NULL, NULL);
        guint32 seed = g_random_int();
        g_autoptr(GRand) rand = g_rand_new_with_seed(seed);

        for (guint i = 0; i < 20000; i++) {
                guint n = (guint) g_rand_int_range(rand, 0, 2000);
                AttUsedContext c = context(n);

                if (g_rand_int_range(rand, 0, 3) > 0) {
                        bool is_new = g_hash_table_add(expected, GUINT_TO_POINTER(n));

                        ck_assert_msg(att_used_contexts_add(&used, &c) == is_new, "seed %u", seed);
                } else {
                        (void) g_hash_table_remove(expected, GUINT_TO_POINTER(n));
                        att_used_contexts_remove(&used, &c);
                }
                ck_assert_msg(used.n == g_hash_table_size(expected), "seed %u", seed);
        }
        for (guint n = 0; n < 2000; n++) {
                AttUsedContext c = context(n);

                ck_assert(att_used_contexts_add(&used, &c) != g_hash_table_contains(expected, GUINT_TO_POINTER(n)));
        }
        att_used_contexts_clear(&used);
        ck_assert_uint_eq(used.n, 0);
}
END_TEST

START_TEST(contexts_of_any_size_are_told_apart) {
        static const uint8_t bytes[255];
        AttUsedContexts used = { 0 };

        for (gsize size = 1; size <= sizeof bytes; size++) {
                AttUsedContext c = att_used_context(bytes, size);

                ck_assert(att_used_contexts_add(&used, &c));
                ck_assert(!att_used_contexts_add(&used, &c));
        }
        att_used_contexts_clear(&used);
}
END_TEST

int main(void) {
        Suite *s = suite_create("memory");
        TCase *t = tcase_create("memory");

        tcase_add_test(t, a_key_is_known_by_all_of_its_digest_and_its_hash);
        tcase_add_test(t, the_newest_keys_of_a_set_stay);
        tcase_add_test(t, contexts_are_used_once_until_they_are_given_back);
        tcase_add_test(t, contexts_of_any_size_are_told_apart);
        suite_add_tcase(s, t);
        return run_suite(s);
}
