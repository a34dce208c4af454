/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "forge.h"

#include "octets.h"
#include "pki.h"

#include <gio/gio.h>
#include <openssl/rand.h>
#include <openssl/sha.h>
#include <stddef.h>
#include <string.h>

#define QE_REPORT_SIZE 384u
#define SNP_REPORT_SIZE 1184u
#define SNP_REPORT_DATA 80u

static const guint8 intel_qe_vendor[16] = {
        0x93, 0x9a, 0x72, 0x33, 0xf7, 0x9c, 0x4c, 0xa9, 0x94, 0x0a, 0x0d, 0xb3, 0x95, 0x7f, 0x06, 0x07,
};

/* MRSIGNER of Intel's quoting enclaves. */
static const guint8 intel_qe_signer[32] = {
        0xdc, 0x9e, 0x2a, 0x7c, 0x6f, 0x94, 0x8f, 0x17, 0x47, 0x4e, 0x34, 0xa7, 0xfc, 0x43, 0xed, 0x03,
        0x0f, 0x7c, 0x15, 0x63, 0xf1, 0xba, 0xbd, 0xdf, 0x63, 0x40, 0xc8, 0x2e, 0x0e, 0x54, 0xa8, 0xc5,
};

typedef enum {
        FLAW_NONE,
        FLAW_SIGNER,
        FLAW_SIGNATURE,
        FLAW_ZERO_SIGNATURE,
        FLAW_QE_BINDING,
        FLAW_QE_SIGNER,
        FLAW_QE_DEBUG,
        FLAW_QE_MRSIGNER,
        FLAW_QE_PRODID,
        FLAW_QE_VENDOR,
        FLAW_SELF_SIGNED,
        FLAW_OTHER_ROOT,
        FLAW_EXPIRED_PCK,
        FLAW_FUTURE_PCK,
        FLAW_PCK_NAME,
        FLAW_PCK_EXTENSION,
        FLAW_PLATFORM_NOT_CA,
        FLAW_SWAPPED_CHAIN,
        FLAW_NO_CHAIN,
        FLAW_NO_ROOT,
        FLAW_CERTIFICATION_5,
        FLAW_CERTIFICATION_1,
        FLAW_TEE_TYPE,
        FLAW_KEY_TYPE,
        FLAW_VERSION,
} Flaw;

static const struct {
        const char *name;
        const char *help;
} flaws[] = {
        [FLAW_NONE] = { "none", "verifies" },
        [FLAW_SIGNER] = { "wrong-signer", "the quote is signed by another key than the one in it" },
        [FLAW_SIGNATURE] = { "bad-signature", "one bit of the quote's signature is changed" },
        [FLAW_ZERO_SIGNATURE] = { "zero-signature", "the quote's signature is 64 zeros" },
        [FLAW_QE_BINDING] = { "qe-not-binding", "the QE report binds another attestation key" },
        [FLAW_QE_SIGNER] = { "qe-wrong-signer", "the QE report is signed by another key than the PCK" },
        [FLAW_QE_DEBUG] = { "qe-debug", "the QE ran in debug mode" },
        [FLAW_QE_MRSIGNER] = { "qe-mrsigner", "the QE was signed by somebody else" },
        [FLAW_QE_PRODID] = { "qe-prodid", "the QE is the one for SGX (1), not for TDs (2)" },
        [FLAW_QE_VENDOR] = { "qe-vendor", "another QE vendor id" },
        [FLAW_SELF_SIGNED] = { "self-signed", "the PCK certificate is signed by its own key, and is alone" },
        [FLAW_OTHER_ROOT] = { "other-root", "a whole chain under another root with the same names" },
        [FLAW_EXPIRED_PCK] = { "expired-pck", "the PCK certificate was valid in 2020 only" },
        [FLAW_FUTURE_PCK] = { "future-pck", "the PCK certificate is valid in 2049 only" },
        [FLAW_PCK_NAME] = { "pck-name", "the leaf is not called a PCK certificate" },
        [FLAW_PCK_EXTENSION] = { "pck-extension", "the leaf has no SGX extensions" },
        [FLAW_PLATFORM_NOT_CA] = { "platform-not-ca", "the platform CA is no CA" },
        [FLAW_SWAPPED_CHAIN] = { "swapped-chain", "root first, leaf last; all is right but the order" },
        [FLAW_NO_CHAIN] = { "no-chain", "certification data 5 inside 6 is empty" },
        [FLAW_NO_ROOT] = { "no-root", "the chain ends with the platform CA" },
        [FLAW_CERTIFICATION_5] = { "certification-5", "the chain alone, without a QE report" },
        [FLAW_CERTIFICATION_1] = { "certification-1", "an encrypted PPID in place of the chain" },
        [FLAW_TEE_TYPE] = { "tee-type", "says that it is an SGX quote" },
        [FLAW_KEY_TYPE] = { "key-type", "says that the key is P-384" },
        [FLAW_VERSION] = { "version", "says that it is version 6" },
};

