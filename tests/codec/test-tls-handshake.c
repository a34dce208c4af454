/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "codec/tls-handshake.h"
#include "exact.h"
#include "run.h"
#include "util/error.h"
#include "util/tls-terms.h"

#define CONTEXT "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"
#define EXTENSIONS_AT 37u /* of a request with a context of 32 bytes: the length of its extensions */

/* Two requests as RFC 9261 and draft-fossati-seat-expat-03 lay them out. */
static const char by_server[] = "0d00002f 20" CONTEXT "000c 000d 0004 0002 0403 ff00 0000";
static const char by_client[] = "1100002f 20" CONTEXT "000c 000d 0004 0002 0807 ff00 0000";

static GBytes *context(void) {
        return exact_hex(CONTEXT);
}

static bool request_is_good(GBytes *bytes, int code) {
        g_autoptr(GError) error = NULL;
        AttTlsRequest r = { .message_type = 77 };

        if (att_tls_request_parse(bytes, &r, &error)) {
                ck_assert_ptr_null(error);
                return true;
        }
        ck_assert(g_error_matches(error, ATT_ERROR, code));
        ck_assert_uint_eq(r.message_type, 77);
        return false;
}

START_TEST(reads_and_makes_a_request) {
        static const uint16_t ecdsa = 0x0403, ed25519 = 0x0807;
        g_autoptr(GBytes) bytes = exact_hex(_i == 0 ? by_server : by_client), same = NULL, c = context();
        AttTlsRequest r;

        ck_assert(att_tls_request_parse(bytes, &r, NULL));
        ck_assert_uint_eq(r.message_type, _i == 0 ? ATT_TLS_CERTIFICATE_REQUEST : ATT_TLS_CLIENT_CERTIFICATE_REQUEST);
        ck_assert_uint_eq(r.context.left, 32);
        ck_assert_mem_eq(r.context.at, g_bytes_get_data(c, NULL), 32);
        ck_assert_uint_eq(r.n_extensions, 2);
        ck_assert_uint_eq(r.n_schemes, 1);
        ck_assert_uint_eq(r.schemes[0], _i == 0 ? ecdsa : ed25519);
        ck_assert_uint_eq(att_tls_request_find(&r, 0xff00)->data.left, 0);
        ck_assert_ptr_null(att_tls_request_find(&r, ATT_TLS_EXT_SERVER_NAME));

        same = att_tls_request_build(r.message_type, c, _i == 0 ? &ecdsa : &ed25519, 1, 0xff00);
        ck_assert_bytes_eq(same, bytes);
}
END_TEST

START_TEST(offers_no_extension_if_none_is_wanted) {
        static const uint16_t schemes[] = { 0x0403, 0x0804, 0x0807 };
        g_autoptr(GBytes) empty = g_bytes_new(NULL, 0);
        g_autoptr(GBytes) bytes = att_tls_request_build(ATT_TLS_CERTIFICATE_REQUEST, empty, schemes, 3, 0);
        AttTlsRequest r;

        ck_assert(att_tls_request_parse(bytes, &r, NULL));
        ck_assert_uint_eq(r.context.left, 0);
        ck_assert_uint_eq(r.n_extensions, 1);
        ck_assert_uint_eq(r.n_schemes, 3);
        ck_assert_mem_eq(r.schemes, schemes, sizeof schemes);
}
END_TEST

START_TEST(refuses_a_short_request) {
        g_autoptr(GBytes) whole = exact_hex(by_client);

        for (size_t n = 0; n < g_bytes_get_size(whole); n++) {
                g_autoptr(GBytes) part = exact_prefix(whole, n);

                ck_assert(!request_is_good(part, ATT_ERROR_BAD_DATA));
        }
}
END_TEST

