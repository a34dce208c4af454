/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* attestctl's calls of org.attestd.Attester1. */
#pragma once

#include <gio/gio.h>
#include <gio/gunixfdlist.h>

G_BEGIN_DECLS

#define CTL_NAME "org.attestd.Attester1"
#define CTL_OBJECT "/org/attestd/Attester1"
#define CTL_INTERFACE "org.attestd.Attester1"
#define CTL_SESSION "org.attestd.Attester1.Session"

/* Where the service has no limit of its own; the bus may have to start it. */
#define CTL_CALL_MS 30000

#define CTL_DIRECT_PATH "/run/attestd/bus"
#define CTL_DIRECT_HELP "By attestd's own socket, without the system bus"

/** ctl_bus_connect: to the system bus, or to attestd itself; the message of @error says what to do */
GDBusConnection *ctl_bus_connect(gboolean direct, GError **error) G_GNUC_WARN_UNUSED_RESULT;

/**
 * ctl_bus_call: one method of the service
 * @parameters: floating
 * @reply:      type that the answer must have
 * @error:      its message is a sentence for the operator that says what to do
 */
GVariant *ctl_bus_call(GDBusConnection *bus, const char *object, const char *interface, const char *method,
                       GVariant *parameters, const char *reply, int timeout_ms, GError **error)
        G_GNUC_WARN_UNUSED_RESULT;

/** ctl_bus_call_with_fds: likewise, of one that answers with descriptors; @ret_fds may be left as it is */
GVariant *ctl_bus_call_with_fds(GDBusConnection *bus, const char *object, const char *interface, const char *method,
                                GVariant *parameters, const char *reply, int timeout_ms, GUnixFDList **ret_fds,
                                GError **error) G_GNUC_WARN_UNUSED_RESULT;

G_END_DECLS
