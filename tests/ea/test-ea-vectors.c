/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Known answers. Their inputs are public: the handshake of RFC 8448 section 3, the
 * keys of RFC 6979 A.2.5 and RFC 8032 7.1, the strings of fizz's own test. The same
 * checks run over the shared vectors where these lie beside the source tree. */
#include "codec/tls-handshake.h"
#include "ea/authenticator.h"
#include "exporter.h"
#include "pki.h"
#include "run.h"
#include "util/error.h"

#include <jansson.h>

#define CTX "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"
#define EXPORTER_SECRET "fe22f881176eda18eb8f44529e6792c50c9a3f89452f68d8ae311b4309d3cf50"
#define EXPORTER_SECRET_384 CTX "202122232425262728292a2b2c2d2e2f"
#define EXPORTED "de6655915cadff0d4fe781e255b3cc28cf8cc5c647de58a1e38a59e40bc4ee39"
#define EXPORTED_384 "c634f114f7d3faa5174a6e7486341b8a0e8f472ea7c51cd4680d9ec159f7a593"
#define CLIENT_CONTEXT "3ce40ddfb5a8566480bb683fa63f43f1d6d52ab962854a98a3c080d81ed5631f"
#define CLIENT_KEY "34db53a0d817c518dc905f36e253a11271904ea43778358aaeb85d377a4fe0fb"
#define SERVER_CONTEXT "b5920228102885ce3bbc879252d7c4ae80f47616cdc91456338427e7890941b0"
#define SERVER_KEY "d7571ccc1577b04277765da1c875d933be15717b3ecf45d0708431fa077df54d"
/* ASCII 12345678901234567890123456789012 and 0123456789abcdefghij */
#define FIZZ_KEY "3132333435363738393031323334353637383930313233343536373839303132"
#define FIZZ_CTX "303132333435363738396162636465666768696a"
#define FIZZ_BODY "14" FIZZ_CTX "0008000d000400020403"
#define SEED "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60"
#define ED25519_SPKI "302a300506032b6570032100d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a"

#define IS(bytes, hex)                                  \
        do {                                            \
                g_autofree char *found_ = pki_to_hex(bytes); \
                ck_assert_str_eq(found_, hex);          \
        } while (0)

/* A value that a table need not have. */
static void is_bytes(const void *p, size_t size, const char *hex) {
        g_autoptr(GBytes) bytes = g_bytes_new(p, size);

        if (hex)
                IS(bytes, hex);
}

static size_t copy_hex(const char *hex, uint8_t *ret, size_t max) {
        g_autoptr(GBytes) bytes = pki_from_hex(hex);
        size_t size = g_bytes_get_size(bytes);

        ck_assert_uint_le(size, max);
        memcpy(ret, g_bytes_get_data(bytes, NULL), size);
        return size;
}

static void set_keys(AttEaKeys *keys, AttHash hash, AttRole sender, const char *context, const char *key) {
        *keys = (AttEaKeys) { .hash = hash, .sender = sender };
        copy_hex(context, keys->handshake_context, sizeof keys->handshake_context);
        copy_hex(key, keys->finished_key, sizeof keys->finished_key);
}

static AttPart part(GBytes *bytes) {
        return (AttPart) { g_bytes_get_data(bytes, NULL), g_bytes_get_size(bytes) };
}

/* The exporter */

typedef struct Export {
        AttHash hash;
        const char *secret, *label, *context;
        size_t size;
        const char *derived, *exported;
} Export;

static void check_export(const Export *v) {
        g_autoptr(GBytes) secret = pki_from_hex(v->secret), context = pki_from_hex(v->context);
        uint8_t derived[ATT_HASH_SIZE_MAX], exported[ATT_HASH_SIZE_MAX];

        tls_exporter(v->hash, g_bytes_get_data(secret, NULL), v->label, g_bytes_get_data(context, NULL),
                     g_bytes_get_size(context), derived, exported, v->size);
        is_bytes(derived, att_hash_size(v->hash), v->derived);
        is_bytes(exported, v->size, v->exported);
}

