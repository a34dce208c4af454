/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "attester/process.h"

#include "run.h"
#include "util/error.h"
#include "util/io.h"

#include <fcntl.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>

/* ----- parts */

#define FIELDS_3_TO_21 "S 1 2 2 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 1 0"

static const struct {
        const char *text;
        uint64_t start_time; /* 0: refused */
} stats[] = {
        { "7 (cat) " FIELDS_3_TO_21 " 4711 1 2\n", 4711 },
        { "7 (a b) c) " FIELDS_3_TO_21 " 4711 1 2\n", 4711 },
        { "7 () 1 2) " FIELDS_3_TO_21 " 4711\n", 4711 },
        { "7 (cat) " FIELDS_3_TO_21 "\n", 0 },
        { "7 (cat) " FIELDS_3_TO_21 " 99999999999999999999 1\n", 0 },
        { "7 (cat) " FIELDS_3_TO_21 " -1 1\n", 0 },
        { "7 cat " FIELDS_3_TO_21 " 4711 1\n", 0 },
        { "", 0 },
};

START_TEST(reads_the_start_time) {
        uint64_t v = 77;
        bool ok = att_process_parse_start_time(stats[_i].text, strlen(stats[_i].text), &v);

        ck_assert_msg(ok == (stats[_i].start_time != 0), "%s", stats[_i].text);
        ck_assert_uint_eq(v, ok ? stats[_i].start_time : 77);
}
END_TEST

static const struct {
        const char *text;
        guint depth; /* 0: refused */
} statuses[] = {
        { "Name:\tcat\nNSpid:\t7\nNSpgid:\t7\t9\n", 1 },
        { "Name:\tcat\nNSpid:\t7\t1\n", 2 },
        { "NSpid:\t4000000\t700\t1\n", 3 },
        { "Name:\tNSpid:\t7\t1\nNSpid:\t7\n", 1 }, /* a name cannot make a line: it is escaped */
        { "NSpid:\n", 0 },
        { "NSpid:\t\n", 0 },
        { "NSpid: 7\n", 0 },
        { "NSpid:\t7\t\n", 0 },
        { "NSpid:\t7x\n", 0 },
        { "NSpid:\t7", 0 },
        { "Name:\tcat\n", 0 },
        { "", 0 },
};

START_TEST(counts_pid_namespaces) {
        guint n = 77;
        bool ok = att_process_parse_pid_depth(statuses[_i].text, strlen(statuses[_i].text), &n);

        ck_assert_msg(ok == (statuses[_i].depth != 0), "%s", statuses[_i].text);
        ck_assert_uint_eq(n, ok ? statuses[_i].depth : 77);
}
END_TEST

static const struct {
        const char *text;
        uint64_t id; /* 0: refused */
} mountinfos[] = {
        { "22 27 0:21 / /proc rw - proc proc rw\n23 27 0:22 / /sys rw - sysfs sysfs rw\n", 22 },
        { "4294967295 1 0:1 / / rw - ext4 /dev/vda rw\n", 4294967295 },
        { "99999999999999999999 1\n", 0 },
        { " 22 27\n", 0 },
        { "-22 27\n", 0 },
        { "22", 0 },
        { "", 0 },
};

START_TEST(reads_the_first_mount) {
        uint64_t v = 77;
        bool ok = att_process_parse_first_mount(mountinfos[_i].text, strlen(mountinfos[_i].text), &v);

        ck_assert_msg(ok == (mountinfos[_i].id != 0), "%s", mountinfos[_i].text);
        ck_assert_uint_eq(v, ok ? mountinfos[_i].id : 77);
}
END_TEST

static const struct {
        const char *text;
        pid_t pid; /* 0: refused */
} fdinfos[] = {
        { "pos:\t0\nflags:\t02000002\nmnt_id:\t15\nPid:\t4711\nNSpid:\t4711\n", 4711 },
        { "Pid:\t-1\n", 0 },
        { "Pid:\t0\n", 0 },
        { "Pid:\t4294967297\n", 0 },
        { "pos:\t0\nflags:\t02\n", 0 },
        { "Pid:\t47x\n", 0 },
        { "Pid:\t47", 0 },
};

START_TEST(reads_the_pid_of_a_pidfd) {
        pid_t v = 77;
        bool ok = att_process_parse_pidfd(fdinfos[_i].text, strlen(fdinfos[_i].text), &v);

        ck_assert_msg(ok == (fdinfos[_i].pid != 0), "%s", fdinfos[_i].text);
        ck_assert_int_eq(v, ok ? fdinfos[_i].pid : 77);
}
END_TEST

