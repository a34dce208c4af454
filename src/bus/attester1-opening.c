/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "bus/attester1-parts.h"

#include "bus/bus-call.h"
#include "bus/bus-error.h"
#include "bus/bus-source.h"
#include "bus/credentials.h"

/* An OpenSession call: who asks, may he, and then the session. */
struct Opening {
        Attester1 *attester;
        sd_bus_message *call; /* NULL: answered */
        GList link;
        AttSessionParameters parameters; /* borrowed from the call */
        char *who;                       /* for the log, once the bus has said it */
        sd_bus_slot *credentials;
        Session *session; /* once we know who asks; NULL again if it was closed */
        AttAuthz *authz;
        bool is_observing; /* a thread hashes the caller: the opening waits for it, wanted or not */
};

static void opening_free(Opening *opening) {
        g_queue_unlink(&opening->attester->openings, &opening->link);
        sd_bus_slot_unref(opening->credentials);
        att_authz_cancel(opening->authz);
        sd_bus_message_unref(opening->call);
        g_free(opening->who);
        g_free(opening);
}

void att_attester1_leave_opening(Opening *opening) {
        if (opening->is_observing)
                opening->session = NULL;
        else
                opening_free(opening);
}

/* @error is taken. With the opening goes the session that it was for. */
static void opening_refuse(Opening *opening, GError *error) {
        g_autoptr(sd_bus_message) call = g_steal_pointer(&opening->call);
        const char *sender = att_call_name(call);

        if (g_error_matches(error, ATT_ERROR, ATT_ERROR_NOT_AUTHORIZED))
                att_attester1_log_refusal(opening->attester, sender, opening->who, "OpenSession", error->message);
        else
                g_info("OpenSession of %s: %s", sender, error->message);
        if (!att_attester1_over_limit(opening->attester, call, error))
                att_bus_reply_error(call, error);
        att_direct_sent(sd_bus_message_get_bus(call), 0);

        if (opening->session)
                att_attester1_close_session(opening->session);
        else if (!opening->is_observing)
                opening_free(opening);
}

static void opening_finish(Opening *opening) {
        Session *s = opening->session;
        int r;

        att_attester1_publish_session(s);
        r = sd_bus_reply_method_return(opening->call, "o", s->path);
        if (r < 0) {
                att_bus_log_unsent("a session", r);
                opening_refuse(opening, g_error_new(ATT_ERROR, ATT_ERROR_FAILED, "the session cannot be told of: %s",
                                                    g_strerror(-r)));
                return;
        }
        s->opening = NULL;
        att_direct_sent(sd_bus_message_get_bus(opening->call), 0);
        opening_free(opening);
}

static void on_observed(GObject *source, GAsyncResult *result, gpointer userdata) {
        Opening *opening = userdata;

        (void) source, (void) result;
        opening->is_observing = false;
        if (opening->session)
                opening_finish(opening);
        else
                opening_free(opening);
}

static void on_authorized(GError *error, gpointer userdata) {
        Opening *opening = userdata;

        opening->authz = NULL;
        if (error) {
                opening_refuse(opening, error);
                return;
        }

        opening->is_observing = att_caller_observe(opening->session->owner->connection->caller, on_observed, opening);
        if (!opening->is_observing)
                opening_finish(opening);
}

/* @caller is known: now a place for the session, and the question whether he may have it. */
static void opening_continue(Opening *opening, Owner *owner) {
        GError *error = NULL;
        uint32_t uid = owner->connection->user->uid;
        AttAuthz *authz;

        opening->session = att_attester1_add_session(owner, &opening->parameters, &error);
        if (!opening->session) {
                if (owner->sessions.length == 0)
                        (void) g_hash_table_remove(owner->attester->owners, owner);
                opening_refuse(opening, error);
                return;
        }

        if (!opening->who)
                opening->who = att_caller_describe(owner->connection->caller);
        opening->session->opening = opening;
        if (!owner->name) { /* it was authorised when it was made */
                on_authorized(NULL, opening);
                return;
        }
        authz = att_authz_ask(owner->attester->authority, opening->call, uid, NAME ".get-evidence", on_authorized,
                              opening);
        if (authz) /* else it is over already */
                opening->authz = authz;
}

