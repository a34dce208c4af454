/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The native mode: frames on a TLS connection, and the gate. */
#pragma once

#include "lib/exchange.h"

G_BEGIN_DECLS

/** att_connection_new: takes @transport and @services, which are of a connection where nothing was exchanged yet */
AttestdConnection *att_connection_new(AttestdEndpoint *endpoint, AttTransport *transport, AttServices *services)
        G_GNUC_WARN_UNUSED_RESULT;

#define ATT_CONNECTION_INBOX_MAX (1024u * 1024u)

/** att_connection_out_size: for tests: the bytes of frames that it holds to be sent, or has not let go of */
gsize att_connection_out_size(const AttestdConnection *c);

G_END_DECLS
