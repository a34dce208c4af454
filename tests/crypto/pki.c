/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "pki.h"

#include "crypto/key.h"

#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509v3.h>

/* Not g_assert(): these calls do the work. */
#define MUST(x)                                                 \
        do {                                                    \
                if (!(x))                                       \
                        g_error("%s:%d: %s", __FILE__, __LINE__, #x); \
        } while (0)

EVP_PKEY *pki_key(const char *type) {
        EVP_PKEY *key = NULL;

        if (g_str_has_prefix(type, "RSA-")) {
                bool pss = g_str_has_prefix(type, "RSA-PSS-");
                size_t bits = (size_t) g_ascii_strtoull(strrchr(type, '-') + 1, NULL, 10);
                EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, pss ? "RSA-PSS" : "RSA", NULL);

                MUST(ctx && EVP_PKEY_keygen_init(ctx) == 1);
                MUST(EVP_PKEY_CTX_set_rsa_keygen_bits(ctx, (int) bits) == 1);
                MUST(EVP_PKEY_generate(ctx, &key) == 1);
                EVP_PKEY_CTX_free(ctx);
        } else if (g_str_equal(type, "ED25519")) {
                key = EVP_PKEY_Q_keygen(NULL, NULL, type);
        } else {
                key = EVP_PKEY_Q_keygen(NULL, NULL, "EC", type);
        }
        MUST(key);
        return key;
}

X509 *pki_issue(const PkiSpec *spec, EVP_PKEY *key, X509 *issuer, EVP_PKEY *issuer_key) {
        static int serial = 1;
        X509 *x509 = X509_new();
        X509_NAME *name = X509_NAME_new();
        EVP_PKEY *signer = issuer_key ? issuer_key : key;
        const EVP_MD *md = spec->digest ? EVP_get_digestbyname(spec->digest)
                         : EVP_PKEY_is_a(signer, "ED25519") ? NULL
                                                            : EVP_sha256();
        X509V3_CTX v3;

        MUST(x509 && name && X509_set_version(x509, X509_VERSION_3) == 1);
        MUST(ASN1_INTEGER_set(X509_get_serialNumber(x509), serial++) == 1);
        if (spec->cn)
                MUST(X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8, (const unsigned char *) spec->cn, -1, -1,
                                                0) == 1);
        MUST(X509_set_subject_name(x509, name) == 1);
        MUST(X509_set_issuer_name(x509, issuer ? X509_get_subject_name(issuer) : name) == 1);
        X509_NAME_free(name);
        MUST(ASN1_TIME_set(X509_getm_notBefore(x509), spec->not_before ? spec->not_before : PKI_NOT_BEFORE));
        MUST(ASN1_TIME_set(X509_getm_notAfter(x509), spec->not_after ? spec->not_after : PKI_NOT_AFTER));
        MUST(X509_set_pubkey(x509, key) == 1);

        X509V3_set_ctx(&v3, issuer ? issuer : x509, x509, NULL, NULL, 0);
        for (size_t i = 0; i < G_N_ELEMENTS(spec->extensions) && spec->extensions[i].name; i++) {
                X509_EXTENSION *e = X509V3_EXT_conf(NULL, &v3, spec->extensions[i].name, spec->extensions[i].value);

                MUST(e && X509_add_ext(x509, e, -1) == 1);
                X509_EXTENSION_free(e);
        }
        MUST(X509_sign(x509, signer, md) > 0);
        return x509;
}

GBytes *pki_der(X509 *x509) {
        unsigned char *der = NULL;
        int size = i2d_X509(x509, &der);
        GBytes *bytes;

        MUST(size > 0);
        bytes = g_bytes_new(der, (gsize) size);
        OPENSSL_free(der);
        return bytes;
}

GBytes *pki_spki(EVP_PKEY *key) {
        unsigned char *der = NULL;
        int size = i2d_PUBKEY(key, &der);
        GBytes *bytes;

        MUST(size > 0);
        bytes = g_bytes_new(der, (gsize) size);
        OPENSSL_free(der);
        return bytes;
}

AttCertificate *pki_certificate(X509 *x509) {
        g_autoptr(GBytes) der = pki_der(x509);
        AttCertificate *certificate =
                att_certificate_from_der(g_bytes_get_data(der, NULL), g_bytes_get_size(der), NULL);

        MUST(certificate);
        return certificate;
}

