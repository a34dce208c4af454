/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "util/duration.h"

char *att_duration_about(gint64 us) {
        /* Each limit is where the words before it would say more than they can. */
        if (us < 950)
                return g_strdup("less than 1 ms");
        if (us < 999500)
                return g_strdup_printf("about %.0f ms", (double) us / 1e3);
        if (us < 99950000)
                return g_strdup_printf("about %.1f s", (double) us / 1e6);
        return g_strdup_printf("about %.0f min", (double) us / 60e6);
}
