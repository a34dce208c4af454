/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lib/call.h"

#define PROPERTIES "org.freedesktop.DBus.Properties"

AttCall *att_call_new(AttRemote *r, const AttCallHandler *handler, const char *member, GVariant *arguments,
                      const char *reply, AttEventType answer) {
        AttCall *call = g_new0(AttCall, 1);

        call->client = att_client_ref(r->client);
        call->remote = r;
        call->handler = handler;
        call->member = member;
        call->arguments = g_variant_ref_sink(arguments);
        call->reply = reply;
        call->answer = answer;
        call->timeout_ms = r->client->timeout_ms;
        call->link.data = call;
        return call;
}

void att_call_free(AttCall *call) {
        g_variant_unref(call->arguments);
        att_instance_unref(call->instance);
        g_clear_object(&call->fds);
        att_event_free(call->event);
        att_client_unref(call->client);
        g_free(call);
}

bool att_call_is_abandoned(const AttCall *call) {
        return att_mailbox_is_closed(&call->client->mailbox);
}

void att_call_post(AttCall *call, AttEvent *event) {
        att_mailbox_post(&call->client->mailbox, event);
}

void att_call_post_failure(AttCall *call, const char *message) {
        att_mailbox_post_failure(&call->client->mailbox, call->answer, call->remote->service->program, message);
}

GDBusMessage *att_call_message(const AttCall *call, bool direct) {
        const AttRemote *r = call->remote;
        const AttServiceNames *service = r->service;
        bool to_session = call->to == ATT_TO_SESSION || call->to == ATT_TO_SESSION_PROPERTIES;
        const char *path = to_session ? r->path : service->path;
        const char *interface = call->to == ATT_TO_SESSION ? service->session :
                                call->to == ATT_TO_SERVICE ? service->name : PROPERTIES;
        const char *name = direct ? NULL : call->instance ? call->instance->name : service->name;
        GDBusMessage *message = g_dbus_message_new_method_call(name, path, interface, call->member);

        g_dbus_message_set_body(message, call->arguments);
        if (call->fds)
                g_dbus_message_set_unix_fd_list(message, call->fds);
        return message;
}
