/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lib/relying-party.h"

#include "lib/bucket.h"
#include "lib/connection-state.h"

/* A peer whose log comes in pieces of this size or more is getting on: its time
 * limit begins anew. */
#define LOG_PROGRESS (64u * 1024u)
/* We ask so that a peer with the limits of attesting-party.c never finds it too much. As one
 * request waits for the answer to the last, delays of the network cannot gather
 * more than one beyond these. */
#define REQUESTS_AT_ONCE 3u
#define REQUEST_EVERY (2 * G_USEC_PER_SEC)

void att_relying_party_clear(AttRelyingParty *p) {
        g_clear_pointer(&p->context, g_bytes_unref);
        g_clear_pointer(&p->authenticator, g_bytes_unref);
        att_log_taker_clear(&p->taker);
        g_clear_pointer(&p->result, g_free);
}

bool att_relying_party_takes_batches(const AttestdConnection *c) {
        return c->endpoint->asks && c->endpoint->takes_batches && !c->endpoint->compat;
}

bool att_relying_party_awaits_service(const AttestdConnection *c) {
        AttAsk ask = c->relying.ask;

        return ask == ATT_ASK_MAKING || ask == ATT_ASK_LOOKING || ask == ATT_ASK_ADDING || ask == ATT_ASK_JUDGING;
}

static int64_t max_age_us(const AttestdConnection *c) {
        return (int64_t) c->endpoint->max_age_s * G_USEC_PER_SEC;
}

/* Evidence that is older by more than the time limit counts no more: a renewal
 * was due, and nobody drove it. */
bool att_relying_party_verdict_stands(AttestdConnection *c) {
        AttRelyingParty *p = &c->relying;

        return p->accepted > p->stale_after &&
               (c->endpoint->max_age_s == 0 ||
                att_connection_now(c) - p->accepted_at < max_age_us(c) + (int64_t) c->endpoint->timeout_ms * 1000);
}

/* Asking. */

/* Of what the peer has told us of, we may ask at any time. */
static int64_t may_ask_at(const AttestdConnection *c) {
        const AttRelyingParty *p = &c->relying;

        if (p->n_contexts == p->stale_after)
                return 0;
        return att_bucket_next(p->requests_full_at, REQUESTS_AT_ONCE, REQUEST_EVERY);
}

void att_relying_party_ask_if_due(AttestdConnection *c) {
        AttRelyingParty *p = &c->relying;

        if (!c->endpoint->asks || !c->is_greeted || c->peer_ended || c->has_ended || p->ask != ATT_ASK_IDLE ||
            (c->endpoint->compat && p->accepted > 0))
                return;
        if (p->accepted > p->ask_after && c->endpoint->max_age_s > 0 &&
            att_connection_now(c) - p->accepted_at >= max_age_us(c))
                p->ask_after = p->n_contexts;
        if (p->accepted > p->ask_after || att_connection_now(c) < may_ask_at(c))
                return;

        if (p->n_contexts > p->stale_after)
                att_bucket_take(&p->requests_full_at, att_connection_now(c), REQUEST_EVERY);
        p->ask = ATT_ASK_MAKING;
        p->number = ++p->n_contexts;
        p->asked_at = att_connection_now(c);
        c->answer_until = att_connection_limit(c);
        att_exchange_ask(c->exchange, att_relying_party_takes_batches(c));
}

/* In compat mode an end asks once, and a change is not told. */
bool att_relying_party_expire_if_due(AttestdConnection *c) {
        AttRelyingParty *p = &c->relying;

        if (!c->endpoint->compat || p->accepted == 0 || c->endpoint->max_age_s == 0 ||
            att_connection_now(c) - p->accepted_at < max_age_us(c))
                return true;
        return att_connection_fail_with(
                c, ATTESTD_ERROR_REFUSED,
                "freshness: the evidence has reached its maximal age, and compat mode cannot renew it");
}

