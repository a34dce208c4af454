/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "attester/state-file.h"

#include "run.h"
#include "util/error.h"

#include <glib/gstdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define BECAUSE(reason) ((const char *const[]) { reason, NULL })

static char *top, *dir, *path;

static void make_dir(void) {
        top = g_dir_make_tmp("attestd-XXXXXX", NULL);
        dir = g_build_filename(top, "attestd", NULL);
        path = g_build_filename(dir, ATT_STATE_FILE, NULL);
}

static void remove_dir(void) {
        g_autofree char *new_file = g_strconcat(path, ".new", NULL);

        (void) g_remove(path);
        (void) g_remove(new_file);
        (void) g_remove(dir);
        (void) g_remove(top);
        g_clear_pointer(&top, g_free);
        g_clear_pointer(&dir, g_free);
        g_clear_pointer(&path, g_free);
}

static AttGeneration *generation_new(void) {
        AttGeneration *g = att_generation_new(NULL);

        ck_assert(g != NULL);
        return g;
}

static char *content(void) {
        char *text = NULL;

        (void) g_file_get_contents(path, &text, NULL, NULL);
        return text;
}

static AttLastState read_back(void) {
        g_autofree char *text = content();
        AttLastState state;

        ck_assert(text != NULL);
        ck_assert(att_last_state_parse(text, strlen(text), &state, NULL));
        return state;
}

static void put(const char *text, mode_t mode) {
        (void) g_mkdir(dir, 0700);
        ck_assert(g_file_set_contents(path, text, -1, NULL));
        ck_assert_int_eq(g_chmod(path, mode), 0);
}

/* The file of one of this boot that has got to @number. */
static char *text_of(uint64_t number) {
        g_autoptr(AttGeneration) g = generation_new();
        AttLastState state = { .generation = number };

        memcpy(state.boot_id, att_generation_boot_id(g), sizeof state.boot_id);
        return att_last_state_print(&state);
}

/* What a new instance begins at. */
static uint64_t begin(void) {
        g_autoptr(AttGeneration) g = generation_new();
        uint64_t number;

        att_state_file_end(att_state_file_begin(dir, g));
        number = att_generation_get(g);
        return number;
}

START_TEST(a_state_is_four_lines) {
        AttLastState state = { .boot_id = { 0xab }, .instance_id = { 1, 2 }, .generation = 17 }, back;
        g_autofree char *text = att_last_state_print(&state);

        ck_assert_str_eq(text, "attestd-state 1\n"
                               "boot ab000000000000000000000000000000\n"
                               "instance 01020000000000000000000000000000\n"
                               "generation 17\n"
                               "end running\n");
        ck_assert(att_last_state_parse(text, strlen(text), &back, NULL));
        ck_assert_mem_eq(back.boot_id, state.boot_id, sizeof back.boot_id);
        ck_assert_mem_eq(back.instance_id, state.instance_id, sizeof back.instance_id);
        ck_assert_uint_eq(back.generation, 17);
        ck_assert(!back.is_stopped);
}
END_TEST

START_TEST(refuses_every_prefix_and_leaves_the_result_alone) {
        AttLastState state = { .generation = 1, .is_stopped = true }, untouched = { .generation = 99 }, result;
        g_autofree char *text = att_last_state_print(&state);

        for (gsize size = 0; size < strlen(text); size++) {
                g_autofree char *exact = g_memdup2(text, size);
                g_autoptr(GError) error = NULL;

                result = untouched;
                ck_assert(!att_last_state_parse(exact, size, &result, &error));
                ck_assert(g_error_matches(error, ATT_ERROR, ATT_ERROR_BAD_DATA));
                ck_assert_mem_eq(&result, &untouched, sizeof result);
        }
        ck_assert(att_last_state_parse(text, strlen(text), &result, NULL));
}
END_TEST

#define ID "00000000000000000000000000000000"
#define HEAD "attestd-state 1\nboot " ID "\ninstance " ID "\n"

static const char *const garbled[] = {
        "", "\n", "garbage", "attestd-state 2\nboot " ID "\ninstance " ID "\ngeneration 1\nend running\n",
        HEAD "generation 0\nend running\n", HEAD "generation 01\nend running\n", HEAD "generation -1\nend running\n",
        HEAD "generation +1\nend running\n", HEAD "generation 9223372036854775808\nend running\n",
        HEAD "generation 18446744073709551617\nend running\n", HEAD "generation \nend running\n",
        HEAD "generation 1 \nend running\n", HEAD "generation 1\nend killed!\n", HEAD "generation 1\nend running\n\n",
        HEAD "generation 1\nend running\nend stopped\n", HEAD "end running\ngeneration 1\n",
        "attestd-state 1\nboot 0000000000000000000000000000000A\ninstance " ID "\ngeneration 1\nend running\n",
        "attestd-state 1\nboot 000000000000000000000000000000xy\ninstance " ID "\ngeneration 1\nend running\n",
        "attestd-state 1\nboot " ID "00\ninstance " ID "\ngeneration 1\nend running\n",
};