static const struct {
        const char *what;
        const char *hex;
        bool good;
} requests[] = {
        { "as it should be",               "0d00000b 00 0008 000d 0004 0002 0403", true },
        { "an unknown extension",          "0d00000f 00 000c 000d 0004 0002 0403 0abc 0000", true },
        { "an extension with data",        "0d000011 00 000e 0000 0002 abcd 000d 0004 0002 0403", true },
        { "ServerHello",                   "0200000b 00 0008 000d 0004 0002 0403", false },
        { "Certificate",                   "0b00000b 00 0008 000d 0004 0002 0403", false },
        { "longer than it says",           "0d00000a 00 0008 000d 0004 0002 0403", false },
        { "shorter than it says",          "0d00000c 00 0008 000d 0004 0002 0403", false },
        { "context longer than message",   "0d00000b ff 0008 000d 0004 0002 0403", false },
        { "extensions shorter",            "0d00000b 00 0007 000d 0004 0002 0403", false },
        { "extensions longer",             "0d00000b 00 0009 000d 0004 0002 0403", false },
        { "byte after extensions",         "0d00000c 00 0008 000d 0004 0002 0403 00", false },
        { "no extensions",                 "0d000003 00 0000", false },
        { "no list of extensions",         "0d000001 00", false },
        { "no signature_algorithms",       "0d000007 00 0004 ff00 0000", false },
        { "no schemes",                    "0d000009 00 0006 000d 0002 0000", false },
        { "half a scheme",                 "0d00000a 00 0007 000d 0003 0001 04", false },
        { "schemes longer than extension", "0d00000b 00 0008 000d 0004 0004 0403", false },
        { "schemes shorter",               "0d00000d 00 000a 000d 0006 0002 0403 0807", false },
        { "signature_algorithms twice",    "0d000013 00 0010 000d 0004 0002 0403 000d 0004 0002 0403", false },
        { "another extension twice",       "0d000013 00 0010 000d 0004 0002 0403 ff00 0000 ff00 0000", false },
        { "half an extension",             "0d00000e 00 000b 000d 0004 0002 0403 ff00 00", false },
};

START_TEST(reads_or_refuses_a_request) {
        g_autoptr(GBytes) bytes = exact_hex(requests[_i].hex);

        ck_assert_msg(request_is_good(bytes, ATT_ERROR_BAD_DATA) == requests[_i].good, "%s", requests[_i].what);
}
END_TEST

/* A request whose extensions are signature_algorithms with @schemes, then @more empty ones, then one of @size bytes. */
static GBytes *big_request(size_t schemes, size_t more, size_t size) {
        g_autoptr(GByteArray) extensions = g_byte_array_new(), out = g_byte_array_new();
        g_autofree char *filling = g_malloc0(MAX(size, 1));

        att_put_be(extensions, ATT_TLS_EXT_SIGNATURE_ALGORITHMS, 2);
        att_put_be(extensions, 2 + 2 * schemes, 2);
        att_put_be(extensions, 2 * schemes, 2);
        for (size_t i = 0; i < schemes; i++)
                att_put_be(extensions, 0x0400 + i, 2);
        for (size_t i = 0; i < more; i++) {
                att_put_be(extensions, 0x1000 + i, 2);
                att_put_be(extensions, 0, 2);
        }
        if (size > 0) {
                att_put_be(extensions, 0xfafa, 2);
                att_put_be(extensions, size, 2);
                att_put(extensions, filling, size);
        }

        att_put_be(out, ATT_TLS_CERTIFICATE_REQUEST, 1);
        att_put_be(out, 3 + extensions->len, 3);
        att_put_be(out, 0, 1);
        att_put_be(out, extensions->len, 2);
        att_put(out, extensions->data, extensions->len);
        return exact(out->data, out->len);
}

/* A certificate, and a chain of @n of them. */
static const uint8_t leaf[] = { 0x30, 3, 2, 1, 5 }, issuer[] = { 0x30, 4, 2, 2, 1, 5 };

static GPtrArray *chain(size_t n, size_t leaf_size) {
        GPtrArray *all = g_ptr_array_new_with_free_func((GDestroyNotify) g_bytes_unref);

        for (size_t i = 0; i < n; i++)
                g_ptr_array_add(all, i > 0 ? g_bytes_new_static(issuer, sizeof issuer)
                                     : leaf_size == 0 ? g_bytes_new_static(leaf, sizeof leaf)
                                     : g_bytes_new_take(g_malloc0(leaf_size), leaf_size));
        return all;
}

static GBytes *filled(size_t size) {
        guint8 *p = g_malloc(size);

        memset(p, 0x5a, size);
        return g_bytes_new_take(p, size);
}

