/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "codec/tpm-quote.h"

#include "codec/cbor-in.h"
#include "codec/cbor-out.h"
#include "util/error.h"

#define MAGIC 0xff544347u /* TPM_GENERATED_VALUE: what a restricted key signs of data from outside never begins so */
#define ST_ATTEST_QUOTE 0x8018u
#define SELECT_SIZE 3u /* bytes of bits: 24 PCRs */

#define ALG_NULL 0x0010u
#define ALG_RSA 0x0001u
#define ALG_ECC 0x0023u
#define RSA_EXPONENT_DEFAULT 65537u

static const uint16_t hash_algorithms[ATT_BANKS] = { 0x0004, 0x000b, 0x000c, 0x000d };

uint16_t att_tpm_algorithm(AttBank bank) {
        return hash_algorithms[bank];
}

bool att_tpm_bank_from_algorithm(uint16_t algorithm, AttBank *ret) {
        for (unsigned b = 0; b < ATT_BANKS; b++)
                if (hash_algorithms[b] == algorithm) {
                        *ret = (AttBank) b;
                        return true;
                }
        return false;
}

static AttCursor take_tpm2b(AttCursor *c) {
        return att_take_sub(c, att_take_u16be(c));
}

/* ----- TPMS_ATTEST */

static gboolean bad_quote(GError **error, const char *what) {
        return att_error_set(error, ATT_ERROR_BAD_DATA, "not a TPM quote: %s", what);
}

gboolean att_tpm_quote_parse(GBytes *attest, AttTpmQuote *ret, GError **error) {
        AttCursor c = att_cursor_bytes(attest);
        AttTpmQuote q = { 0 };
        uint32_t magic, n_selections;
        uint16_t type, algorithm;
        uint8_t is_safe, select_size;

        if (c.left > ATT_TPM_ATTEST_MAX)
                return att_error_set(error, ATT_ERROR_TOO_LARGE, "a TPM quote over %u bytes", ATT_TPM_ATTEST_MAX);

        magic = att_take_u32be(&c);
        type = att_take_u16be(&c);
        q.qualified_signer = take_tpm2b(&c);
        q.extra_data = take_tpm2b(&c);
        q.clock = att_take_be(&c, 8);
        q.reset_count = att_take_u32be(&c);
        q.restart_count = att_take_u32be(&c);
        is_safe = att_take_u8(&c);
        q.firmware_version = att_take_be(&c, 8);

        if (c.failed)
                return bad_quote(error, "it is cut short");
        if (magic != MAGIC)
                return bad_quote(error, "its magic says that no TPM has made it");
        if (type != ST_ATTEST_QUOTE)
                return att_error_set(error, ATT_ERROR_BAD_DATA, "not a TPM quote: its type is 0x%04x", type);
        if (is_safe > 1)
                return bad_quote(error, "its clock is neither safe nor unsafe");
        q.is_safe = is_safe == 1;

        n_selections = att_take_u32be(&c);
        if (!c.failed && n_selections != 1)
                return att_error_set(error, ATT_ERROR_BAD_DATA, "not a TPM quote that we take: it has %u selections",
                                     n_selections);
        algorithm = att_take_u16be(&c);
        select_size = att_take_u8(&c);
        if (!c.failed && select_size != SELECT_SIZE)
                return bad_quote(error, "its selection is not one of 24 PCRs");
        q.pcrs = (uint32_t) att_take_le(&c, SELECT_SIZE);
        q.pcr_digest = take_tpm2b(&c);

        if (!att_cursor_is_spent(&c) || q.qualified_signer.failed || q.extra_data.failed || q.pcr_digest.failed)
                return bad_quote(error, "it is cut short, or longer than it says");
        if (!att_tpm_bank_from_algorithm(algorithm, &q.bank))
                return att_error_set(error, ATT_ERROR_BAD_DATA,
                                     "not a TPM quote that we take: its bank has algorithm 0x%04x", algorithm);
        *ret = q;
        return TRUE;
}

/* ----- TPMT_SIGNATURE */

