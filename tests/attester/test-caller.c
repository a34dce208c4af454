/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "attester/caller.h"

#include "attester/process.h"
#include "attester/unit.h"
#include "run.h"
#include "util/error.h"

#include <string.h>
#include <sys/wait.h>

static AttConfiguration *configuration;

static void set_up(void) {
        configuration = att_configuration_new();
        /* The tests may run in a container: where namespaces matter, test_attester1.py looks. */
        g_hash_table_add(configuration->foreign_namespaces.uids, GUINT_TO_POINTER(1000));
}

static void tear_down(void) {
        att_configuration_free(configuration);
}

static AttPeer peer(pid_t pid) {
        const uint32_t gids[] = { 10, 20 };
        GArray *array = g_array_new(FALSE, FALSE, sizeof(uint32_t));

        g_array_append_vals(array, gids, G_N_ELEMENTS(gids));
        return (AttPeer) { .uid = 1000, .gids = array, .label = g_strdup("unconfined"), .pid = pid, .pidfd = -1 };
}

START_TEST(says_what_the_bus_said) {
        AttPeer p = peer(getpid());
        g_autoptr(AttCaller) c = att_caller_new(&p, configuration, NULL);
        g_autoptr(AttCallerClaims) claims = NULL;

        ck_assert(c);
        ck_assert_ptr_null(p.label); /* it is the caller's now */
        claims = att_caller_seal(c);
        ck_assert(claims->has_uid);
        ck_assert_uint_eq(claims->uid, 1000);
        ck_assert_uint_eq(claims->gids->len, 2);
        ck_assert_str_eq(claims->label, "unconfined");
        ck_assert_ptr_null(claims->exe_digest);
}
END_TEST

START_TEST(only_listed_fields_leave) {
        static const struct {
                guint fields;
                bool uid, gids, label;
        } rows[] = {
                { ATT_CALLER_UID, true, false, false },
                { ATT_CALLER_GIDS, false, true, false },
                { ATT_CALLER_LABEL | ATT_CALLER_UID, true, false, true },
        };

        for (gsize i = 0; i < G_N_ELEMENTS(rows); i++) {
                AttPeer p = peer(getpid());
                g_autoptr(AttCaller) c = NULL;
                g_autoptr(AttCallerClaims) claims = NULL;

                configuration->caller_fields = rows[i].fields;
                c = att_caller_new(&p, configuration, NULL);
                claims = att_caller_seal(c);
                ck_assert(claims->has_uid == rows[i].uid);
                ck_assert((claims->gids != NULL) == rows[i].gids);
                ck_assert((claims->label != NULL) == rows[i].label);
                ck_assert_ptr_null(claims->unit);
        }
}
END_TEST

START_TEST(says_nothing_where_nothing_may_leave) {
        AttPeer p = peer(getpid());
        g_autoptr(AttCaller) c = NULL;

        configuration->caller_fields = 0;
        c = att_caller_new(&p, configuration, NULL);
        ck_assert(c);
        ck_assert_ptr_null(att_caller_seal(c));
}
END_TEST

/* A list that was cut, a label that was cut, would be another's. */
START_TEST(what_does_not_fit_is_absent) {
        AttPeer p = peer(getpid());
        g_autoptr(AttCaller) c = NULL;
        g_autoptr(AttCallerClaims) claims = NULL;
        uint32_t gid = 0;

        while (p.gids->len <= ATT_CALLER_GIDS_MAX)
                g_array_append_val(p.gids, gid);
        g_free(p.label);
        p.label = g_strnfill(ATT_CALLER_TEXT_MAX + 1, 'x');
        c = att_caller_new(&p, configuration, NULL);
        claims = att_caller_seal(c);
        ck_assert(claims->has_uid);
        ck_assert_ptr_null(claims->gids);
        ck_assert_ptr_null(claims->label);
}
END_TEST

START_TEST(who_cannot_be_identified_is_refused_unless_named) {
        AttPeer named = peer(0), other = peer(0);
        g_autoptr(GError) error = NULL;
        g_autoptr(AttCaller) yes = att_caller_new(&named, configuration, NULL), no = NULL;
        g_autoptr(AttCallerClaims) claims = NULL;

        ck_assert(yes);
        claims = att_caller_seal(yes);
        ck_assert_ptr_null(claims->unit);

        other.uid = 1001;
        no = att_caller_new(&other, configuration, &error);
        ck_assert_ptr_null(no);
        ck_assert(g_error_matches(error, ATT_ERROR, ATT_ERROR_NOT_AUTHORIZED));
        ck_assert_ptr_nonnull(strstr(error->message, "ForeignNamespaces="));
}
END_TEST

