/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Where there is neither a probe nor audit. With them, and a clone: tests/vm. */
#include "tee/event-source.h"

#include "own-world.h"
#include "run.h"

#include <fcntl.h>
#include <linux/netlink.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define INTERVAL_MS 20u

static struct {
        guint measured, cloned, ticks;
} seen;

static void on_measured(gpointer userdata) {
        (void) userdata;
        seen.measured++;
}

static void on_cloned(gpointer userdata) {
        (void) userdata;
        seen.cloned++;
}

static void on_tick(gpointer userdata) {
        ck_assert_ptr_eq(userdata, &seen);
        seen.ticks++;
}

static const AttEventHandlers handlers = { on_measured, on_cloned, on_tick };

START_TEST(says_what_it_has_and_why_not_more) {
        g_autoptr(AttEventSource) source = att_event_source_open();

        ck_assert_str_eq(att_event_source_name(source), "timer");
        ck_assert_str_eq(att_event_source_detail(source),
                         "the kernel has no probes (CONFIG_KPROBE_EVENTS); audit tells of measurements only with "
                         "integrity_audit=1 on the kernel's command line");
}
END_TEST

/* Probes that it says it has, and then opens none: no PMU has this number. */
START_TEST(says_why_the_kernel_refuses_probes) {
        g_autoptr(AttEventSource) source = NULL;

        ck_assert_int_eq(g_mkdir_with_parents("/sys/bus/event_source/devices/kprobe/format", 0755), 0);
        ck_assert(g_file_set_contents("/sys/bus/event_source/devices/kprobe/type", "4294967295\n", -1, NULL));
        ck_assert(g_file_set_contents("/sys/bus/event_source/devices/kprobe/format/retprobe", "config:0\n", -1, NULL));
        source = att_event_source_open();
        ck_assert(empty_folder("/sys/bus"));
        ck_assert_str_eq(att_event_source_name(source), "timer");
        ck_assert_msg(strstr(att_event_source_detail(source), "probe") &&
                              !strstr(att_event_source_detail(source), "CONFIG_KPROBE_EVENTS"),
                      "%s", att_event_source_detail(source));
}
END_TEST

static gboolean on_later(gpointer is_later) {
        *(bool *) is_later = true;
        return G_SOURCE_REMOVE;
}

START_TEST(the_timer_is_there_always_and_nothing_else_is_told) {
        g_autoptr(AttEventSource) source = att_event_source_open();
        bool is_later = false;

        att_event_source_start(source, INTERVAL_MS, &handlers, &seen);
        while (seen.ticks < 3)
                (void) g_main_context_iteration(NULL, TRUE);
        ck_assert_uint_eq(seen.measured + seen.cloned, 0);

        att_event_source_stop(source);
        seen.ticks = 0;
        g_timeout_add(2 * INTERVAL_MS, on_later, &is_later);
        while (!is_later)
                (void) g_main_context_iteration(NULL, TRUE);
        ck_assert_uint_eq(seen.ticks, 0);
        att_event_source_stop(source);
}
END_TEST

START_TEST(a_clone_that_is_no_word_of_the_kernels_is_none) {
        static const char clone_text[] = "change@/devices/platform/QEMUVGID:00\0ACTION=change\0NEW_VMGENID=1";
        struct sockaddr_nl to = { .nl_family = AF_NETLINK, .nl_groups = 1 };
        int forger = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_KOBJECT_UEVENT);
        int null = open("/sys/devices/virtual/mem/null/uevent", O_WRONLY | O_CLOEXEC);
        g_autoptr(AttEventSource) source = att_event_source_open();

        att_event_source_start(source, INTERVAL_MS, &handlers, &seen);
        (void) sendto(forger, clone_text, sizeof clone_text, 0, (const struct sockaddr *) &to, sizeof to);
        ck_assert_int_gt(write(null, "change", 6), 0); /* and a word of the kernel's that is of no clone */
        while (seen.ticks < 3)
                (void) g_main_context_iteration(NULL, TRUE);
        ck_assert_uint_eq(seen.cloned, 0);
        close(null);
        close(forger);
}
END_TEST

static void setup(void) {
        memset(&seen, 0, sizeof seen);
}

int main(void) {
        Suite *s = suite_create("event-source");
        TCase *t = tcase_create("all");

        enter_own_world();
        if (!empty_folder("/sys/bus"))
                return EXIT_FAILURE;

        tcase_add_checked_fixture(t, setup, NULL);
        tcase_add_test(t, says_what_it_has_and_why_not_more);
        tcase_add_test(t, says_why_the_kernel_refuses_probes);
        tcase_add_test(t, the_timer_is_there_always_and_nothing_else_is_told);
        tcase_add_test(t, a_clone_that_is_no_word_of_the_kernels_is_none);
        suite_add_tcase(s, t);
        return run_suite(s);
}
