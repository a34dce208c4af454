/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "crypto/certificate.h"

#include "crypto/der.h"
#include "crypto/openssl-error.h"
#include "util/error.h"

#include <openssl/err.h>
#include <openssl/x509_vfy.h>
#include <openssl/x509v3.h>
#include <time.h>

/* A certificate has a dozen; each is compared with each. */
#define EXTENSIONS_MAX 64
/* X.520, ub-common-name */
#define CN_MAX 64
/* 112 bits: RSA of 2048, and no SHA-1 below the root. */
#define SECURITY_LEVEL 2

/* The chain's certificates belong to the caller's array: the stack only borrows them. */
typedef STACK_OF(X509) X509Stack;

static void x509_stack_free(X509Stack *stack) {
        sk_X509_free(stack);
}

G_DEFINE_AUTOPTR_CLEANUP_FUNC(ASN1_OBJECT, ASN1_OBJECT_free)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(BIGNUM, BN_free)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(X509_STORE, X509_STORE_free)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(X509_STORE_CTX, X509_STORE_CTX_free)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(X509Stack, x509_stack_free)

struct AttCertificate {
        gatomicrefcount refs;
        X509 *x509;
        GBytes *der;
        GBytes *spki; /* a slice of @der */
};

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

AttCertificate *att_certificate_from_der(const void *der, size_t size, GError **error) {
        g_autoptr(AttCertificate) certificate = g_new0(AttCertificate, 1);
        const unsigned char *p = der;

        g_atomic_ref_count_init(&certificate->refs);
        if (size == 0 || size > ATT_CERTIFICATE_SIZE_MAX) {
                att_error_set(error, ATT_ERROR_BAD_DATA, "a certificate of %zu bytes", size);
                return NULL;
        }

        certificate->der = g_bytes_new(der, size);
        certificate->x509 = d2i_X509(NULL, &p, (long) size);
        if (certificate->x509)
                certificate->spki = slice_spki(certificate->der);
        if (!certificate->spki || !is_der_of(certificate) || !extensions_differ(certificate->x509)) {
                ERR_clear_error();
                att_error_set(error, ATT_ERROR_BAD_DATA, "not one certificate in DER");
                return NULL;
        }
        return g_steal_pointer(&certificate);
}

GBytes *att_certificate_dup_der(const AttCertificate *certificate) {
        return g_bytes_ref(certificate->der);
}

GBytes *att_certificate_dup_spki(const AttCertificate *certificate) {
        return g_bytes_ref(certificate->spki);
}

AttKey *att_certificate_dup_key(const AttCertificate *certificate, GError **error) {
        return att_key_from_spki(certificate->spki, error);
}

/* The common name, if there is exactly one and it is printable: it goes into
 * messages and is compared, so a line feed or a NUL in it must not get that far. */
static char *dup_cn(const X509_NAME *name) {
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
        return dup_cn(X509_get_subject_name(certificate->x509));
}

