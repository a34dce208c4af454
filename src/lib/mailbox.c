/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lib/mailbox.h"

#include <errno.h>
#include <sys/eventfd.h>
#include <unistd.h>

gboolean att_mailbox_init(AttMailbox *m, GError **error) {
        int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);

        if (fd < 0) {
                g_set_error(error, ATTESTD_ERROR, ATTESTD_ERROR_SERVICE, "cannot make an eventfd: %s",
                            g_strerror(errno));
                return FALSE;
        }
        m->fd = fd;
        g_mutex_init(&m->lock);
        g_queue_init(&m->events);
        m->is_closed = false;
        return TRUE;
}

void att_mailbox_clear(AttMailbox *m) {
        g_queue_clear_full(&m->events, (GDestroyNotify) att_event_free);
        g_mutex_clear(&m->lock);
        close(m->fd);
}

/* The descriptor is readable as long as there is an event: the first one sees to it. */
void att_mailbox_post(AttMailbox *m, AttEvent *event) {
        g_mutex_lock(&m->lock);
        if (m->is_closed) {
                att_event_free(event);
        } else {
                if (g_queue_is_empty(&m->events))
                        (void) eventfd_write(m->fd, 1); /* never full: it was read to 0 */
                g_queue_push_tail(&m->events, event);
        }
        g_mutex_unlock(&m->lock);
}

void att_mailbox_post_failure(AttMailbox *m, AttEventType answer, const char *of, const char *message) {
        AttEvent *event = g_new0(AttEvent, 1);

        event->type = answer;
        g_set_error(&event->error, ATTESTD_ERROR, ATTESTD_ERROR_SERVICE, "%s: %s", of, message);
        att_mailbox_post(m, event);
}

AttEvent *att_mailbox_take(AttMailbox *m) {
        AttEvent *event;
        eventfd_t count;

        g_mutex_lock(&m->lock);
        event = g_queue_pop_head(&m->events);
        if (event && g_queue_is_empty(&m->events))
                (void) eventfd_read(m->fd, &count);
        g_mutex_unlock(&m->lock);
        return event;
}

void att_mailbox_close(AttMailbox *m) {
        g_mutex_lock(&m->lock);
        m->is_closed = true;
        g_mutex_unlock(&m->lock);
}

bool att_mailbox_is_closed(AttMailbox *m) {
        bool closed;

        g_mutex_lock(&m->lock);
        closed = m->is_closed;
        g_mutex_unlock(&m->lock);
        return closed;
}
