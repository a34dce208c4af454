/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "codec/cbor-out.h"
#include "codec/claims.h"
#include "exact.h"
#include "run.h"
#include "util/bytes.h"
#include "util/error.h"

/* C with all that it can have, and with the least; made by another encoder than ours. */
#define PROFILE "190109781f7461673a617474657374642e6f72672c323032363a65766964656e63652f31"
#define NONCE "0a5820000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"
#define KEY_HASH "3a000130af822f5820404142434445464748494a4b4c4d4e4f505152535455565758595a5b5c5d5e5f"
#define KEY_HASH_384 "382a5830404142434445464748494a4b4c4d4e4f505152535455565758595a5b5c5d5e5f6061626364656667" \
                     "68696a6b6c6d6e6f"
#define PEER "6470656572a3637569641903e864676964738304181b1903e8656c6162656c6a756e636f6e66696e6564"
#define UNIT "64756e6974a3646b696e646673797374656d646e616d656f706179726f6c6c2e73657276696365" \
             "6a696e766f636174696f6e50303132333435363738393a3b3c3d3e3f"
#define OBSERVED "686f62736572766564a163657865822f5820a0a1a2a3a4a5a6a7a8a9aaabacadaeafb0b1b2b3b4b5b6b7b8b9babbbcbdbebf"
#define ROLE "3a000130b001"
#define STATE "3a000130b18350101112131415161718191a1b1c1d1e1f50202122232425262728292a2b2c2d2e2f"
#define CONFIG "3a000130b25820808182838485868788898a8b8c8d8e8f909192939495969798999a9b9c9d9e9f"
static const char small_hex[] =
        "d90259a70620" NONCE PROFILE KEY_HASH ROLE STATE "1bffffffffffffffff" CONFIG;
static const char full_hex[] =
        "d90259a9061a6553f1000a5830000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f20212223242526272829"
        "2a2b2c2d2e2f" PROFILE "19010aa3"
        "63696d61a762616b5822e0e1e2e3e4e5e6e7e8e9eaebecedeeeff0f1f2f3f4f5f6f7f8f9fafbfcfdfeff00016462616e6b667368613235"
        "3664726f6f746a74706d2d696e2d74656565636f756e74190672696167677265676174655820c0c1c2c3c4c5c6c7c8c9cacbcccdcecfd0"
        "d1d2d3d4d5d6d7d8d9dadbdcdddedf6a76696f6c6174696f6e73026e626f6f745f61676772656761746554d0d1d2d3d4d5d6d7d8d9dadb"
        "dcdddedfe0e1e2e3"
        "64626f6f74a166646967657374822f5820b0b1b2b3b4b5b6b7b8b9babbbcbdbebfc0c1c2c3c4c5c6c7c8c9cacbcccdcecf"
        "6663616c6c6572a3"
        PEER
        UNIT OBSERVED
        "3a000130af82" KEY_HASH_384 "3a000130b000" STATE "07" CONFIG "3a000130b3f5";

/* What it can have instead. */
#define IN_RTMR "63696d61a66462616e6b6673686133383464726f6f746472746d7265636f756e740168726567697374657203" \
                "696167677265676174655830c0c1c2c3c4c5c6c7c8c9cacbcccdcecfd0d1d2d3d4d5d6d7d8d9dadbdcdddedfe0e1e2e3" \
                "e4e5e6e7e8e9eaebecedeeef6a76696f6c6174696f6e7300"
#define LOST "69696d612d7374617465a16573746174656c686973746f72792d6c6f7374"
#define SMALL_WITH(submods) \
        "d90259a80620" NONCE PROFILE "19010a" submods KEY_HASH ROLE STATE "1bffffffffffffffff" CONFIG
static const char rtmr_hex[] = SMALL_WITH("a1" IN_RTMR);
static const char lost_hex[] = SMALL_WITH("a1" LOST);

static void count_from(uint8_t *p, uint8_t first, size_t n) {
        for (size_t i = 0; i < n; i++)
                p[i] = (uint8_t) (first + i);
}

static GBytes *counting(uint8_t first, size_t n) {
        g_autofree uint8_t *p = g_malloc(n);

        count_from(p, first, n);
        return exact(p, n);
}

static AttClaims *small(void) {
        AttClaims *c = g_new0(AttClaims, 1);

        c->hash = ATT_HASH_SHA256;
        count_from(c->binding, 0, 32);
        count_from(c->key_hash, 0x40, 32);
        c->issued_at = -1;
        c->role = ATT_ROLE_SERVER;
        count_from(c->boot_id, 0x10, 16);
        count_from(c->instance_id, 0x20, 16);
        c->generation = UINT64_MAX;
        count_from(c->config_digest, 0x80, 32);
        return c;
}

