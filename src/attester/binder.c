/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "attester/binder.h"

#include "crypto/digest.h"

G_STATIC_ASSERT(ATT_SHA512_SIZE == ATT_REPORT_DATA_SIZE);
G_STATIC_ASSERT(ATT_HASH_SIZE_MAX <= ATT_REPORT_DATA_SIZE);

void att_binder_evidence(GBytes *claims, uint8_t ret[ATT_REPORT_DATA_SIZE]) {
        static const char tag[] = ATT_BINDER_TAG_EVIDENCE;
        gsize size;
        const void *p = g_bytes_get_data(claims, &size);

        att_sha512((AttPart[]) { { tag, sizeof tag }, { p, size } }, 2, ret);
}

void att_binder_batch(guint64 n, const uint8_t root[32], uint8_t ret[ATT_REPORT_DATA_SIZE]) {
        static const char tag[] = ATT_BINDER_TAG_BATCH;
        const guint64 be = GUINT64_TO_BE(n);

        att_sha512((AttPart[]) { { tag, sizeof tag }, { &be, sizeof be }, { root, 32 } }, 3, ret);
}

void att_binder_idle(uint8_t ret[ATT_REPORT_DATA_SIZE]) {
        static const char tag[] = ATT_BINDER_TAG_IDLE;

        att_sha512(&(AttPart) { tag, sizeof tag }, 1, ret);
}

void att_binder_expat_pad(AttHash hash, const uint8_t *binding, uint8_t ret[ATT_REPORT_DATA_SIZE]) {
        memset(ret, 0, ATT_REPORT_DATA_SIZE);
        memcpy(ret, binding, att_hash_size(hash));
}

void att_binder_cocos(AttHash hash, const uint8_t *binding, uint8_t ret[ATT_REPORT_DATA_SIZE]) {
        att_sha512(&(AttPart) { binding, att_hash_size(hash) }, 1, ret);
}
