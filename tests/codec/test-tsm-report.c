/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "codec/cbor-out.h"
#include "codec/tsm-report.h"
#include "exact.h"
#include "run.h"
#include "util/bytes.h"
#include "util/error.h"

#define OUTBLOB "676f7574626c6f62"
#define AUXBLOB "67617578626c6f62"
#define PROVIDER "6870726f7669646572"
#define MANIFEST "6c6d616e6966657374626c6f62"
#define SERVICE "70736572766963655f70726f7669646572"
#define TDX "697464785f6775657374"
#define SVSM "647376736d"

static void check(const char *what, const char *media_type, GBytes *bytes, bool good) {
        g_autoptr(GError) error = NULL;
        g_autoptr(AttTsmReport) report = att_tsm_report_decode(media_type, bytes, &error);

        ck_assert_msg((report != NULL) == good, "%s: %s", what, error ? error->message : "accepted");
        ck_assert(report || g_error_matches(error, ATT_ERROR, ATT_ERROR_BAD_DATA));
        if (!report)
                return;
        ck_assert_str_eq(report->provider, "tdx_guest");
        ck_assert_uint_gt(g_bytes_get_size(report->outblob), 0);
}

static const struct {
        const char *what;
        const char *hex;
        bool good;
} cbor[] = {
        { "the least", "a2" OUTBLOB "4101" PROVIDER TDX, true },
        { "all", "a5" AUXBLOB "4102" OUTBLOB "4101" PROVIDER TDX MANIFEST "4103" SERVICE SVSM, true },
        { "another order", "a2" PROVIDER TDX OUTBLOB "4101", true },
        { "of indefinite length", "bf" OUTBLOB "5f 4101 ff" PROVIDER TDX "ff", true },
        { "an empty auxblob", "a3" AUXBLOB "40" OUTBLOB "4101" PROVIDER TDX, true },
        { "service_provider alone", "a3" OUTBLOB "4101" PROVIDER TDX SERVICE SVSM, true },
        { "empty", "a0", false },
        { "an array", "824101" TDX, false },
        { "no outblob", "a1" PROVIDER TDX, false },
        { "empty outblob", "a2" OUTBLOB "40" PROVIDER TDX, false },
        { "outblob is text", "a2" OUTBLOB "6161" PROVIDER TDX, false },
        { "no provider", "a1" OUTBLOB "4101", false },
        { "empty provider", "a2" OUTBLOB "4101" PROVIDER "60", false },
        { "provider is bytes", "a2" OUTBLOB "4101" PROVIDER "4101", false },
        { "provider with a newline", "a2" OUTBLOB "4101" PROVIDER "62610a", false },
        { "auxblob is text", "a3" AUXBLOB "6161" OUTBLOB "4101" PROVIDER TDX, false },
        { "auxblob is null", "a3" AUXBLOB "f6" OUTBLOB "4101" PROVIDER TDX, false },
        { "manifestblob alone", "a3" OUTBLOB "4101" PROVIDER TDX MANIFEST "4103", false },
        { "an unknown key", "a3" OUTBLOB "4101" PROVIDER TDX "6161 00", false },
        { "an unknown key, a number", "a3" OUTBLOB "4101" PROVIDER TDX "00 00", false },
        { "outblob twice", "a3" OUTBLOB "4101" OUTBLOB "4102" PROVIDER TDX, false },
        { "a byte more", "a2" OUTBLOB "4101" PROVIDER TDX "00", false },
};

START_TEST(reads_or_refuses_cbor) {
        g_autoptr(GBytes) bytes = exact_hex(cbor[_i].hex);

        check(cbor[_i].what, ATT_TSM_REPORT_CBOR, bytes, cbor[_i].good);
        check(cbor[_i].what, ATT_TSM_REPORT_JSON, bytes, false);
        check(cbor[_i].what, "application/cbor", bytes, false);
        for (size_t n = 0; cbor[_i].good && n < g_bytes_get_size(bytes); n++) {
                g_autoptr(GBytes) part = exact_prefix(bytes, n);

                check("a part", ATT_TSM_REPORT_CBOR, part, false);
        }
}
END_TEST

static const struct {
        const char *what;
        const char *text;
        bool good;
} json[] = {
        { "the least", "{\"provider\":\"tdx_guest\",\"outblob\":\"AQ\"}", true },
        { "all", "{\"provider\":\"tdx_guest\",\"outblob\":\"AQ\",\"auxblob\":\"Ag\",\"service_provider\":\"svsm\","
          "\"manifestblob\":\"Aw\"}", true },
        { "an empty auxblob", "{\"provider\":\"tdx_guest\",\"outblob\":\"AQ\",\"auxblob\":\"\"}", true },
        { "an array", "[\"provider\",\"outblob\"]", false },
        { "empty", "{}", false },
        { "empty outblob", "{\"provider\":\"tdx_guest\",\"outblob\":\"\"}", false },
        { "padded", "{\"provider\":\"tdx_guest\",\"outblob\":\"AQ==\"}", false },
        { "provider a number", "{\"provider\":1,\"outblob\":\"AQ\"}", false },
        { "auxblob null", "{\"provider\":\"tdx_guest\",\"outblob\":\"AQ\",\"auxblob\":null}", false },
        { "manifestblob alone", "{\"provider\":\"tdx_guest\",\"outblob\":\"AQ\",\"manifestblob\":\"Aw\"}", false },
        { "an unknown key", "{\"provider\":\"tdx_guest\",\"outblob\":\"AQ\",\"a\":1}", false },
        { "outblob twice", "{\"provider\":\"tdx_guest\",\"outblob\":\"AQ\",\"outblob\":\"Ag\"}", false },
        { "a byte more", "{\"provider\":\"tdx_guest\",\"outblob\":\"AQ\"}0", false },
};

