/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "crypto/certificate.h"

#include "pki.h"
#include "run.h"
#include "util/error.h"

#include <openssl/x509v3.h>

#define AMD "1.3.6.1.4.1.3704.1."
#define HWID \
        "c0ffee0000000001c0ffee0000000002c0ffee0000000003c0ffee0000000004" \
        "c0ffee0000000005c0ffee0000000006c0ffee0000000007c0ffee0000000008"

/* OID below AMD's and DER of the value in hexadecimal; what a test changes is one line. */
typedef struct Line {
        const char *arc;
        const char *hex;
} Line;

/* "Milan-B0" */
#define MILAN_B0 "16084d696c616e2d4230"

static const Line milan[] = {
        { "1", "020100" },   { "2", MILAN_B0 },   { "3.1", "020104" }, { "3.2", "020101" },   { "3.3", "020118" },
        { "3.4", "020100" }, { "3.5", "020100" }, { "3.6", "020100" }, { "3.7", "020100" }, { "3.8", "020200db" },
        { "4", HWID },
};

static AttCertificate *with(const Line *lines, size_t n_lines, const Line *instead, const Line *more) {
        static const PkiSpec spec = { .cn = "SEV-VCEK" };
        g_autoptr(EVP_PKEY) key = pki_key("P-384");
        g_autoptr(X509) x509 = pki_issue(&spec, key, NULL, NULL);

        for (size_t i = 0; i < n_lines + (more ? 1 : 0); i++) {
                const Line *line = i == n_lines ? more : &lines[i];

                if (instead && line != more && g_str_equal(instead->arc, line->arc))
                        line = instead;
                if (!line->hex)
                        continue;
                g_autofree char *oid = g_strconcat(AMD, line->arc, NULL);
                g_autoptr(GBytes) der = pki_from_hex(line->hex);
                ASN1_OCTET_STRING *content = ASN1_OCTET_STRING_new();
                ASN1_OBJECT *object = OBJ_txt2obj(oid, 1);
                X509_EXTENSION *e;

                ck_assert_int_eq(ASN1_OCTET_STRING_set(content, g_bytes_get_data(der, NULL),
                                                       (int) g_bytes_get_size(der)), 1);
                e = X509_EXTENSION_create_by_OBJ(NULL, object, 0, content);
                ck_assert_int_eq(X509_add_ext(x509, e, -1), 1);
                X509_EXTENSION_free(e);
                ASN1_OBJECT_free(object);
                ASN1_OCTET_STRING_free(content);
        }
        ck_assert_int_gt(X509_sign(x509, key, EVP_sha384()), 0);
        return pki_certificate(x509);
}

static AttCertificate *milan_but(const char *arc, const char *hex) {
        const Line instead = { arc, hex };

        return with(milan, G_N_ELEMENTS(milan), &instead, NULL);
}

static bool parses(const AttCertificate *certificate, const char *says) {
        g_autoptr(GError) error = NULL;
        AttVekExtensions e = { .microcode = 77 };

        if (att_vek_extensions_parse(certificate, &e, &error)) {
                ck_assert_ptr_null(error);
                return true;
        }
        ck_assert(g_error_matches(error, ATT_ERROR, ATT_ERROR_BAD_DATA));
        ck_assert_msg(strstr(error->message, says), "%s", error->message);
        ck_assert_uint_eq(e.microcode, 77);
        return false;
}

START_TEST(reads_a_vcek) {
        g_autoptr(AttCertificate) certificate = with(milan, G_N_ELEMENTS(milan), NULL, NULL);
        g_autoptr(GBytes) hwid = pki_from_hex(HWID);
        AttVekExtensions e;

        ck_assert(att_vek_extensions_parse(certificate, &e, NULL));
        ck_assert(!e.is_vlek);
        ck_assert_uint_eq(e.struct_version, 0);
        ck_assert_str_eq(e.product, "Milan-B0");
        ck_assert_uint_eq(e.bootloader, 4);
        ck_assert_uint_eq(e.tee, 1);
        ck_assert_uint_eq(e.snp, 24);
        ck_assert_uint_eq(e.microcode, 219);
        ck_assert(!e.has_fmc);
        ck_assert_uint_eq(e.hwid_size, 64);
        ck_assert_mem_eq(e.hwid, g_bytes_get_data(hwid, NULL), 64);
        ck_assert_str_eq(e.csp_id, "");
}
END_TEST

