/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "crypto/certificate.h"
#include "crypto/der.h"
#include "util/error.h"

#define SGX_EXTENSION "1.2.840.113741.1.13.1"

/* The content of the OID above; members append one arc, those of the TCB two. */
static const uint8_t sgx[] = { 0x2a, 0x86, 0x48, 0x86, 0xf8, 0x4d, 0x01, 0x0d, 0x01 };

enum {
        PPID = 1,
        TCB = 2,
        PCEID = 3,
        FMSPC = 4,
        N_MEMBERS = 8, /* 5 to 7, type and platform, are of no use to us, but none may stand there twice */
};

enum {
        PCESVN = 17,
        CPUSVN = 18,
        N_TCB_MEMBERS,
};

/* SEQUENCE { OID, value } of a SEQUENCE of them. Returns the last arc of an OID
 * that is @n_arcs below SGX's, with those between as @between; 0 for any other. */
static unsigned take_member(AttCursor *list, const uint8_t *prefix, size_t prefix_size, AttCursor *ret_value) {
        AttCursor member = att_der_take(list, ATT_DER_SEQUENCE);
        AttCursor oid = att_der_take(&member, ATT_DER_OID);
        const uint8_t *p = oid.at;

        *ret_value = member;
        if (member.failed) {
                *list = member;
                return 0;
        }
        if (oid.left != prefix_size + 1 || memcmp(p, prefix, prefix_size) != 0 || p[prefix_size] & 0x80)
                return 0;
        return p[prefix_size];
}

/* An OCTET STRING of exactly @size bytes, and nothing after it. */
static bool take_octets(AttCursor *value, uint8_t *ret, size_t size) {
        AttCursor octets = att_der_take(value, ATT_DER_OCTET_STRING);

        if (octets.left != size || !att_cursor_is_spent(value))
                return false;
        memcpy(ret, octets.at, size);
        return true;
}

static bool take_svn(AttCursor *value, uint64_t max, uint64_t *ret) {
        *ret = att_der_take_uint(value, max);
        return att_cursor_is_spent(value);
}

static bool parse_tcb(AttCursor *value, AttPckExtension *ret) {
        uint8_t prefix[sizeof sgx + 1];
        AttCursor list = att_der_take(value, ATT_DER_SEQUENCE);
        uint32_t seen = 0;

        memcpy(prefix, sgx, sizeof sgx);
        prefix[sizeof sgx] = TCB;

        while (list.left > 0) {
                AttCursor item;
                unsigned arc = take_member(&list, prefix, sizeof prefix, &item);
                uint64_t svn = 0;

                if (arc == 0 || arc >= N_TCB_MEMBERS || seen & 1u << arc)
                        return false;
                seen |= 1u << arc;

                if (arc == CPUSVN) {
                        if (!take_octets(&item, ret->cpusvn, sizeof ret->cpusvn))
                                return false;
                } else if (!take_svn(&item, arc == PCESVN ? G_MAXUINT16 : G_MAXUINT8, &svn)) {
                        return false;
                } else if (arc == PCESVN) {
                        ret->pcesvn = (uint16_t) svn;
                } else {
                        ret->sgx_tcb_comps[arc - 1] = (uint8_t) svn;
                }
        }
        /* All of 1 to 18, and nothing after the list. */
        return att_cursor_is_spent(&list) && att_cursor_is_spent(value) && seen == (1u << N_TCB_MEMBERS) - 2;
}

static bool parse(AttCursor c, AttPckExtension *ret) {
        const uint32_t needed = 1u << PPID | 1u << TCB | 1u << PCEID | 1u << FMSPC;
        AttCursor list = att_der_take(&c, ATT_DER_SEQUENCE);
        uint32_t seen = 0;
        bool ok = true;

        while (ok && list.left > 0) {
                AttCursor value;
                unsigned arc = take_member(&list, sgx, sizeof sgx, &value);
                uint8_t tag;

                if (arc == 0 || arc >= N_MEMBERS)
                        continue; /* what a later version adds; a failed list has nothing left */
                if (seen & 1u << arc)
                        return false;
                seen |= 1u << arc;

                if (arc == PPID)
                        ok = take_octets(&value, ret->ppid, sizeof ret->ppid);
                else if (arc == TCB)
                        ok = parse_tcb(&value, ret);
                else if (arc == PCEID)
                        ok = take_octets(&value, ret->pceid, sizeof ret->pceid);
                else if (arc == FMSPC)
                        ok = take_octets(&value, ret->fmspc, sizeof ret->fmspc);
                else
                        ok = !att_der_take_any(&value, &tag).failed && att_cursor_is_spent(&value);
        }
        return ok && att_cursor_is_spent(&list) && att_cursor_is_spent(&c) && (seen & needed) == needed;
}

gboolean att_pck_extension_parse_der(const void *der, size_t size, AttPckExtension *ret, GError **error) {
        AttPckExtension extension = { 0 };

        if (!parse(att_cursor(der, size), &extension))
                return att_error_set(error, ATT_ERROR_BAD_DATA, "malformed SGX extension of the PCK certificate");
        *ret = extension;
        return TRUE;
}

gboolean att_pck_extension_parse(const AttCertificate *pck, AttPckExtension *ret, GError **error) {
        g_autoptr(GBytes) der = att_certificate_dup_extension(pck, SGX_EXTENSION);

        if (!der)
                return att_error_set(error, ATT_ERROR_BAD_DATA, "the certificate has no SGX extension: it is no PCK");
        return att_pck_extension_parse_der(g_bytes_get_data(der, NULL), g_bytes_get_size(der), ret, error);
}
