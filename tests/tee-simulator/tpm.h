/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The kernel's way to a TPM, which is a swtpm at the other end of a socket: tpmrm0 and
 * the registers' files in sysfs; and extensions for IMA. Nothing here blocks but
 * tpm_new(). */
#pragma once

#include "files.h"
#include "witness.h"

#include <stdint.h>

G_BEGIN_DECLS

#define TPM_BANKS 4u /* sha1, sha256, sha384, sha512 */
#define TPM_DIGEST_MAX 64u

typedef struct TpmBank {
        const char *name;
        guint16 algorithm;
        guint size;
        GChecksumType checksum;
} TpmBank;

extern const TpmBank tpm_banks[TPM_BANKS];

typedef struct Tpm Tpm;

/**
 * tpm_new: shows tpm0/ and dev/tpmrm0 in @files
 * @fd: connected to a swtpm that has been started up; taken
 */
Tpm *tpm_new(int fd, Files *files, Witness *witness, GError **error) G_GNUC_WARN_UNUSED_RESULT;
void tpm_free(Tpm *tpm);

/** tpm_has_bank: is that of tpm_banks[] allocated? */
bool tpm_has_bank(const Tpm *tpm, guint bank);

/** tpm_boot_aggregate: what IMA's first entry says: PCR 0 to 9 in SHA-256; zeros if that bank is not there. Blocks:
 * for the start */
void tpm_boot_aggregate(Tpm *tpm, uint8_t ret[32]);

/**
 * tpm_extend: one PCR in all banks
 * @digests: by tpm_banks[]; of those not allocated nothing is read
 * @done: (nullable): called when the TPM has answered
 */
void tpm_extend(Tpm *tpm, guint pcr, const uint8_t digests[TPM_BANKS][TPM_DIGEST_MAX], void (*done)(gpointer),
                gpointer userdata);

/** tpm_command: a line of the control socket without "tpm". Returns: NULL, or what it should have been */
const char *tpm_command(Tpm *tpm, char **words);

G_END_DECLS
