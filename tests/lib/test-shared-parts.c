/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Evidence in two pieces, put together; and what is no such thing. */
#include "lib/shared-parts.h"
#include "run.h"
#include "util/error.h"
#include "util/io.h"
#include "util/memfd.h"
#include "util/tls-terms.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#define PART "the part that all have"
#define PART_SIZE 22
#define GOOD "{'shared': <uint64 5>, 'shared_at': <uint64 1>, 'shared_size': <uint64 22>, 'shared_fd': <handle 0>}"

static GBytes *evidence_new(void) {
        return g_bytes_new_static("[its own]", 9);
}

/* What stands behind the handle 0. */
static GUnixFDList *fds_of(int fd) {
        att_autofd int own = fd;
        GUnixFDList *fds = g_unix_fd_list_new();

        ck_assert_int_ge(own, 0);
        ck_assert_int_eq(g_unix_fd_list_append(fds, own, NULL), 0);
        return fds;
}

static int memfd_of(const void *data, gsize size, int seals) {
        int fd = memfd_create("test", MFD_CLOEXEC | MFD_ALLOW_SEALING);

        ck_assert_int_ge(fd, 0);
        ck_assert_int_eq(write(fd, data, size), (gssize) size);
        ck_assert_int_eq(fcntl(fd, F_ADD_SEALS, seals), 0);
        return fd;
}

#define ALL_SEALS (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL)

static GUnixFDList *good_fds(void) {
        return fds_of(memfd_of(PART, PART_SIZE, ALL_SEALS));
}

/* @fds: (transfer full) (nullable) */
static GBytes *join_and_tell(AttSharedParts *parts, const char *text, GUnixFDList *fds, GVariant **ret_info,
                             GError **error) {
        g_autoptr(GVariant) info = g_variant_ref_sink(g_variant_new_parsed(text));
        g_autoptr(GBytes) evidence = evidence_new();
        g_autoptr(GUnixFDList) own = fds;

        return att_shared_parts_join(parts, evidence, info, own, ret_info, error);
}

static GBytes *join(AttSharedParts *parts, const char *text, GUnixFDList *fds, GError **error) {
        g_autoptr(GVariant) info = NULL;
        GBytes *whole = join_and_tell(parts, text, fds, &info, error);

        ck_assert((whole != NULL) == (info != NULL));
        return whole;
}

static void joins(AttSharedParts *parts, const char *text, GUnixFDList *fds, const char *expected) {
        g_autoptr(GError) error = NULL;
        g_autoptr(GBytes) whole = join(parts, text, fds, &error);

        ck_assert_msg(whole != NULL, "%s", error ? error->message : "");
        ck_assert_uint_eq(g_bytes_get_size(whole), strlen(expected));
        ck_assert_mem_eq(g_bytes_get_data(whole, NULL), expected, strlen(expected));
}

static void refuses(AttSharedParts *parts, const char *text, GUnixFDList *fds, AttError code) {
        g_autoptr(GError) error = NULL;
        g_autoptr(GBytes) whole = join(parts, text, fds, &error);

        ck_assert_msg(!whole, "%s", text);
        ck_assert_msg(g_error_matches(error, ATT_ERROR, (gint) code), "%s: %s", text, error->message);
}

static guint open_descriptors(void) {
        g_autoptr(GDir) dir = g_dir_open("/proc/self/fd", 0, NULL);
        guint n = 0;

        while (g_dir_read_name(dir))
                n++;
        return n;
}

START_TEST(one_piece_stays_as_it_is) {
        AttSharedParts parts = { 0 };

        joins(&parts, "{'generation': <uint64 7>}", NULL, "[its own]");
        joins(&parts, "@a{sv} {}", good_fds(), "[its own]");
        att_shared_parts_clear(&parts);
}
END_TEST

START_TEST(puts_the_shared_part_into_its_place) {
        AttSharedParts parts = { 0 };
        guint n = open_descriptors();

        joins(&parts, GOOD, good_fds(), "[" PART "its own]");
        /* From then on its number is enough, at whatever place. */
        joins(&parts, "{'shared': <uint64 5>, 'shared_at': <uint64 0>, 'shared_size': <uint64 22>}", NULL,
              PART "[its own]");
        joins(&parts, "{'shared': <uint64 5>, 'shared_at': <uint64 9>, 'shared_size': <uint64 22>}", NULL,
              "[its own]" PART);
        att_shared_parts_clear(&parts);
        ck_assert_uint_eq(open_descriptors(), n);
}
END_TEST

