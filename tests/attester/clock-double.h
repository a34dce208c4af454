/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The monotonic clock, that of timers too, which stands still if the test says so. It is linked in place of the real
 * one: see meson.build. */
#pragma once

#include <glib.h>

/* What it shows; 0: the time as it is. */
extern gint64 clock_double_us;
