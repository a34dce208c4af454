/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What a client of the direct socket sends, before sd-bus sees any of it: who it says
 * it is, and then messages, whole ones and none that is too large. sd-bus would take
 * 128 MiB of anybody. No I/O, and no clock. */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

G_BEGIN_DECLS

/* The largest call there is has 60 KiB of certificates and 16 KiB of a request. */
#define ATT_DIRECT_MESSAGE_MAX (128u * 1024u)
/* Longer ones are counted: an error that names what there is not may be as long. */
#define ATT_DIRECT_MESSAGE_SMALL (4u * 1024u)
/* All lines until BEGIN. */
#define ATT_DIRECT_AUTH_MAX 2048u

typedef struct AttDirectStream AttDirectStream;

/**
 * att_direct_stream_new:
 * @uid: as the kernel has it; a client that says it is another is rejected
 * @id:  of the server
 */
AttDirectStream *att_direct_stream_new(uint32_t uid, const uint8_t id[16]) G_GNUC_WARN_UNUSED_RESULT;
void att_direct_stream_free(AttDirectStream *stream);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(AttDirectStream, att_direct_stream_free)

/**
 * att_direct_stream_take: what was received next
 * @answer:       lines for the client are appended
 * @ret_messages: all that are whole now, one behind the other; borrowed until the next call, from @data or the stream
 * @ret_size:     0 if there are none
 * @error:        %ATT_ERROR_BAD_DATA, %ATT_ERROR_TOO_LARGE: take no more of this client
 */
gboolean att_direct_stream_take(AttDirectStream *stream, const void *data, gsize size, GString *answer,
                                const void **ret_messages, gsize *ret_size, GError **error) G_GNUC_WARN_UNUSED_RESULT;

/** Has it said BEGIN? */
bool att_direct_stream_is_authenticated(const AttDirectStream *stream);
/** Has it asked for descriptors, before it did? */
bool att_direct_stream_takes_fds(const AttDirectStream *stream);
/** What was given out last is not needed any more. */
void att_direct_stream_done(AttDirectStream *stream);
/** Bytes in those messages that were given out last and are over %ATT_DIRECT_MESSAGE_SMALL. */
gsize att_direct_stream_large(const AttDirectStream *stream);
/** Is there the beginning of a message, or of a line? */
bool att_direct_stream_has_part(const AttDirectStream *stream);

G_END_DECLS
