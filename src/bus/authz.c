/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "bus/authz.h"

#include "bus/bus-source.h"
#include "util/error.h"

#define PATIENCE_US (60u * G_USEC_PER_SEC)
#define ALLOW_USER_INTERACTION 1u

struct AttAuthz {
        AttAuthzDone done;
        gpointer userdata;
        char *action;
        sd_bus_slot *slot;
};

static void authz_free(AttAuthz *a) {
        sd_bus_slot_unref(a->slot);
        g_free(a->action);
        g_free(a);
}
G_DEFINE_AUTOPTR_CLEANUP_FUNC(AttAuthz, authz_free)

static GError *not_authorized(const char *action, const char *why) {
        return g_error_new(ATT_ERROR, ATT_ERROR_NOT_AUTHORIZED,
                           "not authorized for %s: %s; an administrator can grant it with a polkit rule", action, why);
}

static int on_reply(sd_bus_message *reply, void *userdata, sd_bus_error *error) {
        g_autoptr(AttAuthz) a = userdata;
        const char *why = "polkit says no";
        int allowed = 0, challenge = 0;

        (void) error;
        if (sd_bus_message_is_method_error(reply, NULL) ||
            sd_bus_message_enter_container(reply, 'r', "bba{ss}") < 0 ||
            sd_bus_message_read(reply, "bb", &allowed, &challenge) < 0) {
                why = "polkit does not answer";
                allowed = 0;
        } else if (challenge) {
                why = "polkit wants a user to authenticate, and the call does not allow interaction";
        }

        a->done(allowed ? NULL : not_authorized(a->action, why), a->userdata);
        return 1;
}

AttAuthz *att_authz_ask(sd_bus_message *call, uint32_t uid, const char *action, AttAuthzDone done, gpointer userdata) {
        g_autoptr(sd_bus_message) question = NULL;
        g_autoptr(AttAuthz) a = NULL;
        sd_bus *bus = sd_bus_message_get_bus(call);
        uint32_t flags = sd_bus_message_get_allow_interactive_authorization(call) > 0 ? ALLOW_USER_INTERACTION : 0;
        int r;

        if (uid == 0) {
                done(NULL, userdata);
                return NULL;
        }

        a = g_new(AttAuthz, 1);
        *a = (AttAuthz) { .done = done, .userdata = userdata, .action = g_strdup(action) };

        /* The name, never a process: who holds the connection is what the bus knows for sure. */
        r = sd_bus_message_new_method_call(bus, &question, "org.freedesktop.PolicyKit1",
                                           "/org/freedesktop/PolicyKit1/Authority",
                                           "org.freedesktop.PolicyKit1.Authority", "CheckAuthorization");
        if (r >= 0)
                r = sd_bus_message_append(question, "(sa{sv})sa{ss}us", "system-bus-name", 1, "name", "s",
                                          sd_bus_message_get_sender(call), action, 0, flags, "");
        if (r >= 0)
                r = sd_bus_call_async(bus, &a->slot, question, on_reply, a, PATIENCE_US);
        if (r < 0) {
                done(not_authorized(action, "polkit cannot be asked"), userdata);
                return NULL;
        }
        return g_steal_pointer(&a);
}

void att_authz_cancel(AttAuthz *authz) {
        if (authz)
                authz_free(authz);
}
