/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "tee/kernel-message.h"

#include "util/bytes.h"
#include "util/error.h"
#include "util/io.h"

#include <errno.h>
#include <linux/audit.h>
#include <linux/netlink.h>
#include <string.h>
#include <sys/socket.h>

int att_kernel_messages_open(int protocol, guint group, GError **error) {
        struct sockaddr_nl address = { .nl_family = AF_NETLINK, .nl_groups = 1u << (group - 1) };
        att_autofd int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, protocol);

        if (fd < 0 || bind(fd, (const struct sockaddr *) &address, sizeof address) < 0) {
                (void) att_error_set_errno(error, errno, "netlink family %d", protocol);
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
