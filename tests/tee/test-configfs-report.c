/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What of the protocol needs no device. The rest is in test_device.py. */
#include "codec/tdx-quote.h"
#include "run.h"
#include "tee/configfs-report.h"
#include "tee/fault.h"
#include "tee/report-check.h"
#include "util/bytes.h"
#include "util/io.h"

#include <fcntl.h>
#include <glib/gstdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/stat.h>

static void is_fault(GError *e, AttTeeFault fault) {
        ck_assert_ptr_nonnull(e);
        ck_assert_msg(g_error_matches(e, ATT_TEE_FAULT, (gint) fault), "%s", e->message);
}

/* ----- numbers and names */

START_TEST(reads_a_generation) {
        static const struct {
                const char *text;
                guint64 value;
        } good[] = {
                { "0\n", 0 }, { "1\n", 1 }, { "90\n", 90 }, { "1000\n", 1000 },
                { "18446744073709551614\n", G_MAXUINT64 - 1 }, { "18446744073709551615\n", G_MAXUINT64 },
        };
        guint64 v;

        for (size_t i = 0; i < G_N_ELEMENTS(good); i++) {
                ck_assert_msg(att_generation_parse(good[i].text, strlen(good[i].text), &v), "%s", good[i].text);
                ck_assert_uint_eq(v, good[i].value);
        }
}
END_TEST

START_TEST(ft10_refuses_what_is_no_generation) {
        static const char *const bad[] = {
                "", "\n", "1", "01\n", "00\n", "-1\n", "+1\n", " 1\n", "1 \n", "1\n\n", "0x1\n", "one\n", "1,\n",
                "18446744073709551616\n", "18446744073709551620\n", "99999999999999999999\n",
                "100000000000000000000000000000000\n",
        };
        guint64 v = 77;

        for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
                g_autofree char *exact = g_memdup2(bad[i], strlen(bad[i]));

                ck_assert_msg(!att_generation_parse(exact, strlen(bad[i]), &v), "accepted: %s", bad[i]);
                ck_assert_uint_eq(v, 77);
        }
        ck_assert(!att_generation_parse("1\0\n", 3, &v));
}
END_TEST

START_TEST(an_entry_names_boot_and_process) {
        static const uint8_t boot_id[16] = { 0x0a, 0xbc, 0x00, 0xff, 0x12 };
        AttReportEntry e;

        att_report_entry_init(&e, boot_id, 4194304);
        ck_assert_str_eq(e.name, "attestd-0abc00ff-4194304");
        ck_assert_int_eq(e.dir, -1);
        ck_assert(g_str_has_prefix(e.name, ATT_REPORT_ENTRY_PREFIX));
}
END_TEST

/* ----- blobs, and entries, in a folder of our own */

static char *folder;
static int dir;

static void setup(void) {
        folder = g_dir_make_tmp("tee-XXXXXX", NULL);
        dir = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        ck_assert_int_ge(dir, 0);
}

static void teardown(void) {
        GDir *d = g_dir_open(folder, 0, NULL);
        const char *name;

        while ((name = g_dir_read_name(d)))
                if (unlinkat(dir, name, 0) < 0)
                        ck_assert_int_eq(unlinkat(dir, name, AT_REMOVEDIR), 0);
        g_dir_close(d);
        close(dir);
        g_rmdir(folder);
        g_free(folder);
}

static void fill(const char *name, gsize size) {
        g_autofree char *path = g_build_filename(folder, name, NULL), *bytes = g_malloc(size + 1);

        memset(bytes, 'x', size);
        ck_assert(g_file_set_contents(path, bytes, (gssize) size, NULL));
}

START_TEST(sc35b_reads_up_to_its_cap_and_no_further) {
        static const gsize cap = 100000;

        for (gsize size = 0; size <= cap + 70000; size += size < 10 || (size > cap - 3 && size < cap + 3) ? 1 : 9998) {
                g_autoptr(GError) e = NULL;
                g_autoptr(GBytes) blob = NULL;

                fill("blob", size);
                blob = att_blob_read(dir, "blob", cap, NULL, G_MAXINT64, &e);
                if (size <= cap) {
                        ck_assert_uint_eq(g_bytes_get_size(blob), size);
                } else {
                        ck_assert_ptr_null(blob);
                        is_fault(e, ATT_TEE_FAULT_TOO_LARGE);
                }
        }
}
END_TEST

START_TEST(reads_no_more_than_one_byte_beyond_its_cap) {
        att_autofd int fifo = -1;
        char bytes[100] = { 0 };

        /* A FIFO keeps what was not read. */
        ck_assert_int_eq(mkfifoat(dir, "fifo", 0600), 0);
        fifo = openat(dir, "fifo", O_RDWR | O_CLOEXEC);
        ck_assert_int_eq(write(fifo, bytes, sizeof bytes), sizeof bytes);
        ck_assert_ptr_null(att_blob_read(dir, "fifo", 60, NULL, G_MAXINT64, NULL));
        ck_assert_int_eq(read(fifo, bytes, sizeof bytes), 39);
}
END_TEST

