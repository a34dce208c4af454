/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Endpoints: what may be configured, and until when. */
#include "lib/endpoint.h"
#include "pki.h"
#include "run.h"

static GBytes *sign(guint16 scheme, GBytes *to_be_signed, gpointer userdata, GError **error) {
        (void) scheme, (void) to_be_signed, (void) userdata, (void) error;
        return NULL;
}

static guint n_destroyed;

static void count_destroyed(gpointer data) {
        (void) data;
        n_destroyed++;
}

/* @n times the same leaf. */
static GPtrArray *certificates(const char *key_type, guint n) {
        const PkiSpec spec = { .cn = "leaf", .extensions = { PKI_LEAF } };
        g_autoptr(EVP_PKEY) key = pki_key(key_type);
        g_autoptr(X509) x509 = pki_issue(&spec, key, NULL, NULL);
        GPtrArray *list = g_ptr_array_new_with_free_func((GDestroyNotify) g_bytes_unref);

        for (guint i = 0; i < n; i++)
                g_ptr_array_add(list, pki_der(x509));
        return list;
}

static void refuses(gboolean done, GError **error) {
        ck_assert(!done);
        ck_assert(g_error_matches(*error, ATTESTD_ERROR, ATTESTD_ERROR_INVALID));
        g_clear_error(error);
}

START_TEST(gives_what_can_be_given) {
        g_autoptr(AttestdEndpoint) e = attestd_endpoint_new();
        g_autoptr(GPtrArray) good = certificates("P-256", 8), many = certificates("P-256", 9);
        g_autoptr(GPtrArray) none = certificates("P-256", 0), bad = certificates("P-256", 2);
        g_autoptr(GPtrArray) curve = certificates("P-521", 1);
        g_autoptr(GError) error = NULL;

        n_destroyed = 0;
        g_ptr_array_add(bad, g_bytes_new("no certificate", 14));
        refuses(attestd_endpoint_give(e, many, sign, e, count_destroyed, &error), &error);
        refuses(attestd_endpoint_give(e, none, sign, e, count_destroyed, &error), &error);
        refuses(attestd_endpoint_give(e, bad, sign, e, count_destroyed, &error), &error);
        refuses(attestd_endpoint_give(e, good, NULL, e, count_destroyed, &error), &error);
        refuses(attestd_endpoint_give(e, curve, sign, e, count_destroyed, &error), &error); /* no scheme for it */
        ck_assert_uint_eq(n_destroyed, 0);
        ck_assert(attestd_endpoint_give(e, good, sign, e, count_destroyed, &error));
        /* The next takes its place. */
        ck_assert(attestd_endpoint_give(e, good, sign, e, count_destroyed, &error));
        ck_assert_uint_eq(n_destroyed, 1);
        g_clear_pointer(&e, attestd_endpoint_unref);
        ck_assert_uint_eq(n_destroyed, 2);
}
END_TEST

START_TEST(a_peer_has_a_name_that_can_be_one) {
        static const struct {
                const char *name;
                gboolean is_good;
        } names[] = {
                { "server.example", TRUE }, { "192.0.2.1", TRUE },       { "2001:db8::1", TRUE },
                { "", FALSE },              { ".example", FALSE },       { "*.example", FALSE },
                { "a..example", FALSE },    { "server example", FALSE }, { "server\n", FALSE },
        };
        g_autoptr(AttestdEndpoint) e = attestd_endpoint_new();
        g_autoptr(GPtrArray) anchors = certificates("P-256", 1), none = certificates("P-256", 0);
        g_autoptr(GError) error = NULL;

        for (size_t i = 0; i < G_N_ELEMENTS(names); i++)
                for (int with_anchors = 0; with_anchors < 2; with_anchors++) {
                        gboolean done = attestd_endpoint_name_peer(e, names[i].name, with_anchors ? anchors : NULL,
                                                                   &error);

                        if (names[i].is_good)
                                ck_assert_msg(done, "%s", names[i].name);
                        else
                                refuses(done, &error);
                }
        refuses(attestd_endpoint_name_peer(e, "server.example", none, &error), &error);
        g_ptr_array_add(anchors, g_bytes_new("no certificate", 14));
        refuses(attestd_endpoint_name_peer(e, "server.example", anchors, &error), &error);
}
END_TEST

START_TEST(is_constant_once_it_is_used) {
        g_autoptr(AttestdEndpoint) e = attestd_endpoint_new(), user = NULL;
        g_autoptr(GPtrArray) leaf = certificates("P-256", 1);
        g_autoptr(GError) error = NULL;

        ck_assert(attestd_endpoint_give(e, leaf, sign, NULL, NULL, NULL));
        user = att_endpoint_use(e);
        refuses(attestd_endpoint_give(e, leaf, sign, NULL, NULL, &error), &error);
        refuses(attestd_endpoint_name_peer(e, "server.example", NULL, &error), &error);
}
END_TEST

START_TEST(the_newest_policy_counts) {
        g_autoptr(AttestdEndpoint) e = attestd_endpoint_new();

        ck_assert(!e->asks);
        attestd_endpoint_ask(e, "payroll");
        ck_assert(e->asks && g_str_equal(e->policy, "payroll") && !e->policy_text);
        attestd_endpoint_ask_with_policy(e, "text");
        ck_assert(e->asks && !e->policy && g_str_equal(e->policy_text, "text"));
        attestd_endpoint_ask(e, NULL);
        ck_assert(e->asks && !e->policy && !e->policy_text);
}
END_TEST

int main(void) {
        Suite *s = suite_create("endpoint");
        TCase *t = tcase_create("configuration");

        tcase_add_test(t, gives_what_can_be_given);
        tcase_add_test(t, a_peer_has_a_name_that_can_be_one);
        tcase_add_test(t, is_constant_once_it_is_used);
        tcase_add_test(t, the_newest_policy_counts);
        suite_add_tcase(s, t);
        return run_suite(s);
}
