/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "tee/kernel-message.h"

#include "util/bytes.h"
#include "util/error.h"
#include "util/io.h"

#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/netlink.h>
#include <string.h>
#include <sys/socket.h>

#define UEVENT_GROUP 1u /* the kernel's own; udev's is 2 */

static int open_group(int protocol, guint group, const struct sock_fprog *filter, GError **error) {
        struct sockaddr_nl address = { .nl_family = AF_NETLINK, .nl_groups = 1u << (group - 1) };
        att_autofd int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, protocol);

        if (fd < 0 || (filter && setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, filter, sizeof *filter) < 0) ||
            bind(fd, (const struct sockaddr *) &address, sizeof address) < 0) {
                (void) att_error_set_errno(error, errno, "netlink family %d", protocol);
                return -1;
        }
        return att_steal_fd(&fd);
}

int att_uevents_open(GError **error) {
        /* By the first four letters of "change@" and "online@". */
        struct sock_filter code[] = {
                BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 0),
                BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0x6368616e, 1, 0),
                BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0x6f6e6c69, 0, 1),
                BPF_STMT(BPF_RET | BPF_K, G_MAXUINT32),
                BPF_STMT(BPF_RET | BPF_K, 0),
        };
        const struct sock_fprog filter = { .len = G_N_ELEMENTS(code), .filter = code };

        return open_group(NETLINK_KOBJECT_UEVENT, UEVENT_GROUP, &filter, error);
}

int att_audit_open(GError **error) {
        att_autofd int fd = open_group(NETLINK_AUDIT, AUDIT_NLGRP_READLOG, NULL, error);

        if (fd < 0)
                return -1;
        /* Of what there is no room for we need not know: what there is room for tells enough. */
        if (setsockopt(fd, SOL_NETLINK, NETLINK_NO_ENOBUFS, &(int) { 1 }, sizeof(int)) < 0) {
                (void) att_error_set_errno(error, errno, "netlink family %d", NETLINK_AUDIT);
                return -1;
        }
        return att_steal_fd(&fd);
}

AttKernelMessage att_kernel_messages_next(int fd, guint8 buffer[ATT_KERNEL_MESSAGE_MAX], gsize *ret_size) {
        struct sockaddr_nl sender = { 0 };
        struct iovec part = { .iov_base = buffer, .iov_len = ATT_KERNEL_MESSAGE_MAX };
        struct msghdr message = {
                .msg_name = &sender, .msg_namelen = sizeof sender, .msg_iov = &part, .msg_iovlen = 1,
        };
        gssize n;

        do
                n = recvmsg(fd, &message, MSG_DONTWAIT);
        while (n < 0 && errno == EINTR);
        if (n < 0)
                return errno == ENOBUFS ? ATT_KERNEL_MESSAGE_OVERRUN : ATT_KERNEL_MESSAGE_NONE;

        /* The kernel writes down who has sent it, and is itself the one with port 0. Any
         * process with CAP_NET_ADMIN can send to us too. */
        if (message.msg_namelen != sizeof sender || sender.nl_family != AF_NETLINK || sender.nl_pid != 0 ||
            (message.msg_flags & MSG_TRUNC))
                return ATT_KERNEL_MESSAGE_OTHER;

        *ret_size = (gsize) n;
        return ATT_KERNEL_MESSAGE_IS_HERE;
}

/* The next string of @c with its NUL; NULL at the end. */
static const char *take_string(AttCursor *c) {
        const uint8_t *nul = c->left > 0 ? memchr(c->at, '\0', c->left) : NULL;

        return nul ? (const char *) att_take(c, (size_t) (nul - c->at) + 1) : NULL;
}

bool att_uevent_begins(const guint8 *data, gsize size, const char *prefix) {
        AttCursor c = att_cursor(data, size);
        const char *head = take_string(&c);

        return head && strchr(head, '@') && g_str_has_prefix(head, prefix);
}

bool att_uevent_says(const guint8 *data, gsize size, const char *assignment) {
        AttCursor c = att_cursor(data, size);
        const char *s = take_string(&c);

        if (!s || !strchr(s, '@'))
                return false;

        while ((s = take_string(&c)))
                if (g_str_equal(s, assignment))
                        return true;
        return false;
}

bool att_audit_is_of_integrity(const guint8 *data, gsize size) {
        struct nlmsghdr header;

        /* Of its length nothing: to audit it is that of the payload, to all others it is not. */
        if (size < sizeof header)
                return false;
        memcpy(&header, data, sizeof header);
        return header.nlmsg_type == AUDIT_INTEGRITY_PCR;
}

bool att_audit_tells_measurements(const char *cmdline) {
        g_auto(GStrv) words = g_strsplit_set(cmdline, " \t\n", -1);
        bool tells = false;

        /* The last one counts, and what follows "--" is not the kernel's. */
        for (char **w = words; *w && !g_str_equal(*w, "--"); w++)
                if (g_str_has_prefix(*w, "integrity_audit="))
                        tells = g_ascii_strtoull(strchr(*w, '=') + 1, NULL, 0) != 0;
        return tells;
}
