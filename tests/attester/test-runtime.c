/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What moves the generation, over a log, a root and a state that do what the test says. */
#include "attester/attester.h"

#include "run.h"
#include "state-double.h"
#include "tee-double.h"

#include <string.h>

/* The test moves it on. */
gint64 __real_g_get_monotonic_time(void);
gint64 __wrap_g_get_monotonic_time(void);
static gint64 later_us;

gint64 __wrap_g_get_monotonic_time(void) {
        return __real_g_get_monotonic_time() + later_us;
}

static AttConfiguration *configuration;
static AttAttester *attester;
static GString *story;
static guint n_properties; /* how often the properties of the runtime were other ones */

static void on_tee_changed(AttAttester *a, gpointer userdata) {
        (void) a, (void) userdata;
}

static void on_runtime_changed(AttAttester *a, gpointer userdata) {
        (void) a, (void) userdata;
        n_properties++;
}

static const AttAttesterEvents events = { .tee_changed = on_tee_changed, .runtime_changed = on_runtime_changed };

static void on_moved(AttGenerationListener *listener, uint64_t number, const char *const *reasons) {
        g_autofree char *joined = g_strjoinv("+", (char **) reasons);

        (void) listener;
        g_string_append_printf(story, "%u:%s ", (guint) number, joined);
}

static AttGenerationListener listener = { .moved = on_moved };

static void set_up(void) {
        state_double_reset();
        configuration = att_configuration_new();
        story = g_string_new(NULL);
        n_properties = 0;
        state_double_measure("boot_aggregate");
        state_double_measure("/sbin/init");
}

static void configure(const char *text) {
        g_autoptr(GError) error = NULL;

        ck_assert_msg(att_configuration_apply(configuration, "x", text, strlen(text), &error), "%s",
                      error ? error->message : "");
}

static void begin(void) {
        attester = att_attester_new(configuration, (AttEventSource *) &state_double, &events, NULL, NULL);
        att_generation_listen(att_attester_generation(attester), &listener);
}

static void tear_down(void) {
        att_generation_unlisten(&listener);
        att_attester_free(attester);
        att_configuration_free(configuration);
        g_string_free(story, TRUE);
        state_double_reset();
}

static AttRuntime *runtime(void) {
        return att_attester_runtime(attester);
}

static void settle(void) {
        while (g_main_context_iteration(NULL, FALSE))
                ;
}

static void told(const char *expected) {
        ck_assert_str_eq(story->str, expected);
        g_string_truncate(story, 0);
}

static void look_tells(const char *expected) {
        att_attester_look(attester);
        told(expected);
}

START_TEST(what_was_there_before_is_no_change) {
        state_double.violations = 3;
        state_double.watched = ATT_STATE_TCB;
        begin();
        look_tells("");
        ck_assert_uint_eq(att_runtime_ima_count(runtime()), 2);
        ck_assert_uint_eq(att_runtime_ima_violations(runtime()), 3);
        ck_assert_uint_eq(att_generation_get(att_attester_generation(attester)), 1);
}
END_TEST

static void measure(void) {
        state_double_measure("/bin/new");
}

static void violate(void) {
        state_double_violate("/etc/written");
}

static void garble(void) {
        state_double.ima_state = ATT_IMA_GARBLED;
}

static void extend(void) {
        state_double.watched = ATT_STATE_REGISTER;
}

static void update_tcb(void) {
        state_double.watched = ATT_STATE_TCB;
}

static void resume(void) {
        state_double.watched = ATT_STATE_RESUME;
}

static void permit(void) {
        state_double.watched = ATT_STATE_SELINUX;
}

static void lock_down(void) {
        state_double.watched = ATT_STATE_LOCKDOWN;
}

static void break_in(void) {
        state_double.is_foreign = true;
}

static void clone_guest(void) {
        state_double.handlers.cloned(state_double.userdata);
}

static const struct {
        void (*happens)(void);
        const char *reason;
        const char *key; /* by which it does not count */
        const char *root;
} changes[] = {
        { measure, "ima", "Ima", "claimed" },
        { violate, "ima-violation", "ImaViolation", "claimed" },
        { garble, "ima-state", "ImaState", "claimed" },
        { break_in, "ima-root", "Root", "rtmr" },
        { extend, "register", "Register", "claimed" },
        { update_tcb, "tcb", "Tcb", "claimed" },
        { resume, "resume", "Resume", "claimed" },
        { clone_guest, "clone", "Clone", "claimed" },
        { permit, "selinux", "Selinux", "claimed" },
        { lock_down, "lockdown", "Lockdown", "claimed" },
};

