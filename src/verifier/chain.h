/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the chains of all vendors have in common; for files of verifier/ only. */
#pragma once

#include "verifier/result-build.h"

/** att_is_issued_by: by name alone */
bool att_is_issued_by(const AttCertificate *certificate, const AttCertificate *issuer);

/**
 * att_chain_verify_any_time: att_chain_verify() at a second when all certificates
 * are valid, the nearest to @at
 *
 * So that a chain that is only too old is told from one that is false.
 */
gboolean att_chain_verify_any_time(GPtrArray *chain, GPtrArray *roots_spki, int64_t at, GError **error)
        G_GNUC_WARN_UNUSED_RESULT;

/** att_check_validity: settles the check "validity": all of @chain at @at */
void att_check_validity(AttResult *result, GPtrArray *chain, int64_t at);
