/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What an end shows comes back to it: in native, bare and compat mode, at a client
 * and at a server, in every profile, with both services running. test_directions.py
 * starts it in a guest, with the root of the guest's TEE in ATTESTD_TEST_ROOT. */
#include "peer.h"

#include "codec/claims.h"
#include "lib/attestd.h"
#include "pki.h"
#include "run.h"

#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

typedef enum { NATIVE, BARE, COMPAT } Mode;

static const struct {
        Mode mode;
        const char *profile;
} kinds[] = {
        { NATIVE, ATT_PROFILE_EVIDENCE }, { NATIVE, ATT_PROFILE_EXPAT_PAD }, { NATIVE, ATT_PROFILE_COCOS },
        { BARE, ATT_PROFILE_EVIDENCE },   { BARE, ATT_PROFILE_EXPAT_PAD },   { BARE, ATT_PROFILE_COCOS },
        { COMPAT, ATT_PROFILE_EXPAT_PAD }, { COMPAT, ATT_PROFILE_COCOS },
};
#define N_CASES (2 * (int) G_N_ELEMENTS(kinds)) /* odd: the victim is the server */

/* The victim, and a peer that has TLS with it and may even have its key. */
typedef struct Scene {
        Mode mode;
        const char *profile;
        bool has_roles; /* the profile says whose evidence it is */
        SSL_CTX *ctxs[2]; /* of client and server */
        SSL *peer, *victim;
        AttestdEndpoint *endpoint;
        AttestdExchange *exchange;      /* of the victim, in bare mode, */
        AttestdConnection *connection;  /* … or this, which opens in a thread */
        GThread *thread;
        AttestdStatus status;
        GError *error;
} Scene;

static gpointer shake(gpointer ssl) {
        return GINT_TO_POINTER(SSL_do_handshake(ssl));
}

static gpointer open_victim(gpointer data) {
        Scene *s = data;

        s->status = attestd_connection_open(s->connection, &s->error);
        return NULL;
}

static void use_key(SSL *ssl, EVP_PKEY *key) {
        const PkiSpec spec = { .cn = "leaf", .extensions = { PKI_LEAF } };
        g_autoptr(X509) x509 = pki_issue(&spec, key, NULL, NULL);

        ck_assert(SSL_use_certificate(ssl, x509) == 1 && SSL_use_PrivateKey(ssl, key) == 1);
}

static AttestdEndpoint *victim_endpoint(const Scene *s) {
        AttestdEndpoint *e = attestd_endpoint_new();
        g_autofree char *policy = g_strdup_printf("attestd-policy 1\ntee tdx\nroot tdx %s\nworkload any\npeer any\n"
                                                  "profile evidence/1\nprofile expat-pad\nprofile cocos\n"
                                                  "collateral not-required\n", g_getenv("ATTESTD_TEST_ROOT"));

        ck_assert(attestd_endpoint_give_key(e, SSL_get_certificate(s->victim), NULL, SSL_get_privatekey(s->victim),
                                            NULL));
        attestd_endpoint_set_give_to(e, ATTESTD_GIVE_TO_ANYONE);
        attestd_endpoint_ask_with_policy(e, policy);
        attestd_endpoint_set_profile(e, s->profile);
        attestd_endpoint_set_compat(e, s->mode == COMPAT);
        return e;
}

static void begin(Scene *s, int i, bool same_key) {
        g_autoptr(EVP_PKEY) key = pki_key("P-256"), other = pki_key("P-256");
        GThread *thread;
        int fds[2];

        *s = (Scene) { .mode = kinds[i / 2].mode, .profile = kinds[i / 2].profile };
        s->has_roles = g_str_equal(s->profile, ATT_PROFILE_EVIDENCE);
        ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
        for (int server = 0; server < 2; server++) {
                SSL *ssl;

                s->ctxs[server] = SSL_CTX_new(server ? TLS_server_method() : TLS_client_method());
                ck_assert(attestd_prepare(s->ctxs[server], NULL));
                ssl = SSL_new(s->ctxs[server]);
                ck_assert_int_eq(SSL_set_fd(ssl, fds[server]), 1);
                use_key(ssl, server == i % 2 || same_key ? key : other);
                if (server)
                        SSL_set_accept_state(ssl);
                else
                        SSL_set_connect_state(ssl);
                *(server == i % 2 ? &s->victim : &s->peer) = ssl;
        }
        thread = g_thread_new("handshake", shake, s->victim);
        ck_assert_int_eq(SSL_do_handshake(s->peer), 1);
        ck_assert_int_eq(GPOINTER_TO_INT(g_thread_join(thread)), 1);

        s->endpoint = victim_endpoint(s);
        if (s->mode == BARE) {
                s->exchange = attestd_exchange_new(s->endpoint, s->victim, NULL);
                ck_assert_ptr_nonnull(s->exchange);
                return;
        }
        s->connection = attestd_connection_new(s->endpoint, s->victim, NULL);
        ck_assert_ptr_nonnull(s->connection);
        s->thread = g_thread_new("victim", open_victim, s);
}