static AttCallerClaims *caller(void) {
        static const uint32_t gids[] = { 4, 27, 1000 };
        AttCallerClaims *c = g_new0(AttCallerClaims, 1);

        c->has_uid = true;
        c->uid = 1000;
        c->gids = g_array_append_vals(g_array_new(FALSE, FALSE, sizeof gids[0]), gids, G_N_ELEMENTS(gids));
        c->label = g_strdup("unconfined");
        c->unit_kind = g_strdup("system");
        c->unit = g_strdup("payroll.service");
        c->has_invocation = true;
        count_from(c->invocation, 0x30, 16);
        c->exe_digest = counting(0xa0, 32);
        return c;
}

static AttImaClaims *ima(void) {
        AttImaClaims *i = g_new0(AttImaClaims, 1);

        i->root = g_strdup("tpm-in-tee");
        i->bank = g_strdup("sha256");
        i->count = 1650;
        i->violations = 2;
        i->aggregate = counting(0xc0, 32);
        i->boot_aggregate = counting(0xd0, 20);
        i->ak_name = counting(0xe0, 34);
        return i;
}

static AttClaims *full(void) {
        AttClaims *c = small();

        c->hash = ATT_HASH_SHA384;
        count_from(c->binding, 0, 48);
        count_from(c->key_hash, 0x40, 48);
        c->issued_at = 1700000000;
        c->role = ATT_ROLE_CLIENT;
        c->generation = 7;
        c->shared_device = true;
        c->caller = caller();
        c->ima = ima();
        c->boot_digest = counting(0xb0, 32);
        return c;
}

START_TEST(says_which_register_holds_the_log) {
        g_autoptr(AttClaims) c = small(), d = NULL;
        g_autoptr(GBytes) expected = exact_hex(rtmr_hex), bytes = NULL;

        c->ima = g_new(AttImaClaims, 1);
        *c->ima = (AttImaClaims) {
                .root = g_strdup("rtmr"),
                .bank = g_strdup("sha384"),
                .count = 1,
                .aggregate = counting(0xc0, 48),
                .rtmr = 3,
        };
        bytes = att_claims_encode(c, NULL);
        ck_assert_bytes_eq(bytes, expected);
        d = att_claims_decode(bytes, NULL);
        ck_assert(d && d->ima);
        ck_assert_int_eq(d->ima->rtmr, 3);
}
END_TEST

START_TEST(says_why_there_is_no_log) {
        g_autoptr(AttClaims) c = small(), d = NULL;
        g_autoptr(GBytes) expected = exact_hex(lost_hex), bytes = NULL;

        c->ima_state = g_strdup("history-lost");
        bytes = att_claims_encode(c, NULL);
        ck_assert_bytes_eq(bytes, expected);
        d = att_claims_decode(bytes, NULL);
        ck_assert(d && !d->ima);
        ck_assert_str_eq(d->ima_state, "history-lost");
}
END_TEST

START_TEST(writes_and_reads_all_claims) {
        g_autoptr(AttClaims) c = _i == 0 ? small() : full(), d = NULL;
        g_autoptr(GBytes) expected = exact_hex(_i == 0 ? small_hex : full_hex), again = NULL;
        g_autoptr(GBytes) bytes = att_claims_encode(c, NULL);

        ck_assert_bytes_eq(bytes, expected);
        d = att_claims_decode(bytes, NULL);
        ck_assert_ptr_nonnull(d);
        ck_assert_int_eq(d->hash, c->hash);
        ck_assert_mem_eq(d->binding, c->binding, sizeof c->binding);
        ck_assert_mem_eq(d->key_hash, c->key_hash, sizeof c->key_hash);
        ck_assert_int_eq(d->issued_at, c->issued_at);
        ck_assert_int_eq(d->role, c->role);
        ck_assert_mem_eq(d->boot_id, c->boot_id, 16);
        ck_assert_mem_eq(d->instance_id, c->instance_id, 16);
        ck_assert_uint_eq(d->generation, c->generation);
        ck_assert_mem_eq(d->config_digest, c->config_digest, 32);
        ck_assert_int_eq(d->shared_device, c->shared_device);
        ck_assert((d->caller != NULL) == (c->caller != NULL) && (d->ima != NULL) == (c->ima != NULL));
        if (d->caller) {
                ck_assert(d->caller->has_uid && d->caller->uid == 1000);
                ck_assert_uint_eq(d->caller->gids->len, 3);
                ck_assert_uint_eq(g_array_index(d->caller->gids, uint32_t, 2), 1000);
                ck_assert_str_eq(d->caller->label, "unconfined");
                ck_assert_str_eq(d->caller->unit_kind, "system");
                ck_assert_str_eq(d->caller->unit, "payroll.service");
                ck_assert(d->caller->has_invocation);
                ck_assert_mem_eq(d->caller->invocation, c->caller->invocation, 16);
                ck_assert_bytes_eq(d->caller->exe_digest, c->caller->exe_digest);
        }
        if (d->ima) {
                ck_assert_str_eq(d->ima->root, "tpm-in-tee");
                ck_assert_int_eq(d->ima->rtmr, -1);
                ck_assert_str_eq(d->ima->bank, "sha256");
                ck_assert_uint_eq(d->ima->count, 1650);
                ck_assert_uint_eq(d->ima->violations, 2);
                ck_assert_bytes_eq(d->ima->aggregate, c->ima->aggregate);
                ck_assert_bytes_eq(d->ima->boot_aggregate, c->ima->boot_aggregate);
                ck_assert_bytes_eq(d->ima->ak_name, c->ima->ak_name);
                ck_assert_bytes_eq(d->boot_digest, c->boot_digest);
        }
        again = att_claims_encode(d, NULL);
        ck_assert_bytes_eq(again, expected);
}
END_TEST

