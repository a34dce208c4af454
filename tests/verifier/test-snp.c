/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Appraisal of SNP reports without a connection: forged ones, each with one flaw,
 * beside the same without it. */
#include "scene.h"

#include "tee-simulator/forge-snp.h"
#include "verifier/result-build.h"

#include "run.h"

#include <jansson.h>

#define SOME_MR "5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e"

static const char *const products[] = { "milan", "genoa", "turin" };
static const char *const lines[] = { "Milan", "Genoa", "Turin" };
static const uint8_t some_report_data[ATT_REPORT_DATA_SIZE] = { 0xda, 0x7a, [63] = 0x99 };

/* The keys of three vendors' roots take a while, so all tests share them. */
static SnpForge *forge;
static char *roots[G_N_ELEMENTS(products)];

static void set(const char *name, const char *value) {
        g_autofree char *why = NULL;

        ck_assert_msg(snp_forge_set(forge, name, value, &why), "%s", why);
}

static void make_forge(void) {
        forge = snp_forge_new(NULL, NULL);
        ck_assert_ptr_nonnull(forge);
        for (gsize i = 0; i < G_N_ELEMENTS(products); i++) {
                g_autoptr(GByteArray) table = NULL;

                set("product", products[i]);
                roots[i] = g_strdup(snp_forge_root_spki_sha256(forge));
                table = snp_forge_table(forge);
        }
}

static void drop_forge(void) {
        snp_forge_free(forge);
        for (gsize i = 0; i < G_N_ELEMENTS(roots); i++)
                g_clear_pointer(&roots[i], g_free);
}

/* A Milan's report, version 3, by its VCEK, without a flaw. */
static void reset(void) {
        static const char *const fields[][2] = {
                { "product", "milan" }, { "version", "3" },       { "signer", "vcek" }, { "flaw", "none" },
                { "policy", "196608" }, { "platform_info", "37" }, { "vmpl", "0" },      { "table-extra", "0" },
                { "hwid-wrapped", "0" }, { "csp_id", "CN=cloud.invalid" },
        };

        for (gsize i = 0; i < G_N_ELEMENTS(fields); i++)
                set(fields[i][0], fields[i][1]);
}

static AttPolicy *policy_with(const char *more) {
        g_autofree char *text = g_strdup_printf("attestd-policy 1\ntee snp\nworkload any\npeer any\n"
                                                "bare-report allowed\ncollateral not-required\n"
                                                "root snp %s\nroot snp %s\nroot snp %s\n%s",
                                                roots[0], roots[1], roots[2], more);

        return scene_parse(text);
}

static GBytes *report_of(const uint8_t report_data[ATT_REPORT_DATA_SIZE]) {
        return g_byte_array_free_to_bytes(snp_forge_report(forge, report_data));
}

static AttTsmReport *tsm_report(GBytes *outblob, GBytes *auxblob) {
        AttTsmReport *report = g_new0(AttTsmReport, 1);

        report->provider = g_strdup("sev_guest");
        report->outblob = g_bytes_ref(outblob);
        report->auxblob = auxblob ? g_bytes_ref(auxblob) : NULL;
        return report;
}

static GBytes *wrap(GBytes *outblob, GBytes *auxblob) {
        g_autoptr(AttTsmReport) report = tsm_report(outblob, auxblob);

        return att_tsm_report_encode(report);
}

static AttAppraisalInput stated(GBytes *evidence, const AttPolicy *policy) {
        AttAppraisalInput input = {
                .evidence = evidence,
                .policy = policy,
                .at = SCENE_NOW,
                .bound_to = ATT_BOUND_REPORT_DATA,
        };

        memcpy(input.report_data, some_report_data, sizeof some_report_data);
        return input;
}

static AttResult *appraise_bytes(GBytes *evidence, const char *more) {
        g_autoptr(AttPolicy) policy = policy_with(more);
        AttAppraisalInput input = stated(evidence, policy);

        return att_appraise(&input);
}

/* What the forge makes now, with its table. */
static AttResult *appraise(const char *more) {
        g_autoptr(GBytes) report = report_of(some_report_data);
        g_autoptr(GBytes) table = g_byte_array_free_to_bytes(snp_forge_table(forge));
        g_autoptr(GBytes) evidence = wrap(report, table);

        return appraise_bytes(evidence, more);
}

/* One byte of the report is another. */
static AttResult *appraise_edited(size_t at, uint8_t change, const char *more) {
        g_autoptr(GByteArray) report = snp_forge_report(forge, some_report_data);
        g_autoptr(GBytes) table = g_byte_array_free_to_bytes(snp_forge_table(forge));
        g_autoptr(GBytes) bytes = NULL, evidence = NULL;

        report->data[at] ^= change;
        bytes = g_bytes_new(report->data, report->len);
        evidence = wrap(bytes, table);
        return appraise_bytes(evidence, more);
}

static GPtrArray *forged_certificates(void) {
        g_autoptr(GByteArray) pem = snp_forge_certificates(forge);
        GPtrArray *certificates = att_certificates_from_pem(pem->data, pem->len, NULL);

        ck_assert_ptr_nonnull(certificates);
        return certificates;
}

#define assert_check(result, name, expected) \
        ck_assert_int_eq(scene_check(result, name)->status, expected)

