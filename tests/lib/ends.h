/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Two ends of a connection in memory, each with services that answer when the
 * test says so. Evidence is a text of the mock attester about its generation and
 * the binding; the mock verifier validates the authenticator and reads it. */
#pragma once

#include "codec/frame.h"
#include "lib/connection.h"
#include "pki.h"

#define MOCK_TIMEOUT_MS 30000

typedef struct Frame {
        AttFrameType type;
        GBytes *payload;
} Frame;

typedef struct MockCall {
        AttEventType answer; /* the event that it waits for */
        GBytes *exported, *context, *public_key, *authenticator, *entries;
        char *log, *bank;
        uint64_t first;
        AttEaKeys keys;
        bool batch; /* of attest and create_request */
        bool is_sealed;
        uint64_t generation;
} MockCall;

typedef struct Mock {
        AttServices base;
        AttRole role; /* of our end */
        AttHash hash;
        bool is_automatic; /* calls are answered at once */
        int fd;
        GMutex lock;
        GQueue calls, events;
        char *failures[ATT_EVENT_TYPES]; /* answer the next call of the kind with this error */

        /* attestd */
        AttStateId state;
        bool has_evidence;
        uint64_t evidence_generation;
        bool tells_once; /* of a change: not again after a report that was late */
        guint n_attested;
        GPtrArray *keys; /* of GBytes: that evidence was asked for */
        GByteArray *ima; /* the kernel's log, of bank sha1 */
        GArray *starts;  /* of gsize: where in it its entries begin */
        GByteArray *boot;
        gsize given_max; /* bytes of one answer, and … */
        bool is_cut;     /* … it ends inside a record */
        guint64 skew;    /* its head was trimmed by so many entries */
        const char *ima_bank; /* what it says the log is of */
        guint n_given;

        /* attestd-verifier */
        GBytes *request, *context;
        GPtrArray *recorded; /* of GBytes */
        const char *refuses; /* the next evidence, with this reason */
        char *logs[3];       /* that its policy needs */
        GByteArray *added;   /* of "ima" */
        guint64 log_next;
        GBytes *boot_added;
        const char *dislikes; /* the next piece of a log, with this reason */
        guint n_added;
        bool same_context;   /* a verifier without a random generator */
        size_t cut_context;
        guint n_judged;
} Mock;

Mock *mock_new(AttRole role, AttHash hash);
/* Fixes what the report that is being made says. */
void mock_seal(Mock *m);
/* Answers the oldest call of the kind. Returns: was there one? */
bool mock_answer(Mock *m, AttEventType kind);
bool mock_has(Mock *m, AttEventType kind);
/* The state changes, and attestd says so to who has evidence. */
void mock_change(Mock *m);
/* The kernel measures something: an entry of the log, of @size bytes or so, and no change yet. */
void mock_measure(Mock *m, const char *path, size_t size);
/* attestd is gone, and another instance comes. */
void mock_restart(Mock *m);
void mock_fail_next(Mock *m, AttEventType kind, const char *message);
/* A context that came in could not be told to the verifier. */
void mock_fail_record(Mock *m, const char *message);

typedef struct End End;

typedef struct Memory {
        AttTransport base;
        End *end;
        const uint8_t *secret; /* exporter secret of the connection */
        int64_t *clock;
        GByteArray *in, *out;  /* out: written, not delivered */
        bool in_closed, in_cut, out_closed;
        size_t n_written, n_offered;
        size_t room;           /* how much may be written until somebody makes room */
        GByteArray *pending;   /* what the next write must begin with */
        size_t most;           /* bytes that one read or write takes at most */
        bool is_gone;          /* the peer: nothing can be written */
        guint n_waits;         /* of calls that block; each takes its whole time … */
        void (*on_wait)(End *end, guint n); /* … unless this makes something happen (nullable) */
        bool export_fails;
} Memory;

struct End {
        const char *name;
        AttestdEndpoint *endpoint;
        Memory *memory;    /* of the connection */
        Mock *mock;        /* of the connection */
        AttestdConnection *connection;
        GPtrArray *sent, *received; /* of Frame, as they went over the wire */
        GByteArray *sending, *receiving;
        void (*on_frame)(End *end, bool is_sent, const Frame *frame); /* (nullable) */
        gpointer data;
        GError *error;     /* of the last call */
};

typedef struct Pair {
        End client, server;
        AttHash hash;
        uint8_t secret[ATT_HASH_SIZE_MAX];
        int64_t clock;
} Pair;

/* FIRST: of a server, before its own verdict; COMPAT: with the profile cocos; LOGS: gives them, and
 * pair_init() makes its peer one that it knows, whose verifier needs them */
enum { ASKS = 1, GIVES = 2, FIRST = 4, COMPAT = 8, LOGS = 16 };

/* Endpoints as a test wants them; the leaf is P-256 and the same each time. */
AttestdEndpoint *endpoint_new(int what);

void pair_init(Pair *p, int client, int server);
void pair_init_with(Pair *p, AttHash hash, AttestdEndpoint *client, AttestdEndpoint *server);
void pair_clear(Pair *p);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Pair, pair_clear)

End *pair_peer(Pair *p, End *end);
/* Delivers up to @n bytes that @to has not got yet. Returns: how many */
size_t pair_deliver(Pair *p, End *to, size_t n);
/* Drives an end by attestd_connection_open(). */
AttestdStatus end_drive(End *end);
/* Until nothing moves: drives both, delivers, answers all calls. */
void pair_settle(Pair *p);
/* The same without the answers of services. */
void pair_exchange(Pair *p);
/* The service of @end answers its oldest call, of that kind; and all that it makes both ends say. */
void pair_answer(Pair *p, End *end, AttEventType kind);
/* pair_init(), until both gates are open, or the test fails. */
void pair_open(Pair *p, int client, int server);

/* Writes all of @text, or fails the test. */
void end_write(End *end, const char *text);
/* What there is to read, up to a change of @ret_stale. */
char *end_read(End *end, gboolean *ret_stale);
/* That this is what end_read() gives. */
void ck_reads(End *end, const char *text, gboolean stale);

/* A peer that the test plays itself: its hello, a request with a new context, and
 * its word on the answer to one. */
void play_hello(End *to, int what);
GBytes *play_request(End *to, uint16_t code_point);
void play_accepted(End *to, GBytes *context);

/* As if the peer had sent it. */
void inject(End *end, AttFrameType type, const void *payload, size_t size);
void inject_message(End *end, AttFrameType type, GBytes *payload);
void inject_bytes(End *end, const void *data, size_t size);
/* Names of the frames that an end has sent, with a space between. */
char *frames_sent(const End *end);
guint count_sent(const End *end, AttFrameType type);

#define ck_is_open(end) ck_assert_msg(attestd_connection_is_open((end)->connection), "%s: closed", (end)->name)
#define ck_is_closed(end) ck_assert_msg(!attestd_connection_is_open((end)->connection), "%s: open", (end)->name)
/* Both ends of a pair. */
#define ck_are_open(p) do { ck_is_open(&(p)->client); ck_is_open(&(p)->server); } while (0)
#define ck_are_closed(p) do { ck_is_closed(&(p)->client); ck_is_closed(&(p)->server); } while (0)
/* The end's last call failed with this code, and a message that has @part in it. */
void ck_failed(const End *end, AttestdError code, const char *part);
