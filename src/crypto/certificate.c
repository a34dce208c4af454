/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "crypto/der.h"
#include "crypto/openssl-error.h"
#include "crypto/pkey.h"
#include "crypto/x509.h"
#include "util/error.h"

#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <time.h>

/* A certificate has a dozen; each is compared with each. */
#define EXTENSIONS_MAX 64
/* X.520, ub-common-name */
#define CN_MAX 64

G_DEFINE_AUTOPTR_CLEANUP_FUNC(ASN1_OBJECT, ASN1_OBJECT_free)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(BIGNUM, BN_free)

AttCertificate *att_certificate_ref(AttCertificate *certificate) {
        g_atomic_ref_count_inc(&certificate->refs);
        return certificate;
}

void att_certificate_unref(AttCertificate *certificate) {
        if (!certificate || !g_atomic_ref_count_dec(&certificate->refs))
                return;

        X509_free(certificate->x509);
        g_clear_pointer(&certificate->der, g_bytes_unref);
        g_clear_pointer(&certificate->spki, g_bytes_unref);
        EVP_PKEY_free(certificate->key);
        g_free(certificate);
}

/* OpenSSL encodes the SubjectPublicKeyInfo anew when asked for it; who hashes it
 * needs the bytes that were signed. */
static GBytes *slice_spki(GBytes *der) {
        AttCursor c = att_cursor_bytes(der);
        AttCursor certificate = att_der_take(&c, ATT_DER_SEQUENCE);
        AttCursor tbs = att_der_take(&certificate, ATT_DER_SEQUENCE);
        const uint8_t *start;
        uint8_t tag;

        if (tbs.left > 0 && tbs.at[0] == 0xa0)
                (void) att_der_take_any(&tbs, &tag);      /* version */
        (void) att_der_take(&tbs, ATT_DER_INTEGER);       /* serialNumber */
        for (int i = 0; i < 4; i++)                       /* signature, issuer, validity, subject */
                (void) att_der_take(&tbs, ATT_DER_SEQUENCE);

        start = tbs.at;
        (void) att_der_take(&tbs, ATT_DER_SEQUENCE);
        if (tbs.failed)
                return NULL;
        return g_bytes_new_from_bytes(der, (gsize) (start - (const uint8_t *) g_bytes_get_data(der, NULL)),
                                      (gsize) (tbs.at - start));
}

/* What d2i read leniently does not come out as it went in. */
static bool is_der_of(const AttCertificate *certificate) {
        unsigned char *der = NULL;
        int size = i2d_X509(certificate->x509, &der);
        bool same = size > 0 && (size_t) size == g_bytes_get_size(certificate->der) &&
                    memcmp(der, g_bytes_get_data(certificate->der, NULL), (size_t) size) == 0;

        OPENSSL_free(der);
        return same;
}

/* RFC 5280 4.2 allows none twice; with two, which one counts would be chance. */
static bool extensions_differ(const X509 *x509) {
        int n = X509_get_ext_count(x509);

        if (n > EXTENSIONS_MAX)
                return false;
        for (int i = 0; i < n; i++)
                if (X509_get_ext_by_OBJ(x509, X509_EXTENSION_get_object(X509_get_ext(x509, i)), i) >= 0)
                        return false;
        return true;
}

/* Certificates that were read lately. A server shows the same one on each of its
 * connections, and a machine the same chain in each quote, while OpenSSL takes
 * longer to read one than to verify a signature with it. Nothing is known of them
 * but what their bytes say, and they never change. */
static struct {
        GMutex lock;
        GHashTable *by_der; /* of AttCertificate, by its @der; made with the first */
        GQueue by_age;      /* the same, the oldest first */
} lately;

#define LATELY_MAX 128u

static AttCertificate *find_lately(GBytes *der) {
        AttCertificate *found = NULL;

        g_mutex_lock(&lately.lock);
        if (lately.by_der)
                found = g_hash_table_lookup(lately.by_der, der);
        if (found)
                att_certificate_ref(found);
        g_mutex_unlock(&lately.lock);
        return found;
}

static void keep_lately(AttCertificate *certificate) {
        AttCertificate *oldest;

        if (g_bytes_get_size(certificate->der) > ATT_CERTIFICATE_KEPT_MAX)
                return;
        g_mutex_lock(&lately.lock);
        if (!lately.by_der)
                lately.by_der = g_hash_table_new_full(g_bytes_hash, g_bytes_equal, NULL,
                                                      (GDestroyNotify) att_certificate_unref);
        if (!g_hash_table_contains(lately.by_der, certificate->der)) {
                if (lately.by_age.length >= LATELY_MAX) {
                        oldest = g_queue_pop_head(&lately.by_age);
                        g_hash_table_remove(lately.by_der, oldest->der);
                }
                g_hash_table_insert(lately.by_der, certificate->der, att_certificate_ref(certificate));
                g_queue_push_tail(&lately.by_age, certificate);
        }
        g_mutex_unlock(&lately.lock);
}