static const Export exports[] = {
        { ATT_HASH_SHA256, EXPORTER_SECRET, ATT_EA_LABEL_CLIENT_CONTEXT, "", 32, NULL, CLIENT_CONTEXT },
        { ATT_HASH_SHA256, EXPORTER_SECRET, ATT_EA_LABEL_CLIENT_FINISHED, "", 32, NULL, CLIENT_KEY },
        { ATT_HASH_SHA256, EXPORTER_SECRET, ATT_EA_LABEL_SERVER_CONTEXT, "", 32, NULL, SERVER_CONTEXT },
        { ATT_HASH_SHA256, EXPORTER_SECRET, ATT_EA_LABEL_SERVER_FINISHED, "", 32, NULL, SERVER_KEY },
        { ATT_HASH_SHA256, EXPORTER_SECRET, ATT_EXPORTER_LABEL, CTX, 32, NULL, EXPORTED },
        { ATT_HASH_SHA256, EXPORTER_SECRET, "Attestation Binding", CTX, 32, NULL,
          "6e8ad2ee1b8518ca980c01fa45a763ba5232af047a70ef3bceea8786cc74eedb" },
        { ATT_HASH_SHA256, EXPORTER_SECRET, "EXPORTER-Channel-Binding", "", 32, NULL,
          "e3b0946bf2f4668144f22872e0afd51dc9608638c6f9b2584b98c6cd3a4affad" },
        { ATT_HASH_SHA384, EXPORTER_SECRET_384, ATT_EXPORTER_LABEL, CTX, 32, NULL, EXPORTED_384 },
        { ATT_HASH_SHA384, EXPORTER_SECRET_384, ATT_EA_LABEL_SERVER_CONTEXT, "", 48, NULL,
          "54b355e72966d2f2ab9ddfafd65271fbd4eaff04f9cedb369ac7efc721751ffd92e50cd087d0f4459ad0ad3902e8b8de" },
};

START_TEST(exporter_of_tls_13) {
        check_export(&exports[_i]);
}
END_TEST

static void check_exporter_secret(const char *master, const char *transcript, const char *expected) {
        uint8_t secret[32], digest[32], found[32];

        copy_hex(master, secret, sizeof secret);
        copy_hex(transcript, digest, sizeof digest);
        hkdf_expand_label(ATT_HASH_SHA256, secret, "exp master", digest, sizeof digest, found, sizeof found);
        is_bytes(found, sizeof found, expected);
}

START_TEST(exporter_secret_of_rfc_8448) {
        check_exporter_secret("18df06843d13a08bf2a449844c5f8a478001bc4d4c627984d5a41da8d0402919",
                              "9608102a0f1ccc6db6250b7b7e417b1a000eaada3daae4777a7686c9ff83df13", EXPORTER_SECRET);
}
END_TEST

/* Requests */

static void check_request(unsigned type, const char *context, const char *schemes, unsigned extension,
                          const char *expected) {
        g_autoptr(GBytes) ctx = pki_from_hex(context), list = pki_from_hex(schemes), request = NULL;
        g_auto(AttEaRequest) read = { 0 };
        AttRole requester = type == ATT_TLS_CERTIFICATE_REQUEST ? ATT_ROLE_SERVER : ATT_ROLE_CLIENT;
        AttCursor c = att_cursor_bytes(list);
        uint16_t values[8];
        size_t n = 0;

        while (c.left > 0)
                values[n++] = att_take_u16be(&c);
        request = att_tls_request_build((uint8_t) type, ctx, values, n, (uint16_t) extension);
        IS(request, expected);

        ck_assert(att_ea_request_read(request, requester, (uint16_t) extension, &read, NULL));
        ck_assert(g_bytes_equal(read.context, ctx));
        ck_assert(g_bytes_equal(read.bytes, request));
        ck_assert_int_eq(read.asks_for_cmw, extension != 0);
        ck_assert_uint_eq(read.n_schemes, n);
        ck_assert_mem_eq(read.schemes, values, n * sizeof *values);
}

START_TEST(requests_of_both_roles) {
        check_request(13, CTX, "0403", 0xff00, "0d00002f20" CTX "000c000d000400020403ff000000");
        check_request(17, CTX, "0403", 0xff00, "1100002f20" CTX "000c000d000400020403ff000000");
        check_request(17, CTX, "0807", 0xff00, "1100002f20" CTX "000c000d000400020807ff000000");
        check_request(13, FIZZ_CTX, "0403", 0, "0d00001f" FIZZ_BODY);
}
END_TEST

/* The empty authenticator */

typedef struct Empty {
        const char *context, *key, *request;
        const char *zero_entries, *transcript, *verify_data, *authenticator;
} Empty;

