/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "codec/tls-handshake.h"
#include "ea/authenticator.h"
#include "ea/used-contexts.h"
#include "exporter.h"
#include "pki.h"
#include "run.h"
#include "util/error.h"

#include <errno.h>
#include <malloc.h>
#include <sys/random.h>

#define CODE_POINT 0xff00

static bool kernel_has_no_random_bytes;

ssize_t __real_getrandom(void *p, size_t size, unsigned flags);
ssize_t __wrap_getrandom(void *p, size_t size, unsigned flags);

ssize_t __wrap_getrandom(void *p, size_t size, unsigned flags) {
        if (kernel_has_no_random_bytes) {
                errno = ENOSYS;
                return -1;
        }
        return __real_getrandom(p, size, flags);
}

static const struct {
        const char *type;
        uint16_t scheme;
} schemes[] = {
        { "ED25519", ATT_SCHEME_ED25519 },
        { "P-256", ATT_SCHEME_ECDSA_SECP256R1_SHA256 },
        { "P-384", ATT_SCHEME_ECDSA_SECP384R1_SHA384 },
        { "RSA-2048", ATT_SCHEME_RSA_PSS_RSAE_SHA256 },
};

/* One request and all that it takes to answer it. */
typedef struct Exchange {
        AttRole sender; /* of the authenticator */
        AttEaKeys keys;
        EVP_PKEY *key, *ca_key;
        X509 *leaf, *ca;
        GPtrArray *certificates; /* of GBytes: leaf, CA */
        GBytes *cmw, *request, *context;
        AttEaRequest read;
} Exchange;

static void set_secret(AttEaKeys *keys, AttHash hash, AttRole sender, uint8_t fill) {
        uint8_t secret[ATT_HASH_SIZE_MAX];

        memset(secret, fill, sizeof secret);
        ea_keys_of(hash, secret, sender, keys);
}

static Exchange *exchange_new(AttRole sender, AttHash hash, const char *key_type) {
        Exchange *x = g_new0(Exchange, 1);

        x->sender = sender;
        set_secret(&x->keys, hash, sender, 0x11);
        x->key = pki_key(key_type);
        x->ca_key = pki_key("P-256");
        x->ca = pki_issue(&(PkiSpec) { .cn = "CA", .extensions = { PKI_CA } }, x->ca_key, NULL, NULL);
        x->leaf = pki_issue(&(PkiSpec) { .cn = "leaf", .extensions = { PKI_LEAF } }, x->key, x->ca, x->ca_key);
        x->certificates = g_ptr_array_new_with_free_func((GDestroyNotify) g_bytes_unref);
        g_ptr_array_add(x->certificates, pki_der(x->leaf));
        g_ptr_array_add(x->certificates, pki_der(x->ca));
        x->cmw = g_bytes_new("\x83\x19\xfd\xe7\x44\xde\xad\xbe\xef\x04", 10);
        x->request = att_ea_request_new(att_role_other(sender), CODE_POINT, &x->context, NULL);
        ck_assert_ptr_nonnull(x->request);
        ck_assert(att_ea_request_read(x->request, att_role_other(sender), CODE_POINT, &x->read, NULL));
        return x;
}

static void exchange_free(Exchange *x) {
        EVP_PKEY_free(x->key);
        EVP_PKEY_free(x->ca_key);
        X509_free(x->leaf);
        X509_free(x->ca);
        g_ptr_array_unref(x->certificates);
        g_bytes_unref(x->cmw);
        g_bytes_unref(x->request);
        g_bytes_unref(x->context);
        att_ea_request_clear(&x->read);
        att_ea_keys_clear(&x->keys);
        g_free(x);
}

G_DEFINE_AUTOPTR_CLEANUP_FUNC(Exchange, exchange_free)

/* As an honest responder. */
static GBytes *answer(Exchange *x) {
        g_autoptr(GError) error = NULL;
        g_autoptr(AttEaDraft) draft =
                att_ea_draft_new(&x->keys, &x->read, x->certificates, CODE_POINT, x->cmw, &error);
        g_autoptr(GBytes) tbs = NULL, signature = NULL;
        GBytes *authenticator;

        ck_assert_msg(draft != NULL, "%s", error ? error->message : "");
        tbs = att_ea_draft_to_be_signed(draft);
        signature = pki_sign(x->key, att_ea_draft_scheme(draft), g_bytes_get_data(tbs, NULL), g_bytes_get_size(tbs));
        authenticator = att_ea_draft_finish(draft, signature, &error);
        ck_assert_msg(authenticator != NULL, "%s", error ? error->message : "");
        return authenticator;
}

/* A responder that need not keep to the RFC: each field says where it departs. */
typedef struct Forgery {
        const AttEaKeys *keys;
        GBytes *request;  /* as it goes into the transcript */
        GBytes *context;  /* of Certificate */
        struct {
                GBytes *der;
                GBytes *extensions; /* the list's content; NULL for none */
        } entries[ATT_TLS_CERTIFICATES_MAX + 2]; /* one too many, and the end */
        uint16_t scheme;
        EVP_PKEY *signer;
        const char *context_string;
        bool finished_unhashed;
        bool is_spoiled_signature, is_spoiled_finished;
        const char *tail;
} Forgery;

static Forgery as_answer(const Exchange *x) {
        Forgery f = {
                .keys = &x->keys,
                .request = x->request,
                .context = x->context,
                .scheme = ATT_SCHEME_ED25519,
                .signer = x->key,
                .context_string = "Exported Authenticator",
                .tail = "",
        };

        for (guint i = 0; i < x->certificates->len; i++)
                f.entries[i].der = g_ptr_array_index(x->certificates, i);
        return f;
}

static AttPart part(GBytes *bytes) {
        return (AttPart) { g_bytes_get_data(bytes, NULL), g_bytes_get_size(bytes) };
}

static void put_vector(GByteArray *out, size_t length_size, GBytes *content) {
        att_put_be(out, content ? g_bytes_get_size(content) : 0, length_size);
        if (content)
                att_put_bytes(out, content);
}

static GBytes *forge(const Forgery *f) {
        g_autoptr(GByteArray) list = g_byte_array_new(), tbs = g_byte_array_new(), all = g_byte_array_new();
        g_autoptr(GBytes) signature = NULL, verify = NULL;
        size_t n = att_hash_size(f->keys->hash);
        uint8_t digest[ATT_HASH_SIZE_MAX], mac[ATT_HASH_SIZE_MAX];
        AttPart parts[4] = { { f->keys->handshake_context, n }, part(f->request) };
        guint size;

        for (size_t i = 0; f->entries[i].der; i++) {
                put_vector(list, 3, f->entries[i].der);
                put_vector(list, 2, f->entries[i].extensions);
        }
        att_put_be(all, ATT_TLS_CERTIFICATE, 1);
        att_put_be(all, 1 + g_bytes_get_size(f->context) + 3 + list->len, 3);
        put_vector(all, 1, f->context);
        att_put_be(all, list->len, 3);
        att_put(all, list->data, list->len);
        parts[2] = (AttPart) { all->data, all->len };
        att_hash_parts(f->keys->hash, parts, 3, digest);

        for (int i = 0; i < 64; i++)
                att_put_be(tbs, 0x20, 1);
        att_put(tbs, f->context_string, strlen(f->context_string) + 1);
        att_put(tbs, digest, n);
        if (f->is_spoiled_signature)
                tbs->data[0] ^= 1;
        signature = pki_sign(f->signer, f->scheme, tbs->data, tbs->len);
        verify = att_tls_certificate_verify_build(f->scheme, signature);
        parts[3] = part(verify);

        if (f->finished_unhashed) {
                g_autoptr(GByteArray) raw = g_byte_array_new();

                for (size_t i = 0; i < 4; i++)
                        att_put(raw, parts[i].data, parts[i].size);
                att_hmac(f->keys->hash, f->keys->finished_key, n, raw->data, raw->len, mac);
        } else {
                att_hash_parts(f->keys->hash, parts, 4, digest);
                att_hmac(f->keys->hash, f->keys->finished_key, n, digest, n, mac);
        }
        if (f->is_spoiled_finished)
                mac[n - 1] ^= 1;

        att_put_bytes(all, verify);
        att_put_be(all, ATT_TLS_FINISHED, 1);
        att_put_be(all, n, 3);
        att_put(all, mac, n);
        size = (guint) strlen(f->tail);
        att_put(all, f->tail, size);
        return g_byte_array_free_to_bytes(g_steal_pointer(&all));
}

