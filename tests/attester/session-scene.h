/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* An attester with the doubles, its sessions, and a story of all that they tell. */
#pragma once

#include "attester/session.h"
#include "codec/evidence.h"
#include "util/error.h"

#include <string.h>

#define BECAUSE(reason) ((const char *const[]) { reason, NULL })

#define SPKI_SIZE 44u
extern const uint8_t spki_bytes[SPKI_SIZE];
extern const uint8_t exported_bytes[ATT_EXPORTED_SIZE];

extern AttConfiguration *configuration;
extern AttAttester *attester;
extern GBytes *spki;
extern GString *story; /* what happened, a word each */

/* Users 1000 and 1001 may have sessions; there is no log. */
void set_up(void);
void tear_down(void);
/* With another configuration than that, and a log. @text: (nullable) */
void begin_anew(const char *text);

AttConnection *connection_of(uint32_t uid);
AttSession *open_with(AttConnection *c, const AttSessionParameters *parameters, const char *name, GError **error);
/* Of a server, with SHA-256. */
AttSession *open_on(AttConnection *c, const char *name);
/* On a connection of its own, of user 1000. */
AttSession *open_session(const char *name);

typedef struct Answer {
        const char *name;
        AttEvidence *evidence;
        GBytes *bytes;     /* of @evidence, whole */
        AttClaims *claims;
        GError *error;
        guint8 report_data[ATT_REPORT_DATA_SIZE];
        uint64_t generation;
        guint64 batch;
        AttShared *shared; /* of an answer in two pieces */
        gsize own_size;    /* of the other one */
        bool left_out;
        bool is_there;
} Answer;

void on_answer(const AttAttested *attested, GError *error, gpointer userdata);
void answer_clear(Answer *a);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Answer, answer_clear)

AttAttestRequest request(const char *context);
void ask_for(AttSession *s, const AttAttestRequest *q, Answer *a);
void ask(AttSession *s, const char *context, Answer *a);
void refused(AttSession *s, const AttAttestRequest *q, AttError code);

/* Until nothing is ready any more. */
void settle(void);
/* The device, to what it was asked; and what becomes of that. */
void answer(void);
/* The story since the last time. */
void told(const char *expected);
