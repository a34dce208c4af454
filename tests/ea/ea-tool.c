/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* ea/ for another implementation to be held against: a command a line on standard
 * input, an answer a line on standard output. Bytes are hex, "-" is none.
 *
 *   request ROLE CODE-POINT                                    ok REQUEST CONTEXT
 *   make HASH ROLE CONTEXT KEY REQUEST CODE-POINT CMW PKCS8 CERTIFICATE...   ok AUTHENTICATOR
 *   empty HASH ROLE CONTEXT KEY REQUEST                        ok AUTHENTICATOR
 *   validate HASH ROLE CONTEXT KEY REQUEST CODE-POINT AUTHENTICATOR
 *                                                              ok SPKI CMW SCHEME CERTIFICATE...
 *
 * ROLE is that of the sender of the authenticator, but of the request for
 * "request". What is refused is answered with "no" and the message. */
#include "ea/authenticator.h"
#include "pki.h"

#include <stdio.h>
#include <stdlib.h>

static void say(GString *line, GBytes *bytes) {
        g_autofree char *hex = bytes ? pki_to_hex(bytes) : g_strdup("-");

        g_string_append_printf(line, " %s", *hex ? hex : "-");
}

static GBytes *bytes_of(const char *field) {
        return g_str_equal(field, "-") ? g_bytes_new(NULL, 0) : pki_from_hex(field);
}

static AttRole role_of(const char *field) {
        return g_str_equal(field, "server") ? ATT_ROLE_SERVER : ATT_ROLE_CLIENT;
}

static uint16_t code_of(const char *field) {
        return (uint16_t) strtoul(field, NULL, 16);
}

static void read_keys(char **fields, AttEaKeys *ret) {
        g_autoptr(GBytes) context = bytes_of(fields[2]), key = bytes_of(fields[3]);
        size_t n;

        *ret = (AttEaKeys) {
                .hash = g_str_equal(fields[0], "sha384") ? ATT_HASH_SHA384 : ATT_HASH_SHA256,
                .sender = role_of(fields[1]),
        };
        n = att_hash_size(ret->hash);
        if (g_bytes_get_size(context) != n || g_bytes_get_size(key) != n)
                g_error("keys of another size than the hash");
        memcpy(ret->handshake_context, g_bytes_get_data(context, NULL), n);
        memcpy(ret->finished_key, g_bytes_get_data(key, NULL), n);
}

static gboolean request(char **f, GString *line, GError **error) {
        g_autoptr(GBytes) context = NULL, made = att_ea_request_new(role_of(f[0]), code_of(f[1]), &context, error);

        if (!made)
                return FALSE;
        say(line, made);
        say(line, context);
        return TRUE;
}

static gboolean make(char **f, GString *line, GError **error) {
        g_autoptr(GBytes) bytes = bytes_of(f[4]), cmw = bytes_of(f[6]), pkcs8 = bytes_of(f[7]);
        g_autoptr(GBytes) tbs = NULL, signature = NULL, made = NULL;
        g_autoptr(GPtrArray) certificates = g_ptr_array_new_with_free_func((GDestroyNotify) g_bytes_unref);
        const unsigned char *p = g_bytes_get_data(pkcs8, NULL);
        g_autoptr(EVP_PKEY) key = d2i_AutoPrivateKey(NULL, &p, (long) g_bytes_get_size(pkcs8));
        g_autoptr(AttEaDraft) draft = NULL;
        g_auto(AttEaRequest) read = { 0 };
        g_auto(AttEaKeys) keys = { 0 };

        read_keys(f, &keys);
        for (char **c = f + 8; *c; c++)
                g_ptr_array_add(certificates, bytes_of(*c));
        if (!att_ea_request_read(bytes, att_role_other(keys.sender), code_of(f[5]), &read, error))
                return FALSE;
        draft = att_ea_draft_new(&keys, &read, certificates, code_of(f[5]), g_bytes_get_size(cmw) ? cmw : NULL, error);
        if (!draft)
                return FALSE;
        tbs = att_ea_draft_to_be_signed(draft);
        signature = pki_sign(key, att_ea_draft_scheme(draft), g_bytes_get_data(tbs, NULL), g_bytes_get_size(tbs));
        made = att_ea_draft_finish(draft, signature, error);
        if (!made)
                return FALSE;
        say(line, made);
        return TRUE;
}

static gboolean empty(char **f, GString *line, GError **error) {
        g_autoptr(GBytes) bytes = bytes_of(f[4]), made = NULL;
        g_auto(AttEaRequest) read = { 0 };
        g_auto(AttEaKeys) keys = { 0 };

        read_keys(f, &keys);
        if (!att_ea_request_read(bytes, att_role_other(keys.sender), 0, &read, error))
                return FALSE;
        made = att_ea_empty_new(&keys, &read);
        say(line, made);
        return TRUE;
}

static gboolean validate(char **f, GString *line, GError **error) {
        g_autoptr(GBytes) bytes = bytes_of(f[4]), authenticator = bytes_of(f[6]);
        g_auto(AttEaIdentity) identity = { 0 };
        g_auto(AttEaKeys) keys = { 0 };

        read_keys(f, &keys);
        if (!att_ea_validate(&keys, bytes, code_of(f[5]), authenticator, &identity, error))
                return FALSE;
        say(line, identity.spki);
        say(line, identity.cmw);
        g_string_append_printf(line, " %04x", identity.scheme);
        for (guint i = 0; i < identity.certificates->len; i++) {
                g_autoptr(GBytes) der = att_certificate_dup_der(g_ptr_array_index(identity.certificates, i));

                say(line, der);
        }
        return TRUE;
}

static const struct {
        const char *name;
        guint n_fields; /* at least */
        gboolean (*run)(char **fields, GString *line, GError **error);
} commands[] = {
        { "request", 2, request },
        { "make", 8, make },
        { "empty", 5, empty },
        { "validate", 7, validate },
};

int main(void) {
        char *input = NULL;
        size_t room = 0;

        while (getline(&input, &room, stdin) > 0) {
                g_auto(GStrv) fields = g_strsplit(g_strchomp(input), " ", -1);
                g_autoptr(GString) line = g_string_new("ok");
                g_autoptr(GError) error = NULL;
                bool known = false;

                for (size_t i = 0; i < G_N_ELEMENTS(commands) && !known; i++) {
                        known = g_str_equal(fields[0], commands[i].name) &&
                                g_strv_length(fields) > commands[i].n_fields;
                        if (known && !commands[i].run(fields + 1, line, &error))
                                g_string_printf(line, "no %s", error->message);
                }
                if (!known)
                        return EXIT_FAILURE;
                puts(line->str);
                fflush(stdout);
        }
        free(input);
        return EXIT_SUCCESS;
}
