/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "codec/json-in.h"

#include "codec/base64url.h"
#include "codec/text.h"
#include "util/bytes.h"
#include "util/error.h"

/* A JSON value takes two bytes of input and some fifty of memory, and the parser
 * recurses: brackets and commas outside of texts bound both, and need no parser. */
static bool is_small(AttCursor c, GError **error) {
        size_t depth = 0, values = 1;
        bool in_text = false;

        while (c.left > 0) {
                uint8_t b = att_take_u8(&c);

                if (in_text) {
                        if (b == '\\' && c.left > 0)
                                att_take(&c, 1);
                        in_text = b != '"';
                        continue;
                }

                in_text = b == '"';
                values += b == '[' || b == '{' || b == ',' || b == ':';
                if (b == '[' || b == '{')
                        depth++;
                else if ((b == ']' || b == '}') && depth > 0)
                        depth--;
                if (depth > ATT_JSON_DEPTH_MAX)
                        return att_error_set(error, ATT_ERROR_BAD_DATA, "JSON: nested too deeply");
                if (values > ATT_JSON_VALUES_MAX)
                        return att_error_set(error, ATT_ERROR_TOO_LARGE, "JSON: too many values");
        }
        return true;
}

json_t *att_json_load(GBytes *bytes, GError **error) {
        AttCursor c = att_cursor_bytes(bytes);
        json_error_t problem;
        json_t *json;

        if (c.left > ATT_JSON_SIZE_MAX) {
                att_error_set(error, ATT_ERROR_TOO_LARGE, "JSON: over %u bytes", ATT_JSON_SIZE_MAX);
                return NULL;
        }
        if (c.left == 0 || (c.at[0] != '[' && c.at[0] != '{')) {
                att_error_set(error, ATT_ERROR_BAD_DATA, "JSON: neither an array nor an object");
                return NULL;
        }
        if (!is_small(c, error))
                return NULL;

        json = json_loadb((const char *) c.at, c.left, JSON_REJECT_DUPLICATES, &problem);
        if (!json)
                att_error_set(error, ATT_ERROR_BAD_DATA, "JSON: %s, byte %d",
                              json_error_code(&problem) == json_error_duplicate_key ? "a key twice" : "malformed",
                              problem.position);
        return json;
}

GBytes *att_json_dup_base64url(const json_t *json) {
        const char *text = json ? json_string_value(json) : NULL;

        return text ? att_base64url_decode(text, strlen(text)) : NULL;
}

char *att_json_dup_text(const json_t *json, size_t max) {
        const char *text = json ? json_string_value(json) : NULL;

        return text && att_text_is_plain(text, max) ? g_strdup(text) : NULL;
}
