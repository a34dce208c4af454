/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "connection.h"

#include "frames.h"
#include "services.h"

#include <string.h>

#define ANSWER_MS 30000                     /* for what the peer owes us */
#define MAX_AGE (600 * G_USEC_PER_SEC)       /* of evidence; then we ask again */
#define INBOX_MAX 64                         /* frames of data that come while we wait for something else */
#define CONTEXT_AT 5                         /* in a request: type, 3 bytes of length, size of the context */

struct Connection {
        gnutls_session_t tls;
        const Options *options;
        Binding binding;
        bool asks, is_greeted, peer_asks, peer_ended;
        GQueue inbox; /* of GBytes */

        /* As relying party. */
        Session verifier;
        GBytes *asked; /* context of our request that the peer has not answered */
        int64_t asked_at;
        bool asked_void;     /* the peer's state has changed since: the answer is none */
        int64_t accepted_at; /* when evidence was asked for that we have accepted; 0: there is none */
        bool has_shown;      /* the peer has answered since its last stale */
        char *newest_boot_id, *newest_instance_id; /* of that stale */
        uint64_t newest_generation;

        /* As attester. */
        Session attester;
        GBytes *held;       /* the peer's request, while we do not trust the peer */
        GBytes *answered;   /* context of our newest answer, on which we have no verdict */
        bool answered_void; /* we have told the peer of a change since */
        bool is_trusted;    /* the peer has accepted our newest answer */
        bool was_trusted;
        GBytes *about; /* context that a refusal is about */
};

static bool refuse(GError **error, const char *reason) {
        g_set_error_literal(error, REFUSED, REFUSED_TELL, reason);
        return false;
}

/* The peer is told that there is no verdict or no evidence, and we why. */
static bool unavailable(GError **error, GError *inner) {
        g_autoptr(GError) why = inner;

        g_printerr("attested: %s\n", why->message);
        return refuse(error, "service-unavailable: a service of this end does not do its part");
}

/* Tells the peer, if it is not the one who told us. */
static bool fail(Connection *c, GError **error, GError *inner) {
        if (g_error_matches(inner, REFUSED, REFUSED_TELL)) {
                g_autoptr(GBytes) payload = refused_encode(c->about, inner->message);

                if (frame_send(c->tls, FRAME_REFUSED, payload, NULL))
                        (void) gnutls_bye(c->tls, GNUTLS_SHUT_WR);
        }
        g_propagate_error(error, inner);
        return false;
}

/* The gate: our verdict, and the peer's on us. */
static bool is_open(const Connection *c) {
        return c->is_greeted && (!c->asks || (!c->asked && c->accepted_at > 0)) && (!c->peer_asks || c->is_trusted);
}

static void keep(GBytes **where, GBytes *what) {
        g_clear_pointer(where, g_bytes_unref);
        *where = what ? g_bytes_ref(what) : NULL;
}

/* Relying party. */

static bool ask(Connection *c, GError **error) {
        g_autoptr(GBytes) request = NULL;
        g_autoptr(GError) inner = NULL;

        if (!verifier_create_request(&c->verifier, &request, &c->asked, &inner))
                return unavailable(error, g_steal_pointer(&inner));
        c->asked_at = g_get_monotonic_time();
        c->asked_void = false;
        return frame_send(c->tls, FRAME_REQUEST, request, error);
}

static bool answer_held(Connection *c, GError **error);

static bool is_older(const Connection *c, const Verdict *v) {
        return g_strcmp0(v->boot_id, c->newest_boot_id) == 0 &&
               g_strcmp0(v->instance_id, c->newest_instance_id) == 0 && v->generation < c->newest_generation;
}

static bool judge(Connection *c, GBytes *authenticator, GBytes *context, GError **error) {
        g_autoptr(GError) inner = NULL;
        Verdict verdict;
        bool ok = true;

        if (!verifier_validate(&c->verifier, &c->binding, authenticator, context, &verdict, &inner))
                return unavailable(error, g_steal_pointer(&inner));
        if (verdict.reason[0] != '\0')
                ok = refuse(error, verdict.reason);
        else if (is_older(c, &verdict))
                ok = refuse(error, "evidence-stale: it speaks of an older generation than the peer has told of");
        verdict_clear(&verdict);
        return ok;
}

