/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "crypto/certificate.h"

#include "crypto/der.h"
#include "pki.h"
#include "run.h"
#include "util/error.h"

#include <openssl/x509v3.h>

static const PkiSpec leaf = { .cn = "leaf", .extensions = { PKI_LEAF, { "1.2.3.4", "DER:0401aa" } } };

static X509 *make(const PkiSpec *spec) {
        g_autoptr(EVP_PKEY) key = pki_key("P-256");

        return pki_issue(spec, key, NULL, NULL);
}

static void assert_none(const void *der, size_t size) {
        g_autofree void *exact = g_memdup2(der, size);
        g_autoptr(GError) error = NULL;

        ck_assert_ptr_null(att_certificate_from_der(exact, size, &error));
        ck_assert(g_error_matches(error, ATT_ERROR, ATT_ERROR_BAD_DATA));
}

START_TEST(gives_what_the_certificate_says) {
        g_autoptr(EVP_PKEY) key = pki_key("P-384");
        g_autoptr(EVP_PKEY) ca_key = pki_key("P-256");
        g_autoptr(X509) ca = pki_issue(&(PkiSpec) { .cn = "the CA", .extensions = { PKI_CA } }, ca_key, NULL, NULL);
        g_autoptr(X509) x509 = pki_issue(&leaf, key, ca, ca_key);
        g_autoptr(AttCertificate) certificate = NULL;
        g_autoptr(GBytes) spki = pki_spki(key);
        g_autoptr(GBytes) found_spki = NULL;
        g_autoptr(GBytes) der = pki_der(x509);
        g_autoptr(GBytes) found_der = NULL;
        g_autoptr(GBytes) extension = NULL;
        g_autoptr(AttKey) found_key = NULL;
        g_autofree char *subject = NULL, *issuer = NULL, *serial = NULL;

        ASN1_INTEGER_set_uint64(X509_get_serialNumber(x509), 0xabcdef01234567u);
        X509_sign(x509, ca_key, EVP_sha256());
        g_bytes_unref(der);
        der = pki_der(x509);

        certificate = pki_certificate(x509);
        found_spki = att_certificate_dup_spki(certificate);
        found_der = att_certificate_dup_der(certificate);
        ck_assert(g_bytes_equal(spki, found_spki));
        ck_assert(g_bytes_equal(der, found_der));
        found_key = att_certificate_dup_key(certificate, NULL);
        ck_assert(att_key_fits_scheme(found_key, ATT_SCHEME_ECDSA_SECP384R1_SHA384));

        subject = att_certificate_dup_subject_cn(certificate);
        issuer = att_certificate_dup_issuer_cn(certificate);
        serial = att_certificate_dup_serial(certificate);
        ck_assert_str_eq(subject, "leaf");
        ck_assert_str_eq(issuer, "the CA");
        ck_assert_str_eq(serial, "abcdef01234567");
        ck_assert_int_eq(att_certificate_not_before(certificate), PKI_NOT_BEFORE);
        ck_assert_int_eq(att_certificate_not_after(certificate), PKI_NOT_AFTER);

        extension = att_certificate_dup_extension(certificate, "1.2.3.4");
        ck_assert_uint_eq(g_bytes_get_size(extension), 3);
        ck_assert_mem_eq(g_bytes_get_data(extension, NULL), "\x04\x01\xaa", 3);
        ck_assert_ptr_null(att_certificate_dup_extension(certificate, "1.2.3.5"));
        ck_assert_ptr_null(att_certificate_dup_extension(certificate, "basicConstraints, or so"));
}
END_TEST

static AttCertificate *certificate_of(GBytes *der) {
        gsize size;
        const void *data = g_bytes_get_data(der, &size);

        return att_certificate_from_der(data, size, NULL);
}

