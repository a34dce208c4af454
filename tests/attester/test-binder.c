/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "attester/binder.h"

#include "codec/claims.h"
#include "crypto/key.h"
#include "ea/authenticator.h"
#include "run.h"

#include <string.h>

/* Computed by another implementation: Python's hashlib. */
static const char evidence_vector[] =
        "d72a5e2aaee27237f0c1d4cef3fe62ae0f8121101d2c09a5413860d99900a057"
        "a3fcd3aa4d8de858d4394c35328dd6afa480ecf1e86c1dcfb143b20e5b2883f0";
static const char cocos_32_vector[] =
        "3d94eea49c580aef816935762be049559d6d1440dede12e6a125f1841fff8e6f"
        "a9d71862a3e5746b571be3d187b0041046f52ebd850c7cbd5fde8ee38473b649";
static const char cocos_48_vector[] =
        "622be417916f1b0e9ce8c952171b11b6d2e2932d6197cc17431b9ffdf03fd0ad"
        "b69b08dedaebdd0f94812bc2c670c894d65165b31d2f2879532f2c14453e6a0e";

static const char batch_7_vector[] =
        "a19d303dd8b7bad6600745c417881a579e9b3b2f29c4dba76530451cdca1ac25"
        "a42760b7c492c0d4c1f499e64e2193406a3fe32c1e0332c8e077faa71b44ec20";

static const uint8_t c_bytes[] = { 0xd9, 0x02, 0x59, 0xa1, 0x0a, 0x44, 0x01, 0x02, 0x03, 0x04 };

static void check_hex(const uint8_t *got, const char *hex) {
        g_autoptr(GString) s = g_string_new(NULL);

        for (guint i = 0; i < ATT_REPORT_DATA_SIZE; i++)
                g_string_append_printf(s, "%02x", got[i]);
        ck_assert_str_eq(s->str, hex);
}

static void fill(uint8_t *binding, gsize size) {
        for (gsize i = 0; i < size; i++)
                binding[i] = (uint8_t) i;
}

/* All 64 bytes, in each profile. */
START_TEST(sc09a_report_data_is_laid_out_as_written) {
        g_autoptr(GBytes) c = g_bytes_new_static(c_bytes, sizeof c_bytes);
        uint8_t binding[ATT_HASH_SIZE_MAX], got[ATT_REPORT_DATA_SIZE], expected[ATT_REPORT_DATA_SIZE] = { 0 };

        att_binder_evidence(c, got);
        check_hex(got, evidence_vector);

        fill(binding, sizeof binding);
        att_binder_batch(7, binding, got);
        check_hex(got, batch_7_vector);

        att_binder_cocos(ATT_HASH_SHA256, binding, got);
        check_hex(got, cocos_32_vector);
        att_binder_cocos(ATT_HASH_SHA384, binding, got);
        check_hex(got, cocos_48_vector);

        memset(got, 0xee, sizeof got);
        fill(expected, 48);
        att_binder_expat_pad(ATT_HASH_SHA384, binding, got);
        ck_assert_mem_eq(got, expected, sizeof got);
}
END_TEST

/* A binding of 32 bytes fills 64, and the other 32 are zeros, whatever lay there before. */
START_TEST(sc08b_a_short_binding_is_padded_to_all_64_bytes) {
        uint8_t binding[ATT_HASH_SIZE_MAX], got[ATT_REPORT_DATA_SIZE], expected[ATT_REPORT_DATA_SIZE] = { 0 };

        memset(binding, 0xff, sizeof binding);
        memset(got, 0xee, sizeof got);
        memset(expected, 0xff, 32);
        att_binder_expat_pad(ATT_HASH_SHA256, binding, got);
        ck_assert_mem_eq(got, expected, sizeof got);

        /* Its good twin: the suite that has 48 bytes has them all in it. */
        memset(expected, 0xff, 48);
        att_binder_expat_pad(ATT_HASH_SHA384, binding, got);
        ck_assert_mem_eq(got, expected, sizeof got);
}
END_TEST

/* The prefix of a binding that was hashed is not a hash of its prefix. */
START_TEST(sc08c_cocos_hashes_the_whole_binding) {
        uint8_t a[ATT_HASH_SIZE_MAX] = { 0 }, b[ATT_HASH_SIZE_MAX] = { 0 };
        uint8_t ra[ATT_REPORT_DATA_SIZE], rb[ATT_REPORT_DATA_SIZE];

        b[47] = 1;
        att_binder_cocos(ATT_HASH_SHA384, a, ra);
        att_binder_cocos(ATT_HASH_SHA384, b, rb);
        ck_assert_mem_ne(ra, rb, sizeof ra);
        att_binder_cocos(ATT_HASH_SHA256, a, ra);
        att_binder_cocos(ATT_HASH_SHA256, b, rb);
        ck_assert_mem_eq(ra, rb, sizeof ra);
}
END_TEST