/* The order of the members is that of a TD 1.5 body. */
typedef struct Body {
        guint8 tee_tcb_svn[16];
        guint8 mr_seam[48];
        guint8 mr_signer_seam[48];
        guint8 seam_attributes[8];
        guint8 td_attributes[8];
        guint8 xfam[8];
        guint8 mr_td[48];
        guint8 mr_config_id[48];
        guint8 mr_owner[48];
        guint8 mr_owner_config[48];
        guint8 rtmr[4][48];
        guint8 report_data[FORGE_REPORT_DATA_SIZE];
        guint8 tee_tcb_svn2[16];
        guint8 mr_service_td[48];
} Body;

G_STATIC_ASSERT(sizeof(Body) == 648);
#define BODY_10_SIZE offsetof(Body, tee_tcb_svn2)
G_STATIC_ASSERT(BODY_10_SIZE == 584);

typedef struct Options {
        guint version;
        bool is_15;
        bool has_nul; /* at the end of the PEM */
        Flaw flaw;
} Options;

struct Forge {
        Pki *pki;
        EVP_PKEY *attestation_key;
        char *root_spki;

        Options options;
        Body body;
        Body reported; /* the last one that anybody has seen */
        PkiPlatform platform;
        GByteArray *chain; /* PEM; NULL when it has to be made again */
        GByteArray *certification; /* likewise: a quoting enclave has it signed once for its key */
};

#define FIELD(name, member) { name, offsetof(Forge, member), sizeof(((Forge *) NULL)->member) }
static const struct {
        const char *name;
        gsize offset, size;
} fields[] = {
        FIELD("tee_tcb_svn", body.tee_tcb_svn),
        FIELD("mrseam", body.mr_seam),
        FIELD("mrsignerseam", body.mr_signer_seam),
        FIELD("seamattributes", body.seam_attributes),
        FIELD("tdattributes", body.td_attributes),
        FIELD("xfam", body.xfam),
        FIELD("mrtd", body.mr_td),
        FIELD("mrconfigid", body.mr_config_id),
        FIELD("mrowner", body.mr_owner),
        FIELD("mrownerconfig", body.mr_owner_config),
        FIELD("rtmr0", body.rtmr[0]),
        FIELD("rtmr1", body.rtmr[1]),
        FIELD("rtmr2", body.rtmr[2]),
        FIELD("rtmr3", body.rtmr[3]),
        FIELD("tee_tcb_svn2", body.tee_tcb_svn2),
        FIELD("mrservicetd", body.mr_service_td),
        FIELD("ppid", platform.ppid),
        FIELD("tcb", platform.tcb),
        FIELD("pcesvn", platform.pce_svn),
        FIELD("cpusvn", platform.cpu_svn),
        FIELD("pceid", platform.pce_id),
        FIELD("fmspc", platform.fmspc),
        FIELD("platform_instance_id", platform.platform_instance_id),
};

static void fill_sha384(guint8 ret[48], const char *of) {
        SHA384((const guint8 *) of, strlen(of), ret);
}

