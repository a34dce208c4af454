/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What is asked of one service: its session is opened, calls are made in it, and again
 * when it was lost and that is allowed; what comes of them goes to the mailbox. */
#pragma once

#include "lib/call.h"

G_BEGIN_DECLS

/* In any thread; of the verifier when its parameters are set. */

/** att_remote_call: of @member; it may be changed until it is submitted. @may_retry: see #AttCall */
AttCall *att_remote_call(AttRemote *r, const char *member, GVariant *arguments, const char *reply, AttEventType answer,
                         bool may_retry);
/** att_remote_look: which logs the verifier's session needs */
AttCall *att_remote_look(AttRemote *r);

/* In our thread only. */

/** att_remote_submit: @call: (transfer full) */
void att_remote_submit(AttCall *call);
/** att_remote_record: the verifier is to know of @context in this session and those to come */
void att_remote_record(AttRemote *r, GBytes *context);
/** att_remote_close: what waits for the session is dropped */
void att_remote_close(AttRemote *r);

/** att_remote_end_absence: it is there (again): those who look for it need not wait */
void att_remote_end_absence(const AttServiceNames *service);

G_END_DECLS
