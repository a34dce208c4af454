/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Quotes of real TPMs, and of Azure's with the report of the same machine: what an
 * independent verifier says of each, and no signed byte that does not matter. */
#include "codec/snp-report.h"
#include "codec/tdx-report.h"
#include "codec/vectors.h"
#include "crypto/tpm-key.h"
#include "verifier/tpm.h"

#include "quoter.h"
#include "run.h"

static GBytes *hex_bytes(const char *hex) {
        GByteArray *out = g_byte_array_new();

        for (; hex[0] && hex[1]; hex += 2)
                att_put_be(out, (uint64_t) (g_ascii_xdigit_value(hex[0]) << 4 | g_ascii_xdigit_value(hex[1])), 1);
        return g_byte_array_free_to_bytes(out);
}

/* Bytes as these files have them: numbers, hexadecimal, or base64 of either alphabet. */
static GBytes *octets(const json_t *json) {
        const char *text = json_string_value(json);
        g_autofree char *base64 = NULL;
        GByteArray *out;
        json_t *n;
        size_t i;

        if (text && strspn(text, "0123456789abcdef") == strlen(text))
                return hex_bytes(text);
        if (text) {
                gsize size;
                g_autofree guchar *data = NULL;

                base64 = g_strdup_printf("%s%.*s", text, (int) (-strlen(text) % 4), "===");
                g_strdelimit(g_strdelimit(base64, "-", '+'), "_", '/');
                data = g_base64_decode(base64, &size);
                return g_bytes_new(data, size);
        }
        out = g_byte_array_new();
        json_array_foreach(json, i, n)
                att_put_be(out, (uint64_t) json_integer_value(n), 1);
        return g_byte_array_free_to_bytes(out);
}

static bool is_signed(GBytes *attest, GBytes *signature, const AttKey *key) {
        AttTpmSignature s;

        return att_tpm_signature_parse(signature, &s, NULL) &&
               att_key_verify_tpm(key, &s, g_bytes_get_data(attest, NULL), g_bytes_get_size(attest), NULL);
}

/* Every byte of both, changed, is refused. */
static void check_each_byte(const char *path, GBytes *attest, GBytes *signature, const AttKey *key) {
        GBytes *const parts[] = { attest, signature };

        for (size_t p = 0; p < G_N_ELEMENTS(parts); p++) {
                size_t size;
                const uint8_t *data = g_bytes_get_data(parts[p], &size);

                for (size_t i = 0; i < size; i++) {
                        g_autofree uint8_t *copy = g_memdup2(data, size);
                        g_autoptr(GBytes) bad = g_bytes_new_static(copy, size);

                        copy[i] ^= 1;
                        ck_assert_msg(!is_signed(p == 0 ? bad : attest, p == 1 ? bad : signature, key),
                                      "%s: part %zu, byte %zu", path, p, i);
                }
        }
}

static void check_digest(const char *path, const AttTpmQuote *q, const void *values, size_t size, AttBank hash,
                         bool expected) {
        uint8_t digest[ATT_BANK_SIZE_MAX];

        att_bank_digest(hash, values, size, digest);
        ck_assert_msg((q->pcr_digest.left == att_bank_size(hash) &&
                       memcmp(q->pcr_digest.at, digest, q->pcr_digest.left) == 0) == expected,
                      "%s: digest", path);
}

/* ----- Azure's */

/* These files have no public area: one is made of the numbers in the claims. */
static GBytes *public_of_claims(const AttHclReport *hcl) {
        g_autoptr(json_t) claims = json_loadb((const char *) hcl->runtime_claims.at, hcl->runtime_claims.left, 0, NULL);
        GByteArray *out = g_byte_array_new();
        json_t *key;
        size_t i;

        att_put(out, "\0\1\0\xb", 4);
        att_put_be(out, QUOTER_AK, 4);
        att_put(out, "\0\0\0\x10\0\x14\0\xb\x8\0\0\0\0\0\1\0", 16);
        json_array_foreach(json_object_get(claims, "keys"), i, key)
                if (strcmp(json_string_value(json_object_get(key, "kid")), "HCLAkPub") == 0) {
                        g_autoptr(GBytes) n = att_json_dup_base64url(json_object_get(key, "n"));

                        att_put_bytes(out, n);
                }
        return g_byte_array_free_to_bytes(out);
}

static GBytes *rsassa(GBytes *raw) {
        GByteArray *out = g_byte_array_new();

        att_put(out, "\0\x14\0\xb\1\0", 6);
        att_put_bytes(out, raw);
        return g_byte_array_free_to_bytes(out);
}

