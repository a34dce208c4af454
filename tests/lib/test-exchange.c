/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Requests and authenticators without frames: what goes wrong at home. */
#include "codec/tls-handshake.h"
#include "ends.h"
#include "exporter.h"
#include "run.h"

static const uint8_t secret[ATT_HASH_SIZE_MAX] = { 0x5e };

static gboolean export(AttTransport *t, const char *label, const void *context, size_t context_size, uint8_t *ret,
                       size_t size, GError **error) {
        (void) error;
        tls_exporter(t->hash, secret, label, context, context_size, NULL, ret, size);
        return TRUE;
}

static void transport_free(AttTransport *t) {
        g_free(t);
}

static const AttTransportOps transport_ops = { .export = export, .free = transport_free };

typedef struct Side {
        AttTransport *transport; /* of the exchange, as is the next */
        Mock *mock;
        AttestdExchange *exchange;
} Side;

static void side_init(Side *side, AttRole role, AttestdEndpoint *endpoint) {
        AttTransport *t = g_new0(AttTransport, 1);

        *t = (AttTransport) { .ops = &transport_ops, .role = role, .hash = ATT_HASH_SHA256 };
        side->transport = t;
        side->mock = mock_new(role, t->hash);
        side->mock->is_automatic = true;
        side->exchange = att_exchange_new(endpoint, t, &side->mock->base);
        attestd_endpoint_unref(endpoint);
}

static void side_clear(Side *side) {
        attestd_exchange_free(side->exchange);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Side, side_clear)

static void failed(AttestdStatus status, GError **error, AttestdError code, const char *part) {
        ck_assert_int_eq(status, ATTESTD_FAILED);
        ck_assert_msg(g_error_matches(*error, ATTESTD_ERROR, (gint) code) && strstr((*error)->message, part), "%d: %s",
                      (*error)->code, (*error)->message);
        g_clear_error(error);
}

/* Of the other side: a refusal, whatever went wrong here. */
static void is_refusal(Side *asker, GBytes *authenticator) {
        g_autoptr(GError) error = NULL;

        failed(attestd_exchange_validate(asker->exchange, authenticator, NULL, &error), &error, ATTESTD_ERROR_REFUSED,
               "empty-authenticator");
}

static GBytes *no_signature(guint16 scheme, GBytes *to_be_signed, gpointer userdata, GError **error) {
        (void) scheme, (void) to_be_signed;
        if (GPOINTER_TO_INT(userdata) == 0)
                g_set_error_literal(error, G_FILE_ERROR, G_FILE_ERROR_FAILED, "the card is out");
        return GPOINTER_TO_INT(userdata) < 2 ? NULL : g_bytes_new("no signature", 12);
}

/* _i: it says why, it does not, it signs something else. */
START_TEST(a_signer_that_fails_gives_no_evidence) {
        static const char *const reasons[] = { "the card is out", "gave no reason", "cannot make an authenticator" };
        g_autoptr(AttestdEndpoint) model = endpoint_new(GIVES);
        AttestdEndpoint *giving = attestd_endpoint_new();
        g_autoptr(GBytes) request = NULL, authenticator = NULL;
        g_autoptr(GError) error = NULL;
        g_auto(Side) client = { 0 }, server = { 0 };

        ck_assert(attestd_endpoint_give(giving, model->certificates, no_signature, GINT_TO_POINTER(_i), NULL, NULL));
        attestd_endpoint_set_give_to(giving, ATTESTD_GIVE_TO_ANYONE);
        side_init(&client, ATT_ROLE_CLIENT, endpoint_new(ASKS));
        side_init(&server, ATT_ROLE_SERVER, giving);
        ck_assert_int_eq(attestd_exchange_request(client.exchange, &request, NULL), ATTESTD_DONE);
        failed(attestd_exchange_answer(server.exchange, request, &authenticator, &error), &error, ATTESTD_ERROR_TLS,
               reasons[_i]);
        ck_assert_int_eq(attestd_exchange_decline(server.exchange, request, &authenticator, NULL), ATTESTD_DONE);
        is_refusal(&client, authenticator);
}
END_TEST