START_TEST(outlives_its_first_owner) {
        g_autoptr(X509) x509 = make(&leaf);
        AttCertificate *first = pki_certificate(x509);
        g_autoptr(AttCertificate) second = att_certificate_ref(first);
        g_autofree char *cn = NULL;

        att_certificate_unref(first);
        cn = att_certificate_dup_subject_cn(second);
        ck_assert_str_eq(cn, "leaf");
        att_certificate_unref(NULL);
}
END_TEST

/* Of that many bytes of names. What takes much memory is read for whoever sent it only. */
static void assert_kept(EVP_PKEY *key, gsize size, bool is_kept) {
        g_autoptr(GString) names = g_string_new("DNS:a");

        while (names->len < 2 * size)
                g_string_append(names, ",DNS:a");
        g_autoptr(X509) x509 = pki_issue(&(PkiSpec) { .cn = "long", .extensions = {
                { "subjectAltName", names->str } } }, key, NULL, NULL);
        g_autoptr(GBytes) der = pki_der(x509);
        g_autoptr(AttCertificate) first = certificate_of(der), again = certificate_of(der);
        ck_assert_uint_eq(att_certificate_size(first), g_bytes_get_size(der));
        ck_assert_int_eq(g_bytes_get_size(der) <= ATT_CERTIFICATE_KEPT_MAX, is_kept);
        ck_assert_int_eq(first == again, is_kept);
}

/* What was read lately is not read again: the same one comes back, until others have come. */
START_TEST(is_the_same_while_it_is_kept) {
        g_autoptr(GPtrArray) ders = g_ptr_array_new_with_free_func((GDestroyNotify) g_bytes_unref);
        g_autoptr(AttCertificate) first = NULL, again = NULL, anew = NULL, last = NULL;
        g_autoptr(EVP_PKEY) key = pki_key("P-256");

        assert_kept(key, 3000, true);
        assert_kept(key, 6000, false);
        for (guint i = 0; i < 200; i++) {
                g_autofree char *cn = g_strdup_printf("leaf %u", i);
                g_autoptr(X509) x509 = pki_issue(&(PkiSpec) { .cn = cn, .extensions = { PKI_LEAF } }, key, NULL, NULL);

                g_ptr_array_add(ders, pki_der(x509));
        }
        first = certificate_of(ders->pdata[0]);
        again = certificate_of(ders->pdata[0]);
        ck_assert_ptr_eq(first, again);
        for (guint i = 1; i < ders->len; i++) {
                g_autofree char *cn = g_strdup_printf("leaf %u", i), *found = NULL;
                g_autoptr(AttCertificate) other = certificate_of(ders->pdata[i]);
                g_autoptr(AttKey) of_other = att_certificate_dup_key(other, NULL);
                g_autoptr(AttKey) of_other_again = att_certificate_dup_key(other, NULL);

                found = att_certificate_dup_subject_cn(other);
                ck_assert_str_eq(found, cn);
                ck_assert(of_other && of_other_again);
                att_certificate_unref(last);
                last = att_certificate_ref(other);
        }
        anew = certificate_of(ders->pdata[0]);
        ck_assert_ptr_ne(anew, first);
        att_certificate_unref(again);
        again = certificate_of(ders->pdata[199]);
        ck_assert_ptr_eq(again, last);
}
END_TEST

static gpointer read_in_a_thread(gpointer ders) {
        for (guint round = 0; round < 20; round++)
                for (guint i = 0; i < ((GPtrArray *) ders)->len; i++) {
                        g_autoptr(AttCertificate) c = certificate_of(((GPtrArray *) ders)->pdata[i]);
                        g_autoptr(AttKey) key = att_certificate_dup_key(c, NULL);

                        if (!key || att_certificate_not_after(c) <= att_certificate_not_before(c))
                                return NULL;
                }
        return ders;
}

