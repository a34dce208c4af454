/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "tee/kernel-message.h"

#include "own-world.h"
#include "run.h"

#include <fcntl.h>
#include <linux/audit.h>
#include <linux/netlink.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* As drivers/virt/vmgenid.c of Linux 6.12 has the kernel send it. */
#define CLONE "change@/devices/platform/QEMUVGID:00\0ACTION=change\0DEVPATH=/devices/platform/QEMUVGID:00\0" \
              "SUBSYSTEM=platform\0NEW_VMGENID=1\0DRIVER=vmgenid\0SEQNUM=1234"
#define UEVENT_GROUP 1u

static guint8 buffer[ATT_KERNEL_MESSAGE_MAX];
static gsize size;

#define says(text, what) att_uevent_says((const guint8 *) text, sizeof text, what)

START_TEST(finds_what_a_uevent_says) {
        ck_assert(says(CLONE, "NEW_VMGENID=1"));
        ck_assert(says(CLONE, "SEQNUM=1234"));
        ck_assert(att_uevent_begins((const guint8 *) CLONE, sizeof CLONE, "change@/devices/platform/"));
        ck_assert(!att_uevent_begins((const guint8 *) CLONE, sizeof CLONE, "online@/devices/platform/"));
}
END_TEST

START_TEST(takes_only_whole_assignments) {
        ck_assert(!says(CLONE, "NEW_VMGENID=12"));
        ck_assert(!says(CLONE, "VMGENID=1"));
        ck_assert(!says("change@/x\0SYNTH_ARG_NEW_VMGENID=1", "NEW_VMGENID=1")); /* what root can add to one */
        ck_assert(!says("change@/NEW_VMGENID=1\0A=b", "NEW_VMGENID=1"));
        ck_assert(!says("NEW_VMGENID=1\0@", "NEW_VMGENID=1"));
        ck_assert(!says("libudev\0\xfe\xed\xca\xfe\0NEW_VMGENID=1", "NEW_VMGENID=1")); /* udev's own form */
}
END_TEST

START_TEST(a_part_of_a_uevent_says_nothing_that_it_does_not_say) {
        const gsize whole = sizeof CLONE, said = whole - sizeof "DRIVER=vmgenid\0SEQNUM=1234";

        for (gsize n = 0; n <= whole; n++) {
                g_autofree guint8 *part = g_memdup2(CLONE, n); /* of exactly this size */

                ck_assert_int_eq(att_uevent_says(part, n, "NEW_VMGENID=1"), n >= said);
                ck_assert_int_eq(att_uevent_begins(part, n, "change@/devices/"), n >= sizeof CLONE - whole + 37);
        }
}
END_TEST

static GByteArray *audit(uint16_t type, const char *text) {
        GByteArray *a = g_byte_array_new();
        /* The kernel writes the length of the payload alone. */
        struct nlmsghdr header = { .nlmsg_len = (uint32_t) strlen(text), .nlmsg_type = type };

        g_byte_array_append(a, (const guint8 *) &header, sizeof header);
        g_byte_array_append(a, (const guint8 *) text, (guint) strlen(text));
        return a;
}

START_TEST(tells_integrity_from_the_rest_of_audit) {
        static const struct {
                uint16_t type;
                const char *text;
                bool is_ours;
        } records[] = {
                { AUDIT_INTEGRITY_PCR, "audit(1.2:3): pid=1 op=add_template_measure cause=hash_added", true },
                { AUDIT_INTEGRITY_PCR, "audit(1.2:3): pid=1 op=invalid_pcr cause=open_writers", true },
                { AUDIT_INTEGRITY_PCR, "", true },
                { AUDIT_INTEGRITY_STATUS, "audit(1.2:3): op=policy_update", false },
                { AUDIT_SYSCALL, "audit(1.2:3): op=add_template_measure", false },
        };

        for (gsize i = 0; i < G_N_ELEMENTS(records); i++) {
                g_autoptr(GByteArray) a = audit(records[i].type, records[i].text);

                ck_assert_int_eq(att_audit_is_of_integrity(a->data, a->len), records[i].is_ours);
                for (gsize n = 0; n < sizeof(struct nlmsghdr); n++) {
                        g_autofree guint8 *part = g_memdup2(a->data, n);

                        ck_assert(!att_audit_is_of_integrity(part, n));
                }
        }
}
END_TEST

START_TEST(knows_whether_the_kernel_tells_of_measurements) {
        static const struct {
                const char *cmdline;
                bool tells;
        } lines[] = {
                { "ro quiet integrity_audit=1\n", true },
                { "integrity_audit=1", true },
                { "integrity_audit=0x1 ro", true },
                { "integrity_audit=0\n", false },
                { "integrity_audit=0 integrity_audit=1\n", true },
                { "integrity_audit=1 integrity_audit=0\n", false },
                { "integrity_audit=\n", false },
                { "xintegrity_audit=1 integrity_audit\n", false },
                { "ro -- integrity_audit=1\n", false },
                { "", false },
        };

        for (gsize i = 0; i < G_N_ELEMENTS(lines); i++)
                ck_assert_msg(att_audit_tells_measurements(lines[i].cmdline) == lines[i].tells, "%s", lines[i].cmdline);
}
END_TEST

/* ----- sockets: in a network namespace of our own */

static AttKernelMessage next_of(int fd) {
        struct pollfd p = { .fd = fd, .events = POLLIN };

        ck_assert_int_eq(poll(&p, 1, 10000), 1);
        return att_kernel_messages_next(fd, buffer, &size);
}