static bool on_authenticator(Connection *c, GBytes *payload, GError **error) {
        g_autoptr(GBytes) context = g_steal_pointer(&c->asked), accepted = NULL;

        if (!context)
                return refuse(error, "protocol-error: an authenticator that nobody asked for");
        c->has_shown = true;
        if (c->asked_void)
                return ask(c, error);
        keep(&c->about, context);
        if (!judge(c, payload, context, error))
                return false;
        keep(&c->about, NULL);
        c->accepted_at = c->asked_at;
        accepted = accepted_encode(context);
        return frame_send(c->tls, FRAME_ACCEPTED, accepted, error) && answer_held(c, error);
}

/* What we know of the peer is over, and nothing goes out until it has shown itself anew. */
static bool on_stale(Connection *c, GBytes *payload, GError **error) {
        char *boot_id, *instance_id;

        if (!c->has_shown)
                return refuse(error, "protocol-error: stale without an authenticator before it");
        if (!stale_decode(payload, &boot_id, &instance_id, &c->newest_generation, error))
                return false;
        g_free(c->newest_boot_id);
        g_free(c->newest_instance_id);
        c->newest_boot_id = boot_id;
        c->newest_instance_id = instance_id;
        c->has_shown = false;
        c->accepted_at = 0;
        if (!c->asked)
                return ask(c, error);
        c->asked_void = true;
        return true;
}

/* Attester. */

/* The context of a request: its size, then its bytes. */
static GBytes *context_of(GBytes *request) {
        gsize size;
        const uint8_t *data = g_bytes_get_data(request, &size);

        if (size < CONTEXT_AT || data[4] == 0 || size < CONTEXT_AT + (gsize) data[4])
                return NULL;
        return g_bytes_new(data + CONTEXT_AT, data[4]);
}

/* A server that asks as well shows itself only to a client that it trusts. */
static bool answer_held(Connection *c, GError **error) {
        g_autoptr(GBytes) request = NULL, context = NULL, authenticator = NULL;
        g_autoptr(GError) inner = NULL;

        if (!c->held || (c->options->is_server && c->asks && c->accepted_at == 0))
                return true;
        request = g_steal_pointer(&c->held);
        context = context_of(request);
        if (!context)
                return refuse(error, "malformed-request: it has no context");
        /* Else a peer could have us answer, or accept, its echo of our own request. */
        if (c->asks && !verifier_record_context(&c->verifier, context, NULL)) {
                keep(&c->about, context);
                return refuse(error, "context-reused: it was used on this connection");
        }
        authenticator = attester_answer(&c->attester, &c->binding, c->options, request, context, &inner);
        if (!authenticator) {
                g_print("no evidence for the peer: %s\n", inner->message);
                g_clear_error(&inner);
                authenticator = attester_refuse(&c->attester, &c->binding, request, &inner);
        }
        if (!authenticator)
                return unavailable(error, g_steal_pointer(&inner));
        keep(&c->answered, context);
        c->answered_void = c->is_trusted = false;
        return frame_send(c->tls, FRAME_AUTHENTICATOR, authenticator, error);
}

static bool on_request(Connection *c, GBytes *payload, GError **error) {
        if (!c->peer_asks || c->held)
                return refuse(error, "protocol-error: a request now");
        keep(&c->held, payload);
        return answer_held(c, error);
}

/* The peer's policy needs a log beside our evidence. docs/any-language.md says how to give one. */
static bool on_log_request(Connection *c, GBytes *payload, GError **error) {
        g_autoptr(GBytes) refusal = NULL;
        g_autofree char *log = NULL;
        uint64_t from;

        if (!log_request_decode(payload, &log, &from, error))
                return false;
        if (!c->answered || !(g_str_equal(log, "ima") || g_str_equal(log, "boot") || g_str_equal(log, "register")))
                return refuse(error, "protocol-error: a log request now");
        refusal = log_refusal_encode(log, from, "logs are not given");
        return frame_send(c->tls, FRAME_LOG_ENTRIES, refusal, error);
}

