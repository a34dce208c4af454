/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What attested-server and attested-client have in common: options, the endpoint
 * that follows from them, and telling what happened. */
#pragma once

#include <attestd.h>
#include <stdbool.h>

#define EXIT_REFUSED 1
#define EXIT_USAGE 2

/* Of the command line. */
typedef struct Options {
        gboolean gives, gives_to_anyone, gives_logs, asks;
        char *cert, *key; /* what evidence is given for */
        char *ca, *name;  /* of the peer */
        char *policy, *policy_file;
        char *profile, *suite;
        gboolean compat;
        gboolean verbose;
        int max_age_s, timeout_ms, patience_ms;
} Options;

extern Options options;
extern const GOptionEntry common_entries[];

/* Reads the command line; exits with --help or if it is wrong. A server that is not
 * told otherwise gives to anyone, a client asks. */
void read_options(int *argc, char ***argv, const GOptionEntry *entries, bool is_server, const char *summary);

/* Prints "FORMAT" and the error, and exits. */
G_NORETURN void give_up(int status, const GError *error, const char *format, ...) G_GNUC_PRINTF(3, 4);

/* An SSL_CTX for attested connections, and what this end asks and gives. */
SSL_CTX *make_context(const SSL_METHOD *method);
AttestdEndpoint *make_endpoint(SSL_CTX *ctx);

/* If there is a new attestation result: what ran at the peer since the one before, and with
 * --verbose its checks. @told: the last one, owned, NULL at first; to be freed with g_free() */
void print_result(AttestdConnection *connection, char **told);
