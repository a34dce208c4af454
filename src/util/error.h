/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

/**
 * AttError:
 * @ATT_ERROR_FAILED:           anything the caller cannot act on
 * @ATT_ERROR_INVALID_ARGUMENT: an argument has the wrong length, form or range
 * @ATT_ERROR_UNKNOWN_OPTION:   an option that this version does not know
 * @ATT_ERROR_BAD_DATA:         a device, the kernel or a peer gave bytes we do not accept
 * @ATT_ERROR_TOO_LARGE:        input or output is over its stated limit
 * @ATT_ERROR_NOT_AUTHORIZED:   the caller may not do this
 * @ATT_ERROR_NO_TEE:           this machine has no TEE that can serve the request
 * @ATT_ERROR_DEVICE_LOST:      the TEE was here and does not answer any more
 * @ATT_ERROR_DEVICE_BUSY:      the TEE is busy with somebody else's work; trying later may help
 * @ATT_ERROR_TIMED_OUT:        the caller's own time limit has passed, or the bus does not say in time who it is
 * @ATT_ERROR_CANCELLED:        the session was closed while the request waited
 * @ATT_ERROR_LIMIT_REACHED:    a limit of sessions or requests; closing some, or trying later, helps
 * @ATT_ERROR_NO_SUCH_SESSION:  the path names no session of this caller
 * @ATT_ERROR_CONTEXT_USED:     this certificate_request_context was used on this connection before
 * @ATT_ERROR_PROFILE:          a profile that is unknown, or not granted to this caller
 * @ATT_ERROR_REFUSED:          evidence or an authenticator did not verify
 *
 * Each code is one D-Bus error name, org.attestd.Error.<Name>; the only table of
 * them is bus/bus-error.c.
 */
typedef enum {
        ATT_ERROR_FAILED,
        ATT_ERROR_INVALID_ARGUMENT,
        ATT_ERROR_UNKNOWN_OPTION,
        ATT_ERROR_BAD_DATA,
        ATT_ERROR_TOO_LARGE,
        ATT_ERROR_NOT_AUTHORIZED,
        ATT_ERROR_NO_TEE,
        ATT_ERROR_DEVICE_LOST,
        ATT_ERROR_DEVICE_BUSY,
        ATT_ERROR_TIMED_OUT,
        ATT_ERROR_CANCELLED,
        ATT_ERROR_LIMIT_REACHED,
        ATT_ERROR_NO_SUCH_SESSION,
        ATT_ERROR_CONTEXT_USED,
        ATT_ERROR_PROFILE,
        ATT_ERROR_REFUSED,
} AttError;

#define ATT_ERROR (att_error_quark())
GQuark att_error_quark(void);

/**
 * att_error_set_errno: set @error from @err (positive errno) in %G_IO_ERROR.
 * The text becomes "<format>: <strerror>". Returns: %FALSE, so that a failing
 * branch is one statement.
 */
gboolean att_error_set_errno(GError **error, int err, const char *format, ...) G_GNUC_PRINTF(3, 4);

/** att_error_set: g_set_error() in %ATT_ERROR. Returns: %FALSE */
gboolean att_error_set(GError **error, AttError code, const char *format, ...) G_GNUC_PRINTF(3, 4);

G_END_DECLS
