/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A log is a million short texts, for each of which EVP takes a third more time than these functions of
 * OpenSSL, which has deprecated them in its favour. */
#define OPENSSL_SUPPRESS_DEPRECATED
#include "crypto/ima-replay.h"

#include "crypto/digest.h"
#include "util/error.h"

#include <openssl/sha.h>
#include <string.h>

#define LEGACY_DIGEST 20u
#define LEGACY_NAME_ROOM 256u

#define BATCH 1024u        /* entries that are hashed while the next ones are read */
#define SLICE 64u          /* of them taken by a thread at a time */
#define LONG (64u * 1024u) /* bytes: what is shorter is not worth a thread */

struct AttImaReplay {
        unsigned banks;
        guint64 count, violations;
        uint8_t aggregates[ATT_BANKS][ATT_BANK_SIZE_MAX];
        uint8_t boot_aggregate[ATT_BANK_SIZE_MAX];
        size_t boot_aggregate_size; /* 0: none */
};

static const char boot_aggregate_name[] = "boot_aggregate";

/* They fail only where there is no such hash, which ends the process: there is nothing to go on with. */
static void hash_parts(AttBank bank, const AttPart *parts, size_t n_parts, uint8_t *ret) {
        union {
                SHA_CTX sha1;
                SHA256_CTX sha256;
                SHA512_CTX sha512;
        } c;
        bool ok = false;

        switch (bank) {
        case ATT_BANK_SHA1:
                ok = SHA1_Init(&c.sha1) == 1;
                for (size_t i = 0; ok && i < n_parts; i++)
                        ok = SHA1_Update(&c.sha1, parts[i].data, parts[i].size) == 1;
                ok = ok && SHA1_Final(ret, &c.sha1) == 1;
                break;
        case ATT_BANK_SHA256:
                ok = SHA256_Init(&c.sha256) == 1;
                for (size_t i = 0; ok && i < n_parts; i++)
                        ok = SHA256_Update(&c.sha256, parts[i].data, parts[i].size) == 1;
                ok = ok && SHA256_Final(ret, &c.sha256) == 1;
                break;
        case ATT_BANK_SHA384:
        case ATT_BANK_SHA512:
                ok = (bank == ATT_BANK_SHA384 ? SHA384_Init(&c.sha512) : SHA512_Init(&c.sha512)) == 1;
                for (size_t i = 0; ok && i < n_parts; i++)
                        ok = SHA512_Update(&c.sha512, parts[i].data, parts[i].size) == 1;
                ok = ok && (bank == ATT_BANK_SHA384 ? SHA384_Final(ret, &c.sha512) : SHA512_Final(ret, &c.sha512)) == 1;
                break;
        }
        if (!ok)
                g_error("OpenSSL cannot compute %s", att_bank_name(bank));
}

/* What is hashed of a record. */
typedef struct Entry {
        const uint8_t *record;
        const uint8_t *digest; /* of the list */
        const uint8_t *data;
        uint32_t data_size;
        bool is_legacy, is_violation, is_extended;
        bool is_wrong; /* found when hashed */
} Entry;

static Entry entry_of(const AttImaRecord *record) {
        return (Entry) {
                .digest = record->digest,
                .data = record->data.at,
                .data_size = (uint32_t) record->data.left,
                .is_legacy = record->is_legacy,
                .is_violation = record->is_violation,
                .is_extended = record->pcr == ATT_IMA_PCR,
        };
}

/* The template hash. That of "ima" is over the digest and the path, which has its length before it, in a
 * field of fixed size. */
static void hash_entry(const Entry *e, AttBank bank, uint8_t *ret) {
        static const uint8_t zeros[LEGACY_NAME_ROOM];
        const AttPart data = { e->data, e->data_size };

        if (e->is_violation) {
                memset(ret, 0xff, att_bank_size(bank));
        } else if (e->is_legacy) {
                size_t path_size = e->data_size - LEGACY_DIGEST - 4;
                const AttPart legacy[] = {
                        { e->data, LEGACY_DIGEST },
                        { e->data + LEGACY_DIGEST + 4, path_size },
                        { zeros, LEGACY_NAME_ROOM - path_size },
                };

                hash_parts(bank, legacy, G_N_ELEMENTS(legacy), ret);
        } else {
                hash_parts(bank, &data, 1, ret);
        }
}

