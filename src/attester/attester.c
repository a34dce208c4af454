/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "attester/attester.h"

#include "attester/idle-report.h"
#include "util/error.h"
#include "util/quota.h"

#include <string.h>

/* With what follows, a stop stays well under ten seconds. */
#define TEE_PATIENCE_MS 3000u

struct AttAttester {
        const AttConfiguration *configuration; /* borrowed */
        const AttAttesterEvents *events;
        gpointer userdata;

        AttGeneration *generation;
        AttTee *tee;
        AttScheduler *scheduler;
        AttRuntime *runtime;
        AttIdleReport *idle_report;
        AttKeyMemo key_memo;
        char *runtime_told; /* what operators could see of the runtime when they were last told of it */

        /* What evidence has last spoken of. */
        char *provider;  /* NULL: no TEE has been here yet */
        bool was_here, was_shared;

        GHashTable *users; /* of AttUser, by uid */
        guint n_sessions;
        guint64 n_opened, n_handles;
};

static bool is_here(const AttTee *tee) {
        AttTeeState state = att_tee_state(tee);

        return state != ATT_TEE_NO_TEE && state != ATT_TEE_DEVICE_LOST;
}

/* What a reason of ours is told by, after those of the runtime. */
#define DEVICE (1u << ATT_STATE_REASONS)
#define SHARED_DEVICE (2u << ATT_STATE_REASONS)
G_STATIC_ASSERT(ATT_STATE_REASONS + 2 <= ATT_GENERATION_REASONS_MAX);

/* A TEE that goes, comes back or is another one, and others who begin to use it. The
 * first one to come is no change: nothing was said of a guest without it. */
static guint look_at_tee(AttAttester *a) {
        bool here = is_here(a->tee), shared = att_tee_is_shared(a->tee);
        const char *provider = att_tee_provider(a->tee);
        bool device = a->provider && (here != a->was_here || (here && !g_str_equal(provider, a->provider)));
        bool newly_shared = shared && !a->was_shared;

        if (here && g_strcmp0(a->provider, provider) != 0) {
                g_free(a->provider);
                a->provider = g_strdup(provider);
        }
        a->was_here = here;
        a->was_shared = shared;

        return (device && a->configuration->device ? DEVICE : 0) |
               (newly_shared && a->configuration->shared_device ? SHARED_DEVICE : 0);
}

/* What operators can see of it, in one text. */
static char *print_runtime(const AttRuntime *rt) {
        return g_strjoin("\n", att_ima_state_name(att_runtime_ima_state(rt)), att_runtime_ima_detail(rt),
                         att_runtime_ima_listed(rt), att_runtime_root(rt), att_runtime_root_detail(rt),
                         att_runtime_event_source(rt), att_runtime_event_detail(rt), NULL);
}

static void move(AttAttester *a, guint reasons) {
        const char *names[ATT_GENERATION_REASONS_MAX + 1] = { NULL };
        guint n = 0;

        for (guint i = 0; i < ATT_STATE_REASONS; i++)
                if (reasons & 1u << i)
                        names[n++] = att_state_reason_name((AttStateReasons) (1u << i));
        if (reasons & DEVICE)
                names[n++] = "device";
        if (reasons & SHARED_DEVICE)
                names[n++] = "shared-device";

        if (reasons & (ATT_STATE_RESUME | ATT_STATE_CLONE))
                att_generation_new_instance(a->generation, names);
        else if (reasons)
                att_generation_move(a->generation, names);
}

void att_attester_look(AttAttester *a) {
        guint reasons = look_at_tee(a) | att_runtime_look(a->runtime);
        g_autofree char *now = print_runtime(a->runtime);

        move(a, reasons);
        if (g_str_equal(a->runtime_told, now))
                return;
        g_free(a->runtime_told);
        a->runtime_told = g_steal_pointer(&now);
        a->events->runtime_changed(a, a->userdata);
}

static void on_stirred(gpointer userdata) {
        AttAttester *a = userdata;

        att_attester_look(a);
        att_idle_report_consider(a->idle_report);
}

static void on_tee_changed(AttTee *tee, gpointer userdata) {
        AttAttester *a = userdata;

        (void) tee;
        att_attester_look(a);
        a->events->tee_changed(a, a->userdata);
        att_scheduler_tee_changed(a->scheduler);
}

static void on_report(const AttTeeReport *report, gpointer userdata) {
        AttAttester *a = userdata;

        att_runtime_saw_report(a->runtime, report);
        att_idle_report_saw(a->idle_report);
}

static void user_free(AttUser *u) {
        g_warn_if_fail(u->n_connections == 0);
        g_free(u);
}

