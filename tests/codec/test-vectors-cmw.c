/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* CMWs of other implementations and of the draft, as an independent parser reads them. */
#include "codec/cmw.h"
#include "codec/tsm-report.h"
#include "run.h"
#include "vectors.h"

#include <string.h>

/* Where a rule of ours refuses what others take, and why. */
static const struct {
        const char *path;
        const char *says;
        const char *reason;
} deviations[] = {
        { "cmw/ok-signed-unclobbered.cbor", "signed", "it is not a bare CMW: we check no COSE signature" },
        { "cmw/bad-signed-3-signed-cbor-cmw-signature-verification-failed-verification-e.cbor", "signed", "likewise" },
};

static const char *text_of(json_t *object, const char *key) {
        return json_string_value(json_object_get(object, key));
}

static void check_cmw(const char *path, const AttCmw *cmw, json_t *expected) {
        static const char *const forms[] = { "record", "tag", "collection" };
        const char *form = text_of(expected, "form"), *label;
        g_autofree char *own_form = g_strdup_printf("%s-%s", cmw->is_json ? "json" : "cbor", forms[cmw->form]);
        json_t *members = json_object_get(expected, "members"), *member;

        ck_assert_msg(strcmp(own_form, form) == 0, "%s: %s is not %s", path, own_form, form);
        if (cmw->form == ATT_CMW_COLLECTION) {
                ck_assert(g_strcmp0(cmw->collection_type, text_of(expected, "cmwc_t")) == 0);
                ck_assert_uint_eq(cmw->entries->len, json_object_size(members));
                for (guint i = 0; i < cmw->entries->len; i++) {
                        const AttCmwEntry *entry = g_ptr_array_index(cmw->entries, i);
                        g_autofree char *number = g_strdup_printf("int:%" G_GINT64_FORMAT, entry->number);

                        label = entry->label ? entry->label : number;
                        member = json_object_get(members, label);
                        ck_assert_msg(member != NULL, "%s: no member %s", path, label);
                        check_cmw(path, entry->cmw, member);
                }
                return;
        }

        g_autofree char *value = hex_of(g_bytes_get_data(cmw->value, NULL), g_bytes_get_size(cmw->value));
        ck_assert_str_eq(value, text_of(expected, "value"));
        ck_assert_int_eq((json_int_t) cmw->indicator, json_integer_value(json_object_get(expected, "ind")));
        if (cmw->form == ATT_CMW_TAG) {
                ck_assert_int_eq(cmw->content_format, json_integer_value(json_object_get(expected, "cf")));
                ck_assert_int_eq((json_int_t) att_cmw_tag_number(cmw->content_format),
                                 json_integer_value(json_object_get(expected, "tag")));
        } else {
                g_autofree char *format = g_strdup_printf("cf:%u", cmw->content_format);

                ck_assert_str_eq(cmw->media_type ? cmw->media_type : format, text_of(expected, "type"));
        }
}

static const char *deviation(const char *path, const GError *error) {
        for (size_t i = 0; i < G_N_ELEMENTS(deviations); i++)
                if (strcmp(path, deviations[i].path) == 0 && error && strstr(error->message, deviations[i].says))
                        return deviations[i].reason;
        return NULL;
}

START_TEST(reads_what_others_write) {
        g_autoptr(json_t) all = vectors_expected();
        size_t good = 0, bad = 0, deviating = 0;
        const char *path;
        json_t *expected;

        json_object_foreach(all, path, expected) {
                const char *kind = text_of(expected, "kind"), *parse = text_of(expected, "parse");
                g_autoptr(GBytes) bytes = NULL;
                g_autoptr(AttCmw) cmw = NULL;
                g_autoptr(GError) error = NULL;

                if (!g_str_has_prefix(path, "cmw/") || strcmp(kind, "cmw-x509") == 0)
                        continue;

                bytes = vectors_read(path);
                cmw = att_cmw_parse(bytes, &error);
                if (deviation(path, error)) {
                        deviating++;
                        continue;
                }
                ck_assert_msg((cmw != NULL) == (strcmp(parse, "ok") == 0), "%s: %s", path,
                              error ? error->message : "accepted");
                if (cmw)
                        check_cmw(path, cmw, json_object_get(expected, "cmw"));
                good += cmw != NULL;
                bad += cmw == NULL;
        }
        ck_assert_uint_ge(good, 15);
        ck_assert_uint_ge(bad, 15);
        ck_assert_uint_eq(deviating, G_N_ELEMENTS(deviations));
}
END_TEST

START_TEST(reads_a_tsm_report_of_ratsd) {
        g_autoptr(GBytes) bytes = vectors_read("cmw/ratsd-ex-basic-arm-cca.json");
        g_autoptr(AttTsmReport) report = att_tsm_report_decode(ATT_TSM_REPORT_JSON, bytes, NULL);

        ck_assert_ptr_nonnull(report);
        ck_assert_str_eq(report->provider, "arm_cca_guest");
        ck_assert_uint_gt(g_bytes_get_size(report->outblob), 1000);
        ck_assert_ptr_null(report->auxblob);
}
END_TEST

int main(int argc, char **argv) {
        Suite *s = suite_create("vectors-cmw");
        TCase *t = tcase_create("cmw");

        if (!vectors_open(argc, argv))
                return 77;
        tcase_add_test(t, reads_what_others_write);
        tcase_add_test(t, reads_a_tsm_report_of_ratsd);
        suite_add_tcase(s, t);
        return run_suite(s);
}
