/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Who has sessions with the verifier, or has it appraise a log: connections that take
 * theirs with them when they leave, and users who share a limit. Nothing here waits
 * for the bus. */
#pragma once

#include <glib.h>
#include <systemd/sd-bus.h>

G_BEGIN_DECLS

/* Of each of these a user may also have no more than he leaves to all others: util/quota.h. */
#define ATT_VERIFIER_SESSIONS_MAX 20480u
#define ATT_VERIFIER_SESSIONS_PER_USER_MAX 10240u
/* What policies, certificates, keys and contexts take: enough for 2000 contexts in each
 * of a user's sessions. */
#define ATT_VERIFIER_BYTES_MAX (1024u * 1024u * 1024u)
#define ATT_VERIFIER_BYTES_PER_USER_MAX (512u * 1024u * 1024u)
/* What a session takes beside what its caller gave. */
#define ATT_VERIFIER_SESSION_BYTES 2048u
/* What logs take: memory that is the caller's until a verdict covers them. */
#define ATT_VERIFIER_LOG_BYTES_MAX ((guint64) 4 << 30)
#define ATT_VERIFIER_LOG_BYTES_PER_USER_MAX ((guint64) 1 << 30)
/* Calls of one connection that wait until the bus has said whose it is; dbus-daemon
 * lets 128 be without an answer. */
#define ATT_VERIFIER_WAITING_MAX 256u

typedef struct AttOwners AttOwners;
typedef struct AttOwned AttOwned;

/* What items may have in common: a user is charged for it once. */
typedef struct AttOwnersShared {
        GBytes *name; /* (nullable): nothing */
        gsize size;
} AttOwnersShared;

/* A policy, and trust anchors. */
#define ATT_OWNERS_SHARED 2u

typedef struct AttOwnersHandler {
        /** It is known who makes @call, and it is to be answered: @error (owned) says why it cannot be */
        void (*known)(sd_bus_message *call, GError *error, gpointer userdata);
        /** The owner of @item has left the bus; @item is given up already: free it */
        void (*gone)(gpointer item, gpointer userdata);
} AttOwnersHandler;

/** @bus: borrowed. Returns: %NULL with @error if the bus cannot be listened to */
AttOwners *att_owners_new(sd_bus *bus, const AttOwnersHandler *handler, gpointer userdata, GError **error)
        G_GNUC_WARN_UNUSED_RESULT;
/** att_owners_cancel: answers the calls that wait */
void att_owners_cancel(AttOwners *owners);
/** att_owners_free: calls @gone for each item that is left */
void att_owners_free(AttOwners *owners);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(AttOwners, att_owners_free)

/**
 * att_owners_identify: have @known called for @call, at once if its sender is known
 *
 * If the sender leaves before, it is not called: nobody waits for an answer.
 */
void att_owners_identify(AttOwners *owners, sd_bus_message *call);

/** att_owners_uid: who sent @call, which was given to @known */
uint32_t att_owners_uid(const AttOwners *owners, sd_bus_message *call);

/**
 * att_owners_add: an item of @size bytes, owned by the connection that sent @call
 * @call:  as given to @known
 * @shared: what it has in common with others
 * @error: %ATT_ERROR_LIMIT_REACHED
 *
 * Returns: a handle for the functions below; gone once @gone was called for it
 */
AttOwned *att_owners_add(AttOwners *owners, sd_bus_message *call, gpointer item, gsize size,
                         const AttOwnersShared shared[ATT_OWNERS_SHARED], GError **error) G_GNUC_WARN_UNUSED_RESULT;
/** att_owners_check: would there be room for this item? Before it is made; the same errors. */
gboolean att_owners_check(const AttOwners *owners, sd_bus_message *call, gsize size,
                          const AttOwnersShared shared[ATT_OWNERS_SHARED], GError **error) G_GNUC_WARN_UNUSED_RESULT;
/** att_owned_grow: by @size bytes; %ATT_ERROR_LIMIT_REACHED */
gboolean att_owned_grow(AttOwned *owned, gsize size, GError **error) G_GNUC_WARN_UNUSED_RESULT;
void att_owned_shrink(AttOwned *owned, gsize size);
/** att_owned_set_logs: its logs have @size bytes now; %ATT_ERROR_LIMIT_REACHED, if that is more than before */
gboolean att_owned_set_logs(AttOwned *owned, gsize size, GError **error);
uint32_t att_owned_uid(const AttOwned *owned);
/** Has this connection, by its unique name, the item? */
gboolean att_owned_is_of(const AttOwned *owned, const char *sender);
/** att_owned_release: the item is closed by its owner; does not call @gone */
void att_owned_release(AttOwned *owned);

G_END_DECLS
