/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "attester/configuration.h"

#include "crypto/digest.h"
#include "run.h"
#include "util/error.h"

#include <glib/gstdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static AttConfiguration *apply(const char *text, GError **error) {
        g_autoptr(AttConfiguration) c = att_configuration_new();

        return att_configuration_apply(c, "x.conf", text, strlen(text), error) ? g_steal_pointer(&c) : NULL;
}

START_TEST(has_defaults_that_grant_nothing) {
        g_autoptr(AttConfiguration) c = apply("# nothing\n", NULL);

        ck_assert(c);
        ck_assert_uint_eq(c->sessions, 16384);
        ck_assert_uint_eq(c->sessions_per_user, 4096);
        ck_assert_uint_eq(c->sessions_per_connection, 4096);
        ck_assert_uint_eq(c->requests, 16384);
        ck_assert_uint_eq(c->requests_per_user, 4096);
        ck_assert_uint_eq(c->requests_per_session, 8);
        ck_assert(!c->observed && c->device && c->shared_device);
        ck_assert_int_eq(c->ima_root, ATT_IMA_ROOT_AUTO);
        ck_assert_uint_eq(c->ima_register, 3);
        ck_assert_uint_eq(c->ima_interval_ms, 5000);
        ck_assert(c->boot && c->ak_handle == 0 && c->idle_report_s == 600);
        ck_assert_uint_eq(c->state_changes, (1u << ATT_STATE_REASONS) - 1);
        ck_assert_uint_eq(c->ima_pcrs, 1u << 10);
        ck_assert(!*c->ima_templates && !*c->ima_ignore_paths);
        ck_assert(!att_grant_covers(&c->foreign_namespaces, 0, "a.service"));
        ck_assert(!att_grant_covers(&c->expat_pad, 0, "a.service"));
        ck_assert(!att_grant_covers(&c->cocos, 0, "a.service"));
}
END_TEST

START_TEST(reads_every_setting) {
        g_autofree char *templates = NULL, *paths = NULL;
        g_autoptr(GError) error = NULL;
        g_autoptr(AttConfiguration) c = apply("[Limits]\nSessions=10\nSessionsPerUser=9\nSessionsPerConnection=8\n"
                                              "Requests=7\nRequestsPerUser=6\nRequestsPerSession=5\n"
                                              "[Access]\nForeignNamespaces=payroll.service; 1000\n"
                                              "[Caller]\nFields=uid;unit\nObserved=yes\n"
                                              "[Ima]\nRoot=rtmr\nRegister=0\nInterval=100\nBoot=no\n"
                                              "[Tpm]\nAkHandle=0x81000003\n[Snp]\nIdleReport=0\n"
                                              "[StateChange]\nDevice=no\nSharedDevice=no\n"
                                              "Ima=no\nTcb=no\nImaPcrs=0;10 23\nImaTemplates=ima-sig;d-ng|n-ng;ima\n"
                                              "ImaIgnorePaths=/var/tmp/;/tmp/;/var/tmp/\n"
                                              "[Profile expat-pad]\nUnits=pad.service\nUids=7\n"
                                              "[Profile cocos]\nUnits=a.service b.service\nUids=8;9\n", &error);

        ck_assert_msg(c, "%s", error ? error->message : "");
        ck_assert_uint_eq(c->sessions, 10);
        ck_assert_uint_eq(c->sessions_per_user, 9);
        ck_assert_uint_eq(c->sessions_per_connection, 8);
        ck_assert_uint_eq(c->requests, 7);
        ck_assert_uint_eq(c->requests_per_user, 6);
        ck_assert_uint_eq(c->requests_per_session, 5);
        ck_assert(att_grant_covers(&c->foreign_namespaces, 5, "payroll.service"));
        ck_assert(att_grant_covers(&c->foreign_namespaces, 1000, NULL));
        ck_assert(!att_grant_covers(&c->foreign_namespaces, 5, "other.service"));
        ck_assert(!att_grant_covers(&c->foreign_namespaces, 5, NULL));
        ck_assert_uint_eq(c->caller_fields, ATT_CALLER_UID | ATT_CALLER_UNIT);
        ck_assert(c->observed && !c->device && !c->shared_device);
        ck_assert_int_eq(c->ima_root, ATT_IMA_ROOT_RTMR);
        ck_assert(c->ima_register == 0 && c->ima_interval_ms == 100 && !c->boot);
        ck_assert(c->ak_handle == 0x81000003 && c->idle_report_s == 0);
        ck_assert_uint_eq(c->state_changes,
                          ((1u << ATT_STATE_REASONS) - 1) & ~(guint) (ATT_STATE_IMA | ATT_STATE_TCB));
        ck_assert_uint_eq(c->ima_pcrs, 1u | 1u << 10 | 1u << 23);
        templates = g_strjoinv(" ", c->ima_templates);
        ck_assert_str_eq(templates, "d-ng|n-ng ima ima-sig");
        paths = g_strjoinv(" ", c->ima_ignore_paths);
        ck_assert_str_eq(paths, "/tmp/ /var/tmp/");
        ck_assert(att_grant_covers(&c->expat_pad, 7, NULL));
        ck_assert(att_grant_covers(&c->expat_pad, 0, "pad.service"));
        ck_assert(!att_grant_covers(&c->expat_pad, 8, "a.service"));
        ck_assert(att_grant_covers(&c->cocos, 9, NULL));
        ck_assert(att_grant_covers(&c->cocos, 0, "b.service"));
}
END_TEST

