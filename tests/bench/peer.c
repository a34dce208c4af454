/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* peer [SIZE [SECONDS]]: what sd-bus itself does a second between two processes, without a
 * bus and without attestd: empty calls with an answer of SIZE bytes (9,000), one after the
 * other, and with a window of 64. The floor under the direct socket. */
#include "latency.h"

#include <err.h>
#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <systemd/sd-bus.h>
#include <time.h>
#include <unistd.h>

#define WINDOW 64u

static unsigned char *answer;
static size_t answer_size = 9000;
static double seconds = 2;

static void check(int r, const char *what) {
        if (r < 0)
                errx(1, "%s: %s", what, strerror(-r));
}

static int on_call(sd_bus_message *call, void *userdata, sd_bus_error *error) {
        sd_bus_message *reply = NULL;
        int r = sd_bus_message_new_method_return(call, &reply);

        (void) userdata, (void) error;
        if (r >= 0)
                r = sd_bus_message_append_array(reply, 'y', answer, answer_size);
        if (r >= 0)
                r = sd_bus_send(NULL, reply, NULL);
        sd_bus_message_unref(reply);
        return r < 0 ? r : 1;
}

static const sd_bus_vtable vtable[] = {
        SD_BUS_VTABLE_START(0),
        SD_BUS_METHOD("Get", "", "ay", on_call, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_VTABLE_END
};

static sd_bus *bus_on(int fd, bool is_server) {
        sd_bus *bus;
        sd_id128_t id;

        check(sd_id128_randomize(&id), "no id");
        check(sd_bus_new(&bus), "no bus");
        check(sd_bus_set_fd(bus, fd, fd), "no bus");
        if (is_server)
                check(sd_bus_set_server(bus, 1, id), "no server");
        check(sd_bus_start(bus), "no bus");
        return bus;
}

static void wait_for(sd_bus *bus) {
        struct pollfd p = { .fd = sd_bus_get_fd(bus), .events = (short) sd_bus_get_events(bus) };

        if (poll(&p, 1, -1) < 0 && errno != EINTR)
                err(1, "poll");
}

static void serve(int fd) {
        sd_bus *bus = bus_on(fd, true);
        int r;

        check(sd_bus_add_object_vtable(bus, NULL, "/", "bench.Peer", vtable, NULL), "no object");
        for (;;) {
                r = sd_bus_process(bus, NULL);
                if (r < 0)
                        exit(0);
                if (r == 0)
                        wait_for(bus);
        }
}

static uint64_t n_answers;

static int on_answer(sd_bus_message *reply, void *userdata, sd_bus_error *error) {
        const void *p;
        size_t size;

        (void) userdata, (void) error;
        check(sd_bus_message_read_array(reply, 'y', &p, &size), "a wrong answer");
        n_answers++;
        return 1;
}

static double call_each(sd_bus *bus) {
        int64_t begin = latency_now(), end = begin + (int64_t) (seconds * 1e9);
        uint64_t n = 0;

        for (; latency_now() < end; n++) {
                sd_bus_message *reply = NULL;

                check(sd_bus_call_method(bus, NULL, "/", "bench.Peer", "Get", NULL, &reply, NULL), "call");
                sd_bus_message_unref(reply);
        }
        return (double) n / ((double) (latency_now() - begin) / 1e9);
}

static double call_many(sd_bus *bus) {
        int64_t begin = latency_now(), end = begin + (int64_t) (seconds * 1e9);
        uint64_t n_calls = 0;

        n_answers = 0;
        while (latency_now() < end) {
                int r = 1;

                while (n_calls - n_answers < WINDOW) {
                        check(sd_bus_call_method_async(bus, NULL, NULL, "/", "bench.Peer", "Get", on_answer, NULL,
                                                       NULL), "call");
                        n_calls++;
                }
                for (unsigned i = 0; i < WINDOW && r > 0; i++) {
                        r = sd_bus_process(bus, NULL);
                        check(r, "process");
                }
                if (r == 0)
                        wait_for(bus);
        }
        return (double) n_answers / ((double) (latency_now() - begin) / 1e9);
}

int main(int argc, char **argv) {
        int pair[2];
        sd_bus *bus;
        pid_t pid;

        if (argc > 1)
                answer_size = strtoul(argv[1], NULL, 10);
        if (argc > 2)
                seconds = strtod(argv[2], NULL);
        answer = calloc(1, answer_size + 1);
        if (!answer || socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
                err(1, "socketpair");
        pid = fork();
        if (pid < 0)
                err(1, "fork");
        if (pid == 0) {
                close(pair[0]);
                serve(pair[1]);
        }
        close(pair[1]);
        bus = bus_on(pair[0], false);
        (void) printf("%zu bytes, one by one: %.0f calls/s\n", answer_size, call_each(bus));
        (void) printf("%zu bytes, a window of %u: %.0f calls/s\n", answer_size, WINDOW, call_many(bus));
        sd_bus_close(bus);
        sd_bus_unref(bus);
        (void) waitpid(pid, NULL, 0);
        free(answer);
        return 0;
}
