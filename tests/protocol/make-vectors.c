/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Writes docs/vectors/ anew, from fixed inputs and from the quotes that lie there:
 * a quote's signatures are not reproducible, all else is. renew-quotes.sh makes
 * those when C has changed. */
#include "attester/batch-tree.h"
#include "codec/claims.h"
#include "codec/evidence.h"
#include "codec/frame.h"
#include "codec/tls-handshake.h"
#include "crypto/digest.h"
#include "ea/authenticator.h"
#include "exporter.h"
#include "verifier/describe.h"
#include "verifier/report-data.h"

#include <gio/gio.h>
#include <openssl/evp.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* When the appraisals of the index take place: 2026-06-01T00:00:00Z */
#define AT 1780272000

typedef struct Connection {
        AttHash hash;
        uint8_t secret[ATT_HASH_SIZE_MAX]; /* exporter_master_secret */
        uint8_t context[ATT_CONTEXT_SIZE];
        uint8_t exported[ATT_EXPORTED_SIZE];
        uint8_t binding[ATT_HASH_SIZE_MAX];
        AttEaKeys server;
        AttEaKeys client;
} Connection;

static const char *quotes_dir, *out_dir;
static json_t *out_index;
static EVP_PKEY *leaf_key;
static GBytes *leaf, *leaf_spki;
static Connection connections[2]; /* by AttHash */

static G_GNUC_NORETURN G_GNUC_PRINTF(1, 2) void fail(const char *format, ...) {
        va_list ap;

        va_start(ap, format);
        (void) fprintf(stderr, "make-vectors: ");
        (void) vfprintf(stderr, format, ap);
        (void) fprintf(stderr, "\n");
        va_end(ap);
        exit(EXIT_FAILURE);
}

static const void *must(const void *p, GError *error) {
        if (!p)
                fail("%s", error ? error->message : "no result and no reason");
        return p;
}

static void write_file(const char *name, GBytes *bytes) {
        g_autofree char *path = g_build_filename(out_dir, name, NULL);
        g_autoptr(GError) error = NULL;

        if (!g_file_set_contents(path, g_bytes_get_data(bytes, NULL), (gssize) g_bytes_get_size(bytes), &error))
                fail("%s", error->message);
}

static GBytes *read_quote(const char *name) {
        g_autofree char *path = g_build_filename(quotes_dir, name, NULL);
        g_autoptr(GError) error = NULL;
        char *content;
        gsize size;

        if (!g_file_get_contents(path, &content, &size, &error))
                fail("%s", error->message);
        return g_bytes_new_take(content, size);
}

static void set_hex(json_t *object, const char *key, const void *data, size_t size) {
        const uint8_t *p = data;
        g_autoptr(GString) hex = g_string_new(NULL);

        for (size_t i = 0; i < size; i++)
                g_string_append_printf(hex, "%02x", p[i]);
        json_object_set_new(object, key, json_string(hex->str));
}

static void set_bytes(json_t *object, const char *key, GBytes *bytes) {
        set_hex(object, key, g_bytes_get_data(bytes, NULL), g_bytes_get_size(bytes));
}

static void set_texts(json_t *object, const char *key, char *const *texts) {
        json_t *all = json_array();

        for (size_t i = 0; texts[i]; i++)
                json_array_append_new(all, json_string(texts[i]));
        json_object_set_new(object, key, all);
}

static json_t *section(const char *name) {
        json_t *object = json_object_get(out_index, name);

        if (!object) {
                object = json_object();
                json_object_set_new(out_index, name, object);
        }
        return object;
}

/* Bytes that are the same each time, and look like none. */
static void fill(const char *what, void *ret, size_t size) {
        uint8_t digest[ATT_HASH_SIZE_MAX];
        g_autofree char *text = g_strconcat("attestd vectors: ", what, NULL);
        AttPart part = { .data = text, .size = strlen(text) };

        g_assert(size <= sizeof digest);
        att_hash_parts(ATT_HASH_SHA384, &part, 1, digest);
        memcpy(ret, digest, size);
}

static void make_connection(AttHash hash) {
        Connection *c = &connections[hash];
        size_t size = att_hash_size(hash);
        json_t *object = json_object();

        c->hash = hash;
        fill("exporter_master_secret", c->secret, size);
        fill(hash == ATT_HASH_SHA256 ? "context" : "context of sha384", c->context, sizeof c->context);
        tls_exporter(hash, c->secret, ATT_EXPORTER_LABEL, c->context, sizeof c->context, NULL, c->exported,
                     sizeof c->exported);
        att_ea_binding(hash, leaf_spki, c->exported, c->binding);
        ea_keys_of(hash, c->secret, ATT_ROLE_SERVER, &c->server);
        ea_keys_of(hash, c->secret, ATT_ROLE_CLIENT, &c->client);

        set_hex(object, "exporter_master_secret", c->secret, size);
        set_hex(object, "context", c->context, sizeof c->context);
        set_hex(object, "exported", c->exported, sizeof c->exported);
        set_hex(object, "binding", c->binding, size);
        set_hex(object, "server_handshake_context", c->server.handshake_context, size);
        set_hex(object, "server_finished_key", c->server.finished_key, size);
        set_hex(object, "client_handshake_context", c->client.handshake_context, size);
        set_hex(object, "client_finished_key", c->client.finished_key, size);
        json_object_set_new(section("connections"), att_hash_name(hash), object);
}

/* Self-signed with Ed25519, whose signatures are reproducible. */
static void make_leaf(void) {
        X509 *x = X509_new();
        X509V3_CTX ctx;
        X509_EXTENSION *san;
        uint8_t seed[32];
        unsigned char *der = NULL;
        int size;

        fill("leaf key", seed, sizeof seed);
        leaf_key = EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, seed, sizeof seed);
        (void) must(leaf_key, NULL);

        (void) X509_set_version(x, X509_VERSION_3);
        (void) ASN1_INTEGER_set(X509_get_serialNumber(x), 1);
        (void) X509_NAME_add_entry_by_txt(X509_get_subject_name(x), "CN", MBSTRING_ASC,
                                          (const unsigned char *) "attestd vectors", -1, -1, 0);
        (void) X509_set_issuer_name(x, X509_get_subject_name(x));
        (void) ASN1_TIME_set_string_X509(X509_getm_notBefore(x), "20260101000000Z");
        (void) ASN1_TIME_set_string_X509(X509_getm_notAfter(x), "20560101000000Z");
        (void) X509_set_pubkey(x, leaf_key);
        X509V3_set_ctx(&ctx, x, x, NULL, NULL, 0);
        san = X509V3_EXT_conf_nid(NULL, &ctx, NID_subject_alt_name, "DNS:attester.example");
        (void) X509_add_ext(x, san, -1);
        X509_EXTENSION_free(san);
        if (X509_sign(x, leaf_key, NULL) <= 0 || (size = i2d_X509(x, &der)) <= 0)
                fail("cannot make the leaf");

        leaf = g_bytes_new(der, (size_t) size);
        OPENSSL_free(der);
        der = NULL; /* else it is written to */
        X509_free(x);
        size = i2d_PUBKEY(leaf_key, &der);
        leaf_spki = g_bytes_new(der, (size_t) size);
        OPENSSL_free(der);
}

