/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "bus/lent.h"

#include "util/error.h"
#include "util/io.h"
#include "util/memfd.h"
#include "util/quota.h"

#define OPEN "descriptors that are waited for, or are not closed"

typedef struct Loan {
        GList link;
        int fd; /* of ours; another one was passed */
        AttWay *way; /* NULL: not looked at */
        AttWayMark mark;
        uint32_t uid;
        char *connection;
} Loan;

struct AttLent {
        const AttLentLimits *limits;
        GQueue loans; /* of Loan, by their link */
        gint64 looked_us;
        guint tick; /* source, while there are any */
};

static void loan_free(AttLent *l, Loan *loan) {
        g_queue_unlink(&l->loans, &loan->link);
        att_close_p(&loan->fd);
        att_way_drop(loan->way);
        g_free(loan->connection);
        g_free(loan);
}

/* @connection: (nullable): of all */
static void look(AttLent *l, const char *connection) {
        for (GList *i = l->loans.head, *next; i; i = next) {
                Loan *loan = i->data;

                next = i->next;
                if (connection && !g_str_equal(loan->connection, connection))
                        continue;
                if (!(loan->way && att_way_has(loan->way, &loan->mark)) && !att_memfd_is_lent(loan->fd))
                        loan_free(l, loan);
        }
}

static void look_at_all(AttLent *l) {
        gint64 now = g_get_monotonic_time();

        if (l->looked_us > 0 && now - l->looked_us < l->limits->look_us)
                return;
        l->looked_us = now;
        look(l, NULL);
}

static gboolean on_tick(gpointer userdata) {
        AttLent *l = userdata;

        look(l, NULL);
        if (l->loans.length > 0)
                return G_SOURCE_CONTINUE;
        l->tick = 0;
        return G_SOURCE_REMOVE;
}

/* @c: what is there besides */
static AttLentCount count(const AttLent *l, const char *connection, uint32_t uid, AttLentCount c) {
        for (GList *i = l->loans.head; i; i = i->next) {
                const Loan *loan = i->data;

                c.of_user += loan->uid == uid;
                c.of_connection += loan->uid == uid && g_str_equal(loan->connection, connection);
        }
        c.of_all += l->loans.length;
        return c;
}

/* As att_quota_excess(). */
static char *excess(const AttLent *l, const AttLentCount *c) {
        const AttQuota quota = { OPEN, c->of_user, l->limits->user_max, c->of_all, l->limits->all_max };

        return att_quota_excess(&quota, 1);
}

gboolean att_lent_check_with(AttLent *l, const char *connection, uint32_t uid, const AttLentCount *waiting,
                             GError **error) {
        g_autofree char *refusal = NULL;
        AttLentCount c;

        look(l, connection);
        c = count(l, connection, uid, *waiting);
        if (c.of_connection >= l->limits->connection_max)
                return att_error_set(error, ATT_ERROR_LIMIT_REACHED, "this connection may have %u " OPEN,
                                     l->limits->connection_max);
        refusal = excess(l, &c);
        if (refusal) {
                look_at_all(l);
                c = count(l, connection, uid, *waiting);
                g_free(refusal);
                refusal = excess(l, &c);
        }
        return !refusal || att_error_set(error, ATT_ERROR_LIMIT_REACHED, "%s", refusal);
}

gboolean att_lent_check(AttLent *l, const char *connection, uint32_t uid, GError **error) {
        const AttLentCount none = { 0 };

        return att_lent_check_with(l, connection, uid, &none, error);
}

int att_lent_lend_over(AttLent *l, AttWay *way, const char *connection, uint32_t uid, int fd, GError **error) {
        att_autofd int own = fd, lent = att_memfd_lend(fd, error);
        Loan *loan;

        if (lent < 0)
                return -1;
        loan = g_new(Loan, 1);
        *loan = (Loan) {
                .fd = att_steal_fd(&own),
                .way = way ? att_way_lend(way) : NULL,
                .uid = uid,
                .connection = g_strdup(connection),
        };
        loan->link.data = loan;
        g_queue_push_tail_link(&l->loans, &loan->link);
        if (l->tick == 0)
                l->tick = g_timeout_add_seconds(1, on_tick, l);
        return att_steal_fd(&lent);
}

int att_lent_lend(AttLent *l, const char *connection, uint32_t uid, int fd, GError **error) {
        return att_lent_lend_over(l, NULL, connection, uid, fd, error);
}

AttLent *att_lent_new(const AttLentLimits *limits) {
        AttLent *l = g_new0(AttLent, 1);

        l->limits = limits;
        return l;
}

void att_lent_free(AttLent *l) {
        if (!l)
                return;

        while (l->loans.head)
                loan_free(l, l->loans.head->data);
        if (l->tick)
                g_source_remove(l->tick);
        g_free(l);
}