/* One extension of an entry, or of a request, with its header. */
static GBytes *extension(unsigned type, const char *data, size_t size) {
        GByteArray *out = g_byte_array_new();

        att_put_be(out, type, 2);
        att_put_be(out, size, 2);
        att_put(out, data, size);
        return g_byte_array_free_to_bytes(out);
}

static GBytes *evidence(GBytes *cmw) {
        GByteArray *out = g_byte_array_new();

        att_put_be(out, CODE_POINT, 2);
        att_put_be(out, 2 + g_bytes_get_size(cmw), 2);
        put_vector(out, 2, cmw);
        return g_byte_array_free_to_bytes(out);
}

static void assert_valid(const AttEaKeys *keys, GBytes *request, GBytes *authenticator) {
        g_auto(AttEaIdentity) identity = { 0 };
        g_autoptr(GError) error = NULL;

        ck_assert_msg(att_ea_validate(keys, request, CODE_POINT, authenticator, &identity, &error), "%s",
                      error ? error->message : "");
}

static void assert_refused_at(const AttEaKeys *keys, GBytes *request, GBytes *authenticator, uint16_t code_point,
                              int code, const char *why) {
        g_autofree void *exact = g_memdup2(g_bytes_get_data(authenticator, NULL), g_bytes_get_size(authenticator));
        g_autoptr(GBytes) bytes = g_bytes_new_static(exact, g_bytes_get_size(authenticator));
        AttEaIdentity identity = { .scheme = 7 };
        g_autoptr(GError) error = NULL;

        ck_assert(!att_ea_validate(keys, request, code_point, bytes, &identity, &error));
        ck_assert_msg(g_error_matches(error, ATT_ERROR, code), "%s", error->message);
        ck_assert_msg(g_str_has_prefix(error->message, why), "\"%s\" does not begin with %s", error->message, why);
        ck_assert_uint_eq(identity.scheme, 7);
        ck_assert(!identity.certificates && !identity.spki && !identity.cmw);
}

static void assert_refused(const AttEaKeys *keys, GBytes *request, GBytes *authenticator, int code, const char *why) {
        assert_refused_at(keys, request, authenticator, CODE_POINT, code, why);
}

static void assert_forgery(const Exchange *x, const Forgery *f, int code, const char *why) {
        const Forgery honest = as_answer(x);
        g_autoptr(GBytes) good = forge(&honest), bad = forge(f);

        assert_valid(&x->keys, x->request, good);
        assert_refused(&x->keys, x->request, bad, code, why);
}

/* Good ones */

START_TEST(what_one_side_makes_the_other_validates) {
        AttRole sender = _i & 1 ? ATT_ROLE_SERVER : ATT_ROLE_CLIENT;
        AttHash hash = _i & 2 ? ATT_HASH_SHA384 : ATT_HASH_SHA256;
        size_t scheme = (size_t) _i >> 2;
        g_autoptr(Exchange) x = exchange_new(sender, hash, schemes[scheme].type);
        g_autoptr(GBytes) with = answer(x), without = NULL, spki = pki_spki(x->key);

        for (int i = 0; i < 2; i++) {
                g_auto(AttEaIdentity) identity = { 0 };
                g_autoptr(GBytes) der = NULL;

                if (i == 1) {
                        g_clear_pointer(&x->cmw, g_bytes_unref);
                        without = answer(x);
                        x->cmw = g_bytes_new(NULL, 0);
                }
                ck_assert(att_ea_validate(&x->keys, x->request, CODE_POINT, i ? without : with, &identity, NULL));
                ck_assert_uint_eq(identity.scheme, schemes[scheme].scheme);
                ck_assert(g_bytes_equal(identity.spki, spki));
                ck_assert_uint_eq(identity.certificates->len, 2);
                der = att_certificate_dup_der(g_ptr_array_index(identity.certificates, 1));
                ck_assert(g_bytes_equal(der, g_ptr_array_index(x->certificates, 1)));
                if (i == 0)
                        ck_assert(g_bytes_equal(identity.cmw, x->cmw));
                else
                        ck_assert_ptr_null(identity.cmw);
        }
}
END_TEST

START_TEST(honest_forgery_is_what_the_library_makes) {
        g_autoptr(Exchange) x = exchange_new(ATT_ROLE_SERVER, ATT_HASH_SHA256, "ED25519");
        g_autoptr(GBytes) e = evidence(x->cmw), made = answer(x), forged = NULL;
        Forgery f = as_answer(x);

        f.entries[0].extensions = e;
        forged = forge(&f);
        ck_assert(g_bytes_equal(made, forged));
}
END_TEST

START_TEST(code_point_is_configuration) {
        g_autoptr(Exchange) x = exchange_new(ATT_ROLE_SERVER, ATT_HASH_SHA256, "ED25519");
        g_autoptr(GBytes) context = NULL, request = att_ea_request_new(ATT_ROLE_CLIENT, 0xffff, &context, NULL);
        g_autoptr(GBytes) e = extension(0xffff, "\x00\x01\xaa", 3), authenticator = NULL;
        g_auto(AttEaRequest) read = { 0 }, other = { 0 };
        g_auto(AttEaIdentity) identity = { 0 };
        Forgery f = as_answer(x);

        ck_assert(att_ea_request_read(request, ATT_ROLE_CLIENT, 0xffff, &read, NULL));
        ck_assert(read.asks_for_cmw);
        ck_assert(att_ea_request_read(request, ATT_ROLE_CLIENT, CODE_POINT, &other, NULL));
        ck_assert(!other.asks_for_cmw);

        f.request = request;
        f.context = context;
        f.entries[0].extensions = e;
        authenticator = forge(&f);
        ck_assert(att_ea_validate(&x->keys, request, 0xffff, authenticator, &identity, NULL));
        ck_assert_uint_eq(g_bytes_get_size(identity.cmw), 1);
}
END_TEST

START_TEST(request_offers_all_schemes_and_a_random_context) {
        for (int i = 0; i < 4; i++) {
                AttRole requester = i & 1 ? ATT_ROLE_SERVER : ATT_ROLE_CLIENT;
                uint16_t code_point = i & 2 ? CODE_POINT : 0;
                g_autoptr(GBytes) context = NULL, request = att_ea_request_new(requester, code_point, &context, NULL);
                g_auto(AttEaRequest) read = { 0 };

                ck_assert(att_ea_request_read(request, requester, CODE_POINT, &read, NULL));
                ck_assert_uint_eq(*(const uint8_t *) g_bytes_get_data(request, NULL), i & 1 ? 13 : 17);
                ck_assert_int_eq(read.asks_for_cmw, code_point != 0);
                ck_assert(g_bytes_equal(read.context, context));
                ck_assert_uint_eq(read.n_schemes, att_n_schemes);
                ck_assert_mem_eq(read.schemes, att_schemes, att_n_schemes * sizeof *att_schemes);
        }
}
END_TEST

/* Requests that are not */

/* A request of @type with this list of extensions. */
static GBytes *request_with(uint8_t type, GBytes *extensions) {
        GByteArray *out = g_byte_array_new();

        att_put_be(out, type, 1);
        att_put_be(out, 1 + 32 + 2 + g_bytes_get_size(extensions), 3);
        att_put_be(out, 32, 1);
        for (int i = 0; i < 32; i++)
                att_put_be(out, 0x5a, 1);
        put_vector(out, 2, extensions);
        return g_byte_array_free_to_bytes(out);
}

static void assert_no_request(GBytes *request, AttRole requester, int code, const char *why) {
        g_autofree void *exact = g_memdup2(g_bytes_get_data(request, NULL), g_bytes_get_size(request));
        g_autoptr(GBytes) bytes = g_bytes_new_static(exact, g_bytes_get_size(request));
        AttEaRequest read = { .n_schemes = 77 };
        g_autoptr(GError) error = NULL;

        ck_assert(!att_ea_request_read(bytes, requester, CODE_POINT, &read, &error));
        ck_assert(g_error_matches(error, ATT_ERROR, code));
        ck_assert_msg(g_str_has_prefix(error->message, why), "\"%s\" does not begin with %s", error->message, why);
        ck_assert_uint_eq(read.n_schemes, 77);
        ck_assert_ptr_null(read.bytes);
}

START_TEST(refuses_a_request_that_the_role_does_not_send) {
        g_autoptr(Exchange) of_client = exchange_new(ATT_ROLE_SERVER, ATT_HASH_SHA256, "ED25519");
        g_autoptr(Exchange) of_server = exchange_new(ATT_ROLE_CLIENT, ATT_HASH_SHA256, "ED25519");

        assert_no_request(of_client->request, ATT_ROLE_SERVER, ATT_ERROR_BAD_DATA, "unsupported-type: ");
        assert_no_request(of_server->request, ATT_ROLE_CLIENT, ATT_ERROR_BAD_DATA, "unsupported-type: ");
}
END_TEST

