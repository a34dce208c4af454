/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The state machine: order, gate, renewal, and what it does with a peer that does
 * not keep to it. */
#include "codec/tls-handshake.h"
#include "ends.h"
#include "exporter.h"
#include "run.h"

static void assert_sent(const End *end, const char *expected) {
        g_autofree char *sent = frames_sent(end);

        ck_assert_str_eq(sent, expected);
}

START_TEST(opens_for_a_client_that_asks) {
        g_auto(Pair) p = { 0 };

        pair_open(&p, ASKS, GIVES);
        assert_sent(&p.client, "hello request accepted");
        assert_sent(&p.server, "hello authenticator");
        ck_assert_str_eq(attestd_connection_result(p.client.connection), "{\"accepted\":true}");
        ck_assert_ptr_null(attestd_connection_result(p.server.connection));
}
END_TEST

START_TEST(opens_for_a_server_that_asks) {
        g_auto(Pair) p = { 0 };

        pair_open(&p, GIVES, ASKS);
        assert_sent(&p.client, "hello authenticator");
        assert_sent(&p.server, "hello request accepted");
}
END_TEST

START_TEST(opens_when_both_ask) {
        g_auto(Pair) p = { 0 };

        pair_init_with(&p, ATT_HASH_SHA384, endpoint_new(ASKS | GIVES), endpoint_new(ASKS | GIVES));
        pair_settle(&p);
        ck_are_open(&p);
        /* Each verifier knows the contexts that came in. */
        ck_assert_uint_eq(p.client.mock->recorded->len, 1);
        ck_assert_uint_eq(p.server.mock->recorded->len, 1);

        end_write(&p.client, "ping");
        end_write(&p.server, "pong");
        pair_exchange(&p);
        ck_reads(&p.server, "ping", FALSE);
        ck_reads(&p.client, "pong", FALSE);
}
END_TEST

/* Both gates, at each step between hello and the last verdict. */
START_TEST(opens_no_gate_before_its_time) {
        g_auto(Pair) p = { 0 };

        pair_init(&p, ASKS | GIVES, ASKS | GIVES);
        pair_exchange(&p); /* hellos */
        ck_is_closed(&p.client);
        mock_answer(p.client.mock, ATT_EVENT_REQUEST);
        pair_answer(&p, &p.server, ATT_EVENT_REQUEST);
        pair_answer(&p, &p.client, ATT_EVENT_EVIDENCE);
        mock_answer(p.server.mock, ATT_EVENT_VERDICT); /* the server is content, the client is not */
        pair_exchange(&p);
        ck_are_closed(&p);
        pair_answer(&p, &p.server, ATT_EVENT_EVIDENCE);
        ck_is_closed(&p.server);
        mock_answer(p.client.mock, ATT_EVENT_VERDICT);
        ck_assert_int_eq(end_drive(&p.client), ATTESTD_DONE);
        ck_is_open(&p.client);
        ck_is_closed(&p.server); /* accepted is under way */
        pair_exchange(&p);
        ck_is_open(&p.server);
}
END_TEST

START_TEST(wants_what_it_waits_for) {
        g_auto(Pair) p = { 0 };

        pair_init(&p, ASKS, GIVES);
        p.client.memory->room = 0;
        ck_assert_int_eq(end_drive(&p.client), ATTESTD_WANT_WRITE);
        p.client.memory->room = SIZE_MAX;
        ck_assert_int_eq(end_drive(&p.client), ATTESTD_WANT_READ);
        pair_exchange(&p);
        ck_assert_int_eq(end_drive(&p.client), ATTESTD_WANT_SERVICE);
        mock_answer(p.client.mock, ATT_EVENT_REQUEST);
        ck_assert_int_eq(end_drive(&p.client), ATTESTD_WANT_READ);
        pair_exchange(&p);
        ck_assert_int_eq(end_drive(&p.server), ATTESTD_WANT_SERVICE);
}
END_TEST

START_TEST(fails_when_neither_asks) {
        g_auto(Pair) p = { 0 };

        pair_init(&p, GIVES, GIVES);
        pair_settle(&p);
        ck_failed(&p.client, ATTESTD_ERROR_PROTOCOL, "neither end asks");
        ck_failed(&p.server, ATTESTD_ERROR_PROTOCOL, "neither end asks");
}
END_TEST

/* SC-11g: the authenticated refusal is the peer's, and never a success. */
START_TEST(sc11g_an_empty_authenticator_is_a_refusal) {
        g_auto(Pair) p = { 0 }, twin = { 0 };

        pair_init(&p, ASKS, 0);
        pair_settle(&p);
        ck_failed(&p.client, ATTESTD_ERROR_REFUSED, "empty-authenticator");
        ck_failed(&p.server, ATTESTD_ERROR_REFUSED_BY_PEER, "empty-authenticator");
        ck_assert_ptr_nonnull(strstr(p.server.error->message, "(this end gives no evidence)"));
        ck_are_closed(&p);

        pair_open(&twin, ASKS, GIVES);
}
END_TEST

START_TEST(a_service_that_fails_gives_an_empty_authenticator) {
        g_auto(Pair) p = { 0 };

        pair_init(&p, ASKS, GIVES);
        mock_fail_next(p.server.mock, ATT_EVENT_EVIDENCE, "attestd: org.attestd.Error.NoTee: nothing here");
        pair_settle(&p);
        ck_failed(&p.client, ATTESTD_ERROR_REFUSED, "empty-authenticator");
        ck_failed(&p.server, ATTESTD_ERROR_REFUSED_BY_PEER, "org.attestd.Error.NoTee");
}
END_TEST

START_TEST(a_verifier_that_fails_opens_nothing) {
        static const AttEventType kinds[] = { ATT_EVENT_REQUEST, ATT_EVENT_VERDICT };
        g_auto(Pair) p = { 0 };

        pair_init(&p, ASKS, GIVES);
        mock_fail_next(p.client.mock, kinds[_i], "attestd-verifier: not there");
        pair_settle(&p);
        ck_failed(&p.client, ATTESTD_ERROR_SERVICE, "attestd-verifier: not there");
        ck_failed(&p.server, ATTESTD_ERROR_REFUSED_BY_PEER, "service-unavailable");
        /* What is wrong in our house is not the peer's business. */
        ck_assert_ptr_null(strstr(p.server.error->message, "not there"));
}
END_TEST

START_TEST(tells_the_peer_why_it_is_refused) {
        g_auto(Pair) p = { 0 };

        pair_init(&p, ASKS, GIVES);
        p.client.mock->refuses = "evidence-policy: mrtd is not listed";
        pair_settle(&p);
        ck_failed(&p.client, ATTESTD_ERROR_REFUSED, "evidence-policy: mrtd is not listed");
        ck_failed(&p.server, ATTESTD_ERROR_REFUSED_BY_PEER, "evidence-policy: mrtd is not listed");
        assert_sent(&p.client, "hello request refused");
        ck_assert(p.client.memory->out_closed);
        ck_assert_str_eq(attestd_connection_result(p.client.connection), "{\"accepted\":false}");
        /* It stays that way. */
        ck_assert_int_eq(end_drive(&p.client), ATTESTD_FAILED);
        ck_failed(&p.client, ATTESTD_ERROR_REFUSED, "evidence-policy");
}
END_TEST

START_TEST(the_lists_can_only_be_narrowed) {
        static char *const none[] = { NULL };
        char *other[] = { (char *) "tag:example.org,2026:other", NULL };
        char *profile[] = { (char *) "tag:attestd.org,2026:evidence/1", NULL };
        const AttHello hellos[] = {
                { .version = 1, .profiles = other, .formats = other, .gives = true },
                { .version = 1, .profiles = profile, .formats = (char **) none, .gives = true },
                { .version = 1, .profiles = (char **) none, .formats = other, .gives = true },
        };
        g_autoptr(GBytes) hello = att_hello_encode(&hellos[_i]);
        g_auto(Pair) p = { 0 };

        pair_init(&p, ASKS, GIVES);
        inject_message(&p.client, ATT_FRAME_HELLO, hello);
        ck_assert_int_eq(end_drive(&p.client), ATTESTD_FAILED);
        ck_failed(&p.client, ATTESTD_ERROR_REFUSED, "no-common-");
        assert_sent(&p.client, "hello refused");
}
END_TEST

static MockCall *call_of(Mock *mock, AttEventType kind) {
        for (GList *l = mock->calls.head; l; l = l->next)
                if (((MockCall *) l->data)->answer == kind)
                        return l->data;
        ck_abort_msg("there is no such call");
        return NULL;
}

/* What hello says of batches is what the own verifier, and the peer's attestd, are told. */
START_TEST(offers_batches_unless_told_not_to) {
        const bool takes = _i == 0;
        AttestdEndpoint *client = endpoint_new(ASKS), *server = endpoint_new(GIVES);
        g_auto(AttHello) hello = { 0 };
        g_auto(Pair) p = { 0 };

        if (!takes)
                attestd_endpoint_take_batches(client, FALSE);
        pair_init_with(&p, ATT_HASH_SHA256, client, server);
        pair_exchange(&p);
        ck_assert(att_hello_decode(((Frame *) p.client.sent->pdata[0])->payload, &hello, NULL));
        ck_assert_int_eq(hello.batch, takes);
        ck_assert_int_eq(call_of(p.client.mock, ATT_EVENT_REQUEST)->batch, takes);
        ck_assert(mock_answer(p.client.mock, ATT_EVENT_REQUEST));
        pair_exchange(&p);
        ck_assert_int_eq(call_of(p.server.mock, ATT_EVENT_EVIDENCE)->batch, takes);
        /* Who does not ask has none to take. */
        att_hello_clear(&hello);
        ck_assert(att_hello_decode(((Frame *) p.server.sent->pdata[0])->payload, &hello, NULL));
        ck_assert(!hello.batch);
        pair_settle(&p);
        ck_is_open(&p.client);
}
END_TEST

/* A side that is to ask does so even if the peer says that it gives nothing. */
START_TEST(asks_whatever_hello_says) {
        g_auto(Pair) p = { 0 };

        pair_init(&p, ASKS, 0);
        pair_settle(&p);
        ck_assert_uint_eq(count_sent(&p.client, ATT_FRAME_REQUEST), 1);
}
END_TEST

static void asked(Pair *p);

/* Binding. */

/* SC-01: same leaf, same services, two connections. */
START_TEST(sc01_evidence_of_another_connection_is_refused) {
        g_auto(Pair) a = { 0 }, b = { 0 };

        pair_init(&a, ASKS, GIVES);
        pair_init(&b, ASKS, GIVES);
        memset(b.secret, 0x77, sizeof b.secret);
        pair_exchange(&a);
        pair_exchange(&b);
        mock_answer(a.client.mock, ATT_EVENT_REQUEST);
        mock_answer(b.client.mock, ATT_EVENT_REQUEST);
        pair_exchange(&a);
        pair_exchange(&b);

        /* attestd answers b's server with what was asked on a. */
        {
                MockCall *of_a = g_queue_peek_head(&a.server.mock->calls);
                MockCall *of_b = g_queue_peek_head(&b.server.mock->calls);

                g_bytes_unref(of_b->exported);
                of_b->exported = g_bytes_ref(of_a->exported);
        }
        pair_settle(&b);
        ck_failed(&b.client, ATTESTD_ERROR_REFUSED, "evidence-binding");
        pair_settle(&a);
        ck_is_open(&a.client);
}
END_TEST

/* The same one layer up: the whole authenticator, replayed. */
START_TEST(sc01_an_authenticator_of_another_connection_is_refused) {
        g_auto(Pair) a = { 0 }, b = { 0 };
        const Frame *answer;

        pair_open(&a, ASKS, GIVES);
        answer = a.server.sent->pdata[1];
        ck_assert_int_eq(answer->type, ATT_FRAME_AUTHENTICATOR);

        pair_init(&b, ASKS, GIVES);
        pair_exchange(&b);
        mock_answer(b.client.mock, ATT_EVENT_REQUEST);
        (void) end_drive(&b.client);
        inject_message(&b.client, ATT_FRAME_AUTHENTICATOR, answer->payload);
        (void) end_drive(&b.client);
        mock_answer(b.client.mock, ATT_EVENT_VERDICT);
        (void) end_drive(&b.client);
        ck_failed(&b.client, ATTESTD_ERROR_REFUSED, "context-mismatch");
}
END_TEST

