/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "services.h"

#include <gnutls/abstract.h>
#include <gnutls/crypto.h>
#include <string.h>

#define PROPERTIES "org.freedesktop.DBus.Properties"
/* Above the time that attestd takes for a report, 20 s at most by default. */
#define CALL_MS 60000
#define PREFIX_SIZE 87 /* 64 spaces, "Exported Authenticator", NUL */

static bool failed(GError **error, const char *what, int code) {
        g_set_error(error, REFUSED, REFUSED_SILENT, "%s: %s", what, gnutls_strerror(code));
        return false;
}

static GVariant *variant_of(const void *data, size_t size) {
        return g_variant_new_fixed_array(G_VARIANT_TYPE_BYTE, data, size, 1);
}

static GVariant *variant_of_bytes(GBytes *bytes) {
        return g_variant_new_from_bytes(G_VARIANT_TYPE_BYTESTRING, bytes, TRUE);
}

static GVariant *variant_of_list(GPtrArray *list) {
        GVariantBuilder builder;

        g_variant_builder_init(&builder, G_VARIANT_TYPE("aay"));
        for (guint i = 0; list && i < list->len; i++)
                g_variant_builder_add_value(&builder, variant_of_bytes(g_ptr_array_index(list, i)));
        return g_variant_builder_end(&builder);
}

static GBytes *bytes_of(GVariant *tuple, gsize i) {
        g_autoptr(GVariant) child = g_variant_get_child_value(tuple, i);

        return g_variant_get_data_as_bytes(child);
}

/* The binding. */

bool binding_init(Binding *ret, gnutls_session_t tls, GError **error) {
        gnutls_digest_algorithm_t hash;

        if (gnutls_protocol_get_version(tls) != GNUTLS_TLS1_3 || gnutls_session_is_resumed(tls)) {
                g_set_error(error, REFUSED, REFUSED_SILENT, "the connection is not TLS 1.3, or was resumed");
                return false;
        }
        /* gnutls_mac_get() would not do: it names the MAC of the records, which is AEAD for all suites. */
        hash = gnutls_prf_hash_get(tls);
        if (hash != GNUTLS_DIG_SHA256 && hash != GNUTLS_DIG_SHA384) {
                g_set_error(error, REFUSED, REFUSED_SILENT, "the hash of the cipher suite is not known");
                return false;
        }
        *ret = (Binding) {
                .tls = tls,
                .hash = hash == GNUTLS_DIG_SHA256 ? "sha256" : "sha384",
                .size = gnutls_hash_get_len(hash),
        };
        return true;
}

/* gnutls_prf_rfc5705() is the exporter of TLS 1.3 as well; gnutls_prf() and
 * gnutls_prf_raw() are of older TLS. */
static GVariant *exported(const Binding *b, const char *label, GBytes *context, size_t size, GError **error) {
        size_t context_size = 0;
        const char *p = context ? g_bytes_get_data(context, &context_size) : NULL;
        uint8_t value[48];
        GVariant *variant = NULL;
        int r;

        r = gnutls_prf_rfc5705(b->tls, strlen(label), label, context_size, p, size, (char *) value);
        if (r == 0)
                variant = g_variant_ref_sink(variant_of(value, size));
        else
                failed(error, "no exporter", r);
        gnutls_memset(value, 0, sizeof value);
        return variant;
}

/* What evidence for the context covers. Always 32 bytes, whatever the hash; and the
 * label has no prefix "EXPORTER-". */
static GVariant *exported_for(const Binding *b, GBytes *context, GError **error) {
        return exported(b, "Attestation", context, 32, error);
}

/* The keys of RFC 9261 for the authenticator that the end @sender sends. Their context
 * is empty. For TLS 1.3 NULL is the same (not so for TLS 1.2). */
