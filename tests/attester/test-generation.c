/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "attester/generation.h"

#include "run.h"

#include <string.h>

#define BECAUSE(reason) ((const char *const[]) { reason, NULL })

typedef struct Ear {
        AttGenerationListener listener;
        guint id;
        guint n_heard;
        uint64_t number;
        char *reason;
} Ear;

static GString *heard;

static void on_moved(AttGenerationListener *listener, uint64_t number, const char *const *reasons) {
        Ear *e = (Ear *) listener;

        g_autofree char *joined = g_strjoinv("+", (char **) reasons);

        ck_assert(reasons[0]);
        g_string_append_printf(heard, "%u:%s ", e->id, joined);
        e->n_heard++;
        e->number = number;
}

START_TEST(begins_at_one_in_an_instance_of_its_own) {
        g_autoptr(AttGeneration) a = att_generation_new(NULL), b = att_generation_new(NULL);
        uint8_t boot_id[ATT_BOOT_ID_SIZE];

        ck_assert(a && b);
        ck_assert_uint_eq(att_generation_get(a), 1);
        ck_assert(att_boot_id_read(boot_id, NULL));
        ck_assert_mem_eq(att_generation_boot_id(a), boot_id, sizeof boot_id);
        ck_assert_mem_ne(att_generation_instance_id(a), att_generation_instance_id(b), ATT_INSTANCE_ID_SIZE);
}
END_TEST

START_TEST(tells_listeners_in_the_order_in_which_they_came) {
        g_autoptr(AttGeneration) g = att_generation_new(NULL);
        Ear a = { .listener.moved = on_moved, .id = 1 }, b = { .listener.moved = on_moved, .id = 2 };
        Ear late = { .listener.moved = on_moved, .id = 3 };

        heard = g_string_new(NULL);
        att_generation_unlisten(&a.listener); /* who does not listen need not know */
        att_generation_listen_late(g, &late.listener);
        att_generation_listen(g, &a.listener);
        att_generation_listen(g, &b.listener);
        att_generation_move(g, BECAUSE("x"));
        att_generation_unlisten(&a.listener);
        att_generation_move(g, BECAUSE("y"));
        att_generation_listen(g, &a.listener);
        att_generation_move(g, BECAUSE("z"));
        ck_assert_str_eq(heard->str, "1:x 2:x 3:x 2:y 3:y 2:z 1:z 3:z ");
        ck_assert_uint_eq(a.number, 4);
        ck_assert_uint_eq(att_generation_get(g), 4);
        g_string_free(heard, TRUE);
}
END_TEST

START_TEST(moves_once_for_all_that_one_look_has_found) {
        g_autoptr(AttGeneration) g = att_generation_new(NULL);
        Ear e = { .listener.moved = on_moved, .id = 1 };

        heard = g_string_new(NULL);
        att_generation_listen(g, &e.listener);
        att_generation_move(g, (const char *const[]) { "x", "y", "z", NULL });
        ck_assert_str_eq(heard->str, "1:x+y+z ");
        ck_assert_uint_eq(e.number, 2);
        g_string_free(heard, TRUE);
}
END_TEST

START_TEST(begins_an_instance_with_a_move) {
        g_autoptr(AttGeneration) g = att_generation_new(NULL);
        Ear e = { .listener.moved = on_moved, .id = 1 };
        uint8_t before[ATT_INSTANCE_ID_SIZE];

        heard = g_string_new(NULL);
        memcpy(before, att_generation_instance_id(g), sizeof before);
        att_generation_listen(g, &e.listener);
        att_generation_new_instance(g, BECAUSE("clone"));
        ck_assert_str_eq(heard->str, "1:clone ");
        ck_assert_uint_eq(att_generation_get(g), 2);
        ck_assert_mem_ne(att_generation_instance_id(g), before, sizeof before);
        g_string_free(heard, TRUE);
}
END_TEST

static char *since(AttGeneration *g, uint64_t number) {
        return g_strjoinv(" ", (char **) att_generation_reasons_since(g, number));
}

START_TEST(remembers_why_it_moved) {
        g_autoptr(AttGeneration) g = att_generation_new(NULL);
        g_autofree char *none = since(g, 1), *one = NULL, *some = NULL, *many = NULL;

        ck_assert_str_eq(none, "");
        att_generation_move(g, BECAUSE("a"));
        att_generation_move(g, BECAUSE("b"));
        att_generation_move(g, BECAUSE("b"));
        att_generation_move(g, BECAUSE("a"));
        one = since(g, 4);
        ck_assert_str_eq(one, "a");
        some = since(g, 1);
        ck_assert_str_eq(some, "a b");

        att_generation_move(g, (const char *const[]) { "c", "a", NULL });
        g_free(one);
        one = since(g, 4);
        ck_assert_str_eq(one, "a c");

        for (guint i = 0; i < 100; i++)
                att_generation_move(g, BECAUSE(i % 2 ? "c" : "d"));
        many = since(g, 1); /* what is too long ago is forgotten, not made up */
        ck_assert_str_eq(many, "d c");
}
END_TEST

int main(void) {
        Suite *s = suite_create("generation");
        TCase *t = tcase_create("generation");

        tcase_add_test(t, begins_at_one_in_an_instance_of_its_own);
        tcase_add_test(t, tells_listeners_in_the_order_in_which_they_came);
        tcase_add_test(t, moves_once_for_all_that_one_look_has_found);
        tcase_add_test(t, begins_an_instance_with_a_move);
        tcase_add_test(t, remembers_why_it_moved);
        suite_add_tcase(s, t);
        return run_suite(s);
}
