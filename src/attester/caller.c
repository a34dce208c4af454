/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "attester/caller.h"

#include "attester/process.h"
#include "attester/unit.h"
#include "util/error.h"
#include "util/io.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

/* Of an executable that is hashed. */
#define EXECUTABLE_MAX (G_GINT64_CONSTANT(1) << 30)
#define CHUNK_SIZE (256u * 1024u)

struct AttCaller {
        gatomicrefcount refs; /* the thread that hashes drops one */
        const AttConfiguration *configuration; /* borrowed */
        AttPeer peer;
        AttProcess *process; /* NULL: not known */
        GBytes *cgroup;      /* as it was when we looked */
        AttUnit unit;
        bool has_invocation;
        uint8_t invocation[16];
        GBytes *exe_digest;
};

void att_peer_clear(AttPeer *peer) {
        g_clear_pointer(&peer->gids, g_array_unref);
        g_clear_pointer(&peer->label, g_free);
        att_close_p(&peer->pidfd);
        peer->pidfd = -1;
}

AttCaller *att_caller_ref(AttCaller *c) {
        g_atomic_ref_count_inc(&c->refs);
        return c;
}

void att_caller_unref(AttCaller *c) {
        if (!c || !g_atomic_ref_count_dec(&c->refs))
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

/* Its unit, and whether it may ask at all. @ret_observable: is its executable that of the system? */
static gboolean look_at_process(AttCaller *c, bool *ret_observable, GError **error) {
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

        *ret_observable = c->process && att_process_check_namespaces(c->process, &in_pid_namespace, &e);
        if (!*ret_observable && !att_grant_covers(exempt, c->peer.uid, system_unit(c))) {
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

static void work(GTask *task, gpointer source, gpointer data, GCancellable *cancellable) {
        AttCaller *c = data;
        g_autoptr(GError) error = NULL;
        att_autofd int fd = att_process_open_executable(c->process, &error);

        (void) source, (void) cancellable;
        if (fd >= 0)
                c->exe_digest = hash_executable(fd, &error);
        /* What cannot be known is absent. */
        if (!c->exe_digest)
                g_info("no digest of a caller's executable: %s", error->message);
        g_task_return_pointer(task, att_caller_ref(c), (GDestroyNotify) att_caller_unref);
}

void att_caller_identify_async(AttPeer *peer, const AttConfiguration *configuration, GAsyncReadyCallback done,
                               gpointer userdata) {
        g_autoptr(GTask) task = g_task_new(NULL, NULL, done, userdata);
        g_autoptr(AttCaller) c = g_new0(AttCaller, 1);
        GError *error = NULL;
        bool observable;

        g_atomic_ref_count_init(&c->refs);
        c->configuration = configuration;
        c->peer = *peer;
        *peer = (AttPeer) { .pidfd = -1 };

        g_task_set_source_tag(task, att_caller_identify_async);
        if (!look_at_process(c, &observable, &error)) {
                g_task_return_error(task, error);
                return;
        }
        if (!observable || !configuration->observed) {
                g_task_return_pointer(task, g_steal_pointer(&c), (GDestroyNotify) att_caller_unref);
                return;
        }

        /* The thread alone has it until the task returns. */
        g_task_set_task_data(task, g_steal_pointer(&c), (GDestroyNotify) att_caller_unref);
        g_task_run_in_thread(task, work);
}

AttCaller *att_caller_identify_finish(GAsyncResult *result, GError **error) {
        return g_task_propagate_pointer(G_TASK(result), error);
}

uint32_t att_caller_uid(const AttCaller *c) {
        return c->peer.uid;
}

static bool is_still_there(const AttCaller *c) {
        g_autoptr(GBytes) now = c->process ? att_process_read_cgroup(c->process) : NULL;

        return now && g_bytes_equal(now, c->cgroup);
}

bool att_caller_may_have(const AttCaller *c, const char *profile) {
        const AttConfiguration *conf = c->configuration;
        const char *unit_now = is_still_there(c) ? system_unit(c) : NULL;

        if (g_str_equal(profile, ATT_PROFILE_EVIDENCE))
                return true;
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
