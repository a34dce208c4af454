/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "tpm.h"

#include <errno.h>
#include <fcntl.h>
#include <gio/gio.h>
#include <glib-unix.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define HEAD 10u
#define BUFFER_SIZE 4096u /* the kernel's, for one command or answer */
#define N_PCRS 24u

#define TAG_NO_SESSIONS 0x8001u
#define TAG_SESSIONS 0x8002u
#define CC_CREATE_PRIMARY 0x131u
#define CC_CREATE_LOADED 0x191u
#define CC_HMAC_START 0x15bu
#define CC_LOAD 0x157u
#define CC_CONTEXT_LOAD 0x161u
#define CC_FLUSH_CONTEXT 0x165u
#define CC_LOAD_EXTERNAL 0x167u
#define CC_START_AUTH_SESSION 0x176u
#define CC_GET_CAPABILITY 0x17au
#define CC_PCR_READ 0x17eu
#define CC_PCR_EXTEND 0x182u
#define CC_HASH_SEQUENCE_START 0x186u
#define RC_LOCKOUT 0x921u

const TpmBank tpm_banks[TPM_BANKS] = {
        { "sha1", 0x0004, 20, G_CHECKSUM_SHA1 },
        { "sha256", 0x000b, 32, G_CHECKSUM_SHA256 },
        { "sha384", 0x000c, 48, G_CHECKSUM_SHA384 },
        { "sha512", 0x000d, 64, G_CHECKSUM_SHA512 },
};

/* @answer: NULL if the TPM is no longer there */
typedef void (*TpmDone)(gpointer userdata, const GByteArray *answer);

typedef struct Command {
        GByteArray *bytes;
        TpmDone done;
        gpointer userdata;
} Command;

/* pcr-<bank>/<n> in sysfs */
typedef struct Register {
        Tpm *tpm;
        guint bank, pcr;
} Register;

struct Tpm {
        int fd;
        guint in_watch;
        GQueue commands;    /* of Command; the first one is with the TPM */
        GByteArray *answer; /* as much as has come */
        unsigned banks;
        Register registers[TPM_BANKS * N_PCRS];
        GPtrArray *files; /* borrowed: what goes when the TPM goes */
        Witness *witness; /* borrowed */
        GList *opens;     /* of Open */

        bool is_gone;
        bool hangs;
        guint32 refusal; /* what commands with authorisation are answered; 0: nothing */
};

/* One open of tpmrm0. The resource manager flushes what it has made when it is closed. */
typedef struct Open {
        Tpm *tpm;
        guint n_refs;
        bool is_nonblocking, is_closed;
        fuse_req_t writer;    /* waits for the command to end */
        gsize writer_size;
        GByteArray *command;  /* held back by "hang" */
        bool is_busy;
        GByteArray *answer;   /* not read yet */
        guint answered;       /* of it */
        guint32 code;
        GArray *handles;      /* guint32 */
        struct fuse_pollhandle *poll;
} Open;

/* Big-endian */

static void put(GByteArray *out, guint64 value, guint size) {
        for (guint i = size; i > 0; i--) {
                guint8 b = (guint8) (value >> (8 * (i - 1)));

                g_byte_array_append(out, &b, 1);
        }
}

static guint32 get(const GByteArray *in, guint at, guint size) {
        guint32 value = 0;

        for (guint i = 0; i < size; i++)
                value = value << 8 | (at + i < in->len ? in->data[at + i] : 0u);
        return value;
}

static GByteArray *command_new(guint tag, guint32 code) {
        GByteArray *bytes = g_byte_array_new();

        put(bytes, tag, 2);
        put(bytes, 0, 4); /* by command_finish() */
        put(bytes, code, 4);
        return bytes;
}

static void command_finish(GByteArray *bytes) {
        for (guint i = 0; i < 4; i++)
                bytes->data[2 + i] = (guint8) (bytes->len >> (8 * (3 - i)));
}

static guint32 code_of(const GByteArray *bytes) {
        return get(bytes, 6, 4);
}

