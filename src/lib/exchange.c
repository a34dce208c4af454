/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lib/exchange.h"

#include "crypto/digest.h"
#include "lib/log-giver.h"

#include <errno.h>
#include <poll.h>

struct AttestdExchange {
        AttestdEndpoint *endpoint;
        AttTransport *transport;
        AttServices *services;
        AttEaContexts *contexts; /* both directions */

        /* relying party: the newest request, until its answer is judged */
        GBytes *request;
        GBytes *context;

        /* attester: the request that is being answered */
        AttEaRequest answering;
        bool is_answering;
        AttEvent *refusal; /* an answer that needs no service; owned */

        /* the bare API: what has come, and what it is waited for with */
        AttEvent *come[ATT_EVENT_TYPES]; /* owned */
        bool is_asking, is_looking, is_adding, is_getting;
        AttLogGiver giver;
        GBytes *answered;
        GBytes *validated;
        GBytes *unanswered; /* a request that failed, and the refusal to send for it */
        GBytes *declined;
        AttStateId given;   /* what our newest evidence speaks of */
        bool is_stale;
        bool is_content;    /* our newest verdict is yes */
};

void att_event_free(AttEvent *event) {
        if (!event)
                return;
        g_clear_error(&event->error);
        g_clear_pointer(&event->bytes, g_bytes_unref);
        g_clear_pointer(&event->context, g_bytes_unref);
        g_free(event->reason);
        g_free(event->json);
        g_strfreev(event->reasons);
        g_strfreev(event->logs);
        g_free(event->bank);
        g_free(event);
}

bool att_state_is_older(const AttStateId *state, const AttStateId *than) {
        return state->known && than->known && memcmp(state->boot_id, than->boot_id, sizeof state->boot_id) == 0 &&
               memcmp(state->instance_id, than->instance_id, sizeof state->instance_id) == 0 &&
               state->generation < than->generation;
}

AttestdExchange *att_exchange_new(AttestdEndpoint *endpoint, AttTransport *transport, AttServices *services) {
        AttestdExchange *x = g_new0(AttestdExchange, 1);

        x->endpoint = att_endpoint_use(endpoint);
        x->transport = transport;
        x->services = services;
        x->contexts = att_ea_contexts_new();
        return x;
}

void attestd_exchange_free(AttestdExchange *x) {
        if (!x)
                return;
        for (size_t i = 0; i < ATT_EVENT_TYPES; i++)
                att_event_free(x->come[i]);
        g_clear_pointer(&x->answered, g_bytes_unref);
        g_clear_pointer(&x->validated, g_bytes_unref);
        g_clear_pointer(&x->unanswered, g_bytes_unref);
        g_clear_pointer(&x->declined, g_bytes_unref);
        g_clear_pointer(&x->request, g_bytes_unref);
        g_clear_pointer(&x->context, g_bytes_unref);
        att_log_giver_clear(&x->giver);
        att_ea_request_clear(&x->answering);
        att_event_free(x->refusal);
        att_ea_contexts_free(x->contexts);
        x->services->ops->free(x->services);
        x->transport->ops->free(x->transport);
        attestd_endpoint_unref(x->endpoint);
        g_free(x);
}

/* An error of a lower layer, as one of ours; the message stays. */
static void become(GError **error, AttestdError code) {
        if (error && *error) {
                g_autoptr(GError) inner = *error;

                *error = g_error_new_literal(ATTESTD_ERROR, (gint) code, inner->message);
        }
}

static gboolean export(AttestdExchange *x, const char *label, const void *context, size_t context_size, uint8_t *ret,
                       size_t size, GError **error) {
        return x->transport->ops->export(x->transport, label, context, context_size, ret, size, error);
}

/* RFC 9261 section 5.1: the role is that of the sender of the authenticator. */
static gboolean export_keys(AttestdExchange *x, AttRole sender, AttEaKeys *ret, GError **error) {
        bool server = sender == ATT_ROLE_SERVER;
        size_t size = att_hash_size(x->transport->hash);

        ret->hash = x->transport->hash;
        ret->sender = sender;
        return export(x, server ? ATT_EA_LABEL_SERVER_CONTEXT : ATT_EA_LABEL_CLIENT_CONTEXT, NULL, 0,
                      ret->handshake_context, size, error) &&
               export(x, server ? ATT_EA_LABEL_SERVER_FINISHED : ATT_EA_LABEL_CLIENT_FINISHED, NULL, 0,
                      ret->finished_key, size, error);
}

