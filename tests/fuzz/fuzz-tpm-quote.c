/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Target functions: att_tpm_evidence_decode, att_tpm_quote_parse, att_tpm_signature_parse, att_tpm_public_parse,
 * att_tpm_name, att_key_from_tpm_public, att_key_verify_tpm */
#include "crypto/tpm-key.h"

static void check_inside(AttCursor part, const uint8_t *data, size_t size) {
        g_assert(part.left == 0 || (part.at >= data && part.at + part.left <= data + size));
}

static void try_quote(GBytes *bytes, const uint8_t *data, size_t size) {
        g_autoptr(GError) error = NULL;
        AttTpmQuote q;

        if (!att_tpm_quote_parse(bytes, &q, &error)) {
                g_assert(error);
                return;
        }
        check_inside(q.qualified_signer, data, size);
        check_inside(q.extra_data, data, size);
        check_inside(q.pcr_digest, data, size);
}

static void try_public(GBytes *bytes, const uint8_t *data, size_t size) {
        g_autoptr(GBytes) name = att_tpm_name(bytes, NULL);
        AttTpmPublic p;

        if (!att_tpm_public_parse(bytes, &p, NULL)) {
                g_assert(!name);
                return;
        }
        g_autoptr(AttKey) key = att_key_from_tpm_public(&p, NULL);

        (void) key;
        g_assert(g_bytes_get_size(name) == 2 + att_bank_size(p.name_hash));
        check_inside(p.modulus, data, size);
        check_inside(p.x, data, size);
        check_inside(p.y, data, size);
}

static void try_signature(GBytes *bytes, const uint8_t *data, size_t size) {
        AttTpmSignature s;

        if (!att_tpm_signature_parse(bytes, &s, NULL))
                return;
        check_inside(s.rsa, data, size);
        check_inside(s.r, data, size);
        check_inside(s.s, data, size);
}

static void try_evidence(GBytes *bytes) {
        g_autoptr(AttTpmEvidence) e = att_tpm_evidence_decode(bytes, NULL);
        g_autoptr(GBytes) again = e ? att_tpm_evidence_encode(e) : NULL;
        g_autoptr(AttKey) key = NULL;
        AttTpmSignature s;
        AttTpmPublic p;

        if (!e)
                return;
        g_assert(g_bytes_equal(again, bytes));
        g_assert(att_tpm_signature_parse(e->signature, &s, NULL) && att_tpm_public_parse(e->ak_public, &p, NULL));
        key = att_key_from_tpm_public(&p, NULL);
        if (key && att_key_verify_tpm(key, &s, g_bytes_get_data(e->attest, NULL), g_bytes_get_size(e->attest), NULL))
                g_assert(s.hash != ATT_BANK_SHA1);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        g_autoptr(GBytes) bytes = g_bytes_new_static(data, size);

        try_quote(bytes, data, size);
        try_public(bytes, data, size);
        try_signature(bytes, data, size);
        try_evidence(bytes);
        return 0;
}
