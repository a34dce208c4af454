/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "ima.h"

#include "octets.h"
#include "witness.h"

#include <errno.h>
#include <string.h>

#define PCR 10u
#define PAGE 4096u
#define DATA_MAX (64u * 1024u)
#define OLD_NAME_SIZE 256u /* to which the name is padded for the hash of the first template, "ima" */

/* A million of them have to fit. */
typedef struct Record {
        const char *template; /* interned */
        guint32 pcr;
        guint32 size;      /* of the template data */
        const Ima *ima;    /* borrowed */
        guint8 contents[]; /* the digests of the banks that are listed, then the data as it stands in the list */
} Record;

/* A list of one bank, as binary_ or as ascii_runtime_measurements. */
typedef struct List {
        Ima *ima;
        guint bank;
        bool is_ascii;
} List;

typedef enum {
        GARBLE_NONE,
        GARBLE_DIGEST,
        GARBLE_DATA,
        GARBLE_LENGTH,
        GARBLE_TEMPLATE,
        GARBLE_PCR,
} Garble;

struct Ima {
        Tpm *tpm;                /* borrowed; NULL: none */
        GPtrArray *records;      /* of Record, borrowed: what the lists have */
        GPtrArray *all;          /* of Record: what was ever added */
        GHashTable *known;       /* of Record, borrowed, by pcr and digest: they are not added again */
        GChecksum *hashes[TPM_BANKS];
        gsize digests_size; /* of all banks that are listed */
        guint64 n_counted;       /* runtime_measurements_count */
        guint64 violations;
        List lists[2 * TPM_BANKS];
        int refusal;      /* errno of open(); 0: none */
        guint64 n_opens, n_reads, n_bytes;

        /* What the next reads see of one record. */
        Garble garble;
        guint garbled;
        gsize cut; /* bytes at the end that are not there */
};

/* One open list: the kernel's seq_file. */
typedef struct Open {
        goffset offset; /* where the next read begins, if nobody seeks */
        guint next;     /* the first record that has not been formatted */
        GByteArray *rest; /* formatted and not read yet */
        gsize room;     /* of its buffer, which grows and stays so */
} Open;

/* Records */

static bool is_listed(const Ima *ima, guint bank) {
        return bank == 0 || (ima->tpm && tpm_has_bank(ima->tpm, bank));
}

static gsize digest_offset(const Ima *ima, guint bank) {
        gsize at = 0;

        for (guint b = 0; b < bank; b++)
                at += is_listed(ima, b) ? tpm_banks[b].size : 0;
        return at;
}

static guint8 *digest_of(Record *r, guint bank) {
        return r->contents + digest_offset(r->ima, bank);
}

static guint8 *data_of(Record *r) {
        return r->contents + r->ima->digests_size;
}

static guint record_hash(gconstpointer key) {
        guint32 head;

        memcpy(&head, ((const Record *) key)->contents, sizeof(head)); /* of the first bank's digest */
        return head;
}

static gboolean record_equal(gconstpointer a, gconstpointer b) {
        const Record *one = a, *other = b;

        return one->pcr == other->pcr && memcmp(one->contents, other->contents, tpm_banks[0].size) == 0;
}

static bool is_old(const Record *r) {
        return g_str_equal(r->template, "ima");
}

/* Of the first template the name is hashed padded, and without its length. */
static void hash_record(Record *r, guint bank, GChecksum *hash) {
        gsize digest_size = tpm_banks[bank].size;
        const guint8 *data = data_of(r);

        g_checksum_reset(hash);
        if (is_old(r) && r->size >= 24 && r->size - 24 <= OLD_NAME_SIZE) {
                guint8 padded[20 + OLD_NAME_SIZE] = { 0 };

                memcpy(padded, data, 20);
                memcpy(padded + 20, data + 24, r->size - 24);
                g_checksum_update(hash, padded, sizeof(padded));
        } else
                g_checksum_update(hash, data, (gssize) r->size);
        g_checksum_get_digest(hash, digest_of(r, bank), &digest_size);
}

static void put_field(GByteArray *out, const void *data, gsize size) {
        octets_put_le(out, size, 4);
        g_byte_array_append(out, data, (guint) size);
}

