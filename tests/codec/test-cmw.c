/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "codec/cbor-out.h"
#include "codec/cmw.h"
#include "exact.h"
#include "run.h"
#include "util/bytes.h"
#include "util/error.h"

/* "a/b", and a record of it. */
#define AB "63612f62"
#define RECORD "82" AB "4101"

typedef struct Input {
        const char *what;
        const char *bytes; /* hexadecimal for CBOR, itself for JSON */
        const char *says;  /* NULL: it is good */
} Input;

static void check(const Input *input, GBytes *bytes) {
        g_autoptr(GError) error = NULL;
        g_autoptr(AttCmw) cmw = att_cmw_parse(bytes, &error);

        ck_assert_msg((cmw != NULL) == (input->says == NULL), "%s: %s", input->what,
                      error ? error->message : "accepted");
        if (cmw)
                return;
        ck_assert(g_error_matches(error, ATT_ERROR, ATT_ERROR_BAD_DATA));
        ck_assert_msg(strstr(error->message, input->says), "%s: %s", input->what, error->message);
}

static void check_cbor(const Input *input) {
        g_autoptr(GBytes) bytes = exact_hex(input->bytes);

        check(input, bytes);
}

static void check_json(const Input *input) {
        g_autoptr(GBytes) bytes = exact(input->bytes, strlen(input->bytes));

        check(input, bytes);
}

static const Input cbor[] = {
        { "record", RECORD, NULL },
        { "record with a content format", "82 19fde7 4101", NULL },
        { "record with content format 0", "82 00 4101", NULL },
        { "record with an indicator", "83" AB "4101 04", NULL },
        { "record with all indicators", "83" AB "4101 181f", NULL },
        { "collection", "a1 6161" RECORD, NULL },
        { "collection with a number", "a1 20" RECORD, NULL },
        { "collection with the longest head", "bb0000000000000001 00" RECORD, NULL },
        { "collection with a type", "a2 6161" RECORD "685f5f636d77635f74 63613a62", NULL },
        { "collection with an OID", "a2 6161" RECORD "685f5f636d77635f74 67312e322e302e34", NULL },
        { "nothing", "", "first byte" },
        { "a number", "00", "first byte" },
        { "bytes", "4101", "first byte" },
        { "text", "6161", "first byte" },
        { "true", "f5", "first byte" },
        { "an empty record", "80", "first byte" },
        { "a record of one", "81" AB, "first byte" },
        { "a record of one, indefinite", "9f" AB "ff", "neither" },
        { "a record of four", "84" AB "4101 04 00", "first byte" },
        { "a record of four, indefinite", "9f" AB "4101 04 00 ff", "neither" },
        { "a record with a long head", "9802" AB "4101", "first byte" },
        { "an empty collection", "a0", "first byte" },
        { "an empty collection, indefinite", "bf ff", "neither" },
        { "an empty collection with a type", "a1 685f5f636d77635f74 63613a62", "empty collection" },
        { "an empty collection inside", "a1 6161 a0", "neither" },
        { "JWS, compact", "65794a", "first byte" },
        { "type negative", "82 20 4101", "content format" },
        { "type 65535", "82 19ffff 4101", NULL },
        { "type 65536", "82 1a00010000 4101", "content format" },
        { "type bytes", "82 4101 4101", "type" },
        { "type null", "82 f6 4101", "type" },
        { "type 2^64-1", "82 1bffffffffffffffff 4101", "type" },
        { "media type empty", "82 60 4101", "media type" },
        { "media type without a slash", "82 6161 4101", "media type" },
        { "media type with a newline", "82 64612f620a 4101", "media type" },
        { "value empty", "82" AB "40", "value" },
        { "value text", "82" AB "6161", "value" },
        { "value a number", "82" AB "01", "value" },
        { "indicator 0", "83" AB "4101 00", "indicator" },
        { "indicator 32", "83" AB "4101 1820", "indicator" },
        { "indicator 2^32+4", "83" AB "4101 1b0000000100000004", "indicator" },
        { "indicator 2^64-1", "83" AB "4101 1bffffffffffffffff", "indicator" },
        { "indicator negative", "83" AB "4101 23", "indicator" },
        { "indicator text", "83" AB "4101 6134", "indicator" },
        { "label bytes", "a1 4161" RECORD, "label" },
        { "label empty", "a1 60" RECORD, "label" },
        { "label with an escape", "a1 611b" RECORD, "label" },
        { "label over int64", "a1 1b8000000000000000" RECORD, "label" },
        { "label under int64", "a1 3b8000000000000000" RECORD, "label" },
        { "label of the least int64", "a1 3b7fffffffffffffff" RECORD, NULL },
        { "member bytes", "a1 6161 4101", "neither" },
        { "member null", "a1 6161 f6", "neither" },
        { "collection type a number", "a2 6161" RECORD "685f5f636d77635f74 01", "collection type" },
        { "collection type a word", "a2 6161" RECORD "685f5f636d77635f74 6161", "collection type" },
        { "collection type a bad scheme", "a2 6161" RECORD "685f5f636d77635f74 64612f3a62", "collection type" },
        { "collection type with a space", "a2 6161" RECORD "685f5f636d77635f74 64613a2062", "collection type" },
        { "collection type a bad OID", "a2 6161" RECORD "685f5f636d77635f74 64312e3032", "collection type" },
};

