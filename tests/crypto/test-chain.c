/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "crypto/certificate.h"

#include "pki.h"
#include "run.h"
#include "util/error.h"

#include <openssl/x509v3.h>

/* A vendor's chain of three, and what a test changes of it before it is made. */
typedef struct Vendor {
        PkiSpec root_spec, ca_spec, leaf_spec;
        EVP_PKEY *root_key, *ca_key, *leaf_key;
        X509 *root, *ca, *leaf;
} Vendor;

static Vendor *vendor_new(void) {
        Vendor *v = g_new0(Vendor, 1);

        v->root_spec = (PkiSpec) { .cn = "Test Root CA", .extensions = { PKI_CA } };
        v->ca_spec = (PkiSpec) { .cn = "Test Platform CA",
                                 .extensions = { { "basicConstraints", "critical,CA:TRUE,pathlen:0" },
                                                 { "keyUsage", "critical,keyCertSign,cRLSign" } } };
        v->leaf_spec = (PkiSpec) { .cn = "Test PCK", .extensions = { PKI_LEAF } };
        v->root_key = pki_key("P-256");
        v->ca_key = pki_key("P-256");
        v->leaf_key = pki_key("P-256");
        return v;
}

static void vendor_issue(Vendor *v) {
        v->root = pki_issue(&v->root_spec, v->root_key, NULL, NULL);
        v->ca = pki_issue(&v->ca_spec, v->ca_key, v->root, v->root_key);
        v->leaf = pki_issue(&v->leaf_spec, v->leaf_key, v->ca, v->ca_key);
}

static void vendor_free(Vendor *v) {
        X509_free(v->root);
        X509_free(v->ca);
        X509_free(v->leaf);
        EVP_PKEY_free(v->root_key);
        EVP_PKEY_free(v->ca_key);
        EVP_PKEY_free(v->leaf_key);
        g_free(v);
}

G_DEFINE_AUTOPTR_CLEANUP_FUNC(Vendor, vendor_free)

static void assert_refused(GPtrArray *chain, GPtrArray *pins, int64_t at, const char *who, const char *why) {
        g_autoptr(GError) error = NULL;

        ck_assert(!att_chain_verify(chain, pins, at, &error));
        ck_assert(g_error_matches(error, ATT_ERROR, ATT_ERROR_REFUSED));
        ck_assert_msg(!who || strstr(error->message, who), "\"%s\" does not name %s", error->message, who);
        ck_assert_msg(strstr(error->message, why), "\"%s\" does not say %s", error->message, why);
}

static void assert_accepted(GPtrArray *chain, GPtrArray *pins, int64_t at) {
        g_autoptr(GError) error = NULL;

        ck_assert_msg(att_chain_verify(chain, pins, at, &error), "%s", error ? error->message : "");
}

/* The chain as it is against the same one as it should be. */
static void assert_vendor(Vendor *v, const char *who, const char *why) {
        g_autoptr(Vendor) good = vendor_new();
        g_autoptr(GPtrArray) chain = NULL, pins = NULL, good_chain = NULL, good_pins = NULL;

        vendor_issue(v);
        chain = pki_chain(v->leaf, v->ca, v->root, NULL);
        pins = pki_pins(v->root, NULL);
        assert_refused(chain, pins, PKI_NOW, who, why);

        vendor_issue(good);
        good_chain = pki_chain(good->leaf, good->ca, good->root, NULL);
        good_pins = pki_pins(good->root, NULL);
        assert_accepted(good_chain, good_pins, PKI_NOW);
}

START_TEST(accepts_a_chain_to_a_pinned_root) {
        g_autoptr(Vendor) v = vendor_new();
        g_autoptr(Vendor) other = vendor_new();
        g_autoptr(GPtrArray) chain = NULL, pins = NULL, of_ca = NULL, of_root = NULL;

        vendor_issue(v);
        vendor_issue(other);
        pins = pki_pins(other->root, v->root, NULL);
        chain = pki_chain(v->leaf, v->ca, v->root, NULL);
        of_ca = pki_chain(v->ca, v->root, NULL);
        of_root = pki_chain(v->root, NULL);
        assert_accepted(chain, pins, PKI_NOW);
        assert_accepted(of_ca, pins, PKI_NOW);
        assert_accepted(of_root, pins, PKI_NOW);
}
END_TEST

