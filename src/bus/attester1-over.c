/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "bus/attester1-parts.h"

#include "bus/bus-call.h"
#include "bus/bus-error.h"
#include "bus/bus-source.h"
#include "util/error.h"

/* No more than so many wait, should a bus not limit them itself; dbus-daemon does, with 128 calls of a connection. Of
 * each there is its answer, of some 1,300 bytes, and not its call, which may be large. */
#define REFUSED_MAX 8192u

/* While he waits to be told, his calls are open, and a daemon that limits them takes no more of them to us. */
bool att_attester1_over_limit(Attester1 *a, sd_bus_message *call, GError *error) {
        sd_bus_error e = SD_BUS_ERROR_NULL;
        sd_bus_message *answer;
        uint64_t n;
        int r;

        if (!g_error_matches(error, ATT_ERROR, ATT_ERROR_LIMIT_REACHED))
                return false;
        att_direct_over_limit(sd_bus_message_get_bus(call));
        if (att_call_is_direct(call) || a->is_stopping || a->refused.length >= REFUSED_MAX ||
            sd_bus_get_n_queued_write(a->bus, &n) < 0 || (n == 0 && !a->refused.head))
                return false;

        (void) att_bus_error_take(&e, error);
        r = sd_bus_message_new_method_error(call, &answer, &e);
        if (r >= 0)
                g_queue_push_tail(&a->refused, answer);
        else
                att_bus_log_unsent(e.name, r);
        sd_bus_error_free(&e);
        return true;
}

void att_attester1_tell_over_limit(Attester1 *a, guint n) {
        for (; n > 0 && a->refused.head; n--) {
                g_autoptr(sd_bus_message) answer = g_queue_pop_head(&a->refused);
                int r = sd_bus_send(a->bus, answer, NULL);

                if (r < 0)
                        att_bus_log_unsent("that somebody is over a limit", r);
        }
}
