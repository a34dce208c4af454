/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The checks of what travels beside evidence, and of what vouches for it. For files
 * of verifier/ only. */
#pragma once

#include "verifier/appraise.h"

/** att_logs_appraise: the checks "ima-root", "ima-log", "ima", "boot-log"; those of quote and claims come before */
void att_logs_appraise(AttResult *result, const AttReceived *received, const AttExpected *expected);