static void check_report_data(const char *path, const AttHclReport *hcl, GBytes *expected) {
        g_autoptr(GBytes) whole = att_cursor_dup(&hcl->hardware_report);
        g_autoptr(GBytes) part = g_bytes_new_from_bytes(whole, 0, ATT_TDX_REPORT_SIZE);
        const uint8_t *found;
        AttSnpReport snp;
        AttTdxReport tdx;

        if (hcl->type == ATT_HCL_SNP) {
                ck_assert_msg(att_snp_report_parse(whole, &snp, NULL), "%s", path);
                found = snp.report_data;
        } else {
                ck_assert_msg(att_tdx_report_parse(part, &tdx, NULL), "%s", path);
                found = tdx.report_data;
        }
        ck_assert_msg(memcmp(found, g_bytes_get_data(expected, NULL), 64) == 0, "%s: REPORTDATA", path);
}

static void check_chain(const char *path, GBytes *public, GBytes *hcl_bytes, const AttHclReport *hcl,
                        GBytes *report_data) {
        const uint8_t *rd = g_bytes_get_data(report_data, NULL);
        g_autoptr(GError) error = NULL;

        ck_assert_msg(att_tpm_ak_is_of_hcl(public, hcl, rd, &error), "%s: %s", path, error ? error->message : "");

        size_t first = (size_t) (hcl->runtime_claims.at - (const uint8_t *) g_bytes_get_data(hcl_bytes, NULL));
        for (size_t i = 0; i < hcl->runtime_claims.left; i++) {
                size_t size = g_bytes_get_size(hcl_bytes);
                g_autofree uint8_t *copy = g_memdup2(g_bytes_get_data(hcl_bytes, NULL), size);
                g_autoptr(GBytes) bad = g_bytes_new_static(copy, size);
                AttHclReport h;

                copy[first + i] ^= 1;
                ck_assert(att_hcl_report_parse(bad, &h, NULL));
                ck_assert_msg(!att_tpm_ak_is_of_hcl(public, &h, rd, NULL), "%s: byte %zu of the claims", path, i);
        }
}

static void check_azure(const char *path, json_t *expected) {
        g_autoptr(GBytes) file = vectors_read(path);
        g_autoptr(json_t) json = json_loadb(g_bytes_get_data(file, NULL), g_bytes_get_size(file), 0, NULL);
        const json_t *quote = json_object_get(json, "tpm_quote"), *report = json_object_get(json, "hcl_report");
        bool has_signature = strcmp(json_string_value(json_object_get(expected, "tpm_quote_sig")), "ok") == 0;
        bool has_digest = json_is_true(json_object_get(expected, "pcr_digest_matches"));
        g_autoptr(GByteArray) values = g_byte_array_new();
        AttTpmPublic p;
        AttHclReport h;
        AttTpmQuote q;

        quote = quote ? quote : json_object_get(json, "quote");
        report = report ? report : json_object_get(json, "report");
        g_autoptr(GBytes) attest = octets(json_object_get(quote, "message"));
        g_autoptr(GBytes) raw = octets(json_object_get(quote, "signature")), signature = rsassa(raw);
        g_autoptr(GBytes) hcl = octets(report);
        g_autoptr(GBytes) report_data = octets(json_object_get(expected, "hw_report_data"));

        ck_assert_msg(att_tpm_quote_parse(attest, &q, NULL), "%s", path);
        ck_assert_msg(att_hcl_report_parse(hcl, &h, NULL), "%s", path);
        g_autoptr(GBytes) public = public_of_claims(&h);
        ck_assert_msg(att_tpm_public_parse(public, &p, NULL), "%s", path);
        g_autoptr(AttKey) key = att_key_from_tpm_public(&p, NULL);
        ck_assert_ptr_nonnull(key);

        g_autofree char *nonce = hex_of(q.extra_data.at, q.extra_data.left);
        g_autofree char *digest = hex_of(q.pcr_digest.at, q.pcr_digest.left);
        ck_assert_str_eq(nonce, json_string_value(json_object_get(expected, "nonce")));
        ck_assert_str_eq(digest, json_string_value(json_object_get(expected, "pcr_digest")));
        ck_assert_uint_eq(q.pcrs, 0xffffff);

        for (unsigned i = 0; i < 24; i++) {
                g_autoptr(GBytes) value = octets(json_array_get(json_object_get(quote, "pcrs"), i));

                att_put_bytes(values, value);
        }
        check_digest(path, &q, values->data, values->len, ATT_BANK_SHA256, has_digest);

        ck_assert_msg(is_signed(attest, signature, key) == has_signature, "%s: signature", path);
        if (has_signature)
                check_each_byte(path, attest, signature, key);
        check_report_data(path, &h, report_data);
        check_chain(path, public, hcl, &h, report_data);
}

