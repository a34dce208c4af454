/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "codec/snp-report.h"

#include "util/error.h"

#define VERSION_MIN 2u
#define VERSION_MAX 5u
#define VERSION_CPUID 3u /* the first that says which processor it is */
#define VERSION_MIT 5u   /* the first with mitigation vectors */
#define ALGORITHM_ECDSA_P384_SHA384 1u
#define REPORT_DATA_AT 80u

/* KEY_INFO */
#define AUTHOR_KEY_EN 0x01u
#define MASK_CHIP_KEY 0x02u
#define SIGNING_KEY_SHIFT 2
#define SIGNING_KEY_BITS 0x07u
#define KEY_INFO_KNOWN 0x1fu

const char *att_snp_line_name(AttSnpLine line) {
        switch (line) {
        case ATT_SNP_LINE_MILAN:
                return "Milan";
        case ATT_SNP_LINE_GENOA:
                return "Genoa";
        case ATT_SNP_LINE_TURIN:
                return "Turin";
        case ATT_SNP_LINE_UNKNOWN:
                break;
        }
        return "unknown";
}

const char *att_snp_key_name(AttSnpKey key) {
        switch (key) {
        case ATT_SNP_KEY_VCEK:
                return "VCEK";
        case ATT_SNP_KEY_VLEK:
                return "VLEK";
        case ATT_SNP_KEY_NONE:
                return "none";
        }
        return "reserved";
}

static bool is_zero(const uint8_t *p, size_t size) {
        uint8_t any = 0;

        for (size_t i = 0; p && i < size; i++)
                any |= p[i];
        return any == 0;
}

bool att_snp_tcb_read(const uint8_t raw[8], AttSnpLine line, AttSnpTcb *ret) {
        if (line == ATT_SNP_LINE_TURIN) {
                if (!is_zero(raw + 4, 3))
                        return false;
                *ret = (AttSnpTcb) {
                        .has_fmc = true,
                        .fmc = raw[0],
                        .bootloader = raw[1],
                        .tee = raw[2],
                        .snp = raw[3],
                        .microcode = raw[7],
                };
                return true;
        }

        if (!is_zero(raw + 2, 4))
                return false;
        *ret = (AttSnpTcb) { .bootloader = raw[0], .tee = raw[1], .snp = raw[6], .microcode = raw[7] };
        return true;
}

/* AMD 56860, CPUID_FAM_ID and CPUID_MOD_ID: extended family and model summed up. */
static AttSnpLine line_of(const uint8_t cpuid[3]) {
        uint8_t family = cpuid[0], model = cpuid[1];

        if (family == 0x19 && model <= 0x0f)
                return ATT_SNP_LINE_MILAN;
        if (family == 0x19 && ((model >= 0x10 && model <= 0x1f) || (model >= 0xa0 && model <= 0xaf)))
                return ATT_SNP_LINE_GENOA;
        if (family == 0x1a && model <= 0x11)
                return ATT_SNP_LINE_TURIN;
        return ATT_SNP_LINE_UNKNOWN;
}

/* Reserved bytes: what a later version puts there is not for us to guess. */
static void take_zero(AttCursor *c, size_t size, bool *all_zero) {
        if (!is_zero(att_take(c, size), size))
                *all_zero = false;
}

static AttSnpFirmware take_firmware(AttCursor *c, bool *reserved_zero) {
        AttSnpFirmware firmware;

        firmware.build = att_take_u8(c);
        firmware.minor = att_take_u8(c);
        firmware.major = att_take_u8(c);
        take_zero(c, 1, reserved_zero);
        return firmware;
}

static gboolean bad(GError **error, const char *what) {
        return att_error_set(error, ATT_ERROR_BAD_DATA, "not an SNP report: %s", what);
}

static gboolean check_head(const AttCursor *whole, GError **error) {
        AttCursor c = *whole;
        uint32_t version = att_take_u32le(&c);

        if (whole->left == 0)
                return bad(error, "it is empty");
        if (is_zero(whole->at, whole->left))
                return bad(error, "it is all zero");
        if (whole->left != ATT_SNP_REPORT_SIZE)
                return att_error_set(error, ATT_ERROR_BAD_DATA, "not an SNP report: it has %zu bytes, not %u",
                                     whole->left, ATT_SNP_REPORT_SIZE);
        if (version < VERSION_MIN || version > VERSION_MAX)
                return att_error_set(error, ATT_ERROR_BAD_DATA, "an SNP report of version %u, which is not known: "
                                     "versions %u to %u are", version, VERSION_MIN, VERSION_MAX);
        return TRUE;
}