static bool on_accepted(Connection *c, GBytes *payload, GError **error) {
        g_autoptr(GBytes) context = NULL;

        if (!accepted_decode(payload, &context, error))
                return false;
        if (!c->answered || !g_bytes_equal(context, c->answered))
                return refuse(error, "protocol-error: accepted is about another context than our newest answer");
        keep(&c->answered, NULL);
        c->was_trusted = true;
        c->is_trusted = !c->answered_void; /* if not, it has crossed our stale */
        return true;
}

/* Tells the peer when our guest has changed since the evidence that it accepted. */
static bool check_stale(Connection *c, GError **error) {
        g_autofree char *boot_id = NULL, *instance_id = NULL;
        g_autoptr(GBytes) payload = NULL;
        g_autoptr(GError) inner = NULL;
        uint64_t generation;

        if (!c->is_trusted || !attester_is_stale(&c->attester))
                return true;
        if (!attester_state(&c->attester, &boot_id, &instance_id, &generation, &inner))
                return unavailable(error, g_steal_pointer(&inner));
        c->is_trusted = false;
        c->answered_void = true;
        payload = stale_encode(boot_id, instance_id, generation);
        return frame_send(c->tls, FRAME_STALE, payload, error);
}

/* Frames. */

static bool on_hello(Connection *c, GBytes *payload, GError **error) {
        if (!hello_decode(payload, &c->peer_asks, error))
                return false;
        c->is_greeted = true;
        if (!c->asks && !c->peer_asks)
                return refuse(error, "protocol-error: neither end asks for evidence");
        if (c->peer_asks && !c->options->gives)
                return refuse(error, "attestation-missing: this end gives no evidence");
        /* Whatever the peer says that it gives: we ask. */
        return !c->asks || ask(c, error);
}

static bool on_data(Connection *c, GBytes *payload, GError **error) {
        /* The peer's gate is open only if we have accepted it, and it us. Under way, or while
         * we ask again, its data may also rest on what was accepted before. */
        if (g_bytes_get_size(payload) == 0 || (c->asks && c->accepted_at == 0) || (c->peer_asks && !c->was_trusted))
                return refuse(error, "protocol-error: data now");
        if (c->inbox.length == INBOX_MAX)
                return refuse(error, "protocol-error: too much data before the peer's answer");
        g_queue_push_tail(&c->inbox, g_bytes_ref(payload));
        return true;
}

static bool on_refused(GBytes *payload, GError **error) {
        g_autofree char *reason = NULL, *plain = NULL;

        if (!refused_decode(payload, &reason, error))
                return false;
        plain = g_strescape(reason, NULL); /* it may end up on a terminal */
        g_set_error(error, REFUSED, REFUSED_SILENT, "by the peer: %s", plain);
        return false;
}

/* Takes in one frame, and does what it calls for. */
static bool step(Connection *c, GError **error) {
        g_autoptr(GBytes) payload = NULL;
        FrameType type;

        payload = frame_receive(c->tls, &type, error);
        if (!payload)
                return false;
        if (c->is_greeted == (type == FRAME_HELLO) || c->peer_ended)
                return refuse(error, "protocol-error: a frame that is not allowed now");
        switch (type) {
        case FRAME_HELLO:
                return on_hello(c, payload, error);
        case FRAME_REQUEST:
                return on_request(c, payload, error);
        case FRAME_AUTHENTICATOR:
                return on_authenticator(c, payload, error);
        case FRAME_ACCEPTED:
                return on_accepted(c, payload, error);
        case FRAME_REFUSED:
                return on_refused(payload, error);
        case FRAME_STALE:
                return on_stale(c, payload, error);
        case FRAME_LOG_REQUEST:
                return on_log_request(c, payload, error);
        case FRAME_LOG_ENTRIES:
                break;
        case FRAME_DATA:
                return on_data(c, payload, error);
        case FRAME_END:
                c->peer_ended = true;
                return true;
        }
        g_assert_not_reached(); /* the limits of frame_receive() */
}

