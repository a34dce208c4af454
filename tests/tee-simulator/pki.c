/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "pki.h"

#include <errno.h>
#include <fcntl.h>
#include <gio/gio.h>
#include <openssl/core_names.h>
#include <openssl/ecdsa.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/rsa.h>
#include <openssl/x509v3.h>
#include <string.h>

#define SGX_EXTENSIONS "1.2.840.113741.1.13.1"

/* DER, as much of it as the SGX extensions take. */

static void der_put(GByteArray *out, guint8 tag, const void *content, gsize size) {
        guint8 head[4] = { tag };
        guint n = 1;

        if (size < 0x80)
                head[n++] = (guint8) size;
        else {
                must(size <= 0xffff);
                if (size > 0xff) {
                        head[n++] = 0x82;
                        head[n++] = (guint8) (size >> 8);
                } else
                        head[n++] = 0x81;
                head[n++] = (guint8) size;
        }
        g_byte_array_append(out, head, n);
        if (size > 0)
                g_byte_array_append(out, content, (guint) size);
}

/* SEQUENCE { OID 1.2.840.113741.1.13.1.@arc[.@sub], @tag @content } */
static void der_put_sgx(GByteArray *out, guint8 arc, guint8 sub, guint8 tag, const void *content, gsize size) {
        guint8 oid[] = { 0x2a, 0x86, 0x48, 0x86, 0xf8, 0x4d, 0x01, 0x0d, 0x01, arc, sub };
        g_autoptr(GByteArray) pair = g_byte_array_new();

        der_put(pair, V_ASN1_OBJECT, oid, sub == 0 ? sizeof(oid) - 1 : sizeof(oid));
        der_put(pair, tag, content, size);
        der_put(out, 0x30, pair->data, pair->len);
}

static void der_put_sgx_number(GByteArray *out, guint8 arc, guint8 sub, guint value) {
        guint8 bytes[3] = { 0, (guint8) (value >> 8), (guint8) value };
        guint skip = value < 0x80 ? 2 : value < 0x8000 ? 1 : 0;

        der_put_sgx(out, arc, sub, V_ASN1_INTEGER, bytes + skip, sizeof(bytes) - skip);
}

static GByteArray *encode_sgx_extensions(const PkiPlatform *p) {
        static const guint8 yes = 0xff, no = 0x00, scalable = 1;
        g_autoptr(GByteArray) all = g_byte_array_new(), tcb = g_byte_array_new(), configuration = g_byte_array_new();
        GByteArray *out = g_byte_array_new();

        der_put_sgx(all, 1, 0, V_ASN1_OCTET_STRING, p->ppid, sizeof(p->ppid));
        for (guint8 i = 0; i < 16; i++)
                der_put_sgx_number(tcb, 2, (guint8) (i + 1), p->tcb[i]);
        der_put_sgx_number(tcb, 2, 17, (guint) (p->pce_svn[0] << 8 | p->pce_svn[1]));
        der_put_sgx(tcb, 2, 18, V_ASN1_OCTET_STRING, p->cpu_svn, sizeof(p->cpu_svn));
        der_put_sgx(all, 2, 0, 0x30, tcb->data, tcb->len);
        der_put_sgx(all, 3, 0, V_ASN1_OCTET_STRING, p->pce_id, sizeof(p->pce_id));
        der_put_sgx(all, 4, 0, V_ASN1_OCTET_STRING, p->fmspc, sizeof(p->fmspc));
        der_put_sgx(all, 5, 0, V_ASN1_ENUMERATED, &scalable, 1);
        der_put_sgx(all, 6, 0, V_ASN1_OCTET_STRING, p->platform_instance_id, sizeof(p->platform_instance_id));
        der_put_sgx(configuration, 7, 1, V_ASN1_BOOLEAN, &yes, 1); /* dynamic platform */
        der_put_sgx(configuration, 7, 2, V_ASN1_BOOLEAN, &no, 1);  /* cached keys */
        der_put_sgx(configuration, 7, 3, V_ASN1_BOOLEAN, &yes, 1); /* SMT */
        der_put_sgx(all, 7, 0, 0x30, configuration->data, configuration->len);

        der_put(out, 0x30, all->data, all->len);
        return out;
}

/* Certificates. */

