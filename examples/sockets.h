/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* TCP of the examples in C. */
#pragma once

#include <glib.h>

/* Each returns a blocking descriptor, -1 with *error set. */
int connect_to(const char *where, GError **error); /* HOST:PORT */
int listen_on(int *inout_port, GError **error);    /* of 127.0.0.1; 0 for any */
