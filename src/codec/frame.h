/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Frames of the native mode: u8 type | u32be size | payload. docs/protocol.md */
#pragma once

#include "util/bytes.h"
#include "util/tls-terms.h"

#include <glib.h>
#include <stdbool.h>

G_BEGIN_DECLS

typedef enum {
        ATT_FRAME_HELLO = 0,
        ATT_FRAME_REQUEST = 1,
        ATT_FRAME_AUTHENTICATOR = 2,
        ATT_FRAME_ACCEPTED = 3,
        ATT_FRAME_REFUSED = 4,
        ATT_FRAME_STALE = 5,
        ATT_FRAME_LOG_REQUEST = 6,
        ATT_FRAME_LOG_ENTRIES = 7,
        ATT_FRAME_DATA = 8,
        ATT_FRAME_END = 9,
} AttFrameType;

#define ATT_FRAME_TYPES 10u
#define ATT_FRAME_HEADER_SIZE 5u
#define ATT_FRAME_DATA_MAX (16u * 1024u)

/** The limit of a type's payload in bytes. */
size_t att_frame_max(AttFrameType type);

/** A name for messages: "hello", "request" … */
const char *att_frame_name(AttFrameType type);

/**
 * att_frame_header: look at the header of a frame
 * @header: %ATT_FRAME_HEADER_SIZE bytes
 * @error:  %ATT_ERROR_BAD_DATA for an unknown type, %ATT_ERROR_TOO_LARGE for a
 *          size over the type's limit: before any payload is read or room for
 *          it is made
 */
gboolean att_frame_header(const uint8_t header[ATT_FRAME_HEADER_SIZE], AttFrameType *ret_type, size_t *ret_size,
                          GError **error) G_GNUC_WARN_UNUSED_RESULT;
/** @size is within the type's limit: the caller has seen to it. */
void att_frame_put(GByteArray *out, AttFrameType type, const void *payload, size_t size);

#define ATT_HELLO_TEXTS_MAX 16u
#define ATT_FRAME_TEXT_MAX 255u /* bytes of a profile, a media type, a reason of stale */
#define ATT_REASON_MAX 1024u

/* Payload of hello: a deterministic CBOR map. Keys that we do not know are
 * skipped, if they are unsigned integers, so that later versions can add; those of
 * the other frames are refused. */
typedef struct AttHello {
        uint64_t version;      /* 1: of the frames */
        char **profiles;       /* that it can appraise (if it asks) or give, best first; NULL-terminated */
        char **formats;        /* media types of tee; NULL-terminated */
        bool batch;            /* takes the batch form */
        bool asks;             /* it wants evidence of the peer */
        bool gives;            /* it can give evidence */
} AttHello;

void att_hello_clear(AttHello *hello);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(AttHello, att_hello_clear)
/** At most %ATT_HELLO_TEXTS_MAX texts in either list, each plain and at most %ATT_FRAME_TEXT_MAX bytes; what does
 * not fit into half a frame is left out. */
GBytes *att_hello_encode(const AttHello *hello) G_GNUC_WARN_UNUSED_RESULT;
gboolean att_hello_decode(GBytes *payload, AttHello *ret, GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* Payload of accepted and refused. */
typedef struct AttVerdictFrame {
        GBytes *context; /* certificate_request_context it is about; empty in a refusal that is about none */
        char *reason;    /* refused only: a name such as "evidence-binding", then ": " and a sentence; at most
                            %ATT_REASON_MAX bytes, printable UTF-8 */
} AttVerdictFrame;

void att_verdict_frame_clear(AttVerdictFrame *verdict);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(AttVerdictFrame, att_verdict_frame_clear)
/** @context: 1 to 255 bytes */
GBytes *att_accepted_encode(GBytes *context) G_GNUC_WARN_UNUSED_RESULT;
/** What of @reason cannot be printed becomes '?', what is over %ATT_REASON_MAX is cut; NULL or empty: "refused". */
GBytes *att_refused_encode(GBytes *context, const char *reason) G_GNUC_WARN_UNUSED_RESULT;
gboolean att_verdict_frame_decode(AttFrameType type, GBytes *payload, AttVerdictFrame *ret, GError **error)
        G_GNUC_WARN_UNUSED_RESULT;

/* Payload of stale. */
typedef struct AttStaleFrame {
        uint8_t boot_id[16];
        uint8_t instance_id[16];
        uint64_t generation;
        char **reasons; /* names, at most ATT_HELLO_TEXTS_MAX; NULL-terminated */
} AttStaleFrame;

void att_stale_frame_clear(AttStaleFrame *stale);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(AttStaleFrame, att_stale_frame_clear)
/** Reasons after the first %ATT_HELLO_TEXTS_MAX, and those that do not fit into the frame, are left out. */
GBytes *att_stale_encode(const AttStaleFrame *stale) G_GNUC_WARN_UNUSED_RESULT;
gboolean att_stale_decode(GBytes *payload, AttStaleFrame *ret, GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* Payload of log request: { 1: log name, 2: first entry }. */
typedef struct AttLogRequestFrame {
        char *log; /* "ima", "boot" or "register" */
        uint64_t from;
} AttLogRequestFrame;

void att_log_request_clear(AttLogRequestFrame *request);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(AttLogRequestFrame, att_log_request_clear)
GBytes *att_log_request_encode(const AttLogRequestFrame *request) G_GNUC_WARN_UNUSED_RESULT;
gboolean att_log_request_decode(GBytes *payload, AttLogRequestFrame *ret, GError **error) G_GNUC_WARN_UNUSED_RESULT;

#define ATT_LOG_IMA "ima"
#define ATT_LOG_BOOT "boot"
#define ATT_LOG_REGISTER "register"
/* What one frame takes of a log; the rest of its limit is for what stands around it. */
#define ATT_LOG_CHUNK_MAX (1024u * 1024u - 64u)

/* Payload of log entries: { 1: log, 2: first, 3: entries, 4: bank, 5: more, ? 6: reason }. */
typedef struct AttLogEntriesFrame {
        char *log;
        uint64_t first;   /* number of the first entry; of "boot" its offset in bytes */
        GBytes *entries;  /* whole ones; at most %ATT_LOG_CHUNK_MAX bytes; not empty if there are more */
        char *bank;       /* of "ima" whose digests the records have, of "register" "sha384", of "boot" "" */
        bool more;        /* the log goes on */
        char *reason;     /* (nullable): why nothing is given; entries and bank are empty then, and no more comes */
} AttLogEntriesFrame;

void att_log_entries_clear(AttLogEntriesFrame *entries);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(AttLogEntriesFrame, att_log_entries_clear)
/** What it holds keeps to the above: the caller has seen to it. */
GBytes *att_log_entries_encode(const AttLogEntriesFrame *entries) G_GNUC_WARN_UNUSED_RESULT;
gboolean att_log_entries_decode(GBytes *payload, AttLogEntriesFrame *ret, GError **error) G_GNUC_WARN_UNUSED_RESULT;

G_END_DECLS
