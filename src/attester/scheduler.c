/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "attester/scheduler.h"

#include "util/duration.h"
#include "util/error.h"

/* How often a job is put in front of its queue again because the device was busy
 * with somebody else's work, or its report showed something else than was sealed. */
#define TRIES_MAX 8u
/* Answers are given in slices, with what else the loop has to do in between: so many, and as often until the time is
 * over. */
#define SLICE_MIN 64u
#define SLICE_US (2 * 1000)
/* A free device is asked when the loop has nothing else to do: what is there to be read by then comes along. In a
 * flood of calls that would be never, so it is after a part of its own time, within bounds. */
#define PATIENCE_PART 16
#define PATIENCE_MIN_US (1 * 1000)
#define PATIENCE_MAX_US (50 * 1000)
/* The first report after a change waits for those who are expected: not if it takes next to no time, and no longer than
 * this, however long it takes. For the next one of them a part of that: on a busy machine they do not come evenly. */
#define WORTH_WAITING_US (1 * 1000)
#define EXPECTING_MAX_US (1000 * 1000)
#define EXPECTING_PART 8

/* Jobs that share one report, or one failure. */
typedef struct AttRound {
        const AttJobOps *ops;
        GPtrArray *jobs; /* of AttJob; NULL: it has ended */
        guint n_left;    /* those that have not */
        guint n_told;    /* of @jobs, from the first: they have been answered */
        gpointer sealed; /* owned; NULL: there is no report, but @error */
        GError *error;
        bool is_made;
        bool is_told;    /* whoever is left in it is held back */
        GList link;
} AttRound;

/* g_source_set_ready_time() would wake up the loop for a turn in which nothing is ready: but whoever sets ours runs in
 * the loop, which asks each source before it sleeps. */
typedef struct Timer {
        GSource base;
        AttScheduler *scheduler;
        gint64 at_us; /* g_get_monotonic_time() from which on it is ready; -1: never */
} Timer;

struct AttScheduler {
        AttTee *tee;           /* borrowed */
        AttReportSeen seen;    /* (nullable) */
        gpointer userdata;
        GQueue users;          /* of those that wait, by their link */
        GQueue sharing;        /* of users with jobs that wait and may share, by their in_sharing */
        guint n_sharing;       /* such jobs */
        guint n_queued;        /* jobs in their queues, of connections that are not parked */
        GSequence *deadlines;  /* of all jobs that are not done */
        AttRound *under_way;   /* NULL: none, or nobody wants its report any more */
        bool is_asking;        /* a report was asked for and has not come, wanted or not */
        GQueue answering;      /* of AttRound, by their link */
        GQueue released;       /* of connections with jobs that were held back, by their answers */
        bool told_released;    /* the last that was told was one of theirs */
        gint64 due_us;         /* at which a free device is asked, whatever else there is to do; 0: it need not be */
        guint64 n_shared;      /* reports that could be shared, and the next one */
        guint n_expected;      /* who are likely to ask before that */
        gint64 expected_until_us;
        gint64 stirred_us;     /* when there was one more of them, or one has asked */
        gint64 sharing_since_us; /* the first of those that wait and may share; 0: it has waited once already */
        Timer *alarm;          /* one: the next deadline, @due_us, or now, if there are answers */
        Timer *leisure;        /* another: the end of a pause, or now; but behind all that is ready */
        bool is_unset;         /* both are to be set before they are looked at */
        bool is_busy;          /* in a callback of a job's: what that asks for waits */
};

guint att_scheduler_n_waiting(const AttScheduler *s) {
        return (guint) g_sequence_get_length(s->deadlines);
}

static int compare_deadlines(gconstpointer a, gconstpointer b, gpointer userdata) {
        const AttJob *j = a, *k = b;

        (void) userdata;
        return (j->deadline_us > k->deadline_us) - (j->deadline_us < k->deadline_us);
}

/* May the device be asked, but for its pauses? While a round is answered it rests: who hears is going to ask again. For
 * those who read late it does not: when they read is theirs to say. */
