/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The log as files of a tmpfs, in a mount namespace of our own. A file that is
 * appended to shows new bytes to a descriptor at its end, as the kernel's does. */
#include "tee/ima-source.h"

#include "codec/ima-record.h"
#include "run.h"
#include "util/error.h"

#include <errno.h>
#include <glib/gstdio.h>
#include <sched.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#define DIR_IMA "/sys/kernel/security/ima"
#define LIST DIR_IMA "/binary_runtime_measurements"

/* What read() does, and how long it takes by the clock, which only it moves. */
static struct {
        size_t most;   /* bytes that one gives; 0: no limit */
        gint64 takes_us, clock_us;
        guint n;       /* how many there were … */
        guint failing; /* … and which of them fails; 0: none */
} reads;

ssize_t __real_read(int fd, void *to, size_t size);
ssize_t __wrap_read(int fd, void *to, size_t size);
ssize_t __wrap_read(int fd, void *to, size_t size) {
        reads.clock_us += reads.takes_us;
        if (++reads.n == reads.failing) {
                errno = EIO;
                return -1;
        }
        return __real_read(fd, to, reads.most > 0 ? MIN(size, reads.most) : size);
}

gint64 __wrap_g_get_monotonic_time(void);
gint64 __wrap_g_get_monotonic_time(void) {
        return reads.clock_us;
}

/* The kernel's side. */
static struct {
        unsigned banks; /* whose lists there are */
        guint64 count, violations;
} kernel;

static void put_number(const char *name, guint64 n) {
        g_autofree char *path = g_build_filename(DIR_IMA, name, NULL);
        g_autofree char *text = g_strdup_printf("%" G_GUINT64_FORMAT "\n", n);

        ck_assert(g_file_set_contents(path, text, -1, NULL));
}

static char *list_of(unsigned bank) {
        return g_strdup_printf(LIST "_%s", att_bank_name((AttBank) bank));
}

static void append(unsigned bank, const void *data, size_t size) {
        g_autofree char *path = list_of(bank);
        FILE *f = fopen(path, "ae");

        ck_assert_ptr_nonnull(f);
        ck_assert_uint_eq(fwrite(data, 1, size, f), size);
        ck_assert_int_eq(fclose(f), 0);
}

static void put_counts(void) {
        put_number("runtime_measurements_count", kernel.count);
        put_number("violations", kernel.violations);
}

/* An entry in each list; a violation if @fill is 0. */
static void measure(const char *path, uint8_t fill) {
        static const GChecksumType types[ATT_BANKS] = {
                G_CHECKSUM_SHA1, G_CHECKSUM_SHA256, G_CHECKSUM_SHA384, G_CHECKSUM_SHA512,
        };
        g_autoptr(GByteArray) data = g_byte_array_new();

        ima_put_digest(data, "sha256:", fill, 32);
        ima_put_path(data, path);
        for (unsigned b = 0; b < ATT_BANKS; b++) {
                g_autoptr(GChecksum) sum = g_checksum_new(types[b]);
                g_autoptr(GByteArray) record = g_byte_array_new();
                uint8_t digest[ATT_BANK_SIZE_MAX];
                gsize size = sizeof digest;

                if (!(kernel.banks & ATT_BANK_SET(b)))
                        continue;
                g_checksum_update(sum, data->data, data->len);
                g_checksum_get_digest(sum, digest, &size);
                ima_put_record(record, 10, fill ? digest : NULL, (AttBank) b, "ima-ng", data);
                append(b, record->data, record->len);
        }
        kernel.count++;
        kernel.violations += fill == 0;
        put_counts();
}

static void remove_all(void) {
        static const char *const names[] = {
                "runtime_measurements_count", "violations", "binary_runtime_measurements",
        };

        for (size_t i = 0; i < G_N_ELEMENTS(names); i++) {
                g_autofree char *path = g_build_filename(DIR_IMA, names[i], NULL);

                (void) g_remove(path);
        }
        for (unsigned b = 0; b < ATT_BANKS; b++) {
                g_autofree char *path = list_of(b), *staged = g_strconcat(path, "_staged", NULL);

                (void) g_remove(path);
                (void) g_remove(staged);
        }
        (void) rmdir(DIR_IMA);
}

static void boot(unsigned banks) {
        remove_all();
        memset(&kernel, 0, sizeof kernel);
        memset(&reads, 0, sizeof reads);
        kernel.banks = banks;
        ck_assert_int_eq(g_mkdir(DIR_IMA, 0755), 0);
        measure("boot_aggregate", 0x11);
}