START_TEST(the_last_list_says_all_that_counts) {
        g_autoptr(AttConfiguration) c = apply("[StateChange]\nImaPcrs=10\nImaIgnorePaths=/a\nImaTemplates=ima\n", NULL);
        const char *other = "[StateChange]\nImaPcrs=9;8\nImaIgnorePaths=/b\nImaTemplates=ima-ng\n";
        const char *none = "[StateChange]\nImaPcrs=\nImaIgnorePaths=\nImaTemplates=\n";

        ck_assert(att_configuration_apply(c, "b", other, strlen(other), NULL));
        ck_assert_uint_eq(c->ima_pcrs, 1u << 9 | 1u << 8);
        ck_assert(g_str_equal(c->ima_ignore_paths[0], "/b") && !c->ima_ignore_paths[1]);
        ck_assert(g_str_equal(c->ima_templates[0], "ima-ng") && !c->ima_templates[1]);
        ck_assert(att_configuration_apply(c, "c", none, strlen(none), NULL));
        ck_assert_uint_eq(c->ima_pcrs, 0);
        ck_assert(!*c->ima_ignore_paths && !*c->ima_templates);
}
END_TEST

START_TEST(lists_grow_and_can_be_emptied) {
        g_autoptr(AttConfiguration) c = apply("[Profile cocos]\nUnits=a.service\nUids=7\n", NULL);
        const char *more = "[Profile cocos]\nUnits=b.service\n", *none = "[Profile cocos]\nUnits=\n";

        ck_assert(att_configuration_apply(c, "b", more, strlen(more), NULL));
        ck_assert(att_grant_covers(&c->cocos, 0, "a.service") && att_grant_covers(&c->cocos, 0, "b.service"));
        ck_assert(att_configuration_apply(c, "c", none, strlen(none), NULL));
        ck_assert(!att_grant_covers(&c->cocos, 0, "a.service") && !att_grant_covers(&c->cocos, 0, "b.service"));
        ck_assert(att_grant_covers(&c->cocos, 7, NULL));
}
END_TEST

static bool may_connect(const AttConfiguration *c, uint32_t uid, uint32_t gid) {
        g_autoptr(GArray) gids = g_array_new(FALSE, FALSE, sizeof(uint32_t));
        const uint32_t other = 77;

        g_array_append_val(gids, other);
        g_array_append_val(gids, gid);
        return att_configuration_may_connect(c, uid, gids);
}

