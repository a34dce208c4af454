/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "attester/scheduler.h"

#include "util/error.h"

/* How often a job is put in front of its queue again because the device was busy
 * with somebody else's work. */
#define TRIES_MAX 8u

struct AttScheduler {
        AttTee *tee;           /* borrowed */
        AttReportSeen seen;    /* (nullable) */
        gpointer userdata;
        GQueue users;          /* of those that wait, by their link */
        guint n_queued;        /* jobs in their queues */
        GSequence *deadlines;  /* of all jobs that are not done */
        AttJob *under_way;     /* NULL: none, or nobody wants its report any more */
        bool is_asking;        /* a report was asked for and has not come, wanted or not */
        GSource *alarm;        /* one timer: the next deadline, the end of a pause, or now, if the device is free */
        bool is_pumping;
};

static void pump(AttScheduler *s);

guint att_scheduler_n_waiting(const AttScheduler *s) {
        return (guint) g_sequence_get_length(s->deadlines);
}

static int compare_deadlines(gconstpointer a, gconstpointer b, gpointer userdata) {
        const AttJob *j = a, *k = b;

        (void) userdata;
        return (j->deadline_us > k->deadline_us) - (j->deadline_us < k->deadline_us);
}

static void set_alarm(AttScheduler *s) {
        GSequenceIter *first = g_sequence_get_begin_iter(s->deadlines);
        gint64 at = -1, not_before;

        if (!g_sequence_iter_is_end(first))
                at = ((AttJob *) g_sequence_get(first))->deadline_us;
        if (s->users.head && !s->is_asking) {
                not_before = att_tee_not_before_us(s->tee);
                at = at < 0 ? not_before : MIN(at, not_before);
        }
        g_source_set_ready_time(s->alarm, at);
}

/* @first: it is put back, and gets the turn back that it was given. */
static void enqueue(AttScheduler *s, AttJob *j, bool first) {
        void (*push)(GQueue *, GList *) = first ? g_queue_push_head_link : g_queue_push_tail_link;
        AttScheduleConnection *c = j->connection;
        AttScheduleUser *u = c->user;
        bool connection_waits = c->jobs.length > 0, user_waits = u->connections.length > 0;

        j->link.data = j;
        c->link.data = c;
        u->link.data = u;

        if (first && connection_waits)
                g_queue_unlink(&u->connections, &c->link);
        if (first && user_waits)
                g_queue_unlink(&s->users, &u->link);
        if (first || !user_waits)
                push(&s->users, &u->link);
        if (first || !connection_waits)
                push(&u->connections, &c->link);
        push(&c->jobs, &j->link);
        s->n_queued++;
}

static void dequeue(AttScheduler *s, AttJob *j) {
        AttScheduleConnection *c = j->connection;
        AttScheduleUser *u = c->user;

        g_queue_unlink(&c->jobs, &j->link);
        s->n_queued--;
        if (c->jobs.length > 0)
                return;
        g_queue_unlink(&u->connections, &c->link);
        if (u->connections.length == 0)
                g_queue_unlink(&s->users, &u->link);
}

/* The job whose turn it is, out of its queue; the turn passes on. */
static AttJob *take_next(AttScheduler *s) {
        AttScheduleUser *u = s->users.head->data;
        AttScheduleConnection *c = u->connections.head->data;
        AttJob *j = c->jobs.head->data;

        dequeue(s, j);
        if (c->jobs.length > 0) {
                g_queue_unlink(&u->connections, &c->link);
                g_queue_push_tail_link(&u->connections, &c->link);
        }
        if (u->connections.length > 0) {
                g_queue_unlink(&s->users, &u->link);
                g_queue_push_tail_link(&s->users, &u->link);
        }
        return j;
}

/* @j is in no queue and not under way. */
static void end(AttJob *j, AttTeeReport *report, GError *error) {
        g_sequence_remove(j->deadline);
        j->deadline = NULL;
        j->connection->user->n_waiting--;
        j->ops->done(j, report, error);
}

/* Wherever @j is. */
static void drop(AttScheduler *s, AttJob *j, GError *error) {
        if (s->under_way == j)
                s->under_way = NULL;
        else
                dequeue(s, j);
        end(j, NULL, error);
}

static void drop_all_waiting(AttScheduler *s, const GError *why) {
        /* As many as there are, not those that an answer makes its receiver submit. */
        for (guint n = s->n_queued; n > 0 && s->users.head; n--)
                end(take_next(s), NULL, g_error_copy(why));
}

static bool is_absence(const GError *error) {
        return g_error_matches(error, ATT_ERROR, ATT_ERROR_NO_TEE) ||
               g_error_matches(error, ATT_ERROR, ATT_ERROR_DEVICE_LOST);
}

