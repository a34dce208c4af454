/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lib/client.h"

const AttServiceNames att_attester_names = {
        "attestd", "org.attestd.Attester1", "/org/attestd/Attester1", "org.attestd.Attester1.Session",
};
const AttServiceNames att_verifier_names = {
        "attestd-verifier", "org.attestd.Verifier1", "/org/attestd/Verifier1", "org.attestd.Verifier1.Session",
};

AttClient *att_client_new(const AttServicesOps *ops, const AttestdEndpoint *endpoint, const AttTransport *transport,
                          GError **error) {
        g_autofree AttClient *c = g_new0(AttClient, 1);

        if (!att_mailbox_init(&c->mailbox, error))
                return NULL;
        c->base.ops = ops;
        g_atomic_ref_count_init(&c->refs);
        c->endpoint = endpoint;
        c->timeout_ms = endpoint->timeout_ms;
        c->patience_ms = endpoint->patience_ms;
        c->role = transport->role;
        c->hash = transport->hash;
        c->peer_key = transport->peer_key ? g_bytes_ref(transport->peer_key) : NULL;
        c->attester = (AttRemote) { .client = c, .service = &att_attester_names };
        c->verifier = (AttRemote) { .client = c, .service = &att_verifier_names };
        return g_steal_pointer(&c);
}

AttClient *att_client_ref(AttClient *c) {
        g_atomic_ref_count_inc(&c->refs);
        return c;
}

void att_client_unref(AttClient *c) {
        if (!g_atomic_ref_count_dec(&c->refs))
                return;
        g_clear_pointer(&c->verifier.parameters, g_variant_unref);
        g_clear_pointer(&c->verifier.contexts, g_byte_array_unref);
        g_clear_pointer(&c->peer_key, g_bytes_unref);
        att_mailbox_clear(&c->mailbox);
        g_free(c);
}
