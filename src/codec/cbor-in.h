/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Reading CBOR. The only door to cbor_load(); for files of codec/ only. */
#pragma once

#include <cbor.h>
#include <glib.h>

G_BEGIN_DECLS

#define ATT_CBOR_SIZE_MAX (1024u * 1024u)
#define ATT_CBOR_DEPTH_MAX 16u

typedef enum {
        ATT_CBOR_ANY,           /* well-formed: what a CMW may be */
        ATT_CBOR_DETERMINISTIC, /* RFC 8949 section 4.2.1 as well: what C must be */
} AttCborForm;

/**
 * att_cbor_load: decode exactly one item from bytes we do not trust
 * @error: %ATT_ERROR_BAD_DATA that says what was wrong: claimed counts beyond
 *         the input, depth over %ATT_CBOR_DEPTH_MAX, duplicate map keys, bytes
 *         after the item, invalid UTF-8, a float where none is known, or, with
 *         %ATT_CBOR_DETERMINISTIC, another encoding than the deterministic one
 *
 * Returns: (transfer full)
 */
cbor_item_t *att_cbor_load(GBytes *bytes, AttCborForm form, GError **error) G_GNUC_WARN_UNUSED_RESULT;

G_END_DECLS