START_TEST(reads_or_refuses_cbor) {
        check_cbor(&cbor[_i]);
}
END_TEST

static const Input json[] = {
        { "record", "[\"a/b\",\"AQ\"]", NULL },
        { "record with an indicator", "[ \"a/b\", \"AQ\", 4 ]", NULL },
        { "record with a content format", "[65535,\"AQ\"]", NULL },
        { "collection", "{\"a\":[\"a/b\",\"AQ\"]}", NULL },
        { "collection with a type", "{\"__cmwc_t\":\"tag:a\",\"a\":[\"a/b\",\"AQ\"]}", NULL },
        { "collection with an OID of root 0", "{\"__cmwc_t\":\"0.0\",\"a\":[\"a/b\",\"AQ\"]}", NULL },
        { "collection with an OID of root 2", "{\"__cmwc_t\":\"2.999\",\"a\":[\"a/b\",\"AQ\"]}", NULL },
        { "collection in a collection", "{\"a\":{\"a\":[\"a/b\",\"AQ\"]}}", NULL },
        { "white space before", " [\"a/b\",\"AQ\"]", "first byte" },
        { "a text", "\"a/b\"", "first byte" },
        { "an empty record", "[]", "two or three" },
        { "a record of one", "[\"a/b\"]", "two or three" },
        { "a record of four", "[\"a/b\",\"AQ\",4,4]", "two or three" },
        { "an empty collection", "{}", "empty collection" },
        { "an empty collection with a type", "{\"__cmwc_t\":\"tag:a\"}", "empty collection" },
        { "an empty collection inside", "{\"a\":{}}", "empty collection" },
        { "JWS, flattened", "{\"payload\":\"AQ\",\"protected\":\"e30\",\"signature\":\"AQ\"}", "neither" },
        { "type null", "[null,\"AQ\"]", "type" },
        { "type 65536", "[65536,\"AQ\"]", "content format" },
        { "type -1", "[-1,\"AQ\"]", "content format" },
        { "type over int64", "[18446744073709551616,\"AQ\"]", "JSON" },
        { "media type without a slash", "[\"ab\",\"AQ\"]", "media type" },
        { "media type with a newline", "[\"a/b\\n\",\"AQ\"]", "media type" },
        { "value empty", "[\"a/b\",\"\"]", "value" },
        { "value padded", "[\"a/b\",\"AQ==\"]", "value" },
        { "value with bits left", "[\"a/b\",\"AR\"]", "value" },
        { "value of base64", "[\"a/b\",\"+/8A\"]", "value" },
        { "value of base64url", "[\"a/b\",\"-_8A\"]", NULL },
        { "value a number", "[\"a/b\",1]", "value" },
        { "indicator 0", "[\"a/b\",\"AQ\",0]", "indicator" },
        { "indicator null", "[\"a/b\",\"AQ\",null]", "indicator" },
        { "indicator 32", "[\"a/b\",\"AQ\",32]", "indicator" },
        { "indicator -4", "[\"a/b\",\"AQ\",-4]", "indicator" },
        { "indicator 2^32+4", "[\"a/b\",\"AQ\",4294967300]", "indicator" },
        { "indicator a text", "[\"a/b\",\"AQ\",\"4\"]", "indicator" },
        { "label empty", "{\"\":[\"a/b\",\"AQ\"]}", "label" },
        { "label with an escape", "{\"\\u001b\":[\"a/b\",\"AQ\"]}", "label" },
        { "member a text", "{\"a\":\"AQ\"}", "neither" },
        { "member null", "{\"a\":null}", "neither" },
        { "collection type a number", "{\"__cmwc_t\":1,\"a\":[\"a/b\",\"AQ\"]}", "collection type" },
        { "collection type a bad OID", "{\"__cmwc_t\":\"1.02\",\"a\":[\"a/b\",\"AQ\"]}", "collection type" },
        { "an OID that ends early", "{\"__cmwc_t\":\"1.2.\",\"a\":[\"a/b\",\"AQ\"]}", "collection type" },
        { "an OID of another root", "{\"__cmwc_t\":\"3.1\",\"a\":[\"a/b\",\"AQ\"]}", "collection type" },
        { "collection type with a bad scheme", "{\"__cmwc_t\":\"1a:b\",\"a\":[\"a/b\",\"AQ\"]}", "collection type" },
        { "collection type of a scheme only", "{\"__cmwc_t\":\"tag:\",\"a\":[\"a/b\",\"AQ\"]}", "collection type" },
};

