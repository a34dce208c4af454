/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Certificates of the field: those of real quotes and reports, and the cases of
 * Intel's own verification library. They lie beside the source tree and are no
 * part of it; without them there is nothing to do here. */
#include "crypto/certificate.h"

#include "pki.h"
#include "run.h"

#include <jansson.h>

/* SHA-256 of the SubjectPublicKeyInfo of Intel's SGX Root CA */
#define INTEL_ROOT "a0af031289f5d5d4132f9186068a7fc13628633ba235777472e29b6b6c67a49e"

typedef struct Expected {
        json_t *all;
        char *root;
} Expected;

static Expected *expected_load(void) {
        g_autofree char *path = pki_vectors("EXPECTED.json");
        Expected *e;

        if (!path)
                return NULL;
        e = g_new0(Expected, 1);
        e->root = g_path_get_dirname(path);
        e->all = json_load_file(path, 0, NULL);
        ck_assert_ptr_nonnull(e->all);
        return e;
}

static void expected_free(Expected *e) {
        json_decref(e->all);
        g_free(e->root);
        g_free(e);
}

G_DEFINE_AUTOPTR_CLEANUP_FUNC(Expected, expected_free)

static const char *text(json_t *object, const char *key) {
        const char *value = json_string_value(json_object_get(object, key));

        return value ? value : "";
}

static GBytes *load(const char *dir, const char *name) {
        g_autofree char *path = g_build_filename(dir, name, NULL);
        char *data;
        gsize size;

        return g_file_get_contents(path, &data, &size, NULL) ? g_bytes_new_take(data, size) : NULL;
}

static GPtrArray *one_pin(const AttCertificate *root) {
        g_autoptr(GBytes) spki = att_certificate_dup_spki(root);
        AttPart part = { g_bytes_get_data(spki, NULL), g_bytes_get_size(spki) };
        GPtrArray *pins = g_ptr_array_new_with_free_func((GDestroyNotify) g_bytes_unref);
        uint8_t digest[ATT_SHA256_SIZE];

        att_sha256(&part, 1, digest);
        g_ptr_array_add(pins, g_bytes_new(digest, sizeof digest));
        return pins;
}

static void assert_octets(const uint8_t *p, size_t size, const char *hex, const char *name) {
        g_autoptr(GBytes) bytes = g_bytes_new(p, size);
        g_autofree char *found = pki_to_hex(bytes);

        ck_assert_msg(g_str_equal(found, hex), "%s: %s, not %s", name, found, hex);
}

/* The PEM text in a quote: its place there is the business of another layer. */
static GPtrArray *chain_in_quote(GBytes *quote) {
        static const char begin[] = "-----BEGIN", end[] = "-----END CERTIFICATE-----";
        gsize size;
        const char *p = g_bytes_get_data(quote, &size);
        const char *first = memmem(p, size, begin, strlen(begin));
        const char *last = first;

        for (const char *q = first; q && (q = memmem(q, size - (gsize) (q - p), end, strlen(end)));)
                last = q += strlen(end);
        return first ? att_certificates_from_pem(first, (gsize) (last - first), NULL) : NULL;
}

START_TEST(real_pck_chains_lead_to_the_root_of_intel) {
        g_autoptr(Expected) e = expected_load();
        g_autoptr(GPtrArray) pins = g_ptr_array_new_with_free_func((GDestroyNotify) g_bytes_unref);
        const char *name;
        json_t *facts;
        unsigned n = 0;

        if (!e)
                return;
        g_ptr_array_add(pins, pki_from_hex(INTEL_ROOT));
        json_object_foreach(e->all, name, facts) {
                g_autoptr(GBytes) quote = NULL;
                g_autoptr(GPtrArray) chain = NULL;
                g_autoptr(GError) error = NULL;
                g_autofree char *serial = NULL, *issuer = NULL;
                AttPckExtension x;
                const AttCertificate *pck;
                int64_t from, to;

                if (!g_str_equal(text(facts, "chain"), "ok:intel-sgx-root") || !*text(facts, "pck_serial"))
                        continue;
                quote = load(e->root, name);
                ck_assert_msg(quote != NULL, "%s", name);
                chain = chain_in_quote(quote);
                if (!chain)
                        continue; /* inside some other encoding */
                pck = g_ptr_array_index(chain, 0);
                from = att_certificate_not_before(pck);
                to = att_certificate_not_after(pck);
                for (guint i = 1; i < chain->len; i++)
                        to = MIN(to, att_certificate_not_after(g_ptr_array_index(chain, i)));
                ck_assert_msg(att_chain_verify(chain, pins, from + 1, &error), "%s: %s", name,
                              error ? error->message : "");
                ck_assert(att_chain_verify(chain, pins, to - 1, NULL));
                ck_assert(!att_chain_verify(chain, pins, from - 1, NULL));
                ck_assert(!att_chain_verify(chain, pins, to + 1, NULL));

                ck_assert_msg(att_pck_extension_parse(pck, &x, &error), "%s", name);
                assert_octets(x.fmspc, sizeof x.fmspc, text(facts, "fmspc"), name);
                assert_octets(x.pceid, sizeof x.pceid, text(facts, "pceid"), name);
                assert_octets(x.cpusvn, sizeof x.cpusvn, text(facts, "cpusvn"), name);
                ck_assert_int_eq(x.pcesvn, json_integer_value(json_object_get(facts, "pcesvn")));
                serial = att_certificate_dup_serial(pck);
                issuer = att_certificate_dup_issuer_cn(pck);
                /* There it is a number, here it is bytes. */
                ck_assert(g_str_has_suffix(serial, text(facts, "pck_serial")));
                ck_assert_str_eq(issuer, text(facts, "pck_issuer"));
                n++;
        }
        ck_assert_uint_ge(n, 60);
}
END_TEST

