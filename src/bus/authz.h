/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Who may: root, else whom polkit allows, else nobody. */
#pragma once

#include <glib.h>
#include <stdint.h>
#include <systemd/sd-bus.h>

G_BEGIN_DECLS

/* A question that polkit has not answered yet. */
typedef struct AttAuthz AttAuthz;

/* @error: %NULL if allowed, else %ATT_ERROR_NOT_AUTHORIZED; owned by the callback.
 * Called once, unless the question is cancelled. */
typedef void (*AttAuthzDone)(GError *error, gpointer userdata);

/**
 * att_authz_ask: may the sender of @call do @action?
 * @uid: the sender's, as the bus attests it
 *
 * Anything but a clear yes within a minute is a no, also when polkit is not there.
 *
 * Returns: (nullable): the question, gone when @done has been called; %NULL if
 * @done has been called already
 */
AttAuthz *att_authz_ask(sd_bus_message *call, uint32_t uid, const char *action, AttAuthzDone done, gpointer userdata);

/** att_authz_cancel: @done is not called. %NULL is fine. */
void att_authz_cancel(AttAuthz *authz);

G_END_DECLS
