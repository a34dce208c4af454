/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* State of the guest beside its IMA log, compared at each look. */
#pragma once

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

/* @mirror: the RTMR that our mirror extends, of which "register" never speaks; -1: none */
AttStateWatch *att_state_watch_new(int mirror) G_GNUC_WARN_UNUSED_RESULT;
void att_state_watch_free(AttStateWatch *watch);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(AttStateWatch, att_state_watch_free)

/** att_state_watch_look: what is not as it was at the last look; of the bits up to %ATT_STATE_LOCKDOWN; microseconds */
AttStateReasons att_state_watch_look(AttStateWatch *watch);

/** att_state_watch_saw_report: an SNP report (or TDX quote) was made: is its TCB, or firmware, that of the last one? */
AttStateReasons att_state_watch_saw_report(AttStateWatch *watch, GBytes *outblob, const char *provider);

G_END_DECLS
