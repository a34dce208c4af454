/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "codec/claims.h"
#include "util/error.h"
#include "verifier/policy-rules.h"

#include "run.h"

#include <stdio.h>
#include <unistd.h>

#define MR "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f202122232425262728292a2b2c2d2e2f"
#define SPKI "00112233445566778899aabbccddeeff00112233445566778899AABBCCDDEEFF"
#define PPID "00112233445566778899aabbccddeeff"
#define HEAD "attestd-policy 1\n"
#define LEAST HEAD "tee tdx\nworkload any\n"

static AttPolicy *parse(const char *text, GError **error) {
        /* Exact, so that ASan sees an over-read. */
        g_autofree char *exact = g_memdup2(text, strlen(text));

        return att_policy_parse("name", exact, strlen(text), error);
}

static AttPolicy *must_parse(const char *text) {
        g_autoptr(GError) error = NULL;
        AttPolicy *policy = parse(text, &error);

        ck_assert_msg(policy != NULL, "%s", error ? error->message : "no error");
        return policy;
}

START_TEST(fills_in_the_defaults) {
        g_autoptr(AttPolicy) policy = must_parse(LEAST);

        ck_assert(att_policy_takes_profile(policy, ATT_PROFILE_EVIDENCE));
        ck_assert(!att_policy_takes_profile(policy, ATT_PROFILE_EXPAT_PAD));
        ck_assert(!att_policy_takes_profile(policy, ATT_PROFILE_COCOS));
        ck_assert(policy->takes[ATT_KIND_TDX] && policy->any_workload && !policy->any_peer);
        ck_assert(policy->needs_collateral && !policy->shared_device_allowed && !policy->bare_report_allowed);
        for (gsize i = 0; i < ATT_WEAKNESSES; i++)
                ck_assert(!policy->takes_weakness[i]);
        ck_assert_uint_eq(policy->max_age_s, 60);
        ck_assert_uint_eq(policy->roots[ATT_KIND_TDX]->len, 1);
        ck_assert_uint_eq(((const uint8_t *) g_bytes_get_data(policy->roots[ATT_KIND_TDX]->pdata[0], NULL))[0], 0xa0);
        ck_assert_uint_eq(policy->boots->len + policy->workloads->len + policy->ppids->len, 0);
}
END_TEST

START_TEST(reads_every_key) {
        g_autoptr(AttPolicy) policy = must_parse(
                "# payroll\n"
                "\n"
                "\tattestd-policy 1   # version\n"
                "tee tdx\n"
                "profile evidence/1\n"
                "peer any\n"
                "workload unit payroll.service uid 990\n"
                "workload unit payroll@two.service\n"
                "boot mrtd=" MR " rtmr0=" MR " rtmr1=" MR " rtmr2=" MR " rtmr3=" MR " mrconfigid=" MR
                " mrowner=" MR " mrownerconfig=" MR " mrseam=" MR "\n"
                "boot   mrtd=" MR "\t\n"
                "collateral not-required\n"
                "root tdx intel\n"
                "root tdx " SPKI "\n"
                "machine ppid " PPID "\n"
                "max-age 3600\n"
                "attributes service-td\n"
                "attributes sept-ve-disable-off\n"
                "shared-device allowed # no line feed at the end");
        const AttWorkloadRule *first = policy->workloads->pdata[0], *second = policy->workloads->pdata[1];
        const AttBootRule *all = policy->boots->pdata[0], *one = policy->boots->pdata[1];

        ck_assert(policy->any_peer && !policy->any_workload && !policy->needs_collateral);
        ck_assert(policy->shared_device_allowed);
        ck_assert(policy->takes_weakness[ATT_WEAKNESS_SEPT_VE_DISABLE_OFF]);
        ck_assert(policy->takes_weakness[ATT_WEAKNESS_SERVICE_TD]);
        ck_assert(!policy->takes_weakness[ATT_WEAKNESS_MIGRATABLE]);
        ck_assert_uint_eq(policy->workloads->len, 2);
        ck_assert_str_eq(first->unit, "payroll.service");
        ck_assert(first->has_uid && !second->has_uid);
        ck_assert_uint_eq(first->uid, 990);
        ck_assert_uint_eq(policy->boots->len, 2);
        for (AttBootRegister r = 0; r < ATT_BOOT_REGISTERS; r++) {
                ck_assert((all->values[r] != NULL) == (r <= ATT_BOOT_MRSEAM));
                ck_assert(!all->values[r] || all->values[r][47] == 0x2f);
                ck_assert((one->values[r] != NULL) == (r == ATT_BOOT_MRTD));
        }
        ck_assert_uint_eq(policy->roots[ATT_KIND_TDX]->len, 2);
        ck_assert_uint_eq(policy->ppids->len, 1);
        ck_assert_uint_eq(policy->max_age_s, 3600);
}
END_TEST

