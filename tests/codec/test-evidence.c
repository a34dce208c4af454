/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "codec/claims.h"
#include "codec/cmw.h"
#include "codec/evidence.h"
#include "exact.h"
#include "run.h"
#include "util/error.h"

static AttEvidence *evidence(const char *profile) {
        AttEvidence *e = g_new0(AttEvidence, 1);

        e->profile = g_strdup(profile);
        e->tee = g_new0(AttTsmReport, 1);
        e->tee->provider = g_strdup("tdx_guest");
        e->tee->outblob = exact("quote", 5);
        if (strcmp(profile, ATT_PROFILE_EVIDENCE) == 0)
                e->claims = exact("C", 1);
        return e;
}

static GBytes *encode(const AttEvidence *e) {
        GBytes *bytes = att_evidence_encode(e, G_MAXSIZE, NULL, NULL);

        ck_assert_ptr_nonnull(bytes);
        return bytes;
}

static bool same(GBytes *a, GBytes *b) {
        return a && b ? g_bytes_equal(a, b) : a == b;
}

static const char *const profiles[] = { ATT_PROFILE_EVIDENCE, ATT_PROFILE_EXPAT_PAD, ATT_PROFILE_COCOS };

/* Any choice of what it may have, in each profile. */
START_TEST(comes_back) {
        const char *profile = profiles[_i % 3];
        unsigned has = (unsigned) _i / 3;
        g_autoptr(AttEvidence) e = evidence(profile), d = NULL;
        g_autoptr(GBytes) bytes = NULL, again = NULL;

        if (e->claims && has & 1)
                e->proof = exact("proof", 5);
        if (e->claims && has & 2)
                e->tpm = exact("tpm", 3);
        if (has & 4)
                e->endorsements = exact("endorsements", 12);
        e->endorsements_left_out = !e->endorsements && has & 8;

        bytes = encode(e);
        d = att_evidence_decode(bytes, NULL);
        ck_assert_ptr_nonnull(d);
        ck_assert_str_eq(d->profile, profile);
        ck_assert(same(d->claims, e->claims) && same(d->proof, e->proof) && same(d->tpm, e->tpm));
        ck_assert(same(d->endorsements, e->endorsements));
        ck_assert_int_eq(d->endorsements_left_out, e->endorsements_left_out);
        ck_assert_str_eq(d->tee->provider, "tdx_guest");
        ck_assert_bytes_eq(d->tee->outblob, e->tee->outblob);
        again = encode(d);
        ck_assert_bytes_eq(again, bytes);

        for (size_t n = 0; n < g_bytes_get_size(bytes); n++) {
                g_autoptr(GBytes) part = exact_prefix(bytes, n);
                g_autoptr(GError) error = NULL;

                ck_assert_ptr_null(att_evidence_decode(part, &error));
                ck_assert(g_error_matches(error, ATT_ERROR, ATT_ERROR_BAD_DATA));
        }
}
END_TEST

/* Whatever it may have: the two pieces, put together, are what it is otherwise. */
START_TEST(two_pieces_are_the_whole_to_the_byte) {
        const char *profile = profiles[_i % 3];
        unsigned has = (unsigned) _i / 3;
        g_autoptr(AttEvidence) e = evidence(profile);
        g_autoptr(GBytes) bytes = NULL, shared = NULL, own = NULL, joined = NULL, whole = NULL;
        AttEvidenceOwn parts = { .profile = profile };

        if (e->claims && has & 1)
                e->proof = exact("proof", 5);
        if (e->claims && has & 2)
                e->tpm = exact("tpm", 3);
        if (has & 4)
                e->tee->auxblob = exact("auxblob", 7);
        if (has & 8) {
                g_autofree char *much = g_strnfill(70000, 'q');

                g_bytes_unref(e->tee->outblob);
                e->tee->outblob = exact(much, 70000);
        }
        e->endorsements_left_out = !e->tee->auxblob && has & 16;

        bytes = encode(e);
        shared = att_evidence_encode_shared(e->tee, e->tpm);
        if (e->claims)
                parts.claims = g_bytes_get_data(e->claims, &parts.claims_size);
        parts.proof = e->proof;
        parts.has_tpm = e->tpm != NULL;
        parts.endorsements_left_out = e->endorsements_left_out;
        own = att_evidence_encode_own(&parts, NULL);
        whole = att_evidence_encode_own(&parts, shared);
        joined = att_evidence_join(own, shared, ATT_EVIDENCE_SHARED_AT, NULL);
        ck_assert_bytes_eq(joined, bytes);
        ck_assert_bytes_eq(whole, bytes);
}
END_TEST

