/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A bus of the test's own, and services on it that answer as the test wants; what
 * they take and give is held against the contracts in dbus/. */
#pragma once

#include "lib/services.h"

#include <gio/gio.h>
#include <stdbool.h>

typedef struct Bus {
        GPid pid;
        char *address;
} Bus;

/* From now on it is the system bus. */
void bus_start(Bus *bus);
void bus_stop(Bus *bus);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Bus, bus_stop)

typedef struct Seen {
        const char *method;
        char *path;
        GVariant *arguments;
        GBytes *memfd; /* (nullable): what a sealed memfd in it holds */
        GDBusMethodInvocation *held; /* owned; not answered yet */
} Seen;

/* In a thread of its own. */
typedef struct Service Service;

/* @name: "org.attestd.Attester1" or "org.attestd.Verifier1" */
Service *service_start(const char *name);
/* On a socket of its own, without a bus. @is_closed_to_us: whoever connects is told to use the bus */
Service *service_start_direct(const char *name, const char *socket, bool is_closed_to_us);
guint service_count_connections(Service *s);
/* Closes all connections to the socket; it stays. */
void service_hang_up(Service *s);
/* Its name has no owner any more; it stays, with what it has not answered. */
void service_leave_name(Service *s);
/* Leaves the bus, with what it has not answered. */
void service_stop(Service *s);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Service, service_stop)

/* Answer calls of @method with this body (or NULL: hold them) from now on. */
void service_answer(Service *s, const char *method, GVariant *body);
/* The same, with a memfd of @content as its one descriptor; unsealed if that is wanted. */
void service_answer_with_memfd(Service *s, const char *method, GVariant *body, GBytes *content, bool sealed);
void service_answer_with_fd(Service *s, const char *method, GVariant *body, int fd);
/* Of the service and its sessions, by the name alone. */
void service_set_property(Service *s, const char *name, GVariant *value);
/* … or with this error; NULL: no error any more. */
void service_refuse(Service *s, const char *method, const char *error_name);
/* So many sessions at a time: LimitReached. */
void service_limit_sessions(Service *s, guint n);
/* OpenSession is not answered any more. */
void service_hold_sessions(Service *s);
/* An object for a session that a test opens by hand. */
void service_register_session(Service *s, guint number);
/* Waits until there were @n calls of @method, 20 s at most. Returns: the last of them, borrowed */
const Seen *service_wait(Service *s, const char *method, guint n);
guint service_count(Service *s, const char *method);
/* Answers what is held, of @method. */
void service_release(Service *s, const char *method, GVariant *body);
/* The same, past the check of its type. */
void service_break_contract(Service *s, const char *method, GVariant *body);
/* To the owner of the newest session. @path: NULL for that of the newest session */
void service_tell_stale(Service *s, const char *path, guint64 generation, const char *reason);
/* A stranger says the same about a session of @s. */
void stranger_tells_stale(Service *s, guint64 generation);
const char *service_session(Service *s);

/* The next event of a client of these services, 20 s at most. */
AttEvent *wait_event(AttServices *s);