START_TEST(accepts_each_product_version_and_key) {
        static const char *const versions[] = { "2", "3", "4", "5" };
        static const char *const signers[] = { "vcek", "vlek" };

        for (gsize p = 0; p < G_N_ELEMENTS(products); p++)
                for (gsize v = 0; v < G_N_ELEMENTS(versions); v++)
                        for (gsize s = 0; s < G_N_ELEMENTS(signers); s++) {
                                set("product", products[p]);
                                set("version", versions[v]);
                                set("signer", signers[s]);
                                g_autoptr(AttResult) result = appraise("");
                                assert_accepted(result);
                                ck_assert_str_eq(att_result_tee(result), "snp");
                                assert_check(result, "vek-chain", ATT_CHECK_PASSED);
                                assert_check(result, "vek-identity", ATT_CHECK_PASSED);
                                assert_check(result, "vek-tcb", ATT_CHECK_PASSED);
                                assert_check(result, "vmpl", ATT_CHECK_PASSED);
                                assert_check(result, "pck-chain", ATT_CHECK_NOT_CHECKED);
                        }
}
END_TEST

/* What each flaw of the forge is refused for. */
static const struct {
        const char *flaw;
        const char *check;
        const char *says;
} flaws[] = {
        { "wrong-signer", "quote-signature", "wrong signature" },
        { "bad-signature", "quote-signature", "wrong signature" },
        { "zero-signature", "quote-signature", "zero" },
        { "big-endian-signature", "quote-signature", "" },
        { "signature-algorithm", "quote-format", "algorithm" },
        { "version", "quote-format", "version 6" },
        { "masked-chip-key", "quote-signature", "MASK_CHIP_KEY" },
        { "signing-key", "vek-identity", "names as its key" },
        { "signing-key-none", "quote-signature", "\"none\"" },
        { "chip-id", "vek-identity", "another chip" },
        { "masked-chip-id", "vek-identity", "\"attributes masked-chip-id\"" },
        { "tcb", "vek-tcb", "another TCB" },
        { "product", "vek-identity", "the report is of a" },
        { "debug", "debug", "debug" },
        { "migratable", "attributes", "\"attributes migration-agent\"" },
        { "vmpl", "vmpl", "\"vmpl 1\"" },
        { "leaf-product", "vek-identity", "" },
        { "leaf-name", "vek-identity", "is called" },
        { "leaf-key", "quote-signature", "" },
        { "leaf-both", "vek-chain", "missing" },
        { "leaf-neither", "vek-chain", "missing" },
        { "leaf-extensions", "vek-chain", "missing" },
        { "leaf-no-spl", "vek-chain", "missing" },
        { "leaf-wide-spl", "vek-chain", "missing" },
        { "other-issuer", "vek-identity", "issued by" },
        { "expired-leaf", "validity", "has expired" },
        { "future-leaf", "validity", "not valid yet" },
        { "self-signed", "vek-chain", "" },
        { "expired-intermediate", "validity", "has expired" },
        { "intermediate-not-ca", "vek-chain", "not a CA" },
        { "other-root", "vek-chain", "not a root that is pinned" },
        { "table-absent", "vek-chain", "--certs" },
        { "table-no-leaf", "vek-chain", "of the V" },
        { "table-empty-leaf", "vek-chain", "is absent" },
        { "table-other-leaf", "vek-identity", "another chip" },
        { "table-no-intermediate", "vek-chain", "\"SEV-" },
        { "table-unterminated", "vek-chain", "certificate table: " },
        { "table-duplicate", "vek-chain", "twice" },
        { "table-overlap", "vek-chain", "overlaps another" },
        { "table-header", "vek-chain", "head of the table" },
        { "table-beyond", "vek-chain", "beyond the table" },
        { "table-overflow", "vek-chain", "beyond the table" },
        { "table-large", "vek-chain", "over 16384 bytes" },
};

static bool failed(const AttResult *result, const char *name, const char *says) {
        const AttCheck *check = scene_check(result, name);

        return check->status == ATT_CHECK_FAILED && strstr(check->detail, says);
}

/* As a VCEK of the oldest line, and as a VLEK of the newest, where the flaw is of either. */
START_TEST(refuses_each_flaw_by_its_name) {
        bool is_of_vcek = strstr("chip-id masked-chip-id table-other-leaf", flaws[_i].flaw) != NULL;

        for (int vlek = 0; vlek < (is_of_vcek ? 1 : 2); vlek++) {
                set("product", vlek ? "turin" : "milan");
                set("version", vlek ? "5" : "3");
                set("signer", vlek ? "vlek" : "vcek");
                set("flaw", "none");
                g_autoptr(AttResult) yes = appraise("");
                set("flaw", flaws[_i].flaw);
                g_autoptr(AttResult) no = appraise("");
                assert_accepted(yes);
                ck_assert(!att_result_accepted(no));
                ck_assert_msg(failed(no, flaws[_i].check, flaws[_i].says), "%s: %s", flaws[_i].flaw,
                              att_result_reason(no));
        }
}
END_TEST

START_TEST(there_is_no_flaw_without_a_verdict) {
        g_auto(GStrv) help = g_strsplit(strstr(snp_forge_help(), "flaws:\n"), "\n", -1);
        guint n = 0;

        for (char **line = help + 1; *line; line++) {
                g_auto(GStrv) words = g_strsplit(g_strstrip(*line), " ", 2);
                bool found = !words[0] || g_str_equal(words[0], "none") || g_str_equal(words[0], "table-pem");

                for (gsize i = 0; i < G_N_ELEMENTS(flaws) && !found; i++)
                        found = g_str_equal(flaws[i].flaw, words[0]);
                ck_assert_msg(found, "%s", words[0]);
                n++;
        }
        ck_assert_uint_gt(n, 40);
}
END_TEST

START_TEST(takes_pem_in_a_table_and_entries_that_nobody_knows) {
        set("flaw", "table-pem");
        set("table-extra", "1");
        set("hwid-wrapped", "1");
        g_autoptr(AttResult) result = appraise("");
        assert_accepted(result);
}
END_TEST

