/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lib/greeting.h"

#include "codec/tsm-report.h"
#include "lib/connection-state.h"

/* Of evidence, that this end speaks. */
static const char *const formats[] = { ATT_TSM_REPORT_CBOR, NULL };

static void send_hello(AttestdConnection *c) {
        char *profiles[] = { c->endpoint->profile, NULL };
        AttHello hello = {
                .version = 1,
                .profiles = profiles,
                .formats = (char **) formats,
                .batch = att_relying_party_takes_batches(c),
                .asks = c->endpoint->asks,
                .gives = c->endpoint->sign != NULL,
        };
        g_autoptr(GBytes) payload = att_hello_encode(&hello);

        att_connection_put_bytes(c, ATT_FRAME_HELLO, payload);
        att_connection_owe(c, ATT_OWES_HELLO);
}

/* No hello: the peer asks for what we give. */
static void begin_compat(AttestdConnection *c) {
        c->peer.asks = c->endpoint->sign != NULL;
        c->is_greeted = true;
        if (c->peer.asks)
                att_connection_owe(c, ATT_OWES_REQUEST);
}

void att_greeting_begin(AttestdConnection *c) {
        if (c->endpoint->compat)
                begin_compat(c);
        else
                send_hello(c);
}

bool att_greeting_on_hello(AttestdConnection *c, GBytes *payload) {
        g_autoptr(GError) error = NULL;

        if (!att_hello_decode(payload, &c->peer, &error))
                return att_connection_fail_frame(c, g_steal_pointer(&error));
        c->is_greeted = true;
        att_connection_owe(c, ATT_OWES_NOTHING);

        if (!c->endpoint->asks && !c->peer.asks)
                return att_connection_fail_with(c, ATTESTD_ERROR_PROTOCOL, "neither end asks for evidence");
        /* Our list has one entry of each kind, and the peer's can only narrow it. */
        if (!g_strv_contains((const char *const *) c->peer.profiles, c->endpoint->profile))
                return att_connection_fail_with(c, ATTESTD_ERROR_REFUSED,
                                                "no-common-profile: the peer does not speak the profile of this end");
        if (!g_strv_contains((const char *const *) c->peer.formats, formats[0]))
                return att_connection_fail_with(
                        c, ATTESTD_ERROR_REFUSED,
                        "no-common-format: the peer does not speak the evidence format of this end");
        if (c->peer.asks)
                att_connection_owe(c, ATT_OWES_REQUEST);
        return true;
}
