/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What a policy says of a guest's logs, and what becomes of evidence with them. */
#include "scene.h"

#include "crypto/tpm-key.h"
#include "util/error.h"
#include "verifier/ima-appraisal.h"

#include "codec/event-build.h"
#include "crypto/quoter.h"
#include "ima-maker.h"
#include "run.h"

#include <openssl/cms.h>
#include <openssl/rsa.h>

G_DEFINE_AUTOPTR_CLEANUP_FUNC(BIO, BIO_free_all)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(EVP_PKEY, EVP_PKEY_free)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(EVP_PKEY_CTX, EVP_PKEY_CTX_free)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(X509, X509_free)

#define HEX32(two) two two two two two two two two two two two two two two two two \
                   two two two two two two two two two two two two two two two two
#define ALLOW(two, path) "ima allow sha256:" HEX32(two) " " path "\n"
#define HEX16(two) two two two two two two two two two two two two two two two two
#define EVENT(n, two) "boot-event " n " sha384:" HEX32(two) HEX16(two) "\n"
#define ROOT "ima root rtmr\n"
#define SOME_PATH "/usr/bin/payroll"

/* Linked with --wrap. */
CMS_ContentInfo *__wrap_d2i_CMS_ContentInfo(CMS_ContentInfo **ret, const unsigned char **in, long size);
CMS_ContentInfo *__real_d2i_CMS_ContentInfo(CMS_ContentInfo **ret, const unsigned char **in, long size);

static guint n_parsed;

CMS_ContentInfo *__wrap_d2i_CMS_ContentInfo(CMS_ContentInfo **ret, const unsigned char **in, long size) {
        n_parsed++;
        return __real_d2i_CMS_ContentInfo(ret, in, size);
}

static Forge *forge;
static Maker *maker;
static uint8_t boot_log_rtmr[3][48];

static void set_up(void) {
        forge = forge_new(NULL, NULL);
        maker = maker_new();
        maker_boot_aggregate(maker, 0xba);
        maker_file(maker, "/usr/lib/systemd/systemd", 0x51);
        maker_file(maker, SOME_PATH, 0x11);
}

static void tear_down(void) {
        forge_free(forge);
        maker_free(maker);
}

static void set_rtmr(unsigned i, const uint8_t value[48]) {
        g_autofree char *name = g_strdup_printf("rtmr%u", i);
        char hex[97];

        for (gsize k = 0; k < 48; k++)
                g_snprintf(hex + 2 * k, 3, "%02x", value[k]);
        scene_set(forge, name, hex);
}

static AttPolicy *policy_of(const char *more) {
        return scene_policy(forge, more);
}

/* What is given beside the evidence, and what it says. */
typedef struct Case {
        const char *rules;
        guint n;                /* that the claims cover; 0: all */
        const char *root;       /* NULL: "rtmr" */
        AttBank bank;           /* with another root */
        guint given;            /* entries; 0: all */
        bool no_log;
        Quoter *quoter;
        guint quoted;           /* entries; 0: n */
        void (*change)(AttClaims *claims);
        GBytes *boot_log;
} Case;

static AttClaims *claims_of(const Case *c) {
        Wire wire = wire_new(ATT_HASH_SHA256, 1);
        g_autoptr(GBytes) context = g_bytes_new("0123456789abcdef0123456789abcdef", 32);
        g_autoptr(GBytes) spki = g_bytes_new("spki", 4);
        AttClaims *claims = scene_claims(&wire, context, spki, ATT_ROLE_SERVER);
        guint n = c->n ? c->n : maker->n;

        claims->ima = maker_claims(maker, n, c->root ? c->root : "rtmr", c->root ? c->bank : ATT_BANK_SHA384);
        if (c->quoter)
                claims->ima->ak_name = quoter_name(c->quoter);
        if (c->change)
                c->change(claims);
        return claims;
}

static GBytes *collection_of(const Case *c, GBytes *raw, const uint8_t r[64]) {
        g_autoptr(GBytes) quote = scene_quote(forge, r), tpm = NULL;
        AttTsmReport report = { .provider = (char *) "tdx_guest", .outblob = quote };
        AttEvidence evidence = { .profile = (char *) ATT_PROFILE_EVIDENCE, .claims = raw, .tee = &report };
        g_autoptr(GError) error = NULL;
        GBytes *bytes;

        if (c->quoter) {
                guint n = c->quoted ? c->quoted : c->n ? c->n : maker->n;
                g_autoptr(AttTpmEvidence) e = quoter_quote(c->quoter, r, c->bank, maker->aggregates[n][c->bank]);

                tpm = att_tpm_evidence_encode(e);
                evidence.tpm = tpm;
        }
        bytes = att_evidence_encode(&evidence, ATT_CMW_SIZE_MAX, NULL, &error);
        ck_assert_msg(bytes != NULL, "%s", error ? error->message : "");
        return bytes;
}

static AttResult *appraise(const Case *c) {
        g_autoptr(AttPolicy) policy = policy_of(c->rules);
        g_autoptr(AttClaims) claims = claims_of(c);
        g_autoptr(GError) error = NULL;
        g_autoptr(GBytes) raw = att_claims_encode(claims, &error), evidence = NULL;
        g_autoptr(AttImaHistory) history = NULL;
        AttAppraisalInput input = { .policy = policy, .at = SCENE_NOW, .bound_to = ATT_BOUND_REPORT_DATA };

        ck_assert_msg(raw != NULL, "%s", error ? error->message : "");
        scene_report_data(raw, input.report_data);
        evidence = collection_of(c, raw, input.report_data);
        input.evidence = evidence;
        input.boot_log = c->boot_log;
        if (!c->no_log) {
                g_autoptr(GBytes) log = maker_slice(maker, 0, c->given ? c->given : maker->n);

                history = att_ima_history_new(policy);
                ck_assert_msg(att_ima_history_add_all(history, log, ATT_BANK_SHA1, &error), "%s",
                              error ? error->message : "");
                input.ima_log = history;
        }
        return att_appraise(&input);
}

