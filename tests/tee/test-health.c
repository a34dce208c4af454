/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "run.h"
#include "tee/fault.h"
#include "tee/health.h"

#include <errno.h>

static AttTeeHealth health;

static void setup(void) {
        att_tee_health_init(&health);
}

static void teardown(void) {
        att_tee_health_clear(&health);
}

static void looked(AttTeeFault fault) {
        g_autoptr(GError) e = NULL;

        att_tee_fault_set(&e, fault, "that");
        att_tee_health_looked(&health, NULL, e);
}

static void reported(AttTeeFault fault) {
        g_autoptr(GError) e = NULL;

        att_tee_fault_set(&e, fault, "that");
        att_tee_health_reported(&health, "tdx_guest", e);
}

static void is(AttTeeState state) {
        ck_assert_str_eq(att_tee_state_name(health.state), att_tee_state_name(state));
        ck_assert_int_eq(health.detail[0] == '\0', state == ATT_TEE_READY);
}

START_TEST(begins_without_a_tee) {
        is(ATT_TEE_NO_TEE);
        ck_assert_str_eq(health.provider, "");
}
END_TEST

START_TEST(is_ready_when_one_is_found) {
        looked(ATT_TEE_FAULT_NO_PROVIDER);
        is(ATT_TEE_NO_TEE);
        att_tee_health_looked(&health, "tdx_guest", NULL);
        is(ATT_TEE_READY);
        ck_assert_str_eq(health.provider, "tdx_guest");
}
END_TEST

START_TEST(says_what_to_do) {
        static const struct {
                AttTeeFault fault;
                const char *what;
        } advice[] = {
                { ATT_TEE_FAULT_NO_CONFIGFS, "mount configfs on /sys/kernel/config" },
                { ATT_TEE_FAULT_NO_CORE, "its driver (tdx_guest, sev-guest) is not loaded" },
                { ATT_TEE_FAULT_NO_PROVIDER,
                  "this is not a confidential guest or its driver (tdx_guest, sev-guest) is not loaded" },
        };

        for (size_t i = 0; i < G_N_ELEMENTS(advice); i++) {
                looked(advice[i].fault);
                is(ATT_TEE_NO_TEE);
                ck_assert_ptr_nonnull(strstr(health.detail, advice[i].what));
        }
}
END_TEST

START_TEST(a_provider_that_leaves_is_lost_and_may_return) {
        att_tee_health_looked(&health, "tdx_guest", NULL);
        looked(ATT_TEE_FAULT_NO_PROVIDER);
        is(ATT_TEE_DEVICE_LOST);
        ck_assert_str_eq(health.detail, "the TEE was here and is gone; load its driver again (tdx_guest, sev-guest)");
        ck_assert_str_eq(health.provider, "");
        ck_assert(!att_tee_health_is_lost(&health)); /* asking is only a look */
        att_tee_health_looked(&health, "sev_guest", NULL);
        is(ATT_TEE_READY);
        ck_assert_str_eq(health.provider, "sev_guest");
}
END_TEST

START_TEST(a_failed_report_degrades_until_a_good_one) {
        att_tee_health_looked(&health, "tdx_guest", NULL);
        reported(ATT_TEE_FAULT_HOST);
        is(ATT_TEE_DEGRADED);
        att_tee_health_looked(&health, "tdx_guest", NULL); /* a look proves nothing */
        is(ATT_TEE_DEGRADED);
        att_tee_health_reported(&health, "tdx_guest", NULL);
        is(ATT_TEE_READY);
}
END_TEST

START_TEST(ft05_a_disabled_key_is_lost_until_the_provider_was_gone) {
        att_tee_health_looked(&health, "sev_guest", NULL);
        reported(ATT_TEE_FAULT_KEY_DISABLED);
        is(ATT_TEE_DEVICE_LOST);
        ck_assert(att_tee_health_is_lost(&health));
        att_tee_health_looked(&health, "sev_guest", NULL);
        is(ATT_TEE_DEVICE_LOST);
        ck_assert(att_tee_health_is_lost(&health));

        looked(ATT_TEE_FAULT_NO_PROVIDER);
        is(ATT_TEE_DEVICE_LOST);
        att_tee_health_looked(&health, "sev_guest", NULL);
        is(ATT_TEE_READY);
        ck_assert(!att_tee_health_is_lost(&health));
}
END_TEST