static void tells(AttSharedParts *parts, const char *text, GUnixFDList *fds, guint64 expected) {
        g_autoptr(GVariant) info = NULL;
        g_autoptr(GBytes) whole = join_and_tell(parts, text, fds, &info, NULL);
        guint64 generation = 0;

        ck_assert_ptr_nonnull(whole);
        ck_assert(g_variant_lookup(info, "generation", "t", &generation));
        ck_assert_uint_eq(generation, expected);
}

START_TEST(what_came_with_the_shared_part_is_told_again) {
        AttSharedParts parts = { 0 };

        tells(&parts, "{'generation': <uint64 6>}", NULL, 6);
        tells(&parts, "{'generation': <uint64 7>, 'shared': <uint64 5>, 'shared_at': <uint64 1>,"
                      " 'shared_size': <uint64 22>, 'shared_fd': <handle 0>}", good_fds(), 7);
        tells(&parts, "{'generation': <uint64 8>, 'shared': <uint64 6>, 'shared_at': <uint64 1>,"
                      " 'shared_size': <uint64 22>, 'shared_fd': <handle 0>}", good_fds(), 8);
        tells(&parts, "{'shared': <uint64 5>, 'shared_at': <uint64 1>, 'shared_size': <uint64 22>}", NULL, 7);
        tells(&parts, "{'shared': <uint64 6>, 'shared_at': <uint64 1>, 'shared_size': <uint64 22>}", NULL, 8);
        att_shared_parts_clear(&parts);
}
END_TEST

START_TEST(a_part_that_is_kept_has_the_size_it_had) {
        AttSharedParts parts = { 0 };

        joins(&parts, GOOD, good_fds(), "[" PART "its own]");
        for (guint size = 0; size <= PART_SIZE + 1; size++) {
                g_autofree char *text = g_strdup_printf("{'shared': <uint64 5>, 'shared_at': <uint64 1>,"
                                                        " 'shared_size': <uint64 %u>}", size);

                if (size == PART_SIZE)
                        joins(&parts, text, NULL, "[" PART "its own]");
                else
                        refuses(&parts, text, NULL, ATT_ERROR_BAD_DATA);
        }
        att_shared_parts_clear(&parts);
}
END_TEST

/* Before it is closed, which who holds the message does when he likes. */
START_TEST(a_descriptor_that_was_read_is_given_back) {
        att_autofd int fd = memfd_of(PART, PART_SIZE, ALL_SEALS);
        g_autoptr(GUnixFDList) fds = fds_of(att_memfd_lend(fd, NULL));
        AttSharedParts parts = { 0 };

        ck_assert(att_memfd_is_lent(fd));
        joins(&parts, GOOD, g_object_ref(fds), "[" PART "its own]");
        ck_assert(!att_memfd_is_lent(fd));
        att_shared_parts_clear(&parts);
}
END_TEST

/* Twice as many as attestd counts on; each of its own length. */
START_TEST(the_last_eight_are_kept) {
        AttSharedParts parts = { 0 };

        for (int i = 1; i <= 9; i++) {
                g_autofree char *text = g_strdup_printf("{'shared': <uint64 %d>, 'shared_at': <uint64 0>,"
                                                        " 'shared_size': <uint64 %d>, 'shared_fd': <handle 0>}", i, i);
                g_autofree char *whole = g_strdup_printf("%.*s[its own]", i, PART);

                joins(&parts, text, fds_of(memfd_of(PART, (gsize) i, ALL_SEALS)), whole);
        }
        for (int i = 1; i <= 9; i++) {
                g_autofree char *text = g_strdup_printf("{'shared': <uint64 %d>, 'shared_at': <uint64 0>,"
                                                        " 'shared_size': <uint64 %d>}", i, i);
                g_autofree char *whole = g_strdup_printf("%.*s[its own]", i, PART);

                if (i == 1)
                        refuses(&parts, text, NULL, ATT_ERROR_FAILED);
                else
                        joins(&parts, text, NULL, whole);
        }
        att_shared_parts_clear(&parts);
        refuses(&parts, "{'shared': <uint64 9>, 'shared_at': <uint64 0>, 'shared_size': <uint64 9>}", NULL,
                ATT_ERROR_FAILED);
}
END_TEST

