/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "forge-snp.h"

#include "octets.h"
#include "pki-snp.h"

#include <gio/gio.h>
#include <openssl/sha.h>
#include <string.h>

#define SIGNED_SIZE 0x2a0u
#define SIGNATURE_SIZE 144u

/* Where things are in a report. */
#define AT_VERSION 0x000u
#define AT_POLICY 0x008u
#define AT_VMPL 0x030u
#define AT_SIGNATURE_ALGORITHM 0x034u
#define AT_CURRENT_TCB 0x038u
#define AT_PLATFORM_INFO 0x040u
#define AT_FLAGS 0x048u
#define AT_REPORT_DATA 0x050u
#define AT_MEASUREMENT 0x090u
#define AT_REPORT_ID 0x140u
#define AT_REPORT_ID_MA 0x160u
#define AT_REPORTED_TCB 0x180u
#define AT_CPUID 0x188u
#define AT_CHIP_ID 0x1a0u
#define AT_COMMITTED_TCB 0x1e0u
#define AT_CURRENT_FW 0x1e8u
#define AT_COMMITTED_FW 0x1ecu
#define AT_LAUNCH_TCB 0x1f0u
#define AT_MIT_VECTORS 0x1f8u
#define CHIP_ID_SIZE 64u
#define TURIN_HWID_SIZE 8u

#define POLICY_MIGRATE_MA (1u << 18)
#define POLICY_DEBUG (1u << 19)

#define KEY_NONE 7u

/* Entries of a certificate table. */
#define ENTRY_SIZE 24u
#define TABLE_LARGE 16384u

typedef enum {
        FLAW_NONE,
        FLAW_SIGNER,
        FLAW_SIGNATURE,
        FLAW_ZERO_SIGNATURE,
        FLAW_BIG_ENDIAN,
        FLAW_ALGORITHM,
        FLAW_VERSION,
        FLAW_KEY_MASKED,
        FLAW_KIND,
        FLAW_KIND_NONE,
        FLAW_CHIP_ID,
        FLAW_MASKED_CHIP_ID,
        FLAW_TCB,
        FLAW_PRODUCT,
        FLAW_DEBUG,
        FLAW_MIGRATABLE,
        FLAW_VMPL,
        FLAW_LEAF_PRODUCT,
        FLAW_LEAF_NAME,
        FLAW_LEAF_KEY,
        FLAW_LEAF_BOTH,
        FLAW_LEAF_NEITHER,
        FLAW_LEAF_EXTENSIONS,
        FLAW_LEAF_NO_SPL,
        FLAW_LEAF_WIDE_SPL,
        FLAW_OTHER_ISSUER,
        FLAW_EXPIRED_LEAF,
        FLAW_FUTURE_LEAF,
        FLAW_SELF_SIGNED,
        FLAW_EXPIRED_INTERMEDIATE,
        FLAW_INTERMEDIATE_NOT_CA,
        FLAW_OTHER_ROOT,
        FLAW_TABLE_ABSENT,
        FLAW_TABLE_NO_LEAF,
        FLAW_TABLE_EMPTY_LEAF,
        FLAW_TABLE_OTHER_LEAF,
        FLAW_TABLE_NO_INTERMEDIATE,
        FLAW_TABLE_PEM,
        FLAW_TABLE_UNTERMINATED,
        FLAW_TABLE_DUPLICATE,
        FLAW_TABLE_OVERLAP,
        FLAW_TABLE_HEADER,
        FLAW_TABLE_BEYOND,
        FLAW_TABLE_OVERFLOW,
        FLAW_TABLE_LARGE,
} Flaw;

