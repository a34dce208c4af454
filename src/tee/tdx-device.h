/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* /dev/tdx_guest: a TD's look at itself. It asks the TDX module and no host, takes
 * microseconds, and always shows what is, so it is the way to see that a register
 * or the module has changed. It makes no quotes. */
#pragma once

#include "codec/tdx-report.h"

#include <stdbool.h>

G_BEGIN_DECLS

#define ATT_TDX_DEVICE_PATH "/dev/tdx_guest"

/** att_tdx_device_is_here: is this a TD whose kernel has the device, whether or not we may open it? */
bool att_tdx_device_is_here(void);

/**
 * att_tdx_report_local: TDREPORT, as it is now
 * @ret: borrows from what is returned
 * @error: %ATT_ERROR_NO_TEE if there is no such device, %ATT_ERROR_BAD_DATA, %ATT_ERROR_FAILED
 *
 * It is over a REPORTDATA that no evidence is ever over. Returns: (transfer full)
 */
GBytes *att_tdx_report_local(AttTdxReport *ret, GError **error) G_GNUC_WARN_UNUSED_RESULT;

/**
 * att_tdx_quote_check: can @quote be of the TD that saw @before and @after of itself?
 * @quote: a TDX quote that parses
 * @error: of %ATT_TEE_FAULT: it has other measurements. An RTMR that was extended in between may have either.
 */
gboolean att_tdx_quote_check(GBytes *quote, const AttTdxReport *before, const AttTdxReport *after,
                             GError **error) G_GNUC_WARN_UNUSED_RESULT;

G_END_DECLS
