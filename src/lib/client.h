/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* One connection as a client of both services. It belongs to the application, by its
 * one reference, until that is handed to our thread to be closed; each call holds
 * another. They are taken in both threads, and dropped in ours only. */
#pragma once

#include "lib/mailbox.h"

#include <gio/gio.h>

G_BEGIN_DECLS

typedef struct AttServiceNames {
        const char *program; /* for messages */
        const char *name;
        const char *path;
        const char *session; /* interface */
} AttServiceNames;

extern const AttServiceNames att_attester_names, att_verifier_names;

typedef struct AttClient AttClient;
typedef struct AttInstance AttInstance;

/* A session at one service. Opened when first needed, and anew after it was lost. */
typedef struct AttRemote {
        /* constant */
        AttClient *client;
        const AttServiceNames *service;

        /* Verifier: of OpenSession. Set by the application's thread before it makes the first
         * call, and constant then; NULL: nothing was asked of it yet. */
        GVariant *parameters;

        /* in our thread only */
        AttInstance *instance;       /* a process that keeps the session; NULL: there is none */
        char *path;
        AttInstance *former; /* attester: keeps the session before, which tells of a change as long as this one has
                              * given no evidence; NULL: there is none */
        char *former_path;
        bool is_unwatched;   /* attester: the former one was given up: nobody tells of a change before newer evidence */
        bool is_told;        /* attester: of a loss, and there is neither another session nor newer evidence since */
        guint n_sessions;    /* it has had */
        bool is_opening;     /* one; with a peer: to move to it */
        bool by_bus;         /* attester: refused directly, until the session is lost */
        gint64 until_us;     /* lost: it may come back until then; 0: it is not lost */
        AttStateId given;    /* attester: what its newest evidence speaks of */
        bool needs_no_logs;  /* verifier: as this session says */
        bool has_boot_log;   /* verifier: it was given to this session, which keeps it */
        GQueue calls;        /* of AttCall: wait for the session */
        GByteArray *contexts; /* verifier: to be told to each new session: of each its size, in 1 byte, and itself. They
                               * grow with each renewal */
} AttRemote;

struct AttClient {
        AttServices base;
        gatomicrefcount refs;

        /* constant */
        const AttestdEndpoint *endpoint; /* borrowed: for the application's thread alone */
        guint timeout_ms;
        guint patience_ms;
        AttRole role;
        AttHash hash;
        GBytes *peer_key; /* (nullable) */

        AttRemote attester, verifier;
        AttMailbox mailbox; /* locked */
};

/** att_client_new: @error: %ATTESTD_ERROR_SERVICE */
AttClient *att_client_new(const AttServicesOps *ops, const AttestdEndpoint *endpoint, const AttTransport *transport,
                          GError **error) G_GNUC_WARN_UNUSED_RESULT;
AttClient *att_client_ref(AttClient *c);
void att_client_unref(AttClient *c);

G_END_DECLS
