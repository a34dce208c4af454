/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A TLS connection in the native mode of docs/protocol.md, section 6. It reads and
 * writes only while both ends are content with each other's evidence. */
#pragma once

#include "options.h"

typedef struct Connection Connection;

/* The exchange, after the handshake. Then both ends have said yes. The TLS session stays the caller's. */
Connection *connection_open(gnutls_session_t tls, const Options *options, GError **error);
/* Ends the sessions with both services. */
void connection_free(Connection *c);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Connection, connection_free)

/* Sends data as soon as the gate is open. */
bool connection_write(Connection *c, GBytes *data, GError **error);
/* Some data; NULL in *ret only when the peer has said that it ends. */
bool connection_read(Connection *c, GBytes **ret, GError **error);
/* Says that this end sends no more, and waits until the peer has said it too. */
bool connection_end(Connection *c, GError **error);