static void set_defaults(Forge *f) {
        static const guint8 xfam[8] = { 0xe7, 0x1a, 0x06 };
        static const guint8 fmspc[6] = { 0x50, 0x80, 0x6f };

        f->options = (Options) { .version = 4 };
        f->body.tee_tcb_svn[0] = 5;
        f->body.tee_tcb_svn[1] = 1;
        f->body.tee_tcb_svn[2] = 2;
        memcpy(f->body.tee_tcb_svn2, f->body.tee_tcb_svn, sizeof(f->body.tee_tcb_svn2));
        fill_sha384(f->body.mr_seam, "test tdx module");
        f->body.td_attributes[3] = 0x10; /* SEPT_VE_DISABLE */
        memcpy(f->body.xfam, xfam, sizeof(xfam));
        fill_sha384(f->body.mr_td, "test mrtd");
        fill_sha384(f->body.rtmr[0], "test rtmr0");
        fill_sha384(f->body.rtmr[1], "test rtmr1");
        fill_sha384(f->body.rtmr[2], "test rtmr2");

        memset(f->platform.ppid, 0x11, sizeof(f->platform.ppid));
        memset(f->platform.platform_instance_id, 0x22, sizeof(f->platform.platform_instance_id));
        memcpy(f->platform.fmspc, fmspc, sizeof(fmspc));
        for (guint i = 0; i < 8; i++)
                f->platform.tcb[i] = f->platform.cpu_svn[i] = 3;
        f->platform.pce_svn[1] = 11;
}

/* Text → fields. */

static bool set_flaw(Forge *f, const char *value) {
        for (guint i = 0; i < G_N_ELEMENTS(flaws); i++)
                if (g_str_equal(value, flaws[i].name)) {
                        f->options.flaw = (Flaw) i;
                        return true;
                }
        return false;
}

/* What is not hex. Returns: -1 if @name is no option, else whether @value is one */
static int set_option(Forge *f, const char *name, const char *value) {
        bool is_yes = g_str_equal(value, "1");
        bool is_bool = is_yes || g_str_equal(value, "0");

        if (g_str_equal(name, "flaw"))
                return set_flaw(f, value);
        if (g_str_equal(name, "version")) {
                bool is_4 = g_str_equal(value, "4");

                if ((is_4 && f->options.is_15) || (!is_4 && !g_str_equal(value, "5")))
                        return false;
                f->options.version = is_4 ? 4 : 5;
                return true;
        }
        if (g_str_equal(name, "body")) {
                bool is_15 = g_str_equal(value, "1.5");

                if ((is_15 && f->options.version == 4) || (!is_15 && !g_str_equal(value, "1.0")))
                        return false;
                f->options.is_15 = is_15;
                return true;
        }
        if (g_str_equal(name, "debug")) {
                if (is_bool)
                        f->body.td_attributes[0] = is_yes ? 1 : 0;
                return is_bool;
        }
        if (g_str_equal(name, "pem-nul")) {
                if (is_bool)
                        f->options.has_nul = is_yes;
                return is_bool;
        }
        return -1;
}

bool forge_set(Forge *f, const char *name, const char *value, char **why) {
        int done = set_option(f, name, value);

        g_clear_pointer(&f->chain, g_byte_array_unref);
        g_clear_pointer(&f->certification, g_byte_array_unref);
        if (done > 0)
                return true;
        if (done == 0) {
                *why = g_strdup_printf("%s cannot be '%s'", name, value);
                return false;
        }

        for (guint i = 0; i < G_N_ELEMENTS(fields); i++) {
                if (!g_str_equal(name, fields[i].name))
                        continue;
                if (octets_parse_hex(value, (guint8 *) f + fields[i].offset, fields[i].size))
                        return true;
                *why = g_strdup_printf("%s is %zu bytes in hex", name, fields[i].size);
                return false;
        }
        *why = g_strdup_printf("no field is called '%s'", name);
        return false;
}

/* Fields → quote. */