START_TEST(reads_a_vcek_of_turin_with_its_short_id) {
        static const Line fmc = { "3.9", "020101" };
        const Line instead = { "4", "c0ffee0000000001" };
        g_autoptr(AttCertificate) certificate = with(milan, G_N_ELEMENTS(milan), &instead, &fmc);
        AttVekExtensions e;

        ck_assert(att_vek_extensions_parse(certificate, &e, NULL));
        ck_assert(e.has_fmc);
        ck_assert_uint_eq(e.fmc, 1);
        ck_assert_uint_eq(e.hwid_size, 8);
        ck_assert_uint_eq(e.hwid[7], 1);
}
END_TEST

START_TEST(reads_an_id_that_is_wrapped) {
        g_autoptr(AttCertificate) long_one = milan_but("4", "0440" HWID);
        g_autoptr(AttCertificate) short_one = milan_but("4", "0408c0ffee0000000001");
        AttVekExtensions e;

        ck_assert(att_vek_extensions_parse(long_one, &e, NULL));
        ck_assert_uint_eq(e.hwid_size, 64);
        ck_assert_uint_eq(e.hwid[0], 0xc0);
        ck_assert(att_vek_extensions_parse(short_one, &e, NULL));
        ck_assert_uint_eq(e.hwid_size, 8);
}
END_TEST

START_TEST(reads_a_vlek) {
        static const Line csp = { "5", "1604434e3d61" };
        const Line instead = { "4", NULL };
        g_autoptr(AttCertificate) certificate = with(milan, G_N_ELEMENTS(milan), &instead, &csp);
        AttVekExtensions e;

        ck_assert(att_vek_extensions_parse(certificate, &e, NULL));
        ck_assert(e.is_vlek);
        ck_assert_uint_eq(e.hwid_size, 0);
        ck_assert_str_eq(e.csp_id, "CN=a");
}
END_TEST

START_TEST(tells_a_chip_from_a_provider_by_what_is_named) {
        static const Line csp = { "5", "1604434e3d61" };
        const Line no_hwid = { "4", NULL };
        g_autoptr(AttCertificate) both = with(milan, G_N_ELEMENTS(milan), NULL, &csp);
        g_autoptr(AttCertificate) neither = with(milan, G_N_ELEMENTS(milan), &no_hwid, NULL);
        g_autoptr(AttCertificate) good = with(milan, G_N_ELEMENTS(milan), NULL, NULL);

        ck_assert(parses(good, ""));
        ck_assert(!parses(both, "a chip and a provider"));
        ck_assert(!parses(neither, "neither a chip nor a provider"));
}
END_TEST

static const struct {
        const char *what;
        const char *arc;
        const char *hex; /* NULL: left out */
        const char *says;
} faults[] = {
        { "no struct version", "1", NULL, "1.1 is missing" },
        { "no product", "2", NULL, "1.2 is missing" },
        { "no boot loader", "3.1", NULL, "3.1 is missing" },
        { "no TEE", "3.2", NULL, "3.2 is missing" },
        { "no SNP", "3.3", NULL, "3.3 is missing" },
        { "no microcode", "3.8", NULL, "3.8 is missing" },
        { "boot loader of 256", "3.1", "02020100", "number of one byte" },
        { "boot loader below 0", "3.1", "0201ff", "number of one byte" },
        { "boot loader with a zero too many", "3.1", "02020004", "number of one byte" },
        { "boot loader as text", "3.1", "160134", "number of one byte" },
        { "boot loader with something after it", "3.1", "02010400", "number of one byte" },
        { "boot loader cut short", "3.1", "0201", "number of one byte" },
        { "boot loader empty", "3.1", "0200", "number of one byte" },
        { "spare part in use", "3.5", "020101", "reserved" },
        { "spare part that is none", "3.6", "0500", "number of one byte" },
        { "product as UTF-8", "2", "0c084d696c616e2d4230", "short text" },
        { "product empty", "2", "1600", "short text" },
        { "product with a NUL", "2", "16034d0061", "short text" },
        { "product with a line feed", "2", "16034d0a61", "short text" },
        { "product of 32 bytes", "2",
          "16204d4d4d4d4d4d4d4d4d4d4d4d4d4d4d4d4d4d4d4d4d4d4d4d4d4d4d4d4d4d4d4d", "short text" },
        { "product with something after it", "2", MILAN_B0 "00", "short text" },
        { "id of 63 bytes", "4", "c0ffee0000000001c0ffee0000000002c0ffee0000000003c0ffee0000000004"
          "c0ffee0000000005c0ffee0000000006c0ffee0000000007c0ffee00000000", "id of a chip" },
        { "id of 65 bytes", "4", HWID "00", "id of a chip" },
        { "id empty", "4", "", "id of a chip" },
        { "id wrapped, of 16 bytes", "4", "0410c0ffee0000000001c0ffee0000000002", "id of a chip" },
        { "id wrapped as something else", "4", "0340" HWID, "id of a chip" },
        { "id wrapped, with something after it", "4", "0408c0ffee000000000100", "id of a chip" },
};