static const struct {
        const char *name;
        const char *help;
} flaws[] = {
        [FLAW_NONE] = { "none", "verifies" },
        [FLAW_SIGNER] = { "wrong-signer", "signed by another key than the certificate's" },
        [FLAW_SIGNATURE] = { "bad-signature", "one bit of r is changed" },
        [FLAW_ZERO_SIGNATURE] = { "zero-signature", "r and s are 0" },
        [FLAW_BIG_ENDIAN] = { "big-endian-signature", "r and s are big-endian" },
        [FLAW_ALGORITHM] = { "signature-algorithm", "says that the signature is of another kind" },
        [FLAW_VERSION] = { "version", "says that it is version 6" },
        [FLAW_KEY_MASKED] = { "masked-chip-key", "MASK_CHIP_KEY is set and the signature is zero" },
        [FLAW_KIND] = { "signing-key", "says VLEK when it is signed by the VCEK, and the reverse" },
        [FLAW_KIND_NONE] = { "signing-key-none", "says that no key has signed it" },
        [FLAW_CHIP_ID] = { "chip-id", "CHIP_ID is not the certificate's HWID" },
        [FLAW_MASKED_CHIP_ID] = { "masked-chip-id", "CHIP_ID is zero" },
        [FLAW_TCB] = { "tcb", "REPORTED_TCB has a later microcode than the certificate" },
        [FLAW_PRODUCT] = { "product", "CPUID is that of another line (version 3 and later)" },
        [FLAW_DEBUG] = { "debug", "the policy of the guest allows debugging" },
        [FLAW_MIGRATABLE] = { "migratable", "the policy of the guest allows a migration agent" },
        [FLAW_VMPL] = { "vmpl", "VMPL is 1" },
        [FLAW_LEAF_PRODUCT] = { "leaf-product", "the certificate is for another line" },
        [FLAW_LEAF_NAME] = { "leaf-name", "the certificate of the VCEK is called SEV-VLEK, and the reverse" },
        [FLAW_LEAF_KEY] = { "leaf-key", "the certificate's key is on P-256" },
        [FLAW_LEAF_BOTH] = { "leaf-both", "the certificate has a HWID and a CSP id" },
        [FLAW_LEAF_NEITHER] = { "leaf-neither", "the certificate has neither HWID nor CSP id" },
        [FLAW_LEAF_EXTENSIONS] = { "leaf-extensions", "the certificate has none of AMD's extensions" },
        [FLAW_LEAF_NO_SPL] = { "leaf-no-spl", "the certificate does not say which SNP firmware" },
        [FLAW_LEAF_WIDE_SPL] = { "leaf-wide-spl", "the certificate has 256 for the boot loader" },
        [FLAW_OTHER_ISSUER] = { "other-issuer", "a VCEK issued by the ASVK, a VLEK by the ASK" },
        [FLAW_EXPIRED_LEAF] = { "expired-leaf", "the certificate was valid in 2020 only" },
        [FLAW_FUTURE_LEAF] = { "future-leaf", "the certificate is valid in 2049 only" },
        [FLAW_SELF_SIGNED] = { "self-signed", "the certificate is signed by its own key, and is alone" },
        [FLAW_EXPIRED_INTERMEDIATE] = { "expired-intermediate", "the ASK or ASVK was valid in 2020 only" },
        [FLAW_INTERMEDIATE_NOT_CA] = { "intermediate-not-ca", "the ASK or ASVK is no CA" },
        [FLAW_OTHER_ROOT] = { "other-root", "a whole chain under another ARK with the same names" },
        [FLAW_TABLE_ABSENT] = { "table-absent", "the host has no certificates" },
        [FLAW_TABLE_NO_LEAF] = { "table-no-leaf", "neither VCEK nor VLEK" },
        [FLAW_TABLE_EMPTY_LEAF] = { "table-empty-leaf", "the VCEK or VLEK has length 0" },
        [FLAW_TABLE_OTHER_LEAF] = { "table-other-leaf", "the certificate of another key, chip and TCB" },
        [FLAW_TABLE_NO_INTERMEDIATE] = { "table-no-intermediate", "neither ASK nor ASVK" },
        [FLAW_TABLE_PEM] = { "table-pem", "PEM in place of DER" },
        [FLAW_TABLE_UNTERMINATED] = { "table-unterminated", "no zero entry at the end of the entries" },
        [FLAW_TABLE_DUPLICATE] = { "table-duplicate", "the VCEK or VLEK twice" },
        [FLAW_TABLE_OVERLAP] = { "table-overlap", "two entries are the same bytes" },
        [FLAW_TABLE_HEADER] = { "table-header", "an entry points to the entries" },
        [FLAW_TABLE_BEYOND] = { "table-beyond", "an entry ends a byte after the table" },
        [FLAW_TABLE_OVERFLOW] = { "table-overflow", "offset and length of an entry are over 2^32 together" },
        [FLAW_TABLE_LARGE] = { "table-large", "over 16 KiB, by an entry of 16 KiB" },
};

typedef enum {
        FIELD_HEX,
        FIELD_NUMBER,
} FieldKind;