START_TEST(refuses_what_is_garbled) {
        const char *good = HEAD "generation 9223372036854775807\nend running\n";
        AttLastState state;

        ck_assert(!att_last_state_parse(garbled[_i], strlen(garbled[_i]), &state, NULL));
        ck_assert(att_last_state_parse(good, strlen(good), &state, NULL));
}
END_TEST

START_TEST(the_first_of_a_boot_begins_at_one_and_says_so) {
        g_autoptr(AttGeneration) g = generation_new();
        AttStateFile *f = att_state_file_begin(dir, g);
        AttLastState state = read_back();
        struct stat st;

        ck_assert_uint_eq(att_generation_get(g), 1);
        ck_assert_uint_eq(state.generation, 1);
        ck_assert(!state.is_stopped);
        ck_assert_mem_eq(state.boot_id, att_generation_boot_id(g), sizeof state.boot_id);
        ck_assert_mem_eq(state.instance_id, att_generation_instance_id(g), sizeof state.instance_id);
        ck_assert_int_eq(stat(path, &st), 0);
        ck_assert_int_eq(st.st_mode & 07777, 0600);
        ck_assert_int_eq(stat(dir, &st), 0);
        ck_assert_int_eq(st.st_mode & 07777, 0700);
        att_state_file_end(f);
        ck_assert(read_back().is_stopped);
}
END_TEST

typedef struct Ear {
        AttGenerationListener listener;
        uint64_t in_file;
} Ear;

static void on_moved(AttGenerationListener *listener, uint64_t number, const char *const *reasons) {
        (void) reasons;
        ((Ear *) listener)->in_file = read_back().generation;
        ck_assert_uint_eq(((Ear *) listener)->in_file, number);
}

START_TEST(a_move_is_in_the_file_before_anybody_is_told) {
        g_autoptr(AttGeneration) g = generation_new();
        Ear ear = { .listener.moved = on_moved };
        AttStateFile *f = att_state_file_begin(dir, g);

        att_generation_listen(g, &ear.listener);
        for (guint i = 0; i < 3; i++)
                att_generation_move(g, BECAUSE("x"));
        ck_assert_uint_eq(ear.in_file, 4);
        att_state_file_end(f);
        ck_assert_uint_eq(read_back().generation, 4);
}
END_TEST

START_TEST(the_next_one_begins_after_the_last_however_that_ended) {
        g_autoptr(AttGeneration) first = generation_new(), second = generation_new(), third = generation_new();
        AttStateFile *killed = att_state_file_begin(dir, first), *f;

        att_generation_move(first, BECAUSE("x")); /* it is at 2 when it is killed */
        f = att_state_file_begin(dir, second);
        ck_assert_uint_eq(att_generation_get(second), 3);
        ck_assert_ptr_eq(att_generation_reasons_since(second, 3)[0], NULL);
        att_generation_move(second, BECAUSE("y"));
        ck_assert_str_eq(att_generation_reasons_since(second, 3)[0], "y");
        ck_assert_ptr_eq(att_generation_reasons_since(second, 1)[1], NULL); /* nothing of instances before */
        att_state_file_end(f);

        f = att_state_file_begin(dir, third);
        ck_assert_uint_eq(att_generation_get(third), 5);
        ck_assert(!read_back().is_stopped);
        att_state_file_end(f);
        att_state_file_end(killed);
}
END_TEST

START_TEST(what_is_garbled_is_ignored_and_replaced) {
        g_autofree char *huge = g_strnfill(100000, 'x');

        put(_i < (int) G_N_ELEMENTS(garbled) ? garbled[_i] : huge, 0600);
        ck_assert_uint_eq(begin(), 1);
        ck_assert_uint_eq(read_back().generation, 1);
        ck_assert_uint_eq(begin(), 2);
}
END_TEST

START_TEST(a_file_of_another_boot_is_ignored) {
        g_autofree char *ours = text_of(40);
        AttLastState state = { .boot_id = { 7 }, .generation = 40 };
        g_autofree char *theirs = att_last_state_print(&state);

        put(theirs, 0600);
        ck_assert_uint_eq(begin(), 1);
        put(ours, 0600);
        ck_assert_uint_eq(begin(), 41);
}
END_TEST

