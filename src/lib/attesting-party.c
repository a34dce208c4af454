/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lib/attesting-party.h"

#include "lib/bucket.h"
#include "lib/connection-state.h"

/* A report is dear: how many requests a connection may bring at once, and how soon
 * there may be another. Those that our own stale causes are not counted: one that
 * crosses it, and one that answers it. */
#define ANSWERS_AT_ONCE 4u
#define ANSWER_EVERY (1 * G_USEC_PER_SEC)
#define REQUESTS_OF_STALE 2u
/* Whom we refuse by an empty authenticator need not ask for ever. */
#define EMPTY_MAX 2u

void att_attesting_party_clear(AttAttestingParty *p) {
        g_clear_pointer(&p->held, g_bytes_unref);
        g_clear_pointer(&p->answering, g_bytes_unref);
        g_clear_pointer(&p->answered, g_bytes_unref);
        g_clear_pointer(&p->excuse, g_free);
        att_log_giver_clear(&p->giver);
}

bool att_attesting_party_awaits_service(const AttestdConnection *c) {
        return c->attesting.answering || c->attesting.is_getting;
}

/* Changes. */

static void tell_stale(AttestdConnection *c, char **reasons) {
        AttAttestingParty *p = &c->attesting;
        const AttStateId *state = p->changed.known ? &p->changed : &p->given;
        char *none[] = { NULL };
        AttStaleFrame stale = { .generation = state->generation, .reasons = reasons ? reasons : none };
        g_autoptr(GBytes) payload = NULL;

        memcpy(stale.boot_id, state->boot_id, sizeof stale.boot_id);
        memcpy(stale.instance_id, state->instance_id, sizeof stale.instance_id);
        payload = att_stale_encode(&stale);
        att_connection_put_bytes(c, ATT_FRAME_STALE, payload);

        p->answered_void = true;
        p->answering_void = true;
        p->of_stale = REQUESTS_OF_STALE;
        p->is_acked = false;
        att_log_giver_forget(&p->giver);
        if (c->owes == ATT_OWES_VERDICT)
                att_connection_owe(c, ATT_OWES_NOTHING);
        att_inbox_mark(&c->inbox);
}

void att_attesting_party_take_stale(AttestdConnection *c, const AttEvent *event) {
        AttAttestingParty *p = &c->attesting;

        if (c->endpoint->compat)
                return;
        if (event->state.known && !att_state_is_older(&event->state, &p->changed))
                p->changed = event->state;
        /* Only if the peer still goes by an answer of ours; else the next one will say it. */
        if (p->is_acked || (p->answered && !p->answered_void))
                tell_stale(c, event->reasons);
}

/* Answers. */

/* Takes what one more answer costs. */
static bool pay_for_answer(AttestdConnection *c) {
        AttAttestingParty *p = &c->attesting;

        if (p->of_stale > 0) {
                p->of_stale--;
                return true;
        }
        if (att_connection_now(c) < att_bucket_next(p->answers_full_at, ANSWERS_AT_ONCE, ANSWER_EVERY))
                return false;
        att_bucket_take(&p->answers_full_at, att_connection_now(c), ANSWER_EVERY);
        return true;
}

/* A server shows itself to those that it knows: here, by their evidence. */
bool att_attesting_party_answer_if_due(AttestdConnection *c) {
        AttAttestingParty *p = &c->attesting;
        g_autoptr(GBytes) request = NULL;
        g_autoptr(GError) error = NULL;

        if (!p->held || (att_exchange_holds(c->exchange) && !att_relying_party_verdict_stands(c)))
                return true;
        request = g_steal_pointer(&p->held);
        if (!att_exchange_answer(c->exchange, request, c->peer.batch, &p->answering, &error))
                return att_connection_fail(c, g_steal_pointer(&error), NULL);
        return true;
}

bool att_attesting_party_on_request(AttestdConnection *c, GBytes *payload) {
        AttAttestingParty *p = &c->attesting;

        att_connection_owe(c, ATT_OWES_NOTHING);
        p->was_asked = true;
        if (c->has_ended) /* there is no answer any more */
                return true;
        p->may_cross = p->of_stale == REQUESTS_OF_STALE;
        if (p->n_empty == EMPTY_MAX || !pay_for_answer(c))
                return att_connection_fail_with(c, ATTESTD_ERROR_PROTOCOL, "too many requests");
        p->held = g_bytes_ref(payload);
        p->answering_void = false;
        return att_attesting_party_answer_if_due(c);
}

bool att_attesting_party_take_evidence(AttestdConnection *c, AttEvent *event) {
        AttAttestingParty *p = &c->attesting;
        char *reasons[] = { (char *) "generation", NULL };

        g_clear_pointer(&p->excuse, g_free);
        att_log_giver_restart(&p->giver);
        if (!event->bytes)
                return att_connection_fail(c, g_steal_pointer(&event->error), NULL);
        if (event->error) {
                g_info("no evidence for the peer: %s", event->error->message);
                p->excuse = g_strdup(event->error->message);
                p->n_empty++;
        } else {
                p->given = event->state;
        }

        g_clear_pointer(&p->answered, g_bytes_unref);
        p->answered = g_steal_pointer(&p->answering);
        p->answered_void = p->answering_void;
        att_connection_put_bytes(c, ATT_FRAME_AUTHENTICATOR, event->bytes);

        if (c->endpoint->compat) { /* no verdict will follow */
                p->is_acked = p->was_acked = true;
                return !event->error || att_connection_fail(c, g_steal_pointer(&event->error), NULL);
        }
        if (!p->answered_void)
                att_connection_owe(c, ATT_OWES_VERDICT);
        /* It changed while the report was made. An empty authenticator speaks of no state: nothing of it is stale. */
        if (!event->error && !p->answered_void && att_state_is_older(&p->given, &p->changed))
                tell_stale(c, reasons);
        return true;
}

