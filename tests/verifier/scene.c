/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "scene.h"

#include "ea/exporter.h"

#include <openssl/sha.h>
#include <openssl/x509v3.h>

/* Not g_assert(): these calls do the work. */
#define MUST(x)                                                               \
        do {                                                                  \
                if (!(x))                                                     \
                        g_error("%s:%d: %s", __FILE__, __LINE__, #x);         \
        } while (0)

Wire wire_new(AttHash hash, uint8_t seed) {
        Wire wire = { .hash = hash };

        memset(wire.secret, seed, att_hash_size(hash));
        return wire;
}

void wire_export(const Wire *wire, GBytes *context, uint8_t ret[ATT_EXPORTED_SIZE]) {
        tls_exporter(wire->hash, wire->secret, ATT_EXPORTER_LABEL, g_bytes_get_data(context, NULL),
                     g_bytes_get_size(context), NULL, ret, ATT_EXPORTED_SIZE);
}

static GBytes *take_der(unsigned char *der, int size) {
        GBytes *bytes;

        MUST(size > 0);
        bytes = g_bytes_new(der, (gsize) size);
        OPENSSL_free(der);
        return bytes;
}

static void add_extension(X509 *x509, int nid, const char *value) {
        X509_EXTENSION *e = X509V3_EXT_conf_nid(NULL, NULL, nid, value);

        MUST(e && X509_add_ext(x509, e, -1) == 1);
        X509_EXTENSION_free(e);
}

static GBytes *self_sign(EVP_PKEY *key, const char *dns_name) {
        g_autofree char *alternative = g_strdup_printf("DNS:%s", dns_name);
        X509 *x509 = X509_new();
        X509_NAME *name = X509_get_subject_name(x509);
        unsigned char *der = NULL;
        GBytes *bytes;

        MUST(X509_set_version(x509, X509_VERSION_3) == 1);
        MUST(ASN1_INTEGER_set(X509_get_serialNumber(x509), 1) == 1);
        MUST(X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8, (const unsigned char *) dns_name, -1, -1, 0) == 1);
        MUST(X509_set_issuer_name(x509, name) == 1);
        MUST(ASN1_TIME_set(X509_getm_notBefore(x509), SCENE_NOW - 86400));
        MUST(ASN1_TIME_set(X509_getm_notAfter(x509), SCENE_NOW + 86400));
        MUST(X509_set_pubkey(x509, key) == 1);
        add_extension(x509, NID_subject_alt_name, alternative);
        MUST(X509_sign(x509, key, EVP_sha256()) > 0);

        int size = i2d_X509(x509, &der);
        bytes = take_der(der, size);
        X509_free(x509);
        return bytes;
}

Identity *identity_new(const char *dns_name) {
        Identity *identity = g_new0(Identity, 1);
        unsigned char *der = NULL;

        identity->key = EVP_EC_gen("P-256");
        MUST(identity->key);
        identity->certificate = self_sign(identity->key, dns_name);

        int size = i2d_PUBKEY(identity->key, &der);
        identity->spki = take_der(der, size);
        return identity;
}

void identity_free(Identity *identity) {
        EVP_PKEY_free(identity->key);
        g_bytes_unref(identity->certificate);
        g_bytes_unref(identity->spki);
        g_free(identity);
}

GPtrArray *identity_anchors(const Identity *identity) {
        GPtrArray *anchors = g_ptr_array_new_with_free_func((GDestroyNotify) att_certificate_unref);
        AttCertificate *certificate = att_certificate_from_der(g_bytes_get_data(identity->certificate, NULL),
                                                               g_bytes_get_size(identity->certificate), NULL);

        MUST(certificate);
        g_ptr_array_add(anchors, certificate);
        return anchors;
}

void scene_set(Forge *forge, const char *name, const char *value) {
        g_autofree char *why = NULL;

        if (!forge_set(forge, name, value, &why))
                g_error("%s", why);
}

AttPolicy *scene_parse(const char *text) {
        g_autoptr(GError) error = NULL;
        AttPolicy *policy = att_policy_parse("scene", text, strlen(text), &error);

        if (!policy)
                g_error("%s", error->message);
        return policy;
}

AttPolicy *scene_policy(const Forge *forge, const char *more) {
        static const char mrtd[] = "test mrtd"; /* what the forge measures */
        g_autofree char *text = NULL;
        char hex[2 * SHA384_DIGEST_LENGTH + 1];
        uint8_t digest[SHA384_DIGEST_LENGTH];

        SHA384((const uint8_t *) mrtd, strlen(mrtd), digest);
        for (size_t i = 0; i < sizeof digest; i++)
                g_snprintf(hex + 2 * i, 3, "%02x", digest[i]);
        text = g_strdup_printf("attestd-policy 1\ntee tdx\ncollateral not-required\nroot tdx %s\n"
                               "boot mrtd=%s\nworkload unit " SCENE_UNIT " uid %u\n%s",
                               forge_root_spki_sha256(forge), hex, SCENE_UID, more);
        return scene_parse(text);
}

AttPolicy *scene_open_policy(const Forge *forge, const char *more) {
        g_autofree char *text = g_strdup_printf("attestd-policy 1\ntee tdx\ncollateral not-required\nroot tdx %s\n"
                                                "workload any\npeer any\nbare-report allowed\n%s",
                                                forge_root_spki_sha256(forge), more);

        return scene_parse(text);
}