static void check_empty(const Empty *v) {
        g_autoptr(GBytes) request = pki_from_hex(v->request), certificate = NULL, authenticator = NULL;
        g_autoptr(GPtrArray) none = g_ptr_array_new();
        g_auto(AttEaRequest) read = { 0 };
        g_auto(AttEaIdentity) identity = { 0 };
        g_autoptr(GError) error = NULL;
        g_auto(AttEaKeys) keys = { 0 };
        bool by_server = g_str_has_prefix(v->request, "0d");
        uint8_t digest[ATT_HASH_SIZE_MAX], mac[ATT_HASH_SIZE_MAX];
        AttPart parts[3];

        set_keys(&keys, ATT_HASH_SHA256, by_server ? ATT_ROLE_CLIENT : ATT_ROLE_SERVER, v->context, v->key);
        ck_assert(att_ea_request_read(request, by_server ? ATT_ROLE_SERVER : ATT_ROLE_CLIENT, 0xff00, &read, NULL));

        certificate = att_tls_certificate_build(read.context, none, 0, NULL, NULL);
        IS(certificate, v->zero_entries);
        parts[0] = (AttPart) { keys.handshake_context, 32 };
        parts[1] = part(request);
        parts[2] = part(certificate);
        att_hash_parts(ATT_HASH_SHA256, parts, 3, digest);
        is_bytes(digest, 32, v->transcript);
        att_hmac(ATT_HASH_SHA256, keys.finished_key, 32, digest, 32, mac);
        is_bytes(mac, 32, v->verify_data);

        authenticator = att_ea_empty_new(&keys, &read);
        IS(authenticator, v->authenticator);
        ck_assert(!att_ea_validate(&keys, request, 0xff00, authenticator, &identity, &error));
        ck_assert(g_error_matches(error, ATT_ERROR, ATT_ERROR_REFUSED));
        ck_assert(g_str_has_prefix(error->message, "empty-authenticator: "));
}

static const Empty empties[] = {
        { FIZZ_KEY, FIZZ_KEY, "0d00001f" FIZZ_BODY, "0b00001814" FIZZ_CTX "000000",
          "c5987f46da30436253f0ee1ce64e789a013c6f5021c5075a880ecd90c3b49db0",
          "c6558d626bf2fa60477e003306525df98b168784616d0b757aaf4b87823fc886",
          "14000020c6558d626bf2fa60477e003306525df98b168784616d0b757aaf4b87823fc886" },
        { FIZZ_KEY, FIZZ_KEY, "1100001f" FIZZ_BODY, "0b00001814" FIZZ_CTX "000000",
          "1eb7297d9935af39cdab7e9de74385e99aa97dabe09fd44b5a04d3f9323f8ed7",
          "b457074e01e28a3c33217f20d2f63aef25ce15afcfc589877c4373fea6a843c3",
          "14000020b457074e01e28a3c33217f20d2f63aef25ce15afcfc589877c4373fea6a843c3" },
        { SERVER_CONTEXT, SERVER_KEY, "1100002f20" CTX "000c000d000400020807ff000000", "0b00002420" CTX "000000",
          "04db69b82dab7380ec2c18f55769b51b3013d540cc92c075e350bc81af59c862",
          "5f2b5dbc4313df8b23a6d14e5c92c36379bd2646b0a9f60e172184023f7847ad",
          "140000205f2b5dbc4313df8b23a6d14e5c92c36379bd2646b0a9f60e172184023f7847ad" },
};

START_TEST(empty_authenticators) {
        check_empty(&empties[_i]);
}
END_TEST

/* fizz hashes the request without its handshake header: its MAC is right, its
 * transcript is not RFC 9261's. */

static void assert_fizz_refused(const char *authenticator_hex, const char *body, int code, const char *why) {
        const char *heads[] = { "0d00001f", "1100001f" };

        for (size_t i = 0; i < 2; i++) {
                g_autofree char *framed = g_strconcat(heads[i], body, NULL);
                g_autoptr(GBytes) request = pki_from_hex(framed), authenticator = pki_from_hex(authenticator_hex);
                g_auto(AttEaIdentity) identity = { 0 };
                g_autoptr(GError) error = NULL;
                g_auto(AttEaKeys) keys = { 0 };

                set_keys(&keys, ATT_HASH_SHA256, i == 0 ? ATT_ROLE_CLIENT : ATT_ROLE_SERVER, FIZZ_KEY, FIZZ_KEY);
                ck_assert(!att_ea_validate(&keys, request, 0, authenticator, &identity, &error));
                ck_assert(g_error_matches(error, ATT_ERROR, code));
                ck_assert_msg(strstr(error->message, why), "%s", error->message);
        }
}

static void check_fizz_empty(const char *body, const char *certificate_hex, const char *transcript,
                             const char *verify_data, const char *authenticator) {
        g_autoptr(GBytes) request = pki_from_hex(body), certificate = pki_from_hex(certificate_hex);
        g_autoptr(GBytes) key = pki_from_hex(FIZZ_KEY);
        const AttPart parts[] = { part(key), part(request), part(certificate) };
        g_autofree char *whole = g_strconcat("14000020", verify_data, NULL);
        uint8_t digest[32], mac[32];

        att_sha256(parts, 3, digest);
        is_bytes(digest, 32, transcript);
        att_hmac(ATT_HASH_SHA256, g_bytes_get_data(key, NULL), 32, digest, 32, mac);
        is_bytes(mac, 32, verify_data);
        ck_assert_str_eq(authenticator, whole);
        assert_fizz_refused(authenticator, body, ATT_ERROR_REFUSED, "finished: ");
}