static GByteArray *make_chain(const Pki *pki, const PkiPlatform *platform, Flaw flaw, bool has_nul) {
        PkiLeaf leaf = { 0 };
        GByteArray *pem = g_byte_array_new();
        g_autoptr(X509) pck = NULL;

        if (flaw == FLAW_NO_CHAIN)
                return pem;
        if (flaw == FLAW_EXPIRED_PCK)
                leaf = (PkiLeaf) { .not_before = "20200101000000Z", .not_after = "20201231235959Z" };
        else if (flaw == FLAW_FUTURE_PCK)
                leaf = (PkiLeaf) { .not_before = "20490101000000Z", .not_after = "20491231235959Z" };
        else if (flaw == FLAW_PCK_NAME)
                leaf.common_name = "Intel SGX TCB Signing";
        leaf.without_extension = flaw == FLAW_PCK_EXTENSION;
        leaf.is_self_signed = flaw == FLAW_SELF_SIGNED;

        pck = pki_issue_pck(pki, platform, &leaf);
        if (flaw == FLAW_SWAPPED_CHAIN) {
                pki_append_pem(pem, pki->root);
                pki_append_pem(pem, pki->platform);
                pki_append_pem(pem, pck);
        } else {
                pki_append_pem(pem, pck);
                if (flaw != FLAW_SELF_SIGNED)
                        pki_append_pem(pem, pki->platform);
                if (flaw != FLAW_SELF_SIGNED && flaw != FLAW_NO_ROOT)
                        pki_append_pem(pem, pki->root);
        }
        if (has_nul)
                octets_put_zeros(pem, 1);
        return pem;
}

static void put_qe_report(GByteArray *out, const PkiPlatform *platform, const guint8 binding[32], Flaw flaw) {
        guint start = out->len;
        guint8 *r;

        octets_put_zeros(out, QE_REPORT_SIZE);
        r = out->data + start;
        memcpy(r, platform->cpu_svn, sizeof(platform->cpu_svn));
        r[48] = flaw == FLAW_QE_DEBUG ? 0x17 : 0x15; /* ATTRIBUTES: INIT, MODE64BIT, PROVISION_KEY */
        r[56] = 0xe7;
        SHA256((const guint8 *) "test td qe", 10, r + 64); /* MRENCLAVE */
        memcpy(r + 128, intel_qe_signer, sizeof(intel_qe_signer));
        if (flaw == FLAW_QE_MRSIGNER)
                r[128] ^= 1;
        r[256] = flaw == FLAW_QE_PRODID ? 1 : 2; /* ISVPRODID */
        r[258] = 4;                              /* ISVSVN */
        memcpy(r + 320, binding, 32);
}

/* QE report, its signature, authentication data and the chain: certification data 6. */
static GByteArray *make_certification(const Forge *f, const Pki *pki, const guint8 point[64], GByteArray *chain) {
        GByteArray *out = g_byte_array_new();
        Flaw flaw = f->options.flaw;
        guint8 bound[64 + 32], binding[32], signature[64];
        EVP_PKEY *other = NULL;

        memcpy(bound, point, 64);
        for (guint i = 0; i < 32; i++)
                bound[64 + i] = (guint8) i;
        SHA256(bound, sizeof(bound), binding);
        if (flaw == FLAW_QE_BINDING)
                binding[0] ^= 1;

        put_qe_report(out, &f->platform, binding, flaw);
        if (flaw == FLAW_QE_SIGNER)
                other = pki_key(NULL, NULL, NULL);
        pki_sign(other ? other : pki->pck_key, out->data, QE_REPORT_SIZE, signature);
        EVP_PKEY_free(other);

        g_byte_array_append(out, signature, sizeof(signature));
        octets_put_le(out, 32, 2);
        g_byte_array_append(out, bound + 64, 32);
        octets_put_le(out, 5, 2);
        octets_put_le(out, chain->len, 4);
        g_byte_array_append(out, chain->data, chain->len);
        return out;
}

static void put_signed_part(GByteArray *out, const Forge *f, const guint8 report_data[FORGE_REPORT_DATA_SIZE]) {
        Flaw flaw = f->options.flaw;
        guint body_size = f->options.is_15 ? (guint) sizeof(Body) : (guint) BODY_10_SIZE;
        Body body = f->body;

        memcpy(body.report_data, report_data, sizeof(body.report_data));

        octets_put_le(out, flaw == FLAW_VERSION ? 6 : f->options.version, 2);
        octets_put_le(out, flaw == FLAW_KEY_TYPE ? 3 : 2, 2);
        octets_put_le(out, flaw == FLAW_TEE_TYPE ? 0 : 0x81, 4);
        octets_put_zeros(out, 4);
        g_byte_array_append(out, intel_qe_vendor, sizeof(intel_qe_vendor));
        if (flaw == FLAW_QE_VENDOR)
                out->data[out->len - 1] ^= 1;
        octets_put_zeros(out, 20);

        if (f->options.version == 5) {
                octets_put_le(out, f->options.is_15 ? 3 : 2, 2);
                octets_put_le(out, body_size, 4);
        }
        g_byte_array_append(out, (const guint8 *) &body, body_size);
}