gboolean att_snp_report_parse(GBytes *bytes, AttSnpReport *ret, GError **error) {
        const AttCursor whole = att_cursor_bytes(bytes);
        AttCursor c = whole;
        AttSnpReport r = { 0 };
        bool reserved_zero = true, rest_zero = true;

        if (!check_head(&whole, error))
                return FALSE;

        r.version = att_take_u32le(&c);
        r.guest_svn = att_take_u32le(&c);
        r.policy = att_take_u64le(&c);
        r.family_id = att_take(&c, 16);
        r.image_id = att_take(&c, 16);
        r.vmpl = att_take_u32le(&c);
        r.signature_algo = att_take_u32le(&c);
        r.current_tcb = att_take(&c, 8);
        r.platform_info = att_take_u64le(&c);
        r.key_info = att_take_u32le(&c);
        take_zero(&c, 4, &reserved_zero);
        r.report_data = att_take(&c, 64);
        r.measurement = att_take(&c, 48);
        r.host_data = att_take(&c, 32);
        r.id_key_digest = att_take(&c, 48);
        r.author_key_digest = att_take(&c, 48);
        r.report_id = att_take(&c, 32);
        r.report_id_ma = att_take(&c, 32);
        r.reported_tcb = att_take(&c, 8);
        if (r.version >= VERSION_CPUID) {
                r.cpuid = att_take(&c, 3);
                take_zero(&c, 21, &reserved_zero);
        } else {
                take_zero(&c, 24, &reserved_zero);
        }
        r.chip_id = att_take(&c, ATT_SNP_CHIP_ID_SIZE);
        r.committed_tcb = att_take(&c, 8);
        r.current_firmware = take_firmware(&c, &reserved_zero);
        r.committed_firmware = take_firmware(&c, &reserved_zero);
        r.launch_tcb = att_take(&c, 8);
        if (r.version >= VERSION_MIT) {
                r.launch_mit_vector = att_take(&c, 8);
                r.current_mit_vector = att_take(&c, 8);
        } else {
                take_zero(&c, 16, &reserved_zero);
        }
        take_zero(&c, 152, &reserved_zero);
        r.signed_part = att_cursor(whole.at, whole.left - c.left);
        r.signature_r = att_take(&c, 72);
        r.signature_s = att_take(&c, 72);
        take_zero(&c, 368, &rest_zero);

        if (!att_cursor_is_spent(&c))
                return bad(error, "it has another size");
        if (r.signature_algo != ALGORITHM_ECDSA_P384_SHA384)
                return att_error_set(error, ATT_ERROR_BAD_DATA, "an SNP report with a signature of algorithm %u, "
                                     "which is not known", r.signature_algo);
        if (!reserved_zero || r.key_info & ~KEY_INFO_KNOWN)
                return bad(error, "bytes or bits that are reserved are not zero");
        if (!rest_zero)
                return bad(error, "there is something after the signature");

        r.has_author_key = r.key_info & AUTHOR_KEY_EN;
        r.has_masked_chip_key = r.key_info & MASK_CHIP_KEY;
        r.signing_key = (AttSnpKey) (r.key_info >> SIGNING_KEY_SHIFT & SIGNING_KEY_BITS);
        r.line = r.cpuid ? line_of(r.cpuid) : ATT_SNP_LINE_UNKNOWN;
        *ret = r;
        return TRUE;
}

const uint8_t *att_snp_report_report_data(GBytes *bytes) {
        AttCursor c = att_cursor_bytes(bytes);

        if (!check_head(&c, NULL))
                return NULL;
        att_take(&c, REPORT_DATA_AT);
        return att_take(&c, 64);
}

/* A version in four bytes; in a quote the type of its key is in the last two, and never 0. */
bool att_snp_report_is_like(GBytes *bytes) {
        AttCursor c = att_cursor_bytes(bytes);
        uint32_t version = att_take_u32le(&c);

        return !c.failed && version <= 0x0f;
}