START_TEST(reads_or_refuses_json) {
        check_json(&json[_i]);
}
END_TEST

static const struct {
        const char *type;
        bool good;
} media_types[] = {
        { "application/eat+cwt", true },
        { "application/eat-ucs+cbor; eat_profile=\"tag:attestd.org,2026:evidence/1\"", true },
        { "application/a;b=c;d=\"e;f\\\"g\"", true },
        { "application/a  ;  b=c", true },
        { "application/a; b=\"~ !\"", true },
        { "application/a; b=\"\177\"", false },
        { "application/vnd.x-y_z&a^b!c#d$e.f", true },
        { "application", false },
        { "application/", false },
        { "/a", false },
        { "application/a/b", false },
        { "application /a", false },
        { "application/.a", false },
        { "-application/a", false },
        { "application/a ", false },
        { "application/a;", false },
        { "application/a; b", false },
        { "application/a; b=", false },
        { "application/a; =c", false },
        { "application/a; b =c", false },
        { "application/a; b=\"c", false },
        { "application/a; b=\"c\\\"", false },
        { "application/a; b=\"c\"d", false },
        { "application/\303\244", false },
        { "application/a; b=\"\303\244\"", false },
};

START_TEST(knows_a_media_type) {
        g_autoptr(GByteArray) out = g_byte_array_new();

        att_cbor_put_array(out, 2);
        att_cbor_put_text(out, media_types[_i].type);
        att_cbor_put_data(out, "\1", 1);
        g_autoptr(GBytes) bytes = exact(out->data, out->len);
        g_autoptr(AttCmw) cmw = att_cmw_parse(bytes, NULL);

        ck_assert_msg((cmw != NULL) == media_types[_i].good, "%s", media_types[_i].type);
        ck_assert(!cmw || strcmp(cmw->media_type, media_types[_i].type) == 0);
}
END_TEST

static const struct {
        uint16_t format;
        uint64_t tag;
} formats[] = {
        { 0, 0x63740101 }, { 254, 0x637401ff }, { 255, 0x63740201 }, { 263, 0x63740209 }, { 273, 0x63740213 },
        { 601, 0x6374035c }, { 10005, 0x6374283d }, { 10571, 0x63742a75 }, { 64999, 0x6374ffe6 },
        { 65024, 0x6374ffff },
};

START_TEST(knows_the_tag_of_a_content_format) {
        g_autofree char *hex = g_strdup_printf("da%08x4101", (unsigned) formats[_i].tag);
        g_autoptr(GBytes) bytes = exact_hex(hex), again = NULL;
        g_autoptr(AttCmw) cmw = att_cmw_parse(bytes, NULL);

        ck_assert_uint_eq(att_cmw_tag_number(formats[_i].format), formats[_i].tag);
        ck_assert_ptr_nonnull(cmw);
        ck_assert_int_eq(cmw->form, ATT_CMW_TAG);
        ck_assert_uint_eq(cmw->content_format, formats[_i].format);
        ck_assert_ptr_null(cmw->media_type);
        again = att_cmw_encode(cmw, false, NULL);
        ck_assert_bytes_eq(again, bytes);
        ck_assert_uint_eq(att_cmw_tag_number(65025), 0);
}
END_TEST

