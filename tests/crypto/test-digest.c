/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "crypto/digest.h"

#include "pki.h"
#include "run.h"
#include "util/error.h"

#include <errno.h>
#include <sys/random.h>

/* The kernel's generator, but for what a test has it do. */
static struct {
        int fail_after; /* good calls before the failure; -1: none fails */
        int error;
        int interruptions;
        size_t most; /* bytes a call; 0: as many as asked */
        bool empty;
        int calls;
} kernel;

ssize_t __real_getrandom(void *p, size_t size, unsigned flags);
ssize_t __wrap_getrandom(void *p, size_t size, unsigned flags);

ssize_t __wrap_getrandom(void *p, size_t size, unsigned flags) {
        kernel.calls++;
        if (kernel.interruptions > 0) {
                kernel.interruptions--;
                errno = EINTR;
                return -1;
        }
        if (kernel.fail_after == 0) {
                errno = kernel.error;
                return kernel.empty ? 0 : -1;
        }
        if (kernel.fail_after > 0)
                kernel.fail_after--;
        return __real_getrandom(p, kernel.most ? MIN(size, kernel.most) : size, flags);
}

static void reset_kernel(void) {
        memset(&kernel, 0, sizeof kernel);
        kernel.fail_after = -1;
}

static void assert_hex(const uint8_t *p, size_t size, const char *hex) {
        g_autoptr(GBytes) bytes = g_bytes_new(p, size);
        g_autofree char *found = pki_to_hex(bytes);

        ck_assert_str_eq(found, hex);
}

/* FIPS 180-2, "abc", as parts that split it, an empty one and one of no address among them */
static const AttPart abc[] = { { "a", 1 }, { "", 0 }, { NULL, 0 }, { "bc", 2 } };

START_TEST(hashes_parts_as_if_they_were_one) {
        uint8_t digest[ATT_SHA512_SIZE];

        att_sha256(abc, G_N_ELEMENTS(abc), digest);
        assert_hex(digest, 32, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
        att_hash_parts(ATT_HASH_SHA256, abc, G_N_ELEMENTS(abc), digest);
        assert_hex(digest, 32, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
        att_hash_parts(ATT_HASH_SHA384, abc, G_N_ELEMENTS(abc), digest);
        assert_hex(digest, 48,
                   "cb00753f45a35e8bb5a03d699ac65007272c32ab0eded1631a8b605a43ff5bed"
                   "8086072ba1e7cc2358baeca134c825a7");
        att_sha512(abc, G_N_ELEMENTS(abc), digest);
        assert_hex(digest, 64,
                   "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a"
                   "2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f");
}
END_TEST

START_TEST(hashes_nothing) {
        uint8_t digest[ATT_SHA256_SIZE];

        att_sha256(NULL, 0, digest);
        assert_hex(digest, 32, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
}
END_TEST

/* RFC 4231, case 2 */
START_TEST(computes_the_hmac_of_rfc_4231) {
        const char *data = "what do ya want for nothing?";
        uint8_t mac[ATT_HASH_SIZE_MAX];

        att_hmac(ATT_HASH_SHA256, (const uint8_t *) "Jefe", 4, data, strlen(data), mac);
        assert_hex(mac, 32, "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
        att_hmac(ATT_HASH_SHA384, (const uint8_t *) "Jefe", 4, data, strlen(data), mac);
        assert_hex(mac, 48,
                   "af45d2e376484031617f78d2b58a6b1b9c7ef464f5a01b47e42ec3736322445e"
                   "8e2240ca5e69e2c78b3239ecfab21649");
}
END_TEST

START_TEST(compares) {
        const uint8_t a[4] = { 1, 2, 3, 4 };

        ck_assert(att_equal(a, (uint8_t[]) { 1, 2, 3, 4 }, 4));
        ck_assert(att_equal(a, (uint8_t[]) { 9 }, 0));
        for (size_t i = 0; i < 4; i++) {
                uint8_t b[4] = { 1, 2, 3, 4 };

                b[i] ^= 0x80;
                ck_assert(!att_equal(a, b, 4));
        }
}
END_TEST

START_TEST(cleanses) {
        uint8_t secret[32];

        memset(secret, 0x5a, sizeof secret);
        att_cleanse(secret, sizeof secret);
        for (size_t i = 0; i < sizeof secret; i++)
                ck_assert_uint_eq(secret[i], 0);
}
END_TEST

START_TEST(gets_random_bytes_through_interruptions_and_short_answers) {
        uint8_t a[67] = { 0 }, b[67] = { 0 };

        kernel.interruptions = 2;
        kernel.most = 7;
        ck_assert(att_random(a, sizeof a, NULL));
        ck_assert_int_eq(kernel.calls, 2 + 10);
        kernel.most = 0;
        ck_assert(att_random(b, sizeof b, NULL));
        ck_assert_mem_ne(a, b, sizeof a);
        ck_assert(att_random(b, 0, NULL));
}
END_TEST

START_TEST(sc14c_random_source_that_fails_is_an_error_and_leaves_nothing) {
        const uint8_t nothing[32] = { 0 };
        uint8_t bytes[32];
        g_autoptr(GError) error = NULL;

        memset(bytes, 0x5a, sizeof bytes);
        ck_assert(att_random(bytes, sizeof bytes, NULL));

        kernel.most = 8;
        kernel.fail_after = _i;
        kernel.error = ENOSYS;
        ck_assert(!att_random(bytes, sizeof bytes, &error));
        ck_assert(g_error_matches(error, ATT_ERROR, ATT_ERROR_FAILED));
        ck_assert_mem_eq(bytes, nothing, sizeof bytes);
}
END_TEST

START_TEST(sc14c_random_source_that_gives_nothing_is_an_error) {
        uint8_t bytes[32];
        g_autoptr(GError) error = NULL;

        kernel.fail_after = 0;
        kernel.empty = true;
        kernel.error = EINTR; /* left over from before: it says nothing of this call */
        ck_assert(!att_random(bytes, sizeof bytes, &error));
        ck_assert(g_error_matches(error, ATT_ERROR, ATT_ERROR_FAILED));
        kernel.fail_after = -1;
        ck_assert(att_random(bytes, sizeof bytes, NULL));
}
END_TEST

int main(void) {
        Suite *s = suite_create("digest");
        TCase *t = tcase_create("digest");

        tcase_add_checked_fixture(t, reset_kernel, NULL);
        tcase_add_test(t, hashes_parts_as_if_they_were_one);
        tcase_add_test(t, hashes_nothing);
        tcase_add_test(t, computes_the_hmac_of_rfc_4231);
        tcase_add_test(t, compares);
        tcase_add_test(t, cleanses);
        tcase_add_test(t, gets_random_bytes_through_interruptions_and_short_answers);
        tcase_add_loop_test(t, sc14c_random_source_that_fails_is_an_error_and_leaves_nothing, 0, 4);
        tcase_add_test(t, sc14c_random_source_that_gives_nothing_is_an_error);
        suite_add_tcase(s, t);
        return run_suite(s);
}