static const struct {
        const char *name;
        guint at, size;
        FieldKind kind;
} fields[] = {
        { "guest_svn", 0x004, 4, FIELD_NUMBER },
        { "policy", AT_POLICY, 8, FIELD_NUMBER },
        { "family_id", 0x010, 16, FIELD_HEX },
        { "image_id", 0x020, 16, FIELD_HEX },
        { "vmpl", AT_VMPL, 4, FIELD_NUMBER },
        { "current_tcb", AT_CURRENT_TCB, 8, FIELD_HEX },
        { "platform_info", AT_PLATFORM_INFO, 8, FIELD_NUMBER },
        { "measurement", AT_MEASUREMENT, 48, FIELD_HEX },
        { "host_data", 0x0c0, 32, FIELD_HEX },
        { "id_key_digest", 0x0e0, 48, FIELD_HEX },
        { "author_key_digest", 0x110, 48, FIELD_HEX },
        { "report_id", AT_REPORT_ID, 32, FIELD_HEX },
        { "report_id_ma", AT_REPORT_ID_MA, 32, FIELD_HEX },
        { "reported_tcb", AT_REPORTED_TCB, 8, FIELD_HEX },
        { "cpuid_fms", AT_CPUID, 3, FIELD_HEX },
        { "chip_id", AT_CHIP_ID, CHIP_ID_SIZE, FIELD_HEX },
        { "committed_tcb", AT_COMMITTED_TCB, 8, FIELD_HEX },
        { "current_fw", AT_CURRENT_FW, 3, FIELD_HEX },
        { "committed_fw", AT_COMMITTED_FW, 3, FIELD_HEX },
        { "launch_tcb", AT_LAUNCH_TCB, 8, FIELD_HEX },
        { "launch_mit_vector", AT_MIT_VECTORS, 8, FIELD_NUMBER },
        { "current_mit_vector", AT_MIT_VECTORS + 8, 8, FIELD_NUMBER },
};

/* What differs between lines; in a report, first byte first. */
static const struct {
        const char *name;
        guint8 cpuid[3];
        guint8 tcb[8];
} products[SNP_N_PRODUCTS] = {
        [SNP_MILAN] = { "milan", { 0x19, 0x01, 0x01 }, { 4, 0, 0, 0, 0, 0, 24, 217 } },
        [SNP_GENOA] = { "genoa", { 0x19, 0x11, 0x01 }, { 10, 0, 0, 0, 0, 0, 23, 84 } },
        [SNP_TURIN] = { "turin", { 0x1a, 0x02, 0x01 }, { 1, 1, 1, 4, 0, 0, 0, 81 } },
};

struct SnpForge {
        char *state_dir;
        PkiSnp *pki[SNP_N_PRODUCTS]; /* NULL until they come into use */
        char *root_spki[SNP_N_PRODUCTS];

        SnpProduct product;
        guint version;
        guint8 report[SNP_FORGE_REPORT_SIZE]; /* as the fields were set */
        guint8 certificate_tcb[8];
        bool has_certificate_tcb, has_author_key, is_vlek, wraps_hwid, has_extra_entry;
        char *csp_id;
        Flaw flaw;

        /* Made at need, and again after a field was set. */
        PkiSnp *foreign;
        X509 *leaf, *intermediate;
};

static void forget(SnpForge *f) {
        g_clear_pointer(&f->foreign, pki_snp_free);
        g_clear_pointer(&f->leaf, X509_free);
        g_clear_pointer(&f->intermediate, X509_free);
}

/* Text → fields. */

static gboolean use_product(SnpForge *f, SnpProduct product, GError **error) {
        const guint8 *tcb = products[product].tcb;

        if (!f->pki[product]) {
                f->pki[product] = pki_snp_new(f->state_dir, product, error);
                if (!f->pki[product])
                        return FALSE;

                f->root_spki[product] = pki_spki_sha256(f->pki[product]->ark);
                if (f->state_dir) {
                        g_autofree char *name = g_strdup_printf("ark-%s-spki-sha256", products[product].name);
                        g_autofree char *path = g_build_filename(f->state_dir, name, NULL);
                        g_autofree char *line = g_strconcat(f->root_spki[product], "\n", NULL);

                        if (!g_file_set_contents(path, line, -1, error))
                                return FALSE;
                }
        }

        f->product = product;
        f->has_certificate_tcb = false;
        memcpy(f->report + AT_CPUID, products[product].cpuid, 3);
        memcpy(f->report + AT_CURRENT_TCB, tcb, 8);
        memcpy(f->report + AT_REPORTED_TCB, tcb, 8);
        memcpy(f->report + AT_COMMITTED_TCB, tcb, 8);
        memcpy(f->report + AT_LAUNCH_TCB, tcb, 8);
        memset(f->report + AT_CHIP_ID, 0, CHIP_ID_SIZE);
        SHA512((const guint8 *) "test chip", 9, f->report + AT_CHIP_ID);
        if (product >= SNP_TURIN)
                memset(f->report + AT_CHIP_ID + TURIN_HWID_SIZE, 0, CHIP_ID_SIZE - TURIN_HWID_SIZE);
        return TRUE;
}

