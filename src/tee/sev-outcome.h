/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What an ioctl of /dev/sev-guest has come to. No I/O. Errors are of %ATT_TEE_FAULT. */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

G_BEGIN_DECLS

#define ATT_SEV_DEVICE_PATH "/dev/sev-guest"
#define ATT_SEV_DEVICE_VMPL_MAX 3u

typedef struct AttSevOutcome {
        int err;            /* errno; 0: it succeeded */
        uint64_t exitinfo2; /* as the driver left it: of the host above, of the firmware below; 0 before the call */
} AttSevOutcome;

/** att_sev_outcome_wants_room: was there a report, but for want of room for the host's certificates? */
bool att_sev_outcome_wants_room(const AttSevOutcome *outcome);

/** att_sev_outcome_check: did it succeed? */
gboolean att_sev_outcome_check(const AttSevOutcome *outcome, GError **error) G_GNUC_WARN_UNUSED_RESULT;

/**
 * att_sev_response_take_report: the report out of the firmware's response
 * @response: %ATT_SNP_RESPONSE_SIZE bytes
 * @vmpl: that was asked for
 */
GBytes *att_sev_response_take_report(const uint8_t *response, guint vmpl, GError **error) G_GNUC_WARN_UNUSED_RESULT;

/**
 * att_sev_table_take: the certificate table that a host has put into @buffer
 *
 * As far as its entries reach, and as configfs-tsm would show it: nobody has looked
 * whether it is good. %NULL if there is none. Returns: (transfer full) (nullable)
 */
GBytes *att_sev_table_take(const uint8_t *buffer, gsize size) G_GNUC_WARN_UNUSED_RESULT;

/** att_sev_vmpl_parse: "0\n" … "3\n", as a file of sysfs shows it */
bool att_sev_vmpl_parse(const void *text, gsize size, guint *ret) G_GNUC_WARN_UNUSED_RESULT;

G_END_DECLS
