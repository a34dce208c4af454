/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "verifier/signature-memo.h"

#include "crypto/digest.h"
#include "util/bytes.h"

typedef struct Entry {
        uint8_t key[ATT_SHA256_SIZE];
        gint64 until_us; /* monotonic */
        uint32_t user;
        int64_t not_before, not_after; /* of all certificates of the chain */

        AttCheckSet checks;
        GPtrArray *details; /* of char *, one for each of @checks */
        AttCertificate *pck;
        AttPckExtension pck_extension;
        AttCertificate *vek;
        AttVekExtensions vek_extensions;
        char **tee_json;      /* a box: see AttResult */
} Entry;

struct AttSignatureMemo {
        GHashTable *entries; /* of Entry by itself */
        GQueue by_age;       /* of Entry, the oldest first: all live equally long */
        guint timer;         /* 0: there is none */
};

#define PURGE_S (ATT_SIGNATURE_MEMO_S / 4)

/* A digest is as good a hash as any. */
static guint entry_hash(gconstpointer entry) {
        guint hash;

        memcpy(&hash, ((const Entry *) entry)->key, sizeof hash);
        return hash;
}

static gboolean entry_equal(gconstpointer a, gconstpointer b) {
        return memcmp(((const Entry *) a)->key, ((const Entry *) b)->key, ATT_SHA256_SIZE) == 0;
}

static void entry_free(gpointer data) {
        Entry *entry = data;

        g_ptr_array_unref(entry->details);
        g_clear_pointer(&entry->pck, att_certificate_unref);
        g_clear_pointer(&entry->vek, att_certificate_unref);
        att_tee_json_release(entry->tee_json);
        g_free(entry);
}

AttSignatureMemo *att_signature_memo_new(void) {
        AttSignatureMemo *memo = g_new0(AttSignatureMemo, 1);

        memo->entries = g_hash_table_new_full(entry_hash, entry_equal, entry_free, NULL);
        g_queue_init(&memo->by_age);
        return memo;
}

void att_signature_memo_free(AttSignatureMemo *memo) {
        if (!memo)
                return;
        if (memo->timer > 0)
                (void) g_source_remove(memo->timer);
        g_queue_clear(&memo->by_age);
        g_hash_table_unref(memo->entries);
        g_free(memo);
}

guint att_signature_memo_size(const AttSignatureMemo *memo) {
        return g_hash_table_size(memo->entries);
}

static void put_digest(GByteArray *out, AttSha256 *sha256, GBytes *bytes) {
        uint8_t digest[ATT_SHA256_SIZE];
        gsize size;
        const void *data = g_bytes_get_data(bytes, &size);

        att_sha256_digest(sha256, &(AttPart) { data, size }, 1, digest);
        att_put(out, digest, sizeof digest);
}

/* Of each part the digest, and how many there are of what may be more or less: so no
 * two lists of parts are one text. */
void att_signature_memo_key(AttTeeKind kind, GBytes *blob, GBytes *table, GPtrArray *extra, GPtrArray *roots,
                            uint8_t ret[ATT_SHA256_SIZE]) {
        g_autoptr(GByteArray) text = g_byte_array_new();
        g_autoptr(AttSha256) sha256 = att_sha256_new();

        att_put_be(text, kind, 1);
        put_digest(text, sha256, blob);
        att_put_be(text, table != NULL, 1);
        if (table)
                put_digest(text, sha256, table);
        att_put_be(text, extra ? extra->len : 0, 4);
        for (guint i = 0; extra && i < extra->len; i++) {
                g_autoptr(GBytes) der = att_certificate_dup_der(extra->pdata[i]);

                put_digest(text, sha256, der);
        }
        att_put_be(text, roots->len, 4);
        for (guint i = 0; i < roots->len; i++)
                put_digest(text, sha256, roots->pdata[i]);
        att_sha256_digest(sha256, &(AttPart) { text->data, text->len }, 1, ret);
}

static void remove_oldest(AttSignatureMemo *memo) {
        g_hash_table_remove(memo->entries, g_queue_pop_head(&memo->by_age));
}

static void remove_old(AttSignatureMemo *memo, gint64 now_us) {
        const Entry *oldest;

        while ((oldest = g_queue_peek_head(&memo->by_age)) && now_us >= oldest->until_us)
                remove_oldest(memo);
}

static gboolean on_time(gpointer data) {
        AttSignatureMemo *memo = data;

        remove_old(memo, g_get_monotonic_time());
        if (memo->by_age.length > 0)
                return G_SOURCE_CONTINUE;
        memo->timer = 0;
        return G_SOURCE_REMOVE;
}