/* Every content format has its own tag, none ends in zero as a byte, and each comes back. */
START_TEST(property_tags_come_back) {
        uint64_t last = 0;

        for (uint32_t format = 0; format <= UINT16_MAX; format++) {
                uint64_t tag = att_cmw_tag_number((uint16_t) format);

                if (format > 65024 ? tag != 0 : tag <= last || (tag & 0xff) == 0)
                        ck_abort_msg("content format %u", format);
                last = MAX(tag, last);
        }
}
END_TEST

/* The first byte says what it is: a tag, an array and a map are never taken for one another. */
static const Input tags[] = {
        { "tag", "da6374ffe6 4101", NULL },
        { "array", RECORD, NULL },
        { "map", "a1 00" RECORD, NULL },
        { "all three in a map", "a3 00 da6374ffe6 4101 01" RECORD "02 a1 00" RECORD, NULL },
        { "tag under the first", "da63740100 4101", "content format" },
        { "tag over the last", "da63750000 4101", "content format" },
        { "tag between two rows", "da63740200 4101", "content format" },
        { "tag with a long head", "db0000000063740101 4101", "first byte" },
        { "another tag", "d90259 4101", "first byte" },
        { "tag on a map", "da6374ffe6 a0", "value" },
        { "tag on a text", "da6374ffe6 6161", "value" },
        { "tag on a tag", "da6374ffe6 da6374ffe6 4101", "value" },
        { "tag on a record", "da6374ffe6" RECORD, "value" },
        { "tag on nothing", "da6374ffe6 40", "value" },
        { "another tag in a map", "a1 00 d90259 4101", "content format" },
        { "COSE_Sign1", "d2 84 40 a0 4101 4101", "signed" },
        { "COSE_Sign1 in a map", "a1 00 d2 84 40 a0 4101 4101", "tag" },
        { "COSE_Sign1 with a long head", "d812 84 40 a0 4101 4101", "first byte" },
};

START_TEST(sc37f_tag_array_and_map) {
        check_cbor(&tags[_i]);
}
END_TEST

START_TEST(sc37a_a_label_twice) {
        static const Input cases[] = {
                { "two labels", "a2 6161" RECORD "6162" RECORD, NULL },
                { "a label twice", "a2 6161" RECORD "6161" RECORD, "twice" },
                { "a number twice", "a2 00" RECORD "1800" RECORD, "twice" },
                { "a type twice", "a3 6161" RECORD "685f5f636d77635f74 63613a62 685f5f636d77635f74 63613a62", "twice" },
        };
        static const Input in_json[] = {
                { "two labels", "{\"a\":[\"a/b\",\"AQ\"],\"b\":[\"a/b\",\"AQ\"]}", NULL },
                { "a label twice", "{\"a\":[\"a/b\",\"AQ\"],\"a\":[\"a/b\",\"AQ\"]}", "twice" },
                { "spelled in another way", "{\"a\":[\"a/b\",\"AQ\"],\"\\u0061\":[\"a/b\",\"AQ\"]}", "twice" },
        };

        for (size_t i = 0; i < G_N_ELEMENTS(cases); i++)
                check_cbor(&cases[i]);
        for (size_t i = 0; i < G_N_ELEMENTS(in_json); i++)
                check_json(&in_json[i]);
}
END_TEST

START_TEST(sc37b_indefinite_lengths) {
        g_autoptr(GBytes) bytes = exact_hex("bf 7f 6161 6162 ff 9f 7f 62612f 6162 ff 5f 4101 4102 ff 04 ff ff");
        g_autoptr(GBytes) definite = exact_hex("a1 626162 83" AB "420102 04"), again = NULL;
        g_autoptr(AttCmw) cmw = att_cmw_parse(bytes, NULL);
        const AttCmw *record;

        ck_assert_ptr_nonnull(cmw);
        record = att_cmw_find(cmw, "ab");
        ck_assert_ptr_nonnull(record);
        ck_assert_str_eq(record->media_type, "a/b");
        ck_assert_uint_eq(g_bytes_get_size(record->value), 2);
        ck_assert_uint_eq(record->indicator, ATT_CMW_EVIDENCE);

        /* It is read, but never written so. */
        again = att_cmw_encode(cmw, false, NULL);
        ck_assert_bytes_eq(again, definite);
}
END_TEST

