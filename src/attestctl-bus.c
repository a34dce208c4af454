/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "attestctl-bus.h"

#include "util/error.h"

/* What an operator can do about it. The service's own messages say it already. */
static const struct {
        const char *error;
        const char *advice;
} advices[] = {
        { "org.freedesktop.DBus.Error.ServiceUnknown",
          "attestd is not running and the bus cannot start it: is it installed? try: systemctl start attestd" },
        { "org.freedesktop.DBus.Error.NameHasNoOwner", "attestd is not running: try: systemctl start attestd" },
        { "org.freedesktop.DBus.Error.NoReply",
          "attestd did not answer in time, or ended: see: systemctl status attestd" },
        { "org.freedesktop.DBus.Error.AccessDenied", "the policy of the bus does not let you call attestd" },
        { "org.freedesktop.DBus.Error.UnknownMethod",
          "attestd does not know this call: is it of the same version as attestctl?" },
};

static void explain(GError **error) {
        g_autofree char *name = g_dbus_error_get_remote_error(*error);
        const char *advice = NULL;

        (void) g_dbus_error_strip_remote_error(*error);
        for (gsize i = 0; name && i < G_N_ELEMENTS(advices); i++)
                if (g_str_equal(name, advices[i].error))
                        advice = advices[i].advice;
        if (name && g_str_has_prefix(name, "org.freedesktop.DBus.Error.Spawn"))
                advice = "the bus cannot start attestd: see: systemctl status attestd";

        if (advice) {
                g_autofree char *said = g_strdup((*error)->message);

                g_clear_error(error);
                att_error_set(error, ATT_ERROR_FAILED, "%s (%s)", advice, said);
        } else if (g_error_matches(*error, G_IO_ERROR, G_IO_ERROR_TIMED_OUT)) {
                g_prefix_error(error, "attestd did not answer in time: see: systemctl status attestd: ");
        }
}

GDBusConnection *ctl_bus_connect(gboolean direct, GError **error) {
        GDBusConnection *bus;

        if (direct)
                bus = g_dbus_connection_new_for_address_sync("unix:path=" CTL_DIRECT_PATH,
                                                             G_DBUS_CONNECTION_FLAGS_AUTHENTICATION_CLIENT, NULL, NULL,
                                                             error);
        else
                bus = g_bus_get_sync(G_BUS_TYPE_SYSTEM, NULL, error);
        if (bus)
                g_dbus_connection_set_exit_on_close(bus, FALSE);
        else if (direct)
                g_prefix_error(error, "cannot reach attestd at " CTL_DIRECT_PATH ": try: systemctl start "
                               "attestd.socket, or without --direct: ");
        else
                g_prefix_error(error, "cannot reach the system bus, without which there is no attestd: ");
        return bus;
}

GVariant *ctl_bus_call_with_fds(GDBusConnection *bus, const char *object, const char *interface, const char *method,
                                GVariant *parameters, const char *reply, int timeout_ms, GUnixFDList **ret_fds,
                                GError **error) {
        g_autoptr(GError) failure = NULL;
        GVariant *answer;

        answer = g_dbus_connection_call_with_unix_fd_list_sync(
                bus, CTL_NAME, object, interface, method, parameters, G_VARIANT_TYPE(reply),
                G_DBUS_CALL_FLAGS_ALLOW_INTERACTIVE_AUTHORIZATION, timeout_ms, NULL, ret_fds, NULL, &failure);
        if (!answer) {
                explain(&failure);
                g_propagate_error(error, g_steal_pointer(&failure));
        }
        return answer;
}

GVariant *ctl_bus_call(GDBusConnection *bus, const char *object, const char *interface, const char *method,
                       GVariant *parameters, const char *reply, int timeout_ms, GError **error) {
        return ctl_bus_call_with_fds(bus, object, interface, method, parameters, reply, timeout_ms, NULL, error);
}
