/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "codec/cbor-in.h"
#include "codec/cbor-out.h"
#include "exact.h"
#include "run.h"
#include "util/error.h"

#include <sys/resource.h>

/* In which forms an input is taken. */
enum {
        NEVER,
        ANY,
        ALWAYS,
};

typedef struct Input {
        const char *what;
        const char *hex;
        int taken;
        const char *says; /* in the first form that does not take it */
} Input;

static void check_input(const Input *input) {
        g_autoptr(GBytes) bytes = exact_hex(input->hex);

        for (int form = ATT_CBOR_ANY; form <= ATT_CBOR_DETERMINISTIC; form++) {
                g_autoptr(GError) error = NULL;
                g_autoptr(cbor_item_t) item = att_cbor_load(bytes, (AttCborForm) form, &error);
                bool good = input->taken == ALWAYS || (input->taken == ANY && form == ATT_CBOR_ANY);

                ck_assert_msg((item != NULL) == good, "%s, form %d: %s", input->what, form,
                              error ? error->message : "accepted");
                if (good)
                        continue;
                ck_assert(g_error_matches(error, ATT_ERROR, ATT_ERROR_BAD_DATA));
                if (form == ATT_CBOR_ANY || input->taken == ANY)
                        ck_assert_msg(strstr(error->message, input->says), "%s: %s", input->what, error->message);
        }
}

static const Input inputs[] = {
        { "integers",                    "84 00 17 1818 3903e7", ALWAYS, NULL },
        { "largest integers",            "82 1bffffffffffffffff 3bffffffffffffffff", ALWAYS, NULL },
        { "simple values",               "84 f4 f5 f6 f7", ALWAYS, NULL },
        { "strings",                     "83 40 43010203 64f09f9880", ALWAYS, NULL },
        { "empty array and map",         "82 80 a0", ALWAYS, NULL },
        { "map",                         "a3 00 01 20 02 6161 03", ALWAYS, NULL },
        { "nothing",                     "", NEVER, "cut short" },
        { "string cut short",            "44 7878", NEVER, "longer than the input" },
        { "head cut short",              "19 01", NEVER, "cut short" },
        { "reserved heads",              "1c", NEVER, "reserved" },
        { "reserved, 30",                "5e", NEVER, "reserved" },
        { "text that is not UTF-8",      "62 c328", NEVER, "UTF-8" },
        { "text with a surrogate",       "63 eda080", NEVER, "UTF-8" },
        { "text with an overlong form",  "62 c080", NEVER, "UTF-8" },
        { "text with NUL",               "63 610062", NEVER, "NUL" },
        { "UTF-8 over two chunks",       "7f 61c3 61a9 ff", NEVER, "UTF-8" },
        { "key is an array",             "a1 8100 00", NEVER, "key" },
        { "key is a map",                "a1 a0 00", NEVER, "key" },
        { "key is tagged",               "a1 c100 00", NEVER, "key" },
        { "key is a bool",               "a1 f5 00", NEVER, "key" },
};

START_TEST(loads_or_refuses) {
        check_input(&inputs[_i]);
}
END_TEST

static const Input duplicates[] = {
        { "different keys",                 "a2 01 00 02 00", ALWAYS, NULL },
        { "same number, other type",        "a2 00 00 20 00", ALWAYS, NULL },
        { "same bytes, other type",         "a2 4161 00 6161 00", ALWAYS, NULL },
        { "same key in another map",        "a2 01 a1 01 00 02 a1 01 00", ALWAYS, NULL },
        { "integer twice",                  "a2 01 00 01 01", NEVER, "twice" },
        { "text twice, not side by side",   "a3 6161 00 6162 00 6161 00", NEVER, "twice" },
        { "negative twice",                 "a2 20 00 20 00", NEVER, "twice" },
        { "bytes twice",                    "a2 4100 00 4100 00", NEVER, "twice" },
        { "once with a long head",          "a2 01 00 1801 00", NEVER, "twice" },
        { "once of indefinite length",      "a2 6161 00 7f6161ff 00", NEVER, "twice" },
        { "bytes, once indefinite",         "a2 4161 00 5f4161ff 00", NEVER, "twice" },
        { "twice in an indefinite map",     "bf 01 00 01 00 ff", NEVER, "twice" },
        { "twice, deep inside",             "81 a1 00 a2 05 00 05 00", NEVER, "twice" },
};

START_TEST(sc37a_duplicate_keys) {
        check_input(&duplicates[_i]);
}
END_TEST