/* Certificate || CertificateVerify || Finished with verify_data of 32 bytes. */
static GBytes *authenticator(size_t certificates, size_t leaf_size, size_t cmw_size) {
        static const uint8_t mac[32] = { 0x4d };
        g_autoptr(GPtrArray) all = chain(certificates, leaf_size);
        g_autoptr(GBytes) cmw = cmw_size > 0 ? filled(cmw_size) : NULL, signature = filled(64), c = context();
        g_autoptr(GBytes) certificate = att_tls_certificate_build(c, all, 0xff00, cmw, NULL);
        g_autoptr(GBytes) verify = att_tls_certificate_verify_build(0x0807, signature);
        g_autoptr(GBytes) finished = att_tls_finished_build(mac, sizeof mac);
        g_autoptr(GByteArray) out = g_byte_array_new();

        ck_assert_ptr_nonnull(certificate);
        att_put_bytes(out, certificate);
        att_put_bytes(out, verify);
        att_put_bytes(out, finished);
        return exact(out->data, out->len);
}

static bool authenticator_is_good(GBytes *bytes, int code) {
        g_auto(AttTlsAuthenticator) a = { .scheme = 77 };
        g_autoptr(GError) error = NULL;

        if (att_tls_authenticator_parse(bytes, 32, &a, &error)) {
                ck_assert_ptr_null(error);
                return true;
        }
        ck_assert(g_error_matches(error, ATT_ERROR, code));
        ck_assert_uint_eq(a.scheme, 77);
        ck_assert_ptr_null(a.entries);
        return false;
}

START_TEST(reads_an_authenticator) {
        g_autoptr(GBytes) bytes = authenticator(2, 0, 10);
        g_auto(AttTlsAuthenticator) a = { 0 };
        const AttTlsCertificateEntry *e;
        AttCursor cmw;

        ck_assert(att_tls_authenticator_parse(bytes, 32, &a, NULL));
        ck_assert(!a.is_empty);
        ck_assert_uint_eq(a.context.left, 32);
        ck_assert_uint_eq(a.context.at[31], 0x1f);
        ck_assert_uint_eq(a.entries->len, 2);
        e = &g_array_index(a.entries, AttTlsCertificateEntry, 0);
        ck_assert_uint_eq(e->der.left, sizeof leaf);
        ck_assert_mem_eq(e->der.at, leaf, sizeof leaf);
        ck_assert_uint_eq(e->n_extensions, 1);
        ck_assert_uint_eq(e->extensions[0].type, 0xff00);
        ck_assert(att_tls_cmw_attestation_parse(e->extensions[0].data, &cmw, NULL));
        ck_assert_uint_eq(cmw.left, 10);
        ck_assert_uint_eq(cmw.at[0], 0x5a);
        e = &g_array_index(a.entries, AttTlsCertificateEntry, 1);
        ck_assert_mem_eq(e->der.at, issuer, sizeof issuer);
        ck_assert_uint_eq(e->n_extensions, 0);
        ck_assert_uint_eq(a.scheme, 0x0807);
        ck_assert_uint_eq(a.signature.left, 64);
        ck_assert_uint_eq(a.verify_data.left, 32);
        ck_assert_uint_eq(a.verify_data.at[0], 0x4d);

        /* The three messages are the whole of it, in their order. */
        ck_assert_ptr_eq(a.certificate_message.at, g_bytes_get_data(bytes, NULL));
        ck_assert_ptr_eq(a.certificate_verify_message.at, a.certificate_message.at + a.certificate_message.left);
        ck_assert_ptr_eq(a.finished_message.at,
                         a.certificate_verify_message.at + a.certificate_verify_message.left);
        ck_assert_uint_eq(a.certificate_message.left + a.certificate_verify_message.left + a.finished_message.left,
                          g_bytes_get_size(bytes));
}
END_TEST

START_TEST(reads_an_empty_authenticator) {
        g_autoptr(GByteArray) mac = g_byte_array_new();
        g_autoptr(GBytes) bytes = NULL;
        g_auto(AttTlsAuthenticator) a = { 0 };

        g_byte_array_set_size(mac, 48);
        bytes = att_tls_finished_build(mac->data, mac->len);
        ck_assert(att_tls_authenticator_parse(bytes, 48, &a, NULL));
        ck_assert(a.is_empty);
        ck_assert_uint_eq(a.entries->len, 0);
        ck_assert_uint_eq(a.verify_data.left, 48);
        ck_assert_uint_eq(a.finished_message.left, 52);

        /* As long as the hash of the suite, not as some hash. */
        ck_assert(!authenticator_is_good(bytes, ATT_ERROR_BAD_DATA));
}
END_TEST