static GBytes *sign(GBytes *message) {
        EVP_MD_CTX *ctx = EVP_MD_CTX_new();
        uint8_t signature[64];
        size_t size = sizeof signature;

        if (EVP_DigestSignInit(ctx, NULL, NULL, NULL, leaf_key) != 1 ||
            EVP_DigestSign(ctx, signature, &size, g_bytes_get_data(message, NULL), g_bytes_get_size(message)) != 1)
                fail("cannot sign");
        EVP_MD_CTX_free(ctx);
        return g_bytes_new(signature, size);
}

static AttClaims *claims_new(AttHash hash, AttRole role) {
        AttClaims *c = g_new0(AttClaims, 1);
        AttPart part = { .data = g_bytes_get_data(leaf_spki, NULL), .size = g_bytes_get_size(leaf_spki) };

        c->hash = hash;
        c->role = role;
        c->issued_at = AT - 1;
        c->generation = 7;
        memcpy(c->binding, connections[hash].binding, att_hash_size(hash));
        att_hash_parts(hash, &part, 1, c->key_hash);
        fill("boot id", c->boot_id, sizeof c->boot_id);
        fill("instance id", c->instance_id, sizeof c->instance_id);
        fill("configuration", c->config_digest, sizeof c->config_digest);
        return c;
}

static GBytes *filled(const char *what, size_t size) {
        uint8_t *p = g_malloc0(size);

        fill(what, p, MIN(size, ATT_HASH_SIZE_MAX));
        return g_bytes_new_take(p, size);
}

static void add_unit(AttClaims *c) {
        static const uint32_t gids[] = { 100, 1000, 70000 };

        c->caller = g_new0(AttCallerClaims, 1);
        c->caller->has_uid = true;
        c->caller->uid = 1000;
        c->caller->gids = g_array_new(FALSE, FALSE, sizeof(uint32_t));
        g_array_append_vals(c->caller->gids, gids, G_N_ELEMENTS(gids));
        c->caller->unit_kind = g_strdup("system");
        c->caller->unit = g_strdup("payroll.service");
        c->caller->has_invocation = true;
        fill("invocation", c->caller->invocation, sizeof c->caller->invocation);
}

static void add_ima(AttClaims *c, const char *bank, size_t size) {
        c->ima = g_new0(AttImaClaims, 1);
        c->ima->root = g_strdup("claimed");
        c->ima->bank = g_strdup(bank);
        c->ima->count = 4711;
        c->ima->violations = 0;
        c->ima->aggregate = filled("aggregate", size);
}

static AttClaims *claims_minimal(void) {
        return claims_new(ATT_HASH_SHA256, ATT_ROLE_CLIENT);
}

static AttClaims *claims_unit(void) {
        AttClaims *c = claims_new(ATT_HASH_SHA256, ATT_ROLE_SERVER);

        add_unit(c);
        return c;
}

static AttClaims *claims_sha384(void) {
        AttClaims *c = claims_new(ATT_HASH_SHA384, ATT_ROLE_SERVER);

        add_ima(c, "sha256", 32);
        return c;
}

static AttClaims *claims_full(void) {
        AttClaims *c = claims_new(ATT_HASH_SHA256, ATT_ROLE_SERVER);

        add_unit(c);
        c->caller->label = g_strdup("system_u:system_r:payroll_t:s0");
        c->caller->exe_digest = filled("executable", 32);
        add_ima(c, "sha512", 64);
        c->ima->root = (g_free(c->ima->root), g_strdup("tpm-outside"));
        c->ima->violations = 2;
        c->ima->boot_aggregate = filled("boot aggregate", 32);
        c->ima->ak_name = filled("ak", 34);
        c->boot_digest = filled("boot log", 32);
        c->shared_device = true;
        c->generation = G_MAXUINT64;
        c->issued_at = -1;
        return c;
}

static AttClaims *claims_session_unit(void) {
        AttClaims *c = claims_new(ATT_HASH_SHA256, ATT_ROLE_CLIENT);

        c->caller = g_new0(AttCallerClaims, 1);
        c->caller->gids = g_array_new(FALSE, FALSE, sizeof(uint32_t));
        c->caller->unit_kind = g_strdup("scope");
        c->caller->unit = g_strdup("session-42.scope");
        return c;
}

static AttClaims *claims_rtmr(void) {
        AttClaims *c = claims_new(ATT_HASH_SHA384, ATT_ROLE_SERVER);

        add_ima(c, "sha384", 48);
        c->ima->root = (g_free(c->ima->root), g_strdup("rtmr"));
        c->ima->rtmr = 3;
        return c;
}

static AttClaims *claims_ima_state(void) {
        AttClaims *c = claims_new(ATT_HASH_SHA256, ATT_ROLE_SERVER);

        c->ima_state = g_strdup("history-lost");
        return c;
}

static const struct {
        const char *file;
        AttClaims *(*make)(void);
} claims_vectors[] = {
        { "claims-minimal.cbor", claims_minimal },
        { "claims-unit.cbor", claims_unit },
        { "claims-sha384.cbor", claims_sha384 },
        { "claims-full.cbor", claims_full },
        { "claims-scope.cbor", claims_session_unit },
        { "claims-rtmr.cbor", claims_rtmr },
        { "claims-ima-state.cbor", claims_ima_state },
};

static GBytes *make_claims(const char *file) {
        g_autoptr(GError) error = NULL;

        for (size_t i = 0; i < G_N_ELEMENTS(claims_vectors); i++) {
                g_autoptr(AttClaims) c = NULL;
                GBytes *bytes;

                if (!g_str_equal(file, claims_vectors[i].file))
                        continue;
                c = claims_vectors[i].make();
                bytes = att_claims_encode(c, &error);
                (void) must(bytes, error);
                return bytes;
        }
        fail("no claims %s", file);
}

static void write_claims(void) {
        for (size_t i = 0; i < G_N_ELEMENTS(claims_vectors); i++) {
                g_autoptr(GBytes) bytes = make_claims(claims_vectors[i].file);
                g_autoptr(GError) error = NULL;
                g_autoptr(AttClaims) again = att_claims_decode(bytes, &error);
                uint8_t r[ATT_REPORT_DATA_SIZE];
                json_t *object = json_object();

                (void) must(again, error);
                att_report_data_evidence(bytes, r);
                json_object_set_new(object, "claims", att_claims_to_json(again));
                set_hex(object, "report_data", r, sizeof r);
                json_object_set_new(section("claims"), claims_vectors[i].file, object);
                write_file(claims_vectors[i].file, bytes);
        }
}

/* A batch: claims-unit.cbor, and what stands for the C of others, who are no business of a relying party. */
#define BATCH_N 7u
#define BATCH_INDEX 4u

static AttBatchTree *make_batch(void) {
        AttBatchTree *tree = att_batch_tree_new(BATCH_N);
        g_autoptr(GBytes) own = make_claims("claims-unit.cbor");
        uint8_t root[ATT_PROOF_NODE_SIZE];

        for (guint i = 0; i < BATCH_N; i++) {
                g_autofree char *what = g_strdup_printf("claims of request %u", i);
                g_autoptr(GBytes) other = filled(what, 48);

                att_batch_tree_set(tree, i, i == BATCH_INDEX ? own : other);
        }
        att_batch_tree_root(tree, root);
        return tree;
}

