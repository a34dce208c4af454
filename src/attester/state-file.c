/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "attester/state-file.h"

#include "util/bytes.h"
#include "util/error.h"
#include "util/io.h"

#include <errno.h>
#include <fcntl.h>
#include <gio/gio.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

/* Written, then put in place of the other one: a reader finds a whole file. */
#define NEW_FILE ATT_STATE_FILE ".new"

struct AttStateFile {
        AttGenerationListener listener;
        const AttGeneration *subject; /* borrowed */
        char *path; /* of the directory, for the log */
        int dir;    /* -1: done without */
        AttLastState state;
};

/* ----- the text */

#define ID_TEXT_SIZE (2u * 16u)
#define GENERATION_DIGITS_MAX 19u /* fit 64 bits */
#define END_SIZE 7u

static const char *end_name(bool is_stopped) {
        return is_stopped ? "stopped" : "running";
}

char *att_last_state_print(const AttLastState *state) {
        char boot[ID_TEXT_SIZE + 1], instance[ID_TEXT_SIZE + 1];

        att_hex(state->boot_id, sizeof state->boot_id, boot);
        att_hex(state->instance_id, sizeof state->instance_id, instance);
        return g_strdup_printf("attestd-state 1\nboot %s\ninstance %s\ngeneration %" G_GUINT64_FORMAT "\nend %s\n",
                               boot, instance, state->generation, end_name(state->is_stopped));
}

static bool take_text(AttCursor *c, const char *text) {
        const uint8_t *p = att_take(c, strlen(text));

        return p && memcmp(p, text, strlen(text)) == 0;
}

static bool take_id(AttCursor *c, uint8_t ret[16]) {
        const char *hex = (const char *) att_take(c, ID_TEXT_SIZE);

        for (guint i = 0; hex && i < 16; i++) {
                int high = g_ascii_xdigit_value(hex[2 * i]), low = g_ascii_xdigit_value(hex[2 * i + 1]);

                if (high < 0 || low < 0)
                        return false;
                ret[i] = (uint8_t) (high << 4 | low);
        }
        return hex != NULL;
}

static bool take_generation(AttCursor *c, uint64_t *ret) {
        uint64_t n = 0;

        for (guint i = 0; i < GENERATION_DIGITS_MAX && c->left > 0 && g_ascii_isdigit((char) *c->at); i++)
                n = n * 10 + att_take_u8(c) - '0';
        *ret = n;
        return n >= 1 && n <= ATT_STATE_GENERATION_MAX;
}

static bool take_end(AttCursor *c, bool *ret) {
        AttCursor word = att_take_sub(c, END_SIZE), again = word;

        *ret = take_text(&word, end_name(true));
        return *ret || take_text(&again, end_name(false));
}

gboolean att_last_state_parse(const void *text, gsize size, AttLastState *ret, GError **error) {
        AttCursor c = att_cursor(text, size);
        AttLastState state = { 0 };
        g_autofree char *again = NULL;

        if (!take_text(&c, "attestd-state 1\n"))
                return att_error_set(error, ATT_ERROR_BAD_DATA, "not a state file of attestd, or of another version");
        if (!take_text(&c, "boot ") || !take_id(&c, state.boot_id) ||
            !take_text(&c, "\ninstance ") || !take_id(&c, state.instance_id) ||
            !take_text(&c, "\ngeneration ") || !take_generation(&c, &state.generation) ||
            !take_text(&c, "\nend ") || !take_end(&c, &state.is_stopped) || !take_text(&c, "\n") ||
            !att_cursor_is_spent(&c))
                return att_error_set(error, ATT_ERROR_BAD_DATA, "garbled");

        /* One text for one state: no capitals, no zeros in front. */
        again = att_last_state_print(&state);
        if (strlen(again) != size || memcmp(again, text, size) != 0)
                return att_error_set(error, ATT_ERROR_BAD_DATA, "garbled");
        *ret = state;
        return TRUE;
}

/* ----- the file */

/* @type: a directory was opened as one */
static gboolean check_ours(int fd, mode_t type, GError **error) {
        struct stat st;

        if (fstat(fd, &st) < 0)
                return att_error_set_errno(error, errno, "cannot look at it");
        if ((st.st_mode & S_IFMT) != type)
                return att_error_set(error, ATT_ERROR_BAD_DATA, "not a regular file");
        if (st.st_uid != geteuid() || (st.st_mode & (S_IWGRP | S_IWOTH)))
                return att_error_set(error, ATT_ERROR_BAD_DATA, "others can write it");
        return TRUE;
}