START_TEST(the_direct_socket_is_for_root_and_for_whom_it_names) {
        g_autoptr(AttConfiguration) c = att_configuration_new();
        const char *users = "[Access]\nDirectUsers=1000 nobody\n", *more = "[Access]\nDirectUsers=1001\n";
        const char *groups = "[Access]\nDirectGroups=50; root\n", *none = "[Access]\nDirectUsers=\nDirectGroups=\n";
        const uint32_t nobody = 65534;

        ck_assert(may_connect(c, 0, 0) && att_configuration_may_connect(c, 0, NULL));
        ck_assert(!may_connect(c, 1000, 0) && !att_configuration_may_connect(c, 1000, NULL));

        ck_assert(att_configuration_apply(c, "a", users, strlen(users), NULL));
        ck_assert(att_configuration_apply(c, "b", more, strlen(more), NULL));
        ck_assert(may_connect(c, 1000, 5) && may_connect(c, 1001, 5) && may_connect(c, nobody, 5));
        ck_assert(!may_connect(c, 1002, 1000) && !may_connect(c, 50, 5));

        ck_assert(att_configuration_apply(c, "c", groups, strlen(groups), NULL));
        ck_assert(may_connect(c, 1002, 50) && may_connect(c, 1002, 0) && !may_connect(c, 1002, 51));
        ck_assert(!att_configuration_may_connect(c, 1002, NULL));

        ck_assert(att_configuration_apply(c, "d", none, strlen(none), NULL));
        ck_assert(may_connect(c, 0, 5) && !may_connect(c, 1000, 5) && !may_connect(c, 1002, 50));
}
END_TEST

static const struct {
        const char *text;
        const char *named; /* what the message has to name */
} bad[] = {
        { "[Limit]\nSessions=1\n", "[Limit]" },
        { "[Limits]\nSession=1\n", "[Limits] Session=" },
        { "[Limits]\nSessions=0\n", "[Limits] Sessions=" },
        { "[Limits]\nSessions=-1\n", "[Limits] Sessions=" },
        { "[Limits]\nSessions=131073\n", "[Limits] Sessions=" },
        { "[Limits]\nSessions=99999999999999999999\n", "[Limits] Sessions=" },
        { "[Limits]\nSessions=\n", "[Limits] Sessions=" },
        { "[Limits]\nSessions=10 \xc2\xa0\n", "[Limits] Sessions=" },
        { "[Caller]\nObserved=true\n", "[Caller] Observed=" },
        { "[Caller]\nObserved=Yes\n", "[Caller] Observed=" },
        { "[Caller]\nFields=uid;exec\n", "exec" },
        { "[StateChange]\nDevice=1\n", "[StateChange] Device=" },
        { "[StateChange]\nTcb=1\n", "[StateChange] Tcb=" },
        { "[StateChange]\nImaPcrs=24\n", "24" },
        { "[StateChange]\nImaPcrs=10,11\n", "10,11" },
        { "[StateChange]\nImaTemplates=ima-sgi\n", "ima-sgi" },
        { "[Ima]\nRoot=vtpm\n", "[Ima] Root=" },
        { "[Ima]\nRegister=4\n", "[Ima] Register=" },
        { "[Ima]\nInterval=99\n", "[Ima] Interval=" },
        { "[Ima]\nInterval=60001\n", "[Ima] Interval=" },
        { "[Tpm]\nAkHandle=0x80ffffff\n", "[Tpm] AkHandle=" },
        { "[Tpm]\nAkHandle=0x82000000\n", "[Tpm] AkHandle=" },
        { "[Tpm]\nAkHandle=81000003\n", "[Tpm] AkHandle=" },
        { "[Snp]\nIdleReport=86401\n", "[Snp] IdleReport=" },
        { "[Access]\nDirectUsers=nobody; no such user\n", "\"no\"" },
        { "[Access]\nDirectUsers=4294967295\n", "4294967295" },
        { "[Access]\nDirectGroups=-1\n", "-1" },
        { "[Access]\nDirectGroups=nosuchgroup\n", "[Access] DirectGroups=" },
        { "[Limits]\nDirectConnections=0\n", "[Limits] DirectConnections=" },
        { "[Limits]\nDirectConnectionsPerUser=65537\n", "[Limits] DirectConnectionsPerUser=" },
        { "[Access]\nForeignNamespaces=payroll\n", "payroll" },
        { "[Access]\nForeignNamespaces=4294967295\n", "4294967295" },
        { "[Access]\nForeignNamespaces=-1\n", "-1" },
        { "[Profile cocos]\nUnits=1000\n", "1000" },
        { "[Profile cocos]\nUids=a.service\n", "a.service" },
        { "[Profile evidence]\nUids=1\n", "[Profile evidence]" },
        { "[Profile]\nUids=1\n", "[Profile]" },
        { "[Caller]\nFields[de]=uid\n", "Fields[de]" },
        { "Sessions=1\n", "x.conf" },
        { "[Limits\nSessions=1\n", "x.conf" },
        { "[Limits]\nSessions\n", "x.conf" },
        { "[Limits]\nSessions=\xff\n", "x.conf" },
};

