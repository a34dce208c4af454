/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "attester/evidence.h"

#include "attester/binder.h"
#include "codec/evidence.h"

#include <string.h>

const char *const att_profiles[] = { ATT_PROFILE_EVIDENCE, ATT_PROFILE_EXPAT_PAD, ATT_PROFILE_COCOS, NULL };

const char *att_profile_find(const char *name) {
        if (!name)
                return att_profiles[0];
        for (const char *const *p = att_profiles; *p; p++)
                if (g_str_equal(*p, name))
                        return *p;
        return NULL;
}

void att_sealed_clear(AttSealed *sealed) {
        g_clear_pointer(&sealed->claims, g_bytes_unref);
}

gboolean att_sealed_init(AttSealed *sealed, const char *profile, const char *tee, const AttClaims *claims,
                         GError **error) {
        AttSealed s = { .profile = profile, .tee = tee, .generation = claims->generation };

        if (g_str_equal(profile, ATT_PROFILE_EVIDENCE)) {
                s.claims = att_claims_encode(claims, error);
                if (!s.claims)
                        return FALSE;
                att_binder_evidence(s.claims, s.report_data);
        } else if (g_str_equal(profile, ATT_PROFILE_EXPAT_PAD)) {
                att_binder_expat_pad(claims->hash, claims->binding, s.report_data);
        } else {
                att_binder_cocos(claims->hash, claims->binding, s.report_data);
        }

        memcpy(s.boot_id, claims->boot_id, sizeof s.boot_id);
        memcpy(s.instance_id, claims->instance_id, sizeof s.instance_id);
        *sealed = s;
        return TRUE;
}

GBytes *att_evidence_assemble(const AttSealed *sealed, const AttTeeReport *report, gsize max, bool *ret_left_out,
                              GError **error) {
        /* Borrowed, all of it. */
        AttTsmReport tsm = {
                .provider = report->provider,
                .outblob = report->outblob,
                .auxblob = report->auxblob,
        };
        AttEvidence evidence = {
                .profile = (char *) sealed->profile,
                .claims = sealed->claims,
                .tee = &tsm,
                .tpm = sealed->claims ? report->tpm : NULL,
        };

        return att_evidence_encode(&evidence, max, ret_left_out, error);
}