START_TEST(refuses_every_prefix_of_a_request_and_bytes_after_it) {
        g_autoptr(Exchange) x = exchange_new(ATT_ROLE_SERVER, ATT_HASH_SHA256, "ED25519");
        gsize size = g_bytes_get_size(x->request);
        g_autofree uint8_t *longer = g_malloc0(size + 1);

        memcpy(longer, g_bytes_get_data(x->request, NULL), size);
        for (gsize n = 0; n <= size + 1; n++) {
                g_autoptr(GBytes) bytes = g_bytes_new(longer, n);

                if (n != size)
                        assert_no_request(bytes, ATT_ROLE_CLIENT, ATT_ERROR_BAD_DATA, "malformed-request: ");
        }
}
END_TEST

START_TEST(refuses_an_offer_that_has_data) {
        g_autoptr(GBytes) empty = pki_from_hex("000d000400020807" "ff000000");
        g_autoptr(GBytes) full = pki_from_hex("000d000400020807" "ff000001aa");
        g_autoptr(GBytes) vector = pki_from_hex("000d000400020807" "ff0000020000");
        g_autoptr(GBytes) good = request_with(17, empty), bad = request_with(17, full), bad2 = request_with(17, vector);
        g_auto(AttEaRequest) read = { 0 };

        ck_assert(att_ea_request_read(good, ATT_ROLE_CLIENT, CODE_POINT, &read, NULL));
        ck_assert(read.asks_for_cmw);
        assert_no_request(bad, ATT_ROLE_CLIENT, ATT_ERROR_BAD_DATA, "malformed-request: ");
        assert_no_request(bad2, ATT_ROLE_CLIENT, ATT_ERROR_BAD_DATA, "malformed-request: ");
}
END_TEST

START_TEST(passes_over_extensions_that_it_does_not_know) {
        g_autoptr(GBytes) list = pki_from_hex("abcd0002ffff" "000d000400020807" "003200040002" "0403");
        g_autoptr(GBytes) request = request_with(17, list);
        g_auto(AttEaRequest) read = { 0 };

        ck_assert(att_ea_request_read(request, ATT_ROLE_CLIENT, CODE_POINT, &read, NULL));
        ck_assert(!read.asks_for_cmw);
        ck_assert_uint_eq(read.n_schemes, 1);
}
END_TEST

START_TEST(refuses_a_request_without_signature_algorithms) {
        g_autoptr(GBytes) list = pki_from_hex("ff000000"), request = request_with(17, list);

        assert_no_request(request, ATT_ROLE_CLIENT, ATT_ERROR_BAD_DATA, "malformed-request: ");
}
END_TEST

/* Drafts that are not */

static void assert_no_draft(Exchange *x, GPtrArray *certificates, GBytes *cmw, int code, const char *why) {
        g_autoptr(GError) error = NULL;

        ck_assert_ptr_null(att_ea_draft_new(&x->keys, &x->read, certificates, CODE_POINT, cmw, &error));
        ck_assert_msg(g_error_matches(error, ATT_ERROR, code), "%s", error->message);
        ck_assert_msg(strstr(error->message, why), "\"%s\" does not say %s", error->message, why);
}

START_TEST(refuses_to_answer_with_a_key_that_fits_no_scheme_offered) {
        g_autoptr(Exchange) x = exchange_new(ATT_ROLE_SERVER, ATT_HASH_SHA256, "ED25519");
        g_autoptr(AttEaDraft) good = att_ea_draft_new(&x->keys, &x->read, x->certificates, CODE_POINT, x->cmw, NULL);

        ck_assert_ptr_nonnull(good);
        x->read.schemes[0] = 0x0401;
        x->read.n_schemes = 2;
        x->read.schemes[1] = ATT_SCHEME_ECDSA_SECP256R1_SHA256;
        assert_no_draft(x, x->certificates, x->cmw, ATT_ERROR_REFUSED, "no-common-sigalg: ");
}
END_TEST

START_TEST(refuses_certificates_that_are_none) {
        g_autoptr(Exchange) x = exchange_new(ATT_ROLE_SERVER, ATT_HASH_SHA256, "ED25519");
        g_autoptr(GPtrArray) none = g_ptr_array_new(), bad = g_ptr_array_new(), first = g_ptr_array_new();
        g_autoptr(GPtrArray) many = g_ptr_array_new(), p521 = g_ptr_array_new();
        g_autoptr(GBytes) junk = g_bytes_new("\x30\x00", 2), odd = NULL;
        g_autoptr(EVP_PKEY) key = pki_key("P-521");
        g_autoptr(X509) x509 = pki_issue(&(PkiSpec) { .cn = "odd" }, key, NULL, NULL);

        odd = pki_der(x509);
        g_ptr_array_add(bad, g_ptr_array_index(x->certificates, 0));
        g_ptr_array_add(bad, junk);
        g_ptr_array_add(first, junk);
        g_ptr_array_add(p521, odd);
        for (unsigned i = 0; i <= ATT_TLS_CERTIFICATES_MAX; i++)
                g_ptr_array_add(many, g_ptr_array_index(x->certificates, 0));
        assert_no_draft(x, none, NULL, ATT_ERROR_INVALID_ARGUMENT, "needs a certificate");
        assert_no_draft(x, bad, NULL, ATT_ERROR_INVALID_ARGUMENT, "certificate 1");
        assert_no_draft(x, first, NULL, ATT_ERROR_INVALID_ARGUMENT, "certificate 0");
        assert_no_draft(x, p521, NULL, ATT_ERROR_INVALID_ARGUMENT, "key");
        assert_no_draft(x, many, NULL, ATT_ERROR_TOO_LARGE, "certificates");
}
END_TEST

START_TEST(sc11d_does_not_answer_with_evidence_that_was_not_asked_for) {
        g_autoptr(Exchange) x = exchange_new(ATT_ROLE_SERVER, ATT_HASH_SHA256, "ED25519");
        g_autoptr(GBytes) authenticator = answer(x);

        assert_valid(&x->keys, x->request, authenticator);
        x->read.asks_for_cmw = false;
        assert_no_draft(x, x->certificates, x->cmw, ATT_ERROR_INVALID_ARGUMENT, "extension-not-offered: ");
}
END_TEST

START_TEST(answers_only_for_the_side_that_was_asked) {
        g_autoptr(Exchange) x = exchange_new(ATT_ROLE_SERVER, ATT_HASH_SHA256, "ED25519");
        g_autoptr(GBytes) authenticator = answer(x);
        g_auto(AttEaIdentity) identity = { 0 };
        g_autoptr(GError) error = NULL;

        x->keys.sender = ATT_ROLE_CLIENT;
        assert_no_draft(x, x->certificates, x->cmw, ATT_ERROR_INVALID_ARGUMENT, "does not ask the client");
        ck_assert(!att_ea_validate(&x->keys, x->request, CODE_POINT, authenticator, &identity, &error));
        ck_assert(g_error_matches(error, ATT_ERROR, ATT_ERROR_INVALID_ARGUMENT));
}
END_TEST

START_TEST(refuses_to_finish_with_a_signature_of_another_key_or_of_other_bytes) {
        g_autoptr(Exchange) x = exchange_new(ATT_ROLE_SERVER, ATT_HASH_SHA256, "ED25519");
        g_autoptr(AttEaDraft) draft = att_ea_draft_new(&x->keys, &x->read, x->certificates, CODE_POINT, x->cmw, NULL);
        g_autoptr(EVP_PKEY) other = pki_key("ED25519");
        g_autoptr(GBytes) tbs = att_ea_draft_to_be_signed(draft), none = g_bytes_new(NULL, 0);
        AttPart m = part(tbs);
        g_autoptr(GBytes) by_other = pki_sign(other, ATT_SCHEME_ED25519, m.data, m.size);
        g_autoptr(GBytes) of_less = pki_sign(x->key, ATT_SCHEME_ED25519, m.data, m.size - 1);
        g_autoptr(GBytes) good = pki_sign(x->key, ATT_SCHEME_ED25519, m.data, m.size), authenticator = NULL;
        g_autoptr(GError) error = NULL;

        ck_assert_ptr_null(att_ea_draft_finish(draft, by_other, &error));
        ck_assert(g_error_matches(error, ATT_ERROR, ATT_ERROR_BAD_DATA));
        ck_assert_ptr_null(att_ea_draft_finish(draft, of_less, NULL));
        ck_assert_ptr_null(att_ea_draft_finish(draft, none, NULL));
        authenticator = att_ea_draft_finish(draft, good, NULL);
        assert_valid(&x->keys, x->request, authenticator);
}
END_TEST

