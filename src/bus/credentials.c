/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "bus/credentials.h"

#include "bus/bus-source.h"
#include "util/error.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

/* As long as libraries wait for a call of theirs, if nobody says otherwise: who has given up by then hears nothing. */
#define PATIENCE_S 25u

#ifndef SO_PEERPIDFD
#define SO_PEERPIDFD 77 /* Linux 6.5 */
#endif

/* What a process may have of groups, and more than a label has. */
#define GROUPS_MAX 65536u
#define LABEL_MAX 4096u

typedef struct Query {
        AttCredentialsDone done;
        gpointer userdata;
} Query;

static int compare_gids(gconstpointer a, gconstpointer b) {
        uint32_t x = *(const uint32_t *) a, y = *(const uint32_t *) b;

        return (x > y) - (x < y);
}

static int read_gids(sd_bus_message *m, AttPeer *peer) {
        const void *p;
        size_t size;
        int r = sd_bus_message_read_array(m, 'u', &p, &size);

        if (r < 0)
                return r;

        g_clear_pointer(&peer->gids, g_array_unref);
        peer->gids = g_array_new(FALSE, FALSE, sizeof(uint32_t));
        if (size > 0)
                g_array_append_vals(peer->gids, p, (guint) (size / sizeof(uint32_t)));
        g_array_sort(peer->gids, compare_gids);
        return 0;
}

/* Ends with a NUL, which is not part of it. */
static int read_label(sd_bus_message *m, AttPeer *peer) {
        const void *p;
        size_t size;
        int r = sd_bus_message_read_array(m, 'y', &p, &size);

        if (r < 0)
                return r;

        g_clear_pointer(&peer->label, g_free);
        if (size > 1 && memchr(p, '\0', size) == (const char *) p + size - 1 && g_utf8_validate(p, -1, NULL))
                peer->label = g_strdup(p);
        return 0;
}

static int read_pidfd(sd_bus_message *m, AttPeer *peer) {
        int fd, r = sd_bus_message_read_basic(m, 'h', &fd);

        if (r >= 0 && peer->pidfd < 0)
                peer->pidfd = fcntl(fd, F_DUPFD_CLOEXEC, 3);
        return r;
}

static int read_credential(sd_bus_message *m, AttPeer *peer, bool *has_uid) {
        const char *name, *type;
        uint32_t pid;
        int r;

        r = sd_bus_message_read_basic(m, 's', &name);
        if (r < 0)
                return r;
        r = sd_bus_message_peek_type(m, NULL, &type);
        if (r < 0)
                return r;
        r = sd_bus_message_enter_container(m, 'v', type);
        if (r < 0)
                return r;

        if (g_str_equal(name, "UnixUserID") && g_str_equal(type, "u")) {
                r = sd_bus_message_read_basic(m, 'u', &peer->uid);
                *has_uid = r >= 0;
        } else if (g_str_equal(name, "UnixGroupIDs") && g_str_equal(type, "au")) {
                r = read_gids(m, peer);
        } else if (g_str_equal(name, "LinuxSecurityLabel") && g_str_equal(type, "ay")) {
                r = read_label(m, peer);
        } else if (g_str_equal(name, "ProcessID") && g_str_equal(type, "u")) {
                r = sd_bus_message_read_basic(m, 'u', &pid);
                if (r >= 0 && pid <= G_MAXINT32)
                        peer->pid = (pid_t) pid;
        } else if (g_str_equal(name, "ProcessFD") && g_str_equal(type, "h")) {
                r = read_pidfd(m, peer);
        } else {
                r = sd_bus_message_skip(m, type);
        }
        return r < 0 ? r : sd_bus_message_exit_container(m);
}

static int read_credentials(sd_bus_message *m, AttPeer *peer, bool *has_uid) {
        int r = sd_bus_message_enter_container(m, 'a', "{sv}");

        while (r >= 0) {
                r = sd_bus_message_enter_container(m, 'e', "sv");
                if (r <= 0)
                        break;
                r = read_credential(m, peer, has_uid);
                if (r >= 0)
                        r = sd_bus_message_exit_container(m);
        }
        return r;
}

/* A bus that somebody floods has not said no to who is calling. */
static GError *not_said(sd_bus_message *reply) {
        if (sd_bus_message_is_method_error(reply, SD_BUS_ERROR_NO_REPLY) ||
            sd_bus_message_is_method_error(reply, SD_BUS_ERROR_TIMEOUT))
                return g_error_new(ATT_ERROR, ATT_ERROR_TIMED_OUT, "the bus has not said within %u s who is calling: "
                                   "it has too much to do; try again, or use the direct socket", PATIENCE_S);
        if (sd_bus_message_is_method_error(reply, SD_BUS_ERROR_LIMITS_EXCEEDED))
                return g_error_new(ATT_ERROR, ATT_ERROR_LIMIT_REACHED, "the bus takes no more questions; try again");
        return g_error_new(ATT_ERROR, ATT_ERROR_NOT_AUTHORIZED, "the bus does not say who is calling");
}