START_TEST(pieces_are_joined_where_there_is_a_place_and_not_at_any_size) {
        g_autofree char *much = g_strnfill(ATT_CMW_INPUT_MAX - 5, 'm');
        g_autoptr(GBytes) own = exact("12345", 5), piece = exact("xyz", 3), most = exact(much, ATT_CMW_INPUT_MAX - 5);
        g_autoptr(GBytes) empty = exact("", 0);
        static const char *const expected[] = { "xyz12345", "1xyz2345", "12xyz345", "123xyz45", "1234xyz5",
                                                "12345xyz" };

        for (gsize at = 0; at <= 5; at++) {
                g_autoptr(GBytes) joined = att_evidence_join(own, piece, at, NULL);

                ck_assert_uint_eq(g_bytes_get_size(joined), 8);
                ck_assert_mem_eq(g_bytes_get_data(joined, NULL), expected[at], 8);
        }
        for (gsize i = 0; i < 2; i++) {
                g_autoptr(GError) error = NULL;

                ck_assert_ptr_null(att_evidence_join(own, piece, i == 0 ? 6 : G_MAXSIZE, &error));
                ck_assert(g_error_matches(error, ATT_ERROR, ATT_ERROR_BAD_DATA));
        }
        {
                g_autoptr(GBytes) fits = att_evidence_join(own, most, 5, NULL);
                g_autoptr(GBytes) twice = att_evidence_join(most, most, 5, NULL);
                g_autoptr(GBytes) nothing = att_evidence_join(own, empty, 5, NULL);

                ck_assert_uint_eq(g_bytes_get_size(fits), ATT_CMW_INPUT_MAX);
                ck_assert_ptr_null(twice);
                ck_assert_bytes_eq(nothing, own);
        }
}
END_TEST

START_TEST(frees_nothing) {
        att_evidence_free(NULL);
        att_tsm_report_free(NULL);
        att_cmw_free(NULL);
}
END_TEST

START_TEST(leaves_endorsements_out_if_they_do_not_fit) {
        g_autoptr(AttEvidence) e = evidence(ATT_PROFILE_EVIDENCE), d = NULL;
        g_autoptr(GBytes) without = NULL, with = NULL, cut = NULL, fits = NULL;
        g_autoptr(GError) error = NULL;
        bool left_out = false;

        e->endorsements_left_out = true;
        without = encode(e);
        e->endorsements_left_out = false;
        e->endorsements = g_bytes_new_take(g_malloc0(1000), 1000);
        with = encode(e);

        fits = att_evidence_encode(e, g_bytes_get_size(with), &left_out, NULL);
        ck_assert_bytes_eq(fits, with);
        ck_assert(!left_out);
        cut = att_evidence_encode(e, g_bytes_get_size(with) - 1, &left_out, NULL);
        ck_assert_bytes_eq(cut, without);
        ck_assert(left_out);
        d = att_evidence_decode(cut, NULL);
        ck_assert(d && d->endorsements_left_out && !d->endorsements);

        left_out = false;
        ck_assert_ptr_null(att_evidence_encode(e, g_bytes_get_size(without) - 1, &left_out, &error));
        ck_assert(g_error_matches(error, ATT_ERROR, ATT_ERROR_TOO_LARGE));
        ck_assert(!left_out);
}
END_TEST