START_TEST(refuses_a_short_authenticator) {
        g_autoptr(GBytes) whole = authenticator(2, 0, 10);

        for (size_t n = 0; n < g_bytes_get_size(whole); n++) {
                g_autoptr(GBytes) part = exact_prefix(whole, n);

                ck_assert(!authenticator_is_good(part, ATT_ERROR_BAD_DATA));
        }
}
END_TEST

#define CERTIFICATE "0b00000f 01aa 00000a 000005 3003020105 0000"
#define VERIFY "0f000005 0807 0001 ff"
#define MAC "000102030405060708090a0b0c0d0e0f000102030405060708090a0b0c0d0e0f"
#define FINISHED "14000020" MAC

static const struct {
        const char *what;
        const char *hex;
        bool good;
} authenticators[] = {
        { "as it should be",           CERTIFICATE VERIFY FINISHED, true },
        { "empty",                     FINISHED, true },
        { "empty context",             "0b00000e 00 00000a 000005 3003020105 0000" VERIFY FINISHED, true },
        { "Finished twice",            CERTIFICATE VERIFY FINISHED FINISHED, false },
        { "empty, twice",              FINISHED FINISHED, false },
        { "no Finished",               CERTIFICATE VERIFY, false },
        { "no CertificateVerify",      CERTIFICATE FINISHED, false },
        { "no Certificate",            VERIFY FINISHED, false },
        { "another order",             VERIFY CERTIFICATE FINISHED, false },
        { "Finished first",            FINISHED CERTIFICATE VERIFY, false },
        { "short verify_data",         CERTIFICATE VERIFY "1400001f 000102030405060708090a0b0c0d0e0f"
                                       "000102030405060708090a0b0c0d0e", false },
        { "long verify_data",          CERTIFICATE VERIFY "14000021" MAC "00", false },
        { "no verify_data",            CERTIFICATE VERIFY "14000000", false },
        { "Certificate of no entries", "0b000005 01aa 000000" VERIFY FINISHED, false },
        { "no entries, as fizz has",   "0b000004 00 000000" VERIFY FINISHED, false },
        { "empty certificate",         "0b00000a 01aa 000005 000000 0000" VERIFY FINISHED, false },
        { "entry without extensions",  "0b00000d 01aa 000008 000005 3003020105" VERIFY FINISHED, false },
        { "list longer",               "0b00000f 01aa 00000b 000005 3003020105 0000" VERIFY FINISHED, false },
        { "list shorter",              "0b00000f 01aa 000009 000005 3003020105 0000" VERIFY FINISHED, false },
        { "byte after the list",       "0b000010 01aa 00000a 000005 3003020105 0000 00" VERIFY FINISHED, false },
        { "DER longer than the list",  "0b00000f 01aa 00000a ffffff 3003020105 0000" VERIFY FINISHED, false },
        { "context longer",            "0b00000f ffaa 00000a 000005 3003020105 0000" VERIFY FINISHED, false },
        { "extension twice",           "0b000017 01aa 000012 000005 3003020105 0008 ff000000 ff000000" VERIFY FINISHED,
                                       false },
        { "two extensions",            "0b000017 01aa 000012 000005 3003020105 0008 ff000000 ff010000" VERIFY FINISHED,
                                       true },
        { "empty signature",           CERTIFICATE "0f000004 0807 0000" FINISHED, false },
        { "signature longer",          CERTIFICATE "0f000005 0807 0002 ff" FINISHED, false },
        { "signature shorter",         CERTIFICATE "0f000006 0807 0001 ff00" FINISHED, false },
};

START_TEST(reads_or_refuses_an_authenticator) {
        g_autoptr(GBytes) bytes = exact_hex(authenticators[_i].hex);

        ck_assert_msg(authenticator_is_good(bytes, ATT_ERROR_BAD_DATA) == authenticators[_i].good, "%s",
                      authenticators[_i].what);
}
END_TEST

static const struct {
        const char *what;
        const char *hex;
        bool good;
} responses[] = {
        { "one byte",     "0001 a0", true },
        { "request form", "", false },
        { "empty CMW",    "0000", false },
        { "half a size",  "00", false },
        { "longer",       "0002 a0", false },
        { "shorter",      "0001 a0a0", false },
};