static bool may_ask(const AttScheduler *s) {
        return s->users.head && !s->is_asking && !s->answering.head;
}

/* How long a free device may wait for us to read what there is. */
static gint64 patience_us(const AttScheduler *s) {
        return CLAMP((gint64) (att_tee_interval_us(s->tee) / PATIENCE_PART), PATIENCE_MIN_US, PATIENCE_MAX_US);
}

static gint64 earlier(gint64 a, gint64 b) {
        return a < 0 ? b : MIN(a, b);
}

static gint64 first_deadline(const AttScheduler *s) {
        GSequenceIter *first = g_sequence_get_begin_iter(s->deadlines);

        return g_sequence_iter_is_end(first) ? -1 : ((AttJob *) g_sequence_get(first))->deadline_us;
}

/* Until when a free device is left to those who are expected, should they go on coming. What they have to gain is
 * nothing to him who may not share. */
static gint64 expecting_until_us(const AttScheduler *s) {
        gint64 interval_us = (gint64) MIN(att_tee_interval_us(s->tee), G_MAXINT64 / 2);

        if (s->n_expected == 0 || s->n_sharing < s->n_queued || interval_us < WORTH_WAITING_US ||
            s->sharing_since_us >= s->expected_until_us)
                return 0;
        return MIN(s->sharing_since_us + MIN(interval_us, EXPECTING_MAX_US), first_deadline(s) - interval_us);
}

/* How long it is left to them when none of them has come. */
static gint64 quiet_us(const AttScheduler *s) {
        return CLAMP((gint64) (att_tee_interval_us(s->tee) / EXPECTING_PART), PATIENCE_MIN_US,
                     EXPECTING_MAX_US / EXPECTING_PART);
}

/* When may_ask(): from when on the device is asked, if there is nothing else to do. @ret_due_us: and if there is;
 * (nullable) */
static gint64 ask_from_us(const AttScheduler *s, gint64 now, gint64 *ret_due_us) {
        gint64 from = att_tee_not_before_us(s->tee), due = s->due_us, until = expecting_until_us(s);

        if (until > now) {
                gint64 quiet = MAX(s->stirred_us, s->sharing_since_us) + quiet_us(s);

                from = MAX(from, MIN(quiet, until));
                due = MAX(due, MIN(quiet + patience_us(s), until));
        }
        if (ret_due_us)
                *ret_due_us = MAX(due, from);
        return from;
}

static bool is_time_to_ask(const AttScheduler *s) {
        gint64 now = g_get_monotonic_time();

        return ask_from_us(s, now, NULL) <= now;
}

static void set_alarm(AttScheduler *s) {
        gint64 at = first_deadline(s), from = -1;

        if (s->answering.head || s->released.head)
                at = 0;

        if (may_ask(s)) {
                gint64 now = g_get_monotonic_time(), due;

                if (s->due_us == 0)
                        s->due_us = now + patience_us(s);
                from = ask_from_us(s, now, &due);
                at = earlier(at, due);
        } else {
                s->due_us = 0;
        }
        s->alarm->at_us = at;
        s->leisure->at_us = from;
        s->is_unset = false;
}

/* ----- queues and turns */

typedef enum {
        LAST,     /* behind all others of its connection */
        PUT_BACK, /* before them; the turn was another's */
        ITS_TURN, /* likewise, and it gets the turn back that it was given */
} Place;

static void go_last(GQueue *queue, GList *link) {
        g_queue_unlink(queue, link);
        g_queue_push_tail_link(queue, link);
}

/* @push: as for its connection */
static void take_part(AttScheduler *s, AttScheduleConnection *c, void (*push)(GQueue *, GList *)) {
        AttScheduleUser *u = c->user;

        c->in_sharing.data = c;
        u->in_sharing.data = u;
        if (u->sharing.length == 0)
                push(&s->sharing, &u->in_sharing);
        push(&u->sharing, &c->in_sharing);
}

static void take_no_part(AttScheduler *s, AttScheduleConnection *c) {
        AttScheduleUser *u = c->user;

        g_queue_unlink(&u->sharing, &c->in_sharing);
        if (u->sharing.length == 0)
                g_queue_unlink(&s->sharing, &u->in_sharing);
}