START_TEST(azure_s_quotes_are_by_the_key_that_its_reports_name) {
        g_autoptr(json_t) all = vectors_expected();
        const char *path;
        json_t *expected;
        size_t n = 0;

        json_object_foreach(all, path, expected)
                if (g_strcmp0(json_string_value(json_object_get(expected, "kind")), "az-evidence") == 0) {
                        check_azure(path, expected);
                        n++;
                }
        ck_assert_uint_ge(n, 12);
}
END_TEST

/* ----- others */

START_TEST(quotes_over_pcr_10_are_those_of_their_keys) {
        static const struct {
                const char *folder;
                AttBank bank, hash;
        } cases[] = { { "tpm-own/ima/ecc-sha256", ATT_BANK_SHA256, ATT_BANK_SHA256 },
                      { "tpm-own/ima/rsa-sha384", ATT_BANK_SHA384, ATT_BANK_SHA384 } };
        static const char extra_data[] = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";
        g_autoptr(GBytes) values = vectors_read("tpm-own/ima/pcrs-at-quote.txt");
        g_autofree char *text = g_strndup(g_bytes_get_data(values, NULL), g_bytes_get_size(values));

        for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
                g_autofree char *a = g_build_filename(cases[i].folder, "quote.attest", NULL);
                g_autofree char *s = g_build_filename(cases[i].folder, "quote.sig", NULL);
                g_autofree char *p = g_build_filename(cases[i].folder, "ak.tpm2b_public", NULL);
                g_autofree char *marker = g_strdup_printf("%s 10 ", att_bank_name(cases[i].bank));
                g_autoptr(GBytes) attest = vectors_read(a), signature = vectors_read(s), tpm2b = vectors_read(p);
                g_autoptr(GBytes) public = g_bytes_new_from_bytes(tpm2b, 2, g_bytes_get_size(tpm2b) - 2);
                g_autoptr(GBytes) name = att_tpm_name(public, NULL), value = NULL;
                g_autoptr(GByteArray) qualified = g_byte_array_new();
                uint8_t digest[ATT_BANK_SIZE_MAX];
                AttTpmPublic parsed;
                AttTpmQuote q;

                ck_assert(att_tpm_quote_parse(attest, &q, NULL) && att_tpm_public_parse(public, &parsed, NULL));
                ck_assert(att_tpm_public_is_ak(&parsed));
                g_autofree char *nonce = hex_of(q.extra_data.at, q.extra_data.left);
                ck_assert_str_eq(nonce, extra_data);
                ck_assert_uint_eq(q.reset_count, 2);
                ck_assert_int_eq(q.bank, cases[i].bank);
                ck_assert_uint_eq(q.pcrs, 1u << 10);

                g_autoptr(AttKey) key = att_key_from_tpm_public(&parsed, NULL);
                ck_assert(is_signed(attest, signature, key));
                check_each_byte(a, attest, signature, key);

                /* The signer is a primary key of the endorsement hierarchy, and has this name. */
                att_put_be(qualified, 0x4000000b, 4);
                att_put_bytes(qualified, name);
                att_bank_digest(ATT_BANK_SHA256, qualified->data, qualified->len, digest);
                ck_assert_uint_eq(q.qualified_signer.left, 34);
                ck_assert_mem_eq(q.qualified_signer.at + 2, digest, 32);

                ck_assert_ptr_nonnull(strstr(text, marker));
                g_autofree char *hex = g_strndup(strstr(text, marker) + strlen(marker),
                                                 2 * att_bank_size(cases[i].bank));
                value = hex_bytes(hex);
                check_digest(a, &q, g_bytes_get_data(value, NULL), g_bytes_get_size(value), cases[i].hash, true);

                /* And it is one for verify() but for whom it was made for. */
                const AttTpmEvidence e = { .attest = attest, .signature = signature, .ak_public = public };
                const uint8_t r[64] = { 0 };
                g_autoptr(GError) error = NULL;
                AttTpmVerified v;

                ck_assert(!att_tpm_quote_verify(&e, r, name, cases[i].bank, &v, &error));
                ck_assert_ptr_nonnull(strstr(error->message, "extraData"));
        }
}
END_TEST