/* Until the gate is open, for as long as the peer may take to answer. */
static bool wait_for_gate(Connection *c, GError **error) {
        int64_t until = g_get_monotonic_time() + ANSWER_MS * 1000;

        gnutls_record_set_timeout(c->tls, ANSWER_MS); /* of one call only */
        while (!is_open(c)) {
                if (c->peer_ended) {
                        g_set_error(error, REFUSED, REFUSED_SILENT, "the peer has ended");
                        return false;
                }
                if (g_get_monotonic_time() > until)
                        return refuse(error, "timed-out: the peer owes an answer");
                if (!step(c, error))
                        return false;
        }
        gnutls_record_set_timeout(c->tls, 0);
        return true;
}

static bool begin(Connection *c, GError **error) {
        const char *us = c->options->is_server ? "server" : "client";
        const char *them = c->options->is_server ? "client" : "server";
        g_autoptr(GBytes) hello = hello_encode(c->asks, c->options->gives);
        g_autoptr(GError) inner = NULL;

        if (!binding_init(&c->binding, c->tls, error))
                return false;
        if ((c->asks && !verifier_open(&c->verifier, &c->binding, them, c->options, &inner)) ||
            (c->options->gives && !attester_open(&c->attester, &c->binding, us, &inner)))
                return unavailable(error, g_steal_pointer(&inner));
        return frame_send(c->tls, FRAME_HELLO, hello, error) && wait_for_gate(c, error);
}

Connection *connection_open(gnutls_session_t tls, const Options *options, GError **error) {
        g_autoptr(Connection) c = g_new0(Connection, 1);
        g_autoptr(GError) inner = NULL;

        c->tls = tls;
        c->options = options;
        c->asks = options->policy != NULL;
        g_queue_init(&c->inbox);
        if (begin(c, &inner))
                return g_steal_pointer(&c);
        fail(c, error, g_steal_pointer(&inner));
        return NULL;
}

void connection_free(Connection *c) {
        if (!c)
                return;
        session_close(&c->verifier);
        session_close(&c->attester);
        g_queue_clear_full(&c->inbox, (GDestroyNotify) g_bytes_unref);
        keep(&c->asked, NULL);
        keep(&c->held, NULL);
        keep(&c->answered, NULL);
        keep(&c->about, NULL);
        g_free(c->newest_boot_id);
        g_free(c->newest_instance_id);
        g_free(c);
}

static bool may_write(Connection *c, GError **error) {
        if (!check_stale(c, error))
                return false;
        if (c->asks && !c->asked && g_get_monotonic_time() - c->accepted_at > MAX_AGE && !ask(c, error))
                return false;
        return wait_for_gate(c, error);
}

bool connection_write(Connection *c, GBytes *data, GError **error) {
        gsize size = g_bytes_get_size(data);

        for (gsize at = 0; at < size; at += FRAME_DATA_MAX) {
                g_autoptr(GBytes) piece = g_bytes_new_from_bytes(data, at, MIN(size - at, FRAME_DATA_MAX));
                g_autoptr(GError) inner = NULL;

                if (!may_write(c, &inner) || !frame_send(c->tls, FRAME_DATA, piece, &inner))
                        return fail(c, error, g_steal_pointer(&inner));
        }
        return true;
}

bool connection_read(Connection *c, GBytes **ret, GError **error) {
        g_autoptr(GError) inner = NULL;

        while (g_queue_is_empty(&c->inbox) && !c->peer_ended)
                if (!step(c, &inner))
                        return fail(c, error, g_steal_pointer(&inner));
        *ret = g_queue_pop_head(&c->inbox);
        return true;
}

bool connection_end(Connection *c, GError **error) {
        uint8_t rest[256];
        ssize_t n;

        if (!frame_send(c->tls, FRAME_END, NULL, error))
                return false;
        (void) gnutls_bye(c->tls, GNUTLS_SHUT_WR);
        while (!c->peer_ended)
                if (!step(c, error))
                        return false;
        /* To its close_notify: closed over unread bytes, the socket would reset the peer. Nothing
         * that can happen now makes a difference. */
        gnutls_record_set_timeout(c->tls, ANSWER_MS);
        do
                n = gnutls_record_recv(c->tls, rest, sizeof rest);
        while (n > 0 || n == GNUTLS_E_AGAIN || n == GNUTLS_E_INTERRUPTED);
        return true;
}