/* Cuts the first @n bytes off the list. */
static void cut_head(unsigned bank, size_t n) {
        g_autofree char *path = list_of(bank), *data = NULL;
        gsize size;

        ck_assert(g_file_get_contents(path, &data, &size, NULL));
        ck_assert_uint_le(n, size);
        ck_assert_int_eq(truncate(path, 0), 0);
        append(bank, data + n, size - n);
}

static size_t size_of_entry(const char *path) {
        return 4 + 32 + 4 + strlen("ima-ng") + 4 + 4 + 40 + 4 + strlen(path) + 1;
}

static void expect_state(AttImaSource *s, AttImaState state, const char *says) {
        ck_assert_msg(att_ima_source_state(s) == state, "%s: %s", att_ima_state_name(att_ima_source_state(s)),
                      att_ima_source_detail(s));
        ck_assert_msg(strstr(att_ima_source_detail(s), says) != NULL, "\"%s\" does not say \"%s\"",
                      att_ima_source_detail(s), says);
        ck_assert((state == ATT_IMA_OK) == (*att_ima_source_detail(s) == '\0'));
}

static guint64 count_of(const AttImaSource *s) {
        return att_ima_replay_count(att_ima_source_replay(s));
}

static void note_entry(const AttImaRecord *record, guint64 index, gpointer userdata) {
        GString *out = userdata;

        g_string_append_printf(out, "%" G_GUINT64_FORMAT " %.*s%s; ", index, (int) record->path.left,
                               (const char *) record->path.at, record->is_violation ? " violated" : "");
}

static void expect_entries(AttImaSource *s, const char *expected) {
        g_autoptr(GString) out = g_string_new(NULL);

        ck_assert(att_ima_source_look(s, note_entry, out));
        ck_assert_str_eq(out->str, expected);
}

START_TEST(tells_each_entry_once_as_the_list_grows) {
        g_autoptr(AttImaSource) s = NULL;

        boot(ATT_BANK_SET(ATT_BANK_SHA1));
        s = att_ima_source_new(ATT_BANK_SET(ATT_BANK_SHA256));
        ck_assert_int_ne(att_ima_source_state(s), ATT_IMA_OK);
        expect_entries(s, "0 boot_aggregate; ");
        expect_state(s, ATT_IMA_OK, "");
        ck_assert(!att_ima_source_look(s, NULL, NULL));

        measure("/bin/a", 0x22);
        measure("/tmp/v", 0);
        expect_entries(s, "1 /bin/a; 2 /tmp/v violated; ");
        ck_assert_uint_eq(att_ima_source_violations(s), 1);
        ck_assert_uint_eq(att_ima_replay_violations(att_ima_source_replay(s)), 1);
        ck_assert(!att_ima_source_look(s, NULL, NULL));
}
END_TEST

START_TEST(prefers_a_list_of_a_wanted_bank) {
        static const struct {
                unsigned there, wanted;
                AttBank read;
        } cases[] = {
                { ATT_BANK_SET(ATT_BANK_SHA1), ATT_BANK_SET(ATT_BANK_SHA256), ATT_BANK_SHA1 },
                { ATT_BANK_SET_ALL, ATT_BANK_SET(ATT_BANK_SHA256), ATT_BANK_SHA256 },
                { ATT_BANK_SET_ALL, ATT_BANK_SET(ATT_BANK_SHA384), ATT_BANK_SHA384 },
                { ATT_BANK_SET_ALL, ATT_BANK_SET(ATT_BANK_SHA1), ATT_BANK_SHA1 },
                { ATT_BANK_SET(ATT_BANK_SHA1) | ATT_BANK_SET(ATT_BANK_SHA384), ATT_BANK_SET(ATT_BANK_SHA256),
                  ATT_BANK_SHA384 },
        };

        for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
                g_autoptr(AttImaSource) s = att_ima_source_new(cases[i].wanted);

                boot(cases[i].there);
                ck_assert(att_ima_source_look(s, NULL, NULL));
                expect_state(s, ATT_IMA_OK, "");
                ck_assert_int_eq(att_ima_source_listed(s), cases[i].read);
        }
}
END_TEST

START_TEST(reads_the_one_list_of_an_old_kernel) {
        g_autoptr(AttImaSource) s = att_ima_source_new(ATT_BANK_SET(ATT_BANK_SHA256));

        boot(ATT_BANK_SET(ATT_BANK_SHA1));
        ck_assert_int_eq(rename(LIST "_sha1", LIST), 0);
        expect_entries(s, "0 boot_aggregate; ");
        ck_assert_int_eq(att_ima_source_listed(s), ATT_BANK_SHA1);
}
END_TEST