void att_ima_digest(const AttImaRecord *record, AttBank bank, uint8_t *ret) {
        const Entry e = entry_of(record);

        hash_entry(&e, bank, ret);
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

/* Only what was extended: an entry of another PCR says whatever who wrote the list liked. */
static void keep_boot_aggregate(AttImaReplay *r, const AttImaRecord *record) {
        if (record->pcr == ATT_IMA_PCR && record->path.left == strlen(boot_aggregate_name) &&
            memcmp(record->path.at, boot_aggregate_name, record->path.left) == 0 &&
            record->file_digest.left <= sizeof r->boot_aggregate) {
                r->boot_aggregate_size = record->file_digest.left;
                if (r->boot_aggregate_size > 0)
                        memcpy(r->boot_aggregate, record->file_digest.at, r->boot_aggregate_size);
        }
}

/* What an entry extends each bank by, and whether the list says so. Nothing here is secret. */
typedef uint8_t Digests[ATT_BANKS][ATT_BANK_SIZE_MAX];

static void hash_banks(unsigned banks, AttBank listed, Entry *e, Digests ret) {
        for (unsigned b = 0; b < ATT_BANKS; b++)
                if ((banks | ATT_BANK_SET(listed)) & ATT_BANK_SET(b))
                        hash_entry(e, (AttBank) b, ret[b]);
        e->is_wrong = !e->is_violation && memcmp(ret[listed], e->digest, att_bank_size(listed)) != 0;
}

static gboolean add_hashed(AttImaReplay *r, AttBank listed, const Entry *e, Digests digests, GError **error) {
        if (e->is_wrong)
                return att_error_set(error, ATT_ERROR_BAD_DATA,
                                     "the digest in the list is not the %s of the template data",
                                     att_bank_name(listed));

        for (unsigned b = 0; e->is_extended && b < ATT_BANKS; b++)
                if (r->banks & ATT_BANK_SET(b))
                        extend(r, (AttBank) b, digests[b]);
        r->count++;
        r->violations += e->is_violation;
        return TRUE;
}

gboolean att_ima_replay_add(AttImaReplay *replay, const AttImaRecord *record, AttBank listed, GError **error) {
        Entry e = entry_of(record);
        Digests digests;

        hash_banks(replay->banks, listed, &e, digests);
        if (!add_hashed(replay, listed, &e, digests, error))
                return FALSE;
        if (replay->count == 1)
                keep_boot_aggregate(replay, record);
        return TRUE;
}

typedef struct Batch {
        guint n;
        Entry entries[BATCH];
        Digests digests[BATCH];
} Batch;

/* A batch that two threads hash, each taking slices. */
typedef struct Hashing {
        unsigned banks;
        AttBank listed;

        GMutex lock;
        GCond more, done;
        Batch *batch;
        guint next, n_done; /* entries of @batch */
        bool is_over;
} Hashing;

/* With the lock held. False: there is none left to take. */
static bool hash_slice(Hashing *h) {
        Batch *batch = h->batch;
        guint from = h->next, to;

        if (!batch || from >= batch->n)
                return false;
        to = h->next = MIN(from + SLICE, batch->n);

        g_mutex_unlock(&h->lock);
        for (guint i = from; i < to; i++)
                hash_banks(h->banks, h->listed, &batch->entries[i], batch->digests[i]);
        g_mutex_lock(&h->lock);

        h->n_done += to - from;
        if (h->n_done == batch->n)
                g_cond_signal(&h->done);
        return true;
}

static gpointer hash_until_over(gpointer userdata) {
        Hashing *h = userdata;

        g_mutex_lock(&h->lock);
        while (!h->is_over)
                if (!hash_slice(h))
                        g_cond_wait(&h->more, &h->lock);
        g_mutex_unlock(&h->lock);
        return NULL;
}

static void start_hashing(Hashing *h, Batch *batch) {
        g_mutex_lock(&h->lock);
        h->batch = batch;
        h->next = h->n_done = 0;
        g_cond_signal(&h->more);
        g_mutex_unlock(&h->lock);
}

static void finish_hashing(Hashing *h) {
        g_mutex_lock(&h->lock);
        while (hash_slice(h))
                ;
        while (h->n_done < h->batch->n)
                g_cond_wait(&h->done, &h->lock);
        g_mutex_unlock(&h->lock);
}

/* Up to @max records of @log. Fewer: no other is whole, or @error. */
static void parse_batch(AttCursor *log, AttBank listed, guint64 max, Batch *ret, GError **error) {
        AttImaRecord r;

        for (ret->n = 0; ret->n < MIN(max, BATCH); ret->n++) {
                const uint8_t *record = log->at;

                if (att_ima_record_parse(log, listed, &r, error) != ATT_IMA_RECORD)
                        return;
                ret->entries[ret->n] = entry_of(&r);
                ret->entries[ret->n].record = record;
        }
}

static gboolean add_batch(AttImaReplay *r, AttBank listed, Batch *batch, const uint8_t **ret_at, GError **error) {
        for (guint i = 0; i < batch->n; i++)
                if (!add_hashed(r, listed, &batch->entries[i], batch->digests[i], error)) {
                        *ret_at = batch->entries[i].record;
                        return FALSE;
                }
        return TRUE;
}

static gboolean add_long_log(AttImaReplay *r, AttCursor *log, AttBank listed, guint64 max, GError **error) {
        g_autofree Batch *batches = g_new(Batch, 2);
        Hashing h = { .banks = r->banks, .listed = listed };
        g_autoptr(GError) bad = NULL; /* of the record behind those that were parsed */
        AttCursor c = *log;
        const uint8_t *at = NULL;
        gboolean ok = TRUE;
        GThread *thread;

        g_mutex_init(&h.lock);
        g_cond_init(&h.more);
        g_cond_init(&h.done);
        thread = g_thread_try_new("ima-hash", hash_until_over, &h, NULL); /* without it: slower */

        parse_batch(&c, listed, max, &batches[0], &bad);
        max -= batches[0].n;
        start_hashing(&h, &batches[0]);
        for (guint i = 0; ok && batches[i].n > 0; i = !i) {
                Batch *next = &batches[!i];

                next->n = 0;
                if (!bad)
                        parse_batch(&c, listed, max, next, &bad);
                max -= next->n;
                finish_hashing(&h);
                start_hashing(&h, next);
                ok = add_batch(r, listed, &batches[i], &at, error);
        }

        g_mutex_lock(&h.lock);
        h.is_over = true;
        g_cond_signal(&h.more);
        g_mutex_unlock(&h.lock);
        if (thread)
                g_thread_join(thread);
        g_cond_clear(&h.done);
        g_cond_clear(&h.more);
        g_mutex_clear(&h.lock);

        if (ok)
                at = c.at;
        (void) att_take(log, (size_t) (at - log->at));
        if (ok && bad) {
                g_propagate_error(error, g_steal_pointer(&bad));
                return FALSE;
        }
        return ok;
}

static gboolean add_short_log(AttImaReplay *r, AttCursor *log, AttBank listed, guint64 max, GError **error) {
        for (guint64 n = 0; n < max; n++) {
                AttCursor c = *log;
                AttImaRecord record;
                AttImaParsed parsed = att_ima_record_parse(&c, listed, &record, error);

                if (parsed != ATT_IMA_RECORD)
                        return parsed == ATT_IMA_MORE;
                if (!att_ima_replay_add(r, &record, listed, error))
                        return FALSE;
                *log = c;
        }
        return TRUE;
}

gboolean att_ima_replay_add_log(AttImaReplay *replay, AttCursor *log, AttBank listed, guint64 max, GError **error) {
        guint64 first = MIN(max, 1); /* may be the boot aggregate */

        if (log->left < LONG)
                return add_short_log(replay, log, listed, max, error);
        return add_short_log(replay, log, listed, first, error) &&
               add_long_log(replay, log, listed, max - first, error);
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
