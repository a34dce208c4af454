/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* How a connection begins: each end says hello, and finds out if the two go together. */
#pragma once

#include "lib/attestd.h"

#include <stdbool.h>

G_BEGIN_DECLS

/** att_greeting_begin: says ours. In compat mode there is none: the peer is taken to ask for what we give */
void att_greeting_begin(AttestdConnection *c);

/** att_greeting_on_hello: the frame of the peer, where it is legal. Returns: false if the connection has failed */
bool att_greeting_on_hello(AttestdConnection *c, GBytes *payload);

G_END_DECLS
