/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What wakes attestd when something has been measured, or the guest was cloned. All
 * of these are hints: the truth is the log, so a timer runs beside each. */
#pragma once

#include <glib.h>
#include <stdbool.h>

G_BEGIN_DECLS

typedef struct AttEventSource AttEventSource;

/* Called in the main context. */
typedef struct AttEventHandlers {
        void (*measured)(gpointer userdata); /* an entry may have been added */
        void (*cloned)(gpointer userdata);   /* the kernel says that its VM generation id is another one */
        void (*tick)(gpointer userdata);     /* the timer */
} AttEventHandlers;

/**
 * att_event_source_open: take what needs privileges: return probes on every CPU, or
 * else audit's multicast group; uevents
 *
 * Before the capabilities are dropped, and before there is a second thread. Never
 * fails: what cannot be had is named in the log, and the timer is there always.
 */
AttEventSource *att_event_source_open(void) G_GNUC_WARN_UNUSED_RESULT;

/** att_event_source_start: attach to the default main context. @interval_ms: of the timer */
void att_event_source_start(AttEventSource *source, guint interval_ms, const AttEventHandlers *handlers,
                            gpointer userdata);
void att_event_source_free(AttEventSource *source);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(AttEventSource, att_event_source_free)

/** "kprobe", "audit" or "timer" */
const char *att_event_source_name(const AttEventSource *source);
/** Why it is not the best one: one sentence; "" for kprobe. */
const char *att_event_source_detail(const AttEventSource *source);

G_END_DECLS
