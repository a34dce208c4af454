/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "verifier/report-data.h"

#include "crypto/digest.h"

G_STATIC_ASSERT(ATT_SHA512_SIZE == ATT_REPORT_DATA_SIZE);

void att_report_data_evidence(GBytes *claims, uint8_t ret[ATT_REPORT_DATA_SIZE]) {
        static const char tag[] = "attestd evidence/1"; /* hashed with its NUL */
        AttPart parts[] = {
                { .data = tag, .size = sizeof tag },
                { .data = g_bytes_get_data(claims, NULL), .size = g_bytes_get_size(claims) },
        };

        att_sha512(parts, G_N_ELEMENTS(parts), ret);
}

/* RFC 9162 section 2.1.3.2, of a path of the right length, as its decoder has seen to. Once @fn is @sn, the last of
 * its level, all that is left of the path is to the left. */
static void batch_root(GBytes *claims, const AttInclusionProof *proof, uint8_t ret[ATT_SHA256_SIZE]) {
        static const uint8_t leaf = 0x00, node = 0x01;
        g_autoptr(AttSha256) sha256 = att_sha256_new();
        uint32_t fn = proof->index, sn = proof->n - 1;

        att_sha256_digest(sha256, (AttPart[]) {
                { &leaf, 1 },
                { g_bytes_get_data(claims, NULL), g_bytes_get_size(claims) },
        }, 2, ret);
        for (guint i = 0; i < proof->path_length; i++, fn >>= 1, sn >>= 1) {
                const AttPart p = { proof->path[i], ATT_PROOF_NODE_SIZE }, r = { ret, ATT_SHA256_SIZE };
                bool p_is_left = fn % 2 == 1 || fn == sn;

                att_sha256_digest(sha256, (AttPart[]) { { &node, 1 }, p_is_left ? p : r, p_is_left ? r : p }, 3, ret);
        }
}

void att_report_data_batch(GBytes *claims, const AttInclusionProof *proof, uint8_t ret[ATT_REPORT_DATA_SIZE]) {
        static const char tag[] = "attestd batch/1"; /* hashed with its NUL */
        const uint64_t n = GUINT64_TO_BE((uint64_t) proof->n);
        uint8_t root[ATT_SHA256_SIZE];

        batch_root(claims, proof, root);
        att_sha512((AttPart[]) { { tag, sizeof tag }, { &n, sizeof n }, { root, sizeof root } }, 3, ret);
}

void att_report_data_expat_pad(AttHash hash, const uint8_t *binding, uint8_t ret[ATT_REPORT_DATA_SIZE]) {
        memset(ret, 0, ATT_REPORT_DATA_SIZE);
        memcpy(ret, binding, att_hash_size(hash));
}

void att_report_data_cocos(AttHash hash, const uint8_t *binding, uint8_t ret[ATT_REPORT_DATA_SIZE]) {
        AttPart part = { .data = binding, .size = att_hash_size(hash) };

        att_sha512(&part, 1, ret);
}

void att_report_data_with_manifest(const uint8_t report_data[ATT_REPORT_DATA_SIZE], GBytes *manifest,
                                   uint8_t ret[ATT_REPORT_DATA_SIZE]) {
        AttPart parts[] = {
                { .data = report_data, .size = ATT_REPORT_DATA_SIZE },
                { .data = g_bytes_get_data(manifest, NULL), .size = g_bytes_get_size(manifest) },
        };
        uint8_t digest[ATT_SHA512_SIZE];

        att_sha512(parts, G_N_ELEMENTS(parts), digest);
        memcpy(ret, digest, sizeof digest);
}