/* SC-05: what we send comes back to us. _i: we are the client, the server. */
START_TEST(sc05_our_own_authenticator_is_refused) {
        g_auto(Pair) p = { 0 };
        End *us, *them;
        const Frame *answer = NULL;

        pair_init(&p, ASKS | GIVES, ASKS | GIVES | FIRST);
        us = _i == 0 ? &p.client : &p.server;
        them = pair_peer(&p, us);
        pair_exchange(&p);
        mock_answer(us->mock, ATT_EVENT_REQUEST);
        mock_answer(them->mock, ATT_EVENT_REQUEST);
        pair_exchange(&p);
        mock_answer(us->mock, ATT_EVENT_EVIDENCE);
        (void) end_drive(us);
        answer = us->sent->pdata[us->sent->len - 1];
        ck_assert_int_eq(answer->type, ATT_FRAME_AUTHENTICATOR);
        inject_message(us, ATT_FRAME_AUTHENTICATOR, answer->payload);
        (void) end_drive(us);
        mock_answer(us->mock, ATT_EVENT_VERDICT);
        (void) end_drive(us);
        ck_failed(us, ATTESTD_ERROR_REFUSED, "context-mismatch");
}
END_TEST

/* Builds a request of the peer's role with this context. */
static GBytes *request_of(AttRole role, GBytes *context) {
        const uint16_t scheme = ATT_SCHEME_ECDSA_SECP256R1_SHA256;

        return att_tls_request_build(role == ATT_ROLE_SERVER ? ATT_TLS_CERTIFICATE_REQUEST :
                                                               ATT_TLS_CLIENT_CERTIFICATE_REQUEST,
                                     context, &scheme, 1, ATT_CMW_ATTESTATION_DEFAULT);
}

/* SC-05 and SC-11f: our own context comes back, in a request of the peer. */
START_TEST(sc05_our_own_context_in_a_request_is_refused) {
        g_auto(Pair) p = { 0 };
        g_autoptr(GBytes) request = NULL;

        pair_init(&p, ASKS | GIVES, ASKS | GIVES);
        pair_exchange(&p);
        mock_answer(p.client.mock, ATT_EVENT_REQUEST);
        (void) end_drive(&p.client);
        request = request_of(ATT_ROLE_SERVER, p.client.mock->context);
        inject_message(&p.client, ATT_FRAME_REQUEST, request);
        (void) end_drive(&p.client);
        ck_failed(&p.client, ATTESTD_ERROR_PROTOCOL, "context");
        ck_assert_uint_eq(p.client.mock->keys->len, 0); /* attestd was not asked */
}
END_TEST

/* SC-11f: the peer uses a context twice; another one is fine. */
START_TEST(sc11f_a_context_is_answered_once) {
        g_auto(Pair) p = { 0 };
        const Frame *first;
        g_autoptr(GBytes) bytes = NULL;

        pair_open(&p, ASKS, GIVES);
        first = p.client.sent->pdata[1];
        ck_assert_int_eq(first->type, ATT_FRAME_REQUEST);
        if (_i == 0) {
                bytes = g_bytes_ref(first->payload);
        } else {
                g_autoptr(GBytes) other = g_bytes_new("another context, of 32 bytes too", 32);

                bytes = request_of(ATT_ROLE_CLIENT, other);
        }
        inject_message(&p.server, ATT_FRAME_REQUEST, bytes);
        (void) end_drive(&p.server);
        if (_i == 0)
                ck_failed(&p.server, ATTESTD_ERROR_PROTOCOL, "context");
        else
                ck_assert(mock_has(p.server.mock, ATT_EVENT_EVIDENCE));
}
END_TEST

START_TEST(a_request_of_our_own_role_is_refused) {
        g_autoptr(GBytes) context = g_bytes_new("0123456789abcdef0123456789abcdef", 32);
        g_autoptr(GBytes) request = request_of(ATT_ROLE_SERVER, context);
        g_auto(Pair) p = { 0 };

        pair_init(&p, ASKS, GIVES);
        pair_exchange(&p);
        inject_message(&p.server, ATT_FRAME_REQUEST, request);
        (void) end_drive(&p.server);
        ck_failed(&p.server, ATTESTD_ERROR_PROTOCOL, "unsupported-type");
}
END_TEST

/* SC-11d: evidence under an extension that we did not offer. _i: the one we did. */
START_TEST(sc11d_an_extension_that_was_not_offered_is_refused) {
        const uint16_t code_point = _i == 0 ? 0xfe00 : ATT_CMW_ATTESTATION_DEFAULT;
        g_autoptr(AttEaDraft) draft = NULL;
        g_autoptr(GBytes) message = NULL, signature = NULL, authenticator = NULL, cmw = g_bytes_new("mock", 4);
        g_auto(AttEaRequest) request = { 0 };
        g_auto(AttEaKeys) keys = { 0 };
        const AttestdEndpoint *e;
        const Frame *asks;
        g_auto(Pair) p = { 0 };

        pair_init(&p, ASKS, GIVES);
        asked(&p);
        e = p.server.endpoint;
        asks = p.client.sent->pdata[1];
        ck_assert(att_ea_request_read(asks->payload, ATT_ROLE_CLIENT, ATT_CMW_ATTESTATION_DEFAULT, &request, NULL));
        ea_keys_of(p.hash, p.secret, ATT_ROLE_SERVER, &keys);
        draft = att_ea_draft_new(&keys, &request, e->certificates, code_point, cmw, NULL);
        message = att_ea_draft_to_be_signed(draft);
        signature = e->sign(att_ea_draft_scheme(draft), message, e->userdata, NULL);
        authenticator = att_ea_draft_finish(draft, signature, NULL);
        ck_assert_ptr_nonnull(authenticator);
        inject_message(&p.client, ATT_FRAME_AUTHENTICATOR, authenticator);
        (void) end_drive(&p.client);
        mock_answer(p.client.mock, ATT_EVENT_VERDICT);
        (void) end_drive(&p.client);
        ck_failed(&p.client, ATTESTD_ERROR_REFUSED, _i == 0 ? "extension-not-offered" : "cmw-malformed");
}
END_TEST

/* SC-11d, the other way: we do not answer with what was not asked for. */
START_TEST(sc11d_gives_no_extension_that_was_not_offered) {
        AttestdEndpoint *server = endpoint_new(GIVES);
        g_auto(Pair) p = { 0 };

        attestd_endpoint_set_code_point(server, 0xfe00);
        pair_init_with(&p, ATT_HASH_SHA256, endpoint_new(ASKS), server);
        pair_settle(&p);
        ck_failed(&p.client, ATTESTD_ERROR_REFUSED, "empty-authenticator");
        ck_failed(&p.server, ATTESTD_ERROR_REFUSED_BY_PEER, "code point 0xFE00");
        ck_assert_uint_eq(p.server.mock->keys->len, 0);
}
END_TEST

/* SC-06c: no exporter, no exchange; at each end. */
START_TEST(sc06c_an_exporter_that_fails_ends_the_exchange) {
        g_auto(Pair) p = { 0 }, twin = { 0 };
        End *broken;

        pair_init(&p, ASKS, GIVES);
        broken = _i == 0 ? &p.client : &p.server;
        broken->memory->export_fails = true;
        pair_settle(&p);
        ck_failed(broken, ATTESTD_ERROR_TLS, "no exporter");
        ck_are_closed(&p);
        ck_assert_uint_eq(p.server.mock->n_attested * (guint) _i, 0);

        pair_open(&twin, ASKS, GIVES);
}
END_TEST

/* SC-14: challenges differ, are long enough, and a bad one does not leave. */
START_TEST(sc14a_two_challenges_differ) {
        g_auto(Pair) p = { 0 };
        const Frame *first, *second;
        GError *error = NULL;

        pair_open(&p, ASKS, GIVES);
        ck_assert_int_ne(attestd_connection_renew(p.client.connection, &error), ATTESTD_FAILED);
        pair_settle(&p);
        assert_sent(&p.client, "hello request accepted request accepted");
        first = p.client.sent->pdata[1];
        second = p.client.sent->pdata[3];
        ck_assert(!g_bytes_equal(first->payload, second->payload));
}
END_TEST

START_TEST(sc14a_a_verifier_that_repeats_itself_is_not_used) {
        g_auto(Pair) p = { 0 };

        pair_init(&p, ASKS, GIVES);
        p.client.mock->same_context = true;
        pair_settle(&p);
        ck_is_open(&p.client);
        (void) attestd_connection_renew(p.client.connection, NULL);
        pair_settle(&p);
        ck_failed(&p.client, ATTESTD_ERROR_SERVICE, "context");
        ck_assert_uint_eq(count_sent(&p.client, ATT_FRAME_REQUEST), 1);
}
END_TEST

START_TEST(sc14b_a_challenge_has_32_bytes) {
        g_auto(Pair) p = { 0 };
        const Frame *request;
        AttTlsRequest parsed;

        pair_init(&p, ASKS, GIVES);
        p.client.mock->cut_context = _i == 0 ? 0 : 31;
        pair_settle(&p);
        if (_i != 0) {
                ck_failed(&p.client, ATTESTD_ERROR_SERVICE, "not what was asked for");
                ck_assert_uint_eq(count_sent(&p.client, ATT_FRAME_REQUEST), 0);
                return;
        }
        request = p.client.sent->pdata[1];
        ck_assert(att_tls_request_parse(request->payload, &parsed, NULL));
        ck_assert_uint_eq(parsed.context.left, 32);
}
END_TEST

/* SC-14c: the verifier cannot draw one. */
START_TEST(sc14c_no_challenge_is_an_error_and_no_default) {
        g_auto(Pair) p = { 0 };

        pair_init(&p, ASKS, GIVES);
        mock_fail_next(p.client.mock, ATT_EVENT_REQUEST, "org.attestd.Error.Failed: no random numbers");
        pair_settle(&p);
        ck_failed(&p.client, ATTESTD_ERROR_SERVICE, "no random numbers");
        ck_assert_uint_eq(count_sent(&p.client, ATT_FRAME_REQUEST), 0);
}
END_TEST

/* SC-17: no evidence is kept: each authenticator has its own, for the key that it shows. */
START_TEST(sc17_each_authenticator_asks_for_evidence_for_its_own_key) {
        g_auto(Pair) p = { 0 };

        pair_open(&p, ASKS, GIVES);
        (void) attestd_connection_renew(p.client.connection, NULL);
        pair_settle(&p);
        ck_assert_uint_eq(p.server.mock->keys->len, 2);
        ck_assert_uint_eq(p.server.mock->n_attested, 2);
        ck_assert(g_bytes_equal(p.server.mock->keys->pdata[0], p.server.endpoint->spki));
}
END_TEST

/* The evidence speaks of another key than the authenticator shows. */
START_TEST(sc17_evidence_for_a_former_key_is_refused) {
        g_autoptr(EVP_PKEY) former = pki_key("P-256");
        g_auto(Pair) p = { 0 };
        MockCall *call;

        pair_init(&p, ASKS, GIVES);
        pair_exchange(&p);
        pair_answer(&p, &p.client, ATT_EVENT_REQUEST);
        call = g_queue_peek_head(&p.server.mock->calls);
        if (_i == 0) {
                g_bytes_unref(call->public_key);
                call->public_key = pki_spki(former);
        }
        pair_settle(&p);
        if (_i == 0)
                ck_failed(&p.client, ATTESTD_ERROR_REFUSED, "evidence-binding");
        else
                ck_is_open(&p.client);
}
END_TEST

/* Legality: states, and the types that may come in each. Other types are refused
 * before their payload is looked at. */

typedef void Reach(Pair *p);

static void nothing(Pair *p) {
        (void) p;
}

static void greeted(Pair *p) {
        pair_exchange(p);
}

static void asked(Pair *p) {
        greeted(p);
        pair_answer(p, &p->client, ATT_EVENT_REQUEST);
}

static void answered(Pair *p) {
        asked(p);
        pair_answer(p, &p->server, ATT_EVENT_EVIDENCE);
}

static void open_both(Pair *p) {
        pair_settle(p);
}

static void renewing(Pair *p) {
        open_both(p);
        (void) attestd_connection_renew(p->client.connection, NULL);
        pair_answer(p, &p->client, ATT_EVENT_REQUEST);
}

