/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* State of the guest beside its IMA log, compared at each look. */
#pragma once

#include "codec/tdx-report.h"

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

G_BEGIN_DECLS

/* Reasons, as bits; their names are told to applications and relying parties and are for good. */
typedef enum {
        ATT_STATE_REGISTER = 1 << 0,       /* "register": an RTMR was extended, not by our mirror */
        ATT_STATE_TCB = 1 << 1,            /* "tcb": TEE_TCB_SVN2, or a TCB or firmware build of an SNP report */
        ATT_STATE_RESUME = 1 << 2,         /* "resume": the guest was suspended */
        ATT_STATE_SELINUX = 1 << 3,        /* "selinux": enforcing switched, or policy loaded */
        ATT_STATE_LOCKDOWN = 1 << 4,       /* "lockdown": the kernel's lockdown level */
        ATT_STATE_CLONE = 1 << 5,          /* "clone": VM generation id */
        ATT_STATE_IMA = 1 << 6,            /* "ima": an entry that counts */
        ATT_STATE_IMA_VIOLATION = 1 << 7,  /* "ima-violation" */
        ATT_STATE_IMA_STATE = 1 << 8,      /* "ima-state": readable, garbled, history lost */
        ATT_STATE_IMA_ROOT = 1 << 9,       /* "ima-root": what vouches for the log is another one */
} AttStateReasons;

#define ATT_STATE_REASONS 10u
/** att_state_reason_name: static; of one bit */
const char *att_state_reason_name(AttStateReasons reason);

typedef struct AttStateWatch AttStateWatch;

/**
 * att_state_watch_new: what is now is what the first look compares with
 * @mirror: the RTMR that our mirror extends, of which "register" never speaks; -1: none
 */
AttStateWatch *att_state_watch_new(int mirror) G_GNUC_WARN_UNUSED_RESULT;
/** att_state_watch_set_mirror: as att_state_watch_new() says, from now on: one that others have extended is told of */
void att_state_watch_set_mirror(AttStateWatch *watch, int mirror);
void att_state_watch_free(AttStateWatch *watch);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(AttStateWatch, att_state_watch_free)

/**
 * att_state_watch_look: what is not as it was at the last look; of the bits up to %ATT_STATE_LOCKDOWN
 *
 * Microseconds. What is seen for the first time has not changed; what was seen and
 * cannot be seen any more has.
 */
AttStateReasons att_state_watch_look(AttStateWatch *watch);

/** att_state_watch_saw_registers: what a look does with a TDREPORT. Returns: %ATT_STATE_REGISTER, %ATT_STATE_TCB */
AttStateReasons att_state_watch_saw_registers(AttStateWatch *watch, const AttTdxReport *report);

/**
 * att_state_watch_saw_report: an SNP report (or TDX quote) was made: is its TCB, or firmware, that of the last one?
 * @provider: whose it is; the first of a provider is what the next are compared with
 *
 * What does not parse says nothing. Returns: %ATT_STATE_TCB, or none
 */
AttStateReasons att_state_watch_saw_report(AttStateWatch *watch, GBytes *outblob, const char *provider);

/* How far the clock that runs while the guest sleeps is ahead of the one that stands
 * still: somewhere from @least to @most, in nanoseconds. A kernel that counts sleep by
 * an RTC counts whole seconds of it: a shorter one may leave no trace. */
typedef struct AttClockGap {
        gint64 least, most;
} AttClockGap;

/** att_clock_gap_read: as it is now */
AttClockGap att_clock_gap_read(void);
/** att_clock_gap_has_grown: must it have been another one at @before? */
bool att_clock_gap_has_grown(AttClockGap before, AttClockGap now);

G_END_DECLS
