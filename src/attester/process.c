/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "attester/process.h"

#include "util/error.h"
#include "util/io.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/syscall.h>

#define CGROUP_MAX (64u * 1024u)
#define STATUS_MAX (1024u * 1024u)
#define HEAD_SIZE 4096u

struct AttProcess {
        int dir;        /* /proc/PID: gives ESRCH when the process is gone, whoever has its pid then */
};

/* The next decimal number of @text; its end goes to @text. */
static bool take_number(const char **text, const char *end, uint64_t *ret) {
        const char *p = *text;
        uint64_t v = 0;

        for (; p < end && g_ascii_isdigit(*p); p++)
                if (!g_uint64_checked_mul(&v, v, 10) || !g_uint64_checked_add(&v, v, (uint64_t) (*p - '0')))
                        return false;
        if (p == *text)
                return false;

        *text = p;
        *ret = v;
        return true;
}

/* The line of @text that begins with @key, without it and without the line feed. */
static bool find_line(const char *text, gsize size, const char *key, const char **ret, const char **ret_end) {
        gsize key_size = strlen(key);
        const char *end = text + size;

        for (const char *line = text; line < end;) {
                const char *stop = memchr(line, '\n', (gsize) (end - line));

                if (!stop)
                        return false;
                if ((gsize) (stop - line) >= key_size && memcmp(line, key, key_size) == 0) {
                        *ret = line + key_size;
                        *ret_end = stop;
                        return true;
                }
                line = stop + 1;
        }
        return false;
}

bool att_process_parse_start_time(const char *stat, gsize size, uint64_t *ret) {
        const char *end = stat + size, *p = memrchr(stat, ')', size);
        uint64_t v;

        if (!p || size == 0 || end[-1] != '\n')
                return false;

        /* The name, field 2, may hold anything; field 3 is the first after its bracket. */
        for (guint field = 2; field < 22; field++) {
                p = memchr(p, ' ', (gsize) (end - p));
                if (!p)
                        return false;
                p++;
        }
        if (!take_number(&p, end, &v) || p == end || (*p != ' ' && *p != '\n'))
                return false;

        *ret = v;
        return true;
}

bool att_process_parse_has_uid(const char *status, gsize size, uint32_t uid) {
        const char *p, *end;
        bool has = false;
        uint64_t v;

        if (!find_line(status, size, "Uid:", &p, &end))
                return false;

        /* real, effective, saved, and that of file accesses, which follows the effective one */
        for (guint i = 0; i < 4; i++) {
                if (p == end || *p++ != '\t' || !take_number(&p, end, &v))
                        return false;
                has |= i < 3 && v == uid;
        }
        return p == end && has;
}

bool att_process_parse_pid_depth(const char *status, gsize size, guint *ret) {
        const char *p, *end;
        guint n = 0;
        uint64_t pid;

        if (!find_line(status, size, "NSpid:", &p, &end))
                return false;

        for (; p < end; n++) {
                if (*p++ != '\t' || !take_number(&p, end, &pid))
                        return false;
        }
        if (n == 0)
                return false;

        *ret = n;
        return true;
}

bool att_process_parse_first_mount(const char *mountinfo, gsize size, uint64_t *ret) {
        const char *p = mountinfo;
        uint64_t v;

        if (!take_number(&p, mountinfo + size, &v) || p == mountinfo + size || *p != ' ')
                return false;

        *ret = v;
        return true;
}

bool att_process_parse_pidfd(const char *fdinfo, gsize size, pid_t *ret) {
        const char *p, *end;
        uint64_t pid;

        /* -1: gone; 0: not in our pid namespace */
        if (!find_line(fdinfo, size, "Pid:\t", &p, &end) || !take_number(&p, end, &pid) || p != end || pid == 0 ||
            pid > G_MAXINT32)
                return false;

        *ret = (pid_t) pid;
        return true;
}

/* What was asked of a process that is not, or not any more, the one we know. */
static gboolean unknown(GError **error, const char *why) {
        return att_error_set(error, ATT_ERROR_NOT_AUTHORIZED,
                             "the calling process cannot be identified: %s; an administrator can name its uid in "
                             "ForeignNamespaces= of attestd.conf(5)", why);
}

static bool is_alive(int pidfd) {
        struct pollfd p = { .fd = pidfd, .events = POLLIN };
        int n;

        do
                n = poll(&p, 1, 0);
        while (n < 0 && errno == EINTR);
        return n == 0;
}

/* Some of a file whose beginning is all we want. */
static gssize read_head(int dir, const char *name, char buffer[HEAD_SIZE]) {
        att_autofd int fd = openat(dir, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);

        return fd < 0 ? -1 : read(fd, buffer, HEAD_SIZE);
}

static bool read_start_time(int dir, uint64_t *ret) {
        char stat[HEAD_SIZE];
        gssize n = read_head(dir, "stat", stat);

        return n > 0 && att_process_parse_start_time(stat, (gsize) n, ret);
}

static bool pid_of_pidfd(int pidfd, pid_t *ret) {
        g_autofree char *path = g_strdup_printf("/proc/self/fdinfo/%d", pidfd);
        char text[HEAD_SIZE];
        gssize n = read_head(AT_FDCWD, path, text);

        return n > 0 && att_process_parse_pidfd(text, (gsize) n, ret);
}