/* Cut at any place: refused, or what the whole says; never over-read. */
START_TEST(a_prefix_says_nothing_else) {
        const char *stat = stats[0].text, *status = statuses[1].text, *mounts = mountinfos[0].text,
                   *fdinfo = fdinfos[0].text;

        for (gsize n = 0; n < 200; n++) {
                g_autofree char *a = n < strlen(stat) ? g_memdup2(stat, n) : NULL;
                g_autofree char *b = n < strlen(status) ? g_memdup2(status, n) : NULL;
                g_autofree char *c = n < strlen(mounts) ? g_memdup2(mounts, n) : NULL;
                g_autofree char *d = n < strlen(fdinfo) ? g_memdup2(fdinfo, n) : NULL;
                uint64_t v;
                guint depth;
                pid_t pid;

                ck_assert(!a || !att_process_parse_start_time(a, n, &v));
                ck_assert(!b || !att_process_parse_pid_depth(b, n, &depth));
                ck_assert(!c || !att_process_parse_first_mount(c, n, &v) || v == mountinfos[0].id);
                ck_assert(!d || !att_process_parse_pidfd(d, n, &pid) || pid == fdinfos[0].pid);
        }
}
END_TEST

/* ----- processes */

static pid_t child_new(void) {
        pid_t pid = fork();

        if (pid == 0) {
                pause();
                _exit(0);
        }
        return pid;
}

static void child_end(pid_t pid) {
        ck_assert_int_eq(kill(pid, SIGKILL), 0);
        ck_assert_int_eq(waitpid(pid, NULL, 0), pid);
}

START_TEST(holds_a_process_by_pid_and_by_pidfd) {
        pid_t pid = child_new();
        att_autofd int pidfd = (int) syscall(SYS_pidfd_open, pid, 0);

        for (int by_pidfd = 0; by_pidfd < 2; by_pidfd++) {
                g_autoptr(GError) error = NULL;
                g_autoptr(AttProcess) p = att_process_open(by_pidfd ? 0 : pid, by_pidfd ? pidfd : -1, &error);
                g_autoptr(GBytes) cgroup = NULL;

                ck_assert_msg(p, "%s", error ? error->message : "");
                cgroup = att_process_read_cgroup(p);
                ck_assert(cgroup);
        }
        child_end(pid);
}
END_TEST

START_TEST(knows_nothing_of_a_process_that_is_gone) {
        pid_t pid = child_new();
        att_autofd int pidfd = (int) syscall(SYS_pidfd_open, pid, 0);
        g_autoptr(AttProcess) p = att_process_open(pid, -1, NULL);
        g_autoptr(GBytes) before = att_process_read_cgroup(p), after = NULL;

        ck_assert(before);
        child_end(pid);
        after = att_process_read_cgroup(p);
        ck_assert(!after);

        for (int by_pidfd = 0; by_pidfd < 2; by_pidfd++) {
                g_autoptr(GError) error = NULL;
                g_autoptr(AttProcess) gone = att_process_open(by_pidfd ? 0 : pid, by_pidfd ? pidfd : -1, &error);

                ck_assert(!gone);
                ck_assert(g_error_matches(error, ATT_ERROR, ATT_ERROR_NOT_AUTHORIZED));
        }
}
END_TEST

START_TEST(knows_nothing_of_a_process_without_pid) {
        g_autoptr(GError) error = NULL;
        g_autoptr(AttProcess) p = att_process_open(0, -1, &error);

        ck_assert(!p);
        ck_assert(g_error_matches(error, ATT_ERROR, ATT_ERROR_NOT_AUTHORIZED));
}
END_TEST

/* What is not a pidfd must not be taken for one. */
START_TEST(refuses_another_descriptor) {
        att_autofd int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
        g_autoptr(AttProcess) p = att_process_open(getpid(), fd, NULL);

        ck_assert(!p);
}
END_TEST

START_TEST(opens_the_executable_itself) {
        g_autoptr(AttProcess) p = att_process_open(getpid(), -1, NULL);
        att_autofd int fd = att_process_open_executable(p, NULL);
        char magic[4];

        ck_assert_int_ge(fd, 0);
        ck_assert_int_eq(read(fd, magic, sizeof magic), 4);
        ck_assert_mem_eq(magic, "\177ELF", 4);
}
END_TEST

int main(void) {
        Suite *s = suite_create("process");
        TCase *t = tcase_create("parts");

        tcase_add_loop_test(t, reads_the_start_time, 0, G_N_ELEMENTS(stats));
        tcase_add_loop_test(t, counts_pid_namespaces, 0, G_N_ELEMENTS(statuses));
        tcase_add_loop_test(t, reads_the_first_mount, 0, G_N_ELEMENTS(mountinfos));
        tcase_add_loop_test(t, reads_the_pid_of_a_pidfd, 0, G_N_ELEMENTS(fdinfos));
        tcase_add_test(t, a_prefix_says_nothing_else);
        suite_add_tcase(s, t);

        t = tcase_create("processes");
        tcase_add_test(t, holds_a_process_by_pid_and_by_pidfd);
        tcase_add_test(t, knows_nothing_of_a_process_that_is_gone);
        tcase_add_test(t, knows_nothing_of_a_process_without_pid);
        tcase_add_test(t, refuses_another_descriptor);
        tcase_add_test(t, opens_the_executable_itself);
        suite_add_tcase(s, t);
        return run_suite(s);
}
