/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Who asks: never in the caller's own words, and what cannot be known is absent. */
#pragma once

#include "attester/configuration.h"
#include "codec/claims.h"

#include <gio/gio.h>
#include <sys/types.h>

G_BEGIN_DECLS

/* What the kernel recorded of a connection when it was made, as the bus or, on a socket of ours, it tells. */
typedef struct AttPeer {
        uint32_t uid;
        GArray *gids; /* of uint32_t, ascending; (nullable): not known */
        char *label;  /* (nullable): there is none */
        pid_t pid;    /* 0: not known */
        int pidfd;    /* -1: not known */
        gint64 connected_by_us; /* CLOCK_BOOTTIME: the connection was there by then; counts where there is no pidfd */
} AttPeer;

void att_peer_clear(AttPeer *peer);
/** att_peer_copy: with a descriptor of its own; without one if there are no more */
AttPeer att_peer_copy(const AttPeer *peer) G_GNUC_WARN_UNUSED_RESULT;
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(AttPeer, att_peer_clear)

typedef struct AttCaller AttCaller;

/**
 * att_caller_new: find out what a caller is
 * @peer:          emptied: it is the caller's now
 * @configuration: must outlive the caller
 * @error: %ATT_ERROR_NOT_AUTHORIZED: it is in a namespace of its own, or that
 *         cannot be ruled out, and no ForeignNamespaces= names it
 */
AttCaller *att_caller_new(AttPeer *peer, const AttConfiguration *configuration, GError **error)
        G_GNUC_WARN_UNUSED_RESULT;

/**
 * att_caller_observe: hash its executable, where Observed= says so
 * @done: called once, in the main context, if this returns %true
 *
 * In another thread, and once for a caller. For those who may ask: it can be much.
 *
 * Returns: is there anything to wait for?
 */
bool att_caller_observe(AttCaller *caller, GAsyncReadyCallback done, gpointer userdata);

AttCaller *att_caller_ref(AttCaller *caller);
void att_caller_unref(AttCaller *caller);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(AttCaller, att_caller_unref)

uint32_t att_caller_uid(const AttCaller *caller);

/** att_caller_may_have: does the configuration grant it this profile? */
bool att_caller_may_have(const AttCaller *caller, const char *profile);

/**
 * att_caller_seal: the claims that may leave the guest
 *
 * As they are now: of a process that has gone, or has been moved to another
 * control group, no unit is known any more. %NULL: there is nothing to say.
 */
AttCallerClaims *att_caller_seal(const AttCaller *caller) G_GNUC_WARN_UNUSED_RESULT;

/** att_caller_describe: for the log: "uid 1000, system unit payroll.service" */
char *att_caller_describe(const AttCaller *caller) G_GNUC_WARN_UNUSED_RESULT;

G_END_DECLS