START_TEST(each_change_moves_it_once_by_its_name) {
        g_autofree char *root = g_strdup_printf("[Ima]\nRoot=%s\n", changes[_i].root);
        g_autofree char *expected = g_strdup_printf("2:%s ", changes[_i].reason);

        configure(root);
        begin();
        changes[_i].happens();
        look_tells(expected);
        look_tells("");
}
END_TEST

START_TEST(what_does_not_count_moves_nothing) {
        g_autofree char *text = g_strdup_printf("[Ima]\nRoot=%s\n[StateChange]\n%s=no\n", changes[_i].root,
                                                changes[_i].key);

        configure(text);
        begin();
        changes[_i].happens();
        look_tells("");
        measure();
        look_tells(_i == 0 || changes[_i].happens == garble ? "" : "2:ima ");
}
END_TEST

START_TEST(all_that_one_look_finds_is_one_move) {
        begin();
        for (guint i = 0; i < 100; i++)
                measure();
        violate();
        state_double.watched = ATT_STATE_SELINUX | ATT_STATE_REGISTER;
        tee_double_set_shared(true); /* which looks */
        told("2:register+selinux+ima+ima-violation+shared-device ");
}
END_TEST

static const struct {
        const char *setting;
        uint32_t pcr;
        const char *template_name;
        const char *path;
        bool counts;
} entries[] = {
        { "", 10, "ima-ng", "/bin/x", true },
        { "", 11, "ima-ng", "/bin/x", false },
        { "", 42, "ima-ng", "/bin/x", false },
        { "ImaPcrs=11\n", 11, "ima-ng", "/bin/x", true },
        { "ImaPcrs=11\n", 10, "ima-ng", "/bin/x", false },
        { "ImaPcrs=10;11\n", 10, "ima-ng", "/bin/x", true },
        { "ImaPcrs=\n", 10, "ima-ng", "/bin/x", false },
        { "ImaTemplates=ima-sig\n", 10, "ima-sig", "/bin/x", true },
        { "ImaTemplates=ima-sig\n", 10, "ima-ng", "/bin/x", false },
        { "ImaTemplates=ima-sig;ima-ng\n", 10, "ima-ng", "/bin/x", true },
        { "ImaTemplates=ima\n", 10, "ima-ng", "/bin/x", false },
        { "ImaIgnorePaths=/tmp/\n", 10, "ima-ng", "/tmp/x", false },
        { "ImaIgnorePaths=/tmp/\n", 10, "ima-ng", "/tmp", true },
        { "ImaIgnorePaths=/tmp/\n", 10, "ima-ng", "/var/tmp/x", true },
        { "ImaIgnorePaths=/a;/b\n", 10, "ima-ng", "/b", false },
};

START_TEST(configuration_says_which_entries_count) {
        g_autofree char *text = g_strdup_printf("[StateChange]\n%s", entries[_i].setting);

        configure(text);
        begin();
        state_double_measure_as(entries[_i].pcr, entries[_i].template_name, entries[_i].path);
        look_tells(entries[_i].counts ? "2:ima " : "");
        ck_assert_uint_eq(att_runtime_ima_count(runtime()), 3); /* C speaks of all, whether they count or not */
}
END_TEST

/* No hash covers the path of a violation: it must not be one that is ignored. */
START_TEST(a_violation_counts_whatever_its_path) {
        configure("[StateChange]\nImaIgnorePaths=/etc/\nImaTemplates=ima-sig\n");
        begin();
        violate();
        look_tells("2:ima-violation ");
}
END_TEST

START_TEST(without_a_log_the_counter_tells_of_violations) {
        state_double.ima_state = ATT_IMA_UNREADABLE;
        begin();
        state_double.violations++;
        look_tells("2:ima-violation ");
        look_tells("");
}
END_TEST

START_TEST(a_log_that_comes_and_goes_is_one_reason) {
        begin();
        ck_assert_str_eq(att_runtime_root(runtime()), "claimed");
        garble();
        look_tells("2:ima-state ");
        ck_assert_str_eq(att_runtime_root(runtime()), "none");
        ck_assert_str_eq(att_runtime_ima_detail(runtime()), "the test says so");
        ck_assert_uint_eq(n_properties, 1);
        measure(); /* cannot be seen */
        look_tells("");
        state_double.ima_state = ATT_IMA_OK;
        look_tells("3:ima+ima-state ");
        ck_assert_str_eq(att_runtime_root(runtime()), "claimed");
        ck_assert_uint_eq(n_properties, 2);
}
END_TEST