/* As AMD signs: RSA-4096 with PSS, under it a P-384 key. */
START_TEST(accepts_a_chain_signed_with_rsa_pss) {
        g_autoptr(EVP_PKEY) root_key = pki_key("RSA-PSS-3072");
        g_autoptr(EVP_PKEY) leaf_key = pki_key("P-384");
        g_autoptr(X509) root = pki_issue(&(PkiSpec) { .cn = "ARK", .digest = "SHA384", .extensions = { PKI_CA } },
                                         root_key, NULL, NULL);
        g_autoptr(X509) leaf = pki_issue(&(PkiSpec) { .cn = "VCEK", .digest = "SHA384" }, leaf_key, root, root_key);
        g_autoptr(GPtrArray) chain = pki_chain(leaf, root, NULL), pins = pki_pins(root, NULL);

        assert_accepted(chain, pins, PKI_NOW);
}
END_TEST

START_TEST(sc04_root_that_is_not_pinned_is_refused) {
        g_autoptr(Vendor) v = vendor_new();
        g_autoptr(Vendor) other = vendor_new();
        g_autoptr(GPtrArray) chain = NULL, pins = NULL, others = NULL, none = g_ptr_array_new();
        g_autoptr(GPtrArray) cut = NULL;

        vendor_issue(v);
        vendor_issue(other);
        chain = pki_chain(v->leaf, v->ca, v->root, NULL);
        pins = pki_pins(v->root, NULL);
        others = pki_pins(other->root, NULL);
        assert_accepted(chain, pins, PKI_NOW);
        assert_refused(chain, others, PKI_NOW, "Test Root CA", "not a root that is pinned");
        assert_refused(chain, none, PKI_NOW, "Test Root CA", "not a root that is pinned");

        /* A pin is 32 bytes: its beginning, or nothing, is none. */
        cut = g_ptr_array_new_with_free_func((GDestroyNotify) g_bytes_unref);
        g_ptr_array_add(cut, g_bytes_new(NULL, 0));
        g_ptr_array_add(cut, g_bytes_new_from_bytes(g_ptr_array_index(pins, 0), 0, 31));
        assert_refused(chain, cut, PKI_NOW, "Test Root CA", "not a root that is pinned");
}
END_TEST

/* Names and all as the good one, but signed by a key made for the occasion. */
START_TEST(sc04_chain_signed_by_a_random_key_is_refused) {
        g_autoptr(Vendor) v = vendor_new();
        g_autoptr(EVP_PKEY) random = pki_key("P-256");
        g_autoptr(X509) leaf = NULL, ca = NULL;
        g_autoptr(GPtrArray) good = NULL, pins = NULL, forged_leaf = NULL, forged_ca = NULL;

        vendor_issue(v);
        leaf = pki_issue(&v->leaf_spec, v->leaf_key, v->ca, random);
        ca = pki_issue(&v->ca_spec, v->ca_key, v->root, random);
        pins = pki_pins(v->root, NULL);
        good = pki_chain(v->leaf, v->ca, v->root, NULL);
        forged_leaf = pki_chain(leaf, v->ca, v->root, NULL);
        forged_ca = pki_chain(v->leaf, ca, v->root, NULL);
        assert_accepted(good, pins, PKI_NOW);
        assert_refused(forged_leaf, pins, PKI_NOW, "Test PCK", "signature");
        assert_refused(forged_ca, pins, PKI_NOW, "Test Platform CA", "signature");
}
END_TEST