/* Is the device worth another try for @j, and will it be in time? */
static bool may_try_again(AttScheduler *s, const AttJob *j, const GError *error) {
        return g_error_matches(error, ATT_ERROR, ATT_ERROR_DEVICE_BUSY) && j->n_tries < TRIES_MAX &&
               att_tee_not_before_us(s->tee) < j->deadline_us;
}

static void on_report(GObject *source, GAsyncResult *result, gpointer userdata) {
        AttScheduler *s = userdata;
        GError *error = NULL;
        g_autoptr(AttTeeReport) report = att_tee_report_finish(s->tee, result, &error);
        AttJob *j;

        (void) source;
        s->is_asking = false;
        s->is_pumping = true;
        if (report && s->seen)
                s->seen(report, s->userdata);
        if (!report && is_absence(error))
                drop_all_waiting(s, error);

        j = g_steal_pointer(&s->under_way);
        if (j && !report && may_try_again(s, j, error)) {
                enqueue(s, j, true);
                g_clear_error(&error);
        } else if (j) {
                end(j, g_steal_pointer(&report), error);
        } else {
                g_clear_error(&error);
        }
        s->is_pumping = false;

        pump(s);
}

static void pump(AttScheduler *s) {
        if (s->is_pumping)
                return;

        s->is_pumping = true;
        while (s->users.head && !s->is_asking && att_tee_not_before_us(s->tee) <= g_get_monotonic_time()) {
                AttJob *j = take_next(s);
                uint8_t report_data[ATT_REPORT_DATA_SIZE];
                GError *error = NULL;

                j->tpm = NULL;
                if (!j->ops->seal(j, report_data, &error)) {
                        end(j, NULL, error);
                        continue;
                }

                j->n_tries++;
                s->under_way = j;
                s->is_asking = true;
                att_tee_report_async(s->tee, report_data, j->tpm, on_report, s);
        }
        s->is_pumping = false;
        set_alarm(s);
}

static GError *timed_out(AttScheduler *s, const AttJob *j) {
        return g_error_new(ATT_ERROR, ATT_ERROR_TIMED_OUT, "%s within the time limit; a longer timeout_ms may help",
                           s->under_way == j ? "the TEE has not made the report" : "the turn has not come");
}

static gboolean on_alarm(gpointer userdata) {
        AttScheduler *s = userdata;

        for (;;) {
                GSequenceIter *first = g_sequence_get_begin_iter(s->deadlines);
                AttJob *j = g_sequence_iter_is_end(first) ? NULL : g_sequence_get(first);

                if (!j || j->deadline_us > g_get_monotonic_time())
                        break;
                drop(s, j, timed_out(s, j));
        }
        pump(s);
        return G_SOURCE_CONTINUE;
}

static gboolean dispatch(GSource *source, GSourceFunc callback, gpointer userdata) {
        (void) source;
        return callback(userdata);
}

AttScheduler *att_scheduler_new(AttTee *tee, AttReportSeen seen, gpointer userdata) {
        static GSourceFuncs funcs = { .dispatch = dispatch };
        AttScheduler *s = g_new0(AttScheduler, 1);

        s->tee = tee;
        s->seen = seen;
        s->userdata = userdata;
        s->deadlines = g_sequence_new(NULL);
        s->alarm = g_source_new(&funcs, sizeof(GSource));
        g_source_set_static_name(s->alarm, "scheduler");
        g_source_set_callback(s->alarm, on_alarm, s, NULL);
        g_source_attach(s->alarm, NULL);
        return s;
}

void att_scheduler_free(AttScheduler *s) {
        if (!s)
                return;

        g_warn_if_fail(g_sequence_is_empty(s->deadlines));
        g_source_destroy(s->alarm);
        g_source_unref(s->alarm);
        g_sequence_free(s->deadlines);
        g_free(s);
}

void att_scheduler_submit(AttScheduler *s, AttJob *j, gint64 deadline_us) {
        g_return_if_fail(!j->deadline);

        j->deadline_us = deadline_us;
        j->deadline = g_sequence_insert_sorted(s->deadlines, j, compare_deadlines, NULL);
        j->connection->user->n_waiting++;
        enqueue(s, j, false);

        set_alarm(s);
}

void att_scheduler_cancel(AttScheduler *s, AttJob *j) {
        if (!j->deadline)
                return;

        drop(s, j, g_error_new(ATT_ERROR, ATT_ERROR_CANCELLED, "the session was closed while the request waited"));
        set_alarm(s);
}

void att_scheduler_tee_changed(AttScheduler *s) {
        AttTeeState state = att_tee_state(s->tee);

        if (state == ATT_TEE_NO_TEE || state == ATT_TEE_DEVICE_LOST) {
                g_autoptr(GError) why = g_error_new(ATT_ERROR, state == ATT_TEE_NO_TEE ? ATT_ERROR_NO_TEE
                                                                                      : ATT_ERROR_DEVICE_LOST,
                                                    "%s", att_tee_detail(s->tee));

                drop_all_waiting(s, why);
        }
        pump(s);
}