/* _i: what is wrong */
START_TEST(refuses_a_description_that_is_none) {
        static const char *const texts[] = {
                /* types */
                "{'shared': <'5'>, 'shared_at': <uint64 1>, 'shared_size': <uint64 22>, 'shared_fd': <handle 0>}",
                "{'shared': <uint32 5>, 'shared_at': <uint64 1>, 'shared_size': <uint64 22>, 'shared_fd': <handle 0>}",
                "{'shared': <uint64 5>, 'shared_at': <int64 1>, 'shared_size': <uint64 22>, 'shared_fd': <handle 0>}",
                "{'shared': <uint64 5>, 'shared_at': <uint64 1>, 'shared_size': <uint32 22>, 'shared_fd': <handle 0>}",
                "{'shared': <uint64 5>, 'shared_at': <uint64 1>, 'shared_size': <uint64 22>, 'shared_fd': <0>}",
                /* less than all */
                "{'shared_at': <uint64 1>, 'shared_size': <uint64 22>, 'shared_fd': <handle 0>}",
                "{'shared': <uint64 5>, 'shared_size': <uint64 22>, 'shared_fd': <handle 0>}",
                "{'shared': <uint64 5>, 'shared_at': <uint64 1>, 'shared_fd': <handle 0>}",
                "{'shared_fd': <handle 0>}",
                /* numbers */
                "{'shared': <uint64 0>, 'shared_at': <uint64 1>, 'shared_size': <uint64 22>, 'shared_fd': <handle 0>}",
                "{'shared': <uint64 5>, 'shared_at': <uint64 10>, 'shared_size': <uint64 22>, 'shared_fd': <handle 0>}",
                ("{'shared': <uint64 5>, 'shared_at': <uint64 18446744073709551615>, 'shared_size': <uint64 22>,"
                 " 'shared_fd': <handle 0>}"),
                "{'shared': <uint64 5>, 'shared_at': <uint64 1>, 'shared_size': <uint64 21>, 'shared_fd': <handle 0>}",
                "{'shared': <uint64 5>, 'shared_at': <uint64 1>, 'shared_size': <uint64 23>, 'shared_fd': <handle 0>}",
                "{'shared': <uint64 5>, 'shared_at': <uint64 1>, 'shared_size': <uint64 0>, 'shared_fd': <handle 0>}",
                /* handle */
                "{'shared': <uint64 5>, 'shared_at': <uint64 1>, 'shared_size': <uint64 22>, 'shared_fd': <handle -1>}",
        };
        AttSharedParts parts = { 0 };
        guint n = open_descriptors();

        ck_assert_uint_eq(G_N_ELEMENTS(texts), 16);
        refuses(&parts, texts[_i], good_fds(), ATT_ERROR_BAD_DATA);
        /* Nothing of it was kept. */
        refuses(&parts, "{'shared': <uint64 5>, 'shared_at': <uint64 1>, 'shared_size': <uint64 22>}", NULL,
                ATT_ERROR_FAILED);
        joins(&parts, GOOD, good_fds(), "[" PART "its own]");
        att_shared_parts_clear(&parts);
        ck_assert_uint_eq(open_descriptors(), n);
}
END_TEST

/* It may be had in one piece. */
START_TEST(a_descriptor_that_did_not_arrive_is_no_bad_data) {
        AttSharedParts parts = { 0 };
        g_autoptr(GUnixFDList) none = g_unix_fd_list_new();

        refuses(&parts, GOOD, NULL, ATT_ERROR_FAILED);
        refuses(&parts, GOOD, g_steal_pointer(&none), ATT_ERROR_FAILED);
        refuses(&parts, "{'shared': <uint64 5>, 'shared_at': <uint64 1>, 'shared_size': <uint64 22>,"
                        " 'shared_fd': <handle 1>}", good_fds(), ATT_ERROR_FAILED);
        refuses(&parts, "{'shared': <uint64 5>, 'shared_at': <uint64 1>, 'shared_size': <uint64 22>}", NULL,
                ATT_ERROR_FAILED);
        joins(&parts, GOOD, good_fds(), "[" PART "its own]");
        att_shared_parts_clear(&parts);
}
END_TEST