START_TEST(is_read_by_threads_at_once) {
        g_autoptr(GPtrArray) ders = g_ptr_array_new_with_free_func((GDestroyNotify) g_bytes_unref);
        g_autoptr(EVP_PKEY) key = pki_key("P-256");
        GThread *threads[4];

        for (guint i = 0; i < 150; i++) {
                g_autofree char *cn = g_strdup_printf("leaf %u", i);
                g_autoptr(X509) x509 = pki_issue(&(PkiSpec) { .cn = cn, .extensions = { PKI_LEAF } }, key, NULL, NULL);

                g_ptr_array_add(ders, pki_der(x509));
        }
        for (guint i = 0; i < G_N_ELEMENTS(threads); i++)
                threads[i] = g_thread_new(NULL, read_in_a_thread, ders);
        for (guint i = 0; i < G_N_ELEMENTS(threads); i++)
                ck_assert_ptr_eq(g_thread_join(threads[i]), ders);
}
END_TEST

START_TEST(refuses_every_prefix_of_a_certificate_and_bytes_after_it) {
        g_autoptr(X509) x509 = make(&leaf);
        g_autoptr(GBytes) der = pki_der(x509);
        gsize size = g_bytes_get_size(der);
        g_autofree uint8_t *longer = g_malloc0(size + 1);

        memcpy(longer, g_bytes_get_data(der, NULL), size);
        for (gsize n = 0; n < size; n++)
                assert_none(longer, n);
        assert_none(longer, size + 1);
}
END_TEST

/* d2i_X509() reads all of these. */
START_TEST(refuses_a_certificate_in_ber) {
        g_autoptr(X509) x509 = make(&leaf);
        g_autoptr(GBytes) der = pki_der(x509);
        gsize size = g_bytes_get_size(der);
        const uint8_t *p = g_bytes_get_data(der, NULL);
        g_autofree uint8_t *ber = g_malloc0(size + 4);
        const unsigned char *q = ber;
        X509 *read;

        /* 30 82 LL LL: three bytes of length where two do */
        ck_assert_uint_eq(p[1], 0x82);
        ber[0] = 0x30;
        ber[1] = 0x83;
        memcpy(ber + 3, p + 2, size - 2);
        read = d2i_X509(NULL, &q, (long) size + 1);
        ck_assert_ptr_nonnull(read);
        X509_free(read);
        assert_none(ber, size + 1);

        /* indefinite length */
        ber[1] = 0x80;
        memcpy(ber + 2, p + 4, size - 4);
        ber[size - 2] = ber[size - 1] = 0;
        q = ber;
        read = d2i_X509(NULL, &q, (long) size);
        ck_assert_ptr_nonnull(read);
        X509_free(read);
        assert_none(ber, size);

        /* behind what is signed: signatureAlgorithm 30 0a, with two bytes of length */
        {
                AttCursor c = att_cursor(p + 4, size - 4), content = att_der_take(&c, ATT_DER_SEQUENCE);
                gsize tbs = (gsize) (content.at + content.left - p);

                ck_assert(p[tbs] == 0x30 && p[tbs + 1] == 0x0a);
                memcpy(ber, p, tbs + 1);
                ber[3]++;
                ck_assert_uint_ne(ber[3], 0);
                ber[tbs + 1] = 0x81;
                memcpy(ber + tbs + 2, p + tbs + 1, size - tbs - 1);
                q = ber;
                read = d2i_X509(NULL, &q, (long) size + 1);
                ck_assert_ptr_nonnull(read);
                X509_free(read);
                assert_none(ber, size + 1);
        }
}
END_TEST

START_TEST(refuses_an_extension_that_is_there_twice) {
        PkiSpec twice = leaf, differing = leaf;
        g_autoptr(X509) bad = NULL, good = NULL;
        g_autoptr(GBytes) der = NULL;
        g_autoptr(AttCertificate) certificate = NULL;

        twice.extensions[3] = (PkiExtension) { "1.2.3.4", "DER:0401bb" };
        differing.extensions[3] = (PkiExtension) { "1.2.3.5", "DER:0401bb" };
        bad = make(&twice);
        good = make(&differing);
        der = pki_der(bad);
        assert_none(g_bytes_get_data(der, NULL), g_bytes_get_size(der));
        certificate = pki_certificate(good);
}
END_TEST

