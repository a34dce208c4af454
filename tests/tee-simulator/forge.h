/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* TDX quotes that verify, under a root that nobody trusts but a test: root CA,
 * platform CA, PCK certificate with the SGX extensions, quoting enclave report,
 * attestation key, quote. And the same with one thing wrong. */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

G_BEGIN_DECLS

#define FORGE_REPORT_DATA_SIZE 64u

typedef struct Forge Forge;

/**
 * forge_new:
 * @state_dir: (nullable): where root.pem, root-spki-sha256 and the keys are, or
 *             are put; without it they are new each time
 */
Forge *forge_new(const char *state_dir, GError **error) G_GNUC_WARN_UNUSED_RESULT;
void forge_free(Forge *forge);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Forge, forge_free)

/**
 * forge_set: a field of the quotes that follow
 * @why: on failure, a sentence to be freed
 *
 * "version" is 4 or 5, "body" 1.0 or 1.5, "debug" and "pem-nul" 0 or 1, "flaw" a
 * name from forge_help(); all others are hex of their field's size.
 */
bool forge_set(Forge *forge, const char *name, const char *value, char **why) G_GNUC_WARN_UNUSED_RESULT;

/** forge_quote: the quote over @report_data, with the flaw that is set */
GByteArray *forge_quote(Forge *forge, const uint8_t report_data[FORGE_REPORT_DATA_SIZE]) G_GNUC_WARN_UNUSED_RESULT;

#define FORGE_REGISTER_SIZE 48u
#define FORGE_TDREPORT_SIZE 1024u
/** forge_tdreport: what the TD sees of itself: the same registers; the MAC, which is the CPU's, is zero */
void forge_tdreport(Forge *forge, const uint8_t report_data[FORGE_REPORT_DATA_SIZE], uint8_t ret[FORGE_TDREPORT_SIZE]);
/** forge_extend: RTMR @number becomes SHA384(it || @data) */
void forge_extend(Forge *forge, guint number, const uint8_t data[FORGE_REGISTER_SIZE]);
/** forge_reported: a register of 48 bytes, by its field's name, as the last TDREPORT or quote has it; borrowed, at the
 * same place always */
const uint8_t *forge_reported(const Forge *forge, const char *name);

/** forge_snp_report: 1184 bytes that look like the other TEE's report; its signature is none */
GByteArray *forge_snp_report(const uint8_t report_data[FORGE_REPORT_DATA_SIZE]) G_GNUC_WARN_UNUSED_RESULT;

/** forge_bend_length: let the length of the signature data say @by more; a blob that is no quote stays as it is */
void forge_bend_length(GByteArray *quote, int32_t by);

/** forge_root_spki_sha256: hex, what a verifier pins */
const char *forge_root_spki_sha256(const Forge *forge);

/** forge_help: the fields and flaws, a line each */
const char *forge_help(void);

G_END_DECLS