static void mirror(guint n) {
        set_rtmr(3, maker->aggregates[n][ATT_BANK_SHA384]);
}

#define expect_accepted(...)                                             \
        do {                                                             \
                const Case case_ = { __VA_ARGS__ };                      \
                g_autoptr(AttResult) result_ = appraise(&case_);         \
                assert_accepted(result_);                                \
        } while (0)

#define expect_refused(name, says, ...)                                  \
        do {                                                             \
                const Case case_ = { __VA_ARGS__ };                      \
                g_autoptr(AttResult) result_ = appraise(&case_);         \
                assert_refused(result_, name, says);                     \
        } while (0)

static void check_one(const char *rules, const char *name, const char *says) {
        const Case c = { .rules = rules };
        g_autoptr(AttResult) result = NULL;

        mirror(maker->n);
        result = appraise(&c);
        if (!name) {
                assert_accepted(result);
                return;
        }
        ck_assert_msg(!att_result_accepted(result), "accepted, by %s", rules);
        ck_assert_msg(g_str_has_prefix(att_result_reason(result), name) && strstr(att_result_reason(result), says),
                      "refused for \"%s\", not %s … %s", att_result_reason(result), name, says);
}

/* ----- root and log */

static void call_it_rtmr_1(AttClaims *claims) {
        claims->ima->rtmr = 1;
}

START_TEST(the_policy_names_the_register) {
        mirror(3);
        set_rtmr(1, maker->aggregates[3][ATT_BANK_SHA384]);
        expect_accepted(.rules = "ima root rtmr 3\n");
        expect_accepted(.rules = "ima root rtmr 1\nima root rtmr\n");
        expect_refused("ima-root", "RTMR 1, which the policy does not", .rules = ROOT, .change = call_it_rtmr_1);
        expect_refused("ima-root", "RTMR 3, which the policy does not", .rules = "ima root rtmr 1\n");
        expect_accepted(.rules = "ima root rtmr 1\n", .change = call_it_rtmr_1);
}
END_TEST

START_TEST(sc27a_a_log_that_does_not_replay_is_refused) {
        mirror(3);
        expect_accepted(.rules = ROOT);
        maker->log->data[maker->offsets[1] + 4 + 20 + 4 + 7 + 4 + 40] ^= 1; /* in the data: found before */

        g_autoptr(AttPolicy) policy = policy_of(ROOT);
        g_autoptr(AttImaHistory) history = att_ima_history_new(policy);
        g_autoptr(GBytes) log = maker_slice(maker, 0, 3);
        g_autoptr(GError) error = NULL;

        ck_assert(!att_ima_history_add_all(history, log, ATT_BANK_SHA1, &error));
        ck_assert(g_error_matches(error, ATT_ERROR, ATT_ERROR_BAD_DATA));
        maker->log->data[maker->offsets[1] + 4 + 20 + 4 + 7 + 4 + 40] ^= 1;

        /* Another log, right in itself. */
        g_autoptr(Maker) good = maker;
        maker = maker_new();
        maker_boot_aggregate(maker, 0xba);
        maker_file(maker, "/usr/lib/systemd/systemd", 0x51);
        maker_file(maker, "/usr/bin/backdoor", 0x11);
        memcpy(maker->aggregates[3], good->aggregates[3], sizeof good->aggregates[3]);
        expect_refused("ima-log", "do not give the aggregate", .rules = ROOT);
}
END_TEST

START_TEST(sc27b_a_log_that_is_not_there_is_a_refusal) {
        static const char *const rules[] = {
                ROOT, ROOT "ima max-violations 5\n", ROOT ALLOW("11", SOME_PATH) "ima exclude /\n",
                "ima root claimed\n" ROOT, "ima root rtmr\nima root tpm-outside\nima require " SOME_PATH "\n",
        };

        mirror(3);
        for (gsize i = 0; i < G_N_ELEMENTS(rules); i++)
                expect_refused("ima-log", "the log is not there", .rules = rules[i], .no_log = true);
        expect_accepted(.rules = ROOT);
        expect_refused("ima-log", "only 2 were given", .rules = ROOT, .given = 2);
        expect_refused("boot-log", "the log is not there", .rules = ROOT "boot-log required\n");
        expect_refused("boot-log", "the log is not there", .rules = ROOT EVENT("1", "11"));
}
END_TEST

static void without_ima(AttClaims *claims) {
        g_clear_pointer(&claims->ima, att_ima_claims_free);
}

static void history_lost(AttClaims *claims) {
        g_clear_pointer(&claims->ima, att_ima_claims_free);
        claims->ima_state = g_strdup("history-lost");
}

static void without_entries(AttClaims *claims) {
        static const uint8_t zeros[48];

        claims->ima->count = 0;
        g_bytes_unref(claims->ima->aggregate);
        claims->ima->aggregate = g_bytes_new(zeros, sizeof zeros);
}

START_TEST(evidence_that_says_nothing_of_a_log_is_refused) {
        mirror(3);
        expect_accepted(.rules = ROOT);
        expect_accepted(.rules = "", .change = without_ima);
        expect_refused("ima-root", "says nothing of an IMA log", .rules = ROOT, .change = without_ima);
        expect_refused("ima-root", "ima-state: attestd says that its IMA log is history-lost", .rules = ROOT,
                       .change = history_lost);
        mirror(0);
        expect_refused("ima-root", "without entries", .rules = ROOT, .change = without_entries, .given = 0);
}
END_TEST