/* For one more of @user's. */
static void make_room(AttSignatureMemo *memo, uint32_t user) {
        GList *oldest = NULL;
        guint n = 0;

        for (GList *l = memo->by_age.tail; l; l = l->prev)
                if (((const Entry *) l->data)->user == user) {
                        oldest = l;
                        n++;
                }
        if (n >= ATT_SIGNATURE_MEMO_PER_USER_MAX) {
                (void) g_hash_table_remove(memo->entries, oldest->data);
                g_queue_delete_link(&memo->by_age, oldest);
        }
        while (memo->by_age.length >= ATT_SIGNATURE_MEMO_MAX)
                remove_oldest(memo);
}

static const Entry *find(AttSignatureMemo *memo, const uint8_t key[ATT_SHA256_SIZE]) {
        Entry like;

        memcpy(like.key, key, sizeof like.key);
        return g_hash_table_lookup(memo->entries, &like);
}

static void settle_as_before(AttResult *result, const Entry *entry) {
        guint n = 0;

        for (AttCheckId id = 0; id < ATT_CHECKS; id++)
                if (entry->checks & ATT_CHECK_SET(id))
                        att_result_pass(result, id, "%s", (const char *) entry->details->pdata[n++]);
        result->tee_json = g_rc_box_acquire(entry->tee_json);
        result->not_before = entry->not_before;
        result->not_after = entry->not_after;
        if (entry->pck) {
                result->pck = att_certificate_ref(entry->pck);
                result->pck_extension = entry->pck_extension;
                result->has_pck_extension = true;
        }
        if (entry->vek) {
                result->vek = att_certificate_ref(entry->vek);
                result->vek_extensions = entry->vek_extensions;
        }
}

/* When a certificate is not valid, which it is and why is said by who looks again. */
bool att_signature_memo_recall(AttSignatureMemo *memo, const uint8_t key[ATT_SHA256_SIZE], int64_t at,
                               AttResult *result) {
        const Entry *entry;

        remove_old(memo, g_get_monotonic_time());
        entry = find(memo, key);
        if (!entry || at < entry->not_before || at > entry->not_after)
                return false;
        settle_as_before(result, entry);
        return true;
}

static bool have_passed(const AttResult *result, AttCheckSet checks) {
        for (AttCheckId id = 0; id < ATT_CHECKS; id++)
                if (checks & ATT_CHECK_SET(id) && att_result_status(result, id) != ATT_CHECK_PASSED)
                        return false;
        return checks != 0;
}

static bool is_small(const AttCertificate *certificate) {
        return !certificate || att_certificate_size(certificate) <= ATT_CERTIFICATE_KEPT_MAX;
}

void att_signature_memo_keep(AttSignatureMemo *memo, uint32_t user, const uint8_t key[ATT_SHA256_SIZE],
                             AttCheckSet checks, const AttResult *result) {
        gint64 now_us = g_get_monotonic_time();
        Entry *entry;

        remove_old(memo, now_us);
        if (!have_passed(result, checks) || !is_small(result->pck) || !is_small(result->vek) || find(memo, key))
                return;
        make_room(memo, user);

        entry = g_new0(Entry, 1);
        memcpy(entry->key, key, sizeof entry->key);
        entry->until_us = now_us + ATT_SIGNATURE_MEMO_S * G_USEC_PER_SEC;
        entry->user = user;
        entry->not_before = result->not_before;
        entry->not_after = result->not_after;
        entry->checks = checks;
        entry->details = g_ptr_array_new_with_free_func(g_free);
        for (AttCheckId id = 0; id < ATT_CHECKS; id++)
                if (checks & ATT_CHECK_SET(id)) {
                        const AttCheck *check = result->checks->pdata[id];

                        g_ptr_array_add(entry->details, g_strdup(check->detail));
                }
        entry->pck = result->pck ? att_certificate_ref(result->pck) : NULL;
        entry->pck_extension = result->pck_extension;
        entry->vek = result->vek ? att_certificate_ref(result->vek) : NULL;
        entry->vek_extensions = result->vek_extensions;
        entry->tee_json = g_rc_box_new0(char *);
        g_hash_table_add(memo->entries, entry);
        g_queue_push_tail(&memo->by_age, entry);
        if (memo->timer == 0)
                memo->timer = g_timeout_add_seconds(PURGE_S, on_time, memo);
}
