/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What runs in this guest, and how it is: the IMA log, what vouches for it, and the
 * rest of the state that evidence speaks of, or that makes it old. */
#pragma once

#include "attester/configuration.h"
#include "attester/ima-root.h"
#include "codec/claims.h"
#include "tee/event-source.h"
#include "tee/ima-source.h"

G_BEGIN_DECLS

typedef struct AttRuntime AttRuntime;

/** Something may have changed: who owns the runtime is to look. */
typedef void (*AttRuntimeStirred)(gpointer userdata);

/**
 * att_runtime_new: as the guest is now is what changes are compared with
 * @configuration: must outlive it
 * @events:        (nullable): borrowed; started here. Without it only looks see anything
 */
AttRuntime *att_runtime_new(const AttConfiguration *configuration, AttEventSource *events, AttRuntimeStirred stirred,
                            gpointer userdata) G_GNUC_WARN_UNUSED_RESULT;
void att_runtime_free(AttRuntime *runtime);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(AttRuntime, att_runtime_free)

/**
 * att_runtime_look: see what has changed since the last look
 *
 * Returns: the reasons that count by the configuration
 */
AttStateReasons att_runtime_look(AttRuntime *runtime);

/** att_runtime_saw_report: of whomever it is; for the next look */
void att_runtime_saw_report(AttRuntime *runtime, const AttTeeReport *report);

/** att_runtime_release: no report is under way, so what was sealed last is void; before the look that is for sealing */
void att_runtime_release(AttRuntime *runtime);

/**
 * att_runtime_seal: what C says of the state, as the last look has found it
 * @claims:  gets ima, ima_state and boot_digest
 * @ret_tpm: (nullable): who is to quote beside the report; borrowed
 *
 * Returns: a ticket for one of the two that follow; never 0
 */
guint64 att_runtime_seal(AttRuntime *runtime, AttClaims *claims, AttTpm **ret_tpm);

/** att_runtime_check: does the report bear out what was sealed? If not, seal anew: it says something else by then. */
bool att_runtime_check(AttRuntime *runtime, guint64 ticket, const AttTeeReport *report);
/** att_runtime_drop: no report over what was sealed will be used. Fine for 0. */
void att_runtime_drop(AttRuntime *runtime, guint64 ticket);

/* For operators. Texts are borrowed until the next look. */
AttImaState att_runtime_ima_state(const AttRuntime *runtime);
const char *att_runtime_ima_detail(const AttRuntime *runtime);
const char *att_runtime_ima_listed(const AttRuntime *runtime); /* bank; "" if there is no list */
guint64 att_runtime_ima_count(const AttRuntime *runtime);
guint64 att_runtime_ima_violations(const AttRuntime *runtime);
const char *att_runtime_root(const AttRuntime *runtime);
const char *att_runtime_root_detail(const AttRuntime *runtime);
const char *att_runtime_event_source(const AttRuntime *runtime);
const char *att_runtime_event_detail(const AttRuntime *runtime);

/** att_runtime_ima_root: what vouches for the log */
const AttImaRoot *att_runtime_ima_root(const AttRuntime *runtime);

/** att_runtime_read_ima: as att_ima_reader_new() */
AttImaReader *att_runtime_read_ima(AttRuntime *runtime, guint64 first, guint64 last, GError **error)
        G_GNUC_WARN_UNUSED_RESULT;
/** att_runtime_read_register: as att_mirror_reader_new(); %ATT_ERROR_FAILED: no RTMR mirrors the log */
AttMirrorReader *att_runtime_read_register(AttRuntime *runtime, guint64 first, GError **error)
        G_GNUC_WARN_UNUSED_RESULT;

G_END_DECLS