/* The pin is of the key: the rest of the root must still be the root's own word. */
START_TEST(sc42_root_with_the_pinned_key_but_no_signature_of_it_is_refused) {
        g_autoptr(Vendor) v = vendor_new();
        g_autoptr(EVP_PKEY) random = pki_key("P-256");
        g_autoptr(X509) forged = NULL;
        g_autoptr(GPtrArray) good = NULL, pins = NULL, bad = NULL;

        vendor_issue(v);
        forged = pki_issue(&v->root_spec, v->root_key, NULL, random);
        pins = pki_pins(v->root, NULL);
        good = pki_chain(v->leaf, v->ca, v->root, NULL);
        bad = pki_chain(v->leaf, v->ca, forged, NULL);
        assert_accepted(good, pins, PKI_NOW);
        assert_refused(bad, pins, PKI_NOW, "Test Root CA", "not signed by itself");
}
END_TEST

/* Each key of the chain in turn replaced by a stranger's, all else as it was. */
START_TEST(sc42_each_key_of_the_chain_is_one_that_was_verified) {
        g_autoptr(Vendor) v = vendor_new();
        g_autoptr(EVP_PKEY) stranger = pki_key("P-256");
        g_autoptr(GPtrArray) pins = NULL, good = NULL;
        X509 *parts[3];

        vendor_issue(v);
        pins = pki_pins(v->root, NULL);
        good = pki_chain(v->leaf, v->ca, v->root, NULL);
        assert_accepted(good, pins, PKI_NOW);
        parts[0] = v->leaf;
        parts[1] = v->ca;
        parts[2] = v->root;
        for (size_t i = 0; i < 3; i++) {
                g_autoptr(X509) x509 = X509_dup(parts[i]);
                X509 *with[3] = { parts[0], parts[1], parts[2] };
                g_autoptr(GPtrArray) chain = NULL;
                GError *error = NULL;

                ck_assert_int_eq(X509_set_pubkey(x509, stranger), 1);
                ck_assert_int_gt(i2d_re_X509_tbs(x509, NULL), 0);
                with[i] = x509;
                chain = pki_chain(with[0], with[1], with[2], NULL);
                ck_assert(!att_chain_verify(chain, pins, PKI_NOW, &error));
                ck_assert(g_error_matches(error, ATT_ERROR, ATT_ERROR_REFUSED));
                g_clear_error(&error);
        }
}
END_TEST

/* One certificate of the chain is valid for a while; the others, for all of it. */
static void check_validity(int which, int64_t bad, const char *why) {
        const char *names[] = { "Test PCK", "Test Platform CA", "Test Root CA" };
        g_autoptr(Vendor) v = vendor_new();
        PkiSpec *specs[] = { &v->leaf_spec, &v->ca_spec, &v->root_spec };
        g_autoptr(GPtrArray) chain = NULL, pins = NULL;

        specs[which]->not_before = PKI_NOW - 1000;
        specs[which]->not_after = PKI_NOW + 1000;
        vendor_issue(v);
        chain = pki_chain(v->leaf, v->ca, v->root, NULL);
        pins = pki_pins(v->root, NULL);
        assert_accepted(chain, pins, PKI_NOW - 1000);
        assert_accepted(chain, pins, PKI_NOW + 999);
        assert_refused(chain, pins, bad, names[which], why);
}

START_TEST(sc20a_certificate_past_its_validity_is_refused) {
        check_validity(_i, PKI_NOW + 1001, "expired");
}
END_TEST

START_TEST(sc20b_certificate_before_its_validity_is_refused) {
        check_validity(_i, PKI_NOW - 1001, "not yet valid");
}
END_TEST

START_TEST(sc20_times_far_away_are_no_way_round) {
        g_autoptr(Vendor) v = vendor_new();
        g_autoptr(GPtrArray) chain = NULL, pins = NULL;

        vendor_issue(v);
        chain = pki_chain(v->leaf, v->ca, v->root, NULL);
        pins = pki_pins(v->root, NULL);
        assert_accepted(chain, pins, PKI_NOW);
        assert_refused(chain, pins, 0, NULL, "not yet valid");
        assert_refused(chain, pins, -1, NULL, "not yet valid");
        assert_refused(chain, pins, G_MAXINT32 * 4LL, NULL, "expired");
}
END_TEST

