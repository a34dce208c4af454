/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "mount.h"

#include <errno.h>
#include <gio/gio.h>
#include <glib-unix.h>
#include <stdlib.h>

struct Mount {
        struct fuse_session *session;
        struct fuse_buf buffer;
        guint watch;
        void (*settle)(gpointer);
        void (*gone)(gpointer);
        gpointer userdata;
};

void mount_want(void *userdata, struct fuse_conn_info *connection) {
        (void) userdata;
        connection->want &= ~(unsigned) (FUSE_CAP_READDIRPLUS | FUSE_CAP_ASYNC_READ | FUSE_CAP_WRITEBACK_CACHE);
}

static gboolean on_readable(gint fd, GIOCondition condition, gpointer userdata) {
        Mount *mount = userdata;
        int n = fuse_session_receive_buf(mount->session, &mount->buffer);

        (void) fd, (void) condition;
        if (n == -EINTR || n == -EAGAIN)
                return G_SOURCE_CONTINUE;
        if (n <= 0 || fuse_session_exited(mount->session)) {
                mount->watch = 0;
                mount->gone(mount->userdata);
                return G_SOURCE_REMOVE;
        }

        fuse_session_process_buf(mount->session, &mount->buffer);
        if (mount->settle)
                mount->settle(mount->userdata);
        return G_SOURCE_CONTINUE;
}

Mount *mount_new(const char *mountpoint, const struct fuse_lowlevel_ops *operations, gsize size,
                 void (*settle)(gpointer), void (*gone)(gpointer), gpointer userdata, GError **error) {
        char *argv[] = { (char *) "tee-simulator", (char *) "-oallow_other,default_permissions,fsname=tee-simulator",
                         NULL };
        struct fuse_args args = FUSE_ARGS_INIT(2, argv);
        Mount *mount = g_new0(Mount, 1);

        *mount = (Mount) { .settle = settle, .gone = gone, .userdata = userdata };
        mount->session = fuse_session_new(&args, operations, size, userdata);
        fuse_opt_free_args(&args);
        if (!mount->session || fuse_session_mount(mount->session, mountpoint) != 0 ||
            !g_unix_set_fd_nonblocking(fuse_session_fd(mount->session), TRUE, error)) {
                if (error && !*error)
                        g_set_error(error, G_IO_ERROR, G_IO_ERROR_FAILED, "cannot mount on %s", mountpoint);
                if (mount->session)
                        fuse_session_destroy(mount->session);
                g_free(mount);
                return NULL;
        }

        mount->watch = g_unix_fd_add(fuse_session_fd(mount->session), G_IO_IN, on_readable, mount);
        return mount;
}

void mount_free(Mount *mount) {
        if (!mount)
                return;

        g_clear_handle_id(&mount->watch, g_source_remove);
        fuse_session_unmount(mount->session);
        fuse_session_destroy(mount->session);
        free(mount->buffer.mem); /* libfuse's malloc() */
        g_free(mount);
}
