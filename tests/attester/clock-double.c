/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "clock-double.h"

gint64 clock_double_us;

gint64 __real_g_get_monotonic_time(void);
gint64 __wrap_g_get_monotonic_time(void);
gint64 __real_g_source_get_time(GSource *source);
gint64 __wrap_g_source_get_time(GSource *source);

gint64 __wrap_g_get_monotonic_time(void) {
        return clock_double_us > 0 ? clock_double_us : __real_g_get_monotonic_time();
}

gint64 __wrap_g_source_get_time(GSource *source) {
        return clock_double_us > 0 ? clock_double_us : __real_g_source_get_time(source);
}