START_TEST(sc33b_a_register_that_someone_else_extended_is_no_root) {
        uint8_t foreign[48];

        mirror(3);
        expect_accepted(.rules = ROOT);
        maker_hash(ATT_BANK_SHA384, maker->aggregates[3][ATT_BANK_SHA384], 48, foreign, 48, foreign);
        set_rtmr(3, foreign);
        expect_refused("ima-root", "RTMR 3 of the quote is not the aggregate in the claims", .rules = ROOT);
        mirror(2); /* it lags behind */
        expect_refused("ima-root", "RTMR 3 of the quote is not the aggregate in the claims", .rules = ROOT);
        expect_accepted(.rules = ROOT, .n = 2);
}
END_TEST

static void call_it_claimed(AttClaims *claims) {
        g_free(claims->ima->root);
        claims->ima->root = g_strdup("claimed");
        claims->ima->rtmr = -1;
}

static void call_it_in_tee(AttClaims *claims) {
        g_free(claims->ima->root);
        claims->ima->root = g_strdup("tpm-in-tee");
}

START_TEST(a_root_is_derived_and_never_believed) {
        g_autoptr(Quoter) quoter = quoter_new(ATT_TPM_P256, 0, QUOTER_AK);

        mirror(3);
        expect_refused("ima-root", "claimed, which the policy does not take", .rules = ROOT,
                       .change = call_it_claimed);
        expect_accepted(.rules = "ima root claimed\n", .change = call_it_claimed);
        expect_refused("ima-root", "rtmr, which the policy does not take", .rules = "ima root claimed\n");
        expect_refused("ima-root", "there is no quote by a TPM", .rules = "ima root tpm-outside\n",
                       .root = "tpm-outside", .bank = ATT_BANK_SHA256);
        expect_refused("ima-root", "there is no quote by a TPM", .rules = "ima root tpm-in-tee\n",
                       .root = "tpm-in-tee", .bank = ATT_BANK_SHA256);
        /* The claims call it more than it is. */
        expect_refused("ima-root", "tpm-outside, which the policy does not take", .rules = "ima root tpm-in-tee\n",
                       .root = "tpm-outside", .bank = ATT_BANK_SHA256, .quoter = quoter, .change = call_it_in_tee);
        expect_accepted(.rules = "ima root tpm-outside\n", .root = "tpm-outside", .bank = ATT_BANK_SHA256,
                        .quoter = quoter, .change = call_it_in_tee);
}
END_TEST

static void other_ak(AttClaims *claims) {
        uint8_t name[34] = { 0, 0x0b, 1 };

        g_bytes_unref(claims->ima->ak_name);
        claims->ima->ak_name = g_bytes_new(name, sizeof name);
}

static void other_bank(AttClaims *claims) {
        g_free(claims->ima->bank);
        claims->ima->bank = g_strdup("sha384");
        g_bytes_unref(claims->ima->aggregate);
        claims->ima->aggregate = g_bytes_new(maker->aggregates[3][ATT_BANK_SHA384], 48);
}

START_TEST(a_tpm_quotes_the_aggregate_or_what_the_log_continues_to) {
        static const AttBank banks[] = { ATT_BANK_SHA1, ATT_BANK_SHA256, ATT_BANK_SHA384 };
        static const char rules[] = "ima root tpm-outside\n";
        g_autoptr(Quoter) quoter = quoter_new(ATT_TPM_P256, 0, QUOTER_AK);

        for (gsize i = 0; i < G_N_ELEMENTS(banks); i++) {
                const AttBank bank = banks[i];

                expect_accepted(.rules = rules, .root = "tpm-outside", .bank = bank, .quoter = quoter);
                expect_accepted(.rules = rules, .root = "tpm-outside", .bank = bank, .quoter = quoter, .n = 1,
                                .quoted = 3);
                expect_refused("ima-root", "not what the log gives from the aggregate on", .rules = rules,
                               .root = "tpm-outside", .bank = bank, .quoter = quoter, .n = 3, .quoted = 2);
                expect_refused("ima-root", "not what the log gives from the aggregate on", .rules = rules,
                               .root = "tpm-outside", .bank = bank, .quoter = quoter, .n = 1, .quoted = 3, .given = 2);
        }
        expect_refused("ima-root", "another key than the claims name", .rules = rules, .root = "tpm-outside",
                       .bank = ATT_BANK_SHA256, .quoter = quoter, .change = other_ak);
        expect_refused("ima-root", "another bank", .rules = rules, .root = "tpm-outside", .bank = ATT_BANK_SHA256,
                       .quoter = quoter, .change = other_bank);
}
END_TEST

static void two_violations_less(AttClaims *claims) {
        claims->ima->violations = 0;
}

START_TEST(violations_are_counted) {
        maker_violation(maker, "/var/log/messages");
        maker_violation(maker, "/var/log/messages");
        mirror(5);
        expect_refused("ima", "2 violations, but the policy takes 0", .rules = ROOT);
        expect_refused("ima", "2 violations, but the policy takes 1", .rules = ROOT "ima max-violations 1\n");
        expect_accepted(.rules = ROOT "ima max-violations 2\n");
        expect_refused("ima-log", "2 violations, but the claims say 0", .rules = ROOT, .change = two_violations_less);
        expect_accepted(.rules = ROOT "ima max-violations 2\n" ALLOW("11", SOME_PATH) "ima exclude /usr/lib/\n");
        /* Its path is nothing that a hash covers. */
        expect_refused("ima", "no entry of /var/log/messages",
                       .rules = ROOT "ima max-violations 2\nima exclude /usr/\nima require /var/log/messages\n"
                                ALLOW("00", "/var/log/messages"));
}
END_TEST

/* ----- entries */