static void renewal_answered(Pair *p) {
        renewing(p);
        pair_answer(p, &p->server, ATT_EVENT_EVIDENCE);
}

static void stale_told(Pair *p) {
        open_both(p);
        mock_change(p->server.mock);
        pair_exchange(p);
}

static void stale_asked(Pair *p) {
        stale_told(p);
        pair_answer(p, &p->client, ATT_EVENT_REQUEST);
}

static void stale_answered(Pair *p) {
        stale_asked(p);
        pair_answer(p, &p->server, ATT_EVENT_EVIDENCE);
}

/* The server has answered, and tells of a change before the verdict is here. */
static void stale_crossing(Pair *p) {
        answered(p);
        mock_change(p->server.mock);
        (void) end_drive(&p->server);
        (void) pair_deliver(p, &p->client, SIZE_MAX);
        (void) end_drive(&p->client);
}

/* The server asks as well, and has the client's request. */
static void held(Pair *p) {
        asked(p);
        pair_answer(p, &p->server, ATT_EVENT_REQUEST);
}

static void client_ended(Pair *p) {
        open_both(p);
        (void) attestd_connection_end(p->client.connection, NULL);
        pair_exchange(p);
}

static void server_ended(Pair *p) {
        open_both(p);
        (void) attestd_connection_end(p->server.connection, NULL);
        pair_exchange(p);
}

static const struct {
        const char *name;
        Reach *reach;
        int client, server;
        const char *client_takes, *server_takes;
} states[] = {
        { "nothing", nothing, ASKS, GIVES, "0", "0" },
        { "greeted", greeted, ASKS, GIVES, "49", "149" },
        { "asked", asked, ASKS, GIVES, "249", "49" },
        { "answered", answered, ASKS, GIVES, "459", "3469" },
        { "open", open_both, ASKS, GIVES, "4589", "1489" },
        { "renewing", renewing, ASKS, GIVES, "24589", "489" },
        { "renewal answered", renewal_answered, ASKS, GIVES, "4589", "34689" },
        { "stale told", stale_told, ASKS, GIVES, "49", "1489" },
        { "stale asked", stale_asked, ASKS, GIVES, "249", "489" },
        { "stale answered", stale_answered, ASKS, GIVES, "459", "134689" },
        { "stale crossing", stale_crossing, ASKS, GIVES, "49", "13469" },
        { "client ended", client_ended, ASKS, GIVES, "4589", "" },
        { "server ended", server_ended, ASKS, GIVES, "", "1489" },
        { "greeted, mutual", greeted, ASKS | GIVES, ASKS | GIVES, "149", "149" },
        { "asked, mutual", asked, ASKS | GIVES, ASKS | GIVES, "1249", "49" },
        { "held", held, ASKS | GIVES, ASKS | GIVES, "249", "249" },
        { "answered, mutual", answered, ASKS | GIVES, ASKS | GIVES | FIRST, "1459", "3469" },
        { "open, mutual", open_both, ASKS | GIVES, ASKS | GIVES, "14589", "14589" },
        { "stale told, mutual", stale_told, ASKS | GIVES, ASKS | GIVES, "149", "14589" },
};

/* Is a frame of @type refused for its time, in this state? */
static bool is_out_of_place(size_t state, bool at_client, AttFrameType type) {
        const uint8_t filler[] = { 0xff };
        g_auto(Pair) p = { 0 };
        End *end;

        pair_init(&p, states[state].client, states[state].server);
        states[state].reach(&p);
        end = at_client ? &p.client : &p.server;
        inject(end, type, filler, att_frame_max(type) > 0 ? sizeof filler : 0);
        (void) end_drive(end);
        if (end->error && g_error_matches(end->error, ATTESTD_ERROR, ATTESTD_ERROR_PROTOCOL) &&
            strstr(end->error->message, "is not allowed now")) {
                ck_assert(end->memory->out_closed);
                return true;
        }
        /* After "end" nothing is read any more, which is as good. */
        return end->memory->in->len > 0;
}

START_TEST(takes_each_frame_in_its_states_only) {
        for (unsigned type = 0; type < ATT_FRAME_TYPES; type++) {
                const char digit = (char) ('0' + type);

                for (int at_client = 0; at_client < 2; at_client++) {
                        const char *takes = at_client ? states[_i].client_takes : states[_i].server_takes;

                        ck_assert_msg(is_out_of_place((size_t) _i, at_client, type) == !strchr(takes, digit),
                                      "%s: %s at the %s", states[_i].name, att_frame_name(type),
                                      at_client ? "client" : "server");
                }
        }
}
END_TEST

/* Hostile bytes. */

static void refuses_bytes(const void *data, size_t size, const char *reason) {
        g_auto(Pair) p = { 0 };

        pair_init(&p, ASKS, GIVES);
        inject_bytes(&p.server, data, size);
        ck_assert_int_eq(end_drive(&p.server), ATTESTD_FAILED);
        ck_failed(&p.server, ATTESTD_ERROR_PROTOCOL, reason);
        assert_sent(&p.server, "hello refused");
        ck_assert(p.server.memory->out_closed);
}

/* What is no frame: the first byte says so, and an answer would be noise. */
START_TEST(names_a_peer_that_speaks_no_attestation) {
        static const char *const said[] = {
                "GET / HTTP/1.1\r\nHost: example.org\r\n\r\n", "HTTP/1.0 400\r\n", "\n", "\x15\x03\x03", "\xff",
                "handshake failure",
        };

        for (size_t i = 0; i < G_N_ELEMENTS(said); i++) {
                g_auto(Pair) p = { 0 };

                pair_init(&p, ASKS, GIVES);
                inject_bytes(&p.server, said[i], strlen(said[i]));
                ck_assert_int_eq(end_drive(&p.server), ATTESTD_FAILED);
                ck_failed(&p.server, ATTESTD_ERROR_PROTOCOL, "no-attestation: the peer speaks no attestation");
                assert_sent(&p.server, "hello");
                ck_assert(p.server.memory->out_closed);
        }
}
END_TEST

/* Who has said hello speaks it, and is told. */
START_TEST(refuses_an_unknown_type_after_hello) {
        const uint8_t frame[ATT_FRAME_HEADER_SIZE] = { ATT_FRAME_TYPES };
        g_auto(Pair) p = { 0 };

        pair_init(&p, ASKS, GIVES);
        pair_exchange(&p);
        inject_bytes(&p.server, frame, sizeof frame);
        ck_assert_int_eq(end_drive(&p.server), ATTESTD_FAILED);
        ck_failed(&p.server, ATTESTD_ERROR_PROTOCOL, "unknown type 10");
        assert_sent(&p.server, "hello refused");
}
END_TEST

/* SC-34: the header decides: at the cap, over it, at the most that can be written. */
START_TEST(sc34_a_size_over_the_limit_is_refused_by_its_header) {
        for (unsigned type = 0; type < ATT_FRAME_TYPES; type++) {
                const uint64_t max = att_frame_max(type);
                const uint64_t sizes[] = { max + 1, UINT32_MAX };

                for (size_t i = 0; i < G_N_ELEMENTS(sizes); i++) {
                        g_autoptr(GByteArray) header = g_byte_array_new();

                        att_put_be(header, type, 1);
                        att_put_be(header, sizes[i], 4);
                        refuses_bytes(header->data, header->len, "over");
                }
        }
}
END_TEST

START_TEST(sc34_a_size_at_the_limit_is_waited_for) {
        const uint8_t header[] = { ATT_FRAME_HELLO, 0, 0, 0x10, 0 };
        g_auto(Pair) p = { 0 };

        pair_init(&p, ASKS, GIVES);
        inject_bytes(&p.server, header, sizeof header);
        ck_assert_int_eq(end_drive(&p.server), ATTESTD_WANT_READ);
}
END_TEST

/* SC-34d: nobody asks, and nobody has room: frames that are not due take none. */
START_TEST(sc34_a_large_frame_that_is_not_due_is_refused_by_its_header) {
        const uint8_t header[] = { ATT_FRAME_LOG_ENTRIES, 0, 0x10, 0, 0 };

        refuses_bytes(header, sizeof header, "not allowed now");
}
END_TEST

/* SC-34: a peer that asks and does not read makes us hold one answer. */
START_TEST(sc34_a_peer_that_does_not_read_is_not_listened_to) {
        g_auto(Pair) p = { 0 };
        size_t before;
        char *data = g_malloc0(1 << 20);
        gsize n;

        pair_open(&p, ASKS, GIVES);
        p.server.memory->room = 0;
        ck_assert_int_eq(attestd_connection_write(p.server.connection, data, 1 << 20, &n, NULL), ATTESTD_WANT_WRITE);
        ck_assert_uint_eq(n, 0);
        /* One data frame is under way, and no second one. */
        before = p.server.memory->pending->len;
        ck_assert_uint_eq(before, ATT_FRAME_DATA_MAX + ATT_FRAME_HEADER_SIZE);
        ck_assert_int_eq(attestd_connection_write(p.server.connection, data, 1 << 20, &n, NULL), ATTESTD_WANT_WRITE);
        ck_assert_uint_eq(p.server.memory->pending->len, before);
        g_free(data);
}
END_TEST

/* SC-34: data that nobody reads is taken up to a cap. */
START_TEST(sc34_data_that_is_not_read_stays_outside) {
        g_autofree uint8_t *data = g_malloc0(ATT_FRAME_DATA_MAX);
        g_auto(Pair) p = { 0 };
        gsize n, total = 0;
        gboolean stale;

        pair_open(&p, ASKS, GIVES);
        for (unsigned i = 0; i < 2 * ATT_CONNECTION_INBOX_MAX / ATT_FRAME_DATA_MAX; i++)
                inject(&p.client, ATT_FRAME_DATA, data, ATT_FRAME_DATA_MAX);
        inject(&p.client, ATT_FRAME_END, NULL, 0);
        (void) end_drive(&p.client);
        ck_assert_uint_ge(p.client.memory->in->len, ATT_CONNECTION_INBOX_MAX);

        /* A renewal cannot get past it. */
        ck_assert_int_eq(attestd_connection_renew(p.client.connection, NULL), ATTESTD_READ_FIRST);
        while (attestd_connection_read(p.client.connection, data, ATT_FRAME_DATA_MAX, &n, &stale, NULL) == ATTESTD_DONE)
                total += n;
        ck_assert_uint_eq(total, 2 * ATT_CONNECTION_INBOX_MAX);
}
END_TEST

/* Nobody else tells of what the transport holds. _i: the call stops at so many frames, or for want of room */
START_TEST(a_call_that_stops_early_is_due_at_once) {
        static const struct {
                guint n_frames;
                gsize size;
        } cases[] = { { 600, 1 }, { 100, ATT_FRAME_DATA_MAX } };
        g_autofree uint8_t *data = g_malloc0(ATT_FRAME_DATA_MAX);
        g_auto(Pair) p = { 0 };
        AttestdConnection *c;
        gsize n, total = 0;

        pair_open(&p, ASKS, GIVES);
        c = p.client.connection;
        for (guint i = 0; i < cases[_i].n_frames; i++)
                inject(&p.client, ATT_FRAME_DATA, data, cases[_i].size);
        do {
                ck_assert_int_eq(end_drive(&p.client), ATTESTD_DONE);
                for (; attestd_connection_pending(c) > 0; total += n)
                        ck_assert_int_eq(attestd_connection_read(c, data, ATT_FRAME_DATA_MAX, &n, NULL, NULL),
                                         ATTESTD_DONE);
        } while (attestd_connection_timeout_ms(c) == 0);
        ck_assert_uint_eq(total, cases[_i].n_frames * cases[_i].size);
}
END_TEST

/* SC-34: frames of one byte take a hundred times that. */
START_TEST(sc34_small_frames_count_for_what_they_take) {
        const guint n_frames = 20000, most = ATT_CONNECTION_INBOX_MAX / 128;
        g_auto(Pair) p = { 0 };
        gboolean stale;
        guint before;

        pair_open(&p, ASKS, GIVES);
        before = p.client.received->len;
        for (guint i = 0; i < n_frames; i++)
                inject(&p.client, ATT_FRAME_DATA, "x", 1);
        do
                (void) end_drive(&p.client);
        while (attestd_connection_timeout_ms(p.client.connection) == 0);
        ck_assert_uint_le(p.client.received->len - before, most);
        ck_assert_uint_gt(p.client.received->len - before, most * 9 / 10);
        ck_assert_int_eq(attestd_connection_renew(p.client.connection, NULL), ATTESTD_READ_FIRST);

        { /* What is read makes room for the rest. */
                g_autofree char *text = end_read(&p.client, &stale);

                ck_assert_uint_eq(strlen(text), n_frames);
        }
}
END_TEST