static void set_defaults(SnpForge *f) {
        static const guint8 firmware[3] = { 29, 55, 1 }; /* 1.55.29 */
        guint8 *r = f->report;

        f->version = 3;
        f->csp_id = g_strdup("CN=cloud.invalid");
        octets_set_le(r + AT_POLICY, 0x3001f, 8);       /* SMT; ABI 0.31 */
        octets_set_le(r + AT_PLATFORM_INFO, 0x25, 8);   /* SMT, ECC, no memory aliases */
        SHA384((const guint8 *) "test measurement", 16, r + AT_MEASUREMENT);
        SHA256((const guint8 *) "test report id", 14, r + AT_REPORT_ID);
        memset(r + AT_REPORT_ID_MA, 0xff, 32);
        memcpy(r + AT_CURRENT_FW, firmware, sizeof(firmware));
        memcpy(r + AT_COMMITTED_FW, firmware, sizeof(firmware));
        octets_set_le(r + AT_MIT_VECTORS, 0x3f, 8);
        octets_set_le(r + AT_MIT_VECTORS + 8, 0x3f, 8);
}

static bool parse_number(const char *text, guint size, guint64 *ret) {
        char *end;

        if (!g_ascii_isdigit(text[0]))
                return false;
        *ret = g_ascii_strtoull(text, &end, 0);
        return *end == 0 && (size == 8 || *ret >> (8 * size) == 0);
}

static int set_product(SnpForge *f, const char *value, char **why) {
        g_autoptr(GError) error = NULL;

        for (guint i = 0; i < SNP_N_PRODUCTS; i++) {
                if (!g_str_equal(value, products[i].name))
                        continue;
                if (use_product(f, (SnpProduct) i, &error))
                        return true;
                *why = g_strdup(error->message);
                return false;
        }
        return false;
}

static int set_flag(bool *flag, const char *value) {
        if (!g_str_equal(value, "0") && !g_str_equal(value, "1"))
                return false;
        *flag = value[0] == '1';
        return true;
}

/* What is no field of the report. Returns: -1 if @name is no option, else whether @value is one */
static int set_option(SnpForge *f, const char *name, const char *value, char **why) {
        if (g_str_equal(name, "product"))
                return set_product(f, value, why);
        if (g_str_equal(name, "flaw")) {
                for (guint i = 0; i < G_N_ELEMENTS(flaws); i++)
                        if (g_str_equal(value, flaws[i].name)) {
                                f->flaw = (Flaw) i;
                                return true;
                        }
                return false;
        }
        if (g_str_equal(name, "version")) {
                if (value[0] < '2' || value[0] > '5' || value[1] != 0)
                        return false;
                f->version = (guint) (value[0] - '0');
                return true;
        }
        if (g_str_equal(name, "signer")) {
                f->is_vlek = g_str_equal(value, "vlek");
                return f->is_vlek || g_str_equal(value, "vcek");
        }
        if (g_str_equal(name, "csp_id")) {
                if (strlen(value) > 127)
                        return false;
                g_free(f->csp_id);
                f->csp_id = g_strdup(value);
                return true;
        }
        if (g_str_equal(name, "certificate_tcb")) {
                f->has_certificate_tcb = octets_parse_hex(value, f->certificate_tcb, sizeof(f->certificate_tcb));
                return f->has_certificate_tcb;
        }
        if (g_str_equal(name, "author_key_en"))
                return set_flag(&f->has_author_key, value);
        if (g_str_equal(name, "hwid-wrapped"))
                return set_flag(&f->wraps_hwid, value);
        if (g_str_equal(name, "table-extra"))
                return set_flag(&f->has_extra_entry, value);
        return -1;
}

bool snp_forge_set(SnpForge *f, const char *name, const char *value, char **why) {
        int done;

        forget(f);
        done = set_option(f, name, value, why);
        if (done > 0)
                return true;
        if (done == 0) {
                if (!*why)
                        *why = g_strdup_printf("%s cannot be '%s'", name, value);
                return false;
        }

        for (guint i = 0; i < G_N_ELEMENTS(fields); i++) {
                guint64 number;

                if (!g_str_equal(name, fields[i].name))
                        continue;
                if (fields[i].kind == FIELD_HEX && octets_parse_hex(value, f->report + fields[i].at, fields[i].size))
                        return true;
                if (fields[i].kind == FIELD_NUMBER && parse_number(value, fields[i].size, &number)) {
                        octets_set_le(f->report + fields[i].at, number, fields[i].size);
                        return true;
                }
                *why = g_strdup_printf("%s is %s%u bytes%s", name, fields[i].kind == FIELD_HEX ? "" : "a number of ",
                                       fields[i].size, fields[i].kind == FIELD_HEX ? " in hex" : "");
                return false;
        }
        *why = g_strdup_printf("no field is called '%s'", name);
        return false;
}