static void check_fizz_full(const char *body, const char *certificate_hex, const char *verify_hex,
                            const char *transcript, const char *verify_data, const char *authenticator) {
        g_autoptr(GBytes) request = pki_from_hex(body), certificate = pki_from_hex(certificate_hex);
        g_autoptr(GBytes) key = pki_from_hex(FIZZ_KEY), no_signature = g_bytes_new("signature", 9);
        g_autoptr(GBytes) verify = att_tls_certificate_verify_build(0x0403, no_signature);
        const AttPart parts[] = { part(key), part(request), part(certificate), part(verify) };
        g_autofree char *whole = g_strconcat(certificate_hex, verify_hex, "14000020", verify_data, NULL);
        uint8_t digest[32], mac[32];

        IS(verify, verify_hex);
        att_sha256(parts, 4, digest);
        is_bytes(digest, 32, transcript);
        att_hmac(ATT_HASH_SHA256, g_bytes_get_data(key, NULL), 32, digest, 32, mac);
        is_bytes(mac, 32, verify_data);
        ck_assert_str_eq(authenticator, whole);
        /* Not even the framing is one: a Certificate has an entry. */
        assert_fizz_refused(authenticator, body, ATT_ERROR_BAD_DATA, "Certificate");
}

START_TEST(sc12a_fizz_s_transcript_is_refused) {
        check_empty(&empties[0]);
        check_fizz_empty(FIZZ_BODY, "0b00001814" FIZZ_CTX "000000",
                         "8b48b56cb6f01c32a7ad9609b14e1d217a257455bf50aa01f87820d204f6c56b",
                         "11fae4bcdf4673b6dfb276d886c4cd1c5b0920da961643f062d1d4a6062115b1",
                         "1400002011fae4bcdf4673b6dfb276d886c4cd1c5b0920da961643f062d1d4a6062115b1");
        check_fizz_full(FIZZ_BODY, "0b00000400000000", "0f00000d040300097369676e6174757265",
                        "6fac650f25e3cfdf763c8aaf926dfa8ef9a9c9871e0024161d9d5ba71173a4df",
                        "b523548c421b05f7f3c33276fbdd5266ba2df103796d7d483368259860a648f2",
                        "0b000004000000000f00000d040300097369676e6174757265"
                        "14000020b523548c421b05f7f3c33276fbdd5266ba2df103796d7d483368259860a648f2");
}
END_TEST

/* The binder */

static void check_binding(AttHash hash, const char *spki_hex, const char *exported_hex, const char *aik_hash,
                          const char *expected, const char *sha512) {
        g_autoptr(GBytes) spki = pki_from_hex(spki_hex), exported = pki_from_hex(exported_hex);
        const AttPart key = part(spki);
        uint8_t binding[ATT_HASH_SIZE_MAX], digest[ATT_SHA512_SIZE];
        AttPart of_binding = { binding, att_hash_size(hash) };

        att_hash_parts(hash, &key, 1, digest);
        is_bytes(digest, att_hash_size(hash), aik_hash);
        ck_assert_uint_eq(g_bytes_get_size(exported), ATT_EXPORTED_SIZE);
        att_ea_binding(hash, spki, g_bytes_get_data(exported, NULL), binding);
        is_bytes(binding, att_hash_size(hash), expected);
        att_sha512(&of_binding, 1, digest);
        is_bytes(digest, ATT_SHA512_SIZE, sha512);
}

static void check_point(const char *xy_hex, const char *spki_hex) {
        g_autoptr(GBytes) xy = pki_from_hex(xy_hex), spki = pki_from_hex(spki_hex);
        g_autoptr(AttKey) point = att_key_from_p256_point(g_bytes_get_data(xy, NULL), NULL);
        g_autoptr(AttKey) key = att_key_from_spki(spki, NULL);

        ck_assert_ptr_nonnull(point);
        ck_assert_ptr_nonnull(key);
        ck_assert(g_str_has_suffix(spki_hex, xy_hex));
}

#define P256_XY                                                          \
        "60fed4ba255a9d31c961eb74c6356d68c049b8923b61fa6ce669622e60f29fb6" \
        "7903fe1008b8bc99a41ae9e95628bc64f2f1b20c2d7e9f5177a3c294d4462299"
