/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What a fault makes of a good report: of what is signed, and of the bytes afterwards. */
#pragma once

#include "fault.h"
#include "forge.h"

G_BEGIN_DECLS

/* How a blob is bent after it was made. The fault itself may be gone by then. */
typedef struct Shape {
        FaultKind kind;
        gint64 number;
        bool is_nonzero;
} Shape;

/** shape_new: to be g_free()d */
Shape *shape_new(FaultKind kind, gint64 number, bool is_nonzero) G_GNUC_WARN_UNUSED_RESULT;

/** shape_bend: @random: for the bytes that are not zero */
void shape_bend(const Shape *shape, Faults *random, GByteArray *blob);

/**
 * shape_report_data: what the report speaks of, when a fault has its say
 * @word:     (nullable): "zero", "bit", "half", "previous", "other"; any other leaves it as it is
 * @previous: REPORTDATA of the report before
 */
void shape_report_data(const char *word, const guint8 previous[FORGE_REPORT_DATA_SIZE], Faults *random,
                       guint8 report_data[FORGE_REPORT_DATA_SIZE]);

G_END_DECLS