START_TEST(says_how_to_give_what_is_missing) {
        g_autoptr(GBytes) report = report_of(some_report_data);
        g_autoptr(GPtrArray) all = forged_certificates();
        g_autoptr(AttPolicy) policy = policy_with("");
        static const char *const missing[] = { "VCEK", "\"SEV-Milan\"", "\"ARK-Milan\"" };

        for (guint n = 0; n <= all->len; n++) {
                AttAppraisalInput input = stated(report, policy);
                g_autoptr(GPtrArray) some = g_ptr_array_new();

                for (guint i = 0; i < n; i++)
                        g_ptr_array_add(some, all->pdata[i]);
                input.extra_certificates = some;
                g_autoptr(AttResult) result = att_appraise(&input);
                if (n == all->len) {
                        assert_accepted(result);
                } else {
                        assert_refused(result, "vek-chain", "--certs");
                        ck_assert_ptr_nonnull(strstr(att_result_reason(result), missing[n]));
                        assert_check(result, "quote-signature", n ? ATT_CHECK_PASSED : ATT_CHECK_NOT_CHECKED);
                }
        }
}
END_TEST

/* In whatever order, beside certificates of others, and an old table: the right one is found. */
START_TEST(finds_the_certificate_of_the_key_among_others) {
        g_autoptr(GPtrArray) pool = g_ptr_array_new_with_free_func((GDestroyNotify) att_certificate_unref);
        g_autoptr(GBytes) report = NULL, table = NULL, evidence = NULL;
        g_autoptr(AttPolicy) policy = policy_with("");
        AttAppraisalInput input;

        for (gsize p = G_N_ELEMENTS(products); p > 0; p--)
                for (int vlek = 1; vlek >= 0; vlek--) {
                        set("product", products[p - 1]);
                        set("signer", vlek ? "vlek" : "vcek");
                        g_autoptr(GPtrArray) some = forged_certificates();
                        for (guint i = some->len; i > 0; i--)
                                g_ptr_array_add(pool, att_certificate_ref(some->pdata[i - 1]));
                }
        report = report_of(some_report_data);
        set("reported_tcb", "0300000000000a73");
        table = g_byte_array_free_to_bytes(snp_forge_table(forge));
        evidence = wrap(report, table);
        input = stated(evidence, policy);
        g_autoptr(AttResult) old = att_appraise(&input);
        assert_refused(old, "vek-tcb", "another TCB");
        input.extra_certificates = pool;
        g_autoptr(AttResult) result = att_appraise(&input);
        assert_accepted(result);
}
END_TEST

/* AMD has issued two ASKs of Genoa. */
START_TEST(tries_each_issuer_of_a_name) {
        g_autoptr(SnpForge) other = snp_forge_new(NULL, NULL);
        g_autoptr(GByteArray) other_pem = NULL;
        g_autoptr(GPtrArray) pool = NULL, own = NULL;
        g_autoptr(GBytes) report = NULL;
        g_autoptr(AttPolicy) policy = policy_with("");
        AttAppraisalInput input;

        ck_assert(snp_forge_set(other, "product", "genoa", NULL));
        other_pem = snp_forge_certificates(other);
        set("product", "genoa");
        report = report_of(some_report_data);
        own = forged_certificates();
        pool = att_certificates_from_pem(other_pem->data, other_pem->len, NULL);
        ck_assert_uint_eq(pool->len, 3);
        g_ptr_array_remove_index(pool, 0);
        for (guint i = 0; i < own->len; i++)
                g_ptr_array_add(pool, att_certificate_ref(own->pdata[i]));

        input = stated(report, policy);
        input.extra_certificates = pool;
        g_autoptr(AttResult) yes = att_appraise(&input);
        assert_accepted(yes);
        g_ptr_array_remove_index(pool, pool->len - 2); /* the own ASK */
        g_autoptr(AttResult) no = att_appraise(&input);
        assert_refused(no, "vek-chain", "");
}
END_TEST

START_TEST(sc20a_sc20b_certificates_are_held_against_the_clock) {
        g_autoptr(GBytes) report = report_of(some_report_data);
        g_autoptr(GBytes) table = g_byte_array_free_to_bytes(snp_forge_table(forge));
        g_autoptr(GBytes) evidence = wrap(report, table);
        g_autoptr(AttPolicy) policy = policy_with("");
        AttAppraisalInput input = stated(evidence, policy);

        input.at = 0;
        g_autoptr(AttResult) early = att_appraise(&input);
        input.at = INT64_C(4102444800); /* 2100 */
        g_autoptr(AttResult) late = att_appraise(&input);
        input.at = SCENE_NOW;
        g_autoptr(AttResult) now = att_appraise(&input);
        assert_refused(early, "validity", "not valid yet");
        assert_refused(late, "validity", "has expired");
        assert_accepted(now);
        assert_check(early, "vek-chain", ATT_CHECK_PASSED);
}
END_TEST

START_TEST(sc20e_product_lines_are_not_mixed) {
        g_autofree char *milan = g_strdup_printf("attestd-policy 1\ntee snp\nworkload any\nbare-report allowed\n"
                                                 "collateral not-required\nroot snp %s\n", roots[0]);
        g_autoptr(AttPolicy) only_milan = scene_parse(milan);

        for (gsize p = 0; p < G_N_ELEMENTS(products); p++) {
                set("product", products[p]);
                g_autoptr(GBytes) report = report_of(some_report_data);
                g_autoptr(GBytes) table = g_byte_array_free_to_bytes(snp_forge_table(forge));
                g_autoptr(GBytes) evidence = wrap(report, table);
                AttAppraisalInput input = stated(evidence, only_milan);
                g_autoptr(AttResult) pinned = att_appraise(&input);

                /* Its own root is none that this policy trusts. */
                ck_assert(att_result_accepted(pinned) == (p == 0));
                if (p > 0)
                        assert_refused(pinned, "vek-chain", "not a root that is pinned");

                /* A processor of another line, signed by a key of this one. */
                set("flaw", "product");
                g_autoptr(AttResult) mixed = appraise("");
                ck_assert(!att_result_accepted(mixed));
                ck_assert(failed(mixed, "vek-identity", lines[p]));
                set("flaw", "none");
                g_autoptr(AttResult) yes = appraise("");
                assert_accepted(yes);
        }
        set("product", "milan");
        set("cpuid_fms", "1a5001");
        g_autoptr(AttResult) venice = appraise("");
        assert_refused(venice, "vek-identity", "family 0x1a, model 0x50");
}
END_TEST

