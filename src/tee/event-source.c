/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "tee/event-source.h"

#include "tee/ima-probe.h"
#include "tee/kernel-message.h"
#include "util/error.h"
#include "util/io.h"

#include <errno.h>
#include <fcntl.h>
#include <glib-unix.h>
#include <linux/audit.h>
#include <linux/netlink.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/timerfd.h>

#define CMDLINE_MAX 65536u
#define UEVENT_GROUP 1u /* the kernel's own; udev's is 2 */
/* Of one turn of the loop: who can send to us must not be able to hold it. */
#define MESSAGES_AT_ONCE 256u

/* What tells of measurements, as one GSource. While its window is closed it does not
 * look: the hints wait in the ring, or the socket, until the window's end. */
typedef struct Hints {
        GSource base;
        AttEventSource *owner;
        GPtrArray *tags; /* of its descriptors */
        bool is_closed;
} Hints;

struct AttEventSource {
        AttImaProbe *probe;    /* NULL: none */
        int audit, uevents;    /* -1: none */
        const char *name;
        char *detail;

        Hints *hints;          /* NULL before the start, and with the timer alone */
        guint uevent_watch, timer;
        guint clock_watch;
        int clock;             /* -1: none */
        AttEventHandlers handlers;
        gpointer userdata;
};

/* ----- opening */

static gboolean open_audit(AttEventSource *s, GError **error) {
        g_autoptr(GBytes) bytes = att_read_at(AT_FDCWD, "/proc/cmdline", CMDLINE_MAX, error);
        g_autofree char *cmdline = NULL;

        if (!bytes)
                return FALSE;

        cmdline = g_strndup(g_bytes_get_data(bytes, NULL), g_bytes_get_size(bytes));
        if (!att_audit_tells_measurements(cmdline))
                return att_error_set(error, ATT_ERROR_FAILED,
                                     "audit tells of measurements only with integrity_audit=1 on the kernel's command "
                                     "line");

        s->audit = att_kernel_messages_open(NETLINK_AUDIT, AUDIT_NLGRP_READLOG, error);
        if (s->audit < 0)
                return FALSE;

        /* If there is no more room, what is there already wakes us; an error would do so again and again. */
        (void) setsockopt(s->audit, SOL_NETLINK, NETLINK_NO_ENOBUFS, &(int) { 1 }, sizeof(int));
        return TRUE;
}

AttEventSource *att_event_source_open(void) {
        g_autoptr(GError) probe_error = NULL, audit_error = NULL, uevent_error = NULL;
        AttEventSource *s = g_new(AttEventSource, 1);

        *s = (AttEventSource) { .audit = -1, .uevents = -1, .clock = -1 };
        s->probe = att_ima_probe_open(&probe_error);
        if (s->probe) {
                s->name = "kprobe";
                s->detail = g_strdup("");
        } else if (open_audit(s, &audit_error)) {
                s->name = "audit";
                s->detail = g_strdup(probe_error->message);
        } else {
                s->name = "timer";
                s->detail = g_strdup_printf("%s; %s", probe_error->message, audit_error->message);
        }
        g_message("measurements are told of by %s%s%s", s->name, s->detail[0] ? ": " : "", s->detail);

        s->uevents = att_kernel_messages_open(NETLINK_KOBJECT_UEVENT, UEVENT_GROUP, &uevent_error);
        if (s->uevents < 0)
                g_warning("a clone of this guest goes unnoticed: %s", uevent_error->message);
        return s;
}

/* ----- measurements */

