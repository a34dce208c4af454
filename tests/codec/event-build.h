/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Event logs of tests' own making. */
#pragma once

#include "codec/event-log.h"

#include "exact.h"

#define ALG_SHA1 0x0004
#define ALG_SHA256 0x000b
#define ALG_SHA384 0x000c
#define ALG_SHA512 0x000d
#define ALG_SM3 0x0012

static inline void build_old_event(GByteArray *out, uint32_t reg, uint32_t type, const void *digest, const void *data,
                                   size_t size) {
        static const uint8_t zeros[20];

        att_put_le(out, reg, 4);
        att_put_le(out, type, 4);
        att_put(out, digest ? digest : zeros, 20);
        att_put_le(out, size, 4);
        att_put(out, data, size);
}

typedef struct BuildAlgorithm {
        uint16_t id;
        uint16_t size;
} BuildAlgorithm;

/* TCG_EfiSpecIdEvent with @vendor bytes behind it, for register @reg. */
static inline void build_header(GByteArray *out, uint32_t reg, const BuildAlgorithm *algorithms, uint32_t n,
                                const char *vendor) {
        g_autoptr(GByteArray) spec = g_byte_array_new();

        att_put(spec, "Spec ID Event03", 16);
        att_put_le(spec, 0, 4);
        att_put(spec, "\0\2\0\2", 4);
        att_put_le(spec, n, 4);
        for (uint32_t i = 0; i < n; i++) {
                att_put_le(spec, algorithms[i].id, 2);
                att_put_le(spec, algorithms[i].size, 2);
        }
        att_put_le(spec, strlen(vendor), 1);
        att_put(spec, vendor, strlen(vendor));
        build_old_event(out, reg, ATT_EVENT_NO_ACTION, NULL, spec->data, spec->len);
}

/* Digests of @fill, @fill + 1, …, one for each algorithm. */
static inline void build_event(GByteArray *out, uint32_t reg, uint32_t type, const BuildAlgorithm *algorithms,
                               uint32_t n, uint8_t fill, const void *data, size_t size) {
        att_put_le(out, reg, 4);
        att_put_le(out, type, 4);
        att_put_le(out, n, 4);
        for (uint32_t i = 0; i < n; i++) {
                g_autofree uint8_t *digest = g_malloc(algorithms[i].size);

                memset(digest, fill ? fill + (int) i : 0, algorithms[i].size);
                att_put_le(out, algorithms[i].id, 2);
                att_put(out, digest, algorithms[i].size);
        }
        att_put_le(out, size, 4);
        att_put(out, data, size);
}

static inline GBytes *build_done(GByteArray *out) {
        return exact(out->data, out->len);
}