#define CHIP SPKI SPKI

START_TEST(reads_every_key_of_snp) {
        g_autoptr(AttPolicy) policy = must_parse(
                "attestd-policy 1\ntee snp\nworkload any\nroot snp amd\nroot snp " SPKI "\n"
                "boot measurement=" MR " host-data=" SPKI " id-key-digest=" MR " author-key-digest=" MR
                " family-id=" PPID " image-id=" PPID "\n"
                "machine chip-id " CHIP "\nmachine chip-id 0102030405060708\n"
                "machine csp-id CN=cc-eu-west-1.amazonaws.com\n"
                "vmpl 0\nvmpl 2\nplatform snp alias-check\nattributes masked-chip-id\n"
                "tcb milan snp>=24 bootloader>=4\ntcb turin fmc>=1 tee>=2 microcode>=255\n");
        const AttBootRule *boot = policy->boots->pdata[0];
        const uint8_t *chip = g_bytes_get_data(policy->chip_ids->pdata[1], NULL);

        ck_assert(policy->takes[ATT_KIND_SNP] && !policy->takes[ATT_KIND_TDX]);
        ck_assert_uint_eq(policy->roots[ATT_KIND_SNP]->len, 4);
        for (AttBootRegister r = 0; r < ATT_BOOT_REGISTERS; r++)
                ck_assert((boot->values[r] != NULL) == (r >= ATT_BOOT_MEASUREMENT));
        ck_assert_uint_eq(policy->chip_ids->len, 2);
        ck_assert_uint_eq(g_bytes_get_size(policy->chip_ids->pdata[1]), 64);
        ck_assert(chip[0] == 1 && chip[7] == 8 && chip[8] == 0 && chip[63] == 0);
        ck_assert_str_eq(policy->csp_ids->pdata[0], "CN=cc-eu-west-1.amazonaws.com");
        for (gsize i = 0; i < ATT_SNP_VMPLS; i++)
                ck_assert(policy->takes_vmpl[i] == (i == 0 || i == 2));
        for (gsize i = 0; i < ATT_PLATFORM_DEMANDS; i++)
                ck_assert(policy->demands[i] == (i == ATT_PLATFORM_ALIAS_CHECK));
        for (gsize i = 0; i < ATT_WEAKNESSES; i++)
                ck_assert(policy->takes_weakness[i] == (i == ATT_WEAKNESS_MASKED_CHIP_ID));
        ck_assert(policy->has_minimum[ATT_SNP_LINE_MILAN] && policy->has_minimum[ATT_SNP_LINE_TURIN]);
        ck_assert(!policy->has_minimum[ATT_SNP_LINE_GENOA] && !policy->has_minimum[ATT_SNP_LINE_UNKNOWN]);
        ck_assert_uint_eq(policy->minimum[ATT_SNP_LINE_MILAN].snp, 24);
        ck_assert_uint_eq(policy->minimum[ATT_SNP_LINE_MILAN].bootloader, 4);
        ck_assert_uint_eq(policy->minimum[ATT_SNP_LINE_TURIN].fmc, 1);
        ck_assert_uint_eq(policy->minimum[ATT_SNP_LINE_TURIN].tee, 2);
        ck_assert_uint_eq(policy->minimum[ATT_SNP_LINE_TURIN].microcode, 255);
}
END_TEST

