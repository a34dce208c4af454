/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Where a GError becomes org.attestd.Error.*, and the only table of it. */
#pragma once

#include "util/error.h"

#include <glib.h>
#include <systemd/sd-bus.h>

G_BEGIN_DECLS

/** att_bus_error_name: what @error is called on the bus; all but %ATT_ERROR is Failed */
const char *att_bus_error_name(const GError *error);

/** att_bus_error_take: moves @error into @ret. Returns: what a method handler returns for it */
int att_bus_error_take(sd_bus_error *ret, GError *error);

/** att_bus_error_set: the same for an error made on the spot */
int att_bus_error_set(sd_bus_error *ret, AttError code, const char *format, ...) G_GNUC_PRINTF(3, 4);

/** att_bus_reply_error: answers @call with @error, and frees it */
void att_bus_reply_error(sd_bus_message *call, GError *error);

/** att_bus_log_unsent: @r says why @what could not be sent; that the other has gone is no matter for the journal */
void att_bus_log_unsent(const char *what, int r);

G_END_DECLS