static X509_NAME *name_new(const char *common_name) {
        X509_NAME *name = X509_NAME_new();
        static const char *const rest[][2] = {
                { "O", "attestd tests" }, { "L", "Nowhere" }, { "ST", "NA" }, { "C", "XX" },
        };

        must(name && X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8, (const guint8 *) common_name, -1, -1, 0));
        for (guint i = 0; i < G_N_ELEMENTS(rest); i++)
                must(X509_NAME_add_entry_by_txt(name, rest[i][0], MBSTRING_UTF8, (const guint8 *) rest[i][1], -1, -1,
                                                0));
        return name;
}

void pki_extend(X509 *certificate, X509 *issuer, int nid, const char *value) {
        X509_EXTENSION *extension;
        X509V3_CTX ctx;

        X509V3_set_ctx(&ctx, issuer, certificate, NULL, NULL, 0);
        extension = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
        must(extension && X509_add_ext(certificate, extension, -1));
        X509_EXTENSION_free(extension);
}

void pki_extend_raw(X509 *certificate, const char *oid, const void *value, gsize size) {
        ASN1_OBJECT *object = OBJ_txt2obj(oid, 1);
        ASN1_OCTET_STRING *octets = ASN1_OCTET_STRING_new();
        X509_EXTENSION *extension;

        must(object && octets && ASN1_OCTET_STRING_set(octets, value, (int) size));
        extension = X509_EXTENSION_create_by_OBJ(NULL, object, 0, octets);
        must(extension && X509_add_ext(certificate, extension, -1));
        X509_EXTENSION_free(extension);
        ASN1_OCTET_STRING_free(octets);
        ASN1_OBJECT_free(object);
}

X509 *pki_certificate_new(const char *common_name, EVP_PKEY *key, const char *not_before, const char *not_after) {
        X509 *certificate = X509_new();
        X509_NAME *name = name_new(common_name);
        guint8 serial[20];
        BIGNUM *number;

        must(RAND_bytes(serial, sizeof(serial)) == 1);
        serial[0] = (guint8) ((serial[0] & 0x7f) | 0x40);
        number = BN_bin2bn(serial, sizeof(serial), NULL);
        must(certificate && number && BN_to_ASN1_INTEGER(number, X509_get_serialNumber(certificate)));
        BN_free(number);

        must(X509_set_version(certificate, X509_VERSION_3));
        must(ASN1_TIME_set_string_X509(X509_getm_notBefore(certificate), not_before));
        must(ASN1_TIME_set_string_X509(X509_getm_notAfter(certificate), not_after));
        must(X509_set_subject_name(certificate, name) && X509_set_pubkey(certificate, key));
        X509_NAME_free(name);
        return certificate;
}

/* The extensions that all have, then the signature. */
static void certificate_finish(X509 *certificate, X509 *issuer, EVP_PKEY *issuer_key, const char *usage,
                               const char *constraints) {
        must(X509_set_issuer_name(certificate, X509_get_subject_name(issuer)));
        pki_extend(certificate, issuer, NID_subject_key_identifier, "hash");
        pki_extend(certificate, issuer, NID_authority_key_identifier, "keyid");
        pki_extend(certificate, issuer, NID_crl_distribution_points, "URI:https://collateral.invalid/crl");
        pki_extend(certificate, issuer, NID_key_usage, usage);
        pki_extend(certificate, issuer, NID_basic_constraints, constraints);
        must(X509_sign(certificate, issuer_key, EVP_sha256()) > 0);
}

static X509 *issue_root(EVP_PKEY *key) {
        X509 *certificate = pki_certificate_new("Test SGX Root CA", key, "20180101000000Z", "20491231235959Z");

        certificate_finish(certificate, certificate, key, "critical,keyCertSign,cRLSign", "critical,CA:TRUE,pathlen:1");
        return certificate;
}

static X509 *issue_platform(EVP_PKEY *key, X509 *root, EVP_PKEY *root_key, bool is_ca) {
        X509 *certificate = pki_certificate_new("Test SGX PCK Platform CA", key, "20180101000000Z", "20491231235959Z");

        certificate_finish(certificate, root, root_key, "critical,keyCertSign,cRLSign",
                           is_ca ? "critical,CA:TRUE,pathlen:0" : "critical,CA:FALSE");
        return certificate;
}

