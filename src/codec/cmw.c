/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "codec/cmw.h"

#include "codec/base64url.h"
#include "codec/cbor-in.h"
#include "codec/cbor-out.h"
#include "codec/json-in.h"
#include "codec/text.h"
#include "util/bytes.h"
#include "util/error.h"

#define INDICATOR_ALL 31u

/* RFC 9277: a tag for each content format, 255 to a row of 256, so that no tag ends in 0xff. */
#define TAG_FIRST 1668546817u
#define TAGGED_FORMAT_LAST 65024u

static void entry_free(gpointer p) {
        AttCmwEntry *entry = p;

        g_free(entry->label);
        att_cmw_free(entry->cmw);
        g_free(entry);
}

static AttCmw *cmw_new(AttCmwForm form) {
        AttCmw *cmw = g_new0(AttCmw, 1);

        cmw->form = form;
        if (form == ATT_CMW_COLLECTION)
                cmw->entries = g_ptr_array_new_with_free_func(entry_free);
        return cmw;
}

void att_cmw_free(AttCmw *cmw) {
        if (!cmw)
                return;
        g_free(cmw->media_type);
        g_clear_pointer(&cmw->value, g_bytes_unref);
        g_free(cmw->collection_type);
        g_clear_pointer(&cmw->entries, g_ptr_array_unref);
        g_free(cmw);
}

static bool bad(GError **error, const char *problem) {
        return att_error_set(error, ATT_ERROR_BAD_DATA, "CMW: %s", problem);
}

/* Content-Type of RFC 9193: type "/" subtype *( *SP ";" *SP token "=" ( token / quoted-string ) ) */

static bool is_name_byte(char b) {
        return g_ascii_isalnum(b) || (b && strchr("!#$&-^_.+", b));
}

static bool is_token_byte(char b) {
        return g_ascii_isalnum(b) || (b && strchr("!#$%&'*+-.^_`|~", b));
}

/* A restricted-name of RFC 6838. */
static const char *skip_name(const char *p) {
        if (!g_ascii_isalnum(*p))
                return NULL;
        while (is_name_byte(*p))
                p++;
        return p;
}

static const char *skip_token(const char *p) {
        const char *start = p;

        while (is_token_byte(*p))
                p++;
        return p > start ? p : NULL;
}

static const char *skip_quoted(const char *p) {
        for (p++; *p != '"'; p++) {
                if (*p == '\\')
                        p++;
                if (*p < 0x20 || *p > 0x7e) /* the end as well */
                        return NULL;
        }
        return p + 1;
}

static bool is_media_type(const char *p) {
        p = skip_name(p);
        if (!p || *p != '/')
                return false;
        p = skip_name(p + 1);

        while (p && *p) {
                p += strspn(p, " ");
                if (*p != ';')
                        return false;
                p++;
                p = skip_token(p + strspn(p, " "));
                if (!p || *p != '=')
                        return false;
                p = p[1] == '"' ? skip_quoted(p + 1) : skip_token(p + 1);
        }
        return p != NULL;
}

/* RFC 3986: scheme ":" and something, all of it printable ASCII. */
static bool is_absolute_uri(const char *p) {
        const char *colon = strchr(p, ':');

        if (!g_ascii_isalpha(*p) || !colon || !colon[1])
                return false;
        for (const char *q = p; q < colon; q++)
                if (!g_ascii_isalnum(*q) && !strchr("+-.", *q))
                        return false;
        for (const char *q = colon; *q; q++)
                if (!g_ascii_isgraph(*q))
                        return false;
        return true;
}

/* Dotted decimal, as the CDDL has it: 0, 1 or 2, then arcs without leading zeroes. */
static bool is_oid(const char *p) {
        if (*p < '0' || *p > '2')
                return false;
        for (p++; *p; p += strspn(p, "0123456789")) {
                if (*p != '.' || !g_ascii_isdigit(p[1]) || (p[1] == '0' && g_ascii_isdigit(p[2])))
                        return false;
                p++;
        }
        return true;
}

static bool check_collection_type(const char *type, GError **error) {
        if (!type || (!is_absolute_uri(type) && !is_oid(type)))
                return bad(error, "a collection type that is neither an absolute URI nor an OID");
        return true;
}

