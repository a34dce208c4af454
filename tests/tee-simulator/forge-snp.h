/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SEV-SNP reports that verify, under roots that nobody trusts but a test, and the
 * certificate table that a host hands out with them. And the same with one thing
 * wrong. */
#pragma once

#include "forge.h"

G_BEGIN_DECLS

#define SNP_FORGE_REPORT_SIZE 1184u

typedef struct SnpForge SnpForge;

/**
 * snp_forge_new: reports of version 3 by a Milan, signed by its VCEK
 * @state_dir: (nullable): where ark-LINE.pem, ark-LINE-spki-sha256 and the keys are, or are put, LINE being milan,
 *             genoa, turin as they come into use; without it they are new each time
 */
SnpForge *snp_forge_new(const char *state_dir, GError **error) G_GNUC_WARN_UNUSED_RESULT;
void snp_forge_free(SnpForge *forge);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(SnpForge, snp_forge_free)

/**
 * snp_forge_set: a field of the reports that follow, or of the certificates under them
 * @why: on failure, a sentence to be freed
 *
 * Names and values: snp_forge_help(). "product" first: it sets the CPUID fields, chip_id and all the TCB versions.
 */
bool snp_forge_set(SnpForge *forge, const char *name, const char *value, char **why) G_GNUC_WARN_UNUSED_RESULT;

/** snp_forge_report: over @report_data, with the flaw that is set */
GByteArray *snp_forge_report(SnpForge *forge, const uint8_t report_data[FORGE_REPORT_DATA_SIZE])
        G_GNUC_WARN_UNUSED_RESULT;

/** snp_forge_set_vmpl: the field vmpl; a flaw has its say after it */
void snp_forge_set_vmpl(SnpForge *forge, guint level);

/** snp_forge_table: GHCB's, with the certificates of the reports that are forged now; may be empty */
GByteArray *snp_forge_table(SnpForge *forge) G_GNUC_WARN_UNUSED_RESULT;

/** snp_forge_manifest: what an SVSM says of all its services: here one, the vTPM, which shows its key */
GByteArray *snp_forge_manifest(void) G_GNUC_WARN_UNUSED_RESULT;
/** snp_forge_bind_manifest: what a report of an SVSM is over; @report_data in place */
void snp_forge_bind_manifest(uint8_t report_data[FORGE_REPORT_DATA_SIZE], const GByteArray *manifest);

/** snp_forge_certificates: the same as PEM: VCEK or VLEK, ASK or ASVK, ARK */
GByteArray *snp_forge_certificates(SnpForge *forge) G_GNUC_WARN_UNUSED_RESULT;

/** snp_forge_root_spki_sha256: hex, what a verifier pins; of the product that is set */
const char *snp_forge_root_spki_sha256(const SnpForge *forge);

/** snp_forge_help: the fields and flaws, a line each */
const char *snp_forge_help(void);

G_END_DECLS