START_TEST(reads_or_refuses_a_cmw_attestation) {
        g_autoptr(GBytes) bytes = exact_hex(responses[_i].hex);
        AttCursor cmw = { .left = 77 };

        ck_assert_msg(att_tls_cmw_attestation_parse(att_cursor_bytes(bytes), &cmw, NULL) == responses[_i].good, "%s",
                      responses[_i].what);
        ck_assert_uint_eq(cmw.left, responses[_i].good ? 1 : 77);
}
END_TEST

START_TEST(makes_no_certificate_message_that_cannot_be) {
        g_autoptr(GPtrArray) none = chain(0, 0), one = chain(1, 0);
        g_autoptr(GBytes) c = context(), cmw = filled(4), empty = g_bytes_new(NULL, 0), long_context = filled(256);
        g_autoptr(GBytes) zero = NULL;
        const struct {
                GBytes *context;
                GPtrArray *certificates;
                GBytes *cmw;
        } bad[] = { { c, none, cmw }, { c, one, empty }, { long_context, one, NULL } };

        for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
                g_autoptr(GError) error = NULL;

                ck_assert_ptr_null(att_tls_certificate_build(bad[i].context, bad[i].certificates, 0xff00, bad[i].cmw,
                                                             &error));
                ck_assert(g_error_matches(error, ATT_ERROR, ATT_ERROR_INVALID_ARGUMENT));
        }
        g_ptr_array_add(one, g_bytes_ref(empty));
        ck_assert_ptr_null(att_tls_certificate_build(c, one, 0xff00, NULL, NULL));

        /* The most that can be: its context, its certificates, its size. */
        g_autoptr(GBytes) longest = filled(ATT_CONTEXT_SIZE_MAX), most = NULL;
        g_autoptr(GPtrArray) many = chain(ATT_TLS_CERTIFICATES_MAX, 0);
        g_autoptr(GPtrArray) too_many = chain(ATT_TLS_CERTIFICATES_MAX + 1, 0);
        size_t room = ATT_TLS_AUTHENTICATOR_MAX - 2048 - 8;
        g_autoptr(GPtrArray) big = chain(1, room), too_big = chain(1, room + 1);
        g_autoptr(GBytes) biggest = att_tls_certificate_build(c, big, 0, NULL, NULL);
        most = att_tls_certificate_build(longest, many, 0xff00, cmw, NULL);
        ck_assert(biggest && most);
        ck_assert_ptr_null(att_tls_certificate_build(c, too_many, 0, NULL, NULL));
        ck_assert_ptr_null(att_tls_certificate_build(c, too_big, 0, NULL, NULL));

        /* What the empty authenticator hashes in the place of a Certificate. */
        zero = att_tls_certificate_build(c, none, 0xff00, NULL, NULL);
        g_autoptr(GBytes) expected = exact_hex("0b000024 20" CONTEXT "000000");
        ck_assert_bytes_eq(zero, expected);
}
END_TEST

START_TEST(sc12c_trailing_bytes_are_refused) {
        g_autoptr(GBytes) request = exact_hex(by_client), whole = authenticator(1, 0, 10);
        g_autoptr(GBytes) more_request = exact_append(request, "", 1), more = exact_append(whole, "", 1);
        g_autoptr(GBytes) two = exact_append(request, g_bytes_get_data(request, NULL), g_bytes_get_size(request));

        ck_assert(request_is_good(request, 0));
        ck_assert(!request_is_good(more_request, ATT_ERROR_BAD_DATA));
        ck_assert(!request_is_good(two, ATT_ERROR_BAD_DATA));
        ck_assert(authenticator_is_good(whole, 0));
        ck_assert(!authenticator_is_good(more, ATT_ERROR_BAD_DATA));
}
END_TEST

START_TEST(sc34b_counts_have_a_cap) {
        static const struct {
                size_t schemes, more;
                bool good;
        } cases[] = {
                { ATT_TLS_SCHEMES_MAX, 0, true },
                { ATT_TLS_SCHEMES_MAX + 1, 0, false },
                { 8000, 0, false },
                { 1, ATT_TLS_EXTENSIONS_MAX - 1, true },
                { 1, ATT_TLS_EXTENSIONS_MAX, false },
                { 1, 4000, false },
        };

        for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
                g_autoptr(GBytes) bytes = big_request(cases[i].schemes, cases[i].more, 0);

                ck_assert(request_is_good(bytes, ATT_ERROR_BAD_DATA) == cases[i].good);
        }
}
END_TEST

