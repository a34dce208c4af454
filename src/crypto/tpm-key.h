/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Keys of TPMs, their names, and what they sign. */
#pragma once

#include "codec/tpm-quote.h"
#include "crypto/key.h"

G_BEGIN_DECLS

/** @error: %ATT_ERROR_INVALID_ARGUMENT: a point that is none, RSA of another size than we take */
AttKey *att_key_from_tpm_public(const AttTpmPublic *public, GError **error) G_GNUC_WARN_UNUSED_RESULT;

/** att_tpm_name: nameAlg || H(TPMT_PUBLIC). @error: %ATT_ERROR_BAD_DATA if @public is none that we take */
GBytes *att_tpm_name(GBytes *public, GError **error) G_GNUC_WARN_UNUSED_RESULT;

/**
 * att_key_verify_tpm: is @signature one by @key of @message?
 * @error: %ATT_ERROR_BAD_DATA; SHA-1 is not taken
 */
gboolean att_key_verify_tpm(const AttKey *key, const AttTpmSignature *signature, const void *message,
                            size_t message_size, GError **error) G_GNUC_WARN_UNUSED_RESULT;

G_END_DECLS
