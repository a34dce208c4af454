/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* RFC 7468, strictly: what OpenSSL's reader would skip may be a certificate to
 * somebody else. */
#include "crypto/certificate.h"
#include "crypto/key.h"
#include "util/bytes.h"
#include "util/error.h"

#define BEGIN "-----BEGIN CERTIFICATE-----"
#define END "-----END CERTIFICATE-----"
#define BEGIN_KEY "-----BEGIN PUBLIC KEY-----"
#define END_KEY "-----END PUBLIC KEY-----"
/* Base64 of the largest certificate, with as many line ends as it may have. */
#define BODY_MAX (ATT_CERTIFICATE_SIZE_MAX * 2u)

static bool is_space(uint8_t c) {
        return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static void skip_space(AttCursor *c) {
        while (c->left > 0 && is_space(*c->at))
                (void) att_take(c, 1);
}

static bool take_text(AttCursor *c, const char *text) {
        size_t n = strlen(text);

        return c->left >= n && memcmp(c->at, text, n) == 0 && att_take(c, n);
}

/* Padding only at the end, nothing but white space between. */
static GBytes *decode(AttCursor body) {
        g_autofree char *text = g_malloc(body.left + 1);
        size_t n = 0, padding = 0, size = 0;
        guchar *der;

        for (; body.left > 0; (void) att_take(&body, 1)) {
                char c = (char) *body.at;

                if (is_space(*body.at))
                        continue;
                if (c == '=')
                        padding++;
                else if (padding > 0 || !(g_ascii_isalnum(c) || c == '+' || c == '/'))
                        return NULL;
                text[n++] = c;
        }
        text[n] = '\0';
        if (n == 0 || n % 4 != 0 || padding > 2)
                return NULL;

        der = g_base64_decode(text, &size);
        return g_bytes_new_take(der, size);
}

/* What is between @begin, which is next, and @end; NULL if it is not base64. */
static GBytes *take_between(AttCursor *c, const char *begin, const char *end) {
        AttCursor body;
        const uint8_t *at;

        if (!take_text(c, begin) || c->left == 0)
                return NULL;
        at = memmem(c->at, MIN(c->left, BODY_MAX + strlen(end)), end, strlen(end));
        if (!at)
                return NULL;

        body = att_take_sub(c, (size_t) (at - c->at));
        (void) take_text(c, end);
        return decode(body);
}

static AttCertificate *take_certificate(AttCursor *c, GError **error) {
        g_autoptr(GBytes) der = take_between(c, BEGIN, END);

        if (!der) {
                att_error_set(error, ATT_ERROR_BAD_DATA, "not a certificate in PEM");
                return NULL;
        }
        return att_certificate_from_der(g_bytes_get_data(der, NULL), g_bytes_get_size(der), error);
}

static gboolean add_certificate(GPtrArray *all, guint max, AttCursor *c, GError **error) {
        AttCertificate *certificate;

        if (all->len == max)
                return att_error_set(error, ATT_ERROR_BAD_DATA, "over %u certificates", max);
        certificate = take_certificate(c, error);
        if (!certificate)
                return FALSE;
        g_ptr_array_add(all, certificate);
        return TRUE;
}

static gboolean check_any(const GPtrArray *all, GError **error) {
        return all->len > 0 ? TRUE : att_error_set(error, ATT_ERROR_BAD_DATA, "no certificate");
}

GPtrArray *att_certificates_from_pem(const void *pem, size_t size, GError **error) {
        g_autoptr(GPtrArray) all = g_ptr_array_new_with_free_func((GDestroyNotify) att_certificate_unref);
        AttCursor c = att_cursor(pem, size);

        while (c.left > 0 && (c.at[c.left - 1] == '\0' || is_space(c.at[c.left - 1])))
                c.left--;

        for (skip_space(&c); c.left > 0; skip_space(&c))
                if (!add_certificate(all, ATT_CHAIN_MAX, &c, error))
                        return NULL;
        return check_any(all, error) ? g_steal_pointer(&all) : NULL;
}

GPtrArray *att_certificates_from_bytes(const void *data, size_t size, GError **error) {
        g_autoptr(GPtrArray) one = NULL;
        AttCursor c = att_cursor(data, size);
        AttCertificate *certificate;

        skip_space(&c);
        if (c.left == 0 || *c.at == '-')
                return att_certificates_from_pem(data, size, error);

        certificate = att_certificate_from_der(data, size, error);
        if (!certificate)
                return NULL;
        one = g_ptr_array_new_with_free_func((GDestroyNotify) att_certificate_unref);
        g_ptr_array_add(one, certificate);
        return g_steal_pointer(&one);
}

GPtrArray *att_anchors_from_pem(const void *pem, size_t size, GError **error) {
        g_autoptr(GPtrArray) all = g_ptr_array_new_with_free_func((GDestroyNotify) att_certificate_unref);
        AttCursor c = att_cursor(pem, size);
        const uint8_t *begin;

        while (c.left > 0 && (begin = memmem(c.at, c.left, BEGIN, strlen(BEGIN)))) {
                (void) att_take(&c, (size_t) (begin - c.at));
                if (!add_certificate(all, ATT_ANCHORS_MAX, &c, error))
                        return NULL;
        }
        return check_any(all, error) ? g_steal_pointer(&all) : NULL;
}

GBytes *att_spki_from_pem(const void *pem, size_t size, GError **error) {
        g_autoptr(GBytes) der = NULL;
        AttCursor c = att_cursor(pem, size);

        skip_space(&c);
        der = take_between(&c, BEGIN_KEY, END_KEY);
        skip_space(&c);
        if (!der || !att_cursor_is_spent(&c)) {
                att_error_set(error, ATT_ERROR_BAD_DATA, "not one public key in PEM");
                return NULL;
        }
        return g_steal_pointer(&der);
}
