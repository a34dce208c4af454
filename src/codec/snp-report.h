/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SEV-SNP attestation report, versions 2 to 5 (AMD 56860). All integers
 * little-endian. */
#pragma once

#include "util/bytes.h"

#include <glib.h>

G_BEGIN_DECLS

#define ATT_SNP_REPORT_SIZE 1184u
#define ATT_SNP_SIGNED_SIZE 672u
#define ATT_SNP_CHIP_ID_SIZE 64u
/* Turin's CHIP_ID: the rest of the field is zero. */
#define ATT_SNP_SHORT_HWID_SIZE 8u

/* Bits of the guest's policy. */
#define ATT_SNP_POLICY_SMT (UINT64_C(1) << 16)
#define ATT_SNP_POLICY_RESERVED_ONE (UINT64_C(1) << 17)
#define ATT_SNP_POLICY_MIGRATE_MA (UINT64_C(1) << 18)
#define ATT_SNP_POLICY_DEBUG (UINT64_C(1) << 19)
#define ATT_SNP_POLICY_SINGLE_SOCKET (UINT64_C(1) << 20)
#define ATT_SNP_POLICY_CXL (UINT64_C(1) << 21)
/* ABI version, and all bits up to page swapping: what is above we do not know. */
#define ATT_SNP_POLICY_KNOWN ((UINT64_C(1) << 26) - 1)

/* Bits of PLATFORM_INFO. */
#define ATT_SNP_PLATFORM_SMT (UINT64_C(1) << 0)
#define ATT_SNP_PLATFORM_TSME (UINT64_C(1) << 1)
#define ATT_SNP_PLATFORM_ECC (UINT64_C(1) << 2)
#define ATT_SNP_PLATFORM_RAPL_DISABLED (UINT64_C(1) << 3)
#define ATT_SNP_PLATFORM_CIPHERTEXT_HIDING (UINT64_C(1) << 4)
#define ATT_SNP_PLATFORM_ALIAS_CHECK (UINT64_C(1) << 5)

/* The hypervisor asked for it, not the guest. */
#define ATT_SNP_VMPL_HOST UINT32_MAX

/* Product line: what has an ARK of its own. */
typedef enum {
        ATT_SNP_LINE_UNKNOWN, /* version 2 does not say; or no processor that we know */
        ATT_SNP_LINE_MILAN,
        ATT_SNP_LINE_GENOA, /* also Bergamo and Siena */
        ATT_SNP_LINE_TURIN,
} AttSnpLine;

/* "Milan", "Genoa", "Turin"; "unknown" */
const char *att_snp_line_name(AttSnpLine line);

typedef enum {
        ATT_SNP_KEY_VCEK = 0,
        ATT_SNP_KEY_VLEK = 1,
        ATT_SNP_KEY_NONE = 7,
} AttSnpKey;

/* "VCEK", "VLEK", "none"; "reserved" for any other value */
const char *att_snp_key_name(AttSnpKey key);

/* A TCB_VERSION, by the layout of its product line. */
typedef struct AttSnpTcb {
        bool has_fmc;
        uint8_t fmc; /* Turin and later; else 0 */
        uint8_t bootloader;
        uint8_t tee;
        uint8_t snp;
        uint8_t microcode;
} AttSnpTcb;

/**
 * att_snp_tcb_read: the parts of @raw
 * @line: Milan's layout is also that of %ATT_SNP_LINE_UNKNOWN
 *
 * Returns: false if a reserved byte is not zero; @ret is untouched then
 */
bool att_snp_tcb_read(const uint8_t raw[8], AttSnpLine line, AttSnpTcb *ret) G_GNUC_WARN_UNUSED_RESULT;

/* Firmware, as in "1.55.28": build is last. */
typedef struct AttSnpFirmware {
        uint8_t build;
        uint8_t minor;
        uint8_t major;
} AttSnpFirmware;

/* Borrows from the bytes it was parsed from. Sizes in bytes. */
typedef struct AttSnpReport {
        uint32_t version; /* 2 to 5 */
        uint32_t guest_svn;
        uint64_t policy;
        const uint8_t *family_id; /* 16 */
        const uint8_t *image_id;  /* 16 */
        uint32_t vmpl;            /* or ATT_SNP_VMPL_HOST */
        uint32_t signature_algo;  /* 1: ECDSA P-384 with SHA-384 */
        uint64_t platform_info;
        bool has_author_key;
        bool has_masked_chip_key; /* nothing has signed it then */
        AttSnpKey signing_key;    /* any value of three bits */
        uint32_t key_info;        /* the three above, as they stand */

        const uint8_t *report_data;       /* 64 */
        const uint8_t *measurement;       /* 48 */
        const uint8_t *host_data;         /* 32 */
        const uint8_t *id_key_digest;     /* 48 */
        const uint8_t *author_key_digest; /* 48 */
        const uint8_t *report_id;         /* 32 */
        const uint8_t *report_id_ma;      /* 32 */

        /* 8 each; att_snp_tcb_read() takes them apart. */
        const uint8_t *current_tcb;
        const uint8_t *reported_tcb; /* what the signing key was derived for */
        const uint8_t *committed_tcb;
        const uint8_t *launch_tcb;

        AttSnpLine line;     /* by the three below; unknown in version 2 */
        const uint8_t *cpuid; /* family, model, stepping; NULL in version 2 */
        const uint8_t *chip_id; /* 64; zero when it is masked */

        AttSnpFirmware current_firmware;
        AttSnpFirmware committed_firmware;
        const uint8_t *launch_mit_vector;  /* 8, version 5, else NULL */
        const uint8_t *current_mit_vector; /* 8, version 5, else NULL */

        AttCursor signed_part;
        const uint8_t *signature_r; /* 72, little-endian */
        const uint8_t *signature_s; /* 72, little-endian */
} AttSnpReport;

/**
 * att_snp_report_parse:
 * @bytes: borrowed by @ret
 * @error: %ATT_ERROR_BAD_DATA that names what is wrong; @ret is untouched
 *
 * Exactly one report: another size, an unknown version, an unknown signature
 * algorithm, reserved bytes that are not zero, and bytes after the signature are
 * refused. Bits of the policy and of PLATFORM_INFO are for the verifier to judge.
 */
gboolean att_snp_report_parse(GBytes *bytes, AttSnpReport *ret, GError **error) G_GNUC_WARN_UNUSED_RESULT;

/** att_snp_report_report_data: the 64 bytes at their place, for a cheap look; NULL if too short or not a report */
const uint8_t *att_snp_report_report_data(GBytes *bytes);

/** att_snp_report_is_like: does @bytes begin as a report does, of whatever version? A TDX quote does not. */
bool att_snp_report_is_like(GBytes *bytes);

G_END_DECLS