static const Input lengths[] = {
        { "array",                        "9f 01 02 ff", ANY, "indefinite" },
        { "empty array",                  "9f ff", ANY, "indefinite" },
        { "map",                          "bf 01 02 ff", ANY, "indefinite" },
        { "bytes in chunks",              "5f 4101 40 420203 ff", ANY, "indefinite" },
        { "text in chunks",               "7f 6161 6162 ff", ANY, "indefinite" },
        { "inside a definite array",      "81 9f ff", ANY, "indefinite" },
        { "array without an end",         "9f 01 02", NEVER, "cut short" },
        { "bytes without an end",         "5f 4101", NEVER, "cut short" },
        { "break alone",                  "ff", NEVER, "break" },
        { "break in a definite array",    "82 01 ff", NEVER, "break" },
        { "break instead of a value",     "bf 01 ff", NEVER, "break" },
        { "break under a tag",            "9f c1 ff", NEVER, "break" },
        { "chunk of another type",        "5f 6161 ff", NEVER, "chunk" },
        { "chunk that is a number",       "7f 01 ff", NEVER, "chunk" },
        { "chunk of indefinite length",   "5f 5f 4101 ff ff", NEVER, "chunk" },
        { "integer of indefinite length", "1f", NEVER, "reserved" },
        { "tag of indefinite length",     "df 00", NEVER, "reserved" },
};

START_TEST(sc37b_indefinite_lengths) {
        check_input(&lengths[_i]);
}
END_TEST

/* Each form of head that can be longer than it must. */
static const Input heads[] = {
        { "23 in a byte",            "1817", ANY, "head" },
        { "24 in a byte",            "1818", ALWAYS, NULL },
        { "255 in two",              "1900ff", ANY, "head" },
        { "256 in two",              "190100", ALWAYS, NULL },
        { "65535 in four",           "1a0000ffff", ANY, "head" },
        { "65536 in four",           "1a00010000", ALWAYS, NULL },
        { "2^32-1 in eight",         "1b00000000ffffffff", ANY, "head" },
        { "2^32 in eight",           "1b0000000100000000", ALWAYS, NULL },
        { "negative",                "3800", ANY, "head" },
        { "length of bytes",         "580100", ANY, "head" },
        { "length of text",          "780161", ANY, "head" },
        { "length of an array",      "980100", ANY, "head" },
        { "length of a map",         "b8010000", ANY, "head" },
        { "tag",                     "d80100", ANY, "head" },
        { "keys out of order",       "a2 02 00 01 00", ANY, "order" },
        { "keys by value, not bytes", "a2 20 00 1818 00", ANY, "order" },
        { "keys by bytes",           "a2 1818 00 20 00", ALWAYS, NULL },
        { "longer text first",       "a2 626161 00 6162 00", ANY, "order" },
        { "shorter text first",      "a2 6162 00 626161 00", ALWAYS, NULL },
};

START_TEST(deterministic_means_all_of_it) {
        check_input(&heads[_i]);
}
END_TEST

static const char *const openers[] = { "81", "a100", "c1", "9f" };
static const char *const closers[] = { "", "", "", "ff" };

START_TEST(sc37c_depth) {
        static const size_t depths[] = { ATT_CBOR_DEPTH_MAX, ATT_CBOR_DEPTH_MAX + 1, 50000 };

        for (size_t i = 0; i < G_N_ELEMENTS(depths); i++) {
                g_autoptr(GString) hex = g_string_new(NULL);
                g_autoptr(GError) error = NULL;

                for (size_t k = 0; k < depths[i]; k++)
                        g_string_append(hex, openers[_i]);
                g_string_append(hex, "00");
                for (size_t k = 0; k < depths[i] && depths[i] < 100; k++)
                        g_string_append(hex, closers[_i]);

                g_autoptr(GBytes) bytes = exact_hex(hex->str);
                g_autoptr(cbor_item_t) item = att_cbor_load(bytes, ATT_CBOR_ANY, &error);

                ck_assert((item != NULL) == (i == 0));
                ck_assert(i == 0 || strstr(error->message, "deeply"));
        }
}
END_TEST

static const Input trailing[] = {
        { "one item",          "8100", ALWAYS, NULL },
        { "a byte more",       "8100 00", NEVER, "after the item" },
        { "two items",         "01 01", NEVER, "after the item" },
        { "after a map",       "a10000 00", NEVER, "after the item" },
        { "after a string",    "4100 00", NEVER, "after the item" },
        { "after a tag",       "c100 00", NEVER, "after the item" },
        { "a break more",      "8100 ff", NEVER, "after the item" },
        { "half an item more", "8100 19", NEVER, "after the item" },
};

