/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What is known of signatures: that it saves them, changes nothing else, and is
 * known for exactly what was verified. */
#include "scene.h"

#include "crypto/key.h"
#include "tee-simulator/forge-snp.h"
#include "verifier/result-build.h"
#include "verifier/signature-memo.h"

#include "run.h"

static gint64 now_us = 1000 * G_USEC_PER_SEC;

gint64 __wrap_g_get_monotonic_time(void);
gint64 __wrap_g_get_monotonic_time(void) {
        return now_us;
}

/* Due whenever the main loop runs. */
guint __wrap_g_timeout_add_seconds(guint seconds, GSourceFunc function, gpointer data);
guint __wrap_g_timeout_add_seconds(guint seconds, GSourceFunc function, gpointer data) {
        ck_assert_uint_le(seconds, ATT_SIGNATURE_MEMO_S / 4);
        return g_idle_add(function, data);
}

static gsize size_of_certificates; /* 0: what they have */

gsize __real_att_certificate_size(const AttCertificate *certificate);
gsize __wrap_att_certificate_size(const AttCertificate *certificate);
gsize __wrap_att_certificate_size(const AttCertificate *certificate) {
        return size_of_certificates > 0 ? size_of_certificates : __real_att_certificate_size(certificate);
}

/* Signatures over blobs, and chains, that were verified. */
static guint n_signatures, n_chains;

gboolean __real_att_key_verify_raw(const AttKey *key, const void *message, size_t size, const uint8_t *signature,
                                   GError **error);
gboolean __wrap_att_key_verify_raw(const AttKey *key, const void *message, size_t size, const uint8_t *signature,
                                   GError **error);
gboolean __wrap_att_key_verify_raw(const AttKey *key, const void *message, size_t size, const uint8_t *signature,
                                   GError **error) {
        n_signatures++;
        return __real_att_key_verify_raw(key, message, size, signature, error);
}

gboolean __real_att_key_verify_p384_le(const AttKey *key, const void *message, size_t size, const uint8_t *r,
                                       const uint8_t *s, GError **error);
gboolean __wrap_att_key_verify_p384_le(const AttKey *key, const void *message, size_t size, const uint8_t *r,
                                       const uint8_t *s, GError **error);
gboolean __wrap_att_key_verify_p384_le(const AttKey *key, const void *message, size_t size, const uint8_t *r,
                                       const uint8_t *s, GError **error) {
        n_signatures++;
        return __real_att_key_verify_p384_le(key, message, size, r, s, error);
}

gboolean __real_att_chain_verify(GPtrArray *chain, GPtrArray *roots_spki, int64_t at, GError **error);
gboolean __wrap_att_chain_verify(GPtrArray *chain, GPtrArray *roots_spki, int64_t at, GError **error);
gboolean __wrap_att_chain_verify(GPtrArray *chain, GPtrArray *roots_spki, int64_t at, GError **error) {
        n_chains++;
        return __real_att_chain_verify(chain, roots_spki, at, error);
}

static const uint8_t some_report_data[ATT_REPORT_DATA_SIZE] = { 0xda, 0x7a, [63] = 0x99 };

static Forge *forge;
static AttSignatureMemo *memo;

static void set_up(void) {
        forge = forge_new(NULL, NULL);
        memo = att_signature_memo_new();
        ck_assert_ptr_nonnull(forge);
        now_us = 1000 * G_USEC_PER_SEC;
}

static void tear_down(void) {
        forge_free(forge);
        att_signature_memo_free(memo);
}

static AttAppraisalInput stated(GBytes *evidence, const AttPolicy *policy) {
        AttAppraisalInput input = {
                .evidence = evidence,
                .policy = policy,
                .at = SCENE_NOW,
                .bound_to = ATT_BOUND_REPORT_DATA,
                .memo = memo,
        };

        memcpy(input.report_data, some_report_data, sizeof input.report_data);
        return input;
}

static AttResult *appraise(const AttAppraisalInput *input) {
        n_signatures = n_chains = 0;
        return att_appraise(input);
}

#define assert_known() ck_assert_msg(n_signatures == 0 && n_chains == 0, "verified again")
#define assert_verified() ck_assert_msg(n_signatures > 0 && n_chains > 0, "not verified")

