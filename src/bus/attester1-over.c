/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "bus/attester1-parts.h"

#include "bus/bus-call.h"
#include "bus/bus-error.h"
#include "bus/bus-source.h"
#include "util/error.h"

/* No more than so many wait, should a bus not limit them itself; dbus-daemon does, with 128 calls of a connection. */
#define REFUSED_MAX 32768u

typedef struct Refused {
        sd_bus_message *call;
        GError *error;
        GList link;
} Refused;

/* While he waits to be told, his calls are open, and a daemon that limits them takes no more of them to us. */
bool att_attester1_over_limit(Attester1 *a, sd_bus_message *call, GError *error) {
        Refused *refused;
        uint64_t n;

        if (att_call_is_direct(call) || !g_error_matches(error, ATT_ERROR, ATT_ERROR_LIMIT_REACHED) || a->is_stopping ||
            a->refused.length >= REFUSED_MAX || sd_bus_get_n_queued_write(a->bus, &n) < 0 ||
            (n == 0 && !a->refused.head))
                return false;

        refused = g_new(Refused, 1);
        *refused = (Refused) { .call = sd_bus_message_ref(call), .error = error };
        refused->link.data = refused;
        g_queue_push_tail_link(&a->refused, &refused->link);
        return true;
}

void att_attester1_tell_over_limit(Attester1 *a, guint n) {
        for (; n > 0 && a->refused.head; n--) {
                Refused *refused = g_queue_pop_head_link(&a->refused)->data;

                att_bus_reply_error(refused->call, refused->error);
                sd_bus_message_unref(refused->call);
                g_free(refused);
        }
}
