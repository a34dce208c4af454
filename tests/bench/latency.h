/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Latencies of one scenario, printed as one JSON object per line. */
#pragma once

#include <glib.h>
#include <stdio.h>

static inline gint latency_compare(gconstpointer a, gconstpointer b) {
        gint64 x = *(const gint64 *) a, y = *(const gint64 *) b;

        return x < y ? -1 : x > y;
}

/* @samples: of gint64, nanoseconds; sorted here */
static inline void latency_print(const char *name, GArray *samples) {
        g_array_sort(samples, latency_compare);

        gint64 p50 = g_array_index(samples, gint64, samples->len / 2);
        gint64 p99 = g_array_index(samples, gint64, samples->len - 1 - samples->len / 100);

        printf("{\"scenario\": \"%s\", \"count\": %u, \"p50_us\": %.1f, \"p99_us\": %.1f}\n", name, samples->len,
               (double) p50 / 1000, (double) p99 / 1000);
        (void) fflush(stdout);
}

static inline gint64 latency_now(void) {
        struct timespec t;

        (void) clock_gettime(CLOCK_MONOTONIC, &t);
        return (gint64) t.tv_sec * 1000000000 + t.tv_nsec;
}