START_TEST(refuses_short_claims) {
        g_autoptr(GBytes) whole = exact_hex(full_hex);

        for (size_t n = 0; n < g_bytes_get_size(whole); n++) {
                g_autoptr(GBytes) part = exact_prefix(whole, n);
                g_autoptr(GError) error = NULL;

                ck_assert_ptr_null(att_claims_decode(part, &error));
                ck_assert(g_error_matches(error, ATT_ERROR, ATT_ERROR_BAD_DATA));
        }
}
END_TEST

/* @hex with @from, which is in it exactly once, replaced. */
static char *replaced(const char *hex, const char *from, const char *to) {
        g_auto(GStrv) parts = g_strsplit(hex, from, -1);

        ck_assert_msg(g_strv_length(parts) == 2, "%s", from);
        return g_strjoinv(to, parts);
}

#define COUNT(n) "d90259a" #n
#define B31 "581f000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e"
#define B32 "5820000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"
#define B33 "5821000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f20"

static const struct {
        const char *what;
        const char *hex;
        const char *from, *to;
        const char *from2, *to2;
        const char *says; /* NULL: it is good */
} edits[] = {
        { "untouched", full_hex, COUNT(9), COUNT(9), 0, 0, NULL },
        { "unknown claims", small_hex, COUNT(7) "06", COUNT(9) "0505" "06", PROFILE, PROFILE "19018ff6", NULL },
        { "unknown claim, text key", small_hex, COUNT(7), COUNT(8), "9c9d9e9f", "9c9d9e9f" "6161a10203", NULL },
        { "unknown submod", small_hex, COUNT(7), COUNT(8), KEY_HASH, "19010a" "a1" "657370617265" "01" KEY_HASH, NULL },
        { "unknown key in a submod", full_hex, "64626f6f74a1", "64626f6f74a2",
          "cbcccdcecf66", "cbcccdcecf" "6773706172653132" "04" "66", NULL },
        { "another tag", full_hex, COUNT(9), "d90258a9", 0, 0, "tag" },
        { "no tag", full_hex, COUNT(9), "a9", 0, 0, "tag" },
        { "an array", "d9025980", "d9025980", "d9025980", 0, 0, "tag" },
        { "an empty map", "d90259a0", "d90259a0", "d90259a0", 0, 0, "tag" },
        { "not deterministic", small_hex, "0620", "063800", 0, 0, "deterministic" },
        { "unknown and not deterministic", small_hex, COUNT(7) "06", COUNT(8) "051800" "06", 0, 0, "deterministic" },
        { "out of order", small_hex, "0620" NONCE, NONCE "0620", 0, 0, "order" },
        { "no nonce", small_hex, COUNT(7), COUNT(6), NONCE, "", "eat_nonce" },
        { "short nonce", small_hex, "0a" B32, "0a" B31, 0, 0, "eat_nonce" },
        { "long nonce", small_hex, "0a" B32, "0a" B33, 0, 0, "eat_nonce" },
        { "nonce of the other hash", full_hex, KEY_HASH_384, "2f" B32, 0, 0, "eat_nonce" },
        { "nonce is text", small_hex, NONCE, "0a60", 0, 0, "eat_nonce" },
        { "no profile", small_hex, COUNT(7), COUNT(6), PROFILE, "", "eat_profile" },
        { "another profile", small_hex, "6e63652f31", "6e63652f32", 0, 0, "eat_profile" },
        { "longer profile", small_hex, "781f74", "782074", "6e63652f31", "6e63652f3130", "eat_profile" },
        { "no iat", small_hex, COUNT(7) "0620", COUNT(6), 0, 0, "iat" },
        { "iat is text", small_hex, "0620", "0660", 0, 0, "iat" },
        { "iat over int64", small_hex, "0620", "061b8000000000000000", 0, 0, "iat" },
        { "iat is a float", small_hex, "0620", "06f90000", 0, 0, "float" },
        { "no key hash", small_hex, COUNT(7), COUNT(6), KEY_HASH, "", "AIK_pub_hash" },
        { "SHA-512", small_hex, "af822f", "af82382b", 0, 0, "AIK_pub_hash" },
        { "SHA-384 of 32 bytes", small_hex, "af822f", "af82382a", 0, 0, "AIK_pub_hash" },
        { "key hash of three", small_hex, "af822f", "af83002f", 0, 0, "AIK_pub_hash" },
        { "no role", small_hex, COUNT(7), COUNT(6), ROLE, "", "role" },
        { "role 2", small_hex, ROLE, "3a000130b002", 0, 0, "role" },
        { "role -1", small_hex, ROLE, "3a000130b020", 0, 0, "role" },
        { "role true", small_hex, ROLE, "3a000130b0f5", 0, 0, "role" },
        { "no state", small_hex, COUNT(7), COUNT(6), STATE "1bffffffffffffffff", "", "state" },
        { "state of two", small_hex, "1bffffffffffffffff", "", "b18350", "b18250", "state" },
        { "negative generation", small_hex, "1bffffffffffffffff", "20", 0, 0, "state" },
        { "short boot id", small_hex, "5010111213", "4f111213", 0, 0, "state" },
        { "no configuration", small_hex, COUNT(7), COUNT(6), CONFIG, "", "configuration" },
        { "shared device false", full_hex, "b3f5", "b3f4", 0, 0, "shared device" },
        { "shared device 1", full_hex, "b3f5", "b301", 0, 0, "shared device" },
        { "empty submods", small_hex, COUNT(7), COUNT(8), KEY_HASH, "19010aa0" KEY_HASH, "submods" },
        { "submods are an array", small_hex, COUNT(7), COUNT(8), KEY_HASH, "19010a80" KEY_HASH, "submods" },
        { "a submod with a number", small_hex, COUNT(7), COUNT(8), KEY_HASH, "19010aa10000" KEY_HASH, "name" },
        { "empty caller", full_hex, PEER, "6470656572a0", 0, 0, "caller" },
        { "caller is text", small_hex, COUNT(7), COUNT(8), KEY_HASH, "19010aa16663616c6c657260" KEY_HASH, "caller" },
        { "peer is a number", full_hex, PEER, "647065657201", 0, 0, "caller" },
        { "unit is a number", full_hex, UNIT, "64756e697401", 0, 0, "caller" },
        { "observed is a number", full_hex, OBSERVED, "686f6273657276656401", 0, 0, "caller" },
        { "uid over 32 bits", full_hex, "637569641903e8", "637569641b0000000100000000", 0, 0, "caller" },
        { "largest uid and gid", full_hex, "637569641903e8", "637569641affffffff",
          "04181b1903e8", "04181b1affffffff", NULL },
        { "negative uid", full_hex, "637569641903e8", "6375696420", 0, 0, "caller" },
        { "gids out of order", full_hex, "04181b1903e8", "181b041903e8", 0, 0, "gids" },
        { "gid twice", full_hex, "04181b1903e8", "0404" "1903e8", 0, 0, "gids" },
        { "gid is text", full_hex, "04181b1903e8", "0418" "1b60", 0, 0, "caller" },
        { "gid over 32 bits", full_hex, "04181b1903e8", "04181b1b0000000100000000", 0, 0, "caller" },
        { "label with an escape", full_hex, "6c6a756e63", "6c6a1b6e63", 0, 0, "caller" },
        { "empty label", full_hex, "6a756e636f6e66696e6564", "60", 0, 0, "caller" },
        { "label of bytes", full_hex, "6a756e63", "4a756e63", 0, 0, "caller" },
        { "unknown kind of unit", full_hex, "646b696e646673797374656d", "646b696e646673797374656e", 0, 0, "unit" },
        { "unit without a name", full_hex, "64756e6974a3", "64756e6974a2",
          "646e616d656f706179726f6c6c2e73657276696365", "", "caller" },
        { "short invocation", full_hex, "503031323334", "4f31323334", 0, 0, "caller" },
        { "exe of another hash", full_hex, "63657865822f", "63657865822e", 0, 0, "caller" },
        { "exe without its hash", full_hex, "63657865822f", "6365786581", 0, 0, "caller" },
        { "unknown IMA root", full_hex, "6a74706d2d696e2d746565", "6a74706d2d696e2d746566", 0, 0, "root" },
        { "unknown IMA bank", full_hex, "66736861323536", "66736861323537", 0, 0, "bank" },
        { "aggregate of another bank", full_hex, "66736861323536", "66736861333834", 0, 0, "aggregate" },
        { "no IMA root", full_hex, "64726f6f74", "64726f6f75", 0, 0, "ima" },
        { "no IMA bank", full_hex, "6462616e6b", "6462616e6c", 0, 0, "ima" },
        { "no aggregate", full_hex, "6961676772656761746558", "6961676772656761747558", 0, 0, "ima" },
        { "negative count", full_hex, "65636f756e74190672", "65636f756e7420", 0, 0, "ima" },
        { "boot_aggregate of 19 bytes", full_hex, "6554d0", "6553", 0, 0, "boot_aggregate" },
        { "boot_aggregate is text", full_hex, "6554d0d1d2d3d4d5d6d7d8d9dadbdcdddedfe0e1e2e3", "6560", 0, 0, "ima" },
        { "AK name of 33 bytes", full_hex, "5822e0", "5821", 0, 0, "AK" },
        { "boot of another hash", full_hex, "67657374822f", "67657374822e", 0, 0, "boot" },
        { "an RTMR of the last", rtmr_hex, "7265676973746572" "03", "7265676973746572" "00", 0, 0, NULL },
        { "an RTMR that there is not", rtmr_hex, "7265676973746572" "03", "7265676973746572" "04", 0, 0, "ima" },
        { "an RTMR below zero", rtmr_hex, "7265676973746572" "03", "7265676973746572" "20", 0, 0, "ima" },
        { "no RTMR", rtmr_hex, "63696d61a6", "63696d61a5", "68726567697374657203", "", "ima" },
        { "an RTMR under another root", rtmr_hex, "6472746d72", "67636c61696d6564", 0, 0, "ima" },
        { "an RTMR in a bank of as many bytes", rtmr_hex, "66736861333834", "66736861333835", 0, 0, "bank" },
        { "another state", lost_hex, "6c686973746f72792d6c6f7374", "67676172626c6564", 0, 0, NULL },
        { "a state that there is not", lost_hex, "6c686973746f72792d6c6f7374", "626f6b", 0, 0, "state" },
        { "a state of bytes", lost_hex, "6c686973746f72792d6c6f7374", "426f6b", 0, 0, "ima-state" },
        { "a state that is not there", lost_hex, "6573746174656c", "6573746174666c", 0, 0, "ima-state" },
        { "a state beside the log", rtmr_hex, "19010aa1", "19010aa2", "6f6e73003a000130af",
          "6f6e7300" LOST "3a000130af", "beside" },
        { "a byte more", full_hex, "b3f5", "b3f500", 0, 0, "after" },
};