START_TEST(files_are_allowed_by_path_and_digest) {
        static const char *const good = ROOT ALLOW("11", SOME_PATH) ALLOW("51", "/usr/lib/systemd/systemd");

        check_one(good, NULL, NULL);
        check_one(ROOT ALLOW("11", SOME_PATH), "ima", "entry 1, /usr/lib/systemd/systemd sha256:5151");
        check_one(ROOT ALLOW("12", SOME_PATH) ALLOW("51", "/usr/lib/systemd/systemd"), "ima",
                  "entry 2, " SOME_PATH " sha256:" HEX32("11") ": its digest is none of those");
        check_one(ROOT ALLOW("12", SOME_PATH) ALLOW("11", SOME_PATH) ALLOW("13", SOME_PATH) "ima exclude /usr/lib/\n",
                  NULL, NULL);
        check_one(ROOT ALLOW("11", "/usr/bin/payrol") "ima exclude /usr/lib/\n", "ima", "entry 2");
        check_one(ROOT ALLOW("11", SOME_PATH "l") "ima exclude /usr/lib/\n", "ima", "entry 2");
        check_one(ROOT "ima allow sha512:" HEX32("11") HEX32("11") " " SOME_PATH "\nima exclude /usr/lib/\n", "ima",
                  "entry 2");
        check_one(ROOT ALLOW("11", SOME_PATH) "ima exclude /usr/lib/systemd/\n", NULL, NULL);
        check_one(ROOT ALLOW("11", SOME_PATH) "ima exclude /usr/lib/systemd/systemd-\n", "ima", "entry 1");
        check_one(ROOT "ima exclude /\n", NULL, NULL);
        /* A digest wins over what is excluded. */
        check_one(ROOT "ima exclude /\n" ALLOW("12", SOME_PATH), "ima", "its digest is none of those");
}
END_TEST

START_TEST(a_required_file_must_have_been_taken) {
        check_one(ROOT ALLOW("11", SOME_PATH) "ima exclude /usr/lib/\nima require " SOME_PATH "\n", NULL, NULL);
        check_one(ROOT ALLOW("11", SOME_PATH) "ima exclude /usr/lib/\nima require /usr/bin/audit\n", "ima",
                  "no entry of /usr/bin/audit");
        check_one(ROOT "ima exclude /usr/\nima require " SOME_PATH "\n", "ima", "no entry of " SOME_PATH);
        check_one(ROOT "ima require " SOME_PATH "\n", "ima", "entry 1");
}
END_TEST

START_TEST(a_second_boot_aggregate_is_an_entry_as_any_other) {
        static const char rules[] = ROOT "ima exclude /usr/lib/\n" ALLOW("11", SOME_PATH);

        check_one(rules, NULL, NULL);
        maker_boot_aggregate(maker, 0xbb);
        check_one(rules, "ima", "entry 3, boot_aggregate");
        check_one(ROOT "ima exclude /usr/lib/\n" ALLOW("11", SOME_PATH) ALLOW("bb", "boot_aggregate"), "ima",
                  "entry 0, boot_aggregate sha256:baba");
        check_one(ROOT "ima exclude /usr/lib/\n" ALLOW("11", SOME_PATH) ALLOW("bb", "boot_aggregate")
                  ALLOW("ba", "boot_aggregate"), NULL, NULL);
}
END_TEST

/* Whatever a template is called, no hash covers the name. */
START_TEST(no_name_of_a_template_lets_an_entry_pass) {
        static const char *const names[] = {
                "ima-sig", "ima-buf", "d-ng|n-ng|sig", "d-ng|n-ng|buf", "d-ng|n-ng|evmsig", "d-ng|n-ng|modsig",
                "d-ng|n-ng|xattrvalues", "d-modsig|n-ng|sig", "d-ng|xattrvalues|buf", "xattrvalues|n-ng|sig",
        };
        static const char rules[] = ROOT "ima exclude /usr/\n" ALLOW("11", SOME_PATH);
        g_autoptr(GByteArray) data = g_byte_array_new();

        check_one(rules, NULL, NULL);
        ima_put_digest(data, "sha256:", 0xe1, 32);
        ima_put_path(data, "/tmp/evil");
        ima_put_field(data, NULL, 0);
        for (gsize i = 0; i < G_N_ELEMENTS(names); i++) {
                g_autoptr(Maker) before = g_steal_pointer(&maker);

                maker = maker_new();
                maker_boot_aggregate(maker, 0xba);
                maker_file(maker, SOME_PATH, 0x11);
                maker_data(maker, ATT_IMA_PCR, names[i], data);
                check_one(rules, "ima", "entry 2");
                maker_free(maker);
                maker = g_steal_pointer(&before);
        }
}
END_TEST

START_TEST(buffers_and_evm_need_a_rule_too) {
        g_autoptr(GByteArray) buf = g_byte_array_new(), evm = g_byte_array_new();

        ima_put_digest(buf, "sha256:", 0xbf, 32);
        ima_put_path(buf, "kernel_version");
        ima_put_field(buf, "6.12", 4);
        maker_data(maker, ATT_IMA_PCR, "ima-buf", buf);
        check_one(ROOT "ima exclude /usr/lib/\n" ALLOW("11", SOME_PATH), "ima", "entry 3, kernel_version");
        check_one(ROOT "ima exclude /usr/lib/\nima exclude kernel_version\n" ALLOW("11", SOME_PATH), NULL, NULL);
        check_one(ROOT "ima exclude /usr/lib/\n" ALLOW("11", SOME_PATH) ALLOW("bf", "kernel_version"), NULL, NULL);

        ima_put_digest(evm, "sha256:", 0xe5, 32);
        ima_put_path(evm, "/usr/bin/evm");
        for (int i = 0; i < 7; i++)
                ima_put_field(evm, NULL, 0);
        maker_data(maker, ATT_IMA_PCR, "evm-sig", evm);
        check_one(ROOT "ima exclude /usr/lib/\nima exclude kernel_\n" ALLOW("11", SOME_PATH), "ima",
                  "entry 4, /usr/bin/evm");
        check_one(ROOT "ima exclude /usr/lib/\nima exclude kernel_\n" ALLOW("11", SOME_PATH)
                  ALLOW("e5", "/usr/bin/evm"), NULL, NULL);
}
END_TEST

