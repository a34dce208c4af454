/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What is behind AttCertificate. Inside crypto/ only. */
#pragma once

#include "crypto/certificate.h"

#include <openssl/x509.h>

G_BEGIN_DECLS

struct AttCertificate {
        gatomicrefcount refs;
        X509 *x509;
        GBytes *der;
        GBytes *spki; /* a slice of @der */
        EVP_PKEY *key; /* of @spki, when it was first asked for; atomic */
};

/** As att_certificate_dup_subject_cn(). */
char *att_x509_dup_cn(const X509_NAME *name);

G_END_DECLS
