/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* attestctl evidence: evidence bound to a connection that does not exist, for who
 * wants to look at some. */
#include "attestctl-bus.h"
#include "attestctl.h"

#include "crypto/certificate.h"
#include "ea/authenticator.h"
#include "util/error.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* As attestd's own default; D-Bus waits a little longer. */
#define ATTEST_MS 20000u
#define ATTEST_CALL_MS ((int) ATTEST_MS + 5000)

/* A public key, or a certificate that has it; PEM or DER. */
static GBytes *read_public_key(const char *path, GError **error) {
        g_autoptr(GBytes) content = ctl_read(path, error);
        g_autoptr(GPtrArray) chain = NULL;
        g_autoptr(AttCertificate) certificate = NULL;
        g_autoptr(AttKey) key = NULL;
        g_autoptr(GBytes) spki = NULL;
        const void *data;
        gsize size;

        if (!content)
                return NULL;
        data = g_bytes_get_data(content, &size);

        spki = att_spki_from_pem(data, size, NULL);
        if (!spki && (chain = att_certificates_from_pem(data, size, NULL)))
                spki = att_certificate_dup_spki(chain->pdata[0]);
        if (!spki && (certificate = att_certificate_from_der(data, size, NULL)))
                spki = att_certificate_dup_spki(certificate);
        if (!spki)
                spki = g_bytes_ref(content);

        key = att_key_from_spki(spki, error);
        if (!key) {
                g_prefix_error(error, "%s: ", path);
                return NULL;
        }
        return g_steal_pointer(&spki);
}

static GVariant *bytes_variant(const void *data, gsize size) {
        return g_variant_new_fixed_array(G_VARIANT_TYPE_BYTE, data, size, 1);
}

static GBytes *attest(GBytes *spki, const uint8_t exported[ATT_EXPORTED_SIZE], gboolean direct, GError **error) {
        uint8_t context[ATT_CONTEXT_SIZE];
        g_autoptr(GDBusConnection) bus = NULL;
        g_autoptr(GVariant) opened = NULL, answer = NULL, evidence = NULL;
        GVariantBuilder parameters, options;
        const char *session;
        const void *data;
        gsize size;

        if (!att_random(context, sizeof context, error))
                return NULL;
        bus = ctl_bus_connect(direct, error);
        if (!bus)
                return NULL;

        g_variant_builder_init(&parameters, G_VARIANT_TYPE_VARDICT);
        g_variant_builder_add(&parameters, "{sv}", "role", g_variant_new_string(att_role_name(ATT_ROLE_SERVER)));
        g_variant_builder_add(&parameters, "{sv}", "hash", g_variant_new_string(att_hash_name(ATT_HASH_SHA256)));
        g_variant_builder_add(&parameters, "{sv}", "protocol", g_variant_new_string("attestctl"));
        opened = ctl_bus_call(bus, CTL_OBJECT, CTL_INTERFACE, "OpenSession", g_variant_new("(a{sv})", &parameters),
                              "(o)", CTL_CALL_MS, error);
        if (!opened)
                return NULL;
        g_variant_get(opened, "(&o)", &session);

        g_variant_builder_init(&options, G_VARIANT_TYPE_VARDICT);
        g_variant_builder_add(&options, "{sv}", "timeout_ms", g_variant_new_uint32(ATTEST_MS));
        answer = ctl_bus_call(bus, session, CTL_SESSION, "Attest",
                              g_variant_new("(@ay@ay@aya{sv})", bytes_variant(exported, ATT_EXPORTED_SIZE),
                                            bytes_variant(context, sizeof context),
                                            bytes_variant(g_bytes_get_data(spki, NULL), g_bytes_get_size(spki)),
                                            &options),
                              "(aya{sv})", ATTEST_CALL_MS, error);
        if (!answer)
                return NULL;

        evidence = g_variant_get_child_value(answer, 0);
        data = g_variant_get_fixed_array(evidence, &size, 1);
        return g_bytes_new(data, size);
}

/* What verify must be told: it stands beside the evidence, as the evidence must
 * not say itself what it is to be held against. */
static char *verify_options(GBytes *spki, const uint8_t exported[ATT_EXPORTED_SIZE]) {
        uint8_t binding[ATT_HASH_SIZE_MAX];
        g_autofree char *hex = NULL;

        att_ea_binding(ATT_HASH_SHA256, spki, exported, binding);
        hex = ctl_hex(binding, att_hash_size(ATT_HASH_SHA256));
        return g_strdup_printf("--binding %s --hash %s --role %s\n", hex, att_hash_name(ATT_HASH_SHA256),
                               att_role_name(ATT_ROLE_SERVER));
}

/* Into what is there: a rename would take the place of a device, such as /dev/null. */
static gboolean write_file(const char *path, const void *data, gsize size, GError **error) {
        FILE *f = fopen(path, "wbe");
        bool ok = f && fwrite(data, 1, size, f) == size;

        if (f && fclose(f) != 0)
                ok = false;
        return ok || att_error_set_errno(error, errno, "cannot write %s", path);
}

static gboolean write_files(const char *path, GBytes *evidence, const char *options, GError **error) {
        g_autofree char *beside = g_strconcat(path, ".binding", NULL);

        return write_file(path, g_bytes_get_data(evidence, NULL), g_bytes_get_size(evidence), error) &&
               write_file(beside, options, strlen(options), error);
}

int ctl_evidence(int argc, char **argv) {
        g_autofree char *out = NULL;
        g_autofree char *key_path = NULL;
        gboolean direct = FALSE;
        const GOptionEntry options[] = {
                { "out", 'o', 0, G_OPTION_ARG_FILENAME, &out, "Write to FILE, and FILE.binding", "FILE" },
                { "public-key", 0, 0, G_OPTION_ARG_FILENAME, &key_path,
                  "Bind it to the key in FILE (a public key or a certificate, PEM or DER)", "FILE" },
                { "direct", 0, 0, G_OPTION_ARG_NONE, &direct, CTL_DIRECT_HELP, NULL },
                { NULL },
        };
        uint8_t exported[ATT_EXPORTED_SIZE];
        g_autofree char *told = NULL;
        g_autoptr(GBytes) spki = NULL, evidence = NULL;
        g_autoptr(GError) error = NULL;

        if (!ctl_parse(argc, argv, options, "", 0,
                       "Asks attestd for evidence that is bound to fresh random values. Writes it, and the\n"
                       "options by which attestctl verify can check it."))
                return CTL_USAGE;
        if (!out && isatty(STDOUT_FILENO))
                return ctl_fail(CTL_USAGE, "evidence is binary: use --out FILE");

        if (key_path && !(spki = read_public_key(key_path, &error)))
                return ctl_fail(CTL_USAGE, "%s", error->message);
        if (!spki)
                spki = att_spki_new_orphan(&error);
        if (!spki || !att_random(exported, sizeof exported, &error) ||
            !(evidence = attest(spki, exported, direct, &error)))
                return ctl_fail(CTL_NO, "%s", error->message);

        told = verify_options(spki, exported);
        if (out && !write_files(out, evidence, told, &error))
                return ctl_fail(CTL_USAGE, "%s", error->message);
        if (!out) {
                (void) fwrite(g_bytes_get_data(evidence, NULL), 1, g_bytes_get_size(evidence), stdout);
                (void) fputs(told, stderr);
        }
        return CTL_YES;
}
