/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lib/connection.h"

#include "codec/frame.h"
#include "codec/tsm-report.h"
#include "lib/inbox.h"
#include "lib/log-giver.h"
#include "lib/log-taker.h"
#include "lib/outbox.h"

/* While so much waits to be sent, nothing more is read: a peer that only asks
 * makes us hold no more than this and one answer. Log entries do not count: there is
 * one frame of them, and two ends that both give logs must not wait for each other. */
#define OUT_MAX (64u * 1024u)
/* Data that the peer sent before what we wait for. */
#define INBOX_MAX ATT_CONNECTION_INBOX_MAX
/* Data that a peer which is overdue may still have under way: what it owes may stand
 * behind as much as sockets hold. */
#define LATE_MAX (16u * 1024u * 1024u)
/* Frames that one call takes in before it lets its caller go on. */
#define FRAMES_MAX 256u
/* How long a blocking call that has failed tries to tell the peer why. */
#define FAREWELL_MS 1000

/* A report is dear: how many requests a connection may bring at once, and how soon
 * there may be another. Those that our own stale causes are not counted: one that
 * crosses it, and one that answers it. */
#define ANSWERS_AT_ONCE 4u
#define ANSWER_EVERY (1 * G_USEC_PER_SEC)
#define REQUESTS_OF_STALE 2u
/* Whom we refuse by an empty authenticator need not ask for ever. */
#define EMPTY_MAX 2u
/* A peer whose log comes in pieces of this size or more is getting on: its time
 * limit begins anew. */
#define LOG_PROGRESS (64u * 1024u)
/* We ask so that a peer with the limits above never finds it too much. As one
 * request waits for the answer to the last, delays of the network cannot gather
 * more than one beyond these. */
#define REQUESTS_AT_ONCE 3u
#define REQUEST_EVERY (2 * G_USEC_PER_SEC)

/* Our own request. */
typedef enum {
        ASK_IDLE,
        ASK_MAKING,  /* the verifier makes it */
        ASK_SENT,    /* the peer owes us an authenticator */
        ASK_LOOKING, /* the verifier says which logs it needs with it */
        ASK_LOG,     /* the peer owes us some of a log */
        ASK_ADDING,  /* the verifier takes it */
        ASK_JUDGING, /* the verifier judges it all */
} Ask;

/* What the peer owes us, within the time limit. */
typedef enum {
        OWES_NOTHING,
        OWES_HELLO,
        OWES_REQUEST,
        OWES_VERDICT,
} Owes;

struct AttestdConnection {
        AttestdExchange *exchange;
        const AttestdEndpoint *endpoint; /* of the exchange, as are the next two */
        AttTransport *transport;
        AttServices *services;

        AttOutbox out;
        gsize writing; /* bytes of the application in out, of a write that is to be called again */

        uint8_t header[ATT_FRAME_HEADER_SIZE]; /* of the frame that is coming in */
        size_t header_have;
        AttFrameType type;
        uint8_t *payload; /* owned; NULL while the header is not whole */
        size_t payload_size, payload_have;

        AttInbox inbox;
        gsize late;    /* data that came while the peer was overdue, with what its frames take */
        bool has_more; /* there may be more of input, although the transport does not become readable */

        AttHello peer; /* in compat mode what our endpoint takes it for */
        bool is_greeted;
        bool is_foreign; /* it speaks something else: no frame will tell it anything */
        bool has_ended, is_closed; /* we: said "end", and sent close_notify */
        bool peer_ended;
        GError *failure;

        /* As relying party. Our contexts are numbered in the order in which they
         * were asked for: what is known of the peer's state when one is asked for
         * decides what evidence for it is good for. */
        Ask ask;
        uint64_t n_contexts;
        uint64_t number;      /* of the newest request */
        int64_t asked_at;
        int64_t requests_full_at; /* our bucket of requests */
        GBytes *context;      /* of the newest request */
        GBytes *authenticator; /* its answer, while the verifier still needs logs */
        AttLogTaker taker;
        uint64_t ask_after;   /* evidence for a context up to this number is not enough any more */
        uint64_t stale_after; /* ... and does not open the gate */
        uint64_t accepted;    /* number of the newest context whose evidence was accepted; 0 for none */
        int64_t accepted_at;  /* when it was asked for */
        AttStateId newest;    /* state that the peer has told of, or proven */
        bool has_shown;       /* the peer has sent an authenticator since its last stale */
        bool is_renewing;     /* attestd_connection_renew() is to be called again … */
        uint64_t renew_after; /* … and waits for a context after this one */
        char *result;

        /* As attester. An answer is void from the moment that we tell the peer of
         * a change: its verdict may be under way, but opens nothing. */
        GBytes *held;      /* a request that we do not answer yet */
        GBytes *answering; /* context of the request that is being answered */
        bool answering_void;
        GBytes *answered;  /* context of the newest answer */
        bool answered_void;
        bool may_cross;    /* our stale may have crossed the newest request: no verdict is owed on its answer */
        unsigned of_stale; /* requests that are left of REQUESTS_OF_STALE */
        unsigned n_empty;  /* empty answers given */
        int64_t answers_full_at; /* the bucket of answers */
        bool was_asked;    /* there was a request */
        bool is_acked;     /* the newest answer is accepted; in compat mode: sent */
        bool was_acked;
        AttStateId given;  /* state that our newest evidence speaks of */
        AttStateId changed; /* newest that we were told of */
        char *excuse;      /* why our newest answer was empty, or came without a log */
        AttLogGiver giver;
        bool is_getting;   /* attestd looks for what giver needs */

        Owes owes;
        int64_t owes_until, answer_until, write_until, end_until; /* 0: no limit now */
};

static bool asks(const AttestdConnection *c) {
        return c->endpoint->asks;
}

/* Compat mode: a request of who asks, an authenticator of who gives, and then plain bytes. */
static bool is_compat(const AttestdConnection *c) {
        return c->endpoint->compat;
}

/* As hello says, and so the verifier is told. */
static bool takes_batches(const AttestdConnection *c) {
        return c->endpoint->asks && c->endpoint->takes_batches && !is_compat(c);
}

static int64_t now(AttestdConnection *c) {
        return c->transport->ops->now(c->transport);
}

static int64_t limit(AttestdConnection *c) {
        return now(c) + (int64_t) c->endpoint->timeout_ms * 1000;
}

/* Once we have ended, nothing that the peer owes us makes a difference any more. */
static void owe(AttestdConnection *c, Owes what) {
        c->owes = c->has_ended ? OWES_NOTHING : what;
        c->owes_until = c->owes == OWES_NOTHING ? 0 : limit(c);
}

/* A bucket of tokens is the time at which it is full again, as one token comes
 * every so often. Returns: when the next may be taken */