START_TEST(reads_or_refuses_edited_claims) {
        g_autofree char *once = replaced(edits[_i].hex, edits[_i].from, edits[_i].to);
        g_autofree char *twice = edits[_i].from2 ? replaced(once, edits[_i].from2, edits[_i].to2) : NULL;
        g_autoptr(GBytes) bytes = exact_hex(twice ? twice : once);
        g_autoptr(GError) error = NULL;
        g_autoptr(AttClaims) c = att_claims_decode(bytes, &error);

        ck_assert_msg((c != NULL) == (edits[_i].says == NULL), "%s: %s", edits[_i].what, error ? error->message : "");
        ck_assert_msg(c || strstr(error->message, edits[_i].says), "%s: %s", edits[_i].what, error->message);
        ck_assert(c || g_error_matches(error, ATT_ERROR, ATT_ERROR_BAD_DATA));
}
END_TEST

/* Our own mistakes: each makes good claims such that they are not written. */
static void many_gids(AttClaims *c) {
        for (uint32_t gid = 1001; c->caller->gids->len <= ATT_CALLER_GIDS_MAX; gid++)
                g_array_append_val(c->caller->gids, gid);
}

static void equal_gids(AttClaims *c) {
        uint32_t gid = 1000;

        g_array_append_val(c->caller->gids, gid);
}

