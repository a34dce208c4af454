/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What users may have of a verifier. The bus is a double: it says at once that the
 * connection ":USER.n" is of that user. */
#include "bus/verifier-owners.h"

#include "ea/used-contexts.h"
#include "lone-bus.h"
#include "run.h"
#include "util/error.h"

#include <stdlib.h>

/* An RSA-2048 key in SubjectPublicKeyInfo; a bundle of 150 certificates, read. */
#define KEY_BYTES 294u
#define BUNDLE_BYTES (12u * 1024u * 1024u)
#define POLICY_BYTES (128u * 1024u)
#define A_SESSION (ATT_VERIFIER_SESSION_BYTES + KEY_BYTES)

static sd_bus *bus;
static AttOwners *owners;
static GBytes *policy, *bundle;
static guint n_known, n_gone;
static uint64_t n_calls;

int __wrap_sd_bus_add_match_async(sd_bus *b, sd_bus_slot **slot, const char *match, sd_bus_message_handler_t callback,
                                  sd_bus_message_handler_t installed, void *userdata);
int __wrap_sd_bus_add_match_async(sd_bus *b, sd_bus_slot **slot, const char *match, sd_bus_message_handler_t callback,
                                  sd_bus_message_handler_t installed, void *userdata) {
        (void) b, (void) slot, (void) match, (void) callback, (void) installed, (void) userdata;
        return 0;
}

int __wrap_sd_bus_call_async(sd_bus *b, sd_bus_slot **slot, sd_bus_message *m, sd_bus_message_handler_t callback,
                             void *userdata, uint64_t usec);
int __wrap_sd_bus_call_async(sd_bus *b, sd_bus_slot **slot, sd_bus_message *m, sd_bus_message_handler_t callback,
                             void *userdata, uint64_t usec) {
        sd_bus_message *reply = NULL;
        const char *name;

        (void) slot, (void) usec;
        ck_assert_int_ge(sd_bus_message_seal(m, ++n_calls, 0), 0);
        ck_assert_int_gt(sd_bus_message_read(m, "s", &name), 0);
        ck_assert_int_ge(sd_bus_message_new(b, &reply, SD_BUS_MESSAGE_METHOD_RETURN), 0);
        ck_assert_int_ge(sd_bus_message_append(reply, "u", (uint32_t) strtoul(name + 1, NULL, 10)), 0);
        ck_assert_int_ge(sd_bus_message_seal(reply, ++n_calls, 0), 0);
        (void) callback(reply, userdata, NULL);
        sd_bus_message_unref(reply);
        return 1;
}

static AttOwned *added;
static GError *refusal;
static gsize add_size;
static AttOwnersShared add_shared[ATT_OWNERS_SHARED];

static void on_known(sd_bus_message *call, GError *error, gpointer userdata) {
        ck_assert_ptr_null(error);
        (void) userdata;
        n_known++;
        added = att_owners_add(owners, call, &n_known, add_size, add_shared, &refusal);
}

static void on_gone(gpointer item, gpointer userdata) {
        (void) userdata;
        ck_assert_ptr_eq(item, &n_known);
        n_gone++;
}

static void begin(void) {
        static const AttOwnersHandler handler = { .known = on_known, .gone = on_gone };

        bus = lone_bus_begin(false);
        owners = att_owners_new(bus, &handler, NULL, NULL);
        ck_assert_ptr_nonnull(owners);
        policy = g_bytes_new_static("policy", 6);
        bundle = g_bytes_new_static("bundle", 6);
        add_shared[0] = (AttOwnersShared) { policy, POLICY_BYTES };
        add_shared[1] = (AttOwnersShared) { bundle, BUNDLE_BYTES };
        add_size = A_SESSION;
        n_known = n_gone = 0;
}

static void end(void) {
        att_owners_free(owners);
        g_clear_error(&refusal);
        g_bytes_unref(policy);
        g_bytes_unref(bundle);
        lone_bus_end();
}