static X509 *with_extensions(unsigned n) {
        g_autoptr(EVP_PKEY) key = pki_key("P-256");
        X509 *x509 = pki_issue(&(PkiSpec) { .cn = "many" }, key, NULL, NULL);

        for (unsigned i = 0; i < n; i++) {
                g_autofree char *oid = g_strdup_printf("1.2.3.4.%u", i);
                X509_EXTENSION *e = X509V3_EXT_conf(NULL, NULL, oid, "DER:0500");

                X509_add_ext(x509, e, -1);
                X509_EXTENSION_free(e);
        }
        X509_sign(x509, key, EVP_sha256());
        return x509;
}

START_TEST(sc34b_refuses_more_extensions_than_the_limit) {
        const struct {
                unsigned n;
                bool ok;
        } cases[] = { { 64, true }, { 65, false }, { 3000, false } };
        g_autoptr(X509) x509 = with_extensions(cases[_i].n);
        g_autoptr(GBytes) der = pki_der(x509);
        g_autoptr(AttCertificate) certificate =
                att_certificate_from_der(g_bytes_get_data(der, NULL), g_bytes_get_size(der), NULL);

        ck_assert_int_eq(certificate != NULL, cases[_i].ok);
}
END_TEST

START_TEST(sc34d_refuses_a_certificate_over_its_limit) {
        g_autofree uint8_t *big = g_malloc0(ATT_CERTIFICATE_SIZE_MAX + 1);
        g_autoptr(GError) error = NULL;
        g_autoptr(GString) filler = g_string_new("DER:04820000");
        g_autoptr(X509) x509 = NULL;
        g_autoptr(GBytes) der = NULL;
        g_autoptr(AttCertificate) certificate = NULL;
        g_autofree char *head = NULL;
        gsize room;

        assert_none(big, ATT_CERTIFICATE_SIZE_MAX + 1);
        /* The size alone is the reason: nothing was parsed. */
        ck_assert_ptr_null(att_certificate_from_der(big, G_MAXSIZE, &error));
        ck_assert_ptr_nonnull(strstr(error->message, "bytes"));

        /* One of exactly the limit is fine: fill an extension up to it. */
        for (room = ATT_CERTIFICATE_SIZE_MAX - 400;; room++) {
                PkiSpec spec = { .cn = "filled" };
                g_autoptr(EVP_PKEY) key = pki_key("ED25519");

                head = g_strdup_printf("DER:0482%04x", (unsigned) room);
                g_string_assign(filler, head);
                g_clear_pointer(&head, g_free);
                for (gsize i = 0; i < room; i++)
                        g_string_append(filler, "00");
                spec.extensions[0] = (PkiExtension) { "1.2.3.4", filler->str };
                x509 = pki_issue(&spec, key, NULL, NULL);
                der = pki_der(x509);
                if (g_bytes_get_size(der) >= ATT_CERTIFICATE_SIZE_MAX)
                        break;
                room += ATT_CERTIFICATE_SIZE_MAX - g_bytes_get_size(der) - 1;
                g_clear_pointer(&x509, X509_free);
                g_clear_pointer(&der, g_bytes_unref);
        }
        ck_assert_uint_eq(g_bytes_get_size(der), ATT_CERTIFICATE_SIZE_MAX);
        certificate = att_certificate_from_der(g_bytes_get_data(der, NULL), g_bytes_get_size(der), NULL);
        ck_assert_ptr_nonnull(certificate);
}
END_TEST