/* With a memo that knows it, and with none, the same is said of it, to the letter. */
static void assert_as_without(const AttAppraisalInput *input, const AttResult *result) {
        AttAppraisalInput without = *input;

        without.memo = NULL;
        g_autoptr(AttResult) other = att_appraise(&without);
        g_autofree char *a = att_result_to_json(result, false), *b = att_result_to_json(other, false);
        ck_assert_str_eq(a, b);
}

static void assert_miss(const AttAppraisalInput *input) {
        g_autoptr(AttResult) result = appraise(input);

        assert_accepted(result);
        assert_verified();
        assert_as_without(input, result);
}

static void assert_hit(const AttAppraisalInput *input) {
        g_autoptr(AttResult) result = appraise(input);

        assert_accepted(result);
        assert_known();
        assert_as_without(input, result);
}

START_TEST(what_was_verified_is_not_verified_again) {
        g_autoptr(AttPolicy) policy = scene_open_policy(forge, "");
        g_autoptr(GBytes) quote = scene_quote(forge, some_report_data), other = scene_quote(forge, some_report_data);
        AttAppraisalInput input = stated(quote, policy);

        assert_miss(&input);
        assert_hit(&input);
        assert_hit(&input);
        ck_assert_uint_eq(att_signature_memo_size(memo), 1);

        /* The same said by another signature is another blob. */
        ck_assert(!g_bytes_equal(quote, other));
        input.evidence = other;
        assert_miss(&input);
        ck_assert_uint_eq(att_signature_memo_size(memo), 2);
        assert_hit(&input);
}
END_TEST

/* Wherever it is: in what is signed, in a signature, in the chain, and behind it all. */
START_TEST(a_changed_quote_is_not_known) {
        g_autoptr(AttPolicy) policy = scene_open_policy(forge, "");
        g_autoptr(GBytes) quote = scene_quote(forge, some_report_data);
        AttAppraisalInput input = stated(quote, policy);
        gsize size;
        const void *data = g_bytes_get_data(quote, &size);

        assert_miss(&input);
        for (gsize at = 0; at < size; at += g_getenv("ATTESTD_TEST_LONG") ? 1 : 31) {
                guint8 *copy = g_memdup2(data, size);

                copy[at] ^= 1;
                g_autoptr(GBytes) changed = g_bytes_new_take(copy, size);
                input.evidence = changed;
                g_autoptr(AttResult) result = appraise(&input);
                assert_as_without(&input, result);
        }
        input.evidence = quote;
        assert_hit(&input);
}
END_TEST

/* Whatever is another one gives another key; also where one part looks like the next. */
START_TEST(each_part_of_a_key_counts) {
        g_autoptr(Identity) a = identity_new("a.example"), b = identity_new("b.example");
        g_autoptr(GPtrArray) none = g_ptr_array_new(), one = identity_anchors(a), another = identity_anchors(b);
        g_autoptr(GPtrArray) both = g_ptr_array_new(), turned = g_ptr_array_new();
        g_autoptr(GPtrArray) root = g_ptr_array_new(), other_root = g_ptr_array_new(), roots = g_ptr_array_new();
        g_autoptr(GHashTable) keys = g_hash_table_new_full(g_bytes_hash, g_bytes_equal, (GDestroyNotify) g_bytes_unref,
                                                           NULL);
        g_autoptr(GBytes) empty = g_bytes_new_static("", 0);

        g_ptr_array_add(both, one->pdata[0]);
        g_ptr_array_add(both, another->pdata[0]);
        g_ptr_array_add(turned, another->pdata[0]);
        g_ptr_array_add(turned, one->pdata[0]);
        g_ptr_array_add(root, a->certificate);
        g_ptr_array_add(other_root, b->certificate);
        g_ptr_array_add(roots, a->certificate);
        g_ptr_array_add(roots, b->certificate);
        const struct {
                AttTeeKind kind;
                GBytes *blob, *table;
                GPtrArray *extra, *roots;
        } rows[] = {
                { ATT_KIND_TDX, a->spki, NULL, NULL, root },
                { ATT_KIND_SNP, a->spki, NULL, NULL, root },
                { ATT_KIND_TDX, b->spki, NULL, NULL, root },
                { ATT_KIND_TDX, a->spki, empty, NULL, root },
                { ATT_KIND_TDX, a->spki, a->spki, NULL, root },
                { ATT_KIND_TDX, a->spki, b->spki, NULL, root },
                { ATT_KIND_TDX, a->spki, a->certificate, NULL, none },
                { ATT_KIND_TDX, a->spki, NULL, one, root },
                { ATT_KIND_TDX, a->spki, NULL, another, root },
                { ATT_KIND_TDX, a->spki, NULL, both, root },
                { ATT_KIND_TDX, a->spki, NULL, turned, root },
                { ATT_KIND_TDX, a->spki, NULL, one, none },
                { ATT_KIND_TDX, a->spki, NULL, NULL, none },
                { ATT_KIND_TDX, a->spki, NULL, NULL, other_root },
                { ATT_KIND_TDX, a->spki, NULL, NULL, roots },
        };
        uint8_t key[ATT_SHA256_SIZE], again[ATT_SHA256_SIZE];

        for (gsize i = 0; i < G_N_ELEMENTS(rows); i++) {
                att_signature_memo_key(rows[i].kind, rows[i].blob, rows[i].table, rows[i].extra, rows[i].roots, key);
                att_signature_memo_key(rows[i].kind, rows[i].blob, rows[i].table, rows[i].extra, rows[i].roots, again);
                ck_assert_mem_eq(key, again, sizeof key);
                ck_assert_msg(g_hash_table_add(keys, g_bytes_new(key, sizeof key)), "row %zu", i);
        }
}
END_TEST

