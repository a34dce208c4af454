/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "attester/caller.h"

#include "attester/process.h"
#include "attester/unit.h"
#include "util/error.h"
#include "util/io.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

/* Of an executable that is hashed. */
#define EXECUTABLE_MAX (G_GINT64_CONSTANT(1) << 30)
#define CHUNK_SIZE (256u * 1024u)

struct AttCaller {
        grefcount refs;
        const AttConfiguration *configuration; /* borrowed */
        AttPeer peer;
        AttProcess *process; /* NULL: not known */
        GBytes *cgroup;      /* as it was when we looked */
        AttUnit unit;
        bool has_invocation;
        uint8_t invocation[16];

        bool is_observable;  /* is its executable a file of this system? */
        bool is_observed;    /* a thread is at it, or was */
        GPtrArray *waiting;  /* of GTask: for that thread; NULL when it is back */
        GBytes *exe_digest;
};

void att_peer_clear(AttPeer *peer) {
        g_clear_pointer(&peer->gids, g_array_unref);
        g_clear_pointer(&peer->label, g_free);
        att_close_p(&peer->pidfd);
        peer->pidfd = -1;
}

AttPeer att_peer_copy(const AttPeer *peer) {
        AttPeer copy = *peer;

        copy.gids = peer->gids ? g_array_ref(peer->gids) : NULL;
        copy.label = g_strdup(peer->label);
        if (peer->pidfd >= 0) {
                copy.pidfd = fcntl(peer->pidfd, F_DUPFD_CLOEXEC, 3);
                if (copy.pidfd < 0)
                        copy.pid = 0; /* by the number alone it could be another */
        }
        return copy;
}

AttCaller *att_caller_ref(AttCaller *c) {
        g_ref_count_inc(&c->refs);
        return c;
}

void att_caller_unref(AttCaller *c) {
        if (!c || !g_ref_count_dec(&c->refs))
                return;

        att_peer_clear(&c->peer);
        att_process_free(c->process);
        g_clear_pointer(&c->cgroup, g_bytes_unref);
        g_clear_pointer(&c->exe_digest, g_bytes_unref);
        g_free(c);
}

static const char *system_unit(const AttCaller *c) {
        return c->unit.kind == ATT_UNIT_SYSTEM ? c->unit.name : NULL;
}

/* Its unit, and whether it may ask at all. */
static gboolean look_at_process(AttCaller *c, GError **error) {
        const AttGrant *exempt = &c->configuration->foreign_namespaces;
        g_autoptr(GError) e = NULL;
        bool in_pid_namespace = false;

        c->process = att_process_open(c->peer.pid, c->peer.pidfd, &e);
        if (c->process && c->peer.pidfd < 0 &&
            !att_process_check_origin(c->process, c->peer.uid, c->peer.connected_by_us, &e))
                g_clear_pointer(&c->process, att_process_free);
        if (c->process)
                c->cgroup = att_process_read_cgroup(c->process);
        if (c->cgroup)
                c->unit = att_unit_from_cgroup(g_bytes_get_data(c->cgroup, NULL), g_bytes_get_size(c->cgroup));
        if (c->unit.kind == ATT_UNIT_SYSTEM)
                c->has_invocation = att_unit_read_invocation(c->unit.name, c->invocation);

        c->is_observable = c->process && att_process_check_namespaces(c->process, &in_pid_namespace, &e);
        if (!c->is_observable && !att_grant_covers(exempt, c->peer.uid, system_unit(c))) {
                g_propagate_error(error, g_steal_pointer(&e));
                return FALSE;
        }

        /* What a unit runs in a pid namespace is its guest, and systemd does not speak for it. */
        if (in_pid_namespace && c->unit.kind == ATT_UNIT_SYSTEM) {
                c->unit.kind = ATT_UNIT_CONTAINER;
                c->has_invocation = false;
        }
        return TRUE;
}

static GBytes *hash_executable(int fd, GError **error) {
        g_autoptr(GChecksum) sum = g_checksum_new(G_CHECKSUM_SHA256);
        g_autofree guint8 *chunk = g_malloc(CHUNK_SIZE);
        guint8 digest[32];
        gsize digest_size = sizeof digest;
        gint64 total = 0;
        struct stat st;
        gssize n;

        if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode)) {
                (void) att_error_set(error, ATT_ERROR_FAILED, "the caller's executable is not a file");
                return NULL;
        }

        while ((n = read(fd, chunk, CHUNK_SIZE)) != 0) {
                if (n < 0) {
                        (void) att_error_set_errno(error, errno, "cannot read the caller's executable");
                        return NULL;
                }
                total += n;
                if (total > EXECUTABLE_MAX) {
                        (void) att_error_set(error, ATT_ERROR_TOO_LARGE, "the caller's executable is too large");
                        return NULL;
                }
                g_checksum_update(sum, chunk, n);
        }

        g_checksum_get_digest(sum, digest, &digest_size);
        return g_bytes_new(digest, digest_size);
}

AttCaller *att_caller_new(AttPeer *peer, const AttConfiguration *configuration, GError **error) {
        g_autoptr(AttCaller) c = g_new0(AttCaller, 1);

        g_ref_count_init(&c->refs);
        c->configuration = configuration;
        c->peer = *peer;
        *peer = (AttPeer) { .pidfd = -1 };
        if (!look_at_process(c, error))
                return NULL;

        /* Its directory is what holds on to it. */
        att_close_p(&c->peer.pidfd);
        c->peer.pidfd = -1;
        return g_steal_pointer(&c);
}