static int open_directory(const char *path, GError **error) {
        att_autofd int dir = -1;

        if (mkdir(path, 0700) < 0 && errno != EEXIST) {
                att_error_set_errno(error, errno, "cannot make it");
                return -1;
        }
        dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
        if (dir < 0) {
                att_error_set_errno(error, errno, "cannot open it");
                return -1;
        }
        return check_ours(dir, S_IFDIR, error) ? att_steal_fd(&dir) : -1;
}

static gboolean read_state(int dir, const uint8_t boot_id[ATT_BOOT_ID_SIZE], AttLastState *ret, GError **error) {
        /* Whatever stands there: nothing is waited for. */
        att_autofd int fd = openat(dir, ATT_STATE_FILE, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
        char text[ATT_STATE_SIZE_MAX + 1];
        gssize n;

        if (fd < 0)
                return att_error_set_errno(error, errno, "cannot open it");
        if (!check_ours(fd, S_IFREG, error))
                return FALSE;
        n = read(fd, text, sizeof text);
        if (n < 0)
                return att_error_set_errno(error, errno, "cannot read it");
        if ((gsize) n > ATT_STATE_SIZE_MAX)
                return att_error_set(error, ATT_ERROR_TOO_LARGE, "over %u bytes", ATT_STATE_SIZE_MAX);
        if (!att_last_state_parse(text, (gsize) n, ret, error))
                return FALSE;
        return memcmp(ret->boot_id, boot_id, ATT_BOOT_ID_SIZE) == 0 ||
               att_error_set(error, ATT_ERROR_BAD_DATA, "of another boot");
}

/* Memory that survives us, not a disk: no need to sync. */
static gboolean write_state(int dir, const AttLastState *state, GError **error) {
        g_autofree char *text = att_last_state_print(state);
        gsize size = strlen(text);
        att_autofd int fd = -1;

        (void) unlinkat(dir, NEW_FILE, 0); /* of one that was killed here */
        fd = openat(dir, NEW_FILE, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
        if (fd < 0 || write(fd, text, size) != (gssize) size || renameat(dir, NEW_FILE, dir, ATT_STATE_FILE) < 0)
                return att_error_set_errno(error, errno, "cannot write it");
        return TRUE;
}

/* Better none than one that is behind. */
static void store(AttStateFile *f) {
        g_autoptr(GError) error = NULL;

        if (f->dir < 0 || write_state(f->dir, &f->state, &error))
                return;
        g_warning("%s/" ATT_STATE_FILE ": %s: attestd goes on without it", f->path, error->message);
        (void) unlinkat(f->dir, ATT_STATE_FILE, 0);
        att_close_p(&f->dir);
        f->dir = -1;
}

/* ----- instances */

static void on_moved(AttGenerationListener *listener, uint64_t generation, const char *const *reasons) {
        AttStateFile *f = (AttStateFile *) (void *) ((char *) listener - G_STRUCT_OFFSET(AttStateFile, listener));

        (void) reasons;
        f->state.generation = generation;
        memcpy(f->state.instance_id, att_generation_instance_id(f->subject), sizeof f->state.instance_id);
        store(f);
}

static void follow(AttGeneration *generation, const AttLastState *last) {
        char id[ID_TEXT_SIZE + 1];

        att_hex(last->instance_id, sizeof last->instance_id, id);
        if (last->is_stopped)
                g_info("follows instance %s, which was stopped at generation %" G_GUINT64_FORMAT, id, last->generation);
        else
                g_warning("instance %s has ended without being stopped, at generation %" G_GUINT64_FORMAT
                          "; its sessions are lost", id, last->generation);
        att_generation_begin_after(generation, last->generation);
}

AttStateFile *att_state_file_begin(const char *directory, AttGeneration *generation) {
        AttStateFile *f = g_new0(AttStateFile, 1);
        g_autoptr(GError) error = NULL;
        AttLastState last;

        f->path = g_strdup(directory);
        f->listener.moved = on_moved;
        f->subject = generation;
        f->dir = open_directory(directory, &error);
        if (f->dir < 0)
                g_warning("%s: %s: attestd goes on without it", directory, error->message);
        else if (read_state(f->dir, att_generation_boot_id(generation), &last, &error))
                follow(generation, &last);
        else if (!g_error_matches(error, G_IO_ERROR, G_IO_ERROR_NOT_FOUND))
                g_warning("%s/" ATT_STATE_FILE ": %s: ignored", directory, error->message);

        memcpy(f->state.boot_id, att_generation_boot_id(generation), sizeof f->state.boot_id);
        memcpy(f->state.instance_id, att_generation_instance_id(generation), sizeof f->state.instance_id);
        f->state.generation = att_generation_get(generation);
        store(f);
        att_generation_listen(generation, &f->listener);
        return f;
}

void att_state_file_end(AttStateFile *f) {
        if (!f)
                return;

        f->state.is_stopped = true;
        store(f);
        att_close_p(&f->dir);
        g_free(f->path);
        g_free(f);
}
