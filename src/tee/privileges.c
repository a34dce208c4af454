/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "tee/privileges.h"

#include "util/error.h"

#include <errno.h>
#include <grp.h>
#include <sched.h>
#include <sys/capability.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#define TPM "/dev/tpmrm0"
#define GROUPS_MAX 64

G_DEFINE_AUTO_CLEANUP_FREE_FUNC(cap_t, cap_free, NULL)

static bool is_alone(void) {
        struct stat st;

        /* A folder for each thread, and the two that every folder has. */
        return stat("/proc/self/task", &st) < 0 || st.st_nlink == 3;
}

static void join_group_of_tpm(void) {
        gid_t groups[GROUPS_MAX + 1];
        int n = getgroups(GROUPS_MAX, groups);
        struct stat st;

        if (n < 0 || stat(TPM, &st) < 0 || !S_ISCHR(st.st_mode) || (st.st_mode & (S_IRGRP | S_IWGRP)) == 0)
                return;
        for (int i = 0; i < n; i++)
                if (groups[i] == st.st_gid)
                        return;

        groups[n] = st.st_gid;
        if (st.st_gid != getegid() && setgroups((size_t) n + 1, groups) < 0)
                g_info(TPM " is of group %u, which cannot be joined: %s", st.st_gid, g_strerror(errno));
}

static gboolean leave_network(GError **error) {
        if (unshare(CLONE_NEWNET) == 0)
                return TRUE;
        /* Who may not, or has a kernel without, has what it was started with: nothing to do with it but to listen. */
        if (errno == EPERM || errno == EINVAL || errno == ENOSYS) {
                g_info("the network namespace stays: %s", g_strerror(errno));
                return TRUE;
        }
        return att_error_set_errno(error, errno, "cannot leave the network namespace");
}

/* What of @now is in @kind, given that there are not more than cap_max_bits(). */
static bool is_set(cap_t now, cap_value_t cap, cap_flag_t kind) {
        cap_flag_value_t value;

        return cap_get_flag(now, cap, kind, &value) == 0 && value == CAP_SET;
}

static bool is_empty_but_for(cap_t now, cap_t wanted) {
        for (cap_value_t cap = 0; cap < cap_max_bits(); cap++) {
                if (cap_get_ambient(cap) > 0)
                        return false;
                for (cap_flag_t kind = CAP_EFFECTIVE; kind <= CAP_INHERITABLE; kind++)
                        if (is_set(now, cap, kind) != is_set(wanted, cap, kind))
                                return false;
        }
        return true;
}

gboolean att_privileges_drop(bool keep_ptrace, GError **error) {
        const cap_value_t ptrace = CAP_SYS_PTRACE;
        g_auto(cap_t) before = cap_get_proc(), wanted = cap_init(), now = NULL;
        bool may_bound;

        if (!before || !wanted)
                return att_error_set_errno(error, errno, "cannot read the capabilities");
        if (!is_alone())
                return att_error_set(error, ATT_ERROR_FAILED, "another thread would keep its capabilities");

        join_group_of_tpm();
        if (!leave_network(error))
                return FALSE;
        if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
                return att_error_set_errno(error, errno, "cannot give up new privileges");

        /* Who has not got CAP_SETPCAP cannot empty it; and with nothing permitted and no new
         * privileges can get nothing of it. */
        may_bound = is_set(before, CAP_SETPCAP, CAP_EFFECTIVE);
        for (cap_value_t cap = 0; may_bound && cap < cap_max_bits(); cap++)
                if (cap_drop_bound(cap) < 0)
                        return att_error_set_errno(error, errno, "cannot drop a capability from the bounding set");

        if (keep_ptrace && is_set(before, ptrace, CAP_PERMITTED) &&
            (cap_set_flag(wanted, CAP_PERMITTED, 1, &ptrace, CAP_SET) < 0 ||
             cap_set_flag(wanted, CAP_EFFECTIVE, 1, &ptrace, CAP_SET) < 0))
                return att_error_set_errno(error, errno, "cannot keep CAP_SYS_PTRACE");
        if (cap_set_proc(wanted) < 0)
                return att_error_set_errno(error, errno, "cannot drop the capabilities");
        (void) cap_reset_ambient(); /* which has gone with the permitted ones */

        now = cap_get_proc();
        if (!now || !is_empty_but_for(now, wanted) || prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) != 1)
                return att_error_set(error, ATT_ERROR_FAILED, "the kernel has not taken all privileges");
        for (cap_value_t cap = 0; may_bound && cap < cap_max_bits(); cap++)
                if (cap_get_bound(cap) != 0)
                        return att_error_set(error, ATT_ERROR_FAILED, "the kernel has not emptied the bounding set");
        return TRUE;
}