static void begin_sharing(AttScheduler *s, AttJob *j, void (*push)(GQueue *, GList *)) {
        AttScheduleConnection *c = j->connection;

        j->sharing.data = j;
        push(&c->sharing, &j->sharing);
        if (c->is_parked)
                return;
        s->n_sharing++;
        if (c->sharing.length == 1)
                take_part(s, c, push);
}

/* The next one is of another connection, and of another user, if there is any. */
static void stop_sharing(AttScheduler *s, AttJob *j) {
        AttScheduleConnection *c = j->connection;

        g_queue_unlink(&c->sharing, &j->sharing);
        if (c->is_parked)
                return;
        s->n_sharing--;
        go_last(&c->user->sharing, &c->in_sharing);
        go_last(&s->sharing, &c->user->in_sharing);
        if (c->sharing.length == 0)
                take_no_part(s, c);
}

static AttJob *next_sharing(const AttScheduler *s) {
        const AttScheduleUser *u = s->sharing.head->data;
        const AttScheduleConnection *c = u->sharing.head->data;

        return c->sharing.head->data;
}

/* It is going to have a job that waits. @connection_waits: there are others already */
static void take_turn(AttScheduler *s, AttScheduleConnection *c, bool connection_waits, Place place) {
        void (*turn)(GQueue *, GList *) = place == ITS_TURN ? g_queue_push_head_link : g_queue_push_tail_link;
        AttScheduleUser *u = c->user;
        bool user_waits = u->connections.length > 0;

        c->link.data = c;
        u->link.data = u;

        if (place == ITS_TURN && connection_waits)
                g_queue_unlink(&u->connections, &c->link);
        if (place == ITS_TURN && user_waits)
                g_queue_unlink(&s->users, &u->link);
        if (place == ITS_TURN || !user_waits)
                turn(&s->users, &u->link);
        if (place == ITS_TURN || !connection_waits)
                turn(&u->connections, &c->link);
        if (place == ITS_TURN)
                u->had_turn = c->had_turn = false;
}

static void leave_turn(AttScheduler *s, AttScheduleConnection *c) {
        AttScheduleUser *u = c->user;

        c->had_turn = false;
        g_queue_unlink(&u->connections, &c->link);
        if (u->connections.length > 0)
                return;
        u->had_turn = false;
        g_queue_unlink(&s->users, &u->link);
}

static void enqueue(AttScheduler *s, AttJob *j, Place place) {
        void (*push)(GQueue *, GList *) = place == LAST ? g_queue_push_tail_link : g_queue_push_head_link;
        AttScheduleConnection *c = j->connection;

        if (!c->is_parked) {
                take_turn(s, c, c->jobs.length > 0, place);
                s->n_queued++;
        }
        j->link.data = j;
        push(&c->jobs, &j->link);
        if (!j->may_share)
                return;
        if (s->n_sharing == 0 || place != LAST)
                s->sharing_since_us = place == LAST ? g_get_monotonic_time() : 0;
        begin_sharing(s, j, push);
}

static void dequeue(AttScheduler *s, AttJob *j) {
        AttScheduleConnection *c = j->connection;

        g_queue_unlink(&c->jobs, &j->link);
        if (j->may_share)
                stop_sharing(s, j);
        if (c->is_parked)
                return;
        s->n_queued--;
        if (c->jobs.length == 0)
                leave_turn(s, c);
}

/* Its jobs wait on, out of everybody's way. */
static void park(AttScheduler *s, AttScheduleConnection *c) {
        if (c->is_parked)
                return;
        c->is_parked = true;
        s->n_queued -= c->jobs.length;
        s->n_sharing -= c->sharing.length;
        if (c->jobs.length > 0)
                leave_turn(s, c);
        if (c->sharing.length > 0)
                take_no_part(s, c);
}

