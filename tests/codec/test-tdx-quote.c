/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "codec/tdx-quote.h"
#include "exact.h"
#include "run.h"
#include "util/error.h"

#define PEM "-----BEGIN CERTIFICATE-----\nMAAA\n-----END CERTIFICATE-----\n"

/* What a made-up quote has. */
typedef struct Shape {
        uint16_t version, body_type; /* body_type: of version 5 */
        uint16_t outer, inner;       /* certification data; without inner there is no QE report */
        const char *pem;
        size_t trailing;
} Shape;

static const Shape v4 = { 4, 0, 6, 5, PEM, 0 };
static const Shape v5_10 = { 5, 2, 6, 5, PEM, 0 };
static const Shape v5_15 = { 5, 3, 6, 5, PEM, 0 };
static const Shape padded = { 4, 0, 6, 5, PEM, 3065 };
static const Shape bare_chain = { 4, 0, 5, 0, PEM, 0 };
static const Shape ppid = { 4, 0, 2, 0, "encrypted", 0 };
static const Shape inner_ppid = { 5, 3, 6, 3, "encrypted", 0 };
static const Shape nested = { 5, 3, 6, 6, "", 7 };
static const Shape *const shapes[] = { &v4, &v5_10, &v5_15, &padded, &bare_chain, &ppid, &inner_ppid, &nested };

/* A byte that tells its place. */
static void put_pattern(GByteArray *out, size_t n) {
        for (size_t i = 0; i < n; i++)
                att_put_be(out, (out->len * 7 + out->len / 256) & 0xff, 1);
}

static size_t body_at(const Shape *s) {
        return s->version == 5 ? 54 : 48;
}

static size_t body_size(const Shape *s) {
        return s->version == 5 && s->body_type == 3 ? 648 : 584;
}

static GBytes *make(const Shape *s) {
        g_autoptr(GByteArray) out = g_byte_array_new();
        size_t pem = strlen(s->pem), certification = s->inner == 0 ? pem : 384 + 64 + 2 + 5 + 6 + pem;

        att_put_le(out, s->version, 2);
        att_put_le(out, 2, 2);
        att_put_le(out, 0x81, 4);
        put_pattern(out, 40);
        if (s->version == 5) {
                att_put_le(out, s->body_type, 2);
                att_put_le(out, body_size(s), 4);
        }
        put_pattern(out, body_size(s));
        att_put_le(out, 128 + 6 + certification, 4);
        put_pattern(out, 128);
        att_put_le(out, s->outer, 2);
        att_put_le(out, certification, 4);
        if (s->inner != 0) {
                put_pattern(out, 384 + 64);
                att_put_le(out, 5, 2);
                put_pattern(out, 5);
                att_put_le(out, s->inner, 2);
                att_put_le(out, pem, 4);
        }
        att_put(out, s->pem, pem);
        put_pattern(out, s->trailing);
        return exact(out->data, out->len);
}

