/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Appraisal of a TDX quote, for files of verifier/ only. */
#pragma once

#include "verifier/appraise.h"

/**
 * att_tdx_appraise: the checks from "quote-format" to "attributes", but for "tee"
 *
 * Without a policy no root is trusted, and no weakness taken; the certificates that
 * are expected are those that the quote may lack.
 *
 * Keeps the quote in @result. What it rests on and could not be read stays "not
 * checked". Returns: is there a quote?
 */
bool att_tdx_appraise(AttResult *result, GBytes *quote, const AttExpected *expected);