#define P256_SPKI "3059301306072a8648ce3d020106082a8648ce3d03010703420004" P256_XY

START_TEST(bindings) {
        check_point(P256_XY, P256_SPKI);
        check_binding(ATT_HASH_SHA256, P256_SPKI, EXPORTED,
                      "5a7a78cca4a0f420d9bc62bb669c3c2759e39f723d3ae10dcbe0f0815a07ecd4",
                      "3e0fd0329d875e7ea09291720e40bb35ab6b3f2437d1fb953bd70af82ef3f347",
                      "d054847124dfae0165ff25d0c398dd052cea56346f7f9d0e9670d6ff8763a87f"
                      "661b6b0c5ce340a193517ee75af1e8d9af23becdb00310a557d302d96b01fb55");
        check_binding(ATT_HASH_SHA256, ED25519_SPKI, EXPORTED,
                      "06e3fd8fda29bb60ab59557de61edb0aecdb231134be30e75b455f8e1b792fa9",
                      "0a7f5753e0281bceac080433479a33ea27a15bf195f0dea469c230074762276c", NULL);
        check_binding(ATT_HASH_SHA384, ED25519_SPKI, EXPORTED_384, NULL,
                      "1b1cad970480e322b04f45d3852a0ecc15f8a2f1b63b172f0f8a5397ab013ffe"
                      "aac2d249b4c26e42477c66bc0d792ec5",
                      NULL);
}
END_TEST

/* A whole authenticator */

static EVP_PKEY *key_of_seed(const char *hex) {
        uint8_t seed[32];
        EVP_PKEY *key;

        copy_hex(hex, seed, sizeof seed);
        key = EVP_PKEY_new_raw_private_key_ex(NULL, "ED25519", NULL, seed, sizeof seed);
        ck_assert_ptr_nonnull(key);
        return key;
}

/* Serial 1, CN=ea-vector, ten years from 2026, no extensions, signed by itself. */
static GBytes *make_certificate(EVP_PKEY *key) {
        g_autoptr(X509) x509 = pki_issue(&(PkiSpec) { .cn = "ea-vector" }, key, NULL, NULL);

        ck_assert_int_eq(ASN1_INTEGER_set(X509_get_serialNumber(x509), 1), 1);
        ck_assert_int_gt(X509_sign(x509, key, NULL), 0);
        return pki_der(x509);
}

typedef struct Whole {
        const char *context, *key, *request, *seed, *cmw, *certificate_der;
        const char *extension; /* in the message, with its header */
        const char *certificate, *certificate_transcript, *signed_content, *signature;
        const char *certificate_verify, *finished_transcript, *verify_data, *finished, *authenticator;
} Whole;

static void check_whole(const Whole *v) {
        g_autoptr(EVP_PKEY) key = key_of_seed(v->seed);
        g_autoptr(GBytes) request = pki_from_hex(v->request), cmw = pki_from_hex(v->cmw), der = make_certificate(key);
        g_autoptr(GBytes) tbs = NULL, signature = NULL, authenticator = NULL, certificate = NULL, spki = pki_spki(key);
        g_autoptr(GPtrArray) certificates = g_ptr_array_new();
        g_autoptr(AttEaDraft) draft = NULL;
        g_auto(AttEaRequest) read = { 0 };
        g_auto(AttEaIdentity) identity = { 0 };
        g_auto(AttEaKeys) keys = { 0 };
        uint8_t digest[32];
        AttPart parts[4];

        IS(der, v->certificate_der);
        IS(spki, ED25519_SPKI);
        set_keys(&keys, ATT_HASH_SHA256, ATT_ROLE_SERVER, v->context, v->key);
        ck_assert(att_ea_request_read(request, ATT_ROLE_CLIENT, 0xff00, &read, NULL));
        g_ptr_array_add(certificates, der);
        certificate = att_tls_certificate_build(read.context, certificates, 0xff00, cmw, NULL);
        IS(certificate, v->certificate);
        ck_assert(g_str_has_suffix(v->certificate, v->extension));
        parts[0] = (AttPart) { keys.handshake_context, 32 };
        parts[1] = part(request);
        parts[2] = part(certificate);
        att_hash_parts(ATT_HASH_SHA256, parts, 3, digest);
        is_bytes(digest, 32, v->certificate_transcript);

        draft = att_ea_draft_new(&keys, &read, certificates, 0xff00, cmw, NULL);
        ck_assert_ptr_nonnull(draft);
        ck_assert_uint_eq(att_ea_draft_scheme(draft), ATT_SCHEME_ED25519);
        tbs = att_ea_draft_to_be_signed(draft);
        IS(tbs, v->signed_content);
        signature = pki_sign(key, ATT_SCHEME_ED25519, g_bytes_get_data(tbs, NULL), g_bytes_get_size(tbs));
        IS(signature, v->signature);
        authenticator = att_ea_draft_finish(draft, signature, NULL);
        ck_assert_ptr_nonnull(authenticator);
        IS(authenticator, v->authenticator);
        {
                g_autofree char *joined = g_strconcat(v->certificate, v->certificate_verify, v->finished, NULL);
                g_autofree char *last = g_strconcat("14000020", v->verify_data, NULL);
                g_autoptr(GBytes) verify = pki_from_hex(v->certificate_verify);

                ck_assert_str_eq(joined, v->authenticator);
                ck_assert_str_eq(last, v->finished);
                parts[3] = part(verify);
                att_hash_parts(ATT_HASH_SHA256, parts, 4, digest);
                is_bytes(digest, 32, v->finished_transcript);
        }

        ck_assert(att_ea_validate(&keys, request, 0xff00, authenticator, &identity, NULL));
        ck_assert(g_bytes_equal(identity.spki, spki));
        ck_assert(g_bytes_equal(identity.cmw, cmw));
        ck_assert_uint_eq(identity.certificates->len, 1);
        ck_assert_uint_eq(identity.scheme, ATT_SCHEME_ED25519);
}