static int open_dir(pid_t pid) {
        g_autofree char *path = g_strdup_printf("/proc/%d", (int) pid);

        return open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
}

AttProcess *att_process_open(pid_t pid, int pidfd, GError **error) {
        att_autofd int own = -1;
        g_autoptr(AttProcess) process = g_new(AttProcess, 1);
        g_autoptr(GBytes) before = NULL, after = NULL;
        uint64_t start_before, start_after;

        process->dir = -1;
        if (pidfd >= 0) {
                if (!pid_of_pidfd(pidfd, &pid)) {
                        (void) unknown(error, "it is gone, or in a pid namespace beyond ours");
                        return NULL;
                }
        } else {
                if (pid <= 0) {
                        (void) unknown(error, "the bus does not say which it is");
                        return NULL;
                }
                own = (int) syscall(SYS_pidfd_open, pid, 0);
                if (own < 0) {
                        (void) unknown(error, "it is gone");
                        return NULL;
                }
        }

        process->dir = open_dir(pid);
        before = process->dir < 0 ? NULL : att_process_read_cgroup(process);
        if (!before || !read_start_time(process->dir, &start_before)) {
                (void) unknown(error, "it is gone, or /proc does not show it");
                return NULL;
        }

        /* Alive now, it was so when the directory was opened: the two are of one process. */
        after = att_process_read_cgroup(process);
        if (!after || !g_bytes_equal(before, after) || !read_start_time(process->dir, &start_after) ||
            start_before != start_after || !is_alive(pidfd >= 0 ? pidfd : own)) {
                (void) unknown(error, "it changed while it was looked at");
                return NULL;
        }
        return g_steal_pointer(&process);
}

gboolean att_process_check_origin(const AttProcess *process, uint32_t uid, gint64 connected_by_us, GError **error) {
        g_autoptr(GBytes) status = att_read_at(process->dir, "status", STATUS_MAX, NULL);
        gint64 tick_us = G_USEC_PER_SEC / sysconf(_SC_CLK_TCK);
        uint64_t start;

        if (!status || !read_start_time(process->dir, &start))
                return unknown(error, "it is gone, or /proc does not show it");
        if (!att_process_parse_has_uid(g_bytes_get_data(status, NULL), g_bytes_get_size(status), uid))
                return unknown(error, "its pid is another user's process by now");
        if (start > (uint64_t) (connected_by_us / tick_us))
                return unknown(error, "its pid is a younger process by now");
        return TRUE;
}

void att_process_free(AttProcess *process) {
        if (!process)
                return;

        att_close_p(&process->dir);
        g_free(process);
}

GBytes *att_process_read_cgroup(const AttProcess *process) {
        return att_read_at(process->dir, "cgroup", CGROUP_MAX, NULL);
}

static bool read_pid_depth(int dir, guint *ret) {
        g_autoptr(GBytes) status = att_read_at(dir, "status", STATUS_MAX, NULL);

        return status && att_process_parse_pid_depth(g_bytes_get_data(status, NULL), g_bytes_get_size(status), ret);
}

static bool read_first_mount(int dir, uint64_t *ret) {
        char text[HEAD_SIZE];
        gssize n = read_head(dir, "mountinfo", text);

        return n > 0 && att_process_parse_first_mount(text, (gsize) n, ret);
}

static gboolean foreign(GError **error, const char *what) {
        return att_error_set(error, ATT_ERROR_NOT_AUTHORIZED,
                             "the caller is in %s other than that of pid 1, where its unit says little of what it "
                             "runs; an administrator can name its unit or uid in ForeignNamespaces= of "
                             "attestd.conf(5)", what);
}

gboolean att_process_check_namespaces(const AttProcess *process, bool *ret_in_pid_namespace, GError **error) {
        att_autofd int init = open("/proc/1", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        g_autoptr(GBytes) uid_map = NULL, init_uid_map = NULL;
        uint64_t mount, init_mount;
        guint depth, init_depth;

        if (init < 0 || !read_pid_depth(init, &init_depth) || !read_pid_depth(process->dir, &depth))
                return unknown(error, "/proc does not say which pid namespace it is in");
        *ret_in_pid_namespace = depth != init_depth;
        if (depth != init_depth)
                return foreign(error, "a pid namespace");

        init_uid_map = att_read_at(init, "uid_map", HEAD_SIZE, NULL);
        uid_map = att_read_at(process->dir, "uid_map", HEAD_SIZE * 8, NULL);
        if (!init_uid_map || !uid_map)
                return unknown(error, "/proc does not say which user namespace it is in");
        if (!g_bytes_equal(uid_map, init_uid_map))
                return foreign(error, "a user namespace");

        if (!read_first_mount(init, &init_mount) || !read_first_mount(process->dir, &mount))
                return unknown(error, "/proc does not say which mount namespace it is in");
        if (mount != init_mount)
                return foreign(error, "a mount namespace or root directory");
        return TRUE;
}

int att_process_open_executable(const AttProcess *process, GError **error) {
        /* A magic link: it is followed to the file itself, not to a path. */
        int fd = openat(process->dir, "exe", O_RDONLY | O_CLOEXEC | O_NOCTTY);

        if (fd < 0)
                (void) att_error_set_errno(error, errno, "cannot open the caller's executable");
        return fd;
}