static void unpark(AttScheduler *s, AttScheduleConnection *c) {
        if (!c->is_parked)
                return;
        c->is_parked = false;
        s->n_queued += c->jobs.length;
        s->n_sharing += c->sharing.length;
        if (c->jobs.length > 0)
                take_turn(s, c, false, LAST);
        if (c->sharing.length > 0)
                take_part(s, c, g_queue_push_tail_link);
}

/* The job whose turn it is. Who had the last turn goes behind the others only now: also behind who has come since. */
static AttJob *find_next(AttScheduler *s) {
        AttScheduleConnection *c;
        AttScheduleUser *u;

        while ((u = s->users.head->data)->had_turn) {
                u->had_turn = false;
                go_last(&s->users, &u->link);
        }
        while ((c = u->connections.head->data)->had_turn) {
                c->had_turn = false;
                go_last(&u->connections, &c->link);
        }
        return c->jobs.head->data;
}

/* The same, out of its queue. */
static AttJob *take_next(AttScheduler *s) {
        AttJob *j = find_next(s);
        AttScheduleConnection *c = j->connection;
        AttScheduleUser *u = c->user;

        dequeue(s, j);
        c->had_turn = c->jobs.length > 0;
        u->had_turn = u->connections.length > 0;
        return j;
}

/* ----- rounds */

static void round_add(AttRound *round, AttJob *j) {
        j->round = round;
        j->at = round->jobs->len;
        g_ptr_array_add(round->jobs, j);
        round->n_left++;
}

/* @size: jobs that it is going to have, as far as is known */
static AttRound *round_new(AttJob *first, guint size) {
        AttRound *round = g_new0(AttRound, 1);

        round->ops = first->ops;
        round->jobs = g_ptr_array_sized_new(size);
        round->link.data = round;
        round_add(round, first);
        return round;
}

static void round_free(AttRound *round) {
        if (round->sealed)
                round->ops->drop(round->sealed);
        g_ptr_array_unref(round->jobs);
        g_clear_error(&round->error);
        g_free(round);
}
G_DEFINE_AUTOPTR_CLEANUP_FUNC(AttRound, round_free)

/* @j is in no queue and in no round. */
static void end(AttJob *j, gpointer sealed, GError *error) {
        g_sequence_remove(j->deadline);
        j->deadline = NULL;
        j->connection->user->n_waiting--;
        j->ops->done(j, sealed, error);
}

static void leave_round(AttJob *j) {
        j->round->jobs->pdata[j->at] = NULL;
        j->round->n_left--;
        j->round = NULL;
}

/* ----- answers */

/* What has become of @round is known. @error: (nullable), taken */
static void begin_to_answer(AttScheduler *s, AttRound *round, GError *error) {
        round->is_made = true;
        round->error = error;
        if (error && round->sealed) {
                round->ops->drop(round->sealed);
                round->sealed = NULL;
        }
        g_queue_push_tail_link(&s->answering, &round->link);
}

static bool is_of(const AttRound *round, const GList *link) {
        return link && ((const AttJob *) link->data)->round == round;
}

/* The only one of its round among what is held back for its connection? */
static bool is_alone(const AttJob *j) {
        return !is_of(j->round, j->link.prev) && !is_of(j->round, j->link.next);
}

/* Its connection has as many answers as it can take. */
static void hold_back(AttScheduler *s, AttJob *j) {
        AttScheduleConnection *c = j->connection;

        j->is_held = true;
        j->link.data = j;
        g_queue_push_tail_link(&c->answers, &j->link);
        if (j->round->ops->keep)
                j->round->ops->keep(j->round->sealed, j);
        c->n_unread += is_alone(j);
        if (c->n_unread >= ATT_UNREAD_ROUNDS_MAX)
                park(s, c);
}

static void stop_holding(AttScheduler *s, AttJob *j) {
        AttScheduleConnection *c = j->connection;

        j->is_held = false;
        c->n_unread -= is_alone(j);
        g_queue_unlink(&c->answers, &j->link);
        if (c->n_unread < ATT_UNREAD_ROUNDS_MAX)
                unpark(s, c);
        if (c->answers.length == 0 && c->is_released) {
                g_queue_unlink(&s->released, &c->released);
                c->is_released = false;
        }
}

