/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Lengths of time as people are told them. */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

/** att_duration_about: "about 3.2 s", "about 39 ms", "about 4 min". Returns: (transfer full) */
char *att_duration_about(gint64 us) G_GNUC_WARN_UNUSED_RESULT;

G_END_DECLS
