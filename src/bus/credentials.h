/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Who is at the other end of a connection, as the bus driver attests it, or the kernel
 * for a socket of ours. Never from /proc, and never what sd-bus adds from there. */
#pragma once

#include "attester/caller.h"

#include <systemd/sd-bus.h>

G_BEGIN_DECLS

/* @peer: the callback may take it over; %NULL with @error, which is the callback's: %ATT_ERROR_NOT_AUTHORIZED, or of a
 * bus that has too much to do %ATT_ERROR_TIMED_OUT or %ATT_ERROR_LIMIT_REACHED */
typedef void (*AttCredentialsDone)(AttPeer *peer, GError *error, gpointer userdata);

/**
 * att_credentials_ask: of the sender of @call
 * @ret_slot: the question; unref it and @done is not called
 *
 * Returns: negative errno; then @done is not called
 */
int att_credentials_ask(sd_bus_message *call, sd_bus_slot **ret_slot, AttCredentialsDone done, gpointer userdata);

/**
 * att_credentials_of_socket: of who has connected it, whoever has it by now
 * @fd: just accepted
 */
gboolean att_credentials_of_socket(int fd, AttPeer *ret, GError **error) G_GNUC_WARN_UNUSED_RESULT;

G_END_DECLS
