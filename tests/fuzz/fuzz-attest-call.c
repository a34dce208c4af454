/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Target functions: att_attest_call_read; what it takes is what GDBus reads in it */
#include "bus/attest-call.h"

#include <gio/gio.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const guint8 *data, gsize size);

static bool is_bytes(GVariant *body, gsize i, const void *data, gsize size) {
        g_autoptr(GVariant) v = g_variant_get_child_value(body, i);

        return g_variant_get_size(v) == size && (size == 0 || memcmp(g_variant_get_data(v), data, size) == 0);
}

int LLVMFuzzerTestOneInput(const guint8 *data, gsize size) {
        g_autofree guint8 *exact = g_memdup2(data, size);
        g_autoptr(GDBusMessage) m = NULL;
        g_autoptr(GVariant) options = NULL;
        AttAttestCall call;
        gsize n = att_attest_call_read(exact, size, &call);
        gboolean batch = FALSE, split = FALSE;
        GVariant *body;

        if (n == 0)
                return 0;
        if (n > size)
                g_abort();
        /* Who is asked is compared with who there is, and not looked at otherwise. */
        if (!g_variant_is_object_path(call.path) || (call.destination && !g_dbus_is_name(call.destination)))
                return 0;

        m = g_dbus_message_new_from_blob(exact, n, G_DBUS_CAPABILITY_FLAGS_NONE, NULL);
        if (!m || g_dbus_message_get_message_type(m) != G_DBUS_MESSAGE_TYPE_METHOD_CALL ||
            g_dbus_message_get_flags(m) & G_DBUS_MESSAGE_FLAGS_NO_REPLY_EXPECTED || g_dbus_message_get_sender(m) ||
            g_dbus_message_get_num_unix_fds(m) > 0 || g_dbus_message_get_serial(m) != call.serial ||
            !g_str_equal(g_dbus_message_get_path(m), call.path) ||
            !g_str_equal(g_dbus_message_get_member(m), "Attest") ||
            !g_str_equal(g_dbus_message_get_interface(m), "org.attestd.Attester1.Session") ||
            g_strcmp0(g_dbus_message_get_destination(m), call.destination) != 0)
                g_abort();
        body = g_dbus_message_get_body(m);
        if (!g_variant_is_of_type(body, G_VARIANT_TYPE("(ayayaya{sv})")) ||
            !is_bytes(body, 0, call.exported_value, call.exported_value_size) ||
            !is_bytes(body, 1, call.request_context, call.request_context_size) ||
            !is_bytes(body, 2, call.public_key, call.public_key_size))
                g_abort();
        options = g_variant_get_child_value(body, 3);
        (void) g_variant_lookup(options, "batch", "b", &batch);
        (void) g_variant_lookup(options, "split", "b", &split);
        if (batch != call.batch || split != call.split)
                g_abort();
        return 0;
}