START_TEST(a_driver_that_was_loaded_anew_has_its_key) {
        att_tee_health_looked(&health, "sev_guest", NULL);
        reported(ATT_TEE_FAULT_KEY_DISABLED);
        att_tee_health_replaced(&health);
        att_tee_health_looked(&health, "sev_guest", NULL);
        is(ATT_TEE_READY);
        ck_assert(!att_tee_health_is_lost(&health));
}
END_TEST

START_TEST(a_td_that_has_its_device_alone_is_told_so) {
        looked(ATT_TEE_FAULT_LOCAL_ONLY);
        is(ATT_TEE_NO_TEE);
        ck_assert_ptr_nonnull(strstr(health.detail, "quotes need configfs-tsm"));

        /* One that had more had a driver that is gone. */
        att_tee_health_looked(&health, "tdx_guest", NULL);
        looked(ATT_TEE_FAULT_LOCAL_ONLY);
        is(ATT_TEE_DEVICE_LOST);
        ck_assert_ptr_nonnull(strstr(health.detail, "load its driver again"));
}
END_TEST

START_TEST(a_device_that_may_not_be_opened_is_not_lost) {
        att_tee_health_looked(&health, "sev_guest", NULL);
        looked(ATT_TEE_FAULT_NO_ACCESS);
        is(ATT_TEE_DEGRADED);
        ck_assert_ptr_nonnull(strstr(health.detail, "restart it"));
        ck_assert(!att_tee_health_is_lost(&health));
}
END_TEST

START_TEST(entries_of_others_make_it_shared) {
        att_tee_health_looked(&health, "tdx_guest", NULL);
        att_tee_health_counted(&health, 2, "kbs");
        is(ATT_TEE_SHARED_DEVICE);
        ck_assert_ptr_nonnull(strstr(health.detail, "kbs"));
        ck_assert(health.is_shared);

        /* A worse state does not make that untrue. */
        reported(ATT_TEE_FAULT_EMPTY);
        is(ATT_TEE_DEGRADED);
        ck_assert(health.is_shared);

        att_tee_health_reported(&health, "tdx_guest", NULL);
        is(ATT_TEE_SHARED_DEVICE);
        att_tee_health_counted(&health, 0, NULL);
        is(ATT_TEE_READY);
}
END_TEST

START_TEST(sc33_what_cannot_be_seen_is_taken_for_shared) {
        g_autoptr(GError) e = NULL;

        att_tee_fault_set(&e, ATT_TEE_FAULT_NO_ENTRY, "cannot read that");
        att_tee_health_looked(&health, "tdx_guest", NULL);
        att_tee_health_counted(&health, 0, NULL);
        is(ATT_TEE_READY);
        att_tee_health_uncounted(&health, e);
        is(ATT_TEE_SHARED_DEVICE);
        ck_assert(health.is_shared);
        ck_assert(g_str_has_prefix(health.detail, "others may be using the TEE unseen: cannot read that"));
        att_tee_health_counted(&health, 0, NULL);
        is(ATT_TEE_READY);
        ck_assert(!health.is_shared);
}
END_TEST

START_TEST(cannot_make_an_entry_is_no_absence) {
        looked(ATT_TEE_FAULT_NO_ENTRY);
        is(ATT_TEE_DEGRADED);
        att_tee_health_looked(&health, "tdx_guest", NULL);
        is(ATT_TEE_READY);
}
END_TEST

static AttError told(AttTeeFault fault) {
        g_autoptr(GError) e = NULL, answer = NULL;

        att_tee_fault_set(&e, fault, "that");
        answer = att_tee_health_error(&health, e);
        ck_assert(answer->domain == ATT_ERROR);
        if (health.state == ATT_TEE_READY && fault != ATT_TEE_FAULT_NO_PROVIDER)
                ck_assert_str_eq(answer->message, e->message);
        return (AttError) answer->code;
}

START_TEST(callers_hear_what_they_can_act_on) {
        ck_assert_int_eq(told(ATT_TEE_FAULT_NO_PROVIDER), ATT_ERROR_NO_TEE);
        att_tee_health_looked(&health, "tdx_guest", NULL);
        ck_assert_int_eq(told(ATT_TEE_FAULT_NO_PROVIDER), ATT_ERROR_DEVICE_LOST);
        ck_assert_int_eq(told(ATT_TEE_FAULT_KEY_DISABLED), ATT_ERROR_DEVICE_LOST);
        ck_assert_int_eq(told(ATT_TEE_FAULT_BUSY), ATT_ERROR_DEVICE_BUSY);
        ck_assert_int_eq(told(ATT_TEE_FAULT_INTERRUPTED), ATT_ERROR_DEVICE_BUSY);
        ck_assert_int_eq(told(ATT_TEE_FAULT_TIMED_OUT), ATT_ERROR_FAILED);
        ck_assert_int_eq(told(ATT_TEE_FAULT_EMPTY), ATT_ERROR_BAD_DATA);
        ck_assert_int_eq(told(ATT_TEE_FAULT_TOO_LARGE), ATT_ERROR_TOO_LARGE);
}
END_TEST