/* Its round has come to an end, well or not: so does @j. @error: (nullable): another one than that, taken */
static void tell(AttScheduler *s, AttJob *j, GError *error) {
        AttRound *round = j->round;

        if (j->is_held)
                stop_holding(s, j);
        leave_round(j);
        if (!error && round->error)
                error = g_error_copy(round->error);

        round->n_left++; /* whatever that makes the others do, it is there until we are back */
        end(j, error ? NULL : round->sealed, error);
        if (--round->n_left == 0 && round->is_told)
                round_free(round);
}

/* Who is left in it may be so for long: nothing is to stay but what is theirs. */
static void shrink(AttRound *round) {
        GPtrArray *left = g_ptr_array_sized_new(round->n_left);

        for (guint i = 0; i < round->jobs->len; i++) {
                AttJob *j = round->jobs->pdata[i];

                if (!j)
                        continue;
                j->at = left->len;
                g_ptr_array_add(left, j);
        }
        g_ptr_array_unref(round->jobs);
        round->jobs = left;
        if (round->sealed && round->ops->shrink)
                round->ops->shrink(round->sealed);
}

/* Connections have turns. */
static void tell_released(AttScheduler *s) {
        AttScheduleConnection *c = s->released.head->data;

        go_last(&s->released, &c->released);
        tell(s, c->answers.head->data, NULL);
}

/* One more. What was held back and what is new take turns: neither waits for all of the other. False: all are told, but
 * for whom is held back. */
static bool tell_next(AttScheduler *s) {
        AttRound *round = g_queue_peek_head(&s->answering);
        AttJob *j;

        if (s->released.head && (!round || !s->told_released)) {
                s->told_released = true;
                tell_released(s);
                return true;
        }
        s->told_released = false;
        if (!round)
                return false;

        if (round->n_told == round->jobs->len) {
                g_queue_unlink(&s->answering, &round->link);
                round->is_told = true;
                if (round->n_left == 0)
                        round_free(round);
                else
                        shrink(round);
                return true;
        }

        j = round->jobs->pdata[round->n_told++];
        if (j && j->connection->is_held && round->sealed)
                hold_back(s, j);
        else if (j)
                tell(s, j, NULL);
        return true;
}

/* One slice. */
static void answer(AttScheduler *s) {
        gint64 until = g_get_monotonic_time() + SLICE_US;

        s->is_busy = true;
        for (guint n = 0; n % SLICE_MIN > 0 || n == 0 || g_get_monotonic_time() < until; n++)
                if (!tell_next(s))
                        break;
        s->is_busy = false;
        set_alarm(s);
}

void att_scheduler_hold(AttScheduler *s, AttScheduleConnection *c) {
        c->is_held = true;
        if (c->is_released)
                g_queue_unlink(&s->released, &c->released);
        c->is_released = false;
}

void att_scheduler_release(AttScheduler *s, AttScheduleConnection *c) {
        c->is_held = false;
        if (c->answers.length > 0 && !c->is_released) {
                c->is_released = true;
                c->released.data = c;
                g_queue_push_tail_link(&s->released, &c->released);
        }
        set_alarm(s);
}

/* ----- rounds that come to no good end */

/* Not in a round whose end is known. */
static void drop(AttScheduler *s, AttJob *j, GError *error) {
        AttRound *round = j->round;

        if (!round) {
                dequeue(s, j);
        } else {
                leave_round(j);
                if (round->n_left == 0) {
                        g_assert(s->under_way == round);
                        s->under_way = NULL;
                        round_free(round);
                }
        }
        end(j, NULL, error);
}

/* As many as there are, not those that an answer makes its receiver submit. */
static void fail_all_waiting(AttScheduler *s, const GError *why) {
        guint n = s->n_queued;
        AttRound *round;

        if (n == 0)
                return;

        round = round_new(take_next(s), n);
        while (--n > 0)
                round_add(round, take_next(s));
        begin_to_answer(s, round, g_error_copy(why));
}