static void work(GTask *task, gpointer source, gpointer data, GCancellable *cancellable) {
        GError *error = NULL;
        GBytes *digest = hash_executable(GPOINTER_TO_INT(data), &error);

        (void) source, (void) cancellable;
        if (digest)
                g_task_return_pointer(task, digest, (GDestroyNotify) g_bytes_unref);
        else
                g_task_return_error(task, error);
}

static void on_hashed(GObject *source, GAsyncResult *result, gpointer userdata) {
        g_autoptr(AttCaller) c = userdata;
        g_autoptr(GPtrArray) waiting = g_steal_pointer(&c->waiting);
        g_autoptr(GError) error = NULL;

        (void) source;
        c->exe_digest = g_task_propagate_pointer(G_TASK(result), &error);
        if (!c->exe_digest) /* what cannot be known is absent */
                g_info("no digest of a caller's executable: %s", error->message);
        for (guint i = 0; i < waiting->len; i++)
                g_task_return_boolean(waiting->pdata[i], TRUE);
}

/* The descriptor is the thread's alone. */
static void close_data(gpointer data) {
        close(GPOINTER_TO_INT(data));
}

static void begin_to_hash(AttCaller *c) {
        g_autoptr(GError) error = NULL;
        g_autoptr(GTask) task = NULL;
        int fd;

        c->is_observed = true;
        fd = att_process_open_executable(c->process, &error);
        if (fd < 0) {
                g_info("no digest of a caller's executable: %s", error->message);
                return;
        }

        c->waiting = g_ptr_array_new_with_free_func(g_object_unref);
        task = g_task_new(NULL, NULL, on_hashed, att_caller_ref(c));
        g_task_set_source_tag(task, att_caller_observe);
        g_task_set_task_data(task, GINT_TO_POINTER(fd), close_data);
        g_task_run_in_thread(task, work);
}

bool att_caller_observe(AttCaller *c, GAsyncReadyCallback done, gpointer userdata) {
        if (!c->configuration->observed || !c->is_observable)
                return false;

        if (!c->is_observed)
                begin_to_hash(c);
        if (!c->waiting)
                return false;
        g_ptr_array_add(c->waiting, g_task_new(NULL, NULL, done, userdata));
        return true;
}

uint32_t att_caller_uid(const AttCaller *c) {
        return c->peer.uid;
}

static bool is_still_there(const AttCaller *c) {
        g_autoptr(GBytes) now = c->cgroup ? att_process_read_cgroup(c->process) : NULL;

        return now && g_bytes_equal(now, c->cgroup);
}

bool att_caller_may_have(const AttCaller *c, const char *profile) {
        const AttConfiguration *conf = c->configuration;
        const char *unit_now;

        if (g_str_equal(profile, ATT_PROFILE_EVIDENCE))
                return true; /* everybody's: no need to see what has become of the process */

        unit_now = is_still_there(c) ? system_unit(c) : NULL;
        if (g_str_equal(profile, ATT_PROFILE_EXPAT_PAD))
                return att_grant_covers(&conf->expat_pad, c->peer.uid, unit_now);
        if (g_str_equal(profile, ATT_PROFILE_COCOS))
                return att_grant_covers(&conf->cocos, c->peer.uid, unit_now);
        return false;
}

AttCallerClaims *att_caller_seal(const AttCaller *c) {
        g_autoptr(AttCallerClaims) claims = g_new0(AttCallerClaims, 1);
        guint fields = c->configuration->caller_fields;
        bool is_there = is_still_there(c), any = false;

        if (fields & ATT_CALLER_UID) {
                claims->has_uid = any = true;
                claims->uid = c->peer.uid;
        }
        /* A list that was cut would be another list. */
        if (fields & ATT_CALLER_GIDS && c->peer.gids && c->peer.gids->len <= ATT_CALLER_GIDS_MAX) {
                claims->gids = g_array_ref(c->peer.gids);
                any = true;
        }
        if (fields & ATT_CALLER_LABEL && c->peer.label && strlen(c->peer.label) <= ATT_CALLER_TEXT_MAX) {
                claims->label = g_strdup(c->peer.label);
                any = true;
        }
        if (fields & ATT_CALLER_UNIT && is_there && c->unit.kind != ATT_UNIT_NONE) {
                claims->unit_kind = g_strdup(att_unit_kind_name(c->unit.kind));
                claims->unit = g_strdup(c->unit.name);
                claims->has_invocation = c->has_invocation;
                memcpy(claims->invocation, c->invocation, sizeof claims->invocation);
                any = true;
        }
        if (fields & ATT_CALLER_EXE && is_there && c->exe_digest) {
                claims->exe_digest = g_bytes_ref(c->exe_digest);
                any = true;
        }
        return any ? g_steal_pointer(&claims) : NULL;
}

char *att_caller_describe(const AttCaller *c) {
        g_autofree char *unit = g_strescape(c->unit.name, NULL);

        if (c->unit.kind == ATT_UNIT_NONE)
                return g_strdup_printf("uid %u", c->peer.uid);
        return g_strdup_printf("uid %u, %s unit %s", c->peer.uid, att_unit_kind_name(c->unit.kind), unit);
}