START_TEST(finds_every_field_at_its_place) {
        const Shape *s = shapes[_i];
        g_autoptr(GBytes) bytes = make(s);
        const uint8_t *p = g_bytes_get_data(bytes, NULL), *body = p + body_at(s), *data = body + body_size(s) + 4;
        const uint8_t *qe = data + 128 + 6;
        bool td15 = body_size(s) == 648, has_qe = s->inner != 0;
        bool has_chain = s->outer == 5 || s->inner == 5;
        AttTdxQuote q;

        ck_assert(att_tdx_quote_parse(bytes, &q, NULL));
        ck_assert_uint_eq(q.version, s->version);
        ck_assert_uint_eq(q.att_key_type, 2);
        ck_assert_uint_eq(q.tee_type, ATT_TDX_TEE_TYPE);
        ck_assert_int_eq(q.body, td15 ? ATT_TDX_BODY_15 : ATT_TDX_BODY_10);

        const struct {
                const uint8_t *found, *place;
        } fields[] = {
                { q.qe_vendor_id, p + 12 },
                { q.user_data, p + 28 },
                { q.tee_tcb_svn, body },
                { q.mr_seam, body + 16 },
                { q.mr_signer_seam, body + 64 },
                { q.seam_attributes, body + 112 },
                { q.td_attributes, body + 120 },
                { q.xfam, body + 128 },
                { q.mr_td, body + 136 },
                { q.mr_config_id, body + 184 },
                { q.mr_owner, body + 232 },
                { q.mr_owner_config, body + 280 },
                { q.rtmr[0], body + 328 },
                { q.rtmr[1], body + 376 },
                { q.rtmr[2], body + 424 },
                { q.rtmr[3], body + 472 },
                { q.report_data, body + 520 },
                { q.tee_tcb_svn2, td15 ? body + 584 : NULL },
                { q.mr_service_td, td15 ? body + 600 : NULL },
                { q.signature, data },
                { q.attestation_key, data + 64 },
                { q.qe_report.cpu_svn, has_qe ? qe : NULL },
                { q.qe_report.misc_select, has_qe ? qe + 16 : NULL },
                { q.qe_report.attributes, has_qe ? qe + 48 : NULL },
                { q.qe_report.mr_enclave, has_qe ? qe + 64 : NULL },
                { q.qe_report.mr_signer, has_qe ? qe + 128 : NULL },
                { q.qe_report.report_data, has_qe ? qe + 320 : NULL },
                { q.qe_report_bytes.at, has_qe ? qe : NULL },
                { q.qe_report_signature, has_qe ? qe + 384 : NULL },
                { q.qe_auth_data.at, has_qe ? qe + 450 : NULL },
                { q.certificates.at, has_chain ? (has_qe ? qe + 461 : qe) : NULL },
                { q.signed_part.at, p },
        };
        for (size_t i = 0; i < G_N_ELEMENTS(fields); i++)
                ck_assert_msg(fields[i].found == fields[i].place, "field %zu", i);

        ck_assert_uint_eq(q.signed_part.left, body_at(s) + body_size(s));
        ck_assert_uint_eq(q.certification_type, s->outer);
        ck_assert_uint_eq(q.inner_certification_type, s->inner);
        ck_assert_uint_eq(q.certificates.left, has_chain ? strlen(s->pem) : 0);
        ck_assert_uint_eq(q.qe_report_bytes.left, has_qe ? 384 : 0);
        ck_assert_uint_eq(q.qe_auth_data.left, has_qe ? 5 : 0);
        if (has_qe) {
                ck_assert_uint_eq(q.qe_report.isv_prod_id, qe[256] | qe[257] << 8);
                ck_assert_uint_eq(q.qe_report.isv_svn, qe[258] | qe[259] << 8);
        }
        ck_assert_uint_eq(q.trailing.left, s->trailing);
        ck_assert_uint_eq(q.quote_size + s->trailing, g_bytes_get_size(bytes));
        ck_assert_ptr_eq(att_tdx_quote_report_data(bytes), q.report_data);
}
END_TEST

static bool is_good(GBytes *bytes, int code) {
        g_autoptr(GError) error = NULL;
        AttTdxQuote q = { .version = 77 };

        if (att_tdx_quote_parse(bytes, &q, &error)) {
                ck_assert_ptr_null(error);
                return true;
        }
        ck_assert(g_error_matches(error, ATT_ERROR, code));
        ck_assert_uint_eq(q.version, 77);
        return false;
}

/* Trailing bytes are no part of a quote: every cut before them is refused, none among them. */
START_TEST(refuses_a_short_quote) {
        const Shape *s = shapes[_i];
        g_autoptr(GBytes) whole = make(s);
        size_t quote = g_bytes_get_size(whole) - s->trailing, report_data_end = body_at(s) + 520 + 64;

        for (size_t n = 0; n < g_bytes_get_size(whole); n += n < quote + 8 ? 1 : 64) {
                g_autoptr(GBytes) part = exact_prefix(whole, n);

                ck_assert(is_good(part, ATT_ERROR_BAD_DATA) == (n >= quote));
                ck_assert((att_tdx_quote_report_data(part) != NULL) == (n >= report_data_end));
        }
}
END_TEST