static bool add_keys(GVariantBuilder *builder, const Binding *b, const char *sender, GError **error) {
        static const char *const keys[][2] = {
                { "handshake_context", "handshake context" },
                { "finished_key", "finished key" },
        };

        g_variant_builder_init(builder, G_VARIANT_TYPE_VARDICT);
        for (size_t i = 0; i < G_N_ELEMENTS(keys); i++) {
                g_autofree char *label = g_strdup_printf("EXPORTER-%s authenticator %s", sender, keys[i][1]);
                g_autoptr(GVariant) value = exported(b, label, NULL, b->size, error);

                if (!value) {
                        g_variant_builder_clear(builder);
                        return false;
                }
                g_variant_builder_add(builder, "{sv}", keys[i][0], value);
        }
        return true;
}

/* Sessions. */

static GVariant *call(Session *s, const char *path, const char *interface, const char *method, GVariant *arguments,
                      const char *answer, GError **error) {
        return g_dbus_connection_call_sync(s->bus, s->service, path, interface, method, arguments,
                                           G_VARIANT_TYPE(answer), G_DBUS_CALL_FLAGS_NONE, CALL_MS, NULL, error);
}

static GVariant *call_session(Session *s, const char *method, GVariant *arguments, const char *answer,
                              GError **error) {
        g_autofree char *interface = g_strconcat(s->service, ".Session", NULL);

        return call(s, s->path, interface, method, arguments, answer, error);
}

static bool open_session(Session *s, GVariantBuilder *parameters, GError **error) {
        g_autoptr(GVariant) answer = NULL;

        s->bus = g_bus_get_sync(G_BUS_TYPE_SYSTEM, NULL, error);
        if (!s->bus) {
                g_variant_builder_clear(parameters);
                return false;
        }
        g_dbus_connection_set_exit_on_close(s->bus, FALSE); /* else GDBus ends the program with the bus */
        answer = call(s, s->object, s->service, "OpenSession", g_variant_new("(a{sv})", parameters), "(o)", error);
        if (!answer)
                return false;
        g_variant_get(answer, "(o)", &s->path);
        return true;
}

void session_close(Session *s) {
        g_autoptr(GVariant) answer = s->path ? call_session(s, "Close", NULL, "()", NULL) : NULL;

        g_clear_pointer(&s->path, g_free);
        g_clear_object(&s->bus);
}

static void begin_parameters(GVariantBuilder *builder, const Session *s, const Binding *b) {
        g_variant_builder_init(builder, G_VARIANT_TYPE_VARDICT);
        g_variant_builder_add(builder, "{sv}", "role", g_variant_new_string(s->role));
        g_variant_builder_add(builder, "{sv}", "hash", g_variant_new_string(b->hash));
}

/* The verifier. */

bool verifier_open(Session *s, const Binding *b, const char *peer, const Options *options, GError **error) {
        GVariantBuilder parameters;

        *s = (Session) { .service = "org.attestd.Verifier1", .object = "/org/attestd/Verifier1", .role = peer };
        begin_parameters(&parameters, s, b);
        g_variant_builder_add(&parameters, "{sv}", "policy_text", g_variant_new_string(options->policy));
        g_variant_builder_add(&parameters, "{sv}", "peer_name", g_variant_new_string(options->name));
        g_variant_builder_add(&parameters, "{sv}", "trust_anchors", variant_of_list(options->anchors));
        return open_session(s, &parameters, error);
}

bool verifier_create_request(Session *s, GBytes **ret_request, GBytes **ret_context, GError **error) {
        g_autoptr(GVariant) answer =
                call_session(s, "CreateRequest", g_variant_new("(a{sv})", NULL), "(ayay)", error);

        if (!answer)
                return false;
        *ret_request = bytes_of(answer, 0);
        *ret_context = bytes_of(answer, 1);
        return true;
}

bool verifier_record_context(Session *s, GBytes *context, GError **error) {
        g_autoptr(GVariant) answer =
                call_session(s, "RecordContext", g_variant_new("(@ay)", variant_of_bytes(context)), "()", error);

        return answer != NULL;
}

