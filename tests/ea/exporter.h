/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The exporter of TLS 1.3, RFC 8446 section 7.5, for tests that have no connection. */
#pragma once

#include "ea/authenticator.h"

/* At most one block of the hash each. */
void hkdf_expand_label(AttHash hash, const uint8_t *secret, const char *label, const void *context, size_t context_size,
                       uint8_t *ret, size_t size);
/* @ret_derived: (nullable) Derive-Secret(secret, label, "") */
void tls_exporter(AttHash hash, const uint8_t *secret, const char *label, const void *context, size_t context_size,
                  uint8_t *ret_derived, uint8_t *ret, size_t size);
/* What a connection with this exporter_master_secret gives for authenticators of @sender. */
void ea_keys_of(AttHash hash, const uint8_t *secret, AttRole sender, AttEaKeys *ret);