/* What is wrong in these is not for a path: CRLs, and rules of Intel's own about
 * subjects and extensions, which are the verifier's. */
static const char *const fine_as_a_path[] = {
        "InChainRoot_InvalidExtensions",
        "Pck_InvalidExtensions",
        "Positive_PlatformAsIntermediate",
        "Revoked_Intermediate",
        "Revoked_IntermediateUnknownIssuer",
        "Revoked_PCK",
        "Revoked_PckFewEntriesNoneMatch",
        "PlatformCACRL_InvalidSignature",
        "PlatformCACRL_SigningCertMissingExtensions",
        "ProcessorCACRL_SigningCertMissingExtensions",
        "RootCACRL_Expired",
        "RootCACRL_MissingExtensions",
        "TrustedRootCAMissingExtensions",
        "TrustedRootCAWrongSignature",
        "ValidPlatformCACRL",
        "ValidRootCACRL",
        "TCBSigningCertInvalidSubject",
        "TCBSigningCertWithoutRequiredExtensions",
        "TrustedRootCrlCorrupted",
        "TrustedRootCrlExpired",
        "TrustedRootCrlRevokedTCBSigningCert",
        "TrustedRootCrlUnrelatedRevokedCerts",
        "TrustedRootCrlWithoutRequiredExtensions",
        NULL,
};

static GPtrArray *read_pem(const char *dir, const char *const *names) {
        for (; *names; names++) {
                g_autoptr(GBytes) pem = load(dir, *names);

                if (pem)
                        return att_certificates_from_pem(g_bytes_get_data(pem, NULL), g_bytes_get_size(pem), NULL);
        }
        return NULL;
}

/* Leaf first: the cases have it either way. */
static void turn(GPtrArray *chain) {
        g_autofree char *subject = att_certificate_dup_subject_cn(g_ptr_array_index(chain, 0));
        g_autofree char *issuer = att_certificate_dup_issuer_cn(g_ptr_array_index(chain, 0));

        if (!g_str_equal(subject, issuer))
                return;
        for (guint i = 0, k = chain->len - 1; i < k; i++, k--) {
                gpointer t = chain->pdata[i];

                chain->pdata[i] = chain->pdata[k];
                chain->pdata[k] = t;
        }
}

START_TEST(judges_the_cases_of_intel_s_library) {
        static const char *const chains[] = { "IntelSGXCertificateChain.pem", "certChain.pem", "tcb.pem", NULL };
        static const char *const roots[] = { "IntelSGXRootCACertificate.pem", "trustedRoot.pem", "root.pem", NULL };
        g_autoptr(Expected) e = expected_load();
        const char *name;
        json_t *facts;
        unsigned n = 0;

        if (!e)
                return;
        json_object_foreach(e->all, name, facts) {
                g_autofree char *path = g_build_filename(e->root, name, NULL);
                g_autofree char *dir = g_path_get_dirname(path);
                g_autofree char *case_name = g_path_get_basename(dir);
                g_autoptr(GPtrArray) chain = NULL, root = NULL;
                g_autoptr(GDateTime) time = NULL;
                g_autoptr(GError) error = NULL;
                json_t *description;
                gboolean ok = FALSE;

                if (!g_str_equal(text(facts, "kind"), "pki-case"))
                        continue;
                description = json_load_file(path, 0, NULL);
                time = g_date_time_new_from_iso8601(text(description, "time"), NULL);
                ck_assert_ptr_nonnull(time);
                json_decref(description);

                chain = read_pem(dir, chains);
                root = read_pem(dir, roots);
                if (chain && root) {
                        g_autoptr(GPtrArray) pins = one_pin(g_ptr_array_index(root, 0));

                        turn(chain);
                        ok = att_chain_verify(chain, pins, g_date_time_to_unix(time), &error);
                }
                ck_assert_msg(ok == g_strv_contains(fine_as_a_path, case_name), "%s: %s", case_name,
                              error ? error->message : "");
                n++;
        }
        ck_assert_uint_eq(n, 51);
}
END_TEST