/* Nothing vouches for what goes into another PCR. */
START_TEST(an_entry_of_another_pcr_is_appraised_but_meets_no_requirement) {
        g_autoptr(GByteArray) data = g_byte_array_new();

        ima_put_digest(data, "sha256:", 0x77, 32);
        ima_put_path(data, "/usr/bin/audit");
        ima_put_field(data, NULL, 0);
        maker_data(maker, 11, "ima-sig", data);
        check_one(ROOT "ima exclude /usr/lib/\n" ALLOW("11", SOME_PATH), "ima", "entry 3, /usr/bin/audit");
        check_one(ROOT "ima exclude /usr/lib/\n" ALLOW("11", SOME_PATH) ALLOW("77", "/usr/bin/audit"), NULL, NULL);
        check_one(ROOT "ima exclude /usr/lib/\n" ALLOW("11", SOME_PATH) ALLOW("77", "/usr/bin/audit")
                  "ima require /usr/bin/audit\n", "ima", "no entry of /usr/bin/audit");
}
END_TEST

/* ----- signatures */

static EVP_PKEY *new_key(const char *type) {
        EVP_PKEY *key = g_str_equal(type, "RSA-2048") ? EVP_RSA_gen(2048) : EVP_EC_gen(type);

        ck_assert_ptr_nonnull(key);
        return key;
}

static char *key_rule(EVP_PKEY *key) {
        g_autofree char *text = NULL;
        unsigned char *der = NULL;
        int size = i2d_PUBKEY(key, &der);

        ck_assert_int_gt(size, 0);
        text = g_base64_encode(der, (gsize) size);
        OPENSSL_free(der);
        return g_strdup_printf("ima key %s\n", text);
}

static GBytes *sign_digest(EVP_PKEY *key, AttBank bank, const uint8_t *digest) {
        static const char *const names[] = { "SHA1", "SHA256", "SHA384", "SHA512" };
        g_autoptr(EVP_PKEY_CTX) ctx = EVP_PKEY_CTX_new_from_pkey(NULL, key, NULL);
        size_t size = 1024;
        g_autofree uint8_t *signature = g_malloc(size);

        ck_assert_int_eq(EVP_PKEY_sign_init(ctx), 1);
        if (EVP_PKEY_is_a(key, "RSA"))
                ck_assert_int_eq(EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_PKCS1_PADDING), 1);
        ck_assert_int_eq(EVP_PKEY_CTX_set_signature_md(ctx, EVP_get_digestbyname(names[bank])), 1);
        ck_assert_int_eq(EVP_PKEY_sign(ctx, signature, &size, digest, att_bank_size(bank)), 1);
        return g_bytes_new(signature, size);
}

/* security.ima: type, version, the kernel's number of the hash, key id, signature. */
static GByteArray *xattr(uint8_t type, uint8_t version, uint8_t hash, GBytes *signature) {
        GByteArray *x = g_byte_array_new();

        att_put_be(x, type, 1);
        att_put_be(x, version, 1);
        att_put_be(x, hash, 1);
        att_put_be(x, 0x12345678, 4);
        att_put_be(x, g_bytes_get_size(signature), 2);
        att_put_bytes(x, signature);
        return x;
}

static void add_signed(const char *path, uint8_t fill, EVP_PKEY *key) {
        g_autoptr(GByteArray) x = NULL;
        g_autoptr(GBytes) signature = NULL;
        uint8_t digest[32];

        memset(digest, fill, sizeof digest);
        signature = sign_digest(key, ATT_BANK_SHA256, digest);
        x = xattr(3, 2, 4, signature);
        maker_signed(maker, path, fill, x->data, x->len);
}

static const char *const key_types[] = { "RSA-2048", "P-256", "P-384" };

START_TEST(sc30a_a_file_signed_by_an_unknown_key_is_refused) {
        g_autoptr(EVP_PKEY) known = new_key(key_types[_i]);
        g_autoptr(EVP_PKEY) unknown = new_key(key_types[_i]);
        g_autofree char *key = key_rule(known);
        g_autofree char *rules = g_strconcat(ROOT "ima exclude /usr/\n", key, NULL);

        add_signed("/opt/app", 0x21, known);
        check_one(rules, NULL, NULL);
        check_one(ROOT "ima exclude /usr/\nima require /x\n", "ima", "entry 3, /opt/app");
        add_signed("/opt/evil", 0x22, unknown);
        check_one(rules, "ima", "entry 4, /opt/evil sha256:2222");
}
END_TEST

/* A digest wins over a signature, whichever of them would take the file. */
START_TEST(sc30b_a_digest_wins_over_a_signature) {
        g_autoptr(EVP_PKEY) known = new_key("P-256");
        g_autofree char *key = key_rule(known);
        g_autofree char *by_signature = g_strconcat(ROOT "ima exclude /usr/\n", key, NULL);
        g_autofree char *other_digest = g_strconcat(by_signature, ALLOW("22", "/opt/app"), NULL);
        g_autofree char *right_digest = g_strconcat(by_signature, ALLOW("21", "/opt/app"), NULL);

        add_signed("/opt/app", 0x21, known);
        check_one(by_signature, NULL, NULL);
        check_one(other_digest, "ima", "entry 3, /opt/app sha256:" HEX32("21") ": its digest is none of those");
        check_one(right_digest, NULL, NULL);

        /* Unsigned, or signed by a stranger, the digest alone decides as well. */
        g_autoptr(EVP_PKEY) unknown = new_key("P-256");
        g_autoptr(Maker) before = g_steal_pointer(&maker);
        maker = maker_new();
        maker_boot_aggregate(maker, 0xba);
        add_signed("/opt/app", 0x21, unknown);
        check_one(right_digest, NULL, NULL);
        check_one(by_signature, "ima", "entry 1, /opt/app");
}
END_TEST