/* A request for RSA, and a key that is P-256: attestd is not even asked. */
START_TEST(no_scheme_in_common_is_said) {
        const uint16_t scheme = _i == 0 ? ATT_SCHEME_RSA_PSS_RSAE_SHA256 : ATT_SCHEME_ECDSA_SECP256R1_SHA256;
        g_autoptr(GBytes) context = g_bytes_new("0123456789abcdef0123456789abcdef", 32), authenticator = NULL;
        g_autoptr(GBytes) request = att_tls_request_build(ATT_TLS_CLIENT_CERTIFICATE_REQUEST, context, &scheme, 1,
                                                          ATT_CMW_ATTESTATION_DEFAULT);
        g_autoptr(GError) error = NULL;
        g_auto(Side) server = { 0 };

        side_init(&server, ATT_ROLE_SERVER, endpoint_new(GIVES));
        if (_i == 0)
                failed(attestd_exchange_answer(server.exchange, request, &authenticator, &error), &error,
                       ATTESTD_ERROR_PROTOCOL, "no-common-sigalg");
        else
                ck_assert_int_eq(attestd_exchange_answer(server.exchange, request, &authenticator, &error),
                                 ATTESTD_DONE);
        ck_assert_uint_eq(server.mock->n_attested, (guint) _i);
}
END_TEST

/* SC-05: a context of the peer that the verifier does not know of could come back. */
START_TEST(sc05_a_context_that_could_not_be_recorded_ends_in_no_verdict) {
        g_autoptr(GBytes) request = NULL, authenticator = NULL;
        g_autoptr(GError) error = NULL;
        g_auto(Side) client = { 0 }, server = { 0 };

        side_init(&client, ATT_ROLE_CLIENT, endpoint_new(ASKS));
        side_init(&server, ATT_ROLE_SERVER, endpoint_new(GIVES));
        ck_assert_int_eq(attestd_exchange_request(client.exchange, &request, NULL), ATTESTD_DONE);
        ck_assert_int_eq(attestd_exchange_answer(server.exchange, request, &authenticator, NULL), ATTESTD_DONE);
        if (_i == 0)
                mock_fail_record(client.mock, "attestd-verifier: org.attestd.Error.LimitReached");
        if (_i == 0)
                failed(attestd_exchange_validate(client.exchange, authenticator, NULL, &error), &error,
                       ATTESTD_ERROR_SERVICE, "LimitReached");
        else
                ck_assert_int_eq(attestd_exchange_validate(client.exchange, authenticator, NULL, &error),
                                 ATTESTD_DONE);
}
END_TEST

START_TEST(calls_out_of_order_do_nothing) {
        g_autoptr(GBytes) request = NULL, authenticator = g_bytes_new("authenticator", 13);
        g_autoptr(GError) error = NULL;
        g_auto(Side) client = { 0 }, server = { 0 };

        side_init(&client, ATT_ROLE_CLIENT, endpoint_new(ASKS));
        side_init(&server, ATT_ROLE_SERVER, endpoint_new(GIVES));
        failed(attestd_exchange_validate(client.exchange, authenticator, NULL, &error), &error, ATTESTD_ERROR_INVALID,
               "no request");
        failed(attestd_exchange_request(server.exchange, &request, &error), &error, ATTESTD_ERROR_INVALID,
               "does not ask");
        failed(attestd_exchange_answer(server.exchange, authenticator, &request, &error), &error,
               ATTESTD_ERROR_PROTOCOL, "");
        ck_assert_ptr_null(request);
        /* An error that nobody wants to have. */
        ck_assert_int_eq(attestd_exchange_request(server.exchange, &request, NULL), ATTESTD_FAILED);
        ck_assert_int_eq(attestd_exchange_answer(server.exchange, authenticator, &request, NULL), ATTESTD_FAILED);
}
END_TEST