/* More certificates than we take, in a message that we would not make. */
START_TEST(sc34b_certificates_have_a_cap) {
        static const size_t counts[] = { ATT_TLS_CERTIFICATES_MAX, ATT_TLS_CERTIFICATES_MAX + 1, 10000 };

        for (size_t i = 0; i < G_N_ELEMENTS(counts); i++) {
                g_autoptr(GByteArray) out = g_byte_array_new();
                g_autoptr(GBytes) rest = exact_hex(VERIFY FINISHED), bytes = NULL;

                att_put_be(out, ATT_TLS_CERTIFICATE, 1);
                att_put_be(out, 1 + 3 + 6 * counts[i], 3);
                att_put_be(out, 0, 1);
                att_put_be(out, 6 * counts[i], 3);
                for (size_t k = 0; k < counts[i]; k++)
                        att_put_be(out, 0x000001050000, 6);
                att_put_bytes(out, rest);
                bytes = exact(out->data, out->len);
                ck_assert(authenticator_is_good(bytes, ATT_ERROR_BAD_DATA) == (i == 0));
        }
}
END_TEST

START_TEST(sc34c_the_length_of_a_cmw_has_a_cap) {
        static const size_t sizes[] = { ATT_CMW_SIZE_MAX, ATT_CMW_SIZE_MAX + 1, 1u << 24 };
        g_autoptr(GPtrArray) one = chain(1, 0);
        g_autoptr(GBytes) c = context(), whole = authenticator(1, 0, ATT_CMW_SIZE_MAX);

        ck_assert(authenticator_is_good(whole, 0));
        for (size_t i = 0; i < G_N_ELEMENTS(sizes); i++) {
                g_autoptr(GBytes) cmw = filled(sizes[i]);
                g_autoptr(GError) error = NULL;
                g_autoptr(GBytes) made = att_tls_certificate_build(c, one, 0xff00, cmw, &error);

                ck_assert((made != NULL) == (i == 0));
                ck_assert((made == NULL) == g_error_matches(error, ATT_ERROR, ATT_ERROR_TOO_LARGE));
        }

        /* As a lone extension may be four bytes longer than one in an entry. */
        g_autoptr(GByteArray) out = g_byte_array_new();
        AttCursor cmw;

        g_byte_array_set_size(out, 2 + ATT_CMW_SIZE_MAX + 1);
        out->data[0] = out->data[1] = 0xff;
        out->data[1] = (guint8) (ATT_CMW_SIZE_MAX & 0xff);
        ck_assert(att_tls_cmw_attestation_parse(att_cursor(out->data, 2 + ATT_CMW_SIZE_MAX), &cmw, NULL));
        out->data[1]++;
        ck_assert(!att_tls_cmw_attestation_parse(att_cursor(out->data, 2 + ATT_CMW_SIZE_MAX + 1), &cmw, NULL));
}
END_TEST

/* A length that says more than there is costs nothing but the answer no. */
START_TEST(sc34c_lengths_beyond_the_input_are_refused) {
        g_autoptr(GBytes) request = exact_hex(by_server), whole = authenticator(1, 0, 10);
        static const struct {
                bool in_request;
                size_t at, size;
        } lengths[] = {
                { true, 1, 3 }, { true, 4, 1 }, { true, EXTENSIONS_AT, 2 }, { true, EXTENSIONS_AT + 4, 2 },
                { true, EXTENSIONS_AT + 6, 2 }, { false, 1, 3 }, { false, 4, 1 }, { false, 37, 3 }, { false, 40, 3 },
                { false, 48, 2 }, { false, 52, 2 },
        };

        for (size_t i = 0; i < G_N_ELEMENTS(lengths); i++) {
                g_autoptr(GBytes) bytes = exact_edit(lengths[i].in_request ? request : whole, lengths[i].at,
                                                     "\xff\xff\xff", lengths[i].size);

                ck_assert(lengths[i].in_request ? !request_is_good(bytes, ATT_ERROR_BAD_DATA)
                                                : !authenticator_is_good(bytes, ATT_ERROR_BAD_DATA));
        }
        ck_assert(request_is_good(request, 0) && authenticator_is_good(whole, 0));
}
END_TEST