static bool is_absence(const GError *error) {
        return g_error_matches(error, ATT_ERROR, ATT_ERROR_NO_TEE) ||
               g_error_matches(error, ATT_ERROR, ATT_ERROR_DEVICE_LOST);
}

/* Is the device worth another try for @j, and will it be in time? */
static bool may_try_again(AttScheduler *s, const AttJob *j) {
        return j->n_tries < TRIES_MAX && att_tee_not_before_us(s->tee) < j->deadline_us;
}

/* Who may not try again is told @error, which is taken. The first of the others has the turn, and takes them along. */
static void put_back(AttScheduler *s, AttRound *spent, GError *error) {
        g_autoptr(AttRound) round = spent;
        AttRound *failed = NULL;
        AttJob *first = NULL;

        for (guint i = round->jobs->len; i > 0; i--) {
                AttJob *j = round->jobs->pdata[i - 1];

                if (!j)
                        continue;
                leave_round(j);
                if (!may_try_again(s, j)) {
                        if (failed)
                                round_add(failed, j);
                        else
                                failed = round_new(j, round->n_left + 1);
                        continue;
                }
                enqueue(s, j, PUT_BACK);
                if (!j->connection->is_parked)
                        first = j;
        }

        if (first) {
                dequeue(s, first);
                enqueue(s, first, ITS_TURN);
        }
        if (failed)
                begin_to_answer(s, failed, error);
        else
                g_clear_error(&error);
}

static GError *not_borne_out(void) {
        return g_error_new(ATT_ERROR, ATT_ERROR_FAILED,
                           "the state of this guest was another one under each of %u reports; try again", TRIES_MAX);
}

/* ----- the device */

static void on_report(GObject *source, GAsyncResult *result, gpointer userdata);

/* They are answered in the order in which they are in it: each user's first before any one's second. */
static AttRound *gather(AttScheduler *s) {
        AttJob *first = take_next(s);
        AttRound *round = round_new(first, first->may_share ? s->n_sharing + 1 : 1);

        if (first->may_share) { /* nobody is waited for twice */
                s->n_shared++;
                s->n_expected = 0;
        }
        while (first->may_share && s->n_sharing > 0 && round->jobs->len < ATT_ROUND_MAX) {
                AttJob *j = next_sharing(s);

                dequeue(s, j);
                round_add(round, j);
        }
        return round;
}

/* Who was refused leaves it. Returns: is anybody left? */
static bool end_refused(AttRound *round) {
        round->n_left++; /* whoever hears that may cancel the others: it is there until we are back */
        for (guint i = 0; i < round->jobs->len; i++) {
                AttJob *j = round->jobs->pdata[i];

                if (j && j->refusal) {
                        leave_round(j);
                        end(j, NULL, g_steal_pointer(&j->refusal));
                }
        }
        return --round->n_left > 0;
}

static void start(AttScheduler *s) {
        AttRound *round = gather(s);
        uint8_t report_data[ATT_REPORT_DATA_SIZE];
        AttTpm *tpm = NULL;

        for (guint i = 0; i < round->jobs->len; i++)
                ((AttJob *) round->jobs->pdata[i])->n_tries++;
        round->sealed = round->ops->seal(round->jobs, report_data, &tpm);
        if (!end_refused(round)) {
                round_free(round);
                return;
        }

        s->under_way = round;
        s->is_asking = true;
        s->due_us = 0;
        att_tee_report_async(s->tee, report_data, tpm, on_report, s);
}

static void pump(AttScheduler *s) {
        if (s->is_busy)
                return;

        s->is_busy = true;
        while (may_ask(s) && is_time_to_ask(s))
                start(s);
        s->is_busy = false;
        set_alarm(s);
}

