/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the files of this example have in common. libattestd is not among it: only
 * GnuTLS, GDBus, and libcbor to read four small maps. */
#pragma once

#include <gio/gio.h>
#include <gnutls/gnutls.h>
#include <stdbool.h>
#include <stdint.h>

/* Why there is no connection: by our verdict, or by the protocol. */
#define REFUSED refused_quark()
GQuark refused_quark(void);

enum {
        REFUSED_SILENT, /* the peer told us, or cannot be told */
        REFUSED_TELL,   /* the message is for the peer: a name of docs/protocol.md section 10, ": ", a sentence */
};

/* Of the command line, and the files that it names. */
typedef struct Options {
        gboolean is_server, gives;
        char *name, *policy;
        GPtrArray *anchors;      /* of GBytes: DER */
        GPtrArray *certificates; /* of GBytes: DER, leaf first */
        gnutls_privkey_t key;
} Options;
