/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Logs that attestd gives, and their entries for people and machines. */
#pragma once

#include "codec/ima-log.h"

#include <gio/gio.h>
#include <gio/gunixfdlist.h>
#include <jansson.h>

G_BEGIN_DECLS

/**
 * ctl_log_take: what GetLog answered
 * @answer: (htt)
 *
 * Returns: mapped
 */
GBytes *ctl_log_take(GVariant *answer, GUnixFDList *fds, guint64 *ret_count, GError **error) G_GNUC_WARN_UNUSED_RESULT;

/** ctl_ima_entry_to_json: index, pcr, template, digest, path, violation; what an entry does not have is left out */
json_t *ctl_ima_entry_to_json(const AttImaRecord *record, guint64 index) G_GNUC_WARN_UNUSED_RESULT;

/** ctl_ima_entry_print: "10 ima-ng sha256:5e… /usr/bin/x", as in the kernel's own text, and no newline */
void ctl_ima_entry_print(const AttImaRecord *record);

G_END_DECLS