START_TEST(refuses_an_issuer_that_is_no_ca) {
        const PkiExtension cases[][2] = {
                { { "basicConstraints", "critical,CA:FALSE" }, { "keyUsage", "critical,keyCertSign" } },
                { { "keyUsage", "critical,keyCertSign" } },
                { { "basicConstraints", "critical,CA:TRUE" } },
                { { "basicConstraints", "critical,CA:TRUE" }, { "keyUsage", "critical,cRLSign,digitalSignature" } },
                { { NULL } },
        };
        g_autoptr(Vendor) ca = vendor_new(), root = vendor_new();

        memset(ca->ca_spec.extensions, 0, sizeof ca->ca_spec.extensions);
        memcpy(ca->ca_spec.extensions, cases[_i], sizeof cases[_i]);
        assert_vendor(ca, "Test Platform CA", "not a CA");

        memset(root->root_spec.extensions, 0, sizeof root->root_spec.extensions);
        memcpy(root->root_spec.extensions, cases[_i], sizeof cases[_i]);
        assert_vendor(root, "Test Root CA", "not a CA");
}
END_TEST

START_TEST(refuses_an_unknown_critical_extension) {
        const char *names[] = { "Test PCK", "Test Platform CA" };
        g_autoptr(Vendor) v = vendor_new();
        PkiSpec *specs[] = { &v->leaf_spec, &v->ca_spec };

        specs[_i]->extensions[2] = (PkiExtension) { "1.2.3.4", "critical,DER:0500" };
        assert_vendor(v, names[_i], "critical extension");
}
END_TEST

START_TEST(takes_an_unknown_extension_that_is_not_critical) {
        g_autoptr(Vendor) v = vendor_new();
        g_autoptr(GPtrArray) chain = NULL, pins = NULL;

        v->leaf_spec.extensions[2] = (PkiExtension) { "1.2.3.4", "DER:0500" };
        vendor_issue(v);
        chain = pki_chain(v->leaf, v->ca, v->root, NULL);
        pins = pki_pins(v->root, NULL);
        assert_accepted(chain, pins, PKI_NOW);
}
END_TEST

START_TEST(refuses_a_path_longer_than_a_ca_allows) {
        g_autoptr(Vendor) v = vendor_new();

        v->root_spec.extensions[0].value = "critical,CA:TRUE,pathlen:0";
        assert_vendor(v, NULL, "path length");
}
END_TEST

START_TEST(refuses_names_that_do_not_chain) {
        g_autoptr(Vendor) v = vendor_new();
        g_autoptr(X509) renamed = NULL, leaf = NULL;
        g_autoptr(GPtrArray) good = NULL, bad = NULL, pins = NULL;
        PkiSpec other;

        vendor_issue(v);
        /* The leaf is signed by the CA's key, but names another issuer. */
        other = v->ca_spec;
        other.cn = "Another CA";
        renamed = pki_issue(&other, v->ca_key, v->root, v->root_key);
        leaf = pki_issue(&v->leaf_spec, v->leaf_key, renamed, v->ca_key);
        pins = pki_pins(v->root, NULL);
        good = pki_chain(leaf, renamed, v->root, NULL);
        bad = pki_chain(leaf, v->ca, v->root, NULL);
        assert_accepted(good, pins, PKI_NOW);
        assert_refused(bad, pins, PKI_NOW, "Test PCK", "issuer");
}
END_TEST