static int64_t bucket_next(int64_t full_at, unsigned size, int64_t every) {
        return full_at - (int64_t) (size - 1) * every;
}

static void bucket_take(AttestdConnection *c, int64_t *full_at, int64_t every) {
        *full_at = MAX(*full_at, now(c)) + every;
}

/* Sending. */

static bool may_put(const AttestdConnection *c, AttFrameType type) {
        if (c->has_ended || c->out.broken || c->is_foreign)
                return false;
        return !is_compat(c) || type == ATT_FRAME_REQUEST || type == ATT_FRAME_AUTHENTICATOR;
}

static void put(AttestdConnection *c, AttFrameType type, const void *payload, gsize size) {
        if (!may_put(c, type))
                return;
        att_outbox_put(&c->out, type, payload, size);
}

static void put_bytes(AttestdConnection *c, AttFrameType type, GBytes *payload) {
        gsize size;
        const void *data = g_bytes_get_data(payload, &size);

        put(c, type, data, size);
}

static void put_log_entries(AttestdConnection *c, GBytes *payload) {
        att_outbox_begin_log(&c->out);
        put_bytes(c, ATT_FRAME_LOG_ENTRIES, payload);
        att_outbox_end_log(&c->out);
}

gsize att_connection_out_size(const AttestdConnection *c) {
        return att_outbox_held(&c->out);
}

/* Failing: once, with what the peer may know. */

/* What the peer is told of @error; NULL: nothing, it told us or cannot be told. */
static char *reason_for_peer(const GError *error) {
        switch ((AttestdError) error->code) {
        case ATTESTD_ERROR_REFUSED:
                return g_strdup(error->message);
        case ATTESTD_ERROR_PROTOCOL:
                return g_strdup_printf("protocol-error: %s", error->message);
        case ATTESTD_ERROR_TIMED_OUT:
                return g_strdup_printf("timed-out: %s", error->message);
        case ATTESTD_ERROR_SERVICE:
                return g_strdup("service-unavailable: no verdict can be had");
        case ATTESTD_ERROR_INVALID:
        case ATTESTD_ERROR_UNPREPARED:
        case ATTESTD_ERROR_CONNECTION:
        case ATTESTD_ERROR_TLS:
        case ATTESTD_ERROR_CLOSED:
        case ATTESTD_ERROR_REFUSED_BY_PEER:
                break;
        }
        return NULL;
}

static void farewell(AttestdConnection *c) {
        int64_t until = now(c) + FAREWELL_MS * 1000;

        att_outbox_flush(&c->out);
        while (c->transport->blocks && !c->out.broken && att_outbox_left(&c->out) > 0 && now(c) < until) {
                if (!c->transport->ops->wait(c->transport, false, true, -1, FAREWELL_MS, NULL))
                        break;
                att_outbox_flush(&c->out);
        }
        if (!c->out.broken && !c->is_closed && att_outbox_left(&c->out) == 0)
                (void) c->transport->ops->close(c->transport, NULL);
        c->is_closed = true;
}

/* Takes @error. @context: that a refusal is about, or NULL. Returns: false */
static bool fail(AttestdConnection *c, GError *error, GBytes *context) {
        g_autofree char *reason = reason_for_peer(error);

        c->failure = error;
        if (reason) {
                g_autoptr(GBytes) none = g_bytes_new(NULL, 0);
                g_autoptr(GBytes) payload = att_refused_encode(context ? context : none, reason);

                put_bytes(c, ATT_FRAME_REFUSED, payload);
        }
        farewell(c);
        return false;
}

static bool fail_with(AttestdConnection *c, AttestdError code, const char *message) {
        return fail(c, g_error_new_literal(ATTESTD_ERROR, (gint) code, message), NULL);
}

/* The gate. */

static int64_t max_age_us(const AttestdConnection *c) {
        return (int64_t) c->endpoint->max_age_s * G_USEC_PER_SEC;
}

/* Evidence that is older by more than the time limit counts no more: a renewal
 * was due, and nobody drove it. */
static bool verdict_stands(AttestdConnection *c) {
        return c->accepted > c->stale_after &&
               (c->endpoint->max_age_s == 0 ||
                now(c) - c->accepted_at < max_age_us(c) + (int64_t) c->endpoint->timeout_ms * 1000);
}

static bool gate_is_open(AttestdConnection *c) {
        return !c->failure && !c->has_ended && c->is_greeted && (!asks(c) || verdict_stands(c)) &&
               (!c->peer.asks || c->is_acked);
}

/* Relying party. */

/* Of what the peer has told us of, we may ask at any time. */
static int64_t may_ask_at(const AttestdConnection *c) {
        if (c->n_contexts == c->stale_after)
                return 0;
        return bucket_next(c->requests_full_at, REQUESTS_AT_ONCE, REQUEST_EVERY);
}

/* In compat mode an end asks once, and a change is not told. */
static bool expire_if_due(AttestdConnection *c) {
        if (!is_compat(c) || c->accepted == 0 || c->endpoint->max_age_s == 0 ||
            now(c) - c->accepted_at < max_age_us(c))
                return true;
        return fail_with(c, ATTESTD_ERROR_REFUSED,
                         "freshness: the evidence has reached its maximal age, and compat mode cannot renew it");
}

static void ask_if_due(AttestdConnection *c) {
        if (!asks(c) || !c->is_greeted || c->peer_ended || c->has_ended || c->ask != ASK_IDLE ||
            (is_compat(c) && c->accepted > 0))
                return;
        if (c->accepted > c->ask_after && c->endpoint->max_age_s > 0 && now(c) - c->accepted_at >= max_age_us(c))
                c->ask_after = c->n_contexts;
        if (c->accepted > c->ask_after || now(c) < may_ask_at(c))
                return;

        if (c->n_contexts > c->stale_after)
                bucket_take(c, &c->requests_full_at, REQUEST_EVERY);
        c->ask = ASK_MAKING;
        c->number = ++c->n_contexts;
        c->asked_at = now(c);
        c->answer_until = limit(c);
        att_exchange_ask(c->exchange, takes_batches(c));
}

static bool take_request(AttestdConnection *c, AttEvent *event) {
        c->ask = ASK_IDLE;
        if (event->error)
                return fail(c, g_steal_pointer(&event->error), NULL);
        /* Asked for too early to open the gate: not worth an answer. Or we have ended meanwhile. */
        if (c->number <= c->stale_after || c->has_ended) {
                c->answer_until = 0;
                return true;
        }

        c->ask = ASK_SENT;
        g_clear_pointer(&c->context, g_bytes_unref);
        c->context = g_bytes_ref(event->context);
        put_bytes(c, ATT_FRAME_REQUEST, event->bytes);
        return true;
}

static bool refuse(AttestdConnection *c, const char *reason) {
        return fail(c, g_error_new_literal(ATTESTD_ERROR, ATTESTD_ERROR_REFUSED, reason), c->context);
}