static char *text_of(GVariant *dict, const char *key) {
        char *text = NULL;

        return g_variant_lookup(dict, key, "s", &text) ? text : g_strdup("");
}

bool verifier_validate(Session *s, const Binding *b, GBytes *authenticator, GBytes *context, Verdict *ret,
                       GError **error) {
        g_autoptr(GVariant) value = exported_for(b, context, error), answer = NULL, result = NULL;
        gboolean accepted = FALSE;
        GVariantBuilder options;

        if (!value || !add_keys(&options, b, s->role, error))
                return false;
        answer = call_session(s, "Validate",
                              g_variant_new("(@ay@aya{sv})", variant_of_bytes(authenticator), value, &options),
                              "(ba{sv})", error);
        if (!answer)
                return false;
        g_variant_get(answer, "(b@a{sv})", &accepted, &result);
        *ret = (Verdict) {
                .reason = accepted ? g_strdup("") : text_of(result, "reason"),
                .boot_id = text_of(result, "boot_id"),
                .instance_id = text_of(result, "instance_id"),
        };
        (void) g_variant_lookup(result, "generation", "t", &ret->generation);
        if (!accepted && ret->reason[0] == '\0') {
                g_free(ret->reason);
                ret->reason = g_strdup("refused");
        }
        return true;
}

void verdict_clear(Verdict *verdict) {
        g_free(verdict->reason);
        g_free(verdict->boot_id);
        g_free(verdict->instance_id);
        *verdict = (Verdict) { 0 };
}

/* The attester. */

bool attester_open(Session *s, const Binding *b, const char *role, GError **error) {
        GVariantBuilder parameters;

        *s = (Session) { .service = "org.attestd.Attester1", .object = "/org/attestd/Attester1", .role = role };
        begin_parameters(&parameters, s, b);
        return open_session(s, &parameters, error);
}

/* What TLS 1.3 calls a scheme. Not by gnutls_privkey_sign_data(), which would take
 * PKCS #1 v1.5 for an RSA key. GnuTLS makes ECDSA in DER, and PSS with a salt as long as the hash, as TLS wants it. */
static gnutls_sign_algorithm_t algorithm_of(uint16_t scheme) {
        switch (scheme) {
        case 0x0807:
                return GNUTLS_SIGN_EDDSA_ED25519;
        case 0x0403:
                return GNUTLS_SIGN_ECDSA_SECP256R1_SHA256;
        case 0x0503:
                return GNUTLS_SIGN_ECDSA_SECP384R1_SHA384;
        case 0x0804:
                return GNUTLS_SIGN_RSA_PSS_RSAE_SHA256;
        case 0x0805:
                return GNUTLS_SIGN_RSA_PSS_RSAE_SHA384;
        case 0x0806:
                return GNUTLS_SIGN_RSA_PSS_RSAE_SHA512;
        default:
                return GNUTLS_SIGN_UNKNOWN;
        }
}

/* A signature of TLS 1.3, but only one for an authenticator: with the key of a TLS
 * server, whoever may choose what is signed can be the server. */
static GBytes *sign(gnutls_privkey_t key, uint16_t scheme, GBytes *to_be_signed, size_t hash_size, GError **error) {
        uint8_t prefix[PREFIX_SIZE];
        gnutls_datum_t message, signature;
        GBytes *bytes;
        gsize size;
        int r;

        memset(prefix, ' ', 64);
        memcpy(prefix + 64, "Exported Authenticator", PREFIX_SIZE - 64);
        message.data = (uint8_t *) g_bytes_get_data(to_be_signed, &size);
        message.size = (unsigned) size;
        if (size != sizeof prefix + hash_size || memcmp(message.data, prefix, sizeof prefix) != 0) {
                g_set_error(error, REFUSED, REFUSED_SILENT, "attestd wants something signed that is no authenticator");
                return NULL;
        }
        r = gnutls_privkey_sign_data2(key, algorithm_of(scheme), 0, &message, &signature);
        if (r < 0) {
                failed(error, "cannot sign", r);
                return NULL;
        }
        bytes = g_bytes_new(signature.data, signature.size);
        gnutls_free(signature.data);
        return bytes;
}