START_TEST(names_are_one_printable_common_name_or_none) {
        const struct {
                const char *cn;
                const char *found;
        } cases[] = {
                { "Intel SGX PCK Certificate", "Intel SGX PCK Certificate" },
                { "Zertifikat für Ämter", "Zertifikat für Ämter" },
                { "line\nfeed", "" },
                { "esc\x1b[31m", "" },
                { NULL, "" },
        };
        g_autoptr(EVP_PKEY) key = pki_key("ED25519");

        for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
                g_autoptr(X509) x509 = pki_issue(&(PkiSpec) { .cn = cases[i].cn }, key, NULL, NULL);
                g_autoptr(AttCertificate) certificate = pki_certificate(x509);
                g_autofree char *cn = att_certificate_dup_subject_cn(certificate);

                ck_assert_str_eq(cn, cases[i].found);
        }
}
END_TEST

START_TEST(name_with_a_nul_or_two_names_or_a_long_one_is_none) {
        g_autoptr(EVP_PKEY) key = pki_key("ED25519");
        g_autofree char *longest = g_strnfill(64, 'x'), *longer = g_strnfill(65, 'x');
        const struct {
                const char *first;
                int first_size;
                const char *second;
                bool found;
        } cases[] = {
                { "Intel SGX Root CA", -1, NULL, true },
                { "Intel SGX Root CA\0.example", 26, NULL, false },
                { "Intel SGX Root CA", -1, "example", false },
                { longest, -1, NULL, true },
                { longer, -1, NULL, false },
        };

        for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
                g_autoptr(X509) x509 = pki_issue(&(PkiSpec) { .cn = NULL }, key, NULL, NULL);
                X509_NAME *name = X509_NAME_new();
                g_autoptr(AttCertificate) certificate = NULL;
                g_autofree char *cn = NULL;
                ASN1_STRING *value = ASN1_STRING_type_new(V_ASN1_UTF8STRING);
                X509_NAME_ENTRY *entry;

                /* By hand: OpenSSL's own way in minds the limit of 64. */
                ck_assert_int_eq(ASN1_STRING_set(value, cases[i].first, cases[i].first_size), 1);
                entry = X509_NAME_ENTRY_create_by_NID(NULL, NID_commonName, V_ASN1_UTF8STRING,
                                                      ASN1_STRING_get0_data(value), ASN1_STRING_length(value));
                ck_assert_ptr_nonnull(entry);
                ck_assert_int_eq(X509_NAME_add_entry(name, entry, -1, 0), 1);
                X509_NAME_ENTRY_free(entry);
                ASN1_STRING_free(value);
                if (cases[i].second)
                        ck_assert_int_eq(X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC,
                                                                    (const unsigned char *) cases[i].second, -1, -1, 0),
                                         1);
                ck_assert_int_eq(X509_set_subject_name(x509, name), 1);
                X509_NAME_free(name);
                ck_assert_int_gt(X509_sign(x509, key, NULL), 0);

                certificate = pki_certificate(x509);
                cn = att_certificate_dup_subject_cn(certificate);
                ck_assert_str_eq(cn, cases[i].found ? cases[i].first : "");
        }
}
END_TEST

START_TEST(key_of_a_type_we_do_not_use_is_an_error_of_the_key_alone) {
        g_autoptr(EVP_PKEY) key = pki_key("P-521");
        g_autoptr(X509) x509 = pki_issue(&leaf, key, NULL, NULL);
        g_autoptr(AttCertificate) certificate = pki_certificate(x509);
        g_autoptr(GError) error = NULL;

        ck_assert_ptr_null(att_certificate_dup_key(certificate, &error));
        ck_assert(g_error_matches(error, ATT_ERROR, ATT_ERROR_INVALID_ARGUMENT));
}
END_TEST

/* PEM */

static void assert_no_pem(const char *text, gsize size) {
        g_autofree char *exact = g_memdup2(text, size);
        g_autoptr(GError) error = NULL;

        ck_assert_ptr_null(att_certificates_from_pem(exact, size, &error));
        ck_assert(g_error_matches(error, ATT_ERROR, ATT_ERROR_BAD_DATA));
}

