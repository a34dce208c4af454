/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Latencies by the million in 60 KB: buckets that are 0.8 % wide. */
#pragma once

#include <glib.h>
#include <stdio.h>

#define HISTOGRAM_BITS 7u
#define HISTOGRAM_BUCKETS ((64u - HISTOGRAM_BITS + 1u) << HISTOGRAM_BITS)

/* Begins as all zero. */
typedef struct Histogram {
        guint64 count;
        gint64 max;
        guint64 buckets[HISTOGRAM_BUCKETS];
} Histogram;

static inline void histogram_add(Histogram *h, gint64 ns) {
        guint64 v = (guint64) MAX(ns, 0);
        guint shift = 0;

        if (v >> HISTOGRAM_BITS != 0)
                shift = 63 - (guint) __builtin_clzll(v) - HISTOGRAM_BITS;
        h->buckets[((guint64) shift << HISTOGRAM_BITS) + (v >> shift)]++;
        h->count++;
        h->max = MAX(h->max, ns);
}

/* The middle of the bucket that the @share smallest (0 to 1) end in, or what was the largest. */
static inline gint64 histogram_quantile(const Histogram *h, double share) {
        guint64 wanted = (guint64) ((double) h->count * share), seen = 0;

        for (guint i = 0; i < HISTOGRAM_BUCKETS; i++) {
                seen += h->buckets[i];
                if (seen > wanted) {
                        guint shift = i >> HISTOGRAM_BITS;
                        guint64 low = i;

                        if (shift > 0) {
                                shift--;
                                low = ((guint64) (i & ((1u << HISTOGRAM_BITS) - 1)) | 1u << HISTOGRAM_BITS) << shift;
                        }
                        return MIN((gint64) (low + ((1ull << shift) >> 1)), h->max);
                }
        }
        return h->max;
}

static inline void histogram_print(const Histogram *h) {
        printf("{\"count\": %" G_GUINT64_FORMAT ", \"p50_us\": %.1f, \"p99_us\": %.1f, \"max_us\": %.1f}", h->count,
               (double) histogram_quantile(h, 0.5) / 1e3, (double) histogram_quantile(h, 0.99) / 1e3,
               (double) h->max / 1e3);
}
