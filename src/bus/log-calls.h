/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* GetLog: who asks, may he, and then the log, made piece by piece: a long one must
 * not keep others waiting for the loop. */
#pragma once

#include "attester/attester.h"
#include "bus/authz.h"
#include "bus/name-watch.h"

#include <systemd/sd-bus.h>

G_BEGIN_DECLS

/* Of one answer, in whole entries. */
#define ATT_LOG_SIZE_MAX (64u * 1024u * 1024u)

/* Of a user, and so of a connection. */
#define ATT_LOG_CALLS_PER_USER_MAX 4u

typedef struct AttLogCalls AttLogCalls;

/* Called when a call is refused. @who: (nullable) */
typedef void (*AttLogRefused)(const char *sender, const char *who, const char *why, gpointer userdata);

/** All is borrowed. */
AttLogCalls *att_log_calls_new(AttAttester *attester, AttAuthority *authority, AttNameWatch *names,
                               AttLogRefused refused, gpointer userdata) G_GNUC_WARN_UNUSED_RESULT;
/** att_log_calls_stop: what is not answered ends with %ATT_ERROR_CANCELLED */
void att_log_calls_stop(AttLogCalls *calls);
void att_log_calls_free(AttLogCalls *calls);

/** att_log_calls_leave: nobody waits for the answers to this connection any more. @name: (nullable): on @bus */
void att_log_calls_leave(AttLogCalls *calls, sd_bus *bus, const char *name);

/**
 * att_log_calls_add: GetLog(in s log, in t from, out h entries, out t first, out t count)
 * @peer: (nullable): who has sent it, emptied; %NULL: the bus is asked
 *
 * With @peer polkit is not: only root may.
 */
int att_log_calls_add(AttLogCalls *calls, sd_bus_message *call, AttPeer *peer, sd_bus_error *error);

G_END_DECLS