#define DER                                                                                                     \
        "3081d4308187a003020102020101300506032b657030143112301006035504030c0965612d766563746f72301e170d"         \
        "3236303130313030303030305a170d3336303130313030303030305a30143112301006035504030c0965612d766563746f7230" \
        "2a300506032b6570032100d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a300506032b6570"   \
        "03410015f19bf7167aab110ca4c613de085a78e2f272738913a48b4e4ff8bfda6e1cdeee8fcf8babf3f0721a4e058f2008cfa8" \
        "9cd79a70711373d226bd8633fe0a7707"
#define CMW "8319fde744deadbeef04"
#define CERTIFICATE "0b00011020" CTX "0000ec0000d7" DER "0010ff00000c000a" CMW
#define CERTIFICATE_HASH "79dc1adcd5995157d0b32f67ee32e953993ae80cde034312cbc0f8364d81210b"
#define SPACES_16 "20202020202020202020202020202020"
#define SIGNATURE                                                        \
        "cd9b629fba84c4b35a9c7dfb402f2dcce9e8c07cb5ef93537c60cf7ecd7fbcf8" \
        "3743d531af8dc0a3f21124e9f43ed7063f1baa7f10820ff5dc538d7063e8c504"
#define VERIFY "0f00004408070040" SIGNATURE
#define VERIFY_DATA "b524def72ed15442fc2e9010bb6b24828a98b6e18378fe8552efb63f97f00347"

static const Whole whole = {
        .context = SERVER_CONTEXT,
        .key = SERVER_KEY,
        .request = "1100002f20" CTX "000c000d000400020807ff000000",
        .seed = SEED,
        .cmw = CMW,
        .certificate_der = DER,
        .extension = "ff00000c000a" CMW,
        .certificate = CERTIFICATE,
        .certificate_transcript = CERTIFICATE_HASH,
        .signed_content = SPACES_16 SPACES_16 SPACES_16 SPACES_16
                "4578706f727465642041757468656e74696361746f7200" CERTIFICATE_HASH,
        .signature = SIGNATURE,
        .certificate_verify = VERIFY,
        .finished_transcript = "3bf44d2fb8653dd94e3156d3d0af2591bb6e82a0020898ca3c86461f7abfe51f",
        .verify_data = VERIFY_DATA,
        .finished = "14000020" VERIFY_DATA,
        .authenticator = CERTIFICATE VERIFY "14000020" VERIFY_DATA,
};

START_TEST(whole_authenticator_of_a_server) {
        check_whole(&whole);
}
END_TEST

