/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the parts of attester1*.c share; for them alone. */
#pragma once

#include "attester/session.h"
#include "attester/state-file.h"
#include "bus/authz.h"
#include "bus/direct.h"
#include "bus/lent.h"
#include "bus/log-calls.h"
#include "bus/name-watch.h"
#include "util/log-limit.h"

#include <systemd/sd-bus.h>

G_BEGIN_DECLS

#define NAME "org.attestd.Attester1"
#define PATH "/org/attestd/Attester1"
#define SESSION_NAME NAME ".Session"
#define SESSION_PATH PATH "/session"

typedef struct Attester1 {
        sd_bus *bus; /* the system's; borrowed: it outlives us */
        AttDirect *direct; /* owned */
        AttAttester *attester;
        const AttConfiguration *configuration;
        AttStateFile *state;
        AttGenerationListener listener;
        GHashTable *owners;   /* owned; of Owner, by itself: its connection */
        GHashTable *sessions; /* of Session, by path */
        GQueue openings;      /* of Opening, by their link */
        GQueue without_room;  /* of Owner, by their room */
        GSource *room;        /* owned */
        guint64 n_turns;      /* on the system's bus: messages with evidence that were sent there */
        GQueue refused;       /* answers to those over a limit, not sent yet */
        AttAuthority *authority; /* owned */
        AttNameWatch *names;     /* owned */
        AttLogCalls *logs;       /* owned */
        AttLent *parts;          /* owned; of evidence, that were sent beside it */
        uint8_t instance_id[ATT_INSTANCE_ID_SIZE]; /* as callers know it */
        guint moved_told;        /* source: the properties of a move are to be told */
        bool is_stopping;

        AttLogLimit refusals;
} Attester1;

/* What answers in two pieces have in common goes to a connection once, as long as it is among so many that were
 * sent last. Libraries keep twice as many. */
#define ATT_ATTESTER1_SHARED_SENT 4u

/* A connection that has sessions, or is getting one. */
typedef struct Owner {
        Attester1 *attester;
        sd_bus *bus; /* borrowed */
        char *name;  /* on the system's; NULL: the connection is direct */
        AttConnection *connection;
        GQueue sessions; /* of Session, by their link */
        guint64 shared[ATT_ATTESTER1_SHARED_SENT]; /* what it was sent last, by id; in turn */
        guint n_shared;                            /* what it was sent in all */
        GList room; /* data NULL: there is some */
        guint64 turn; /* the last that it had on the system's bus */
} Owner;

typedef struct Opening Opening;

/* Reached by its owner and by nobody else. */
typedef struct Session {
        Owner *owner;
        AttSession *inner;
        char *path;       /* NULL: polkit has not said yes yet. It counts, but there is no way to it */
        Opening *opening; /* until then */
        GList link;
} Session;

/* ----- attester1.c */

/* @who: (nullable): not known. @what may be a caller's word, of any length: a path. */
void att_attester1_log_refusal(Attester1 *a, const char *sender, const char *who, const char *what, const char *why);

/* For att_hex() of 16 bytes. */
#define ATT_ID_TEXT_SIZE 33u

/* ----- attester1-sessions.c: who has which */

GHashTable *att_attester1_new_owners(void);

/** att_attester1_find_owner: the connection that has sent @call; %NULL if it has no session */
Owner *att_attester1_find_owner(const Attester1 *a, sd_bus_message *call);
/** att_attester1_add_owner: on the system bus the driver has just answered for it: it will tell when that leaves */
Owner *att_attester1_add_owner(Attester1 *a, sd_bus_message *call, AttCaller *caller);
/** att_attester1_leave: the connection @name of @bus is gone */
void att_attester1_leave(Attester1 *a, sd_bus *bus, const char *name);
/** att_attester1_close_owner: with all its sessions */
void att_attester1_close_owner(Owner *o);

/** att_attester1_add_session: there is no way to it until it is published */
Session *att_attester1_add_session(Owner *o, const AttSessionParameters *parameters, GError **error);
void att_attester1_publish_session(Session *s);
/** att_attester1_close_session: what waits for it is answered; its owner goes with the last one */
void att_attester1_close_session(Session *s);

/** att_attester1_find_session: sd_bus_object_find_t; @userdata: Attester1 */
int att_attester1_find_session(sd_bus *bus, const char *path, const char *interface, void *userdata, void **ret,
                               sd_bus_error *error);

/* ----- attester1-calls.c: what can be asked of a session */

/* Parts that are lent. Who has as many as he may is sent evidence in one piece. */
extern const AttLentLimits att_attester1_parts_limits;

extern const sd_bus_vtable att_attester1_session_vtable[];

/** att_attester1_take_call: AttDirectHandler.take; @userdata: Attester1 */
gsize att_attester1_take_call(sd_bus *bus, const void *data, gsize size, gpointer userdata);

/* ----- attester1-room.c: answers wait with what they are made of, until there is room for them on the way */

/** att_attester1_new_room: Returns: (transfer full): attached */
GSource *att_attester1_new_room(Attester1 *a);
/** att_attester1_sent: evidence, or what has it in it, went to it: so many bytes */
void att_attester1_sent(Owner *o, gsize size);
/** att_attester1_drop_room: the owner goes */
void att_attester1_drop_room(Owner *o);

/* ----- attester1-over.c: on the system bus those over a limit are told of it behind all others */

/** att_attester1_over_limit: Returns: has it taken @error? Else it is to be told at once */
bool att_attester1_over_limit(Attester1 *a, sd_bus_message *call, GError *error);
/** att_attester1_tell_over_limit: so many */
void att_attester1_tell_over_limit(Attester1 *a, guint n);

/* ----- attester1-opening.c: how one comes to be */

/** OpenSession(in a{sv} parameters, out o session); @userdata: Attester1 */
int att_attester1_open_session(sd_bus_message *call, void *userdata, sd_bus_error *error);
/** att_attester1_leave_opening: its session is being closed */
void att_attester1_leave_opening(Opening *opening);
/** att_attester1_cancel_openings: all that are not answered, as attestd is stopping */
void att_attester1_cancel_openings(Attester1 *a);

/* ----- attester1-properties.c */

/* sd_bus_property_get_t; of an Attester1, the last two of a Session */
int att_attester1_get_text(sd_bus *bus, const char *path, const char *interface, const char *property,
                           sd_bus_message *reply, void *userdata, sd_bus_error *error);
int att_attester1_get_runtime(sd_bus *bus, const char *path, const char *interface, const char *property,
                              sd_bus_message *reply, void *userdata, sd_bus_error *error);
int att_attester1_get_id(sd_bus *bus, const char *path, const char *interface, const char *property,
                         sd_bus_message *reply, void *userdata, sd_bus_error *error);
int att_attester1_get_number(sd_bus *bus, const char *path, const char *interface, const char *property,
                             sd_bus_message *reply, void *userdata, sd_bus_error *error);
int att_attester1_get_throttle_count(sd_bus *bus, const char *path, const char *interface, const char *property,
                                     sd_bus_message *reply, void *userdata, sd_bus_error *error);
int att_attester1_get_profiles(sd_bus *bus, const char *path, const char *interface, const char *property,
                               sd_bus_message *reply, void *userdata, sd_bus_error *error);
int att_attester1_get_session_generation(sd_bus *bus, const char *path, const char *interface, const char *property,
                                         sd_bus_message *reply, void *userdata, sd_bus_error *error);
int att_attester1_get_session_stale(sd_bus *bus, const char *path, const char *interface, const char *property,
                                    sd_bus_message *reply, void *userdata, sd_bus_error *error);

G_END_DECLS