/* The place of claims-unit.cbor; or a proof that does not prove it. */
static void prove_right(AttInclusionProof *ret) {
        g_autoptr(AttBatchTree) tree = make_batch();

        att_batch_tree_prove(tree, BATCH_INDEX, ret);
}

static void prove_next(AttInclusionProof *ret) {
        g_autoptr(AttBatchTree) tree = make_batch();

        att_batch_tree_prove(tree, BATCH_INDEX + 1, ret);
}

/* Adds up, but one request is in the plain form. */
static void prove_one(AttInclusionProof *ret) {
        *ret = (AttInclusionProof) { .n = 1 };
}

/* Of n and index right, and too long. */
static void prove_longer(AttInclusionProof *ret) {
        prove_right(ret);
        fill("one node more", ret->path[ret->path_length++], ATT_PROOF_NODE_SIZE);
}

static const struct {
        const char *file;
        void (*prove)(AttInclusionProof *ret);
} proof_vectors[] = {
        { "proof.cbor", prove_right },
        { "proof-next.cbor", prove_next },
        { "proof-one.cbor", prove_one },
        { "proof-longer.cbor", prove_longer },
};

static GBytes *make_proof(const char *file) {
        AttInclusionProof proof;

        for (size_t i = 0; i < G_N_ELEMENTS(proof_vectors); i++)
                if (g_str_equal(file, proof_vectors[i].file)) {
                        proof_vectors[i].prove(&proof);
                        return att_inclusion_proof_encode(&proof);
                }
        fail("no proof %s", file);
}

/* Of a proof that is one also what it says of claims-unit.cbor. */
static void write_proofs(void) {
        g_autoptr(GBytes) claims = make_claims("claims-unit.cbor");

        for (size_t i = 0; i < G_N_ELEMENTS(proof_vectors); i++) {
                g_autoptr(GBytes) bytes = make_proof(proof_vectors[i].file);
                json_t *object = json_object();
                uint8_t r[ATT_REPORT_DATA_SIZE];
                AttInclusionProof proof;

                if (att_inclusion_proof_decode(bytes, &proof, NULL)) {
                        json_object_set_new(object, "proof", att_inclusion_proof_to_json(&proof));
                        att_report_data_batch(claims, &proof, r);
                        json_object_set_new(object, "claims", json_string("claims-unit.cbor"));
                        set_hex(object, "report_data", r, sizeof r);
                } else {
                        json_object_set_new(object, "proof", json_null());
                }
                json_object_set_new(section("proofs"), proof_vectors[i].file, object);
                write_file(proof_vectors[i].file, bytes);
        }
}

#define MANIFEST "manifest of an SVSM"

/* Evidence, and the quote or report in it, which is an input, as is the table of a report. */
static const struct {
        const char *file;
        const char *profile;
        AttHash hash;
        const char *claims; /* or NULL */
        const char *quote;
        const char *table; /* of an SNP host; or NULL */
        bool has_manifest;
        const char *proof; /* or NULL */
        void (*made_for)(AttInclusionProof *ret); /* of which the report is, if not in the plain form */
} evidence_vectors[] = {
        { "evidence.cbor", ATT_PROFILE_EVIDENCE, ATT_HASH_SHA256, "claims-unit.cbor", "quote-unit.bin" },
        { "evidence-sha384.cbor", ATT_PROFILE_EVIDENCE, ATT_HASH_SHA384, "claims-sha384.cbor", "quote-sha384.bin" },
        { "evidence-full.cbor", ATT_PROFILE_EVIDENCE, ATT_HASH_SHA256, "claims-full.cbor", "quote-full.bin" },
        { "evidence-debug.cbor", ATT_PROFILE_EVIDENCE, ATT_HASH_SHA256, "claims-unit.cbor", "quote-debug.bin" },
        { "evidence-weak.cbor", ATT_PROFILE_EVIDENCE, ATT_HASH_SHA256, "claims-unit.cbor", "quote-weak.bin" },
        { "evidence-reserved.cbor", ATT_PROFILE_EVIDENCE, ATT_HASH_SHA256, "claims-unit.cbor", "quote-reserved.bin" },
        { "evidence-module.cbor", ATT_PROFILE_EVIDENCE, ATT_HASH_SHA256, "claims-unit.cbor", "quote-module.bin" },
        { "evidence-batch.cbor", ATT_PROFILE_EVIDENCE, ATT_HASH_SHA256, "claims-unit.cbor", "quote-batch.bin",
          .proof = "proof.cbor", .made_for = prove_right },
        { "evidence-batch-next.cbor", ATT_PROFILE_EVIDENCE, ATT_HASH_SHA256, "claims-unit.cbor", "quote-batch.bin",
          .proof = "proof-next.cbor", .made_for = prove_right },
        { "evidence-batch-longer.cbor", ATT_PROFILE_EVIDENCE, ATT_HASH_SHA256, "claims-unit.cbor", "quote-batch.bin",
          .proof = "proof-longer.cbor", .made_for = prove_right },
        { "evidence-batch-without.cbor", ATT_PROFILE_EVIDENCE, ATT_HASH_SHA256, "claims-unit.cbor", "quote-batch.bin",
          .made_for = prove_right },
        { "evidence-batch-one.cbor", ATT_PROFILE_EVIDENCE, ATT_HASH_SHA256, "claims-unit.cbor", "quote-one.bin",
          .proof = "proof-one.cbor", .made_for = prove_one },
        { "evidence-expat-pad.cbor", ATT_PROFILE_EXPAT_PAD, ATT_HASH_SHA256, NULL, "quote-expat-pad.bin" },
        { "evidence-cocos.cbor", ATT_PROFILE_COCOS, ATT_HASH_SHA384, NULL, "quote-cocos.bin" },
        { "evidence-snp.cbor", ATT_PROFILE_EVIDENCE, ATT_HASH_SHA256, "claims-unit.cbor", "report-unit.bin",
          "table-unit.bin", false },
        { "evidence-snp-vlek.cbor", ATT_PROFILE_EVIDENCE, ATT_HASH_SHA384, "claims-sha384.cbor", "report-vlek.bin",
          "table-vlek.bin", false },
        { "evidence-snp-svsm.cbor", ATT_PROFILE_EVIDENCE, ATT_HASH_SHA256, "claims-unit.cbor", "report-svsm.bin",
          "table-svsm.bin", true },
        { "evidence-snp-cocos.cbor", ATT_PROFILE_COCOS, ATT_HASH_SHA384, NULL, "report-cocos.bin", "table-cocos.bin",
          false },
        { "evidence-snp-debug.cbor", ATT_PROFILE_EVIDENCE, ATT_HASH_SHA256, "claims-unit.cbor", "report-debug.bin",
          "table-debug.bin", false },
        { "evidence-snp-migratable.cbor", ATT_PROFILE_EVIDENCE, ATT_HASH_SHA256, "claims-unit.cbor",
          "report-migratable.bin", "table-migratable.bin", false },
        { "evidence-snp-vmpl.cbor", ATT_PROFILE_EVIDENCE, ATT_HASH_SHA256, "claims-unit.cbor", "report-vmpl.bin",
          "table-vmpl.bin", false },
        { "evidence-snp-masked.cbor", ATT_PROFILE_EVIDENCE, ATT_HASH_SHA256, "claims-unit.cbor", "report-masked.bin",
          "table-masked.bin", false },
        { "evidence-snp-chip.cbor", ATT_PROFILE_EVIDENCE, ATT_HASH_SHA256, "claims-unit.cbor", "report-chip.bin",
          "table-chip.bin", false },
        { "evidence-snp-tcb.cbor", ATT_PROFILE_EVIDENCE, ATT_HASH_SHA256, "claims-unit.cbor", "report-tcb.bin",
          "table-tcb.bin", false },
        { "evidence-snp-overlap.cbor", ATT_PROFILE_EVIDENCE, ATT_HASH_SHA256, "claims-unit.cbor", "report-overlap.bin",
          "table-overlap.bin", false },
        { "evidence-snp-signature.cbor", ATT_PROFILE_EVIDENCE, ATT_HASH_SHA256, "claims-unit.cbor",
          "report-signature.bin", "table-signature.bin", false },
};

