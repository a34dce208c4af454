/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The calls of attestd that the programs here make, over a bus or its direct socket. */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <systemd/sd-bus.h>

#define ATTESTER_NAME "org.attestd.Attester1"
#define ATTESTER_PATH "/org/attestd/Attester1"
#define SESSION_NAME ATTESTER_NAME ".Session"

/* SubjectPublicKeyInfo of RFC 6979 A.2.5's P-256 key. */
#define CALL_PUBLIC_KEY_SIZE 91u
extern const guint8 call_public_key[CALL_PUBLIC_KEY_SIZE];

/** Ends the program unless @r is a success. */
void call_check(int r, const char *what, const sd_bus_error *error);

/** @address: "system", or that of a direct socket. The connection is begun, nothing waits for it. %NULL with errno. */
sd_bus *call_connect(const char *address);

/* Each is a message that the caller sends and unrefs. */
sd_bus_message *call_ping(sd_bus *bus);
/** call_get_id: of the bus driver itself */
sd_bus_message *call_get_id(sd_bus *bus);
sd_bus_message *call_open_session(sd_bus *bus);
sd_bus_message *call_close_session(sd_bus *bus, const char *session);

typedef struct AttestOptions {
        bool batch;
        bool split;
        guint timeout_ms; /* 0: the default */
} AttestOptions;

/** Exported value and context are new each time, the key is the same: of one server. */
sd_bus_message *call_attest(sd_bus *bus, const char *session, const AttestOptions *options);