START_TEST(sc37d_trailing_bytes) {
        check_input(&trailing[_i]);
}
END_TEST

static const Input floats[] = {
        { "an integer",               "81 01", ALWAYS, NULL },
        { "half",                     "81 f93c00", NEVER, "float" },
        { "single",                   "81 fa3f800000", NEVER, "float" },
        { "double",                   "81 fb3ff0000000000000", NEVER, "float" },
        { "half with the bits of 20", "81 f90014", NEVER, "float" },
        { "not a number",             "81 f97e00", NEVER, "float" },
        { "after an array",           "82 8100 f93c00", NEVER, "float" },
        { "after a map",              "82 a10000 f93c00", NEVER, "float" },
        { "after a string",           "82 4100 f93c00", NEVER, "float" },
        { "after chunks",             "82 5f4100ff f93c00", NEVER, "float" },
        { "after a tag",              "82 c100 f93c00", NEVER, "float" },
        { "as a value",               "a1 00 f93c00", NEVER, "float" },
        { "under a tag",              "c1 f93c00", NEVER, "float" },
        { "as a key",                 "a1 f93c00 00", NEVER, "float" },
        { "simple value 0",           "e0", NEVER, "simple" },
        { "simple value 19",          "f3", NEVER, "simple" },
        { "simple value 32",          "f820", NEVER, "simple" },
        { "false, as it must not be", "f814", NEVER, "simple" },
};

START_TEST(sc37e_floats) {
        check_input(&floats[_i]);
}
END_TEST

static const Input tags[] = {
        { "a tag",               "c100", ALWAYS, NULL },
        { "a big tag",           "da63740101 4100", ALWAYS, NULL },
        { "a tag on a tag",      "c1c200", ALWAYS, NULL },
        { "a tag with a map",    "d90259 a10000", ALWAYS, NULL },
        { "tag 5",               "c500", ALWAYS, NULL },
        { "tag 6",               "c600", NEVER, "tag" },
        { "tag 18, COSE_Sign1",  "d280", NEVER, "tag" },
        { "tag 20",              "d400", NEVER, "tag" },
        { "tag 21",              "d500", ALWAYS, NULL },
        { "a tag on nothing",    "c1", NEVER, "cut short" },
        { "duplicates in a tag", "c1 a2 00 00 00 00", NEVER, "twice" },
};

START_TEST(sc37f_tags) {
        check_input(&tags[_i]);
}
END_TEST

static long resident(void) {
        struct rusage usage;

        ck_assert_int_eq(getrusage(RUSAGE_SELF, &usage), 0);
        return usage.ru_maxrss;
}

/* libcbor would allocate, and clear, a gigabyte for the first of them. */
static const Input bombs[] = {
        { "array of 2^27",            "9a08000000", NEVER, "claimed" },
        { "the same, longer head",    "9b0000000008000000", NEVER, "claimed" },
        { "array of 2^64-1",          "9bffffffffffffffff", NEVER, "claimed" },
        { "map of 2^26",              "ba04000000", NEVER, "claimed" },
        { "map of 2^63",              "bb8000000000000000", NEVER, "claimed" },
        { "bytes of 2^30",            "5a40000000", NEVER, "longer" },
        { "bytes of 2^64-1",          "5bffffffffffffffff", NEVER, "longer" },
        { "chunk of 2^63",            "5f5b8000000000000000", NEVER, "longer" },
        { "array of one too many",    "83 01 02", NEVER, "claimed" },
        { "map of one too many",      "a2 01 02 03", NEVER, "claimed" },
        { "claims in claims",         "84 83 82 81 00", NEVER, "cut short" },
        { "as many as there are",     "83 01 02 03", ALWAYS, NULL },
};

START_TEST(sc34b_counts_are_held_against_the_input) {
        long before = resident();

        for (size_t i = 0; i < G_N_ELEMENTS(bombs); i++)
                check_input(&bombs[i]);
        ck_assert_int_lt(resident() - before, 32 * 1024);
}
END_TEST

