/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "calls.h"

#include <err.h>
#include <errno.h>
#include <string.h>
#include <sys/random.h>

const guint8 call_public_key[CALL_PUBLIC_KEY_SIZE] = {
        0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a,
        0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00, 0x04, 0x60, 0xfe, 0xd4, 0xba, 0x25,
        0x5a, 0x9d, 0x31, 0xc9, 0x61, 0xeb, 0x74, 0xc6, 0x35, 0x6d, 0x68, 0xc0, 0x49, 0xb8, 0x92, 0x3b,
        0x61, 0xfa, 0x6c, 0xe6, 0x69, 0x62, 0x2e, 0x60, 0xf2, 0x9f, 0xb6, 0x79, 0x03, 0xfe, 0x10, 0x08,
        0xb8, 0xbc, 0x99, 0xa4, 0x1a, 0xe9, 0xe9, 0x56, 0x28, 0xbc, 0x64, 0xf2, 0xf1, 0xb2, 0x0c, 0x2d,
        0x7e, 0x9f, 0x51, 0x77, 0xa3, 0xc2, 0x94, 0xd4, 0x46, 0x22, 0x99,
};

void call_check(int r, const char *what, const sd_bus_error *error) {
        if (r < 0)
                errx(1, "%s: %s", what, error && error->message ? error->message : strerror(-r));
}

sd_bus *call_connect(const char *address) {
        sd_bus *bus = NULL;
        int r;

        if (strcmp(address, "system") == 0)
                r = sd_bus_open_system(&bus);
        else {
                r = sd_bus_new(&bus);
                if (r >= 0)
                        r = sd_bus_set_address(bus, address);
                if (r >= 0)
                        r = sd_bus_start(bus);
        }
        if (r < 0)
                bus = sd_bus_unref(bus);
        errno = r < 0 ? -r : 0;
        return bus;
}

static sd_bus_message *new_call(sd_bus *bus, const char *path, const char *interface, const char *member) {
        const char *destination = sd_bus_is_bus_client(bus) > 0 ? ATTESTER_NAME : NULL;
        sd_bus_message *m = NULL;

        call_check(sd_bus_message_new_method_call(bus, &m, destination, path, interface, member), member, NULL);
        return m;
}

sd_bus_message *call_ping(sd_bus *bus) {
        return new_call(bus, ATTESTER_PATH, "org.freedesktop.DBus.Peer", "Ping");
}

sd_bus_message *call_get_id(sd_bus *bus) {
        sd_bus_message *m = NULL;

        call_check(sd_bus_message_new_method_call(bus, &m, "org.freedesktop.DBus", "/org/freedesktop/DBus",
                                                  "org.freedesktop.DBus", "GetId"), "GetId", NULL);
        return m;
}

sd_bus_message *call_open_session(sd_bus *bus) {
        sd_bus_message *m = new_call(bus, ATTESTER_PATH, ATTESTER_NAME, "OpenSession");

        call_check(sd_bus_message_append(m, "a{sv}", 2, "role", "s", "server", "hash", "s", "sha256"), "OpenSession",
                   NULL);
        return m;
}

sd_bus_message *call_close_session(sd_bus *bus, const char *session) {
        return new_call(bus, session, SESSION_NAME, "Close");
}

/* No two alike in this thread or, but for an accident, in any other. */
static void fill_context(guint8 context[32]) {
        static _Thread_local guint8 random[24];
        static _Thread_local guint64 n;

        if (n++ == 0 && getrandom(random, sizeof random, 0) != (ssize_t) sizeof random)
                err(1, "getrandom");
        memcpy(context, random, sizeof random);
        memcpy(context + sizeof random, &n, sizeof n);
}

sd_bus_message *call_attest(sd_bus *bus, const char *session, const AttestOptions *options) {
        sd_bus_message *m = new_call(bus, session, SESSION_NAME, "Attest");
        guint8 exported[32], context[32];
        int r;

        fill_context(context);
        for (gsize i = 0; i < sizeof exported; i++)
                exported[i] = context[i] ^ 0xa5;
        r = sd_bus_message_append_array(m, 'y', exported, sizeof exported);
        if (r >= 0)
                r = sd_bus_message_append_array(m, 'y', context, sizeof context);
        if (r >= 0)
                r = sd_bus_message_append_array(m, 'y', call_public_key, sizeof call_public_key);
        if (r >= 0)
                r = sd_bus_message_open_container(m, 'a', "{sv}");
        if (r >= 0 && options->batch)
                r = sd_bus_message_append(m, "{sv}", "batch", "b", 1);
        if (r >= 0 && options->split)
                r = sd_bus_message_append(m, "{sv}", "split", "b", 1);
        if (r >= 0 && options->timeout_ms > 0)
                r = sd_bus_message_append(m, "{sv}", "timeout_ms", "u", options->timeout_ms);
        if (r >= 0)
                r = sd_bus_message_close_container(m);
        call_check(r, "Attest", NULL);
        return m;
}