START_TEST(sc37c_depth) {
        static const size_t depths[] = { ATT_CMW_DEPTH_MAX, ATT_CMW_DEPTH_MAX + 1, 20000 };

        for (size_t i = 0; i < G_N_ELEMENTS(depths); i++) {
                g_autoptr(GString) hex = g_string_new(NULL), text = g_string_new(NULL);
                g_autoptr(AttCmw) from_cbor = NULL, from_json = NULL;

                for (size_t k = 0; k < depths[i]; k++) {
                        g_string_append(hex, "a100");
                        g_string_append(text, "{\"a\":");
                }
                g_string_append(hex, RECORD);
                g_string_append(text, "[\"a/b\",\"AQ\"]");
                for (size_t k = 0; k < depths[i]; k++)
                        g_string_append_c(text, '}');
                g_autoptr(GBytes) c = exact_hex(hex->str), j = exact(text->str, text->len);

                from_cbor = att_cmw_parse(c, NULL);
                from_json = att_cmw_parse(j, NULL);
                ck_assert((from_cbor != NULL) == (i == 0));
                ck_assert((from_json != NULL) == (i == 0));
        }
}
END_TEST

START_TEST(sc37d_trailing_bytes) {
        static const Input cases[] = {
                { "record and a byte", RECORD "00", "after" },
                { "two records", RECORD RECORD, "after" },
                { "tag and a byte", "da6374ffe6 4101 00", "after" },
                { "collection and a break", "a1 00" RECORD "ff", "after" },
        };
        static const Input in_json[] = {
                { "a newline", "[\"a/b\",\"AQ\"]\n", NULL },
                { "a byte", "[\"a/b\",\"AQ\"]0", "JSON" },
                { "two records", "[\"a/b\",\"AQ\"][\"a/b\",\"AQ\"]", "JSON" },
        };

        for (size_t i = 0; i < G_N_ELEMENTS(cases); i++)
                check_cbor(&cases[i]);
        for (size_t i = 0; i < G_N_ELEMENTS(in_json); i++)
                check_json(&in_json[i]);
}
END_TEST

START_TEST(sc37e_floats) {
        static const Input cases[] = {
                { "content format 1", "82 01 4101", NULL },
                { "content format 1.0", "82 f93c00 4101", "float" },
                { "indicator 4.0", "83" AB "4101 f94400", "float" },
                { "label 0.0", "a1 f90000" RECORD, "float" },
        };
        static const Input in_json[] = {
                { "content format 1", "[1,\"AQ\"]", NULL },
                { "content format 1.0", "[1.0,\"AQ\"]", "type" },
                { "content format 1e0", "[1e0,\"AQ\"]", "type" },
                { "indicator 4.0", "[\"a/b\",\"AQ\",4.0]", "indicator" },
                { "indicator 4e0", "[\"a/b\",\"AQ\",4e0]", "indicator" },
        };

        for (size_t i = 0; i < G_N_ELEMENTS(cases); i++)
                check_cbor(&cases[i]);
        for (size_t i = 0; i < G_N_ELEMENTS(in_json); i++)
                check_json(&in_json[i]);
}
END_TEST

START_TEST(refuses_short_cmws) {
        static const char *const wholes[] = {
                "83" AB "4101 04", "82 19fde7 442347da55", "da6374ffe6 442347da55",
                "a3 00 83 19fde7 442347da55 04 6161" RECORD "685f5f636d77635f74 63613a62",
                "bf 6161 9f" AB "5f 4101 ff ff ff",
        };
        static const char in_json[] = "{\"__cmwc_t\":\"tag:a\",\"a\":[\"a/b\",\"AQ\",4]}";

        for (size_t i = 0; i < G_N_ELEMENTS(wholes); i++) {
                g_autoptr(GBytes) whole = exact_hex(wholes[i]);

                for (size_t n = 0; n <= g_bytes_get_size(whole); n++) {
                        g_autoptr(GBytes) part = exact_prefix(whole, n);
                        g_autoptr(AttCmw) cmw = att_cmw_parse(part, NULL);

                        ck_assert((cmw != NULL) == (n == g_bytes_get_size(whole)));
                }
        }
        for (size_t n = 0; n < sizeof in_json; n++) {
                g_autoptr(GBytes) part = exact(in_json, n);
                g_autoptr(AttCmw) cmw = att_cmw_parse(part, NULL);

                ck_assert((cmw != NULL) == (n == sizeof in_json - 1));
        }
}
END_TEST