START_TEST(only_signatures_of_the_content_count) {
        static const struct {
                uint8_t type, version, hash;
                bool is_taken;
        } kinds[] = {
                { 3, 2, 4, true }, { 3, 1, 4, false }, { 3, 3, 4, false }, { 5, 2, 4, false }, { 6, 3, 4, false },
                { 2, 2, 4, false }, { 3, 2, 2, false }, { 3, 2, 5, false }, { 3, 2, 6, false }, { 3, 2, 0, false },
                { 1, 2, 4, false },
        };
        g_autoptr(EVP_PKEY) known = new_key("P-256");
        g_autofree char *key = key_rule(known);
        g_autofree char *rules = g_strconcat(ROOT, key, NULL);
        g_autoptr(GBytes) signature = NULL;
        uint8_t digest[32];

        memset(digest, 0x21, sizeof digest);
        signature = sign_digest(known, ATT_BANK_SHA256, digest);
        for (gsize i = 0; i < G_N_ELEMENTS(kinds); i++) {
                g_autoptr(GByteArray) x = xattr(kinds[i].type, kinds[i].version, kinds[i].hash, signature);

                maker_free(maker);
                maker = maker_new();
                maker_boot_aggregate(maker, 0xba);
                maker_signed(maker, "/opt/app", 0x21, x->data, x->len);
                check_one(rules, kinds[i].is_taken ? NULL : "ima", "entry 1, /opt/app");
        }

        /* Every byte but those of the key id, every prefix, a byte more. */
        g_autoptr(GByteArray) good = xattr(3, 2, 4, signature);
        for (guint i = 0; i <= 2 * good->len; i++) {
                g_autofree uint8_t *bad = g_memdup2(good->data, good->len);
                guint size = i < good->len ? good->len : i - good->len;

                if (i < good->len)
                        bad[i] ^= 0x10;
                maker_free(maker);
                maker = maker_new();
                maker_boot_aggregate(maker, 0xba);
                maker_signed(maker, "/opt/app", 0x21, bad, size);
                check_one(rules, (i >= 3 && i < 7) || i == 2 * good->len ? NULL : "ima", "entry 1, /opt/app");
        }
}
END_TEST

START_TEST(a_signature_of_verity_or_with_sha1_is_none) {
        g_autoptr(EVP_PKEY) known = new_key("RSA-2048");
        g_autofree char *key = key_rule(known);
        g_autofree char *rules = g_strconcat(ROOT, key, NULL);
        static const struct {
                const char *prefix, *template_name;
                AttBank bank;
                uint8_t hash;
                bool is_taken;
        } kinds[] = {
                { "ima:sha256:", "ima-sigv2", ATT_BANK_SHA256, 4, true },
                { "verity:sha256:", "ima-sigv2", ATT_BANK_SHA256, 4, false },
                { "sha512:", "ima-sig", ATT_BANK_SHA512, 6, true },
                { "sha384:", "ima-sig", ATT_BANK_SHA384, 5, true },
                { "sha1:", "ima-sig", ATT_BANK_SHA1, 2, false },
        };

        for (gsize i = 0; i < G_N_ELEMENTS(kinds); i++) {
                g_autoptr(GByteArray) data = g_byte_array_new(), x = NULL;
                g_autoptr(GBytes) signature = NULL;
                uint8_t digest[64];

                memset(digest, 0x21, sizeof digest);
                signature = sign_digest(known, kinds[i].bank, digest);
                x = xattr(3, 2, kinds[i].hash, signature);
                ima_put_digest(data, kinds[i].prefix, 0x21, att_bank_size(kinds[i].bank));
                ima_put_path(data, "/opt/app");
                ima_put_field(data, x->data, x->len);
                maker_free(maker);
                maker = maker_new();
                maker_boot_aggregate(maker, 0xba);
                maker_data(maker, ATT_IMA_PCR, kinds[i].template_name, data);
                check_one(rules, kinds[i].is_taken ? NULL : "ima", "entry 1, /opt/app");
        }
}
END_TEST

static X509 *certificate_of(EVP_PKEY *key) {
        X509 *x = X509_new();

        X509_set_version(x, X509_VERSION_3);
        ASN1_INTEGER_set(X509_get_serialNumber(x), 1);
        X509_gmtime_adj(X509_getm_notBefore(x), 0);
        X509_gmtime_adj(X509_getm_notAfter(x), 3600);
        X509_set_pubkey(x, key);
        X509_NAME_add_entry_by_txt(X509_get_subject_name(x), "CN", MBSTRING_ASC, (const uint8_t *) "k", -1, -1, 0);
        X509_set_issuer_name(x, X509_get_subject_name(x));
        ck_assert_int_gt(X509_sign(x, key, EVP_sha256()), 0);
        return x;
}

/* As sign-file does it. */
static GBytes *modsig_of(EVP_PKEY *key, const char *content, unsigned flags) {
        g_autoptr(BIO) in = BIO_new_mem_buf(content, -1);
        g_autoptr(X509) certificate = certificate_of(key);
        CMS_ContentInfo *cms;
        unsigned char *der = NULL;
        GBytes *bytes;
        int size;

        cms = CMS_sign(NULL, NULL, NULL, NULL, CMS_NOCERTS | CMS_PARTIAL | CMS_BINARY | CMS_DETACHED | CMS_STREAM);
        ck_assert_ptr_nonnull(CMS_add1_signer(cms, certificate, key, EVP_sha256(),
                                              CMS_NOCERTS | CMS_BINARY | CMS_NOSMIMECAP | flags));
        ck_assert_int_eq(CMS_final(cms, in, NULL, CMS_NOCERTS | CMS_BINARY), 1);
        size = i2d_CMS_ContentInfo(cms, &der);
        ck_assert_int_gt(size, 0);
        bytes = g_bytes_new(der, (gsize) size);
        OPENSSL_free(der);
        CMS_ContentInfo_free(cms);
        return bytes;
}