static void report_data_of(size_t i, uint8_t ret[ATT_REPORT_DATA_SIZE]) {
        const Connection *c = &connections[evidence_vectors[i].hash];

        if (evidence_vectors[i].claims) {
                g_autoptr(GBytes) claims = make_claims(evidence_vectors[i].claims);
                AttInclusionProof proof;

                if (evidence_vectors[i].made_for) {
                        evidence_vectors[i].made_for(&proof);
                        att_report_data_batch(claims, &proof, ret);
                } else {
                        att_report_data_evidence(claims, ret);
                }
        } else if (g_str_equal(evidence_vectors[i].profile, ATT_PROFILE_EXPAT_PAD)) {
                att_report_data_expat_pad(c->hash, c->binding, ret);
        } else {
                att_report_data_cocos(c->hash, c->binding, ret);
        }
        if (evidence_vectors[i].has_manifest) {
                g_autoptr(GBytes) manifest = g_bytes_new_static(MANIFEST, strlen(MANIFEST));

                att_report_data_with_manifest(ret, manifest, ret);
        }
}

static GBytes *make_evidence(size_t i) {
        g_autoptr(AttEvidence) evidence = g_new0(AttEvidence, 1);
        g_autoptr(GError) error = NULL;
        bool left_out;
        GBytes *bytes;

        evidence->profile = g_strdup(evidence_vectors[i].profile);
        evidence->claims = evidence_vectors[i].claims ? make_claims(evidence_vectors[i].claims) : NULL;
        evidence->tee = g_new0(AttTsmReport, 1);
        evidence->tee->provider = g_strdup(evidence_vectors[i].table ? ATT_PROVIDER_SNP : ATT_PROVIDER_TDX);
        evidence->tee->outblob = read_quote(evidence_vectors[i].quote);
        evidence->tee->auxblob = evidence_vectors[i].table ? read_quote(evidence_vectors[i].table) : NULL;
        if (evidence_vectors[i].has_manifest) {
                evidence->tee->service_provider = g_strdup(ATT_SERVICE_PROVIDER_SVSM);
                evidence->tee->manifestblob = g_bytes_new_static(MANIFEST, strlen(MANIFEST));
        }
        if (evidence_vectors[i].proof)
                evidence->proof = make_proof(evidence_vectors[i].proof);
        bytes = att_evidence_encode(evidence, ATT_CMW_SIZE_MAX, &left_out, &error);
        (void) must(bytes, error);
        return bytes;
}

static void write_evidence(void) {
        for (size_t i = 0; i < G_N_ELEMENTS(evidence_vectors); i++) {
                g_autoptr(GBytes) bytes = make_evidence(i);
                g_autoptr(GBytes) quote = read_quote(evidence_vectors[i].quote);
                json_t *object = json_object();

                json_object_set_new(object, "profile", json_string(evidence_vectors[i].profile));
                json_object_set_new(object, "claims", evidence_vectors[i].claims ?
                                    json_string(evidence_vectors[i].claims) : json_null());
                if (evidence_vectors[i].proof)
                        json_object_set_new(object, "proof", json_string(evidence_vectors[i].proof));
                json_object_set_new(object, "provider", json_string(evidence_vectors[i].table ? ATT_PROVIDER_SNP :
                                                                    ATT_PROVIDER_TDX));
                json_object_set_new(object, "quote", json_string(evidence_vectors[i].quote));
                if (evidence_vectors[i].table) {
                        g_autoptr(GBytes) table = read_quote(evidence_vectors[i].table);

                        json_object_set_new(object, "table", json_string(evidence_vectors[i].table));
                        write_file(evidence_vectors[i].table, table);
                }
                json_object_set_new(section("evidence"), evidence_vectors[i].file, object);
                write_file(evidence_vectors[i].file, bytes);
                write_file(evidence_vectors[i].quote, quote);
        }
}

static void write_report(const char *file, const AttTsmReport *report) {
        g_autoptr(GBytes) bytes = att_tsm_report_encode(report);
        json_t *object = json_object();

        json_object_set_new(object, "provider", json_string(report->provider));
        set_bytes(object, "outblob", report->outblob);
        if (report->auxblob)
                set_bytes(object, "auxblob", report->auxblob);
        if (report->service_provider)
                json_object_set_new(object, "service_provider", json_string(report->service_provider));
        if (report->manifestblob)
                set_bytes(object, "manifestblob", report->manifestblob);
        json_object_set_new(section("tsm_reports"), file, object);
        write_file(file, bytes);
}

static void write_reports(void) {
        g_autoptr(AttTsmReport) r = g_new0(AttTsmReport, 1);

        r->provider = g_strdup("sev_guest");
        r->outblob = filled("outblob", 48);
        r->auxblob = filled("auxblob", 24);
        write_report("tsm-report.cbor", r);
        r->service_provider = g_strdup("svsm");
        r->manifestblob = filled("manifest", 40);
        write_report("tsm-report-svsm.cbor", r);

        /* What is left of evidence.cbor without its claims. */
        g_autoptr(AttTsmReport) bare = g_new0(AttTsmReport, 1);
        bare->provider = g_strdup("tdx_guest");
        bare->outblob = read_quote("quote-unit.bin");
        write_report("tsm-report-tdx.cbor", bare);
}

static GBytes *make_request(AttHash hash, AttRole requester) {
        g_autoptr(GBytes) context = g_bytes_new(connections[hash].context, ATT_CONTEXT_SIZE);

        return att_tls_request_build(requester == ATT_ROLE_CLIENT ? ATT_TLS_CLIENT_CERTIFICATE_REQUEST :
                                     ATT_TLS_CERTIFICATE_REQUEST, context, att_schemes, att_n_schemes,
                                     ATT_CMW_ATTESTATION_DEFAULT);
}