/* SC-34: a peer that always leaves a byte unread makes us keep that, and no more. */
START_TEST(sc34_what_is_sent_is_not_kept) {
        g_auto(Pair) p = { 0 };
        Memory *m;
        size_t frame = 0;

        pair_init(&p, ASKS, GIVES);
        m = p.server.memory;
        play_hello(&p.server, ASKS);
        (void) end_drive(&p.server);
        for (int i = 0; i < 100; i++) {
                g_autoptr(GBytes) context = play_request(&p.server, ATT_CMW_ATTESTATION_DEFAULT);

                m->room = 0;
                p.clock += G_USEC_PER_SEC;
                (void) end_drive(&p.server);
                ck_assert(mock_answer(p.server.mock, ATT_EVENT_EVIDENCE));
                (void) end_drive(&p.server);
                play_accepted(&p.server, context);
                m->room = m->pending->len - 1;
                (void) end_drive(&p.server);
                ck_assert_uint_eq(m->room, 0);
                if (i == 0)
                        frame = att_connection_out_size(p.server.connection) + m->n_written;
                ck_assert_uint_le(att_connection_out_size(p.server.connection), frame);
        }
        m->room = SIZE_MAX;
        (void) end_drive(&p.server);
        ck_assert_uint_eq(count_sent(&p.server, ATT_FRAME_AUTHENTICATOR), 100);
        ck_assert_uint_eq(att_connection_out_size(p.server.connection), 0);
}
END_TEST

/* What a peer may ask of us. */

static GBytes *ask_and_answer(End *end) {
        GBytes *context = play_request(end, ATT_CMW_ATTESTATION_DEFAULT);

        (void) end_drive(end);
        if (mock_answer(end->mock, ATT_EVENT_EVIDENCE))
                (void) end_drive(end);
        return context;
}

static void ask_and_accept(End *end) {
        g_autoptr(GBytes) context = ask_and_answer(end);

        play_accepted(end, context);
        (void) end_drive(end);
}

/* SC-38: a stranger is not given report after report. _i: it keeps its verdict to itself, or not. */
START_TEST(sc38_a_further_request_needs_a_verdict) {
        g_autoptr(GBytes) context = NULL;
        g_auto(Pair) p = { 0 };

        pair_init(&p, ASKS, GIVES);
        play_hello(&p.server, ASKS);
        context = ask_and_answer(&p.server);
        if (_i == 1)
                play_accepted(&p.server, context);
        g_bytes_unref(ask_and_answer(&p.server));
        if (_i == 0)
                ck_failed(&p.server, ATTESTD_ERROR_PROTOCOL, "request is not allowed now");
        ck_assert_uint_eq(p.server.mock->n_attested, _i == 0 ? 1 : 2);
}
END_TEST

/* SC-38: nor is one that accepts whatever comes. */
START_TEST(sc38_requests_come_at_a_bounded_rate) {
        g_auto(Pair) p = { 0 };

        pair_init(&p, ASKS, GIVES);
        play_hello(&p.server, ASKS);
        for (int i = 0; i < 4; i++)
                ask_and_accept(&p.server);
        for (int i = 0; i < 50; i++) {
                p.clock += G_USEC_PER_SEC;
                ask_and_accept(&p.server);
                ck_is_open(&p.server);
        }
        ck_assert_uint_eq(p.server.mock->n_attested, 54);

        p.clock += G_USEC_PER_SEC - 1;
        ask_and_accept(&p.server);
        ck_failed(&p.server, ATTESTD_ERROR_PROTOCOL, "too many requests");
        ck_assert_uint_eq(p.server.mock->n_attested, 54);
        ck_assert(p.server.memory->out_closed);
}
END_TEST

/* SC-38: each change of ours is worth two more, of which one needs no verdict on the last. */
START_TEST(sc38_a_change_allows_two_more_requests) {
        g_auto(Pair) p = { 0 };

        pair_init(&p, ASKS, GIVES);
        play_hello(&p.server, ASKS);
        for (int i = 0; i < 4; i++)
                ask_and_accept(&p.server);
        mock_change(p.server.mock);
        (void) end_drive(&p.server);
        ck_is_closed(&p.server);
        g_bytes_unref(ask_and_answer(&p.server)); /* crosses the stale: no verdict */
        ask_and_accept(&p.server);
        ck_is_open(&p.server);
        ck_assert_uint_eq(p.server.mock->n_attested, 6);
        ask_and_accept(&p.server);
        ck_failed(&p.server, ATTESTD_ERROR_PROTOCOL, "too many requests");
        ck_assert_uint_eq(p.server.mock->n_attested, 6);
}
END_TEST

START_TEST(sc38_one_request_crosses_a_stale) {
        g_auto(Pair) p = { 0 };

        pair_init(&p, ASKS, GIVES);
        play_hello(&p.server, ASKS);
        ask_and_accept(&p.server);
        mock_change(p.server.mock);
        (void) end_drive(&p.server);
        g_bytes_unref(ask_and_answer(&p.server));
        g_bytes_unref(ask_and_answer(&p.server));
        ck_assert_ptr_null(strstr(p.server.error ? p.server.error->message : "", "not allowed"));
        g_bytes_unref(ask_and_answer(&p.server));
        ck_failed(&p.server, ATTESTD_ERROR_PROTOCOL, "request is not allowed now");
        ck_assert_uint_eq(p.server.mock->n_attested, 3);
}
END_TEST

/* SC-38: our own changes do not use up what the peer may ask. */
START_TEST(sc38_any_number_of_changes_is_answered) {
        g_auto(Pair) p = { 0 };

        pair_open(&p, ASKS, GIVES);
        for (guint i = 0; i < 50; i++) {
                mock_change(p.server.mock);
                pair_settle(&p);
                ck_are_open(&p);
                ck_assert_uint_eq(p.server.mock->n_attested, i + 2);
        }
}
END_TEST

/* SC-38: requests that cannot be answered are cheap for the peer, and few. At the
 * verifier they take nothing. _i: they offer no evidence, or another code point. */
START_TEST(sc38_two_empty_answers_are_enough) {
        static const uint16_t code_points[] = { 0, ATT_CMW_ATTESTATION_DEFAULT + 1 };
        g_auto(Pair) p = { 0 };

        pair_init(&p, ASKS | GIVES, ASKS | GIVES);
        play_hello(&p.client, ASKS | GIVES);
        for (guint i = 0; i < 3; i++) {
                g_autoptr(GBytes) context = play_request(&p.client, code_points[_i]);

                (void) end_drive(&p.client);
                (void) end_drive(&p.client);
                ck_assert_uint_eq(count_sent(&p.client, ATT_FRAME_AUTHENTICATOR), MIN(i + 1, 2));
                play_accepted(&p.client, context);
                p.clock += G_USEC_PER_SEC;
        }
        ck_failed(&p.client, ATTESTD_ERROR_PROTOCOL, "too many requests");
        ck_assert_uint_eq(p.client.mock->recorded->len, 0);
}
END_TEST

/* We keep to it ourselves, however often the application wants to renew. */
START_TEST(sc38_our_own_requests_keep_to_the_rate) {
        g_auto(Pair) p = { 0 };
        guint n = 0;

        pair_open(&p, ASKS, GIVES);
        while (n < 3) {
                AttestdStatus status = attestd_connection_renew(p.client.connection, NULL);

                ck_assert_int_ne(status, ATTESTD_FAILED);
                n += status == ATTESTD_DONE;
                pair_settle(&p);
        }
        ck_assert_uint_eq(p.server.mock->n_attested, 4);
        ck_assert_int_ne(attestd_connection_renew(p.client.connection, NULL), ATTESTD_DONE);
        pair_settle(&p);
        ck_assert_uint_eq(p.server.mock->n_attested, 4);
        ck_is_open(&p.client); /* what there is still stands */
        ck_assert_int_eq(attestd_connection_timeout_ms(p.client.connection), 2000);

        while (n < 50) {
                AttestdStatus status = attestd_connection_renew(p.client.connection, NULL);

                ck_assert_int_ne(status, ATTESTD_FAILED);
                if (status == ATTESTD_DONE)
                        n++;
                else
                        p.clock += (int64_t) attestd_connection_timeout_ms(p.client.connection) * 1000;
                pair_settle(&p);
        }
        ck_is_open(&p.server);
        ck_assert_uint_eq(p.server.mock->n_attested, 51);
}
END_TEST

/* Evidence of a server that asks as well is for clients that it has accepted.
 * _i: so, or as configured otherwise, or accepted never. */
START_TEST(a_server_that_asks_gives_last) {
        g_auto(Pair) p = { 0 };

        pair_init(&p, ASKS | GIVES, ASKS | GIVES | (_i == 1 ? FIRST : 0));
        held(&p);
        ck_assert_int_eq(mock_has(p.server.mock, ATT_EVENT_EVIDENCE), _i == 1);
        ck_assert_uint_eq(p.server.mock->recorded->len, _i == 1);
        ck_assert(mock_has(p.client.mock, ATT_EVENT_EVIDENCE)); /* a client does not wait */
        pair_answer(&p, &p.client, ATT_EVENT_EVIDENCE);
        ck_assert_int_eq(mock_has(p.server.mock, ATT_EVENT_EVIDENCE), _i == 1);
        if (_i == 2)
                p.server.mock->refuses = "evidence-policy: not you";
        pair_answer(&p, &p.server, ATT_EVENT_VERDICT);
        ck_assert_int_eq(mock_has(p.server.mock, ATT_EVENT_EVIDENCE), _i != 2);
        pair_settle(&p);
        if (_i == 2) {
                ck_failed(&p.client, ATTESTD_ERROR_REFUSED_BY_PEER, "not you");
                ck_assert_uint_eq(p.server.mock->n_attested, 0);
        } else {
                ck_are_open(&p);
        }
}
END_TEST

/* Whom a server gives to, by what it knows of the client before its own verdict. */
START_TEST(a_server_gives_to_whom_it_is_told) {
        static const struct {
                int server;
                AttestdGiveTo to;
                bool is_verified;
                enum { AT_ONCE, AFTER_VERDICT, NEVER } gives;
        } cases[] = {
                { GIVES, ATTESTD_GIVE_TO_AUTHENTICATED, false, NEVER },
                { GIVES, ATTESTD_GIVE_TO_AUTHENTICATED, true, AT_ONCE },
                { GIVES, ATTESTD_GIVE_TO_ANYONE, false, AT_ONCE },
                { ASKS | GIVES, ATTESTD_GIVE_TO_AUTHENTICATED, false, AFTER_VERDICT },
                { ASKS | GIVES, ATTESTD_GIVE_TO_AUTHENTICATED, true, AT_ONCE },
                { ASKS | GIVES, ATTESTD_GIVE_TO_ACCEPTED, true, AFTER_VERDICT },
                { ASKS | GIVES, ATTESTD_GIVE_TO_ANYONE, false, AT_ONCE },
        };
        AttestdEndpoint *server = endpoint_new(cases[_i].server);
        g_auto(Pair) p = { 0 };

        attestd_endpoint_set_give_to(server, cases[_i].to);
        pair_init_with(&p, ATT_HASH_SHA256, endpoint_new(ASKS | GIVES), server);
        p.server.memory->base.peer_is_verified = cases[_i].is_verified;
        asked(&p);
        ck_assert_int_eq(mock_has(p.server.mock, ATT_EVENT_EVIDENCE), cases[_i].gives == AT_ONCE);
        pair_settle(&p);
        ck_assert_uint_eq(p.server.mock->n_attested, cases[_i].gives != NEVER);
        if (cases[_i].gives != NEVER) {
                ck_are_open(&p);
                return;
        }
        ck_failed(&p.client, ATTESTD_ERROR_REFUSED, "empty-authenticator");
        ck_failed(&p.server, ATTESTD_ERROR_REFUSED_BY_PEER, "only to clients that have authenticated");
}
END_TEST

/* The same after a change of the client; and a change of the server while it holds
 * the request, which has crossed the stale then. */
