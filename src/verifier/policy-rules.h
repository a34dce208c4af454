/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What a policy says, parsed; for files of verifier/ only. */
#pragma once

#include "codec/snp-report.h"
#include "crypto/key.h"
#include "util/bank.h"
#include "util/bytes.h"
#include "util/tls-terms.h"
#include "verifier/policy.h"

typedef enum {
        ATT_KIND_NONE,
        ATT_KIND_TDX,
        ATT_KIND_SNP,
} AttTeeKind;

#define ATT_KINDS 3u

/* "tdx", "snp"; NULL for none */
const char *att_kind_name(AttTeeKind kind);

/* What of a quote or report a boot rule can name. */
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
        ATT_BOOT_MEASUREMENT,
        ATT_BOOT_HOST_DATA,
        ATT_BOOT_ID_KEY_DIGEST,
        ATT_BOOT_AUTHOR_KEY_DIGEST,
        ATT_BOOT_FAMILY_ID,
        ATT_BOOT_IMAGE_ID,
} AttBootRegister;

#define ATT_BOOT_REGISTERS 15u

/* As in the policy: "mrtd", "measurement" … */
const char *att_boot_register_name(AttBootRegister r);
size_t att_boot_register_size(AttBootRegister r);

/* What of a guest weakens it, and has to be named to be taken. */
typedef enum {
        ATT_WEAKNESS_SEPT_VE_DISABLE_OFF,
        ATT_WEAKNESS_MIGRATABLE,
        ATT_WEAKNESS_SERVICE_TD,
        ATT_WEAKNESS_MIGRATION_AGENT,
        ATT_WEAKNESS_MASKED_CHIP_ID,
        ATT_WEAKNESS_CXL,
} AttWeakness;

#define ATT_WEAKNESSES 6u

/* As in the policy: "sept-ve-disable-off" … */
const char *att_weakness_name(AttWeakness w);

/* What a policy can demand of the platform, by PLATFORM_INFO of an SNP report. */
typedef enum {
        ATT_PLATFORM_SMT_OFF,
        ATT_PLATFORM_TSME,
        ATT_PLATFORM_ECC,
        ATT_PLATFORM_RAPL_DISABLED,
        ATT_PLATFORM_CIPHERTEXT_HIDING,
        ATT_PLATFORM_ALIAS_CHECK,
} AttPlatformDemand;

#define ATT_PLATFORM_DEMANDS 6u

/* As in the policy: "smt-off" … */
const char *att_platform_demand_name(AttPlatformDemand demand);

#define ATT_SNP_LINES 4u
#define ATT_SNP_VMPLS 4u

/* One alternative: all that it names must be equal. What it names is of one TEE. */
typedef struct AttBootRule {
        uint8_t *values[ATT_BOOT_REGISTERS]; /* att_boot_register_size() bytes each, or NULL: not named */
} AttBootRule;

typedef struct AttWorkloadRule {
        char *unit;
        bool has_uid;
        uint32_t uid;
} AttWorkloadRule;

/* What vouches for an IMA log. */
typedef enum {
        ATT_IMA_ROOT_TPM_IN_TEE,
        ATT_IMA_ROOT_TPM_OUTSIDE,
        ATT_IMA_ROOT_RTMR,
        ATT_IMA_ROOT_CLAIMED,
} AttImaRoot;

#define ATT_IMA_ROOTS 4u

/* As in the policy and in C: "tpm-in-tee" … */
const char *att_ima_root_name(AttImaRoot root);
bool att_ima_root_from_name(const char *name, AttImaRoot *ret);

/* A digest, with the name of its algorithm: those that are banks, and no other. */
typedef struct AttReferenceDigest {
        AttBank algorithm;
        uint8_t digest[ATT_BANK_SIZE_MAX];
} AttReferenceDigest;

typedef struct AttImaAllowRule {
        char *path;
        size_t path_size;
        AttReferenceDigest digest;
} AttImaAllowRule;

#define ATT_IMA_RTMRS 4u
#define ATT_IMA_RTMR_DEFAULT 3u
#define ATT_IMA_KEYS_MAX 16u
#define ATT_IMA_EXCLUDES_MAX 256u

typedef struct AttImaRules {
        bool is_there;        /* is there any rule of these? */
        bool takes_root[ATT_IMA_ROOTS];
        bool takes_rtmr[ATT_IMA_RTMRS]; /* with root rtmr: in which the log may be */
        GArray *allowed;      /* of AttImaAllowRule, sorted by path */
        GPtrArray *excluded;  /* of char * */
        GPtrArray *keys;      /* of AttKey */
        GPtrArray *required;  /* of char *, sorted */
        bool has_max_violations;
        uint64_t max_violations;
} AttImaRules;

/* Is anything said of single entries? Else only root and violations count. */
bool att_ima_rules_appraise(const AttImaRules *rules);
/* The first rule that allows a digest of this path, and in *@ret_n how many follow it; NULL: none does. */
const AttImaAllowRule *att_ima_rules_allowed(const AttImaRules *rules, AttCursor path, guint *ret_n);
bool att_ima_rules_exclude(const AttImaRules *rules, AttCursor path);
/* Index in @required; -1: not required. */
int att_ima_rules_required(const AttImaRules *rules, AttCursor path);

#define ATT_BOOT_EVENT_REGISTERS 24u

/* An event that the boot's log must have. */
typedef struct AttBootEventRule {
        unsigned index;       /* of the RTMR, or the PCR */
        AttReferenceDigest digest;
} AttBootEventRule;

struct AttPolicy {
        gatomicrefcount refs;
        GPtrArray *profiles;  /* of const char *: the tags of codec/claims.h */
        bool takes[ATT_KINDS];
        bool any_peer;
        bool any_workload;
        GPtrArray *workloads; /* of AttWorkloadRule: alternatives */
        GPtrArray *boots;     /* of AttBootRule: alternatives */
        bool needs_collateral;
        GPtrArray *roots[ATT_KINDS]; /* of GBytes: SHA-256 of the SubjectPublicKeyInfo */
        /* Machines; with all of these empty, any. */
        GPtrArray *ppids;     /* of GBytes, 16 */
        GPtrArray *chip_ids;  /* of GBytes, ATT_SNP_CHIP_ID_SIZE */
        GPtrArray *csp_ids;   /* of char * */
        unsigned max_age_s;
        bool shared_device_allowed;
        bool bare_report_allowed;
        bool takes_weakness[ATT_WEAKNESSES];
        bool takes_vmpl[ATT_SNP_VMPLS];
        bool demands[ATT_PLATFORM_DEMANDS];
        bool has_minimum[ATT_SNP_LINES]; /* by AttSnpLine */
        AttSnpTcb minimum[ATT_SNP_LINES];
        AttImaRules ima;
        bool needs_boot_log;
        GArray *boot_events;  /* of AttBootEventRule: all must be there */
};

/* Does it name machines, of whatever TEE? */
bool att_policy_names_machines(const AttPolicy *policy);
/* Does it say how old the TCB of an SNP machine may be? */
bool att_policy_has_minimum(const AttPolicy *policy);

bool att_policy_takes_profile(const AttPolicy *policy, const char *profile);
