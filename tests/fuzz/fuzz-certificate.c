/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Target functions: att_certificate_from_der, att_key_from_spki, att_chain_verify, att_chain_verify_name,
 * att_vek_extensions_parse */
#include "crypto/certificate.h"

static void check_name(char *name) {
        g_assert(g_utf8_validate(name, -1, NULL) && g_utf8_strlen(name, -1) <= 64);
        for (const char *p = name; *p; p = g_utf8_next_char(p))
                g_assert(g_unichar_isprint(g_utf8_get_char(p)));
        g_free(name);
}

/* As a chain of one: to a pin of its own key, and to itself as an anchor. */
static void check_chain(AttCertificate *certificate, GBytes *spki) {
        g_autoptr(GPtrArray) chain = g_ptr_array_new(), pins = g_ptr_array_new();
        const AttPart part = { g_bytes_get_data(spki, NULL), g_bytes_get_size(spki) };
        uint8_t digest[ATT_SHA256_SIZE];
        g_autoptr(GBytes) pin = NULL;
        g_autoptr(GError) error = NULL;
        int64_t at = att_certificate_not_before(certificate);

        g_ptr_array_add(chain, certificate);
        g_assert(!att_chain_verify(chain, pins, at, NULL));
        att_sha256(&part, 1, digest);
        pin = g_bytes_new(digest, sizeof digest);
        g_ptr_array_add(pins, pin);
        g_assert(att_chain_verify(chain, pins, at, &error) == !error);
        g_clear_error(&error);
        g_assert(att_chain_verify_name(chain, chain, "a.example", true, at, &error) == !error);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        g_autoptr(GError) error = NULL;
        g_autoptr(AttCertificate) certificate = att_certificate_from_der(data, size, &error);
        g_autoptr(GBytes) der = NULL, spki = NULL, extension = NULL;
        g_autoptr(AttKey) key = NULL;
        g_autofree char *serial = NULL;
        AttPckExtension pck;
        AttVekExtensions vek;

        if (!certificate) {
                g_assert(error);
                return 0;
        }
        der = att_certificate_dup_der(certificate);
        g_assert(g_bytes_get_size(der) == size && memcmp(g_bytes_get_data(der, NULL), data, size) == 0);
        spki = att_certificate_dup_spki(certificate);
        g_assert(g_bytes_get_size(spki) < size);
        key = att_certificate_dup_key(certificate, &error);
        g_assert(!key == (error != NULL));
        check_name(att_certificate_dup_subject_cn(certificate));
        check_name(att_certificate_dup_issuer_cn(certificate));
        serial = att_certificate_dup_serial(certificate);
        extension = att_certificate_dup_extension(certificate, "2.5.29.19");
        (void) att_certificate_not_after(certificate);
        (void) !att_pck_extension_parse(certificate, &pck, NULL);
        if (att_vek_extensions_parse(certificate, &vek, NULL))
                g_assert(vek.is_vlek == (vek.hwid_size == 0) && vek.is_vlek == (*vek.csp_id != '\0'));
        check_chain(certificate, spki);
        return 0;
}