START_TEST(sc34b_items_have_a_cap) {
        /* The array is an item as well. */
        static const size_t counts[] = { ATT_CBOR_ITEMS_MAX - 1, ATT_CBOR_ITEMS_MAX, ATT_CBOR_SIZE_MAX - 5 };

        for (size_t i = 0; i < G_N_ELEMENTS(counts); i++) {
                g_autoptr(GByteArray) out = g_byte_array_new();
                g_autoptr(GBytes) bytes = NULL;
                g_autoptr(GError) error = NULL;
                g_autoptr(cbor_item_t) item = NULL;

                att_cbor_put_array(out, counts[i]);
                for (size_t k = 0; k < counts[i]; k++)
                        att_cbor_put_uint(out, 0);
                bytes = exact(out->data, out->len);
                item = att_cbor_load(bytes, ATT_CBOR_ANY, &error);
                ck_assert((item != NULL) == (i == 0));
                ck_assert(i == 0 || g_error_matches(error, ATT_ERROR, ATT_ERROR_TOO_LARGE));
        }
}
END_TEST

START_TEST(sc34b_chunks_count_as_items) {
        g_autofree guint8 *p = g_malloc(ATT_CBOR_ITEMS_MAX + 2);
        g_autoptr(GError) error = NULL;

        memset(p, 0x40, ATT_CBOR_ITEMS_MAX + 2);
        p[0] = 0x5f;
        p[ATT_CBOR_ITEMS_MAX + 1] = 0xff;
        g_autoptr(GBytes) over = exact(p, ATT_CBOR_ITEMS_MAX + 2);
        ck_assert_ptr_null(att_cbor_load(over, ATT_CBOR_ANY, &error));
        ck_assert(g_error_matches(error, ATT_ERROR, ATT_ERROR_TOO_LARGE));

        p[ATT_CBOR_ITEMS_MAX] = 0xff;
        g_autoptr(GBytes) at_cap = exact(p, ATT_CBOR_ITEMS_MAX + 1);
        g_autoptr(cbor_item_t) item = att_cbor_load(at_cap, ATT_CBOR_ANY, NULL);
        ck_assert_ptr_nonnull(item);
}
END_TEST

START_TEST(sc34d_the_input_has_a_cap) {
        static const size_t sizes[] = { ATT_CBOR_SIZE_MAX, ATT_CBOR_SIZE_MAX + 1, 1u << 24 };

        for (size_t i = 0; i < G_N_ELEMENTS(sizes); i++) {
                g_autoptr(GByteArray) out = g_byte_array_new();
                g_autoptr(GError) error = NULL;
                g_autofree guint8 *zeroes = g_malloc0(sizes[i] - 5);

                att_cbor_put_data(out, zeroes, sizes[i] - 5);
                ck_assert_uint_eq(out->len, sizes[i]);
                g_autoptr(GBytes) bytes = g_byte_array_free_to_bytes(g_steal_pointer(&out));
                g_autoptr(cbor_item_t) item = att_cbor_load(bytes, ATT_CBOR_DETERMINISTIC, &error);

                ck_assert((item != NULL) == (i == 0));
                ck_assert(i == 0 || g_error_matches(error, ATT_ERROR, ATT_ERROR_TOO_LARGE));
        }
}
END_TEST

/* A tree that leaves no head and no type out, in the deterministic encoding. */
static void put_random(GByteArray *out, GRand *rand, unsigned depth) {
        unsigned kind = (unsigned) g_rand_int_range(rand, 0, depth > 0 ? 9 : 5);
        unsigned n = (unsigned) g_rand_int_range(rand, 0, 4);
        uint64_t v = ((uint64_t) g_rand_int(rand) << 32 | g_rand_int(rand)) >> g_rand_int_range(rand, 0, 64);
        guint8 filling[300] = { 0 };

        switch (kind) {
        case 0:
                att_cbor_put_uint(out, v);
                break;
        case 1:
                att_cbor_put_int(out, -1 - (int64_t) (v >> 1));
                break;
        case 2:
                att_cbor_put_data(out, filling, v % sizeof filling);
                break;
        case 3:
                att_cbor_put_text(out, n == 0 ? "" : n == 1 ? "a" : "größer als das, was in ein Byte passt");
                break;
        case 4:
                att_cbor_put_bool(out, v & 1);
                break;
        case 5:
                att_cbor_put_tag(out, v >= 6 && v <= 20 ? 21 : v);
                put_random(out, rand, depth - 1);
                break;
        case 6:
                att_cbor_put_map(out, n);
                for (unsigned i = 0; i < n; i++) {
                        att_cbor_put_uint(out, 22 + i);
                        put_random(out, rand, depth - 1);
                }
                break;
        default:
                att_cbor_put_array(out, n);
                for (unsigned i = 0; i < n; i++)
                        put_random(out, rand, depth - 1);
                break;
        }
}