static gint drops; /* that are still to come; atomic */

/* The next byte when the last one has been read: there always is one soon. */
static gpointer drip(gpointer data) {
        int fd = GPOINTER_TO_INT(data), unread = 0;

        while (g_atomic_int_get(&drops) > 0) {
                ck_assert_int_eq(ioctl(fd, FIONREAD, &unread), 0);
                if (unread == 0) {
                        ck_assert_int_eq(write(fd, "x", 1), 1);
                        g_atomic_int_add(&drops, -1);
                }
                g_thread_yield();
        }
        close(fd);
        return NULL;
}

/* One deadline over the whole: each byte in time is not enough. With a deadline for
 * each byte this would not end. */
START_TEST(ft14_gives_up_a_drip_by_one_deadline) {
        g_autoptr(GError) e = NULL;
        GThread *thread;
        int fd;

        ck_assert_int_eq(mkfifoat(dir, "fifo", 0600), 0);
        fd = openat(dir, "fifo", O_RDWR | O_CLOEXEC);
        ck_assert_int_ge(fd, 0);
        g_atomic_int_set(&drops, G_MAXINT);
        thread = g_thread_new("drip", drip, GINT_TO_POINTER(fd));
        ck_assert_ptr_null(att_blob_read(dir, "fifo", 1u << 26, NULL, g_get_monotonic_time() + 50000, &e));
        is_fault(e, ATT_TEE_FAULT_TOO_SLOW);
        g_atomic_int_set(&drops, 0);
        g_thread_join(thread);
}
END_TEST

START_TEST(ft14_goes_on_after_short_reads) {
        g_autoptr(GBytes) blob = NULL;
        GThread *thread;
        int fd;

        ck_assert_int_eq(mkfifoat(dir, "fifo", 0600), 0);
        fd = openat(dir, "fifo", O_RDWR | O_CLOEXEC);
        g_atomic_int_set(&drops, 40);
        thread = g_thread_new("drip", drip, GINT_TO_POINTER(fd));
        blob = att_blob_read(dir, "fifo", 40, NULL, G_MAXINT64, NULL);
        ck_assert_uint_eq(g_bytes_get_size(blob), 40);
        g_thread_join(thread);
}
END_TEST

START_TEST(sc32b_follows_no_symbolic_link) {
        g_autoptr(GError) e = NULL;
        g_autoptr(GBytes) blob = NULL;

        fill("blob", 10);
        ck_assert_int_eq(symlinkat("blob", dir, "outblob"), 0);
        ck_assert_ptr_null(att_blob_read(dir, "outblob", 100, NULL, G_MAXINT64, &e));
        is_fault(e, ATT_TEE_FAULT_INTERFERENCE);

        blob = att_blob_read(dir, "blob", 100, NULL, G_MAXINT64, NULL);
        ck_assert_uint_eq(g_bytes_get_size(blob), 10);
}
END_TEST