/* What the two record forms have in common, once their parts have been read. The
 * indicator is absent, or one of the known bits at least and no other. */
static bool check_record(const AttCmw *cmw, bool has_indicator, int64_t indicator, GError **error) {
        if (cmw->media_type && !is_media_type(cmw->media_type))
                return bad(error, "a media type that is none");
        if (!cmw->value || g_bytes_get_size(cmw->value) == 0)
                return bad(error, "a value that is not bytes, or empty");
        if (has_indicator && (indicator < 1 || indicator > INDICATOR_ALL))
                return bad(error, "an indicator without a known bit, or with an unknown one");
        return true;
}

static bool check_room(const AttCmw *collection, unsigned depth, GError **error) {
        if (depth >= ATT_CMW_DEPTH_MAX)
                return bad(error, "nested too deeply");
        if (collection->entries->len == ATT_CMW_ENTRIES_MAX)
                return att_error_set(error, ATT_ERROR_TOO_LARGE, "CMW: too many entries");
        return true;
}

static bool format_of(int64_t v, AttCmw *cmw, GError **error) {
        if (v < 0 || v > UINT16_MAX)
                return bad(error, "a content format that is none");
        cmw->content_format = (uint16_t) v;
        return true;
}

uint64_t att_cmw_tag_number(uint16_t content_format) {
        if (content_format > TAGGED_FORMAT_LAST)
                return 0;
        return TAG_FIRST + content_format / 255u * 256u + content_format % 255u;
}

/* CBOR. Form and duplicates of keys were seen to by att_cbor_load(). */

static AttCmw *cmw_from_cbor(const cbor_item_t *item, unsigned depth, GError **error);

static AttCmw *record_from_cbor(const AttCborArray *a, GError **error) {
        g_autoptr(AttCmw) cmw = cmw_new(ATT_CMW_RECORD);
        int64_t format, indicator = 0;

        if (cbor_isa_string(a->items[0])) {
                cmw->media_type = att_cbor_dup_text(a->items[0], ATT_CMW_TEXT_MAX);
                if (!cmw->media_type) {
                        bad(error, "a media type that is none");
                        return NULL;
                }
        } else if (!att_cbor_get_int(a->items[0], &format)) {
                bad(error, "a type that is neither a text nor a number");
                return NULL;
        } else if (!format_of(format, cmw, error)) {
                return NULL;
        }

        cmw->value = att_cbor_dup_bytes(a->items[1], 0, ATT_CMW_INPUT_MAX);
        if (a->n == 3)
                att_cbor_get_int(a->items[2], &indicator);
        if (!check_record(cmw, a->n == 3, indicator, error))
                return NULL;
        cmw->indicator = (uint32_t) indicator;
        return g_steal_pointer(&cmw);
}

static AttCmw *tag_from_cbor(const cbor_item_t *item, GError **error) {
        g_autoptr(AttCmw) cmw = cmw_new(ATT_CMW_TAG);
        uint64_t tag, row;

        cmw->value = att_cbor_dup_bytes(att_cbor_get_tagged(item, &tag), 0, ATT_CMW_INPUT_MAX);
        if (tag < TAG_FIRST || tag > att_cmw_tag_number(TAGGED_FORMAT_LAST) || (tag - TAG_FIRST) % 256 == 255) {
                bad(error, "a tag that is no content format's");
                return NULL;
        }
        if (!check_record(cmw, false, 0, error))
                return NULL;
        row = (tag - TAG_FIRST) / 256;
        cmw->content_format = (uint16_t) (row * 255 + (tag - TAG_FIRST) % 256);
        return g_steal_pointer(&cmw);
}