/* What the verifier found, and what the peer said to it. */
static bool refuse_as_judged(AttestdConnection *c, const char *reason) {
        g_autofree char *all = NULL;

        if (!reason || !*reason)
                reason = "the verifier gave no reason";
        if (!c->taker.refusal)
                return refuse(c, reason);
        all = g_strdup_printf("%s (the peer gave no log %s)", reason, c->taker.refusal);
        return refuse(c, all);
}

static bool judge(AttestdConnection *c) {
        g_autoptr(GBytes) authenticator = g_steal_pointer(&c->authenticator);
        g_autoptr(GError) error = NULL;

        c->ask = ASK_JUDGING;
        if (!att_exchange_validate(c->exchange, authenticator, &error))
                return fail(c, g_steal_pointer(&error), c->context);
        return true;
}

/* Before the verdict, and before each piece of a log: what does the verifier lack? */
static void look_for_logs(AttestdConnection *c) {
        c->ask = ASK_LOOKING;
        c->services->ops->find_logs(c->services);
}

/* Nothing comes of this evidence: a change has made it void, and the next will have a
 * log that is as long; or we have ended. */
static bool drop_authenticator(AttestdConnection *c) {
        g_clear_pointer(&c->authenticator, g_bytes_unref);
        c->ask = ASK_IDLE;
        c->answer_until = 0;
        return true;
}

static bool take_logs(AttestdConnection *c, AttEvent *event) {
        g_autoptr(GBytes) payload = NULL;

        if (event->error)
                return fail(c, g_steal_pointer(&event->error), c->context);
        if (c->number <= c->stale_after)
                return drop_authenticator(c);
        payload = att_log_taker_ask(&c->taker, event->logs, event->first);
        if (!payload)
                return judge(c);
        if (c->has_ended)
                return drop_authenticator(c);
        c->ask = ASK_LOG;
        put_bytes(c, ATT_FRAME_LOG_REQUEST, payload);
        return true;
}

static bool take_added(AttestdConnection *c, AttEvent *event) {
        g_autofree char *reason = NULL;

        if (event->error)
                return fail(c, g_steal_pointer(&event->error), c->context);
        if (event->reason) {
                reason = g_strdup_printf("%s-log: %s", c->taker.newest, event->reason); /* as the check is called */
                return refuse(c, reason);
        }
        look_for_logs(c);
        return true;
}

static bool take_verdict(AttestdConnection *c, AttEvent *event) {
        g_autoptr(GBytes) payload = NULL;

        c->ask = ASK_IDLE;
        c->answer_until = 0;
        if (event->error)
                return fail(c, g_steal_pointer(&event->error), c->context);

        g_free(c->result);
        c->result = g_steal_pointer(&event->json);
        if (!event->accepted)
                return refuse_as_judged(c, event->reason);
        /* The context is older than the newest stale: an answer, but it opens nothing. */
        if (c->number <= c->stale_after)
                return true;
        if (att_state_is_older(&event->state, &c->newest))
                return refuse(c, "evidence-stale: it speaks of an older generation than the peer has told of");

        c->accepted = c->number;
        c->accepted_at = c->asked_at;
        if (event->state.known)
                c->newest = event->state;
        payload = att_accepted_encode(c->context);
        put_bytes(c, ATT_FRAME_ACCEPTED, payload);
        return true;
}

/* Attester. */

static void tell_stale(AttestdConnection *c, char **reasons) {
        const AttStateId *state = c->changed.known ? &c->changed : &c->given;
        char *none[] = { NULL };
        AttStaleFrame stale = { .generation = state->generation, .reasons = reasons ? reasons : none };
        g_autoptr(GBytes) payload = NULL;

        memcpy(stale.boot_id, state->boot_id, sizeof stale.boot_id);
        memcpy(stale.instance_id, state->instance_id, sizeof stale.instance_id);
        payload = att_stale_encode(&stale);
        put_bytes(c, ATT_FRAME_STALE, payload);

        c->answered_void = true;
        c->answering_void = true;
        c->of_stale = REQUESTS_OF_STALE;
        c->is_acked = false;
        att_log_giver_forget(&c->giver);
        if (c->owes == OWES_VERDICT)
                owe(c, OWES_NOTHING);
        att_inbox_mark(&c->inbox);
}

static void take_stale(AttestdConnection *c, const AttEvent *event) {
        if (is_compat(c))
                return;
        if (event->state.known && !att_state_is_older(&event->state, &c->changed))
                c->changed = event->state;
        /* Only if the peer still goes by an answer of ours; else the next one will say it. */
        if (c->is_acked || (c->answered && !c->answered_void))
                tell_stale(c, event->reasons);
}

/* A server shows itself to those that it knows: here, by their evidence. */
static bool answer_if_due(AttestdConnection *c) {
        g_autoptr(GBytes) request = NULL;
        g_autoptr(GError) error = NULL;

        if (!c->held || (att_exchange_holds(c->exchange) && !verdict_stands(c)))
                return true;
        request = g_steal_pointer(&c->held);
        if (!att_exchange_answer(c->exchange, request, c->peer.batch, &c->answering, &error))
                return fail(c, g_steal_pointer(&error), NULL);
        return true;
}

static void put_log_answer(AttestdConnection *c, GBytes *payload) {
        put_log_entries(c, payload);
        if (c->answered && !c->answered_void)
                owe(c, OWES_VERDICT);
        else
                att_log_giver_forget(&c->giver); /* the peer may never ask again */
}

/* What is wrong in our house the peer hears no more of than that. */
static void excuse_log(AttestdConnection *c, const GError *error) {
        g_autoptr(GBytes) payload = att_log_giver_refuse(&c->giver, "the log cannot be had");

        g_info("no log for the peer: %s", error->message);
        g_free(c->excuse);
        c->excuse = g_strdup_printf("no log for the peer: %s", error->message);
        put_log_answer(c, payload);
}

static void give_log(AttestdConnection *c) {
        g_autoptr(GBytes) payload = NULL;
        g_autoptr(GError) error = NULL;

        if (att_log_giver_needs(&c->giver)) {
                c->is_getting = true;
                c->services->ops->get_log(c->services, c->giver.asked.log, c->giver.asked.from);
                return;
        }
        payload = att_log_giver_answer(&c->giver, &error);
        if (payload)
                put_log_answer(c, payload);
        else
                excuse_log(c, error);
}

/* The log is read after the evidence, which has gone out: so it holds what that speaks of. */
static void give_log_if_due(AttestdConnection *c) {
        AttLogsGiven given;

        if (!c->giver.asked.log || c->is_getting)
                return;
        given = att_exchange_gives_logs(c->exchange, verdict_stands(c));
        if (given == ATT_LOGS_YES) {
                give_log(c);
        } else if (given == ATT_LOGS_NO) {
                g_autoptr(GBytes) payload = att_log_giver_refuse(&c->giver, "logs are not given");

                put_log_answer(c, payload);
        }
}