/* Every byte of it is covered by something. */
START_TEST(refuses_the_authenticator_with_any_byte_changed) {
        g_autoptr(GBytes) request = pki_from_hex(whole.request), good = pki_from_hex(whole.authenticator);
        g_auto(AttEaKeys) keys = { 0 };
        gsize size = g_bytes_get_size(good);

        set_keys(&keys, ATT_HASH_SHA256, ATT_ROLE_SERVER, whole.context, whole.key);
        for (gsize i = 0; i < size; i++)
                for (unsigned bit = 0; bit < 8; bit++) {
                        g_autofree uint8_t *changed = g_memdup2(g_bytes_get_data(good, NULL), size);
                        g_autoptr(GBytes) bytes = g_bytes_new_static(changed, size);
                        AttEaIdentity identity = { .scheme = 7 };

                        changed[i] = (uint8_t) (changed[i] ^ 1u << bit);
                        ck_assert_msg(!att_ea_validate(&keys, request, 0xff00, bytes, &identity, NULL), "byte %zu", i);
                        ck_assert_uint_eq(identity.scheme, 7);
                        ck_assert_ptr_null(identity.certificates);
                }
        for (gsize n = 0; n < size; n++) {
                g_autofree uint8_t *prefix = g_memdup2(g_bytes_get_data(good, NULL), n);
                g_autoptr(GBytes) bytes = g_bytes_new_static(prefix, n);
                AttEaIdentity identity = { 0 };

                ck_assert_msg(!att_ea_validate(&keys, request, 0xff00, bytes, &identity, NULL), "prefix %zu", n);
        }
}
END_TEST

/* The shared vectors, by the same checks */

static const char *in(json_t *vector, const char *key) {
        json_t *value = json_object_get(json_object_get(vector, "inputs"), key);

        if (json_is_object(value))
                value = json_object_get(value, "ascii");
        ck_assert_msg(json_is_string(value), "no input %s", key);
        return json_string_value(value);
}

static const char *out(json_t *vector, const char *key) {
        json_t *value = json_object_get(json_object_get(vector, "expected"), key);

        ck_assert_msg(json_is_string(value), "no value %s", key);
        return json_string_value(value);
}

static AttHash hash_of(json_t *vector) {
        return g_str_equal(in(vector, "hash"), "sha384") ? ATT_HASH_SHA384 : ATT_HASH_SHA256;
}

static unsigned number(const char *hex) {
        return (unsigned) g_ascii_strtoull(hex, NULL, 16);
}

static bool check_vector(const char *name, json_t *v) {
        if (g_str_equal(name, "a1-empty-fizz-rule"))
                check_fizz_empty(in(v, "request_as_hashed"), in(v, "certificate_zero_entries"),
                                 out(v, "transcript_hash"), out(v, "verify_data"), out(v, "authenticator"));
        else if (g_str_equal(name, "a1-full-fizz-rule"))
                check_fizz_full(in(v, "request_as_hashed"), in(v, "certificate"), out(v, "certificate_verify"),
                                out(v, "transcript_hash"), out(v, "verify_data"), out(v, "authenticator"));
        else if (g_str_has_prefix(name, "a1-empty-rfc9261-"))
                check_empty(&(Empty) { in(v, "handshake_context"), in(v, "finished_key"), in(v, "request"),
                                       in(v, "certificate_zero_entries"), out(v, "transcript_hash"),
                                       out(v, "verify_data"), out(v, "authenticator") });
        else if (g_str_equal(name, "a4-empty-authenticator"))
                check_empty(&(Empty) { in(v, "handshake_context"), in(v, "finished_key"), in(v, "request"),
                                       out(v, "certificate_zero_entries"), out(v, "transcript_hash"),
                                       out(v, "verify_data"), out(v, "authenticator") });
        else if (g_str_equal(name, "a2-exporter-master-secret-rfc8448"))
                check_exporter_secret(in(v, "master_secret"), in(v, "transcript_hash"),
                                      out(v, "exporter_master_secret"));
        else if (g_str_has_prefix(name, "a2-"))
                check_export(&(Export) {
                        hash_of(v), in(v, "exporter_master_secret"), in(v, "label"), in(v, "context_value"),
                        (size_t) json_integer_value(json_object_get(json_object_get(v, "inputs"), "length")),
                        out(v, "derived_secret"), out(v, "exported_value") });
        else if (g_str_equal(name, "a3-binder-p256")) {
                g_autofree char *xy = g_strconcat(in(v, "public_key_x"), in(v, "public_key_y"), NULL);

                check_point(xy, out(v, "spki"));
                check_binding(hash_of(v), out(v, "spki"), in(v, "exported_value"), out(v, "aik_pub_hash"),
                              out(v, "binding"), out(v, "reportdata_sha512"));
        } else if (g_str_has_prefix(name, "a3-request-type"))
                check_request(number(in(v, "message_type")), in(v, "certificate_request_context"),
                              in(v, "signature_algorithms"), number(in(v, "extension_type")), out(v, "request"));
        else if (g_str_equal(name, "a4-certificate")) {
                g_autoptr(EVP_PKEY) key = key_of_seed(in(v, "ed25519_seed"));
                g_autoptr(GBytes) der = make_certificate(key), spki = pki_spki(key);

                IS(der, out(v, "certificate_der"));
                IS(spki, out(v, "spki"));
                ck_assert(g_str_has_suffix(out(v, "spki"), out(v, "public_key")));
        } else if (g_str_equal(name, "a4-authenticator"))
                check_whole(&(Whole) {
                        .context = in(v, "handshake_context"),
                        .key = in(v, "finished_key"),
                        .request = out(v, "request"),
                        .seed = in(v, "ed25519_seed"),
                        .cmw = in(v, "cmw"),
                        .certificate_der = in(v, "certificate_der"),
                        .extension = out(v, "cmw_attestation_extension"),
                        .certificate = out(v, "certificate"),
                        .certificate_transcript = out(v, "certificate_transcript_hash"),
                        .signed_content = out(v, "signed_content"),
                        .signature = out(v, "signature"),
                        .certificate_verify = out(v, "certificate_verify"),
                        .finished_transcript = out(v, "finished_transcript_hash"),
                        .verify_data = out(v, "verify_data"),
                        .finished = out(v, "finished"),
                        .authenticator = out(v, "authenticator"),
                });
        else if (g_str_equal(name, "a4-binder-sha256"))
                check_binding(hash_of(v), in(v, "spki"), in(v, "exported_value"), out(v, "aik_pub_hash"),
                              out(v, "binding"), NULL);
        else if (g_str_equal(name, "a4-binder-sha384"))
                check_binding(hash_of(v), in(v, "spki"), in(v, "exported_value"), NULL, out(v, "binding"), NULL);
        else
                return false;
        return true;
}