static AttCmw *collection_from_cbor(const AttCborMap *map, unsigned depth, GError **error) {
        g_autoptr(AttCmw) cmw = cmw_new(ATT_CMW_COLLECTION);

        for (size_t i = 0; i < map->n; i++) {
                g_autofree char *label = att_cbor_dup_text(map->pairs[i].key, ATT_CMW_TEXT_MAX);
                AttCmwEntry *entry;
                int64_t number = 0;

                if (g_strcmp0(label, ATT_CMW_COLLECTION_TYPE) == 0) {
                        cmw->collection_type = att_cbor_dup_text(map->pairs[i].value, ATT_CMW_TEXT_MAX);
                        if (!check_collection_type(cmw->collection_type, error))
                                return NULL;
                        continue;
                }
                if (!label && !att_cbor_get_int(map->pairs[i].key, &number)) {
                        bad(error, "a label that is neither a number nor plain text");
                        return NULL;
                }
                if (!check_room(cmw, depth, error))
                        return NULL;

                entry = g_new0(AttCmwEntry, 1);
                g_ptr_array_add(cmw->entries, entry);
                entry->label = g_steal_pointer(&label);
                entry->number = number;
                entry->cmw = cmw_from_cbor(map->pairs[i].value, depth + 1, error);
                if (!entry->cmw)
                        return NULL;
        }

        if (cmw->entries->len == 0) {
                bad(error, "an empty collection");
                return NULL;
        }
        return g_steal_pointer(&cmw);
}

static AttCmw *cmw_from_cbor(const cbor_item_t *item, unsigned depth, GError **error) {
        AttCborArray a;
        AttCborMap map;

        if (att_cbor_get_array(item, 2, 3, &a))
                return record_from_cbor(&a, error);
        if (att_cbor_get_map(item, &map))
                return collection_from_cbor(&map, depth, error);
        if (cbor_isa_tag(item))
                return tag_from_cbor(item, error);
        bad(error, "neither a record of two or three, nor a tag, nor a collection with an entry");
        return NULL;
}

/* JSON. Duplicates of keys were seen to by att_json_load(). */

static AttCmw *cmw_from_json(json_t *json, unsigned depth, GError **error);

static AttCmw *record_from_json(json_t *json, GError **error) {
        g_autoptr(AttCmw) cmw = cmw_new(ATT_CMW_RECORD);
        json_t *type = json_array_get(json, 0), *indicator = json_array_get(json, 2);

        if (json_array_size(json) < 2 || json_array_size(json) > 3) {
                bad(error, "a record that is not of two or three");
                return NULL;
        }
        if (json_is_string(type)) {
                cmw->media_type = att_json_dup_text(type, ATT_CMW_TEXT_MAX);
                if (!cmw->media_type) {
                        bad(error, "a media type that is none");
                        return NULL;
                }
        } else if (!json_is_integer(type)) {
                bad(error, "a type that is neither a text nor a number");
                return NULL;
        } else if (!format_of(json_integer_value(type), cmw, error)) {
                return NULL;
        }

        cmw->value = att_json_dup_base64url(json_array_get(json, 1));
        if (!check_record(cmw, indicator != NULL, json_integer_value(indicator), error)) /* 0 if it is none */
                return NULL;
        cmw->is_json = true;
        cmw->indicator = (uint32_t) json_integer_value(indicator);
        return g_steal_pointer(&cmw);
}

static AttCmw *collection_from_json(json_t *json, unsigned depth, GError **error) {
        g_autoptr(AttCmw) cmw = cmw_new(ATT_CMW_COLLECTION);
        const char *label;
        json_t *value;

        cmw->is_json = true;
        json_object_foreach(json, label, value) {
                AttCmwEntry *entry;

                if (strcmp(label, ATT_CMW_COLLECTION_TYPE) == 0) {
                        cmw->collection_type = att_json_dup_text(value, ATT_CMW_TEXT_MAX);
                        if (!check_collection_type(cmw->collection_type, error))
                                return NULL;
                        continue;
                }
                if (!att_text_is_plain(label, ATT_CMW_TEXT_MAX)) {
                        bad(error, "a label that is not plain text");
                        return NULL;
                }
                if (!check_room(cmw, depth, error))
                        return NULL;

                entry = g_new0(AttCmwEntry, 1);
                g_ptr_array_add(cmw->entries, entry);
                entry->label = g_strdup(label);
                entry->cmw = cmw_from_json(value, depth + 1, error);
                if (!entry->cmw)
                        return NULL;
        }

        if (cmw->entries->len == 0) {
                bad(error, "an empty collection");
                return NULL;
        }
        return g_steal_pointer(&cmw);
}

static AttCmw *cmw_from_json(json_t *json, unsigned depth, GError **error) {
        if (json_is_array(json))
                return record_from_json(json, error);
        if (json_is_object(json))
                return collection_from_json(json, depth, error);
        bad(error, "neither a record nor a collection");
        return NULL;
}

