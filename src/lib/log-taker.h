/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What a relying party asks of the peer's logs, beside one authenticator, and what
 * it takes for an answer. */
#pragma once

#include "codec/frame.h"
#include "lib/services.h"

G_BEGIN_DECLS

/* Beside one authenticator; of attestd-verifier's limits the same. */
#define ATT_LOG_FRAMES_MAX 1024u
#define ATT_LOG_BYTES_MAX (256u * 1024u * 1024u)
#define ATT_LOG_BOOT_MAX (16u * 1024u * 1024u)

typedef struct AttLogTaker {
        AttLogRequestFrame asked; /* not answered yet; log is NULL for nothing */
        GByteArray *boot;         /* of that log, which the verifier takes whole */
        bool has_ima, has_boot;   /* the peer has no more to give, or gives nothing */
        char *refusal;            /* why, in the peer's words */
        const char *newest;       /* the log that the newest frame was of */
        unsigned n_frames;
        gsize n_bytes;
} AttLogTaker;

/* What a frame brought. */
typedef struct AttLogPiece {
        const char *log;
        GBytes *entries; /* for the verifier; NULL: nothing now */
        char *bank;
        uint64_t first;
} AttLogPiece;

void att_log_piece_clear(AttLogPiece *piece);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(AttLogPiece, att_log_piece_clear)

void att_log_taker_clear(AttLogTaker *t);

/** att_log_taker_restart: another authenticator is here */
void att_log_taker_restart(AttLogTaker *t);

/**
 * att_log_taker_ask: what is still to be asked for
 * @logs: (nullable): that the verifier needs
 * @next: of "ima", the first entry that it does not have
 *
 * Returns: (nullable): the payload of a log request; %NULL if the verifier has all that the peer gives
 */
GBytes *att_log_taker_ask(AttLogTaker *t, char **logs, uint64_t next);

/**
 * att_log_taker_take: the peer's answer to what was asked
 * @error: %ATT_ERROR_BAD_DATA: it is none; %ATT_ERROR_TOO_LARGE: it is too much
 */
gboolean att_log_taker_take(AttLogTaker *t, GBytes *payload, AttLogPiece *ret, GError **error);

G_END_DECLS
