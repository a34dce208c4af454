/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "pki-snp.h"

#include <openssl/asn1.h>
#include <openssl/ecdsa.h>
#include <openssl/rsa.h>
#include <openssl/x509v3.h>
#include <string.h>

#define AMD "1.3.6.1.4.1.3704.1."

#define NOT_BEFORE "20200101000000Z"
#define NOT_AFTER "20491231235959Z"

/* Of the certificate's product name; the name of the line is before the dash. */
static const char *const steppings[SNP_N_PRODUCTS] = { "Milan-B0", "Genoa", "Turin" };

const char *pki_snp_product_name(SnpProduct product) {
        static const char *const names[SNP_N_PRODUCTS] = { "Milan", "Genoa", "Turin" };

        return names[product];
}

/* RSASSA-PSS with SHA-384, MGF1 likewise, salt 48: of AMD all is signed so. */
static void sign(X509 *certificate, EVP_PKEY *issuer_key) {
        EVP_MD_CTX *ctx = EVP_MD_CTX_new();
        EVP_PKEY_CTX *padding; /* of ctx */

        must(ctx && EVP_DigestSignInit(ctx, &padding, EVP_sha384(), NULL, issuer_key) == 1);
        if (EVP_PKEY_is_a(issuer_key, "RSA"))
                must(EVP_PKEY_CTX_set_rsa_padding(padding, RSA_PKCS1_PSS_PADDING) == 1 &&
                     EVP_PKEY_CTX_set_rsa_mgf1_md(padding, EVP_sha384()) == 1 &&
                     EVP_PKEY_CTX_set_rsa_pss_saltlen(padding, 48) == 1);
        must(X509_sign_ctx(certificate, ctx) > 0);
        EVP_MD_CTX_free(ctx);
}

static X509 *issue_ca(const char *name, EVP_PKEY *key, X509 *issuer, EVP_PKEY *issuer_key, const char *not_after,
                      bool is_ca) {
        X509 *certificate = pki_certificate_new(name, key, NOT_BEFORE, not_after);

        must(X509_set_issuer_name(certificate, X509_get_subject_name(issuer ? issuer : certificate)));
        pki_extend(certificate, issuer ? issuer : certificate, NID_subject_key_identifier, "hash");
        if (issuer)
                pki_extend(certificate, issuer, NID_authority_key_identifier, "keyid");
        pki_extend(certificate, issuer, NID_basic_constraints,
                   !is_ca ? "critical,CA:FALSE" : issuer ? "critical,CA:TRUE,pathlen:0" : "critical,CA:TRUE");
        pki_extend(certificate, issuer, NID_key_usage,
                   issuer ? "critical,keyCertSign" : "critical,keyCertSign,cRLSign");
        pki_extend(certificate, issuer, NID_crl_distribution_points, "URI:https://collateral.invalid/crl");
        sign(certificate, issuer_key);
        return certificate;
}

X509 *pki_snp_issue_intermediate(const PkiSnp *pki, bool is_asvk, const char *not_after, bool is_ca) {
        g_autofree char *name = g_strconcat(is_asvk ? "SEV-VLEK-" : "SEV-", pki_snp_product_name(pki->product), NULL);

        return issue_ca(name, is_asvk ? pki->asvk_key : pki->ask_key, pki->ark, pki->ark_key,
                        not_after ? not_after : NOT_AFTER, is_ca);
}

/* Leaves. */

static void put_integer(X509 *certificate, const char *oid, guint value) {
        ASN1_INTEGER *number = ASN1_INTEGER_new();
        guint8 *der = NULL;
        int size;

        must(number && ASN1_INTEGER_set_uint64(number, value));
        size = i2d_ASN1_INTEGER(number, &der);
        must(size > 0);
        pki_extend_raw(certificate, oid, der, (gsize) size);
        OPENSSL_free(der);
        ASN1_INTEGER_free(number);
}

static void put_text(X509 *certificate, const char *oid, const char *text) {
        guint8 der[2 + 127] = { V_ASN1_IA5STRING, (guint8) strlen(text) };

        must(strlen(text) <= 127);
        memcpy(der + 2, text, strlen(text));
        pki_extend_raw(certificate, oid, der, 2 + strlen(text));
}

static void put_hwid(X509 *certificate, const PkiSnpLeaf *leaf) {
        guint8 der[2 + sizeof(leaf->hwid)] = { V_ASN1_OCTET_STRING, (guint8) leaf->hwid_size };

        memcpy(der + 2, leaf->hwid, leaf->hwid_size);
        pki_extend_raw(certificate, AMD "4", leaf->wraps_hwid ? der : der + 2,
                       leaf->hwid_size + (leaf->wraps_hwid ? 2 : 0));
}

static void put_snp_spl(X509 *certificate, const PkiSnpLeaf *leaf) {
        if (!leaf->without_snp_spl)
                put_integer(certificate, AMD "3.3", leaf->tcb.snp);
}