START_TEST(says_that_there_is_no_log_and_finds_it_later) {
        g_autoptr(AttImaSource) s = att_ima_source_new(ATT_BANK_SET(ATT_BANK_SHA256));

        remove_all();
        ck_assert(!att_ima_source_look(s, NULL, NULL));
        expect_state(s, ATT_IMA_ABSENT, "no IMA log");
        boot(ATT_BANK_SET_ALL);
        expect_entries(s, "0 boot_aggregate; ");
        expect_state(s, ATT_IMA_OK, "");
}
END_TEST

/* Evidence says nothing of a log that is absent: one that was read must not come to that. */
START_TEST(sc16f_a_log_that_was_read_is_never_absent) {
        g_autoptr(AttImaSource) s = att_ima_source_new(ATT_BANK_SET(ATT_BANK_SHA256));

        boot(ATT_BANK_SET_ALL);
        expect_entries(s, "0 boot_aggregate; ");
        ck_assert_int_eq(rename(DIR_IMA, DIR_IMA "-elsewhere"), 0);
        ck_assert(att_ima_source_look(s, NULL, NULL));
        expect_state(s, ATT_IMA_UNREADABLE, "runtime_measurements_count cannot be read: No such file");
        ck_assert_int_eq(rename(DIR_IMA "-elsewhere", DIR_IMA), 0);
        measure("/bin/a", 0x22);
        expect_entries(s, "1 /bin/a; ");
        expect_state(s, ATT_IMA_OK, "");
}
END_TEST

START_TEST(says_that_it_cannot_be_read_and_goes_on_when_it_can) {
        g_autoptr(AttImaSource) s = att_ima_source_new(ATT_BANK_SET(ATT_BANK_SHA256));

        boot(ATT_BANK_SET(ATT_BANK_SHA1));
        ck_assert_int_eq(rename(LIST "_sha1", DIR_IMA "/elsewhere"), 0);
        ck_assert_int_eq(g_mkdir(LIST "_sha1", 0755), 0); /* opened, and not read */
        ck_assert(att_ima_source_look(s, NULL, NULL));
        expect_state(s, ATT_IMA_UNREADABLE, "Is a directory");
        ck_assert_int_eq(rmdir(LIST "_sha1"), 0);
        ck_assert_int_eq(rename(DIR_IMA "/elsewhere", LIST "_sha1"), 0);
        expect_entries(s, "0 boot_aggregate; ");
        expect_state(s, ATT_IMA_OK, "");

        ck_assert(g_file_set_contents(DIR_IMA "/violations", "many\n", -1, NULL));
        ck_assert(att_ima_source_look(s, NULL, NULL));
        expect_state(s, ATT_IMA_UNREADABLE, "no number");
        measure("/bin/a", 0x22);
        expect_entries(s, "1 /bin/a; ");
        expect_state(s, ATT_IMA_OK, "");
}
END_TEST

/* As where the kernel has no memory for it: the list itself has lost nothing. */
START_TEST(a_list_that_cannot_be_compared_has_not_lost_its_history) {
        g_autoptr(AttImaSource) s = att_ima_source_new(ATT_BANK_SET(ATT_BANK_SHA1));

        boot(ATT_BANK_SET(ATT_BANK_SHA1));
        expect_entries(s, "0 boot_aggregate; ");
        ck_assert(g_file_set_contents(DIR_IMA "/violations", "many\n", -1, NULL)); /* so that it is opened anew */
        ck_assert(att_ima_source_look(s, NULL, NULL));
        ck_assert_int_eq(rename(LIST "_sha1", DIR_IMA "/elsewhere"), 0);
        ck_assert_int_eq(g_mkdir(LIST "_sha1", 0755), 0);
        put_counts();
        (void) att_ima_source_look(s, NULL, NULL);
        expect_state(s, ATT_IMA_UNREADABLE, "Is a directory");
        ck_assert_int_eq(rmdir(LIST "_sha1"), 0);
        ck_assert_int_eq(rename(DIR_IMA "/elsewhere", LIST "_sha1"), 0);
        measure("/bin/a", 0x22);
        expect_entries(s, "1 /bin/a; ");
        expect_state(s, ATT_IMA_OK, "");
}
END_TEST