static gboolean export_value(AttestdExchange *x, GBytes *context, uint8_t ret[ATT_EXPORTED_SIZE], GError **error) {
        gsize size;
        const void *data = g_bytes_get_data(context, &size);

        return export(x, ATT_EXPORTER_LABEL, data, size, ret, ATT_EXPORTED_SIZE, error);
}

static gboolean remember_context(AttestdExchange *x, GBytes *context, GError **error) {
        gsize size;
        const void *data = g_bytes_get_data(context, &size);

        return att_ea_contexts_add(x->contexts, data, size, error);
}

/* Relying party. */

void att_exchange_ask(AttestdExchange *x, bool batch) {
        g_clear_pointer(&x->request, g_bytes_unref);
        g_clear_pointer(&x->context, g_bytes_unref);
        x->services->ops->create_request(x->services, x->endpoint->profile, batch);
}

/* The verifier is trusted with the verdict, not to be free of errors: a request
 * goes out only if it is one, ours, with a context that is long enough and new. */
static gboolean take_request(AttestdExchange *x, AttEvent *event, GError **error) {
        g_auto(AttEaRequest) read = { 0 };

        if (!att_ea_request_read(event->bytes, x->transport->role, x->endpoint->code_point, &read, error))
                return FALSE;
        if (!read.asks_for_cmw || !g_bytes_equal(read.context, event->context) ||
            g_bytes_get_size(read.context) != ATT_CONTEXT_SIZE) {
                g_set_error_literal(error, ATTESTD_ERROR, ATTESTD_ERROR_SERVICE,
                                    "the verifier's request is not what was asked for");
                return FALSE;
        }
        if (!remember_context(x, event->context, error))
                return FALSE;

        x->request = g_bytes_ref(event->bytes);
        x->context = g_bytes_ref(event->context);
        return TRUE;
}

gboolean att_exchange_validate(AttestdExchange *x, GBytes *authenticator, GError **error) {
        g_auto(AttEaKeys) keys = { 0 };
        uint8_t exported[ATT_EXPORTED_SIZE];

        if (!x->request) {
                g_set_error_literal(error, ATTESTD_ERROR, ATTESTD_ERROR_INVALID, "no request is outstanding");
                return FALSE;
        }
        if (!export_keys(x, att_role_other(x->transport->role), &keys, error) ||
            !export_value(x, x->context, exported, error))
                return FALSE;

        x->services->ops->validate(x->services, authenticator, exported, keys.handshake_context, keys.finished_key);
        att_cleanse(exported, sizeof exported);
        g_clear_pointer(&x->request, g_bytes_unref);
        g_clear_pointer(&x->context, g_bytes_unref);
        return TRUE;
}

/* Attester. */

static GBytes *empty_authenticator(AttestdExchange *x, GError **error) {
        g_auto(AttEaKeys) keys = { 0 };

        if (!export_keys(x, x->transport->role, &keys, error))
                return NULL;
        return att_ea_empty_new(&keys, &x->answering);
}

/* Ends the answer with the empty authenticator, and says why. */
static AttEvent *refuse(AttestdExchange *x, GError *why) {
        AttEvent *event = g_new0(AttEvent, 1);
        g_autoptr(GError) error = NULL;

        event->type = ATT_EVENT_EVIDENCE;
        event->bytes = empty_authenticator(x, &error);
        if (event->bytes) {
                event->error = why;
        } else {
                g_error_free(why);
                event->error = g_steal_pointer(&error);
        }
        att_ea_request_clear(&x->answering);
        x->is_answering = false;
        return event;
}

/* May the peer see evidence, whatever its own says? A client knows its server. */
static bool is_known(const AttestdExchange *x) {
        if (x->transport->role == ATT_ROLE_CLIENT || x->endpoint->give_to == ATTESTD_GIVE_TO_ANYONE)
                return true;
        return x->endpoint->give_to == ATTESTD_GIVE_TO_AUTHENTICATED && x->transport->peer_is_verified;
}

