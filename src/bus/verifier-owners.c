/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "bus/verifier-owners.h"

#include "bus/bus-source.h"
#include "util/error.h"
#include "util/quota.h"

#include <stdbool.h>

#define PATIENCE_US (10u * G_USEC_PER_SEC)

typedef struct User {
        uint32_t uid;
        guint n_items;
        gsize bytes;
        guint64 log_bytes;
        GHashTable *shared; /* of Shared, by name; owned */
} User;

/* What several items of a user have in common. */
typedef struct Shared {
        guint n_items;
        gsize bytes;
} Shared;

/* A connection that has items, or is being asked about; else it is forgotten. */
typedef struct Owner {
        AttOwners *owners;
        char *name;            /* unique */
        User *user;            /* borrowed; NULL: not known yet */
        sd_bus_slot *question;
        GQueue waiting;        /* of sd_bus_message: calls that want to know */
        GPtrArray *items;      /* of AttOwned; owned */
} Owner;

struct AttOwned {
        Owner *owner;
        gpointer item;
        gsize bytes, log_bytes;
        GBytes *shared[ATT_OWNERS_SHARED]; /* (nullable) */
};

struct AttOwners {
        sd_bus *bus;              /* borrowed: it outlives us */
        sd_bus_slot *match;
        const AttOwnersHandler *handler;
        gpointer userdata;
        GHashTable *users;        /* of User, by uid; owned */
        GHashTable *connections;  /* of Owner, by name; owned */
        guint n_items;
        gsize bytes;
        guint64 log_bytes;
};

static void unref_message(gpointer message) {
        sd_bus_message_unref(message);
}

static void user_free(gpointer data) {
        User *user = data;

        g_hash_table_unref(user->shared);
        g_free(user);
}

static void owned_free(gpointer data) {
        AttOwned *owned = data;

        for (guint i = 0; i < ATT_OWNERS_SHARED; i++)
                g_clear_pointer(&owned->shared[i], g_bytes_unref);
        g_free(owned);
}

/* Of what is shared, the last item that has it gives back the bytes. */
static void give_up_shared(const AttOwned *owned, GBytes *name) {
        User *user = owned->owner->user;
        Shared *shared = name ? g_hash_table_lookup(user->shared, name) : NULL;

        if (!shared || --shared->n_items > 0)
                return;
        user->bytes -= shared->bytes;
        owned->owner->owners->bytes -= shared->bytes;
        (void) g_hash_table_remove(user->shared, name);
}

static void owner_free(gpointer data) {
        Owner *o = data;

        sd_bus_slot_unref(o->question);
        g_queue_clear_full(&o->waiting, unref_message);
        g_ptr_array_unref(o->items);
        if (o->user && o->user->n_items == 0)
                g_hash_table_remove(o->owners->users, GUINT_TO_POINTER(o->user->uid));
        g_free(o->name);
        g_free(o);
}

/* Takes @owned out of all counts and frees it; the owner stays. */
static gpointer give_up(AttOwned *owned) {
        Owner *o = owned->owner;
        gpointer item = owned->item;

        o->user->n_items--;
        o->user->bytes -= owned->bytes;
        o->owners->n_items--;
        o->owners->bytes -= owned->bytes;
        o->user->log_bytes -= owned->log_bytes;
        o->owners->log_bytes -= owned->log_bytes;
        for (guint i = 0; i < ATT_OWNERS_SHARED; i++)
                give_up_shared(owned, owned->shared[i]);
        (void) g_ptr_array_remove_fast(o->items, owned);
        return item;
}

static void leave(Owner *o) {
        AttOwners *owners = o->owners;

        while (o->items->len > 0)
                owners->handler->gone(give_up(o->items->pdata[o->items->len - 1]), owners->userdata);
        (void) g_hash_table_remove(owners->connections, o->name);
}

static void forget_if_idle(Owner *o) {
        if (o->items->len == 0 && !o->question)
                leave(o);
}

static int on_name_owner_changed(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        AttOwners *owners = userdata;
        const char *name, *before, *after;
        Owner *o;

        (void) error;
        if (sd_bus_message_read(m, "sss", &name, &before, &after) < 0 || *after)
                return 0;
        o = g_hash_table_lookup(owners->connections, name);
        if (o)
                leave(o);
        return 0;
}

/* Without it sessions would outlive their owners: the service ends with its
 * connection. What this returns, sd-bus ignores. */
static int on_match_installed(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        const sd_bus_error *e = sd_bus_message_get_error(m);

        (void) userdata, (void) error;
        if (e) {
                g_warning("the bus does not tell of its connections: %s", e->message ? e->message : e->name);
                sd_bus_close(sd_bus_message_get_bus(m));
        }
        return 0;
}