START_TEST(names_what_is_wrong) {
        g_autoptr(GError) error = NULL;
        g_autoptr(AttConfiguration) c = apply(bad[_i].text, &error);

        ck_assert_msg(!c, "accepted: %s", bad[_i].text);
        ck_assert(g_error_matches(error, ATT_ERROR, ATT_ERROR_INVALID_ARGUMENT));
        ck_assert_msg(strstr(error->message, "x.conf") == error->message && strstr(error->message, bad[_i].named),
                      "%s", error->message);
}
END_TEST

START_TEST(digests_what_counts_as_a_change) {
        const char *canonical = "[StateChange]\nDevice=yes\nSharedDevice=yes\nIma=yes\nImaViolation=yes\nImaState=yes\n"
                                "Root=yes\nRegister=yes\nTcb=yes\nClone=yes\nResume=yes\nSelinux=yes\nLockdown=yes\n"
                                "ImaPcrs=10\nImaTemplates=\nImaIgnorePaths=\n";
        const char *canonical_much = "[StateChange]\nDevice=yes\nSharedDevice=yes\nIma=yes\nImaViolation=yes\n"
                                     "ImaState=yes\nRoot=yes\nRegister=yes\nTcb=yes\nClone=no\nResume=yes\n"
                                     "Selinux=yes\nLockdown=yes\nImaPcrs=0;11\nImaTemplates=ima;ima-sig\n"
                                     "ImaIgnorePaths=/a;/b\n";
        g_autoptr(AttConfiguration) plain = att_configuration_new();
        g_autoptr(AttConfiguration) said = apply("[StateChange]\nSharedDevice=yes\nDevice=yes\n", NULL);
        g_autoptr(AttConfiguration) other = apply("[Limits]\nSessions=5\n", NULL);
        g_autoptr(AttConfiguration) much = apply("[StateChange]\nImaPcrs=11 0 11\nImaTemplates=ima-sig;ima\n"
                                                 "ImaIgnorePaths=/b;/a\nClone=no\n", NULL);
        g_autoptr(AttConfiguration) less = apply("[StateChange]\nSharedDevice=no\n", NULL);
        uint8_t expected[32];

        att_sha256(&(AttPart) { canonical, strlen(canonical) }, 1, expected);
        ck_assert_mem_eq(plain->digest, expected, 32);
        ck_assert_mem_eq(said->digest, expected, 32);
        ck_assert_mem_eq(other->digest, expected, 32);
        ck_assert_mem_ne(less->digest, expected, 32);
        att_sha256(&(AttPart) { canonical_much, strlen(canonical_much) }, 1, expected);
        ck_assert_mem_eq(much->digest, expected, 32);
}
END_TEST

/* ----- files */

static char *dir, *drop_ins;

static void make_dir(void) {
        dir = g_dir_make_tmp("attestd-XXXXXX", NULL);
        drop_ins = g_build_filename(dir, "attestd.conf.d", NULL);
        ck_assert_int_eq(g_mkdir(drop_ins, 0755), 0);
}

