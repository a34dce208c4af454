/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "crypto/ima-replay.h"

#include "crypto/digest.h"
#include "util/error.h"

#include <openssl/evp.h>
#include <string.h>

#define LEGACY_DIGEST 20u
#define LEGACY_NAME_ROOM 256u

struct AttImaReplay {
        unsigned banks;
        guint64 count, violations;
        uint8_t aggregates[ATT_BANKS][ATT_BANK_SIZE_MAX];
        uint8_t boot_aggregate[ATT_BANK_SIZE_MAX];
        size_t boot_aggregate_size; /* 0: none */
};

static const char boot_aggregate_name[] = "boot_aggregate";

/* Contexts of a thread: making one for each of a million short texts costs more than hashing them. */
typedef struct Hasher {
        EVP_MD_CTX *contexts[ATT_BANKS];
} Hasher;

static void hasher_free(gpointer p) {
        Hasher *h = p;

        for (unsigned b = 0; b < ATT_BANKS; b++)
                EVP_MD_CTX_free(h->contexts[b]);
        g_free(h);
}

static GPrivate hashers = G_PRIVATE_INIT(hasher_free);

static EVP_MD_CTX *context_of(AttBank bank) {
        Hasher *h = g_private_get(&hashers);

        if (!h) {
                h = g_new0(Hasher, 1);
                g_private_set(&hashers, h);
        }
        if (!h->contexts[bank]) {
                EVP_MD *md = EVP_MD_fetch(NULL, att_bank_name(bank), NULL);

                h->contexts[bank] = EVP_MD_CTX_new();
                if (!md || !h->contexts[bank] || EVP_DigestInit_ex2(h->contexts[bank], md, NULL) != 1)
                        g_error("OpenSSL has no %s", att_bank_name(bank));
                EVP_MD_free(md); /* the context keeps it */
        }
        return h->contexts[bank];
}

static void hash_parts(AttBank bank, const AttPart *parts, size_t n_parts, uint8_t *ret) {
        EVP_MD_CTX *ctx = context_of(bank);
        bool ok = EVP_DigestInit_ex2(ctx, NULL, NULL) == 1;

        for (size_t i = 0; ok && i < n_parts; i++)
                ok = EVP_DigestUpdate(ctx, parts[i].data, parts[i].size) == 1;
        if (!ok || EVP_DigestFinal_ex(ctx, ret, NULL) != 1)
                g_error("OpenSSL cannot compute %s", att_bank_name(bank));
}

/* The template hash. That of "ima" is over the digest and the path in a field of fixed size. */
static void hash_data(const AttImaRecord *record, AttBank bank, uint8_t *ret) {
        static const uint8_t zeros[LEGACY_NAME_ROOM];
        const AttPart legacy[] = {
                { record->data.at, LEGACY_DIGEST },
                { record->path.at, record->path.left },
                { zeros, LEGACY_NAME_ROOM - MIN(record->path.left, LEGACY_NAME_ROOM) },
        };
        const AttPart data = { record->data.at, record->data.left };

        if (record->is_legacy)
                hash_parts(bank, legacy, G_N_ELEMENTS(legacy), ret);
        else
                hash_parts(bank, &data, 1, ret);
}

void att_ima_digest(const AttImaRecord *record, AttBank bank, uint8_t *ret) {
        if (record->is_violation)
                memset(ret, 0xff, att_bank_size(bank));
        else
                hash_data(record, bank, ret);
}

AttImaReplay *att_ima_replay_new(unsigned banks) {
        AttImaReplay *r = g_new0(AttImaReplay, 1);

        r->banks = banks & ATT_BANK_SET_ALL;
        return r;
}

AttImaReplay *att_ima_replay_copy(const AttImaReplay *replay) {
        return g_memdup2(replay, sizeof *replay);
}

void att_ima_replay_free(AttImaReplay *replay) {
        g_free(replay);
}

static void extend(AttImaReplay *r, AttBank bank, const uint8_t *digest) {
        size_t size = att_bank_size(bank);
        const AttPart parts[] = { { r->aggregates[bank], size }, { digest, size } };

        hash_parts(bank, parts, G_N_ELEMENTS(parts), r->aggregates[bank]);
}

static void keep_boot_aggregate(AttImaReplay *r, const AttImaRecord *record) {
        if (record->path.left == strlen(boot_aggregate_name) &&
            memcmp(record->path.at, boot_aggregate_name, record->path.left) == 0 &&
            record->file_digest.left <= sizeof r->boot_aggregate) {
                r->boot_aggregate_size = record->file_digest.left;
                if (r->boot_aggregate_size > 0)
                        memcpy(r->boot_aggregate, record->file_digest.at, r->boot_aggregate_size);
        }
}

gboolean att_ima_replay_add(AttImaReplay *replay, const AttImaRecord *record, AttBank listed, GError **error) {
        uint8_t digest[ATT_BANK_SIZE_MAX];

        att_ima_digest(record, listed, digest);
        /* Nothing here is secret. */
        if (!record->is_violation && memcmp(digest, record->digest, att_bank_size(listed)) != 0)
                return att_error_set(error, ATT_ERROR_BAD_DATA,
                                     "the digest in the list is not the %s of the template data",
                                     att_bank_name(listed));

        if (record->pcr == ATT_IMA_PCR)
                for (unsigned b = 0; b < ATT_BANKS; b++)
                        if (replay->banks & ATT_BANK_SET(b)) {
                                if (b == (unsigned) listed) {
                                        extend(replay, (AttBank) b, digest);
                                } else {
                                        uint8_t other[ATT_BANK_SIZE_MAX];

                                        att_ima_digest(record, (AttBank) b, other);
                                        extend(replay, (AttBank) b, other);
                                }
                        }

        if (replay->count == 0)
                keep_boot_aggregate(replay, record);
        replay->count++;
        replay->violations += record->is_violation;
        return TRUE;
}

guint64 att_ima_replay_count(const AttImaReplay *replay) {
        return replay->count;
}

guint64 att_ima_replay_violations(const AttImaReplay *replay) {
        return replay->violations;
}

const uint8_t *att_ima_replay_aggregate(const AttImaReplay *replay, AttBank bank) {
        return replay->aggregates[bank];
}

const uint8_t *att_ima_replay_boot_aggregate(const AttImaReplay *replay, size_t *ret_size) {
        *ret_size = replay->boot_aggregate_size;
        return replay->boot_aggregate_size > 0 ? replay->boot_aggregate : NULL;
}