AttOwners *att_owners_new(sd_bus *bus, const AttOwnersHandler *handler, gpointer userdata, GError **error) {
        g_autoptr(AttOwners) owners = g_new0(AttOwners, 1);
        int r;

        owners->bus = bus;
        owners->handler = handler;
        owners->userdata = userdata;
        owners->users = g_hash_table_new_full(NULL, NULL, NULL, user_free);
        owners->connections = g_hash_table_new_full(g_str_hash, g_str_equal, NULL, owner_free);
        r = sd_bus_add_match_async(bus, &owners->match,
                                   "type='signal',sender='org.freedesktop.DBus',path='/org/freedesktop/DBus',"
                                   "interface='org.freedesktop.DBus',member='NameOwnerChanged',arg2=''",
                                   on_name_owner_changed, on_match_installed, owners);
        if (r < 0) {
                att_error_set_errno(error, -r, "cannot listen to the bus");
                return NULL;
        }
        return g_steal_pointer(&owners);
}

/* Those who wait, with an error for each. */
static void refuse_waiting(Owner *o, AttError code, const char *why) {
        sd_bus_message *call;

        while ((call = g_queue_pop_head(&o->waiting))) {
                o->owners->handler->known(call, g_error_new(ATT_ERROR, (gint) code, "%s", why), o->owners->userdata);
                sd_bus_message_unref(call);
        }
}

void att_owners_cancel(AttOwners *owners) {
        g_autoptr(GList) all = g_hash_table_get_values(owners->connections);

        for (GList *l = all; l; l = l->next) {
                Owner *o = l->data;

                refuse_waiting(o, ATT_ERROR_CANCELLED, "the service is stopping");
                g_clear_pointer(&o->question, sd_bus_slot_unref);
                forget_if_idle(o);
        }
}

void att_owners_free(AttOwners *owners) {
        GHashTableIter iter;
        gpointer o;

        if (!owners)
                return;

        sd_bus_slot_unref(owners->match);
        for (;;) {
                g_hash_table_iter_init(&iter, owners->connections);
                if (!g_hash_table_iter_next(&iter, NULL, &o))
                        break;
                leave(o);
        }
        g_hash_table_unref(owners->connections);
        g_hash_table_unref(owners->users);
        g_free(owners);
}

static User *find_user(AttOwners *owners, uint32_t uid) {
        User *user = g_hash_table_lookup(owners->users, GUINT_TO_POINTER(uid));

        if (!user) {
                user = g_new0(User, 1);
                user->uid = uid;
                user->shared = g_hash_table_new_full(g_bytes_hash, g_bytes_equal, (GDestroyNotify) g_bytes_unref,
                                                     g_free);
                (void) g_hash_table_insert(owners->users, GUINT_TO_POINTER(uid), user);
        }
        return user;
}

/* Whoever has left meanwhile is not told: on_name_owner_changed() has dropped him. */
static int on_user(sd_bus_message *reply, void *userdata, sd_bus_error *error) {
        Owner *o = userdata;
        AttOwners *owners = o->owners;
        sd_bus_message *call;
        uint32_t uid;

        (void) error;
        if (sd_bus_message_is_method_error(reply, NULL) || sd_bus_message_read(reply, "u", &uid) < 0) {
                refuse_waiting(o, ATT_ERROR_FAILED, "the bus does not say who is calling");
        } else {
                o->user = find_user(owners, uid);
                while ((call = g_queue_pop_head(&o->waiting))) {
                        owners->handler->known(call, NULL, owners->userdata);
                        sd_bus_message_unref(call);
                }
        }
        /* Not before: what a call has made, and given up again, would have taken @o along. */
        g_clear_pointer(&o->question, sd_bus_slot_unref);
        forget_if_idle(o);
        return 1;
}

static Owner *owner_new(AttOwners *owners, const char *name) {
        Owner *o = g_new0(Owner, 1);

        o->owners = owners;
        o->name = g_strdup(name);
        g_queue_init(&o->waiting);
        o->items = g_ptr_array_new_with_free_func(owned_free);
        (void) g_hash_table_insert(owners->connections, o->name, o);
        return o;
}

static int ask_for_user(Owner *o) {
        g_autoptr(sd_bus_message) question = NULL;
        int r;

        r = sd_bus_message_new_method_call(o->owners->bus, &question, "org.freedesktop.DBus", "/org/freedesktop/DBus",
                                           "org.freedesktop.DBus", "GetConnectionUnixUser");
        if (r >= 0)
                r = sd_bus_message_append(question, "s", o->name);
        if (r >= 0)
                r = sd_bus_call_async(o->owners->bus, &o->question, question, on_user, o, PATIENCE_US);
        return r;
}

void att_owners_identify(AttOwners *owners, sd_bus_message *call) {
        const char *sender = sd_bus_message_get_sender(call);
        Owner *o = g_hash_table_lookup(owners->connections, sender);

        if (o && o->user) {
                owners->handler->known(call, NULL, owners->userdata);
                return;
        }
        if (!o)
                o = owner_new(owners, sender);
        if (o->waiting.length >= ATT_VERIFIER_WAITING_MAX) {
                owners->handler->known(call, g_error_new(ATT_ERROR, ATT_ERROR_LIMIT_REACHED, "%u calls are waiting: "
                                                         "try later", ATT_VERIFIER_WAITING_MAX), owners->userdata);
                return;
        }

        g_queue_push_tail(&o->waiting, sd_bus_message_ref(call));
        if (!o->question && ask_for_user(o) < 0) {
                refuse_waiting(o, ATT_ERROR_FAILED, "the bus cannot be asked who is calling");
                forget_if_idle(o);
        }
}

