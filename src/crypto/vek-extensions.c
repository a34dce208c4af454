/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Extensions of AMD's versioned chip and loaded endorsement keys (AMD 57230). */
#include "crypto/certificate.h"
#include "crypto/der.h"
#include "util/error.h"

#define AMD "1.3.6.1.4.1.3704.1."

enum {
        IA5_STRING = 0x16,
        N_SPLS = 9,
};

static gboolean bad(GError **error, const char *oid, const char *what) {
        return att_error_set(error, ATT_ERROR_BAD_DATA, "not a VCEK or VLEK certificate: its extension %s %s", oid,
                             what);
}

/* One INTEGER of a byte, and nothing after it. */
static bool read_byte(GBytes *der, uint8_t *ret) {
        AttCursor c = att_cursor_bytes(der);
        uint64_t v = att_der_take_uint(&c, UINT8_MAX);

        *ret = (uint8_t) v;
        return att_cursor_is_spent(&c);
}

static gboolean take_byte(const AttCertificate *vek, const char *oid, bool is_optional, bool *ret_found, uint8_t *ret,
                          GError **error) {
        g_autoptr(GBytes) der = att_certificate_dup_extension(vek, oid);

        *ret_found = der != NULL;
        if (!der)
                return is_optional || bad(error, oid, "is missing");
        return read_byte(der, ret) || bad(error, oid, "is not a number of one byte");
}

/* Printable ASCII, as it goes into messages. */
static bool read_text(GBytes *der, char *ret, size_t size) {
        AttCursor c = att_cursor_bytes(der);
        AttCursor text = att_der_take(&c, IA5_STRING);

        if (!att_cursor_is_spent(&c) || text.left == 0 || text.left >= size)
                return false;
        for (size_t i = 0; i < text.left; i++)
                if (!g_ascii_isprint(text.at[i]))
                        return false;
        memcpy(ret, text.at, text.left);
        ret[text.left] = '\0';
        return true;
}

static gboolean take_text(const AttCertificate *vek, const char *oid, bool is_optional, char *ret, size_t size,
                          GError **error) {
        g_autoptr(GBytes) der = att_certificate_dup_extension(vek, oid);

        if (!der)
                return is_optional || bad(error, oid, "is missing");
        return read_text(der, ret, size) || bad(error, oid, "is not a short text");
}

/* AMD writes the bytes as they are; others wrap them as an OCTET STRING. No size fits both. */
static bool read_hwid(GBytes *der, AttVekExtensions *ret) {
        AttCursor c = att_cursor_bytes(der);
        AttCursor raw = c;

        if (c.left != ATT_VEK_HWID_SIZE && c.left != ATT_VEK_SHORT_HWID_SIZE) {
                raw = att_der_take(&c, ATT_DER_OCTET_STRING);
                if (!att_cursor_is_spent(&c) || (raw.left != ATT_VEK_HWID_SIZE && raw.left != ATT_VEK_SHORT_HWID_SIZE))
                        return false;
        }
        memcpy(ret->hwid, raw.at, raw.left);
        ret->hwid_size = raw.left;
        return true;
}

/* Whose key it is: a chip's, which names the chip, or one that is loaded into chips of a provider. */
static gboolean take_owner(const AttCertificate *vek, AttVekExtensions *ret, GError **error) {
        g_autoptr(GBytes) hwid = att_certificate_dup_extension(vek, AMD "4");

        if (hwid && !read_hwid(hwid, ret))
                return bad(error, AMD "4", "is not the id of a chip, of 64 or 8 bytes");
        if (!take_text(vek, AMD "5", true, ret->csp_id, sizeof ret->csp_id, error))
                return FALSE;
        if ((ret->hwid_size > 0) == (*ret->csp_id != '\0'))
                return att_error_set(error, ATT_ERROR_BAD_DATA, "not a VCEK or VLEK certificate: it names %s",
                                     hwid ? "a chip and a provider" : "neither a chip nor a provider");
        ret->is_vlek = !hwid;
        return TRUE;
}

gboolean att_vek_extensions_parse(const AttCertificate *vek, AttVekExtensions *ret, GError **error) {
        AttVekExtensions e = { 0 };
        uint8_t spare[N_SPLS] = { 0 };
        uint8_t *const spls[N_SPLS] = { &e.bootloader, &e.tee,  &e.snp,       &spare[3], &spare[4],
                                        &spare[5],     &spare[6], &e.microcode, &e.fmc };
        bool found[N_SPLS], has_version;

        if (!take_byte(vek, AMD "1", false, &has_version, &e.struct_version, error) ||
            !take_text(vek, AMD "2", false, e.product, sizeof e.product, error))
                return FALSE;
        for (size_t i = 0; i < N_SPLS; i++) {
                g_autofree char *oid = g_strdup_printf(AMD "3.%zu", i + 1);
                bool is_optional = (i >= 3 && i <= 6) || i == N_SPLS - 1;

                if (!take_byte(vek, oid, is_optional, &found[i], spls[i], error))
                        return FALSE;
                /* A part of the TCB that no report of ours has. */
                if (spare[i] != 0)
                        return bad(error, oid, "is reserved, and not 0");
        }
        e.has_fmc = found[N_SPLS - 1];
        if (!take_owner(vek, &e, error))
                return FALSE;
        *ret = e;
        return TRUE;
}
