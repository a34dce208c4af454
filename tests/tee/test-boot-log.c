/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Which log is read, and how much of it. The kernel's files are in a folder of ours: the linker leads openat()
 * there, by the name that it has where offsets are of 64 bits. */
#include "tee/boot-log.h"

#include "../codec/event-build.h"
#include "run.h"
#include "util/error.h"

#include <errno.h>
#include <fcntl.h>
#include <gio/gio.h>
#include <glib/gstdio.h>
#include <stdio.h>
#include <unistd.h>

#define TABLE "/sys/firmware/acpi/tables/CCEL"
#define AREA "/sys/firmware/acpi/tables/data/CCEL"
#define TPM "/sys/kernel/security/tpm0/binary_bios_measurements"

static const BuildAlgorithm one[] = { { ALG_SHA384, 48 } };

static char *folder;

int __real_openat64(int dir, const char *path, int flags, ...);
int __wrap_openat64(int dir, const char *path, int flags, ...);
int __wrap_openat64(int dir, const char *path, int flags, ...) {
        g_autofree char *there = g_strconcat(folder, path, NULL);

        ck_assert(dir == AT_FDCWD && path[0] == '/' && !(flags & (O_CREAT | O_WRONLY | O_RDWR)));
        return __real_openat64(dir, there, flags);
}

static char *path_of(const char *path) {
        return g_strconcat(folder, path, NULL);
}

static void put(const char *path, GBytes *content) {
        g_autofree char *there = path_of(path), *parent = g_path_get_dirname(there);

        ck_assert_int_eq(g_mkdir_with_parents(parent, 0700), 0);
        ck_assert(g_file_set_contents(there, g_bytes_get_data(content, NULL), (gssize) g_bytes_get_size(content),
                                      NULL));
}

static void put_table(const char *signature, uint8_t type) {
        g_autoptr(GByteArray) out = g_byte_array_new();
        g_autoptr(GBytes) table = NULL;

        att_put(out, signature, 4);
        for (unsigned i = 4; i < 36; i++)
                att_put_le(out, i, 1);
        att_put_le(out, type, 1);
        for (unsigned i = 37; i < 56; i++)
                att_put_le(out, i, 1);
        table = build_done(out);
        put(TABLE, table);
}

/* A log that says in its data which it is, with @fill behind it. */
static GBytes *make(const char *which, const char *fill, size_t n) {
        g_autoptr(GByteArray) out = g_byte_array_new();

        build_header(out, 1, one, 1, "");
        build_event(out, 1, 5, one, 1, 0x10, which, strlen(which));
        for (size_t i = 0; i < n; i++)
                att_put(out, fill, 1);
        return build_done(out);
}

static void check_read(GBytes *expected) {
        g_autoptr(GError) error = NULL;
        g_autoptr(GBytes) log = att_boot_log_read(&error);

        ck_assert_msg(log, "%s", error ? error->message : "");
        ck_assert_bytes_eq(log, expected);
}

static void check_refused(GQuark domain, int code) {
        g_autoptr(GError) error = NULL;
        g_autoptr(GBytes) log = att_boot_log_read(&error);

        ck_assert_ptr_null(log);
        ck_assert_msg(g_error_matches(error, domain, code), "%s", error->message);
}

static void setup(void) {
        folder = g_dir_make_tmp("attestd-XXXXXX", NULL);
        ck_assert_ptr_nonnull(folder);
}

static void teardown(void) {
        static const char *const there[] = {
                AREA, "/sys/firmware/acpi/tables/data", TABLE, "/sys/firmware/acpi/tables", "/sys/firmware/acpi",
                "/sys/firmware", TPM, "/sys/kernel/security/tpm0", "/sys/kernel/security", "/sys/kernel", "/sys", "",
        };

        for (size_t i = 0; i < G_N_ELEMENTS(there); i++) {
                g_autofree char *path = path_of(there[i]);

                (void) remove(path);
        }
        g_free(folder);
}

START_TEST(says_that_there_is_none) {
        check_refused(ATT_ERROR, ATT_ERROR_NO_TEE);
}
END_TEST

START_TEST(reads_the_area_of_a_td_to_its_end) {
        g_autoptr(GBytes) td = make("td", "\xff", 4096), td_used = make("td", "", 0), tpm = make("tpm", "", 0);

        put_table("CCEL", 2);
        put(AREA, td);
        put(TPM, tpm);
        check_read(td_used);
}
END_TEST

START_TEST(reads_the_tpms_where_there_is_no_tds) {
        g_autoptr(GBytes) td = make("td", "", 0), tpm = make("tpm", "\0", 17), tpm_used = make("tpm", "", 0);

        put(TPM, tpm);
        check_read(tpm_used);
        /* The area of something else that computes confidentially. */
        put_table("CCEL", 1);
        put(AREA, td);
        check_read(tpm_used);
        put_table("CCEM", 2);
        check_read(tpm_used);
}
END_TEST

START_TEST(a_td_without_its_area_has_no_other_log) {
        g_autoptr(GBytes) tpm = make("tpm", "", 0);

        put_table("CCEL", 2);
        put(TPM, tpm);
        check_refused(G_IO_ERROR, G_IO_ERROR_NOT_FOUND);
}
END_TEST

START_TEST(refuses_a_log_that_cannot_be_walked) {
        g_autoptr(GBytes) whole = make("tpm", "", 0), cut = exact_prefix(whole, g_bytes_get_size(whole) - 1);
        g_autoptr(GBytes) empty = exact("", 0);
        g_autofree uint8_t *much = g_malloc(ATT_EVENT_LOG_MAX + 1);
        g_autoptr(GBytes) over = NULL;

        put(TPM, cut);
        check_refused(ATT_ERROR, ATT_ERROR_BAD_DATA);
        put(TPM, empty);
        check_refused(ATT_ERROR, ATT_ERROR_BAD_DATA);
        memset(much, 0xff, ATT_EVENT_LOG_MAX + 1);
        memcpy(much, g_bytes_get_data(whole, NULL), g_bytes_get_size(whole));
        over = exact(much, ATT_EVENT_LOG_MAX + 1);
        put(TPM, over);
        check_refused(ATT_ERROR, ATT_ERROR_TOO_LARGE);
        put(TPM, whole);
        check_read(whole);
}
END_TEST

START_TEST(sc32b_follows_no_symbolic_link) {
        g_autoptr(GBytes) whole = make("tpm", "", 0);
        g_autofree char *there = path_of(TPM), *elsewhere = path_of(AREA);

        put(AREA, whole);
        put(TPM, whole);
        check_read(whole);
        ck_assert_int_eq(g_unlink(there), 0);
        ck_assert_int_eq(symlink(elsewhere, there), 0);
        check_refused(G_IO_ERROR, (int) g_io_error_from_errno(ELOOP));
}
END_TEST

int main(void) {
        Suite *s = suite_create("boot-log");
        TCase *t = tcase_create("read");

        tcase_add_checked_fixture(t, setup, teardown);
        tcase_add_test(t, says_that_there_is_none);
        tcase_add_test(t, reads_the_area_of_a_td_to_its_end);
        tcase_add_test(t, reads_the_tpms_where_there_is_no_tds);
        tcase_add_test(t, a_td_without_its_area_has_no_other_log);
        tcase_add_test(t, refuses_a_log_that_cannot_be_walked);
        tcase_add_test(t, sc32b_follows_no_symbolic_link);
        suite_add_tcase(s, t);
        return run_suite(s);
}