static void hash_bytes(AttHash hash, GBytes *a, const void *b, size_t b_size, uint8_t *ret) {
        AttPart parts[] = { { g_bytes_get_data(a, NULL), g_bytes_get_size(a) }, { b, b_size } };

        att_hash_parts(hash, parts, G_N_ELEMENTS(parts), ret);
}

AttClaims *scene_claims(const Wire *wire, GBytes *context, GBytes *spki, AttRole role) {
        AttClaims *claims = g_new0(AttClaims, 1);
        uint8_t exported[ATT_EXPORTED_SIZE];

        wire_export(wire, context, exported);
        claims->hash = wire->hash;
        hash_bytes(wire->hash, spki, exported, sizeof exported, claims->binding);
        hash_bytes(wire->hash, spki, NULL, 0, claims->key_hash);
        claims->issued_at = SCENE_NOW;
        claims->role = role;
        memset(claims->boot_id, 0xb0, sizeof claims->boot_id);
        memset(claims->instance_id, 0x1d, sizeof claims->instance_id);
        claims->generation = 7;
        memset(claims->config_digest, 0xcf, sizeof claims->config_digest);

        claims->caller = g_new0(AttCallerClaims, 1);
        claims->caller->has_uid = true;
        claims->caller->uid = SCENE_UID;
        claims->caller->unit_kind = g_strdup("system");
        claims->caller->unit = g_strdup(SCENE_UNIT);
        return claims;
}

void scene_report_data(GBytes *c, uint8_t ret[ATT_REPORT_DATA_SIZE]) {
        g_autoptr(GByteArray) all = g_byte_array_new();

        g_byte_array_append(all, (const guint8 *) "attestd evidence/1\0", 19);
        g_byte_array_append(all, g_bytes_get_data(c, NULL), (guint) g_bytes_get_size(c));
        SHA512(all->data, all->len, ret);
}

GBytes *scene_quote(Forge *forge, const uint8_t report_data[ATT_REPORT_DATA_SIZE]) {
        return g_byte_array_free_to_bytes(forge_quote(forge, report_data));
}

GBytes *scene_collection(Forge *forge, const char *profile, GBytes *c,
                         const uint8_t report_data[ATT_REPORT_DATA_SIZE]) {
        g_autoptr(GBytes) quote = scene_quote(forge, report_data);
        AttTsmReport report = { .provider = (char *) "tdx_guest", .outblob = quote };
        AttEvidence evidence = { .profile = (char *) profile, .claims = c, .tee = &report };
        g_autoptr(GError) error = NULL;
        GBytes *bytes = att_evidence_encode(&evidence, ATT_CMW_SIZE_MAX, NULL, &error);

        if (!bytes)
                g_error("%s", error->message);
        return bytes;
}

GBytes *scene_evidence(Forge *forge, const AttClaims *claims) {
        g_autoptr(GBytes) c = att_claims_encode(claims, NULL);
        uint8_t report_data[ATT_REPORT_DATA_SIZE];

        MUST(c);
        scene_report_data(c, report_data);
        return scene_collection(forge, ATT_PROFILE_EVIDENCE, c, report_data);
}

static GBytes *sign(EVP_PKEY *key, GBytes *message) {
        EVP_MD_CTX *ctx = EVP_MD_CTX_new();
        uint8_t signature[128];
        size_t size = sizeof signature;

        MUST(EVP_DigestSignInit(ctx, NULL, EVP_sha256(), NULL, key) == 1);
        MUST(EVP_DigestSign(ctx, signature, &size, g_bytes_get_data(message, NULL), g_bytes_get_size(message)) == 1);
        EVP_MD_CTX_free(ctx);
        return g_bytes_new(signature, size);
}

GBytes *scene_authenticator(const Wire *wire, GBytes *request, AttRole role, const Identity *identity,
                            GBytes *evidence) {
        g_autoptr(GPtrArray) certificates = g_ptr_array_new();
        g_auto(AttEaRequest) read = { 0 };
        g_auto(AttEaKeys) keys = { 0 };
        g_autoptr(AttEaDraft) draft = NULL;
        g_autoptr(GBytes) to_be_signed = NULL;
        g_autoptr(GBytes) signature = NULL;
        g_autoptr(GError) error = NULL;
        GBytes *authenticator;

        ea_keys_of(wire->hash, wire->secret, role, &keys);
        if (!att_ea_request_read(request, att_role_other(role), ATT_CMW_ATTESTATION_DEFAULT, &read, &error))
                g_error("%s", error->message);
        g_ptr_array_add(certificates, identity->certificate);
        draft = att_ea_draft_new(&keys, &read, certificates, ATT_CMW_ATTESTATION_DEFAULT, evidence, &error);
        if (!draft)
                g_error("%s", error->message);
        to_be_signed = att_ea_draft_to_be_signed(draft);
        signature = sign(identity->key, to_be_signed);
        authenticator = att_ea_draft_finish(draft, signature, &error);
        if (!authenticator)
                g_error("%s", error->message);
        return authenticator;
}

const AttCheck *scene_check(const AttResult *result, const char *name) {
        const GPtrArray *checks = att_result_checks(result);

        for (guint i = 0; i < checks->len; i++) {
                const AttCheck *check = checks->pdata[i];

                if (g_str_equal(check->name, name))
                        return check;
        }
        g_error("no check is called %s", name);
}