/* Returns: NULL if he is refused it, as @refusal says */
static AttOwned *open_session(guint user) {
        g_autofree char *sender = g_strdup_printf(":%u.1", user);
        sd_bus_message *call = NULL;

        g_clear_error(&refusal);
        added = NULL;
        ck_assert_int_ge(sd_bus_message_new_method_call(bus, &call, "org.example", "/", "org.example", "Open"), 0);
        ck_assert_int_ge(sd_bus_message_set_sender(call, sender), 0);
        att_owners_identify(owners, call);
        sd_bus_message_unref(call);
        ck_assert(added ? !refusal : g_error_matches(refusal, ATT_ERROR, ATT_ERROR_LIMIT_REACHED));
        return added;
}

static guint open_all(guint user) {
        guint n = 0;

        while (open_session(user))
                n++;
        return n;
}

/* The third request of each session is not the last one. */
START_TEST(sc34_all_sessions_of_a_user_have_thousands_of_contexts) {
        g_autofree AttOwned **all = g_new(AttOwned *, ATT_VERIFIER_SESSIONS_PER_USER_MAX);

        for (guint i = 0; i < ATT_VERIFIER_SESSIONS_PER_USER_MAX; i++) {
                all[i] = open_session(1000);
                ck_assert_ptr_nonnull(all[i]);
        }
        ck_assert_ptr_null(open_session(1000));
        ck_assert_ptr_nonnull(strstr(refusal->message, "10240"));
        for (guint n = 0; n < 2000; n += 100)
                for (guint i = 0; i < ATT_VERIFIER_SESSIONS_PER_USER_MAX; i++)
                        ck_assert(att_owned_grow(all[i], 100 * ATT_USED_CONTEXT_HELD, NULL));
        /* But not without end, and another user is not in his way. */
        ck_assert(!att_owned_grow(all[0], 1000 * 10240 * ATT_USED_CONTEXT_HELD, NULL));
        ck_assert_ptr_nonnull(open_session(1001));
}
END_TEST

START_TEST(sc34_who_takes_all_he_can_leaves_room_for_others) {
        guint n, before = ATT_VERIFIER_SESSIONS_PER_USER_MAX + 1, all = 0;

        for (guint user = 1000; user < 1008; user++) {
                n = open_all(user);
                ck_assert_uint_gt(n, 0);
                ck_assert_uint_lt(n, before);
                before = n;
                all += n;
        }
        ck_assert_uint_le(all, ATT_VERIFIER_SESSIONS_MAX);
        /* One who has few may have more, whoever has many. */
        ck_assert_ptr_nonnull(open_session(2000));
        ck_assert_ptr_nonnull(open_session(2000));
}
END_TEST

START_TEST(sc34_who_takes_all_bytes_he_can_leaves_room_for_others) {
        gsize of_all = 0, of_user = 0;

        add_shared[0] = add_shared[1] = (AttOwnersShared) { 0 };
        add_size = 1024 * 1024;
        for (guint user = 1000; user < 1006; user++) {
                of_user = open_all(user) * add_size;
                ck_assert_uint_gt(of_user, 0);
                ck_assert_uint_le(of_user, ATT_VERIFIER_BYTES_PER_USER_MAX);
                of_all += of_user;
        }
        ck_assert_uint_le(of_all + of_user, ATT_VERIFIER_BYTES_MAX);
        add_size = G_MAXSIZE - 1;
        ck_assert_ptr_null(open_session(2000));
        add_size = A_SESSION;
        ck_assert_ptr_nonnull(open_session(2000));
}
END_TEST

START_TEST(sc34_who_gives_all_the_logs_he_can_leaves_room_for_others) {
        const gsize step = 64 * 1024 * 1024;
        gsize of_all = 0;

        add_shared[0] = add_shared[1] = (AttOwnersShared) { 0 };
        for (guint user = 1000; user < 1006; user++) {
                AttOwned *session = open_session(user);
                g_autoptr(GError) error = NULL;
                gsize size = step;

                while (att_owned_set_logs(session, size, &error))
                        size += step;
                of_all += size - step;
                ck_assert(g_error_matches(error, ATT_ERROR, ATT_ERROR_LIMIT_REACHED));
                ck_assert_uint_ge(size, 2 * step); /* there was room for some */
                ck_assert_msg(g_str_has_prefix(error->message, size > ATT_VERIFIER_LOG_BYTES_PER_USER_MAX
                                               ? "this user may have 1073741824 bytes of logs"
                                               : "all users together have "), "%s", error->message);
                /* What is there already, and less than that, is no more. */
                ck_assert(att_owned_set_logs(session, size - step, NULL));
        }
        ck_assert_uint_lt(of_all, ATT_VERIFIER_LOG_BYTES_MAX);
}
END_TEST