static void long_label(AttClaims *c) {
        g_free(c->caller->label);
        c->caller->label = g_strnfill(ATT_CALLER_TEXT_MAX + 1, 'x');
}

static void label_with_a_newline(AttClaims *c) {
        g_free(c->caller->label);
        c->caller->label = g_strdup("unconfined\n");
}

static void label_that_is_not_utf8(AttClaims *c) {
        g_free(c->caller->label);
        c->caller->label = g_strdup("\xff");
}

static void unit_without_a_kind(AttClaims *c) {
        g_clear_pointer(&c->caller->unit_kind, g_free);
}

static void kind_without_a_unit(AttClaims *c) {
        g_clear_pointer(&c->caller->unit, g_free);
}

static void invocation_without_a_unit(AttClaims *c) {
        g_clear_pointer(&c->caller->unit, g_free);
        g_clear_pointer(&c->caller->unit_kind, g_free);
}

static void short_digest(AttClaims *c) {
        g_bytes_unref(c->caller->exe_digest);
        c->caller->exe_digest = counting(0, 31);
}

static void no_bank(AttClaims *c) {
        g_clear_pointer(&c->ima->bank, g_free);
}

static void no_aggregate(AttClaims *c) {
        g_clear_pointer(&c->ima->aggregate, g_bytes_unref);
}