void snp_forge_set_vmpl(SnpForge *f, guint level) {
        octets_set_le(f->report + AT_VMPL, level, 4);
}

/* Fields → certificates. */

static const PkiSnp *hierarchy(SnpForge *f) {
        if (f->flaw != FLAW_OTHER_ROOT)
                return f->pki[f->product];
        if (!f->foreign)
                f->foreign = pki_snp_new(NULL, f->product, NULL);
        return f->foreign;
}

static SnpTcb unpack_tcb(SnpProduct product, const guint8 tcb[8]) {
        if (product >= SNP_TURIN)
                return (SnpTcb) { tcb[0], tcb[1], tcb[2], tcb[3], tcb[7] };
        return (SnpTcb) { 0, tcb[0], tcb[1], tcb[6], tcb[7] };
}

static void make_leaf(SnpForge *f) {
        PkiSnpLeaf leaf = {
                .is_vlek = f->is_vlek,
                .tcb = unpack_tcb(f->product,
                                  f->has_certificate_tcb ? f->certificate_tcb : f->report + AT_REPORTED_TCB),
                .hwid_size = f->product >= SNP_TURIN ? TURIN_HWID_SIZE : CHIP_ID_SIZE,
                .csp_id = f->csp_id,
                .wraps_hwid = f->wraps_hwid,
                .is_self_signed = f->flaw == FLAW_SELF_SIGNED,
                .by_other_issuer = f->flaw == FLAW_OTHER_ISSUER,
                .has_hwid_and_csp_id = f->flaw == FLAW_LEAF_BOTH,
                .without_hwid_and_csp_id = f->flaw == FLAW_LEAF_NEITHER,
                .without_extensions = f->flaw == FLAW_LEAF_EXTENSIONS,
                .without_snp_spl = f->flaw == FLAW_LEAF_NO_SPL,
                .has_wide_spl = f->flaw == FLAW_LEAF_WIDE_SPL,
        };
        g_autoptr(EVP_PKEY) other = NULL;

        memcpy(leaf.hwid, f->report + AT_CHIP_ID, sizeof(leaf.hwid));
        if (f->flaw == FLAW_LEAF_PRODUCT)
                leaf.product_name = f->product == SNP_MILAN ? "Genoa" : "Milan-B0";
        else if (f->flaw == FLAW_LEAF_NAME)
                leaf.common_name = f->is_vlek ? "SEV-VCEK" : "SEV-VLEK";
        else if (f->flaw == FLAW_LEAF_KEY)
                leaf.key = other = pki_key(NULL, NULL, NULL);
        else if (f->flaw == FLAW_EXPIRED_LEAF)
                leaf.not_after = "20201231235959Z";
        else if (f->flaw == FLAW_FUTURE_LEAF)
                leaf.not_before = "20490101000000Z";
        else if (f->flaw == FLAW_TABLE_OTHER_LEAF) {
                leaf.key = other = pki_key_of_type(PKI_P384, NULL, NULL, NULL);
                leaf.hwid[0] ^= 1;
                leaf.tcb.microcode++;
        }
        f->leaf = pki_snp_issue(hierarchy(f), &leaf);
}

static void make_chain(SnpForge *f) {
        const PkiSnp *pki = hierarchy(f);

        if (f->leaf)
                return;

        make_leaf(f);
        if (f->flaw == FLAW_EXPIRED_INTERMEDIATE)
                f->intermediate = pki_snp_issue_intermediate(pki, f->is_vlek, "20201231235959Z", true);
        else if (f->flaw == FLAW_INTERMEDIATE_NOT_CA)
                f->intermediate = pki_snp_issue_intermediate(pki, f->is_vlek, NULL, false);
        else {
                f->intermediate = f->is_vlek != (f->flaw == FLAW_OTHER_ISSUER) ? pki->asvk : pki->ask;
                must(X509_up_ref(f->intermediate));
        }
}

GByteArray *snp_forge_certificates(SnpForge *f) {
        GByteArray *pem = g_byte_array_new();

        if (f->flaw == FLAW_TABLE_ABSENT)
                return pem;

        make_chain(f);
        if (f->flaw != FLAW_TABLE_NO_LEAF && f->flaw != FLAW_TABLE_EMPTY_LEAF)
                pki_append_pem(pem, f->leaf);
        if (f->flaw == FLAW_SELF_SIGNED)
                return pem;
        if (f->flaw != FLAW_TABLE_NO_INTERMEDIATE)
                pki_append_pem(pem, f->intermediate);
        pki_append_pem(pem, hierarchy(f)->ark);
        return pem;
}