static void scene_clear(Scene *s) {
        attestd_exchange_free(s->exchange);
        attestd_connection_free(s->connection);
        attestd_endpoint_unref(s->endpoint);
        peer_close(s->peer);
        peer_close(s->victim);
        SSL_CTX_free(s->ctxs[0]);
        SSL_CTX_free(s->ctxs[1]);
        g_clear_error(&s->error);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Scene, scene_clear)

/* What the victim asks. */
static GBytes *asked(Scene *s) {
        g_autoptr(GError) error = NULL;
        GBytes *request = NULL;

        if (s->mode == BARE) {
                while ((s->status = attestd_exchange_request(s->exchange, &request, &error)) == ATTESTD_WANT_SERVICE)
                        attestd_exchange_wait(s->exchange);
        } else {
                if (s->mode == NATIVE)
                        ck_assert(peer_write_hello(s->peer, s->profile, true, true, NULL));
                request = peer_expect_frame(s->peer, ATT_FRAME_REQUEST, &error);
        }
        ck_assert_msg(request != NULL, "%s", error ? error->message : "");
        return request;
}

/* What the victim answers to a request, or NULL. */
static GBytes *answered(Scene *s, GBytes *request) {
        GBytes *authenticator = NULL;

        if (s->mode == BARE) {
                while ((s->status = attestd_exchange_answer(s->exchange, request, &authenticator, &s->error)) ==
                       ATTESTD_WANT_SERVICE)
                        attestd_exchange_wait(s->exchange);
                return authenticator;
        }
        ck_assert(peer_write_frame(s->peer, ATT_FRAME_REQUEST, request, NULL));
        return peer_expect_frame(s->peer, ATT_FRAME_AUTHENTICATOR, NULL);
}

/* The victim's own evidence, for a request of ours. */
static GBytes *answered_honestly(Scene *s) {
        g_autoptr(GBytes) context = NULL, accepted = NULL;
        g_autoptr(GBytes) request = att_ea_request_new(SSL_is_server(s->peer) ? ATT_ROLE_SERVER : ATT_ROLE_CLIENT,
                                                       ATT_CMW_ATTESTATION_DEFAULT, &context, NULL);
        GBytes *authenticator = answered(s, request);

        ck_assert_msg(authenticator != NULL, "%s", s->error ? s->error->message : "no authenticator");
        if (s->mode == NATIVE) {
                accepted = att_accepted_encode(context);
                ck_assert(peer_write_frame(s->peer, ATT_FRAME_ACCEPTED, accepted, NULL));
        }
        return authenticator;
}

/* The victim's verdict is in s->status and s->error. */
static void answer(Scene *s, GBytes *authenticator) {
        if (s->mode == BARE) {
                while ((s->status = attestd_exchange_validate(s->exchange, authenticator, NULL, &s->error)) ==
                       ATTESTD_WANT_SERVICE)
                        attestd_exchange_wait(s->exchange);
                return;
        }
        ck_assert(peer_write_frame(s->peer, ATT_FRAME_AUTHENTICATOR, authenticator, NULL));
        g_thread_join(s->thread);
}

/* Our own authenticator, with this evidence; with NULL what attestd gives to us. */
static void answer_with(Scene *s, GBytes *request_bytes, GBytes *evidence) {
        g_auto(AttEaRequest) request = { 0 };
        g_autoptr(GBytes) own = NULL, authenticator = NULL;
        g_autoptr(GError) error = NULL;

        ck_assert(att_ea_request_read(request_bytes, SSL_is_server(s->peer) ? ATT_ROLE_CLIENT : ATT_ROLE_SERVER,
                                      ATT_CMW_ATTESTATION_DEFAULT, &request, NULL));
        own = evidence ? g_bytes_ref(evidence) : peer_attest(s->peer, s->profile, request.context, &error);
        ck_assert_msg(own != NULL, "%s", error ? error->message : "");
        authenticator = peer_authenticator_new(s->peer, &request, own, &error);
        ck_assert_msg(authenticator != NULL, "%s", error ? error->message : "");
        answer(s, authenticator);
}

static void ck_accepted(const Scene *s) {
        ck_assert_msg(s->status == ATTESTD_DONE, "%s", s->error ? s->error->message : "not done");
}

static void ck_refused(const Scene *s, AttestdError code, const char *reason) {
        ck_assert_int_eq(s->status, ATTESTD_FAILED);
        ck_assert_msg(g_error_matches(s->error, ATTESTD_ERROR, (gint) code) && strstr(s->error->message, reason),
                      "%d: %s", s->error->code, s->error->message);
}