/* The way to the TPM: one command after the other */

static void lose(Tpm *tpm);

static void start_next(Tpm *tpm) {
        const Command *next = g_queue_peek_head(&tpm->commands);

        /* No more than one is under way, and the socket holds more than that. */
        if (next && send(tpm->fd, next->bytes->data, next->bytes->len, MSG_NOSIGNAL) != (ssize_t) next->bytes->len)
                lose(tpm);
}

/* Takes @bytes. */
static void submit(Tpm *tpm, GByteArray *bytes, TpmDone done, gpointer userdata) {
        Command *command;

        if (tpm->fd < 0) {
                g_byte_array_unref(bytes);
                done(userdata, NULL);
                return;
        }

        command = g_new0(Command, 1);
        *command = (Command) { bytes, done, userdata };
        g_queue_push_tail(&tpm->commands, command);
        if (g_queue_get_length(&tpm->commands) == 1)
                start_next(tpm);
}

static void finish_first(Tpm *tpm, const GByteArray *answer) {
        Command *command = g_queue_pop_head(&tpm->commands);

        if (answer)
                start_next(tpm);
        command->done(command->userdata, answer);
        g_byte_array_unref(command->bytes);
        g_free(command);
}

/* The swtpm has ended. */
static void lose(Tpm *tpm) {
        if (tpm->fd >= 0)
                close(tpm->fd);
        tpm->fd = -1;
        g_clear_handle_id(&tpm->in_watch, g_source_remove);
        while (!g_queue_is_empty(&tpm->commands))
                finish_first(tpm, NULL);
}

/* Returns: has a whole answer come? */
static bool receive(Tpm *tpm) {
        guint8 buffer[BUFFER_SIZE];
        ssize_t n = recv(tpm->fd, buffer, sizeof(buffer), 0);

        if (n < 0 && (errno == EAGAIN || errno == EINTR))
                return false;
        if (n <= 0) {
                lose(tpm);
                return false;
        }
        g_byte_array_append(tpm->answer, buffer, (guint) n);
        return tpm->answer->len >= HEAD && tpm->answer->len >= get(tpm->answer, 2, 4);
}

static gboolean on_answer(gint fd, GIOCondition condition, gpointer userdata) {
        Tpm *tpm = userdata;
        g_autoptr(GByteArray) answer = NULL;

        (void) fd, (void) condition;
        if (receive(tpm) && !g_queue_is_empty(&tpm->commands)) {
                answer = g_steal_pointer(&tpm->answer);
                tpm->answer = g_byte_array_new();
                finish_first(tpm, answer);
        }
        return tpm->fd >= 0 ? G_SOURCE_CONTINUE : G_SOURCE_REMOVE;
}

static void keep_answer(gpointer userdata, const GByteArray *answer) {
        GByteArray **ret = userdata;

        *ret = answer ? g_byte_array_append(g_byte_array_new(), answer->data, answer->len) : g_byte_array_new();
}

/* Before the main loop runs. Takes @bytes. Returns: empty if there is no TPM */
static GByteArray *ask(Tpm *tpm, GByteArray *bytes) {
        GByteArray *answer = NULL;

        submit(tpm, bytes, keep_answer, &answer);
        while (!answer) {
                GPollFD fd = { .fd = tpm->fd, .events = G_IO_IN };

                (void) g_poll(&fd, 1, -1);
                (void) on_answer(tpm->fd, G_IO_IN, tpm);
        }
        return answer;
}

/* Registers */

static GByteArray *pcr_read(guint bank, guint pcr) {
        GByteArray *bytes = command_new(TAG_NO_SESSIONS, CC_PCR_READ);

        put(bytes, 1, 4);
        put(bytes, tpm_banks[bank].algorithm, 2);
        put(bytes, 3, 1);
        for (guint i = 0; i < 3; i++)
                put(bytes, pcr / 8 == i ? 1u << pcr % 8 : 0, 1);
        command_finish(bytes);
        return bytes;
}