/* Certificates → table. */

/* In the order in which they are printed, not in that of a guid_t. */
static const guint8 guid_ark[16] = {
        0xc0, 0xb4, 0x06, 0xa4, 0xa8, 0x03, 0x49, 0x52, 0x97, 0x43, 0x3f, 0xb6, 0x01, 0x4c, 0xd0, 0xae,
};
static const guint8 guid_ask[16] = {
        0x4a, 0xb7, 0xb3, 0x79, 0xbb, 0xac, 0x4f, 0xe4, 0xa0, 0x2f, 0x05, 0xae, 0xf3, 0x27, 0xc7, 0x82,
};
static const guint8 guid_vcek[16] = {
        0x63, 0xda, 0x75, 0x8d, 0xe6, 0x64, 0x45, 0x64, 0xad, 0xc5, 0xf4, 0xb9, 0x3b, 0xe8, 0xac, 0xcd,
};
static const guint8 guid_vlek[16] = {
        0xa8, 0x07, 0x4b, 0xc2, 0xa2, 0x5a, 0x48, 0x3e, 0xaa, 0xe6, 0x39, 0xc0, 0x45, 0xa0, 0xb8, 0xa1,
};
/* One cloud's word on its platform; a verifier has to pass over what it does not know. */
static const guint8 guid_extra[16] = {
        0xec, 0xae, 0x0c, 0x0f, 0x95, 0x02, 0x43, 0xb1, 0xaf, 0xa2, 0x0a, 0xe2, 0xe0, 0xd5, 0x65, 0xb6,
};

#define ENTRIES_MAX 5u

typedef struct Table {
        struct {
                const guint8 *guid;
                guint32 offset, length; /* the offset is among the contents, until they are put together */
        } entries[ENTRIES_MAX];
        guint n_entries;
        GByteArray *contents;
} Table;

static void add(Table *table, const guint8 guid[16], const void *content, gsize size) {
        g_assert(table->n_entries < ENTRIES_MAX);
        table->entries[table->n_entries].guid = guid;
        table->entries[table->n_entries].offset = table->contents->len;
        table->entries[table->n_entries++].length = (guint32) size;
        g_byte_array_append(table->contents, content, (guint) size);
}

static void add_certificate(Table *table, const guint8 guid[16], X509 *certificate, bool is_pem) {
        g_autoptr(GByteArray) pem = g_byte_array_new();
        guint8 *der = NULL;
        int size;

        if (is_pem) {
                pki_append_pem(pem, certificate);
                add(table, guid, pem->data, pem->len);
                return;
        }

        size = i2d_X509(certificate, &der);
        must(size > 0);
        add(table, guid, der, (gsize) size);
        OPENSSL_free(der);
}

static void add_others(Table *table, Flaw flaw, const guint8 *guid_of_leaf, X509 *leaf, bool has_extra) {
        bool needs_extra = flaw == FLAW_TABLE_OVERLAP || flaw == FLAW_TABLE_HEADER || flaw == FLAW_TABLE_BEYOND ||
                           flaw == FLAW_TABLE_OVERFLOW;

        if (flaw == FLAW_TABLE_DUPLICATE)
                add_certificate(table, guid_of_leaf, leaf, false);
        if (flaw == FLAW_TABLE_LARGE) {
                g_autofree guint8 *large = g_malloc0(TABLE_LARGE);

                add(table, guid_extra, large, TABLE_LARGE);
        } else if (has_extra || needs_extra)
                add(table, guid_extra, "extra", 5);
}

/* The last entry is one that nobody needs. */
static void bend_last(Table *table, Flaw flaw, guint head) {
        guint last = table->n_entries - 1;

        if (flaw == FLAW_TABLE_OVERLAP) {
                table->entries[last].offset = table->entries[0].offset;
                table->entries[last].length = table->entries[0].length;
        } else if (flaw == FLAW_TABLE_HEADER)
                table->entries[last].offset = 0;
        else if (flaw == FLAW_TABLE_BEYOND)
                table->entries[last].length++;
        else if (flaw == FLAW_TABLE_OVERFLOW)
                table->entries[last].length = head - table->entries[last].offset; /* ends where the contents begin */
}