GByteArray *forge_quote(Forge *f, const uint8_t report_data[FORGE_REPORT_DATA_SIZE]) {
        Flaw flaw = f->options.flaw;
        GByteArray *quote = g_byte_array_new();
        g_autoptr(GByteArray) certification = NULL, foreign_chain = NULL;
        g_autoptr(Pki) foreign = NULL;
        g_autoptr(EVP_PKEY) other = NULL;
        guint8 signature[64], point[64];
        guint type = 6;

        f->reported = f->body;
        put_signed_part(quote, f, report_data);
        if (flaw == FLAW_SIGNER)
                other = pki_key(NULL, NULL, NULL);
        pki_sign(other ? other : f->attestation_key, quote->data, quote->len, signature);
        if (flaw == FLAW_SIGNATURE)
                signature[7] ^= 0x10;
        else if (flaw == FLAW_ZERO_SIGNATURE)
                memset(signature, 0, sizeof(signature));
        pki_point(f->attestation_key, point);

        if (flaw == FLAW_OTHER_ROOT || flaw == FLAW_SELF_SIGNED || flaw == FLAW_PLATFORM_NOT_CA) {
                foreign = flaw == FLAW_PLATFORM_NOT_CA ? pki_new_without_ca(f->pki) : pki_new(NULL, NULL);
                foreign_chain = make_chain(foreign, &f->platform, flaw, f->options.has_nul);
        } else if (!f->chain)
                f->chain = make_chain(f->pki, &f->platform, flaw, f->options.has_nul);

        if (flaw == FLAW_CERTIFICATION_5) {
                type = 5;
                certification = g_byte_array_ref(f->chain);
        } else if (flaw == FLAW_CERTIFICATION_1) {
                type = 1;
                certification = g_byte_array_new();
                octets_put_zeros(certification, 404);
        } else if (foreign)
                certification = make_certification(f, foreign, point, foreign_chain);
        else {
                if (!f->certification)
                        f->certification = make_certification(f, f->pki, point, f->chain);
                certification = g_byte_array_ref(f->certification);
        }

        octets_put_le(quote, 64 + 64 + 2 + 4 + (guint64) certification->len, 4);
        g_byte_array_append(quote, signature, sizeof(signature));
        g_byte_array_append(quote, point, sizeof(point));
        octets_put_le(quote, type, 2);
        octets_put_le(quote, certification->len, 4);
        g_byte_array_append(quote, certification->data, certification->len);
        return quote;
}

void forge_tdreport(Forge *f, const uint8_t report_data[FORGE_REPORT_DATA_SIZE], uint8_t ret[FORGE_TDREPORT_SIZE]) {
        static const guint8 valid[] = { 0xff, 0x01, 0x03 }; /* of TDX 1.5 */
        guint8 *tcb = ret + 256, *td = ret + 512;
        const Body *body = &f->body;

        f->reported = f->body;
        memset(ret, 0, FORGE_TDREPORT_SIZE);
        ret[0] = 0x81;
        memcpy(ret + 16, f->platform.cpu_svn, sizeof(f->platform.cpu_svn));
        memcpy(ret + 128, report_data, FORGE_REPORT_DATA_SIZE);

        memcpy(tcb, valid, sizeof(valid));
        memcpy(tcb + 8, body->tee_tcb_svn, sizeof(body->tee_tcb_svn));
        memcpy(tcb + 24, body->mr_seam, sizeof(body->mr_seam));
        memcpy(tcb + 72, body->mr_signer_seam, sizeof(body->mr_signer_seam));
        memcpy(tcb + 120, body->seam_attributes, sizeof(body->seam_attributes));
        memcpy(tcb + 128, body->tee_tcb_svn2, sizeof(body->tee_tcb_svn2));

        /* From the attributes to the last RTMR both have the same order, without gaps. */
        memcpy(td, body->td_attributes, offsetof(Body, report_data) - offsetof(Body, td_attributes));
        memcpy(td + 400, body->mr_service_td, sizeof(body->mr_service_td));

        SHA384(tcb, 239, ret + 32);
        SHA384(td, 512, ret + 80);
}

