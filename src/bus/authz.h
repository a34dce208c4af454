/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Who may: root, else whom polkit allows, else nobody. */
#pragma once

#include <glib.h>
#include <stdint.h>
#include <systemd/sd-bus.h>

G_BEGIN_DECLS

/* The questions that are open at polkit, and those that wait for their turn. */
typedef struct AttAuthority AttAuthority;

/* A question that polkit has not answered yet. */
typedef struct AttAuthz AttAuthz;

/* polkit may wait for a person, and the bus lets us wait for 128 answers only: so
 * no user has more questions open than this, and all of them not the whole bus. */
#define ATT_AUTHZ_PER_USER_MAX 8u
#define ATT_AUTHZ_MAX 96u

/** @bus: borrowed */
AttAuthority *att_authority_new(sd_bus *bus) G_GNUC_WARN_UNUSED_RESULT;
/** All questions must be answered or cancelled. %NULL is fine. */
void att_authority_free(AttAuthority *authority);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(AttAuthority, att_authority_free)

/* @error: %NULL if allowed, else %ATT_ERROR_NOT_AUTHORIZED, or %ATT_ERROR_LIMIT_REACHED
 * if the bus takes no more questions, or the turn of this one does not come; owned by
 * the callback. Called once, unless the question is cancelled. */
typedef void (*AttAuthzDone)(GError *error, gpointer userdata);

/**
 * att_authz_ask: may the sender of @call do @action?
 * @uid: the sender's, as the bus attests it
 *
 * Anything but a clear yes within a minute is a no, also when polkit is not there.
 * A user's questions over %ATT_AUTHZ_PER_USER_MAX wait for their turn, no longer than
 * that either, and hold up nobody else's.
 *
 * Returns: (nullable): the question, gone when @done has been called; %NULL if
 * @done has been called already
 */
AttAuthz *att_authz_ask(AttAuthority *authority, sd_bus_message *call, uint32_t uid, const char *action,
                        AttAuthzDone done, gpointer userdata);

/**
 * att_authz_cancel: @done is not called
 * @authz: (nullable): gone
 *
 * What polkit was asked already counts as open until it has answered.
 */
void att_authz_cancel(AttAuthz *authz);

G_END_DECLS