/* Returns: where the digest begins in the answer; NULL if there is none */
static const guint8 *pcr_in(const GByteArray *answer, guint bank) {
        const guint at = HEAD + 4 + 4 + 2 + 1 + 3 + 4 + 2; /* counter, selection of one bank, a list of one digest */

        if (!answer || code_of(answer) != 0 || answer->len < at + tpm_banks[bank].size)
                return NULL;
        return answer->data + at;
}

typedef struct RegisterRead {
        fuse_req_t req;
        guint bank;
        gsize size;
        goffset offset;
} RegisterRead;

static void on_register(gpointer userdata, const GByteArray *answer) {
        g_autofree RegisterRead *read = userdata;
        g_autoptr(GString) text = g_string_new(NULL);
        const guint8 *digest = pcr_in(answer, read->bank);

        if (!digest) {
                fuse_reply_err(read->req, answer ? EIO : ENODEV);
                return;
        }
        for (guint i = 0; i < tpm_banks[read->bank].size; i++)
                g_string_append_printf(text, "%02X", digest[i]);
        g_string_append_c(text, '\n');
        files_reply(read->req, text->str, text->len, read->size, read->offset);
}

static void register_read(fuse_req_t req, gpointer of, gpointer open, gsize size, goffset offset) {
        const Register *r = of;
        RegisterRead *read = g_new0(RegisterRead, 1);

        (void) open;
        *read = (RegisterRead) { req, r->bank, size, offset };
        submit(r->tpm, pcr_read(r->bank, r->pcr), on_register, read);
}

static const FileOps register_ops = { .read = register_read };

static void version_read(fuse_req_t req, gpointer of, gpointer open, gsize size, goffset offset) {
        (void) of, (void) open;
        files_reply(req, "2\n", 2, size, offset);
}

static const FileOps version_ops = { .read = version_read };

bool tpm_has_bank(const Tpm *tpm, guint bank) {
        return tpm->banks & 1u << bank;
}

void tpm_boot_aggregate(Tpm *tpm, uint8_t ret[32]) {
        g_autoptr(GChecksum) hash = g_checksum_new(G_CHECKSUM_SHA256);
        gsize size = 32;

        memset(ret, 0, size);
        for (guint pcr = 0; pcr < 10; pcr++) {
                g_autoptr(GByteArray) answer = ask(tpm, pcr_read(1, pcr));
                const guint8 *digest = pcr_in(answer, 1);

                if (!digest)
                        return;
                g_checksum_update(hash, digest, 32);
        }
        g_checksum_get_digest(hash, ret, &size);
}

typedef struct Extension {
        void (*done)(gpointer);
        gpointer userdata;
} Extension;

static void on_extended(gpointer userdata, const GByteArray *answer) {
        g_autofree Extension *extension = userdata;

        if (answer && code_of(answer) != 0)
                g_warning("PCR_Extend: 0x%x", code_of(answer));
        if (extension->done)
                extension->done(extension->userdata);
}

void tpm_extend(Tpm *tpm, guint pcr, const uint8_t digests[TPM_BANKS][TPM_DIGEST_MAX], void (*done)(gpointer),
                gpointer userdata) {
        static const guint8 password[] = { 0, 0, 0, 9, 0x40, 0, 0, 9, 0, 0, 0, 0, 0 }; /* the empty one */
        GByteArray *bytes = command_new(TAG_SESSIONS, CC_PCR_EXTEND);
        Extension *extension = g_new0(Extension, 1);

        put(bytes, pcr, 4);
        g_byte_array_append(bytes, password, sizeof(password));
        put(bytes, (guint) __builtin_popcount(tpm->banks), 4);
        for (guint b = 0; b < TPM_BANKS; b++)
                if (tpm_has_bank(tpm, b)) {
                        put(bytes, tpm_banks[b].algorithm, 2);
                        g_byte_array_append(bytes, digests[b], tpm_banks[b].size);
                }
        command_finish(bytes);
        *extension = (Extension) { done, userdata };
        submit(tpm, bytes, on_extended, extension);
}

