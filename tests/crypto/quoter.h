/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* As much of a TPM as makes quotes: for tests that need some that no TPM would make. */
#pragma once

#include "codec/tpm-quote.h"

#define QUOTER_AK (ATT_TPM_FIXED_TPM | ATT_TPM_SENSITIVE_DATA_ORIGIN | ATT_TPM_RESTRICTED | ATT_TPM_SIGN)

typedef struct Quoter Quoter;

/* A new key; @bits: of RSA. */
Quoter *quoter_new(AttTpmKeyKind kind, int bits, uint32_t attributes);
void quoter_free(Quoter *quoter);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Quoter, quoter_free)

GBytes *quoter_public(const Quoter *quoter); /* TPMT_PUBLIC */
GBytes *quoter_name(const Quoter *quoter);
/* TPMT_SIGNATURE */
GBytes *quoter_sign(const Quoter *quoter, GBytes *message, AttTpmScheme scheme, AttBank hash);

/* What TPMS_ATTEST says. */
typedef struct QuoterSays {
        uint32_t magic;
        uint16_t type;
        GBytes *extra_data;
        uint32_t n_selections;
        AttBank bank;
        uint32_t pcrs;
        GBytes *pcr_digest;
} QuoterSays;

GBytes *quoter_attest(const QuoterSays *says);

/* The member "tpm": a quote over PCR 10 of @bank, which is @value, made for @r (64 bytes). */
AttTpmEvidence *quoter_quote(const Quoter *quoter, const uint8_t *r, AttBank bank, const uint8_t *value);