static void take_log(AttestdConnection *c, AttEvent *event) {
        g_autoptr(GError) error = NULL;

        c->is_getting = false;
        if (!c->giver.asked.log) /* we have ended */
                return;
        if (event->error)
                excuse_log(c, event->error);
        else if (!att_log_giver_take(&c->giver, event, &error))
                excuse_log(c, error);
        else
                give_log(c);
}

static bool take_authenticator(AttestdConnection *c, AttEvent *event) {
        char *reasons[] = { (char *) "generation", NULL };

        g_clear_pointer(&c->excuse, g_free);
        att_log_giver_restart(&c->giver);
        if (!event->bytes)
                return fail(c, g_steal_pointer(&event->error), NULL);
        if (event->error) {
                g_info("no evidence for the peer: %s", event->error->message);
                c->excuse = g_strdup(event->error->message);
                c->n_empty++;
        } else {
                c->given = event->state;
        }

        g_clear_pointer(&c->answered, g_bytes_unref);
        c->answered = g_steal_pointer(&c->answering);
        c->answered_void = c->answering_void;
        put_bytes(c, ATT_FRAME_AUTHENTICATOR, event->bytes);

        if (is_compat(c)) { /* no verdict will follow */
                c->is_acked = c->was_acked = true;
                return !event->error || fail(c, g_steal_pointer(&event->error), NULL);
        }
        if (!c->answered_void)
                owe(c, OWES_VERDICT);
        /* It changed while the report was made. An empty authenticator speaks of no state: nothing of it is stale. */
        if (!event->error && !c->answered_void && att_state_is_older(&c->given, &c->changed))
                tell_stale(c, reasons);
        return true;
}

static bool take_events(AttestdConnection *c) {
        for (;;) {
                g_autoptr(AttEvent) event = att_exchange_next(c->exchange);
                bool ok = true;

                if (!event)
                        return true;
                switch (event->type) {
                case ATT_EVENT_EVIDENCE:
                        ok = take_authenticator(c, event);
                        break;
                case ATT_EVENT_REQUEST:
                        ok = take_request(c, event);
                        break;
                case ATT_EVENT_VERDICT:
                        ok = take_verdict(c, event);
                        break;
                case ATT_EVENT_STALE:
                        take_stale(c, event);
                        break;
                case ATT_EVENT_LOGS:
                        ok = take_logs(c, event);
                        break;
                case ATT_EVENT_ADDED:
                        ok = take_added(c, event);
                        break;
                case ATT_EVENT_LOG:
                        take_log(c, event);
                        break;
                case ATT_EVENT_FAILED:
                        ok = fail(c, g_steal_pointer(&event->error), NULL);
                        break;
                }
                if (!ok)
                        return false;
        }
}

/* Frames of the peer. */

enum {
        GREETED = 1 << 0,   /* its hello is here */
        PEER_ASKS = 1 << 1, /* and says that it asks */
        ANSWERING = 1 << 2, /* we hold its request, or make the answer */
        ANSWERED = 1 << 3,  /* it has an answer of ours, and has not said accepted */
        UNJUDGED = 1 << 4,  /* … and no stale of ours can be why it says nothing */
        ASKED = 1 << 5,     /* it owes us an authenticator */
        SHOWN = 1 << 6,     /* it has given one since its last stale */
        TRUSTED = 1 << 7,   /* we do not ask, or have accepted since its last stale */
        TRUSTS = 1 << 8,    /* it does not ask, or has accepted evidence of ours */
        ENDED = 1 << 9,     /* it has ended */
        ASKED_LOG = 1 << 10, /* it owes us some of a log */
        LOGGING = 1 << 11,   /* we owe it some of a log */
};

/* When a frame is legal: all of the needs are there, and nothing that bars it. */
static const struct {
        unsigned needs, barred_by;
} legal[ATT_FRAME_TYPES] = {
        [ATT_FRAME_HELLO] = { 0, GREETED },
        [ATT_FRAME_REQUEST] = { GREETED | PEER_ASKS, ANSWERING | UNJUDGED | LOGGING | ENDED },
        [ATT_FRAME_AUTHENTICATOR] = { GREETED | ASKED, ENDED },
        [ATT_FRAME_ACCEPTED] = { GREETED | ANSWERED, LOGGING | ENDED },
        [ATT_FRAME_REFUSED] = { GREETED, ENDED },
        [ATT_FRAME_STALE] = { GREETED | SHOWN, ENDED },
        [ATT_FRAME_LOG_REQUEST] = { GREETED | ANSWERED, ANSWERING | LOGGING | ENDED },
        [ATT_FRAME_LOG_ENTRIES] = { GREETED | ASKED_LOG, ENDED },
        [ATT_FRAME_DATA] = { GREETED | TRUSTED | TRUSTS, ENDED },
        [ATT_FRAME_END] = { GREETED, ENDED },
};

static unsigned facts(AttestdConnection *c) {
        return (c->is_greeted ? GREETED : 0) | (c->peer.asks ? PEER_ASKS : 0) |
               (c->held || c->answering ? ANSWERING : 0) | (c->answered ? ANSWERED : 0) |
               (c->answered && !c->answered_void && !c->may_cross ? UNJUDGED : 0) |
               (c->ask == ASK_SENT ? ASKED : 0) | (c->ask == ASK_LOG ? ASKED_LOG : 0) |
               (c->giver.asked.log ? LOGGING : 0) | (c->has_shown ? SHOWN : 0) |
               (!asks(c) || c->accepted > c->stale_after ? TRUSTED : 0) |
               (c->is_greeted && (!c->peer.asks || c->was_acked) ? TRUSTS : 0) | (c->peer_ended ? ENDED : 0);
}

static bool awaits_request(const AttestdConnection *c) {
        return c->peer.asks && !c->was_asked;
}

static bool is_legal_in_compat(const AttestdConnection *c, AttFrameType type) {
        if (type == ATT_FRAME_REQUEST)
                return awaits_request(c);
        return type == ATT_FRAME_AUTHENTICATOR && c->ask == ASK_SENT && !c->has_shown;
}

static bool is_legal(AttestdConnection *c, AttFrameType type) {
        unsigned f = facts(c);

        if (is_compat(c))
                return is_legal_in_compat(c, type);
        return (f & legal[type].needs) == legal[type].needs && !(f & legal[type].barred_by);
}

static bool bad_frame(AttestdConnection *c, GError *inner) {
        g_autoptr(GError) e = inner;

        return fail_with(c, ATTESTD_ERROR_PROTOCOL, e->message);
}