START_TEST(sc21a_another_vmpl_needs_its_line) {
        for (int vmpl = 0; vmpl < 4; vmpl++) {
                g_autofree char *number = g_strdup_printf("%d", vmpl), *line = g_strdup_printf("vmpl %d\n", vmpl);

                set("vmpl", number);
                g_autoptr(AttResult) by_default = appraise("");
                g_autoptr(AttResult) named = appraise(line);
                g_autoptr(AttResult) other = appraise(vmpl == 3 ? "vmpl 2\n" : "vmpl 3\n");
                assert_accepted(named);
                assert_refused(other, "vmpl", line[5] == '0' ? "0, which" : number);
                ck_assert(att_result_accepted(by_default) == (vmpl == 0));
        }
        set("vmpl", "4");
        g_autoptr(AttResult) none = appraise("vmpl 0\nvmpl 1\nvmpl 2\nvmpl 3\n");
        assert_refused(none, "vmpl", "4, which there is not");
}
END_TEST

START_TEST(sc21b_a_report_that_the_host_asked_for_is_refused) {
        g_autoptr(AttResult) yes = appraise("");

        set("vmpl", "4294967295");
        g_autoptr(AttResult) no = appraise("vmpl 0\nvmpl 1\nvmpl 2\nvmpl 3\n");
        assert_accepted(yes);
        assert_refused(no, "vmpl", "the host has asked");
}
END_TEST

START_TEST(sc21c_sc25b_a_guest_that_may_be_debugged_is_refused) {
        g_autoptr(AttResult) yes = appraise("");

        set("flaw", "debug");
        g_autoptr(AttResult) no = appraise("attributes migration-agent\nattributes cxl\nattributes masked-chip-id\n");
        assert_accepted(yes);
        assert_refused(no, "debug", "read its memory");
}
END_TEST

START_TEST(sc21d_a_migration_agent_needs_its_line) {
        set("flaw", "migratable");
        g_autoptr(AttResult) no = appraise("attributes migratable\nattributes cxl\n");
        g_autoptr(AttResult) yes = appraise("attributes migration-agent\n");
        assert_refused(no, "attributes", "\"attributes migration-agent\"");
        assert_accepted(yes);
}
END_TEST

/* Each bit of the guest's policy over the version of the ABI. */
START_TEST(sc25d_policy_bits_that_are_reserved_are_refused) {
        for (unsigned bit = 16; bit < 64; bit++) {
                uint64_t policy = UINT64_C(1) << bit | UINT64_C(1) << 17;
                g_autofree char *number = g_strdup_printf("%" G_GUINT64_FORMAT, policy);

                set("policy", number);
                g_autoptr(AttResult) result = appraise("attributes migration-agent\nattributes cxl\n");
                if (bit == 19)
                        assert_refused(result, "debug", "");
                else if (bit >= 26)
                        assert_refused(result, "attributes", "reserved");
                else
                        assert_accepted(result);
        }
        set("policy", "65536");
        g_autoptr(AttResult) without = appraise("");
        assert_refused(without, "attributes", "reserved");
        set("policy", "2293760"); /* CXL_ALLOW */
        g_autoptr(AttResult) cxl = appraise("");
        assert_refused(cxl, "attributes", "\"attributes cxl\"");
}
END_TEST

START_TEST(sc22a_the_certificate_is_for_the_reported_tcb_in_every_part) {
        static const char *const tcbs[][6] = {
                { "04000000000018d9", "05000000000018d9", "04010000000018d9", "04000000000019d9", "04000000000018d8",
                  NULL },
                { "0101010400000051", "0201010400000051", "0102010400000051", "0101000400000051", "0101010500000051",
                  "0101010400000050" },
        };

        for (gsize line = 0; line < G_N_ELEMENTS(tcbs); line++)
                for (gsize i = 0; i < G_N_ELEMENTS(tcbs[line]) && tcbs[line][i]; i++) {
                        set("product", line ? "turin" : "milan");
                        set("reported_tcb", tcbs[line][0]);
                        set("certificate_tcb", tcbs[line][i]);
                        g_autoptr(AttResult) result = appraise("");
                        if (i == 0)
                                assert_accepted(result);
                        else
                                assert_refused(result, "vek-tcb", "another TCB than REPORTED_TCB");
                }

        /* What is reserved in the layout of the product. */
        set("product", "milan");
        set("reported_tcb", "04000100000018d9");
        set("certificate_tcb", "04000000000018d9");
        g_autoptr(AttResult) reserved = appraise("");
        assert_refused(reserved, "vek-tcb", "reserved");
}
END_TEST

