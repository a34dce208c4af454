/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What an authenticator's signature and MAC are over: the same for who makes one
 * and for who judges one. Inside ea/ only. */
#pragma once

#include "ea/authenticator.h"
#include "util/bytes.h"

G_BEGIN_DECLS

static inline AttPart att_ea_part(GBytes *bytes) {
        gsize size;
        const void *data = g_bytes_get_data(bytes, &size);

        return (AttPart) { .data = data, .size = size };
}

/** 64 x 0x20 || "Exported Authenticator" || 0x00 || Hash(Handshake Context || request || Certificate) */
GBytes *att_ea_to_be_signed(const AttEaKeys *keys, AttPart request, AttPart certificate) G_GNUC_WARN_UNUSED_RESULT;

/** verify_data of Finished, over CertificateVerify too; att_hash_size() bytes into @ret */
void att_ea_finished(const AttEaKeys *keys, AttPart request, AttPart certificate, AttPart certificate_verify,
                     uint8_t *ret);

/** The Certificate that an empty authenticator hashes, and does not send: @context and no entry. */
GBytes *att_ea_no_certificate(GBytes *context) G_GNUC_WARN_UNUSED_RESULT;

/** Whose authenticator does a request of this type ask for? */
AttRole att_ea_asked_role(uint8_t message_type);

G_END_DECLS