/* Has anything been told? Afterwards nothing waits to be. */
static bool drain_audit(AttEventSource *s) {
        guint8 buffer[ATT_KERNEL_MESSAGE_MAX];
        bool is_told = false;

        for (guint i = 0; i < MESSAGES_AT_ONCE; i++) {
                gsize size;

                switch (att_kernel_messages_next(s->audit, buffer, &size)) {
                case ATT_KERNEL_MESSAGE_NONE:
                        return is_told;
                case ATT_KERNEL_MESSAGE_OVERRUN:
                        is_told = true;
                        break;
                case ATT_KERNEL_MESSAGE_OTHER:
                        break;
                case ATT_KERNEL_MESSAGE_IS_HERE:
                        is_told = is_told || att_audit_is_of_integrity(buffer, size);
                        break;
                }
        }
        return is_told;
}

static bool drain(AttEventSource *s) {
        bool was_hit;

        if (!s->probe)
                return drain_audit(s);

        was_hit = att_ima_probe_was_hit(s->probe);
        att_ima_probe_drain(s->probe);
        return was_hit;
}

static void hints_open_or_close(Hints *h, bool close) {
        h->is_closed = close;
        for (guint i = 0; i < h->tags->len; i++)
                g_source_modify_unix_fd(&h->base, h->tags->pdata[i], close ? 0 : G_IO_IN);
        g_source_set_ready_time(&h->base, close ? g_get_monotonic_time() + ATT_COALESCE_MS * 1000 : -1);
}

/* The descriptor of a processor that has gone offline is always ready, and never again to any use. */
static void forget_hung_up(Hints *h) {
        for (guint i = h->tags->len; i > 0; i--) {
                gpointer tag = h->tags->pdata[i - 1];

                if (g_source_query_unix_fd(&h->base, tag) & (G_IO_HUP | G_IO_ERR | G_IO_NVAL)) {
                        g_source_remove_unix_fd(&h->base, tag);
                        g_ptr_array_remove_index_fast(h->tags, i - 1);
                }
        }
}

static gboolean hints_prepare(GSource *base, gint *timeout) {
        Hints *h = (Hints *) base;

        *timeout = -1;
        /* poll() tells each hit once, and other sources may have been in the way then. */
        return !h->is_closed && h->owner->probe && att_ima_probe_was_hit(h->owner->probe);
}

static gboolean hints_check(GSource *base) {
        Hints *h = (Hints *) base;

        if (h->owner->probe) {
                forget_hung_up(h);
                return !h->is_closed && att_ima_probe_was_hit(h->owner->probe);
        }
        return !h->is_closed && g_source_query_unix_fd(base, h->tags->pdata[0]) != 0;
}

static gboolean hints_dispatch(GSource *base, GSourceFunc callback, gpointer userdata) {
        Hints *h = (Hints *) base;
        AttEventSource *s = h->owner;

        (void) callback, (void) userdata;
        if (!drain(s)) {
                hints_open_or_close(h, false);
                return G_SOURCE_CONTINUE;
        }

        hints_open_or_close(h, true);
        s->handlers.measured(s->userdata);
        return G_SOURCE_CONTINUE;
}

static void hints_finalize(GSource *base) {
        g_ptr_array_unref(((Hints *) base)->tags);
}

static GSourceFuncs hints_funcs = {
        .prepare = hints_prepare,
        .check = hints_check,
        .dispatch = hints_dispatch,
        .finalize = hints_finalize,
};

static Hints *hints_new(AttEventSource *s) {
        GSource *base = g_source_new(&hints_funcs, sizeof(Hints));
        Hints *h = (Hints *) base;
        guint n = s->probe ? att_ima_probe_size(s->probe) : 1;

        h->owner = s;
        h->tags = g_ptr_array_new();
        h->is_closed = false;
        for (guint i = 0; i < n; i++)
                g_ptr_array_add(h->tags, g_source_add_unix_fd(base, s->probe ? att_ima_probe_fd(s->probe, i) : s->audit,
                                                              G_IO_IN));
        g_source_set_static_name(base, "measurements");
        /* Before the calls that wait: what they get should not be older than what is known. */
        g_source_set_priority(base, G_PRIORITY_HIGH);
        g_source_attach(base, NULL);
        return h;
}