START_TEST(reads_pem_in_the_order_of_the_text) {
        g_autoptr(X509) a = make(&(PkiSpec) { .cn = "a" }), b = make(&(PkiSpec) { .cn = "b" });
        g_autofree char *pem_a = pki_pem(a), *pem_b = pki_pem(b);
        const char *ends[] = { "", "\n", "\r\n \t", "\n\n" };

        for (size_t i = 0; i < G_N_ELEMENTS(ends); i++) {
                g_autofree char *text = g_strconcat(i % 2 ? "\n" : "", pem_a, ends[i], pem_b, ends[i], NULL);

                /* With the text's own NUL, with another one, and without. */
                for (gsize n = strlen(text); n < strlen(text) + 2; n++) {
                        g_autoptr(GPtrArray) all = att_certificates_from_pem(text, n, NULL);
                        g_autofree char *first = NULL, *second = NULL;

                        ck_assert_ptr_nonnull(all);
                        ck_assert_uint_eq(all->len, 2);
                        first = att_certificate_dup_subject_cn(g_ptr_array_index(all, 0));
                        second = att_certificate_dup_subject_cn(g_ptr_array_index(all, 1));
                        ck_assert_str_eq(first, "a");
                        ck_assert_str_eq(second, "b");
                }
        }
}
END_TEST

START_TEST(reads_pem_with_lines_of_any_length) {
        g_autoptr(X509) a = make(&(PkiSpec) { .cn = "a" });
        g_autoptr(GBytes) der = pki_der(a);
        g_autofree char *base64 = g_base64_encode(g_bytes_get_data(der, NULL), g_bytes_get_size(der));
        g_autofree char *text = g_strdup_printf("-----BEGIN CERTIFICATE-----%s-----END CERTIFICATE-----", base64);
        g_autoptr(GPtrArray) all = att_certificates_from_pem(text, strlen(text), NULL);
        g_autoptr(GBytes) found = NULL;

        ck_assert_ptr_nonnull(all);
        found = att_certificate_dup_der(g_ptr_array_index(all, 0));
        ck_assert(g_bytes_equal(found, der));
}
END_TEST

START_TEST(refuses_every_prefix_of_a_pem_text) {
        g_autoptr(X509) a = make(&(PkiSpec) { .cn = "a" });
        g_autofree char *pem = pki_pem(a);

        /* The last byte is the line feed, which may lack. */
        for (gsize n = 0; n < strlen(pem) - 1; n++)
                assert_no_pem(pem, n);
}
END_TEST

START_TEST(refuses_what_is_not_pem_between_certificates) {
        g_autoptr(X509) a = make(&(PkiSpec) { .cn = "a" });
        g_autofree char *pem = pki_pem(a);
        const struct {
                const char *before, *between, *after;
        } cases[] = {
                { "x", "", "" },
                { "", "subject=a\n", "" },
                { "", "", "x" },
                { "", "-----BEGIN CERTIFICATE-----\n", "" },
                { "", "-----BEGIN X509 CRL-----\nAAAA\n-----END X509 CRL-----\n", "" },
                { "", "-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n", "" },
                { "", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "" },
                { "", "", "-----END CERTIFICATE-----" },
        };
        g_autofree char *good = g_strconcat(pem, pem, NULL);
        g_autofree char *nul = g_strconcat(pem, "?", pem, NULL);
        g_autoptr(GPtrArray) all = att_certificates_from_pem(good, strlen(good), NULL);
        gsize size = strlen(nul);

        ck_assert_ptr_nonnull(all);
        for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
                g_autofree char *text =
                        g_strconcat(cases[i].before, pem, cases[i].between, pem, cases[i].after, NULL);

                assert_no_pem(text, strlen(text));
        }
        nul[strlen(pem)] = '\0';
        assert_no_pem(nul, size);
        assert_no_pem("", 0);
        assert_no_pem("\n \0\0", 4);
}
END_TEST

