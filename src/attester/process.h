/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What /proc says of another process, read without any capability. */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

G_BEGIN_DECLS

typedef struct AttProcess AttProcess;

/**
 * att_process_open: hold on to one process
 * @pid:   0: not known
 * @pidfd: (transfer none): of the process, as the bus gives it; -1: not known.
 *         Then it is by @pid, and what was read before the pid was held is read
 *         again afterwards: any difference, and it is no process that we know
 * @error: %ATT_ERROR_NOT_AUTHORIZED that says why nothing can be known of it
 *
 * A pid that is used again by another process does not become ours: the
 * directory of a process goes with it.
 */
AttProcess *att_process_open(pid_t pid, int pidfd, GError **error) G_GNUC_WARN_UNUSED_RESULT;
void att_process_free(AttProcess *process);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(AttProcess, att_process_free)

/**
 * att_process_check_origin: may this process have made a connection of @uid?
 * @connected_by_us: CLOCK_BOOTTIME, microseconds
 * @error:           %ATT_ERROR_NOT_AUTHORIZED
 *
 * For a process that is known by its pid alone. The pid is that of who connected; he
 * may be gone, and somebody else have it. Such a process shows by being of another
 * user, or younger than the connection. What it does not show: one of the same user
 * that got the pid between the connection and its first message, which the bus
 * limits to seconds. A pidfd of the bus has none of these doubts.
 */
gboolean att_process_check_origin(const AttProcess *process, uint32_t uid, gint64 connected_by_us, GError **error)
        G_GNUC_WARN_UNUSED_RESULT;

/** att_process_read_cgroup: its control groups now; %NULL once it is gone. Returns: (transfer full) */
GBytes *att_process_read_cgroup(const AttProcess *process) G_GNUC_WARN_UNUSED_RESULT;

/**
 * att_process_check_namespaces: is it in the pid, user and mount namespace of pid 1?
 * @ret_in_pid_namespace: set in either case, if it can be known: does it have a pid namespace of its own?
 * @error: %ATT_ERROR_NOT_AUTHORIZED that names the namespace, or says what could not be read
 *
 * Who may look at /proc/PID/ns is he who may trace the process, so it is learnt
 * from what all can read: the pids it has, its uid map, and the id of its first mount.
 */
gboolean att_process_check_namespaces(const AttProcess *process, bool *ret_in_pid_namespace, GError **error)
        G_GNUC_WARN_UNUSED_RESULT;

/** att_process_open_executable: its executable, for reading; needs CAP_SYS_PTRACE. Returns: -1 with @error */
int att_process_open_executable(const AttProcess *process, GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* Of the parts above, for tests. Each fails on anything but what the kernel writes. */

/** start time: field 22 of /proc/PID/stat, whatever the process calls itself */
bool att_process_parse_start_time(const char *stat, gsize size, uint64_t *ret);
/** is @uid the real, effective or saved one of the line Uid of /proc/PID/status? */
bool att_process_parse_has_uid(const char *status, gsize size, uint32_t uid);
/** in how many pid namespaces it has a pid, seen from ours: NSpid of /proc/PID/status */
bool att_process_parse_pid_depth(const char *status, gsize size, guint *ret);
/** the id of the first mount in /proc/PID/mountinfo: no two in the system are equal */
bool att_process_parse_first_mount(const char *mountinfo, gsize size, uint64_t *ret);
/** the pid in /proc/self/fdinfo/N of a pidfd; refused if the process is gone, or not to be seen from here */
bool att_process_parse_pidfd(const char *fdinfo, gsize size, pid_t *ret);

G_END_DECLS
