/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "tree.h"

#include "mount.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>

/* Inode numbers: the three directories above the entries, then for each entry a
 * block: its directory and its attributes. */
#define INO_ROOT 1u
#define INO_TSM 2u
#define INO_REPORT 3u
#define INO_BLOCK 16u

struct Tree {
        Tsm *tsm; /* borrowed */
        Mount *mount;
        bool has_core;
        TsmOwner fixed[INO_REPORT + 1]; /* of root, tsm, report */
        void (*gone)(gpointer);
        gpointer userdata;
};

/* What an inode number means. */
typedef struct Place {
        TsmEntry *entry; /* NULL for the fixed directories; borrowed */
        int attribute;   /* -1 for a directory */
        TsmOwner *owner;
} Place;

static fuse_ino_t entry_ino(const TsmEntry *entry) {
        return entry->serial * INO_BLOCK;
}

static bool place_find(Tree *tree, fuse_ino_t ino, Place *ret) {
        TsmEntry *entry;
        guint64 part = ino % INO_BLOCK;

        if (ino < INO_BLOCK) {
                if (ino == 0 || ino > INO_REPORT)
                        return false;
                *ret = (Place) { .attribute = -1, .owner = &tree->fixed[ino] };
                return true;
        }

        entry = tsm_entry_by_serial(tree->tsm, ino / INO_BLOCK);
        if (!entry || part > TSM_N_ATTRIBUTES || (part > 0 && !tsm_entry_shows(entry, (TsmAttribute) (part - 1))))
                return false;
        *ret = (Place) {
                .entry = entry,
                .attribute = (int) part - 1,
                .owner = part == 0 ? &entry->directory : &entry->attribute[part - 1],
        };
        return true;
}

/* A directory has a link for each directory in it, and one that was removed has none. */
static nlink_t count_links(const Tree *tree, const Place *place, fuse_ino_t ino, const TsmStats *stats) {
        if (place->attribute >= 0)
                return 1;
        if (place->entry)
                return place->entry->is_dead ? 0 : 2;
        return 2 + (ino == INO_REPORT ? stats->n_entries : tree->has_core);
}

static struct stat place_stat(const Tree *tree, const Place *place, fuse_ino_t ino) {
        bool is_text = place->attribute >= 0 && tsm_attributes[place->attribute].is_text;
        TsmStats stats;

        tsm_stats(tree->tsm, &stats);
        return (struct stat) {
                .st_ino = ino,
                .st_mode = (place->attribute < 0 ? S_IFDIR : S_IFREG) | place->owner->mode,
                .st_nlink = count_links(tree, place, ino, &stats),
                .st_mtim = ino == INO_REPORT ? stats.entries_changed : (struct timespec) { 0 },
                .st_ctim = ino == INO_REPORT ? stats.entries_changed : (struct timespec) { 0 },
                .st_uid = place->owner->uid,
                .st_gid = place->owner->gid,
                .st_size = is_text ? 4096 : 0,
                .st_blksize = 4096,
        };
}

static WitnessCaller caller_of(fuse_req_t req) {
        const struct fuse_ctx *ctx = fuse_req_ctx(req);

        return (WitnessCaller) { .tid = ctx->pid, .uid = ctx->uid };
}

static Tree *tree_of(fuse_req_t req) {
        return fuse_req_userdata(req);
}

static void reply_entry(fuse_req_t req, fuse_ino_t ino) {
        Tree *tree = tree_of(req);
        struct fuse_entry_param param = { .ino = ino };
        Place place;

        if (!place_find(tree, ino, &place)) {
                fuse_reply_err(req, ENOENT);
                return;
        }

        param.attr = place_stat(tree, &place, ino);
        if (fuse_reply_entry(req, &param) == 0 && place.entry)
                (void) tsm_entry_ref(place.entry); /* until the kernel forgets the inode */
}

static void on_lookup(fuse_req_t req, fuse_ino_t parent, const char *name) {
        Tree *tree = tree_of(req);
        fuse_ino_t ino = 0;
        Place place;
        int error = tsm_strike(tree->tsm, "lookup", caller_of(req));

        if (error == 0 && parent == INO_ROOT && tree->has_core && g_str_equal(name, "tsm"))
                ino = INO_TSM;
        else if (error == 0 && parent == INO_TSM && tree->has_core && g_str_equal(name, "report"))
                ino = INO_REPORT;
        else if (error == 0 && parent == INO_REPORT) {
                TsmEntry *entry = tsm_entry_by_name(tree->tsm, name);

                ino = entry ? entry_ino(entry) : 0;
        } else if (error == 0 && parent >= INO_BLOCK && place_find(tree, parent, &place) && !place.entry->is_dead)
                for (guint i = 0; i < TSM_N_ATTRIBUTES; i++)
                        if (tsm_entry_shows(place.entry, (TsmAttribute) i) && g_str_equal(name, tsm_attributes[i].name))
                                ino = parent + 1 + i;

        if (ino != 0)
                reply_entry(req, ino);
        else
                fuse_reply_err(req, error ? error : ENOENT);
}