static void short_boot_digest(AttClaims *c) {
        g_bytes_unref(c->boot_digest);
        c->boot_digest = counting(0, 20);
}

static void rtmr_in_another_bank(AttClaims *c) {
        g_free(c->ima->root);
        c->ima->root = g_strdup("rtmr");
        c->ima->rtmr = 3;
}

static void rtmr_that_there_is_not(AttClaims *c) {
        g_free(c->ima->root);
        g_free(c->ima->bank);
        g_bytes_unref(c->ima->aggregate);
        c->ima->root = g_strdup("rtmr");
        c->ima->bank = g_strdup("sha384");
        c->ima->aggregate = counting(0, 48);
        c->ima->rtmr = -1;
}

static void state_beside_the_log(AttClaims *c) {
        c->ima_state = g_strdup("garbled");
}

static void unknown_state(AttClaims *c) {
        g_clear_pointer(&c->ima, att_ima_claims_free);
        c->ima_state = g_strdup("ok");
}

static void (*const mistakes[])(AttClaims *) = {
        many_gids, equal_gids, long_label, label_with_a_newline, label_that_is_not_utf8, unit_without_a_kind,
        kind_without_a_unit, invocation_without_a_unit, short_digest, no_bank, no_aggregate, short_boot_digest,
        rtmr_in_another_bank, rtmr_that_there_is_not, state_beside_the_log, unknown_state,
};

START_TEST(does_not_write_unsound_claims) {
        g_autoptr(AttClaims) c = full();
        g_autoptr(GError) error = NULL;

        mistakes[_i](c);
        ck_assert_ptr_null(att_claims_encode(c, &error));
        ck_assert(g_error_matches(error, ATT_ERROR, ATT_ERROR_INVALID_ARGUMENT));
}
END_TEST

/* One submod does not need another. */
START_TEST(writes_each_submod_alone) {
        for (int i = 0; i < 4; i++) {
                g_autoptr(AttClaims) c = small(), d = NULL;
                g_autoptr(GBytes) bytes = NULL;

                c->caller = i == 0 ? caller() : NULL;
                c->ima = i == 1 ? ima() : NULL;
                c->boot_digest = i == 2 ? counting(0, 32) : NULL;
                c->ima_state = i == 3 ? g_strdup("unreadable") : NULL;
                bytes = att_claims_encode(c, NULL);
                d = att_claims_decode(bytes, NULL);
                ck_assert(d && (d->caller != NULL) == (i == 0) && (d->ima != NULL) == (i == 1) &&
                          (d->boot_digest != NULL) == (i == 2) && (d->ima_state != NULL) == (i == 3));
        }
}
END_TEST

/* One mold, many casts: each is what the encoder makes of it, whatever was cast before. */
START_TEST(a_cast_is_the_claims_to_the_byte) {
        g_autoptr(AttClaims) c = _i == 0 ? small() : full();
        g_autoptr(AttClaimsMold) mold = NULL;
        size_t size = att_hash_size(c->hash);

        mold = att_claims_mold_new(c, NULL);
        ck_assert_ptr_nonnull(mold);
        for (guint i = 0; i < 50; i++) {
                g_autoptr(GBytes) expected = NULL;
                g_autofree uint8_t *binding = NULL, *key_hash = NULL;
                const void *cast;
                gsize n;

                count_from(c->binding, (uint8_t) (7 * i), size);
                count_from(c->key_hash, (uint8_t) (11 * i), size);
                c->role = i % 3 ? ATT_ROLE_SERVER : ATT_ROLE_CLIENT;
                expected = att_claims_encode(c, NULL);
                binding = g_memdup2(c->binding, size); /* exact: no byte behind them is read */
                key_hash = g_memdup2(c->key_hash, size);
                cast = att_claims_mold_cast(mold, binding, key_hash, c->role, &n);
                ck_assert_uint_eq(n, g_bytes_get_size(expected));
                ck_assert_mem_eq(cast, g_bytes_get_data(expected, NULL), n);
        }
}
END_TEST

START_TEST(there_is_no_mold_of_unsound_claims) {
        g_autoptr(AttClaims) c = full();
        g_autoptr(GError) error = NULL;

        g_free(c->caller->label);
        c->caller->label = g_strdup("a\nb");
        ck_assert_ptr_null(att_claims_mold_new(c, &error));
        ck_assert(g_error_matches(error, ATT_ERROR, ATT_ERROR_INVALID_ARGUMENT));
        att_claims_mold_free(NULL);
}
END_TEST