/* NULL if the request can be answered with evidence. */
static GError *may_not_give(AttestdExchange *x) {
        GError *why = NULL;

        if (!x->endpoint->sign)
                return g_error_new_literal(ATTESTD_ERROR, ATTESTD_ERROR_PROTOCOL, "this end gives no evidence");
        if (!x->endpoint->asks && !is_known(x))
                return g_error_new_literal(ATTESTD_ERROR, ATTESTD_ERROR_PROTOCOL,
                                           "this server gives evidence only to clients that have authenticated");
        if (!att_ea_request_check(&x->answering, x->endpoint->code_point, x->endpoint->key, &why))
                become(&why, ATTESTD_ERROR_PROTOCOL);
        return why;
}

/* The context is recorded before anything else is done with it: a request that
 * failed is used up too. */
static gboolean read_request(AttestdExchange *x, GBytes *request, GError **error) {
        if (x->is_answering) {
                g_set_error_literal(error, ATTESTD_ERROR, ATTESTD_ERROR_INVALID, "a request is being answered already");
                return FALSE;
        }
        if (!att_ea_request_read(request, att_role_other(x->transport->role), x->endpoint->code_point, &x->answering,
                                 error) ||
            !remember_context(x, x->answering.context, error)) {
                att_ea_request_clear(&x->answering);
                become(error, ATTESTD_ERROR_PROTOCOL);
                return FALSE;
        }
        x->is_answering = true;
        return TRUE;
}

/* What could come back to us as the peer's own is only what evidence was made for. */
static void attest(AttestdExchange *x, const uint8_t exported[ATT_EXPORTED_SIZE], bool batch) {
        if (x->endpoint->asks)
                x->services->ops->record_context(x->services, x->answering.context);
        x->services->ops->attest(x->services, exported, x->answering.context, x->endpoint->spki, x->endpoint->profile,
                                 batch);
}

bool att_exchange_holds(const AttestdExchange *x) {
        return x->endpoint->asks && x->endpoint->sign && !is_known(x);
}

gboolean att_exchange_answer(AttestdExchange *x, GBytes *request, bool batch, GBytes **ret_context, GError **error) {
        uint8_t exported[ATT_EXPORTED_SIZE];
        GError *why;

        if (!read_request(x, request, error))
                return FALSE;
        *ret_context = g_bytes_ref(x->answering.context);

        why = may_not_give(x);
        if (!why && export_value(x, x->answering.context, exported, &why)) {
                attest(x, exported, batch);
                att_cleanse(exported, sizeof exported);
                return TRUE;
        }
        x->refusal = refuse(x, why);
        return TRUE;
}

/* Whoever evidence is given to, logs are for peers that are somebody. Only a server waits:
 * two ends that both did would do so for ever. */
AttLogsGiven att_exchange_gives_logs(const AttestdExchange *x, bool trusts) {
        const AttestdEndpoint *e = x->endpoint;
        bool is_client = x->transport->role == ATT_ROLE_CLIENT;

        if (!e->gives_logs || !e->sign)
                return ATT_LOGS_NO;
        if (x->transport->peer_is_verified && (is_client || e->give_to != ATTESTD_GIVE_TO_ACCEPTED))
                return ATT_LOGS_YES;
        if (!e->asks)
                return ATT_LOGS_NO;
        return trusts ? ATT_LOGS_YES : is_client ? ATT_LOGS_NO : ATT_LOGS_LATER;
}

static GBytes *make_authenticator(AttestdExchange *x, GBytes *evidence, GError **error) {
        const AttestdEndpoint *e = x->endpoint;
        g_auto(AttEaKeys) keys = { 0 };
        g_autoptr(AttEaDraft) draft = NULL;
        g_autoptr(GBytes) to_be_signed = NULL, signature = NULL;

        if (!export_keys(x, x->transport->role, &keys, error))
                return NULL;
        draft = att_ea_draft_new_for(&keys, &x->answering, e->certificates, e->key, e->code_point, evidence, error);
        if (!draft)
                return NULL;

        to_be_signed = att_ea_draft_to_be_signed(draft);
        signature = e->sign(att_ea_draft_scheme(draft), to_be_signed, e->userdata, error);
        if (!signature) {
                if (error && !*error)
                        g_set_error_literal(error, ATTESTD_ERROR, ATTESTD_ERROR_INVALID, "the signer gave no reason");
                return NULL;
        }
        return att_ea_draft_finish(draft, signature, error);
}