/* A collection with @n records, in either form. */
static GBytes *with_entries(size_t n, bool as_json) {
        g_autoptr(GByteArray) out = g_byte_array_new();
        g_autoptr(GString) text = g_string_new("{");

        att_cbor_put_map(out, n);
        for (size_t i = 0; i < n; i++) {
                att_cbor_put_uint(out, i);
                att_cbor_put_array(out, 2);
                att_cbor_put_uint(out, 1);
                att_cbor_put_data(out, "\1", 1);
                g_string_append_printf(text, "%s\"%zu\":[1,\"AQ\"]", i > 0 ? "," : "", i);
        }
        g_string_append_c(text, '}');
        return as_json ? exact(text->str, text->len) : exact(out->data, out->len);
}

START_TEST(sc34b_entries_have_a_cap) {
        static const size_t counts[] = { ATT_CMW_ENTRIES_MAX, ATT_CMW_ENTRIES_MAX + 1, 100000 };

        for (size_t i = 0; i < G_N_ELEMENTS(counts); i++) {
                g_autoptr(GBytes) bytes = with_entries(counts[i], _i);
                g_autoptr(GError) error = NULL;
                g_autoptr(AttCmw) cmw = att_cmw_parse(bytes, &error);

                ck_assert((cmw != NULL) == (i == 0));
                ck_assert(i == 0 || g_error_matches(error, ATT_ERROR, ATT_ERROR_TOO_LARGE) ||
                          g_error_matches(error, ATT_ERROR, ATT_ERROR_BAD_DATA));
        }
}
END_TEST

START_TEST(sc34c_texts_have_a_cap) {
        static const size_t sizes[] = { ATT_CMW_TEXT_MAX, ATT_CMW_TEXT_MAX + 1, 1000000 };

        for (size_t i = 0; i < G_N_ELEMENTS(sizes); i++) {
                g_autofree char *text = g_strnfill(sizes[i], 'a');
                g_autoptr(GByteArray) label = g_byte_array_new(), type = g_byte_array_new();
                g_autoptr(AttCmw) a = NULL, b = NULL;

                att_cbor_put_map(label, 1);
                att_cbor_put_text(label, text);
                att_cbor_put_array(label, 2);
                att_cbor_put_uint(label, 1);
                att_cbor_put_data(label, "\1", 1);
                text[1] = '/';
                att_cbor_put_array(type, 2);
                att_cbor_put_text(type, text);
                att_cbor_put_data(type, "\1", 1);
                g_autoptr(GBytes) first = exact(label->data, label->len), second = exact(type->data, type->len);

                a = att_cmw_parse(first, NULL);
                b = att_cmw_parse(second, NULL);
                ck_assert((a != NULL) == (i == 0) && (b != NULL) == (i == 0));
        }
}
END_TEST

START_TEST(sc34d_the_input_has_a_cap) {
        static const size_t sizes[] = { ATT_CMW_INPUT_MAX, ATT_CMW_INPUT_MAX + 1, 1u << 24 };

        for (size_t i = 0; i < G_N_ELEMENTS(sizes); i++) {
                g_autofree guint8 *zeroes = g_malloc0(sizes[i]);
                g_autofree char *spaces = g_strnfill(sizes[i], ' ');
                g_autoptr(GByteArray) out = g_byte_array_new();
                g_autoptr(GError) error = NULL, json_error = NULL;

                att_cbor_put_array(out, 2);
                att_cbor_put_text(out, "a/b");
                att_cbor_put_data(out, zeroes, sizes[i] - 10);
                ck_assert_uint_eq(out->len, sizes[i]);
                memcpy(spaces, "[1,\"AQ\"]", 8);
                g_autoptr(GBytes) bytes = exact(out->data, out->len), text = exact(spaces, sizes[i]);
                g_autoptr(AttCmw) from_cbor = att_cmw_parse(bytes, &error);
                g_autoptr(AttCmw) from_json = att_cmw_parse(text, &json_error);

                ck_assert((from_cbor != NULL) == (i == 0) && (from_json != NULL) == (i == 0));
                ck_assert(i == 0 || g_error_matches(error, ATT_ERROR, ATT_ERROR_TOO_LARGE));
                ck_assert(i == 0 || g_error_matches(json_error, ATT_ERROR, ATT_ERROR_TOO_LARGE));
        }
}
END_TEST

