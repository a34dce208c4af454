/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* An IMA log as a kernel would have it, and what it adds up to: made without the code
 * under test. */
#pragma once

#include "codec/claims.h"
#include "codec/ima-record.h"

#include <glib.h>
#include <stdbool.h>

#define MAKER_MAX 16384u

typedef struct Maker {
        GByteArray *log;          /* the sha1 list */
        guint n;
        guint offsets[MAKER_MAX + 1];
        guint violations[MAKER_MAX + 1];
        uint8_t aggregates[MAKER_MAX + 1][ATT_BANKS][ATT_BANK_SIZE_MAX];
} Maker;

static inline void maker_hash(AttBank bank, const void *a, size_t a_size, const void *b, size_t b_size, uint8_t *ret) {
        static const GChecksumType types[] = {
                G_CHECKSUM_SHA1, G_CHECKSUM_SHA256, G_CHECKSUM_SHA384, G_CHECKSUM_SHA512,
        };
        g_autoptr(GChecksum) sum = g_checksum_new(types[bank]);
        gsize size = att_bank_size(bank);

        g_checksum_update(sum, a, (gssize) a_size);
        if (b_size > 0)
                g_checksum_update(sum, b, (gssize) b_size);
        g_checksum_get_digest(sum, ret, &size);
}

static inline Maker *maker_new(void) {
        Maker *m = g_new0(Maker, 1);

        m->log = g_byte_array_new();
        return m;
}

static inline void maker_free(Maker *m) {
        g_byte_array_unref(m->log);
        g_free(m);
}
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Maker, maker_free)

static inline void maker_count(Maker *m, const GByteArray *data, bool is_violation, uint32_t pcr) {
        for (AttBank bank = 0; bank < ATT_BANKS; bank++) {
                size_t size = att_bank_size(bank);
                uint8_t digest[ATT_BANK_SIZE_MAX];

                memset(digest, 0xff, sizeof digest);
                if (!is_violation)
                        maker_hash(bank, data->data, data->len, NULL, 0, digest);
                if (pcr == ATT_IMA_PCR)
                        maker_hash(bank, m->aggregates[m->n][bank], size, digest, size, m->aggregates[m->n + 1][bank]);
                else
                        memcpy(m->aggregates[m->n + 1][bank], m->aggregates[m->n][bank], size);
        }
        m->violations[m->n + 1] = m->violations[m->n] + is_violation;
        m->n++;
        m->offsets[m->n] = m->log->len;
}

/* Template data under any name. */
static inline void maker_data(Maker *m, uint32_t pcr, const char *template_name, const GByteArray *data) {
        uint8_t digest[ATT_BANK_SIZE_MAX];

        g_assert(m->n < MAKER_MAX);
        maker_hash(ATT_BANK_SHA1, data->data, data->len, NULL, 0, digest);
        ima_put_record(m->log, pcr, digest, ATT_BANK_SHA1, template_name, data);
        maker_count(m, data, false, pcr);
}

/* ima-sig, whose file has a SHA-256 of 32 times @fill. */
static inline void maker_file(Maker *m, const char *path, uint8_t fill) {
        g_autoptr(GByteArray) data = g_byte_array_new();

        ima_put_digest(data, "sha256:", fill, 32);
        ima_put_path(data, path);
        ima_put_field(data, NULL, 0);
        maker_data(m, ATT_IMA_PCR, "ima-sig", data);
}

static inline void maker_boot_aggregate(Maker *m, uint8_t fill) {
        maker_file(m, "boot_aggregate", fill);
}

/* ima-sig with a signature in the field of security.ima. */
static inline void maker_signed(Maker *m, const char *path, uint8_t fill, const void *signature, size_t size) {
        g_autoptr(GByteArray) data = g_byte_array_new();

        ima_put_digest(data, "sha256:", fill, 32);
        ima_put_path(data, path);
        ima_put_field(data, signature, size);
        maker_data(m, ATT_IMA_PCR, "ima-sig", data);
}

static inline void maker_violation(Maker *m, const char *path) {
        g_autoptr(GByteArray) data = g_byte_array_new();

        ima_put_digest(data, "sha256:", 0, 32);
        ima_put_path(data, path);
        ima_put_field(data, NULL, 0);
        ima_put_record(m->log, ATT_IMA_PCR, NULL, ATT_BANK_SHA1, "ima-sig", data);
        maker_count(m, data, true, ATT_IMA_PCR);
}

/* Entries @from to @to, in memory of exactly their size. */
static inline GBytes *maker_slice(const Maker *m, guint from, guint to) {
        return g_bytes_new_take(g_memdup2(m->log->data + m->offsets[from], m->offsets[to] - m->offsets[from]),
                                m->offsets[to] - m->offsets[from]);
}

/* What attestd would say of the first @n. */
static inline AttImaClaims *maker_claims(const Maker *m, guint n, const char *root, AttBank bank) {
        AttImaClaims *ima = g_new0(AttImaClaims, 1);

        ima->root = g_strdup(root);
        ima->bank = g_strdup(att_bank_name(bank));
        ima->count = n;
        ima->violations = m->violations[n];
        ima->aggregate = g_bytes_new(m->aggregates[n][bank], att_bank_size(bank));
        ima->rtmr = strcmp(root, "rtmr") == 0 ? 3 : -1;
        return ima;
}
