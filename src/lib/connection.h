/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The native mode: frames on a TLS connection, and the gate. */
#pragma once

#include "lib/exchange.h"

G_BEGIN_DECLS

/** att_connection_new: takes @transport and @services, which are of a connection where nothing was exchanged yet */
AttestdConnection *att_connection_new(AttestdEndpoint *endpoint, AttTransport *transport, AttServices *services)
        G_GNUC_WARN_UNUSED_RESULT;

/** For tests: an INBOX_MAX of the caller's choice. */
#define ATT_CONNECTION_INBOX_MAX (1024u * 1024u)

G_END_DECLS