START_TEST(sc12a_shared_vectors) {
        g_autofree char *path = pki_vectors("ea-own/vectors.json");
        json_t *all, *vectors, *vector;
        size_t i;

        if (!path)
                return;
        all = json_load_file(path, 0, NULL);
        vectors = json_object_get(all, "vectors");
        ck_assert_uint_eq(json_array_size(vectors), 22);
        json_array_foreach(vectors, i, vector) {
                const char *name = json_string_value(json_object_get(vector, "name"));

                ck_assert_msg(check_vector(name, vector), "no check for %s", name);
        }
        json_decref(all);
}
END_TEST

/* fizz's own files: a request without its header is none, with it it is read; the
 * authenticators, made over the one without, are refused. */
START_TEST(sc12a_files_of_fizz) {
        static const char *const files[] = { "ea/fizz-authenticator-empty-certificate-list.json",
                                             "ea/fizz-authenticator-request.json", "ea/fizz-empty-authenticator.json" };

        for (size_t i = 0; i < G_N_ELEMENTS(files); i++) {
                g_autofree char *path = pki_vectors(files[i]), *framed = NULL;
                g_autoptr(GBytes) bare = NULL, request = NULL;
                g_auto(AttEaRequest) read = { 0 };
                const char *body, *authenticator;
                json_t *v;

                if (!path)
                        return;
                v = json_load_file(path, 0, NULL);
                body = json_string_value(json_object_get(v, "request"));
                authenticator = json_string_value(json_object_get(v, "authenticator"));
                framed = g_strdup_printf("0d%06x%s", (unsigned) strlen(body) / 2, body);
                bare = pki_from_hex(body);
                request = pki_from_hex(framed);
                ck_assert(!att_ea_request_read(bare, ATT_ROLE_SERVER, 0, &read, NULL));
                ck_assert(att_ea_request_read(request, ATT_ROLE_SERVER, 0, &read, NULL));
                if (authenticator && g_str_has_prefix(authenticator, "14"))
                        assert_fizz_refused(authenticator, body, ATT_ERROR_REFUSED, "finished: ");
                else if (authenticator)
                        assert_fizz_refused(authenticator, body, ATT_ERROR_BAD_DATA, "Certificate");
                json_decref(v);
        }
}
END_TEST

int main(void) {
        Suite *s = suite_create("ea-vectors");
        TCase *t = tcase_create("ea-vectors");

        tcase_set_timeout(t, 60);
        tcase_add_loop_test(t, exporter_of_tls_13, 0, G_N_ELEMENTS(exports));
        tcase_add_test(t, exporter_secret_of_rfc_8448);
        tcase_add_test(t, requests_of_both_roles);
        tcase_add_loop_test(t, empty_authenticators, 0, G_N_ELEMENTS(empties));
        tcase_add_test(t, sc12a_fizz_s_transcript_is_refused);
        tcase_add_test(t, bindings);
        tcase_add_test(t, whole_authenticator_of_a_server);
        tcase_add_test(t, refuses_the_authenticator_with_any_byte_changed);
        tcase_add_test(t, sc12a_shared_vectors);
        tcase_add_test(t, sc12a_files_of_fizz);
        suite_add_tcase(s, t);
        return run_suite(s);
}
