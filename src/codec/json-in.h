/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Reading JSON from bytes we do not trust. */
#pragma once

#include <glib.h>
#include <jansson.h>

G_BEGIN_DECLS

#define ATT_JSON_SIZE_MAX (1024u * 1024u)
#define ATT_JSON_DEPTH_MAX 16u
#define ATT_JSON_VALUES_MAX 16384u

G_DEFINE_AUTOPTR_CLEANUP_FUNC(json_t, json_decref)

/**
 * att_json_load: one array or object
 * @error: %ATT_ERROR_BAD_DATA: another first byte than '[' or '{', not JSON, a key
 *         twice, a NUL in a text, depth over %ATT_JSON_DEPTH_MAX, more than white
 *         space after it; %ATT_ERROR_TOO_LARGE over %ATT_JSON_SIZE_MAX bytes or
 *         %ATT_JSON_VALUES_MAX values
 *
 * Numbers are the caller's to judge: no format of ours has a fraction.
 */
json_t *att_json_load(GBytes *bytes, GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* A text that is base64url; NULL if it is not, or if @json is. */
GBytes *att_json_dup_base64url(const json_t *json) G_GNUC_WARN_UNUSED_RESULT;

/* A text that att_text_is_plain(); NULL if it is not, or if @json is. */
char *att_json_dup_text(const json_t *json, size_t max) G_GNUC_WARN_UNUSED_RESULT;

G_END_DECLS
