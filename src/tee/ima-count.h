/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the kernel counts of its IMA log. Not signed by anything: for operators. */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

/* 0 where there is no IMA. */
guint64 att_ima_count_entries(void);
guint64 att_ima_count_violations(void);

/** att_ima_count_parse: a number and a line feed, as the kernel prints it; 0 for anything else */
guint64 att_ima_count_parse(const char *text, gsize size);

G_END_DECLS