START_TEST(sc22b_a_minimum_holds_for_all_four_tcbs) {
        static const char *const fields[] = { "reported_tcb", "current_tcb", "committed_tcb", "launch_tcb" };
        static const char minimum[] = "tcb milan bootloader>=4 snp>=24 microcode>=217\n";
        g_autoptr(AttResult) yes = appraise(minimum);
        g_autoptr(AttResult) above = appraise("tcb milan tee>=1\n");
        g_autoptr(AttResult) other = appraise("tcb genoa snp>=1\n");

        assert_accepted(yes);
        assert_check(yes, "tcb-minimum", ATT_CHECK_PASSED);
        assert_refused(above, "tcb-minimum", "REPORTED_TCB");
        assert_refused(other, "tcb-minimum", "no minimum for this product (Milan)");
        for (gsize i = 0; i < G_N_ELEMENTS(fields); i++) {
                g_autofree char *name = g_ascii_strup(fields[i], -1);

                set("product", "milan");
                set(fields[i], "04000000000017d9");
                g_autoptr(AttResult) old = appraise(minimum);
                assert_refused(old, "tcb-minimum", name);
                g_autoptr(AttResult) without = appraise("");
                assert_accepted(without);
        }

        set("product", "turin");
        g_autoptr(AttResult) fmc = appraise("tcb turin fmc>=2\n"), enough = appraise("tcb turin fmc>=1 snp>=4\n");
        assert_refused(fmc, "tcb-minimum", "");
        assert_accepted(enough);
}
END_TEST

START_TEST(sc23a_a_report_that_nothing_has_signed_is_refused) {
        static const char *const unsigned_flaws[] = { "masked-chip-key", "zero-signature", "signing-key-none" };
        g_autoptr(AttResult) yes = appraise("");

        assert_accepted(yes);
        for (gsize i = 0; i < G_N_ELEMENTS(unsigned_flaws); i++) {
                set("flaw", unsigned_flaws[i]);
                g_autoptr(AttResult) no = appraise("attributes masked-chip-id\n");
                assert_refused(no, "quote-signature", "nothing has signed it");
        }
}
END_TEST

START_TEST(sc23b_numbers_of_the_signature_have_zeros_behind_them) {
        static const size_t tails[] = { 0x2a0 + 48, 0x2a0 + 71, 0x2e8 + 48, 0x2e8 + 71 };
        g_autoptr(AttResult) yes = appraise("");

        assert_accepted(yes);
        for (gsize i = 0; i < G_N_ELEMENTS(tails); i++) {
                g_autoptr(AttResult) no = appraise_edited(tails[i], 1, "");
                assert_refused(no, "quote-signature", "too large");
        }
        set("flaw", "big-endian-signature");
        g_autoptr(AttResult) big = appraise("");
        assert_refused(big, "quote-signature", "");
}
END_TEST

START_TEST(sc23e_a_vcek_with_serial_0_is_taken) {
        g_autoptr(GPtrArray) certificates = forged_certificates();
        g_autofree char *serial = att_certificate_dup_serial(certificates->pdata[0]);
        g_autoptr(AttResult) result = appraise("");

        ck_assert_str_eq(serial, "0");
        assert_accepted(result);
}
END_TEST

START_TEST(sc23f_a_vlek_with_a_masked_chip_is_taken_and_a_vcek_is_not) {
        set("flaw", "masked-chip-id");
        g_autoptr(AttResult) vcek = appraise(""), named = appraise("attributes masked-chip-id\n");
        set("signer", "vlek");
        g_autoptr(AttResult) vlek = appraise("");
        assert_refused(vcek, "vek-identity", "hides its chip");
        assert_accepted(named);
        assert_accepted(vlek);
}
END_TEST

START_TEST(sc24c_zeros_are_no_report) {
        static const uint8_t zeros[4000];
        static const size_t sizes[] = { 4, 96, 1183, 1184, 1185, 4000 };

        for (gsize i = 0; i < G_N_ELEMENTS(sizes); i++) {
                g_autoptr(GBytes) bytes = g_bytes_new_static(zeros, sizes[i]);
                g_autoptr(GBytes) wrapped = wrap(bytes, NULL);
                g_autoptr(AttResult) bare = appraise_bytes(bytes, ""), result = appraise_bytes(wrapped, "");

                assert_refused(bare, "quote-format", "all zero");
                assert_refused(result, "quote-format", "all zero");
        }
}
END_TEST

START_TEST(sc26a_the_platform_is_held_against_what_is_demanded) {
        static const struct {
                const char *name;
                uint64_t bit;
        } demands[] = {
                { "smt-off", 0 }, { "tsme", 1 },          { "ecc", 2 },
                { "rapl-disabled", 3 }, { "ciphertext-hiding", 4 }, { "alias-check", 5 },
        };

        for (gsize i = 0; i < G_N_ELEMENTS(demands); i++) {
                g_autofree char *line = g_strdup_printf("platform snp %s\n", demands[i].name);

                for (int is_set = 0; is_set < 2; is_set++) {
                        uint64_t bit = UINT64_C(1) << demands[i].bit, info = is_set ? bit : ~bit & 0xff;
                        g_autofree char *number = g_strdup_printf("%" G_GUINT64_FORMAT, info);
                        bool is_good = demands[i].bit == 0 ? !is_set : is_set;

                        set("platform_info", number);
                        g_autoptr(AttResult) result = appraise(line), without = appraise("");
                        assert_accepted(without);
                        if (is_good)
                                assert_accepted(result);
                        else
                                assert_refused(result, "attributes", demands[i].name);
                }
        }
}
END_TEST

START_TEST(sc25a_refuses_without_collateral) {
        g_autofree char *text = g_strdup_printf("attestd-policy 1\ntee snp\nworkload any\nbare-report allowed\n"
                                                "root snp %s\n", roots[0]);
        g_autoptr(AttPolicy) policy = scene_parse(text);
        g_autoptr(GBytes) report = report_of(some_report_data);
        g_autoptr(GBytes) table = g_byte_array_free_to_bytes(snp_forge_table(forge));
        g_autoptr(GBytes) evidence = wrap(report, table);
        AttAppraisalInput input = stated(evidence, policy);
        g_autoptr(AttResult) no = att_appraise(&input), yes = appraise("");

        assert_refused(no, "collateral", "missing");
        assert_accepted(yes);
}
END_TEST

