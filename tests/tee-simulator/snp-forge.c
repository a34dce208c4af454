/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* snp-forge: a report for given fields, into a file, and the certificates with it.
 * For tests that need a report and no device. */
#include "forge-snp.h"
#include "octets.h"

#include <stdio.h>
#include <stdlib.h>

static char *state_dir, *out_path, *table_path, *certificates_path, *report_data_hex;
static char **settings;

static const GOptionEntry options[] = {
        { "state", 's', 0, G_OPTION_ARG_FILENAME, &state_dir, "keys and certificates are kept in DIR", "DIR" },
        { "out", 'o', 0, G_OPTION_ARG_FILENAME, &out_path, "write the report to FILE, not to stdout", "FILE" },
        { "table", 't', 0, G_OPTION_ARG_FILENAME, &table_path, "write the certificate table to FILE", "FILE" },
        { "certs", 'c', 0, G_OPTION_ARG_FILENAME, &certificates_path, "write the certificates to FILE, as PEM",
          "FILE" },
        { "report-data", 'r', 0, G_OPTION_ARG_STRING, &report_data_hex, "64 bytes; zeros without it", "HEX" },
        { NULL },
};

static gboolean set_all(SnpForge *forge, GError **error) {
        for (char **s = settings; *s; s++) {
                g_auto(GStrv) pair = g_strsplit(*s, "=", 2);
                g_autofree char *why = NULL;

                if (!pair[0] || !pair[1] || !snp_forge_set(forge, pair[0], pair[1], &why)) {
                        g_set_error(error, G_OPTION_ERROR, G_OPTION_ERROR_BAD_VALUE, "%s", why ? why : "FIELD=VALUE");
                        return FALSE;
                }
        }
        return TRUE;
}

static gboolean forge_to_files(GError **error) {
        guint8 report_data[FORGE_REPORT_DATA_SIZE] = { 0 };
        g_autoptr(GByteArray) report = NULL, table = NULL, certificates = NULL;
        g_autoptr(SnpForge) forge = NULL;

        if (report_data_hex && !octets_parse_hex(report_data_hex, report_data, sizeof(report_data))) {
                g_set_error(error, G_OPTION_ERROR, G_OPTION_ERROR_BAD_VALUE, "--report-data is 64 bytes in hex");
                return FALSE;
        }
        forge = snp_forge_new(state_dir, error);
        if (!forge || !set_all(forge, error))
                return FALSE;

        report = snp_forge_report(forge, report_data);
        table = snp_forge_table(forge);
        certificates = snp_forge_certificates(forge);
        if ((table_path && !octets_write(table, table_path, error)) ||
            (certificates_path && !octets_write(certificates, certificates_path, error)) ||
            (out_path && !octets_write(report, out_path, error)))
                return FALSE;
        return out_path || (fwrite(report->data, 1, report->len, stdout) == report->len && fflush(stdout) == 0);
}

int main(int argc, char **argv) {
        g_autoptr(GOptionContext) context = g_option_context_new("[FIELD=VALUE...]");
        g_autoptr(GError) error = NULL;

        g_option_context_set_summary(context,
                                     "Writes an SEV-SNP report that verifies under a test root, or has one flaw.");
        g_option_context_set_description(context, snp_forge_help());
        g_option_context_add_main_entries(context, options, NULL);
        if (!g_option_context_parse(context, &argc, &argv, &error)) {
                g_printerr("snp-forge: %s\n", error->message);
                return 2;
        }

        settings = argv + 1;
        if (!forge_to_files(&error)) {
                g_printerr("snp-forge: %s\n", error ? error->message : "cannot write");
                return g_error_matches(error, G_OPTION_ERROR, G_OPTION_ERROR_BAD_VALUE) ? 2 : 1;
        }
        return 0;
}
