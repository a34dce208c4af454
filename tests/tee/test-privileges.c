/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What is left to a process. The same of the service itself: tests/system/test_privileges.py. */
#include "tee/privileges.h"

#include "own-world.h"
#include "run.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/netlink.h>
#include <string.h>
#include <sys/capability.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

/* A process that drops privileges cannot get them back: so each test has one of its own. */
static void in_child(void (*test)(void)) {
        pid_t pid = fork();
        int status;

        ck_assert_int_ge(pid, 0);
        if (pid == 0) {
                test();
                _exit(0);
        }
        ck_assert_int_eq(waitpid(pid, &status, 0), pid);
        ck_assert_int_eq(status, 0);
}

/* In the child: what fails there is seen by its status. */
#define must(x) do { if (!(x)) { (void) fprintf(stderr, "not: %s\n", #x); _exit(1); } } while (0)

static bool has(cap_value_t cap, cap_flag_t kind) {
        cap_t all = cap_get_proc();
        cap_flag_value_t value = CAP_CLEAR;

        must(cap_get_flag(all, cap, kind, &value) == 0);
        cap_free(all);
        return value == CAP_SET;
}

static void nothing_is_left(void) {
        g_autoptr(GError) e = NULL;

        must(has(CAP_SYS_ADMIN, CAP_EFFECTIVE));
        must(att_privileges_drop(false, &e) && !e);
        for (cap_value_t cap = 0; cap < cap_max_bits(); cap++)
                must(!has(cap, CAP_EFFECTIVE) && !has(cap, CAP_PERMITTED) && !has(cap, CAP_INHERITABLE) &&
                     cap_get_bound(cap) == 0 && cap_get_ambient(cap) == 0);
        must(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1);
        must(unshare(CLONE_NEWNET) < 0 && errno == EPERM);
        must(chown("/proc/self", 1, 1) < 0);
        must(att_privileges_drop(false, &e) && !e); /* there is nothing to do */
}

START_TEST(drops_all) {
        in_child(nothing_is_left);
}
END_TEST

static void inherited_ones_are_left(void) {
        const cap_value_t raw = CAP_NET_RAW;
        cap_t all = cap_get_proc();

        must(cap_set_flag(all, CAP_INHERITABLE, 1, &raw, CAP_SET) == 0 && cap_set_proc(all) == 0);
        must(cap_set_ambient(raw, CAP_SET) == 0 && cap_get_ambient(raw) == 1);
        must(att_privileges_drop(false, NULL));
        must(!has(raw, CAP_INHERITABLE) && cap_get_ambient(raw) == 0);
        cap_free(all);
}

START_TEST(drops_what_would_be_inherited) {
        in_child(inherited_ones_are_left);
}
END_TEST

static void ptrace_is_kept(void) {
        must(att_privileges_drop(true, NULL));
        for (cap_value_t cap = 0; cap < cap_max_bits(); cap++)
                must(has(cap, CAP_EFFECTIVE) == (cap == CAP_SYS_PTRACE) &&
                     has(cap, CAP_PERMITTED) == (cap == CAP_SYS_PTRACE) && !has(cap, CAP_INHERITABLE) &&
                     cap_get_bound(cap) == 0);
        must(att_privileges_drop(false, NULL));
        must(!has(CAP_SYS_PTRACE, CAP_PERMITTED));
}

START_TEST(keeps_the_one_that_is_asked_for) {
        in_child(ptrace_is_kept);
}
END_TEST

static void what_was_not_given_is_not_kept(void) {
        const cap_value_t ptrace = CAP_SYS_PTRACE;
        cap_t all = cap_get_proc();

        for (cap_flag_t kind = CAP_EFFECTIVE; kind <= CAP_INHERITABLE; kind++)
                must(cap_set_flag(all, kind, 1, &ptrace, CAP_CLEAR) == 0);
        must(cap_set_proc(all) == 0);
        must(att_privileges_drop(true, NULL));
        must(!has(ptrace, CAP_EFFECTIVE) && !has(ptrace, CAP_PERMITTED));
        cap_free(all);
}

START_TEST(keeps_nothing_that_was_not_given) {
        in_child(what_was_not_given_is_not_kept);
}
END_TEST

static void nobody_drops(void) {
        must(setgroups(0, NULL) == 0 && setgid(65534) == 0 && setuid(65534) == 0);
        must(att_privileges_drop(true, NULL));
        must(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1);
}

START_TEST(who_has_none_has_nothing_to_drop) {
        in_child(nobody_drops);
}
END_TEST

static void netlink_stays(void) {
        struct sockaddr_nl address = { .nl_family = AF_NETLINK, .nl_groups = 1 };
        int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_KOBJECT_UEVENT);
        struct stat before, after;

        must(fd >= 0 && bind(fd, (const struct sockaddr *) &address, sizeof address) == 0);
        must(stat("/proc/self/ns/net", &before) == 0);
        must(att_privileges_drop(false, NULL));
        must(stat("/proc/self/ns/net", &after) == 0 && before.st_ino != after.st_ino);
        must(fcntl(fd, F_GETFD) == FD_CLOEXEC);
        close(fd);
}

START_TEST(leaves_the_network_and_takes_open_sockets_along) {
        in_child(netlink_stays);
}
END_TEST

static gpointer wait_for_end(gpointer data) {
        (void) data;
        (void) pause();
        return NULL;
}

static void a_thread_is_there(void) {
        GThread *thread = g_thread_new("other", wait_for_end, NULL);
        g_autoptr(GError) e = NULL;

        must(!att_privileges_drop(false, &e) && strstr(e->message, "another thread"));
        must(has(CAP_SYS_ADMIN, CAP_EFFECTIVE));
        g_thread_unref(thread);
}

START_TEST(refuses_when_another_thread_would_keep_its_own) {
        in_child(a_thread_is_there);
}
END_TEST

static void the_tpm_is_of_a_group(void) {
        gid_t groups[64];
        int n;

        must(mknod("/dev/tpmrm0", S_IFCHR | 0660, makedev(1, 3)) == 0);
        must(chown("/dev/tpmrm0", 59, 59) == 0 && chmod("/dev/tpmrm0", 0660) == 0);
        must(setgroups(0, NULL) == 0);
        must(att_privileges_drop(false, NULL));
        n = getgroups(G_N_ELEMENTS(groups), groups);
        must(n == 1 && groups[0] == 59);
        must(open("/dev/tpmrm0", O_RDWR | O_CLOEXEC) >= 0);
}

START_TEST(joins_the_group_of_the_tpm) {
        in_child(the_tpm_is_of_a_group);
}
END_TEST

int main(void) {
        Suite *s = suite_create("privileges");
        TCase *t = tcase_create("all");

        enter_own_world();
        if (!empty_folder("/dev"))
                return EXIT_FAILURE;

        tcase_add_test(t, drops_all);
        tcase_add_test(t, drops_what_would_be_inherited);
        tcase_add_test(t, keeps_the_one_that_is_asked_for);
        tcase_add_test(t, keeps_nothing_that_was_not_given);
        tcase_add_test(t, who_has_none_has_nothing_to_drop);
        tcase_add_test(t, leaves_the_network_and_takes_open_sockets_along);
        tcase_add_test(t, refuses_when_another_thread_would_keep_its_own);
        tcase_add_test(t, joins_the_group_of_the_tpm);
        suite_add_tcase(s, t);
        return run_suite(s);
}
