/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* application/vnd.veraison.tsm-report+cbor and +json: what configfs-tsm gave. */
#pragma once

#include <glib.h>
#include <stdbool.h>

G_BEGIN_DECLS

#define ATT_TSM_REPORT_CBOR "application/vnd.veraison.tsm-report+cbor"
#define ATT_TSM_REPORT_JSON "application/vnd.veraison.tsm-report+json"

#define ATT_TSM_TEXT_MAX 64u

/* Providers, as the kernel names them. */
#define ATT_PROVIDER_TDX "tdx_guest"
#define ATT_PROVIDER_SNP "sev_guest"

/* The service provider under which a manifest is part of what is signed. */
#define ATT_SERVICE_PROVIDER_SVSM "svsm"

typedef struct AttTsmReport {
        char *provider;         /* "tdx_guest", "sev_guest" */
        GBytes *outblob;        /* not empty */
        GBytes *auxblob;        /* (nullable) */
        char *service_provider; /* "svsm"; (nullable) */
        GBytes *manifestblob;   /* (nullable), only with service_provider */
} AttTsmReport;

void att_tsm_report_free(AttTsmReport *report);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(AttTsmReport, att_tsm_report_free)

/** Deterministic CBOR. Returns: (transfer full) */
GBytes *att_tsm_report_encode(const AttTsmReport *report) G_GNUC_WARN_UNUSED_RESULT;

/**
 * att_tsm_report_decode:
 * @media_type: says CBOR, in any well-formed encoding, or JSON
 * @error: %ATT_ERROR_BAD_DATA for another media type, unknown keys, duplicates,
 *         trailing bytes, no outblob or an empty one; %ATT_ERROR_TOO_LARGE over
 *         1 MiB
 *
 * An auxblob or manifestblob that is empty counts as absent.
 */
AttTsmReport *att_tsm_report_decode(const char *media_type, GBytes *bytes, GError **error) G_GNUC_WARN_UNUSED_RESULT;

G_END_DECLS