START_TEST(frees_nothing) {
        att_claims_free(NULL);
        att_caller_claims_free(NULL);
        att_ima_claims_free(NULL);
}
END_TEST

/* Of all the parts of a caller any may be unknown; what is known comes back, what is not is not there. */
START_TEST(property_callers_come_back) {
        for (unsigned known = 0; known < 64; known++) {
                g_autoptr(AttClaims) c = small(), d = NULL;
                g_autoptr(AttCallerClaims) all = caller();
                g_autoptr(GBytes) bytes = NULL;

                if (!(known & 1))
                        all->has_uid = false;
                if (!(known & 2))
                        g_clear_pointer(&all->gids, g_array_unref);
                if (!(known & 4))
                        g_clear_pointer(&all->label, g_free);
                if (!(known & 8) || !(known & 16))
                        all->has_invocation = false;
                if (!(known & 16)) {
                        g_clear_pointer(&all->unit, g_free);
                        g_clear_pointer(&all->unit_kind, g_free);
                }
                if (!(known & 32))
                        g_clear_pointer(&all->exe_digest, g_bytes_unref);
                c->caller = att_caller_claims_copy(all);

                bytes = att_claims_encode(c, NULL);
                d = att_claims_decode(bytes, NULL);
                ck_assert_ptr_nonnull(d);
                ck_assert((d->caller == NULL) == ((known & (1 | 2 | 4 | 16 | 32)) == 0));
                if (!d->caller)
                        continue;
                ck_assert_int_eq(d->caller->has_uid, all->has_uid);
                ck_assert_int_eq(d->caller->gids != NULL, all->gids != NULL);
                ck_assert_int_eq(g_strcmp0(d->caller->label, all->label), 0);
                ck_assert_int_eq(g_strcmp0(d->caller->unit, all->unit), 0);
                ck_assert_int_eq(g_strcmp0(d->caller->unit_kind, all->unit_kind), 0);
                ck_assert_int_eq(d->caller->has_invocation, all->has_invocation);
                ck_assert_int_eq(d->caller->exe_digest != NULL, all->exe_digest != NULL);
        }
}
END_TEST

/* A byte that differs anywhere gives other claims or none: C has one encoding. */
START_TEST(property_one_encoding) {
        g_autoptr(GBytes) good = exact_hex(full_hex);

        for (size_t i = 0; i < g_bytes_get_size(good); i++) {
                const uint8_t *p = g_bytes_get_data(good, NULL);

                for (unsigned bit = 0; bit < 8; bit++) {
                        uint8_t flipped = (uint8_t) (p[i] ^ 1u << bit);
                        g_autoptr(GBytes) other = exact_edit(good, i, &flipped, 1), again = NULL;
                        g_autoptr(AttClaims) c = att_claims_decode(other, NULL);

                        if (!c)
                                continue;
                        again = att_claims_encode(c, NULL);
                        /* What we do not know is not written again: the claim or key whose name was flipped. */
                        ck_assert(again && (g_bytes_equal(again, other) ||
                                            g_bytes_get_size(again) < g_bytes_get_size(other)));
                        ck_assert(!g_bytes_equal(again, good));
                }
        }
}
END_TEST

/* Full claims with other neighbours: label before unit, binding before key hash (as @swapped says). */
static GBytes *with_neighbours(const char *label, const char *unit, bool swapped) {
        g_autoptr(AttClaims) c = full();

        g_free(c->caller->label);
        c->caller->label = g_strdup(label);
        g_free(c->caller->unit);
        c->caller->unit = g_strdup(unit);
        count_from(swapped ? c->key_hash : c->binding, 0, 48);
        count_from(swapped ? c->binding : c->key_hash, 0x40, 48);
        return att_claims_encode(c, NULL);
}

/* What is the same bytes, one after the other, and differs only in where it is cut. */
START_TEST(sc10_neighbours_do_not_run_together) {
        g_autoptr(GBytes) first = with_neighbours("ab", "c", false), cut = with_neighbours("a", "bc", false);
        g_autoptr(GBytes) swapped = with_neighbours("ab", "c", true), same = with_neighbours("ab", "c", false);

        ck_assert_bytes_eq(first, same);
        ck_assert(!g_bytes_equal(first, cut));
        ck_assert(!g_bytes_equal(first, swapped));
        ck_assert_uint_eq(g_bytes_get_size(first), g_bytes_get_size(cut));
}
END_TEST