/* What is written is read, no proper prefix of it is, and it is the one deterministic encoding of its tree. */
START_TEST(property_written_is_read) {
        g_autoptr(GRand) rand = g_rand_new_with_seed(26);

        for (int i = 0; i < 500; i++) {
                g_autoptr(GByteArray) out = g_byte_array_new();
                g_autofree unsigned char *again = NULL;
                size_t room, n;

                put_random(out, rand, 5);
                g_autoptr(GBytes) bytes = exact(out->data, out->len);
                g_autoptr(GError) error = NULL;
                g_autoptr(cbor_item_t) item = att_cbor_load(bytes, ATT_CBOR_DETERMINISTIC, &error);

                ck_assert_msg(item != NULL, "%s", error ? error->message : "");
                for (size_t k = 0; k < out->len; k += 1 + out->len / 64) {
                        g_autoptr(GBytes) part = exact_prefix(bytes, k);

                        ck_assert_ptr_null(att_cbor_load(part, ATT_CBOR_ANY, NULL));
                }
                n = cbor_serialize_alloc(item, &again, &room);
                ck_assert_uint_eq(n, out->len);
                ck_assert_mem_eq(again, out->data, n);
        }
}
END_TEST

START_TEST(takes_values_by_type_and_range) {
        g_autoptr(GBytes) bytes = exact_hex("a7 00 1bffffffffffffffff 01 20 02 5f 4101 4102 ff 03 7f 6161 6162 ff "
                                            "04 f5 05 82 01 02 6162 c100");
        g_autoptr(cbor_item_t) item = att_cbor_load(bytes, ATT_CBOR_ANY, NULL);
        const cbor_item_t *big, *minus, *chunks, *text, *yes, *array, *tagged;
        uint64_t u = 77, tag;
        int64_t s = 77;
        bool b = false;
        guint8 two[2] = { 0 };
        AttCborArray a;
        AttCborMap map;

        ck_assert(att_cbor_get_map(item, &map));
        big = att_cbor_take(&map, 0);
        minus = att_cbor_take(&map, 1);
        chunks = att_cbor_take(&map, 2);
        text = att_cbor_take(&map, 3);
        yes = att_cbor_take(&map, 4);
        ck_assert(!att_cbor_map_is_spent(&map));
        array = att_cbor_take(&map, 5);
        tagged = att_cbor_take_named(&map, "b");
        ck_assert_ptr_null(att_cbor_take(&map, 6));
        ck_assert_ptr_null(att_cbor_take_named(&map, "c"));
        ck_assert(att_cbor_map_is_spent(&map));

        ck_assert(att_cbor_get_uint(big, &u) && u == UINT64_MAX);
        ck_assert(!att_cbor_get_int(big, &s) && s == 77);
        ck_assert(att_cbor_get_int(minus, &s) && s == -1);
        ck_assert(!att_cbor_get_int(text, &s) && !att_cbor_get_int(NULL, &s) && s == -1);
        ck_assert(!att_cbor_get_uint(minus, &u) && !att_cbor_get_uint(text, &u) && !att_cbor_get_uint(NULL, &u));
        ck_assert(att_cbor_get_bytes(chunks, two, 2) && memcmp(two, "\1\2", 2) == 0);
        ck_assert(!att_cbor_get_bytes(chunks, two, 1) && !att_cbor_get_bytes(text, two, 2));
        ck_assert_ptr_null(att_cbor_dup_bytes(chunks, 3, 4));
        ck_assert_ptr_null(att_cbor_dup_bytes(chunks, 0, 1));
        g_autofree char *ab = att_cbor_dup_text(text, 2);
        ck_assert_str_eq(ab, "ab");
        ck_assert_ptr_null(att_cbor_dup_text(text, 1));
        ck_assert_ptr_null(att_cbor_dup_text(chunks, 9));
        ck_assert(att_cbor_get_bool(yes, &b) && b);
        ck_assert(!att_cbor_get_bool(minus, &b));
        ck_assert(att_cbor_get_array(array, 2, 2, &a) && a.n == 2);
        ck_assert(!att_cbor_get_array(array, 0, 1, &a) && !att_cbor_get_array(array, 3, 9, &a));
        ck_assert(!att_cbor_get_array(text, 0, 9, &a) && !att_cbor_get_map(array, &map));
        ck_assert(att_cbor_get_uint(att_cbor_get_tagged(tagged, &tag), &u) && u == 0 && tag == 1);
        ck_assert_ptr_null(att_cbor_get_tagged(array, &tag));
}
END_TEST

