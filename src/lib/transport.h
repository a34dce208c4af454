/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A TLS connection as the exchange sees it: bytes in and out, and the exporter. */
#pragma once

#include "util/tls-terms.h"

#include <glib.h>
#include <stdbool.h>

G_BEGIN_DECLS

typedef enum {
        ATT_IO_DONE,
        ATT_IO_WANT_READ,
        ATT_IO_WANT_WRITE,
        ATT_IO_CLOSED, /* the peer has sent close_notify */
        ATT_IO_CUT,    /* the stream ended without it */
        ATT_IO_FAILED, /* error is set */
} AttIo;

typedef struct AttTransport AttTransport;

typedef struct AttTransportOps {
        /* Never block. read: at least one byte with ATT_IO_DONE. write: some of
         * @data; after a WANT the next call must begin with the same bytes. */
        AttIo (*read)(AttTransport *t, void *data, size_t size, size_t *ret_size, GError **error);
        AttIo (*write)(AttTransport *t, const void *data, size_t size, size_t *ret_size, GError **error);
        /* Sends close_notify: done, a WANT, or failed. The peer may still be read. */
        AttIo (*close)(AttTransport *t, GError **error);

        /* TLS-Exporter(@label, @context, @size) of RFC 8446 section 7.5 */
        gboolean (*export)(AttTransport *t, const char *label, const void *context, size_t context_size, uint8_t *ret,
                           size_t size, GError **error);

        /* Only where @blocks: until the transport is readable or writable, as wanted,
         * or @other_fd is readable, or @timeout_ms has passed. */
        gboolean (*wait)(AttTransport *t, bool for_read, bool for_write, int other_fd, int timeout_ms, GError **error);

        /* Microseconds of a clock that only goes forward. */
        int64_t (*now)(AttTransport *t);

        void (*free)(AttTransport *t);
} AttTransportOps;

/* Its maker has checked that evidence can be bound to it, and fills this in. */
struct AttTransport {
        const AttTransportOps *ops;
        AttRole role;     /* our end */
        AttHash hash;     /* of the cipher suite */
        GBytes *peer_key; /* SubjectPublicKeyInfo of the handshake's leaf, verified for the name we want; (nullable) */
        bool peer_is_verified; /* that leaf is, for the name if we want one, whatever we ask */
        bool blocks;      /* the application wants calls that wait */
};

G_END_DECLS