static void on_observed(GObject *source, GAsyncResult *result, gpointer userdata) {
        (void) source, (void) result;
        ++*(guint *) userdata;
}

/* @pid's process may be any user's: the tests run as root, and say that it is root's. */
static AttPeer own_peer(pid_t pid) {
        AttPeer p = peer(pid);

        p.uid = geteuid();
        p.connected_by_us = G_MAXINT64;
        g_hash_table_add(configuration->foreign_namespaces.uids, GUINT_TO_POINTER(p.uid));
        return p;
}

START_TEST(the_executable_is_hashed_once_for_all_who_wait) {
        AttPeer p = own_peer(getpid()), q = own_peer(getpid());
        g_autoptr(AttCaller) c = NULL, unasked = NULL;
        g_autoptr(AttCallerClaims) before = NULL, after = NULL;
        guint n = 0;

        unasked = att_caller_new(&q, configuration, NULL);
        ck_assert(!att_caller_observe(unasked, on_observed, &n)); /* not configured */

        configuration->observed = true;
        c = att_caller_new(&p, configuration, NULL);
        before = att_caller_seal(c);
        ck_assert_ptr_null(before->exe_digest);
        if (!att_caller_observe(c, on_observed, &n))
                return; /* in a namespace of its own: test_attester1.py looks */
        ck_assert(att_caller_observe(c, on_observed, &n));
        while (n < 2)
                (void) g_main_context_iteration(NULL, TRUE);
        after = att_caller_seal(c);
        ck_assert_ptr_nonnull(after->exe_digest);
        ck_assert(!att_caller_observe(c, on_observed, &n)); /* known by now */
}
END_TEST

START_TEST(the_unit_goes_with_the_process) {
        pid_t pid = fork();
        g_autoptr(AttCaller) c = NULL;
        g_autoptr(AttCallerClaims) after = NULL;
        AttPeer p;

        if (pid == 0) {
                pause();
                _exit(0);
        }
        p = own_peer(pid);
        c = att_caller_new(&p, configuration, NULL);
        ck_assert(c);
        ck_assert_int_eq(kill(pid, SIGKILL), 0);
        ck_assert_int_eq(waitpid(pid, NULL, 0), pid);

        after = att_caller_seal(c);
        ck_assert(after->has_uid); /* the kernel's word of when it connected */
        ck_assert_ptr_null(after->unit);
}
END_TEST

START_TEST(other_profiles_are_for_whom_the_configuration_names) {
        AttPeer p = peer(getpid());
        g_autoptr(AttCaller) c = att_caller_new(&p, configuration, NULL);

        ck_assert(att_caller_may_have(c, ATT_PROFILE_EVIDENCE));
        ck_assert(!att_caller_may_have(c, ATT_PROFILE_EXPAT_PAD));
        ck_assert(!att_caller_may_have(c, ATT_PROFILE_COCOS));
        ck_assert(!att_caller_may_have(c, "tag:attestd.org,2026:evidence/2"));

        g_hash_table_add(configuration->cocos.uids, GUINT_TO_POINTER(1000));
        ck_assert(att_caller_may_have(c, ATT_PROFILE_COCOS));
        ck_assert(!att_caller_may_have(c, ATT_PROFILE_EXPAT_PAD));
}
END_TEST

int main(void) {
        Suite *s = suite_create("caller");
        TCase *t = tcase_create("caller");

        tcase_add_checked_fixture(t, set_up, tear_down);
        tcase_add_test(t, says_what_the_bus_said);
        tcase_add_test(t, only_listed_fields_leave);
        tcase_add_test(t, says_nothing_where_nothing_may_leave);
        tcase_add_test(t, what_does_not_fit_is_absent);
        tcase_add_test(t, who_cannot_be_identified_is_refused_unless_named);
        tcase_add_test(t, the_executable_is_hashed_once_for_all_who_wait);
        tcase_add_test(t, the_unit_goes_with_the_process);
        tcase_add_test(t, other_profiles_are_for_whom_the_configuration_names);
        suite_add_tcase(s, t);
        return run_suite(s);
}
