/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lib/answer.h"

#include "codec/frame.h"
#include "codec/text.h"
#include "util/io.h"
#include "util/memfd.h"

#include <gio/gunixfdlist.h>

static bool read_id(GVariant *dict, const char *key, uint8_t ret[16]) {
        const char *hex;

        if (!g_variant_lookup(dict, key, "&s", &hex) || strlen(hex) != 32)
                return false;
        for (size_t i = 0; i < 16; i++) {
                int high = g_ascii_xdigit_value(hex[2 * i]), low = g_ascii_xdigit_value(hex[2 * i + 1]);

                if (high < 0 || low < 0)
                        return false;
                ret[i] = (uint8_t) (high << 4 | low);
        }
        return true;
}

static AttStateId read_state(GVariant *dict) {
        AttStateId state = { 0 };
        guint64 generation;

        state.known = read_id(dict, "boot_id", state.boot_id) && read_id(dict, "instance_id", state.instance_id) &&
                      g_variant_lookup(dict, "generation", "t", &generation);
        if (state.known)
                state.generation = generation;
        return state;
}

static GBytes *child_bytes(GVariant *tuple, gsize i) {
        g_autoptr(GVariant) child = g_variant_get_child_value(tuple, i);

        return g_variant_get_data_as_bytes(child);
}

static void read_verdict(GVariant *body, AttEvent *event) {
        g_autoptr(GVariant) dict = NULL;
        gboolean accepted;

        g_variant_get(body, "(b@a{sv})", &accepted, &dict);
        event->accepted = accepted;
        event->state = read_state(dict);
        (void) g_variant_lookup(dict, "reason", "s", &event->reason);
        (void) g_variant_lookup(dict, "json", "s", &event->json);
}

static void read_logs(GVariant *body, AttEvent *event) {
        g_autoptr(GVariant) dict = g_variant_get_child_value(body, 0);
        guint64 next = 0;

        (void) g_variant_lookup(dict, "Logs", "^as", &event->logs);
        (void) g_variant_lookup(dict, "LogNext", "t", &next);
        event->first = next;
}

static gboolean read_log(GDBusMessage *reply, GVariant *body, AttEvent *event, GError **error) {
        GUnixFDList *fds = g_dbus_message_get_unix_fd_list(reply);
        att_autofd int fd = -1;
        guint64 first, count;
        gint32 handle;

        g_variant_get(body, "(htt)", &handle, &first, &count);
        event->first = first;
        if (!fds || handle < 0 || handle >= g_unix_fd_list_get_length(fds)) {
                g_set_error_literal(error, G_IO_ERROR, G_IO_ERROR_INVALID_DATA, "a log without its descriptor");
                return FALSE;
        }
        fd = g_unix_fd_list_get(fds, handle, error);
        event->bytes = fd >= 0 ? att_memfd_read(fd, ATT_LOG_GIVEN_MAX, error) : NULL;
        if (fd >= 0)
                att_memfd_give_back(fd); /* attestd lends few at once; a peer may read this one for long */
        return event->bytes != NULL;
}

static gboolean read_evidence(AttSharedParts *parts, GDBusMessage *reply, GVariant *body, AttEvent *event,
                              GError **error) {
        g_autoptr(GBytes) evidence = child_bytes(body, 0);
        g_autoptr(GVariant) own = g_variant_get_child_value(body, 1), info = NULL;

        event->bytes = att_shared_parts_join(parts, evidence, own, g_dbus_message_get_unix_fd_list(reply), &info,
                                             error);
        if (!event->bytes)
                return FALSE;
        event->state = read_state(info);
        return TRUE;
}

gboolean att_answer_read(AttSharedParts *parts, GDBusMessage *reply, AttEvent *event, GError **error) {
        GVariant *body = g_dbus_message_get_body(reply);

        switch (event->type) {
        case ATT_EVENT_EVIDENCE:
                return read_evidence(parts, reply, body, event, error);
        case ATT_EVENT_REQUEST:
                event->bytes = child_bytes(body, 0);
                event->context = child_bytes(body, 1);
                return TRUE;
        case ATT_EVENT_VERDICT:
                read_verdict(body, event);
                return TRUE;
        case ATT_EVENT_LOGS:
                read_logs(body, event);
                return TRUE;
        case ATT_EVENT_LOG:
                return read_log(reply, body, event, error);
        case ATT_EVENT_STALE:
        case ATT_EVENT_FAILED:
        case ATT_EVENT_ADDED:
                break;
        }
        return TRUE;
}

char **att_answer_plain_texts(char **texts) {
        g_autoptr(GPtrArray) plain = g_ptr_array_new();

        for (; *texts && plain->len < ATT_HELLO_TEXTS_MAX; texts++)
                if (att_text_is_plain(*texts, ATT_FRAME_TEXT_MAX))
                        g_ptr_array_add(plain, g_strdup(*texts));
        g_ptr_array_add(plain, NULL);
        return (char **) g_ptr_array_free(g_steal_pointer(&plain), FALSE);
}
