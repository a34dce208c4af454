/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A quote against what C says of it, and an AK against the paravisor's claims. */
#include "verifier/tpm.h"

#include "crypto/digest.h"
#include "quoter.h"
#include "run.h"
#include "util/error.h"

static Quoter *quoter;
static AttTpmEvidence *evidence;
static GBytes *ak_name, *nothing;
static uint8_t r[64], value[32];

static void setup(void) {
        memset(r, 0x5a, sizeof r);
        memset(value, 0x10, sizeof value);
        quoter = quoter_new(ATT_TPM_P256, 0, QUOTER_AK);
        ak_name = quoter_name(quoter);
        nothing = g_bytes_new(NULL, 0);
        evidence = quoter_quote(quoter, r, ATT_BANK_SHA256, value);
}

static void teardown(void) {
        att_tpm_evidence_free(evidence);
        g_bytes_unref(ak_name);
        g_bytes_unref(nothing);
        quoter_free(quoter);
}

static bool verify(const AttTpmEvidence *e, AttTpmVerified *ret) {
        return att_tpm_quote_verify(e, r, ak_name, ATT_BANK_SHA256, ret, NULL);
}

static bool is_good(const AttTpmEvidence *e) {
        AttTpmVerified v;

        return verify(e, &v);
}

/* @e is refused, and its sentence has @says. */
static void check_refused(const AttTpmEvidence *e, const char *says) {
        g_autoptr(GError) error = NULL;
        AttTpmVerified v = { .clock = 77 };

        ck_assert_msg(!att_tpm_quote_verify(e, r, ak_name, ATT_BANK_SHA256, &v, &error), "accepted: %s", says);
        ck_assert(g_error_matches(error, ATT_ERROR, ATT_ERROR_REFUSED));
        ck_assert_msg(strstr(error->message, says), "%s: %s", says, error->message);
        ck_assert_uint_eq(v.clock, 77);
}

START_TEST(a_quote_says_what_pcr_10_was) {
        AttTpmVerified v;

        ck_assert(verify(evidence, &v));
        ck_assert_int_eq(v.bank, ATT_BANK_SHA256);
        ck_assert_uint_eq(v.clock, 1000);
        ck_assert_uint_eq(v.reset_count, 7);
        ck_assert(att_tpm_verified_is_over(&v, value));
        for (size_t i = 0; i < sizeof value; i++) {
                value[i] ^= 1;
                ck_assert(!att_tpm_verified_is_over(&v, value));
                value[i] ^= 1;
        }
}
END_TEST

START_TEST(no_byte_of_a_quote_may_change) {
        GBytes **const parts[] = { &evidence->attest, &evidence->ak_public, &evidence->signature };

        ck_assert(is_good(evidence));
        for (size_t p = 0; p < G_N_ELEMENTS(parts); p++) {
                GBytes *good = *parts[p];
                size_t size;
                const uint8_t *data = g_bytes_get_data(good, &size);

                for (size_t i = 0; i < size; i++) {
                        g_autofree uint8_t *copy = g_memdup2(data, size);

                        copy[i] ^= 0x20;
                        *parts[p] = g_bytes_new_static(copy, size);
                        ck_assert_msg(!is_good(evidence), "part %zu, byte %zu", p, i);
                        g_bytes_unref(*parts[p]);
                }
                *parts[p] = good;
        }
}
END_TEST

START_TEST(a_quote_made_for_other_evidence_is_refused) {
        for (size_t i = 0; i < sizeof r; i++) {
                ck_assert(is_good(evidence));
                r[i] ^= 1;
                check_refused(evidence, "extraData");
                r[i] ^= 1;
        }
}
END_TEST

START_TEST(a_quote_by_another_key_than_the_claims_name_is_refused) {
        g_autoptr(Quoter) other = quoter_new(ATT_TPM_P256, 0, QUOTER_AK);
        g_autoptr(AttTpmEvidence) foreign = quoter_quote(other, r, ATT_BANK_SHA256, value);
        g_autoptr(GBytes) its_name = quoter_name(other);
        AttTpmVerified v;

        check_refused(foreign, "another key than the claims name");
        ck_assert(att_tpm_quote_verify(foreign, r, its_name, ATT_BANK_SHA256, &v, NULL));
        ck_assert(!att_tpm_quote_verify(foreign, r, NULL, ATT_BANK_SHA256, &v, NULL)); /* they name none */

        /* The name of one, the signature of the other. */
        g_autoptr(GBytes) kept = evidence->signature;
        evidence->signature = g_bytes_ref(foreign->signature);
        check_refused(evidence, "signature is wrong");
}
END_TEST

