/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* RATS Conceptual Messages Wrapper, RFC 9999: record, tag and collection, in
 * CBOR and JSON. Signed CMWs (COSE_Sign1, JWS) are not bare CMWs and refused. */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

G_BEGIN_DECLS

/* Indicator, cm-type: bits, combined by or; 0 is "not stated". */
enum {
        ATT_CMW_REFERENCE_VALUES = 1,
        ATT_CMW_ENDORSEMENTS = 2,
        ATT_CMW_EVIDENCE = 4,
        ATT_CMW_ATTESTATION_RESULTS = 8,
        ATT_CMW_APPRAISAL_POLICY = 16,
};

/* The label of a collection that holds its type. */
#define ATT_CMW_COLLECTION_TYPE "__cmwc_t"

#define ATT_CMW_INPUT_MAX (1024u * 1024u)
#define ATT_CMW_DEPTH_MAX 4u
#define ATT_CMW_ENTRIES_MAX 64u  /* of one collection */
#define ATT_CMW_TEXT_MAX 1024u   /* bytes of a media type, a label, a collection type */

typedef enum {
        ATT_CMW_RECORD,
        ATT_CMW_TAG,        /* CBOR only: #6.TN(bytes); has a content format, no media type */
        ATT_CMW_COLLECTION,
} AttCmwForm;

typedef struct AttCmw AttCmw;

typedef struct AttCmwEntry {
        char *label;        /* text label, or NULL: then @number is it */
        int64_t number;
        AttCmw *cmw;        /* owned */
} AttCmwEntry;

struct AttCmw {
        AttCmwForm form;
        bool is_json;       /* how it was read */

        /* record and tag */
        char *media_type;   /* or NULL: then @content_format is the type */
        uint16_t content_format;
        GBytes *value;      /* decoded: never base64 */
        uint32_t indicator;

        /* collection */
        char *collection_type; /* __cmwc_t; (nullable) */
        GPtrArray *entries;    /* of AttCmwEntry, in the order of the input */
};

void att_cmw_free(AttCmw *cmw);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(AttCmw, att_cmw_free)

/**
 * att_cmw_parse: any form, told apart by the first byte
 * @error: %ATT_ERROR_BAD_DATA or %ATT_ERROR_TOO_LARGE; says what was wrong
 *
 * One item and nothing after it (JSON may end in white space). Refused: duplicate
 * labels, an empty collection, an empty value, padded base64url, collections
 * nested deeper than %ATT_CMW_DEPTH_MAX, more than %ATT_CMW_ENTRIES_MAX entries,
 * white space before JSON, an indicator of 0 or with unknown bits, a media type
 * that is none, a collection type that is neither an absolute URI nor an OID, a
 * label that is not att_text_is_plain().
 *
 * A content format in place of a media type is taken in JSON too, as others
 * write it, but not written.
 *
 * Returns: (transfer full)
 */
AttCmw *att_cmw_parse(GBytes *bytes, GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* Builders for CMWs of ours. */
AttCmw *att_cmw_record_new(const char *media_type, GBytes *value, uint32_t indicator) G_GNUC_WARN_UNUSED_RESULT;
AttCmw *att_cmw_collection_new(const char *collection_type) G_GNUC_WARN_UNUSED_RESULT;
void att_cmw_collection_take(AttCmw *collection, const char *label, AttCmw *entry);

/** att_cmw_find: the entry with this text label; (nullable), borrowed */
const AttCmw *att_cmw_find(const AttCmw *collection, const char *label);

/**
 * att_cmw_encode: deterministic CBOR, or JSON with @as_json
 * @error: %ATT_ERROR_INVALID_ARGUMENT: an empty collection or value, a label twice,
 *         or with @as_json what has no JSON form: a tag, a content format, a
 *         label that is a number
 */
GBytes *att_cmw_encode(const AttCmw *cmw, bool as_json, GError **error) G_GNUC_WARN_UNUSED_RESULT;

/** CBOR tag number of a CoAP content format, RFC 9277: 0 to 65024 have one, else 0. */
uint64_t att_cmw_tag_number(uint16_t content_format);

G_END_DECLS