/* From evidence to authenticator. */
static AttEvent *take_evidence(AttestdExchange *x, AttEvent *event) {
        g_autoptr(AttEvent) e = event;
        GBytes *authenticator;
        GError *why = NULL;

        if (e->error)
                return refuse(x, g_steal_pointer(&e->error));

        authenticator = make_authenticator(x, e->bytes, &why);
        if (!authenticator) {
                g_prefix_error(&why, "cannot make an authenticator: ");
                become(&why, ATTESTD_ERROR_TLS);
                return refuse(x, why);
        }
        g_bytes_unref(e->bytes);
        e->bytes = authenticator;
        att_ea_request_clear(&x->answering);
        x->is_answering = false;
        return g_steal_pointer(&e);
}

AttEvent *att_exchange_next(AttestdExchange *x) {
        AttEvent *event;

        if (x->refusal)
                return g_steal_pointer(&x->refusal);

        event = x->services->ops->next(x->services);
        if (!event)
                return NULL;
        if (event->type == ATT_EVENT_EVIDENCE)
                return take_evidence(x, event);
        if (event->type == ATT_EVENT_REQUEST && !event->error && !take_request(x, event, &event->error))
                become(&event->error, ATTESTD_ERROR_SERVICE);
        return event;
}

/* The bare API: each call begins, or waits, or takes what has come. */

/* Stale comes after the evidence that it is about, or for the evidence before. */
static void note_state(AttestdExchange *x, const AttEvent *event) {
        if (event->type == ATT_EVENT_EVIDENCE && !event->error) {
                AttEvent *stale = x->come[ATT_EVENT_STALE];

                x->given = event->state;
                x->is_stale = stale && att_state_is_older(&x->given, &stale->state);
        } else if (event->type == ATT_EVENT_STALE) {
                x->is_stale = true;
        }
}

static void pump(AttestdExchange *x) {
        AttEvent *event;

        while ((event = att_exchange_next(x))) {
                note_state(x, event);
                att_event_free(x->come[event->type]);
                x->come[event->type] = event;
        }
}

static AttEvent *take(AttestdExchange *x, AttEventType type) {
        pump(x);
        return g_steal_pointer(&x->come[type]);
}

/* A call that is repeated must be the same call. */
static bool is_other(GBytes *under_way, GBytes *given, GError **error) {
        if (g_bytes_equal(under_way, given))
                return false;
        g_set_error_literal(error, ATTESTD_ERROR, ATTESTD_ERROR_INVALID, "another call of this kind is under way");
        return true;
}

static AttestdStatus fail(AttEvent *event, GError **error) {
        g_propagate_error(error, g_steal_pointer(&event->error));
        return ATTESTD_FAILED;
}

AttestdStatus attestd_exchange_request(AttestdExchange *x, GBytes **ret_request, GError **error) {
        g_autoptr(AttEvent) event = NULL;

        if (!x->endpoint->asks || x->validated) {
                g_set_error_literal(error, ATTESTD_ERROR, ATTESTD_ERROR_INVALID,
                                    x->validated ? "the answer to the former request is being judged" :
                                                   "this end does not ask for evidence");
                return ATTESTD_FAILED;
        }
        if (!x->is_asking) {
                att_exchange_ask(x, false);
                x->is_asking = true;
        }

        event = take(x, ATT_EVENT_REQUEST);
        if (!event)
                return ATTESTD_WANT_SERVICE;
        x->is_asking = false;
        if (event->error)
                return fail(event, error);
        *ret_request = g_steal_pointer(&event->bytes);
        return ATTESTD_DONE;
}