START_TEST(refuses_another_order_and_what_does_not_belong_there) {
        g_autoptr(Vendor) v = vendor_new(), other = vendor_new();
        g_autoptr(GPtrArray) pins = NULL, good = NULL;

        vendor_issue(v);
        vendor_issue(other);
        pins = pki_pins(v->root, NULL);
        good = pki_chain(v->leaf, v->ca, v->root, NULL);
        assert_accepted(good, pins, PKI_NOW);
        {
                g_autoptr(GPtrArray) swapped = pki_chain(v->ca, v->leaf, v->root, NULL);
                g_autoptr(GPtrArray) backwards = pki_chain(v->root, v->ca, v->leaf, NULL);
                g_autoptr(GPtrArray) stranger = pki_chain(v->leaf, v->ca, other->ca, v->root, NULL);
                g_autoptr(GPtrArray) twice = pki_chain(v->leaf, v->ca, v->ca, v->root, NULL);
                g_autoptr(GPtrArray) roots = pki_chain(v->leaf, v->ca, v->root, v->root, NULL);
                g_autoptr(GPtrArray) gap = pki_chain(v->leaf, v->root, NULL);
                g_autoptr(GPtrArray) rootless = pki_chain(v->leaf, v->ca, NULL);
                g_autoptr(GPtrArray) empty = pki_chain(NULL, NULL);
                g_autoptr(GPtrArray) nine =
                        pki_chain(v->leaf, v->ca, v->ca, v->ca, v->ca, v->ca, v->ca, v->ca, v->root, NULL);

                assert_refused(swapped, pins, PKI_NOW, "Test PCK", "not a CA");
                assert_refused(backwards, pins, PKI_NOW, "Test PCK", "pinned");
                assert_refused(stranger, pins, PKI_NOW, "Test Platform CA", "not the issuer");
                assert_refused(twice, pins, PKI_NOW, "Test Platform CA", "not the issuer");
                assert_refused(roots, pins, PKI_NOW, "Test Root CA", "not the issuer");
                assert_refused(gap, pins, PKI_NOW, "Test PCK", "issuer");
                assert_refused(rootless, pins, PKI_NOW, "Test Platform CA", "pinned");
                assert_refused(empty, pins, PKI_NOW, NULL, "0 certificates");
                assert_refused(nine, pins, PKI_NOW, NULL, "9 certificates");
        }
}
END_TEST

START_TEST(refuses_weak_signatures_and_keys) {
        g_autoptr(Vendor) sha1 = vendor_new(), rsa = vendor_new();

        sha1->leaf_spec.digest = "SHA1";
        assert_vendor(sha1, "Test PCK", "too weak");

        EVP_PKEY_free(rsa->leaf_key);
        rsa->leaf_key = pki_key("RSA-1024");
        assert_vendor(rsa, "Test PCK", "too weak");
}
END_TEST

/* att_chain_verify_name() */

typedef struct Web {
        EVP_PKEY *ca_key, *key;
        X509 *ca, *leaf;
        GPtrArray *chain, *anchors;
} Web;

static const PkiSpec web_ca = { .cn = "Web CA", .extensions = { PKI_CA } };

static Web *web_new(const PkiSpec *leaf) {
        Web *w = g_new0(Web, 1);

        w->ca_key = pki_key("P-256");
        w->key = pki_key("P-256");
        w->ca = pki_issue(&web_ca, w->ca_key, NULL, NULL);
        w->leaf = pki_issue(leaf, w->key, w->ca, w->ca_key);
        w->chain = pki_chain(w->leaf, NULL);
        w->anchors = pki_chain(w->ca, NULL);
        return w;
}

static void web_free(Web *w) {
        EVP_PKEY_free(w->ca_key);
        EVP_PKEY_free(w->key);
        X509_free(w->ca);
        X509_free(w->leaf);
        g_ptr_array_unref(w->chain);
        g_ptr_array_unref(w->anchors);
        g_free(w);
}

G_DEFINE_AUTOPTR_CLEANUP_FUNC(Web, web_free)