START_TEST(a_service_that_fails_leaves_the_exchange_usable) {
        g_autoptr(GBytes) request = NULL, authenticator = NULL;
        g_autoptr(GError) error = NULL;
        g_auto(Side) client = { 0 }, server = { 0 };

        side_init(&client, ATT_ROLE_CLIENT, endpoint_new(ASKS));
        side_init(&server, ATT_ROLE_SERVER, endpoint_new(GIVES));
        mock_fail_next(client.mock, ATT_EVENT_REQUEST, "attestd-verifier: away");
        failed(attestd_exchange_request(client.exchange, &request, &error), &error, ATTESTD_ERROR_SERVICE, "away");
        ck_assert_int_eq(attestd_exchange_request(client.exchange, &request, NULL), ATTESTD_DONE);
        ck_assert_int_eq(attestd_exchange_answer(server.exchange, request, &authenticator, NULL), ATTESTD_DONE);
        mock_fail_next(client.mock, ATT_EVENT_VERDICT, "attestd-verifier: away");
        failed(attestd_exchange_validate(client.exchange, authenticator, NULL, &error), &error, ATTESTD_ERROR_SERVICE,
               "away");

        g_clear_pointer(&request, g_bytes_unref);
        g_clear_pointer(&authenticator, g_bytes_unref);
        ck_assert_int_eq(attestd_exchange_request(client.exchange, &request, NULL), ATTESTD_DONE);
        ck_assert_int_eq(attestd_exchange_answer(server.exchange, request, &authenticator, NULL), ATTESTD_DONE);
        ck_assert_int_eq(attestd_exchange_validate(client.exchange, authenticator, NULL, NULL), ATTESTD_DONE);
}
END_TEST

/* Two calls under way: one takes the other's answer from the descriptor, and keeps it. */
START_TEST(an_answer_is_kept_for_its_call) {
        g_autoptr(GBytes) theirs = NULL, ours = NULL, authenticator = NULL;
        g_auto(Side) client = { 0 }, server = { 0 };

        side_init(&client, ATT_ROLE_CLIENT, endpoint_new(ASKS | GIVES));
        side_init(&server, ATT_ROLE_SERVER, endpoint_new(ASKS | GIVES | FIRST));
        ck_assert_int_eq(attestd_exchange_request(client.exchange, &theirs, NULL), ATTESTD_DONE);
        server.mock->is_automatic = false;
        ck_assert_int_eq(attestd_exchange_request(server.exchange, &ours, NULL), ATTESTD_WANT_SERVICE);
        ck_assert_int_eq(attestd_exchange_answer(server.exchange, theirs, &authenticator, NULL), ATTESTD_WANT_SERVICE);
        mock_answer(server.mock, ATT_EVENT_REQUEST);
        mock_answer(server.mock, ATT_EVENT_EVIDENCE);
        ck_assert_int_eq(attestd_exchange_answer(server.exchange, theirs, &authenticator, NULL), ATTESTD_DONE);
        attestd_exchange_wait(server.exchange);
        ck_assert_int_eq(attestd_exchange_request(server.exchange, &ours, NULL), ATTESTD_DONE);
        ck_assert_uint_eq(server.mock->recorded->len, 1);
}
END_TEST

/* Logs, carried by the application: in pieces of its own size. */
START_TEST(an_exchange_carries_logs) {
        g_autoptr(GBytes) request = NULL, authenticator = NULL;
        g_auto(GStrv) logs = NULL;
        g_auto(Side) client = { 0 }, server = { 0 };
        gboolean more = TRUE;
        guint64 next;

        side_init(&client, ATT_ROLE_CLIENT, endpoint_new(ASKS));
        side_init(&server, ATT_ROLE_SERVER, endpoint_new(GIVES | LOGS));
        server.transport->peer_is_verified = true;
        client.mock->logs[0] = (char *) "ima";
        for (unsigned i = 0; i < 10; i++)
                mock_measure(server.mock, "/usr/bin/some-program", 1000);
        ck_assert_int_eq(attestd_exchange_request(client.exchange, &request, NULL), ATTESTD_DONE);
        ck_assert_int_eq(attestd_exchange_answer(server.exchange, request, &authenticator, NULL), ATTESTD_DONE);

        while (more) {
                g_autoptr(GBytes) entries = NULL;
                g_autofree char *bank = NULL;

                g_clear_pointer(&logs, g_strfreev);
                ck_assert_int_eq(attestd_exchange_logs(client.exchange, &logs, &next, NULL), ATTESTD_DONE);
                ck_assert_str_eq(logs[0], "ima");
                ck_assert_int_eq(attestd_exchange_get_log(server.exchange, "ima", next, 3500, &entries, &bank, &more,
                                                          NULL), ATTESTD_DONE);
                ck_assert_uint_le(g_bytes_get_size(entries), 3500);
                ck_assert_int_eq(attestd_exchange_add_log(client.exchange, "ima", bank, entries, next, NULL),
                                 ATTESTD_DONE);
        }
        ck_assert_uint_eq(client.mock->log_next, 10);
        ck_assert_uint_eq(client.mock->n_added, 4);
        ck_assert_uint_eq(server.mock->n_given, 1);
        ck_assert_int_eq(attestd_exchange_validate(client.exchange, authenticator, NULL, NULL), ATTESTD_DONE);
}
END_TEST