static int on_reply(sd_bus_message *reply, void *userdata, sd_bus_error *error) {
        const Query *q = userdata;
        g_auto(AttPeer) peer = { .pidfd = -1 };
        bool has_uid = false;

        (void) error;
        if (sd_bus_message_is_method_error(reply, NULL) || read_credentials(reply, &peer, &has_uid) < 0 || !has_uid)
                q->done(NULL, not_said(reply), q->userdata);
        else
                q->done(&peer, NULL, q->userdata);
        return 1;
}

int att_credentials_ask(sd_bus_message *call, sd_bus_slot **ret_slot, AttCredentialsDone done, gpointer userdata) {
        g_autoptr(sd_bus_message) question = NULL;
        sd_bus *bus = sd_bus_message_get_bus(call);
        sd_bus_slot *slot;
        Query *q;
        int r;

        r = sd_bus_message_new_method_call(bus, &question, "org.freedesktop.DBus", "/org/freedesktop/DBus",
                                           "org.freedesktop.DBus", "GetConnectionCredentials");
        if (r >= 0)
                r = sd_bus_message_append(question, "s", sd_bus_message_get_sender(call));
        if (r < 0)
                return r;

        q = g_new(Query, 1);
        *q = (Query) { .done = done, .userdata = userdata };
        r = sd_bus_call_async(bus, &slot, question, on_reply, q, PATIENCE_S * (uint64_t) G_USEC_PER_SEC);
        if (r < 0) {
                g_free(q);
                return r;
        }

        (void) sd_bus_slot_set_destroy_callback(slot, g_free);
        *ret_slot = slot;
        return 0;
}

/* ----- of a socket */

/* As the bus has them: the supplementary ones and, if it is not among them, the primary one. */
static void read_peer_groups(int fd, uint32_t primary, AttPeer *peer) {
        g_autoptr(GArray) gids = g_array_sized_new(FALSE, FALSE, sizeof(uint32_t), 64);
        socklen_t size = 64 * sizeof(gid_t);
        bool has_primary = false;

        G_STATIC_ASSERT(sizeof(gid_t) == sizeof(uint32_t));
        g_array_set_size(gids, 64);
        while (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, gids->data, &size) < 0) {
                if (errno != ERANGE || size > GROUPS_MAX * sizeof(gid_t) || size <= gids->len * sizeof(gid_t))
                        return; /* not known */
                g_array_set_size(gids, size / sizeof(gid_t));
        }

        g_array_set_size(gids, size / sizeof(gid_t));
        for (guint i = 0; i < gids->len; i++)
                has_primary |= g_array_index(gids, uint32_t, i) == primary;
        if (!has_primary)
                g_array_append_val(gids, primary);
        g_array_sort(gids, compare_gids);
        peer->gids = g_steal_pointer(&gids);
}

static void read_peer_label(int fd, AttPeer *peer) {
        char label[LABEL_MAX + 1];
        socklen_t size = LABEL_MAX;

        if (getsockopt(fd, SOL_SOCKET, SO_PEERSEC, label, &size) < 0)
                return;
        if (size > 0 && label[size - 1] == '\0')
                size--;
        label[size] = '\0';
        if (size > 0 && strlen(label) == size && g_utf8_validate(label, -1, NULL))
                peer->label = g_strdup(label);
}

gboolean att_credentials_of_socket(int fd, AttPeer *ret, GError **error) {
        g_auto(AttPeer) peer = { .pidfd = -1 };
        struct timespec now;
        struct ucred cred;
        socklen_t size = sizeof cred;

        if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &size) < 0 || cred.uid == (uid_t) -1)
                return att_error_set(error, ATT_ERROR_NOT_AUTHORIZED, "the kernel does not say who has connected");

        peer.uid = cred.uid;
        peer.pid = cred.pid;
        read_peer_groups(fd, cred.gid, &peer);
        read_peer_label(fd, &peer);
        (void) clock_gettime(CLOCK_BOOTTIME, &now);
        peer.connected_by_us = (gint64) now.tv_sec * G_USEC_PER_SEC + now.tv_nsec / 1000;

        size = sizeof peer.pidfd;
        if (getsockopt(fd, SOL_SOCKET, SO_PEERPIDFD, &peer.pidfd, &size) < 0) {
                peer.pidfd = -1;
                /* A kernel that could say has said that he is gone: whoever has his pid is another. */
                if (errno != ENOPROTOOPT)
                        peer.pid = 0;
        }

        *ret = peer;
        peer = (AttPeer) { .pidfd = -1 };
        return TRUE;
}