START_TEST(other_roots_and_added_certificates_are_other_entries) {
        g_autofree char *zeros = g_strnfill(64, '0');
        g_autofree char *more = g_strdup_printf("root tdx %s\n", zeros);
        g_autofree char *text = g_strdup_printf("attestd-policy 1\ntee tdx\ncollateral not-required\nworkload any\n"
                                                "peer any\nbare-report allowed\nroot tdx %s\n", zeros);
        g_autoptr(AttPolicy) policy = scene_open_policy(forge, ""), wider = scene_open_policy(forge, more);
        g_autoptr(AttPolicy) stranger = scene_parse(text);
        g_autoptr(GBytes) quote = scene_quote(forge, some_report_data);
        g_autoptr(Identity) identity = identity_new("x.example");
        g_autoptr(GPtrArray) extra = identity_anchors(identity);
        AttAppraisalInput input = stated(quote, policy);

        assert_miss(&input);
        input.policy = stranger;
        for (guint i = 0; i < 2; i++) {
                g_autoptr(AttResult) no = appraise(&input);

                assert_refused(no, "pck-chain", "");
                assert_verified();
        }
        input.policy = wider;
        assert_miss(&input);
        input.policy = policy;
        assert_hit(&input);
        input.extra_certificates = extra;
        assert_miss(&input);
        assert_hit(&input);
        input.extra_certificates = NULL;
        assert_hit(&input);
        ck_assert_uint_eq(att_signature_memo_size(memo), 3);
}
END_TEST

/* Whatever is known of its signatures, the rest is looked at. */
START_TEST(the_rest_is_appraised_each_time) {
        static const char mrtd[] = "boot mrtd=000000000000000000000000000000000000000000000000"
                                   "000000000000000000000000000000000000000000000000\n";
        g_autoptr(AttPolicy) policy = scene_open_policy(forge, ""), other_boot = scene_open_policy(forge, mrtd);
        g_autoptr(AttPolicy) other_machine =
                scene_open_policy(forge, "machine ppid 00000000000000000000000000000001\n");
        g_autoptr(GBytes) quote = scene_quote(forge, some_report_data);
        AttAppraisalInput input = stated(quote, policy);
        AttResult *no;

        assert_miss(&input);
        input.report_data[63] ^= 1;
        no = appraise(&input);
        assert_known();
        assert_refused(no, "report-data", "not the report data");
        att_result_free(no);
        input = stated(quote, other_boot);
        no = appraise(&input);
        assert_known();
        assert_refused(no, "boot", "mrtd");
        att_result_free(no);
        input = stated(quote, other_machine);
        no = appraise(&input);
        assert_known();
        assert_refused(no, "machine", "its PPID is not in the policy");
        att_result_free(no);
        input = stated(quote, NULL);
        no = appraise(&input);
        assert_refused(no, "policy", "");
        att_result_free(no);
}
END_TEST

