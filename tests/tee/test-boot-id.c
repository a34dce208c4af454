/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "run.h"
#include "tee/boot-id.h"
#include "util/error.h"

#include <string.h>

static const char good[] = "f99944e7-9ba2-4fbd-bf83-be2595938575\n";
static const uint8_t good_bytes[] = { 0xf9, 0x99, 0x44, 0xe7, 0x9b, 0xa2, 0x4f, 0xbd,
                                      0xbf, 0x83, 0xbe, 0x25, 0x95, 0x93, 0x85, 0x75 };

START_TEST(reads_what_the_kernel_prints) {
        uint8_t id[ATT_BOOT_ID_SIZE];

        ck_assert(att_boot_id_parse(good, sizeof good - 1, id, NULL));
        ck_assert_mem_eq(id, good_bytes, sizeof id);
}
END_TEST

START_TEST(refuses_a_short_one) {
        g_autofree char *exact = g_memdup2(good, (gsize) _i);
        g_autoptr(GError) error = NULL;
        uint8_t id[ATT_BOOT_ID_SIZE] = { 7 };

        ck_assert(!att_boot_id_parse(exact, (gsize) _i, id, &error));
        ck_assert(g_error_matches(error, ATT_ERROR, ATT_ERROR_BAD_DATA));
        ck_assert_uint_eq(id[0], 7);
}
END_TEST

START_TEST(refuses_a_damaged_one) {
        static const struct {
                size_t at;
                char byte;
        } damages[] = {
                { 0, 'g' }, { 1, 'F' }, { 8, '0' }, { 13, ' ' }, { 18, 'a' }, { 23, '_' }, { 35, 0 }, { 36, '0' },
        };
        uint8_t id[ATT_BOOT_ID_SIZE];

        for (size_t i = 0; i < G_N_ELEMENTS(damages); i++) {
                char text[sizeof good];

                memcpy(text, good, sizeof good);
                text[damages[i].at] = damages[i].byte;
                ck_assert_msg(!att_boot_id_parse(text, sizeof good - 1, id, NULL), "accepted: %s", text);
        }
        ck_assert(!att_boot_id_parse("f99944e7-9ba2-4fbd-bf83-be2595938575\n\n", sizeof good, id, NULL));
}
END_TEST

START_TEST(is_the_same_throughout_a_boot) {
        uint8_t a[ATT_BOOT_ID_SIZE], b[ATT_BOOT_ID_SIZE];

        ck_assert(att_boot_id_read(a, NULL));
        ck_assert(att_boot_id_read(b, NULL));
        ck_assert_mem_eq(a, b, sizeof a);
}
END_TEST

START_TEST(instances_differ) {
        uint8_t a[ATT_INSTANCE_ID_SIZE] = { 0 }, b[ATT_INSTANCE_ID_SIZE] = { 0 };

        ck_assert(att_instance_id_new(a, NULL));
        ck_assert(att_instance_id_new(b, NULL));
        ck_assert_mem_ne(a, b, sizeof a);
}
END_TEST

int main(void) {
        Suite *s = suite_create("boot-id");
        TCase *t = tcase_create("boot");

        tcase_add_test(t, reads_what_the_kernel_prints);
        tcase_add_loop_test(t, refuses_a_short_one, 0, sizeof good - 1);
        tcase_add_test(t, refuses_a_damaged_one);
        tcase_add_test(t, is_the_same_throughout_a_boot);
        suite_add_tcase(s, t);

        t = tcase_create("instance");
        tcase_add_test(t, instances_differ);
        suite_add_tcase(s, t);
        return run_suite(s);
}