/* The good twin of all below. */
START_TEST(evidence_of_the_peer_is_accepted) {
        g_autoptr(GBytes) request = NULL, authenticator = NULL;
        g_auto(Scene) s = { 0 };

        begin(&s, _i, false);
        request = asked(&s);
        authenticator = answered_honestly(&s);
        answer_with(&s, request, NULL);
        ck_accepted(&s);
}
END_TEST

static void own_authenticator(int i) {
        g_autoptr(GBytes) request = NULL, authenticator = NULL;
        g_auto(Scene) s = { 0 };

        begin(&s, i, true);
        request = asked(&s);
        authenticator = answered_honestly(&s);
        answer(&s, authenticator);
        ck_refused(&s, ATTESTD_ERROR_REFUSED, "context-mismatch");
}

static void own_evidence(int i, bool same_key) {
        g_autoptr(GBytes) request = NULL, authenticator = NULL, evidence = NULL;
        g_auto(Scene) s = { 0 };

        begin(&s, i, same_key);
        request = asked(&s);
        authenticator = answered_honestly(&s);
        evidence = peer_evidence_of(s.peer, authenticator, NULL);
        answer_with(&s, request, evidence);
        ck_refused(&s, ATTESTD_ERROR_REFUSED, s.has_roles ? "binding: " : same_key ? "role: " : "report-data: ");
}

START_TEST(sc05a_a_client_gets_its_own_authenticator_back) {
        own_authenticator(2 * _i);
}
END_TEST

START_TEST(sc05b_a_server_gets_its_own_authenticator_back) {
        own_authenticator(2 * _i + 1);
}
END_TEST

START_TEST(sc05a_a_client_gets_its_own_evidence_back) {
        own_evidence(2 * _i, true);
        own_evidence(2 * _i, false);
}
END_TEST

START_TEST(sc05b_a_server_gets_its_own_evidence_back) {
        own_evidence(2 * _i + 1, true);
        own_evidence(2 * _i + 1, false);
}
END_TEST

/* Its own context as ours: the evidence would be bound to it. */
START_TEST(sc05_a_context_is_not_used_in_both_directions) {
        g_autoptr(GBytes) request = NULL, reflected = NULL, authenticator = NULL;
        g_auto(AttEaRequest) read = { 0 };
        g_auto(Scene) s = { 0 };

        begin(&s, _i, true);
        request = asked(&s);
        ck_assert(att_ea_request_read(request, SSL_is_server(s.peer) ? ATT_ROLE_CLIENT : ATT_ROLE_SERVER,
                                      ATT_CMW_ATTESTATION_DEFAULT, &read, NULL));
        reflected = peer_request_new(s.peer, read.context);
        authenticator = answered(&s, reflected);
        ck_assert_ptr_null(authenticator);
        if (s.thread)
                g_thread_join(s.thread);
        ck_refused(&s, ATTESTD_ERROR_PROTOCOL, "context-reused");
}
END_TEST

/* Evidence of the peer's own, but the key is the victim's: only a role tells them apart. */
START_TEST(sc05_one_key_at_both_ends_takes_a_profile_with_roles) {
        g_autoptr(GBytes) request = NULL, authenticator = NULL;
        g_auto(Scene) s = { 0 };

        begin(&s, _i, true);
        request = asked(&s);
        authenticator = answered_honestly(&s);
        answer_with(&s, request, NULL);
        if (s.has_roles)
                ck_accepted(&s);
        else
                ck_refused(&s, ATTESTD_ERROR_REFUSED, "role: the profile has no role, and the peer's key is our own");
}
END_TEST

int main(void) {
        const int n = N_CASES / 2;
        Suite *suite = suite_create("reflection");
        TCase *t = tcase_create("reflection");

        (void) signal(SIGPIPE, SIG_IGN);
        tcase_set_timeout(t, 60);
        tcase_add_loop_test(t, evidence_of_the_peer_is_accepted, 0, N_CASES);
        tcase_add_loop_test(t, sc05a_a_client_gets_its_own_authenticator_back, 0, n);
        tcase_add_loop_test(t, sc05b_a_server_gets_its_own_authenticator_back, 0, n);
        tcase_add_loop_test(t, sc05a_a_client_gets_its_own_evidence_back, 0, n);
        tcase_add_loop_test(t, sc05b_a_server_gets_its_own_evidence_back, 0, n);
        tcase_add_loop_test(t, sc05_a_context_is_not_used_in_both_directions, 0, N_CASES);
        tcase_add_loop_test(t, sc05_one_key_at_both_ends_takes_a_profile_with_roles, 0, N_CASES);
        suite_add_tcase(suite, t);
        return run_suite(suite);
}