START_TEST(a_leaf_that_was_read_before_makes_the_same_authenticator) {
        g_autoptr(Exchange) x = exchange_new(ATT_ROLE_SERVER, ATT_HASH_SHA256, "ED25519");
        AttPart leaf = part(x->certificates->pdata[0]);
        g_autoptr(AttCertificate) certificate = att_certificate_from_der(leaf.data, leaf.size, NULL);
        g_autoptr(AttKey) key = att_certificate_dup_key(certificate, NULL);
        g_autoptr(AttEaDraft) draft =
                att_ea_draft_new_for(&x->keys, &x->read, x->certificates, key, CODE_POINT, x->cmw, NULL);
        g_autoptr(GBytes) tbs = att_ea_draft_to_be_signed(draft), expected = answer(x), authenticator = NULL;
        g_autoptr(GBytes) signature = pki_sign(x->key, ATT_SCHEME_ED25519, part(tbs).data, part(tbs).size);
        g_autoptr(GBytes) none = g_bytes_new(NULL, 0);

        ck_assert_ptr_null(att_ea_draft_finish(draft, none, NULL));
        authenticator = att_ea_draft_finish(draft, signature, NULL);
        ck_assert(g_bytes_equal(authenticator, expected));
}
END_TEST

/* Security cases */

START_TEST(sc01_authenticator_of_another_session_is_refused) {
        g_autoptr(Exchange) x = exchange_new(_i ? ATT_ROLE_SERVER : ATT_ROLE_CLIENT, ATT_HASH_SHA256, "ED25519");
        g_autoptr(GBytes) authenticator = answer(x);
        g_auto(AttEaKeys) other = { 0 }, mixed = { 0 };

        assert_valid(&x->keys, x->request, authenticator);
        set_secret(&other, ATT_HASH_SHA256, x->sender, 0x22);
        assert_refused(&other, x->request, authenticator, ATT_ERROR_REFUSED, "certificate-verify: ");

        /* Either half of what the exporter gives is enough to tell. */
        mixed = x->keys;
        memcpy(mixed.finished_key, other.finished_key, sizeof mixed.finished_key);
        assert_refused(&mixed, x->request, authenticator, ATT_ERROR_REFUSED, "finished: ");
        mixed = x->keys;
        memcpy(mixed.handshake_context, other.handshake_context, sizeof mixed.handshake_context);
        assert_refused(&mixed, x->request, authenticator, ATT_ERROR_REFUSED, "certificate-verify: ");
}
END_TEST

/* The victim's own authenticator comes back as the peer's: the keys of the two
 * directions differ, be the rest what it may. */
static void check_reflection(AttRole victim) {
        g_autoptr(Exchange) own = exchange_new(victim, ATT_HASH_SHA256, "ED25519");
        g_autoptr(Exchange) asked = exchange_new(att_role_other(victim), ATT_HASH_SHA256, "ED25519");
        g_autoptr(GBytes) reflected = answer(own), honest = answer(asked), forged = NULL;
        Forgery f = as_answer(own);

        assert_valid(&asked->keys, asked->request, honest);
        assert_refused(&asked->keys, asked->request, reflected, ATT_ERROR_REFUSED, "context-mismatch: ");

        /* The attacker got the victim to use its very context and request. */
        f.request = asked->request;
        f.context = asked->context;
        forged = forge(&f);
        assert_refused(&asked->keys, asked->request, forged, ATT_ERROR_REFUSED, "certificate-verify: ");
}

START_TEST(sc05a_own_authenticator_comes_back_to_a_client) {
        check_reflection(ATT_ROLE_CLIENT);
}
END_TEST

START_TEST(sc05b_own_authenticator_comes_back_to_a_server) {
        check_reflection(ATT_ROLE_SERVER);
}
END_TEST

START_TEST(sc06c_keys_of_an_exporter_that_failed_are_refused) {
        g_autoptr(Exchange) x = exchange_new(ATT_ROLE_SERVER, ATT_HASH_SHA384, "ED25519");
        g_autoptr(GBytes) authenticator = answer(x);
        g_auto(AttEaIdentity) identity = { 0 };
        size_t n = att_hash_size(x->keys.hash);

        assert_valid(&x->keys, x->request, authenticator);
        for (int i = 0; i < 2; i++) {
                g_autoptr(Exchange) y = exchange_new(ATT_ROLE_SERVER, ATT_HASH_SHA384, "ED25519");
                const Forgery f = as_answer(y);
                g_autoptr(GBytes) forged = NULL;
                g_autoptr(GError) error = NULL;

                memset(i ? y->keys.finished_key : y->keys.handshake_context, 0, n);
                forged = forge(&f);
                ck_assert(!att_ea_validate(&y->keys, y->request, CODE_POINT, forged, &identity, &error));
                ck_assert(g_error_matches(error, ATT_ERROR, ATT_ERROR_INVALID_ARGUMENT));
                assert_no_draft(y, y->certificates, y->cmw, ATT_ERROR_INVALID_ARGUMENT, "all zero");
        }
}
END_TEST

START_TEST(sc11d_extension_that_was_not_offered_is_refused) {
        g_autoptr(Exchange) x = exchange_new(ATT_ROLE_SERVER, ATT_HASH_SHA256, "ED25519");
        g_autoptr(GBytes) context = NULL, plain = att_ea_request_new(ATT_ROLE_CLIENT, 0, &context, NULL);
        g_autoptr(GBytes) e = evidence(x->cmw), good = answer(x), bad = NULL;
        /* status_request, signed_certificate_timestamp, signature_algorithms(_cert), one of nobody's */
        const unsigned others[] = { 5, 18, 13, 50, 0, 0xff01 };
        Forgery f = as_answer(x);

        assert_valid(&x->keys, x->request, good);
        f.request = plain;
        f.context = context;
        f.entries[0].extensions = e;
        bad = forge(&f);
        assert_refused(&x->keys, plain, bad, ATT_ERROR_REFUSED, "extension-not-offered: ");
        assert_refused_at(&x->keys, plain, bad, 0, ATT_ERROR_REFUSED, "extension-not-offered: ");

        for (size_t i = 0; i < G_N_ELEMENTS(others); i++)
                for (size_t entry = 0; entry < 2; entry++) {
                        g_autoptr(GBytes) other = extension(others[i], "\0\0", 2);

                        f = as_answer(x);
                        f.entries[entry].extensions = other;
                        assert_forgery(x, &f, ATT_ERROR_REFUSED, "extension-not-offered: ");
                }
}
END_TEST

START_TEST(extension_that_only_asks_is_no_answer) {
        g_autoptr(Exchange) x = exchange_new(ATT_ROLE_SERVER, ATT_HASH_SHA256, "ED25519");
        g_autoptr(GBytes) list = pki_from_hex("000d000400020807" "00000000" "003200040002" "0807" "00050000");
        g_autoptr(GBytes) request = request_with(17, list);
        const unsigned types[] = { 5, 0, 13, 50 };
        g_auto(AttEaRequest) read = { 0 };

        ck_assert(att_ea_request_read(request, ATT_ROLE_CLIENT, CODE_POINT, &read, NULL));
        for (size_t i = 0; i < G_N_ELEMENTS(types); i++) {
                g_autoptr(GBytes) e = extension(types[i], "\0\2\x8\7", 4), authenticator = NULL;
                Forgery f = as_answer(x);

                f.request = request;
                f.context = read.context;
                f.entries[0].extensions = e;
                authenticator = forge(&f);
                if (types[i] == 5)
                        assert_valid(&x->keys, request, authenticator);
                else
                        assert_refused(&x->keys, request, authenticator, ATT_ERROR_REFUSED, "extension-not-offered: ");
        }
}
END_TEST

