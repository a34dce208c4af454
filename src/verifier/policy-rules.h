/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What a policy says, parsed; for files of verifier/ only. */
#pragma once

#include "util/tls-terms.h"
#include "verifier/policy.h"

/* What of a quote a boot rule can name. */
typedef enum {
        ATT_BOOT_MRTD,
        ATT_BOOT_RTMR0,
        ATT_BOOT_RTMR1,
        ATT_BOOT_RTMR2,
        ATT_BOOT_RTMR3,
        ATT_BOOT_MRCONFIGID,
        ATT_BOOT_MROWNER,
        ATT_BOOT_MROWNERCONFIG,
        ATT_BOOT_MRSEAM,
} AttBootRegister;

#define ATT_BOOT_REGISTERS 9u
#define ATT_BOOT_REGISTER_SIZE 48u

/* As in the policy: "mrtd", "rtmr0" … */
const char *att_boot_register_name(AttBootRegister r);

/* What of a TD weakens it, and has to be named to be taken. */
typedef enum {
        ATT_WEAKNESS_SEPT_VE_DISABLE_OFF,
        ATT_WEAKNESS_MIGRATABLE,
        ATT_WEAKNESS_SERVICE_TD,
} AttWeakness;

#define ATT_WEAKNESSES 3u

/* As in the policy: "sept-ve-disable-off" … */
const char *att_weakness_name(AttWeakness w);

/* One alternative: all that it names must be equal. */
typedef struct AttBootRule {
        uint8_t *values[ATT_BOOT_REGISTERS]; /* ATT_BOOT_REGISTER_SIZE bytes each, or NULL: not named */
} AttBootRule;

typedef struct AttWorkloadRule {
        char *unit;
        bool has_uid;
        uint32_t uid;
} AttWorkloadRule;

struct AttPolicy {
        gatomicrefcount refs;
        GPtrArray *profiles;  /* of const char *: the tags of codec/claims.h */
        bool takes_tdx;
        bool any_peer;
        bool any_workload;
        GPtrArray *workloads; /* of AttWorkloadRule: alternatives */
        GPtrArray *boots;     /* of AttBootRule: alternatives */
        bool needs_collateral;
        GPtrArray *tdx_roots; /* of GBytes: SHA-256 of the SubjectPublicKeyInfo */
        GPtrArray *ppids;     /* of GBytes, 16: machines; empty: any */
        unsigned max_age_s;
        bool shared_device_allowed;
        bool bare_report_allowed;
        bool takes_weakness[ATT_WEAKNESSES];
};

bool att_policy_takes_profile(const AttPolicy *policy, const char *profile);