START_TEST(sc13_refuses_another_machine) {
        static const char chip[] = "c0ffee0000000001c0ffee0000000001c0ffee0000000001c0ffee0000000001"
                                   "c0ffee0000000001c0ffee0000000001c0ffee0000000001c0ffee0000000001";
        g_autofree char *line = g_strdup_printf("machine chip-id %s\n", chip);

        set("chip_id", chip);
        g_autoptr(AttResult) yes = appraise(line);
        g_autoptr(AttResult) ppid = appraise("machine ppid 00112233445566778899aabbccddeeff\n");
        g_autoptr(AttResult) part = appraise("machine chip-id c0ffee0000000001\n");
        assert_accepted(yes);
        assert_refused(ppid, "machine", "neither");
        assert_refused(part, "machine", "neither");

        /* Turin's, that are short. */
        set("product", "turin");
        set("chip_id", "c0ffee00000000010000000000000000000000000000000000000000000000000000000000000000"
                       "000000000000000000000000000000000000000000000000");
        g_autoptr(AttResult) short_one = appraise("machine chip-id c0ffee0000000001\n"), other = appraise(line);
        assert_accepted(short_one);
        assert_refused(other, "machine", "neither");

        /* A VLEK's provider; masked, and so without a name of its own. */
        set("product", "milan");
        set("signer", "vlek");
        set("flaw", "masked-chip-id");
        g_autoptr(AttResult) cloud = appraise("machine csp-id CN=cloud.invalid\n");
        g_autoptr(AttResult) elsewhere = appraise("machine csp-id CN=cloud\n"), named = appraise(line);
        assert_accepted(cloud);
        assert_refused(elsewhere, "machine", "CSP_ID");
        assert_refused(named, "machine", "neither");
}
END_TEST

/* Of Turin's field only the first 8 bytes are in the certificate. */
START_TEST(a_short_id_has_zeros_behind_it) {
        set("product", "turin");
        g_autoptr(AttResult) yes = appraise("");
        set("chip_id", "c0ffee00000000010000000000000000000000000000000000000000000000000000000000000000"
                       "000000000000000000000000000000000000000000000001");
        g_autoptr(AttResult) no = appraise("attributes masked-chip-id\n");
        assert_accepted(yes);
        assert_refused(no, "vek-identity", "another chip");
}
END_TEST

START_TEST(sc03d_refuses_measurements_that_no_rule_has) {
        static const struct {
                const char *field, *name;
                size_t size;
        } fields[] = {
                { "host_data", "host-data", 32 },           { "id_key_digest", "id-key-digest", 48 },
                { "author_key_digest", "author-key-digest", 48 }, { "family_id", "family-id", 16 },
                { "image_id", "image-id", 16 },
        };

        set("measurement", SOME_MR);
        for (gsize i = 0; i < G_N_ELEMENTS(fields); i++) {
                g_autofree char *value = g_strndup(SOME_MR, 2 * fields[i].size);
                g_autofree char *line = g_strdup_printf("boot measurement=" SOME_MR " %s=%s\n", fields[i].name, value);

                set(fields[i].field, value);
                g_autoptr(AttResult) yes = appraise(line);
                assert_accepted(yes);
                value[0] = '0';
                set(fields[i].field, value);
                g_autoptr(AttResult) no = appraise(line);
                assert_refused(no, "boot", fields[i].name);
        }
        g_autoptr(AttResult) tdx = appraise("boot mrtd=" SOME_MR "\n");
        assert_refused(tdx, "boot", "no boot rule for snp");
        g_autofree char *other_mr = g_strdup_printf("00%s", &SOME_MR[2]);
        set("measurement", other_mr);
        g_autoptr(AttResult) other = appraise("boot measurement=" SOME_MR "\n");
        assert_refused(other, "boot", "measurement is not");
}
END_TEST

START_TEST(reads_a_report_of_azure_in_its_envelope) {
        g_autoptr(GBytes) report = report_of(some_report_data);
        g_autoptr(GPtrArray) certificates = forged_certificates();
        g_autoptr(AttPolicy) policy = policy_with("");

        for (unsigned type = 2; type <= 4; type += 2) {
                g_autoptr(GByteArray) out = g_byte_array_new();
                g_autoptr(GBytes) evidence = NULL;
                AttAppraisalInput input;

                att_put(out, "HCLA\1\0\0\0", 8);
                for (int i = 0; i < 24; i++)
                        att_put_le(out, 0, 1);
                att_put_bytes(out, report);
                att_put_le(out, 22, 4);
                att_put_le(out, 1, 4);
                att_put_le(out, type, 4);
                att_put_le(out, 1, 4);
                att_put_le(out, 2, 4);
                att_put(out, "{}\0\0\0", 5);
                evidence = g_bytes_new(out->data, out->len);
                input = stated(evidence, policy);
                input.extra_certificates = certificates;
                g_autoptr(AttResult) result = att_appraise(&input);
                if (type == 2)
                        assert_accepted(result);
                else
                        assert_refused(result, "format", "TDREPORT");
        }
}
END_TEST