static void on_report(GObject *source, GAsyncResult *result, gpointer userdata) {
        AttScheduler *s = userdata;
        GError *error = NULL;
        g_autoptr(AttTeeReport) report = att_tee_report_finish(s->tee, result, &error);
        AttRound *round = g_steal_pointer(&s->under_way);
        bool is_made = false;

        (void) source;
        s->is_asking = false;
        s->is_busy = true;
        if (report && s->seen)
                s->seen(report, s->userdata);
        if (!report && is_absence(error))
                fail_all_waiting(s, error);

        if (!round)
                g_clear_error(&error);
        else if (report)
                is_made = round->ops->take(round->sealed, round->jobs, g_steal_pointer(&report));
        else
                is_made = !g_error_matches(error, ATT_ERROR, ATT_ERROR_DEVICE_BUSY);
        if (round && !is_made)
                put_back(s, round, error ? error : not_borne_out());
        s->is_busy = false;

        pump(s); /* first: the device works while we answer */
        if (is_made)
                begin_to_answer(s, round, error);
        answer(s);
}

/* ----- time */

/* Those that share come with one report. */
static guint reports_to_come(const AttScheduler *s) {
        return s->n_queued - s->n_sharing + (s->n_sharing > 0 ? 1 : 0);
}

char *att_scheduler_describe_wait(const AttScheduler *s) {
        if (att_tee_interval_us(s->tee) == 0)
                return g_strdup("a time that is not known yet");
        return att_duration_about(att_tee_expected_wait_us(s->tee, MAX(reports_to_come(s), 1)));
}

static GError *timed_out(const AttScheduler *s, const AttJob *j) {
        g_autofree char *wait = att_scheduler_describe_wait(s);

        return g_error_new(ATT_ERROR, ATT_ERROR_TIMED_OUT,
                           "%s within the time limit; who asks now has to expect %s; a longer timeout_ms may help",
                           j->round ? "the TEE has not made the report" : "the turn has not come", wait);
}

static GError *not_read(void) {
        return g_error_new(ATT_ERROR, ATT_ERROR_TIMED_OUT,
                           "within the time limit the answers before this one were not read; read them sooner");
}

/* Is its answer held back, or would it be if its turn had come? */
static bool is_unread(const AttJob *j) {
        return j->is_held || (j->connection->is_held && j->round->sealed);
}

static gboolean on_alarm(gpointer userdata) {
        AttScheduler *s = userdata;
        gint64 now = g_get_monotonic_time(), until = now + SLICE_US;

        for (guint n = 0; n < SLICE_MIN || g_get_monotonic_time() < until; n++) {
                GSequenceIter *first = g_sequence_get_begin_iter(s->deadlines);
                AttJob *j = g_sequence_iter_is_end(first) ? NULL : g_sequence_get(first);

                if (!j || j->deadline_us > now)
                        break;
                if (j->round && j->round->is_made) /* what it waits for is there */
                        tell(s, j, is_unread(j) ? not_read() : NULL);
                else
                        drop(s, j, j->connection->is_parked ? not_read() : timed_out(s, j));
        }
        if (s->due_us > 0 && s->due_us <= now)
                pump(s);
        answer(s);
        return G_SOURCE_CONTINUE;
}

static gboolean on_leisure(gpointer userdata) {
        pump(userdata);
        return G_SOURCE_CONTINUE;
}

static gboolean timer_prepare(GSource *source, gint *timeout_ms) {
        AttScheduler *s = ((Timer *) source)->scheduler;
        gint64 at, left;

        if (s->is_unset)
                set_alarm(s);
        at = ((Timer *) source)->at_us;
        left = at < 0 ? -1 : MAX(at - g_source_get_time(source), 0);
        *timeout_ms = left < 0 ? -1 : (gint) MIN((left + 999) / 1000, G_MAXINT);
        return left == 0;
}

static gboolean timer_check(GSource *source) {
        gint64 at = ((Timer *) source)->at_us;

        return at >= 0 && at <= g_source_get_time(source);
}

static gboolean timer_dispatch(GSource *source, GSourceFunc callback, gpointer userdata) {
        (void) source;
        return callback(userdata);
}