int64_t att_relying_party_due_at(const AttestdConnection *c) {
        const AttRelyingParty *p = &c->relying;

        if (!c->endpoint->asks || !c->is_greeted || c->peer_ended || c->has_ended || p->ask != ATT_ASK_IDLE)
                return INT64_MAX;
        if (c->endpoint->compat && p->accepted > 0) /* it expires */
                return c->endpoint->max_age_s > 0 ? p->accepted_at + max_age_us(c) : INT64_MAX;
        if (p->accepted <= p->ask_after)
                return may_ask_at(c);
        return c->endpoint->max_age_s > 0 ? MAX(p->accepted_at + max_age_us(c), may_ask_at(c)) : INT64_MAX;
}

bool att_relying_party_take_request(AttestdConnection *c, AttEvent *event) {
        AttRelyingParty *p = &c->relying;

        p->ask = ATT_ASK_IDLE;
        if (event->error)
                return att_connection_fail(c, g_steal_pointer(&event->error), NULL);
        /* Asked for too early to open the gate: not worth an answer. Or we have ended meanwhile. */
        if (p->number <= p->stale_after || c->has_ended) {
                c->answer_until = 0;
                return true;
        }

        p->ask = ATT_ASK_SENT;
        g_clear_pointer(&p->context, g_bytes_unref);
        p->context = g_bytes_ref(event->context);
        att_connection_put_bytes(c, ATT_FRAME_REQUEST, event->bytes);
        return true;
}

/* Judging. */

static bool refuse(AttestdConnection *c, const char *reason) {
        return att_connection_fail(c, g_error_new_literal(ATTESTD_ERROR, ATTESTD_ERROR_REFUSED, reason),
                                   c->relying.context);
}

/* What the verifier found, and what the peer said to it. */
static bool refuse_as_judged(AttestdConnection *c, const char *reason) {
        AttRelyingParty *p = &c->relying;
        g_autofree char *all = NULL;

        if (!reason || !*reason)
                reason = "the verifier gave no reason";
        if (!p->taker.refusal)
                return refuse(c, reason);
        all = g_strdup_printf("%s (the peer gave no log %s)", reason, p->taker.refusal);
        return refuse(c, all);
}

static bool judge(AttestdConnection *c) {
        AttRelyingParty *p = &c->relying;
        g_autoptr(GBytes) authenticator = g_steal_pointer(&p->authenticator);
        g_autoptr(GError) error = NULL;

        p->ask = ATT_ASK_JUDGING;
        if (!att_exchange_validate(c->exchange, authenticator, &error))
                return att_connection_fail(c, g_steal_pointer(&error), p->context);
        return true;
}

/* Before the verdict, and before each piece of a log: what does the verifier lack? */
static void look_for_logs(AttestdConnection *c) {
        c->relying.ask = ATT_ASK_LOOKING;
        c->services->ops->find_logs(c->services);
}

bool att_relying_party_on_authenticator(AttestdConnection *c, GBytes *payload) {
        AttRelyingParty *p = &c->relying;

        p->has_shown = true;
        p->authenticator = g_bytes_ref(payload);
        if (c->endpoint->compat) /* has no logs */
                return judge(c);
        att_log_taker_restart(&p->taker);
        look_for_logs(c);
        return true;
}

/* Nothing comes of this evidence: a change has made it void, and the next will have a
 * log that is as long; or we have ended. */
static bool drop_authenticator(AttestdConnection *c) {
        AttRelyingParty *p = &c->relying;

        g_clear_pointer(&p->authenticator, g_bytes_unref);
        p->ask = ATT_ASK_IDLE;
        c->answer_until = 0;
        return true;
}

bool att_relying_party_take_logs(AttestdConnection *c, AttEvent *event) {
        AttRelyingParty *p = &c->relying;
        g_autoptr(GBytes) payload = NULL;

        if (event->error)
                return att_connection_fail(c, g_steal_pointer(&event->error), p->context);
        if (p->number <= p->stale_after)
                return drop_authenticator(c);
        payload = att_log_taker_ask(&p->taker, event->logs, event->first);
        if (!payload)
                return judge(c);
        if (c->has_ended)
                return drop_authenticator(c);
        p->ask = ATT_ASK_LOG;
        att_connection_put_bytes(c, ATT_FRAME_LOG_REQUEST, payload);
        return true;
}