START_TEST(a_garbled_record_is_said_and_not_counted) {
        g_autoptr(AttImaSource) s = att_ima_source_new(ATT_BANK_SET(ATT_BANK_SHA256));
        uint8_t aggregate[32];

        boot(ATT_BANK_SET(ATT_BANK_SHA256));
        measure("/bin/a", 0x22);
        ck_assert(att_ima_source_look(s, NULL, NULL));
        memcpy(aggregate, att_ima_replay_aggregate(att_ima_source_replay(s), ATT_BANK_SHA256), sizeof aggregate);

        append(ATT_BANK_SHA256, "\xff\xff\xff\xff garbage of some length", 28);
        kernel.count++;
        put_counts();
        ck_assert(att_ima_source_look(s, NULL, NULL));
        expect_state(s, ATT_IMA_GARBLED, "entry 2, at byte");
        ck_assert_uint_eq(count_of(s), 2);
        ck_assert_mem_eq(att_ima_replay_aggregate(att_ima_source_replay(s), ATT_BANK_SHA256), aggregate, 32);
        ck_assert(!att_ima_source_look(s, NULL, NULL));
}
END_TEST

START_TEST(a_wrong_template_hash_is_garbled) {
        g_autoptr(AttImaSource) s = att_ima_source_new(ATT_BANK_SET(ATT_BANK_SHA256));
        g_autoptr(GByteArray) data = g_byte_array_new(), record = g_byte_array_new();
        static const uint8_t wrong[32] = { 1 };

        boot(ATT_BANK_SET(ATT_BANK_SHA256));
        ima_put_digest(data, "sha256:", 0x22, 32);
        ima_put_path(data, "/bin/a");
        ima_put_record(record, 10, wrong, ATT_BANK_SHA256, "ima-ng", data);
        append(ATT_BANK_SHA256, record->data, record->len);
        kernel.count++;
        put_counts();
        ck_assert(att_ima_source_look(s, NULL, NULL));
        expect_state(s, ATT_IMA_GARBLED, "is not the sha256 of the template data");
        ck_assert_uint_eq(count_of(s), 1);
}
END_TEST

START_TEST(a_record_that_ends_early_is_garbled_until_it_is_whole) {
        g_autoptr(AttImaSource) s = att_ima_source_new(ATT_BANK_SET(ATT_BANK_SHA256));
        g_autofree char *path = list_of(ATT_BANK_SHA256), *data = NULL;
        gsize size;

        boot(ATT_BANK_SET(ATT_BANK_SHA256));
        measure("/bin/a", 0x22);
        ck_assert(g_file_get_contents(path, &data, &size, NULL));
        ck_assert_int_eq(truncate(path, (off_t) size - 3), 0);
        ck_assert(att_ima_source_look(s, NULL, NULL));
        expect_state(s, ATT_IMA_GARBLED, "ends within entry 1");

        append(ATT_BANK_SHA256, data + size - 3, 3);
        measure("/bin/b", 0x33);
        expect_entries(s, "1 /bin/a; 2 /bin/b; ");
        expect_state(s, ATT_IMA_OK, "");
}
END_TEST

/* Whatever the counters say of it. */
START_TEST(sc16f_a_lost_head_is_said) {
        static const size_t entries = 3;

        for (int keeps_count = 0; keeps_count < 2; keeps_count++) {
                g_autoptr(AttImaSource) s = att_ima_source_new(ATT_BANK_SET(ATT_BANK_SHA256));

                boot(ATT_BANK_SET(ATT_BANK_SHA256));
                for (size_t i = 1; i < entries; i++)
                        measure("/bin/a", (uint8_t) i);
                ck_assert(att_ima_source_look(s, NULL, NULL));
                expect_state(s, ATT_IMA_OK, "");

                cut_head(ATT_BANK_SHA256, size_of_entry("boot_aggregate"));
                kernel.count -= !keeps_count;
                put_counts();
                if (keeps_count)
                        measure("/bin/b", 0x44);
                ck_assert(att_ima_source_look(s, NULL, NULL));
                expect_state(s, ATT_IMA_HISTORY_LOST, keeps_count ? "head" : "counted 3 before");
                ck_assert_uint_eq(count_of(s), entries);

                /* For good: also with all of it there again, and more. */
                ck_assert_int_eq(truncate(LIST "_sha256", 0), 0);
                kernel.count = kernel.violations = 0;
                measure("boot_aggregate", 0x11);
                for (size_t i = 1; i < entries + 2; i++)
                        measure("/bin/a", (uint8_t) i);
                ck_assert(!att_ima_source_look(s, NULL, NULL));
                expect_state(s, ATT_IMA_HISTORY_LOST, "");
        }
}
END_TEST

