/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What a report must be before it leaves the layer, whoever gave it. */
#pragma once

#include "util/tls-terms.h"

#include <gio/gio.h>
#include <stdbool.h>
#include <stdint.h>

G_BEGIN_DECLS

/** att_report_is_whole: does @outblob have all that a report of @provider says it has? */
bool att_report_is_whole(const char *provider, GBytes *outblob);

/**
 * att_report_check: is @outblob a whole report of @provider over @report_data?
 * @provider: "tdx_guest" or "sev_guest"
 * @error: of %ATT_TEE_FAULT
 */
gboolean att_report_check(const char *provider, GBytes *outblob, const uint8_t report_data[ATT_REPORT_DATA_SIZE],
                          GError **error) G_GNUC_WARN_UNUSED_RESULT;

G_END_DECLS