/* Of each thing that is counted, of the user and of all: as often as one likes. */
START_TEST(what_is_released_is_there_for_the_next) {
        const gsize size = 1024 * 1024, step = 64 * 1024 * 1024;
        AttOwned *kept[2];
        guint expected = 0;
        gsize logs_expected = 0;

        add_shared[0] = add_shared[1] = (AttOwnersShared) { 0 };
        for (guint i = 0; i < 2; i++) /* who has nothing at all is forgotten with all his counts */
                kept[i] = open_session(1000 + i);
        add_shared[0] = (AttOwnersShared) { policy, 3 * size };
        add_shared[1] = (AttOwnersShared) { bundle, 5 * size };
        add_size = size;
        for (guint round = 0; round < 6; round++) {
                g_autoptr(GPtrArray) all = g_ptr_array_new();
                gsize logs = 0;

                while (open_session(1000 + round % 2))
                        g_ptr_array_add(all, added);
                ck_assert_uint_gt(all->len, 1);
                while (att_owned_set_logs(all->pdata[0], logs + step, NULL))
                        logs += step;
                if (round == 0) {
                        expected = all->len;
                        logs_expected = logs;
                }
                ck_assert_uint_eq(all->len, expected);
                ck_assert_uint_eq(logs, logs_expected);
                for (guint i = 0; i < all->len; i++)
                        att_owned_release(all->pdata[i]);
        }
        for (guint i = 0; i < ATT_VERIFIER_SESSIONS_MAX; i++) {
                ck_assert_ptr_nonnull(open_session(1000 + i % 2));
                att_owned_release(added);
        }
        for (guint i = 0; i < 2; i++)
                att_owned_release(kept[i]);
}
END_TEST

/* Once for a user; and it is given back with the last who has it. */
START_TEST(what_is_shared_is_charged_once) {
        AttOwned *first, *second;

        add_shared[1].size = ATT_VERIFIER_BYTES_PER_USER_MAX / 2 + 1;
        first = open_session(1000);
        second = open_session(1000);
        ck_assert_ptr_nonnull(first);
        ck_assert_ptr_nonnull(second);
        add_shared[1].name = policy;
        add_shared[0].name = bundle;
        add_shared[0].size = 0; /* is there already */
        ck_assert_ptr_nonnull(open_session(1000));
        att_owned_release(added);

        g_autoptr(GBytes) other = g_bytes_new_static("other", 5);
        add_shared[0].name = policy;
        add_shared[1].name = other;
        add_shared[1].size = ATT_VERIFIER_BYTES_PER_USER_MAX / 2;
        ck_assert_ptr_null(open_session(1000));
        att_owned_release(first);
        ck_assert_ptr_null(open_session(1000));
        att_owned_release(second);
        ck_assert_ptr_nonnull(open_session(1000));
}
END_TEST

int main(void) {
        Suite *s = suite_create("verifier-owners");
        TCase *t = tcase_create("verifier-owners");

        tcase_add_checked_fixture(t, begin, end);
        tcase_add_test(t, sc34_all_sessions_of_a_user_have_thousands_of_contexts);
        tcase_add_test(t, sc34_who_takes_all_he_can_leaves_room_for_others);
        tcase_add_test(t, sc34_who_takes_all_bytes_he_can_leaves_room_for_others);
        tcase_add_test(t, sc34_who_gives_all_the_logs_he_can_leaves_room_for_others);
        tcase_add_test(t, what_is_released_is_there_for_the_next);
        tcase_add_test(t, what_is_shared_is_charged_once);
        suite_add_tcase(s, t);
        return run_suite(s);
}
