/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A certificate hierarchy of the shape of AMD's for SEV-SNP: for each line of
 * processors a root (ARK), two intermediates (ASK and ASVK) and under them the keys
 * that sign reports: VCEK of a chip, VLEK of a cloud. Common names are AMD's, the
 * rest of the subjects is not. */
#pragma once

#include "pki.h"

G_BEGIN_DECLS

typedef enum {
        SNP_MILAN,
        SNP_GENOA,
        SNP_TURIN,
} SnpProduct;
#define SNP_N_PRODUCTS 3u

/* What TCB_VERSION holds; there is no FMC before Turin. */
typedef struct SnpTcb {
        uint8_t fmc, bootloader, tee, snp, microcode;
} SnpTcb;

typedef struct PkiSnp {
        SnpProduct product;
        EVP_PKEY *ark_key, *ask_key, *asvk_key, *vcek_key, *vlek_key;
        X509 *ark, *ask, *asvk;
} PkiSnp;

/* What a VCEK's or VLEK's certificate says, and how it differs from what it should be. */
typedef struct PkiSnpLeaf {
        bool is_vlek;
        SnpTcb tcb;
        uint8_t hwid[64];
        gsize hwid_size;
        const char *csp_id;

        const char *common_name;  /* NULL: the right one */
        const char *product_name; /* NULL: the right one */
        const char *not_before;   /* YYYYMMDDHHMMSSZ, NULL: the usual */
        const char *not_after;
        EVP_PKEY *key;            /* NULL: the right one */
        bool wraps_hwid;          /* an OCTET STRING in the extension's, as few have it */
        bool is_self_signed;
        bool by_other_issuer;     /* a VCEK by the ASVK, a VLEK by the ASK */
        bool has_hwid_and_csp_id;
        bool without_hwid_and_csp_id;
        bool without_extensions;
        bool without_snp_spl;
        bool has_wide_spl;        /* 256 */
} PkiSnpLeaf;

/**
 * pki_snp_new: keys and CA certificates for one line of processors
 * @state_dir: (nullable): read from there, or written there
 */
PkiSnp *pki_snp_new(const char *state_dir, SnpProduct product, GError **error) G_GNUC_WARN_UNUSED_RESULT;
void pki_snp_free(PkiSnp *pki);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(PkiSnp, pki_snp_free)

X509 *pki_snp_issue(const PkiSnp *pki, const PkiSnpLeaf *leaf) G_GNUC_WARN_UNUSED_RESULT;

/** pki_snp_issue_intermediate: the ASK, or the ASVK, again; same name, same key */
X509 *pki_snp_issue_intermediate(const PkiSnp *pki, bool is_asvk, const char *not_after, bool is_ca)
        G_GNUC_WARN_UNUSED_RESULT;

/** pki_snp_sign: r and s of ECDSA with SHA-384 as a report has them, 72 bytes little-endian each */
void pki_snp_sign(EVP_PKEY *key, const void *data, gsize size, uint8_t ret[144]);

/** pki_snp_product_name: "Milan" */
const char *pki_snp_product_name(SnpProduct product);

G_END_DECLS