START_TEST(a_server_gives_last_after_a_change_too) {
        g_auto(Pair) p = { 0 };

        pair_open(&p, ASKS | GIVES, ASKS | GIVES);
        mock_change(p.client.mock);
        (void) end_drive(&p.client);
        (void) attestd_connection_renew(p.client.connection, NULL);
        pair_answer(&p, &p.client, ATT_EVENT_REQUEST);
        ck_assert(!mock_has(p.server.mock, ATT_EVENT_EVIDENCE));
        if (_i == 1) {
                mock_change(p.server.mock);
                pair_exchange(&p);
                ck_assert_uint_eq(count_sent(&p.server, ATT_FRAME_STALE), 1);
        }
        ck_assert_uint_eq(p.server.mock->n_attested, 1);
        pair_settle(&p);
        ck_are_open(&p);
        ck_assert_uint_eq(p.server.mock->n_attested, _i == 1 ? 3 : 2);
        ck_assert_uint_eq(p.client.mock->n_attested, 2);
}
END_TEST

START_TEST(refuses_a_data_frame_without_data) {
        g_auto(Pair) p = { 0 };

        pair_open(&p, ASKS, GIVES);
        inject(&p.client, ATT_FRAME_DATA, NULL, 0);
        ck_assert_int_eq(end_drive(&p.client), ATTESTD_FAILED);
        ck_failed(&p.client, ATTESTD_ERROR_PROTOCOL, "without data");
}
END_TEST

START_TEST(refuses_payloads_that_do_not_parse) {
        static const struct {
                Reach *reach;
                bool at_client;
                AttFrameType type;
        } cases[] = {
                { nothing, true, ATT_FRAME_HELLO },   { greeted, false, ATT_FRAME_REQUEST },
                { answered, false, ATT_FRAME_ACCEPTED }, { greeted, false, ATT_FRAME_REFUSED },
                { open_both, true, ATT_FRAME_STALE },
        };
        g_auto(Pair) p = { 0 };
        End *end;

        pair_init(&p, ASKS, GIVES);
        cases[_i].reach(&p);
        end = cases[_i].at_client ? &p.client : &p.server;
        inject(end, cases[_i].type, "\xa1\x01", 2);
        ck_assert_int_eq(end_drive(end), ATTESTD_FAILED);
        ck_failed(end, ATTESTD_ERROR_PROTOCOL, "");
        ck_assert_uint_eq(count_sent(end, ATT_FRAME_REFUSED), 1);
}
END_TEST

START_TEST(refuses_an_acceptance_of_another_context) {
        g_autoptr(GBytes) other = g_bytes_new("another context, of 32 bytes too", 32);
        g_autoptr(GBytes) payload = att_accepted_encode(other);
        g_auto(Pair) p = { 0 };

        pair_init(&p, ASKS, GIVES);
        answered(&p);
        inject_message(&p.server, ATT_FRAME_ACCEPTED, payload);
        ck_assert_int_eq(end_drive(&p.server), ATTESTD_FAILED);
        ck_failed(&p.server, ATTESTD_ERROR_PROTOCOL, "another context");
}
END_TEST

/* What the peer's end is told, byte by byte cut off: closed as refused wherever it
 * ends, and never open. _i: with close_notify, or cut. */
START_TEST(an_end_of_stream_anywhere_is_no_end) {
        g_autoptr(GByteArray) stream = g_byte_array_new();
        size_t n;

        { /* what the server would send */
                g_auto(Pair) p = { 0 };

                pair_open(&p, ASKS, GIVES);
                end_write(&p.server, "data");
                for (guint i = 0; i < p.server.sent->len; i++) {
                        const Frame *f = p.server.sent->pdata[i];
                        gsize size;
                        const void *data = g_bytes_get_data(f->payload, &size);

                        if (f->type != ATT_FRAME_AUTHENTICATOR)
                                att_frame_put(stream, f->type, data, size);
                }
        }
        for (n = 0; n < stream->len; n++) {
                g_auto(Pair) p = { 0 };

                pair_init(&p, ASKS, GIVES);
                if (n > 0 && n == stream->len - 1)
                        pair_settle(&p);
                else
                        inject_bytes(&p.client, stream->data, n);
                p.client.memory->in_closed = _i == 0;
                p.client.memory->in_cut = _i != 0;
                ck_assert_int_eq(end_drive(&p.client), ATTESTD_FAILED);
                ck_assert_int_eq(p.client.error->domain, ATTESTD_ERROR);
                ck_assert(p.client.error->code == ATTESTD_ERROR_CLOSED ||
                          p.client.error->code == ATTESTD_ERROR_PROTOCOL);
                ck_is_closed(&p.client);
        }
}
END_TEST

START_TEST(an_end_of_stream_inside_data_is_no_end) {
        static const uint8_t part[] = { ATT_FRAME_DATA, 0, 0, 0, 4, 'd', 'a' };

        for (size_t n = 0; n <= sizeof part; n++) {
                g_auto(Pair) p = { 0 };

                pair_open(&p, ASKS, GIVES);
                inject_bytes(&p.client, part, n);
                p.client.memory->in_closed = _i == 0;
                p.client.memory->in_cut = _i != 0;
                ck_reads(&p.client, "", FALSE);
                ck_failed(&p.client, ATTESTD_ERROR_CLOSED, n > 0 && _i == 0 ? "inside a frame" : "");
        }
}
END_TEST

START_TEST(data_before_a_cut_is_still_delivered) {
        g_auto(Pair) p = { 0 };

        pair_open(&p, ASKS, GIVES);
        end_write(&p.server, "last words");
        (void) pair_deliver(&p, &p.client, SIZE_MAX);
        p.client.memory->in_cut = true;
        ck_assert_int_eq(end_drive(&p.client), ATTESTD_FAILED);
        ck_reads(&p.client, "last words", FALSE);
        ck_failed(&p.client, ATTESTD_ERROR_CLOSED, "cut");
}
END_TEST

/* Data. */

START_TEST(carries_data_of_any_size) {
        const gsize sizes[] = { 1, ATT_FRAME_DATA_MAX, ATT_FRAME_DATA_MAX + 1, 100000 };
        g_auto(Pair) p = { 0 };

        pair_open(&p, ASKS, GIVES);
        for (size_t i = 0; i < G_N_ELEMENTS(sizes); i++) {
                g_autofree uint8_t *data = g_malloc(sizes[i]), *back = g_malloc(sizes[i]);
                gsize n, total = 0;

                for (gsize k = 0; k < sizes[i]; k++)
                        data[k] = (uint8_t) (k * 7 + k / 251);
                ck_assert_int_eq(attestd_connection_write(p.client.connection, data, sizes[i], &n, NULL), ATTESTD_DONE);
                ck_assert_uint_eq(n, sizes[i]);
                (void) pair_deliver(&p, &p.server, SIZE_MAX);
                while (total < sizes[i]) {
                        ck_assert_int_eq(attestd_connection_read(p.server.connection, back + total, sizes[i] - total,
                                                                 &n, NULL, NULL), ATTESTD_DONE);
                        total += n;
                }
                ck_assert_mem_eq(back, data, sizes[i]);
        }
        for (guint i = 0; i < p.client.sent->len; i++) {
                const Frame *f = p.client.sent->pdata[i];

                ck_assert_uint_le(g_bytes_get_size(f->payload), att_frame_max(f->type));
        }
}
END_TEST

START_TEST(a_write_goes_on_where_it_stopped) {
        const gsize size = 3 * ATT_FRAME_DATA_MAX + 17;
        g_autofree uint8_t *data = g_malloc0(size);
        g_auto(Pair) p = { 0 };
        gsize at = 0;

        pair_open(&p, ASKS, GIVES);
        p.client.memory->room = 0;
        while (at < size) {
                gsize n;
                AttestdStatus status = attestd_connection_write(p.client.connection, data + at, size - at, &n, NULL);

                ck_assert(status == ATTESTD_DONE || (status == ATTESTD_WANT_WRITE && n == 0));
                at += n;
                if (status == ATTESTD_WANT_WRITE)
                        p.client.memory->room = 5000;
        }
        ck_assert_uint_eq(count_sent(&p.client, ATT_FRAME_DATA), 4);
        pair_exchange(&p);
        ck_assert_int_eq(end_drive(&p.server), ATTESTD_DONE);
}
END_TEST

START_TEST(a_write_that_wants_must_be_repeated) {
        g_auto(Pair) p = { 0 };
        gsize n;

        pair_open(&p, ASKS, GIVES);
        p.client.memory->room = 0;
        ck_assert_int_eq(attestd_connection_write(p.client.connection, "1234", 4, &n, NULL), ATTESTD_WANT_WRITE);
        ck_assert_int_eq(attestd_connection_write(p.client.connection, "123", 3, &n, &p.client.error), ATTESTD_FAILED);
        ck_failed(&p.client, ATTESTD_ERROR_INVALID, "the same data");
        g_clear_error(&p.client.error);
        p.client.memory->room = SIZE_MAX;
        ck_assert_int_eq(attestd_connection_write(p.client.connection, "1234", 4, &n, NULL), ATTESTD_DONE);
        ck_assert_uint_eq(n, 4);
}
END_TEST

/* A write before the gate is open opens it first. */
START_TEST(a_write_waits_for_the_gate) {
        g_auto(Pair) p = { 0 };
        AttestdStatus status;
        gsize n;

        pair_init(&p, ASKS, GIVES);
        ck_assert_int_eq(attestd_connection_write(p.client.connection, "x", 1, &n, NULL), ATTESTD_WANT_READ);
        pair_settle(&p);
        status = attestd_connection_write(p.client.connection, "x", 1, &n, NULL);
        ck_assert_int_eq(status, ATTESTD_DONE);
        assert_sent(&p.client, "hello request accepted data");
}
END_TEST

START_TEST(ends_in_order) {
        g_auto(Pair) p = { 0 };
        char data[1];
        gsize n;

        pair_open(&p, ASKS, GIVES);
        end_write(&p.client, "request");
        ck_assert_int_eq(attestd_connection_end(p.client.connection, NULL), ATTESTD_DONE);
        ck_assert_int_eq(attestd_connection_end(p.client.connection, NULL), ATTESTD_DONE); /* once is enough */
        ck_assert(p.client.memory->out_closed);
        ck_assert_int_eq(attestd_connection_write(p.client.connection, "x", 1, &n, &p.client.error), ATTESTD_FAILED);
        ck_failed(&p.client, ATTESTD_ERROR_INVALID, "ended");

        /* The other direction is still there. */
        (void) pair_deliver(&p, &p.server, SIZE_MAX);
        ck_reads(&p.server, "request", FALSE);
        ck_assert_int_eq(attestd_connection_read(p.server.connection, data, 1, &n, NULL, NULL), ATTESTD_END);
        end_write(&p.server, "answer");
        ck_assert_int_eq(attestd_connection_end(p.server.connection, NULL), ATTESTD_DONE);
        (void) pair_deliver(&p, &p.client, SIZE_MAX);
        ck_reads(&p.client, "answer", FALSE);
        ck_assert_int_eq(attestd_connection_read(p.client.connection, data, 1, &n, NULL, NULL), ATTESTD_END);
        assert_sent(&p.client, "hello request accepted data end");
}
END_TEST

/* It has said all and is gone: our own end reaches nobody, and nobody misses it.
 * _i: without its "end" it is a failure. */
START_TEST(ends_after_a_peer_that_is_gone) {
        g_auto(Pair) p = { 0 };
        AttestdStatus status;

        pair_open(&p, ASKS, GIVES);
        if (_i == 0)
                ck_assert_int_eq(attestd_connection_end(p.client.connection, NULL), ATTESTD_DONE);
        (void) pair_deliver(&p, &p.server, SIZE_MAX);
        (void) end_drive(&p.server);
        g_clear_error(&p.server.error);
        p.server.memory->is_gone = true;
        status = attestd_connection_end(p.server.connection, &p.server.error);
        if (_i == 0) {
                ck_assert_int_eq(status, ATTESTD_DONE);
        } else {
                ck_assert_int_eq(status, ATTESTD_FAILED);
                ck_failed(&p.server, ATTESTD_ERROR_CLOSED, "");
        }
}
END_TEST

/* An end with a limit of its own. */