START_TEST(takes_little_of_snp_unless_told) {
        g_autoptr(AttPolicy) policy = must_parse("attestd-policy 1\ntee snp\nworkload any\n");
        g_autoptr(AttPolicy) one = must_parse("attestd-policy 1\ntee snp\nworkload any\nroot snp genoa\nvmpl 1\n");

        ck_assert(policy->takes_vmpl[0] && !policy->takes_vmpl[1] && !policy->takes_vmpl[2] && !policy->takes_vmpl[3]);
        ck_assert_uint_eq(policy->roots[ATT_KIND_SNP]->len, 3);
        ck_assert(!att_policy_names_machines(policy) && !att_policy_has_minimum(policy));
        ck_assert(!one->takes_vmpl[0] && one->takes_vmpl[1]);
        ck_assert_uint_eq(one->roots[ATT_KIND_SNP]->len, 1);
        ck_assert_uint_eq(*(const uint8_t *) g_bytes_get_data(one->roots[ATT_KIND_SNP]->pdata[0], NULL), 0x42);
}
END_TEST

START_TEST(takes_the_other_profiles_when_named) {
        g_autoptr(AttPolicy) policy = must_parse(LEAST "profile expat-pad\nprofile cocos\n");

        ck_assert(!att_policy_takes_profile(policy, ATT_PROFILE_EVIDENCE));
        ck_assert(att_policy_takes_profile(policy, ATT_PROFILE_EXPAT_PAD));
        ck_assert(att_policy_takes_profile(policy, ATT_PROFILE_COCOS));
}
END_TEST

START_TEST(takes_bare_reports_and_weak_guests_when_named) {
        g_autoptr(AttPolicy) policy = must_parse(LEAST "bare-report allowed\nattributes migratable\n");

        ck_assert(policy->bare_report_allowed);
        for (gsize i = 0; i < ATT_WEAKNESSES; i++)
                ck_assert(policy->takes_weakness[i] == (i == ATT_WEAKNESS_MIGRATABLE));
}
END_TEST

START_TEST(trusts_only_the_roots_that_are_named) {
        g_autoptr(AttPolicy) policy = must_parse(LEAST "root tdx " SPKI "\n");

        ck_assert_uint_eq(policy->roots[ATT_KIND_TDX]->len, 1);
        ck_assert_uint_eq(((const uint8_t *) g_bytes_get_data(policy->roots[ATT_KIND_TDX]->pdata[0], NULL))[31], 0xff);
}
END_TEST

