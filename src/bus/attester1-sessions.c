/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "bus/attester1-parts.h"

#include "bus/bus-call.h"
#include "bus/bus-error.h"
#include "bus/bus-source.h"

/* ----- signals */

static void send_to_owner(Session *s, sd_bus_message *signal, int r) {
        if (r >= 0 && s->owner->name)
                r = sd_bus_message_set_destination(signal, s->owner->name);
        att_direct_flush(s->owner->bus); /* behind the evidence that it is about */
        if (r >= 0)
                r = sd_bus_send(s->owner->bus, signal, NULL);
        if (r < 0)
                att_bus_log_unsent("a signal of a session", r);
        att_direct_sent(s->owner->bus, 0);
}

static void on_session_stale(AttSession *inner, uint64_t generation, const char *const *reasons) {
        Session *s = att_session_userdata(inner);
        g_autoptr(sd_bus_message) m = NULL;
        int r;

        r = sd_bus_message_new_signal(s->owner->bus, &m, s->path, SESSION_NAME, "Stale");
        if (r >= 0)
                r = sd_bus_message_append(m, "t", generation);
        if (r >= 0)
                r = sd_bus_message_append_strv(m, (char **) reasons);
        send_to_owner(s, m, r);
}

/* To its owner alone: that there is this session is nobody else's business. */
static void on_session_changed(AttSession *inner) {
        Session *s = att_session_userdata(inner);
        g_autoptr(sd_bus_message) m = NULL;
        int r;

        r = sd_bus_message_new_signal(s->owner->bus, &m, s->path, "org.freedesktop.DBus.Properties",
                                      "PropertiesChanged");
        if (r >= 0)
                r = sd_bus_message_append(m, "sa{sv}as", SESSION_NAME, 2,
                                          "Generation", "t", att_session_evidence_generation(inner),
                                          "Stale", "b", (int) att_session_is_stale(inner), 0);
        send_to_owner(s, m, r);
}

static const AttSessionEvents session_events = { .stale = on_session_stale, .changed = on_session_changed };

/* ----- owners and sessions */

static void owner_free(Owner *o) {
        att_attester1_drop_room(o);
        att_connection_unref(o->connection);
        g_free(o->name);
        g_free(o);
}

static guint owner_hash(gconstpointer p) {
        const Owner *o = p;

        return o->name ? g_str_hash(o->name) : g_direct_hash(o->bus);
}

static gboolean owner_equal(gconstpointer a, gconstpointer b) {
        const Owner *x = a, *y = b;

        return x->bus == y->bus && g_strcmp0(x->name, y->name) == 0;
}

GHashTable *att_attester1_new_owners(void) {
        return g_hash_table_new_full(owner_hash, owner_equal, NULL, (GDestroyNotify) owner_free);
}

/* A direct connection is its own name: what it says of a sender in a message is not looked at. */
static Owner key_of(sd_bus_message *call) {
        return (Owner) {
                .bus = sd_bus_message_get_bus(call),
                .name = att_call_is_direct(call) ? NULL : (char *) sd_bus_message_get_sender(call),
        };
}

Owner *att_attester1_find_owner(const Attester1 *a, sd_bus_message *call) {
        Owner key = key_of(call);

        return g_hash_table_lookup(a->owners, &key);
}

void att_attester1_close_session(Session *s) {
        Owner *o = s->owner;
        Attester1 *a = o->attester;

        if (s->opening)
                att_attester1_leave_opening(s->opening);
        if (s->path)
                (void) g_hash_table_remove(a->sessions, s->path);
        g_queue_unlink(&o->sessions, &s->link);
        att_session_close(s->inner);
        g_free(s->path);
        g_free(s);

        if (o->sessions.length == 0)
                (void) g_hash_table_remove(a->owners, o);
}

void att_attester1_close_owner(Owner *o) {
        /* Not by asking @o when there is none left: it is gone then. */
        for (guint n = o->sessions.length; n > 0; n--)
                att_attester1_close_session(o->sessions.head->data);
}

void att_attester1_leave(Attester1 *a, sd_bus *bus, const char *name) {
        Owner key = { .bus = bus, .name = (char *) name }, *o = g_hash_table_lookup(a->owners, &key);

        att_log_calls_leave(a->logs, bus, name);
        if (o)
                att_attester1_close_owner(o);
}

Owner *att_attester1_add_owner(Attester1 *a, sd_bus_message *call, AttCaller *caller) {
        Owner *o = g_new(Owner, 1);

        *o = key_of(call);
        o->attester = a;
        o->name = g_strdup(o->name);
        o->connection = att_connection_new(a->attester, caller);
        g_hash_table_insert(a->owners, o, o);
        return o;
}

Session *att_attester1_add_session(Owner *o, const AttSessionParameters *parameters, GError **error) {
        g_autofree Session *s = g_new0(Session, 1);

        s->inner = att_session_open(o->connection, parameters, &session_events, s, error);
        if (!s->inner)
                return NULL;

        s->owner = o;
        s->link.data = s;
        g_queue_push_tail_link(&o->sessions, &s->link);
        return g_steal_pointer(&s);
}

void att_attester1_publish_session(Session *s) {
        s->path = g_strdup_printf(SESSION_PATH "/%" G_GUINT64_FORMAT, att_session_number(s->inner));
        g_hash_table_insert(s->owner->attester->sessions, s->path, s);
}

/* For all but its owner there is no session: asked in one place, so no handler can forget to. */
int att_attester1_find_session(sd_bus *bus, const char *path, const char *interface, void *userdata, void **ret,
                               sd_bus_error *error) {
        Attester1 *a = userdata;
        Session *s = g_hash_table_lookup(a->sessions, path);
        sd_bus_message *call = sd_bus_get_current_message(bus);
        Owner *o = call ? att_attester1_find_owner(a, call) : NULL;
        g_autofree char *who = NULL;

        (void) interface;
        if (s && s->owner == o) {
                *ret = s;
                return 1;
        }
        if (g_str_equal(path, SESSION_PATH))
                return 0;

        who = o ? att_caller_describe(o->connection->caller) : NULL;
        att_attester1_log_refusal(a, call ? att_call_name(call) : NULL, who, path,
                                  s ? "it is another connection's" : "there is no such session");
        return att_bus_error_set(error, ATT_ERROR_NO_SUCH_SESSION,
                                 "this connection has no such session: sessions end with who opened them");
}