/* As by its certificate, when it was verified: also where nobody has asked for the result then. */
START_TEST(a_known_quote_is_of_its_machine) {
        g_autoptr(AttPolicy) policy = NULL;
        g_autoptr(GBytes) quote = NULL;
        AttAppraisalInput input;

        scene_set(forge, "ppid", "22222222222222222222222222222222");
        policy = scene_open_policy(forge, "machine ppid 22222222222222222222222222222222\n");
        quote = scene_quote(forge, some_report_data);
        input = stated(quote, policy);
        g_autoptr(AttResult) first = appraise(&input);
        assert_accepted(first);
        assert_verified();
        assert_hit(&input);
}
END_TEST

/* That nobody is let in by a claim that was right a second ago. */
START_TEST(claims_and_binding_are_held_against_the_same_quote_each_time) {
        const Wire wire = wire_new(ATT_HASH_SHA256, 1);
        g_autoptr(GBytes) context = g_bytes_new_static("a context of thirty-two bytes !!", 32);
        g_autoptr(Identity) identity = identity_new("server.example");
        g_autoptr(AttClaims) claims = scene_claims(&wire, context, identity->spki, ATT_ROLE_SERVER);
        g_autoptr(AttPolicy) policy = scene_policy(forge, "");
        g_autoptr(GBytes) good = scene_evidence(forge, claims);
        g_autoptr(AttEvidence) evidence = att_evidence_decode(good, NULL);
        AttAppraisalInput input = {
                .evidence = good,
                .policy = policy,
                .at = SCENE_NOW,
                .bound_to = ATT_BOUND_BINDING,
                .hash = wire.hash,
                .role = ATT_ROLE_SERVER,
                .memo = memo,
        };

        memcpy(input.binding, claims->binding, sizeof input.binding);
        assert_miss(&input);
        assert_hit(&input);

        claims->generation++;
        g_bytes_unref(evidence->claims);
        evidence->claims = att_claims_encode(claims, NULL);
        g_autoptr(GBytes) forged = att_evidence_encode(evidence, ATT_CMW_SIZE_MAX, NULL, NULL);
        input.evidence = forged;
        g_autoptr(AttResult) no = appraise(&input);
        assert_known();
        assert_refused(no, "report-data", "not made for these claims");

        input.evidence = good;
        input.binding[0] ^= 1;
        g_autoptr(AttResult) other = appraise(&input);
        assert_known();
        assert_refused(other, "binding", "another connection");
}
END_TEST

START_TEST(validity_is_held_against_the_time_of_each_appraisal) {
        g_autoptr(AttPolicy) policy = scene_open_policy(forge, "");
        g_autoptr(GBytes) quote = scene_quote(forge, some_report_data);
        AttAppraisalInput input = stated(quote, policy);
        g_autoptr(AttResult) yes = appraise(&input);
        const int64_t from = yes->not_before, until = yes->not_after;
        const struct {
                int64_t at;
                const char *says; /* NULL: valid */
        } times[] = {
                { until, NULL }, { until + 1, "has expired" }, { G_MAXINT64, "has expired" },
                { from, NULL }, { from - 1, "is not valid yet" }, { 0, "is not valid yet" }, { SCENE_NOW, NULL },
        };

        assert_accepted(yes);
        ck_assert(from < SCENE_NOW && SCENE_NOW < until);
        for (gsize i = 0; i < G_N_ELEMENTS(times); i++) {
                input.at = times[i].at;
                g_autoptr(AttResult) result = appraise(&input);
                if (times[i].says) {
                        assert_refused(result, "validity", times[i].says);
                } else {
                        assert_known();
                        assert_accepted(result);
                }
                assert_as_without(&input, result);
        }
}
END_TEST