/* What is refused, where, and what the message has in it. */
static const struct {
        const char *text;
        const char *at;
        const char *says;
} refusals[] = {
        /* the version line */
        { "", "name:1:1: ", "empty" },
        { "\n\n", "name:3:1: ", "empty" },
        { "# only\n  # comments", "name:3:1: ", "empty" },
        { "tee tdx\n", "name:1:1: ", "attestd-policy 1" },
        { "attestd-policy\n", "name:1:15: ", "version 1" },
        { "attestd-policy 2\n", "name:1:16: ", "version 1" },
        { "attestd-policy 1 1\n", "name:1:18: ", "end of the line" },
        { "attestd-policy 1#\n", "name:1:16: ", "version 1" },
        { HEAD HEAD, "name:2:1: ", "key" },
        /* keys and words */
        { LEAST "tees tdx\n", "name:4:1: ", "\"tees\"" },
        { LEAST "Peer any\n", "name:4:1: ", "key" },
        { LEAST "ima claimed\n", "name:4:5: ", "\"root\"" },
        { LEAST "batch allowed\n", "name:4:1: ", "key" },
        { HEAD "tee sgx\n", "name:2:5: ", "tdx or snp" },
        { HEAD "tee\n", "name:2:4: ", "tdx" },
        { HEAD "tee tdx snp\n", "name:2:9: ", "end of the line" },
        { LEAST "profile evidence/2\n", "name:4:9: ", "evidence/1" },
        { LEAST "peer name\n", "name:4:6: ", "any" },
        { LEAST "peer any any\n", "name:4:10: ", "end of the line" },
        { LEAST "collateral\n", "name:4:11: ", "not-required" },
        { LEAST "shared-device\n", "name:4:14: ", "allowed" },
        { LEAST "bare-report\n", "name:4:12: ", "allowed" },
        { LEAST "bare-report any\n", "name:4:13: ", "allowed" },
        { LEAST "bare-report allowed tdx\n", "name:4:21: ", "end of the line" },
        { LEAST "attributes\n", "name:4:11: ", "migratable" },
        { LEAST "attributes debug\n", "name:4:12: ", "migratable" },
        { LEAST "attributes any\n", "name:4:12: ", "migratable" },
        { LEAST "attributes migratable service-td\n", "name:4:23: ", "end of the line" },
        { LEAST "a b c d e f g h i j k l m n o p q\n", "name:4:33: ", "16 words" },
        /* numbers */
        { LEAST "max-age 0\n", "name:4:9: ", "1 to 3600" },
        { LEAST "max-age 3601\n", "name:4:9: ", "1 to 3600" },
        { LEAST "max-age 99999999999999999999\n", "name:4:9: ", "1 to 3600" },
        { LEAST "max-age +1\n", "name:4:9: ", "1 to 3600" },
        { LEAST "max-age 010\n", "name:4:9: ", "1 to 3600" },
        { LEAST "max-age 1s\n", "name:4:9: ", "1 to 3600" },
        { LEAST "max-age\n", "name:4:8: ", "1 to 3600" },
        /* hexadecimal */
        { LEAST "machine ppid " PPID "0\n", "name:4:14: ", "32" },
        { LEAST "machine ppid 0" PPID "0\n", "name:4:14: ", "32" },
        { LEAST "machine ppid 0x112233445566778899aabbccddeeff\n", "name:4:14: ", "32" },
        { LEAST "machine chip " PPID "\n", "name:4:9: ", "ppid" },
        { LEAST "root tdx " PPID "\n", "name:4:10: ", "64" },
        { LEAST "root sgx intel\n", "name:4:6: ", "tdx or snp" },
        { LEAST "root snp intel\n", "name:4:10: ", "genoa" },
        { LEAST "root tdx amd\n", "name:4:10: ", "intel" },
        { LEAST "boot mrtd=" PPID "\n", "name:4:11: ", "48 bytes" },
        { LEAST "boot mrtd=\n", "name:4:11: ", "48 bytes" },
        { LEAST "boot mrtd\n", "name:4:6: ", "register" },
        { LEAST "boot rtmr4=" MR "\n", "name:4:6: ", "register" },
        { LEAST "boot =" MR "\n", "name:4:6: ", "register" },
        { LEAST "boot mrtd=" MR " mrtd=" MR "\n", "name:4:108: ", "twice" },
        { LEAST "boot rtmr0=" MR "\n", "name:4:108: ", "mrtd" },
        { LEAST "boot\n", "name:4:5: ", "mrtd" },
        { LEAST "boot host-data=" SPKI "\n", "name:4:80: ", "measurement" },
        { LEAST "boot measurement=" SPKI "\n", "name:4:18: ", "48 bytes" },
        { LEAST "boot measurement=" MR " host-data=" MR "\n", "name:4:125: ", "32 bytes" },
        { LEAST "boot measurement=" MR " family-id=" SPKI "\n", "name:4:125: ", "16 bytes" },
        { LEAST "boot measurement=" MR " mrtd=" MR "\n", "name:4:115: ", "is of tdx, but what is before it of snp" },
        { LEAST "boot mrtd=" MR " measurement=" MR "\n", "name:4:108: ", "is of snp, but what is before it of tdx" },
        /* SNP */
        { LEAST "root snp arm\n", "name:4:10: ", "milan" },
        { LEAST "root tdx milan\n", "name:4:10: ", "intel" },
        { LEAST "machine chip-id " SPKI "\n", "name:4:17: ", "128" },
        { LEAST "machine chip-id 0000000000000000\n", "name:4:17: ", "masked" },
        { LEAST "machine csp-id\n", "name:4:15: ", "CSP_ID" },
        { LEAST "machine csp-id a b\n", "name:4:18: ", "end of the line" },
        { LEAST "vmpl\n", "name:4:5: ", "0 to 3" },
        { LEAST "vmpl 4\n", "name:4:6: ", "0 to 3" },
        { LEAST "vmpl 0 1\n", "name:4:8: ", "end of the line" },
        { LEAST "platform\n", "name:4:9: ", "snp" },
        { LEAST "platform tdx ecc\n", "name:4:10: ", "snp" },
        { LEAST "platform snp smt\n", "name:4:14: ", "smt-off" },
        { LEAST "platform snp ecc tsme\n", "name:4:18: ", "end of the line" },
        { LEAST "tcb snp snp>=1\n", "name:4:5: ", "milan" },
        { LEAST "tcb milan\n", "name:4:10: ", "snp>=24" },
        { LEAST "tcb milan fmc>=1\n", "name:4:11: ", "bootloader" },
        { LEAST "tcb turin psp>=1\n", "name:4:11: ", "fmc" },
        { LEAST "tcb milan snp>1\n", "name:4:11: ", "snp>=24" },
        { LEAST "tcb milan snp>=\n", "name:4:16: ", "0 to 255" },
        { LEAST "tcb milan snp>=256\n", "name:4:16: ", "0 to 255" },
        { LEAST "tcb milan snp>=1 snp>=2\n", "name:4:18: ", "twice" },
        { LEAST "tcb milan snp>=1\ntcb milan tee>=1\n", "name:5:5: ", "already" },
        /* workloads */
        { HEAD "tee tdx\nworkload\n", "name:3:9: ", "unit" },
        { HEAD "tee tdx\nworkload group a.service\n", "name:3:10: ", "\"any\" or \"unit\"" },
        { HEAD "tee tdx\nworkload unit\n", "name:3:14: ", "payroll.service" },
        { HEAD "tee tdx\nworkload unit payroll\n", "name:3:15: ", "payroll.service" },
        { HEAD "tee tdx\nworkload unit .service\n", "name:3:15: ", "payroll.service" },
        { HEAD "tee tdx\nworkload unit a/b.service\n", "name:3:15: ", "payroll.service" },
        { HEAD "tee tdx\nworkload unit user.slice\n", "name:3:15: ", "payroll.service" },
        { HEAD "tee tdx\nworkload unit a.service gid 1\n", "name:3:25: ", "uid" },
        { HEAD "tee tdx\nworkload unit a.service uid\n", "name:3:28: ", "uid" },
        { HEAD "tee tdx\nworkload unit a.service uid 4294967295\n", "name:3:29: ", "uid" },
        { HEAD "tee tdx\nworkload unit a.service uid 1 2\n", "name:3:31: ", "end of the line" },
        { LEAST "workload unit a.service\n", "name:4:10: ", "workload any" },
        { HEAD "tee tdx\nworkload unit a.service\nworkload any\n", "name:4:10: ", "named" },
        /* stated twice */
        { LEAST "peer any\npeer any\n", "name:5:1: ", "already" },
        { LEAST "max-age 1\nmax-age 2\n", "name:5:1: ", "once" },
        { LEAST "tee  tdx\n", "name:4:1: ", "already" },
        { LEAST "workload any\n", "name:4:1: ", "already" },
        { LEAST "machine ppid " PPID "\nmachine ppid\t" PPID "\n", "name:5:1: ", "already" },
        { LEAST "collateral not-required\ncollateral not-required\n", "name:5:1: ", "already" },
        { LEAST "attributes migratable\nattributes  migratable\n", "name:5:1: ", "already" },
        { LEAST "bare-report allowed\nbare-report allowed\n", "name:5:1: ", "already" },
        /* what could say yes by accident */
        { HEAD, "name:2:1: ", "tee tdx" },
        { HEAD "workload any\n", "name:3:1: ", "tee tdx" },
        { HEAD "tee tdx\n", "name:3:1: ", "workload" },
        { HEAD "tee tdx\nworkload unit a.service\n", "name:4:1: ", "boot" },
        { HEAD "tee tdx\nprofile expat-pad\nworkload unit a.service\nboot mrtd=" MR "\n", "name:6:1: ",
          "workload any" },
        { HEAD "tee tdx\nprofile evidence/1\nprofile cocos\nworkload unit a.service\nboot mrtd=" MR "\n", "name:7:1: ",
          "workload any" },
        { HEAD "tee tdx\nbare-report allowed\nworkload unit a.service\nboot mrtd=" MR "\n", "name:6:1: ",
          "workload any" },
        /* characters */
        { HEAD "tee tdx\r\n", "name:2:8: ", "print" },
        { HEAD "tee\vtdx\n", "name:2:4: ", "print" },
        { HEAD "# \x1b[2J\n", "name:2:3: ", "print" },
        { HEAD "# \xe2\x80\xae\n", "name:2:3: ", "print" },
        { HEAD "# \xff\n", "name:2:3: ", "UTF-8" },
        { HEAD "# \xc3\n", "name:2:3: ", "UTF-8" },
        { HEAD "# \xc3\xa4\xc3\xb6 \x7f\n", "name:2:6: ", "print" },
};

