/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What is behind AttKey. Inside crypto/ only. */
#pragma once

#include "crypto/key.h"

#include <openssl/evp.h>
#include <openssl/rsa.h>
#include <stdbool.h>

G_BEGIN_DECLS

/* OpenSSL verifies with no longer one. */
#define ATT_RSA_BITS_MIN 2048
#define ATT_RSA_BITS_MAX OPENSSL_RSA_MAX_MODULUS_BITS

struct AttKey {
        EVP_PKEY *pkey;
};

G_END_DECLS
