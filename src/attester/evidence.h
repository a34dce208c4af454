/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Evidence put together: a report and the claims that it is over. */
#pragma once

#include "codec/claims.h"
#include "tee/tee.h"

#include <glib.h>
#include <stdbool.h>

G_BEGIN_DECLS

/* What evidence is made of, fixed when its request gets the device. */
typedef struct AttSealed {
        const char *profile;  /* one of ATT_PROFILE_*; static */
        const char *tee;      /* "tdx", "snp"; static */
        GBytes *claims;       /* C; NULL in profiles that have none */
        uint64_t generation;
        uint8_t boot_id[16];
        uint8_t instance_id[16];
        uint8_t report_data[ATT_REPORT_DATA_SIZE];
} AttSealed;

void att_sealed_clear(AttSealed *sealed);

/**
 * att_sealed_init: seal
 * @profile: one of ATT_PROFILE_*
 * @claims:  the snapshot: binding and hash are taken in each profile, the rest in
 *           evidence/1 alone
 */
gboolean att_sealed_init(AttSealed *sealed, const char *profile, const char *tee, const AttClaims *claims,
                         GError **error) G_GNUC_WARN_UNUSED_RESULT;

/**
 * att_evidence_assemble: what is sent
 * @max:           bytes at most, else %ATT_ERROR_TOO_LARGE
 * @ret_left_out:  were there endorsements that did not fit?
 */
GBytes *att_evidence_assemble(const AttSealed *sealed, const AttTeeReport *report, gsize max, bool *ret_left_out,
                              GError **error) G_GNUC_WARN_UNUSED_RESULT;

/** att_profile_find: the static name equal to @name, or %NULL; @name %NULL is the default */
const char *att_profile_find(const char *name);

/** All, the default first; ends in %NULL. */
extern const char *const att_profiles[];

G_END_DECLS