/* Evidence of ours: R follows from C; under an SVSM, with its manifest. */
static AttResult *appraise_collection(GBytes *c, const uint8_t report_data[ATT_REPORT_DATA_SIZE],
                                      const uint8_t binding[32], const char *manifest) {
        g_autoptr(GBytes) report = report_of(report_data), evidence = NULL;
        g_autoptr(GBytes) table = g_byte_array_free_to_bytes(snp_forge_table(forge));
        g_autoptr(AttTsmReport) tsm = tsm_report(report, table);
        AttEvidence e = { .profile = (char *) ATT_PROFILE_EVIDENCE, .claims = c, .tee = tsm };
        g_autoptr(AttPolicy) policy = policy_with("");
        AttAppraisalInput input;

        if (manifest) {
                tsm->service_provider = g_strdup("svsm");
                tsm->manifestblob = g_bytes_new(manifest, strlen(manifest));
        }
        evidence = att_evidence_encode(&e, ATT_EVIDENCE_INPUT_MAX, NULL, NULL);
        ck_assert_ptr_nonnull(evidence);
        input = stated(evidence, policy);
        input.bound_to = ATT_BOUND_BINDING;
        input.hash = ATT_HASH_SHA256;
        input.role = ATT_ROLE_SERVER;
        memcpy(input.binding, binding, 32);
        return att_appraise(&input);
}

START_TEST(accepts_claims_and_the_manifest_of_an_svsm) {
        Wire wire = wire_new(ATT_HASH_SHA256, 1);
        g_autoptr(Identity) identity = identity_new("server.example");
        g_autoptr(GBytes) context = g_bytes_new_static("context", 7), c = NULL;
        g_autoptr(AttClaims) claims = scene_claims(&wire, context, identity->spki, ATT_ROLE_SERVER);
        uint8_t r[ATT_REPORT_DATA_SIZE], with_manifest[ATT_REPORT_DATA_SIZE];

        c = att_claims_encode(claims, NULL);
        scene_report_data(c, r);
        AttPart parts[] = { { r, sizeof r }, { "manifest", 8 } };
        att_sha512(parts, G_N_ELEMENTS(parts), with_manifest);

        g_autoptr(AttResult) plain = appraise_collection(c, r, claims->binding, NULL);
        g_autoptr(AttResult) svsm = appraise_collection(c, with_manifest, claims->binding, "manifest");
        g_autoptr(AttResult) other = appraise_collection(c, with_manifest, claims->binding, "Manifest");
        g_autoptr(AttResult) dropped = appraise_collection(c, with_manifest, claims->binding, NULL);
        g_autoptr(AttResult) added = appraise_collection(c, r, claims->binding, "manifest");
        assert_accepted(plain);
        assert_accepted(svsm);
        assert_refused(other, "report-data", "not made for these claims");
        assert_refused(dropped, "report-data", "not made for these claims");
        assert_refused(added, "report-data", "not made for these claims");
}
END_TEST

START_TEST(refuses_a_service_provider_that_is_not_known) {
        g_autoptr(GBytes) report = report_of(some_report_data);
        g_autoptr(GBytes) table = g_byte_array_free_to_bytes(snp_forge_table(forge));
        g_autoptr(AttTsmReport) tsm = tsm_report(report, table);
        g_autoptr(GBytes) without_manifest = NULL, other = NULL, good = NULL;

        good = att_tsm_report_encode(tsm);
        tsm->service_provider = g_strdup("svsm");
        without_manifest = att_tsm_report_encode(tsm);
        g_free(tsm->service_provider);
        tsm->service_provider = g_strdup("hcl");
        tsm->manifestblob = g_bytes_new_static("manifest", 8);
        other = att_tsm_report_encode(tsm);
        g_autoptr(AttResult) yes = appraise_bytes(good, "");
        g_autoptr(AttResult) no_manifest = appraise_bytes(without_manifest, ""), no = appraise_bytes(other, "");
        assert_accepted(yes);
        assert_refused(no_manifest, "tee", "service provider");
        assert_refused(no, "tee", "service provider");
}
END_TEST

/* Software at a lower level cannot have a report of level 0, but any manifest it likes. */
START_TEST(sc21a_an_svsm_attests_at_vmpl_0) {
        g_autoptr(GBytes) table = g_byte_array_free_to_bytes(snp_forge_table(forge));
        static const char *const takes[] = { "vmpl 0\n", "vmpl 2\n" };

        for (gsize i = 0; i < G_N_ELEMENTS(takes); i++) {
                set("vmpl", i == 0 ? "0" : "2");
                g_autoptr(GBytes) report = report_of(some_report_data), plain = NULL, svsm = NULL;
                g_autoptr(AttTsmReport) tsm = tsm_report(report, table);

                plain = att_tsm_report_encode(tsm);
                tsm->service_provider = g_strdup("svsm");
                tsm->manifestblob = g_bytes_new_static("manifest", 8);
                svsm = att_tsm_report_encode(tsm);
                g_autoptr(AttResult) its_own = appraise_bytes(plain, takes[i]);
                g_autoptr(AttResult) of_svsm = appraise_bytes(svsm, takes[i]);
                assert_accepted(its_own);
                if (i == 0)
                        assert_accepted(of_svsm);
                else
                        assert_refused(of_svsm, "tee", "VMPL 2, but an SVSM");
        }
}
END_TEST

/* A policy for TDX alone, or for both. */
START_TEST(the_policy_lists_the_tee) {
        g_autoptr(GBytes) report = report_of(some_report_data);
        g_autoptr(GBytes) table = g_byte_array_free_to_bytes(snp_forge_table(forge));
        g_autoptr(GBytes) evidence = wrap(report, table);
        g_autofree char *text = g_strdup_printf("attestd-policy 1\ntee tdx\nworkload any\nbare-report allowed\n"
                                                "collateral not-required\nroot snp %s\n", roots[0]);
        g_autoptr(AttPolicy) tdx = scene_parse(text);
        AttAppraisalInput input = stated(evidence, tdx);
        g_autoptr(AttResult) no = att_appraise(&input), both = appraise_bytes(evidence, "tee tdx\n");

        assert_refused(no, "tee", "does not list snp");
        assert_accepted(both);
}
END_TEST