bool att_relying_party_on_log_entries(AttestdConnection *c, GBytes *payload) {
        AttRelyingParty *p = &c->relying;
        g_auto(AttLogPiece) piece = { 0 };
        g_autoptr(GError) error = NULL;

        if (!att_log_taker_take(&p->taker, payload, &piece, &error))
                return att_connection_fail_frame(c, g_steal_pointer(&error));
        if (g_bytes_get_size(payload) >= LOG_PROGRESS)
                c->answer_until = att_connection_limit(c);
        if (piece.entries) {
                p->ask = ATT_ASK_ADDING;
                c->services->ops->add_log(c->services, piece.log, piece.entries, piece.bank, piece.first);
        } else {
                look_for_logs(c);
        }
        return true;
}

bool att_relying_party_take_added(AttestdConnection *c, AttEvent *event) {
        AttRelyingParty *p = &c->relying;
        g_autofree char *reason = NULL;

        if (event->error)
                return att_connection_fail(c, g_steal_pointer(&event->error), p->context);
        if (event->reason) {
                reason = g_strdup_printf("%s-log: %s", p->taker.newest, event->reason); /* as the check is called */
                return refuse(c, reason);
        }
        look_for_logs(c);
        return true;
}

bool att_relying_party_take_verdict(AttestdConnection *c, AttEvent *event) {
        AttRelyingParty *p = &c->relying;
        g_autoptr(GBytes) payload = NULL;

        p->ask = ATT_ASK_IDLE;
        c->answer_until = 0;
        if (event->error)
                return att_connection_fail(c, g_steal_pointer(&event->error), p->context);

        g_free(p->result);
        p->result = g_steal_pointer(&event->json);
        if (!event->accepted)
                return refuse_as_judged(c, event->reason);
        /* The context is older than the newest stale: an answer, but it opens nothing. */
        if (p->number <= p->stale_after)
                return true;
        if (att_state_is_older(&event->state, &p->newest))
                return refuse(c, "evidence-stale: it speaks of an older generation than the peer has told of");

        p->accepted = p->number;
        p->accepted_at = p->asked_at;
        if (event->state.known)
                p->newest = event->state;
        payload = att_accepted_encode(p->context);
        att_connection_put_bytes(c, ATT_FRAME_ACCEPTED, payload);
        return true;
}

/* Asking again. */

bool att_relying_party_on_stale(AttestdConnection *c, GBytes *payload) {
        AttRelyingParty *p = &c->relying;
        g_auto(AttStaleFrame) stale = { 0 };
        g_autoptr(GError) error = NULL;

        if (!att_stale_decode(payload, &stale, &error))
                return att_connection_fail_frame(c, g_steal_pointer(&error));

        p->newest = (AttStateId) { .known = true, .generation = stale.generation };
        memcpy(p->newest.boot_id, stale.boot_id, sizeof p->newest.boot_id);
        memcpy(p->newest.instance_id, stale.instance_id, sizeof p->newest.instance_id);
        p->stale_after = p->ask_after = p->n_contexts;
        p->has_shown = false;
        att_inbox_mark(&c->inbox);
        return true;
}

void att_relying_party_begin_renewal(AttestdConnection *c) {
        AttRelyingParty *p = &c->relying;

        if (p->is_renewing)
                return;
        p->is_renewing = true;
        p->renew_after = p->ask_after = p->n_contexts;
}

bool att_relying_party_end_renewal(AttestdConnection *c) {
        AttRelyingParty *p = &c->relying;

        if (p->accepted <= p->renew_after || p->accepted <= p->stale_after)
                return false;
        p->is_renewing = false;
        return true;
}