static GBytes *claims_of(const char *label, const char *unit) {
        g_autoptr(AttClaims) c = g_new0(AttClaims, 1);

        c->caller = g_new0(AttCallerClaims, 1);
        c->caller->label = g_strdup(label);
        c->caller->unit_kind = g_strdup("system");
        c->caller->unit = g_strdup(unit);
        return att_claims_encode(c, NULL);
}

/* Texts of one caller that make one text when they are put together, and two
 * sets of claims all the same. */
START_TEST(sc10_claims_that_concatenate_alike_are_not_alike) {
        g_autoptr(GBytes) a = claims_of("aa", "b.service"), again = claims_of("aa", "b.service");
        g_autoptr(GBytes) b = claims_of("a", "ab.service");
        uint8_t ra[ATT_REPORT_DATA_SIZE], rb[ATT_REPORT_DATA_SIZE];

        ck_assert(a && b && again);
        att_binder_evidence(a, ra);
        att_binder_evidence(b, rb);
        ck_assert_mem_ne(ra, rb, sizeof ra);
        att_binder_evidence(again, rb);
        ck_assert_mem_eq(ra, rb, sizeof ra);
}
END_TEST

/* No input of one form is an input of another: a tag ends where its NUL is. */
START_TEST(sc10_tags_are_no_prefix_of_each_other) {
        static const char evidence[] = ATT_BINDER_TAG_EVIDENCE, batch[] = ATT_BINDER_TAG_BATCH;

        ck_assert_int_ne(memcmp(evidence, batch, MIN(sizeof evidence, sizeof batch)), 0);
        ck_assert_uint_eq(strlen(evidence), sizeof evidence - 1);
        ck_assert_uint_eq(strlen(batch), sizeof batch - 1);
}
END_TEST

/* The draft's Hash(SPKI || exported) has no lengths. It needs none: exported is a
 * suffix of 32 bytes, and SPKI is one DER structure with nothing after it. So the
 * pair that would collide is no pair of an SPKI and an exported value. */
START_TEST(sc10_exempts_spki_and_exported_as_exported_has_one_length) {
        static const uint8_t spki[] = { /* Ed25519, RFC 8032 section 7.1, test 1 */
                0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00, 0xd7, 0x5a, 0x98,
                0x01, 0x82, 0xb1, 0x0a, 0xb7, 0xd5, 0x4b, 0xfe, 0xd3, 0xc9, 0x64, 0x07, 0x3a, 0x0e, 0xe1,
                0x72, 0xf3, 0xda, 0xa6, 0x23, 0x25, 0xaf, 0x02, 0x1a, 0x68, 0xf7, 0x07, 0x51, 0x1a,
        };
        uint8_t exported[ATT_EXPORTED_SIZE], moved[ATT_EXPORTED_SIZE], longer[sizeof spki + 1];
        uint8_t a[ATT_HASH_SIZE_MAX], b[ATT_HASH_SIZE_MAX];
        g_autoptr(GBytes) good = g_bytes_new_static(spki, sizeof spki), bad = NULL;
        g_autoptr(AttKey) key = att_key_from_spki(good, NULL), none = NULL;

        memset(exported, 0x51, sizeof exported);
        memcpy(longer, spki, sizeof spki);
        longer[sizeof spki] = exported[0];
        bad = g_bytes_new(longer, sizeof longer);
        none = att_key_from_spki(bad, NULL);
        ck_assert(key);
        ck_assert(!none);

        /* With 32 bytes each, moving one byte over makes another input. */
        memcpy(moved, exported + 1, sizeof moved - 1);
        moved[sizeof moved - 1] = 0;
        att_ea_binding(ATT_HASH_SHA256, good, exported, a);
        att_ea_binding(ATT_HASH_SHA256, bad, moved, b);
        ck_assert_mem_ne(a, b, 32);
}
END_TEST

int main(void) {
        Suite *s = suite_create("binder");
        TCase *t = tcase_create("binder");

        tcase_add_test(t, sc09a_report_data_is_laid_out_as_written);
        tcase_add_test(t, sc08b_a_short_binding_is_padded_to_all_64_bytes);
        tcase_add_test(t, sc08c_cocos_hashes_the_whole_binding);
        tcase_add_test(t, sc10_claims_that_concatenate_alike_are_not_alike);
        tcase_add_test(t, sc10_tags_are_no_prefix_of_each_other);
        tcase_add_test(t, sc10_exempts_spki_and_exported_as_exported_has_one_length);
        suite_add_tcase(s, t);
        return run_suite(s);
}
