/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* When each connection came to the bus, and when it left: by the driver's signals, so
 * that nobody waits for the driver when a caller comes. A process that is younger than
 * the connection it is said to have made has only got the pid of the one that made it. */
#pragma once

#include <glib.h>
#include <systemd/sd-bus.h>

G_BEGIN_DECLS

typedef struct AttNameWatch AttNameWatch;

/* @name: ":1.7"; it is not used again */
typedef void (*AttNameLeft)(const char *name, gpointer userdata);

/**
 * att_name_watch_new: listen to the driver
 * @bus:  borrowed
 * @left: told of each connection that leaves after the driver has last said that it is there
 *
 * Returns: %NULL with @error if the bus cannot be listened to
 */
AttNameWatch *att_name_watch_new(sd_bus *bus, AttNameLeft left, gpointer userdata, GError **error)
        G_GNUC_WARN_UNUSED_RESULT;
void att_name_watch_free(AttNameWatch *watch);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(AttNameWatch, att_name_watch_free)

/**
 * att_name_watch_connected_by: the connection @name was there by this time
 *
 * CLOCK_BOOTTIME, microseconds. Of a connection that is older than the watch, all
 * that is known is that it was there when the watch began.
 */
gint64 att_name_watch_connected_by(const AttNameWatch *watch, const char *name);

G_END_DECLS