static const char *const formats[] = { ATT_TSM_REPORT_CBOR, NULL };

static bool on_hello(AttestdConnection *c, GBytes *payload) {
        g_autoptr(GError) error = NULL;

        if (!att_hello_decode(payload, &c->peer, &error))
                return bad_frame(c, g_steal_pointer(&error));
        c->is_greeted = true;
        owe(c, OWES_NOTHING);

        if (!asks(c) && !c->peer.asks)
                return fail_with(c, ATTESTD_ERROR_PROTOCOL, "neither end asks for evidence");
        /* Our list has one entry of each kind, and the peer's can only narrow it. */
        if (!g_strv_contains((const char *const *) c->peer.profiles, c->endpoint->profile))
                return refuse(c, "no-common-profile: the peer does not speak the profile of this end");
        if (!g_strv_contains((const char *const *) c->peer.formats, formats[0]))
                return refuse(c, "no-common-format: the peer does not speak the evidence format of this end");
        if (c->peer.asks)
                owe(c, OWES_REQUEST);
        return true;
}

/* Takes what one more answer costs. */
static bool pay_for_answer(AttestdConnection *c) {
        if (c->of_stale > 0) {
                c->of_stale--;
                return true;
        }
        if (now(c) < bucket_next(c->answers_full_at, ANSWERS_AT_ONCE, ANSWER_EVERY))
                return false;
        bucket_take(c, &c->answers_full_at, ANSWER_EVERY);
        return true;
}

static bool on_request(AttestdConnection *c, GBytes *payload) {
        owe(c, OWES_NOTHING);
        c->was_asked = true;
        if (c->has_ended) /* there is no answer any more */
                return true;
        c->may_cross = c->of_stale == REQUESTS_OF_STALE;
        if (c->n_empty == EMPTY_MAX || !pay_for_answer(c))
                return fail_with(c, ATTESTD_ERROR_PROTOCOL, "too many requests");
        c->held = g_bytes_ref(payload);
        c->answering_void = false;
        return answer_if_due(c);
}

static bool on_authenticator(AttestdConnection *c, GBytes *payload) {
        c->has_shown = true;
        c->authenticator = g_bytes_ref(payload);
        if (is_compat(c)) /* has no logs */
                return judge(c);
        att_log_taker_restart(&c->taker);
        look_for_logs(c);
        return true;
}

static bool on_log_entries(AttestdConnection *c, GBytes *payload) {
        g_auto(AttLogPiece) piece = { 0 };
        g_autoptr(GError) error = NULL;

        if (!att_log_taker_take(&c->taker, payload, &piece, &error))
                return bad_frame(c, g_steal_pointer(&error));
        if (g_bytes_get_size(payload) >= LOG_PROGRESS)
                c->answer_until = limit(c);
        if (piece.entries) {
                c->ask = ASK_ADDING;
                c->services->ops->add_log(c->services, piece.log, piece.entries, piece.bank, piece.first);
        } else {
                look_for_logs(c);
        }
        return true;
}

static bool on_log_request(AttestdConnection *c, GBytes *payload) {
        g_autoptr(GError) error = NULL;

        if (c->has_ended) /* there is no answer any more */
                return true;
        if (!att_log_giver_ask(&c->giver, payload, &error))
                return bad_frame(c, g_steal_pointer(&error));
        owe(c, OWES_NOTHING); /* until it has its answer */
        give_log_if_due(c);
        return true;
}

static bool on_verdict(AttestdConnection *c, AttFrameType type, GBytes *payload) {
        g_auto(AttVerdictFrame) verdict = { 0 };
        g_autoptr(GError) error = NULL;

        if (!att_verdict_frame_decode(type, payload, &verdict, &error))
                return bad_frame(c, g_steal_pointer(&error));
        if (type == ATT_FRAME_REFUSED) {
                g_autofree char *why = c->excuse ? g_strdup_printf(" (%s)", c->excuse) : g_strdup("");

                g_set_error(&error, ATTESTD_ERROR, ATTESTD_ERROR_REFUSED_BY_PEER, "%s%s", verdict.reason, why);
                return fail(c, g_steal_pointer(&error), NULL);
        }
        if (!g_bytes_equal(verdict.context, c->answered))
                return fail_with(c, ATTESTD_ERROR_PROTOCOL, "accepted is about another context than our newest answer");

        g_clear_pointer(&c->answered, g_bytes_unref);
        att_log_giver_forget(&c->giver);
        owe(c, OWES_NOTHING);
        c->was_acked = true; /* its data may follow, even if our stale has crossed this */
        c->is_acked = !c->answered_void;
        return true;
}

static bool on_stale(AttestdConnection *c, GBytes *payload) {
        g_auto(AttStaleFrame) stale = { 0 };
        g_autoptr(GError) error = NULL;

        if (!att_stale_decode(payload, &stale, &error))
                return bad_frame(c, g_steal_pointer(&error));

        c->newest = (AttStateId) { .known = true, .generation = stale.generation };
        memcpy(c->newest.boot_id, stale.boot_id, sizeof c->newest.boot_id);
        memcpy(c->newest.instance_id, stale.instance_id, sizeof c->newest.instance_id);
        c->stale_after = c->ask_after = c->n_contexts;
        c->has_shown = false;
        att_inbox_mark(&c->inbox);
        return true;
}

static bool check_time(AttestdConnection *c);

static bool is_overdue(AttestdConnection *c) {
        int64_t t = now(c);

        return (c->owes_until && t >= c->owes_until) || (c->answer_until && t >= c->answer_until) ||
               (c->write_until && t >= c->write_until);
}

static bool on_data(AttestdConnection *c, GBytes *payload) {
        /* Whoever always has more to say would never be out of time. */
        c->late = is_overdue(c) ? c->late + att_inbox_cost_of(payload) : 0;
        if (c->late > LATE_MAX)
                return check_time(c);

        att_inbox_add(&c->inbox, payload);
        /* The peer sent it before it heard of our change, or relies on a verdict that has run out. */
        if ((c->peer.asks && !c->is_acked) || (asks(c) && !verdict_stands(c)))
                att_inbox_mark(&c->inbox);
        return true;
}

static bool on_frame(AttestdConnection *c, AttFrameType type, GBytes *payload) {
        g_debug("%s: received %s, %zu bytes", att_role_name(c->transport->role), att_frame_name(type),
                g_bytes_get_size(payload));
        switch (type) {
        case ATT_FRAME_HELLO:
                return on_hello(c, payload);
        case ATT_FRAME_REQUEST:
                return on_request(c, payload);
        case ATT_FRAME_AUTHENTICATOR:
                return on_authenticator(c, payload);
        case ATT_FRAME_ACCEPTED:
        case ATT_FRAME_REFUSED:
                return on_verdict(c, type, payload);
        case ATT_FRAME_STALE:
                return on_stale(c, payload);
        case ATT_FRAME_DATA:
                return on_data(c, payload);
        case ATT_FRAME_END:
                c->peer_ended = true;
                return true;
        case ATT_FRAME_LOG_REQUEST:
                return on_log_request(c, payload);
        case ATT_FRAME_LOG_ENTRIES:
                return on_log_entries(c, payload);
        }
        g_assert_not_reached(); /* legal[] */
}