START_TEST(sc03f_refuses_what_it_cannot_mean) {
        g_autoptr(GError) error = NULL;
        AttPolicy *policy = parse(refusals[_i].text, &error);

        ck_assert_msg(!policy, "accepted: %s", refusals[_i].text);
        ck_assert(g_error_matches(error, ATT_ERROR, ATT_ERROR_INVALID_ARGUMENT));
        ck_assert_msg(g_str_has_prefix(error->message, refusals[_i].at) && strstr(error->message, refusals[_i].says),
                      "%s\n is not: %s… %s…", error->message, refusals[_i].at, refusals[_i].says);
}
END_TEST

START_TEST(takes_letters_of_any_language_in_comments) {
        g_autoptr(AttPolicy) policy = must_parse(LEAST "# Zurückgenommen … 政策\n");

        ck_assert(policy != NULL);
}
END_TEST

START_TEST(refuses_a_nul) {
        static const char text[] = LEAST "\0peer any\n";
        g_autoptr(GError) error = NULL;

        ck_assert(!att_policy_parse("name", text, sizeof text - 1, &error));
        ck_assert_str_eq(error->message, "name:4:1: not UTF-8");
}
END_TEST

/* Every prefix either says less or is refused: none is read as the whole. */
START_TEST(reads_every_prefix_without_a_stumble) {
        static const char text[] = LEAST "peer any\nboot mrtd=" MR "\nmachine ppid " PPID "\nmax-age 12\n";

        for (size_t n = 0; n < sizeof text; n++) {
                g_autofree char *exact = g_memdup2(text, n);
                g_autoptr(GError) error = NULL;
                g_autoptr(AttPolicy) policy = att_policy_parse("name", exact, n, &error);

                ck_assert(!policy == !!error);
                ck_assert(!policy || n >= strlen(LEAST) - 1);
        }
}
END_TEST