/* What a lenient decoder drops: SC-19 calls it the decode length. */
START_TEST(sc19f_refuses_base64_that_is_not) {
        g_autoptr(X509) a = make(&(PkiSpec) { .cn = "a" });
        g_autofree char *pem = pki_pem(a);
        const char junk[] = "-=*?\"\x80";
        char *body = strchr(pem, '\n') + 1;

        for (size_t i = 0; junk[i]; i++) {
                g_autofree char *text = g_strdup(pem);

                text[body - pem + 10] = junk[i];
                assert_no_pem(text, strlen(text));
        }
        /* one character less, three more, padding of three */
        {
                g_autofree char *less = g_strdup_printf("%.*s%s", (int) (body - pem), pem, body + 1);
                g_autofree char *more = g_strdup_printf("%.*sAAA%s", (int) (body - pem), pem, body);
                const char *end = strstr(pem, "-----END");
                g_autofree char *padded = g_strdup_printf("%.*s=A===%s", (int) (end - pem), pem, end);

                assert_no_pem(less, strlen(less));
                assert_no_pem(more, strlen(more));
                assert_no_pem(padded, strlen(padded));
        }
}
END_TEST

/* What GLib's decoder would pass over: '=' in the first half of a group of four
 * stands for 'A', and what makes no group at the end is dropped. */
START_TEST(sc19f_refuses_base64_that_a_decoder_would_mend) {
        g_autoptr(X509) x509 = NULL;
        g_autoptr(GBytes) der = NULL;
        g_autofree char *base64 = NULL, *good = NULL, *longer = NULL, *equals = NULL;
        g_autoptr(GPtrArray) all = NULL;
        size_t at = 0;

        do { /* until it needs no padding: the size of an ECDSA signature varies */
                g_clear_pointer(&x509, X509_free);
                g_clear_pointer(&der, g_bytes_unref);
                x509 = make(&(PkiSpec) { .cn = "a" });
                der = pki_der(x509);
        } while (g_bytes_get_size(der) % 3 != 0);
        base64 = g_base64_encode(g_bytes_get_data(der, NULL), g_bytes_get_size(der));
        good = g_strdup_printf("-----BEGIN CERTIFICATE-----%s-----END CERTIFICATE-----", base64);
        longer = g_strdup_printf("-----BEGIN CERTIFICATE-----%sA-----END CERTIFICATE-----", base64);
        while (base64[at] != 'A' || at % 4 > 1)
                ck_assert(base64[at++]);
        base64[at] = '=';
        equals = g_strdup_printf("-----BEGIN CERTIFICATE-----%s-----END CERTIFICATE-----", base64);

        all = att_certificates_from_pem(good, strlen(good), NULL);
        ck_assert_ptr_nonnull(all);
        assert_no_pem(longer, strlen(longer));
        assert_no_pem(equals, strlen(equals));
}
END_TEST

START_TEST(sc34b_refuses_more_certificates_than_a_chain_has) {
        g_autoptr(X509) a = make(&(PkiSpec) { .cn = "a" });
        g_autofree char *pem = pki_pem(a);
        g_autoptr(GString) text = g_string_new(NULL);
        g_autoptr(GPtrArray) all = NULL;

        for (unsigned i = 0; i < ATT_CHAIN_MAX; i++)
                g_string_append(text, pem);
        all = att_certificates_from_pem(text->str, text->len, NULL);
        ck_assert_ptr_nonnull(all);
        ck_assert_uint_eq(all->len, ATT_CHAIN_MAX);
        g_string_append(text, pem);
        assert_no_pem(text->str, text->len);
}
END_TEST