/* The forms by their first byte. 0x5b and 0x7b are heads of CBOR strings too, but no CMW is a string. */
typedef enum {
        START_JSON,
        START_CBOR,
        START_SIGNED,
        START_NONE,
} Start;

static Start start_of(uint8_t b) {
        if (b == '[' || b == '{')
                return START_JSON;
        if (b == 0xd2)
                return START_SIGNED;
        if (b == 0x82 || b == 0x83 || b == 0x9f || b == 0xda || (b >= 0xa1 && b <= 0xbb) || b == 0xbf)
                return START_CBOR;
        return START_NONE;
}

AttCmw *att_cmw_parse(GBytes *bytes, GError **error) {
        AttCursor c = att_cursor_bytes(bytes);
        g_autoptr(cbor_item_t) item = NULL;
        g_autoptr(json_t) json = NULL;

        if (c.left > ATT_CMW_INPUT_MAX) {
                att_error_set(error, ATT_ERROR_TOO_LARGE, "CMW: over %u bytes", ATT_CMW_INPUT_MAX);
                return NULL;
        }

        switch (start_of(att_take_u8(&c))) {
        case START_JSON:
                json = att_json_load(bytes, error);
                return json ? cmw_from_json(json, 0, error) : NULL;
        case START_CBOR:
                item = att_cbor_load(bytes, ATT_CBOR_ANY, error);
                return item ? cmw_from_cbor(item, 0, error) : NULL;
        case START_SIGNED:
                bad(error, "a signed CMW (COSE_Sign1), not a bare one");
                return NULL;
        case START_NONE:
        default:
                bad(error, "neither a record, nor a tag, nor a collection, by its first byte");
                return NULL;
        }
}

AttCmw *att_cmw_record_new(const char *media_type, GBytes *value, uint32_t indicator) {
        AttCmw *cmw = cmw_new(ATT_CMW_RECORD);

        cmw->media_type = g_strdup(media_type);
        cmw->value = g_bytes_ref(value);
        cmw->indicator = indicator;
        return cmw;
}

AttCmw *att_cmw_collection_new(const char *collection_type) {
        AttCmw *cmw = cmw_new(ATT_CMW_COLLECTION);

        cmw->collection_type = g_strdup(collection_type);
        return cmw;
}

void att_cmw_collection_take(AttCmw *collection, const char *label, AttCmw *entry) {
        AttCmwEntry *e = g_new0(AttCmwEntry, 1);

        e->label = g_strdup(label);
        e->cmw = entry;
        g_ptr_array_add(collection->entries, e);
}

const AttCmw *att_cmw_find(const AttCmw *collection, const char *label) {
        for (guint i = 0; collection->entries && i < collection->entries->len; i++) {
                const AttCmwEntry *entry = g_ptr_array_index(collection->entries, i);

                if (g_strcmp0(entry->label, label) == 0)
                        return entry->cmw;
        }
        return NULL;
}

static bool cannot(GError **error, const char *problem) {
        return att_error_set(error, ATT_ERROR_INVALID_ARGUMENT, "CMW: %s", problem);
}

/* A pair of a map, both encoded. */
typedef struct Pair {
        GByteArray *key, *value;
} Pair;

static void pair_clear(gpointer p) {
        Pair *pair = p;

        g_byte_array_unref(pair->key);
        g_byte_array_unref(pair->value);
}

/* No encoded item is a prefix of another: where they differ, they do so within both. */
static int compare_pairs(gconstpointer a, gconstpointer b) {
        const Pair *x = a, *y = b;

        return memcmp(x->key->data, y->key->data, MIN(x->key->len, y->key->len));
}

static Pair *add_pair(GArray *pairs) {
        const Pair pair = { g_byte_array_new(), g_byte_array_new() };

        g_array_append_val(pairs, pair);
        return &g_array_index(pairs, Pair, pairs->len - 1);
}

static bool put_cbor(GByteArray *out, const AttCmw *cmw, GError **error);

