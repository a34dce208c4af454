/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Who has sessions with the verifier: connections that take theirs with them when
 * they leave, and users who share a limit. */
#pragma once

#include <glib.h>
#include <systemd/sd-bus.h>

G_BEGIN_DECLS

#define ATT_VERIFIER_SESSIONS_MAX 8192u
#define ATT_VERIFIER_SESSIONS_PER_USER_MAX 1024u
/* What policies, certificates, keys and contexts take. */
#define ATT_VERIFIER_BYTES_MAX (128u * 1024u * 1024u)
#define ATT_VERIFIER_BYTES_PER_USER_MAX (32u * 1024u * 1024u)

typedef struct AttOwners AttOwners;
typedef struct AttOwned AttOwned;

/* The owner of @item has left the bus; @item is given up already: free it. */
typedef void (*AttOwnerGone)(gpointer item, gpointer userdata);

AttOwners *att_owners_new(AttOwnerGone gone, gpointer userdata) G_GNUC_WARN_UNUSED_RESULT;
/** att_owners_free: calls @gone for each item that is left */
void att_owners_free(AttOwners *owners);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(AttOwners, att_owners_free)

/**
 * att_owners_add: an item of @size bytes, owned by the connection that sent @call
 * @error: %ATT_ERROR_LIMIT_REACHED, %ATT_ERROR_FAILED
 *
 * Returns: a handle for the functions below; gone once @gone was called for it
 */
AttOwned *att_owners_add(AttOwners *owners, sd_bus_message *call, gpointer item, gsize size, GError **error)
        G_GNUC_WARN_UNUSED_RESULT;
/** att_owned_grow: by @size bytes; %ATT_ERROR_LIMIT_REACHED */
gboolean att_owned_grow(AttOwned *owned, gsize size, GError **error) G_GNUC_WARN_UNUSED_RESULT;
void att_owned_shrink(AttOwned *owned, gsize size);
/** Has this connection, by its unique name, the item? */
gboolean att_owned_is_of(const AttOwned *owned, const char *sender);
uint32_t att_owned_uid(const AttOwned *owned);
/** att_owned_release: the item is closed by its owner; does not call @gone */
void att_owned_release(AttOwned *owned);

G_END_DECLS