/* However often it is used meanwhile. */
START_TEST(an_entry_lives_for_a_minute) {
        g_autoptr(AttPolicy) policy = scene_open_policy(forge, "");
        g_autoptr(GBytes) quote = scene_quote(forge, some_report_data);
        AttAppraisalInput input = stated(quote, policy);

        assert_miss(&input);
        now_us += 30 * G_USEC_PER_SEC;
        assert_hit(&input);
        now_us += 30 * G_USEC_PER_SEC - 1;
        assert_hit(&input);
        now_us++;
        assert_miss(&input);
        assert_hit(&input);
        ck_assert_uint_eq(att_signature_memo_size(memo), 1);
}
END_TEST

/* What the memo may not know of, and what has nothing to do with it: refused each time. */
START_TEST(a_refusal_is_found_anew_each_time) {
        static const struct {
                const char *flaw;
                const char *check;
                bool is_signed; /* it is not the signatures that are wrong */
        } bad[] = {
                { "wrong-signer", "quote-signature", false }, { "bad-signature", "quote-signature", false },
                { "zero-signature", "quote-signature", false }, { "qe-wrong-signer", "qe-report-signature", false },
                { "self-signed", "pck-chain", false }, { "other-root", "pck-chain", false },
                { "expired-pck", "validity", false }, { "future-pck", "validity", false },
                { "pck-name", "pck-chain", false }, { "platform-not-ca", "pck-chain", false },
                { "no-chain", "pck-chain", false }, { "certification-5", "qe-report-signature", false },
                { "qe-not-binding", "qe-binding", true }, { "qe-debug", "qe-identity", true },
                { "qe-mrsigner", "qe-identity", true }, { "qe-vendor", "qe-vendor", true },
        };
        g_autoptr(AttPolicy) policy = scene_open_policy(forge, "");
        g_autoptr(GBytes) good = scene_quote(forge, some_report_data), flawed = NULL;
        AttAppraisalInput input = stated(good, policy);

        scene_set(forge, "flaw", bad[_i].flaw);
        flawed = scene_quote(forge, some_report_data);
        input.evidence = flawed;
        for (guint i = 0; i < 3; i++) {
                g_autoptr(AttResult) no = appraise(&input);

                ck_assert(!att_result_accepted(no));
                ck_assert_int_eq(scene_check(no, bad[_i].check)->status, ATT_CHECK_FAILED);
                ck_assert_uint_eq(att_signature_memo_size(memo), bad[_i].is_signed);
                ck_assert_int_eq(n_signatures == 0, bad[_i].is_signed && i > 0);
                assert_as_without(&input, no);
        }
        input.evidence = good;
        assert_miss(&input);
        assert_hit(&input);
}
END_TEST

static void key_of(guint i, uint8_t ret[ATT_SHA256_SIZE]) {
        att_sha256(&(AttPart) { &i, sizeof i }, 1, ret);
}

/* Of five users in turn, none of whom has all he may. */
START_TEST(the_oldest_makes_room) {
        g_autoptr(AttPolicy) policy = scene_open_policy(forge, "");
        g_autoptr(GBytes) quote = scene_quote(forge, some_report_data);
        AttAppraisalInput input = stated(quote, policy);
        const AttCheckSet checks = ATT_CHECK_SET(ATT_CHECK_QUOTE_SIGNATURE) | ATT_CHECK_SET(ATT_CHECK_VALIDITY);
        uint8_t key[ATT_SHA256_SIZE];

        input.memo = NULL;
        g_autoptr(AttResult) found = att_appraise(&input);
        for (guint i = 0; i < ATT_SIGNATURE_MEMO_MAX + 10; i++) {
                key_of(i, key);
                att_signature_memo_keep(memo, i % 5, key, checks, found);
                att_signature_memo_keep(memo, i % 5, key, checks, found);
                ck_assert_uint_eq(att_signature_memo_size(memo), MIN(i + 1, ATT_SIGNATURE_MEMO_MAX));
                now_us++;
        }
        for (guint i = 0; i < ATT_SIGNATURE_MEMO_MAX + 10; i++) {
                g_autoptr(AttResult) result = att_result_new(checks);

                key_of(i, key);
                ck_assert_int_eq(att_signature_memo_recall(memo, key, SCENE_NOW, result), i >= 10);
                ck_assert_int_eq(att_result_status(result, ATT_CHECK_VALIDITY) == ATT_CHECK_PASSED, i >= 10);
        }
        /* What has not passed, and nothing at all, is no entry. */
        key_of(0, key);
        att_signature_memo_keep(memo, 0, key, checks | ATT_CHECK_SET(ATT_CHECK_VMPL), found);
        att_signature_memo_keep(memo, 0, key, 0, found);
        g_autoptr(AttResult) none = att_result_new(checks);
        ck_assert(!att_signature_memo_recall(memo, key, SCENE_NOW, none));
        /* One after the other is too old. */
        now_us += ATT_SIGNATURE_MEMO_S * G_USEC_PER_SEC - 500;
        ck_assert(!att_signature_memo_recall(memo, key, SCENE_NOW, none));
        ck_assert_uint_eq(att_signature_memo_size(memo), 500 - 1);
}
END_TEST