static Timer *timer_new(AttScheduler *s, const char *name, GSourceFunc callback, int priority) {
        static GSourceFuncs funcs = { .prepare = timer_prepare, .check = timer_check, .dispatch = timer_dispatch };
        GSource *source = g_source_new(&funcs, sizeof(Timer));
        Timer *timer = (Timer *) source;

        timer->scheduler = s;
        timer->at_us = -1;
        g_source_set_static_name(source, name);
        g_source_set_priority(source, priority);
        g_source_set_callback(source, callback, s, NULL);
        g_source_attach(source, NULL);
        return timer;
}

static void timer_free(Timer *timer) {
        g_source_destroy(&timer->base);
        g_source_unref(&timer->base);
}

AttScheduler *att_scheduler_new(AttTee *tee, AttReportSeen seen, gpointer userdata) {
        AttScheduler *s = g_new0(AttScheduler, 1);

        s->tee = tee;
        s->seen = seen;
        s->userdata = userdata;
        s->n_shared = 1; /* 0: expected before none */
        s->deadlines = g_sequence_new(NULL);
        s->alarm = timer_new(s, "scheduler", on_alarm, G_PRIORITY_DEFAULT);
        s->leisure = timer_new(s, "scheduler, at leisure", on_leisure, G_PRIORITY_DEFAULT_IDLE);
        return s;
}

void att_scheduler_free(AttScheduler *s) {
        if (!s)
                return;

        g_warn_if_fail(g_sequence_is_empty(s->deadlines));
        while (s->answering.head)
                round_free(g_queue_pop_head_link(&s->answering)->data);
        timer_free(s->alarm);
        timer_free(s->leisure);
        g_sequence_free(s->deadlines);
        g_free(s);
}

static bool is_expected(const AttScheduler *s, const AttExpected *e) {
        return e->report == s->n_shared;
}

/* Returns: was he expected? */
static bool unexpect(AttScheduler *s, AttExpected *e) {
        if (!is_expected(s, e))
                return false;
        e->report = 0;
        s->n_expected--;
        return true;
}

void att_scheduler_submit(AttScheduler *s, AttJob *j, gint64 deadline_us) {
        g_return_if_fail(!j->deadline);

        j->deadline_us = deadline_us;
        j->n_tries = 0;
        j->deadline = g_sequence_insert_sorted(s->deadlines, j, compare_deadlines, NULL);
        j->connection->user->n_waiting++;
        if (j->expected && unexpect(s, j->expected))
                s->stirred_us = g_get_monotonic_time();
        enqueue(s, j, LAST);

        s->is_unset = true; /* of many that come at once, once */
}

void att_scheduler_expect(AttScheduler *s, AttExpected *e, gint64 until_us) {
        gint64 now = g_get_monotonic_time();

        if (until_us > 0)
                s->expected_until_us = until_us;
        if (!e || s->expected_until_us <= now)
                return;
        s->stirred_us = now;
        if (is_expected(s, e))
                return;
        e->report = s->n_shared;
        s->n_expected++;
        set_alarm(s);
}

void att_scheduler_unexpect(AttScheduler *s, AttExpected *e) {
        if (unexpect(s, e))
                set_alarm(s);
}

void att_scheduler_cancel(AttScheduler *s, AttJob *j) {
        GError *error;

        if (!j->deadline)
                return;

        error = g_error_new(ATT_ERROR, ATT_ERROR_CANCELLED, "the session was closed while the request waited");
        if (j->round && j->round->is_made)
                tell(s, j, error); /* who answers the others comes across its place */
        else
                drop(s, j, error);
        set_alarm(s);
}

void att_scheduler_tee_changed(AttScheduler *s) {
        AttTeeState state = att_tee_state(s->tee);

        if (state == ATT_TEE_NO_TEE || state == ATT_TEE_DEVICE_LOST) {
                g_autoptr(GError) why = g_error_new(ATT_ERROR, state == ATT_TEE_NO_TEE ? ATT_ERROR_NO_TEE
                                                                                      : ATT_ERROR_DEVICE_LOST,
                                                    "%s", att_tee_detail(s->tee));

                fail_all_waiting(s, why);
        }
        pump(s);
        if (!s->is_busy)
                answer(s);
}