/* Either side of each size of a head. */
static const struct {
        int64_t v;
        const char *hex;
} integers[] = {
        { 0, "00" }, { 23, "17" }, { 24, "1818" }, { 255, "18ff" }, { 256, "190100" }, { 65535, "19ffff" },
        { 65536, "1a00010000" }, { 4294967295, "1affffffff" }, { 4294967296, "1b0000000100000000" },
        { INT64_MAX, "1b7fffffffffffffff" }, { -1, "20" }, { -24, "37" }, { -25, "3818" }, { -256, "38ff" },
        { -257, "390100" }, { -78000, "3a000130af" }, { INT64_MIN, "3b7fffffffffffffff" },
};

START_TEST(writes_the_shortest_heads) {
        g_autoptr(GByteArray) out = g_byte_array_new();
        g_autoptr(GBytes) expected = exact_hex(integers[_i].hex), bytes = NULL;
        g_autoptr(cbor_item_t) item = NULL;
        int64_t v = 77;

        att_cbor_put_int(out, integers[_i].v);
        bytes = exact(out->data, out->len);
        ck_assert_bytes_eq(bytes, expected);
        item = att_cbor_load(bytes, ATT_CBOR_DETERMINISTIC, NULL);
        ck_assert(att_cbor_get_int(item, &v) && v == integers[_i].v);
}
END_TEST

START_TEST(writes_every_type) {
        g_autoptr(GByteArray) out = g_byte_array_new();
        g_autoptr(GBytes) some = exact("\1\2", 2);
        g_autoptr(GBytes) expected = exact_hex("88 01 4101 420102 6161 f4 f5 a1 00 80 d9025960"), bytes = NULL;

        att_cbor_put_array(out, 8);
        att_cbor_put_uint(out, 1);
        att_cbor_put_data(out, "\1", 1);
        att_cbor_put_bytes(out, some);
        att_cbor_put_text(out, "a");
        att_cbor_put_bool(out, false);
        att_cbor_put_bool(out, true);
        att_cbor_put_map(out, 1);
        att_cbor_put_uint(out, 0);
        att_cbor_put_array(out, 0);
        att_cbor_put_tag(out, 601);
        att_cbor_put_text(out, "");
        bytes = exact(out->data, out->len);
        ck_assert_bytes_eq(bytes, expected);
}
END_TEST

int main(void) {
        Suite *s = suite_create("cbor");
        TCase *t = tcase_create("inputs");

        tcase_add_loop_test(t, loads_or_refuses, 0, (int) G_N_ELEMENTS(inputs));
        tcase_add_loop_test(t, deterministic_means_all_of_it, 0, (int) G_N_ELEMENTS(heads));
        tcase_add_test(t, takes_values_by_type_and_range);
        tcase_add_loop_test(t, writes_the_shortest_heads, 0, (int) G_N_ELEMENTS(integers));
        tcase_add_test(t, writes_every_type);
        tcase_add_test(t, property_written_is_read);
        suite_add_tcase(s, t);

        t = tcase_create("security");
        tcase_add_loop_test(t, sc37a_duplicate_keys, 0, (int) G_N_ELEMENTS(duplicates));
        tcase_add_loop_test(t, sc37b_indefinite_lengths, 0, (int) G_N_ELEMENTS(lengths));
        tcase_add_loop_test(t, sc37c_depth, 0, (int) G_N_ELEMENTS(openers));
        tcase_add_loop_test(t, sc37d_trailing_bytes, 0, (int) G_N_ELEMENTS(trailing));
        tcase_add_loop_test(t, sc37e_floats, 0, (int) G_N_ELEMENTS(floats));
        tcase_add_loop_test(t, sc37f_tags, 0, (int) G_N_ELEMENTS(tags));
        tcase_add_test(t, sc34b_counts_are_held_against_the_input);
        tcase_add_test(t, sc34b_items_have_a_cap);
        tcase_add_test(t, sc34b_chunks_count_as_items);
        tcase_add_test(t, sc34d_the_input_has_a_cap);
        suite_add_tcase(s, t);
        return run_suite(s);
}