X509 *pki_issue_pck(const Pki *pki, const PkiPlatform *platform, const PkiLeaf *leaf) {
        X509 *certificate = pki_certificate_new(leaf->common_name ? leaf->common_name : "Intel SGX PCK Certificate",
                                            pki->pck_key,
                                            leaf->not_before ? leaf->not_before : "20200101000000Z",
                                            leaf->not_after ? leaf->not_after : "20491231235959Z");

        if (!leaf->without_extension) {
                g_autoptr(GByteArray) der = encode_sgx_extensions(platform);

                pki_extend_raw(certificate, SGX_EXTENSIONS, der->data, der->len);
        }

        certificate_finish(certificate,
                           leaf->is_self_signed ? certificate : pki->platform,
                           leaf->is_self_signed ? pki->pck_key : pki->platform_key,
                           "critical,digitalSignature,nonRepudiation", "critical,CA:FALSE");
        return certificate;
}

/* State: what is there is read, what is not is made. */

static FILE *state_open(const char *dir, const char *name, const char *suffix, gboolean writes, GError **error) {
        g_autofree char *path = g_strconcat(dir, "/", name, suffix, NULL);
        int fd = open(path, writes ? O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC : O_RDONLY | O_CLOEXEC, 0600);

        if (fd >= 0)
                return fdopen(fd, writes ? "w" : "r");
        if (writes || errno != ENOENT)
                g_set_error(error, G_IO_ERROR, (gint) g_io_error_from_errno(errno), "cannot open %s: %s", path,
                            g_strerror(errno));
        return NULL;
}

/* Of four primes, because that is twenty times faster to make than of two; nobody
 * can tell by the public half. */
static EVP_PKEY *rsa_4096(void) {
        EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, "RSA", NULL);
        EVP_PKEY *key = NULL;

        must(ctx && EVP_PKEY_keygen_init(ctx) == 1 && EVP_PKEY_CTX_set_rsa_keygen_bits(ctx, 4096) == 1);
        must(EVP_PKEY_CTX_set_rsa_keygen_primes(ctx, 4) == 1 && EVP_PKEY_generate(ctx, &key) == 1);
        EVP_PKEY_CTX_free(ctx);
        return key;
}

static EVP_PKEY *key_make(PkiKeyType type) {
        EVP_PKEY *key = type == PKI_RSA_4096 ? rsa_4096() : EVP_EC_gen(type == PKI_P384 ? "P-384" : "P-256");

        must(key);
        return key;
}

EVP_PKEY *pki_key_of_type(PkiKeyType type, const char *state_dir, const char *name, GError **error) {
        g_autoptr(EVP_PKEY) key = NULL;
        GError *local = NULL;
        FILE *file;

        if (!state_dir)
                return key_make(type);

        file = state_open(state_dir, name, ".key", FALSE, &local);
        if (file) {
                key = PEM_read_PrivateKey(file, NULL, NULL, NULL);
                (void) fclose(file); /* it was only read */
                if (!key)
                        g_set_error(error, G_IO_ERROR, G_IO_ERROR_INVALID_DATA, "%s/%s.key is not a key", state_dir,
                                    name);
                return g_steal_pointer(&key);
        }
        if (local) {
                g_propagate_error(error, local);
                return NULL;
        }

        file = state_open(state_dir, name, ".key", TRUE, error);
        if (!file)
                return NULL;
        key = key_make(type);
        must(PEM_write_PrivateKey(file, key, NULL, NULL, 0, NULL, NULL));
        must(fclose(file) == 0);
        return g_steal_pointer(&key);
}

EVP_PKEY *pki_key(const char *state_dir, const char *name, GError **error) {
        return pki_key_of_type(PKI_P256, state_dir, name, error);
}