AttestdStatus attestd_exchange_answer(AttestdExchange *x, GBytes *request, GBytes **ret_authenticator, GError **error) {
        g_autoptr(AttEvent) event = NULL;

        if (x->answered && is_other(x->answered, request, error))
                return ATTESTD_FAILED;
        if (!x->answered && !x->is_content && att_exchange_holds(x)) {
                g_set_error_literal(error, ATTESTD_ERROR, ATTESTD_ERROR_INVALID,
                                    "this server asks as well: it answers once it has accepted the client");
                return ATTESTD_FAILED;
        }
        if (!x->answered) {
                g_autoptr(GBytes) context = NULL;

                if (!att_exchange_answer(x, request, false, &context, error))
                        return ATTESTD_FAILED;
                x->answered = g_bytes_ref(request);
        }

        event = take(x, ATT_EVENT_EVIDENCE);
        if (!event)
                return ATTESTD_WANT_SERVICE;
        if (event->error) {
                g_clear_pointer(&x->unanswered, g_bytes_unref);
                g_clear_pointer(&x->declined, g_bytes_unref);
                x->unanswered = g_steal_pointer(&x->answered);
                x->declined = g_steal_pointer(&event->bytes);
                return fail(event, error);
        }
        g_clear_pointer(&x->answered, g_bytes_unref);
        att_log_giver_forget(&x->giver); /* it was read before this evidence */
        *ret_authenticator = g_steal_pointer(&event->bytes);
        return ATTESTD_DONE;
}

AttestdStatus attestd_exchange_decline(AttestdExchange *x, GBytes *request, GBytes **ret_authenticator,
                                       GError **error) {
        g_autoptr(AttEvent) event = NULL;

        if (x->unanswered && x->declined && g_bytes_equal(x->unanswered, request)) {
                g_clear_pointer(&x->unanswered, g_bytes_unref);
                *ret_authenticator = g_steal_pointer(&x->declined);
                return ATTESTD_DONE;
        }

        if (!read_request(x, request, error))
                return ATTESTD_FAILED;
        event = refuse(x, g_error_new_literal(ATTESTD_ERROR, ATTESTD_ERROR_PROTOCOL, "declined"));
        if (!event->bytes)
                return fail(event, error);
        *ret_authenticator = g_steal_pointer(&event->bytes);
        return ATTESTD_DONE;
}

static AttestdStatus give_verdict(AttEvent *event, char **ret_result, GError **error) {
        if (event->error)
                return fail(event, error);
        if (ret_result)
                *ret_result = g_steal_pointer(&event->json);
        if (event->accepted)
                return ATTESTD_DONE;
        g_set_error_literal(error, ATTESTD_ERROR, ATTESTD_ERROR_REFUSED, event->reason);
        return ATTESTD_FAILED;
}

AttestdStatus attestd_exchange_validate(AttestdExchange *x, GBytes *authenticator, char **ret_result, GError **error) {
        g_autoptr(AttEvent) event = NULL;

        if (x->validated && is_other(x->validated, authenticator, error))
                return ATTESTD_FAILED;
        if (!x->validated) {
                if (!att_exchange_validate(x, authenticator, error))
                        return ATTESTD_FAILED;
                x->validated = g_bytes_ref(authenticator);
        }

        event = take(x, ATT_EVENT_VERDICT);
        if (!event)
                return ATTESTD_WANT_SERVICE;
        g_clear_pointer(&x->validated, g_bytes_unref);
        x->is_content = event->accepted && !x->come[ATT_EVENT_FAILED];
        /* A context of the peer that the verifier does not know of could come back as its own. */
        if (x->come[ATT_EVENT_FAILED]) {
                g_propagate_error(error, g_error_copy(x->come[ATT_EVENT_FAILED]->error));
                return ATTESTD_FAILED;
        }
        return give_verdict(event, ret_result, error);
}

AttestdStatus attestd_exchange_logs(AttestdExchange *x, char ***ret_logs, guint64 *ret_next, GError **error) {
        static char *const none[] = { NULL };
        g_autoptr(AttEvent) event = NULL;

        if (!x->is_looking)
                x->services->ops->find_logs(x->services);
        x->is_looking = true;
        event = take(x, ATT_EVENT_LOGS);
        if (!event)
                return ATTESTD_WANT_SERVICE;
        x->is_looking = false;
        if (event->error)
                return fail(event, error);
        *ret_logs = event->logs ? g_steal_pointer(&event->logs) : g_strdupv((char **) none);
        *ret_next = event->first;
        return ATTESTD_DONE;
}

