/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "tee/event-source.h"

#include "tee/hints.h"
#include "tee/ima-probe.h"
#include "tee/kernel-message.h"
#include "util/error.h"
#include "util/io.h"

#include <errno.h>
#include <fcntl.h>
#include <glib-unix.h>
#include <stdint.h>
#include <sys/timerfd.h>

#define CMDLINE_MAX 65536u
/* Of one turn of the loop: who can send to us must not be able to hold it. */
#define MESSAGES_AT_ONCE 256u

struct AttEventSource {
        AttImaProbe *probe;    /* NULL: none */
        int audit, uevents;    /* -1: none */
        const char *name;
        char *detail;

        GSource *hints;        /* NULL before the start, and with the timer alone */
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

        s->audit = att_audit_open(error);
        return s->audit >= 0;
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

        s->uevents = att_uevents_open(&uevent_error);
        if (s->uevents < 0)
                g_warning("a clone of this guest goes unnoticed: %s", uevent_error->message);
        return s;
}

/* ----- measurements */

static bool drain_audit(gpointer userdata) {
        AttEventSource *s = userdata;
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

static bool is_there(gpointer userdata) {
        const AttEventSource *s = userdata;

        return att_ima_probe_was_hit(s->probe);
}

static bool drain_probe(gpointer userdata) {
        AttEventSource *s = userdata;
        bool was_hit = att_ima_probe_was_hit(s->probe);

        att_ima_probe_drain(s->probe);
        return was_hit;
}

static void on_measured(gpointer userdata) {
        AttEventSource *s = userdata;

        s->handlers.measured(s->userdata);
}

static GSource *hints_new(AttEventSource *s) {
        static const AttHintsFuncs probe_funcs = { is_there, drain_probe, on_measured };
        static const AttHintsFuncs audit_funcs = { NULL, drain_audit, on_measured };
        guint n = s->probe ? att_ima_probe_size(s->probe) : 0;
        g_autofree int *fds = g_new(int, n);

        for (guint i = 0; i < n; i++)
                fds[i] = att_ima_probe_fd(s->probe, i);
        if (s->probe)
                return att_hints_source_new(fds, n, ATT_COALESCE_MS, &probe_funcs, s);
        return att_hints_source_new(&s->audit, 1, ATT_COALESCE_MS, &audit_funcs, s);
}

static void watch_measurements(AttEventSource *s) {
        s->hints = hints_new(s);
        g_source_set_static_name(s->hints, "measurements");
        /* Before the calls that wait: what they get should not be older than what is known. */
        g_source_set_priority(s->hints, G_PRIORITY_HIGH);
        g_source_attach(s->hints, NULL);
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
                watch_measurements(s);
        if (s->uevents >= 0)
                s->uevent_watch = g_unix_fd_add(s->uevents, G_IO_IN, on_uevent, s);
        watch_clock(s);
        s->timer = g_timeout_add(interval_ms, on_tick, s);
}

void att_event_source_stop(AttEventSource *s) {
        if (s->hints) {
                g_source_destroy(s->hints);
                g_clear_pointer(&s->hints, g_source_unref);
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