/* tpmrm0 */

static void open_unref(Open *o) {
        if (--o->n_refs > 0)
                return;

        if (o->poll)
                fuse_pollhandle_destroy(o->poll);
        g_clear_pointer(&o->command, g_byte_array_unref);
        g_clear_pointer(&o->answer, g_byte_array_unref);
        g_array_unref(o->handles);
        g_free(o);
}

static void ignore(gpointer userdata, const GByteArray *answer) {
        (void) userdata, (void) answer;
}

static void flush(Tpm *tpm, guint32 handle) {
        GByteArray *bytes = command_new(TAG_NO_SESSIONS, CC_FLUSH_CONTEXT);

        put(bytes, handle, 4);
        command_finish(bytes);
        submit(tpm, bytes, ignore, NULL);
}

static bool makes_handle(guint32 code) {
        static const guint32 all[] = { CC_CREATE_PRIMARY, CC_CREATE_LOADED,     CC_HMAC_START,         CC_LOAD,
                                       CC_CONTEXT_LOAD,   CC_LOAD_EXTERNAL,     CC_START_AUTH_SESSION,
                                       CC_HASH_SEQUENCE_START };

        for (guint i = 0; i < G_N_ELEMENTS(all); i++)
                if (code == all[i])
                        return true;
        return false;
}

static int tpmrm_open(gpointer of, int flags, gpointer *ret) {
        Tpm *tpm = of;
        Open *o;

        if (tpm->is_gone)
                return ENODEV;
        o = g_new0(Open, 1);
        *o = (Open) {
                .tpm = tpm,
                .n_refs = 1,
                .is_nonblocking = flags & O_NONBLOCK,
                .handles = g_array_new(FALSE, FALSE, sizeof(guint32)),
        };
        tpm->opens = g_list_prepend(tpm->opens, o);
        witness_note(tpm->witness, (WitnessCaller) { 0 }, "open", "tpmrm0", 0, NULL);
        *ret = o;
        return 0;
}

static void end_write(Open *o, int error) {
        fuse_req_t writer = o->writer;

        o->writer = NULL;
        if (!writer)
                return;
        if (error)
                fuse_reply_err(writer, error);
        else
                fuse_reply_write(writer, o->writer_size);
}

static void tpmrm_close(gpointer of, gpointer open) {
        Tpm *tpm = of;
        Open *o = open;

        tpm->opens = g_list_remove(tpm->opens, o);
        o->is_closed = true;
        if (o->command) { /* held back: nobody waits for it any more */
                g_clear_pointer(&o->command, g_byte_array_unref);
                o->is_busy = false;
                open_unref(o);
        }
        for (guint i = 0; !o->is_busy && i < o->handles->len; i++)
                flush(tpm, g_array_index(o->handles, guint32, i));
        open_unref(o);
}

static void remember_handle(Open *o, const GByteArray *answer) {
        guint32 handle = get(answer, HEAD, 4);

        if (code_of(answer) == 0 && makes_handle(o->code))
                g_array_append_val(o->handles, handle);
        for (guint i = 0; o->is_closed && i < o->handles->len; i++)
                flush(o->tpm, g_array_index(o->handles, guint32, i));
}

/* Takes a reference to @o. */
static void on_tpmrm(gpointer userdata, const GByteArray *answer) {
        Open *o = userdata;

        o->is_busy = false;
        if (answer) {
                witness_note(o->tpm->witness, (WitnessCaller) { 0 }, "tpm", "tpmrm0", 0, "command=0x%x answer=0x%x",
                             o->code, code_of(answer));
                remember_handle(o, answer);
                o->answer = g_byte_array_append(g_byte_array_new(), answer->data, answer->len);
                o->answered = 0;
        }
        end_write(o, answer ? 0 : EPIPE);
        if (o->poll) {
                fuse_lowlevel_notify_poll(o->poll);
                fuse_pollhandle_destroy(g_steal_pointer(&o->poll));
        }
        open_unref(o);
}