static void put_module(const char *template_name, const char *content, GBytes *modsig) {
        g_autoptr(GByteArray) data = g_byte_array_new(), digest = g_byte_array_new();
        uint8_t sum[32];

        maker_hash(ATT_BANK_SHA256, content, strlen(content), NULL, 0, sum);
        att_put(digest, "sha256:", 8);
        att_put(digest, sum, sizeof sum);
        ima_put_digest(data, "sha256:", 0x99, 32);
        ima_put_path(data, "/lib/module.ko");
        ima_put_field(data, NULL, 0);
        ima_put_field(data, digest->data, digest->len);
        ima_put_field(data, g_bytes_get_data(modsig, NULL), g_bytes_get_size(modsig));
        maker_free(maker);
        maker = maker_new();
        maker_boot_aggregate(maker, 0xba);
        maker_data(maker, ATT_IMA_PCR, template_name, data);
}

START_TEST(a_module_is_taken_by_its_appended_signature) {
        g_autoptr(EVP_PKEY) known = new_key(key_types[_i]);
        g_autoptr(EVP_PKEY) unknown = new_key(key_types[_i]);
        g_autofree char *key = key_rule(known);
        g_autofree char *rules = g_strconcat(ROOT, key, NULL);
        g_autoptr(GBytes) good = modsig_of(known, "module", CMS_NOATTR);
        g_autoptr(GBytes) stranger = modsig_of(unknown, "module", CMS_NOATTR);
        g_autoptr(GBytes) attributes = modsig_of(known, "module", 0);
        gsize size;
        const uint8_t *p = g_bytes_get_data(good, &size);

        put_module("ima-modsig", "module", good);
        check_one(rules, NULL, NULL);
        put_module("ima-modsig", "another", good);
        check_one(rules, "ima", "entry 1, /lib/module.ko");
        put_module("ima-modsig", "module", stranger);
        check_one(rules, "ima", "entry 1, /lib/module.ko");
        put_module("ima-modsig", "module", attributes);
        check_one(rules, "ima", "entry 1, /lib/module.ko");
        put_module("d-ng|n-ng|sig|d-modsig|modsig", "module", good);
        check_one(rules, NULL, NULL);
        put_module("d-ng|n-ng|sig|d-modsig|xattrvalues", "module", good);
        check_one(rules, "ima", "entry 1, /lib/module.ko");
        for (gsize cut = 0; cut < size; cut += 1 + size / 50) {
                g_autoptr(GBytes) shorter = g_bytes_new(p, cut);

                put_module("ima-modsig", "module", shorter);
                check_one(rules, "ima", "entry 1, /lib/module.ko");
        }
        g_autofree uint8_t *longer = g_malloc0(size + 1);
        memcpy(longer, p, size);
        g_autoptr(GBytes) more = g_bytes_new(longer, size + 1);
        put_module("ima-modsig", "module", more);
        check_one(rules, "ima", "entry 1, /lib/module.ko");
}
END_TEST

START_TEST(an_appended_signature_is_parsed_once_for_all_keys) {
        g_autoptr(EVP_PKEY) known = new_key("P-256"), unknown = new_key("P-256");
        g_autoptr(GBytes) good = modsig_of(known, "module", CMS_NOATTR);
        g_autoptr(GBytes) stranger = modsig_of(unknown, "module", CMS_NOATTR);
        g_autofree char *last = key_rule(known);
        g_autoptr(GString) rules = g_string_new(ROOT);

        for (guint i = 1; i < ATT_IMA_KEYS_MAX; i++) {
                g_autoptr(EVP_PKEY) other = new_key("P-256");
                g_autofree char *rule = key_rule(other);

                g_string_append(rules, rule);
        }
        g_string_append(rules, last);
        n_parsed = 0;
        put_module("ima-modsig", "module", good);
        check_one(rules->str, NULL, NULL);
        ck_assert_uint_eq(n_parsed, 1);
        put_module("ima-modsig", "module", stranger);
        check_one(rules->str, "ima", "entry 1, /lib/module.ko");
        ck_assert_uint_eq(n_parsed, 2);
        /* Nobody could have signed it. */
        put_module("ima-modsig", "module", good);
        check_one(ROOT "ima require /lib/module.ko\n", "ima", "entry 1, /lib/module.ko");
        ck_assert_uint_eq(n_parsed, 2);
}
END_TEST

/* ----- the boot's event log */

static const BuildAlgorithm sha384_only[] = { { ALG_SHA384, 48 } };

#define EVENT_SIZE (4u + 4u + 4u + 2u + 48u + 4u + 1u)

/* Events for RTMR 0 to 2 with digests of 0x40, 0x41, 0x42, and what they give. */
static GBytes *td_log(void) {
        g_autoptr(GByteArray) log = g_byte_array_new();
        uint8_t digest[48];

        build_header(log, 1, sha384_only, 1, "");
        memset(boot_log_rtmr, 0, sizeof boot_log_rtmr);
        for (uint32_t i = 0; i < 3; i++) {
                build_event(log, i + 1, 0x0d, sha384_only, 1, (uint8_t) (0x40 + i), "x", 1);
                memset(digest, 0x40 + (int) i, sizeof digest);
                maker_hash(ATT_BANK_SHA384, boot_log_rtmr[i], 48, digest, 48, boot_log_rtmr[i]);
        }
        return build_done(log);
}

static GBytes *the_log;

static void with_boot_digest(AttClaims *claims) {
        uint8_t digest[32];

        maker_hash(ATT_BANK_SHA256, g_bytes_get_data(the_log, NULL), g_bytes_get_size(the_log), NULL, 0, digest);
        claims->boot_digest = g_bytes_new(digest, sizeof digest);
}

static void with_other_boot_digest(AttClaims *claims) {
        static const uint8_t digest[32] = { 1 };

        claims->boot_digest = g_bytes_new(digest, sizeof digest);
}

