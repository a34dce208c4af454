/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Apart from certificate.c: who gives evidence reads certificates and judges nobody's. */
#include "crypto/openssl-error.h"
#include "crypto/x509.h"
#include "util/error.h"

#include <openssl/err.h>
#include <openssl/x509_vfy.h>
#include <openssl/x509v3.h>
#include <time.h>

/* 112 bits: RSA of 2048, and no SHA-1 below the root. */
#define SECURITY_LEVEL 2

/* The chain's certificates belong to the caller's array: the stack only borrows them. */
typedef STACK_OF(X509) X509Stack;

static void x509_stack_free(X509Stack *stack) {
        sk_X509_free(stack);
}

G_DEFINE_AUTOPTR_CLEANUP_FUNC(X509_STORE, X509_STORE_free)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(X509_STORE_CTX, X509_STORE_CTX_free)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(X509Stack, x509_stack_free)

static gboolean refuse(const X509 *x509, const char *reason, GError **error) {
        g_autofree char *cn = x509 ? att_x509_dup_cn(X509_get_subject_name(x509)) : g_strdup("");

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
