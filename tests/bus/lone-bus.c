/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lone-bus.h"

#include <check.h>
#include <sys/socket.h>
#include <unistd.h>

static sd_bus *bus;
static int other_end;

sd_bus *lone_bus_begin(bool says_hello) {
        int fds[2];

        ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds), 0);
        other_end = fds[1];
        ck_assert_int_ge(sd_bus_new(&bus), 0);
        ck_assert_int_ge(sd_bus_set_bus_client(bus, says_hello), 0);
        ck_assert_int_ge(sd_bus_set_fd(bus, fds[0], fds[0]), 0);
        ck_assert_int_ge(sd_bus_start(bus), 0);
        return bus;
}

void lone_bus_end(void) {
        sd_bus_close_unref(bus);
        (void) close(other_end);
}
