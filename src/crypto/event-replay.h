/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* An event log replayed: what the registers have if these events, and no others, were extended.
 *
 * A log is as good as the registers it replays to are signed. Of an event the digests are
 * then vouched for; its data only where a digest is of them; its type and its place among
 * the events of other registers never. */
#pragma once

#include "codec/event-log.h"

G_BEGIN_DECLS

typedef struct AttEventReplay AttEventReplay;

/* What the digests of an event are of. */
typedef enum {
        ATT_EVENT_DIGEST_NONE,  /* it has none of a bank that we know, or is EV_NO_ACTION */
        ATT_EVENT_DIGEST_DATA,  /* of its data */
        ATT_EVENT_DIGEST_PART,  /* of a part of them: att_event_digest() */
        ATT_EVENT_DIGEST_OTHER, /* of something else, as events of its type may be */
        ATT_EVENT_DIGEST_FALSE, /* of something else, though its type says of its data */
} AttEventDigest;

/** "none", "data", "part", "other", "false" */
const char *att_event_digest_name(AttEventDigest digest);

/** @banks: set of %ATT_BANK_SET; those that a log does not have stay as they began */
AttEventReplay *att_event_replay_new(unsigned banks) G_GNUC_WARN_UNUSED_RESULT;
void att_event_replay_free(AttEventReplay *replay);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(AttEventReplay, att_event_replay_free)

/**
 * att_event_replay_add: one more event
 * @error: %ATT_ERROR_BAD_DATA: a StartupLocality that cannot be; nothing has changed
 *
 * EV_NO_ACTION extends nothing; its StartupLocality says where PCR 0 begins.
 */
gboolean att_event_replay_add(AttEventReplay *replay, const AttEvent *event, GError **error)
        G_GNUC_WARN_UNUSED_RESULT;

/**
 * att_event_replay_run: all of a log, end included
 * @error: %ATT_ERROR_BAD_DATA, %ATT_ERROR_TOO_LARGE: not a log, an event is bad, or bytes behind
 *         the last one that are no unused area (%ATT_EVENT_TAIL_OTHER)
 */
AttEventReplay *att_event_replay_run(GBytes *log, unsigned banks, GError **error) G_GNUC_WARN_UNUSED_RESULT;

unsigned att_event_replay_banks(const AttEventReplay *replay);
/** How many events have extended register @reg in @bank. */
unsigned att_event_replay_extensions(const AttEventReplay *replay, uint32_t reg, AttBank bank);
/** What register @reg has; att_bank_size(@bank) bytes; @bank one of those kept, @reg below %ATT_EVENT_REGISTERS. */
const uint8_t *att_event_replay_register(const AttEventReplay *replay, uint32_t reg, AttBank bank);
/** %ATT_EVENT_DIGEST_FALSE: how many there were; of the first its number in @ret_first (nullable). */
unsigned att_event_replay_falsehoods(const AttEventReplay *replay, unsigned *ret_first);

/**
 * att_event_replay_gives: does register @reg have @value?
 * @error: %ATT_ERROR_REFUSED: a sentence that names the register
 *
 * Constant time in @value.
 */
gboolean att_event_replay_gives(const AttEventReplay *replay, uint32_t reg, AttBank bank, const uint8_t *value,
                                GError **error) G_GNUC_WARN_UNUSED_RESULT;

/**
 * att_event_replay_gives_rtmrs: does a TD's log replay to what the firmware and the boot have left in @rtmr 0 to 2?
 * @rtmr: 48 bytes each; RTMR 3 is not the boot's
 */
gboolean att_event_replay_gives_rtmrs(const AttEventReplay *replay, const uint8_t *const rtmr[3], GError **error)
        G_GNUC_WARN_UNUSED_RESULT;

/** att_event_digest: what the digests of @event are of; @ret_part (nullable): %ATT_EVENT_DIGEST_PART's */
AttEventDigest att_event_digest(const AttEvent *event, AttCursor *ret_part);

G_END_DECLS
