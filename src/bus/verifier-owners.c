/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "bus/verifier-owners.h"

#include "bus/bus-source.h"
#include "util/error.h"

G_DEFINE_AUTOPTR_CLEANUP_FUNC(sd_bus_creds, sd_bus_creds_unref)

typedef struct User {
        uint32_t uid;
        guint n_items;
        gsize bytes;
} User;

/* A connection that has items; without any it is forgotten. */
typedef struct Owner {
        AttOwners *owners;
        char *name;          /* unique */
        User *user;
        sd_bus_track *track;
        GPtrArray *items;    /* of AttOwned; owned */
} Owner;

struct AttOwned {
        Owner *owner;
        gpointer item;
        gsize bytes;
};

struct AttOwners {
        AttOwnerGone gone;
        gpointer userdata;
        GHashTable *users;        /* of User, by uid; owned */
        GHashTable *connections;  /* of Owner, by name; owned */
        guint n_items;
        gsize bytes;
};

static void owner_free(gpointer data) {
        Owner *o = data;

        sd_bus_track_unref(o->track);
        g_ptr_array_unref(o->items);
        if (o->user->n_items == 0)
                g_hash_table_remove(o->owners->users, GUINT_TO_POINTER(o->user->uid));
        g_free(o->name);
        g_free(o);
}

AttOwners *att_owners_new(AttOwnerGone gone, gpointer userdata) {
        AttOwners *owners = g_new0(AttOwners, 1);

        owners->gone = gone;
        owners->userdata = userdata;
        owners->users = g_hash_table_new_full(NULL, NULL, NULL, g_free);
        owners->connections = g_hash_table_new_full(g_str_hash, g_str_equal, NULL, owner_free);
        return owners;
}

/* Takes @owned out of all counts and frees it; the owner stays. */
static gpointer give_up(AttOwned *owned) {
        Owner *o = owned->owner;
        gpointer item = owned->item;

        o->user->n_items--;
        o->user->bytes -= owned->bytes;
        o->owners->n_items--;
        o->owners->bytes -= owned->bytes;
        (void) g_ptr_array_remove_fast(o->items, owned);
        return item;
}

static void leave(Owner *o) {
        AttOwners *owners = o->owners;

        while (o->items->len > 0)
                owners->gone(give_up(o->items->pdata[o->items->len - 1]), owners->userdata);
        (void) g_hash_table_remove(owners->connections, o->name);
}

static int on_left(sd_bus_track *track, void *userdata) {
        (void) track;
        leave(userdata);
        return 1; /* 0 would be: call me again */
}

void att_owners_free(AttOwners *owners) {
        GHashTableIter iter;
        gpointer o;

        if (!owners)
                return;

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
                (void) g_hash_table_insert(owners->users, GUINT_TO_POINTER(uid), user);
        }
        return user;
}

/* Two round trips to the bus, once for each connection that has items. */
static Owner *owner_new(AttOwners *owners, sd_bus_message *call, GError **error) {
        g_autoptr(sd_bus_creds) creds = NULL;
        g_autoptr(sd_bus_track) track = NULL;
        Owner *o = g_new0(Owner, 1);
        uid_t uid;
        int r;

        r = sd_bus_query_sender_creds(call, SD_BUS_CREDS_EUID, &creds);
        if (r >= 0)
                r = sd_bus_creds_get_euid(creds, &uid);
        if (r >= 0)
                r = sd_bus_track_new(sd_bus_message_get_bus(call), &track, on_left, o);
        if (r >= 0)
                r = sd_bus_track_add_sender(track, call);
        if (r < 0) {
                g_free(o);
                att_error_set(error, ATT_ERROR_FAILED, "cannot tell who the caller is: %s", g_strerror(-r));
                return NULL;
        }

        *o = (Owner) {
                .owners = owners,
                .name = g_strdup(sd_bus_message_get_sender(call)),
                .user = find_user(owners, uid),
                .track = g_steal_pointer(&track),
                .items = g_ptr_array_new_with_free_func(g_free),
        };
        (void) g_hash_table_insert(owners->connections, o->name, o);
        return o;
}

static gboolean check_bytes(const Owner *o, gsize more, GError **error) {
        if (more > ATT_VERIFIER_BYTES_PER_USER_MAX - o->user->bytes)
                return att_error_set(error, ATT_ERROR_LIMIT_REACHED,
                                     "the sessions of this user hold too many bytes of policies, certificates and "
                                     "contexts: close some");
        if (more > ATT_VERIFIER_BYTES_MAX - o->owners->bytes)
                return att_error_set(error, ATT_ERROR_LIMIT_REACHED, "all sessions together hold too many bytes");
        return TRUE;
}

static gboolean check_room(const Owner *o, gsize size, GError **error) {
        if (o->user->n_items >= ATT_VERIFIER_SESSIONS_PER_USER_MAX)
                return att_error_set(error, ATT_ERROR_LIMIT_REACHED, "a user may have %u sessions: close some",
                                     ATT_VERIFIER_SESSIONS_PER_USER_MAX);
        if (o->owners->n_items >= ATT_VERIFIER_SESSIONS_MAX)
                return att_error_set(error, ATT_ERROR_LIMIT_REACHED, "there are %u sessions already: try later",
                                     ATT_VERIFIER_SESSIONS_MAX);
        return check_bytes(o, size, error);
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

AttOwned *att_owners_add(AttOwners *owners, sd_bus_message *call, gpointer item, gsize size, GError **error) {
        Owner *o = g_hash_table_lookup(owners->connections, sd_bus_message_get_sender(call));
        AttOwned *owned;

        if (!o)
                o = owner_new(owners, call, error);
        if (!o)
                return NULL;
        if (!check_room(o, size, error)) {
                if (o->items->len == 0)
                        leave(o);
                return NULL;
        }

        owned = g_new0(AttOwned, 1);
        owned->owner = o;
        owned->item = item;
        g_ptr_array_add(o->items, owned);
        o->user->n_items++;
        owners->n_items++;
        account(owned, size);
        return owned;
}

gboolean att_owned_grow(AttOwned *owned, gsize size, GError **error) {
        if (!check_bytes(owned->owner, size, error))
                return FALSE;
        account(owned, size);
        return TRUE;
}

gboolean att_owned_is_of(const AttOwned *owned, const char *sender) {
        return g_strcmp0(owned->owner->name, sender) == 0;
}

uint32_t att_owned_uid(const AttOwned *owned) {
        return owned->owner->user->uid;
}

void att_owned_release(AttOwned *owned) {
        Owner *o = owned->owner;

        (void) give_up(owned);
        if (o->items->len == 0)
                leave(o);
}