START_TEST(sc34d_holds_its_limits) {
        g_autoptr(GString) text = g_string_new(LEAST);
        g_autoptr(GError) error = NULL;
        g_autoptr(AttPolicy) policy = NULL;

        /* Two rules are there; up to the limit all may be. */
        for (unsigned i = 2; i < ATT_POLICY_RULES_MAX; i++)
                g_string_append_printf(text, "machine ppid %032x\n", i);
        policy = must_parse(text->str);
        ck_assert_uint_eq(policy->ppids->len, ATT_POLICY_RULES_MAX - 2);
        g_string_append(text, "peer any\n");
        ck_assert(!parse(text->str, &error));
        ck_assert_ptr_nonnull(strstr(error->message, "more than 32768 rules"));
        g_clear_error(&error);

        g_string_assign(text, LEAST "#");
        while (text->len < ATT_POLICY_SIZE_MAX)
                g_string_append_c(text, '.');
        g_clear_pointer(&policy, att_policy_unref);
        policy = must_parse(text->str);
        g_string_append_c(text, '.');
        ck_assert(!parse(text->str, &error));
        ck_assert_ptr_nonnull(strstr(error->message, "at most 4194304 bytes"));
}
END_TEST

START_TEST(cuts_what_it_quotes) {
        g_autoptr(GError) error = NULL;

        ck_assert(!parse(LEAST "äääääääääääääääääääääääääääääääääääääääääääääääääääääääääääääääääää\n", &error));
        ck_assert_ptr_nonnull(strstr(error->message, "not \"ääääääääääääääääääääääääääääääääääääääää\"…"));
}
END_TEST