static void write_authenticator(const char *request_file, const char *file, const char *empty_file, AttHash hash,
                                size_t evidence_index) {
        g_autoptr(GBytes) request_bytes = make_request(hash, ATT_ROLE_CLIENT);
        g_autoptr(GPtrArray) certificates = g_ptr_array_new();
        g_autoptr(GBytes) evidence = make_evidence(evidence_index);
        g_autoptr(GBytes) message = NULL, signature = NULL, authenticator = NULL, empty = NULL;
        const AttEaKeys *keys = &connections[hash].server;
        g_auto(AttEaRequest) request = { 0 };
        g_autoptr(AttEaDraft) draft = NULL;
        g_autoptr(GError) error = NULL;
        json_t *object = json_object();

        if (!att_ea_request_read(request_bytes, ATT_ROLE_CLIENT, ATT_CMW_ATTESTATION_DEFAULT, &request, &error))
                fail("%s", error->message);
        g_ptr_array_add(certificates, leaf);
        draft = att_ea_draft_new(keys, &request, certificates, ATT_CMW_ATTESTATION_DEFAULT, evidence, &error);
        (void) must(draft, error);
        message = att_ea_draft_to_be_signed(draft);
        signature = sign(message);
        authenticator = att_ea_draft_finish(draft, signature, &error);
        (void) must(authenticator, error);
        empty = att_ea_empty_new(keys, &request);

        json_object_set_new(object, "request", json_string(request_file));
        json_object_set_new(object, "connection", json_string(att_hash_name(hash)));
        json_object_set_new(object, "evidence", json_string(evidence_vectors[evidence_index].file));
        set_bytes(object, "to_be_signed", message);
        set_bytes(object, "signature", signature);
        json_object_set_new(object, "empty", json_string(empty_file));
        json_object_set_new(section("authenticators"), file, object);
        write_file(request_file, request_bytes);
        write_file(file, authenticator);
        write_file(empty_file, empty);
}

static void write_payload(const char *file, AttFrameType type, GBytes *payload, json_t *fields) {
        g_autoptr(GByteArray) frame = g_byte_array_new();
        g_autoptr(GBytes) bytes = NULL;
        json_t *object = json_object();

        att_frame_put(frame, type, g_bytes_get_data(payload, NULL), g_bytes_get_size(payload));
        bytes = g_byte_array_free_to_bytes(g_steal_pointer(&frame));
        json_object_set_new(object, "type", json_integer(type));
        if (fields)
                json_object_set_new(object, "fields", fields);
        json_object_set_new(section("frames"), file, object);
        write_file(file, bytes);
}

static void write_log_entries(const char *file, const AttLogEntriesFrame *e) {
        g_autoptr(GBytes) payload = att_log_entries_encode(e);
        json_t *fields = json_object();

        json_object_set_new(fields, "log", json_string(e->log));
        json_object_set_new(fields, "first", json_integer((json_int_t) e->first));
        set_bytes(fields, "entries", e->entries);
        json_object_set_new(fields, "bank", json_string(e->bank));
        json_object_set_new(fields, "more", json_boolean(e->more));
        json_object_set_new(fields, "reason", e->reason ? json_string(e->reason) : json_null());
        write_payload(file, ATT_FRAME_LOG_ENTRIES, payload, fields);
}

static void write_frames(void) {
        char *profiles[] = { (char *) ATT_PROFILE_EVIDENCE, (char *) ATT_PROFILE_EXPAT_PAD, NULL };
        char *formats[] = { (char *) ATT_TSM_REPORT_CBOR, NULL };
        char *reasons[] = { (char *) "device", (char *) "instance", NULL };
        AttHello hello = { .version = 1, .profiles = profiles, .formats = formats, .batch = true,
                           .asks = true };
        AttStaleFrame stale = { .generation = 8, .reasons = reasons };
        AttLogRequestFrame log_request = { .log = (char *) "ima", .from = 4711 };
        /* A record of the template "ima-ng", whose digest is not that of its data: no frame looks into it. */
        static const uint8_t record[] =
                "\x0a\0\0\0" "aggregate-of-20-byte" "\x06\0\0\0" "ima-ng" "\x0c\0\0\0" "\4\0\0\0abcd\0\0\0";
        g_autoptr(GBytes) entries = g_bytes_new_static(record, sizeof record);
        g_autoptr(GBytes) none = g_bytes_new_static("", 0);
        const AttLogEntriesFrame log_entries = { .log = (char *) "ima", .first = 4711, .entries = entries,
                                                 .bank = (char *) "sha1", .more = true };
        const AttLogEntriesFrame log_refused = { .log = (char *) "ima", .first = 4711, .entries = none,
                                                 .bank = (char *) "", .reason = (char *) "logs are not given" };
        static const char reason[] = "binding: bound to another connection, key or context";
        g_autoptr(GBytes) context = g_bytes_new(connections[0].context, ATT_CONTEXT_SIZE);
        g_autoptr(GBytes) data = g_bytes_new_static("GET / HTTP/1.1\r\n\r\n", 18);
        g_autoptr(GBytes) payload = NULL;
        json_t *fields = json_object();

        json_object_set_new(fields, "version", json_integer(1));
        set_texts(fields, "profiles", profiles);
        set_texts(fields, "formats", formats);
        json_object_set_new(fields, "batch", json_true());
        json_object_set_new(fields, "asks", json_true());
        json_object_set_new(fields, "gives", json_false());
        payload = att_hello_encode(&hello);
        write_payload("frame-hello.bin", ATT_FRAME_HELLO, payload, fields);

        g_bytes_unref(payload);
        fields = json_object();
        set_bytes(fields, "context", context);
        payload = att_accepted_encode(context);
        write_payload("frame-accepted.bin", ATT_FRAME_ACCEPTED, payload, fields);

        g_bytes_unref(payload);
        fields = json_object();
        set_bytes(fields, "context", context);
        json_object_set_new(fields, "reason", json_string(reason));
        payload = att_refused_encode(context, reason);
        write_payload("frame-refused.bin", ATT_FRAME_REFUSED, payload, fields);

        g_bytes_unref(payload);
        fields = json_object();
        fill("boot id", stale.boot_id, sizeof stale.boot_id);
        fill("instance id", stale.instance_id, sizeof stale.instance_id);
        set_hex(fields, "boot_id", stale.boot_id, sizeof stale.boot_id);
        set_hex(fields, "instance_id", stale.instance_id, sizeof stale.instance_id);
        json_object_set_new(fields, "generation", json_integer(8));
        set_texts(fields, "reasons", reasons);
        payload = att_stale_encode(&stale);
        write_payload("frame-stale.bin", ATT_FRAME_STALE, payload, fields);

        g_bytes_unref(payload);
        fields = json_object();
        json_object_set_new(fields, "log", json_string("ima"));
        json_object_set_new(fields, "from", json_integer(4711));
        payload = att_log_request_encode(&log_request);
        write_payload("frame-log-request.bin", ATT_FRAME_LOG_REQUEST, payload, fields);

        g_bytes_unref(payload);
        write_log_entries("frame-log-entries.bin", &log_entries);
        write_log_entries("frame-log-refused.bin", &log_refused);

        payload = NULL;
        write_payload("frame-data.bin", ATT_FRAME_DATA, data, NULL);
        write_payload("frame-end.bin", ATT_FRAME_END, none, NULL);
}