START_TEST(a_key_that_signs_anything_is_no_ak) {
        static const uint32_t lacking[] = { ATT_TPM_RESTRICTED, ATT_TPM_FIXED_TPM };

        for (size_t i = 0; i < G_N_ELEMENTS(lacking); i++) {
                g_autoptr(Quoter) other = quoter_new(ATT_TPM_P256, 0, QUOTER_AK & ~lacking[i]);
                g_autoptr(AttTpmEvidence) e = quoter_quote(other, r, ATT_BANK_SHA256, value);

                g_bytes_unref(ak_name);
                ak_name = quoter_name(other);
                check_refused(e, "signs what others have made");
        }
}
END_TEST

/* A quote that says something else than the good one, signed by the AK all the same. */
static void check_says(void (*change)(QuoterSays *says), const char *expected) {
        AttTpmQuote q;

        ck_assert(att_tpm_quote_parse(evidence->attest, &q, NULL));
        g_autoptr(GBytes) extra_data = att_cursor_dup(&q.extra_data), pcr_digest = att_cursor_dup(&q.pcr_digest);
        QuoterSays says = { .magic = 0xff544347, .type = 0x8018, .extra_data = extra_data, .n_selections = 1,
                            .bank = ATT_BANK_SHA256, .pcrs = 1u << 10, .pcr_digest = pcr_digest };

        if (change)
                change(&says);
        g_autoptr(GBytes) attest = quoter_attest(&says);
        g_autoptr(GBytes) signature = quoter_sign(quoter, attest, ATT_TPM_ECDSA, ATT_BANK_SHA256);
        const AttTpmEvidence e = { .attest = attest, .signature = signature, .ak_public = evidence->ak_public };

        if (change)
                check_refused(&e, expected);
        else
                ck_assert(is_good(&e));
}

static void with_magic(QuoterSays *says) { says->magic = 0xff544348; }
static void with_type(QuoterSays *says) { says->type = 0x8017; }
static void with_no_selection(QuoterSays *says) { says->n_selections = 0; }
static void with_two_selections(QuoterSays *says) { says->n_selections = 2; }
static void with_another_bank(QuoterSays *says) { says->bank = ATT_BANK_SHA384; }
static void with_more_pcrs(QuoterSays *says) { says->pcrs |= 1; }
static void with_another_pcr(QuoterSays *says) { says->pcrs = 1u << 11; }
static void with_no_pcr(QuoterSays *says) { says->pcrs = 0; }
static void with_short_extra_data(QuoterSays *says) { says->extra_data = nothing; }
static void with_a_short_digest(QuoterSays *says) { says->pcr_digest = nothing; }

START_TEST(what_is_signed_must_be_this_quote) {
        static const struct {
                void (*change)(QuoterSays *says);
                const char *says;
        } cases[] = {
                { NULL, NULL },
                { with_magic, "magic" },
                { with_type, "its type is 0x8017" },
                { with_no_selection, "0 selections" },
                { with_two_selections, "2 selections" },
                { with_another_bank, "another bank" },
                { with_more_pcrs, "PCR 10 alone" },
                { with_another_pcr, "PCR 10 alone" },
                { with_no_pcr, "PCR 10 alone" },
                { with_short_extra_data, "extraData" },
                { with_a_short_digest, "digest has another size" },
        };

        for (size_t i = 0; i < G_N_ELEMENTS(cases); i++)
                check_says(cases[i].change, cases[i].says);
}
END_TEST

/* ----- the paravisor */

static char *jwk_of(GBytes *public, const char *kid) {
        g_autofree char *n = NULL;
        AttTpmPublic p;

        ck_assert(att_tpm_public_parse(public, &p, NULL));
        n = g_base64_encode(p.modulus.at, p.modulus.left);
        g_strdelimit(g_strdelimit(n, "+", '-'), "/", '_');
        *strchrnul(n, '=') = '\0';
        return g_strdup_printf("{\"kid\":\"%s\",\"kty\":\"RSA\",\"e\":\"AQAB\",\"n\":\"%s\"}", kid, n);
}

