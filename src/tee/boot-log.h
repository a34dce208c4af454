/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The boot's event log as the kernel has it: CCEL of a TD, else a TPM's binary_bios_measurements. */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

/**
 * att_boot_log_read: whole, without the unused rest of its area
 * @error: %ATT_ERROR_NO_TEE if there is none; %ATT_ERROR_BAD_DATA, %ATT_ERROR_TOO_LARGE if it is none that can
 *         be walked; %G_IO_ERROR
 *
 * It does not change while the system runs: once is enough.
 */
GBytes *att_boot_log_read(GError **error) G_GNUC_WARN_UNUSED_RESULT;

G_END_DECLS