START_TEST(a_resume_or_a_clone_begins_an_instance) {
        const AttGeneration *g;
        uint8_t before[ATT_INSTANCE_ID_SIZE];

        begin();
        g = att_attester_generation(attester);
        memcpy(before, att_generation_instance_id(g), sizeof before);
        measure();
        look_tells("2:ima ");
        ck_assert_mem_eq(att_generation_instance_id(g), before, sizeof before);
        if (_i == 0)
                resume();
        else
                clone_guest();
        look_tells(_i == 0 ? "3:resume " : "3:clone ");
        ck_assert_mem_ne(att_generation_instance_id(g), before, sizeof before);
}
END_TEST

START_TEST(an_event_is_acted_on_and_a_tick_as_well) {
        begin();
        measure();
        state_double.handlers.measured(state_double.userdata);
        told("2:ima ");
        violate();
        state_double.handlers.tick(state_double.userdata);
        told("3:ima-violation ");
}
END_TEST

/* It changes by itself, and is no reason to move. */
START_TEST(an_event_source_that_sees_less_is_told_at_the_next_look) {
        begin();
        state_double.event_detail = "a processor came later";
        look_tells("");
        ck_assert_uint_eq(n_properties, 1);
        look_tells("");
        ck_assert_uint_eq(n_properties, 1);
}
END_TEST

START_TEST(says_what_runs_and_who_vouches_for_it) {
        configure("[Ima]\nRoot=rtmr\nRegister=2\n");
        begin();
        ck_assert_int_eq(att_runtime_ima_state(runtime()), ATT_IMA_OK);
        ck_assert_str_eq(att_runtime_ima_listed(runtime()), "sha256");
        ck_assert_str_eq(att_runtime_root(runtime()), "rtmr");
        ck_assert_str_eq(att_runtime_root_detail(runtime()), "");
        ck_assert_str_eq(att_runtime_event_source(runtime()), "kprobe");
        break_in();
        look_tells("2:ima-root ");
        ck_assert_str_eq(att_runtime_root(runtime()), "claimed");
        ck_assert(strstr(att_runtime_root_detail(runtime()), "RTMR 2"));
        ck_assert_uint_eq(n_properties, 1);
}
END_TEST

/* Or else what others extend it by would be told by nobody. */
START_TEST(sc33a_a_register_that_is_not_ours_is_watched_like_any_other) {
        configure("[Ima]\nRoot=rtmr\n");
        if (_i == 0)
                state_double.mirror_state = ATT_MIRROR_ABSENT; /* a kernel that cannot extend it */
        begin();
        if (_i == 1) {
                extend();
                look_tells("");
                break_in();
                extend();
                look_tells("2:ima-root ");
        }
        extend();
        look_tells(_i == 0 ? "2:register " : "3:register ");
}
END_TEST

START_TEST(a_register_that_lags_is_no_root) {
        configure("[Ima]\nRoot=rtmr\n");
        begin();
        state_double.mirror_lags = true;
        measure();
        look_tells("2:ima+ima-root ");
        ck_assert(strstr(att_runtime_root_detail(runtime()), "2 of 3 entries"));
        state_double.mirror_lags = false;
        look_tells("3:ima-root ");
}
END_TEST

/* ----- the TPM */

static void wait_until_root_is(const char *name) {
        while (!g_str_equal(att_runtime_root(runtime()), name)) {
                later_us += G_USEC_PER_SEC;
                g_thread_yield(); /* to the thread that asks it */
                att_attester_look(attester);
        }
}

START_TEST(without_a_tpm_the_default_root_is_our_word) {
        begin();
        ck_assert_str_eq(att_runtime_root(runtime()), "claimed");
        ck_assert_str_eq(att_runtime_root_detail(runtime()), "");
}
END_TEST

START_TEST(a_tpm_that_is_wanted_and_is_not_there_is_named) {
        configure("[Ima]\nRoot=tpm\n");
        begin();
        ck_assert_str_eq(att_runtime_root(runtime()), "claimed");
        ck_assert(strstr(att_runtime_root_detail(runtime()), "no TPM"));
}
END_TEST

