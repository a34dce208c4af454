/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "files.h"

#include <errno.h>
#include <poll.h>
#include <string.h>

struct File {
        fuse_ino_t ino, parent;
        char *name;
        mode_t mode;
        uid_t uid;
        gid_t gid;
        goffset size;
        char *target; /* of a link */
        const FileOps *ops;
        gpointer of;
        bool is_hidden;
};

struct Files {
        Mount *mount;
        GPtrArray *all; /* of File; the inode number is the place, counted from 1 */
        void (*gone)(gpointer);
        gpointer userdata;
};

static void file_free(gpointer data) {
        File *file = data;

        g_free(file->name);
        g_free(file->target);
        g_free(file);
}

static File *file_at(fuse_req_t req, fuse_ino_t ino) {
        const Files *files = fuse_req_userdata(req);

        return ino >= 1 && ino <= files->all->len ? files->all->pdata[ino - 1] : NULL;
}

static File *file_named(const Files *files, fuse_ino_t parent, const char *name) {
        for (guint i = 0; i < files->all->len; i++) {
                File *file = files->all->pdata[i];

                if (file->parent == parent && g_str_equal(file->name, name))
                        return file;
        }
        return NULL;
}

static struct stat file_stat(const File *file) {
        return (struct stat) {
                .st_ino = file->ino,
                .st_mode = file->mode,
                .st_nlink = S_ISDIR(file->mode) ? 2 : 1,
                .st_uid = file->uid,
                .st_gid = file->gid,
                .st_size = file->size,
                .st_blksize = 4096,
        };
}

static void on_lookup(fuse_req_t req, fuse_ino_t parent, const char *name) {
        const File *file = file_named(fuse_req_userdata(req), parent, name);

        if (file && !file->is_hidden) {
                struct fuse_entry_param param = { .ino = file->ino, .attr = file_stat(file) };

                fuse_reply_entry(req, &param);
        } else
                fuse_reply_err(req, ENOENT);
}

static void on_getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *info) {
        const File *file = file_at(req, ino);

        (void) info;
        if (file) {
                struct stat st = file_stat(file);

                fuse_reply_attr(req, &st, 0);
        } else
                fuse_reply_err(req, ENOENT);
}

/* Size and times are taken and thrown away, as sysfs and securityfs do. */
static void on_setattr(fuse_req_t req, fuse_ino_t ino, struct stat *st, int what, struct fuse_file_info *info) {
        File *file = file_at(req, ino);

        if (file && what & FUSE_SET_ATTR_MODE)
                file->mode = (file->mode & S_IFMT) | (st->st_mode & 07777);
        if (file && what & FUSE_SET_ATTR_UID)
                file->uid = st->st_uid;
        if (file && what & FUSE_SET_ATTR_GID)
                file->gid = st->st_gid;
        on_getattr(req, ino, info);
}

static void on_readlink(fuse_req_t req, fuse_ino_t ino) {
        const File *file = file_at(req, ino);

        if (file && file->target)
                fuse_reply_readlink(req, file->target);
        else
                fuse_reply_err(req, EINVAL);
}

static void on_readdir(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset, struct fuse_file_info *info) {
        const Files *files = fuse_req_userdata(req);
        g_autofree char *buffer = g_malloc(size);
        gsize used = 0;

        (void) info;
        for (guint i = (guint) offset; i < files->all->len + 2; i++) {
                const File *file = i < 2 ? NULL : files->all->pdata[i - 2];
                struct stat st = file ? file_stat(file) : (struct stat) { .st_ino = ino, .st_mode = S_IFDIR };
                const char *name = i == 0 ? "." : i == 1 ? ".." : file->name;
                gsize n;

                if (file && (file->parent != ino || file->is_hidden))
                        continue;
                n = fuse_add_direntry(req, buffer + used, size - used, name, &st, (off_t) i + 1);
                if (n > size - used)
                        break;
                used += n;
        }
        fuse_reply_buf(req, buffer, used);
}

static gpointer open_of(const struct fuse_file_info *info) {
        return (gpointer) (uintptr_t) info->fh; /* NOLINT: the kernel hands back what we gave it */
}

static void on_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *info) {
        const File *file = file_at(req, ino);
        gpointer open = NULL;
        int error = file ? 0 : ENOENT;

        if (file && file->ops->open)
                error = file->ops->open(file->of, info->flags, &open);
        if (error != 0) {
                fuse_reply_err(req, error);
                return;
        }

        info->fh = (uint64_t) (uintptr_t) open;
        info->direct_io = 1;
        if (fuse_reply_open(req, info) == -ENOENT && file->ops->close)
                file->ops->close(file->of, open); /* the caller is gone: no release will come */
}