/* _i: logs are not given at all, not to this peer, there is no such log, none can be had, it does not fit */
START_TEST(an_exchange_says_why_there_is_no_log) {
        static const struct {
                int server;
                bool verified;
                const char *log;
                gsize max;
                AttestdError code;
                const char *reason;
        } cases[] = {
                { GIVES, true, "ima", 9999, ATTESTD_ERROR_INVALID, "does not give its logs" },
                { GIVES | LOGS, false, "ima", 9999, ATTESTD_ERROR_INVALID, "does not give its logs" },
                { GIVES | LOGS, true, "other", 9999, ATTESTD_ERROR_INVALID, "there is no log" },
                { GIVES | LOGS, true, "ima", 9999, ATTESTD_ERROR_SERVICE, "NotAuthorized" },
                { GIVES | LOGS, true, "ima", 10, ATTESTD_ERROR_SERVICE, "larger than a piece" },
        };
        g_autoptr(GBytes) entries = NULL;
        g_autofree char *bank = NULL;
        g_autoptr(GError) error = NULL;
        g_auto(Side) server = { 0 };
        gboolean more;

        side_init(&server, ATT_ROLE_SERVER, endpoint_new(cases[_i].server));
        server.transport->peer_is_verified = cases[_i].verified;
        mock_measure(server.mock, "/usr/bin/some-program", 0);
        if (cases[_i].code == ATTESTD_ERROR_SERVICE && cases[_i].max > 10)
                mock_fail_next(server.mock, ATT_EVENT_LOG, "attestd: org.attestd.Error.NotAuthorized: ask");
        failed(attestd_exchange_get_log(server.exchange, cases[_i].log, 0, cases[_i].max, &entries, &bank, &more,
                                        &error), &error, cases[_i].code, cases[_i].reason);
        ck_assert_ptr_null(entries);
        /* The next call is as good as the first. */
        if (cases[_i].code == ATTESTD_ERROR_SERVICE)
                ck_assert_int_eq(attestd_exchange_get_log(server.exchange, "ima", 0, 9999, &entries, &bank, &more,
                                                          NULL), ATTESTD_DONE);
}
END_TEST

START_TEST(an_exchange_says_what_the_verifier_does_not_take) {
        g_autoptr(GBytes) entries = g_bytes_new_static("entries", 7);
        g_autoptr(GError) error = NULL;
        g_auto(Side) client = { 0 };

        side_init(&client, ATT_ROLE_CLIENT, endpoint_new(ASKS));
        client.mock->dislikes = "a record does not parse";
        failed(attestd_exchange_add_log(client.exchange, "ima", "sha1", entries, 0, &error), &error,
               ATTESTD_ERROR_REFUSED, "ima-log: a record does not parse");
        mock_fail_next(client.mock, ATT_EVENT_ADDED, "attestd-verifier: not there");
        failed(attestd_exchange_add_log(client.exchange, "ima", "sha1", entries, 0, &error), &error,
               ATTESTD_ERROR_SERVICE, "not there");
}
END_TEST

int main(void) {
        Suite *s = suite_create("exchange");
        TCase *t = tcase_create("exchange");

        tcase_add_loop_test(t, a_signer_that_fails_gives_no_evidence, 0, 3);
        tcase_add_loop_test(t, no_scheme_in_common_is_said, 0, 2);
        tcase_add_loop_test(t, sc05_a_context_that_could_not_be_recorded_ends_in_no_verdict, 0, 2);
        tcase_add_test(t, calls_out_of_order_do_nothing);
        tcase_add_test(t, a_service_that_fails_leaves_the_exchange_usable);
        tcase_add_test(t, an_answer_is_kept_for_its_call);
        tcase_add_test(t, an_exchange_carries_logs);
        tcase_add_loop_test(t, an_exchange_says_why_there_is_no_log, 0, 5);
        tcase_add_test(t, an_exchange_says_what_the_verifier_does_not_take);
        suite_add_tcase(s, t);
        return run_suite(s);
}