START_TEST(leaves_a_certificate_table_out_if_it_does_not_fit) {
        g_autoptr(AttEvidence) e = evidence(ATT_PROFILE_EVIDENCE), whole = NULL, cut = NULL;
        g_autoptr(GBytes) with = NULL, fits = NULL, without = NULL;
        bool left_out = true;

        g_clear_pointer(&e->tee->auxblob, g_bytes_unref);
        e->tee->auxblob = g_bytes_new_take(g_malloc0(16384), 16384);
        with = encode(e);
        fits = att_evidence_encode(e, g_bytes_get_size(with), &left_out, NULL);
        ck_assert_bytes_eq(fits, with);
        ck_assert(!left_out);
        whole = att_evidence_decode(fits, NULL);
        ck_assert(whole && whole->tee->auxblob && !whole->endorsements_left_out);

        without = att_evidence_encode(e, g_bytes_get_size(with) - 1, &left_out, NULL);
        ck_assert(left_out);
        cut = att_evidence_decode(without, NULL);
        ck_assert(cut && cut->endorsements_left_out && !cut->tee->auxblob);
        ck_assert_bytes_eq(cut->tee->outblob, e->tee->outblob);
        ck_assert_uint_eq(g_bytes_get_size(e->tee->auxblob), 16384); /* the caller's own is whole */
}
END_TEST

START_TEST(does_not_write_what_is_no_evidence) {
        g_autoptr(AttEvidence) no_claims = evidence(ATT_PROFILE_EVIDENCE), no_tee = evidence(ATT_PROFILE_COCOS);
        g_autoptr(AttEvidence) claims = evidence(ATT_PROFILE_COCOS), tpm = evidence(ATT_PROFILE_EXPAT_PAD);
        g_autoptr(AttEvidence) proof = evidence(ATT_PROFILE_EXPAT_PAD), unknown = evidence("tag:example.org,2026:x");
        g_autoptr(AttEvidence) both = evidence(ATT_PROFILE_EVIDENCE), none = evidence("");
        const AttEvidence *const bad[] = { no_claims, no_tee, claims, tpm, proof, unknown, both, none };

        g_clear_pointer(&no_claims->claims, g_bytes_unref);
        g_clear_pointer(&no_tee->tee, att_tsm_report_free);
        claims->claims = exact("C", 1);
        tpm->tpm = exact("t", 1);
        proof->proof = exact("p", 1);
        both->endorsements = exact("e", 1);
        both->endorsements_left_out = true;
        for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
                g_autoptr(GError) error = NULL;

                ck_assert_ptr_null(att_evidence_encode(bad[i], G_MAXSIZE, NULL, &error));
                ck_assert(g_error_matches(error, ATT_ERROR, ATT_ERROR_INVALID_ARGUMENT));
        }
}
END_TEST

/* A member of a collection that is made by hand. */
typedef struct Part {
        const char *label;
        const char *media_type;
        const char *value;
        uint32_t indicator;
} Part;

#define REPORT "\xa2\x67outblob\x41q\x68provider\x69tdx_guest"
#define CLAIMS { "claims", ATT_CLAIMS_MEDIA_TYPE, "C", 4 }
#define TEE { "tee", ATT_TSM_REPORT_CBOR, REPORT, 4 }
#define PROOF { "proof", ATT_PROOF_MEDIA_TYPE, "p", 4 }
#define TPM_QUOTE { "tpm", ATT_TPM_MEDIA_TYPE, "t", 4 }
#define OTHER_TYPE "application/eat-ucs+cbor; eat_profile=\"tag:attestd.org,2026:evidence/2\""
#define LEFT_OUT "endorsements-left-out", "text/plain;charset=utf-8", "endorsements", 2