static gboolean bad_signature(GError **error, const char *what) {
        return att_error_set(error, ATT_ERROR_BAD_DATA, "not a TPM's signature: %s", what);
}

gboolean att_tpm_signature_parse(GBytes *signature, AttTpmSignature *ret, GError **error) {
        AttCursor c = att_cursor_bytes(signature);
        AttTpmSignature s = { 0 };
        uint16_t scheme, hash;

        if (c.left > ATT_TPM_SIGNATURE_MAX)
                return att_error_set(error, ATT_ERROR_TOO_LARGE, "a TPM's signature over %u bytes",
                                     ATT_TPM_SIGNATURE_MAX);

        scheme = att_take_u16be(&c);
        hash = att_take_u16be(&c);
        if (c.failed)
                return bad_signature(error, "it is cut short");
        if (scheme != ATT_TPM_RSASSA && scheme != ATT_TPM_RSAPSS && scheme != ATT_TPM_ECDSA)
                return att_error_set(error, ATT_ERROR_BAD_DATA, "not a TPM's signature that we take: scheme 0x%04x",
                                     scheme);
        if (!att_tpm_bank_from_algorithm(hash, &s.hash))
                return att_error_set(error, ATT_ERROR_BAD_DATA, "not a TPM's signature that we take: hash 0x%04x",
                                     hash);

        s.scheme = (AttTpmScheme) scheme;
        if (s.scheme == ATT_TPM_ECDSA) {
                s.r = take_tpm2b(&c);
                s.s = take_tpm2b(&c);
        } else {
                s.rsa = take_tpm2b(&c);
        }
        if (!att_cursor_is_spent(&c))
                return bad_signature(error, "it is cut short, or longer than it says");
        *ret = s;
        return TRUE;
}

/* ----- TPMT_PUBLIC */

static gboolean bad_public(GError **error, const char *what) {
        return att_error_set(error, ATT_ERROR_BAD_DATA, "not the public area of a TPM's signing key: %s", what);
}

/* A scheme, or none; of those that are for signing each has one hash, which is the
 * signature's to say. */
static bool take_scheme(AttCursor *c) {
        uint16_t scheme = att_take_u16be(c);

        if (scheme == ALG_NULL)
                return true;
        att_take_u16be(c);
        return scheme == ATT_TPM_RSASSA || scheme == ATT_TPM_RSAPSS || scheme == ATT_TPM_ECDSA;
}

static gboolean take_rsa(AttCursor *c, AttTpmPublic *p, GError **error) {
        uint16_t bits = att_take_u16be(c);

        p->kind = ATT_TPM_RSA;
        p->exponent = att_take_u32be(c);
        if (p->exponent == 0)
                p->exponent = RSA_EXPONENT_DEFAULT;
        p->modulus = take_tpm2b(c);
        if (!c->failed && (bits % 8 || p->modulus.left != bits / 8))
                return bad_public(error, "its modulus has another size than it says");
        return TRUE;
}

static gboolean take_ecc(AttCursor *c, AttTpmPublic *p, GError **error) {
        uint16_t curve = att_take_u16be(c), kdf = att_take_u16be(c);

        if (!c->failed && curve != ATT_TPM_P256 && curve != ATT_TPM_P384)
                return att_error_set(error, ATT_ERROR_BAD_DATA, "not a TPM's key that we take: curve 0x%04x", curve);
        if (!c->failed && kdf != ALG_NULL)
                return bad_public(error, "it derives keys");
        p->kind = (AttTpmKeyKind) curve;
        p->x = take_tpm2b(c);
        p->y = take_tpm2b(c);
        return TRUE;
}

