/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "sockets.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <string.h>
#include <unistd.h>

static int failed(int fd, GError **error, const char *what) {
        g_set_error(error, G_FILE_ERROR, (gint) g_file_error_from_errno(errno), "%s: %s", what, g_strerror(errno));
        if (fd >= 0)
                close(fd);
        return -1;
}

int connect_to(const char *where, GError **error) {
        struct addrinfo hints = { .ai_socktype = SOCK_STREAM }, *found = NULL;
        const char *colon = strrchr(where, ':');
        g_autofree char *host = colon ? g_strndup(where, (gsize) (colon - where)) : NULL;
        int fd = -1;

        if (!host || getaddrinfo(host, colon + 1, &hints, &found) != 0) {
                g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_INVAL, "%s is not HOST:PORT", where);
                return -1;
        }
        for (struct addrinfo *a = found; a && fd < 0; a = a->ai_next) {
                fd = socket(a->ai_family, a->ai_socktype | SOCK_CLOEXEC, a->ai_protocol);
                if (fd >= 0 && connect(fd, a->ai_addr, a->ai_addrlen) < 0) {
                        close(fd);
                        fd = -1;
                }
        }
        freeaddrinfo(found);
        return fd < 0 ? failed(fd, error, where) : fd;
}

int listen_on(int *inout_port, GError **error) {
        struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons((uint16_t) *inout_port) };
        socklen_t size = sizeof address;
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), yes = 1;

        address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        (void) setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
        if (fd < 0 || bind(fd, (struct sockaddr *) &address, sizeof address) < 0 || listen(fd, 16) < 0 ||
            getsockname(fd, (struct sockaddr *) &address, &size) < 0)
                return failed(fd, error, "cannot listen");
        *inout_port = ntohs(address.sin_port);
        return fd;
}