typedef struct Named {
        char *subject, *issuer;
        AttCertificate *certificate;
} Named;

static void named_free(Named *n) {
        g_free(n->subject);
        g_free(n->issuer);
        att_certificate_unref(n->certificate);
        g_free(n);
}

static bool has_a_path(AttCertificate *leaf, GPtrArray *cas) {
        g_autofree char *issuer = att_certificate_dup_issuer_cn(leaf);

        for (guint i = 0; i < cas->len; i++) {
                const Named *ask = g_ptr_array_index(cas, i);

                for (guint k = 0; k < cas->len; k++) {
                        const Named *ark = g_ptr_array_index(cas, k);
                        g_autoptr(GPtrArray) pins = NULL, chain = NULL;

                        if (!g_str_equal(issuer, ask->subject) || !g_str_equal(ask->issuer, ark->subject))
                                continue;
                        pins = one_pin(ark->certificate);
                        chain = g_ptr_array_new();
                        g_ptr_array_add(chain, leaf);
                        g_ptr_array_add(chain, ask->certificate);
                        g_ptr_array_add(chain, ark->certificate);
                        if (att_chain_verify(chain, pins, att_certificate_not_before(leaf) + 1, NULL))
                                return true;
                }
        }
        return false;
}

/* RSA-PSS over P-384 keys, and two CAs of one name. */
START_TEST(real_vcek_and_vlek_chains_lead_to_the_roots_of_amd) {
        g_autoptr(Expected) e = expected_load();
        g_autoptr(GPtrArray) cas = g_ptr_array_new_with_free_func((GDestroyNotify) named_free);
        const char *name;
        json_t *facts;
        unsigned n = 0;

        if (!e)
                return;
        json_object_foreach(e->all, name, facts) {
                g_autoptr(GBytes) der = NULL;
                Named *ca;

                if (!g_str_has_prefix(name, "snp/certs/ca-"))
                        continue;
                der = load(e->root, name);
                ca = g_new0(Named, 1);
                ca->certificate = att_certificate_from_der(g_bytes_get_data(der, NULL), g_bytes_get_size(der), NULL);
                ck_assert_msg(ca->certificate != NULL, "%s", name);
                ca->subject = att_certificate_dup_subject_cn(ca->certificate);
                ca->issuer = att_certificate_dup_issuer_cn(ca->certificate);
                g_ptr_array_add(cas, ca);
        }
        json_object_foreach(e->all, name, facts) {
                g_autoptr(GBytes) der = NULL;
                g_autoptr(AttCertificate) leaf = NULL;

                if (!g_str_has_prefix(name, "snp/certs/vcek-") && !g_str_has_prefix(name, "snp/certs/vlek-"))
                        continue;
                der = load(e->root, name);
                leaf = att_certificate_from_der(g_bytes_get_data(der, NULL), g_bytes_get_size(der), NULL);
                ck_assert_msg(leaf != NULL, "%s", name);
                ck_assert_msg(has_a_path(leaf, cas) == g_str_has_prefix(text(facts, "chain"), "ok:"), "%s", name);
                n++;
        }
        ck_assert_uint_ge(n, 40);
}
END_TEST

int main(void) {
        Suite *s = suite_create("vectors");
        TCase *t = tcase_create("vectors");

        tcase_set_timeout(t, 60);
        tcase_add_test(t, real_pck_chains_lead_to_the_root_of_intel);
        tcase_add_test(t, judges_the_cases_of_intel_s_library);
        tcase_add_test(t, real_vcek_and_vlek_chains_lead_to_the_roots_of_amd);
        suite_add_tcase(s, t);
        return run_suite(s);
}
