/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Appraisal of an SNP report, for files of verifier/ only. */
#pragma once

#include "verifier/appraise.h"

/** att_snp_line_of_product: of the product name in a certificate; "Milan-B0" is of Milan */
AttSnpLine att_snp_line_of_product(const char *product);
/** att_vek_is_for_tcb: was the key derived for this TCB, in every part? */
bool att_vek_is_for_tcb(const AttVekExtensions *vek, const AttSnpTcb *tcb);
/** att_vek_is_of_chip: is HWID the CHIP_ID of the report, which may have zeros after it? Never of a VLEK. */
bool att_vek_is_of_chip(const AttVekExtensions *vek, const AttSnpReport *report);

/**
 * att_snp_appraise: the checks from "quote-format" to "attributes", but for "tee",
 * and "tcb-minimum"
 * @table:  (nullable): the host's certificate table
 *
 * Without a policy no root is trusted, and no weakness taken; the certificates that
 * are expected are those that the table may lack.
 *
 * Keeps the report in @result. What it rests on and could not be read stays "not
 * checked". Returns: is there a report?
 */
bool att_snp_appraise(AttResult *result, GBytes *report, GBytes *table, const AttExpected *expected);
