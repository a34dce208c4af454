/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What can go wrong between us and the TEE, as a GError domain of this layer, and
 * what follows from each. Nothing of it leaves the layer: callers get an AttError
 * with the same sentence. */
#pragma once

#include "util/error.h"

#include <glib.h>
#include <stdbool.h>

G_BEGIN_DECLS

typedef enum {
        /* There is no device to ask; of the first three, there may be one elsewhere. */
        ATT_TEE_FAULT_NO_CONFIGFS,
        ATT_TEE_FAULT_NO_CORE,
        ATT_TEE_FAULT_NO_PROVIDER,
        ATT_TEE_FAULT_LOCAL_ONLY,     /* one that makes no quotes */
        ATT_TEE_FAULT_NO_ACCESS,      /* one that we may not open */
        ATT_TEE_FAULT_OTHER_PROVIDER, /* one that we cannot read reports of */
        ATT_TEE_FAULT_NO_ENTRY,       /* it may be there, but we cannot make an entry */

        /* It is there, and this report has failed. */
        ATT_TEE_FAULT_KEY_DISABLED,   /* ENOTTY; for good */
        ATT_TEE_FAULT_LEVEL,          /* no reports at the privilege level of this guest */
        ATT_TEE_FAULT_BUSY,
        ATT_TEE_FAULT_INTERRUPTED,
        ATT_TEE_FAULT_THROTTLED,
        ATT_TEE_FAULT_TIMED_OUT,
        ATT_TEE_FAULT_HOST,
        ATT_TEE_FAULT_TOO_SLOW,
        ATT_TEE_FAULT_INTERFERENCE,   /* somebody else touched our entry */
        ATT_TEE_FAULT_EMPTY,
        ATT_TEE_FAULT_MALFORMED,
        ATT_TEE_FAULT_WRONG_REPORT_DATA,
        ATT_TEE_FAULT_WRONG_GUEST,    /* a quote of another TD */
        ATT_TEE_FAULT_TOO_LARGE,
        ATT_TEE_FAULT_OTHER,
} AttTeeFault;
#define ATT_TEE_FAULT_N ((guint) ATT_TEE_FAULT_OTHER + 1)

#define ATT_TEE_FAULT (att_tee_fault_quark())
GQuark att_tee_fault_quark(void);

/** att_tee_fault_set: "<format>; <what to do about @fault>". Returns: %FALSE */
gboolean att_tee_fault_set(GError **error, AttTeeFault fault, const char *format, ...) G_GNUC_PRINTF(3, 4);

/**
 * att_tee_fault_set_errno: the fault that @err (positive errno) of an open(), read()
 * or write() of @attribute means; "cannot <verb> <attribute>: <strerror>; <what to do>"
 *
 * ENXIO is taken for "no provider". Of outblob it may also be a firmware's
 * refusal: the attribute provider tells them apart.
 *
 * Returns: %FALSE
 */
gboolean att_tee_fault_set_errno(GError **error, int err, const char *verb, const char *attribute);

/** att_tee_fault_is_absence: is there no device to ask? */
bool att_tee_fault_is_absence(AttTeeFault fault);
/** att_tee_fault_leads_on: may the device be found in another way? */
bool att_tee_fault_leads_on(AttTeeFault fault);
/** att_tee_fault_spoils_entry: must our entry be made anew before the next try? */
bool att_tee_fault_spoils_entry(AttTeeFault fault);
/** att_tee_fault_may_pass: may another try help at once, without a pause? */
bool att_tee_fault_may_pass(AttTeeFault fault);
/** att_tee_fault_code: what a caller is told; for an absence, of a device never seen */
AttError att_tee_fault_code(AttTeeFault fault);
/**
 * att_tee_fault_pause_us: how long to leave the device alone
 * @n_failures: which of its kind this is since the last good report, from 1
 * @has_key:    is it a device whose driver gives up a key after failures?
 */
gint64 att_tee_fault_pause_us(AttTeeFault fault, guint n_failures, bool has_key);

G_END_DECLS