static void owing_and_deaf(Pair *p) {
        asked(p);
        p->server.memory->room = 0;
        mock_answer(p->server.mock, ATT_EVENT_EVIDENCE);
        (void) end_drive(&p->server);
}

/* More has come than one call takes in, and there is no room. */
static void talking_and_deaf(Pair *p) {
        open_both(p);
        for (int i = 0; i < 300; i++)
                inject(&p->server, ATT_FRAME_DATA, "x", 1);
        p->server.memory->room = 0;
        (void) end_drive(&p->server);
        ck_assert_int_eq(attestd_connection_timeout_ms(p->server.connection), 0);
}

static Reach *const deaf[] = { owing_and_deaf, talking_and_deaf };

/* SC-38: a peer that owes us something and does not read does not keep us at the end. */
START_TEST(sc38_an_end_that_is_not_taken_has_a_limit) {
        g_auto(Pair) p = { 0 };

        pair_init(&p, ASKS, GIVES);
        deaf[_i](&p);
        p.clock += (int64_t) (MOCK_TIMEOUT_MS + 1000) * 1000;
        ck_assert_int_eq(attestd_connection_end(p.server.connection, &p.server.error), ATTESTD_WANT_WRITE);
        ck_assert_int_eq(attestd_connection_timeout_ms(p.server.connection), MOCK_TIMEOUT_MS);
        p.clock += (int64_t) MOCK_TIMEOUT_MS * 1000 - 1;
        ck_assert_int_eq(attestd_connection_end(p.server.connection, &p.server.error), ATTESTD_WANT_WRITE);
        p.clock += 1;
        ck_assert_int_eq(attestd_connection_timeout_ms(p.server.connection), 0);
        ck_assert_int_eq(attestd_connection_end(p.server.connection, &p.server.error), ATTESTD_FAILED);
        ck_failed(&p.server, ATTESTD_ERROR_TIMED_OUT, "did not take our end");
        ck_assert_int_eq(attestd_connection_timeout_ms(p.server.connection), -1);
}
END_TEST

/* The service has something to say meanwhile. */
static void change(End *end, guint n) {
        if (n == 1)
                mock_change(end->mock);
}

static void make_room(End *end, guint n) {
        change(end, n);
        if (n == 2)
                end->memory->room = SIZE_MAX;
}

/* The same where calls block; the twin has a peer that reads in the end. */
START_TEST(sc38_an_end_that_blocks_has_a_limit) {
        g_auto(Pair) p = { 0 }, twin = { 0 };
        Memory *m;

        pair_init(&p, ASKS, GIVES);
        deaf[_i](&p);
        p.server.memory->base.blocks = true;
        p.server.memory->on_wait = change;
        ck_assert_int_eq(attestd_connection_end(p.server.connection, &p.server.error), ATTESTD_FAILED);
        ck_failed(&p.server, ATTESTD_ERROR_TIMED_OUT, "did not take our end");

        pair_init(&twin, ASKS, GIVES);
        deaf[_i](&twin);
        m = twin.server.memory;
        m->base.blocks = true;
        m->on_wait = make_room;
        ck_assert_int_eq(attestd_connection_end(twin.server.connection, NULL), ATTESTD_DONE);
        ck_assert_uint_eq(count_sent(&twin.server, ATT_FRAME_END), 1);
        ck_assert(m->out_closed);
}
END_TEST

/* We have ended: no verdict, and no request, makes a difference any more, and what
 * the peer says to the end is read. */
static Reach *const owing[] = { renewing, renewal_answered, greeted };

START_TEST(nothing_is_owed_after_the_end) {
        g_auto(Pair) p = { 0 };
        char data;
        gsize n;

        pair_init(&p, ASKS, GIVES);
        owing[_i](&p);
        ck_assert_int_eq(attestd_connection_end(p.server.connection, NULL), ATTESTD_DONE);
        mock_answer(p.server.mock, ATT_EVENT_EVIDENCE); /* too late to be sent */
        (void) end_drive(&p.server);
        p.clock += (int64_t) 10 * MOCK_TIMEOUT_MS * 1000;
        if (_i < 2) {
                inject(&p.server, ATT_FRAME_DATA, "and last", 8);
                ck_reads(&p.server, "and last", FALSE);
        }
        ck_assert_int_eq(attestd_connection_read(p.server.connection, &data, 1, &n, NULL, NULL), ATTESTD_WANT_READ);
        ck_assert_int_eq(attestd_connection_timeout_ms(p.server.connection), -1);
}
END_TEST

/* What we were about to ask, or held back, is not done any more. */
START_TEST(nothing_is_begun_after_the_end) {
        g_auto(Pair) p = { 0 };
        gsize n;
        char data;

        pair_init(&p, ASKS | GIVES, ASKS | GIVES);
        held(&p);
        ck_assert_int_eq(attestd_connection_end(p.server.connection, NULL), ATTESTD_DONE);
        mock_answer(p.client.mock, ATT_EVENT_EVIDENCE);
        (void) end_drive(&p.client);
        (void) pair_deliver(&p, &p.server, SIZE_MAX);
        (void) end_drive(&p.server);
        ck_assert(mock_answer(p.server.mock, ATT_EVENT_VERDICT));
        ck_assert_int_eq(attestd_connection_read(p.server.connection, &data, 1, &n, NULL, NULL), ATTESTD_WANT_READ);
        ck_assert(!mock_has(p.server.mock, ATT_EVENT_EVIDENCE));

        {       /* the verifier has made a request that does not leave any more */
                g_auto(Pair) q = { 0 };

                pair_init(&q, GIVES, ASKS);
                greeted(&q);
                ck_assert_int_eq(attestd_connection_end(q.server.connection, NULL), ATTESTD_DONE);
                ck_assert(mock_answer(q.server.mock, ATT_EVENT_REQUEST));
                (void) end_drive(&q.server);
                ck_assert_uint_eq(count_sent(&q.server, ATT_FRAME_REQUEST), 0);
                ck_assert_int_eq(attestd_connection_timeout_ms(q.server.connection), -1);
        }
}
END_TEST

/* Writing fails before what the peer last said is read: its reason counts. */
START_TEST(hears_the_last_words_of_a_peer_that_is_gone) {
        g_autoptr(GBytes) none = g_bytes_new(NULL, 0), refused = att_refused_encode(none, "evidence-policy: no");
        g_auto(Pair) p = { 0 };
        gsize n;

        pair_open(&p, ASKS, GIVES);
        p.server.memory->is_gone = true;
        if (_i == 0)
                inject_message(&p.server, ATT_FRAME_REFUSED, refused);
        ck_assert_int_eq(attestd_connection_write(p.server.connection, "x", 1, &n, &p.server.error), ATTESTD_FAILED);
        if (_i == 0)
                ck_failed(&p.server, ATTESTD_ERROR_REFUSED_BY_PEER, "evidence-policy: no");
        else
                ck_failed(&p.server, ATTESTD_ERROR_CLOSED, "");
}
END_TEST

/* Renewal. */

START_TEST(renews_after_stale_and_holds_data_meanwhile) {
        g_auto(Pair) p = { 0 };
        gsize n;

        pair_open(&p, ASKS, GIVES);
        mock_change(p.server.mock);
        (void) end_drive(&p.server);
        ck_is_closed(&p.server);
        ck_is_open(&p.client); /* does not know yet */
        (void) pair_deliver(&p, &p.client, SIZE_MAX);
        (void) end_drive(&p.client);
        ck_is_closed(&p.client);
        ck_assert_int_ne(attestd_connection_write(p.client.connection, "c", 1, &n, NULL), ATTESTD_DONE);
        ck_assert_int_ne(attestd_connection_write(p.server.connection, "s", 1, &n, NULL), ATTESTD_DONE);
        ck_assert_uint_eq(count_sent(&p.client, ATT_FRAME_DATA), 0);

        pair_settle(&p);
        ck_are_open(&p);
        end_write(&p.client, "c");
        end_write(&p.server, "s");
        pair_exchange(&p);
        ck_reads(&p.client, "s", FALSE);
        ck_reads(&p.server, "c", FALSE);
        assert_sent(&p.client, "hello request accepted request accepted data");
        assert_sent(&p.server, "hello authenticator stale authenticator data");
}
END_TEST

START_TEST(data_in_flight_is_delivered_and_marked) {
        g_auto(Pair) p = { 0 };

        pair_open(&p, ASKS, GIVES);
        end_write(&p.server, "before");
        end_write(&p.client, "not yet read, ");
        pair_exchange(&p);
        end_write(&p.client, "unaware");
        mock_change(p.server.mock);
        (void) end_drive(&p.server);
        pair_exchange(&p);
        ck_reads(&p.client, "before", TRUE);
        ck_reads(&p.server, "not yet read, unaware", TRUE);

        pair_settle(&p);
        end_write(&p.server, "after");
        pair_exchange(&p);
        ck_reads(&p.client, "after", FALSE);
}
END_TEST

START_TEST(data_that_waits_to_be_read_is_marked) {
        g_auto(Pair) p = { 0 };

        pair_open(&p, ASKS, GIVES);
        end_write(&p.client, "waits");
        pair_exchange(&p);
        mock_change(p.server.mock);
        (void) end_drive(&p.server);
        ck_reads(&p.server, "waits", TRUE);
}
END_TEST

/* A read does not mix what is stale with what is not. */
START_TEST(a_read_stops_where_stale_ends) {
        g_auto(Pair) p = { 0 };
        gboolean stale;
        char data[16];
        gsize n;

        pair_open(&p, ASKS, GIVES);
        end_write(&p.server, "old");
        mock_change(p.server.mock);
        pair_settle(&p);
        end_write(&p.server, "new");
        pair_exchange(&p);
        ck_assert_int_eq(attestd_connection_read(p.client.connection, data, sizeof data, &n, &stale, NULL),
                         ATTESTD_DONE);
        ck_assert_uint_eq(n, 3);
        ck_assert(stale);
        ck_assert_int_eq(attestd_connection_read(p.client.connection, data, sizeof data, &n, &stale, NULL),
                         ATTESTD_DONE);
        ck_assert_uint_eq(n, 3);
        ck_assert(!stale);
}
END_TEST

/* A6 of the model: the context is older than the stale, the evidence late. */
START_TEST(an_answer_to_an_older_context_opens_nothing) {
        g_auto(Pair) p = { 0 };

        pair_init(&p, ASKS, GIVES);
        asked(&p);
        mock_seal(p.server.mock);          /* generation 1 */
        mock_change(p.server.mock);        /* generation 2; nobody has evidence yet */
        mock_answer(p.server.mock, ATT_EVENT_EVIDENCE);
        pair_exchange(&p);                 /* authenticator, then stale, at the client */
        assert_sent(&p.server, "hello authenticator stale");
        pair_answer(&p, &p.client, ATT_EVENT_VERDICT);
        ck_assert_uint_eq(count_sent(&p.client, ATT_FRAME_ACCEPTED), 0);
        ck_are_closed(&p);
        pair_settle(&p);
        ck_are_open(&p);
        assert_sent(&p.client, "hello request request accepted");
}
END_TEST

/* The same, with the verdict already out when stale comes: both close again. */
START_TEST(stale_crosses_accepted) {
        g_auto(Pair) p = { 0 };

        pair_init(&p, ASKS, GIVES);
        answered(&p);
        mock_answer(p.client.mock, ATT_EVENT_VERDICT);
        (void) end_drive(&p.client);
        ck_is_open(&p.client);
        mock_change(p.server.mock);
        (void) end_drive(&p.server);
        pair_exchange(&p);
        ck_are_closed(&p); /* that acceptance was of the old state */
        pair_settle(&p);
        ck_are_open(&p);
}
END_TEST

START_TEST(stale_during_a_renewal_asks_once_more) {
        g_auto(Pair) p = { 0 };

        pair_init(&p, ASKS, GIVES);
        renewing(&p);
        mock_change(p.server.mock); /* while attestd works on the renewal */
        pair_exchange(&p);
        ck_is_closed(&p.client);
        pair_answer(&p, &p.server, ATT_EVENT_EVIDENCE); /* of which nobody wants a verdict any more */
        ck_are_closed(&p);
        pair_settle(&p);
        ck_are_open(&p);
        assert_sent(&p.server, "hello authenticator stale authenticator authenticator");
        assert_sent(&p.client, "hello request accepted request request accepted");
}
END_TEST

