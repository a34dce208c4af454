/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Reading CBOR. The only door to cbor_load(); for files of codec/ only. */
#pragma once

#include <cbor.h>
#include <glib.h>
#include <stdbool.h>

G_BEGIN_DECLS

#define ATT_CBOR_SIZE_MAX (1024u * 1024u)
#define ATT_CBOR_DEPTH_MAX 16u
/* libcbor takes some 100 bytes for an item of one byte. */
#define ATT_CBOR_ITEMS_MAX 16384u

typedef enum {
        ATT_CBOR_ANY,           /* well-formed: what a CMW may be */
        ATT_CBOR_DETERMINISTIC, /* RFC 8949 section 4.2.1 as well: what C must be */
} AttCborForm;

static inline void att_cbor_free(cbor_item_t *item) {
        if (item)
                cbor_decref(&item);
}
G_DEFINE_AUTOPTR_CLEANUP_FUNC(cbor_item_t, att_cbor_free)

/**
 * att_cbor_load: decode exactly one item from bytes we do not trust
 * @error: %ATT_ERROR_BAD_DATA that says what was wrong: claimed counts beyond
 *         the input, depth over %ATT_CBOR_DEPTH_MAX, duplicate map keys, map keys
 *         that are neither integers nor strings, bytes after the item, text that
 *         is not UTF-8 or has a NUL, a float, an unassigned simple value, a tag from 6
 *         to 20, or, with %ATT_CBOR_DETERMINISTIC, another encoding than the
 *         deterministic one; %ATT_ERROR_TOO_LARGE over %ATT_CBOR_SIZE_MAX bytes or
 *         %ATT_CBOR_ITEMS_MAX items
 *
 * Nothing but copies of map keys is allocated before all of it has been seen to be
 * well-formed.
 *
 * Returns: (transfer full)
 */
cbor_item_t *att_cbor_load(GBytes *bytes, AttCborForm form, GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* What a format takes out of an item. Each gives false or NULL, and leaves @ret
 * alone, if the item is NULL, of another type, or out of range: a decoder asks
 * once for type, presence and range. */
bool att_cbor_get_uint(const cbor_item_t *item, uint64_t *ret);
bool att_cbor_get_int(const cbor_item_t *item, int64_t *ret);
bool att_cbor_get_bool(const cbor_item_t *item, bool *ret);
/* A byte string of exactly @size bytes. */
bool att_cbor_get_bytes(const cbor_item_t *item, void *ret, size_t size);
/* A byte string of @min to @max bytes, definite or not. */
GBytes *att_cbor_dup_bytes(const cbor_item_t *item, size_t min, size_t max) G_GNUC_WARN_UNUSED_RESULT;
/* A text string that att_text_is_plain(). */
char *att_cbor_dup_text(const cbor_item_t *item, size_t max) G_GNUC_WARN_UNUSED_RESULT;
/* What is tagged, and with what; borrowed. */
const cbor_item_t *att_cbor_get_tagged(const cbor_item_t *item, uint64_t *ret_tag);

/* The elements of an array; borrowed. */
typedef struct AttCborArray {
        cbor_item_t *const *items;
        size_t n;
} AttCborArray;

bool att_cbor_get_array(const cbor_item_t *item, size_t min, size_t max, AttCborArray *ret);

/* A map out of which each known entry is taken once: as with a cursor, what is
 * left at the end is what we do not know. */
typedef struct AttCborMap {
        const struct cbor_pair *pairs;
        size_t n;
        size_t taken;
} AttCborMap;

/* Refuses the empty map: none of our formats has one. */
bool att_cbor_get_map(const cbor_item_t *item, AttCborMap *ret);
/* The value of a key, borrowed; NULL if it is not there. */
const cbor_item_t *att_cbor_take(AttCborMap *map, int64_t key);
const cbor_item_t *att_cbor_take_named(AttCborMap *map, const char *key);

static inline bool att_cbor_map_is_spent(const AttCborMap *map) {
        return map->taken == map->n;
}

G_END_DECLS