/* d-ng: "sha256:", NUL, digest */
static void put_digest(GByteArray *out, const char *algorithm, const guint8 *digest, gsize size) {
        g_autoptr(GByteArray) field = g_byte_array_new();

        g_byte_array_append(field, (const guint8 *) algorithm, (guint) strlen(algorithm));
        g_byte_array_append(field, (const guint8 *) ":", 2);
        g_byte_array_append(field, digest, (guint) size);
        put_field(out, field->data, field->len);
}

/* Debian's template, ima-sig. */
static GByteArray *sig_data(const char *path, const char *algorithm, const guint8 *digest, gsize size,
                            const GByteArray *signature) {
        GByteArray *data = g_byte_array_new();

        put_digest(data, algorithm, digest, size);
        put_field(data, path, strlen(path) + 1);
        put_field(data, signature ? signature->data : (const guint8 *) "", signature ? signature->len : 0);
        return data;
}

static void extend(Ima *ima, Record *r, bool is_violation, void (*done)(gpointer), gpointer userdata) {
        uint8_t digests[TPM_BANKS][TPM_DIGEST_MAX];

        if (!ima->tpm) {
                if (done)
                        done(userdata);
                return;
        }

        memset(digests, 0xff, sizeof(digests));
        for (guint b = 0; !is_violation && b < TPM_BANKS; b++)
                if (is_listed(ima, b))
                        memcpy(digests[b], digest_of(r, b), tpm_banks[b].size);
        tpm_extend(ima->tpm, r->pcr, digests, done, userdata);
}

/* The list first, then the TPM; as in the kernel, a reader may see the one and not yet the other. @data is taken.
 * Returns: was it added? */
static bool add(Ima *ima, guint pcr, const char *template, GByteArray *data, bool is_violation, void (*done)(gpointer),
                gpointer userdata) {
        Record *r = g_malloc0(sizeof(Record) + ima->digests_size + data->len);

        r->ima = ima;
        r->pcr = pcr;
        r->template = g_intern_string(template);
        r->size = data->len;
        memcpy(data_of(r), data->data, data->len);
        g_byte_array_unref(data);

        for (guint b = 0; !is_violation && b < TPM_BANKS; b++)
                if (is_listed(ima, b))
                        hash_record(r, b, ima->hashes[b]);
        if (!is_violation && g_hash_table_contains(ima->known, r)) {
                g_free(r);
                return false;
        }
        if (!is_violation)
                g_hash_table_add(ima->known, r);
        g_ptr_array_add(ima->all, r);
        g_ptr_array_add(ima->records, r);
        ima->n_counted++;
        extend(ima, r, is_violation, done, userdata);
        return true;
}

/* Lists */

static void format_binary(Record *r, guint bank, GByteArray *out) {
        octets_put_le(out, r->pcr, 4);
        g_byte_array_append(out, digest_of(r, bank), tpm_banks[bank].size);
        put_field(out, r->template, strlen(r->template));
        if (!is_old(r))
                octets_put_le(out, r->size, 4);
        g_byte_array_append(out, data_of(r), r->size);
}

static void put_text(GByteArray *out, const char *text) {
        g_byte_array_append(out, (const guint8 *) text, (guint) strlen(text));
}

static void put_hex(GByteArray *out, const guint8 *data, gsize size) {
        for (gsize i = 0; i < size; i++) {
                char text[3];

                (void) g_snprintf(text, sizeof(text), "%02x", data[i]);
                put_text(out, text);
        }
}

/* A digest field has its algorithm in front, the path is a text that ends with NUL, all others are shown in hex. */
static void put_ascii_field(GByteArray *out, guint number, const guint8 *field, gsize size) {
        const guint8 *end = memchr(field, 0, size);

        if (number == 0 && end && end > field && end[-1] == ':') {
                g_byte_array_append(out, field, (guint) (end - field));
                put_hex(out, end + 1, size - (gsize) (end + 1 - field));
        } else if (number == 1)
                g_byte_array_append(out, field, (guint) (end ? (gsize) (end - field) : size));
        else
                put_hex(out, field, size);
}