START_TEST(loads_a_file_but_no_link) {
        g_autofree char *directory = g_dir_make_tmp("policy-XXXXXX", NULL);
        g_autofree char *file = g_build_filename(directory, "one.policy", NULL);
        g_autofree char *link_path = g_build_filename(directory, "two.policy", NULL);
        g_autofree char *none = g_build_filename(directory, "three.policy", NULL);
        g_autoptr(GError) error = NULL;
        g_autoptr(AttPolicy) policy = NULL;

        ck_assert(g_file_set_contents(file, LEAST, -1, NULL));
        ck_assert_int_eq(symlink("one.policy", link_path), 0);
        policy = att_policy_load(file, &error);
        ck_assert_ptr_nonnull(policy);

        ck_assert(!att_policy_load(link_path, &error));
        ck_assert_int_ne(error->domain, ATT_ERROR);
        g_clear_error(&error);
        ck_assert(!att_policy_load(none, &error));
        ck_assert_int_ne(error->domain, ATT_ERROR);
        g_clear_error(&error);

        ck_assert(g_file_set_contents(file, HEAD, -1, NULL));
        ck_assert(!att_policy_load(file, &error));
        ck_assert(g_str_has_prefix(error->message, "one.policy:2:1: "));

        ck_assert_int_eq(unlink(file) | unlink(link_path) | rmdir(directory), 0);
}
END_TEST

int main(void) {
        Suite *s = suite_create("policy");
        TCase *c = tcase_create("policy");

        tcase_add_test(c, fills_in_the_defaults);
        tcase_add_test(c, reads_every_key);
        tcase_add_test(c, reads_every_key_of_snp);
        tcase_add_test(c, takes_little_of_snp_unless_told);
        tcase_add_test(c, takes_the_other_profiles_when_named);
        tcase_add_test(c, takes_bare_reports_and_weak_guests_when_named);
        tcase_add_test(c, trusts_only_the_roots_that_are_named);
        tcase_add_loop_test(c, sc03f_refuses_what_it_cannot_mean, 0, G_N_ELEMENTS(refusals));
        tcase_add_test(c, takes_letters_of_any_language_in_comments);
        tcase_add_test(c, refuses_a_nul);
        tcase_add_test(c, reads_every_prefix_without_a_stumble);
        tcase_add_test(c, sc34d_holds_its_limits);
        tcase_add_test(c, cuts_what_it_quotes);
        tcase_add_test(c, loads_a_file_but_no_link);
        suite_add_tcase(s, c);
        return run_suite(s);
}