START_TEST(the_last_descriptor_of_the_process_is_enough) {
        g_autoptr(GUnixFDList) fds = good_fds();
        AttSharedParts parts = { 0 };
        g_autoptr(GBytes) whole = NULL;
        struct rlimit before, none;

        ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &before), 0);
        none = before;
        none.rlim_cur = 0;
        ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &none), 0);
        whole = join(&parts, GOOD, g_steal_pointer(&fds), NULL);
        ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &before), 0);
        ck_assert_ptr_nonnull(whole);
        att_shared_parts_clear(&parts);
}
END_TEST

static int pipe_end(void) {
        int ends[2];

        ck_assert_int_eq(pipe2(ends, O_CLOEXEC), 0);
        close(ends[1]);
        return ends[0];
}

static int large_memfd(gsize size) {
        g_autofree guint8 *data = g_malloc0(size);

        return memfd_of(data, size, ALL_SEALS);
}

/* _i: what it is instead of a sealed memfd that fits */
START_TEST(refuses_a_descriptor_that_could_change_or_is_none) {
        AttSharedParts parts = { 0 };
        guint n = open_descriptors();
        int fd;

        if (_i == 0)
                fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
        else if (_i == 1)
                fd = pipe_end();
        else if (_i == 2)
                fd = memfd_of(PART, PART_SIZE, 0);
        else if (_i == 3)
                fd = memfd_of(PART, PART_SIZE, F_SEAL_SHRINK | F_SEAL_GROW);
        else if (_i == 4)
                fd = memfd_of(PART, PART_SIZE, F_SEAL_WRITE | F_SEAL_GROW);
        else if (_i == 5)
                fd = open(SOURCE_ROOT "/LICENSE", O_RDONLY | O_CLOEXEC);
        else if (_i == 6) /* as small as it is said to be, in no way */
                fd = large_memfd(ATT_CMW_SIZE_MAX + 1);
        else
                fd = memfd_of("", 0, ALL_SEALS);
        refuses(&parts, GOOD, fds_of(fd), ATT_ERROR_BAD_DATA);
        joins(&parts, GOOD, good_fds(), "[" PART "its own]");
        att_shared_parts_clear(&parts);
        ck_assert_uint_eq(open_descriptors(), n);
}
END_TEST

/* The whole is no larger than evidence may be; _i: by how much it is. */
START_TEST(refuses_what_is_too_large_in_one_piece) {
        gsize size = ATT_CMW_SIZE_MAX - 9 + (gsize) _i;
        g_autofree char *text = g_strdup_printf("{'shared': <uint64 5>, 'shared_at': <uint64 1>, 'shared_size':"
                                                " <uint64 %zu>, 'shared_fd': <handle 0>}", size);
        AttSharedParts parts = { 0 };
        g_autoptr(GBytes) whole = NULL;

        if (_i > 0) {
                refuses(&parts, text, fds_of(large_memfd(size)), ATT_ERROR_BAD_DATA);
        } else {
                whole = join(&parts, text, fds_of(large_memfd(size)), NULL);
                ck_assert_ptr_nonnull(whole);
                ck_assert_uint_eq(g_bytes_get_size(whole), ATT_CMW_SIZE_MAX);
        }
        att_shared_parts_clear(&parts);
}
END_TEST

int main(void) {
        Suite *s = suite_create("shared parts");
        TCase *t = tcase_create("join");

        tcase_add_test(t, one_piece_stays_as_it_is);
        tcase_add_test(t, puts_the_shared_part_into_its_place);
        tcase_add_test(t, what_came_with_the_shared_part_is_told_again);
        tcase_add_test(t, a_part_that_is_kept_has_the_size_it_had);
        tcase_add_test(t, a_descriptor_that_was_read_is_given_back);
        tcase_add_test(t, the_last_eight_are_kept);
        tcase_add_loop_test(t, refuses_a_description_that_is_none, 0, 16);
        tcase_add_test(t, a_descriptor_that_did_not_arrive_is_no_bad_data);
        tcase_add_test(t, the_last_descriptor_of_the_process_is_enough);
        tcase_add_loop_test(t, refuses_a_descriptor_that_could_change_or_is_none, 0, 8);
        tcase_add_loop_test(t, refuses_what_is_too_large_in_one_piece, 0, 2);
        suite_add_tcase(s, t);
        return run_suite(s);
}