static void on_release(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *info) {
        const File *file = file_at(req, ino);

        if (file && file->ops->close)
                file->ops->close(file->of, open_of(info));
        fuse_reply_err(req, 0);
}

static void on_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset, struct fuse_file_info *info) {
        const File *file = file_at(req, ino);

        if (file && file->ops->read)
                file->ops->read(req, file->of, open_of(info), size, offset);
        else
                fuse_reply_err(req, EINVAL);
}

static void on_write(fuse_req_t req, fuse_ino_t ino, const char *data, size_t size, off_t offset,
                     struct fuse_file_info *info) {
        const File *file = file_at(req, ino);

        if (file && file->ops->write)
                file->ops->write(req, file->of, open_of(info), data, size, offset);
        else
                fuse_reply_err(req, EINVAL);
}

static void on_ioctl(fuse_req_t req, fuse_ino_t ino, unsigned int command, void *argument, struct fuse_file_info *info,
                     unsigned flags, const void *in, size_t in_size, size_t out_size) {
        const File *file = file_at(req, ino);

        (void) argument, (void) info, (void) flags, (void) out_size;
        if (file && file->ops->ioctl)
                file->ops->ioctl(req, file->of, command, in, in_size);
        else
                fuse_reply_err(req, ENOTTY);
}

static void on_poll(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *info, struct fuse_pollhandle *handle) {
        const File *file = file_at(req, ino);

        if (file && file->ops->poll)
                file->ops->poll(req, file->of, open_of(info), handle);
        else {
                if (handle)
                        fuse_pollhandle_destroy(handle);
                fuse_reply_poll(req, POLLIN | POLLOUT | POLLRDNORM | POLLWRNORM); /* as files without a poll say */
        }
}

static const struct fuse_lowlevel_ops operations = {
        .init = mount_want,
        .lookup = on_lookup,
        .getattr = on_getattr,
        .setattr = on_setattr,
        .readlink = on_readlink,
        .readdir = on_readdir,
        .open = on_open,
        .release = on_release,
        .read = on_read,
        .write = on_write,
        .ioctl = on_ioctl,
        .poll = on_poll,
};

static File *add(Files *files, fuse_ino_t parent, const char *name, mode_t mode) {
        File *file = g_new0(File, 1);

        *file = (File) { .ino = files->all->len + 1, .parent = parent, .name = g_strdup(name), .mode = mode };
        g_ptr_array_add(files->all, file);
        return file;
}

File *files_add(Files *files, const char *path, mode_t mode, goffset size, const FileOps *ops, gpointer of) {
        g_auto(GStrv) names = g_strsplit(path, "/", -1);
        fuse_ino_t parent = FUSE_ROOT_ID;
        char **name = names;
        File *file;

        for (; name[1]; name++) {
                file = file_named(files, parent, *name);
                if (!file)
                        file = add(files, parent, *name, S_IFDIR | 0755);
                parent = file->ino;
        }
        file = add(files, parent, *name, S_IFREG | mode);
        file->size = size;
        file->ops = ops;
        file->of = of;
        return file;
}

File *files_add_link(Files *files, const char *path, const char *target) {
        File *file = files_add(files, path, 0, 0, NULL, NULL);

        file->mode = S_IFLNK | 0444; /* as securityfs has them, without a size */
        file->target = g_strdup(target);
        return file;
}

void files_hide(File *file, bool is_hidden) {
        file->is_hidden = is_hidden;
}

void files_reply(fuse_req_t req, const void *data, gsize data_size, gsize size, goffset offset) {
        gsize from = MIN((gsize) offset, data_size);

        fuse_reply_buf(req, (const char *) data + from, MIN(size, data_size - from));
}

static void on_gone(gpointer userdata) {
        Files *files = userdata;

        files->gone(files->userdata);
}

Files *files_new(const char *mountpoint, void (*gone)(gpointer), gpointer userdata, GError **error) {
        Files *files = g_new0(Files, 1);

        *files = (Files) { .gone = gone, .userdata = userdata, .all = g_ptr_array_new_with_free_func(file_free) };
        (void) add(files, 0, "", S_IFDIR | 0755);
        files->mount = mount_new(mountpoint, &operations, sizeof(operations), NULL, on_gone, files, error);
        if (!files->mount) {
                g_ptr_array_unref(files->all);
                g_clear_pointer(&files, g_free);
        }
        return files;
}

void files_free(Files *files) {
        if (!files)
                return;

        mount_free(files->mount);
        g_ptr_array_unref(files->all);
        g_free(files);
}