/* Policies; the root and the measurements are of the quotes. */

typedef struct Facts {
        char *root;
        char *mrtd;
        char *rtmr2;
        char *ppid;
} Facts;

static void facts_clear(Facts *f) {
        g_free(f->root);
        g_free(f->mrtd);
        g_free(f->rtmr2);
        g_free(f->ppid);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Facts, facts_clear)

static void read_facts(Facts *ret) {
        g_autofree char *path = g_build_filename(quotes_dir, "root-spki-sha256", NULL);
        g_autoptr(GBytes) quote_bytes = read_quote("quote-unit.bin");
        g_autoptr(GBytes) root = NULL;
        g_autoptr(GError) error = NULL;
        AttTdxQuote quote;
        json_t *object;

        if (!g_file_get_contents(path, &ret->root, NULL, &error) ||
            !att_tdx_quote_parse(quote_bytes, &quote, &error))
                fail("%s", error->message);
        root = g_bytes_new(ret->root, strlen(ret->root));
        write_file("root-spki-sha256", root);
        g_strchomp(ret->root);

        object = att_tdx_quote_to_json(&quote, NULL);
        ret->mrtd = g_strdup(json_string_value(json_object_get(object, "mr_td")));
        ret->rtmr2 = g_strdup(json_string_value(json_object_get(object, "rtmr2")));
        ret->ppid = g_strdup(json_string_value(json_object_get(object, "ppid")));
        json_object_set_new(section("quotes"), "quote-unit.bin", object);
}

/* The same for SNP: two product lines, of a VCEK and of a VLEK. */
typedef struct SnpFacts {
        char *milan, *turin;
        char *measurement, *chip_id;
} SnpFacts;

