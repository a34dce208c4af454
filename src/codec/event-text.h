/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What is known of the data of firmware's events. */
#pragma once

#include "codec/event-log.h"

G_BEGIN_DECLS

#define ATT_EVENT_PARTS_MAX 2u

/**
 * att_event_parts: what a digest may be of, in place of all of the data
 *
 * The value of a variable that boots; of a boot loader's line, what stands behind
 * the word that names its kind ("grub_cmd: …", "kernel_cmdline: …"), without NUL or with it.
 *
 * Returns: how many, the likeliest first
 */
size_t att_event_parts(const AttEvent *event, AttCursor ret[ATT_EVENT_PARTS_MAX]);

/**
 * att_event_dup_text: the data of @event for people
 *
 * A variable's name, GUID and size; a file's path; a line; a separator's number; …
 * UTF-8, but not more plain than the firmware made it: escape control characters.
 *
 * Returns: (nullable): %NULL if nothing is known of it
 */
char *att_event_dup_text(const AttEvent *event) G_GNUC_WARN_UNUSED_RESULT;

G_END_DECLS