/* Has the kernel itself send a uevent, which is what a write here is for. */
static void have_one_sent(const char *text) {
        int fd = open("/sys/devices/virtual/mem/null/uevent", O_WRONLY | O_CLOEXEC);

        ck_assert_int_ge(fd, 0);
        ck_assert_int_eq(write(fd, text, strlen(text)), (gssize) strlen(text));
        close(fd);
}

START_TEST(hears_the_kernel) {
        int fd = att_uevents_open(NULL);

        ck_assert_int_ge(fd, 0);
        have_one_sent("change 12345678-1234-1234-1234-123456789abc NEW=1");
        do
                ck_assert_int_eq(next_of(fd), ATT_KERNEL_MESSAGE_IS_HERE);
        while (!att_uevent_says(buffer, size, "SYNTH_ARG_NEW=1")); /* another may have come from elsewhere */
        ck_assert(att_uevent_begins(buffer, size, "change@/devices/virtual/mem/null"));
        close(fd);
}
END_TEST

START_TEST(does_not_hear_others) {
        int fd = att_uevents_open(NULL);
        int forger = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_KOBJECT_UEVENT);
        struct sockaddr_nl to = { .nl_family = AF_NETLINK, .nl_pid = (uint32_t) getpid() };
        socklen_t length = sizeof to;

        ck_assert_int_ge(forger, 0);
        ck_assert_int_eq(getsockname(fd, (struct sockaddr *) &to, &length), 0);
        to.nl_groups = 0; /* to us alone; it takes CAP_NET_ADMIN in this namespace */
        ck_assert_int_gt(sendto(forger, CLONE, sizeof CLONE, 0, (const struct sockaddr *) &to, sizeof to), 0);
        ck_assert_int_eq(next_of(fd), ATT_KERNEL_MESSAGE_OTHER);

        to.nl_pid = 0;
        to.nl_groups = UEVENT_GROUP; /* and to all who listen */
        (void) sendto(forger, CLONE, sizeof CLONE, 0, (const struct sockaddr *) &to, sizeof to);
        have_one_sent("change");
        for (;;) {
                AttKernelMessage m = next_of(fd);

                ck_assert(m == ATT_KERNEL_MESSAGE_OTHER || m == ATT_KERNEL_MESSAGE_IS_HERE);
                if (m == ATT_KERNEL_MESSAGE_OTHER)
                        continue;
                ck_assert(!att_uevent_says(buffer, size, "NEW_VMGENID=1"));
                if (att_uevent_begins(buffer, size, "change@/devices/virtual/mem/null"))
                        break;
        }
        close(forger);
        close(fd);
}
END_TEST

START_TEST(says_when_there_was_no_more_room) {
        int fd = att_uevents_open(NULL), least = 1;
        AttKernelMessage m;

        ck_assert_int_eq(setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &least, sizeof least), 0);
        for (guint i = 0; i < 16; i++)
                have_one_sent("change");
        m = next_of(fd);
        ck_assert_int_eq(m, ATT_KERNEL_MESSAGE_OVERRUN);
        do
                m = att_kernel_messages_next(fd, buffer, &size);
        while (m == ATT_KERNEL_MESSAGE_IS_HERE);
        ck_assert_int_eq(m, ATT_KERNEL_MESSAGE_NONE);
        close(fd);
}
END_TEST

static void has_sent(const char *text, bool is_heard) {
        int fd = att_uevents_open(NULL);
        bool was_heard = false;

        ck_assert_int_ge(fd, 0);
        have_one_sent(text);
        /* They come in order, and this one is heard. */
        have_one_sent("change 12345678-1234-1234-1234-123456789abc END=1");
        do {
                ck_assert_int_eq(next_of(fd), ATT_KERNEL_MESSAGE_IS_HERE);
                was_heard = was_heard || att_uevent_says(buffer, size, "SYNTH_ARG_IT=1");
        } while (!att_uevent_says(buffer, size, "SYNTH_ARG_END=1"));
        ck_assert_msg(was_heard == is_heard, "%s", text);
        close(fd);
}

START_TEST(is_not_woken_by_what_it_does_not_need) {
        has_sent("change 12345678-1234-1234-1234-123456789abc IT=1", true);
        has_sent("online 12345678-1234-1234-1234-123456789abc IT=1", true);
        has_sent("add 12345678-1234-1234-1234-123456789abc IT=1", false);
        has_sent("bind 12345678-1234-1234-1234-123456789abc IT=1", false);
}
END_TEST

int main(void) {
        Suite *s = suite_create("kernel-message");
        TCase *t = tcase_create("all");

        enter_own_world();
        tcase_add_test(t, finds_what_a_uevent_says);
        tcase_add_test(t, takes_only_whole_assignments);
        tcase_add_test(t, a_part_of_a_uevent_says_nothing_that_it_does_not_say);
        tcase_add_test(t, tells_integrity_from_the_rest_of_audit);
        tcase_add_test(t, knows_whether_the_kernel_tells_of_measurements);
        tcase_add_test(t, hears_the_kernel);
        tcase_add_test(t, does_not_hear_others);
        tcase_add_test(t, says_when_there_was_no_more_room);
        tcase_add_test(t, is_not_woken_by_what_it_does_not_need);
        suite_add_tcase(s, t);
        return run_suite(s);
}