START_TEST(a_boot_log_replays_to_the_registers_of_the_quote) {
        g_autoptr(GBytes) log = td_log(), lying = NULL, cut = NULL;

        mirror(3);
        the_log = log;
        expect_refused("boot-log", "RTMR", .rules = "boot-log required\n", .boot_log = log);
        for (unsigned i = 0; i < 3; i++)
                set_rtmr(i, boot_log_rtmr[i]);
        expect_accepted(.rules = "boot-log required\n", .boot_log = log);
        expect_accepted(.rules = "boot-log required\n" EVENT("0", "40") EVENT("1", "41") EVENT("2", "42"),
                        .boot_log = log, .change = with_boot_digest);
        expect_refused("boot-log", "not the log whose digest is in the claims", .rules = "boot-log required\n",
                       .boot_log = log, .change = with_other_boot_digest);
        expect_refused("boot-log", "RTMR 1 has not the event", .rules = EVENT("1", "42"), .boot_log = log);
        expect_refused("boot-log", "RTMR 3", .rules = EVENT("3", "42"), .boot_log = log);
        expect_refused("boot-log", "RTMR 0 in sha256", .boot_log = log,
                       .rules = "boot-event 0 sha256:" HEX32("40") "\n");

        /* An event whose type says that its data are what was measured. */
        lying = exact_edit(log, g_bytes_get_size(log) - EVENT_SIZE + 4, "\x05", 1);
        expect_refused("boot-log", "is not that of its data", .rules = "boot-log required\n", .boot_log = lying);
        cut = g_bytes_new_from_bytes(log, 0, g_bytes_get_size(log) - 1);
        expect_refused("boot-log", "", .rules = "boot-log required\n", .boot_log = cut);
        mirror(2); /* RTMR 3 is not the boot's, nor is the other log asked for */
        expect_accepted(.rules = "boot-log required\n", .boot_log = log);
}
END_TEST

#define MANY 32000u

/* The verifier serves all: with a walk through the log for each rule this took minutes. */
START_TEST(many_rules_for_many_events_take_no_time) {
        g_autoptr(GString) rules = g_string_new(NULL);
        g_autoptr(GByteArray) log = g_byte_array_new();
        g_autoptr(GBytes) bytes = NULL;
        gint64 start;

        mirror(3);
        build_header(log, 1, sha384_only, 1, "");
        memset(boot_log_rtmr, 0, sizeof boot_log_rtmr);
        for (guint i = 0; i < MANY; i++) {
                uint8_t digest[48] = { (uint8_t) i, (uint8_t) (i >> 8), 1 };

                att_put_le(log, 2, 4); /* RTMR 1 */
                att_put_le(log, 0x0d, 4);
                att_put_le(log, 1, 4);
                att_put_le(log, ALG_SHA384, 2);
                att_put(log, digest, sizeof digest);
                att_put_le(log, 0, 4);
                maker_hash(ATT_BANK_SHA384, boot_log_rtmr[1], 48, digest, 48, boot_log_rtmr[1]);
                g_string_append_printf(rules, "boot-event 1 sha384:%02x%02x01%090d\n", digest[0], digest[1], 0);
        }
        bytes = build_done(log);
        for (unsigned i = 0; i < 3; i++)
                set_rtmr(i, boot_log_rtmr[i]);
        start = g_get_monotonic_time();
        expect_accepted(.rules = rules->str, .boot_log = bytes);
        ck_assert_int_lt(g_get_monotonic_time() - start, 20 * G_USEC_PER_SEC);
        g_string_append(rules, EVENT("1", "42"));
        expect_refused("boot-log", "RTMR 1 has not the event", .rules = rules->str, .boot_log = bytes);
}
END_TEST

int main(void) {
        Suite *s = suite_create("ima-policy");
        TCase *tc = tcase_create("ima-policy");

        tcase_add_checked_fixture(tc, set_up, tear_down);
        tcase_set_timeout(tc, 60);
        tcase_add_test(tc, the_policy_names_the_register);
        tcase_add_test(tc, sc27a_a_log_that_does_not_replay_is_refused);
        tcase_add_test(tc, sc27b_a_log_that_is_not_there_is_a_refusal);
        tcase_add_test(tc, evidence_that_says_nothing_of_a_log_is_refused);
        tcase_add_test(tc, sc33b_a_register_that_someone_else_extended_is_no_root);
        tcase_add_test(tc, a_root_is_derived_and_never_believed);
        tcase_add_test(tc, a_tpm_quotes_the_aggregate_or_what_the_log_continues_to);
        tcase_add_test(tc, violations_are_counted);
        tcase_add_test(tc, files_are_allowed_by_path_and_digest);
        tcase_add_test(tc, a_required_file_must_have_been_taken);
        tcase_add_test(tc, a_second_boot_aggregate_is_an_entry_as_any_other);
        tcase_add_test(tc, no_name_of_a_template_lets_an_entry_pass);
        tcase_add_test(tc, buffers_and_evm_need_a_rule_too);
        tcase_add_test(tc, an_entry_of_another_pcr_is_appraised_but_meets_no_requirement);
        tcase_add_loop_test(tc, sc30a_a_file_signed_by_an_unknown_key_is_refused, 0, G_N_ELEMENTS(key_types));
        tcase_add_test(tc, sc30b_a_digest_wins_over_a_signature);
        tcase_add_test(tc, only_signatures_of_the_content_count);
        tcase_add_test(tc, a_signature_of_verity_or_with_sha1_is_none);
        tcase_add_loop_test(tc, a_module_is_taken_by_its_appended_signature, 0, G_N_ELEMENTS(key_types));
        tcase_add_test(tc, an_appended_signature_is_parsed_once_for_all_keys);
        tcase_add_test(tc, a_boot_log_replays_to_the_registers_of_the_quote);
        tcase_add_test(tc, many_rules_for_many_events_take_no_time);
        suite_add_tcase(s, tc);
        return run_suite(s);
}