static void format_ascii(Record *r, guint bank, GByteArray *out) {
        gsize size = r->size, at = 0;
        const guint8 *data = data_of(r);
        char head[16];

        (void) g_snprintf(head, sizeof(head), "%2u ", r->pcr);
        put_text(out, head);
        put_hex(out, digest_of(r, bank), tpm_banks[bank].size);
        put_text(out, " ");
        put_text(out, r->template);
        for (guint number = 0; at < size; number++) {
                bool has_no_length = is_old(r) && number == 0;
                gsize n = 20;

                if (!has_no_length) {
                        n = at + 4 <= size ? (gsize) data[at] | (gsize) data[at + 1] << 8 | (gsize) data[at + 2] << 16
                                           : 0;
                        at += 4;
                }
                if (at > size || n > size - at)
                        break; /* told so: it is no list of fields */
                put_text(out, " ");
                if (has_no_length)
                        put_hex(out, data, n);
                else
                        put_ascii_field(out, number, data + at, n);
                at += n;
        }
        put_text(out, "\n");
}

static void garble(const Ima *ima, guint bank, GByteArray *record) {
        const gsize name = 4 + tpm_banks[bank].size;

        switch (ima->garble) {
        case GARBLE_NONE:
                break;
        case GARBLE_DIGEST:
                record->data[4] ^= 1;
                break;
        case GARBLE_DATA:
                record->data[record->len - 1] ^= 1;
                break;
        case GARBLE_LENGTH:
                memset(record->data + name, 0xff, 4);
                break;
        case GARBLE_TEMPLATE:
                record->data[name + 4] ^= 0x20;
                break;
        case GARBLE_PCR:
                record->data[3] = 0x80;
                break;
        }
}

static void format(const List *list, guint number, GByteArray *out) {
        const Ima *ima = list->ima;
        Record *r = ima->records->pdata[number];

        if (list->is_ascii) {
                format_ascii(r, list->bank, out);
                return;
        }
        format_binary(r, list->bank, out);
        if (number == ima->garbled)
                garble(ima, list->bank, out);
        if (number + 1 == ima->records->len)
                g_byte_array_set_size(out, out->len - (guint) MIN(ima->cut, out->len));
}

static int list_open(gpointer of, int flags, gpointer *ret) {
        Ima *ima = ((List *) of)->ima;
        Open *o;

        (void) flags;
        if (ima->refusal)
                return ima->refusal;
        ima->n_opens++;
        o = g_new0(Open, 1);
        *o = (Open) { .rest = g_byte_array_new(), .room = PAGE };
        *ret = o;
        return 0;
}

static void list_close(gpointer of, gpointer open) {
        Open *o = open;

        (void) of;
        g_byte_array_unref(o->rest);
        g_free(o);
}

/* From the start of the list, as the kernel does it. */
static void seek(const List *list, Open *o, goffset offset) {
        g_autoptr(GByteArray) record = g_byte_array_new();
        goffset at = 0;

        g_byte_array_set_size(o->rest, 0);
        for (o->next = 0; at < offset && o->next < list->ima->records->len; o->next++) {
                g_byte_array_set_size(record, 0);
                format(list, o->next, record);
                at += record->len;
        }
        if (at > offset) {
                guint rest = (guint) (at - offset);

                g_byte_array_append(o->rest, record->data + (record->len - rest), rest);
        }
        o->offset = offset;
}

/* Whole records as long as there is room, which one record alone makes larger. */
static void fill(const List *list, Open *o, gsize wanted) {
        g_autoptr(GByteArray) record = g_byte_array_new();
        gsize before = o->rest->len;

        while (o->next < list->ima->records->len && o->rest->len - before < wanted) {
                g_byte_array_set_size(record, 0);
                format(list, o->next, record);
                while (o->rest->len == before && record->len >= o->room)
                        o->room *= 2;
                if (o->rest->len - before + record->len >= o->room)
                        break;
                g_byte_array_append(o->rest, record->data, record->len);
                o->next++;
        }
}