static const struct {
        const char *what;
        const char *profile;
        Part parts[4];
        const char *says; /* NULL: it is good */
} collections[] = {
        { "evidence", ATT_PROFILE_EVIDENCE, { CLAIMS, TEE }, NULL },
        { "evidence with a proof", ATT_PROFILE_EVIDENCE, { CLAIMS, TEE, PROOF }, NULL },
        { "evidence with a TPM quote", ATT_PROFILE_EVIDENCE, { CLAIMS, TEE, TPM_QUOTE }, NULL },
        { "expat-pad", ATT_PROFILE_EXPAT_PAD, { TEE }, NULL },
        { "cocos", ATT_PROFILE_COCOS, { TEE, { LEFT_OUT } }, NULL },
        { "no profile", NULL, { CLAIMS, TEE }, "profile" },
        { "an unknown profile", "tag:attestd.org,2026:evidence/2", { CLAIMS, TEE }, "profile" },
        { "another spelling", "tag:attestd.org,2026:EVIDENCE/1", { CLAIMS, TEE }, "profile" },
        { "no claims", ATT_PROFILE_EVIDENCE, { TEE }, "no claims" },
        { "no tee", ATT_PROFILE_EVIDENCE, { CLAIMS }, "no tee" },
        { "claims in cocos", ATT_PROFILE_COCOS, { CLAIMS, TEE }, "claims" },
        { "a proof in expat-pad", ATT_PROFILE_EXPAT_PAD, { TEE, PROOF }, "proof" },
        { "a TPM quote in cocos", ATT_PROFILE_COCOS, { TEE, TPM_QUOTE }, "TPM" },
        { "an unknown member", ATT_PROFILE_EVIDENCE, { CLAIMS, TEE, { "more", "a/b", "m", 4 } }, "unknown member" },
        { "claims of another type", ATT_PROFILE_EVIDENCE, { { "claims", OTHER_TYPE, "C", 4 }, TEE }, "claims" },
        { "claims without an indicator", ATT_PROFILE_EVIDENCE, { { "claims", ATT_CLAIMS_MEDIA_TYPE, "C", 0 }, TEE },
          "claims" },
        { "claims as endorsements", ATT_PROFILE_EVIDENCE, { { "claims", ATT_CLAIMS_MEDIA_TYPE, "C", 2 }, TEE },
          "claims" },
        { "tee in JSON", ATT_PROFILE_EVIDENCE, { CLAIMS, { "tee", ATT_TSM_REPORT_JSON, REPORT, 4 } }, "tee" },
        { "tee that is none", ATT_PROFILE_EVIDENCE, { CLAIMS, { "tee", ATT_TSM_REPORT_CBOR, "x", 4 } }, "" },
        { "tee as a result", ATT_PROFILE_EVIDENCE, { CLAIMS, { "tee", ATT_TSM_REPORT_CBOR, REPORT, 12 } }, "tee" },
        { "endorsements as evidence", ATT_PROFILE_COCOS,
          { TEE, { "endorsements", ATT_ENDORSEMENTS_MEDIA_TYPE, "e", 4 } }, "endorsements" },
        { "endorsements there and left out", ATT_PROFILE_COCOS,
          { TEE, { "endorsements", ATT_ENDORSEMENTS_MEDIA_TYPE, "e", 2 }, { LEFT_OUT } }, "left out" },
        { "something as long left out", ATT_PROFILE_COCOS,
          { TEE, { "endorsements-left-out", "text/plain;charset=utf-8", "reservations", 2 } }, "left out" },
        { "something else left out", ATT_PROFILE_COCOS,
          { TEE, { "endorsements-left-out", "text/plain;charset=utf-8", "tee", 2 } }, "left out" },
};

static AttCmw *by_hand(const char *profile, const Part *parts, size_t n) {
        AttCmw *collection = att_cmw_collection_new(profile);

        for (size_t i = 0; i < n && parts[i].label; i++) {
                g_autoptr(GBytes) value = g_bytes_new(parts[i].value, strlen(parts[i].value));

                att_cmw_collection_take(collection, parts[i].label,
                                        att_cmw_record_new(parts[i].media_type, value, parts[i].indicator));
        }
        return collection;
}

static void check(const char *what, GBytes *bytes, const char *says) {
        g_autoptr(GError) error = NULL;
        g_autoptr(AttEvidence) e = att_evidence_decode(bytes, &error);

        ck_assert_msg((e != NULL) == (says == NULL), "%s: %s", what, error ? error->message : "accepted");
        ck_assert(e || g_error_matches(error, ATT_ERROR, ATT_ERROR_BAD_DATA));
        ck_assert_msg(e || strstr(error->message, says), "%s: %s", what, error->message);
}

START_TEST(reads_or_refuses_a_collection) {
        g_autoptr(AttCmw) collection = by_hand(collections[_i].profile, collections[_i].parts,
                                               G_N_ELEMENTS(collections[_i].parts));
        g_autoptr(GBytes) bytes = att_cmw_encode(collection, false, NULL);

        check(collections[_i].what, bytes, collections[_i].says);
}
END_TEST

