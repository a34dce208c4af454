/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lib/instance.h"

static struct {
        GHashTable *on_bus; /* of AttInstance, by their names; NULL: there was none yet */
        AttInstance *direct;    /* NULL: there is none */
} instances;

static AttInstance *instance_new(AttLink *link, const char *name) {
        AttInstance *p = g_new0(AttInstance, 1);

        p->refs = 1;
        p->link = link;
        p->name = g_strdup(name);
        p->sessions = g_hash_table_new(g_str_hash, g_str_equal);
        return p;
}

static AttInstance *find_instance(const AttLink *link, const char *name) {
        if (link->is_direct)
                return instances.direct;
        return instances.on_bus && name ? g_hash_table_lookup(instances.on_bus, name) : NULL;
}

AttInstance *att_instance_get(AttLink *link, const char *name) {
        AttInstance *p = find_instance(link, name);

        if (p)
                return p;
        if (link->is_direct)
                return instances.direct = instance_new(link, NULL);
        if (!instances.on_bus)
                instances.on_bus = g_hash_table_new(g_str_hash, g_str_equal);
        p = instance_new(link, name);
        g_hash_table_insert(instances.on_bus, p->name, p);
        return p;
}

AttInstance *att_instance_ref(AttInstance *p) {
        p->refs++;
        return p;
}

void att_instance_unref(AttInstance *p) {
        if (!p || --p->refs > 0)
                return;
        g_hash_table_unref(p->sessions);
        att_shared_parts_clear(&p->parts);
        g_free(p->name);
        g_free(p);
}

void att_instance_begin_session(AttRemote *r, AttInstance *p, const char *path) {
        r->instance = att_instance_ref(p);
        r->path = g_strdup(path);
        r->n_sessions++;
        r->is_told = false;
        g_hash_table_insert(p->sessions, r->path, r);
}

AttRemote *att_instance_find_session(const AttLink *link, const char *sender, const char *path) {
        const AttInstance *p = find_instance(link, sender);

        return p ? g_hash_table_lookup(p->sessions, path) : NULL;
}

static void forget(AttRemote *r) {
        g_hash_table_remove(r->instance->sessions, r->path);
        g_clear_pointer(&r->instance, att_instance_unref);
        g_clear_pointer(&r->path, g_free);
        r->needs_no_logs = r->has_boot_log = false;
}

static void forget_former(AttRemote *r) {
        g_hash_table_remove(r->former->sessions, r->former_path);
        g_clear_pointer(&r->former, att_instance_unref);
        g_clear_pointer(&r->former_path, g_free);
}

void att_instance_send_close(const AttLink *link, const char *name, const AttServiceNames *service, const char *path) {
        g_autoptr(GDBusMessage) message = g_dbus_message_new_method_call(name, path, service->session, "Close");

        if (!link->bus)
                return;
        g_dbus_message_set_flags(message, G_DBUS_MESSAGE_FLAGS_NO_REPLY_EXPECTED);
        (void) g_dbus_connection_send_message(link->bus, message, G_DBUS_SEND_MESSAGE_FLAGS_NONE, NULL, NULL);
}

static void close_newest(AttRemote *r) {
        if (!r->instance)
                return;
        att_instance_send_close(r->instance->link, r->instance->name, r->service, r->path);
        forget(r);
}

/* attestd tells a session of no change before it has given evidence in it. */
void att_instance_retire_session(AttRemote *r) {
        if (r->former || !r->given.known) {
                close_newest(r);
        } else if (r->instance) {
                r->former = g_steal_pointer(&r->instance);
                r->former_path = g_steal_pointer(&r->path);
        }
}

void att_instance_close_former(AttRemote *r) {
        r->is_unwatched = false;
        if (!r->former)
                return;
        att_instance_send_close(r->former->link, r->former->name, r->service, r->former_path);
        forget_former(r);
}

void att_instance_give_up_former(AttRemote *r) {
        if (!r->former)
                return;
        att_instance_close_former(r);
        r->is_unwatched = true;
}

void att_instance_close_session(AttRemote *r) {
        att_instance_close_former(r);
        close_newest(r);
}

/* Loss of attestd is a change: nobody would tell of one any more. */
static void note_loss(AttRemote *r) {
        AttEvent *event;

        r->given.known = r->is_unwatched = false;
        if (!r->instance) {
                r->by_bus = false;
                r->until_us = g_get_monotonic_time() + (gint64) r->client->patience_ms * 1000;
        }
        if (r->service != &att_attester_names || r->is_told)
                return;
        r->is_told = true;
        event = g_new0(AttEvent, 1);
        event->type = ATT_EVENT_STALE;
        event->reasons = g_strdupv((char *[]) { (char *) "service-lost", NULL });
        att_mailbox_post(&r->client->mailbox, event);
}

void att_instance_lose_session(AttRemote *r) {
        if (!r->instance)
                return;
        forget(r);
        att_instance_close_former(r);
        note_loss(r);
}

void att_instance_tell_unwatched(AttRemote *r) {
        if (r->is_unwatched)
                note_loss(r);
}

void att_instance_lose_former(AttRemote *r) {
        att_instance_give_up_former(r);
        att_instance_tell_unwatched(r);
}

/* @p: (transfer full): is found no more */
static void lose_instance(AttInstance *p) {
        g_autoptr(GList) remotes = g_hash_table_get_values(p->sessions); /* who has two is in it twice */

        for (const GList *l = remotes; l; l = l->next) {
                AttRemote *r = l->data;

                if (r->instance == p)
                        att_instance_lose_session(r);
                else if (r->former == p)
                        att_instance_lose_former(r);
        }
        att_instance_unref(p);
}

void att_instance_lose(const char *name) {
        AttInstance *p = instances.on_bus ? g_hash_table_lookup(instances.on_bus, name) : NULL;

        if (!p)
                return;
        g_hash_table_steal(instances.on_bus, name);
        lose_instance(p);
}

void att_instance_lose_all(const AttLink *link) {
        g_autofree gpointer *names = NULL;
        AttInstance *direct;

        if (link->is_direct) {
                direct = g_steal_pointer(&instances.direct);
                if (direct)
                        lose_instance(direct);
                return;
        }
        if (!instances.on_bus)
                return;
        names = g_hash_table_get_keys_as_array(instances.on_bus, NULL);
        for (gpointer *name = names; *name; name++)
                att_instance_lose(*name);
}