START_TEST(sc16f_a_head_lost_before_the_start_is_said) {
        g_autoptr(AttImaSource) cut = att_ima_source_new(ATT_BANK_SET(ATT_BANK_SHA256));
        g_autoptr(AttImaSource) few = att_ima_source_new(ATT_BANK_SET(ATT_BANK_SHA256));

        boot(ATT_BANK_SET(ATT_BANK_SHA256));
        measure("/bin/a", 0x22);
        cut_head(ATT_BANK_SHA256, size_of_entry("boot_aggregate"));
        kernel.count = 1;
        put_counts();
        ck_assert(att_ima_source_look(cut, NULL, NULL));
        expect_state(cut, ATT_IMA_HISTORY_LOST, "does not begin with boot_aggregate");
        ck_assert_uint_eq(count_of(cut), 0);

        boot(ATT_BANK_SET(ATT_BANK_SHA256));
        kernel.count = 5;
        put_counts();
        ck_assert(att_ima_source_look(few, NULL, NULL));
        expect_state(few, ATT_IMA_HISTORY_LOST, "counts 5 entries");
}
END_TEST

START_TEST(rewritten_history_is_said) {
        g_autoptr(AttImaSource) s = att_ima_source_new(ATT_BANK_SET(ATT_BANK_SHA256));

        boot(ATT_BANK_SET(ATT_BANK_SHA256));
        ck_assert(g_file_set_contents(LIST "_sha256_staged", "", 0, NULL));
        measure("/bin/evil", 0x22);
        ck_assert(att_ima_source_look(s, NULL, NULL));
        /* Another boot's log in its place, longer than ours. */
        ck_assert_int_eq(truncate(LIST "_sha256", 0), 0);
        kernel.count = kernel.violations = 0;
        measure("boot_aggregate", 0x11);
        measure("/bin/good", 0x22);
        measure("/bin/more", 0x33);
        ck_assert(att_ima_source_look(s, NULL, NULL));
        expect_state(s, ATT_IMA_HISTORY_LOST, "does not hold entry 1 where it was");
        ck_assert_uint_eq(count_of(s), 2);
}
END_TEST

static size_t open_lists(void) {
        g_autoptr(GDir) dir = g_dir_open("/proc/self/fd", 0, NULL);
        const char *name;
        size_t n = 0;

        while ((name = g_dir_read_name(dir))) {
                g_autofree char *path = g_build_filename("/proc/self/fd", name, NULL);
                g_autofree char *to = g_file_read_link(path, NULL);

                n += to && strstr(to, "binary_runtime_measurements") != NULL;
        }
        return n;
}

START_TEST(a_list_that_can_be_trimmed_is_not_held) {
        g_autoptr(AttImaSource) s = att_ima_source_new(ATT_BANK_SET(ATT_BANK_SHA256));

        boot(ATT_BANK_SET(ATT_BANK_SHA256));
        ck_assert(att_ima_source_look(s, NULL, NULL));
        ck_assert_uint_eq(open_lists(), 1);
        att_ima_source_free(s);

        s = att_ima_source_new(ATT_BANK_SET(ATT_BANK_SHA256));
        ck_assert(g_file_set_contents(LIST "_sha256_staged", "", 0, NULL));
        ck_assert(att_ima_source_look(s, NULL, NULL));
        ck_assert_uint_eq(open_lists(), 0);
        measure("/bin/a", 0x22);
        expect_entries(s, "1 /bin/a; ");
        ck_assert_uint_eq(open_lists(), 0);

        /* Trimmed, and the count kept: found although nothing is new. */
        cut_head(ATT_BANK_SHA256, size_of_entry("boot_aggregate"));
        ck_assert(att_ima_source_look(s, NULL, NULL));
        expect_state(s, ATT_IMA_HISTORY_LOST, "lost its head");
}
END_TEST

static guint64 entries_in(GBytes *bytes, AttBank bank, const char *first_path) {
        AttCursor c = att_cursor_bytes(bytes);
        AttImaRecord r;
        guint64 n = 0;

        while (c.left > 0) {
                ck_assert_int_eq(att_ima_record_parse(&c, bank, &r, NULL), ATT_IMA_RECORD);
                if (n++ == 0) {
                        ck_assert_uint_eq(r.path.left, strlen(first_path));
                        ck_assert_mem_eq(r.path.at, first_path, r.path.left);
                }
        }
        return n;
}

/* Piece by piece to its end; NULL: that is what it came to. */
static GBytes *read_all(AttImaReader *reader, guint64 *ret_count, GError **error) {
        g_autoptr(GByteArray) all = g_byte_array_new();

        *ret_count = 0;
        while (!att_ima_reader_is_at_end(reader)) {
                guint64 n = 77;
                g_autoptr(GBytes) piece = att_ima_reader_next(reader, &n, error);

                if (!piece) {
                        ck_assert_uint_eq(n, 77);
                        return NULL;
                }
                *ret_count += n;
                g_byte_array_append(all, g_bytes_get_data(piece, NULL), (guint) g_bytes_get_size(piece));
        }
        return g_byte_array_free_to_bytes(g_steal_pointer(&all));
}