static void remove_all(const char *path) {
        g_autoptr(GDir) d = g_dir_open(path, 0, NULL);
        const char *name;

        while (d && (name = g_dir_read_name(d))) {
                g_autofree char *child = g_build_filename(path, name, NULL);

                if (g_file_test(child, G_FILE_TEST_IS_DIR) && !g_file_test(child, G_FILE_TEST_IS_SYMLINK))
                        remove_all(child);
                else
                        (void) g_unlink(child);
        }
        (void) g_rmdir(path);
}

static void drop_dir(void) {
        remove_all(dir);
        g_free(drop_ins);
        g_free(dir);
}

static void put(const char *folder, const char *name, const char *text) {
        g_autofree char *path = g_build_filename(folder, name, NULL);

        ck_assert(g_file_set_contents(path, text, -1, NULL));
        ck_assert_int_eq(g_chmod(path, 0644), 0);
}

static char *refusal(void) {
        g_autoptr(GError) error = NULL;
        g_autoptr(AttConfiguration) c = att_configuration_load(dir, &error);

        ck_assert(!c && error);
        return g_strdup(error->message);
}

START_TEST(needs_no_file) {
        g_autofree char *nowhere = g_build_filename(dir, "nowhere", NULL);
        g_autoptr(AttConfiguration) empty = att_configuration_load(dir, NULL);
        g_autoptr(AttConfiguration) absent = att_configuration_load(nowhere, NULL);

        ck_assert(empty && absent);
}
END_TEST

START_TEST(reads_files_in_the_order_of_their_names) {
        g_autoptr(AttConfiguration) c = NULL;

        put(dir, "attestd.conf", "[Limits]\nSessions=1\nRequests=1\n");
        put(drop_ins, "20.conf", "[Limits]\nSessions=20\n");
        put(drop_ins, "10.conf", "[Limits]\nSessions=10\n");
        put(drop_ins, "30.conf.off", "[Limits]\nSessions=30\n");
        c = att_configuration_load(dir, NULL);
        ck_assert(c);
        ck_assert_uint_eq(c->sessions, 20);
        ck_assert_uint_eq(c->requests, 1);
}
END_TEST

/* Linked to the log by main(). */
static GString *warnings;

static GLogWriterOutput keep_warnings(GLogLevelFlags level, const GLogField *fields, gsize n, gpointer userdata) {
        (void) userdata;
        for (gsize i = 0; i < n && level == G_LOG_LEVEL_WARNING; i++)
                if (g_str_equal(fields[i].key, "MESSAGE"))
                        g_string_append_printf(warnings, "%s\n", (const char *) fields[i].value);
        return G_LOG_WRITER_HANDLED;
}

START_TEST(warns_of_what_no_user_can_get) {
        const struct {
                const char *text, *expected;
        } rows[] = {
                { "[Limits]\n", "" },
                { "[Limits]\nSessions=20000\nSessionsPerUser=10000\n", "" },
                { "[Limits]\nSessions=20001\nSessionsPerUser=10001\n",
                  "[Limits] SessionsPerUser=10001: a user gets 10000 at most, half of Sessions=20001\n" },
                { "[Limits]\nRequests=5\n",
                  "[Limits] RequestsPerUser=4096: a user gets 2 at most, half of Requests=5\n" },
                { "[Limits]\nDirectConnectionsPerUser=1024\n",
                  "[Limits] DirectConnectionsPerUser=1024: a user gets 512 at most, half of DirectConnections=1024\n" },
                { "[Limits]\nSessions=1\nSessionsPerUser=1\n", "" },
        };

        for (gsize i = 0; i < G_N_ELEMENTS(rows); i++) {
                g_autoptr(AttConfiguration) c = NULL;

                put(dir, "attestd.conf", rows[i].text);
                g_string_truncate(warnings, 0);
                c = att_configuration_load(dir, NULL);
                ck_assert(c);
                ck_assert_str_eq(warnings->str, rows[i].expected);
        }
}
END_TEST

START_TEST(names_the_drop_in) {
        g_autofree char *message = NULL;

        put(drop_ins, "10.conf", "[Limits]\nSessions=10\n");
        put(drop_ins, "20.conf", "[Limits]\nSesions=20\n");
        message = refusal();
        ck_assert_msg(strstr(message, "attestd.conf.d/20.conf: [Limits] Sesions="), "%s", message);
}
END_TEST