START_TEST(each_errno_has_its_fault) {
        static const struct {
                int err;
                AttTeeFault fault;
        } table[] = {
                { ENXIO, ATT_TEE_FAULT_NO_PROVIDER }, { ENOTTY, ATT_TEE_FAULT_KEY_DISABLED },
                { EBUSY, ATT_TEE_FAULT_BUSY },        { EINTR, ATT_TEE_FAULT_INTERRUPTED },
                { EIO, ATT_TEE_FAULT_HOST },          { ETIMEDOUT, ATT_TEE_FAULT_TIMED_OUT },
                { EFBIG, ATT_TEE_FAULT_TOO_LARGE },   { ENOENT, ATT_TEE_FAULT_INTERFERENCE },
                { EACCES, ATT_TEE_FAULT_INTERFERENCE }, { EINVAL, ATT_TEE_FAULT_LEVEL },
                { ENOMEM, ATT_TEE_FAULT_OTHER },      { ENOSPC, ATT_TEE_FAULT_OTHER },
        };

        for (size_t i = 0; i < G_N_ELEMENTS(table); i++) {
                bool is_of_device = table[i].fault != ATT_TEE_FAULT_NO_PROVIDER &&
                                    table[i].fault != ATT_TEE_FAULT_INTERFERENCE;
                AttTeeFault elsewhere = is_of_device ? ATT_TEE_FAULT_OTHER : table[i].fault;
                g_autoptr(GError) e = NULL, other = NULL;

                ck_assert(!att_tee_fault_set_errno(&e, table[i].err, "read", "outblob"));
                ck_assert_msg(g_error_matches(e, ATT_TEE_FAULT, (gint) table[i].fault), "%s", e->message);
                ck_assert(g_str_has_prefix(e->message, "cannot read outblob: "));

                ck_assert(!att_tee_fault_set_errno(&other, table[i].err, "open", "generation"));
                ck_assert_msg(g_error_matches(other, ATT_TEE_FAULT, (gint) elsewhere), "%s", other->message);
        }
}
END_TEST

START_TEST(a_privilege_level_that_is_refused_is_said) {
        g_autoptr(GError) refused = NULL, other = NULL;

        ck_assert(!att_tee_fault_set_errno(&refused, EINVAL, "write", "privlevel"));
        ck_assert(g_error_matches(refused, ATT_TEE_FAULT, ATT_TEE_FAULT_LEVEL));
        ck_assert(!att_tee_fault_set_errno(&other, EACCES, "write", "privlevel"));
        ck_assert(g_error_matches(other, ATT_TEE_FAULT, ATT_TEE_FAULT_INTERFERENCE));

        att_tee_health_looked(&health, NULL, refused);
        ck_assert_int_eq(health.state, ATT_TEE_DEGRADED);
        ck_assert(strstr(health.detail, "is not supported") != NULL);
}
END_TEST

int main(void) {
        Suite *s = suite_create("health");
        TCase *t = tcase_create("state");

        tcase_add_checked_fixture(t, setup, teardown);
        tcase_add_test(t, begins_without_a_tee);
        tcase_add_test(t, is_ready_when_one_is_found);
        tcase_add_test(t, says_what_to_do);
        tcase_add_test(t, a_provider_that_leaves_is_lost_and_may_return);
        tcase_add_test(t, a_failed_report_degrades_until_a_good_one);
        tcase_add_test(t, ft05_a_disabled_key_is_lost_until_the_provider_was_gone);
        tcase_add_test(t, a_driver_that_was_loaded_anew_has_its_key);
        tcase_add_test(t, a_td_that_has_its_device_alone_is_told_so);
        tcase_add_test(t, a_device_that_may_not_be_opened_is_not_lost);
        tcase_add_test(t, entries_of_others_make_it_shared);
        tcase_add_test(t, sc33_what_cannot_be_seen_is_taken_for_shared);
        tcase_add_test(t, cannot_make_an_entry_is_no_absence);
        tcase_add_test(t, callers_hear_what_they_can_act_on);
        tcase_add_test(t, each_errno_has_its_fault);
        tcase_add_test(t, a_privilege_level_that_is_refused_is_said);
        suite_add_tcase(s, t);
        return run_suite(s);
}