static void snp_facts_clear(SnpFacts *f) {
        g_free(f->milan);
        g_free(f->turin);
        g_free(f->measurement);
        g_free(f->chip_id);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(SnpFacts, snp_facts_clear)

static char *read_root(const char *name) {
        g_autoptr(GBytes) root = read_quote(name);

        write_file(name, root);
        return g_strchomp(g_strndup(g_bytes_get_data(root, NULL), g_bytes_get_size(root)));
}

static void read_snp_facts(SnpFacts *ret) {
        g_autoptr(GBytes) bytes = read_quote("report-unit.bin");
        g_autoptr(GError) error = NULL;
        AttSnpReport report;
        json_t *object;

        if (!att_snp_report_parse(bytes, &report, &error))
                fail("%s", error->message);
        object = att_snp_report_to_json(&report, NULL);
        *ret = (SnpFacts) {
                .milan = read_root("ark-milan-spki-sha256"),
                .turin = read_root("ark-turin-spki-sha256"),
                .measurement = g_strdup(json_string_value(json_object_get(object, "measurement"))),
                .chip_id = g_strdup(json_string_value(json_object_get(object, "chip_id"))),
        };
        json_object_set_new(section("reports"), "report-unit.bin", object);
}

static void write_policy(const char *file, const char *text) {
        g_autoptr(GBytes) bytes = g_bytes_new(text, strlen(text));

        write_file(file, bytes);
}

static void write_policies(const Facts *f) {
        g_autofree char *machine = g_strdup_printf("# Any program, but this machine.\nattestd-policy 1\ntee tdx\n"
                                                   "root tdx %s\nmachine ppid %s\npeer any\nworkload any\n"
                                                   "collateral not-required\nshared-device allowed\n"
                                                   "profile evidence/1\nprofile expat-pad\nprofile cocos\n",
                                                   f->root, f->ppid);
        g_autofree char *unit = g_strdup_printf("# One service, in one image.\nattestd-policy 1\ntee tdx\n"
                                                "root tdx %s\nboot mrtd=%s rtmr2=%s\n"
                                                "workload unit payroll.service uid 1000\npeer any\n"
                                                "collateral not-required\nmax-age 30\n",
                                                f->root, f->mrtd, f->rtmr2);
        g_autofree char *other_unit = g_strdup_printf("attestd-policy 1\ntee tdx\nroot tdx %s\nboot mrtd=%s\n"
                                                      "workload unit other.service\npeer any\n"
                                                      "collateral not-required\n", f->root, f->mrtd);
        g_autofree char *other_boot = g_strdup_printf("attestd-policy 1\ntee tdx\nroot tdx %s\nboot mrtd=%096d\n"
                                                      "workload any\npeer any\ncollateral not-required\n",
                                                      f->root, 0);
        g_autofree char *other_machine = g_strdup_printf("attestd-policy 1\ntee tdx\nroot tdx %s\n"
                                                         "machine ppid %032d\nworkload any\npeer any\n"
                                                         "collateral not-required\n", f->root, 0);
        g_autofree char *collateral = g_strdup_printf("attestd-policy 1\ntee tdx\nroot tdx %s\nworkload any\n"
                                                      "peer any\n", f->root);
        g_autofree char *no_name = g_strdup_printf("attestd-policy 1\ntee tdx\nroot tdx %s\nworkload any\n"
                                                   "collateral not-required\n", f->root);

        g_autofree char *bare = g_strdup_printf("# A report alone will do.\nattestd-policy 1\ntee tdx\n"
                                                "root tdx %s\nworkload any\npeer any\n"
                                                "collateral not-required\nbare-report allowed\n", f->root);
        g_autofree char *unit_bare = g_strconcat(unit, "bare-report allowed\n", NULL);
        g_autofree char *no_migration = g_strconcat(machine, "attributes sept-ve-disable-off\n"
                                                    "attributes service-td\n", NULL);
        g_autofree char *weak = g_strconcat(no_migration, "attributes migratable\n", NULL);

        write_policy("any.policy", machine);
        write_policy("unit.policy", unit);
        write_policy("bare.policy", bare);
        write_policy("weak.policy", weak);
        write_policy("no-migration.policy", no_migration);
        write_policy("other-unit.policy", other_unit);
        write_policy("other-boot.policy", other_boot);
        write_policy("other-machine.policy", other_machine);
        write_policy("collateral.policy", collateral);
        write_policy("no-name.policy", no_name);
        write_policy("intel.policy", "attestd-policy 1\ntee tdx\nworkload any\npeer any\ncollateral not-required\n");
        write_policy("empty.policy", "# Nothing here says yes.\n");
        write_policy("no-workload.policy", "attestd-policy 1\ntee tdx\npeer any\ncollateral not-required\n");
        write_policy("unit-without-boot.policy", "attestd-policy 1\ntee tdx\npeer any\ncollateral not-required\n"
                     "workload unit payroll.service\n");
        write_policy("unit-bare.policy", unit_bare);
}

static void write_snp_policies(const SnpFacts *f) {
        g_autofree char *any = g_strdup_printf("# Any program, on AMD's.\nattestd-policy 1\ntee snp\nroot snp %s\n"
                                               "root snp %s\npeer any\nworkload any\ncollateral not-required\n"
                                               "profile evidence/1\nprofile cocos\n", f->milan, f->turin);
        g_autofree char *unit = g_strdup_printf("# One service, in one image, on one machine.\nattestd-policy 1\n"
                                                "tee snp\nroot snp %s\nboot measurement=%s\nmachine chip-id %s\n"
                                                "tcb milan bootloader>=4 snp>=24\nplatform snp ecc\n"
                                                "workload unit payroll.service uid 1000\npeer any\n"
                                                "collateral not-required\n", f->milan, f->measurement, f->chip_id);
        g_autofree char *both = g_strconcat(any, "tee tdx\n", NULL);
        g_autofree char *weak = g_strconcat(any, "attributes migration-agent\nattributes masked-chip-id\n"
                                            "vmpl 0\nvmpl 1\n", NULL);
        g_autofree char *csp = g_strconcat(any, "machine csp-id CN=cloud.invalid\n", NULL);
        g_autofree char *newer = g_strconcat(any, "tcb milan snp>=25\ntcb turin fmc>=1\n", NULL);
        g_autofree char *hiding = g_strconcat(any, "platform snp ciphertext-hiding\n", NULL);
        g_autofree char *bare = g_strconcat(any, "bare-report allowed\n", NULL);
        g_autofree char *other_boot = g_strdup_printf("%sboot measurement=%096d\n", any, 0);

        write_policy("snp.policy", any);
        write_policy("snp-unit.policy", unit);
        write_policy("snp-both.policy", both);
        write_policy("snp-weak.policy", weak);
        write_policy("snp-csp.policy", csp);
        write_policy("snp-newer.policy", newer);
        write_policy("snp-hiding.policy", hiding);
        write_policy("snp-bare.policy", bare);
        write_policy("snp-other-boot.policy", other_boot);
        write_policy("snp-amd.policy", "attestd-policy 1\ntee snp\nworkload any\npeer any\ncollateral not-required\n");
        write_policy("snp-mixed-boot.policy", "attestd-policy 1\ntee snp\nworkload any\nboot measurement="
                     "5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e"
                     " mrtd="
                     "5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e"
                     "\n");
}

/* What is to be found. A binding is that of the connection; NULL hash: REPORTDATA
 * of the evidence is stated, "none" states nothing. */
static const struct {
        const char *evidence;
        const char *policy;
        const char *hash;
        const char *role;
        int64_t at;
        const char *failed; /* the check in the reason; NULL: accepted */
        bool batch;         /* the batch form is taken */
} appraisals[] = {
        { "evidence.cbor", "any.policy", "sha256", "server", AT, NULL },
        { "evidence.cbor", "unit.policy", "sha256", "server", AT, NULL },
        { "evidence.cbor", "unit.policy", NULL, NULL, AT, NULL },
        { "evidence-sha384.cbor", "any.policy", "sha384", "server", AT, NULL },
        { "evidence-full.cbor", "any.policy", "sha256", "server", AT, NULL },
        { "evidence-full.cbor", "unit.policy", "sha256", "server", AT, "state" },
        { "evidence-expat-pad.cbor", "any.policy", "sha256", "server", AT, NULL },
        { "evidence-cocos.cbor", "any.policy", "sha384", "server", AT, NULL },
        { "evidence-batch.cbor", "unit.policy", "sha256", "server", AT, NULL, true },
        { "evidence-batch.cbor", "unit.policy", "sha256", "server", AT, "report-data", false },
        { "evidence-batch.cbor", "any.policy", "sha256", "client", AT, "role", true },
        { "evidence-batch.cbor", "any.policy", "none", NULL, AT, "report-data", true },
        { "evidence-batch-next.cbor", "any.policy", "sha256", "server", AT, "report-data", true },
        { "evidence-batch-longer.cbor", "any.policy", "sha256", "server", AT, "report-data", true },
        { "evidence-batch-without.cbor", "any.policy", "sha256", "server", AT, "report-data", true },
        { "evidence-batch-one.cbor", "any.policy", "sha256", "server", AT, "report-data", true },
        { "evidence.cbor", "unit.policy", "sha256", "server", AT, NULL, true },
        { "quote-unit.bin", "bare.policy", NULL, NULL, AT, NULL },
        { "tsm-report-tdx.cbor", "bare.policy", NULL, NULL, AT, NULL },
        { "quote-unit.bin", "any.policy", NULL, NULL, AT, "profile" },
        { "tsm-report-tdx.cbor", "any.policy", NULL, NULL, AT, "profile" },
        { "quote-unit.bin", "unit.policy", NULL, NULL, AT, "profile" },
        { "evidence.cbor", "any.policy", "none", NULL, AT, "report-data" },
        { "quote-unit.bin", "bare.policy", "none", NULL, AT, "report-data" },
        { "evidence.cbor", "any.policy", "sha256", "client", AT, "role" },
        { "evidence.cbor", "any.policy", "sha384", "server", AT, "binding" },
        { "evidence-sha384.cbor", "any.policy", "sha256", "server", AT, "binding" },
        { "evidence-expat-pad.cbor", "any.policy", "sha384", "server", AT, "report-data" },
        { "evidence-expat-pad.cbor", "unit.policy", "sha256", "server", AT, "profile" },
        { "evidence-debug.cbor", "any.policy", "sha256", "server", AT, "debug" },
        { "evidence-weak.cbor", "weak.policy", "sha256", "server", AT, NULL },
        { "evidence-weak.cbor", "any.policy", "sha256", "server", AT, "attributes" },
        { "evidence-weak.cbor", "no-migration.policy", "sha256", "server", AT, "attributes" },
        { "evidence-reserved.cbor", "weak.policy", "sha256", "server", AT, "attributes" },
        { "evidence-module.cbor", "weak.policy", "sha256", "server", AT, "attributes" },
        { "evidence.cbor", "any.policy", "sha256", "server", 0, "validity" },
        { "evidence.cbor", "other-unit.policy", "sha256", "server", AT, "workload" },
        { "evidence-sha384.cbor", "other-unit.policy", "sha384", "server", AT, "workload" },
        { "evidence.cbor", "other-boot.policy", "sha256", "server", AT, "boot" },
        { "evidence.cbor", "other-machine.policy", "sha256", "server", AT, "machine" },
        { "evidence.cbor", "collateral.policy", "sha256", "server", AT, "collateral" },
        { "evidence.cbor", "intel.policy", "sha256", "server", AT, "pck-chain" },
        { "evidence.cbor", "empty.policy", "sha256", "server", AT, "policy" },
        { "evidence.cbor", "no-workload.policy", "sha256", "server", AT, "policy" },
        { "evidence.cbor", "unit-without-boot.policy", "sha256", "server", AT, "policy" },
        { "evidence.cbor", "unit-bare.policy", "sha256", "server", AT, "policy" },
        { "claims-unit.cbor", "any.policy", "sha256", "server", AT, "format" },
        { "frame-hello.bin", "bare.policy", "sha256", "server", AT, "quote-format" },
        { "evidence-snp.cbor", "snp.policy", "sha256", "server", AT, NULL },
        { "evidence-snp.cbor", "snp-unit.policy", "sha256", "server", AT, NULL },
        { "evidence-snp.cbor", "snp-unit.policy", NULL, NULL, AT, NULL },
        { "evidence-snp.cbor", "snp-both.policy", "sha256", "server", AT, NULL },
        { "evidence-snp-vlek.cbor", "snp.policy", "sha384", "server", AT, NULL },
        { "evidence-snp-vlek.cbor", "snp-csp.policy", "sha384", "server", AT, NULL },
        { "evidence-snp-svsm.cbor", "snp.policy", "sha256", "server", AT, NULL },
        { "evidence-snp-cocos.cbor", "snp.policy", "sha384", "server", AT, NULL },
        { "evidence-snp-migratable.cbor", "snp-weak.policy", "sha256", "server", AT, NULL },
        { "evidence-snp-vmpl.cbor", "snp-weak.policy", "sha256", "server", AT, NULL },
        { "evidence-snp-masked.cbor", "snp-weak.policy", "sha256", "server", AT, NULL },
        { "evidence-snp.cbor", "any.policy", "sha256", "server", AT, "tee" },
        { "evidence.cbor", "snp.policy", "sha256", "server", AT, "tee" },
        { "evidence.cbor", "snp-both.policy", "sha256", "server", AT, "pck-chain" },
        { "evidence-snp.cbor", "snp.policy", "sha256", "client", AT, "role" },
        { "evidence-snp.cbor", "snp.policy", "none", NULL, AT, "report-data" },
        { "evidence-snp.cbor", "snp.policy", "sha256", "server", 0, "validity" },
        { "evidence-snp.cbor", "snp-amd.policy", "sha256", "server", AT, "vek-chain" },
        { "evidence-snp.cbor", "snp-csp.policy", "sha256", "server", AT, "machine" },
        { "evidence-snp.cbor", "snp-newer.policy", "sha256", "server", AT, "tcb-minimum" },
        { "evidence-snp-vlek.cbor", "snp-newer.policy", "sha384", "server", AT, NULL },
        { "evidence-snp.cbor", "snp-hiding.policy", "sha256", "server", AT, "attributes" },
        { "evidence-snp.cbor", "snp-other-boot.policy", "sha256", "server", AT, "boot" },
        { "evidence-snp.cbor", "snp-mixed-boot.policy", "sha256", "server", AT, "policy" },
        { "report-unit.bin", "snp-bare.policy", NULL, NULL, AT, "vek-chain" },
        { "report-unit.bin", "snp.policy", NULL, NULL, AT, "profile" },
        { "evidence-snp-debug.cbor", "snp-weak.policy", "sha256", "server", AT, "debug" },
        { "evidence-snp-migratable.cbor", "snp.policy", "sha256", "server", AT, "attributes" },
        { "evidence-snp-vmpl.cbor", "snp.policy", "sha256", "server", AT, "vmpl" },
        { "evidence-snp-masked.cbor", "snp.policy", "sha256", "server", AT, "vek-identity" },
        { "evidence-snp-chip.cbor", "snp-weak.policy", "sha256", "server", AT, "vek-identity" },
        { "evidence-snp-tcb.cbor", "snp-weak.policy", "sha256", "server", AT, "vek-tcb" },
        { "evidence-snp-overlap.cbor", "snp-weak.policy", "sha256", "server", AT, "vek-chain" },
        { "evidence-snp-signature.cbor", "snp-weak.policy", "sha256", "server", AT, "quote-signature" },
};

static void write_appraisals(void) {
        json_t *all = json_array();

        for (size_t i = 0; i < G_N_ELEMENTS(appraisals); i++) {
                json_t *object = json_object();

                json_object_set_new(object, "evidence", json_string(appraisals[i].evidence));
                json_object_set_new(object, "policy", json_string(appraisals[i].policy));
                if (appraisals[i].role) {
                        const Connection *c = &connections[g_str_equal(appraisals[i].hash, "sha384") ?
                                                           ATT_HASH_SHA384 : ATT_HASH_SHA256];

                        set_hex(object, "binding", c->binding, att_hash_size(c->hash));
                        json_object_set_new(object, "hash", json_string(appraisals[i].hash));
                        json_object_set_new(object, "role", json_string(appraisals[i].role));
                } else if (!appraisals[i].hash) {
                        uint8_t r[ATT_REPORT_DATA_SIZE];

                        report_data_of(0, r); /* of evidence.cbor and quote-unit.bin */
                        set_hex(object, "report_data", r, sizeof r);
                }
                if (appraisals[i].batch)
                        json_object_set_new(object, "batch", json_true());
                json_object_set_new(object, "at", json_integer(appraisals[i].at));
                json_object_set_new(object, "accepted", json_boolean(!appraisals[i].failed));
                if (appraisals[i].failed)
                        json_object_set_new(object, "failed", json_string(appraisals[i].failed));
                json_array_append_new(all, object);
        }
        json_object_set_new(out_index, "appraisals", all);
}

static void write_index(void) {
        char *text = json_dumps(out_index, JSON_INDENT(2) | JSON_ENSURE_ASCII);
        g_autofree char *line = g_strconcat(text, "\n", NULL);
        g_autoptr(GBytes) bytes = g_bytes_new(line, strlen(line));

        write_file("index.json", bytes);
        free(text);
}

static int print_report_data(void) {
        for (size_t i = 0; i < G_N_ELEMENTS(evidence_vectors); i++) {
                uint8_t r[ATT_REPORT_DATA_SIZE];

                report_data_of(i, r);
                (void) printf("%s ", evidence_vectors[i].quote);
                for (size_t k = 0; k < sizeof r; k++)
                        (void) printf("%02x", r[k]);
                (void) printf("\n");
        }
        return EXIT_SUCCESS;
}

int main(int argc, char **argv) {
        g_auto(Facts) facts = { 0 };
        g_auto(SnpFacts) snp_facts = { 0 };

        if (argc != 3 && !(argc == 2 && g_str_equal(argv[1], "--report-data"))) {
                (void) fprintf(stderr, "usage: make-vectors QUOTES OUT | --report-data\n");
                return 2;
        }

        out_index = json_object();
        make_leaf();
        make_connection(ATT_HASH_SHA256);
        make_connection(ATT_HASH_SHA384);
        if (argc == 2)
                return print_report_data();

        quotes_dir = argv[1];
        out_dir = argv[2];
        if (g_mkdir_with_parents(out_dir, 0755) != 0)
                fail("cannot make %s", out_dir);
        write_file("leaf.der", leaf);
        set_bytes(section("leaf"), "spki", leaf_spki);
        write_claims();
        write_proofs();
        write_evidence();
        write_reports();
        write_authenticator("request-client.bin", "authenticator.bin", "authenticator-empty.bin", ATT_HASH_SHA256, 0);
        write_authenticator("request-client-sha384.bin", "authenticator-sha384.bin",
                            "authenticator-empty-sha384.bin", ATT_HASH_SHA384, 1);
        {
                g_autoptr(GBytes) request = make_request(ATT_HASH_SHA256, ATT_ROLE_SERVER);

                write_file("request-server.bin", request);
        }
        write_frames();
        read_facts(&facts);
        write_policies(&facts);
        read_snp_facts(&snp_facts);
        write_snp_policies(&snp_facts);
        write_appraisals();
        write_index();
        return EXIT_SUCCESS;
}
