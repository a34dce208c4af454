/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* One method call to a service. Made in any thread; once it is submitted, ours alone
 * touches it, and it belongs to one place at a time: a remote, an absence, a lane, GDBus. */
#pragma once

#include "lib/instance.h"

#include <gio/gunixfdlist.h>

G_BEGIN_DECLS

typedef struct AttCall AttCall;

/* What becomes of a call: its maker is told by the lane that took it. */
typedef struct AttCallHandler {
        /* @reply is no error; that its body is of the type agreed on is not said. Both take @call. */
        void (*answered)(AttCall *call, GDBusMessage *reply);
        void (*failed)(AttCall *call, GError *error);

        /* Nobody is to wait for it any more, but its answer may still come: then @call is
         * not taken. */
        void (*given_up)(AttCall *call);
        void (*answered_late)(AttCall *call, GDBusMessage *reply);
} AttCallHandler;

typedef enum {
        ATT_TO_SESSION,
        ATT_TO_SERVICE, /* its first object, in the instance that has the session */
        ATT_TO_SESSION_PROPERTIES,
        ATT_TO_SERVICE_PROPERTIES,
} AttCallTo;

struct AttCall {
        /* as it was made */
        AttClient *client; /* a reference */
        AttRemote *remote;
        const AttCallHandler *handler;
        AttCallTo to;
        const char *member;
        GVariant *arguments;
        GUnixFDList *fds;    /* (nullable) */
        const char *reply;   /* type */
        AttEventType answer;
        guint timeout_ms;
        AttEvent *event;     /* (nullable): what the call before this one has brought; owned */
        bool opens_session;
        bool may_retry;      /* it stands for itself, in a new session too */
        bool is_ahead;       /* nobody waits for it */
        bool is_split;       /* Attest: asked with "split" */

        /* as it went */
        bool is_retried;
        bool is_detour;      /* it was lost with the direct link: made again over the bus */
        bool by_bus;         /* to any instance of the service, over the system bus; or opens its session there */

        /* of the lane */
        struct AttLane *lane;  /* since it was sent */
        AttInstance *instance; /* a reference; NULL: it opens a session, or goes to any instance */
        guint in_session;      /* its remote's n_sessions then */
        gint64 deadline_us;    /* direct */
        GList link;            /* direct: of those that are under way */
        bool is_given_up;
};

/** att_call_new: to the session, unless it is changed. @arguments: floating. @reply: type */
AttCall *att_call_new(AttRemote *r, const AttCallHandler *handler, const char *member, GVariant *arguments,
                      const char *reply, AttEventType answer);
void att_call_free(AttCall *call);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(AttCall, att_call_free)

bool att_call_is_abandoned(const AttCall *call);

/** att_call_post: what came of it. @event: (transfer full) */
void att_call_post(AttCall *call, AttEvent *event);
void att_call_post_failure(AttCall *call, const char *message);

/** att_call_message: to the instance that it is to go to. @direct: no bus between */
GDBusMessage *att_call_message(const AttCall *call, bool direct);

G_END_DECLS