START_TEST(answer_to_another_extension_that_was_offered_is_no_matter) {
        g_autoptr(Exchange) x = exchange_new(ATT_ROLE_SERVER, ATT_HASH_SHA256, "ED25519");
        g_autoptr(GBytes) list = pki_from_hex("000d000400020807" "00050000"), request = request_with(17, list);
        g_autoptr(GBytes) e = extension(5, "\1\0\0\1x", 5), authenticator = NULL;
        g_auto(AttEaIdentity) identity = { 0 };
        g_auto(AttEaRequest) read = { 0 };
        Forgery f = as_answer(x);

        ck_assert(att_ea_request_read(request, ATT_ROLE_CLIENT, CODE_POINT, &read, NULL));
        f.request = request;
        f.context = read.context;
        f.entries[0].extensions = f.entries[1].extensions = e;
        authenticator = forge(&f);
        ck_assert(att_ea_validate(&x->keys, request, CODE_POINT, authenticator, &identity, NULL));
        ck_assert_ptr_null(identity.cmw);
}
END_TEST

START_TEST(sc11e_evidence_in_a_second_entry_is_refused) {
        g_autoptr(Exchange) x = exchange_new(ATT_ROLE_SERVER, ATT_HASH_SHA256, "ED25519");
        g_autoptr(GBytes) e = evidence(x->cmw), good = NULL;
        Forgery f = as_answer(x);

        f.entries[0].extensions = e;
        good = forge(&f);
        assert_valid(&x->keys, x->request, good);
        f.entries[1].extensions = e;
        assert_forgery(x, &f, ATT_ERROR_REFUSED, "extension-wrong-entry: ");
        f.entries[0].extensions = NULL;
        assert_forgery(x, &f, ATT_ERROR_REFUSED, "extension-wrong-entry: ");
}
END_TEST

START_TEST(sc11e_evidence_twice_in_an_entry_is_refused) {
        g_autoptr(Exchange) x = exchange_new(ATT_ROLE_SERVER, ATT_HASH_SHA256, "ED25519");
        g_autoptr(GBytes) e = evidence(x->cmw), twice = NULL;
        g_autoptr(GByteArray) both = g_byte_array_new();
        Forgery f = as_answer(x);

        att_put_bytes(both, e);
        att_put_bytes(both, e);
        twice = g_byte_array_free_to_bytes(g_steal_pointer(&both));
        f.entries[0].extensions = twice;
        assert_forgery(x, &f, ATT_ERROR_BAD_DATA, "");
}
END_TEST

START_TEST(refuses_evidence_that_does_not_fill_its_extension) {
        const struct {
                const char *data;
                size_t size;
        } cases[] = { { "", 0 }, { "\0\0", 2 }, { "\0\2\xaa", 3 }, { "\0\1\xaa\xbb", 4 }, { "\0", 1 } };
        g_autoptr(Exchange) x = exchange_new(ATT_ROLE_SERVER, ATT_HASH_SHA256, "ED25519");

        for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
                g_autoptr(GBytes) e = extension(CODE_POINT, cases[i].data, cases[i].size);
                Forgery f = as_answer(x);

                f.entries[0].extensions = e;
                assert_forgery(x, &f, ATT_ERROR_BAD_DATA, "");
        }
}
END_TEST

START_TEST(sc11f_context_is_used_once_on_a_connection) {
        g_autoptr(AttEaContexts) contexts = att_ea_contexts_new();
        g_autoptr(AttEaContexts) elsewhere = att_ea_contexts_new();
        g_autoptr(Exchange) sent = exchange_new(ATT_ROLE_SERVER, ATT_HASH_SHA256, "ED25519");
        g_autoptr(Exchange) received = exchange_new(ATT_ROLE_CLIENT, ATT_HASH_SHA256, "ED25519");
        AttPart a = part(sent->context), b = part(received->read.context);
        g_autoptr(GError) error = NULL;

        ck_assert(att_ea_contexts_add(contexts, a.data, a.size, NULL));
        ck_assert(att_ea_contexts_add(contexts, b.data, b.size, NULL));
        /* In either direction: the set does not know one. */
        ck_assert(!att_ea_contexts_add(contexts, a.data, a.size, &error));
        ck_assert(g_error_matches(error, ATT_ERROR, ATT_ERROR_CONTEXT_USED));
        ck_assert(g_str_has_prefix(error->message, "context-reused: "));
        ck_assert(!att_ea_contexts_add(contexts, b.data, b.size, NULL));
        ck_assert(att_ea_contexts_add(elsewhere, a.data, a.size, NULL));

        /* A part of one is another one. */
        ck_assert(att_ea_contexts_add(contexts, a.data, a.size - 1, NULL));
        ck_assert(att_ea_contexts_add(contexts, "", 0, NULL));
        ck_assert(!att_ea_contexts_add(contexts, NULL, 0, NULL));
}
END_TEST

START_TEST(sc34b_contexts_have_a_limit) {
        g_autoptr(AttEaContexts) contexts = att_ea_contexts_new();
        uint8_t longest[ATT_CONTEXT_SIZE_MAX + 1] = { 0 };
        uint32_t i;
        g_autoptr(GError) error = NULL, full = NULL, used = NULL;

        ck_assert(!att_ea_contexts_add(contexts, longest, sizeof longest, &error));
        ck_assert(g_error_matches(error, ATT_ERROR, ATT_ERROR_INVALID_ARGUMENT));
        ck_assert(att_ea_contexts_add(contexts, longest, ATT_CONTEXT_SIZE_MAX, NULL));
        for (i = 1; i < ATT_EA_CONTEXTS_MAX; i++)
                ck_assert(att_ea_contexts_add(contexts, &i, sizeof i, NULL));
        ck_assert(!att_ea_contexts_add(contexts, &i, sizeof i, &full));
        ck_assert(g_error_matches(full, ATT_ERROR, ATT_ERROR_LIMIT_REACHED));
        i = 1;
        ck_assert(!att_ea_contexts_add(contexts, &i, sizeof i, &used));
        ck_assert(g_error_matches(used, ATT_ERROR, ATT_ERROR_CONTEXT_USED));
        att_ea_contexts_free(NULL);
}
END_TEST

/* What a session is charged for one, however long it is. */
START_TEST(sc34b_contexts_are_kept_small) {
        g_autoptr(AttEaContexts) contexts = att_ea_contexts_new();
        uint8_t longest[ATT_CONTEXT_SIZE_MAX] = { 0 };
        const uint32_t n = 4000;
        struct mallinfo2 before, after;

        ck_assert(att_ea_contexts_add(contexts, "", 0, NULL)); /* what OpenSSL keeps is there */
        before = mallinfo2();
        for (uint32_t i = 0; i < n; i++) {
                memcpy(longest, &i, sizeof i);
                ck_assert(att_ea_contexts_add(contexts, longest, sizeof longest, NULL));
        }
        after = mallinfo2();
        ck_assert_uint_le(after.uordblks + after.hblkhd - before.uordblks - before.hblkhd,
                          n * ATT_USED_CONTEXT_HELD + 4096);
}
END_TEST

START_TEST(sc11f_answer_to_another_request_is_refused) {
        g_autoptr(Exchange) x = exchange_new(ATT_ROLE_SERVER, ATT_HASH_SHA256, "ED25519");
        g_autoptr(GBytes) context = NULL, again = att_ea_request_new(ATT_ROLE_CLIENT, CODE_POINT, &context, NULL);
        g_autoptr(GBytes) authenticator = answer(x), shorter = g_bytes_new_from_bytes(x->context, 0, 31);
        g_autoptr(GBytes) none = g_bytes_new(NULL, 0);
        Forgery f = as_answer(x);

        assert_valid(&x->keys, x->request, authenticator);
        assert_refused(&x->keys, again, authenticator, ATT_ERROR_REFUSED, "context-mismatch: ");

        /* It names the context, but what it hashes is the request that it saw. */
        f.context = context;
        {
                g_autoptr(GBytes) forged = forge(&f);

                assert_refused(&x->keys, again, forged, ATT_ERROR_REFUSED, "certificate-verify: ");
        }
        f = as_answer(x);
        f.context = shorter;
        assert_forgery(x, &f, ATT_ERROR_REFUSED, "context-mismatch: ");
        f.context = none;
        assert_forgery(x, &f, ATT_ERROR_REFUSED, "context-mismatch: ");
}
END_TEST