X509 *pki_state_certificate(const char *state_dir, const char *name, X509 *made, GError **error) {
        g_autoptr(X509) certificate = made;
        GError *local = NULL;
        FILE *file;

        if (!state_dir)
                return g_steal_pointer(&certificate);

        file = state_open(state_dir, name, ".pem", FALSE, &local);
        if (file) {
                X509 *found = PEM_read_X509(file, NULL, NULL, NULL);

                (void) fclose(file); /* it was only read */
                if (!found)
                        g_set_error(error, G_IO_ERROR, G_IO_ERROR_INVALID_DATA, "%s/%s.pem is not a certificate",
                                    state_dir, name);
                return found;
        }
        if (local) {
                g_propagate_error(error, local);
                return NULL;
        }

        file = state_open(state_dir, name, ".pem", TRUE, error);
        if (!file)
                return NULL;
        must(PEM_write_X509(file, certificate));
        must(fclose(file) == 0);
        return g_steal_pointer(&certificate);
}

Pki *pki_new(const char *state_dir, GError **error) {
        g_autoptr(Pki) pki = g_new0(Pki, 1);

        pki->root_key = pki_key(state_dir, "root", error);
        if (!pki->root_key)
                return NULL;
        pki->platform_key = pki_key(state_dir, "platform-ca", error);
        if (!pki->platform_key)
                return NULL;
        pki->pck_key = pki_key(state_dir, "pck", error);
        if (!pki->pck_key)
                return NULL;
        pki->root = pki_state_certificate(state_dir, "root", issue_root(pki->root_key), error);
        if (!pki->root)
                return NULL;
        pki->platform = pki_state_certificate(state_dir, "platform-ca",
                                          issue_platform(pki->platform_key, pki->root, pki->root_key, true),
                                          error);
        return pki->platform ? g_steal_pointer(&pki) : NULL;
}

Pki *pki_new_without_ca(const Pki *pki) {
        Pki *variant = g_new0(Pki, 1);

        must(EVP_PKEY_up_ref(pki->root_key) && X509_up_ref(pki->root));
        variant->root_key = pki->root_key;
        variant->root = pki->root;
        variant->platform_key = pki_key(NULL, NULL, NULL);
        variant->pck_key = pki_key(NULL, NULL, NULL);
        variant->platform = issue_platform(variant->platform_key, pki->root, pki->root_key, false);
        return variant;
}

void pki_free(Pki *pki) {
        if (!pki)
                return;

        EVP_PKEY_free(pki->root_key);
        EVP_PKEY_free(pki->platform_key);
        EVP_PKEY_free(pki->pck_key);
        X509_free(pki->root);
        X509_free(pki->platform);
        g_free(pki);
}

void pki_append_pem(GByteArray *out, X509 *certificate) {
        BIO *bio = BIO_new(BIO_s_mem());
        char *text;
        long size;

        must(bio && PEM_write_bio_X509(bio, certificate));
        size = BIO_get_mem_data(bio, &text);
        g_byte_array_append(out, (const guint8 *) text, (guint) size);
        BIO_free(bio);
}

void pki_sign(EVP_PKEY *key, const void *data, gsize size, uint8_t ret[64]) {
        EVP_MD_CTX *ctx = EVP_MD_CTX_new();
        uint8_t der[128];
        const uint8_t *at = der;
        size_t der_size = sizeof(der);
        ECDSA_SIG *signature;

        must(ctx && EVP_DigestSignInit(ctx, NULL, EVP_sha256(), NULL, key) == 1);
        must(EVP_DigestSign(ctx, der, &der_size, data, size) == 1);
        EVP_MD_CTX_free(ctx);

        signature = d2i_ECDSA_SIG(NULL, &at, (long) der_size);
        must(signature && BN_bn2binpad(ECDSA_SIG_get0_r(signature), ret, 32) == 32 &&
             BN_bn2binpad(ECDSA_SIG_get0_s(signature), ret + 32, 32) == 32);
        ECDSA_SIG_free(signature);
}

void pki_point(EVP_PKEY *key, uint8_t ret[64]) {
        uint8_t point[65];
        size_t size;

        must(EVP_PKEY_get_octet_string_param(key, OSSL_PKEY_PARAM_PUB_KEY, point, sizeof(point), &size) == 1 &&
             size == sizeof(point));
        memcpy(ret, point + 1, 64);
}

char *pki_spki_sha256(const X509 *certificate) {
        guint8 *der = NULL;
        int size = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(certificate), &der);
        char *text;

        must(size > 0);
        text = g_compute_checksum_for_data(G_CHECKSUM_SHA256, der, (gsize) size);
        OPENSSL_free(der);
        return text;
}