GByteArray *snp_forge_table(SnpForge *f) {
        GByteArray *out = g_byte_array_new();
        g_autoptr(GByteArray) contents = g_byte_array_new();
        const guint8 *guid_of_leaf = f->is_vlek ? guid_vlek : guid_vcek;
        Table table = { .contents = contents };
        bool is_pem = f->flaw == FLAW_TABLE_PEM;
        guint head;

        if (f->flaw == FLAW_TABLE_ABSENT)
                return out;

        make_chain(f);
        if (f->flaw == FLAW_TABLE_EMPTY_LEAF)
                add(&table, guid_of_leaf, "", 0);
        else if (f->flaw != FLAW_TABLE_NO_LEAF)
                add_certificate(&table, guid_of_leaf, f->leaf, is_pem);
        if (f->flaw != FLAW_SELF_SIGNED && f->flaw != FLAW_TABLE_NO_INTERMEDIATE)
                add_certificate(&table, guid_ask, f->intermediate, is_pem);
        if (f->flaw != FLAW_SELF_SIGNED)
                add_certificate(&table, guid_ark, hierarchy(f)->ark, is_pem);
        add_others(&table, f->flaw, guid_of_leaf, f->leaf, f->has_extra_entry);

        head = (table.n_entries + (f->flaw == FLAW_TABLE_UNTERMINATED ? 0 : 1)) * ENTRY_SIZE;
        for (guint i = 0; i < table.n_entries; i++)
                table.entries[i].offset += head;
        bend_last(&table, f->flaw, head);

        for (guint i = 0; i < table.n_entries; i++) {
                g_byte_array_append(out, table.entries[i].guid, 16);
                octets_put_le(out, table.entries[i].offset, 4);
                octets_put_le(out, table.entries[i].length, 4);
        }
        octets_put_zeros(out, head - out->len);
        g_byte_array_append(out, contents->data, contents->len);
        return out;
}

/* Fields → report. */

static void apply_fields(const SnpForge *f, guint8 *r, const guint8 report_data[FORGE_REPORT_DATA_SIZE]) {
        bool says_vlek = f->is_vlek != (f->flaw == FLAW_KIND);
        guint key = f->flaw == FLAW_KIND_NONE ? KEY_NONE : says_vlek ? 1 : 0;

        memcpy(r, f->report, SNP_FORGE_REPORT_SIZE);
        octets_set_le(r + AT_VERSION, f->flaw == FLAW_VERSION ? 6 : f->version, 4);
        octets_set_le(r + AT_SIGNATURE_ALGORITHM, f->flaw == FLAW_ALGORITHM ? 2 : 1, 4);
        octets_set_le(r + AT_FLAGS, (f->has_author_key ? 1 : 0) | (f->flaw == FLAW_KEY_MASKED ? 2 : 0) | key << 2, 4);
        memcpy(r + AT_REPORT_DATA, report_data, FORGE_REPORT_DATA_SIZE);
        if (f->version < 3)
                memset(r + AT_CPUID, 0, 3);
        if (f->version < 5)
                memset(r + AT_MIT_VECTORS, 0, 16);
}

static void apply_flaw(const SnpForge *f, guint8 *r) {
        if (f->flaw == FLAW_CHIP_ID)
                r[AT_CHIP_ID] ^= 1;
        else if (f->flaw == FLAW_MASKED_CHIP_ID)
                memset(r + AT_CHIP_ID, 0, CHIP_ID_SIZE);
        else if (f->flaw == FLAW_TCB)
                r[AT_REPORTED_TCB + 7]++;
        else if (f->flaw == FLAW_PRODUCT && f->version >= 3)
                memcpy(r + AT_CPUID, products[f->product == SNP_MILAN ? SNP_GENOA : SNP_MILAN].cpuid, 3);
        else if (f->flaw == FLAW_DEBUG)
                r[AT_POLICY + 2] |= POLICY_DEBUG >> 16;
        else if (f->flaw == FLAW_MIGRATABLE)
                r[AT_POLICY + 2] |= POLICY_MIGRATE_MA >> 16;
        else if (f->flaw == FLAW_VMPL)
                octets_set_le(r + AT_VMPL, 1, 4);
}

static void reverse(guint8 *bytes, gsize size) {
        for (gsize i = 0; i < size / 2; i++) {
                guint8 b = bytes[i];

                bytes[i] = bytes[size - 1 - i];
                bytes[size - 1 - i] = b;
        }
}