static void list_read(fuse_req_t req, gpointer of, gpointer open, gsize size, goffset offset) {
        const List *list = of;
        Ima *ima = list->ima;
        Open *o = open;
        guint n;

        if (offset != o->offset)
                seek(list, o, offset);
        if (o->rest->len < size)
                fill(list, o, size - o->rest->len);

        n = MIN((guint) size, o->rest->len);
        ima->n_reads++;
        ima->n_bytes += n;
        fuse_reply_buf(req, (const char *) o->rest->data, n);
        g_byte_array_remove_range(o->rest, 0, n);
        o->offset += n;
}

static const FileOps list_ops = { .open = list_open, .close = list_close, .read = list_read };

static int number_open(gpointer of, int flags, gpointer *ret) {
        const Ima *ima = of;

        (void) flags, (void) ret;
        return ima->refusal;
}

static void number_read(fuse_req_t req, guint64 number, gsize size, goffset offset) {
        g_autofree char *text = g_strdup_printf("%" G_GUINT64_FORMAT "\n", number);

        files_reply(req, text, strlen(text), size, offset);
}

static void count_read(fuse_req_t req, gpointer of, gpointer open, gsize size, goffset offset) {
        (void) open;
        number_read(req, ((const Ima *) of)->n_counted, size, offset);
}

static void violations_read(fuse_req_t req, gpointer of, gpointer open, gsize size, goffset offset) {
        (void) open;
        number_read(req, ((const Ima *) of)->violations, size, offset);
}

static const FileOps count_ops = { .open = number_open, .read = count_read };
static const FileOps violations_ops = { .open = number_open, .read = violations_read };

/* Controls. Each: NULL, or why not. */

typedef struct Call {
        Ima *ima;
        char **words;
        guint n;
        char **ret;
        void (*done)(gpointer);
        gpointer userdata;
        bool is_answered; /* done() is called by whom it was given to */
} Call;

static bool number_of(const char *word, guint64 max, guint64 *ret) {
        return g_ascii_string_to_unsigned(word, 10, 0, max, ret, NULL);
}

static GByteArray *hex_of(const char *word) {
        GByteArray *bytes = g_byte_array_new();

        g_byte_array_set_size(bytes, (guint) strlen(word) / 2);
        if (!octets_parse_hex(word, bytes->data, bytes->len))
                g_clear_pointer(&bytes, g_byte_array_unref);
        return bytes;
}

static char *add_by(Call *call, guint pcr, const char *template, GByteArray *data, bool is_violation) {
        call->is_answered = true;
        if (add(call->ima, pcr, template, data, is_violation, call->done, call->userdata))
                return NULL;
        call->is_answered = false;
        return g_strdup("EEXIST"); /* as the kernel's function says; nobody hears of it */
}

static char *on_measure(Call *call) {
        const char *colon = strchr(call->words[1], ':');
        g_autoptr(GByteArray) digest = colon ? hex_of(colon + 1) : NULL;
        g_autoptr(GByteArray) signature = call->n > 2 ? hex_of(call->words[2]) : NULL;
        g_autofree char *algorithm = colon ? g_strndup(call->words[1], (gsize) (colon - call->words[1])) : NULL;

        if (!digest || (call->n > 2 && !signature))
                return g_strdup("ALGORITHM:HEX, and a signature in hex");
        return add_by(call, PCR, "ima-sig",
                      sig_data(call->words[0], algorithm, digest->data, digest->len, signature), false);
}

static char *on_add(Call *call) {
        g_autoptr(GByteArray) data = hex_of(call->words[2]);
        guint64 pcr;

        if (!data || data->len > DATA_MAX || !number_of(call->words[0], G_MAXUINT32, &pcr))
                return g_strdup("a PCR, a template, its data in hex");
        return add_by(call, (guint) pcr, call->words[1], g_steal_pointer(&data), false);
}

static char *on_violation(Call *call) {
        static const guint8 none[32];

        call->ima->violations++;
        return add_by(call, PCR, "ima-sig", sig_data(call->words[0], "sha256", none, sizeof(none), NULL), true);
}

