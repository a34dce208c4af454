/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Reports of real machines, bare and in Azure's envelope: every field as an independent parser reads it. */
#include "codec/hcl-report.h"
#include "codec/snp-report.h"
#include "run.h"
#include "vectors.h"

static const char *text_of(json_t *expected, const char *key) {
        return json_string_value(json_object_get(expected, key));
}

static void check_hex(const char *path, json_t *expected, const char *key, const uint8_t *p, size_t n) {
        const char *hex = text_of(expected, key);
        g_autofree char *found = p ? hex_of(p, n) : NULL;

        ck_assert_msg(g_strcmp0(hex, found) == 0, "%s: %s is %s, not %s", path, key, found ? found : "absent",
                      hex ? hex : "there");
}

static void check_number(const char *path, json_t *expected, const char *key, size_t n) {
        json_t *value = json_object_get(expected, key);

        ck_assert_msg(json_is_integer(value) && (size_t) json_integer_value(value) == n, "%s: %s is %zu", path, key, n);
}

static void check_flags(const char *path, json_t *expected, const char *key, uint64_t n) {
        g_autofree char *found = g_strdup_printf("0x%" G_GINT64_MODIFIER "x", n);

        ck_assert_msg(g_strcmp0(text_of(expected, key), found) == 0, "%s: %s is %s", path, key, found);
}

static void check_firmware(const char *path, json_t *expected, const char *key, AttSnpFirmware f) {
        uint8_t raw[] = { f.build, f.minor, f.major };

        check_hex(path, expected, key, raw, sizeof raw);
}

static void check_report(const char *path, json_t *expected, GBytes *bytes) {
        g_autoptr(GError) error = NULL;
        AttSnpReport r;

        ck_assert_msg(att_snp_report_parse(bytes, &r, &error), "%s: %s", path, error ? error->message : "");
        check_number(path, expected, "version", r.version);
        check_number(path, expected, "guest_svn", r.guest_svn);
        check_flags(path, expected, "policy", r.policy);
        check_hex(path, expected, "family_id", r.family_id, 16);
        check_hex(path, expected, "image_id", r.image_id, 16);
        check_number(path, expected, "vmpl", r.vmpl);
        check_number(path, expected, "signature_algo", r.signature_algo);
        check_hex(path, expected, "current_tcb", r.current_tcb, 8);
        check_flags(path, expected, "platform_info", r.platform_info);
        check_flags(path, expected, "flags", r.key_info);
        ck_assert_str_eq(text_of(expected, "signing_key"), att_snp_key_name(r.signing_key));
        check_hex(path, expected, "report_data", r.report_data, 64);
        check_hex(path, expected, "measurement", r.measurement, 48);
        check_hex(path, expected, "host_data", r.host_data, 32);
        check_hex(path, expected, "id_key_digest", r.id_key_digest, 48);
        check_hex(path, expected, "author_key_digest", r.author_key_digest, 48);
        check_hex(path, expected, "report_id", r.report_id, 32);
        check_hex(path, expected, "report_id_ma", r.report_id_ma, 32);
        check_hex(path, expected, "reported_tcb", r.reported_tcb, 8);
        check_hex(path, expected, "chip_id", r.chip_id, 64);
        check_hex(path, expected, "committed_tcb", r.committed_tcb, 8);
        check_hex(path, expected, "launch_tcb", r.launch_tcb, 8);
        check_hex(path, expected, "launch_mit_vector", r.launch_mit_vector, 8);
        check_hex(path, expected, "current_mit_vector", r.current_mit_vector, 8);
        check_firmware(path, expected, "current_fw", r.current_firmware);
        check_firmware(path, expected, "committed_fw", r.committed_firmware);
        if (r.cpuid)
                check_hex(path, expected, "cpuid_fms", r.cpuid, 3);
        if (text_of(expected, "product"))
                ck_assert(g_str_has_prefix(text_of(expected, "product"), att_snp_line_name(r.line)));
        else
                ck_assert_int_eq(r.line, ATT_SNP_LINE_UNKNOWN);
}

static GBytes *take_out(const char *path, json_t *expected, GBytes *bytes) {
        json_t *hcl = json_object_get(expected, "hcl");
        g_autoptr(GError) error = NULL;
        AttHclReport r;

        ck_assert_msg(att_hcl_report_parse(bytes, &r, &error), "%s: %s", path, error ? error->message : "");
        ck_assert_int_eq(r.type, ATT_HCL_SNP);
        if (hcl) {
                check_number(path, hcl, "hash_type", r.hash);
                check_number(path, hcl, "runtime_claims_size", r.runtime_claims.left);
        }
        return g_bytes_new(r.hardware_report.at, r.hardware_report.left);
}

START_TEST(reads_real_reports_and_refuses_what_is_none) {
        g_autoptr(json_t) all = vectors_expected();
        size_t good = 0, bad = 0, in_envelopes = 0;
        const char *path;
        json_t *expected;

        json_object_foreach(all, path, expected) {
                const char *kind = text_of(expected, "kind");
                bool is_hcl = g_strcmp0(kind, "snp-hcl") == 0;
                g_autoptr(GBytes) bytes = NULL, report = NULL;
                json_int_t version = json_integer_value(json_object_get(expected, "version"));
                AttSnpReport r;

                if (!is_hcl && g_strcmp0(kind, "snp-report") != 0)
                        continue;
                bytes = vectors_read(path);
                report = is_hcl ? take_out(path, expected, bytes) : g_bytes_ref(bytes);
                in_envelopes += is_hcl;
                if (strcmp(text_of(expected, "parse"), "ok") == 0 && version >= 2) {
                        check_report(path, expected, report);
                        good++;
                } else {
                        ck_assert_msg(!att_snp_report_parse(report, &r, NULL), "accepted: %s", path);
                        bad++;
                }
        }
        ck_assert_uint_gt(good, 60);
        ck_assert_uint_gt(in_envelopes, 10);
        ck_assert_uint_eq(bad, 2);
}
END_TEST

int main(int argc, char **argv) {
        Suite *s = suite_create("vectors-snp");
        TCase *t = tcase_create("reports");

        if (!vectors_open(argc, argv))
                return 77;
        tcase_add_test(t, reads_real_reports_and_refuses_what_is_none);
        suite_add_tcase(s, t);
        return run_suite(s);
}