/* In the order of AMD's, which is another for Turin. */
static void put_extensions(X509 *certificate, const PkiSnp *pki, const PkiSnpLeaf *leaf) {
        bool is_turin = pki->product >= SNP_TURIN;

        put_integer(certificate, AMD "1", 1);
        put_text(certificate, AMD "2",
                 leaf->product_name ? leaf->product_name :
                 leaf->is_vlek      ? pki_snp_product_name(pki->product) :
                                      steppings[pki->product]);
        if (is_turin)
                put_integer(certificate, AMD "3.9", leaf->tcb.fmc);
        put_integer(certificate, AMD "3.1", leaf->has_wide_spl ? 256 : leaf->tcb.bootloader);
        put_integer(certificate, AMD "3.2", leaf->tcb.tee);
        if (is_turin)
                put_snp_spl(certificate, leaf);
        else
                put_integer(certificate, AMD "3.4", 0);
        put_integer(certificate, AMD "3.5", 0);
        put_integer(certificate, AMD "3.6", 0);
        put_integer(certificate, AMD "3.7", 0);
        if (!is_turin)
                put_snp_spl(certificate, leaf);
        put_integer(certificate, AMD "3.8", leaf->tcb.microcode);

        if (leaf->without_hwid_and_csp_id)
                return;
        if (!leaf->is_vlek || leaf->has_hwid_and_csp_id)
                put_hwid(certificate, leaf);
        if (leaf->is_vlek || leaf->has_hwid_and_csp_id)
                put_text(certificate, AMD "5", leaf->csp_id);
}

/* Of AMD's leaves the serial number is 0, and there are no other extensions. */
X509 *pki_snp_issue(const PkiSnp *pki, const PkiSnpLeaf *leaf) {
        bool by_asvk = leaf->is_vlek != leaf->by_other_issuer;
        EVP_PKEY *key = leaf->key ? leaf->key : leaf->is_vlek ? pki->vlek_key : pki->vcek_key;
        X509 *certificate = pki_certificate_new(leaf->common_name ? leaf->common_name :
                                                leaf->is_vlek     ? "SEV-VLEK" :
                                                                    "SEV-VCEK",
                                                key,
                                                leaf->not_before ? leaf->not_before : NOT_BEFORE,
                                                leaf->not_after ? leaf->not_after : NOT_AFTER);
        X509 *issuer = leaf->is_self_signed ? certificate : by_asvk ? pki->asvk : pki->ask;

        must(ASN1_INTEGER_set(X509_get_serialNumber(certificate), 0));
        must(X509_set_issuer_name(certificate, X509_get_subject_name(issuer)));
        if (!leaf->without_extensions)
                put_extensions(certificate, pki, leaf);
        sign(certificate, leaf->is_self_signed ? key : by_asvk ? pki->asvk_key : pki->ask_key);
        return certificate;
}

/* The hierarchy. */

static gboolean take_key(EVP_PKEY **ret, PkiKeyType type, const char *state_dir, const char *what, const char *line,
                         GError **error) {
        g_autofree char *name = g_strconcat(what, "-", line, NULL);

        *ret = pki_key_of_type(type, state_dir, name, error);
        return *ret != NULL;
}

static gboolean take_certificate(X509 **ret, X509 *made, const char *state_dir, const char *what, const char *line,
                                 GError **error) {
        g_autofree char *name = g_strconcat(what, "-", line, NULL);

        *ret = pki_state_certificate(state_dir, name, made, error);
        return *ret != NULL;
}

PkiSnp *pki_snp_new(const char *state_dir, SnpProduct product, GError **error) {
        g_autofree char *line = g_ascii_strdown(pki_snp_product_name(product), -1);
        g_autofree char *root_name = g_strconcat("ARK-", pki_snp_product_name(product), NULL);
        g_autoptr(PkiSnp) pki = g_new0(PkiSnp, 1);

        pki->product = product;
        if (!take_key(&pki->ark_key, PKI_RSA_4096, state_dir, "ark", line, error) ||
            !take_key(&pki->ask_key, PKI_RSA_4096, state_dir, "ask", line, error) ||
            !take_key(&pki->asvk_key, PKI_RSA_4096, state_dir, "asvk", line, error) ||
            !take_key(&pki->vcek_key, PKI_P384, state_dir, "vcek", line, error) ||
            !take_key(&pki->vlek_key, PKI_P384, state_dir, "vlek", line, error))
                return NULL;

        if (!take_certificate(&pki->ark, issue_ca(root_name, pki->ark_key, NULL, pki->ark_key, NOT_AFTER, true),
                              state_dir, "ark", line, error) ||
            !take_certificate(&pki->ask, pki_snp_issue_intermediate(pki, false, NULL, true),
                              state_dir, "ask", line, error) ||
            !take_certificate(&pki->asvk, pki_snp_issue_intermediate(pki, true, NULL, true),
                              state_dir, "asvk", line, error))
                return NULL;
        return g_steal_pointer(&pki);
}

void pki_snp_free(PkiSnp *pki) {
        if (!pki)
                return;

        EVP_PKEY_free(pki->ark_key);
        EVP_PKEY_free(pki->ask_key);
        EVP_PKEY_free(pki->asvk_key);
        EVP_PKEY_free(pki->vcek_key);
        EVP_PKEY_free(pki->vlek_key);
        X509_free(pki->ark);
        X509_free(pki->ask);
        X509_free(pki->asvk);
        g_free(pki);
}

void pki_snp_sign(EVP_PKEY *key, const void *data, gsize size, uint8_t ret[144]) {
        EVP_MD_CTX *ctx = EVP_MD_CTX_new();
        uint8_t der[160];
        const uint8_t *at = der;
        size_t der_size = sizeof(der);
        ECDSA_SIG *signature;

        must(ctx && EVP_DigestSignInit(ctx, NULL, EVP_sha384(), NULL, key) == 1);
        must(EVP_DigestSign(ctx, der, &der_size, data, size) == 1);
        EVP_MD_CTX_free(ctx);

        signature = d2i_ECDSA_SIG(NULL, &at, (long) der_size);
        must(signature && BN_bn2lebinpad(ECDSA_SIG_get0_r(signature), ret, 72) == 72 &&
             BN_bn2lebinpad(ECDSA_SIG_get0_s(signature), ret + 72, 72) == 72);
        ECDSA_SIG_free(signature);
}