/* The least claims, and a last one, -78005, with @size bytes of zero. */
static GBytes *claims_with(size_t size) {
        g_autofree uint8_t *zeroes = g_malloc0(size);
        g_autofree char *hex = replaced(small_hex, COUNT(7), COUNT(8));
        g_autoptr(GBytes) good = exact_hex(hex);
        g_autoptr(GByteArray) out = g_byte_array_new();

        att_put_bytes(out, good);
        att_cbor_put_int(out, -78005);
        att_cbor_put_data(out, zeroes, size);
        return exact(out->data, out->len);
}

START_TEST(sc34d_claims_have_a_cap) {
        g_autoptr(GBytes) some = claims_with(1000);
        size_t room = 1000 + ATT_CLAIMS_SIZE_MAX - g_bytes_get_size(some);
        const size_t sizes[] = { room, room + 1, 1u << 24 };

        for (size_t i = 0; i < G_N_ELEMENTS(sizes); i++) {
                g_autoptr(GBytes) bytes = claims_with(sizes[i]);
                g_autoptr(GError) error = NULL;
                g_autoptr(AttClaims) c = att_claims_decode(bytes, &error);

                ck_assert(i > 0 || g_bytes_get_size(bytes) == ATT_CLAIMS_SIZE_MAX);
                ck_assert((c != NULL) == (i == 0));
                ck_assert(i == 0 || g_error_matches(error, ATT_ERROR, ATT_ERROR_TOO_LARGE));
        }
}
END_TEST

/* All that a caller can have fits, at its cap; the decoder's caps are the encoder's. */
START_TEST(sc34b_gids_have_a_cap) {
        static const size_t counts[] = { ATT_CALLER_GIDS_MAX, ATT_CALLER_GIDS_MAX + 1, 7000 };

        for (size_t i = 0; i < G_N_ELEMENTS(counts); i++) {
                g_autoptr(GByteArray) gids = g_byte_array_new();
                g_autoptr(AttClaims) c = NULL;

                att_cbor_put_array(gids, counts[i]);
                for (size_t k = 0; k < counts[i]; k++)
                        att_cbor_put_uint(gids, i == 2 ? k % 24 : k);
                g_autoptr(GString) hex = g_string_new("6467696473");
                for (guint k = 0; k < gids->len; k++)
                        g_string_append_printf(hex, "%02x", gids->data[k]);
                g_autofree char *edited = replaced(full_hex, "64676964738304181b1903e8", hex->str);
                g_autoptr(GBytes) bytes = exact_hex(edited);

                c = att_claims_decode(bytes, NULL);
                ck_assert((c != NULL) == (i == 0));
        }
}
END_TEST

START_TEST(sc34c_texts_have_a_cap) {
        static const size_t sizes[] = { ATT_CALLER_TEXT_MAX, ATT_CALLER_TEXT_MAX + 1, 6000 };

        for (size_t i = 0; i < G_N_ELEMENTS(sizes); i++) {
                g_autoptr(GString) hex = g_string_new("65" "6c6162656c" "79");
                g_autoptr(AttClaims) c = NULL;

                g_string_append_printf(hex, "%04zx", sizes[i]);
                for (size_t k = 0; k < sizes[i]; k++)
                        g_string_append(hex, "78");
                g_autofree char *edited = replaced(full_hex, "656c6162656c6a756e636f6e66696e6564", hex->str);
                g_autoptr(GBytes) bytes = exact_hex(edited);

                c = att_claims_decode(bytes, NULL);
                ck_assert((c != NULL) == (i == 0));
        }
}
END_TEST

int main(void) {
        Suite *s = suite_create("claims");
        TCase *t = tcase_create("claims");

        tcase_add_loop_test(t, writes_and_reads_all_claims, 0, 2);
        tcase_add_test(t, says_which_register_holds_the_log);
        tcase_add_test(t, says_why_there_is_no_log);
        tcase_add_test(t, refuses_short_claims);
        tcase_add_loop_test(t, reads_or_refuses_edited_claims, 0, (int) G_N_ELEMENTS(edits));
        tcase_add_loop_test(t, does_not_write_unsound_claims, 0, (int) G_N_ELEMENTS(mistakes));
        tcase_add_test(t, writes_each_submod_alone);
        tcase_add_loop_test(t, a_cast_is_the_claims_to_the_byte, 0, 2);
        tcase_add_test(t, there_is_no_mold_of_unsound_claims);
        tcase_add_test(t, frees_nothing);
        tcase_add_test(t, property_callers_come_back);
        tcase_add_test(t, property_one_encoding);
        suite_add_tcase(s, t);

        t = tcase_create("security");
        tcase_add_test(t, sc10_neighbours_do_not_run_together);
        tcase_add_test(t, sc34b_gids_have_a_cap);
        tcase_add_test(t, sc34c_texts_have_a_cap);
        tcase_add_test(t, sc34d_claims_have_a_cap);
        suite_add_tcase(s, t);
        return run_suite(s);
}