/* The report of that renewal was of the state before: the peer, told once, asks again anyway. */
START_TEST(a_void_answer_is_not_told_of_twice) {
        g_auto(Pair) p = { 0 };

        pair_init(&p, ASKS, GIVES);
        renewing(&p);
        mock_seal(p.server.mock);
        mock_change(p.server.mock);
        pair_settle(&p);
        ck_are_open(&p);
        ck_assert_uint_eq(count_sent(&p.server, ATT_FRAME_STALE), 1);
        ck_assert_uint_eq(p.server.mock->n_attested, 3);
}
END_TEST

/* attestd told of the change before it delivered a report of the time before it. */
START_TEST(an_answer_that_is_older_than_the_last_change_is_told_of) {
        g_auto(Pair) p = { 0 };

        pair_init(&p, ASKS, GIVES);
        stale_asked(&p);
        p.server.mock->tells_once = true;
        mock_seal(p.server.mock);
        mock_change(p.server.mock);
        pair_exchange(&p);
        ck_assert_uint_eq(count_sent(&p.server, ATT_FRAME_STALE), 1);
        pair_answer(&p, &p.server, ATT_EVENT_EVIDENCE);
        ck_assert_uint_eq(count_sent(&p.server, ATT_FRAME_STALE), 2);
        pair_answer(&p, &p.client, ATT_EVENT_VERDICT);
        ck_are_closed(&p);
        pair_settle(&p);
        ck_are_open(&p);
}
END_TEST

/* A request that the verifier was still making is not sent at all. */
START_TEST(a_request_made_too_early_is_not_sent) {
        g_auto(Pair) p = { 0 };

        pair_open(&p, ASKS, GIVES);
        (void) attestd_connection_renew(p.client.connection, NULL); /* begins to make one */
        mock_change(p.server.mock);
        pair_exchange(&p);
        pair_answer(&p, &p.client, ATT_EVENT_REQUEST);
        ck_assert_uint_eq(count_sent(&p.client, ATT_FRAME_REQUEST), 1);
        pair_settle(&p);
        ck_assert_uint_eq(count_sent(&p.client, ATT_FRAME_REQUEST), 2);
        ck_is_open(&p.client);
}
END_TEST

/* Changes while the peer asks anyway are not told one by one. */
START_TEST(many_changes_are_one_stale) {
        g_auto(Pair) p = { 0 };

        pair_open(&p, ASKS, GIVES);
        for (int i = 0; i < 10; i++) {
                mock_change(p.server.mock);
                pair_exchange(&p);
        }
        pair_settle(&p);
        ck_is_open(&p.client);
        ck_assert_uint_eq(count_sent(&p.server, ATT_FRAME_STALE), 1);
        ck_assert_uint_eq(p.server.mock->n_attested, 2);
}
END_TEST

/* An older generation than the one told of, with equal ids, is refused even for a fresh context. */
START_TEST(evidence_of_a_generation_before_stale_is_refused) {
        g_auto(Pair) p = { 0 };

        pair_open(&p, ASKS, GIVES);
        mock_change(p.server.mock);
        pair_exchange(&p);
        p.server.mock->state.generation -= (uint64_t) _i; /* a service that goes back */
        pair_answer(&p, &p.client, ATT_EVENT_REQUEST);
        mock_answer(p.server.mock, ATT_EVENT_EVIDENCE);
        (void) end_drive(&p.server);
        if (_i == 1) { /* a server of ours would tell again: a hostile one does not */
                g_byte_array_set_size(p.server.memory->out, 0);
                for (guint i = p.server.sent->len - 2; i < p.server.sent->len; i++) {
                        const Frame *f = p.server.sent->pdata[i];

                        if (f->type == ATT_FRAME_AUTHENTICATOR)
                                inject(&p.client, f->type, g_bytes_get_data(f->payload, NULL),
                                       g_bytes_get_size(f->payload));
                }
        } else {
                (void) pair_deliver(&p, &p.client, SIZE_MAX);
        }
        (void) end_drive(&p.client);
        mock_answer(p.client.mock, ATT_EVENT_VERDICT);
        (void) end_drive(&p.client);
        if (_i == 0) {
                ck_is_open(&p.client);
        } else {
                ck_failed(&p.client, ATTESTD_ERROR_REFUSED, "evidence-stale");
        }
}
END_TEST

/* FT-16: attestd restarts; its generations begin anew, under another instance id. */
START_TEST(ft16_loss_of_attestd_is_stale) {
        g_auto(Pair) p = { 0 };

        pair_open(&p, ASKS, GIVES);
        for (int i = 0; i < 3; i++)
                mock_change(p.server.mock);
        pair_settle(&p);
        ck_is_open(&p.client);
        mock_restart(p.server.mock);
        pair_exchange(&p);
        ck_are_closed(&p);
        pair_settle(&p);
        ck_are_open(&p);
}
END_TEST

START_TEST(stale_then_close) {
        g_auto(Pair) p = { 0 };
        char data;
        gsize n;

        pair_open(&p, ASKS, GIVES);
        end_write(&p.server, "last");
        mock_change(p.server.mock);
        (void) end_drive(&p.server);
        ck_assert_int_eq(attestd_connection_end(p.server.connection, NULL), ATTESTD_DONE);
        pair_exchange(&p);
        ck_reads(&p.client, "last", TRUE);
        ck_assert_int_eq(attestd_connection_read(p.client.connection, &data, 1, &n, NULL, NULL), ATTESTD_END);
        /* Nobody will renew it. */
        ck_assert_int_eq(attestd_connection_write(p.client.connection, "x", 1, &n, &p.client.error), ATTESTD_FAILED);
        ck_failed(&p.client, ATTESTD_ERROR_CLOSED, "the gate is closed");
}
END_TEST

START_TEST(mutual_renewals_do_not_wait_for_each_other) {
        g_auto(Pair) p = { 0 };

        pair_open(&p, ASKS | GIVES, ASKS | GIVES);
        mock_change(p.server.mock);
        mock_change(p.client.mock);
        pair_exchange(&p);
        ck_are_closed(&p);
        pair_settle(&p);
        ck_are_open(&p);
        ck_assert_uint_eq(p.client.mock->n_attested, 2);
        ck_assert_uint_eq(p.server.mock->n_attested, 2);
}
END_TEST

START_TEST(renew_is_done_with_evidence_made_after_it) {
        g_auto(Pair) p = { 0 };

        pair_open(&p, ASKS, GIVES);
        /* A renewal by age is under way already … */
        p.clock += 10 * G_TIME_SPAN_MINUTE;
        (void) end_drive(&p.client);
        pair_answer(&p, &p.client, ATT_EVENT_REQUEST);
        /* … which is not what was asked for now. */
        ck_assert_int_ne(attestd_connection_renew(p.client.connection, NULL), ATTESTD_DONE);
        pair_answer(&p, &p.server, ATT_EVENT_EVIDENCE);
        pair_answer(&p, &p.client, ATT_EVENT_VERDICT);
        ck_is_open(&p.client);
        ck_assert_int_ne(attestd_connection_renew(p.client.connection, NULL), ATTESTD_DONE);
        pair_settle(&p);
        ck_assert_int_eq(attestd_connection_renew(p.client.connection, NULL), ATTESTD_DONE);
        ck_assert_uint_eq(p.server.mock->n_attested, 3);
}
END_TEST

START_TEST(a_side_that_does_not_ask_cannot_renew) {
        g_auto(Pair) p = { 0 };

        pair_open(&p, ASKS, GIVES);
        ck_assert_int_eq(attestd_connection_renew(p.server.connection, &p.server.error), ATTESTD_FAILED);
        ck_failed(&p.server, ATTESTD_ERROR_INVALID, "does not ask");
        ck_is_open(&p.server);
}
END_TEST

/* Time. */

/* SC-15: the relying party does not wait to be told. */
START_TEST(sc15a_asks_again_at_the_maximum_age) {
        g_auto(Pair) p = { 0 };

        pair_open(&p, ASKS, GIVES);
        ck_assert_int_eq(attestd_connection_timeout_ms(p.client.connection), 600 * 1000);
        p.clock += 10 * G_TIME_SPAN_MINUTE - 1;
        pair_settle(&p);
        ck_assert_uint_eq(p.server.mock->n_attested, 1);
        p.clock += 1;
        ck_assert_int_eq(attestd_connection_timeout_ms(p.client.connection), 0);
        pair_settle(&p);
        ck_assert_uint_eq(p.server.mock->n_attested, 2);
        ck_are_open(&p);
}
END_TEST

/* Nobody drove it: what is far too old opens no gate, and what comes on it is marked. */
START_TEST(sc15a_evidence_far_over_its_age_opens_no_gate) {
        g_auto(Pair) p = { 0 };
        gsize n;

        pair_open(&p, ASKS, GIVES);
        p.clock += G_TIME_SPAN_HOUR;
        ck_is_closed(&p.client);
        end_write(&p.server, "old");
        (void) pair_deliver(&p, &p.client, SIZE_MAX);
        ck_reads(&p.client, "old", TRUE);
        ck_assert_int_ne(attestd_connection_write(p.client.connection, "x", 1, &n, NULL), ATTESTD_DONE);
        pair_settle(&p);
        ck_is_open(&p.client);
}
END_TEST

START_TEST(never_asks_again_if_so_configured) {
        AttestdEndpoint *client = endpoint_new(ASKS);
        g_auto(Pair) p = { 0 };

        attestd_endpoint_set_max_age(client, 0);
        pair_init_with(&p, ATT_HASH_SHA256, client, endpoint_new(GIVES));
        pair_settle(&p);
        ck_assert_int_eq(attestd_connection_timeout_ms(p.client.connection), -1);
        p.clock += G_TIME_SPAN_DAY * 1000;
        pair_settle(&p);
        ck_is_open(&p.client);
        ck_assert_uint_eq(p.server.mock->n_attested, 1);
}
END_TEST

static void opened_and_told(Pair *p) {
        gsize n;

        pair_settle(p);
        mock_change(p->server.mock);
        (void) end_drive(&p->server);
        (void) attestd_connection_write(p->server.connection, "x", 1, &n, NULL);
}

/* A peer that keeps silent in each state in which it owes something. */
static const struct {
        Reach *reach;
        bool client; /* waits */
        const char *message;
} silences[] = {
        { nothing, true, "no hello" },
        { nothing, false, "no hello" },
        { greeted, false, "no request" },
        { asked, true, "no verdict on evidence" },
        { answered, false, "no verdict" },
        { renewal_answered, false, "no verdict" },
        { renewing, true, "no verdict on evidence" },
        { opened_and_told, false, "for a write" },
};

START_TEST(does_not_wait_for_ever) {
        g_auto(Pair) p = { 0 };
        End *end;
        int left;

        pair_init(&p, ASKS, GIVES);
        silences[_i].reach(&p);
        end = silences[_i].client ? &p.client : &p.server;
        left = attestd_connection_timeout_ms(end->connection);
        ck_assert_int_gt(left, 0);
        ck_assert_int_le(left, MOCK_TIMEOUT_MS);
        p.clock += (int64_t) left * 1000 - 1;
        ck_assert_int_ne(end_drive(end), ATTESTD_FAILED);
        p.clock += 1;
        ck_assert_int_eq(end_drive(end), ATTESTD_FAILED);
        ck_failed(end, ATTESTD_ERROR_TIMED_OUT, silences[_i].message);
        ck_assert_uint_eq(count_sent(end, ATT_FRAME_REFUSED), 1);
}
END_TEST

/* We were slow, not the peer: its answer waits in the transport. */
START_TEST(an_answer_that_is_here_is_in_time) {
        g_auto(Pair) p = { 0 };

        pair_init(&p, ASKS, GIVES);
        answered(&p);
        mock_answer(p.client.mock, ATT_EVENT_VERDICT);
        (void) end_drive(&p.client);
        (void) pair_deliver(&p, &p.server, SIZE_MAX);
        p.clock += (int64_t) 10 * MOCK_TIMEOUT_MS * 1000;
        ck_assert_int_eq(end_drive(&p.server), ATTESTD_DONE);
}
END_TEST