START_TEST(a_quote_of_two_banks_is_not_one_of_ours) {
        g_autoptr(GBytes) attest = vectors_read("tpm-own/zero-pcrs/quote.attest");
        g_autoptr(GBytes) signature = vectors_read("tpm-own/zero-pcrs/quote.sig");
        g_autoptr(GBytes) pem = vectors_read("tpm-own/zero-pcrs/ak.pem");
        g_autoptr(GBytes) spki = att_spki_from_pem(g_bytes_get_data(pem, NULL), g_bytes_get_size(pem), NULL);
        g_autoptr(AttKey) key = att_key_from_spki(spki, NULL);
        AttTpmQuote q;

        ck_assert(is_signed(attest, signature, key));
        check_each_byte("zero-pcrs", attest, signature, key);
        ck_assert(!att_tpm_quote_parse(attest, &q, NULL));
}
END_TEST

START_TEST(a_quote_with_its_key_beside_it) {
        g_autoptr(GBytes) file = vectors_read("tpm/tpm-evidence-trustee.json");
        g_autoptr(json_t) json = json_loadb(g_bytes_get_data(file, NULL), g_bytes_get_size(file), 0, NULL);
        const json_t *quote = json_object_get(json, "tpm_quote");
        g_autoptr(GBytes) attest = octets(json_object_get(quote, "message"));
        g_autoptr(GBytes) signature = octets(json_object_get(quote, "signature"));
        g_autoptr(GBytes) spki = octets(json_object_get(json, "ak_public"));
        g_autoptr(AttKey) key = att_key_from_spki(spki, NULL);
        g_autoptr(GBytes) bare = vectors_read("tpm/az-snp-tpm-quote.msg");
        AttTpmQuote q;

        ck_assert(att_tpm_quote_parse(attest, &q, NULL));
        ck_assert(is_signed(attest, signature, key));
        check_each_byte("trustee", attest, signature, key);
        ck_assert(att_tpm_quote_parse(bare, &q, NULL));
        ck_assert_uint_eq(q.pcrs, 0x40ff);
}
END_TEST

/* A field of a protocol buffer, all of which are of length-delimited type as far as we look. */
static AttCursor take_field(AttCursor *c, uint32_t *ret_number) {
        uint64_t values[2] = { 0 };

        for (size_t i = 0; i < 2; i++)
                for (unsigned shift = 0;; shift += 7) {
                        uint8_t b = att_take_u8(c);

                        values[i] |= (uint64_t) (b & 0x7f) << shift;
                        if (!(b & 0x80))
                                break;
                }
        *ret_number = (uint32_t) (values[0] >> 3);
        return (values[0] & 7) == 2 ? att_take_sub(c, values[1]) : att_cursor(NULL, 0);
}

START_TEST(quotes_of_a_gce_machine) {
        g_autoptr(GBytes) file = vectors_read("tpm/attestation-gce-cos-85-nonce9009.pb");
        AttCursor c = att_cursor_bytes(file);
        g_autoptr(GBytes) public = NULL;
        g_autoptr(AttKey) key = NULL;
        AttTpmPublic p;
        size_t n = 0;

        while (c.left > 0) {
                uint32_t number;
                AttCursor field = take_field(&c, &number);

                if (number == 1) { /* ak_pub */
                        public = att_cursor_dup(&field);
                        ck_assert(att_tpm_public_parse(public, &p, NULL) && att_tpm_public_is_ak(&p));
                        key = att_key_from_tpm_public(&p, NULL);
                } else if (number == 2) { /* quotes */
                        AttCursor attest = take_field(&field, &number), signature = take_field(&field, &number);
                        g_autoptr(GBytes) a = att_cursor_dup(&attest), s = att_cursor_dup(&signature);
                        AttTpmQuote q;

                        ck_assert_ptr_nonnull(key);
                        ck_assert(att_tpm_quote_parse(a, &q, NULL));
                        ck_assert_mem_eq(q.extra_data.at, "\x90\x09", 2);
                        ck_assert(is_signed(a, s, key));
                        check_each_byte("gce", a, s, key);
                        n++;
                }
        }
        ck_assert_uint_ge(n, 2);
}
END_TEST

int main(int argc, char **argv) {
        Suite *s = suite_create("vectors-tpm");
        TCase *t = tcase_create("quotes");

        if (!vectors_open(argc, argv))
                return 77;
        tcase_set_timeout(t, 120);
        tcase_add_test(t, azure_s_quotes_are_by_the_key_that_its_reports_name);
        tcase_add_test(t, quotes_over_pcr_10_are_those_of_their_keys);
        tcase_add_test(t, a_quote_of_two_banks_is_not_one_of_ours);
        tcase_add_test(t, a_quote_with_its_key_beside_it);
        tcase_add_test(t, quotes_of_a_gce_machine);
        suite_add_tcase(s, t);
        return run_suite(s);
}
