/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "bus/authz.h"

#include "bus/bus-source.h"
#include "util/error.h"

#include <stdbool.h>

#define NAME "org.freedesktop.PolicyKit1"
#define PATH "/org/freedesktop/PolicyKit1/Authority"
#define INTERFACE "org.freedesktop.PolicyKit1.Authority"

#define PATIENCE_S 60u
#define QUESTION_ID_SIZE 24u
#define ALLOW_USER_INTERACTION 1u

struct AttAuthority {
        sd_bus *bus;         /* borrowed */
        uint64_t n_questions; /* that there were */
        GHashTable *n_asked; /* of questions open at polkit, by uid; users without one are not there */
        guint n_asked_in_all;
        GQueue orphans;      /* of AttAuthz, by their link: open, and nobody wants the answer any more */
        GQueue waiting;      /* of AttAuthz, by their link */
        guint turn;          /* idle source: some may have their turn */
};

struct AttAuthz {
        AttAuthority *authority;
        AttAuthzDone done;    /* NULL: it is an orphan */
        gpointer userdata;
        sd_bus_message *call; /* until it is asked */
        uint32_t uid;
        char *action;
        char id[QUESTION_ID_SIZE]; /* to take it back by */
        guint timer;          /* for its turn to come, then for the answer */
        GList link;
        sd_bus_slot *slot;    /* NULL: it waits for its turn */
};

AttAuthority *att_authority_new(sd_bus *bus) {
        AttAuthority *authority = g_new0(AttAuthority, 1);

        authority->bus = bus;
        authority->n_asked = g_hash_table_new(NULL, NULL);
        return authority;
}

static guint n_asked_by(const AttAuthority *authority, uint32_t uid) {
        return GPOINTER_TO_UINT(g_hash_table_lookup(authority->n_asked, GUINT_TO_POINTER(uid)));
}

static void count(AttAuthority *authority, uint32_t uid, guint n) {
        authority->n_asked_in_all += n - n_asked_by(authority, uid);
        if (n > 0)
                g_hash_table_insert(authority->n_asked, GUINT_TO_POINTER(uid), GUINT_TO_POINTER(n));
        else
                g_hash_table_remove(authority->n_asked, GUINT_TO_POINTER(uid));
}

static bool may_ask(const AttAuthority *authority, uint32_t uid) {
        return authority->n_asked_in_all < ATT_AUTHZ_MAX && n_asked_by(authority, uid) < ATT_AUTHZ_PER_USER_MAX;
}

static gboolean on_turn(gpointer userdata);

static void authz_free(AttAuthz *a) {
        AttAuthority *authority = a->authority;

        if (a->slot) {
                count(authority, a->uid, n_asked_by(authority, a->uid) - 1);
                if (authority->turn == 0 && authority->waiting.length > 0)
                        authority->turn = g_idle_add(on_turn, authority);
        }
        if (a->link.data)
                g_queue_unlink(a->done ? &authority->waiting : &authority->orphans, &a->link);
        if (a->timer > 0)
                g_source_remove(a->timer);
        sd_bus_slot_unref(a->slot);
        sd_bus_message_unref(a->call);
        g_free(a->action);
        g_free(a);
}
G_DEFINE_AUTOPTR_CLEANUP_FUNC(AttAuthz, authz_free)

void att_authority_free(AttAuthority *authority) {
        if (!authority)
                return;

        while (authority->orphans.head)
                authz_free(authority->orphans.head->data);
        g_warn_if_fail(authority->n_asked_in_all == 0 && authority->waiting.length == 0);
        if (authority->turn > 0)
                g_source_remove(authority->turn);
        g_hash_table_unref(authority->n_asked);
        g_free(authority);
}

static GError *not_authorized(const char *action, const char *why) {
        return g_error_new(ATT_ERROR, ATT_ERROR_NOT_AUTHORIZED,
                           "not authorized for %s: %s; an administrator can grant it with a polkit rule", action, why);
}

static int on_reply(sd_bus_message *reply, void *userdata, sd_bus_error *error) {
        g_autoptr(AttAuthz) a = userdata;
        const char *why = "polkit says no";
        int allowed = 0, challenge = 0;

        (void) error;
        if (!a->done) /* abandoned */
                return 1;
        if (sd_bus_message_is_method_error(reply, SD_BUS_ERROR_LIMITS_EXCEEDED)) {
                a->done(g_error_new(ATT_ERROR, ATT_ERROR_LIMIT_REACHED, "the bus takes no more questions; try again"),
                        a->userdata);
                return 1;
        }
        if (sd_bus_message_is_method_error(reply, NULL) ||
            sd_bus_message_enter_container(reply, 'r', "bba{ss}") < 0 ||
            sd_bus_message_read(reply, "bb", &allowed, &challenge) < 0) {
                why = "polkit does not answer";
                allowed = 0;
        } else if (challenge) {
                why = "polkit wants a user to authenticate, and the call does not allow interaction";
        }

        a->done(allowed ? NULL : not_authorized(a->action, why), a->userdata);
        return 1;
}