static GBytes *finish(Session *s, uint64_t handle, GBytes *signature, GError **error) {
        g_autoptr(GVariant) answer =
                call_session(s, "FinishAuthenticator", g_variant_new("(t@ay)", handle, variant_of_bytes(signature)),
                             "(ay)", error);

        return answer ? bytes_of(answer, 0) : NULL;
}

GBytes *attester_answer(Session *s, const Binding *b, const Options *options, GBytes *request, GBytes *context,
                        GError **error) {
        g_autoptr(GVariant) value = exported_for(b, context, error), answer = NULL;
        g_autoptr(GBytes) to_be_signed = NULL, signature = NULL;
        GVariantBuilder keys;
        uint64_t handle;
        uint16_t scheme;

        if (!value || !add_keys(&keys, b, s->role, error))
                return NULL;
        answer = call_session(s, "BeginAuthenticator",
                              g_variant_new("(@ay@ay@aaya{sv})", variant_of_bytes(request), value,
                                            variant_of_list(options->certificates), &keys),
                              "(tqay)", error);
        if (!answer)
                return NULL;
        g_variant_get(answer, "(tq@ay)", &handle, &scheme, NULL);
        to_be_signed = bytes_of(answer, 2);
        signature = sign(options->key, scheme, to_be_signed, b->size, error);
        return signature ? finish(s, handle, signature, error) : NULL;
}

GBytes *attester_refuse(Session *s, const Binding *b, GBytes *request, GError **error) {
        g_autoptr(GBytes) none = g_bytes_new(NULL, 0);
        g_autoptr(GVariant) answer = NULL;
        GVariantBuilder options;
        uint64_t handle;

        if (!add_keys(&options, b, s->role, error))
                return NULL;
        g_variant_builder_add(&options, "{sv}", "decline", g_variant_new_boolean(TRUE));
        answer = call_session(s, "BeginAuthenticator",
                              g_variant_new("(@ay@ay@aaya{sv})", variant_of_bytes(request), variant_of_bytes(none),
                                            variant_of_list(NULL), &options),
                              "(tqay)", error);
        if (!answer)
                return NULL;
        g_variant_get(answer, "(tq@ay)", &handle, NULL, NULL);
        return finish(s, handle, none, error);
}

static GVariant *property(Session *s, const char *path, const char *interface, const char *name, GError **error) {
        g_autoptr(GVariant) answer =
                call(s, path, PROPERTIES, "Get", g_variant_new("(ss)", interface, name), "(v)", error);
        GVariant *value = NULL;

        if (answer)
                g_variant_get(answer, "(v)", &value);
        return value;
}

/* A program with many connections hears the signal Stale instead of asking. */
bool attester_is_stale(Session *s) {
        g_autoptr(GVariant) value = property(s, s->path, "org.attestd.Attester1.Session", "Stale", NULL);

        return !value || g_variant_get_boolean(value);
}

bool attester_state(Session *s, char **ret_boot_id, char **ret_instance_id, uint64_t *ret_generation,
                    GError **error) {
        g_autoptr(GVariant) boot_id = property(s, s->object, s->service, "BootId", error);
        g_autoptr(GVariant) instance_id = boot_id ? property(s, s->object, s->service, "InstanceId", error) : NULL;
        g_autoptr(GVariant) generation = instance_id ? property(s, s->object, s->service, "Generation", error) : NULL;

        if (!generation)
                return false;
        *ret_boot_id = g_variant_dup_string(boot_id, NULL);
        *ret_instance_id = g_variant_dup_string(instance_id, NULL);
        *ret_generation = g_variant_get_uint64(generation);
        return true;
}