START_TEST(sc32a_a_file_that_others_can_write_is_refused) {
        g_autofree char *path = g_build_filename(dir, "attestd.conf", NULL);
        const struct {
                mode_t mode;
                uid_t uid;
        } rows[] = { { 0664, 0 }, { 0646, 0 }, { 0644, 12345 } };

        for (gsize i = 0; i < G_N_ELEMENTS(rows); i++) {
                g_autoptr(AttConfiguration) good = NULL;
                g_autofree char *message = NULL;

                put(dir, "attestd.conf", "[Limits]\nSessions=10\n");
                good = att_configuration_load(dir, NULL);
                ck_assert(good);

                ck_assert_int_eq(chmod(path, rows[i].mode), 0);
                if (rows[i].uid != 0 && (geteuid() != 0 || chown(path, rows[i].uid, (gid_t) -1) < 0))
                        continue;
                message = refusal();
                ck_assert_msg(strstr(message, "others than root can write it"), "%s", message);
        }
}
END_TEST

START_TEST(sc32b_a_symbolic_link_is_not_followed) {
        g_autofree char *path = g_build_filename(dir, "attestd.conf", NULL);
        g_autofree char *message = NULL;

        put(dir, "elsewhere", "[Limits]\nSessions=10\n");
        ck_assert_int_eq(symlink("elsewhere", path), 0);
        message = refusal();
        ck_assert_msg(strstr(message, "cannot open attestd.conf"), "%s", message);
}
END_TEST

START_TEST(refuses_what_is_no_file_or_too_much) {
        g_autofree char *path = g_build_filename(dir, "attestd.conf", NULL);
        g_autofree char *much = g_strnfill(ATT_CONFIGURATION_SIZE_MAX, '#');
        g_autofree char *message = NULL, *over = NULL;
        g_autoptr(AttConfiguration) c = NULL;

        put(dir, "attestd.conf", much);
        c = att_configuration_load(dir, NULL);
        ck_assert(c);

        over = g_strconcat(much, "#", NULL);
        put(dir, "attestd.conf", over);
        message = refusal();
        ck_assert_msg(strstr(message, "over"), "%s", message);

        (void) g_unlink(path);
        ck_assert_int_eq(mkfifo(path, 0600), 0);
        g_free(message);
        message = refusal(); /* and does not wait for a writer */
        ck_assert_msg(strstr(message, "not a regular file"), "%s", message);
}
END_TEST

int main(void) {
        Suite *s = suite_create("configuration");
        TCase *t = tcase_create("text");
        int r;

        tcase_add_test(t, has_defaults_that_grant_nothing);
        tcase_add_test(t, reads_every_setting);
        tcase_add_test(t, the_last_list_says_all_that_counts);
        tcase_add_test(t, lists_grow_and_can_be_emptied);
        tcase_add_test(t, the_direct_socket_is_for_root_and_for_whom_it_names);
        tcase_add_loop_test(t, names_what_is_wrong, 0, G_N_ELEMENTS(bad));
        tcase_add_test(t, digests_what_counts_as_a_change);
        suite_add_tcase(s, t);

        t = tcase_create("files");
        tcase_add_checked_fixture(t, make_dir, drop_dir);
        tcase_add_test(t, needs_no_file);
        tcase_add_test(t, reads_files_in_the_order_of_their_names);
        tcase_add_test(t, warns_of_what_no_user_can_get);
        tcase_add_test(t, names_the_drop_in);
        tcase_add_test(t, sc32a_a_file_that_others_can_write_is_refused);
        tcase_add_test(t, sc32b_a_symbolic_link_is_not_followed);
        tcase_add_test(t, refuses_what_is_no_file_or_too_much);
        suite_add_tcase(s, t);

        warnings = g_string_new(NULL);
        g_log_set_writer_func(keep_warnings, NULL, NULL);
        r = run_suite(s);
        g_string_free(warnings, TRUE);
        return r;
}