static void go(Open *o) {
        Tpm *tpm = o->tpm;
        GByteArray *command = g_steal_pointer(&o->command);

        if (tpm->is_gone) {
                g_byte_array_unref(command);
                on_tpmrm(o, NULL);
        } else if (tpm->refusal && get(command, 0, 2) == TAG_SESSIONS) {
                g_autoptr(GByteArray) answer = command_new(TAG_NO_SESSIONS, tpm->refusal);

                g_byte_array_unref(command);
                command_finish(answer);
                on_tpmrm(o, answer);
        } else
                submit(tpm, command, on_tpmrm, o);
}

/* Who waits was sent a signal; the TPM goes on. */
static void on_interrupt(fuse_req_t req, void *userdata) {
        Open *o = userdata;

        if (o->writer == req)
                end_write(o, EINTR);
}

static void tpmrm_write(fuse_req_t req, gpointer of, gpointer open, const void *data, gsize size, goffset offset) {
        g_autoptr(GByteArray) command = g_byte_array_append(g_byte_array_new(), data, (guint) size);
        Tpm *tpm = of;
        Open *o = open;
        int error = 0;

        (void) offset;
        if (tpm->is_gone)
                error = EPIPE;
        else if (size > BUFFER_SIZE)
                error = E2BIG;
        else if (o->is_busy || (o->answer && o->answered == 0))
                error = EBUSY;
        else if (size < HEAD || size < get(command, 2, 4))
                error = EINVAL;
        if (error) {
                fuse_reply_err(req, error);
                return;
        }

        g_clear_pointer(&o->answer, g_byte_array_unref);
        o->command = g_steal_pointer(&command);
        o->code = code_of(o->command);
        if (o->code == CC_FLUSH_CONTEXT)
                for (guint i = o->handles->len; i > 0; i--)
                        if (g_array_index(o->handles, guint32, i - 1) == get(o->command, HEAD, 4))
                                g_array_remove_index_fast(o->handles, i - 1);
        o->is_busy = true;
        o->n_refs++;
        if (o->is_nonblocking)
                fuse_reply_write(req, size);
        else {
                o->writer = req;
                o->writer_size = size;
                fuse_req_interrupt_func(req, on_interrupt, o);
        }
        if (!tpm->hangs)
                go(o);
}

static void tpmrm_read(fuse_req_t req, gpointer of, gpointer open, gsize size, goffset offset) {
        const Tpm *tpm = of;
        Open *o = open;
        guint n;

        (void) offset;
        if (!o->answer) {
                if (tpm->is_gone)
                        fuse_reply_err(req, EPIPE);
                else
                        fuse_reply_buf(req, NULL, 0);
                return;
        }

        n = MIN((guint) size, o->answer->len - o->answered);
        fuse_reply_buf(req, (const char *) o->answer->data + o->answered, n);
        o->answered += n;
        if (o->answered == o->answer->len)
                g_clear_pointer(&o->answer, g_byte_array_unref);
}

static void tpmrm_poll(fuse_req_t req, gpointer of, gpointer open, struct fuse_pollhandle *handle) {
        const Tpm *tpm = of;
        Open *o = open;
        unsigned events = o->answer || tpm->is_gone ? POLLIN | POLLRDNORM : POLLOUT | POLLWRNORM;

        if (handle) {
                if (o->poll)
                        fuse_pollhandle_destroy(o->poll);
                o->poll = handle;
        }
        fuse_reply_poll(req, events);
}

static const FileOps tpmrm_ops = {
        .open = tpmrm_open,
        .close = tpmrm_close,
        .read = tpmrm_read,
        .write = tpmrm_write,
        .poll = tpmrm_poll,
};

/* Controls */

static void set_gone(Tpm *tpm, bool is_gone) {
        tpm->is_gone = is_gone;
        for (guint i = 0; i < tpm->files->len; i++)
                files_hide(tpm->files->pdata[i], is_gone);
}

static void go_on(Tpm *tpm) {
        g_autoptr(GList) opens = g_list_copy(tpm->opens);

        for (const GList *l = opens; l; l = l->next) {
                Open *o = l->data;

                if (o->command)
                        go(o);
        }
}