/* C speaks of the whole log in @bank. */
static void expect_aggregate(AttBank bank) {
        g_autoptr(AttImaReplay) replay = att_ima_replay_new(ATT_BANK_SET(bank));
        guint64 count = att_runtime_ima_count(runtime());
        g_autoptr(GBytes) list = state_double_list(count);
        AttCursor log = att_cursor_bytes(list);
        g_autoptr(AttClaims) claims = g_new0(AttClaims, 1);
        AttTpm *tpm;

        ck_assert(att_ima_replay_add_log(replay, &log, ATT_BANK_SHA256, count, NULL));
        att_runtime_drop(runtime(), att_runtime_seal(runtime(), claims, &tpm));
        ck_assert_ptr_nonnull(tpm);
        ck_assert_str_eq(claims->ima->bank, att_bank_name(bank));
        ck_assert_uint_eq(claims->ima->count, count);
        ck_assert_mem_eq(g_bytes_get_data(claims->ima->aggregate, NULL), att_ima_replay_aggregate(replay, bank),
                         att_bank_size(bank));
}

/* The log is followed in the bank that is found only then: C is right from the first entry on. */
START_TEST(a_tpm_that_does_not_say_what_it_has_is_tried_again) {
        configure(_i == 0 ? "[Ima]\nRoot=auto\n" : "[Ima]\nRoot=tpm\n");
        state_double.has_tpm = true;
        state_double.tpm_bank = ATT_BANK_SHA384;
        state_double.bank_fault = "it is suspended";
        begin();
        ck_assert_str_eq(att_runtime_root(runtime()), "claimed");
        ck_assert(strstr(att_runtime_root_detail(runtime()), "it is suspended"));
        look_tells("");
        state_double.bank_fault = NULL;
        wait_until_root_is("tpm-outside");
        ck_assert_str_eq(att_runtime_root_detail(runtime()), "");
        told("2:ima-root ");
        expect_aggregate(ATT_BANK_SHA384);
}
END_TEST

START_TEST(a_tpm_that_hangs_at_the_start_is_taken_when_it_answers) {
        state_double.has_tpm = true;
        state_double.tpm_bank = ATT_BANK_SHA1;
        state_double_hold_tpm();
        begin();
        ck_assert_str_eq(att_runtime_root(runtime()), "claimed");
        ck_assert(strstr(att_runtime_root_detail(runtime()), "it has not answered yet"));
        look_tells("");
        state_double_release_tpm();
        wait_until_root_is("tpm-outside");
        told("2:ima-root ");
        expect_aggregate(ATT_BANK_SHA1);
}
END_TEST

START_TEST(a_tpm_that_turns_out_to_be_in_no_use_is_not_tried_for_ever) {
        configure(_i == 0 ? "[Ima]\nRoot=auto\n" : "[Ima]\nRoot=tpm\n");
        state_double.bank_fault = "it is suspended";
        begin();
        state_double.bank_fault = NULL;
        while (strstr(att_runtime_root_detail(runtime()), "it is suspended")) {
                later_us += G_USEC_PER_SEC;
                g_thread_yield();
                att_attester_look(attester);
        }
        ck_assert_str_eq(att_runtime_root(runtime()), "claimed");
        ck_assert(_i == 0 ? *att_runtime_root_detail(runtime()) == '\0'
                          : strstr(att_runtime_root_detail(runtime()), "there is no TPM") != NULL);
}
END_TEST

START_TEST(a_tpm_is_the_default_root_where_there_is_one) {
        state_double.has_tpm = true;
        state_double.tpm_bank = ATT_BANK_SHA384;
        begin();
        ck_assert_str_eq(att_runtime_root(runtime()), "tpm-outside");
        ck_assert_str_eq(att_runtime_root_detail(runtime()), "");
}
END_TEST

START_TEST(a_tpm_that_fails_at_the_start_is_tried_again) {
        state_double.has_tpm = true;
        state_double.tpm_fault = "it is locked out";
        begin();
        ck_assert_str_eq(att_runtime_root(runtime()), "claimed");
        ck_assert(strstr(att_runtime_root_detail(runtime()), "it is locked out"));
        look_tells("");
        state_double.tpm_fault = NULL;
        wait_until_root_is("tpm-outside");
        told("2:ima-root ");
}
END_TEST

START_TEST(evidence_does_not_speak_of_the_log_where_it_is_not_to) {
        configure("[Ima]\nRoot=none\n");
        begin();
        ck_assert_str_eq(att_runtime_root(runtime()), "none");
        measure();
        look_tells("2:ima "); /* it counts all the same */
}
END_TEST