START_TEST(sc32a_a_file_that_others_can_write_is_ignored) {
        g_autofree char *text = text_of(40);

        put(text, 0666);
        ck_assert_uint_eq(begin(), 1);
        put(text, 0620);
        ck_assert_uint_eq(begin(), 1);
        put(text, 0600);
        if (geteuid() == 0) {
                ck_assert_int_eq(chown(path, 1, 1), 0);
                ck_assert_uint_eq(begin(), 1);
        }
        put(text, 0600);
        ck_assert_uint_eq(begin(), 41);
}
END_TEST

START_TEST(sc32b_no_link_is_followed) {
        g_autofree char *text = text_of(40), *elsewhere = g_build_filename(top, "elsewhere", NULL), *after = NULL;

        ck_assert(g_file_set_contents(elsewhere, text, -1, NULL));
        ck_assert_int_eq(g_mkdir(dir, 0700), 0);
        ck_assert_int_eq(symlink(elsewhere, path), 0);
        ck_assert_uint_eq(begin(), 1);
        ck_assert(g_file_get_contents(elsewhere, &after, NULL, NULL)); /* nor is it written through */
        ck_assert_str_eq(after, text);
        ck_assert_int_eq(g_remove(elsewhere), 0);
        ck_assert_uint_eq(begin(), 2);
}
END_TEST

START_TEST(what_is_no_file_is_not_waited_for) {
        g_autofree char *text = text_of(40);

        ck_assert_int_eq(g_mkdir(dir, 0700), 0);
        ck_assert_int_eq(mkfifo(path, 0600), 0);
        ck_assert_uint_eq(begin(), 1);
        put(text, 0600);
        ck_assert_uint_eq(begin(), 41);
}
END_TEST

START_TEST(a_directory_of_others_is_done_without) {
        g_autofree char *text = text_of(40), *after = NULL;

        put(text, 0600);
        ck_assert_int_eq(g_chmod(dir, 0777), 0);
        ck_assert_uint_eq(begin(), 1);
        after = content();
        ck_assert_str_eq(after, text);
        ck_assert_int_eq(g_chmod(dir, 0700), 0);
        ck_assert_uint_eq(begin(), 41);
}
END_TEST

START_TEST(one_that_was_killed_while_it_wrote_is_cleaned_up_after) {
        g_autofree char *text = text_of(40), *new_file = g_strconcat(path, ".new", NULL);

        put(text, 0600);
        ck_assert(g_file_set_contents(new_file, "attestd-st", -1, NULL));
        ck_assert_uint_eq(begin(), 41);
        ck_assert(!g_file_test(new_file, G_FILE_TEST_EXISTS));
}
END_TEST

START_TEST(a_file_that_cannot_be_written_is_not_left_behind_the_truth) {
        g_autoptr(AttGeneration) g = generation_new();
        g_autofree char *new_file = g_strconcat(path, ".new", NULL);
        AttStateFile *f = att_state_file_begin(dir, g);

        ck_assert_int_eq(g_mkdir(new_file, 0700), 0); /* in the way: not even root can write there */
        att_generation_move(g, BECAUSE("x"));
        ck_assert(!g_file_test(path, G_FILE_TEST_EXISTS));
        att_generation_move(g, BECAUSE("x")); /* and the service goes on */
        ck_assert_uint_eq(att_generation_get(g), 3);
        att_state_file_end(f);
}
END_TEST

int main(void) {
        Suite *s = suite_create("state-file");
        TCase *text = tcase_create("text"), *file = tcase_create("file");

        tcase_add_test(text, a_state_is_four_lines);
        tcase_add_test(text, refuses_every_prefix_and_leaves_the_result_alone);
        tcase_add_loop_test(text, refuses_what_is_garbled, 0, G_N_ELEMENTS(garbled));
        suite_add_tcase(s, text);

        tcase_add_checked_fixture(file, make_dir, remove_dir);
        tcase_add_test(file, the_first_of_a_boot_begins_at_one_and_says_so);
        tcase_add_test(file, a_move_is_in_the_file_before_anybody_is_told);
        tcase_add_test(file, the_next_one_begins_after_the_last_however_that_ended);
        tcase_add_loop_test(file, what_is_garbled_is_ignored_and_replaced, 0, G_N_ELEMENTS(garbled) + 1);
        tcase_add_test(file, a_file_of_another_boot_is_ignored);
        tcase_add_test(file, sc32a_a_file_that_others_can_write_is_ignored);
        tcase_add_test(file, sc32b_no_link_is_followed);
        tcase_add_test(file, what_is_no_file_is_not_waited_for);
        tcase_add_test(file, a_directory_of_others_is_done_without);
        tcase_add_test(file, one_that_was_killed_while_it_wrote_is_cleaned_up_after);
        tcase_add_test(file, a_file_that_cannot_be_written_is_not_left_behind_the_truth);
        suite_add_tcase(s, file);
        return run_suite(s);
}