const char *tpm_command(Tpm *tpm, char **words) {
        const char *what = words[0] ? words[0] : "";
        guint64 code = RC_LOCKOUT;

        if (g_str_equal(what, "lockout") || (g_str_equal(what, "refuse") && words[1])) {
                if (words[1] && !g_ascii_string_to_unsigned(words[1], 16, 1, G_MAXUINT32, &code, NULL))
                        return "tpm refuse CODE in hex";
                tpm->refusal = (guint32) code;
        } else if (g_str_equal(what, "gone") || g_str_equal(what, "hang"))
                *(*what == 'g' ? &tpm->is_gone : &tpm->hangs) = true;
        else if (g_str_equal(what, "well")) {
                tpm->is_gone = tpm->hangs = false;
                tpm->refusal = 0;
        } else
                return "tpm gone|hang|lockout|refuse CODE|well";

        set_gone(tpm, tpm->is_gone);
        if (!tpm->hangs)
                go_on(tpm);
        return NULL;
}

/* Start and end */

static unsigned find_banks(Tpm *tpm) {
        GByteArray *bytes = command_new(TAG_NO_SESSIONS, CC_GET_CAPABILITY);
        g_autoptr(GByteArray) answer = NULL;
        unsigned banks = 0;

        put(bytes, 5, 4); /* PCRs */
        put(bytes, 0, 4);
        put(bytes, 16, 4);
        command_finish(bytes);
        answer = ask(tpm, bytes);
        if (answer->len < HEAD + 9 || code_of(answer) != 0)
                return 0;

        for (guint at = HEAD + 9; at + 6 <= answer->len; at += 6)
                for (guint b = 0; b < TPM_BANKS; b++)
                        if (get(answer, at, 2) == tpm_banks[b].algorithm && get(answer, at + 3, 3) != 0)
                                banks |= 1u << b;
        return banks;
}

static void show(Tpm *tpm, Files *files) {
        g_ptr_array_add(tpm->files, files_add(files, "dev/tpmrm0", 0600, 0, &tpmrm_ops, tpm));
        g_ptr_array_add(tpm->files, files_add(files, "tpm0/tpm_version_major", 0444, 4096, &version_ops, tpm));
        for (guint b = 0; b < TPM_BANKS; b++)
                for (guint pcr = 0; tpm_has_bank(tpm, b) && pcr < N_PCRS; pcr++) {
                        g_autofree char *path = g_strdup_printf("tpm0/pcr-%s/%u", tpm_banks[b].name, pcr);
                        Register *r = &tpm->registers[b * N_PCRS + pcr];

                        *r = (Register) { tpm, b, pcr };
                        g_ptr_array_add(tpm->files, files_add(files, path, 0444, 4096, &register_ops, r));
                }
}

Tpm *tpm_new(int fd, Files *files, Witness *witness, GError **error) {
        Tpm *tpm = g_new0(Tpm, 1);

        *tpm = (Tpm) { .fd = fd, .witness = witness, .files = g_ptr_array_new(), .answer = g_byte_array_new() };
        tpm->banks = find_banks(tpm);
        if (tpm->banks == 0 || !g_unix_set_fd_nonblocking(fd, TRUE, NULL)) {
                g_set_error(error, G_IO_ERROR, G_IO_ERROR_FAILED, "descriptor %d leads to no TPM", fd);
                tpm_free(tpm);
                return NULL;
        }
        show(tpm, files);
        tpm->in_watch = g_unix_fd_add(fd, G_IO_IN, on_answer, tpm);
        return tpm;
}

void tpm_free(Tpm *tpm) {
        if (!tpm)
                return;

        lose(tpm);
        g_byte_array_unref(tpm->answer);
        g_ptr_array_unref(tpm->files);
        g_list_free_full(tpm->opens, (GDestroyNotify) open_unref); /* whose file system is gone: no release will come */
        g_free(tpm);
}