uint32_t att_owners_uid(const AttOwners *owners, sd_bus_message *call) {
        const Owner *o = g_hash_table_lookup(owners->connections, sd_bus_message_get_sender(call));

        g_return_val_if_fail(o && o->user, UINT32_MAX);
        return o->user->uid;
}

static gboolean check_quota(const AttQuota *quota, guint64 more, GError **error) {
        g_autofree char *refusal = att_quota_excess(quota, more);

        return !refusal || att_error_set(error, ATT_ERROR_LIMIT_REACHED, "%s: close sessions, or try later", refusal);
}

static gboolean check_bytes(const Owner *o, gsize more, GError **error) {
        const AttQuota quota = { "bytes of policies, certificates and contexts", o->user->bytes,
                                 ATT_VERIFIER_BYTES_PER_USER_MAX, o->owners->bytes, ATT_VERIFIER_BYTES_MAX };

        return check_quota(&quota, more, error);
}

static gboolean check_room(const Owner *o, gsize size, GError **error) {
        const AttQuota quota = { "sessions", o->user->n_items, ATT_VERIFIER_SESSIONS_PER_USER_MAX,
                                 o->owners->n_items, ATT_VERIFIER_SESSIONS_MAX };

        return check_quota(&quota, 1, error) && check_bytes(o, size, error);
}

static void account(AttOwned *owned, gsize size) {
        owned->bytes += size;
        owned->owner->user->bytes += size;
        owned->owner->owners->bytes += size;
}

void att_owned_shrink(AttOwned *owned, gsize size) {
        owned->bytes -= size;
        owned->owner->user->bytes -= size;
        owned->owner->owners->bytes -= size;
}

static void take_shared(AttOwned *owned, const AttOwnersShared *what, GBytes **ret_name) {
        User *user = owned->owner->user;
        Shared *shared = g_hash_table_lookup(user->shared, what->name);

        if (!shared) {
                shared = g_new0(Shared, 1);
                shared->bytes = what->size;
                user->bytes += what->size;
                owned->owner->owners->bytes += what->size;
                (void) g_hash_table_insert(user->shared, g_bytes_ref(what->name), shared);
        }
        shared->n_items++;
        *ret_name = g_bytes_ref(what->name);
}

gboolean att_owners_check(const AttOwners *owners, sd_bus_message *call, gsize size,
                          const AttOwnersShared shared[ATT_OWNERS_SHARED], GError **error) {
        const Owner *o = g_hash_table_lookup(owners->connections, sd_bus_message_get_sender(call));

        g_return_val_if_fail(o && o->user, FALSE);
        for (guint i = 0; i < ATT_OWNERS_SHARED; i++)
                if (shared[i].name && !g_hash_table_contains(o->user->shared, shared[i].name))
                        size += shared[i].size; /* else charged already */
        return check_room(o, size, error);
}

AttOwned *att_owners_add(AttOwners *owners, sd_bus_message *call, gpointer item, gsize size,
                         const AttOwnersShared shared[ATT_OWNERS_SHARED], GError **error) {
        Owner *o = g_hash_table_lookup(owners->connections, sd_bus_message_get_sender(call));
        AttOwned *owned;

        if (!att_owners_check(owners, call, size, shared, error))
                return NULL;

        owned = g_new0(AttOwned, 1);
        owned->owner = o;
        owned->item = item;
        g_ptr_array_add(o->items, owned);
        o->user->n_items++;
        owners->n_items++;
        account(owned, size);
        for (guint i = 0; i < ATT_OWNERS_SHARED; i++)
                if (shared[i].name)
                        take_shared(owned, &shared[i], &owned->shared[i]);
        return owned;
}

gboolean att_owned_grow(AttOwned *owned, gsize size, GError **error) {
        if (!check_bytes(owned->owner, size, error))
                return FALSE;
        account(owned, size);
        return TRUE;
}

gboolean att_owned_set_logs(AttOwned *owned, gsize size, GError **error) {
        User *user = owned->owner->user;
        AttOwners *owners = owned->owner->owners;
        const AttQuota quota = { "bytes of logs", user->log_bytes, ATT_VERIFIER_LOG_BYTES_PER_USER_MAX,
                                 owners->log_bytes, ATT_VERIFIER_LOG_BYTES_MAX };

        if (size > owned->log_bytes && !check_quota(&quota, size - owned->log_bytes, error))
                return FALSE;
        user->log_bytes = user->log_bytes - owned->log_bytes + size;
        owners->log_bytes = owners->log_bytes - owned->log_bytes + size;
        owned->log_bytes = size;
        return TRUE;
}

uint32_t att_owned_uid(const AttOwned *owned) {
        return owned->owner->user->uid;
}

gboolean att_owned_is_of(const AttOwned *owned, const char *sender) {
        return g_strcmp0(owned->owner->name, sender) == 0;
}

void att_owned_release(AttOwned *owned) {
        Owner *o = owned->owner;

        (void) give_up(owned);
        forget_if_idle(o);
}