/* ----- reports that nobody has asked for */

static void sit_idle(guint seconds) {
        later_us += seconds * G_USEC_PER_SEC;
        state_double.handlers.tick(state_double.userdata);
        settle();
}

static void begin_on_snp(void) {
        begin();
        tee_double_set_provider("sev_guest");
        tee_double_answer_all();
        g_string_truncate(story, 0);
}

START_TEST(an_idle_snp_guest_looks_at_a_report) {
        begin_on_snp();
        sit_idle(599);
        ck_assert_uint_eq(tee_double_asked->len, 0);
        state_double.seen = ATT_STATE_TCB;
        sit_idle(1);
        ck_assert_uint_eq(tee_double_asked->len, 1);
        sit_idle(5);
        told("3:tcb "); /* another provider was the second */
        ck_assert_uint_eq(tee_double_asked->len, 1);
        sit_idle(600);
        ck_assert_uint_eq(tee_double_asked->len, 2);
}
END_TEST

START_TEST(a_throttled_or_failing_device_is_left_to_who_waits) {
        begin_on_snp();
        if (_i == 0)
                tee_double_set_interval_us(970 * 1000);
        else if (_i == 1)
                tee_double_set_throttle_count(10); /* however quick the next one would be */
        else
                tee_double_set_failing(true);
        sit_idle(6000);
        ck_assert_uint_eq(tee_double_asked->len, 0);
}
END_TEST

START_TEST(no_report_is_made_where_none_is_to_be) {
        if (_i == 0)
                configure("[Snp]\nIdleReport=0\n");
        begin_on_snp();
        if (_i == 1)
                tee_double_set_provider("tdx_guest");
        sit_idle(6000);
        ck_assert_uint_eq(tee_double_asked->len, 0);
}
END_TEST

int main(void) {
        Suite *s = suite_create("runtime");
        TCase *t = tcase_create("looks");

        tcase_add_checked_fixture(t, set_up, tear_down);
        tcase_add_test(t, what_was_there_before_is_no_change);
        tcase_add_loop_test(t, each_change_moves_it_once_by_its_name, 0, (int) G_N_ELEMENTS(changes));
        tcase_add_loop_test(t, what_does_not_count_moves_nothing, 0, (int) G_N_ELEMENTS(changes));
        tcase_add_test(t, all_that_one_look_finds_is_one_move);
        tcase_add_loop_test(t, configuration_says_which_entries_count, 0, (int) G_N_ELEMENTS(entries));
        tcase_add_test(t, a_violation_counts_whatever_its_path);
        tcase_add_test(t, without_a_log_the_counter_tells_of_violations);
        tcase_add_test(t, a_log_that_comes_and_goes_is_one_reason);
        tcase_add_loop_test(t, a_resume_or_a_clone_begins_an_instance, 0, 2);
        tcase_add_test(t, an_event_is_acted_on_and_a_tick_as_well);
        tcase_add_test(t, an_event_source_that_sees_less_is_told_at_the_next_look);
        tcase_add_test(t, says_what_runs_and_who_vouches_for_it);
        tcase_add_loop_test(t, sc33a_a_register_that_is_not_ours_is_watched_like_any_other, 0, 2);
        tcase_add_test(t, a_register_that_lags_is_no_root);
        tcase_add_test(t, without_a_tpm_the_default_root_is_our_word);
        tcase_add_test(t, a_tpm_that_is_wanted_and_is_not_there_is_named);
        tcase_add_loop_test(t, a_tpm_that_does_not_say_what_it_has_is_tried_again, 0, 2);
        tcase_add_test(t, a_tpm_that_hangs_at_the_start_is_taken_when_it_answers);
        tcase_add_loop_test(t, a_tpm_that_turns_out_to_be_in_no_use_is_not_tried_for_ever, 0, 2);
        tcase_add_test(t, a_tpm_is_the_default_root_where_there_is_one);
        tcase_add_test(t, a_tpm_that_fails_at_the_start_is_tried_again);
        tcase_add_test(t, evidence_does_not_speak_of_the_log_where_it_is_not_to);
        tcase_add_test(t, an_idle_snp_guest_looks_at_a_report);
        tcase_add_loop_test(t, a_throttled_or_failing_device_is_left_to_who_waits, 0, 3);
        tcase_add_loop_test(t, no_report_is_made_where_none_is_to_be, 0, 2);
        suite_add_tcase(s, t);
        return run_suite(s);
}