static char *on_bulk(Call *call) {
        const char *prefix = call->n > 1 ? call->words[1] : "/usr/bin/program-";
        guint64 n, first = call->ima->all->len;

        if (!number_of(call->words[0], 10u * 1000 * 1000, &n) || n == 0)
                return g_strdup("how many");
        for (guint64 i = 0; i < n; i++) {
                bool is_last = i + 1 == n;
                g_autofree char *path = g_strdup_printf("%s%" G_GUINT64_FORMAT, prefix, first + i);
                g_autoptr(GChecksum) hash = g_checksum_new(G_CHECKSUM_SHA256);
                guint8 digest[32];
                gsize size = sizeof(digest);

                g_checksum_update(hash, (const guchar *) path, -1);
                g_checksum_get_digest(hash, digest, &size);
                call->is_answered = add(call->ima, PCR, "ima-sig", sig_data(path, "sha256", digest, size, NULL), false,
                                        is_last ? call->done : NULL, call->userdata);
        }
        return NULL;
}

static char *on_trim(Call *call) {
        GPtrArray *records = call->ima->records;
        bool keeps_count = call->n > 1 && g_str_equal(call->words[1], "keep-count");
        guint64 n;

        if (!number_of(call->words[0], records->len, &n) || (call->n > 1 && !keeps_count))
                return g_strdup("how many; keep-count");
        if (n > 0)
                g_ptr_array_remove_range(records, 0, (guint) n);
        if (!keeps_count)
                call->ima->n_counted -= n;
        return NULL;
}

static char *on_shrink(Call *call) {
        GPtrArray *records = call->ima->records;
        guint64 n;

        if (!number_of(call->words[0], records->len, &n))
                return g_strdup("how many");
        g_ptr_array_set_size(records, (gint) (records->len - n));
        call->ima->n_counted -= n;
        return NULL;
}

static char *on_cut(Call *call) {
        return number_of(call->words[0], G_MAXUINT, &call->ima->cut) ? NULL : g_strdup("how many bytes");
}

static char *on_garble(Call *call) {
        static const char *const names[] = { "none", "digest", "data", "length", "template", "pcr" };
        Ima *ima = call->ima;
        guint64 number = ima->records->len - 1;

        if (call->n > 1 && !number_of(call->words[1], ima->records->len - 1, &number))
                return g_strdup("no such record");
        for (guint i = 0; i < G_N_ELEMENTS(names); i++)
                if (g_str_equal(call->words[0], names[i])) {
                        ima->garble = (Garble) i;
                        ima->garbled = (guint) number;
                        return NULL;
                }
        return g_strdup("digest, data, length, template, pcr, none");
}

static char *on_deny(Call *call) {
        int error = errno_by_name(call->words[0]);

        if (!error)
                return g_strdup("the name of an errno");
        call->ima->refusal = error;
        return NULL;
}

static char *on_allow(Call *call) {
        call->ima->refusal = 0;
        return NULL;
}

static char *on_count(Call *call) {
        guint64 n;

        if (!number_of(call->words[0], G_MAXUINT64, &n))
                return g_strdup("a number");
        call->ima->n_counted = n;
        return NULL;
}

static char *on_stats(Call *call) {
        const Ima *ima = call->ima;

        *call->ret = g_strdup_printf("records=%u count=%" G_GUINT64_FORMAT " violations=%" G_GUINT64_FORMAT
                                     " opens=%" G_GUINT64_FORMAT " reads=%" G_GUINT64_FORMAT
                                     " bytes=%" G_GUINT64_FORMAT,
                                     ima->records->len, ima->n_counted, ima->violations, ima->n_opens, ima->n_reads,
                                     ima->n_bytes);
        return NULL;
}