/* How much the client reads of what a server sends that has no end, up to @most. */
static gsize read_stream(Pair *p, gsize most) {
        g_autofree uint8_t *data = g_malloc0(ATT_FRAME_DATA_MAX);
        gsize n = 0, total = 0;
        gboolean stale;

        g_clear_error(&p->client.error);
        do {
                total += n;
                inject(&p->client, ATT_FRAME_DATA, data, ATT_FRAME_DATA_MAX);
        } while (total < most && attestd_connection_read(p->client.connection, data, ATT_FRAME_DATA_MAX, &n, &stale,
                                                         &p->client.error) == ATTESTD_DONE);
        return total;
}

/* Data that is under way may be before an answer; a peer that never stops may not be
 * without one for ever. _i: does the answer come in the end? */
START_TEST(sc38_a_peer_that_goes_on_talking_has_a_time_limit) {
        const gsize sockets = 8u << 20, endless = 64u << 20;
        g_auto(Pair) p = { 0 };

        pair_open(&p, ASKS, GIVES);
        p.clock += 10 * G_TIME_SPAN_MINUTE;
        (void) end_drive(&p.client);
        pair_answer(&p, &p.client, ATT_EVENT_REQUEST);
        p.clock += (int64_t) MOCK_TIMEOUT_MS * 1000 - 1;
        ck_assert_uint_eq(read_stream(&p, endless), endless);
        p.clock += 1;
        ck_assert_uint_eq(read_stream(&p, sockets), sockets);
        if (_i == 0) {
                ck_assert_uint_lt(read_stream(&p, endless), endless);
                ck_failed(&p.client, ATTESTD_ERROR_TIMED_OUT, "no verdict");
        } else {
                mock_answer(p.server.mock, ATT_EVENT_EVIDENCE);
                (void) end_drive(&p.server);
                (void) pair_deliver(&p, &p.client, SIZE_MAX);
                while (!mock_answer(p.client.mock, ATT_EVENT_VERDICT))
                        ck_assert_uint_eq(read_stream(&p, ATT_FRAME_DATA_MAX), ATT_FRAME_DATA_MAX);
                ck_assert_uint_eq(read_stream(&p, endless), endless);
                ck_is_open(&p.client);
        }
}
END_TEST

/* SC-45a: at every level of the log, nothing that is secret or binds. */
static GString *logged;

static GLogWriterOutput keep_log(GLogLevelFlags level, const GLogField *fields, gsize n, gpointer data) {
        (void) level, (void) data;
        for (gsize i = 0; i < n; i++)
                if (fields[i].length < 0)
                        g_string_append_printf(logged, "%s=%s\n", fields[i].key, (const char *) fields[i].value);
        return G_LOG_WRITER_HANDLED;
}

static void not_logged(const void *data, size_t size) {
        g_autofree char *base64 = g_base64_encode(data, size);
        GString *hex = g_string_new(NULL);

        for (size_t i = 0; i < size; i++)
                g_string_append_printf(hex, "%02x", ((const uint8_t *) data)[i]);
        ck_assert_ptr_null(strstr(logged->str, hex->str));
        ck_assert_ptr_null(strstr(logged->str, base64));
        ck_assert_ptr_null(memmem(logged->str, logged->len, data, size));
        g_string_free(hex, TRUE);
}

START_TEST(sc45a_nothing_secret_is_logged) {
        g_auto(Pair) p = { 0 };
        g_auto(AttEaKeys) keys = { 0 };
        MockCall *call;

        logged = g_string_new(NULL);
        g_log_set_writer_func(keep_log, NULL, NULL);
        pair_init(&p, ASKS, GIVES);
        asked(&p);
        call = g_queue_peek_head(&p.server.mock->calls);
        {
                g_autoptr(GBytes) exported = g_bytes_ref(call->exported), context = g_bytes_ref(call->context);

                pair_answer(&p, &p.server, ATT_EVENT_EVIDENCE);
                call = g_queue_peek_head(&p.client.mock->calls);
                keys = call->keys;
                p.client.mock->refuses = "evidence-policy: no";
                pair_settle(&p);
                ck_assert_ptr_nonnull(strstr(logged->str, "received authenticator")); /* it was listened to */
                not_logged(g_bytes_get_data(exported, NULL), g_bytes_get_size(exported));
                not_logged(g_bytes_get_data(context, NULL), g_bytes_get_size(context));
        }
        not_logged(keys.handshake_context, 32);
        not_logged(keys.finished_key, 32);
        not_logged(p.secret, 32);
}
END_TEST

int main(void) {
        Suite *s = suite_create("connection");
        TCase *t = tcase_create("open");

        tcase_add_test(t, opens_for_a_client_that_asks);
        tcase_add_test(t, opens_for_a_server_that_asks);
        tcase_add_test(t, opens_when_both_ask);
        tcase_add_test(t, opens_no_gate_before_its_time);
        tcase_add_test(t, wants_what_it_waits_for);
        tcase_add_test(t, fails_when_neither_asks);
        tcase_add_test(t, sc11g_an_empty_authenticator_is_a_refusal);
        tcase_add_test(t, a_service_that_fails_gives_an_empty_authenticator);
        tcase_add_loop_test(t, a_verifier_that_fails_opens_nothing, 0, 2);
        tcase_add_test(t, tells_the_peer_why_it_is_refused);
        tcase_add_loop_test(t, the_lists_can_only_be_narrowed, 0, 3);
        tcase_add_loop_test(t, offers_batches_unless_told_not_to, 0, 2);
        tcase_add_test(t, asks_whatever_hello_says);
        suite_add_tcase(s, t);

        t = tcase_create("binding");
        tcase_add_test(t, sc01_evidence_of_another_connection_is_refused);
        tcase_add_test(t, sc01_an_authenticator_of_another_connection_is_refused);
        tcase_add_loop_test(t, sc05_our_own_authenticator_is_refused, 0, 2);
        tcase_add_test(t, sc05_our_own_context_in_a_request_is_refused);
        tcase_add_loop_test(t, sc11f_a_context_is_answered_once, 0, 2);
        tcase_add_test(t, a_request_of_our_own_role_is_refused);
        tcase_add_loop_test(t, sc11d_an_extension_that_was_not_offered_is_refused, 0, 2);
        tcase_add_test(t, sc11d_gives_no_extension_that_was_not_offered);
        tcase_add_loop_test(t, sc06c_an_exporter_that_fails_ends_the_exchange, 0, 2);
        tcase_add_test(t, sc14a_two_challenges_differ);
        tcase_add_test(t, sc14a_a_verifier_that_repeats_itself_is_not_used);
        tcase_add_loop_test(t, sc14b_a_challenge_has_32_bytes, 0, 2);
        tcase_add_test(t, sc14c_no_challenge_is_an_error_and_no_default);
        tcase_add_test(t, sc17_each_authenticator_asks_for_evidence_for_its_own_key);
        tcase_add_loop_test(t, sc17_evidence_for_a_former_key_is_refused, 0, 2);
        suite_add_tcase(s, t);

        t = tcase_create("hostile");
        tcase_add_loop_test(t, takes_each_frame_in_its_states_only, 0, (int) G_N_ELEMENTS(states));
        tcase_add_test(t, names_a_peer_that_speaks_no_attestation);
        tcase_add_test(t, refuses_an_unknown_type_after_hello);
        tcase_add_test(t, sc34_a_size_over_the_limit_is_refused_by_its_header);
        tcase_add_test(t, sc34_a_size_at_the_limit_is_waited_for);
        tcase_add_test(t, sc34_a_large_frame_that_is_not_due_is_refused_by_its_header);
        tcase_add_test(t, sc34_a_peer_that_does_not_read_is_not_listened_to);
        tcase_add_test(t, sc34_data_that_is_not_read_stays_outside);
        tcase_add_loop_test(t, a_call_that_stops_early_is_due_at_once, 0, 2);
        tcase_add_test(t, sc34_small_frames_count_for_what_they_take);
        tcase_add_test(t, sc34_what_is_sent_is_not_kept);
        tcase_add_test(t, refuses_a_data_frame_without_data);
        tcase_add_loop_test(t, refuses_payloads_that_do_not_parse, 0, 5);
        tcase_add_test(t, refuses_an_acceptance_of_another_context);
        tcase_add_loop_test(t, an_end_of_stream_anywhere_is_no_end, 0, 2);
        tcase_add_loop_test(t, an_end_of_stream_inside_data_is_no_end, 0, 2);
        tcase_add_test(t, data_before_a_cut_is_still_delivered);
        suite_add_tcase(s, t);

        t = tcase_create("requests");
        tcase_add_loop_test(t, sc38_a_further_request_needs_a_verdict, 0, 2);
        tcase_add_test(t, sc38_requests_come_at_a_bounded_rate);
        tcase_add_test(t, sc38_a_change_allows_two_more_requests);
        tcase_add_test(t, sc38_one_request_crosses_a_stale);
        tcase_add_test(t, sc38_any_number_of_changes_is_answered);
        tcase_add_loop_test(t, sc38_two_empty_answers_are_enough, 0, 2);
        tcase_add_test(t, sc38_our_own_requests_keep_to_the_rate);
        tcase_add_loop_test(t, a_server_that_asks_gives_last, 0, 3);
        tcase_add_loop_test(t, a_server_gives_last_after_a_change_too, 0, 2);
        tcase_add_loop_test(t, a_server_gives_to_whom_it_is_told, 0, 7);
        suite_add_tcase(s, t);

        t = tcase_create("data");
        tcase_add_test(t, carries_data_of_any_size);
        tcase_add_test(t, a_write_goes_on_where_it_stopped);
        tcase_add_test(t, a_write_that_wants_must_be_repeated);
        tcase_add_test(t, a_write_waits_for_the_gate);
        tcase_add_test(t, ends_in_order);
        tcase_add_loop_test(t, ends_after_a_peer_that_is_gone, 0, 2);
        tcase_add_loop_test(t, hears_the_last_words_of_a_peer_that_is_gone, 0, 2);
        tcase_add_loop_test(t, sc38_an_end_that_is_not_taken_has_a_limit, 0, (int) G_N_ELEMENTS(deaf));
        tcase_add_loop_test(t, sc38_an_end_that_blocks_has_a_limit, 0, (int) G_N_ELEMENTS(deaf));
        tcase_add_loop_test(t, nothing_is_owed_after_the_end, 0, (int) G_N_ELEMENTS(owing));
        tcase_add_test(t, nothing_is_begun_after_the_end);
        suite_add_tcase(s, t);

        t = tcase_create("renewal");
        tcase_add_test(t, renews_after_stale_and_holds_data_meanwhile);
        tcase_add_test(t, data_in_flight_is_delivered_and_marked);
        tcase_add_test(t, data_that_waits_to_be_read_is_marked);
        tcase_add_test(t, a_read_stops_where_stale_ends);
        tcase_add_test(t, an_answer_to_an_older_context_opens_nothing);
        tcase_add_test(t, stale_crosses_accepted);
        tcase_add_test(t, stale_during_a_renewal_asks_once_more);
        tcase_add_test(t, a_void_answer_is_not_told_of_twice);
        tcase_add_test(t, an_answer_that_is_older_than_the_last_change_is_told_of);
        tcase_add_test(t, a_request_made_too_early_is_not_sent);
        tcase_add_test(t, many_changes_are_one_stale);
        tcase_add_loop_test(t, evidence_of_a_generation_before_stale_is_refused, 0, 2);
        tcase_add_test(t, ft16_loss_of_attestd_is_stale);
        tcase_add_test(t, stale_then_close);
        tcase_add_test(t, mutual_renewals_do_not_wait_for_each_other);
        tcase_add_test(t, renew_is_done_with_evidence_made_after_it);
        tcase_add_test(t, a_side_that_does_not_ask_cannot_renew);
        suite_add_tcase(s, t);

        t = tcase_create("time");
        tcase_add_test(t, sc15a_asks_again_at_the_maximum_age);
        tcase_add_test(t, sc15a_evidence_far_over_its_age_opens_no_gate);
        tcase_add_test(t, never_asks_again_if_so_configured);
        tcase_add_loop_test(t, does_not_wait_for_ever, 0, (int) G_N_ELEMENTS(silences));
        tcase_add_test(t, an_answer_that_is_here_is_in_time);
        tcase_add_loop_test(t, sc38_a_peer_that_goes_on_talking_has_a_time_limit, 0, 2);
        tcase_add_test(t, sc45a_nothing_secret_is_logged);
        suite_add_tcase(s, t);
        return run_suite(s);
}