/* Reading. */

typedef enum {
        STEP_ON,   /* a frame was taken in */
        STEP_REST, /* nothing more now */
        STEP_FAIL,
} Step;

static Step read_into(AttestdConnection *c, uint8_t *data, size_t size, size_t *have) {
        g_autoptr(GError) error = NULL;

        while (*have < size) {
                size_t k = 0;

                switch (c->transport->ops->read(c->transport, data + *have, size - *have, &k, &error)) {
                case ATT_IO_DONE:
                        *have += k;
                        continue;
                case ATT_IO_WANT_READ:
                case ATT_IO_WANT_WRITE:
                        return STEP_REST;
                case ATT_IO_CLOSED:
                        fail_with(c, ATTESTD_ERROR_CLOSED,
                                  c->header_have > 0 ? "the peer closed the connection inside a frame" :
                                  is_compat(c)       ? "the peer closed the connection before its frames were here" :
                                                       "the peer closed the connection without the frame \"end\"");
                        return STEP_FAIL;
                case ATT_IO_CUT:
                        fail_with(c, ATTESTD_ERROR_CLOSED, "the stream was cut: no close_notify");
                        return STEP_FAIL;
                case ATT_IO_FAILED:
                        fail(c, g_steal_pointer(&error), NULL);
                        return STEP_FAIL;
                }
        }
        return STEP_ON;
}

/* What comes first tells what the peer speaks, and nobody else's first byte is that of a frame. */
static bool check_first_byte(AttestdConnection *c) {
        uint8_t first = c->header[0];
        g_autoptr(GError) error = NULL;

        if (is_compat(c) ? first == ATT_FRAME_REQUEST || first == ATT_FRAME_AUTHENTICATOR : first < ATT_FRAME_TYPES)
                return true;
        c->is_foreign = true;
        if (is_compat(c) && first == ATT_FRAME_HELLO)
                return fail_with(c, ATTESTD_ERROR_PROTOCOL,
                                 "no-attestation: the peer speaks the native mode, and this end the compat mode");
        g_set_error(&error, ATTESTD_ERROR, ATTESTD_ERROR_PROTOCOL,
                    "no-attestation: the peer speaks no attestation: what it sends begins with the byte 0x%02X", first);
        return fail(c, g_steal_pointer(&error), NULL);
}

/* The header decides before there is room for any payload. */
static bool admit(AttestdConnection *c) {
        g_autoptr(GError) error = NULL;

        if (!att_frame_header(c->header, &c->type, &c->payload_size, &error))
                return bad_frame(c, g_steal_pointer(&error));
        if (!is_legal(c, c->type)) {
                g_set_error(&error, ATTESTD_ERROR, ATTESTD_ERROR_PROTOCOL, "the frame %s is not allowed now%s",
                            att_frame_name(c->type),
                            c->is_greeted ? "" : ": the peer began without a hello, as it does in compat mode");
                return fail(c, g_steal_pointer(&error), NULL);
        }
        if (c->type == ATT_FRAME_DATA && c->payload_size == 0)
                return fail_with(c, ATTESTD_ERROR_PROTOCOL, "a data frame without data");

        c->payload = g_malloc(c->payload_size + 1); /* never NULL */
        c->payload_have = 0;
        return true;
}

static Step read_frame(AttestdConnection *c) {
        g_autoptr(GBytes) payload = NULL;
        Step step;

        step = read_into(c, c->header, 1, &c->header_have);
        if (step == STEP_ON && (!c->is_greeted || is_compat(c)) && !check_first_byte(c))
                return STEP_FAIL;
        if (step == STEP_ON)
                step = read_into(c, c->header, sizeof c->header, &c->header_have);
        if (step != STEP_ON)
                return step;
        if (!c->payload && !admit(c))
                return STEP_FAIL;
        step = read_into(c, c->payload, c->payload_size, &c->payload_have);
        if (step != STEP_ON)
                return step;

        c->header_have = 0;
        payload = g_bytes_new_take(g_steal_pointer(&c->payload), c->payload_size);
        return on_frame(c, c->type, payload) ? STEP_ON : STEP_FAIL;
}

/* In compat mode: are the peer's frames all here? */
static bool is_plain(const AttestdConnection *c) {
        return is_compat(c) && !awaits_request(c) && (!asks(c) || c->has_shown);
}

/* In compat mode data that comes before our verdict, or our answer, stays where it is. */
static bool may_read(const AttestdConnection *c, gsize inbox_max) {
        if (is_plain(c) && ((asks(c) && c->accepted == 0) || (c->peer.asks && !c->was_acked && !c->has_ended)))
                return false;
        return !c->peer_ended && c->inbox.cost < inbox_max && att_outbox_counted(&c->out) < OUT_MAX;
}

static Step read_plain(AttestdConnection *c) {
        g_autofree uint8_t *data = g_malloc(ATT_FRAME_DATA_MAX);
        g_autoptr(GBytes) payload = NULL;
        g_autoptr(GError) error = NULL;
        size_t size = 0;

        switch (c->transport->ops->read(c->transport, data, ATT_FRAME_DATA_MAX, &size, &error)) {
        case ATT_IO_DONE:
                payload = g_bytes_new(data, size);
                return on_data(c, payload) ? STEP_ON : STEP_FAIL;
        case ATT_IO_WANT_READ:
        case ATT_IO_WANT_WRITE:
                return STEP_REST;
        case ATT_IO_CLOSED:
                c->peer_ended = true;
                return STEP_ON;
        case ATT_IO_CUT:
                fail_with(c, ATTESTD_ERROR_CLOSED, "the stream was cut: no close_notify");
                return STEP_FAIL;
        case ATT_IO_FAILED:
                fail(c, g_steal_pointer(&error), NULL);
                return STEP_FAIL;
        }
        g_assert_not_reached();
}

/* Driving: everything that can be done now, in the order of what may close the gate. */

static bool check_time(AttestdConnection *c) {
        static const char *const owed[] = {
                [OWES_NOTHING] = NULL,
                [OWES_HELLO] = "the peer sent no hello in time",
                [OWES_REQUEST] = "the peer, which asks for evidence, sent no request in time",
                [OWES_VERDICT] = "the peer sent no verdict in time",
        };

        if (c->owes_until && now(c) >= c->owes_until)
                return fail_with(c, ATTESTD_ERROR_TIMED_OUT, owed[c->owes]);
        if (c->answer_until && now(c) >= c->answer_until)
                return fail_with(c, ATTESTD_ERROR_TIMED_OUT, "no verdict on evidence of the peer in time");
        if (c->write_until && now(c) >= c->write_until)
                return fail_with(c, ATTESTD_ERROR_TIMED_OUT, "the gate did not open in time for a write");
        return true;
}