/* The first session of a connection: what is he? */
static void opening_identify(Opening *opening, AttPeer *peer) {
        Attester1 *a = opening->attester;
        g_autoptr(AttCaller) caller = NULL;
        GError *error = NULL;

        opening->who = g_strdup_printf("uid %u", peer->uid);
        caller = att_caller_new(peer, a->configuration, &error);
        if (caller)
                opening_continue(opening, att_attester1_add_owner(a, opening->call, caller));
        else
                opening_refuse(opening, error);
}

static void on_credentials(AttPeer *peer, GError *error, gpointer userdata) {
        Opening *opening = userdata;
        Attester1 *a = opening->attester;
        Owner *o;

        if (!peer) {
                opening_refuse(opening, error);
                return;
        }

        /* Another call of the same connection may have been sooner. */
        o = att_attester1_find_owner(a, opening->call);
        if (o) {
                opening->who = g_strdup_printf("uid %u", peer->uid);
                opening_continue(opening, o);
                return;
        }

        peer->connected_by_us = att_name_watch_connected_by(a->names, sd_bus_message_get_sender(opening->call));
        opening_identify(opening, peer);
}

static int read_parameters(sd_bus_message *call, AttSessionParameters *ret, sd_bus_error *error) {
        AttSessionParameters p = { 0 };
        const char *role, *hash;
        const AttOption options[] = {
                { "role", "s", &role, 0, true },
                { "hash", "s", &hash, 0, true },
                { "protocol", "s", &p.protocol, ATT_PROTOCOL_SIZE_MAX, false },
                { "peer", "s", &p.peer, ATT_PEER_NAME_SIZE_MAX, false },
                { 0 },
        };
        int r = att_call_read_options(call, options, error);

        if (r < 0)
                return r;

        if (!att_role_from_name(role, &p.role))
                return att_bus_error_set(error, ATT_ERROR_INVALID_ARGUMENT, "role is neither client nor server");

        if (!att_hash_from_name(hash, &p.hash))
                return att_bus_error_set(error, ATT_ERROR_INVALID_ARGUMENT, "hash is neither sha256 nor sha384");

        *ret = p;
        return 0;
}

int att_attester1_open_session(sd_bus_message *call, void *userdata, sd_bus_error *error) {
        Attester1 *a = userdata;
        AttSessionParameters parameters;
        Opening *opening;
        GError *e = NULL;
        Owner *o;
        int r;

        r = read_parameters(call, &parameters, error);
        if (r < 0)
                return r;
        if (!att_session_parameters_check(&parameters, &e))
                return att_bus_error_take(error, e);
        if (a->is_stopping)
                return att_bus_error_set(error, ATT_ERROR_CANCELLED, "attestd is stopping; try again");

        opening = g_new(Opening, 1);
        *opening = (Opening) { .attester = a, .call = sd_bus_message_ref(call), .parameters = parameters };
        opening->link.data = opening;
        g_queue_push_tail_link(&a->openings, &opening->link);

        o = att_attester1_find_owner(a, call);
        if (o) {
                opening_continue(opening, o);
                return 1;
        }
        if (att_call_is_direct(call)) {
                g_auto(AttPeer) peer = att_direct_dup_peer(a->direct, sd_bus_message_get_bus(call));

                opening_identify(opening, &peer);
                return 1;
        }

        r = att_credentials_ask(call, &opening->credentials, on_credentials, opening);
        if (r < 0) {
                opening_free(opening);
                return r;
        }
        return 1; /* on_authorized() replies */
}

void att_attester1_cancel_openings(Attester1 *a) {
        for (GList *l = a->openings.head, *next; l; l = next) {
                Opening *opening = l->data;

                next = l->next;
                if (opening->call)
                        opening_refuse(opening, g_error_new(ATT_ERROR, ATT_ERROR_CANCELLED, "attestd is stopping"));
        }
}