/* The same members in another form are none of ours. */
START_TEST(sc37f_only_a_cbor_collection_of_records) {
        static const Part parts[] = { CLAIMS, TEE };
        g_autoptr(AttCmw) good = by_hand(ATT_PROFILE_EVIDENCE, parts, 2);
        g_autoptr(AttCmw) nested = by_hand(ATT_PROFILE_EVIDENCE, parts, 1);
        g_autoptr(AttCmw) tagged = by_hand(ATT_PROFILE_EVIDENCE, parts, 1);
        g_autoptr(AttCmw) numbered = by_hand(ATT_PROFILE_EVIDENCE, parts, 2);
        g_autoptr(GBytes) in_cbor = att_cmw_encode(good, false, NULL), in_json = att_cmw_encode(good, true, NULL);
        g_autoptr(GBytes) record = exact_hex("8363612f6241" "01" "04"), tag = exact_hex("da63740101 4101");
        g_autoptr(GBytes) nested_bytes = NULL, tagged_bytes = NULL, numbered_bytes = NULL;
        AttCmwEntry *entry = g_ptr_array_index(numbered->entries, 1);

        check("good", in_cbor, NULL);
        check("JSON", in_json, "not a CBOR collection");
        check("a record", record, "not a CBOR collection");
        check("a tag", tag, "not a CBOR collection");

        att_cmw_collection_take(nested, "tee", by_hand(NULL, &parts[1], 1));
        nested_bytes = att_cmw_encode(nested, false, NULL);
        check("tee is a collection", nested_bytes, "tee");
        att_cmw_collection_take(tagged, "tee", att_cmw_parse(tag, NULL));
        tagged_bytes = att_cmw_encode(tagged, false, NULL);
        check("tee is a tag", tagged_bytes, "tee");
        g_clear_pointer(&entry->label, g_free);
        numbered_bytes = att_cmw_encode(numbered, false, NULL);
        check("tee is a number", numbered_bytes, "unknown member");
}
END_TEST

START_TEST(sc34d_evidence_has_a_cap) {
        static const size_t sizes[] = { ATT_CMW_INPUT_MAX, ATT_CMW_INPUT_MAX + 1, 1u << 24 };
        g_autoptr(AttEvidence) small = evidence(ATT_PROFILE_COCOS);

        small->endorsements = g_bytes_new_take(g_malloc0(100000), 100000);
        g_autoptr(GBytes) some = encode(small);
        for (size_t i = 0; i < G_N_ELEMENTS(sizes); i++) {
                size_t room = sizes[i] - g_bytes_get_size(some) + 100000;
                g_autoptr(AttEvidence) e = evidence(ATT_PROFILE_COCOS), d = NULL;
                g_autoptr(GError) error = NULL;
                g_autoptr(GBytes) bytes = NULL;

                e->endorsements = g_bytes_new_take(g_malloc0(room), room);
                bytes = encode(e);
                ck_assert_uint_eq(g_bytes_get_size(bytes), sizes[i]);
                d = att_evidence_decode(bytes, &error);
                ck_assert((d != NULL) == (i == 0));
                ck_assert(d || g_error_matches(error, ATT_ERROR, ATT_ERROR_TOO_LARGE));
        }
}
END_TEST

int main(void) {
        Suite *s = suite_create("evidence");
        TCase *t = tcase_create("evidence");

        tcase_add_loop_test(t, comes_back, 0, 48);
        tcase_add_test(t, frees_nothing);
        tcase_add_test(t, leaves_endorsements_out_if_they_do_not_fit);
        tcase_add_test(t, leaves_a_certificate_table_out_if_it_does_not_fit);
        tcase_add_loop_test(t, two_pieces_are_the_whole_to_the_byte, 0, 3 * 32);
        tcase_add_test(t, pieces_are_joined_where_there_is_a_place_and_not_at_any_size);
        tcase_add_test(t, does_not_write_what_is_no_evidence);
        tcase_add_loop_test(t, reads_or_refuses_a_collection, 0, (int) G_N_ELEMENTS(collections));
        tcase_add_test(t, sc37f_only_a_cbor_collection_of_records);
        tcase_add_test(t, sc34d_evidence_has_a_cap);
        suite_add_tcase(s, t);
        return run_suite(s);
}