static bool put_collection(GByteArray *out, const AttCmw *cmw, GError **error) {
        g_autoptr(GArray) pairs = g_array_new(FALSE, FALSE, sizeof(Pair));

        g_array_set_clear_func(pairs, pair_clear);
        if (cmw->entries->len == 0)
                return cannot(error, "an empty collection");
        if (cmw->collection_type) {
                Pair *pair = add_pair(pairs);

                att_cbor_put_text(pair->key, ATT_CMW_COLLECTION_TYPE);
                att_cbor_put_text(pair->value, cmw->collection_type);
        }
        for (guint i = 0; i < cmw->entries->len; i++) {
                const AttCmwEntry *entry = g_ptr_array_index(cmw->entries, i);
                Pair *pair = add_pair(pairs);

                if (entry->label)
                        att_cbor_put_text(pair->key, entry->label);
                else
                        att_cbor_put_int(pair->key, entry->number);
                if (!put_cbor(pair->value, entry->cmw, error))
                        return false;
        }

        g_array_sort(pairs, compare_pairs);
        att_cbor_put_map(out, pairs->len);
        for (guint i = 0; i < pairs->len; i++) {
                const Pair *pair = &g_array_index(pairs, Pair, i);

                if (i > 0 && compare_pairs(pair - 1, pair) == 0)
                        return cannot(error, "a label twice");
                att_put(out, pair->key->data, pair->key->len);
                att_put(out, pair->value->data, pair->value->len);
        }
        return true;
}

static bool put_cbor(GByteArray *out, const AttCmw *cmw, GError **error) {
        if (cmw->form == ATT_CMW_COLLECTION)
                return put_collection(out, cmw, error);
        if (g_bytes_get_size(cmw->value) == 0)
                return cannot(error, "an empty value");

        if (cmw->form == ATT_CMW_TAG) {
                if (cmw->content_format > TAGGED_FORMAT_LAST)
                        return cannot(error, "a content format without a tag");
                att_cbor_put_tag(out, att_cmw_tag_number(cmw->content_format));
                att_cbor_put_bytes(out, cmw->value);
                return true;
        }

        att_cbor_put_array(out, cmw->indicator ? 3 : 2);
        if (cmw->media_type)
                att_cbor_put_text(out, cmw->media_type);
        else
                att_cbor_put_uint(out, cmw->content_format);
        att_cbor_put_bytes(out, cmw->value);
        if (cmw->indicator)
                att_cbor_put_uint(out, cmw->indicator);
        return true;
}

static json_t *json_of(const AttCmw *cmw, GError **error) {
        g_autoptr(json_t) json = NULL;
        g_autofree char *value = NULL;

        if (cmw->form == ATT_CMW_COLLECTION) {
                json = json_object();
                if (cmw->entries->len == 0) {
                        cannot(error, "an empty collection");
                        return NULL;
                }
                if (cmw->collection_type)
                        json_object_set_new(json, ATT_CMW_COLLECTION_TYPE, json_string(cmw->collection_type));
                for (guint i = 0; i < cmw->entries->len; i++) {
                        const AttCmwEntry *entry = g_ptr_array_index(cmw->entries, i);
                        json_t *member;

                        if (!entry->label || json_object_get(json, entry->label)) {
                                cannot(error, "a label that is a number, or twice");
                                return NULL;
                        }
                        member = json_of(entry->cmw, error);
                        if (!member)
                                return NULL;
                        json_object_set_new(json, entry->label, member);
                }
                return g_steal_pointer(&json);
        }

        if (!cmw->media_type || g_bytes_get_size(cmw->value) == 0) {
                cannot(error, "a record without a media type or a value has no JSON form");
                return NULL;
        }
        value = att_base64url_encode(cmw->value);
        json = json_array();
        json_array_append_new(json, json_string(cmw->media_type));
        json_array_append_new(json, json_string(value));
        if (cmw->indicator)
                json_array_append_new(json, json_integer(cmw->indicator));
        return g_steal_pointer(&json);
}

GBytes *att_cmw_encode(const AttCmw *cmw, bool as_json, GError **error) {
        g_autoptr(GByteArray) out = g_byte_array_new();
        g_autoptr(json_t) json = NULL;
        char *text;
        GBytes *bytes;

        if (!as_json)
                return put_cbor(out, cmw, error) ? g_byte_array_free_to_bytes(g_steal_pointer(&out)) : NULL;

        json = json_of(cmw, error);
        if (!json)
                return NULL;
        text = json_dumps(json, JSON_COMPACT);
        bytes = g_bytes_new(text, strlen(text));
        free(text);
        return bytes;
}