static GBytes *read_range(AttImaSource *s, guint64 first, guint64 last, guint64 *ret_count, GError **error) {
        g_autoptr(AttImaReader) reader = att_ima_reader_new(s, first, last, error);

        return reader ? read_all(reader, ret_count, error) : NULL;
}

static void expect_list(GBytes *bytes) {
        g_autofree char *list = NULL;
        gsize size;

        ck_assert_ptr_nonnull(bytes);
        ck_assert(g_file_get_contents(LIST "_sha256", &list, &size, NULL));
        ck_assert_uint_eq(g_bytes_get_size(bytes), size);
        ck_assert_mem_eq(g_bytes_get_data(bytes, NULL), list, size);
}

START_TEST(gives_ranges_as_they_stand_in_the_list) {
        g_autoptr(AttImaSource) s = att_ima_source_new(ATT_BANK_SET(ATT_BANK_SHA256));
        g_autoptr(GBytes) all = NULL, empty = NULL;
        g_autoptr(GError) error = NULL;
        static const guint64 firsts[] = { 0, 1, 5, 297, 299 };
        guint64 n = 77;

        boot(ATT_BANK_SET(ATT_BANK_SHA256));
        for (unsigned i = 1; i < 300; i++) {
                g_autofree char *path = g_strdup_printf("/%u", i);

                measure(path, 0x22);
        }
        ck_assert(att_ima_source_look(s, NULL, NULL));
        ck_assert_uint_eq(count_of(s), 300);

        all = read_range(s, 0, 300, &n, &error);
        expect_list(all);
        ck_assert_uint_eq(n, 300);
        for (size_t i = 0; i < G_N_ELEMENTS(firsts); i++) {
                guint64 last = MIN(firsts[i] + 3, 300);
                g_autoptr(GBytes) part = read_range(s, firsts[i], last, &n, &error);
                g_autofree char *path = firsts[i] == 0 ? g_strdup("boot_aggregate")
                                                       : g_strdup_printf("/%" G_GUINT64_FORMAT, firsts[i]);

                ck_assert_ptr_nonnull(part);
                ck_assert_uint_eq(n, last - firsts[i]);
                ck_assert_uint_eq(entries_in(part, ATT_BANK_SHA256, path), n);
        }

        empty = read_range(s, 300, 300, &n, &error);
        ck_assert_uint_eq(n, 0);
        ck_assert_uint_eq(g_bytes_get_size(empty), 0);
        ck_assert_ptr_null(error);

        n = 77;
        ck_assert_ptr_null(read_range(s, 0, 301, &n, &error));
        ck_assert(g_error_matches(error, ATT_ERROR, ATT_ERROR_INVALID_ARGUMENT));
        ck_assert_uint_eq(n, 77);
}
END_TEST

#define SMALL "/usr/lib/systemd/systemd-something-of-a-name-that-is-not-short"

/* A list of 4 MiB, with records that are larger than what is read for a piece, and 100 small ones behind each. */
static void measure_much(void) {
        g_autofree char *large = g_strnfill(1000 * 1000, 'x');

        for (unsigned i = 0; i < 4; i++) {
                measure(large, 0x33);
                for (unsigned j = 0; j < 100; j++)
                        measure(SMALL, 0x44);
        }
}