START_TEST(sc19a_refuses_what_lacks_is_twice_or_out_of_range) {
        g_autoptr(AttCertificate) good = with(milan, G_N_ELEMENTS(milan), NULL, NULL);
        g_autoptr(AttCertificate) bad = milan_but(faults[_i].arc, faults[_i].hex);

        ck_assert(parses(good, ""));
        ck_assert_msg(!parses(bad, faults[_i].says), "accepted: %s", faults[_i].what);
}
END_TEST

START_TEST(what_is_spare_may_be_absent) {
        static const Line few[] = {
                { "1", "020101" }, { "2", MILAN_B0 }, { "3.1", "020104" }, { "3.2", "020101" },
                { "3.3", "020118" }, { "3.8", "020200db" }, { "4", HWID },
        };
        g_autoptr(AttCertificate) certificate = with(few, G_N_ELEMENTS(few), NULL, NULL);

        ck_assert(parses(certificate, ""));
}
END_TEST

START_TEST(an_ordinary_certificate_is_none) {
        g_autoptr(AttCertificate) certificate = with(NULL, 0, NULL, NULL);

        ck_assert(!parses(certificate, "not a VCEK or VLEK"));
}
END_TEST

START_TEST(certificates_are_read_in_pem_or_der) {
        g_autoptr(AttCertificate) certificate = with(NULL, 0, NULL, NULL);
        g_autoptr(GBytes) der = att_certificate_dup_der(certificate), again = NULL;
        g_autofree char *base64 = g_base64_encode(g_bytes_get_data(der, NULL), g_bytes_get_size(der));
        g_autofree char *pem = g_strdup_printf("\n-----BEGIN CERTIFICATE-----\n%s\n-----END CERTIFICATE-----\n",
                                               base64);
        g_autofree char *two = g_strconcat(pem, pem, NULL);
        static const char *const none[] = { "", " ", "\n", "-", "x", "-----BEGIN CERTIFICATE-----" };
        g_autoptr(GPtrArray) of_der = att_certificates_from_bytes(g_bytes_get_data(der, NULL), g_bytes_get_size(der),
                                                                  NULL);
        g_autoptr(GPtrArray) of_pem = att_certificates_from_bytes(two, strlen(two), NULL);

        ck_assert(of_der && of_der->len == 1);
        ck_assert(of_pem && of_pem->len == 2);
        again = att_certificate_dup_der(of_pem->pdata[1]);
        ck_assert(g_bytes_equal(der, again));
        for (size_t i = 0; i < G_N_ELEMENTS(none); i++) {
                g_autoptr(GError) error = NULL;

                ck_assert_ptr_null(att_certificates_from_bytes(none[i], strlen(none[i]), &error));
                ck_assert(g_error_matches(error, ATT_ERROR, ATT_ERROR_BAD_DATA));
        }
        for (size_t n = 0; n < g_bytes_get_size(der); n++) {
                g_autofree uint8_t *part = g_memdup2(g_bytes_get_data(der, NULL), n);

                ck_assert_ptr_null(att_certificates_from_bytes(part, n, NULL));
        }
}
END_TEST

int main(void) {
        Suite *s = suite_create("vek-extensions");
        TCase *t = tcase_create("extensions");

        tcase_add_test(t, reads_a_vcek);
        tcase_add_test(t, reads_a_vcek_of_turin_with_its_short_id);
        tcase_add_test(t, reads_an_id_that_is_wrapped);
        tcase_add_test(t, reads_a_vlek);
        tcase_add_test(t, tells_a_chip_from_a_provider_by_what_is_named);
        tcase_add_loop_test(t, sc19a_refuses_what_lacks_is_twice_or_out_of_range, 0, (int) G_N_ELEMENTS(faults));
        tcase_add_test(t, what_is_spare_may_be_absent);
        tcase_add_test(t, an_ordinary_certificate_is_none);
        tcase_add_test(t, certificates_are_read_in_pem_or_der);
        suite_add_tcase(s, t);
        return run_suite(s);
}