static void assert_name(GPtrArray *chain, GPtrArray *anchors, const char *name, bool server, int64_t at,
                        const char *why_not) {
        g_autoptr(GError) error = NULL;
        gboolean ok = att_chain_verify_name(chain, anchors, name, server, at, &error);

        ck_assert_msg(ok == (why_not == NULL), "%s: %s", name, error ? error->message : "accepted");
        if (why_not) {
                ck_assert(g_error_matches(error, ATT_ERROR, ATT_ERROR_REFUSED));
                ck_assert_msg(strstr(error->message, why_not), "\"%s\" does not say %s", error->message, why_not);
        }
}

static const PkiSpec web_leaf = {
        .cn = "cn.example",
        .extensions = { PKI_LEAF,
                        { "subjectAltName",
                          "DNS:a.example,DNS:*.wild.example,DNS:f*.part.example,IP:192.0.2.1,IP:2001:db8::1" } },
};

START_TEST(matches_the_name_of_the_peer) {
        g_autoptr(Web) w = web_new(&web_leaf);
        const struct {
                const char *name;
                const char *why_not;
        } cases[] = {
                { "a.example", NULL },
                { "A.Example", NULL },
                { "x.wild.example", NULL },
                { "192.0.2.1", NULL },
                { "2001:db8::1", NULL },
                { "b.example", "mismatch" },
                { "x.a.example", "mismatch" },
                { "example", "mismatch" },
                { "wild.example", "mismatch" },
                { "x.y.wild.example", "mismatch" },
                { "foo.part.example", "mismatch" },
                { "cn.example", "mismatch" },
                { "192.0.2.2", "mismatch" },
                { "2001:db8::2", "mismatch" },
                { "", "no host name" },
                { ".example", "no host name" },
                { "a..example", "no host name" },
                { "*.wild.example", "no host name" },
                { "a.example/x", "no host name" },
        };

        for (size_t i = 0; i < G_N_ELEMENTS(cases); i++)
                assert_name(w->chain, w->anchors, cases[i].name, true, PKI_NOW, cases[i].why_not);
}
END_TEST

/* RFC 9525: a common name is no name of a host, though there be no other. */
START_TEST(common_name_is_not_the_name_of_the_peer) {
        g_autoptr(Web) with = web_new(&web_leaf);
        g_autoptr(Web) without = web_new(&(PkiSpec) { .cn = "a.example", .extensions = { PKI_LEAF } });

        assert_name(with->chain, with->anchors, "a.example", true, PKI_NOW, NULL);
        assert_name(without->chain, without->anchors, "a.example", true, PKI_NOW, "mismatch");
}
END_TEST

START_TEST(refuses_a_name_of_more_than_253_characters) {
        g_autoptr(Web) w = web_new(&web_leaf);
        g_autofree char *name = g_strnfill(254, 'x');

        assert_name(w->chain, w->anchors, name, true, PKI_NOW, "no host name");
        name[253] = '\0';
        assert_name(w->chain, w->anchors, name, true, PKI_NOW, "mismatch");
}
END_TEST

START_TEST(leaf_must_be_for_the_role) {
        const struct {
                const char *eku;
                bool server, client;
        } cases[] = {
                { "serverAuth", true, false },
                { "clientAuth", false, true },
                { "serverAuth,clientAuth", true, true },
                { "codeSigning", false, false },
        };

        for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
                PkiSpec spec = web_leaf;
                g_autoptr(Web) w = NULL;

                spec.extensions[3] = (PkiExtension) { "extendedKeyUsage", cases[i].eku };
                w = web_new(&spec);
                assert_name(w->chain, w->anchors, "a.example", true, PKI_NOW, cases[i].server ? NULL : "purpose");
                assert_name(w->chain, w->anchors, "a.example", false, PKI_NOW, cases[i].client ? NULL : "purpose");
        }
}
END_TEST

START_TEST(sc20a_leaf_past_its_validity_is_refused) {
        g_autoptr(Web) w = web_new(&web_leaf);

        assert_name(w->chain, w->anchors, "a.example", true, PKI_NOT_AFTER - 1, NULL);
        assert_name(w->chain, w->anchors, "a.example", true, PKI_NOT_AFTER + 1, "expired");
}
END_TEST