static void on_forget(fuse_req_t req, fuse_ino_t ino, uint64_t n_lookups) {
        Tree *tree = tree_of(req);
        Place place;

        if (place_find(tree, ino, &place) && place.entry)
                tsm_entry_unref(tree->tsm, place.entry, n_lookups);
        fuse_reply_none(req);
}

static void on_getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *info) {
        Tree *tree = tree_of(req);
        Place place;

        (void) info;
        if (place_find(tree, ino, &place)) {
                struct stat st = place_stat(tree, &place, ino);

                fuse_reply_attr(req, &st, 0);
        } else
                fuse_reply_err(req, ENOENT);
}

/* Size and times are taken and thrown away, as configfs does. */
static void on_setattr(fuse_req_t req, fuse_ino_t ino, struct stat *st, int what, struct fuse_file_info *info) {
        Tree *tree = tree_of(req);
        Place place;

        if (!place_find(tree, ino, &place)) {
                fuse_reply_err(req, ENOENT);
                return;
        }

        if (what & (FUSE_SET_ATTR_MODE | FUSE_SET_ATTR_UID | FUSE_SET_ATTR_GID)) {
                const char *where = place.entry ? place.entry->name : "-";
                int error = tsm_strike(tree->tsm, "chmod", caller_of(req));

                witness_note(tsm_witness(tree->tsm), caller_of(req), "chmod", where, error, "attribute=%s mode=%o",
                             place.attribute < 0 ? "-" : tsm_attributes[place.attribute].name,
                             what & FUSE_SET_ATTR_MODE ? st->st_mode & 07777 : place.owner->mode);
                if (error != 0) {
                        fuse_reply_err(req, error);
                        return;
                }
        }
        if (what & FUSE_SET_ATTR_MODE)
                place.owner->mode = st->st_mode & 07777;
        if (what & FUSE_SET_ATTR_UID)
                place.owner->uid = st->st_uid;
        if (what & FUSE_SET_ATTR_GID)
                place.owner->gid = st->st_gid;
        on_getattr(req, ino, info);
        if (what & FUSE_SET_ATTR_MODE)
                tsm_mode_was_set(tree->tsm);
}

static void mkdir_done(TsmOp *op, int error) {
        if (error)
                fuse_reply_err(op->request, error);
        else
                reply_entry(op->request, entry_ino(op->entry));
}

static void plainly_done(TsmOp *op, int error) {
        fuse_reply_err(op->request, error);
}

static void on_mkdir(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode) {
        TsmOp *op;

        (void) mode; /* configfs does not look at it either */
        if (parent != INO_REPORT || strlen(name) > NAME_MAX) {
                fuse_reply_err(req, parent != INO_REPORT ? EPERM : ENAMETOOLONG);
                return;
        }

        op = tsm_op_new(TSM_OP_MKDIR, caller_of(req), mkdir_done, req);
        op->name = g_strdup(name);
        tsm_submit(tree_of(req)->tsm, op);
}

static void on_rmdir(fuse_req_t req, fuse_ino_t parent, const char *name) {
        TsmOp *op;

        if (parent != INO_REPORT) {
                fuse_reply_err(req, parent < INO_BLOCK ? EPERM : ENOTDIR);
                return;
        }

        op = tsm_op_new(TSM_OP_RMDIR, caller_of(req), plainly_done, req);
        op->name = g_strdup(name);
        tsm_submit(tree_of(req)->tsm, op);
}

static void on_mknod(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode, dev_t device) {
        (void) parent, (void) name, (void) mode, (void) device;
        fuse_reply_err(req, S_ISREG(mode) ? EACCES : EPERM);
}

static void on_create(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode, struct fuse_file_info *info) {
        (void) parent, (void) name, (void) mode, (void) info;
        fuse_reply_err(req, EACCES);
}

static void on_unlink(fuse_req_t req, fuse_ino_t parent, const char *name) {
        (void) parent, (void) name;
        fuse_reply_err(req, EPERM);
}