static bool check_end_time(AttestdConnection *c) {
        if (c->end_until && now(c) >= c->end_until)
                return fail_with(c, ATTESTD_ERROR_TIMED_OUT, "the peer did not take our end in time");
        return true;
}

static void close_if_due(AttestdConnection *c) {
        if (!c->has_ended || c->is_closed)
                return;
        if (!c->out.broken && att_outbox_left(&c->out) == 0)
                c->is_closed = c->transport->ops->close(c->transport, &c->out.broken) == ATT_IO_DONE;
        /* A peer that has ended in order may be gone already: it misses nothing. */
        if (c->out.broken && c->peer_ended)
                c->is_closed = true;
        if (c->is_closed)
                c->end_until = 0;
}

static bool drive_once(AttestdConnection *c) {
        if (c->failure || !take_events(c) || !answer_if_due(c) || !expire_if_due(c))
                return false;
        give_log_if_due(c);
        ask_if_due(c);
        att_outbox_flush(&c->out);
        close_if_due(c);
        if (gate_is_open(c))
                c->write_until = 0;
        return true;
}

/* Returns: false if the connection has failed */
static bool drive(AttestdConnection *c, gsize inbox_max) {
        for (unsigned n = 0; drive_once(c); n++) {
                Step step;

                if (n == FRAMES_MAX)
                        return true;
                if (!may_read(c, inbox_max))
                        break;
                step = is_plain(c) ? read_plain(c) : read_frame(c);
                if (step == STEP_FAIL)
                        return false;
                c->has_more = step == STEP_ON;
                if (!c->has_more)
                        break;
        }
        if (c->failure)
                return false;
        if (c->out.broken)
                return fail(c, g_error_copy(c->out.broken), NULL);
        /* What is owed may stand behind data that nobody has read yet. */
        return check_end_time(c) && (c->inbox.cost >= inbox_max || check_time(c));
}

static AttestdStatus report(AttestdConnection *c, GError **error) {
        g_propagate_error(error, g_error_copy(c->failure));
        return ATTESTD_FAILED;
}

static AttestdStatus invalid(const char *message, GError **error) {
        g_set_error_literal(error, ATTESTD_ERROR, ATTESTD_ERROR_INVALID, message);
        return ATTESTD_FAILED;
}

static bool is_ending(const AttestdConnection *c) {
        return c->has_ended && !c->is_closed;
}

static bool wants_write(const AttestdConnection *c) {
        return att_outbox_left(&c->out) > 0 || is_ending(c);
}

static bool needs_service(const AttestdConnection *c) {
        return c->ask == ASK_MAKING || c->ask == ASK_LOOKING || c->ask == ASK_ADDING || c->ask == ASK_JUDGING ||
               c->answering || c->is_getting;
}

static AttestdStatus want(const AttestdConnection *c) {
        if (wants_write(c))
                return ATTESTD_WANT_WRITE;
        return needs_service(c) ? ATTESTD_WANT_SERVICE : ATTESTD_WANT_READ;
}

/* What a call does when it cannot go on: waits, and returns %ATTESTD_DONE, or WANTs. */
static AttestdStatus rest(AttestdConnection *c, gsize inbox_max, GError **error) {
        GError *failure = NULL;

        if (!c->transport->blocks)
                return want(c);
        if (c->transport->ops->wait(c->transport, may_read(c, inbox_max), wants_write(c),
                                    c->services->ops->fd(c->services), attestd_connection_timeout_ms(c), &failure))
                return ATTESTD_DONE;
        fail(c, failure, NULL);
        return report(c, error);
}

/* Rests for a gate that is closed, if there is a way that it opens. */
static AttestdStatus rest_for_gate(AttestdConnection *c, GError **error) {
        if (c->peer_ended) {
                fail_with(c, ATTESTD_ERROR_CLOSED, "the peer has ended, and the gate is closed");
                return report(c, error);
        }
        if (c->inbox.cost >= INBOX_MAX)
                return ATTESTD_READ_FIRST;
        return rest(c, INBOX_MAX, error);
}

/* The public calls. */

static void send_hello(AttestdConnection *c) {
        char *profiles[] = { c->endpoint->profile, NULL };
        AttHello hello = {
                .version = 1,
                .profiles = profiles,
                .formats = (char **) formats,
                .batch = takes_batches(c),
                .asks = asks(c),
                .gives = c->endpoint->sign != NULL,
        };
        g_autoptr(GBytes) payload = att_hello_encode(&hello);

        put_bytes(c, ATT_FRAME_HELLO, payload);
        owe(c, OWES_HELLO);
}

/* No hello: the peer asks for what we give. */
static void begin_compat(AttestdConnection *c) {
        c->peer.asks = c->endpoint->sign != NULL;
        c->is_greeted = true;
        if (c->peer.asks)
                owe(c, OWES_REQUEST);
}

AttestdConnection *att_connection_new(AttestdEndpoint *endpoint, AttTransport *transport, AttServices *services) {
        AttestdConnection *c = g_new0(AttestdConnection, 1);

        c->exchange = att_exchange_new(endpoint, transport, services);
        c->endpoint = endpoint;
        c->transport = transport;
        c->services = services;
        att_outbox_init(&c->out, transport);
        if (is_compat(c))
                begin_compat(c);
        else
                send_hello(c);
        return c;
}

void attestd_connection_free(AttestdConnection *c) {
        if (!c)
                return;
        att_outbox_clear(&c->out);
        g_free(c->payload);
        att_inbox_clear(&c->inbox);
        att_hello_clear(&c->peer);
        g_clear_error(&c->failure);
        g_clear_pointer(&c->context, g_bytes_unref);
        g_clear_pointer(&c->authenticator, g_bytes_unref);
        att_log_taker_clear(&c->taker);
        att_log_giver_clear(&c->giver);
        g_free(c->result);
        g_clear_pointer(&c->held, g_bytes_unref);
        g_clear_pointer(&c->answering, g_bytes_unref);
        g_clear_pointer(&c->answered, g_bytes_unref);
        g_free(c->excuse);
        attestd_exchange_free(c->exchange);
        g_free(c);
}

int attestd_connection_service_fd(AttestdConnection *c) {
        return c->services->ops->fd(c->services);
}