GPtrArray *pki_chain(X509 *leaf, ...) {
        GPtrArray *chain = g_ptr_array_new_with_free_func((GDestroyNotify) att_certificate_unref);
        va_list more;

        va_start(more, leaf);
        for (X509 *x = leaf; x; x = va_arg(more, X509 *))
                g_ptr_array_add(chain, pki_certificate(x));
        va_end(more);
        return chain;
}

GPtrArray *pki_pins(X509 *root, ...) {
        GPtrArray *pins = g_ptr_array_new_with_free_func((GDestroyNotify) g_bytes_unref);
        va_list more;

        va_start(more, root);
        for (X509 *x = root; x; x = va_arg(more, X509 *)) {
                g_autoptr(GBytes) spki = pki_spki(X509_get0_pubkey(x));
                AttPart part = { g_bytes_get_data(spki, NULL), g_bytes_get_size(spki) };
                uint8_t digest[ATT_SHA256_SIZE];

                att_sha256(&part, 1, digest);
                g_ptr_array_add(pins, g_bytes_new(digest, sizeof digest));
        }
        va_end(more);
        return pins;
}

char *pki_pem(X509 *x509) {
        BIO *bio = BIO_new(BIO_s_mem());
        char *data, *text;
        long size;

        MUST(bio && PEM_write_bio_X509(bio, x509) == 1);
        size = BIO_get_mem_data(bio, &data);
        text = g_strndup(data, (gsize) size);
        BIO_free(bio);
        return text;
}

GBytes *pki_sign(EVP_PKEY *key, uint16_t scheme, const void *data, size_t size) {
        static const struct {
                uint16_t scheme;
                const char *digest;
        } digests[] = {
                { ATT_SCHEME_ECDSA_SECP256R1_SHA256, "SHA256" }, { ATT_SCHEME_ECDSA_SECP384R1_SHA384, "SHA384" },
                { ATT_SCHEME_RSA_PSS_RSAE_SHA256, "SHA256" },    { ATT_SCHEME_RSA_PSS_RSAE_SHA384, "SHA384" },
                { ATT_SCHEME_RSA_PSS_RSAE_SHA512, "SHA512" },    { ATT_SCHEME_ED25519, NULL },
        };
        EVP_MD_CTX *ctx = EVP_MD_CTX_new();
        EVP_PKEY_CTX *pctx = NULL;
        const char *digest = NULL;
        size_t n = 0;
        unsigned char *signature;

        for (size_t i = 0; i < G_N_ELEMENTS(digests); i++)
                if (digests[i].scheme == scheme)
                        digest = digests[i].digest;
        MUST(EVP_DigestSignInit_ex(ctx, &pctx, digest, NULL, NULL, key, NULL) == 1);
        if (EVP_PKEY_is_a(key, "RSA")) {
                MUST(EVP_PKEY_CTX_set_rsa_padding(pctx, RSA_PKCS1_PSS_PADDING) == 1);
                MUST(EVP_PKEY_CTX_set_rsa_pss_saltlen(pctx, RSA_PSS_SALTLEN_DIGEST) == 1);
        }
        MUST(EVP_DigestSign(ctx, NULL, &n, data, size) == 1);
        signature = g_malloc(n);
        MUST(EVP_DigestSign(ctx, signature, &n, data, size) == 1);
        EVP_MD_CTX_free(ctx);
        return g_bytes_new_take(signature, n);
}

GBytes *pki_from_hex(const char *hex) {
        GByteArray *out = g_byte_array_new();

        for (; *hex; hex += 2) {
                guint8 b = (guint8) (g_ascii_xdigit_value(hex[0]) << 4 | g_ascii_xdigit_value(hex[1]));

                MUST(g_ascii_isxdigit(hex[0]) && g_ascii_isxdigit(hex[1]));
                g_byte_array_append(out, &b, 1);
        }
        return g_byte_array_free_to_bytes(out);
}

char *pki_to_hex(GBytes *bytes) {
        GString *hex = g_string_new(NULL);
        gsize size;
        const guint8 *p = g_bytes_get_data(bytes, &size);

        for (gsize i = 0; i < size; i++)
                g_string_append_printf(hex, "%02x", p[i]);
        return g_string_free(hex, FALSE);
}

char *pki_vectors(const char *below) {
        g_autofree char *path = g_build_filename(SOURCE_ROOT, "..", "shared", "vectors", below, NULL);

        return g_file_test(path, G_FILE_TEST_EXISTS) ? g_steal_pointer(&path) : NULL;
}