START_TEST(ft16_removes_what_is_left_of_us_and_nothing_else) {
        static const char *const names[] = {
                "attestd-00000000-1", "attestd-", "attestd-x", /* ours */
                "attestd", ".kbs", "trustee",
        };
        AttReportEntry own = { .name = "attestd-00000001-5", .dir = 0 };
        g_autofree char *first = NULL;
        att_autofd int living = -1;
        guint n;

        for (size_t i = 0; i < G_N_ELEMENTS(names); i++)
                ck_assert_int_eq(mkdirat(dir, names[i], 0700), 0);
        ck_assert_int_eq(mkdirat(dir, own.name, 0700), 0);
        ck_assert_int_eq(mkdirat(dir, "attestd-00000000-2", 0700), 0);
        living = openat(dir, "attestd-00000000-2", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        ck_assert_int_eq(flock(living, LOCK_EX), 0);
        fill("file", 1);

        ck_assert(att_reports_look_around(dir, &own, &n, &first, NULL));
        ck_assert_uint_eq(n, 4); /* attestd, .kbs, trustee, and the one that lives */
        ck_assert_ptr_nonnull(first);
        for (size_t i = 0; i < G_N_ELEMENTS(names); i++)
                ck_assert_msg((faccessat(dir, names[i], F_OK, 0) == 0) == (i >= 3), "%s", names[i]);
        ck_assert_int_eq(faccessat(dir, own.name, F_OK, 0), 0);
        ck_assert_int_eq(faccessat(dir, "attestd-00000000-2", F_OK, 0), 0);
}
END_TEST

START_TEST(counts_nobody_when_alone) {
        AttReportEntry own = { .name = "attestd-00000001-5", .dir = 0 };
        char *first;
        guint n;

        ck_assert_int_eq(mkdirat(dir, own.name, 0700), 0);
        ck_assert(att_reports_look_around(dir, &own, &n, &first, NULL));
        ck_assert_uint_eq(n, 0);
        ck_assert_ptr_null(first);
}
END_TEST

START_TEST(shows_names_of_others_bounded_and_escaped) {
        AttReportEntry own = { .dir = -1 };
        g_autofree char *first = NULL;
        guint n;

        ck_assert_int_eq(mkdirat(dir, "\033[2J\n0123456789012345678901234567890123456789", 0700), 0);
        ck_assert(att_reports_look_around(dir, &own, &n, &first, NULL));
        ck_assert_str_eq(first, "\\033[2J\\n0123456789012345678901234567...");
}
END_TEST

/* A directory without a provider in it is no entry, and none is left. */
START_TEST(leaves_nothing_that_it_could_not_finish) {
        static const uint8_t boot_id[16] = { 0 };
        g_autoptr(GError) e = NULL;
        AttReportEntry entry;

        att_report_entry_init(&entry, boot_id, 1);
        ck_assert(!att_report_entry_ensure(&entry, dir, &e));
        is_fault(e, ATT_TEE_FAULT_INTERFERENCE);
        ck_assert_int_eq(entry.dir, -1);
        ck_assert_int_lt(faccessat(dir, entry.name, F_OK, 0), 0);
}
END_TEST

/* ----- what an outblob must be */

static const uint8_t asked[ATT_REPORT_DATA_SIZE] = { 1, 2, 3, [31] = 4, [32] = 5, [63] = 6 };

/* Version 4, with an unknown chain: all that the device's side looks at. */
static GBytes *quote_over(const uint8_t *report_data, gsize trailing) {
        g_autoptr(GByteArray) q = g_byte_array_new();
        static const uint8_t zero[1000];

        att_put_le(q, 4, 2);
        att_put_le(q, 2, 2);
        att_put_le(q, ATT_TDX_TEE_TYPE, 4);
        att_put(q, zero, 40 + 520);
        att_put(q, report_data, ATT_REPORT_DATA_SIZE);
        att_put_le(q, 128 + 6 + 50, 4);
        att_put(q, zero, 128);
        att_put_le(q, 5, 2);
        att_put_le(q, 50, 4);
        att_put(q, zero, 50 + trailing);
        return g_byte_array_free_to_bytes(g_steal_pointer(&q));
}

static GBytes *snp_over(const uint8_t *report_data) {
        g_autoptr(GByteArray) r = g_byte_array_new();
        static const uint8_t zero[0x4a0];

        att_put_le(r, 3, 4);
        att_put(r, zero, 0x50 - 4);
        att_put(r, report_data, ATT_REPORT_DATA_SIZE);
        att_put(r, zero, 0x4a0 - 0x90);
        return g_byte_array_free_to_bytes(g_steal_pointer(&r));
}

static const struct {
        const char *provider;
        gsize report_data_at;
} kinds[] = { { "tdx_guest", 48 + 520 }, { "sev_guest", 0x50 } };

static GBytes *report_of(int kind) {
        return kind == 0 ? quote_over(asked, 0) : snp_over(asked);
}

START_TEST(ft09_compares_all_of_reportdata) {
        g_autoptr(GBytes) good = report_of(_i);

        ck_assert(att_report_check(kinds[_i].provider, good, asked, NULL));
        for (gsize bit = 0; bit < 8 * ATT_REPORT_DATA_SIZE; bit++) {
                gsize size;
                guint8 *copy = g_memdup2(g_bytes_get_data(good, NULL), g_bytes_get_size(good));
                g_autoptr(GBytes) bad = NULL;
                g_autoptr(GError) e = NULL;

                size = g_bytes_get_size(good);
                copy[kinds[_i].report_data_at + bit / 8] ^= (guint8) (1u << bit % 8);
                bad = g_bytes_new_take(copy, size);
                ck_assert(!att_report_check(kinds[_i].provider, bad, asked, &e));
                is_fault(e, ATT_TEE_FAULT_WRONG_REPORT_DATA);
        }
}
END_TEST

START_TEST(sc24a_empty_is_no_report) {
        g_autoptr(GBytes) empty = g_bytes_new(NULL, 0), good = report_of(_i);
        g_autoptr(GError) e = NULL;

        ck_assert(!att_report_check(kinds[_i].provider, empty, asked, &e));
        is_fault(e, ATT_TEE_FAULT_EMPTY);
        ck_assert(att_report_check(kinds[_i].provider, good, asked, NULL));
}
END_TEST

/* Not even over zeros, should anybody ask for that. */
START_TEST(sc24b_all_zero_is_no_report) {
        static const uint8_t zeros[ATT_REPORT_DATA_SIZE];
        g_autoptr(GBytes) good = report_of(_i);
        g_autoptr(GBytes) zero = g_bytes_new_take(g_malloc0(8192), 8192);
        g_autoptr(GError) e = NULL;

        ck_assert(!att_report_check(kinds[_i].provider, zero, zeros, &e));
        is_fault(e, ATT_TEE_FAULT_MALFORMED);
        ck_assert(att_report_check(kinds[_i].provider, good, asked, NULL));
}
END_TEST

START_TEST(sc35a_short_at_every_byte_is_no_report) {
        g_autoptr(GBytes) good = report_of(_i);
        gsize size;
        const guint8 *p = g_bytes_get_data(good, &size);

        for (gsize n = 1; n < size; n++) {
                g_autofree guint8 *exact = g_memdup2(p, n); /* so that ASan sees an over-read */
                g_autoptr(GBytes) bytes = g_bytes_new_static(exact, n);
                g_autoptr(GError) e = NULL;

                ck_assert(!att_report_check(kinds[_i].provider, bytes, asked, &e));
                is_fault(e, ATT_TEE_FAULT_MALFORMED);
        }
        ck_assert(att_report_check(kinds[_i].provider, good, asked, NULL));
}
END_TEST

START_TEST(ft08_padding_does_not_make_a_quote_bad) {
        g_autoptr(GBytes) padded = quote_over(asked, 900);

        ck_assert(att_report_check("tdx_guest", padded, asked, NULL));
}
END_TEST

START_TEST(ft09_a_report_of_the_other_tee_is_none) {
        g_autoptr(GBytes) tdx = quote_over(asked, 600), snp = snp_over(asked);
        g_autoptr(GError) e = NULL;

        ck_assert(!att_report_check("tdx_guest", snp, asked, &e));
        is_fault(e, ATT_TEE_FAULT_MALFORMED);
        ck_assert(!att_report_check("sev_guest", tdx, asked, NULL));
}
END_TEST

START_TEST(a_report_is_whole_from_its_last_byte_on) {
        g_autoptr(GBytes) good = report_of(_i);
        gsize size;
        const guint8 *p = g_bytes_get_data(good, &size);

        for (gsize n = 0; n < size; n++) {
                g_autofree guint8 *exact = g_memdup2(p, n);
                g_autoptr(GBytes) bytes = g_bytes_new_static(exact, n);

                ck_assert(!att_report_is_whole(kinds[_i].provider, bytes));
        }
        ck_assert(att_report_is_whole(kinds[_i].provider, good));
}
END_TEST

int main(void) {
        Suite *s = suite_create("configfs-report");
        TCase *t = tcase_create("numbers and names");

        tcase_add_test(t, reads_a_generation);
        tcase_add_test(t, ft10_refuses_what_is_no_generation);
        tcase_add_test(t, an_entry_names_boot_and_process);
        suite_add_tcase(s, t);

        t = tcase_create("files");
        tcase_add_checked_fixture(t, setup, teardown);
        tcase_add_test(t, sc35b_reads_up_to_its_cap_and_no_further);
        tcase_add_test(t, reads_no_more_than_one_byte_beyond_its_cap);
        tcase_add_test(t, ft14_gives_up_a_drip_by_one_deadline);
        tcase_add_test(t, ft14_goes_on_after_short_reads);
        tcase_add_test(t, sc32b_follows_no_symbolic_link);
        tcase_add_test(t, ft16_removes_what_is_left_of_us_and_nothing_else);
        tcase_add_test(t, counts_nobody_when_alone);
        tcase_add_test(t, shows_names_of_others_bounded_and_escaped);
        tcase_add_test(t, leaves_nothing_that_it_could_not_finish);
        suite_add_tcase(s, t);

        t = tcase_create("report");
        tcase_add_loop_test(t, ft09_compares_all_of_reportdata, 0, G_N_ELEMENTS(kinds));
        tcase_add_loop_test(t, sc24a_empty_is_no_report, 0, G_N_ELEMENTS(kinds));
        tcase_add_loop_test(t, sc24b_all_zero_is_no_report, 0, G_N_ELEMENTS(kinds));
        tcase_add_loop_test(t, sc35a_short_at_every_byte_is_no_report, 0, G_N_ELEMENTS(kinds));
        tcase_add_loop_test(t, a_report_is_whole_from_its_last_byte_on, 0, G_N_ELEMENTS(kinds));
        tcase_add_test(t, ft08_padding_does_not_make_a_quote_bad);
        tcase_add_test(t, ft09_a_report_of_the_other_tee_is_none);
        suite_add_tcase(s, t);
        return run_suite(s);
}