static void on_symlink(fuse_req_t req, const char *link, fuse_ino_t parent, const char *name) {
        (void) link, (void) parent, (void) name;
        fuse_reply_err(req, EPERM);
}

static void on_rename(fuse_req_t req, fuse_ino_t parent, const char *name, fuse_ino_t to, const char *to_name,
                      unsigned int flags) {
        (void) parent, (void) name, (void) to, (void) to_name, (void) flags;
        fuse_reply_err(req, EPERM);
}

static void on_link(fuse_req_t req, fuse_ino_t ino, fuse_ino_t to, const char *name) {
        (void) ino, (void) to, (void) name;
        fuse_reply_err(req, EPERM);
}

static void on_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *info) {
        Tree *tree = tree_of(req);
        TsmFile *file = NULL;
        Place place;
        int error = ENOENT;

        if (place_find(tree, ino, &place) && place.attribute >= 0)
                error = tsm_open(tree->tsm, place.entry, (TsmAttribute) place.attribute, info->flags, caller_of(req),
                                 &file);
        if (error) {
                fuse_reply_err(req, error);
                return;
        }

        info->fh = (uint64_t) (uintptr_t) file;
        info->direct_io = 1;
        info->noflush = (info->flags & O_ACCMODE) == O_RDONLY; /* a round trip that a kernel's own configfs has not */
        if (fuse_reply_open(req, info) == -ENOENT)
                tsm_close(tree->tsm, file); /* the caller is gone: no release will come */
}

static TsmFile *file_of(const struct fuse_file_info *info) {
        return (TsmFile *) (uintptr_t) info->fh; /* NOLINT: the kernel hands back what we gave it */
}

static void on_release(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *info) {
        Tree *tree = tree_of(req);

        (void) ino;
        tsm_close(tree->tsm, file_of(info));
        fuse_reply_err(req, 0);
}

static void read_done(TsmOp *op, int error) {
        if (error)
                fuse_reply_err(op->request, error);
        else
                fuse_reply_buf(op->request, op->data ? g_bytes_get_data(op->data, NULL) : NULL,
                               op->data ? g_bytes_get_size(op->data) : 0);
}

static void on_interrupt(fuse_req_t req, void *userdata) {
        TsmOp *op = userdata;

        (void) req;
        op->is_interrupted = true; /* looked at by tsm_settle() */
}

static void on_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset, struct fuse_file_info *info) {
        TsmOp *op = tsm_op_new(TSM_OP_READ, caller_of(req), read_done, req);

        (void) ino;
        op->file = file_of(info);
        op->entry = tsm_entry_ref(op->file->entry);
        op->offset = (size_t) offset;
        op->size = size;
        fuse_req_interrupt_func(req, on_interrupt, op);
        tsm_submit(tree_of(req)->tsm, op);
}

static void write_done(TsmOp *op, int error) {
        if (error)
                fuse_reply_err(op->request, error);
        else
                fuse_reply_write(op->request, op->size);
}

static void on_write(fuse_req_t req, fuse_ino_t ino, const char *data, size_t size, off_t offset,
                     struct fuse_file_info *info) {
        Tree *tree = tree_of(req);
        TsmFile *file = file_of(info);
        int error;

        (void) ino;
        if (file->attribute != TSM_INBLOB) {
                TsmOp *op = tsm_op_new(TSM_OP_WRITE, caller_of(req), write_done, req);

                op->file = file;
                op->entry = tsm_entry_ref(file->entry);
                op->data = g_bytes_new(data, size);
                op->size = size;
                tsm_submit(tree->tsm, op);
                return;
        }

        error = tsm_write(tree->tsm, file, data, size, (size_t) offset, caller_of(req));
        if (error)
                fuse_reply_err(req, error);
        else
                fuse_reply_write(req, size);
}

/* close() waits for what RELEASE does, but nobody waits for RELEASE: so the wait
 * for the lock is here. */
static void on_flush(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *info) {
        TsmFile *file = file_of(info);
        TsmOp *op;

        (void) ino;
        if (!file->written) {
                fuse_reply_err(req, 0);
                return;
        }

        op = tsm_op_new(TSM_OP_FLUSH, caller_of(req), plainly_done, req);
        op->entry = tsm_entry_ref(file->entry);
        tsm_submit(tree_of(req)->tsm, op);
}

/* The directory's content from @offset on; offsets are those of what comes next. */
typedef struct Listing {
        fuse_req_t req;
        char *buffer;
        size_t size, used;
} Listing;