/* What a call reads, and so how long it takes, does not depend on the list; nor does it on what comes first. */
START_TEST(reads_a_long_list_in_pieces_of_one_descriptor) {
        g_autoptr(AttImaSource) s = att_ima_source_new(ATT_BANK_SET(ATT_BANK_SHA256));
        g_autoptr(AttImaReader) reader = NULL, late = NULL;
        g_autoptr(GByteArray) all = g_byte_array_new();
        g_autoptr(GBytes) bytes = NULL, last = NULL;
        guint64 n, count = 0;
        guint pieces = 0;
        size_t open_before;

        boot(ATT_BANK_SET(ATT_BANK_SHA256));
        measure_much();
        ck_assert(att_ima_source_look(s, NULL, NULL));
        ck_assert_uint_eq(count_of(s), 405);

        open_before = open_lists();
        reader = att_ima_reader_new(s, 0, 405, NULL);
        for (; !att_ima_reader_is_at_end(reader); pieces++) {
                g_autoptr(GBytes) piece = att_ima_reader_next(reader, &n, NULL);

                ck_assert_ptr_nonnull(piece);
                ck_assert_uint_le(g_bytes_get_size(piece), ATT_IMA_RECORD_MAX);
                ck_assert_uint_eq(open_lists(), open_before + 1);
                g_byte_array_append(all, g_bytes_get_data(piece, NULL), (guint) g_bytes_get_size(piece));
                count += n;
        }
        ck_assert_uint_eq(count, 405);
        ck_assert_uint_gt(pieces, 10);
        bytes = g_bytes_new(all->data, all->len);
        expect_list(bytes);
        g_clear_pointer(&reader, att_ima_reader_free);
        ck_assert_uint_eq(open_lists(), open_before);

        late = att_ima_reader_new(s, 404, 405, NULL);
        for (pieces = 0; !att_ima_reader_is_at_end(late); pieces++) {
                g_clear_pointer(&last, g_bytes_unref);
                last = att_ima_reader_next(late, &n, NULL);
                ck_assert_ptr_nonnull(last);
        }
        ck_assert_uint_eq(n, 1);
        ck_assert_uint_eq(entries_in(last, ATT_BANK_SHA256, SMALL), 1);
        ck_assert_uint_gt(pieces, 10);
}
END_TEST

/* Also behind whole records that were read before: what is given has no hole. */
START_TEST(a_read_that_fails_is_an_error_and_loses_nothing) {
        g_autoptr(AttImaSource) s = att_ima_source_new(ATT_BANK_SET(ATT_BANK_SHA256));
        g_autofree char *list = NULL;
        guint n_errors = 0;
        gsize size;

        boot(ATT_BANK_SET(ATT_BANK_SHA256));
        measure_much();
        ck_assert(g_file_get_contents(LIST "_sha256", &list, &size, NULL));
        ck_assert(att_ima_source_look(s, NULL, NULL));
        reads.most = 65536;
        for (guint nth = 2; n_errors + 2 == nth; nth++) { /* the first is that of the head, to compare it */
                g_autoptr(GByteArray) all = g_byte_array_new();
                g_autoptr(AttImaReader) reader = NULL;

                reads.n = 0;
                reads.failing = nth;
                reader = att_ima_reader_new(s, 0, 405, NULL);
                while (!att_ima_reader_is_at_end(reader)) {
                        g_autoptr(GError) error = NULL;
                        guint64 n;
                        g_autoptr(GBytes) piece = att_ima_reader_next(reader, &n, &error);

                        if (piece) {
                                g_byte_array_append(all, g_bytes_get_data(piece, NULL),
                                                    (guint) g_bytes_get_size(piece));
                                continue;
                        }
                        n_errors++;
                        ck_assert_str_eq(error->message, LIST "_sha256 cannot be read: Input/output error");
                }
                ck_assert_uint_eq(all->len, size);
                ck_assert_mem_eq(all->data, list, size);
        }
        ck_assert_uint_gt(n_errors, size / 65536);
}
END_TEST

/* For each read the kernel walks the list from its head: those of a long one take long. */
START_TEST(a_piece_ends_behind_the_read_that_took_too_long) {
        static const struct {
                gint64 takes_us;
                guint most; /* reads of a piece */
        } kernels[] = { { 0, 64 }, { 2000, 3 }, { 21000, 1 } };
        g_autoptr(AttImaSource) s = att_ima_source_new(ATT_BANK_SET(ATT_BANK_SHA256));
        g_autoptr(AttImaReader) reader = NULL;
        g_autoptr(GByteArray) all = g_byte_array_new();
        g_autoptr(GBytes) bytes = NULL;
        guint most = 0;

        boot(ATT_BANK_SET(ATT_BANK_SHA256));
        measure_much();
        ck_assert(att_ima_source_look(s, NULL, NULL));
        reads.most = 4096;
        reads.takes_us = kernels[_i].takes_us;
        reader = att_ima_reader_new(s, 0, 405, NULL);
        while (!att_ima_reader_is_at_end(reader)) {
                guint before = reads.n;
                guint64 n;
                g_autoptr(GBytes) piece = att_ima_reader_next(reader, &n, NULL);

                ck_assert_ptr_nonnull(piece);
                g_byte_array_append(all, g_bytes_get_data(piece, NULL), (guint) g_bytes_get_size(piece));
                most = MAX(most, reads.n - before);
        }
        ck_assert_uint_eq(most, kernels[_i].most);
        bytes = g_bytes_new(all->data, all->len);
        expect_list(bytes);
}
END_TEST

