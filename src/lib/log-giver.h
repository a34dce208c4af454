/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What an attester gives of its logs: each request of the peer is answered by one
 * frame, cut from what attestd gave. No more than that is kept, and only while the
 * peer goes on to ask. */
#pragma once

#include "codec/frame.h"
#include "lib/services.h"

G_BEGIN_DECLS

#define ATT_LOGS 3u

typedef struct AttLogGiver {
        /* Of each log, what the peer may still ask for beside our newest evidence:
         * it goes forward only, so that evidence costs each log once. */
        uint64_t next[ATT_LOGS];
        bool is_spent[ATT_LOGS];

        AttLogRequestFrame asked; /* not answered yet; log is NULL for nothing */

        /* what attestd gave: entry @first is at byte @at */
        char *log;
        char *bank;
        GBytes *bytes;
        uint64_t first;
        gsize at;
        bool is_rest;  /* behind it the log ends */
} AttLogGiver;

void att_log_giver_clear(AttLogGiver *g);
/** att_log_giver_forget: lets go of what attestd gave: if the peer asks on, it is asked again */
void att_log_giver_forget(AttLogGiver *g);

/** att_log_giver_restart: newer evidence has gone out; what was read before it does not count */
void att_log_giver_restart(AttLogGiver *g);

/**
 * att_log_giver_ask: the peer's request, while none is open
 * @error: %ATT_ERROR_BAD_DATA: it does not parse, or asks for what it had
 */
gboolean att_log_giver_ask(AttLogGiver *g, GBytes *payload, GError **error);

/** att_log_giver_want: the same without a frame. %ATT_ERROR_INVALID_ARGUMENT: there is no such log */
gboolean att_log_giver_want(AttLogGiver *g, const char *log, uint64_t from, GError **error);

/**
 * att_log_giver_needs: must attestd be asked for g->asked before there is an answer?
 *
 * Not for what is within or at the end of what it gave last: what the peer leaves out is let go.
 */
bool att_log_giver_needs(AttLogGiver *g);

/** att_log_giver_take: takes from @event what attestd gave for g->asked */
gboolean att_log_giver_take(AttLogGiver *g, AttEvent *event, GError **error);

/**
 * att_log_giver_cut: whole entries for g->asked, which is then nothing
 * @max:   bytes
 * @error: they cannot be cut out of what attestd gave, and g->asked stays
 */
GBytes *att_log_giver_cut(AttLogGiver *g, gsize max, const char **ret_bank, bool *ret_more, GError **error);

/** att_log_giver_answer: the same as payload of a frame */
GBytes *att_log_giver_answer(AttLogGiver *g, GError **error);

/** att_log_giver_refuse: the same, saying why nothing is given */
GBytes *att_log_giver_refuse(AttLogGiver *g, const char *reason);

G_END_DECLS