/* A body that ends far away is not read to its end. */
START_TEST(sc34c_refuses_a_pem_body_over_its_limit) {
        g_autoptr(GString) text = g_string_new("-----BEGIN CERTIFICATE-----\n");

        while (text->len < 200 * 1024)
                g_string_append(text, "AAAA");
        g_string_append(text, "\n-----END CERTIFICATE-----\n");
        assert_no_pem(text->str, text->len);
}
END_TEST

START_TEST(reads_a_bundle_with_text_between) {
        g_autoptr(X509) a = make(&(PkiSpec) { .cn = "a" }), b = make(&(PkiSpec) { .cn = "b" });
        g_autofree char *pem_a = pki_pem(a), *pem_b = pki_pem(b);
        g_autofree char *text = g_strconcat("# the first\n", pem_a, "\nsubject=b\n", pem_b, "end\n", NULL);
        g_autofree char *broken = g_strconcat(pem_a, "-----BEGIN CERTIFICATE-----\nAAAA\n", NULL);
        g_autoptr(GPtrArray) all = att_anchors_from_pem(text, strlen(text), NULL);
        g_autoptr(GString) many = g_string_new(NULL);
        g_autoptr(GPtrArray) most = NULL;
        g_autoptr(GError) error = NULL;

        ck_assert_ptr_nonnull(all);
        ck_assert_uint_eq(all->len, 2);
        ck_assert_ptr_null(att_anchors_from_pem(broken, strlen(broken), NULL));
        ck_assert_ptr_null(att_anchors_from_pem("no", 2, NULL));
        ck_assert_ptr_null(att_anchors_from_pem(NULL, 0, NULL));

        for (unsigned i = 0; i < ATT_ANCHORS_MAX; i++)
                g_string_append(many, pem_a);
        most = att_anchors_from_pem(many->str, many->len, NULL);
        ck_assert_uint_eq(most->len, ATT_ANCHORS_MAX);
        g_string_append(many, pem_a);
        ck_assert_ptr_null(att_anchors_from_pem(many->str, many->len, &error));
        ck_assert(g_error_matches(error, ATT_ERROR, ATT_ERROR_BAD_DATA));
}
END_TEST

int main(void) {
        Suite *s = suite_create("certificate");
        TCase *t = tcase_create("certificate");

        tcase_set_timeout(t, 60);
        tcase_add_test(t, gives_what_the_certificate_says);
        tcase_add_test(t, outlives_its_first_owner);
        tcase_add_test(t, is_the_same_while_it_is_kept);
        tcase_add_test(t, is_read_by_threads_at_once);
        tcase_add_test(t, refuses_every_prefix_of_a_certificate_and_bytes_after_it);
        tcase_add_test(t, refuses_a_certificate_in_ber);
        tcase_add_test(t, refuses_an_extension_that_is_there_twice);
        tcase_add_loop_test(t, sc34b_refuses_more_extensions_than_the_limit, 0, 3);
        tcase_add_test(t, sc34d_refuses_a_certificate_over_its_limit);
        tcase_add_test(t, names_are_one_printable_common_name_or_none);
        tcase_add_test(t, name_with_a_nul_or_two_names_or_a_long_one_is_none);
        tcase_add_test(t, key_of_a_type_we_do_not_use_is_an_error_of_the_key_alone);
        tcase_add_test(t, reads_pem_in_the_order_of_the_text);
        tcase_add_test(t, reads_pem_with_lines_of_any_length);
        tcase_add_test(t, refuses_every_prefix_of_a_pem_text);
        tcase_add_test(t, refuses_what_is_not_pem_between_certificates);
        tcase_add_test(t, sc19f_refuses_base64_that_is_not);
        tcase_add_test(t, sc19f_refuses_base64_that_a_decoder_would_mend);
        tcase_add_test(t, sc34b_refuses_more_certificates_than_a_chain_has);
        tcase_add_test(t, sc34c_refuses_a_pem_body_over_its_limit);
        tcase_add_test(t, reads_a_bundle_with_text_between);
        suite_add_tcase(s, t);
        return run_suite(s);
}