void forge_extend(Forge *f, guint number, const uint8_t data[FORGE_REGISTER_SIZE]) {
        guint8 both[2 * FORGE_REGISTER_SIZE];

        memcpy(both, f->body.rtmr[number], FORGE_REGISTER_SIZE);
        memcpy(both + FORGE_REGISTER_SIZE, data, FORGE_REGISTER_SIZE);
        SHA384(both, sizeof(both), f->body.rtmr[number]);
}

const uint8_t *forge_reported(const Forge *f, const char *name) {
        for (guint i = 0; i < G_N_ELEMENTS(fields); i++)
                if (g_str_equal(name, fields[i].name))
                        return (const guint8 *) &f->reported + (fields[i].offset - offsetof(Forge, body));
        return NULL;
}

GByteArray *forge_snp_report(const uint8_t report_data[FORGE_REPORT_DATA_SIZE]) {
        GByteArray *report = g_byte_array_new();

        octets_put_le(report, 3, 4); /* version */
        octets_put_zeros(report, SNP_REPORT_SIZE - 4);
        memcpy(report->data + SNP_REPORT_DATA, report_data, FORGE_REPORT_DATA_SIZE);
        report->data[52] = 1; /* ECDSA P-384 with SHA-384 */
        return report;
}

void forge_bend_length(GByteArray *quote, int32_t by) {
        guint at = 48 + BODY_10_SIZE;
        guint32 size;

        if (quote->len >= 54 && quote->data[0] == 5)
                at = 54u + (guint) (quote->data[50] | quote->data[51] << 8);
        if (quote->len < at + 4)
                return;

        memcpy(&size, quote->data + at, sizeof(size));
        size = GUINT32_TO_LE(GUINT32_FROM_LE(size) + (guint32) by);
        memcpy(quote->data + at, &size, sizeof(size));
}

const char *forge_root_spki_sha256(const Forge *f) {
        return f->root_spki;
}

const char *forge_help(void) {
        static GString *text;

        if (text)
                return text->str;

        text = g_string_new("fields, in hex:\n ");
        for (guint i = 0; i < G_N_ELEMENTS(fields); i++)
                g_string_append_printf(text, " %s(%zu)", fields[i].name, fields[i].size);
        g_string_append(text, "\n"
                              "others: version 4|5, body 1.0|1.5 (needs version 5), debug 0|1, pem-nul 0|1, flaw NAME\n"
                              "flaws:\n");
        for (guint i = 0; i < G_N_ELEMENTS(flaws); i++)
                g_string_append_printf(text, "  %-16s %s\n", flaws[i].name, flaws[i].help);
        return text->str;
}

Forge *forge_new(const char *state_dir, GError **error) {
        g_autoptr(Forge) f = g_new0(Forge, 1);

        set_defaults(f);
        f->pki = pki_new(state_dir, error);
        if (!f->pki)
                return NULL;
        f->attestation_key = pki_key(state_dir, "attestation", error);
        if (!f->attestation_key)
                return NULL;

        f->root_spki = pki_spki_sha256(f->pki->root);
        if (state_dir) {
                g_autofree char *path = g_build_filename(state_dir, "root-spki-sha256", NULL);
                g_autofree char *line = g_strconcat(f->root_spki, "\n", NULL);

                if (!g_file_set_contents(path, line, -1, error))
                        return NULL;
        }
        return g_steal_pointer(&f);
}

void forge_free(Forge *f) {
        if (!f)
                return;

        g_clear_pointer(&f->chain, g_byte_array_unref);
        g_clear_pointer(&f->certification, g_byte_array_unref);
        EVP_PKEY_free(f->attestation_key);
        pki_free(f->pki);
        g_free(f->root_spki);
        g_free(f);
}