/* Nobody waits for the answer any more. The bus lets us wait for so many only, whether
 * we have lost patience or not: the question counts until polkit, which is told that it
 * need not bother, has answered. Else who comes and goes has more open than he may. */
static void abandon(AttAuthz *a) {
        if (a->timer > 0)
                g_source_remove(a->timer);
        a->timer = 0;
        a->done = NULL;
        a->link.data = a;
        g_queue_push_tail_link(&a->authority->orphans, &a->link);
        (void) sd_bus_call_method_async(a->authority->bus, NULL, NAME, PATH, INTERFACE, "CancelCheckAuthorization",
                                        NULL, NULL, "s", a->id);
}

static gboolean on_overdue(gpointer userdata) {
        AttAuthz *a = userdata;
        AttAuthzDone done = a->done;

        a->timer = 0;
        if (a->slot) {
                abandon(a);
                done(not_authorized(a->action, "polkit does not answer"), a->userdata);
        } else {
                done(g_error_new(ATT_ERROR, ATT_ERROR_LIMIT_REACHED, "polkit has as many questions open as it may, "
                                 "and answers none of them; try again"), a->userdata);
                authz_free(a);
        }
        return G_SOURCE_REMOVE;
}

static void be_patient(AttAuthz *a) {
        if (a->timer > 0)
                g_source_remove(a->timer);
        a->timer = g_timeout_add_seconds(PATIENCE_S, on_overdue, a);
}

/* The name, never a process: who holds the connection is what the bus knows for sure. */
static int ask(AttAuthz *a) {
        uint32_t flags = sd_bus_message_get_allow_interactive_authorization(a->call) > 0 ? ALLOW_USER_INTERACTION : 0;
        g_autoptr(sd_bus_message) question = NULL;
        int r;

        (void) g_snprintf(a->id, sizeof a->id, "%" G_GUINT64_FORMAT, ++a->authority->n_questions);
        r = sd_bus_message_new_method_call(a->authority->bus, &question, NAME, PATH, INTERFACE, "CheckAuthorization");
        if (r >= 0)
                r = sd_bus_message_append(question, "(sa{sv})sa{ss}us", "system-bus-name", 1, "name", "s",
                                          sd_bus_message_get_sender(a->call), a->action, 0, flags, a->id);
        if (r >= 0)
                r = sd_bus_call_async(a->authority->bus, &a->slot, question, on_reply, a, UINT64_MAX);
        if (r < 0)
                return r;

        count(a->authority, a->uid, n_asked_by(a->authority, a->uid) + 1);
        be_patient(a);
        return 0;
}

static gboolean on_turn(gpointer userdata) {
        AttAuthority *authority = userdata;

        authority->turn = 0;
        for (GList *l = authority->waiting.head, *next; l && authority->n_asked_in_all < ATT_AUTHZ_MAX; l = next) {
                AttAuthz *a = l->data;

                next = l->next;
                if (!may_ask(authority, a->uid))
                        continue;

                g_queue_unlink(&authority->waiting, &a->link);
                a->link.data = NULL;
                if (ask(a) < 0) {
                        /* Its callback may end other questions: look at the queue anew after it. */
                        a->done(not_authorized(a->action, "polkit cannot be asked"), a->userdata);
                        authz_free(a);
                        next = authority->waiting.head;
                }
        }
        return G_SOURCE_REMOVE;
}

AttAuthz *att_authz_ask(AttAuthority *authority, sd_bus_message *call, uint32_t uid, const char *action,
                        AttAuthzDone done, gpointer userdata) {
        g_autoptr(AttAuthz) a = NULL;

        if (uid == 0) {
                done(NULL, userdata);
                return NULL;
        }

        a = g_new(AttAuthz, 1);
        *a = (AttAuthz) {
                .authority = authority,
                .done = done,
                .userdata = userdata,
                .call = sd_bus_message_ref(call),
                .uid = uid,
                .action = g_strdup(action),
        };

        if (!may_ask(authority, uid)) {
                a->link.data = a;
                g_queue_push_tail_link(&authority->waiting, &a->link);
                be_patient(a);
        } else if (ask(a) < 0) {
                done(not_authorized(action, "polkit cannot be asked"), userdata);
                return NULL;
        }
        return g_steal_pointer(&a);
}

void att_authz_cancel(AttAuthz *authz) {
        if (authz && authz->slot)
                abandon(authz);
        else if (authz)
                authz_free(authz);
}