START_TEST(sc11g_empty_authenticator_is_a_refusal_and_never_a_success) {
        g_autoptr(Exchange) x = exchange_new(_i & 1 ? ATT_ROLE_SERVER : ATT_ROLE_CLIENT,
                                             _i & 2 ? ATT_HASH_SHA384 : ATT_HASH_SHA256, "ED25519");
        g_autoptr(GBytes) full = answer(x), empty = att_ea_empty_new(&x->keys, &x->read), cut = NULL;
        g_autofree uint8_t *changed = g_memdup2(g_bytes_get_data(empty, NULL), g_bytes_get_size(empty));
        g_autoptr(GBytes) forged = g_bytes_new_static(changed, g_bytes_get_size(empty));
        g_auto(AttEaKeys) other = { 0 };

        assert_valid(&x->keys, x->request, full);
        assert_refused(&x->keys, x->request, empty, ATT_ERROR_REFUSED, "empty-authenticator: ");

        /* Anybody can cut an authenticator down to a Finished; that says nothing. */
        set_secret(&other, x->keys.hash, x->sender, 0x22);
        assert_refused(&other, x->request, empty, ATT_ERROR_REFUSED, "finished: ");
        changed[g_bytes_get_size(empty) - 1] ^= 1;
        assert_refused(&x->keys, x->request, forged, ATT_ERROR_REFUSED, "finished: ");
        cut = g_bytes_new_from_bytes(full, g_bytes_get_size(full) - g_bytes_get_size(empty), g_bytes_get_size(empty));
        assert_refused(&x->keys, x->request, cut, ATT_ERROR_REFUSED, "finished: ");
}
END_TEST

START_TEST(sc12b_hash_is_that_of_the_suite) {
        g_autoptr(Exchange) x = exchange_new(ATT_ROLE_SERVER, _i ? ATT_HASH_SHA384 : ATT_HASH_SHA256, "ED25519");
        g_autoptr(GBytes) authenticator = answer(x), empty = att_ea_empty_new(&x->keys, &x->read);
        AttEaKeys other = x->keys;

        assert_valid(&x->keys, x->request, authenticator);
        other.hash = _i ? ATT_HASH_SHA256 : ATT_HASH_SHA384;
        memset(other.finished_key + 32, 1, 16);
        assert_refused(&other, x->request, authenticator, ATT_ERROR_BAD_DATA, "");
        assert_refused(&other, x->request, empty, ATT_ERROR_BAD_DATA, "");
}
END_TEST

START_TEST(sc12c_trailing_bytes_are_refused) {
        g_autoptr(Exchange) x = exchange_new(ATT_ROLE_SERVER, ATT_HASH_SHA256, "ED25519");
        Forgery f = as_answer(x);

        f.tail = "x";
        assert_forgery(x, &f, ATT_ERROR_BAD_DATA, "");
        f.tail = "\x14";
        assert_forgery(x, &f, ATT_ERROR_BAD_DATA, "");
}
END_TEST

START_TEST(sc12d_finished_over_the_unhashed_transcript_is_refused) {
        g_autoptr(Exchange) x = exchange_new(ATT_ROLE_SERVER, ATT_HASH_SHA256, "ED25519");
        Forgery f = as_answer(x);

        f.finished_unhashed = true;
        assert_forgery(x, &f, ATT_ERROR_REFUSED, "finished: ");
}
END_TEST

START_TEST(sc12_request_without_its_header_in_the_transcript_is_refused) {
        g_autoptr(Exchange) x = exchange_new(ATT_ROLE_SERVER, ATT_HASH_SHA256, "ED25519");
        g_autoptr(GBytes) body = g_bytes_new_from_bytes(x->request, 4, g_bytes_get_size(x->request) - 4);
        g_autoptr(GBytes) none = g_bytes_new(NULL, 0);
        Forgery f = as_answer(x);

        f.request = body;
        assert_forgery(x, &f, ATT_ERROR_REFUSED, "certificate-verify: ");
        f.request = none; /* as if it were spontaneous */
        assert_forgery(x, &f, ATT_ERROR_REFUSED, "certificate-verify: ");
}
END_TEST

/* A CertificateVerify of a TLS handshake is not one of an authenticator. */
START_TEST(signature_made_for_another_use_is_refused) {
        const char *strings[] = { "TLS 1.3, server CertificateVerify", "TLS 1.3, client CertificateVerify",
                                  "Exported authenticator", "" };
        g_autoptr(Exchange) x = exchange_new(ATT_ROLE_SERVER, ATT_HASH_SHA256, "ED25519");

        for (size_t i = 0; i < G_N_ELEMENTS(strings); i++) {
                Forgery f = as_answer(x);

                f.context_string = strings[i];
                assert_forgery(x, &f, ATT_ERROR_REFUSED, "certificate-verify: ");
        }
}
END_TEST

START_TEST(first_failure_in_the_order_of_the_messages_is_the_reason) {
        g_autoptr(Exchange) x = exchange_new(ATT_ROLE_SERVER, ATT_HASH_SHA256, "ED25519");
        g_autoptr(GBytes) e = evidence(x->cmw), wrong = g_bytes_new("wrong", 5), der = g_bytes_new("\x30", 1);
        Forgery f = as_answer(x);

        f.is_spoiled_finished = true;
        assert_forgery(x, &f, ATT_ERROR_REFUSED, "finished: ");
        f.is_spoiled_signature = true;
        assert_forgery(x, &f, ATT_ERROR_REFUSED, "certificate-verify: ");
        f.entries[1].extensions = e;
        assert_forgery(x, &f, ATT_ERROR_REFUSED, "extension-wrong-entry: ");
        f.context = wrong;
        assert_forgery(x, &f, ATT_ERROR_REFUSED, "context-mismatch: ");
        f.tail = "x";
        assert_forgery(x, &f, ATT_ERROR_BAD_DATA, "TLS handshake: ");

        f = as_answer(x);
        f.entries[1].der = der;
        assert_forgery(x, &f, ATT_ERROR_BAD_DATA, "certificate 1 of the authenticator: ");
}
END_TEST

START_TEST(scheme_that_was_not_offered_is_refused) {
        g_autoptr(Exchange) x = exchange_new(ATT_ROLE_SERVER, ATT_HASH_SHA256, "RSA-2048");
        g_autoptr(GBytes) context = g_bytes_new("any context", 11), request = NULL, good = NULL, bad = NULL;
        const uint16_t offered[] = { ATT_SCHEME_RSA_PSS_RSAE_SHA384, ATT_SCHEME_ED25519 };
        Forgery f = as_answer(x);

        request = att_tls_request_build(17, context, offered, G_N_ELEMENTS(offered), CODE_POINT);
        f.request = request;
        f.context = context;
        f.scheme = ATT_SCHEME_RSA_PSS_RSAE_SHA384;
        good = forge(&f);
        assert_valid(&x->keys, request, good);
        f.scheme = ATT_SCHEME_RSA_PSS_RSAE_SHA256;
        bad = forge(&f);
        assert_refused(&x->keys, request, bad, ATT_ERROR_REFUSED, "scheme-not-offered: ");
}
END_TEST

/* What TLS 1.3 does not allow is refused though a peer has offered it. */
START_TEST(scheme_that_tls_13_does_not_have_is_refused) {
        g_autoptr(Exchange) x = exchange_new(ATT_ROLE_SERVER, ATT_HASH_SHA256, "RSA-2048");
        g_autoptr(GBytes) context = g_bytes_new("any context", 11), request = NULL, bad = NULL;
        const uint16_t offered[] = { 0x0401, ATT_SCHEME_RSA_PSS_RSAE_SHA256, ATT_SCHEME_ECDSA_SECP384R1_SHA384 };
        Forgery f = as_answer(x);

        request = att_tls_request_build(17, context, offered, G_N_ELEMENTS(offered), CODE_POINT);
        f.request = request;
        f.context = context;
        f.scheme = 0x0401;
        bad = forge(&f);
        assert_refused(&x->keys, request, bad, ATT_ERROR_REFUSED, "certificate-verify: ");
}
END_TEST

START_TEST(scheme_of_another_curve_is_refused) {
        g_autoptr(Exchange) x = exchange_new(ATT_ROLE_SERVER, ATT_HASH_SHA256, "P-256");
        g_autoptr(GBytes) good = NULL, bad = NULL;
        Forgery f = as_answer(x);

        f.scheme = ATT_SCHEME_ECDSA_SECP256R1_SHA256;
        good = forge(&f);
        assert_valid(&x->keys, x->request, good);
        f.scheme = ATT_SCHEME_ECDSA_SECP384R1_SHA384; /* SHA-384 with a P-256 key: a signature, but none of TLS 1.3 */
        bad = forge(&f);
        assert_refused(&x->keys, x->request, bad, ATT_ERROR_REFUSED, "certificate-verify: ");
}
END_TEST