/* Returns: when ask_if_due() asks if nothing happens; INT64_MAX for never */
static int64_t next_request_at(const AttestdConnection *c) {
        if (!asks(c) || !c->is_greeted || c->peer_ended || c->has_ended || c->ask != ASK_IDLE)
                return INT64_MAX;
        if (is_compat(c) && c->accepted > 0) /* expire_if_due() */
                return c->endpoint->max_age_s > 0 ? c->accepted_at + max_age_us(c) : INT64_MAX;
        if (c->accepted <= c->ask_after)
                return may_ask_at(c);
        return c->endpoint->max_age_s > 0 ? MAX(c->accepted_at + max_age_us(c), may_ask_at(c)) : INT64_MAX;
}

static int ms_until(AttestdConnection *c, int64_t time) {
        return (int) CLAMP((time - now(c) + 999) / 1000, 0, G_MAXINT);
}

int attestd_connection_timeout_ms(AttestdConnection *c) {
        int64_t next = next_request_at(c);

        if (c->failure)
                return -1;
        if (is_ending(c)) /* that call looks at no other limit */
                return ms_until(c, c->end_until);
        if (c->has_more && may_read(c, INBOX_MAX))
                return 0;
        if (c->owes_until)
                next = MIN(next, c->owes_until);
        if (c->answer_until)
                next = MIN(next, c->answer_until);
        if (c->write_until)
                next = MIN(next, c->write_until);
        return next == INT64_MAX || c->inbox.cost >= INBOX_MAX ? -1 : ms_until(c, next);
}

AttestdStatus attestd_connection_open(AttestdConnection *c, GError **error) {
        for (;;) {
                AttestdStatus status;

                if (!drive(c, INBOX_MAX))
                        return report(c, error);
                if (gate_is_open(c))
                        return ATTESTD_DONE;
                if (c->has_ended)
                        return invalid("the connection has been ended", error);
                status = rest_for_gate(c, error);
                if (status != ATTESTD_DONE)
                        return status;
        }
}

gboolean attestd_connection_is_open(AttestdConnection *c) {
        return gate_is_open(c);
}

/* When the stream has broken off, what came before that is still good. */
static bool may_deliver(const AttestdConnection *c) {
        return !c->failure || g_error_matches(c->failure, ATTESTD_ERROR, ATTESTD_ERROR_CLOSED) ||
               g_error_matches(c->failure, ATTESTD_ERROR, ATTESTD_ERROR_TLS);
}

gsize attestd_connection_pending(AttestdConnection *c) {
        return may_deliver(c) ? c->inbox.size : 0;
}

AttestdStatus attestd_connection_read(AttestdConnection *c, void *data, gsize size, gsize *ret_size,
                                      gboolean *ret_stale, GError **error) {
        *ret_size = 0;
        if (size == 0)
                return invalid("there is no room to read into", error);

        for (;;) {
                AttestdStatus status;
                bool ok = drive(c, 1);

                if (c->inbox.size > 0 && may_deliver(c)) {
                        *ret_size = att_inbox_take(&c->inbox, data, size, ret_stale);
                        return ATTESTD_DONE;
                }
                if (c->peer_ended && may_deliver(c))
                        return ATTESTD_END;
                if (!ok)
                        return report(c, error);
                status = rest(c, 1, error);
                if (status != ATTESTD_DONE)
                        return status;
        }
}

/* One data frame, straight to the transport: what waits in out was sent while the gate was open. */
static void write_frame(AttestdConnection *c, const uint8_t *data, gsize size) {
        c->writing = MIN(size, ATT_FRAME_DATA_MAX);
        if (is_compat(c))
                att_outbox_put_plain(&c->out, data, c->writing);
        else
                put(c, ATT_FRAME_DATA, data, c->writing);
        att_outbox_flush(&c->out);
}

static AttestdStatus rest_for_write(AttestdConnection *c, GError **error) {
        if (att_outbox_left(&c->out) > 0)
                return rest(c, INBOX_MAX, error);

        if (c->write_until == 0)
                c->write_until = limit(c);
        return rest_for_gate(c, error);
}

AttestdStatus attestd_connection_write(AttestdConnection *c, const void *data, gsize size, gsize *ret_size,
                                       GError **error) {
        *ret_size = 0;
        if (c->has_ended)
                return invalid("the connection has been ended", error);
        if (c->writing > size)
                return invalid("a write that WANTs is to be called again with the same data", error);

        for (;;) {
                AttestdStatus status;

                if (!drive(c, INBOX_MAX))
                        return report(c, error);
                if (att_outbox_left(&c->out) == 0) {
                        *ret_size += c->writing;
                        c->writing = 0;
                        if (*ret_size == size)
                                return ATTESTD_DONE;
                        if (gate_is_open(c)) {
                                write_frame(c, (const uint8_t *) data + *ret_size, size - *ret_size);
                                continue;
                        }
                }
                if (*ret_size > 0 && !c->transport->blocks)
                        return ATTESTD_DONE;
                status = rest_for_write(c, error);
                if (status != ATTESTD_DONE)
                        return status;
        }
}

AttestdStatus attestd_connection_renew(AttestdConnection *c, GError **error) {
        if (!asks(c) || c->has_ended)
                return invalid(c->has_ended ? "the connection has been ended" : "this end does not ask for evidence",
                               error);
        if (is_compat(c))
                return invalid("compat mode has no renewal", error);
        if (!c->is_renewing) {
                c->is_renewing = true;
                c->renew_after = c->ask_after = c->n_contexts;
        }

        for (;;) {
                AttestdStatus status;

                if (!drive(c, INBOX_MAX))
                        return report(c, error);
                if (c->accepted > c->renew_after && c->accepted > c->stale_after) {
                        c->is_renewing = false;
                        return ATTESTD_DONE;
                }
                status = rest_for_gate(c, error);
                if (status != ATTESTD_DONE)
                        return status;
        }
}

static void begin_end(AttestdConnection *c) {
        put(c, ATT_FRAME_END, NULL, 0);
        c->has_ended = true;
        c->end_until = limit(c);
        c->write_until = 0;
        g_clear_pointer(&c->held, g_bytes_unref);
        att_log_giver_clear(&c->giver);
        if (c->owes != OWES_HELLO)
                owe(c, OWES_NOTHING);
}

AttestdStatus attestd_connection_end(AttestdConnection *c, GError **error) {
        if (!drive_once(c))
                return report(c, error);
        if (!c->has_ended)
                begin_end(c);

        for (;;) {
                AttestdStatus status;

                if (!drive_once(c))
                        return report(c, error);
                if (c->is_closed)
                        return ATTESTD_DONE;
                if (c->out.broken) {
                        fail(c, g_error_copy(c->out.broken), NULL);
                        return report(c, error);
                }
                if (!check_end_time(c))
                        return report(c, error);
                status = rest(c, 0, error);
                if (status != ATTESTD_DONE)
                        return status;
        }
}

const char *attestd_connection_result(AttestdConnection *c) {
        return c->result;
}
