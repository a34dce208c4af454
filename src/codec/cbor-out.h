/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Writing deterministic CBOR, RFC 8949 section 4.2.1: shortest heads, definite
 * lengths. The order of a map's keys is the writer's; for files of codec/ only. */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

G_BEGIN_DECLS

void att_cbor_put_uint(GByteArray *out, uint64_t v);
void att_cbor_put_int(GByteArray *out, int64_t v);
void att_cbor_put_data(GByteArray *out, const void *data, size_t size);
void att_cbor_put_bytes(GByteArray *out, GBytes *bytes);
void att_cbor_put_text(GByteArray *out, const char *text);
void att_cbor_put_bool(GByteArray *out, bool v);
/* To be followed by @n items. */
void att_cbor_put_array(GByteArray *out, size_t n);
/* To be followed by @n pairs, in the bytewise order of their encoded keys. */
void att_cbor_put_map(GByteArray *out, size_t n);
/* To be followed by one item. */
void att_cbor_put_tag(GByteArray *out, uint64_t tag);

G_END_DECLS
