/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What wakes attestd when something has been measured, or the guest was cloned. All
 * of these are hints: the truth is the log, so a timer runs beside each. */
#pragma once

#include <glib.h>
#include <stdbool.h>

G_BEGIN_DECLS

/* What lands within this time after an entry was acted on is acted on together. */
#define ATT_COALESCE_MS 50u

typedef struct AttEventSource AttEventSource;

/* Called in the main context. */
typedef struct AttEventHandlers {
        /* An entry may have been added. The first after quiet is told at once, what follows
         * it together, each ATT_COALESCE_MS; after the last one there always is a call. */
        void (*measured)(gpointer userdata);
        void (*cloned)(gpointer userdata); /* the kernel says that its VM generation id is another one */
        void (*tick)(gpointer userdata);   /* the timer; also when the guest resumes, or its clock is set */
} AttEventHandlers;

/**
 * att_event_source_open: take what needs privileges: return probes on every CPU, or
 * else audit's multicast group; for clones a probe too, and uevents
 *
 * Before the capabilities are dropped, and before there is a second thread. Never
 * fails: what cannot be had is named in the log, and the timer is there always.
 */
AttEventSource *att_event_source_open(void) G_GNUC_WARN_UNUSED_RESULT;

/**
 * att_event_source_start: attach to the default main context, once
 * @interval_ms: of the timer
 *
 * What has happened since att_event_source_open() is told then.
 */
void att_event_source_start(AttEventSource *source, guint interval_ms, const AttEventHandlers *handlers,
                            gpointer userdata);
/** att_event_source_stop: no handler is called any more. Fine for one that was not started. */
void att_event_source_stop(AttEventSource *source);
void att_event_source_free(AttEventSource *source);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(AttEventSource, att_event_source_free)

/** "kprobe", "audit" or "timer" */
const char *att_event_source_name(const AttEventSource *source);
/** Why it is not the best one, or does not see all: one sentence; else "". Borrowed until the main loop runs again. */
const char *att_event_source_detail(const AttEventSource *source);

G_END_DECLS