bool att_attesting_party_on_verdict(AttestdConnection *c, AttFrameType type, GBytes *payload) {
        AttAttestingParty *p = &c->attesting;
        g_auto(AttVerdictFrame) verdict = { 0 };
        g_autoptr(GError) error = NULL;

        if (!att_verdict_frame_decode(type, payload, &verdict, &error))
                return att_connection_fail_frame(c, g_steal_pointer(&error));
        if (type == ATT_FRAME_REFUSED) {
                g_autofree char *why = p->excuse ? g_strdup_printf(" (%s)", p->excuse) : g_strdup("");

                g_set_error(&error, ATTESTD_ERROR, ATTESTD_ERROR_REFUSED_BY_PEER, "%s%s", verdict.reason, why);
                return att_connection_fail(c, g_steal_pointer(&error), NULL);
        }
        if (!g_bytes_equal(verdict.context, p->answered))
                return att_connection_fail_with(c, ATTESTD_ERROR_PROTOCOL,
                                                "accepted is about another context than our newest answer");

        g_clear_pointer(&p->answered, g_bytes_unref);
        att_log_giver_forget(&p->giver);
        att_connection_owe(c, ATT_OWES_NOTHING);
        p->was_acked = true; /* its data may follow, even if our stale has crossed this */
        p->is_acked = !p->answered_void;
        return true;
}

/* Logs. */

static void put_log_answer(AttestdConnection *c, GBytes *payload) {
        AttAttestingParty *p = &c->attesting;

        att_unsent_begin_log(&c->out);
        att_connection_put_bytes(c, ATT_FRAME_LOG_ENTRIES, payload);
        att_unsent_end_log(&c->out);
        if (p->answered && !p->answered_void)
                att_connection_owe(c, ATT_OWES_VERDICT);
        else
                att_log_giver_forget(&p->giver); /* the peer may never ask again */
}

/* What is wrong in our house the peer hears no more of than that. */
static void excuse_log(AttestdConnection *c, const GError *error) {
        AttAttestingParty *p = &c->attesting;
        g_autoptr(GBytes) payload = att_log_giver_refuse(&p->giver, "the log cannot be had");

        g_info("no log for the peer: %s", error->message);
        g_free(p->excuse);
        p->excuse = g_strdup_printf("no log for the peer: %s", error->message);
        put_log_answer(c, payload);
}

static void give_log(AttestdConnection *c) {
        AttAttestingParty *p = &c->attesting;
        g_autoptr(GBytes) payload = NULL;
        g_autoptr(GError) error = NULL;

        if (att_log_giver_needs(&p->giver)) {
                p->is_getting = true;
                c->services->ops->get_log(c->services, p->giver.asked.log, p->giver.asked.from);
                return;
        }
        payload = att_log_giver_answer(&p->giver, &error);
        if (payload)
                put_log_answer(c, payload);
        else
                excuse_log(c, error);
}

/* The log is read after the evidence, which has gone out: so it holds what that speaks of. */
void att_attesting_party_give_log_if_due(AttestdConnection *c) {
        AttAttestingParty *p = &c->attesting;
        AttLogsGiven given;

        if (!p->giver.asked.log || p->is_getting)
                return;
        given = att_exchange_gives_logs(c->exchange, att_relying_party_verdict_stands(c));
        if (given == ATT_LOGS_YES) {
                give_log(c);
        } else if (given == ATT_LOGS_NO) {
                g_autoptr(GBytes) payload = att_log_giver_refuse(&p->giver, "logs are not given");

                put_log_answer(c, payload);
        }
}

bool att_attesting_party_on_log_request(AttestdConnection *c, GBytes *payload) {
        g_autoptr(GError) error = NULL;

        if (c->has_ended) /* there is no answer any more */
                return true;
        if (!att_log_giver_ask(&c->attesting.giver, payload, &error))
                return att_connection_fail_frame(c, g_steal_pointer(&error));
        att_connection_owe(c, ATT_OWES_NOTHING); /* until it has its answer */
        att_attesting_party_give_log_if_due(c);
        return true;
}

void att_attesting_party_take_log(AttestdConnection *c, AttEvent *event) {
        AttAttestingParty *p = &c->attesting;
        g_autoptr(GError) error = NULL;

        p->is_getting = false;
        if (!p->giver.asked.log) /* we have ended */
                return;
        if (event->error)
                excuse_log(c, event->error);
        else if (!att_log_giver_take(&p->giver, event, &error))
                excuse_log(c, error);
        else
                give_log(c);
}

void att_attesting_party_end(AttestdConnection *c) {
        g_clear_pointer(&c->attesting.held, g_bytes_unref);
        att_log_giver_clear(&c->attesting.giver);
}
