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