START_TEST(refuses_every_signed_byte_when_it_is_another) {
        g_autoptr(GByteArray) report = snp_forge_report(forge, some_report_data);
        g_autoptr(GBytes) table = g_byte_array_free_to_bytes(snp_forge_table(forge));

        for (size_t at = 0; at < report->len; at += at < 0x330 ? 3 : 29) {
                g_autoptr(GBytes) bytes = NULL, evidence = NULL;

                report->data[at] ^= 0x04;
                bytes = g_bytes_new(report->data, report->len);
                evidence = wrap(bytes, table);
                g_autoptr(AttResult) result = appraise_bytes(evidence, "attributes masked-chip-id\n");
                ck_assert_msg(!att_result_accepted(result), "byte %zu does not matter", at);
                report->data[at] ^= 0x04;
        }
}
END_TEST

START_TEST(tells_everything_as_json) {
        static const char *const keys[] = {
                "version", "product", "cpuid_fms", "guest_svn", "policy", "debug", "migrate_ma", "smt_allowed", "vmpl",
                "family_id", "image_id", "platform_info", "flags", "author_key_en", "mask_chip_key", "signing_key",
                "signature_algo", "report_data", "measurement", "host_data", "id_key_digest", "author_key_digest",
                "report_id", "report_id_ma", "chip_id", "reported_tcb", "current_tcb", "committed_tcb", "launch_tcb",
                "current_fw", "committed_fw", "launch_mit_vector", "current_mit_vector", "cert_type", "cert_product",
                "cert_hwid", "cert_serial", "cert_not_before", "cert_not_after", "cert_tcb_fields",
                "reported_tcb_fields", "cert_tcb_matches_report", "cert_hwid_matches_chip_id", "cert_csp_id",
        };
        json_t *object, *report;

        set("product", "turin");
        set("version", "5");
        g_autoptr(AttResult) result = appraise("");
        g_autofree char *text = att_result_to_json(result, false);
        object = json_loads(text, 0, NULL);
        ck_assert_str_eq(json_string_value(json_object_get(object, "tee")), "snp");
        ck_assert_ptr_null(json_object_get(object, "quote"));
        report = json_object_get(object, "report");
        ck_assert_uint_eq(json_object_size(report), G_N_ELEMENTS(keys));
        for (gsize i = 0; i < G_N_ELEMENTS(keys); i++)
                ck_assert_msg(json_object_get(report, keys[i]), "%s", keys[i]);
        ck_assert_str_eq(json_string_value(json_object_get(report, "product")), "Turin");
        ck_assert_int_eq(json_integer_value(json_object_get(json_object_get(report, "cert_tcb_fields"), "fmc")), 1);
        json_decref(object);
}
END_TEST

int main(void) {
        Suite *s = suite_create("snp");
        TCase *c = tcase_create("snp");

        tcase_set_timeout(c, 120);
        tcase_add_unchecked_fixture(c, make_forge, drop_forge);
        tcase_add_checked_fixture(c, reset, NULL);
        tcase_add_test(c, accepts_each_product_version_and_key);
        tcase_add_loop_test(c, refuses_each_flaw_by_its_name, 0, G_N_ELEMENTS(flaws));
        tcase_add_test(c, there_is_no_flaw_without_a_verdict);
        tcase_add_test(c, takes_pem_in_a_table_and_entries_that_nobody_knows);
        tcase_add_test(c, says_how_to_give_what_is_missing);
        tcase_add_test(c, finds_the_certificate_of_the_key_among_others);
        tcase_add_test(c, tries_each_issuer_of_a_name);
        tcase_add_test(c, sc20a_sc20b_certificates_are_held_against_the_clock);
        tcase_add_test(c, sc20e_product_lines_are_not_mixed);
        tcase_add_test(c, sc21a_another_vmpl_needs_its_line);
        tcase_add_test(c, sc21b_a_report_that_the_host_asked_for_is_refused);
        tcase_add_test(c, sc21c_sc25b_a_guest_that_may_be_debugged_is_refused);
        tcase_add_test(c, sc21d_a_migration_agent_needs_its_line);
        tcase_add_test(c, sc25d_policy_bits_that_are_reserved_are_refused);
        tcase_add_test(c, sc22a_the_certificate_is_for_the_reported_tcb_in_every_part);
        tcase_add_test(c, sc22b_a_minimum_holds_for_all_four_tcbs);
        tcase_add_test(c, sc23a_a_report_that_nothing_has_signed_is_refused);
        tcase_add_test(c, sc23b_numbers_of_the_signature_have_zeros_behind_them);
        tcase_add_test(c, sc23e_a_vcek_with_serial_0_is_taken);
        tcase_add_test(c, sc23f_a_vlek_with_a_masked_chip_is_taken_and_a_vcek_is_not);
        tcase_add_test(c, sc24c_zeros_are_no_report);
        tcase_add_test(c, sc26a_the_platform_is_held_against_what_is_demanded);
        tcase_add_test(c, sc25a_refuses_without_collateral);
        tcase_add_test(c, sc13_refuses_another_machine);
        tcase_add_test(c, a_short_id_has_zeros_behind_it);
        tcase_add_test(c, sc03d_refuses_measurements_that_no_rule_has);
        tcase_add_test(c, reads_a_report_of_azure_in_its_envelope);
        tcase_add_test(c, accepts_claims_and_the_manifest_of_an_svsm);
        tcase_add_test(c, refuses_a_service_provider_that_is_not_known);
        tcase_add_test(c, sc21a_an_svsm_attests_at_vmpl_0);
        tcase_add_test(c, the_policy_lists_the_tee);
        tcase_add_test(c, refuses_every_signed_byte_when_it_is_another);
        tcase_add_test(c, tells_everything_as_json);
        suite_add_tcase(s, c);
        return run_suite(s);
}