GByteArray *snp_forge_report(SnpForge *f, const uint8_t report_data[FORGE_REPORT_DATA_SIZE]) {
        GByteArray *report = g_byte_array_new();
        const PkiSnp *pki = hierarchy(f);
        g_autoptr(EVP_PKEY) other = NULL;
        guint8 *signature;

        octets_put_zeros(report, SNP_FORGE_REPORT_SIZE);
        apply_fields(f, report->data, report_data);
        apply_flaw(f, report->data);

        if (f->flaw == FLAW_SIGNER)
                other = pki_key_of_type(PKI_P384, NULL, NULL, NULL);
        signature = report->data + SIGNED_SIZE;
        pki_snp_sign(other ? other : f->is_vlek ? pki->vlek_key : pki->vcek_key, report->data, SIGNED_SIZE, signature);
        if (f->flaw == FLAW_SIGNATURE)
                signature[7] ^= 0x10;
        else if (f->flaw == FLAW_ZERO_SIGNATURE || f->flaw == FLAW_KEY_MASKED)
                memset(signature, 0, SIGNATURE_SIZE);
        else if (f->flaw == FLAW_BIG_ENDIAN) {
                reverse(signature, 48);
                reverse(signature + 72, 48);
        }
        return report;
}

const char *snp_forge_root_spki_sha256(const SnpForge *f) {
        return f->root_spki[f->product];
}

const char *snp_forge_help(void) {
        static GString *text;

        if (text)
                return text->str;

        text = g_string_new("fields, in hex as in the report, or as numbers (N):\n ");
        for (guint i = 0; i < G_N_ELEMENTS(fields); i++)
                g_string_append_printf(text, fields[i].kind == FIELD_HEX ? " %s(%u)" : " %s(N)", fields[i].name,
                                       fields[i].size);
        g_string_append(text, "\n"
                              "others:\n"
                              "  product milan|genoa|turin  first of all: sets CPUID, chip_id and every TCB\n"
                              "  version 2|3|4|5\n"
                              "  signer vcek|vlek\n"
                              "  certificate_tcb(8)         of the VCEK or VLEK; without, it is reported_tcb\n"
                              "  csp_id TEXT                of the VLEK\n"
                              "  author_key_en 0|1\n"
                              "  hwid-wrapped 0|1           the certificate has HWID in an OCTET STRING of its own\n"
                              "  table-extra 0|1            the table has an entry that nobody knows\n"
                              "  flaw NAME\n"
                              "flaws:\n");
        for (guint i = 0; i < G_N_ELEMENTS(flaws); i++)
                g_string_append_printf(text, "  %-22s %s\n", flaws[i].name, flaws[i].help);
        return text->str;
}

GByteArray *snp_forge_manifest(void) {
        static const guint8 services[16] = {
                0x63, 0x84, 0x9e, 0xbb, 0x3d, 0x92, 0x46, 0x70, 0xa1, 0xff, 0x58, 0xf9, 0xc9, 0x4b, 0x87, 0xbb,
        };
        static const guint8 vtpm[16] = {
                0xc4, 0x76, 0xf1, 0xeb, 0x01, 0x23, 0x45, 0xa5, 0x96, 0x41, 0xb4, 0xe7, 0xdd, 0xe5, 0xbf, 0xe3,
        };
        static const char key[] = "test endorsement key";
        GByteArray *out = g_byte_array_new();

        g_byte_array_append(out, services, sizeof(services));
        octets_put_le(out, 48 + sizeof(key), 4);
        octets_put_le(out, 1, 4);
        g_byte_array_append(out, vtpm, sizeof(vtpm));
        octets_put_le(out, 48, 4);
        octets_put_le(out, sizeof(key), 4);
        g_byte_array_append(out, (const guint8 *) key, sizeof(key));
        return out;
}

void snp_forge_bind_manifest(uint8_t report_data[FORGE_REPORT_DATA_SIZE], const GByteArray *manifest) {
        g_autoptr(GChecksum) sum = g_checksum_new(G_CHECKSUM_SHA512);
        gsize size = FORGE_REPORT_DATA_SIZE;

        g_checksum_update(sum, report_data, FORGE_REPORT_DATA_SIZE);
        g_checksum_update(sum, manifest->data, manifest->len);
        g_checksum_get_digest(sum, report_data, &size);
}

SnpForge *snp_forge_new(const char *state_dir, GError **error) {
        g_autoptr(SnpForge) f = g_new0(SnpForge, 1);

        f->state_dir = g_strdup(state_dir);
        set_defaults(f);
        return use_product(f, SNP_MILAN, error) ? g_steal_pointer(&f) : NULL;
}

void snp_forge_free(SnpForge *f) {
        if (!f)
                return;

        forget(f);
        for (guint i = 0; i < SNP_N_PRODUCTS; i++) {
                pki_snp_free(f->pki[i]);
                g_free(f->root_spki[i]);
        }
        g_free(f->csp_id);
        g_free(f->state_dir);
        g_free(f);
}