gboolean att_tpm_public_parse(GBytes *public, AttTpmPublic *ret, GError **error) {
        AttCursor c = att_cursor_bytes(public);
        AttTpmPublic p = { 0 };
        uint16_t type, name_algorithm, symmetric;
        bool does_sign;

        if (c.left > ATT_TPM_PUBLIC_MAX)
                return att_error_set(error, ATT_ERROR_TOO_LARGE, "a TPM's public area over %u bytes",
                                     ATT_TPM_PUBLIC_MAX);

        type = att_take_u16be(&c);
        name_algorithm = att_take_u16be(&c);
        p.attributes = att_take_u32be(&c);
        (void) take_tpm2b(&c); /* policy of its use: the TPM's to enforce */
        symmetric = att_take_u16be(&c);
        does_sign = take_scheme(&c);

        if (c.failed)
                return bad_public(error, "it is cut short");
        if (type != ALG_RSA && type != ALG_ECC)
                return att_error_set(error, ATT_ERROR_BAD_DATA, "not a TPM's key that we take: type 0x%04x", type);
        if (!att_tpm_bank_from_algorithm(name_algorithm, &p.name_hash))
                return att_error_set(error, ATT_ERROR_BAD_DATA, "not a TPM's key that we take: name by hash 0x%04x",
                                     name_algorithm);
        if (symmetric != ALG_NULL || !does_sign)
                return bad_public(error, "it is for something else");
        if (!(type == ALG_RSA ? take_rsa : take_ecc)(&c, &p, error))
                return FALSE;
        if (!att_cursor_is_spent(&c))
                return bad_public(error, "it is cut short, or longer than it says");
        *ret = p;
        return TRUE;
}

bool att_tpm_public_is_ak(const AttTpmPublic *public) {
        const uint32_t must = ATT_TPM_FIXED_TPM | ATT_TPM_SENSITIVE_DATA_ORIGIN | ATT_TPM_RESTRICTED | ATT_TPM_SIGN;

        return (public->attributes & must) == must && !(public->attributes & ATT_TPM_DECRYPT);
}

/* ----- the member of evidence */

void att_tpm_evidence_free(AttTpmEvidence *evidence) {
        if (!evidence)
                return;

        g_clear_pointer(&evidence->attest, g_bytes_unref);
        g_clear_pointer(&evidence->signature, g_bytes_unref);
        g_clear_pointer(&evidence->ak_public, g_bytes_unref);
        g_free(evidence);
}

GBytes *att_tpm_evidence_encode(const AttTpmEvidence *evidence) {
        GByteArray *out = g_byte_array_new();

        att_cbor_put_map(out, 3);
        att_cbor_put_text(out, "attest");
        att_cbor_put_bytes(out, evidence->attest);
        att_cbor_put_text(out, "public");
        att_cbor_put_bytes(out, evidence->ak_public);
        att_cbor_put_text(out, "signature");
        att_cbor_put_bytes(out, evidence->signature);
        return g_byte_array_free_to_bytes(out);
}

static gboolean check_parts(const AttTpmEvidence *evidence, GError **error) {
        AttTpmQuote quote;
        AttTpmSignature signature;
        AttTpmPublic public;

        return att_tpm_quote_parse(evidence->attest, &quote, error) &&
               att_tpm_signature_parse(evidence->signature, &signature, error) &&
               att_tpm_public_parse(evidence->ak_public, &public, error);
}

AttTpmEvidence *att_tpm_evidence_decode(GBytes *bytes, GError **error) {
        g_autoptr(cbor_item_t) item = att_cbor_load(bytes, ATT_CBOR_DETERMINISTIC, error);
        g_autoptr(AttTpmEvidence) e = g_new0(AttTpmEvidence, 1);
        AttCborMap map;

        if (!item)
                return NULL;
        if (att_cbor_get_map(item, &map)) {
                e->attest = att_cbor_dup_bytes(att_cbor_take_named(&map, "attest"), 1, ATT_TPM_ATTEST_MAX);
                e->ak_public = att_cbor_dup_bytes(att_cbor_take_named(&map, "public"), 1, ATT_TPM_PUBLIC_MAX);
                e->signature = att_cbor_dup_bytes(att_cbor_take_named(&map, "signature"), 1, ATT_TPM_SIGNATURE_MAX);
        }
        if (!e->attest || !e->ak_public || !e->signature || !att_cbor_map_is_spent(&map)) {
                att_error_set(error, ATT_ERROR_BAD_DATA,
                              "a TPM's part of evidence is a map of attest, public and signature, and of nothing else");
                return NULL;
        }
        return check_parts(e, error) ? g_steal_pointer(&e) : NULL;
}
