/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "codec/cbor-out.h"
#include "codec/inclusion-proof.h"
#include "exact.h"
#include "run.h"
#include "util/error.h"

/* Nodes of 32 bytes. */
#define N1 "5820 0101010101010101010101010101010101010101010101010101010101010101"
#define N2 "5820 0202020202020202020202020202020202020202020202020202020202020202"
#define N3 "5820 0303030303030303030303030303030303030303030303030303030303030303"
#define SHORT "581f 01010101010101010101010101010101010101010101010101010101010101"
#define LONG "5821 010101010101010101010101010101010101010101010101010101010101010101"

static const struct {
        const char *what;
        const char *hex;
        const char *problem; /* NULL: it is good */
} proofs[] = {
        { "0 of 2", "83 02 00 81" N1, NULL },
        { "1 of 2", "83 02 01 81" N1, NULL },
        { "0 of 3", "83 03 00 82" N1 N2, NULL },
        { "2 of 3, which has one level less", "83 03 02 81" N1, NULL },
        { "4 of 7", "83 07 04 83" N1 N2 N3, NULL },
        { "6 of 7", "83 07 06 82" N1 N2, NULL },
        { "4 of 5", "83 05 04 81" N1, NULL },
        { "the last of the largest but one", "83 1a 0001ffff 1a 0001fffe 90" N1 N1 N1 N1 N1 N1 N1 N1 N1 N1 N1 N1 N1 N1
          N1 N1, NULL },
        { "the first of the largest", "83 1a 00020000 00 91" N1 N1 N1 N1 N1 N1 N1 N1 N1 N1 N1 N1 N1 N1 N1 N1 N1, NULL },
        { "a batch of none", "83 00 00 80", "has 2 to 131072" },
        { "a batch of one", "83 01 00 80", "has 2 to 131072" },
        { "a batch over the limit", "83 1a 00020001 00 92" N1 N1 N1 N1 N1 N1 N1 N1 N1 N1 N1 N1 N1 N1 N1 N1 N1 N1,
          "has 2 to 131072" },
        { "a batch of 2^32 + 2", "83 1b 0000000100000002 00 81" N1, "has 2 to 131072" },
        { "a batch of 2^64 - 1", "83 1b ffffffffffffffff 00 81" N1, "has 2 to 131072" },
        { "an index that is n", "83 02 02 81" N1, "index 2 in a batch of 2" },
        { "an index far out", "83 02 1b ffffffffffffffff 81" N1, "index 18446744073709551615 in a batch of 2" },
        { "an index of 2^32", "83 02 1b 0000000100000000 81" N1, "index 4294967296 in a batch of 2" },
        { "no path", "83 02 00 80", "a path of 0 nodes, but leaf 0 of 2 has one of 1" },
        { "a path too long", "83 02 00 82" N1 N2, "a path of 2 nodes" },
        { "a path too short", "83 03 00 81" N1, "a path of 1 nodes" },
        { "a path too long for the last", "83 03 02 82" N1 N2, "a path of 2 nodes" },
        { "a node that is short", "83 02 00 81" SHORT, "not of 32 bytes" },
        { "a node that is long", "83 02 00 81" LONG, "not of 32 bytes" },
        { "a node that is a number", "83 02 00 81 00", "not of 32 bytes" },
        { "the second node is short", "83 03 00 82" N1 SHORT, "not of 32 bytes" },
        { "a negative index", "83 02 20 81" N1, "not an array of" },
        { "n as text", "83 6132 00 81" N1, "not an array of" },
        { "two fields", "82 02 00", "not an array of" },
        { "four fields", "84 02 00 81" N1 "00", "not an array of" },
        { "a path that is bytes", "83 02 00" N1, "not an array of" },
        { "a map", "a1 02 00", "not an array of" },
        { "a longer head of n", "83 1802 00 81" N1, "" },
        { "a longer head of the array", "9803 02 00 81" N1, "" },
        { "an indefinite path", "83 02 00 9f" N1 "ff", "" },
        { "a tag", "d9d9f7 83 02 00 81" N1, "not an array of" },
        { "a byte more", "83 02 00 81" N1 "00", "" },
        { "nothing", "", "" },
};

