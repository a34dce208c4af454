/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "util/error.h"

#include <gio/gio.h>

G_DEFINE_QUARK(att-error-quark, att_error)

gboolean att_error_set_errno(GError **error, int err, const char *format, ...) {
        g_autofree char *what = NULL;
        va_list ap;

        va_start(ap, format);
        what = g_strdup_vprintf(format, ap);
        va_end(ap);

        g_set_error(error, G_IO_ERROR, (gint) g_io_error_from_errno(err), "%s: %s", what, g_strerror(err));
        return FALSE;
}

gboolean att_error_set(GError **error, AttError code, const char *format, ...) {
        va_list ap;

        if (!error)
                return FALSE;

        va_start(ap, format);
        *error = g_error_new_valist(ATT_ERROR, (gint) code, format, ap);
        va_end(ap);
        return FALSE;
}
