/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The firmware's event log: the TCG's crypto-agile form (of a TPM, and of a TD as
 * CCEL) and its old form with SHA-1 alone. Read event by event, nothing allocated. */
#pragma once

#include "util/bank.h"
#include "util/bytes.h"

#include <glib.h>
#include <stdbool.h>

G_BEGIN_DECLS

#define ATT_EVENT_LOG_MAX (16u * 1024u * 1024u)
#define ATT_EVENT_DATA_MAX (1024u * 1024u) /* of one event */
#define ATT_EVENT_LOG_EVENTS_MAX 65536u /* a boot has some hundreds; so a log costs whoever replays it little */
#define ATT_EVENT_ALGORITHMS_MAX 8u
#define ATT_EVENT_REGISTERS 32u /* of the log's numbering: PCR 0..31; of a TD 1..4, which are RTMR 0..3 */
#define ATT_EVENT_RTMR(n) ((n) + 1u) /* what CCEL calls RTMR n; its 0 is MRTD */

/* Data of the EV_NO_ACTION that says where PCR 0 began: this, a NUL, and the locality. */
#define ATT_EVENT_STARTUP_LOCALITY "StartupLocality"

/* Types that mean something to a replay; att_event_type_name() knows more. */
enum {
        ATT_EVENT_NO_ACTION = 0x03, /* extends nothing */
        ATT_EVENT_SEPARATOR = 0x04,
};

typedef struct AttEvent {
        unsigned number; /* in the log, from 0 */
        size_t offset;   /* of its first byte in the log */
        uint32_t reg;    /* which register; below %ATT_EVENT_REGISTERS */
        uint32_t type;
        const uint8_t *digests[ATT_BANKS]; /* NULL: it has none for that bank, whose register it left alone */
        AttCursor data;
        bool is_late;    /* an EV_SEPARATOR of its register came before it */
} AttEvent;

typedef struct AttEventAlgorithm {
        uint16_t id; /* TPM_ALG_ID */
        uint16_t size;
} AttEventAlgorithm;

/* What lies behind the last event. */
typedef enum {
        ATT_EVENT_TAIL_NONE,
        ATT_EVENT_TAIL_ZEROS,
        ATT_EVENT_TAIL_ONES,  /* 0xff, as CCEL has it */
        ATT_EVENT_TAIL_OTHER, /* neither: no unused area */
} AttEventTail;

/* Where a walk stands. It borrows the log. */
typedef struct AttEventLog {
        AttCursor rest;
        size_t size;
        bool is_agile;
        AttEventAlgorithm algorithms[ATT_EVENT_ALGORITHMS_MAX];
        unsigned n_algorithms;
        unsigned banks;    /* set of %ATT_BANK_SET: those of them that we know */
        unsigned n_events; /* that were read */
        uint32_t separated; /* set of registers that have had their separator */
} AttEventLog;

typedef enum {
        ATT_EVENT_READ,
        ATT_EVENT_END, /* no more: att_event_log_end() says where and before what */
        ATT_EVENT_BAD, /* @error */
} AttEventStep;

/** att_event_log_is_like: does it begin as a log in the crypto-agile form, or is all of it one in the old form? */
bool att_event_log_is_like(GBytes *bytes);

/**
 * att_event_log_open: begin a walk
 * @error: %ATT_ERROR_TOO_LARGE, %ATT_ERROR_BAD_DATA: no log, or its header is wrong; @ret is untouched
 */
gboolean att_event_log_open(AttEventLog *ret, AttCursor log, GError **error) G_GNUC_WARN_UNUSED_RESULT;

/**
 * att_event_log_next: the next event, the header being the first
 * @error: %ATT_ERROR_BAD_DATA, %ATT_ERROR_TOO_LARGE; names event, offset and field; @ret is untouched, no walk goes on
 *
 * A log ends with its bytes, or where an event would have no register (0xffffffff
 * of the unused area among others), or register, type and count of digests are all 0.
 * An event that is cut short, that has a digest of an algorithm which the header does
 * not name, or two of one, is bad. Digests of algorithms that are not ours are passed
 * over by the size that the header gives them.
 */
AttEventStep att_event_log_next(AttEventLog *log, AttEvent *ret, GError **error) G_GNUC_WARN_UNUSED_RESULT;

/** att_event_log_end: how many bytes the events read so far take; @ret_tail (nullable): what is behind them */
size_t att_event_log_end(const AttEventLog *log, AttEventTail *ret_tail);

/** "none", "zeros", "ones", "other" */
const char *att_event_tail_name(AttEventTail tail);

/** "sha1", …, "sm3_256", "sha3_256", …; NULL if it has no name here */
const char *att_event_algorithm_name(uint16_t id);

/** "EV_SEPARATOR", …; NULL if it has no name */
const char *att_event_type_name(uint32_t type);

/** att_event_type_is_of_data: does the specification say that the digest of such an event is that of its data? */
bool att_event_type_is_of_data(uint32_t type);

G_END_DECLS