static const struct {
        const char *what;
        const Shape *shape;
        size_t at, size;
        const char *bytes;
        const char *says;
} damages[] = {
        { "version 3, SGX",           &v4, 0, 2, "\3\0", "SGX" },
        { "version 6",                &v4, 0, 2, "\6\0", "version" },
        { "version 0x0104",           &v4, 0, 2, "\4\1", "version" },
        { "CBOR, as a DICE platform", &v4, 0, 2, "\xd2\x84", "version" },
        { "key type P-384",           &v4, 2, 2, "\3\0", "key" },
        { "no key type",              &v5_15, 2, 2, "\0\0", "key" },
        { "TEE type SGX",             &v4, 4, 4, "\0\0\0\0", "SGX" },
        { "TEE type SGX, version 5",  &v5_15, 4, 4, "\0\0\0\0", "SGX" },
        { "TEE type unknown",         &v4, 4, 4, "\x82\0\0\0", "TEE type" },
        { "TEE type, high byte",      &v4, 4, 4, "\x81\0\0\1", "TEE type" },
        { "body SGX",                 &v5_15, 48, 2, "\1\0", "SGX" },
        { "body unknown",             &v5_15, 48, 2, "\4\0", "body" },
        { "body 1.0 as long as 1.5",  &v5_15, 48, 2, "\2\0", "body" },
        { "body 1.5 as long as 1.0",  &v5_10, 48, 2, "\3\0", "body" },
        { "body size huge",           &v5_15, 50, 4, "\xff\xff\xff\xff", "body" },
        { "signature data longer",    &v4, 632, 4, "\xff\xff\xff\xff", "size" },
        { "signature data empty",     &v4, 632, 4, "\0\0\0\0", "size" },
        { "signature data too short", &v4, 632, 4, "\x85\0\0\0", "size" },
        { "certification longer",     &v4, 766, 4, "\xff\xff\xff\xff", "size" },
        { "certification empty",      &v4, 766, 4, "\0\0\0\0", "size" },
        { "auth data longer",         &v4, 1218, 2, "\xff\xff", "size" },
        { "auth data shorter",        &v4, 1218, 2, "\4\0", "size" },
        { "chain longer",             &v4, 1227, 4, "\xff\xff\xff\xff", "size" },
        { "chain shorter",            &v4, 1227, 4, "\1\0\0\0", "size" },
};

START_TEST(refuses_a_damaged_quote) {
        g_autoptr(GBytes) good = make(damages[_i].shape), bad = NULL;
        g_autoptr(GError) error = NULL;
        AttTdxQuote q;

        bad = exact_edit(good, damages[_i].at, damages[_i].bytes, damages[_i].size);
        ck_assert(is_good(good, 0));
        ck_assert_msg(!is_good(bad, ATT_ERROR_BAD_DATA), "accepted: %s", damages[_i].what);
        ck_assert(!att_tdx_quote_parse(bad, &q, &error));
        ck_assert_msg(strstr(error->message, damages[_i].says) != NULL, "%s: %s", damages[_i].what, error->message);
}
END_TEST

/* The 64 bytes lie where kernel and vendor say, whatever is around them. */
START_TEST(sc09a_report_data_is_64_bytes_at_its_place) {
        static const struct {
                const Shape *shape;
                size_t at;
        } cases[] = { { &v4, 568 }, { &v5_10, 574 }, { &v5_15, 574 } };
        uint8_t report_data[64];

        for (size_t i = 0; i < sizeof report_data; i++)
                report_data[i] = (uint8_t) (0xc0 + i);
        for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
                g_autoptr(GBytes) blank = make(cases[i].shape);
                g_autoptr(GBytes) bytes = exact_edit(blank, cases[i].at, report_data, sizeof report_data);
                g_autoptr(GBytes) shifted = exact_edit(blank, cases[i].at + 1, report_data, sizeof report_data);
                AttTdxQuote q;

                ck_assert(att_tdx_quote_parse(bytes, &q, NULL));
                ck_assert_mem_eq(q.report_data, report_data, sizeof report_data);
                ck_assert_mem_eq(att_tdx_quote_report_data(bytes), report_data, sizeof report_data);
                ck_assert_mem_ne(att_tdx_quote_report_data(shifted), report_data, sizeof report_data);
        }
}
END_TEST

START_TEST(sc34d_a_quote_has_a_cap) {
        g_autoptr(GBytes) small = make(&v4);
        Shape shape = v4;

        shape.trailing = ATT_TDX_QUOTE_MAX - g_bytes_get_size(small);
        g_autoptr(GBytes) at_cap = make(&shape), over = exact_append(at_cap, "", 1);
        shape.trailing = 1u << 24;
        g_autoptr(GBytes) huge = make(&shape);

        ck_assert(is_good(at_cap, 0));
        ck_assert(!is_good(over, ATT_ERROR_TOO_LARGE));
        ck_assert(!is_good(huge, ATT_ERROR_TOO_LARGE));
}
END_TEST

int main(void) {
        Suite *s = suite_create("tdx-quote");
        TCase *t = tcase_create("layout");

        tcase_add_loop_test(t, finds_every_field_at_its_place, 0, (int) G_N_ELEMENTS(shapes));
        tcase_add_loop_test(t, refuses_a_short_quote, 0, (int) G_N_ELEMENTS(shapes));
        tcase_add_loop_test(t, refuses_a_damaged_quote, 0, (int) G_N_ELEMENTS(damages));
        tcase_add_test(t, sc09a_report_data_is_64_bytes_at_its_place);
        tcase_add_test(t, sc34d_a_quote_has_a_cap);
        suite_add_tcase(s, t);
        return run_suite(s);
}