START_TEST(writes_what_it_is_told) {
        g_autoptr(GBytes) one = g_bytes_new_static("\1", 1), expected = NULL, in_json = NULL, back = NULL;
        g_autoptr(AttCmw) outer = att_cmw_collection_new("tag:a");
        AttCmw *inner = att_cmw_collection_new(NULL);
        g_autoptr(AttCmw) read = NULL;

        att_cmw_collection_take(inner, "x", att_cmw_record_new("a/b", one, 0));
        att_cmw_collection_take(outer, "bb", inner);
        att_cmw_collection_take(outer, "c", att_cmw_record_new("a/b", one, ATT_CMW_EVIDENCE));

        expected = exact_hex("a3 6163 83" AB "4101 04 626262 a1 6178" RECORD "685f5f636d77635f74 657461673a61");
        back = att_cmw_encode(outer, false, NULL);
        ck_assert_bytes_eq(back, expected);
        in_json = att_cmw_encode(outer, true, NULL);
        static const char text[] = "{\"__cmwc_t\":\"tag:a\",\"bb\":{\"x\":[\"a/b\",\"AQ\"]},\"c\":[\"a/b\",\"AQ\",4]}";
        ck_assert_uint_eq(g_bytes_get_size(in_json), sizeof text - 1);
        ck_assert_mem_eq(g_bytes_get_data(in_json, NULL), text, sizeof text - 1);

        read = att_cmw_parse(in_json, NULL);
        ck_assert(read && read->is_json);
        g_bytes_unref(back);
        back = att_cmw_encode(read, false, NULL);
        ck_assert_bytes_eq(back, expected);
        ck_assert_ptr_null(att_cmw_find(outer, "d"));
        ck_assert_ptr_null(att_cmw_find(att_cmw_find(outer, "c"), "d"));
}
END_TEST

START_TEST(does_not_write_what_cannot_be) {
        g_autoptr(GBytes) one = g_bytes_new_static("\1", 1), none = g_bytes_new(NULL, 0);
        g_autoptr(GBytes) tag = exact_hex("da63740101 4101");
        g_autoptr(GBytes) number = exact_hex("a1 00" RECORD), format = exact_hex("82 01 4101");
        AttCmw *empty = att_cmw_collection_new("tag:a"), *twice = att_cmw_collection_new(NULL);
        AttCmw *outer = att_cmw_collection_new(NULL), *untagged = att_cmw_parse(tag, NULL);
        struct {
                AttCmw *cmw;
                bool cbor, json;
        } cases[] = {
                { att_cmw_record_new("a/b", one, 0), true, true },
                { att_cmw_record_new("a/b", none, 0), false, false },
                { empty, false, false },
                { twice, false, false },
                { outer, false, false },
                { untagged, false, false },
                { att_cmw_parse(tag, NULL), true, false },
                { att_cmw_parse(number, NULL), true, false },
                { att_cmw_parse(format, NULL), true, false },
        };

        att_cmw_collection_take(twice, "a", att_cmw_record_new("a/b", one, 0));
        att_cmw_collection_take(twice, "a", att_cmw_record_new("a/c", one, 0));
        att_cmw_collection_take(outer, "a", att_cmw_collection_new(NULL));
        untagged->content_format = 65025;

        for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
                g_autoptr(GError) error = NULL, json_error = NULL;
                g_autoptr(GBytes) in_cbor = att_cmw_encode(cases[i].cmw, false, &error);
                g_autoptr(GBytes) in_json = att_cmw_encode(cases[i].cmw, true, &json_error);

                ck_assert((in_cbor != NULL) == cases[i].cbor && (in_json != NULL) == cases[i].json);
                ck_assert(in_cbor || g_error_matches(error, ATT_ERROR, ATT_ERROR_INVALID_ARGUMENT));
                ck_assert(in_json || g_error_matches(json_error, ATT_ERROR, ATT_ERROR_INVALID_ARGUMENT));
                att_cmw_free(cases[i].cmw);
        }
}
END_TEST

