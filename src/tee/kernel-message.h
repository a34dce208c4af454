/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the kernel tells through netlink: uevents of devices, and audit. */
#pragma once

#include <glib.h>
#include <stdbool.h>

G_BEGIN_DECLS

/* The kernel sends nothing larger than this that we would look at. */
#define ATT_KERNEL_MESSAGE_MAX 8192u

/* Multicasts of the kernel, on a descriptor that does not block; -1 with @error of %G_IO_ERROR. */
/** att_uevents_open: devices that have changed, and processors that have come; no others, for there can be many */
int att_uevents_open(GError **error) G_GNUC_WARN_UNUSED_RESULT;
/** att_audit_open: all that is audited; takes CAP_AUDIT_READ and the first network namespace */
int att_audit_open(GError **error) G_GNUC_WARN_UNUSED_RESULT;

typedef enum {
        ATT_KERNEL_MESSAGE_NONE,    /* no more for now */
        ATT_KERNEL_MESSAGE_OVERRUN, /* some were lost: there was no more room */
        ATT_KERNEL_MESSAGE_OTHER,   /* from somebody else, or cut off: nothing of it counts */
        ATT_KERNEL_MESSAGE_IS_HERE,
} AttKernelMessage;

/** att_kernel_messages_next: one datagram. @ret_size: of what is in @buffer, if one is here */
AttKernelMessage att_kernel_messages_next(int fd, guint8 buffer[ATT_KERNEL_MESSAGE_MAX], gsize *ret_size);

/* A uevent is as the kernel prints it: "change@/devices/x", then KEY=value, each ended by NUL. */
/** att_uevent_begins: is it one that begins with @prefix, such as "online@/devices/system/cpu/"? */
bool att_uevent_begins(const guint8 *data, gsize size, const char *prefix);
/** att_uevent_says: is @assignment, KEY=value, in it? */
bool att_uevent_says(const guint8 *data, gsize size, const char *assignment);

/** att_audit_is_of_integrity: does it tell of a measurement, or of a violation (AUDIT_INTEGRITY_PCR)? */
bool att_audit_is_of_integrity(const guint8 *data, gsize size);

/**
 * att_audit_tells_measurements: was the kernel started to tell of each measurement?
 * @cmdline: its command line
 */
bool att_audit_tells_measurements(const char *cmdline);

G_END_DECLS
