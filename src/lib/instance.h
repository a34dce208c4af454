/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Which processes answer us, and which sessions they keep. In our thread only. */
#pragma once

#include "lib/client.h"
#include "lib/link.h"
#include "lib/shared-parts.h"

G_BEGIN_DECLS

/* A service, as it is reached: one process that answers. It stays while a call to it is
 * under way or a session is there, even after it was lost. */
struct AttInstance {
        guint refs;
        AttLink *link;
        char *name;           /* unique one on the bus; NULL: direct */
        GHashTable *sessions; /* of AttRemote, by their path */
        AttSharedParts parts;
};

/** att_instance_get: @name: on the bus; directly there is one. Returns: (transfer none): valid until it is lost */
AttInstance *att_instance_get(AttLink *link, const char *name);
AttInstance *att_instance_ref(AttInstance *p);
void att_instance_unref(AttInstance *p);

/** att_instance_lose: @name: on the bus. It is gone; another may have the same name, and other shared parts */
void att_instance_lose(const char *name);
/** att_instance_lose_all: those that were reached over @link */
void att_instance_lose_all(const AttLink *link);

/** att_instance_begin_session: @r has none, and nobody has one of this @path at @p */
void att_instance_begin_session(AttRemote *r, AttInstance *p, const char *path);

/** att_instance_find_session: @sender: (nullable): on the bus. Returns: (nullable) (transfer none): whose it is */
AttRemote *att_instance_find_session(const AttLink *link, const char *sender, const char *path);

/* These do nothing when there is none. */

/** att_instance_retire_session: another is to take its place: it is closed, or the former one from now on */
void att_instance_retire_session(AttRemote *r);
/** att_instance_close_former: there is newer evidence */
void att_instance_close_former(AttRemote *r);
/** att_instance_give_up_former: it makes room for another, whose evidence is to follow; else that is to be told */
void att_instance_give_up_former(AttRemote *r);
/** att_instance_tell_unwatched: it did not follow: what was given up is a loss */
void att_instance_tell_unwatched(AttRemote *r);
/** att_instance_close_session: by our own will, and the former one */
void att_instance_close_session(AttRemote *r);
/** att_instance_lose_session: against our will, and with the former one: the time begins in which it may come back */
void att_instance_lose_session(AttRemote *r);
/** att_instance_lose_former: there is none that could take its place; or it was given up for none */
void att_instance_lose_former(AttRemote *r);

/** att_instance_send_close: no more than that, of a session that need be nobody's. @name: NULL: direct */
void att_instance_send_close(const AttLink *link, const char *name, const AttServiceNames *service, const char *path);

G_END_DECLS