/* A CMW that either form can have. */
static AttCmw *any_cmw(GRand *rand, unsigned depth) {
        static const char *const labels[] = { "a", "bb", "größer", "__cmw", "0", "a b" };
        g_autofree guint8 *p = g_malloc0(400);
        AttCmw *cmw;

        if (depth == 0 || g_rand_boolean(rand)) {
                g_autoptr(GBytes) value = g_bytes_new(p, (gsize) g_rand_int_range(rand, 1, 400));

                return att_cmw_record_new("application/a; b=\"c\"", value, (uint32_t) g_rand_int_range(rand, 0, 32));
        }
        cmw = att_cmw_collection_new(g_rand_boolean(rand) ? "tag:a,2026:b" : g_rand_boolean(rand) ? "1.2.840" : NULL);
        for (size_t i = (size_t) g_rand_int_range(rand, 0, G_N_ELEMENTS(labels)); i < G_N_ELEMENTS(labels); i++)
                att_cmw_collection_take(cmw, labels[i], any_cmw(rand, depth - 1));
        return cmw;
}

/* What is written is read, in both forms, and the two say the same. */
START_TEST(property_both_forms_come_back) {
        g_autoptr(GRand) rand = g_rand_new_with_seed(9999);

        for (int i = 0; i < 500; i++) {
                g_autoptr(AttCmw) cmw = any_cmw(rand, ATT_CMW_DEPTH_MAX);
                g_autoptr(GBytes) in_cbor = att_cmw_encode(cmw, false, NULL), in_json = att_cmw_encode(cmw, true, NULL);
                g_autoptr(AttCmw) a = att_cmw_parse(in_cbor, NULL), b = att_cmw_parse(in_json, NULL);
                g_autoptr(GBytes) first = NULL, second = NULL;

                ck_assert(a && b && !a->is_json && b->is_json);
                first = att_cmw_encode(a, false, NULL);
                second = att_cmw_encode(b, false, NULL);
                ck_assert_bytes_eq(first, in_cbor);
                ck_assert_bytes_eq(second, in_cbor);
        }
}
END_TEST

int main(void) {
        Suite *s = suite_create("cmw");
        TCase *t = tcase_create("cmw");

        tcase_add_loop_test(t, reads_or_refuses_cbor, 0, (int) G_N_ELEMENTS(cbor));
        tcase_add_loop_test(t, reads_or_refuses_json, 0, (int) G_N_ELEMENTS(json));
        tcase_add_loop_test(t, knows_a_media_type, 0, (int) G_N_ELEMENTS(media_types));
        tcase_add_loop_test(t, knows_the_tag_of_a_content_format, 0, (int) G_N_ELEMENTS(formats));
        tcase_add_test(t, refuses_short_cmws);
        tcase_add_test(t, writes_what_it_is_told);
        tcase_add_test(t, does_not_write_what_cannot_be);
        tcase_add_test(t, property_tags_come_back);
        tcase_add_test(t, property_both_forms_come_back);
        suite_add_tcase(s, t);

        t = tcase_create("security");
        tcase_add_loop_test(t, sc34b_entries_have_a_cap, 0, 2);
        tcase_add_test(t, sc34c_texts_have_a_cap);
        tcase_add_test(t, sc34d_the_input_has_a_cap);
        tcase_add_test(t, sc37a_a_label_twice);
        tcase_add_test(t, sc37b_indefinite_lengths);
        tcase_add_test(t, sc37c_depth);
        tcase_add_test(t, sc37d_trailing_bytes);
        tcase_add_test(t, sc37e_floats);
        tcase_add_loop_test(t, sc37f_tag_array_and_map, 0, (int) G_N_ELEMENTS(tags));
        suite_add_tcase(s, t);
        return run_suite(s);
}