START_TEST(sc20b_leaf_before_its_validity_is_refused) {
        g_autoptr(Web) w = web_new(&web_leaf);

        assert_name(w->chain, w->anchors, "a.example", true, PKI_NOT_BEFORE, NULL);
        assert_name(w->chain, w->anchors, "a.example", true, PKI_NOT_BEFORE - 1, "not yet valid");
}
END_TEST

START_TEST(leaf_is_issued_by_an_anchor_or_is_one) {
        g_autoptr(Web) w = web_new(&web_leaf), other = web_new(&web_leaf);
        g_autoptr(EVP_PKEY) own_key = pki_key("P-256");
        g_autoptr(X509) own = pki_issue(&web_leaf, own_key, NULL, NULL);
        g_autoptr(X509) again = pki_issue(&web_leaf, own_key, NULL, NULL);
        g_autoptr(GPtrArray) own_chain = pki_chain(own, NULL), again_chain = pki_chain(again, NULL);
        g_autoptr(GPtrArray) none = g_ptr_array_new();

        assert_name(w->chain, w->anchors, "a.example", true, PKI_NOW, NULL);
        assert_name(w->chain, other->anchors, "a.example", true, PKI_NOW, "certificate \"");
        assert_name(w->chain, none, "a.example", true, PKI_NOW, "no certificate is trusted");
        /* the leaf itself, self-signed or not; but not one like it */
        assert_name(own_chain, own_chain, "a.example", true, PKI_NOW, NULL);
        assert_name(again_chain, own_chain, "a.example", true, PKI_NOW, "certificate \"");
        assert_name(own_chain, w->anchors, "a.example", true, PKI_NOW, "self");
        assert_name(w->chain, w->chain, "a.example", true, PKI_NOW, NULL);
        assert_name(own_chain, own_chain, "b.example", true, PKI_NOW, "mismatch");
}
END_TEST

START_TEST(helpers_help_but_are_not_trusted) {
        g_autoptr(Web) w = web_new(&web_leaf);
        g_autoptr(EVP_PKEY) sub_key = pki_key("P-256"), key = pki_key("P-256");
        const PkiSpec ca_spec = { .cn = "Sub CA", .extensions = { PKI_CA } };
        const PkiSpec not_ca_spec = { .cn = "Not a CA", .extensions = { PKI_LEAF } };
        g_autoptr(X509) sub = pki_issue(&ca_spec, sub_key, w->ca, w->ca_key);
        g_autoptr(X509) not_ca = pki_issue(&not_ca_spec, sub_key, w->ca, w->ca_key);
        g_autoptr(X509) leaf = pki_issue(&web_leaf, key, sub, sub_key);
        g_autoptr(X509) under = pki_issue(&web_leaf, key, not_ca, sub_key);
        g_autoptr(GPtrArray) with = pki_chain(leaf, sub, NULL), without = pki_chain(leaf, NULL);
        g_autoptr(GPtrArray) root_too = pki_chain(leaf, w->leaf, w->ca, sub, NULL);
        g_autoptr(GPtrArray) bad = pki_chain(under, not_ca, NULL), sub_anchor = pki_chain(sub, NULL);
        g_autoptr(Web) other = web_new(&web_leaf);

        assert_name(with, w->anchors, "a.example", true, PKI_NOW, NULL);
        assert_name(root_too, w->anchors, "a.example", true, PKI_NOW, NULL);
        assert_name(without, w->anchors, "a.example", true, PKI_NOW, "issuer");
        assert_name(bad, w->anchors, "a.example", true, PKI_NOW, "CA");
        assert_name(with, other->anchors, "a.example", true, PKI_NOW, "certificate \"Sub CA\": ");
        assert_name(root_too, other->anchors, "a.example", true, PKI_NOW, "certificate \"Sub CA\": ");
        /* An anchor need not be a root. */
        assert_name(without, sub_anchor, "a.example", true, PKI_NOW, NULL);
}
END_TEST

