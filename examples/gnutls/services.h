/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the two services are asked about one TLS connection. Everything that TLS has
 * to give for it is here too: three exporter values and one signature. */
#pragma once

#include "options.h"

/* What evidence is bound to: the secrets of one TLS connection. */
typedef struct Binding {
        gnutls_session_t tls;
        const char *hash; /* of the cipher suite */
        size_t size;      /* of its digests */
} Binding;

bool binding_init(Binding *ret, gnutls_session_t tls, GError **error);

/* A session of one of the services. It ends with its connection to the bus, or by session_close(). */
typedef struct Session {
        GDBusConnection *bus;
        const char *service, *object;
        char *path;
        const char *role; /* of who attests: "client" or "server" */
} Session;

void session_close(Session *session);

/* The verifier names the peer: the authenticator's leaf has to chain to the anchors for that name. */
bool verifier_open(Session *ret, const Binding *b, const char *peer, const Options *options, GError **error);
bool verifier_create_request(Session *verifier, GBytes **ret_request, GBytes **ret_context, GError **error);
/* Has to be told of each context that the peer has sent, before we answer it. */
bool verifier_record_context(Session *verifier, GBytes *context, GError **error);

/* "" or why not, and of which state of the guest the evidence speaks. */
typedef struct Verdict {
        char *reason, *boot_id, *instance_id;
        uint64_t generation;
} Verdict;

bool verifier_validate(Session *verifier, const Binding *b, GBytes *authenticator, GBytes *context, Verdict *ret,
                       GError **error);
void verdict_clear(Verdict *verdict);

bool attester_open(Session *ret, const Binding *b, const char *role, GError **error);
/* The authenticator, with evidence in it, for a request with this context. */
GBytes *attester_answer(Session *attester, const Binding *b, const Options *options, GBytes *request, GBytes *context,
                        GError **error);
/* The empty authenticator: that we give nothing, said by this very connection. */
GBytes *attester_refuse(Session *attester, const Binding *b, GBytes *request, GError **error);
/* Has the guest changed since the newest evidence of this session? To lose attestd is a change too. */
bool attester_is_stale(Session *attester);
/* Of now: ids of 32 hexadecimal digits. */
bool attester_state(Session *attester, char **ret_boot_id, char **ret_instance_id, uint64_t *ret_generation,
                    GError **error);