START_TEST(reads_or_refuses_json) {
        g_autoptr(GBytes) bytes = exact(json[_i].text, strlen(json[_i].text));

        check(json[_i].what, ATT_TSM_REPORT_JSON, bytes, json[_i].good);
        check(json[_i].what, ATT_TSM_REPORT_CBOR, bytes, false);
        for (size_t n = 0; json[_i].good && n < g_bytes_get_size(bytes); n++) {
                g_autoptr(GBytes) part = exact_prefix(bytes, n);

                check("a part", ATT_TSM_REPORT_JSON, part, false);
        }
}
END_TEST

/* With any of what it may have, it comes back, and in the deterministic encoding. */
START_TEST(comes_back) {
        AttTsmReport report = { .provider = (char *) "tdx_guest" };
        g_autoptr(GBytes) outblob = exact_hex("01"), auxblob = exact_hex("02"), manifest = exact_hex("03");
        g_autoptr(GBytes) all = exact_hex("a5" AUXBLOB "4102" OUTBLOB "4101" PROVIDER TDX MANIFEST "4103" SERVICE SVSM);
        g_autoptr(GBytes) bytes = NULL, again = NULL;
        g_autoptr(AttTsmReport) r = NULL;

        report.outblob = outblob;
        report.auxblob = _i & 1 ? auxblob : NULL;
        report.service_provider = _i & 2 ? (char *) "svsm" : NULL;
        report.manifestblob = _i & 2 && _i & 4 ? manifest : NULL;
        bytes = att_tsm_report_encode(&report);
        ck_assert(_i != 7 || g_bytes_equal(bytes, all));

        r = att_tsm_report_decode(ATT_TSM_REPORT_CBOR, bytes, NULL);
        ck_assert_ptr_nonnull(r);
        ck_assert_str_eq(r->provider, report.provider);
        ck_assert_bytes_eq(r->outblob, outblob);
        ck_assert((r->auxblob != NULL) == (report.auxblob != NULL));
        ck_assert((r->manifestblob != NULL) == (report.manifestblob != NULL));
        ck_assert(g_strcmp0(r->service_provider, report.service_provider) == 0);
        again = att_tsm_report_encode(r);
        ck_assert_bytes_eq(again, bytes);
}
END_TEST

START_TEST(drops_empty_blobs) {
        g_autoptr(GBytes) bytes = exact_hex("a5" AUXBLOB "40" OUTBLOB "4101" PROVIDER TDX MANIFEST "40" SERVICE SVSM);
        g_autoptr(AttTsmReport) r = att_tsm_report_decode(ATT_TSM_REPORT_CBOR, bytes, NULL);

        ck_assert_ptr_nonnull(r);
        ck_assert_ptr_null(r->auxblob);
        ck_assert_ptr_null(r->manifestblob);
}
END_TEST

START_TEST(sc34d_the_input_has_a_cap) {
        static const size_t sizes[] = { 1u << 20, (1u << 20) + 1, 1u << 24 };

        for (size_t i = 0; i < G_N_ELEMENTS(sizes); i++) {
                g_autoptr(GByteArray) out = g_byte_array_new();
                g_autofree guint8 *zeroes = g_malloc0(sizes[i]);
                g_autoptr(GError) error = NULL;
                g_autoptr(AttTsmReport) r = NULL;

                att_cbor_put_map(out, 2);
                att_cbor_put_text(out, "provider");
                att_cbor_put_text(out, "tdx_guest");
                att_cbor_put_text(out, "outblob");
                att_cbor_put_data(out, zeroes, sizes[i] - out->len - 5);
                ck_assert_uint_eq(out->len, sizes[i]);
                g_autoptr(GBytes) bytes = exact(out->data, out->len);

                r = att_tsm_report_decode(ATT_TSM_REPORT_CBOR, bytes, &error);
                ck_assert((r != NULL) == (i == 0));
                ck_assert(r || g_error_matches(error, ATT_ERROR, ATT_ERROR_TOO_LARGE));
        }
}
END_TEST

int main(void) {
        Suite *s = suite_create("tsm-report");
        TCase *t = tcase_create("tsm-report");

        tcase_add_loop_test(t, reads_or_refuses_cbor, 0, (int) G_N_ELEMENTS(cbor));
        tcase_add_loop_test(t, reads_or_refuses_json, 0, (int) G_N_ELEMENTS(json));
        tcase_add_loop_test(t, comes_back, 0, 8);
        tcase_add_test(t, drops_empty_blobs);
        tcase_add_test(t, sc34d_the_input_has_a_cap);
        suite_add_tcase(s, t);
        return run_suite(s);
}