START_TEST(sc34b_refuses_a_chain_over_its_limit) {
        g_autoptr(Web) w = web_new(&web_leaf);

        while (w->chain->len < ATT_CHAIN_MAX)
                g_ptr_array_add(w->chain, pki_certificate(w->ca));
        assert_name(w->chain, w->anchors, "a.example", true, PKI_NOW, NULL);
        g_ptr_array_add(w->chain, pki_certificate(w->ca));
        assert_name(w->chain, w->anchors, "a.example", true, PKI_NOW, "9 certificates");
        g_ptr_array_set_size(w->chain, 0);
        assert_name(w->chain, w->anchors, "a.example", true, PKI_NOW, "0 certificates");
}
END_TEST

START_TEST(refuses_a_leaf_with_a_weak_key) {
        g_autoptr(Web) w = web_new(&web_leaf);
        g_autoptr(EVP_PKEY) weak = pki_key("RSA-1024");
        g_autoptr(X509) leaf = pki_issue(&web_leaf, weak, w->ca, w->ca_key);
        g_autoptr(GPtrArray) chain = pki_chain(leaf, NULL);

        assert_name(chain, w->anchors, "a.example", true, PKI_NOW, "too weak");
}
END_TEST

int main(void) {
        Suite *s = suite_create("chain");
        TCase *t = tcase_create("vendor");
        TCase *name = tcase_create("name");

        tcase_set_timeout(t, 60);
        tcase_add_test(t, accepts_a_chain_to_a_pinned_root);
        tcase_add_test(t, accepts_a_chain_signed_with_rsa_pss);
        tcase_add_test(t, sc04_root_that_is_not_pinned_is_refused);
        tcase_add_test(t, sc04_chain_signed_by_a_random_key_is_refused);
        tcase_add_test(t, sc42_root_with_the_pinned_key_but_no_signature_of_it_is_refused);
        tcase_add_test(t, sc42_each_key_of_the_chain_is_one_that_was_verified);
        tcase_add_loop_test(t, sc20a_certificate_past_its_validity_is_refused, 0, 3);
        tcase_add_loop_test(t, sc20b_certificate_before_its_validity_is_refused, 0, 3);
        tcase_add_test(t, sc20_times_far_away_are_no_way_round);
        tcase_add_loop_test(t, refuses_an_issuer_that_is_no_ca, 0, 5);
        tcase_add_loop_test(t, refuses_an_unknown_critical_extension, 0, 2);
        tcase_add_test(t, takes_an_unknown_extension_that_is_not_critical);
        tcase_add_test(t, refuses_a_path_longer_than_a_ca_allows);
        tcase_add_test(t, refuses_names_that_do_not_chain);
        tcase_add_test(t, refuses_another_order_and_what_does_not_belong_there);
        tcase_add_test(t, refuses_weak_signatures_and_keys);
        suite_add_tcase(s, t);

        tcase_set_timeout(name, 60);
        tcase_add_test(name, matches_the_name_of_the_peer);
        tcase_add_test(name, common_name_is_not_the_name_of_the_peer);
        tcase_add_test(name, refuses_a_name_of_more_than_253_characters);
        tcase_add_test(name, leaf_must_be_for_the_role);
        tcase_add_test(name, sc20a_leaf_past_its_validity_is_refused);
        tcase_add_test(name, sc20b_leaf_before_its_validity_is_refused);
        tcase_add_test(name, leaf_is_issued_by_an_anchor_or_is_one);
        tcase_add_test(name, helpers_help_but_are_not_trusted);
        tcase_add_test(name, sc34b_refuses_a_chain_over_its_limit);
        tcase_add_test(name, refuses_a_leaf_with_a_weak_key);
        suite_add_tcase(s, name);
        return run_suite(s);
}
