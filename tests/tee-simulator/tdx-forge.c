/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* tdx-forge: a quote for given fields, into a file. For tests that need a quote
 * and no device. */
#include "forge.h"
#include "octets.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static gint64 trailing_size = 0;
static char *state_dir, *out_path, *report_data_hex;
static char **settings;

static const GOptionEntry options[] = {
        { "state", 's', 0, G_OPTION_ARG_FILENAME, &state_dir, "keys and certificates are kept in DIR", "DIR" },
        { "out", 'o', 0, G_OPTION_ARG_FILENAME, &out_path, "write the quote to FILE, not to stdout", "FILE" },
        { "report-data", 'r', 0, G_OPTION_ARG_STRING, &report_data_hex, "64 bytes; zeros without it", "HEX" },
        { "trailing", 't', 0, G_OPTION_ARG_INT64, &trailing_size, "append N bytes: zeros, or 0x5a if N < 0", "N" },
        { NULL },
};

static void pad(GByteArray *quote) {
        guint before = quote->len;

        g_byte_array_set_size(quote, before + (guint) ABS(trailing_size));
        memset(quote->data + before, trailing_size < 0 ? 0x5a : 0, quote->len - before);
}

static bool forge_to_file(GError **error) {
        guint8 report_data[FORGE_REPORT_DATA_SIZE] = { 0 };
        g_autoptr(GByteArray) quote = NULL;
        g_autoptr(Forge) forge = NULL;
        g_autofree char *why = NULL;

        if (report_data_hex && !octets_parse_hex(report_data_hex, report_data, sizeof(report_data))) {
                g_set_error(error, G_OPTION_ERROR, G_OPTION_ERROR_BAD_VALUE, "--report-data is 64 bytes in hex");
                return false;
        }
        forge = forge_new(state_dir, error);
        if (!forge)
                return false;
        for (char **s = settings; *s; s++) {
                g_auto(GStrv) pair = g_strsplit(*s, "=", 2);

                if (!pair[0] || !pair[1] || !forge_set(forge, pair[0], pair[1], &why)) {
                        g_set_error(error, G_OPTION_ERROR, G_OPTION_ERROR_BAD_VALUE, "%s", why ? why : "FIELD=VALUE");
                        return false;
                }
        }

        quote = forge_quote(forge, report_data);
        pad(quote);
        if (out_path)
                return octets_write(quote, out_path, error);
        return fwrite(quote->data, 1, quote->len, stdout) == quote->len && fflush(stdout) == 0;
}

int main(int argc, char **argv) {
        g_autoptr(GOptionContext) context = g_option_context_new("[FIELD=VALUE...]");
        g_autoptr(GError) error = NULL;

        g_option_context_set_summary(context, "Writes a TDX quote that verifies under a test root, or has one flaw.");
        g_option_context_set_description(context, forge_help());
        g_option_context_add_main_entries(context, options, NULL);
        if (!g_option_context_parse(context, &argc, &argv, &error)) {
                g_printerr("tdx-forge: %s\n", error->message);
                return 2;
        }

        settings = argv + 1;
        if (!forge_to_file(&error)) {
                g_printerr("tdx-forge: %s\n", error ? error->message : "cannot write");
                return g_error_matches(error, G_OPTION_ERROR, G_OPTION_ERROR_BAD_VALUE) ? 2 : 1;
        }
        return 0;
}