/* _i: the list ends early, or is another one */
START_TEST(sc16f_a_list_that_is_lost_midway_is_not_given) {
        g_autoptr(AttImaSource) s = att_ima_source_new(ATT_BANK_SET(ATT_BANK_SHA256));
        g_autoptr(AttImaReader) reader = NULL;
        g_autoptr(GBytes) first = NULL, rest = NULL;
        g_autoptr(GError) error = NULL;
        guint64 n;

        boot(ATT_BANK_SET(ATT_BANK_SHA256));
        measure_much();
        ck_assert(att_ima_source_look(s, NULL, NULL));
        reader = att_ima_reader_new(s, 0, 405, NULL);
        first = att_ima_reader_next(reader, &n, NULL);
        ck_assert_uint_eq(n, 1);
        if (_i == 0)
                ck_assert_int_eq(truncate(LIST "_sha256", 3000 * 1000), 0);
        else
                cut_head(ATT_BANK_SHA256, 10);
        rest = read_all(reader, &n, &error);
        ck_assert_ptr_null(rest);
        ck_assert(g_error_matches(error, ATT_ERROR, ATT_ERROR_FAILED));
        ck_assert(strstr(error->message, " is not in " LIST "_sha256 any more") != NULL);
}
END_TEST

START_TEST(gives_nothing_of_a_list_that_is_another) {
        g_autoptr(AttImaSource) s = att_ima_source_new(ATT_BANK_SET(ATT_BANK_SHA256));
        g_autoptr(GError) error = NULL, later = NULL;
        guint64 n = 77;

        boot(ATT_BANK_SET(ATT_BANK_SHA256));
        measure("/bin/a", 0x22);
        ck_assert(att_ima_source_look(s, NULL, NULL));
        cut_head(ATT_BANK_SHA256, size_of_entry("boot_aggregate"));
        ck_assert_ptr_null(read_range(s, 0, 2, &n, &error));
        ck_assert(g_error_matches(error, ATT_ERROR, ATT_ERROR_FAILED));
        ck_assert_uint_eq(n, 77);

        ck_assert(att_ima_source_look(s, NULL, NULL));
        expect_state(s, ATT_IMA_HISTORY_LOST, "lost its head");
        ck_assert_ptr_null(read_range(s, 0, 2, &n, &later));
        ck_assert(strstr(later->message, "lost its history") != NULL);
}
END_TEST

int main(void) {
        Suite *s = suite_create("ima-source");
        TCase *t = tcase_create("source");

        if (unshare(CLONE_NEWNS) < 0 || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
            mount("tmpfs", "/sys/kernel", "tmpfs", 0, "mode=0755") < 0 || mkdir("/sys/kernel/security", 0755) < 0) {
                perror("skipped: no mount namespace of our own");
                return 77;
        }
        tcase_add_test(t, tells_each_entry_once_as_the_list_grows);
        tcase_add_test(t, prefers_a_list_of_a_wanted_bank);
        tcase_add_test(t, reads_the_one_list_of_an_old_kernel);
        tcase_add_test(t, says_that_there_is_no_log_and_finds_it_later);
        tcase_add_test(t, sc16f_a_log_that_was_read_is_never_absent);
        tcase_add_test(t, says_that_it_cannot_be_read_and_goes_on_when_it_can);
        tcase_add_test(t, a_list_that_cannot_be_compared_has_not_lost_its_history);
        tcase_add_test(t, a_garbled_record_is_said_and_not_counted);
        tcase_add_test(t, a_wrong_template_hash_is_garbled);
        tcase_add_test(t, a_record_that_ends_early_is_garbled_until_it_is_whole);
        tcase_add_test(t, sc16f_a_lost_head_is_said);
        tcase_add_test(t, sc16f_a_head_lost_before_the_start_is_said);
        tcase_add_test(t, rewritten_history_is_said);
        tcase_add_test(t, a_list_that_can_be_trimmed_is_not_held);
        tcase_add_test(t, gives_ranges_as_they_stand_in_the_list);
        tcase_add_test(t, reads_a_long_list_in_pieces_of_one_descriptor);
        tcase_add_test(t, a_read_that_fails_is_an_error_and_loses_nothing);
        tcase_add_loop_test(t, a_piece_ends_behind_the_read_that_took_too_long, 0, 3);
        tcase_add_loop_test(t, sc16f_a_list_that_is_lost_midway_is_not_given, 0, 2);
        tcase_add_test(t, gives_nothing_of_a_list_that_is_another);
        tcase_set_timeout(t, 60);
        suite_add_tcase(s, t);
        return run_suite(s);
}