char *att_certificate_dup_issuer_cn(const AttCertificate *certificate) {
        return dup_cn(X509_get_issuer_name(certificate->x509));
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

static gboolean refuse(const X509 *x509, const char *reason, GError **error) {
        g_autofree char *cn = x509 ? dup_cn(X509_get_subject_name(x509)) : g_strdup("");

        ERR_clear_error();
        return att_error_set(error, ATT_ERROR_REFUSED, "certificate \"%s\": %s", cn, reason);
}

static gboolean refuse_as_openssl(X509_STORE_CTX *ctx, GError **error) {
        int reason = X509_STORE_CTX_get_error(ctx);

        return refuse(X509_STORE_CTX_get_current_cert(ctx),
                      reason == X509_V_OK ? "cannot be verified" : X509_verify_cert_error_string(reason), error);
}

static gboolean check_size(GPtrArray *chain, GError **error) {
        if (chain->len == 0 || chain->len > ATT_CHAIN_MAX)
                return att_error_set(error, ATT_ERROR_REFUSED, "a chain of %u certificates; it may have 1 to %u",
                                     chain->len, ATT_CHAIN_MAX);
        return TRUE;
}

/* @chain[from, to) */
static X509Stack *borrow(GPtrArray *chain, guint from, guint to) {
        g_autoptr(X509Stack) stack = sk_X509_new_null();

        for (guint i = from; stack && i < to; i++) {
                const AttCertificate *certificate = g_ptr_array_index(chain, i);

                if (sk_X509_push(stack, certificate->x509) <= 0)
                        return NULL;
        }
        return g_steal_pointer(&stack);
}

static X509_STORE_CTX *begin(X509_STORE *store, GPtrArray *chain, X509Stack *helpers, int64_t at) {
        const AttCertificate *leaf = g_ptr_array_index(chain, 0);
        g_autoptr(X509_STORE_CTX) ctx = X509_STORE_CTX_new();
        X509_VERIFY_PARAM *param;

        if (!ctx || !helpers || X509_STORE_CTX_init(ctx, store, leaf->x509, helpers) != 1)
                return NULL;

        param = X509_STORE_CTX_get0_param(ctx);
        X509_VERIFY_PARAM_set_time(param, (time_t) at);
        X509_VERIFY_PARAM_set_auth_level(param, SECURITY_LEVEL);
        X509_VERIFY_PARAM_set_depth(param, (int) ATT_CHAIN_MAX);
        return g_steal_pointer(&ctx);
}

static bool is_pinned(const AttCertificate *root, GPtrArray *roots_spki) {
        AttPart spki = { .data = g_bytes_get_data(root->spki, NULL), .size = g_bytes_get_size(root->spki) };
        uint8_t digest[ATT_SHA256_SIZE];

        att_sha256(&spki, 1, digest);
        for (guint i = 0; i < roots_spki->len; i++) {
                GBytes *pin = g_ptr_array_index(roots_spki, i);

                if (g_bytes_get_size(pin) == sizeof digest &&
                    att_equal(g_bytes_get_data(pin, NULL), digest, sizeof digest))
                        return true;
        }
        return false;
}

/* OpenSSL also takes for a CA what only does not say that it is none. */
static bool is_ca(const AttCertificate *certificate) {
        uint32_t flags = X509_get_extension_flags(certificate->x509);

        return flags & EXFLAG_BCONS && flags & EXFLAG_CA && flags & EXFLAG_KUSAGE &&
               X509_get_key_usage(certificate->x509) & KU_KEY_CERT_SIGN;
}

gboolean att_chain_verify(GPtrArray *chain, GPtrArray *roots_spki, int64_t at, GError **error) {
        g_autoptr(X509_STORE) store = X509_STORE_new();
        g_autoptr(X509_STORE_CTX) ctx = NULL;
        g_autoptr(X509Stack) helpers = NULL;
        const AttCertificate *root;
        X509Stack *built;
        guint last;

        if (!check_size(chain, error))
                return FALSE;
        last = chain->len - 1;
        root = g_ptr_array_index(chain, last);
        if (!is_pinned(root, roots_spki))
                return refuse(root->x509, "not a root that is pinned", error);
        for (guint i = 1; i < chain->len; i++) {
                const AttCertificate *ca = g_ptr_array_index(chain, i);

                if (!is_ca(ca))
                        return refuse(ca->x509, "not a CA that may sign certificates", error);
        }
        if (X509_self_signed(root->x509, 1) != 1)
                return refuse(root->x509, "not signed by itself", error);

        helpers = borrow(chain, 1, MAX(last, 1));
        if (!store || X509_STORE_add_cert(store, root->x509) != 1)
                return att_openssl_error(error, "cannot verify a chain");
        ctx = begin(store, chain, helpers, at);
        if (!ctx)
                return att_openssl_error(error, "cannot verify a chain");
        X509_VERIFY_PARAM_set_purpose(X509_STORE_CTX_get0_param(ctx), X509_PURPOSE_ANY);
        if (X509_verify_cert(ctx) != 1)
                return refuse_as_openssl(ctx, error);

        /* OpenSSL looks for a path; the chain has to be the path. */
        built = X509_STORE_CTX_get0_chain(ctx);
        for (guint i = 0; i < chain->len; i++) {
                const AttCertificate *given = g_ptr_array_index(chain, i);

                if ((int) i >= sk_X509_num(built) || X509_cmp(sk_X509_value(built, (int) i), given->x509) != 0)
                        return refuse(given->x509, "not the issuer of the certificate before it", error);
        }
        return TRUE;
}

/* OpenSSL takes an empty name for "any", and a name with a dot in front for any
 * name below it. */
static bool is_host_name(const char *name) {
        size_t size = strlen(name);

        if (size == 0 || size > 253 || name[0] == '.')
                return false;
        for (size_t i = 0; i < size; i++)
                if (!g_ascii_isalnum(name[i]) && name[i] != '-' && name[i] != '_' && name[i] != '.')
                        return false;
        return strstr(name, "..") == NULL;
}

bool att_is_peer_name(const char *name) {
        return g_hostname_is_ip_address(name) || is_host_name(name);
}

gboolean att_chain_verify_name(GPtrArray *chain, GPtrArray *anchors, const char *name, bool server, int64_t at,
                               GError **error) {
        g_autoptr(X509_STORE) store = X509_STORE_new();
        g_autoptr(X509_STORE_CTX) ctx = NULL;
        g_autoptr(X509Stack) helpers = NULL;
        X509_VERIFY_PARAM *param;

        if (!check_size(chain, error))
                return FALSE;
        if (anchors->len == 0)
                return att_error_set(error, ATT_ERROR_REFUSED, "no certificate is trusted");

        for (guint i = 0; i < anchors->len; i++) {
                const AttCertificate *anchor = g_ptr_array_index(anchors, i);

                if (!store || X509_STORE_add_cert(store, anchor->x509) != 1)
                        return att_openssl_error(error, "cannot verify a chain");
        }

        helpers = borrow(chain, 1, chain->len);
        ctx = begin(store, chain, helpers, at);
        if (!ctx || X509_STORE_CTX_set_default(ctx, server ? "ssl_server" : "ssl_client") != 1)
                return att_openssl_error(error, "cannot verify a chain");

        /* An anchor is trusted as it stands, be it a root or not. */
        param = X509_STORE_CTX_get0_param(ctx);
        X509_VERIFY_PARAM_set_flags(param, X509_V_FLAG_PARTIAL_CHAIN);
        X509_VERIFY_PARAM_set_hostflags(param,
                                        X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS | X509_CHECK_FLAG_NEVER_CHECK_SUBJECT);
        if (X509_VERIFY_PARAM_set1_ip_asc(param, name) != 1) {
                ERR_clear_error();
                if (!is_host_name(name) || X509_VERIFY_PARAM_set1_host(param, name, 0) != 1)
                        return att_error_set(error, ATT_ERROR_REFUSED,
                                             "the name of the peer is no host name or address");
        }

        if (X509_verify_cert(ctx) != 1)
                return refuse_as_openssl(ctx, error);
        return TRUE;
}
