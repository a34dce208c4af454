/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A call of Attest as it comes by the thousand, read where it was received: without a sd_bus_message, which costs more
 * than all that it asks for. Only the form that libraries send is known here; whatever else there is, right or wrong,
 * is for sd-bus to read, and to refuse. No I/O. */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

G_BEGIN_DECLS

/* For a time limit that is not said. */
#define ATT_ATTEST_CALL_UNSAID G_MAXUINT32

/* All of it borrowed from the message. */
typedef struct AttAttestCall {
        guint32 serial;
        const char *path;        /* any text: only one that is known is one */
        const char *destination; /* likewise; NULL: none */
        const void *exported_value, *request_context, *public_key;
        gsize exported_value_size, request_context_size, public_key_size;
        const char *profile;     /* NULL: not said */
        bool batch, split;
        guint32 timeout_ms;
} AttAttestCall;

/**
 * att_attest_call_read: is the message that begins at @data such a call?
 * @size: of what is there; there may be other messages behind it
 * @ret:  untouched if it is none
 *
 * Returns: how long it is; 0: it is for sd-bus
 */
gsize att_attest_call_read(const void *data, gsize size, AttAttestCall *ret) G_GNUC_WARN_UNUSED_RESULT;

G_END_DECLS