static const struct {
        const char *name;
        guint n_min, n_max;
        char *(*run)(Call *call);
        const char *help;
} commands[] = {
        { "measure", 2, 3, on_measure, "measure PATH ALG:HEX [HEX]   an entry of ima-sig; the second is a signature" },
        { "add", 3, 3, on_add, "add PCR TEMPLATE HEX   any entry: its template data as it stands in the list" },
        { "violation", 1, 1, on_violation, "violation PATH" },
        { "bulk", 1, 2, on_bulk, "bulk N [PREFIX]        that many entries, each of another path" },
        { "trim", 1, 2, on_trim, "trim N [keep-count]    the first N entries are gone from the lists (Linux 7.2)" },
        { "shrink", 1, 1, on_shrink, "shrink N               the last N are" },
        { "cut", 1, 1, on_cut, "cut N                  the last entry lacks its last N bytes" },
        { "garble", 1, 2, on_garble,
          "garble WHAT [NUMBER]   of an entry (the last): digest, data, length, template, pcr; none" },
        { "deny", 1, 1, on_deny, "deny ERRNO             of each open()" },
        { "allow", 0, 0, on_allow, "allow                  again" },
        { "count", 1, 1, on_count, "count N                what runtime_measurements_count says, and goes on from" },
        { "stats", 0, 0, on_stats, "stats                  records, and what was read" },
};

const char *ima_help(void) {
        static GString *text;

        if (!text) {
                text = g_string_new(NULL);
                for (guint i = 0; i < G_N_ELEMENTS(commands); i++)
                        g_string_append_printf(text, "  ima %s\n", commands[i].help);
        }
        return text->str;
}

char *ima_command(Ima *ima, char **words, char **ret, void (*done)(gpointer), gpointer userdata) {
        for (guint i = 0; words[0] && i < G_N_ELEMENTS(commands); i++) {
                Call call = { ima, words + 1, g_strv_length(words + 1), ret, done, userdata, false };
                char *why;

                if (!g_str_equal(words[0], commands[i].name))
                        continue;
                if (call.n < commands[i].n_min || call.n > commands[i].n_max)
                        return g_strconcat("ima ", commands[i].help, NULL);
                why = commands[i].run(&call);
                if (!why && !call.is_answered)
                        done(userdata);
                return why;
        }
        return g_strdup("no such command of ima; 'help' lists them");
}

/* Start and end */

static void show_list(Ima *ima, Files *files, guint bank, bool is_ascii) {
        const char *kind = is_ascii ? "ascii" : "binary";
        g_autofree char *path = g_strdup_printf("ima/%s_runtime_measurements_%s", kind, tpm_banks[bank].name);
        List *list = &ima->lists[2 * bank + (is_ascii ? 1 : 0)];

        *list = (List) { ima, bank, is_ascii };
        files_add(files, path, 0440, 0, &list_ops, list);
        if (bank == 0) {
                g_autofree char *link = g_strdup_printf("ima/%s_runtime_measurements", kind);
                g_autofree char *target = g_path_get_basename(path);

                files_add_link(files, link, target);
        }
}

Ima *ima_new(Files *files, Tpm *tpm) {
        Ima *ima = g_new0(Ima, 1);
        guint8 aggregate[32] = { 0 };

        *ima = (Ima) {
                .tpm = tpm,
                .records = g_ptr_array_new(),
                .all = g_ptr_array_new_with_free_func(g_free),
                .known = g_hash_table_new(record_hash, record_equal),
        };
        ima->digests_size = digest_offset(ima, TPM_BANKS);
        for (guint bank = 0; bank < TPM_BANKS; bank++)
                ima->hashes[bank] = g_checksum_new(tpm_banks[bank].checksum);
        for (guint bank = 0; bank < TPM_BANKS; bank++)
                for (guint ascii = 0; is_listed(ima, bank) && ascii < 2; ascii++)
                        show_list(ima, files, bank, ascii == 1);
        files_add(files, "ima/runtime_measurements_count", 0440, 0, &count_ops, ima);
        files_add(files, "ima/violations", 0440, 0, &violations_ops, ima);

        if (tpm)
                tpm_boot_aggregate(tpm, aggregate);
        (void) add(ima, PCR, "ima-sig", sig_data("boot_aggregate", "sha256", aggregate, sizeof(aggregate), NULL), false,
                   NULL, NULL);
        return ima;
}

void ima_free(Ima *ima) {
        if (!ima)
                return;

        g_ptr_array_unref(ima->records);
        g_hash_table_unref(ima->known);
        g_ptr_array_unref(ima->all);
        for (guint bank = 0; bank < TPM_BANKS; bank++)
                g_checksum_free(ima->hashes[bank]);
        g_free(ima);
}
