/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "tee/event-source.h"

#include "tee/hints.h"
#include "tee/kernel-message.h"
#include "tee/kernel-probe.h"
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

/* When it returns, list and PCR have the entry; or had it already. */
#define ADDS_AN_ENTRY "ima_add_template_entry"
/* Called when the VM generation id is another one; not every kernel also sends a uevent. */
#define IS_A_FORK "add_vmfork_randomness"

struct AttEventSource {
        AttKernelProbe *entries, *forks; /* NULL: none */
        int audit, uevents;              /* -1: none */
        bool has_blind_processor;        /* one came later than the probes */
        const char *name;
        char *detail;

        GSource *entry_hints;  /* NULL before the start, and with the timer alone */
        GSource *fork_hints;
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

static void open_for_measurements(AttEventSource *s) {
        g_autoptr(GError) probe_error = NULL, audit_error = NULL;

        s->entries = att_kernel_probe_open(ADDS_AN_ENTRY, &probe_error);
        if (s->entries) {
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
}

static void open_for_clones(AttEventSource *s) {
        g_autoptr(GError) probe_error = NULL, uevent_error = NULL;

        s->forks = att_kernel_probe_open(IS_A_FORK, &probe_error);
        s->uevents = att_uevents_open(&uevent_error);
        if (!s->forks)
                g_message("a clone of this guest is told of by a uevent, if this kernel sends one%s%s: %s",
                          uevent_error ? ", which cannot be heard: " : "", uevent_error ? uevent_error->message : "",
                          probe_error->message);
}

AttEventSource *att_event_source_open(void) {
        AttEventSource *s = g_new(AttEventSource, 1);

        *s = (AttEventSource) { .audit = -1, .uevents = -1, .clock = -1 };
        open_for_measurements(s);
        open_for_clones(s);
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

static bool drain(AttKernelProbe *probe) {
        bool was_hit = att_kernel_probe_was_hit(probe);

        att_kernel_probe_drain(probe);
        return was_hit;
}

static bool is_entry_there(gpointer userdata) {
        return att_kernel_probe_was_hit(((AttEventSource *) userdata)->entries);
}

static bool drain_entries(gpointer userdata) {
        return drain(((AttEventSource *) userdata)->entries);
}

static void on_measured(gpointer userdata) {
        AttEventSource *s = userdata;

        s->handlers.measured(s->userdata);
}

static bool is_fork_there(gpointer userdata) {
        return att_kernel_probe_was_hit(((AttEventSource *) userdata)->forks);
}

static bool drain_forks(gpointer userdata) {
        return drain(((AttEventSource *) userdata)->forks);
}

static void on_cloned(gpointer userdata) {
        AttEventSource *s = userdata;

        s->handlers.cloned(s->userdata);
}

static const AttHintsFuncs entry_funcs = { is_entry_there, drain_entries, on_measured };
static const AttHintsFuncs audit_funcs = { NULL, drain_audit, on_measured };
static const AttHintsFuncs fork_funcs = { is_fork_there, drain_forks, on_cloned };

/* Before the calls that wait: what they get should not be older than what is known. */
static GSource *attach(GSource *source, const char *name) {
        g_source_set_static_name(source, name);
        g_source_set_priority(source, G_PRIORITY_HIGH);
        g_source_attach(source, NULL);
        return source;
}

static GSource *watch_probe(AttEventSource *s, const AttKernelProbe *probe, const AttHintsFuncs *funcs,
                            const char *name) {
        guint n = att_kernel_probe_size(probe);
        g_autofree int *fds = g_new(int, n);

        for (guint i = 0; i < n; i++)
                fds[i] = att_kernel_probe_fd(probe, i);
        return attach(att_hints_source_new(fds, n, ATT_COALESCE_MS, funcs, s), name);
}

/* ----- the rest */

static void processor_came(AttEventSource *s) {
        s->has_blind_processor = true;
        if (!s->entries)
                return;
        g_free(s->detail);
        s->detail = g_strdup("a processor came later: what it measures waits for the timer");
}

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
                        if (att_uevent_begins(buffer, size, "online@/devices/system/cpu/"))
                                processor_came(s);
                }
        }

        /* The probe has told it, unless the kernel learnt of it where there is none. Better once too often. */
        if (is_cloned && (!s->forks || s->has_blind_processor))
                on_cloned(s);
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
        if (s->entries)
                s->entry_hints = watch_probe(s, s->entries, &entry_funcs, "measurements");
        else if (s->audit >= 0)
                s->entry_hints = attach(att_hints_source_new(&s->audit, 1, ATT_COALESCE_MS, &audit_funcs, s), "audit");
        if (s->forks)
                s->fork_hints = watch_probe(s, s->forks, &fork_funcs, "clones");
        if (s->uevents >= 0)
                s->uevent_watch = g_unix_fd_add(s->uevents, G_IO_IN, on_uevent, s);
        watch_clock(s);
        s->timer = g_timeout_add(interval_ms, on_tick, s);
}

static void detach(GSource **source) {
        if (*source)
                g_source_destroy(*source);
        g_clear_pointer(source, g_source_unref);
}

void att_event_source_stop(AttEventSource *s) {
        detach(&s->entry_hints);
        detach(&s->fork_hints);
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
        att_kernel_probe_free(s->entries);
        att_kernel_probe_free(s->forks);
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