AttestdStatus attestd_exchange_add_log(AttestdExchange *x, const char *log, const char *bank, GBytes *entries,
                                       guint64 first, GError **error) {
        g_autoptr(AttEvent) event = NULL;

        if (!x->is_adding)
                x->services->ops->add_log(x->services, log, entries, bank, first);
        x->is_adding = true;
        event = take(x, ATT_EVENT_ADDED);
        if (!event)
                return ATTESTD_WANT_SERVICE;
        x->is_adding = false;
        if (event->error)
                return fail(event, error);
        if (!event->reason)
                return ATTESTD_DONE;
        g_set_error(error, ATTESTD_ERROR, ATTESTD_ERROR_REFUSED, "%s-log: %s", log, event->reason);
        return ATTESTD_FAILED;
}

/* attestd's answer, if it has to be asked. */
static AttestdStatus get_more(AttestdExchange *x, GError **error) {
        g_autoptr(AttEvent) event = NULL;

        if (!x->is_getting)
                x->services->ops->get_log(x->services, x->giver.asked.log, x->giver.asked.from);
        x->is_getting = true;
        event = take(x, ATT_EVENT_LOG);
        if (!event)
                return ATTESTD_WANT_SERVICE;
        x->is_getting = false;
        if (event->error)
                return fail(event, error);
        if (att_log_giver_take(&x->giver, event, error))
                return ATTESTD_DONE;
        become(error, ATTESTD_ERROR_SERVICE);
        return ATTESTD_FAILED;
}

AttestdStatus attestd_exchange_get_log(AttestdExchange *x, const char *log, guint64 from, gsize max,
                                       GBytes **ret_entries, char **ret_bank, gboolean *ret_more, GError **error) {
        const char *bank;
        GBytes *entries;
        bool more;

        if (att_exchange_gives_logs(x, x->is_content) != ATT_LOGS_YES) {
                g_set_error_literal(error, ATTESTD_ERROR, ATTESTD_ERROR_INVALID,
                                    "this end does not give its logs, or not to a peer that it does not know");
                return ATTESTD_FAILED;
        }
        if (x->is_getting && (!g_str_equal(log, x->giver.asked.log) || from != x->giver.asked.from)) {
                g_set_error_literal(error, ATTESTD_ERROR, ATTESTD_ERROR_INVALID,
                                    "another call of this kind is under way");
                return ATTESTD_FAILED;
        }
        if (!x->is_getting && !att_log_giver_want(&x->giver, log, from, error)) {
                become(error, ATTESTD_ERROR_INVALID);
                return ATTESTD_FAILED;
        }
        if (x->is_getting || att_log_giver_needs(&x->giver)) {
                AttestdStatus status = get_more(x, error);

                if (status != ATTESTD_DONE)
                        return status;
        }
        entries = att_log_giver_cut(&x->giver, max, &bank, &more, error);
        if (!entries) {
                become(error, ATTESTD_ERROR_SERVICE);
                return ATTESTD_FAILED;
        }
        *ret_entries = entries;
        *ret_bank = g_strdup(bank);
        *ret_more = more;
        return ATTESTD_DONE;
}

gboolean attestd_exchange_is_stale(AttestdExchange *x) {
        pump(x);
        return x->is_stale;
}

int attestd_exchange_service_fd(AttestdExchange *x) {
        return x->services->ops->fd(x->services);
}

void attestd_exchange_wait(AttestdExchange *x) {
        struct pollfd p = { .fd = attestd_exchange_service_fd(x), .events = POLLIN };

        /* Taken by another call, and so not at the descriptor any more. */
        for (size_t i = 0; i < ATT_EVENT_TYPES; i++)
                if (x->come[i] && i != ATT_EVENT_STALE && i != ATT_EVENT_FAILED)
                        return;
        while (poll(&p, 1, -1) < 0 && errno == EINTR)
                continue;
}