AttCertificate *att_certificate_from_der(const void *der, size_t size, GError **error) {
        g_autoptr(AttCertificate) certificate = NULL;
        g_autoptr(GBytes) bytes = NULL;
        const unsigned char *p = der;

        if (size == 0 || size > ATT_CERTIFICATE_SIZE_MAX) {
                att_error_set(error, ATT_ERROR_BAD_DATA, "a certificate of %zu bytes", size);
                return NULL;
        }
        bytes = g_bytes_new(der, size);
        certificate = find_lately(bytes);
        if (certificate)
                return g_steal_pointer(&certificate);

        certificate = g_new0(AttCertificate, 1);
        g_atomic_ref_count_init(&certificate->refs);
        certificate->der = g_steal_pointer(&bytes);
        certificate->x509 = d2i_X509(NULL, &p, (long) size);
        if (certificate->x509)
                certificate->spki = slice_spki(certificate->der);
        if (!certificate->spki || !is_der_of(certificate) || !extensions_differ(certificate->x509)) {
                ERR_clear_error();
                att_error_set(error, ATT_ERROR_BAD_DATA, "not one certificate in DER");
                return NULL;
        }
        keep_lately(certificate);
        return g_steal_pointer(&certificate);
}

gsize att_certificate_size(const AttCertificate *certificate) {
        return g_bytes_get_size(certificate->der);
}

GBytes *att_certificate_dup_der(const AttCertificate *certificate) {
        return g_bytes_ref(certificate->der);
}

GBytes *att_certificate_dup_spki(const AttCertificate *certificate) {
        return g_bytes_ref(certificate->spki);
}

/* Not the one in @x509, which OpenSSL has read leniently. */
AttKey *att_certificate_dup_key(const AttCertificate *certificate, GError **error) {
        EVP_PKEY **kept = &((AttCertificate *) certificate)->key, *pkey = g_atomic_pointer_get(kept);
        AttKey *key;

        if (pkey) {
                key = g_new(AttKey, 1);
                (void) EVP_PKEY_up_ref(pkey);
                key->pkey = pkey;
                return key;
        }
        key = att_key_from_spki(certificate->spki, error);
        if (key && g_atomic_pointer_compare_and_exchange(kept, NULL, key->pkey))
                (void) EVP_PKEY_up_ref(key->pkey);
        return key;
}

/* The common name, if there is exactly one and it is printable: it goes into
 * messages and is compared, so a line feed or a NUL in it must not get that far. */
char *att_x509_dup_cn(const X509_NAME *name) {
        int i = X509_NAME_get_index_by_NID(name, NID_commonName, -1);
        unsigned char *utf8 = NULL;
        char *cn = NULL;
        int size;

        if (i < 0 || X509_NAME_get_index_by_NID(name, NID_commonName, i) >= 0)
                return g_strdup("");

        size = ASN1_STRING_to_UTF8(&utf8, X509_NAME_ENTRY_get_data(X509_NAME_get_entry(name, i)));
        if (size > 0 && g_utf8_validate((const char *) utf8, size, NULL))
                cn = g_strndup((const char *) utf8, (gsize) size);
        OPENSSL_free(utf8);
        ERR_clear_error();

        if (cn && g_utf8_strlen(cn, -1) > CN_MAX)
                g_clear_pointer(&cn, g_free);
        for (const char *p = cn; p && *p; p = g_utf8_next_char(p))
                if (!g_unichar_isprint(g_utf8_get_char(p))) {
                        g_clear_pointer(&cn, g_free);
                        break;
                }
        return cn ? cn : g_strdup("");
}

char *att_certificate_dup_subject_cn(const AttCertificate *certificate) {
        return att_x509_dup_cn(X509_get_subject_name(certificate->x509));
}

char *att_certificate_dup_issuer_cn(const AttCertificate *certificate) {
        return att_x509_dup_cn(X509_get_issuer_name(certificate->x509));
}

char *att_certificate_dup_serial(const AttCertificate *certificate) {
        g_autoptr(BIGNUM) n = ASN1_INTEGER_to_BN(X509_get0_serialNumber(certificate->x509), NULL);
        char *hex = n ? BN_bn2hex(n) : NULL;
        char *serial = g_ascii_strdown(hex ? hex : "", -1);

        OPENSSL_free(hex);
        return serial;
}

static int64_t seconds(const ASN1_TIME *t, int64_t unreadable) {
        struct tm tm = { 0 };

        return ASN1_TIME_to_tm(t, &tm) == 1 ? (int64_t) timegm(&tm) : unreadable;
}

/* With times that cannot be read a certificate is never valid. */
int64_t att_certificate_not_before(const AttCertificate *certificate) {
        return seconds(X509_get0_notBefore(certificate->x509), G_MAXINT64);
}

int64_t att_certificate_not_after(const AttCertificate *certificate) {
        return seconds(X509_get0_notAfter(certificate->x509), G_MININT64);
}

GBytes *att_certificate_dup_extension(const AttCertificate *certificate, const char *oid) {
        g_autoptr(ASN1_OBJECT) object = OBJ_txt2obj(oid, 1);
        int i = object ? X509_get_ext_by_OBJ(certificate->x509, object, -1) : -1;
        const ASN1_OCTET_STRING *content;

        if (i < 0) {
                ERR_clear_error();
                return NULL;
        }
        content = X509_EXTENSION_get_data(X509_get_ext(certificate->x509, i));
        return g_bytes_new(ASN1_STRING_get0_data(content), (gsize) ASN1_STRING_length(content));
}
