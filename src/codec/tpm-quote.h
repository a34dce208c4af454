/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The member "tpm" of evidence, and the TPM structures in it: TPMS_ATTEST of a quote,
 * TPMT_SIGNATURE, TPMT_PUBLIC (TPM 2.0 Library, Part 2), big-endian. */
#pragma once

#include "util/bank.h"
#include "util/bytes.h"

#include <glib.h>

G_BEGIN_DECLS

#define ATT_TPM_ATTEST_MAX 1024u
#define ATT_TPM_PUBLIC_MAX 2048u
#define ATT_TPM_SIGNATURE_MAX 2048u
#define ATT_TPM_NAME_MAX (2u + ATT_BANK_SIZE_MAX)

/* { "attest": bstr, "public": bstr, "signature": bstr } */
typedef struct AttTpmEvidence {
        GBytes *attest;      /* TPMS_ATTEST */
        GBytes *signature;   /* TPMT_SIGNATURE */
        GBytes *ak_public;   /* TPMT_PUBLIC of the AK */
} AttTpmEvidence;

void att_tpm_evidence_free(AttTpmEvidence *evidence);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(AttTpmEvidence, att_tpm_evidence_free)
GBytes *att_tpm_evidence_encode(const AttTpmEvidence *evidence) G_GNUC_WARN_UNUSED_RESULT;
/** Layout only, of the three structures as well. @error: %ATT_ERROR_BAD_DATA, %ATT_ERROR_TOO_LARGE */
AttTpmEvidence *att_tpm_evidence_decode(GBytes *bytes, GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* TPMS_ATTEST of type TPM_ST_ATTEST_QUOTE over one bank; borrows. */
typedef struct AttTpmQuote {
        AttCursor qualified_signer;
        AttCursor extra_data;
        uint64_t clock;
        uint32_t reset_count, restart_count;
        bool is_safe;
        uint64_t firmware_version;
        AttBank bank;
        uint32_t pcrs;         /* bits: PCR 0 to 23 */
        AttCursor pcr_digest;
} AttTpmQuote;

/** Magic, type, exactly one selection, nothing after the end. %ATT_ERROR_BAD_DATA */
gboolean att_tpm_quote_parse(GBytes *attest, AttTpmQuote *ret, GError **error) G_GNUC_WARN_UNUSED_RESULT;

typedef enum {
        ATT_TPM_RSASSA = 0x0014,
        ATT_TPM_RSAPSS = 0x0016,
        ATT_TPM_ECDSA = 0x0018,
} AttTpmScheme;

/* TPMT_SIGNATURE; borrows. */
typedef struct AttTpmSignature {
        AttTpmScheme scheme;
        AttBank hash;
        AttCursor rsa;  /* of the two RSA schemes */
        AttCursor r, s; /* of ECDSA, without a fixed length */
} AttTpmSignature;

/** One of the three schemes, with one of our hashes, nothing after it. %ATT_ERROR_BAD_DATA */
gboolean att_tpm_signature_parse(GBytes *signature, AttTpmSignature *ret, GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* TPMA_OBJECT. */
#define ATT_TPM_FIXED_TPM (1u << 1)
#define ATT_TPM_SENSITIVE_DATA_ORIGIN (1u << 5)
#define ATT_TPM_RESTRICTED (1u << 16)
#define ATT_TPM_DECRYPT (1u << 17)
#define ATT_TPM_SIGN (1u << 18)

typedef enum {
        ATT_TPM_RSA = 0x0001,
        ATT_TPM_P256 = 0x0003, /* as a curve */
        ATT_TPM_P384 = 0x0004,
} AttTpmKeyKind;

/* TPMT_PUBLIC of an asymmetric key; borrows. */
typedef struct AttTpmPublic {
        AttTpmKeyKind kind;
        AttBank name_hash;
        uint32_t attributes;
        uint32_t exponent; /* of RSA; the default, written as 0, is 65537 */
        AttCursor modulus; /* of RSA */
        AttCursor x, y;    /* of a point, without a fixed length */
} AttTpmPublic;

/** RSA, P-256 or P-384, nothing after it. %ATT_ERROR_BAD_DATA */
gboolean att_tpm_public_parse(GBytes *public, AttTpmPublic *ret, GError **error) G_GNUC_WARN_UNUSED_RESULT;

/** att_tpm_public_is_ak: does the TPM sign with it only what it has made itself, and does it never leave the TPM? */
bool att_tpm_public_is_ak(const AttTpmPublic *public);

/** att_tpm_algorithm: TPM_ALG_ID of a bank's hash */
uint16_t att_tpm_algorithm(AttBank bank);
bool att_tpm_bank_from_algorithm(uint16_t algorithm, AttBank *ret);

G_END_DECLS