START_TEST(sc34d_whole_messages_have_a_cap) {
        g_autoptr(GBytes) small = big_request(1, 0, 1), big = authenticator(1, 1, 0);
        size_t request_room = ATT_TLS_REQUEST_MAX - g_bytes_get_size(small) + 1;
        size_t room = ATT_TLS_AUTHENTICATOR_MAX - g_bytes_get_size(big) + 1;
        g_autoptr(GBytes) request_at_cap = big_request(1, 0, request_room);
        g_autoptr(GBytes) request_over = big_request(1, 0, request_room + 1);
        g_autoptr(GBytes) request_huge = filled(1u << 24);
        g_autoptr(GPtrArray) too_big = chain(1, room), fits = chain(1, room - 2048);
        g_autoptr(GBytes) c = context(), made = NULL, none = NULL, rest = NULL, whole = NULL, over = NULL;
        g_autoptr(GError) error = NULL;

        ck_assert_uint_eq(g_bytes_get_size(request_at_cap), ATT_TLS_REQUEST_MAX);
        ck_assert(request_is_good(request_at_cap, 0));
        ck_assert(!request_is_good(request_over, ATT_ERROR_TOO_LARGE));
        ck_assert(!request_is_good(request_huge, ATT_ERROR_TOO_LARGE));

        /* We leave room for what follows Certificate, a peer need not. */
        none = att_tls_certificate_build(c, too_big, 0, NULL, &error);
        ck_assert(none == NULL && g_error_matches(error, ATT_ERROR, ATT_ERROR_TOO_LARGE));
        made = att_tls_certificate_build(c, fits, 0, NULL, NULL);
        ck_assert_ptr_nonnull(made);

        g_autoptr(GByteArray) out = g_byte_array_new();
        att_put_be(out, ATT_TLS_CERTIFICATE, 1);
        att_put_be(out, 33 + 3 + 3 + room + 2, 3);
        att_put_be(out, 32, 1);
        att_put_bytes(out, c);
        att_put_be(out, 3 + room + 2, 3);
        att_put_be(out, room, 3);
        g_byte_array_set_size(out, (guint) (out->len + room));
        att_put_be(out, 0, 2);
        rest = exact_hex(FINISHED);
        g_autoptr(GBytes) signature = filled(64), verify = att_tls_certificate_verify_build(0x0403, signature);
        att_put_bytes(out, verify);
        att_put_bytes(out, rest);
        whole = exact(out->data, out->len);
        ck_assert_uint_eq(g_bytes_get_size(whole), ATT_TLS_AUTHENTICATOR_MAX);
        ck_assert(authenticator_is_good(whole, 0));
        over = exact_append(whole, "", 1);
        ck_assert(!authenticator_is_good(over, ATT_ERROR_TOO_LARGE));
        ck_assert(!authenticator_is_good(request_huge, ATT_ERROR_TOO_LARGE));
}
END_TEST

int main(void) {
        Suite *s = suite_create("tls-handshake");
        TCase *t = tcase_create("request");

        tcase_add_loop_test(t, reads_and_makes_a_request, 0, 2);
        tcase_add_test(t, offers_no_extension_if_none_is_wanted);
        tcase_add_test(t, refuses_a_short_request);
        tcase_add_loop_test(t, reads_or_refuses_a_request, 0, (int) G_N_ELEMENTS(requests));
        suite_add_tcase(s, t);

        t = tcase_create("authenticator");
        tcase_add_test(t, reads_an_authenticator);
        tcase_add_test(t, reads_an_empty_authenticator);
        tcase_add_test(t, refuses_a_short_authenticator);
        tcase_add_loop_test(t, reads_or_refuses_an_authenticator, 0, (int) G_N_ELEMENTS(authenticators));
        tcase_add_loop_test(t, reads_or_refuses_a_cmw_attestation, 0, (int) G_N_ELEMENTS(responses));
        tcase_add_test(t, makes_no_certificate_message_that_cannot_be);
        suite_add_tcase(s, t);

        t = tcase_create("security");
        tcase_add_test(t, sc12c_trailing_bytes_are_refused);
        tcase_add_test(t, sc34b_counts_have_a_cap);
        tcase_add_test(t, sc34b_certificates_have_a_cap);
        tcase_add_test(t, sc34c_the_length_of_a_cmw_has_a_cap);
        tcase_add_test(t, sc34c_lengths_beyond_the_input_are_refused);
        tcase_add_test(t, sc34d_whole_messages_have_a_cap);
        suite_add_tcase(s, t);
        return run_suite(s);
}