/* ----- the rest */

static gboolean on_uevent(gint fd, GIOCondition condition, gpointer userdata) {
        AttEventSource *s = userdata;
        guint8 buffer[ATT_KERNEL_MESSAGE_MAX];
        bool is_cloned = false;

        (void) condition;
        for (guint i = 0; i < MESSAGES_AT_ONCE; i++) {
                gsize size;
                AttKernelMessage m = att_kernel_messages_next(fd, buffer, &size);

                if (m == ATT_KERNEL_MESSAGE_NONE)
                        break;
                if (m == ATT_KERNEL_MESSAGE_OVERRUN) {
                        /* One of a clone may have been among them: better one too many. */
                        is_cloned = true;
                } else if (m == ATT_KERNEL_MESSAGE_IS_HERE) {
                        is_cloned = is_cloned || att_uevent_says(buffer, size, "NEW_VMGENID=1");
                        if (s->probe && att_uevent_begins(buffer, size, "online@/devices/system/cpu/")) {
                                g_free(s->detail);
                                s->detail = g_strdup("a processor came later: what it measures waits for the timer");
                        }
                }
        }

        if (is_cloned)
                s->handlers.cloned(s->userdata);
        return G_SOURCE_CONTINUE;
}

static gboolean on_tick(gpointer userdata) {
        AttEventSource *s = userdata;

        s->handlers.tick(s->userdata);
        return G_SOURCE_CONTINUE;
}

static gboolean on_clock(gint fd, GIOCondition condition, gpointer userdata) {
        uint64_t n;

        (void) condition;
        if (read(fd, &n, sizeof n) < 0 && errno == EAGAIN)
                return G_SOURCE_CONTINUE;
        return on_tick(userdata);
}

/* A timer that never comes, but is cancelled when the wall clock jumps, and that it does
 * at each resume. Without it the next tick sees it. */
static void watch_clock(AttEventSource *s) {
        const struct itimerspec never = { .it_value.tv_sec = G_MAXINT32 };
        att_autofd int fd = timerfd_create(CLOCK_REALTIME, TFD_CLOEXEC | TFD_NONBLOCK);

        if (fd < 0 || timerfd_settime(fd, TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET, &never, NULL) < 0)
                return;
        s->clock = att_steal_fd(&fd);
        s->clock_watch = g_unix_fd_add(s->clock, G_IO_IN, on_clock, s);
}

void att_event_source_start(AttEventSource *s, guint interval_ms, const AttEventHandlers *handlers,
                            gpointer userdata) {
        g_return_if_fail(s->timer == 0);

        s->handlers = *handlers;
        s->userdata = userdata;
        if (s->probe || s->audit >= 0)
                s->hints = hints_new(s);
        if (s->uevents >= 0)
                s->uevent_watch = g_unix_fd_add(s->uevents, G_IO_IN, on_uevent, s);
        watch_clock(s);
        s->timer = g_timeout_add(interval_ms, on_tick, s);
}

void att_event_source_stop(AttEventSource *s) {
        if (s->hints) {
                g_source_destroy(&s->hints->base);
                g_source_unref(&s->hints->base);
                s->hints = NULL;
        }
        g_clear_handle_id(&s->uevent_watch, g_source_remove);
        g_clear_handle_id(&s->clock_watch, g_source_remove);
        g_clear_handle_id(&s->timer, g_source_remove);
        att_close_p(&s->clock);
        s->clock = -1;
}

void att_event_source_free(AttEventSource *s) {
        if (!s)
                return;

        att_event_source_stop(s);
        att_ima_probe_free(s->probe);
        att_close_p(&s->audit);
        att_close_p(&s->uevents);
        g_free(s->detail);
        g_free(s);
}

const char *att_event_source_name(const AttEventSource *s) {
        return s->name;
}

const char *att_event_source_detail(const AttEventSource *s) {
        return s->detail;
}