START_TEST(sc34_a_user_does_not_flush_what_is_known_to_others) {
        g_autoptr(AttPolicy) policy = scene_open_policy(forge, "");
        g_autoptr(GBytes) quote = scene_quote(forge, some_report_data);
        AttAppraisalInput input = stated(quote, policy);
        const AttCheckSet checks = ATT_CHECK_SET(ATT_CHECK_QUOTE_SIGNATURE);
        uint8_t key[ATT_SHA256_SIZE];

        input.memo_user = 1000;
        assert_miss(&input);
        input.memo_user = 1001; /* known to all */
        assert_hit(&input);
        input.memo = NULL;
        g_autoptr(AttResult) found = att_appraise(&input);
        for (guint i = 0; i < 2 * ATT_SIGNATURE_MEMO_MAX; i++) {
                key_of(i, key);
                att_signature_memo_keep(memo, 1001, key, checks, found);
        }
        ck_assert_uint_eq(att_signature_memo_size(memo), ATT_SIGNATURE_MEMO_PER_USER_MAX + 1);
        input.memo = memo;
        assert_hit(&input);
        /* Of his own the newest are left. */
        for (guint i = 0; i < 2; i++) {
                g_autoptr(AttResult) result = att_result_new(checks);

                key_of(2 * ATT_SIGNATURE_MEMO_MAX - ATT_SIGNATURE_MEMO_PER_USER_MAX - i, key);
                ck_assert_int_eq(att_signature_memo_recall(memo, key, SCENE_NOW, result), i == 0);
        }
}
END_TEST

START_TEST(sc34_what_is_too_old_is_forgotten_unasked) {
        g_autoptr(AttPolicy) policy = scene_open_policy(forge, "");
        g_autoptr(GBytes) quote = scene_quote(forge, some_report_data);
        AttAppraisalInput input = stated(quote, policy);

        for (guint i = 0; i < 2; i++) {
                assert_miss(&input);
                now_us += ATT_SIGNATURE_MEMO_S * G_USEC_PER_SEC - 1;
                for (guint k = 0; k < 3; k++)
                        ck_assert(g_main_context_iteration(NULL, FALSE));
                ck_assert_uint_eq(att_signature_memo_size(memo), 1);
                now_us++;
                ck_assert(g_main_context_iteration(NULL, FALSE));
                ck_assert_uint_eq(att_signature_memo_size(memo), 0);
                ck_assert(!g_main_context_iteration(NULL, FALSE)); /* and wakes nobody any more */
        }
        assert_miss(&input); /* freed with what is in it */
}
END_TEST

/* A chain of the caller's own roots may have any size. */
START_TEST(sc34_long_certificates_are_not_kept) {
        g_autoptr(AttPolicy) policy = scene_open_policy(forge, "");
        g_autoptr(GBytes) quote = scene_quote(forge, some_report_data);
        AttAppraisalInput input = stated(quote, policy);

        size_of_certificates = ATT_CERTIFICATE_KEPT_MAX + 1;
        assert_miss(&input);
        assert_miss(&input);
        ck_assert_uint_eq(att_signature_memo_size(memo), 0);
        size_of_certificates = ATT_CERTIFICATE_KEPT_MAX;
        assert_miss(&input);
        assert_hit(&input);
        size_of_certificates = 0;
}
END_TEST

