/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lib/frame-order.h"

#include "lib/connection-state.h"

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

static unsigned facts(const AttestdConnection *c) {
        return (c->is_greeted ? GREETED : 0) | (c->peer.asks ? PEER_ASKS : 0) |
               (c->attesting.held || c->attesting.answering ? ANSWERING : 0) | (c->attesting.answered ? ANSWERED : 0) |
               (c->attesting.answered && !c->attesting.answered_void && !c->attesting.may_cross ? UNJUDGED : 0) |
               (c->relying.ask == ATT_ASK_SENT ? ASKED : 0) | (c->relying.ask == ATT_ASK_LOG ? ASKED_LOG : 0) |
               (c->attesting.giver.asked.log ? LOGGING : 0) | (c->relying.has_shown ? SHOWN : 0) |
               (!c->endpoint->asks || c->relying.accepted > c->relying.stale_after ? TRUSTED : 0) |
               (c->is_greeted && (!c->peer.asks || c->attesting.was_acked) ? TRUSTS : 0) | (c->peer_ended ? ENDED : 0);
}

static bool awaits_request(const AttestdConnection *c) {
        return c->peer.asks && !c->attesting.was_asked;
}

static bool is_legal_in_compat(const AttestdConnection *c, AttFrameType type) {
        if (type == ATT_FRAME_REQUEST)
                return awaits_request(c);
        return type == ATT_FRAME_AUTHENTICATOR && c->relying.ask == ATT_ASK_SENT && !c->relying.has_shown;
}

bool att_frame_order_allows(const AttestdConnection *c, AttFrameType type) {
        unsigned f = facts(c);

        if (c->endpoint->compat)
                return is_legal_in_compat(c, type);
        return (f & legal[type].needs) == legal[type].needs && !(f & legal[type].barred_by);
}

bool att_frame_order_is_over(const AttestdConnection *c) {
        return c->endpoint->compat && !awaits_request(c) && (!c->endpoint->asks || c->relying.has_shown);
}
