/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The attester of this guest: its TEE, the generation of its state, who has how
 * much of it, and the configuration. One per process. */
#pragma once

#include "attester/caller.h"
#include "attester/configuration.h"
#include "attester/generation.h"
#include "attester/key-memo.h"
#include "attester/runtime.h"
#include "attester/scheduler.h"

G_BEGIN_DECLS

typedef struct AttAttester AttAttester;

/* Both come after the generation has moved for what they tell of. */
typedef struct AttAttesterEvents {
        /** State, provider or detail of the TEE is another one. */
        void (*tee_changed)(AttAttester *attester, gpointer userdata);
        /** State or detail of the log, of its root, or of what tells us of entries is another one. */
        void (*runtime_changed)(AttAttester *attester, gpointer userdata);
} AttAttesterEvents;

/**
 * att_attester_new:
 * @configuration: must outlive the attester
 * @sources:       (nullable): what tells of new measurements; borrowed, and started
 */
AttAttester *att_attester_new(const AttConfiguration *configuration, AttEventSource *sources,
                              const AttAttesterEvents *events, gpointer userdata,
                              GError **error) G_GNUC_WARN_UNUSED_RESULT;

/**
 * att_attester_free: no session is left, the loop does not run any more
 *
 * Waits some seconds for a report under way, and leaves it behind then.
 */
void att_attester_free(AttAttester *attester);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(AttAttester, att_attester_free)

/**
 * att_attester_look: see whether the TEE, and what runs in this guest, still is what evidence has spoken of
 *
 * If not, the generation moves, once for all that has changed.
 */
void att_attester_look(AttAttester *attester);

const AttConfiguration *att_attester_configuration(const AttAttester *attester);
AttTee *att_attester_tee(AttAttester *attester);
AttGeneration *att_attester_generation(AttAttester *attester);
AttRuntime *att_attester_runtime(AttAttester *attester);
AttScheduler *att_attester_scheduler(AttAttester *attester);
AttKeyMemo *att_attester_key_memo(AttAttester *attester);

/* A user: what all his connections have together. */
typedef struct AttUser {
        AttAttester *attester;
        uint32_t uid;
        guint n_connections;
        guint n_sessions;
        guint n_drafts; /* authenticators that wait for their report or their signature */
        guint64 turn; /* for who sends him answers: by which users have theirs; begins as 0 */
        AttScheduleUser schedule;
} AttUser;

/* A connection to the bus, with sessions of its own. */
typedef struct AttConnection {
        grefcount refs;
        AttUser *user;
        AttCaller *caller;
        guint n_sessions;
        AttScheduleConnection schedule;
} AttConnection;

/** @caller: a reference is taken */
AttConnection *att_connection_new(AttAttester *attester, AttCaller *caller) G_GNUC_WARN_UNUSED_RESULT;
AttConnection *att_connection_ref(AttConnection *connection);
void att_connection_unref(AttConnection *connection);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(AttConnection, att_connection_unref)

/** att_connection_hold: it can take no more evidence for now; what is made for it waits */
void att_connection_hold(AttConnection *connection);
/** att_connection_release: it can again */
void att_connection_release(AttConnection *connection);

/** att_attester_new_handle: from 1, never used twice */
guint64 att_attester_new_handle(AttAttester *attester);

/** att_attester_n_sessions: of all */
guint att_attester_n_sessions(const AttAttester *attester);

/**
 * att_connection_take_session: one more session
 * @error: %ATT_ERROR_LIMIT_REACHED
 *
 * Returns: its number, from 1, never used twice; 0 with @error set
 */
guint64 att_connection_take_session(AttConnection *connection, GError **error) G_GNUC_WARN_UNUSED_RESULT;
void att_connection_drop_session(AttConnection *connection);

G_END_DECLS
