/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* shape ADDRESS SIZE: what load asks of attestd, answered by bare sd-bus. Each Attest is read to its last argument and
 * answered at once with a constant of the same signature: SIZE bytes of evidence, and what an answer in two pieces says
 * of the other piece. The floor under attestd's answers; one client, at this path of the file system. */
#include "calls.h"

#include <err.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#define SESSION_PATH ATTESTER_PATH "/session"
#define SHARED_SIZE G_GUINT64_CONSTANT(5000)

static guint8 *evidence;
static gsize evidence_size;

static int read_arguments(sd_bus_message *call) {
        const void *p;
        size_t size;
        int r = 0;

        for (int i = 0; r >= 0 && i < 3; i++)
                r = sd_bus_message_read_array(call, 'y', &p, &size);
        if (r >= 0)
                r = sd_bus_message_enter_container(call, 'a', "{sv}");
        while (r >= 0) {
                const char *name, *type;
                int flag;

                r = sd_bus_message_enter_container(call, 'e', "sv");
                if (r <= 0)
                        break;
                r = sd_bus_message_read_basic(call, 's', &name);
                if (r >= 0)
                        r = sd_bus_message_peek_type(call, NULL, &type);
                if (r >= 0)
                        r = type[0] == 'b' ? sd_bus_message_read(call, "v", "b", &flag)
                                           : sd_bus_message_skip(call, "v");
                if (r >= 0)
                        r = sd_bus_message_exit_container(call);
        }
        return r < 0 ? r : sd_bus_message_exit_container(call);
}

static int on_attest(sd_bus_message *call, void *userdata, sd_bus_error *error) {
        sd_bus_message *reply = NULL;
        int r = read_arguments(call);

        (void) userdata, (void) error;
        if (r >= 0)
                r = sd_bus_message_new_method_return(call, &reply);
        if (r >= 0)
                r = sd_bus_message_append_array(reply, 'y', evidence, evidence_size);
        if (r >= 0)
                r = sd_bus_message_append(reply, "a{sv}", 3, "shared", "t", (uint64_t) 1, "shared_at", "t",
                                          (uint64_t) 1, "shared_size", "t", SHARED_SIZE);
        if (r >= 0)
                r = sd_bus_send(NULL, reply, NULL);
        sd_bus_message_unref(reply);
        return r < 0 ? r : 1;
}

static int on_open(sd_bus_message *call, void *userdata, sd_bus_error *error) {
        static guint n;
        char path[sizeof SESSION_PATH + 16];

        (void) userdata, (void) error;
        (void) g_snprintf(path, sizeof path, SESSION_PATH "/%u", ++n);
        return sd_bus_reply_method_return(call, "o", path);
}

static const sd_bus_vtable attester[] = {
        SD_BUS_VTABLE_START(0),
        SD_BUS_METHOD("OpenSession", "a{sv}", "o", on_open, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_VTABLE_END
};

static const sd_bus_vtable session[] = {
        SD_BUS_VTABLE_START(0),
        SD_BUS_METHOD("Attest", "ayayaya{sv}", "aya{sv}", on_attest, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_VTABLE_END
};

static int accept_one(const char *path) {
        struct sockaddr_un address = { .sun_family = AF_UNIX };
        int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), fd;

        if (g_strlcpy(address.sun_path, path, sizeof address.sun_path) >= sizeof address.sun_path)
                errx(2, "%s: too long", path);
        if (listener < 0 || bind(listener, (struct sockaddr *) &address, sizeof address) < 0 || listen(listener, 1) < 0)
                err(1, "%s", path);
        (void) puts("ready");
        (void) fflush(stdout);
        fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
        if (fd < 0)
                err(1, "accept");
        return fd;
}

int main(int argc, char **argv) {
        sd_bus *bus = NULL;
        sd_id128_t id;
        int fd, r;

        if (argc != 3)
                errx(2, "shape ADDRESS SIZE");
        evidence_size = strtoul(argv[2], NULL, 10);
        evidence = g_malloc0(evidence_size + 1);
        fd = accept_one(argv[1]);
        call_check(sd_id128_randomize(&id), "id", NULL);
        call_check(sd_bus_new(&bus), "bus", NULL);
        call_check(sd_bus_set_fd(bus, fd, fd), "bus", NULL);
        call_check(sd_bus_set_server(bus, 1, id), "server", NULL);
        call_check(sd_bus_add_object_vtable(bus, NULL, ATTESTER_PATH, ATTESTER_NAME, attester, NULL), "object", NULL);
        call_check(sd_bus_add_fallback_vtable(bus, NULL, SESSION_PATH, SESSION_NAME, session, NULL, NULL), "object",
                   NULL);
        call_check(sd_bus_start(bus), "bus", NULL);
        while ((r = sd_bus_process(bus, NULL)) >= 0 || r == -EINTR)
                if (r == 0) {
                        struct pollfd p = { .fd = sd_bus_get_fd(bus), .events = (short) sd_bus_get_events(bus) };

                        (void) poll(&p, 1, -1);
                }
        return 0; /* the client is gone */
}
