/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Which boot of which instance: generations compare only within equal ids. */
#pragma once

#include <glib.h>
#include <stdint.h>

G_BEGIN_DECLS

#define ATT_BOOT_ID_SIZE 16u
#define ATT_INSTANCE_ID_SIZE 16u

/** att_boot_id_read: /proc/sys/kernel/random/boot_id, as the 16 bytes it stands for */
gboolean att_boot_id_read(uint8_t ret[ATT_BOOT_ID_SIZE], GError **error) G_GNUC_WARN_UNUSED_RESULT;

/** att_boot_id_parse: a UUID in lower case and a line feed, as the kernel prints it, and nothing else */
gboolean att_boot_id_parse(const void *text, gsize size, uint8_t ret[ATT_BOOT_ID_SIZE],
                           GError **error) G_GNUC_WARN_UNUSED_RESULT;

/**
 * att_instance_id_new: 16 bytes from the kernel's generator
 *
 * The boot id is the same in every clone of a running guest, and host and
 * snapshot may replay it; this one is made when the service starts, and again
 * when it learns that the guest was resumed.
 */
gboolean att_instance_id_new(uint8_t ret[ATT_INSTANCE_ID_SIZE], GError **error) G_GNUC_WARN_UNUSED_RESULT;

G_END_DECLS