static bool list(Listing *l, const char *name, fuse_ino_t ino, mode_t type, off_t next) {
        struct stat st = { .st_ino = ino, .st_mode = type };
        size_t n = fuse_add_direntry(l->req, l->buffer + l->used, l->size - l->used, name, &st, next);

        if (n > l->size - l->used)
                return false;
        l->used += n;
        return true;
}

static void list_entries(Listing *l, Tsm *tsm, off_t offset) {
        guint64 serial = offset > 2 ? (guint64) offset - 2 : 0;
        TsmEntry *entry;

        while ((entry = tsm_entry_next(tsm, serial))) {
                if (!list(l, entry->name, entry_ino(entry), S_IFDIR, (off_t) entry->serial + 2))
                        return;
                serial = entry->serial;
        }
}

static void on_readdir(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset, struct fuse_file_info *info) {
        Tree *tree = tree_of(req);
        g_autofree char *buffer = g_malloc(size);
        Listing l = { .req = req, .buffer = buffer, .size = size };
        int error = tsm_strike(tree->tsm, "readdir", caller_of(req));
        Place place;

        (void) info;
        if (error == 0 && !place_find(tree, ino, &place))
                error = ENOENT;
        if (error) {
                fuse_reply_err(req, error);
                return;
        }

        if ((offset > 0 || list(&l, ".", ino, S_IFDIR, 1)) && (offset > 1 || list(&l, "..", INO_ROOT, S_IFDIR, 2))) {
                if (ino == INO_ROOT && tree->has_core && offset <= 2)
                        list(&l, "tsm", INO_TSM, S_IFDIR, 3);
                else if (ino == INO_TSM && tree->has_core && offset <= 2)
                        list(&l, "report", INO_REPORT, S_IFDIR, 3);
                else if (ino == INO_REPORT)
                        list_entries(&l, tree->tsm, offset);
                else if (place.entry && !place.entry->is_dead)
                        for (off_t i = MAX(offset, 2) - 2; i < (off_t) TSM_N_ATTRIBUTES; i++)
                                if (tsm_entry_shows(place.entry, (TsmAttribute) i) &&
                                    !list(&l, tsm_attributes[i].name, ino + 1 + (fuse_ino_t) i, S_IFREG, i + 3))
                                        break;
        }
        fuse_reply_buf(req, buffer, l.used);
}

static const struct fuse_lowlevel_ops operations = {
        .init = mount_want,
        .lookup = on_lookup,
        .forget = on_forget,
        .getattr = on_getattr,
        .setattr = on_setattr,
        .mkdir = on_mkdir,
        .rmdir = on_rmdir,
        .mknod = on_mknod,
        .create = on_create,
        .unlink = on_unlink,
        .symlink = on_symlink,
        .rename = on_rename,
        .link = on_link,
        .open = on_open,
        .release = on_release,
        .read = on_read,
        .write = on_write,
        .flush = on_flush,
        .readdir = on_readdir,
};

static void on_settle(gpointer userdata) {
        tsm_settle(((Tree *) userdata)->tsm);
}

static void on_gone(gpointer userdata) {
        Tree *tree = userdata;

        tree->gone(tree->userdata);
}

Tree *tree_mount(Tsm *tsm, const char *mountpoint, bool has_core, void (*gone)(gpointer), gpointer userdata,
                 GError **error) {
        Tree *tree = g_new0(Tree, 1);

        *tree = (Tree) { .tsm = tsm, .has_core = has_core, .gone = gone, .userdata = userdata };
        for (guint i = 0; i < G_N_ELEMENTS(tree->fixed); i++)
                tree->fixed[i] = (TsmOwner) { .mode = 0755 };

        tree->mount = mount_new(mountpoint, &operations, sizeof(operations), on_settle, on_gone, tree, error);
        if (!tree->mount)
                g_clear_pointer(&tree, g_free);
        return tree;
}

void tree_unmount_and_free(Tree *tree) {
        if (!tree)
                return;

        mount_free(tree->mount);
        g_free(tree);
}

int tree_set_core(Tree *tree, bool is_loaded) {
        TsmStats stats;

        tsm_stats(tree->tsm, &stats);
        if (!is_loaded && stats.n_entries > 0)
                return EBUSY;
        tree->has_core = is_loaded;
        return 0;
}

int tree_chmod(Tree *tree, const char *name, mode_t mode) {
        TsmEntry *entry = tsm_entry_by_name(tree->tsm, name);

        if (!entry)
                return ENOENT;
        entry->directory.mode = mode;
        return 0;
}