/* SNP: the chain is beside the report. */
START_TEST(a_report_is_known_with_its_table) {
        g_autoptr(SnpForge) snp = snp_forge_new(NULL, NULL);
        g_autofree char *text = NULL, *why = NULL;
        g_autoptr(AttPolicy) policy = NULL;
        g_autoptr(GBytes) blob = NULL, table = NULL, longer = NULL, other = NULL, bad_table = NULL;
        AttTsmReport report = { .provider = (char *) "sev_guest" };

        ck_assert(snp_forge_set(snp, "product", "milan", &why));
        text = g_strdup_printf("attestd-policy 1\ntee snp\nworkload any\npeer any\nbare-report allowed\n"
                               "collateral not-required\nroot snp %s\n", snp_forge_root_spki_sha256(snp));
        policy = scene_parse(text);
        blob = g_byte_array_free_to_bytes(snp_forge_report(snp, some_report_data));
        table = g_byte_array_free_to_bytes(snp_forge_table(snp));
        report.outblob = blob;
        report.auxblob = table;
        g_autoptr(GBytes) evidence = att_tsm_report_encode(&report);
        AttAppraisalInput input = stated(evidence, policy);

        size_of_certificates = ATT_CERTIFICATE_KEPT_MAX + 1;
        assert_miss(&input);
        size_of_certificates = 0;
        assert_miss(&input);
        assert_hit(&input);

        /* Another table, which says the same. */
        ck_assert(snp_forge_set(snp, "table-extra", "1", &why));
        longer = g_byte_array_free_to_bytes(snp_forge_table(snp));
        ck_assert(!g_bytes_equal(longer, table));
        report.auxblob = longer;
        g_autoptr(GBytes) with_longer = att_tsm_report_encode(&report);
        input.evidence = with_longer;
        assert_miss(&input);
        assert_hit(&input);

        /* None. */
        report.auxblob = NULL;
        g_autoptr(GBytes) without = att_tsm_report_encode(&report);
        input.evidence = without;
        g_autoptr(AttResult) no = appraise(&input);
        assert_refused(no, "vek-chain", "missing");

        /* Another report with the table that is known. */
        other = g_byte_array_free_to_bytes(snp_forge_report(snp, some_report_data));
        report.outblob = other;
        report.auxblob = table;
        g_autoptr(GBytes) of_other = att_tsm_report_encode(&report);
        input.evidence = of_other;
        if (!g_bytes_equal(other, blob))
                assert_miss(&input);

        /* The key's own checks, and what the policy says of it, are made each time. */
        g_autofree char *stricter = g_strconcat(text, "machine csp-id nobody\n", NULL);
        g_autoptr(AttPolicy) strict = scene_parse(stricter);
        input.evidence = evidence;
        input.policy = strict;
        g_autoptr(AttResult) refused = appraise(&input);
        assert_known();
        assert_refused(refused, "machine", "");
        assert_as_without(&input, refused);
}
END_TEST

int main(void) {
        Suite *s = suite_create("memo");
        TCase *t = tcase_create("memo");

        tcase_set_timeout(t, 60);
        tcase_add_checked_fixture(t, set_up, tear_down);
        tcase_add_test(t, what_was_verified_is_not_verified_again);
        tcase_add_test(t, a_changed_quote_is_not_known);
        tcase_add_test(t, each_part_of_a_key_counts);
        tcase_add_test(t, other_roots_and_added_certificates_are_other_entries);
        tcase_add_test(t, the_rest_is_appraised_each_time);
        tcase_add_test(t, a_known_quote_is_of_its_machine);
        tcase_add_test(t, claims_and_binding_are_held_against_the_same_quote_each_time);
        tcase_add_test(t, validity_is_held_against_the_time_of_each_appraisal);
        tcase_add_test(t, an_entry_lives_for_a_minute);
        tcase_add_loop_test(t, a_refusal_is_found_anew_each_time, 0, 16);
        tcase_add_test(t, the_oldest_makes_room);
        tcase_add_test(t, sc34_a_user_does_not_flush_what_is_known_to_others);
        tcase_add_test(t, sc34_what_is_too_old_is_forgotten_unasked);
        tcase_add_test(t, sc34_long_certificates_are_not_kept);
        tcase_add_test(t, a_report_is_known_with_its_table);
        suite_add_tcase(s, t);
        return run_suite(s);
}
