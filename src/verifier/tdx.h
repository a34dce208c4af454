/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Appraisal of a TDX quote, for files of verifier/ only. */
#pragma once

#include "verifier/policy-rules.h"
#include "verifier/result-build.h"

/**
 * att_tdx_appraise: the checks from "quote-format" to "attributes", but for "tee"
 * @policy: (nullable): then no root is trusted, and no weakness taken
 * @extra:  of AttCertificate; (nullable): certificates that the quote may lack
 * @at:     seconds since the epoch
 *
 * Keeps the quote in @result. What it rests on and could not be read stays "not
 * checked". Returns: is there a quote?
 */
bool att_tdx_appraise(AttResult *result, GBytes *quote, const AttPolicy *policy, GPtrArray *extra, int64_t at);