AttAttester *att_attester_new(const AttConfiguration *configuration, AttEventSource *sources,
                              const AttAttesterEvents *events, gpointer userdata, GError **error) {
        g_autoptr(AttGeneration) generation = att_generation_new(error);
        AttAttester *a;

        if (!generation)
                return NULL;

        a = g_new(AttAttester, 1);
        *a = (AttAttester) {
                .configuration = configuration,
                .events = events,
                .userdata = userdata,
                .generation = g_steal_pointer(&generation),
                .users = g_hash_table_new_full(NULL, NULL, NULL, (GDestroyNotify) user_free),
        };
        a->tee = att_tee_new(on_tee_changed, a);
        a->scheduler = att_scheduler_new(a->tee, on_report, a);
        a->runtime = att_runtime_new(configuration, sources, on_stirred, a);
        a->idle_report = att_idle_report_new(configuration->idle_report_s, a->scheduler, a->tee);
        a->runtime_told = print_runtime(a->runtime);
        a->was_here = is_here(a->tee);
        a->was_shared = att_tee_is_shared(a->tee);
        if (a->was_here)
                a->provider = g_strdup(att_tee_provider(a->tee));
        return a;
}

void att_attester_free(AttAttester *a) {
        if (!a)
                return;

        att_idle_report_free(a->idle_report);
        att_tee_stop_and_free(a->tee, TEE_PATIENCE_MS);
        att_scheduler_free(a->scheduler);
        att_runtime_free(a->runtime);
        att_generation_free(a->generation);
        g_hash_table_unref(a->users);
        g_free(a->runtime_told);
        g_free(a->provider);
        g_free(a);
}

const AttConfiguration *att_attester_configuration(const AttAttester *a) {
        return a->configuration;
}

AttTee *att_attester_tee(AttAttester *a) {
        return a->tee;
}

AttGeneration *att_attester_generation(AttAttester *a) {
        return a->generation;
}

AttRuntime *att_attester_runtime(AttAttester *a) {
        return a->runtime;
}

AttScheduler *att_attester_scheduler(AttAttester *a) {
        return a->scheduler;
}

AttKeyMemo *att_attester_key_memo(AttAttester *a) {
        return &a->key_memo;
}

guint att_attester_n_sessions(const AttAttester *a) {
        return a->n_sessions;
}

guint64 att_attester_new_handle(AttAttester *a) {
        return ++a->n_handles;
}

static AttUser *find_user(AttAttester *a, uint32_t uid) {
        AttUser *u = g_hash_table_lookup(a->users, GUINT_TO_POINTER(uid));

        if (u)
                return u;

        u = g_new0(AttUser, 1);
        u->attester = a;
        u->uid = uid;
        g_hash_table_insert(a->users, GUINT_TO_POINTER(uid), u);
        return u;
}

AttConnection *att_connection_new(AttAttester *a, AttCaller *caller) {
        AttConnection *c = g_new0(AttConnection, 1);

        g_ref_count_init(&c->refs);
        c->user = find_user(a, att_caller_uid(caller));
        c->user->n_connections++;
        c->caller = att_caller_ref(caller);
        c->schedule.user = &c->user->schedule;
        return c;
}

AttConnection *att_connection_ref(AttConnection *c) {
        g_ref_count_inc(&c->refs);
        return c;
}

void att_connection_unref(AttConnection *c) {
        if (!c || !g_ref_count_dec(&c->refs))
                return;

        if (--c->user->n_connections == 0)
                g_hash_table_remove(c->user->attester->users, GUINT_TO_POINTER(c->user->uid));
        att_caller_unref(c->caller);
        g_free(c);
}

void att_connection_hold(AttConnection *c) {
        att_scheduler_hold(c->user->attester->scheduler, &c->schedule);
}

void att_connection_release(AttConnection *c) {
        att_scheduler_release(c->user->attester->scheduler, &c->schedule);
}

guint64 att_connection_take_session(AttConnection *c, GError **error) {
        AttUser *u = c->user;
        AttAttester *a = u->attester;
        const AttConfiguration *limits = a->configuration;
        const AttQuota quota = { "sessions", u->n_sessions, limits->sessions_per_user, a->n_sessions,
                                 limits->sessions };
        g_autofree char *refusal = NULL;

        if (c->n_sessions >= limits->sessions_per_connection)
                refusal = g_strdup_printf("this connection may have %u sessions", limits->sessions_per_connection);
        else
                refusal = att_quota_excess(&quota, 1);
        if (refusal) {
                (void) att_error_set(error, ATT_ERROR_LIMIT_REACHED,
                                     "%s; close some, or raise [Limits] in attestd.conf(5)", refusal);
                return 0;
        }

        c->n_sessions++;
        u->n_sessions++;
        a->n_sessions++;
        return ++a->n_opened;
}

void att_connection_drop_session(AttConnection *c) {
        c->n_sessions--;
        c->user->n_sessions--;
        c->user->attester->n_sessions--;
}
