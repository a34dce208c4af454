/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* RFC 4648 section 5, without padding. */
#pragma once

#include <glib.h>
#include <stddef.h>

G_BEGIN_DECLS

char *att_base64url_encode(GBytes *bytes) G_GNUC_WARN_UNUSED_RESULT;

/**
 * att_base64url_decode: NULL if @text is not the one encoding of its bytes:
 * another alphabet, padding, white space, or bits after the last byte that are
 * not zero
 */
GBytes *att_base64url_decode(const char *text, size_t size) G_GNUC_WARN_UNUSED_RESULT;

G_END_DECLS
