/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "verifier/tpm.h"

#include "codec/ima-log.h"
#include "codec/json-in.h"
#include "crypto/tpm-key.h"
#include "util/error.h"

#define HCL_AK "HCLAkPub"

static gboolean refused(GError **error, const char *what) {
        return att_error_set(error, ATT_ERROR_REFUSED, "the TPM quote: %s", what);
}

/* In place of an error of a lower layer, with its sentence. */
static gboolean refused_take(GError **error, GError *cause) {
        g_autoptr(GError) e = cause;

        return refused(error, e->message);
}

static bool is_for(const AttTpmQuote *quote, const uint8_t r[ATT_REPORT_DATA_SIZE]) {
        static const char tag[] = "attestd tpm/1"; /* hashed with its NUL */
        const AttPart parts[] = { { tag, sizeof tag }, { r, ATT_REPORT_DATA_SIZE } };
        uint8_t expected[ATT_SHA256_SIZE];

        att_sha256(parts, G_N_ELEMENTS(parts), expected);
        return quote->extra_data.left == sizeof expected && att_equal(quote->extra_data.at, expected, sizeof expected);
}

static gboolean check_signer(const AttTpmEvidence *evidence, GBytes *ak_name, AttTpmSignature *ret_signature,
                             GError **error) {
        g_autoptr(GError) e = NULL;
        g_autoptr(GBytes) name = att_tpm_name(evidence->ak_public, &e);
        g_autoptr(AttKey) key = NULL;
        AttTpmSignature signature;
        AttTpmPublic public;

        if (!name || !att_tpm_public_parse(evidence->ak_public, &public, &e))
                return refused_take(error, g_steal_pointer(&e));
        if (!ak_name || !g_bytes_equal(name, ak_name))
                return refused(error, "it is by another key than the claims name");
        if (!att_tpm_public_is_ak(&public))
                return refused(error, "its key signs what others have made, or can leave the TPM");

        key = att_key_from_tpm_public(&public, &e);
        if (!key || !att_tpm_signature_parse(evidence->signature, &signature, &e) ||
            !att_key_verify_tpm(key, &signature, g_bytes_get_data(evidence->attest, NULL),
                                g_bytes_get_size(evidence->attest), &e))
                return refused_take(error, g_steal_pointer(&e));
        *ret_signature = signature;
        return TRUE;
}

gboolean att_tpm_quote_verify(const AttTpmEvidence *evidence, const uint8_t r[ATT_REPORT_DATA_SIZE], GBytes *ak_name,
                              AttBank bank, AttTpmVerified *ret, GError **error) {
        g_autoptr(GError) e = NULL;
        AttTpmSignature signature = { 0 };
        AttTpmQuote quote;

        if (!att_tpm_quote_parse(evidence->attest, &quote, &e))
                return refused_take(error, g_steal_pointer(&e));
        if (!check_signer(evidence, ak_name, &signature, error))
                return FALSE;
        if (!is_for(&quote, r))
                return refused(error, "its extraData is not that of this evidence");
        if (quote.bank != bank)
                return refused(error, "it is over another bank than the claims name");
        if (quote.pcrs != 1u << ATT_IMA_PCR)
                return refused(error, "it is over other registers than PCR 10 alone");
        if (quote.pcr_digest.left != att_bank_size(signature.hash))
                return refused(error, "its digest has another size than its signature's hash");

        *ret = (AttTpmVerified) {
                .bank = bank,
                .hash = signature.hash,
                .reset_count = quote.reset_count,
                .restart_count = quote.restart_count,
                .clock = quote.clock,
        };
        memcpy(ret->pcr_digest, quote.pcr_digest.at, quote.pcr_digest.left);
        return TRUE;
}

bool att_tpm_verified_is_over(const AttTpmVerified *verified, const uint8_t *aggregate) {
        uint8_t digest[ATT_BANK_SIZE_MAX];

        att_bank_digest(verified->hash, aggregate, att_bank_size(verified->bank), digest);
        return att_equal(digest, verified->pcr_digest, att_bank_size(verified->hash));
}

/* ----- Azure's paravisor */

static bool are_signed(const AttHclReport *hcl, const uint8_t report_data[ATT_REPORT_DATA_SIZE]) {
        static const AttBank hashes[] = {
                [ATT_HCL_SHA256] = ATT_BANK_SHA256,
                [ATT_HCL_SHA384] = ATT_BANK_SHA384,
                [ATT_HCL_SHA512] = ATT_BANK_SHA512,
        };
        uint8_t expected[ATT_REPORT_DATA_SIZE] = { 0 };

        G_STATIC_ASSERT(sizeof expected >= ATT_BANK_SIZE_MAX);
        att_bank_digest(hashes[hcl->hash], hcl->runtime_claims.at, hcl->runtime_claims.left, expected);
        return att_equal(expected, report_data, sizeof expected);
}

/* The only one of that name: of two, which is meant? */
static const json_t *find_ak(const json_t *claims) {
        const json_t *found = NULL, *key;
        size_t i;

        json_array_foreach(json_object_get(claims, "keys"), i, key) {
                const char *kid = json_string_value(json_object_get(key, "kid"));

                if (!kid || strcmp(kid, HCL_AK) != 0)
                        continue;
                if (found)
                        return NULL;
                found = key;
        }
        return found;
}

static AttCursor without_zeros(AttCursor number) {
        while (number.left > 0 && number.at[0] == 0)
                (void) att_take(&number, 1);
        return number;
}

static bool is_number(GBytes *a, AttCursor b) {
        AttCursor x = without_zeros(att_cursor_bytes(a)), y = without_zeros(b);

        return x.left == y.left && (x.left == 0 || memcmp(x.at, y.at, x.left) == 0);
}

static bool is_key(const json_t *jwk, const AttTpmPublic *public) {
        const char *kty = json_string_value(json_object_get(jwk, "kty"));
        g_autoptr(GBytes) n = att_json_dup_base64url(json_object_get(jwk, "n"));
        g_autoptr(GBytes) e = att_json_dup_base64url(json_object_get(jwk, "e"));
        const uint8_t exponent[] = { (uint8_t) (public->exponent >> 24), (uint8_t) (public->exponent >> 16),
                                     (uint8_t) (public->exponent >> 8), (uint8_t) public->exponent };

        return kty && strcmp(kty, "RSA") == 0 && public->kind == ATT_TPM_RSA && n && e &&
               is_number(n, public->modulus) && is_number(e, att_cursor(exponent, sizeof exponent));
}

gboolean att_tpm_ak_is_of_hcl(GBytes *ak_public, const AttHclReport *hcl,
                              const uint8_t report_data[ATT_REPORT_DATA_SIZE], GError **error) {
        g_autoptr(GError) e = NULL;
        g_autoptr(GBytes) text = att_cursor_dup(&hcl->runtime_claims);
        g_autoptr(json_t) claims = NULL;
        const json_t *ak;
        AttTpmPublic public;

        if (!are_signed(hcl, report_data))
                return refused(error, "the TEE's report is not over the paravisor's claims");
        claims = att_json_load(text, &e);
        if (!claims || !att_tpm_public_parse(ak_public, &public, &e))
                return refused_take(error, g_steal_pointer(&e));
        ak = find_ak(claims);
        if (!ak)
                return refused(error, "the paravisor's claims do not name one " HCL_AK);
        if (!is_key(ak, &public))
                return refused(error, "it is by another key than the paravisor names");
        if (!att_tpm_public_is_ak(&public))
                return refused(error, "its key signs what others have made, or can leave the TPM");
        return TRUE;
}