START_TEST(reads_or_refuses) {
        g_autoptr(GBytes) bytes = exact_hex(proofs[_i].hex), again = NULL;
        g_autoptr(GError) error = NULL;
        AttInclusionProof p, untouched;
        gboolean good;

        memset(&p, 0xee, sizeof p);
        untouched = p;
        good = att_inclusion_proof_decode(bytes, &p, &error);
        ck_assert_msg(good == !proofs[_i].problem, "%s: %s", proofs[_i].what, error ? error->message : "accepted");
        if (good) {
                again = att_inclusion_proof_encode(&p);
                ck_assert_bytes_eq(again, bytes);
                return;
        }
        ck_assert(g_error_matches(error, ATT_ERROR, ATT_ERROR_BAD_DATA));
        ck_assert_msg(strstr(error->message, proofs[_i].problem) != NULL, "%s: %s", proofs[_i].what, error->message);
        ck_assert_mem_eq(&p, &untouched, sizeof p);
}
END_TEST

START_TEST(refuses_every_prefix) {
        g_autoptr(GBytes) bytes = exact_hex("83 19 1000 19 0fff 8c" N1 N2 N3 N1 N2 N3 N1 N2 N3 N1 N2 N3);
        AttInclusionProof p;

        ck_assert(att_inclusion_proof_decode(bytes, &p, NULL));
        for (size_t n = 0; n < g_bytes_get_size(bytes); n++) {
                g_autoptr(GBytes) prefix = exact_prefix(bytes, n);

                ck_assert_msg(!att_inclusion_proof_decode(prefix, &p, NULL), "%zu bytes", n);
        }
}
END_TEST

/* RFC 9162 section 2.1.3.1, word for word. */
static guint length_by_definition(uint32_t n, uint32_t m) {
        uint32_t k = 1;

        if (n == 1)
                return 0;
        while (2 * k < n)
                k *= 2;
        return 1 + (m < k ? length_by_definition(k, m) : length_by_definition(n - k, m - k));
}

START_TEST(has_the_length_that_the_rfc_gives) {
        g_autoptr(GRand) rand = g_rand_new_with_seed(9162);

        for (uint32_t n = 1; n <= 300; n++)
                for (uint32_t i = 0; i < n; i++)
                        ck_assert_uint_eq(att_inclusion_proof_length(n, i), length_by_definition(n, i));
        for (guint k = 0; k < 20000; k++) {
                uint32_t n = (uint32_t) g_rand_int_range(rand, 2, ATT_BATCH_MAX + 1);
                uint32_t i = (uint32_t) g_rand_int_range(rand, 0, (gint32) n);

                ck_assert_uint_eq(att_inclusion_proof_length(n, i), length_by_definition(n, i));
        }
        ck_assert_uint_eq(att_inclusion_proof_length(ATT_BATCH_MAX, ATT_BATCH_MAX - 1), ATT_PROOF_PATH_MAX);
        ck_assert_uint_eq(att_inclusion_proof_length(0, 0), 0);
        ck_assert_uint_eq(att_inclusion_proof_length(7, 7), 0);
        ck_assert_uint_eq(att_inclusion_proof_length(UINT32_MAX, UINT32_MAX), 0);
}
END_TEST

int main(void) {
        Suite *s = suite_create("inclusion-proof");
        TCase *t = tcase_create("inclusion-proof");

        tcase_add_loop_test(t, reads_or_refuses, 0, (int) G_N_ELEMENTS(proofs));
        tcase_add_test(t, refuses_every_prefix);
        tcase_add_test(t, has_the_length_that_the_rfc_gives);
        suite_add_tcase(s, t);
        return run_suite(s);
}
