/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "shape.h"

#include <string.h>

Shape *shape_new(FaultKind kind, gint64 number, bool is_nonzero) {
        Shape *shape = g_new(Shape, 1);

        *shape = (Shape) { kind, number, is_nonzero };
        return shape;
}

void shape_bend(const Shape *shape, Faults *random, GByteArray *blob) {
        guint before = blob->len;
        gint64 wanted = shape->number;

        if (shape->kind == FAULT_LENGTH_FIELD) {
                forge_bend_length(blob, (gint32) wanted);
                return;
        }

        if (shape->kind == FAULT_EMPTY)
                wanted = 0;
        else if (shape->kind == FAULT_SHORT)
                wanted = CLAMP(wanted < 0 ? wanted + before : wanted, 0, (gint64) before);
        else if (shape->kind == FAULT_TRAILING)
                wanted += before;
        else
                wanted = MAX(wanted, (gint64) before);

        g_byte_array_set_size(blob, (guint) wanted);
        for (guint i = before; i < blob->len; i++)
                blob->data[i] = shape->is_nonzero ? (guint8) (1 + faults_random(random, 255)) : 0;
}

void shape_report_data(const char *word, const guint8 previous[FORGE_REPORT_DATA_SIZE], Faults *random,
                       guint8 report_data[FORGE_REPORT_DATA_SIZE]) {
        if (!word)
                return;

        if (g_str_equal(word, "zero"))
                memset(report_data, 0, FORGE_REPORT_DATA_SIZE);
        else if (g_str_equal(word, "bit"))
                report_data[faults_random(random, FORGE_REPORT_DATA_SIZE)] ^= 1;
        else if (g_str_equal(word, "half"))
                for (guint i = FORGE_REPORT_DATA_SIZE / 2; i < FORGE_REPORT_DATA_SIZE; i++)
                        report_data[i] = (guint8) ~report_data[i];
        else if (g_str_equal(word, "previous"))
                memcpy(report_data, previous, FORGE_REPORT_DATA_SIZE);
        else if (g_str_equal(word, "other"))
                for (guint i = 0; i < FORGE_REPORT_DATA_SIZE; i++)
                        report_data[i] = (guint8) faults_random(random, 256);
}