static bool is_of(GBytes *public, const char *claims, const char *signed_claims, const char *says) {
        const AttHclReport hcl = { .type = ATT_HCL_SNP, .hash = ATT_HCL_SHA256,
                                   .runtime_claims = att_cursor(claims, strlen(claims)) };
        const AttPart part = { signed_claims, strlen(signed_claims) };
        uint8_t report_data[64] = { 0 };
        g_autoptr(GError) error = NULL;
        bool yes;

        att_sha256(&part, 1, report_data);
        yes = att_tpm_ak_is_of_hcl(public, &hcl, report_data, &error);
        if (!yes) {
                ck_assert(g_error_matches(error, ATT_ERROR, ATT_ERROR_REFUSED));
                ck_assert_msg(says && strstr(error->message, says), "%s", error->message);
        }

        report_data[63] ^= 1; /* of the zeros behind the hash */
        ck_assert(!att_tpm_ak_is_of_hcl(public, &hcl, report_data, NULL));
        return yes;
}

START_TEST(an_ak_is_the_paravisor_s_if_signed_claims_name_it) {
        g_autoptr(Quoter) rsa = quoter_new(ATT_TPM_RSA, 2048, QUOTER_AK);
        g_autoptr(Quoter) other = quoter_new(ATT_TPM_RSA, 2048, QUOTER_AK);
        g_autoptr(GBytes) ak = quoter_public(rsa), another = quoter_public(other), ecc = quoter_public(quoter);
        g_autofree char *jwk = jwk_of(ak, "HCLAkPub"), *ek = jwk_of(ak, "HCLEkPub");
        g_autofree char *good = g_strdup_printf("{\"keys\":[%s]}", jwk);
        g_autofree char *twice = g_strdup_printf("{\"keys\":[%s,%s]}", jwk, jwk);
        g_autofree char *only_ek = g_strdup_printf("{\"keys\":[%s]}", ek);

        ck_assert(is_of(ak, good, good, NULL));
        ck_assert(!is_of(another, good, good, "another key than the paravisor names"));
        ck_assert(!is_of(ecc, good, good, "another key than the paravisor names"));
        ck_assert(!is_of(ak, good, "{}", "not over the paravisor's claims"));
        ck_assert(!is_of(ak, twice, twice, "do not name one"));
        ck_assert(!is_of(ak, only_ek, only_ek, "do not name one"));
        ck_assert(!is_of(ak, "{}", "{}", "do not name one"));
        ck_assert(!is_of(ak, "", "", ""));
        ck_assert(!is_of(ak, "[1", "[1", ""));
}
END_TEST

START_TEST(a_key_of_the_paravisor_that_signs_anything_is_no_ak) {
        g_autoptr(Quoter) rsa = quoter_new(ATT_TPM_RSA, 2048, QUOTER_AK & ~ATT_TPM_RESTRICTED);
        g_autoptr(GBytes) key = quoter_public(rsa);
        g_autofree char *jwk = jwk_of(key, "HCLAkPub"), *claims = g_strdup_printf("{\"keys\":[%s]}", jwk);

        ck_assert(!is_of(key, claims, claims, "signs what others have made"));
}
END_TEST

int main(void) {
        Suite *s = suite_create("tpm");
        TCase *quotes = tcase_create("quotes"), *paravisor = tcase_create("paravisor");

        tcase_add_checked_fixture(quotes, setup, teardown);
        tcase_add_test(quotes, a_quote_says_what_pcr_10_was);
        tcase_add_test(quotes, no_byte_of_a_quote_may_change);
        tcase_add_test(quotes, a_quote_made_for_other_evidence_is_refused);
        tcase_add_test(quotes, a_quote_by_another_key_than_the_claims_name_is_refused);
        tcase_add_test(quotes, a_key_that_signs_anything_is_no_ak);
        tcase_add_test(quotes, what_is_signed_must_be_this_quote);
        suite_add_tcase(s, quotes);
        tcase_set_timeout(paravisor, 60); /* RSA keys take as long as they like */
        tcase_add_checked_fixture(paravisor, setup, teardown);
        tcase_add_test(paravisor, an_ak_is_the_paravisor_s_if_signed_claims_name_it);
        tcase_add_test(paravisor, a_key_of_the_paravisor_that_signs_anything_is_no_ak);
        suite_add_tcase(s, paravisor);
        return run_suite(s);
}