START_TEST(key_of_the_leaf_that_no_scheme_can_use_is_refused) {
        g_autoptr(Exchange) x = exchange_new(ATT_ROLE_SERVER, ATT_HASH_SHA256, "ED25519");
        g_autoptr(EVP_PKEY) small = pki_key("RSA-1024");
        g_autoptr(X509) x509 = pki_issue(&(PkiSpec) { .cn = "small" }, small, NULL, NULL);
        g_autoptr(GBytes) der = pki_der(x509);
        Forgery f = as_answer(x);

        f.entries[0].der = der;
        f.signer = small;
        f.scheme = ATT_SCHEME_RSA_PSS_RSAE_SHA256;
        assert_forgery(x, &f, ATT_ERROR_REFUSED, "certificate-verify: ");
}
END_TEST

/* The key that counts is the leaf's: not that of another certificate in the list,
 * not one that comes with the same name. */
START_TEST(sc42_signature_by_another_key_than_the_leaf_s_is_refused) {
        g_autoptr(Exchange) x = exchange_new(ATT_ROLE_SERVER, ATT_HASH_SHA256, "P-256");
        g_autoptr(EVP_PKEY) stranger = pki_key("P-256");
        const PkiSpec spec = { .cn = "leaf", .extensions = { PKI_LEAF } };
        g_autoptr(X509) namesake = pki_issue(&spec, stranger, NULL, NULL);
        g_autoptr(GBytes) der = pki_der(namesake), good = NULL, by_ca = NULL, by_stranger = NULL, swapped = NULL;
        g_auto(AttEaIdentity) identity = { 0 };
        Forgery f = as_answer(x);

        f.scheme = ATT_SCHEME_ECDSA_SECP256R1_SHA256;
        good = forge(&f);
        assert_valid(&x->keys, x->request, good);
        f.signer = x->ca_key;
        by_ca = forge(&f);
        assert_refused(&x->keys, x->request, by_ca, ATT_ERROR_REFUSED, "certificate-verify: ");
        f.signer = stranger;
        by_stranger = forge(&f);
        assert_refused(&x->keys, x->request, by_stranger, ATT_ERROR_REFUSED, "certificate-verify: ");

        f = as_answer(x);
        f.scheme = ATT_SCHEME_ECDSA_SECP256R1_SHA256;
        f.entries[0].der = der;
        swapped = forge(&f);
        assert_refused(&x->keys, x->request, swapped, ATT_ERROR_REFUSED, "certificate-verify: ");

        /* With its own signature it is valid, and the identity says whose it is. */
        f.signer = stranger;
        {
                g_autoptr(GBytes) own = forge(&f), spki = pki_spki(stranger);

                ck_assert(att_ea_validate(&x->keys, x->request, CODE_POINT, own, &identity, NULL));
                ck_assert(g_bytes_equal(identity.spki, spki));
        }
}
END_TEST

START_TEST(sc14a_two_challenges_differ) {
        g_autoptr(GHashTable) seen =
                g_hash_table_new_full(g_bytes_hash, g_bytes_equal, (GDestroyNotify) g_bytes_unref, NULL);

        for (unsigned i = 0; i < 1000; i++) {
                GBytes *context = NULL;
                g_autoptr(GBytes) request = att_ea_request_new(ATT_ROLE_CLIENT, CODE_POINT, &context, NULL);

                ck_assert_ptr_nonnull(request);
                ck_assert(g_hash_table_add(seen, context));
        }
}
END_TEST

START_TEST(sc14b_challenge_has_its_length) {
        g_autoptr(GBytes) context = NULL, request = att_ea_request_new(ATT_ROLE_CLIENT, CODE_POINT, &context, NULL);
        const uint8_t *p = g_bytes_get_data(request, NULL);

        ck_assert_uint_eq(g_bytes_get_size(context), 32);
        ck_assert_uint_eq(p[4], 32);
        ck_assert_mem_eq(p + 5, g_bytes_get_data(context, NULL), 32);
}
END_TEST

START_TEST(sc14c_no_request_without_random_bytes) {
        g_autoptr(GBytes) context = NULL, request = NULL;
        g_autoptr(GError) error = NULL;

        kernel_has_no_random_bytes = true;
        ck_assert_ptr_null(att_ea_request_new(ATT_ROLE_CLIENT, CODE_POINT, &context, &error));
        ck_assert(g_error_matches(error, ATT_ERROR, ATT_ERROR_FAILED));
        ck_assert_ptr_null(context);
        kernel_has_no_random_bytes = false;
        request = att_ea_request_new(ATT_ROLE_CLIENT, CODE_POINT, &context, NULL);
        ck_assert_ptr_nonnull(request);
}
END_TEST

/* A request of exactly @size bytes: an extension of nobody's fills it. */
static GBytes *request_of(size_t size) {
        g_autoptr(GByteArray) list = g_byte_array_new();
        g_autoptr(GBytes) extensions = NULL;
        size_t filler = size - 4 - 33 - 2 - 8 - 4;

        att_put(list, "\x00\x0d\x00\x04\x00\x02\x08\x07\xab\xcd", 10);
        att_put_be(list, filler, 2);
        g_byte_array_set_size(list, list->len + (guint) filler);
        extensions = g_bytes_new(list->data, list->len);
        return request_with(17, extensions);
}

START_TEST(sc34d_request_at_its_limit_and_over_it) {
        g_autoptr(GBytes) most = request_of(ATT_TLS_REQUEST_MAX), over = request_of(ATT_TLS_REQUEST_MAX + 1);
        g_autoptr(GBytes) largest = request_of(4 + 33 + 2 + 65535);
        g_autoptr(GBytes) claims = pki_from_hex("11ffffff20");
        g_auto(AttEaRequest) read = { 0 };

        ck_assert_uint_eq(g_bytes_get_size(most), 16 * 1024);
        ck_assert(att_ea_request_read(most, ATT_ROLE_CLIENT, CODE_POINT, &read, NULL));
        assert_no_request(over, ATT_ROLE_CLIENT, ATT_ERROR_TOO_LARGE, "malformed-request: ");
        assert_no_request(largest, ATT_ROLE_CLIENT, ATT_ERROR_TOO_LARGE, "malformed-request: ");
        assert_no_request(claims, ATT_ROLE_CLIENT, ATT_ERROR_BAD_DATA, "malformed-request: ");
}
END_TEST

START_TEST(sc34b_count_of_schemes_at_its_limit_and_over_it) {
        const struct {
                size_t n;
                bool ok;
        } cases[] = { { 64, true }, { 65, false }, { 8000, false } };

        for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
                g_autoptr(GByteArray) list = g_byte_array_new();
                g_autoptr(GBytes) extensions = NULL, request = NULL;
                g_auto(AttEaRequest) read = { 0 };

                att_put_be(list, 13, 2);
                att_put_be(list, 2 * cases[i].n + 2, 2);
                att_put_be(list, 2 * cases[i].n, 2);
                for (size_t k = 0; k < cases[i].n; k++)
                        att_put_be(list, ATT_SCHEME_ED25519, 2);
                extensions = g_bytes_new(list->data, list->len);
                request = request_with(17, extensions);
                if (cases[i].ok) {
                        ck_assert(att_ea_request_read(request, ATT_ROLE_CLIENT, CODE_POINT, &read, NULL));
                        ck_assert_uint_eq(read.n_schemes, cases[i].n);
                        ck_assert_uint_eq(read.schemes[63], ATT_SCHEME_ED25519);
                } else {
                        assert_no_request(request, ATT_ROLE_CLIENT, ATT_ERROR_BAD_DATA, "malformed-request: ");
                }
        }
}
END_TEST

START_TEST(sc34c_evidence_at_its_limit_and_over_it) {
        g_autoptr(Exchange) x = exchange_new(ATT_ROLE_SERVER, ATT_HASH_SHA256, "ED25519");
        g_autofree uint8_t *bytes = g_malloc0(65536);
        g_autoptr(GBytes) most = g_bytes_new_static(bytes, ATT_CMW_SIZE_MAX), authenticator = NULL;
        g_autoptr(GBytes) over = g_bytes_new_static(bytes, ATT_CMW_SIZE_MAX + 1);
        g_autoptr(GBytes) largest = g_bytes_new_static(bytes, 65536);
        g_auto(AttEaIdentity) identity = { 0 };

        assert_no_draft(x, x->certificates, over, ATT_ERROR_TOO_LARGE, "65529");
        assert_no_draft(x, x->certificates, largest, ATT_ERROR_TOO_LARGE, "65529");
        g_bytes_unref(x->cmw);
        x->cmw = g_bytes_ref(most);
        authenticator = answer(x);
        ck_assert(att_ea_validate(&x->keys, x->request, CODE_POINT, authenticator, &identity, NULL));
        ck_assert(g_bytes_equal(identity.cmw, most));
}
END_TEST

/* @size bytes of certificate, whose extension is filler; 130 to 65,536 or so */
static GBytes *certificate_of(size_t size) {
        static EVP_PKEY *key;
        size_t room = size - 200;

        if (!key)
                key = pki_key("ED25519");
        for (;;) {
                g_autoptr(GString) filler = g_string_new(NULL);
                g_autoptr(X509) x509 = NULL;
                g_autoptr(GBytes) der = NULL;

                g_string_printf(filler, "DER:0482%04x", (unsigned) room);
                for (size_t i = 0; i < room; i++)
                        g_string_append(filler, "00");
                x509 = pki_issue(&(PkiSpec) { .cn = "filled", .extensions = { { "1.2.3.4", filler->str } } }, key, NULL,
                                 NULL);
                der = pki_der(x509);
                if (g_bytes_get_size(der) == size)
                        return g_steal_pointer(&der);
                room = room + size - g_bytes_get_size(der);
        }
}

START_TEST(sc34d_authenticator_at_its_limit_and_over_it) {
        g_autoptr(Exchange) x = exchange_new(ATT_ROLE_SERVER, ATT_HASH_SHA256, "ED25519");
        g_autoptr(GBytes) big = certificate_of(60000), small = NULL, last = NULL, more = NULL;
        g_autoptr(GBytes) most = NULL, over = NULL, claims = pki_from_hex("0bffffff20");
        Forgery f = as_answer(x);

        f.entries[1].der = f.entries[2].der = big;
        small = forge(&f);
        last = certificate_of(ATT_TLS_AUTHENTICATOR_MAX - g_bytes_get_size(small) - 5);
        more = certificate_of(g_bytes_get_size(last) + 1);
        f.entries[3].der = last;
        most = forge(&f);
        ck_assert_uint_eq(g_bytes_get_size(most), 128 * 1024);
        assert_valid(&x->keys, x->request, most);
        f.entries[3].der = more;
        over = forge(&f);
        assert_refused(&x->keys, x->request, over, ATT_ERROR_TOO_LARGE, "");
        assert_refused(&x->keys, x->request, claims, ATT_ERROR_BAD_DATA, "");
}
END_TEST

START_TEST(sc34b_count_of_certificates_at_its_limit_and_over_it) {
        g_autoptr(Exchange) x = exchange_new(ATT_ROLE_SERVER, ATT_HASH_SHA256, "ED25519");
        g_autoptr(GBytes) most = NULL, over = NULL;
        Forgery f = as_answer(x);

        for (size_t i = 2; i < ATT_TLS_CERTIFICATES_MAX; i++)
                f.entries[i].der = g_ptr_array_index(x->certificates, 1);
        most = forge(&f);
        assert_valid(&x->keys, x->request, most);
        f.entries[ATT_TLS_CERTIFICATES_MAX].der = g_ptr_array_index(x->certificates, 1);
        over = forge(&f);
        assert_refused(&x->keys, x->request, over, ATT_ERROR_BAD_DATA, "TLS handshake: ");
}
END_TEST

START_TEST(our_own_request_must_be_one) {
        g_autoptr(Exchange) x = exchange_new(ATT_ROLE_SERVER, ATT_HASH_SHA256, "ED25519");
        g_autoptr(GBytes) authenticator = answer(x), cut = NULL;

        cut = g_bytes_new_from_bytes(x->request, 0, g_bytes_get_size(x->request) - 1);
        assert_refused(&x->keys, cut, authenticator, ATT_ERROR_BAD_DATA, "");
}
END_TEST

START_TEST(secrets_are_cleansed) {
        AttEaKeys keys, zero = { 0 };

        memset(&zero, 0, sizeof zero);
        memset(&keys, 0x5a, sizeof keys);
        att_ea_keys_clear(&keys);
        ck_assert_mem_eq(&keys, &zero, sizeof keys);
}
END_TEST

int main(void) {
        Suite *s = suite_create("authenticator");
        TCase *t = tcase_create("authenticator");
        TCase *sc = tcase_create("security");

        tcase_set_timeout(t, 60);
        tcase_add_loop_test(t, what_one_side_makes_the_other_validates, 0, 4 * G_N_ELEMENTS(schemes));
        tcase_add_test(t, honest_forgery_is_what_the_library_makes);
        tcase_add_test(t, code_point_is_configuration);
        tcase_add_test(t, request_offers_all_schemes_and_a_random_context);
        tcase_add_test(t, refuses_a_request_that_the_role_does_not_send);
        tcase_add_test(t, refuses_every_prefix_of_a_request_and_bytes_after_it);
        tcase_add_test(t, refuses_an_offer_that_has_data);
        tcase_add_test(t, passes_over_extensions_that_it_does_not_know);
        tcase_add_test(t, refuses_a_request_without_signature_algorithms);
        tcase_add_test(t, refuses_to_answer_with_a_key_that_fits_no_scheme_offered);
        tcase_add_test(t, refuses_certificates_that_are_none);
        tcase_add_test(t, answers_only_for_the_side_that_was_asked);
        tcase_add_test(t, refuses_to_finish_with_a_signature_of_another_key_or_of_other_bytes);
        tcase_add_test(t, a_leaf_that_was_read_before_makes_the_same_authenticator);
        tcase_add_test(t, refuses_evidence_that_does_not_fill_its_extension);
        tcase_add_test(t, signature_made_for_another_use_is_refused);
        tcase_add_test(t, first_failure_in_the_order_of_the_messages_is_the_reason);
        tcase_add_test(t, scheme_that_was_not_offered_is_refused);
        tcase_add_test(t, scheme_that_tls_13_does_not_have_is_refused);
        tcase_add_test(t, scheme_of_another_curve_is_refused);
        tcase_add_test(t, key_of_the_leaf_that_no_scheme_can_use_is_refused);
        tcase_add_test(t, extension_that_only_asks_is_no_answer);
        tcase_add_test(t, answer_to_another_extension_that_was_offered_is_no_matter);
        tcase_add_test(t, our_own_request_must_be_one);
        tcase_add_test(t, secrets_are_cleansed);
        suite_add_tcase(s, t);

        tcase_set_timeout(sc, 60);
        tcase_add_loop_test(sc, sc01_authenticator_of_another_session_is_refused, 0, 2);
        tcase_add_test(sc, sc05a_own_authenticator_comes_back_to_a_client);
        tcase_add_test(sc, sc05b_own_authenticator_comes_back_to_a_server);
        tcase_add_test(sc, sc06c_keys_of_an_exporter_that_failed_are_refused);
        tcase_add_test(sc, sc11d_does_not_answer_with_evidence_that_was_not_asked_for);
        tcase_add_test(sc, sc11d_extension_that_was_not_offered_is_refused);
        tcase_add_test(sc, sc11e_evidence_in_a_second_entry_is_refused);
        tcase_add_test(sc, sc11e_evidence_twice_in_an_entry_is_refused);
        tcase_add_test(sc, sc11f_context_is_used_once_on_a_connection);
        tcase_add_test(sc, sc11f_answer_to_another_request_is_refused);
        tcase_add_loop_test(sc, sc11g_empty_authenticator_is_a_refusal_and_never_a_success, 0, 4);
        tcase_add_loop_test(sc, sc12b_hash_is_that_of_the_suite, 0, 2);
        tcase_add_test(sc, sc12c_trailing_bytes_are_refused);
        tcase_add_test(sc, sc12d_finished_over_the_unhashed_transcript_is_refused);
        tcase_add_test(sc, sc12_request_without_its_header_in_the_transcript_is_refused);
        tcase_add_test(sc, sc14a_two_challenges_differ);
        tcase_add_test(sc, sc14b_challenge_has_its_length);
        tcase_add_test(sc, sc14c_no_request_without_random_bytes);
        tcase_add_test(sc, sc34b_contexts_have_a_limit);
        tcase_add_test(sc, sc34b_contexts_are_kept_small);
        tcase_add_test(sc, sc34d_request_at_its_limit_and_over_it);
        tcase_add_test(sc, sc34b_count_of_schemes_at_its_limit_and_over_it);
        tcase_add_test(sc, sc34c_evidence_at_its_limit_and_over_it);
        tcase_add_test(sc, sc34d_authenticator_at_its_limit_and_over_it);
        tcase_add_test(sc, sc34b_count_of_certificates_at_its_limit_and_over_it);
        tcase_add_test(sc, sc42_signature_by_another_key_than_the_leaf_s_is_refused);
        suite_add_tcase(s, sc);
        return run_suite(s);
}
